package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/adapters/sqlite"
	"github.com/greentic-ai/greentic-provision/adapters/sqlstore"
	"github.com/greentic-ai/greentic-provision/adapters/storetest"
)

// twoMounts mounts one file system twice, at writable and, where it cannot be written,
// at readable. Only the test's own thread sees them, and they end with it.
func twoMounts(t *testing.T) (writable, readable string) {
	t.Helper()
	runtime.LockOSThread() // never unlocked: the thread is not used again
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		t.Skipf("needs a mount namespace: %v", err)
	}
	dir := t.TempDir()
	writable, readable = filepath.Join(dir, "writable"), filepath.Join(dir, "readable")
	for _, err := range []error{
		os.Mkdir(writable, 0o700), os.Mkdir(readable, 0o700),
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("none", writable, "tmpfs", 0, "mode=0700"),
		unix.Mount(writable, readable, "", unix.MS_BIND, ""),
		unix.Mount("", readable, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { // before the folder is removed
		for _, dir := range []string{readable, writable} {
			if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
				t.Error(err)
			}
		}
	})
	return writable, readable
}

func TestAReadOnlyFileSystem(t *testing.T) {
	from := filled(t)
	writer := open(t, from)
	if err := put(writer, "only in the log", nil); err != nil {
		t.Fatal(err)
	}
	crashed, noLog := moved(t, from, "", "-wal", "-shm"), moved(t, from, "", "-wal")
	writer.Close()
	clean := moved(t, from, "")
	writable, readable := twoMounts(t)
	for name, from := range map[string]string{"clean": clean, "crashed": crashed, "noshm": noLog} {
		if err := os.CopyFS(filepath.Join(writable, name), os.DirFS(filepath.Dir(from))); err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(filepath.Join(writable, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if err := os.Chmod(filepath.Join(writable, name, e.Name()), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	before := tree(t, writable)
	for _, name := range []string{"clean", "crashed"} {
		s := openReadOnly(t, filepath.Join(readable, name, "store.db"))
		if r, err := s.Check(t.Context()); err != nil || len(r.Problems) != 0 || r.Values != 21 {
			t.Errorf("%s: the report is %+v, %v", name, r, err)
		}
		s.Close()
	}
	notOpened(t, filepath.Join(readable, "noshm", "store.db"), "may write")
	if err := notOpened(t, filepath.Join(readable, "none", "store.db"), "no store"); !errors.Is(err, sqlstore.ErrNoStore) {
		t.Errorf("where nothing is it gives %v", err)
	}
	refused(t, filepath.Join(readable, "clean", "store.db"), "writable")
	unchanged(t, before, tree(t, writable))
}

// TestAFileSystemThatIsReadOnlyHereOnly: what is read while another writes may make no
// sense, and is not given.
func TestAFileSystemThatIsReadOnlyHereOnly(t *testing.T) {
	from := filled(t)
	writable, readable := twoMounts(t)
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(writable, "store.db"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(readable, "store.db")
	reader := openReadOnly(t, path)
	wantFilled(t, reader)
	stale := func(when string) {
		t.Helper()
		_, err := reader.Values(adapters.Config).Load(t.Context(), storetest.Somewhere)
		if e, ok := errors.AsType[*adapters.Error](err); !ok || !strings.Contains(e.Error(), "written while it was read") || e.Hint == "" {
			t.Errorf("%s reading gives %v", when, err)
		}
	}
	writer, err := sqlite.Open(t.Context(), filepath.Join(writable, "store.db"), sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	if err := put(writer, "new", nil); err != nil {
		t.Fatal(err)
	}
	stale("while there is a writer")
	meanwhile := openReadOnly(t, path) // sees the log
	if keys, err := meanwhile.Values(adapters.Config).Keys(t.Context(), storetest.Somewhere); err != nil || len(keys) != 21 {
		t.Errorf("opened meanwhile there are the keys %q, %v", keys, err)
	}
	meanwhile.Close()
	writer.Close()
	stale("after there was a writer")
	again := openReadOnly(t, path)
	if keys, err := again.Values(adapters.Config).Keys(t.Context(), storetest.Somewhere); err != nil || len(keys) != 21 {
		t.Errorf("opened again there are the keys %q, %v", keys, err)
	}
}
