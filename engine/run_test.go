package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/greentic-ai/greentic-provision/component"
	"github.com/greentic-ai/greentic-provision/contract"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
)

var update = flag.Bool("update", false, "write golden files")

// script is a runner and a host: what each step answers and what it does
// through host calls. As a runner it is as strict as the supervisor's: a component
// is examined before anything runs, and asked for what it does.
type script struct {
	// spoken is what components are, by index; what is not in it runs steps.
	spoken map[int]Examined
	// answer, where it is set, answers instead of replies.
	answer  func(*script, Call) Reply
	replies map[plan.Step]Reply
	errs    map[plan.Step]error
	host    map[plan.Step]hostScript
	secrets []string
	wait    time.Duration // how long a step takes, unless its context ends

	calls   []Call
	merged  []string // steps by their notes
	looked  []int    // components that were examined, in order
	current plan.Step
}

type hostScript struct {
	patch       plan.Patch
	effects     []plan.Effect
	diagnostics []plan.Diagnostic
	secrets     []string
}

func (s *script) Examine(_ context.Context, component int, name string) (Examined, error) {
	if !slices.Contains(s.looked, component) {
		if len(s.calls) > 0 {
			return Examined{}, errors.New("a component is to be loaded into a sealed worker")
		}
		s.looked = append(s.looked, component)
	}
	if e, ok := s.spoken[component]; ok {
		return e, nil
	}
	return speaks("core-step", contract.ActStep), nil
}

// speaks is what a component is that speaks one contract.
func speaks(name string, actions ...contract.Action) Examined {
	return Examined{Reply: Reply{Verdict: limits.OK}, Contracts: []Spoken{{Name: name, Actions: actions}}}
}

func (s *script) RunStep(ctx context.Context, call Call) (Reply, error) {
	e, err := s.Examine(ctx, call.Component, "")
	if err != nil {
		return Reply{}, err
	}
	if e.Verdict != limits.OK {
		return e.Reply, nil
	}
	name, ok := e.Does(call.Action)
	if !ok {
		return Reply{}, fmt.Errorf("component %d is asked to %s, which it does not do", call.Component, call.Action)
	}
	s.calls = append(s.calls, call)
	if s.current != call.Step {
		panic("the host records " + s.current)
	}
	if s.wait > 0 {
		select {
		case <-ctx.Done():
			return Reply{}, context.Cause(ctx)
		case <-time.After(s.wait):
		}
	}
	if err := s.errs[call.Step]; err != nil {
		return Reply{}, err
	}
	r, ok := s.replies[call.Step]
	switch {
	case s.answer != nil:
		r = s.answer(s, call)
	case !ok:
		r = Reply{Verdict: limits.OK, Response: []byte("{}")}
	}
	r.Contract = name
	r.Timing.WallNS = time.Now().UnixNano() // never twice the same
	r.Usage.InputBytes, r.Usage.OutputBytes = uint64(len(call.Request)), uint64(len(r.Response))
	return r, nil
}

func (s *script) BeginStep(step plan.Step) { s.current = step }

func (s *script) EndStep() (plan.Patch, []plan.Effect, []plan.Diagnostic) {
	h := s.host[s.current]
	s.secrets = append(s.secrets, h.secrets...)
	s.current = ""
	return h.patch, h.effects, h.diagnostics
}

func (s *script) Merged(patch plan.Patch, secrets map[string]string) {
	s.merged = append(s.merged, fmt.Sprint(patch.Notes, secrets))
}

func (s *script) Secrets() []string { return slices.Clone(s.secrets) }

// ok is the reply of a step that answered.
func ok(response string) Reply {
	return Reply{Verdict: limits.OK, Observer: limits.ByWorker, Response: []byte(response)}
}

func blueprint() *pack.Blueprint {
	sum := strings.Repeat("0123456789abcdef", 4)
	b := &pack.Blueprint{
		Form: pack.FormZip, Digest: "sha256:" + sum, Entry: pack.EntrySetup,
		Manifest:     pack.Manifest{ID: "events.sms", Version: "1.2.3", Generation: pack.GenerationProvisioning},
		Flow:         pack.Flow{ID: "setup_default"},
		Ways:         []pack.Way{{Via: pack.ViaSteps, Component: -1, Why: "there is a module for the step apply"}},
		Requirements: pack.StepRef{Step: plan.Requirements, Component: -1},
	}
	for i, s := range plan.Steps {
		b.Ways[0].Steps = append(b.Ways[0].Steps, pack.StepRef{Step: s, Component: i})
		b.Components = append(b.Components, pack.Component{Path: "components/setup_default__" + string(s) + ".wasm", Layer: component.LayerCore, SHA256: sum})
	}
	return b
}

