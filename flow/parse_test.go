package flow_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greentic-ai/greentic-provision/flow"
)

func raw(s string) json.RawMessage { return json.RawMessage(s) }

func TestParseJSON(t *testing.T) {
	snake := `{"schema_version":"flow-v1","id":"setup_default","kind":"job","entrypoints":{"default":"z","x": {"b":1, "a":2}},
		"nodes":{
			"z":{"id":"z","component":{"id":"c.z","pack_alias":null,"operation":"describe"},"input":{"mapping":{"b": 1, "a": "{{x}}"}},"output":{"mapping":{}},"routing":{"next":{"node_id":"m"}},"telemetry":{}},
			"m":{"component":{"id":"c.m","operation":null},"routing":{"branch":{"on_status":{"ok":"a","error":"z"},"default":null}}},
			"b":{"component":"c.b","input":null,"routing":{"branch":{"default":"a"}}},
			"a":{"component":{"id":"c.a"},"input":{"mapping":null},"routing":{"custom":[{"to": "z"}]}},
			"r":{"component":"c.r","routing":"reply"},
			"e":{"component":"c.e","routing":"end"},
			"n":{"component":"c.n"}}}`
	want := &flow.Graph{ID: "setup_default", Kind: "job",
		Entrypoints: map[string]json.RawMessage{"default": raw(`"z"`), "x": raw(`{"a":2,"b":1}`)},
		Nodes: []flow.Node{
			{ID: "z", Component: "c.z", Operation: "describe", Mapping: raw(`{"a":"{{x}}","b":1}`), Routing: flow.Routing{Kind: flow.RouteNext, Next: "m"}},
			{ID: "m", Component: "c.m", Mapping: raw(`{}`), Routing: flow.Routing{Kind: flow.RouteBranch, OnStatus: map[string]string{"ok": "a", "error": "z"}}},
			{ID: "b", Component: "c.b", Mapping: raw(`{}`), Routing: flow.Routing{Kind: flow.RouteBranch, OnStatus: map[string]string{}, Default: "a"}},
			{ID: "a", Component: "c.a", Mapping: raw(`null`), Routing: flow.Routing{Kind: flow.RouteCustom, Custom: raw(`[{"to":"z"}]`)}},
			{ID: "r", Component: "c.r", Mapping: raw(`{}`), Routing: flow.Routing{Kind: flow.RouteReply}},
			{ID: "e", Component: "c.e", Mapping: raw(`{}`), Routing: flow.Routing{Kind: flow.RouteEnd}},
			{ID: "n", Component: "c.n", Mapping: raw(`{}`), Routing: flow.Routing{Kind: flow.RouteEnd}},
		}}
	if d := cmp.Diff(want, parse(t, snake)); d != "" {
		t.Errorf("snake_case (-want +got):\n%s", d)
	}
	pascal := `{"id":"f","kind":"events","nodes":[
		{"id":"z","component":{"id":"c"},"routing":{"Next":{"node_id":"a"}}},
		{"id":"a","component":{"id":"c"},"routing":"End"},
		{"id":"b","component":{"id":"c"},"routing":"Reply"},
		{"id":"c","component":{"id":"c"},"routing":{"Branch":{"on_status":{},"default":"z"}}},
		{"id":"d","component":{"id":"c"},"routing":{"Custom":[]}}]}`
	var kinds []string
	g := parse(t, pascal)
	for _, n := range g.Nodes {
		kinds = append(kinds, n.ID+" "+string(n.Routing.Kind))
	}
	if d := cmp.Diff([]string{"z next", "a end", "b reply", "c branch", "d custom"}, kinds); d != "" || g.Kind != "event" {
		t.Errorf("PascalCase (-want +got):\n%s, kind %s", d, g.Kind)
	}
}

