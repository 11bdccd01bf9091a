package engine

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/greentic-ai/greentic-provision/component"
	"github.com/greentic-ai/greentic-provision/contract"
	"github.com/greentic-ai/greentic-provision/flow"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
)

// call is a node that asks the component "harbour" and goes on to the next.
func call(id, operation, mapping, next string) flow.Node {
	n := flow.Node{ID: id, Component: "harbour", Operation: operation, Mapping: json.RawMessage(mapping)}
	if next != "" {
		n.Routing = flow.Routing{Kind: flow.RouteNext, Next: next}
	}
	return n
}

// says is a component's answer to each operation, an envelope of an invocation.
type says map[string]string

func (w says) answer(_ *script, c Call) Reply {
	var asked struct{ Op string }
	if err := json.Unmarshal(c.Request, &asked); err != nil {
		panic(err)
	}
	said, told := w[asked.Op]
	if !told {
		said = put(`{}`)
	}
	return ok(said)
}

// put is the envelope of an output.
func put(output string) string { return `{"ok": true, "output": ` + output + `, "error": null}` }

// through runs a flow whose nodes ask one component.
func through(cfg *Config, s *script, words says, nodes ...flow.Node) {
	b := blueprint()
	b.Components = []pack.Component{{ID: "harbour", Path: "components/harbour.wasm", Layer: component.LayerComponent, SHA256: b.Components[0].SHA256}}
	b.Ways = []pack.Way{{Via: pack.ViaFlow, Component: -1, Why: "the graph of the flow", Nodes: map[string]int{"harbour": 0, "absent": -1}}}
	b.Graphs = map[string]*flow.Graph{"setup_default": {ID: "setup_default", Nodes: nodes}}
	cfg.Blueprint = b
	s.spoken = map[int]Examined{0: speaks("greentic:component/node@0.6", contract.ActInvoke)}
	s.answer = words.answer
}

func runThrough(t *testing.T, words says, change func(*Config, *script), nodes ...flow.Node) (*Result, *script) {
	t.Helper()
	s := newScript()
	cfg := config(s)
	through(&cfg, s, words, nodes...)
	if change != nil {
		change(&cfg, s)
	}
	res, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	sound(t, res)
	return res, s
}

