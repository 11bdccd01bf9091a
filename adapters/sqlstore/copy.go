package sqlstore

import (
	"context"
	"fmt"
	"strings"

	"github.com/greentic-ai/greentic-provision/adapters"
)

// CopyTo writes one state of everything in s to an empty store of any engine. What is
// sealed stays sealed.
func (s *Store) CopyTo(ctx context.Context, to *Store) error {
	err := s.read(ctx, adapters.AllScopes, func(from *tx) error {
		return to.write(ctx, adapters.AllScopes, func(t *tx) error {
			for _, table := range tables {
				if err := from.copy(ctx, table, t); err != nil {
					return fmt.Errorf("copy %s: %w", table.name, err)
				}
			}
			return nil
		})
	})
	if err != nil {
		return s.fail("copy", err)
	}
	return nil
}

func (t *tx) copy(ctx context.Context, table table, to *tx) error {
	values := make([]any, len(table.columns))
	pointers, params := make([]any, len(values)), make([]string, len(values))
	for i := range values {
		pointers[i], params[i] = &values[i], fmt.Sprintf("?%d", i+1)
	}
	columns := strings.Join(table.columns, ", ")
	// The schema's version is there already: both stores have that of this program.
	insert := "INSERT INTO " + table.name + " (" + columns + ") VALUES (" + strings.Join(params, ", ") + ") ON CONFLICT DO NOTHING"
	return t.rows(ctx, "SELECT "+columns+" FROM "+table.name, nil, pointers, func() error {
		if _, err := to.exec(ctx, "copy", insert, values...); err != nil {
			return to.s.fail("write the copy", err)
		}
		return nil
	})
}
