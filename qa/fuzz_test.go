package qa_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/greentic-ai/greentic-provision/plan"
	"github.com/greentic-ai/greentic-provision/qa"
)

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
		"a: |\n  x\n   y\nb: >-\n  z\nc: !!str 5\n", "a: [&x [*x]]\n", "<<: {a: 1}\n", "- - - a\n", "--- a\n--- b\n", "? a\n: b\n", "{a: {b: [c, d]}}", "%YAML 1.2\n---\na: .inf\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		form, ds, err := qa.ParseSetup(b)
		checkForm(t, form, ds, err)
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
