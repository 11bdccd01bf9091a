package qa_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/greentic-ai/greentic-provision/plan"
	"github.com/greentic-ai/greentic-provision/qa"
)

// told writes diagnostics one a line: severity, code, path.
func told(ds []plan.Diagnostic) string {
	var b strings.Builder
	for _, d := range ds {
		fmt.Fprintf(&b, "%s %s %s\n", d.Severity, d.Code, d.Path)
	}
	return b.String()
}

func lines(s ...string) string {
	if len(s) == 0 {
		return ""
	}
	return strings.Join(s, "\n") + "\n"
}

func parseSpec(t testing.TB, spec string) *qa.Form {
	t.Helper()
	f, ds, err := qa.ParseSpec(json.RawMessage(spec), nil)
	if err != nil || len(ds) > 0 {
		t.Fatalf("%v, %v", err, told(ds))
	}
	return f
}

func parseSetup(t testing.TB, yaml string) *qa.Form {
	t.Helper()
	f, ds, err := qa.ParseSetup([]byte(yaml))
	if err != nil || len(ds) > 0 {
		t.Fatalf("%v, %v", err, told(ds))
	}
	return f
}

// outline writes a form one question a line.
func outline(f *qa.Form) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s|%s|%s\n", f.Mode, f.Title, f.Provider)
	for _, q := range f.Questions {
		fmt.Fprintf(&b, "%s|%s|%s", q.ID, q.Label, q.Kind)
		for name, is := range map[string]bool{"required": q.Required} {
			if is {
				b.WriteString("|" + name)
			}
		}
		if q.Secret {
			b.WriteString("|secret")
		}
		if q.Pattern != "" {
			b.WriteString("|/" + q.Pattern + "/")
		}
		for _, c := range q.Choices {
			b.WriteString("|" + c.Value + "=" + c.Title)
		}
		if q.Default != nil {
			b.WriteString("|default " + string(q.Default))
		}
		if q.VisibleIf != nil {
			c, _ := json.Marshal(q.VisibleIf)
			b.WriteString("|if " + string(c))
		}
		for _, c := range q.Columns {
			fmt.Fprintf(&b, "|[%s %s]", c.ID, c.Kind)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestParseSpecReadsEveryWriting(t *testing.T) {
	messages := qa.Bundle{"t.title": "Set up", "q.token": "Token", "q.err": "No", "red": "Rot"}
	for name, c := range map[string]struct {
		spec, want string
		ds         string
	}{
		"the provider contract": {
			spec: `{"mode":"upgrade","title":{"key":"t.title"},"description":null,"questions":[
				{"id":"token","label":{"key":"q.token"},"kind":{"type":"text"},"required":true,"error":{"key":"q.err"}},
				{"id":"port","label":{"key":"q.port"},"kind":{"type":"number"},"required":false}],"defaults":{"port":"587"}}`,
			want: lines("update|Set up|", "token|Token|text|required", "port|q.port|number|default 587"),
		},
		"component-qa 0.6.0": {
			spec: `{"mode":"setup","title":{"key":"x","fallback":"Fell back"},"questions":[
				{"id":"on","label":{"key":"On"},"kind":{"type":"bool"},"required":false},
				{"id":"c","label":{"key":"C"},"kind":{"type":"choice","options":[{"value":"r","label":{"key":"red"}},{"value":"g","label":{"key":"green"}}]},"required":true,
				 "skip_if":{"not":{"condition":{"field":"on","equals":true,"is_empty":false,"is_not_empty":false}}}},
				{"id":"j","label":{"key":"J"},"kind":{"type":"inline_json","schema":{}},"required":false},
				{"id":"p","label":{"key":"P"},"kind":{"type":"asset_ref","file_types":["json"]},"required":false}],"defaults":{}}`,
			want: lines("setup|Fell back|", "on|On|boolean",
				`c|C|choice|required|r=Rot|g=green|if {"expression":{"expression":{"expressions":[{"left":{"op":"answer","path":"on"},"op":"eq","right":{"op":"literal","value":"true"}}],"op":"and"},"op":"not"},"op":"not"}`,
				"j|J|text", "p|P|text"),
		},
		"FormSpec": {
			spec: `{"id":"f","title":"Form","version":"1.0.0","questions":[
				{"id":"k","type":"enum","title":"K","choices":["a","b"],"default_value":"a","required":true},
				{"id":"n","type":"integer","title":"N","default_value":"7","constraint":{"min":1,"max":9},"visible_if":{"op":"eq","left":{"op":"answer","path":"k"},"right":{"op":"literal","value":"b"}}},
				{"id":"s","type":"string","title":"S","secret":true,"constraint":{"pattern":"^x"}},
				{"id":"l","type":"list","title":"L","list":{"min_items":1,"fields":[{"id":"u","type":"string","title":"U","required":true}]}}]}`,
			want: lines("|Form|", "k|K|choice|required|a=a|b=b|default \"a\"",
				`n|N|integer|default 7|if {"left":{"op":"answer","path":"k"},"op":"eq","right":{"op":"literal","value":"b"}}`,
				"s|S|text|secret|/^x/", "l|L|table|[u text]"),
		},
		"a described config schema": {
			spec: `{"config_schema":{"kind":"object","title":{"key":"t.title"},"fields":{"b":{"required":true,"schema":{"kind":"u64","title":{"key":"B"}}},"a":{"required":false,"schema":{"kind":"string","secret":true}},"c":{"required":false,"schema":{"kind":"bool"}}}}}`,
			want: lines("||", "a|a|text|secret", "b|B|integer|required", "c|c|boolean"),
		},
		"a JSON Schema": {
			spec: `{"title":"S","type":"object","required":["a"],"properties":{"a":{"type":"string","title":"A","writeOnly":true,"pattern":"x"},"e":{"enum":["1",1,true]},"n":{"type":"number","minimum":2,"default":3}}}`,
			want: lines("|S|", "a|A|text|required|secret|/x/", "e|e|choice|1=1|true=true", "n|n|number|default 3"),
		},
		"the questions of a setup.yaml": {
			spec: `{"provider_id":"telegram","title":"T","questions":[{"name":"bot_token","title":"Bot token","kind":"string","required":true,"secret":true,"validate":{"regex":"^[0-9]+:"}}]}`,
			want: lines("|T|telegram", "bot_token|Bot token|text|required|secret|/^[0-9]+:/"),
		},
		"what has to be read in another way": {
			spec: `{"questions":[{"id":"a","kind":"colour"},{"id":"a"},{"kind":"text"},7,{"id":"b","kind":"choice"},{"id":"r","kind":"radio","choices":["x"]},
				{"id":"c","pattern":"(?=x)"},{"id":"d","visible_if":{"field":"nobody"}},{"id":"e","visible_if":"a +"},{"id":"t","kind":"table"},
				{"id":"u","kind":"table","columns":[{"key":"x","kind":"table"},{"key":"x"}]}],"defaults":{"z":1}}`,
			want: lines("||", "a|a|text", "b|b|text", "r|r|choice|x=x", "c|c|text", "d|d|text", "e|e|text", "t|t|text", "u|u|table|[x text]"),
			ds: lines("warn QUESTION_KIND_UNKNOWN /questions/0/kind", "error QUESTION_DUPLICATE /questions/1",
				"error QUESTION_UNREADABLE /questions/2", "error QUESTION_UNREADABLE /questions/3", "warn QUESTION_KIND_UNKNOWN /questions/4/kind",
				"warn QUESTION_KIND_UNKNOWN /questions/5/kind", "warn QUESTION_PATTERN_UNREAD /questions/6", "warn QUESTION_CONDITION_UNREAD /questions/8/visible_if",
				"warn QUESTION_KIND_UNKNOWN /questions/9/columns", "warn QUESTION_KIND_UNKNOWN /questions/10/columns/0/kind",
				"error QUESTION_DUPLICATE /questions/10/columns/1", "info QUESTION_UNREADABLE /defaults/z",
				"warn QUESTION_CONDITION_UNREAD /questions/4/visible_if"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, ds, err := qa.ParseSpec(json.RawMessage(c.spec), messages)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, outline(f)); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(c.ds, told(ds)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestParseSpecRefuses(t *testing.T) {
	many := strings.Repeat(`{"id":"x"},`, qa.MaxQuestions+1)
	for name, spec := range map[string]string{
		"no JSON":            `{`,
		"no object":          `[]`,
		"a duplicate name":   `{"questions":[],"questions":[]}`,
		"an unsupported op":  `{"ok":false,"error":"unsupported op: qa-spec"}`,
		"nothing to ask":     `{"title":"x"}`,
		"questions by name":  `{"questions":{"a":{}}}`,
		"too many questions": `{"questions":[` + strings.TrimSuffix(many, ",") + `]}`,
		"too large":          `{"title":"` + strings.Repeat("x", 4<<20) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			if f, _, err := qa.ParseSpec(json.RawMessage(spec), nil); err == nil || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, %v", f, err)
			}
		})
	}
}

func TestTextsAndChoicesAreBounded(t *testing.T) {
	var choices []string
	for i := range qa.MaxChoices + 7 {
		choices = append(choices, fmt.Sprintf(`"c%d"`, i))
	}
	f, ds, err := qa.ParseSpec(json.RawMessage(`{"questions":[{"id":"a","label":"`+strings.Repeat("é", 4000)+`","kind":"choice","choices":[`+strings.Join(choices, ",")+`]},
		{"id":"`+strings.Repeat("x", 200)+`"},{"id":"b","default":"`+strings.Repeat("x", 70000)+`"}]}`), nil)
	if err != nil || len(f.Questions) != 2 || len(f.Questions[0].Label) > 4100 || len(f.Questions[0].Choices) != qa.MaxChoices || f.Questions[1].Default != nil {
		t.Errorf("%v, %d questions", err, len(f.Questions))
	}
	if d := cmp.Diff(lines("error QUESTION_UNREADABLE /questions/0/choices", "error QUESTION_UNREADABLE /questions/1", "warn QUESTION_UNREADABLE /questions/2/default"), told(ds)); d != "" {
		t.Error(d)
	}
}

func TestWhatIsToldOfAFormIsBounded(t *testing.T) {
	var questions []string
	for i := range 300 {
		questions = append(questions, fmt.Sprintf(`{"id":"q%d","pattern":"(x{1000}){%d}"}`, i, i), fmt.Sprintf(`{"id":"k%d","pattern":"%s"}`, i, strings.Repeat("x", 500)))
	}
	f, ds, err := qa.ParseSpec(json.RawMessage(`{"questions":[`+strings.Join(questions[:500], ",")+`]}`), nil)
	if err != nil || len(ds) != 201 || ds[200].Severity != plan.Error {
		t.Fatalf("%v, %d diagnostics", err, len(ds))
	}
	n := 0
	for _, q := range f.Questions {
		n += len(q.Pattern)
	}
	if n == 0 || n > 16<<10 {
		t.Errorf("patterns of %d bytes", n)
	}
}

func TestParseSetup(t *testing.T) {
	f := parseSetup(t, `
provider_id: webchat
version: 1
title: Web chat
questions:
  - name: public_base_url
    title: Public base URL
    kind: string
    required: true
    help: "Example: https://x (default: https://y)"
    validate:
      regex: "^https://"
  - name: mode
    kind: enum
    choices: [static, 1, true]
    default: &d static
  - name: route
    visible_if: {field: mode, eq: static}
    default: *d
  - {name: key, secret: true, visible_if: "mode != 'static' && public_base_url || !route", placeholder: "a | b", group: G, docs_url: "https://d"}
  - name: prompt
    default: |
      two
      lines
  - name: links
    kind: table
    min_rows: 1
    max_rows: 8
    columns:
    - key: label
      required: true
      multilingual: true
    - key: external
      kind: boolean
`)
	want := lines("|Web chat|webchat",
		"public_base_url|Public base URL|text|required|/^https:///",
		`mode|mode|choice|static=static|1=1|true=true|default "static"`,
		`route|route|text|default "static"|if {"left":{"op":"answer","path":"mode"},"op":"eq","right":{"op":"literal","value":"static"}}`,
		`key|key|text|secret|if {"expressions":[{"expressions":[{"expression":{"left":{"op":"answer","path":"mode"},"op":"eq","right":{"op":"literal","value":"static"}},"op":"not"},{"op":"answer","path":"public_base_url"}],"op":"and"},{"expression":{"op":"answer","path":"route"},"op":"not"}],"op":"or"}`,
		`prompt|prompt|text|default "two\nlines\n"`,
		"links|links|table|[label text]|[external boolean]")
	if d := cmp.Diff(want, outline(f)); d != "" {
		t.Error(d)
	}
	for i, want := range map[int]qa.Hints{
		0: {Pattern: `^https?://\S+`, Default: "https://y"},
		3: {Kind: qa.KindChoice, Choices: []string{"a", "b"}},
		4: {},
	} {
		if d := cmp.Diff(want, f.Questions[i].Inferred()); d != "" {
			t.Error(d)
		}
	}
	if h := (qa.Question{ID: "enabled"}).Inferred(); h.Kind != qa.KindBoolean || h.Default != "true" {
		t.Errorf("%+v", h)
	}
	if h := (qa.Question{ID: "bot_token"}).Inferred(); !h.Secret {
		t.Errorf("%+v", h)
	}
	if f, ds, err := qa.ParseSetup(nil); err != nil || len(f.Questions) != 0 || ds != nil {
		t.Errorf("an empty setup.yaml: %v, %v, %v", f, ds, err)
	}
}

func TestParseSetupRefuses(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for i := range 8 {
		bomb += fmt.Sprintf("b%d: &b%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%s,", map[bool]string{true: "a", false: fmt.Sprint("b", i-1)}[i == 0]), 10), ","))
	}
	var members strings.Builder
	for i := range 1001 {
		fmt.Fprintf(&members, "k%d: 1\n", i)
	}
	for name, c := range map[string]struct{ yaml, want string }{
		"a duplicate key":        {"a: 1\nb: 2\na: 3\n", "twice"},
		"a duplicate flow key":   {"{a: 1, a: 2}", "twice"},
		"an alias bomb":          {bomb, "aliases followed"},
		"an alias bomb of text":  {"a: &a \"" + strings.Repeat("x", 20_000) + "\"\nb: [" + strings.TrimSuffix(strings.Repeat("*a,", 300), ",") + "]\n", "bytes of text, aliases followed"},
		"an alias bomb of names": {"a: &a {" + strings.Repeat("x", 250) + ": 1}\nb: [" + strings.TrimSuffix(strings.Repeat("*a,", 20_000), ",") + "]\n", "bytes of text, aliases followed"},
		"an alias in itself":     {"a: &a [*a]\n", "aliases followed"},
		"an alias of nothing":    {"a: *b\n", "alias"},
		"a merge key":            {"a: &a {b: 1}\nc:\n  <<: *a\n", "merge"},
		"a list of lists":        {strings.Repeat("- ", 50_000) + "a", "nests"},
		"brackets":               {strings.Repeat("[", 100_000), "nests"},
		"braces":                 {strings.Repeat("{a: ", 50) + strings.Repeat("}", 50), "nests"},
		"nested mappings":        {nested(50), "nests"},
		"tags before tags":       {strings.Repeat("!!seq ", 1000) + "a", "nests"},
		"documents":              {"a: 1\n---\nb: 2\n", "document"},
		"ends of documents":      {"a: 1\n...\n...\n", "document"},
		"keys without values":    {strings.ReplaceAll(members.String(), "k", "? k"), "members"},
		"many documents":         {strings.Repeat("---\na\n", 20_000), "document"},
		"a list":                 {"- a\n", "mapping"},
		"a tag":                  {"a: !env HOME\n", "tag"},
		"a directive":            {"%YAML 1.2\n---\na: 1\n", "directive"},
		"a number JSON has not":  {"a: .inf\n", "number"},
		"no number":              {"a: .nan\n", "number"},
		"a key that is no name":  {"~: 1\n", "key"},
		"a wide mapping":         {members.String(), "members"},
		"many tokens":            {"a: [" + strings.Repeat("1,", 60_000) + "1]", "tokens"},
		"a long name":            {strings.Repeat("a", 300) + ": 1\n", "name"},
		"text that is too large": {strings.Repeat("a", qa.MaxSetup+1), "bytes"},
		"no UTF-8":               {"a: \"\xff\"\n", "UTF-8"},
		"what is no YAML":        {"a: [1\nb: 's3cr\n", "parsed"},
		"too many questions":     {"questions:\n" + strings.Repeat("- {name: a}\n", qa.MaxQuestions+1), "questions"},
	} {
		t.Run(name, func(t *testing.T) {
			f, _, err := qa.ParseSetup([]byte(c.yaml))
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "s3cr") || !strings.HasPrefix(err.Error(), "setup.yaml: ") {
				t.Errorf("%v, %v", f, err)
			}
		})
	}
}

