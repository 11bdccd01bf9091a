package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/greentic-ai/greentic-provision/adapters/sqlstore"
)

func backup(ctx context.Context, db *sql.DB, _ *sqlstore.Store, path string) error {
	return whole(path, func(tmp string) error {
		_, err := db.ExecContext(ctx, `VACUUM INTO ?1`, tmp) // takes an empty file
		return err
	})
}

// Export makes a new store in a file and has fill write it. The file appears whole or
// not at all, with mode 0600, and only where there is none.
func Export(ctx context.Context, path string, fill func(*sqlstore.Store) error) error {
	err := whole(path, func(tmp string) error {
		db, err := connect(tmp, url.Values{"_journal_mode": {"DELETE"}}, sqlstore.Options{})
		if err != nil {
			return err
		}
		s, err := sqlstore.Open(ctx, db, dialect(""), sqlstore.Options{})
		if err != nil {
			return err
		}
		defer s.Close()
		return fill(s)
	})
	if err != nil {
		return dialect("").Fail("write "+path, err)
	}
	return nil
}

// whole has write fill an empty file beside path, puts it on the disk and then gives
// it its name.
func whole(path string, write func(tmp string) error) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	// Said early, since writing may take long; Link refuses it again.
	if _, err := os.Lstat(path); err == nil {
		return &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer f.Close()
	defer os.Remove(f.Name())
	if err := write(f.Name()); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil {
		return fmt.Errorf("name the copy: %w", err)
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
