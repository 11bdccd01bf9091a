package flow

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/greentic-ai/greentic-provision/plan"
)

// member is one member of a JSON object.
type member struct {
	name  string
	value json.RawMessage
}

// members gives the members of an object in the order of the text; false where b
// is no object.
func members(b json.RawMessage) ([]member, bool) {
	d := jsontext.NewDecoder(bytes.NewReader(b))
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return nil, false
	}
	var out []member
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, false
		}
		m := member{name: name.String()}
		v, err := d.ReadValue()
		if err != nil {
			return nil, false
		}
		m.value = json.RawMessage(v.Clone())
		out = append(out, m)
	}
	_, err := d.ReadToken()
	return out, err == nil
}

// elements is members for arrays.
func elements(b json.RawMessage) ([]json.RawMessage, bool) {
	d := jsontext.NewDecoder(bytes.NewReader(b))
	if t, err := d.ReadToken(); err != nil || t.Kind() != '[' {
		return nil, false
	}
	var out []json.RawMessage
	for d.PeekKind() != ']' {
		v, err := d.ReadValue()
		if err != nil {
			return nil, false
		}
		out = append(out, json.RawMessage(v.Clone()))
	}
	return out, true
}

// object gives the members of an object by name; nil where b is none.
func object(b json.RawMessage) map[string]json.RawMessage {
	list, ok := members(b)
	if !ok {
		return nil
	}
	m := make(map[string]json.RawMessage, len(list))
	for _, e := range list {
		m[e.name] = e.value
	}
	return m
}

// text gives a JSON string; false for other types and for nothing.
func text(b json.RawMessage) (string, bool) {
	if len(b) == 0 || b[0] != '"' {
		return "", false
	}
	s, err := jsontext.AppendUnquote(nil, []byte(b))
	return string(s), err == nil
}

// absent says that a member is not there or null.
func absent(b json.RawMessage) bool { return len(b) == 0 || string(b) == "null" }

// countValues is how many values canonical JSON holds, keys not counted.
func countValues(b json.RawMessage) int {
	n, quoted := 1, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ',' || c == '[' || c == '{'):
			n++
		}
	}
	return n
}

// keys gives the names of an object in order.
func keys(m map[string]any) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// canonical encodes a value of ours, which always can be.
func canonical(v any) json.RawMessage {
	b, err := plan.Canonical(v)
	if err != nil {
		panic("flow: " + err.Error()) // a value that tree gave, or one made of them
	}
	return b
}
