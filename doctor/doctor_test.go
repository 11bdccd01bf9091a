package doctor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/greentic-ai/greentic-provision/doctor"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/limits/attack"
)

// machine is a made-up one. By default every wall stands, and every attack ends as it
// must.
type machine struct {
	raise  func(limits.Isolation, limits.Receipt) (limits.Receipt, error)
	attack func(limits.Isolation, attack.Attack) (doctor.Answer, error)

	alive, most, made atomic.Int32
}

// whole is the receipt of a worker with all walls.
func whole() limits.Receipt {
	r := limits.Receipt{Engine: "engine 1", Worker: "sha256:00"}
	for _, k := range doctor.Kinds() {
		if k.Name != "entry" {
			r.Walls = append(r.Walls, limits.Wall{Name: k.Name, Raised: true, Observer: limits.ByKernel, Detail: "user,pid nproc=64"})
		}
	}
	return r
}

// change gives a receipt in which one wall is another.
func change(r limits.Receipt, name string, f func(*limits.Wall)) limits.Receipt {
	for i := range r.Walls {
		if r.Walls[i].Name == name {
			f(&r.Walls[i])
		}
	}
	return r
}

func down(why string) func(*limits.Wall) {
	return func(w *limits.Wall) { w.Raised, w.Detail = false, why }
}

// until gives the receipt of a worker that got no further than a wall.
func until(r limits.Receipt, name string) limits.Receipt {
	i := slices.IndexFunc(r.Walls, func(w limits.Wall) bool { return w.Name == name })
	r.Walls = r.Walls[:i]
	return r
}

func (m *machine) Raise(_ context.Context, isolation limits.Isolation) (limits.Receipt, error) {
	if m.raise == nil {
		return whole(), nil
	}
	return m.raise(isolation, whole())
}

func (m *machine) Attack(_ context.Context, isolation limits.Isolation, stage attack.Stage, name string) (doctor.Answer, error) {
	for n := m.alive.Add(1); ; {
		most := m.most.Load()
		if n <= most || m.most.CompareAndSwap(most, n) {
			break
		}
	}
	defer m.alive.Add(-1)
	m.made.Add(1)
	a, ok := attack.Find(name)
	if !ok || a.Stage != stage {
		return doctor.Answer{}, fmt.Errorf("no attack %s at stage %s", name, stage)
	}
	if m.attack != nil {
		return m.attack(isolation, a)
	}
	return stopped(a), nil
}

// stopped is what comes of an attack that a wall stops.
func stopped(a attack.Attack) doctor.Answer {
	if len(a.Expect.Signals) > 0 {
		return doctor.Answer{Signal: a.Expect.Signals[0], Observer: limits.ByKernel}
	}
	return doctor.Answer{Errno: a.Expect.Errnos[0], Observer: limits.ByWorker, Detail: "0 of them"}
}

func examine(t *testing.T, m *machine, isolation limits.Isolation) *doctor.Report {
	t.Helper()
	r, err := doctor.Examine(t.Context(), m, doctor.Options{Isolation: isolation, Codegen: limits.Native, Attacks: attack.All(), Workers: 3})
	if err != nil {
		t.Fatal(err)
	}
	if r.OK != (len(r.Problems) == 0) {
		t.Errorf("ok is %t with these problems: %q", r.OK, r.Problems)
	}
	return r
}

func find(t *testing.T, r *doctor.Report, name string) doctor.Wall {
	t.Helper()
	for _, w := range r.Walls {
		if w.Name == name {
			return w
		}
	}
	t.Fatalf("no wall %s", name)
	return doctor.Wall{}
}

// statuses gives the walls that do not hold.
func statuses(r *doctor.Report) map[string]doctor.Status {
	out := map[string]doctor.Status{}
	for _, w := range r.Walls {
		if w.Status != doctor.Holds {
			out[w.Name] = w.Status
		}
	}
	return out
}

func TestEachAttackedWallHasWords(t *testing.T) {
	kinds := doctor.Kinds()
	for _, a := range attack.All() {
		if !slices.ContainsFunc(kinds, func(k doctor.Kind) bool { return k.Name == a.Wall }) {
			t.Errorf("no words for the %s wall", a.Wall)
		}
	}
	for _, k := range kinds {
		if k.Name == "" || k.About == "" || len(k.About) > 34 {
			t.Errorf("%q is %q, which has no room in a line", k.Name, k.About)
		}
	}
}

