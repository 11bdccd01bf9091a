package qa

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/greentic-ai/greentic-provision/plan"
)

// Bounds of a component's result.
const (
	maxResult      = 4 << 20
	maxCleanup     = 100
	maxDiagnostics = 200
)

// Result is what a component made of answers. Diagnostics are the component's own,
// in our words where it used none of those of a step response; their texts may be
// keys of messages.
type Result struct {
	OK          bool
	Config      map[string]json.RawMessage // nil: it gave none
	Removal     bool                       // it says what to remove
	RemoveAll   bool
	Cleanup     []string // what it wants done on removal, in its words
	Diagnostics []plan.Diagnostic
	Error       string
}

// ParseResult reads the result of apply-answers strictly. Two shapes are real: the
// provider contract's {ok, config, remove: {remove_all, cleanup}, diagnostics,
// error} and that of component-qa 0.6.0, {ok, config, warnings, errors: [{key,
// msg_key, fields}], meta}. Members of either may be missing or null, but ok, which
// may be missing beside a config.
//
// A result is OK when it says so and neither error nor errors has something in it.
// The error of ParseResult is for what is no result; it quotes nothing of it.
func ParseResult(b json.RawMessage) (*Result, error) {
	fail := func(format string, args ...any) (*Result, error) {
		return nil, fmt.Errorf("the component's result: "+format, args...)
	}
	m, err := read(b, maxResult)
	if err != nil {
		return fail("%w", err)
	}
	r := &Result{}
	config, isObject := m["config"].(object)
	switch ok := m["ok"].(type) {
	case bool:
		r.OK = ok
	case nil:
		if !isObject {
			return fail(`lacks the member "ok"`)
		}
		r.OK = true
	default:
		return fail("ok must be a boolean")
	}
	switch {
	case isObject:
		r.Config = make(map[string]json.RawMessage, len(config))
		for k, v := range config {
			r.Config[k] = canonical(v)
		}
	case m["config"] != nil:
		return fail("config must be an object or null")
	}
	switch e := m["error"].(type) {
	case nil:
	case string:
		r.Error = e
	case object:
		r.Error = first(e, "message", "msg", "code")
	default:
		return fail("error must be a string or null")
	}
	if r.Error != "" {
		r.OK = false
	}
	switch remove := m["remove"].(type) {
	case nil:
	case object:
		r.Removal, r.RemoveAll = true, remove["remove_all"] == true
		list, ok := remove["cleanup"].([]any)
		if !ok && remove["cleanup"] != nil || len(list) > maxCleanup {
			return fail("remove.cleanup must be a list of at most %d", maxCleanup)
		}
		for _, e := range list {
			s, _ := e.(string)
			if !goodID(s) {
				return fail("remove.cleanup must have names only")
			}
			r.Cleanup = append(r.Cleanup, s)
		}
	default:
		return fail("remove must be an object or null")
	}
	for _, from := range []struct {
		name     string
		severity plan.Severity
	}{{"errors", plan.Error}, {"warnings", plan.Warn}, {"diagnostics", plan.Warn}} {
		list, ok := m[from.name].([]any)
		if !ok && m[from.name] != nil {
			return fail("%s must be a list", from.name)
		}
		if from.name == "errors" && len(list) > 0 {
			r.OK = false
		}
		for _, e := range list {
			if len(r.Diagnostics) == maxDiagnostics {
				return fail("has more than %d diagnostics", maxDiagnostics)
			}
			r.Diagnostics = append(r.Diagnostics, diagnostic(e, from.severity))
		}
	}
	return r, nil
}

var (
	severities = map[string]plan.Severity{
		"info": plan.Info, "note": plan.Info, "hint": plan.Info, "debug": plan.Info,
		"warn": plan.Warn, "warning": plan.Warn,
		"error": plan.Error, "fatal": plan.Error, "critical": plan.Error,
	}
	screamingSnake = regexp.MustCompile(`^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$`)
)

// componentCode is the code of a diagnostic that has none of its own.
const componentCode = "QA_COMPONENT"

