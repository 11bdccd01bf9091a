package imports

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/greentic-ai/greentic-provision/capability"
	"github.com/greentic-ai/greentic-provision/component"
)

// offer is a function that a component may import: the type it must have, the
// operation, how its arguments become the operation's, how the reply becomes
// the result, and how a refusal does. The engine checks arguments against the
// imported type, which was compared with wit, so assertions on them hold.
type offer struct {
	wit    string
	op     capability.Op
	args   func(args []component.Value) capability.Args
	result func(r capability.Reply) component.Value
	refuse func(*capability.Error) (component.Value, error)
	log    bool // goes to Options.Log instead of the caller
}

// binding is an offer at work for one instance.
type binding struct {
	caller Caller
	opts   Options
}

func (o offer) bind(b *binding) component.HostFunc {
	if o.log {
		return func(_ context.Context, args []component.Value) (component.Value, error) {
			if b.opts.Log != nil {
				b.opts.Log(args[0].(string), args[1].(string))
			}
			return nil, nil
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
		var r capability.Reply
		if err := jsonv2.Unmarshal(reply, &r); err != nil {
			return nil, fmt.Errorf("%s: cannot read the reply: %w", o.op, err)
		}
		return o.result(r), nil
	}
}

// offers is everything that may be imported besides WASI, by interface without
// version and function.
var offers = map[string]map[string]offer{
	"greentic:provision-host/config": {
		"get":    {"func(string) -> result<option<string>, " + hostError + ">", capability.ConfigGet, key, optionalText, asHostError, false},
		"set":    {"func(string, string) -> result<_, " + hostError + ">", capability.ConfigSet, keyValue, nothing, asHostError, false},
		"delete": {"func(string) -> result<_, " + hostError + ">", capability.ConfigDelete, key, nothing, asHostError, false},
		"list":   {"func(string) -> result<list<string>, " + hostError + ">", capability.ConfigList, key, keys, asHostError, false},
	},
	"greentic:provision-host/secrets": {
		"put":    {"func(string, list<u8>) -> result<_, " + hostError + ">", capability.SecretsPut, keyBytes, nothing, asHostError, false},
		"delete": {"func(string) -> result<_, " + hostError + ">", capability.SecretsDelete, key, nothing, asHostError, false},
	},
	"greentic:provision-host/subscriptions": {
		"list":   {"func() -> result<list<record {id: string, metadata: string}>, " + hostError + ">", capability.SubscriptionsList, none, subscriptions, asHostError, false},
		"upsert": {"func(string, string) -> result<_, " + hostError + ">", capability.SubscriptionsUpsert, keyValue, nothing, asHostError, false},
		"delete": {"func(string) -> result<_, " + hostError + ">", capability.SubscriptionsDelete, key, nothing, asHostError, false},
	},
	"greentic:provision-host/log": {
		"log": {wit: "func(enum {debug, info, warn, error}, string)", log: true},
	},
	"greentic:secrets-store/secrets-store": {
		"get": {"func(string) -> result<option<list<u8>>, enum {not-found, denied, invalid-key, internal}>", capability.SecretsGet, key, secret, asSecretsError, false},
		"put": {"func(string, list<u8>)", capability.SecretsPut, keyBytes, func(capability.Reply) component.Value { return nil }, asTrap, false},
	},
	"greentic:oauth-broker/broker-v1": {
		"get-consent-url": {"func(string, string, list<string>, string, string) -> string", capability.OAuthConsentURL, consent, text, asText, false},
		"exchange-code":   {"func(string, string, string, string) -> string", capability.OAuthExchange, exchange, text, asText, false},
		"get-token":       {"func(string, string, list<string>) -> string", capability.OAuthToken, token, text, asText, false},
	},
}

const hostError = "record {code: string, message: string}"

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

// Results.

func nothing(capability.Reply) component.Value { return component.Ok(nil) }

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
	if r.Bytes == nil {
		r.Bytes = []byte{}
	}
	return component.Ok(component.Some(r.Bytes))
}

// Refusals.

func asHostError(e *capability.Error) (component.Value, error) {
	return component.Err([]component.Value{string(e.Code), e.Message}), nil
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
