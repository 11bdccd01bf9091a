package imports_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greentic-ai/greentic-provision/capability"
	"github.com/greentic-ai/greentic-provision/capability/imports"
	"github.com/greentic-ai/greentic-provision/capability/wasi"
	"github.com/greentic-ai/greentic-provision/component"
	"github.com/greentic-ai/greentic-provision/plan"
)

// Types, short.

var (
	str       = &component.Type{Kind: component.String}
	u16       = &component.Type{Kind: component.U16}
	u32       = &component.Type{Kind: component.U32}
	u64       = &component.Type{Kind: component.U64}
	s64       = &component.Type{Kind: component.S64}
	boolean   = &component.Type{Kind: component.Bool}
	bytesType = list(&component.Type{Kind: component.U8})
	hostError = record("code", "message")
	keyErrors = enum("not-found", "denied", "invalid-key", "internal")
	levels    = enum("debug", "info", "warn", "error")

	// The tenant's context as it was published last, and before.
	impersonation = fields("actor-id", str, "reason", option(str))
	ctx19         = fields("env", str, "tenant", str, "tenant-id", str, "team", option(str), "team-id", option(str), "user", option(str), "user-id", option(str),
		"trace-id", option(str), "i18n-id", option(str), "correlation-id", option(str), "attributes", pairs, "session-id", option(str), "flow-id", option(str),
		"node-id", option(str), "provider-id", option(str), "deadline-ms", option(s64), "attempt", u32, "idempotency-key", option(str), "impersonation", option(impersonation))
	ctx18 = &component.Type{Kind: component.Record, Fields: slices.Concat(ctx19.Fields[:8], ctx19.Fields[9:])}
	ctx   = option(ctx19)

	pairs    = list(&component.Type{Kind: component.Tuple, Fields: []component.Field{{Type: str}, {Type: str}}})
	ack      = result(enum("ok"), hostError)
	span     = fields("tenant", str, "session-id", option(str), "flow-id", str, "node-id", option(str), "provider", str, "start-ms", option(s64), "end-ms", option(s64))
	message  = fields("route", option(str), "payload-json", str, "attachments", option(list(bytesType)))
	request  = fields("method", str, "url", str, "headers", pairs, "body", option(bytesType))
	response = result(fields("status", u16, "headers", pairs, "body", option(bytesType)), hostError)
	// The options of http 1.1, and the ones that were once published as 1.0.
	options11 = option(fields("timeout-ms", option(u32), "allow-insecure", option(boolean), "follow-redirects", option(boolean)))
	options10 = option(fields("timeout-ms", option(u64), "proxy", enum("inherit", "disabled"), "tls", enum("strict", "insecure")))
)

func enum(labels ...string) *component.Type {
	return &component.Type{Kind: component.Enum, Labels: labels}
}

// fields is a record of names and types in turn.
func fields(namesAndTypes ...any) *component.Type {
	t := &component.Type{Kind: component.Record}
	for i := 0; i < len(namesAndTypes); i += 2 {
		t.Fields = append(t.Fields, component.Field{Name: namesAndTypes[i].(string), Type: namesAndTypes[i+1].(*component.Type)})
	}
	return t
}

func list(t *component.Type) *component.Type {
	return &component.Type{Kind: component.List, Elem: t}
}

func option(t *component.Type) *component.Type {
	return &component.Type{Kind: component.Option, Elem: t}
}

func result(ok, err *component.Type) *component.Type {
	return &component.Type{Kind: component.Result, Ok: ok, Err: err}
}

func record(names ...string) *component.Type {
	t := &component.Type{Kind: component.Record}
	for _, n := range names {
		t.Fields = append(t.Fields, component.Field{Name: n, Type: str})
	}
	return t
}

func fn(name string, result *component.Type, params ...*component.Type) component.Item {
	f := &component.Func{Result: result}
	for _, p := range params {
		f.Params = append(f.Params, component.Field{Type: p})
	}
	return component.Item{Name: name, Kind: component.ItemFunc, Func: f}
}

func instance(name string, items ...component.Item) component.Item {
	return component.Item{Name: name, Kind: component.ItemInstance, Items: items}
}

