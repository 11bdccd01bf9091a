package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/internal/hostile"
)

// prepared is what a transaction has to write: parts whose secrets are sealed. That
// is done before the transaction begins, as a Sealer may ask a person.
type prepared struct {
	recipient string // what is sealed is sealed to it; "" when nothing is
	parts     []preparedPart
}

type preparedPart struct {
	at      spot
	changes []preparedChange // one of each key, by key
}

// spot is where values of a kind are stored: the columns of provision_values but for
// the key.
type spot struct{ scope, namespace, kind string }

func spotOf(ns adapters.Namespace, kind adapters.Kind) (spot, error) {
	if !slices.Contains(adapters.Kinds, kind) {
		return spot{}, fmt.Errorf("there is no kind %s of values", hostile.Quote(string(kind)))
	}
	return spot{string(ns.Scope()), ns.String(), string(kind)}, checkNamespace(ns)
}

// binding names the one place in which a sealed value can be opened. Neither the text
// of a namespace nor a kind nor a key has a line feed.
func (s spot) binding(key string) string { return s.namespace + "\n" + s.kind + "\n" + key }

// secret says whether a value must not lie in clear.
func (s spot) secret(v adapters.Value) bool {
	switch adapters.Kind(s.kind) {
	case adapters.Secrets, adapters.State, adapters.Hidden:
		return true
	}
	return v.Secret
}

type preparedChange struct {
	key    string
	delete bool
	sealed int // 1 where value is sealed
	value  []byte
}

// sealed prepares the parts and has them written. When another process has recorded
// its recipient in between, it does so once more for that one.
func (s *Store) sealed(ctx context.Context, ns adapters.Namespace, parts []adapters.Part, write func(prepared) error) error {
	for {
		p, err := s.prepare(ctx, ns, parts)
		if err != nil {
			return err
		}
		if err = write(p); !errors.Is(err, errRecipient) {
			return err
		}
		s.know("") // it is asked for again
	}
}

func (s *Store) prepare(ctx context.Context, ns adapters.Namespace, parts []adapters.Part) (prepared, error) {
	var p prepared
	for _, part := range parts {
		at, err := spotOf(ns.In(part.Area), part.Kind)
		if err != nil {
			return p, err
		}
		pp := preparedPart{at: at}
		last := map[string]adapters.Change{}
		for _, c := range part.Batch.Changes {
			if err := checkChange(c); err != nil {
				return p, err
			}
			last[c.Key] = c
		}
		for _, key := range slices.Sorted(maps.Keys(last)) {
			c := last[key]
			pc := preparedChange{key: key, delete: c.Delete, value: clone(c.Value.Bytes)}
			if !c.Delete && at.secret(c.Value) {
				if p.recipient == "" {
					if p.recipient, err = s.recipientOf(ctx); err != nil {
						return p, err
					}
				}
				if pc.value, err = s.sealer.Seal(p.recipient, at.binding(key), pc.value); err != nil {
					return p, fmt.Errorf("seal %s: %w", hostile.Quote(key), err)
				}
				pc.sealed = 1
			}
			pp.changes = append(pp.changes, pc)
		}
		p.parts = append(p.parts, pp)
	}
	return p, nil
}

// recipientOf gives the recorded recipient, or that for a new store.
func (s *Store) recipientOf(ctx context.Context) (string, error) {
	if s.sealer == nil {
		return "", s.noSealer()
	}
	s.mu.Lock()
	known := s.recipient
	s.mu.Unlock()
	if known != "" {
		return known, nil
	}
	err := s.read(ctx, adapters.AllScopes, func(t *tx) (err error) {
		known, err = t.meta(ctx, metaRecipient)
		return err
	})
	if err != nil {
		return "", err
	}
	if known != "" {
		s.know(known)
		return known, nil
	}
	known, err = s.sealer.Recipient(ctx)
	if err == nil && known == "" {
		err = errors.New("the sealer has no recipient")
	}
	return known, err
}

func (s *Store) know(recipient string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recipient = recipient
}

// record makes the recipient that of the store, or fails with errRecipient when there
// is another one.
func (t *tx) record(ctx context.Context, recipient string) error {
	have, err := t.meta(ctx, metaRecipient)
	if err == nil && have == "" {
		if _, err = t.exec(ctx, "put recipient", `INSERT INTO provision_meta (name, value) VALUES (?1, ?2)
			ON CONFLICT (name) DO NOTHING`, metaRecipient, recipient); err == nil {
			have, err = t.meta(ctx, metaRecipient)
		}
	}
	if err == nil && have != recipient {
		err = errRecipient
	}
	return err
}

// open gives what was sealed.
func (s *Store) open(ctx context.Context, recipient string, at spot, key string, sealed []byte) ([]byte, error) {
	if s.sealer == nil {
		return nil, s.noSealer()
	}
	if recipient == "" {
		return nil, fmt.Errorf("%s is sealed and the store has no recipient", hostile.Quote(key))
	}
	plain, err := s.sealer.Open(ctx, recipient, at.binding(key), sealed)
	if _, ok := errors.AsType[*adapters.ConfigError](err); ok {
		return nil, err // it is not about this value
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", hostile.Quote(key), err)
	}
	if len(plain) > adapters.MaxValue {
		return nil, fmt.Errorf("the value of %s has %d bytes; the limit is %d", hostile.Quote(key), len(plain), adapters.MaxValue)
	}
	return clone(plain), nil
}

func (s *Store) noSealer() error {
	return &adapters.ConfigError{Adapter: s.dialect.Name, Reason: "there is no identity to seal and open secrets with"}
}
