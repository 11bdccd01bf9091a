package sqlstore_test

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/adapters/sqlite"
	"github.com/greentic-ai/greentic-provision/adapters/sqlstore"
	"github.com/greentic-ai/greentic-provision/adapters/storetest"
)

// engine opens one store again and again, and its database beside it.
type engine struct {
	where string // path or URL
	open  func(o sqlstore.Options) (*sqlstore.Store, error)
	sql   func(t *testing.T) *sql.DB
}

func onSQLite(t *testing.T) engine {
	path := filepath.Join(t.TempDir(), "store.db")
	return engine{
		where: path,
		open:  func(o sqlstore.Options) (*sqlstore.Store, error) { return openAt(t.Context(), path, o) },
		sql: func(t *testing.T) *sql.DB {
			db, err := sql.Open("sqlite", path)
			if err != nil {
				t.Fatal(err)
			}
			return db
		},
	}
}

func onPostgres(database string) func(*testing.T) engine {
	var schemas atomic.Int32
	connect := func(t *testing.T, url string) *sql.DB {
		db, err := sql.Open("pgx", url)
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	return func(t *testing.T) engine {
		schema := fmt.Sprint("store", schemas.Add(1))
		all := connect(t, database)
		defer all.Close()
		if _, err := all.ExecContext(t.Context(), "CREATE SCHEMA "+schema); err != nil {
			t.Fatal(err)
		}
		url := with(t, database, "search_path", schema)
		return engine{
			where: url,
			open:  func(o sqlstore.Options) (*sqlstore.Store, error) { return openAt(t.Context(), url, o) },
			sql:   func(t *testing.T) *sql.DB { return connect(t, with(t, url, "greentic.scope", "*")) },
		}
	}
}

// with gives a URL with one more parameter.
func with(t *testing.T, base, name, value string) string {
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String()
}

func (e engine) opened(t *testing.T, o sqlstore.Options) *sqlstore.Store {
	t.Helper()
	if o.Sealer == nil {
		o.Sealer = sealer{}
	}
	s, err := e.open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// exec runs a statement that must change something, past the store.
func (e engine) exec(t *testing.T, statement string) {
	t.Helper()
	db := e.sql(t)
	defer db.Close()
	r, err := db.ExecContext(t.Context(), statement)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := r.RowsAffected(); err != nil || n == 0 {
		t.Fatalf("%s changed %d rows, %v", statement, n, err)
	}
}

func place(e engine) storetest.Place {
	tamper := map[string]func(*testing.T){}
	for what, statement := range map[string]string{
		"an audit entry that was changed":   `UPDATE provision_audit SET entry = replace(entry, 'anna', 'bert') WHERE seq = 2`,
		"an audit entry with more in it":    `UPDATE provision_audit SET entry = replace(entry, '"by":', '"also":"bert","by":') WHERE seq = 2`,
		"an audit entry that is no JSON":    `UPDATE provision_audit SET entry = '{' WHERE seq = 2`,
		"a first audit entry that is gone":  `DELETE FROM provision_audit WHERE seq = 1`,
		"a middle audit entry that is gone": `DELETE FROM provision_audit WHERE seq = 2`,
		"a last audit entry that is gone":   `DELETE FROM provision_audit WHERE seq = 4`,
		"a whole audit log that is gone":    `DELETE FROM provision_audit`,
		"the end of a log that was changed": `UPDATE provision_chains SET hash = 'sha256:00'`,
		"the end of a log that is gone":     `DELETE FROM provision_chains`,
		"a record that is no JSON":          `UPDATE provision_installs SET record = '{'`,
		"a record without a status":         `UPDATE provision_installs SET record = replace(record, '"installed"', '""')`,
		"a record of no namespace":          `UPDATE provision_installs SET namespace = 'somewhere'`,
		"a record of an area":               `UPDATE provision_installs SET namespace = namespace || '#before'`,
		"a record of another tenant":        `UPDATE provision_installs SET scope = 'dev:other'`,
		"a journal entry that is no JSON":   `UPDATE provision_journal SET record = '[]'`,
		"a journal entry of another id":     `UPDATE provision_journal SET id = 'other' WHERE status = 'finished'`,
		"a journal entry that was finished": `UPDATE provision_journal SET status = 'finished' WHERE status = 'committed'`,
		"a sealed value in another place":   `UPDATE provision_values SET key = 'b' WHERE key = 'a' AND kind = 'secrets'`,
		"a sealed value that was changed":   `UPDATE provision_values SET value = (SELECT v.value FROM provision_values v WHERE v.key = 'hidden' AND v.kind = 'secrets' LIMIT 1) WHERE key = 'a' AND kind = 'secrets'`,
		"a secret that is not sealed":       `UPDATE provision_values SET sealed = 0 WHERE key = 'a' AND kind = 'secrets'`,
		"a hidden value that is not sealed": `UPDATE provision_values SET sealed = 0 WHERE key = 'a' AND kind = 'hidden'`,
		"a value without a key":             `UPDATE provision_values SET key = '' WHERE key = 'a' AND kind = 'config'`,
		"a value that was never sealed":     `UPDATE provision_values SET sealed = 1 WHERE key = 'a' AND kind = 'config'`,
		"a value of another tenant":         `UPDATE provision_values SET scope = 'dev:other' WHERE key = 'a' AND kind = 'config'`,
		"a value of no kind":                `UPDATE provision_values SET kind = 'other' WHERE key = 'a' AND kind = 'config'`,
		"a value with a strange key":        "UPDATE provision_values SET key = 'a\nb' WHERE key = 'a' AND kind = 'config'",
		"a recipient that is gone":          `DELETE FROM provision_meta WHERE name = 'recipient'`,
	} {
		tamper[what] = func(t *testing.T) { e.exec(t, statement) }
	}
	return storetest.Place{
		Open: func(fault func(string) error) (adapters.Store, error) {
			return e.open(sqlstore.Options{Sealer: sealer{}, Fault: fault, Wait: time.Minute}) // machines are busy
		},
		OpenBackup: func(path string) (adapters.Store, error) {
			return sqlite.Open(context.Background(), path, sqlstore.Options{Sealer: sealer{}})
		},
		Tamper: tamper,
		Newer:  func(t *testing.T) { e.exec(t, `UPDATE provision_meta SET value = '99' WHERE name = 'schema'`) },
	}
}

// sealer is a Sealer that hides nothing from who can turn bits around.
type sealer struct {
	recipient string        // "fake" where it is ""
	asked     *atomic.Int32 // counts Recipient; may be nil
	before    func()        // called by Recipient; may be nil
	none, err error         // of Recipient, of Open
}

func (s sealer) Recipient(context.Context) (string, error) {
	if s.asked != nil {
		s.asked.Add(1)
	}
	if s.before != nil {
		s.before()
	}
	return cmp.Or(s.recipient, "fake"), s.none
}

func (s sealer) Seal(recipient, binding string, plain []byte) ([]byte, error) {
	return append(fmt.Appendf(nil, "sealed %q %q ", recipient, binding), flip(plain)...), nil
}

func flip(b []byte) []byte {
	b = bytes.Clone(b)
	for i := range b {
		b[i] = ^b[i]
	}
	return b
}

var errSealed = errors.New("it was not sealed for this place")

func (s sealer) Open(_ context.Context, recipient, binding string, sealed []byte) ([]byte, error) {
	if s.err != nil {
		return nil, s.err
	}
	rest, ok := bytes.CutPrefix(sealed, fmt.Appendf(nil, "sealed %q %q ", recipient, binding))
	if !ok {
		return nil, errSealed
	}
	return flip(rest), nil
}