func importing(items ...component.Item) component.Types {
	return component.Types{Layer: component.LayerComponent, Imports: items}
}

// all is every capability function with its published type.
var all = importing(
	instance("greentic:provision-host/types@1.0.0", component.Item{Name: "host-error", Kind: component.ItemType}),
	instance("greentic:provision-host/config@1.0.0",
		component.Item{Name: "host-error", Kind: component.ItemType},
		fn("get", result(option(str), hostError), str), fn("set", result(nil, hostError), str, str),
		fn("delete", result(nil, hostError), str), fn("list", result(list(str), hostError), str)),
	instance("greentic:provision-host/secrets@1.0.0",
		fn("put", result(nil, hostError), str, bytesType), fn("delete", result(nil, hostError), str)),
	instance("greentic:provision-host/subscriptions@1.0.0",
		fn("list", result(list(record("id", "metadata")), hostError)), fn("upsert", result(nil, hostError), str, str), fn("delete", result(nil, hostError), str)),
	instance("greentic:provision-host/log@1.0.0", fn("log", nil, levels, str)),
	instance("greentic:secrets-store/secrets-store@1.1.0",
		fn("get", result(option(bytesType), keyErrors), str), fn("put", nil, str, bytesType)),
	instance("greentic:oauth-broker/broker-v1@1.0.0",
		fn("get-consent-url", str, str, str, list(str), str, str), fn("exchange-code", str, str, str, str, str), fn("get-token", str, str, str, list(str))),
	instance("greentic:state/state-store@1.0.0",
		fn("read", result(bytesType, hostError), str, ctx), fn("write", ack, str, bytesType, ctx), fn("delete", ack, str, ctx)),
	instance("greentic:http/http-client@1.0.0", fn("send", response, request, ctx)),
	instance("greentic:http/http-client@1.0.1", fn("send", response, request, options10, ctx)),
	instance("greentic:http/client@1.1.0", fn("send", response, request, options11, ctx)),
	instance("greentic:telemetry/logger-api@1.0.0", fn("log", ack, span, pairs, ctx)),
	instance("greentic:messaging/session-api@1.0.0", fn("send", ack, message, ctx19)),
	instance("greentic:secrets/secret-store@1.0.0",
		fn("read", result(bytesType, hostError), str), fn("write", ack, str, bytesType), fn("delete", ack, str)),
	instance("greentic:interfaces-host/imports@0.1.0",
		fn("telemetry-emit", nil, span, pairs), fn("state-get", result(str, hostError), str, ctx), fn("state-set", ack, str, str, ctx)),
	instance("greentic:host/http-v1@1.0.0", fn("request", result(bytesType, str), str, str, list(str), option(bytesType))),
	instance("greentic:host/kv-v1@1.0.0", fn("get", option(str), str, str), fn("put", nil, str, str, str)),
)

// caller records what crosses and answers as scripted.
type caller struct {
	asked string
	reply string
	err   error
}

func (c *caller) Call(_ context.Context, op capability.Op, args []byte) ([]byte, error) {
	c.asked = string(op) + " " + string(args)
	return []byte(c.reply), c.err
}

