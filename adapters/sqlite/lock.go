package sqlite

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/adapters/sqlstore"
)

// locker is the folder of the lock files. They are never removed: somebody who waits
// for one would then get the lock of a file that nobody else finds.
type locker string

func (l locker) file(name string) string {
	sum := sha256.Sum256([]byte(name))
	return filepath.Join(string(l), hex.EncodeToString(sum[:16])+".lock")
}

// Try is documented in sqlstore.Locker.
func (l locker) Try(_ context.Context, name string) (sqlstore.Held, error) {
	f, err := flock(l.file(name))
	if f == nil {
		return nil, err
	}
	h := held{f, rand.Text()}
	if err = f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(h.session), 0)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return h, nil
}

// Session is documented in sqlstore.Locker.
func (l locker) Session(_ context.Context, name string) (string, error) {
	f, err := os.Open(l.file(name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 64))
	return string(b), err
}

// held is a flocked file with the session in it.
type held struct {
	f       *os.File
	session string
}

func (h held) Session() string { return h.session }
func (h held) Release() error  { return h.f.Close() }

// flock opens a file with an exclusive lock; nil when somebody has it.
func flock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		return nil, f.Close()
	case err != nil:
		f.Close()
		return nil, &fs.PathError{Op: "flock", Path: path, Err: err}
	}
	return f, nil
}

// flockWithin waits for a lock.
func flockWithin(ctx context.Context, path string, wait time.Duration) (*os.File, error) {
	for end := time.Now().Add(wait); ; {
		f, err := flock(path)
		if f != nil || err != nil {
			return f, err
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("another process has been opening it for %s", wait)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}
