package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/greentic-ai/greentic-provision/contract"
	"github.com/greentic-ai/greentic-provision/flow"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/plan"
)

// errStopped ends a flow at a node whose step has failed and says why, or that is
// beyond Config.Until.
var errStopped = errors.New("a step of the flow has failed")

// graph runs the flow of the entry. Each node that asks a component is a step, of
// the stage of the lifecycle that flow.StepOf gives: what its output and its host
// calls say goes into the plan under it. A missing path in a template is a warning:
// the operator that these flows were written for gives them fewer inputs than they
// read.
func (r *run) graph(ctx context.Context, chosen Chosen) error {
	id := r.Blueprint.Flow.ID
	r.result.Form, _ = r.setup() // what the flow asks, only its nodes know; this is what the pack says
	trace, err := flow.Run(ctx, flow.Config{
		Graphs: r.Blueprint.Graphs, Start: id, Lenient: true, MaxInput: int(r.Limits.StepInput),
		Input: flow.SetupInput(flow.SetupFacts{
			ID: r.Blueprint.Manifest.ID, Flow: id, Env: text(r.Inputs.Tenant.Environment), Tenant: text(r.Inputs.Tenant.Tenant),
			Team: text(r.Inputs.Tenant.Team), PublicBaseURL: text(r.Inputs.PublicBaseURL), Answers: r.Inputs.Answers,
		}),
		Invoke: func(ctx context.Context, inv flow.Invocation) (json.RawMessage, error) {
			return r.node(ctx, chosen, inv)
		},
	})
	// No secret will become known any more.
	for _, d := range trace.Diagnostics {
		d.Message = r.scrubQuoted(d.Message)
		r.result.Diagnostics = append(r.result.Diagnostics, d)
	}
	stuck, isStuck := errors.AsType[*flow.Error](err)
	switch {
	case errors.Is(err, errStopped):
		return nil
	case isStuck:
		if r.result.Verdict == limits.OK && stuck.Code == flow.CodeComponentFailed {
			r.result.Verdict = limits.GuestError
		}
		d := plan.Diagnostic{
			Severity: plan.Error, Code: stuck.Code, Path: strings.Trim(stuck.Flow+"/"+stuck.Node, "/"),
			Message: r.scrubQuoted(strings.Replace(stuck.Error(), ": "+stuck.Code+":", ":", 1)), // the code stands beside it
			Hint:    "this is a fault of the pack's flow; report it to the pack's author",
		}
		if stuck.Code == flow.CodeComponentFailed {
			d.Hint = guestHint
		}
		r.result.Diagnostics = append(r.result.Diagnostics, d)
		return nil
	case errors.Is(err, errRunTime): // between two nodes
		r.result.Verdict = limits.Deadline
		r.report(plan.Diagnostic{Severity: plan.Error, Code: "RUN_DEADLINE",
			Message: fmt.Sprintf("the flow was stopped between two nodes because the run used up its time; in force: --run-timeout %s", r.Limits.RunTime),
			Hint:    "raise --run-timeout if the steps are known to be slow together"})
		return nil
	case ctx.Err() != nil && !errors.Is(context.Cause(ctx), errRunTime):
		return interrupted(ctx)
	}
	return err
}

// node asks the component of a node. An error that is errStopped means that the
// flow ends here: the step result says why, or it was to go no further.
func (r *run) node(ctx context.Context, chosen Chosen, inv flow.Invocation) (json.RawMessage, error) {
	step, _ := flow.StepOf(inv.Node, inv.Position, inv.Of)
	if r.Until != "" && slices.Index(plan.Steps, step) > slices.Index(plan.Steps, r.Until) {
		return nil, errStopped
	}
	index, known := chosen.Way.Nodes[inv.Component]
	if !known {
		index = -1
	}
	st, err := r.begin(step, index)
	if err != nil {
		return nil, err
	}
	st.Node, st.Operation = inv.Node.ID, inv.Operation
	if index < 0 {
		st.Component.Path = inv.Component
	}
	if inv.Operation != inv.Node.Operation || index < 0 {
		// What is called may be a template's word, and that may be an answer.
		s := r.scrubber()
		st.Operation, st.Component.Path = s.Scrub(st.Operation), s.Scrub(st.Component.Path)
	}
	output, resp, err := r.invoke(ctx, st, chosen, inv, index)
	if err != nil {
		return nil, err
	}
	if st.Verdict == limits.OK && refused(output) {
		// Whether that is the end is for the routes of the flow to say.
		st.Verdict, st.Observer = limits.GuestError, limits.ByWorker
		r.record(st)
		return output, nil
	}
	if !r.end(st, resp) {
		return nil, errStopped
	}
	return output, nil
}

// refused says whether an output says of itself that the node has failed.
func refused(output json.RawMessage) bool {
	var doc map[string]json.RawMessage // a struct would take "OK" as well
	return json.Unmarshal(output, &doc) == nil && string(doc["ok"]) == "false"
}

