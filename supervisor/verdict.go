package supervisor

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/limits/audit"
)

// failure is what a worker or its guest did, as a verdict.
type failure struct {
	verdict  limits.Verdict
	observer limits.Observer
	signal   string
	detail   string
	facts    []limits.Fact
	before   bool // before any step was sent
	lost     bool // a worker was lost, and this is what is left of it
	last     last
}

func (f *failure) Error() string { return fmt.Sprintf("%s: %s", f.verdict, f.detail) }

func (f *failure) reply() engine.Reply {
	return engine.Reply{Verdict: f.verdict, Observer: f.observer, Signal: f.signal, Detail: f.detail, Facts: f.facts, NotStarted: f.before}
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
		f = &failure{verdict: limits.Deadline, observer: limits.BySupervisor, detail: "the worker did not finish in time during " + phase + " and was killed",
			facts: []limits.Fact{{Observer: limits.BySupervisor, Name: "answer", Value: "none by the deadline; the worker was killed"}}}
	case l.violation != nil:
		f = &failure{verdict: limits.ProtocolViolation, observer: limits.BySupervisor, detail: printable(l.violation.Error()) + " during " + phase,
			facts: []limits.Fact{{Observer: limits.BySupervisor, Name: "protocol", Value: printable(l.violation.Error())}}}
	default:
		f = death(l, phase)
	}
	f.lost, f.last = true, l.last
	return f
}

// death says what a dead worker died of. The kernel's word (a wait status with a
// signal) comes first; an exit status above 128 is the worker's fault handler
// naming the signal (limits/entry), because a worker is the init process of its
// pid namespace and the kernel ignores most signals such a process sends itself.
func death(l *loss, phase string) *failure {
	f := &failure{verdict: limits.WorkerCrash, observer: limits.ByKernel}
	fact := func(by limits.Observer, name, value string) {
		f.facts = append(f.facts, limits.Fact{Observer: by, Name: name, Value: value})
	}
	ws, _ := l.state.Sys().(syscall.WaitStatus)
	var sig syscall.Signal
	switch {
	case ws.Signaled():
		sig = ws.Signal()
		fact(limits.ByKernel, "signal", unix.SignalName(sig))
	case ws.Exited() && ws.ExitStatus() > 128 && ws.ExitStatus() <= 128+64:
		sig = syscall.Signal(ws.ExitStatus() - 128)
		f.observer = limits.ByWorker
		fact(limits.ByKernel, "exit status", strconv.Itoa(ws.ExitStatus()))
		fact(limits.ByWorker, "signal", unix.SignalName(sig))
	default:
		fact(limits.ByKernel, "exit status", strconv.Itoa(ws.ExitStatus()))
	}
	if sig != 0 {
		f.signal = unix.SignalName(sig)
		f.detail = fmt.Sprintf("the worker died of %s during %s", f.signal, phase)
	} else {
		f.detail = fmt.Sprintf("the worker exited with status %d during %s", ws.ExitStatus(), phase)
	}
	sign := outOfMemory(l.last.words)
	switch {
	case sig == syscall.SIGSYS && ws.Signaled():
		f.verdict = limits.ForbiddenSyscall
		f.detail = "the worker made a forbidden system call during " + phase
		if call, ok := l.call(); ok {
			f.detail += ": " + call
			fact(limits.ByKernel, "system call", call)
		}
	case l.events.OOMKills > 0:
		f.verdict, f.observer = limits.MemoryLimit, limits.ByKernel
		f.detail = "the worker ran into the memory limit of its cgroup during " + phase
		fact(limits.ByKernel, "oom_kill", strconv.FormatUint(l.events.OOMKills, 10))
	case sign != "":
		f.verdict, f.observer = limits.MemoryLimit, limits.ByWorker
		f.detail = "the worker ran into its memory limit during " + phase
		fact(limits.ByWorker, "last words", sign)
	}
	return f
}

// call names the system call that a filter killed the worker for, where it is known
// and somebody wants to know.
func (l *loss) call() (string, bool) {
	if l.expected {
		return "", false
	}
	return audit.Killed(l.state.Pid(), l.born)
}

// outOfMemory reads the last words of a worker that could not allocate: Rust's
// allocator and the Go runtime say so before they abort. It is the worker's
// claim, and speaks for its own run only. It gives the sign, or "".
func outOfMemory(stderr string) string {
	signs := []string{
		"memory allocation of",           // Rust: handle_alloc_error
		"runtime: out of memory",         // Go: sysAlloc failed
		"runtime: cannot allocate",       // Go: heap metadata
		"cannot allocate memory",         // Go: mmap returned ENOMEM
		"failed to create new OS thread", // Go: no memory for a thread's stack
		"pthread_create failed",          // cgo: the same
	}
	if i := slices.IndexFunc(signs, func(sign string) bool { return strings.Contains(stderr, sign) }); i >= 0 {
		return signs[i]
	}
	return ""
}
