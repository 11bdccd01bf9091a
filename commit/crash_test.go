package commit_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/adapters/greentic"
	"github.com/greentic-ai/greentic-provision/commit"
	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/pack"
)

// The crash test runs this test binary as a writer that is killed with SIGKILL at the
// n-th thing that it does to a store, for every n there is. crashVar holds what it does:
// n, the store, the installation, the phase.
const crashVar = "GREENTIC_TEST_CRASH"

var crash = flag.Bool("crash", false, "kill the writer at every operation of every store, and not only of SQLite (make crash)")

// phases are what is done to an installation, one after the other.
var phases = []struct {
	entry   pack.Entry
	plan    string
	secrets map[string]string
}{
	{pack.EntrySetup, setupPlan, setupSecrets},
	{pack.EntryUpdate, updatePlan, updateSecrets},
	{pack.EntryRemove, `{}`, nil},
}

// places are where state is in the crash test: a directory, and a PostgreSQL database or
// "" for SQLite; with, whether secrets are in Greentic's own store.
type where struct {
	dir, postgres string
	greentic      bool
}

func (w where) open(ctx context.Context, fault func(string) error) (commit.Committer, error) {
	var s adapters.Store
	var err error
	if w.postgres != "" {
		s, err = openPostgres(ctx, w.dir, w.postgres, fault)
	} else {
		s, err = openSQLite(ctx, w.dir, fault)
	}
	if err != nil {
		return commit.Committer{}, err
	}
	c := commit.Committer{Stores: commit.Stores{Record: s}, By: "writer"}
	if w.greentic {
		v, err := greentic.Secrets(filepath.Join(w.dir, "greentic.env"))
		if err != nil {
			return c, err
		}
		c.Elsewhere = map[adapters.Kind]commit.Place{adapters.Secrets: {Name: "greentic:test", Values: faulty{v, fault}}}
	}
	return c, nil
}

// faulty calls fault before and after each thing that is done to values.
type faulty struct {
	adapters.Values
	fault func(string) error
}

func (f faulty) Apply(ctx context.Context, ns adapters.Namespace, b adapters.Batch) error {
	if f.fault != nil {
		if err := f.fault("apply elsewhere"); err != nil {
			return err
		}
	}
	err := f.Values.Apply(ctx, ns, b)
	if err == nil && f.fault != nil {
		err = f.fault("applied elsewhere")
	}
	return err
}

// recovering is the phase in which nothing is written but what a crash left.
const recovering = -1

// write does one phase to one installation.
func write(ctx context.Context, c commit.Committer, ns adapters.Namespace, phase int) error {
	lock, err := c.Record.Lock(ctx, ns, "writer")
	if err != nil {
		return err
	}
	defer lock.Unlock()
	if _, err := c.Recover(ctx, lock); err != nil || phase == recovering {
		return err
	}
	cur, err := c.Load(ctx, ns)
	if err != nil {
		return err
	}
	p := phases[phase]
	var set *commit.Set
	if p.entry == pack.EntryRemove {
		set, _, err = c.NewRemoval(ctx, cur, nil, engine.Outcome{}, commit.Wanted{})
		if err != nil {
			return err
		}
	} else {
		res, out := ran(p.entry, p.plan, p.secrets, nil)
		set, _ = commit.New(res, out, cur, commit.Wanted{})
	}
	if set == nil {
		return errors.New("the plan is refused")
	}
	_, err = c.Commit(ctx, lock, set)
	return err
}

