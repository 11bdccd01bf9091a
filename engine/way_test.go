package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/greentic-ai/greentic-provision/contract"
	"github.com/greentic-ai/greentic-provision/flow"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
)

// The components of everyWay, by index; before them come those of the steps.
const (
	ofRequirements = 4 + iota
	ofComponent
	ofQA
	ofNode
)

// everyWay is a pack that can be run in each way, as far as the pack can tell.
func everyWay() *pack.Blueprint {
	b := blueprint()
	for _, path := range []string{"requirements", "whole", "provider", "node"} {
		b.Components = append(b.Components, pack.Component{ID: path, Path: "components/" + path + ".wasm", SHA256: b.Components[0].SHA256})
	}
	b.Requirements.Component = ofRequirements
	b.Graphs = map[string]*flow.Graph{"setup_default": {ID: "setup_default", Nodes: []flow.Node{{ID: "only", Component: "node", Operation: "apply"}}}}
	b.Ways = append(b.Ways,
		pack.Way{Via: pack.ViaComponent, Component: ofComponent, Why: "it has the name of the flow"},
		pack.Way{Via: pack.ViaQA, Component: ofQA, Why: "it is the provider's"},
		pack.Way{Via: pack.ViaFlow, Component: -1, Nodes: map[string]int{"node": ofNode}, Why: "the graph of the flow"},
	)
	return b
}

// possible makes the components of everyWay what its ways need.
func possible(s *script) {
	s.spoken = map[int]Examined{
		ofQA:   speaks("greentic:component/qa@0.6", contract.ActQASpec, contract.ActApplyAnswers),
		ofNode: speaks("greentic:component/node@0.6", contract.ActInvoke),
	}
}

func broken(v limits.Verdict, detail string) Examined {
	return Examined{Reply: Reply{Verdict: v, Observer: limits.ByWorker, Detail: detail}}
}

