package contract_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greentic-ai/greentic-provision/component"
	"github.com/greentic-ai/greentic-provision/contract"
)

var (
	provDiagnostic = record(field("severity", str), field("code", str), field("message", str), field("path", opt(str)), field("hint", opt(str)))
	provAction     = enum("create", "update", "delete")
	provWebhook    = record(field("action", provAction), field("name", str), field("url", str), field("events", listOf(str)))
	provTopic      = record(field("action", provAction), field("topic", str), field("endpoint", str))
	provPlan       = record(field("config-patch", opt(str)), field("secrets-patch", opt(str)), field("webhooks", listOf(provWebhook)),
		field("subscriptions", listOf(provTopic)), field("diagnostics", listOf(provDiagnostic)))
	provInputs = record(
		field("tenant", record(field("tenant-id", str), field("tenant-name", opt(str)), field("org-id", opt(str)), field("org-name", opt(str)))),
		field("provider", record(field("provider-id", str), field("install-id", str), field("public-base-url", opt(str)))),
		field("mode", enum("install", "update", "remove")),
		field("answers", listOf(record(field("key", str), field("value", str)))),
		field("existing", opt(record(field("config-json", opt(str)), field("secrets-json", opt(str)), field("webhooks", listOf(provWebhook)), field("subscriptions", listOf(provTopic))))))
	provisionerTypes = exports("greentic:provision/provisioner@0.1.0",
		fn("plan", function(provPlan, provInputs)), fn("apply", function(listOf(provDiagnostic), provInputs, provPlan)))
)

// values is short for a record, tuple or list.
func values(vs ...component.Value) []component.Value { return append([]component.Value{}, vs...) }

func diagnosis(severity, code string) []component.Value {
	return values(severity, code, "words", component.None, component.Some("do it"))
}

func TestProvisionerInputs(t *testing.T) {
	none := component.None
	for name, c := range map[string]struct {
		request string
		want    []component.Value
	}{
		"bare": {`{"step":"validate","inputs":{"provider_id":"p","install_id":"i"}}`,
			values(values("", none, none, none), values("p", "i", none), "install", values(), none)},
		"everything": {`{"step":"validate","entry":"update","inputs":{"tenant":{"environment":"dev","tenant":"acme","team":null},"provider_id":"p","install_id":"i",
			"public_base_url":"https://x","answers":{"config":{"b":"1","a":2,"k":"config"},"secrets":{"k":"secret"},"c":{"d":null},"e":true},
			"existing_state":{"config":{"a":1},"secrets":{"s":"x"},"subscriptions":[{"id":"s"}]}}}`,
			values(values("acme", none, none, none), values("p", "i", component.Some("https://x")), "update",
				values(values("a", "2"), values("b", "1"), values("c", `{"d":null}`), values("e", "true"), values("k", "secret")),
				component.Some(values(component.Some(`{"a":1}`), component.Some(`{"s":"x"}`), values(), values())))},
		"flat answers with those names": {`{"step":"validate","entry":"remove","inputs":{"provider_id":"","install_id":"","answers":{"config":"c","secrets":null},"existing_state":{}}}`,
			values(values("", none, none, none), values("", "", none), "remove", values(values("config", "c"), values("secrets", "null")),
				component.Some(values(none, none, values(), values())))},
		"another entry": {`{"step":"validate","entry":"setup","inputs":{"provider_id":"","install_id":"","answers":{},"existing_state":null}}`,
			values(values("", none, none, none), values("", "", none), "install", values(), none)},
	} {
		t.Run(name, func(t *testing.T) {
			var path string
			var args []component.Value
			inst := recording(values(none, none, values(), values(), values()), &path, &args)
			if out, err := run1(t, provisionerTypes, contract.ActStep, inst, c.request); err != nil || out != "{}" {
				t.Fatalf("%s, %v", out, err)
			}
			if diff := cmp.Diff([]component.Value{c.want}, args); diff != "" || path != "[greentic:provision/provisioner@0.1.0 plan]" {
				t.Errorf("called %s (-want +got):\n%s", path, diff)
			}
		})
	}
}

