// Package policy is the allow-list of the step worker: which system calls it may
// still make once its walls stand, and why. limits/seccomp turns it into a
// filter.
//
// # Two phases
//
//	Hello ── Load filter ── Ready ── load code ── Seal: Run filter on top ── guest code
//	         (both roles)                          (role step only)
//
// Load is in force before the worker reads its first hostile byte. It lets the
// engine map code as executable and lets the worker take the descriptors that
// ride on frames. Run is installed on top at Seal and takes that away. Filters
// stack and the strictest answer wins, so Run is written as a whole list of its
// own: reading it alone tells what guest code can reach.
//
// A compile worker never runs guest code and never seals. It stays in Load,
// whose rows for it leave out the right to install another filter.
//
// # What a denial looks like
//
// The default is to kill the process, so the supervisor sees SIGSYS: a worker
// that asks for a file or a socket is not confused, it is taken over. Two calls
// are answered with an errno instead, because honest code makes them and copes:
// see the rows of clone3 and prctl.
//
// Nothing opens a file after Ready, not even "harmlessly". Two library habits
// would, and are turned off where they start instead of being let through here:
// glibc reads /proc/sys/vm/overcommit_memory when it shrinks a heap other than
// the main one (malloc/arena.c, shrink_heap) and older versions read /sys when
// they count processors for a new heap, so limits/entry limits malloc to the main
// heap; Go looks for cgroup limits when it recomputes GOMAXPROCS, so the supervisor
// names a number in the worker's environment.
//
// A build with the race detector needs no row more: its runtime allocates with
// mmap and starts threads like everybody else.
package policy

import (
	"fmt"

	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/limits/seccomp"
)

// Phase says which of the two filters is meant.
type Phase string

// The phases.
const (
	Load Phase = "load"
	Run  Phase = "run"
)

// Role is what the worker is for; the names are those of ipc.Welcome.
type Role string

// The roles.
const (
	Step    Role = "step"
	Compile Role = "compile"
)

// Linux ABI numbers that Go packages offer on Linux only; TestConstants holds
// them against x/sys/unix. They are the same on amd64 and arm64.
const (
	protWrite = 0x2
	protExec  = 0x4

	sigABRT = 6
	sigURG  = 23

	fGetFL = 3

	prSetVMA        = 0x53564d41
	prSetMDWE       = 65
	prGetNoNewPrivs = 39

	seccompSetModeFilter = 1
	seccompTSYNC         = 1

	errnoEINVAL = 22
	errnoENOSYS = 38

	// What both the Go runtime (runtime/os_linux.go, cloneFlags) and glibc
	// (pthread_create) pass for a thread: CLONE_VM|FS|FILES|SIGHAND|THREAD|SYSVSEM.
	cloneThread = 0x100 | 0x200 | 0x400 | 0x800 | 0x10000 | 0x40000
	// What glibc adds: CLONE_SETTLS|PARENT_SETTID|CHILD_CLEARTID, and
	// CHILD_SETTID that musl-like libraries use. They move thread-local storage
	// and thread ids in the caller's own memory, nothing else.
	cloneThreadMay = 0x80000 | 0x100000 | 0x200000 | 0x1000000
)

// For gives the list for a phase and a role. pid is the worker's process id as
// the worker itself sees it (1 in a pid namespace of its own): signals may be
// sent to that process only.
func For(phase Phase, role Role, pid int) (seccomp.Policy, error) {
	if pid <= 0 || int64(pid) > 1<<22 {
		return seccomp.Policy{}, fmt.Errorf("policy: %d is no process id", pid)
	}
	if role != Step && role != Compile {
		return seccomp.Policy{}, fmt.Errorf("policy: unknown role %q", role)
	}
	p := seccomp.Policy{Name: string(phase) + "/" + string(role), Default: seccomp.Kill}
	switch {
	case phase == Load:
		p.Rules = append(loading(role), common(pid)...)
	case phase == Run && role == Step:
		p.Rules = append(sealed(), common(pid)...)
	case phase == Run:
		return seccomp.Policy{}, fmt.Errorf("policy: a %s worker never runs guest code", role)
	default:
		return seccomp.Policy{}, fmt.Errorf("policy: unknown phase %q", phase)
	}
	return p, nil
}

// Program assembles the list for this machine.
func Program(phase Phase, role Role, pid int) (seccomp.Program, error) {
	a, err := seccomp.Host()
	if err != nil {
		return seccomp.Program{}, err
	}
	p, err := For(phase, role, pid)
	if err != nil {
		return seccomp.Program{}, err
	}
	return seccomp.Assemble(p, a)
}

// Install raises the wall of a phase around the whole process and reports it. It
// cannot be undone. The error is a *limits.WallError.
func Install(phase Phase, role Role, pid int) (limits.Wall, error) {
	wall := Wall(phase, role)
	p, err := Program(phase, role, pid)
	if err != nil {
		return wall, &limits.WallError{Wall: wall.Name, Where: "assemble", Err: err}
	}
	if err := p.Install(wall.Name); err != nil {
		return wall, err
	}
	wall.Raised = true
	return wall, nil
}

// Wall names the wall of a phase, not raised yet. The hash in its detail is that
// of the filter for process id 1, so that it is the same on each run even where
// the worker has no pid namespace of its own.
func Wall(phase Phase, role Role) limits.Wall {
	w := limits.Wall{Name: "seccomp-" + string(phase)}
	if p, err := Program(phase, role, 1); err == nil {
		w.Detail = "filter " + p.Hash()
	}
	return w
}

