package sqlstore

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/internal/hostile"
)

// inScope is the condition for rows of the scope ?1.
const inScope = `(?1 = '*' OR scope = ?1)`

// Install is documented in adapters.Store.
func (s *Store) Install(ctx context.Context, ns adapters.Namespace) (*adapters.Install, error) {
	ns = ns.In(adapters.Live)
	var record, sum string
	var found bool
	err := checkNamespace(ns)
	if err == nil {
		err = s.read(ctx, ns.Scope(), func(t *tx) (err error) {
			found, err = t.row(ctx, `SELECT record, sum FROM provision_installs WHERE scope = ?1 AND namespace = ?2`,
				[]any{string(ns.Scope()), ns.String()}, &record, &sum)
			return err
		})
	}
	var i adapters.Install
	if err == nil && found {
		i, err = decodeInstall(ns.String(), record, sum)
	}
	switch {
	case err != nil:
		return nil, s.fail("read the record of "+ns.String(), err)
	case !found:
		return nil, nil
	}
	return &i, nil
}

// Installs is documented in adapters.Store.
func (s *Store) Installs(ctx context.Context, scope adapters.Scope) ([]adapters.Install, error) {
	all := []adapters.Install{}
	err := s.read(ctx, scope, func(t *tx) error {
		var ns, record, sum string
		return t.rows(ctx, `SELECT namespace, record, sum FROM provision_installs WHERE `+inScope,
			[]any{string(scope)}, []any{&ns, &record, &sum}, func() error {
				i, err := decodeInstall(ns, record, sum)
				all = append(all, i)
				return err
			})
	})
	if err != nil {
		return nil, s.fail("list installations", err)
	}
	slices.SortFunc(all, func(a, b adapters.Install) int { return cmp.Compare(a.Namespace.String(), b.Namespace.String()) })
	return all, nil
}

// Journal is documented in adapters.Store.
func (s *Store) Journal(ctx context.Context, scope adapters.Scope, open bool) ([]adapters.JournalEntry, error) {
	all := []adapters.JournalEntry{}
	err := s.read(ctx, scope, func(t *tx) error {
		query := `SELECT id, namespace, record, sum FROM provision_journal WHERE ` + inScope
		args := []any{string(scope)}
		if open {
			query += ` AND status IN (?2, ?3)`
			args = append(args, string(adapters.Intent), string(adapters.Committed))
		}
		var id, ns, record, sum string
		return t.rows(ctx, query, args, []any{&id, &ns, &record, &sum}, func() error {
			e, err := decodeJournal(id, ns, record, sum)
			all = append(all, e)
			return err
		})
	})
	if err != nil {
		return nil, s.fail("read the journal", err)
	}
	slices.SortFunc(all, func(a, b adapters.JournalEntry) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}

// Audit is documented in adapters.Store. Entries of AllScopes are those of one scope
// after those of another.
func (s *Store) Audit(ctx context.Context, scope adapters.Scope) ([]adapters.AuditEntry, error) {
	all := []adapters.AuditEntry{}
	err := s.read(ctx, scope, func(t *tx) error {
		var of, text string
		var seq int64
		return t.rows(ctx, `SELECT scope, seq, entry FROM provision_audit WHERE `+inScope+` ORDER BY scope, seq`,
			[]any{string(scope)}, []any{&of, &seq, &text}, func() error {
				e, err := decodeAudit(of, seq, text)
				all = append(all, e)
				return err
			})
	})
	if err != nil {
		return nil, s.fail("read the audit log", err)
	}
	return all, nil
}

func decodeInstall(ns, record, sum string) (i adapters.Install, err error) {
	if err := json.Unmarshal([]byte(record), &i); err != nil || sum != installSum(ns, record) {
		return i, fmt.Errorf("the record of %s is damaged", hostile.Quote(ns))
	}
	i.Namespace, err = adapters.ParseNamespace(ns)
	return i, err
}

func decodeJournal(id, ns, record, sum string) (e adapters.JournalEntry, err error) {
	if err := json.Unmarshal([]byte(record), &e); err != nil || sum != journalSum(id, ns, record) {
		return e, fmt.Errorf("the journal entry %s is damaged", hostile.Quote(id))
	}
	e.Namespace, err = adapters.ParseNamespace(ns)
	return e, err
}

func decodeAudit(scope string, seq int64, text string) (e adapters.AuditEntry, err error) {
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		return e, fmt.Errorf("the audit entry %d of %s is damaged: %w", seq, hostile.Quote(scope), err)
	}
	return e, nil
}
