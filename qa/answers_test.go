package qa_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"github.com/greentic-ai/greentic-provision/plan"
	"github.com/greentic-ai/greentic-provision/qa"
)

const telegram = `{"mode":"setup","provider":"telegram","questions":[
	{"id":"enabled","kind":{"type":"text"},"required":false},
	{"id":"bot_token","kind":{"type":"text"},"required":true,"secret":true},
	{"id":"port","kind":{"type":"number"},"required":false,"default":587},
	{"id":"max_entries","kind":{"type":"text"},"required":false}]}`

func TestAnswersComeInManyDocuments(t *testing.T) {
	f := parseSpec(t, telegram)
	const want = `{"bot_token":"t","enabled":true,"port":587}`
	for name, doc := range map[string]string{
		"flat":                            `{"enabled":true,"bot_token":"t"}`,
		"sections":                        `{"mode":"dry-run","config":{"enabled":true},"secrets":{"bot_token":"t"}}`,
		"sections beside flat":            `{"config":{"enabled":true},"bot_token":"t"}`,
		"null in a section":               `{"config":{"enabled":null},"enabled":true,"secrets":{"bot_token":"t"}}`,
		"the key of the requirement":      `{"config":{"enabled":true},"secrets":{"TELEGRAM_BOT_TOKEN":"t"}}`,
		"by provider":                     `{"telegram":{"enabled":true,"bot_token":"t"}}`,
		"by provider, among others":       `{"slack":{},"telegram":{"enabled":true,"bot_token":"t"}}`,
		"by pack":                         `{"messaging-telegram":{"enabled":true,"bot_token":"t"}}`,
		"by the only provider":            `{"other":{"enabled":true,"bot_token":"t"}}`,
		"by provider, in sections":        `{"telegram":{"config":{"enabled":true},"secrets":{"bot_token":"t"}}}`,
		"a document of greentic-setup":    `{"greentic_setup_version":"1.0.0","tenant":"demo","setup_answers":{"messaging-slack":{"x":1},"messaging-telegram":{"enabled":true,"bot_token":"t"}}}`,
		"a document of one provider only": `{"setup_answers":{"enabled":true,"bot_token":"t"}}`,
		"empty inputs":                    `{"enabled":true,"bot_token":"t","port":""}`,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := f.Answers(json.RawMessage(doc))
			if err != nil || string(got) != want {
				t.Errorf("%s, %v", got, err)
			}
			if ds := f.Check(json.RawMessage(doc)); plan.HasErrors(ds) {
				t.Error(told(ds))
			}
		})
	}
	if _, err := f.Answers(json.RawMessage(`{"setup_answers":{"slack":{},"teams":{}}}`)); err == nil {
		t.Error("answers of two other providers are taken")
	}
	if got, err := f.Answers(nil); err != nil || string(got) != `{"port":587}` {
		t.Errorf("%s, %v", got, err)
	}
}

func TestAnswersKeepTheTypeOfTextAnswers(t *testing.T) {
	f := parseSpec(t, telegram)
	for _, c := range []struct{ answers, want string }{
		{`{"enabled":false,"max_entries":"5","port":"25"}`, `{"enabled":false,"max_entries":"5","port":25}`},
		{`{"enabled":"false","max_entries":5,"port":25}`, `{"enabled":"false","max_entries":5,"port":25}`},
		{`{"port":"a lot"}`, `{"port":"a lot"}`},
		{`{"port":"1e400"}`, `{"port":"1e400"}`},
		{`{"port":"007"}`, `{"port":"007"}`},
		{`{"enabled":""}`, `{"enabled":"","port":587}`},
	} {
		if got, err := f.Answers(json.RawMessage(c.answers)); err != nil || string(got) != c.want {
			t.Errorf("%s: %s, %v", c.answers, got, err)
		}
	}
}

func TestAnswersByPath(t *testing.T) {
	f := parseSpec(t, `{"questions":[{"id":"audit.sink","required":true},{"id":"a.b","required":true}]}`)
	doc := json.RawMessage(`{"config":{"audit":{"sink":"x"}},"a.b":1}`)
	if got, err := f.Answers(doc); err != nil || string(got) != `{"a.b":1,"audit.sink":"x"}` || len(f.Check(doc)) != 0 {
		t.Errorf("%s, %v, %s", got, err, told(f.Check(doc)))
	}
}

