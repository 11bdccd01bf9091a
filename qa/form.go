package qa

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/greentic-ai/greentic-provision/plan"
)

// Kind is what a question takes for an answer.
type Kind string

// The kinds. Text takes any scalar.
const (
	KindText        Kind = "text"
	KindNumber      Kind = "number"
	KindInteger     Kind = "integer"
	KindBoolean     Kind = "boolean"
	KindChoice      Kind = "choice"
	KindMultichoice Kind = "multichoice"
	KindTable       Kind = "table"
)

// Where a question comes from.
const (
	FromComponent = "component"
	FromSetup     = "setup.yaml"
)

// Bounds of a form. Published ones have some ten questions.
const (
	MaxQuestions = 500
	MaxChoices   = 500
	maxColumns   = 100
	maxID        = 128      // bytes of an id
	maxText      = 4096     // bytes of a title, help, placeholder, …
	maxPattern   = 1024     // bytes of a regular expression
	maxPatterns  = 16 << 10 // steps of all of a form: x{1000} is a thousand
	maxMatching  = 1 << 25  // steps of patterns over the characters that they are held against, in one check
	maxMessages  = 4 << 20  // bytes of the texts that are looked up: any number of keys may be of one text
	maxDefault   = 64 << 10 // bytes of a default: published ones are whole prompts
	maxForm      = 4 << 20  // bytes of JSON
)

// Form is a list of questions. Provider is the id of the provider they set up
// ("telegram"); "" where nobody says, and a caller that knows may set it.
type Form struct {
	Mode        string     `json:"mode,omitempty"`
	Title       string     `json:"title,omitempty"`
	Description string     `json:"description,omitempty"`
	Provider    string     `json:"provider,omitempty"`
	Questions   []Question `json:"questions"`
}

// Question is one question. Its texts are a pack's or component's: hostile.
//
// Pattern is a regular expression of RE2 that compiles; Min and Max are for
// numbers, MinLength and MaxLength count the characters of strings. Error is what
// to say of a wrong answer. Default has the kind's type where it can. Format is
// "json" (an answer may be any JSON), "path" or the writer's own word. Columns, of
// which none is a table, MinRows and MaxRows are those of a table; Multilingual is
// for its columns and allows an object of texts by language.
type Question struct {
	ID           string          `json:"id"`
	Label        string          `json:"label"`
	Help         string          `json:"help,omitempty"`
	Placeholder  string          `json:"placeholder,omitempty"`
	Group        string          `json:"group,omitempty"`
	Error        string          `json:"error,omitempty"`
	DocsURL      string          `json:"docs_url,omitempty"`
	Kind         Kind            `json:"kind"`
	Format       string          `json:"format,omitempty"`
	Required     bool            `json:"required"`
	Secret       bool            `json:"secret"`
	Multilingual bool            `json:"multilingual,omitempty"`
	Choices      []Choice        `json:"choices,omitempty"`
	Default      json.RawMessage `json:"default,omitempty"`
	Pattern      string          `json:"pattern,omitempty"`
	Min          *float64        `json:"min,omitempty"`
	Max          *float64        `json:"max,omitempty"`
	MinLength    *int            `json:"min_length,omitempty"`
	MaxLength    *int            `json:"max_length,omitempty"`
	VisibleIf    *Condition      `json:"visible_if,omitempty"`
	Columns      []Question      `json:"columns,omitempty"`
	MinRows      *int            `json:"min_rows,omitempty"`
	MaxRows      *int            `json:"max_rows,omitempty"`
	Origin       string          `json:"origin,omitempty"`
}

// Choice is one answer to pick.
type Choice struct {
	Title string `json:"title"`
	Value string `json:"value"`
}

// Hints are what greentic-setup guesses of a question; zero where nothing.
type Hints struct {
	Kind    Kind     `json:"kind,omitempty"`
	Pattern string   `json:"pattern,omitempty"`
	Secret  bool     `json:"secret,omitempty"`
	Choices []string `json:"choices,omitempty"`
	Default string   `json:"default,omitempty"`
}

var defaultInHelp = regexp.MustCompile(`(?i)\(default:\s*([^()]{1,200}?)\s*\)`)

// Inferred gives the guesses of greentic-setup: the id "enabled" is a switch that
// is on, *_url is a URL, *_token, *secret* and *password* are secrets, a
// placeholder "a | b" has the choices, "(default: X)" in the help is the default.
// They are for those who show the question, and for nothing else.
func (q Question) Inferred() Hints {
	var h Hints
	id := strings.ToLower(q.ID)
	if q.ID == "enabled" {
		h.Kind, h.Default = KindBoolean, "true"
	}
	if strings.HasSuffix(id, "_url") {
		h.Pattern = `^https?://\S+`
	}
	h.Secret = strings.HasSuffix(id, "_token") || strings.Contains(id, "secret") || strings.Contains(id, "password")
	if strings.Contains(q.Placeholder, " | ") {
		for part := range strings.SplitSeq(q.Placeholder, "|") {
			if part = strings.TrimSpace(part); part != "" {
				h.Choices = append(h.Choices, part)
			}
		}
		if len(h.Choices) < 2 {
			h.Choices = nil
		} else {
			h.Kind = KindChoice
		}
	}
	if m := defaultInHelp.FindStringSubmatch(q.Help); m != nil && h.Default == "" {
		h.Default = m[1]
	}
	return h
}

