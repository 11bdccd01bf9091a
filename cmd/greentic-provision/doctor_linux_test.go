package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/doctor"
	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/internal/guests"
	"github.com/greentic-ai/greentic-provision/internal/workertest"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/limits/attack"
	"github.com/greentic-ai/greentic-provision/limits/probe/probetest"
	"github.com/greentic-ai/greentic-provision/limits/seccomp"
	"github.com/greentic-ai/greentic-provision/limits/seccomp/policy"
)

// Variables of the environment: what this program takes away from itself, and so from
// its workers, before it begins; and whether it tries little, which takes a tenth of the
// time.
const (
	takeAway = "GREENTIC_TEST_TAKE_AWAY"
	little   = "GREENTIC_TEST_LITTLE"
)

func init() {
	if os.Getenv(little) != "" {
		attacks, corpus = few, twoGuests
	}
	err := error(nil)
	switch os.Getenv(takeAway) {
	case "userns": // in a user namespace made for it
		err = os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0)
	case "seccomp":
		err = refuseFilters()
	}
	if err != nil {
		panic(err)
	}
}

// few is the last attack on each wall, and one that nothing but the last filter stops.
func few() (list []attack.Attack) {
	all := attack.All()
	for i, a := range all {
		if i+1 == len(all) || all[i+1].Wall != a.Wall || a.Name == "seccomp" {
			list = append(list, a)
		}
	}
	return list
}

// twoGuests are one that is refused and one that takes its worker with it.
func twoGuests() ([]guests.Guest, error) {
	all, err := guests.All()
	return slices.DeleteFunc(all, func(g guests.Guest) bool { return g.Name != "wasi-http" && g.Name != "flags-beyond-last-label" }), err
}

// refuseFilters has seccomp(2) fail with EPERM from now on, as in a container whose
// profile forbids it. Every thread gets the filter, and with it no_new_privs.
func refuseFilters() error {
	arch, err := seccomp.Host()
	if err != nil {
		return err
	}
	p := seccomp.Policy{Name: "refuses filters", Default: seccomp.Errno(uint16(unix.EPERM))}
	for _, call := range arch.Names() {
		if call != "seccomp" {
			p.Rules = append(p.Rules, seccomp.Rule{Call: call, Do: seccomp.Allow})
		}
	}
	filter, err := seccomp.Assemble(p, arch)
	if err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	return filter.Install("test")
}

// examined runs doctor, which tries little, and gives its report, its exit code and what
// it said on stderr.
func examined(t *testing.T, prepare func(*exec.Cmd), args ...string) (*doctor.Report, int, string) {
	t.Helper()
	cmd := exec.Command(program, append([]string{"doctor", "--json", "--worker", workertest.Path}, args...)...)
	cmd.Env = append(os.Environ(), little+"=1")
	if prepare != nil {
		prepare(cmd)
	}
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	code := 0
	if exit, ok := errors.AsType[*exec.ExitError](cmd.Run()); ok {
		code = exit.ExitCode()
	}
	r := new(doctor.Report)
	if err := json.Unmarshal([]byte(stdout.String()), r); err != nil || len(r.Walls) == 0 {
		t.Fatalf("exit code %d, no report: %v\n%s%s", code, err, stdout.String(), stderr.String())
	}
	if r.OK != (code == 0) || r.OK != (stderr.String() == "") {
		t.Errorf("ok is %t, exit code %d, stderr %q", r.OK, code, stderr.String())
	}
	return r, code, stderr.String()
}

// wall gives one wall of a report.
func wall(t *testing.T, r *doctor.Report, name string) doctor.Wall {
	t.Helper()
	i := slices.IndexFunc(r.Walls, func(w doctor.Wall) bool { return w.Name == name })
	if i < 0 {
		t.Fatalf("no wall %s in %+v", name, r.Walls)
	}
	return r.Walls[i]
}

// without takes something away from the program.
func without(what string, ids ...int) func(*exec.Cmd) {
	return func(cmd *exec.Cmd) {
		cmd.Env = append(cmd.Env, takeAway+"="+what)
		if what != "userns" {
			return
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER}
		if len(ids) == 0 { // one user, its own
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
			cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
		}
		for _, id := range ids {
			m := syscall.SysProcIDMap{ContainerID: id, HostID: id, Size: 1}
			cmd.SysProcAttr.UidMappings = append(cmd.SysProcAttr.UidMappings, m)
			cmd.SysProcAttr.GidMappings = append(cmd.SysProcAttr.GidMappings, m)
		}
		cmd.SysProcAttr.GidMappingsEnableSetgroups = len(ids) > 0
	}
}

