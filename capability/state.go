package capability

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/greentic-ai/greentic-provision/plan"
)

// State is what exists before the run, as the operator says: reads of the guest
// see it below the run's own writes. The zero State says that nothing is known.
//
// The file is a JSON object, every member optional:
//
//	{"config":        {"region": "eu", …},               any JSON values
//	 "secrets":       {"BOT_TOKEN": "the value", …},     strings
//	 "subscriptions": [{"id": "s1", "metadata": {…}}, …]}
type State struct {
	Config        map[string]json.RawMessage
	Secrets       map[string]string
	Subscriptions []StateSubscription
	// Blobs are what earlier runs left in the state store, by key. No file has them.
	Blobs map[string][]byte
	// Hidden are texts that are secret although they stand in Config, Subscriptions or
	// Blobs. No file has them.
	Hidden []string

	given bool
}

// StateSubscription is a subscription that exists. Metadata is a JSON object.
type StateSubscription struct {
	ID       string
	Metadata json.RawMessage
}

// MaxState is the largest state file that ParseState reads, in bytes: the size
// of any structured document of this program.
const MaxState = 4 << 20

// StateError says what is wrong with a state file, as the reader of all other JSON
// does: where, and why in words that quote no value, which may be a secret.
type StateError = plan.JSONError

// ParseState reads a state file strictly: everything that plan.Read refuses,
// unknown members and wrong types are errors (*StateError). Values are kept in
// canonical form.
func ParseState(b []byte) (State, error) {
	if len(b) > MaxState {
		return State{}, &StateError{Reason: fmt.Sprintf("has %d bytes, over the limit of %d", len(b), MaxState)}
	}
	doc, err := plan.ReadObject(b)
	if err != nil {
		return State{}, err
	}
	var file struct {
		Config        map[string]jsontext.Value `json:"config"`
		Secrets       map[string]*string        `json:"secrets"`
		Subscriptions []struct {
			ID       string         `json:"id"`
			Metadata jsontext.Value `json:"metadata"`
		} `json:"subscriptions"`
	}
	if err := jsonv2.Unmarshal(doc, &file, jsonv2.RejectUnknownMembers(true)); err != nil {
		return State{}, stateError(err)
	}

	s := State{Config: map[string]json.RawMessage{}, Secrets: map[string]string{}, Subscriptions: []StateSubscription{}, given: true}
	for _, k := range slices.Sorted(maps.Keys(file.Config)) {
		if why := checkKey(k); why != "" {
			return State{}, &StateError{Path: pointer("config", k), Reason: why}
		}
		s.Config[k] = json.RawMessage(file.Config[k])
	}
	spelled := map[string]string{}
	for _, k := range slices.Sorted(maps.Keys(file.Secrets)) {
		canon, why := CanonicalSecret(k)
		if why != "" {
			return State{}, &StateError{Path: pointer("secrets", k), Reason: why}
		}
		if other, ok := spelled[canon]; ok {
			return State{}, &StateError{Path: pointer("secrets", k), Reason: fmt.Sprintf("names the same secret as %q", other)}
		}
		spelled[canon] = k
		if file.Secrets[k] == nil {
			return State{}, &StateError{Path: pointer("secrets", k), Reason: "must be a string, found null"}
		}
		s.Secrets[k] = *file.Secrets[k]
	}
	seen := map[string]bool{}
	for i, sub := range file.Subscriptions {
		path := fmt.Sprintf("/subscriptions/%d", i)
		if why := checkKey(sub.ID); why != "" {
			return State{}, &StateError{Path: path + "/id", Reason: why}
		}
		if seen[sub.ID] {
			return State{}, &StateError{Path: path + "/id", Reason: "is there twice"}
		}
		seen[sub.ID] = true
		if sub.Metadata == nil {
			sub.Metadata = jsontext.Value("{}")
		}
		if kind := sub.Metadata.Kind(); kind != '{' {
			return State{}, &StateError{Path: path + "/metadata", Reason: "must be an object, found " + jsonKinds[kind]}
		}
		s.Subscriptions = append(s.Subscriptions, StateSubscription{ID: sub.ID, Metadata: json.RawMessage(sub.Metadata)})
	}
	return s, nil
}

