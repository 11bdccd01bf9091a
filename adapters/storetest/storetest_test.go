package storetest_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/adapters/sqlite"
	"github.com/greentic-ai/greentic-provision/adapters/sqlstore"
	"github.com/greentic-ai/greentic-provision/adapters/storetest"
)

// memory is an adapters.Values that does nothing but what it must, or has a fault.
type memory struct {
	fault  string
	mu     sync.Mutex
	values map[string]map[string]adapters.Value
	ids    map[string]bool
}

func newMemory(fault string) *memory {
	return &memory{fault: fault, values: map[string]map[string]adapters.Value{}, ids: map[string]bool{}}
}

func (m *memory) place(ns adapters.Namespace) string {
	switch m.fault {
	case "one tenant":
		ns.Tenant = ""
	case "one area":
		ns.Area = adapters.Live
	case "bare names":
		return strings.Join([]string{ns.Env, ns.Tenant, ns.Team, ns.Provider, ns.Install, string(ns.Area)}, ":")
	case "no case":
		return strings.ToLower(ns.String())
	}
	return ns.String()
}

func (m *memory) Keys(ctx context.Context, ns adapters.Namespace) ([]string, error) {
	if err := ctx.Err(); err != nil && m.fault != "no context" {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	keys := slices.Sorted(maps.Keys(m.values[m.place(ns)]))
	if m.fault == "unsorted" {
		slices.SortFunc(keys, func(a, b string) int { return cmp.Or(len(a)-len(b), cmp.Compare(a, b)) })
	}
	return keys, nil
}

func (m *memory) Load(ctx context.Context, ns adapters.Namespace) (map[string]adapters.Value, error) {
	if err := ctx.Err(); err != nil && m.fault != "no context" {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	loaded := map[string]adapters.Value{}
	for k, v := range m.values[m.place(ns)] {
		if m.fault != "shared bytes" {
			v.Bytes = bytes.Clone(v.Bytes)
		}
		loaded[k] = v
	}
	return loaded, nil
}

func (m *memory) Apply(ctx context.Context, ns adapters.Namespace, b adapters.Batch) error {
	if err := ctx.Err(); err != nil && m.fault != "no context" {
		return err
	}
	for _, c := range b.Changes {
		switch {
		case len(c.Key) > adapters.MaxKey || len(c.Value.Bytes) > adapters.MaxValue:
			if m.fault == "loud errors" {
				return fmt.Errorf("%q is too large: %q", c.Key, c.Value.Bytes)
			}
			return errors.New("a key or a value is too large")
		case m.fault == "small values" && len(c.Value.Bytes) > 1<<16, m.fault == "no empty value" && !c.Delete && len(c.Value.Bytes) == 0:
			return errors.New("cannot be kept")
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fault == "once" && m.ids[b.ID] {
		return errors.New("was applied before")
	}
	m.ids[b.ID] = true
	if m.fault == "first counts" {
		slices.Reverse(b.Changes)
	}
	place := m.place(ns)
	if m.values[place] == nil || m.fault == "forgets others" {
		m.values[place] = map[string]adapters.Value{}
	}
	for _, c := range b.Changes {
		switch {
		case c.Delete && m.fault == "no delete":
		case c.Delete:
			delete(m.values[place], c.Key)
		default:
			if m.fault != "caller's bytes" {
				c.Value.Bytes = append([]byte{}, c.Value.Bytes...)
			}
			if m.fault == "text" {
				c.Value.Bytes = bytes.ToValidUTF8(c.Value.Bytes, []byte("?"))
			}
			if m.fault == "no secrets" {
				c.Value.Secret = false
			}
			key := c.Key
			if m.fault == "ascii keys" {
				key = strings.Map(func(r rune) rune { return min(r, 127) }, key)
			}
			m.values[place][key] = c.Value
		}
	}
	return nil
}

func TestValues(t *testing.T) {
	memory := func(*testing.T) adapters.Values { return newMemory("") }
	t.Run("anything", func(t *testing.T) { storetest.Values(t, memory, storetest.WholeBatches()) })
	t.Run("secrets", func(t *testing.T) {
		storetest.Values(t, memory, storetest.Kind(adapters.Secrets), storetest.SecretNames())
	})
	t.Run("JSON", func(t *testing.T) { storetest.Values(t, memory, storetest.JSON()) })
	t.Run("small and of one tenant", func(t *testing.T) {
		storetest.Values(t, func(*testing.T) adapters.Values { return newMemory("one tenant") }, storetest.Limits(100, 1000), storetest.JSON(),
			storetest.Namespaces(func(ns adapters.Namespace) (string, bool) {
				ns.Tenant = ""
				return ns.String(), ns.Area == adapters.Live
			}))
	})
}

// store is an adapters.Store with a fault.
type store struct {
	adapters.Store
	fault string
}

type lock struct {
	adapters.Lock
	token uint64
}

func (l lock) Token() uint64 { return l.token }

func (s store) Lock(ctx context.Context, ns adapters.Namespace, holder string) (adapters.Lock, error) {
	switch s.fault {
	case "no try":
		l, err := s.Store.Lock(ctx, ns, holder)
		if err == nil && ctx.Err() != nil {
			return nil, errors.Join(ctx.Err(), l.Unlock())
		}
		return l, err
	case "no exclusion":
		ns.Install += fmt.Sprint(installs.Add(1))
	case "one token":
		l, err := s.Store.Lock(ctx, ns, holder)
		if err != nil {
			return nil, err
		}
		return lock{l, 1}, nil
	case "unknown holder":
		l, err := s.Store.Lock(ctx, ns, holder)
		if _, ok := errors.AsType[*adapters.LockedError](err); ok {
			err = &adapters.LockedError{Namespace: ns}
		}
		return l, err
	}
	return s.Store.Lock(ctx, ns, holder)
}

func (s store) Commit(ctx context.Context, l adapters.Lock, w adapters.Write) error {
	switch s.fault {
	case "two transactions":
		if err := s.Store.Commit(ctx, l, adapters.Write{Values: w.Values}); err != nil {
			return err
		}
		w.Values = nil
	case "no fence":
		if err := s.Store.Commit(ctx, l, w); err != nil {
			if _, ok := errors.AsType[*adapters.FencedError](err); !ok {
				return err
			}
		}
		return nil
	case "any installation":
		if w.Install != nil && w.Install.Namespace != l.Namespace() {
			return nil
		}
	case "no audit":
		w.Audit = nil
	}
	return s.Store.Commit(ctx, l, w)
}

func (s store) Installs(ctx context.Context, scope adapters.Scope) ([]adapters.Install, error) {
	if s.fault == "all tenants" {
		scope = adapters.AllScopes
	}
	all, err := s.Store.Installs(ctx, scope)
	if s.fault == "unsorted" {
		slices.Reverse(all)
	}
	return all, err
}

func (s store) Journal(ctx context.Context, scope adapters.Scope, open bool) ([]adapters.JournalEntry, error) {
	return s.Store.Journal(ctx, scope, open && s.fault != "closed entries")
}

func (s store) Audit(ctx context.Context, scope adapters.Scope) ([]adapters.AuditEntry, error) {
	log, err := s.Store.Audit(ctx, scope)
	if s.fault == "broken chain" && len(log) > 1 {
		log[1].Prev = ""
	}
	return log, err
}

func (s store) Check(ctx context.Context) (adapters.Report, error) {
	r, err := s.Store.Check(ctx)
	if s.fault == "blind" {
		r.Problems = nil
	}
	return r, err
}

func (s store) Backup(ctx context.Context, path string) error {
	if s.fault == "overwrites" {
		os.Remove(path)
	}
	return s.Store.Backup(ctx, path)
}

// installs counts installations that were never there.
var installs atomic.Int32

// plain is a sealer that seals nothing.
type plain struct{}

func (plain) Recipient(context.Context) (string, error)                         { return "nobody", nil }
func (plain) Seal(_, _ string, value []byte) ([]byte, error)                    { return value, nil }
func (plain) Open(_ context.Context, _, _ string, value []byte) ([]byte, error) { return value, nil }

func place(t *testing.T, fault string) storetest.Place {
	path := filepath.Join(t.TempDir(), "store.db")
	open := func(path string, hook func(string) error) (adapters.Store, error) {
		s, err := sqlite.Open(context.Background(), path, sqlstore.Options{Sealer: plain{}, Fault: hook, Wait: time.Minute}) // machines are busy
		if err != nil {
			return nil, err
		}
		return store{Store: s, fault: fault}, nil
	}
	return storetest.Place{
		Open:       func(hook func(string) error) (adapters.Store, error) { return open(path, hook) },
		OpenBackup: func(path string) (adapters.Store, error) { return open(path, nil) },
		Tamper:     map[string]func(*testing.T){"nothing": func(*testing.T) {}},
		Newer:      func(*testing.T) {},
	}
}

// What tells this program which fault to show to which suite.
const faultyEnv = "STORETEST_FAULT"

// TestFaulty fails, in a process of its own, for TestFaultsAreFound.
func TestFaulty(t *testing.T) {
	suite, fault, ok := strings.Cut(os.Getenv(faultyEnv), " ")
	switch {
	case !ok:
		t.Skip("for TestFaultsAreFound")
	case suite == "values":
		storetest.Values(t, func(*testing.T) adapters.Values { return newMemory(fault) })
	default:
		storetest.Store(t, func(t *testing.T) storetest.Place { return place(t, fault) })
	}
}

// TestFaultsAreFound: the test that is about a fault finds it.
func TestFaultsAreFound(t *testing.T) {
	for _, test := range []struct{ suite, fault, finds string }{
		{"values", "one tenant", "namespaces_are_kept_apart"},
		{"values", "one area", "namespaces_are_kept_apart"},
		{"values", "bare names", "namespaces_are_kept_apart"},
		{"values", "no case", "namespaces_are_kept_apart"},
		{"values", "no context", "a_context_that_has_ended"},
		{"values", "unsorted", "many_keys_come_sorted"},
		{"values", "shared bytes", "bytes_are_not_shared_with_the_caller"},
		{"values", "caller's bytes", "bytes_are_not_shared_with_the_caller"},
		{"values", "loud errors", "errors_hold_no_value"},
		{"values", "small values", "the_largest_value"},
		{"values", "no empty value", "the_empty_value"},
		{"values", "once", "a_batch_applied_once_more_changes_nothing"},
		{"values", "first counts", "of_several_changes_of_a_key_the_last_counts"},
		{"values", "forgets others", "what_is_set_is_read_back"},
		{"values", "no delete", "what_is_deleted_is_gone"},
		{"values", "text", "any_bytes"},
		{"values", "no secrets", "secret_values_stay_secret"},
		{"values", "ascii keys", "keys_of_any_script"},
		{"store", "no exclusion", "one_holds_the_lock_of_an_installation"},
		{"store", "one token", "a_commit_needs_the_newest_lock"},
		{"store", "unknown holder", "who_waits_in_vain_learns_who_holds_it"},
		{"store", "no try", "who_has_no_time_gets_a_lock_that_is_free"},
		{"store", "two transactions", "a_commit_happens_whole_or_not_at_all"},
		{"store", "no fence", "a_commit_needs_the_newest_lock"},
		{"store", "any installation", "a_commit_is_of_its_lock's_installation"},
		{"store", "no audit", "appenders_of_one_chain"},
		{"store", "all tenants", "installations_are_listed"},
		{"store", "unsorted", "installations_are_listed"},
		{"store", "closed entries", "the_journal_is_listed"},
		{"store", "broken chain", "the_audit_log_is_a_chain"},
		{"store", "blind", "values_that_no_commit_staged_are_found"},
		{"store", "overwrites", "a_backup_has_everything"},
		{"store", "tampering that Check does not see", "check_finds:_nothing"},
		{"store", "a newer store that opens", "a_newer_store_is_refused"},
	} {
		t.Run(test.suite+" "+test.fault, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFaulty$/^"+test.finds+"$", "-test.v")
			cmd.Env = append(os.Environ(), faultyEnv+"="+test.suite+" "+test.fault)
			out, err := cmd.CombinedOutput()
			if err == nil || !bytes.Contains(out, []byte("--- FAIL: TestFaulty/"+test.finds)) {
				t.Errorf("it is not found: %v\n%s", err, out)
			}
		})
	}
}

// TestNoFaultIsNoFault: the same store without a fault passes, in those tests.
func TestNoFaultIsNoFault(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFaulty$/^[^vc]")
	cmd.Env = append(os.Environ(), faultyEnv+"=store none")
	out, err := cmd.CombinedOutput()
	if want := "--- FAIL: TestFaulty/a_newer_store_is_refused"; strings.Count(string(out), "--- FAIL: TestFaulty/") != 1 || !bytes.Contains(out, []byte(want)) {
		t.Errorf("it fails in more than what it cannot do: %v\n%s", err, out)
	}
}