func TestChoose(t *testing.T) {
	// without makes ways impossible by the pack.
	without := func(b *pack.Blueprint, vias ...pack.Via) {
		for i := range b.Ways {
			if slices.Contains(vias, b.Ways[i].Via) {
				b.Ways[i].Problem = "not in the pack"
			}
		}
	}
	for _, tc := range []struct {
		name    string
		change  func(*pack.Blueprint, *script)
		via     pack.Via
		want    pack.Via // "" is none
		why     string   // the beginning
		refused string   // by way, a part of why
		looked  []int
		err     string // a part of what pack.Error says
	}{
		{name: "steps come first", want: pack.ViaSteps, why: "there is a module", looked: []int{ofRequirements, 0, 1, 2, 3}},
		{name: "then one component", want: pack.ViaComponent, refused: "steps: not in the pack", looked: []int{ofRequirements, ofComponent},
			change: func(b *pack.Blueprint, _ *script) { without(b, pack.ViaSteps) }},
		{name: "a component that runs no steps is no way", want: pack.ViaQA, looked: []int{ofRequirements, ofComponent, ofQA},
			refused: `steps: not in the pack, component: the component does not do "step"; it speaks greentic:component/node@0.4`,
			change: func(b *pack.Blueprint, s *script) {
				without(b, pack.ViaSteps)
				s.spoken[ofComponent] = speaks("greentic:component/node@0.4", contract.ActInvoke)
			}},
		{name: "nor is one that speaks nothing", want: pack.ViaQA, looked: []int{ofRequirements, ofComponent, ofQA},
			refused: "steps: not in the pack, component: contract_mismatch: it exports nothing",
			change: func(b *pack.Blueprint, s *script) {
				without(b, pack.ViaSteps)
				s.spoken[ofComponent] = broken(limits.ContractMismatch, "it exports nothing")
			}},
		{name: "a busy machine takes no other way", want: pack.ViaComponent, looked: []int{ofRequirements, ofComponent}, refused: "steps: not in the pack",
			change: func(b *pack.Blueprint, s *script) {
				without(b, pack.ViaSteps)
				s.spoken[ofComponent] = broken(limits.CompileFailed, "it took too long")
			}},
		{name: "a provider without questions is no way", want: pack.ViaFlow, looked: []int{ofQA, ofNode},
			refused: `steps: not in the pack, component: not in the pack, qa: the component does not do "qa-spec"; it speaks a`,
			change: func(b *pack.Blueprint, s *script) {
				without(b, pack.ViaSteps, pack.ViaComponent)
				s.spoken[ofQA] = speaks("a", contract.ActDescribe, contract.ActApplyAnswers)
			}},
		{name: "nor is one that takes no answers", want: pack.ViaFlow, looked: []int{ofQA, ofNode},
			refused: `steps: not in the pack, component: not in the pack, qa: the component does not do "apply-answers"; it speaks a`,
			change: func(b *pack.Blueprint, s *script) {
				without(b, pack.ViaSteps, pack.ViaComponent)
				s.spoken[ofQA] = speaks("a", contract.ActQASpec)
			}},
		{name: "a flow that cannot end is no way", looked: []int{ofQA},
			err: `the pack cannot be run: qa: the component does not do "qa-spec"; it speaks a; flow: flow "setup_default": node "only": FLOW_STEP_CAP`,
			change: func(b *pack.Blueprint, s *script) {
				b.Ways = b.Ways[2:]
				s.spoken[ofQA] = speaks("a", contract.ActInvoke)
				b.Graphs["setup_default"].Nodes[0].Routing = flow.Routing{Kind: flow.RouteNext, Next: "only"}
			}},
		{name: "a node that cannot be run is told when it is reached", want: pack.ViaFlow, looked: []int{ofNode}, refused: "",
			change: func(b *pack.Blueprint, s *script) {
				b.Ways = b.Ways[3:]
				b.Ways[0].Nodes["absent"] = -1
				s.spoken[ofNode] = speaks("a", contract.ActQASpec)
			}},
		{name: "--via", via: pack.ViaQA, want: pack.ViaQA, why: "asked for with --via; it is the provider's", looked: []int{ofQA}},
		{name: "--via what the pack does not have", via: pack.ViaComponent, looked: nil,
			err:    `the pack cannot be run in the way "component" that --via asks for: component: not in the pack`,
			change: func(b *pack.Blueprint, _ *script) { without(b, pack.ViaComponent) }},
		{name: "of ways that are none, the one is taken whose component cannot be run", want: pack.ViaQA, why: "no way is possible",
			refused: `component: the component does not do "step"; it speaks a, qa: contract_mismatch: it exports nothing`, looked: []int{ofRequirements, ofComponent, ofQA},
			change: func(b *pack.Blueprint, s *script) {
				b.Ways = b.Ways[1:3]
				s.spoken[ofComponent], s.spoken[ofQA] = speaks("a", contract.ActInvoke), broken(limits.ContractMismatch, "it exports nothing")
			}},
		{name: "--via what the binary is not", via: pack.ViaComponent, looked: []int{ofRequirements, ofComponent},
			err:    `the pack cannot be run in the way "component" that --via asks for: component: the component does not do "step"; it speaks a`,
			change: func(_ *pack.Blueprint, s *script) { s.spoken[ofComponent] = speaks("a", contract.ActQASpec) }},
		{name: "no way at all", err: "the pack cannot be run: steps: not in the pack; component: not in the pack; qa: not in the pack; flow: not in the pack",
			change: func(b *pack.Blueprint, _ *script) { without(b, pack.Vias...) }},
		{name: "requirements without a way are answered from documents", want: "", refused: "steps: not in the pack",
			change: func(b *pack.Blueprint, _ *script) {
				b.Entry, b.Ways = pack.EntryRequirements, b.Ways[:1]
				without(b, pack.ViaSteps)
			}},
		{name: "so they are where a flow asks what cannot be invoked", want: "", looked: []int{ofNode},
			refused: "flow: the component node cannot be asked, and what the pack declares says the same",
			change: func(b *pack.Blueprint, s *script) {
				b.Entry, b.Ways = pack.EntryRequirements, b.Ways[3:]
				s.spoken[ofNode] = speaks("a", contract.ActStep)
			}},
		{name: "but not where --via asks for the flow", via: pack.ViaFlow, want: pack.ViaFlow, looked: []int{ofNode}, why: "asked for with --via",
			change: func(b *pack.Blueprint, s *script) {
				b.Entry, b.Ways = pack.EntryRequirements, b.Ways[3:]
				s.spoken[ofNode] = speaks("a", contract.ActStep)
			}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b, s := everyWay(), newScript()
			possible(s)
			if tc.change != nil {
				tc.change(b, s)
			}
			c, err := Choose(t.Context(), b, s, tc.via, "")
			if tc.err != "" {
				e, ok := errors.AsType[*pack.Error](err)
				if !ok || !strings.Contains(e.Detail, tc.err) || ExitCode(nil, err) != ExitPack {
					t.Errorf("got %v", err)
				}
			} else if err != nil || c.Way.Via != tc.want || !strings.HasPrefix(c.Why, tc.why) {
				t.Errorf("got %s because %q, %v", c.Way.Via, c.Why, err)
			}
			var refused []string
			for _, r := range c.Refused {
				refused = append(refused, string(r.Via)+": "+r.Why)
			}
			if got := strings.Join(refused, ", "); tc.err == "" && !strings.HasPrefix(got, tc.refused) || tc.err == "" && tc.refused == "" && got != "" {
				t.Errorf("refused %s", got)
			}
			if !slices.Equal(s.looked, tc.looked) {
				t.Errorf("looked at %v, want %v", s.looked, tc.looked)
			}
		})
	}
}

