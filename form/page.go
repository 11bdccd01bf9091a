package form

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/greentic-ai/greentic-provision/plan"
	"github.com/greentic-ai/greentic-provision/qa"
	"github.com/greentic-ai/greentic-provision/render"
)

// How much of a form's texts is shown, in columns. Together they fit the 24 lines
// of a small terminal, so that what is typed stays in sight.
const (
	maxTitle   = 160
	maxHelp    = 400
	maxURL     = 200
	maxHint    = 70 // a placeholder, a value
	maxChoice  = 44 // with what a cut adds, a line
	maxProblem = 160
)

// widget is how an answer is given.
type widget int

const (
	input   widget = iota // a line of text
	confirm               // yes or no
	choose                // one of options
	pick                  // some of options
)

// page is one thing to ask. Its texts are fit for a terminal.
type page struct {
	where   string   // the form, the group, how far
	title   string   // one line
	about   []string // paragraphs
	widget  widget
	options []string // for choose and pick
	example string   // of an input

	secret    bool // do not show what is typed
	clearable bool // an input that may be emptied, though something is known

	// What is there to begin with.
	text   string
	yes    bool
	chosen int
	picked []int

	// read makes an answer of what was entered; nil is no answer. A problem that is
	// not "" says why it is none.
	read func(entry) (v json.RawMessage, problem string)
}

// entry is what an operator entered, in the field of the page's widget.
type entry struct {
	text   string
	yes    bool
	chosen int
	picked []int
}

// questionPage makes the page of a question that is no table. known is the answer
// that is there already, nil if there is none.
func questionPage(q qa.Question, known json.RawMessage) *page {
	p := &page{
		title:  render.Text(cmp.Or(q.Label, q.ID), maxTitle),
		secret: secret(q),
		widget: widgetOf(q),
	}
	if !q.Required && p.widget != confirm {
		p.title += " (optional)"
	}
	if q.Help != "" {
		p.about = append(p.about, render.Text(q.Help, maxHelp))
	}
	if q.DocsURL != "" {
		p.about = append(p.about, "See "+render.Text(q.DocsURL, maxURL))
	}
	if p.secret && p.widget != input {
		known = q.Default // these show what they begin with
	}
	switch p.widget {
	case confirm:
		p.confirm(q, known)
	case choose:
		p.choose(q, known)
	case pick:
		p.pick(q, known)
	default:
		p.input(q, known)
	}
	return p
}

func widgetOf(q qa.Question) widget {
	switch {
	case q.Kind == qa.KindBoolean, q.Kind == qa.KindText && q.Inferred().Kind == qa.KindBoolean:
		return confirm
	case q.Kind == qa.KindChoice && len(q.Choices) > 0:
		return choose
	case q.Kind == qa.KindMultichoice && len(q.Choices) > 0:
		return pick
	}
	return input
}

// secret says that an answer is not to be shown, nor to be saved. A name that sounds
// like it suffices, by the rule of the plan as well, which takes such answers out of
// there: nobody minds not seeing what is typed as much as everybody seeing it.
func secret(q qa.Question) bool {
	return q.Secret || q.Inferred().Secret || len(plan.SecretValues(encode(map[string]string{q.ID: "value"}))) > 0
}

func (p *page) confirm(q qa.Question, known json.RawMessage) {
	if known == nil {
		known = json.RawMessage(cmp.Or(q.Inferred().Default, "false"))
	}
	text, _ := scalar(known)
	p.yes = text == "true"
	p.read = func(e entry) (json.RawMessage, string) {
		return checked(q, encode(e.yes))
	}
}

func (p *page) choose(q qa.Question, known json.RawMessage) {
	p.options = labels(q.Choices)
	none := 0
	if !q.Required && q.Default == nil { // where there is a default, no answer is the default
		p.options, none = slices.Insert(p.options, 0, "(no answer)"), 1
	}
	text, ok := scalar(known)
	switch at := indexOf(q.Choices, text); {
	case known == nil:
	case ok && at >= 0:
		p.chosen = none + at
	default:
		p.about = append(p.about, "The answer that was given is none of the choices.")
	}
	p.read = func(e entry) (json.RawMessage, string) {
		if e.chosen < none {
			return nil, ""
		}
		return checked(q, encode(q.Choices[e.chosen-none].Value))
	}
}

func (p *page) pick(q qa.Question, known json.RawMessage) {
	p.options = labels(q.Choices)
	for _, v := range texts(known) {
		if at := indexOf(q.Choices, v); at >= 0 && !slices.Contains(p.picked, at) {
			p.picked = append(p.picked, at)
		}
	}
	p.read = func(e entry) (json.RawMessage, string) {
		if len(e.picked) == 0 && known == nil && !q.Required {
			return nil, ""
		}
		list := []string{}
		for i, c := range q.Choices {
			if slices.Contains(e.picked, i) {
				list = append(list, c.Value)
			}
		}
		return checked(q, encode(list))
	}
}

