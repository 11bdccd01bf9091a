package imports

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/greentic-ai/greentic-provision/capability"
	"github.com/greentic-ai/greentic-provision/component"
)

// offer is a function that a component may import: its name, the type it must
// have (in the notation of typed), the operation, how its arguments become the
// operation's, how the reply becomes the result, and how a refusal does. The
// engine checks arguments against the imported type, which was compared with wit,
// so assertions on them hold.
type offer struct {
	name   string
	wit    string
	op     capability.Op
	args   func(args []component.Value) capability.Args
	result func(r capability.Reply) component.Value // nil: the host only ever refuses
	refuse func(*capability.Error) (component.Value, error)
	// log, where there is one, makes a line for Options.Log; the call does not
	// reach the caller and gets the result of an empty reply.
	log func(args []component.Value) (level, text string)
}

// binding is an offer at work for one instance.
type binding struct {
	caller Caller
	opts   Options
}

func (o *offer) bind(b *binding) component.HostFunc {
	if o.log != nil {
		return func(_ context.Context, args []component.Value) (component.Value, error) {
			if b.opts.Log != nil {
				b.opts.Log(o.log(args))
			}
			return o.result(capability.Reply{}), nil
		}
	}
	return func(ctx context.Context, args []component.Value) (component.Value, error) {
		enc, err := json.Marshal(o.args(args))
		if err != nil {
			return nil, fmt.Errorf("%s: cannot encode the arguments: %w", o.op, err)
		}
		reply, err := b.caller.Call(ctx, o.op, enc)
		if refusal, ok := errors.AsType[*capability.Error](err); ok {
			return o.refuse(refusal)
		}
		if err != nil {
			return nil, err
		}
		if o.result == nil {
			return nil, fmt.Errorf("%s: a reply to what can only be refused", o.op)
		}
		var r capability.Reply
		if err := jsonv2.Unmarshal(reply, &r); err != nil {
			return nil, fmt.Errorf("%s: cannot read the reply: %w", o.op, err)
		}
		return o.result(r), nil
	}
}

// Types that several offers share.
const (
	hostError = "record {code: string, message: string}"
	written   = "result<enum {ok}, " + hostError + ">"
	tenant    = "option<" + anyRecord + ">" // published with 17, 18 and 19 fields under one version
	span      = "record {tenant: string, session-id: option<string>, flow-id: string, node-id: option<string>, provider: string, start-ms: option<s64>, end-ms: option<s64>}"
	pairs     = "list<tuple<string, string>>"
	request   = "record {method: string, url: string, headers: " + pairs + ", body: option<list<u8>>}"
	response  = "result<record {status: u16, headers: " + pairs + ", body: option<list<u8>>}, " + hostError + ">"
	message   = "record {route: option<string>, payload-json: string, attachments: option<list<list<u8>>>}"
)

