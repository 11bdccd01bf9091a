// Package sqlite keeps the system of record in one SQLite file.
//
// The driver is a translation of SQLite to Go, so that no C is linked. The file is in
// WAL mode with synchronous=FULL: a commit is on the disk when it returns, and readers
// do not wait for writers. Beside it lie
//
//	FILE-wal, FILE-shm   SQLite's own, with the mode of FILE
//	FILE.locks/          one file per installation, flocked by its writer, and "open",
//	                     flocked while somebody opens the store
//
// All of it is the user's alone: what is made has mode 0600 (directories 0700), and
// what others own or may write is refused. The kernel gives a lock back when its
// process dies, so none is ever stale. It holds on one machine only: a store on a
// network file system must not be used by two.
//
// SQLite locks FILE with POSIX locks, which a process loses when it closes any
// descriptor of the file. So nothing here opens FILE, but to make it while "open" is
// locked and nobody else can have it.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/adapters/sqlstore"
)

const name = "sqlite"

// Open opens the store in a file and makes it when there is none, and its folder too.
// The error is an *adapters.ConfigError when the file is not ours alone, is no store,
// or is one of a newer version.
func Open(ctx context.Context, path string, o sqlstore.Options) (*sqlstore.Store, error) {
	s, err := open(ctx, path, o)
	if err != nil {
		return nil, dialect("").Fail("open "+path, err)
	}
	return s, nil
}

func open(ctx context.Context, path string, o sqlstore.Options) (*sqlstore.Store, error) {
	file, err := place(path)
	if err != nil {
		return nil, err
	}
	locks := file + ".locks"
	if err := os.Mkdir(locks, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if err := private(locks); err != nil {
		return nil, err
	}
	// Turning a new file into WAL mode does not wait for others who do the same.
	alone, err := flockWithin(ctx, filepath.Join(locks, "open"), o.Waiting())
	if err != nil {
		return nil, err
	}
	defer alone.Close()
	if f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err == nil {
		f.Close()
	} else if !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := private(file + suffix); err != nil && (suffix == "" || !errors.Is(err, fs.ErrNotExist)) {
			return nil, err
		}
	}
	db, err := connect(file, "WAL", o)
	if err != nil {
		return nil, err
	}
	if err := ours(ctx, db, file); err != nil {
		db.Close()
		return nil, err
	}
	return sqlstore.Open(ctx, db, dialect(locks), o)
}

// place gives the file's own path, so that all its names lead to the same locks, and
// makes its folder.
func place(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	return filepath.Join(dir, filepath.Base(path)), err
}

// private refuses what belongs to somebody else or what others may write.
func private(path string) error {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	switch kind := uint32(st.Mode) & unix.S_IFMT; {
	case kind != unix.S_IFREG && kind != unix.S_IFDIR:
		return &adapters.ConfigError{Adapter: name, Reason: path + " is not a regular file", Hint: "give another path"}
	case int(st.Uid) != os.Geteuid():
		return &adapters.ConfigError{Adapter: name, Reason: fmt.Sprintf("%s belongs to user %d and this is user %d", path, st.Uid, os.Geteuid()),
			Hint: "give a file of your own"}
	case st.Mode&0o022 != 0:
		return &adapters.ConfigError{Adapter: name, Reason: fmt.Sprintf("others may write %s, its mode is %04o", path, st.Mode&0o7777),
			Hint: "see who changed it, then chmod go-w"}
	}
	return nil
}

// connect gives the connections to a file: one, so that the goroutines of a process
// wait for each other in order, and not in the way SQLite does, by trying again.
func connect(file, journal string, o sqlstore.Options) (*sql.DB, error) {
	q := url.Values{
		"_busy_timeout": {strconv.FormatInt(o.Waiting().Milliseconds(), 10)},
		"_journal_mode": {journal},
		"_synchronous":  {"FULL"},
		"_foreign_keys": {"ON"},
		"_defensive":    {"1"},
		"_dqs":          {"0"},
		"_error_rc":     {"1"}, // errors tell of the call that failed only
		"_pragma":       {"trusted_schema(0)"},
	}
	dsn := url.URL{Scheme: "file", OmitHost: true, Path: file, RawQuery: q.Encode()}
	connector, err := sqlite.NewConnector(dsn.String())
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	return db, nil
}

// ours refuses a database of something else.
func ours(ctx context.Context, db *sql.DB, file string) error {
	var all, meta int
	err := db.QueryRowContext(ctx, `SELECT count(*), count(*) FILTER (WHERE name = 'provision_meta') FROM sqlite_master`).Scan(&all, &meta)
	if err == nil && all > 0 && meta == 0 {
		err = &adapters.ConfigError{Adapter: name, Reason: file + " is a database of another program", Hint: "give another path"}
	}
	return err
}

func dialect(locks string) *sqlstore.Dialect {
	return &sqlstore.Dialect{
		Name:         name,
		Rewrite:      func(query string) string { return query },
		Int:          "INTEGER",
		Bytes:        "BLOB",
		TableOptions: "STRICT",
		// A deferred BEGIN that writes later may fail without having waited.
		Write:    []string{"BEGIN IMMEDIATE"},
		Migrate:  []string{"BEGIN IMMEDIATE"},
		Read:     []string{"BEGIN"},
		HasTable: `SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?1`,
		Damage:   damage,
		Hint:     hint,
		Locker:   locker(locks),
		Backup:   backup,
	}
}

func damage(ctx context.Context, c *sql.Conn) ([]string, error) {
	rows, err := c.QueryContext(ctx, `PRAGMA integrity_check`) // gives a hundred lines at most
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return found, err
		}
		if line != "ok" {
			found = append(found, line)
		}
	}
	return found, rows.Err()
}

func hint(err error) string {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		if e.Code() == sqlite3.SQLITE_IOERR_SHMSIZE { // what a full disk says first: FILE-shm cannot grow
			return "free space on the disk; nothing was changed"
		}
		switch e.Code() & 0xff { // the rest says more of the same
		case sqlite3.SQLITE_FULL:
			return "free space on the disk; nothing was changed"
		case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH:
			return "make the file and its folder writable for this user"
		case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
			return "the file is damaged or is no store; keep it and restore a backup"
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
			return "another process keeps writing; try again"
		case sqlite3.SQLITE_CANTOPEN:
			return "see that the path is a file in a folder that this user may write"
		case sqlite3.SQLITE_IOERR:
			return "the disk or its file system fails; see the system's log"
		}
	}
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return "free space on the disk; nothing was changed"
	case errors.Is(err, unix.EROFS), errors.Is(err, fs.ErrPermission):
		return "make the file and its folder writable for this user"
	case errors.Is(err, fs.ErrExist):
		return "give the path of a file that is not there"
	}
	return ""
}