func config(s *script) Config {
	env, url := "prod", "https://example.invalid"
	return Config{
		Blueprint: blueprint(),
		Inputs: plan.Inputs{
			Tenant: plan.Tenant{Environment: &env}, ProviderID: "events.sms", InstallID: "sms-1", PublicBaseURL: &url,
			Answers: json.RawMessage(`{"config": {"from": "+15551234567"}, "secrets": {"AUTH_TOKEN": "hunter2-answer"}}`),
		},
		Runner: s, Host: s, Limits: limits.Default(),
		Receipt: func() limits.Receipt {
			return limits.Receipt{Isolation: limits.Standard, Engine: "scripted 1", Walls: []limits.Wall{{Name: "test", Raised: true, Detail: "none"}}}
		},
	}
}

// scenario is a whole run with a golden result.
type scenario struct {
	name   string
	change func(*Config, *script)
	exit   int
	steps  int // that were started
}

// scenarios are those of all ways.
var scenarios = slices.Concat(stepScenarios, qaScenarios, flowScenarios)

var stepScenarios = []scenario{
	{name: "plain", exit: ExitOK, steps: 4, change: func(_ *Config, s *script) {
		s.replies[plan.Collect] = ok(`{"questions": {"type": "AdaptiveCard", "body": [{"type": "Input.Text", "id": "region", "label": "Region"}]}}`)
		s.replies[plan.Apply] = ok(`{"plan": {
			"config_patch": {"twilio.from_number": "+15551234567", "big": 9007199254740993},
			"secrets_patch": {"set": {"TWILIO_AUTH_TOKEN": {"redacted": true, "value": null}}, "delete": []},
			"webhook_ops": [{"op": "create", "id": "w", "url": "https://example.invalid/twilio", "metadata": {"provider": "twilio"}}],
			"notes": ["dry-run: <sms> provisioning plan"]}}`)
		s.replies[plan.Summary] = ok(`{"summary": "one webhook", "diagnostics": [{"severity": "warn", "code": "NUMBER_NOT_VERIFIED", "message": "verify it", "hint": "in the console"}]}`)
	}},
	{name: "hostcalls", exit: ExitOK, steps: 4, change: func(_ *Config, s *script) {
		s.host[plan.Collect] = hostScript{
			patch: plan.Patch{SubscriptionOps: []plan.SubscriptionOp{{Op: "upsert"}}, ConfigPatch: map[string]json.RawMessage{"region": json.RawMessage(`"us"`)}},
			effects: []plan.Effect{
				{Step: plan.Collect, Via: plan.ViaHostCall, Op: "subscriptions.upsert", Target: "subscription_ops[0]"},
				{Step: plan.Collect, Via: plan.ViaHostCall, Op: "config.set", Target: "config_patch.region"}},
			diagnostics: []plan.Diagnostic{{Severity: plan.Warn, Code: "CAPABILITY_DENIED", Message: "no oauth"}},
		}
		s.replies[plan.Collect] = ok(`{"plan": {"config_patch": {"region": "eu"}}}`)
		s.host[plan.Apply] = hostScript{
			patch:   plan.Patch{SubscriptionOps: []plan.SubscriptionOp{{Op: "delete"}}},
			effects: []plan.Effect{{Step: plan.Apply, Via: plan.ViaHostCall, Op: "subscriptions.delete", Target: "subscription_ops[0]"}},
		}
	}},
	{name: "secrets", exit: ExitDiagnostics, steps: 4, change: func(cfg *Config, s *script) {
		cfg.Inputs.ExistingState = json.RawMessage(`{"secrets": {"OLD": "hunter2-state"}}`)
		cfg.Inputs.Answers = json.RawMessage(`{"region": "hunter2-marked", "secrets": {"AUTH_TOKEN": "hunter2-answer"}}`)
		s.host[plan.Validate] = hostScript{secrets: []string{"hunter2-host"}}
		// Collect says things that become secrets only later.
		everything := `hunter2-answer hunter2-state hunter2-marked hunter2-host hunter2-patch aHVudGVyMi1wYXRjaA==`
		s.replies[plan.Collect] = ok(`{"all": "` + everything + `", "questions": [{"type": "Input.Text", "id": "region", "style": "Password"}]}`)
		r := ok(`{"all": {"hunter2-answer": "hunter2-\u0070atch"}, "message": "` + everything + `",
			"questions": ["hunter2-host"],
			"diagnostics": [{"severity": "info", "code": "LEAK", "message": "` + everything + `", "path": "/hunter2-patch", "hint": "hunter2-state", "data": "` + everything + `"}],
			"plan": {"config_patch": {"hunter2-state": "` + everything + `", "hunter2-host": 1},
			         "secrets_patch": {"set": {"NEW": {"redacted": false, "value": "hunter2-patch"}, "hunter2-answer": {"redacted": true}}, "delete": ["hunter2-marked"]},
			         "webhook_ops": [{"op": "create", "url": "https://x?k=hunter2-patch"}], "notes": ["` + everything + `"]}}`)
		r.Logs = []LogLine{{"info", everything}, {"warn", "cut in the middle of hunter2-pat…"}}
		s.replies[plan.Apply] = r
	}},
	{name: "hidden", exit: ExitDiagnostics, steps: 4, change: func(_ *Config, s *script) {
		s.host[plan.Collect] = hostScript{secrets: []string{"create"}, patch: plan.Patch{SubscriptionOps: []plan.SubscriptionOp{{Op: "create"}}}}
		s.replies[plan.Apply] = ok(`{"plan": {
			"secrets_patch": {"set": {"A": {"redacted": false, "value": "https://evil.invalid"}}},
			"webhook_ops": [{"op": "update", "url": "https://evil.invalid"}, {"op": "update", "url": "https://x/hunter2-answer"}, {"op": "update"}],
			"notes": ["all is well"]}}`)
	}},
	{name: "validate_errors", exit: ExitDiagnostics, steps: 2, change: func(_ *Config, s *script) {
		s.replies[plan.Validate] = ok(`{"diagnostics": [{"severity": "error", "code": "FROM_REQUIRED", "message": "the sender is missing", "path": "/config/from"}], "plan": {"notes": ["not to be merged"]}}`)
	}},
	{name: "not_ok", exit: ExitDiagnostics, steps: 1, change: func(_ *Config, s *script) {
		s.replies[plan.Collect] = ok(`{"ok": false, "message": "no account\u001b[31m"}`)
	}},
	{name: "not_ok_silent", exit: ExitDiagnostics, steps: 3, change: func(_ *Config, s *script) {
		s.replies[plan.Apply] = ok(`{"ok": false}`)
	}},
	{name: "not_ok_explained", exit: ExitDiagnostics, steps: 3, change: func(_ *Config, s *script) {
		s.replies[plan.Apply] = ok(`{"ok": false, "diagnostics": [{"severity": "error", "code": "QUOTA", "message": "no more numbers"}]}`)
	}},
	{name: "malformed", exit: ExitDiagnostics, steps: 3, change: func(_ *Config, s *script) {
		s.replies[plan.Apply] = ok(`{"plan": {"config_patch": []}}`)
	}},
	{name: "trap", exit: ExitStopped, steps: 3, change: func(_ *Config, s *script) {
		s.replies[plan.Collect] = ok(`{"plan": {"notes": ["collected"]}}`)
		s.replies[plan.Apply] = Reply{Verdict: limits.Trap, Observer: limits.ByWorker, Detail: "wasm trap: unreachable in hunter2-answer"}
	}},
	{name: "crash", exit: ExitStopped, steps: 1, change: func(_ *Config, s *script) {
		s.replies[plan.Collect] = Reply{Verdict: limits.WorkerCrash, Observer: limits.ByKernel, Signal: "SIGSEGV"}
	}},
	{name: "output_limit", exit: ExitStopped, steps: 1, change: func(cfg *Config, s *script) {
		cfg.Limits.StepOutput = 64
		s.replies[plan.Collect] = ok(`{"x": "` + strings.Repeat("x", 64) + `"}`)
	}},
	{name: "outputs_do_not_fit", exit: ExitStopped, steps: 2, change: func(cfg *Config, s *script) {
		cfg.Limits.StepInput = 2 * limits.KiB
		s.replies[plan.Collect] = ok(`{"x": "` + strings.Repeat("x", 2<<10) + `"}`)
	}},
	{name: "public_base_url", exit: ExitDiagnostics, steps: 0, change: func(cfg *Config, _ *script) {
		cfg.Blueprint.Manifest.RequiresPublicBaseURL = true
		empty := ""
		cfg.Inputs.PublicBaseURL = &empty
	}},
	{name: "absent_steps", exit: ExitOK, steps: 2, change: func(cfg *Config, s *script) {
		cfg.Blueprint.Ways[0].Steps[0] = pack.StepRef{Step: plan.Collect, Component: -1, Why: "looked for components/setup_default__collect.wasm"}
		cfg.Blueprint.Ways[0].Steps[3] = pack.StepRef{Step: plan.Summary, Component: -1}
		cfg.Blueprint.Findings = []plan.Diagnostic{{Severity: plan.Warn, Code: "UNSIGNED", Message: "the pack is not signed"}}
		cfg.Blueprint.Components[1].Layer, cfg.Blueprint.Components[1].Text = "", true
		cfg.Receipt = nil
	}},
	{name: "nothing_to_provision", exit: ExitOK, steps: 0, change: func(cfg *Config, _ *script) {
		cfg.Blueprint.Nothing = true
		cfg.Blueprint.Manifest.RequiresPublicBaseURL = true
		cfg.Inputs.PublicBaseURL = nil
		for i := range cfg.Blueprint.Ways[0].Steps {
			cfg.Blueprint.Ways[0].Steps[i].Component = -1
		}
	}},
	{name: "noop", exit: ExitOK, steps: 4, change: func(cfg *Config, _ *script) { cfg.Runner = Noop }},
}

