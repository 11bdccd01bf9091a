package flow

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/plan"
)

// The kinds of nodes that are no components.
const (
	componentExec = "component.exec"
	flowCall      = "flow.call"
	sessionWait   = "session.wait"
	stateGet      = "state.get"
	stateSet      = "state.set"
	emit          = "emit."
)

// services are kinds of nodes of newer runners that call services outside of the
// pack; a provisioning run has none of them.
var services = []string{"dw.", "sorla.", "operala.", "agentic.", "telco-x.", "mcp:"}

// kindOf gives the kind of a node: one of the constants above, the emit.* as it is
// called, or "" for a component.
func kindOf(n Node, mapping map[string]json.RawMessage) string {
	switch {
	case strings.HasPrefix(n.Component, emit):
		return n.Component
	case strings.HasPrefix(n.Operation, emit):
		return n.Operation
	case n.Operation == componentExec:
		return componentExec
	}
	switch n.Component {
	case flowCall, sessionWait, stateGet, stateSet, ProviderInvoke:
		return n.Component
	case componentExec:
		// The flow compiler turns every operation of schema 2 into component.exec.
		switch n.Operation {
		case flowCall, sessionWait, stateGet, stateSet, ProviderInvoke:
			if _, ok := target(mapping); !ok {
				return n.Operation
			}
		}
		return componentExec
	}
	return ""
}

// target is the component that the mapping of component.exec names.
func target(mapping map[string]json.RawMessage) (string, bool) {
	for _, name := range []string{"component", "component_ref"} {
		if s, ok := text(mapping[name]); ok && strings.TrimSpace(s) != "" {
			return strings.TrimSpace(s), true
		}
	}
	return "", false
}

// operation is the operation that a mapping names.
func operation(mapping map[string]json.RawMessage) string {
	for _, name := range []string{"operation", "op"} {
		if s, ok := text(mapping[name]); ok && strings.TrimSpace(s) != "" {
			return strings.TrimSpace(s)
		}
	}
	return ""
}

// do renders the mapping of a node and does what the node says. It puts into inv
// what was called.
func (r *run) do(ctx context.Context, f *frame, inv *Invocation) (outcome, error) {
	mapping, err := r.mapping(inv.Node)
	if err != nil {
		return outcome{}, err
	}
	kind := kindOf(inv.Node, object(mapping))
	if kind == ProviderInvoke {
		return r.provider(ctx, f, inv, object(mapping))
	}
	input, err := r.render(f.context(), *inv, mapping, false)
	if err != nil {
		return outcome{}, err
	}
	top := object(input)
	switch {
	case strings.HasPrefix(kind, emit):
		inv.Component, inv.Operation = kind, ""
		for _, name := range []string{"input", "payload"} {
			if v, ok := top[name]; ok {
				input = v
				break
			}
		}
		o, err := r.output(input)
		if err == nil {
			f.egress = append(f.egress, o.out)
		}
		return o, err
	case kind == flowCall:
		inv.Component, inv.Operation = kind, ""
		return r.call(ctx, top)
	case kind == stateGet || kind == stateSet:
		inv.Component, inv.Operation = kind, ""
		return r.store(kind, top)
	case kind == sessionWait:
		inv.Component, inv.Operation = kind, ""
		return outcome{}, refuse(CodeWait, "the flow waits here for somebody's answer; a provisioning run cannot")
	}
	if inv.Component == "mcp" || slices.ContainsFunc(services, func(s string) bool { return strings.HasPrefix(inv.Component, s) }) {
		return outcome{}, refuse(CodeUnsupportedNode, "the node needs a service of the runner; a provisioning run has none")
	}
	if err := r.component(inv, kind == componentExec, input); err != nil {
		return outcome{}, err
	}
	o, err := r.invoke(ctx, *inv)
	if err == nil && o.failed == nil {
		err = r.control(f, *inv, &o)
	}
	return o, err
}

// mapping reads the mapping of a node.
func (r *run) mapping(n Node) (json.RawMessage, error) {
	if len(n.Mapping) == 0 {
		return json.RawMessage("null"), nil
	}
	if len(n.Mapping) > r.MaxInput {
		return nil, refuse(CodeInputSize, "the mapping is larger than %d bytes", r.MaxInput)
	}
	m, err := plan.Read(n.Mapping)
	if err != nil {
		return nil, refuse(CodeMapping, "the mapping: %s", hostile.Error(err))
	}
	return m, nil
}

