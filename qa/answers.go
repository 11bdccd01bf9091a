package qa

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/greentic-ai/greentic-provision/plan"
)

// MaxAnswers is the size of a document of answers, in bytes.
const MaxAnswers = 4 << 20

// maxTold is how many misses of one sort are told one by one: answers to no
// question, and cells of a table.
const maxTold = 50

// place is an object that answers lie in, and where in the document it is.
type place struct {
	path string
	m    object
}

// places are where the answers of one provider are, in the order in which they
// count: config, secrets, and the object around them, which is all there is of flat
// answers.
type places struct {
	config, secrets, flat place
	sections              bool
}

func (p places) all() []place { return []place{p.config, p.secrets, p.flat} }

// find looks for what is called id: as a name, or as a path of names with dots.
// Null is nothing.
func (p places) find(id string) (v any, path string) {
	for _, in := range p.all() {
		if v := in.m[id]; v != nil && !(p.sections && in.path == p.flat.path && section(id)) {
			return v, pointer(in.path, id)
		}
	}
	if !strings.Contains(id, ".") {
		return nil, ""
	}
	for _, in := range p.all() {
		var at any = in.m
		path := in.path
		for part := range strings.SplitSeq(id, ".") {
			m, _ := at.(object)
			at, path = m[part], pointer(path, part)
		}
		if at != nil {
			return at, path
		}
	}
	return nil, ""
}

// would says where an answer that is missing should be.
func (p places) would(id string, secret bool) string {
	switch {
	case !p.sections:
		return pointer(p.flat.path, id)
	case secret:
		return pointer(p.flat.path+"/secrets", id)
	}
	return pointer(p.flat.path+"/config", id)
}

func section(name string) bool { return name == "config" || name == "secrets" }

// locate finds the answers in a document. known are ids, or the first names of
// dotted ones: they are no provider's name.
func locate(b json.RawMessage, provider string, known map[string]bool) (places, error) {
	if len(b) == 0 || string(b) == "null" {
		b = json.RawMessage("{}")
	}
	doc, err := read(b, MaxAnswers)
	if err != nil {
		return places{}, fmt.Errorf("answers: %w", err)
	}
	path := ""
	all, wrapped := doc["setup_answers"].(object)
	wrapped = wrapped && !known["setup_answers"]
	if wrapped {
		doc, path = all, "/setup_answers"
	}
	name, several := providerIn(doc, provider, known)
	switch {
	case name != "":
		doc, path = inside(doc, name), pointer(path, name)
	case several && wrapped:
		return places{}, errors.New("answers: setup_answers has several providers, and none of them is this one; keep the one that is meant")
	}
	p := places{flat: place{path, doc}}
	config, isConfig := doc["config"].(object)
	secrets, isSecrets := doc["secrets"].(object)
	if isConfig && !known["config"] {
		p.config, p.sections = place{path + "/config", config}, true
	}
	if isSecrets && !known["secrets"] {
		p.secrets, p.sections = place{path + "/secrets", secrets}, true
	}
	return p, nil
}

// providerIn gives the member with the answers of a provider: the one of its name,
// or the only member there is. Packs are called messaging-telegram and their
// setup.yaml says telegram; either names the other.
func providerIn(doc object, provider string, known map[string]bool) (name string, several bool) {
	var found []string
	for _, k := range sorted(doc) {
		if _, ok := doc[k].(object); ok && !known[k] && !section(k) && k != "mode" {
			found = append(found, k)
		}
	}
	for _, exact := range []bool{true, false} {
		for _, k := range found {
			a, b := canonicalName(k), canonicalName(provider)
			if a == b || !exact && provider != "" && (strings.HasSuffix(a, "_"+b) || strings.HasSuffix(b, "_"+a)) {
				return k, false
			}
		}
	}
	if len(found) == 1 && len(doc) == 1 {
		return found[0], false
	}
	return "", len(found) > 1
}

// given are the answers to a form: flat, typed, with defaults.
type given struct {
	values  object
	paths   map[string]string // where they were
	unknown []string          // paths of answers to no question, with their names
	names   []string
	places  places
}

