package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/adapters/postgres"
	"github.com/greentic-ai/greentic-provision/adapters/sqlstore"
	"github.com/greentic-ai/greentic-provision/adapters/storetest"
	"github.com/greentic-ai/greentic-provision/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// The conformance suite runs on this package in sqlstore's tests.

func open(t *testing.T, url string) *sqlstore.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), url, sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func put(s *sqlstore.Store, ns adapters.Namespace) error {
	return s.Values(adapters.Config).Apply(context.Background(), ns,
		adapters.Batch{Changes: []adapters.Change{{Key: "a", Value: adapters.Value{Bytes: []byte("1")}}}})
}

// commit makes a commit with a bit of everything.
func commit(t *testing.T, s *sqlstore.Store, ns adapters.Namespace, revision uint64) error {
	t.Helper()
	l, err := s.Lock(t.Context(), ns, "test")
	if err != nil {
		return err
	}
	defer l.Unlock()
	return s.Commit(t.Context(), l, write(ns, revision))
}

func write(ns adapters.Namespace, revision uint64) adapters.Write {
	return adapters.Write{
		Values:  []adapters.Part{{Kind: adapters.Config, Batch: adapters.Batch{Changes: []adapters.Change{{Key: "a"}}}}},
		Install: &adapters.Install{Namespace: ns, Status: adapters.Installed, Revision: revision},
		Journal: &adapters.JournalEntry{ID: fmt.Sprintf("%032x", revision), Namespace: ns, Status: adapters.Intent},
		Audit:   []adapters.AuditEntry{{Scope: ns.Scope(), Namespace: ns.String(), What: "setup"}},
	}
}

// TestRowsOfOtherTenantsAreNotThere: even a query that forgets to name its scope sees
// and changes those of the transaction's scope only, and the owner of the tables too.
func TestRowsOfOtherTenantsAreNotThere(t *testing.T) {
	database := pgtest.Open(t)
	s := open(t, database)
	other := storetest.Somewhere
	other.Tenant = "other"
	for i, ns := range []adapters.Namespace{storetest.Somewhere, other} {
		if err := commit(t, s, ns, uint64(i+1)); err != nil {
			t.Fatal(err)
		}
	}
	db, err := sql.Open("pgx", database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for scope, want := range map[adapters.Scope]int{storetest.Somewhere.Scope(): 1, other.Scope(): 1, adapters.AllScopes: 2, "dev:nobody": 0, "": 0} {
		for _, table := range []string{"values", "installs", "journal", "audit", "chains", "locks"} {
			var n int
			_, err := db.ExecContext(t.Context(), `SELECT set_config('greentic.scope', $1, false)`, string(scope))
			if err == nil {
				err = db.QueryRowContext(t.Context(), `SELECT count(*) FROM provision_`+table).Scan(&n)
			}
			if err != nil || n != want {
				t.Errorf("the scope %q sees %d rows of %s, %v; want %d", scope, n, table, err, want)
			}
		}
	}
	if _, err := db.ExecContext(t.Context(), `SELECT set_config('greentic.scope', 'dev:acme', false)`); err != nil {
		t.Fatal(err)
	}
	if r, err := db.ExecContext(t.Context(), `DELETE FROM provision_values`); err != nil {
		t.Error(err)
	} else if n, _ := r.RowsAffected(); n != 1 {
		t.Errorf("one tenant deletes %d values, want 1", n)
	}
	if _, err := db.ExecContext(t.Context(), `INSERT INTO provision_chains (scope, seq, hash) VALUES ('dev:third', 1, '')`); err == nil {
		t.Error("one tenant writes a row of another")
	}
	if i, err := s.Install(t.Context(), other); err != nil || i == nil {
		t.Errorf("the other tenant has %+v, %v", i, err)
	}
}

func TestASchemaOfItsOwn(t *testing.T) {
	database := pgtest.Open(t)
	db, err := sql.Open("pgx", database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), `CREATE SCHEMA one; CREATE SCHEMA two`); err != nil {
		t.Fatal(err)
	}
	one, two := open(t, database+"?search_path=one"), open(t, database+"?search_path=two")
	if err := put(one, storetest.Somewhere); err != nil {
		t.Fatal(err)
	}
	if keys, err := two.Values(adapters.Config).Keys(t.Context(), storetest.Somewhere); err != nil || len(keys) != 0 {
		t.Errorf("another schema has the keys %q, %v", keys, err)
	}
	l, err := one.Lock(t.Context(), storetest.Somewhere, "one")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Unlock()
	other, err := two.Lock(t.Context(), storetest.Somewhere, "two")
	if err != nil {
		t.Fatal(err)
	}
	other.Unlock()
	_, err = postgres.Open(t.Context(), database+"?search_path=three", sqlstore.Options{})
	if _, ok := errors.AsType[*adapters.ConfigError](err); !ok {
		t.Errorf("a schema that is not there gives %v", err)
	}
}

