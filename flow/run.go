package flow

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/plan"
)

// run is one run, the flows it calls included.
type run struct {
	Config
	trace   *Trace
	graphs  map[string]*indexed
	entered int // nodes
	values  int // left of MaxValues
	bytes   int // left of MaxOutputs
	steps   int // left of MaxTemplateSteps
	calls   int // flow.call around the present flow
	state   map[string]any
	warned  map[place]bool
	dropped int // warnings beyond MaxWarnings
}

// indexed is a flow with its nodes by id.
type indexed struct {
	*Graph
	nodes map[string]int
}

// place identifies a warning, so that a loop gives it once.
type place struct {
	code           Code
	flow, node, at string
}

// frame is what the nodes of one flow share. A jump keeps it, a call makes one.
type frame struct {
	entry, input any
	prev         any
	payloads     map[string]any // node.<id>
	outcomes     map[string]any // state.nodes.<id>
	egress       []json.RawMessage
	redirects    int
}

// Run runs a flow. The Trace is never nil and tells what happened up to an error.
//
// An *Error says why the flow could not finish. What Invoke fails with, and the
// cause of a cancelled ctx, come back with the flow and the node in front of them,
// for errors.Is and errors.As to find. Cancellation is looked for before each
// node.
//
// The graphs are hostile and so is what Invoke gives; the rest of c is trusted,
// and Input still must be JSON.
func Run(ctx context.Context, c Config) (*Trace, error) {
	r := &run{
		Config: c,
		trace:  &Trace{},
		graphs: map[string]*indexed{},
		values: MaxValues,
		steps:  MaxTemplateSteps,
		state:  map[string]any{},
		warned: map[place]bool{},
	}
	for _, d := range []struct {
		v *int
		d int
	}{{&r.MaxVisits, DefaultMaxVisits}, {&r.MaxInput, DefaultMaxInput}, {&r.MaxOutputs, DefaultMaxOutputs}} {
		if *d.v == 0 {
			*d.v = d.d
		}
	}
	r.bytes = r.MaxOutputs
	input := json.RawMessage("{}")
	if !absent(c.Input) {
		var err error
		if input, err = plan.Read(c.Input); err != nil {
			return r.trace, &Error{Flow: c.Start, Code: CodeMapping, Detail: "the input of the flow: " + hostile.Error(err)}
		}
	}
	out, err := r.flow(ctx, c.Start, input)
	if r.dropped > 0 {
		r.trace.Diagnostics = append(r.trace.Diagnostics, plan.Diagnostic{
			Severity: plan.Warn, Code: WarnMore, Message: fmt.Sprintf("%d more warnings of the flow are not shown", r.dropped), Own: true,
		})
	}
	if err != nil {
		return r.trace, err
	}
	r.trace.Output = out
	return r.trace, nil
}

// flow runs a flow from its start.
func (r *run) flow(ctx context.Context, id string, input json.RawMessage) (json.RawMessage, error) {
	g, err := r.graph(id)
	if err != nil {
		return nil, err
	}
	at, err := g.start()
	if err != nil {
		return nil, err
	}
	in := plan.Tree(input)
	if in == nil {
		in = map[string]any{}
	}
	f := &frame{entry: in, input: in, prev: map[string]any{}, payloads: map[string]any{}, outcomes: map[string]any{}}
	for {
		next, out, failed := r.visit(ctx, f, g, at)
		switch {
		case failed != nil:
			return nil, failed
		case next.stop && next.silent:
			return f.finish(nil), nil
		case next.stop:
			return f.finish(out), nil
		}
		// visit has seen to it that these exist, but for the start of a flow.
		if next.flow != "" {
			if g, err = r.graph(next.flow); err != nil {
				return nil, err
			}
		}
		if at = g.nodes[next.node]; next.node == "" {
			if at, err = g.start(); err != nil {
				return nil, err
			}
		}
	}
}

// graph gives a flow by id.
func (r *run) graph(id string) (*indexed, *Error) {
	if g := r.graphs[id]; g != nil {
		return g, nil
	}
	g := r.Graphs[id]
	if g == nil {
		return nil, &Error{Flow: id, Code: CodeNotFound, Detail: "the pack has no flow of this id"}
	}
	named := *g
	named.ID = id // what calls, jumps and the caller know it by
	x := &indexed{Graph: &named, nodes: make(map[string]int, len(g.Nodes))}
	for i, n := range g.Nodes {
		if _, twice := x.nodes[n.ID]; twice {
			return nil, &Error{Flow: id, Node: n.ID, Code: CodeShape, Detail: "two nodes have this id"}
		}
		x.nodes[n.ID] = i
	}
	r.graphs[id] = x
	return x, nil
}

// start is where a flow begins: the entrypoint "default", else the first node.
func (g *indexed) start() (int, *Error) {
	if id, ok := text(g.Entrypoints["default"]); ok {
		if !g.has(id) {
			return 0, &Error{Flow: g.ID, Code: CodeNodeNotFound, Detail: "the entrypoint \"default\" is the node " + hostile.Quote(id) + ", which the flow does not have"}
		}
		return g.nodes[id], nil
	}
	if len(g.Nodes) == 0 {
		return 0, &Error{Flow: g.ID, Code: CodeNoStart, Detail: fmt.Sprintf("flow %s has no start node", hostile.Quote(g.ID))}
	}
	return 0, nil
}

func (g *indexed) has(node string) bool {
	_, ok := g.nodes[node]
	return ok
}