func (f *Form) given(answers json.RawMessage) (given, error) {
	known := make(map[string]bool, len(f.Questions))
	for _, q := range f.Questions {
		head, _, _ := strings.Cut(q.ID, ".")
		known[q.ID], known[head] = true, true
	}
	p, err := locate(answers, f.Provider, known)
	if err != nil {
		return given{}, err
	}
	g := given{values: object{}, paths: map[string]string{}, places: p}
	used := map[string]bool{}
	for _, q := range f.Questions {
		if v, path := p.find(q.ID); v != nil {
			used[path] = true
			g.set(q, v, path)
		}
	}
	// Secrets also answer under the name of a secret requirement, as the fixtures of
	// published packs have them: TELEGRAM_BOT_TOKEN for bot_token.
	for _, name := range sorted(p.secrets.m) {
		path := pointer(p.secrets.path, name)
		v := p.secrets.m[name]
		if used[path] || v == nil {
			continue
		}
		var to []Question
		for _, q := range f.Questions {
			if _, answered := g.values[q.ID]; !answered && alias(name, q.ID) && (q.Secret || soundsSecret(q.ID)) {
				to = append(to, q)
			}
		}
		if len(to) == 1 {
			used[path] = true
			g.set(to[0], v, path)
		}
	}
	ids := f.ids()
	for _, in := range p.all() {
		for _, name := range sorted(in.m) {
			path := pointer(in.path, name)
			flat := p.sections && in.path == p.flat.path
			_, nested := in.m[name].(object)
			// "mode" beside sections says how to run, in the fixtures of packs.
			if used[path] || ids[name] || flat && (section(name) || name == "mode") || nested && known[name] {
				continue
			}
			g.unknown, g.names = append(g.unknown, path), append(g.names, name)
		}
	}
	for _, q := range f.Questions {
		_, answered := g.values[q.ID]
		if !answered && q.Default != nil && (q.VisibleIf == nil || q.VisibleIf.holds(g.values)) {
			g.values[q.ID] = plan.Tree(q.Default)
		}
	}
	return g, nil
}

func (g *given) set(q Question, v any, path string) {
	if v == "" && q.Kind != KindText && !slices.ContainsFunc(q.Choices, func(c Choice) bool { return c.Value == "" }) {
		return // a form that was left empty
	}
	g.values[q.ID], g.paths[q.ID] = typed(q, v), path
}

// Answers gives the answers to the form's questions flat, typed, and with the
// defaults of the questions that are asked and not answered, in their order; the
// package comment says what is converted. Answers to no question are left out. The
// result is canonical JSON; it is for the component and holds secrets.
//
// Answers to questions that are not asked are kept: what to do with them is the
// component's business. An error is for a document that cannot be read, or has the
// answers of several providers of which none is the form's.
func (f *Form) Answers(answers json.RawMessage) (json.RawMessage, error) {
	g, err := f.given(answers)
	if err != nil {
		return nil, err
	}
	return canonical(g.values), nil
}

// Visible gives the questions that are asked, given some answers. Answers that
// cannot be read count as none.
func (f *Form) Visible(answers json.RawMessage) []Question {
	g, err := f.given(answers)
	if err != nil {
		g.values = object{}
	}
	list := []Question{}
	for _, q := range f.Questions {
		if q.VisibleIf == nil || q.VisibleIf.holds(g.values) {
			list = append(list, q)
		}
	}
	return list
}

// typed converts an answer to the kind of its question, where it is a string that
// is one.
func typed(q Question, v any) any {
	s, ok := v.(string)
	if !ok {
		if rows, isList := v.([]any); isList && q.Kind == KindTable {
			return typedRows(q, rows)
		}
		return v
	}
	switch q.Kind {
	case KindBoolean:
		if s == "true" || s == "false" {
			return s == "true"
		}
	case KindNumber, KindInteger:
		if number.MatchString(s) {
			// Read refuses what no float64 holds, and gives the canonical text.
			if b, err := plan.Read([]byte(s)); err == nil && (q.Kind == KindNumber || whole(json.Number(b))) {
				return json.Number(b)
			}
		}
	case KindMultichoice:
		list := []any{}
		for part := range strings.SplitSeq(s, ",") {
			list = append(list, part)
		}
		return list
	}
	return v
}

func typedRows(q Question, rows []any) []any {
	list := make([]any, len(rows))
	for i, row := range rows {
		m, ok := row.(object)
		if !ok {
			list[i] = row
			continue
		}
		out := make(object, len(m))
		for k, v := range m {
			out[k] = v
		}
		for _, c := range q.Columns {
			if v, ok := out[c.ID]; ok && v != nil {
				out[c.ID] = typed(c, v)
			}
		}
		list[i] = out
	}
	return list
}

// whole says that a number is an integer; 1e3 is one.
func whole(n json.Number) bool {
	f, err := n.Float64()
	return err == nil && f == math.Trunc(f)
}