func nested(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func TestASetupWithListsInTheColumnOfTheirNameIsNotDeep(t *testing.T) {
	var b strings.Builder
	for i := range 100 {
		fmt.Fprintf(&b, "k%d:\n- a\n- b: 1\n  c:\n  - d\n", i)
	}
	if _, _, err := qa.ParseSetup([]byte(b.String())); err != nil {
		t.Error(err)
	}
}

func TestMerge(t *testing.T) {
	component := parseSpec(t, `{"mode":"setup","title":{"key":"x.title"},"questions":[
		{"id":"bot_token","label":{"key":"x.bot_token"},"kind":{"type":"text"},"required":true},
		{"id":"port","label":{"key":"x.port"},"kind":{"type":"text"},"required":false},
		{"id":"tls","label":{"key":"x.tls"},"kind":{"type":"text"},"required":false},
		{"id":"on","label":{"key":"x.on"},"kind":{"type":"bool"},"required":false}]}`)
	setup := parseSetup(t, `
provider_id: telegram
title: Telegram
questions:
- {name: ms_bot_app_id, required: true}
- {name: bot_token, title: Bot token, help: From BotFather, secret: true, required: false, validate: {regex: ":"}}
- {name: port, kind: number, default: 587}
- {name: tls, kind: choice, choices: [starttls, none], visible_if: ms_bot_app_id}
- {name: on, kind: string}
`)
	before := component.JSON()
	f, ds := qa.Merge(component, setup)
	want := lines("setup|Telegram|telegram", "bot_token|Bot token|text|required|secret|/:/", "port|x.port|number|default 587",
		"tls|x.tls|choice|starttls=starttls|none=none", "on|x.on|boolean")
	if d := cmp.Diff(want, outline(f)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(lines("info QUESTION_NOT_IN_COMPONENT /questions/0", "warn QUESTION_CONDITION_UNREAD /questions/2/visible_if"), told(ds)); d != "" {
		t.Error(d)
	}
	if f.Questions[0].Help != "From BotFather" || f.Questions[0].Origin != qa.FromComponent || string(component.JSON()) != string(before) {
		t.Errorf("%+v", f.Questions[0])
	}
	if f, ds := qa.Merge(nil, setup); len(f.Questions) != 5 || len(ds) != 0 || f.Questions[0].Origin != qa.FromSetup {
		t.Errorf("%v, %v", f, ds)
	}
	if f, ds := qa.Merge(component, nil); len(f.Questions) != 4 || len(ds) != 0 {
		t.Errorf("%v, %v", f, ds)
	}
	if f, _ := qa.Merge(nil, nil); string(f.JSON()) != `{"questions":[]}` {
		t.Errorf("%s", f.JSON())
	}
}

func TestParseMessages(t *testing.T) {
	b, err := qa.ParseMessages(json.RawMessage(`{"locale":"de","messages":{"a":"A","b":7}}`))
	if d := cmp.Diff(qa.Bundle{"a": "A"}, b); d != "" || err != nil {
		t.Error(d, err)
	}
	if b, err := qa.ParseMessages(json.RawMessage(`{}`)); len(b) != 0 || err != nil {
		t.Error(b, err)
	}
	if _, err := qa.ParseMessages(json.RawMessage(`7`)); err == nil {
		t.Error("no error")
	}
}

func TestConditions(t *testing.T) {
	for _, c := range []struct {
		expression, answers string
		want                bool
	}{
		{`a`, `{"a":"yes"}`, true},
		{`a`, `{"a":"no"}`, false},
		{`a`, `{"a":true}`, true},
		{`a`, `{"a":0}`, false},
		{`a`, `{}`, false},
		{`!a`, `{}`, true},
		{`!a`, `{"a":false}`, true},
		{`a == "x y"`, `{"a":"x y"}`, true},
		{`a=='x'`, `{"a":"y"}`, false},
		{`a == true`, `{"a":"true"}`, true},
		{`a == 5`, `{"a":5}`, true},
		{`a != 'stdout'`, `{}`, true},
		{`a != 'stdout'`, `{"a":"stdout"}`, false},
		{`a && b`, `{"a":1,"b":1}`, true},
		{`a && b`, `{"a":1}`, false},
		{`a || b && c`, `{"a":1}`, true},
		{`a && b || c`, `{"c":1}`, true},
		{`a && b || c`, `{"a":1}`, false},
		{`a == "&&"`, `{"a":"&&"}`, true},
		{`a.b == 1`, `{"a.b":1}`, true},
	} {
		spec, _ := json.Marshal(map[string]any{"questions": []any{map[string]any{"id": "q", "visible_if": c.expression},
			map[string]any{"id": "a"}, map[string]any{"id": "b"}, map[string]any{"id": "c"}, map[string]any{"id": "a.b"}}})
		f := parseSpec(t, string(spec))
		asked := f.Visible(json.RawMessage(c.answers))
		if got := len(asked) == 5; got != c.want {
			t.Errorf("%s with %s: %v", c.expression, c.answers, got)
		}
	}
}

func TestConditionsThatAreNotRead(t *testing.T) {
	deep := `{"op":"is_set","path":"a"}`
	for range 20 {
		deep = `{"op":"and","expressions":[` + deep + `,` + `{"op":"is_set","path":"a"},{"op":"is_set","path":"a"},{"op":"is_set","path":"a"}]}`
	}
	for _, c := range []string{
		`"a ="`, `"(a)"`, `"a b"`, `"a == b"`, `""`, `"&& a"`, `"a &&"`, `"!!a"`, `"a > 5"`, `"a == \"x"`, `7`, `[]`, `{}`, `{"field":7}`,
		`{"field":"a","eq":[1]}`, `{"op":"lt","left":{"op":"answer","path":"a"},"right":{"op":"literal","value":1}}`,
		`{"op":"and","expressions":[]}`, `{"op":"eq","left":{"op":"answer","path":"a"},"right":{"op":"answer","path":"b"}}`,
		`"` + strings.Repeat("a && ", 300) + `a"`, deep,
	} {
		f, ds, err := qa.ParseSpec(json.RawMessage(`{"questions":[{"id":"q","visible_if":`+c+`},{"id":"a"},{"id":"b"}]}`), nil)
		if err != nil || told(ds) != "warn QUESTION_CONDITION_UNREAD /questions/0/visible_if\n" || len(f.Visible(nil)) != 3 {
			t.Errorf("%.100s: %v, %s", c, err, told(ds))
		}
	}
}

func TestSkipIf(t *testing.T) {
	for _, c := range []struct {
		skip, answers string
		asked         bool
	}{
		{`{"condition":{"field":"a","equals":"x"}}`, `{"a":"x"}`, false},
		{`{"condition":{"field":"a","equals":"x"}}`, `{}`, true},
		{`{"condition":{"field":"a","not_equals":"x"}}`, `{"a":"y"}`, false},
		{`{"condition":{"field":"a","is_empty":true}}`, `{"a":""}`, false},
		{`{"condition":{"field":"a","is_not_empty":true}}`, `{"a":"x"}`, false},
		{`{"and":[{"condition":{"field":"a","is_empty":true}},{"not":{"condition":{"field":"b","is_empty":true}}}]}`, `{"b":1}`, false},
		{`{"or":[{"condition":{"field":"a","equals":1}},{"condition":{"field":"b","equals":1}}]}`, `{"b":2}`, true},
	} {
		f := parseSpec(t, `{"questions":[{"id":"q","skip_if":`+c.skip+`},{"id":"a"},{"id":"b"}]}`)
		if got := len(f.Visible(json.RawMessage(c.answers))) == 3; got != c.asked {
			t.Errorf("%s with %s: %v", c.skip, c.answers, got)
		}
	}
}

// TestJSONIsReadBack says that the normal form is one.
func TestJSONIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawForm(t)
		again, ds, err := qa.ParseSpec(f.JSON(), nil)
		if err != nil || len(ds) > 0 {
			t.Fatalf("%v, %v of %s", err, ds, f.JSON())
		}
		if d := cmp.Diff(string(f.JSON()), string(again.JSON())); d != "" {
			t.Fatal(d)
		}
	})
}

