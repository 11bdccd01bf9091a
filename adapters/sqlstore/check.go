package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/plan"
)

// maxProblems bounds a report; a database that is damaged all over has more.
const maxProblems = 1000

// Check is documented in adapters.Store.
func (s *Store) Check(ctx context.Context) (adapters.Report, error) {
	c := check{s: s, open: map[adapters.Area]adapters.Namespace{},
		Report: adapters.Report{Problems: []adapters.Problem{}, Heads: map[adapters.Scope]adapters.Chain{}}}
	err := s.read(ctx, adapters.AllScopes, func(t *tx) error {
		for _, part := range []struct {
			name string
			run  func(context.Context, *tx) error
		}{
			{"database", c.database}, {"installations", c.installs}, {"journal", c.journal}, {"values", c.values}, {"audit log", c.audit},
		} {
			err := part.run(ctx, t)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil { // a page that cannot be read does not keep the others from being looked at
				c.problem(part.name, "%s", s.fail("read", err))
			}
		}
		return nil
	})
	if err != nil {
		return adapters.Report{}, s.fail("check", err)
	}
	return c.Report, nil
}

type check struct {
	adapters.Report
	s      *Store
	open   map[adapters.Area]adapters.Namespace // areas of open journal entries
	sealed string                               // why sealed values cannot be opened, once that is known
}

func (c *check) problem(where, format string, args ...any) {
	if len(c.Problems) < maxProblems {
		c.Problems = append(c.Problems, adapters.Problem{Where: where, What: fmt.Sprintf(format, args...)})
	}
}

func (c *check) database(ctx context.Context, t *tx) error {
	if c.s.dialect.Damage == nil {
		return nil
	}
	found, err := c.s.dialect.Damage(ctx, t.conn)
	for _, what := range found {
		c.problem("database", "%s", what)
	}
	return err
}

// namespace reads the namespace of a row and compares it with the row's scope.
func (c *check) namespace(where, scope, text string) (adapters.Namespace, bool) {
	ns, err := adapters.ParseNamespace(text)
	switch {
	case err != nil:
		c.problem(where, "%v", err)
	case string(ns.Scope()) != scope:
		c.problem(where, "it is kept under %s and belongs to %s", hostile.Quote(scope), ns.Scope())
	default:
		return ns, true
	}
	return ns, false
}

func (c *check) installs(ctx context.Context, t *tx) error {
	var scope, ns, record, sum string
	return t.rows(ctx, `SELECT scope, namespace, record, sum FROM provision_installs`, nil, []any{&scope, &ns, &record, &sum}, func() error {
		c.Installs++
		where := "record of " + hostile.Quote(ns)
		if _, ok := c.namespace(where, scope, ns); !ok {
			return nil
		}
		i, err := decodeInstall(ns, record, sum)
		switch {
		case err != nil:
			c.problem(where, "%v", err)
		case i.Namespace.Area != adapters.Live:
			c.problem(where, "its namespace has an area")
		case i.Status != adapters.Installed && i.Status != adapters.Removed:
			c.problem(where, "there is no status %s", hostile.Quote(string(i.Status)))
		case i.Revision == 0:
			c.problem(where, "it has no revision")
		}
		return nil
	})
}

func (c *check) journal(ctx context.Context, t *tx) error {
	known := []adapters.JournalStatus{adapters.Intent, adapters.Committed, adapters.Finished, adapters.RolledBack}
	var scope, id, text, status, record, sum string
	return t.rows(ctx, `SELECT scope, id, namespace, status, record, sum FROM provision_journal`, nil,
		[]any{&scope, &id, &text, &status, &record, &sum}, func() error {
			where := "journal entry " + hostile.Quote(id)
			ns, ok := c.namespace(where, scope, text)
			if !ok {
				return nil
			}
			e, err := decodeJournal(id, text, record, sum)
			switch {
			case err != nil:
				c.problem(where, "%v", err)
			case e.ID != id:
				c.problem(where, "its record is of %s", hostile.Quote(e.ID))
			case !slices.Contains(known, e.Status):
				c.problem(where, "there is no status %s", hostile.Quote(string(e.Status)))
			case string(e.Status) != status:
				c.problem(where, "it is kept as %s and its record says %s", hostile.Quote(status), e.Status)
			case e.Status.Open():
				c.Open++
				c.open[adapters.Staged(id)], c.open[adapters.Kept(id)] = ns, ns
			}
			return nil
		})
}

