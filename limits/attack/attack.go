// Package attack lists what the walls of a worker must stop, one attempt for each
// thing that native code behind them may try. It is data only: limits/attack/native
// makes the attempts, in a worker that is there to be attacked and nothing else (a
// probe), and the supervisor sees what becomes of it.
//
// # Stages
//
// An attack says something about a wall only where nothing else stops it first. So
// each has a stage, which says which walls stand when it is made, in the order in
// which a worker raises them:
//
//	entered   everything that limits/entry raises, namespaces, rlimits, cgroup
//	load      and the system-call filter of phase load
//	mdwe      and PR_SET_MDWE
//	run       and the filter of phase run: a sealed worker
//
// Bytecode needs no executable memory, so that where it is interpreted mdwe comes
// before load (Stages).
//
// A probe has the limits of limits.Default, but for its processor time: see
// CPUSeconds.
//
// # What tells walls apart
//
// The answers are chosen so that a missing wall gives another one. setuid(2) to an
// id that does not exist here is EINVAL, to one that does EPERM; a connection to
// loopback is refused as unreachable in a network namespace of its own, where
// loopback is down; a directory that cannot be made because the root is read-only
// is EROFS, even where Landlock forbids it too (the mount is asked first). One
// attack has no such answer: what a uts namespace guards can be changed with
// capabilities only, and there are none.
package attack

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/greentic-ai/greentic-provision/limits"
)

// Stage says which walls stand.
type Stage string

// The stages.
const (
	Entered Stage = "entered"
	Load    Stage = "load"
	MDWE    Stage = "mdwe"
	Run     Stage = "run"
)

// Stages lists them all, in the order in which a worker passes them. The walls of a
// stage are its own and those of the stages before it.
func Stages(codegen limits.Codegen) []Stage {
	if codegen == limits.Interpreter {
		return []Stage{Entered, MDWE, Load, Run}
	}
	return []Stage{Entered, Load, MDWE, Run}
}

// CPUSeconds is the RLIMIT_CPU of a probe: the shortest there is, because one
// attack uses it up.
const CPUSeconds = 1

// Attack is one attempt.
type Attack struct {
	Name   string // words and hyphens
	Wall   string // that must stop it, by its name in a receipt; "entry" is what has no line of its own there
	Stage  Stage
	Expect Expect
	Tries  string // for people

	only string // GOARCH, for what other machines do not have
}

// Expect is how an attack must end.
type Expect struct {
	// Signals are what the worker may die of; Errnos what the kernel may answer. One
	// of the two has to be, and 0 is no answer that stops anything unless Counted.
	Signals []string
	Errnos  []syscall.Errno
	// Counted says that the attack takes what it can get and that the detail begins
	// with how much it got. Most is the most that the wall may let it have.
	Counted bool
	Most    uint64
}

// Holds says whether an attack ended as it must. signal is what the worker died of
// ("SIGSYS"), "" if it lived; errno and detail are what it then said.
func (e Expect) Holds(signal string, errno syscall.Errno, detail string) bool {
	if signal != "" {
		return slices.Contains(e.Signals, signal)
	}
	if !slices.Contains(e.Errnos, errno) {
		return false
	}
	if !e.Counted {
		return true
	}
	number, _, _ := strings.Cut(detail, " ")
	got, err := strconv.ParseUint(number, 10, 64)
	return err == nil && got <= e.Most
}

// String says it in words: "killed by SIGSYS", "EACCES", "ENOMEM, at most 192".
func (e Expect) String() string {
	var ways []string
	for _, s := range e.Signals {
		ways = append(ways, "killed by "+s)
	}
	for _, n := range e.Errnos {
		if n != 0 {
			ways = append(ways, ErrnoName(n))
		}
	}
	text := strings.Join(ways, " or ")
	if e.Counted {
		text = strings.TrimPrefix(fmt.Sprintf("%s, at most %d", text, e.Most), ", ")
	}
	return text
}

// The errnos that walls answer with. Linux's numbers, which package syscall has on
// Linux only; TestErrnos holds them against it.
const (
	eperm       syscall.Errno = 1
	enoent      syscall.Errno = 2
	esrch       syscall.Errno = 3
	eagain      syscall.Errno = 11
	enomem      syscall.Errno = 12
	eacces      syscall.Errno = 13
	einval      syscall.Errno = 22
	emfile      syscall.Errno = 24
	erofs       syscall.Errno = 30
	enosys      syscall.Errno = 38
	enetunreach syscall.Errno = 101
)

