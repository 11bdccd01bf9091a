package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/url"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/capability"
	"github.com/greentic-ai/greentic-provision/commit"
	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
)

// packRun is a run of a pack: what was asked for, and what exists.
type packRun struct {
	dryRun
	namespace adapters.Namespace
	state     capability.State
	revision  uint64
	applies   bool
	denied    func([]capability.Denial) // told at the end of each run; may be nil
}

// permit makes the grants and keys of f those that the policy gives the pack.
func (a *app) permit(ctx context.Context, f *dryRun, packID string) error {
	if f.policy == "" {
		return nil
	}
	b, err := a.readInput(ctx, "--policy", f.policy, capability.MaxPolicy, "")
	if err != nil {
		return err
	}
	policy, err := capability.ParsePolicy(b)
	if err != nil {
		return malformed("--policy", f.policy, err)
	}
	may, ok := policy.For(packID)
	if !ok {
		return &usageError{what: "--policy", where: quote(f.policy), rule: "says nothing of the pack " + quote(packID) + " and has no default", hint: `add it below "packs"`}
	}
	f.grants, f.keys = may.Grants, may.Keys
	return nil
}

// over makes a run of f over what exists. A public base URL that is not given is the one
// that was given last.
func over(f dryRun, current commit.Current) (packRun, error) {
	f.publicBaseURL = cmp.Or(f.publicBaseURL, current.PublicBaseURL())
	state, err := current.State()
	return packRun{dryRun: f, namespace: current.Namespace, state: state, revision: current.Revision()}, err
}

// ownNames are how keys may name an installation in full. Where env and tenant are not
// given, Greentic's tools say dev and demo.
func ownNames(ns adapters.Namespace) []string {
	uri := url.URL{Scheme: "secrets", Host: cmp.Or(ns.Env, "dev")}
	return []string{ns.String() + ":", uri.JoinPath(cmp.Or(ns.Tenant, "demo"), cmp.Or(ns.Team, "_"), ns.Provider).String() + "/"}
}

// told is what the pack's code may know of what exists.
func (r packRun) told() capability.State { return r.state.Allowed(r.grants, r.keys) }

// run runs a pack in a sandbox, as far as a step or to its end ("").
func (a *app) run(ctx context.Context, r packRun, b *pack.Blueprint, in plan.Inputs, until plan.Step) (*engine.Result, error) {
	host := capability.NewHost(capability.Config{
		Grants: r.grants, Keys: r.keys, Own: ownNames(r.namespace), State: r.state, PublicBaseURL: r.publicBaseURL, Limits: r.limits,
	})
	cfg := engine.Config{
		Blueprint: b, Inputs: in, Host: host, Limits: r.limits, Secrets: r.told().Secrets, Revision: r.revision, Applies: r.applies,
		Via: pack.Via(r.via), Contract: r.contract, Mode: r.mode, Locale: r.locale, Until: until,
	}
	run := &box{}
	if r.executor == executorNoop {
		cfg.Runner = engine.Noop
	} else {
		var err error
		if run, err = a.equip(ctx, r.sandbox, &cfg, host); err != nil {
			return nil, err
		}
	}
	defer run.close()
	result, err := engine.Run(ctx, cfg)
	if err == nil {
		a.keep(run, r.sandbox, b, result.Outcome().Scrubber)
	}
	if r.denied != nil {
		r.denied(host.Denials())
	}
	if e, ok := errors.AsType[*pack.Error](err); ok {
		e.Path = r.pack.path // the engine knows no files
	}
	return result, err
}

// provision runs a pack; with --interactive it runs it twice: as far as its
// questions, and, when they are answered, from the start. No worker waits for a
// person, and what is run on the answers is what would be run on a file of them. It
// gives the answers, too.
func (a *app) provision(ctx context.Context, r packRun, b *pack.Blueprint, in plan.Inputs) (*engine.Result, json.RawMessage, error) {
	if r.interactive {
		asked, err := a.run(ctx, r, b, in, plan.Collect)
		if err != nil || asked.ExitCode != engine.ExitOK {
			return asked, in.Answers, err
		}
		if in.Answers, err = a.interview(ctx, asked.Form, in.Answers); err != nil {
			return nil, nil, err
		}
	}
	result, err := a.run(ctx, r, b, in, "")
	return result, in.Answers, err
}
