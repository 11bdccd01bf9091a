package commit

import (
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

// shortHash identifies v in 16 hexadecimal digits.
func shortHash(v any) string {
	sum := sha256.Sum256(encode(v))
	return hex.EncodeToString(sum[:8])
}

// identify gives the operation its idempotency key: that of what is to be done, for
// whom.
func identify(ns adapters.Namespace, op adapters.Operation) adapters.Operation {
	sum := sha256.Sum256(encode([]any{ns.String(), op.Kind, op.Verb, op.Target, op.URL, op.Scopes, op.Metadata}))
	op.ID = hex.EncodeToString(sum[:16])
	return op
}

// operations takes the operations of a plan in their order. Subscriptions with a clear
// meaning are stored as such, too.
func (b *builder) operations() {
	p := b.out.Plan
	for i, op := range p.WebhookOps {
		target := fmt.Sprintf("webhook_ops[%d]", i)
		name := text(op.ID)
		if name == "" {
			name = text(op.URL)
		}
		if name == "" {
			name = "webhook-" + shortHash(op.Metadata)
		}
		b.operation(adapters.Operation{Kind: adapters.Webhook, Verb: op.Op, Target: name, URL: text(op.URL), Metadata: op.Metadata}, target)
	}
	for i, op := range p.SubscriptionOps {
		target := fmt.Sprintf("subscription_ops[%d]", i)
		name := text(op.ID)
		if name == "" {
			name = "subscription-" + shortHash(op.Metadata)
		}
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
		b.operation(adapters.Operation{Kind: adapters.Subscription, Verb: op.Op, Target: name, Metadata: op.Metadata}, target)
	}
	for i, op := range p.OAuthOps {
		b.operation(adapters.Operation{Kind: adapters.OAuth, Verb: op.Op, Target: op.Provider, URL: text(op.RedirectURL), Scopes: slices.Clone(op.Scopes)},
			fmt.Sprintf("oauth_ops[%d]", i))
	}
}

// operation records an operation, unless the same one is recorded already, done or not.
func (b *builder) operation(op adapters.Operation, target string) {
	key := opKey(op.Kind, op.Target)
	if b.out.Scrubber.Scrub(key) != key || len(key) > adapters.MaxKey {
		key = opKey(op.Kind, "sha256-"+shortHash(op.Target))
	}
	if !b.named(target, key, anyKey) {
		return
	}
	op = identify(b.current.Namespace, op)
	op.Status = adapters.Pending
	old, recorded := b.recorded(key)
	switch {
	case recorded && old.ID == op.ID:
		b.want[place{adapters.Operations, key}] = b.value(encode(old))
	case op.Verb == verbDelete && recorded && !reached(old):
		b.want[place{adapters.Operations, key}] = nil
	default:
		b.put(adapters.Operations, key, b.value(encode(op)), target)
	}
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

// Operations gives the operations of an installation by key.
func (c Current) Operations() []Listed {
	var list []Listed
	for _, key := range slices.Sorted(maps.Keys(c.Values[adapters.Operations])) {
		v := c.Values[adapters.Operations][key]
		if op, ok := readOperation(v.Bytes); ok {
			list = append(list, Listed{Key: key, Operation: op, secret: v.Secret})
		}
	}
	return list
}

// Secret says that the operation's text holds a secret: it is not for showing.
func (l Listed) Secret() bool { return l.secret }

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
