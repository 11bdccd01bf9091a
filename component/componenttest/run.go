// Package componenttest checks that an implementation of component.Runtime
// keeps the contract of package component. An engine's own test calls Run; the
// generators are exported for what else it wants to check.
package componenttest

import (
	"context"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/greentic-ai/greentic-provision/component"
)

// Run checks the runtimes that newRuntime makes. newRuntime registers its own
// clean-up with t.
func Run(t *testing.T, newRuntime func(t *testing.T) component.Runtime) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, component.Runtime)
	}{
		{"Echo", testEcho},
		{"EchoRandom", testEchoRandom},
		{"Lowering", testLowering},
		{"Types", testTypes},
		{"Imports", testImports},
		{"HostFuncs", testHostFuncs},
		{"HostResources", testHostResources},
		{"GuestResources", testGuestResources},
		{"Traps", testTraps},
		{"TrapSpoof", testTrapSpoof},
		{"Interrupt", testInterrupt},
		{"Limits", testLimits},
		{"Core", testCore},
		{"Code", testCode},
		{"Closed", testClosed},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, newRuntime(t)) })
	}
}

// Load compiles and loads text.
func Load(t testing.TB, rt component.Runtime, text string) component.Program {
	t.Helper()
	code, layer, err := rt.Compile([]byte(text))
	if err != nil {
		t.Fatalf("compile: %v\n%s", err, text)
	}
	p, err := rt.Load(code, layer)
	if err != nil {
		t.Fatalf("load: %v\n%s", err, text)
	}
	t.Cleanup(p.Close)
	return p
}

// Instantiate makes an instance with default limits.
func Instantiate(t testing.TB, p component.Program, imports component.Imports) component.Instance {
	t.Helper()
	in, err := p.Instantiate(context.Background(), component.StoreLimits{}, imports)
	if err != nil {
		t.Fatalf("instantiate: %v", err)
	}
	t.Cleanup(in.Close)
	return in
}

func typ(kind component.Kind) *component.Type { return &component.Type{Kind: kind} }

func list(elem *component.Type) *component.Type {
	return &component.Type{Kind: component.List, Elem: elem}
}

func option(elem *component.Type) *component.Type {
	return &component.Type{Kind: component.Option, Elem: elem}
}

func result(ok, err *component.Type) *component.Type {
	return &component.Type{Kind: component.Result, Ok: ok, Err: err}
}

func tuple(types ...*component.Type) *component.Type {
	t := &component.Type{Kind: component.Tuple}
	for _, f := range types {
		t.Fields = append(t.Fields, component.Field{Type: f})
	}
	return t
}

func labels(kind component.Kind, names ...string) *component.Type {
	return &component.Type{Kind: kind, Labels: names}
}

type vals = []component.Value

var record = &component.Type{Kind: component.Record, Fields: []component.Field{
	{Name: "a", Type: typ(component.U8)}, {Name: "b", Type: typ(component.String)}, {Name: "c", Type: typ(component.F64)}}}

var variant = &component.Type{Kind: component.Variant, Fields: []component.Field{
	{Name: "none"}, {Name: "num", Type: typ(component.F32)}, {Name: "text", Type: typ(component.String)}, {Name: "big", Type: typ(component.U64)}}}

