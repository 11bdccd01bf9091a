package plan

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Response is what a step answered, read strictly. Raw values are canonical.
type Response struct {
	// Patch is the member "plan"; nil when there is none. Secrets in it are
	// redacted: plaintext is in Secrets.
	Patch *Patch
	// Questions is the member "questions"; nil when there is none.
	Questions json.RawMessage
	// Diagnostics is the member "diagnostics", as the step wrote them: hostile
	// text.
	Diagnostics []Diagnostic
	// Failed says that the step set "ok" to false; Message is the member
	// "message", which may say why.
	Failed  bool
	Message string
	// Subscriptions is the member "subscriptions", which is in Data as well.
	Subscriptions []SubscriptionOp `json:"-"`
	// Data is the response without plan, questions and diagnostics: "ok", "step",
	// "message", "summary", "requirements", "subscriptions" and whatever else the
	// step said. Always an object.
	Data json.RawMessage
	// Secrets are the plaintext values that the patch set, by name. They are in
	// memory only: no type that is written holds them.
	Secrets map[string]string `json:"-"`
	// Misspelt are members at the top that are data, but look as if a member of the
	// contract was meant. Their names are as good as those of the contract.
	Misspelt []string `json:"-"`
}

// SecretValues gives the values of Secrets, in the order of their names, each with the
// texts in it (TextsWithin).
func (r Response) SecretValues() []string {
	var vs []string
	for _, k := range slices.Sorted(maps.Keys(r.Secrets)) {
		vs = append(vs, r.Secrets[k])
		vs = append(vs, TextsWithin(r.Secrets[k])...)
	}
	return vs
}

// DecodeResponse reads the response of a step. The text is hostile; the caller
// bounds its size. An error is a *JSONError, and the Response is then empty.
//
// Every member may be missing, and null counts as missing. Members that are part
// of the contract must have their documented type, and inside of plan and
// diagnostics there are no unknown members: what is misspelt would otherwise be
// missing from a plan that looks complete. At the top, unknown members are data,
// and Misspelt has those that look like an accident.
//
// Where upstream asks for both set and delete in secrets_patch, either may be
// missing here; where upstream ignores a part of the wrong type, that is an
// error here.
func DecodeResponse(b []byte) (Response, error) {
	doc, err := ReadObject(b)
	if err != nil {
		return Response{}, err
	}
	var r Response
	data := map[string]json.RawMessage{}
	err = members("", doc, func(name, path string, v json.RawMessage) (err error) {
		if isNull(v) {
			if name != "plan" && name != "questions" && name != "diagnostics" {
				data[name] = v
			}
			return nil
		}
		switch name {
		case "plan":
			r.Patch, r.Secrets, err = decodePatch(path, v)
			return err
		case "questions":
			r.Questions = v
			return nil
		case "diagnostics":
			return elements(path, v, func(path string, v json.RawMessage) error {
				d, err := decodeDiagnostic(path, v)
				r.Diagnostics = append(r.Diagnostics, d)
				return err
			})
		case "ok":
			var ok bool
			ok, err = boolean(path, v)
			r.Failed = !ok
		case "message":
			r.Message, err = text(path, v)
		case "step":
			_, err = text(path, v)
		case "subscriptions":
			r.Subscriptions, err = decodeList(path, v, decodeSubscription)
		}
		if misspelt(name) {
			r.Misspelt = append(r.Misspelt, name)
		}
		data[name] = v
		return err
	})
	if err != nil {
		return Response{}, err
	}
	if r.Data, err = Canonical(data); err != nil {
		return Response{}, err
	}
	return r, nil
}

// topMembers are the members of a response that the contract names.
var topMembers = []string{"plan", "diagnostics", "questions", "ok", "step", "message", "subscriptions", "summary", "requirements"}

// misspelt says that a name is none of the contract's, but one in other case or
// with an s too many or too few.
func misspelt(name string) bool {
	if slices.Contains(topMembers, name) {
		return false
	}
	stem := func(s string) string { return strings.TrimSuffix(strings.ToLower(s), "s") }
	return slices.ContainsFunc(topMembers, func(known string) bool { return stem(known) == stem(name) })
}

