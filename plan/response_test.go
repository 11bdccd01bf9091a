package plan

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// responses are texts that a step may return. Where reason is "", the decoder
// takes them.
var responses = []struct {
	name, in     string
	path, reason string
	// text says that the fault lies below what a JSON schema sees.
	text bool
}{
	{name: "nothing said", in: `{}`},
	{name: "all null", in: `{"plan": null, "questions": null, "diagnostics": null, "ok": null, "step": null, "message": null, "subscriptions": null}`},
	{name: "all empty", in: `{"plan": {}, "questions": [], "diagnostics": [], "ok": true, "step": "", "message": "", "summary": {}, "requirements": [], "subscriptions": []}`},
	{name: "null parts", in: `{"plan": {"config_patch": null, "secrets_patch": null, "webhook_ops": null, "subscription_ops": null, "oauth_ops": null, "notes": null}}`},
	{name: "all parts", in: `{"plan": {"config_patch": {"a": {"b": null}}, "secrets_patch": {"set": {"K": {"redacted": true, "value": null}}, "delete": ["L"]},` +
		`"webhook_ops": [{"op": "create", "id": "w", "url": "https://x", "metadata": {"m": 1}}], "subscription_ops": [{"op": "sync", "id": null}],` +
		`"oauth_ops": [{"op": "start", "provider": "p", "scopes": ["s"], "redirect_url": null}], "notes": ["n"]}}`},
	{name: "least operations", in: `{"plan": {"webhook_ops": [{"op": "x"}], "subscription_ops": [{"op": "x", "metadata": null}], "oauth_ops": [{"op": "start", "provider": "p", "scopes": null}]}}`},
	{name: "secrets without set", in: `{"plan": {"secrets_patch": {"delete": []}}}`},
	{name: "secrets without delete", in: `{"plan": {"secrets_patch": {"set": {}}}}`},
	{name: "secrets null", in: `{"plan": {"secrets_patch": {"set": null, "delete": null}}}`},
	{name: "plaintext", in: `{"plan": {"secrets_patch": {"set": {"K": {"redacted": false, "value": "x"}}}}}`},
	{name: "no value", in: `{"plan": {"secrets_patch": {"set": {"K": {"redacted": true}}}}}`},
	{name: "diagnostics", in: `{"diagnostics": [{"severity": "warn", "code": "A_1", "message": "", "path": null, "hint": null, "data": null}, {"severity": "info", "code": "X", "message": "m", "path": "p", "hint": "h", "data": [1]}]}`},
	{name: "own members", in: `{"anything": {"plan": 1}, "requirements": {"config_keys": []}, "summary": "done"}`},

	{name: "empty", in: ``, reason: "is empty", text: true},
	{name: "no JSON", in: `hello`, reason: "invalid character", text: true},
	{name: "array", in: `[]`, reason: "must be an object"},
	{name: "string", in: `"{}"`, reason: "must be an object"},
	{name: "null", in: `null`, reason: "must be an object"},
	{name: "duplicate", in: `{"plan": {"notes": [], "notes": ["x"]}}`, path: "/plan/notes", reason: "duplicate", text: true},
	{name: "number", in: `{"x": [1e999]}`, path: "/x/0", reason: "float64", text: true},
	{name: "depth", in: strings.Repeat(`{"x":`, 100_000), path: strings.Repeat("/x", 64), reason: "deeper", text: true},
	{name: "ok", in: `{"ok": "false"}`, path: "/ok", reason: "must be a boolean, found a string"},
	{name: "step", in: `{"step": 1}`, path: "/step", reason: "must be a string, found a number"},
	{name: "message", in: `{"message": {}}`, path: "/message", reason: "must be a string"},
	{name: "subscriptions", in: `{"subscriptions": {}}`, path: "/subscriptions", reason: "must be an array"},
	{name: "subscription", in: `{"subscriptions": [{"id": "x"}]}`, path: "/subscriptions/0", reason: `lacks the member "op"`},
	{name: "plan", in: `{"plan": []}`, path: "/plan", reason: "must be an object, found an array"},
	{name: "plan member", in: `{"plan": {"webhooks": []}}`, path: "/plan/webhooks", reason: "not a member"},
	{name: "config_patch", in: `{"plan": {"config_patch": [["a", 1]]}}`, path: "/plan/config_patch", reason: "must be an object"},
	{name: "secrets_patch", in: `{"plan": {"secrets_patch": []}}`, path: "/plan/secrets_patch", reason: "must be an object"},
	{name: "secrets member", in: `{"plan": {"secrets_patch": {"put": {}}}}`, path: "/plan/secrets_patch/put", reason: "not a member"},
	{name: "set", in: `{"plan": {"secrets_patch": {"set": []}}}`, path: "/plan/secrets_patch/set", reason: "must be an object"},
	{name: "placeholder", in: `{"plan": {"secrets_patch": {"set": {"K/L": "<redacted>"}}}}`, path: "/plan/secrets_patch/set/K~1L", reason: "must be an object, found a string"},
	{name: "redacted missing", in: `{"plan": {"secrets_patch": {"set": {"K": {"value": "hunter2"}}}}}`, path: "/plan/secrets_patch/set/K", reason: `lacks the member "redacted"`},
	{name: "redacted", in: `{"plan": {"secrets_patch": {"set": {"K": {"redacted": null}}}}}`, path: "/plan/secrets_patch/set/K/redacted", reason: "must be a boolean"},
	{name: "value", in: `{"plan": {"secrets_patch": {"set": {"K": {"redacted": false, "value": 1}}}}}`, path: "/plan/secrets_patch/set/K/value", reason: "must be a string or null"},
	{name: "secret member", in: `{"plan": {"secrets_patch": {"set": {"K": {"redacted": true, "values": null}}}}}`, path: "/plan/secrets_patch/set/K/values", reason: "not a member"},
	{name: "delete", in: `{"plan": {"secrets_patch": {"delete": "K"}}}`, path: "/plan/secrets_patch/delete", reason: "must be an array"},
	{name: "deleted", in: `{"plan": {"secrets_patch": {"delete": [null]}}}`, path: "/plan/secrets_patch/delete/0", reason: "must be a string"},
	{name: "webhook_ops", in: `{"plan": {"webhook_ops": {}}}`, path: "/plan/webhook_ops", reason: "must be an array"},
	{name: "webhook", in: `{"plan": {"webhook_ops": [{"op": "a"}, null]}}`, path: "/plan/webhook_ops/1", reason: "must be an object, found null"},
	{name: "webhook op", in: `{"plan": {"webhook_ops": [{"op": ""}]}}`, path: "/plan/webhook_ops/0/op", reason: "must not be empty"},
	{name: "webhook op null", in: `{"plan": {"webhook_ops": [{"op": null}]}}`, path: "/plan/webhook_ops/0/op", reason: "must be a string"},
	{name: "webhook without op", in: `{"plan": {"webhook_ops": [{}]}}`, path: "/plan/webhook_ops/0", reason: `lacks the member "op"`},
	{name: "webhook url", in: `{"plan": {"webhook_ops": [{"op": "a", "url": []}]}}`, path: "/plan/webhook_ops/0/url", reason: "must be a string or null"},
	{name: "webhook id", in: `{"plan": {"webhook_ops": [{"op": "a", "id": 1}]}}`, path: "/plan/webhook_ops/0/id", reason: "must be a string or null"},
	{name: "webhook metadata", in: `{"plan": {"webhook_ops": [{"op": "a", "metadata": []}]}}`, path: "/plan/webhook_ops/0/metadata", reason: "must be an object"},
	{name: "webhook member", in: `{"plan": {"webhook_ops": [{"op": "a", "uri": "x"}]}}`, path: "/plan/webhook_ops/0/uri", reason: "not a member"},
	{name: "subscription url", in: `{"plan": {"subscription_ops": [{"op": "a", "url": "x"}]}}`, path: "/plan/subscription_ops/0/url", reason: "not a member"},
	{name: "subscription metadata", in: `{"plan": {"subscription_ops": [{"op": "a", "metadata": 0}]}}`, path: "/plan/subscription_ops/0/metadata", reason: "must be an object"},
	{name: "oauth op", in: `{"plan": {"oauth_ops": [{"op": "stop", "provider": "p"}]}}`, path: "/plan/oauth_ops/0/op", reason: `must be "start"`},
	{name: "oauth without op", in: `{"plan": {"oauth_ops": [{"provider": "p"}]}}`, path: "/plan/oauth_ops/0", reason: `lacks the member "op"`},
	{name: "oauth without provider", in: `{"plan": {"oauth_ops": [{"op": "start"}]}}`, path: "/plan/oauth_ops/0", reason: `lacks the member "provider"`},
	{name: "oauth scopes", in: `{"plan": {"oauth_ops": [{"op": "start", "provider": "p", "scopes": "a b"}]}}`, path: "/plan/oauth_ops/0/scopes", reason: "must be an array"},
	{name: "oauth redirect", in: `{"plan": {"oauth_ops": [{"op": "start", "provider": "p", "redirect_url": false}]}}`, path: "/plan/oauth_ops/0/redirect_url", reason: "must be a string or null"},
	{name: "oauth member", in: `{"plan": {"oauth_ops": [{"op": "start", "provider": "p", "id": ""}]}}`, path: "/plan/oauth_ops/0/id", reason: "not a member"},
	{name: "notes", in: `{"plan": {"notes": "n"}}`, path: "/plan/notes", reason: "must be an array"},
	{name: "note", in: `{"plan": {"notes": ["n", 1]}}`, path: "/plan/notes/1", reason: "must be a string"},
	{name: "diagnostics object", in: `{"diagnostics": {}}`, path: "/diagnostics", reason: "must be an array"},
	{name: "diagnostic", in: `{"diagnostics": ["bad"]}`, path: "/diagnostics/0", reason: "must be an object"},
	{name: "no severity", in: `{"diagnostics": [{"code": "X", "message": "m"}]}`, path: "/diagnostics/0", reason: `lacks the member "severity"`},
	{name: "no code", in: `{"diagnostics": [{"severity": "info", "message": "m"}]}`, path: "/diagnostics/0", reason: `lacks the member "code"`},
	{name: "no message", in: `{"diagnostics": [{"severity": "info", "code": "X"}]}`, path: "/diagnostics/0", reason: `lacks the member "message"`},
	{name: "severity", in: `{"diagnostics": [{"severity": "Error", "code": "X", "message": "m"}]}`, path: "/diagnostics/0/severity", reason: "one of info, warn, error"},
	{name: "severity type", in: `{"diagnostics": [{"severity": 2, "code": "X", "message": "m"}]}`, path: "/diagnostics/0/severity", reason: "must be a string"},
	{name: "code", in: `{"diagnostics": [{"severity": "info", "code": "not-found", "message": "m"}]}`, path: "/diagnostics/0/code", reason: "SCREAMING_SNAKE"},
	{name: "code empty", in: `{"diagnostics": [{"severity": "info", "code": "", "message": "m"}]}`, path: "/diagnostics/0/code", reason: "SCREAMING_SNAKE"},
	{name: "code newline", in: `{"diagnostics": [{"severity": "info", "code": "X\n", "message": "m"}]}`, path: "/diagnostics/0/code", reason: "SCREAMING_SNAKE"},
	{name: "code long", in: `{"diagnostics": [{"severity": "info", "code": "` + strings.Repeat("X", 129) + `", "message": "m"}]}`, path: "/diagnostics/0/code", reason: "at most 128"},
	{name: "message null", in: `{"diagnostics": [{"severity": "info", "code": "X", "message": null}]}`, path: "/diagnostics/0/message", reason: "must be a string"},
	{name: "hint", in: `{"diagnostics": [{"severity": "info", "code": "X", "message": "m", "hint": []}]}`, path: "/diagnostics/0/hint", reason: "must be a string or null"},
	{name: "diagnostic path", in: `{"diagnostics": [{"severity": "info", "code": "X", "message": "m", "path": 1}]}`, path: "/diagnostics/0/path", reason: "must be a string or null"},
	{name: "diagnostic member", in: `{"diagnostics": [{"severity": "info", "code": "X", "message": "m", "line": 1}]}`, path: "/diagnostics/0/line", reason: "not a member"},
}

