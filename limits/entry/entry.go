// Package entry is the part of the worker that runs before the Go runtime: a C
// constructor that takes privileges away while the process still has one thread.
// Importing the package is enough; it acts only when argv[1] is "serve", on the
// words in argv[2] (made by limits/namespace).
//
// # Why C, why before Go
//
// Capabilities, securebits, no_new_privs, user ids and the mount namespace belong
// to a thread, not to a process (capabilities(7), credentials(7)). A Go program has
// several threads before main, and syscall.AllThreadsSyscall, which would reach
// them, refuses to work in programs that use cgo, as the worker does. A
// constructor runs after the dynamic linker and before the runtime, on the only
// thread there is; every thread started later inherits what it did.
//
// # What happens, in order
//
//	check     descriptors above 3 closed, no executable stack       always
//	mount     / private, tmpfs, pivot_root, old root detached       "mount"
//	caps 1    bounding set empty, securebits locked                 "caps"
//	id        supplementary groups, gid, uid                        "id=65534"
//	caps 2    effective, permitted, inheritable, ambient sets empty "caps"
//	nnp       PR_SET_NO_NEW_PRIVS                                   "nnp"
//	nodump    PR_SET_DUMPABLE 0, RLIMIT_CORE 0, PR_SET_PDEATHSIG    "nodump"
//	landlock  every right that the kernel knows, none granted       "landlock"
//
// The order is forced. Mounting needs CAP_SYS_ADMIN, so it comes first. Emptying
// the bounding set and locking securebits need CAP_SETPCAP, and leaving uid 0
// clears all capabilities, so those come before the ids, and the ids before the
// rest of the capabilities, because setgroups and setresuid need some. The
// parent-death signal comes after all that: the kernel forgets it whenever the
// effective ids change or capabilities are gained (commit_creds). Landlock is last
// because it takes from the others: whoever is in a domain that handles files may
// not mount (EPERM). It needs no_new_privs, or CAP_SYS_ADMIN, which is gone by
// then.
//
// Landlock binds the calling thread and what it starts (landlock(7); all threads
// at once only since Linux 7.0), which is one more reason to be here: this is the
// only thread, so the wall holds for the whole worker on every kernel that has it.
// There is no first program that would raise it and execute the worker: an empty
// root has no dynamic linker.
//
// The first step that fails ends the work and is what Err returns; main must not
// go on then. A word that ends in "?" may fail: its wall is listed as not raised.
// So is Landlock, with either word, when the kernel says that it does not have it.
//
// # What it does besides
//
// Two things about the C library have to be settled before it has run, so they
// are here: malloc is held to its main heap (limits/seccomp/policy tells why: no
// file may be opened later), and the stack of native threads is set ("stack=",
// limits/namespace tells why).
package entry

import (
	"cmp"
	"fmt"

	"github.com/greentic-ai/greentic-provision/limits"
)

// Command is the argv[1] that the constructor acts on.
const Command = "serve"

// details of the walls raised here, the same on each run.
var details = map[string]string{
	"mount":        "empty read-only root",
	"no-new-privs": "",
	"no-dump":      "not dumpable, no core file",
}

// step is what the constructor noted about one wall.
type step struct {
	wall   string
	asked  bool // the word was there
	done   bool
	where  string // of a failure
	err    error
	detail string
}

func walls(steps []step) []limits.Wall {
	out := make([]limits.Wall, 0, len(steps))
	for _, s := range steps {
		w := limits.Wall{Name: s.wall, Raised: s.done}
		switch {
		case s.done:
			w.Detail = cmp.Or(s.detail, details[s.wall])
		case !s.asked:
			w.Detail = "not asked for"
		case s.err != nil:
			w.Detail = fmt.Sprintf("%s: %v", s.where, s.err)
		default:
			w.Detail = "not reached"
		}
		out = append(out, w)
	}
	return out
}
