package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/greentic-ai/greentic-provision/contract"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
	"github.com/greentic-ai/greentic-provision/qa"
)

// harbour is a provider that is asked for its questions: what it says, by action.
// What it makes of answers is made of them, but for what a test says.
type harbour map[contract.Action]string

func (h harbour) answer(_ *script, c Call) Reply {
	if said, told := h[c.Action]; told {
		return ok(said)
	}
	if c.Action != contract.ActApplyAnswers {
		return ok(harbourSays[c.Action])
	}
	var asked struct{ Answers json.RawMessage }
	if err := json.Unmarshal(c.Request, &asked); err != nil {
		panic(err)
	}
	return ok(`{"ok": true, "config": ` + string(asked.Answers) + `}`)
}

var harbourSays = harbour{
	contract.ActDescribe: `{"provider": "harbour", "config_schema": {"fields": {"gate": {"schema": {"kind": "string", "secret": true}}}}, "redactions": [{"path": "$.relay_login"}]}`,
	contract.ActI18n:     `{"locale": "en", "messages": {"harbour.title": "A berth", "harbour.endpoint": "Endpoint", "harbour.full": "the harbour is full"}}`,
	contract.ActQASpec: `{"mode": "setup", "title": {"key": "harbour.title"}, "questions": [
		{"id": "endpoint", "label": {"key": "harbour.endpoint"}, "kind": "text", "required": true},
		{"id": "berths", "label": {"key": "harbour.berths"}, "kind": "number", "default": 3},
		{"id": "tier", "label": "Tier", "kind": "text", "required": true, "default": "basic"},
		{"id": "gate", "label": "Gate", "kind": "text"},
		{"id": "relay_login", "label": "Relay", "kind": "text"},
		{"id": "lock", "label": "Lock", "kind": "text"},
		{"id": "mooring", "label": "Mooring", "kind": "text", "secret": true},
		{"id": "public_base_url", "label": "URL", "kind": "text"}]}`,
}

const harbourSetup = `title: Harbour
questions:
- {name: endpoint, title: Endpoint of the harbour, help: where ships go, required: true, validate: {regex: "^https://"}}
- {name: tier, kind: choice, choices: [basic, grand]}
- {name: lock, secret: true}
- {name: flags, required: true}
`

// atHarbour runs a pack whose provider is the harbour.
func atHarbour(cfg *Config, s *script, says harbour) {
	b := blueprint()
	b.Components = b.Components[:1]
	b.Components[0].ID, b.Components[0].Path = "harbour-provider", "components/harbour.wasm"
	b.Ways = []pack.Way{{Via: pack.ViaQA, Component: 0, Why: "it is the provider's"}}
	b.Provider = &pack.Provider{Type: "messaging.harbour.berth", Component: "harbour-provider"}
	b.Setup = &pack.Document{Path: "assets/setup.yaml", Bytes: []byte(harbourSetup)}
	b.SecretRequirements = &pack.Document{Path: "secret-requirements.json", Bytes: []byte(`[{"key": "HARBOUR_RELAY_TOKEN"}]`)}
	b.Extensions = map[string]json.RawMessage{"messaging.provider_ingress.v1": json.RawMessage("{}")}
	cfg.Blueprint = b
	tenant := "acme"
	cfg.Inputs.Tenant.Tenant = &tenant
	cfg.Inputs.Answers = json.RawMessage(`{"config": {"endpoint": "https://harbour.invalid", "relay_login": "hunter2-relay"},
		"secrets": {"gate": "hunter2-gate", "lock": "hunter2-lock", "mooring": "hunter2-mooring"}}`)
	s.spoken = map[int]Examined{0: speaks("greentic:component/qa@0.6", contract.ActQASpec, contract.ActApplyAnswers, contract.ActDescribe, contract.ActI18n)}
	s.answer = says.answer
}

// everySecret is what answers of atHarbour keep secret, plain and in other clothes.
const everySecret = `hunter2-relay hunter2-gate hunter2-lock hunter2-mooring aHVudGVyMi1nYXRl hunter2-\u006cock`

