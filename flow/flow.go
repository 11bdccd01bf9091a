package flow

import (
	"context"
	"encoding/json"

	"github.com/greentic-ai/greentic-provision/plan"
)

// Graph is one flow. The order of Nodes is significant: without an entrypoint
// "default" a run starts at the first.
type Graph struct {
	ID string
	// Kind is messaging, event, component-config, job or http; it changes nothing
	// here.
	Kind string
	// Entrypoints are by name; one that is a JSON string names a node.
	Entrypoints map[string]json.RawMessage
	Nodes       []Node
}

// Node is one node of a flow.
type Node struct {
	ID string
	// Component is a component's id or the name of a kind of node, see the package
	// comment.
	Component string
	// Operation is "" where the node names none.
	Operation string
	// Mapping is the input of the node before its templates are rendered, JSON of
	// any type; nil means null.
	Mapping json.RawMessage
	Routing Routing
}

// Routing says where a run goes after a node. Only the fields of its Kind are
// set; the zero Routing ends the flow.
type Routing struct {
	Kind RoutingKind
	// Next is for RouteNext: a node's id.
	Next string
	// OnStatus and Default are for RouteBranch: node ids by status, and the one for
	// every other status ("" for none).
	OnStatus map[string]string
	Default  string
	// Custom is for RouteCustom: an array of routes, see the package comment.
	Custom json.RawMessage
}

// RoutingKind is one of the kinds of Routing.
type RoutingKind string

// The kinds of Routing.
const (
	RouteEnd    RoutingKind = "end"
	RouteReply  RoutingKind = "reply"
	RouteNext   RoutingKind = "next"
	RouteBranch RoutingKind = "branch"
	RouteCustom RoutingKind = "custom"
)

// Invocation is one call of a component, on behalf of a node.
type Invocation struct {
	Flow string
	Node Node
	// Position is the index of the node in its flow, Of how many nodes that has.
	Position, Of int
	// Component and Operation say what to call. Where Node.Component is
	// ProviderInvoke, Component is the id of a provider, else its type.
	Component, Operation string
	// Input is the rendered mapping: plain canonical JSON, not the envelope of
	// upstream's runner, which no published component can read.
	Input json.RawMessage
}

// Config is what a run needs.
type Config struct {
	// Graphs are the flows of the pack by id; Start is the one to run.
	Graphs map[string]*Graph
	Start  string
	// Input is the input of the flow, JSON; nil and null are {}.
	Input json.RawMessage
	// Invoke calls a component and gives its output, JSON. What a component itself
	// reports as an error is an output as well: {"ok":false,"error":{code,message}}.
	// An error of Invoke ends the run.
	Invoke func(context.Context, Invocation) (json.RawMessage, error)
	// Lenient renders a missing path as "" with a warning; else it is an error.
	Lenient bool
	// MaxVisits is how many nodes a run may enter, those of called flows included;
	// 0 is DefaultMaxVisits.
	MaxVisits int
	// MaxInput bounds a rendered mapping, in bytes; 0 is DefaultMaxInput.
	MaxInput int
	// MaxOutputs bounds what the nodes of a run put out together, in bytes of JSON;
	// 0 is DefaultMaxOutputs. Together they may hold MaxValues JSON values.
	MaxOutputs int
}

// Trace is what a run did.
type Trace struct {
	// Output is the output of the flow; nil where it did not finish.
	Output json.RawMessage
	// Visits are the nodes that were entered, in order; those of a called flow come
	// before the node that called it.
	Visits []Visit
	// Diagnostics are warnings: what the run went past. They quote the pack.
	Diagnostics []plan.Diagnostic
}

// Visit is one node that was entered and what came of it.
type Visit struct {
	Flow string
	Node Node
	// Position is the index of the node in its flow, Of how many nodes that has.
	Position, Of int
	// Component and Operation were called; Operation is "" where the node is of a
	// kind that calls nothing.
	Component, Operation string
	// Output is canonical JSON; nil where the node could not be rendered or called.
	Output json.RawMessage
	// Status is what Branch routing looked at: "ok", "error", or the status that the
	// output states; "" where the node had no outcome.
	Status string
}

// ProviderInvoke is the kind of node that calls a provider.
const ProviderInvoke = "provider.invoke"

// Defaults of Config.
const (
	DefaultMaxVisits  = 1000
	DefaultMaxInput   = 1 << 20
	DefaultMaxOutputs = 16 << 20
)

// Bounds of a run that nothing configures. Real flows stay below a hundredth of
// each.
const (
	// MaxValues is how many JSON values the outputs of a run may hold together: a
	// parsed value takes many times the two bytes it may have as text.
	MaxValues = 1 << 18
	// MaxCalls is how deep flow.call may nest.
	MaxCalls = 8
	// MaxTemplateSteps is how many tags and rounds of loops templates may take in a
	// run.
	MaxTemplateSteps = 1 << 20
	// MaxWarnings is how many warnings a run gives; one more says how many were left
	// out.
	MaxWarnings = 100
)

// Bounds of a flow's text.
const (
	MaxText  = 4 << 20 // bytes
	MaxNodes = 10_000
	// MaxTokens is for YAML only: the parser takes time with the square of the
	// entries of a mapping. The largest published .ygtc has about 300.
	MaxTokens = 1 << 15
	// MaxMarks bounds the lines and punctuation marks of YAML, and with them what the
	// tokens take before they can be counted.
	MaxMarks = 1 << 16
	// MaxID bounds the ids of flows and nodes, in bytes.
	MaxID = 256
)