// diagnostic makes one of whatever a component calls one: a text, or an object
// with the usual names. The text may be a secret, so that it is kept whole or not
// at all.
func diagnostic(v any, severity plan.Severity) plan.Diagnostic {
	d := plan.Diagnostic{Severity: severity, Code: componentCode}
	m, ok := v.(object)
	if !ok {
		if d.Message, ok = scalar(v); !ok || d.Message == "" {
			d.Message = "the component reports something without a text"
		}
		d.Message = bounded(d.Message)
		return d
	}
	if s, ok := severities[strings.ToLower(first(m, "severity", "level"))]; ok {
		d.Severity = s
	}
	if code := strings.ToUpper(canonicalName(first(m, "code"))); len(code) <= maxID && screamingSnake.MatchString(code) {
		d.Code = code
	}
	d.Message = bounded(cmp.Or(first(m, "message", "msg", "text", "detail", "msg_key", "key", "code"), "the component reports something without a text"))
	d.Hint = bounded(first(m, "hint"))
	field := first(m, "path", "field")
	if list, ok := m["fields"].([]any); ok && field == "" && len(list) > 0 {
		field, _ = list[0].(string)
	}
	if field != "" {
		if d.Path = field; !strings.HasPrefix(field, "/") {
			d.Path = pointer("", field)
		}
		d.Path = bounded(d.Path)
	}
	return d
}

// bounded leaves out a text that is too long: a part of it may be a part of a
// secret, which scrubbing does not know.
func bounded(s string) string {
	if len(s) > maxText {
		return "(a long text)"
	}
	return s
}

// Circumstances are what a response depends on besides the result.
type Circumstances struct {
	// Mode is default, setup, update (also called upgrade) or remove; others count
	// as setup.
	Mode string
	// Current is the config that is in force, a JSON object; null or nil for none.
	Current json.RawMessage
	// Stored are the fields of Current that are the installation's secrets. Some may be
	// of others than the component (a token from a consent): in an update, one that the
	// Classifier does not know stays although the component does not repeat it.
	Stored map[string]bool
	// Provider, Tenant and PublicBaseURL are for the address of the webhook. A
	// public_base_url in the config goes before PublicBaseURL.
	Provider      string
	Tenant        plan.Tenant
	PublicBaseURL *string
	// Ingress says that the pack has an ingress (messaging.provider_ingress.v1), so
	// that there is a webhook to register or delete.
	Ingress bool
	// Classifier tells secrets from config; nil knows names only.
	Classifier *Classifier
	// Messages resolve the keys in diagnostics.
	Messages Bundle
}

// Cleanup tokens that are carried out as a part of the plan.
const (
	deleteConfig   = "delete_config_key"
	deleteSecrets  = "best_effort_delete_provider_owned_secrets"
	revokeWebhooks = "best_effort_revoke_webhooks"
)

// Response makes a step response of the result (docs/contract.md):
//
//   - config_patch has the fields that are neither secret nor null;
//   - secrets_patch.set has the secret ones with their values, redacted: false: the
//     engine takes them out. What is no string is its JSON text;
//   - in the mode update both have what differs from the current config only, and a
//     field that was there and is not any more, or is null now, is null;
//   - webhook_ops registers {base}/v1/messaging/ingress/{provider}/{tenant}/{team}
//     where the pack has an ingress, and deletes it on removal. A tenant or team that
//     is not given is "default", as published providers have it. (Fixtures of packs
//     say {base}/webhook; this is the newer one, and what the runtime serves.)
//   - on removal, the cleanup tokens count. delete_config_key makes the keys of the
//     current config null, or, when it is not known, all fields that setup.yaml and
//     the description name. best_effort_delete_provider_owned_secrets deletes the
//     pack's secrets (Classifier.SecretKeys, and the secret fields of the current
//     config). Every token gives a note;
//   - summary has the mode and the names of what was added, changed, removed and
//     kept as a secret; never a value.
//
// A result that is not OK gives "ok": false, no plan, and its error as the
// diagnostic QA_REJECTED. The component's diagnostics are there in any case. Of a
// result that is OK none is an error: a component that accepts answers does not
// reject them, so its errors are warnings.
//
// An error is for a Current that is no object.
func (r *Result) Response(c Circumstances) (json.RawMessage, error) {
	ds := r.told(c.Messages)
	if !r.OK {
		if r.Error != "" || !plan.HasErrors(ds) {
			ds = append(ds, plan.Diagnostic{Severity: plan.Error, Code: "QA_REJECTED", Message: bounded(cmp.Or(c.Messages[r.Error], r.Error, "the component rejects the answers and does not say why")),
				Hint: "check the answers against the questions of the component"})
		}
		return canonical(map[string]any{"ok": false, "diagnostics": ds}), nil
	}
	for i := range ds {
		if ds[i].Severity == plan.Error {
			ds[i].Severity = plan.Warn
		}
	}
	current := object{}
	if len(c.Current) > 0 && !bytes.Equal(c.Current, []byte("null")) {
		var err error
		if current, err = read(c.Current, maxResult); err != nil {
			return nil, fmt.Errorf("the current config: %w", err)
		}
	}
	if c.Classifier == nil {
		c.Classifier = &Classifier{}
	}
	b := builder{
		c: c, mode: cmp.Or(mode(c.Mode), "setup"), current: make(map[string]json.RawMessage, len(current)), known: len(current) > 0,
		patch: plan.Patch{ConfigPatch: map[string]json.RawMessage{}, SecretsPatch: &plan.SecretsPatch{Set: map[string]plan.Redacted{}, Delete: []string{}},
			WebhookOps: []plan.WebhookOp{}, SubscriptionOps: []plan.SubscriptionOp{}, OAuthOps: []plan.OAuthOp{}, Notes: []string{}},
		ds: ds,
	}
	for k, v := range current {
		b.current[k] = canonical(v)
	}
	if b.mode == "remove" {
		b.remove(r)
	} else {
		b.set(r)
	}
	b.webhook(r)
	return b.response(), nil
}