var errnoNames = map[syscall.Errno]string{
	eperm: "EPERM", enoent: "ENOENT", esrch: "ESRCH", eagain: "EAGAIN", enomem: "ENOMEM", eacces: "EACCES", einval: "EINVAL",
	emfile: "EMFILE", erofs: "EROFS", enosys: "ENOSYS", enetunreach: "ENETUNREACH",
}

// ErrnoName gives the name of one of Linux's errnos, "success" for 0, and the number
// of one that no wall answers with.
func ErrnoName(n syscall.Errno) string {
	if n == 0 {
		return "success"
	}
	if name, ok := errnoNames[n]; ok {
		return name
	}
	return fmt.Sprintf("errno %d", uint(n))
}

func refused(errnos ...syscall.Errno) Expect { return Expect{Errnos: errnos} }

// killed by the system-call filter.
var killed = Expect{Signals: []string{"SIGSYS"}}

// All lists the attacks that can be made on a machine like this one, wall by wall in
// the order in which the walls are raised. The slice is the caller's.
func All() []Attack {
	var all []Attack
	for _, a := range list {
		if a.only == "" || a.only == runtime.GOARCH {
			all = append(all, a)
		}
	}
	return all
}

// Find gives the attack of that name, if it can be made on a machine like this one.
func Find(name string) (Attack, bool) {
	for _, a := range All() {
		if a.Name == name {
			return a, true
		}
	}
	return Attack{}, false
}

