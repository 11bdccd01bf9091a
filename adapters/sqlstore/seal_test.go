package sqlstore_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/adapters/sqlstore"
	"github.com/greentic-ai/greentic-provision/adapters/storetest"
)

func set(key, value string, secret bool) adapters.Batch {
	return adapters.Batch{Changes: []adapters.Change{{Key: key, Value: adapters.Value{Bytes: []byte(value), Secret: secret}}}}
}

func noIdentityIsMadeForAStoreWithoutSecrets(t *testing.T, e engine) {
	var asked atomic.Int32
	s := e.opened(t, sqlstore.Options{Sealer: sealer{asked: &asked}})
	if err := s.Values(adapters.Config).Apply(t.Context(), storetest.Somewhere, set("a", "1", false)); err != nil {
		t.Fatal(err)
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the recipient was asked for %d times", n)
	}
	for range 2 {
		if err := s.Values(adapters.Secrets).Apply(t.Context(), storetest.Somewhere, set("a", "1", false)); err != nil {
			t.Fatal(err)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("with secrets the recipient was asked for %d times, want 1", n)
	}
	// The recorded one is used from then on, whatever the sealer would say.
	other := e.opened(t, sqlstore.Options{Sealer: sealer{recipient: "other", asked: &asked}})
	if err := other.Values(adapters.Secrets).Apply(t.Context(), storetest.Somewhere, set("b", "2", false)); err != nil {
		t.Fatal(err)
	}
	if m, err := s.Values(adapters.Secrets).Load(t.Context(), storetest.Somewhere); err != nil || string(m["b"].Bytes) != "2" || asked.Load() != 1 {
		t.Errorf("of two sealers the store has %d values, %v, and asked %d times", len(m), err, asked.Load())
	}
}

// firstRecipientWins: two processes seal the first values of a store at once, each
// with an identity of its own.
func firstRecipientWins(t *testing.T, e engine) {
	first := e.opened(t, sqlstore.Options{Sealer: sealer{recipient: "first"}})
	between := sealer{recipient: "second", before: func() {
		if err := first.Values(adapters.Secrets).Apply(t.Context(), storetest.Somewhere, set("a", "1", false)); err != nil {
			t.Error(err)
		}
	}}
	second := e.opened(t, sqlstore.Options{Sealer: between})
	if err := second.Values(adapters.Secrets).Apply(t.Context(), storetest.Somewhere, set("b", "2", false)); err != nil {
		t.Fatal(err)
	}
	m, err := first.Values(adapters.Secrets).Load(t.Context(), storetest.Somewhere)
	if err != nil || string(m["a"].Bytes) != "1" || string(m["b"].Bytes) != "2" {
		t.Errorf("the store has %d values, %v", len(m), err)
	}
}

func secretsAreNotInClear(t *testing.T, e engine) {
	const canary = "canary-91d2"
	s := e.opened(t, sqlstore.Options{})
	for kind, secret := range map[adapters.Kind]bool{adapters.Secrets: false, adapters.State: false, adapters.Hidden: false, adapters.Config: true} {
		if err := s.Values(kind).Apply(t.Context(), storetest.Somewhere, set("a", canary, secret)); err != nil {
			t.Fatal(err)
		}
	}
	db := e.sql(t)
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), `SELECT value FROM provision_values`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		var value []byte
		if err := rows.Scan(&value); err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(value, []byte(canary)) {
			t.Error("a secret lies in clear")
		}
	}
	if err := rows.Err(); err != nil || n != 4 {
		t.Errorf("there are %d values, %v", n, err)
	}
}

