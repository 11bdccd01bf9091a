package qa

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/plan"
)

// Bundle has texts by key.
type Bundle = map[string]string

// ParseMessages reads what a component says of its texts, {"locale", "messages"}.
// What has no messages gives an empty Bundle; a message that is no string is left
// out, for its key then stands for it.
func ParseMessages(b json.RawMessage) (Bundle, error) {
	m, err := read(b, maxForm)
	if err != nil {
		return nil, fmt.Errorf("the component's texts: %w", err)
	}
	bundle := Bundle{}
	messages, _ := m["messages"].(object)
	for k, v := range messages {
		if s, ok := v.(string); ok {
			bundle[k] = hostile.Clip(s, maxText)
		}
	}
	return bundle, nil
}

// ParseSpec reads a component's own specification of its questions, in any of the
// forms that the package comment lists. A text {"key": …} is looked up in messages;
// without a message it is its "fallback", else the key.
//
// Diagnostics say what was read in another way than it was written, and which
// questions were left out (severity error). The error is for what is no
// specification: other JSON than an object, the {"ok": false} of a component that
// knows no questions, too many of them.
func ParseSpec(spec json.RawMessage, messages Bundle) (*Form, []plan.Diagnostic, error) {
	m, err := read(spec, maxForm)
	if err != nil {
		return nil, nil, fmt.Errorf("the component's questions: %w", err)
	}
	if m["ok"] == false {
		return nil, nil, errors.New("the component's questions: it answers ok: false, so it has none to ask")
	}
	if m["questions"] == nil {
		questions, ok := fields(m)
		if !ok {
			return nil, nil, errors.New("the component's questions: has neither questions nor fields")
		}
		m["questions"] = questions
	}
	return parseForm(m, messages, FromComponent)
}

// parseForm reads a form that has questions, if any.
func parseForm(m object, messages Bundle, origin string) (*Form, []plan.Diagnostic, error) {
	p := parser{messages: messages, origin: origin}
	questions, ok := m["questions"].([]any)
	if m["questions"] != nil && !ok {
		return nil, nil, fmt.Errorf("%s: questions must be a list", p.who())
	}
	if len(questions) > MaxQuestions {
		return nil, nil, fmt.Errorf("%s: has %d questions, more than %d", p.who(), len(questions), MaxQuestions)
	}
	f := &Form{
		Mode: mode(first(m, "mode")), Provider: first(m, "provider_id", "provider"), Questions: []Question{},
		Title: p.text(m, "title_i18n", "title"), Description: p.text(m, "description_i18n", "description"),
	}
	if !goodID(f.Provider) {
		f.Provider = ""
	}
	defaults, _ := m["defaults"].(object)
	seen := map[string]bool{}
	for i, v := range questions {
		path := questionPath(i)
		q, ok := p.question(v, path, false)
		switch {
		case !ok:
			continue
		case seen[q.ID]:
			p.say(plan.Error, "QUESTION_DUPLICATE", path, "the question %s is there twice; this one is left out", q.ID)
			continue
		}
		seen[q.ID] = true
		if d, given := defaults[q.ID]; given && q.Default == nil {
			q.Default = p.standard(q, d, path)
		}
		f.Questions = append(f.Questions, q)
	}
	for _, id := range sorted(defaults) {
		if !seen[id] {
			p.say(plan.Info, "QUESTION_UNREADABLE", pointer("/defaults", id), "a default is for no question")
		}
	}
	return f, append(p.ds, f.prune()...), nil
}

// mode gives one of our words for a mode: the provider contract says "upgrade".
func mode(s string) string {
	switch s {
	case "upgrade":
		return "update"
	case "default", "setup", "update", "remove":
		return s
	}
	return ""
}