var list = slices.Concat([]Attack{
	{Name: "become-another-user", Wall: "namespaces", Stage: Entered, Expect: refused(einval),
		Tries: "Takes the identity of another user of this machine; there is no other in its user namespace."},
	{Name: "signal-everybody", Wall: "namespaces", Stage: Entered, Expect: refused(esrch),
		Tries: "Sends a signal to every process that it can see; there is none in its pid namespace."},
	{Name: "connect-loopback", Wall: "namespaces", Stage: Entered, Expect: refused(enetunreach),
		Tries: "Talks to a service on this machine; its network namespace has no network."},
	{Name: "find-shared-memory", Wall: "namespaces", Stage: Entered, Expect: Expect{Errnos: []syscall.Errno{0}, Counted: true, Most: 0},
		Tries: "Looks for shared memory of other programs; its ipc namespace has none."},
	{Name: "rename-machine", Wall: "namespaces", Stage: Entered, Expect: refused(eperm),
		Tries: "Gives this machine another name; it may not even rename its own uts namespace."},

	{Name: "find-etc", Wall: "mount", Stage: Entered, Expect: refused(enoent),
		Tries: "Looks for the machine's configuration in /etc; the root that it sees is empty."},
	{Name: "find-proc", Wall: "mount", Stage: Entered, Expect: refused(enoent),
		Tries: "Reads about processes in /proc; the root that it sees is empty."},
	{Name: "make-directory", Wall: "mount", Stage: Entered, Expect: refused(erofs),
		Tries: "Makes a directory; the root that it sees is read-only."},

	{Name: "become-root", Wall: "identity", Stage: Entered, Expect: refused(eperm, einval),
		Tries: "Becomes the administrator; it has left that identity for good."},
	{Name: "join-root", Wall: "identity", Stage: Entered, Expect: refused(eperm, einval),
		Tries: "Joins the administrators' group; it has left that identity for good."},

	{Name: "gain-capability", Wall: "capabilities", Stage: Entered, Expect: refused(eperm),
		Tries: "Gives itself the right to administer the system."},
	{Name: "change-root", Wall: "capabilities", Stage: Entered, Expect: refused(eperm),
		Tries: "Takes another directory for its root, which only the privileged may."},

	{Name: "unset-no-new-privs", Wall: "no-new-privs", Stage: Entered, Expect: refused(einval),
		Tries: "Takes back its promise that no program it starts gains privileges."},

	{Name: "read-worker", Wall: "no-dump", Stage: Entered, Expect: refused(eperm),
		Tries: "Inspects the worker from a process beside it, as a debugger would."},

	{Name: "open-root", Wall: "landlock", Stage: Entered, Expect: refused(eacces),
		Tries: "Opens the directory /, which is there and empty."},

	{Name: "count-descriptors", Wall: "entry", Stage: Run, Expect: Expect{Errnos: []syscall.Errno{0}, Counted: true, Most: 6},
		Tries: "Counts the files that were left open for it: standard input and output, its socket, and two that it waits with."},
	{Name: "read-environment", Wall: "entry", Stage: Run, Expect: Expect{Errnos: []syscall.Errno{0}, Counted: true, Most: 3},
		Tries: "Reads its environment, where programs keep secrets; it has three settings of its own."},

	{Name: "allocate", Wall: "rlimits", Stage: Run, Expect: Expect{Errnos: []syscall.Errno{enomem}, Counted: true, Most: uint64(limits.Default().Data() / limits.MiB)},
		Tries: "Takes memory until there is no more (MiB)."},
	{Name: "reserve", Wall: "rlimits", Stage: Entered, Expect: refused(enomem),
		Tries: "Reserves a quarter of a terabyte of addresses, whose bookkeeping takes memory of the kernel's."},
	{Name: "burn-processor", Wall: "rlimits", Stage: Run, Expect: Expect{Signals: []string{"SIGKILL", "SIGXCPU"}},
		Tries: "Keeps the processor busy for ever."},
	{Name: "open-descriptors", Wall: "rlimits", Stage: Entered, Expect: Expect{Errnos: []syscall.Errno{emfile}, Counted: true, Most: 16},
		Tries: "Opens as much as it can (descriptors)."},
	{Name: "fork-bomb", Wall: "rlimits", Stage: Entered, Expect: Expect{Errnos: []syscall.Errno{eagain}, Counted: true, Most: 64},
		Tries: "Starts as many processes as it can."},
	{Name: "write-file", Wall: "rlimits", Stage: Entered, Expect: Expect{Signals: []string{"SIGXFSZ"}},
		Tries: "Writes one byte to a file in memory."},
	{Name: "raise-core", Wall: "rlimits", Stage: Entered, Expect: refused(eperm),
		Tries: "Allows itself to leave its memory behind as a file when it crashes."},
	{Name: "raise-stack", Wall: "rlimits", Stage: Entered, Expect: refused(eperm),
		Tries: "Allows itself a stack without bound."},
	{Name: "lock-memory", Wall: "rlimits", Stage: Entered, Expect: refused(eperm),
		Tries: "Locks memory, so that the machine cannot have it back when it needs it."},
	{Name: "make-queue", Wall: "rlimits", Stage: Entered, Expect: refused(emfile, enosys),
		Tries: "Makes a message queue, which lives in the kernel's memory."},
	{Name: "real-time", Wall: "rlimits", Stage: Entered, Expect: refused(eperm),
		Tries: "Puts itself before every other program."},

	{Name: "share-memory", Wall: "cgroup", Stage: Entered, Expect: Expect{Signals: []string{"SIGKILL"}},
		Tries: "Fills memory of a kind that RLIMIT_DATA does not count."},

	{Name: "open-at-load", Wall: "seccomp-load", Stage: Load, Expect: killed, Tries: "Opens a file, before any code of a pack is loaded."},
	{Name: "socket-at-load", Wall: "seccomp-load", Stage: Load, Expect: killed, Tries: "Makes a socket, before any code of a pack is loaded."},
	{Name: "clone-at-load", Wall: "seccomp-load", Stage: Load, Expect: killed, Tries: "Starts a process, before any code of a pack is loaded."},
	{Name: "execute-at-load", Wall: "seccomp-load", Stage: Load, Expect: killed, Tries: "Starts a program, before any code of a pack is loaded."},
	{Name: "mmap-write-exec-at-load", Wall: "seccomp-load", Stage: Load, Expect: killed, Tries: "Asks for memory that can be written and executed, while native code may still be loaded."},

	{Name: "gain-exec", Wall: "mdwe", Stage: MDWE, Expect: refused(eacces), Tries: "Makes memory executable that was not so from the start."},
	{Name: "unset-mdwe", Wall: "mdwe", Stage: MDWE, Expect: refused(eperm), Tries: "Takes that wall down again."},
}, sealed())

