package flow

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/plan"
)

// ParseYGTC reads the YAML source of a flow (.ygtc) and compiles it as upstream's
// flow compiler does:
//
//	id: …              and type: messaging | event | events | component-config | job | http
//	start: …           a node; becomes the entrypoint "default" unless there is one
//	schema_version: 2  1 where it is left out
//	entrypoints: {…}
//	nodes:
//	  <id>:
//	    <operation>: <payload>
//	    operation: …   another name for the operation
//	    in_map: …      takes the place of the payload
//	    routing: …
//
// In schema 2, <operation> is an operation of component.exec, which a
// .ygtc.resolve.json binds to a component, but for questions, template, mcp and
// dw.*; in schema 1 it is the component. The names routing, telemetry, output,
// in_map, out_map, err_map, retry, timeout, when, annotations, meta and operation
// are no operations, and only those above have a meaning. Beside component.exec one
// more name, in schema 1 any number, may stand and means nothing; flows of the
// secrets packs have such.
//
// Without start, "default" is the node "in" if there is one, else the first.
// Routing is nothing (the end), out, reply, or a list of {to | out | reply,
// status?, condition?}.
//
// It is YAML without anchors, aliases, tags, merge keys and directives, one
// document, nesting at most plan.MaxDepth, no key twice, no number that JSON lacks.
// An error is an *Error.
func ParseYGTC(b []byte) (*Graph, error) {
	top, err := parseYAML(b)
	if err != nil {
		return nil, err
	}
	g, err := compile(top)
	if err != nil {
		err.Flow = g.ID
		return nil, err
	}
	return g, nil
}

// compile gives a Graph with its id even when it fails.
func compile(top []entry) (*Graph, *Error) {
	doc := map[string]ast.Node{}
	for _, e := range top {
		doc[e.name] = e.value
	}
	read := func(name string) (json.RawMessage, *Error) { return toJSON(doc[name]) }
	g := &Graph{Entrypoints: map[string]json.RawMessage{}}
	id, err := read("id")
	if err != nil {
		return g, err
	}
	if g.ID, err = identifier("the flow", id); err != nil {
		return &Graph{}, err
	}
	flowType, err := read("type")
	if err != nil {
		return g, err
	}
	if absent(flowType) {
		return g, refuse(CodeShape, "the flow has no type")
	}
	if g.Kind, err = flowKind(flowType); err != nil {
		return g, err
	}
	version, err := read("schema_version")
	if err != nil {
		return g, err
	}
	schema := 1
	if !absent(version) {
		var ok bool
		if schema, ok = index(string(version)); !ok {
			return g, refuse(CodeShape, "schema_version must be a small number, found %s", plan.Kind(version))
		}
	}
	points, err := read("entrypoints")
	if err != nil {
		return g, err
	}
	if m, err := entrypoints(points); err != nil {
		return g, err
	} else if m != nil {
		g.Entrypoints = m
	}
	nodes, err := entries(doc["nodes"])
	if err != nil {
		return g, refuse(err.Code, "nodes: %s", err.Detail)
	}
	if len(nodes) > MaxNodes {
		return g, refuse(CodeSize, "has more than %d nodes", MaxNodes)
	}
	known := make(map[string]bool, len(nodes))
	for _, e := range nodes {
		known[e.name] = true
	}
	for _, e := range nodes {
		n, err := compileNode(e, schema, known)
		if err != nil {
			err.Node = hostile.Cut(e.name, MaxID)
			return g, err
		}
		g.Nodes = append(g.Nodes, n)
	}
	start, err := read("start")
	if err != nil {
		return g, err
	}
	switch s, ok := text(start); {
	case !absent(start) && !ok:
		return g, refuse(CodeShape, "start must be a string, found %s", plan.Kind(start))
	case ok && !known[s]:
		return g, refuse(CodeNodeNotFound, "start is the node %s, which the flow does not have", hostile.Quote(s))
	case g.Entrypoints["default"] != nil:
	case ok:
		g.Entrypoints["default"] = start
	case known["in"]:
		g.Entrypoints["default"] = json.RawMessage(`"in"`)
	case len(nodes) > 0:
		g.Entrypoints["default"] = canonical(nodes[0].name)
	}
	return g, nil
}

