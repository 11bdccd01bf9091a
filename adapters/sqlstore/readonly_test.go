package sqlstore_test

import (
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/adapters/sqlite"
	"github.com/greentic-ai/greentic-provision/adapters/sqlstore"
	"github.com/greentic-ai/greentic-provision/adapters/storetest"
)

// lookingMakesNothing: what was looked for twice is still not there.
func lookingMakesNothing(t *testing.T, e engine) {
	for range 2 {
		s, err := e.open(sqlstore.Options{Sealer: sealer{}, ReadOnly: true})
		if err == nil {
			s.Close()
			t.Fatal("a store that nobody made opens")
		}
		if _, ok := errors.AsType[*adapters.Error](err); !ok || !errors.Is(err, sqlstore.ErrNoStore) {
			t.Errorf("where there is no store the error is %v", err)
		}
	}
	e.opened(t, sqlstore.Options{})
	s := e.opened(t, sqlstore.Options{ReadOnly: true})
	if all, err := s.Installs(t.Context(), adapters.AllScopes); err != nil || len(all) != 0 {
		t.Errorf("a new store has %+v, %v", all, err)
	}
}

// readOnlyWritesNothing: everything can be read, and nothing written.
func readOnlyWritesNothing(t *testing.T, e engine) {
	storetest.Fill(t, place(e))
	var asked atomic.Int32
	writer, s := e.opened(t, sqlstore.Options{}), e.opened(t, sqlstore.Options{ReadOnly: true, Sealer: sealer{asked: &asked}})
	ns := storetest.Somewhere
	l, err := writer.Lock(t.Context(), ns, "writer")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Unlock()
	other := ns
	other.Install = "other"
	_, lockErr := s.Lock(t.Context(), other, "reader")
	for what, err := range map[string]error{
		"Lock":                      lockErr,
		"Commit":                    s.Commit(t.Context(), l, revisionOf(7)),
		"Commit of nothing":         s.Commit(t.Context(), l, adapters.Write{}),
		"Apply":                     s.Values(adapters.Config).Apply(t.Context(), ns, set("a", "1", false)),
		"Apply of the first secret": s.Values(adapters.Secrets).Apply(t.Context(), ns, set("a", "1", false)),
	} {
		if _, ok := errors.AsType[*adapters.Error](err); !ok || !strings.Contains(err.Error(), "reading only") {
			t.Errorf("%s gives %v", what, err)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the recipient was asked for %d times", n)
	}
	// The engine itself would refuse it too.
	if err := writer.CopyTo(t.Context(), s); err == nil || !strings.Contains(err.Error(), "read") {
		t.Errorf("writing past the check gives %v", err)
	}

	// It sees what others write meanwhile.
	if err := writer.Commit(t.Context(), l, adapters.Write{Values: []adapters.Part{{Kind: adapters.Hidden, Batch: set("new", "1", false)}}}); err != nil {
		t.Fatal(err)
	}
	if m, err := s.Values(adapters.Hidden).Load(t.Context(), ns); err != nil || string(m["new"].Bytes) != "1" {
		t.Errorf("what another wrote meanwhile is %q, %v", m["new"].Bytes, err)
	}
	want, err := writer.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Check(t.Context())
	if err != nil || len(r.Problems) != 0 || r.Values != want.Values || r.Audit != 4 || r.Installs != 1 {
		t.Errorf("the report is %+v, %v; want %+v", r, err, want)
	}
	path := filepath.Join(t.TempDir(), "copy.db")
	if err := s.Backup(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	c, err := sqlite.Open(t.Context(), path, sqlstore.Options{Sealer: sealer{}, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got, err := c.Check(t.Context()); err != nil || len(got.Problems) != 0 || got.Values != want.Values {
		t.Errorf("the report of the backup is %+v, %v; want %+v", got, err, want)
	}
}

// olderStoreIsNotRead: it takes an apply to migrate it.
func olderStoreIsNotRead(t *testing.T, e engine) {
	e.opened(t, sqlstore.Options{})
	for range 2 {
		s, err := e.open(sqlstore.WithSchema(sqlstore.Options{ReadOnly: true}, step2))
		if err == nil {
			s.Close()
		}
		if !isConfigError(err) || !strings.Contains(err.Error(), "version 1") || !strings.Contains(err.Error(), "next apply") {
			t.Errorf("an older store gives %v", err)
		}
	}
	migrated, err := e.open(sqlstore.WithSchema(sqlstore.Options{}, step2))
	if err != nil {
		t.Fatal(err)
	}
	defer migrated.Close()
	read, err := e.open(sqlstore.WithSchema(sqlstore.Options{ReadOnly: true}, step2))
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	s, err := e.open(sqlstore.Options{ReadOnly: true})
	if err == nil {
		s.Close()
	}
	if !isConfigError(err) || !strings.Contains(err.Error(), "newer") {
		t.Errorf("a newer store gives %v", err)
	}
}