func (p *page) input(q qa.Question, known json.RawMessage) {
	p.example = render.Text(q.Placeholder, maxHint)
	text, editable := editableText(q, known)
	empty := string(known) == `""`
	keep := known != nil && !empty && (p.secret || !editable)
	switch {
	case keep && p.secret && bytes.Equal(known, q.Default):
		p.about = append(p.about, "There is a default; leave this empty to take it.")
	case keep && p.secret:
		p.about = append(p.about, "An answer is given; leave this empty to keep it.")
	case keep:
		p.about = append(p.about, fmt.Sprintf("Given is %s; leave this empty to keep it.", render.JSON(known, maxHint)))
	default:
		p.text = text
		p.clearable = text != "" && !q.Required && (q.Kind == qa.KindText || q.Default == nil)
	}
	p.read = func(e entry) (json.RawMessage, string) {
		switch {
		case e.text != "":
			v, problem := parse(q, known, e.text)
			if problem != "" {
				return nil, problem
			}
			return checked(q, v)
		case keep:
			return checked(q, known)
		case q.Required:
			return nil, "an answer is needed"
		case q.Kind != qa.KindText:
			return q.Default, ""
		case p.clearable || empty:
			return encode(""), ""
		}
		return nil, ""
	}
}

// editableText gives a known answer as one would type it. There is none for what
// the line of an input would change or show wrongly.
func editableText(q qa.Question, known json.RawMessage) (string, bool) {
	text, ok := scalar(known)
	if q.Format == "json" && known != nil {
		text, ok = string(known), true
	}
	return text, ok && render.Line(text, math.MaxInt) == text
}

// parse reads what was typed.
func parse(q qa.Question, known json.RawMessage, text string) (json.RawMessage, string) {
	if !utf8.ValidString(text) {
		return nil, "this is not UTF-8"
	}
	switch q.Kind {
	case qa.KindInteger:
		return integer(strings.TrimSpace(text))
	case qa.KindNumber:
		return number(strings.TrimSpace(text))
	}
	if q.Format == "json" {
		v, err := plan.Read([]byte(text))
		if err != nil {
			return nil, "this must be JSON, and a text in it has quotes around it"
		}
		return v, ""
	}
	// The type of the known answer is the one that is meant.
	if v, err := plan.Read([]byte(text)); err == nil && known != nil && kindOf(v) == kindOf(known) && kindOf(v) != '"' {
		return v, ""
	}
	return encode(text), ""
}

func integer(text string) (json.RawMessage, string) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return encode(n), ""
	}
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		return encode(n), ""
	}
	if digits := strings.TrimPrefix(text, "-"); digits != "" && strings.Trim(digits, "0123456789") == "" {
		return nil, "this number is too large"
	}
	return nil, "this must be a whole number, such as 12 or -3"
}

func number(text string) (json.RawMessage, string) {
	if v, err := plan.Read([]byte(text)); err == nil && kindOf(v) == '0' {
		return v, ""
	}
	if strings.Contains(text, ",") {
		return nil, "this must be a number, with a point and not a comma, such as 2.5"
	}
	return nil, "this must be a number, such as 12, -3 or 2.5"
}

// checked holds an answer against its question.
func checked(q qa.Question, v json.RawMessage) (json.RawMessage, string) {
	for _, d := range q.Check(v) {
		if d.Severity == plan.Error {
			return nil, problem(d)
		}
	}
	return v, ""
}

// problem words a diagnostic of qa, which quotes no answer. Its hint is the form's
// own text.
func problem(d plan.Diagnostic) string {
	s := render.Line(d.Message, maxProblem)
	if d.Hint != "" {
		s += " (" + render.Text(d.Hint, maxProblem) + ")"
	}
	return s
}

// labels are what the choices are called. Two that look the same are told apart:
// huh picks both.
func labels(choices []qa.Choice) []string {
	list := make([]string, len(choices))
	seen := make(map[string]bool, len(choices))
	for i, c := range choices {
		list[i] = c.Value
		if c.Title != "" && c.Title != c.Value {
			list[i] = c.Title + " (" + c.Value + ")"
		}
		list[i] = render.Text(list[i], maxChoice)
		if seen[list[i]] {
			list[i] += fmt.Sprintf(" (choice %d)", i+1)
		}
		seen[list[i]] = true
	}
	return list
}

func indexOf(choices []qa.Choice, value string) int {
	return slices.IndexFunc(choices, func(c qa.Choice) bool { return c.Value == value })
}

// scalar gives the text of a string, number or boolean; "" and true for nothing.
func scalar(v json.RawMessage) (string, bool) {
	switch kindOf(v) {
	case 0:
		return "", true
	case '"':
		var s string
		err := json.Unmarshal(v, &s)
		return s, err == nil
	case '0', 't':
		return string(v), true
	}
	return "", false
}

// texts gives the scalars of a list as text.
func texts(v json.RawMessage) []string {
	var list []json.RawMessage
	if kindOf(v) != '[' || json.Unmarshal(v, &list) != nil {
		return nil
	}
	var out []string
	for _, e := range list {
		if s, ok := scalar(e); ok {
			out = append(out, s)
		}
	}
	return out
}

// kindOf tells canonical JSON values apart: '"', '0' a number, 't' a boolean, 'n'
// null, '[', '{', and 0 for nothing.
func kindOf(v json.RawMessage) rune {
	switch {
	case len(v) == 0:
		return 0
	case v[0] == 'f':
		return 't'
	case v[0] == '-' || unicode.IsDigit(rune(v[0])):
		return '0'
	}
	return rune(v[0])
}

// encode encodes what is JSON by its making.
func encode(v any) json.RawMessage {
	b, err := plan.Canonical(v)
	if err != nil {
		panic("form: " + err.Error()) // made of valid UTF-8, numbers and canonical JSON
	}
	return b
}
