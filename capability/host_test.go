package capability_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/greentic-ai/greentic-provision/capability"
	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/plan"
)

var _ engine.Host = (*capability.Host)(nil)

const stateJSON = `{
	"config": {"region": "eu", "nested": {"a": [1, 2.50, null]}, "z": null},
	"secrets": {"Bot Token": "s3cr3t-token", "EMPTY": ""},
	"subscriptions": [{"id": "s1", "metadata": {"topic": "a"}}, {"id": "s0"}]}`

func parse(t testing.TB, s string) capability.State {
	t.Helper()
	st, err := capability.ParseState([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// begun is a host with a step under way.
func begun(t testing.TB, cfg capability.Config) *capability.Host {
	t.Helper()
	h := capability.NewHost(cfg)
	h.BeginStep(plan.Apply)
	return h
}

func call(h *capability.Host, op capability.Op, args string) (string, error) {
	reply, err := h.Call(context.Background(), string(op), []byte(args))
	return string(reply), err
}

func must(t testing.TB, h *capability.Host, op capability.Op, args string) string {
	t.Helper()
	reply, err := call(h, op, args)
	if err != nil {
		t.Fatalf("%s %s: %v", op, args, err)
	}
	return reply
}

func code(err error) capability.Code {
	e, _ := errors.AsType[*capability.Error](err)
	if e == nil {
		return ""
	}
	return e.Code
}

// Each case is one call on a fresh host with stateJSON.
func TestCall(t *testing.T) {
	long := strings.Repeat("k", capability.MaxKey)
	deep := strings.Repeat("[", 64) + strings.Repeat("]", 64)
	for _, c := range []struct {
		op    capability.Op
		args  string
		reply string // or
		code  capability.Code
	}{
		{op: "config.get", args: `{"key":"region"}`, reply: `{"found":true,"value":"\"eu\""}`},
		{op: "config.get", args: `{"key":"nested"}`, reply: `{"found":true,"value":"{\"a\":[1,2.5,null]}"}`},
		{op: "config.get", args: `{"key":"z"}`, reply: `{"found":true,"value":"null"}`},
		{op: "config.get", args: `{"key":"Region"}`, reply: `{}`},
		{op: "config.get", args: `{"key":"` + long + `"}`, reply: `{}`},
		{op: "config.get", args: `{"key":"k` + long + `"}`, code: capability.Invalid},
		{op: "config.get", args: `{}`, code: capability.Invalid},
		{op: "config.get", args: `{"key":"a\u0000b"}`, code: capability.Invalid},
		{op: "config.get", args: `{"key":"a\u009bb"}`, code: capability.Invalid},
		{op: "config.get", args: `{"key":"région"}`, reply: `{}`},
		{op: "config.get", args: "{\"key\":\"\xff\"}", code: capability.Invalid},
		{op: "config.get", args: `{"key":"a","value":""}`, code: capability.Invalid},
		{op: "config.get", args: `{"key":"a","bytes":"AA=="}`, code: capability.Invalid},
		{op: "config.get", args: `{"key":"a","oauth":{"provider":"p","subject":""}}`, code: capability.Invalid},

		{op: "config.set", args: `{"key":"a","value":" { \"b\" : 1 } "}`, reply: `{}`},
		{op: "config.set", args: `{"key":"a"}`, code: capability.Invalid},
		{op: "config.set", args: `{"key":"a","value":null}`, code: capability.Invalid},
		{op: "config.set", args: `{"key":"a","value":""}`, code: capability.Invalid},
		{op: "config.set", args: `{"key":"a","value":"plain"}`, code: capability.Invalid},
		{op: "config.set", args: `{"key":"a","value":"1 2"}`, code: capability.Invalid},
		{op: "config.set", args: `{"key":"a","value":"1e308"}`, reply: `{}`},
		{op: "config.set", args: `{"key":"a","value":"[1e309]"}`, code: capability.Invalid},
		{op: "config.set", args: `{"key":"a","value":"{\"x\":1,\"x\":2}"}`, code: capability.Invalid},
		{op: "config.set", args: `{"key":"a","value":"` + deep + `"}`, reply: `{}`},
		{op: "config.set", args: `{"key":"a","value":"[` + deep + `]"}`, code: capability.Invalid},

		{op: "config.delete", args: `{"key":"region"}`, reply: `{}`},
		{op: "config.delete", args: `{"key":"nowhere"}`, reply: `{}`},
		{op: "config.delete", args: `{"key":""}`, code: capability.Invalid},

		{op: "config.list", args: `{}`, reply: `{"keys":["nested","region","z"]}`},
		{op: "config.list", args: `{"key":"re"}`, reply: `{"keys":["region"]}`},
		{op: "config.list", args: `{"key":"x"}`, reply: `{}`},
		{op: "config.list", args: `{"key":"\n"}`, code: capability.Invalid},

		{op: "secrets.get", args: `{"key":"bot_token"}`, reply: `{"found":true,"bytes":"czNjcjN0LXRva2Vu"}`},
		{op: "secrets.get", args: `{"key":" BOT/TOKEN "}`, reply: `{"found":true,"bytes":"czNjcjN0LXRva2Vu"}`},
		{op: "secrets.get", args: `{"key":"empty"}`, reply: `{"found":true}`},
		{op: "secrets.get", args: `{"key":"bottoken"}`, reply: `{}`},
		{op: "secrets.get", args: `{"key":"  "}`, code: capability.Invalid},
		{op: "secrets.put", args: `{"key":"A","bytes":"//8="}`, reply: `{}`},
		{op: "secrets.put", args: `{"key":"A"}`, reply: `{}`},
		{op: "secrets.put", args: `{"key":"A","bytes":"not base64"}`, code: capability.Invalid},
		{op: "secrets.put", args: `{"key":"A","value":"x"}`, code: capability.Invalid},
		{op: "secrets.put", args: `{"bytes":"AA=="}`, code: capability.Invalid},
		{op: "secrets.delete", args: `{"key":"Bot Token"}`, reply: `{}`},
		{op: "secrets.delete", args: `{"key":"nowhere"}`, reply: `{}`},
		{op: "secrets.delete", args: `{}`, code: capability.Invalid},

		{op: "subscriptions.list", args: `{}`, reply: `{"subscriptions":[{"id":"s0","metadata":"{}"},{"id":"s1","metadata":"{\"topic\":\"a\"}"}]}`},
		{op: "subscriptions.list", args: `{"key":"s"}`, code: capability.Invalid},
		{op: "subscriptions.upsert", args: `{"key":"s2","value":"{}"}`, reply: `{}`},
		{op: "subscriptions.upsert", args: `{"key":"s2","value":"[]"}`, code: capability.Invalid},
		{op: "subscriptions.upsert", args: `{"key":"s2","value":"null"}`, code: capability.Invalid},
		{op: "subscriptions.upsert", args: `{"value":"{}"}`, code: capability.Invalid},
		{op: "subscriptions.delete", args: `{"key":"s1"}`, reply: `{}`},
		{op: "subscriptions.delete", args: `{"key":"s9"}`, code: capability.NotFound},
		{op: "subscriptions.delete", args: `{"key":""}`, code: capability.Invalid},

		{op: "oauth.consent_url", args: `{"oauth":{"provider":"google","subject":"me","scopes":["b","a c"],"redirect_path":"/cb?x=1","extra":"{\"prompt\":\"none\"}"}}`,
			reply: `{"value":"https://oauth.invalid/consent?provider=google\u0026redirect_uri=https%3A%2F%2Fexample.invalid%2Fbase%2Fcb%3Fx%3D1\u0026scope=b+a+c\u0026subject=me"}`},
		{op: "oauth.consent_url", args: `{"oauth":{"provider":"google","subject":""}}`, reply: `{"value":"https://oauth.invalid/consent?provider=google"}`},
		{op: "oauth.consent_url", args: `{}`, code: capability.Invalid},
		{op: "oauth.consent_url", args: `{"oauth":{"provider":"","subject":""}}`, code: capability.Invalid},
		{op: "oauth.consent_url", args: `{"oauth":{"provider":"p","subject":"a\nb"}}`, code: capability.Invalid},
		{op: "oauth.consent_url", args: `{"oauth":{"provider":"p","subject":"","scopes":[""]}}`, code: capability.Invalid},
		{op: "oauth.consent_url", args: `{"oauth":{"provider":"p","subject":"","redirect_path":"cb"}}`, code: capability.Invalid},
		{op: "oauth.consent_url", args: `{"oauth":{"provider":"p","subject":"","redirect_path":"//evil.example"}}`, code: capability.Invalid},
		{op: "oauth.consent_url", args: `{"oauth":{"provider":"p","subject":"","redirect_path":"/\\evil.example"}}`, code: capability.Invalid},
		{op: "oauth.consent_url", args: `{"oauth":{"provider":"p","subject":"","extra":"[]"}}`, code: capability.Invalid},
		{op: "oauth.consent_url", args: `{"oauth":{"provider":"p","subject":"","code":"c"}}`, code: capability.Invalid},
		{op: "oauth.consent_url", args: `{"oauth":{"provider":"p","subject":""},"key":"k"}`, code: capability.Invalid},
		{op: "oauth.consent_url", args: `{"oauth":{"provider":"p","subject":"","scopes":[` + strings.Repeat(`"s",`, 256) + `"s"]}}`, code: capability.TooLarge},
		{op: "oauth.exchange_code", args: `{"oauth":{"provider":"p","subject":"","code":"c0de","redirect_path":"/cb"}}`,
			reply: `{"value":"{\"access_token\":\"pending\",\"token_type\":\"Bearer\",\"expires_in\":0,\"pending\":true}"}`},
		{op: "oauth.exchange_code", args: `{"oauth":{"provider":"p","subject":""}}`, code: capability.Invalid},
		{op: "oauth.exchange_code", args: `{"oauth":{"provider":"p","subject":"","code":"c","scopes":["s"]}}`, code: capability.Invalid},
		{op: "oauth.token", args: `{"oauth":{"provider":"p","subject":"me","scopes":["s"]}}`,
			reply: `{"value":"{\"access_token\":\"pending\",\"token_type\":\"Bearer\",\"expires_in\":0,\"pending\":true}"}`},
		{op: "oauth.token", args: `{"oauth":{"provider":"p","subject":"","code":"c"}}`, code: capability.Invalid},

		{op: "state.read", args: `{"key":"config/any scope/region"}`, reply: `{"found":true,"bytes":"ImV1Ig=="}`}, // "eu", with its quotes
		{op: "state.read", args: `{"key":"config/x/nested"}`, reply: `{"found":true,"bytes":"eyJhIjpbMSwyLjUsbnVsbF19"}`},
		{op: "state.read", args: `{"key":"config/x/nowhere"}`, code: capability.NotFound},
		{op: "state.read", args: `{"key":"secrets/x/bot-token"}`, reply: `{"found":true,"bytes":"czNjcjN0LXRva2Vu"}`},
		{op: "state.read", args: `{"key":"secrets/x/empty"}`, reply: `{"found":true}`},
		{op: "state.read", args: `{"key":"secrets/x/ "}`, code: capability.Invalid},
		{op: "state.read", args: `{"key":"region"}`, code: capability.NotFound},
		{op: "state.read", args: `{"key":"config/region"}`, code: capability.NotFound},
		{op: "state.read", args: `{"key":"config//region"}`, code: capability.NotFound},
		{op: "state.read", args: `{"key":"a\u0000b"}`, code: capability.Invalid},
		{op: "state.read", args: `{}`, code: capability.Invalid},
		{op: "state.read", args: `{"key":"a","bytes":"AA=="}`, code: capability.Invalid},
		{op: "state.write", args: `{"key":"config/x/a","bytes":"//8="}`, code: capability.Invalid}, // neither JSON nor text
		{op: "state.write", args: `{"key":"config/x/a"}`, reply: `{}`},
		{op: "state.write", args: `{"key":"blob","bytes":"//8="}`, reply: `{}`},
		{op: "state.write", args: `{"key":"config/x/` + long + `","bytes":"MQ=="}`, code: capability.Invalid},
		{op: "state.write", args: `{"bytes":"MQ=="}`, code: capability.Invalid},
		{op: "state.write", args: `{"key":"a","value":"1"}`, code: capability.Invalid},
		{op: "state.delete", args: `{"key":"config/x/region"}`, reply: `{}`},
		{op: "state.delete", args: `{"key":"nowhere"}`, reply: `{}`},
		{op: "state.delete", args: `{}`, code: capability.Invalid},

		{op: "messaging.send", args: `{"key":"ops","value":"{}"}`, reply: `{}`},
		{op: "messaging.send", args: `{"value":"{}"}`, reply: `{}`},
		{op: "messaging.send", args: `{"key":"ops","value":"hello"}`, code: capability.Invalid},
		{op: "messaging.send", args: `{"key":"o\np","value":"{}"}`, code: capability.Invalid},
		{op: "messaging.send", args: `{"key":"ops"}`, code: capability.Invalid},
		{op: "http.send", args: `{}`, code: capability.Denied},

		{op: "", args: `{}`, code: capability.Invalid},
		{op: "config", args: `{}`, code: capability.Invalid},
		{op: "config.get ", args: `{}`, code: capability.Invalid},
		{op: "log.log", args: `{}`, code: capability.Invalid},
		{op: "config.list", args: ``, code: capability.Invalid},
		{op: "config.list", args: `null`, code: capability.Invalid},
		{op: "config.list", args: `[]`, code: capability.Invalid},
		{op: "config.list", args: `{} {}`, code: capability.Invalid},
		{op: "config.list", args: `{"unknown":1}`, code: capability.Invalid},
		{op: "config.list", args: `{"Key":"a"}`, code: capability.Invalid},
		{op: "config.list", args: `{"key":"a","key":"b"}`, code: capability.Invalid},
		{op: "config.list", args: `{"key":7}`, code: capability.Invalid},
		{op: "config.list", args: `{"x":` + strings.Repeat("[", 100_000), code: capability.Invalid},
		{op: "config.list", args: `{"key":"` + strings.Repeat("x", 2048) + `"}`, code: capability.Invalid},
		{op: "config.list", args: `{"key":"` + strings.Repeat("x", 200<<10) + `"}`, code: capability.TooLarge},
	} {
		t.Run(fmt.Sprintf("%s %.60s", c.op, c.args), func(t *testing.T) {
			h := begun(t, capability.Config{State: parse(t, stateJSON), PublicBaseURL: "https://example.invalid/base/",
				Limits: limits.Limits{HostCallBytes: 128 * limits.KiB}})
			reply, err := call(h, c.op, c.args)
			if code(err) != c.code || reply != c.reply || (err == nil) != (c.code == "") {
				t.Errorf("got %q, %v\nwant %q, %s", reply, err, c.reply, c.code)
			}
			if err != nil {
				if p, effects, _ := h.EndStep(); len(effects) > 0 || !cmp.Equal(p, plan.Patch{}) {
					t.Errorf("a refused call left %+v %+v", p, effects)
				}
			}
		})
	}
}

// Every constant of type Op in call.go is an operation.
func TestOperations(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "call.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	h := begun(t, capability.Config{})
	n := 0
	ast.Inspect(f, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); !ok || typ.Name != "Op" {
			return true
		}
		op, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		n++
		if _, err := call(h, capability.Op(op), `{}`); err != nil && strings.Contains(err.Error(), "no such operation") {
			t.Errorf("%s has no answer", op)
		}
		return true
	})
	if n < 18 {
		t.Errorf("only %d operations found in call.go", n)
	}
}

func raw(s string) json.RawMessage { return json.RawMessage(s) }

func ptr(s string) *string { return &s }

func TestRecord(t *testing.T) {
	effect := func(op, target string) plan.Effect {
		return plan.Effect{Step: plan.Apply, Via: "host-call", Op: op, Target: target}
	}
	redacted := plan.Redacted{Redacted: true}
	type call = [2]string
	for name, c := range map[string]struct {
		calls   []call
		patch   plan.Patch
		effects []plan.Effect
	}{
		"reads leave nothing": {
			calls: []call{{"config.get", `{"key":"region"}`}, {"config.list", `{}`}, {"secrets.get", `{"key":"bot_token"}`}, {"subscriptions.list", `{}`},
				{"oauth.token", `{"oauth":{"provider":"p","subject":""}}`}, {"oauth.exchange_code", `{"oauth":{"provider":"p","subject":"","code":"c"}}`}},
			effects: []plan.Effect{},
		},
		"config": {
			calls: []call{{"config.set", `{"key":"b.c","value":" \"x\" "}`}, {"config.set", `{"key":"a","value":"null"}`}, {"config.delete", `{"key":"region"}`}},
			patch: plan.Patch{ConfigPatch: map[string]json.RawMessage{"b.c": raw(`"x"`), "a": raw("null"), "region": raw("null")}},
			effects: []plan.Effect{effect("config.set", "config_patch.b.c"), effect("config.set", "config_patch.a"),
				effect("config.delete", "config_patch.region")},
		},
		"the last write to a config key counts": {
			calls:   []call{{"config.set", `{"key":"a","value":"1"}`}, {"config.set", `{"key":"b","value":"1"}`}, {"config.delete", `{"key":"a"}`}},
			patch:   plan.Patch{ConfigPatch: map[string]json.RawMessage{"a": raw("null"), "b": raw("1")}},
			effects: []plan.Effect{effect("config.set", "config_patch.b"), effect("config.delete", "config_patch.a")},
		},
		"secrets": {
			calls: []call{{"secrets.put", `{"key":"API-Key","bytes":"eA=="}`}, {"secrets.delete", `{"key":"Bot Token"}`}},
			patch: plan.Patch{SecretsPatch: &plan.SecretsPatch{Set: map[string]plan.Redacted{"API-Key": redacted}, Delete: []string{"Bot Token"}}},
			effects: []plan.Effect{effect("secrets.put", "secrets_patch.set.API-Key"),
				effect("secrets.delete", "secrets_patch.delete.Bot Token")},
		},
		"a secret under two spellings is one": {
			calls:   []call{{"secrets.put", `{"key":"API-Key","bytes":"eA=="}`}, {"secrets.delete", `{"key":"api_key"}`}, {"secrets.put", `{"key":"API_KEY","bytes":"eQ=="}`}},
			patch:   plan.Patch{SecretsPatch: &plan.SecretsPatch{Set: map[string]plan.Redacted{"API_KEY": redacted}, Delete: []string{}}},
			effects: []plan.Effect{effect("secrets.put", "secrets_patch.set.API_KEY")},
		},
		"subscriptions": {
			calls: []call{{"subscriptions.upsert", `{"key":"s1","value":"{\"topic\":\"b\"}"}`}, {"subscriptions.upsert", `{"key":"new","value":"{}"}`},
				{"subscriptions.upsert", `{"key":"new","value":"{\"n\":1}"}`}, {"subscriptions.delete", `{"key":"s0"}`}, {"subscriptions.upsert", `{"key":"s0","value":"{}"}`}},
			patch: plan.Patch{SubscriptionOps: []plan.SubscriptionOp{
				{Op: "update", ID: ptr("s1"), Metadata: map[string]json.RawMessage{"topic": raw(`"b"`)}},
				{Op: "create", ID: ptr("new"), Metadata: map[string]json.RawMessage{}},
				{Op: "update", ID: ptr("new"), Metadata: map[string]json.RawMessage{"n": raw("1")}},
				{Op: "delete", ID: ptr("s0"), Metadata: map[string]json.RawMessage{}},
				{Op: "create", ID: ptr("s0"), Metadata: map[string]json.RawMessage{}},
			}},
			effects: []plan.Effect{effect("subscriptions.upsert", "subscription_ops[0]"), effect("subscriptions.upsert", "subscription_ops[1]"),
				effect("subscriptions.upsert", "subscription_ops[2]"), effect("subscriptions.delete", "subscription_ops[3]"),
				effect("subscriptions.upsert", "subscription_ops[4]")},
		},
		"oauth": {
			calls: []call{{"oauth.consent_url", `{"oauth":{"provider":"p","subject":"me","scopes":["s"],"redirect_path":"/cb"}}`},
				{"oauth.consent_url", `{"oauth":{"provider":"p","subject":"me","scopes":["s"],"redirect_path":"/cb"}}`},
				{"oauth.consent_url", `{"oauth":{"provider":"p","subject":"me"}}`}},
			patch: plan.Patch{OAuthOps: []plan.OAuthOp{
				{Op: "start", Provider: "p", Scopes: []string{"s"}, RedirectURL: ptr("/cb")},
				{Op: "start", Provider: "p", Scopes: []string{}},
			}},
			effects: []plan.Effect{effect("oauth.consent_url", "oauth_ops[0]"), effect("oauth.consent_url", "oauth_ops[1]")},
		},
		"the state store is configuration": {
			calls: []call{{"state.write", `{"key":"config/provider/url","bytes":"aHR0cHM6Ly94"}`}, {"state.write", `{"key":"config/provider/n","bytes":"IDEuMA=="}`},
				{"state.write", `{"key":"config/provider/a/b","bytes":""}`}, {"state.delete", `{"key":"config/provider/region"}`}},
			patch: plan.Patch{ConfigPatch: map[string]json.RawMessage{"url": raw(`"https://x"`), "n": raw("1"), "a/b": raw(`""`), "region": raw("null")}},
			effects: []plan.Effect{effect("state.write", "config_patch.url"), effect("state.write", "config_patch.n"),
				effect("state.write", "config_patch.a/b"), effect("state.delete", "config_patch.region")},
		},
		"the state store is secrets": {
			calls: []call{{"state.write", `{"key":"secrets/provider/API-Key","bytes":"eA=="}`}, {"state.delete", `{"key":"secrets/provider/Bot Token"}`}},
			patch: plan.Patch{SecretsPatch: &plan.SecretsPatch{Set: map[string]plan.Redacted{"API-Key": redacted}, Delete: []string{"Bot Token"}}},
			effects: []plan.Effect{effect("state.write", "secrets_patch.set.API-Key"),
				effect("state.delete", "secrets_patch.delete.Bot Token")},
		},
		"the last write counts, whichever way it came": {
			calls: []call{{"state.write", `{"key":"config/provider/a","bytes":"MQ=="}`}, {"config.set", `{"key":"a","value":"2"}`},
				{"secrets.put", `{"key":"T","bytes":"eA=="}`}, {"state.delete", `{"key":"secrets/provider/t"}`}},
			patch: plan.Patch{ConfigPatch: map[string]json.RawMessage{"a": raw("2")},
				SecretsPatch: &plan.SecretsPatch{Set: map[string]plan.Redacted{}, Delete: []string{"t"}}},
			effects: []plan.Effect{effect("config.set", "config_patch.a"), effect("state.delete", "secrets_patch.delete.t")},
		},
		"what else is in the state store has no place in a plan": {
			calls: []call{{"state.write", `{"key":"cursor","bytes":"eA=="}`}, {"state.write", `{"key":"config/cursor","bytes":"eA=="}`},
				{"state.write", `{"key":"cursor","bytes":"eQ=="}`}, {"state.delete", `{"key":"gone"}`}},
			effects: []plan.Effect{effect("state.write", "state.config/cursor"), effect("state.write", "state.cursor"), effect("state.delete", "state.gone")},
		},
		"messages": {
			calls:   []call{{"messaging.send", `{"key":"ops","value":"{}"}`}, {"messaging.send", `{"key":"ops","value":"{}"}`}, {"messaging.send", `{"value":"1"}`}},
			effects: []plan.Effect{effect("messaging.send", "messaging.ops"), effect("messaging.send", "messaging.ops"), effect("messaging.send", "messaging")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := begun(t, capability.Config{State: parse(t, stateJSON)})
			for _, cl := range c.calls {
				must(t, h, capability.Op(cl[0]), cl[1])
			}
			patch, effects, ds := h.EndStep()
			patch.Written = nil // TestWritten
			if d := cmp.Diff(c.patch, patch); d != "" {
				t.Errorf("patch (-want +got):\n%s", d)
			}
			if d := cmp.Diff(c.effects, effects); d != "" {
				t.Errorf("effects (-want +got):\n%s", d)
			}
			if len(ds) > 0 {
				t.Errorf("diagnostics %v", ds)
			}
		})
	}
}

func TestOverlay(t *testing.T) {
	h := begun(t, capability.Config{State: parse(t, stateJSON)})
	must(t, h, "config.set", `{"key":"region","value":"\"us\""}`)
	must(t, h, "config.delete", `{"key":"z"}`)
	must(t, h, "secrets.put", `{"key":"NEW","bytes":"eA=="}`)
	must(t, h, "secrets.delete", `{"key":"bot_token"}`)
	must(t, h, "subscriptions.delete", `{"key":"s1"}`)
	h.EndStep()
	h.BeginStep(plan.Summary)
	for _, c := range [][3]string{ // a later step sees it all
		{"config.get", `{"key":"region"}`, `{"found":true,"value":"\"us\""}`},
		{"config.list", `{}`, `{"keys":["nested","region"]}`},
		{"secrets.get", `{"key":"new"}`, `{"found":true,"bytes":"eA=="}`},
		{"secrets.get", `{"key":"bot_token"}`, `{}`},
		{"subscriptions.list", `{}`, `{"subscriptions":[{"id":"s0","metadata":"{}"}]}`},
	} {
		if got := must(t, h, capability.Op(c[0]), c[1]); got != c[2] {
			t.Errorf("%s %s gives %s, want %s", c[0], c[1], got, c[2])
		}
	}
	if p, effects, _ := h.EndStep(); len(effects) > 0 || !cmp.Equal(p, plan.Patch{}) {
		t.Errorf("the second step is charged with the first one's writes: %+v", p)
	}
}

// What a step returned in its response is there for the steps after it.
func TestMerged(t *testing.T) {
	h := capability.NewHost(capability.Config{State: parse(t, stateJSON)})
	h.Merged(plan.Patch{
		ConfigPatch: map[string]json.RawMessage{"region": raw(`"us"`), "gone": raw("null"), "a\n": raw("1")},
		SecretsPatch: &plan.SecretsPatch{
			Set:    map[string]plan.Redacted{"New-Key": {Redacted: true}, "withheld": {Redacted: true}, "EMPTY": {Redacted: true}},
			Delete: []string{"BOT_TOKEN", ""}},
		SubscriptionOps: []plan.SubscriptionOp{
			{Op: "create", ID: ptr("s2"), Metadata: map[string]json.RawMessage{"n": raw("1")}}, {Op: "update", ID: ptr("s0"), Metadata: map[string]json.RawMessage{}},
			{Op: "delete", ID: ptr("s1")}, {Op: "sync", ID: ptr("s3")}, {Op: "create"}, {Op: "delete", ID: ptr("s9")}},
	}, map[string]string{"New-Key": "minted-value", "": "nameless"})
	h.BeginStep(plan.Summary)
	for _, c := range [][3]string{
		{"config.get", `{"key":"region"}`, `{"found":true,"value":"\"us\""}`},
		{"config.list", `{}`, `{"keys":["gone","nested","region","z"]}`},
		{"secrets.get", `{"key":"new_key"}`, `{"found":true,"bytes":"bWludGVkLXZhbHVl"}`},
		{"secrets.get", `{"key":"withheld"}`, `{}`},
		{"secrets.get", `{"key":"EMPTY"}`, `{"found":true}`},
		{"secrets.get", `{"key":"bot_token"}`, `{}`},
		{"subscriptions.list", `{}`, `{"subscriptions":[{"id":"s0","metadata":"{}"},{"id":"s2","metadata":"{\"n\":1}"}]}`},
	} {
		if got := must(t, h, capability.Op(c[0]), c[1]); got != c[2] {
			t.Errorf("%s %s gives %s, want %s", c[0], c[1], got, c[2])
		}
	}
	if got := h.Secrets(); !slices.Contains(got, "minted-value") || !slices.Contains(got, "nameless") {
		t.Errorf("secrets %q", got)
	}
	if p, effects, _ := h.EndStep(); len(effects) > 0 || !cmp.Equal(p, plan.Patch{}) {
		t.Errorf("the step is charged with what others returned: %+v", p)
	}
}

// Two hosts of one state do not see each other.
// What a response says of keys that name an installation is read as in a call.
func TestMergedNamesItsInstallation(t *testing.T) {
	h := begun(t, capability.Config{Own: []string{"provision:own:"}, State: parse(t, `{"secrets":{"OLD":"s3cr-old","KEPT":"s3cr-kept"}}`)})
	own, foreign := "provision:own:s1", "provision:other:s2"
	metadata := map[string]json.RawMessage{}
	h.Merged(plan.Patch{
		ConfigPatch:     map[string]json.RawMessage{"provision:own:region": raw(`"eu"`), "provision:other:zone": raw("1")},
		SecretsPatch:    &plan.SecretsPatch{Delete: []string{"provision:own:OLD", "provision:other:KEPT"}},
		SubscriptionOps: []plan.SubscriptionOp{{Op: "create", ID: &own, Metadata: metadata}, {Op: "create", ID: &foreign, Metadata: metadata}},
	}, map[string]string{"provision:own:TOKEN": "s3cr-own", "provision:other:TOKEN": "s3cr-other"})
	for _, c := range [][3]string{
		{"config.list", `{}`, `{"keys":["region"]}`},
		{"config.get", `{"key":"region"}`, `{"found":true,"value":"\"eu\""}`},
		{"secrets.get", `{"key":"token"}`, `{"found":true,"bytes":"czNjci1vd24="}`},
		{"secrets.get", `{"key":"old"}`, `{}`},
		{"secrets.get", `{"key":"kept"}`, `{"found":true,"bytes":"czNjci1rZXB0"}`},
		{"subscriptions.list", `{}`, `{"subscriptions":[{"id":"s1","metadata":"{}"}]}`},
	} {
		if got := must(t, h, capability.Op(c[0]), c[1]); got != c[2] {
			t.Errorf("%s %s gives %s", c[0], c[1], got)
		}
	}
	if got := h.Secrets(); !slices.Contains(got, "s3cr-other") {
		t.Errorf("a secret that was given is known, whatever its name; got %q", got)
	}
}

func TestHostsAreApart(t *testing.T) {
	st := parse(t, stateJSON)
	a, b := begun(t, capability.Config{State: st}), begun(t, capability.Config{State: st})
	must(t, a, "config.set", `{"key":"region","value":"\"us\""}`)
	must(t, a, "secrets.delete", `{"key":"bot_token"}`)
	must(t, a, "subscriptions.delete", `{"key":"s1"}`)
	if got := must(t, b, "config.get", `{"key":"region"}`); got != `{"found":true,"value":"\"eu\""}` {
		t.Error(got)
	}
	if got := must(t, b, "secrets.get", `{"key":"bot_token"}`); !strings.Contains(got, "found") {
		t.Error(got)
	}
	must(t, b, "subscriptions.delete", `{"key":"s1"}`)
}

func TestBetweenSteps(t *testing.T) {
	h := capability.NewHost(capability.Config{})
	if _, err := call(h, "config.list", `{}`); code(err) != capability.Denied {
		t.Errorf("before the first step: %v", err)
	}
	if p, effects, ds := h.EndStep(); !cmp.Equal(p, plan.Patch{}) || effects != nil || ds != nil {
		t.Errorf("EndStep without a step gives %v %v %v", p, effects, ds)
	}
	h.BeginStep(plan.Collect)
	must(t, h, "config.set", `{"key":"a","value":"1"}`)
	h.BeginStep(plan.Apply)
	if p, _, _ := h.EndStep(); p.ConfigPatch != nil {
		t.Errorf("an unfinished step's record went into the next: %v", p)
	}
	if _, err := call(h, "config.list", `{}`); code(err) != capability.Denied {
		t.Errorf("after a step: %v", err)
	}
}

func TestGrants(t *testing.T) {
	ops := map[string][2]string{
		"config":        {"config.list", `{}`},
		"secrets":       {"secrets.get", `{"key":"a"}`},
		"subscriptions": {"subscriptions.list", `{}`},
		"oauth":         {"oauth.token", `{"oauth":{"provider":"p","subject":""}}`},
		"state":         {"state.delete", `{"key":"a"}`},
		"messaging":     {"messaging.send", `{"value":"1"}`},
	}
	known := append(slices.Collect(maps.Keys(ops)), capability.GrantWebhooks) // which has no operations
	if got := slices.Sorted(slices.Values(known)); !slices.Equal(got, slices.Sorted(slices.Values(capability.Grants()))) {
		t.Fatalf("this test knows %v, Grants() gives %v", got, capability.Grants())
	}
	for _, granted := range [][]string{nil, {}, {"config"}, {"secrets", "oauth"}, {"subscriptions"}, {"webhooks"}} {
		h := begun(t, capability.Config{Grants: granted})
		var denied []string
		for grant, op := range ops {
			allowed := granted == nil || slices.Contains(granted, grant)
			for range 3 {
				if _, err := call(h, capability.Op(op[0]), op[1]); (err == nil) != allowed || !allowed && code(err) != capability.Denied {
					t.Errorf("granted %v: %s gives %v", granted, op[0], err)
				}
			}
			if !allowed {
				denied = append(denied, op[0])
			}
		}
		_, _, ds := h.EndStep()
		if len(ds) != len(denied) {
			t.Errorf("granted %v: %d diagnostics for %d refused operations", granted, len(ds), len(denied))
		}
	}
}

func TestDeniedDiagnostic(t *testing.T) {
	h := begun(t, capability.Config{Grants: []string{}})
	for range 2 { // each step says it again, once
		call(h, "secrets.put", `{"key":"TOPSECRETKEY","bytes":"eA=="}`)
		call(h, "secrets.put", `malformed`)
		_, effects, ds := h.EndStep()
		want := []plan.Diagnostic{{Severity: plan.Warn, Code: "CAPABILITY_DENIED",
			Message: "the apply step called secrets.put, which is not granted", Hint: "add secrets to --grant to allow it", Own: true}}
		if d := cmp.Diff(want, ds); d != "" || len(effects) > 0 {
			t.Errorf("%v %s", effects, d)
		}
		h.BeginStep(plan.Apply)
	}
}

// What a plan does not show, a commit needs: the last values of secrets and blobs.
func TestWritten(t *testing.T) {
	h := begun(t, capability.Config{State: parse(t, stateJSON)})
	for _, c := range [][2]string{
		{"secrets.put", `{"key":"A","bytes":"eA=="}`}, {"secrets.put", `{"key":"a","bytes":"eQ=="}`},
		{"secrets.put", `{"key":"B","bytes":"eA=="}`}, {"secrets.delete", `{"key":"B"}`},
		{"state.write", `{"key":"secrets/x/C","bytes":"eg=="}`}, {"state.write", `{"key":"cursor","bytes":"MQ=="}`},
		{"state.write", `{"key":"empty"}`}, {"state.write", `{"key":"gone","bytes":"MQ=="}`}, {"state.delete", `{"key":"gone"}`},
	} {
		must(t, h, capability.Op(c[0]), c[1])
	}
	patch, _, _ := h.EndStep()
	want := &plan.Written{Secrets: map[string][]byte{"a": []byte("y"), "C": []byte("z")},
		State: map[string][]byte{"cursor": []byte("1"), "empty": {}, "gone": nil}}
	if d := cmp.Diff(want, patch.Written); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	h.BeginStep(plan.Summary)
	must(t, h, "config.set", `{"key":"k","value":"1"}`)
	if patch, _, _ := h.EndStep(); patch.Written != nil {
		t.Errorf("a step that wrote configuration alone left %v", patch.Written)
	}
}

// A guest that makes up keys hides no denial: not one for want of a capability, and of
// those because of keys how many there were.
func TestDenialsAreNotHidden(t *testing.T) {
	h := begun(t, capability.Config{Grants: []string{"config", "state"}, Keys: []string{"a"}})
	guess := func(op string, from, to int) {
		for i := from; i < to; i++ {
			if _, err := call(h, capability.Op(op), fmt.Sprintf(`{"key":"k%d"}`, i)); code(err) != capability.Denied {
				t.Fatal(err)
			}
		}
	}
	messages := func() (list []string) {
		_, _, ds := h.EndStep()
		for _, d := range ds {
			list = append(list, d.Message)
		}
		return list
	}
	guess("config.get", 0, 500)
	guess("config.get", 0, 20) // the kept ones are known
	guess("state.read", 0, 3)
	call(h, "http.send", `{}`)
	call(h, "secrets.get", `{"key":"k"}`)
	call(h, "state.read", `{"key":"secrets/x/k"}`) // of a key and not of the grant: keys come first
	if d := cmp.Diff([]string{
		"the apply step called config.get with 20 keys that it may not use, and 480 times more with others",
		"the apply step called state.read with 4 keys that it may not use",
		"the apply step called http.send, which no run allows",
		"the apply step called secrets.get, which is not granted",
	}, messages()); d != "" {
		t.Errorf("diagnostics (-want +got):\n%s", d)
	}
	h.BeginStep(plan.Apply) // again, as the nodes of a flow are
	guess("config.get", 500, 501)
	call(h, "secrets.put", `{}`)
	if d := cmp.Diff([]string{
		"the apply step called config.get with a key that it may not use",
		"the apply step called secrets.put, which is not granted",
	}, messages()); d != "" {
		t.Errorf("diagnostics (-want +got):\n%s", d)
	}
	h.BeginStep(plan.Summary)
	guess("config.get", 0, 1)
	call(h, "http.send", `{}`)
	h.EndStep()

	var want, got []capability.Denial
	for i := range 20 {
		want = append(want, capability.Denial{Step: plan.Apply, Op: "config.get", Key: fmt.Sprintf("k%d", i)})
	}
	want[19].More = 481
	for _, k := range []string{"k0", "k1", "k2"} {
		want = append(want, capability.Denial{Step: plan.Apply, Op: "state.read", Key: k})
	}
	want = append(want,
		capability.Denial{Step: plan.Apply, Op: "http.send", Grant: "http"},
		capability.Denial{Step: plan.Apply, Op: "secrets.get", Grant: "secrets"},
		capability.Denial{Step: plan.Apply, Op: "state.read", Key: "secrets/x/k"},
		capability.Denial{Step: plan.Apply, Op: "secrets.put", Grant: "secrets"},
		capability.Denial{Step: plan.Summary, Op: "config.get", Key: "k0"},
		capability.Denial{Step: plan.Summary, Op: "http.send", Grant: "http"})
	got = h.Denials()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("denials (-want +got):\n%s", d)
	}
}

