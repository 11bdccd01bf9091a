package engine

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/plan"
	"github.com/greentic-ai/greentic-provision/qa"
)

// Question is something that a step asks and that the answers do not answer. Its
// texts are hostile and scrubbed; all but the ID, which is of no use in part, are
// bounded.
type Question struct {
	Step     plan.Step
	ID       string
	Label    string
	Type     string // "text", "number", "toggle", "choiceset", "password", or the pack's own word
	Required bool
	Choices  []Choice
	Default  string
}

// Choice is one answer to pick.
type Choice struct {
	Title string
	Value string
}

// Bounds of OpenQuestions.
const (
	maxQuestions = 200
	maxChoices   = 100
	maxLabel     = 400
)

// OpenQuestions gives what a run's steps asked and the answers leave open, for
// people to read. A question is open when nothing but null is found for its id
// among the answers, in their members "config" and "secrets", or following its
// dots as a path. Open questions are no error: a step that cannot do without an
// answer reports a diagnostic.
//
// Questions are found in Adaptive Cards (elements of type Input.*, however deep)
// and in objects that have an id or name and a type or kind, the form of
// setup.yaml. An id counts once, where it comes first. res must come from Run.
func OpenQuestions(res *Result) []Question {
	answers, _ := plan.Tree(res.answers).(map[string]any)
	var found []Question
	seen := map[string]bool{}
	for _, sr := range res.StepResults {
		eachQuestion(plan.Tree(sr.Output.Questions), func(id, kind string, m map[string]any) {
			if seen[id] {
				return
			}
			seen[id] = true
			if len(found) < maxQuestions && len(answersTo(answers, id)) == 0 {
				found = append(found, question(sr.Step, id, kind, m))
			}
		})
	}
	return found
}

// passwordAnswers gives the values that answer questions whose type says that the
// answer is a secret, wherever OpenQuestions would find them.
func passwordAnswers(questions, answers json.RawMessage) []string {
	given, _ := plan.Tree(answers).(map[string]any)
	var values []string
	eachQuestion(plan.Tree(questions), func(id, kind string, m map[string]any) {
		if secretQuestion(kind, m) {
			for _, a := range answersTo(given, id) {
				values = append(values, plan.Values(raw(a))...)
			}
		}
	})
	return values
}

// holders are members of cards and forms that hold others, in reading order.
var holders = []string{"body", "items", "columns", "cells", "rows", "actions", "card", "questions", "fields"}

// eachQuestion calls f for every question in a document that plan.Read has bounded
// in depth. kind is its type in lower case, without the "Input." of cards.
func eachQuestion(v any, f func(id, kind string, m map[string]any)) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			eachQuestion(e, f)
		}
	case map[string]any:
		if id, kind, ok := isQuestion(v); ok {
			f(id, kind, v)
			return
		}
		for _, k := range holders {
			eachQuestion(v[k], f)
		}
	}
}

func isQuestion(m map[string]any) (id, kind string, ok bool) {
	id, kind = first(m, "id", "name"), first(m, "type", "kind")
	input, card := strings.CutPrefix(kind, "Input.")
	switch {
	case id == "" || kind == "":
		return "", "", false
	case card:
		return id, strings.ToLower(input), true
	case kind == "TextBlock" || kind == "Image" || strings.HasPrefix(kind, "Action."):
		return "", "", false
	}
	// Cards have ids on containers and actions too; what holds others is none.
	holds := slices.ContainsFunc(holders, func(k string) bool { _, has := m[k]; return has })
	return id, strings.ToLower(kind), !holds && first(m, "label", "title", "prompt", "question", "text") != ""
}

func secretQuestion(kind string, m map[string]any) bool {
	return kind == "password" || kind == "secret" || m["secret"] == true ||
		strings.EqualFold(first(m, "style"), "password") || strings.EqualFold(first(m, "format"), "password")
}

func question(step plan.Step, id, kind string, m map[string]any) Question {
	q := Question{
		Step: step, ID: id, Type: hostile.Clip(kind, maxName),
		Label:    hostile.Clip(first(m, "label", "title", "prompt", "question", "text", "placeholder"), maxLabel),
		Required: m["isRequired"] == true || m["required"] == true,
		Default:  hostile.Clip(scalar(m["value"], m["default"]), maxLabel),
	}
	if secretQuestion(kind, m) {
		q.Type = "password"
	}
	choices, _ := m["choices"].([]any)
	for _, c := range choices[:min(len(choices), maxChoices)] {
		switch c := c.(type) {
		case map[string]any:
			q.Choices = append(q.Choices, Choice{Title: hostile.Clip(first(c, "title", "label", "value"), maxLabel), Value: hostile.Clip(scalar(c["value"]), maxLabel)})
		case string:
			q.Choices = append(q.Choices, Choice{Title: hostile.Clip(c, maxLabel), Value: hostile.Clip(c, maxLabel)})
		}
	}
	return q
}

// formOf makes a form of a step's questions, which are a specification or, in a
// card or list of the step's own choosing, whatever OpenQuestions finds there. It is
// nil without any.
func formOf(questions json.RawMessage) *qa.Form {
	if f, _, err := qa.ParseSpec(questions, nil); err == nil && len(f.Questions) > 0 {
		return f
	}
	f := &qa.Form{Mode: ModeSetup}
	seen := map[string]bool{}
	eachQuestion(plan.Tree(questions), func(id, kind string, m map[string]any) {
		if seen[id] || len(f.Questions) == qa.MaxQuestions {
			return
		}
		seen[id] = true
		open := question(plan.Collect, id, kind, m)
		q := qa.Question{ID: id, Label: open.Label, Kind: qa.KindText, Required: open.Required, Secret: open.Type == "password",
			Placeholder: first(m, "placeholder"), Origin: qa.FromComponent}
		switch kind {
		case "toggle", "bool", "boolean":
			q.Kind = qa.KindBoolean
		case "number", "integer":
			q.Kind = qa.KindNumber
		}
		for _, c := range open.Choices {
			q.Kind = qa.KindChoice
			q.Choices = append(q.Choices, qa.Choice{Title: c.Title, Value: c.Value})
		}
		if open.Default != "" && q.Kind != qa.KindBoolean && q.Kind != qa.KindNumber {
			q.Default = raw(open.Default)
		}
		f.Questions = append(f.Questions, q)
	})
	if len(f.Questions) == 0 {
		return nil
	}
	return f
}

// first gives the first of some members that is a string with something in it.
func first(m map[string]any, names ...string) string {
	for _, n := range names {
		if s, ok := m[n].(string); ok && s != "" {
			return s
		}
	}
	return ""
}

// scalar shows the first value that is one.
func scalar(vs ...any) string {
	for _, v := range vs {
		switch v := v.(type) {
		case string:
			return v
		case bool, json.Number:
			return string(raw(v))
		}
	}
	return ""
}

// answersTo gives every answer under an id.
func answersTo(answers map[string]any, id string) []any {
	var found []any
	add := func(v any) {
		if v != nil {
			found = append(found, v)
		}
	}
	sections := []string{"config", "secrets"}
	for _, part := range sections {
		if m, ok := answers[part].(map[string]any); ok {
			add(m[id])
		}
	}
	var at any = answers
	for part := range strings.SplitSeq(id, ".") {
		m, _ := at.(map[string]any)
		at = m[part]
	}
	for _, v := range []any{answers[id], at} {
		// A section of the answers answers no question of its name.
		if _, isObject := v.(map[string]any); !isObject || !slices.Contains(sections, id) {
			add(v)
		}
	}
	return found
}
