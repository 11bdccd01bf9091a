package engine

import (
	"encoding/json"
	"strings"

	"github.com/greentic-ai/greentic-provision/plan"
)

// Question is something that a step asks and that the answers do not answer. Its
// texts are hostile, scrubbed and bounded.
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
	var answers map[string]any
	if json.Unmarshal(res.answers, &answers) != nil {
		answers = nil
	}
	f := finder{answers: answers, seen: map[string]bool{}}
	for _, sr := range res.StepResults {
		var doc any
		if sr.Output.Questions == nil || json.Unmarshal(sr.Output.Questions, &doc) != nil {
			continue
		}
		f.step = sr.Step
		f.find(doc)
	}
	return f.found
}

type finder struct {
	step    plan.Step
	answers map[string]any
	seen    map[string]bool
	found   []Question
}

// find walks a document that plan.Read has bounded in depth. Members of objects
// are visited in the order of an Adaptive Card's reading where that is known.
func (f *finder) find(v any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			f.find(e)
		}
	case map[string]any:
		if f.question(v) {
			return
		}
		for _, k := range []string{"body", "items", "columns", "cells", "rows", "actions", "card", "questions", "fields"} {
			f.find(v[k])
		}
	}
}

// question takes an object that is a question; it says whether it was one.
func (f *finder) question(m map[string]any) bool {
	id := first(m, "id", "name")
	kind := first(m, "type", "kind")
	input, card := strings.CutPrefix(kind, "Input.")
	if id == "" || kind == "" {
		return false
	}
	if !card {
		// Cards have ids on containers and actions too; what holds others is none.
		for _, k := range []string{"body", "items", "columns", "cells", "rows", "actions", "card", "questions", "fields"} {
			if _, holds := m[k]; holds {
				return false
			}
		}
		if strings.HasPrefix(kind, "Action.") || first(m, "label", "title", "prompt", "question", "text") == "" {
			return false
		}
		if kind == "TextBlock" || kind == "Image" {
			return false
		}
	}
	if f.seen[id] {
		return true
	}
	f.seen[id] = true
	if len(f.found) == maxQuestions || answered(f.answers, id) {
		return true
	}
	if !card {
		input = kind
	}
	q := Question{
		Step: f.step, ID: bound(id, maxName), Type: bound(strings.ToLower(input), maxName),
		Label:    bound(first(m, "label", "title", "prompt", "question", "text", "placeholder"), maxLabel),
		Required: m["isRequired"] == true || m["required"] == true,
		Default:  bound(scalar(m["value"], m["default"]), maxLabel),
	}
	if style, _ := m["style"].(string); strings.EqualFold(style, "password") || m["secret"] == true {
		q.Type = "password"
	}
	choices, _ := m["choices"].([]any)
	for _, c := range choices[:min(len(choices), maxChoices)] {
		switch c := c.(type) {
		case map[string]any:
			q.Choices = append(q.Choices, Choice{Title: bound(first(c, "title", "label", "value"), maxLabel), Value: bound(scalar(c["value"]), maxLabel)})
		case string:
			q.Choices = append(q.Choices, Choice{Title: bound(c, maxLabel), Value: bound(c, maxLabel)})
		}
	}
	f.found = append(f.found, q)
	return true
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
		case bool, float64:
			return string(raw(v))
		}
	}
	return ""
}

// answered says whether there is an answer under an id.
func answered(answers map[string]any, id string) bool {
	if answers[id] != nil {
		return true
	}
	for _, part := range []string{"config", "secrets"} {
		if m, ok := answers[part].(map[string]any); ok && m[id] != nil {
			return true
		}
	}
	var at any = answers
	for part := range strings.SplitSeq(id, ".") {
		m, ok := at.(map[string]any)
		if !ok {
			return false
		}
		at = m[part]
	}
	return at != nil
}
