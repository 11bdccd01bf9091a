package contract_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greentic-ai/greentic-provision/component"
	"github.com/greentic-ai/greentic-provision/contract"
)

func TestQA(t *testing.T) {
	const current = `"current_config":{"port":587}`
	empty, given := []byte("\xa0"), []byte("\xa1\x61a\x01")
	config := []byte("\xa1\x64port\x19\x02\x4b")
	merged := []byte("\xa2\x61a\x01\x6fexisting_config\xa1\x64port\x19\x02\x4b")
	for name, c := range map[string]struct {
		types   component.Types
		action  contract.Action
		request string
		path    string
		args    []component.Value
	}{
		"questions":            {qaTypes, contract.ActQASpec, `{"mode":"setup"}`, "[greentic:component/qa@0.6.1 qa-spec]", values("setup")},
		"questions of default": {qaTypes, contract.ActQASpec, `{"mode":"default"}`, "[greentic:component/qa@0.6.1 qa-spec]", values("default")},
		"update is upgrade":    {qaTypes, contract.ActQASpec, `{"mode":"update"}`, "[greentic:component/qa@0.6.1 qa-spec]", values("upgrade")},
		"update is update":     {oldQATypes, contract.ActQASpec, `{"mode":"update"}`, "[greentic:component/component-qa@0.6.0 qa-spec]", values("update")},

		"answers":                        {qaTypes, contract.ActApplyAnswers, `{"mode":"setup","answers":{"a":1}}`, "[greentic:component/qa@0.6.1 apply-answers]", values("setup", given)},
		"current is only for an update":  {qaTypes, contract.ActApplyAnswers, `{"mode":"remove","answers":{"a":1},` + current + `}`, "[greentic:component/qa@0.6.1 apply-answers]", values("remove", given)},
		"current is an answer":           {qaTypes, contract.ActApplyAnswers, `{"mode":"update","answers":{"a":1},` + current + `}`, "[greentic:component/qa@0.6.1 apply-answers]", values("upgrade", merged)},
		"no current, no answer":          {qaTypes, contract.ActApplyAnswers, `{"mode":"update","answers":{"a":1},"current_config":null}`, "[greentic:component/qa@0.6.1 apply-answers]", values("upgrade", given)},
		"current has an argument":        {oldQATypes, contract.ActApplyAnswers, `{"mode":"update","answers":{"a":1},` + current + `}`, "[greentic:component/component-qa@0.6.0 apply-answers]", values("update", config, given)},
		"current has one in every mode":  {oldQATypes, contract.ActApplyAnswers, `{"mode":"setup","answers":{"a":1},` + current + `}`, "[greentic:component/component-qa@0.6.0 apply-answers]", values("setup", config, given)},
		"an argument of nothing current": {oldQATypes, contract.ActApplyAnswers, `{"mode":"setup","answers":{}}`, "[greentic:component/component-qa@0.6.0 apply-answers]", values("setup", empty, empty)},
	} {
		t.Run(name, func(t *testing.T) {
			var path string
			var args []component.Value
			out, err := run1(t, c.types, c.action, recording([]byte("\xa1\x62ok\xf4"), &path, &args), c.request)
			if err != nil || out != `{"ok":false}` {
				t.Errorf("got %s, %v", out, err)
			}
			if diff := cmp.Diff(c.args, args); diff != "" || path != c.path {
				t.Errorf("called %s (-want +got):\n%s", path, diff)
			}
		})
	}
}