// told gives the diagnostics with their texts.
func (r *Result) told(messages Bundle) []plan.Diagnostic {
	ds := slices.Clone(r.Diagnostics)
	for i := range ds {
		ds[i].Message = cmp.Or(messages[ds[i].Message], ds[i].Message)
		ds[i].Hint = cmp.Or(messages[ds[i].Hint], ds[i].Hint)
	}
	return ds
}

// builder makes the response of a result that is OK.
type builder struct {
	c       Circumstances
	mode    string
	current map[string]json.RawMessage
	known   bool // the current config is
	patch   plan.Patch
	ds      []plan.Diagnostic
	summary summary
}

// summary is what a run would change, by name.
type summary struct {
	Mode    string   `json:"mode"`
	Added   []string `json:"added"`
	Changed []string `json:"changed"`
	Removed []string `json:"removed"`
	Secrets []string `json:"secrets"`
}

func (b *builder) secret(field string, v json.RawMessage) bool {
	return b.c.Stored[field] || b.c.Classifier.IsSecret(field) || len(v) > 0 && (v[0] == '{' || v[0] == '[') && holdsSecret(v)
}

func isNull(v json.RawMessage) bool { return len(v) == 0 || string(v) == "null" }

func (b *builder) set(r *Result) {
	if r.Config == nil {
		b.ds = append(b.ds, plan.Diagnostic{Severity: plan.Warn, Code: "QA_NO_CONFIG", Message: "the component accepts the answers and makes no config of them"})
		return
	}
	for _, k := range sorted(r.Config) {
		v, was := r.Config[k], b.current[k]
		if isNull(v) || b.mode == "update" && bytes.Equal(v, was) {
			continue
		}
		switch {
		case isNull(was):
			b.summary.Added = append(b.summary.Added, k)
		case !bytes.Equal(v, was):
			b.summary.Changed = append(b.summary.Changed, k)
		}
		if b.secret(k, v) {
			text := string(v)
			if s, ok := plan.Tree(v).(string); ok {
				text = s
			}
			b.patch.SecretsPatch.Set[k] = plan.Redacted{Value: &text}
			b.summary.Secrets = append(b.summary.Secrets, k)
		} else {
			b.patch.ConfigPatch[k] = v
		}
	}
	if b.mode != "update" {
		return
	}
	known := b.c.Classifier.Fields()
	for _, k := range sorted(b.current) {
		others := b.c.Stored[k] && !slices.Contains(known, k)
		if !isNull(b.current[k]) && isNull(r.Config[k]) && !others {
			b.drop(k)
		}
	}
}

// drop takes away a field of the current config.
func (b *builder) drop(k string) {
	b.summary.Removed = append(b.summary.Removed, k)
	if b.secret(k, b.current[k]) {
		b.patch.SecretsPatch.Delete = append(b.patch.SecretsPatch.Delete, k)
		b.summary.Secrets = append(b.summary.Secrets, k)
	} else {
		b.patch.ConfigPatch[k] = json.RawMessage("null")
	}
}

