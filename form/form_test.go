package form

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greentic-ai/greentic-provision/internal/leakcheck"
	"github.com/greentic-ai/greentic-provision/qa"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

func ptr[T any](v T) *T { return &v }

// asked asks with lines; each of them is one line of input.
func asked(f *qa.Form, given string, input ...string) (answers, shown string, err error) {
	var out strings.Builder
	in := strings.NewReader(strings.Join(append(input, ""), "\n"))
	got, err := Ask(context.Background(), Terminal{In: in, Out: &out}, f, json.RawMessage(given))
	return string(got), out.String(), err
}

func TestAnswersAreOfTheKindOfTheirQuestion(t *testing.T) {
	port := qa.Question{ID: "a", Kind: qa.KindInteger, Min: ptr(1.0), Max: ptr(65535.0)}
	modes := []qa.Choice{{Title: "Start TLS", Value: "starttls"}, {Value: "none"}, {Value: "tls"}}
	one := func(q qa.Question) *qa.Form { return &qa.Form{Questions: []qa.Question{q}} }
	with := func(q qa.Question, change func(*qa.Question)) *qa.Form {
		change(&q)
		return one(q)
	}
	text := qa.Question{ID: "a", Kind: qa.KindText}
	choice := qa.Question{ID: "a", Kind: qa.KindChoice, Choices: modes}
	list := qa.Question{ID: "a", Kind: qa.KindMultichoice, Choices: modes}
	for _, c := range []struct {
		name  string
		form  *qa.Form
		given string
		input []string
		want  string
		told  string // in what is shown
	}{
		{"text", one(text), "", []string{" x y "}, `{"a":" x y "}`, "a (optional)"},
		{"digits in a text", one(text), "", []string{"0123"}, `{"a":"0123"}`, ""},
		{"nothing", one(text), "", []string{""}, `{}`, ""},
		{"nothing where something is needed", with(text, func(q *qa.Question) { q.Required = true }), "", []string{"", "x"}, `{"a":"x"}`, "an answer is needed"},
		{"a pattern", with(text, func(q *qa.Question) { q.Pattern, q.Error = "^https://", "use TLS" }), "", []string{"http://x", "https://x"}, `{"a":"https://x"}`, "(use TLS)"},
		{"a default that is taken", with(text, func(q *qa.Question) { q.Default = json.RawMessage(`"d"`) }), "", []string{""}, `{"a":"d"}`, "[d]"},
		{"a default that is changed", with(text, func(q *qa.Question) { q.Default = json.RawMessage(`"d"`) }), "", []string{"e"}, `{"a":"e"}`, ""},
		{"a default that is emptied", with(text, func(q *qa.Question) { q.Default = json.RawMessage(`"d"`) }), "", []string{"-"}, `{"a":""}`, "- empties it"},
		{"a dash where nothing is to empty", one(text), "", []string{"-"}, `{"a":"-"}`, ""},
		{"a given answer before the default", with(text, func(q *qa.Question) { q.Default = json.RawMessage(`"d"`) }), `{"a":"g"}`, []string{""}, `{"a":"g"}`, "[g]"},
		{"a given answer in a section", one(text), `{"config":{"a":"g"}}`, []string{""}, `{"a":"g"}`, ""},
		{"a text that is meant to be a number", with(text, func(q *qa.Question) { q.Default = json.RawMessage("587") }), "", []string{"25"}, `{"a":25}`, "[587]"},
		{"a text that is meant to be a switch", one(qa.Question{ID: "enabled", Kind: qa.KindText}), "", []string{""}, `{"enabled":true}`, "[yes]"},
		{"JSON", with(text, func(q *qa.Question) { q.Format = "json" }), "", []string{"{x}", `{"x": 1}`}, `{"a":{"x":1}}`, "must be JSON"},
		{"a given nothing", one(text), `{"a":""}`, []string{""}, `{"a":""}`, ""},
		{"several lines stay", one(text), `{"a":"1\n2"}`, []string{""}, `{"a":"1\n2"}`, `Given is "1\n2"`},
		{"several lines are replaced", one(text), `{"a":"1\n2"}`, []string{"3"}, `{"a":"3"}`, ""},
		{"an integer", one(port), "", []string{"x", "2.5", "0", "1e3", "587"}, `{"a":587}`, "such as 12 or -3"},
		{"an integer that is too large", one(port), "", []string{"99999999999999999999", "1"}, `{"a":1}`, "too large"},
		{"an integer of 64 bits", one(qa.Question{ID: "a", Kind: qa.KindInteger}), "", []string{"9007199254740993"}, `{"a":9007199254740993}`, ""},
		{"an integer that is too small", one(port), "", []string{"0", "1"}, `{"a":1}`, "must be at least 1"},
		{"no integer is its default", with(port, func(q *qa.Question) { q.Default = json.RawMessage("25") }), "", []string{""}, `{"a":25}`, ""},
		{"a given integer that is emptied", one(port), `{"a":25}`, []string{"-"}, `{}`, ""},
		{"a number", one(qa.Question{ID: "a", Kind: qa.KindNumber}), "", []string{"2,5", "2.5"}, `{"a":2.5}`, "a point and not a comma"},
		{"yes", one(qa.Question{ID: "a", Kind: qa.KindBoolean}), "", []string{"maybe", "Y"}, `{"a":true}`, "must be yes or no"},
		{"yes by default", one(qa.Question{ID: "a", Kind: qa.KindBoolean, Default: json.RawMessage("true")}), "", []string{""}, `{"a":true}`, ""},
		{"no", one(qa.Question{ID: "a", Kind: qa.KindBoolean, Default: json.RawMessage("true")}), "", []string{"no"}, `{"a":false}`, ""},
		{"a choice", with(choice, func(q *qa.Question) { q.Required = true }), "", []string{"4", "x", "2"}, `{"a":"none"}`, "1. Start TLS (starttls)\n  2. none\n"},
		{"the default choice", with(choice, func(q *qa.Question) { q.Default = json.RawMessage(`"tls"`) }), "", []string{""}, `{"a":"tls"}`, "[3]"},
		{"no choice", one(choice), "", []string{""}, `{}`, "1. (no answer)"},
		{"a given choice that is none", with(choice, func(q *qa.Question) { q.Required = true }), `{"a":"gone"}`, []string{"1"}, `{"a":"starttls"}`, "none of the choices"},
		{"choices", one(list), "", []string{"9", "3, 1"}, `{"a":["starttls","tls"]}`, "[none]"},
		{"no choices", with(list, func(q *qa.Question) { q.Default = json.RawMessage(`["tls"]`) }), "", []string{"none"}, `{"a":[]}`, "[3]"},
		{"the given choices", one(list), `{"a":["tls"]}`, []string{""}, `{"a":["tls"]}`, ""},
		{"choices that are needed", with(list, func(q *qa.Question) { q.Required = true }), "", []string{"", "1"}, `{"a":["starttls"]}`, "has no choice in it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, shown, err := asked(c.form, c.given, c.input...)
			if err != nil || got != c.want {
				t.Errorf("got %s, %v; want %s", got, err, c.want)
			}
			if strings.Contains(shown, "none of the choices") != strings.Contains(c.name, "that is none") {
				t.Errorf("a given answer is called none of the choices, or is not:\n%s", shown)
			}
			if !strings.Contains(shown, c.told) {
				t.Errorf("nothing says %q:\n%s", c.told, shown)
			}
		})
	}
}

