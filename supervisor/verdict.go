package supervisor

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/limits"
)

// failure is what a worker or its guest did, as a verdict.
type failure struct {
	verdict  limits.Verdict
	observer limits.Observer
	signal   string
	detail   string
	before   bool // before any step was sent
}

func (f *failure) Error() string { return fmt.Sprintf("%s: %s", f.verdict, f.detail) }

func (f *failure) reply() engine.Reply {
	return engine.Reply{Verdict: f.verdict, Observer: f.observer, Signal: f.signal, Detail: f.detail, NotStarted: f.before}
}

// asFailure turns the loss of a worker into a failure; nil when err is not the
// worker's doing. phase says what it was at, for people.
func asFailure(err error, phase string) *failure {
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	var l *loss
	if !errors.As(err, &l) {
		return nil
	}
	switch {
	case l.late:
		return &failure{verdict: limits.Deadline, observer: limits.BySupervisor, detail: "the worker did not finish in time during " + phase + " and was killed"}
	case l.violation != nil:
		return &failure{verdict: limits.ProtocolViolation, observer: limits.BySupervisor, detail: printable(l.violation.Error()) + " during " + phase}
	}
	return death(l.state, l.stderr, phase)
}

// death says what a dead worker died of. The kernel's word (a wait status with a
// signal) comes first; an exit status above 128 is the worker's fault handler
// naming the signal (limits/entry), because a worker is the init process of its
// pid namespace and the kernel ignores most signals such a process sends itself.
func death(state *os.ProcessState, stderr, phase string) *failure {
	f := &failure{verdict: limits.WorkerCrash, observer: limits.ByKernel}
	ws, _ := state.Sys().(syscall.WaitStatus)
	var sig syscall.Signal
	switch {
	case ws.Signaled():
		sig = ws.Signal()
	case ws.Exited() && ws.ExitStatus() > 128 && ws.ExitStatus() <= 128+64:
		sig = syscall.Signal(ws.ExitStatus() - 128)
		f.observer = limits.ByWorker
	}
	if sig != 0 {
		f.signal = unix.SignalName(sig)
		f.detail = fmt.Sprintf("the worker died of %s during %s", f.signal, phase)
	} else {
		f.detail = fmt.Sprintf("the worker exited with status %d during %s", ws.ExitStatus(), phase)
	}
	switch {
	case sig == syscall.SIGSYS && ws.Signaled():
		f.verdict = limits.ForbiddenSyscall
		f.detail = "the worker made a forbidden system call during " + phase
	case outOfMemory(stderr):
		f.verdict, f.observer = limits.MemoryLimit, limits.ByWorker
		f.detail = "the worker ran into its memory limit during " + phase
	}
	return f
}

// outOfMemory reads the last words of a worker that could not allocate: Rust's
// allocator and the Go runtime say so before they abort. It is the worker's
// claim, and speaks for its own run only.
func outOfMemory(stderr string) bool {
	for _, sign := range []string{
		"memory allocation of",           // Rust: handle_alloc_error
		"runtime: out of memory",         // Go: sysAlloc failed
		"runtime: cannot allocate",       // Go: heap metadata
		"cannot allocate memory",         // Go: mmap returned ENOMEM
		"failed to create new OS thread", // Go: no memory for a thread's stack
	} {
		if strings.Contains(stderr, sign) {
			return true
		}
	}
	return false
}
