package qa_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/greentic-ai/greentic-provision/plan"
	"github.com/greentic-ai/greentic-provision/qa"
)

// allocated is how many bytes f takes, the garbage included.
func allocated(f func()) uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	before := s[0].Value.Uint64()
	f()
	metrics.Read(s)
	return s[0].Value.Uint64() - before
}

// checkForm holds a form that was read from hostile bytes against what the package
// promises.
func checkForm(t *testing.T, f *qa.Form, ds []plan.Diagnostic, err error) {
	t.Helper()
	if (f == nil) == (err == nil) {
		t.Fatalf("form %v, error %v", f, err)
	}
	if err != nil {
		if strings.ContainsAny(err.Error(), "\n\r") || len(err.Error()) > 1000 || ds != nil {
			t.Fatalf("%q, %v", err, ds)
		}
		return
	}
	ids := map[string]bool{}
	for _, q := range f.Questions {
		if q.ID == "" || ids[q.ID] || q.Label == "" || len(q.Choices) > qa.MaxChoices || q.Kind == qa.KindTable && len(q.Columns) == 0 {
			t.Fatalf("%+v", q)
		}
		ids[q.ID] = true
	}
	if len(f.Questions) > qa.MaxQuestions {
		t.Fatalf("%d questions", len(f.Questions))
	}
	for _, d := range ds {
		if d.Code == "" || d.Message == "" || d.Severity == "" {
			t.Fatalf("%+v", d)
		}
	}
	again, ds, err := qa.ParseSpec(f.JSON(), nil)
	if err != nil || string(again.JSON()) != string(f.JSON()) {
		t.Fatalf("the normal form is read as another: %v, %v\n%s\n%s", err, ds, f.JSON(), again.JSON())
	}
	if !json.Valid(f.AdaptiveCard()) {
		t.Fatalf("%s", f.AdaptiveCard())
	}
	s := compileSchema(t, f)
	for _, answers := range []string{`{}`, `{"a":1}`} {
		if ds, err := f.Check(json.RawMessage(answers)), accepts(t, s, f, answers); plan.HasErrors(ds) != (err != nil) {
			t.Fatalf("check: %v, schema: %v\n%s", ds, err, f.JSONSchema())
		}
	}
}

