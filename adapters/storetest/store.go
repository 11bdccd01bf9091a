package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greentic-ai/greentic-provision/adapters"
)

// Place is where one store is kept. It is empty at first.
type Place struct {
	// Open opens the store. Several may be open at once, as those of several processes
	// are. fault is called at every operation that changes something, with its name,
	// and an error of it counts as the engine's; it may be nil.
	Open func(fault func(op string) error) (adapters.Store, error)
	// OpenBackup opens what Backup wrote.
	OpenBackup func(path string) (adapters.Store, error)
	// Tamper are ways to damage the store that Fill filled, without opening it, by what
	// is damaged. Check must find each. It may be nil.
	Tamper map[string]func(t *testing.T)
	// Newer makes the store one of a program that is newer than this. It may be nil.
	Newer func(t *testing.T)
}

// Store runs the suite, that of Values for each kind too. place gives another place
// each time, for tests that run in parallel. Of the options Essential makes sense here.
func Store(t *testing.T, place func(t *testing.T) Place, options ...Option) {
	f := formatOf(options)
	for _, kind := range adapters.Kinds {
		if f.essential && kind != adapters.Config && kind != adapters.Secrets {
			continue
		}
		t.Run("values of "+string(kind), func(t *testing.T) {
			t.Parallel()
			Values(t, func(t *testing.T) adapters.Values { return opened(t, place(t)).Values(kind) },
				append(options, Kind(kind), WholeBatches())...)
		})
	}
	if !f.essential {
		exhaustive(t, place)
	}
	for _, test := range []struct {
		name string
		run  func(*testing.T, Place)
	}{
		{"a commit writes everything", commitWrites},
		{"a lock that failed is not held", lockFails},
		{"a commit needs the newest lock", fenced},
		{"a commit is of its lock's installation", commitFits},
		{"a commit obeys its context", commitCancelled},
		{"one holds the lock of an installation", exclusive},
		{"who waits gets the lock", waiting},
		{"who waits in vain learns who holds it", lockedError},
		{"who has no time gets a lock that is free", lockedAtOnce},
		{"many want the same lock", contended},
		{"installations are listed", listed},
		{"the journal is listed", journalled},
		{"the audit log is a chain", chained},
		{"appenders of one chain", appenders},
		{"a sound store is sound", sound},
		{"values that no commit staged are found", stray},
		{"a backup has everything", backup},
		{"a backup is made while others write", backupMeanwhile},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, place(t))
		})
	}
	t.Run("a newer store is refused", func(t *testing.T) { newer(t, place(t)) })
}

// exhaustive runs what Essential leaves out.
func exhaustive(t *testing.T, place func(t *testing.T) Place) {
	t.Run("a commit happens whole or not at all", func(t *testing.T) {
		t.Parallel()
		commitWhole(t, place(t))
	})
	t.Run("a batch happens whole or not at all", func(t *testing.T) {
		t.Parallel()
		batchWhole(t, place(t))
	})
	for _, what := range slices.Sorted(maps.Keys(place(t).Tamper)) {
		t.Run("check finds: "+what, func(t *testing.T) {
			t.Parallel()
			tampered(t, place(t), what)
		})
	}
}

func opened(t *testing.T, p Place) adapters.Store { return faulty(t, p, nil) }