func compileNode(e entry, schema int, known map[string]bool) (Node, *Error) {
	n := Node{ID: e.name}
	if e.name == "" || len(e.name) > MaxID {
		return n, refuse(CodeShape, "the id of a node must have 1 to %d bytes", MaxID)
	}
	fields, err := entries(e.value)
	if err != nil {
		return n, err
	}
	sibling := ""
	var operations []string
	payloads := map[string]json.RawMessage{}
	var inMap json.RawMessage
	routing := json.RawMessage("null")
	for _, f := range fields {
		v, err := toJSON(f.value)
		if err != nil {
			return n, err
		}
		switch f.name {
		case "routing":
			routing = v
		case "in_map":
			inMap = v
		case "operation":
			var ok bool
			if sibling, ok = text(v); !ok {
				return n, refuse(CodeShape, "operation must be a string, found %s", plan.Kind(v))
			}
		case "telemetry", "output", "out_map", "err_map", "retry", "timeout", "when", "annotations", "meta":
		default:
			payloads[f.name] = v
			if f.name != componentExec {
				operations = append(operations, f.name)
			}
		}
	}
	key := ""
	payload, exec := payloads[componentExec]
	switch {
	case exec && (len(operations) < 2 || schema < 2):
		key = componentExec
	case len(operations) > 1:
		return n, refuse(CodeShape, "the node has two operations, %s and %s", hostile.Quote(operations[0]), hostile.Quote(operations[1]))
	case len(operations) == 1:
		key = operations[0]
		payload = payloads[key]
	}
	if key == "" || len(key) > MaxID {
		return n, refuse(CodeShape, "the node needs an operation of 1 to %d bytes", MaxID)
	}
	n.Component, n.Operation = key, sibling
	builtin := key == "questions" || key == "template" || key == "mcp" || strings.HasPrefix(key, "dw.")
	if schema >= 2 && !builtin {
		n.Component = componentExec
		if n.Operation == "" {
			n.Operation = key
		}
	}
	if n.Mapping = payload; inMap != nil {
		n.Mapping = inMap
	}
	n.Routing, err = compileRouting(routing, known)
	return n, err
}

// compileRouting follows upstream: a list with any condition is custom; a single
// route is the next node or the end, custom with a status; several are a branch
// by status, custom where one of them does not lead to a node.
func compileRouting(b json.RawMessage, known map[string]bool) (Routing, *Error) {
	if absent(b) {
		return Routing{Kind: RouteEnd}, nil
	}
	if s, ok := text(b); ok {
		switch s {
		case "out":
			return Routing{Kind: RouteEnd}, nil
		case "reply":
			return Routing{Kind: RouteReply}, nil
		}
		return Routing{}, refuse(CodeShape, "the routing is %s; a word must be out or reply", hostile.Quote(s))
	}
	routes, err := readRoutes(b)
	if err != nil {
		err.Code = CodeShape
		return Routing{}, err
	}
	custom := Routing{Kind: RouteCustom, Custom: b}
	branch := Routing{Kind: RouteBranch, OnStatus: map[string]string{}}
	isBranch := len(routes) > 1
	isCustom := false
	for _, r := range routes {
		if r.to != "" && r.to != "out" && !known[r.to] {
			return Routing{}, refuse(CodeNodeNotFound, "the routing leads to the node %s, which the flow does not have", hostile.Quote(r.to))
		}
		isCustom = isCustom || r.condition != nil || r.onMessage
		isBranch = isBranch && !r.out && !r.reply && r.to != "" && r.to != "out"
	}
	switch {
	case len(routes) == 0:
		return Routing{Kind: RouteEnd}, nil
	case isCustom:
		return custom, nil
	case len(routes) == 1:
		switch r := routes[0]; {
		case r.reply:
			return Routing{Kind: RouteReply}, nil
		case r.status != nil:
			return custom, nil
		case r.out || r.to == "out":
			return Routing{Kind: RouteEnd}, nil
		case r.to != "":
			return Routing{Kind: RouteNext, Next: r.to}, nil
		}
		return custom, nil
	case !isBranch:
		return custom, nil
	}
	for _, r := range routes {
		switch {
		case r.status == nil && branch.Default != "":
			return Routing{}, refuse(CodeShape, "the routing has two routes for every status")
		case r.status == nil:
			branch.Default = r.to
			continue
		case branch.OnStatus[*r.status] != "":
			return Routing{}, refuse(CodeShape, "the routing has two routes for the status %s", hostile.Quote(*r.status))
		}
		branch.OnStatus[*r.status] = r.to
	}
	return branch, nil
}