// render renders the templates of v, canonical JSON, into canonical JSON.
func (r *run) render(root map[string]any, inv Invocation, v json.RawMessage, pointers bool) (json.RawMessage, error) {
	t := renderer{root: root, lenient: r.Lenient, pointers: pointers, limit: r.MaxInput, steps: &r.steps,
		warn: func(at, expression string) {
			r.warn(inv, WarnPathMissing, at, "mapping "+hostile.Quote(at)+": "+hostile.Quote(expression)+" names nothing that there is; it became an empty string")
		}}
	if err := t.render(plan.Tree(v)); err != nil {
		return nil, err
	}
	out, err := plan.Read(t.out)
	if err != nil { // all else is well-formed by now
		return nil, refuse(CodeInputDepth, "the rendered mapping: %s", hostile.Error(err))
	}
	return out, nil
}

// component finds what to call with what. The mapping may wrap the input: {input,
// config?} beside the names of what is called.
func (r *run) component(inv *Invocation, exec bool, input json.RawMessage) error {
	top := object(input)
	if exec {
		name, ok := target(top)
		switch {
		case ok:
			inv.Component = name
		case inv.Node.Component == componentExec:
			return refuse(CodeNoComponent, "the node does not say which component it calls; the pack's compiler should have bound one")
		}
		if inv.Operation == componentExec {
			inv.Operation = ""
		}
	}
	inv.Operation = strings.TrimSpace(inv.Operation)
	if inv.Operation == "" {
		inv.Operation = operation(top)
	}
	if inv.Operation == "" {
		// Packs of January 2026 have "templates.handlebars" for a component and its
		// operation.
		i := strings.LastIndexByte(inv.Component, '.')
		switch {
		case inv.Component == "questions" || inv.Component == "template":
			return refuse(CodeUnsupportedNode, "the node is a built-in of the flow compiler that nothing implements")
		case i <= 0 || i == len(inv.Component)-1:
			return refuse(CodeNoOperation, "neither the node nor its mapping names an operation")
		}
		inv.Component, inv.Operation = inv.Component[:i], inv.Component[i+1:]
	}
	inv.Input = r.unwrap(*inv, exec, input, top)
	return nil
}

// unwrap takes the input out of a mapping that wraps it.
func (r *run) unwrap(inv Invocation, exec bool, mapping json.RawMessage, top map[string]json.RawMessage) json.RawMessage {
	input, wrapped := top["input"]
	if !wrapped && !exec {
		return mapping
	}
	rest := map[string]json.RawMessage{}
	for name, v := range top {
		switch name {
		case "operation", "op", "component", "component_ref", "config", "input":
		default:
			rest[name] = v
		}
	}
	switch {
	case wrapped && len(rest) > 0 && !exec:
		return mapping
	case !absent(top["config"]):
		r.warn(inv, WarnConfigIgnored, "", "the config of the node reaches no component; upstream's runner does not hand it over either")
	}
	if wrapped {
		return input
	}
	return canonical(rest)
}

// invoke calls a component and judges its output.
func (r *run) invoke(ctx context.Context, inv Invocation) (outcome, error) {
	raw, err := r.Invoke(ctx, inv)
	if err != nil {
		return outcome{}, &invokeError{flow: inv.Flow, node: inv.Node.ID, err: err}
	}
	o, err := r.output(raw)
	if err != nil {
		return o, err
	}
	top := object(o.out)
	if string(top["ok"]) == "false" {
		o.status = "error"
		o.failed = refuse(CodeComponentFailed, "%s", failure(top))
	}
	if s, ok := text(top["status"]); ok && s != "" {
		o.status = s
	}
	return o, nil
}

// output takes what a node puts out into the run's books.
func (r *run) output(raw json.RawMessage) (outcome, error) {
	if len(raw) > r.bytes {
		return outcome{}, refuse(CodeOutputSize, "the nodes of this run put out more than %d bytes", r.MaxOutputs)
	}
	out, err := plan.Read(raw)
	if err != nil {
		return outcome{}, refuse(CodeOutput, "the output: %s", hostile.Error(err))
	}
	n := countValues(out)
	switch {
	case len(out) > r.bytes: // 1e20 is longer when it is canonical
		return outcome{}, refuse(CodeOutputSize, "the nodes of this run put out more than %d bytes", r.MaxOutputs)
	case n > r.values:
		return outcome{}, refuse(CodeOutputSize, "the nodes of this run put out more than %d JSON values", MaxValues)
	}
	r.bytes -= len(out)
	r.values -= n
	return outcome{out: out, value: plan.Tree(out), status: "ok"}, nil
}