// TestSurvey: all components are looked at, also behind the way that is chosen.
func TestSurvey(t *testing.T) {
	s := newScript()
	possible(s)
	c, err := Survey(t.Context(), everyWay(), s, "")
	if err != nil || c.Way.Via != pack.ViaSteps || len(c.Refused) > 0 {
		t.Fatal(c, err)
	}
	if want := []int{ofRequirements, 0, 1, 2, 3, ofComponent, ofQA, ofNode}; !slices.Equal(s.looked, want) || len(c.Examined) != len(want) {
		t.Errorf("looked at %v, told of %d", s.looked, len(c.Examined))
	}
}

func TestChooseTakesOnlyWaysThatItKnows(t *testing.T) {
	b := everyWay()
	b.Ways = []pack.Way{{Via: "luck", Component: ofComponent}}
	if _, err := Choose(t.Context(), b, newScript(), "", ""); err == nil || ExitCode(nil, err) != ExitFault {
		t.Errorf("got %v", err)
	}
}

// faulty cannot examine.
type faulty struct{ *script }

func (faulty) Examine(context.Context, int, string) (Examined, error) {
	return Examined{}, errors.New("no worker")
}

func TestFaultOfExamination(t *testing.T) {
	for _, via := range append(pack.Vias, "") {
		if _, err := Choose(t.Context(), everyWay(), faulty{newScript()}, via, ""); err == nil || err.Error() != "no worker" {
			t.Errorf("%s: got %v", via, err)
		}
	}
	if _, err := Examine(t.Context(), Config{Blueprint: everyWay(), Runner: faulty{newScript()}}); err == nil {
		t.Error("an examination without a worker is none")
	}
}