// Keys that were refused are cut; there is no limit to what a guest can send.
func TestDeniedKeysAreBounded(t *testing.T) {
	h := begun(t, capability.Config{Keys: []string{}})
	call(h, "config.get", `{"key":"`+strings.Repeat("é", 1000)+`"}`)
	if got := h.Denials(); len(got) != 1 || got[0].Key != strings.Repeat("é", 64)+"…" {
		t.Errorf("%+v", got)
	}
}

// A set of tokens is a secret like any other.
func TestTokensNeedTheirSecret(t *testing.T) {
	const args = `{"oauth":{"provider":"MS Graph","subject":""}}`
	const pending = `"pending":true`
	state := parse(t, `{"secrets":{"oauth_token_ms_graph":"{\"access_token\":\"s3cr-access\"}","oauth_token_other":"{}"}}`)
	for name, c := range map[string]struct {
		grants, keys []string
		state        capability.State
		reply        string // a part of it
		denied       []capability.Denial
	}{
		"allowed":             {state: state, reply: "s3cr-access"},
		"by a pattern":        {state: state, keys: []string{"OAUTH-TOKEN-*"}, reply: "s3cr-access"},
		"none yet":            {reply: strings.ReplaceAll(pending, `"`, `\"`)},
		"not granted":         {state: state, grants: []string{"oauth"}, denied: []capability.Denial{{Step: plan.Apply, Op: "oauth.token", Grant: "secrets"}}},
		"not allowed":         {state: state, keys: []string{"oauth_token_other"}, denied: []capability.Denial{{Step: plan.Apply, Op: "oauth.token", Key: "oauth_token_ms_graph"}}},
		"not allowed, no set": {keys: []string{}, denied: []capability.Denial{{Step: plan.Apply, Op: "oauth.token", Key: "oauth_token_ms_graph"}}},
	} {
		t.Run(name, func(t *testing.T) {
			h := begun(t, capability.Config{Grants: c.grants, Keys: c.keys, State: c.state})
			reply, err := call(h, "oauth.token", args)
			if (err == nil) != (c.denied == nil) || err != nil && code(err) != capability.Denied || !strings.Contains(reply, c.reply) || err != nil && reply != "" {
				t.Errorf("got %q, %v", reply, err)
			}
			if d := cmp.Diff(c.denied, h.Denials()); d != "" {
				t.Errorf("denials (-want +got):\n%s", d)
			}
		})
	}
}

