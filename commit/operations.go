package commit

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/capability"
)

// Operations are desired state: the record has one for each thing on another system,
// under its kind and target, and a later one takes the place of an earlier one. What
// is taken away while nobody ever tried to do it is gone without a trace elsewhere.

// opKey is the key of an operation in the record.
func opKey(kind adapters.OperationKind, target string) string { return string(kind) + "/" + target }

// operations takes the operations of a plan in their order. Subscriptions with a clear
// meaning are stored as such, too.
func (b *builder) operations() {
	p := b.out.Plan
	for i, op := range p.WebhookOps {
		target := fmt.Sprintf("webhook_ops[%d]", i)
		if !b.granted(capability.GrantWebhooks, target) {
			continue
		}
		b.operation(adapters.Operation{Kind: adapters.Webhook, Verb: op.Op, Target: cmp.Or(text(op.ID), text(op.URL), "webhook"), URL: text(op.URL), Metadata: op.Metadata},
			cmp.Or(text(op.ID), b.identity(op.Metadata), text(op.URL), "webhook"), target)
	}
	for i, op := range p.SubscriptionOps {
		target := fmt.Sprintf("subscription_ops[%d]", i)
		if !b.granted(capability.GrantSubscriptions, target) {
			continue
		}
		name := cmp.Or(text(op.ID), b.identity(op.Metadata), "subscription")
		switch op.Op {
		case "create", "register", "update", "upsert":
			if b.named(target, name, capability.AllowsKey) {
				metadata := op.Metadata
				if metadata == nil {
					metadata = map[string]json.RawMessage{}
				}
				b.put(adapters.Subscriptions, name, b.value(encode(metadata)), target)
			}
		case "delete":
			if b.named(target, name, capability.AllowsKey) {
				b.put(adapters.Subscriptions, name, nil, target)
			}
		}
		b.operation(adapters.Operation{Kind: adapters.Subscription, Verb: op.Op, Target: name, Metadata: op.Metadata}, name, target)
	}
	for i, op := range p.OAuthOps {
		target := fmt.Sprintf("oauth_ops[%d]", i)
		if !b.granted(capability.GrantOAuth, target) {
			continue
		}
		b.operation(adapters.Operation{Kind: adapters.OAuth, Verb: op.Op, Target: op.Provider, URL: text(op.RedirectURL), Scopes: slices.Clone(op.Scopes)},
			op.Provider, target)
	}
}

// identity tells operations without an id apart by what they say of themselves, as far as
// it is not secret: a webhook whose address changes is the same one. "" where they say
// nothing.
func (b *builder) identity(metadata map[string]json.RawMessage) string {
	if len(metadata) == 0 {
		return ""
	}
	sum := sha256.Sum256(b.out.Scrubber.ScrubJSON(encode(metadata)))
	return "of-" + hex.EncodeToString(sum[:8])
}

// What an installation may have recorded, and how much of a value an operation may take:
// how its attempts end is written into it.
const (
	MaxOperations = 500
	maxOperation  = adapters.MaxValue - 4<<10
)

// operation records an operation under a name, unless the same one is recorded already,
// done or not.
func (b *builder) operation(op adapters.Operation, name, target string) {
	key := opKey(op.Kind, name)
	if b.out.Scrubber.Scrub(key) != key || len(key) > adapters.MaxKey {
		b.unnamed++
		key = opKey(op.Kind, fmt.Sprintf("unnamed-%d", b.unnamed))
	}
	if !b.named(target, key, anyKey) {
		return
	}
	old, recorded := b.recorded(key)
	if other := b.atAddress(op); !recorded && other != "" {
		key = other
		old, recorded = b.recorded(key)
	}
	switch {
	case recorded && same(old, op):
		// As it is, with what its attempts said, in which a secret of its own outcome may
		// stand.
		if v, ok := b.current.Values[adapters.Operations][key]; ok {
			b.want[place{adapters.Operations, key}] = &v
		}
		return
	case op.Verb == verbDelete && recorded && !reached(old):
		b.want[place{adapters.Operations, key}] = nil
		return
	default:
		b.fresh(&op)
	}
	v := b.value(encode(op))
	if len(v.Bytes) > maxOperation {
		b.refuse("PLAN_VALUE_TOO_LARGE", target, fmt.Sprintf("is an operation of %d bytes, over the limit of %d", len(v.Bytes), maxOperation), "report it to the pack's author")
		return
	}
	b.want[place{adapters.Operations, key}] = v
}

