package contract

import (
	"encoding/base64"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/greentic-ai/greentic-provision/component"
)

// Records of one name exist in several shapes, so they are filled by the names of
// their fields, and read by them.

// known is what the fields of a record are filled with, by name: strings, []byte
// and uint64. Names are WIT's.
type known map[string]any

// fill makes a value of a type that isFillable, for a field of that name. What is
// not known is absent where it may be, else empty, zero, or the first case.
func (k known) fill(t *component.Type, name string) component.Value {
	v := k[name]
	switch t.Kind {
	case component.Bool:
		return false
	case component.S8:
		return int8(min(count(v), math.MaxInt8))
	case component.U8:
		return uint8(min(count(v), math.MaxUint8))
	case component.S16:
		return int16(min(count(v), math.MaxInt16))
	case component.U16:
		return uint16(min(count(v), math.MaxUint16))
	case component.S32:
		return int32(min(count(v), math.MaxInt32))
	case component.U32:
		return uint32(min(count(v), math.MaxUint32))
	case component.S64:
		return int64(min(count(v), math.MaxInt64))
	case component.U64:
		return count(v)
	case component.F32:
		return float32(count(v))
	case component.F64:
		return float64(count(v))
	case component.Char:
		return rune(0)
	case component.String:
		s, _ := v.(string)
		return s
	case component.List:
		if t.Elem.Kind != component.U8 {
			return []component.Value{}
		}
		if b, ok := v.([]byte); ok {
			return b
		}
		return []byte{}
	case component.Record, component.Tuple:
		fields := make([]component.Value, len(t.Fields))
		for i, f := range t.Fields {
			fields[i] = k.fill(f.Type, f.Name)
		}
		return fields
	case component.Variant:
		c := component.Case{Name: t.Fields[0].Name}
		if p := t.Fields[0].Type; p != nil {
			c.Value = k.fill(p, "")
		}
		return c
	case component.Enum:
		if s, ok := v.(string); ok && slices.Contains(t.Labels, s) {
			return s
		}
		return t.Labels[0]
	case component.Option:
		if fits(t.Elem, v) {
			return component.Some(k.fill(t.Elem, name))
		}
		return component.None
	case component.Result:
		if t.Ok == nil {
			return component.Ok(nil)
		}
		return component.Ok(k.fill(t.Ok, ""))
	case component.Flags:
		return []string{}
	}
	return nil // not of a type that isFillable
}

func count(v any) uint64 {
	n, _ := v.(uint64)
	return n
}

// fits says whether what is known can be said in type t.
func fits(t *component.Type, v any) bool {
	switch v := v.(type) {
	case string:
		return t.Kind == component.String || t.Kind == component.Enum && slices.Contains(t.Labels, v)
	case []byte:
		return isBytes(t)
	case uint64:
		return t.Kind >= component.S8 && t.Kind <= component.F64
	}
	return false
}

// isFillable says whether there is a value of type t that fill makes. The type has
// no more than 65,536 parts: component.Func.Supported has counted them.
func isFillable(t *component.Type) bool {
	switch t.Kind {
	case component.Unsupported, component.Own, component.Borrow:
		return false
	case component.Enum:
		return len(t.Labels) > 0
	case component.Record, component.Tuple:
		return !slices.ContainsFunc(t.Fields, func(f component.Field) bool { return !isFillable(f.Type) })
	case component.Variant:
		return len(t.Fields) > 0 && (t.Fields[0].Type == nil || isFillable(t.Fields[0].Type))
	case component.Result:
		return t.Ok == nil || isFillable(t.Ok)
	}
	return true // an option can be absent, a list empty
}

// isPlain says whether writer.value can say every value of type t: no part of it
// is a resource.
func isPlain(t *component.Type) bool {
	if t == nil {
		return true
	}
	switch t.Kind {
	case component.Unsupported, component.Own, component.Borrow:
		return false
	}
	return isPlain(t.Elem) && isPlain(t.Ok) && isPlain(t.Err) &&
		!slices.ContainsFunc(t.Fields, func(f component.Field) bool { return !isPlain(f.Type) })
}

func isBytes(t *component.Type) bool {
	return t != nil && t.Kind == component.List && t.Elem.Kind == component.U8
}