func (c *check) values(ctx context.Context, t *tx) error {
	recipient, err := t.meta(ctx, metaRecipient)
	if err != nil {
		return err
	}
	var scope, text, kind, key, sum string
	var sealed, size int
	var value []byte
	stray := map[string]bool{}
	// A value too large to be loaded is not read here either.
	query := fmt.Sprintf(`SELECT scope, namespace, kind, key, sum, sealed, octet_length(value),
		CASE WHEN octet_length(value) > %d THEN NULL ELSE value END FROM provision_values`, adapters.MaxValue+maxSealing)
	err = t.rows(ctx, query, nil, []any{&scope, &text, &kind, &key, &sum, &sealed, &size, &value}, func() error {
		c.Values++
		where := fmt.Sprintf("%s %s of %s", hostile.Escape(kind, 20), hostile.Quote(key), hostile.Quote(text))
		ns, ok := c.namespace(where, scope, text)
		if !ok {
			return nil
		}
		if ofOneCommit(ns.Area) && c.open[ns.Area] != ns.In(adapters.Live) {
			stray[text] = true
		}
		if at, err := spotOf(ns, adapters.Kind(kind)); err != nil {
			c.problem(where, "%v", err)
		} else if err := checkChange(adapters.Change{Key: key}); err != nil {
			c.problem(where, "%v", err)
		} else if size > adapters.MaxValue+maxSealing {
			c.problem(where, "it has %d bytes; the limit is %d", size, adapters.MaxValue)
		} else if sum != valueSum(at, key, value) {
			c.problem(where, "its bytes are damaged")
		} else if sealed == 0 && at.secret(adapters.Value{}) {
			c.problem(where, "it is not sealed")
		} else if sealed != 0 && c.sealed == "" {
			return c.opens(ctx, where, recipient, at, key, value)
		}
		return nil
	})
	for _, text := range slices.Sorted(maps.Keys(stray)) {
		c.problem("values in "+text, "they are of a commit that is not open")
	}
	return err
}

// ofOneCommit says whether an area is there only while a commit is open.
func ofOneCommit(a adapters.Area) bool {
	return strings.HasPrefix(string(a), string(adapters.Staged(""))) || strings.HasPrefix(string(a), string(adapters.Kept("")))
}

// opens tries to open a sealed value. What is wrong with the identity is said once.
func (c *check) opens(ctx context.Context, where, recipient string, at spot, key string, value []byte) error {
	_, err := c.s.open(ctx, recipient, at, key, value)
	if err == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	if e, ok := errors.AsType[*adapters.ConfigError](err); ok {
		c.sealed = e.Error()
		c.problem("sealed values", "they were not checked: %s", c.sealed)
		return nil
	}
	c.problem(where, "%v", err)
	return nil
}

func (c *check) audit(ctx context.Context, t *tx) error {
	heads := map[adapters.Scope]adapters.Chain{}
	var scope, hash, text string
	var seq int64
	err := t.rows(ctx, `SELECT scope, seq, hash FROM provision_chains`, nil, []any{&scope, &seq, &hash}, func() error {
		heads[adapters.Scope(scope)] = adapters.Chain{Seq: uint64(seq), Hash: hash}
		return nil
	})
	if err != nil {
		return err
	}
	err = t.rows(ctx, `SELECT scope, seq, entry FROM provision_audit ORDER BY scope, seq`, nil, []any{&scope, &seq, &text}, func() error {
		c.Audit++
		of := adapters.Scope(scope)
		where := fmt.Sprintf("audit entry %d of %s", seq, hostile.Quote(scope))
		prev := c.Heads[of]
		e, err := decodeAudit(scope, seq, text)
		if err != nil {
			c.problem(where, "%v", err)
			e = adapters.AuditEntry{Seq: uint64(seq)}
		} else if again, err := plan.Canonical(e); err != nil || string(again) != text || e.Scope != of || int64(e.Seq) != seq {
			c.problem(where, "it is not as it was written")
		} else if !e.Follows(prev) {
			c.problem(where, "it was changed, or entries before it were taken away or changed")
		}
		c.Heads[of] = e.End()
		return nil
	})
	if err != nil {
		return err
	}
	for _, of := range slices.Sorted(maps.Keys(heads)) {
		if head := heads[of]; head != c.Heads[of] {
			c.problem("audit log of "+hostile.Quote(string(of)), "its last entry is %d and should be %d; entries were taken away, added or changed",
				c.Heads[of].Seq, head.Seq)
		}
	}
	for _, of := range slices.Sorted(maps.Keys(c.Heads)) {
		if _, ok := heads[of]; !ok {
			c.problem("audit log of "+hostile.Quote(string(of)), "the record of its end is missing")
		}
	}
	return nil
}