// offers is everything that may be imported besides WASI, by interface without
// version. A name that is there twice is a function with several shapes.
var offers = map[string][]offer{
	"greentic:provision-host/config": {
		{"get", "func(string) -> result<option<string>, " + hostError + ">", capability.ConfigGet, key, optionalText, asHostError, nil},
		{"set", "func(string, string) -> result<_, " + hostError + ">", capability.ConfigSet, keyValue, nothing, asHostError, nil},
		{"delete", "func(string) -> result<_, " + hostError + ">", capability.ConfigDelete, key, nothing, asHostError, nil},
		{"list", "func(string) -> result<list<string>, " + hostError + ">", capability.ConfigList, key, keys, asHostError, nil},
	},
	"greentic:provision-host/secrets": {
		{"put", "func(string, list<u8>) -> result<_, " + hostError + ">", capability.SecretsPut, keyBytes, nothing, asHostError, nil},
		{"delete", "func(string) -> result<_, " + hostError + ">", capability.SecretsDelete, key, nothing, asHostError, nil},
	},
	"greentic:provision-host/subscriptions": {
		{"list", "func() -> result<list<record {id: string, metadata: string}>, " + hostError + ">", capability.SubscriptionsList, none, subscriptions, asHostError, nil},
		{"upsert", "func(string, string) -> result<_, " + hostError + ">", capability.SubscriptionsUpsert, keyValue, nothing, asHostError, nil},
		{"delete", "func(string) -> result<_, " + hostError + ">", capability.SubscriptionsDelete, key, nothing, asHostError, nil},
	},
	"greentic:provision-host/log": {
		{name: "log", wit: "func(enum {debug, info, warn, error}, string)", result: unit, log: line},
	},

	"greentic:secrets-store/secrets-store": {
		{"get", "func(string) -> result<option<list<u8>>, enum {not-found, denied, invalid-key, internal}>", capability.SecretsGet, key, secret, asSecretsError, nil},
		{"put", "func(string, list<u8>)", capability.SecretsPut, keyBytes, unit, asTrap, nil},
	},
	"greentic:secrets/secret-store": { // the one before secrets-store
		{"read", "func(string) -> result<list<u8>, " + hostError + ">", capability.SecretsGet, key, foundBytes, asHostError, nil},
		{"write", "func(string, list<u8>) -> " + written, capability.SecretsPut, keyBytes, ack, asHostError, nil},
		{"delete", "func(string) -> " + written, capability.SecretsDelete, key, ack, asHostError, nil},
	},
	"greentic:oauth-broker/broker-v1": {
		{"get-consent-url", "func(string, string, list<string>, string, string) -> string", capability.OAuthConsentURL, consent, text, asText, nil},
		{"exchange-code", "func(string, string, string, string) -> string", capability.OAuthExchange, exchange, text, asText, nil},
		{"get-token", "func(string, string, list<string>) -> string", capability.OAuthToken, token, text, asText, nil},
	},
	"greentic:state/state-store": {
		{"read", "func(string, " + tenant + ") -> result<list<u8>, " + hostError + ">", capability.StateRead, key, foundBytes, asHostError, nil},
		{"write", "func(string, list<u8>, " + tenant + ") -> " + written, capability.StateWrite, keyBytes, ack, asHostError, nil},
		{"delete", "func(string, " + tenant + ") -> " + written, capability.StateDelete, key, ack, asHostError, nil},
	},
	"greentic:http/http-client": {
		{"send", "func(" + request + ", " + tenant + ") -> " + response, capability.HTTPSend, none, nil, asHostError, nil},
		{"send", "func(" + request + ", option<record {timeout-ms: option<u64>, proxy: enum {inherit, disabled}, tls: enum {strict, insecure}}>, " + tenant + ") -> " + response, capability.HTTPSend, none, nil, asHostError, nil},
		{"send", "func(" + request + ", option<record {timeout-ms: option<u32>, allow-insecure: option<bool>, follow-redirects: option<bool>}>, " + tenant + ") -> " + response, capability.HTTPSend, none, nil, asHostError, nil},
	},
	"greentic:telemetry/logger-api": {
		{name: "log", wit: "func(" + span + ", " + pairs + ", " + tenant + ") -> " + written, result: ack, log: fields},
	},
	"greentic:messaging/session-api": {
		{"send", "func(" + message + ", " + anyRecord + ") -> " + written, capability.MessagingSend, outbound, ack, asHostError, nil},
	},

	"greentic:interfaces-host/imports": { // session-update, its fourth, has nothing to act on here
		{name: "telemetry-emit", wit: "func(" + span + ", " + pairs + ")", result: unit, log: fields},
		{"state-get", "func(string, " + tenant + ") -> result<string, " + hostError + ">", capability.StateRead, key, foundText, asHostError, nil},
		{"state-set", "func(string, string, " + tenant + ") -> " + written, capability.StateWrite, keyText, ack, asHostError, nil},
	},
	"greentic:host/http-v1": {
		{"request", "func(string, string, list<string>, option<list<u8>>) -> result<list<u8>, string>", capability.HTTPSend, none, nil, asTextError, nil},
	},
	"greentic:host/kv-v1": {
		{"get", "func(string, string) -> option<string>", capability.StateRead, namespaced, maybeText, asAbsence, nil},
		{"put", "func(string, string, string)", capability.StateWrite, namespacedText, unit, asTrap, nil},
	},
}