func TestDefaultsAreForQuestionsThatAreAsked(t *testing.T) {
	f := parseSpec(t, `{"questions":[{"id":"backend","default":"memory"},
		{"id":"url","required":true,"default":"redis://x","visible_if":"backend == 'redis'"},{"id":"size","default":1,"visible_if":"backend == 'memory'"}]}`)
	for doc, want := range map[string]string{
		`{}`:                                `{"backend":"memory","size":1}`,
		`{"backend":"redis"}`:               `{"backend":"redis","url":"redis://x"}`,
		`{"backend":"memory","url":"kept"}`: `{"backend":"memory","size":1,"url":"kept"}`,
	} {
		if got, err := f.Answers(json.RawMessage(doc)); err != nil || string(got) != want {
			t.Errorf("%s: %s, %v", doc, got, err)
		}
	}
}

const everything = `{"questions":[
	{"id":"name","kind":"text","required":true,"pattern":"^[a-z]+$","max_length":5,"error":"letters only"},
	{"id":"note","kind":"text","min_length":2,"pattern":"^n"},
	{"id":"n","kind":"number","min":1.5,"max":10},
	{"id":"i","kind":"integer","required":true},
	{"id":"on","kind":"boolean"},
	{"id":"c","kind":"choice","choices":["red","5","true"]},
	{"id":"m","kind":"multichoice","choices":["a","b"],"required":true,"visible_if":"on"},
	{"id":"t","kind":"table","min_rows":1,"max_rows":2,"columns":[{"key":"l","required":true,"multilingual":true},{"key":"x","kind":"integer"}]},
	{"id":"j","kind":"inline_json"},
	{"id":"hidden","required":true,"visible_if":"on && c == 5"}]}`

