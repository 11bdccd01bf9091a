package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/greentic-ai/greentic-provision/adapters"
)

// Options are those of every engine.
type Options struct {
	// Sealer seals and opens secrets; without one they can be neither written nor read.
	Sealer Sealer
	// Wait is how long a statement waits for writers of other processes. 0 is 10 s.
	Wait time.Duration
	// ReadOnly is for looking: nothing is made, migrated, locked or written. Where there
	// is no store the error wraps ErrNoStore.
	ReadOnly bool
	// Fault is for tests, nil otherwise. It is called with a name before every statement
	// that writes, before ("commit") and after ("committed") every COMMIT, and around
	// locks ("lock", "locked", "unlock"), by several goroutines at once. Its error
	// counts as one of the engine in that place.
	Fault func(op string) error

	schema []step // of tests
}

// Waiting gives Wait or its default.
func (o Options) Waiting() time.Duration {
	if o.Wait > 0 {
		return o.Wait
	}
	return 10 * time.Second
}

// ErrNoStore is wrapped by the error of opening with ReadOnly what is not there, or has
// nothing in it.
var ErrNoStore = errors.New("there is no store yet")

var errReadOnly = errors.New("the store was opened for reading only")

// What a transaction may take, so that a server behind a network that swallows packets is
// an error and no hang. Check reads everything in one.
const (
	changing = 2 * time.Minute
	reading  = 10 * time.Minute
)

var errSilent = errors.New("the database does not answer")

// settle bounds what must be brought to its end although the caller's context ended: a
// COMMIT or ROLLBACK.
const settle = 30 * time.Second

// Store is an adapters.Store.
type Store struct {
	db       *sql.DB
	dialect  *Dialect
	sealer   Sealer
	fault    func(op string) error
	schema   []step
	waiting  time.Duration // of a statement for writers of other processes
	readOnly bool

	mu        sync.Mutex
	recipient string // as in provision_meta, once it is known to be there
}

var _ adapters.Store = (*Store)(nil)

// Open makes the tables or brings them up to date, unless it is to read only. It takes db, and closes it when it
// fails. Its error is for Dialect.Fail.
func Open(ctx context.Context, db *sql.DB, d *Dialect, o Options) (*Store, error) {
	s := &Store{db: db, dialect: d, sealer: o.Sealer, fault: o.Fault, schema: schema, waiting: o.Waiting(), readOnly: o.ReadOnly}
	if s.fault == nil {
		s.fault = func(string) error { return nil }
	}
	if o.schema != nil {
		s.schema = o.schema
	}
	ready := s.migrate
	if s.readOnly {
		ready = s.current
	}
	if err := ready(ctx); err != nil {
		db.Close()
		return nil, err
	}
	return s, nil
}

// Close ends the store's connections.
func (s *Store) Close() error {
	if err := s.db.Close(); err != nil {
		return s.fail("close", err)
	}
	return nil
}

// Backup is documented in adapters.Store.
func (s *Store) Backup(ctx context.Context, path string) error {
	if err := s.fault("backup"); err != nil {
		return s.fail("backup", err)
	}
	if err := s.dialect.Backup(ctx, s.db, s, path); err != nil {
		return s.fail("backup to "+path, err)
	}
	return nil
}

// fail says what could not be done. What says it already stays as it is.
func (s *Store) fail(op string, err error) error { return s.dialect.Fail(op, err) }

// Fail gives err, with a hint, as the error of op. Errors of package adapters say
// everything themselves and stay as they are.
func (d *Dialect) Fail(op string, err error) error {
	if _, ok := errors.AsType[*adapters.Error](err); ok {
		return err
	}
	if _, ok := errors.AsType[*adapters.ConfigError](err); ok {
		return err
	}
	if _, ok := errors.AsType[*adapters.FencedError](err); ok {
		return err
	}
	if _, ok := errors.AsType[*adapters.LockedError](err); ok {
		return err
	}
	return &adapters.Error{Adapter: d.Name, Op: op, Hint: d.Hint(err), Err: oneLine{err}}
}

// oneLine is an error whose text drivers may have written on several lines.
type oneLine struct{ error }

func (e oneLine) Error() string { return strings.Join(strings.Fields(e.error.Error()), " ") }
func (e oneLine) Unwrap() error { return e.error }

// tx is a transaction on a connection of its own. It is begun and ended with
// statements, and not by database/sql, which rolls back on its own when the context
// ends and may do so while a COMMIT is under way.
type tx struct {
	s         *Store
	conn      *sql.Conn
	committed bool
}