func TestEveryWallHolds(t *testing.T) {
	for _, isolation := range []limits.Isolation{limits.Strict, limits.Standard, limits.None} {
		m := &machine{}
		r := examine(t, m, isolation)
		if !r.OK || len(statuses(r)) > 0 || r.Tried != isolation || r.Refusal != nil || r.Engine != "engine 1" || r.Worker != "sha256:00" {
			t.Errorf("isolation %s: %+v", isolation, r)
		}
		if n := len(attack.All()); int(m.made.Load()) != n {
			t.Errorf("isolation %s: %d attacks made, want %d", isolation, m.made.Load(), n)
		}
		if m.most.Load() > 3 {
			t.Errorf("isolation %s: %d workers at once, want at most 3", isolation, m.most.Load())
		}
		for _, w := range r.Walls {
			if w.Held() != len(w.Attacks) || w.Held() == 0 {
				t.Errorf("isolation %s: the %s wall stopped %d of %d", isolation, w.Name, w.Held(), len(w.Attacks))
			}
		}
	}
}

// A worker that is had with an isolation has what that needs: what else is not there is
// noted, and not attacked.
func TestAWallThatIsNotNeeded(t *testing.T) {
	m := &machine{raise: func(_ limits.Isolation, r limits.Receipt) (limits.Receipt, error) {
		return change(r, "landlock", down("this kernel has none")), nil
	}}
	r := examine(t, m, limits.Standard)
	w := find(t, r, "landlock")
	if !r.OK || w.Status != doctor.Absent || w.Reason != "this kernel has none" || len(w.Attacks) > 0 || len(statuses(r)) != 1 {
		t.Errorf("%v, %+v", statuses(r), w)
	}
}

// An attack that ends otherwise than it must is a wall that fails, whoever asked and
// whatever stopped it instead.
func TestAnAttackThatEndsOtherwise(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer doctor.Answer
		words  string
	}{
		{"through", doctor.Answer{Observer: limits.ByWorker}, "it was let through"},
		{"another answer", doctor.Answer{Errno: syscall.EPERM, Observer: limits.ByWorker, Detail: "really"}, "EPERM, really"},
		{"another signal", doctor.Answer{Signal: "SIGSEGV", Observer: limits.ByKernel}, "killed by SIGSEGV"},
		{"late", doctor.Answer{Signal: "", Late: true, Observer: limits.BySupervisor, Detail: "it took too long"}, "it took too long"},
		{"late, killed", doctor.Answer{Signal: "SIGSYS", Late: true, Observer: limits.ByKernel}, "killed by SIGSYS"},
		{"gone", doctor.Answer{Observer: limits.ByKernel, Detail: "it exited with status 1"}, "it exited with status 1"},
	} {
		for _, isolation := range []limits.Isolation{limits.Strict, limits.None} {
			m := &machine{attack: func(_ limits.Isolation, a attack.Attack) (doctor.Answer, error) {
				if a.Name == "openat" {
					return tt.answer, nil
				}
				return stopped(a), nil
			}}
			r := examine(t, m, isolation)
			w := find(t, r, "seccomp-run")
			i := slices.IndexFunc(w.Attacks, func(a doctor.Attempt) bool { return a.Name == "openat" })
			if r.OK || w.Status != doctor.Fails || len(statuses(r)) != 1 || w.Held() != len(w.Attacks)-1 || w.Attacks[i].Held || w.Attacks[i].Answer != tt.words {
				t.Errorf("%s: %v, %+v", tt.name, statuses(r), w.Attacks[i])
			}
			if want := fmt.Sprintf("the seccomp-run wall fails: 1 of %d attacks ended otherwise than they must, openat: %s, expected killed by SIGSYS", len(w.Attacks), tt.words); !slices.Equal(r.Problems, []string{want}) {
				t.Errorf("%s: %q, want %q", tt.name, r.Problems, want)
			}
		}
	}
}

// Attacks that count are told by their count.
func TestACount(t *testing.T) {
	m := &machine{attack: func(_ limits.Isolation, a attack.Attack) (doctor.Answer, error) {
		if a.Name == "find-shared-memory" {
			return doctor.Answer{Observer: limits.ByWorker, Detail: "3 segments"}, nil
		}
		return stopped(a), nil
	}}
	w := find(t, examine(t, m, limits.Standard), "namespaces")
	i := slices.IndexFunc(w.Attacks, func(a doctor.Attempt) bool { return a.Name == "find-shared-memory" })
	if a := w.Attacks[i]; a.Held || a.Answer != "3 segments" || w.Status != doctor.Fails {
		t.Errorf("%+v", a)
	}
}