func TestParseJSONRefuses(t *testing.T) {
	node := func(s string) string { return `{"id":"f","nodes":{"n":` + s + `}}` }
	for name, c := range map[string]struct {
		text string
		code flow.Code
		word string
	}{
		"nothing":                      {``, flow.CodeSyntax, "empty"},
		"an array":                     {`[]`, flow.CodeSyntax, "object"},
		"a name twice":                 {`{"id":"f","nodes":{"n":{"component":"c"},"n":{"component":"c"}}}`, flow.CodeSyntax, "duplicate"},
		"deep nesting":                 {`{"id":` + strings.Repeat("[", 100), flow.CodeSyntax, "deeper"},
		"a hostile name twice":         {"{\"\\u001b\\u0007\":1,\"\\u001b\\u0007\":2}", flow.CodeSyntax, `\x1b\a`},
		"too much":                     {`{"id":"` + strings.Repeat("x", flow.MaxText), flow.CodeSize, "larger"},
		"no id":                        {`{"nodes":{}}`, flow.CodeShape, "id of the flow"},
		"an empty id":                  {`{"id":"","nodes":{}}`, flow.CodeShape, "1 to 256"},
		"a long id":                    {`{"id":"` + strings.Repeat("x", 257) + `","nodes":{}}`, flow.CodeShape, "1 to 256"},
		"a kind of its own":            {`{"id":"f","kind":"dance","nodes":{}}`, flow.CodeShape, `"dance"`},
		"a kind that is a number":      {`{"id":"f","kind":1,"nodes":{}}`, flow.CodeShape, "a number"},
		"entrypoints in a list":        {`{"id":"f","entrypoints":[],"nodes":{}}`, flow.CodeShape, "entrypoints"},
		"no nodes":                     {`{"id":"f"}`, flow.CodeShape, "nodes must be"},
		"nodes that are a string":      {`{"id":"f","nodes":"n"}`, flow.CodeShape, "nodes must be"},
		"a node that is a list":        {node(`[]`), flow.CodeShape, `node "n": FLOW_SHAPE: a node must be`},
		"a node with another id":       {node(`{"id":"m","component":"c"}`), flow.CodeShape, `"m"`},
		"a node without a name":        {`{"id":"f","nodes":{"":{"id":"n","component":"c"}}}`, flow.CodeShape, `"n"`},
		"a node without an id":         {`{"id":"f","nodes":[{"component":"c"}]}`, flow.CodeShape, "id of a node"},
		"two nodes of one id":          {`{"id":"f","nodes":[{"id":"n","component":"c"},{"id":"n","component":"c"}]}`, flow.CodeShape, `node "n": FLOW_SHAPE: two nodes`},
		"no component":                 {node(`{}`), flow.CodeShape, "id of a component"},
		"a component that is a symbol": {node(`{"component":{"id":3}}`), flow.CodeShape, "a number"},
		"an operation of numbers":      {node(`{"component":{"id":"c","operation":1}}`), flow.CodeShape, "operation"},
		"an input that is a list":      {node(`{"component":"c","input":[]}`), flow.CodeShape, "input"},
		"a routing of its own":         {node(`{"component":"c","routing":"sideways"}`), flow.CodeShape, `"sideways"`},
		"a routing that is a list":     {node(`{"component":"c","routing":[]}`), flow.CodeShape, "routing"},
		"a routing of two":             {node(`{"component":"c","routing":{"next":{"node_id":"n"},"custom":[]}}`), flow.CodeShape, "one member"},
		"a routing of an unknown kind": {node(`{"component":"c","routing":{"NEXT":{"node_id":"n"}}}`), flow.CodeShape, `"NEXT"`},
		"a next without a node":        {node(`{"component":"c","routing":{"next":{}}}`), flow.CodeShape, "next node"},
		"a next that is a symbol":      {node(`{"component":"c","routing":{"Next":{"node_id":1}}}`), flow.CodeShape, "next node"},
		"a branch that is a list":      {node(`{"component":"c","routing":{"branch":[]}}`), flow.CodeShape, "branch"},
		"statuses in a list":           {node(`{"component":"c","routing":{"branch":{"on_status":[]}}}`), flow.CodeShape, "on_status"},
		"a status to a number":         {node(`{"component":"c","routing":{"branch":{"on_status":{"ok":1}}}}`), flow.CodeShape, "on_status"},
		"a default that is a number":   {node(`{"component":"c","routing":{"branch":{"default":1}}}`), flow.CodeShape, "default"},
	} {
		t.Run(name, func(t *testing.T) {
			g, err := flow.ParseJSON([]byte(c.text))
			wantCode(t, err, c.code, c.word)
			if g != nil {
				t.Error("a graph besides the error")
			}
		})
	}
}