func newScript() *script {
	return &script{replies: map[plan.Step]Reply{}, errs: map[plan.Step]error{}, host: map[plan.Step]hostScript{}}
}

func TestRun(t *testing.T) {
	resultSchema := readSchema(t, "result")
	requestSchema := readSchema(t, "request")
	for _, tc := range scenarios {
		t.Run(tc.name, func(t *testing.T) {
			var texts [2][]byte
			for i := range texts {
				s := newScript()
				cfg := config(s)
				tc.change(&cfg, s)
				res, err := Run(t.Context(), cfg)
				if err != nil {
					t.Fatal(err)
				}
				if texts[i], err = plan.Canonical(res); err != nil {
					t.Fatal(err)
				}
				if res.ExitCode != tc.exit || ExitCode(res, nil) != tc.exit || len(res.StepResults) != tc.steps {
					t.Errorf("exit code %d, %d steps, want %d, %d", res.ExitCode, len(res.StepResults), tc.exit, tc.steps)
				}
				if res.Digest == "" || res.Digest != plan.Digest(res.Plan) {
					t.Errorf("digest %q", res.Digest)
				}
				for _, call := range s.calls {
					if call.Action == contract.ActStep {
						validate(t, requestSchema, call.Request)
					}
				}
			}
			if !bytes.Equal(texts[0], texts[1]) {
				t.Errorf("two runs of the same differ:\n%s\n%s", texts[0], texts[1])
			}
			validate(t, resultSchema, texts[0])
			if bytes.Contains(texts[0], []byte("hunter2")) {
				t.Errorf("a secret is left in %s", texts[0])
			}
			golden(t, tc.name, texts[0])
		})
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, got, "", "  "); err != nil {
		t.Fatal(err)
	}
	b.WriteByte('\n')
	file := filepath.Join("testdata", name+".golden.json")
	if *update {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("%s differs (go test ./engine -update writes it); got\n%s", file, b.Bytes())
	}
}

