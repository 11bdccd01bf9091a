package sqlstore_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/adapters/sqlstore"
	"github.com/greentic-ai/greentic-provision/adapters/storetest"
)

// step2 is what a next version might do.
func step2(*sqlstore.Dialect) []string {
	return []string{`ALTER TABLE provision_installs ADD COLUMN note TEXT NOT NULL DEFAULT 'none'`,
		`CREATE TABLE provision_notes (scope TEXT NOT NULL, size {int} NOT NULL) {options}`}
}

func migrationForward(t *testing.T, e engine) {
	s := e.opened(t, sqlstore.Options{})
	if err := s.Values(adapters.Secrets).Apply(t.Context(), storetest.Somewhere, set("a", "1", true)); err != nil {
		t.Fatal(err)
	}
	// A step that fails leaves the store as it was.
	bad := sqlstore.WithSchema(sqlstore.Options{}, func(d *sqlstore.Dialect) []string { return append(step2(d), "NONSENSE") })
	if s, err := e.open(bad); err == nil {
		s.Close()
		t.Error("a schema that makes no sense was made")
	}
	for n := 1; ; n++ {
		done := 0
		s, err := e.open(sqlstore.WithSchema(sqlstore.Options{Sealer: sealer{}, Fault: func(op string) error {
			if done++; done == n && op != "committed" {
				return errors.New("injected")
			}
			return nil
		}}, step2))
		if err != nil {
			continue
		}
		if n < 4 {
			t.Errorf("the migration has only %d operations", n)
		}
		defer s.Close()
		if m, err := s.Values(adapters.Secrets).Load(t.Context(), storetest.Somewhere); err != nil || string(m["a"].Bytes) != "1" {
			t.Errorf("after the migration there are %d values, %v", len(m), err)
		}
		break
	}
	e.exec(t, `INSERT INTO provision_notes (scope, size) VALUES ('dev:acme', 1)`)
	// This program does not know the next version.
	s2, err := e.open(sqlstore.Options{})
	if err == nil {
		s2.Close()
	}
	if !isConfigError(err) || !strings.Contains(err.Error(), "version 2") || !strings.Contains(err.Error(), "up to 1") {
		t.Errorf("a newer store gives %v", err)
	}
}

func damagedVersion(t *testing.T, e engine) {
	e.opened(t, sqlstore.Options{})
	for _, version := range []string{"''", "'0'", "'-1'", "'one'"} {
		e.exec(t, `UPDATE provision_meta SET value = `+version+` WHERE name = 'schema'`)
		s, err := e.open(sqlstore.Options{})
		if err == nil {
			s.Close()
		}
		if !isConfigError(err) {
			t.Errorf("the version %s gives %v", version, err)
		}
	}
}

func manyOpenANewStoreAtOnce(t *testing.T, e engine) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			s, err := e.open(sqlstore.Options{ReadOnly: true})
			if errors.Is(err, sqlstore.ErrNoStore) {
				return
			}
			if err != nil {
				t.Errorf("who looks gets %v", err)
				return
			}
			defer s.Close()
			if _, err := s.Installs(t.Context(), adapters.AllScopes); err != nil {
				t.Errorf("who looks gets %v", err)
			}
		})
		wg.Go(func() {
			s, err := e.open(sqlstore.Options{})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			if _, err := s.Installs(t.Context(), adapters.AllScopes); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
