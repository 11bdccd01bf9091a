package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// New gives the plan in which nothing is to be done.
func New() Plan {
	return Plan{
		ConfigPatch:     map[string]json.RawMessage{},
		SecretsPatch:    SecretsPatch{Set: map[string]Redacted{}, Delete: []string{}},
		WebhookOps:      []WebhookOp{},
		SubscriptionOps: []SubscriptionOp{},
		OAuthOps:        []OAuthOp{},
		Notes:           []string{},
	}
}

// The ways an entry comes into the plan (Effect.Via).
const (
	ViaPatch    = "patch"     // the plan part of a step's response
	ViaHostCall = "host-call" // a capability that the step called
)

// How targets of effects (Effect.Target) begin that end in a key. The others are
// a list and an index, as in notes[2].
const (
	TargetConfig       = "config_patch."
	TargetSecretSet    = "secrets_patch.set."
	TargetSecretDelete = "secrets_patch.delete."
	// What has no place in the plan: entries of the state store that are neither
	// configuration nor secrets, and messages by their route.
	TargetState     = "state."
	TargetMessaging = "messaging."
)

// Merge adds a step's patch to the plan and says where each entry went. The
// rules are Greentic's own, because packs ship plans that were made by them:
//
//   - config_patch: each key replaces the one before it, whole. No merging of
//     nested objects, and null is a value like any other.
//   - secrets_patch.set: likewise per key. secrets_patch.delete: appended.
//   - operations and notes: appended. Nothing is ever removed as a duplicate.
//
// A secret that one step deletes and another sets stands in both lists, since
// upstream's do: the plan is a record of what was asked, and lists have no order
// between them. Who applies it has to refuse it or ask.
//
// Effects are in the order config, secrets, webhooks, subscriptions, OAuth,
// notes; keys sorted. Where several effects name one target, the last is the
// one in force. The plan shares raw JSON values with the patch.
func (p *Plan) Merge(step Step, patch Patch) []Effect {
	var effects []Effect
	did := func(target string) {
		effects = append(effects, Effect{Step: step, Via: ViaPatch, Target: target})
	}
	element := func(list string, i int) { did(fmt.Sprintf("%s[%d]", list, i)) }
	for _, k := range slices.Sorted(maps.Keys(patch.ConfigPatch)) {
		p.ConfigPatch[k] = patch.ConfigPatch[k]
		did(TargetConfig + k)
	}
	if s := patch.SecretsPatch; s != nil {
		for _, k := range slices.Sorted(maps.Keys(s.Set)) {
			p.SecretsPatch.Set[k] = s.Set[k]
			did(TargetSecretSet + k)
		}
		for _, k := range s.Delete {
			p.SecretsPatch.Delete = append(p.SecretsPatch.Delete, k)
			did(TargetSecretDelete + k)
		}
	}
	for _, op := range patch.WebhookOps {
		element("webhook_ops", len(p.WebhookOps))
		p.WebhookOps = append(p.WebhookOps, op)
	}
	for _, op := range patch.SubscriptionOps {
		element("subscription_ops", len(p.SubscriptionOps))
		p.SubscriptionOps = append(p.SubscriptionOps, op)
	}
	for _, op := range patch.OAuthOps {
		element("oauth_ops", len(p.OAuthOps))
		p.OAuthOps = append(p.OAuthOps, op)
	}
	for _, n := range patch.Notes {
		element("notes", len(p.Notes))
		p.Notes = append(p.Notes, n)
	}
	return effects
}

// MarshalJSON writes nil parts as empty ones: a reader of plans finds every key
// with a value of its type.
func (p Plan) MarshalJSON() ([]byte, error) {
	type plain Plan // without this method
	p.ConfigPatch = orEmpty(p.ConfigPatch)
	if p.WebhookOps == nil {
		p.WebhookOps = []WebhookOp{}
	}
	if p.SubscriptionOps == nil {
		p.SubscriptionOps = []SubscriptionOp{}
	}
	if p.OAuthOps == nil {
		p.OAuthOps = []OAuthOp{}
	}
	if p.Notes == nil {
		p.Notes = []string{}
	}
	return json.Marshal(plain(p))
}

// MarshalJSON writes nil parts as empty ones.
func (s SecretsPatch) MarshalJSON() ([]byte, error) {
	type plain SecretsPatch
	s.Set = orEmpty(s.Set)
	if s.Delete == nil {
		s.Delete = []string{}
	}
	return json.Marshal(plain(s))
}

// MarshalJSON writes nil metadata as an empty object.
func (op WebhookOp) MarshalJSON() ([]byte, error) {
	type plain WebhookOp
	op.Metadata = orEmpty(op.Metadata)
	return json.Marshal(plain(op))
}

// MarshalJSON writes nil metadata as an empty object.
func (op SubscriptionOp) MarshalJSON() ([]byte, error) {
	type plain SubscriptionOp
	op.Metadata = orEmpty(op.Metadata)
	return json.Marshal(plain(op))
}

// MarshalJSON writes nil scopes as an empty list.
func (op OAuthOp) MarshalJSON() ([]byte, error) {
	type plain OAuthOp
	if op.Scopes == nil {
		op.Scopes = []string{}
	}
	return json.Marshal(plain(op))
}

func orEmpty[V any](m map[string]V) map[string]V {
	if m == nil {
		return map[string]V{}
	}
	return m
}