// A list has what may be read, and no more.
func TestListsShowWhatIsAllowed(t *testing.T) {
	h := begun(t, capability.Config{State: parse(t, stateJSON), Keys: []string{"re*", "s0"}})
	if got := must(t, h, "config.list", `{}`); got != `{"keys":["region"]}` {
		t.Error(got)
	}
	if got := must(t, h, "subscriptions.list", `{}`); got != `{"subscriptions":[{"id":"s0","metadata":"{}"}]}` {
		t.Error(got)
	}
}

func TestOwnKey(t *testing.T) {
	own := []string{"provision:dev:acme:_:chat:default:", "secrets://dev/acme/_/chat/"}
	for _, c := range []struct {
		key, want string
		ok        bool
	}{
		{"region", "region", true}, {"", "", true}, {"a:b", "a:b", true}, {"provisioning:x", "provisioning:x", true},
		{"provision:dev:acme:_:chat:default:region", "region", true}, {"provision:dev:acme:_:chat:default:", "", true},
		{"secrets://dev/acme/_/chat/bot_token", "bot_token", true},
		{"provision:dev:acme:_:chat:default", "", false}, {"provision:dev:other:_:chat:default:region", "", false}, {"secrets://", "", false},
	} {
		if got, ok := capability.OwnKey(own, c.key); got != c.want || ok != c.ok {
			t.Errorf("%q gives %q, %v", c.key, got, ok)
		}
	}
	if _, ok := capability.OwnKey(nil, "provision:dev:acme:_:chat:default:region"); ok {
		t.Error("somebody's key is nobody's")
	}
}

