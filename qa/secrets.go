package qa

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/plan"
)

// maxRequirements bounds the secrets that a pack requires; published packs have
// fewer than ten.
const maxRequirements = 500

// SecretRequirement is one secret that a pack needs. Scope has placeholders in
// published packs ("<env>"). Generated says how a host is to mint the value, and
// is nil for secrets that an operator gives; then Schema and Examples may say what
// it is like.
type SecretRequirement struct {
	Key         string          `json:"key"`
	Required    bool            `json:"required"`
	Description string          `json:"description,omitempty"`
	Format      string          `json:"format,omitempty"`
	Scope       *Scope          `json:"scope,omitempty"`
	Schema      json.RawMessage `json:"schema,omitempty"`
	Examples    json.RawMessage `json:"examples,omitempty"`
	Generated   json.RawMessage `json:"generated,omitempty"`
}

// Scope says for whom a secret is.
type Scope struct {
	Env    string `json:"env,omitempty"`
	Tenant string `json:"tenant,omitempty"`
	Team   string `json:"team,omitempty"`
}

// ParseSecretRequirements reads secret-requirements.json: a list, or an object (a
// manifest as JSON) with it in "secret_requirements" or "requirements", where none
// is an empty list. A key may be called id or name. A requirement is required
// unless it says otherwise. A second one with the same key, which manifests with
// several components have, counts as the first, and is required if either is.
func ParseSecretRequirements(b []byte) ([]SecretRequirement, error) {
	const what = "secret requirements"
	doc, err := strict(b, maxForm)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if m, ok := doc.(object); ok {
		if doc = has(m, "secret_requirements", "requirements"); doc == nil {
			return []SecretRequirement{}, nil
		}
	}
	list, ok := doc.([]any)
	if !ok {
		return nil, errors.New(what + ": must be a list")
	}
	if len(list) > maxRequirements {
		return nil, fmt.Errorf("%s: are %d, more than %d", what, len(list), maxRequirements)
	}
	found := []SecretRequirement{}
	for i, e := range list {
		m, _ := e.(object)
		key := first(m, "key", "id", "name")
		if s, isText := e.(string); isText {
			key = s
		}
		if !goodID(key) {
			return nil, fmt.Errorf("%s: /%d has no key that can be one", what, i)
		}
		r := SecretRequirement{Key: key, Required: m["required"] != false, Description: hostile.Clip(first(m, "description"), maxText), Format: hostile.Clip(first(m, "format"), maxID)}
		if at := slices.IndexFunc(found, func(o SecretRequirement) bool { return o.Key == key }); at >= 0 {
			found[at].Required = found[at].Required || r.Required
			continue
		}
		if s, ok := m["scope"].(object); ok {
			r.Scope = &Scope{Env: hostile.Clip(first(s, "env"), maxID), Tenant: hostile.Clip(first(s, "tenant"), maxID), Team: hostile.Clip(first(s, "team"), maxID)}
		}
		for _, f := range []struct {
			name string
			to   *json.RawMessage
		}{{"schema", &r.Schema}, {"examples", &r.Examples}, {"generated", &r.Generated}} {
			if v := m[f.name]; v != nil {
				*f.to = canonical(v)
			}
		}
		found = append(found, r)
	}
	return found, nil
}

// canonicalName writes a name in lower case with one underscore for whatever
// stands between its words.
func canonicalName(s string) string {
	return strings.Join(strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }), "_")
}

// alias says that two names mean the same secret: one ends in the other, word for
// word (TELEGRAM_BOT_TOKEN and bot_token).
func alias(a, b string) bool {
	a, b = canonicalName(a), canonicalName(b)
	return a != "" && b != "" && (a == b || strings.HasSuffix(a, "_"+b) || strings.HasSuffix(b, "_"+a))
}

// aliases finds those of many names that alias says mean the same as another: a
// component may have a hundred thousand fields, and a pack five hundred keys.
type aliases struct {
	whole, ends map[string]string // names by what they are called, and by what they end in
	longest     int               // bytes
}

func aliasesOf(names []string) aliases {
	a := aliases{whole: map[string]string{}, ends: map[string]string{}}
	for _, name := range names {
		end := canonicalName(name)
		a.longest = max(a.longest, len(end))
		a.whole[end] = name
		for more := end != ""; more; _, end, more = strings.Cut(end, "_") {
			a.ends[end] = name
		}
	}
	return a
}

// find gives one of the names, "" where there is none.
func (a aliases) find(name string) string {
	name = canonicalName(name)
	if found := a.ends[name]; found != "" {
		return found
	}
	for i := len(name) - 1; i > 0 && len(name)-i <= a.longest+1; i-- {
		if name[i] == '_' {
			if found := a.whole[name[i+1:]]; found != "" {
				return found
			}
		}
	}
	return ""
}

