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
// what others own or may write is refused, and a file with a second name (a hard link),
// as each name would have locks of its own. The kernel gives a lock back when its
// process dies, so none is ever stale. It holds on one machine only: a store on a
// network file system must not be used by two.
//
// A file that another one took the place of while it was open is not written any more.
//
// A store opened with sqlstore.Options.ReadOnly is never written, not even to bring
// what a crash left in FILE-wal into FILE. No lock file is made. SQLite itself needs
// FILE-wal and FILE-shm for reading; it makes them where they are not, and leaves them
// for the next writer to take away, since a reader cannot know that nobody else reads.
// On a read-only file system they cannot be made: a file without FILE-wal is then read
// as one that does not change (immutable=1), and each read looks afterwards whether
// that was so, as the file system may be writable for others.
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
	"maps"
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

// Open opens the store in a file and makes it when there is none, and its folder too,
// unless it is to read only.
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
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if o.ReadOnly {
		return look(ctx, path, o)
	}
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
	return openFile(ctx, file, url.Values{"_journal_mode": {"WAL"}}, o)
}

// look opens the store in a file for reading.
func look(ctx context.Context, path string, o sqlstore.Options) (*sqlstore.Store, error) {
	file, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, sqlstore.ErrNoStore
	}
	if err != nil {
		return nil, err
	}
	q := url.Values{"mode": {"ro"}} // with query_only as well SQLite would make no backup
	if errors.Is(unix.Access(file, unix.W_OK), unix.EROFS) {
		if _, err := os.Lstat(file + "-wal"); errors.Is(err, fs.ErrNotExist) {
			q.Set(immutable, "1")
		}
	}
	return openFile(ctx, file, q, o)
}

// immutable is SQLite's parameter for files that nobody can write.
const immutable = "immutable"

// openFile opens the store in a file that is there, with parameters for SQLite.
func openFile(ctx context.Context, file string, q url.Values, o sqlstore.Options) (*sqlstore.Store, error) {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := private(file + suffix); err != nil && (suffix == "" || !errors.Is(err, fs.ErrNotExist)) {
			return nil, err
		}
	}
	d := dialect(file + ".locks")
	var err error
	if d.Unchanged, err = unchanged(file, q.Has(immutable)); err != nil {
		return nil, err
	}
	db, err := connect(file, q, o)
	if err != nil {
		return nil, err
	}
	if err := ours(ctx, db, file); err != nil {
		db.Close()
		return nil, err
	}
	return sqlstore.Open(ctx, db, d, o)
}

// The ways in which a file can be another one than it was.
var (
	errReplaced = errors.New("the file was replaced while it was in use")
	errWritten  = errors.New("the file was written while it was read, although its file system is read-only here")
)

// unchanged gives what tells whether the path still leads to the file to which it leads
// now and, with all, whether that has not been written either.
func unchanged(file string, all bool) (func() error, error) {
	was, err := os.Stat(file)
	return func() error {
		is, err := os.Stat(file)
		switch {
		case err != nil:
			return fmt.Errorf("%w: %w", errReplaced, err)
		case !os.SameFile(was, is):
			return errReplaced
		case !all:
			return nil
		}
		if _, err := os.Lstat(file + "-wal"); !errors.Is(err, fs.ErrNotExist) || is.Size() != was.Size() || !is.ModTime().Equal(was.ModTime()) {
			return errWritten
		}
		return nil
	}, err
}

// place gives the file's own path, so that all its names lead to the same locks, and
// makes its folder.
func place(path string) (string, error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	return filepath.Join(dir, filepath.Base(path)), err
}

// private refuses what belongs to somebody else, what others may write, and files that
// have another name too.
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
	case kind == unix.S_IFREG && st.Nlink > 1:
		return &adapters.ConfigError{Adapter: name, Reason: fmt.Sprintf("%s has %d names (hard links), and each would have locks of its own", path, st.Nlink),
			Hint: "find the others with find -samefile, and remove or copy them"}
	}
	return nil
}

// connect gives the connections to a file, with more parameters for SQLite: one, so that the goroutines of a process
// wait for each other in order, and not in the way SQLite does, by trying again.
func connect(file string, more url.Values, o sqlstore.Options) (*sql.DB, error) {
	q := url.Values{
		"_busy_timeout": {strconv.FormatInt(o.Waiting().Milliseconds(), 10)},
		"_synchronous":  {"FULL"},
		"_foreign_keys": {"ON"},
		"_defensive":    {"1"},
		"_dqs":          {"0"},
		"_error_rc":     {"1"}, // errors tell of the call that failed only
		"_pragma":       {"trusted_schema(0)"},
	}
	maps.Copy(q, more)
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
		if e.Code() == sqlite3.SQLITE_READONLY_ROLLBACK { // a FILE-journal is there, which only the making of a store has
			return "a crash left the file half made; the next apply finishes it"
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
	case errors.Is(err, errReplaced):
		return "nothing was written to either file; see what put the other one there, then run again"
	case errors.Is(err, errWritten):
		return "try again, or read it where it is written"
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return "free space on the disk; nothing was changed"
	case errors.Is(err, unix.EROFS), errors.Is(err, fs.ErrPermission):
		return "make the file and its folder writable for this user"
	case errors.Is(err, fs.ErrExist):
		return "give the path of a file that is not there"
	}
	return ""
}