func faulty(t *testing.T, p Place, fault func(string) error) adapters.Store {
	t.Helper()
	s, err := p.Open(fault)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func locked(t *testing.T, s adapters.Store, ns adapters.Namespace) adapters.Lock {
	t.Helper()
	l, err := s.Lock(t.Context(), ns, "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Unlock() })
	return l
}

func commit(t *testing.T, s adapters.Store, l adapters.Lock, w adapters.Write) {
	t.Helper()
	if err := s.Commit(t.Context(), l, w); err != nil {
		t.Fatal(err)
	}
}

var began = time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC)

// write makes everything that a commit of a revision may have. Values name their
// place, and the revision.
func write(ns adapters.Namespace, revision uint64) adapters.Write {
	id := fmt.Sprintf("%032x", revision)
	at := began.Add(time.Duration(revision) * time.Minute)
	digest := fmt.Sprintf("sha256:%064x", revision)
	ref := adapters.PackRef{ID: "telegram", Version: "1.2.3", Digest: digest}
	w := adapters.Write{
		Install: &adapters.Install{Namespace: ns, Status: adapters.Installed, Revision: revision, Pack: ref, PlanDigest: digest, StateDigest: digest,
			Plan:    json.RawMessage(`{"big":18446744073709551615,"text":"é\u0000<"}`),
			Touched: []adapters.Touched{{Kind: adapters.Config, Key: "ключ", Existed: true}, {Kind: adapters.Secrets, Key: "token"}},
			By:      "anna", CreatedAt: began, UpdatedAt: at},
		Journal: &adapters.JournalEntry{ID: id, Namespace: ns, Status: adapters.Committed, Origin: origin, Revision: revision, Token: revision,
			PlanDigest: digest, StateDigest: digest, By: "anna", CreatedAt: at, UpdatedAt: at,
			Elsewhere: map[adapters.Kind]adapters.Staging{adapters.Secrets: {Adapter: "plugin:/opt/vault", Set: []string{"a"}, Delete: []string{"b"}, Keep: []string{}, Forget: []string{}}}},
		Audit: []adapters.AuditEntry{
			{Time: at, Scope: ns.Scope(), Namespace: ns.String(), By: "anna", What: "setup", Revision: revision, JournalID: id, Pack: ref,
				PlanDigest: digest, StateDigest: digest, Walls: json.RawMessage(`{"seccomp": true}`), Detail: json.RawMessage(`{"keys":["a"]}`)},
			{Time: at, Scope: ns.Scope(), Namespace: ns.String(), By: "anna", What: "operation", Revision: revision},
		},
	}
	for _, kind := range adapters.Kinds {
		for _, area := range []adapters.Area{adapters.Live, adapters.Before, adapters.Staged(id), adapters.Kept(id)} {
			place := ns.In(area).String() + " " + string(kind)
			w.Values = append(w.Values, adapters.Part{Kind: kind, Area: area, Batch: adapters.Batch{ID: id, Origin: origin, Changes: []adapters.Change{
				{Key: "a", Value: adapters.Value{Bytes: fmt.Append(nil, place, revision)}},
				{Key: "hidden", Value: adapters.Value{Bytes: fmt.Append(nil, "hidden ", place, revision), Secret: true}},
				{Key: fmt.Sprint("only", revision), Value: adapters.Value{Bytes: []byte{}}},
				{Key: fmt.Sprint("only", revision-1), Delete: true},
			}}})
		}
	}
	return w
}

// Fill makes a store that has one of everything, for Place.Tamper: the installation
// Somewhere with two commits, the last of them open.
func Fill(t *testing.T, p Place) {
	s, err := p.Open(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	l, err := s.Lock(t.Context(), Somewhere, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Unlock()
	commit(t, s, l, write(Somewhere, 1))
	commit(t, s, l, write(Somewhere, 2))
	done := write(Somewhere, 1).Journal
	done.Status = adapters.Finished
	var tidied []adapters.Part
	for _, part := range write(Somewhere, 1).Values {
		if part.Area == adapters.Staged(done.ID) || part.Area == adapters.Kept(done.ID) {
			for i := range part.Batch.Changes {
				part.Batch.Changes[i].Delete = true
			}
			tidied = append(tidied, part)
		}
	}
	commit(t, s, l, adapters.Write{Journal: done, Values: tidied})
}

// everything is all that a store says it has, of all scopes, but for the areas of
// namespaces that were not asked for.
type everything struct {
	Installs []adapters.Install
	Journal  []adapters.JournalEntry
	Audit    []adapters.AuditEntry
	Values   map[string]map[string]string
}

func dump(t *testing.T, s adapters.Store, namespaces ...adapters.Namespace) everything {
	t.Helper()
	e := everything{Values: map[string]map[string]string{}}
	var errs [3]error
	e.Installs, errs[0] = s.Installs(t.Context(), adapters.AllScopes)
	e.Journal, errs[1] = s.Journal(t.Context(), adapters.AllScopes, false)
	e.Audit, errs[2] = s.Audit(t.Context(), adapters.AllScopes)
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	for _, ns := range namespaces {
		areas := []adapters.Area{adapters.Live, adapters.Before}
		for _, j := range e.Journal {
			areas = append(areas, adapters.Staged(j.ID), adapters.Kept(j.ID))
		}
		for _, area := range areas {
			for _, kind := range adapters.Kinds {
				m, err := s.Values(kind).Load(t.Context(), ns.In(area))
				if err != nil {
					t.Fatal(err)
				}
				at := ns.In(area).String() + " " + string(kind)
				for k, v := range m {
					if e.Values[at] == nil {
						e.Values[at] = map[string]string{}
					}
					e.Values[at][k] = fmt.Sprintf("%q %v", v.Bytes, v.Secret || secretAnyway(kind))
				}
			}
		}
	}
	return e
}

func same(t *testing.T, what string, got, want everything) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func commitWrites(t *testing.T, p Place) {
	s := opened(t, p)
	l := locked(t, s, Somewhere)
	w := write(Somewhere, 1)
	commit(t, s, l, w)
	other := opened(t, p)
	i, err := other.Install(t.Context(), Somewhere.In(adapters.Before))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(w.Install, i, canonical); diff != "" {
		t.Errorf("the record (-want +got):\n%s", diff)
	}
	j, err := other.Journal(t.Context(), Somewhere.Scope(), true)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]adapters.JournalEntry{*w.Journal}, j); diff != "" {
		t.Errorf("the journal (-want +got):\n%s", diff)
	}
	a, err := other.Audit(t.Context(), Somewhere.Scope())
	if err != nil {
		t.Fatal(err)
	}
	if len(a) != 2 || a[0].What != "setup" || a[0].Seq != 1 || !a[0].Time.Equal(w.Audit[0].Time) || string(a[1].Detail) != "null" {
		t.Errorf("the audit log is %+v", a)
	}
	for _, part := range w.Values {
		m, err := other.Values(part.Kind).Load(t.Context(), Somewhere.In(part.Area))
		if err != nil {
			t.Fatal(err)
		}
		if len(m) != 3 || string(m["a"].Bytes) != string(part.Batch.Changes[0].Value.Bytes) || !m["hidden"].Secret {
			t.Errorf("%s in the area %q has %d keys, a is %q", part.Kind, part.Area, len(m), m["a"].Bytes)
		}
	}
	// A commit without parts changes nothing.
	before := dump(t, s, Somewhere)
	commit(t, s, l, adapters.Write{})
	same(t, "after an empty commit", dump(t, s, Somewhere), before)
}

// canonical lets raw JSON be written in another way.
var canonical = cmp.Transformer("json", func(raw json.RawMessage) any {
	var v any
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return err.Error()
	}
	return v
})