// MarshalJSON adds what is inferred, if anything.
func (q Question) MarshalJSON() ([]byte, error) {
	type bare Question
	h := q.Inferred()
	if h.Kind == "" && h.Pattern == "" && !h.Secret && h.Default == "" {
		return json.Marshal(bare(q))
	}
	return json.Marshal(struct {
		bare
		Inferred Hints `json:"inferred"`
	}{bare(q), h})
}

// JSON gives the form in a normal form of our own, canonical, which ParseSpec reads
// back: the exported fields in snake_case, conditions as the expression trees of
// FormSpec, and what is inferred apart, in "inferred".
func (f *Form) JSON() json.RawMessage { return canonical(f) }

// canonical encodes a value that is JSON by its making.
func canonical(v any) json.RawMessage {
	b, err := plan.Canonical(v)
	if err != nil {
		panic("qa: " + err.Error()) // made of values that plan.Read has read
	}
	return b
}

// Merge lays setup.yaml over a component's form; the package comment says what
// comes from which. Either may be nil; with no form of a component, setup.yaml's
// questions are all there is.
//
// A question that only setup.yaml has is left out of a component's form, for the
// component would not know what to do with its answer. That is an information,
// QUESTION_NOT_IN_COMPONENT.
func Merge(component, setup *Form) (*Form, []plan.Diagnostic) {
	switch {
	case component == nil && setup == nil:
		return &Form{Questions: []Question{}}, nil
	case component == nil:
		return setup.clone(), nil
	case setup == nil:
		return component.clone(), nil
	}
	var ds []plan.Diagnostic
	f := component.clone()
	f.Provider = cmp.Or(component.Provider, setup.Provider)
	// A component's title is often only the key of one.
	f.Title, f.Description = cmp.Or(setup.Title, f.Title), cmp.Or(setup.Description, f.Description)
	for i, s := range setup.Questions {
		at := slices.IndexFunc(f.Questions, func(q Question) bool { return q.ID == s.ID })
		if at < 0 {
			ds = append(ds, plan.Diagnostic{Severity: plan.Info, Code: "QUESTION_NOT_IN_COMPONENT", Path: questionPath(i),
				Message: fmt.Sprintf("setup.yaml asks for %s, which the component does not; it is not applied", s.ID)})
			continue
		}
		q := &f.Questions[at]
		if s.Label != s.ID {
			q.Label = s.Label
		}
		q.Help, q.Placeholder = cmp.Or(s.Help, q.Help), cmp.Or(s.Placeholder, q.Placeholder)
		q.Group, q.DocsURL, q.Error = cmp.Or(s.Group, q.Group), cmp.Or(s.DocsURL, q.DocsURL), cmp.Or(q.Error, s.Error)
		q.Secret = q.Secret || s.Secret
		q.Pattern = cmp.Or(q.Pattern, s.Pattern)
		q.Min, q.Max = cmp.Or(q.Min, s.Min), cmp.Or(q.Max, s.Max)
		q.MinLength, q.MaxLength = cmp.Or(q.MinLength, s.MinLength), cmp.Or(q.MaxLength, s.MaxLength)
		if q.Kind == KindText && q.Format == "" {
			q.Kind, q.Format, q.Choices = s.Kind, s.Format, s.Choices
			q.Columns, q.MinRows, q.MaxRows = s.Columns, s.MinRows, s.MaxRows
		}
		if q.Default == nil {
			q.Default = s.Default
		}
		if q.VisibleIf == nil {
			q.VisibleIf = s.VisibleIf
		}
	}
	return f, append(ds, f.prune()...)
}

func (f *Form) clone() *Form {
	c := *f
	c.Questions = slices.Clone(f.Questions)
	return &c
}

// prune takes away conditions on questions that the form does not have: they could
// never hold.
func (f *Form) prune() []plan.Diagnostic {
	var ds []plan.Diagnostic
	known := f.ids()
	for i := range f.Questions {
		q := &f.Questions[i]
		if q.VisibleIf == nil {
			continue
		}
		for _, field := range q.VisibleIf.fields(nil) {
			if !known[field] {
				ds = append(ds, conditionUnread(questionPath(i), q.ID, fmt.Errorf("it asks for %s, which is no question here", shown(field))))
				q.VisibleIf = nil
				break
			}
		}
	}
	return ds
}

func (f *Form) ids() map[string]bool {
	ids := make(map[string]bool, len(f.Questions))
	for _, q := range f.Questions {
		ids[q.ID] = true
	}
	return ids
}

func conditionUnread(path, id string, why error) plan.Diagnostic {
	return plan.Diagnostic{Severity: plan.Warn, Code: "QUESTION_CONDITION_UNREAD", Path: path + "/visible_if",
		Message: fmt.Sprintf("when %s is to be asked cannot be read, so it always is: %v", id, why),
		Hint:    "go doc ./qa has the conditions that are read"}
}

func questionPath(i int) string { return fmt.Sprintf("/questions/%d", i) }
