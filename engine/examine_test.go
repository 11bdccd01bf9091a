package engine

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/greentic-ai/greentic-provision/contract"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
)

func examine(t *testing.T, change func(*Config, *script)) (*Examination, *script) {
	t.Helper()
	s := newScript()
	possible(s)
	cfg := config(s)
	cfg.Blueprint = everyWay()
	change(&cfg, s)
	x, err := Examine(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := plan.Canonical(x); err != nil || strings.Contains(string(b), "null,") && strings.Contains(string(b), `"components":null`) {
		t.Errorf("%s, %v", b, err)
	}
	return x, s
}

// TestExamineLooksAtEverything and runs nothing where nothing is asked beforehand.
func TestExamineLooksAtEverything(t *testing.T) {
	x, s := examine(t, func(_ *Config, s *script) {
		s.spoken[ofComponent] = broken(limits.ContractMismatch, "it exports nothing")
	})
	if x.Via != pack.ViaSteps || x.Why != "there is a module for the step apply" || len(s.calls) > 0 || x.Questions != nil || x.Problem != "" {
		t.Errorf("got %+v after %d calls", x, len(s.calls))
	}
	if len(x.Components) != 8 || len(x.Refused) != 1 || x.Refused[0] != (Refused{pack.ViaComponent, "contract_mismatch: it exports nothing"}) {
		t.Errorf("%d components, refused %v", len(x.Components), x.Refused)
	}
	c := x.Components[ofComponent]
	if c.Path != "components/whole.wasm" || c.Verdict != limits.ContractMismatch || c.Detail != "it exports nothing" || c.Contracts == nil || c.Imports == nil {
		t.Errorf("got %+v", c)
	}
	if c := x.Components[ofQA]; len(c.Contracts) != 1 || c.Contracts[0].Name != "greentic:component/qa@0.6" || !slices.Equal(c.Contracts[0].Actions, []contract.Action{contract.ActQASpec, contract.ActApplyAnswers}) {
		t.Errorf("got %+v", c)
	}
}

func TestExamineAsksForQuestions(t *testing.T) {
	x, s := examine(t, func(cfg *Config, s *script) {
		atHarbour(cfg, s, harbour{contract.ActDescribe: `{"provider": "dummy"}`})
		cfg.Inputs.Answers, cfg.Inputs.PublicBaseURL = nil, nil
		cfg.Blueprint.Manifest.RequiresPublicBaseURL = true
	})
	var codes []string
	for _, d := range x.Diagnostics {
		codes = append(codes, d.Code)
	}
	if x.Via != pack.ViaQA || x.Questions == nil || len(x.Questions.Questions) != 8 || !slices.Equal(codes, []string{"QUESTION_NOT_IN_COMPONENT", "PROVIDER_MISMATCH"}) {
		t.Errorf("got %+v", x)
	}
	if n := len(s.calls); n != 3 || s.calls[n-1].Action != contract.ActQASpec {
		t.Errorf("%d calls", n)
	}
	// That it failed is told, and there are none.
	x, _ = examine(t, func(cfg *Config, s *script) { atHarbour(cfg, s, harbour{contract.ActQASpec: `[]`}) })
	if x.Questions != nil || len(x.Diagnostics) != 1 || x.Diagnostics[0].Code != "STEP_RESPONSE_MALFORMED" {
		t.Errorf("got %+v", x)
	}
}

func TestExamineOfWhatCannotBeRun(t *testing.T) {
	x, s := examine(t, func(cfg *Config, _ *script) {
		for i := range cfg.Blueprint.Ways {
			cfg.Blueprint.Ways[i].Problem = "not in the pack"
		}
	})
	if x.Via != "" || !strings.HasPrefix(x.Problem, "the pack cannot be run: steps: not in the pack; ") || len(s.looked) > 0 {
		t.Errorf("got %+v", x)
	}
	x, s = examine(t, func(cfg *Config, _ *script) { cfg.Blueprint.Nothing = true })
	if x.Via != "" || x.Problem != "" || x.Why == "" || len(s.looked) > 0 {
		t.Errorf("got %+v", x)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("terminated by signal")
	cancel(cause)
	if _, err := Examine(ctx, config(newScript())); !errors.Is(err, ErrInterrupted) || !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
}

// TestUndeclaredCapabilities: what a binary imports and its manifest does not say.
func TestUndeclaredCapabilities(t *testing.T) {
	all := []string{
		"greentic:secrets-store/secrets-store@1.0.0", "greentic:secrets-store/secrets-store@1.1.0", "greentic:state/state-store@1.0.0", "greentic:http/http-client@1.1.0",
		"wasi:filesystem/types@0.2.0", "wasi:clocks/wall-clock@0.2.0", "greentic:telemetry/logger-api@1.0.0", "wasi:io/streams@0.2.0", "greentic:secretsauce/x",
	}
	for _, tc := range []struct {
		name, id, declared string
		undeclared         []string
	}{
		{"nothing declared", "node", ``, []string{"http", "secrets", "state", "telemetry", "wasi.clocks", "wasi.filesystem"}},
		{"all declared", "node", `{"host": {"http": {"client": true}, "secrets": {"required": []}, "state": {}, "telemetry": true}, "wasi": {"clocks": true, "filesystem": {"mode": "none"}}}`, []string{}},
		{"some", "node", `{"host": {"secrets": true, "http": null}, "wasi": {"clocks": false, "random": true}}`, []string{"http", "state", "telemetry", "wasi.clocks", "wasi.filesystem"}},
		{"empty lists", "node", `{"host": {"secrets": []}, "wasi": []}`, []string{"http", "secrets", "state", "telemetry", "wasi.clocks", "wasi.filesystem"}},
		{"of another component", "other", `{"host": {"secrets": true}}`, []string{"http", "secrets", "state", "telemetry", "wasi.clocks", "wasi.filesystem"}},
	} {
		x, _ := examine(t, func(cfg *Config, s *script) {
			e := s.spoken[ofNode]
			e.Imports, e.Exports = all, []string{"greentic:component/node@0.6.0"}
			s.spoken[ofNode] = e
			s.spoken[0] = Examined{Reply: Reply{Verdict: limits.OK}, Imports: all}
			cfg.Blueprint.Declared = []pack.Declaration{{ID: tc.id, Capabilities: json.RawMessage(tc.declared)}}
		})
		c := x.Components[ofNode]
		if want := []string{"http", "secrets", "state", "telemetry", "wasi.clocks", "wasi.filesystem"}; !slices.Equal(c.Capabilities, want) || !slices.Equal(c.Imports, all) || len(c.Exports) != 1 {
			t.Errorf("%s: capabilities %q", tc.name, c.Capabilities)
		}
		if !slices.Equal(c.Undeclared, tc.undeclared) {
			t.Errorf("%s: undeclared %q", tc.name, c.Undeclared)
		}
		// No manifest speaks of a module of a step.
		if c := x.Components[0]; len(c.Capabilities) == 0 || len(c.Undeclared) > 0 {
			t.Errorf("%s: a module: %+v", tc.name, c)
		}
	}
}
