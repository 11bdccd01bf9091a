// Package cgroup is the wall of control groups (cgroup v2) around a worker:
// memory, processes and processor time, counted by the kernel for everything that
// the worker does. It stands behind the rlimits, which count less: RLIMIT_DATA
// sees private writable mappings only, not shared memory, page tables, pipes or
// socket buffers, and RLIMIT_NPROC is per user.
//
// # Where
//
// Cgroups belong to whoever manages the machine, so they are made in one of two
// places and nowhere else (Find):
//
//   - in the directory that the operator names; or
//   - below the cgroup that this process is in, when it was delegated: systemd says
//     so (extended attribute user.delegate or trusted.delegate, set by Delegate=yes;
//     docs/CGROUP_DELEGATION.md of systemd), or the user is not root and owns it.
//
// A cgroup that hands controllers down may hold no process itself ("no internal
// processes", cgroups(7)). So in the second case this process moves into a leaf
// first, and only when it is alone; it moves back when its last tree is closed. A
// process that finds itself in such a leaf, be it ours or systemd's own
// (DelegateSubgroup=supervisor), goes by the cgroup above.
//
//	DIR                            named, or delegated
//	├─ supervisor                  this process, when it was in DIR
//	└─ greentic-provision-PID-N    Tree: one for each supervisor, locked
//	   ├─ worker-1                 Group: the limits of one worker
//	   └─ worker-2
//
// # What is left behind
//
// Nothing, unless this process is killed: then cgroups without processes, because
// the workers die with it. The next Tree in the same place removes them. A Tree
// holds a lock (flock(2)) on its directory, which the kernel drops when the process
// is gone; so whoever sweeps need not guess from a process id whether a directory is
// in use. Ids come again, and those of another pid namespace mean nothing.
//
// # What the kernel must offer
//
// cgroup v2 with the controllers cpu, memory and pids, and clone3(2) that starts a
// process in a cgroup (Linux 5.7): moved later, it would have lived outside first.
// Where that is missing the error wraps limits.ErrUnsupported. All other errors
// are *limits.WallError that say what would help, and wrap ErrNotDelegated when
// nobody has given this process a cgroup.
package cgroup

import (
	"errors"
	"fmt"

	"github.com/greentic-ai/greentic-provision/limits"
)

// ErrNotDelegated is wrapped by errors that say that this process has been given
// no cgroup to make others in.
var ErrNotDelegated = errors.New("no cgroup is delegated to this process")

const wallName = "cgroup"

// Limits is what one worker may use. It is a value: fixed when a group is made.
type Limits struct {
	Memory limits.Bytes // all memory that the kernel charges to the group; swap is not given
	Pids   int          // processes and threads
	CPU    int          // percent of one processor
}

const (
	// headroom is for what RLIMIT_DATA does not count. Measured (Linux 6.12): a worker
	// that has written 125 MiB is charged 0.5 MiB more for page tables, stacks of the
	// kernel and slab. The rest is room for the pages of its binary (31 MB), which it
	// is charged for when it is the first to read them: they can be taken back, at the
	// price of reading them again.
	headroom = 64 * limits.MiB
	// pids is the number that RLIMIT_NPROC has (limits/rlimit); this one also counts
	// for a worker without a user namespace of its own. The most seen is 7.
	pids = 64
	// cpu is one processor and a quarter: guests and compilations have one thread (the
	// engine's parallel compilation is off), and the Go runtime's run beside it a
	// little. The most seen in 100 ms, in the hostile guests, is 1.03 processors; so
	// nobody is throttled but who has many threads, and that one does not get all of
	// the machine.
	cpu = 125
	// period is the kernel's default, 100 ms, in microseconds.
	period = 100_000
)

// Step is for a worker that runs guest code under RLIMIT_DATA of data.
func Step(data limits.Bytes) Limits { return Limits{Memory: data + headroom, Pids: pids, CPU: cpu} }

// Compile is for a worker that compiles under RLIMIT_DATA of data. The file that it
// writes native code into, at most code bytes, is memory too, and charged to who
// wrote it.
func Compile(data, code limits.Bytes) Limits {
	return Limits{Memory: data + code + headroom, Pids: pids, CPU: cpu}
}

// Wall describes the limits: the same numbers, the same detail. The paths of
// groups are not in it; they differ from run to run.
func (l Limits) Wall(raised bool) limits.Wall {
	return limits.Wall{
		Name:     wallName,
		Raised:   raised,
		Observer: limits.BySupervisor,
		Detail:   fmt.Sprintf("memory=%d pids=%d cpu=%d%%", uint64(l.Memory), l.Pids, l.CPU),
	}
}

// setting is one file of a group and what is written into it.
type setting struct{ file, value string }

func (l Limits) settings() []setting {
	return []setting{
		{"memory.max", fmt.Sprint(uint64(l.Memory))},
		{swapMax, "0"},
		// The whole group or nothing: a worker that has lost a thread's memory is of
		// no use (Linux 4.19).
		{"memory.oom.group", "1"},
		{"pids.max", fmt.Sprint(l.Pids)},
		{"cpu.max", fmt.Sprintf("%d %d", l.CPU*period/100, period)},
	}
}

// swapMax is not there when the kernel has no swap or does not count it; what is
// not counted memory.max cannot see leave, but RLIMIT_DATA still counts it.
const swapMax = "memory.swap.max"

// Events is what the kernel counted in one group.
type Events struct {
	OOMKills uint64 // processes that were killed because memory ran out (memory.events, oom_kill)
	PidsMax  uint64 // processes and threads that were not made because there were too many (pids.events, max)
}

func wallError(where string, err error, hint string) error {
	return &limits.WallError{Wall: wallName, Where: where, Err: err, Hint: hint}
}
