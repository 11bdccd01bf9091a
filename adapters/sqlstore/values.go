package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/internal/hostile"
)

const (
	// maxNamespace bounds the text of a namespace in bytes: with kind and key it has to
	// fit into an entry of PostgreSQL's B-trees, which hold 2,704 bytes.
	maxNamespace = 1536
	// maxSealing bounds what sealing adds to a value, in bytes.
	maxSealing = 8 << 10
)

// Values gives the store's values of a kind.
func (s *Store) Values(kind adapters.Kind) adapters.Values { return values{s, kind} }

type values struct {
	s    *Store
	kind adapters.Kind
}

// Keys is documented in adapters.Values.
func (v values) Keys(ctx context.Context, ns adapters.Namespace) ([]string, error) {
	keys, err := v.keys(ctx, ns)
	if err != nil {
		return nil, v.s.fail("list "+string(v.kind), err)
	}
	return keys, nil
}

func (v values) keys(ctx context.Context, ns adapters.Namespace) ([]string, error) {
	at, err := spotOf(ns, v.kind)
	if err != nil {
		return nil, err
	}
	keys := []string{}
	err = v.s.read(ctx, ns.Scope(), func(t *tx) error {
		var key string
		return t.rows(ctx, `SELECT key FROM provision_values WHERE scope = ?1 AND namespace = ?2 AND kind = ?3`,
			[]any{at.scope, at.namespace, at.kind}, []any{&key}, func() error {
				if len(keys) == adapters.MaxKeys {
					return tooMany()
				}
				keys = append(keys, key)
				return nil
			})
	})
	slices.Sort(keys)
	return keys, err
}

// Load is documented in adapters.Values.
func (v values) Load(ctx context.Context, ns adapters.Namespace) (map[string]adapters.Value, error) {
	m, err := v.load(ctx, ns)
	if err != nil {
		return nil, v.s.fail("load "+string(v.kind), err)
	}
	return m, nil
}

func (v values) load(ctx context.Context, ns adapters.Namespace) (map[string]adapters.Value, error) {
	at, err := spotOf(ns, v.kind)
	if err != nil {
		return nil, err
	}
	loaded := map[string]adapters.Value{}
	var recipient string
	err = v.s.read(ctx, ns.Scope(), func(t *tx) error {
		if err := t.bounded(ctx, at); err != nil {
			return err
		}
		var key, sum string
		var sealed int
		var value []byte
		err := t.rows(ctx, `SELECT key, sealed, value, sum FROM provision_values WHERE scope = ?1 AND namespace = ?2 AND kind = ?3`,
			[]any{at.scope, at.namespace, at.kind}, []any{&key, &sealed, &value, &sum}, func() error {
				if sum != valueSum(at, key, value) {
					return fmt.Errorf("the value of %s is damaged", hostile.Quote(key))
				}
				loaded[key] = adapters.Value{Bytes: clone(value), Secret: sealed != 0}
				return nil
			})
		if err != nil {
			return err
		}
		recipient, err = t.meta(ctx, metaRecipient)
		return err
	})
	if err != nil {
		return nil, err
	}
	for key, value := range loaded {
		if value.Secret {
			plain, err := v.s.open(ctx, recipient, at, key, value.Bytes)
			if err != nil {
				return nil, err
			}
			loaded[key] = adapters.Value{Bytes: plain, Secret: true}
		}
	}
	return loaded, nil
}

// Apply is documented in adapters.Values. The batch happens whole or not at all, and
// is refused when its token is older than the newest of the installation. A batch
// with the token 0 was made without a lock and is not compared.
func (v values) Apply(ctx context.Context, ns adapters.Namespace, b adapters.Batch) error {
	if err := v.apply(ctx, ns, b); err != nil {
		return v.s.fail("write "+string(v.kind), err)
	}
	return nil
}

func (v values) apply(ctx context.Context, ns adapters.Namespace, b adapters.Batch) error {
	if v.s.readOnly {
		return errReadOnly
	}
	part := adapters.Part{Kind: v.kind, Area: ns.Area, Batch: b}
	return v.s.sealed(ctx, ns, []adapters.Part{part}, func(p prepared) error {
		return v.s.write(ctx, ns.Scope(), func(t *tx) error {
			if b.Token != 0 {
				newest, err := t.newest(ctx, ns)
				if err != nil {
					return err
				}
				if b.Token < newest {
					return &adapters.FencedError{Namespace: ns, Token: b.Token}
				}
			}
			return t.put(ctx, p)
		})
	})
}

// bounded refuses values of a kind that are too many or too large to be loaded.
func (t *tx) bounded(ctx context.Context, at spot) error {
	var keys, total, largest int64
	_, err := t.row(ctx, `SELECT count(*), coalesce(sum(octet_length(value)), 0), coalesce(max(octet_length(value)), 0)
		FROM provision_values WHERE scope = ?1 AND namespace = ?2 AND kind = ?3`,
		[]any{at.scope, at.namespace, at.kind}, &keys, &total, &largest)
	switch {
	case err != nil:
		return err
	case keys > adapters.MaxKeys:
		return tooMany()
	case largest > adapters.MaxValue+maxSealing:
		return fmt.Errorf("a value has %d bytes; the limit is %d", largest, adapters.MaxValue)
	case total > adapters.MaxTotal+keys*maxSealing:
		return fmt.Errorf("the values have %d bytes together; the limit is %d for one kind of an installation", total, adapters.MaxTotal)
	}
	return nil
}

func tooMany() error {
	return fmt.Errorf("there are more than %d keys, the limit for one kind of an installation", adapters.MaxKeys)
}

// put writes what is prepared.
func (t *tx) put(ctx context.Context, p prepared) error {
	if p.recipient != "" {
		if err := t.record(ctx, p.recipient); err != nil {
			return err
		}
	}
	for _, part := range p.parts {
		for _, c := range part.changes {
			if err := t.change(ctx, part.at, c); err != nil {
				return err
			}
		}
		if err := t.bounded(ctx, part.at); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) change(ctx context.Context, at spot, c preparedChange) error {
	place := []any{at.scope, at.namespace, at.kind, c.key}
	if c.delete {
		_, err := t.exec(ctx, "delete value "+at.kind,
			`DELETE FROM provision_values WHERE scope = ?1 AND namespace = ?2 AND kind = ?3 AND key = ?4`, place...)
		return err
	}
	_, err := t.exec(ctx, "put value "+at.kind, `INSERT INTO provision_values (scope, namespace, kind, key, sealed, value, sum)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
		ON CONFLICT (namespace, kind, key) DO UPDATE SET sealed = excluded.sealed, value = excluded.value, sum = excluded.sum`,
		append(place, c.sealed, c.value, valueSum(at, c.key, c.value))...)
	return err
}

func checkNamespace(ns adapters.Namespace) error {
	if n := len(ns.String()); n > maxNamespace {
		return fmt.Errorf("the namespace has %d bytes as a text; the limit is %d", n, maxNamespace)
	}
	return nil
}

func checkChange(c adapters.Change) error {
	if err := adapters.CheckKey(c.Key); err != nil {
		return err
	}
	if !c.Delete && len(c.Value.Bytes) > adapters.MaxValue {
		return fmt.Errorf("the value of %s has %d bytes; the limit is %d", hostile.Quote(c.Key), len(c.Value.Bytes), adapters.MaxValue)
	}
	return nil
}

// errRecipient says that another process recorded its recipient first.
var errRecipient = errors.New("the store is sealed to another recipient")

// clone copies bytes, and makes none of nil: what is not there would be NULL.
func clone(b []byte) []byte { return append([]byte{}, b...) }
