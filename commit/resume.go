package commit

import (
	"context"
	"errors"
	"slices"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/capability"
	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
)

// entryOperation is what the audit log calls the commit of an operation's outcome.
const entryOperation pack.Entry = "operation"

// maxDetail bounds what is kept of an executor's words, in bytes.
const maxDetail = 1 << 10

// Resume carries out the operations of an installation that are not done and have an
// executor, and stores the values that secrets were waiting for. Every attempt is on
// record before it is made; an operation whose outcome was lost is tried again under the
// same idempotency key. It gives all operations as they are now. The error is for the
// record, and for ctx; that an operation failed is its status.
func (c Committer) Resume(ctx context.Context, lock adapters.Lock, secrets map[string][]byte) ([]Listed, error) {
	ns := lock.Namespace()
	current, err := c.Load(ctx, ns)
	if err != nil {
		return nil, err
	}
	given := map[string][]byte{}
	for k, v := range secrets {
		if canon, why := capability.CanonicalSecret(k); why == "" {
			given[canon] = v
		}
	}
	for _, l := range current.Operations() {
		if l.Status == adapters.Done || ctx.Err() != nil {
			continue
		}
		executor := c.Executors[l.Kind]
		if v, ok := given[l.Target]; ok && l.Kind == adapters.SecretValue {
			executor = value{l.Target, v}
		}
		if executor == nil {
			continue
		}
		if err := c.carryOut(ctx, lock, l, executor); err != nil {
			return nil, err
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if current, err = c.Load(ctx, ns); err != nil {
		return nil, err
	}
	return current.Operations(), nil
}

// value carries out the operation of a secret whose value is there now.
type value struct {
	key   string
	bytes []byte
}

func (v value) Execute(context.Context, adapters.Namespace, adapters.Operation) (adapters.Outcome, error) {
	return adapters.Outcome{Detail: "the value was given", Secrets: map[string][]byte{v.key: v.bytes}}, nil
}

func (c Committer) carryOut(ctx context.Context, lock adapters.Lock, l Listed, executor adapters.Executor) error {
	ns := lock.Namespace()
	now := c.now()
	op := l.Operation
	op.Attempts++
	op.AttemptedAt = &now
	attempt := adapters.Change{Key: l.Key, Value: adapters.Value{Bytes: encode(op), Secret: l.secret}}
	err := c.Record.Commit(ctx, lock, adapters.Write{Values: []adapters.Part{{Kind: adapters.Operations, Batch: adapters.Batch{
		ID: op.ID, Token: lock.Token(), Changes: []adapters.Change{attempt}}}}})
	if err != nil {
		return err
	}
	out, err := executor.Execute(ctx, ns, op)
	if ctx.Err() != nil {
		return context.Cause(ctx) // whether it was done, its executor knows by the key
	}
	switch {
	case err == nil:
		op.Status, op.Detail = adapters.Done, hostile.Escape(out.Detail, maxDetail)
	case errors.Is(err, adapters.ErrPending):
		// Nothing was tried: it may be forgotten without a trace.
		op.Status, op.Attempts = adapters.Pending, l.Attempts
		op.Detail = hostile.Escape(err.Error(), maxDetail)
	default:
		op.Status, op.Detail = adapters.Failed, hostile.Escape(err.Error(), maxDetail)
	}
	current, err := c.Load(ctx, ns)
	if err != nil {
		return err
	}
	_, err = c.Commit(ctx, lock, outcome(current, l, op, out))
	return err
}

// outcome is the set that records how an operation ended, with the secrets that it gave.
func outcome(current Current, l Listed, op adapters.Operation, out adapters.Outcome) *Set {
	b := builder{current: current, want: map[place]*adapters.Value{}, entry: entryOperation}
	b.want[place{adapters.Operations, l.Key}] = &adapters.Value{Bytes: encode(op), Secret: l.secret}
	if op.Status == adapters.Done && (op.Verb == verbDelete || op.Kind == adapters.SecretValue) {
		b.want[place{adapters.Operations, l.Key}] = nil
	}
	if op.Status == adapters.Done {
		for _, k := range sorted(out.Secrets) {
			for _, key := range secretKeys(current, op, k) {
				b.want[place{adapters.Secrets, key}] = &adapters.Value{Bytes: out.Secrets[k], Secret: true}
			}
		}
	}
	s := &Set{Namespace: current.Namespace, Entry: entryOperation, current: current, Plan: encode(plan.New()), Walls: []byte("null"), original: map[place]bool{}}
	if i := current.Install; i != nil {
		s.Plan, s.PlanDigest, s.StateDigest = i.Plan, i.PlanDigest, i.StateDigest
		s.Origin = adapters.Origin{Entry: string(entryOperation), PackID: i.Pack.ID, PackVersion: i.Pack.Version, PackDigest: i.Pack.Digest}
		s.keepsStatus = i.Status
	}
	s.take(b.want)
	return s
}

// secretKeys gives where a secret of an operation's outcome is stored. Tokens have the
// names that Greentic's own tool gives them, where there is one provider; and, so that
// two providers do not overwrite one another, always the same with the provider's name.
func secretKeys(current Current, op adapters.Operation, key string) []string {
	if op.Kind != adapters.OAuth {
		return []string{key}
	}
	provider, _ := capability.CanonicalSecret(op.Target)
	keys := []string{key + "_" + provider}
	alone := !slices.ContainsFunc(current.Operations(), func(l Listed) bool { return l.Kind == adapters.OAuth && l.Target != op.Target })
	if alone {
		keys = append(keys, key)
	}
	return keys
}

// Waiting gives the operations that are not done.
func Waiting(list []Listed) []Listed {
	return slices.DeleteFunc(slices.Clone(list), func(l Listed) bool { return l.Status == adapters.Done })
}
