package greentic

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// maxFile bounds what is read of a file and what is written to one.
const maxFile = 64 << 20

// malformedError says that a file is not what it should be. It quotes nothing of it.
type malformedError struct{ reason string }

func (e *malformedError) Error() string { return e.reason }

func malformed(format string, args ...any) error {
	return &malformedError{fmt.Sprintf(format, args...)}
}

// follow gives the path of the file that path means, which need not exist yet. A file
// is replaced where it is, and not the link to it.
func follow(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return real, err
	}
	if _, err := os.Lstat(path); err == nil {
		return "", fmt.Errorf("%s is a link to what does not exist", path)
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	return filepath.Join(dir, filepath.Base(path)), err
}

// open opens a regular file. It does not wait for the other end of a pipe.
func open(path string, flags int) (*os.File, os.FileInfo, error) {
	f, err := os.OpenFile(path, flags|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err != nil {
		return nil, nil, cmp.Or(err, f.Close())
	}
	return f, info, nil
}

// openLocked opens a regular file and waits for the lock on it, which ends when the
// file is closed. A file that was replaced meanwhile is opened again.
func openLocked(ctx context.Context, path string, flags, how int) (*os.File, os.FileInfo, error) {
	for {
		f, info, err := open(path, flags)
		if err != nil {
			return nil, nil, err
		}
		if err := lock(ctx, f, how); err != nil {
			return nil, nil, cmp.Or(err, f.Close())
		}
		now, err := os.Stat(path)
		if err == nil && os.SameFile(info, now) {
			return f, now, nil
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = nil // removed meanwhile; open says what follows from that
		}
		if err := cmp.Or(err, f.Close()); err != nil {
			return nil, nil, err
		}
	}
}

// lock waits for a lock until ctx ends. The lock is asked for again and again, since a
// thread that waits in flock cannot be told to stop.
func lock(ctx context.Context, f *os.File, how int) error {
	for wait := time.Millisecond; ; wait = min(2*wait, 20*time.Millisecond) {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is locked by another program: %w", f.Name(), context.Cause(ctx))
		case <-time.After(wait):
		}
	}
}

// read gives the content of a file that is not too large.
func read(f *os.File) ([]byte, error) {
	var b bytes.Buffer
	if info, err := f.Stat(); err == nil && info.Size() < maxFile {
		b.Grow(int(info.Size()) + bytes.MinRead)
	}
	n, err := b.ReadFrom(io.LimitReader(f, maxFile+1))
	if err == nil && n > maxFile {
		err = malformed("it has more than %d bytes", maxFile)
	}
	return b.Bytes(), err
}

// replace puts data in the place of the file at path, or makes it. was is the file
// that is there, nil for none; its owner is kept. The caller has the lock, so there is
// one temporary file at most, and one that a crash left is of no use to anybody.
func replace(path string, data []byte, was os.FileInfo, mode os.FileMode) error {
	dir := filepath.Dir(path)
	temp := filepath.Join(dir, tempName(filepath.Base(path)))
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	err = cmp.Or(fill(f, data, was, mode), f.Close())
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		return cmp.Or(err, os.Remove(temp))
	}
	return syncDir(dir)
}

// tempName is the name of the file that becomes the one of the given name.
func tempName(name string) string { return "." + strings.TrimPrefix(name, ".") + ".provision" }

// fill writes the whole of a new file, durably.
func fill(f *os.File, data []byte, was os.FileInfo, mode os.FileMode) error {
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := keepOwner(f, was); err != nil {
		return err
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	return f.Sync()
}

// keepOwner gives f the owner and group of the file that it replaces. Who cannot do
// that must not replace it: the runtime could not read its own file any more.
func keepOwner(f *os.File, was os.FileInfo) error {
	if was == nil {
		return nil
	}
	is, err := f.Stat()
	if err != nil {
		return err
	}
	old, okOld := was.Sys().(*syscall.Stat_t)
	now, okNow := is.Sys().(*syscall.Stat_t)
	if !okOld || !okNow || old.Uid == now.Uid && old.Gid == now.Gid {
		return nil
	}
	if err := f.Chown(int(old.Uid), int(old.Gid)); err != nil {
		return fmt.Errorf("the file belongs to user %d and group %d, which it cannot be given again: %w", old.Uid, old.Gid, err)
	}
	return nil
}

// remove takes a file away, durably.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// makeDirs makes the directories below root that are not there, durably.
func makeDirs(root string, mode os.FileMode, names ...string) error {
	dir := root
	for _, name := range names {
		parent := dir
		dir = filepath.Join(dir, name)
		switch err := os.Mkdir(dir, mode); {
		case errors.Is(err, fs.ErrExist):
		case err != nil:
			return err
		default:
			if err := syncDir(parent); err != nil {
				return err
			}
		}
	}
	return nil
}

// syncDir makes what was renamed, made or removed in a directory durable. Some file
// systems cannot be asked to; they say EINVAL.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		err = nil
	}
	return cmp.Or(err, d.Close())
}

// isDir says whether path is a directory, or a link to one.
func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// turns lets one goroutine at a time do something. The lock on a file would do; but
// it is asked for again and again, and many goroutines would starve one another.
type turns chan struct{}

func newTurns() turns { return make(turns, 1) }

func (t turns) take(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (t turns) give() { <-t }