func TestCheck(t *testing.T) {
	const store = "greentic:secrets-store/secrets-store"
	get := fn("get", result(option(bytesType), keyErrors), str)
	for name, c := range map[string]struct {
		types component.Types
		want  []string // imports that are missing
	}{
		"nothing":                     {importing(), nil},
		"everything":                  {all, nil},
		"a subset":                    {importing(instance(store+"@1.0.0", get)), nil},
		"any version":                 {importing(instance(store+"@7.1.0-x", get), instance(store, get)), nil},
		"types of anything":           {importing(instance("greentic:types-core/core@0.1.0", component.Item{Name: "tenant-ctx", Kind: component.ItemType})), nil},
		"an empty instance":           {importing(instance("a:b/c")), nil},
		"a type of the world":         {importing(component.Item{Name: "t", Kind: component.ItemType}), nil},
		"wasi":                        {importing(instance("wasi:random/random@0.2.6", fn("get-random-u64", u64))), nil},
		"unknown interface":           {importing(instance("wasix:mcp/router@25.6.18", fn("list-tools", str))), []string{"wasix:mcp/router@25.6.18#list-tools"}},
		"none of the shapes":          {importing(instance("greentic:http/http-client@1.0.0", fn("send", str))), []string{"greentic:http/http-client@1.0.0#send"}},
		"a shape under a wrong label": {importing(instance("greentic:http/http-client@1.0.0", fn("send", response, request, options11, ctx))), nil},
		"another spelling":            {importing(instance("greentic:http-client/http-client@1.1.0", fn("send", response, request, ctx)), instance("greentic:http-client/client@1.1.0", fn("send", response, request, ctx)), instance("greentic:state-store/state-store@1.0.0", fn("read", result(bytesType, hostError), str, ctx)), instance("greentic:telemetry-logger/logger-api@1.0.0", fn("log", ack, span, pairs, ctx)), instance("greentic:messaging-session/session-api@1.0.0", fn("send", ack, message, ctx18))), nil},
		"a context of before":         {importing(instance("greentic:state/state-store@1.0.0", fn("read", result(bytesType, hostError), str, option(ctx18)))), nil},
		"a context of tomorrow":       {importing(instance("greentic:state/state-store@1.0.0", fn("delete", ack, str, option(record("whatever"))))), nil},
		"a context of no record":      {importing(instance("greentic:state/state-store@1.0.0", fn("delete", ack, str, option(str)))), []string{"greentic:state/state-store@1.0.0#delete"}},
		"a context that is required":  {importing(instance("greentic:state/state-store@1.0.0", fn("delete", ack, str, ctx19))), []string{"greentic:state/state-store@1.0.0#delete"}},
		"a context within a context":  {importing(instance("greentic:state/state-store@1.0.0", fn("delete", ack, str, option(ctx)))), []string{"greentic:state/state-store@1.0.0#delete"}},
		"a context with a stream":     {importing(instance("greentic:state/state-store@1.0.0", fn("delete", ack, str, option(fields("s", &component.Type{}))))), []string{"greentic:state/state-store@1.0.0#delete"}},
		"a context that is missing":   {importing(instance("greentic:state/state-store@1.0.0", fn("delete", ack, str))), []string{"greentic:state/state-store@1.0.0#delete"}},
		"only the last is any record": {importing(instance("greentic:telemetry/logger-api@1.0.0", fn("log", ack, record("flow"), pairs, ctx))), []string{"greentic:telemetry/logger-api@1.0.0#log"}},
		"other options":               {importing(instance("greentic:http/http-client@1.2.0", fn("send", response, request, option(record("retries")), ctx))), []string{"greentic:http/http-client@1.2.0#send"}},
		"session-update":              {importing(instance("greentic:interfaces-host/imports@0.1.0", fn("session-update", result(str, hostError), record("node-pointer"), ctx))), []string{"greentic:interfaces-host/imports@0.1.0#session-update"}},
		"unknown function":            {importing(instance(store+"@1.2.0", get, fn("list", list(str)))), []string{store + "@1.2.0#list"}},
		"another type":                {importing(instance(store+"@1.0.0", fn("get", option(bytesType), str))), []string{store + "@1.0.0#get"}},
		"another order of labels":     {importing(instance(store+"@1.0.0", fn("get", result(option(bytesType), &component.Type{Kind: component.Enum, Labels: []string{"denied", "not-found", "invalid-key", "internal"}}), str))), []string{store + "@1.0.0#get"}},
		"a resource":                  {importing(instance(store+"@1.0.0", component.Item{Name: "handle", Kind: component.ItemResource})), []string{store + "@1.0.0#handle"}},
		"a function of the world":     {importing(fn("get", str)), []string{"get"}},
		"a resource of the world":     {importing(component.Item{Name: "r", Kind: component.ItemResource}), []string{"r"}},
		"a module":                    {importing(component.Item{Name: "m", Kind: component.ItemModule}), []string{"m"}},
		"a function without type":     {importing(instance(store, component.Item{Name: "get", Kind: component.ItemFunc})), []string{store + "#get"}},
		"wasi:http":                   {importing(instance("wasi:http/types@0.2.3", component.Item{Name: "fields", Kind: component.ItemResource})), []string{"wasi:http/types@0.2.3#fields"}},
		"wasi of tomorrow":            {importing(instance("wasi:random/random@0.3.0", fn("get-random-u64", u64))), []string{"wasi:random/random@0.3.0#get-random-u64"}},
		"wasi, another type":          {importing(instance("wasi:random/random@0.2.0", fn("get-random-u64", str))), []string{"wasi:random/random@0.2.0#get-random-u64"}},
		"the name as a prefix":        {importing(instance(store+"x@1.0.0", get)), []string{store + "x@1.0.0#get"}},
		"two interfaces, three items": {importing(instance("a:b/c", fn("x", nil), fn("y", nil)), instance("d:e/f", fn("z", nil))), []string{"a:b/c#x", "a:b/c#y", "d:e/f#z"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := imports.Check(c.types)
			bound, bindErr := imports.Bind(c.types, &caller{}, imports.Options{Wasi: wasi.New(wasi.Config{})})
			if fmt.Sprint(err) != fmt.Sprint(bindErr) || (bound == nil) != (err != nil) {
				t.Errorf("Check says %v, Bind %v", err, bindErr)
			}
			if c.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			m, ok := errors.AsType[*imports.Missing](err)
			if !ok {
				t.Fatalf("got %v", err)
			}
			var got []string
			for _, g := range m.Gaps {
				got = append(got, g.Import)
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) || m.Total != len(c.want) {
				t.Errorf("got %v (%d), want %v", got, m.Total, c.want)
			}
		})
	}
}