// Check says what is wrong with answers, one diagnostic for each miss, with the
// place of the answer or where it should be:
//
//   - ANSWER_MISSING: a question is required and asked, and has no answer;
//   - ANSWER_KIND: an answer is no number, boolean, …;
//   - ANSWER_CHOICE: it is none of the choices;
//   - ANSWER_PATTERN: the pattern does not match it, or it is too long to be held
//     against it;
//   - ANSWER_RANGE: too small, too large, too short, too long, too few, too many;
//   - ANSWER_UNKNOWN (a warning): it answers no question; the hint has the nearest;
//   - ANSWERS_UNREADABLE: the document cannot be read.
//
// An answer's value is never in them.
func (f *Form) Check(answers json.RawMessage) []plan.Diagnostic {
	g, err := f.given(answers)
	if err != nil {
		return []plan.Diagnostic{{Severity: plan.Error, Code: "ANSWERS_UNREADABLE", Message: err.Error(),
			Hint: "answers are a JSON object, flat or with config and secrets"}}
	}
	var ds []plan.Diagnostic
	m := &matcher{left: maxMatching}
	for _, q := range f.Questions {
		v := g.values[q.ID]
		path := g.paths[q.ID]
		if path == "" {
			path = g.places.would(q.ID, q.Secret)
		}
		required := q.Required && (q.VisibleIf == nil || q.VisibleIf.holds(g.values))
		ds = append(ds, m.check(q, v, required, path)...)
	}
	for i, path := range g.unknown {
		if i == maxTold {
			ds = append(ds, plan.Diagnostic{Severity: plan.Warn, Code: "ANSWER_UNKNOWN",
				Message: fmt.Sprintf("%d more answers are to no question", len(g.unknown)-i)})
			break
		}
		d := plan.Diagnostic{Severity: plan.Warn, Code: "ANSWER_UNKNOWN", Path: path, Message: fmt.Sprintf("%s is no question of this form", shown(g.names[i]))}
		if near := f.nearest(g.names[i]); near != "" {
			d.Hint = "the nearest question is " + near
		}
		ds = append(ds, d)
	}
	return ds
}

// Check says what is wrong with an answer to this question, if it is asked: for
// forms that check as one types. The answer is typed first, as by Form.Answers.
func (q Question) Check(answer json.RawMessage) []plan.Diagnostic {
	var v any
	if len(answer) > 0 {
		var err error
		if v, err = strict(answer, MaxAnswers); err != nil {
			return []plan.Diagnostic{wrong(q, "ANSWERS_UNREADABLE", pointer("", q.ID), "is not read: %v", err)}
		}
	}
	g := given{values: object{}, paths: map[string]string{}}
	g.set(q, v, "")
	return (&matcher{left: maxMatching}).check(q, g.values[q.ID], q.Required, pointer("", q.ID))
}

func wrong(q Question, code, path, format string, args ...any) plan.Diagnostic {
	return plan.Diagnostic{Severity: plan.Error, Code: code, Path: path, Message: "the answer to " + q.ID + " " + fmt.Sprintf(format, args...), Hint: q.Error}
}

// matcher holds texts against patterns, each compiled once. Both may be a pack's: a
// default is an answer. left is how much work is left.
type matcher struct {
	left     int
	compiled map[string]pattern
}

type pattern struct {
	re    *regexp.Regexp
	steps int
}

// wrong says what is wrong with a text, "" where the pattern matches it.
func (m *matcher) wrong(q Question, s string) string {
	if q.Pattern == "" {
		return ""
	}
	p, known := m.compiled[q.Pattern]
	if !known {
		tree, err := syntax.Parse(q.Pattern, syntax.Perl)
		if err != nil {
			return "" // no form of a parser has such
		}
		p = pattern{regexp.MustCompile(q.Pattern), steps(tree)}
		if m.compiled == nil {
			m.compiled = map[string]pattern{}
		}
		m.compiled[q.Pattern] = p
	}
	work := p.steps * len(s)
	if work > m.left {
		return "is too long to be held against " + q.Pattern
	}
	if m.left -= work; !p.re.MatchString(s) {
		return "must match " + q.Pattern
	}
	return ""
}

