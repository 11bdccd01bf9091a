package sqlstore

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/greentic-ai/greentic-provision/adapters"
)

// step gives the statements that make a schema of the next version.
type step func(d *Dialect) []string

// schema has the step to each version from the one before, that to version 1 first.
// A step that was released is never changed.
var schema = []step{version1}

func version1(d *Dialect) []string {
	statements := []string{`CREATE TABLE provision_meta (
		name  TEXT NOT NULL PRIMARY KEY,
		value TEXT NOT NULL
	) {options}`}
	for _, t := range []struct{ name, columns string }{
		{"provision_values", `
			namespace TEXT NOT NULL,
			kind      TEXT NOT NULL,
			key       TEXT NOT NULL,
			sealed    {int} NOT NULL,
			value     {bytes} NOT NULL,
			sum       TEXT NOT NULL,
			PRIMARY KEY (namespace, kind, key)`},
		{"provision_installs", `
			namespace TEXT NOT NULL PRIMARY KEY,
			record    TEXT NOT NULL,
			sum       TEXT NOT NULL`},
		{"provision_journal", `
			id        TEXT NOT NULL,
			namespace TEXT NOT NULL,
			status    TEXT NOT NULL,
			record    TEXT NOT NULL,
			sum       TEXT NOT NULL,
			PRIMARY KEY (scope, id)`},
		{"provision_audit", `
			seq       {int} NOT NULL,
			entry     TEXT NOT NULL,
			PRIMARY KEY (scope, seq)`},
		{"provision_chains", `
			seq       {int} NOT NULL,
			hash      TEXT NOT NULL,
			PRIMARY KEY (scope)`},
		{"provision_locks", `
			namespace TEXT NOT NULL PRIMARY KEY,
			token     {int} NOT NULL,
			session   TEXT NOT NULL,
			holder    TEXT NOT NULL,
			since     TEXT NOT NULL`},
	} {
		statements = append(statements, "CREATE TABLE "+t.name+" (scope TEXT NOT NULL,"+t.columns+") {options}")
		if d.Protect != nil {
			statements = append(statements, d.Protect(t.name)...)
		}
	}
	return statements
}

// table names a table and its columns.
type table struct {
	name    string
	columns []string
}

// tables lists what a copy of a store has to hold, in the newest schema.
var tables = []table{
	{"provision_meta", []string{"name", "value"}},
	{"provision_values", []string{"scope", "namespace", "kind", "key", "sealed", "value", "sum"}},
	{"provision_installs", []string{"scope", "namespace", "record", "sum"}},
	{"provision_journal", []string{"scope", "id", "namespace", "status", "record", "sum"}},
	{"provision_audit", []string{"scope", "seq", "entry"}},
	{"provision_chains", []string{"scope", "seq", "hash"}},
	{"provision_locks", []string{"scope", "namespace", "token", "session", "holder", "since"}},
}

// The names in provision_meta.
const (
	metaSchema    = "schema"
	metaRecipient = "recipient"
)

// version gives the schema's version; 0 where there is none yet.
func (s *Store) version(ctx context.Context, t *tx) (int, error) {
	var there int
	if _, err := t.row(ctx, s.dialect.HasTable, []any{"provision_meta"}, &there); err != nil || there == 0 {
		return 0, err
	}
	text, err := t.meta(ctx, metaSchema)
	if err != nil {
		return 0, err
	}
	v, err := strconv.Atoi(text)
	if err != nil || v < 1 {
		return 0, &adapters.ConfigError{Adapter: s.dialect.Name, Reason: fmt.Sprintf("the schema's version %q is no number", text),
			Hint: "restore a backup"}
	}
	if newest := len(s.schema); v > newest {
		return 0, &adapters.ConfigError{Adapter: s.dialect.Name,
			Reason: fmt.Sprintf("the store has schema version %d and this program knows up to %d", v, newest),
			Hint:   "use the newer greentic-provision that wrote it, or restore a backup"}
	}
	return v, nil
}

// current refuses a schema that is not the newest.
func (s *Store) current(ctx context.Context) error {
	var have int
	err := s.read(ctx, adapters.AllScopes, func(t *tx) (err error) {
		have, err = s.version(ctx, t)
		return err
	})
	switch newest := len(s.schema); {
	case err != nil:
		return err
	case have == 0:
		return ErrNoStore
	case have < newest:
		return &adapters.ConfigError{Adapter: s.dialect.Name,
			Reason: fmt.Sprintf("the store has schema version %d, and this program reads version %d", have, newest),
			Hint:   "the next apply migrates it"}
	}
	return nil
}

// migrate brings the schema to the newest version, all of it or nothing.
func (s *Store) migrate(ctx context.Context) error {
	var have int
	err := s.read(ctx, adapters.AllScopes, func(t *tx) (err error) {
		have, err = s.version(ctx, t)
		return err
	})
	if err != nil || have == len(s.schema) {
		return err
	}
	types := strings.NewReplacer("{int}", s.dialect.Int, "{bytes}", s.dialect.Bytes, "{options}", s.dialect.TableOptions)
	return s.change(ctx, s.dialect.Migrate, adapters.AllScopes, func(t *tx) error {
		have, err := s.version(ctx, t) // somebody may have been faster
		if err != nil {
			return err
		}
		for v := have + 1; v <= len(s.schema); v++ {
			for _, statement := range s.schema[v-1](s.dialect) {
				if _, err := t.exec(ctx, "migrate", types.Replace(statement)); err != nil {
					return err
				}
			}
		}
		_, err = t.exec(ctx, "put schema", `INSERT INTO provision_meta (name, value) VALUES (?1, ?2)
			ON CONFLICT (name) DO UPDATE SET value = excluded.value`, metaSchema, strconv.Itoa(len(s.schema)))
		return err
	})
}
