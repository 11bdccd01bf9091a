package policy_test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/greentic-ai/greentic-provision/limits/seccomp"
	"github.com/greentic-ai/greentic-provision/limits/seccomp/policy"
	"github.com/greentic-ai/greentic-provision/limits/seccomp/seccomptest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var arches = []seccomp.Arch{seccomp.AMD64, seccomp.ARM64}

// filters are all that exist.
var filters = []struct {
	phase policy.Phase
	role  policy.Role
}{
	{policy.Load, policy.Step},
	{policy.Load, policy.Compile},
	{policy.Run, policy.Step},
}

func list(t *testing.T, phase policy.Phase, role policy.Role, pid int) seccomp.Policy {
	t.Helper()
	p, err := policy.For(phase, role, pid)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func program(t *testing.T, p seccomp.Policy, a seccomp.Arch) seccomp.Program {
	t.Helper()
	prog, err := seccomp.Assemble(p, a)
	if err != nil {
		t.Fatal(err)
	}
	return prog
}

// TestEveryCall runs every filter in an interpreter for every call number that
// exists and many that do not, with arguments around every boundary, and holds
// the answers against a plain reading of the table.
func TestEveryCall(t *testing.T) {
	const x32, i386, arm = 0x40000000, 0x40000003, 0x40000028
	for _, f := range filters {
		for _, a := range arches {
			t.Run(string(f.phase)+"/"+string(f.role)+"/"+a.String(), func(t *testing.T) {
				p := list(t, f.phase, f.role, 1)
				vm := seccomptest.New(t, program(t, p, a))
				names := map[uint32]string{}
				for _, name := range a.Names() {
					n, _ := a.Number(name)
					names[uint32(n)] = name
				}
				numbers := []uint32{1 << 20, x32 - 1, 1 << 31, 0xffffffff, 0xffffffff - 1}
				for nr := uint32(0); nr < 1024; nr++ {
					numbers = append(numbers, nr)
				}
				answers := 0
				for _, nr := range numbers {
					for _, args := range seccomptest.Arguments(p, a, names[nr]) {
						want := p.Decide(a, a.Audit(), nr, args)
						if got := vm.Run(t, a.Audit(), nr, args); got != want {
							t.Errorf("%s (%d) %x: %s, want %s", names[nr], nr, args, got, want)
						}
						answers++
					}
					for _, audit := range []uint32{i386, arm, 0, a.Audit() ^ 0x80000000} {
						if got := vm.Run(t, audit, nr, [6]uint64{}); got != seccomp.Kill {
							t.Errorf("architecture %#x, call %d: %s", audit, nr, got)
						}
					}
					if a.String() == "amd64" {
						if got := vm.Run(t, a.Audit(), nr|x32, [6]uint64{}); got != seccomp.Kill {
							t.Errorf("x32 call %d: %s", nr, got)
						}
					}
				}
				if answers < 3000 {
					t.Errorf("only %d answers compared", answers)
				}
			})
		}
	}
}

// TestAnswers names outcomes one by one, independent of the table.
func TestAnswers(t *testing.T) {
	const pid = 77
	const thread = 0x50f00
	const glibc = 0x3d0f00
	for _, tt := range []struct {
		call      string
		args      [6]uint64
		load, run seccomp.Action
	}{
		{"mmap", [6]uint64{2: 3}, seccomp.Allow, seccomp.Allow},
		{"mmap", [6]uint64{2: 0}, seccomp.Allow, seccomp.Allow},
		{"mmap", [6]uint64{2: 4}, seccomp.Allow, seccomp.Kill},
		{"mmap", [6]uint64{2: 5}, seccomp.Allow, seccomp.Kill},
		{"mmap", [6]uint64{2: 6}, seccomp.Kill, seccomp.Kill},
		{"mmap", [6]uint64{2: 7}, seccomp.Kill, seccomp.Kill},
		{"mmap", [6]uint64{2: 7 | 1<<40}, seccomp.Kill, seccomp.Kill},
		{"mmap", [6]uint64{2: 5 | 1<<40}, seccomp.Allow, seccomp.Kill},
		{"mprotect", [6]uint64{2: 3}, seccomp.Allow, seccomp.Allow},
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
				vm := seccomptest.New(t, program(t, list(t, phase, policy.Step, pid), a))
				if got := vm.Run(t, a.Audit(), uint32(n), tt.args); got != want {
					t.Errorf("%s, %s: %s %x: %s, want %s", a, phase, tt.call, tt.args, got, want)
				}
			}
		}
	}
}