func FuzzParseSpec(f *testing.F) {
	for _, s := range []string{telegram, everything, described,
		`{"mode":"setup","title":{"key":"t"},"description":null,"questions":[{"id":"a","label":{"key":"k"},"kind":{"type":"choice","options":[{"value":"v","label":{"key":"l"}}]},"required":true,"skip_if":{"condition":{"field":"a","equals":"x"}}}],"defaults":{"a":1}}`,
		`{"id":"f","title":"F","version":"1","questions":[{"id":"l","type":"list","title":"L","default_value":"x","list":{"min_items":1,"fields":[{"id":"u","type":"enum","choices":["a"],"title":"U"}]},"visible_if":{"op":"ne","left":{"op":"literal","value":1},"right":{"op":"var","path":"/l"}}}]}`,
		`{"type":"object","required":["a"],"properties":{"a":{"type":"string","pattern":"(?=x)","enum":["x"]}}}`,
		`{"questions":[{"name":"a","visible_if":"a == 'x' && !b || c != 5"},{"name":"b"},{"name":"c","kind":"colour"}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		form, ds, err := qa.ParseSpec(b, qa.Bundle{"t": "T"})
		checkForm(t, form, ds, err)
	})
}

func FuzzParseSetup(f *testing.F) {
	for _, s := range []string{
		"provider_id: telegram\nversion: 1\ntitle: T\nquestions:\n  - name: public_base_url\n    title: Public base URL\n    kind: string\n    required: true\n    help: \"x (default: y)\"\n    validate:\n      regex: \"^https://\"\n  - name: bot_token\n    secret: true\n",
		"questions:\n- {name: a, kind: choice, choices: [x, 1, true], default: &d x, visible_if: {field: b, eq: yes}}\n- name: b\n  default: *d\n  visible_if: \"a != 'x'\"\n",
		"questions:\n- name: t\n  kind: table\n  min_rows: 1\n  columns:\n  - key: a\n  - key: b\n    kind: boolean\n",
		"a: &a \"" + strings.Repeat("x", 200) + "\"\nb: &b [*a, *a, *a]\nc: &c [*b, *b]\n", "a: |\n  x\n   y\nb: >-\n  z\nc: !!str 5\n", "a: [&x [*x]]\n", "<<: {a: 1}\n", "- - - a\n", "--- a\n--- b\n", "? a\n: b\n", "{a: {b: [c, d]}}", "%YAML 1.2\n---\na: .inf\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var form *qa.Form
		var ds []plan.Diagnostic
		var err error
		// The YAML reader takes 200 times the worst of texts; that is what aliases must
		// not multiply.
		if took := allocated(func() { form, ds, err = qa.ParseSetup(b) }); took > uint64(len(b))*800+16<<20 {
			t.Errorf("%d bytes allocate %d", len(b), took)
		}
		checkForm(t, form, ds, err)
	})
}

// FuzzAnswers holds the check of answers against the schema of the form, for any form
// and any answers, and looks for values in what is told of them.
func FuzzAnswers(f *testing.F) {
	for _, form := range []string{telegram, everything,
		`{"questions":[{"id":"a","kind":"integer","min":1,"max":5},{"id":"b","kind":"multichoice","choices":["x","y"],"required":true},{"id":"t","type":"list","list":{"min_items":1,"fields":[{"id":"u"},{"id":"v","kind":"boolean","required":true}]}},{"id":"c","pattern":"^x+$","min_length":2,"visible_if":{"field":"a","eq":3}}]}`,
	} {
		for _, answers := range []string{`{"a":3,"b":"x,y","t":[{"u":"1","v":"true"}],"c":"xx"}`, `{"config":{"a":"7"},"secrets":{"b":["z"],"BOT_TOKEN":"123456789:abcdefghijklmn"},"mode":"setup"}`,
			`{"setup_answers":{"telegram":{"public_base_url":"https://example.invalid","enabled":"no"}}}`, `{"t":{"v":1},"x.y":null}`} {
			f.Add([]byte(form), []byte(answers))
		}
	}
	f.Fuzz(func(t *testing.T, spec, answers []byte) {
		form, _, err := qa.ParseSpec(spec, nil)
		if err != nil {
			return
		}
		ds := form.Check(answers)
		flat, err := form.Answers(answers)
		if err != nil {
			if len(ds) != 1 || ds[0].Code != "ANSWERS_UNREADABLE" || strings.ContainsAny(err.Error(), "\n\r") {
				t.Fatalf("%q, %v", err, ds)
			}
			return
		}
		if err := accepts(t, compileSchema(t, form), form, string(answers)); plan.HasErrors(ds) != (err != nil) {
			t.Fatalf("check: %v, schema: %v\n%s\n%s", ds, err, flat, form.JSONSchema())
		}
		given, _ := plan.Tree(flat).(map[string]any)
		for id := range given {
			if !slices.ContainsFunc(form.Questions, func(q qa.Question) bool { return q.ID == id }) {
				t.Errorf("%q answers no question", id)
			}
		}
		for _, v := range given {
			value, ok := v.(string)
			if !ok || len(value) < 12 || strings.Contains(string(form.JSON()), value) {
				continue
			}
			for _, d := range ds {
				if strings.Contains(d.Message+d.Hint, value) && bytes.Count(answers, []byte(value)) == 1 {
					t.Errorf("the answer %q is in %+v", value, d)
				}
			}
		}
	})
}

// FuzzParseMessages reads texts of a component.
func FuzzParseMessages(f *testing.F) {
	for _, s := range []string{`{"locale":"de","messages":{"a":"A","b":7,"c":null}}`, `{"messages":[]}`, `{}`, `[]`, `{"messages":{"a":1,"a":2}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		bundle, err := qa.ParseMessages(b)
		if (bundle == nil) == (err == nil) {
			t.Fatalf("%v, %v", bundle, err)
		}
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") || len(err.Error()) > 1000 {
				t.Fatalf("%q", err)
			}
			return
		}
		again, err := qa.ParseMessages(marshal(t, map[string]any{"messages": bundle}))
		if err != nil || len(again) != len(bundle) {
			t.Fatalf("%q is read as %q, %v", bundle, again, err)
		}
		for k, text := range bundle {
			const most = 4096
			if len(text) > most+len("…") || len(text) <= most && again[k] != text {
				t.Fatalf("%q has %q, and is read as %q", k, text, again[k])
			}
		}
	})
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// FuzzSecrets reads everything that says which fields are secrets. Each of the three
// documents can make a field a secret, and none can make one that is.
func FuzzSecrets(f *testing.F) {
	f.Add([]byte("questions:\n- {name: a, secret: true}\n- name: b\n"), []byte(`{"config_schema":{"properties":{"b":{"writeOnly":true},"c":{}}},"redactions":[{"path":"$.c.d"}],"provider":"p"}`), []byte(`[{"key":"P_A"},{"id":"x","required":false},"y",{"key":"x"}]`))
	f.Add([]byte(""), []byte(`{"config_schema":{"fields":{"a_b":{"required":true,"schema":{"kind":"string","secret":true}}}}}`), []byte(`{"secret_requirements":[{"name":"A_B","scope":{"env":"e"},"schema":{},"examples":[1]}]}`))
	f.Add([]byte("- a"), []byte(`[]`), []byte(`{"requirements":null}`))
	f.Fuzz(func(t *testing.T, setup, describe, requirements []byte) {
		form, _, err := qa.ParseSetup(setup)
		if err != nil {
			form = nil
		}
		list, err := qa.ParseSecretRequirements(requirements)
		if (list == nil) == (err == nil) || err != nil && strings.ContainsAny(err.Error(), "\n\r") {
			t.Fatalf("%v, %v", list, err)
		}
		keys := map[string]bool{}
		for _, r := range list {
			if r.Key == "" || keys[r.Key] {
				t.Fatalf("%+v", list)
			}
			keys[r.Key] = true
		}
		if again, err := qa.ParseSecretRequirements(marshal(t, list)); list != nil && (err != nil || !reflect.DeepEqual(again, list)) {
			t.Fatalf("%+v is read as %+v, %v", list, again, err)
		}
		if p := qa.DescribedProvider(describe); len(p) > 128 || strings.ContainsFunc(p, unicode.IsControl) {
			t.Errorf("the provider %q", p)
		}
		all := qa.NewClassifier(form, describe, list)
		for _, fewer := range []*qa.Classifier{qa.NewClassifier(nil, describe, list), qa.NewClassifier(form, nil, list), qa.NewClassifier(form, describe, nil)} {
			for _, field := range fewer.Fields() {
				if fewer.IsSecret(field) && !all.IsSecret(field) {
					t.Errorf("%q is a secret (%s) until more is known", field, fewer.Reason(field))
				}
			}
		}
		for _, sorted := range [][]string{all.Fields(), all.SecretKeys()} {
			if !slices.IsSorted(sorted) || len(slices.Compact(slices.Clone(sorted))) != len(sorted) {
				t.Errorf("%q", sorted)
			}
		}
		for _, k := range all.SecretKeys() {
			if !keys[k] && !all.IsSecret(k) {
				t.Errorf("%q is kept as a secret and is none", k)
			}
		}
	})
}

