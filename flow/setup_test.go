package flow_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greentic-ai/greentic-provision/flow"
	"github.com/greentic-ai/greentic-provision/plan"
)

func TestStepOf(t *testing.T) {
	for _, c := range []struct {
		id, operation string
		position, of  int
		want          plan.Step
	}{
		{"setup_default__emit_questions", "apply", 3, 4, plan.Collect},
		{"setup_default__collect", "text", 1, 5, plan.Collect},
		{"update__validate", "", 0, 1, plan.Validate},
		{"a__b__apply", "describe", 0, 1, plan.Apply},
		{"remove__summary", "", 0, 1, plan.Summary},
		{"collect", "", 3, 4, plan.Collect},
		{"validate", "", 3, 4, plan.Validate},
		{"apply", "", 3, 4, plan.Apply},
		{"summary", "", 0, 4, plan.Summary},
		{"x", "describe", 3, 4, plan.Collect},
		{"x", "emit", 3, 4, plan.Collect},
		{"x", "qa-spec", 3, 4, plan.Collect},
		{"x", "validate_answers", 3, 4, plan.Validate},
		{"x", "validate", 3, 4, plan.Validate},
		{"x", "apply-answers", 3, 4, plan.Apply},
		{"x", "apply", 3, 4, plan.Apply},
		{"x", "render_text", 0, 4, plan.Summary},
		{"x", "summary", 0, 4, plan.Summary},
		{"configure", "run", 0, 1, plan.Apply},
		{"a", "run", 0, 2, plan.Collect},
		{"b", "run", 1, 2, plan.Summary},
		{"b", "run", 1, 3, plan.Apply},
		{"a", "run", 0, 4, plan.Collect},
		{"b", "run", 1, 4, plan.Validate},
		{"c", "run", 2, 4, plan.Apply},
		{"d", "run", 3, 4, plan.Summary},
		{"preapply", "run", 0, 4, plan.Collect},
		{"a", "run", -1, 4, ""},
		{"a", "run", 4, 4, ""},
	} {
		got, ok := flow.StepOf(flow.Node{ID: c.id, Component: "c", Operation: c.operation}, c.position, c.of)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("%s/%s, %d of %d: got %q, %t, want %q", c.id, c.operation, c.position, c.of, got, ok, c.want)
		}
	}
	for component, want := range map[string]bool{"emit.log": false, "flow.call": false, "session.wait": false, "state.get": false, "provider.invoke": true, "component.exec": true} {
		if _, ok := flow.StepOf(flow.Node{ID: "n", Component: component}, 0, 1); ok != want {
			t.Errorf("%s: %t", component, ok)
		}
	}
	if step, _ := flow.StepOf(flow.Node{ID: "f__summary", Component: "emit.response"}, 0, 1); step != plan.Summary {
		t.Errorf("an emit that is called summary is %q", step)
	}
}

func TestSetupInput(t *testing.T) {
	got := flow.SetupInput(flow.SetupFacts{ID: "chat-demo", Env: "prod", Tenant: "acme", Team: "core", PublicBaseURL: "https://x.example",
		Answers: raw(`{"token":"t", "a":1}`), CorrelationID: "run-1"})
	want := `{"answers_json":"{\"a\":1,\"token\":\"t\"}","config":{"id":"chat-demo","public_base_url":"https://x.example"},"dry_run":false,"env":"prod","id":"chat-demo",` +
		`"msg":{"channel":"setup","correlation_id":"run-1","id":"chat-demo.setup","message":{"id":"chat-demo.setup_default__collect","text":"Collect inputs for setup_default."},` +
		`"metadata":{},"reply_scope":"","session_id":"setup","tenant_id":"acme","text":"Collect inputs for setup_default.","user_id":"operator"},` +
		`"payload":{"id":"chat-demo-setup_default","spec_ref":"assets/setup.yaml"},"public_base_url":"https://x.example","setup_answers":{"a":1,"token":"t"},"team":"core","tenant":"acme"}`
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Error(d)
	}
	var bare map[string]any
	if err := json.Unmarshal(flow.SetupInput(flow.SetupFacts{ID: "x", Flow: "update"}), &bare); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"setup_answers", "answers_json", "public_base_url"} {
		if _, ok := bare[name]; ok {
			t.Errorf("%s is there and was not given", name)
		}
	}
	if bare["dry_run"] != false || bare["env"] != "dev" || bare["tenant"] != "demo" || bare["team"] != "default" {
		t.Errorf("defaults %v", bare)
	}
	if msg := bare["msg"].(map[string]any); msg["correlation_id"] != "x.setup" || msg["text"] != "Collect inputs for update." {
		t.Errorf("message %v", msg)
	}
	if in := string(flow.SetupInput(flow.SetupFacts{Answers: raw(`{"public_base_url":"https://a"}`)})); !strings.Contains(in, `"config":{"id":"","public_base_url":"https://a"}`) {
		t.Errorf("the URL of the answers is not taken: %s", in)
	}
}