// A key may name the installation in full; it may not name another one, and policy
// decides which keys of its own a pack has.
func TestKeysOfTheInstallation(t *testing.T) {
	h := begun(t, capability.Config{
		State: parse(t, `{"config":{"a.region":"eu","b":"no"},"secrets":{"BOT_TOKEN":"s3cr-bot","OTHER":"s3cr-other"}}`),
		Keys:  []string{"a.*", "bot-token"},
		Own:   []string{"provision:dev:acme:_:chat:default:", "secrets://dev/acme/_/chat/"},
	})
	for _, c := range []struct{ op, args, reply string }{
		{"config.get", `{"key":"a.region"}`, `{"found":true,"value":"\"eu\""}`},
		{"config.get", `{"key":"provision:dev:acme:_:chat:default:a.region"}`, `{"found":true,"value":"\"eu\""}`},
		{"secrets.get", `{"key":"secrets://dev/acme/_/chat/bot_token"}`, `{"found":true,"bytes":"czNjci1ib3Q="}`},
		{"state.read", `{"key":"secrets/x/BOT_TOKEN"}`, `{"found":true,"bytes":"czNjci1ib3Q="}`},
	} {
		if reply, err := call(h, capability.Op(c.op), c.args); err != nil || reply != c.reply {
			t.Errorf("%s %s gives %s, %v", c.op, c.args, reply, err)
		}
	}
	foreign := []string{"provision:dev:other:_:chat:default:a.region", "provision:dev:acme:_:chat:second:a.x", "provision:", "secrets://dev/other/_/chat/bot_token"}
	for _, key := range append(foreign, "b", "OTHER", "bot", "state") {
		for _, op := range []string{"config.get", "secrets.get", "secrets.delete", "state.read"} {
			if reply, err := call(h, capability.Op(op), `{"key":"`+key+`"}`); code(err) != capability.Denied || reply != "" {
				t.Errorf("%s %s gives %q, %v", op, key, reply, err)
			}
		}
	}
	if reply, err := call(h, "state.read", `{"key":"secrets/x/OTHER"}`); code(err) != capability.Denied || reply != "" {
		t.Errorf("the state store gives %q, %v", reply, err)
	}
	patch, effects, ds := h.EndStep()
	if len(effects) > 0 || patch.Written != nil || len(ds) == 0 {
		t.Errorf("effects %v, written %v, diagnostics %v", effects, patch.Written, ds)
	}
	for _, d := range ds {
		if d.Code != "CAPABILITY_DENIED" || strings.Contains(d.Message, "other") {
			t.Errorf("diagnostic %+v", d)
		}
	}
	denials := h.Denials()
	if want := (capability.Denial{Step: plan.Apply, Op: "config.get", Key: foreign[0]}); len(denials) != 33 || denials[0] != want {
		t.Errorf("%d denials, the first is %+v", len(denials), denials[0])
	}
}

