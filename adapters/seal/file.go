package seal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"filippo.io/age"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
)

// maxText bounds what is read as an identity, in bytes; one takes 200.
const maxText = 64 << 10

// show is for paths in messages; what the operator gave is not cut.
func show(path string) string { return hostile.Escape(path, 4096) }

// readPrivate reads a file that nobody else can read.
func readPrivate(path string) ([]byte, error) {
	// Without O_NONBLOCK a named pipe would make us wait for its writer.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, refuse(show(path)+" is missing", pointToIt)
	}
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, unreadable(path, err)
	}
	if reason, hint := objection(info, os.Geteuid()); reason != "" {
		return nil, refuse(show(path)+" "+reason, hint)
	}
	buf := make([]byte, maxText+1) // at once: growing would leave copies behind
	n, err := io.ReadFull(f, buf)
	switch {
	case err == nil:
		clear(buf)
		return nil, refuse(fmt.Sprintf("%s is no identity: it has more than %d bytes", show(path), maxText), "")
	case !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		clear(buf)
		return nil, unreadable(path, err)
	}
	return buf[:n], nil
}

// objection says what is wrong with a file that should be readable by uid only, and
// what to do about it; "" when nothing is.
func objection(info fs.FileInfo, uid int) (reason, hint string) {
	if !info.Mode().IsRegular() {
		return "is not a regular file", "what prints an identity is given as command:ARGV"
	}
	if owner := int(info.Sys().(*syscall.Stat_t).Uid); owner != uid {
		return fmt.Sprintf("belongs to user %d and not to us, user %d", owner, uid), "the identity's file must be our own"
	}
	if mode := info.Mode().Perm(); mode&^0o600 != 0 {
		return fmt.Sprintf("has mode %04o; it must be 0600 or stricter", mode), "chmod 600, if nobody else has read it"
	}
	return "", ""
}

func unreadable(path string, err error) error {
	return refuse(fmt.Sprintf("%s cannot be read: %s", show(path), cause(err)), "")
}

// cause is the text of err without the path that package os puts before it.
func cause(err error) string {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	} else if e, ok := errors.AsType[*os.LinkError](err); ok {
		err = e.Err
	}
	return hostile.Error(err)
}

// create makes a new identity in the Source's file. Without an error it gives nil
// where there is a file already, be it that another process was faster.
func (k *Keys) create(ctx context.Context) (*age.X25519Identity, error) {
	path := k.config.Source.Path
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil, nil // reading it will tell
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, refuse("cannot be made: "+err.Error(), "")
	}
	content := fmt.Appendf(make([]byte, 0, 512), "# created: %s\n# public key: %s\n%s\n", time.Now().UTC().Format(time.RFC3339), id.Recipient(), id)
	defer clear(content)
	if k.config.Source.Kind == Passphrase {
		if content, err = k.encryptNew(ctx, content); err != nil {
			return nil, err
		}
	}
	placed, err := place(path, content)
	if err != nil {
		return nil, refuse(fmt.Sprintf("%s cannot be made: %s", show(path), cause(err)), "")
	}
	if !placed {
		return nil, nil
	}
	return id, nil
}

// place writes a new file of mode 0600, whole or not at all, and its directories, so
// that they are there after a crash too. It gives false when there is a file already;
// then that one will be there after a crash.
func place(path string, content []byte) (placed bool, err error) {
	dir := filepath.Dir(path)
	if err := makeDir(dir); err != nil {
		return false, err
	}
	f, err := os.CreateTemp(dir, ".identity-*")
	if err != nil {
		return false, err
	}
	defer os.Remove(f.Name())
	if _, err := f.Write(content); err != nil {
		f.Close()
		return false, err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return false, err
	}
	// Unlike a rename this fails where another process has put its own meanwhile.
	err = os.Link(f.Name(), path)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return false, err
	}
	return err == nil, syncDir(dir)
}

func makeDir(dir string) error {
	var parents []string // of what is missing
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(d); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		parents = append(parents, filepath.Dir(d))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, d := range parents {
		if err := syncDir(d); err != nil {
			return err
		}
	}
	return nil
}

// syncDir makes the names in a directory durable. File systems that cannot say so
// (EINVAL, as some of networks do) write them anyway.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, syscall.EINVAL) {
		return err
	}
	return nil
}
