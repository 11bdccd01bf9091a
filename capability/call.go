// Package capability is the host side of what guests may import. Calls from a
// guest arrive as an operation and a JSON object of arguments; a Host answers
// them from what exists and what the run itself wrote, and records what they would do.
//
// The package has two halves that meet in this file. capability/imports lives
// in the worker: it matches a component's imports by structure and turns typed
// WIT calls into operations. Host lives in the supervisor: it checks policy,
// answers, and records effects. The worker is assumed compromised, so Host
// treats Op and Args as hostile.
package capability

import "fmt"

// Op names an operation.
type Op string

// The operations. Argument and reply shapes are documented on the Args types.
const (
	ConfigGet    Op = "config.get"    // Key → ValueReply (Value is JSON text)
	ConfigSet    Op = "config.set"    // Key, Value (JSON text) → {}
	ConfigDelete Op = "config.delete" // Key → {}
	ConfigList   Op = "config.list"   // Prefix in Key → KeysReply

	SecretsGet    Op = "secrets.get"    // Key → ValueReply (Bytes)
	SecretsPut    Op = "secrets.put"    // Key, Bytes → {}
	SecretsDelete Op = "secrets.delete" // Key → {}

	SubscriptionsList   Op = "subscriptions.list"   // → SubscriptionsReply
	SubscriptionsUpsert Op = "subscriptions.upsert" // Key = id, Value = metadata JSON object → {}
	SubscriptionsDelete Op = "subscriptions.delete" // Key = id → {}

	OAuthConsentURL Op = "oauth.consent_url"   // OAuth → ValueReply (Value is the URL)
	OAuthExchange   Op = "oauth.exchange_code" // OAuth → ValueReply (Value is JSON text)
	OAuthToken      Op = "oauth.token"         // OAuth → ValueReply (Value is JSON text)

	// Keys of the state store are free text, but config/<scope>/<key> and
	// secrets/<scope>/<key> are the configuration and the secrets. These need
	// their own grants as well.
	StateRead   Op = "state.read"   // Key → ValueReply (Bytes); not_found where there is none
	StateWrite  Op = "state.write"  // Key, Bytes → {}
	StateDelete Op = "state.delete" // Key → {}

	MessagingSend Op = "messaging.send" // Key = route, may be empty, Value = payload (JSON text) → {}

	// HTTPSend has no arguments and no reply yet: nothing of a request need leave
	// the worker to be refused.
	HTTPSend Op = "http.send"
)

// Args is the argument object of every operation; each uses the fields it
// needs and ignores none: a field that an operation does not take must be empty.
type Args struct {
	Key   string     `json:"key,omitempty"`
	Value *string    `json:"value,omitempty"`
	Bytes []byte     `json:"bytes,omitempty"` // base64
	OAuth *OAuthArgs `json:"oauth,omitempty"`
}

// OAuthArgs are the arguments of the oauth operations.
type OAuthArgs struct {
	Provider     string   `json:"provider"`
	Subject      string   `json:"subject"`
	Scopes       []string `json:"scopes,omitempty"`
	Code         string   `json:"code,omitempty"`
	RedirectPath string   `json:"redirect_path,omitempty"`
	Extra        string   `json:"extra,omitempty"`
}

// Reply is the reply object of every operation.
type Reply struct {
	Found         bool           `json:"found,omitempty"` // config.get, secrets.get, state.read
	Value         string         `json:"value,omitempty"`
	Bytes         []byte         `json:"bytes,omitempty"`
	Keys          []string       `json:"keys,omitempty"`
	Subscriptions []Subscription `json:"subscriptions,omitempty"`
}

// Subscription is one entry of subscriptions.list; Metadata is a JSON object as
// text.
type Subscription struct {
	ID       string `json:"id"`
	Metadata string `json:"metadata"`
}

// Code is the reason a capability said no; guests see it as `code`.
type Code string

// The codes.
const (
	Denied   Code = "denied"    // not granted
	NotFound Code = "not_found" // nothing under that key
	Invalid  Code = "invalid"   // malformed key or value
	TooLarge Code = "too_large" // over a documented size
	Internal Code = "internal"
)

// Error is a refusal that the guest sees.
type Error struct {
	Code    Code
	Message string
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %s", e.Code, e.Message) }