// Where there is no worker with the isolation that was asked for, the wall to blame is
// named with all that is known of it, and the others are looked at all the same.
func TestARefusal(t *testing.T) {
	refused := &limits.WallError{Wall: "namespaces", Where: "clone", Err: syscall.ENOSPC, Hint: "raise the sysctl"}
	m := &machine{raise: func(isolation limits.Isolation, r limits.Receipt) (limits.Receipt, error) {
		if isolation != limits.None {
			return limits.Receipt{}, fmt.Errorf("open: %w", refused)
		}
		for _, name := range []string{"namespaces", "mount", "landlock"} {
			r = change(r, name, down("not asked for"))
		}
		return r, nil
	}, attack: func(isolation limits.Isolation, a attack.Attack) (doctor.Answer, error) {
		if isolation != limits.None {
			t.Errorf("%s is made with isolation %s", a.Name, isolation)
		}
		return stopped(a), nil
	}}
	r := examine(t, m, limits.Standard)
	ns := find(t, r, "namespaces")
	if ns.Status != doctor.Down || ns.Reason != "at clone: no space left on device" || ns.Hint != "raise the sysctl" || r.Tried != limits.None {
		t.Errorf("%+v", ns)
	}
	if got := statuses(r); len(got) != 3 || got["mount"] != doctor.Down || got["landlock"] != doctor.Absent {
		t.Errorf("%v", got)
	}
	if want := []string{"cannot raise the namespaces wall at clone: no space left on device (raise the sysctl)", "these walls do not stand either: mount"}; !slices.Equal(r.Problems, want) {
		t.Errorf("%q, want %q", r.Problems, want)
	}
	if r.Refusal == nil || *r.Refusal != (doctor.Refusal{Wall: "namespaces", Where: "clone", Reason: "no space left on device", Hint: "raise the sysctl"}) {
		t.Errorf("%+v", r.Refusal)
	}
}

// A wall that stands in a worker without isolation, but not as it was asked for, is not
// well.
func TestARefusedWallThatStandsOtherwise(t *testing.T) {
	m := &machine{raise: func(isolation limits.Isolation, r limits.Receipt) (limits.Receipt, error) {
		if isolation == limits.Strict {
			return limits.Receipt{}, &limits.WallError{Wall: "namespaces", Where: "clone", Err: syscall.EPERM}
		}
		return change(r, "namespaces", func(w *limits.Wall) { w.Detail = "pid,net" }), nil
	}}
	r := examine(t, m, limits.Strict)
	w := find(t, r, "namespaces")
	if w.Status != doctor.Down || w.Held() == 0 || len(statuses(r)) != 1 || len(r.Problems) != 1 {
		t.Errorf("%v, %q, %+v", statuses(r), r.Problems, w)
	}
	// A worker that shares its user namespace has nothing to stop this one.
	if slices.ContainsFunc(w.Attacks, func(a doctor.Attempt) bool { return a.Name == "become-another-user" }) {
		t.Error("an attack was made on a user namespace that is not there")
	}
}

// A wall that a worker says it raised, and that whoever watches it denies, is attacked:
// that shows what it means.
func TestALie(t *testing.T) {
	m := &machine{raise: func(_ limits.Isolation, r limits.Receipt) (limits.Receipt, error) {
		return until(r, "mdwe"), &limits.WallError{Wall: "seccomp-run", Where: "the kernel's report", Err: errors.New("1 filter, not 2")}
	}, attack: func(_ limits.Isolation, a attack.Attack) (doctor.Answer, error) {
		if a.Wall == "seccomp-run" {
			return doctor.Answer{Observer: limits.ByWorker}, nil
		}
		return stopped(a), nil
	}}
	for _, isolation := range []limits.Isolation{limits.Standard, limits.None} {
		r := examine(t, m, isolation)
		w := find(t, r, "seccomp-run")
		if got := statuses(r); len(got) != 1 || w.Status != doctor.Fails || w.Held() != 0 || w.Reason != "at the kernel's report: 1 filter, not 2" {
			t.Errorf("isolation %s: %v, %+v", isolation, got, w)
		}
		if len(r.Problems) != 2 || r.Problems[0] != "cannot raise the seccomp-run wall at the kernel's report: 1 filter, not 2" {
			t.Errorf("isolation %s: %q", isolation, r.Problems)
		}
	}
}

