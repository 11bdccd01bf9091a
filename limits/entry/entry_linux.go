//go:build cgo

package entry

/*
#cgo CFLAGS: -Wall -Wextra
#include "entry_linux.h"
*/
import "C"

import (
	"fmt"
	"syscall"

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
	where := C.GoString(s.where)
	return &limits.WallError{Wall: C.GoString(s.wall), Where: where, Err: syscall.Errno(s.err), Hint: hint(C.entry_failed, syscall.Errno(s.err))}
}

// hint tells the one failure that has a usual cause.
func hint(step C.int, err syscall.Errno) string {
	if step == C.ENTRY_MOUNT && (err == syscall.EPERM || err == syscall.EACCES) {
		return "a security module denies mounting in a user namespace; see sysctl kernel.apparmor_restrict_unprivileged_userns"
	}
	return ""
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
		switch i {
		case C.ENTRY_ID:
			s.detail = fmt.Sprintf("uid %d gid %d", uint(C.entry_id), uint(C.entry_id))
		case C.ENTRY_CAPS:
			s.detail = "no capability"
			if C.entry_bounding_empty != 0 {
				s.detail += ", bounding set empty"
			}
		}
		steps = append(steps, s)
	}
	return walls(steps)
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
