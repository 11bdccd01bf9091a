package main

import (
	"context"
	"errors"

	"github.com/greentic-ai/greentic-provision/capability"
	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
)

// run runs a pack in a sandbox, as far as a step or to its end ("").
func (a *app) run(ctx context.Context, f dryRun, b *pack.Blueprint, in plan.Inputs, state capability.State, until plan.Step) (*engine.Result, error) {
	host := capability.NewHost(capability.Config{Grants: f.grants, State: state, PublicBaseURL: f.publicBaseURL, Limits: f.limits})
	cfg := engine.Config{
		Blueprint: b, Inputs: in, Host: host, Limits: f.limits, Secrets: state.Secrets,
		Via: pack.Via(f.via), Contract: f.contract, Mode: f.mode, Locale: f.locale, Until: until,
	}
	if f.executor == executorNoop {
		cfg.Runner = engine.Noop
	} else {
		done, err := a.equip(ctx, f.sandbox, &cfg, host)
		if err != nil {
			return nil, err
		}
		defer done()
	}
	result, err := engine.Run(ctx, cfg)
	if e, ok := errors.AsType[*pack.Error](err); ok {
		e.Path = f.pack.path // the engine knows no files
	}
	return result, err
}

// provision runs a pack; with --interactive it runs it twice: as far as its
// questions, and, when they are answered, from the start. No worker waits for a
// person, and what is run on the answers is what would be run on a file of them.
func (a *app) provision(ctx context.Context, f dryRun, b *pack.Blueprint, in plan.Inputs, state capability.State) (*engine.Result, error) {
	if f.interactive {
		asked, err := a.run(ctx, f, b, in, state, plan.Collect)
		if err != nil || asked.ExitCode != engine.ExitOK {
			return asked, err
		}
		if in.Answers, err = a.interview(ctx, asked.Form, in.Answers); err != nil {
			return nil, err
		}
	}
	return a.run(ctx, f, b, in, state, "")
}