// crashes is the writer, if this process is one: it ends the process and gives true.
func crashes() bool {
	spec, ok := os.LookupEnv(crashVar)
	if !ok {
		return false
	}
	f := strings.Split(spec, "|")
	n, _ := strconv.Atoi(f[0])
	phase, _ := strconv.Atoi(f[1])
	w := where{dir: f[2], postgres: f[3], greentic: f[4] == "true"}
	var calls atomic.Int64
	c, err := w.open(context.Background(), func(op string) error {
		if calls.Add(1) == int64(n) {
			fmt.Println(op)
			return syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		return nil
	})
	if err == nil {
		err = write(context.Background(), c, crashHome(f[5]), phase)
	}
	if err != nil {
		fmt.Println(err)
		panic("the writer failed")
	}
	fmt.Println("whole")
	return true
}

func crashHome(install string) adapters.Namespace {
	return adapters.Namespace{Env: "prod", Tenant: "acme", Provider: "chat", Install: install}
}

// operationID is what differs between two installations of the same plan.
var operationID = regexp.MustCompile(`\\"id\\":\\"[0-9a-f]{32}\\"`)

func TestKilledAnywhere(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { killedAnywhere(t, where{dir: t.TempDir()}) })
	if !*crash {
		return
	}
	t.Run("sqlite, secrets elsewhere", func(t *testing.T) { killedAnywhere(t, where{dir: t.TempDir(), greentic: true}) })
	t.Run("postgres", func(t *testing.T) { killedAnywhere(t, where{dir: t.TempDir(), postgres: postgresURL(t)}) })
}

