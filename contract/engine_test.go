//go:build cgo

package contract_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/greentic-ai/greentic-provision/component"
	"github.com/greentic-ai/greentic-provision/component/wasmtime"
	"github.com/greentic-ai/greentic-provision/contract"
)

const guests = "../testdata/contracts"

// load compiles and loads a guest in the real engine.
func load(t *testing.T, rt *wasmtime.Runtime, name string) component.Program {
	t.Helper()
	src, err := os.ReadFile(filepath.Join(guests, name+".wat"))
	if err != nil {
		t.Fatal(err)
	}
	code, layer, err := rt.Compile(src)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	p, err := rt.Load(code, layer)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	t.Cleanup(p.Close)
	return p
}

// ask is one action of a guest in the real engine.
type ask struct {
	action  contract.Action
	request string
	want    string // the response, or, with "…" at its end, how it begins; "trap: " and the code
}

const (
	context1 = `"context":{"env":"dev","tenant":"acme","team":"blue","locale":"de","flow_id":"setup","node_id":"apply","step_id":"s1"}`

	mailerConfig = `{"config":{"host":"mail.example.invalid","port":587,"api_key":"k-1"},"diagnostics":[],"error":null,"ok":true,"remove":null}`
	mailerFails  = `{"config":null,"diagnostics":[],"error":"%","ok":false,"remove":null}`
	mailerGone   = `{"config":null,"diagnostics":[],"error":null,"ok":true,"remove":{"cleanup":["delete_config_key","best_effort_delete_provider_owned_secrets"],"remove_all":true}}`
)

// textNodeAsks is what all nodes with JSON text answer; said is the response of the
// operation context.
func textNodeAsks(said string) []ask {
	return []ask{
		{contract.ActInvoke, `{"op":"send","input":{"a":[1,"x"]}}`, `{"error":null,"ok":true,"output":{"a":[1,"x"]}}`},
		{contract.ActInvoke, `{"op":"context",` + context1 + `}`, `{"error":null,"ok":true,"output":` + said + `}`},
		{contract.ActInvoke, `{"op":"context"}`, `{"error":null,"ok":true,"output":{"flow":"","tenant":"","node":"","team":""…`},
		{contract.ActInvoke, `{"op":"error"}`, `{"error":{"backoff_ms":1500,"code":"QUOTA_EXCEEDED","details":{"left":0},"message":"there is no room left","retryable":true},"ok":false,"output":null}`},
		{contract.ActInvoke, `{"op":"trap"}`, "trap: unreachable"},
	}
}

func envelopeNodeAsks() []ask {
	return []ask{
		{contract.ActInvoke, `{"op":"send","input":{"a":[1,"x",-2,0.5,null]}}`, `{"error":null,"ok":true,"output":{"a":[1,"x",-2,0.5,null]}}`},
		{contract.ActInvoke, `{"op":"context",` + context1 + `}`, `{"error":null,"ok":true,"output":{"flow":"setup","step":"s1","tenant":"acme","env":"dev","locale":"de"}}`},
		{contract.ActInvoke, `{"op":"error"}`, `{"error":{"backoff_ms":null,"code":"QUOTA_EXCEEDED","details":{"left":0},"message":"there is no room left","retryable":false},"ok":false,"output":null}`},
		{contract.ActInvoke, `{"op":"fail"}`, `{"error":null,"ok":false,"output":{"why":"closed"}}`},
		{contract.ActInvoke, `{"op":"nothing"}`, `{"error":null,"ok":true,"output":null}`},
		{contract.ActInvoke, `{"op":"trap"}`, "trap: unreachable"},
	}
}

