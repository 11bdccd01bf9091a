// Package postgres keeps the system of record in a database of PostgreSQL 14 or newer,
// for many hosts.
//
// Any role will do that may make tables in the first schema of its search path; a
// store shares the database with others by a schema of its own (?search_path=NAME in
// the URL). Each transaction says which scope it works for, and row-level security,
// forced upon the owner of the tables too, keeps every row of other scopes from it. A
// superuser, or a role with BYPASSRLS, is not held by that; every query names its
// scope as well.
//
// For reading (sqlstore.Options.ReadOnly) a role needs USAGE of the schema and SELECT of
// the tables only; the server refuses whatever would change something.
//
// A lock is an advisory lock on a connection of its own and ends with it. So the URL
// must lead to the server itself or to a pooler that keeps a client on one session.
//
// A backup is one SQLite file with the same tables; package sqlite opens it.
package postgres

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/adapters/sqlite"
	"github.com/greentic-ai/greentic-provision/adapters/sqlstore"
)

const name = "postgres"

// Open opens the store at a postgres:// URL. What the URL leaves out is taken from
// libpq's environment variables. No error holds its password.
func Open(ctx context.Context, rawURL string, o sqlstore.Options) (*sqlstore.Store, error) {
	s, err := open(ctx, rawURL, o)
	if err != nil {
		return nil, dialect(nil, "").Fail("open", err)
	}
	return s, nil
}

func open(ctx context.Context, rawURL string, o sqlstore.Options) (*sqlstore.Store, error) {
	config, err := parse(rawURL)
	if err != nil {
		return nil, err
	}
	// A connection that the server ended while it was idle is not used for a transaction:
	// a ping costs little and tells.
	ping := func(context.Context, stdlib.ShouldPingParams) bool { return true }
	db := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(settings(o)), stdlib.OptionShouldPing(ping))
	var schema sql.NullString
	if err := db.QueryRowContext(ctx, `SELECT current_schema()`).Scan(&schema); err != nil {
		db.Close()
		return nil, err
	}
	if !schema.Valid {
		db.Close()
		return nil, &adapters.ConfigError{Adapter: name, Reason: "no schema of the search path exists",
			Hint: "make one, or name one with ?search_path=NAME in the URL"}
	}
	return sqlstore.Open(ctx, db, dialect(db, schema.String), o)
}

// parse reads the URL. Errors of the parsers may repeat it, and none is passed on.
func parse(rawURL string) (*pgx.ConnConfig, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, &adapters.ConfigError{Adapter: name, Reason: "this is not a URL of PostgreSQL",
			Hint: "give postgres://USER@HOST/DATABASE, with %XX for special characters"}
	}
	config, err := pgx.ParseConfig(rawURL)
	if err != nil {
		return nil, &adapters.ConfigError{Adapter: name, Reason: "the URL for " + strconv.Quote(u.Hostname()) + " has a parameter that cannot be used",
			Hint: "see its port, sslmode and certificates, and libpq's environment variables"}
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 10 * time.Second
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "greentic-provision"
	}
	return config, nil
}

// settings makes a new session what the store takes for granted, whatever the server's
// own settings are: a statement does not wait for ever; an idle session, which may
// hold a lock, is not ended; a client that vanished is noticed within a minute; and
// what was committed is on the disk.
func settings(o sqlstore.Options) func(context.Context, *pgx.Conn) error {
	statements := fmt.Sprintf(`SET lock_timeout = %d; SET idle_session_timeout = 0; SET synchronous_commit = on;
		SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3`, o.Waiting().Milliseconds())
	if o.ReadOnly {
		statements += `; SET default_transaction_read_only = on`
	}
	return func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, statements)
		return err
	}
}

func dialect(db *sql.DB, schema string) *sqlstore.Dialect {
	return &sqlstore.Dialect{
		Name:     name,
		Rewrite:  func(query string) string { return strings.ReplaceAll(query, "?", "$") },
		Int:      "BIGINT",
		Bytes:    "BYTEA",
		Protect:  protect,
		Write:    []string{"BEGIN ISOLATION LEVEL READ COMMITTED"},
		Read:     []string{"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"},
		Migrate:  []string{"BEGIN ISOLATION LEVEL READ COMMITTED", fmt.Sprintf("SELECT pg_advisory_xact_lock(%d)", number("schema of greentic-provision"))},
		SetScope: `SELECT set_config('greentic.scope', ?1, true)`,
		HasTable: `SELECT count(*) FROM pg_catalog.pg_tables WHERE schemaname = current_schema() AND tablename = ?1::text`,
		Hint:     hint,
		Locker:   locker{db, schema},
		Backup: func(ctx context.Context, _ *sql.DB, s *sqlstore.Store, path string) error {
			return sqlite.Export(ctx, path, func(to *sqlstore.Store) error { return s.CopyTo(ctx, to) })
		},
	}
}

// protect: owners are not held by row-level security unless it is forced. Without
// WITH CHECK the same condition holds for new rows.
func protect(table string) []string {
	return []string{
		"ALTER TABLE " + table + " ENABLE ROW LEVEL SECURITY",
		"ALTER TABLE " + table + " FORCE ROW LEVEL SECURITY",
		"CREATE POLICY provision_scope ON " + table + ` USING (
			scope = current_setting('greentic.scope', true) OR current_setting('greentic.scope', true) = '*')`,
	}
}

// number gives the number of an advisory lock. Another lock with the same one, of
// another program, would only be waited for.
func number(of string) int64 {
	sum := sha256.Sum256([]byte(of))
	return int64(binary.BigEndian.Uint64(sum[:8]))
}

func hint(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch e.Code {
		case "53100":
			return "free space on the server's disk; nothing was changed"
		case "53300":
			return "the server has no connection left; raise max_connections or try again"
		case "25006":
			return "the server or database is read-only; give the URL of the primary"
		case "42704":
			return "use PostgreSQL 14 or newer"
		case "42501":
			return "let the role own the schema or a database"
		case "3D000":
			return "create the database"
		case "55P03", "40P01", "40001":
			return "another process keeps writing; try again"
		}
		switch e.Code[:min(2, len(e.Code))] {
		case "28":
			return "see the user and password of the URL and the server's pg_hba.conf"
		case "57", "08":
			return lost
		case "XX":
			return "the database is damaged; see the server's log and restore a backup"
		}
		return ""
	}
	if _, ok := errors.AsType[net.Error](err); ok || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, pgconn.ErrConnClosed) {
		return lost
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return "see that the server runs and the URL is right"
	}
	return ""
}

const lost = "the connection to the server was lost; recover sees in the journal what was under way"
