package engine

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
)

// TestDeclared: requirements are told from the documents of a pack without a module
// for them, and nothing of it runs.
func TestDeclared(t *testing.T) {
	setup := &pack.Document{Path: "assets/setup.yaml", Bytes: []byte(
		"questions:\n- {name: region, required: true, kind: choice, choices: [eu, us]}\n- {name: bot_token, required: true}\n- {name: note}\n- {name: public_base_url, required: true}\n")}
	form := &pack.Document{Path: "qa/setup.json", Bytes: []byte(`{"questions": [{"id": "pin", "secret": true, "required": true}]}`)}
	secrets := &pack.Document{Path: "secret-requirements.json", Bytes: []byte(`[{"key": "BOT_TOKEN"}, {"key": "SIGNING_KEY", "required": false}, {"key": "MINTED", "generated": {"bytes": 32}}]`)}
	for _, tc := range []struct {
		name                 string
		setup, form, secrets *pack.Document
		want                 string // requirements
		found                []string
	}{
		{"questions and secrets", setup, form, secrets,
			`{"config":{"constraints":{"enum":{"region":["eu","us"]}},"optional":["note"],"required":["region","public_base_url"]},"provider_id":"events.sms",` +
				`"secrets":{"constraints":{},"optional":["SIGNING_KEY","MINTED"],"required":["bot_token"]},"setup_needs":{"oauth":false,"public_base_url":true,"subscriptions":false}}`, nil},
		{"a form", nil, form, nil,
			`{"config":{"constraints":{},"optional":[],"required":[]},"provider_id":"events.sms","secrets":{"constraints":{},"optional":[],"required":["pin"]},` +
				`"setup_needs":{"oauth":false,"public_base_url":false,"subscriptions":false}}`, nil},
		{"nothing", nil, nil, nil,
			`{"config":{"constraints":{},"optional":[],"required":[]},"provider_id":"events.sms","secrets":{"constraints":{},"optional":[],"required":[]},` +
				`"setup_needs":{"oauth":false,"public_base_url":false,"subscriptions":false}}`, []string{"info REQUIREMENTS_NONE"}},
		{"what cannot be read", &pack.Document{Path: "assets/setup.yaml", Bytes: []byte("questions: {")}, nil, &pack.Document{Path: "secret-requirements.json", Bytes: []byte(`5`)},
			`{"config":{"constraints":{},"optional":[],"required":[]},"provider_id":"events.sms","secrets":{"constraints":{},"optional":[],"required":[]},` +
				`"setup_needs":{"oauth":false,"public_base_url":false,"subscriptions":false}}`,
			[]string{"warn QUESTIONS_UNREADABLE assets/setup.yaml", "warn SECRET_REQUIREMENTS_UNREADABLE secret-requirements.json", "info REQUIREMENTS_NONE"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newScript()
			cfg := config(s)
			b := cfg.Blueprint
			b.Entry, b.Ways, b.Flow = pack.EntryRequirements, nil, pack.Flow{}
			b.Setup, b.QuestionForm, b.SecretRequirements = tc.setup, tc.form, tc.secrets
			b.Manifest.RequiresPublicBaseURL, cfg.Inputs.PublicBaseURL = true, nil // only a setup needs it
			cfg.Inputs.Answers = nil
			res, err := Run(t.Context(), cfg)
			if err != nil || res.ExitCode != ExitOK || len(s.calls)+len(s.looked) > 0 || len(res.StepResults) != 1 || res.Pack.Via != "" {
				t.Fatalf("%+v, %v", res, err)
			}
			sr := res.StepResults[0]
			var data struct{ Requirements json.RawMessage }
			if err := json.Unmarshal(sr.Output.Data, &data); err != nil || string(data.Requirements) != tc.want || sr.Step != plan.Requirements || sr.Observer != limits.BySupervisor {
				t.Errorf("got %s, %v", data.Requirements, err)
			}
			if got := found(res); !slices.Equal(got, tc.found) {
				t.Errorf("found %q", got)
			}
			validate(t, readSchema(t, "result"), raw(res))
		})
	}
}

// TestDeclaredTellsNoAnswers: requirements are asked for without answers, but may
// be given some.
func TestDeclaredTellsNoAnswers(t *testing.T) {
	s := newScript()
	cfg := config(s)
	cfg.Blueprint.Entry, cfg.Blueprint.Ways = pack.EntryRequirements, nil
	cfg.Blueprint.Setup = &pack.Document{Path: "setup.yaml", Bytes: []byte("title: hunter2-answer\nquestions:\n- {name: hunter2-answer, default: hunter2-answer}\n")}
	res, err := Run(t.Context(), cfg)
	if err != nil || strings.Contains(string(raw(res)), "hunter2") {
		t.Errorf("got %s, %v", raw(res), err)
	}
}
