package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/adapters/sqlite"
	"github.com/greentic-ai/greentic-provision/adapters/sqlstore"
	"github.com/greentic-ai/greentic-provision/adapters/storetest"
	"github.com/greentic-ai/greentic-provision/internal/leakcheck"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

// The conformance suite runs on this package in sqlstore's tests.

func open(t *testing.T, path string) *sqlstore.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func put(s *sqlstore.Store, key string, value []byte) error {
	return s.Values(adapters.Config).Apply(context.Background(), storetest.Somewhere,
		adapters.Batch{Changes: []adapters.Change{{Key: key, Value: adapters.Value{Bytes: value}}}})
}

// refused opens what must not open and wants an error of one line that names the path
// and, where hint is not "", says what to do.
func refused(t *testing.T, path, hint string) error {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, sqlstore.Options{Wait: 50 * time.Millisecond})
	if err == nil {
		s.Close()
		t.Fatal("it opens")
	}
	if text := err.Error(); !strings.Contains(text, filepath.Base(path)) || !strings.Contains(text, hint) || strings.Contains(text, "\n") {
		t.Errorf("got %q, want %q in it", text, hint)
	}
	return err
}

func TestEverythingIsTheUsersAlone(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	dir := t.TempDir()
	path := filepath.Join(dir, "state", "of", "greentic?#%.db")
	s := open(t, path)
	l, err := s.Lock(t.Context(), storetest.Somewhere, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Unlock()
	if err := put(s, "a", []byte("1")); err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(dir, "state", "copy.db")
	if err := s.Backup(t.Context(), copied); err != nil {
		t.Fatal(err)
	}
	var files []string
	err = filepath.WalkDir(filepath.Join(dir, "state"), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		i, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		} else {
			files = append(files, d.Name())
		}
		if i.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", path, i.Mode().Perm(), want)
		}
		return nil
	})
	if err != nil || len(files) != 6 {
		t.Errorf("there are the files %q, %v", files, err)
	}
}

func TestFilesOfOthersAreRefused(t *testing.T) {
	t.Run("a file that others may write", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "store.db")
		open(t, path).Close()
		for _, mode := range []fs.FileMode{0o620, 0o602} {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			refused(t, path, "chmod")
		}
		if err := os.Chmod(path, 0o644); err != nil { // who may read it finds no secret in it
			t.Fatal(err)
		}
		open(t, path)
	})
	t.Run("locks that others may write", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "store.db")
		if err := os.Mkdir(path+".locks", 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path+".locks", 0o777); err != nil {
			t.Fatal(err)
		}
		refused(t, path, "chmod")
	})
	t.Run("a log that others may write", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "store.db")
		open(t, path).Close()
		if err := os.WriteFile(path+"-wal", nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path+"-wal", 0o666); err != nil {
			t.Fatal(err)
		}
		refused(t, path, "chmod")
	})
	t.Run("somebody else's file", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Skip("only root can give files away")
		}
		path := filepath.Join(t.TempDir(), "store.db")
		open(t, path).Close()
		if err := os.Chown(path, 12345, -1); err != nil {
			t.Fatal(err)
		}
		refused(t, path, "12345")
	})
	t.Run("no file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "pipe")
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, path, "not a regular file")
		refused(t, t.TempDir(), "")
	})
	t.Run("a file for a folder", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, filepath.Join(path, "store.db"), "")
	})
}

// TestASymlinkIsTheSameStore: the locks of both names are the same too.
func TestASymlinkIsTheSameStore(t *testing.T) {
	path, link := filepath.Join(t.TempDir(), "store.db"), filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	refused(t, link, "") // it leads nowhere yet
	s := open(t, path)
	other := open(t, link)
	if err := put(s, "a", []byte("1")); err != nil {
		t.Fatal(err)
	}
	if keys, err := other.Values(adapters.Config).Keys(t.Context(), storetest.Somewhere); err != nil || len(keys) != 1 {
		t.Errorf("by the link the keys are %q, %v", keys, err)
	}
	l, err := s.Lock(t.Context(), storetest.Somewhere, "first")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Unlock()
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("no time"))
	_, err = other.Lock(ended, storetest.Somewhere, "second")
	if e, ok := errors.AsType[*adapters.LockedError](err); !ok || e.Holder != "first" {
		t.Errorf("by the link the lock gives %v", err)
	}
}

func TestAnotherProgramsDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "other.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), `CREATE TABLE places (url TEXT)`); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, ok := errors.AsType[*adapters.ConfigError](refused(t, path, "another program")); !ok {
		t.Error("it is no *ConfigError")
	}
	var tables int
	if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM sqlite_master`).Scan(&tables); err != nil || tables != 1 {
		t.Errorf("then it has %d tables, %v", tables, err)
	}
}

// filled makes a store that is not open.
func filled(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "store.db")
	s := open(t, path)
	l, err := s.Lock(t.Context(), storetest.Somewhere, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Unlock()
	ns := storetest.Somewhere
	for n := range 20 {
		w := adapters.Write{
			Install: &adapters.Install{Namespace: ns, Status: adapters.Installed, Revision: uint64(n + 1)},
			Audit:   []adapters.AuditEntry{{Scope: ns.Scope(), Namespace: ns.String(), What: "setup", By: strings.Repeat("x", 500)}},
			Values: []adapters.Part{{Kind: adapters.Config, Batch: adapters.Batch{Changes: []adapters.Change{
				{Key: fmt.Sprint("key", n), Value: adapters.Value{Bytes: bytes.Repeat([]byte("v"), 500*n)}}}}}},
		}
		if err := s.Commit(t.Context(), l, w); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAFileThatIsNoDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("this is a text ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, path, "restore a backup")
}

// TestDamage overwrites every page in turn: opening, reading and checking give errors
// or problems, and never a panic.
func TestDamage(t *testing.T) {
	path := filled(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const page = 4096
	if len(whole) < 10*page {
		t.Fatalf("the file has %d bytes", len(whole))
	}
	found := 0
	for at := 0; at < len(whole); at += page {
		for _, damage := range [][]byte{make([]byte, page), bytes.Repeat([]byte{0xff}, 64), whole[:page]} {
			broken := bytes.Clone(whole)
			copy(broken[at:], damage)
			if bytes.Equal(broken, whole) {
				continue
			}
			if err := os.WriteFile(path, broken, 0o600); err != nil {
				t.Fatal(err)
			}
			os.Remove(path + "-wal")
			os.Remove(path + "-shm")
			s, err := sqlite.Open(t.Context(), path, sqlstore.Options{})
			if err != nil {
				found++
				continue
			}
			s.Values(adapters.Config).Load(t.Context(), storetest.Somewhere)
			s.Audit(t.Context(), adapters.AllScopes)
			if r, err := s.Check(t.Context()); err != nil || len(r.Problems) > 0 {
				found++
			} else if at > 0 { // some bytes of the header mean little
				t.Errorf("the page at %d begins with %x and nothing was found", at, broken[at:at+4])
			}
			s.Close()
		}
	}
	if found == 0 {
		t.Error("no damage was found")
	}
	if err := os.Truncate(path, int64(len(whole)/2)); err != nil {
		t.Fatal(err)
	}
	if s, err := sqlite.Open(t.Context(), path, sqlstore.Options{}); err == nil {
		defer s.Close()
		if r, err := s.Check(t.Context()); err == nil && len(r.Problems) == 0 {
			t.Error("half a file is sound")
		}
	}
}

// TestAStoreThatIsBeingWritten: somebody else's transaction does not end.
func TestAStoreThatIsBeingWritten(t *testing.T) {
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
	if e, ok := errors.AsType[*adapters.Error](put(s, "a", nil)); !ok || !strings.Contains(e.Hint, "try again") {
		t.Errorf("writing gives %v", e)
	}
	if m, err := s.Values(adapters.Config).Load(t.Context(), storetest.Somewhere); err != nil || len(m) != 20 {
		t.Errorf("reading gives %d values, %v", len(m), err)
	}
	if _, err := db.ExecContext(t.Context(), `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	if err := put(s, "a", nil); err != nil {
		t.Error(err)
	}
}

func TestAStoreThatCannotBeWritten(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write everything")
	}
	path := filled(t)
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	s := open(t, path)
	if m, err := s.Values(adapters.Config).Load(t.Context(), storetest.Somewhere); err != nil || len(m) != 20 {
		t.Errorf("reading gives %d values, %v", len(m), err)
	}
	if e, ok := errors.AsType[*adapters.Error](put(s, "a", nil)); !ok || !strings.Contains(e.Hint, "writable") {
		t.Errorf("writing gives %v", e)
	}
	if err := os.Chmod(filepath.Dir(path), 0o500); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(filepath.Dir(path), 0o700)
	refused(t, filepath.Join(filepath.Dir(path), "new.db"), "writable")
}

func TestABackupThatFailsLeavesNothing(t *testing.T) {
	s := open(t, filled(t))
	dir := t.TempDir()
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the user gave up"))
	if err := s.Backup(ended, filepath.Join(dir, "copy.db")); !errors.Is(err, context.Canceled) {
		t.Errorf("a backup that was given up gives %v", err)
	}
	taken := filepath.Join(dir, "taken")
	if err := os.WriteFile(taken, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if e, ok := errors.AsType[*adapters.Error](s.Backup(t.Context(), taken)); !ok || !strings.Contains(e.Hint, "not there") {
		t.Errorf("a name that is taken gives %v", e)
	}
	if b, err := os.ReadFile(taken); err != nil || string(b) != "mine" {
		t.Errorf("what had the name is now %q, %v", b, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the folder has %v, %v", entries, err)
	}
}