// Run is installed on top of Load, so a call that Run alone lets through would
// die all the same; then the list would not tell the truth.
func TestRunIsWithinLoad(t *testing.T) {
	for _, a := range arches {
		load, run := list(t, policy.Load, policy.Step, 1), list(t, policy.Run, policy.Step, 1)
		for _, name := range a.Names() {
			n, _ := a.Number(name)
			for _, args := range seccomptest.Arguments(run, a, name) {
				narrow, wide := run.Decide(a, a.Audit(), uint32(n), args), load.Decide(a, a.Audit(), uint32(n), args)
				if narrow == seccomp.Allow && wide != seccomp.Allow {
					t.Errorf("%s: %s %x: run says %s, load %s", a, name, args, narrow, wide)
				}
			}
		}
	}
}

// The list is to stay small: a row more has to be argued for here.
func TestSize(t *testing.T) {
	most := map[string]int{"run/step": 34, "load/step": 41, "load/compile": 38}
	for _, f := range filters {
		p := list(t, f.phase, f.role, 1)
		if n := len(p.Rules); n > most[p.Name] {
			t.Errorf("%s has %d rows, more than %d", p.Name, n, most[p.Name])
		}
	}
}

// The calls of the hot path must carry no condition, and every row that has one,
// or that answers with an errno, says why.
func TestRows(t *testing.T) {
	for _, f := range filters {
		p := list(t, f.phase, f.role, 1)
		for _, r := range p.Rules {
			if r.Why == "" && (r.Do != seccomp.Allow || len(r.Only) > 0) {
				t.Errorf("%s: %s has no reason", p.Name, r.Call)
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
		phase policy.Phase
		role  policy.Role
		pid   int
	}{
		{"", policy.Step, 1}, {"seal", policy.Step, 1}, {policy.Load, "", 1}, {policy.Load, "guest", 1},
		{policy.Run, policy.Compile, 1}, {policy.Load, policy.Step, 0}, {policy.Load, policy.Step, -1}, {policy.Load, policy.Step, 1<<22 + 1},
	} {
		if _, err := policy.For(tt.phase, tt.role, tt.pid); err == nil {
			t.Errorf("%q %q %d was taken", tt.phase, tt.role, tt.pid)
		}
	}
}

func TestWall(t *testing.T) {
	load, run := policy.Wall(policy.Load, policy.Step), policy.Wall(policy.Run, policy.Step)
	if load.Name != "seccomp-load" || run.Name != "seccomp-run" || load.Raised || run.Raised {
		t.Errorf("%+v, %+v", load, run)
	}
	if load.Detail == run.Detail || !strings.HasPrefix(load.Detail, "filter ") && hostHasFilters() {
		t.Errorf("details %q, %q", load.Detail, run.Detail)
	}
}

func hostHasFilters() bool { _, err := seccomp.Host(); return err == nil }

// TestGolden keeps what the filters really are in the repository, so that a
// change shows in review. Run with -update to rewrite.
func TestGolden(t *testing.T) {
	for _, f := range filters {
		for _, a := range arches {
			got := program(t, list(t, f.phase, f.role, 1), a).Dump()
			name := filepath.Join("testdata", string(f.phase)+"-"+string(f.role)+"-"+a.String()+".golden")
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
}
