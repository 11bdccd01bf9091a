package capability

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/greentic-ai/greentic-provision/plan"
)

// operation says which arguments an operation takes and what it does.
type operation struct {
	key, value, bytes, oauth bool
	run                      func(*Host, Args) (Reply, error)
}

// operations is every operation there is; TestOperations compares it with the
// Op constants.
var operations = map[Op]operation{
	ConfigGet:    {key: true, run: (*Host).configGet},
	ConfigSet:    {key: true, value: true, run: (*Host).configSet},
	ConfigDelete: {key: true, run: (*Host).configDelete},
	ConfigList:   {key: true, run: (*Host).configList},

	SecretsGet:    {key: true, run: (*Host).secretsGet},
	SecretsPut:    {key: true, bytes: true, run: (*Host).secretsPut},
	SecretsDelete: {key: true, run: (*Host).secretsDelete},

	SubscriptionsList:   {run: (*Host).subscriptionsList},
	SubscriptionsUpsert: {key: true, value: true, run: (*Host).subscriptionsUpsert},
	SubscriptionsDelete: {key: true, run: (*Host).subscriptionsDelete},

	OAuthConsentURL: {oauth: true, run: (*Host).oauthConsentURL},
	OAuthExchange:   {oauth: true, run: (*Host).oauthExchange},
	OAuthToken:      {oauth: true, run: (*Host).oauthToken},

	StateRead:   {key: true, run: (*Host).stateRead},
	StateWrite:  {key: true, bytes: true, run: (*Host).stateWrite},
	StateDelete: {key: true, run: (*Host).stateDelete},

	MessagingSend: {key: true, value: true, run: (*Host).messagingSend},
	HTTPSend:      {}, // never run: allow refuses it
}

// decodeArgs reads an argument object strictly. Nesting is bounded by the shape
// of Args itself: an unknown member is refused before its value is read.
func decodeArgs(b []byte) (Args, error) {
	var a Args
	if jsontext.Value(b).Kind() != '{' {
		return a, refuse(Invalid, "the arguments are not a JSON object")
	}
	if err := jsonv2.Unmarshal(b, &a, jsonv2.RejectUnknownMembers(true)); err != nil {
		return Args{}, refuse(Invalid, "the arguments are malformed") // the reader's text may quote a secret
	}
	return a, nil
}

// takes refuses arguments that the operation has no use for: an argument that
// is ignored is one that someone else may read differently.
func (o operation) takes(a Args) error {
	switch {
	case a.Key != "" && !o.key:
		return refuse(Invalid, "the operation takes no key")
	case a.Value != nil && !o.value:
		return refuse(Invalid, "the operation takes no value")
	case a.Value == nil && o.value:
		return refuse(Invalid, "the operation needs a value")
	case len(a.Bytes) > 0 && !o.bytes:
		return refuse(Invalid, "the operation takes no bytes")
	case a.OAuth != nil && !o.oauth:
		return refuse(Invalid, "the operation takes no oauth arguments")
	case a.OAuth == nil && o.oauth:
		return refuse(Invalid, "the operation needs oauth arguments")
	}
	return nil
}

func (h *Host) configGet(a Args) (Reply, error) {
	if why := checkKey(a.Key); why != "" {
		return Reply{}, refuse(Invalid, "%s", why)
	}
	v, ok := h.config[a.Key]
	return Reply{Found: ok, Value: string(v)}, nil
}

func (h *Host) configSet(a Args) (Reply, error) {
	if why := checkKey(a.Key); why != "" {
		return Reply{}, refuse(Invalid, "%s", why)
	}
	v, err := value(*a.Value)
	if err != nil {
		return Reply{}, err
	}
	return h.setConfig(ConfigSet, a.Key, v)
}

func (h *Host) setConfig(op Op, key string, v json.RawMessage) (Reply, error) {
	if err := h.charge(len(key) + len(v)); err != nil {
		return Reply{}, err
	}
	h.config[key] = v
	h.rec.config[key] = v
	h.did(op, plan.TargetConfig+key, configPlace(key))
	return Reply{}, nil
}

