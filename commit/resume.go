package commit

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/capability"
	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
)

// entryOperation is what the audit log calls the commit of an operation's outcome.
const entryOperation pack.Entry = "operation"

// maxDetail bounds what is kept of an executor's words, in bytes.
const maxDetail = 1 << 10

// Resume carries out the operations of an installation that are not done and have an
// executor, in the order of recording, and stores the values that secrets were waiting
// for. Every attempt is on record before it is made; an operation whose outcome was lost
// is tried again under the same idempotency key. One that its executor knows to have to
// wait (adapters.Readier) is not tried. current is the installation as it is, as Load or
// Set.After give it.
//
// It gives all operations as they are now. The error is for the record, and for ctx; that
// an operation failed is its status.
func (c Committer) Resume(ctx context.Context, lock adapters.Lock, current Current, secrets map[string][]byte) ([]Listed, error) {
	given := map[string][]byte{}
	for k, v := range secrets {
		if canon, why := capability.CanonicalSecret(k); why == "" {
			given[canon] = v
		}
	}
	waiting := map[string]string{} // what for, by key
	for _, l := range current.Operations() {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		executor := c.Executors[l.Kind]
		if v, ok := given[l.Target]; ok && l.Kind == adapters.SecretValue {
			executor = value{l.Target, v}
		}
		if executor == nil || l.Status == adapters.Done {
			continue
		}
		if r, ok := executor.(adapters.Readier); ok {
			if err := r.Ready(l.Operation); err != nil {
				waiting[l.Key] = hostile.Escape(err.Error(), maxDetail)
				continue
			}
		}
		var err error
		if current, err = c.carryOut(ctx, lock, current, l, executor); err != nil {
			return nil, err
		}
	}
	list := current.Operations()
	for i := range list {
		if why, ok := waiting[list[i].Key]; ok {
			list[i].Detail = why
		}
	}
	return list, nil
}

// value carries out the operation of a secret whose value is there now.
type value struct {
	key   string
	bytes []byte
}

func (v value) Execute(context.Context, adapters.Namespace, adapters.Operation) (adapters.Outcome, error) {
	return adapters.Outcome{Detail: "the value was given", Secrets: map[string][]byte{v.key: v.bytes}}, nil
}

// carryOut gives the installation as it is afterwards.
func (c Committer) carryOut(ctx context.Context, lock adapters.Lock, current Current, l Listed, executor adapters.Executor) (Current, error) {
	ns := lock.Namespace()
	now := c.now()
	op := l.Operation
	op.Attempts++
	op.AttemptedAt = &now
	attempt := adapters.Value{Bytes: encode(op), Secret: l.secret}
	err := c.Record.Commit(ctx, lock, adapters.Write{Values: []adapters.Part{{Kind: adapters.Operations, Batch: adapters.Batch{
		ID: op.ID, Token: lock.Token(), Changes: []adapters.Change{{Key: l.Key, Value: attempt}}}}}})
	if err != nil {
		return current, err
	}
	current = current.with(adapters.Operations, l.Key, &attempt)
	out, err := executor.Execute(ctx, ns, op)
	if err != nil && ctx.Err() != nil {
		return current, context.Cause(ctx) // whether it was done, its executor knows by the key
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
	// What was done is recorded, whoever gives up now.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	set := outcome(current, l, op, out)
	install, err := c.Commit(ctx, lock, set)
	if err != nil {
		return current, err
	}
	return set.After(install), nil
}

// After is the installation after a commit that gave install.
func (s *Set) After(install adapters.Install) Current {
	c := s.current
	for _, ch := range s.Changes {
		c = c.with(ch.Kind, ch.Key, ch.After)
	}
	c.Install = &install
	return c
}

// with gives the installation with one value set, or taken away.
func (c Current) with(kind adapters.Kind, key string, v *adapters.Value) Current {
	c.Values = maps.Clone(c.Values)
	of := maps.Clone(c.Values[kind])
	if of == nil {
		of = map[string]adapters.Value{}
	}
	if v == nil {
		delete(of, key)
	} else {
		of[key] = *v
	}
	c.Values[kind] = of
	return c
}

// outcome is the set that records how an operation ended, with the secrets that it gave.
// One that is removed takes none: nobody would take them away again.
func outcome(current Current, l Listed, op adapters.Operation, out adapters.Outcome) *Set {
	b := builder{current: current, want: map[place]*adapters.Value{}, entry: entryOperation, out: engine.Outcome{Scrubber: plan.NewScrubber()}}
	if op.Status == adapters.Done && current.Installed() {
		for _, k := range sorted(out.Secrets) {
			for _, key := range secretKeys(current, op, k) {
				canon, why := capability.CanonicalSecret(key)
				if why != "" || len(out.Secrets[k]) > adapters.MaxValue {
					op.Detail = hostile.Clip(op.Detail+"; a secret that it gave cannot be stored", maxDetail)
					continue
				}
				b.want[place{adapters.Secrets, canon}] = &adapters.Value{Bytes: out.Secrets[k], Secret: true}
			}
		}
	}
	b.want[place{adapters.Operations, l.Key}] = &adapters.Value{Bytes: encode(op), Secret: l.secret}
	if op.Status == adapters.Done && (op.Verb == verbDelete || op.Kind == adapters.SecretValue) {
		b.want[place{adapters.Operations, l.Key}] = nil
	}
	s := &Set{Namespace: current.Namespace, Entry: entryOperation, current: current, Plan: encode(plan.New()), Walls: []byte("null"), original: map[place]bool{}}
	if i := current.Install; i != nil {
		s.Plan, s.PlanDigest, s.StateDigest = i.Plan, i.PlanDigest, i.StateDigest
		s.Origin = adapters.Origin{Entry: string(entryOperation), PackID: i.Pack.ID, PackVersion: i.Pack.Version, PackDigest: i.Pack.Digest, Unverified: i.Pack.Unverified}
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