// message is what the generated flows hand to components that make text.
const message = `{"channel":"{{ state.input.msg.channel }}","correlation_id":"{{ state.input.msg.correlation_id }}","id":"{{ state.input.msg.id }}",
	"message":{"id":"{{ state.input.msg.message.id }}"},"metadata":"{{ state.input.msg.metadata }}","reply_scope":"{{ state.input.msg.reply_scope }}",
	"session_id":"{{ state.input.msg.session_id }}","tenant_id":"{{ state.input.msg.tenant_id }}","text":"{{ state.input.msg.text }}","user_id":"{{ state.input.msg.user_id }}"}`

// generated has the shape of the flows of the messaging packs of March 2026, with
// the actions of its apply.
func generated(t *testing.T, actions string) *flow.Graph {
	return parse(t, `{"id":"setup_default","kind":"job","entrypoints":{"default":"setup_default__emit_questions"},"nodes":{
		"setup_default__apply":{"component":{"id":"test.provision","operation":"apply"},
			"input":{"mapping":{"dry_run":"{{ state.input.dry_run }}","plan":{"actions":`+actions+`}}},"routing":{"next":{"node_id":"setup_default__summary"}}},
		"setup_default__collect":{"component":{"id":"test.qa","operation":"text"},
			"input":{"mapping":{"msg":`+message+`,"output_path":"text","template":"Collect.","wrap":true}},"routing":{"next":{"node_id":"setup_default__validate"}}},
		"setup_default__emit_questions":{"component":{"id":"test.qa","operation":"describe"},
			"input":{"mapping":{"id":"chat-setup_default","spec_ref":"assets/setup.yaml"}},"routing":{"next":{"node_id":"setup_default__collect"}}},
		"setup_default__summary":{"component":{"id":"test.qa","operation":"render_text"},"input":{"mapping":{"msg":`+message+`,"template":"Done."}},"routing":"end"},
		"setup_default__validate":{"component":{"id":"test.qa","operation":"validate_answers"},
			"input":{"mapping":{"answers_json":"{{ state.input.answers_json }}","spec_json":"{{ node.setup_default__emit_questions }}"}},
			"routing":{"next":{"node_id":"setup_default__apply"}}}}}`)
}

var errNoContract = errors.New("the component offers no contract that this program speaks")

// provision behaves like the provisioning component of the messaging packs: each
// action needs four strings, and it knows config.set and secrets.put.
func provision(input json.RawMessage) string {
	var in struct {
		Plan struct{ Actions []map[string]*string }
	}
	if err := json.Unmarshal(input, &in); err != nil {
		return `{"ok":false,"error":{"code":"INVALID_INPUT","message":"missing field plan"}}`
	}
	ok := true
	var out []string
	for _, a := range in.Plan.Actions {
		for _, name := range []string{"type", "scope", "key", "value"} {
			if a[name] == nil {
				return fmt.Sprintf(`{"ok":false,"error":{"code":"INVALID_INPUT","message":"missing field %s","retryable":false}}`, name)
			}
		}
		if kind := *a["type"]; kind == "config.set" || kind == "secrets.put" {
			out = append(out, fmt.Sprintf(`{"key":%q,"status":"ok","message":null}`, *a["key"]))
		} else {
			ok = false
			out = append(out, fmt.Sprintf(`{"key":%q,"status":"error","message":"unsupported action type %s"}`, *a["key"], kind))
		}
	}
	return fmt.Sprintf(`{"ok":%t,"dry_run":true,"actions":[%s],"summary":{}}`, ok, strings.Join(out, ","))
}

