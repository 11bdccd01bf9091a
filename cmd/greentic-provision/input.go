package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/greentic-ai/greentic-provision/capability"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
	"github.com/greentic-ai/greentic-provision/render"
)

// readInput reads the file that a flag names, at most max bytes of it; "-" is
// stdin. It never waits for a pipe or terminal longer than ctx allows.
func (a *app) readInput(ctx context.Context, flag, name string, max limits.Bytes, raise string) ([]byte, error) {
	where := quote(name)
	wrong := func(rule, hint string) error {
		return &usageError{what: flag, where: where, rule: rule, hint: hint}
	}
	var from io.Reader
	if name == "-" {
		from, where = a.stdin, "stdin"
	} else {
		f, err := os.Open(name)
		if err != nil {
			return nil, wrong(pathReason(err), "")
		}
		defer f.Close()
		if st, err := f.Stat(); err == nil && st.IsDir() {
			return nil, wrong("is a directory", "name a file")
		}
		from = f
	}
	b, err := unlessEnded(ctx, func() ([]byte, error) { return io.ReadAll(io.LimitReader(from, int64(max)+1)) })
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, wrong(pathReason(err), "")
	case len(b) > int(max):
		return nil, wrong(fmt.Sprintf("is longer than %s", max), raise)
	}
	return b, nil
}

// unlessEnded waits for f, which has no regard for ctx: a read that blocks, or a big
// pack. When ctx ends first, its cause is the error; the program ends then too, and f
// with it.
func unlessEnded[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type outcome struct {
		v   T
		err error
	}
	ended := make(chan outcome, 1)
	go func() {
		v, err := f()
		ended <- outcome{v, err}
	}()
	select {
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	case o := <-ended:
		return o.v, o.err
	}
}

// inputs gathers what the operator gives to a run.
func (a *app) inputs(ctx context.Context, f dryRun, b *pack.Blueprint) (plan.Inputs, capability.State, error) {
	in := plan.Inputs{
		Tenant: plan.Tenant{
			Environment: orNull(f.env), Tenant: orNull(f.tenant), Team: orNull(f.team), User: orNull(f.user),
		},
		ProviderID:    cmp.Or(f.providerID, b.Manifest.ID),
		InstallID:     f.installID,
		PublicBaseURL: orNull(f.publicBaseURL),
		Answers:       json.RawMessage("{}"),
	}
	if f.answers != "" {
		// Answers are a part of the request, so what is longer cannot be sent.
		b, err := a.readInput(ctx, "--answers", f.answers, f.limits.StepInput, "raise --max-step-input")
		if err != nil {
			return in, capability.State{}, err
		}
		if in.Answers, err = plan.ReadObject(b); err != nil {
			return in, capability.State{}, malformed("--answers", f.answers, err)
		}
	}
	var state capability.State
	if f.state != "" {
		b, err := a.readInput(ctx, "--state", f.state, capability.MaxState, "")
		if err != nil {
			return in, state, err
		}
		if state, err = capability.ParseState(b); err != nil {
			return in, state, malformed("--state", f.state, err)
		}
	}
	in.ExistingState = state.Allowed(f.grants, f.keys).ForGuest()
	return in, state, nil
}

// malformed words what is wrong inside a file.
func malformed(flag, file string, err error) error {
	e := &usageError{what: flag, where: quote(file), rule: err.Error()}
	path := ""
	if je, ok := errors.AsType[*plan.JSONError](err); ok {
		path, e.rule = je.Path, je.Reason
	}
	if path != "" {
		e.where += " at " + render.Text(path, 200)
	}
	return e
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