func TestMissingText(t *testing.T) {
	err := imports.Check(importing(instance("greentic:secrets-store/secrets-store@1.0.0", fn("get", str, str)), fn("x\n\x1b[1m", nil)))
	want := `nobody offers greentic:secrets-store/secrets-store@1.0.0#get as func(string) -> string (offered: ` +
		`func(string) -> result<option<list<u8>>, enum {not-found, denied, invalid-key, internal}>), x\n\x1b[1m`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	err = imports.Check(importing(instance("greentic:http/http-client@1.0.0", fn("send", str))))
	if n := strings.Count(err.Error(), " or func("); n != 2 || !strings.Contains(err.Error(), "option<record {}>") {
		t.Errorf("%d more shapes of three in: %v", n, err)
	}
	var many []component.Item
	for range 10_000 {
		many = append(many, instance(strings.Repeat("a", 1000), fn(strings.Repeat("f", 1000), nil)))
	}
	if err := imports.Check(importing(many...)); len(err.Error()) > 32<<10 || !strings.HasSuffix(err.Error(), "and 9968 more") {
		t.Errorf("%d bytes, ending %q", len(err.Error()), err.Error()[len(err.Error())-20:])
	}
}

func TestBindNeedsWasi(t *testing.T) {
	if _, err := imports.Bind(importing(instance("wasi:io/poll@0.2.0")), &caller{}, imports.Options{}); err == nil {
		t.Error("bound WASI to nothing")
	}
}