// qaAsks is what all three ways to ask the mailer answer; upgrade is its word for
// an update.
func qaAsks(upgrade string) []ask {
	const complete = `{"host":"mail.example.invalid","api_key":"k-1"}`
	fails := func(why string) string { return strings.Replace(mailerFails, "%", why, 1) }
	return []ask{
		{contract.ActQASpec, `{"mode":"default"}`, mailerQuestions("default")},
		{contract.ActQASpec, `{"mode":"setup"}`, mailerQuestions("setup")},
		{contract.ActQASpec, `{"mode":"update"}`, mailerQuestions(upgrade)},
		{contract.ActQASpec, `{"mode":"remove"}`, `{"mode":"remove","title":{"key":"mailer.title"},"defaults":{},"questions":[],"description":null}`},
		{contract.ActApplyAnswers, `{"mode":"setup","answers":` + complete + `}`, mailerConfig},
		{contract.ActApplyAnswers, `{"mode":"default","answers":` + complete + `,"current_config":null}`, mailerConfig},
		{contract.ActApplyAnswers, `{"mode":"setup","answers":{"api_key":"k-1"}}`, fails("host is required")},
		{contract.ActApplyAnswers, `{"mode":"setup","answers":{"host":"h","api_key":5}}`, fails("api_key is required")},
		{contract.ActApplyAnswers, `{"mode":"setup","answers":{}}`, fails("host is required")},
		{contract.ActApplyAnswers, `{"mode":"update","answers":{"host":"mail.example.invalid"},"current_config":{"host":"old","api_key":"k-1","port":25}}`, mailerConfig},
		{contract.ActApplyAnswers, `{"mode":"update","answers":{"api_key":"k-1"}}`, fails("host is required")},
		{contract.ActApplyAnswers, `{"mode":"remove","answers":{},"current_config":` + complete + `}`, mailerGone},
	}
}

func mailerQuestions(mode string) string {
	return `{"mode":"` + mode + `","title":{"key":"mailer.title"},"defaults":{},"description":null,"questions":[` +
		`{"id":"host","help":{"key":"mailer.host.help"},"kind":{"type":"text"},"label":{"key":"mailer.host"},"required":true},` +
		`{"id":"port","kind":{"type":"text"},"label":{"key":"mailer.port"},"default":587,"required":false},` +
		`{"id":"api_key","kind":{"type":"text"},"label":{"key":"mailer.api_key"},"required":true},` +
		`{"id":"note","kind":{"type":"text"},"label":{"key":"mailer.note"},"required":false}]}`
}