var flowScenarios = []scenario{
	{name: "flow", exit: ExitOK, steps: 4, change: func(cfg *Config, s *script) {
		through(cfg, s, says{
			"qa-spec":          put(`{"questions": ["from"], "seen": "hunter2-answer"}`),
			"validate-answers": put(`{"fine": true}`),
			"apply": put(`{"plan": {"config_patch": {"from": "+15551234567"}, "secrets_patch": {"set": {"TOKEN": {"redacted": false, "value": "hunter2-made"}}, "delete": []}},
				"diagnostics": [{"severity": "warn", "code": "TIDE_LOW", "message": "with hunter2-made"}]}`),
			"render": put(`"done with hunter2-made"`),
		},
			call("setup_default__emit_questions", "qa-spec", `{"mode": "setup", "dry": "{{ entry.dry_run }}"}`, "check"),
			call("check", "validate-answers", `{"answers": "{{ entry.setup_answers }}", "seen": "{{ node.setup_default__emit_questions.seen }}"}`, "write"),
			call("write", "apply", `{"nobody": "{{ entry.nobody }}", "text": "{{ entry.env }} of {{ entry.nowhere }}"}`, "tell"),
			call("tell", "render", `{"made": "{{ node.write.plan.secrets_patch.set.TOKEN.value }}"}`, ""))
		s.host[plan.Apply] = hostScript{
			patch:   plan.Patch{SubscriptionOps: []plan.SubscriptionOp{{Op: "upsert"}}},
			effects: []plan.Effect{{Step: plan.Apply, Via: plan.ViaHostCall, Op: "subscriptions.upsert", Target: "subscription_ops[0]"}},
		}
	}},
	{name: "flow_actions", exit: ExitOK, steps: 1, change: func(cfg *Config, s *script) {
		through(cfg, s, says{"apply": put(`{"ok": true, "dry_run": true, "actions": [
			{"action_type": "config.set", "scope": "provider", "key": "url", "status": "ok", "message": null},
			{"action_type": "secrets.put", "scope": "provider", "key": "token", "status": "ok", "message": "put hunter2-put"},
			{"action_type": "secrets.put", "scope": "provider", "key": "failed", "status": "error", "message": "hunter2-failed"},
			{"action_type": "config.set", "scope": "other", "key": "url", "status": "ok", "message": null},
			{"action_type": "config.set", "scope": "provider", "key": "not_asked_for", "status": "ok", "value": "https://evil.invalid"},
			{"action_type": "webhook.register", "scope": "provider", "key": "url", "status": "error", "message": "unsupported"}, "noise"],
			"summary": {"config_keys_written": ["url"]}}`)},
			call("provision", "apply", `{"plan": {"actions": [
				{"type": "config.set", "scope": "provider", "key": "url", "value": "{{ entry.public_base_url }}"},
				{"type": "secrets.put", "scope": "provider", "key": "token", "value": "hunter2-put"},
				{"type": "secrets.put", "scope": "provider", "key": "failed", "value": "hunter2-failed"},
				{"type": "config.set", "scope": "provider", "key": "number", "value": 5}]}, "dry_run": "{{ entry.dry_run }}"}`, ""))
	}},
	{name: "flow_failed", exit: ExitDiagnostics, steps: 2, change: func(cfg *Config, s *script) {
		through(cfg, s, says{"validate": put(`{"ok": false, "error": {"code": "E_TOKEN", "message": "hunter2-answer is bad"}, "plan": {"notes": ["not to be merged"]}}`)},
			call("collect", "", `{"op": "collect"}`, "validate"), call("validate", "validate", `null`, "apply"), call("apply", "apply", `null`, ""))
		s.host[plan.Validate] = hostScript{patch: plan.Patch{Notes: []string{"nor this"}}, effects: []plan.Effect{{Target: "notes[0]"}}}
	}},
	{name: "flow_handled", exit: ExitOK, steps: 2, change: func(cfg *Config, s *script) {
		try := call("apply", "apply", `null`, "")
		try.Routing = flow.Routing{Kind: flow.RouteBranch, OnStatus: map[string]string{"error": "summary"}, Default: "summary"}
		through(cfg, s, says{"apply": put(`{"ok": false, "error": "hunter2-answer", "plan": {"notes": ["not to be merged"],
			"secrets_patch": {"set": {"K": {"redacted": false, "value": "hunter2-made"}}}}}`), "tell": put(`{"plan": {"notes": ["told"]}}`)},
			try, call("summary", "tell", `{"why": "{{ node.apply.error }}"}`, ""))
		s.host[plan.Apply] = hostScript{patch: plan.Patch{Notes: []string{"nor this"}}, effects: []plan.Effect{{Target: "notes[0]"}}}
	}},
}

// TestNodes: what a component is given, and as which steps nodes count.
func TestNodes(t *testing.T) {
	team := "deck"
	res, s := runThrough(t, says{"second": put(`["a", 1]`)}, func(cfg *Config, _ *script) { cfg.Inputs.Tenant.Team, cfg.Locale = &team, "de" },
		call("a", "first", `{"input": {"x": 1}, "operation": "first"}`, "b"),
		call("b", "second", `{"url": "{{ in.public_base_url }}"}`, "c"),
		call("c", "third", `{"was": "{{ prev }}", "text": "{{#each prev}}{{this}};{{/each}}"}`, "d"),
		call("d", "fourth", `"{{ entry.setup_answers.config.from }}"`, ""))
	want := []string{
		`{"context":{"env":"prod","flow_id":"setup_default","locale":"de","node_id":"a","provider_id":"events.sms","step_id":"a","team":"deck"},"input":{"x":1},"op":"first"}`,
		`{"context":{"env":"prod","flow_id":"setup_default","locale":"de","node_id":"b","provider_id":"events.sms","step_id":"b","team":"deck"},"input":{"url":"https://example.invalid"},"op":"second"}`,
		`{"context":{"env":"prod","flow_id":"setup_default","locale":"de","node_id":"c","provider_id":"events.sms","step_id":"c","team":"deck"},"input":{"text":"a;1;","was":["a",1]},"op":"third"}`,
		`{"context":{"env":"prod","flow_id":"setup_default","locale":"de","node_id":"d","provider_id":"events.sms","step_id":"d","team":"deck"},"input":"+15551234567","op":"fourth"}`,
	}
	seeds := map[[32]byte]bool{}
	for i, c := range s.calls {
		if string(c.Request) != want[i] || c.Action != contract.ActInvoke {
			t.Errorf("node %d is given\n%s\nwant\n%s", i, c.Request, want[i])
		}
		seeds[c.Seed] = true
	}
	if len(seeds) != 4 {
		t.Errorf("%d seeds", len(seeds))
	}
	for i, sr := range res.StepResults {
		if sr.Step != plan.Steps[i] || sr.Node != string("abcd"[i]) || sr.Operation == "" || sr.Contract != "greentic:component/node@0.6" {
			t.Errorf("result %d is %+v", i, sr)
		}
	}
	if v := res.Volatile.Steps; len(v) != 4 || v[3].Node != "d" || res.ExitCode != ExitOK {
		t.Errorf("exit code %d, volatile %+v", res.ExitCode, v)
	}
}