var qaScenarios = []scenario{
	{name: "qa_setup", exit: ExitOK, steps: 4, change: func(cfg *Config, s *script) { atHarbour(cfg, s, nil) }},
	{name: "qa_update", exit: ExitOK, steps: 4, change: func(cfg *Config, s *script) {
		atHarbour(cfg, s, harbour{contract.ActApplyAnswers: `{"ok": true, "config": {
			"endpoint": "https://harbour.invalid", "berths": 4, "gate": "hunter2-gate", "lock": "hunter2-new", "extra": null},
			"diagnostics": ["moved to another berth"]}`})
		cfg.Blueprint.Entry = pack.EntryUpdate
		cfg.Inputs.ExistingState = json.RawMessage(`{"config": {"endpoint": "https://harbour.invalid", "berths": 3, "tier": "basic", "extra": 1}}`)
		cfg.Secrets = map[string]string{"HARBOUR_GATE": "hunter2-gate", "lock": "hunter2-old", "mooring": "hunter2-gone"}
	}},
	{name: "qa_remove", exit: ExitOK, steps: 4, change: func(cfg *Config, s *script) {
		atHarbour(cfg, s, harbour{
			contract.ActQASpec: `{"mode": "remove", "questions": [{"id": "sure", "kind": "boolean", "label": "Sure?", "default": true}]}`,
			contract.ActApplyAnswers: `{"ok": true, "remove": {"remove_all": true, "cleanup": ["delete_config_key", "best_effort_delete_provider_owned_secrets",
				"best_effort_revoke_webhooks", "flush_the_tanks"]}}`})
		cfg.Blueprint.Entry = pack.EntryRemove
		cfg.Inputs.Answers = nil
		cfg.Inputs.ExistingState = json.RawMessage(`{"config": {"endpoint": "https://harbour.invalid", "gate": "hunter2-gate"}}`)
	}},
	{name: "qa_rejected", exit: ExitDiagnostics, steps: 2, change: func(cfg *Config, s *script) {
		atHarbour(cfg, s, harbour{contract.ActApplyAnswers: `{"ok": false, "config": {"endpoint": "https://harbour.invalid"}, "error": "harbour.full", "diagnostics": [{"code": "tide-low", "message": "not with hunter2-lock", "field": "lock"}]}`})
	}},
	{name: "qa_leaks", exit: ExitOK, steps: 4, change: func(cfg *Config, s *script) {
		atHarbour(cfg, s, harbour{
			contract.ActI18n:   `{"locale": "en", "messages": {"harbour.title": "` + everySecret + `"}}`,
			contract.ActQASpec: strings.Replace(harbourSays[contract.ActQASpec], `"label": "Tier"`, `"help": "`+everySecret+`", "label": "`+everySecret+`"`, 1),
			contract.ActApplyAnswers: `{"ok": true, "config": {"endpoint": "https://x/?k=hunter2-mooring", "hunter2-gate": "` + everySecret + `", "public_base_url": "https://hunter2-lock",
				"nested": {"password": "hunter2-nested"}}, "warnings": [{"key": "` + everySecret + `", "fields": ["hunter2-lock"]}], "diagnostics": ["` + everySecret + `"]}`})
		answer := s.answer
		s.answer = func(s *script, c Call) Reply {
			r := answer(s, c)
			r.Logs = []LogLine{{"info", everySecret}}
			return r
		}
	}},
}