// finish is the output of a flow: its last payload, behind what it emitted.
func (f *frame) finish(last json.RawMessage) json.RawMessage {
	if len(f.egress) == 0 {
		if last == nil {
			return json.RawMessage("null")
		}
		return last
	}
	all := f.egress
	if list, ok := elements(last); ok {
		all = append(all, list...)
	} else if !absent(last) {
		all = append(all, last)
	}
	return canonical(all)
}

// context is what templates see.
func (f *frame) context() map[string]any {
	return map[string]any{
		"entry": f.entry,
		"in":    f.entry,
		"prev":  f.prev,
		"node":  f.payloads,
		"state": map[string]any{
			"entry":          f.entry,
			"input":          f.input,
			"nodes":          f.outcomes,
			"redirect_count": json.Number(itoa(f.redirects)),
		},
	}
}

// next is where a run goes from a node.
type next struct {
	stop   bool
	silent bool // the node's output is no output of the flow
	flow   string
	node   string // "" for the start of flow
}

// outcome is what came of a node.
type outcome struct {
	out    json.RawMessage
	value  any // of out
	meta   any
	status string
	failed *Error // the component reported a failure; the routing may handle it
	next   *next  // decided already: a jump or a response
}

// visit enters a node, does what it says and finds the way on.
func (r *run) visit(ctx context.Context, f *frame, g *indexed, at int) (next, json.RawMessage, error) {
	n := g.Nodes[at]
	inv := Invocation{Flow: g.ID, Node: n, Position: at, Of: len(g.Nodes), Component: n.Component, Operation: n.Operation}
	if err := context.Cause(ctx); err != nil {
		return next{}, nil, r.located(inv, err)
	}
	if r.entered == r.MaxVisits {
		return next{}, nil, r.located(inv, r.stepCap(inv))
	}
	r.entered++
	o, err := r.do(ctx, f, &inv)
	r.trace.Visits = append(r.trace.Visits, Visit{
		Flow: inv.Flow, Node: n, Position: inv.Position, Of: inv.Of,
		Component: inv.Component, Operation: inv.Operation, Output: o.out, Status: o.status,
	})
	if err != nil {
		return next{}, nil, r.located(inv, err)
	}
	f.prev = o.value
	f.payloads[n.ID] = o.value
	f.outcomes[n.ID] = map[string]any{"ok": o.failed == nil, "payload": o.value, "meta": o.meta}
	if o.next != nil {
		return *o.next, o.out, nil
	}
	way, wrong := f.route(n, o)
	if wrong == nil && !way.stop && !g.has(way.node) {
		wrong = refuse(CodeNodeNotFound, "the routing leads to the node %s, which the flow does not have", hostile.Quote(way.node))
	}
	if wrong != nil {
		return next{}, nil, r.located(inv, wrong)
	}
	if o.failed != nil {
		r.warn(inv, WarnNodeFailed, "", o.failed.Detail+"; the flow handles it")
	}
	return way, o.out, nil
}

// located puts the place into an *Error, and in front of every other error.
func (r *run) located(inv Invocation, err error) error {
	switch e := err.(type) { // as made here: nothing wraps them before they are located
	case *Error:
		if e.Flow == "" { // else it is a called flow's
			e.Flow, e.Node, e.Component, e.Operation = inv.Flow, inv.Node.ID, inv.Component, inv.Operation
		}
		return e
	case *invokeError:
		return e
	}
	return &invokeError{flow: inv.Flow, node: inv.Node.ID, err: err}
}

// invokeError is an error of others with its place.
type invokeError struct {
	flow, node string
	err        error
}

func (e *invokeError) Error() string {
	return "flow " + hostile.Quote(e.flow) + ": node " + hostile.Quote(e.node) + ": " + e.err.Error()
}

func (e *invokeError) Unwrap() error { return e.err }

// stepCap names the nodes that a run goes round in.
func (r *run) stepCap(inv Invocation) *Error {
	const rule = "the run entered %d nodes and is still not at its end"
	visits := r.trace.Visits
	for i := len(visits) - 1; i >= 0; i-- {
		if visits[i].Node.ID != inv.Node.ID || visits[i].Flow != inv.Flow {
			continue
		}
		var names []string
		seen := map[string]bool{}
		for _, v := range visits[i:] {
			if !seen[v.Node.ID] {
				seen[v.Node.ID] = true
				names = append(names, v.Node.ID)
			}
		}
		return refuse(CodeStepCap, rule+"; it goes round through %s", r.MaxVisits, hostile.QuoteAll(names))
	}
	return refuse(CodeStepCap, rule, r.MaxVisits)
}

// warn gives a warning once for a place.
func (r *run) warn(inv Invocation, code Code, at, message string) {
	p := place{code, inv.Flow, inv.Node.ID, at}
	switch {
	case r.warned[p]:
		return
	case len(r.warned) == MaxWarnings:
		r.dropped++
		return
	}
	r.warned[p] = true
	r.trace.Diagnostics = append(r.trace.Diagnostics, plan.Diagnostic{
		Severity: plan.Warn,
		Code:     code,
		Message:  "flow " + hostile.Quote(inv.Flow) + ": node " + hostile.Quote(inv.Node.ID) + ": " + message,
		Path:     hostile.Escape("flows/"+hostile.Cut(inv.Flow, hostile.MaxShown)+"/nodes/"+hostile.Cut(inv.Node.ID, hostile.MaxShown), 2*hostile.MaxShown),
	})
}