// TestOutputs: an output with a plan is a step's response; everything else is data.
func TestOutputs(t *testing.T) {
	deep := strings.Repeat("[", plan.MaxDepth-1) + strings.Repeat("]", plan.MaxDepth-1)
	for _, tc := range []struct {
		output, data string
		notes        int
		exit         int
	}{
		{`null`, `{"output":null}`, 0, 0},
		{`"text"`, `{"output":"text"}`, 0, 0},
		{`[{"plan": {"notes": ["x"]}}]`, `{"output":[{"plan":{"notes":["x"]}}]}`, 0, 0},
		{`{"ok": true, "diagnostics": ["free text"], "plan": null}`, `{"output":{"diagnostics":["free text"],"ok":true,"plan":null}}`, 0, 0},
		{`{"diagnostics": [{"severity": "error", "code": "E", "message": "m"}]}`, `{"output":{"diagnostics":[{"code":"E","message":"m","severity":"error"}]}}`, 0, ExitDiagnostics},
		{`{"diagnostics": [{"severity": "warn", "code": "W", "message": "m"}]}`, `{"output":{"diagnostics":[{"code":"W","message":"m","severity":"warn"}]}}`, 0, 0},
		{`{"diagnostics": [{"severity": "error", "message": "m"}]}`, `{"output":{"diagnostics":[{"message":"m","severity":"error"}]}}`, 0, 0},
		{`{"plan": "the text of one"}`, `{"output":{"plan":"the text of one"}}`, 0, 0},
		{`{"plan": {"notes": ["x", "y"]}, "more": 1}`, `{"more":1}`, 2, 0},
		{`{"plan": {"notes": "x"}}`, ``, 0, ExitDiagnostics},
		{`{"plan": {"notes": ["x"]}, "diagnostics": [{"severity": "error", "code": "E", "message": "m"}]}`, `{}`, 0, ExitDiagnostics},
		{deep, `{"output":` + deep + `}`, 0, 0},
	} {
		res, s := runThrough(t, says{"apply": put(tc.output)}, nil, call("apply", "apply", `null`, "after"), call("after", "after", `{"was": "{{ prev }}"}`, ""))
		sr := res.StepResults[0]
		if string(sr.Output.Data) != tc.data || len(res.Plan.Notes) != tc.notes || res.ExitCode != tc.exit {
			t.Errorf("%.80s: data %s, %d notes, exit code %d, %q", tc.output, sr.Output.Data, len(res.Plan.Notes), res.ExitCode, found(res))
		}
		if went := len(s.calls) == 2; went != (tc.exit == ExitOK) {
			t.Errorf("%.80s: %d calls", tc.output, len(s.calls))
		}
	}
}