// entry is one member of a YAML mapping.
type entry struct {
	name  string
	value ast.Node
}

// parseYAML gives the members of the one mapping that b must be.
//
// What the parser would do with hostile text is looked for in the tokens: it
// recurses without a bound and takes time with the square of what it nests.
func parseYAML(b []byte) (top []entry, wrong *Error) {
	switch {
	case len(b) > MaxText:
		return nil, refuse(CodeSize, "is larger than %d bytes", MaxText)
	case !utf8.Valid(b):
		return nil, refuse(CodeSyntax, "is not UTF-8")
	}
	tokens, err := scan(string(b))
	if err != nil {
		return nil, err
	}
	// The parser has panicked on malformed text before, in earlier versions; the
	// program must outlive the next one.
	defer func() {
		if recover() != nil {
			top, wrong = nil, refuse(CodeSyntax, "YAML: cannot be parsed")
		}
	}()
	file, failed := parser.Parse(tokens, 0)
	if failed != nil {
		return nil, yamlError(failed)
	}
	if len(file.Docs) != 1 {
		return nil, refuse(CodeShape, "YAML: must be one document, found %d", len(file.Docs))
	}
	if top, wrong = entries(file.Docs[0].Body); wrong != nil {
		wrong.Detail = "the flow: " + wrong.Detail
	}
	return top, wrong
}

// maxTabs bounds tabs times bytes: at each tab in quotes the scanner looks on to the
// end of the line.
const maxTabs = 1 << 28

// scan splits text into tokens and refuses what parseYAML must not see.
func scan(text string) (token.Tokens, *Error) {
	if strings.Count(text, "\t")*len(text) > maxTabs {
		return nil, refuse(CodeSize, "YAML: has too many tabs for its size")
	}
	// The scanner takes no bound; there are at most two tokens for each of these.
	marks := 0
	for i := range len(text) {
		if strings.IndexByte("{}[],-:|>!%?&*#'\"<.@`\r\n\t", text[i]) >= 0 {
			marks++
		}
	}
	if marks > MaxMarks {
		return nil, refuse(CodeSize, "YAML: has more than %d lines and punctuation marks", MaxMarks)
	}
	tokens := lexer.Tokenize(text)
	if len(tokens) > MaxTokens {
		return nil, refuse(CodeSize, "YAML: has more than %d tokens", MaxTokens)
	}
	brackets := 0    // and braces
	var blocks []int // their columns, outermost first
	for i, t := range tokens {
		block := 0
		switch t.Type {
		case token.AnchorType, token.AliasType, token.TagType, token.MergeKeyType, token.DirectiveType:
			return nil, refuse(CodeSyntax, "YAML: an anchor, alias, tag, merge key or directive, in line %d; flows have none", t.Position.Line)
		case token.SequenceStartType, token.MappingStartType:
			brackets++
		case token.SequenceEndType, token.MappingEndType:
			brackets = max(brackets-1, 0)
		case token.SequenceEntryType, token.MappingKeyType:
			block = t.Position.Column
		case token.MappingValueType: // the block began with the key
			if i > 0 {
				block = tokens[i-1].Position.Column
			}
		}
		if block > 0 && brackets == 0 {
			for len(blocks) > 0 && blocks[len(blocks)-1] > block {
				blocks = blocks[:len(blocks)-1]
			}
			if len(blocks) == 0 || blocks[len(blocks)-1] < block {
				blocks = append(blocks, block)
			}
		}
		if brackets > plan.MaxDepth || len(blocks) > plan.MaxDepth {
			return nil, refuse(CodeSyntax, "YAML: nests deeper than %d, in line %d", plan.MaxDepth, t.Position.Line)
		}
	}
	return tokens, nil
}