// Each function, called through its binding: what crosses, what comes back, and
// what a refusal looks like to the guest.
func TestCalls(t *testing.T) {
	ok, acked, none := component.Ok(nil), component.Ok("ok"), component.None
	denied := component.Err([]component.Value{"denied", "not yours"})
	text := `{"error":{"code":"denied","message":"not yours"}}`
	type vs = []component.Value
	for _, c := range []struct {
		fn      string
		args    vs
		asked   string
		reply   string
		want    component.Value
		refused component.Value // nil: the step ends
	}{
		{"greentic:state/state-store@1.0.0#read", vs{"a/b", none}, `state.read {"key":"a/b"}`, `{"found":true,"bytes":"AP8="}`, component.Ok([]byte{0, 255}), denied},
		{"greentic:state/state-store@1.0.0#read", vs{"k", none}, `state.read {"key":"k"}`, `{"found":true}`, component.Ok([]byte{}), denied},
		{"greentic:state/state-store@1.0.0#write", vs{"k", []byte{0, 255}, component.Some(vs{"the context is not looked at"})}, `state.write {"key":"k","bytes":"AP8="}`, `{}`, acked, denied},
		{"greentic:state/state-store@1.0.0#delete", vs{"k", none}, `state.delete {"key":"k"}`, `{}`, acked, denied},
		{"greentic:messaging/session-api@1.0.0#send", vs{vs{component.Some("r"), "{}", component.Some(vs{[]byte("file")})}, vs{}}, `messaging.send {"key":"r","value":"{}"}`, `{}`, acked, denied},
		{"greentic:messaging/session-api@1.0.0#send", vs{vs{none, "1", none}, vs{}}, `messaging.send {"value":"1"}`, `{}`, acked, denied},
		{"greentic:secrets/secret-store@1.0.0#read", vs{"k"}, `secrets.get {"key":"k"}`, `{"found":true,"bytes":"AP8="}`, component.Ok([]byte{0, 255}), denied},
		{"greentic:secrets/secret-store@1.0.0#read", vs{"k"}, `secrets.get {"key":"k"}`, `{}`, component.Err(vs{"not_found", "there is nothing under that key"}), denied},
		{"greentic:secrets/secret-store@1.0.0#write", vs{"k", []byte("x")}, `secrets.put {"key":"k","bytes":"eA=="}`, `{}`, acked, denied},
		{"greentic:secrets/secret-store@1.0.0#delete", vs{"k"}, `secrets.delete {"key":"k"}`, `{}`, acked, denied},
		{"greentic:interfaces-host/imports@0.1.0#state-get", vs{"k", none}, `state.read {"key":"k"}`, `{"found":true,"bytes":"w6k="}`, component.Ok("é"), denied},
		{"greentic:interfaces-host/imports@0.1.0#state-get", vs{"k", none}, `state.read {"key":"k"}`, `{"found":true,"bytes":"AP8="}`, component.Err(vs{"invalid", "the value is not text"}), denied},
		{"greentic:interfaces-host/imports@0.1.0#state-set", vs{"k", "x", none}, `state.write {"key":"k","bytes":"eA=="}`, `{}`, acked, denied},
		{"greentic:host/kv-v1@1.0.0#get", vs{"n/s", "k"}, `state.read {"key":"n/s/k"}`, `{"found":true,"bytes":"w6k="}`, component.Some("é"), nil},
		{"greentic:host/kv-v1@1.0.0#get", vs{"n", "k"}, `state.read {"key":"n/k"}`, `{"found":true,"bytes":"AP8="}`, none, nil},
		{"greentic:host/kv-v1@1.0.0#put", vs{"n", "k", "x"}, `state.write {"key":"n/k","bytes":"eA=="}`, `{}`, nil, nil},
		{"greentic:provision-host/config@1.0.0#get", vs{"k"}, `config.get {"key":"k"}`, `{"found":true,"value":"1"}`, component.Ok(component.Some("1")), denied},
		{"greentic:provision-host/config@1.0.0#get", vs{"k"}, `config.get {"key":"k"}`, `{}`, component.Ok(none), denied},
		{"greentic:provision-host/config@1.0.0#set", vs{"k", "\"<&>\""}, `config.set {"key":"k","value":"\"\u003c\u0026\u003e\""}`, `{}`, ok, denied},
		{"greentic:provision-host/config@1.0.0#set", vs{"k", ""}, `config.set {"key":"k","value":""}`, `{}`, ok, denied},
		{"greentic:provision-host/config@1.0.0#delete", vs{"k"}, `config.delete {"key":"k"}`, `{}`, ok, denied},
		{"greentic:provision-host/config@1.0.0#list", vs{""}, `config.list {}`, `{"keys":["a","b"]}`, component.Ok(vs{"a", "b"}), denied},
		{"greentic:provision-host/config@1.0.0#list", vs{"x"}, `config.list {"key":"x"}`, `{}`, component.Ok(vs{}), denied},
		{"greentic:provision-host/secrets@1.0.0#put", vs{"k", []byte{0, 255}}, `secrets.put {"key":"k","bytes":"AP8="}`, `{}`, ok, denied},
		{"greentic:provision-host/secrets@1.0.0#delete", vs{"k"}, `secrets.delete {"key":"k"}`, `{}`, ok, denied},
		{"greentic:provision-host/subscriptions@1.0.0#list", vs{}, `subscriptions.list {}`, `{"subscriptions":[{"id":"a","metadata":"{}"}]}`, component.Ok(vs{vs{"a", "{}"}}), denied},
		{"greentic:provision-host/subscriptions@1.0.0#list", vs{}, `subscriptions.list {}`, `{}`, component.Ok(vs{}), denied},
		{"greentic:provision-host/subscriptions@1.0.0#upsert", vs{"i", "{}"}, `subscriptions.upsert {"key":"i","value":"{}"}`, `{}`, ok, denied},
		{"greentic:provision-host/subscriptions@1.0.0#delete", vs{"i"}, `subscriptions.delete {"key":"i"}`, `{}`, ok, denied},
		{"greentic:secrets-store/secrets-store@1.1.0#get", vs{"k"}, `secrets.get {"key":"k"}`, `{"found":true,"bytes":"AP8="}`, component.Ok(component.Some([]byte{0, 255})), component.Err("denied")},
		{"greentic:secrets-store/secrets-store@1.1.0#get", vs{"k"}, `secrets.get {"key":"k"}`, `{"found":true}`, component.Ok(component.Some([]byte{})), component.Err("denied")},
		{"greentic:secrets-store/secrets-store@1.1.0#get", vs{"k"}, `secrets.get {"key":"k"}`, `{}`, component.Err("not-found"), component.Err("denied")},
		{"greentic:secrets-store/secrets-store@1.1.0#put", vs{"k", []byte{}}, `secrets.put {"key":"k"}`, `{}`, nil, nil},
		{"greentic:oauth-broker/broker-v1@1.0.0#get-consent-url", vs{"p", "s", vs{"a", "b"}, "/r", "{}"},
			`oauth.consent_url {"oauth":{"provider":"p","subject":"s","scopes":["a","b"],"redirect_path":"/r","extra":"{}"}}`, `{"value":"https://x"}`, "https://x", text},
		{"greentic:oauth-broker/broker-v1@1.0.0#exchange-code", vs{"p", "s", "c", "/r"},
			`oauth.exchange_code {"oauth":{"provider":"p","subject":"s","code":"c","redirect_path":"/r"}}`, `{"value":"{}"}`, "{}", text},
		{"greentic:oauth-broker/broker-v1@1.0.0#get-token", vs{"p", "s", vs{}}, `oauth.token {"oauth":{"provider":"p","subject":"s"}}`, `{"value":"{}"}`, "{}", text},
	} {
		t.Run(c.fn, func(t *testing.T) {
			host := &caller{reply: c.reply}
			bound, err := imports.Bind(all, host, imports.Options{})
			if err != nil {
				t.Fatal(err)
			}
			iface, name, _ := strings.Cut(c.fn, "#")
			call := bound[iface].Funcs[name]
			if got, err := call(t.Context(), c.args); err != nil || fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", c.want) {
				t.Errorf("got %#v, %v; want %#v", got, err, c.want)
			}
			if host.asked != c.asked {
				t.Errorf("asked %s\n want %s", host.asked, c.asked)
			}

			host.err = fmt.Errorf("wrapped: %w", &capability.Error{Code: capability.Denied, Message: "not yours"})
			got, err := call(t.Context(), c.args)
			if c.refused == nil {
				if e, ok := errors.AsType[*capability.Error](err); !ok || e.Code != capability.Denied {
					t.Errorf("a refusal gives %#v, %v", got, err)
				}
			} else if err != nil || fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", c.refused) {
				t.Errorf("a refusal gives %#v, %v; want %#v", got, err, c.refused)
			}

			lost := errors.New("connection lost")
			host.err = lost
			if got, err := call(t.Context(), c.args); !errors.Is(err, lost) || got != nil {
				t.Errorf("a fault gives %#v, %v", got, err)
			}
			host.err, host.reply = nil, "garbage"
			if got, err := call(t.Context(), c.args); err == nil || got != nil {
				t.Errorf("a garbled reply gives %#v, %v", got, err)
			}
		})
	}
}