// No run has a network, whatever is granted.
func TestHTTPIsAlwaysDenied(t *testing.T) {
	for name, grants := range map[string][]string{"by default": nil, "granted": {"http"}, "nothing granted": {}} {
		t.Run(name, func(t *testing.T) {
			h := begun(t, capability.Config{Grants: grants})
			for range 2 {
				if reply, err := call(h, "http.send", `{}`); err == nil || err.Error() != "denied: http client disabled by policy" || reply != "" {
					t.Errorf("got %q, %v", reply, err)
				}
			}
			_, effects, ds := h.EndStep()
			want := []plan.Diagnostic{{Severity: plan.Warn, Code: "CAPABILITY_DENIED", Message: "the apply step called http.send, which no run allows",
				Hint: "provisioning has no network: what is to be done elsewhere is an operation of the plan", Own: true}}
			if d := cmp.Diff(want, ds); d != "" || len(effects) > 0 {
				t.Errorf("effects %v, diagnostics (-want +got):\n%s", effects, d)
			}
		})
	}
}

// The state store is no way around the grants of what is in it.
func TestStateNeedsBothGrants(t *testing.T) {
	h := begun(t, capability.Config{Grants: []string{"state", "config"}, State: parse(t, stateJSON)})
	for _, c := range [][2]string{
		{"state.read", `{"key":"secrets/x/bot_token"}`}, {"state.read", `{"key":"secrets/y/bot_token"}`},
		{"state.write", `{"key":"secrets/x/a","bytes":"eA=="}`}, {"state.delete", `{"key":"secrets/x/a"}`},
	} {
		if reply, err := call(h, capability.Op(c[0]), c[1]); code(err) != capability.Denied || reply != "" {
			t.Errorf("%s %s gives %q, %v", c[0], c[1], reply, err)
		}
	}
	must(t, h, "state.read", `{"key":"config/x/region"}`)
	must(t, h, "state.write", `{"key":"secrets","bytes":"eA=="}`)
	_, _, ds := h.EndStep()
	var got []string
	for _, d := range ds {
		got = append(got, d.Message+"; "+d.Hint)
	}
	if d := cmp.Diff([]string{
		"the apply step called state.read on secrets, which is not granted; add secrets to --grant to allow it",
		"the apply step called state.write on secrets, which is not granted; add secrets to --grant to allow it",
		"the apply step called state.delete on secrets, which is not granted; add secrets to --grant to allow it",
	}, got); d != "" {
		t.Errorf("diagnostics (-want +got):\n%s", d)
	}

	h = begun(t, capability.Config{Grants: []string{"state", "secrets"}, State: parse(t, stateJSON)})
	if _, err := call(h, "state.read", `{"key":"config/x/region"}`); code(err) != capability.Denied {
		t.Errorf("configuration without its grant: %v", err)
	}
}