// runHarbour runs with what the harbour says and a change of the run.
func runHarbour(t *testing.T, says harbour, change func(*Config, *script)) (*Result, *script) {
	t.Helper()
	s := newScript()
	cfg := config(s)
	atHarbour(&cfg, s, says)
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

// sound holds a result against its schema, and looks for secrets in it.
func sound(t *testing.T, res *Result) {
	t.Helper()
	b := raw(res)
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if err := resultSchema(t).Validate(doc); err != nil {
		t.Errorf("%v", err)
	}
	if before, after, leaks := strings.Cut(string(b), "hunter2"); leaks {
		t.Errorf("a secret is left: %s hunter2 %s", before[max(0, len(before)-200):], after[:min(200, len(after))])
	}
}

// compiled is what resultSchema gives, for thousands of results.
var compiled *jsonschema.Schema

func resultSchema(t *testing.T) *jsonschema.Schema {
	if compiled == nil {
		compiled = readSchema(t, "result")
	}
	return compiled
}

// withoutRelay leaves the answer out that only the description calls a secret.
func withoutRelay(cfg *Config, _ *script) {
	cfg.Inputs.Answers = json.RawMessage(`{"endpoint": "https://harbour.invalid", "mooring": "hunter2-mooring", "lock": "hunter2-lock"}`)
}

// asked gives the requests of an action.
func asked(s *script, action contract.Action) []string {
	var list []string
	for _, c := range s.calls {
		if c.Action == action {
			list = append(list, string(c.Request))
		}
	}
	return list
}

// found gives the diagnostics of a result, "severity CODE path".
func found(res *Result) []string {
	var list []string
	for _, d := range res.Diagnostics {
		list = append(list, strings.TrimSpace(fmt.Sprintf("%s %s %s", d.Severity, d.Code, d.Path)))
	}
	return list
}

// TestInterview: what is asked of the component, in which order and with what.
func TestInterview(t *testing.T) {
	res, s := runHarbour(t, nil, func(cfg *Config, _ *script) { cfg.Locale = "pt-BR" })
	var got []string
	for _, c := range s.calls {
		got = append(got, fmt.Sprintf("%s %s", c.Step, c.Action))
	}
	if want := []string{"collect describe", "collect i18n", "collect qa-spec", "validate apply-answers"}; !slices.Equal(got, want) {
		t.Errorf("asked %q", got)
	}
	const answers = `{"answers":{"berths":3,"endpoint":"https://harbour.invalid","gate":"hunter2-gate","lock":"hunter2-lock","mooring":"hunter2-mooring",` +
		`"public_base_url":"https://example.invalid","relay_login":"hunter2-relay","tier":"basic"},"current_config":null,"mode":"setup"}`
	for i, want := range []string{`{}`, `{"locale":"pt-BR"}`, `{"mode":"setup"}`, answers} {
		if got := string(s.calls[i].Request); got != want {
			t.Errorf("%s is given\n%s\nwant\n%s", s.calls[i].Action, got, want)
		}
	}
	seeds := map[[32]byte]bool{}
	for _, c := range s.calls {
		seeds[c.Seed] = true
	}
	if len(seeds) != len(s.calls) {
		t.Errorf("%d seeds for %d calls", len(seeds), len(s.calls))
	}
	if res.Form == nil || res.Form.Title != "A berth" || len(res.Form.Questions) != 8 || !strings.Contains(string(res.Spec), "harbour.title") {
		t.Errorf("the form is %+v of %s", res.Form, res.Spec)
	}
	if secrets := res.Plan.SecretsPatch.Set; len(secrets) != 4 || len(res.Plan.ConfigPatch) != 4 {
		t.Errorf("the plan has %+v", res.Plan)
	}
	if len(s.merged) != 1 || !strings.Contains(s.merged[0], "gate:hunter2-gate lock:hunter2-lock mooring:hunter2-mooring relay_login:hunter2-relay") {
		t.Errorf("the host is told %q", s.merged)
	}
}

func TestInterviewModes(t *testing.T) {
	for _, tc := range []struct {
		entry      pack.Entry
		mode, want string
	}{
		{pack.EntrySetup, "", ModeSetup}, {pack.EntryUpdate, "", ModeUpdate}, {pack.EntryRemove, "", ModeRemove},
		{pack.EntrySetup, ModeDefault, ModeDefault}, {pack.EntrySetup, ModeUpdate, ModeUpdate}, {pack.EntryUpdate, ModeSetup, ModeSetup},
	} {
		res, s := runHarbour(t, harbour{contract.ActApplyAnswers: `{"ok": true, "config": {}}`}, func(cfg *Config, _ *script) { cfg.Blueprint.Entry, cfg.Mode = tc.entry, tc.mode })
		if got := asked(s, contract.ActQASpec); !slices.Equal(got, []string{`{"mode":"` + tc.want + `"}`}) {
			t.Errorf("%s, %s: asked %q", tc.entry, tc.mode, got)
		}
		for _, got := range asked(s, contract.ActApplyAnswers) {
			if !strings.HasSuffix(got, `"mode":"`+tc.want+`"}`) {
				t.Errorf("%s, %s: asked %s", tc.entry, tc.mode, got)
			}
		}
		if data := string(res.StepResults[0].Output.Data); !strings.Contains(data, `"mode":"`+tc.want+`"`) {
			t.Errorf("%s, %s: %s", tc.entry, tc.mode, data)
		}
		// What setup.yaml asks besides matters to a setup, and not to a removal.
		if got := slices.Contains(found(res), "info QUESTION_NOT_IN_COMPONENT /questions/3"); got != (tc.want != ModeRemove) {
			t.Errorf("%s, %s: %q", tc.entry, tc.mode, found(res))
		}
	}
}

// TestInterviewWithoutWords: a component that does not describe itself and has no
// texts is asked for its questions alone.
func TestInterviewWithoutWords(t *testing.T) {
	res, s := runHarbour(t, nil, func(cfg *Config, s *script) {
		s.spoken[0] = speaks("greentic:component/component-qa@0.6", contract.ActQASpec, contract.ActApplyAnswers)
		cfg.Blueprint.Setup, cfg.Blueprint.SecretRequirements, cfg.Blueprint.Provider = nil, nil, nil
		cfg.Inputs.Answers = json.RawMessage(`{"endpoint": "https://harbour.invalid", "mooring": "hunter2-mooring"}`)
	})
	if len(s.calls) != 2 || s.calls[0].Action != contract.ActQASpec || res.ExitCode != ExitOK || len(res.Diagnostics) > 0 {
		t.Errorf("%d calls, %q", len(s.calls), found(res))
	}
	if q := res.Form.Questions[0]; res.Form.Title != "harbour.title" || q.Label != "harbour.endpoint" {
		t.Errorf("without texts, keys stand for them: %q, %q", res.Form.Title, q.Label)
	}
}

func TestPublicBaseURLAnswersItsQuestion(t *testing.T) {
	const url = "https://example.invalid"
	for answers, want := range map[string]string{
		`{"endpoint": "https://a"}`: url,
		`{"config": {"endpoint": "https://a"}, "secrets": {"gate": "hunter2-gate"}}`: url,
		`{"secrets": {"gate": "hunter2-gate"}, "endpoint": "https://a"}`:             url,
		`{"berth": {"endpoint": "https://a"}}`:                                       url, // a provider's, by another name
		`{"setup_answers": {"harbour": {"config": {"endpoint": "https://a"}}}}`:      url,
		`{"endpoint": "https://a", "public_base_url": null}`:                         url,
		`{"endpoint": "https://a", "public_base_url": "https://own"}`:                "https://own",
		`{"config": {"endpoint": "https://a", "public_base_url": "https://own"}}`:    "https://own",
		`{"harbour": {"endpoint": "https://a", "public_base_url": "https://own"}}`:   "https://own",
	} {
		res, s := runHarbour(t, nil, func(cfg *Config, _ *script) { cfg.Inputs.Answers = json.RawMessage(answers) })
		var got struct{ Answers map[string]any }
		if err := json.Unmarshal([]byte(asked(s, contract.ActApplyAnswers)[0]), &got); err != nil {
			t.Fatal(err)
		}
		if got.Answers["public_base_url"] != want || got.Answers["endpoint"] != "https://a" || res.ExitCode != ExitOK {
			t.Errorf("%s: the component is given %v, exit code %d", answers, got.Answers, res.ExitCode)
		}
		if op := res.Plan.WebhookOps[0]; op.URL == nil || *op.URL != want+"/v1/messaging/ingress/events.sms/acme/default" {
			t.Errorf("%s: %+v", answers, op)
		}
	}
	for _, without := range []func(*Config, *script){
		func(cfg *Config, _ *script) { cfg.Inputs.PublicBaseURL = nil },
		func(cfg *Config, _ *script) { empty := ""; cfg.Inputs.PublicBaseURL = &empty },
		func(cfg *Config, s *script) {
			s.answer = harbour{contract.ActQASpec: `{"questions": [{"id": "endpoint", "kind": "text"}]}`}.answer
		},
	} {
		_, s := runHarbour(t, nil, without)
		if got := asked(s, contract.ActApplyAnswers)[0]; strings.Contains(got, baseURL) {
			t.Errorf("the component is given %s", got)
		}
	}
}

// TestUpdate: the component has all of the current configuration; the plan has what
// changes of it.
func TestUpdate(t *testing.T) {
	_, s := runHarbour(t, nil, qaScenarios[1].change)
	const current = `"current_config":{"berths":3,"endpoint":"https://harbour.invalid","extra":1,"gate":"hunter2-gate","lock":"hunter2-old","mooring":"hunter2-gone","tier":"basic"}`
	for _, got := range asked(s, contract.ActApplyAnswers) {
		if !strings.Contains(got, current) {
			t.Errorf("the component is given %s", got)
		}
	}
	res, _ := runHarbour(t, harbour{contract.ActApplyAnswers: `{"ok": true, "config": {"endpoint": "https://harbour.invalid"}}`}, func(cfg *Config, _ *script) {
		cfg.Blueprint.Entry, cfg.Blueprint.Extensions = pack.EntryUpdate, nil
		cfg.Inputs.ExistingState = json.RawMessage(`{"config": {"endpoint": "https://harbour.invalid"}}`)
	})
	if data := string(res.StepResults[3].Output.Data); len(res.Effects) > 0 || !strings.Contains(data, `"message":"nothing changes"`) {
		t.Errorf("effects %v, summary %s", res.Effects, data)
	}
}

// TestStoredStateIsNotClassified: the pack's word on what is secret is for answers, and
// for a state that no store vouches for.
func TestStoredStateIsNotClassified(t *testing.T) {
	for revision, want := range map[uint64]string{0: `"at [redacted]"`, 2: `"at pier-seven"`} {
		res, _ := runHarbour(t, harbour{contract.ActApplyAnswers: `{"ok": true, "config": {"said": "at pier-seven"}}`}, func(cfg *Config, _ *script) {
			cfg.Blueprint.Entry, cfg.Blueprint.Extensions, cfg.Revision = pack.EntryUpdate, nil, revision
			cfg.Inputs.ExistingState = json.RawMessage(`{"config": {"gate": "pier-seven"}}`)
		})
		if got := string(res.Plan.ConfigPatch["said"]); got != want {
			t.Errorf("at revision %d, the plan has %s, want %s", revision, got, want)
		}
	}
}

// TestStateIsSecretToo: a component that is given the current configuration may say
// it again.
func TestStateIsSecretToo(t *testing.T) {
	runHarbour(t, harbour{contract.ActApplyAnswers: `{"ok": true, "config": {"endpoint": "https://x", "said": "hunter2-a hunter2-b hunter2-c"}, "diagnostics": ["hunter2-a hunter2-b hunter2-c"]}`},
		func(cfg *Config, _ *script) {
			cfg.Blueprint.Entry = pack.EntryUpdate
			cfg.Inputs.ExistingState = json.RawMessage(`{"config": {"relay_login": "hunter2-a", "mooring": {"x": ["hunter2-b"]}}}`)
			cfg.Secrets = map[string]string{"anything": "hunter2-c"}
		})
}

func TestProviderMismatch(t *testing.T) {
	const want = "warn PROVIDER_MISMATCH components/harbour.wasm"
	for describe, told := range map[string]bool{
		`{"provider": "harbour"}`:                   false,
		`{"provider": "messaging-harbour-bot"}`:     false,
		`{"provider": "dummy"}`:                     true,
		`{"provider_id": "messaging.dummy"}`:        true,
		`{"provider": "messaging"}`:                 false, // tells no provider from another
		`{}`:                                        false,
		`{"provider": "\u001b[2J hunter2-mooring"}`: false, // no name
		`{"provider": "hunter2-mooring"}`:           true,
	} {
		res, _ := runHarbour(t, harbour{contract.ActDescribe: describe}, withoutRelay)
		if got := slices.Contains(found(res), want); got != told || res.ExitCode != ExitOK {
			t.Errorf("%s: told %v, exit code %d", describe, got, res.ExitCode)
		}
	}
	res, _ := runHarbour(t, harbour{contract.ActDescribe: `{"provider": "dummy"}`}, func(cfg *Config, s *script) {
		withoutRelay(cfg, s)
		cfg.Blueprint.Provider = nil
	})
	if slices.Contains(found(res), want) {
		t.Error("a pack that declares no provider cannot be wrong about it")
	}
}

// TestAnswersThatAreMissingOrWrong: what both ask for is missing for good; what the
// component alone asks for, it may do without after all.
func TestAnswersThatAreMissingOrWrong(t *testing.T) {
	const accepts, rejects = `{"ok": true, "config": {}}`, `{"ok": false, "error": "no"}`
	spec := func(questions string) string { return `{"questions": [` + questions + `]}` }
	for _, tc := range []struct {
		name, spec, setup, answers, result string
		exit, asked                        int
		found                              []string
	}{
		{"required by both", spec(`{"id": "a", "required": true}`), "- {name: a, required: true}", `{}`, accepts, 4, 0,
			[]string{"error ANSWER_MISSING /a", "info STEPS_NOT_RUN"}},
		{"required by both, with a slash and an empty answer", spec(`{"id": "a/b.c", "required": true}`), "- {name: a/b.c, required: true}", `{"config": {"a/b": {"c": ""}}}`, accepts, 4, 0,
			[]string{"error ANSWER_MISSING /config/a~1b/c", "info STEPS_NOT_RUN"}},
		{"required by the component, which accepts", spec(`{"id": "a", "required": true}`), "- {name: a}", `{}`, accepts, 0, 1, []string{"warn ANSWER_MISSING /a"}},
		{"required by the component, without a setup.yaml", spec(`{"id": "a", "required": true}, {"id": "b", "required": true}`), "", `{}`, accepts, 0, 1,
			[]string{"warn ANSWER_MISSING /a", "warn ANSWER_MISSING /b"}},
		{"required by the component, which rejects", spec(`{"id": "a", "required": true}`), "- {name: a}", `{}`, rejects, 4, 1,
			[]string{"error ANSWER_MISSING /a", "error QA_REJECTED", "info STEPS_NOT_RUN"}},
		{"one by both, one by the component", spec(`{"id": "a", "required": true}, {"id": "b", "required": true}`), "- {name: b, required: true}", `{}`, accepts, 4, 0,
			[]string{"error ANSWER_MISSING /a", "error ANSWER_MISSING /b", "info STEPS_NOT_RUN"}},
		{"required by setup.yaml alone is not required", spec(`{"id": "a"}`), "- {name: a, required: true}", `{}`, accepts, 0, 1, nil},
		{"a wrong answer is no missing one", spec(`{"id": "a", "required": true}, {"id": "n", "kind": "number"}`), "", `{"n": "x"}`, accepts, 4, 0,
			[]string{"error ANSWER_MISSING /a", "error ANSWER_KIND /n", "info STEPS_NOT_RUN"}},
		{"a cell that is missing is a wrong answer", spec(`{"id": "t", "kind": "table", "columns": [{"id": "c", "required": true}]}`), "", `{"t": [{}]}`, accepts, 4, 0,
			[]string{"error ANSWER_MISSING /t/0/c", "info STEPS_NOT_RUN"}},
		{"a choice", spec(`{"id": "c"}`), "- {name: c, choices: [x, y]}", `{"c": "z"}`, accepts, 4, 0, []string{"error ANSWER_CHOICE /c", "info STEPS_NOT_RUN"}},
		{"a pattern", spec(`{"id": "c"}`), "- {name: c, validate: {regex: '^a'}}", `{"c": "z"}`, accepts, 4, 0, []string{"error ANSWER_PATTERN /c", "info STEPS_NOT_RUN"}},
		{"what is hidden is not required", spec(`{"id": "a", "kind": "boolean"}, {"id": "b", "required": true}`), "- {name: a}\n- {name: b, required: true, visible_if: {field: a, eq: 'true'}}", `{"a": false}`, accepts, 0, 1, nil},
		{"unknown answers are told", spec(`{"id": "colour"}`), "", `{"color": 1}`, accepts, 0, 1, []string{"warn ANSWER_UNKNOWN /color"}},
		{"and rejected all the same", spec(`{"id": "colour"}`), "", `{"color": 1}`, `{"ok": false, "errors": [{"key": "e", "msg_key": "why", "fields": ["colour"]}]}`, 4, 1,
			[]string{"warn ANSWER_UNKNOWN /color", "error QA_COMPONENT /colour", "info STEPS_NOT_RUN"}},
		{"a setup.yaml that cannot be read", spec(`{"id": "a", "required": true}`), "- {name: a, required: true", `{}`, accepts, 0, 1,
			[]string{"warn QUESTIONS_UNREADABLE assets/setup.yaml", "warn ANSWER_MISSING /a"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res, s := runHarbour(t, harbour{contract.ActDescribe: `{}`, contract.ActQASpec: tc.spec, contract.ActApplyAnswers: tc.result}, func(cfg *Config, _ *script) {
				cfg.Blueprint.Extensions = nil
				cfg.Blueprint.Setup.Bytes = []byte("questions:\n" + tc.setup)
				cfg.Inputs.Answers = json.RawMessage(tc.answers)
			})
			if got := found(res); res.ExitCode != tc.exit || !slices.Equal(got, tc.found) {
				t.Errorf("exit code %d, %q", res.ExitCode, got)
			}
			if got := len(asked(s, contract.ActApplyAnswers)); got != tc.asked {
				t.Errorf("the component is asked %d times", got)
			}
		})
	}
}

// TestRejection: in whichever words, at whichever time.
func TestRejection(t *testing.T) {
	for result, want := range map[string]string{
		`{"ok": false, "error": "harbour.full"}`:                "error QA_REJECTED the harbour is full",
		`{"ok": false, "error": "bad hunter2-lock"}`:            "error QA_REJECTED bad [redacted]",
		`{"ok": false, "error": {"code": "C", "message": "m"}}`: "error QA_REJECTED m",
		`{"ok": false}`:                                                  "error QA_REJECTED the component rejects the answers and does not say why",
		`{"ok": true, "error": "but no"}`:                                "error QA_REJECTED but no",
		`{"config": {}, "error": "but no"}`:                              "error QA_REJECTED but no",
		`{"ok": true, "config": {}, "errors": ["no tide"]}`:              "error QA_COMPONENT no tide",
		`{"ok": false, "diagnostics": [{"level": "fatal", "msg": "m"}]}`: "error QA_COMPONENT m",
	} {
		for _, step := range []plan.Step{plan.Validate} {
			res, _ := runHarbour(t, nil, func(_ *Config, s *script) {
				s.answer = func(s *script, c Call) Reply {
					if c.Step == step {
						return ok(result)
					}
					return harbour{}.answer(s, c)
				}
			})
			last := res.StepResults[len(res.StepResults)-1]
			var got []string
			for _, d := range last.Output.Diagnostics {
				got = append(got, fmt.Sprintf("%s %s %s", d.Severity, d.Code, d.Message))
			}
			if last.Step != step || res.ExitCode != ExitDiagnostics || !slices.Equal(got, []string{want}) {
				t.Errorf("%s in %s: exit code %d, ended in %s with %q", result, step, res.ExitCode, last.Step, got)
			}
			if len(res.Effects) > 0 || len(res.Plan.ConfigPatch) > 0 {
				t.Errorf("%s in %s: the plan has %v", result, step, res.Effects)
			}
		}
	}
}

// TestAcceptedWithErrorsIsAccepted: a component that accepts answers rejects none of
// them.
func TestAcceptedWithErrorsIsAccepted(t *testing.T) {
	res, _ := runHarbour(t, harbour{contract.ActApplyAnswers: `{"ok": true, "config": {"a": 1}, "diagnostics": [{"severity": "error", "code": "tide low", "message": "m"}]}`}, nil)
	if res.ExitCode != ExitOK || !slices.Contains(found(res), "warn TIDE_LOW") {
		t.Errorf("exit code %d, %q", res.ExitCode, found(res))
	}
}

// steps of the actions of an interview.
var stepOf = map[contract.Action]plan.Step{
	contract.ActDescribe: plan.Collect, contract.ActI18n: plan.Collect, contract.ActQASpec: plan.Collect, contract.ActApplyAnswers: plan.Validate,
}

func TestMalformedWords(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	anywhere := []string{``, `hunter2-lock`, `[]`, `null`, `"x"`, `{"hunter2-lock": 1, "hunter2-lock": 2}`, `{"a": ` + nested(plan.MaxDepth) + `}`, "{\"a\": \"\xff\"}"}
	for action, malformed := range map[contract.Action][]string{
		contract.ActDescribe: nil,
		contract.ActI18n:     nil,
		contract.ActQASpec: {`{}`, `{"questions": {}}`, `{"questions": 5}`, `{"questions": [` + strings.Repeat(`{"id": "a"},`, qa.MaxQuestions) + `1]}`,
			`{"questions": [], "x": ` + nested(plan.MaxDepth-1) + `}`},
		contract.ActApplyAnswers: {`{}`, `{"ok": "yes"}`, `{"ok": null}`, `{"ok": true, "config": []}`, `{"ok": true, "remove": 1}`, `{"ok": true, "remove": {"cleanup": "all"}}`,
			`{"ok": true, "remove": {"cleanup": [1]}}`, `{"ok": true, "error": 5}`, `{"ok": true, "diagnostics": {}}`, `{"ok": true, "config": {"x": ` + nested(plan.MaxDepth-2) + `}}`},
	} {
		for _, says := range append(anywhere, malformed...) {
			res, _ := runHarbour(t, harbour{action: says}, nil)
			last := res.StepResults[len(res.StepResults)-1]
			if last.Step != stepOf[action] || last.Verdict != limits.GuestError || res.ExitCode != ExitDiagnostics {
				t.Fatalf("%s says %.80q: ended in %s with %s, exit code %d", action, says, last.Step, last.Verdict, res.ExitCode)
			}
			d := last.Output.Diagnostics[len(last.Output.Diagnostics)-1]
			if d.Code != "STEP_RESPONSE_MALFORMED" || strings.ContainsAny(d.Message, "\n\r") || d.Path != "components/harbour.wasm" {
				t.Errorf("%s says %.80q: %+v", action, says, d)
			}
			if len(res.Effects) > 0 {
				t.Errorf("%s says %.80q: effects %v", action, says, res.Effects)
			}
		}
	}
	// A component may also say that it cannot.
	for _, action := range []contract.Action{contract.ActDescribe, contract.ActI18n, contract.ActQASpec} {
		res, s := runHarbour(t, harbour{action: `{"ok": false, "error": "unsupported hunter2-lock"}`}, nil)
		if d := res.Diagnostics[0]; d.Code != "STEP_FAILED" || res.ExitCode != ExitDiagnostics || !strings.HasSuffix(d.Message, "it failed: unsupported [redacted]") || s.calls[len(s.calls)-1].Action != action {
			t.Errorf("%s fails: exit code %d, %+v", action, res.ExitCode, d)
		}
	}
	// What says nothing is no fault: there is nothing it would have to say.
	for action, says := range map[contract.Action]string{contract.ActDescribe: `{"config_schema": 5, "redactions": {}}`, contract.ActI18n: `{"messages": ["x"]}`} {
		if res, _ := runHarbour(t, harbour{action: says}, withoutRelay); res.ExitCode != ExitOK {
			t.Errorf("%s says %s: %q", action, says, found(res))
		}
	}
}

func TestTrapsInAnInterview(t *testing.T) {
	for action, step := range stepOf {
		for verdict, exit := range map[limits.Verdict]int{limits.Trap: ExitStopped, limits.Deadline: ExitStopped, limits.GuestError: ExitDiagnostics, limits.HostFault: ExitFault, limits.WorkerCrash: ExitStopped} {
			res, s := runHarbour(t, nil, func(_ *Config, s *script) {
				s.answer = func(s *script, c Call) Reply {
					if c.Action == action {
						return Reply{Verdict: verdict, Observer: limits.ByWorker, Detail: "at hunter2-lock", Response: []byte(`{"ok": true, "config": {}, "questions": []}`)}
					}
					return harbour{}.answer(s, c)
				}
				s.host[step] = hostScript{patch: plan.Patch{Notes: []string{"of no account"}}}
			})
			n := len(res.StepResults)
			if res.Verdict != verdict || res.ExitCode != exit || res.StepResults[n-1].Step != step || n != slices.Index(plan.Steps, step)+1 || s.calls[len(s.calls)-1].Action != action {
				t.Errorf("%s in %s: verdict %s, exit code %d, %d steps", verdict, action, res.Verdict, res.ExitCode, n)
			}
			if len(res.Plan.Notes) > 0 {
				t.Errorf("%s in %s: the plan has %q", verdict, action, res.Plan.Notes)
			}
		}
	}
}

func TestInterviewRunTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		res, s := runHarbour(t, nil, func(_ *Config, s *script) { s.wait = 25 * time.Second })
		if len(s.calls) != 3 || res.Verdict != limits.Deadline || res.ExitCode != ExitStopped || res.Diagnostics[len(res.Diagnostics)-2].Code != "RUN_DEADLINE" {
			t.Errorf("%d calls, verdict %s, %q", len(s.calls), res.Verdict, found(res))
		}
	})
}