// soundsSecret is the rule of names that hides values everywhere else in a run: a
// field that is hidden in a plan must not be planned as config.
func soundsSecret(name string) bool {
	return name != "secrets" && len(plan.SecretValues(canonical(map[string]string{name: "x"}))) > 0
}

// holdsSecret says that somewhere in an object or list there is a value whose name
// sounds secret.
func holdsSecret(v json.RawMessage) bool {
	return len(plan.SecretValues(canonical(map[string]any{"value": plan.Tree(v)}))) > 0
}

// Classifier says which fields of a config are secrets. A field is one when
// anything says so, in this order:
//
//  1. setup.yaml asks for it with secret: true;
//  2. the component's description marks it secret in config_schema;
//  3. the description redacts it ("$.bot_token"); what is redacted within a field
//     makes the whole field secret;
//  4. it is the last part of the key of a secret requirement, or the other way
//     round (bot_token and TELEGRAM_BOT_TOKEN);
//  5. its name sounds so, by the rule of docs/contract.md.
//
// Everything else is config. The zero Classifier knows names only.
type Classifier struct {
	reasons map[string]string // of fields that are marked
	fields  []string          // that are known, sorted
	keys    []string          // of requirements
	aliases aliases           // of keys
}

// NewClassifier makes a Classifier. Anything may be nil; a description that cannot
// be read marks nothing.
func NewClassifier(setup *Form, describe json.RawMessage, requirements []SecretRequirement) *Classifier {
	c := &Classifier{reasons: map[string]string{}}
	known := map[string]bool{}
	mark := func(field, reason string) {
		if known[field] = true; c.reasons[field] == "" {
			c.reasons[field] = reason
		}
	}
	if setup != nil {
		for _, q := range setup.Questions {
			if known[q.ID] = true; q.Secret {
				mark(q.ID, q.origin()+" asks for it with secret: true")
			}
		}
	}
	if m, err := read(describe, maxForm); err == nil {
		list, _ := fields(inside(m, "config_schema"))
		for _, e := range list {
			f, _ := e.(object)
			id, _ := f["id"].(string)
			if !goodID(id) {
				continue
			}
			if known[id] = true; f["secret"] == true || f["format"] == "password" {
				mark(id, "the component describes it as a secret")
			}
		}
		redactions, _ := m["redactions"].([]any)
		for _, e := range redactions {
			r, _ := e.(object)
			if field := redacted(first(r, "path")); goodID(field) {
				mark(field, "the component redacts it")
			}
		}
	}
	for _, r := range requirements {
		c.keys = append(c.keys, r.Key)
	}
	c.aliases, c.fields = aliasesOf(c.keys), sorted(known)
	return c
}

func (q Question) origin() string {
	if q.Origin == FromComponent {
		return "the component"
	}
	return FromSetup
}

// redacted gives the field of a path: "$.a.b", "/a/b" and "$['a']" are of a.
func redacted(path string) string {
	names := strings.FieldsFunc(path, func(r rune) bool { return strings.ContainsRune(`$./['"]`, r) })
	if len(names) == 0 {
		return ""
	}
	return names[0]
}

// Reason says why a field is a secret; "" for config.
func (c *Classifier) Reason(field string) string {
	if r := c.reasons[field]; r != "" {
		return r
	}
	if k := c.aliases.find(field); k != "" {
		return "the pack requires the secret " + k
	}
	if soundsSecret(field) {
		return "its name sounds like a secret"
	}
	return ""
}

// IsSecret says whether a field is a secret.
func (c *Classifier) IsSecret(field string) bool { return c.Reason(field) != "" }

// SecretKeys gives the names under which the pack's secrets are kept, sorted: the
// secret fields of the config that are known, and the keys of the requirements
// that none of these answers.
func (c *Classifier) SecretKeys() []string {
	keys := []string{}
	for _, f := range c.Fields() {
		if c.IsSecret(f) {
			keys = append(keys, f)
		}
	}
	answered := aliasesOf(c.fields)
	for _, k := range c.keys {
		if answered.find(k) == "" {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// Fields gives the fields of the config that setup.yaml or the description names,
// sorted.
func (c *Classifier) Fields() []string { return slices.Clone(c.fields) }

// Mark makes the questions of a form secret that ask for secrets, so that those
// who show it hide what is typed.
func (c *Classifier) Mark(f *Form) {
	for i := range f.Questions {
		f.Questions[i].Secret = f.Questions[i].Secret || c.IsSecret(f.Questions[i].ID)
	}
}

// DescribedProvider gives the provider that a component's description says it is
// of; "" where it says nothing that can be one.
func DescribedProvider(describe json.RawMessage) string {
	m, err := read(describe, maxForm)
	if err != nil {
		return ""
	}
	if p := first(m, "provider", "provider_id", "provider_type"); goodID(p) {
		return p
	}
	return ""
}