// TestFailuresOfNodes: none is swallowed, whoever says it in which words.
func TestFailuresOfNodes(t *testing.T) {
	handled := flow.Routing{Kind: flow.RouteCustom, Custom: json.RawMessage(`[{"status": "error", "to": "summary"}, {"to": "summary"}]`)}
	for _, tc := range []struct{ envelope, why string }{
		{put(`{"ok": false}`), `it reports "ok": false and no reason`},
		{put(`{"ok": false, "error": "no account"}`), `it reports "no account"`},
		{put(`{"ok": false, "error": "no account", "diagnostics": [{"severity": "error", "code": "E", "message": "m"}]}`), `it reports "no account"`},
		{put(`{"ok": false, "error": "no account", "diagnostics": [{"severity": "odd", "code": "E", "message": "m"}]}`), `it reports "no account"`},
		{put(`{"ok": false, "OK": true, "Ok": true, "error": "no account"}`), `it reports "no account"`},
		{put(`{"ok": false, "o\u212a": true, "plan": {"notes": ["x"]}, "error": "no account"}`), `it reports "no account"`},
		{put(`{"ok": false, "actions": [{"status": "error", "message": "m"}], "plan": {"actions": []}}`), `it reports "m"`},
		{`{"ok": false, "output": null, "error": {"code": "E", "message": "m"}}`, `it reports "E": "m"`},
		{`{"ok": false, "output": {"ok": true, "plan": {"notes": ["x"]}}, "error": null}`, `it reports "": ""`},
	} {
		for _, routing := range []flow.Routing{{}, handled} {
			try := call("apply", "apply", `null`, "")
			try.Routing = routing
			res, s := runThrough(t, says{"apply": tc.envelope}, func(_ *Config, s *script) {
				s.host[plan.Apply] = hostScript{patch: plan.Patch{Notes: []string{"of no account"}}}
			}, try, call("summary", "tell", `null`, ""))
			sr := res.StepResults[0]
			if sr.Verdict != limits.GuestError || sr.Observer != limits.ByWorker || len(res.Plan.Notes) > 0 || len(s.merged) > 0 {
				t.Errorf("%s: verdict %s, notes %q", tc.envelope, sr.Verdict, res.Plan.Notes)
			}
			want, exit, verdict, severity := flow.CodeComponentFailed, ExitDiagnostics, limits.GuestError, plan.Error
			if routing.Kind != "" {
				want, exit, verdict, severity = flow.WarnNodeFailed, ExitOK, limits.OK, plan.Warn
			}
			d := res.Diagnostics[0]
			if res.ExitCode != exit || res.Verdict != verdict || len(res.Diagnostics) != 1 || d.Code != want || d.Severity != severity || !strings.Contains(d.Message, tc.why) {
				t.Errorf("%s: exit code %d, verdict %s, %+v", tc.envelope, res.ExitCode, res.Verdict, res.Diagnostics)
			}
			if went := len(s.calls) == 2; went != (routing.Kind != "") {
				t.Errorf("%s: %d calls", tc.envelope, len(s.calls))
			}
		}
	}
	// What looks like the member and is not means nothing, to the flow and to us.
	res, _ := runThrough(t, says{"apply": put(`{"OK": false, "plan": {"notes": ["x"]}}`)}, nil, call("apply", "apply", `null`, ""))
	if res.ExitCode != ExitOK || len(res.Plan.Notes) != 1 || res.StepResults[0].Verdict != limits.OK {
		t.Errorf("exit code %d, %+v", res.ExitCode, res.StepResults[0])
	}
}

