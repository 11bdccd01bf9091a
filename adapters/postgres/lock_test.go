package postgres

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/adapters/sqlstore"
	"github.com/greentic-ai/greentic-provision/adapters/storetest"
	"github.com/greentic-ai/greentic-provision/internal/pgtest"
)

// TestACrashedHolderIsNotNamed: the row of who crashed is there still, and who holds
// the lock now has not written its own yet.
func TestACrashedHolderIsNotNamed(t *testing.T) {
	database := pgtest.Open(t)
	ctx, giveUp := context.WithCancelCause(t.Context())
	asked := 0
	s, err := Open(t.Context(), database, sqlstore.Options{Fault: func(op string) error {
		if op == "lock" {
			if asked++; asked == 3 { // that of who crashed was the first
				giveUp(errors.New("asked twice"))
			}
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	crashed, err := s.Lock(ctx, storetest.Somewhere, "who crashed")
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("pgx", database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	next := locker{db, "public"}
	if held, err := next.Try(t.Context(), storetest.Somewhere.String()); held != nil || err != nil {
		t.Errorf("a lock that is held is got: %v, %v", held, err)
	}
	crashed.Unlock() // leaves what a crash leaves
	held, err := next.Try(t.Context(), storetest.Somewhere.String())
	if held == nil || err != nil {
		t.Fatalf("a lock that is free is not got: %v, %v", held, err)
	}
	if session, err := next.Session(t.Context(), storetest.Somewhere.String()); err != nil || session != held.Session() {
		t.Errorf("the lock is of the session %q, %v; want %q", session, err, held.Session())
	}
	_, err = s.Lock(ctx, storetest.Somewhere, "who waits")
	if e, ok := errors.AsType[*adapters.LockedError](err); !ok || e.Holder != "" || !e.Since.IsZero() {
		t.Errorf("got %v, want a *LockedError without a holder", err)
	}
	if err := held.Release(); err != nil {
		t.Fatal(err)
	}
	if session, err := next.Session(t.Context(), storetest.Somewhere.String()); err != nil || session != "" {
		t.Errorf("a lock that is free is of the session %q, %v", session, err)
	}
}
