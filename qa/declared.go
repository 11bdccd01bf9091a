package qa

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/plan"
)

// maxKeys bounds each list of a declaration; published ones have up to ten.
const maxKeys = 500

// Declared is what a pack declares that it needs of its answers.
//
// How a miss counts is by what the declaration says. Those of the secrets packs say
// "required", and their own fixtures answer all of it: an error. Those of the events
// packs list the keys that a plan may set, for several providers at once (gmail and
// msgraph), and their fixtures never answer the secrets: a config key is a warning,
// a secret an information. Those of the messaging packs are fixtures that nothing
// runs; what they require of the config is an error, and a secret a warning, for
// both webchat packs require jwt_signing_key and do not answer it.
type Declared struct {
	Provider        string
	ConfigRequired  []string
	ConfigOptional  []string
	SecretsRequired []string
	SecretsOptional []string
	Enum            []Enum
	RequiredWhen    []RequiredWhen
	PublicBaseURL   bool // the pack needs one
	OAuth           bool
	Subscriptions   bool
	Capabilities    json.RawMessage // as declared; nil for none

	config, secrets plan.Severity // of a miss; "" is an error
}

// Enum has the values that a config key may have.
type Enum struct {
	Key    string
	Values []string
}

// RequiredWhen requires a secret when the config has one of some values at a dotted
// path.
type RequiredWhen struct {
	Secret     string
	ConfigPath string
	Values     []string
}

// ParseDeclared reads what a requirements step answers, or its member
// "requirements". Three shapes are real:
//
//   - secrets packs: {provider_id, config: {required, optional, constraints: {enum:
//     {key: [values]}}}, secrets: {required, optional, constraints: {required_when:
//     {secret: {config_path, values}}}}, capabilities, setup_needs};
//   - events packs: {config_keys, secret_keys, webhook_required,
//     subscriptions_required};
//   - messaging packs: {provider, config_required, config_optional, secret_required,
//     secret_optional, oauth_required, subscriptions_required}.
//
// Members of the shapes may be missing and must have their types; others are not
// looked at. An error says what is wrong, and that nothing is declared in any of
// the shapes.
func ParseDeclared(b json.RawMessage) (*Declared, error) {
	m, err := read(b, maxForm)
	if err != nil {
		return nil, fmt.Errorf("requirements: %w", err)
	}
	if inner, ok := m["requirements"].(object); ok {
		m = inner
	}
	d := &Declared{}
	if d.Provider = first(m, "provider_id", "provider"); !goodID(d.Provider) {
		d.Provider = ""
	}
	var r reader
	_, isConfig := m["config"].(object)
	_, isSecrets := m["secrets"].(object)
	switch {
	case isConfig || isSecrets:
		d.sections(&r, m)
	case anyOf(m, "config_keys", "secret_keys", "webhook_required"):
		d.config, d.secrets = plan.Warn, plan.Info
		d.ConfigRequired, d.SecretsRequired = r.texts(m, "config_keys"), r.texts(m, "secret_keys")
		d.PublicBaseURL, d.Subscriptions = r.yes(m, "webhook_required"), r.yes(m, "subscriptions_required")
	case anyOf(m, "config_required", "config_optional", "secret_required", "secret_optional"):
		d.secrets = plan.Warn
		d.ConfigRequired, d.ConfigOptional = r.texts(m, "config_required"), r.texts(m, "config_optional")
		d.SecretsRequired, d.SecretsOptional = r.texts(m, "secret_required"), r.texts(m, "secret_optional")
		d.OAuth, d.Subscriptions = r.yes(m, "oauth_required"), r.yes(m, "subscriptions_required")
	default:
		return nil, errors.New("requirements: are in none of the shapes that are read (go doc ./qa ParseDeclared)")
	}
	if r.err != nil {
		return nil, fmt.Errorf("requirements: %w", r.err)
	}
	return d, nil
}

func (d *Declared) sections(r *reader, m object) {
	config, secrets, needs := r.object(m, "config"), r.object(m, "secrets"), r.object(m, "setup_needs")
	d.ConfigRequired, d.ConfigOptional = r.texts(config, "required"), r.texts(config, "optional")
	d.SecretsRequired, d.SecretsOptional = r.texts(secrets, "required"), r.texts(secrets, "optional")
	enum := r.few(r.object(config, "constraints"), "enum")
	for _, k := range sorted(enum) {
		d.Enum = append(d.Enum, Enum{Key: r.name(k), Values: r.texts(enum, k)})
	}
	when := r.few(r.object(secrets, "constraints"), "required_when")
	for _, k := range sorted(when) {
		w := r.object(when, k)
		path, _ := w["config_path"].(string)
		d.RequiredWhen = append(d.RequiredWhen, RequiredWhen{Secret: r.name(k), ConfigPath: r.name(path), Values: r.texts(w, "values")})
	}
	d.PublicBaseURL, d.OAuth, d.Subscriptions = r.yes(needs, "public_base_url"), r.yes(needs, "oauth"), r.yes(needs, "subscriptions")
	if c := m["capabilities"]; c != nil {
		d.Capabilities = canonical(c)
	}
}

