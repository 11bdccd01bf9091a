package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/adapters/sqlite"
	"github.com/greentic-ai/greentic-provision/adapters/sqlstore"
	"github.com/greentic-ai/greentic-provision/adapters/storetest"
)

// TestAReplacedFile: what is written to a file that has no name any more is lost, and
// would be said to be committed.
func TestAReplacedFile(t *testing.T) {
	for what, replace := range map[string]func(path string) error{
		"removed": os.Remove,
		"replaced by anything": func(path string) error {
			return errors.Join(os.Remove(path), os.WriteFile(path, []byte("restored"), 0o600))
		},
	} {
		t.Run(what, func(t *testing.T) {
			path := filled(t)
			s := open(t, path)
			ns := storetest.Somewhere
			l, err := s.Lock(t.Context(), ns, "test")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Unlock()
			aside := filepath.Join(filepath.Dir(path), "aside")
			if err := os.Link(path, aside); err != nil { // the file itself stays
				t.Fatal(err)
			}
			if err := replace(path); err != nil {
				t.Fatal(err)
			}
			_, read := s.Install(t.Context(), ns)
			other := ns
			other.Install = "other"
			_, lock := s.Lock(t.Context(), other, "test")
			for what, err := range map[string]error{
				"Commit":  s.Commit(t.Context(), l, adapters.Write{Install: &adapters.Install{Namespace: ns, Status: adapters.Removed, Revision: 21}}),
				"Apply":   put(s, "lost", nil),
				"Install": read,
				"Lock":    lock,
			} {
				if e, ok := errors.AsType[*adapters.Error](err); !ok || !strings.Contains(e.Error(), "replaced while it was in use") || e.Hint == "" {
					t.Errorf("%s gives %v", what, err)
				}
			}
			if err := os.Rename(aside, path); err != nil {
				t.Fatal(err)
			}
			wantFilled(t, s) // and nothing of what was refused
			if err := put(s, "key0", nil); err != nil {
				t.Errorf("when the file is back writing gives %v", err)
			}
		})
	}
}

// TestALockOfAFileThatIsBeingWritten: who has no time to wait learns from the database
// what is in the way.
func TestALockOfAFileThatIsBeingWritten(t *testing.T) {
	path := filled(t)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(t.Context(), `BEGIN IMMEDIATE`); err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.Open(t.Context(), path, sqlstore.Options{Wait: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	over, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	_, err = s.Lock(over, storetest.Somewhere, "test")
	if e, ok := errors.AsType[*adapters.Error](err); !ok || !strings.Contains(e.Hint, "try again") || !strings.Contains(e.Error(), "locked") ||
		errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("locking gives %v", err)
	}
	if _, err := db.ExecContext(t.Context(), `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	l, err := s.Lock(over, storetest.Somewhere, "test")
	if err != nil {
		t.Fatalf("a lock that is free gives %v", err)
	}
	l.Unlock()
}