// yamlError says where the parser failed. Its own words quote the text, which may
// be a secret's, and are matched nowhere.
func yamlError(err error) *Error {
	var placed interface{ GetToken() *token.Token }
	if errors.As(err, &placed) {
		if t := placed.GetToken(); t != nil && t.Position != nil {
			return refuse(CodeSyntax, "YAML: is malformed, or has a key twice, in line %d column %d", t.Position.Line, t.Position.Column)
		}
	}
	return refuse(CodeSyntax, "YAML: is malformed")
}

// entries gives the members of a mapping in order.
func entries(n ast.Node) ([]entry, *Error) {
	var values []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		return nil, refuse(CodeShape, "must be a mapping, found %s", yamlKind(n))
	}
	out := make([]entry, 0, len(values))
	seen := make(map[string]bool, len(values))
	for _, v := range values {
		name := ""
		switch k := v.Key.(type) {
		case *ast.StringNode:
			name = k.Value
		case *ast.IntegerNode:
			name = k.Token.Value
		case *ast.BoolNode:
			name = k.Token.Value
		case *ast.NullNode:
			name = k.Token.Value
		case *ast.FloatNode:
			name = k.Token.Value
		default:
			return nil, refuse(CodeShape, "a key must be a word, found %s", yamlKind(v.Key))
		}
		if !utf8.ValidString(name) {
			return nil, refuse(CodeSyntax, "YAML: a key is not UTF-8")
		}
		if seen[name] {
			return nil, refuse(CodeSyntax, "YAML: has the key %s twice", hostile.Quote(name))
		}
		seen[name] = true
		out = append(out, entry{name, v.Value})
	}
	return out, nil
}

// toJSON gives the canonical JSON of a YAML value.
func toJSON(n ast.Node) (json.RawMessage, *Error) {
	v, err := toValue(n, plan.MaxDepth)
	if err != nil {
		return nil, err
	}
	return canonical(v), nil
}

func toValue(n ast.Node, depth int) (any, *Error) {
	switch n := n.(type) {
	case nil, *ast.NullNode:
		return nil, nil
	case *ast.BoolNode:
		return n.Value, nil
	case *ast.StringNode:
		return toText(n.Value)
	case *ast.LiteralNode:
		return toText(n.Value.Value)
	case *ast.IntegerNode:
		return n.Value, nil
	case *ast.FloatNode:
		if math.IsInf(n.Value, 0) || math.IsNaN(n.Value) {
			return nil, refuse(CodeShape, "a number that JSON does not have")
		}
		return json.Number(strconv.FormatFloat(n.Value, 'g', -1, 64)), nil
	case *ast.MappingNode, *ast.MappingValueNode:
		if depth == 0 {
			return nil, refuse(CodeSyntax, "YAML: nests deeper than %d", plan.MaxDepth)
		}
		list, err := entries(n)
		if err != nil {
			return nil, err
		}
		m := make(map[string]any, len(list))
		for _, e := range list {
			if m[e.name], err = toValue(e.value, depth-1); err != nil {
				return nil, err
			}
		}
		return m, nil
	case *ast.SequenceNode:
		if depth == 0 {
			return nil, refuse(CodeSyntax, "YAML: nests deeper than %d", plan.MaxDepth)
		}
		list := make([]any, len(n.Values))
		for i, e := range n.Values {
			var err *Error
			if list[i], err = toValue(e, depth-1); err != nil {
				return nil, err
			}
		}
		return list, nil
	}
	return nil, refuse(CodeShape, "a value must be a word, a number, a list or a mapping, found %s", yamlKind(n))
}

// toText refuses what escapes can make: "\xff".
func toText(s string) (any, *Error) {
	if !utf8.ValidString(s) {
		return nil, refuse(CodeSyntax, "YAML: a string is not UTF-8")
	}
	return s, nil
}

// yamlKind names a YAML value for people.
func yamlKind(n ast.Node) string {
	switch n.(type) {
	case nil, *ast.NullNode:
		return "nothing"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.StringNode, *ast.LiteralNode:
		return "a string"
	case *ast.BoolNode:
		return "a boolean"
	case *ast.IntegerNode, *ast.FloatNode:
		return "a number"
	}
	return "something that JSON does not have"
}