// Here the walls stand, whoever asks: root, and in CI an ordinary user as well. What the
// report says of the kernel's limits is what limits show says.
func TestDoctor(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and about processes: the race detector sees little of it (make race)")
	}
	probetest.Need(t, "userns", "seccomp")
	for _, tt := range []struct {
		name    string
		prepare func(*exec.Cmd)
		attacks []attack.Attack
	}{
		{"standard", func(cmd *exec.Cmd) { cmd.Env = os.Environ() }, attack.All()},
		{"strict", nil, few()},
		{"none", nil, few()}, // waived is not failed: what stands is attacked
	} {
		r, code, stderr := examined(t, tt.prepare, "--isolation", tt.name)
		if code != 0 {
			t.Errorf("isolation %s: exit code %d: %s", tt.name, code, stderr)
		}
		for _, w := range r.Walls {
			on := slices.DeleteFunc(slices.Clone(tt.attacks), func(a attack.Attack) bool { return a.Wall != w.Name })
			switch w.Status {
			case doctor.Holds:
				if len(on) == 0 || len(w.Attacks) != len(on) || w.Held() != len(on) || w.Observer == "" {
					t.Errorf("isolation %s: the %s wall holds, seen by %q, with %d of %d attacks stopped", tt.name, w.Name, w.Observer, w.Held(), len(on))
				}
			case doctor.Absent:
				if w.Standard || w.Reason == "" || len(w.Attacks) > 0 {
					t.Errorf("isolation %s: the %s wall is absent: %q", tt.name, w.Name, w.Reason)
				}
			default:
				t.Errorf("isolation %s: %+v", tt.name, w)
			}
		}
		if !strings.HasPrefix(r.Engine, "wasmtime ") || !strings.HasPrefix(r.Worker, "sha256:") || r.Machine.UID != os.Geteuid() || r.Machine.Kernel == "" {
			t.Errorf("isolation %s: the report is of %q, %q, %+v", tt.name, r.Engine, r.Worker, r.Machine)
		}
		agree(t, r)
	}
}

// agree holds what limits show says against what a worker of doctor had.
func agree(t *testing.T, r *doctor.Report) {
	t.Helper()
	doc, err := effectivePolicy(sandbox{limits: limits.Default(), isolation: string(r.Isolation), codegen: string(r.Codegen)})
	if err != nil {
		t.Fatal(err)
	}
	detail := wall(t, r, "rlimits").Detail
	for _, row := range doc.Workers[0].Rlimits {
		if want := fmt.Sprintf("%s=%d", row.Name, row.Value); !slices.Contains(strings.Fields(detail), want) {
			t.Errorf("limits show says %s, a worker has %s", want, detail)
		}
	}
	host, err := seccomp.Host()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range doc.Filters {
		if w := wall(t, r, "seccomp-"+string(f.Phase)); f.Arch == host.String() && f.Role == policy.Step && w.Detail != "filter "+f.Hash {
			t.Errorf("limits show says %+v, a worker has %s", f, w.Detail)
		}
	}
}

// Without user namespaces root still gets every other one, which standard takes and
// strict does not; whoever cannot have that gets a report that blames the wall, and
// says what is left.
func TestDoctorWithoutUserNamespaces(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and about processes: the race detector sees little of it (make race)")
	}
	probetest.Need(t, "userns", "seccomp")
	refused := func(t *testing.T, prepare func(*exec.Cmd), args ...string) *doctor.Report {
		r, code, stderr := examined(t, prepare, args...)
		ns := wall(t, r, "namespaces")
		if code != engine.ExitIsolation || r.Tried != limits.None || r.Refusal == nil || r.Refusal.Wall != "namespaces" || ns.Status != doctor.Down {
			t.Fatalf("exit code %d, the namespaces wall is %+v: %s", code, ns, stderr)
		}
		if want := "greentic-provision: cannot raise the namespaces wall at clone: "; !strings.HasPrefix(stderr, want) ||
			strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "sysctl user.max_user_namespaces is 0") {
			t.Errorf("stderr is %q", stderr)
		}
		for _, name := range []string{"capabilities", "no-new-privs", "no-dump", "rlimits", "seccomp-load", "seccomp-run"} {
			if w := wall(t, r, name); w.Status != doctor.Holds {
				t.Errorf("what is left of the %s wall: %+v", name, w)
			}
		}
		return r
	}
	t.Run("and no other user", func(t *testing.T) {
		r := refused(t, without("userns"))
		if w := wall(t, r, "mount"); w.Status != doctor.Down || len(w.Attacks) > 0 {
			t.Errorf("the mount wall is %+v", w)
		}
	})
	if os.Geteuid() != 0 {
		return // only root can give a user namespace two users
	}
	t.Run("root, strict", func(t *testing.T) {
		refused(t, without("userns", 0, 65534), "--isolation", "strict")
	})
	t.Run("root, standard", func(t *testing.T) {
		r, code, stderr := examined(t, without("userns", 0, 65534))
		if code != 0 || wall(t, r, "namespaces").Detail != "pid,net,mount,ipc,uts" {
			t.Errorf("exit code %d, %+v: %s", code, wall(t, r, "namespaces"), stderr)
		}
	})
}

