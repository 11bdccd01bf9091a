// Package codecache keeps native code that compile workers made, so that a pack
// is compiled once per machine and user.
//
// The engine trusts native code completely, so an entry counts only when this
// user wrote it: each carries an HMAC-SHA256 under a key that lies beside the
// entries, readable by the user alone. An entry is named by what it was compiled
// from and for (source hash, engine version and configuration), and the name is
// under the MAC, so one entry cannot stand in for another. Anything that does
// not check out is a miss, never an error and never loaded.
//
// Layout of the directory (mode 0700):
//
//	key                 32 random bytes, mode 0600
//	lock                flock held while entries are removed
//	<hex sha256>.code   "gpcode1\n", layer byte, 32-byte MAC, native code
//
// Entries are written to a temporary name and renamed, so a reader sees a whole
// entry or none; two processes may write the same one.
package codecache

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/component"
	"github.com/greentic-ai/greentic-provision/limits"
)

const (
	magic  = "gpcode1\n"
	header = len(magic) + 1 + sha256.Size
	suffix = ".code"
	// DefaultSize bounds the directory.
	DefaultSize = 1 << 30
)

// Cache is a directory of compiled code. Methods are safe for concurrent use,
// also by several processes.
type Cache struct {
	dir  string
	size int64
	key  []byte
}

// Entry describes one cached compilation.
type Entry struct {
	Name    string          `json:"name"`
	Layer   component.Layer `json:"layer"`
	Bytes   int64           `json:"bytes"`
	LastUse time.Time       `json:"last_use"`
}

// DefaultDir is the cache's place under the user's cache directory.
func DefaultDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache directory: %w", err)
	}
	return filepath.Join(base, "greentic-provision", "code"), nil
}

// Open prepares the directory and its key. size bounds the sum of all entries
// in bytes. It refuses a directory or key that others could have written.
func Open(dir string, size int64) (*Cache, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the code cache: %w", err)
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	if err := private(dir, 0o022); err != nil {
		return nil, err
	}
	key, err := loadKey(filepath.Join(dir, "key"))
	if err != nil {
		return nil, err
	}
	return &Cache{dir: dir, size: size, key: key}, nil
}

// private reports an error when path belongs to somebody else or has any of the
// permission bits in deny.
func private(path string, deny fs.FileMode) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return &fs.PathError{Op: "lstat", Path: path, Err: err}
	}
	if int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("code cache: %s belongs to user %d, not to %d; remove it or use --no-cache", path, st.Uid, os.Geteuid())
	}
	if fs.FileMode(st.Mode)&deny != 0 {
		return fmt.Errorf("code cache: %s is open to other users (mode %04o); chmod it or use --no-cache", path, st.Mode&0o7777)
	}
	return nil
}

// loadKey reads the key, making it first when there is none. Of several
// processes that make it at once, the first link wins and the others read it.
func loadKey(path string) ([]byte, error) {
	for range 2 {
		if err := private(path, 0o077); err == nil {
			key, err := readKey(path)
			if err != nil {
				return nil, fmt.Errorf("code cache: %w", err)
			}
			if len(key) != 32 {
				return nil, fmt.Errorf("code cache: %s has %d bytes, want 32; remove it", path, len(key))
			}
			return key, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		key := make([]byte, 32)
		rand.Read(key)
		tmp, err := writeTemp(filepath.Dir(path), "key-*", key)
		if err != nil {
			return nil, err
		}
		err = os.Link(tmp, path)
		os.Remove(tmp)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("code cache: %w", err)
		}
	}
	return nil, fmt.Errorf("code cache: %s keeps vanishing", path)
}

// readKey reads at most 33 bytes of a regular file; a pipe in its place must not
// block.
func readKey(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file; remove it", path)
	}
	return io.ReadAll(io.LimitReader(f, 33))
}

// writeTemp writes a private temporary file and gives its name.
func writeTemp(dir, pattern string, parts ...[]byte) (string, error) {
	f, err := os.CreateTemp(dir, pattern) // mode 0600
	if err != nil {
		return "", fmt.Errorf("code cache: %w", err)
	}
	for _, p := range parts {
		if _, err = f.Write(p); err != nil {
			break
		}
	}
	if err2 := f.Close(); err == nil {
		err = err2
	}
	if err != nil {
		os.Remove(f.Name())
		return "", fmt.Errorf("code cache: %w", err)
	}
	return f.Name(), nil
}

// Name is the entry name for a source compiled by an engine: source is the
// SHA-256 of the file, engine identifies version and configuration.
func Name(source [sha256.Size]byte, engine string) string {
	h := sha256.New()
	h.Write(source[:])
	io.WriteString(h, engine)
	return hex.EncodeToString(h.Sum(nil))
}