// Nothing of an http request leaves the worker, and whatever a host might answer,
// there is no response.
func TestHTTP(t *testing.T) {
	type vs = []component.Value
	ask := vs{"POST", "https://example.invalid/?token=s3cr3t", vs{vs{"authorization", "s3cr3t"}}, component.Some([]byte("s3cr3t"))}
	for fn, c := range map[string]struct {
		args    vs
		refused component.Value
	}{
		"greentic:http/http-client@1.0.0#send": {vs{ask, component.None}, component.Err(vs{"denied", "not yours"})},
		"greentic:http/http-client@1.0.1#send": {vs{ask, component.Some(vs{component.None, "inherit", "strict"}), component.None}, component.Err(vs{"denied", "not yours"})},
		"greentic:http/client@1.1.0#send":      {vs{ask, component.None, component.None}, component.Err(vs{"denied", "not yours"})},
		"greentic:host/http-v1@1.0.0#request":  {vs{"GET", "https://s3cr3t.invalid", vs{"a: s3cr3t"}, component.None}, component.Err("denied: not yours")},
	} {
		host := &caller{err: &capability.Error{Code: capability.Denied, Message: "not yours"}}
		bound, err := imports.Bind(all, host, imports.Options{})
		if err != nil {
			t.Fatal(err)
		}
		iface, name, _ := strings.Cut(fn, "#")
		call := bound[iface].Funcs[name]
		if got, err := call(t.Context(), c.args); err != nil || fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", c.refused) || host.asked != "http.send {}" {
			t.Errorf("%s gives %#v, %v and asks %s", fn, got, err, host.asked)
		}
		host.err, host.reply = nil, `{}`
		if got, err := call(t.Context(), c.args); err == nil || got != nil {
			t.Errorf("%s has the response %#v, %v", fn, got, err)
		}
	}
}