// Where the kernel takes no filter of ours, that is the wall to blame.
func TestDoctorWithoutFilters(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and about processes: the race detector sees little of it (make race)")
	}
	probetest.Need(t, "userns", "seccomp")
	r, code, stderr := examined(t, without("seccomp"))
	if code != engine.ExitIsolation || r.Refusal == nil || r.Refusal.Wall != "seccomp-load" {
		t.Fatalf("exit code %d: %+v", code, r.Refusal)
	}
	if want := "greentic-provision: cannot raise the seccomp-load wall at seccomp(SET_MODE_FILTER): operation not permitted"; !strings.HasPrefix(stderr, want) {
		t.Errorf("stderr is %q", stderr)
	}
	for _, w := range r.Walls {
		if filter := strings.HasPrefix(w.Name, "seccomp-"); filter != (w.Status == doctor.Down) && w.Standard {
			t.Errorf("the %s wall: %+v", w.Name, w)
		}
	}
}

// A worker that says that it is sealed, and is not, is found out by the kernel's count
// of its filters, and by the attacks, which all get through.
func TestDoctorOfAWorkerWithoutSeal(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and about processes: the race detector sees little of it (make race)")
	}
	probetest.Need(t, "userns", "seccomp")
	unsealed, err := workertest.BuildWithoutSeal(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r, code, stderr := examined(t, nil, "--worker", unsealed)
	w := wall(t, r, "seccomp-run")
	if code != engine.ExitIsolation || r.Refusal == nil || r.Refusal.Wall != "seccomp-run" || w.Status != doctor.Fails {
		t.Fatalf("exit code %d, %+v, %+v", code, r.Refusal, w)
	}
	if want := "greentic-provision: cannot raise the seccomp-run wall at the kernel's report of the worker: "; !strings.HasPrefix(stderr, want) {
		t.Errorf("stderr is %q", stderr)
	}
	if i := slices.IndexFunc(w.Attacks, func(a doctor.Attempt) bool { return a.Name == "seccomp" }); i < 0 || w.Attacks[i].Held {
		t.Errorf("nothing keeps it from installing another filter, and yet: %+v", w.Attacks)
	}
	for _, other := range r.Walls {
		if other.Status != doctor.Holds && other.Standard && other.Name != "seccomp-run" {
			t.Errorf("the %s wall: %+v", other.Name, other)
		}
	}
}

// The flaws of the engine come to what the corpus says, in native code and interpreted;
// those that no guest can reach are listed with the reason.
func TestDoctorOfTheEngine(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and about processes: the race detector sees little of it (make race)")
	}
	probetest.Need(t, "userns", "seccomp")
	for _, codegen := range []limits.Codegen{limits.Native, limits.Interpreter} {
		r, code, stderr := examined(t, nil, "--engine-advisories", "--codegen", string(codegen))
		if r.Flaws == nil || len(r.Flaws.Guests) != 2 || r.Flaws.Date == "" || r.Codegen != codegen || code != 0 {
			t.Fatalf("%s: %+v, %s", codegen, r.Flaws, stderr)
		}
		for _, g := range r.Flaws.Guests {
			if !g.Held || len(g.Advisories) == 0 || g.Behaviour == "" || g.Detail == "" {
				t.Errorf("%s: %+v", codegen, g)
			}
		}
		for _, e := range r.Flaws.Excluded {
			if e.Advisory == "" || e.About == "" || e.Why == "" {
				t.Errorf("%s: %+v", codegen, e)
			}
		}
	}
}