// TestAnswersThatAreTooLarge are the operator's fault, and what a pack adds to them
// is the pack's.
func TestAnswersThatAreTooLarge(t *testing.T) {
	large := strings.Repeat("x", 8<<10)
	for name, change := range map[string]func(*Config){
		"answers":   func(cfg *Config) { cfg.Inputs.Answers = json.RawMessage(`{"endpoint": "https://` + large + `"}`) },
		"ambiguous": func(cfg *Config) { cfg.Inputs.Answers = json.RawMessage(`{"setup_answers": {"a": {}, "b": {}}}`) },
		"state": func(cfg *Config) {
			cfg.Inputs.ExistingState = json.RawMessage(`{"config": {"endpoint": "` + large + `"}}`)
		},
	} {
		s := newScript()
		cfg := config(s)
		atHarbour(&cfg, s, nil)
		cfg.Limits.StepInput = 4 * limits.KiB
		change(&cfg)
		res, err := Run(t.Context(), cfg)
		if res != nil || ExitCode(res, err) != ExitUsage || len(asked(s, contract.ActApplyAnswers)) > 0 {
			t.Errorf("%s: %v, %v", name, res, err)
		}
	}
	res, s := runHarbour(t, harbour{contract.ActQASpec: `{"questions": [{"id": "a", "default": "` + large + `"}]}`}, func(cfg *Config, _ *script) { cfg.Limits.StepInput = 4 * limits.KiB })
	if res.ExitCode != ExitStopped || !slices.Contains(found(res), "error INPUT_TOO_LARGE components/harbour.wasm") || len(asked(s, contract.ActApplyAnswers)) > 0 {
		t.Errorf("exit code %d, %q", res.ExitCode, found(res))
	}
}