// echoCases has every kind, with the values at its edges.
var echoCases = []struct {
	typ    *component.Type
	values vals
}{
	{typ(component.Bool), vals{false, true}},
	{typ(component.S8), vals{int8(math.MinInt8), int8(-1), int8(math.MaxInt8)}},
	{typ(component.U8), vals{uint8(0), uint8(math.MaxUint8)}},
	{typ(component.S16), vals{int16(math.MinInt16), int16(math.MaxInt16)}},
	{typ(component.U16), vals{uint16(0), uint16(math.MaxUint16)}},
	{typ(component.S32), vals{int32(math.MinInt32), int32(math.MaxInt32)}},
	{typ(component.U32), vals{uint32(0), uint32(math.MaxUint32)}},
	{typ(component.S64), vals{int64(math.MinInt64), int64(math.MaxInt64)}},
	{typ(component.U64), vals{uint64(0), uint64(math.MaxUint64)}},
	{typ(component.F32), vals{float32(0), float32(math.Copysign(0, -1)), float32(math.Inf(-1)), float32(math.NaN()), float32(math.SmallestNonzeroFloat32)}},
	{typ(component.F64), vals{0.0, math.Copysign(0, -1), math.Inf(1), math.NaN(), math.MaxFloat64}},
	{typ(component.Char), vals{rune(0), 'ä', '\ud7ff', '\ue000', '\U0010ffff'}},
	{typ(component.String), vals{"", "\x00", "straße 世界 🎈"}},
	{list(typ(component.U8)), vals{[]byte{}, []byte{0, 255, 7}, make([]byte, 70_000)}},
	{list(typ(component.U16)), vals{vals{}, vals{uint16(1), uint16(2)}}},
	{list(typ(component.String)), vals{vals{"", "x"}}},
	{list(list(typ(component.U8))), vals{vals{[]byte{}, []byte("ab")}}},
	{record, vals{vals{uint8(1), "two", 3.0}}},
	{tuple(typ(component.U8), typ(component.U64), typ(component.Bool)), vals{vals{uint8(1), uint64(2), true}}},
	// 18 flat values: both directions go through memory.
	{tuple(record, record, record, record, typ(component.Char), typ(component.S8)), vals{vals{
		vals{uint8(1), "a", 1.5}, vals{uint8(2), "b", 2.5}, vals{uint8(3), "c", 3.5}, vals{uint8(4), "d", 4.5}, 'e', int8(-6)}}},
	{variant, vals{component.Case{Name: "none"}, component.Case{Name: "num", Value: float32(1.25)},
		component.Case{Name: "text", Value: "t"}, component.Case{Name: "big", Value: uint64(math.MaxUint64)}}},
	{labels(component.Enum, "red", "green", "blue"), vals{"red", "green", "blue"}},
	{option(typ(component.U32)), vals{component.None, component.Some(uint32(9))}},
	{option(option(typ(component.Bool))), vals{component.None, component.Some(component.None), component.Some(component.Some(true))}},
	{result(typ(component.String), typ(component.U8)), vals{component.Ok("fine"), component.Err(uint8(3))}},
	{result(nil, typ(component.U8)), vals{component.Ok(nil), component.Err(uint8(3))}},
	{result(typ(component.U8), nil), vals{component.Ok(uint8(4)), component.Err(nil)}},
	{result(nil, nil), vals{component.Ok(nil), component.Err(nil)}},
	{labels(component.Flags, "r", "w", "x"), vals{[]string(nil), []string{"w"}, []string{"r", "w", "x"}}},
}

func testEcho(t *testing.T, rt component.Runtime) {
	for _, c := range echoCases {
		t.Run(c.typ.String(), func(t *testing.T) {
			guest := Instantiate(t, Load(t, rt, Echo(c.typ)), nil)
			checkEcho(t, guest, list(c.typ), sequence(c.typ, c.values))
			checkEcho(t, guest, list(c.typ), sequence(c.typ, nil))

			var seen component.Value
			relay := Instantiate(t, Load(t, rt, Relay(c.typ)), relayImports(func(v component.Value) { seen = v }))
			for _, v := range c.values {
				checkEcho(t, relay, c.typ, v)
				if !Equal(seen, v) {
					t.Errorf("the host function got %#v, want %#v", seen, v)
				}
			}
		})
	}
}

// sequence is values as a value of type list<t>.
func sequence(t *component.Type, values vals) component.Value {
	if t.Kind != component.U8 {
		return append(vals{}, values...)
	}
	b := []byte{}
	for _, v := range values {
		b = append(b, v.(uint8))
	}
	return b
}

func relayImports(saw func(component.Value)) component.Imports {
	return component.Imports{HostInterface: {Funcs: map[string]component.HostFunc{
		"echo": func(_ context.Context, args []component.Value) (component.Value, error) {
			saw(args[0])
			return args[0], nil
		}}}}
}

type fataler interface {
	Helper()
	Fatalf(string, ...any)
}

func checkEcho(t fataler, in component.Instance, typ *component.Type, v component.Value) {
	t.Helper()
	got, err := in.Call(context.Background(), []string{"echo"}, vals{v})
	if err != nil {
		t.Fatalf("%s %#v: %v", typ, v, err)
	}
	if !Equal(got, v) {
		t.Fatalf("%s: got %#v, want %#v", typ, got, v)
	}
}

func testEchoRandom(t *testing.T, rt component.Runtime) {
	rapid.Check(t, func(r *rapid.T) {
		typ := Types(4).Draw(r, "type")
		for _, text := range []string{Echo(typ), Relay(typ)} {
			code, layer, err := rt.Compile([]byte(text))
			if err != nil {
				r.Fatalf("compile: %v\n%s", err, text)
			}
			p, err := rt.Load(code, layer)
			if err != nil {
				r.Fatalf("load: %v\n%s", err, text)
			}
			defer p.Close()
			in, err := p.Instantiate(context.Background(), component.StoreLimits{}, relayImports(func(component.Value) {}))
			if err != nil {
				r.Fatalf("instantiate: %v\n%s", err, text)
			}
			defer in.Close()
			for range 3 {
				v := Values(typ).Draw(r, "value")
				if text == Echo(typ) {
					v = sequence(typ, vals{v, v})
					checkEcho(r, in, list(typ), v)
				} else {
					checkEcho(r, in, typ, v)
				}
			}
		}
	})
}
