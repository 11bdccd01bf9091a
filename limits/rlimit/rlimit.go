// Package rlimit is the wall of kernel resource limits around a worker: a table
// (Step, Compile) and the calls that put it into force on the calling process
// (Table.Apply).
//
// RLIMIT_DATA counts what can be written to (private writable mappings since Linux
// 4.7, getrlimit(2)), which is what a guest can make the process use. RLIMIT_AS counts
// reserved address space, and the engine reserves 4 GiB plus guards for each linear
// memory so that it can leave bounds checks to the page tables (wasmtime's
// memory_reservation); so its value is large for a worker that runs guests, and it is
// there for one thing: page tables. Reading all over a 256 GiB mapping that cannot be
// written cost 513 MiB of them under an RLIMIT_DATA of 64 MiB. It bounds them to a
// 512th of itself and 16 KiB for each mapping, of which there are vm.max_map_count at
// most: 1.3 GiB in all. Less can be had by a cgroup only.
//
// A compile worker makes no linear memory, so its value is the data and what Go
// reserves; there it also bounds memory that was written and made read-only, which
// RLIMIT_DATA does not count and the engine needs for native code.
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
	return table(s, Row{"as", uint64(addressSpace), "address space, which bounds page tables; enough for 15 linear memories with their guards"},
		Row{"fsize", 0, "a step writes to its socket only, which this does not count"})
}

// Compile is the table of a worker that compiles: code is the most native code it
// may write into the memfd it was given.
func Compile(s Spec, code limits.Bytes) Table {
	return table(s, Row{"as", uint64(s.Data + reserved), "address space: what may be written, and what the runtimes reserve"},
		Row{"fsize", uint64(code), "native code goes into a memfd, which counts as a file"})
}

const (
	addressSpace = 128 * limits.GiB // of a worker that runs guests
	reserved     = 2 * limits.GiB   // by Go (1.3 GiB), the binary and its libraries, and never written
)

func table(s Spec, as, fsize Row) Table {
	t := Table{
		{"data", uint64(s.Data), "memory that can be written; over it malloc fails and the engine aborts, without touching anybody else's memory"},
		as,
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
