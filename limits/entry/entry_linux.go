//go:build cgo

package entry

/*
#cgo CFLAGS: -Wall -Wextra
#include "entry_linux.h"
*/
import "C"

import (
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/limits"
)

// Ran reports whether the constructor acted: argv[1] was Command.
func Ran() bool { return C.entry_ran != 0 }

// Err gives the step that failed, as a *limits.WallError, or nil. A process in
// which the constructor did not run has no walls, which is an error too. After an
// error main may say so to the supervisor and must exit.
func Err() error {
	if !Ran() {
		return &limits.WallError{Wall: "entry", Where: "argv[1]", Err: fmt.Errorf("the constructor did not run: argv[1] is not %q", Command)}
	}
	if C.entry_failed < 0 {
		return nil
	}
	s := &C.entry_steps[C.entry_failed]
	where, err := C.GoString(s.where), syscall.Errno(s.err)
	return &limits.WallError{Wall: C.GoString(s.wall), Where: where, Err: err, Hint: hint(where, err)}
}

// hint tells the likeliest fix of a failure, or nothing.
func hint(where string, err syscall.Errno) string {
	switch at := func(place string) bool { return strings.HasPrefix(where, place) }; {
	case at("argv[2]"):
		return "supervisor and worker are not of one build; install both from one release"
	case at("program"):
		return "an object in the worker has no .note.GNU-stack section; link it with -z noexecstack"
	case at("stack size of threads"):
		return "raise --max-stack"
	case at("descriptors"):
		return "needs Linux 5.9, or /proc"
	case at("mount") && err == syscall.EINVAL:
		return "the root directory is not a mount point of its own, as in a chroot or an initramfs; leave it, or bind-mount the directory on itself first"
	case at("mount: tmpfs") && err == syscall.ENOENT:
		return "the new root is mounted over one of /tmp, /proc, /dev, /sys, /run for a moment; make one of them"
	case at("mount: tmpfs") && err == syscall.ENODEV:
		return "this kernel has no tmpfs (CONFIG_TMPFS)"
	case at("mount") && err == syscall.ENOSPC:
		return "too many mounts; raise sysctl fs.mount-max"
	case at("identity") && err == syscall.EINVAL:
		return "user and group 65534 do not exist in this user namespace; map them (/etc/subuid, /etc/subgid)"
	case at("prctl(PR_SET_NO_NEW_PRIVS)") && err == syscall.EINVAL:
		return "needs Linux 3.5"
	case at("landlock") && err == syscall.E2BIG:
		return "as many Landlock domains as the kernel stacks (16) lie around the caller already"
	case err != syscall.EPERM && err != syscall.EACCES && err != syscall.ENOSYS:
		return ""
	case at("mount") && os.Geteuid() != 0 && restricted():
		return "sysctl kernel.apparmor_restrict_unprivileged_userns is 1; give the worker an AppArmor profile with the rule \"userns,\", or set it to 0"
	case filtered():
		return "a seccomp filter around the caller refuses the call; allow it in the container's profile (docker: --security-opt seccomp=FILE)"
	case at("mount"):
		return "AppArmor, SELinux or Landlock around the caller forbids mounting (docker: --security-opt apparmor=unconfined)"
	case at("identity"):
		return "root of a container needs CAP_SETUID and CAP_SETGID"
	}
	return ""
}

// restricted tells whether AppArmor takes the worth from what capabilities an
// ordinary user has in a user namespace (Ubuntu 23.10): the clone succeeds, the
// mount does not. Asked when mounting has failed, so the host's /proc is there.
func restricted() bool {
	b, err := os.ReadFile("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
	return err == nil && strings.TrimSpace(string(b)) == "1"
}

// filtered tells whether a system-call filter was in force before there was one of
// our own: after a step that failed there is none.
func filtered() bool {
	mode, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0)
	return err == nil && mode == unix.SECCOMP_MODE_FILTER
}

// Raised lists the walls of this package in the order in which they are put up,
// raised or not.
func Raised() []limits.Wall {
	var steps []step
	for i := C.ENTRY_CHECK + 1; i < C.ENTRY_STEPS; i++ {
		c := &C.entry_steps[i]
		s := step{wall: C.GoString(c.wall), asked: c.asked != 0, done: c.done != 0}
		if c.err != 0 {
			s.where, s.err = C.GoString(c.where), syscall.Errno(c.err)
		}
		if c.unsupported != 0 {
			s.err = fmt.Errorf("%w: %w", limits.ErrUnsupported, s.err)
		}
		switch i {
		case C.ENTRY_ID:
			s.detail = fmt.Sprintf("uid %d gid %d", uint(C.entry_id), uint(C.entry_id))
		case C.ENTRY_CAPS:
			s.detail = "no capability"
			if C.entry_bounding_empty != 0 {
				s.detail += ", bounding set empty"
			}
		case C.ENTRY_LANDLOCK:
			s.detail = landlockDetail(int(C.entry_landlock_abi))
		}
		steps = append(steps, s)
	}
	return walls(steps)
}

// landlockDetail says what a version of Landlock's ABI denies.
func landlockDetail(abi int) string {
	detail := fmt.Sprintf("ABI %d: files", abi)
	for _, more := range []struct {
		abi  int
		name string
	}{{4, "TCP"}, {10, "UDP"}, {6, "scopes"}} {
		if abi >= more.abi {
			detail += ", " + more.name
		}
	}
	return detail
}

// DieOnFault makes every fatal signal end the process at once, with 128 plus the
// signal's number as its exit status. Call it before the engine is created: the
// engine's handlers go in front and hand on what is not a trap of the guest.
//
// Why not the default action: the worker is process 1 of its pid namespace, and
// for that one the kernel drops signals that have no handler (pid_namespaces(7)),
// so an abort() would end in a status of the C library's making. Why not Go's
// handlers: they print stacks, which hold guest data, to a descriptor, and exit
// with 2, which hides the signal. What is given up: a nil dereference in the
// worker's own Go code no longer becomes a panic that can be recovered; it ends
// the worker, which the supervisor can take.
//
// SIGURG stays with Go, which preempts goroutines with it. SIGKILL of seccomp or
// the supervisor is not affected. The error is a *limits.WallError.
func DieOnFault() error {
	if errno := C.entry_die_on_fault(); errno != 0 {
		return &limits.WallError{Wall: "entry", Where: "sigaction", Err: syscall.Errno(errno)}
	}
	return nil
}