// TestDefaultsAreThePacksWord: an address that a pack calls a secret and gives by
// default must not pass for a secret of the operator, whose use is only a warning.
func TestDefaultsAreThePacksWord(t *testing.T) {
	says := harbour{
		contract.ActQASpec:       `{"questions": [{"id": "sink", "default": "https://evil.invalid", "secret": true}, {"id": "endpoint"}]}`,
		contract.ActApplyAnswers: `{"ok": true, "config": {"public_base_url": "https://evil.invalid"}}`,
	}
	res, _ := runHarbour(t, says, nil)
	if got := found(res); res.ExitCode != ExitDiagnostics || !slices.Contains(got, "error PLAN_VALUE_REDACTED webhook_ops[0]") {
		t.Errorf("exit code %d, %q", res.ExitCode, got)
	}
	res, _ = runHarbour(t, says, func(cfg *Config, _ *script) {
		cfg.Inputs.Answers = json.RawMessage(`{"sink": "https://evil.invalid"}`)
	})
	if got := found(res); res.ExitCode != ExitOK || !slices.Contains(got, "warn PLAN_VALUE_REDACTED webhook_ops[0]") {
		t.Errorf("what the operator gave: exit code %d, %q", res.ExitCode, got)
	}
}

// TestAnswersAreSecretInEveryShape: an answer is no less secret where it lies under
// a provider's name, or was another type before it was one of the question's.
func TestAnswersAreSecretInEveryShape(t *testing.T) {
	says := harbour{
		contract.ActQASpec:       `{"questions": [{"id": "combination", "kind": "number", "secret": true}, {"id": "keys", "kind": "multichoice", "choices": ["hunter2-left", "right"], "secret": true}]}`,
		contract.ActApplyAnswers: `{"ok": true, "config": {"seen": "31337000 hunter2-left", "again": 31337000}}`,
	}
	for _, answers := range []string{
		`{"combination": "31337e3", "keys": "hunter2-left,right"}`,
		`{"config": {"combination": 31337000, "keys": ["hunter2-left"]}}`,
		`{"setup_answers": {"berth": {"config": {"combination": "31337000"}, "secrets": {"keys": "hunter2-left"}}}}`,
	} {
		res, _ := runHarbour(t, says, func(cfg *Config, _ *script) {
			cfg.Blueprint.Setup = nil
			cfg.Inputs.Answers = json.RawMessage(answers)
		})
		if b := string(raw(res)); strings.Contains(b, "31337000") || res.ExitCode != ExitOK {
			t.Errorf("%s: exit code %d, %s", answers, res.ExitCode, b)
		}
	}
}