func anyOf(m object, names ...string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return m[n] != nil })
}

// reader takes members of their types; err is the first that is of another.
type reader struct{ err error }

func (r *reader) fail(name, must string) {
	if r.err == nil {
		r.err = fmt.Errorf("%s must be %s", shown(name), must)
	}
}

func (r *reader) object(m object, name string) object {
	o, ok := m[name].(object)
	if !ok && m[name] != nil {
		r.fail(name, "an object")
	}
	return o
}

// few takes an object with no more members than a list may have.
func (r *reader) few(m object, name string) object {
	o := r.object(m, name)
	if len(o) > maxKeys {
		r.fail(name, fmt.Sprintf("an object of at most %d", maxKeys))
		return nil
	}
	return o
}

func (r *reader) yes(m object, name string) bool {
	b, ok := m[name].(bool)
	if !ok && m[name] != nil {
		r.fail(name, "a boolean")
	}
	return b
}

func (r *reader) name(s string) string {
	if !goodID(s) {
		r.fail("a key", fmt.Sprintf("a name of at most %d bytes", maxID))
	}
	return s
}

// texts takes a list of scalars, each once.
func (r *reader) texts(m object, name string) []string {
	list, ok := m[name].([]any)
	if !ok && m[name] != nil || len(list) > maxKeys {
		r.fail(name, fmt.Sprintf("a list of at most %d", maxKeys))
		return nil
	}
	var texts []string
	for _, e := range list {
		s, ok := scalar(e)
		if !ok || !goodID(s) {
			r.fail(name, "a list of names")
			return nil
		}
		if !slices.Contains(texts, s) {
			texts = append(texts, s)
		}
	}
	return texts
}

// RequirementsFrom makes a declaration for a pack without a requirements step, of
// the questions that it asks (nil for none) and the secrets that it requires. A
// secret that a question asks for is required when either says so, under the name
// of the question; one that is generated is optional, for a host mints it. The pack
// needs a public base URL when a required question has that name.
func RequirementsFrom(provider string, form *Form, secrets []SecretRequirement) *Declared {
	d := &Declared{Provider: provider}
	if form == nil {
		form = &Form{}
	}
	// asks says that a question asks for the secret of a requirement.
	asks := func(q Question, r SecretRequirement) bool {
		return alias(r.Key, q.ID) && (q.Secret || canonicalName(r.Key) == canonicalName(q.ID) || soundsSecret(q.ID))
	}
	for _, q := range form.Questions {
		secret := q.Secret
		required := q.Required && q.VisibleIf == nil && q.Default == nil
		for _, r := range secrets {
			if asks(q, r) {
				secret = true
				required = required || r.Required && r.Generated == nil && q.VisibleIf == nil
			}
		}
		d.PublicBaseURL = d.PublicBaseURL || q.ID == "public_base_url" && q.Required
		switch {
		case secret && required:
			d.SecretsRequired = append(d.SecretsRequired, q.ID)
		case secret:
			d.SecretsOptional = append(d.SecretsOptional, q.ID)
		case required:
			d.ConfigRequired = append(d.ConfigRequired, q.ID)
		default:
			d.ConfigOptional = append(d.ConfigOptional, q.ID)
		}
		if q.Kind == KindChoice && !secret {
			e := Enum{Key: q.ID}
			for _, c := range q.Choices {
				e.Values = append(e.Values, c.Value)
			}
			d.Enum = append(d.Enum, e)
		}
	}
	for _, r := range secrets {
		switch {
		case slices.ContainsFunc(form.Questions, func(q Question) bool { return asks(q, r) }):
		case r.Required && r.Generated == nil:
			d.SecretsRequired = append(d.SecretsRequired, r.Key)
		default:
			d.SecretsOptional = append(d.SecretsOptional, r.Key)
		}
	}
	return d
}