// Every guest of testdata/contracts in the real engine, through the contracts that
// its types offer. It is what the scripted types of the other tests stand for.
func TestEngine(t *testing.T) {
	rt, err := wasmtime.New(wasmtime.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rt.Close)

	const provision = `{"step":"%","inputs":{"tenant":{"tenant":"acme"},"provider_id":"mail","install_id":"m-1","public_base_url":"https://mail.example.invalid","answers":{"config":{"host":"h-1"}}}}`
	step := func(name string) string { return strings.Replace(provision, "%", name, 1) }
	for name, c := range map[string]struct {
		contracts []string
		asks      []ask
	}{
		"node-0.4-a": {[]string{"greentic:component/node@0.4"}, append(textNodeAsks(`{"flow":"setup","tenant":"acme","node":"apply","team":"blue"}`),
			ask{contract.ActDescribe, `{}`, `{"component":{"name":"node-0.4-a","version":"0.1.0"}}`})},
		"node-0.5-a": {[]string{"greentic:component/node@0.5"}, textNodeAsks(`{"flow":"setup","tenant":"acme","node":"apply","team":"blue"}`)},
		"node-0.5-b": {[]string{"greentic:component/node@0.5"}, append(textNodeAsks(`{"flow":"setup","tenant":"acme","node":"apply","team":"blue","locale":"de"}`),
			ask{contract.ActDescribe, `{}`, `{"component":{"name":"node-0.5-b","version":"0.1.0"}}`})},
		"node-0.5-c": {[]string{"greentic:component/node@0.5"}, append(textNodeAsks(`{"flow":"setup","tenant":"acme","node":"apply","team":"blue","locale":"de"}`),
			ask{contract.ActDescribe, `{}`, `{"component":{"name":"node-0.5-c","version":"0.1.0"}}`})},
		"node-0.6-describe": {[]string{"greentic:component/node@0.6"}, append(envelopeNodeAsks(), ask{contract.ActDescribe, `{}`,
			`{"name":"node-0.6","version":"0.1.0","summary":"tells what it was called with","capabilities":["host:none"],"ops":[{"name":"context","summary":null,` +
				`"input":{"schema":{"inline_cbor":{"kind":"object"}},"content_type":"application/cbor","schema_version":null},` +
				`"output":{"schema":{"ref_uri":"urn:example:context"},"content_type":"application/cbor","schema_version":null},` +
				`"examples":[{"title":"nothing","input_cbor":{},"output_cbor":[1,-2]}]}],` +
				`"schemas":[{"id":"context","content_type":"application/octet-stream","blake3_hash":"","version":"1","bytes":"AP8","uri":null}],` +
				`"setup":{"qa_spec":{"inline_cbor":{"questions":[]}},"answers_schema":{"cbor_schema_id":"answers"},"examples":[{"title":"none","answers_cbor":{}}],` +
				`"outputs":["config_only",{"template_scaffold":{"template_ref":"t","output_layout":null}}]}}`})},
		"node-0.6-invoke-only": {[]string{"greentic:component/node@0.6"}, envelopeNodeAsks()},
		"runtime-0.6.0": {[]string{"greentic:component/component-runtime@0.6"}, []ask{
			{contract.ActInvoke, `{"op":"no matter","input":{"n":1}}`, `{"error":null,"ok":true,"output":{"input":{"n":1},"state":{}}}`}}},
		"provider-0.6.1": {[]string{"greentic:component/qa@0.6", "greentic:component/descriptor@0.6", "greentic:component/component-i18n@0.6", "greentic:component/runtime@0.6"},
			append(qaAsks("upgrade"),
				ask{contract.ActInvoke, `{"op":"echo","input":{"n":[1,2.5]}}`, `{"error":null,"ok":true,"output":{"n":[1,2.5]}}`},
				ask{contract.ActInvoke, `{"op":"send"}`, `{"error":null,"ok":true,"output":{"ok":false,"error":"unsupported op"}}`},
				ask{contract.ActI18n, `{"locale":"de-CH"}`, `{"messages":{"mailer.host":"Mailserver","mailer.note":"Notiz","mailer.port":"Port","mailer.title":"Briefkasten","mailer.api_key":"Schlüssel"…`},
				ask{contract.ActI18n, `{"locale":"fr"}`, `{"messages":{"mailer.host":"Mail host",…`},
				ask{contract.ActDescribe, `{}`, `{"world":"component-v0-v6-v0","provider":"mailer",…`})},
		"qa-0.6.0": {[]string{"greentic:component/component-qa@0.6", "greentic:component/component-descriptor@0.6", "greentic:component/component-i18n@0.6"},
			append(qaAsks("update"),
				ask{contract.ActI18n, `{"locale":"de"}`, `{"locale":"de","messages":{}}`},
				ask{contract.ActDescribe, `{}`, `{"name":"qa-0.6.0","version":"0.1.0","config_schema":{"kind":"object",…`})},
		"schema-core": {[]string{"greentic:provider-schema-core/schema-core-api@1.0"},
			append(qaAsks("upgrade"),
				ask{contract.ActInvoke, `{"op":"echo","input":[{"n":1}]}`, `{"error":null,"ok":true,"output":[{"n":1}]}`},
				ask{contract.ActInvoke, `{"op":"send"}`, `{"error":null,"ok":true,"output":{"ok":false,"error":"unsupported op"}}`},
				ask{contract.ActI18n, `{"locale":"de"}`, `{"locale":"de","messages":{"mailer.title":"Mailer",…`},
				ask{contract.ActDescribe, `{}`, `{"provider":"mailer","world":"component-v0-v6-v0",…`})},
		"provisioner": {[]string{"greentic:provision/provisioner@0.1"}, []ask{
			{contract.ActStep, step("collect"), `{}`},
			{contract.ActStep, step("validate"), `{"diagnostics":[{"severity":"warn","code":"DNS_NOT_CHECKED","message":"the name was not looked up"}]}`},
			{contract.ActStep, step("apply"), `{"plan":{"config_patch":{"host":"h-1"},"secrets_patch":{"set":{"API_KEY":{"redacted":false,"value":"from-the-plan"}},"delete":[]},` +
				`"webhook_ops":[{"op":"create","id":"mail","url":"https://mail.example.invalid","metadata":{"events":["bounce","open"]}}],` +
				`"subscription_ops":[{"op":"update","id":"inbox","metadata":{"endpoint":"https://inbox.example.invalid"}}]},` +
				`"diagnostics":[{"severity":"warn","code":"DNS_NOT_CHECKED","message":"the name was not looked up"},{"severity":"info","code":"APPLIED","message":"what was planned was applied"}]}`},
			{contract.ActStep, step("subscriptions"), `{"plan":{"subscription_ops":[{"op":"update","id":"inbox",…`},
			{contract.ActStep, step("summary"), `{}`},
			{contract.ActStep, `{"step":"apply","entry":"remove","inputs":{}}`, `{"plan":{"config_patch":{"host":null},"secrets_patch":{"set":{},"delete":["API_KEY"]},` +
				`"webhook_ops":[{"op":"delete","id":"mail","url":"https://old.example.invalid","metadata":{"events":[]}}]},"diagnostics":[{"severity":"info","code":"APPLIED",…`},
			{contract.ActStep, `{"step":"apply","inputs":{}}`,
				`{"plan":{},"diagnostics":[{"severity":"error","code":"BASE_URL_MISSING","message":"a public base URL is needed","path":"/public_base_url","hint":"give one"}]}`}}},
	} {
		t.Run(name, func(t *testing.T) {
			p := load(t, rt, name)
			all, err := contract.Select(p.Types())
			if err != nil || !slices.Equal(contractNames(all), c.contracts) {
				t.Fatalf("got %q, %v", contractNames(all), err)
			}
			asked := map[contract.Action]bool{}
			for _, a := range c.asks {
				asked[a.action] = true
				inst, err := p.Instantiate(t.Context(), component.StoreLimits{}, nil)
				if err != nil {
					t.Fatal(err)
				}
				out, err := pick(t, p.Types(), a.action).Run(t.Context(), inst, a.action, []byte(a.request), 1<<16)
				inst.Close()
				if !answers(t, out, err, a.want) {
					t.Errorf("%s %s\ngot  %s, %v\nwant %s", a.action, a.request, out, err, a.want)
				}
			}
			for _, k := range all {
				for _, action := range k.Actions() {
					if !asked[action] {
						t.Errorf("nothing asks for %s", action)
					}
				}
			}
		})
	}
}

// answers compares a response with what ask.want says.
func answers(t *testing.T, out []byte, err error, want string) bool {
	t.Helper()
	if code, ok := strings.CutPrefix(want, "trap: "); ok {
		trap, ok := errors.AsType[*component.Trap](err)
		return ok && string(trap.Code) == code
	}
	if begin, ok := strings.CutSuffix(want, "…"); ok {
		return err == nil && strings.HasPrefix(string(out), begin)
	}
	return err == nil && canonical(t, string(out)) == canonical(t, want)
}

func TestEngineMismatch(t *testing.T) {
	rt, err := wasmtime.New(wasmtime.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rt.Close)
	for name, want := range map[string]string{
		"empty":     "the component exports no interface that provisioning knows; exports: none; imports: none",
		"near-miss": "a function of the contract has another type: greentic:component/qa@0.6.1#qa-spec is func(string) -> list<u8>, expected func(enum) -> list<u8>; exports: greentic:component/qa@0.6.1; imports: none",
	} {
		all, err := contract.Select(load(t, rt, name).Types())
		m, ok := errors.AsType[*contract.Mismatch](err)
		if !ok || all != nil || m.Error() != want {
			t.Errorf("%s: %v, %v", name, all, err)
		}
	}
}