// spellings are other names of offered interfaces. Most published components that
// import http 1.1 call the interface "client", with the type of http-client; and
// Greentic's repository keeps these packages in directories of other names, which
// a builder may take for theirs.
var spellings = map[string]string{
	"greentic:http/client":                   "greentic:http/http-client",
	"greentic:http-client/client":            "greentic:http/http-client",
	"greentic:http-client/http-client":       "greentic:http/http-client",
	"greentic:messaging-session/session-api": "greentic:messaging/session-api",
	"greentic:state-store/state-store":       "greentic:state/state-store",
	"greentic:telemetry-logger/logger-api":   "greentic:telemetry/logger-api",
}

// find gives what is offered for a function of an imported interface, nil if
// nothing fits; shapes are the types under which a function of that name is
// offered.
func find(iface string, f component.Item) (fits *offer, shapes []string) {
	base, _, _ := strings.Cut(iface, "@")
	if usual, ok := spellings[base]; ok {
		base = usual
	}
	if f.Kind != component.ItemFunc || f.Func == nil {
		return nil, nil
	}
	rows := offers[base]
	for i := range rows {
		if rows[i].name != f.Name {
			continue
		}
		if typed(f.Func, rows[i].wit) {
			return &rows[i], nil
		}
		shapes = append(shapes, rows[i].wit)
	}
	return nil, shapes
}

// anyRecord is what typed takes for any record: one without fields, which WIT
// does not have.
const anyRecord = "record {}"

// typed says whether f has the type that wit writes, in WIT notation without
// parameter names. Where the last parameter is written anyRecord, or an option of
// it, any record will do: Greentic passes the tenant's context there, which no
// function here looks at and whose fields change without notice.
func typed(f *component.Func, wit string) bool {
	if f.Is(wit) {
		return true
	}
	last := len(f.Params) - 1
	if last < 0 {
		return false
	}
	erased := component.Func{Params: slices.Clone(f.Params), Result: f.Result}
	erased.Params[last].Type = erase(f.Params[last].Type)
	return erased.Is(wit) && f.Supported() // wit says nothing of what was erased
}

func erase(t *component.Type) *component.Type {
	switch {
	case t != nil && t.Kind == component.Record:
		return &component.Type{Kind: component.Record}
	case t != nil && t.Kind == component.Option:
		return &component.Type{Kind: component.Option, Elem: erase(t.Elem)}
	}
	return t
}

// Arguments.

func none([]component.Value) capability.Args { return capability.Args{} }

func key(args []component.Value) capability.Args { return capability.Args{Key: args[0].(string)} }

func keyValue(args []component.Value) capability.Args {
	v := args[1].(string)
	return capability.Args{Key: args[0].(string), Value: &v}
}

func keyBytes(args []component.Value) capability.Args {
	return capability.Args{Key: args[0].(string), Bytes: args[1].([]byte)}
}

func keyText(args []component.Value) capability.Args {
	return capability.Args{Key: args[0].(string), Bytes: []byte(args[1].(string))}
}

// namespaced makes one key of a namespace and a key.
func namespaced(args []component.Value) capability.Args {
	return capability.Args{Key: args[0].(string) + "/" + args[1].(string)}
}

func namespacedText(args []component.Value) capability.Args {
	a := namespaced(args)
	a.Bytes = []byte(args[2].(string))
	return a
}

// outbound leaves attachments behind: an effect has no place for them.
func outbound(args []component.Value) capability.Args {
	m := args[0].([]component.Value)
	a := capability.Args{}
	if route := m[0].(component.Opt); route.Some {
		a.Key = route.Value.(string)
	}
	payload := m[1].(string)
	a.Value = &payload
	return a
}

func consent(args []component.Value) capability.Args {
	return capability.Args{OAuth: &capability.OAuthArgs{
		Provider: args[0].(string), Subject: args[1].(string), Scopes: texts(args[2]),
		RedirectPath: args[3].(string), Extra: args[4].(string),
	}}
}

func exchange(args []component.Value) capability.Args {
	return capability.Args{OAuth: &capability.OAuthArgs{
		Provider: args[0].(string), Subject: args[1].(string), Code: args[2].(string), RedirectPath: args[3].(string),
	}}
}