// What is not there is none to a store that knows no other word for it.
func TestAbsence(t *testing.T) {
	bound, err := imports.Bind(all, &caller{err: &capability.Error{Code: capability.NotFound}}, imports.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := bound["greentic:host/kv-v1@1.0.0"].Funcs["get"](t.Context(), []component.Value{"n", "k"})
	if err != nil || got != component.None {
		t.Errorf("got %#v, %v", got, err)
	}
}

func TestSecretsErrors(t *testing.T) {
	for code, want := range map[capability.Code]string{
		capability.Denied: "denied", capability.NotFound: "not-found", capability.Invalid: "invalid-key",
		capability.TooLarge: "internal", capability.Internal: "internal", "new": "internal",
	} {
		bound, err := imports.Bind(all, &caller{err: &capability.Error{Code: code}}, imports.Options{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := bound["greentic:secrets-store/secrets-store@1.1.0"].Funcs["get"](t.Context(), []component.Value{"k"})
		if err != nil || got != component.Err(want) {
			t.Errorf("%s: %#v, %v", code, got, err)
		}
	}
}

// The three ways to the log, none of which reaches the caller.
func TestLog(t *testing.T) {
	type vs = []component.Value
	where := vs{"acme", component.None, "setup", component.Some("apply"), "telegram", component.None, component.None}
	nowhere := vs{"acme", component.None, "setup", component.None, "telegram", component.None, component.None}
	for _, c := range []struct {
		fn   string
		args vs
		want component.Value
		line string
	}{
		{"greentic:provision-host/log@1.0.0#log", vs{"warn", "hello"}, nil, "warn:hello"},
		{"greentic:telemetry/logger-api@1.0.0#log", vs{where, vs{vs{"event", "started"}, vs{"n", "1"}}, component.None}, component.Ok("ok"), "info:setup/apply event=started n=1"},
		{"greentic:telemetry/logger-api@1.0.0#log", vs{nowhere, vs{}, component.None}, component.Ok("ok"), "info:setup"},
		{"greentic:interfaces-host/imports@0.1.0#telemetry-emit", vs{where, vs{vs{"event", "started"}}}, nil, "info:setup/apply event=started"},
	} {
		for _, listening := range []bool{true, false} {
			host, opts, lines := &caller{}, imports.Options{}, ""
			if listening {
				opts.Log = func(level, text string) { lines += level + ":" + text }
			} else {
				c.line = ""
			}
			bound, err := imports.Bind(all, host, opts)
			if err != nil {
				t.Fatal(err)
			}
			iface, name, _ := strings.Cut(c.fn, "#")
			if got, err := bound[iface].Funcs[name](t.Context(), c.args); err != nil || got != c.want || lines != c.line || host.asked != "" {
				t.Errorf("%s gives %#v, %v, logged %q, asked %q", c.fn, got, err, lines, host.asked)
			}
		}
	}
}

// Only what the program imports is bound: it cannot reach the rest by any name.
func TestBindNoMore(t *testing.T) {
	bound, err := imports.Bind(importing(
		instance("greentic:provision-host/config@1.0.0", fn("get", result(option(str), hostError), str)),
		instance("greentic:provision-host/types@1.0.0", component.Item{Name: "host-error", Kind: component.ItemType}),
		instance("wasi:random/random@0.2.6", fn("get-random-u64", u64)),
	), &caller{}, imports.Options{Wasi: wasi.New(wasi.Config{})})
	if err != nil || len(bound) != 2 || len(bound["greentic:provision-host/config@1.0.0"].Funcs) != 1 || len(bound["wasi:random/random@0.2.6"].Funcs) != 1 {
		t.Errorf("bound %v, %v", bound, err)
	}
}

// Every function that the WIT files declare is in the table that these tests
// use, so a function added there cannot go untested, and the other way round.
func TestWITIsCovered(t *testing.T) {
	declared := regexp.MustCompile(`(?m)^ {4}%?([a-z-]+): func\(`)
	packageOf := regexp.MustCompile(`(?m)^package ([a-z:-]+)@`)
	interfaceOf := regexp.MustCompile(`(?m)^interface ([a-z0-9-]+) \{`)
	files, err := filepath.Glob("../../wit/deps/*/*.wit")
	if err != nil || len(files) < 12 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	published := map[string]bool{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		starts := interfaceOf.FindAllSubmatchIndex(b, -1)
		for i, at := range starts {
			end := len(b)
			if i+1 < len(starts) {
				end = starts[i+1][0]
			}
			iface := string(packageOf.FindSubmatch(b)[1]) + "/" + string(b[at[2]:at[3]])
			for _, m := range declared.FindAllSubmatch(b[at[0]:end], -1) {
				published[iface+"#"+string(m[1])] = true
			}
		}
	}
	tested := map[string]bool{}
	for _, it := range all.Imports {
		iface, _, _ := strings.Cut(it.Name, "@")
		if iface == "greentic:http/client" { // the spelling of published components
			iface = "greentic:http/http-client"
		}
		for _, f := range it.Items {
			if f.Kind == component.ItemFunc {
				tested[iface+"#"+f.Name] = true
			}
		}
	}
	if d := cmp.Diff(published, tested); d != "" {
		t.Errorf("the functions of the WIT files, and those of the tests (-WIT +tests):\n%s", d)
	}
}

// A component's call, from its typed arguments to the plan.
func Example() {
	host := capability.NewHost(capability.Config{})
	host.BeginStep(plan.Apply)
	bound, err := imports.Bind(importing(
		instance("greentic:provision-host/config@1.0.0", fn("set", result(nil, hostError), str, str)),
	), direct{host}, imports.Options{Wasi: wasi.New(wasi.Config{Budget: time.Second})})
	if err != nil {
		fmt.Println(err)
		return
	}
	set := bound["greentic:provision-host/config@1.0.0"].Funcs["set"]
	for _, v := range []string{`"eu"`, `eu`} {
		got, err := set(context.Background(), []component.Value{"region", v})
		fmt.Println(got, err)
	}
	patch, _, _ := host.EndStep()
	fmt.Println(string(patch.ConfigPatch["region"]))
	// Output:
	// {false <nil>} <nil>
	// {true [invalid the value as JSON has an invalid character, at byte 0]} <nil>
	// "eu"
}

// direct is a caller without a process in between.
type direct struct{ host *capability.Host }

func (d direct) Call(ctx context.Context, op capability.Op, args []byte) ([]byte, error) {
	return d.host.Call(ctx, string(op), args)
}