// check holds a typed answer, nil for none, against its question.
func (m *matcher) check(q Question, v any, required bool, path string) []plan.Diagnostic {
	one := func(code, format string, args ...any) []plan.Diagnostic {
		return []plan.Diagnostic{wrong(q, code, path, format, args...)}
	}
	if v == nil || v == "" && q.Kind == KindText {
		if required {
			return one("ANSWER_MISSING", "is missing")
		}
		return nil
	}
	if o, ok := v.(object); ok && o["__greentic_encrypted__"] != nil {
		return one("ANSWER_KIND", "is encrypted by greentic-setup; decrypt it there")
	}
	switch q.Kind {
	case KindBoolean:
		if _, ok := v.(bool); !ok {
			return one("ANSWER_KIND", "must be true or false")
		}
	case KindNumber, KindInteger:
		n, ok := v.(json.Number)
		if !ok || q.Kind == KindInteger && !whole(n) {
			return one("ANSWER_KIND", "must be %s", map[Kind]string{KindNumber: "a number", KindInteger: "an integer"}[q.Kind])
		}
	case KindChoice:
		if s, ok := scalar(v); !ok || !q.has(s) {
			return one("ANSWER_CHOICE", "must be %s", q.oneOf())
		}
		return nil
	case KindMultichoice:
		list, ok := v.([]any)
		if !ok {
			return one("ANSWER_KIND", "must be a list of choices")
		}
		if required && len(list) == 0 {
			return one("ANSWER_MISSING", "has no choice in it")
		}
		for _, e := range list {
			if s, ok := scalar(e); !ok || !q.has(s) {
				return one("ANSWER_CHOICE", "has a choice that must be %s", q.oneOf())
			}
		}
		return nil
	case KindTable:
		return m.checkTable(q, v, required, path)
	case KindText:
		if !textual(q, v) {
			return one("ANSWER_KIND", "must be a text")
		}
	}
	switch v := v.(type) {
	case string:
		if why := m.wrong(q, v); why != "" {
			return one("ANSWER_PATTERN", "%s", why)
		}
		n := utf8.RuneCountInString(v)
		if q.MinLength != nil && n < *q.MinLength {
			return one("ANSWER_RANGE", "must have at least %d characters", *q.MinLength)
		}
		if q.MaxLength != nil && n > *q.MaxLength {
			return one("ANSWER_RANGE", "must have at most %d characters", *q.MaxLength)
		}
	case json.Number:
		f, err := v.Float64()
		if q.Min != nil && (err != nil || f < *q.Min) {
			return one("ANSWER_RANGE", "must be at least %v", *q.Min)
		}
		if q.Max != nil && (err != nil || f > *q.Max) {
			return one("ANSWER_RANGE", "must be at most %v", *q.Max)
		}
	}
	return nil
}

// textual says that an answer can be one to a text question.
func textual(q Question, v any) bool {
	if _, ok := scalar(v); ok || q.Format == "json" {
		return true
	}
	m, ok := v.(object)
	if !ok || !q.Multilingual {
		return false
	}
	for _, t := range m {
		if _, ok := t.(string); !ok {
			return false
		}
	}
	return true
}

func (q Question) has(value string) bool {
	return slices.ContainsFunc(q.Choices, func(c Choice) bool { return c.Value == value })
}

// oneOf lists the choices.
func (q Question) oneOf() string {
	var values []string
	for _, c := range q.Choices {
		values = append(values, c.Value)
	}
	return oneOf(values)
}

func (m *matcher) checkTable(q Question, v any, required bool, path string) []plan.Diagnostic {
	rows, ok := v.([]any)
	if !ok {
		return []plan.Diagnostic{wrong(q, "ANSWER_KIND", path, "must be a list of rows")}
	}
	least := 0
	if q.MinRows != nil {
		least = *q.MinRows
	}
	switch {
	case required && len(rows) == 0:
		return []plan.Diagnostic{wrong(q, "ANSWER_MISSING", path, "has no rows")}
	case len(rows) < least:
		return []plan.Diagnostic{wrong(q, "ANSWER_RANGE", path, "must have at least %d rows", least)}
	case q.MaxRows != nil && len(rows) > *q.MaxRows:
		return []plan.Diagnostic{wrong(q, "ANSWER_RANGE", path, "must have at most %d rows", *q.MaxRows)}
	}
	var ds []plan.Diagnostic
	for i, row := range rows {
		if len(ds) >= maxTold {
			break
		}
		at := fmt.Sprintf("%s/%d", path, i)
		cells, ok := row.(object)
		if !ok {
			ds = append(ds, wrong(q, "ANSWER_KIND", at, "has a row that is no object"))
			continue
		}
		for _, c := range q.Columns {
			ds = append(ds, m.check(c, cells[c.ID], c.Required, pointer(at, c.ID))...)
		}
	}
	return ds
}

// nearest gives the question that an unknown name was probably meant to be.
func (f *Form) nearest(name string) string {
	if len(name) > maxID {
		return ""
	}
	best, at := len(name)/3+2, ""
	for _, q := range f.Questions {
		if alias(name, q.ID) {
			return q.ID
		}
		if d := distance(strings.ToLower(name), strings.ToLower(q.ID)); d < best {
			best, at = d, q.ID
		}
	}
	return at
}

// distance is how many bytes must be put in, taken out or changed to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = min(diagonal, row[j], row[j+1]) + 1
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