func missingIdentity(t *testing.T, e engine) {
	s := e.opened(t, sqlstore.Options{})
	for _, key := range []string{"a", "b"} {
		if err := s.Values(adapters.Secrets).Apply(t.Context(), storetest.Somewhere, set(key, "1", false)); err != nil {
			t.Fatal(err)
		}
	}
	missing := &adapters.ConfigError{Adapter: "seal", Reason: "there is no identity", Hint: "make one"}
	for what, with := range map[string]sqlstore.Sealer{"a sealer without identity": sealer{err: missing}, "no sealer": nil} {
		s, err := e.open(sqlstore.Options{Sealer: with})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		v := s.Values(adapters.Secrets)
		if keys, err := v.Keys(t.Context(), storetest.Somewhere); err != nil || len(keys) != 2 {
			t.Errorf("with %s the keys are %q, %v", what, keys, err)
		}
		if _, err := v.Load(t.Context(), storetest.Somewhere); !isConfigError(err) {
			t.Errorf("with %s Load gives %v", what, err)
		}
		r, err := s.Check(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Problems) != 1 || !strings.Contains(r.Problems[0].What, "not checked") || !strings.Contains(r.Problems[0].What, "there is no identity") {
			t.Errorf("with %s the problems are %+v, want one", what, r.Problems)
		}
	}
	if s, err := e.open(sqlstore.Options{}); err != nil {
		t.Error(err)
	} else {
		defer s.Close()
		if err := s.Values(adapters.Secrets).Apply(t.Context(), storetest.Somewhere, set("c", "1", false)); !isConfigError(err) {
			t.Errorf("a secret without a sealer gives %v", err)
		}
		if err := s.Values(adapters.Config).Apply(t.Context(), storetest.Somewhere, set("c", "1", false)); err != nil {
			t.Errorf("config without a sealer gives %v", err)
		}
	}
}

func isConfigError(err error) bool {
	_, ok := errors.AsType[*adapters.ConfigError](err)
	return ok
}

func sealedValuesOpenInTheirPlaceOnly(t *testing.T, e engine) {
	s := e.opened(t, sqlstore.Options{})
	other := storetest.Somewhere
	other.Tenant = "other"
	for _, ns := range []adapters.Namespace{storetest.Somewhere, other} {
		if err := s.Values(adapters.Secrets).Apply(t.Context(), ns, set("a", "of "+ns.Tenant, false)); err != nil {
			t.Fatal(err)
		}
	}
	moved, err := sealer{}.Seal("fake", other.String()+"\nsecrets\na", []byte("of other"))
	if err != nil {
		t.Fatal(err)
	}
	db := e.sql(t)
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), `UPDATE provision_values SET value = $1, sum = $2 WHERE scope = 'dev:acme'`,
		moved, sqlstore.ValueSum(storetest.Somewhere, adapters.Secrets, "a", moved)); err != nil {
		t.Fatal(err)
	}
	e.exec(t, `DELETE FROM provision_values WHERE scope = 'dev:other'`)
	if _, err := s.Values(adapters.Secrets).Load(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	m, err := s.Values(adapters.Secrets).Load(t.Context(), storetest.Somewhere)
	if err == nil {
		t.Errorf("the secret of another tenant was opened: %d values", len(m))
	}
	if !errors.Is(err, errSealed) {
		t.Errorf("got %v", err)
	}
}

func sealersErrors(t *testing.T, e engine) {
	broken := errors.New("the command failed")
	s := e.opened(t, sqlstore.Options{Sealer: sealer{none: broken}})
	if err := s.Values(adapters.Secrets).Apply(t.Context(), storetest.Somewhere, set("a", "1", false)); !errors.Is(err, broken) {
		t.Errorf("without a recipient Apply gives %v", err)
	}
	if keys, err := s.Values(adapters.Secrets).Keys(context.Background(), storetest.Somewhere); err != nil || len(keys) != 0 {
		t.Errorf("then the keys are %q, %v", keys, err)
	}
}

// anotherRecipient: the store was replaced by one with another recipient while it was
// open, as by a restored backup.
func anotherRecipient(t *testing.T, e engine) {
	s := e.opened(t, sqlstore.Options{})
	v := s.Values(adapters.Secrets)
	for _, key := range []string{"a", "b"} { // the second with the recipient that is known by then
		if err := v.Apply(t.Context(), storetest.Somewhere, set(key, "1", false)); err != nil {
			t.Fatal(err)
		}
	}
	e.exec(t, `DELETE FROM provision_values`)
	e.exec(t, `UPDATE provision_meta SET value = 'another' WHERE name = 'recipient'`)
	if err := v.Apply(t.Context(), storetest.Somewhere, set("c", "1", false)); err != nil {
		t.Fatal(err)
	}
	if m, err := v.Load(t.Context(), storetest.Somewhere); err != nil || len(m) != 1 {
		t.Errorf("then there are %d values, %v", len(m), err)
	}
}
