// Package rlimit is the wall of kernel resource limits around a worker: a table
// (Step, Compile) and the calls that put it into force on the calling process
// (Table.Apply).
//
// RLIMIT_AS is not in the table. It counts reserved address space, and the engine
// reserves 4 GiB plus guards for each linear memory so that it can leave bounds
// checks to the page tables (wasmtime's memory_reservation); a useful value would
// make every instantiation fail. RLIMIT_DATA counts what can be written to
// (private writable mappings since Linux 4.7, getrlimit(2)), which is what a
// guest can make the process use.
package rlimit

import (
	"fmt"
	"strings"
	"time"

	"github.com/greentic-ai/greentic-provision/limits"
)

// Spec is what differs between workers.
type Spec struct {
	Data limits.Bytes // RLIMIT_DATA
	CPU  uint64       // RLIMIT_CPU, seconds over all threads; see CPUSeconds
	// Stack is the wasm stack; the main thread's stack may grow by that much
	// beyond what native code needs.
	Stack limits.Bytes
	// OwnUsers says that the worker has a user namespace of its own, so that
	// processes are counted for it alone.
	OwnUsers bool
}

// Row is one limit, soft and hard alike: a soft limit below the hard one is only
// a suggestion to a process that can call setrlimit.
type Row struct {
	Name  string // of the RLIMIT_ constant, lower-case
	Value uint64
	Why   string
}

// Table is the rows in the order in which they are put into force.
type Table []Row

// Step is the table of a worker that runs guest code.
func Step(s Spec) Table {
	return table(s, Row{"fsize", 0, "a step writes to its socket only, which this does not count"})
}

// Compile is the table of a worker that compiles: code is the most native code it
// may write into the memfd it was given.
func Compile(s Spec, code limits.Bytes) Table {
	return table(s, Row{"fsize", uint64(code), "native code goes into a memfd, which counts as a file"})
}

func table(s Spec, fsize Row) Table {
	t := Table{
		{"data", uint64(s.Data), "memory that can be written; over it malloc fails and the engine aborts, without touching anybody else's memory"},
		{"cpu", s.CPU, "seconds over all threads; backstop for a supervisor that cannot act, so above any wall-time budget"},
		{"nofile", 16, "0 to 3, epoll and eventfd of the Go poller, two descriptors on a frame, a duplicate of each; highest seen is 9"},
		fsize,
		{"core", 0, "a core file holds guest data and keys; PR_SET_DUMPABLE says the same"},
		{"stack", uint64(8*limits.MiB + s.Stack), "growth of the main thread's stack; other threads got their size at start"},
		{"memlock", 0, "locked pages cannot be reclaimed by a host in need"},
		{"msgqueue", 0, "POSIX queues are kernel memory"},
		{"rtprio", 0, "no real-time scheduling"},
	}
	if s.OwnUsers {
		t = append(t, Row{"nproc", 64, "threads of Go and the engine: about 10; a user namespace counts its own (Linux 5.14)"})
	}
	return t
}

// Wall describes the table: the same numbers, the same detail. Without nproc the
// table was made for a worker that shares its user with other processes, where
// the count would be theirs too.
func (t Table) Wall(raised bool) limits.Wall {
	var b strings.Builder
	for i, r := range t {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%s=%d", r.Name, r.Value)
	}
	return limits.Wall{Name: "rlimits", Raised: raised, Detail: b.String()}
}

// CPUSeconds is the RLIMIT_CPU for a budget of wall time on procs processors.
// The limit counts the time of all threads together and whole seconds only, so
// it is rounded up and one is added: an honest worker that uses all of its budget
// on all processors stays below.
func CPUSeconds(budget time.Duration, procs int) uint64 {
	if budget < 0 {
		budget = 0
	}
	whole := uint64((budget + time.Second - 1) / time.Second)
	return whole*uint64(max(procs, 1)) + 1
}