// TestNodesThatEndTheRun: no route of a flow is for what is not the component's
// word.
func TestNodesThatEndTheRun(t *testing.T) {
	type change = func(*Config, *script)
	reply := func(r Reply) change {
		return func(_ *Config, s *script) { s.answer = func(*script, Call) Reply { return r } }
	}
	for name, tc := range map[string]struct {
		component string
		change    change
		code      string
		verdict   limits.Verdict
		exit      int
		part      string // of the message
	}{
		"no binary":          {"absent", nil, "CONTRACT_MISMATCH", limits.ContractMismatch, ExitPack, "node apply, operation apply of absent"},
		"unknown":            {"stranger", nil, "CONTRACT_MISMATCH", limits.ContractMismatch, ExitPack, "the pack has no binary for the component stranger"},
		"named by a secret":  {"{{ entry.setup_answers.secrets.AUTH_TOKEN }}", nil, "CONTRACT_MISMATCH", limits.ContractMismatch, ExitPack, "operation apply of [redacted]"},
		"does not invoke":    {"harbour", func(_ *Config, s *script) { s.spoken[0] = speaks("greentic:component/qa@0.6", contract.ActQASpec) }, "CONTRACT_MISMATCH", limits.ContractMismatch, ExitPack, `the component does not do "invoke"; it speaks greentic:component/qa@0.6`},
		"cannot be compiled": {"harbour", func(_ *Config, s *script) { s.spoken[0] = broken(limits.CompileFailed, "bad magic") }, "COMPILE_FAILED", limits.CompileFailed, ExitStopped, "bad magic"},
		"trap":               {"harbour", reply(Reply{Verdict: limits.Trap, Detail: "at hunter2-answer"}), "STEP_TRAP", limits.Trap, ExitStopped, "at [redacted]"},
		"deadline":           {"harbour", reply(Reply{Verdict: limits.Deadline}), "STEP_DEADLINE", limits.Deadline, ExitStopped, "--step-timeout"},
		"guest error":        {"harbour", reply(Reply{Verdict: limits.GuestError, Detail: "no"}), "STEP_GUEST_ERROR", limits.GuestError, ExitDiagnostics, "no"},
		"our fault":          {"harbour", reply(Reply{Verdict: limits.HostFault}), "HOST_FAULT", limits.HostFault, ExitFault, ""},
		"no envelope":        {"harbour", reply(ok(`{"output": {}}`)), "STEP_RESPONSE_MALFORMED", limits.GuestError, ExitDiagnostics, "is not the envelope"},
		"no JSON":            {"harbour", reply(ok(`hunter2-answer`)), "STEP_RESPONSE_MALFORMED", limits.GuestError, ExitDiagnostics, ""},
		"too large": {"harbour", func(cfg *Config, s *script) {
			reply(ok(put(`"`+strings.Repeat("x", 100)+`"`)))(cfg, s)
			cfg.Limits.StepOutput = 64
		}, "STEP_OUTPUT_LIMIT", limits.OutputLimit, ExitStopped, ""},
	} {
		t.Run(name, func(t *testing.T) {
			try := flow.Node{ID: "apply", Component: "component.exec", Operation: "apply", Mapping: raw(map[string]any{"component": tc.component, "input": 1}),
				Routing: flow.Routing{Kind: flow.RouteBranch, OnStatus: map[string]string{"error": "rescue"}, Default: "rescue"}}
			res, _ := runThrough(t, nil, tc.change, try, call("rescue", "rescue", `null`, ""))
			if res.ExitCode != tc.exit || res.Verdict != tc.verdict || len(res.StepResults) != 1 || len(res.Diagnostics) != 1 {
				t.Fatalf("exit code %d, verdict %s, %d steps, %q", res.ExitCode, res.Verdict, len(res.StepResults), found(res))
			}
			if d := res.Diagnostics[0]; d.Code != tc.code || !strings.Contains(d.Message, tc.part) || !strings.Contains(d.Message, "the apply step (node apply") {
				t.Errorf("got %+v", d)
			}
		})
	}
}

