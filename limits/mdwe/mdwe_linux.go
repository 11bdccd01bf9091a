package mdwe

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/limits"
)

// Raise puts the wall up, for good. The flag belongs to the address space, so it
// does not matter which thread asks, and a thread started later is inside too.
//
// A kernel older than 6.3 answers EINVAL; the error then wraps
// limits.ErrUnsupported. The worker goes on without in that case, because the
// filter of phase run holds the same line, and the receipt says so.
func Raise() (limits.Wall, error) {
	w := Wall()
	if err := unix.Prctl(unix.PR_SET_MDWE, unix.PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0); err != nil {
		if err == unix.EINVAL {
			err = fmt.Errorf("%w: needs Linux 6.3: %w", limits.ErrUnsupported, err)
		}
		return w, &limits.WallError{Wall: w.Name, Where: "prctl(PR_SET_MDWE)", Err: err}
	}
	w.Raised = true
	return w, nil
}
