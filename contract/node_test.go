package contract_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greentic-ai/greentic-provision/component"
	"github.com/greentic-ai/greentic-provision/contract"
)

var nodeError = record(field("code", str), field("message", str), field("retryable", typ(component.Bool)),
	field("backoff-ms", opt(typ(component.U64))), field("details", opt(str)))

// textNode is a node with JSON text, whose context is of the given type.
func textNode(version string, ctx *component.Type) component.Types {
	return exports("greentic:component/node@"+version,
		fn("get-manifest", function(str)),
		fn("invoke", function(variant(field("ok", str), field("err", nodeError)), ctx, str, str)))
}

var (
	tenantCtx = record(field("tenant-id", str), field("team-id", opt(str)), field("env-id", str), field("deadline-ms", typ(component.U64)),
		field("attempt", typ(component.U32)))
	envelope = record(field("ctx", tenantCtx), field("flow-id", str), field("step-id", str), field("payload-cbor", bytesType),
		field("metadata-cbor", opt(bytesType)))
	invocationResult = record(field("ok", typ(component.Bool)), field("output-cbor", bytesType), field("output-metadata-cbor", opt(bytesType)))
	cborNodeError    = record(field("code", str), field("message", str), field("retryable", typ(component.Bool)),
		field("backoff-ms", opt(typ(component.U64))), field("details", opt(bytesType)))
	description = record(field("name", str), field("n", typ(component.S32)))
)

// envelopeNode is a node with CBOR in envelopes.
func envelopeNode(describe bool) component.Types {
	types := exports("greentic:component/node@0.6.0", fn("invoke", function(result(invocationResult, cborNodeError), str, envelope)))
	if describe {
		types.Exports[0].Items = append(types.Exports[0].Items, fn("describe", function(description)))
	}
	return types
}

