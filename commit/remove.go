package commit

import (
	"context"
	"fmt"
	"slices"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
)

// NewRemoval makes the Set that undoes an installation: in reverse order, every key
// that it touched gets the value that stood there before, or none; operations that
// reached other systems are followed by their deletion, others are forgotten. res, when
// not nil, is the run of the pack's own removal, of which the operations count: what it
// says of configuration and secrets is what the record says anyway, or was never this
// installation's. out is the run's outcome.
func (s Stores) NewRemoval(ctx context.Context, current Current, res *engine.Result, out engine.Outcome, want Wanted) (*Set, []plan.Diagnostic, error) {
	set := &Set{Namespace: current.Namespace, Entry: pack.EntryRemove, current: current, removes: true, before: map[place]bool{}, original: map[place]bool{},
		Plan: encode(plan.New()), PlanDigest: plan.Digest(plan.New()), Walls: []byte("null"), Origin: adapters.Origin{Entry: string(pack.EntryRemove)}}
	if i := current.Install; i != nil {
		set.Origin.PackID, set.Origin.PackVersion, set.Origin.PackDigest = i.Pack.ID, i.Pack.Version, i.Pack.Digest
	}
	operations := builder{current: current, wanted: want, want: map[place]*adapters.Value{}, entry: pack.EntryRemove, out: engine.Outcome{Scrubber: plan.NewScrubber()}}
	if res != nil {
		operations.out = out
		set.Plan, set.PlanDigest, set.StateDigest = encode(res.Plan), res.Digest, res.Inputs.State.Digest
		set.Walls, set.Origin = encode(res.Walls), origin(res)
		operations.operations()
		if plan.HasErrors(operations.found) {
			return nil, operations.found, nil
		}
		if n := len(res.Plan.ConfigPatch) + len(res.Plan.SecretsPatch.Set) + len(res.Plan.SecretsPatch.Delete); n > 0 {
			operations.found = append(operations.found, plan.Diagnostic{Severity: plan.Info, Code: "REMOVAL_BY_RECORD", Own: true,
				Message: fmt.Sprintf("removing puts back what the record says; of the pack's plan, %d parts on configuration and secrets do not count", n),
				Hint:    "the changes are listed"})
		}
	}
	for _, l := range slices.Backward(current.Operations()) {
		p := place{adapters.Operations, l.Key}
		if _, said := operations.want[p]; said && operations.want[p] != nil {
			if op, _ := operations.recorded(l.Key); op.ID != l.ID {
				continue // the pack says how to undo it
			}
		}
		operations.want[p] = nil
		if reached(l.Operation) && l.Verb != verbDelete && undoable(l.Kind) {
			undo := adapters.Operation{Kind: l.Kind, Verb: verbDelete, Target: l.Target, URL: l.URL, Metadata: l.Metadata}
			operations.fresh(&undo)
			operations.want[p] = &adapters.Value{Bytes: encode(undo), Secret: l.secret}
		} else if reached(l.Operation) && l.Verb == verbDelete {
			operations.want[p] = &adapters.Value{Bytes: encode(l.Operation), Secret: l.secret}
		}
	}
	for p, v := range operations.want {
		if p.kind == adapters.Operations {
			set.change(p, v)
		}
	}
	for k := range current.Values[adapters.Hidden] {
		set.change(place{adapters.Hidden, k}, nil)
	}
	set.sort()
	if current.Install == nil {
		return set, operations.found, nil
	}
	var undo []Change
	kept := map[adapters.Kind]map[string]adapters.Value{}
	for _, t := range slices.Backward(current.Install.Touched) {
		p := place{t.Kind, t.Key}
		var before *adapters.Value
		if t.Existed {
			if kept[t.Kind] == nil {
				all, err := s.values(t.Kind).Load(ctx, current.Namespace.In(adapters.Before))
				if err != nil {
					return nil, nil, err
				}
				kept[t.Kind] = all
			}
			v, ok := kept[t.Kind][t.Key]
			if !ok {
				return nil, nil, fmt.Errorf("the value that stood in %s %q before is not there any more, so that it cannot be put back; nothing was changed (store check looks for what else is missing)", t.Kind, t.Key)
			}
			before = &v
			set.before[p] = true
		}
		n := len(set.Changes)
		set.change(p, before)
		undo = append(undo, set.Changes[n:]...)
		set.Changes = set.Changes[:n]
	}
	set.Changes = append(undo, set.Changes...)
	return set, operations.found, nil
}

// undoable says that a kind of operation has a deletion. A consent that was given is
// taken back at the provider, by the person who gave it.
func undoable(kind adapters.OperationKind) bool {
	return kind == adapters.Webhook || kind == adapters.Subscription
}
