package imports_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/greentic-ai/greentic-provision/capability"
	"github.com/greentic-ai/greentic-provision/capability/imports"
	"github.com/greentic-ai/greentic-provision/capability/wasi"
	"github.com/greentic-ai/greentic-provision/component"
	"github.com/greentic-ai/greentic-provision/plan"
)

// Types, short.

var (
	str       = &component.Type{Kind: component.String}
	u64       = &component.Type{Kind: component.U64}
	bytesType = list(&component.Type{Kind: component.U8})
	hostError = record("code", "message")
	keyErrors = &component.Type{Kind: component.Enum, Labels: []string{"not-found", "denied", "invalid-key", "internal"}}
	levels    = &component.Type{Kind: component.Enum, Labels: []string{"debug", "info", "warn", "error"}}
)

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
		"unknown interface":           {importing(instance("greentic:http/http-client@1.0.0", fn("send", str))), []string{"greentic:http/http-client@1.0.0#send"}},
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
	ok, none := component.Ok(nil), component.None
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

func TestLog(t *testing.T) {
	host := &caller{}
	var lines []string
	bound, err := imports.Bind(all, host, imports.Options{Log: func(level, text string) { lines = append(lines, level+":"+text) }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bound["greentic:provision-host/log@1.0.0"].Funcs["log"](t.Context(), []component.Value{"warn", "hello"}); err != nil {
		t.Error(err)
	}
	if fmt.Sprint(lines) != "[warn:hello]" || host.asked != "" {
		t.Errorf("logged %q, asked %q", lines, host.asked)
	}
	bound, _ = imports.Bind(all, host, imports.Options{})
	if _, err := bound["greentic:provision-host/log@1.0.0"].Funcs["log"](t.Context(), []component.Value{"warn", "hello"}); err != nil {
		t.Errorf("without a log: %v", err)
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
// use, so a function added there cannot go untested.
func TestWITIsCovered(t *testing.T) {
	declared := regexp.MustCompile(`(?m)^ {4}%?([a-z-]+): func\(`)
	interfaceOf := regexp.MustCompile(`(?m)^interface ([a-z0-9-]+) \{`)
	for file, pkg := range map[string]string{
		"deps/greentic-provision-host/provision-host.wit": "greentic:provision-host",
		"deps/greentic-secrets-store/secrets-store.wit":   "greentic:secrets-store",
		"deps/greentic-oauth-broker/oauth-broker.wit":     "greentic:oauth-broker",
	} {
		b, err := os.ReadFile("../../wit/" + file)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		starts := interfaceOf.FindAllSubmatchIndex(b, -1)
		for i, at := range starts {
			end := len(b)
			if i+1 < len(starts) {
				end = starts[i+1][0]
			}
			iface := pkg + "/" + string(b[at[2]:at[3]])
			for _, m := range declared.FindAllSubmatch(b[at[0]:end], -1) {
				found++
				known := false
				for _, it := range all.Imports {
					if _, ok := component.Find(it.Items, string(m[1])); ok && strings.HasPrefix(it.Name, iface+"@") {
						known = true
					}
				}
				if !known {
					t.Errorf("%s#%s is declared, but not in this test's table", iface, m[1])
				}
			}
		}
		if found < 2 {
			t.Errorf("%s: %d functions found", file, found)
		}
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