func (r *run) invoke(ctx context.Context, st *stage, chosen Chosen, inv flow.Invocation, index int) (json.RawMessage, plan.Response, error) {
	refuse := func(why string) (json.RawMessage, plan.Response, error) {
		st.Verdict, st.Observer = limits.ContractMismatch, limits.BySupervisor
		st.report(r.stopped(st.StepResult, Reply{Detail: why}))
		return nil, plan.Response{}, nil
	}
	if index < 0 {
		return refuse("the pack has no binary for the component " + inv.Component)
	}
	// What a node is to put as a secret is one, whatever becomes of it.
	for _, a := range askedActions(inv.Input) {
		if a.Type == secretsPut {
			r.guests = append(r.guests, a.Value)
		}
	}
	b, err := r.ask(ctx, st, contract.ActInvoke, invocation{Op: inv.Operation, Input: inv.Input, Context: r.context(inv.Flow, inv.Node.ID)})
	if err != nil {
		return nil, plan.Response{}, err
	}
	if b == nil {
		return nil, plan.Response{}, nil
	}
	reply, err := readInvoked(b)
	if err != nil {
		st.Verdict, st.Observer = limits.GuestError, limits.BySupervisor
		st.report(r.malformed(st.StepResult, err))
		return nil, plan.Response{}, nil
	}
	output := reply.asOutput()
	if refused(output) { // it is data then; a plan in it may set secrets all the same
		if resp, err := plan.DecodeResponse(output); err == nil {
			r.guests = append(r.guests, resp.SecretValues()...)
		}
	}
	response, err := nodeResponse(inv.Input, output)
	if err != nil {
		return nil, plan.Response{}, err
	}
	return output, r.read(st, response), nil
}

// nodeResponse makes a step's response of what a node put out. An output with a
// plan of its own is one. Otherwise all of it is data; findings in it are findings all
// the same, or an error would be swallowed, except in an output that says that the node
// has failed: what that means is for the routes to say. When it reports the actions
// that it took of those in its input, as Greentic's provisioning component does
// ({"actions": [{"action_type", "scope", "key", "status"}]}), these are the plan,
// because in a dry run the component makes no host call.
func nodeResponse(input, output json.RawMessage) (json.RawMessage, error) {
	var doc map[string]json.RawMessage
	if json.Unmarshal(output, &doc) != nil {
		return plan.Canonical(map[string]any{"output": output})
	}
	if isPlan(doc["plan"]) && !refused(output) {
		return output, nil
	}
	response := map[string]any{"output": output}
	if patch := actions(input, doc["actions"]); patch != nil {
		response["plan"] = patch
	}
	if areFindings(doc["diagnostics"]) && !refused(output) {
		response["diagnostics"] = doc["diagnostics"]
	}
	return plan.Canonical(response)
}

// isPlan says whether a value has a member of a step's plan. The word is used for
// other things too: the provisioning component takes {"plan": {"actions": …}}.
func isPlan(v json.RawMessage) bool {
	var members map[string]json.RawMessage
	if json.Unmarshal(v, &members) != nil {
		return false
	}
	for _, name := range []string{"config_patch", "secrets_patch", "webhook_ops", "subscription_ops", "oauth_ops", "notes"} {
		if _, ok := members[name]; ok {
			return true
		}
	}
	return false
}

// areFindings says whether a value is meant as the findings of a step: each names its
// severity, code and message. Other things are called diagnostics too.
func areFindings(v json.RawMessage) bool {
	var list []map[string]any
	if json.Unmarshal(v, &list) != nil {
		return false
	}
	for _, d := range list {
		for _, name := range []string{"severity", "code", "message"} {
			if _, ok := d[name].(string); !ok {
				return false
			}
		}
	}
	return len(list) > 0
}

// action is one of the provisioning component's, as it is asked for and as it is
// reported.
type action struct {
	Type   string
	Scope  string
	Key    string
	Value  string
	Status string
}

// The types of actions.
const (
	configSet  = "config.set"
	secretsPut = "secrets.put"
)

// askedActions gives the actions in the input of a node. An input of another shape
// asks for none.
func askedActions(input json.RawMessage) []action {
	var in struct {
		Plan struct {
			Actions json.RawMessage `json:"actions"`
		} `json:"plan"`
	}
	_ = json.Unmarshal(input, &in)
	return readActions(in.Plan.Actions)
}

func readActions(v json.RawMessage) []action {
	var list []json.RawMessage
	_ = json.Unmarshal(v, &list) // what is no list has none
	var out []action
	for _, e := range list {
		var a struct {
			Type       string `json:"type"`
			ActionType string `json:"action_type"`
			Scope      string `json:"scope"`
			Key        string `json:"key"`
			Value      string `json:"value"`
			Status     string `json:"status"`
		}
		if json.Unmarshal(e, &a) == nil {
			out = append(out, action{Type: cmp.Or(a.Type, a.ActionType), Scope: a.Scope, Key: a.Key, Value: a.Value, Status: a.Status})
		}
	}
	return out
}

// actions gives the plan of actions that were reported as done, with the values
// that the input asked for; nil when there are none.
func actions(input, reported json.RawMessage) map[string]any {
	type place struct{ kind, scope, key string }
	asked := map[place]string{}
	for _, a := range askedActions(input) {
		asked[place{a.Type, a.Scope, a.Key}] = a.Value
	}
	config, secrets := map[string]any{}, map[string]any{}
	for _, a := range readActions(reported) {
		value, ok := asked[place{a.Type, a.Scope, a.Key}]
		switch {
		case a.Status != "ok" || !ok:
		case a.Type == configSet:
			config[a.Key] = value
		case a.Type == secretsPut:
			secrets[a.Key] = map[string]any{"redacted": false, "value": value}
		}
	}
	if len(config)+len(secrets) == 0 {
		return nil
	}
	patch := map[string]any{"config_patch": config}
	if len(secrets) > 0 {
		patch["secrets_patch"] = map[string]any{"set": secrets, "delete": []string{}}
	}
	return patch
}
