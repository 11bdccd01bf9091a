package pack

import (
	"encoding/json"
	"errors"
	"maps"
	"path"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/greentic-ai/greentic-provision/flow"
	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/plan"
)

const kindFlows = "flows"

// graph reads the flow of an id: from the manifest or, where that has none, from
// the file that the manifest or custom names. Without any, it gives nil.
func (d *draft) graph(id string) (*flow.Graph, error) {
	row := d.m.flow(id)
	if row != nil && isSet(row.graph) {
		if err := take(&d.flowsLeft, len(row.graph), d.Manifest.File, kindFlows); err != nil {
			return nil, err
		}
		g, err := d.m.decodeGraph(row)
		return g, inEntry(d.Manifest.File, err)
	}
	var candidates []string
	if row != nil {
		candidates = slices.Clone(row.files)
	}
	for _, name := range []string{"/flow.json", "/flow.ygtc", "/flow.yaml", ".json", ".ygtc"} {
		candidates = append(candidates, "flows/"+id+name)
	}
	file, err := d.asset(candidates...)
	if err != nil || file == "" {
		return nil, err
	}
	b, err := d.within(&d.flowsLeft, file, kindFlows)
	if err != nil {
		return nil, err
	}
	d.uses(file)
	parse := flow.ParseYGTC
	if path.Ext(file) == ".json" {
		parse = flow.ParseJSON
	}
	g, err := parse(b)
	if err != nil {
		return nil, refuse(RuleFlow, file, "", "%s", hostile.Error(err))
	}
	if g.ID == "" {
		g.ID = id
	}
	return g, d.bind(g, file)
}

// bind gives the nodes of a flow's source the components that the builder found
// for them, which stand beside the source.
func (d *draft) bind(g *flow.Graph, file string) error {
	summary := file + ".resolve.summary.json"
	if path.Ext(file) == ".json" {
		return nil
	}
	if f, err := d.src.find(summary); err != nil || f == absent {
		return err
	}
	if _, err := d.within(&d.flowsLeft, summary, kindFlows); err != nil {
		return err
	}
	var s struct {
		Nodes map[string]struct {
			ComponentID string `json:"component_id"`
		} `json:"nodes"`
	}
	if err := d.src.structured(summary, &s); err != nil {
		return err
	}
	d.uses(summary)
	for i := range g.Nodes {
		if n := &g.Nodes[i]; n.Component == nodeExec && s.Nodes[n.ID].ComponentID != "" {
			n.Component = s.Nodes[n.ID].ComponentID
		}
	}
	return nil
}

// decodeGraph reads a flow of pack-v1. With nodes as an object it is written as
// flow.json is.
func (m *manifest) decodeGraph(row *flowRow) (*flow.Graph, error) {
	var f struct {
		ID          string                    `json:"id"`
		Kind        string                    `json:"kind"`
		Entrypoints map[string]jsontext.Value `json:"entrypoints"`
		Nodes       jsontext.Value            `json:"nodes"`
	}
	if err := decode(row.graph, &f); err != nil {
		return nil, err
	}
	if f.Nodes.Kind() == '{' {
		g, err := flow.ParseJSON(row.graph)
		if err != nil {
			return nil, refuse(RuleFlow, "", "", "%s", hostile.Error(err))
		}
		return g, nil
	}
	g := &flow.Graph{ID: row.id, Kind: f.Kind}
	if g.Kind == "" {
		g.Kind = row.kind
	}
	for name, v := range f.Entrypoints {
		if g.Entrypoints == nil {
			g.Entrypoints = map[string]json.RawMessage{}
		}
		g.Entrypoints[name] = json.RawMessage(v)
	}
	var nodes []struct {
		ID        symbol `json:"id"`
		Component struct {
			ID        symbol `json:"id"`
			PackAlias string `json:"pack_alias"`
			Operation string `json:"operation"`
		} `json:"component"`
		Input struct {
			Mapping jsontext.Value `json:"mapping"`
		} `json:"input"`
		Routing routing `json:"routing"`
	}
	if isSet(f.Nodes) {
		if err := decode(f.Nodes, &nodes); err != nil {
			return nil, err
		}
	}
	seen := map[string]bool{}
	for _, n := range nodes {
		id, err := n.ID.in(m.symbols.NodeIDs, "node_ids")
		if err != nil {
			return nil, err
		}
		if seen[id] {
			return nil, refuse(RuleFlow, "", hintRebuild, "the flow %s has the node %s twice", hostile.Quote(row.id), hostile.Quote(id))
		}
		seen[id] = true
		out := flow.Node{ID: id, Operation: n.Component.Operation}
		if out.Component, err = n.Component.ID.in(m.symbols.ComponentIDs, "component_ids"); err != nil {
			return nil, err
		}
		if n.Component.PackAlias != "" {
			// No binary of this pack is meant; with the alias none has the name.
			out.Component = n.Component.PackAlias + "/" + out.Component
		}
		if isSet(n.Input.Mapping) {
			if out.Mapping, err = plan.Read(n.Input.Mapping); err != nil {
				return nil, refuse(RuleFlow, "", "", "the mapping of the node %s: %s", hostile.Quote(id), hostile.Error(err))
			}
		}
		if out.Routing, err = n.Routing.in(m.symbols.NodeIDs); err != nil {
			return nil, err
		}
		g.Nodes = append(g.Nodes, out)
	}
	return g, nil
}