var cleanupNotes = map[string]string{
	deleteConfig:                      "on removal: the provider's config is deleted",
	deleteSecrets:                     "on removal: the secrets that the provider owns are deleted as far as possible",
	revokeWebhooks:                    "on removal: webhooks are revoked as far as possible",
	"delete_provenance_key":           "on removal: the record of where the config came from is to be deleted",
	"delete_provider_state_namespace": "on removal: the provider's state is to be deleted",
	"best_effort_revoke_tokens":       "on removal: tokens are to be revoked at the provider as far as possible",
}

func (b *builder) remove(r *Result) {
	if !r.Removal {
		b.ds = append(b.ds, plan.Diagnostic{Severity: plan.Warn, Code: "QA_REMOVES_NOTHING", Message: "the component accepts the removal and does not say what to remove"})
		return
	}
	for _, token := range r.Cleanup {
		b.patch.Notes = append(b.patch.Notes, cmp.Or(cleanupNotes[token], "on removal: "+token))
	}
	if len(r.Cleanup) == 0 && r.RemoveAll {
		b.patch.Notes = append(b.patch.Notes, "on removal: everything of the provider is to be removed")
	}
	fields := sorted(b.current)
	if !b.known {
		fields = b.c.Classifier.Fields()
	}
	if slices.Contains(r.Cleanup, deleteConfig) {
		for _, k := range fields {
			if !b.secret(k, b.current[k]) {
				b.patch.ConfigPatch[k] = json.RawMessage("null")
				b.summary.Removed = append(b.summary.Removed, k)
			}
		}
	}
	if slices.Contains(r.Cleanup, deleteSecrets) {
		keys := b.c.Classifier.SecretKeys()
		for _, k := range fields {
			if b.secret(k, b.current[k]) {
				keys = append(keys, k)
			}
		}
		slices.Sort(keys)
		b.patch.SecretsPatch.Delete = slices.Compact(keys)
		b.summary.Secrets = b.patch.SecretsPatch.Delete
	}
}

func (b *builder) webhook(r *Result) {
	if !b.c.Ingress || b.mode == "remove" && !r.Removal {
		return
	}
	op := plan.WebhookOp{Op: "register", Metadata: map[string]json.RawMessage{}}
	if b.mode == "remove" {
		op.Op = "delete"
	}
	tenant, team := orDefault(b.c.Tenant.Tenant), orDefault(b.c.Tenant.Team)
	for k, v := range map[string]string{"provider": b.c.Provider, "tenant": tenant, "team": team} {
		op.Metadata[k] = canonical(v)
	}
	base := ""
	if b.c.PublicBaseURL != nil {
		base = *b.c.PublicBaseURL
	}
	for _, from := range []map[string]json.RawMessage{b.current, r.Config} {
		if s, ok := plan.Tree(from["public_base_url"]).(string); ok && s != "" {
			base = s
		}
	}
	if base == "" {
		b.ds = append(b.ds, plan.Diagnostic{Severity: plan.Warn, Code: "WEBHOOK_WITHOUT_URL",
			Message: "the pack has an ingress, and there is no public base URL to make its webhook's address of", Hint: "give --public-base-url"})
	} else {
		to := strings.TrimRight(base, "/") + "/v1/messaging/ingress"
		for _, part := range []string{b.c.Provider, tenant, team} {
			to += "/" + url.PathEscape(part)
		}
		op.URL = &to
	}
	b.patch.WebhookOps = append(b.patch.WebhookOps, op)
}

func orDefault(s *string) string {
	if s == nil || *s == "" {
		return "default"
	}
	return *s
}

func (b *builder) response() json.RawMessage {
	b.summary.Mode = b.mode
	for _, list := range []*[]string{&b.summary.Added, &b.summary.Changed, &b.summary.Removed, &b.summary.Secrets} {
		if *list == nil {
			*list = []string{}
		}
		slices.Sort(*list)
	}
	doc := map[string]any{"ok": true, "plan": b.patch, "summary": b.summary}
	if len(b.ds) > 0 {
		doc["diagnostics"] = b.ds
	}
	return canonical(doc)
}