var errInjected = errors.New("injected")

// injector fails the n-th operation after it was armed. 0 fails none.
type injector struct {
	mu   sync.Mutex
	n    int
	seen []string
}

func (i *injector) arm(n int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.n, i.seen = n, nil
}

func (i *injector) fault(op string) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.seen = append(i.seen, op)
	if len(i.seen) == i.n {
		return errInjected
	}
	return nil
}

// last is the operation that failed or, when there was none, the last.
func (i *injector) last() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.seen) == 0 {
		return ""
	}
	return i.seen[len(i.seen)-1]
}

// wholeOrNot runs change with a fault at each of its operations in turn, until it has
// fewer, and compares what is there with what was before. Only a fault behind the
// COMMIT may come after the change.
func wholeOrNot(t *testing.T, p Place, change func(s adapters.Store, l adapters.Lock) error) {
	var in injector
	s := faulty(t, p, in.fault)
	l := locked(t, s, Somewhere)
	commit(t, s, l, write(Somewhere, 1))
	looker := opened(t, p)
	before := dump(t, looker, Somewhere)
	for n := 1; ; n++ {
		in.arm(n)
		err := change(s, l)
		op := in.last()
		in.arm(0)
		if op == "committed" {
			if cmp.Equal(dump(t, looker, Somewhere), before) {
				t.Errorf("nothing was written, and the commit is said to be done")
			}
			if err == nil {
				if n < 5 {
					t.Errorf("the change has only %d operations", n)
				}
				break
			}
			continue // all operations once more, on what is there already
		}
		if !errors.Is(err, errInjected) {
			t.Fatalf("a fault at operation %d, %q, gives %v", n, op, err)
		}
		if _, ok := errors.AsType[*adapters.Error](err); !ok {
			t.Errorf("a fault at %q gives %T, want *adapters.Error", op, err)
		}
		same(t, fmt.Sprintf("after a fault at operation %d, %q", n, op), dump(t, looker, Somewhere), before)
	}
}

