//go:build linux

package probe

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/limits"
)

// askSeccomp asks whether SECCOMP_RET_KILL_PROCESS is available, which is the
// newest thing the filters need (seccomp(2), SECCOMP_GET_ACTION_AVAIL).
func askSeccomp() error {
	action := uint32(unix.SECCOMP_RET_KILL_PROCESS)
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_GET_ACTION_AVAIL, 0, uintptr(unsafe.Pointer(&action)))
	switch errno {
	case 0:
		return nil
	case unix.ENOSYS, unix.EINVAL, unix.EOPNOTSUPP:
		return fmt.Errorf("probe: seccomp: needs Linux 4.14 with CONFIG_SECCOMP_FILTER: %w", limits.ErrUnsupported)
	}
	return fmt.Errorf("probe: seccomp: %w", errno)
}
