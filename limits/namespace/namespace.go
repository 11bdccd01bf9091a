// Package namespace decides how a worker is born: which kernel namespaces it gets
// and what its own entry code (limits/entry) has to do before the Go runtime
// starts. The decision is a Plan, which the supervisor spawns from.
//
// # Who does what
//
//	supervisor                         kernel                  worker, one thread, before Go
//	Plan.SysProcAttr ── clone ───────► user,pid,net,mount,     limits/entry reads argv[2]:
//	Plan.Args ──────── argv[1..2] ──►  ipc,uts namespaces,     mount, id, caps, nnp, nodump, landlock
//	                   writes uid_map  ids mapped, exec
//
// The namespaces are given at spawn and not taken later, because unshare(2) of a
// pid namespace only holds for children, and unshare of a user namespace is
// refused to a process with more than one thread. What needs privilege inside
// the new namespaces (mounting, dropping capabilities) is left to the worker's
// entry code, because os/exec cannot run it between clone and exec.
//
// # Which plans, in which order
//
//	caller                   plan      ids in the namespace        privilege at exec
//	root, 65534 mapped       root      0→0 and 65534→65534         uid 0 in the namespace
//	any other, or root in    single    65534→own id                ambient CAP_SYS_ADMIN, CAP_SETPCAP
//	 a one-id container
//	root, not strict         shared    none: no user namespace     uid 0 of the host
//	any, isolation none      bare      no namespaces at all        the caller's own
//
// Isolation strict has no plan without a user namespace: in plan shared, a worker
// that became uid 0 again would be root of the host. And root that has other ids
// is not given plan single when plan root is refused: the worker's nobody would be
// the caller's root under another name, and the kernel asks as much of who maps 0
// (CAP_SETFCAP, Linux 5.12; user_namespaces(7)).
//
// Root maps 0 too, so that exec of a worker in a directory only root may enter
// works; the entry code then leaves uid 0 for good. An ordinary user's worker is
// never uid 0, not even inside: capabilities survive an exec as another uid only
// if they are ambient (capabilities(7), Linux 4.3), so the two that the entry
// code needs are made ambient and dropped there.
//
// The supervisor tries the plans in order and takes the first that spawns, leaving
// a refused one alone for a while; when none does, Refused makes the error for
// people. Nothing is probed beforehand: whether clone succeeds depends on sysctls,
// LSMs and the count of namespaces alive at that moment, and only clone knows.
//
// A spawn with a user namespace is a fork with copied page tables: Go uses vfork
// only without CLONE_NEWUSER (syscall/exec_linux.go), because the parent has to
// run and write the child's uid_map. Measured, to exec: 0.8 ms from a small heap,
// 5 ms from 256 MiB, 20 ms from 1 GiB (plan shared: 0.5 ms from any). So pools
// should be filled while the supervisor's heap is small.
package namespace

import (
	"fmt"
	"strings"

	"github.com/greentic-ai/greentic-provision/limits"
)

// ID is the user and group id of every worker as it sees itself: "nobody", the
// kernel's overflow id, which owns nothing.
const ID = 65534

// Options is what the caller decides.
type Options struct {
	Isolation limits.Isolation
	// ThreadStack is the stack of each native thread; 0 leaves the C library's
	// own (RLIMIT_STACK of the caller, usually 8 MiB). Stacks are private
	// writable memory, so each counts in full against RLIMIT_DATA. The engine
	// needs the wasm stack plus about 512 KiB of its own.
	ThreadStack limits.Bytes
}

// The words of argv[2]. limits/entry/entry_linux.c knows the same; its tests hold
// the two together. A word ending in "?" may fail: the wall is then reported as
// not raised.
const (
	wordMount    = "mount"    // empty read-only root
	wordID       = "id"       // id=65534
	wordCaps     = "caps"     // no capability in any set
	wordNNP      = "nnp"      // no_new_privs
	wordNoDump   = "nodump"   // not dumpable, no core file, parent-death signal
	wordLandlock = "landlock" // no file, no TCP, no signal to outside; excused where the kernel has none
	wordStack    = "stack"    // stack=BYTES of each native thread
)

// Plan is one way to start a worker. It is a value and may be used many times.
type Plan struct {
	// Name is "root", "single", "shared" or "bare".
	Name string
	// OwnUsers says that the worker gets a user namespace of its own
	// (rlimit.Spec.OwnUsers).
	OwnUsers bool

	namespaces []string
	words      []string
	who        caller
}

// caller is what the choice depends on.
type caller struct {
	uid, gid int
	// maps says that both 0 and ID exist for users and groups in the caller's
	// own user namespace: false in a rootless container with one id.
	maps bool
}

// Args are the arguments of the worker: argv[1] and argv[2].
func (p Plan) Args() []string { return []string{"serve", strings.Join(p.words, ",")} }

// Wall is the wall that a successful spawn from this plan raises. The supervisor
// reports it: it is the one who knows.
func (p Plan) Wall() limits.Wall {
	return limits.Wall{Name: "namespaces", Raised: len(p.namespaces) > 0, Detail: strings.Join(p.namespaces, ",")}
}

func plans(o Options, who caller) []Plan {
	may := func(word string) string { return word + "?" }
	must, should := func(word string) string { return word }, may // what standard needs; what only strict needs
	switch o.Isolation {
	case limits.Strict:
		should = must
	case limits.None:
		must = may
	}
	stack := func(words ...string) []string {
		if o.ThreadStack > 0 {
			words = append(words, fmt.Sprintf("%s=%d", wordStack, uint64(o.ThreadStack)))
		}
		return words
	}
	id := fmt.Sprintf("%s=%d", wordID, ID)
	walled := stack(must(wordMount), must(id), must(wordCaps), must(wordNNP), must(wordNoDump), should(wordLandlock))
	all := []string{"user", "pid", "net", "mount", "ipc", "uts"}

	root := Plan{Name: "root", OwnUsers: true, namespaces: all, words: walled, who: who}
	single := Plan{Name: "single", OwnUsers: true, namespaces: all, words: walled, who: who}
	shared := Plan{Name: "shared", namespaces: all[1:], words: walled, who: who}
	// Without namespaces of its own a worker must not touch mounts: they are the
	// host's.
	bare := Plan{Name: "bare", words: stack(must(wordCaps), must(wordNNP), must(wordNoDump), should(wordLandlock)), who: who}
	if who.uid == 0 && who.maps {
		bare.words = append([]string{must(id)}, bare.words...)
	}

	out := []Plan{single}
	if who.uid == 0 && who.maps {
		out = []Plan{root}
		if o.Isolation != limits.Strict {
			out = append(out, shared)
		}
	}
	if o.Isolation == limits.None {
		out = append(out, bare)
	}
	return out
}

// Refused makes the error for people out of the errors that spawning from each
// plan gave; at least one. It is a *limits.WallError with the likeliest fix as
// hint: that of the first plan, which raises the most.
func Refused(errs ...error) error {
	all := errs[0]
	for i, err := range errs[1:] {
		if err.Error() != errs[i].Error() {
			all = fmt.Errorf("%w; %w", all, err)
		}
	}
	return &limits.WallError{Wall: "namespaces", Where: "clone", Err: all, Hint: Hint(errs[0])}
}