// What the state store holds is the same thing that the other interfaces see, and
// a later step finds it.
func TestStateOverlay(t *testing.T) {
	h := begun(t, capability.Config{State: parse(t, stateJSON)})
	must(t, h, "state.write", `{"key":"config/provider/url","bytes":"aHR0cHM6Ly94"}`)
	must(t, h, "state.write", `{"key":"secrets/provider/NEW","bytes":"eA=="}`)
	must(t, h, "state.write", `{"key":"blob","bytes":"AP8="}`)
	must(t, h, "state.write", `{"key":"text","bytes":"eyAiYSI6MX0="}`)
	must(t, h, "state.write", `{"key":"gone","bytes":"eA=="}`)
	must(t, h, "state.delete", `{"key":"gone"}`)
	must(t, h, "state.delete", `{"key":"secrets/provider/bot_token"}`)
	must(t, h, "config.set", `{"key":"z","value":"[1]"}`)
	h.EndStep()
	h.BeginStep(plan.Summary)
	for _, c := range [][3]string{
		{"config.get", `{"key":"url"}`, `{"found":true,"value":"\"https://x\""}`},
		{"secrets.get", `{"key":"new"}`, `{"found":true,"bytes":"eA=="}`},
		{"secrets.get", `{"key":"bot_token"}`, `{}`},
		{"state.read", `{"key":"config/other/url"}`, `{"found":true,"bytes":"Imh0dHBzOi8veCI="}`},
		{"state.read", `{"key":"config/other/z"}`, `{"found":true,"bytes":"WzFd"}`},
		{"state.read", `{"key":"secrets/other/new"}`, `{"found":true,"bytes":"eA=="}`},
		{"state.read", `{"key":"blob"}`, `{"found":true,"bytes":"AP8="}`},
		{"state.read", `{"key":"text"}`, `{"found":true,"bytes":"eyAiYSI6MX0="}`},
	} {
		if got := must(t, h, capability.Op(c[0]), c[1]); got != c[2] {
			t.Errorf("%s %s gives %s, want %s", c[0], c[1], got, c[2])
		}
	}
	if _, err := call(h, "state.read", `{"key":"gone"}`); err == nil || err.Error() != "not_found: state key not found" {
		t.Errorf("a deleted key: %v", err)
	}
}