// A pattern may be short and have a million steps, and a default be as long as an
// answer; the time to match is the product of both.
func TestMatchingIsBounded(t *testing.T) {
	large := `"(` + strings.Repeat("x?", 400) + `){1000}"`
	f, ds, err := qa.ParseSpec(json.RawMessage(`{"questions":[{"id":"a","pattern":`+large+`},{"id":"b","pattern":"^(x?){800}$","default":"`+strings.Repeat("x", 60000)+`"},
		{"id":"c","pattern":"^x+$","default":"y"}]}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(lines("warn QUESTION_PATTERN_UNREAD /questions/0"), told(ds)); d != "" || f.Questions[0].Pattern != "" || f.Questions[2].Pattern == "" {
		t.Error(d, f.Questions[0].Pattern)
	}
	found := f.Check(nil)
	if len(found) != 2 || !strings.Contains(found[0].Message, "too long to be held against") || !strings.Contains(found[1].Message, "must match ^x+$") {
		t.Errorf("%q", told(found))
	}
	if found := f.Check(json.RawMessage(`{"b":"xxx","c":"x"}`)); len(found) > 0 {
		t.Errorf("%q", told(found))
	}
}

// Any number of labels may be one long message.
func TestTextsThatAreLookedUpAreBounded(t *testing.T) {
	var questions []string
	for i := range 100 {
		var choices []string
		for j := range 100 {
			choices = append(choices, fmt.Sprintf(`{"value":"%d","label":{"key":"k"}}`, j))
		}
		questions = append(questions, fmt.Sprintf(`{"id":"q%d","kind":"choice","choices":[%s]}`, i, strings.Join(choices, ",")))
	}
	f, ds, err := qa.ParseSpec(json.RawMessage(`{"questions":[`+strings.Join(questions, ",")+`]}`), qa.Bundle{"k": strings.Repeat("x", 4000)})
	if err != nil || len(ds) != 1 || ds[0].Code != "QUESTION_UNREADABLE" || ds[0].Severity != plan.Warn {
		t.Fatalf("%v, %q", err, told(ds))
	}
	if n := len(f.AdaptiveCard()); n > 6<<20 || len(f.Questions[0].Choices[0].Title) != 4000 || f.Questions[99].Choices[0].Title != "k" {
		t.Errorf("a card of %d bytes", n)
	}
}

// What the YAML reader takes minutes for: it writes out all tokens for the text of an
// error, and looks through the line at each tab in quotes.
func TestSetupsThatKeepTheReaderBusy(t *testing.T) {
	for text, want := range map[string]string{
		strings.Repeat("]", 90_000):                                 "setup.yaml: cannot be parsed, at line:column 1:1",
		`a: "` + strings.Repeat("[\t", 200_000):                     "setup.yaml: has too many tabs for its size",
		"a: \"" + strings.Repeat("\t", 5000) + "x\"\nquestions: []": "",
	} {
		if _, _, err := qa.ParseSetup([]byte(text)); err == nil && want != "" || err != nil && err.Error() != want {
			t.Errorf("%.10s: %v, want %q", text, err, want)
		}
	}
}