func readSchema(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	b, err := os.ReadFile("../docs/schemas/" + name + ".schema.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(t *testing.T, s *jsonschema.Schema, text []byte) {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(doc); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
}

// TestGoldenFilesAreUsed fails for files that no scenario writes any more.
func TestGoldenFilesAreUsed(t *testing.T) {
	files, err := filepath.Glob("testdata/*.golden.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".golden.json")
		used := false
		for _, tc := range scenarios {
			used = used || tc.name == name
		}
		if !used {
			t.Errorf("%s belongs to no scenario", f)
		}
	}
}

func TestRequests(t *testing.T) {
	s := newScript()
	s.replies[plan.Collect] = ok(`{"plan": {"notes": ["hunter2-answer"], "secrets_patch": {"set": {"K": {"redacted": false, "value": "hunter2-patch"}}}}, "diagnostics": [{"severity": "warn", "code": "W", "message": "m"}], "found": "hunter2-patch", "questions": 1}`)
	if _, err := Run(t.Context(), config(s)); err != nil {
		t.Fatal(err)
	}
	if len(s.calls) != 4 {
		t.Fatalf("%d calls", len(s.calls))
	}
	const inputs = `"inputs":{"answers":{"config":{"from":"+15551234567"},"secrets":{"AUTH_TOKEN":"hunter2-answer"}},"existing_state":null,"install_id":"sms-1","provider_id":"events.sms","public_base_url":"https://example.invalid","tenant":{"environment":"prod","team":null,"tenant":null,"user":null}}`
	const answers = `"answers":{"config":{"from":"+15551234567"},"secrets":{"AUTH_TOKEN":"hunter2-answer"}}`
	if got, want := string(s.calls[0].Request), `{"contract":"greentic:provision-step@1.0.0","entry":"setup",`+inputs+`,"mode":"install","state":{`+answers+`,"previous":[]},"step":"collect"}`; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	const collected = `{"output":{"data":{"found":"[redacted]"},"diagnostics":[{"code":"W","message":"m","severity":"warn"}],"plan_patch":{"config_patch":null,"notes":["[redacted]"],"oauth_ops":null,"secrets_patch":{"delete":[],"set":{"K":{"redacted":true,"value":null}}},"subscription_ops":null,"webhook_ops":null},"questions":1},"step":"collect"}`
	if got, want := string(s.calls[1].Request), `{"contract":"greentic:provision-step@1.0.0","entry":"setup",`+inputs+`,"mode":"install","state":{`+answers+`,"previous":[`+collected+`]},"step":"validate"}`; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}

	// Seeds depend on the pack, the inputs and the step, and on nothing else.
	seeds := map[[32]byte]string{}
	record := func(what string, calls []Call) {
		for _, c := range calls {
			if before, twice := seeds[c.Seed]; twice {
				t.Errorf("%s %s has the seed of %s", what, c.Step, before)
			}
			seeds[c.Seed] = what + " " + string(c.Step)
		}
	}
	record("first", s.calls)
	again := newScript()
	if _, err := Run(t.Context(), config(again)); err != nil {
		t.Fatal(err)
	}
	for i := range s.calls {
		if s.calls[i].Seed != again.calls[i].Seed {
			t.Errorf("another seed the second time")
		}
	}
	for what, change := range map[string]func(*Config){
		"other pack":    func(c *Config) { c.Blueprint.Digest = "sha256:x" },
		"other answers": func(c *Config) { c.Inputs.Answers = json.RawMessage(`{"a": 1}`) },
		"other tenant":  func(c *Config) { c.Inputs.Tenant.Environment = nil },
	} {
		s := newScript()
		cfg := config(s)
		change(&cfg)
		if _, err := Run(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		record(what, s.calls)
	}
}

func TestRunRefusesInputs(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"array", func(c *Config) { c.Inputs.Answers = json.RawMessage(`[]`) }, "answers: must be an object, found an array"},
		{"duplicate", func(c *Config) { c.Inputs.Answers = json.RawMessage(`{"a":{"b":1,"b":2}}`) }, "answers: at /a/b: is a duplicate name"},
		{"state", func(c *Config) { c.Inputs.ExistingState = json.RawMessage(`{`) }, "existing state: ends too early"},
		{"too large", func(c *Config) {
			c.Inputs.Answers = json.RawMessage(`{"a":"` + strings.Repeat("x", 600<<10) + `"}`)
		}, "over the limit of 1 MiB; answers count twice in it (raise --max-step-input or shorten the answers)"},
	} {
		s := newScript()
		cfg := config(s)
		tc.change(&cfg)
		res, err := Run(t.Context(), cfg)
		if _, ok := errors.AsType[*InputError](err); !ok || res != nil || !strings.Contains(err.Error(), tc.want) || len(s.calls) != 0 {
			t.Errorf("%s: got %v, %v, %d calls", tc.name, res, err, len(s.calls))
		}
		if code := ExitCode(res, err); code != ExitUsage {
			t.Errorf("%s: exit code %d", tc.name, code)
		}
	}
	s := newScript()
	cfg := config(s)
	cfg.Inputs.Answers, cfg.Inputs.ExistingState = nil, json.RawMessage("null")
	if _, err := Run(t.Context(), cfg); err != nil || !bytes.Contains(s.calls[0].Request, []byte(`"answers":{}`)) {
		t.Errorf("without answers: %v", err)
	}
}