func TestQAFailures(t *testing.T) {
	for _, mode := range []string{"upgrade", "other", "", "\x1b"} {
		for action, request := range map[contract.Action]string{contract.ActQASpec: `{"mode":"` + `%` + `"}`, contract.ActApplyAnswers: `{"mode":"%","answers":{}}`} {
			_, err := run1(t, oldQATypes, action, answering([]byte("\xa0")), replace(request, mode))
			if !guestCode(contract.CodeModeNotOffered)(err) {
				t.Errorf("mode %q, %s: %v", mode, action, err)
			}
		}
	}
	for name, c := range map[string]struct {
		action  contract.Action
		request string
	}{
		"answers are a list":   {contract.ActApplyAnswers, `{"mode":"setup","answers":[]}`},
		"there are no answers": {contract.ActApplyAnswers, `{"mode":"setup"}`},
		"questions of nothing": {contract.ActQASpec, `[]`},
		"answers of nothing":   {contract.ActApplyAnswers, `[]`},
	} {
		if _, err := run1(t, qaTypes, c.action, answering([]byte("\xa0")), c.request); !ours(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, action := range []contract.Action{contract.ActQASpec, contract.ActApplyAnswers} {
		const request = `{"mode":"setup","answers":{}}`
		if _, err := run1(t, qaTypes, action, answering([]byte("{}")), request); !guestCode(contract.CodeOutputNotCBOR)(err) {
			t.Errorf("%s gives JSON: %v", action, err)
		}
		if _, err := run1(t, qaTypes, action, answering([]byte{}), request); !guestCode(contract.CodeOutputNotCBOR)(err) {
			t.Errorf("%s gives nothing: %v", action, err)
		}
		if _, err := run1(t, qaTypes, action, answering("text"), request); !ours(err) {
			t.Errorf("%s: the engine gives text: %v", action, err)
		}
	}
}

func replace(request, mode string) string {
	if mode == "\x1b" {
		mode = `\u001b`
	}
	out := ""
	for _, r := range request {
		if r == '%' {
			out += mode
		} else {
			out += string(r)
		}
	}
	return out
}

func TestDescriptor(t *testing.T) {
	var path string
	var args []component.Value
	out, err := run1(t, descriptorTypes, contract.ActDescribe, recording([]byte("\xa1\x61n\x61x"), &path, &args), `{}`)
	if err != nil || out != `{"n":"x"}` || path != "[greentic:component/descriptor@0.6.1 describe]" || len(args) != 0 {
		t.Errorf("called %s(%v): %s, %v", path, args, out, err)
	}
}

func TestI18n(t *testing.T) {
	var path string
	var args []component.Value
	out, err := run1(t, i18nTypes, contract.ActI18n, recording([]byte("\xa1\x61n\x61x"), &path, &args), `{"locale":"de"}`)
	if err != nil || out != `{"n":"x"}` || path != "[greentic:component/component-i18n@0.6.1 i18n-bundle]" || !cmp.Equal(args, values("de")) {
		t.Errorf("called %s(%v): %s, %v", path, args, out, err)
	}
	keysOnly := exports("greentic:component/component-i18n@0.6.0", fn("i18n-keys", function(listOf(str))))
	path = ""
	out, err = run1(t, keysOnly, contract.ActI18n, recording(nil, &path, &args), `{"locale":"d\"e"}`)
	if err != nil || out != `{"locale":"d\"e","messages":{}}` || path != "" {
		t.Errorf("keys only: called %q: %s, %v", path, out, err)
	}
	for _, types := range []component.Types{i18nTypes, keysOnly, schemaCoreTypes} {
		if _, err := run1(t, types, contract.ActI18n, answering(nil), `{"locale":1}`); !ours(err) {
			t.Error(err)
		}
	}
}

func TestRuntime(t *testing.T) {
	var path string
	var args []component.Value
	for name, c := range map[string]struct {
		types component.Types
		v     component.Value
		path  string
		args  []component.Value
	}{
		"runtime": {runtimeTypes, []byte("\xa1\x62ok\xf4"), "[greentic:component/runtime@0.6.1 invoke]", values("go", []byte("\xa1\x61a\x01"))},
		"component-runtime": {stateTypes, values([]byte("\xa1\x62ok\xf4"), []byte("\xff")), "[greentic:component/component-runtime@0.6.0 run]",
			values([]byte("\xa1\x61a\x01"), []byte("\xa0"))},
		"schema-core": {schemaCoreTypes, []byte(`{"ok":false}`), "[greentic:provider-schema-core/schema-core-api@1.0.0 invoke]", values("go", []byte(`{"a":1}`))},
	} {
		out, err := run1(t, c.types, contract.ActInvoke, recording(c.v, &path, &args), `{"op":"go","input":{"a":1},"context":{"tenant":"acme"}}`)
		if err != nil || out != `{"error":null,"ok":true,"output":{"ok":false}}` || path != c.path {
			t.Errorf("%s: called %s: %s, %v", name, path, out, err)
		}
		if diff := cmp.Diff(c.args, args); diff != "" {
			t.Errorf("%s: (-want +got):\n%s", name, diff)
		}
		if _, err := run1(t, c.types, contract.ActInvoke, recording(c.v, &path, &args), `{}`); err != nil || len(args) != 2 {
			t.Errorf("%s without operation and input: %v", name, err)
		}
		for _, v := range []component.Value{nil, "text", values(), values("a", "b")} {
			if _, err := run1(t, c.types, contract.ActInvoke, answering(v), `{}`); !ours(err) {
				t.Errorf("%s: the engine's %#v: %v", name, v, err)
			}
		}
		if _, err := run1(t, c.types, contract.ActInvoke, answering(c.v), `{"op":{}}`); !ours(err) {
			t.Errorf("%s: a request that is none: %v", name, err)
		}
		trap := &component.Trap{Code: component.TrapUnreachable}
		inst := &instance{call: func([]string, []component.Value) (component.Value, error) { return nil, trap }}
		if _, err := run1(t, c.types, contract.ActInvoke, inst, `{}`); err != error(trap) {
			t.Errorf("%s traps: %v", name, err)
		}
	}
	for name, types := range map[string]component.Types{"runtime": runtimeTypes, "component-runtime": stateTypes} {
		v := component.Value([]byte{})
		if name == "component-runtime" {
			v = values([]byte{}, []byte{})
		}
		if out, err := run1(t, types, contract.ActInvoke, answering(v), `{}`); err != nil || out != `{"error":null,"ok":true,"output":null}` {
			t.Errorf("%s gives nothing: %s, %v", name, out, err)
		}
	}
}

func TestSchemaCore(t *testing.T) {
	for name, c := range map[string]struct {
		action  contract.Action
		request string
		args    []component.Value // op, input
		said    string
		want    string
	}{
		"questions": {contract.ActQASpec, `{"mode":"setup"}`, values("qa-spec", []byte(`{"mode":"setup"}`)), `{"q":[]}`, `{"q":[]}`},
		"upgrade":   {contract.ActQASpec, `{"mode":"update"}`, values("qa-spec", []byte(`{"mode":"upgrade"}`)), `{"q":[]}`, `{"q":[]}`},
		"answers": {contract.ActApplyAnswers, `{"mode":"setup","answers":{"a":1},"current_config":null}`,
			values("apply-answers", []byte(`{"answers":{"a":1},"mode":"setup"}`)), `{"ok":false,"error":"x"}`, `{"ok":false,"error":"x"}`},
		"answers and what is": {contract.ActApplyAnswers, `{"mode":"update","answers":{"a":1},"current_config":{"b":2}}`,
			values("apply-answers", []byte(`{"answers":{"a":1},"current_config":{"b":2},"mode":"upgrade"}`)), `{"ok":true}`, `{"ok":true}`},
		"texts":           {contract.ActI18n, `{"locale":"de"}`, values("i18n-bundle", []byte(`"de"`)), `{"locale":"de","messages":{"k":"t"}}`, `{"locale":"de","messages":{"k":"t"}}`},
		"no texts":        {contract.ActI18n, `{"locale":"de"}`, values("i18n-bundle", []byte(`"de"`)), `{"ok":false,"error":"unsupported op"}`, `{"locale":"de","messages":{}}`},
		"text is no JSON": {contract.ActI18n, `{"locale":"de"}`, values("i18n-bundle", []byte(`"de"`)), `unsupported`, `{"locale":"de","messages":{}}`},
	} {
		t.Run(name, func(t *testing.T) {
			var path string
			var args []component.Value
			out, err := run1(t, schemaCoreTypes, c.action, recording([]byte(c.said), &path, &args), c.request)
			if err != nil || out != c.want || path != "[greentic:provider-schema-core/schema-core-api@1.0.0 invoke]" {
				t.Errorf("called %s: %s, %v", path, out, err)
			}
			if diff := cmp.Diff(c.args, args); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	const request = `{"mode":"setup","answers":{},"locale":"de"}`
	for _, action := range []contract.Action{contract.ActInvoke, contract.ActQASpec, contract.ActApplyAnswers, contract.ActDescribe} {
		if _, err := run1(t, schemaCoreTypes, action, answering([]byte(`{"a":1,"a":2}`)), request); !guestCode(contract.CodeOutputNotJSON)(err) {
			t.Errorf("%s gives a name twice: %v", action, err)
		}
	}
	for _, action := range []contract.Action{contract.ActQASpec, contract.ActApplyAnswers, contract.ActDescribe, contract.ActI18n} {
		if _, err := run1(t, schemaCoreTypes, action, answering("text"), request); !ours(err) {
			t.Errorf("%s: the engine gives text: %v", action, err)
		}
	}
	for _, action := range []contract.Action{contract.ActQASpec, contract.ActApplyAnswers} {
		if _, err := run1(t, schemaCoreTypes, action, answering(nil), `[]`); !ours(err) {
			t.Errorf("%s: a request that is none: %v", action, err)
		}
	}
	var path string
	var args []component.Value
	if out, err := run1(t, schemaCoreTypes, contract.ActDescribe, recording([]byte(`{"provider":"p"}`), &path, &args), `{}`); err != nil ||
		out != `{"provider":"p"}` || path != "[greentic:provider-schema-core/schema-core-api@1.0.0 describe]" {
		t.Errorf("called %s: %s, %v", path, out, err)
	}
}

// A response never has more bytes than it may, in whatever way it is made, and
// says how many it would have had.
func TestOutputLimit(t *testing.T) {
	text := func(s string) component.Value { return component.Case{Name: "ok", Value: s} }
	for name, c := range map[string]struct {
		types   component.Types
		action  contract.Action
		v       component.Value
		size    int
		request string
	}{
		"CBOR":           {descriptorTypes, contract.ActDescribe, []byte("\x83\x01\x02\x61\x00"), len(`[1,2,"\u0000"]`), `{}`},
		"CBOR output":    {runtimeTypes, contract.ActInvoke, []byte("\x61x"), len(`{"error":null,"ok":true,"output":"x"}`), `{}`},
		"JSON":           {schemaCoreTypes, contract.ActDescribe, []byte(`[1]`), 3, `{}`},
		"JSON output":    {textNode("0.5.0", record()), contract.ActInvoke, text("[1]"), len(`{"error":null,"ok":true,"output":[1]}`), `{}`},
		"manifest":       {textNode("0.5.0", record()), contract.ActDescribe, "[1]", 3, `{}`},
		"node error":     {textNode("0.5.0", record()), contract.ActInvoke, component.Case{Name: "err", Value: values("c", "m", false, component.None, component.Some("[1]"))}, len(`{"error":{"backoff_ms":null,"code":"c","details":[1],"message":"m","retryable":false},"ok":false,"output":null}`), `{}`},
		"typed":          {envelopeNode(true), contract.ActDescribe, values("é", int32(5)), len(`{"name":"é","n":5}`), `{}`},
		"texts":          {schemaCoreTypes, contract.ActI18n, []byte(`{"messages":{"key":"and a text"}}`), 33, `{"locale":"de"}`},
		"a locale alone": {exports("greentic:component/component-i18n@0.6.0", fn("i18n-keys", function(listOf(str)))), contract.ActI18n, nil, len(`{"locale":"de","messages":{}}`), `{"locale":"de"}`},
	} {
		k := pick(t, c.types, c.action)
		out, err := k.Run(t.Context(), answering(c.v), c.action, []byte(c.request), c.size)
		if err != nil || len(out) != c.size {
			t.Errorf("%s: exactly fits: %s, %v", name, out, err)
		}
		for _, limit := range []int{c.size - 1, 0} {
			out, err = k.Run(t.Context(), answering(c.v), c.action, []byte(c.request), limit)
			o, ok := err.(*contract.OutputLimit)
			if !ok || out != nil || o.Limit != limit || o.Size <= limit || limit > 0 && o.Size != c.size {
				t.Errorf("%s, %d bytes: %q, %v", name, limit, out, err)
			}
		}
	}
}
