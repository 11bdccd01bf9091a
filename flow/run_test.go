package flow_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greentic-ai/greentic-provision/flow"
	"github.com/greentic-ai/greentic-provision/plan"
)

// parse reads a flow of the tests.
func parse(t testing.TB, text string) *flow.Graph {
	t.Helper()
	g, err := flow.ParseJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// graphs are flows by id.
func graphs(list ...*flow.Graph) map[string]*flow.Graph {
	m := map[string]*flow.Graph{}
	for _, g := range list {
		m[g.ID] = g
	}
	return m
}

// invoker is Config.Invoke.
type invoker func(context.Context, flow.Invocation) (json.RawMessage, error)

// answers gives an invoker that answers by "component/operation" and notes the
// inputs it got.
func answers(inputs *[]string, by map[string]string) invoker {
	return func(_ context.Context, inv flow.Invocation) (json.RawMessage, error) {
		name := inv.Component + "/" + inv.Operation
		if inputs != nil {
			*inputs = append(*inputs, name+" "+string(inv.Input))
		}
		out, ok := by[name]
		if !ok {
			return nil, fmt.Errorf("no component %s", name)
		}
		return json.RawMessage(out), nil
	}
}

// wantCode fails unless err is an *flow.Error with code and all of words.
func wantCode(t *testing.T, err error, code flow.Code, words ...string) {
	t.Helper()
	e, ok := errors.AsType[*flow.Error](err)
	if !ok || e.Code != code {
		t.Fatalf("got %v, want %s", err, code)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
	checkMessage(t, err)
}

// checkMessage holds an error against what all of them promise.
func checkMessage(t *testing.T, err error) {
	t.Helper()
	m := err.Error()
	if m == "" || len(m) > 8<<10 || strings.ContainsFunc(m, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }) {
		t.Errorf("a message of %d bytes that is no clean line: %q", len(m), m)
	}
}

func codes(ds []plan.Diagnostic) []string {
	var out []string
	for _, d := range ds {
		out = append(out, d.Code)
	}
	return out
}

func visited(tr *flow.Trace) string {
	var out []string
	for _, v := range tr.Visits {
		out = append(out, v.Node.ID)
	}
	return strings.Join(out, " ")
}

const twoNodes = `{"id":"f","nodes":{
	"first":{"component":{"id":"a","operation":"one"},"input":{"mapping":{"n":"{{ entry.n }}"}},"routing":{"next":{"node_id":"second"}}},
	"second":{"component":{"id":"b","operation":"two"},"input":{"mapping":{"all":"{{ prev }}","kind":"{{ node.first.kind }}"}},"routing":"end"}}}`

func TestRunGoesFromNodeToNode(t *testing.T) {
	var inputs []string
	tr, err := flow.Run(t.Context(), flow.Config{
		Graphs: graphs(parse(t, twoNodes)), Start: "f", Input: json.RawMessage(`{"n":7}`),
		Invoke: answers(&inputs, map[string]string{"a/one": `{"kind":"x", "ok":true}`, "b/two": `[1]`}),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`a/one {"n":7}`, `b/two {"all":{"kind":"x","ok":true},"kind":"x"}`}
	if d := cmp.Diff(want, inputs); d != "" {
		t.Errorf("inputs (-want +got):\n%s", d)
	}
	if string(tr.Output) != "[1]" || visited(tr) != "first second" || len(tr.Diagnostics) != 0 {
		t.Errorf("output %s, visited %s, diagnostics %v", tr.Output, visited(tr), tr.Diagnostics)
	}
	if v := tr.Visits[0]; v.Position != 0 || v.Of != 2 || v.Flow != "f" || v.Component != "a" || v.Operation != "one" || v.Status != "ok" ||
		string(v.Output) != `{"kind":"x","ok":true}` {
		t.Errorf("visit %+v", v)
	}
}

func TestStart(t *testing.T) {
	nodes := `"nodes":{"z":{"component":"emit.log"},"a":{"component":"emit.log"}}`
	for name, c := range map[string]struct{ flow, visited string }{
		"the first node in the text":                {`{"id":"f",` + nodes + `}`, "z"},
		"the default entrypoint":                    {`{"id":"f","entrypoints":{"default":"a"},` + nodes + `}`, "a"},
		"a default that is no string is none":       {`{"id":"f","entrypoints":{"default":{"x":1}},` + nodes + `}`, "z"},
		"other entrypoints are not where it starts": {`{"id":"f","entrypoints":{"setup":"a"},` + nodes + `}`, "z"},
	} {
		t.Run(name, func(t *testing.T) {
			tr, err := flow.Run(t.Context(), flow.Config{Graphs: graphs(parse(t, c.flow)), Start: "f"})
			if err != nil || visited(tr) != c.visited {
				t.Errorf("visited %q, %v", visited(tr), err)
			}
		})
	}
}

// each case is a flow that cannot finish; "c/op" answers what the case says.
func TestFlowsThatCannotFinish(t *testing.T) {
	one := func(node string) string { return `{"id":"f","nodes":{"n":{` + node + `}}}` }
	call := `"component":{"id":"c","operation":"op"}`
	deep := strings.Repeat("[", 40) + `"{{entry.deep}}"` + strings.Repeat("]", 40)
	for name, c := range map[string]struct {
		flow, answer, input string
		code                flow.Code
		words               []string
	}{
		"no such flow": {flow: `{"id":"other","nodes":{}}`, code: flow.CodeNotFound, words: []string{`flow "f"`}},
		"no nodes":     {flow: `{"id":"f","nodes":{}}`, code: flow.CodeNoStart, words: []string{`flow "f" has no start node`}},
		"the default entrypoint is not there": {flow: `{"id":"f","entrypoints":{"default":"x"},"nodes":{"n":{` + call + `}}}`,
			code: flow.CodeNodeNotFound, words: []string{`"x"`, "default"}},
		"the next node is not there": {flow: one(call + `,"routing":{"next":{"node_id":"gone"}}`), code: flow.CodeNodeNotFound,
			words: []string{`node "n"`, `"gone"`}},
		"a node that routes to itself": {flow: one(call + `,"routing":{"next":{"node_id":"n"}}`), code: flow.CodeStepCap,
			words: []string{"1000", `through "n"`}},
		"a ring names its nodes and not what leads there": {
			flow: `{"id":"f","nodes":{"in":{` + call + `,"routing":{"next":{"node_id":"b"}}},"b":{` + call + `,"routing":{"next":{"node_id":"c"}}},"c":{` +
				call + `,"routing":{"next":{"node_id":"b"}}}}}`,
			code: flow.CodeStepCap, words: []string{`round through "c", "b"`}},
		"a flow that calls itself": {flow: one(`"component":"flow.call","input":{"mapping":{"flow_id":"f"}}`), code: flow.CodeCallDepth, words: []string{"8"}},
		"a call of no flow":        {flow: one(`"component":"flow.call","input":{"mapping":{"flow_id":"g"}}`), code: flow.CodeNotFound, words: []string{`node "n"`, `"g"`}},
		"a call without a flow":    {flow: one(`"component":"flow.call"`), code: flow.CodeMapping},
		"a wait":                   {flow: one(`"component":"session.wait","routing":{"next":{"node_id":"n"}}`), code: flow.CodeWait, words: []string{`node "n"`}},
		"questions of the flow compiler": {flow: one(`"component":"questions"`), code: flow.CodeUnsupportedNode,
			words: []string{`component "questions"`, "nothing implements"}},
		"template of the flow compiler": {flow: one(`"component":"template"`), code: flow.CodeUnsupportedNode},
		"an agent":                      {flow: one(`"component":{"id":"dw.agent","operation":"x"}`), code: flow.CodeUnsupportedNode},
		"mcp":                           {flow: one(`"component":"mcp"`), code: flow.CodeUnsupportedNode},
		"no operation":                  {flow: one(`"component":"c"`), code: flow.CodeNoOperation, words: []string{`component "c"`}},
		"no operation behind the dot":   {flow: one(`"component":"c."`), code: flow.CodeNoOperation},
		"component.exec of nothing": {flow: one(`"component":{"id":"component.exec","operation":"describe"}`), code: flow.CodeNoComponent,
			words: []string{`operation "describe"`}},
		"provider.invoke without an op": {flow: one(`"component":"provider.invoke","input":{"mapping":{"provider_id":"p"}}`), code: flow.CodeNoOperation},
		"provider.invoke of nobody":     {flow: one(`"component":"provider.invoke","input":{"mapping":{"op":"p"}}`), code: flow.CodeMapping},
		"provider.invoke with a pointer to nothing": {
			flow: one(`"component":"provider.invoke","input":{"mapping":{"op":"p","provider_id":"p","in_map":{"x":"/entry/nothing"}}}`),
			code: flow.CodeTemplatePath, words: []string{`"/entry/nothing"`, `"/x"`}},
		"state without a key":      {flow: one(`"component":"state.get"`), code: flow.CodeMapping},
		"a path that is not there": {flow: one(call + `,"input":{"mapping":{"a/b":["{{ entry.x }}"]}}`), code: flow.CodeTemplatePath, words: []string{`node "n"`, `"/a~1b/0"`, `{{ entry.x }}`}},
		"a filter": {flow: one(call + `,"input":{"mapping":"{{ entry.x | default(\"y\") }}"}`), code: flow.CodeTemplate,
			words: []string{"filter"}},
		"a mapping that renders too deep":  {flow: one(call + `,"input":{"mapping":` + deep + `}`), input: `{"deep":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, code: flow.CodeInputDepth},
		"an input that is no JSON":         {flow: one(call), input: `{"a":1,"a":2}`, code: flow.CodeMapping},
		"an output that is no JSON":        {flow: one(call), answer: `{"a":1,"a":2}`, code: flow.CodeOutput, words: []string{`node "n"`, `component "c" operation "op"`, "duplicate"}},
		"an output that is nothing":        {flow: one(call), answer: ` `, code: flow.CodeOutput},
		"an error that is an object":       {flow: one(call), answer: `{"ok":false,"error":{"code":"E_1","message":"no such plan"}}`, code: flow.CodeComponentFailed, words: []string{`"E_1": "no such plan"`}},
		"an error that is a code":          {flow: one(call), answer: `{"ok":false,"error":{"code":"E_1"}}`, code: flow.CodeComponentFailed, words: []string{`"E_1"`}},
		"an error that is a message":       {flow: one(call), answer: `{"ok":false,"error":{"message":"m"}}`, code: flow.CodeComponentFailed, words: []string{`"m"`}},
		"an error that is a string":        {flow: one(call), answer: `{"ok":false,"message_id":null,"error":"unsupported op: op"}`, code: flow.CodeComponentFailed, words: []string{`"unsupported op: op"`}},
		"failed actions without an error":  {flow: one(call), answer: `{"ok":false,"actions":[{"status":"ok","message":"fine"},{"status":"error","message":"unsupported action type x"}]}`, code: flow.CodeComponentFailed, words: []string{`reports "unsupported action type x"`}},
		"diagnostics without an error":     {flow: one(call), answer: `{"ok":false,"diagnostics":[{"severity":"error","message":"bad"},{"severity":"info","message":"hm"}]}`, code: flow.CodeComponentFailed, words: []string{`reports "bad"`}},
		"a message without an error":       {flow: one(call), answer: `{"ok":false,"message":"sorry"}`, code: flow.CodeComponentFailed, words: []string{`"sorry"`}},
		"a failure without a reason":       {flow: one(call), answer: `{"ok":false}`, code: flow.CodeComponentFailed, words: []string{"no reason"}},
		"a failure with a hostile error":   {flow: one(call), answer: `{"ok":false,"error":"\u001b[2J` + strings.Repeat("x", 4096) + `"}`, code: flow.CodeComponentFailed, words: []string{`\x1b[2J`, "…"}},
		"a failure before the default":     {flow: one(call + `,"routing":{"branch":{"on_status":{"ok":"n"},"default":"n"}}`), answer: `{"ok":false}`, code: flow.CodeComponentFailed},
		"a failure before a custom route":  {flow: one(call + `,"routing":{"custom":[{"to":"n"}]}`), answer: `{"ok":false}`, code: flow.CodeComponentFailed},
		"a status without a route":         {flow: one(call + `,"routing":{"branch":{"on_status":{"done":"n"}}}`), answer: `{"status":"new"}`, code: flow.CodeNoRoute, words: []string{`"new"`}},
		"custom routes of which none fits": {flow: one(call + `,"routing":{"custom":[{"to":"n","condition":"x == \"1\""},{"to":"n","status":"s"},{"to":"n","on_message":true}]}`), code: flow.CodeNoRoute, words: []string{"none of the 3"}},
		"a custom routing that is no list": {flow: one(call + `,"routing":{"custom":{"to":"n"}}`), code: flow.CodeRouting},
		"a route that is no object":        {flow: one(call + `,"routing":{"custom":["n"]}`), code: flow.CodeRouting},
		"a route to a number":              {flow: one(call + `,"routing":{"custom":[{"to":1}]}`), code: flow.CodeRouting, words: []string{`"to"`}},
		"a condition that is none":         {flow: one(call + `,"routing":{"custom":[{"to":"n","condition":"a > b"}]}`), code: flow.CodeRouting, words: []string{`"a > b"`}},
		"a custom route to nowhere":        {flow: one(call + `,"routing":{"custom":[{"to":"gone"}]}`), code: flow.CodeNodeNotFound, words: []string{`"gone"`}},
		"a control that is no object":      {flow: one(call), answer: `{"greentic_control":"x"}`, code: flow.CodeControl},
		"a control of another version":     {flow: one(call), answer: `{"greentic_control":{"v":2,"action":"jump","flow":"f"}}`, code: flow.CodeControl},
		"a control without an action":      {flow: one(call), answer: `{"greentic_control":{"v":1}}`, code: flow.CodeControl},
		"a jump to nowhere":                {flow: one(call), answer: `{"greentic_control":{"v":1,"action":"jump"}}`, code: flow.CodeControl},
		"a jump to a flow that is not there": {flow: one(call), answer: `{"greentic_control":{"v":1,"action":"jump","flow":"g"}}`, code: flow.CodeNotFound,
			words: []string{`node "n"`, `"g"`}},
		"a jump to a node that is not there": {flow: one(call), answer: `{"greentic_control":{"v":1,"action":"jump","flow":"f","node":"m"}}`, code: flow.CodeNodeNotFound,
			words: []string{`"m"`}},
		"a jump to a flow without nodes": {flow: one(call), answer: `{"greentic_control":{"v":1,"action":"jump","flow":"empty"}}`, code: flow.CodeNoStart,
			words: []string{`flow "empty" has no start node`}},
		"jumps without end":                {flow: one(call), answer: `{"greentic_control":{"v":1,"action":"jump","flow":"f"}}`, code: flow.CodeRedirects, words: []string{"3 times"}},
		"more jumps than the last allows":  {flow: one(call), answer: `{"greentic_control":{"v":1,"action":"jump","flow":"f","max_redirects":1}}`, code: flow.CodeRedirects, words: []string{"1 times"}},
		"max_redirects that are no number": {flow: one(call), answer: `{"greentic_control":{"v":1,"action":"jump","flow":"f","max_redirects":-1}}`, code: flow.CodeControl},
	} {
		t.Run(name, func(t *testing.T) {
			answer := c.answer
			if answer == "" {
				answer = "{}"
			}
			tr, err := flow.Run(t.Context(), flow.Config{
				Graphs: graphs(parse(t, c.flow), parse(t, `{"id":"empty","nodes":{}}`)), Start: "f", Input: json.RawMessage(c.input),
				Invoke: func(context.Context, flow.Invocation) (json.RawMessage, error) { return json.RawMessage(answer), nil },
			})
			wantCode(t, err, c.code, c.words...)
			if tr == nil || tr.Output != nil {
				t.Errorf("trace %+v", tr)
			}
		})
	}
}

// Graphs of other packages need not have gone through a parser.
func TestGraphsThatNoParserGave(t *testing.T) {
	node := flow.Node{ID: "n", Component: "c", Operation: "op"}
	with := func(change func(*flow.Node)) *flow.Graph {
		n := node
		change(&n)
		return &flow.Graph{ID: "f", Nodes: []flow.Node{n}}
	}
	for name, c := range map[string]struct {
		graph *flow.Graph
		code  flow.Code
	}{
		"two nodes of one id":           {&flow.Graph{ID: "f", Nodes: []flow.Node{node, node}}, flow.CodeShape},
		"a mapping that is no JSON":     {with(func(n *flow.Node) { n.Mapping = json.RawMessage(`{"a":1,"a":2}`) }), flow.CodeMapping},
		"a routing of no kind":          {with(func(n *flow.Node) { n.Routing.Kind = "sideways" }), flow.CodeRouting},
		"a custom routing of no JSON":   {with(func(n *flow.Node) { n.Routing = flow.Routing{Kind: flow.RouteCustom, Custom: json.RawMessage("[{")} }), flow.CodeRouting},
		"a branch to nowhere":           {with(func(n *flow.Node) { n.Routing = flow.Routing{Kind: flow.RouteBranch} }), flow.CodeNoRoute},
		"an entrypoint that is no JSON": {&flow.Graph{ID: "f", Entrypoints: map[string]json.RawMessage{"default": json.RawMessage(`"\x"`)}}, flow.CodeNoStart},
		"no graph":                      {nil, flow.CodeNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := flow.Run(t.Context(), flow.Config{Graphs: map[string]*flow.Graph{"f": c.graph}, Start: "f", Invoke: answers(nil, map[string]string{"c/op": "{}"})})
			wantCode(t, err, c.code)
		})
	}
}

func TestNodesSayWhatIsCalled(t *testing.T) {
	for name, c := range map[string]struct{ node, want string }{
		"the node's operation":             {`"component":{"id":"c","operation":"op"},"input":{"mapping":{"op":"other"}}`, `c/op {"op":"other"}`},
		"operation of the mapping":         {`"component":"a.c","input":{"mapping":{"operation":"op","x":1}}`, `a.c/op {"operation":"op","x":1}`},
		"op of the mapping, by a template": {`"component":"c","input":{"mapping":{"op":"{{ entry.what }}"}}`, `c/asked {"op":"asked"}`},
		"behind the last dot":              {`"component":"templates.handlebars","input":{"mapping":{"t":1}}`, `templates/handlebars {"t":1}`},
		"an operation that is blank":       {`"component":{"id":"a.b","operation":" "}`, `a/b {}`},
		"input alone":                      {`"component":{"id":"c","operation":"op"},"input":{"mapping":{"input":[1],"component":"c","config":null}}`, `c/op [1]`},
		"input beside others":              {`"component":{"id":"c","operation":"op"},"input":{"mapping":{"input":[1],"x":2}}`, `c/op {"input":[1],"x":2}`},
		"no mapping":                       {`"component":{"id":"c","operation":"op"}`, `c/op {}`},
		"a mapping of any type":            {`"component":{"id":"c","operation":"op"},"input":{"mapping":"{{entry.what}}"}`, `c/op "asked"`},
		"component.exec":                   {`"component":"component.exec","input":{"mapping":{"component":"c","operation":"op","input":{"x":1}}}`, `c/op {"x":1}`},
		"component.exec by component_ref":  {`"component":"component.exec","input":{"mapping":{"component_ref":"c","op":"op"}}`, `c/op {}`},
		"component.exec without input":     {`"component":"component.exec","input":{"mapping":{"component":"c","op":"op","x":1}}`, `c/op {"x":1}`},
		"component.exec with more":         {`"component":"component.exec","input":{"mapping":{"component":"c","op":"op","x":1,"input":2}}`, `c/op 2`},
		"component.exec as the operation":  {`"component":{"id":"c","operation":"component.exec"},"input":{"mapping":{"op":"op","input":2}}`, `c/op 2`},
		"questions that a pack carries":    {`"component":{"id":"questions","operation":"emit"}`, `questions/emit {}`},
		"a provider":                       {`"component":"provider.invoke","input":{"mapping":{"provider_type":"t","operation":"send","input":{"x":"{{entry.what}}"}}}`, `t/send {"x":"asked"}`},
		"a provider by id":                 {`"component":"provider.invoke","input":{"mapping":{"provider_id":"p","provider_type":"t","op":"send"}}`, `p/send null`},
		"a provider of schema 2":           {`"component":{"id":"component.exec","operation":"provider.invoke"},"input":{"mapping":{"provider_id":"p","op":"send"}}`, `p/send null`},
		"a provider with in_map": {`"component":"provider.invoke","input":{"mapping":{"provider_id":"p","op":"send","input":{"x":[7]},
			"in_map":{"a":"/input/x/0","b":"{{ input.x }}","c":"/entry/what","d":"/entry/{{entry.what}}"}}}`, `p/send {"a":7,"b":[7],"c":"asked","d":"/entry/asked"}`},
	} {
		t.Run(name, func(t *testing.T) {
			var got flow.Invocation
			_, err := flow.Run(t.Context(), flow.Config{
				Graphs: graphs(parse(t, `{"id":"f","nodes":{"n":{`+c.node+`}}}`)), Start: "f", Input: json.RawMessage(`{"what":"asked"}`),
				Invoke: func(_ context.Context, inv flow.Invocation) (json.RawMessage, error) {
					got = inv
					return json.RawMessage("{}"), nil
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			if s := got.Component + "/" + got.Operation + " " + string(got.Input); s != c.want {
				t.Errorf("got %s, want %s", s, c.want)
			}
			if got.Flow != "f" || got.Node.ID != "n" || got.Position != 0 || got.Of != 1 {
				t.Errorf("invocation %+v", got)
			}
		})
	}
}

func TestNodesThatCallNothing(t *testing.T) {
	for name, c := range map[string]struct{ flow, want string }{
		"what is emitted stands before the output": {`{"id":"f","nodes":{
			"e":{"component":"emit.log","input":{"mapping":{"payload":{"x":"{{entry.n}}"}}},"routing":{"next":{"node_id":"c"}}},
			"c":{"component":{"id":"c","operation":"op"}}}}`, `[{"x":7},{"from":"c"}]`},
		"emit by operation, input first": {`{"id":"f","nodes":{"e":{"component":{"id":"component.exec","operation":"emit.response"},"input":{"mapping":{"payload":1,"input":2}}}}}`, `[2,2]`},
		"an output that is a list goes on behind what is emitted": {`{"id":"f","nodes":{
			"e":{"component":"emit.log","input":{"mapping":1},"routing":{"next":{"node_id":"d"}}},
			"d":{"component":{"id":"d","operation":"op"},"input":{"mapping":[2,[3]]}}}}`, `[1,2,[3]]`},
		"no output, nothing emitted behind it": {`{"id":"f","nodes":{
			"e":{"component":"emit.log","input":{"mapping":1},"routing":{"next":{"node_id":"d"}}},
			"d":{"component":{"id":"d","operation":"op"},"input":{"mapping":null}}}}`, `[1]`},
		"emit of all of it": {`{"id":"f","nodes":{"e":{"component":"emit.log","input":{"mapping":["a"]}}}}`, `[["a"],"a"]`},
		"state lasts": {`{"id":"f","nodes":{
			"s":{"component":"state.set","input":{"mapping":{"key":"k","value":{"v":"{{entry.n}}"}}},"routing":{"next":{"node_id":"g"}}},
			"g":{"component":"state.get","input":{"mapping":{"key":"k"}}}}}`, `{"found":true,"key":"k","value":{"v":7}}`},
		"state that is not set":  {`{"id":"f","nodes":{"g":{"component":"state.get","input":{"mapping":{"key":"k"}}}}}`, `{"found":false,"key":"k","value":null}`},
		"state without a value":  {`{"id":"f","nodes":{"s":{"component":"state.set","input":{"mapping":{"key":"k"}}}}}`, `{"key":"k","value":null}`},
		"a provider's out_map":   {`{"id":"f","nodes":{"p":{"component":"provider.invoke","input":{"mapping":{"provider_id":"c","op":"op","out_map":{"a":"/result/from","b":"{{ result }}"}}}}}}`, `{"a":"c","b":{"from":"c"}}`},
		"a called flow's output": {`{"id":"f","nodes":{"n":{"component":"flow.call","input":{"mapping":{"flow":"sub","input":{"m":"{{entry.n}}"}}}}}}`, `{"from":"c"}`},
		"everything templates see": {`{"id":"f","nodes":{
			"c":{"component":{"id":"c","operation":"op"},"routing":{"next":{"node_id":"e"}}},
			"e":{"component":{"id":"d","operation":"op"},"input":{"mapping":{"this":"{{ this }}"}}}}}`,
			`{"this":{"entry":{"n":7},"in":{"n":7},"node":{"c":{"from":"c"}},"prev":{"from":"c"},"state":{"entry":{"n":7},"input":{"n":7},"nodes":{"c":{"meta":null,"ok":true,"payload":{"from":"c"}}},"redirect_count":0}}}`},
	} {
		t.Run(name, func(t *testing.T) {
			sub := parse(t, `{"id":"sub","nodes":{"s":{"component":{"id":"c","operation":"op"},"input":{"mapping":"{{entry.m}}"}}}}`)
			tr, err := flow.Run(t.Context(), flow.Config{
				Graphs: graphs(parse(t, c.flow), sub), Start: "f", Input: json.RawMessage(`{"n":7}`),
				Invoke: func(_ context.Context, inv flow.Invocation) (json.RawMessage, error) {
					if inv.Component == "d" {
						return inv.Input, nil
					}
					return json.RawMessage(`{"from":"c"}`), nil
				},
			})
			if err != nil || string(tr.Output) != c.want {
				t.Errorf("got %s, %v, want %s", tr.Output, err, c.want)
			}
		})
	}
}

func TestCalledFlowsAreVisitedFirst(t *testing.T) {
	g := parse(t, `{"id":"f","nodes":{"n":{"component":"flow.call","input":{"mapping":{"flow_id":"sub"}},"routing":{"next":{"node_id":"m"}}},"m":{"component":"emit.log"}}}`)
	sub := parse(t, `{"id":"sub","nodes":{"s":{"component":"c.op"}}}`)
	tr, err := flow.Run(t.Context(), flow.Config{Graphs: graphs(g, sub), Start: "f", Invoke: answers(nil, map[string]string{"c/op": "1"})})
	if err != nil || visited(tr) != "s n m" {
		t.Errorf("visited %q, %v", visited(tr), err)
	}
	// An error of the called flow is the called flow's.
	_, err = flow.Run(t.Context(), flow.Config{Graphs: graphs(g, sub), Start: "f", Invoke: answers(nil, map[string]string{"c/op": `{"ok":false}`})})
	wantCode(t, err, flow.CodeComponentFailed, `flow "sub": node "s"`)
}

func TestRouting(t *testing.T) {
	for name, c := range map[string]struct{ routing, answer, visited string }{
		"reply":                           {`"reply"`, `{}`, "n"},
		"a status":                        {`{"branch":{"on_status":{"created":"a","ok":"b"},"default":"b"}}`, `{"status":"created"}`, "n a"},
		"a status nobody asked for is ok": {`{"branch":{"on_status":{"ok":"a"},"default":"b"}}`, `{"status":"created"}`, "n a"},
		"no status is ok":                 {`{"branch":{"on_status":{"ok":"a"},"default":"b"}}`, `{}`, "n a"},
		"the default":                     {`{"Branch":{"on_status":{"x":"a"},"default":"b"}}`, `{}`, "n b"},
		"a failure that is handled":       {`{"branch":{"on_status":{"error":"a"},"default":"b"}}`, `{"ok":false,"error":"e"}`, "n a"},
		"a failure with a status":         {`{"branch":{"on_status":{"rejected":"a","error":"b"}}}`, `{"ok":false,"status":"rejected"}`, "n a"},
		"a failure, custom":               {`{"custom":[{"to":"b"},{"status":"error","to":"a"}]}`, `{"ok":false}`, "n a"},
		"custom, the first that fits":     {`{"custom":[{"to":"a","condition":"kind == \"x\""},{"to":"b"}]}`, `{"kind":"X"}`, "n a"},
		"custom, single quotes":           {`{"custom":[{"to":"a","condition":"kind=='x'"},{"to":"b"}]}`, `{"kind":"x"}`, "n a"},
		"custom, unequal":                 {`{"custom":[{"to":"a","condition":"kind != \"x\""},{"to":"b"}]}`, `{"kind":"x"}`, "n b"},
		"custom, nothing equals nothing":  {`{"custom":[{"to":"a","condition":"kind == \"\""},{"to":"b"}]}`, `{}`, "n b"},
		"custom, nothing is unequal":      {`{"custom":[{"to":"a","condition":"kind != \"x\""},{"to":"b"}]}`, `{}`, "n a"},
		"custom, a number":                {`{"custom":[{"to":"a","condition":"n == \"1\""},{"to":"b"}]}`, `{"n":1}`, "n a"},
		"custom, a path alone":            {`{"custom":[{"to":"a","condition":"yes"},{"to":"b"}]}`, `{"yes":true}`, "n a"},
		"custom, a path to false":         {`{"custom":[{"to":"a","condition":"yes"},{"to":"b"}]}`, `{"yes":0}`, "n b"},
		"custom, the entry":               {`{"custom":[{"to":"a","condition":"entry.n == 7"},{"to":"b"}]}`, `{"entry":{"n":8}}`, "n a"},
		"custom, the message":             {`{"custom":[{"to":"a","condition":"response.action == \"go\""},{"to":"b"}]}`, `{}`, "n a"},
		"custom, the message's text":      {`{"custom":[{"to":"a","condition":"response.text == \"HI\""},{"to":"b"}]}`, `{}`, "n a"},
		"custom, out":                     {`{"custom":[{"out":true},{"to":"b"}]}`, `{}`, "n"},
		"custom, to out":                  {`{"custom":[{"to":"out"},{"to":"b"}]}`, `{}`, "n"},
		"custom, reply":                   {`{"custom":[{"reply":true,"condition":null},{"to":"b"}]}`, `{}`, "n"},
		"custom, a status":                {`{"custom":[{"status":"x","to":"a"},{"status":"ok","to":"b"}]}`, `{}`, "n b"},
		"custom, on_message is not now":   {`{"custom":[{"on_message":true,"to":"a"},{"to":"b"}]}`, `{}`, "n b"},
	} {
		t.Run(name, func(t *testing.T) {
			g := parse(t, `{"id":"f","nodes":{"n":{"component":"c.op","routing":`+c.routing+`},"a":{"component":"emit.log"},"b":{"component":"emit.log"}}}`)
			tr, err := flow.Run(t.Context(), flow.Config{
				Graphs: graphs(g), Start: "f", Input: json.RawMessage(`{"n":7,"input":{"metadata":{"action":"Go"},"text":"hi"}}`),
				Invoke: answers(nil, map[string]string{"c/op": c.answer}),
			})
			if err != nil || visited(tr) != c.visited {
				t.Fatalf("visited %q, %v", visited(tr), err)
			}
			handled := strings.Contains(c.answer, "false")
			if got := len(tr.Diagnostics) == 1 && tr.Diagnostics[0].Code == flow.WarnNodeFailed; got != handled {
				t.Errorf("diagnostics %v", tr.Diagnostics)
			}
		})
	}
}

func TestFailuresThatAreHandledAreSeenByTheNextNode(t *testing.T) {
	g := parse(t, `{"id":"f","nodes":{
		"n":{"component":"provider.invoke","input":{"mapping":{"provider_id":"p","op":"o","err_map":{"why":"/result/error"},"out_map":"unused"}},"routing":{"branch":{"on_status":{"error":"a"}}}},
		"a":{"component":"emit.log","input":{"mapping":["{{ state.nodes.n.ok }}","{{ prev.why }}"]}}}}`)
	tr, err := flow.Run(t.Context(), flow.Config{Graphs: graphs(g), Start: "f", Invoke: answers(nil, map[string]string{"p/o": `{"ok":false,"error":"e"}`})})
	if err != nil || string(tr.Output) != `[[false,"e"],false,"e"]` || tr.Visits[0].Status != "error" {
		t.Errorf("output %s, visits %+v, %v", tr.Output, tr.Visits, err)
	}
}

func TestJump(t *testing.T) {
	g := parse(t, `{"id":"f","nodes":{"n":{"component":"c.op","routing":{"next":{"node_id":"never"}}},"never":{"component":"c.never"}}}`)
	h := parse(t, `{"id":"g","nodes":{"x":{"component":"c.never"},"y":{"component":"c.echo","input":{"mapping":
		["{{ prev.m }}","{{ node.n.m }}","{{ state.input.m }}","{{ state.nodes.n.meta }}","{{ entry.e }}","{{ state.redirect_count }}"]}}}}`)
	tr, err := flow.Run(t.Context(), flow.Config{
		Graphs: graphs(g, h), Start: "f", Input: json.RawMessage(`{"e":0}`),
		Invoke: func(_ context.Context, inv flow.Invocation) (json.RawMessage, error) {
			switch inv.Operation {
			case "op":
				return json.RawMessage(`{"greentic_control":{"v":1,"action":"jump","flow":" g ","node":"y","payload":{"m":1},"hints":{"h":2}}}`), nil
			case "echo":
				return inv.Input, nil
			}
			return nil, errors.New("a node that no route leads to")
		},
	})
	if err != nil || string(tr.Output) != `[1,1,1,{"h":2},0,1]` || visited(tr) != "n y" {
		t.Errorf("output %s, visited %q, %v", tr.Output, visited(tr), err)
	}
}

func TestRespond(t *testing.T) {
	g := parse(t, `{"id":"f","nodes":{"n":{"component":"c.op","routing":{"next":{"node_id":"never"}}},"never":{"component":"c.never"}}}`)
	tr, err := flow.Run(t.Context(), flow.Config{Graphs: graphs(g), Start: "f", Invoke: answers(nil, map[string]string{
		"c/op": `{"greentic_control":{"v":1,"action":"respond","text":"hi","card_cbor":"no"}}`})})
	if err != nil || string(tr.Output) != `[{"card_cbor":null,"needs_user":null,"text":"hi"}]` || len(tr.Diagnostics) > 0 {
		t.Errorf("output %s, %v, %v", tr.Output, tr.Diagnostics, err)
	}
}

func TestAComponentThatAsksTheUserEndsTheFlow(t *testing.T) {
	g := parse(t, `{"id":"f","nodes":{"n":{"component":"c.op"}}}`)
	_, err := flow.Run(t.Context(), flow.Config{Graphs: graphs(g), Start: "f", Invoke: answers(nil, map[string]string{
		"c/op": `{"greentic_control":{"v":1,"action":"respond","text":"hi","needs_user":true}}`})})
	var e *flow.Error
	if !errors.As(err, &e) || e.Code != flow.CodeWait || e.Node != "n" {
		t.Errorf("got %v", err)
	}
}

func TestConfigIsNotSwallowed(t *testing.T) {
	g := parse(t, `{"id":"f","nodes":{"n":{"component":"c.op","input":{"mapping":{"input":1,"config":{"x":1}}}}}}`)
	tr, err := flow.Run(t.Context(), flow.Config{Graphs: graphs(g), Start: "f", Invoke: answers(nil, map[string]string{"c/op": "1"})})
	if err != nil || len(tr.Diagnostics) != 1 || tr.Diagnostics[0].Code != flow.WarnConfigIgnored || !strings.Contains(tr.Diagnostics[0].Message, `node "n"`) {
		t.Errorf("%v, %v", tr.Diagnostics, err)
	}
}

var errSandbox = errors.New("the worker died")

func TestErrorsOfInvokeComeBack(t *testing.T) {
	sub := parse(t, `{"id":"f","nodes":{"n":{"component":"c.op"}}}`)
	g := parse(t, `{"id":"g","nodes":{"n":{"component":"flow.call","input":{"mapping":{"flow_id":"f"}}}}}`)
	tr, err := flow.Run(t.Context(), flow.Config{Graphs: graphs(g, sub), Start: "g",
		Invoke: func(context.Context, flow.Invocation) (json.RawMessage, error) { return nil, errSandbox }})
	if !errors.Is(err, errSandbox) || err.Error() != `flow "f": node "n": the worker died` {
		t.Errorf("got %v", err)
	}
	if _, ok := errors.AsType[*flow.Error](err); ok {
		t.Error("it looks like a fault of the flow")
	}
	if visited(tr) != "n n" || tr.Visits[0].Output != nil || tr.Visits[0].Status != "" {
		t.Errorf("visits %+v", tr.Visits)
	}
}

func TestCancellationIsSeenBetweenNodes(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	calls := 0
	tr, err := flow.Run(ctx, flow.Config{Graphs: graphs(parse(t, twoNodes)), Start: "f", Input: json.RawMessage(`{"n":1}`),
		Invoke: func(context.Context, flow.Invocation) (json.RawMessage, error) {
			calls++
			cancel(errSandbox)
			return json.RawMessage(`{"kind":1}`), nil
		}})
	if !errors.Is(err, errSandbox) || calls != 1 || visited(tr) != "first" {
		t.Errorf("%d calls, visited %q, %v", calls, visited(tr), err)
	}
}

func TestBounds(t *testing.T) {
	loop := `{"id":"f","nodes":{"n":{"component":"c.op","routing":{"next":{"node_id":"n"}}}}}`
	run := func(text, answer string, change func(*flow.Config)) (*flow.Trace, error) {
		c := flow.Config{Graphs: graphs(parse(t, text)), Start: "f", Input: json.RawMessage(`{"s":"` + strings.Repeat("s", 1000) + `"}`),
			Invoke: answers(nil, map[string]string{"c/op": answer})}
		if change != nil {
			change(&c)
		}
		return flow.Run(t.Context(), c)
	}
	t.Run("nodes", func(t *testing.T) {
		tr, err := run(loop, "1", func(c *flow.Config) { c.MaxVisits = 5 })
		wantCode(t, err, flow.CodeStepCap, "5 nodes")
		if len(tr.Visits) != 5 {
			t.Errorf("%d visits", len(tr.Visits))
		}
	})
	t.Run("nodes in a line", func(t *testing.T) {
		_, err := run(twoNodes, "1", func(c *flow.Config) {
			c.MaxVisits = 1
			c.Lenient = true
			c.Invoke = func(context.Context, flow.Invocation) (json.RawMessage, error) { return json.RawMessage("1"), nil }
		})
		wantCode(t, err, flow.CodeStepCap, `node "second"`)
	})
	t.Run("outputs", func(t *testing.T) {
		tr, err := run(loop, `"`+strings.Repeat("x", 98)+`"`, func(c *flow.Config) { c.MaxOutputs = 1000 })
		wantCode(t, err, flow.CodeOutputSize, "1000 bytes")
		if len(tr.Visits) != 11 {
			t.Errorf("%d visits", len(tr.Visits))
		}
	})
	t.Run("outputs by default", func(t *testing.T) {
		_, err := run(loop, `"`+strings.Repeat("x", 1<<20)+`"`, nil)
		wantCode(t, err, flow.CodeOutputSize)
	})
	t.Run("outputs that are longer when they are canonical", func(t *testing.T) {
		_, err := run(loop, "[1e20,1e20,1e20]", func(c *flow.Config) { c.MaxOutputs = 60 })
		wantCode(t, err, flow.CodeOutputSize, "60 bytes")
	})
	t.Run("names in messages", func(t *testing.T) {
		long := strings.Repeat("é", 100)
		var list []string
		for range 12 {
			list = append(list, `{"message":"`+long+`"}`)
		}
		_, err := run(`{"id":"f","nodes":{"n":{"component":"c.op"}}}`, `{"ok":false,"errors":[`+strings.Join(list, ",")+`]}`, nil)
		wantCode(t, err, flow.CodeComponentFailed, `"`+strings.Repeat("é", 60)+`"…`, "and 4 more")
	})
	t.Run("values", func(t *testing.T) {
		_, err := run(loop, "[0"+strings.Repeat(",0", flow.MaxValues/8)+"]", nil)
		wantCode(t, err, flow.CodeOutputSize, "values")
	})
	t.Run("state", func(t *testing.T) {
		_, err := run(`{"id":"f","nodes":{"n":{"component":"state.set","input":{"mapping":{"key":"k","value":"{{entry.s}}"}},"routing":{"next":{"node_id":"n"}}}}}`, "", func(c *flow.Config) { c.MaxOutputs = 10_000 })
		wantCode(t, err, flow.CodeOutputSize)
	})
	t.Run("inputs", func(t *testing.T) {
		_, err := run(`{"id":"f","nodes":{"n":{"component":"c.op","input":{"mapping":["{{entry.s}}","{{entry.s}}","{{entry.s}}"]}}}}`, "1", func(c *flow.Config) { c.MaxInput = 3000 })
		wantCode(t, err, flow.CodeInputSize, "3000", `mapping "/2"`)
	})
	t.Run("inputs of text", func(t *testing.T) {
		_, err := run(`{"id":"f","nodes":{"n":{"component":"c.op","input":{"mapping":"{{entry.s}}{{entry.s}}{{entry.s}}"}}}}`, "1", func(c *flow.Config) { c.MaxInput = 2999 })
		wantCode(t, err, flow.CodeInputSize, "2999")
	})
	t.Run("mappings", func(t *testing.T) {
		_, err := run(`{"id":"f","nodes":{"n":{"component":"c.op","input":{"mapping":"xxxx"}}}}`, "1", func(c *flow.Config) { c.MaxInput = 5 })
		wantCode(t, err, flow.CodeInputSize, "5")
	})
	t.Run("loops in templates", func(t *testing.T) {
		text := strings.Repeat("{{#each @root.entry.list}}", 5) + strings.Repeat("{{/each}}", 5)
		_, err := run(`{"id":"f","nodes":{"n":{"component":"c.op","input":{"mapping":"`+text+`"}}}}`, "1",
			func(c *flow.Config) { c.Input = json.RawMessage(`{"list":[0` + strings.Repeat(",0", 100) + `]}`) })
		wantCode(t, err, flow.CodeTemplateSteps)
	})
	t.Run("warnings", func(t *testing.T) {
		list := `"{{nothing}}"` + strings.Repeat(`,"{{nothing}}"`, flow.MaxWarnings+4)
		tr, err := run(`{"id":"f","nodes":{"n":{"component":"c.op","input":{"mapping":[`+list+`]}}}}`, "1", func(c *flow.Config) { c.Lenient = true })
		if err != nil {
			t.Fatal(err)
		}
		last := tr.Diagnostics[len(tr.Diagnostics)-1]
		if len(tr.Diagnostics) != flow.MaxWarnings+1 || last.Code != flow.WarnMore || !strings.Contains(last.Message, "5 more") {
			t.Errorf("%d diagnostics, the last %v", len(tr.Diagnostics), last)
		}
	})
}

// allocated is how many bytes f takes, the garbage included.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A loop names a tag in as many warnings as it has rounds, and a routing may look at
// one large value a hundred thousand times.
func TestLargePartsAreNotCopiedInLoops(t *testing.T) {
	long := strings.Repeat("a.", 50_000) + "a"
	list := "[" + strings.Repeat("1,", 2000) + "1]"
	g := parse(t, `{"id":"f","nodes":{"n":{"component":"c","input":{"mapping":{"operation":"o","text":"{{#each in.x}}{{`+long+`}}{{/each}}"}},"routing":"end"}}}`)
	invoke := answers(nil, map[string]string{"c/o": list})
	if n := allocated(func() {
		tr, err := flow.Run(t.Context(), flow.Config{Graphs: graphs(g), Start: "f", Input: json.RawMessage(`{"x":` + list + `}`), Lenient: true, Invoke: invoke})
		if err != nil || len(tr.Visits) != 1 {
			t.Error(err)
		}
	}); n > 64<<20 {
		t.Errorf("the template took %d MiB", n>>20)
	}
	routes := strings.Repeat(`{"condition":"list == \"x\"","to":"n"},`, 5000) + `{"condition":"this[\"list\"] != x","out":true}`
	g = parse(t, `{"id":"f","nodes":{"n":{"component":"c","input":{"mapping":{"operation":"o"}},"routing":{"custom":[`+routes+`]}}}}`)
	invoke = answers(nil, map[string]string{"c/o": `{"list":` + list + `}`})
	if n := allocated(func() {
		tr, err := flow.Run(t.Context(), flow.Config{Graphs: graphs(g), Start: "f", Invoke: invoke})
		if err != nil || len(tr.Visits) != 1 {
			t.Error(err)
		}
	}); n > 32<<20 {
		t.Errorf("the routing took %d MiB", n>>20)
	}
}
