package engine

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/greentic-ai/greentic-provision/plan"
)

func TestOpenQuestions(t *testing.T) {
	s := newScript()
	s.replies[plan.Collect] = ok(`{"questions": {"type": "AdaptiveCard", "body": [
		{"type": "TextBlock", "id": "title", "text": "Hello"},
		{"type": "Input.Text", "id": "from", "label": "answered in config"},
		{"type": "Input.Text", "id": "AUTH_TOKEN", "label": "answered in secrets"},
		{"type": "Input.Text", "id": "config.from", "label": "answered by path"},
		{"type": "Input.Text", "id": "top", "label": "answered at the top"},
		{"type": "Input.Text", "id": "nothing", "label": "null is no answer"},
		{"type": "ColumnSet", "id": "set", "columns": [{"type": "Column", "items": [
			{"type": "Input.ChoiceSet", "id": "region", "label": "Region", "isRequired": true, "value": "eu",
			 "choices": [{"title": "Europe", "value": "eu"}, {"title": "hunter2-answer", "value": "us"}]}]}]},
		{"type": "Input.Text", "id": "pin", "style": "Password", "placeholder": "the PIN"}],
		"actions": [{"type": "Action.ShowCard", "id": "more", "title": "More", "card": {"type": "AdaptiveCard", "body": [
			{"type": "Input.Toggle", "id": "tls", "title": "Use TLS", "value": true}]}}]}}`)
	s.replies[plan.Validate] = ok(`{"questions": {"id": "setup", "title": "Setup", "kind": "form", "questions": [
		{"name": "region", "title": "asked before", "kind": "choice"},
		{"name": "zone", "title": "Zone", "kind": "choice", "required": true, "default": 3, "choices": ["a", "b"]},
		{"name": "key", "title": "Key", "kind": "string", "secret": true}, "noise", 5,
		{"name": "config", "title": "a section is no answer", "kind": "Text"},
		{"name": "big", "title": "Big", "kind": "number", "default": 9007199254740993}]}}`)
	cfg := config(s)
	cfg.Inputs.Answers = json.RawMessage(`{"top": false, "nothing": null, "config": {"from": "x"}, "secrets": {"AUTH_TOKEN": "hunter2-answer"}}`)
	res, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	want := []Question{
		{Step: plan.Collect, ID: "nothing", Label: "null is no answer", Type: "text"},
		{Step: plan.Collect, ID: "region", Label: "Region", Type: "choiceset", Required: true, Default: "eu", Choices: []Choice{{"Europe", "eu"}, {"[redacted]", "us"}}},
		{Step: plan.Collect, ID: "pin", Label: "the PIN", Type: "password"},
		{Step: plan.Collect, ID: "tls", Label: "Use TLS", Type: "toggle", Default: "true"},
		{Step: plan.Validate, ID: "zone", Label: "Zone", Type: "choice", Required: true, Default: "3", Choices: []Choice{{"a", "a"}, {"b", "b"}}},
		{Step: plan.Validate, ID: "key", Label: "Key", Type: "password"},
		{Step: plan.Validate, ID: "config", Label: "a section is no answer", Type: "text"},
		{Step: plan.Validate, ID: "big", Label: "Big", Type: "number", Default: "9007199254740993"},
	}
	if got := OpenQuestions(res); !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
	if res.ExitCode != ExitOK {
		t.Errorf("open questions give exit code %d", res.ExitCode)
	}
}

func TestOpenQuestionsAreBounded(t *testing.T) {
	var body []string
	for i := range 2 * maxQuestions {
		body = append(body, fmt.Sprintf(`{"type": "Input.Text", "id": "q%d", "label": %q, "choices": [%s1]}`, i, strings.Repeat("x", 500), strings.Repeat(`"c",`, 2*maxChoices)))
	}
	s := newScript()
	s.replies[plan.Collect] = ok(`{"questions": [` + strings.Join(body, ",") + `]}`)
	res, err := Run(t.Context(), config(s))
	if err != nil {
		t.Fatal(err)
	}
	qs := OpenQuestions(res)
	if len(qs) != maxQuestions || len(qs[0].Label) > maxLabel+3 || len(qs[0].Choices) != maxChoices {
		t.Errorf("%d questions, label of %d bytes, %d choices", len(qs), len(qs[0].Label), len(qs[0].Choices))
	}
}