func TestCheck(t *testing.T) {
	f := parseSpec(t, everything)
	for name, c := range map[string]struct{ answers, want string }{
		"nothing":         {`{}`, lines("error ANSWER_MISSING /name", "error ANSWER_MISSING /i")},
		"all there is":    {`{"name":"abc","note":"no","n":2,"i":3,"on":true,"c":"red","m":["a"],"t":[{"l":"x","x":1}],"j":{"a":[1]}}`, ""},
		"typed from text": {`{"name":"abc","n":"2.5","i":"3","on":"true","c":5,"m":"a,b","t":[{"l":{"en":"x"},"x":"1"}],"j":1,"hidden":0}`, ""},
		"null and empty":  {`{"name":"","note":"","i":null,"n":"","c":"","t":null}`, lines("error ANSWER_MISSING /name", "error ANSWER_MISSING /i")},
		"in sections":     {`{"config":{"name":"ABC"},"secrets":{}}`, lines("error ANSWER_PATTERN /config/name", "error ANSWER_MISSING /config/i")},
		"kinds": {`{"name":{"a":1},"n":"x","i":1.5,"on":"maybe","c":[],"m":7,"t":{}}`, lines("error ANSWER_KIND /name", "error ANSWER_KIND /n", "error ANSWER_KIND /i",
			"error ANSWER_KIND /on", "error ANSWER_CHOICE /c", "error ANSWER_KIND /m", "error ANSWER_KIND /t")},
		"ranges":            {`{"name":"abcdef","note":"n","n":11,"i":1e3,"t":[]}`, lines("error ANSWER_RANGE /name", "error ANSWER_RANGE /note", "error ANSWER_RANGE /n", "error ANSWER_RANGE /t")},
		"ranges, below":     {`{"name":"a","n":1,"i":1,"t":[{"l":"a"},{"l":"b"},{"l":"c"}]}`, lines("error ANSWER_RANGE /n", "error ANSWER_RANGE /t")},
		"patterns":          {`{"name":"ABC","note":"xx","i":1}`, lines("error ANSWER_PATTERN /name", "error ANSWER_PATTERN /note")},
		"choices":           {`{"name":"a","i":1,"c":"blue","on":true,"m":["a","z"]}`, lines("error ANSWER_CHOICE /c", "error ANSWER_CHOICE /m")},
		"what is asked now": {`{"name":"a","i":1,"on":true,"c":"5","m":[]}`, lines("error ANSWER_MISSING /m", "error ANSWER_MISSING /hidden")},
		"rows":              {`{"name":"a","i":1,"t":[{"x":"y"},7]}`, lines("error ANSWER_MISSING /t/0/l", "error ANSWER_KIND /t/0/x", "error ANSWER_KIND /t/1")},
		"encrypted":         {`{"name":{"__greentic_encrypted__":"aes-256-gcm-siv-v1"},"i":1}`, lines("error ANSWER_KIND /name")},
		"unknown":           {`{"name":"a","i":1,"nam":1,"a/b":2}`, lines("warn ANSWER_UNKNOWN /a~1b", "warn ANSWER_UNKNOWN /nam")},
		"no object":         {`[]`, lines("error ANSWERS_UNREADABLE ")},
		"no JSON":           {`{"a":1,"a":2}`, lines("error ANSWERS_UNREADABLE ")},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(c.want, told(f.Check(json.RawMessage(c.answers)))); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestCheckSaysWhatToDoAndNoValue(t *testing.T) {
	f := parseSpec(t, everything)
	ds := f.Check(json.RawMessage(`{"name":"S3CRET","i":"S3CRET","c":"S3CRET","n":"S3CRET","nmae":"S3CRET","t":[{"l":["S3CRET"]}]}`))
	b, err := json.Marshal(ds)
	if err != nil || bytes.Contains(b, []byte("S3CRET")) || len(ds) != 6 {
		t.Errorf("%s", b)
	}
	if ds[0].Hint != "letters only" || ds[5].Hint != "the nearest question is name" {
		t.Errorf("%s", b)
	}
	if ds := f.Questions[0].Check(json.RawMessage(`"ABC"`)); told(ds) != "error ANSWER_PATTERN /name\n" {
		t.Error(told(ds))
	}
	if ds := f.Questions[3].Check(json.RawMessage(`"3"`)); len(ds) != 0 {
		t.Error(told(ds))
	}
	if ds := f.Questions[0].Check(nil); told(ds) != "error ANSWER_MISSING /name\n" {
		t.Error(told(ds))
	}
	if ds := f.Questions[0].Check(json.RawMessage(`{`)); told(ds) != "error ANSWERS_UNREADABLE /name\n" {
		t.Error(told(ds))
	}
}

func TestManyMissesAreCounted(t *testing.T) {
	f := parseSpec(t, everything)
	doc := `{"name":"a","i":1`
	for i := range 60 {
		doc += fmt.Sprintf(`,"unknown%d":1`, i)
	}
	ds := f.Check(json.RawMessage(doc + "}"))
	if len(ds) != 51 || !strings.HasPrefix(ds[50].Message, "10 more") {
		t.Errorf("%d", len(ds))
	}
}

func compileSchema(t failer, f *qa.Form) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(f.JSONSchema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("form.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("form.json")
	if err != nil {
		t.Fatalf("%v\n%s", err, f.JSONSchema())
	}
	return s
}

// accepts says whether the schema accepts the answers as a component gets them.
func accepts(t failer, s *jsonschema.Schema, f *qa.Form, answers string) error {
	t.Helper()
	flat, err := f.Answers(json.RawMessage(answers))
	if err != nil {
		return err
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(flat))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(v)
}

func TestTheSchemaAcceptsWhatCheckAccepts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawForm(t)
		answers := drawAnswers(t, f)
		ds := f.Check(json.RawMessage(answers))
		err := accepts(t, compileSchema(t, f), f, answers)
		if plan.HasErrors(ds) != (err != nil) {
			t.Fatalf("schema: %v\ncheck: %s\nanswers: %s\nform: %s\nschema: %s", err, told(ds), answers, f.JSON(), f.JSONSchema())
		}
	})
}

// failer is a test, or a property.
type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func TestJSONSchema(t *testing.T) {
	f := parseSpec(t, `{"title":"T","questions":[{"id":"k","label":"K","help":"H","required":true,"secret":true},{"id":"z","default":1},{"id":"a","kind":"boolean","required":true,"visible_if":"z"}]}`)
	const want = `{"$schema":"https://json-schema.org/draft/2020-12/schema","allOf":[{"if":{"properties":{"z":{"not":{"enum":["","false",false,"f","no","n","0",0]},"type":["string","number","boolean"]}},"required":["z"]},"then":{"properties":{"a":{}},"required":["a"]}}],"properties":{"a":{"title":"a","type":"boolean"},"k":{"description":"H","format":"password","not":{"enum":["",null]},"title":"K","type":["string","number","boolean"],"writeOnly":true},"z":{"default":1,"title":"z","type":["string","number","boolean"]}},"required":["k"],"title":"T","type":"object","x-order":["k","z","a"]}`
	if d := cmp.Diff(want, string(f.JSONSchema())); d != "" {
		t.Error(d)
	}
	compileSchema(t, f)
}

