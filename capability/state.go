package capability

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
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

// maxDepth is how deep JSON may nest, here and in every value a guest writes.
const maxDepth = 64

// StateError says what is wrong with a state file. Path is a JSON pointer, ""
// for the whole. No value of the file is quoted, nor is the JSON reader's error
// kept (which would quote some): it may be a secret.
type StateError struct {
	Path   string
	Reason string
}

func (e *StateError) Error() string {
	where := "state"
	if e.Path != "" {
		where += fmt.Sprintf(" at %q", e.Path)
	}
	return where + ": " + e.Reason
}

// ParseState reads a state file strictly: unknown or repeated members, wrong
// types, invalid UTF-8, nesting beyond 64, numbers beyond a float64 and anything
// after the object are errors (*StateError).
func ParseState(b []byte) (State, error) {
	if len(b) > MaxState {
		return State{}, &StateError{Reason: fmt.Sprintf("the file has %d bytes, over the limit of %d", len(b), MaxState)}
	}
	if _, err := readJSON(b); err != nil {
		return State{}, err
	}
	var file struct {
		Config        map[string]jsontext.Value `json:"config"`
		Secrets       map[string]string         `json:"secrets"`
		Subscriptions []struct {
			ID       string         `json:"id"`
			Metadata jsontext.Value `json:"metadata"`
		} `json:"subscriptions"`
	}
	if kind := jsontext.Value(b).Kind(); kind != '{' {
		return State{}, &StateError{Reason: fmt.Sprintf("expected an object, found %s", kind)}
	}
	if err := jsonv2.Unmarshal(b, &file, jsonv2.RejectUnknownMembers(true)); err != nil {
		e := &StateError{Reason: "not a state file"}
		if sem, ok := errors.AsType[*jsonv2.SemanticError](err); ok {
			e.Path = string(sem.JSONPointer)
			switch {
			case errors.Is(sem.Err, jsonv2.ErrUnknownName):
				e.Reason = "unknown member"
			case sem.JSONKind != 0:
				e.Reason = fmt.Sprintf("%s is not what belongs here", sem.JSONKind)
			}
		}
		return State{}, e
	}

	s := State{Config: map[string]json.RawMessage{}, Secrets: map[string]string{}, Subscriptions: []StateSubscription{}, given: true}
	for _, k := range slices.Sorted(maps.Keys(file.Config)) {
		if why := checkKey(k); why != "" {
			return State{}, &StateError{Path: pointer("config", k), Reason: why}
		}
		s.Config[k] = compact(file.Config[k])
	}
	spelled := map[string]string{}
	for _, k := range slices.Sorted(maps.Keys(file.Secrets)) {
		canon, why := canonicalSecret(k)
		if why != "" {
			return State{}, &StateError{Path: pointer("secrets", k), Reason: why}
		}
		if other, ok := spelled[canon]; ok {
			return State{}, &StateError{Path: pointer("secrets", k), Reason: fmt.Sprintf("names the same secret as %q", other)}
		}
		spelled[canon] = k
		s.Secrets[k] = file.Secrets[k]
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
		if sub.Metadata.Kind() != '{' {
			return State{}, &StateError{Path: path + "/metadata", Reason: "is not an object"}
		}
		s.Subscriptions = append(s.Subscriptions, StateSubscription{ID: sub.ID, Metadata: compact(sub.Metadata)})
	}
	return s, nil
}

// ForGuest is the state as a step's request shows it (`existing_state`): secrets
// by name only. It is null when no state was given.
func (s State) ForGuest() json.RawMessage {
	if !s.given && s.Config == nil && s.Secrets == nil && s.Subscriptions == nil {
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

// readJSON checks that b is one JSON value, with no name twice in an object,
// valid UTF-8, nested no deeper than maxDepth, and no number beyond what other
// readers of the plan can hold (a float64). It gives the kind of the value: '{'
// for an object.
func readJSON(b []byte) (jsontext.Kind, *StateError) {
	d := jsontext.NewDecoder(bytes.NewReader(b))
	kind := d.PeekKind()
	for first := true; ; first = false {
		if !first && d.StackDepth() == 0 {
			break
		}
		tok, err := d.ReadToken()
		if err != nil {
			return 0, syntaxError(err)
		}
		if tok.Kind() == '0' {
			if _, err := strconv.ParseFloat(tok.String(), 64); err != nil {
				return 0, &StateError{Path: string(d.StackPointer()), Reason: "a number is too large"}
			}
		}
		if d.StackDepth() > maxDepth {
			return 0, &StateError{Path: "", Reason: fmt.Sprintf("nested deeper than %d", maxDepth)}
		}
	}
	if _, err := d.ReadToken(); err != io.EOF {
		return 0, &StateError{Reason: "something follows the JSON value"}
	}
	return kind, nil
}

// syntaxError turns the reader's error into ours without its text: that may
// quote the offending characters, which may belong to a secret.
func syntaxError(err error) *StateError {
	e := &StateError{Reason: "not valid JSON"}
	if syn, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		e.Path = string(syn.JSONPointer)
		e.Reason = fmt.Sprintf("not valid JSON (byte %d)", syn.ByteOffset)
		if errors.Is(syn.Err, jsontext.ErrDuplicateName) {
			e.Reason = "is there twice"
		}
	}
	return e
}

// compact takes the white space out of JSON that readJSON has checked.
func compact(v jsontext.Value) json.RawMessage {
	c := v.Clone()
	if err := c.Compact(); err != nil {
		panic(fmt.Sprintf("capability: %v after it was checked", err))
	}
	return json.RawMessage(c)
}

func pointer(names ...string) string {
	var p jsontext.Pointer
	for _, n := range names {
		p = p.AppendToken(n)
	}
	return string(p)
}
