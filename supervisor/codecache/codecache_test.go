package codecache_test

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/component"
	"github.com/greentic-ai/greentic-provision/supervisor/codecache"
)

func open(t *testing.T, dir string, size int64) *codecache.Cache {
	t.Helper()
	c, err := codecache.Open(dir, size)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func name(s string) string { return codecache.Name(sha256.Sum256([]byte(s)), "engine") }

func put(t *testing.T, c *codecache.Cache, n string, code []byte) {
	t.Helper()
	if err := c.Put(n, component.LayerComponent, code); err != nil {
		t.Fatal(err)
	}
}

func TestStoredCodeComesBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "cache")
	code := []byte("native code")
	put(t, open(t, dir, 1<<20), name("a"), code)
	got, layer, ok := open(t, dir, 1<<20).Get(name("a")) // a second process
	if !ok || !bytes.Equal(got, code) || layer != component.LayerComponent {
		t.Fatalf("Get = %q, %q, %v", got, layer, ok)
	}
	if _, _, ok := open(t, dir, 1<<20).Get(name("b")); ok {
		t.Error("an entry that was never stored was found")
	}
}

func TestNameDependsOnSourceAndEngine(t *testing.T) {
	a, b := sha256.Sum256([]byte("a")), sha256.Sum256([]byte("b"))
	names := map[string]bool{codecache.Name(a, "x"): true, codecache.Name(b, "x"): true, codecache.Name(a, "y"): true}
	if len(names) != 3 {
		t.Errorf("%d different names, want 3", len(names))
	}
}

// Native code from anybody else would run unchecked in the worker.
func TestForeignAndDamagedEntriesAreMisses(t *testing.T) {
	path := func(dir, n string) string { return filepath.Join(dir, n+".code") }
	for what, damage := range map[string]func(t *testing.T, dir string){
		"any byte flipped": nil, // below
		"truncated": func(t *testing.T, dir string) {
			if err := os.Truncate(path(dir, name("a")), 20); err != nil {
				t.Fatal(err)
			}
		},
		"empty": func(t *testing.T, dir string) {
			if err := os.Truncate(path(dir, name("a")), 0); err != nil {
				t.Fatal(err)
			}
		},
		"another entry's bytes": func(t *testing.T, dir string) {
			put(t, open(t, dir, 1<<20), name("b"), []byte("other"))
			if err := os.Rename(path(dir, name("b")), path(dir, name("a"))); err != nil {
				t.Fatal(err)
			}
		},
		"written under another key": func(t *testing.T, dir string) {
			other := t.TempDir()
			put(t, open(t, other, 1<<20), name("a"), []byte("evil"))
			b, err := os.ReadFile(path(other, name("a")))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path(dir, name("a")), b, 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"a symlink": func(t *testing.T, dir string) {
			if err := os.Rename(path(dir, name("a")), filepath.Join(dir, "elsewhere")); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("elsewhere", path(dir, name("a"))); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			put(t, open(t, dir, 1<<20), name("a"), []byte("native code"))
			if damage != nil {
				damage(t, dir)
				if _, _, ok := open(t, dir, 1<<20).Get(name("a")); ok {
					t.Error("it was loaded")
				}
				return
			}
			whole, err := os.ReadFile(path(dir, name("a")))
			if err != nil {
				t.Fatal(err)
			}
			c := open(t, dir, 1<<20)
			for i := range whole {
				bad := bytes.Clone(whole)
				bad[i] ^= 1
				if err := os.WriteFile(path(dir, name("a")), bad, 0o600); err != nil {
					t.Fatal(err)
				}
				if _, _, ok := c.Get(name("a")); ok {
					t.Errorf("loaded with byte %d flipped", i)
				}
			}
			put(t, c, name("a"), []byte("native code")) // recompiled
			if _, _, ok := c.Get(name("a")); !ok {
				t.Error("a fresh entry over a damaged one was not found")
			}
		})
	}
}

func TestOpenRefusesWhatOthersCouldWrite(t *testing.T) {
	for what, loosen := range map[string]func(dir string) error{
		"directory": func(dir string) error { return os.Chmod(dir, 0o777) },
		"key":       func(dir string) error { return os.Chmod(filepath.Join(dir, "key"), 0o644) },
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Chmod(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			open(t, dir, 1<<20)
			if err := loosen(dir); err != nil {
				t.Fatal(err)
			}
			if _, err := codecache.Open(dir, 1<<20); err == nil || !strings.Contains(err.Error(), "open to other users") {
				t.Errorf("err = %v", err)
			}
		})
	}
}

func TestSizeIsBoundedAndTheLastUsedStay(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, 3000)
	code := bytes.Repeat([]byte("x"), 900)
	for i, n := range []string{"a", "b", "c"} {
		put(t, c, name(n), code)
		then := time.Now().Add(time.Duration(i-10) * time.Minute)
		if err := os.Chtimes(filepath.Join(dir, name(n)+".code"), then, then); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, ok := c.Get(name("a")); !ok { // a becomes the last used
		t.Fatal("a is missing")
	}
	put(t, c, name("d"), code)
	for n, want := range map[string]bool{"a": true, "b": false, "c": true, "d": true} {
		if _, _, ok := c.Get(name(n)); ok != want {
			t.Errorf("%s kept = %v, want %v", n, ok, want)
		}
	}
	put(t, c, name("huge"), bytes.Repeat([]byte("x"), 4000))
	if _, _, ok := c.Get(name("huge")); ok {
		t.Error("an entry larger than the cache was kept")
	}
	entries, err := c.List()
	if err != nil || len(entries) != 3 {
		t.Fatalf("List = %v, %v", entries, err)
	}
	if n, err := c.Clear(); n != 3 || err != nil {
		t.Errorf("Clear = %d, %v", n, err)
	}
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range left {
		if f.Name() != "key" && f.Name() != "lock" {
			t.Errorf("left behind: %s", f.Name())
		}
	}
}

// Nothing in the directory may make a run wait where Ctrl-C is not heard.
func TestNothingBlocks(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, 1000)
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	put(t, c, name("a"), []byte("code")) // with the lock held by somebody else
	if _, _, ok := c.Get(name("a")); !ok {
		t.Error("the entry was not kept")
	}
	if _, err := c.Clear(); err == nil {
		t.Error("Clear did nothing and said nothing")
	}

	pipe := t.TempDir()
	if err := unix.Mkfifo(filepath.Join(pipe, "key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := codecache.Open(pipe, 1000); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a pipe for a key: %v", err)
	}
}

func TestClearSparesWhoIsWriting(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, 1<<20)
	put(t, c, name("a"), []byte("code"))
	tmp := filepath.Join(dir, "new-123")
	if err := os.WriteFile(tmp, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Clear(); n != 1 || err != nil {
		t.Errorf("Clear = %d, %v", n, err)
	}
	if _, err := os.Stat(tmp); err != nil {
		t.Errorf("a file that is being written is gone: %v", err)
	}
	old := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(tmp, old, old); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Clear(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(tmp); err == nil {
		t.Error("what a killed process left two hours ago is still there")
	}
}

func TestConcurrentUse(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			c, err := codecache.Open(dir, 5000) // eight processes race for the key
			if err != nil {
				t.Error(err)
				return
			}
			for j := range 30 {
				n := name(string(rune('a' + (i+j)%5)))
				want := bytes.Repeat([]byte(n), 10)
				if got, _, ok := c.Get(n); ok && !bytes.Equal(got, want) {
					t.Error("a torn or foreign entry was read")
				}
				if err := c.Put(n, component.LayerCore, want); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