func TestAdaptiveCard(t *testing.T) {
	f := parseSpec(t, `{"title":"T","description":"D","questions":[
		{"id":"k","label":"K","help":"H","required":true,"secret":true,"default":"shown to nobody","group":"G"},
		{"id":"u","label":"U","pattern":"^https://","error":"https only","max_length":9,"placeholder":"https://…"},
		{"id":"n","label":"N","kind":"number","min":1,"max":2,"default":1},
		{"id":"b","label":"B","kind":"boolean","default":true},
		{"id":"c","label":"C","kind":"choice","choices":["x",{"value":"y","label":"Why"}],"required":true,"default":"x"},
		{"id":"m","label":"M","kind":"multichoice","choices":["x"],"required":true,"visible_if":"b"},
		{"id":"t","label":"T","kind":"table","columns":[{"key":"a"}]}]}`)
	var card struct {
		Type, Version string
		Body          []json.RawMessage
		Actions       []struct{ Type string }
	}
	if err := json.Unmarshal(f.AdaptiveCard(), &card); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`{"size":"large","text":"T","type":"TextBlock","weight":"bolder","wrap":true}`,
		`{"text":"D","type":"TextBlock","wrap":true}`,
		`{"separator":true,"text":"G","type":"TextBlock","weight":"bolder","wrap":true}`,
		`{"errorMessage":"an answer is required","id":"k","isRequired":true,"label":"K","style":"password","type":"Input.Text"}`,
		`{"isSubtle":true,"size":"small","spacing":"none","text":"H","type":"TextBlock","wrap":true}`,
		`{"errorMessage":"https only","id":"u","label":"U","maxLength":9,"placeholder":"https://…","regex":"^https://","type":"Input.Text"}`,
		`{"id":"n","label":"N","max":2,"min":1,"type":"Input.Number","value":1}`,
		`{"id":"b","label":"B","title":"B","type":"Input.Toggle","value":"true","valueOff":"false","valueOn":"true"}`,
		`{"choices":[{"title":"x","value":"x"},{"title":"Why","value":"y"}],"errorMessage":"choose one","id":"c","isRequired":true,"label":"C","type":"Input.ChoiceSet","value":"x"}`,
		`{"choices":[{"title":"x","value":"x"}],"id":"m","isMultiSelect":true,"label":"M","type":"Input.ChoiceSet"}`,
		`{"text":"T (a table: give its rows in the answers)","type":"TextBlock","wrap":true}`,
	}
	var got []string
	for _, e := range card.Body {
		got = append(got, string(e))
	}
	if d := cmp.Diff(want, got); d != "" || card.Type != "AdaptiveCard" || card.Version != "1.5" || len(card.Actions) != 1 || card.Actions[0].Type != "Action.Submit" {
		t.Error(d, card.Actions)
	}
}

// TestTheCardsOwnAnswersAreAccepted submits what a card gives: texts only.
func TestTheCardsOwnAnswersAreAccepted(t *testing.T) {
	f := parseSpec(t, everything)
	if ds := f.Check(json.RawMessage(`{"name":"abc","note":"","n":"2","i":"3","on":"true","c":"5","m":"a,b","hidden":"x"}`)); len(ds) != 0 {
		t.Error(told(ds))
	}
}

func drawForm(t *rapid.T) *qa.Form {
	f := &qa.Form{Title: rapid.SampledFrom([]string{"", "T"}).Draw(t, "title")}
	n := rapid.IntRange(1, 5).Draw(t, "questions")
	for i := range n {
		q := drawQuestion(t, fmt.Sprintf("q%d", i), false)
		q.Origin = qa.FromComponent
		if field := rapid.IntRange(0, 2*n).Draw(t, "condition"); field < n {
			leaf := qa.Condition{Op: rapid.SampledFrom([]qa.Op{qa.OpSet, qa.OpYes, qa.OpEq}).Draw(t, "op"), Field: fmt.Sprintf("q%d", field)}
			if leaf.Op == qa.OpEq {
				leaf.Value = rapid.SampledFrom(words).Draw(t, "value")
			}
			not := qa.Condition{Op: qa.OpNot, Of: []qa.Condition{leaf}}
			q.VisibleIf = rapid.SampledFrom([]*qa.Condition{&leaf, &not,
				{Op: qa.OpAnd, Of: []qa.Condition{leaf, not}}, {Op: qa.OpOr, Of: []qa.Condition{leaf, not}}}).Draw(t, "tree")
		}
		f.Questions = append(f.Questions, q)
	}
	return f
}