// TestLongSecretsInLists: of a list of choices people see the beginnings, and of a
// secret not even that.
func TestLongSecretsInLists(t *testing.T) {
	long := "hunter2" + strings.Repeat("x", 200)
	res, _ := runHarbour(t, harbour{contract.ActQASpec: `{"questions": [{"id": "endpoint", "kind": "choice", "choices": ["a", "` + long + `", "b"]}]}`}, func(_ *Config, s *script) { s.secrets = []string{long} })
	if res.ExitCode != ExitDiagnostics || !strings.Contains(string(raw(res.Diagnostics)), "must be one of a, [redacted]…, b") {
		t.Errorf("%+v", res.Diagnostics)
	}
}

// TestQuestionsTellNoSecrets: what is shown of questions was said by a component
// that may read the operator's secrets.
func TestQuestionsTellNoSecrets(t *testing.T) {
	spec := `{"title": "hunter2-host", "description": "hunter2-host", "questions": [
		{"id": "endpoint", "label": "hunter2-host", "help": "hunter2-host", "placeholder": "hunter2-host", "group": "hunter2-host", "error": "hunter2-host",
		 "docs_url": "https://hunter2-host", "default": {"a": "hunter2-host"}, "choices": [{"value": "a", "title": "hunter2-host"}]}]}`
	for _, setup := range []*pack.Document{nil, {Path: "setup.yaml", Bytes: []byte("questions: []")}} {
		res, _ := runHarbour(t, harbour{contract.ActQASpec: spec}, func(cfg *Config, s *script) {
			cfg.Blueprint.Setup, cfg.Until = setup, plan.Collect
			s.secrets = []string{"hunter2-host"}
		})
		if shown := string(res.Spec) + string(res.Form.JSON()); strings.Contains(shown, "hunter2") || len(res.Form.Questions) != 1 || res.Form.Questions[0].Choices[0].Value != "a" {
			t.Errorf("got %s", shown)
		}
	}
}

