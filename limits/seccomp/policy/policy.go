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
// engine make what it wrote executable, where that is machine code, and lets the
// worker read the files that ride on frames. Run is installed on top at Seal and
// takes that away. Filters stack and the strictest answer wins, so Run is written
// as a whole list of its own: reading it alone tells what guest code can reach.
//
// A compile worker never runs guest code and never seals. It stays in Load,
// whose rows for it leave out the right to install another filter.
//
// # Which rows there are
//
// A row is there because a worker was seen to need it: supervisor
// (TestWorkersMakeTheListedCallsOnly) traces whole lives, allows no call that is not
// listed, and no row that no life shows, unless the row says why (Rare).
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
	Probe   Role = "probe" // walled exactly as a step worker is, to be attacked
)

// Linux ABI numbers that Go packages offer on Linux only; TestConstants holds
// them against x/sys/unix. They are the same on amd64 and arm64.
const (
	protRead  = 0x1
	protWrite = 0x2
	protExec  = 0x4

	mapAnonymous = 0x20
	// What may be said besides: MAP_PRIVATE|DROPPABLE, FIXED|NORESERVE|STACK|FIXED_NOREPLACE.
	mapMay = 0x02 | 0x08 | 0x10 | 0x4000 | 0x20000 | 0x100000

	sigABRT = 6
	sigURG  = 23

	fGetFL = 3

	prSetVMA        = 0x53564d41
	prSetMDWE       = 65
	prGetNoNewPrivs = 39

	seccompSetModeFilter = 1
	seccompTSYNC         = 1

	madvDontNeed = 4
	madvFree     = 8

	errnoENOMEM = 12
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

// For gives the list for a phase, a role and what the worker's code is compiled
// to. pid is the worker's process id as the worker itself sees it (1 in a pid
// namespace of its own): signals may be sent to that process only.
func For(phase Phase, role Role, pid int, codegen limits.Codegen) (seccomp.Policy, error) {
	if pid <= 0 || int64(pid) > 1<<22 {
		return seccomp.Policy{}, fmt.Errorf("policy: %d is no process id", pid)
	}
	if role != Step && role != Compile && role != Probe {
		return seccomp.Policy{}, fmt.Errorf("policy: unknown role %q", role)
	}
	if codegen != limits.Native && codegen != limits.Interpreter {
		return seccomp.Policy{}, fmt.Errorf("policy: unknown code generator %q", codegen)
	}
	p := seccomp.Policy{Name: fmt.Sprintf("%s/%s/%s", phase, role, codegen), Default: seccomp.Kill}
	switch {
	case phase == Load:
		p.Rules = append(loading(role, codegen), common(pid)...)
	case phase == Run && role != Compile:
		p.Rules = append(sealed(), common(pid)...)
	case phase == Run:
		return seccomp.Policy{}, fmt.Errorf("policy: a %s worker never runs guest code", role)
	default:
		return seccomp.Policy{}, fmt.Errorf("policy: unknown phase %q", phase)
	}
	return p, nil
}

// Program assembles the list for this machine.
func Program(phase Phase, role Role, pid int, codegen limits.Codegen) (seccomp.Program, error) {
	a, err := seccomp.Host()
	if err != nil {
		return seccomp.Program{}, err
	}
	p, err := For(phase, role, pid, codegen)
	if err != nil {
		return seccomp.Program{}, err
	}
	return seccomp.Assemble(p, a)
}

// Install raises the wall of a phase around the whole process and reports it. It
// cannot be undone. The error is a *limits.WallError.
func Install(phase Phase, role Role, pid int, codegen limits.Codegen) (limits.Wall, error) {
	wall := Wall(phase, role, codegen)
	p, err := Program(phase, role, pid, codegen)
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
func Wall(phase Phase, role Role, codegen limits.Codegen) limits.Wall {
	w := limits.Wall{Name: "seccomp-" + string(phase)}
	if p, err := Program(phase, role, 1, codegen); err == nil {
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
	rarely := func(call, why, rare string) seccomp.Rule {
		return seccomp.Rule{Call: call, Do: seccomp.Allow, Why: why, Rare: rare}
	}
	self := seccomp.Is(0, uint32(pid)).Named("the process is this one")
	return []seccomp.Rule{
		{Call: "tgkill", When: []seccomp.Cond{self, seccomp.Is(2, sigURG).Named("the signal is SIGURG")}, Do: seccomp.Allow,
			Why: "Go preempts its own threads with SIGURG; no other process, no other signal"},
		{Call: "tgkill", When: []seccomp.Cond{self, seccomp.Is(2, sigABRT).Named("the signal is SIGABRT")}, Do: seccomp.Allow,
			Why: "abort(3), which is how the engine ends when memory runs out: it must look like SIGABRT, not like an attack"},
		{Call: "clone", When: []seccomp.Cond{{Arg: 0, Mask: ^uint64(cloneThreadMay), Value: cloneThread, Words: "its flags are those of a thread"}}, Do: seccomp.Allow,
			Why: "threads only: every sharing flag set, no namespace, no exit signal; so no process and no new view of the system"},
		{Call: "clone3", Do: seccomp.Errno(errnoENOSYS),
			Why: "its flags lie in memory, where a filter cannot look; glibc (2.34) then falls back to clone"},
		{Call: "prctl", When: []seccomp.Cond{seccomp.Is(0, prSetVMA).Named("the option is PR_SET_VMA")}, Do: seccomp.Errno(errnoEINVAL),
			Why: "Go (1.25) names its memory for /proc/self/maps and stops at EINVAL (runtime/set_vma_name_linux.go)"},
		{Call: "madvise", When: []seccomp.Cond{seccomp.Is(2, madvDontNeed).Named("the advice is MADV_DONTNEED")}, Do: seccomp.Allow,
			Why: "both allocators give memory back", Rare: "Go does it in the background, and only when there was garbage"},
		{Call: "madvise", When: []seccomp.Cond{seccomp.Is(2, madvFree).Named("the advice is MADV_FREE")}, Do: seccomp.Allow,
			Why: "Go may give memory back this way (GODEBUG=madvdontneed=0)", Rare: "not by default"},
		{Call: "madvise", Do: seccomp.Errno(errnoEINVAL),
			Why: "all other advice is about speed, and who gave it goes on without"},
		{Call: "mremap", Do: seccomp.Errno(errnoENOMEM),
			Why: "glibc grows a large block with it, and copies where it cannot. It would map what lies behind the text of a program as executable, and move a stack, which no limit counts, to where it is larger (both seen)"},
		allow("futex", "locks, and threads that wait for work"),
		rarely("read", "Go's poller empties its eventfd", "only when a timer is set while a thread waits in the poller"),
		allow("write", "frames, last words, and the poller's eventfd"),
		allow("epoll_pwait", "Go waits for the socket"),
		rarely("ppoll", "one thread watches for the end of the socket while a guest runs (ipc/socketpair)", "it waits since before the filter, and asks again only after a signal"),
		allow("nanosleep", "Go's usleep: the scheduler backs off with it"),
		rarely("clock_nanosleep", "cgo waits with glibc's nanosleep before it asks again for a thread that it could not have (runtime/cgo)", "only when there are too many threads, or no memory for the stack of one"),
		rarely("clock_gettime", "Go and the engine read clocks", "the vDSO does it; a call only where it cannot read the machine's clock"),
		allow("sched_yield", "Go spins a little before it sleeps"),
		allow("munmap", "memory that is no longer needed"),
		allow("brk", "glibc's main heap; never executable"),
		allow("getpid", "Go asks before each preemption signal"),
		allow("gettid", "a Go thread learns its id when it starts; raise(3) asks too"),
		allow("rt_sigreturn", "every signal handler ends with it"),
		allow("rt_sigprocmask", "Go and glibc block signals while they start a thread"),
		allow("sigaltstack", "each Go thread, and each thread that enters the engine, sets one"),
		allow("set_robust_list", "glibc, first act of a thread"),
		allow("rseq", "glibc (2.35), first act of a thread"),
		allow("exit_group", "the process ends; no thread of it ends before"),
		rarely("restart_syscall", "the kernel puts it in place of an interrupted sleep", "only after a stop signal in the middle of one"),
		rarely("getrandom", "Rust seeds the hash maps of each thread that makes one", "most threads have done it before the filter"),
		allow("recvmsg", "frames, and the descriptors that ride on some; a descriptor that arrives after Seal cannot be mapped"),
		allow("close", "a descriptor that came with a frame, once its bytes are read; the socket at the end"),
	}
}

// Conditions on memory. A wall of its own is in the flags: RLIMIT_DATA counts
// writable mappings that are neither shared nor grow down (the kernel's
// is_data_mapping), so a worker that may say MAP_SHARED or MAP_GROWSDOWN can have
// all memory of the machine (seen on Linux 6.18: 512 MiB of either under a limit of
// 64 MiB); huge pages come from a pool of the machine's.
// MAP_DROPPABLE is counted. It is what the vDSO's getrandom (Linux 6.11) keeps its
// state in, for Go (1.24) and glibc (2.41).
var (
	noExec  = seccomp.Clear(2, protExec).Named("PROT_EXEC is not set")
	noWrite = seccomp.Clear(2, protWrite).Named("PROT_WRITE is not set")
	// Memory that was written and is made read-only stays, and RLIMIT_DATA does not
	// count it any more: seen were 2 GiB under a limit of 192 MiB.
	usable = seccomp.Cond{Arg: 2, Mask: ^uint64(0), Value: protRead | protWrite, Words: "it becomes readable and writable, no less and no more"}

	counted = seccomp.Clear(3, ^uint64(mapMay|mapAnonymous)).Named("it is of a kind that RLIMIT_DATA counts")
	memory  = seccomp.Cond{Arg: 3, Mask: ^uint64(mapMay), Value: mapAnonymous,
		Words: "it is anonymous and of a kind that RLIMIT_DATA counts"}
)

// loading is what phase Load has on top. Only native code needs executable memory.
func loading(role Role, codegen limits.Codegen) []seccomp.Rule {
	native := codegen == limits.Native
	rules := []seccomp.Rule{
		{Call: "mmap", When: []seccomp.Cond{noExec, counted}, Do: seccomp.Allow,
			Why: "memory, and the bytes of a file that came with a frame"},
		{Call: "mprotect", When: []seccomp.Cond{noExec}, Do: seccomp.Allow, Why: "memory that was reserved becomes usable"},
	}
	if native {
		rules = append(rules,
			seccomp.Rule{Call: "mprotect", When: []seccomp.Cond{noWrite}, Do: seccomp.Allow,
				Why: "the engine writes native code, then turns it executable; never both"},
			seccomp.Rule{Call: "membarrier", Do: seccomp.Allow, Only: []string{"arm64"},
				Why: "the engine makes new code visible to other cores; amd64 does that in hardware"},
		)
	}
	rules = append(rules,
		seccomp.Rule{Call: "fcntl", When: []seccomp.Cond{seccomp.Is(1, fGetFL).Named("the command is F_GETFL")}, Do: seccomp.Allow, Why: "os.NewFile asks whether a descriptor that came with a frame blocks"},
		seccomp.Rule{Call: "pread64", Do: seccomp.Allow, Why: "source or native code is read from the memfd that came with a frame; written to it with write"},
	)
	if role == Compile {
		return rules
	}
	if native { // else it was raised before this filter
		rules = append(rules, seccomp.Rule{Call: "prctl", When: []seccomp.Cond{seccomp.Is(0, prSetMDWE).Named("the option is PR_SET_MDWE")}, Do: seccomp.Allow, Why: "Seal; cannot be undone"})
	}
	return append(rules,
		seccomp.Rule{Call: "seccomp", When: []seccomp.Cond{seccomp.Is(0, seccompSetModeFilter).Named("the operation is SET_MODE_FILTER"), seccomp.Is(1, seccompTSYNC).Named("the only flag is TSYNC")}, Do: seccomp.Allow,
			Why: "Seal installs Run; filters only ever narrow"},
		seccomp.Rule{Call: "prctl", When: []seccomp.Cond{seccomp.Is(0, prGetNoNewPrivs).Named("the option is PR_GET_NO_NEW_PRIVS")}, Do: seccomp.Allow,
			Why: "Seal asserts the bit before it installs Run"},
	)
}

// sealed is what phase Run has on top.
func sealed() []seccomp.Rule {
	return []seccomp.Rule{
		{Call: "mmap", When: []seccomp.Cond{noExec, memory}, Do: seccomp.Allow, Why: "memory; never code, never a file"},
		{Call: "mprotect", When: []seccomp.Cond{usable}, Do: seccomp.Allow, Why: "memory that was reserved becomes usable; never code, and nothing that was written stops to be counted"},
	}
}