// TestSetupFlowsOfRealShapes: no published messaging pack has a setup flow that
// finishes. These have their shapes and end where they do.
func TestSetupFlowsOfRealShapes(t *testing.T) {
	const without = `[{"type":"store_config","scope":"provider","key":"config"},{"type":"store_secret","scope":"provider","key":"token"}]`
	const unknown = `[{"type":"store_config","scope":"provider","key":"config","value":"v"},{"type":"register_webhook","scope":"provider","key":"url","value":"v"}]`
	const known = `[{"type":"config.set","scope":"provider","key":"config","value":"v"}]`
	questions := func(inv flow.Invocation) string {
		switch inv.Operation {
		case "describe", "emit":
			return `{"id":"chat-setup_default","questions":[]}`
		case "validate_answers", "validate":
			return `{"ok":true}`
		}
		return `{"payload":{"text":"Done."}}`
	}
	single := func(component, operation, mapping string) *flow.Graph {
		return parse(t, `{"id":"setup_default","nodes":{"configure":{"component":{"id":"`+component+`","operation":"`+operation+`"},"input":{"mapping":`+mapping+`}}}}`)
	}
	four := func(operation, mapping string) *flow.Graph {
		component := `"component":{"id":"` + operation + `"}`
		if name, op, ok := strings.Cut(operation, "/"); ok {
			component = `"component":{"id":"` + name + `","operation":"` + op + `"}`
		}
		return parse(t, `{"id":"setup_default","nodes":[
			{"id":"collect",`+component+`,"input":{"mapping":`+mapping+`},"routing":{"Next":{"node_id":"validate"}}},
			{"id":"validate",`+component+`,"input":{"mapping":`+mapping+`},"routing":{"Next":{"node_id":"apply"}}},
			{"id":"apply",`+component+`,"input":{"mapping":`+mapping+`},"routing":{"Next":{"node_id":"summary"}}},
			{"id":"summary",`+component+`,"input":{"mapping":`+mapping+`},"routing":"End"}]}`)
	}
	state := parse(t, `{"id":"setup_default","nodes":{
		"emit":{"component":{"id":"test.qa","operation":"emit"},"routing":{"next":{"node_id":"text"}}},
		"text":{"component":{"id":"test.qa","operation":"text"},"routing":{"next":{"node_id":"write"}}},
		"write":{"component":{"id":"test.provision","operation":"apply"},"input":{"mapping":{"plan":{"actions":`+without+`}}},"routing":{"next":{"node_id":"done"}}},
		"done":{"component":{"id":"test.qa","operation":"text"},"routing":"end"}}}`)
	templates := func(input json.RawMessage) string {
		if string(input) != "" && !strings.Contains(string(input), `"config"`) {
			return `{"ok":false,"error":{"code":"InvalidInput","message":"missing field config"}}`
		}
		return `{"payload":{"text":"x"}}`
	}
	for name, c := range map[string]struct {
		graph   *flow.Graph
		empty   bool // the QA component offers nothing
		visited string
		code    flow.Code // "" for an error of Invoke, or for none
		words   []string
	}{
		"messaging, March 2026, the QA component is empty": {generated(t, without), true, "setup_default__emit_questions", "", []string{`flow "setup_default": node "setup_default__emit_questions": the component offers no contract`}},
		"the same with a QA component that works": {generated(t, without), false, "setup_default__emit_questions setup_default__collect setup_default__validate setup_default__apply",
			flow.CodeComponentFailed, []string{`node "setup_default__apply": component "test.provision" operation "apply"`, `"INVALID_INPUT": "missing field value"`}},
		"the same with values": {generated(t, unknown), false, "setup_default__emit_questions setup_default__collect setup_default__validate setup_default__apply",
			flow.CodeComponentFailed, []string{`"unsupported action type store_config", "unsupported action type register_webhook"`}},
		"the same with actions that there are":   {generated(t, known), false, "setup_default__emit_questions setup_default__collect setup_default__validate setup_default__apply setup_default__summary", "", nil},
		"state packs, the QA component is empty": {state, true, "emit", "", []string{`node "emit": the component offers no contract`}},
		"state packs with one that works":        {state, false, "emit text write", flow.CodeComponentFailed, []string{`node "write"`, "missing field value"}},
		"messaging-dummy, 10 March 2026": {single("test.dummy", "test.dummy", `{"op":"messaging.configure"}`), false, "configure",
			flow.CodeComponentFailed, []string{`component "test.dummy"`, `"unsupported op: test.dummy"`}},
		"messaging-dummy, 22 January 2026": {four("test.templates/text", `{"text":"prose with a plan in it"}`), false, "collect",
			flow.CodeComponentFailed, []string{`node "collect": component "test.templates" operation "text"`, `"InvalidInput": "missing field config"`}},
		"messaging-dummy, 16 January 2026": {four("test.templates/handlebars", `{"text":"x"}`), false, "collect",
			flow.CodeComponentFailed, []string{`"operation handlebars is not supported"`}},
		"messaging, 4 January 2026": {four("templates.handlebars", `{"template":"x"}`), false, "collect", "", []string{`node "collect": the pack has no component "templates"`}},
		"a flow without nodes":      {parse(t, `{"id":"setup_default","nodes":{}}`), false, "", flow.CodeNoStart, []string{`flow "setup_default" has no start node`}},
	} {
		t.Run(name, func(t *testing.T) {
			tr, err := flow.Run(t.Context(), flow.Config{
				Graphs: graphs(c.graph), Start: "setup_default", Lenient: true,
				Input: flow.SetupInput(flow.SetupFacts{ID: "chat", Answers: raw(`{"token":"t"}`)}),
				Invoke: func(_ context.Context, inv flow.Invocation) (json.RawMessage, error) {
					switch {
					case inv.Component == "test.qa" && c.empty:
						return nil, errNoContract
					case inv.Component == "test.qa":
						return raw(questions(inv)), nil
					case inv.Component == "test.provision":
						return raw(provision(inv.Input)), nil
					case inv.Component == "test.dummy":
						return raw(`{"ok":false,"message_id":null,"error":"unsupported op: ` + inv.Operation + `"}`), nil
					case inv.Component == "test.templates" && inv.Operation == "text":
						return raw(templates(inv.Input)), nil
					case inv.Component == "test.templates":
						return raw(`{"ok":false,"error":"operation ` + inv.Operation + ` is not supported"}`), nil
					}
					return nil, fmt.Errorf("the pack has no component %q", inv.Component)
				},
			})
			if visited(tr) != c.visited {
				t.Errorf("visited %q, want %q", visited(tr), c.visited)
			}
			if len(tr.Diagnostics) > 0 {
				t.Errorf("diagnostics %v", tr.Diagnostics)
			}
			switch {
			case c.code != "":
				wantCode(t, err, c.code, c.words...)
			case c.words == nil && err != nil:
				t.Error(err)
			case c.words != nil && (err == nil || !strings.Contains(err.Error(), c.words[0])):
				t.Errorf("got %v, want %s", err, c.words[0])
			}
		})
	}
}

// What upstream's operator does not give: a strict run fails of it, a lenient one
// warns.
func TestSetupFlowsNeedWhatTheOperatorDoesNotGive(t *testing.T) {
	operator := raw(`{"msg":{"channel":"setup","id":"chat.setup","message":{"id":"m"},"metadata":{},"reply_scope":"","session_id":"s","tenant_id":"demo","text":"t","user_id":"u"},"answers_json":"{}"}`)
	config := flow.Config{Graphs: graphs(generated(t, `[]`)), Start: "setup_default", Input: operator,
		Invoke: func(context.Context, flow.Invocation) (json.RawMessage, error) { return raw("{}"), nil }}
	_, err := flow.Run(t.Context(), config)
	wantCode(t, err, flow.CodeTemplatePath, "correlation_id", `node "setup_default__collect"`)
	config.Lenient = true
	tr, err := flow.Run(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{flow.WarnPathMissing, flow.WarnPathMissing, flow.WarnPathMissing} // correlation_id twice, dry_run
	if d := cmp.Diff(want, codes(tr.Diagnostics)); d != "" {
		t.Error(d)
	}
}