func TestRunnerErrors(t *testing.T) {
	fault := errors.New("broken")
	wall := &limits.WallError{Wall: "seccomp", Err: limits.ErrUnsupported}
	for want, err := range map[int]error{ExitFault: fault, ExitIsolation: fmt.Errorf("step: %w", wall)} {
		s := newScript()
		s.errs[plan.Validate] = err
		res, got := Run(t.Context(), config(s))
		if res != nil || !errors.Is(got, err) || ExitCode(res, got) != want {
			t.Errorf("got %v, %v, exit code %d, want %d", res, got, ExitCode(res, got), want)
		}
	}
	cfg := config(newScript())
	cfg.Blueprint.Ways[0].Steps[0].Component = 4
	if _, err := Run(t.Context(), cfg); ExitCode(nil, err) != ExitFault || err == nil {
		t.Errorf("a blueprint that refers to nothing: %v", err)
	}
}

func TestRunTimeIsForAllSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.wait = 25 * time.Second // each step is within its own limit as far as the runner knows
		res, err := Run(t.Context(), config(s))
		if err != nil {
			t.Fatal(err)
		}
		if len(s.calls) != 3 || res.Verdict != limits.Deadline || res.ExitCode != ExitStopped {
			t.Errorf("%d calls, verdict %s, exit code %d", len(s.calls), res.Verdict, res.ExitCode)
		}
		d := res.Diagnostics[0]
		if d.Code != "RUN_DEADLINE" || !strings.Contains(d.Message, "the apply step") || !strings.Contains(d.Message, "--run-timeout 1m0s") {
			t.Errorf("got %+v", d)
		}
	})
}

func TestInterrupt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("terminated by signal")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(cause) })
		s := newScript()
		s.wait = 3 * time.Second
		res, err := Run(ctx, config(s))
		if res != nil || !errors.Is(err, ErrInterrupted) || !errors.Is(err, cause) || ExitCode(res, err) != ExitInterrupted {
			t.Errorf("got %v, %v", res, err)
		}
		if _, err := Run(ctx, config(s)); !errors.Is(err, ErrInterrupted) || len(s.calls) != 1 {
			t.Errorf("with a context that has ended: %v, %d calls", err, len(s.calls))
		}
	})
}