func commitWhole(t *testing.T, p Place) {
	wholeOrNot(t, p, func(s adapters.Store, l adapters.Lock) error { return s.Commit(t.Context(), l, write(Somewhere, 2)) })
}

func batchWhole(t *testing.T, p Place) {
	wholeOrNot(t, p, func(s adapters.Store, l adapters.Lock) error {
		b := write(Somewhere, 2).Values[0].Batch
		b.Token = l.Token()
		return s.Values(adapters.Config).Apply(t.Context(), Somewhere, b)
	})
}

func lockFails(t *testing.T, p Place) {
	var in injector
	s := faulty(t, p, in.fault)
	for n := 1; ; n++ {
		in.arm(n)
		l, err := s.Lock(t.Context(), Somewhere, "test")
		in.arm(0)
		if err == nil {
			if n < 4 {
				t.Errorf("locking has only %d operations", n)
			}
			in.arm(1)
			if err := l.Unlock(); !errors.Is(err, errInjected) {
				t.Errorf("a fault of Unlock gives %v", err)
			}
			in.arm(0)
			locked(t, s, Somewhere)
			return
		}
		if !errors.Is(err, errInjected) {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		again, err := s.Lock(ctx, Somewhere, "test")
		cancel()
		if err != nil {
			t.Fatalf("after a fault at operation %d: %v", n, err)
		}
		again.Unlock()
	}
}

// stale is a lock that somebody else has taken over.
type stale struct {
	ns    adapters.Namespace
	token uint64
}

func (l stale) Namespace() adapters.Namespace { return l.ns }
func (l stale) Token() uint64                 { return l.token }
func (l stale) Unlock() error                 { return nil }

func fenced(t *testing.T, p Place) {
	s := opened(t, p)
	first := locked(t, s, Somewhere)
	commit(t, s, first, write(Somewhere, 1))
	if err := first.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := first.Unlock(); err != nil {
		t.Errorf("a second Unlock gives %v", err)
	}
	wantFenced(t, "a lock that was given back", s.Commit(t.Context(), first, write(Somewhere, 2)))
	other := opened(t, p)
	second := locked(t, other, Somewhere)
	if second.Token() <= first.Token() {
		t.Errorf("the second token is %d, the first was %d", second.Token(), first.Token())
	}
	before := dump(t, s, Somewhere)
	for _, token := range []uint64{0, first.Token(), second.Token() + 1} {
		wantFenced(t, fmt.Sprintf("the token %d", token), s.Commit(t.Context(), stale{Somewhere, token}, write(Somewhere, 2)))
	}
	never := Somewhere
	never.Install = "never locked"
	wantFenced(t, "a lock that nobody took", s.Commit(t.Context(), stale{never, 1}, write(never, 1)))
	old := write(Somewhere, 2).Values[0].Batch
	old.Token = first.Token()
	wantFenced(t, "a batch of the first", s.Values(adapters.Config).Apply(t.Context(), Somewhere, old))
	wantFenced(t, "a batch of the first in an area", s.Values(adapters.Config).Apply(t.Context(), Somewhere.In(adapters.Before), old))
	same(t, "after writers without the lock", dump(t, s, Somewhere, never), before)
	commit(t, other, second, write(Somewhere, 2))
}

func wantFenced(t *testing.T, what string, err error) {
	t.Helper()
	if _, ok := errors.AsType[*adapters.FencedError](err); !ok {
		t.Errorf("%s gives %v, want a *FencedError", what, err)
	}
}

func commitFits(t *testing.T, p Place) {
	s := opened(t, p)
	l := locked(t, s, Somewhere)
	commit(t, s, l, write(Somewhere, 1))
	strange := Somewhere
	strange.Tenant = "other"
	before := dump(t, s, Somewhere, strange)
	for what, w := range map[string]adapters.Write{
		"a record":        {Install: write(strange, 2).Install},
		"a journal entry": {Journal: write(strange, 2).Journal},
		"an audit entry":  {Audit: write(strange, 2).Audit},
	} {
		w.Values = write(Somewhere, 2).Values
		if err := s.Commit(t.Context(), l, w); err == nil {
			t.Errorf("%s of another installation is taken", what)
		}
	}
	neighbour := Somewhere
	neighbour.Install = "neighbour"
	taken := write(neighbour, 1) // has the id of the first journal entry
	if err := s.Commit(t.Context(), locked(t, s, neighbour), taken); err == nil {
		t.Error("a journal entry of another installation is replaced")
	}
	same(t, "after commits of other installations", dump(t, s, Somewhere, strange, neighbour), before)
}

func commitCancelled(t *testing.T, p Place) {
	ctx, cancel := context.WithCancelCause(t.Context())
	var during func(op string)
	s := faulty(t, p, func(op string) error {
		if during != nil {
			during(op)
		}
		return nil
	})
	l := locked(t, s, Somewhere)
	commit(t, s, l, write(Somewhere, 1))
	before := dump(t, s, Somewhere)
	during = func(op string) {
		if op == "put journal" {
			cancel(errors.New("the user gave up"))
		}
	}
	err := s.Commit(ctx, l, write(Somewhere, 2))
	during = nil
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a commit that was cancelled gives %v", err)
	}
	same(t, "after a commit that was cancelled", dump(t, s, Somewhere), before)
	commit(t, s, l, write(Somewhere, 2))
}