func TestNodesAreBounded(t *testing.T) {
	nodes := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,{"id":"n%d","component":"c"}`, i)
		}
		return `{"id":"f","nodes":[` + b.String()[1:] + `]}`
	}
	if g := parse(t, nodes(flow.MaxNodes)); len(g.Nodes) != flow.MaxNodes {
		t.Errorf("%d nodes", len(g.Nodes))
	}
	_, err := flow.ParseJSON([]byte(nodes(flow.MaxNodes + 1)))
	wantCode(t, err, flow.CodeSize, "10000 nodes")
}

func TestParseYGTC(t *testing.T) {
	const text = `
id: demo            # comments are nothing
type: events
start: z
schema_version: 2
parameters: {}
tags: [a, b]
entrypoints:
  other: {x: 1}
x-generated-by: somebody
nodes:
  z:
    routing:
    - to: a
    describe:
      id: demo-setup
      list: [1, -2, 1.5, true, null, "yes", yes, ~]
      text: |
        two
        lines
      folded: >-
        one
        line
  a:
    text: {template: "{{ x }}"}
    in_map: {m: 1}
    telemetry: {span_name: s}
    routing: reply
  b:
    emit.log: hello
    operation: emit.response
    routing: out
  c:
    questions: {}
    operation: emit
    routing:
    - {to: a, status: ok}
    - {to: b}
  d:
    dw.agent:
    routing:
    - to: a
      condition: x == "1"
    - out: true
  e:
    one: 1
    routing:
    - status: ok
      to: a
  f:
    one: 1
    routing:
    - out: true
    - to: a
  g:
    one: 1
    routing: []
  h:
    one: 1
    routing: [{to: out}]
  i:
    one: 1
    routing: [{to: a, on_message: true}]
  1:
    one: {true: 1, null: 2, 1.5: 3, 0x1F: 0x1F}
`
	exec := "component.exec"
	want := &flow.Graph{ID: "demo", Kind: "event",
		Entrypoints: map[string]json.RawMessage{"default": raw(`"z"`), "other": raw(`{"x":1}`)},
		Nodes: []flow.Node{
			{ID: "z", Component: exec, Operation: "describe", Routing: flow.Routing{Kind: flow.RouteNext, Next: "a"},
				Mapping: raw(`{"folded":"one line","id":"demo-setup","list":[1,-2,1.5,true,null,"yes","yes",null],"text":"two\nlines\n"}`)},
			{ID: "a", Component: exec, Operation: "text", Mapping: raw(`{"m":1}`), Routing: flow.Routing{Kind: flow.RouteReply}},
			{ID: "b", Component: exec, Operation: "emit.response", Mapping: raw(`"hello"`), Routing: flow.Routing{Kind: flow.RouteEnd}},
			{ID: "c", Component: "questions", Operation: "emit", Mapping: raw(`{}`),
				Routing: flow.Routing{Kind: flow.RouteBranch, OnStatus: map[string]string{"ok": "a"}, Default: "b"}},
			{ID: "d", Component: "dw.agent", Mapping: raw(`null`), Routing: flow.Routing{Kind: flow.RouteCustom, Custom: raw(`[{"condition":"x == \"1\"","to":"a"},{"out":true}]`)}},
			{ID: "e", Component: exec, Operation: "one", Mapping: raw(`1`), Routing: flow.Routing{Kind: flow.RouteCustom, Custom: raw(`[{"status":"ok","to":"a"}]`)}},
			{ID: "f", Component: exec, Operation: "one", Mapping: raw(`1`), Routing: flow.Routing{Kind: flow.RouteCustom, Custom: raw(`[{"out":true},{"to":"a"}]`)}},
			{ID: "g", Component: exec, Operation: "one", Mapping: raw(`1`), Routing: flow.Routing{Kind: flow.RouteEnd}},
			{ID: "h", Component: exec, Operation: "one", Mapping: raw(`1`), Routing: flow.Routing{Kind: flow.RouteEnd}},
			{ID: "i", Component: exec, Operation: "one", Mapping: raw(`1`), Routing: flow.Routing{Kind: flow.RouteCustom, Custom: raw(`[{"on_message":true,"to":"a"}]`)}},
			{ID: "1", Component: exec, Operation: "one", Mapping: raw(`{"0x1F":31,"1.5":3,"null":2,"true":1}`), Routing: flow.Routing{Kind: flow.RouteEnd}},
		}}
	g, err := flow.ParseYGTC([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, g); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestYGTCStartsSomewhere(t *testing.T) {
	for text, want := range map[string]string{
		"id: f\ntype: job\nnodes: {b: {x: 1}, a: {x: 1}}":                                      `"b"`,
		"id: f\ntype: job\nnodes: {b: {x: 1}, in: {x: 1}}":                                     `"in"`,
		"id: f\ntype: job\nstart: a\nnodes: {b: {x: 1}, in: {x: 1}, a: {x: 1}}":                `"a"`,
		"id: f\ntype: job\nstart: a\nentrypoints: {default: b}\nnodes: {b: {x: 1}, a: {x: 1}}": `"b"`,
		"id: f\ntype: job\nnodes: {}":                                                          ``,
	} {
		g, err := flow.ParseYGTC([]byte(text))
		if err != nil || string(g.Entrypoints["default"]) != want {
			t.Errorf("%q: %s, %v", text, g.Entrypoints["default"], err)
		}
	}
}

func TestYGTCOfSchema1NamesComponents(t *testing.T) {
	g, err := flow.ParseYGTC([]byte("id: f\ntype: job\nnodes: {n: {templates.text: {a: 1}, operation: text}, m: {qa.process: 2}}"))
	if err != nil {
		t.Fatal(err)
	}
	want := []flow.Node{
		{ID: "n", Component: "templates.text", Operation: "text", Mapping: raw(`{"a":1}`), Routing: flow.Routing{Kind: flow.RouteEnd}},
		{ID: "m", Component: "qa.process", Mapping: raw(`2`), Routing: flow.Routing{Kind: flow.RouteEnd}},
	}
	if d := cmp.Diff(want, g.Nodes); d != "" {
		t.Error(d)
	}
}

// The flows of the secrets packs have names of their own beside component.exec.
func TestYGTCOfComponentExecMayHaveMore(t *testing.T) {
	for text, operation := range map[string]string{
		"id: f\ntype: job\nnodes:\n  n: {after: m, component.exec: {component: c}, redaction: all, operation: op}":       "op",
		"id: f\ntype: job\nschema_version: 2\nnodes:\n  n: {after: m, component.exec: {component: c}, operation: op}":    "op",
		"id: f\ntype: job\nschema_version: 2\nnodes:\n  n: {component.exec: {component: c, operation: other}, after: m}": "component.exec",
	} {
		g, err := flow.ParseYGTC([]byte(text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if n := g.Nodes[0]; n.Component != "component.exec" || n.Operation != operation || !strings.HasPrefix(string(n.Mapping), `{"component":"c"`) {
			t.Errorf("%q: %+v", text, n)
		}
	}
}

func TestParseYGTCRefuses(t *testing.T) {
	head := "id: f\ntype: job\nschema_version: 2\n"
	node := func(s string) string { return head + "nodes:\n  n: " + s + "\n  m: {x: 1}\n" }
	var wide strings.Builder
	for i := range 11_000 {
		fmt.Fprintf(&wide, "k%d: v\n", i)
	}
	var deep strings.Builder
	for i := range 100 {
		deep.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	for name, c := range map[string]struct {
		text string
		code flow.Code
		word string
	}{
		"nothing":                      {"", flow.CodeShape, "the flow: must be a mapping, found nothing"},
		"a list":                       {"- a", flow.CodeShape, "a list"},
		"two documents":                {"id: f\n---\nid: g\n", flow.CodeShape, "one document"},
		"too much":                     {strings.Repeat("#", flow.MaxText+1), flow.CodeSize, "larger"},
		"no UTF-8":                     {"id: \xff", flow.CodeSyntax, "UTF-8"},
		"no UTF-8 by an escape":        {"id: \"\\ud800\"\ntype: job\nnodes: {}\nx: \"\\xff\"", "", ""},
		"too many tokens":              {wide.String(), flow.CodeSize, "tokens"},
		"too many marks":               {"id: " + strings.Repeat("[", flow.MaxMarks+1), flow.CodeSize, "punctuation"},
		"many brackets":                {"id: " + strings.Repeat("[", 100), flow.CodeSyntax, "deeper than 64"},
		"many brackets, closed before": {"id: " + strings.Repeat("]", 100) + strings.Repeat("[", 100), flow.CodeSyntax, "YAML"},
		"many dashes":                  {strings.Repeat("- ", 100), flow.CodeSyntax, "deeper than 64"},
		"many question marks":          {strings.Repeat("? ", 100), flow.CodeSyntax, "deeper than 64"},
		"many levels":                  {deep.String(), flow.CodeSyntax, "deeper than 64, in line 65"},
		"an alias":                     {"id: &a f\nx: *a", flow.CodeSyntax, "alias"},
		"a bomb":                       {"a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]", flow.CodeSyntax, "line 1"},
		"a tag":                        {"id: !!binary aGk=", flow.CodeSyntax, "tag"},
		"a merge":                      {"id: f\n<<: {a: 1}", flow.CodeSyntax, "merge"},
		"a directive":                  {"%YAML 1.2\n---\nid: f", flow.CodeSyntax, "directive"},
		"a key twice":                  {"id: f\nid: g", flow.CodeSyntax, "twice, in line 2"},
		"a key twice, in a payload":    {node("{x: {a: 1, 'a': 2}}"), flow.CodeSyntax, "twice"},
		"a secret that is malformed":   {"id: \"s3cret", flow.CodeSyntax, "malformed"},
		"a key that is a list":         {head + "nodes:\n  ? [a]\n  : {x: 1}", flow.CodeSyntax, "line 6"},
		"infinity":                     {node("{x: .inf}"), flow.CodeShape, `node "n"`},
		"no number":                    {node("{x: .nan}"), flow.CodeShape, `node "n"`},
		"a huge number":                {node("{x: 1e999}"), "", ""},
		"no id":                        {"type: job\nnodes: {}", flow.CodeShape, "id of the flow"},
		"no type":                      {"id: f\nnodes: {}", flow.CodeShape, `flow "f": FLOW_SHAPE: the flow has no type`},
		"a type of its own":            {"id: f\ntype: dance\nnodes: {}", flow.CodeShape, `"dance"`},
		"a schema_version of words":    {"id: f\ntype: job\nschema_version: two\nnodes: {}", flow.CodeShape, "schema_version"},
		"entrypoints in a list":        {head + "entrypoints: []\nnodes: {}", flow.CodeShape, "entrypoints"},
		"no nodes":                     {head, flow.CodeShape, "nodes: must be a mapping, found nothing"},
		"a start that is not there":    {head + "start: x\nnodes: {}", flow.CodeNodeNotFound, `"x"`},
		"a start that is a number":     {head + "start: 1\nnodes: {}", flow.CodeShape, "start"},
		"a node that is a word":        {node("x"), flow.CodeShape, `node "n": FLOW_SHAPE: must be a mapping, found a string`},
		"a node without an operation":  {node("{routing: out, meta: 1}"), flow.CodeShape, "needs an operation"},
		"a node with two":              {node("{a: 1, b: 2}"), flow.CodeShape, `"a" and "b"`},
		"component.exec with two more": {node("{after: x, component.exec: {}, redaction: 1}"), flow.CodeShape, `"after" and "redaction"`},
		"an operation of numbers":      {node("{a: 1, operation: 2}"), flow.CodeShape, "operation must"},
		"a routing of its own":         {node("{a: 1, routing: sideways}"), flow.CodeShape, `"sideways"`},
		"a routing that is a number":   {node("{a: 1, routing: 1}"), flow.CodeShape, "array"},
		"a route that is a word":       {node("{a: 1, routing: [x]}"), flow.CodeShape, "route 0"},
		"a route to nowhere":           {node("{a: 1, routing: [{to: gone}]}"), flow.CodeNodeNotFound, `node "n": FLOW_NODE_NOT_FOUND: the routing leads to the node "gone"`},
		"a condition to nowhere":       {node("{a: 1, routing: [{to: gone, condition: x}]}"), flow.CodeNodeNotFound, `"gone"`},
		"two defaults":                 {node("{a: 1, routing: [{to: m}, {to: n}]}"), flow.CodeShape, "every status"},
		"a status twice":               {node("{a: 1, routing: [{to: m, status: s}, {to: n, status: s}]}"), flow.CodeShape, `"s"`},
	} {
		t.Run(name, func(t *testing.T) {
			g, err := flow.ParseYGTC([]byte(c.text))
			if c.code == "" { // the library may take or leave it; what it takes must be sound
				if err == nil {
					checkGraph(t, g)
				}
				return
			}
			wantCode(t, err, c.code, c.word)
			if g != nil || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("graph %v, error %v", g, err)
			}
		})
	}
}

// checkGraph holds a graph against what both parsers promise.
func checkGraph(t testing.TB, g *flow.Graph) {
	t.Helper()
	if g.ID == "" || len(g.ID) > flow.MaxID || len(g.Nodes) > flow.MaxNodes {
		t.Fatalf("flow %q with %d nodes", g.ID, len(g.Nodes))
	}
	seen := map[string]bool{}
	for _, n := range g.Nodes {
		if n.ID == "" || len(n.ID) > flow.MaxID || seen[n.ID] || n.Component == "" || !json.Valid(n.Mapping) || n.Routing.Kind == "" {
			t.Fatalf("node %+v", n)
		}
		seen[n.ID] = true
		if n.Routing.Kind == flow.RouteNext && n.Routing.Next == "" || n.Routing.Kind == flow.RouteCustom && !json.Valid(n.Routing.Custom) {
			t.Fatalf("routing %+v", n.Routing)
		}
	}
}

// At each tab in quotes the scanner looks through the rest of the line.
func TestTabsAreBounded(t *testing.T) {
	_, err := flow.ParseYGTC([]byte(`id: "` + strings.Repeat("a", 3<<20) + strings.Repeat("\t", 50_000) + `x"`))
	wantCode(t, err, flow.CodeSize, "tabs")
}
