package sqlite_test

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/adapters/sqlite"
	"github.com/greentic-ai/greentic-provision/adapters/sqlstore"
	"github.com/greentic-ai/greentic-provision/adapters/storetest"
)

func openReadOnly(t *testing.T, path string) *sqlstore.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, sqlstore.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// notOpened wants that reading gives an error with text in it.
func notOpened(t *testing.T, path, text string) error {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, sqlstore.Options{ReadOnly: true})
	if err == nil {
		s.Close()
		t.Fatal("it opens")
	}
	if !strings.Contains(err.Error(), text) || !strings.Contains(err.Error(), filepath.Base(path)) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %q, want %q in it", err, text)
	}
	return err
}

// wantFilled wants what filled wrote.
func wantFilled(t *testing.T, s *sqlstore.Store) {
	t.Helper()
	if i, err := s.Install(t.Context(), storetest.Somewhere); err != nil || i == nil || i.Revision != 20 {
		t.Errorf("the record is %+v, %v", i, err)
	}
	if r, err := s.Check(t.Context()); err != nil || len(r.Problems) != 0 || r.Values != 20 {
		t.Errorf("the report is %+v, %v", r, err)
	}
}

// tree gives the mode, the time of the last change and the bytes of everything below a
// folder.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		i, err := d.Info()
		if err != nil {
			return err
		}
		var b []byte
		if i.Mode().IsRegular() {
			if b, err = os.ReadFile(path); err != nil {
				return err
			}
		}
		all[strings.TrimPrefix(path, dir)] = fmt.Sprintf("%v %v %x", i.Mode(), i.ModTime(), b)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func unchanged(t *testing.T, before, after map[string]string) {
	t.Helper()
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the folder was changed (-before +after):\n%.2000s", diff)
	}
}

func TestLookingWhereThereIsNoStore(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "empty.db"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "nowhere"), filepath.Join(dir, "link.db")); err != nil {
		t.Fatal(err)
	}
	before := tree(t, dir)
	for _, name := range []string{"store.db", "no/folder/store.db", "link.db", "empty.db"} {
		if err := notOpened(t, filepath.Join(dir, name), "no store"); !errors.Is(err, sqlstore.ErrNoStore) {
			t.Errorf("%s gives %v, want ErrNoStore", name, err)
		}
	}
	unchanged(t, before, tree(t, dir))
}

// moved gives the files of a store in a folder with nothing else in it.
func moved(t *testing.T, from string, suffixes ...string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "store.db")
	for _, suffix := range suffixes {
		b, err := os.ReadFile(from + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to+suffix, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// TestLookingAtAStore: it stays as it is, and has nothing beside it but what SQLite
// needs for reading, which the next writer takes away.
func TestLookingAtAStore(t *testing.T) {
	path := moved(t, filled(t), "")
	before := tree(t, filepath.Dir(path))
	for range 2 {
		s := openReadOnly(t, path)
		wantFilled(t, s)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	after := tree(t, filepath.Dir(path))
	for _, suffix := range []string{"-wal", "-shm"} {
		if i, err := os.Stat(path + suffix); err == nil && i.Mode() != 0o600 {
			t.Errorf("FILE%s has mode %v", suffix, i.Mode())
		}
		delete(after, "/store.db"+suffix)
	}
	before[""], after[""] = "", "" // its time tells of those
	unchanged(t, before, after)
	open(t, path).Close()
	for _, suffix := range []string{"-wal", "-shm"} {
		if _, err := os.Lstat(path + suffix); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after a writer FILE%s is still there: %v", suffix, err)
		}
	}
}

// TestLookingAtWhatACrashLeft: the log is read, and not brought into the file.
func TestLookingAtWhatACrashLeft(t *testing.T) {
	from := filled(t)
	writer := open(t, from)
	if err := put(writer, "only in the log", []byte("1")); err != nil {
		t.Fatal(err)
	}
	path := moved(t, from, "", "-wal")
	before := tree(t, filepath.Dir(path))
	s := openReadOnly(t, path)
	if keys, err := s.Values(adapters.Config).Keys(t.Context(), storetest.Somewhere); err != nil || len(keys) != 21 {
		t.Errorf("there are the keys %q, %v", keys, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	after := tree(t, filepath.Dir(path))
	delete(after, "/store.db-shm")
	before[""], after[""] = "", ""
	unchanged(t, before, after)
}

// TestLookingAtAHalfMadeFile: only the making of a store has a journal, which a reader
// cannot roll back.
func TestLookingAtAHalfMadeFile(t *testing.T) {
	from := filepath.Join(t.TempDir(), "other.db")
	db, err := sql.Open("sqlite", from)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, statement := range []string{`CREATE TABLE t (v)`, `INSERT INTO t VALUES (1)`, `PRAGMA cache_size = 1`, `PRAGMA cache_spill = 1`, `BEGIN`,
		`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 500) INSERT INTO t SELECT randomblob(1000) FROM n`} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	path := moved(t, from, "", "-journal")
	before := tree(t, filepath.Dir(path))
	notOpened(t, path, "next apply")
	unchanged(t, before, tree(t, filepath.Dir(path)))
}

// TestTwoNames: with a second name, a writer that goes by it would have locks of its own.
func TestTwoNames(t *testing.T) {
	path := filled(t)
	second := filepath.Join(t.TempDir(), "second.db")
	if err := os.Link(path, second); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, second} {
		for _, err := range []error{refused(t, name, "hard links"), notOpened(t, name, "hard links")} {
			if _, ok := errors.AsType[*adapters.ConfigError](err); !ok {
				t.Errorf("%v is no *ConfigError", err)
			}
		}
	}
	if err := os.Remove(second); err != nil {
		t.Fatal(err)
	}
	wantFilled(t, open(t, path))
}