func TestDecodeResponse(t *testing.T) {
	for _, tc := range responses {
		t.Run(tc.name, func(t *testing.T) {
			r, err := DecodeResponse([]byte(tc.in))
			if tc.reason == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			j, ok := errors.AsType[*JSONError](err)
			if !ok {
				t.Fatalf("got %v", err)
			}
			if j.Path != tc.path || !strings.Contains(j.Reason, tc.reason) {
				t.Errorf("got %q: %q, want %q: … %q …", j.Path, j.Reason, tc.path, tc.reason)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error quotes a value: %v", err)
			}
			if r.Patch != nil || r.Data != nil || r.Secrets != nil {
				t.Errorf("a response beside an error: %+v", r)
			}
		})
	}
}

// TestResponseSchema holds the published schema and the decoder together.
func TestResponseSchema(t *testing.T) {
	schema := readSchema(t, "../docs/schemas/response.schema.json")
	for _, tc := range responses {
		if tc.text {
			continue
		}
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(tc.in))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(doc); (err == nil) != (tc.reason == "") {
			t.Errorf("%s: the schema says %v, the decoder %q", tc.name, err, tc.reason)
		}
	}
}

func readSchema(t *testing.T, file string) *jsonschema.Schema {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDecodeResponseContent(t *testing.T) {
	r, err := DecodeResponse([]byte(`{
		"plan": {
			"config_patch": {"z": {"b": 1, "a": 2}, "gone": null},
			"secrets_patch": {
				"set": {"PLAIN": {"redacted": false, "value": "hunter2"}, "BOTH": {"redacted": true, "value": ""},
				        "HELD": {"redacted": true, "value": null}, "OPEN": {"redacted": false}},
				"delete": ["OLD", "OLD"]},
			"webhook_ops": [{"op": "create"}],
			"notes": []},
		"questions": {"type": "AdaptiveCard", "body": []},
		"diagnostics": [{"severity": "error", "code": "BAD_REGION", "message": "no", "path": "/region", "hint": "eu", "data": {"b": 0, "a": 0}}],
		"ok": false, "message": "no region", "step": "validate", "mine": [1.50]}`))
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"Patch":{"config_patch":{"gone":null,"z":{"a":2,"b":1}},` +
		`"secrets_patch":{"set":{"BOTH":{"redacted":true,"value":null},"HELD":{"redacted":true,"value":null},"OPEN":{"redacted":false,"value":null},"PLAIN":{"redacted":true,"value":null}},"delete":["OLD","OLD"]},` +
		`"webhook_ops":[{"op":"create","id":null,"url":null,"metadata":{}}],"subscription_ops":null,"oauth_ops":null,"notes":[]},` +
		`"Questions":{"body":[],"type":"AdaptiveCard"},` +
		`"Diagnostics":[{"severity":"error","code":"BAD_REGION","message":"no","path":"/region","hint":"eu","data":{"a":0,"b":0}}],` +
		`"Failed":true,"Message":"no region","Data":{"message":"no region","mine":[1.5],"ok":false,"step":"validate"}}`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if len(r.Secrets) != 2 || r.Secrets["PLAIN"] != "hunter2" {
		t.Errorf("secrets: %v", r.Secrets)
	}
	if vs := r.SecretValues(); len(vs) != 2 || vs[0] != "" || vs[1] != "hunter2" {
		t.Errorf("secret values: %q", vs)
	}
}

func TestDecodeResponseWithoutPlan(t *testing.T) {
	r, err := DecodeResponse([]byte(`{"plan": null, "questions": null, "x": null}`))
	if err != nil {
		t.Fatal(err)
	}
	if r.Patch != nil || r.Questions != nil || r.Failed || string(r.Data) != `{"x":null}` {
		t.Errorf("got %+v", r)
	}
}

func FuzzDecodeResponse(f *testing.F) {
	for _, tc := range responses {
		if len(tc.in) < 1<<12 {
			f.Add([]byte(tc.in))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeResponse(b)
		if err != nil {
			if j, ok := errors.AsType[*JSONError](err); !ok || len(j.Path) > 2*maxPath || len(j.Reason) > 512 {
				t.Errorf("error %T of %d bytes", err, len(err.Error()))
			}
			if r.Patch != nil || r.Data != nil || r.Questions != nil || r.Diagnostics != nil || r.Secrets != nil {
				t.Errorf("a response beside the error %v", err)
			}
			return
		}
		if len(r.Data) == 0 || r.Data[0] != '{' {
			t.Errorf("data %s", r.Data)
		}
		p := New()
		if r.Patch != nil {
			for k, s := range r.Patch.SecretsPatch.set() {
				if s.Value != nil {
					t.Errorf("plaintext in the patch under %q", k)
				}
			}
			p.Merge(Apply, *r.Patch)
		}
		// What was accepted is accepted again in its own words.
		b, err = Canonical(map[string]any{"plan": p, "diagnostics": r.Diagnostics, "questions": r.Questions, "data": r.Data})
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > 64<<10 {
			return
		}
		again, err := DecodeResponse(b)
		if j, ok := errors.AsType[*JSONError](err); ok && strings.Contains(j.Reason, "nests deeper") {
			return // data stands one level deeper than it stood
		}
		if err != nil {
			t.Fatalf("%v: %s", err, b)
		}
		q := New()
		q.Merge(Apply, *again.Patch)
		if Digest(p) != Digest(q) {
			t.Errorf("another plan the second time: %s", b)
		}
	})
}

func (s *SecretsPatch) set() map[string]Redacted {
	if s == nil {
		return nil
	}
	return s.Set
}

func TestMisspeltMembers(t *testing.T) {
	r, err := DecodeResponse([]byte(`{"plans": {}, "PLAN": {}, "diagnostic": [], "Ok": 1, "subscription": 1, "summary": 1, "plan": null, "planned": 1, "data": 1, "Plans": null}`))
	if err != nil || strings.Join(r.Misspelt, " ") != "Ok PLAN diagnostic plans subscription" {
		t.Errorf("got %q, %v", r.Misspelt, err)
	}
}
