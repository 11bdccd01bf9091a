package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/adapters/sqlstore"
	"github.com/greentic-ai/greentic-provision/adapters/storetest"
)

// limited opens a store whose one connection has a limit set with a PRAGMA.
func limited(t *testing.T, pragma string) *sqlstore.Store {
	dir := t.TempDir()
	file := filepath.Join(dir, "store.db")
	s, err := Open(t.Context(), file, sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.Lock(t.Context(), storetest.Somewhere, "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(t.Context(), l, write(1)); err != nil {
		t.Fatal(err)
	}
	l.Unlock()
	s.Close()
	db, err := connect(file, url.Values{"_journal_mode": {"WAL"}}, sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), pragma); err != nil {
		t.Fatal(err)
	}
	if s, err = sqlstore.Open(t.Context(), db, dialect(file+".locks"), sqlstore.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// write makes a commit of much.
func write(revision uint64) adapters.Write {
	var changes []adapters.Change
	for i := range 10 {
		changes = append(changes, adapters.Change{Key: fmt.Sprint("key", i),
			Value: adapters.Value{Bytes: bytes.Repeat([]byte{byte(revision)}, int(revision)*50_000)}})
	}
	ns := storetest.Somewhere
	return adapters.Write{
		Values:  []adapters.Part{{Kind: adapters.Config, Batch: adapters.Batch{Changes: changes}}},
		Install: &adapters.Install{Namespace: ns, Status: adapters.Installed, Revision: revision},
		Audit:   []adapters.AuditEntry{{Scope: ns.Scope(), Namespace: ns.String(), What: "setup", Revision: revision}},
	}
}

// TestAFullDisk: SQLite gives the same SQLITE_FULL for its limit of pages as for a
// disk without space.
func TestAFullDisk(t *testing.T) {
	s := limited(t, `PRAGMA max_page_count = 200`)
	l, err := s.Lock(t.Context(), storetest.Somewhere, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Unlock()
	err = s.Commit(t.Context(), l, write(2))
	if e, ok := errors.AsType[*adapters.Error](err); !ok || !strings.Contains(e.Hint, "free space") {
		t.Errorf("a full disk gives %v", err)
	}
	if i, err := s.Install(t.Context(), storetest.Somewhere); err != nil || i.Revision != 1 {
		t.Errorf("then the record is %+v, %v", i, err)
	}
	if r, err := s.Check(t.Context()); err != nil || len(r.Problems) > 0 || r.Values != 10 || r.Audit != 1 {
		t.Errorf("then the report is %+v, %v", r, err)
	}
	if err := s.Commit(t.Context(), l, adapters.Write{Audit: write(1).Audit}); err != nil {
		t.Errorf("something small gives %v", err)
	}
}

func TestAReadOnlyStore(t *testing.T) {
	s := limited(t, `PRAGMA query_only = ON`)
	_, err := s.Lock(t.Context(), storetest.Somewhere, "test")
	if e, ok := errors.AsType[*adapters.Error](err); !ok || !strings.Contains(e.Hint, "writable") {
		t.Errorf("a read-only store gives %v", err)
	}
	if m, err := s.Values(adapters.Config).Load(t.Context(), storetest.Somewhere); err != nil || len(m) != 10 {
		t.Errorf("reading gives %d values, %v", len(m), err)
	}
}

func TestSynchronous(t *testing.T) {
	db, err := connect(filepath.Join(t.TempDir(), "store.db"), url.Values{"_journal_mode": {"WAL"}}, sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "foreign_keys": "1", "busy_timeout": "10000", "trusted_schema": "0"} {
		var got string
		if err := db.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q, %v; want %q", pragma, got, err, want)
		}
	}
}

func TestHintsForTheSystemsErrors(t *testing.T) {
	for err, want := range map[error]string{
		unix.ENOSPC: "free space", unix.EDQUOT: "free space", unix.EROFS: "writable", unix.EACCES: "writable", unix.EEXIST: "not there", unix.EIO: "",
	} {
		got := hint(&os.PathError{Op: "open", Path: "x", Err: err})
		if !strings.Contains(got, want) || (want == "") != (got == "") {
			t.Errorf("%v has the hint %q, want %q in it", err, got, want)
		}
	}
}