// JSON gives the declaration in the shape of the secrets packs, canonical, whatever
// shape it was read from. ParseDeclared reads it back, and then counts every miss
// as that shape does.
func (d *Declared) JSON() json.RawMessage {
	list := func(l []string) []string { return append([]string{}, l...) }
	config, secrets := object{}, object{}
	if len(d.Enum) > 0 {
		enum := object{}
		for _, e := range d.Enum {
			enum[e.Key] = list(e.Values)
		}
		config["enum"] = enum
	}
	if len(d.RequiredWhen) > 0 {
		when := object{}
		for _, w := range d.RequiredWhen {
			when[w.Secret] = object{"config_path": w.ConfigPath, "values": list(w.Values)}
		}
		secrets["required_when"] = when
	}
	doc := object{
		"provider_id": d.Provider,
		"config":      object{"required": list(d.ConfigRequired), "optional": list(d.ConfigOptional), "constraints": config},
		"secrets":     object{"required": list(d.SecretsRequired), "optional": list(d.SecretsOptional), "constraints": secrets},
		"setup_needs": object{"public_base_url": d.PublicBaseURL, "oauth": d.OAuth, "subscriptions": d.Subscriptions},
	}
	if d.Capabilities != nil {
		doc["capabilities"] = d.Capabilities
	}
	return canonical(doc)
}

// Check says what of the declaration the answers miss, one diagnostic each, with
// the place where the answer is or should be: ANSWER_MISSING for a required key
// without an answer (or with null or ""), ANSWER_CHOICE for a value that is none of
// an enum, ANSWER_MISSING for a secret that a value of the config requires. Keys
// with dots are keys or paths. A secret also counts as answered under a name that
// means the same, TELEGRAM_BOT_TOKEN and bot_token. An answer's value is never in a
// diagnostic.
//
// How much a miss counts is said at Declared; ANSWERS_UNREADABLE is an error.
func (d *Declared) Check(answers json.RawMessage) []plan.Diagnostic {
	known := map[string]bool{}
	for _, keys := range [][]string{d.ConfigRequired, d.ConfigOptional, d.SecretsRequired, d.SecretsOptional} {
		for _, k := range keys {
			head, _, _ := strings.Cut(k, ".")
			known[k], known[head] = true, true
		}
	}
	p, err := locate(answers, d.Provider, known)
	if err != nil {
		return []plan.Diagnostic{{Severity: plan.Error, Code: "ANSWERS_UNREADABLE", Message: err.Error(),
			Hint: "answers are a JSON object, flat or with config and secrets"}}
	}
	var ds []plan.Diagnostic
	config, secrets := cmp.Or(d.config, plan.Error), cmp.Or(d.secrets, plan.Error)
	say := func(s plan.Severity, code, path, format string, args ...any) {
		ds = append(ds, plan.Diagnostic{Severity: s, Code: code, Path: path, Message: "the pack's requirements: " + fmt.Sprintf(format, args...)})
	}
	for _, k := range d.ConfigRequired {
		if v, _ := p.find(k); empty(v) {
			say(config, "ANSWER_MISSING", p.would(k, false), "%s is missing", k)
		}
	}
	for _, e := range d.Enum {
		v, path := p.find(e.Key)
		if empty(v) {
			continue
		}
		if s, ok := scalar(v); !ok || !slices.Contains(e.Values, s) {
			say(config, "ANSWER_CHOICE", path, "%s must be %s", e.Key, oneOf(e.Values))
		}
	}
	for _, k := range d.SecretsRequired {
		if !p.hasSecret(k) {
			say(secrets, "ANSWER_MISSING", p.would(k, true), "the secret %s is missing", k)
		}
	}
	for _, w := range d.RequiredWhen {
		v, _ := p.find(w.ConfigPath)
		if s, ok := scalar(v); !ok || !slices.Contains(w.Values, s) || p.hasSecret(w.Secret) || slices.Contains(d.SecretsRequired, w.Secret) {
			continue
		}
		say(secrets, "ANSWER_MISSING", p.would(w.Secret, true), "the secret %s is missing, which is required when %s is %s", w.Secret, w.ConfigPath, oneOf(w.Values))
	}
	return ds
}

func empty(v any) bool { return v == nil || v == "" }

// hasSecret says that a secret is answered, under its name or one that means it.
func (p places) hasSecret(key string) bool {
	if v, _ := p.find(key); !empty(v) {
		return true
	}
	for _, in := range p.all() {
		for name, v := range in.m {
			if _, nested := v.(object); !nested && !empty(v) && alias(name, key) {
				return true
			}
		}
	}
	return false
}

// oneOf lists values, as far as a sentence can.
func oneOf(values []string) string {
	var list []string
	for i, v := range values {
		if i == 10 {
			list = append(list, "…")
			break
		}
		list = append(list, hostile.Clip(v, 64))
	}
	return "one of " + strings.Join(list, ", ")
}