func decodePatch(path string, v json.RawMessage) (*Patch, map[string]string, error) {
	var p Patch
	secrets := map[string]string{}
	err := members(path, v, func(name, path string, v json.RawMessage) (err error) {
		null := isNull(v)
		switch name {
		case "config_patch":
			if !null {
				p.ConfigPatch, err = object(path, v)
			}
		case "secrets_patch":
			if !null {
				p.SecretsPatch, err = decodeSecrets(path, v, secrets)
			}
		case "webhook_ops":
			if !null {
				p.WebhookOps, err = decodeList(path, v, decodeWebhook)
			}
		case "subscription_ops":
			if !null {
				p.SubscriptionOps, err = decodeList(path, v, decodeSubscription)
			}
		case "oauth_ops":
			if !null {
				p.OAuthOps, err = decodeList(path, v, decodeOAuth)
			}
		case "notes":
			if !null {
				p.Notes, err = texts(path, v)
			}
		default:
			err = unknown(path)
		}
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return &p, secrets, nil
}

func decodeList[T any](path string, v json.RawMessage, one func(string, json.RawMessage) (T, error)) ([]T, error) {
	list := []T{}
	err := elements(path, v, func(path string, v json.RawMessage) error {
		t, err := one(path, v)
		list = append(list, t)
		return err
	})
	return list, err
}

// decodeSecrets puts plaintext into values and leaves a redacted entry behind.
func decodeSecrets(path string, v json.RawMessage, values map[string]string) (*SecretsPatch, error) {
	s := &SecretsPatch{Set: map[string]Redacted{}, Delete: []string{}}
	err := members(path, v, func(name, path string, v json.RawMessage) (err error) {
		switch {
		case name != "set" && name != "delete":
			return unknown(path)
		case isNull(v):
			return nil
		case name == "delete":
			s.Delete, err = texts(path, v)
			return err
		}
		return members(path, v, func(key, path string, v json.RawMessage) error {
			r, err := decodeRedacted(path, v)
			if r.Value != nil {
				values[key] = *r.Value
				r = Redacted{Redacted: true}
			}
			s.Set[key] = r
			return err
		})
	})
	return s, err
}

func decodeRedacted(path string, v json.RawMessage) (Redacted, error) {
	var r Redacted
	said := false
	err := members(path, v, func(name, path string, v json.RawMessage) (err error) {
		switch name {
		case "redacted":
			said = true
			r.Redacted, err = boolean(path, v)
		case "value":
			r.Value, err = optionalText(path, v)
		default:
			err = unknown(path)
		}
		return err
	})
	if err == nil && !said {
		err = missing(path, "redacted")
	}
	return r, err
}

func decodeWebhook(path string, v json.RawMessage) (WebhookOp, error) {
	var url *string
	op, err := decodeOperation(path, v, &url)
	return WebhookOp{Op: op.Op, ID: op.ID, URL: url, Metadata: op.Metadata}, err
}

func decodeSubscription(path string, v json.RawMessage) (SubscriptionOp, error) {
	return decodeOperation(path, v, nil)
}

// decodeOperation reads what webhooks and subscriptions have in common, and a URL
// where there is a place for it.
func decodeOperation(path string, v json.RawMessage, url **string) (SubscriptionOp, error) {
	op := SubscriptionOp{Metadata: map[string]json.RawMessage{}}
	err := members(path, v, func(name, path string, v json.RawMessage) (err error) {
		switch {
		case name == "op":
			op.Op, err = word(path, v)
		case name == "id":
			op.ID, err = optionalText(path, v)
		case name == "url" && url != nil:
			*url, err = optionalText(path, v)
		case name == "metadata":
			if !isNull(v) {
				op.Metadata, err = object(path, v)
			}
		default:
			err = unknown(path)
		}
		return err
	})
	if err == nil && op.Op == "" {
		err = missing(path, "op")
	}
	return op, err
}

func decodeOAuth(path string, v json.RawMessage) (OAuthOp, error) {
	op := OAuthOp{Scopes: []string{}}
	err := members(path, v, func(name, path string, v json.RawMessage) (err error) {
		switch name {
		case "op":
			if op.Op, err = word(path, v); err == nil && op.Op != "start" {
				err = jsonError(path, `must be "start"`)
			}
		case "provider":
			op.Provider, err = word(path, v)
		case "scopes":
			if !isNull(v) {
				op.Scopes, err = texts(path, v)
			}
		case "redirect_url":
			op.RedirectURL, err = optionalText(path, v)
		default:
			err = unknown(path)
		}
		return err
	})
	if err == nil && op.Op == "" {
		err = missing(path, "op")
	}
	if err == nil && op.Provider == "" {
		err = missing(path, "provider")
	}
	return op, err
}

var screamingSnake = regexp.MustCompile(`^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$`)

// maxCode is the length of a diagnostic's code.
const maxCode = 128

func decodeDiagnostic(path string, v json.RawMessage) (Diagnostic, error) {
	var d Diagnostic
	said := map[string]bool{}
	err := members(path, v, func(name, path string, v json.RawMessage) (err error) {
		said[name] = true
		var s *string
		switch name {
		case "severity":
			var w string
			w, err = text(path, v)
			d.Severity = Severity(w)
			if err == nil && d.Severity != Info && d.Severity != Warn && d.Severity != Error {
				err = jsonError(path, "must be one of info, warn, error")
			}
		case "code":
			d.Code, err = text(path, v)
			if err == nil && (len(d.Code) > maxCode || !screamingSnake.MatchString(d.Code)) {
				err = jsonError(path, "must be in SCREAMING_SNAKE_CASE, of at most %d bytes", maxCode)
			}
		case "message":
			d.Message, err = text(path, v)
		case "path":
			if s, err = optionalText(path, v); s != nil {
				d.Path = *s
			}
		case "hint":
			if s, err = optionalText(path, v); s != nil {
				d.Hint = *s
			}
		case "data":
			if !isNull(v) {
				d.Data = v
			}
		default:
			err = unknown(path)
		}
		return err
	})
	for _, name := range []string{"severity", "code", "message"} {
		if err == nil && !said[name] {
			err = missing(path, name)
		}
	}
	return d, err
}

// word is text that is not empty.
func word(path string, v json.RawMessage) (string, error) {
	s, err := text(path, v)
	if err == nil && s == "" {
		err = jsonError(path, "must not be empty")
	}
	return s, err
}

func unknown(path string) error { return jsonError(path, "is not a member of the contract") }

func missing(path, name string) error { return jsonError(path, "lacks the member %q", name) }