// atAddress gives the key of the recorded webhook with the address of op: the same one,
// whatever it says of itself now. "" for none.
func (b *builder) atAddress(op adapters.Operation) string {
	if op.URL == "" || op.Kind != adapters.Webhook {
		return ""
	}
	for _, l := range b.current.Operations() {
		if l.Kind == op.Kind && l.URL == op.URL {
			return l.Key
		}
	}
	return ""
}

// fresh makes an operation one that is recorded now: with a key of its own, so that doing
// it is never taken for what was done in an earlier life, and behind those before it.
func (b *builder) fresh(op *adapters.Operation) {
	id, err := newID()
	if err != nil {
		panic("commit: " + err.Error()) // crypto/rand does not fail (Go 1.24)
	}
	if b.order == 0 {
		for _, l := range b.current.Operations() {
			b.order = max(b.order, l.Order)
		}
	}
	b.order++
	op.ID, op.Status, op.Order = id, adapters.Pending, b.order
}

// same says that two operations ask for the same thing.
func same(a, b adapters.Operation) bool {
	what := func(o adapters.Operation) string {
		return string(encode([]any{o.Kind, o.Verb, o.Target, o.URL, append([]string{}, o.Scopes...), append([]byte{}, encode(orEmpty(o.Metadata))...)}))
	}
	return what(a) == what(b)
}

func orEmpty(m map[string]json.RawMessage) map[string]json.RawMessage {
	if m == nil {
		return map[string]json.RawMessage{}
	}
	return m
}

// anyKey is for operations: policy says which of the pack's keys it may use, and what
// it may ask others to do is what a reviewer is for.
func anyKey([]string, string) bool { return true }

// recorded gives the operation under a key as it would be if the set were committed.
func (b *builder) recorded(key string) (adapters.Operation, bool) {
	if v, ok := b.want[place{adapters.Operations, key}]; ok {
		if v == nil {
			return adapters.Operation{}, false
		}
		return readOperation(v.Bytes)
	}
	if v, ok := b.current.Values[adapters.Operations][key]; ok {
		return readOperation(v.Bytes)
	}
	return adapters.Operation{}, false
}

func (b *builder) dropOperation(key string) {
	if _, ok := b.recorded(key); ok {
		b.want[place{adapters.Operations, key}] = nil
	}
}

// verbDelete is what undoes any other verb.
const verbDelete = "delete"

// reached says that another system may know of an operation.
func reached(op adapters.Operation) bool { return op.Attempts > 0 || op.Status == adapters.Done }

func readOperation(b []byte) (adapters.Operation, bool) {
	var op adapters.Operation
	return op, json.Unmarshal(b, &op) == nil && op.ID != ""
}

// Listed is an operation of an installation and its key in the record.
type Listed struct {
	Key string `json:"key"`
	adapters.Operation
	secret bool
}

// Operations gives the operations of an installation in the order of recording.
func (c Current) Operations() []Listed {
	list := []Listed{}
	for _, key := range slices.Sorted(maps.Keys(c.Values[adapters.Operations])) {
		v := c.Values[adapters.Operations][key]
		if op, ok := readOperation(v.Bytes); ok {
			list = append(list, Listed{Key: key, Operation: op, secret: v.Secret})
		}
	}
	slices.SortStableFunc(list, func(a, b Listed) int { return cmp.Compare(a.Order, b.Order) })
	return list
}

// Secret says that the operation's text holds a secret: of it, only key, kind, status and
// attempts are for showing.
func (l Listed) Secret() bool { return l.secret }

// MarshalJSON leaves out what may hold a secret.
func (l Listed) MarshalJSON() ([]byte, error) {
	if l.secret {
		return json.Marshal(map[string]any{"key": l.Key, "kind": l.Kind, "status": l.Status, "attempts": l.Attempts, "secret": true})
	}
	type plain Listed // without this method
	return json.Marshal(plain(l))
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