// fields makes questions of a schema: {fields: {name: {required, schema}}} or a
// JSON Schema. Members of canonical JSON have lost their order; names are sorted.
func fields(m object) ([]any, bool) {
	if schema, ok := m["config_schema"].(object); ok {
		m = schema
	}
	list := []any{}
	if fs, ok := m["fields"].(object); ok {
		for _, id := range sorted(fs) {
			field, _ := fs[id].(object)
			schema, _ := field["schema"].(object)
			q := object{"type": schema["kind"]}
			for k, v := range schema {
				if k != "kind" {
					q[k] = v
				}
			}
			q["id"], q["required"] = id, field["required"] == true
			list = append(list, q)
		}
		return list, true
	}
	ps, ok := m["properties"].(object)
	if !ok {
		return nil, false
	}
	required, _ := m["required"].([]any)
	for _, id := range sorted(ps) {
		schema, _ := ps[id].(object)
		q := object{}
		for k, v := range schema {
			q[k] = v
		}
		if _, single := q["type"].(string); !single {
			delete(q, "type") // several types: text takes any scalar
		}
		if q["type"] == nil && q["enum"] != nil {
			q["type"] = "enum"
		}
		q["id"], q["required"] = id, slices.Contains(required, any(id))
		q["secret"] = q["writeOnly"] == true || q["format"] == "password"
		list = append(list, q)
	}
	return list, true
}

// parser reads the questions of one document.
type parser struct {
	messages Bundle
	origin   string
	ds       []plan.Diagnostic
	patterns int // steps of patterns so far
	looked   int // bytes of texts so far that were looked up
}

func (p *parser) who() string {
	if p.origin == FromSetup {
		return "setup.yaml"
	}
	return "the component's questions"
}

func (p *parser) say(s plan.Severity, code, path, format string, args ...any) {
	p.tell(plan.Diagnostic{Severity: s, Code: code, Path: path, Message: p.who() + ": " + fmt.Sprintf(format, args...)})
}

// tell keeps as many diagnostics as anybody reads, and says so where it stops.
func (p *parser) tell(d plan.Diagnostic) {
	switch {
	case len(p.ds) < maxDiagnostics:
		p.ds = append(p.ds, d)
	case len(p.ds) == maxDiagnostics:
		p.ds = append(p.ds, plan.Diagnostic{Severity: plan.Error, Code: "QUESTION_UNREADABLE", Path: d.Path, Message: p.who() + ": there is more that cannot be read as it is written"})
	}
}

// text gives the first of some members that is a text: a string, or {key, fallback}.
func (p *parser) text(m object, names ...string) string {
	for _, n := range names {
		switch v := m[n].(type) {
		case string:
			if v != "" {
				return hostile.Clip(v, maxText)
			}
		case object:
			key := first(v, "key")
			if s := cmp.Or(p.message(key), first(v, "fallback", "text", "default"), key); s != "" {
				return hostile.Clip(s, maxText)
			}
		}
	}
	return ""
}

// message looks a text up, as long as all that were are no more than may be.
func (p *parser) message(key string) string {
	s := p.messages[key]
	if p.looked > maxMessages {
		return ""
	}
	if p.looked += len(s); p.looked > maxMessages {
		p.say(plan.Warn, "QUESTION_UNREADABLE", "", "its texts have more than %d bytes; those behind are not looked up", maxMessages)
		return ""
	}
	return s
}

// kinds are the words for kinds that real writers use.
var kinds = map[string]Kind{
	"text": KindText, "string": KindText, "str": KindText, "password": KindText, "secret": KindText,
	"url": KindText, "email": KindText, "textarea": KindText, "multiline": KindText,
	"inline_json": KindText, "json": KindText, "asset_ref": KindText, "path": KindText,
	"number": KindNumber, "float": KindNumber, "f64": KindNumber,
	"integer": KindInteger, "int": KindInteger, "u64": KindInteger, "i64": KindInteger, "u32": KindInteger, "u16": KindInteger,
	"boolean": KindBoolean, "bool": KindBoolean, "toggle": KindBoolean,
	"choice": KindChoice, "enum": KindChoice, "select": KindChoice, "choiceset": KindChoice,
	"multichoice": KindMultichoice, "multi_choice": KindMultichoice, "multiselect": KindMultichoice, "multi_select": KindMultichoice,
	"table": KindTable, "list": KindTable,
}