// A name that the plan takes for a secret's is one here, whatever the form says.
func TestNamesThatSoundSecretAreNotShown(t *testing.T) {
	for _, id := range []string{"api_key", "smtp_pwd", "private-key", "bot_token"} {
		got, shown, err := asked(&qa.Form{Questions: []qa.Question{{ID: id, Kind: qa.KindText}}}, `{"`+id+`":"hunter2"}`, "")
		if err != nil || got != `{"`+id+`":"hunter2"}` || strings.Contains(shown, "hunter2") || !strings.Contains(shown, "An answer is given") {
			t.Errorf("%s: %s, %v\n%s", id, got, err, shown)
		}
	}
}

func TestWhatAQuestionSaysIsShown(t *testing.T) {
	f := &qa.Form{Title: "Telegram", Questions: []qa.Question{
		{ID: "url", Label: "Public URL", Help: "Where it is", DocsURL: "https://docs", Placeholder: "https://x", Group: "Network", Kind: qa.KindText},
		{ID: "b", Kind: qa.KindText},
	}}
	_, shown, err := asked(f, "", "", "")
	want := `
Telegram · Network · 1 of 2

Public URL (optional)
  Where it is
  See https://docs
  e.g. https://x
> 
Telegram · 2 of 2

b (optional)
> `
	if diff := cmp.Diff(want, shown); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestSecretsAreNeverShown(t *testing.T) {
	const given, typed = "given-ΨΩЖЮ", "typed-ЖЮΨΩ-typed"
	secrets := []qa.Choice{{Value: given}, {Value: "other"}}
	for _, c := range []struct {
		name  string
		q     qa.Question
		given string
		input []string
		want  string
	}{
		{"kept", qa.Question{ID: "a", Kind: qa.KindText, Secret: true, Required: true}, `{"a":"` + given + `"}`, []string{""}, `{"a":"` + given + `"}`},
		{"in secrets", qa.Question{ID: "a", Kind: qa.KindText, Secret: true}, `{"secrets":{"a":"` + given + `"}}`, []string{""}, `{"a":"` + given + `"}`},
		{"replaced", qa.Question{ID: "a", Kind: qa.KindText, Secret: true}, `{"a":"` + given + `"}`, []string{typed}, `{"a":"` + typed + `"}`},
		{"known by its name", qa.Question{ID: "bot_token", Kind: qa.KindText}, `{"bot_token":"` + given + `"}`, []string{""}, `{"bot_token":"` + given + `"}`},
		{"given and against the rules", qa.Question{ID: "a", Kind: qa.KindText, Secret: true, Pattern: "^x$"}, `{"a":"` + given + `"}`, []string{"", "x"}, `{"a":"x"}`},
		{"typed and against the rules", qa.Question{ID: "a", Kind: qa.KindText, Secret: true, Pattern: "^x$", MaxLength: ptr(3)}, "", []string{typed, "x"}, `{"a":"x"}`},
		{"no number", qa.Question{ID: "a", Kind: qa.KindInteger, Secret: true}, "", []string{typed, "1"}, `{"a":1}`},
		{"no JSON", qa.Question{ID: "a", Kind: qa.KindText, Format: "json", Secret: true}, "", []string{typed, "1"}, `{"a":1}`},
		{"a choice that is kept", qa.Question{ID: "a", Kind: qa.KindChoice, Secret: true, Choices: secrets}, `{"a":"other"}`, []string{""}, `{"a":"other"}`},
		{"a table that is kept", qa.Question{ID: "a", Kind: qa.KindTable, Secret: true, Columns: []qa.Question{{ID: "c", Kind: qa.KindText}}}, `{"a":[{"c":"` + given + `"}]}`, []string{""}, `{"a":[{"c":"` + given + `"}]}`},
		{"a table that is not", qa.Question{ID: "a", Kind: qa.KindTable, Secret: true, Columns: []qa.Question{{ID: "c", Kind: qa.KindText}}}, `{"a":[{"c":"` + given + `"}]}`, []string{"no", "yes", "", "no"}, `{"a":[{"c":"` + given + `"}]}`},
		{"a column", qa.Question{ID: "a", Kind: qa.KindTable, Columns: []qa.Question{{ID: "c", Kind: qa.KindText, Secret: true}}}, `{"a":[{"c":"` + given + `"}]}`, []string{"", typed, ""}, `{"a":[{"c":"` + typed + `"}]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, shown, err := asked(&qa.Form{Questions: []qa.Question{c.q}}, c.given, c.input...)
			if err != nil || got != c.want {
				t.Errorf("got %s, %v; want %s", got, err, c.want)
			}
			if c.q.Kind != qa.KindChoice && strings.ContainsAny(shown, "ΨΩЖЮ") {
				t.Errorf("a secret is shown:\n%s", shown)
			}
		})
	}
}

// A secret choice lists its choices, which are the form's, but not which one was given.
func TestASecretChoiceDoesNotShowWhichOneWasGiven(t *testing.T) {
	f := &qa.Form{Questions: []qa.Question{{ID: "a", Kind: qa.KindChoice, Required: true, Secret: true, Choices: []qa.Choice{{Value: "x"}, {Value: "y"}}}}}
	got, shown, err := asked(f, `{"a":"y"}`, "no", "")
	if err != nil || got != `{"a":"x"}` || !strings.Contains(shown, "[1]") {
		t.Errorf("%s, %v:\n%s", got, err, shown)
	}
}

func TestTablesAreAskedByRow(t *testing.T) {
	columns := []qa.Question{{ID: "name", Label: "Name", Kind: qa.KindText, Required: true}, {ID: "n", Kind: qa.KindInteger, Default: json.RawMessage("1")}}
	table := func(required bool, least, most *int) *qa.Form {
		return &qa.Form{Questions: []qa.Question{{ID: "t", Label: "Channels", Kind: qa.KindTable, Required: required, Columns: columns, MinRows: least, MaxRows: most}}}
	}
	for _, c := range []struct {
		name  string
		form  *qa.Form
		given string
		input []string
		want  string
	}{
		{"none", table(false, nil, nil), "", []string{""}, `{"t":[]}`},
		{"two", table(false, nil, nil), "", []string{"y", "a", "", "y", "b", "5", "n"}, `{"t":[{"n":1,"name":"a"},{"n":5,"name":"b"}]}`},
		{"at least one", table(true, nil, nil), "", []string{"a", "2", "n"}, `{"t":[{"n":2,"name":"a"}]}`},
		{"at least two", table(false, ptr(2), nil), "", []string{"a", "", "b", "", "n"}, `{"t":[{"n":1,"name":"a"},{"n":1,"name":"b"}]}`},
		{"at most one", table(false, nil, ptr(1)), "", []string{"y", "a", ""}, `{"t":[{"n":1,"name":"a"}]}`},
		{"given ones", table(false, nil, nil), `{"t":[{"name":"a","n":7},{"name":"b"}]}`, []string{"", "", "", "", "c", "", ""}, `{"t":[{"n":7,"name":"a"},{"n":1,"name":"c"}]}`},
		{"given ones that are too many now", table(false, nil, nil), `{"t":[{"name":"a"},{"name":"b"}]}`, []string{"", "", "", "n"}, `{"t":[{"n":1,"name":"a"}]}`},
		{"given ones that are none", table(false, nil, nil), `{"t":[null]}`, []string{"", "a", "", ""}, `{"t":[{"n":1,"name":"a"}]}`},
		{"more given ones than there may be", table(false, nil, ptr(1)), `{"t":[{"name":"a"},{"name":"b"}]}`, []string{"", "", ""}, `{"t":[{"n":1,"name":"a"}]}`},
		{"a given text", table(false, nil, nil), `{"t":"x"}`, []string{""}, `{"t":[]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, shown, err := asked(c.form, c.given, c.input...)
			if err != nil || got != c.want {
				t.Errorf("got %s, %v; want %s\n%s", got, err, c.want, shown)
			}
		})
	}
	_, shown, _ := asked(table(true, nil, nil), "", "a", "2", "n")
	if !strings.Contains(shown, "Channels, row 1: Name\n") || !strings.Contains(shown, "Channels: is there a row 2?") {
		t.Error(shown)
	}
}

func TestTablesThatCannotBeAsked(t *testing.T) {
	columns := []qa.Question{{ID: "c", Kind: qa.KindText}}
	for name, q := range map[string]qa.Question{
		"no columns":     {ID: "t", Kind: qa.KindTable},
		"very many rows": {ID: "t", Kind: qa.KindTable, Columns: columns, MinRows: ptr(1 << 40)},
	} {
		t.Run(name, func(t *testing.T) {
			got, _, err := asked(&qa.Form{Questions: []qa.Question{q}}, "")
			if got != "{}" || err != nil {
				t.Errorf("an optional one is in the way: %s, %v", got, err)
			}
			q.Required = true
			_, _, err = asked(&qa.Form{Questions: []qa.Question{q}}, "")
			if _, ok := errors.AsType[*UnaskableError](err); !ok || !strings.Contains(err.Error(), "--answers") {
				t.Errorf("a required one: %v", err)
			}
		})
	}
	var many []string
	for range maxRows + 1 {
		many = append(many, `{"c":"x"}`)
	}
	given := `{"t":[` + strings.Join(many, ",") + `]}`
	got, _, err := asked(&qa.Form{Questions: []qa.Question{{ID: "t", Kind: qa.KindTable, Columns: columns}}}, given)
	if got != given || err != nil {
		t.Errorf("a given table with more rows than can be asked does not stay as it is: %v", err)
	}
}

func TestHiddenQuestionsAreNotAsked(t *testing.T) {
	on := &qa.Condition{Op: qa.OpYes, Field: "on"}
	f := &qa.Form{Questions: []qa.Question{
		{ID: "before", Kind: qa.KindText, VisibleIf: on},
		{ID: "on", Kind: qa.KindBoolean},
		{ID: "after", Kind: qa.KindText, VisibleIf: on, Required: true, Default: json.RawMessage(`"d"`)},
	}}
	for _, c := range []struct {
		name, given string
		input       []string
		want        string
	}{
		{"hidden", "", []string{"no"}, `{"on":false}`},
		{"shown, also before what shows it", "", []string{"yes", "b", "a"}, `{"after":"a","before":"b","on":true}`},
		{"hidden now", `{"on":true}`, []string{"b", "no"}, `{"on":false}`},
		{"hidden, and given", `{"after":"g"}`, []string{"no"}, `{"after":"g","on":false}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, shown, err := asked(f, c.given, c.input...)
			if err != nil || got != c.want {
				t.Errorf("got %s, %v; want %s\n%s", got, err, c.want, shown)
			}
		})
	}
}

// What is given to a hidden question is not asked, and may be wrong.
func TestAnswersThatDoNotFitAreAskedAgain(t *testing.T) {
	f := &qa.Form{Questions: []qa.Question{
		{ID: "on", Kind: qa.KindBoolean},
		{ID: "n", Kind: qa.KindInteger, VisibleIf: &qa.Condition{Op: qa.OpYes, Field: "on"}},
	}}
	got, shown, err := asked(f, `{"n":"x"}`, "no", "", "yes", "5")
	if err != nil || got != `{"n":5,"on":true}` || !strings.Contains(shown, "must be an integer") {
		t.Errorf("%s, %v:\n%s", got, err, shown)
	}
	if got, _, err = asked(f, `{"n":"x"}`, "no", "no"); err != nil || got != `{"n":"x","on":false}` {
		t.Errorf("%s, %v", got, err)
	}
}

func TestHostileTextIsEscapedAndBounded(t *testing.T) {
	evil := "\x1b[2J\u202eevil\u200b\r\n" + strings.Repeat("long ", 1000)
	raw, _ := json.Marshal(evil)
	q := qa.Question{ID: "a\u202e", Label: evil, Help: evil, Placeholder: evil, DocsURL: evil, Group: evil, Error: evil, Pattern: "^x$", Required: true, Default: raw}
	var all []qa.Question
	for _, k := range []qa.Kind{qa.KindText, qa.KindInteger, qa.KindBoolean, qa.KindChoice, qa.KindMultichoice, qa.KindTable} {
		q.ID, q.Kind = fmt.Sprintf("\u202e%s", k), k
		q.Choices = []qa.Choice{{Title: evil, Value: "x"}, {Title: evil, Value: evil}}
		q.Columns = nil
		if k == qa.KindTable {
			q.Columns = []qa.Question{all[0]}
		}
		all = append(all, q)
	}
	var out bytes.Buffer
	in := strings.NewReader("y\nx\n5\ny\n1\n1\nx\nno\nno\nno\n")
	_, err := Ask(context.Background(), Terminal{In: in, Out: &out}, &qa.Form{Title: evil, Questions: all}, json.RawMessage("{}"))
	if err != nil {
		t.Fatalf("%v\n%s", err, out.Bytes())
	}
	if i := bytes.IndexFunc(out.Bytes(), func(r rune) bool { return r == 0x1b || r == '\r' || r == 0x202e || r == 0x200b }); i >= 0 {
		t.Errorf("not escaped: %q", out.Bytes()[max(0, i-20):i+20])
	}
	if out.Len() > 20_000 {
		t.Errorf("%d bytes are shown", out.Len())
	}
}

func TestInputThatEndsTooEarly(t *testing.T) {
	for _, k := range []qa.Kind{qa.KindText, qa.KindChoice, qa.KindMultichoice, qa.KindBoolean} {
		q := qa.Question{ID: "a", Label: "The question", Kind: k, Required: true, Secret: k == qa.KindText, Choices: []qa.Choice{{Value: "x"}}}
		_, _, err := asked(&qa.Form{Questions: []qa.Question{q}}, "")
		if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "The question") {
			t.Errorf("%s: %v", k, err)
		}
	}
	got, err := Ask(context.Background(), Terminal{In: strings.NewReader("no line end"), Out: io.Discard},
		&qa.Form{Questions: []qa.Question{{ID: "a", Kind: qa.KindText}}}, nil)
	if string(got) != `{"a":"no line end"}` || err != nil {
		t.Errorf("%s, %v", got, err)
	}
}

func TestAContextThatEndsEndsTheWait(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	ctx, cancel := context.WithCancelCause(context.Background())
	stopped := errors.New("stopped")
	// The prompt says that the wait has begun, or is about to.
	out := writer(func(b []byte) {
		if strings.HasSuffix(string(b), "> ") {
			go cancel(stopped)
		}
	})
	_, err = Ask(ctx, Terminal{In: r, Out: out}, &qa.Form{Questions: []qa.Question{{ID: "a", Kind: qa.KindText}}}, nil)
	if err != stopped {
		t.Errorf("%v", err)
	}
}

type writer func([]byte)

func (w writer) Write(b []byte) (int, error) {
	w(b)
	return len(b), nil
}

func TestALineThatIsTooLong(t *testing.T) {
	_, _, err := asked(&qa.Form{Questions: []qa.Question{{ID: "a", Kind: qa.KindText}}}, "", strings.Repeat("x", maxLine+1))
	if err == nil || !strings.Contains(err.Error(), "longer") {
		t.Error(err)
	}
}

func TestTextThatIsNotUTF8IsRefused(t *testing.T) {
	got, shown, err := asked(&qa.Form{Questions: []qa.Question{{ID: "a", Kind: qa.KindText}}}, "", "\xff", "x")
	if got != `{"a":"x"}` || err != nil || !strings.Contains(shown, "not UTF-8") {
		t.Errorf("%s, %v:\n%s", got, err, shown)
	}
}

func TestGivenAnswersThatCannotBeRead(t *testing.T) {
	if _, _, err := asked(&qa.Form{}, "["); err == nil {
		t.Error("no error")
	}
}

// huh tells options apart by what they are called.
func TestChoicesThatLookTheSameAreToldApart(t *testing.T) {
	long := strings.Repeat("x", 100)
	got := labels([]qa.Choice{{Value: "a"}, {Title: "a", Value: "a"}, {Value: long + "1"}, {Value: long + "2"}})
	want := []string{"a", "a (choice 2)", strings.Repeat("x", maxChoice) + "… (+57 characters)", strings.Repeat("x", maxChoice) + "… (+57 characters) (choice 4)"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
