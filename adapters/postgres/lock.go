package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"time"

	"github.com/greentic-ai/greentic-provision/adapters/sqlstore"
)

// locker makes advisory locks of the database, apart for each schema.
type locker struct {
	db     *sql.DB
	schema string
}

func (l locker) number(lock string) int64 {
	return number("lock of greentic-provision\n" + l.schema + "\n" + lock)
}

// Try is documented in sqlstore.Locker. While somebody else has the lock it keeps no
// connection, so that waiting needs no more of them than anything else.
func (l locker) Try(ctx context.Context, lock string) (sqlstore.Held, error) {
	conn, err := l.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	h := held{conn: conn, number: l.number(lock)}
	var got bool
	err = conn.QueryRowContext(ctx, `SELECT pg_try_advisory_lock($1), pg_backend_pid()::text`, h.number).Scan(&got, &h.session)
	if err != nil {
		h.discard() // it may have the lock
		return nil, err
	}
	if !got {
		return nil, conn.Close()
	}
	return h, nil
}

// Session is documented in sqlstore.Locker: the process of the server that has it.
func (l locker) Session(ctx context.Context, lock string) (session string, err error) {
	err = l.db.QueryRowContext(ctx, `SELECT pid::text FROM pg_catalog.pg_locks
		WHERE locktype = 'advisory' AND granted AND objsubid = 1
			AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
			AND (classid::bigint << 32) | objid::bigint = $1`, l.number(lock)).Scan(&session)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return session, err
}

// held is a session that has the lock.
type held struct {
	conn    *sql.Conn
	number  int64
	session string
}

func (h held) Session() string { return h.session }

// Release gives the lock back or, where that does not work, ends the session, which
// gives it back too.
func (h held) Release() error {
	ctx, cancel := context.WithTimeoutCause(context.Background(), 10*time.Second, errors.New("the server does not answer"))
	defer cancel()
	var had bool
	err := h.conn.QueryRowContext(ctx, `SELECT pg_advisory_unlock($1)`, h.number).Scan(&had)
	if err != nil || !had {
		h.discard()
		return nil
	}
	return h.conn.Close()
}

func (h held) discard() {
	h.conn.Raw(func(any) error { return driver.ErrBadConn })
	h.conn.Close()
}
