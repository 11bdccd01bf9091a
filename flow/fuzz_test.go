package flow_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greentic-ai/greentic-provision/flow"
)

// checkParse holds what a parser gives against its promises. times is how many bytes
// it may take for one of the text.
func checkParse(t *testing.T, parse func([]byte) (*flow.Graph, error), b []byte, times int) {
	var g *flow.Graph
	var err error
	if took := allocated(func() { g, err = parse(b) }); took > uint64(len(b)*times+1<<20) {
		t.Errorf("%d bytes allocate %d", len(b), took)
	}
	if (g == nil) == (err == nil) {
		t.Fatalf("graph %v, error %v", g, err)
	}
	if err != nil {
		if e, ok := errors.AsType[*flow.Error](err); !ok || e.Code == "" || e.Detail == "" {
			t.Fatalf("%T: %v", err, err)
		}
		checkMessage(t, err)
		return
	}
	checkGraph(t, g)
	if again, err := parse(b); err != nil || !cmp.Equal(g, again) {
		t.Fatalf("the second time: %v", err)
	}
}

func FuzzParseJSON(f *testing.F) {
	for _, s := range []string{twoNodes, `{"id":"f","nodes":[{"id":"n","component":{"id":"c"},"routing":{"Branch":{"on_status":{"ok":"n"},"default":null}}}]}`,
		`{"id":"f","kind":"job","entrypoints":{"default":"n"},"nodes":{"n":{"component":"c","routing":{"custom":[{"to":"n","condition":"x"}]}}}}`, `{`, `[]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) { checkParse(t, flow.ParseJSON, b, 400) })
}

func FuzzParseYGTC(f *testing.F) {
	for _, s := range []string{
		"id: f\ntype: job\nschema_version: 2\nstart: a\nnodes:\n  a:\n    describe: {x: [1, 2.5, ~]}\n    routing:\n    - {to: b, status: ok}\n    - to: a\n  b:\n    text: |\n      hello\n    routing: out\n",
		"id: f\ntype: http\nnodes: {n: {c: \"{{ x }}\", operation: op, in_map: {}}}", "a: &a [*a]", "? [a]\n: b", "- - - a", "\"", "a: >\n\tb", "%YAML", "---\n...\n---", "{a: [b}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) { checkParse(t, flow.ParseYGTC, b, 1500) })
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"{{entry.n}}", "a {{#each entry.list as |v i|}}{{i}}{{~v~}}{{else}}x{{/each}}", "{{#if entry.yes}}\n{{else if prev}}\n{{/if}}", `\{{a}} {{entry["a.b"]}}`,
		"{{!-- x --}}{{{entry.s}}}", "{{#with entry.o}}{{../entry.n}}{{@root.entry}}{{/with}}", "{{", "{{}}", "{{a[", "{{#each entry.o}}{{@key}}{{/each}}"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, s string, lenient bool) { checkRendering(t, t.Context(), s, lenient) })
}

// FuzzRun runs any flow with components that answer with any text: it ends within
// its bounds.
func FuzzRun(f *testing.F) {
	for _, s := range []string{twoNodes,
		`{"id":"f","nodes":{"n":{"component":"flow.call","input":{"mapping":{"flow_id":"f"}}}}}`,
		`{"id":"f","nodes":{"n":{"component":"provider.invoke","input":{"mapping":{"provider_id":"p","op":"o","in_map":"/entry","out_map":["/result"]}},"routing":{"next":{"node_id":"n"}}}}}`,
		`{"id":"f","nodes":{"n":{"component":"c.op","routing":{"branch":{"on_status":{"ok":"m","error":"n"}}}},"m":{"component":"emit.x","input":{"mapping":"{{node.n}} {{#each prev}}{{@key}}{{/each}}"},"routing":{"custom":[{"to":"n","condition":"a == \"b\""},{"out":true}]}}}}`,
		`{"id":"f","nodes":{"n":{"component":"state.set","input":{"mapping":{"key":"k","value":"{{state}}"}},"routing":{"next":{"node_id":"n"}}}}}`} {
		f.Add([]byte(s), []byte(`{"ok":true,"a":"b"}`), true)
		f.Add([]byte(s), []byte(`{"ok":false,"error":{"code":"c"}}`), false)
		f.Add([]byte(s), []byte(`{"greentic_control":{"v":1,"action":"jump","flow":"f","payload":[1]}}`), true)
	}
	f.Fuzz(func(t *testing.T, text, answer []byte, lenient bool) {
		g, err := flow.ParseJSON(text)
		if err != nil {
			return
		}
		c := flow.Config{Graphs: graphs(g), Start: g.ID, Input: json.RawMessage(`{"n":1}`), Lenient: lenient, MaxVisits: 50, MaxInput: 4096, MaxOutputs: 16 << 10,
			Invoke: func(_ context.Context, inv flow.Invocation) (json.RawMessage, error) {
				if inv.Component == "" || inv.Operation == "" || !json.Valid(inv.Input) || len(inv.Input) > 4096 {
					t.Errorf("invocation %+v", inv)
				}
				return answer, nil
			}}
		tr, err := flow.Run(t.Context(), c)
		if tr == nil || len(tr.Visits) > 50 || len(tr.Diagnostics) > flow.MaxWarnings+1 || (tr.Output == nil) == (err == nil) {
			t.Fatalf("trace %+v, error %v", tr, err)
		}
		total := 0
		for _, v := range tr.Visits {
			total += len(v.Output)
		}
		if total > 16<<10 {
			t.Fatalf("outputs of %d bytes", total)
		}
		if err != nil {
			if e, ok := errors.AsType[*flow.Error](err); !ok || e.Flow == "" || e.Code == "" || e.Detail == "" {
				t.Fatalf("%T: %v", err, err)
			}
			checkMessage(t, err)
			return
		}
		if !json.Valid(tr.Output) {
			t.Fatalf("output %q", tr.Output)
		}
	})
}