// common is what lives through both phases. Rows with conditions come first, here
// and in the whole list: only they are ever interpreted, since the kernel answers
// the others from its bitmap, so the frequent calls among them (mmap, mprotect,
// tgkill) should be found soon.
func common(pid int) []seccomp.Rule {
	allow := func(call, why string) seccomp.Rule {
		return seccomp.Rule{Call: call, Do: seccomp.Allow, Why: why}
	}
	return []seccomp.Rule{
		{Call: "tgkill", When: []seccomp.Cond{seccomp.Is(0, uint32(pid)), seccomp.Is(2, sigURG)}, Do: seccomp.Allow,
			Why: "Go preempts its own threads with SIGURG; no other process, no other signal"},
		{Call: "tgkill", When: []seccomp.Cond{seccomp.Is(0, uint32(pid)), seccomp.Is(2, sigABRT)}, Do: seccomp.Allow,
			Why: "abort(3), which is how the engine ends when memory runs out: it must look like SIGABRT, not like an attack"},
		{Call: "clone", When: []seccomp.Cond{{Arg: 0, Mask: ^uint64(cloneThreadMay), Value: cloneThread}}, Do: seccomp.Allow,
			Why: "threads only: every sharing flag set, no namespace, no exit signal; so no process and no new view of the system"},
		{Call: "clone3", Do: seccomp.Errno(errnoENOSYS),
			Why: "its flags lie in memory, where a filter cannot look; glibc (2.34) then falls back to clone"},
		{Call: "prctl", When: []seccomp.Cond{seccomp.Is(0, prSetVMA)}, Do: seccomp.Errno(errnoEINVAL),
			Why: "Go (1.25) names its memory for /proc/self/maps and stops at EINVAL (runtime/set_vma_name_linux.go)"},
		allow("futex", ""),
		allow("read", ""),
		allow("write", ""),
		allow("epoll_pwait", ""),
		allow("ppoll", "one thread watches for the end of the socket while a guest runs (ipc/socketpair)"),
		allow("nanosleep", "Go's usleep: the scheduler backs off with it"),
		allow("clock_gettime", "usually served by the vDSO; a real call where the clock source cannot be read from user space"),
		allow("sched_yield", ""),
		allow("madvise", "both allocators give memory back"),
		allow("munmap", ""),
		allow("mremap", "glibc grows a large block in place; cannot change protection"),
		allow("brk", "glibc's main heap; never executable"),
		allow("getpid", "Go asks before each preemption signal"),
		allow("gettid", "a Go thread learns its id when it starts; raise(3) asks too"),
		allow("rt_sigreturn", "every signal handler ends with it"),
		allow("rt_sigprocmask", "Go and glibc block signals while they start a thread"),
		allow("sigaltstack", "each Go thread, and each thread that enters the engine, sets one"),
		allow("set_robust_list", "glibc, first act of a thread"),
		allow("rseq", "glibc (2.35), first act of a thread"),
		allow("exit", ""),
		allow("exit_group", ""),
		allow("restart_syscall", "the kernel puts it in place of an interrupted sleep"),
		allow("getrandom", "Rust seeds each thread's hash maps, Go its own"),
		allow("recvmsg", "frames, and the descriptors that ride on some; a descriptor that arrives after Seal opens nothing: mmap refuses execution"),
		allow("epoll_ctl", "a descriptor leaves the poller when it is closed"),
		allow("close", ""),
	}
}

// loading is what phase Load has on top.
func loading(role Role) []seccomp.Rule {
	rules := []seccomp.Rule{
		{Call: "mmap", When: []seccomp.Cond{seccomp.Clear(2, protExec)}, Do: seccomp.Allow},
		{Call: "mmap", When: []seccomp.Cond{seccomp.Clear(2, protWrite)}, Do: seccomp.Allow,
			Why: "native code; never writable at the same time"},
		{Call: "mprotect", When: []seccomp.Cond{seccomp.Clear(2, protExec)}, Do: seccomp.Allow},
		{Call: "mprotect", When: []seccomp.Cond{seccomp.Clear(2, protWrite)}, Do: seccomp.Allow,
			Why: "the engine writes native code, then turns it executable; never both"},
		{Call: "fcntl", When: []seccomp.Cond{seccomp.Is(1, fGetFL)}, Do: seccomp.Allow, Why: "os.NewFile asks whether a descriptor that came with a frame blocks"},
		{Call: "pread64", Do: seccomp.Allow, Why: "source or native code is read from the memfd that came with a frame; written to it with write"},
		{Call: "membarrier", Do: seccomp.Allow, Only: []string{"arm64"},
			Why: "the engine makes new code visible to other cores; amd64 does that in hardware"},
	}
	if role == Step {
		rules = append(rules,
			seccomp.Rule{Call: "seccomp", When: []seccomp.Cond{seccomp.Is(0, seccompSetModeFilter), seccomp.Is(1, seccompTSYNC)}, Do: seccomp.Allow,
				Why: "Seal installs Run; filters only ever narrow"},
			seccomp.Rule{Call: "prctl", When: []seccomp.Cond{seccomp.Is(0, prSetMDWE)}, Do: seccomp.Allow, Why: "Seal; cannot be undone"},
			seccomp.Rule{Call: "prctl", When: []seccomp.Cond{seccomp.Is(0, prGetNoNewPrivs)}, Do: seccomp.Allow,
				Why: "Seal asserts the bit before it installs Run"},
		)
	}
	return rules
}

// sealed is what phase Run has on top.
func sealed() []seccomp.Rule {
	return []seccomp.Rule{
		{Call: "mmap", When: []seccomp.Cond{seccomp.Clear(2, protExec)}, Do: seccomp.Allow, Why: "memory, never code"},
		{Call: "mprotect", When: []seccomp.Cond{seccomp.Clear(2, protExec)}, Do: seccomp.Allow, Why: "memory, never code"},
	}
}
