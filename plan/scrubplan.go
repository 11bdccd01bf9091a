package plan

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// The methods below scrub values of this package: every text and raw value that
// a guest or an operator can have a hand in, names of keys included. They give
// copies; what is nil stays nil.

// Plan scrubs a plan.
func (s *Scrubber) Plan(p Plan) Plan {
	return Plan{
		ConfigPatch:     s.object(p.ConfigPatch),
		SecretsPatch:    s.secretsPatch(p.SecretsPatch),
		WebhookOps:      each(p.WebhookOps, s.webhook),
		SubscriptionOps: each(p.SubscriptionOps, s.subscription),
		OAuthOps:        each(p.OAuthOps, s.oauth),
		Notes:           each(p.Notes, s.Scrub),
	}
}

// Patch scrubs the patch of a step.
func (s *Scrubber) Patch(p *Patch) *Patch {
	if p == nil {
		return nil
	}
	q := &Patch{
		ConfigPatch:     s.object(p.ConfigPatch),
		WebhookOps:      each(p.WebhookOps, s.webhook),
		SubscriptionOps: each(p.SubscriptionOps, s.subscription),
		OAuthOps:        each(p.OAuthOps, s.oauth),
		Notes:           each(p.Notes, s.Scrub),
	}
	if p.SecretsPatch != nil {
		sp := s.secretsPatch(*p.SecretsPatch)
		q.SecretsPatch = &sp
	}
	return q
}

// hiddenCode stands where a code held a secret. A code is a word that programs
// match on, and has to be one afterwards.
const hiddenCode = "REDACTED"

// Diagnostics scrubs diagnostics, except this program's own.
func (s *Scrubber) Diagnostics(ds []Diagnostic) []Diagnostic {
	return each(ds, func(d Diagnostic) Diagnostic {
		if d.Own {
			return d
		}
		if s.Scrub(d.Code) != d.Code {
			d.Code = hiddenCode
		}
		d.Message, d.Path, d.Hint = s.Scrub(d.Message), s.Path(d.Path), s.Scrub(d.Hint)
		d.Data = s.ScrubJSON(d.Data)
		return d
	})
}

// Effects scrubs the targets of effects: the keys in them, for the rest is ours.
func (s *Scrubber) Effects(es []Effect) []Effect {
	return each(es, func(e Effect) Effect {
		e.Target = s.Target(e.Target)
		return e
	})
}

// Target scrubs the target of an effect.
func (s *Scrubber) Target(target string) string {
	for _, prefix := range []string{TargetConfig, TargetSecretSet, TargetSecretDelete, TargetState, TargetMessaging} {
		if key, ok := strings.CutPrefix(target, prefix); ok {
			return prefix + s.Scrub(key)
		}
	}
	return target // "notes[2]"
}

func (s *Scrubber) object(m map[string]json.RawMessage) map[string]json.RawMessage {
	return scrubMap(s, m, s.ScrubJSON)
}

func (s *Scrubber) secretsPatch(p SecretsPatch) SecretsPatch {
	return SecretsPatch{
		Set: scrubMap(s, p.Set, func(r Redacted) Redacted {
			if r.Value != nil {
				return Redacted{Redacted: true}
			}
			return r
		}),
		Delete: each(p.Delete, s.Scrub),
	}
}

func (s *Scrubber) webhook(op WebhookOp) WebhookOp {
	return WebhookOp{Op: s.Scrub(op.Op), ID: s.optional(op.ID), URL: s.optional(op.URL), Metadata: s.object(op.Metadata)}
}

func (s *Scrubber) subscription(op SubscriptionOp) SubscriptionOp {
	return SubscriptionOp{Op: s.Scrub(op.Op), ID: s.optional(op.ID), Metadata: s.object(op.Metadata)}
}

// oauth leaves Op: there is one, and it is the contract's.
func (s *Scrubber) oauth(op OAuthOp) OAuthOp {
	return OAuthOp{Op: op.Op, Provider: s.Scrub(op.Provider), Scopes: each(op.Scopes, s.Scrub), RedirectURL: s.optional(op.RedirectURL)}
}

func (s *Scrubber) optional(p *string) *string {
	if p == nil {
		return nil
	}
	v := s.Scrub(*p)
	return &v
}

// scrubMap goes by sorted key, so that names that become the same are numbered
// the same way in each run.
func scrubMap[V any](s *Scrubber, m map[string]V, f func(V) V) map[string]V {
	if m == nil {
		return nil
	}
	names := names{s: s}
	out := make(map[string]V, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out[names.scrub(k)] = f(m[k])
	}
	return out
}

func each[T any](list []T, f func(T) T) []T {
	if list == nil {
		return nil
	}
	out := make([]T, len(list))
	for i, v := range list {
		out[i] = f(v)
	}
	return out
}
