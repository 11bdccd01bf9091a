package capability

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/greentic-ai/greentic-provision/plan"
)

// stateKey is what a key of the state store names. Greentic's provisioning
// component writes configuration under config/<scope>/<key> and secrets under
// secrets/<scope>/<key>; here these are the configuration and the secrets, in
// every scope, since a run is about one provider. Anything else is a blob.
type stateKey struct {
	grant      string // GrantConfig, GrantSecrets or, for a blob, ""
	scope, key string
	canon      string // of a secret
}

// stateKey reads a key of the state store, for an operation that needs the grant
// of what it names.
func (h *Host) stateKey(op Op, k string) (stateKey, error) {
	if why := checkKey(k); why != "" {
		return stateKey{}, refuse(Invalid, "%s", why)
	}
	grant, rest, _ := strings.Cut(k, "/")
	scope, key, _ := strings.Cut(rest, "/")
	if grant != GrantConfig && grant != GrantSecrets || scope == "" || key == "" {
		return stateKey{key: k}, nil
	}
	if err := h.allow(op, grant); err != nil {
		return stateKey{}, err
	}
	s := stateKey{grant: grant, scope: scope, key: key}
	if grant == GrantSecrets {
		why := ""
		if s.canon, why = CanonicalSecret(key); why != "" {
			return stateKey{}, refuse(Invalid, "%s", why)
		}
	}
	return s, nil
}

func (h *Host) stateRead(a Args) (Reply, error) {
	k, err := h.stateKey(StateRead, a.Key)
	if err != nil {
		return Reply{}, err
	}
	var v []byte
	found := false
	switch k.grant {
	case GrantConfig:
		v, found = h.config[k.key]
	case GrantSecrets:
		v, found = h.secrets[k.canon]
	default:
		v, found = h.state[k.key]
	}
	if !found {
		return Reply{}, refuse(NotFound, "state key not found")
	}
	return Reply{Found: true, Bytes: v}, nil
}

func (h *Host) stateWrite(a Args) (Reply, error) {
	k, err := h.stateKey(StateWrite, a.Key)
	if err != nil {
		return Reply{}, err
	}
	switch k.grant {
	case GrantConfig:
		v, err := blobValue(a.Bytes)
		if err != nil {
			return Reply{}, err
		}
		reply, err := h.setConfig(StateWrite, k.key, v)
		if err == nil {
			h.scoped(plan.TargetConfig+k.key, configPlace(k.key), k.scope)
		}
		return reply, err
	case GrantSecrets:
		reply, err := h.putSecret(StateWrite, k.canon, k.key, a.Bytes)
		if err == nil {
			h.seenWithin(a.Bytes)
			h.scoped(plan.TargetSecretSet+k.key, secretPlace(k.canon), k.scope)
		}
		return reply, err
	}
	if strings.HasPrefix(k.key, GrantSecrets+"/") { // without a scope, but meant as one
		if err := h.chargeSecret(k.key, a.Bytes); err != nil {
			return Reply{}, err
		}
		h.seen(string(a.Bytes))
		h.seenWithin(a.Bytes)
	} else if err := h.charge(len(k.key) + len(a.Bytes)); err != nil {
		return Reply{}, err
	}
	h.state[k.key] = append([]byte{}, a.Bytes...) // not nil, which is a deletion
	h.rec.state[k.key] = true
	h.did(StateWrite, "state."+k.key, "state."+k.key)
	return Reply{}, nil
}

// stateDelete is no error where there is nothing, as in Greentic's runner.
func (h *Host) stateDelete(a Args) (Reply, error) {
	k, err := h.stateKey(StateDelete, a.Key)
	if err != nil {
		return Reply{}, err
	}
	switch k.grant {
	case GrantConfig:
		reply, err := h.dropConfig(StateDelete, k.key)
		if err == nil {
			h.scoped(plan.TargetConfig+k.key, configPlace(k.key), k.scope)
		}
		return reply, err
	case GrantSecrets:
		reply, err := h.dropSecret(StateDelete, k.canon, k.key)
		if err == nil {
			h.scoped(plan.TargetSecretDelete+k.key, secretPlace(k.canon), k.scope)
		}
		return reply, err
	}
	if err := h.charge(len(k.key)); err != nil {
		return Reply{}, err
	}
	delete(h.state, k.key)
	h.rec.state[k.key] = true
	h.did(StateDelete, "state."+k.key, "state."+k.key)
	return Reply{}, nil
}

// blobValue is a blob as configuration: JSON if it is that, else a string, which
// is how Greentic's runner stores it.
func blobValue(b []byte) (json.RawMessage, error) {
	if v, err := plan.Read(b); err == nil {
		return v, nil
	}
	if !utf8.Valid(b) {
		return nil, refuse(Invalid, "the value is neither JSON nor text")
	}
	v, err := plan.Canonical(string(b))
	if err != nil {
		return nil, refuse(Internal, "the text cannot be encoded")
	}
	return v, nil
}

// seenWithin remembers a secret that was written as a JSON string, however short: it is
// the string that would turn up elsewhere.
func (h *Host) seenWithin(b []byte) {
	var s string
	if json.Unmarshal(b, &s) == nil {
		h.seen(s)
	}
}

// collision is a place in the plan that was written under two scopes.
type collision struct{ target, place, scope, other string }

// scoped notes the scope of a write. The plan has one place for a key, whatever
// its scope.
func (h *Host) scoped(target, place, scope string) {
	if other, ok := h.scopes[place]; ok && other != scope {
		h.rec.collided = append(h.rec.collided, collision{target, place, scope, other})
	}
	h.scopes[place] = scope
}

// collisionDiagnostic names the first collision and counts the keys. Its text has
// names of the guest's in it, so it is not Own.
func collisionDiagnostic(step plan.Step, all []collision) plan.Diagnostic {
	keys := map[string]bool{}
	for _, c := range all {
		keys[c.place] = true
	}
	first := all[0]
	message := fmt.Sprintf("the %s step wrote one key under the scopes %q and %q; the last write counts", step, first.other, first.scope)
	if more := len(keys) - 1; more > 0 {
		message += fmt.Sprintf(" (and so for %d other)", more)
	}
	return plan.Diagnostic{
		Severity: plan.Warn,
		Code:     "STATE_KEY_SCOPES_COLLIDE",
		Message:  message,
		Path:     first.target,
		Hint:     "a plan has one value for a key, whatever its scope; give the keys different names",
	}
}