func TestProgress(t *testing.T) {
	s := newScript()
	s.replies[plan.Apply] = Reply{Verdict: limits.Trap}
	cfg := config(s)
	cfg.Blueprint.Ways[0].Steps[0].Component = -1
	var got []string
	cfg.Progress = func(e Event) {
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", e.Kind, e.Step, filepath.Base(e.Component), e.Verdict)))
	}
	res, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"absent collect .",
		"started validate setup_default__validate.wasm", "ended validate setup_default__validate.wasm ok",
		"started apply setup_default__apply.wasm", "ended apply setup_default__apply.wasm trap",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if v := res.Volatile.Steps; len(v) != 2 || v[1].Step != plan.Apply || v[1].Timing.WallNS == 0 {
		t.Errorf("volatile: %+v", v)
	}
}

func TestLogsAreBounded(t *testing.T) {
	s := newScript()
	r := ok(`{}`)
	r.Logs = []LogLine{{"info", strings.Repeat("a", 40)}, {"info", strings.Repeat("b", 40)}, {strings.Repeat("l", 1000), "c"}}
	r.Usage.LogDropped = 7
	s.replies[plan.Collect] = r
	cfg := config(s)
	cfg.Limits.Log = 50
	res, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	sr := res.StepResults[0]
	if len(sr.Logs) != 1 || sr.Logs[0].Text[0] != 'a' || sr.Usage.LogDropped != 7+41 {
		t.Errorf("got %v, %d dropped", sr.Logs, sr.Usage.LogDropped)
	}
}

func TestDiagnosticsAreBounded(t *testing.T) {
	s := newScript()
	long := strings.Repeat("é", 20<<10)
	s.replies[plan.Collect] = ok(`{"diagnostics": [{"severity": "info", "code": "LONG", "message": "` + long + `", "path": "` + long + `", "hint": "` + long + `"}]}`)
	s.replies[plan.Validate] = Reply{Verdict: limits.GuestError, Detail: long}
	res, err := Run(t.Context(), config(s))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range res.Diagnostics {
		if len(d.Message) > maxMessage+3 || len(d.Path) > maxPath+3 || len(d.Hint) > maxMessage+3 || strings.Contains(d.Message, "\ufffd") {
			t.Errorf("%s: %d, %d, %d bytes", d.Code, len(d.Message), len(d.Path), len(d.Hint))
		}
	}
}

// TestDepthIsNoFaultOfOurs nests inputs and responses as deep as they may: what
// is put around them must not break the limit that they kept.
func TestDepthIsNoFaultOfOurs(t *testing.T) {
	deep := `{"a":` + strings.Repeat("[", plan.MaxDepth-1) + strings.Repeat("]", plan.MaxDepth-1) + `}`
	s := newScript()
	for _, step := range plan.Steps {
		s.replies[step] = ok(deep)
	}
	cfg := config(s)
	cfg.Inputs.Answers, cfg.Inputs.ExistingState = json.RawMessage(deep), json.RawMessage(deep)
	res, err := Run(t.Context(), cfg)
	if err != nil || res.ExitCode != ExitOK {
		t.Fatal(res, err)
	}
	if b, err := plan.Canonical(res); err != nil || !bytes.Contains(b, []byte(`"data":`+deep)) {
		t.Errorf("got %.200s, %v", b, err)
	}
}