// failure says what a component reported with "ok": false. The error is an object
// with code and message, or a string; where there is none, the messages of the
// entries of "actions", "errors" or "diagnostics" that failed.
func failure(top map[string]json.RawMessage) string {
	if s, ok := text(top["error"]); ok {
		return "it reports " + hostile.QuoteUpTo(s, maxSentence)
	}
	if e := object(top["error"]); e != nil {
		code, hasCode := text(e["code"])
		message, hasMessage := text(e["message"])
		switch {
		case hasCode && hasMessage:
			return "it reports " + hostile.Quote(code) + ": " + hostile.QuoteUpTo(message, maxSentence)
		case hasCode:
			return "it reports " + hostile.Quote(code)
		case hasMessage:
			return "it reports " + hostile.QuoteUpTo(message, maxSentence)
		}
	}
	var messages []string
	for _, list := range []string{"actions", "errors", "diagnostics"} {
		entries, _ := elements(top[list])
		for _, e := range entries {
			entry := object(e)
			message, ok := text(entry["message"])
			status, _ := text(entry["status"])
			severity, _ := text(entry["severity"])
			if ok && (list == "errors" || status == "error" || severity == "error") {
				messages = append(messages, message)
			}
		}
	}
	if message, ok := text(top["message"]); ok {
		messages = append(messages, message)
	}
	if len(messages) == 0 {
		return `it reports "ok": false and no reason`
	}
	return "it reports " + hostile.QuoteAll(messages)
}

// control honours greentic_control, with which a component says where the flow
// goes.
func (r *run) control(f *frame, inv Invocation, o *outcome) error {
	raw, ok := object(o.out)["greentic_control"]
	if !ok {
		return nil
	}
	c := object(raw)
	action, hasAction := text(c["action"])
	switch {
	case c == nil:
		return refuse(CodeControl, "greentic_control must be an object, found %s", plan.Kind(raw))
	case string(c["v"]) != "1":
		return refuse(CodeControl, `greentic_control has no "v": 1`)
	case !hasAction || action != "jump" && action != "respond":
		return refuse(CodeControl, "greentic_control has the action %s; known are jump and respond", hostile.Quote(action))
	case action == "respond":
		if string(c["needs_user"]) == "true" {
			return refuse(CodeWait, "the component asks the user, and a provisioning run has none")
		}
		response := map[string]json.RawMessage{"text": nil, "card_cbor": nil, "needs_user": nil}
		for name, want := range map[string]string{"text": "a string", "card_cbor": "an array", "needs_user": "a boolean"} {
			if response[name] = c[name]; plan.Kind(c[name]) != want {
				response[name] = json.RawMessage("null")
			}
		}
		f.egress = append(f.egress, canonical(response))
		o.next = &next{stop: true, silent: true}
		return nil
	}
	flow, _ := text(c["flow"])
	node, _ := text(c["node"])
	to := next{flow: strings.TrimSpace(flow), node: strings.TrimSpace(node)}
	if to.flow == "" {
		return refuse(CodeControl, "greentic_control jumps and names no flow")
	}
	most := 3 // upstream's default
	if !absent(c["max_redirects"]) {
		if most, ok = index(string(c["max_redirects"])); !ok {
			return refuse(CodeControl, "greentic_control has max_redirects that are no number")
		}
	}
	if f.redirects >= most {
		return refuse(CodeRedirects, "the flow was redirected %d times, and this jump to %s allows no more", f.redirects, hostile.Quote(to.flow))
	}
	g, err := r.graph(to.flow)
	switch {
	case err != nil:
		return refuse(err.Code, "it jumps to the flow %s: %s", hostile.Quote(to.flow), err.Detail)
	case to.node != "" && !g.has(to.node):
		return refuse(CodeNodeNotFound, "it jumps to the node %s, which the flow %s does not have", hostile.Quote(to.node), hostile.Quote(to.flow))
	}
	f.redirects++
	// From here on the payload is the node's output and the input of the flow.
	o.out = json.RawMessage("null")
	if p := c["payload"]; !absent(p) {
		o.out = p
	}
	o.value = plan.Tree(o.out)
	if h := c["hints"]; !absent(h) {
		o.meta = plan.Tree(h)
	}
	f.input = o.value
	o.next = &to
	return nil
}