// TestWayThatIsNoneEndsInItsVerdict: the way that is taken for want of a better
// one ends the run as what it is, a mismatch of contracts, and not as a fault.
func TestWayThatIsNoneEndsInItsVerdict(t *testing.T) {
	for via, change := range map[pack.Via]func(*script){
		pack.ViaSteps:     func(s *script) { s.spoken[0] = speaks("greentic:component/descriptor@0.6", contract.ActDescribe) },
		pack.ViaComponent: func(s *script) { s.spoken[ofComponent] = speaks("a", contract.ActDescribe) },
		pack.ViaQA:        func(s *script) { s.spoken[ofQA] = speaks("a", contract.ActInvoke) },
		pack.ViaFlow:      func(s *script) { s.spoken[ofNode] = speaks("a", contract.ActStep) },
	} {
		for _, loaded := range []bool{true, false} {
			s := newScript()
			possible(s)
			cfg := config(s)
			cfg.Blueprint, cfg.Via = everyWay(), via
			change(s)
			if !loaded {
				for i := range s.spoken {
					s.spoken[i] = broken(limits.ContractMismatch, "it exports nothing")
				}
				s.spoken[0], s.spoken[ofComponent] = s.spoken[ofQA], s.spoken[ofQA]
			}
			res, err := Run(t.Context(), cfg)
			if refused, ok := errors.AsType[*pack.Error](err); ok && loaded && (via == pack.ViaComponent || via == pack.ViaQA) {
				if !strings.Contains(refused.Detail, "; it speaks a") || len(s.calls) != 0 {
					t.Errorf("%s: %v", via, err)
				}
				continue // what it speaks instead is the reason
			}
			if err != nil {
				t.Fatal(via, err)
			}
			if res.Verdict != limits.ContractMismatch || res.ExitCode != ExitPack || len(s.calls) != 0 || len(res.StepResults) != 1 {
				t.Errorf("%s, loaded %v: verdict %s, exit code %d, %d calls", via, loaded, res.Verdict, res.ExitCode, len(s.calls))
			}
			if d := res.Diagnostics[0]; d.Code != "CONTRACT_MISMATCH" || !loaded && !strings.HasSuffix(d.Message, ": it exports nothing") {
				t.Errorf("%s, loaded %v: %+v", via, loaded, d)
			}
		}
	}
}

// TestStepsThatAreInvoked: a module that is a node of a flow is asked for the
// operation that the step is called, and what it puts out is the response.
func TestStepsThatAreInvoked(t *testing.T) {
	s := newScript()
	s.spoken = map[int]Examined{2: speaks("greentic:component/node@0.6", contract.ActInvoke)}
	s.replies[plan.Apply] = ok(`{"ok": true, "output": {"plan": {"notes": ["invoked"]}}, "error": null}`)
	res, err := Run(t.Context(), config(s))
	if err != nil || res.ExitCode != ExitOK || !slices.Equal(res.Plan.Notes, []string{"invoked"}) || res.StepResults[2].Contract != "greentic:component/node@0.6" {
		t.Fatal(res, err)
	}
	var asked struct {
		Op      string
		Input   json.RawMessage
		Context map[string]string
	}
	call := s.calls[2]
	if err := json.Unmarshal(call.Request, &asked); err != nil || call.Action != contract.ActInvoke {
		t.Fatal(call.Action, err)
	}
	validate(t, readSchema(t, "request"), asked.Input)
	if got := fmt.Sprint(asked.Context); asked.Op != "apply" || got != "map[env:prod locale:en provider_id:events.sms]" {
		t.Errorf("asked for %s in the context %s", asked.Op, got)
	}

	for response, want := range map[string]string{
		`{"ok": false, "output": null, "error": {"code": "NO_ACCOUNT", "message": "give me hunter2-answer"}}`: "STEP_FAILED: NO_ACCOUNT: give me [redacted]",
		`{"ok": true, "output": {"ok": false, "message": "no"}}`:                                              "STEP_FAILED: no",
		`{"ok": true, "output": 5}`:   "STEP_RESPONSE_MALFORMED: JSON: must be an object, found a number",
		`{"ok": true}`:                "STEP_RESPONSE_MALFORMED: JSON: must be an object, found null",
		`{"output": {}}`:              "STEP_RESPONSE_MALFORMED: JSON: is not the envelope of an invocation",
		`{"ok": "yes", "output": {}}`: "STEP_RESPONSE_MALFORMED: JSON: is not the envelope of an invocation",
		`{"ok": true, "output": {"plan": {"notes": "one"}}}`: "STEP_RESPONSE_MALFORMED: JSON at /plan/notes: must be an array, found a string",
		`{"ok": true, "output"`:                              "STEP_RESPONSE_MALFORMED: JSON at /output: ends too early",
	} {
		s := newScript()
		s.spoken = map[int]Examined{2: speaks("greentic:component/node@0.6", contract.ActInvoke)}
		s.replies[plan.Apply] = ok(response)
		res, err := Run(t.Context(), config(s))
		if err != nil {
			t.Fatal(err)
		}
		code, end, _ := strings.Cut(want, ": ")
		if d := res.Diagnostics[0]; res.ExitCode != ExitDiagnostics || d.Code != code || !strings.HasSuffix(d.Message, ": "+end) {
			t.Errorf("%s: exit code %d, %+v", response, res.ExitCode, d)
		}
	}
}