func (c *Cache) mac(name string, layer byte, code []byte) []byte {
	m := hmac.New(sha256.New, c.key)
	io.WriteString(m, name)
	m.Write([]byte{layer})
	m.Write(code)
	return m.Sum(nil)
}

var layerBytes = map[component.Layer]byte{component.LayerCore: 'm', component.LayerComponent: 'c'}

func layerOf(b byte) component.Layer {
	for l, lb := range layerBytes {
		if lb == b {
			return l
		}
	}
	return ""
}

// Get gives the code under name. ok is false when there is none or when what
// lies there was not written by this user, is damaged, or is too large.
func (c *Cache) Get(name string) (code []byte, layer component.Layer, ok bool) {
	path := filepath.Join(c.dir, name+suffix)
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, "", false
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() || st.Size() < int64(header) || st.Size() > int64(limits.MaxCode)+int64(header) {
		return nil, "", false
	}
	b := make([]byte, st.Size())
	if _, err := io.ReadFull(f, b); err != nil || string(b[:len(magic)]) != magic {
		return nil, "", false
	}
	lb, sum, code := b[len(magic)], b[len(magic)+1:header], b[header:]
	if layer = layerOf(lb); layer == "" || !hmac.Equal(sum, c.mac(name, lb, code)) {
		return nil, "", false
	}
	now := time.Now()
	_ = os.Chtimes(path, now, now) // eviction order only; a failure costs a recompilation
	return code, layer, true
}

// Put stores code under name and then evicts the entries used longest ago until
// the cache fits its size. Code larger than the whole cache is not kept.
func (c *Cache) Put(name string, layer component.Layer, code []byte) error {
	lb, known := layerBytes[layer]
	if !known {
		return fmt.Errorf("code cache: unknown layer %q", layer)
	}
	if int64(len(code)+header) > min(c.size, int64(limits.MaxCode)) {
		return nil
	}
	tmp, err := writeTemp(c.dir, "new-*", []byte(magic), []byte{lb}, c.mac(name, lb, code), code)
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, filepath.Join(c.dir, name+suffix)); err != nil {
		os.Remove(tmp)
		return fmt.Errorf("code cache: %w", err)
	}
	return c.evict(c.size)
}

// List gives the entries, last used first.
func (c *Cache) List() ([]Entry, error) {
	names, err := os.ReadDir(c.dir)
	if err != nil {
		return nil, fmt.Errorf("code cache: %w", err)
	}
	var out []Entry
	for _, n := range names {
		name, isCode := strings.CutSuffix(n.Name(), suffix)
		st, err := n.Info()
		if !isCode || err != nil || !st.Mode().IsRegular() {
			continue
		}
		out = append(out, Entry{Name: name, Layer: c.peekLayer(name), Bytes: st.Size(), LastUse: st.ModTime()})
	}
	slices.SortFunc(out, func(a, b Entry) int {
		if d := b.LastUse.Compare(a.LastUse); d != 0 {
			return d
		}
		return strings.Compare(a.Name, b.Name)
	})
	return out, nil
}

// peekLayer reads the layer byte without checking the MAC; it is shown, never
// acted upon.
func (c *Cache) peekLayer(name string) component.Layer {
	f, err := os.OpenFile(filepath.Join(c.dir, name+suffix), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer f.Close()
	b := make([]byte, len(magic)+1)
	if _, err := io.ReadFull(f, b); err != nil {
		return ""
	}
	return layerOf(b[len(magic)])
}

// Clear removes every entry; the key stays, and so do the temporary files of
// processes that are writing. It gives the number of entries removed.
func (c *Cache) Clear() (int, error) {
	entries, err := c.List()
	if err != nil {
		return 0, err
	}
	return len(entries), c.evict(0)
}

// evict removes the entries used longest ago until the rest fit keep bytes, and
// temporary files that a killed process left an hour ago or more.
func (c *Cache) evict(keep int64) error {
	lock, err := os.OpenFile(filepath.Join(c.dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("code cache: %w", err)
	}
	defer lock.Close()
	switch err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK) && keep > 0:
		return nil // another process is at it; waiting could not be interrupted
	case err != nil:
		return fmt.Errorf("code cache: lock: %w", err)
	}
	entries, err := c.List()
	if err != nil {
		return err
	}
	var total int64
	for _, e := range entries {
		total += e.Bytes
		if total > keep {
			if err := os.Remove(filepath.Join(c.dir, e.Name+suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("code cache: %w", err)
			}
		}
	}
	for _, pattern := range []string{"new-*", "key-*"} {
		stale, _ := filepath.Glob(filepath.Join(c.dir, pattern))
		for _, path := range stale {
			if st, err := os.Lstat(path); err == nil && time.Since(st.ModTime()) > time.Hour {
				os.Remove(path)
			}
		}
	}
	return nil
}
