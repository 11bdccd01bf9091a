package flow

import (
	"encoding/json"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/plan"
)

// ParseJSON reads a flow.json: {id, kind?, entrypoints?, nodes}, the nodes as a
// map by id, whose order counts, or as a list. A node is {id?, component: {id,
// operation?}, input: {mapping}, routing}; component may be the id alone.
// Routing is in snake_case, as in flow.json, or in the PascalCase of
// manifest.cbor. Other members are ignored: no runner looks at them. An error is
// an *Error.
func ParseJSON(b []byte) (*Graph, error) {
	if len(b) > MaxText {
		return nil, refuse(CodeSize, "is larger than %d bytes", MaxText)
	}
	if _, err := plan.ReadObject(b); err != nil {
		return nil, refuse(CodeSyntax, "%s", hostile.Error(err))
	}
	g := &Graph{}
	top := object(b)
	var err *Error
	if g.ID, err = identifier("the flow", top["id"]); err != nil {
		return nil, err
	}
	if g.Kind, err = flowKind(top["kind"]); err != nil {
		return nil, within(g.ID, err)
	}
	if g.Entrypoints, err = entrypoints(top["entrypoints"]); err != nil {
		return nil, within(g.ID, err)
	}
	list, isMap := members(top["nodes"])
	if !isMap {
		elements, ok := elements(top["nodes"])
		if !ok {
			return nil, within(g.ID, refuse(CodeShape, "nodes must be an object or an array, found %s", plan.Kind(top["nodes"])))
		}
		for _, e := range elements {
			list = append(list, member{value: e})
		}
	}
	if len(list) > MaxNodes {
		return nil, within(g.ID, refuse(CodeSize, "has more than %d nodes", MaxNodes))
	}
	seen := make(map[string]bool, len(list))
	for _, e := range list {
		n, err := parseNode(e, isMap)
		switch {
		case err != nil:
			err.Node = hostile.Cut(e.name, MaxID)
			return nil, within(g.ID, err)
		case seen[n.ID]:
			return nil, &Error{Flow: g.ID, Node: n.ID, Code: CodeShape, Detail: "two nodes have this id"}
		}
		seen[n.ID] = true
		g.Nodes = append(g.Nodes, n)
	}
	return g, nil
}

// within puts a flow's id into an error.
func within(id string, err *Error) *Error {
	err.Flow = id
	return err
}

// identifier reads the id of what.
func identifier(what string, b json.RawMessage) (string, *Error) {
	id, ok := text(b)
	switch {
	case !ok:
		return "", refuse(CodeShape, "the id of %s must be a string, found %s", what, plan.Kind(b))
	case id == "" || len(id) > MaxID:
		return "", refuse(CodeShape, "the id of %s must have 1 to %d bytes", what, MaxID)
	}
	return id, nil
}

// flowKind reads the kind of a flow, which may be left out. "events" is upstream's
// other word for event.
func flowKind(b json.RawMessage) (string, *Error) {
	if absent(b) {
		return "", nil
	}
	switch k, ok := text(b); {
	case !ok:
		return "", refuse(CodeShape, "the kind of the flow must be a string, found %s", plan.Kind(b))
	case k == "events":
		return "event", nil
	case k == "messaging" || k == "event" || k == "component-config" || k == "job" || k == "http":
		return k, nil
	default:
		return "", refuse(CodeShape, "the kind of the flow is %s; it must be messaging, event, component-config, job or http", hostile.Quote(k))
	}
}

func entrypoints(b json.RawMessage) (map[string]json.RawMessage, *Error) {
	if absent(b) {
		return nil, nil
	}
	m := object(b)
	if m == nil {
		return nil, refuse(CodeShape, "entrypoints must be an object, found %s", plan.Kind(b))
	}
	for name, v := range m {
		m[name] = reread(v)
	}
	return m, nil
}

// reread gives the canonical form of a part of what plan.Read has passed.
func reread(b json.RawMessage) json.RawMessage {
	out, err := plan.Read(b)
	if err != nil {
		panic("flow: " + err.Error())
	}
	return out
}

// parseNode reads a node; named says that e.name is its id.
func parseNode(e member, named bool) (Node, *Error) {
	m := object(e.value)
	if m == nil {
		return Node{}, refuse(CodeShape, "a node must be an object, found %s", plan.Kind(e.value))
	}
	id := m["id"]
	if named && absent(id) {
		id = canonical(e.name)
	}
	var n Node
	var err *Error
	if n.ID, err = identifier("a node", id); err != nil {
		return n, err
	}
	if named && n.ID != e.name {
		return n, refuse(CodeShape, "the node says that its id is %s", hostile.Quote(n.ID))
	}
	component := object(m["component"])
	if component == nil {
		component = map[string]json.RawMessage{"id": m["component"]}
	}
	if n.Component, err = identifier("a component", component["id"]); err != nil {
		return n, err
	}
	if op := component["operation"]; !absent(op) {
		var ok bool
		if n.Operation, ok = text(op); !ok {
			return n, refuse(CodeShape, "the operation must be a string, found %s", plan.Kind(op))
		}
	}
	n.Mapping = json.RawMessage("{}")
	if in := m["input"]; !absent(in) {
		input := object(in)
		if input == nil {
			return n, refuse(CodeShape, "input must be an object, found %s", plan.Kind(in))
		}
		if v, ok := input["mapping"]; ok {
			n.Mapping = reread(v)
		}
	}
	n.Routing, err = parseRouting(m["routing"])
	return n, err
}

// parseRouting reads "end", "reply", {"next": {node_id}}, {"branch": {on_status,
// default}} and {"custom": [...]}, or the same with capital letters. No routing is
// "end".
func parseRouting(b json.RawMessage) (Routing, *Error) {
	if absent(b) {
		return Routing{Kind: RouteEnd}, nil
	}
	if s, ok := text(b); ok {
		switch s {
		case "end", "End":
			return Routing{Kind: RouteEnd}, nil
		case "reply", "Reply":
			return Routing{Kind: RouteReply}, nil
		}
		return Routing{}, refuse(CodeShape, "the routing is %s; a word must be end or reply", hostile.Quote(s))
	}
	list, ok := members(b)
	if !ok || len(list) != 1 {
		return Routing{}, refuse(CodeShape, "the routing must be a word or an object with one member, found %s", plan.Kind(b))
	}
	name, value := list[0].name, list[0].value
	switch name {
	case "next", "Next":
		to, err := identifier("the next node", object(value)["node_id"])
		return Routing{Kind: RouteNext, Next: to}, err
	case "branch", "Branch":
		return parseBranch(value)
	case "custom", "Custom":
		return Routing{Kind: RouteCustom, Custom: reread(value)}, nil
	}
	return Routing{}, refuse(CodeShape, "the routing is of the kind %s; it must be end, reply, next, branch or custom", hostile.Quote(name))
}

func parseBranch(b json.RawMessage) (Routing, *Error) {
	m := object(b)
	if m == nil {
		return Routing{}, refuse(CodeShape, "a branch must be an object, found %s", plan.Kind(b))
	}
	r := Routing{Kind: RouteBranch, OnStatus: map[string]string{}}
	var err *Error
	if v := m["on_status"]; !absent(v) {
		routes, ok := members(v)
		if !ok {
			return r, refuse(CodeShape, "on_status must be an object, found %s", plan.Kind(v))
		}
		for _, e := range routes {
			if r.OnStatus[e.name], err = identifier("a node in on_status", e.value); err != nil {
				return r, err
			}
		}
	}
	if v := m["default"]; !absent(v) {
		r.Default, err = identifier("the default node", v)
	}
	return r, err
}