// needs is what a requirements step declares, for the inputs of config.
const needs = `{"config": {"required": ["from", "region"], "constraints": {"enum": {"from": ["a", "b"]}}}, "secrets": {"required": ["API_KEY", "AUTH_TOKEN"]}}`

func TestRequirementsAreHeldAgainstAnswers(t *testing.T) {
	for _, via := range []pack.Via{pack.ViaSteps, pack.ViaComponent} {
		for _, tc := range []struct {
			name, response string
			steps          string // that ran
			exit           int
			found          []string
		}{
			{"one diagnostic for each miss", `{"requirements": ` + needs + `}`, "collect validate requirements", ExitDiagnostics, []string{
				"error ANSWER_MISSING /config/region", "error ANSWER_CHOICE /config/from", "error ANSWER_MISSING /secrets/API_KEY", "info STEPS_NOT_RUN "}},
			{"at the top of the response", needs, "collect validate requirements", ExitDiagnostics, []string{
				"error ANSWER_MISSING /config/region", "error ANSWER_CHOICE /config/from", "error ANSWER_MISSING /secrets/API_KEY", "info STEPS_NOT_RUN "}},
			{"what other shapes miss is no error", `{"config_keys": ["region"], "secret_keys": ["API_KEY"]}`, "collect validate requirements apply summary", ExitOK, []string{
				"warn ANSWER_MISSING /config/region", "info ANSWER_MISSING /secrets/API_KEY"}},
			{"met", `{"config": {"required": ["from"]}}`, "collect validate requirements apply summary", ExitOK, nil},
			{"what cannot be read is a warning", `{}`, "collect validate requirements apply summary", ExitOK, []string{"warn REQUIREMENTS_UNREADABLE PATH"}},
			{"failed", `{"ok": false, "requirements": ` + needs + `}`, "collect validate requirements", ExitDiagnostics, []string{"error STEP_FAILED PATH", "info STEPS_NOT_RUN "}},
			{"malformed", `{"plan": 1}`, "collect validate requirements", ExitDiagnostics, []string{"error STEP_RESPONSE_MALFORMED PATH", "info STEPS_NOT_RUN "}},
		} {
			s := newScript()
			possible(s)
			s.replies[plan.Requirements] = ok(tc.response)
			cfg := config(s)
			cfg.Blueprint, cfg.Via = everyWay(), via
			res, err := Run(t.Context(), cfg)
			if err != nil {
				t.Fatal(via, tc.name, err)
			}
			var steps, found []string
			for _, sr := range res.StepResults {
				steps = append(steps, string(sr.Step))
			}
			for _, d := range res.Diagnostics {
				found = append(found, strings.Replace(fmt.Sprintf("%s %s %s", d.Severity, d.Code, d.Path), cfg.Blueprint.Components[ofRequirements].Path, "PATH", 1))
			}
			if strings.Join(steps, " ") != tc.steps || res.ExitCode != tc.exit || !slices.Equal(found, tc.found) {
				t.Errorf("%s, %s: ran %v, exit code %d, %q", via, tc.name, steps, res.ExitCode, found)
			}
			if n := len(res.Diagnostics); tc.exit != ExitOK && !strings.HasSuffix(res.Diagnostics[n-1].Message, "because of the requirements step: apply, summary") {
				t.Errorf("%s, %s: %+v", via, tc.name, res.Diagnostics[n-1])
			}
		}
	}
}

