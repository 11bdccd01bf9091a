package wasi

import (
	"context"
	"fmt"
	"slices"

	"github.com/greentic-ai/greentic-provision/component"
)

// refusals are the words for "you may not" in WASI's error types, best first:
// access-denied is the sockets' and access the file system's; a file system also
// has not-permitted, and a stream can only be closed.
var refusals = []string{"access-denied", "access", "not-permitted", "closed"}

// deny makes a host function that says no in the form of f's result.
func deny(f *component.Func) component.HostFunc {
	v, ok := denial(f.Result)
	if !ok { // no form, or none worth making
		return func(context.Context, []component.Value) (component.Value, error) {
			return nil, fmt.Errorf("%w: %s", ErrDenied, f.Abbreviate(256))
		}
	}
	return func(context.Context, []component.Value) (component.Value, error) { return v, nil }
}

// denial is the value that deny gives, if t has a form for it.
func denial(t *component.Type) (component.Value, bool) {
	if t == nil {
		return nil, false
	}
	e := emptier{left: maxParts}
	switch t.Kind {
	case component.Option, component.List:
		return e.empty(t)
	case component.Result:
		if v, ok := e.empty(t.Err); ok {
			return component.Err(v), true
		}
	}
	return nil, false
}

// maxParts bounds a denial. WASI's own have under ten parts; the types of an
// interface that only calls itself WASI can have a million.
const maxParts = 100

// emptier makes values of at most left more parts.
type emptier struct{ left int }

// empty makes a value of type t that says as little as possible, or as clearly
// as possible "no"; it reports false where that would need a resource.
func (e *emptier) empty(t *component.Type) (component.Value, bool) {
	if t == nil {
		return nil, true
	}
	if e.left--; e.left < 0 {
		return nil, false
	}
	switch t.Kind {
	case component.Bool:
		return false, true
	case component.S8:
		return int8(0), true
	case component.U8:
		return uint8(0), true
	case component.S16:
		return int16(0), true
	case component.U16:
		return uint16(0), true
	case component.S32:
		return int32(0), true
	case component.U32:
		return uint32(0), true
	case component.S64:
		return int64(0), true
	case component.U64:
		return uint64(0), true
	case component.F32:
		return float32(0), true
	case component.F64:
		return float64(0), true
	case component.Char:
		return rune(0), true
	case component.String:
		return "", true
	case component.Flags:
		return []string{}, true
	case component.Option:
		return component.None, true
	case component.List:
		if t.Elem != nil && t.Elem.Kind == component.U8 {
			return []byte{}, true
		}
		return []component.Value{}, true
	case component.Enum:
		for _, word := range refusals {
			if slices.Contains(t.Labels, word) {
				return word, true
			}
		}
		if len(t.Labels) > 0 {
			return t.Labels[0], true
		}
	case component.Variant:
		for _, word := range refusals {
			if slices.ContainsFunc(t.Fields, func(f component.Field) bool { return f.Name == word && f.Type == nil }) {
				return component.Case{Name: word}, true
			}
		}
		for _, f := range t.Fields {
			if v, ok := e.empty(f.Type); ok {
				return component.Case{Name: f.Name, Value: v}, true
			}
		}
	case component.Record, component.Tuple:
		vs := make([]component.Value, len(t.Fields))
		for i, f := range t.Fields {
			v, ok := e.empty(f.Type)
			if !ok {
				return nil, false
			}
			vs[i] = v
		}
		return vs, true
	case component.Result:
		if v, ok := e.empty(t.Err); ok {
			return component.Err(v), true
		}
		if v, ok := e.empty(t.Ok); ok {
			return component.Ok(v), true
		}
	}
	return nil, false
}