func killedAnywhere(t *testing.T, w where) {
	ctx := t.Context()
	c, err := w.open(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Record.Close()
	state := func(ns adapters.Namespace) string {
		return operationID.ReplaceAllString(dump(t, ctx, c.Stores, ns), "id")
	}
	// What the state is after each phase, when nobody is killed.
	whole := []string{state(crashHome("reference"))}
	for phase := range phases {
		if err := write(ctx, c, crashHome("reference"), phase); err != nil {
			t.Fatal(err)
		}
		whole = append(whole, state(crashHome("reference")))
	}
	if whole[0] != whole[len(phases)] || whole[0] == whole[1] || whole[1] == whole[2] {
		t.Fatalf("phases make nothing of it: %q", whole)
	}
	for phase, p := range phases {
		killed := map[string]bool{}
		var befores, afters int
		for n := 1; ; n++ {
			install := fmt.Sprintf("i%d.%d", phase, n)
			if w.greentic {
				install = "default" // Greentic knows no other; every run begins where the last ended
			}
			ns := crashHome(install)
			if !w.greentic {
				for earlier := range phase {
					if err := write(ctx, c, ns, earlier); err != nil {
						t.Fatal(err)
					}
				}
			} else {
				reach(t, c, ns, phase)
			}
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d|%d|%s|%s|%v|%s", crashVar, n, phase, w.dir, w.postgres, w.greentic, install))
			out, err := cmd.CombinedOutput()
			if strings.HasSuffix(string(out), "whole\n") {
				if got := state(ns); got != whole[phase+1] {
					t.Errorf("%s, not killed:\n%s", p.entry, cmp.Diff(whole[phase+1], got))
				}
				break
			}
			status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
			if !status.Signaled() || status.Signal() != syscall.SIGKILL {
				t.Fatalf("%s, %d: %v\n%s", p.entry, n, err, out)
			}
			op := strings.TrimSpace(string(out))
			killed[op] = true
			lock, err := c.Record.Lock(ctx, ns, "recovery")
			if err != nil {
				t.Fatalf("%s killed at %d (%s): %v", p.entry, n, op, err)
			}
			recovered, err := c.Recover(ctx, lock)
			if err != nil {
				t.Fatalf("%s killed at %d (%s): %v", p.entry, n, op, err)
			}
			switch got := state(ns); {
			case got == whole[phase] && (len(recovered) == 0 || recovered[0].Status == adapters.RolledBack):
				befores++
			case got == whole[phase+1] && (len(recovered) == 0 || recovered[0].Status == adapters.Finished):
				afters++
			default:
				t.Errorf("%s killed at %d (%s), recovered %+v: neither before nor after:\n%s", p.entry, n, op, recovered, cmp.Diff(whole[phase], got))
			}
			if again, err := c.Recover(ctx, lock); err != nil || len(again) != 0 {
				t.Errorf("recovering twice: %+v, %v", again, err)
			}
			if err := lock.Unlock(); err != nil {
				t.Error(err)
			}
		}
		t.Logf("%s: killed at %d places, %d times before and %d times after it happened: %v", p.entry, befores+afters, befores, afters, sortedNames(killed))
		if befores < 3 || afters < 1 {
			t.Errorf("%s: %d times before, %d times after: the places are not those that matter", p.entry, befores, afters)
		}
	}
	r, err := c.Record.Check(ctx)
	if err != nil || len(r.Problems) > 0 || r.Open > 0 {
		t.Errorf("check: %+v, %v", r, err)
	}
	if w.greentic {
		if err := os.Remove(filepath.Join(w.dir, "greentic.env")); err != nil { // the secrets' own store
			t.Error(err)
		}
	}
	if w.postgres != "" { // what lies on the server
		if err := c.Record.Backup(ctx, filepath.Join(w.dir, "backup")); err != nil {
			t.Error(err)
		}
	}
	noCanary(t, w.dir)
}

// killed runs the writer until it is killed at the n-th thing that it does; false when it
// does less.
func (w where) killed(t *testing.T, n, phase int, install string) bool {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d|%d|%s|%s|%v|%s", crashVar, n, phase, w.dir, w.postgres, w.greentic, install))
	out, err := cmd.CombinedOutput()
	if strings.HasSuffix(string(out), "whole\n") {
		return false
	}
	if status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGKILL {
		t.Fatalf("%v\n%s", err, out)
	}
	return true
}

// TestKilledWhileRecovering: whoever recovers may be killed as well, at every operation,
// with values elsewhere that are staged, promoted or neither.
func TestKilledWhileRecovering(t *testing.T) {
	if !*crash {
		t.Skip("make crash runs it")
	}
	w := where{dir: t.TempDir(), greentic: true}
	c, err := w.open(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Record.Close()
	ns := crashHome("default")
	state := func() string { return operationID.ReplaceAllString(dump(t, t.Context(), c.Stores, ns), "id") }
	reach(t, c, ns, 0)
	before := state()
	reach(t, c, ns, 1)
	after := state()
	seen := map[adapters.JournalStatus]int{}
	for n := 8; ; n += 4 { // every fourth place of the writer is enough
		reach(t, c, ns, 0)
		if !w.killed(t, n, 0, "default") {
			break
		}
		open, err := c.Record.Journal(t.Context(), ns.Scope(), true)
		if err != nil {
			t.Fatal(err)
		}
		if len(open) == 0 {
			if err := write(t.Context(), c, ns, recovering); err != nil {
				t.Fatal(err)
			}
			continue
		}
		seen[open[0].Status]++
		want := before
		if open[0].Status == adapters.Committed {
			want = after
		}
		for m := 1; w.killed(t, m, recovering, "default"); m++ {
			// Each is killed one thing later: what the one before did is done.
			if m > 100 {
				t.Fatal("recovering never ends")
			}
		}
		if got := state(); got != want {
			t.Errorf("writer killed at %d (%s): %s", n, open[0].Status, cmp.Diff(want, got))
		}
	}
	if seen[adapters.Intent] == 0 || seen[adapters.Committed] == 0 {
		t.Errorf("the writer was killed with %v open", seen)
	}
	t.Log(seen)
}

// reach brings an installation to the state before a phase.
func reach(t *testing.T, c commit.Committer, ns adapters.Namespace, phase int) {
	t.Helper()
	cur := load(t, c, ns)
	if cur.Installed() {
		if err := write(t.Context(), c, ns, len(phases)-1); err != nil {
			t.Fatal(err)
		}
	}
	for earlier := range phase {
		if err := write(t.Context(), c, ns, earlier); err != nil {
			t.Fatal(err)
		}
	}
}

func sortedNames(m map[string]bool) []string {
	var names []string
	for k := range m {
		names = append(names, k)
	}
	return names
}