// TestRequirementsTellNoSecrets: the step was given the answers, and may call one
// of them a key.
func TestRequirementsTellNoSecrets(t *testing.T) {
	long := "hunter2" + strings.Repeat("x", 80) // longer than what a list of choices shows
	for _, response := range []string{
		`{"config": {"required": ["hunter2-answer", "` + long + `"]}}`,
		`{"config": {"constraints": {"enum": {"from": ["` + long + `", "hunter2-answer"]}}}}`,
		`{"config": {"constraints": {"enum": {"hunter2-answer": 5}}}}`,
		`{"secrets": {"required": ["hunter2-answer/` + long + `"]}}`,
		`{"config": {}, "secrets": {"constraints": {"required_when": {"hunter2-answer": {"config_path": "from", "values": ["+15551234567"]}}}}}`,
	} {
		s := newScript()
		s.replies[plan.Requirements] = ok(response)
		cfg := config(s)
		cfg.Blueprint = everyWay()
		cfg.Inputs.Answers = json.RawMessage(`{"config": {"from": "+15551234567"}, "secrets": {"AUTH_TOKEN": "hunter2-answer", "LONG": "` + long + `"}}`)
		res, err := Run(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := plan.Canonical(res); err != nil || strings.Contains(string(b), "hunter2") || len(res.Diagnostics) == 0 {
			t.Errorf("%s: %s, %v", response, b, err)
		}
	}
}

func TestRequirementsAreForSetupAlone(t *testing.T) {
	for _, entry := range []pack.Entry{pack.EntryUpdate, pack.EntryRemove} {
		s := newScript()
		cfg := config(s)
		cfg.Blueprint = everyWay()
		cfg.Blueprint.Entry = entry
		res, err := Run(t.Context(), cfg)
		if err != nil || res.ExitCode != ExitOK || len(res.StepResults) != 4 || slices.Contains(s.looked, ofRequirements) {
			t.Errorf("%s: %d steps, looked at %v, %v", entry, len(res.StepResults), s.looked, err)
		}
	}
}

// TestEntriesOfOneStep: requirements and subscriptions are one step, of a module of
// its own or of a component that runs all.
func TestEntriesOfOneStep(t *testing.T) {
	for _, via := range []pack.Via{pack.ViaSteps, pack.ViaComponent} {
		for entry, step := range map[pack.Entry]plan.Step{pack.EntryRequirements: plan.Requirements, pack.EntrySubscriptions: plan.Subscriptions} {
			s := newScript()
			s.replies[step] = ok(`{"requirements": ` + needs + `, "subscriptions": [{"op": "register", "id": "a"}, {"op": "register", "id": "b"}], "plan": {"notes": ["n"]}}`)
			cfg := config(s)
			cfg.Blueprint, cfg.Via = everyWay(), via
			cfg.Blueprint.Entry = entry
			cfg.Blueprint.Ways[0].Steps = []pack.StepRef{{Step: step, Component: 0}}
			res, err := Run(t.Context(), cfg)
			if err != nil || res.ExitCode != ExitOK || len(res.StepResults) != 1 || len(s.calls) != 1 || s.calls[0].Step != step || len(res.Diagnostics) > 0 {
				t.Fatalf("%s, %s: %+v, %v", via, entry, res, err)
			}
			if want := map[pack.Entry]int{pack.EntrySubscriptions: 2}[entry]; len(res.Plan.SubscriptionOps) != want || !slices.Equal(res.Plan.Notes, []string{"n"}) {
				t.Errorf("%s, %s: the plan has %+v", via, entry, res.Plan)
			}
		}
	}
}

// TestSubscriptionsOfThePlanCount: what a step lists at the top of its response is
// for where its plan has none; taking both would do everything twice.
func TestSubscriptionsOfThePlanCount(t *testing.T) {
	for response, want := range map[string]string{
		`{"subscriptions": [{"op": "sync"}], "plan": {"subscription_ops": [{"op": "create"}]}}`:     "create",
		`{"subscriptions": [{"op": "sync"}], "plan": {"subscription_ops": []}}`:                     "sync",
		`{"subscriptions": [{"op": "sync"}]}`:                                                       "sync",
		`{"subscriptions": [{"op": "sync"}], "ok": false}`:                                          "",
		`{"subscriptions": [], "plan": {"notes": []}}`:                                              "",
		`{"subscriptions": [{"op": "sync", "id": "hunter2-answer"}], "plan": {"config_patch": {}}}`: "sync [redacted]",
	} {
		s := newScript()
		s.replies[plan.Subscriptions] = ok(response)
		cfg := config(s)
		cfg.Blueprint.Entry = pack.EntrySubscriptions
		cfg.Blueprint.Ways[0].Steps = []pack.StepRef{{Step: plan.Subscriptions, Component: 0}}
		res, err := Run(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, op := range res.Plan.SubscriptionOps {
			got = append(got, strings.TrimSpace(op.Op+" "+strings.Join(texts(op.ID), "")))
		}
		if strings.Join(got, ",") != want {
			t.Errorf("%s: got %q", response, got)
		}
		if p := res.StepResults[0].Output.PlanPatch; want != "" && (p == nil || len(p.SubscriptionOps) != len(got)) {
			t.Errorf("%s: the step's patch is %+v", response, p)
		}
		validate(t, readSchema(t, "result"), raw(res))
	}
	// In setup, subscriptions at the top are data: the plan of apply has them.
	s := newScript()
	s.replies[plan.Apply] = ok(`{"subscriptions": [{"op": "sync"}]}`)
	if res, err := Run(t.Context(), config(s)); err != nil || len(res.Plan.SubscriptionOps) != 0 {
		t.Errorf("got %+v, %v", res, err)
	}
}

func TestUntil(t *testing.T) {
	for _, absent := range []int{-1, 0, 1, 2, 3} {
		for i, until := range plan.Steps {
			s := newScript()
			cfg := config(s)
			cfg.Until = until
			want := i + 1
			if absent >= 0 {
				cfg.Blueprint.Ways[0].Steps[absent].Component = -1
			}
			if absent >= 0 && absent <= i {
				want--
			}
			res, err := Run(t.Context(), cfg)
			if err != nil || res.ExitCode != ExitOK || len(res.StepResults) != want {
				t.Errorf("until %s without %d: %d steps, %v", until, absent, len(res.StepResults), err)
			}
		}
	}
}

// TestAnswersAreSecretWhereThePackSaysSo: setup.yaml and the secret requirements
// count in every way, wherever an answer lies.
func TestAnswersAreSecretWhereThePackSaysSo(t *testing.T) {
	for _, via := range []pack.Via{pack.ViaSteps, pack.ViaComponent, pack.ViaFlow} {
		for _, answers := range []string{
			`{"relay_login": "hunter2-a", "GATE": ["hunter2-b"], "lock": {"code": 31337001}}`,
			`{"config": {"relay_login": "hunter2-a", "gate": "hunter2-b", "lock.code": 31337001}}`,
			`{"harbour": {"relay_login": {"x": "hunter2-a"}, "HARBOUR_GATE": "hunter2-b", "lock": {"code": "31337001"}}}`,
			`{"setup_answers": {"harbour": {"config": {"relay_login": "hunter2-a", "gate": "hunter2-b", "lock": {"code": 31337001}}}}}`,
		} {
			s := newScript()
			possible(s)
			s.answer = func(_ *script, c Call) Reply {
				r := ok(`{"ok": true, "seen": "hunter2-a hunter2-b 31337001", "output": {"seen": "hunter2-a hunter2-b 31337001", "plan": {"notes": ["hunter2-a hunter2-b 31337001"]}}}`)
				r.Logs = []LogLine{{"info", "hunter2-b"}}
				return r
			}
			cfg := config(s)
			cfg.Blueprint, cfg.Via = everyWay(), via
			cfg.Blueprint.Setup = &pack.Document{Path: "assets/setup.yaml", Bytes: []byte("questions:\n- {name: relay_login, secret: true}\n- {name: lock.code, secret: true}\n")}
			cfg.Blueprint.SecretRequirements = &pack.Document{Path: "secret-requirements.json", Bytes: []byte(`[{"key": "HARBOUR_GATE"}]`)}
			cfg.Inputs.Answers = json.RawMessage(answers)
			res, err := Run(t.Context(), cfg)
			if err != nil || res.ExitCode != ExitOK {
				t.Fatalf("%s: %+v, %v", via, res, err)
			}
			if b := string(raw(res)); strings.Contains(b, "hunter2") || strings.Contains(b, "31337001") {
				t.Errorf("%s, %s: %s", via, answers, b)
			}
		}
	}
}
