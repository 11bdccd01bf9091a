package probe

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/limits/namespace"
)

// tooLong is a path that execve(2) refuses with ENAMETOOLONG before it looks at
// any file (PATH_MAX is 4096).
var tooLong = "/" + strings.Repeat("x", 5000)

// askUserNamespaces forks with the attribute of the best plan and execs a path
// that cannot be: everything before the exec has then happened, nothing after it
// can. Of all errors ENAMETOOLONG can only come from that exec; any other is the
// answer of clone, of the id map or of the mount.
//
// Mounting is tried by unsharing the mount namespace once more, which makes the
// Go runtime's child mount / private. That is where AppArmor's restriction of
// user namespaces bites (Ubuntu 23.10): the clone succeeds, capabilities inside
// are worth nothing.
func askUserNamespaces() error {
	if _, err := os.Stat("/proc/self/uid_map"); err != nil {
		return fmt.Errorf("probe: user namespaces: /proc: %w", err) // not known: ids cannot be mapped without
	}
	plans, err := namespace.Plans(namespace.Options{Isolation: limits.Standard})
	if err != nil {
		return err
	}
	attr := plans[0].SysProcAttr()
	attr.Pdeathsig = 0 // the child's life is within this call
	attr.Unshareflags = unix.CLONE_NEWNS
	_, err = syscall.ForkExec(tooLong, []string{"probe"}, &syscall.ProcAttr{Env: []string{}, Sys: attr})
	var errno syscall.Errno
	switch {
	case !errors.As(err, &errno):
		return fmt.Errorf("probe: user namespaces: unexpected answer: %v", err)
	case errno == unix.ENAMETOOLONG:
		return nil
	case errno == unix.EAGAIN || errno == unix.ENOMEM || errno == unix.EMFILE || errno == unix.ENFILE || errno == unix.EINTR:
		return fmt.Errorf("probe: user namespaces: %w", errno) // of this moment only
	}
	// EPERM, EACCES: a sysctl, filter or security module; ENOSPC, EUSERS: the quota
	// of namespaces is used up or 0; EINVAL: not in this kernel; EROFS: /proc.
	err = fmt.Errorf("probe: user namespaces: %w: %w", limits.ErrUnsupported, errno)
	if hint := namespace.Hint(errno); hint != "" {
		err = fmt.Errorf("%w (%s)", err, hint)
	}
	return err
}

// askLandlock makes no ruleset: landlock_create_ruleset(2) answers the version when
// it is given none and told so.
func askLandlock() (int, error) {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	switch errno {
	case 0:
		return int(abi), nil
	case unix.ENOSYS, unix.EOPNOTSUPP:
		return 0, fmt.Errorf("probe: landlock: needs Linux 5.13, built and booted with it (lsm=landlock,…): %w", limits.ErrUnsupported)
	}
	return 0, fmt.Errorf("probe: landlock: %w", errno)
}

func askMDWE() error { return ask("PR_GET_MDWE", "Linux 6.3", unix.PR_GET_MDWE) }

func askNoNewPrivs() error {
	return ask("PR_GET_NO_NEW_PRIVS", "Linux 3.5", unix.PR_GET_NO_NEW_PRIVS)
}

// ask reads a flag of the process with prctl(2), which fails with EINVAL when the
// kernel does not know it.
func ask(name, since string, option int) error {
	switch _, err := unix.PrctlRetInt(option, 0, 0, 0, 0); err {
	case nil:
		return nil
	case unix.EINVAL:
		return fmt.Errorf("probe: prctl(%s): needs %s: %w", name, since, limits.ErrUnsupported)
	default:
		return fmt.Errorf("probe: prctl(%s): %w", name, err)
	}
}

// Kernel names the running kernel: its release and the machine, as in
// "6.12.48 x86_64".
func Kernel() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:]) + " " + unix.ByteSliceToString(u.Machine[:])
}
