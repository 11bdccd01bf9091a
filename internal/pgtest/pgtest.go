// Package pgtest gives tests fresh databases on a real PostgreSQL server that runs
// for the one test binary, on 127.0.0.1 and a free port, with its files in a temporary
// directory.
//
// A package that uses it has
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
//
// The server is started by the first test that asks for a database, and stopped and
// removed after the last test, also when tests fail, panic or are killed. The
// programs, of version 14 or newer, are those in PATH, else the newest below
// /usr/lib/postgresql. Where there are none the test is skipped, unless "postgres" is
// a word of GREENTIC_CI_MUST_RUN.
package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/greentic-ai/greentic-provision/internal/leakcheck"
)

// patience bounds each thing that is asked of the server.
const patience = time.Minute

// Main runs the tests with a check for leaks and exits.
func Main(m leakcheck.Tests) { leakcheck.Main(With(m)) }

// With wraps m so that the server is stopped after the tests: for a TestMain that
// needs something else as well, as in workertest.Main(pgtest.With(m)).
func With(m leakcheck.Tests) leakcheck.Tests { return with{m} }

type with struct{ m leakcheck.Tests }

func (w with) Run() int {
	mu.Lock()
	wrapped = true
	mu.Unlock()
	// Deferred: a panic in Run is not the time to leave a server running.
	defer func() {
		mu.Lock()
		defer mu.Unlock()
		if running != nil {
			running.close()
			running = nil
		}
		wrapped = false
	}()
	return w.m.Run()
}

var (
	mu      sync.Mutex
	wrapped bool    // somebody will stop the server
	running *server // nil before the first Open
)

// Open gives the postgres:// URL, with a password, of a fresh and empty database. Its
// owner, the URL's user, is a fresh role that can log in and has no other attribute:
// no superuser, no BYPASSRLS. The database is dropped when the test ends, whoever is
// still connected.
func Open(t testing.TB) string {
	t.Helper()
	s := get(t)
	name := "test_" + strings.ToLower(rand.Text())
	u := s.url(name, rand.Text(), name)
	s.role(t, u, "")
	s.exec(t, "CREATE DATABASE "+name+" OWNER "+name)
	s.exec(t, "REVOKE ALL ON DATABASE "+name+" FROM PUBLIC")
	t.Cleanup(func() { s.exec(t, "DROP DATABASE "+name+" WITH (FORCE)") })
	return u.String()
}

// URLAs gives the URL of the same database for another fresh role, which may connect
// and has the attributes, as in CREATE ROLE: "", "SUPERUSER", "BYPASSRLS", …
func URLAs(t testing.TB, database, attributes string) string {
	t.Helper()
	s := get(t)
	name := databaseOf(t, database)
	u := s.url("role_"+strings.ToLower(rand.Text()), rand.Text(), name)
	s.role(t, u, attributes)
	s.exec(t, "GRANT CONNECT ON DATABASE "+name+" TO "+u.User.Username())
	return u.String()
}

// Terminate ends all connections to the database of a URL, as an administrator does,
// and waits until they are gone. It gives how many there were.
func Terminate(t testing.TB, database string) int {
	t.Helper()
	const terminate = `SELECT count(*), coalesce(bool_and(pg_terminate_backend(pid, $2)), true)
		FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'`
	var n int
	var gone bool
	get(t).admin(t, func(ctx context.Context, c *pgx.Conn) error {
		return c.QueryRow(ctx, terminate, databaseOf(t, database), patience.Milliseconds()).Scan(&n, &gone)
	})
	if !gone {
		t.Fatal("pgtest: a connection does not end")
	}
	return n
}

// Stop ends the server in the midst of whatever it does, as a crash of it would; what
// was committed is kept. Start, or else the end of the test, starts it again on its
// old port. Other tests must not run at the same time.
func Stop(t testing.TB) {
	t.Helper()
	s := get(t)
	t.Cleanup(func() { Start(t) })
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
}

// Start starts the server after Stop. It does nothing when it runs.
func Start(t testing.TB) {
	t.Helper()
	if err := get(t).start(); err != nil {
		t.Fatal(err)
	}
}

// get gives the server and starts it if it is the first time.
func get(t testing.TB) *server {
	t.Helper()
	bin, err := programs()
	if err != nil {
		words := strings.Split(os.Getenv("GREENTIC_CI_MUST_RUN"), ",")
		if slices.Contains(words, "postgres") || slices.Contains(words, "all") {
			t.Fatalf("pgtest: postgres is listed in GREENTIC_CI_MUST_RUN: %v", err)
		}
		t.Skipf("needs postgres: %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if !wrapped {
		t.Fatal("pgtest: nobody would stop the server; the package needs a TestMain that calls pgtest.Main")
	}
	if running == nil {
		if running, err = create(bin); err != nil {
			t.Fatal(err)
		}
	}
	return running
}

func databaseOf(t testing.TB, database string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil || !strings.HasPrefix(u.Path, "/test_") {
		t.Fatal("pgtest: not a URL that Open gave") // err would show the password
	}
	return u.Path[1:]
}

func (s *server) role(t testing.TB, u *url.URL, attributes string) {
	t.Helper()
	password, _ := u.User.Password()
	s.exec(t, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s' %s", u.User.Username(), password, attributes))
}

func (s *server) exec(t testing.TB, sql string) {
	t.Helper()
	s.admin(t, func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, sql)
		return err
	})
}

// admin connects for one thing only, so that Stop breaks no connection of the kit.
// The database is postgres, and not template1, of which new ones are copies.
func (s *server) admin(t testing.TB, do func(context.Context, *pgx.Conn) error) {
	t.Helper()
	// The test's context has ended when its cleanups run.
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := pgx.Connect(ctx, s.url("admin", s.password, "postgres").String())
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	if err := errors.Join(do(ctx, c), c.Close(ctx)); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
}
