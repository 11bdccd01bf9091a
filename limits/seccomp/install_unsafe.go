//go:build linux

package seccomp

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/limits"
)

// Install puts the program around every thread of this process, for good.
//
// Preconditions: no_new_privs is set (limits/entry does it while the process has
// one thread). It is asserted here and not set, because set late it would hold
// for the calling thread only, and a missing bit means that the entry code did
// not run.
//
// SECCOMP_FILTER_FLAG_TSYNC is what makes this sound in a Go program: a filter
// belongs to a thread, and the runtime moves goroutines between threads at will.
// With the flag the kernel gives the caller's filters to all threads or to none.
// Its return value is odd (seccomp(2)): 0 is success, a positive number is the id
// of a thread that could not follow because it has filters that the caller does
// not have, and only a negative one is an errno.
//
// Filters stack: a second Install narrows the first, since the kernel runs all
// of them and takes the strictest answer.
func (p Program) Install(wall string) error {
	fail := func(where string, err error) error {
		return &limits.WallError{Wall: wall, Where: where, Err: err}
	}
	if len(p.raw) == 0 {
		return fail("assemble", fmt.Errorf("empty program"))
	}
	if host, err := Host(); err != nil || host.audit != p.arch.audit {
		return fail("assemble", fmt.Errorf("program is for %s, this is %s", p.arch, runtime.GOARCH))
	}
	// From the check of no_new_privs to the installation the same thread must
	// act: the bit is per thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	nnp, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	if err != nil {
		return fail("prctl(PR_GET_NO_NEW_PRIVS)", err)
	}
	if nnp != 1 {
		return fail("prctl(PR_GET_NO_NEW_PRIVS)", fmt.Errorf("no_new_privs is not set"))
	}
	filter := make([]unix.SockFilter, len(p.raw))
	for i, ins := range p.raw {
		filter[i] = unix.SockFilter{Code: ins.Op, Jt: ins.Jt, Jf: ins.Jf, K: ins.K}
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	tid, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(filter)
	switch {
	case errno == unix.ENOSYS || errno == unix.EINVAL:
		// EINVAL: CONFIG_SECCOMP_FILTER is off (seccomp(2)); the program itself
		// is always well-formed, which the tests see to.
		return fail("seccomp(SET_MODE_FILTER)", fmt.Errorf("%w: %w", limits.ErrUnsupported, errno))
	case errno != 0:
		return fail("seccomp(SET_MODE_FILTER)", errno)
	case tid != 0:
		return fail("seccomp(SET_MODE_FILTER)", fmt.Errorf("thread %d could not take the filter over", tid))
	}
	return nil
}