// TestHostCallsOfAnInterview: those of all actions of a step count, and a step that
// fails later drops its own only.
func TestHostCallsOfAnInterview(t *testing.T) {
	note := func(s *script, step plan.Step, text string) {
		s.host[step] = hostScript{patch: plan.Patch{Notes: []string{text}}, effects: []plan.Effect{{Step: step, Via: plan.ViaHostCall, Op: "x", Target: "notes[0]"}}}
	}
	for last, want := range map[contract.Action]string{contract.ActQASpec: "", contract.ActApplyAnswers: "describe i18n qa-spec", "": "describe i18n qa-spec apply-answers"} {
		res, _ := runHarbour(t, nil, func(cfg *Config, s *script) {
			cfg.Blueprint.Extensions = nil
			s.answer = func(s *script, c Call) Reply {
				note(s, c.Step, string(c.Action))
				if c.Action == last {
					return Reply{Verdict: limits.Trap}
				}
				return harbour{}.answer(s, c)
			}
		})
		if got := strings.Join(res.Plan.Notes, " "); got != want {
			t.Errorf("failed at %q: the notes are %q", last, got)
		}
		for i, e := range slices.DeleteFunc(res.Effects, func(e plan.Effect) bool { return e.Via != plan.ViaHostCall }) {
			if e.Target != fmt.Sprintf("notes[%d]", i) {
				t.Errorf("failed at %q: effect %d is of %s", last, i, e.Target)
			}
		}
	}
}

