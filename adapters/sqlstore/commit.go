package sqlstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/plan"
)

// Commit is documented in adapters.Store.
func (s *Store) Commit(ctx context.Context, l adapters.Lock, w adapters.Write) error {
	if err := s.commit(ctx, l, w); err != nil {
		return s.fail("commit", err)
	}
	return nil
}

func (s *Store) commit(ctx context.Context, l adapters.Lock, w adapters.Write) error {
	if s.readOnly {
		return errReadOnly
	}
	if l == nil {
		return errors.New("there is no lock")
	}
	ns := l.Namespace().In(adapters.Live)
	fenced := &adapters.FencedError{Namespace: ns, Token: l.Token()}
	if own, ok := l.(*lock); ok && own.released.Load() {
		return fenced
	}
	if err := fits(ns, w); err != nil {
		return err
	}
	return s.sealed(ctx, ns, w.Values, func(p prepared) error {
		return s.write(ctx, ns.Scope(), func(t *tx) error {
			newest, err := t.newest(ctx, ns)
			if err != nil {
				return err
			}
			if newest != l.Token() {
				return fenced
			}
			if err := t.put(ctx, p); err != nil {
				return err
			}
			if w.Install != nil {
				if err := t.putInstall(ctx, ns, w.Install); err != nil {
					return err
				}
			}
			if w.Journal != nil {
				if err := t.putJournal(ctx, ns, w.Journal); err != nil {
					return err
				}
			}
			return t.append(ctx, ns.Scope(), w.Audit)
		})
	})
}

// fits refuses records of another installation than the lock's.
func fits(ns adapters.Namespace, w adapters.Write) error {
	if w.Install != nil && w.Install.Namespace != ns {
		return fmt.Errorf("the record is of %s and the lock of %s", w.Install.Namespace, ns)
	}
	if w.Journal != nil && w.Journal.Namespace != ns {
		return fmt.Errorf("the journal entry is of %s and the lock of %s", w.Journal.Namespace, ns)
	}
	for _, e := range w.Audit {
		if e.Scope != ns.Scope() || e.Namespace != ns.String() {
			return fmt.Errorf("the audit entry is of %s in %s and the lock of %s in %s", e.Namespace, e.Scope, ns, ns.Scope())
		}
	}
	return nil
}

func (t *tx) putInstall(ctx context.Context, ns adapters.Namespace, i *adapters.Install) error {
	record, err := plan.Canonical(i)
	if err != nil {
		return fmt.Errorf("encode the record: %w", err)
	}
	_, err = t.exec(ctx, "put install", `INSERT INTO provision_installs (scope, namespace, record, sum) VALUES (?1, ?2, ?3, ?4)
		ON CONFLICT (namespace) DO UPDATE SET record = excluded.record, sum = excluded.sum`,
		string(ns.Scope()), ns.String(), string(record), installSum(ns.String(), string(record)))
	return err
}

func (t *tx) putJournal(ctx context.Context, ns adapters.Namespace, e *adapters.JournalEntry) error {
	record, err := plan.Canonical(e)
	if err != nil {
		return fmt.Errorf("encode the journal entry: %w", err)
	}
	n, err := t.exec(ctx, "put journal", `INSERT INTO provision_journal (scope, id, namespace, status, record, sum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
		ON CONFLICT (scope, id) DO UPDATE SET status = excluded.status, record = excluded.record, sum = excluded.sum
		WHERE provision_journal.namespace = excluded.namespace`,
		string(ns.Scope()), e.ID, ns.String(), string(e.Status), string(record), journalSum(e.ID, ns.String(), string(record)))
	if err == nil && n != 1 {
		err = fmt.Errorf("the journal entry %s is of another installation", e.ID)
	}
	return err
}

// append adds entries to the scope's audit log.
func (t *tx) append(ctx context.Context, scope adapters.Scope, entries []adapters.AuditEntry) error {
	if len(entries) == 0 {
		return nil
	}
	// An update that changes nothing holds the row, so that one appends at a time.
	var seq int64
	var end adapters.Chain
	_, err := t.returning(ctx, "hold chain", `INSERT INTO provision_chains (scope, seq, hash) VALUES (?1, 0, '')
		ON CONFLICT (scope) DO UPDATE SET seq = provision_chains.seq RETURNING seq, hash`, []any{string(scope)}, &seq, &end.Hash)
	if err != nil {
		return err
	}
	end.Seq = uint64(seq)
	for _, e := range entries {
		if e, err = e.Chained(end); err != nil {
			return fmt.Errorf("encode the audit entry: %w", err)
		}
		text, err := plan.Canonical(e)
		if err != nil {
			return fmt.Errorf("encode the audit entry: %w", err)
		}
		if _, err := t.exec(ctx, "put audit", `INSERT INTO provision_audit (scope, seq, entry) VALUES (?1, ?2, ?3)`,
			string(scope), int64(e.Seq), string(text)); err != nil {
			return err
		}
		end = e.End()
	}
	_, err = t.exec(ctx, "put chain", `UPDATE provision_chains SET seq = ?2, hash = ?3 WHERE scope = ?1`,
		string(scope), int64(end.Seq), end.Hash)
	return err
}