// question reads one question, or a column of a table.
func (p *parser) question(v any, path string, column bool) (Question, bool) {
	m, ok := v.(object)
	id := first(m, "id", "name", "key")
	if column {
		id = first(m, "key", "id", "name")
	}
	if !ok || !goodID(id) {
		p.say(plan.Error, "QUESTION_UNREADABLE", path, "a question has no id that can be one; it is left out")
		return Question{}, false
	}
	q := Question{
		ID: id, Required: m["required"] == true || m["isRequired"] == true, Secret: m["secret"] == true, Multilingual: column && m["multilingual"] == true,
		Label: cmp.Or(p.text(m, "label", "title_i18n", "title", "prompt"), id),
		Help:  p.text(m, "help", "description_i18n", "description"), Error: p.text(m, "error"),
		Placeholder: p.text(m, "placeholder"), Group: p.text(m, "group"), DocsURL: p.text(m, "docs_url"),
	}
	if !column {
		q.Origin = p.origin
		if o := first(m, "origin"); o == FromComponent || o == FromSetup {
			q.Origin = o
		}
	}
	inner, _ := m["kind"].(object)
	word := strings.ToLower(cmp.Or(first(inner, "type"), first(m, "kind"), first(m, "type"), "text"))
	kind, known := kinds[word]
	q.Choices = p.choices(has(m, "choices", "options", "enum"), path)
	if q.Choices == nil {
		q.Choices = p.choices(has(inner, "options", "choices"), path)
	}
	list, _ := m["list"].(object)
	if q.Format = hostile.Clip(first(m, "format"), maxID); known && kind == KindText && word != "text" && word != "string" && word != "str" {
		q.Format = word
	}
	switch q.Format {
	case "inline_json":
		q.Format = "json"
	case "asset_ref":
		q.Format = "path"
	case "password", "secret":
		q.Format, q.Secret = "", true
	}
	// A kind of which choices are given is a choice, be it called text or radio.
	if scalarKind := kind == KindText || kind == KindNumber || kind == KindInteger; q.Choices != nil && (!known || scalarKind && q.Format != "json") {
		kind = KindChoice
	}
	switch {
	case kind == KindTable && !column:
		p.table(&q, columns(m, list), path)
	case kind == KindTable:
		p.say(plan.Warn, "QUESTION_KIND_UNKNOWN", path+"/kind", "the column %s is a table, which a column cannot be; it is taken for text", id)
	case (kind == KindChoice || kind == KindMultichoice) && q.Choices == nil:
		p.say(plan.Warn, "QUESTION_KIND_UNKNOWN", path+"/kind", "%s has no choices to choose from; it is taken for text", id)
	default:
		q.Kind = kind
	}
	q.Kind = cmp.Or(q.Kind, KindText)
	if !known {
		p.say(plan.Warn, "QUESTION_KIND_UNKNOWN", path+"/kind", "%s is of the kind %s, which is not known; it is taken for %s", id, shown(word), q.Kind)
	}
	if q.Kind != KindChoice && q.Kind != KindMultichoice {
		q.Choices = nil
	}
	p.constraints(&q, m, path)
	if q.Kind == KindTable {
		q.MinRows, q.MaxRows = count(has(m, "min_rows"), list["min_items"]), count(has(m, "max_rows"), list["max_items"])
	}
	q.Default = p.standard(q, has(m, "default", "default_value"), path)
	if !column {
		p.condition(&q, m, path)
	}
	return q, true
}

func columns(m, list object) any {
	if c := m["columns"]; c != nil {
		return c
	}
	return list["fields"]
}

// table reads the columns of a table.
func (p *parser) table(q *Question, v any, path string) {
	list, _ := v.([]any)
	seen := map[string]bool{}
	for i, c := range list[:min(len(list), maxColumns)] {
		at := fmt.Sprintf("%s/columns/%d", path, i)
		col, ok := p.question(c, at, true)
		switch {
		case ok && seen[col.ID]:
			p.say(plan.Error, "QUESTION_DUPLICATE", at, "the column %s is there twice; this one is left out", col.ID)
		case ok:
			seen[col.ID] = true
			q.Columns = append(q.Columns, col)
		}
	}
	if q.Kind = KindTable; len(list) > maxColumns || len(q.Columns) == 0 {
		p.say(plan.Warn, "QUESTION_KIND_UNKNOWN", path+"/columns", "%s is a table with %d columns, not with 1 to %d; it is taken for any JSON", q.ID, len(list), maxColumns)
		q.Kind, q.Format, q.Columns = KindText, "json", nil
	}
}

