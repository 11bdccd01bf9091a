package sqlite

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/adapters/sqlstore"
	"github.com/greentic-ai/greentic-provision/adapters/storetest"
)

// TestACrashedHolderIsNotNamed: the row of who crashed is there still, and who holds
// the lock now has not written its own yet.
func TestACrashedHolderIsNotNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s, err := Open(t.Context(), path, sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	crashed, err := s.Lock(t.Context(), storetest.Somewhere, "who crashed")
	if err != nil {
		t.Fatal(err)
	}
	crashed.Unlock() // leaves what a crash leaves
	next, err := locker(path+".locks").Try(t.Context(), storetest.Somewhere.String())
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("no time"))
	_, err = s.Lock(ended, storetest.Somewhere, "who waits")
	if e, ok := errors.AsType[*adapters.LockedError](err); !ok || e.Holder != "" || !e.Since.IsZero() {
		t.Errorf("got %v, want a *LockedError without a holder", err)
	}
	if err := next.Release(); err != nil {
		t.Fatal(err)
	}
	l, err := s.Lock(t.Context(), storetest.Somewhere, "who is next")
	if err != nil {
		t.Fatal(err)
	}
	l.Unlock()
}