func isKind(t *component.Type, kind component.Kind) bool { return t != nil && t.Kind == kind }

// field gives the type of a record's field, nil where there is none.
func field(t *component.Type, name string) *component.Type {
	if isKind(t, component.Record) {
		for _, f := range t.Fields {
			if f.Name == name {
				return f.Type
			}
		}
	}
	return nil
}

// get gives the value of a record's field, nil where there is none or where it is
// an absent option; a present option gives what is in it.
func get(t *component.Type, v component.Value, name string) component.Value {
	values, _ := v.([]component.Value)
	if t == nil || len(values) != len(t.Fields) {
		return nil
	}
	for i, f := range t.Fields {
		if f.Name != name {
			continue
		}
		if opt, ok := values[i].(component.Opt); ok {
			return opt.Value
		}
		return values[i]
	}
	return nil
}

// value writes a value as JSON. Names are written with "_" for "-". Records are
// objects, options the value or null, enums and cases without payload text, other
// cases {"case": payload}, results {"ok": …} or {"err": …}, bytes base64url text;
// bytes whose name ends in "cbor" are the item that they are.
func (w *writer) value(t *component.Type, v component.Value, name string) error {
	switch v := v.(type) {
	case nil:
		w.raw("null")
	case rune: // s32 has the same Go type
		if t.Kind == component.Char {
			w.text(string(v))
		} else {
			w.raw(strconv.Itoa(int(v)))
		}
	case bool:
		w.raw(strconv.FormatBool(v))
	case int8, uint8, int16, uint16, uint32, int64, uint64:
		w.raw(fmt.Sprint(v))
	case float32:
		return w.float(float64(v))
	case float64:
		return w.float(v)
	case string:
		w.text(v)
	case []byte:
		if strings.HasSuffix(name, "cbor") {
			return w.cbor(component.Quote(name, maxName), v)
		}
		w.text(base64.RawURLEncoding.EncodeToString(v))
	case []string:
		w.raw("[")
		for i, label := range v {
			if i > 0 {
				w.raw(",")
			}
			w.text(label)
		}
		w.raw("]")
	case component.Opt:
		if !v.Some {
			w.raw("null")
			return nil
		}
		return w.value(t.Elem, v.Value, name)
	case component.Case:
		for _, c := range t.Fields {
			if c.Name == v.Name && c.Type != nil {
				return w.wrapped(v.Name, c.Type, v.Value)
			}
		}
		w.text(snake(v.Name))
	case component.Res:
		if v.IsErr {
			return w.wrapped("err", t.Err, v.Value)
		}
		return w.wrapped("ok", t.Ok, v.Value)
	case []component.Value:
		return w.parts(t, v)
	default:
		return fmt.Errorf("the engine gave %T in a value", v)
	}
	return nil
}

func (w *writer) parts(t *component.Type, vs []component.Value) error {
	if t.Kind != component.List && len(vs) != len(t.Fields) {
		return fmt.Errorf("the engine gave %d parts for %d", len(vs), len(t.Fields))
	}
	open, end := "[", "]"
	if t.Kind == component.Record {
		open, end = "{", "}"
	}
	w.raw(open)
	for i, v := range vs {
		if i > 0 {
			w.raw(",")
		}
		elem, name := t.Elem, ""
		if t.Kind != component.List {
			elem, name = t.Fields[i].Type, t.Fields[i].Name
		}
		if t.Kind == component.Record {
			w.text(snake(name))
			w.raw(":")
		}
		if err := w.value(elem, v, name); err != nil {
			return err
		}
	}
	w.raw(end)
	return nil
}

func (w *writer) wrapped(name string, t *component.Type, v component.Value) error {
	w.raw("{")
	w.text(snake(name))
	w.raw(":")
	if err := w.value(t, v, name); err != nil {
		return err
	}
	w.raw("}")
	return nil
}

func (w *writer) float(f float64) error {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return &GuestError{Code: CodeOutputNotJSON, Message: "a number that JSON does not have"}
	}
	w.raw(string(jsontext.AppendFloat(nil, f, 64)))
	return nil
}

func snake(name string) string { return strings.ReplaceAll(name, "-", "_") }