// inVain opens a store and gives what asks for a lock twice and then gives up.
func inVain(t *testing.T, p Place) func(ns adapters.Namespace) error {
	var asked atomic.Int32
	var giveUp context.CancelCauseFunc
	s := faulty(t, p, func(op string) error {
		if op == "lock" && asked.Add(1) == 2 {
			giveUp(errors.New("asked twice"))
		}
		return nil
	})
	return func(ns adapters.Namespace) error {
		asked.Store(0)
		var ctx context.Context
		ctx, giveUp = context.WithCancelCause(t.Context())
		defer giveUp(nil)
		l, err := s.Lock(ctx, ns, "in vain")
		if err == nil {
			l.Unlock()
		}
		return err
	}
}

func exclusive(t *testing.T, p Place) {
	var asked atomic.Int32
	ctx, giveUp := context.WithCancelCause(t.Context())
	s := faulty(t, p, func(op string) error {
		if op == "lock" && asked.Add(1) == 3 {
			giveUp(errors.New("asked twice"))
		}
		return nil
	})
	l := locked(t, s, Somewhere)
	_, err := s.Lock(ctx, Somewhere, "second")
	wantLocked(t, "the same store", err)
	again := inVain(t, p)
	for _, area := range []adapters.Area{adapters.Live, adapters.Before} {
		wantLocked(t, fmt.Sprintf("another store in the area %q", area), again(Somewhere.In(area)))
	}
	if l.Namespace() != Somewhere {
		t.Errorf("the lock is of %s", l.Namespace())
	}
	for _, change := range []func(*adapters.Namespace){
		func(ns *adapters.Namespace) { ns.Tenant = "other" },
		func(ns *adapters.Namespace) { ns.Install = "other" },
	} {
		ns := Somewhere
		change(&ns)
		locked(t, s, ns)
		if err := again(Somewhere); err == nil {
			t.Error("the lock of another installation is as good")
		}
	}
}

func wantLocked(t *testing.T, what string, err error) *adapters.LockedError {
	t.Helper()
	e, ok := errors.AsType[*adapters.LockedError](err)
	if !ok {
		t.Fatalf("%s gives %v, want a *LockedError", what, err)
	}
	return e
}