func TestInterviewUntil(t *testing.T) {
	for i, until := range plan.Steps {
		if res, _ := runHarbour(t, nil, func(cfg *Config, _ *script) { cfg.Until = until }); len(res.StepResults) != i+1 || res.ExitCode != ExitOK {
			t.Errorf("until %s: %d steps, exit code %d", until, len(res.StepResults), res.ExitCode)
		}
	}
}

// TestRejectionsTellNoSecrets: what a component makes of answers that it rejects is
// in no plan, and no less a secret.
func TestRejectionsTellNoSecrets(t *testing.T) {
	res, _ := runHarbour(t, harbour{contract.ActApplyAnswers: `{"ok": false, "config": {"gate": "minted-by-it"}, "error": "minted-by-it did not work"}`}, nil)
	if b := string(raw(res)); res.ExitCode != ExitDiagnostics || strings.Contains(b, "minted-by-it") {
		t.Errorf("exit code %d, %s", res.ExitCode, b)
	}
}

// TestColumnsTellNoSecrets: a table has questions of its own.
func TestColumnsTellNoSecrets(t *testing.T) {
	res, _ := runHarbour(t, harbour{contract.ActQASpec: `{"questions": [{"id": "berths", "kind": "table", "columns": [
		{"key": "pier", "title": "hunter2-host", "help": "hunter2-host", "default": "hunter2-host", "choices": [{"value": "a", "title": "hunter2-host"}]}]}]}`},
		func(_ *Config, s *script) { s.secrets = []string{"hunter2-host"} })
	if b := string(res.Form.JSON()); res.ExitCode != ExitOK || len(res.Form.Questions[0].Columns) != 1 || strings.Contains(b, "hunter2-host") {
		t.Errorf("exit code %d, %s", res.ExitCode, b)
	}
}

// TestScrubbersAreKept: a pack may declare so many secrets that one takes a second.
func TestScrubbersAreKept(t *testing.T) {
	s := newScript()
	r := &run{Config: config(s)}
	first := r.scrubber()
	if r.scrubber() != first {
		t.Error("the second is another for the same secrets")
	}
	r.guests = append(r.guests, "declared-just-now")
	if got := r.scrubber().Scrub("it is declared-just-now"); got != "it is [redacted]" {
		t.Error(got)
	}
	s.secrets = append(s.secrets, "seen-by-the-host")
	if got := r.scrubber().Scrub("it is seen-by-the-host"); got != "it is [redacted]" {
		t.Error(got)
	}
}