var words = []string{"", "a", "abc", "true", "5", "1.0", "x y", "0"}

func drawQuestion(t *rapid.T, id string, column bool) qa.Question {
	kinds := []qa.Kind{qa.KindText, qa.KindNumber, qa.KindInteger, qa.KindBoolean, qa.KindChoice, qa.KindMultichoice, qa.KindTable}
	if column {
		kinds = kinds[:6]
	}
	q := qa.Question{ID: id, Label: "L", Kind: rapid.SampledFrom(kinds).Draw(t, "kind"), Required: rapid.Bool().Draw(t, "required"), Secret: rapid.Bool().Draw(t, "secret")}
	some := func(name string, most int) *int {
		if n := rapid.IntRange(-3, most).Draw(t, name); n >= 0 {
			return &n
		}
		return nil
	}
	switch q.Kind {
	case qa.KindText:
		q.Format = rapid.SampledFrom([]string{"", "json", "path"}).Draw(t, "format")
		q.Pattern = rapid.SampledFrom([]string{"", "", "^a", "c$"}).Draw(t, "pattern")
		q.MinLength, q.MaxLength = some("min", 2), some("max", 3)
		q.Multilingual = column && q.Format == "" && rapid.Bool().Draw(t, "multilingual")
	case qa.KindChoice, qa.KindMultichoice:
		for _, w := range rapid.SliceOfNDistinct(rapid.SampledFrom(words), 1, 4, rapid.ID).Draw(t, "choices") {
			q.Choices = append(q.Choices, qa.Choice{Title: "t" + w, Value: w})
		}
	case qa.KindTable:
		for i := range rapid.IntRange(1, 2).Draw(t, "columns") {
			q.Columns = append(q.Columns, drawQuestion(t, fmt.Sprintf("c%d", i), true))
		}
		q.MinRows, q.MaxRows = some("min rows", 2), some("max rows", 2)
	}
	if q.Kind == qa.KindNumber || q.Kind == qa.KindInteger || q.Kind == qa.KindText {
		if rapid.Bool().Draw(t, "bounded") {
			least, most := 1.0, 5.5
			q.Min, q.Max = &least, &most
		}
	}
	if rapid.IntRange(0, 3).Draw(t, "default") == 0 && q.Kind == qa.KindText {
		q.Default = json.RawMessage(rapid.SampledFrom([]string{`"abc"`, `5`, `true`}).Draw(t, "its default"))
	}
	return q
}

func drawAnswers(t *rapid.T, f *qa.Form) string {
	scalars := []string{`"abc"`, `"a"`, `""`, `"5"`, `5`, `5.0`, `1.5`, `7`, `0`, `true`, `false`, `"true"`, `"false"`, `"x y"`, `"é"`, `null`, `1e30`, `"1.0"`}
	value := rapid.OneOf(rapid.SampledFrom(scalars), rapid.SampledFrom(scalars),
		rapid.SampledFrom([]string{`[]`, `["a"]`, `["a","5"]`, `[5,true]`, `{}`, `{"en":"x"}`, `{"en":5}`, `[{}]`, `[7]`}),
		rapid.Map(rapid.SliceOfN(rapid.SampledFrom(scalars), 2, 6), func(vs []string) string {
			var rows []string
			for i := 0; i+1 < len(vs); i += 2 {
				rows = append(rows, `{"c0":`+vs[i]+`,"c1":`+vs[i+1]+`}`)
			}
			return "[" + strings.Join(rows, ",") + "]"
		}))
	var members []string
	for _, q := range f.Questions {
		if rapid.IntRange(0, 3).Draw(t, "given") > 0 {
			members = append(members, fmt.Sprintf("%q:%s", q.ID, value.Draw(t, "answer")))
		}
	}
	return "{" + strings.Join(append(members, `"unknown":1`), ",") + "}"
}