// choices reads a list of scalars or of {value, title}. A value counts once.
func (p *parser) choices(v any, path string) []Choice {
	list, _ := v.([]any)
	if len(list) > MaxChoices {
		p.say(plan.Error, "QUESTION_UNREADABLE", path+"/choices", "has %d choices, more than %d; those behind are left out", len(list), MaxChoices)
		list = list[:MaxChoices]
	}
	var cs []Choice
	seen := map[string]bool{}
	for _, e := range list {
		var c Choice
		var ok bool
		if m, isObject := e.(object); isObject {
			if c.Value, ok = scalar(has(m, "value", "id", "const")); ok {
				c.Title = cmp.Or(p.text(m, "label", "title"), c.Value)
			}
		} else if c.Value, ok = scalar(e); ok {
			c.Title = c.Value
		}
		if !ok || len(c.Value) > maxText {
			p.say(plan.Warn, "QUESTION_UNREADABLE", path+"/choices", "a choice is no text; it is left out")
			continue
		}
		if !seen[c.Value] {
			seen[c.Value] = true
			c.Title = hostile.Clip(c.Title, maxText)
			cs = append(cs, c)
		}
	}
	return cs
}

// constraints reads what an answer must be like, from the question or from what
// the forms call validate, constraint and constraints.
func (p *parser) constraints(q *Question, m object, path string) {
	for _, from := range []object{m, inside(m, "validate"), inside(m, "constraint"), inside(m, "constraints")} {
		q.Pattern = cmp.Or(q.Pattern, first(from, "pattern", "regex"))
		q.Min, q.Max = cmp.Or(q.Min, float(has(from, "min", "minimum"))), cmp.Or(q.Max, float(has(from, "max", "maximum")))
		q.MinLength = cmp.Or(q.MinLength, count(has(from, "min_len", "min_length", "minLength")))
		q.MaxLength = cmp.Or(q.MaxLength, count(has(from, "max_len", "max_length", "maxLength")))
	}
	if q.Pattern == "" {
		return
	}
	if why := p.unusable(q.Pattern); why != "" {
		p.say(plan.Warn, "QUESTION_PATTERN_UNREAD", path, "the pattern of %s %s; answers are not held against it", q.ID, why)
		q.Pattern = ""
	}
}

// unusable says why a pattern cannot be used: RE2 runs in linear time and has no
// lookarounds or backreferences.
func (p *parser) unusable(pattern string) string {
	if len(pattern) > maxPattern {
		return fmt.Sprintf("has more than %d bytes", maxPattern)
	}
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return "is no regular expression of RE2"
	}
	n := steps(re)
	if p.patterns+n > maxPatterns {
		return fmt.Sprintf("is too large: all patterns together may have %d steps", maxPatterns)
	}
	p.patterns += n
	return ""
}

// steps is about how many a pattern compiles to, and what it costs for each
// character of a text: (x?){1000} is short and has two thousand. The parser has seen
// to it that they are less than four million.
func steps(re *syntax.Regexp) int {
	n := 1
	if re.Op == syntax.OpLiteral {
		n = len(re.Rune)
	}
	for _, sub := range re.Sub {
		n += steps(sub)
	}
	if re.Op == syntax.OpRepeat {
		n *= max(1, re.Min, re.Max)
	}
	return n
}

func inside(m object, name string) object {
	o, _ := m[name].(object)
	return o
}

func float(v any) *float64 {
	if n, ok := v.(json.Number); ok {
		if f, err := n.Float64(); err == nil {
			return &f
		}
	}
	return nil
}

func count(vs ...any) *int {
	for _, v := range vs {
		if n, ok := v.(json.Number); ok {
			if i, err := n.Int64(); err == nil && i >= 0 && i <= 1<<31 {
				c := int(i)
				return &c
			}
		}
	}
	return nil
}

// standard gives a default in the type of the question, or as it is written:
// FormSpec writes all of them as strings.
func (p *parser) standard(q Question, v any, path string) json.RawMessage {
	if v == nil {
		return nil
	}
	b := canonical(typed(q, v))
	if len(b) > maxDefault {
		p.say(plan.Warn, "QUESTION_UNREADABLE", path+"/default", "the default of %s has %d bytes, more than %d; it is left out", q.ID, len(b), maxDefault)
		return nil
	}
	return b
}

// condition reads when the question is asked.
func (p *parser) condition(q *Question, m object, path string) {
	var err error
	if v := m["visible_if"]; v != nil {
		q.VisibleIf, err = visibleIf(v)
	} else if v := m["skip_if"]; v != nil {
		q.VisibleIf, err = skipIf(v)
	}
	if err != nil {
		p.tell(conditionUnread(path, q.ID, err))
	}
}