func token(args []component.Value) capability.Args {
	return capability.Args{OAuth: &capability.OAuthArgs{
		Provider: args[0].(string), Subject: args[1].(string), Scopes: texts(args[2]),
	}}
}

func texts(v component.Value) []string {
	list := v.([]component.Value)
	ts := make([]string, len(list))
	for i, s := range list {
		ts[i] = s.(string)
	}
	return ts
}

// Lines of the log.

func line(args []component.Value) (level, text string) {
	return args[0].(string), args[1].(string)
}

// fields is a span and what it says: "flow/node key=value key=value".
func fields(args []component.Value) (level, text string) {
	of := args[0].([]component.Value)
	var b strings.Builder
	b.WriteString(of[2].(string))
	if node := of[3].(component.Opt); node.Some {
		b.WriteString("/" + node.Value.(string))
	}
	for _, f := range args[1].([]component.Value) {
		pair := f.([]component.Value)
		b.WriteString(" " + pair[0].(string) + "=" + pair[1].(string))
	}
	return "info", b.String()
}

// Results.

func unit(capability.Reply) component.Value { return nil }

func nothing(capability.Reply) component.Value { return component.Ok(nil) }

func ack(capability.Reply) component.Value { return component.Ok("ok") }

func text(r capability.Reply) component.Value { return r.Value }

func optionalText(r capability.Reply) component.Value {
	if !r.Found {
		return component.Ok(component.None)
	}
	return component.Ok(component.Some(r.Value))
}

func keys(r capability.Reply) component.Value {
	list := make([]component.Value, len(r.Keys))
	for i, k := range r.Keys {
		list[i] = k
	}
	return component.Ok(list)
}

func subscriptions(r capability.Reply) component.Value {
	list := make([]component.Value, len(r.Subscriptions))
	for i, s := range r.Subscriptions {
		list[i] = []component.Value{s.ID, s.Metadata}
	}
	return component.Ok(list)
}

func secret(r capability.Reply) component.Value {
	if !r.Found {
		return component.Err("not-found")
	}
	return component.Ok(component.Some(some(r.Bytes)))
}

func foundBytes(r capability.Reply) component.Value {
	if !r.Found {
		return component.Err(failure(capability.NotFound, "there is nothing under that key"))
	}
	return component.Ok(some(r.Bytes))
}

func foundText(r capability.Reply) component.Value {
	if !utf8.Valid(r.Bytes) {
		return component.Err(failure(capability.Invalid, "the value is not text"))
	}
	return component.Ok(string(r.Bytes))
}

// maybeText hides what is not text: a store of strings holds no such value.
func maybeText(r capability.Reply) component.Value {
	if !utf8.Valid(r.Bytes) {
		return component.None
	}
	return component.Some(string(r.Bytes))
}

// some gives no bytes the form of a list.
func some(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// Refusals.

// failure is a host-error.
func failure(code capability.Code, message string) component.Value {
	return []component.Value{string(code), message}
}

func asHostError(e *capability.Error) (component.Value, error) {
	return component.Err(failure(e.Code, e.Message)), nil
}

func asSecretsError(e *capability.Error) (component.Value, error) {
	switch e.Code {
	case capability.Denied:
		return component.Err("denied"), nil
	case capability.NotFound:
		return component.Err("not-found"), nil
	case capability.Invalid:
		return component.Err("invalid-key"), nil
	}
	return component.Err("internal"), nil
}

// asAbsence is for a look-up that can say nothing but "none".
func asAbsence(e *capability.Error) (component.Value, error) {
	if e.Code == capability.NotFound {
		return component.None, nil
	}
	return nil, e
}

func asTextError(e *capability.Error) (component.Value, error) { return component.Err(e.Error()), nil }

func asTrap(e *capability.Error) (component.Value, error) { return nil, e }

func asText(e *capability.Error) (component.Value, error) {
	var body struct {
		Error struct {
			Code    capability.Code `json:"code"`
			Message string          `json:"message"`
		} `json:"error"`
	}
	body.Error.Code, body.Error.Message = e.Code, e.Message
	b, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return string(b), nil
}
