package commit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/greentic-ai/greentic-provision/adapters"
)

// Keys gives the keys of a kind of an installation, without opening any value.
func (s Stores) Keys(ctx context.Context, ns adapters.Namespace, kind adapters.Kind) ([]string, error) {
	install, err := s.Record.Install(ctx, ns)
	if err != nil {
		return nil, err
	}
	if err := s.sameAdapters(install); err != nil {
		return nil, err
	}
	return s.values(kind).Keys(ctx, ns)
}

// Values gives the values of a kind of an installation.
func (s Stores) Values(ctx context.Context, ns adapters.Namespace, kind adapters.Kind) (map[string]adapters.Value, error) {
	install, err := s.Record.Install(ctx, ns)
	if err != nil {
		return nil, err
	}
	if err := s.sameAdapters(install); err != nil {
		return nil, err
	}
	return s.values(kind).Load(ctx, ns)
}

// History gives the audit log of an installation.
func (s Stores) History(ctx context.Context, ns adapters.Namespace) ([]adapters.AuditEntry, error) {
	all, err := s.Record.Audit(ctx, ns.Scope())
	if err != nil {
		return nil, err
	}
	list := []adapters.AuditEntry{}
	for _, e := range all {
		if e.Namespace == ns.String() {
			list = append(list, e)
		}
	}
	return list, nil
}

// Between gives what changed from one revision to another, as history tells it. A key
// that ended as it began is left out.
func Between(history []adapters.AuditEntry, from, to uint64) ([]Difference, error) {
	if from >= to {
		return nil, fmt.Errorf("revision %d does not come before %d", from, to)
	}
	type span struct{ first, last Difference }
	spans := map[place]*span{}
	var newest uint64
	for _, e := range history {
		newest = max(newest, e.Revision)
		if e.Revision <= from || e.Revision > to {
			continue
		}
		var detail struct {
			Changes []Difference `json:"changes"`
		}
		if err := json.Unmarshal(e.Detail, &detail); err != nil {
			return nil, fmt.Errorf("the entry %d of the audit log cannot be read", e.Seq)
		}
		for _, d := range detail.Changes {
			p := place{d.Kind, d.Key}
			if spans[p] == nil {
				spans[p] = &span{first: d}
			}
			spans[p].last = d
		}
	}
	if to > newest {
		return nil, fmt.Errorf("there is no revision %d; the newest is %d", to, newest)
	}
	list := []Difference{}
	for _, s := range spans {
		d := Difference{Kind: s.first.Kind, Key: s.first.Key, What: Changed, Secret: s.first.Secret || s.last.Secret}
		was, is := s.first.What != Added, s.last.What != Gone
		switch {
		case !was && !is:
			continue
		case !was:
			d.What = Added
		case !is:
			d.What = Gone
		}
		if !d.Secret {
			if d.Before, d.After = s.first.Before, s.last.After; d.What == Changed && d.Before != nil && bytes.Equal(d.Before, d.After) {
				continue
			}
		}
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b Difference) int {
		if a.Kind != b.Kind {
			return slices.Index(adapters.Kinds, a.Kind) - slices.Index(adapters.Kinds, b.Kind)
		}
		return strings.Compare(a.Key, b.Key)
	})
	return list, nil
}

// RecoverAll recovers every installation of a scope that has an open commit. lock is
// called for each and gives its lock. One that cannot be recovered keeps no other from it.
func (c Committer) RecoverAll(ctx context.Context, scope adapters.Scope, lock func(adapters.Namespace) (adapters.Lock, error)) ([]Recovered, error) {
	list := []Recovered{}
	entries, err := c.Record.Journal(ctx, scope, true)
	if err != nil {
		return list, err
	}
	open := map[adapters.Namespace]bool{}
	for _, e := range entries {
		open[e.Namespace] = true
	}
	var failures []error
	for _, ns := range slices.SortedFunc(maps.Keys(open), func(a, b adapters.Namespace) int { return strings.Compare(a.String(), b.String()) }) {
		held, err := lock(ns)
		if err == nil {
			var recovered []Recovered
			recovered, err = c.Recover(ctx, held)
			held.Unlock()
			list = append(list, recovered...)
		}
		if ctx.Err() != nil {
			return list, context.Cause(ctx)
		}
		if err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", ns, err))
		}
	}
	return list, errors.Join(failures...)
}