// A plan has one place for a key: who uses two scopes is told.
func TestScopesCollide(t *testing.T) {
	write := func(key string) [2]string { return [2]string{"state.write", `{"key":"` + key + `","bytes":"MQ=="}`} }
	remove := func(key string) [2]string { return [2]string{"state.delete", `{"key":"` + key + `"}`} }
	const last = "the last write counts"
	for name, c := range map[string]struct {
		calls         [][2]string
		message, path string // empty: no diagnostic
	}{
		"one scope":               {calls: [][2]string{write("config/a/k"), write("config/a/k"), write("config/a/l"), remove("config/a/k")}},
		"other keys":              {calls: [][2]string{write("config/a/k"), write("config/b/l"), write("secrets/b/k"), write("blob/a/k"), write("blob/b/k")}},
		"no scope":                {calls: [][2]string{write("config/a/k"), {"config.set", `{"key":"k","value":"1"}`}}},
		"reading":                 {calls: [][2]string{write("config/a/k"), {"state.read", `{"key":"config/b/k"}`}}},
		"two scopes":              {[][2]string{write("config/a/k"), write("config/b/k")}, `the apply step wrote one key under the scopes "a" and "b"; ` + last, "config_patch.k"},
		"deleting is writing":     {[][2]string{write("config/a/k"), remove("config/b/k")}, `the apply step wrote one key under the scopes "a" and "b"; ` + last, "config_patch.k"},
		"a secret, two names":     {[][2]string{write("secrets/a/K-1"), write("secrets/b/k_1")}, `the apply step wrote one key under the scopes "a" and "b"; ` + last, "secrets_patch.set.k_1"},
		"two secrets are gone":    {[][2]string{remove("secrets/a/k"), remove("secrets/b/k")}, `the apply step wrote one key under the scopes "a" and "b"; ` + last, "secrets_patch.delete.k"},
		"to and fro":              {[][2]string{write("config/a/k"), write("config/b/k"), write("config/a/k")}, `the apply step wrote one key under the scopes "a" and "b"; ` + last, "config_patch.k"},
		"two keys":                {[][2]string{write("config/a/k"), write("config/b/k"), write("config/a/l"), write("config/b/l")}, `the apply step wrote one key under the scopes "a" and "b"; ` + last + ` (and so for 1 other)`, "config_patch.k"},
		"what a refusal does not": {calls: [][2]string{write("config/a/k"), {"state.write", `{"key":"config/b/k","bytes":"/w=="}`}}},
	} {
		t.Run(name, func(t *testing.T) {
			h := begun(t, capability.Config{})
			for _, cl := range c.calls {
				call(h, capability.Op(cl[0]), cl[1])
			}
			_, _, ds := h.EndStep()
			var want []plan.Diagnostic
			if c.message != "" {
				want = []plan.Diagnostic{{Severity: plan.Warn, Code: "STATE_KEY_SCOPES_COLLIDE", Message: c.message, Path: c.path,
					Hint: "a plan has one value for a key, whatever its scope; give the keys different names"}}
			}
			if d := cmp.Diff(want, ds); d != "" {
				t.Errorf("diagnostics (-want +got):\n%s", d)
			}
		})
	}
	t.Run("across steps", func(t *testing.T) {
		h := begun(t, capability.Config{})
		must(t, h, "state.write", `{"key":"config/a/k","bytes":"MQ=="}`)
		h.EndStep()
		h.BeginStep(plan.Summary)
		must(t, h, "state.write", `{"key":"config/b/k","bytes":"MQ=="}`)
		if _, _, ds := h.EndStep(); len(ds) != 1 || ds[0].Code != "STATE_KEY_SCOPES_COLLIDE" {
			t.Errorf("diagnostics %v", ds)
		}
	})
}

func TestCheckGrants(t *testing.T) {
	if err := capability.CheckGrants(capability.Grantable()); err != nil {
		t.Error(err)
	}
	if slices.Contains(capability.Grants(), capability.GrantHTTP) {
		t.Error("the network is granted by default")
	}
	if err := capability.CheckGrants([]string{"config", "network"}); err == nil || !strings.Contains(err.Error(), `"network"`) {
		t.Error(err)
	}
}

func TestSecrets(t *testing.T) {
	h := begun(t, capability.Config{State: parse(t, `{"secrets":{"A":"alpha","B":" beta\n","C":"","D":"alpha"}}`)})
	must(t, h, "secrets.put", `{"key":"E","bytes":"Z2FtbWE="}`)
	must(t, h, "secrets.put", `{"key":"E","bytes":"ZGVsdGE="}`) // gamma is still to be scrubbed
	must(t, h, "secrets.delete", `{"key":"A"}`)
	must(t, h, "oauth.exchange_code", `{"oauth":{"provider":"p","subject":"","code":"c0de"}}`)
	if _, err := call(h, "secrets.put", `{"key":"","bytes":"cmVmdXNlZA=="}`); err == nil {
		t.Error("stored under an empty key")
	}
	must(t, h, "state.write", `{"key":"secrets/provider/E","bytes":"ZXBzaWxvbg=="}`)
	must(t, h, "state.write", `{"key":"secrets/provider/E","bytes":"InpldGEi"}`) // "zeta", in quotes
	must(t, h, "state.write", `{"key":"secrets/eta","bytes":"ZXRh"}`)
	must(t, h, "state.write", `{"key":"config/provider/E","bytes":"dGhldGE="}`)
	want := []string{"alpha", " beta\n", "gamma", "delta", "c0de", "epsilon", `"zeta"`, "zeta", "eta"}
	if got := h.Secrets(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A secret that is JSON is a secret in each of its texts: stored, written or merged.
func TestTextsInSecretsAreSecrets(t *testing.T) {
	state := parse(t, `{"secrets":{"SA":"{\"type\":\"service\",\"private_key\":\"s3cr-stored\"}"}}`)
	state.Hidden = []string{`["s3cr-hidden"]`}
	h := begun(t, capability.Config{State: state})
	must(t, h, "secrets.put", `{"key":"A","bytes":"eyJpZF90b2tlbiI6InMzY3ItcHV0In0="}`)                         // {"id_token":"s3cr-put"}
	must(t, h, "state.write", `{"key":"secrets/x/B","bytes":"WyJzM2NyLXdyaXR0ZW4iXQ=="}`)                       // ["s3cr-written"]
	must(t, h, "state.write", `{"key":"secrets/B","bytes":"eyJhIjp7ImIiOlsiczNjci13aXRob3V0LXNjb3BlIl19fQ=="}`) // {"a":{"b":["s3cr-without-scope"]}}
	h.Merged(plan.Patch{}, map[string]string{"C": `{"key":"s3cr-merged"}`})
	for _, want := range []string{"s3cr-stored", "s3cr-hidden", "s3cr-put", "s3cr-written", "s3cr-without-scope", "s3cr-merged"} {
		if !slices.Contains(h.Secrets(), want) {
			t.Errorf("%s is not known: %q", want, h.Secrets())
		}
	}
	if s := plan.NewScrubber(h.Secrets()...); s.Scrub("service private_key id_token") != "service private_key id_token" {
		t.Error("names are taken for secrets")
	}
}

// No refusal quotes what it refuses.
func TestRefusalsQuoteNothing(t *testing.T) {
	h := begun(t, capability.Config{})
	for _, args := range []string{
		`{"key":"a","bytes":"hunter2!"}`, `{"key":"hunter2\u0000","bytes":""}`, `{"hunter2":1}`, `"hunter2"`, `{"key":"hunter2"`,
		`{"key":"a","value":"hunter2"}`, `{"key":"a","value":"{\"a\":hunter2}"}`, `{"key":"a","bytes":["hunter2"]}`,
	} {
		for _, op := range []capability.Op{"secrets.put", "config.set", "subscriptions.upsert"} {
			if _, err := call(h, op, args); err == nil || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s %s: %v", op, args, err)
			}
		}
	}
}

func TestRunIsBounded(t *testing.T) {
	t.Run("bytes", func(t *testing.T) {
		h := begun(t, capability.Config{})
		args := `{"key":"k","value":"\"` + strings.Repeat("x", 1<<19) + `\""}`
		n := 0
		for ; n < 100; n++ {
			if _, err := call(h, "config.set", args); err != nil {
				if code(err) != capability.TooLarge {
					t.Fatal(err)
				}
				break
			}
		}
		if n != 15 { // the key and the quotes push the 16th over 8 MiB
			t.Errorf("%d writes of half a MiB went through", n)
		}
		must(t, h, "config.set", `{"key":"k","value":"1"}`) // a small one still fits
	})
	t.Run("writes", func(t *testing.T) {
		h := begun(t, capability.Config{})
		for i := range capability.MaxRunWrites {
			must(t, h, "secrets.put", fmt.Sprintf(`{"key":"k%d"}`, i))
		}
		for op, args := range map[capability.Op]string{
			"config.set":           `{"key":"a","value":"1"}`,
			"config.delete":        `{"key":"a"}`,
			"secrets.put":          `{"key":"a"}`,
			"secrets.delete":       `{"key":"a"}`,
			"subscriptions.upsert": `{"key":"a","value":"{}"}`,
			"oauth.consent_url":    `{"oauth":{"provider":"p","subject":""}}`,
			"oauth.exchange_code":  `{"oauth":{"provider":"p","subject":"","code":"c"}}`,
			"state.write":          `{"key":"a"}`,
			"state.delete":         `{"key":"a"}`,
			"messaging.send":       `{"value":"1"}`,
		} {
			if _, err := call(h, op, args); code(err) != capability.TooLarge {
				t.Errorf("%s after the last write: %v", op, err)
			}
		}
		if got := must(t, h, "secrets.get", `{"key":"k7"}`); got != `{"found":true}` {
			t.Errorf("reading after the last write: %s", got)
		}
	})
	t.Run("texts in secrets", func(t *testing.T) {
		list := `["` + strings.Repeat(`texttext","`, 8_000) + `"]` // 8000 texts and an empty one
		quoted, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		for op, key := range map[capability.Op]string{"secrets.put": "k", "state.write": "secrets/x/k"} {
			for _, v := range []string{list, string(quoted)} {
				h := begun(t, capability.Config{})
				args, err := json.Marshal(capability.Args{Key: key, Bytes: []byte(v)})
				if err != nil {
					t.Fatal(err)
				}
				must(t, h, op, string(args))
				if _, err := call(h, op, string(args)); code(err) != capability.TooLarge {
					t.Errorf("%s: 16 000 texts went through: %v", op, err)
				}
			}
		}
	})
	t.Run("reply", func(t *testing.T) {
		h := begun(t, capability.Config{Limits: limits.Limits{HostCallBytes: limits.KiB}})
		for i := range 10 {
			must(t, h, "config.set", fmt.Sprintf(`{"key":"%d%s","value":"1"}`, i, strings.Repeat("k", 200)))
		}
		if _, err := call(h, "config.list", `{}`); code(err) != capability.TooLarge {
			t.Errorf("a list of 2 KiB under a limit of 1 KiB: %v", err)
		}
	})
}

// A host behaves as maps do, whatever is called in whatever order.
func TestOverlayModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := capability.NewHost(capability.Config{})
		h.BeginStep(plan.Apply)
		config, secrets := map[string]string{}, map[string]string{}
		patch := map[string]string{}
		key := rapid.SampledFrom([]string{"a", "b", "a.b", "é"})
		number := rapid.IntRange(0, 99)
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				k, v := key.Draw(t, "key"), strconv.Itoa(number.Draw(t, "value"))
				if _, err := call(h, "config.set", fmt.Sprintf(`{"key":%q,"value":%q}`, k, v)); err != nil {
					t.Fatal(err)
				}
				config[k], patch[k] = v, v
			},
			"delete": func(t *rapid.T) {
				k := key.Draw(t, "key")
				if _, err := call(h, "config.delete", fmt.Sprintf(`{"key":%q}`, k)); err != nil {
					t.Fatal(err)
				}
				delete(config, k)
				patch[k] = "null"
			},
			"get": func(t *rapid.T) {
				k := key.Draw(t, "key")
				reply, err := call(h, "config.get", fmt.Sprintf(`{"key":%q}`, k))
				want := `{}`
				if v, ok := config[k]; ok {
					want = fmt.Sprintf(`{"found":true,"value":%q}`, v)
				}
				if err != nil || reply != want {
					t.Fatalf("got %s, %v; want %s", reply, err, want)
				}
			},
			"put": func(t *rapid.T) {
				k := rapid.SampledFrom([]string{"T-1", "t 1", "T_1", "u"}).Draw(t, "key")
				v := rapid.SliceOf(rapid.Byte()).Draw(t, "value")
				args, _ := json.Marshal(capability.Args{Key: k, Bytes: v})
				if _, err := call(h, "secrets.put", string(args)); err != nil {
					t.Fatal(err)
				}
				secrets[strings.ToLower(strings.NewReplacer("-", "_", " ", "_").Replace(k))] = string(v)
			},
			"read": func(t *rapid.T) {
				k := rapid.SampledFrom([]string{"t_1", "u"}).Draw(t, "key")
				reply, err := call(h, "secrets.get", fmt.Sprintf(`{"key":%q}`, k))
				if err != nil {
					t.Fatal(err)
				}
				var r capability.Reply
				if err := json.Unmarshal([]byte(reply), &r); err != nil {
					t.Fatal(err)
				}
				if v, ok := secrets[k]; ok != r.Found || v != string(r.Bytes) {
					t.Fatalf("got %+v, want %q", r, v)
				}
			},
			"": func(t *rapid.T) {
				reply, err := call(h, "config.list", `{}`)
				var r capability.Reply
				if err != nil || json.Unmarshal([]byte(reply), &r) != nil || !slices.Equal(r.Keys, slices.Sorted(maps.Keys(config))) {
					t.Fatalf("list gives %s, %v", reply, err)
				}
			},
		})
		p, effects, _ := h.EndStep()
		got := map[string]string{}
		for k, v := range p.ConfigPatch {
			got[k] = string(v)
		}
		if !maps.Equal(got, patch) {
			t.Fatalf("patch %v, want %v", got, patch)
		}
		targets := map[string]bool{}
		for _, e := range effects {
			if targets[e.Target] {
				t.Fatalf("%s is listed twice in %v", e.Target, effects)
			}
			targets[e.Target] = true
		}
		entries := len(p.ConfigPatch)
		if p.SecretsPatch != nil {
			entries += len(p.SecretsPatch.Set) + len(p.SecretsPatch.Delete)
		}
		if len(effects) != entries {
			t.Fatalf("%d effects for %d entries", len(effects), entries)
		}
	})
}

