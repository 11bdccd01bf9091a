package engine

import (
	"context"
	"fmt"

	"github.com/greentic-ai/greentic-provision/contract"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
	"github.com/greentic-ai/greentic-provision/qa"
)

// stepsOf gives the steps of a way; a component of its own runs all of an entry's.
func stepsOf(entry pack.Entry, way pack.Way) []pack.StepRef {
	if way.Via != pack.ViaComponent {
		return way.Steps
	}
	steps := plan.Steps
	switch entry {
	case pack.EntryRequirements:
		steps = []plan.Step{plan.Requirements}
	case pack.EntrySubscriptions:
		steps = []plan.Step{plan.Subscriptions}
	}
	refs := make([]pack.StepRef, len(steps))
	for i, s := range steps {
		refs[i] = pack.StepRef{Step: s, Component: way.Component}
	}
	return refs
}

// steps runs one request for each step of the way. What the pack declares as
// required is held against the answers before the step apply.
func (r *run) steps(ctx context.Context, chosen Chosen) error {
	refs := stepsOf(r.Blueprint.Entry, chosen.Way)
	var left []plan.Step // of those that the pack has
	for _, ref := range refs {
		if ref.Component >= 0 {
			left = append(left, ref.Step)
		}
	}
	for _, ref := range refs {
		if ref.Component < 0 {
			r.report(plan.Diagnostic{Severity: plan.Info, Code: "STEP_ABSENT",
				Message: fmt.Sprintf("the pack has no %s step", ref.Step), Hint: ref.Why})
			r.tell(Event{Kind: StepAbsent, Step: ref.Step})
			if ref.Step == r.Until {
				return nil
			}
			continue
		}
		if needs := r.Blueprint.Requirements; ref.Step == plan.Apply && needs.Component >= 0 && r.Blueprint.Entry == pack.EntrySetup {
			if goOn, err := r.step(ctx, chosen, needs); err != nil || !goOn {
				r.reportRest(needs.Step, left)
				return err
			}
		}
		left = left[1:]
		if goOn, err := r.step(ctx, chosen, ref); err != nil || !goOn {
			r.reportRest(ref.Step, left)
			return err
		}
		if ref.Step == r.Until {
			return nil
		}
	}
	return nil
}

// step runs one step. It says whether the run goes on.
func (r *run) step(ctx context.Context, chosen Chosen, ref pack.StepRef) (goOn bool, err error) {
	st, err := r.begin(ref.Step, ref.Component)
	if err != nil {
		return false, err
	}
	st.lifecycle = ref.Step != plan.Requirements
	req := request{
		Contract: RequestContract, Step: ref.Step, Entry: r.Blueprint.Entry, Mode: modeOf(r.Blueprint.Entry), Inputs: r.Inputs,
		State: requestState{Answers: r.Inputs.Answers, Previous: r.scrubbedPrevious()},
	}
	var response []byte
	if e := chosen.Examined[ref.Component]; !e.runsSteps() && e.invokes() {
		// A node of a flow in the place of a step: the operation is the step's name.
		response, err = r.ask(ctx, st, contract.ActInvoke, invocation{Op: string(ref.Step), Input: raw(req), Context: r.context("", "")})
		response = r.output(st, response)
	} else {
		response, err = r.ask(ctx, st, contract.ActStep, req)
	}
	if err != nil {
		return false, err
	}
	resp := r.read(st, response)
	if ref.Step == plan.Collect && resp.Questions != nil {
		r.result.Form = formOf(r.scrubber().ScrubJSON(resp.Questions))
	}
	switch {
	case st.Verdict != limits.OK:
	case ref.Step == plan.Requirements:
		r.checkDeclared(st, resp)
	case ref.Step == plan.Subscriptions:
		resp = mergeSubscriptions(resp)
		st.Output.PlanPatch = resp.Patch
	}
	return r.end(st, resp), nil
}

// output reads the envelope of an invocation: the component's output, or nil when
// it says that it failed; the stage then says why.
func (r *run) output(st *stage, response []byte) []byte {
	if response == nil {
		return nil
	}
	reply, err := readInvoked(response)
	switch {
	case err != nil:
		st.Verdict, st.Observer = limits.GuestError, limits.BySupervisor
		st.report(r.malformed(st.StepResult, err))
	case !reply.OK:
		st.Verdict, st.Observer = limits.GuestError, limits.ByWorker
		st.report(r.refused(st.StepResult, reply.Code+": "+reply.Message))
	default:
		return reply.Output
	}
	return nil
}

// checkDeclared holds the answers against what the step requirements said. Asked
// for as an entry of its own, requirements are the result and no check.
func (r *run) checkDeclared(st *stage, resp plan.Response) {
	if r.Blueprint.Entry != pack.EntrySetup {
		return
	}
	declared, err := qa.ParseDeclared(resp.Data)
	if err != nil {
		st.report(plan.Diagnostic{Severity: plan.Warn, Code: "REQUIREMENTS_UNREADABLE", Path: st.Component.Path,
			Message: "what the requirements step declares cannot be read, so the answers are not held against it: " + r.scrubQuoted(err.Error()),
			Hint:    "docs/contract.md says what requirements look like"})
		return
	}
	// The step was given the answers: what it calls required may be one of them.
	s := r.scrubber()
	for _, d := range declared.Check(r.Inputs.Answers) {
		d.Message, d.Path = r.scrubQuoted(d.Message), s.Path(d.Path)
		st.report(d)
	}
}

// mergeSubscriptions makes the plan of a subscriptions step from the operations
// that it lists at the top of its response, where its plan has none: upstream's
// steps list them there, and the step apply has the same in its plan.
func mergeSubscriptions(resp plan.Response) plan.Response {
	if len(resp.Subscriptions) == 0 || resp.Patch != nil && len(resp.Patch.SubscriptionOps) > 0 {
		return resp
	}
	patch := plan.Patch{}
	if resp.Patch != nil {
		patch = *resp.Patch
	}
	patch.SubscriptionOps = resp.Subscriptions
	resp.Patch = &patch
	return resp
}

func (e Examined) runsSteps() bool {
	_, ok := e.Does(contract.ActStep)
	return ok
}

func (e Examined) invokes() bool {
	_, ok := e.Does(contract.ActInvoke)
	return ok
}

// context is what an invocation tells a component of where it stands.
func (r *run) context(flow, node string) callContext {
	t := r.Inputs.Tenant
	return callContext{
		Env: text(t.Environment), Tenant: text(t.Tenant), Team: text(t.Team), User: text(t.User),
		Locale: r.locale(), FlowID: flow, NodeID: node, StepID: node, ProviderID: r.Inputs.ProviderID,
	}
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func (r *run) locale() string {
	if r.Locale == "" {
		return "en"
	}
	return r.Locale
}