func TestProvisionerSteps(t *testing.T) {
	some := component.Some("{}")
	good := values(component.Some(`{"from":"+1","n":[1]}`), component.Some(`{"TOKEN":"s3cret","OLD":null}`),
		values(values("create", "sms", "https://x/sms", values("in", "out"))), values(values("delete", "inbox", "https://x/in")), values(diagnosis("WARNING", "not yet verified")))
	const (
		warning = `{"severity":"warn","code":"NOT_YET_VERIFIED","message":"words","hint":"do it"}`
		patch   = `"config_patch":{"from":"+1","n":[1]},"secrets_patch":{"set":{"TOKEN":{"redacted":false,"value":"s3cret"}},"delete":["OLD"]},` +
			`"webhook_ops":[{"op":"create","id":"sms","url":"https://x/sms","metadata":{"events":["in","out"]}}],`
		topics = `"subscription_ops":[{"op":"delete","id":"inbox","metadata":{"endpoint":"https://x/in"}}]`
	)
	for name, c := range map[string]struct {
		step  string
		plan  []component.Value
		calls string
		want  string
	}{
		"collect":       {"collect", nil, "", `{}`},
		"summary":       {"summary", nil, "", `{}`},
		"requirements":  {"requirements", nil, "", `{}`},
		"unknown":       {"other", nil, "", `{}`},
		"validate":      {"validate", good, "plan ", `{"diagnostics":[` + warning + `]}`},
		"subscriptions": {"subscriptions", good, "plan ", `{"plan":{` + topics + `},"diagnostics":[` + warning + `]}`},
		"apply":         {"apply", good, "plan apply ", `{"plan":{` + patch + topics + `},"diagnostics":[` + warning + `,{"severity":"info","code":"DONE","message":"words","hint":"do it"}]}`},
		"apply nothing": {"apply", values(component.None, component.None, values(), values(), values()), "plan apply ",
			`{"plan":{},"diagnostics":[{"severity":"info","code":"DONE","message":"words","hint":"do it"}]}`},
		"apply of a plan with an error": {"apply", values(some, component.None, values(), values(), values(diagnosis("fatal", "x"))), "plan ",
			`{"plan":{},"diagnostics":[{"severity":"error","code":"X","message":"words","hint":"do it"}]}`},
		"secrets as steps have them": {"apply", values(component.None, component.Some(`{"set":{"A":{"redacted":true,"value":null},"B":{"redacted":false,"value":"v"}},"delete":["C"]}`), values(), values(), values()), "plan apply ",
			`{"plan":{"secrets_patch":{"set":{"A":{"redacted":true,"value":null},"B":{"redacted":false,"value":"v"}},"delete":["C"]}},"diagnostics":[{"severity":"info","code":"DONE","message":"words","hint":"do it"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			calls := ""
			inst := &instance{call: func(path []string, args []component.Value) (component.Value, error) {
				calls += path[1] + " "
				if path[1] == "plan" {
					return c.plan, nil
				}
				if diff := cmp.Diff([]component.Value(c.plan), args[1]); diff != "" {
					t.Errorf("apply got another plan (-want +got):\n%s", diff)
				}
				return values(diagnosis("info", "done")), nil
			}}
			out, err := run1(t, provisionerTypes, contract.ActStep, inst, `{"step":"`+c.step+`","inputs":{"provider_id":"p","install_id":"i"}}`)
			if err != nil || out != c.want || calls != c.calls {
				t.Errorf("called %sgot  %s, %v\nwant %s", calls, out, err, c.want)
			}
		})
	}
}

func TestProvisionerWords(t *testing.T) {
	for said, want := range map[string]string{
		"error": "error", "ERR": "error", " Fatal": "error", "critical": "error", "info": "info", "Information": "info", "note": "info", "debug": "info",
		"warn": "warn", "warning": "warn", "": "warn", "severe": "warn",
	} {
		checkDiagnosis(t, said, "X", `"severity":"`+want+`","code":"X"`)
	}
	for said, want := range map[string]string{
		"ALREADY_GOOD": "ALREADY_GOOD", "base url missing": "BASE_URL_MISSING", "--a..b--": "A_B", "e42": "E42", "42": "PROVISIONER_42", "": "PROVISIONER",
		"é": "PROVISIONER", "naïve": "NA_VE", strings.Repeat("x", 128): strings.Repeat("X", 128), strings.Repeat("x", 129): "FAILURE_CODE_TOO_LONG",
	} {
		checkDiagnosis(t, "info", said, `"severity":"info","code":"`+want+`"`)
	}
}

func checkDiagnosis(t *testing.T, severity, code, want string) {
	t.Helper()
	inst := answering(values(component.None, component.None, values(), values(), values(values(severity, code, "m", component.Some("/a"), component.None))))
	out, err := run1(t, provisionerTypes, contract.ActStep, inst, `{"step":"validate"}`)
	if want = `{"diagnostics":[{` + want + `,"message":"m","path":"/a"}]}`; err != nil || out != want {
		t.Errorf("%q, %q: got %s, %v; want %s", severity, code, out, err, want)
	}
}

func TestProvisionerFailures(t *testing.T) {
	trap := &component.Trap{Code: component.TrapUnreachable}
	some := func(s string) component.Value { return component.Some(s) }
	none := component.Value(component.None)
	for name, c := range map[string]struct {
		config, secrets component.Value
		is              func(error) bool
	}{
		"config is no JSON":          {some("{"), none, guestCode(contract.CodeOutputNotJSON)},
		"config is a list":           {some("[]"), none, guestCode(contract.CodeOutputNotJSON)},
		"config has a name twice":    {some(`{"a":1,"a":2}`), none, guestCode(contract.CodeOutputNotJSON)},
		"secrets are no JSON":        {none, some(""), guestCode(contract.CodeOutputNotJSON)},
		"secrets are text":           {none, some(`"s3cret"`), guestCode(contract.CodeOutputNotJSON)},
		"a secret is a number":       {none, some(`{"A":1}`), guestCode(contract.CodeOutputNotJSON)},
		"set beside something else":  {none, some(`{"set":{"A":{"redacted":true}},"unset":["B"]}`), guestCode(contract.CodeOutputNotJSON)},
		"plan is larger than output": {some(strings.Repeat(" ", 1<<20)), none, func(err error) bool { _, ok := err.(*contract.OutputLimit); return ok }},
	} {
		inst := answering(values(c.config, c.secrets, values(), values(), values()))
		_, err := run1(t, provisionerTypes, contract.ActStep, inst, `{"step":"apply"}`)
		if !c.is(err) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]struct {
		v   component.Value
		err error
		is  func(error) bool
	}{
		"trap":         {err: trap, is: func(err error) bool { return err == trap }},
		"not a plan":   {v: values("x"), is: ours},
		"not a record": {v: "x", is: ours},
	} {
		inst := &instance{call: func([]string, []component.Value) (component.Value, error) { return c.v, c.err }}
		if _, err := run1(t, provisionerTypes, contract.ActStep, inst, `{"step":"apply"}`); !c.is(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	inst := &instance{call: func(path []string, _ []component.Value) (component.Value, error) {
		if path[1] == "apply" {
			return nil, trap
		}
		return values(none, none, values(), values(), values()), nil
	}}
	if _, err := run1(t, provisionerTypes, contract.ActStep, inst, `{"step":"apply"}`); err != error(trap) {
		t.Errorf("apply traps: %v", err)
	}
	if _, err := run1(t, provisionerTypes, contract.ActStep, inst, `{"step":"apply","inputs":[]}`); !ours(err) {
		t.Errorf("a request that is none: %v", err)
	}
	large := answering(values(none, none, values(), values(), values(values("info", "X", strings.Repeat("\x01", 100), none, none))))
	if _, err := pick(t, provisionerTypes, contract.ActStep).Run(t.Context(), large, contract.ActStep, []byte(`{"step":"validate"}`), 200); !isErr(contract.OutputLimit{Size: 661, Limit: 200})(err) {
		t.Errorf("larger as JSON: %v", err)
	}
}
