package componenttest

import (
	"fmt"
	"math"
	"reflect"

	"pgregory.net/rapid"

	"github.com/greentic-ai/greentic-provision/component"
)

// Equal compares values as the component model does: any NaN is any other.
func Equal(a, b component.Value) bool {
	switch x := a.(type) {
	case float32:
		y, ok := b.(float32)
		return ok && (x == y && math.Signbit(float64(x)) == math.Signbit(float64(y)) || x != x && y != y)
	case float64:
		y, ok := b.(float64)
		return ok && (x == y && math.Signbit(x) == math.Signbit(y) || x != x && y != y)
	case []byte:
		y, ok := b.([]byte)
		return ok && string(x) == string(y)
	case []string:
		y, ok := b.([]string)
		return ok && len(x) == len(y) && (len(x) == 0 || reflect.DeepEqual(x, y))
	case []component.Value:
		y, ok := b.([]component.Value)
		if !ok || len(x) != len(y) {
			return false
		}
		for i := range x {
			if !Equal(x[i], y[i]) {
				return false
			}
		}
		return true
	case component.Case:
		y, ok := b.(component.Case)
		return ok && x.Name == y.Name && Equal(x.Value, y.Value)
	case component.Opt:
		y, ok := b.(component.Opt)
		return ok && x.Some == y.Some && Equal(x.Value, y.Value)
	case component.Res:
		y, ok := b.(component.Res)
		return ok && x.IsErr == y.IsErr && Equal(x.Value, y.Value)
	}
	return reflect.TypeOf(a) == reflect.TypeOf(b) && a == b
}

// Types generates value types without resources, nested up to depth levels.
func Types(depth int) *rapid.Generator[*component.Type] {
	return rapid.Custom(func(t *rapid.T) *component.Type { return drawType(t, depth) })
}

func drawType(t *rapid.T, depth int) *component.Type {
	last := component.Flags
	kind := component.Kind(rapid.IntRange(int(component.Bool), int(last)).Draw(t, "kind"))
	if depth <= 1 && kind >= component.List && kind != component.Enum && kind != component.Flags {
		kind = component.String
	}
	typ := &component.Type{Kind: kind}
	fields := func(prefix string, optional bool) {
		for i := range rapid.IntRange(1, 5).Draw(t, "fields") {
			f := component.Field{}
			if prefix != "" {
				f.Name = fmt.Sprintf("%s%d", prefix, i)
			}
			if !optional || rapid.Bool().Draw(t, "payload") {
				f.Type = drawType(t, depth-1)
			}
			typ.Fields = append(typ.Fields, f)
		}
	}
	switch kind {
	case component.List, component.Option:
		typ.Elem = drawType(t, depth-1)
	case component.Record:
		fields("f", false)
	case component.Tuple:
		fields("", false)
	case component.Variant:
		fields("c", true)
	case component.Enum, component.Flags:
		for i := range rapid.IntRange(1, 20).Draw(t, "labels") {
			typ.Labels = append(typ.Labels, fmt.Sprintf("l%d", i))
		}
	case component.Result:
		if rapid.Bool().Draw(t, "ok") {
			typ.Ok = drawType(t, depth-1)
		}
		if rapid.Bool().Draw(t, "err") {
			typ.Err = drawType(t, depth-1)
		}
	}
	return typ
}

// Values generates values of a type made of what Types generates.
func Values(typ *component.Type) *rapid.Generator[component.Value] {
	return rapid.Custom(func(t *rapid.T) component.Value { return drawValue(t, typ) })
}

func drawValue(t *rapid.T, typ *component.Type) component.Value {
	payload := func(p *component.Type) component.Value {
		if p == nil {
			return nil
		}
		return drawValue(t, p)
	}
	switch typ.Kind {
	case component.Bool:
		return rapid.Bool().Draw(t, "bool")
	case component.S8:
		return rapid.Int8().Draw(t, "s8")
	case component.U8:
		return rapid.Uint8().Draw(t, "u8")
	case component.S16:
		return rapid.Int16().Draw(t, "s16")
	case component.U16:
		return rapid.Uint16().Draw(t, "u16")
	case component.S32:
		return rapid.Int32().Draw(t, "s32")
	case component.U32:
		return rapid.Uint32().Draw(t, "u32")
	case component.S64:
		return rapid.Int64().Draw(t, "s64")
	case component.U64:
		return rapid.Uint64().Draw(t, "u64")
	case component.F32:
		return math.Float32frombits(rapid.Uint32().Draw(t, "f32"))
	case component.F64:
		return math.Float64frombits(rapid.Uint64().Draw(t, "f64"))
	case component.Char:
		return rapid.Rune().Draw(t, "char")
	case component.String:
		return rapid.String().Draw(t, "string")
	case component.List:
		if typ.Elem.Kind == component.U8 {
			return rapid.SliceOfN(rapid.Uint8(), 0, 300).Draw(t, "bytes")
		}
		vs := make([]component.Value, rapid.IntRange(0, 6).Draw(t, "len"))
		for i := range vs {
			vs[i] = drawValue(t, typ.Elem)
		}
		return vs
	case component.Record, component.Tuple:
		vs := make([]component.Value, len(typ.Fields))
		for i, f := range typ.Fields {
			vs[i] = drawValue(t, f.Type)
		}
		return vs
	case component.Variant:
		f := typ.Fields[rapid.IntRange(0, len(typ.Fields)-1).Draw(t, "case")]
		return component.Case{Name: f.Name, Value: payload(f.Type)}
	case component.Enum:
		return rapid.SampledFrom(typ.Labels).Draw(t, "enum")
	case component.Option:
		if rapid.Bool().Draw(t, "some") {
			return component.Some(drawValue(t, typ.Elem))
		}
		return component.None
	case component.Result:
		if rapid.Bool().Draw(t, "err") {
			return component.Err(payload(typ.Err))
		}
		return component.Ok(payload(typ.Ok))
	case component.Flags:
		var set []string
		for _, l := range typ.Labels {
			if rapid.Bool().Draw(t, l) {
				set = append(set, l)
			}
		}
		return set
	}
	panic("componenttest: no values of kind " + typ.Kind.String())
}
