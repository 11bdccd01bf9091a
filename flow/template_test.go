package flow_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/greentic-ai/greentic-provision/flow"
	"github.com/greentic-ai/greentic-provision/plan"
)

// render renders a mapping: what the one node of a flow hands to its component.
func render(ctx context.Context, mapping, entry json.RawMessage, lenient bool) (json.RawMessage, []plan.Diagnostic, error) {
	var got json.RawMessage
	g := &flow.Graph{ID: "f", Nodes: []flow.Node{{ID: "n", Component: "c", Operation: "op", Mapping: mapping}}}
	tr, err := flow.Run(ctx, flow.Config{Graphs: graphs(g), Start: "f", Input: entry, Lenient: lenient,
		Invoke: func(_ context.Context, inv flow.Invocation) (json.RawMessage, error) {
			got = inv.Input
			return json.RawMessage("null"), nil
		}})
	return got, tr.Diagnostics, err
}

func quoted(t testing.TB, s string) json.RawMessage {
	t.Helper()
	b, err := plan.Canonical(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const entry = `{"n":7,"big":18446744073709551615,"f":1.5,"yes":true,"no":false,"nil":null,"s":"<a & b>","empty":"","list":["x","y"],
	"none":[],"o":{"b":2,"a":1},"a.b":"dotted","a b":"spaced","this":"self","deep":{"list":[{"k":"v"}]},"t":"{{ entry.n }}","people":[{"name":"Ann","tags":["p","q"]},{"name":"Bo","tags":[]}]}`

func TestExactExpressionsInsertValues(t *testing.T) {
	for in, want := range map[string]string{
		"{{entry.n}}":                     `7`,
		"  {{ entry.n }}\n":               `7`,
		"{{{entry.n}}}":                   `7`,
		"{{entry.big}}":                   `18446744073709551615`,
		"{{in.yes}}":                      `true`,
		"{{entry.nil}}":                   `null`,
		"{{entry.s}}":                     `"<a & b>"`,
		"{{entry.list}}":                  `["x","y"]`,
		"{{entry.o}}":                     `{"a":1,"b":2}`,
		"{{entry.list[1]}}":               `"y"`,
		"{{entry.list.1}}":                `"y"`,
		"{{entry.list.[1]}}":              `"y"`,
		`{{entry["a.b"]}}`:                `"dotted"`,
		`{{entry['a b']}}`:                `"spaced"`,
		`{{entry[ n ]}}`:                  `7`,
		`{{["entry"].deep["list"][0].k}}`: `"v"`,
		"{{this.entry.n}}":                `7`,
		"{{entry.this}}":                  `"self"`,
		"{{prev}}":                        `{}`,
		"{{node}}":                        `{}`,
		"{{state.input.n}}":               `7`,
		"{{entry.t}}":                     `"{{ entry.n }}"`, // what is inserted is no template
		"entry.n":                         `"entry.n"`,
		"{entry.n}":                       `"{entry.n}"`,
		"/entry/n":                        `"/entry/n"`, // a pointer for provider.invoke only
	} {
		got, ds, err := render(t.Context(), quoted(t, in), json.RawMessage(entry), false)
		if err != nil || string(got) != want || len(ds) > 0 {
			t.Errorf("%s: got %s, %v, %v; want %s", in, got, ds, err, want)
		}
	}
}

func TestExactExpressionsThatNameNothing(t *testing.T) {
	for _, in := range []string{"{{nothing}}", "{{entry.n.x}}", "{{entry.list[2]}}", "{{entry.list.01}}", "{{entry.list.-1}}", "{{entry.list.x}}", `{{entry[""]}}`, "{{entry.s.length}}"} {
		_, _, err := render(t.Context(), quoted(t, in), json.RawMessage(entry), false)
		wantCode(t, err, flow.CodeTemplatePath, `node "n"`)
		got, ds, err := render(t.Context(), quoted(t, in), json.RawMessage(entry), true)
		if err != nil || string(got) != `""` {
			t.Errorf("%s, lenient: got %s, %v", in, got, err)
		}
		if len(ds) != 1 || ds[0].Code != flow.WarnPathMissing || ds[0].Severity != plan.Warn || !strings.Contains(ds[0].Message, `flow "f": node "n"`) {
			t.Errorf("%s, lenient: %v", in, ds)
		}
	}
}

func TestAMissingPathIsReportedOncePerPlace(t *testing.T) {
	g := parse(t, `{"id":"f","nodes":{"n":{"component":"c.op","input":{"mapping":{"a":"{{x}}","b":["{{x}}","{{x}} {{y}}"]}},"routing":{"custom":[{"condition":"state.again","to":"n"},{"condition":"again","to":"n"},{"out":true}]}}}}`)
	rounds := 0
	tr, err := flow.Run(t.Context(), flow.Config{Graphs: graphs(g), Start: "f", Lenient: true,
		Invoke: func(context.Context, flow.Invocation) (json.RawMessage, error) {
			rounds++
			return fmt.Appendf(nil, `{"again":%t}`, rounds < 3), nil
		}})
	if err != nil || rounds != 3 {
		t.Fatal(rounds, err)
	}
	var places []string
	for _, d := range tr.Diagnostics {
		_, place, _ := strings.Cut(d.Message, `mapping "`)
		place, _, _ = strings.Cut(place, `"`)
		places = append(places, place)
	}
	if d := cmp.Diff([]string{"/a", "/b/0", "/b/1"}, places); d != "" {
		t.Error(d)
	}
}

func TestTextIsHandlebars(t *testing.T) {
	for in, want := range map[string]string{
		// Upstream takes these for one path each, which is never there.
		"{{entry.n}} and {{entry.n}}":            "7 and 7",
		"{{#if entry.yes}}on{{/if}}":             "on",
		"n={{entry.n}}":                          "n=7",
		"{{ entry.n }}.":                         "7.",
		" {{entry.s}}!":                          " <a & b>!",
		"{{{entry.s}}}{{&entry.s}}":              "<a & b><a & b>",
		"{{entry.f}} {{entry.yes}} {{entry.no}}": "1.5 true false",
		"[{{entry.nil}}]":                        "[]",
		"[{{entry.list}}]":                       "[[x, y]]",
		"[{{entry.o}}]":                          "[[object]]",
		`{{entry.["a b"]}}.`:                     "spaced.",
		"a{{! nothing }}b":                       "ab",
		"a{{!-- {{entry.n}} --}}b":               "ab",
		"a {{~!-- x --~}} b":                     "ab",
		"a {{~entry.n~}} b":                      "a7b",
		`\{{entry.n}} {{entry.n}}`:               "{{entry.n}} 7",
		"{{entry.t}}.":                           "{{ entry.n }}.",
		"{{#if entry.none}}a{{else}}b{{/if}}":    "b",
		"{{#if entry.empty}}a{{^}}b{{/if}}":      "b",
		"{{#if nothing}}a{{/if}}.":               ".",
		"{{#if entry.no}}a{{else if entry.n}}b{{else}}c{{/if}}":                                                "b",
		"{{#if entry.no}}a{{else if entry.no}}b{{else}}c{{/if}}":                                               "c",
		"{{#unless entry.no}}a{{/unless}}":                                                                     "a",
		"{{#unless entry.o}}a{{else}}b{{/unless}}":                                                             "b",
		"{{#with entry.o}}{{a}}{{../entry.n}}{{/with}}":                                                        "17",
		"{{#with nothing}}a{{else}}b{{/with}}":                                                                 "b",
		"{{#with entry.o as |x|}}{{x.b}}{{/with}}":                                                             "2",
		"{{#each entry.list}}{{@index}}{{this}}{{#unless @last}},{{/unless}}{{/each}}":                         "0x,1y",
		"{{#each entry.list}}{{#if @first}}>{{/if}}{{.}}{{/each}}":                                             ">xy",
		"{{#each entry.o}}{{@key}}={{this}};{{/each}}":                                                         "a=1;b=2;",
		"{{#each entry.none}}a{{else}}b{{/each}}":                                                              "b",
		"{{#each entry.n}}a{{else}}b{{/each}}":                                                                 "b",
		"{{#each entry.list as |v i|}}{{i}}{{v}}{{/each}}":                                                     "0x1y",
		"{{#each entry.o as |v k|}}{{k}}{{v}}{{/each}}":                                                        "a1b2",
		"{{#each entry.people}}{{name}}:{{#each tags}}{{this}}{{../name}}{{@root.entry.n}}{{/each}} {{/each}}": "Ann:pAnn7qAnn7 Bo: ",
		"{{#each entry.people}}{{./name}}{{this.name}}{{/each}}":                                               "AnnAnnBoBo",
		"{{#each entry.people}}{{#if tags}}{{@index}}{{/if}}{{/each}}":                                         "0",
		"list:\n{{#each entry.list}}\n- {{this}}\n{{/each}}\nend":                                              "list:\n- x\n- y\nend",
		"{{#if entry.yes}}\n  on\n{{else}}\n  off\n{{/if}}\n.":                                                 "  on\n.",
		"a\n  {{! alone }}\nb":                                                                                 "a\nb",
		"{{#if entry.yes}} a {{/if}} b":                                                                        " a  b",
	} {
		got, ds, err := render(t.Context(), quoted(t, in), json.RawMessage(entry), false)
		if err != nil || string(got) != string(quoted(t, want)) || len(ds) > 0 {
			t.Errorf("%q: got %s, %v, %v; want %q", in, got, ds, err, want)
		}
	}
}

func TestTextThatNamesNothing(t *testing.T) {
	for in, want := range map[string]string{
		"[{{nothing}}]":                          "[]",
		"[{{../entry}}]":                         "[]",
		"[{{@index}}]":                           "[]",
		"[{{entry.n.x}}]":                        "[]",
		"{{#each entry.list}}{{@key}}{{/each}}.": ".",
	} {
		for _, lenient := range []bool{true, false} {
			got, ds, err := render(t.Context(), quoted(t, in), json.RawMessage(entry), lenient)
			if err != nil || string(got) != string(quoted(t, want)) {
				t.Errorf("%q: got %s, %v; want %q", in, got, err, want)
			}
			if d := cmp.Diff([]string{flow.WarnPathMissing}, codes(ds)); d != "" {
				t.Errorf("%q: %s", in, d)
			}
		}
	}
}

func TestTemplatesThatAreNone(t *testing.T) {
	for in, word := range map[string]string{
		"{{":                               "never closed",
		"a {{entry.n":                      "never closed",
		"{{{entry.n}} a":                   "never closed",
		"{{!-- a":                          "never closed",
		"{{}}":                             "empty",
		"a {{ }}":                          "empty",
		"{{#if entry.n}}":                  `"if" is never closed`,
		"{{/if}}":                          "not open",
		"{{#if a}}{{/each}}":               `"/each" closes the block "if"`,
		"{{else}} a":                       "outside",
		"{{#if a}}{{else}}{{else}}{{/if}}": "behind its else",
		"{{#if}}{{/if}}":                   "empty",
		"{{#if a as |x|}}{{/if}}":          "no sense",
		"{{#each a as |x y z|}}{{/each}}":  "no sense",
		"{{#each a as |x}}{{/each}}":       "no sense",
		"{{#log entry}}{{/log}}":           `"log" is not known`,
		"{{#if a}}{{else each b}}{{/if}} {{else log}}": "outside",
		"{{> part}}":                        "partial",
		"{{log entry.n}}":                   "helper",
		"{{(lookup a b)}}":                  "helper",
		"{{a | b}}":                         "filter",
		"{{a..b}}":                          "no path",
		"{{.a.}}":                           "no path",
		"{{a[}}":                            "no path",
		"{{a['x}}":                          "no path",
		"{{a[b c]}}":                        "helper",
		"{{a[]}}":                           "no path",
		"{{a[0]b}}":                         "no path",
		"{{@hook}}":                         "not known",
		"{{@root.}}":                        "no path",
		"{{^a}}{{/a}}":                      "no path",
		strings.Repeat("{{#if entry}}", 40): "deeper than 32",
	} {
		_, _, err := render(t.Context(), quoted(t, in), json.RawMessage(entry), true)
		e := ""
		if err != nil {
			e = err.Error()
			checkMessage(t, err)
		}
		if !strings.Contains(e, flow.CodeTemplate+": mapping \"\": ") || !strings.Contains(e, word) {
			t.Errorf("%q: got %q, want %q", in, e, word)
		}
	}
}

func TestNamesAreNoTemplates(t *testing.T) {
	got, _, err := render(t.Context(), json.RawMessage(`{"{{entry.n}}":["{{entry.n}}",1,true,null]}`), json.RawMessage(entry), false)
	if want := `{"{{entry.n}}":[7,1,true,null]}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestEntryOfNullIsAnObject(t *testing.T) {
	for _, in := range []string{"", "null"} {
		got, _, err := render(t.Context(), quoted(t, "{{entry}}"), json.RawMessage(in), false)
		if err != nil || string(got) != "{}" {
			t.Errorf("%q: %s, %v", in, got, err)
		}
	}
}

// drawTemplate draws text that is full of what the parser knows.
func drawTemplate() *rapid.Generator[string] {
	piece := rapid.SampledFrom([]string{"{{", "}}", "{{{", "}}}", "{", "}", "~", "!", "!--", "--", "#if ", "#each ", "#with ", "#unless ", "/if", "/each", "/with",
		"else", " as |", "|", "entry", "prev", ".", "..", "/", "../", "[", "]", "0", "'", "\"", "@index", "@key", "@root", "this", "list", "\n", " ", "\\", "é", "&", ">"})
	return rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(piece, 0, 30).Draw(t, "pieces"), "")
	})
}

// TestRenderingHoldsItsPromises: it gives JSON within the bound or an *Error, for
// any text, the same each time; text without braces is itself.
func TestRenderingHoldsItsPromises(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text := drawTemplate().Draw(rt, "template")
		lenient := rapid.Bool().Draw(rt, "lenient")
		checkRendering(rt, rt.Context(), text, lenient)
	})
}

type tester interface {
	Helper()
	Fatalf(string, ...any)
}

func checkRendering(t tester, ctx context.Context, text string, lenient bool) {
	t.Helper()
	const bound = 4096
	mapping, err := plan.Canonical(map[string]any{"x": text})
	if err != nil || len(mapping) > bound {
		return
	}
	in := func() (json.RawMessage, error) {
		var got json.RawMessage
		g := &flow.Graph{ID: "f", Nodes: []flow.Node{{ID: "n", Component: "c", Operation: "op", Mapping: mapping}}}
		_, err := flow.Run(ctx, flow.Config{Graphs: map[string]*flow.Graph{"f": g}, Start: "f", Input: json.RawMessage(entry), Lenient: lenient, MaxInput: bound,
			Invoke: func(_ context.Context, inv flow.Invocation) (json.RawMessage, error) {
				got = inv.Input
				return json.RawMessage("null"), nil
			}})
		return got, err
	}
	got, err := in()
	if (got == nil) == (err == nil) {
		t.Fatalf("%q: %s and %v", text, got, err)
	}
	if err != nil {
		if e, ok := err.(*flow.Error); !ok || e.Code == "" || e.Detail == "" || e.Node != "n" {
			t.Fatalf("%q: %T: %v", text, err, err)
		}
		return
	}
	again, err := in()
	if err != nil || string(again) != string(got) {
		t.Fatalf("%q: %s, then %s, %v", text, got, again, err)
	}
	if canonical, err := plan.ReadObject(got); err != nil || string(canonical) != string(got) || len(got) > bound {
		t.Fatalf("%q: %s: %v", text, got, err)
	}
	if !strings.Contains(text, "{{") && string(got) != string(mapping) {
		t.Fatalf("%q became %s", text, got)
	}
}