// Where not even a worker without isolation can be had there is still a report.
func TestNoWorker(t *testing.T) {
	for _, tt := range []struct {
		name    string
		err     error
		problem string
		down    string
	}{
		{"a wall", &limits.WallError{Wall: "entry", Where: "program", Err: syscall.ENOEXEC}, "cannot raise the entry wall at program: exec format error", "entry"},
		{"a wall and no more", &limits.WallError{Wall: "mount"}, "cannot raise the mount wall: it cannot be raised", "mount"},
		{"no wall", errors.New("it died\nof SIGILL"), "no worker can be had: it died; of SIGILL", ""},
	} {
		m := &machine{raise: func(limits.Isolation, limits.Receipt) (limits.Receipt, error) { return limits.Receipt{}, tt.err }}
		r := examine(t, m, limits.Standard)
		if m.made.Load() > 0 {
			t.Errorf("%s: attacks were made in workers that there are not", tt.name)
		}
		if !slices.Equal(r.Problems, []string{tt.problem}) {
			t.Errorf("%s: %q", tt.name, r.Problems)
		}
		for _, w := range r.Walls {
			want := doctor.Untried
			if w.Name == tt.down {
				want = doctor.Down
			}
			if w.Status != want || w.Reason == "" {
				t.Errorf("%s: %+v", tt.name, w)
			}
		}
	}
}

// An attack that could not be made proves nothing.
func TestAnAttackThatCannotBeMade(t *testing.T) {
	m := &machine{attack: func(_ limits.Isolation, a attack.Attack) (doctor.Answer, error) {
		if a.Name == "gain-exec" {
			return doctor.Answer{}, errors.New("no more processes")
		}
		return stopped(a), nil
	}}
	r := examine(t, m, limits.Standard)
	if w := find(t, r, "mdwe"); w.Status != doctor.Untried || len(statuses(r)) != 1 {
		t.Errorf("%+v", w)
	}
	if want := "the mdwe wall could not be tried: not every attack could be made, gain-exec: no more processes"; !slices.Equal(r.Problems, []string{want}) {
		t.Errorf("%q", r.Problems)
	}
}

// A wall that nothing is known of does not hold for that.
func TestAnUnknownWall(t *testing.T) {
	m := &machine{raise: func(_ limits.Isolation, r limits.Receipt) (limits.Receipt, error) {
		r.Walls = append(r.Walls, limits.Wall{Name: "moat", Raised: true})
		return r, nil
	}}
	r := examine(t, m, limits.Standard)
	if w := find(t, r, "moat"); r.OK || w.Status != doctor.Untried {
		t.Errorf("%+v", w)
	}
}

func TestInterrupted(t *testing.T) {
	stop := errors.New("stop")
	for _, when := range []string{"raise", "attack"} {
		ctx, cancel := context.WithCancelCause(t.Context())
		m := &machine{raise: func(_ limits.Isolation, r limits.Receipt) (limits.Receipt, error) {
			if when == "raise" {
				cancel(stop)
				return limits.Receipt{}, &limits.WallError{Wall: "mount", Err: stop}
			}
			return r, nil
		}, attack: func(_ limits.Isolation, a attack.Attack) (doctor.Answer, error) {
			cancel(stop)
			return doctor.Answer{}, stop
		}}
		r, err := doctor.Examine(ctx, m, doctor.Options{Isolation: limits.Standard, Attacks: attack.All(), Workers: 2})
		if r != nil || !errors.Is(err, stop) {
			t.Errorf("%s: %+v, %v", when, r, err)
		}
		if n := m.made.Load(); n > 4 {
			t.Errorf("%s: %d attacks were made after the end", when, n)
		}
		cancel(nil)
	}
}

func TestFlaws(t *testing.T) {
	r := examine(t, &machine{}, limits.Standard)
	good := doctor.Guest{Name: "a", Advisories: []string{"CVE-1"}, Expected: []limits.Verdict{limits.Trap, limits.WorkerCrash}, Verdict: limits.WorkerCrash}
	r.Add(doctor.Flaws{Guests: []doctor.Guest{good}})
	if !r.OK || !r.Flaws.Guests[0].Held {
		t.Errorf("%+v", r)
	}
	bad := good
	bad.Verdict = limits.OK
	r.Add(doctor.Flaws{Guests: []doctor.Guest{good, bad}})
	if r.OK || r.Flaws.Guests[1].Held || !slices.Equal(r.Problems, []string{"the guest a (CVE-1) ended with ok, expected trap or worker_crash"}) {
		t.Errorf("%+v", r)
	}
}
