package supervisor

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// dropInheritance marks every descriptor from 3 up close-on-exec, so that what
// this process itself inherited (a shell's lock file, a CI runner's socket) does
// not reach a worker. The worker refuses to run with others than 0 to 3 open.
func dropInheritance() error {
	// close_range(2) with CLOSE_RANGE_CLOEXEC: Linux 5.11.
	err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	if err == nil || !(errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL)) {
		return err
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("mark descriptors close-on-exec: %w", err)
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}