func FuzzParseDeclared(f *testing.F) {
	for _, s := range []string{secretsPack, eventsPack, messagingPack} {
		f.Add([]byte(s), []byte(`{"config":{"env":"dev","audit":{"kind":"splunk"}},"secrets":{"sink":"x"}}`))
		f.Add([]byte(s), []byte(`{"twilio":{"sid":"AC1"},"setup_answers":{"chat":{}}}`))
	}
	f.Fuzz(func(t *testing.T, declared, answers []byte) {
		d, err := qa.ParseDeclared(declared)
		if (d == nil) == (err == nil) {
			t.Fatalf("%v, %v", d, err)
		}
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") {
				t.Fatalf("%q", err)
			}
			return
		}
		again, err := qa.ParseDeclared(d.JSON())
		if err != nil || string(again.JSON()) != string(d.JSON()) {
			t.Fatalf("%v\n%s", errors.Join(err), d.JSON())
		}
		for _, x := range d.Check(answers) {
			if x.Code == "" || x.Severity == "" || x.Message == "" {
				t.Fatalf("%+v", x)
			}
		}
	})
}

func FuzzParseResult(f *testing.F) {
	for _, s := range []string{
		`{"ok":true,"config":{"bot_token":"t","enabled":true,"x":null},"remove":null,"diagnostics":[],"error":null}`,
		`{"ok":true,"config":null,"remove":{"remove_all":true,"cleanup":["delete_config_key","best_effort_delete_provider_owned_secrets"]}}`,
		`{"ok":false,"warnings":[],"errors":[{"key":"k","msg_key":"m","fields":["f"]}],"meta":{}}`,
	} {
		f.Add([]byte(s), "setup", []byte(`{"a":1}`))
		f.Add([]byte(s), "update", []byte(`{"bot_token":"t","b":{"c":2}}`))
		f.Add([]byte(s), "remove", []byte(`null`))
	}
	f.Fuzz(func(t *testing.T, result []byte, mode string, current []byte) {
		r, err := qa.ParseResult(result)
		if (r == nil) == (err == nil) {
			t.Fatalf("%v, %v", r, err)
		}
		if err != nil {
			return
		}
		b, err := r.Response(qa.Circumstances{Mode: mode, Current: current, Provider: "p", Ingress: true})
		if err != nil {
			return
		}
		if decoded, err := plan.DecodeResponse(b); err != nil || decoded.Failed == r.OK {
			t.Fatalf("%v\n%s", err, b)
		}
	})
}