// TestFlowsThatCannotFinish end with a diagnostic that names the node and the rule.
func TestFlowsThatCannotFinish(t *testing.T) {
	round := call("b", "b", `null`, "")
	round.Routing = flow.Routing{Kind: flow.RouteCustom, Custom: json.RawMessage(`[{"to": "a"}]`)}
	lost := call("a", "a", `null`, "")
	lost.Routing = flow.Routing{Kind: flow.RouteCustom, Custom: json.RawMessage(`[{"to": "nowhere"}]`)}
	for code, nodes := range map[string][]flow.Node{
		flow.CodeStepCap:         {call("a", "a", `null`, "b"), round},
		flow.CodeNodeNotFound:    {lost},
		flow.CodeTemplate:        {call("a", "a", `"{{ entry.x | default(1) }}"`, "")},
		flow.CodeWait:            {{ID: "a", Component: "session.wait"}},
		flow.CodeNoComponent:     {{ID: "a", Component: "component.exec", Operation: "run"}},
		flow.CodeUnsupportedNode: {{ID: "a", Component: "dw.agent", Operation: "run"}},
		flow.CodeInputSize:       {call("a", "a", `["`+strings.Repeat("x", 2<<20)+`"]`, "")},
	} {
		s := newScript()
		cfg := config(s)
		through(&cfg, s, nil, nodes...)
		res, err := Run(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		n := len(res.Diagnostics) - 1
		if d := res.Diagnostics[n]; d.Code != code || d.Severity != plan.Error || !strings.HasPrefix(d.Path, "setup_default/") || res.ExitCode != ExitDiagnostics {
			t.Errorf("%s: exit code %d, %+v", code, res.ExitCode, d)
		}
		if want := map[string]int{flow.CodeStepCap: flow.DefaultMaxVisits, flow.CodeNodeNotFound: 1}[code]; len(s.calls) != want {
			t.Errorf("%s: %d calls", code, len(s.calls))
		}
	}
}

func TestMissingPathsAreWarnings(t *testing.T) {
	res, s := runThrough(t, nil, nil, call("a", "a", `{"x": "{{ entry.nothing }}", "y": "<{{ entry.nothing }}>"}`, ""))
	if got := found(res); res.ExitCode != ExitOK || !slices.Equal(got, []string{"warn TEMPLATE_PATH_MISSING flows/setup_default/nodes/a", "warn TEMPLATE_PATH_MISSING flows/setup_default/nodes/a"}) {
		t.Errorf("exit code %d, %q", res.ExitCode, got)
	}
	if !strings.Contains(string(s.calls[0].Request), `"input":{"x":"","y":"<>"}`) {
		t.Errorf("given %s", s.calls[0].Request)
	}
}

// TestFlowsTellNoSecrets: components say secrets in all the places from which a flow
// makes messages, also where these are cut, and flows name what they call by them.
func TestFlowsTellNoSecrets(t *testing.T) {
	long := "hunter2-long" // and so on, without anything in it twice
	for i := range 10 {
		long += fmt.Sprintf("%x", sha256.Sum256([]byte{byte(i)}))
	}
	pad := strings.Repeat("p", 110)
	handled := call("apply", "apply", `null`, "")
	handled.Routing = flow.Routing{Kind: flow.RouteBranch, OnStatus: map[string]string{"error": "after"}, Default: "after"}
	after := call("after", "after", `null`, "")
	for name, tc := range map[string]struct {
		output string
		nodes  []flow.Node
	}{
		"an error":                {`{"ok": false, "error": "` + long + `"}`, nil},
		"an error, cut":           {`{"ok": false, "error": "` + pad + pad + pad + pad[:60] + `hunter2-answer"}`, nil},
		"an error, escaped":       {`{"ok": false, "error": "\u001b hunter2-\"quoted\""}`, nil},
		"a code":                  {`{"ok": false, "error": {"code": "` + pad + `hunter2-answer", "message": "m"}}`, nil},
		"messages":                {`{"ok": false, "errors": [{"message": "` + pad + `hunter2-answer"}, {"message": "` + long + `"}]}`, nil},
		"an error that is routed": {`{"ok": false, "error": "` + long + `"}`, []flow.Node{handled, after}},
		"a status":                {`{"status": "` + pad + `hunter2-answer"}`, []flow.Node{{ID: "apply", Component: "harbour", Operation: "apply", Routing: flow.Routing{Kind: flow.RouteBranch, OnStatus: map[string]string{"x": "after"}}}, after}},
		"a jump":                  {`{"greentic_control": {"v": 1, "action": "jump", "flow": "` + pad + `hunter2-answer"}}`, nil},
		"an action":               {`{"greentic_control": {"v": 1, "action": "` + long + `"}}`, nil},
		"an operation": {`{}`, []flow.Node{{ID: "apply", Component: "harbour", Mapping: json.RawMessage(`{"operation": "{{ entry.setup_answers.secrets.AUTH_TOKEN }}"}`), Routing: flow.Routing{Kind: flow.RouteNext, Next: "last"}},
			{ID: "last", Component: "harbour", Mapping: json.RawMessage(`{"operation": "x{{ entry.setup_answers.secrets.LONG }}"}`), Routing: flow.Routing{Kind: flow.RouteBranch, OnStatus: map[string]string{"x": "last"}}}}},
	} {
		for _, trap := range []bool{false, true} {
			nodes := tc.nodes
			if nodes == nil {
				nodes = []flow.Node{call("apply", "apply", `null`, "")}
			}
			res, _ := runThrough(t, nil, func(cfg *Config, s *script) {
				cfg.Inputs.Answers = raw(map[string]any{"secrets": map[string]string{"AUTH_TOKEN": "hunter2-answer", "LONG": long, "QUOTED": `hunter2-"quoted"`}})
				s.answer = func(*script, Call) Reply {
					if trap {
						return Reply{Verdict: limits.Trap}
					}
					return ok(put(tc.output))
				}
			}, nodes...)
			b := string(raw(res))
			for i := 0; i+16 <= len(long); i++ {
				if strings.Contains(b, long[i:i+16]) {
					t.Errorf("%s, %v: %q is left in %s", name, trap, long[i:i+16], b)
					break
				}
			}
			if len(res.Diagnostics) == 0 {
				t.Errorf("%s, %v: nothing is told", name, trap)
			}
		}
	}
}

// TestActionsMakeThePlan with the values that the flow asked for: a component that
// reports others, or what nobody asked for, changes nothing.
func TestActionsMakeThePlan(t *testing.T) {
	res, s := runThrough(t, nil, flowScenarios[1].change)
	if got := string(raw(res.Plan)); !strings.HasPrefix(got, `{"config_patch":{"url":"https://example.invalid"},"notes":[],"oauth_ops":[],"secrets_patch":{"delete":[],"set":{"token":{"redacted":true,"value":null}}}`) {
		t.Errorf("the plan is %s", got)
	}
	if want := "[] map[token:hunter2-put]"; !slices.Equal(s.merged, []string{want}) {
		t.Errorf("the host is told %q", s.merged)
	}
	if !strings.Contains(string(s.calls[0].Request), `"dry_run":false`) {
		t.Errorf("the component does not do what it would do when the plan is applied: %s", s.calls[0].Request)
	}
	// A pack that puts an address as a secret hides where it goes.
	res, _ = runThrough(t, says{"apply": put(`{"plan": {"webhook_ops": [{"op": "create", "url": "https://evil.invalid"}]}}`)}, nil,
		call("apply", "apply", `{"plan": {"actions": [{"type": "secrets.put", "scope": "s", "key": "k", "value": "https://evil.invalid"}]}}`, ""))
	if got := found(res); res.ExitCode != ExitDiagnostics || !slices.Contains(got, "error PLAN_VALUE_REDACTED webhook_ops[0]") {
		t.Errorf("exit code %d, %q", res.ExitCode, got)
	}
}

// TestHostCallsOfNodes are merged in the order of the nodes, before what a node puts
// out; those of a node that failed are not.
func TestHostCallsOfNodes(t *testing.T) {
	try := call("b", "apply", `null`, "")
	try.Routing = flow.Routing{Kind: flow.RouteBranch, OnStatus: map[string]string{"error": "c"}, Default: "c"}
	n := 0
	res, _ := runThrough(t, nil, func(_ *Config, s *script) {
		s.answer = func(s *script, c Call) Reply {
			n++
			s.host[c.Step] = hostScript{patch: plan.Patch{Notes: []string{fmt.Sprint("call ", n)}}, effects: []plan.Effect{{Step: c.Step, Via: plan.ViaHostCall, Op: "x", Target: "notes[0]"}}}
			return ok(put(fmt.Sprintf(`{"ok": %v, "plan": {"notes": ["output %d"]}}`, n != 2, n)))
		}
	}, call("a", "apply", `null`, "b"), try, call("c", "apply", `null`, ""))
	if want := []string{"call 1", "output 1", "call 3", "output 3"}; !slices.Equal(res.Plan.Notes, want) || res.ExitCode != ExitOK {
		t.Errorf("exit code %d, notes %q", res.ExitCode, res.Plan.Notes)
	}
	var targets []string
	for _, e := range res.Effects {
		targets = append(targets, e.Via+" "+e.Target)
	}
	if want := []string{"host-call notes[0]", "patch notes[1]", "host-call notes[2]", "patch notes[3]"}; !slices.Equal(targets, want) {
		t.Errorf("effects %q", targets)
	}
}

// TestCalledFlows: nodes of a flow that another calls are steps by their place in
// their own.
func TestCalledFlows(t *testing.T) {
	res, _ := runThrough(t, says{"say": put(`{"plan": {"notes": ["said"]}}`), "fail": put(`{"ok": false, "error": "no"}`)}, func(cfg *Config, _ *script) {
		cfg.Blueprint.Graphs["other"] = &flow.Graph{ID: "other", Nodes: []flow.Node{call("a", "say", `null`, "b"), call("b", "fail", `null`, "")}}
	}, flow.Node{ID: "go", Component: "flow.call", Mapping: json.RawMessage(`{"flow_id": "other"}`)})
	if n := len(res.StepResults); n != 2 || res.StepResults[0].Step != plan.Collect || res.StepResults[1].Step != plan.Summary {
		t.Fatalf("%d steps", n)
	}
	if d := res.Diagnostics[0]; res.ExitCode != ExitDiagnostics || d.Code != flow.CodeComponentFailed || d.Path != "other/b" || len(res.Plan.Notes) != 1 {
		t.Errorf("exit code %d, %+v", res.ExitCode, d)
	}
}

func TestFlowInputsThatAreTooLarge(t *testing.T) {
	res, s := runThrough(t, nil, func(cfg *Config, _ *script) { cfg.Limits.StepInput = 200 }, call("a", "a", `"{{ entry.answers_json }}"`, ""))
	if got := found(res); res.ExitCode != ExitStopped || !slices.Equal(got, []string{"error INPUT_TOO_LARGE components/harbour.wasm"}) || len(s.calls) > 0 {
		t.Errorf("exit code %d, %q", res.ExitCode, got)
	}
}

func TestFlowUntil(t *testing.T) {
	nodes := []flow.Node{call("a", "a", `null`, "b"), call("b", "b", `null`, "c"), call("c", "c", `null`, "d"), call("d", "d", `null`, "")}
	for i, until := range plan.Steps {
		res, s := runThrough(t, nil, func(cfg *Config, _ *script) { cfg.Until = until }, nodes...)
		if len(res.StepResults) != i+1 || len(s.calls) != i+1 || res.ExitCode != ExitOK || len(res.Diagnostics) > 0 {
			t.Errorf("until %s: %d calls, exit code %d, %q", until, len(s.calls), res.ExitCode, found(res))
		}
	}
}

// TestFlowRunTime: the time of a run is for all nodes, and ends one between two of
// them as it ends one in a node.
func TestFlowRunTime(t *testing.T) {
	nodes := []flow.Node{call("a", "a", `null`, "b"), call("b", "b", `null`, "c"), call("c", "c", `null`, "")}
	synctest.Test(t, func(t *testing.T) {
		res, s := runThrough(t, nil, func(_ *Config, s *script) { s.wait = 35 * time.Second }, nodes...)
		if d := res.Diagnostics[0]; len(s.calls) != 2 || res.ExitCode != ExitStopped || res.Verdict != limits.Deadline || d.Code != "RUN_DEADLINE" || !strings.Contains(d.Message, "node b") {
			t.Errorf("in a node: %d calls, exit code %d, %+v", len(s.calls), res.ExitCode, d)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		res, s := runThrough(t, nil, func(_ *Config, s *script) {
			s.answer = func(*script, Call) Reply {
				time.Sleep(35 * time.Second) // whatever the context says
				return ok(put(`{"plan": {"notes": ["x"]}}`))
			}
		}, nodes...)
		if d := res.Diagnostics[0]; len(s.calls) != 2 || res.ExitCode != ExitStopped || res.Verdict != limits.Deadline || d.Code != "RUN_DEADLINE" || !strings.Contains(d.Message, "--run-timeout 1m0s") {
			t.Errorf("between two: %d calls, exit code %d, %+v", len(s.calls), res.ExitCode, d)
		}
	})
}

func TestFlowInterrupt(t *testing.T) {
	for _, wait := range []time.Duration{0, 3 * time.Second} { // between two nodes, in a node
		synctest.Test(t, func(t *testing.T) {
			cause := errors.New("terminated by signal")
			ctx, cancel := context.WithCancelCause(t.Context())
			s := newScript()
			cfg := config(s)
			through(&cfg, s, nil, call("a", "a", `null`, "b"), call("b", "b", `null`, ""))
			s.wait = wait
			answer := s.answer
			s.answer = func(s *script, c Call) Reply {
				cancel(cause)
				return answer(s, c)
			}
			time.AfterFunc(time.Second, func() { cancel(cause) })
			res, err := Run(ctx, cfg)
			if res != nil || !errors.Is(err, ErrInterrupted) || !errors.Is(err, cause) || ExitCode(res, err) != ExitInterrupted || len(s.calls) != 1 {
				t.Errorf("got %v, %v after %d calls", res, err, len(s.calls))
			}
		})
	}
}

func TestFlowRunnerErrors(t *testing.T) {
	fault := errors.New("broken")
	wall := &limits.WallError{Wall: "seccomp", Err: limits.ErrUnsupported}
	for want, err := range map[int]error{ExitFault: fault, ExitIsolation: fmt.Errorf("step: %w", wall)} {
		s := newScript()
		cfg := config(s)
		through(&cfg, s, nil, call("a", "collect", `null`, "b"), call("b", "apply", `null`, ""))
		s.errs[plan.Apply] = err
		res, got := Run(t.Context(), cfg)
		if res != nil || !errors.Is(got, err) || ExitCode(res, got) != want {
			t.Errorf("got %v, %v", res, got)
		}
	}
}