// Allowed is what of the state a guest may be told that has these grants and keys
// (Config; nil lists mean what they mean there): configuration, secrets, subscriptions
// by id, and blobs, each by its own grant and where its key is allowed. A member that is
// there stays, if empty. Hidden stays: it is no part of what is told.
func (s State) Allowed(grants, keys []string) State {
	if grants == nil {
		grants = Grants()
	}
	allows := func(grant, key string) bool {
		if grant == GrantSecrets {
			return slices.Contains(grants, grant) && AllowsSecret(keys, key)
		}
		return slices.Contains(grants, grant) && AllowsKey(keys, key)
	}
	s.Config, s.Secrets, s.Blobs = maps.Clone(s.Config), maps.Clone(s.Secrets), maps.Clone(s.Blobs)
	maps.DeleteFunc(s.Config, func(k string, _ json.RawMessage) bool { return !allows(GrantConfig, k) })
	maps.DeleteFunc(s.Secrets, func(k, _ string) bool { return !allows(GrantSecrets, k) })
	maps.DeleteFunc(s.Blobs, func(k string, _ []byte) bool { return !allows(GrantState, k) })
	s.Subscriptions = slices.DeleteFunc(slices.Clone(s.Subscriptions), func(sub StateSubscription) bool { return !allows(GrantSubscriptions, sub.ID) })
	s.Hidden = slices.Clone(s.Hidden)
	return s
}

// ForGuest is the state as a step's request shows it (`existing_state`): secrets
// by name only. It is null when no state was given.
func (s State) ForGuest() json.RawMessage {
	if !s.given && s.Config == nil && s.Secrets == nil && s.Subscriptions == nil && s.Blobs == nil {
		return json.RawMessage("null")
	}
	type redacted struct {
		Redacted bool    `json:"redacted"`
		Value    *string `json:"value"`
	}
	type subscription struct {
		ID       string         `json:"id"`
		Metadata jsontext.Value `json:"metadata"`
	}
	out := struct {
		Config        map[string]jsontext.Value `json:"config"`
		Secrets       map[string]redacted       `json:"secrets"`
		Subscriptions []subscription            `json:"subscriptions"`
	}{map[string]jsontext.Value{}, map[string]redacted{}, []subscription{}}
	for k, v := range s.Config {
		out.Config[k] = jsontext.Value(v)
	}
	for k := range maps.Keys(s.Secrets) {
		out.Secrets[k] = redacted{Redacted: true}
	}
	for _, sub := range s.Subscriptions {
		out.Subscriptions = append(out.Subscriptions, subscription{sub.ID, jsontext.Value(sub.Metadata)})
	}
	b, err := jsonv2.Marshal(out, jsonv2.Deterministic(true))
	if err != nil {
		// Only a State that was not made by ParseState can hold what is not JSON.
		panic(fmt.Sprintf("capability: State holds invalid JSON: %v", err))
	}
	return b
}

// stateError words what the decoder did not like about a document that is JSON.
func stateError(err error) *StateError {
	sem, ok := errors.AsType[*jsonv2.SemanticError](err)
	if !ok {
		return &StateError{Reason: "is not a state file"}
	}
	e := &StateError{Path: string(sem.JSONPointer), Reason: "is not what belongs here"}
	if errors.Is(sem.Err, jsonv2.ErrUnknownName) {
		e.Reason = "is not a member of a state file"
	} else if want, found := goKinds[sem.GoType.Kind()], jsonKinds[sem.JSONKind]; want != "" && found != "" {
		e.Reason = "must be " + want + ", found " + found
	}
	return e
}

// The types of a state file, and of JSON, for people.
var (
	goKinds   = map[reflect.Kind]string{reflect.Map: "an object", reflect.Struct: "an object", reflect.Slice: "an array", reflect.String: "a string"}
	jsonKinds = map[jsontext.Kind]string{'{': "an object", '[': "an array", '"': "a string", '0': "a number", 't': "a boolean", 'f': "a boolean", 'n': "null"}
)

func pointer(names ...string) string {
	var p jsontext.Pointer
	for _, n := range names {
		p = p.AppendToken(n)
	}
	return string(p)
}