// A context is filled by the names of its fields, whatever its shape.
func TestNodeContext(t *testing.T) {
	const request = `{"op":"go","input":{"a":[1]},"context":{"env":"dev","tenant":"acme","team":"blue","user":null,"trace_id":"t-1",
		"correlation_id":"c-1","session_id":"s-1","locale":"de","flow_id":"setup","node_id":"apply","step_id":"s","component_id":"c","provider_id":"p","attempt":300}}`
	v := values
	tenant := record(field("tenant", str), field("team", opt(str)), field("user", opt(str)), field("trace-id", opt(str)),
		field("deadline-unix-ms", opt(typ(component.U64))), field("attempt", typ(component.U32)), field("idempotency-key", opt(str)))
	for name, c := range map[string]struct {
		ctx  *component.Type
		want []component.Value
	}{
		"first shape": {record(field("tenant", tenant), field("flow-id", str), field("node-id", opt(str))),
			v(v("acme", component.Some("blue"), component.None, component.Some("t-1"), component.None, uint32(300), component.None), "setup", component.Some("apply"))},
		"i18n in both": {record(field("tenant", record(field("tenant", str), field("i18n-id", opt(str)))), field("i18n-id", opt(str)), field("flow-id", str)),
			v(v("acme", component.Some("de")), component.Some("de"), "setup")},
		"other names for it": {record(field("env", str), field("tenant-id", str), field("team-id", opt(str)), field("user-id", opt(str)), field("env-id", str),
			field("correlation-id", str), field("session-id", opt(str)), field("provider-id", opt(str)), field("component-id", str)),
			v("dev", "acme", component.Some("blue"), component.None, "dev", "c-1", component.Some("s-1"), component.Some("p"), "c")},
		"what nobody knows": {record(field("x", str), field("list", listOf(str)), field("bytes", bytesType), field("maybe", opt(record(field("tenant", str)))),
			field("kind", enum("one", "two")), field("choice", variant(field("none", nil), field("some", str))), field("first", variant(field("n", typ(component.U8)))),
			field("pair", &component.Type{Kind: component.Tuple, Fields: []component.Field{{Type: str}, {Type: typ(component.Char)}}}),
			field("flags", &component.Type{Kind: component.Flags, Labels: []string{"a"}}), field("res", result(nil, str)), field("res2", result(str, nil)),
			field("b", typ(component.Bool)), field("f", typ(component.F32)), field("d", typ(component.F64)), field("s", typ(component.S64)), field("u", typ(component.U64))),
			v("", v(), []byte{}, component.None, "one", component.Case{Name: "none"}, component.Case{Name: "n", Value: uint8(0)}, v("", rune(0)),
				[]string{}, component.Ok(nil), component.Ok(""), false, float32(0), float64(0), int64(0), uint64(0))},
		"numbers where they fit": {record(field("attempt", typ(component.U8))), v(uint8(255))},
		"narrow":                 {record(field("attempt", typ(component.S8))), v(int8(127))},
		"wide":                   {record(field("attempt", typ(component.U64))), v(uint64(300))},
		"signed":                 {record(field("attempt", typ(component.S32))), v(int32(300))},
		"an option of it":        {record(field("attempt", opt(typ(component.S16)))), v(component.Some(int16(300)))},
		"text for a number":      {record(field("tenant", typ(component.U16))), v(uint16(0))},
		"an enum with it":        {record(field("env", enum("prod", "dev"))), v("dev")},
		"an enum without it":     {record(field("env", enum("prod", "test")), field("team", opt(enum("red")))), v("prod", component.None)},
		"a record by that name":  {record(field("team", opt(record(field("team", str))))), v(component.None)},
	} {
		t.Run(name, func(t *testing.T) {
			var path string
			var args []component.Value
			inst := recording(component.Case{Name: "ok", Value: `{"ok":false}`}, &path, &args)
			out, err := run1(t, textNode("0.5.0", c.ctx), contract.ActInvoke, inst, request)
			if err != nil || out != `{"error":null,"ok":true,"output":{"ok":false}}` {
				t.Errorf("got %s, %v", out, err)
			}
			if path != "[greentic:component/node@0.5.0 invoke]" {
				t.Errorf("called %s", path)
			}
			if diff := cmp.Diff([]component.Value{c.want, "go", `{"a":[1]}`}, args); diff != "" {
				t.Errorf("arguments (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTextNode(t *testing.T) {
	types := textNode("0.4.0", record())
	fail := func(vs ...component.Value) component.Case { return component.Case{Name: "err", Value: vs} }
	for name, c := range map[string]struct {
		v    component.Value
		want string
	}{
		"text":    {component.Case{Name: "ok", Value: `"x"`}, `{"error":null,"ok":true,"output":"x"}`},
		"null":    {component.Case{Name: "ok", Value: ` null `}, `{"error":null,"ok":true,"output": null }`},
		"error":   {fail("QUOTA", "no room", true, component.Some(uint64(5)), component.Some(`{"left":0}`)), `{"error":{"backoff_ms":5,"code":"QUOTA","details":{"left":0},"message":"no room","retryable":true},"ok":false,"output":null}`},
		"no more": {fail("", "", false, component.None, component.None), `{"error":{"backoff_ms":null,"code":"","details":null,"message":"","retryable":false},"ok":false,"output":null}`},
		"details that are no JSON": {fail("Q", "m", false, component.None, component.Some("left: \x01")),
			`{"error":{"backoff_ms":null,"code":"Q","details":"left: \u0001","message":"m","retryable":false},"ok":false,"output":null}`},
		"long": {fail(strings.Repeat("c", 129), strings.Repeat("m", 5000), false, component.None, component.None),
			`{"error":{"backoff_ms":null,"code":"FAILURE_CODE_TOO_LONG","details":null,"message":"` + strings.Repeat("m", 4096) + `…","retryable":false},"ok":false,"output":null}`},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := run1(t, types, contract.ActInvoke, answering(c.v), `{"op":"go"}`)
			if err != nil || out != c.want {
				t.Errorf("got  %s, %v\nwant %s", out, err, c.want)
			}
		})
	}
	for name, bad := range map[string]string{
		"nothing": "", "two values": "1 2", "more members": `1},"error":{"code":"X"`, "cut": `{"a":`, "twice": `{"a":1,"a":2}`, "not UTF-8": "\"\xff\"",
	} {
		_, err := run1(t, types, contract.ActInvoke, answering(component.Case{Name: "ok", Value: bad}), `{"op":"go"}`)
		var g *contract.GuestError
		if !errors.As(err, &g) || g.Code != contract.CodeOutputNotJSON || strings.Contains(g.Message, `"`) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if out, err := run1(t, types, contract.ActDescribe, answering(`{"component":{}}`), `{}`); err != nil || out != `{"component":{}}` {
		t.Errorf("describe: %s, %v", out, err)
	}
	for _, v := range []component.Value{nil, "text", component.Case{Name: "ok", Value: 1}} {
		if _, err := run1(t, types, contract.ActInvoke, answering(v), `{}`); !ours(err) {
			t.Errorf("the engine's %#v: %v", v, err)
		}
	}
	if _, err := run1(t, types, contract.ActDescribe, answering(1), `{}`); !ours(err) {
		t.Error(err)
	}
	if _, err := run1(t, types, contract.ActInvoke, answering(nil), `{"op":1}`); !ours(err) {
		t.Errorf("a request that is none: %v", err)
	}
}

func TestEnvelopeNode(t *testing.T) {
	types := envelopeNode(true)
	said := func(ok bool, cbor string) component.Value {
		return component.Ok([]component.Value{ok, []byte(cbor), component.None})
	}
	fail := func(details component.Value) component.Value {
		return component.Err([]component.Value{"QUOTA", "no room", true, component.None, details})
	}
	const failed = `{"error":{"backoff_ms":null,"code":"QUOTA","details":%,"message":"no room","retryable":true},"ok":false,"output":null}`
	for name, c := range map[string]struct {
		v    component.Value
		want string
	}{
		"output":           {said(true, "\xa1\x61a\x01"), `{"error":null,"ok":true,"output":{"a":1}}`},
		"not ok":           {said(false, "\xa1\x61a\x01"), `{"error":null,"ok":false,"output":{"a":1}}`},
		"nothing":          {said(true, ""), `{"error":null,"ok":true,"output":null}`},
		"error":            {fail(component.Some([]byte("\xa1\x61a\x01"))), strings.Replace(failed, "%", `{"a":1}`, 1)},
		"no details":       {fail(component.None), strings.Replace(failed, "%", "null", 1)},
		"not CBOR details": {fail(component.Some([]byte("\xff"))), strings.Replace(failed, "%", "null", 1)},
	} {
		t.Run(name, func(t *testing.T) {
			var path string
			var args []component.Value
			out, err := run1(t, types, contract.ActInvoke, recording(c.v, &path, &args),
				`{"op":"go","input":{"b":1,"a":"x"},"context":{"env":"dev","tenant":"acme","flow_id":"setup","step_id":"apply","attempt":2}}`)
			if err != nil || out != c.want {
				t.Errorf("got  %s, %v\nwant %s", out, err, c.want)
			}
			want := []component.Value{"go", []component.Value{
				[]component.Value{"acme", component.None, "dev", uint64(0), uint32(2)}, "setup", "apply", []byte("\xa2\x61a\x61x\x61b\x01"), component.None}}
			if diff := cmp.Diff(want, args); diff != "" || path != "[greentic:component/node@0.6.0 invoke]" {
				t.Errorf("called %s (-want +got):\n%s", path, diff)
			}
		})
	}
	if _, err := run1(t, types, contract.ActInvoke, answering(said(true, "\xff")), `{}`); !guestCode(contract.CodeOutputNotCBOR)(err) {
		t.Error(err)
	}
	for _, v := range []component.Value{nil, component.Ok(nil), component.Ok([]component.Value{true})} {
		if _, err := run1(t, types, contract.ActInvoke, answering(v), `{}`); !ours(err) {
			t.Errorf("the engine's %#v: %v", v, err)
		}
	}
}

// A description is a typed value, and every kind of type has one JSON.
func TestDescribeTyped(t *testing.T) {
	pairOf := &component.Type{Kind: component.Tuple, Fields: []component.Field{{Type: str}, {Type: typ(component.S32)}}}
	for name, c := range map[string]struct {
		t    *component.Type
		v    component.Value
		want string
	}{
		"text":           {str, "a\"b", `"a\"b"`},
		"numbers":        {pairOf, []component.Value{"x", int32(-5)}, `["x",-5]`},
		"char":           {typ(component.Char), 'é', `"é"`},
		"u64":            {typ(component.U64), uint64(math.MaxUint64), `18446744073709551615`},
		"u8":             {typ(component.U8), uint8(7), `7`},
		"f32":            {typ(component.F32), float32(0.5), `0.5`},
		"f64":            {typ(component.F64), 1e21, `1e+21`},
		"bool":           {typ(component.Bool), true, `true`},
		"absent":         {opt(str), component.None, `null`},
		"present":        {opt(str), component.Some("x"), `"x"`},
		"enum":           {enum("a-b"), "a-b", `"a-b"`},
		"flags":          {&component.Type{Kind: component.Flags, Labels: []string{"a", "b"}}, []string{"a", "b"}, `["a","b"]`},
		"case":           {variant(field("ref-uri", str)), component.Case{Name: "ref-uri", Value: "u"}, `{"ref_uri":"u"}`},
		"bare case":      {variant(field("config-only", nil)), component.Case{Name: "config-only"}, `"config_only"`},
		"ok":             {result(str, nil), component.Ok("x"), `{"ok":"x"}`},
		"err":            {result(str, nil), component.Err(nil), `{"err":null}`},
		"list":           {listOf(record(field("a-b", str))), []component.Value{[]component.Value{"x"}, []component.Value{"y"}}, `[{"a_b":"x"},{"a_b":"y"}]`},
		"bytes":          {bytesType, []byte{0xfb, 0xff}, `"-_8"`},
		"inline CBOR":    {variant(field("inline-cbor", bytesType)), component.Case{Name: "inline-cbor", Value: []byte{0x81, 0x01}}, `{"inline_cbor":[1]}`},
		"optional CBOR":  {record(field("x-cbor", opt(bytesType))), []component.Value{component.Some([]byte{0xf5})}, `{"x_cbor":true}`},
		"list of CBOR's": {record(field("x-cbor", listOf(bytesType))), []component.Value{[]component.Value{[]byte{0}}}, `{"x_cbor":["AA"]}`},
	} {
		t.Run(name, func(t *testing.T) {
			types := envelopeNode(false)
			types.Exports[0].Items = append(types.Exports[0].Items, fn("describe", function(record(field("value", c.t)))))
			out, err := run1(t, types, contract.ActDescribe, answering([]component.Value{c.v}), `{}`)
			if want := `{"value":` + c.want + `}`; err != nil || out != want {
				t.Errorf("got %s, %v; want %s", out, err, want)
			}
		})
	}
	describe := func(of *component.Type, v component.Value) error {
		types := envelopeNode(false)
		types.Exports[0].Items = append(types.Exports[0].Items, fn("describe", function(of)))
		_, err := run1(t, types, contract.ActDescribe, answering(v), `{}`)
		return err
	}
	if err := describe(record(field("n", typ(component.F64))), []component.Value{math.NaN()}); !guestCode(contract.CodeOutputNotJSON)(err) {
		t.Errorf("NaN: %v", err)
	}
	if err := describe(record(field("x-cbor", bytesType)), []component.Value{[]byte{0xff}}); !guestCode(contract.CodeOutputNotCBOR)(err) {
		t.Errorf("bad CBOR: %v", err)
	}
	for _, v := range []component.Value{[]component.Value{}, []component.Value{component.Handle{}}} {
		if err := describe(record(field("x", str)), v); !ours(err) {
			t.Errorf("the engine's %#v: %v", v, err)
		}
	}
}

// A description that cannot be said as JSON is none.
func TestDescribeOfResources(t *testing.T) {
	types := envelopeNode(false)
	types.Exports[0].Items = append(types.Exports[0].Items, fn("describe", function(record(field("h", opt(typ(component.Own)))))))
	if got := contracts(t, types)[0].Actions(); len(got) != 1 || got[0] != contract.ActInvoke {
		t.Errorf("%q", got)
	}
}
