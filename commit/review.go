package commit

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/plan"
)

// Difference is one key that a commit changes, for people and for the audit log. Before
// and After are left out where there is no value, and where it is secret or long.
type Difference struct {
	Kind   adapters.Kind   `json:"kind"`
	Key    string          `json:"key"`
	What   string          `json:"what"` // "added", "changed", "removed"
	Secret bool            `json:"secret,omitempty"`
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// The words of Difference.What.
const (
	Added   = "added"
	Changed = "changed"
	Gone    = "removed"
)

// maxShown bounds a value in a Difference, in bytes.
const maxShown = 4 << 10

// Differences lists what the set changes, in its order.
func (s *Set) Differences() []Difference {
	list := []Difference{}
	for _, c := range s.Changes {
		if c.Kind == adapters.Hidden {
			continue
		}
		d := Difference{Kind: c.Kind, Key: c.Key, What: Changed}
		switch {
		case c.Before == nil:
			d.What = Added
		case c.After == nil:
			d.What = Gone
		}
		for _, v := range []*adapters.Value{c.Before, c.After} {
			d.Secret = d.Secret || v != nil && v.Secret || secretAnyway(c.Kind)
		}
		if !d.Secret {
			d.Before, d.After = shown(c.Before), shown(c.After)
		}
		list = append(list, d)
	}
	return list
}

func shown(v *adapters.Value) json.RawMessage {
	if v == nil || len(v.Bytes) > maxShown || !json.Valid(v.Bytes) {
		return nil
	}
	return v.Bytes
}

// Reviewed is what a reviewer agreed to: the parts of a result that must come out again.
type Reviewed struct {
	Digest string          `json:"digest"`
	Plan   json.RawMessage `json:"plan"`
	Pack   struct {
		Digest string `json:"digest"`
		Entry  string `json:"entry"`
	} `json:"pack"`
	Inputs  *engine.InputsIdentity `json:"inputs"`
	Effects []plan.Effect          `json:"effects"`
}

// ParseReviewed reads the file that a dry run wrote with --json --output.
func ParseReviewed(b []byte) (Reviewed, error) {
	doc, err := plan.ReadObject(b)
	if err != nil {
		return Reviewed{}, err
	}
	var r Reviewed
	if err := json.Unmarshal(doc, &r); err != nil || r.Plan == nil || r.Inputs == nil || !strings.HasPrefix(r.Digest, "sha256:") {
		return Reviewed{}, &plan.JSONError{Reason: "is not the result of a dry run (write one with dry-run --json --output FILE)"}
	}
	var p plan.Plan
	if err := json.Unmarshal(r.Plan, &p); err != nil || plan.Digest(p) != r.Digest {
		return Reviewed{}, &plan.JSONError{Path: "/digest", Reason: "is not the digest of the plan in the file: one of the two was changed"}
	}
	return r, nil
}

// MismatchError says how a run differs from what was reviewed. Nothing was changed.
type MismatchError struct{ Differences []string }

func (e *MismatchError) Error() string {
	return "not what was reviewed: " + strings.Join(e.Differences, "; ")
}

// Matches holds a result against what was reviewed; the error is a *MismatchError.
func (r Reviewed) Matches(res *engine.Result) error {
	var diffs []string
	differ := func(what, was, is string) {
		if was != is {
			diffs = append(diffs, fmt.Sprintf("%s was %s and is %s", what, orNone(was), orNone(is)))
		}
	}
	differ("the pack", r.Pack.Digest, res.Pack.Digest)
	differ("the command", r.Pack.Entry, string(res.Pack.Entry))
	was, is := *r.Inputs, res.Inputs
	differ("the provider id", was.ProviderID, is.ProviderID)
	differ("the installation", was.InstallID, is.InstallID)
	differ("the public base URL", text(was.PublicBaseURL), text(is.PublicBaseURL))
	for _, t := range []struct {
		what    string
		was, is *string
	}{
		{"the environment", was.Tenant.Environment, is.Tenant.Environment}, {"the tenant", was.Tenant.Tenant, is.Tenant.Tenant},
		{"the team", was.Tenant.Team, is.Tenant.Team}, {"the user", was.Tenant.User, is.Tenant.User},
	} {
		differ(t.what, text(t.was), text(t.is))
	}
	switch {
	case was.State.Digest != is.State.Digest:
		diffs = append(diffs, "what exists has changed since (or the plan was made without --store)")
	case was.State.Revision != is.State.Revision:
		diffs = append(diffs, fmt.Sprintf("the installation was at revision %d and is at %d", was.State.Revision, is.State.Revision))
	}
	if r.Digest != res.Digest {
		var p plan.Plan
		_ = json.Unmarshal(r.Plan, &p) // ParseReviewed did the same
		diffs = append(diffs, fmt.Sprintf("the plan's digest was %s and is %s", r.Digest, res.Digest))
		diffs = append(diffs, comparePlans(p, res.Plan)...)
	}
	if was, is := stateWrites(r.Effects), stateWrites(res.Effects); !slices.Equal(was, is) {
		diffs = append(diffs, fmt.Sprintf("the keys of the state store that the run writes were %q and are %q", was, is))
	}
	if len(diffs) > 0 {
		return &MismatchError{diffs}
	}
	return nil
}

// WritesState says that a run writes to the state store, of which the digest of its plan
// says nothing.
func WritesState(res *engine.Result) bool { return len(stateWrites(res.Effects)) > 0 }

// stateWrites gives the blobs that a run writes or deletes, each once, in order.
func stateWrites(effects []plan.Effect) []string {
	var list []string
	for _, e := range effects {
		if strings.HasPrefix(e.Target, plan.TargetState) {
			list = append(list, e.Op+" "+e.Target)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return fmt.Sprintf("%q", s)
}

// maxCompared bounds the parts of a plan that a MismatchError names.
const maxCompared = 20

// comparePlans names the parts in which two plans differ, by their place. Values are in
// the two plans.
func comparePlans(was, is plan.Plan) []string {
	a, b := parts(was), parts(is)
	var diffs []string
	for _, target := range sortedKeys(a, b) {
		va, ina := a[target]
		vb, inb := b[target]
		switch {
		case !ina:
			diffs = append(diffs, target+" is new")
		case !inb:
			diffs = append(diffs, target+" is gone")
		case va != vb:
			diffs = append(diffs, target+" has changed")
		}
	}
	if more := len(diffs) - maxCompared; more > 0 {
		diffs = append(diffs[:maxCompared], fmt.Sprintf("and %d more parts", more))
	}
	return diffs
}

// parts takes a plan apart: canonical JSON by target.
func parts(p plan.Plan) map[string]string {
	out := map[string]string{}
	for k, v := range p.ConfigPatch {
		out[plan.TargetConfig+k] = string(encode(v))
	}
	for k := range p.SecretsPatch.Set {
		out[plan.TargetSecretSet+k] = ""
	}
	for _, k := range p.SecretsPatch.Delete {
		out[plan.TargetSecretDelete+k] = ""
	}
	for i, op := range p.WebhookOps {
		out[fmt.Sprintf("webhook_ops[%d]", i)] = string(encode(op))
	}
	for i, op := range p.SubscriptionOps {
		out[fmt.Sprintf("subscription_ops[%d]", i)] = string(encode(op))
	}
	for i, op := range p.OAuthOps {
		out[fmt.Sprintf("oauth_ops[%d]", i)] = string(encode(op))
	}
	for i, n := range p.Notes {
		out[fmt.Sprintf("notes[%d]", i)] = n
	}
	return out
}

func sortedKeys(ms ...map[string]string) []string {
	all := map[string]bool{}
	for _, m := range ms {
		for k := range m {
			all[k] = true
		}
	}
	return sorted(all)
}