// sealed lists what the filter of phase run must stop.
func sealed() []Attack {
	var all []Attack
	add := func(name, tries string) {
		all = append(all, Attack{Name: name, Wall: "seccomp-run", Stage: Run, Expect: killed, Tries: tries})
	}
	answered := func(name string, errno syscall.Errno, tries string) {
		all = append(all, Attack{Name: name, Wall: "seccomp-run", Stage: Run, Expect: refused(errno), Tries: tries})
	}

	add("openat", "Opens a file.")
	add("openat2", "Opens a file, by the newer call.")
	add("open-proc", "Reads the memory map of itself in /proc.")
	add("readlinkat", "Reads where a link points.")
	add("getdents64", "Lists a directory.")
	add("memfd-create", "Makes a file in memory.")
	add("dup", "Makes a second descriptor of an open file.")
	add("ioctl", "Puts characters into a terminal.")

	add("socket", "Makes a socket.")
	add("connect", "Connects a socket.")
	add("socketpair", "Makes a pair of sockets.")
	add("sendto", "Sends a packet.")
	add("sendmsg", "Sends a message, which could carry a descriptor.")

	add("execve", "Starts a program.")
	add("execveat", "Starts a program, by the newer call.")
	add("clone-process", "Starts a process, as fork does.")
	add("clone-vfork", "Starts a process that borrows its memory, as vfork does.")
	add("clone-namespaces", "Starts a process in a user namespace, where it would be privileged.")
	add("clone-thread-namespace", "Starts a thread in a network namespace.")
	add("clone-memory-only", "Starts something between a process and a thread.")
	answered("clone3", enosys, "Starts a process, by the newer call; honest code tries it too, so the answer is that there is no such call.")

	add("ptrace", "Takes control of another process, as a debugger would.")
	add("process-vm-readv", "Reads another process's memory.")
	add("process-vm-writev", "Writes another process's memory.")
	add("pidfd-open", "Takes hold of a process.")
	add("kill", "Sends a signal to every process.")
	add("kill-self", "Sends a signal to itself, by a call that reaches others too.")
	add("tgkill", "Sends a signal to a thread of another process.")
	add("tgkill-self", "Sends itself a signal that honest code does not send.")
	add("tkill", "Sends a signal to a thread, whoever's it is.")

	add("mmap-exec", "Asks for executable memory.")
	add("mmap-write-exec", "Asks for memory that can be written and executed.")
	add("mmap-exec-high-bits", "Asks for executable memory, with bits set that the kernel ignores.")
	add("mmap-shared", "Asks for shared memory, which no limit of a process counts.")
	add("mmap-grows-down", "Asks for memory that grows like a stack, which no limit of a process counts.")
	add("mmap-file", "Maps a file.")
	add("mprotect-exec", "Makes memory executable.")
	add("mprotect-write-exec", "Makes memory writable and executable.")
	add("pkey-mprotect-exec", "Makes memory executable, by another call.")
	answered("mremap", enomem, "Has memory move and grow, which a program's text could do over the bytes behind it, and a stack beyond every limit.")
	add("mprotect-read", "Fills memory and makes it read-only, when no limit would count it any more.")
	answered("madvise", einval, "Gives advice on memory that is about more than giving it back.")
	add("personality", "Asks the kernel to make all readable memory executable.")

	add("io-uring-setup", "Hands system calls to the kernel in a queue, past the filter.")
	add("userfaultfd", "Handles page faults itself, a tool of many exploits.")
	add("bpf", "Loads a program into the kernel.")
	add("perf-event-open", "Measures the machine, which leaks what others do.")
	add("keyctl", "Reads the kernel's key store.")

	add("mount", "Mounts a file system.")
	add("umount2", "Unmounts one.")
	add("pivot-root", "Takes another root.")
	add("setns", "Joins a namespace.")
	add("unshare", "Makes a namespace.")
	add("setuid", "Sets its user id.")
	add("capset", "Sets its capabilities.")
	add("setrlimit", "Sets its limits.")
	add("shmget", "Makes shared memory.")

	add("prctl-dumpable", "Allows others to inspect it.")
	add("prctl-no-new-privs", "Takes back its promise not to gain privileges.")
	add("prctl-death-signal", "Arranges to outlive its supervisor.")
	add("prctl-mdwe", "Allows itself new executable memory.")
	add("prctl-seccomp", "Changes the filter, by the older call.")
	add("prctl-name", "Gives itself another name.")
	answered("prctl-name-memory", einval, "Names memory; honest code tries it too, so the answer is that it is not known.")
	add("seccomp", "Installs another filter.")
	add("seccomp-one-thread", "Installs another filter for one thread.")
	add("rt-sigaction", "Changes what happens on a signal.")

	for _, a := range []Attack{
		{Name: "open", Tries: "Opens a file, by the oldest call.", Expect: killed},
		{Name: "creat", Tries: "Makes a file, by the oldest call.", Expect: killed},
		{Name: "fork", Tries: "Starts a process, by the oldest call.", Expect: killed},
		{Name: "vfork", Tries: "Starts a process that borrows its memory, by the oldest call.", Expect: killed},
		{Name: "x32-getpid", Tries: "Makes a harmless call as an x32 program would: other numbers, other meanings.", Expect: killed},
		{Name: "x32-read", Tries: "Reads as an x32 program would.", Expect: killed},
		// A kernel without them (CONFIG_IA32_EMULATION, ia32_emulation=0) answers the
		// instruction with SIGSEGV.
		{Name: "i386-getpid", Tries: "Makes a harmless call as an i386 program would: other numbers, other meanings.", Expect: Expect{Signals: []string{"SIGSYS", "SIGSEGV"}}},
	} {
		a.Wall, a.Stage, a.only = "seccomp-run", Run, "amd64"
		all = append(all, a)
	}
	return all
}