func FuzzCall(f *testing.F) {
	for _, op := range []string{"config.get", "config.set", "config.delete", "config.list", "secrets.get", "secrets.put", "secrets.delete",
		"subscriptions.list", "subscriptions.upsert", "subscriptions.delete", "oauth.consent_url", "oauth.exchange_code", "oauth.token",
		"state.read", "state.write", "state.delete", "messaging.send", "http.send", "x"} {
		f.Add(op, []byte(`{"key":"a","value":"{\"b\":[1e400]}"}`))
		f.Add(op, []byte(`{"key":"a","bytes":"eA=="}`))
		f.Add(op, []byte(`{"key":"config/a/b","bytes":"eyJiIjpbMV19"}`))
		f.Add(op, []byte(`{"key":"secrets/a/b","bytes":"Ingi"}`))
		f.Add(op, []byte(`{"oauth":{"provider":"p","subject":"s","scopes":["a"],"code":"c","redirect_path":"/x","extra":"{}"}}`))
	}
	f.Fuzz(func(t *testing.T, op string, args []byte) {
		const most = 4 << 10
		h := begun(t, capability.Config{State: parse(t, stateJSON), Limits: limits.Limits{HostCallBytes: most}})
		for range 2 {
			reply, err := h.Call(t.Context(), op, args)
			if (err == nil) == (reply == nil) {
				t.Fatalf("error %v, reply %q", err, reply)
			}
			if err != nil {
				if e, ok := errors.AsType[*capability.Error](err); !ok || len(e.Message) > 1000 {
					t.Fatalf("%T: %v", err, err)
				}
				continue
			}
			var r capability.Reply
			if len(reply) > most || json.Unmarshal(reply, &r) != nil {
				t.Fatalf("%d bytes of reply: %.100q", len(reply), reply)
			}
		}
		patch, _, _ := h.EndStep()
		b, err := json.Marshal(patch)
		if err != nil {
			t.Fatalf("the patch is not JSON: %v", err)
		}
		if strings.Contains(string(b), "s3cr3t-token") && !strings.Contains(string(args), "s3cr3t-token") {
			t.Fatalf("a secret is in the patch: %s", b)
		}
	})
}

func ExampleHost() {
	state, err := capability.ParseState([]byte(`{"config":{"region":"eu"},"secrets":{"BOT_TOKEN":"s3cr3t"}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	h := capability.NewHost(capability.Config{State: state})
	h.BeginStep(plan.Apply)
	for _, c := range [][2]string{
		{"config.get", `{"key":"region"}`},
		{"config.set", `{"key":"region","value":"\"us\""}`},
		{"config.get", `{"key":"region"}`},
		{"config.set", `{"key":"region","value":"us"}`},
	} {
		reply, err := h.Call(context.Background(), c[0], []byte(c[1]))
		fmt.Println(string(reply), err)
	}
	patch, effects, _ := h.EndStep()
	fmt.Printf("%s %v\n", patch.ConfigPatch["region"], effects)
	fmt.Println(string(state.ForGuest()))
	// Output:
	// {"found":true,"value":"\"eu\""} <nil>
	// {} <nil>
	// {"found":true,"value":"\"us\""} <nil>
	//  invalid: the value as JSON has an invalid character, at byte 0
	// "us" [{apply host-call config.set config_patch.region}]
	// {"config":{"region":"eu"},"secrets":{"BOT_TOKEN":{"redacted":true,"value":null}},"subscriptions":[]}
}