func waiting(t *testing.T, p Place) {
	s, other := opened(t, p), opened(t, p)
	first := locked(t, s, Somewhere)
	got := make(chan error)
	var second adapters.Lock
	go func() {
		var err error
		second, err = other.Lock(t.Context(), Somewhere, "second")
		got <- err
	}()
	select {
	case err := <-got:
		t.Fatalf("the second did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if err := first.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	defer second.Unlock()
	if second.Token() <= first.Token() {
		t.Errorf("the second token is %d, the first was %d", second.Token(), first.Token())
	}
}

func lockedError(t *testing.T, p Place) {
	s, again := opened(t, p), inVain(t, p)
	want := func(holder string) {
		t.Helper()
		e := wantLocked(t, "a lock of "+holder, again(Somewhere))
		if e.Namespace != Somewhere || e.Holder != holder || time.Since(e.Since).Abs() > time.Hour {
			t.Errorf("got %+v, want the holder %q", e, holder)
		}
	}
	for _, holder := range []string{"anna@host1, process 17", "schlüssel", "bert@host2"} {
		l, err := s.Lock(t.Context(), Somewhere, holder)
		if err != nil {
			t.Fatal(err)
		}
		want(holder)
		if err := l.Unlock(); err != nil {
			t.Fatal(err)
		}
	}
}

// lockedAtOnce: the end of the context ends the waiting for others, and nothing else.
func lockedAtOnce(t *testing.T, p Place) {
	var giveUp context.CancelCauseFunc
	at := ""
	s := faulty(t, p, func(op string) error {
		if op == at {
			giveUp(errors.New("no time"))
		}
		return nil
	})
	for _, at = range []string{"lock", "put lock", "commit"} {
		var ctx context.Context
		ctx, giveUp = context.WithCancelCause(t.Context())
		l, err := s.Lock(ctx, Somewhere, "who has no time")
		giveUp(nil)
		if err != nil {
			t.Errorf("a context that ended before %q gives %v", at, err)
			continue
		}
		at = ""
		commit(t, s, l, adapters.Write{})
		if err := l.Unlock(); err != nil {
			t.Error(err)
		}
	}
}

func contended(t *testing.T, p Place) {
	const want = 4
	var mu sync.Mutex
	var tokens []uint64
	var wg sync.WaitGroup
	for range want {
		s := opened(t, p)
		wg.Go(func() {
			l, err := s.Lock(t.Context(), Somewhere, "test")
			if err != nil {
				t.Error(err)
				return
			}
			i, err := s.Install(t.Context(), Somewhere)
			if err != nil {
				t.Error(err)
			}
			revision := uint64(1)
			if i != nil {
				revision = i.Revision + 1
			}
			if err := s.Commit(t.Context(), l, write(Somewhere, revision)); err != nil {
				t.Error(err)
			}
			mu.Lock()
			tokens = append(tokens, l.Token())
			mu.Unlock()
			if err := l.Unlock(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if i, err := opened(t, p).Install(t.Context(), Somewhere); err != nil || i == nil || i.Revision != want {
		t.Errorf("after %d commits the record is %+v, %v", want, i, err)
	}
	if !slices.IsSorted(tokens) || len(slices.Compact(tokens)) != want {
		t.Errorf("the tokens are %d", tokens)
	}
}

// three are installations of two tenants.
func three() []adapters.Namespace {
	a, b, c := Somewhere, Somewhere, Somewhere
	b.Install = "another"
	c.Tenant = "zebra"
	return []adapters.Namespace{a, b, c}
}

// fillThree commits each of three once, with revisions of their own.
func fillThree(t *testing.T, s adapters.Store) {
	for i, ns := range three() {
		l := locked(t, s, ns)
		commit(t, s, l, write(ns, uint64(i+1)))
		l.Unlock()
	}
}

func listed(t *testing.T, p Place) {
	s := opened(t, p)
	if i, err := s.Install(t.Context(), Somewhere); i != nil || err != nil {
		t.Errorf("what nobody installed is %+v, %v", i, err)
	}
	fillThree(t, s)
	for scope, want := range map[adapters.Scope][]adapters.Namespace{
		Somewhere.Scope():      {three()[1], three()[0]},
		three()[2].Scope():     {three()[2]},
		adapters.AllScopes:     {three()[1], three()[0], three()[2]},
		"dev:":                 {},
		"dev:acm%65":           {},
		adapters.Scope(`dev'`): {},
	} {
		all, err := s.Installs(t.Context(), scope)
		if err != nil {
			t.Fatal(err)
		}
		got := []adapters.Namespace{}
		for _, i := range all {
			got = append(got, i.Namespace)
		}
		if !slices.Equal(got, want) {
			t.Errorf("the scope %s has %v, want %v", scope, got, want)
		}
	}
	w := write(Somewhere, 4)
	w.Install.Status = adapters.Removed
	commit(t, s, locked(t, s, Somewhere), w)
	if all, err := s.Installs(t.Context(), Somewhere.Scope()); err != nil || len(all) != 2 || all[1].Status != adapters.Removed || all[1].Revision != 4 {
		t.Errorf("after a removal the scope has %+v, %v", all, err)
	}
}

func journalled(t *testing.T, p Place) {
	s := opened(t, p)
	fillThree(t, s)
	done := write(Somewhere, 1).Journal
	done.Status = adapters.Finished
	l := locked(t, s, Somewhere)
	commit(t, s, l, adapters.Write{Journal: done})
	undone, intent := write(Somewhere, 5).Journal, write(Somewhere, 4).Journal
	undone.Status, intent.Status = adapters.RolledBack, adapters.Intent
	commit(t, s, l, adapters.Write{Journal: undone})
	commit(t, s, l, adapters.Write{Journal: intent})
	for _, test := range []struct {
		scope adapters.Scope
		open  bool
		want  []uint64
	}{
		{Somewhere.Scope(), false, []uint64{1, 2, 4, 5}},
		{Somewhere.Scope(), true, []uint64{2, 4}},
		{three()[2].Scope(), false, []uint64{3}},
		{adapters.AllScopes, false, []uint64{1, 2, 3, 4, 5}},
		{adapters.AllScopes, true, []uint64{2, 3, 4}},
		{"dev:nobody", false, nil},
	} {
		entries, err := s.Journal(t.Context(), test.scope, test.open)
		if err != nil {
			t.Fatal(err)
		}
		var got []uint64
		for _, e := range entries {
			got = append(got, e.Revision)
			if test.open != e.Status.Open() && test.open {
				t.Errorf("the entry %s is %s and listed as open", e.ID, e.Status)
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("the journal of %s, open %v, has %d, want %d", test.scope, test.open, got, test.want)
		}
	}
}

// links checks that entries are one chain from its beginning.
func links(t *testing.T, entries []adapters.AuditEntry) (end adapters.Chain) {
	t.Helper()
	for _, e := range entries {
		if !e.Follows(end) {
			t.Errorf("the entry %d does not follow the one before", e.Seq)
		}
		end = e.End()
	}
	return end
}

func chained(t *testing.T, p Place) {
	s := opened(t, p)
	fillThree(t, s)
	l := locked(t, s, Somewhere)
	commit(t, s, l, adapters.Write{Audit: write(Somewhere, 4).Audit[:1]})
	heads := map[adapters.Scope]adapters.Chain{}
	for scope, want := range map[adapters.Scope]int{Somewhere.Scope(): 5, three()[2].Scope(): 2} {
		log, err := s.Audit(t.Context(), scope)
		if err != nil {
			t.Fatal(err)
		}
		if len(log) != want {
			t.Errorf("the log of %s has %d entries, want %d", scope, len(log), want)
		}
		for _, e := range log {
			if e.Scope != scope {
				t.Errorf("the log of %s has an entry of %s", scope, e.Scope)
			}
		}
		heads[scope] = links(t, log)
	}
	if all, err := s.Audit(t.Context(), adapters.AllScopes); err != nil || len(all) != 7 {
		t.Errorf("all logs have %d entries, %v; want 7", len(all), err)
	}
	r, err := s.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(heads, r.Heads); diff != "" {
		t.Errorf("the heads in the report (-want +got):\n%s", diff)
	}
}

func appenders(t *testing.T, p Place) {
	each(func(w int) {
		s, err := p.Open(nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer s.Close()
		ns := Somewhere
		ns.Install = fmt.Sprint("install", w)
		l, err := s.Lock(t.Context(), ns, "test")
		if err != nil {
			t.Error(err)
			return
		}
		defer l.Unlock()
		for b := range batches {
			if err := s.Commit(t.Context(), l, write(ns, uint64(100*w+b+1))); err != nil {
				t.Error(err)
			}
		}
	})
	log, err := opened(t, p).Audit(t.Context(), Somewhere.Scope())
	if err != nil {
		t.Fatal(err)
	}
	if links(t, log); len(log) != 2*writers*batches {
		t.Errorf("the log has %d entries, want %d", len(log), 2*writers*batches)
	}
}

func sound(t *testing.T, p Place) {
	Fill(t, p)
	s := opened(t, p)
	r, err := s.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Problems) > 0 {
		t.Errorf("a sound store has problems: %+v", r.Problems)
	}
	if want := len(adapters.Kinds) * 4 * 3; r.Installs != 1 || r.Open != 1 || r.Audit != 4 || r.Values != want {
		t.Errorf("the report is %+v, want %d values", r, want)
	}
}

func stray(t *testing.T, p Place) {
	Fill(t, p)
	s := opened(t, p)
	finished := fmt.Sprintf("%032x", 1)
	for _, area := range []adapters.Area{adapters.Staged(finished), adapters.Kept(finished)} {
		lost := Somewhere.In(area)
		change := func(c adapters.Change) {
			t.Helper()
			if err := s.Values(adapters.Config).Apply(t.Context(), lost, adapters.Batch{Changes: []adapters.Change{c}}); err != nil {
				t.Fatal(err)
			}
		}
		change(adapters.Change{Key: "a"})
		r, err := s.Check(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Problems) != 1 || !strings.Contains(r.Problems[0].Where, lost.String()) {
			t.Errorf("the problems are %+v, want one of %s", r.Problems, lost)
		}
		change(adapters.Change{Key: "a", Delete: true})
	}
}

func tampered(t *testing.T, p Place, what string) {
	Fill(t, p)
	p.Tamper[what](t)
	s := opened(t, p)
	r, err := s.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Problems) == 0 {
		t.Error("nothing was found")
	}
	for _, problem := range r.Problems {
		if problem.Where == "" || problem.What == "" || strings.Contains(problem.Where+problem.What, "\n") {
			t.Errorf("the problem %+v does not say what and where on one line", problem)
		}
	}
}

func backup(t *testing.T, p Place) {
	Fill(t, p)
	s := opened(t, p)
	want := dump(t, s, Somewhere)
	path := filepath.Join(t.TempDir(), "copy of it?.db")
	if err := s.Backup(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	c, err := p.OpenBackup(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	same(t, "the backup", dump(t, c, Somewhere), want)
	if r, err := c.Check(t.Context()); err != nil || len(r.Problems) > 0 {
		t.Errorf("the backup has the problems %+v, %v", r.Problems, err)
	}
	last, err := s.Lock(t.Context(), Somewhere, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer last.Unlock()
	next, err := c.Lock(t.Context(), Somewhere, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer next.Unlock()
	if next.Token() != last.Token() {
		t.Errorf("in the backup the next token is %d, want %d", next.Token(), last.Token())
	}
	if err := s.Backup(t.Context(), path); err == nil {
		t.Error("a backup is written over another")
	}
	same(t, "the backup after a second one", dump(t, c, Somewhere), want)
	if err := s.Backup(t.Context(), filepath.Join(t.TempDir(), "no", "folder")); err == nil {
		t.Error("a backup into a folder that is not there gives no error")
	}
}

func backupMeanwhile(t *testing.T, p Place) {
	Fill(t, p)
	s, other := opened(t, p), opened(t, p)
	l := locked(t, other, Somewhere)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for revision := uint64(3); ; revision++ {
			select {
			case <-stop:
				return
			default:
			}
			if err := other.Commit(t.Context(), l, write(Somewhere, revision)); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for n := range 3 {
		path := filepath.Join(t.TempDir(), fmt.Sprint("copy", n))
		if err := s.Backup(t.Context(), path); err != nil {
			t.Error(err)
			break
		}
		c, err := p.OpenBackup(path)
		if err != nil {
			t.Error(err)
			break
		}
		e := dump(t, c, Somewhere)
		links(t, e.Audit)
		revision := e.Installs[0].Revision
		if got, want := e.Values[Somewhere.String()+" config"]["a"], fmt.Sprintf("%q false", fmt.Sprint(Somewhere.String(), " config", revision)); got != want {
			t.Errorf("at revision %d the backup has the value %s, want %s", revision, got, want)
		}
		if len(e.Audit) != 2*int(revision) || len(e.Journal) != int(revision) {
			t.Errorf("at revision %d the backup has %d audit and %d journal entries", revision, len(e.Audit), len(e.Journal))
		}
		c.Close()
	}
	close(stop)
	<-stopped
}

func newer(t *testing.T, p Place) {
	if p.Newer == nil {
		t.Skip("the store cannot be made newer here")
	}
	Fill(t, p)
	p.Newer(t)
	s, err := p.Open(nil)
	if err == nil {
		s.Close()
	}
	if e, ok := errors.AsType[*adapters.ConfigError](err); !ok || e.Hint == "" {
		t.Errorf("opening gives %v, want a *ConfigError with a hint", err)
	}
}