func (h *Host) configDelete(a Args) (Reply, error) {
	if why := checkKey(a.Key); why != "" {
		return Reply{}, refuse(Invalid, "%s", why)
	}
	return h.dropConfig(ConfigDelete, a.Key)
}

func (h *Host) dropConfig(op Op, key string) (Reply, error) {
	if err := h.charge(len(key)); err != nil {
		return Reply{}, err
	}
	delete(h.config, key)
	h.rec.config[key] = json.RawMessage("null")
	h.did(op, plan.TargetConfig+key, configPlace(key))
	return Reply{}, nil
}

// The places of effects (effect.place).
func configPlace(key string) string   { return "config." + key }
func secretPlace(canon string) string { return "secrets." + canon }

func (h *Host) configList(a Args) (Reply, error) {
	if why := checkText(a.Key, MaxKey); why != "" {
		return Reply{}, refuse(Invalid, "%s", why)
	}
	var keys []string
	for k := range h.config {
		if strings.HasPrefix(k, a.Key) && AllowsKey(h.keys, k) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return Reply{Keys: keys}, nil
}

func (h *Host) secretsGet(a Args) (Reply, error) {
	canon, why := CanonicalSecret(a.Key)
	if why != "" {
		return Reply{}, refuse(Invalid, "%s", why)
	}
	v, ok := h.secrets[canon]
	return Reply{Found: ok, Bytes: v}, nil
}

func (h *Host) secretsPut(a Args) (Reply, error) {
	canon, why := CanonicalSecret(a.Key)
	if why != "" {
		return Reply{}, refuse(Invalid, "%s", why)
	}
	return h.putSecret(SecretsPut, canon, a.Key, a.Bytes)
}

func (h *Host) putSecret(op Op, canon, key string, v []byte) (Reply, error) {
	if err := h.chargeSecret(key, v); err != nil {
		return Reply{}, err
	}
	h.secrets[canon] = v
	h.seen(string(v))
	h.rec.secrets[canon] = secretWrite{key: key}
	h.did(op, plan.TargetSecretSet+key, secretPlace(canon))
	return Reply{}, nil
}

func (h *Host) secretsDelete(a Args) (Reply, error) {
	canon, why := CanonicalSecret(a.Key)
	if why != "" {
		return Reply{}, refuse(Invalid, "%s", why)
	}
	return h.dropSecret(SecretsDelete, canon, a.Key)
}

func (h *Host) dropSecret(op Op, canon, key string) (Reply, error) {
	if err := h.charge(len(key)); err != nil {
		return Reply{}, err
	}
	delete(h.secrets, canon)
	h.rec.secrets[canon] = secretWrite{key: key, deleted: true}
	h.did(op, plan.TargetSecretDelete+key, secretPlace(canon))
	return Reply{}, nil
}

func (h *Host) subscriptionsList(Args) (Reply, error) {
	var list []Subscription
	for _, id := range slices.Sorted(maps.Keys(h.subscriptions)) {
		if AllowsKey(h.keys, id) {
			list = append(list, Subscription{ID: id, Metadata: string(h.subscriptions[id])})
		}
	}
	return Reply{Subscriptions: list}, nil
}

func (h *Host) subscriptionsUpsert(a Args) (Reply, error) {
	if why := checkKey(a.Key); why != "" {
		return Reply{}, refuse(Invalid, "%s", why)
	}
	v, err := object(*a.Value)
	if err != nil {
		return Reply{}, err
	}
	var metadata map[string]json.RawMessage
	if err := json.Unmarshal(v, &metadata); err != nil {
		return Reply{}, refuse(Internal, "the metadata cannot be read")
	}
	if err := h.charge(len(a.Key) + 2*len(v)); err != nil { // once in the overlay, once in the plan
		return Reply{}, err
	}
	verb := "create"
	if _, ok := h.subscriptions[a.Key]; ok {
		verb = "update"
	}
	h.subscriptions[a.Key] = v
	h.subscriptionOp(SubscriptionsUpsert, verb, a.Key, metadata)
	return Reply{}, nil
}

func (h *Host) subscriptionsDelete(a Args) (Reply, error) {
	if why := checkKey(a.Key); why != "" {
		return Reply{}, refuse(Invalid, "%s", why)
	}
	if _, ok := h.subscriptions[a.Key]; !ok {
		return Reply{}, refuse(NotFound, "there is no such subscription")
	}
	if err := h.charge(len(a.Key)); err != nil {
		return Reply{}, err
	}
	delete(h.subscriptions, a.Key)
	h.subscriptionOp(SubscriptionsDelete, "delete", a.Key, map[string]json.RawMessage{})
	return Reply{}, nil
}

func (h *Host) subscriptionOp(op Op, verb, id string, metadata map[string]json.RawMessage) {
	h.did(op, fmt.Sprintf("subscription_ops[%d]", len(h.rec.subs)), "")
	h.rec.subs = append(h.rec.subs, plan.SubscriptionOp{Op: verb, ID: &id, Metadata: metadata})
}

// What guests are given for consent flows. Both are the same in every run, since a
// plan may depend on them: the flow itself is an operation of the plan, done after the
// plan is committed.
const (
	// consentURL uses a name that RFC 2606 reserves for never existing.
	consentURL = "https://oauth.invalid/consent"
	// tokenSet is expired, so that a guest which checks asks again instead of
	// storing it, and says what it is.
	tokenSet = `{"access_token":"pending","token_type":"Bearer","expires_in":0,"pending":true}`
)

// TokenKey is the secret in which an installation's token set is kept, as JSON.
const TokenKey = "oauth_token"

const (
	maxScopes = 256
	maxOAuth  = 4 << 10 // redirect path, scope, code
)

// checkOAuth checks the arguments that all three operations share.
func checkOAuth(o *OAuthArgs) error {
	if why := checkKey(o.Provider); why != "" {
		return refuse(Invalid, "provider: %s", why)
	}
	if why := checkText(o.Subject, MaxKey); why != "" {
		return refuse(Invalid, "subject: %s", why)
	}
	if len(o.Scopes) > maxScopes {
		return refuse(TooLarge, "there are %d scopes, over the limit of %d", len(o.Scopes), maxScopes)
	}
	for _, s := range o.Scopes {
		if why := checkKey(s); why != "" {
			return refuse(Invalid, "scope: %s", why)
		}
	}
	if p := o.RedirectPath; p != "" {
		if why := checkText(p, maxOAuth); why != "" {
			return refuse(Invalid, "redirect path: %s", why)
		}
		// "//host" and "/\host" are addresses of other hosts to a browser.
		if p[0] != '/' || strings.HasPrefix(p, "//") || strings.Contains(p, `\`) {
			return refuse(Invalid, "the redirect path does not start with one slash")
		}
	}
	if o.Extra != "" {
		if _, err := object(o.Extra); err != nil {
			return refuse(Invalid, "the extra parameters are not a JSON object")
		}
	}
	return nil
}

func (h *Host) oauthConsentURL(a Args) (Reply, error) {
	o := a.OAuth
	if err := checkOAuth(o); err != nil {
		return Reply{}, err
	}
	if o.Code != "" {
		return Reply{}, refuse(Invalid, "the operation takes no code")
	}
	redirect := o.RedirectPath
	if redirect != "" && h.publicBaseURL != "" {
		redirect = strings.TrimRight(h.publicBaseURL, "/") + redirect
	}
	q := url.Values{"provider": {o.Provider}}
	if o.Subject != "" {
		q.Set("subject", o.Subject)
	}
	if len(o.Scopes) > 0 {
		q.Set("scope", strings.Join(o.Scopes, " "))
	}
	if redirect != "" {
		q.Set("redirect_uri", redirect)
	}

	op := plan.OAuthOp{Op: "start", Provider: o.Provider, Scopes: append([]string{}, o.Scopes...)}
	if redirect != "" {
		op.RedirectURL = &redirect
	}
	// A guest that asks twice in a step for the same URL wants one flow.
	if !slices.ContainsFunc(h.rec.oauth, func(p plan.OAuthOp) bool { return sameFlow(p, op) }) {
		size := len(o.Provider) + len(redirect)
		for _, s := range o.Scopes {
			size += len(s)
		}
		if err := h.charge(size); err != nil {
			return Reply{}, err
		}
		h.did(OAuthConsentURL, fmt.Sprintf("oauth_ops[%d]", len(h.rec.oauth)), "")
		h.rec.oauth = append(h.rec.oauth, op)
	}
	return Reply{Value: consentURL + "?" + q.Encode()}, nil
}

// TokenKeyFor is the secret with a provider's token set, in canonical spelling.
func TokenKeyFor(provider string) string {
	canon, _ := CanonicalSecret(provider)
	return TokenKey + "_" + canon
}

func sameFlow(a, b plan.OAuthOp) bool {
	if a.Provider != b.Provider || !slices.Equal(a.Scopes, b.Scopes) || (a.RedirectURL == nil) != (b.RedirectURL == nil) {
		return false
	}
	return a.RedirectURL == nil || *a.RedirectURL == *b.RedirectURL
}

// oauthExchange has no effect in a plan: the code it would use up is one that
// somebody obtained in a browser, and stays good. Codes are exchanged by the operation
// that obtains them.
func (h *Host) oauthExchange(a Args) (Reply, error) {
	o := a.OAuth
	if err := checkOAuth(o); err != nil {
		return Reply{}, err
	}
	switch {
	case o.Code == "":
		return Reply{}, refuse(Invalid, "the operation needs a code")
	case len(o.Scopes) > 0 || o.Extra != "":
		return Reply{}, refuse(Invalid, "the operation takes no scopes and no extra parameters")
	}
	if why := checkText(o.Code, maxOAuth); why != "" {
		return Reply{}, refuse(Invalid, "code: %s", why)
	}
	if err := h.charge(len(o.Code)); err != nil { // the list of secrets grows
		return Reply{}, err
	}
	h.seen(o.Code)
	return Reply{Value: tokenSet}, nil
}

func (h *Host) oauthToken(a Args) (Reply, error) {
	o := a.OAuth
	if err := checkOAuth(o); err != nil {
		return Reply{}, err
	}
	if o.Code != "" || o.RedirectPath != "" || o.Extra != "" {
		return Reply{}, refuse(Invalid, "the operation takes no code, redirect path and extra parameters")
	}
	// What an earlier consent flow obtained for this installation is one of its secrets.
	// Whether there is one already does not decide who may have it.
	if err := h.allow(OAuthToken, GrantSecrets); err != nil {
		return Reply{}, err
	}
	key := TokenKeyFor(o.Provider)
	if !AllowsSecret(h.keys, key) {
		h.deny(Denial{Op: OAuthToken, Key: key})
		return Reply{}, refuse(Denied, "policy does not allow the key")
	}
	if v, ok := h.secrets[key]; ok {
		if set, err := object(string(v)); err == nil {
			return Reply{Value: string(set)}, nil
		}
	}
	return Reply{Value: tokenSet}, nil
}

// messagingSend has no member in a plan: the message is an effect alone.
func (h *Host) messagingSend(a Args) (Reply, error) {
	if why := checkText(a.Key, MaxKey); why != "" {
		return Reply{}, refuse(Invalid, "route: %s", why)
	}
	v, err := value(*a.Value)
	if err != nil {
		return Reply{}, err
	}
	if err := h.charge(len(a.Key) + len(v)); err != nil {
		return Reply{}, err
	}
	target := "messaging" // the active session
	if a.Key != "" {
		target += "." + a.Key
	}
	h.did(MessagingSend, target, "")
	return Reply{}, nil
}

// value reads JSON text from a guest and gives its canonical form.
func value(text string) (json.RawMessage, error) {
	v, err := plan.Read([]byte(text))
	if err != nil {
		reason := "is malformed"
		if j, ok := errors.AsType[*plan.JSONError](err); ok {
			reason = j.Reason // the path has the guest's own names in it
		}
		return nil, refuse(Invalid, "the value as JSON %s", reason)
	}
	return v, nil
}

// object is value for text that must be an object.
func object(text string) (json.RawMessage, error) {
	v, err := value(text)
	if err == nil && v[0] != '{' {
		return nil, refuse(Invalid, "the value is not a JSON object")
	}
	return v, err
}
