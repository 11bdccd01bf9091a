package policy_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/elastic/go-seccomp-bpf/arch"

	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/limits/seccomp"
	"github.com/greentic-ai/greentic-provision/limits/seccomp/policy"
	"github.com/greentic-ai/greentic-provision/limits/seccomp/seccomptest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var arches = []seccomp.Arch{seccomp.AMD64, seccomp.ARM64}

// filter is one that exists.
type filter struct {
	phase   policy.Phase
	role    policy.Role
	codegen limits.Codegen
}

func (f filter) String() string { return fmt.Sprintf("%s/%s/%s", f.phase, f.role, f.codegen) }

// list gives its table for a process id.
func (f filter) list(t *testing.T, pid int) seccomp.Policy {
	t.Helper()
	p, err := policy.For(f.phase, f.role, pid, f.codegen)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// filters are all that exist.
var filters = func() (all []filter) {
	for _, codegen := range []limits.Codegen{limits.Native, limits.Interpreter} {
		for _, role := range []policy.Role{policy.Step, policy.Compile, policy.Probe} {
			all = append(all, filter{policy.Load, role, codegen})
		}
		for _, role := range []policy.Role{policy.Step, policy.Probe} {
			all = append(all, filter{policy.Run, role, codegen})
		}
	}
	return all
}()

func program(t *testing.T, p seccomp.Policy, a seccomp.Arch) seccomp.Program {
	t.Helper()
	prog, err := seccomp.Assemble(p, a)
	if err != nil {
		t.Fatal(err)
	}
	return prog
}

// TestEveryCall runs every filter in an interpreter for every system call of every
// ABI that a processor may speak, by the names of its own table, and for many
// numbers that are none, with arguments around every boundary, and holds the
// answers against a plain reading of the table.
func TestEveryCall(t *testing.T) {
	abis := []*arch.Info{arch.X86_64, arch.I386, arch.X32, arch.AARCH64, arch.ARM}
	done := map[string]bool{} // by hash; a probe's are a step worker's
	for _, f := range filters {
		for _, a := range arches {
			p := f.list(t, 1)
			prog := program(t, p, a)
			if done[prog.Hash()] {
				continue
			}
			done[prog.Hash()] = true
			t.Run(f.String()+"/"+a.String(), func(t *testing.T) {
				t.Parallel()
				vm := seccomptest.New(t, prog)
				for _, abi := range abis {
					audit, native := uint32(abi.ID), uint32(abi.ID) == a.Audit() && abi.SeccompMask == 0
					calls := 0
					for name, number := range abi.SyscallNames {
						nr := uint32(number | abi.SeccompMask)
						for _, args := range seccomptest.Arguments(p, a, name) {
							want := seccomp.Kill // whatever it is called there
							if native {
								want = p.Decide(a, audit, nr, args)
							}
							if got := vm.Run(t, audit, nr, args); got != want {
								t.Errorf("%s of %s (%#x) %x: %s, want %s", name, abi.Name, nr, args, got, want)
							}
						}
						calls++
					}
					if calls < 300 {
						t.Errorf("%s has %d calls only", abi.Name, calls)
					}
				}
				// No call at all, or an architecture that nobody speaks.
				for nr := range uint32(1024) {
					for _, nr := range []uint32{nr, nr | x32Bit, nr | 1<<31, ^nr} {
						want := p.Decide(a, a.Audit(), nr, [6]uint64{})
						if got := vm.Run(t, a.Audit(), nr, [6]uint64{}); got != want {
							t.Errorf("number %#x: %s, want %s", nr, got, want)
						}
						for _, audit := range []uint32{0, a.Audit() ^ 1<<31, ^uint32(0)} {
							if got := vm.Run(t, audit, nr, [6]uint64{}); got != seccomp.Kill {
								t.Errorf("architecture %#x, number %#x: %s", audit, nr, got)
							}
						}
					}
				}
			})
		}
	}
}

// x32Bit marks the x32 ABI in a call number.
const x32Bit = 0x40000000

// Decide is what TestEveryCall trusts, so what it says of calls that are not in the
// list is said here without it.
func TestOnlyListedCallsAreAnswered(t *testing.T) {
	for _, f := range filters {
		for _, a := range arches {
			p := f.list(t, 1)
			listed := map[string]bool{}
			for _, r := range p.For(a) {
				listed[r.Call] = true
			}
			for _, name := range a.Names() {
				n, _ := a.Number(name)
				if got := p.Decide(a, a.Audit(), uint32(n), [6]uint64{}); !listed[name] && got != seccomp.Kill {
					t.Errorf("%s on %s: %s is not listed, and answered with %s", f, a, name, got)
				}
			}
		}
	}
}

// TestAnswers names outcomes one by one, independent of the table.
func TestAnswers(t *testing.T) {
	const pid = 77
	const thread = 0x50f00
	const glibc = 0x3d0f00
	const anon = 0x22 // MAP_PRIVATE|MAP_ANONYMOUS
	for _, tt := range []struct {
		call      string
		args      [6]uint64
		load, run seccomp.Action
	}{
		{"mmap", [6]uint64{2: 3, 3: anon}, seccomp.Allow, seccomp.Allow},
		{"mmap", [6]uint64{2: 0, 3: anon}, seccomp.Allow, seccomp.Allow},
		{"mmap", [6]uint64{2: 0, 3: anon | 0x4000}, seccomp.Allow, seccomp.Allow},   // MAP_NORESERVE
		{"mmap", [6]uint64{2: 3, 3: anon | 0x10}, seccomp.Allow, seccomp.Allow},     // MAP_FIXED
		{"mmap", [6]uint64{2: 3, 3: anon | 0x100000}, seccomp.Allow, seccomp.Allow}, // MAP_FIXED_NOREPLACE
		{"mmap", [6]uint64{2: 3, 3: anon | 0x20000}, seccomp.Allow, seccomp.Allow},  // MAP_STACK
		{"mmap", [6]uint64{2: 1, 3: 0x02}, seccomp.Allow, seccomp.Kill},             // a file
		{"mmap", [6]uint64{2: 1, 3: 0x01}, seccomp.Kill, seccomp.Kill},              // MAP_SHARED
		{"mmap", [6]uint64{2: 3, 3: 0x21}, seccomp.Kill, seccomp.Kill},              // MAP_SHARED|MAP_ANONYMOUS
		{"mmap", [6]uint64{2: 3, 3: 0x23}, seccomp.Kill, seccomp.Kill},              // MAP_SHARED_VALIDATE
		{"mmap", [6]uint64{2: 3, 3: 0x28}, seccomp.Allow, seccomp.Allow},            // MAP_DROPPABLE|MAP_ANONYMOUS
		{"mmap", [6]uint64{2: 3, 3: 0x29}, seccomp.Kill, seccomp.Kill},              // and MAP_SHARED
		{"mmap", [6]uint64{2: 3, 3: anon | 0x100}, seccomp.Kill, seccomp.Kill},      // MAP_GROWSDOWN
		{"mmap", [6]uint64{2: 3, 3: anon | 0x2000}, seccomp.Kill, seccomp.Kill},     // MAP_LOCKED
		{"mmap", [6]uint64{2: 3, 3: anon | 0x8000}, seccomp.Kill, seccomp.Kill},     // MAP_POPULATE
		{"mmap", [6]uint64{2: 3, 3: anon | 0x40000}, seccomp.Kill, seccomp.Kill},    // MAP_HUGETLB
		{"mmap", [6]uint64{2: 3, 3: anon | 1<<40}, seccomp.Kill, seccomp.Kill},
		{"mmap", [6]uint64{2: 4, 3: anon}, seccomp.Kill, seccomp.Kill},
		{"mmap", [6]uint64{2: 5, 3: anon}, seccomp.Kill, seccomp.Kill},
		{"mmap", [6]uint64{2: 6, 3: anon}, seccomp.Kill, seccomp.Kill},
		{"mmap", [6]uint64{2: 7, 3: anon}, seccomp.Kill, seccomp.Kill},
		{"mmap", [6]uint64{2: 7 | 1<<40, 3: anon}, seccomp.Kill, seccomp.Kill},
		{"mmap", [6]uint64{2: 3 | 1<<40, 3: anon}, seccomp.Allow, seccomp.Allow},
		{"mprotect", [6]uint64{2: 3}, seccomp.Allow, seccomp.Allow},
		{"mprotect", [6]uint64{2: 0}, seccomp.Allow, seccomp.Kill}, // what was written stays
		{"mprotect", [6]uint64{2: 1}, seccomp.Allow, seccomp.Kill}, // the same
		{"mprotect", [6]uint64{2: 1<<32 | 3}, seccomp.Allow, seccomp.Kill},
		{"mremap", [6]uint64{}, seccomp.Errno(12), seccomp.Errno(12)},
		{"madvise", [6]uint64{2: 4}, seccomp.Allow, seccomp.Allow},
		{"madvise", [6]uint64{2: 12}, seccomp.Errno(22), seccomp.Errno(22)}, // MERGEABLE
		{"mprotect", [6]uint64{2: 5}, seccomp.Allow, seccomp.Kill},
		{"mprotect", [6]uint64{2: 7}, seccomp.Kill, seccomp.Kill},
		{"pkey_mprotect", [6]uint64{2: 1}, seccomp.Kill, seccomp.Kill},
		{"clone", [6]uint64{thread}, seccomp.Allow, seccomp.Allow},
		{"clone", [6]uint64{glibc}, seccomp.Allow, seccomp.Allow},
		{"clone", [6]uint64{17}, seccomp.Kill, seccomp.Kill},                   // fork
		{"clone", [6]uint64{0x4111}, seccomp.Kill, seccomp.Kill},               // vfork
		{"clone", [6]uint64{thread | 17}, seccomp.Kill, seccomp.Kill},          // with an exit signal
		{"clone", [6]uint64{thread &^ 0x10000}, seccomp.Kill, seccomp.Kill},    // not a thread
		{"clone", [6]uint64{thread &^ 0x800}, seccomp.Kill, seccomp.Kill},      // handlers not shared
		{"clone", [6]uint64{glibc | 0x10000000}, seccomp.Kill, seccomp.Kill},   // CLONE_NEWUSER
		{"clone", [6]uint64{glibc | 0x00020000}, seccomp.Kill, seccomp.Kill},   // CLONE_NEWNS
		{"clone", [6]uint64{glibc | 0x2000}, seccomp.Kill, seccomp.Kill},       // CLONE_PTRACE
		{"clone", [6]uint64{glibc | 0x1000}, seccomp.Kill, seccomp.Kill},       // CLONE_PIDFD
		{"clone", [6]uint64{glibc | 1<<33}, seccomp.Kill, seccomp.Kill},        // CLONE_INTO_CGROUP, if it came that way
		{"clone3", [6]uint64{}, seccomp.Errno(38), seccomp.Errno(38)},          // ENOSYS
		{"tgkill", [6]uint64{pid, 5, 23}, seccomp.Allow, seccomp.Allow},        // SIGURG
		{"tgkill", [6]uint64{pid, 5, 6}, seccomp.Allow, seccomp.Allow},         // SIGABRT
		{"tgkill", [6]uint64{pid | 1<<32, 5, 6}, seccomp.Allow, seccomp.Allow}, // the kernel takes an int
		{"tgkill", [6]uint64{pid, 5, 9}, seccomp.Kill, seccomp.Kill},           // SIGKILL
		{"tgkill", [6]uint64{pid + 1, 5, 23}, seccomp.Kill, seccomp.Kill},      // another process
		{"tgkill", [6]uint64{0xffffffff, 5, 23}, seccomp.Kill, seccomp.Kill},   // -1
		{"kill", [6]uint64{pid, 23}, seccomp.Kill, seccomp.Kill},               //
		{"prctl", [6]uint64{0x53564d41}, seccomp.Errno(22), seccomp.Errno(22)}, // PR_SET_VMA
		{"prctl", [6]uint64{65, 1}, seccomp.Allow, seccomp.Kill},               // PR_SET_MDWE
		{"prctl", [6]uint64{39}, seccomp.Allow, seccomp.Kill},                  // PR_GET_NO_NEW_PRIVS
		{"prctl", [6]uint64{4, 1}, seccomp.Kill, seccomp.Kill},                 // PR_SET_DUMPABLE
		{"prctl", [6]uint64{22, 2}, seccomp.Kill, seccomp.Kill},                // PR_SET_SECCOMP
		{"seccomp", [6]uint64{1, 1}, seccomp.Allow, seccomp.Kill},              // SET_MODE_FILTER, TSYNC
		{"seccomp", [6]uint64{1, 9}, seccomp.Kill, seccomp.Kill},               // with NEW_LISTENER
		{"seccomp", [6]uint64{0, 0}, seccomp.Kill, seccomp.Kill},               // strict mode
		{"fcntl", [6]uint64{4, 3}, seccomp.Allow, seccomp.Kill},                // F_GETFL
		{"fcntl", [6]uint64{4, 0}, seccomp.Kill, seccomp.Kill},                 // F_DUPFD
		{"fcntl", [6]uint64{4, 8}, seccomp.Kill, seccomp.Kill},                 // F_SETOWN
		{"pread64", [6]uint64{4}, seccomp.Allow, seccomp.Kill},                 //
		{"sendmsg", [6]uint64{3}, seccomp.Kill, seccomp.Kill},                  // a worker passes no descriptors
		{"openat", [6]uint64{}, seccomp.Kill, seccomp.Kill},                    //
		{"execve", [6]uint64{}, seccomp.Kill, seccomp.Kill},                    //
		{"socket", [6]uint64{}, seccomp.Kill, seccomp.Kill},                    //
		{"remap_file_pages", [6]uint64{}, seccomp.Kill, seccomp.Kill},          //
	} {
		for _, a := range arches {
			n, ok := a.Number(tt.call)
			if !ok {
				t.Fatalf("%s has no %s", a, tt.call)
			}
			for phase, want := range map[policy.Phase]seccomp.Action{policy.Load: tt.load, policy.Run: tt.run} {
				vm := seccomptest.New(t, program(t, filter{phase, policy.Step, limits.Native}.list(t, pid), a))
				if got := vm.Run(t, a.Audit(), uint32(n), tt.args); got != want {
					t.Errorf("%s, %s: %s %x: %s, want %s", a, phase, tt.call, tt.args, got, want)
				}
			}
		}
	}
}

// A probe proves something about step workers only if its filters are theirs.
func TestProbesAreWalledAsSteps(t *testing.T) {
	for _, f := range filters {
		if f.role != policy.Probe {
			continue
		}
		step := f
		step.role = policy.Step
		for _, a := range arches {
			if got, want := f.list(t, 1).For(a), step.list(t, 1).For(a); !reflect.DeepEqual(got, want) {
				t.Errorf("%s on %s has other rows than %s", f, a, step)
			}
		}
	}
}

// Bytecode is data: from the first filter on nothing can become executable.
func TestInterpreterGetsNoExecutableMemory(t *testing.T) {
	const exec = 4
	for _, f := range filters {
		if f.codegen != limits.Interpreter {
			continue
		}
		for _, a := range arches {
			p := f.list(t, 1)
			vm := seccomptest.New(t, program(t, p, a))
			for _, call := range []string{"mmap", "mprotect", "pkey_mprotect"} {
				n, ok := a.Number(call)
				if !ok {
					t.Fatalf("%s has no %s", a, call)
				}
				for _, args := range seccomptest.Arguments(p, a, call) {
					args[2] |= exec
					if got := vm.Run(t, a.Audit(), uint32(n), args); got != seccomp.Kill {
						t.Errorf("%s on %s: %s %x: %s", f, a, call, args, got)
					}
				}
			}
			if n, _ := a.Number("membarrier"); vm.Run(t, a.Audit(), uint32(n), [6]uint64{}) != seccomp.Kill {
				t.Errorf("%s on %s allows membarrier, which only new machine code needs", f, a)
			}
		}
	}
}

// Run is installed on top of Load, so a call that Run alone lets through would
// die all the same; then the list would not tell the truth.
func TestRunIsWithinLoad(t *testing.T) {
	for _, f := range filters {
		if f.phase != policy.Run || f.role == policy.Probe {
			continue
		}
		before := f
		before.phase = policy.Load
		for _, a := range arches {
			load, run := before.list(t, 1), f.list(t, 1)
			for _, name := range a.Names() {
				n, _ := a.Number(name)
				for _, args := range seccomptest.Arguments(run, a, name) {
					narrow, wide := run.Decide(a, a.Audit(), uint32(n), args), load.Decide(a, a.Audit(), uint32(n), args)
					if narrow == seccomp.Allow && wide != seccomp.Allow {
						t.Errorf("%s on %s: %s %x: run says %s, load %s", f, a, name, args, narrow, wide)
					}
				}
			}
		}
	}
}

// The list is to stay small: a row more has to be argued for here.
func TestSize(t *testing.T) {
	most := map[string]int{
		"load/step/native": 41, "load/compile/native": 38, "run/step/native": 34,
		"load/step/interpreter": 38, "load/compile/interpreter": 36, "run/step/interpreter": 34,
	}
	for _, f := range filters {
		if f.role == policy.Probe {
			continue // see TestProbesAreWalledAsSteps
		}
		p := f.list(t, 1)
		if n := len(p.Rules); n > most[p.Name] || f.phase == policy.Run && n > 40 {
			t.Errorf("%s has %d rows, more than %d", p.Name, n, most[p.Name])
		}
	}
}

// Every row says why, and the calls of the hot path carry no condition.
func TestRows(t *testing.T) {
	for _, f := range filters {
		p := f.list(t, 1)
		for _, r := range p.Rules {
			if r.Why == "" {
				t.Errorf("%s: %s has no reason", p.Name, r.Call)
			}
			for _, c := range r.When {
				if c.Words == "" {
					t.Errorf("%s: a condition of %s is not in words: %s", p.Name, r.Call, c)
				}
			}
		}
		for _, hot := range []string{"futex", "read", "write", "epoll_pwait", "recvmsg", "nanosleep"} {
			i := slices.IndexFunc(p.Rules, func(r seccomp.Rule) bool { return r.Call == hot })
			if i < 0 || len(p.Rules[i].When) > 0 || p.Rules[i].Do != seccomp.Allow {
				t.Errorf("%s: %s is not simply allowed", p.Name, hot)
			}
		}
	}
}

func TestFor(t *testing.T) {
	for _, tt := range []struct {
		filter
		pid int
	}{
		{filter{"", policy.Step, limits.Native}, 1}, {filter{"seal", policy.Step, limits.Native}, 1},
		{filter{policy.Load, "", limits.Native}, 1}, {filter{policy.Load, "guest", limits.Native}, 1},
		{filter{policy.Load, policy.Step, ""}, 1}, {filter{policy.Load, policy.Step, "winch"}, 1},
		{filter{policy.Run, policy.Compile, limits.Native}, 1},
		{filter{policy.Load, policy.Step, limits.Native}, 0}, {filter{policy.Load, policy.Step, limits.Native}, -1},
		{filter{policy.Load, policy.Step, limits.Native}, 1<<22 + 1},
	} {
		if _, err := policy.For(tt.phase, tt.role, tt.pid, tt.codegen); err == nil {
			t.Errorf("%s, process %d, was taken", tt.filter, tt.pid)
		}
	}
}

func TestWall(t *testing.T) {
	load := policy.Wall(policy.Load, policy.Step, limits.Native)
	run := policy.Wall(policy.Run, policy.Step, limits.Native)
	if load.Name != "seccomp-load" || run.Name != "seccomp-run" || load.Raised || run.Raised {
		t.Errorf("%+v, %+v", load, run)
	}
	if load.Detail == run.Detail || !strings.HasPrefix(load.Detail, "filter ") && hostHasFilters() {
		t.Errorf("details %q, %q", load.Detail, run.Detail)
	}
	if other := policy.Wall(policy.Load, policy.Step, limits.Interpreter); other.Detail == load.Detail && hostHasFilters() {
		t.Errorf("both code generators have the filter %q", other.Detail)
	}
}

func hostHasFilters() bool { _, err := seccomp.Host(); return err == nil }

// TestGolden keeps what the filters really are in the repository, so that a
// change shows in review. Run with -update to rewrite.
func TestGolden(t *testing.T) {
	expected := map[string]bool{}
	for _, f := range filters {
		if f.role == policy.Probe {
			continue // see TestProbesAreWalledAsSteps
		}
		for _, a := range arches {
			got := program(t, f.list(t, 1), a).Dump()
			name := filepath.Join("testdata", fmt.Sprintf("%s-%s-%s-%s.golden", f.phase, f.role, f.codegen, a))
			expected[name] = true
			if *update {
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s has changed; look at the difference after go test -update", name)
			}
		}
	}
	files, err := filepath.Glob("testdata/*.golden")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if !expected[name] {
			t.Errorf("%s belongs to no filter; delete it", name)
		}
	}
}