// TestPasswordAnswersAreSecret: the answer to a question that asks for a password
// is one, wherever it stands and whatever it is called.
func TestPasswordAnswersAreSecret(t *testing.T) {
	for _, question := range []string{`"type": "Input.Text", "style": "Password"`, `"type": "Input.Password"`, `"kind": "secret", "label": "x"`,
		`"type": "string", "title": "x", "secret": true`, `"type": "string", "title": "x", "format": "password"`} {
		for _, answers := range []string{`{"a.b": "hunter2"}`, `{"config": {"a.b": "hunter2"}}`, `{"a": {"b": ["hunter2"]}}`} {
			s := newScript()
			cfg := config(s)
			cfg.Inputs.Answers = json.RawMessage(answers)
			s.replies[plan.Collect] = ok(`{"seen": "hunter2", "questions": {"body": [{"id": "a.b", ` + question + `}]}}`)
			s.replies[plan.Validate] = ok(`{"plan": {"notes": ["it is hunter2"]}, "questions": [{"type": "Input.Number", "style": "password", "id": "n"}]}`)
			res, err := Run(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			if b, err := plan.Canonical(res); err != nil || bytes.Contains(b, []byte("hunter2")) {
				t.Errorf("%s, %s: a secret is left in %s, %v", question, answers, b, err)
			}
			if previous := s.calls[1].Request[bytes.Index(s.calls[1].Request, []byte(`"previous"`)):]; bytes.Contains(previous, []byte("hunter2")) {
				t.Errorf("the next step is told %s", previous)
			}
		}
	}
}

// TestFailuresHideNothingOfOurs: in diagnostics of our own, what others said is
// scrubbed, whole or cut, and our words stay.
func TestFailuresHideNothingOfOurs(t *testing.T) {
	for _, tc := range []struct {
		reply Reply
		want  string // the end of the message
	}{
		{Reply{Verdict: limits.GuestError, Detail: "BAD: hunter2/x~y"}, " failed: BAD: [redacted]"},
		{Reply{Verdict: limits.GuestError, Detail: "BAD: ends in a step"}, " failed: BAD: ends in a step"},
		{Reply{Verdict: limits.GuestError, Detail: "BAD: cut in hunter2/…"}, " failed: BAD: cut in [redacted]…"},
		{Reply{Verdict: limits.GuestError, Detail: strings.Repeat("x", maxDetail-7) + "hunter2"}, "xx[redacted]"},
		{ok(`{"plan": {"hunter2/x~y": 1}}`), ": JSON at /plan/[redacted]: is not a member of the contract"},
		{ok(`{"plan": {"abc": 1}}`), ": JSON at /plan/[redacted]: is not a member of the contract"},
		{ok(`{"ok": false, "message": "hunter2/x~y"}`), " says that it failed: [redacted]"},
		{ok(`{"plan": {"config_patch": {"` + strings.Repeat("x", 500) + `hunter2/x~y": 1, "` + strings.Repeat("x", 500) + `hunter2/x~y": 1}}}`), ": JSON at /plan/config_patch/(a long name): is a duplicate name"},
	} {
		s := newScript()
		s.replies[plan.Collect] = tc.reply
		cfg := config(s)
		cfg.Blueprint.Ways[0].Steps[1].Component = -1
		cfg.Blueprint.Findings = []plan.Diagnostic{{Severity: plan.Info, Code: "FINDING", Message: "a step"}}
		cfg.Inputs.Answers = json.RawMessage(`{"secrets": ["hunter2/x~y", "step ran", "step (", "abc", "FINDING", "returned"]}`)
		res, err := Run(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := plan.Canonical(res.Diagnostics)
		if d := res.Diagnostics[1]; !strings.HasSuffix(d.Message, tc.want) || !strings.HasPrefix(d.Message, "the collect step (") || bytes.Contains(b, []byte("hunter")) {
			t.Errorf("got %s, want %s", b, tc.want)
		}
		if got := res.Diagnostics[0].Code; got != "FINDING" {
			t.Errorf("the finding became %s", got)
		}
	}
}

func TestLogLinesThatWereCut(t *testing.T) {
	s := newScript()
	r := ok(`{}`)
	r.Logs = []LogLine{{"info", "ends in hunter2"}, {"stdout", strings.Repeat("x", maxLine-7) + "hunter2"}}
	s.replies[plan.Collect] = r
	res, err := Run(t.Context(), config(s)) // the secret is hunter2-answer
	if err != nil {
		t.Fatal(err)
	}
	if logs := res.StepResults[0].Logs; logs[0].Text != "ends in hunter2" || !strings.HasSuffix(logs[1].Text, "xx[redacted]") {
		t.Errorf("got %q, %.20q", logs[0].Text, logs[1].Text)
	}
}

// TestHidden: who declared a secret, and where it stands in the plan, decide
// whether hiding it is an error.
func TestHidden(t *testing.T) {
	const set = `"secrets_patch": {"set": {"K": {"redacted": false, "value": "declared-by-guest"}}}`
	for _, tc := range []struct {
		patch string
		want  string // severity and path
	}{
		{set, ""},
		{set + `, "config_patch": {"k": ["declared-by-guest"]}`, "warn config_patch.k"},
		{set + `, "config_patch": {"declared-by-guest": 1}`, "error config_patch.[redacted]"},
		{`"secrets_patch": {"set": {"K": {"redacted": false, "value": "OTHER"}}, "delete": ["OTHER"]}`, "error secrets_patch.delete.[redacted]"},
		{set + `, "webhook_ops": [{"op": "x"}, {"op": "x", "url": "https://x/declared-by-guest"}]`, "error webhook_ops[1]"},
		{set + `, "webhook_ops": [{"op": "x", "metadata": {"token": "declared-by-guest"}}]`, "warn webhook_ops[0]"},
		{set + `, "subscription_ops": [{"op": "declared-by-guest"}]`, "error subscription_ops[0]"},
		{set + `, "oauth_ops": [{"op": "start", "provider": "p", "scopes": ["declared-by-guest"]}]`, "error oauth_ops[0]"},
		{set + `, "notes": ["declared-by-guest"]`, "warn notes[0]"},
		{`"webhook_ops": [{"op": "x", "url": "https://x/hunter2-answer"}]`, "warn webhook_ops[0]"},
		{`"secrets_patch": {"set": {"K": {"redacted": false, "value": "hunter2-answer"}}}, "webhook_ops": [{"op": "x", "url": "https://x/hunter2-answer"}]`, "warn webhook_ops[0]"},
		{`"webhook_ops": [{"op": "x", "url": "https://x/of-the-state"}]`, "warn webhook_ops[0]"},
		{`"webhook_ops": [{"op": "x", "url": "[redacted]"}]`, ""},
	} {
		s := newScript()
		s.secrets = []string{"of-the-state"} // known to the host before the first step
		s.replies[plan.Apply] = ok(`{"plan": {` + tc.patch + `}}`)
		res, err := Run(t.Context(), config(s))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, d := range res.Diagnostics {
			if d.Code != "PLAN_VALUE_REDACTED" || got != "" {
				t.Errorf("%s: %+v", tc.patch, d)
			}
			got = string(d.Severity) + " " + d.Path
		}
		if got != tc.want || (res.ExitCode == ExitDiagnostics) != strings.HasPrefix(tc.want, "error") {
			t.Errorf("%s: got %q, want %q, exit code %d", tc.patch, got, tc.want, res.ExitCode)
		}
	}
	s := newScript()
	s.replies[plan.Apply] = ok(`{"plan": {"notes": [` + strings.Repeat(`"hunter2-answer",`, 500) + `""]}}`)
	if res, err := Run(t.Context(), config(s)); err != nil || len(res.Diagnostics) != maxHidden+1 || !strings.HasPrefix(res.Diagnostics[maxHidden].Message, "and 400 more parts") {
		t.Errorf("many: %v, %v", res, err)
	}
}

// TestStoredStateIsNotGuessedAt: what is secret in the state of a store is for the store
// to say, by way of Host. A name counts where nobody said anything.
func TestStoredStateIsNotGuessedAt(t *testing.T) {
	for _, tc := range []struct {
		revision uint64
		secrets  []string
		value    string
		warned   bool
	}{
		{0, nil, `"[redacted]"`, true},
		{3, nil, `"BOT_TOKEN"`, false},
		{3, []string{"BOT_TOKEN"}, `"[redacted]"`, true},
	} {
		s := newScript()
		s.secrets = tc.secrets
		s.replies[plan.Apply] = ok(`{"plan": {"config_patch": {"auth_token_secret": "BOT_TOKEN"}}}`)
		cfg := config(s)
		cfg.Revision = tc.revision
		cfg.Inputs.ExistingState = json.RawMessage(`{"config": {"auth_token_secret": "BOT_TOKEN"}, "secrets": {}, "subscriptions": []}`)
		res, err := Run(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		warned := slices.ContainsFunc(res.Diagnostics, func(d plan.Diagnostic) bool { return d.Code == "PLAN_VALUE_REDACTED" })
		if got := string(res.Plan.ConfigPatch["auth_token_secret"]); got != tc.value || warned != tc.warned {
			t.Errorf("revision %d, secrets %q: the plan has %s, diagnostics %v", tc.revision, tc.secrets, got, res.Diagnostics)
		}
	}
}

// TestTextsInSecretsAreSecrets: what is copied out of a secret that is JSON is hidden,
// whoever gave it, also where the step failed.
func TestTextsInSecretsAreSecrets(t *testing.T) {
	s := newScript()
	s.replies[plan.Collect] = ok(`{"plan": {"notes": ["uses private-of-answers"]}}`)
	s.replies[plan.Apply] = ok(`{"ok": false, "message": "cannot use private-of-guest",
		"plan": {"secrets_patch": {"set": {"K": {"redacted": false, "value": "{\"private_key\": \"private-of-guest\"}"}}}}}`)
	cfg := config(s)
	cfg.Inputs.Answers = json.RawMessage(`{"secrets": {"SA": "{\"private_key\": \"private-of-answers\"}"}}`)
	res, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	b, err := plan.Canonical(res)
	if err != nil || strings.Contains(string(b), "private-of") || !strings.Contains(string(b), "uses [redacted]") || !strings.Contains(string(b), "cannot use [redacted]") {
		t.Errorf("%s, %v", b, err)
	}
}

// TestMerged: the host learns what successful steps returned.
func TestMerged(t *testing.T) {
	s := newScript()
	s.replies[plan.Collect] = ok(`{"plan": {"notes": ["c"], "secrets_patch": {"set": {"K": {"redacted": false, "value": "v"}}}}}`)
	s.replies[plan.Apply] = ok(`{"ok": false, "plan": {"notes": ["a"]}}`)
	if _, err := Run(t.Context(), config(s)); err != nil || !slices.Equal(s.merged, []string{"[c] map[K:v]"}) {
		t.Errorf("got %q, %v", s.merged, err)
	}
}

func TestMisspeltMembers(t *testing.T) {
	s := newScript()
	s.replies[plan.Collect] = ok(`{"PLAN": {}, "plans": {}}`)
	res, err := Run(t.Context(), config(s))
	if err != nil || res.ExitCode != ExitOK || len(res.Diagnostics) != 1 {
		t.Fatal(res, err)
	}
	if d := res.Diagnostics[0]; d.Code != "RESPONSE_MEMBER_UNKNOWN" || d.Severity != plan.Info || !strings.HasSuffix(d.Message, ": PLAN, plans") {
		t.Errorf("got %+v", d)
	}
}