func TestARoleThatMayNot(t *testing.T) {
	database := pgtest.Open(t)
	open(t, database)
	s, err := postgres.Open(t.Context(), pgtest.URLAs(t, database, ""), sqlstore.Options{})
	if err == nil {
		s.Close()
	}
	if e, ok := errors.AsType[*adapters.Error](err); !ok || !strings.Contains(e.Hint, "own") {
		t.Errorf("a role without rights gives %v", err)
	}
}

// TestARoleThatMayReadOnly: what looks needs no right to change anything.
func TestARoleThatMayReadOnly(t *testing.T) {
	database := pgtest.Open(t)
	if err := commit(t, open(t, database), storetest.Somewhere, 1); err != nil {
		t.Fatal(err)
	}
	role := pgtest.URLAs(t, database, "")
	reader, err := url.Parse(role)
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("pgx", database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), `GRANT SELECT ON ALL TABLES IN SCHEMA public TO `+reader.User.Username()); err != nil {
		t.Fatal(err)
	}
	s, err := postgres.Open(t.Context(), role, sqlstore.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if r, err := s.Check(t.Context()); err != nil || len(r.Problems) != 0 || r.Installs != 1 || r.Values != 1 {
		t.Errorf("the report is %+v, %v", r, err)
	}
}

// TestLookingMakesNoTables: a database that has nothing in it is no store, and stays so.
func TestLookingMakesNoTables(t *testing.T) {
	database := pgtest.Open(t)
	s, err := postgres.Open(t.Context(), database, sqlstore.Options{ReadOnly: true})
	if err == nil {
		s.Close()
	}
	if !errors.Is(err, sqlstore.ErrNoStore) || strings.Contains(err.Error(), "\n") {
		t.Errorf("an empty database gives %v, want ErrNoStore", err)
	}
	db, err := sql.Open("pgx", database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var n int
	if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_catalog.pg_tables WHERE schemaname = 'public'`).Scan(&n); err != nil || n != 0 {
		t.Errorf("then there are %d tables, %v", n, err)
	}
}

func TestErrorsHoldNoPassword(t *testing.T) {
	const password = "canary%2F71"
	u, err := url.Parse(pgtest.Open(t))
	if err != nil {
		t.Fatal(err)
	}
	host := u.Host
	for _, bad := range []string{
		"postgres://user:" + password + "@" + host + "/nobody",
		"postgres://user:" + password + "@127.0.0.1:1/x",
		"postgres://user:" + password + "@127.0.0.1:port/x",
		"postgres://user:" + password + "@[::1/x",
		"postgres://user:" + password + "@" + host + "/x?sslmode=what",
		"postgres://" + host + "/x?user=u&password=" + password,
		"postgres://" + host + "/x?user=u&sslmode=what&password=" + password,
		"postgres://user:" + password + " @" + host + "/x",
		"postgres://user:canary/71@" + host + "/x",
		"mysql://user:" + password + "@" + host + "/x",
		"host=127.0.0.1 password=" + password,
	} {
		s, err := postgres.Open(t.Context(), bad, sqlstore.Options{})
		if err == nil {
			s.Close()
			t.Errorf("%s opens", bad)
			continue
		}
		if text := fmt.Sprintf("%v %+v %#v", err, err, err.Error()); strings.Contains(text, "canary") || strings.Contains(err.Error(), "\n") {
			t.Errorf("the error of %s is %s", bad, text)
		}
	}
}

// TestALostConnection: the server ends every connection between the statements of a
// commit, each time at another one.
func TestALostConnection(t *testing.T) {
	database := pgtest.Open(t)
	at, n := 0, 0
	s, err := postgres.Open(t.Context(), database, sqlstore.Options{Fault: func(string) error {
		if n++; n == at {
			pgtest.Terminate(t, database)
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	looker := open(t, database)
	if err := commit(t, looker, storetest.Somewhere, 1); err != nil {
		t.Fatal(err)
	}
	lost := 0
	for revision := uint64(2); ; revision++ {
		l, err := s.Lock(t.Context(), storetest.Somewhere, "test")
		if err != nil {
			t.Fatal(err)
		}
		at, n = int(revision)-1, 0
		err = s.Commit(t.Context(), l, write(storetest.Somewhere, revision))
		reached := n >= at
		at = 0
		i, lookErr := looker.Install(t.Context(), storetest.Somewhere)
		if lookErr != nil {
			t.Fatal(lookErr)
		}
		if err == nil != (i.Revision == revision) {
			t.Errorf("the commit of revision %d gives %v, and the record has %d", revision, err, i.Revision)
		}
		if err != nil {
			lost++
			if e, ok := errors.AsType[*adapters.Error](err); !ok || !strings.Contains(e.Hint, "connection") {
				t.Errorf("a lost connection gives %v", err)
			}
		}
		if err := l.Unlock(); err != nil {
			t.Errorf("unlocking after that gives %v", err)
		}
		if !reached {
			break
		}
	}
	if lost < 5 {
		t.Errorf("the connection was lost only %d times", lost)
	}
	if r, err := looker.Check(t.Context()); err != nil || len(r.Problems) > 0 {
		t.Errorf("then there are the problems %+v, %v", r.Problems, err)
	}
}

// TestALostLock: a lock whose connection is gone can be taken by another, and its
// holder does not write any more then.
func TestALostLock(t *testing.T) {
	database := pgtest.Open(t)
	s, other := open(t, database), open(t, database)
	lost, err := s.Lock(t.Context(), storetest.Somewhere, "first")
	if err != nil {
		t.Fatal(err)
	}
	defer lost.Unlock()
	pgtest.Terminate(t, database)
	if err := s.Commit(t.Context(), lost, write(storetest.Somewhere, 1)); err != nil {
		t.Errorf("while nobody else has it a commit gives %v", err)
	}
	l, err := other.Lock(t.Context(), storetest.Somewhere, "second")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Unlock()
	if _, ok := errors.AsType[*adapters.FencedError](s.Commit(t.Context(), lost, write(storetest.Somewhere, 2))); !ok {
		t.Error("it is not fenced")
	}
}

// TestATakenOverLockWaitsForACommit: a commit that has begun under a lock that is lost
// ends before the next holder begins.
func TestATakenOverLockWaitsForACommit(t *testing.T) {
	database := pgtest.Open(t)
	other := open(t, database)
	var l adapters.Lock
	took := make(chan error, 1)
	begun := false
	s, err := postgres.Open(t.Context(), database, sqlstore.Options{Fault: func(op string) error {
		if op == "put journal" && !begun {
			begun = true
			go func() {
				var err error
				l, err = other.Lock(context.WithoutCancel(t.Context()), storetest.Somewhere, "second")
				took <- err
			}()
			select {
			case err := <-took:
				return fmt.Errorf("the lock was taken in the midst of a commit: %v", err)
			default:
			}
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	first, err := s.Lock(t.Context(), storetest.Somewhere, "first")
	if err != nil {
		t.Fatal(err)
	}
	stale := staleLock{first.Namespace(), first.Token()}
	first.Unlock() // as if its connection was lost
	if err := s.Commit(t.Context(), stale, write(storetest.Somewhere, 1)); err != nil {
		t.Fatal(err)
	}
	if err := <-took; err != nil {
		t.Fatal(err)
	}
	defer l.Unlock()
	if i, err := other.Install(t.Context(), storetest.Somewhere); err != nil || i == nil {
		t.Errorf("the next holder sees the record %+v, %v", i, err)
	}
}

type staleLock struct {
	ns    adapters.Namespace
	token uint64
}

func (l staleLock) Namespace() adapters.Namespace { return l.ns }
func (l staleLock) Token() uint64                 { return l.token }
func (l staleLock) Unlock() error                 { return nil }

func TestAServerThatIsDown(t *testing.T) {
	database := pgtest.Open(t)
	s := open(t, database)
	pgtest.Stop(t)
	for what, err := range map[string]error{
		"writing": put(s, storetest.Somewhere),
		"opening": func() error {
			s, err := postgres.Open(t.Context(), database, sqlstore.Options{})
			if err == nil {
				s.Close()
			}
			return err
		}(),
	} {
		if e, ok := errors.AsType[*adapters.Error](err); !ok || e.Hint == "" || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s gives %v", what, err)
		}
	}
	pgtest.Start(t)
	if err := put(s, storetest.Somewhere); err != nil {
		t.Errorf("when it runs again writing gives %v", err)
	}
}

func TestAReadOnlyServer(t *testing.T) {
	database := pgtest.Open(t)
	open(t, database)
	s := open(t, database+"?default_transaction_read_only=on")
	if e, ok := errors.AsType[*adapters.Error](put(s, storetest.Somewhere)); !ok || !strings.Contains(e.Hint, "read-only") {
		t.Errorf("writing gives %v", e)
	}
}

func TestManyProcesses(t *testing.T) {
	database := pgtest.Open(t)
	const processes = 40
	done := make(chan error)
	for i := range processes {
		go func() {
			s, err := postgres.Open(t.Context(), database, sqlstore.Options{})
			if err != nil {
				done <- err
				return
			}
			defer s.Close()
			ns := storetest.Somewhere
			ns.Install = fmt.Sprint("install", i%8)
			ns.Tenant = fmt.Sprint("tenant", i%4)
			done <- commit(t, s, ns, uint64(i+1))
		}()
	}
	for range processes {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	r, err := open(t, database).Check(t.Context())
	if err != nil || len(r.Problems) > 0 || r.Audit != processes || r.Installs != 8 {
		t.Errorf("the report is %+v, %v", r, err)
	}
}
