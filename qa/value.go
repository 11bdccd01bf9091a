package qa

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/greentic-ai/greentic-provision/plan"
)

// object is a JSON object that plan.Read has let through: its depth is bounded, so
// that everything here may recurse. Numbers keep their text.
type object = map[string]any

// strict reads hostile JSON. An error is one line: a name in it that does not fit
// on one is left out with the place.
func strict(b []byte, most int) (any, error) {
	if len(b) > most {
		return nil, fmt.Errorf("JSON: has %d bytes, more than %d", len(b), most)
	}
	v, err := plan.Read(b)
	if e, ok := errors.AsType[*plan.JSONError](err); ok && strings.ContainsFunc(e.Path, unicode.IsControl) {
		return nil, &plan.JSONError{Reason: e.Reason}
	}
	if err != nil {
		return nil, err
	}
	return plan.Tree(v), nil
}

// read is strict for what must be an object.
func read(b []byte, most int) (object, error) {
	v, err := strict(b, most)
	if err != nil {
		return nil, err
	}
	m, ok := v.(object)
	if !ok {
		return nil, errors.New("JSON: must be an object")
	}
	return m, nil
}

// first gives the first of some members that is a string with something in it.
func first(m object, names ...string) string {
	for _, n := range names {
		if s, ok := m[n].(string); ok && s != "" {
			return s
		}
	}
	return ""
}

// has gives the first of some members that is there and not null.
func has(m object, names ...string) any {
	for _, n := range names {
		if v := m[n]; v != nil {
			return v
		}
	}
	return nil
}

// scalar gives the text of a string, number or boolean.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return fmt.Sprint(v), true
	}
	return "", false
}

// goodID says that a name can be an id: it fits on a line and in a path.
func goodID(s string) bool {
	return s != "" && len(s) <= maxID && !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError })
}

// shown is an id as a sentence shows it.
func shown(id string) string {
	if !goodID(id) {
		return "(an unreadable name)"
	}
	return id
}

var pointerEscaper = strings.NewReplacer("~", "~0", "/", "~1")

// pointer adds a member to a JSON Pointer. A name that is too long to be any
// question's is left out whole.
func pointer(path, name string) string {
	if !goodID(name) {
		name = "(a long name)"
	}
	return path + "/" + pointerEscaper.Replace(name)
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