// call runs another flow; what it puts out is the output of the node.
func (r *run) call(ctx context.Context, top map[string]json.RawMessage) (outcome, error) {
	id, ok := text(top["flow_id"])
	if !ok {
		id, ok = text(top["flow"])
	}
	if !ok || strings.TrimSpace(id) == "" {
		return outcome{}, refuse(CodeMapping, "flow.call needs a flow_id")
	}
	id = strings.TrimSpace(id)
	if r.calls == MaxCalls {
		return outcome{}, refuse(CodeCallDepth, "flow.call nests deeper than %d, at the call of %s", MaxCalls, hostile.Quote(id))
	}
	if _, err := r.graph(id); err != nil {
		return outcome{}, refuse(err.Code, "it calls the flow %s: %s", hostile.Quote(id), err.Detail)
	}
	input := top["input"]
	if absent(input) {
		input = json.RawMessage("null")
	}
	r.calls++
	out, err := r.flow(ctx, id, input)
	r.calls--
	if err != nil {
		return outcome{}, err
	}
	return r.output(out)
}

// store is state.get and state.set. What is set lasts for the run.
func (r *run) store(kind string, top map[string]json.RawMessage) (outcome, error) {
	key, ok := text(top["key"])
	if !ok || key == "" {
		return outcome{}, refuse(CodeMapping, "%s needs a key", kind)
	}
	result := map[string]any{"key": key}
	if kind == stateSet {
		value := any(nil)
		if v, ok := top["value"]; ok {
			value = plan.Tree(v)
		}
		r.state[key] = value
		result["value"] = value
	} else {
		value, found := r.state[key]
		result["value"], result["found"] = value, found
	}
	return r.output(canonical(result))
}

// provider is provider.invoke. in_map, out_map and err_map may use JSON Pointers
// and are rendered once, when "input" and "result" are known; upstream renders
// them twice, the first time without.
func (r *run) provider(ctx context.Context, f *frame, inv *Invocation, mapping map[string]json.RawMessage) (outcome, error) {
	maps := map[string]json.RawMessage{}
	for _, name := range []string{"in_map", "out_map", "err_map"} {
		if v, ok := mapping[name]; ok && !absent(v) {
			maps[name] = v
		}
		delete(mapping, name)
	}
	inv.Component, inv.Operation = ProviderInvoke, ""
	rendered, err := r.render(f.context(), *inv, canonical(mapping), false)
	if err != nil {
		return outcome{}, err
	}
	top := object(rendered)
	for _, name := range []string{"op", "operation"} {
		if s, ok := text(top[name]); ok && inv.Operation == "" {
			inv.Operation = strings.TrimSpace(s)
		}
	}
	name := ""
	for _, key := range []string{"provider_id", "provider_type"} {
		if s, ok := text(top[key]); ok && name == "" {
			name = strings.TrimSpace(s)
		}
	}
	switch {
	case inv.Operation == "":
		return outcome{}, refuse(CodeNoOperation, "provider.invoke needs an op")
	case name == "":
		return outcome{}, refuse(CodeMapping, "provider.invoke needs a provider_id or a provider_type")
	}
	inv.Component = name
	within := func(v any) map[string]any {
		c := f.context()
		c["input"], c["result"] = v, v
		return c
	}
	inv.Input = json.RawMessage("null")
	if v, ok := top["input"]; ok {
		inv.Input = v
	}
	if m, ok := maps["in_map"]; ok {
		if inv.Input, err = r.render(within(plan.Tree(inv.Input)), *inv, m, true); err != nil {
			return outcome{}, err
		}
	}
	o, err := r.invoke(ctx, *inv)
	if err != nil {
		return o, err
	}
	m, ok := maps["out_map"]
	if o.failed != nil {
		m, ok = maps["err_map"]
	}
	if !ok {
		return o, nil
	}
	mapped, err := r.render(within(o.value), *inv, m, true)
	if err != nil {
		return o, err
	}
	made, err := r.output(mapped)
	if err != nil {
		return o, err
	}
	made.status, made.failed = o.status, o.failed
	return made, nil
}