// exec runs a statement that writes and gives the number of rows it changed.
func (t *tx) exec(ctx context.Context, op, query string, args ...any) (int64, error) {
	if err := t.s.fault(op); err != nil {
		return 0, err
	}
	r, err := t.conn.ExecContext(ctx, t.s.dialect.Rewrite(query), args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// returning runs a statement that writes one row at most and gives values of it.
func (t *tx) returning(ctx context.Context, op, query string, args []any, to ...any) (found bool, err error) {
	if err := t.s.fault(op); err != nil {
		return false, err
	}
	return t.row(ctx, query, args, to...)
}

// row reads one row into the variables.
func (t *tx) row(ctx context.Context, query string, args []any, to ...any) (found bool, err error) {
	err = t.conn.QueryRowContext(ctx, t.s.dialect.Rewrite(query), args...).Scan(to...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// rows calls each for every row, with the row's values in the variables.
func (t *tx) rows(ctx context.Context, query string, args, to []any, each func() error) error {
	rows, err := t.conn.QueryContext(ctx, t.s.dialect.Rewrite(query), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(to...); err != nil {
			return err
		}
		if err := each(); err != nil {
			return err
		}
	}
	return rows.Err()
}

// meta gives a value of provision_meta, "" where there is none.
func (t *tx) meta(ctx context.Context, name string) (value string, err error) {
	_, err = t.row(ctx, `SELECT value FROM provision_meta WHERE name = ?1`, []any{name}, &value)
	return value, err
}

// read runs fn in a transaction that sees one state of a scope.
func (s *Store) read(ctx context.Context, scope adapters.Scope, fn func(*tx) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, reading, errSilent)
	defer cancel()
	t, err := s.begin(ctx, s.dialect.Read, scope)
	if err != nil {
		return err
	}
	defer t.end()
	err = ended(ctx, fn(t))
	if changed := s.unchanged(); changed != nil {
		return changed // what was read is not what is there, damage neither
	}
	return err
}

// write runs fn in a transaction and commits it unless fn fails.
func (s *Store) write(ctx context.Context, scope adapters.Scope, fn func(*tx) error) error {
	return s.change(ctx, s.dialect.Write, scope, fn)
}

func (s *Store) change(ctx context.Context, begin []string, scope adapters.Scope, fn func(*tx) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, changing, errSilent)
	defer cancel()
	t, err := s.begin(ctx, begin, scope)
	if err != nil {
		return err
	}
	defer t.end()
	if err := fn(t); err != nil {
		return ended(ctx, err)
	}
	if err := s.fault("commit"); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.unchanged(); err != nil {
		return err
	}
	// From here on the end of ctx does not matter: a COMMIT that is broken off may
	// have happened or not.
	settled, cancelSettled := settling(ctx, settle)
	defer cancelSettled()
	if _, err := t.conn.ExecContext(settled, "COMMIT"); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	t.committed = true
	return s.fault("committed")
}

func (s *Store) unchanged() error {
	if s.dialect.Unchanged == nil {
		return nil
	}
	return s.dialect.Unchanged()
}

func (s *Store) begin(ctx context.Context, statements []string, scope adapters.Scope) (*tx, error) {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return nil, ended(ctx, err)
	}
	t := &tx{s: s, conn: conn}
	for _, statement := range statements {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			t.end()
			return nil, ended(ctx, err)
		}
	}
	if s.dialect.SetScope != "" {
		if _, err := conn.ExecContext(ctx, s.dialect.Rewrite(s.dialect.SetScope), string(scope)); err != nil {
			t.end()
			return nil, ended(ctx, err)
		}
	}
	return t, nil
}

// end rolls back what was not committed and gives the connection back. A connection
// that cannot be rolled back, as there is no transaction any more or it is lost, is
// not used again.
func (t *tx) end() {
	defer t.conn.Close()
	if t.committed {
		return
	}
	ctx, cancel := settling(context.Background(), settle)
	defer cancel()
	if _, err := t.conn.ExecContext(ctx, "ROLLBACK"); err != nil {
		t.conn.Raw(func(any) error { return driver.ErrBadConn })
	}
}

// ended gives the end of ctx as the reason of an error: drivers may call it a bad
// connection.
func ended(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), errSilent) {
		return fmt.Errorf("%w: %w", errSilent, err)
	}
	if err != nil && ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return err
}

// settling gives a context for what is done although ctx has ended.
func settling(ctx context.Context, most time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(context.WithoutCancel(ctx), most, errSilent)
}