// routing is where a flow of pack-v1 goes after a node, as Rust's serde writes an
// enum: the case, or an object from the case to its content. JSON has the cases in
// lower case.
type routing struct {
	name    string
	content jsontext.Value
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (r *routing) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	v, err := dec.ReadValue()
	if err != nil {
		return err
	}
	*r = routing{}
	switch v.Kind() {
	case 'n':
		return nil
	case '"':
		return decode(v, &r.name)
	}
	var cases map[string]jsontext.Value
	if err := decode(v, &cases); err != nil {
		return err
	}
	if len(cases) != 1 {
		return errors.New("a routing has one case")
	}
	for r.name, r.content = range cases {
	}
	return nil
}

func (r routing) in(nodes []string) (flow.Routing, error) {
	content := r.content
	if !isSet(content) {
		content = jsontext.Value("{}")
	}
	switch r.name {
	case "", "End", "end":
		return flow.Routing{Kind: flow.RouteEnd}, nil
	case "Reply", "reply":
		return flow.Routing{Kind: flow.RouteReply}, nil
	case "Next", "next":
		var next struct {
			NodeID *symbol `json:"node_id"`
		}
		if err := decode(content, &next); err != nil {
			return flow.Routing{}, err
		}
		if next.NodeID == nil {
			return flow.Routing{}, refuse(RuleFlow, "", hintRebuild, "a routing to the next node names none")
		}
		id, err := next.NodeID.in(nodes, "node_ids")
		return flow.Routing{Kind: flow.RouteNext, Next: id}, err
	case "Branch", "branch":
		var branch struct {
			OnStatus map[string]symbol `json:"on_status"`
			Default  *symbol           `json:"default"`
		}
		if err := decode(content, &branch); err != nil {
			return flow.Routing{}, err
		}
		out := flow.Routing{Kind: flow.RouteBranch, OnStatus: map[string]string{}}
		for _, status := range slices.Sorted(maps.Keys(branch.OnStatus)) {
			id, err := branch.OnStatus[status].in(nodes, "node_ids")
			if err != nil {
				return flow.Routing{}, err
			}
			out.OnStatus[status] = id
		}
		if branch.Default == nil {
			return out, nil
		}
		var err error
		out.Default, err = branch.Default.in(nodes, "node_ids")
		return out, err
	case "Custom", "custom":
		custom, err := plan.Read(content)
		if err != nil {
			return flow.Routing{}, refuse(RuleFlow, "", "", "a custom routing: %s", hostile.Error(err))
		}
		return flow.Routing{Kind: flow.RouteCustom, Custom: custom}, nil
	}
	return flow.Routing{}, refuse(RuleFlow, "", hintRebuild, "a routing has the unknown case %s", hostile.Quote(r.name))
}
