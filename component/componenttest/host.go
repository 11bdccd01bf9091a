package componenttest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/greentic-ai/greentic-provision/component"
)

type contextKey struct{}

// grow uses n frames of stack.
func grow(n int) int {
	var frame [64]int
	frame[n%64] = n
	if n > 0 {
		return grow(n-1) + frame[n%64]
	}
	return 1
}

func testHostFuncs(t *testing.T, rt component.Runtime) {
	u32 := typ(component.U32)
	p := Load(t, rt, Relay(u32))
	var host component.HostFunc
	imports := component.Imports{HostInterface: {Funcs: map[string]component.HostFunc{
		"echo": func(ctx context.Context, args []component.Value) (component.Value, error) { return host(ctx, args) }}}}

	t.Run("context", func(t *testing.T) {
		in := Instantiate(t, p, imports)
		host = func(ctx context.Context, args []component.Value) (component.Value, error) {
			return ctx.Value(contextKey{}), nil
		}
		v, err := in.Call(context.WithValue(context.Background(), contextKey{}, uint32(77)), []string{"echo"}, vals{uint32(1)})
		if v != uint32(77) || err != nil {
			t.Errorf("got %v, %v, want the value from the caller's context", v, err)
		}
	})
	t.Run("error", func(t *testing.T) {
		in := Instantiate(t, p, imports)
		cause := fmt.Errorf("told to fail\xff: %w", io.ErrUnexpectedEOF)
		host = func(context.Context, []component.Value) (component.Value, error) { return nil, cause }
		_, err := call(in, "echo", uint32(1))
		trap := wantTrap(t, err, component.TrapHost)
		if !errors.Is(err, io.ErrUnexpectedEOF) || trap.Err != cause {
			t.Errorf("the host's error is lost: %v", err)
		}
		if !strings.Contains(trap.Message, "told to fail") {
			t.Errorf("the message does not have the host's text: %q", trap.Message)
		}
	})
	t.Run("panic", func(t *testing.T) {
		in := Instantiate(t, p, imports)
		host = func(context.Context, []component.Value) (component.Value, error) { panic(io.ErrClosedPipe) }
		_, err := call(in, "echo", uint32(1))
		wantTrap(t, err, component.TrapHost)
		if !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("the panic value is lost: %v", err)
		}
		host = func(_ context.Context, args []component.Value) (component.Value, error) {
			return nil, []error{}[len(args)]
		}
		_, err = call(Instantiate(t, p, imports), "echo", uint32(1))
		wantTrap(t, err, component.TrapHost)
	})
	// Go moves a goroutine's stack when it grows, and looks at every pointer on
	// it then. Engines may have odd ones for what is empty.
	t.Run("stack growth", func(t *testing.T) {
		in := Instantiate(t, Load(t, rt, `(component
		  (import "f" (func $f))
		  (core func $f (canon lower (func $f)))
		  (core module $m (import "" "f" (func $f)) (func (export "f") (call $f)))
		  (core instance $i (instantiate $m (with "" (instance (export "f" (func $f))))))
		  (func (export "f") (canon lift (core func $i "f"))))`), component.Imports{"": {Funcs: map[string]component.HostFunc{
			"f": func(context.Context, []component.Value) (component.Value, error) {
				if grow(10_000) == 0 {
					return nil, errors.New("unreachable")
				}
				return nil, nil
			}}}})
		done := make(chan error)
		go func() { // on a stack that is still small
			_, err := call(in, "f")
			done <- err
		}()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Run("wrong result", func(t *testing.T) {
		for _, v := range (vals{nil, "text", int32(1), uint64(1)}) {
			host = func(context.Context, []component.Value) (component.Value, error) { return v, nil }
			_, err := call(Instantiate(t, p, imports), "echo", uint32(1))
			wantTrap(t, err, component.TrapHost)
		}
	})
	t.Run("re-entrance", func(t *testing.T) {
		in := Instantiate(t, p, imports)
		host = func(context.Context, []component.Value) (component.Value, error) {
			_, err := call(in, "echo", uint32(2))
			return nil, err
		}
		_, err := call(in, "echo", uint32(1))
		wantTrap(t, err, component.TrapHost)
	})
	t.Run("close during call", func(t *testing.T) {
		in := Instantiate(t, p, imports)
		host = func(context.Context, []component.Value) (component.Value, error) {
			in.Close()
			return uint32(1), nil
		}
		_, err := call(in, "echo", uint32(1))
		wantTrap(t, err, component.TrapHost)
	})
	t.Run("another instance", func(t *testing.T) {
		inner := Instantiate(t, Load(t, rt, Echo(u32)), nil)
		in := Instantiate(t, p, imports)
		host = func(ctx context.Context, args []component.Value) (component.Value, error) {
			v, err := call(inner, "echo", vals{args[0]})
			if err != nil {
				return nil, err
			}
			return v.(vals)[0], nil
		}
		if v, err := call(in, "echo", uint32(5)); v != uint32(5) || err != nil {
			t.Errorf("got %v, %v", v, err)
		}
	})
	t.Run("in parallel", func(t *testing.T) {
		var group sync.WaitGroup
		for n := range uint32(8) {
			group.Go(func() {
				in, err := p.Instantiate(context.Background(), component.StoreLimits{}, relayImports(func(component.Value) {}))
				if err != nil {
					t.Error(err)
					return
				}
				defer in.Close()
				for i := range uint32(200) {
					if v, err := call(in, "echo", n<<16|i); v != n<<16|i || err != nil {
						t.Errorf("got %v, %v", v, err)
						return
					}
				}
			})
		}
		group.Wait()
	})
}

const importsText = `(component
  (import "test:a/types@1.0.0" (instance $types (type $r (record (field "x" u8))) (export "r" (type (eq $r)))))
  (import "test:a/streams@1.0.0" (instance $streams
    (export "stream" (type $s (sub resource)))
    (export "[method]stream.read" (func (param "self" (borrow $s)) (result u8)))))
  (alias export $streams "stream" (type $stream))
  (import "test:a/use@1.0.0" (instance $use
    (alias outer 1 $stream (type $s0))
    (export "stream" (type $s (eq $s0)))
    (export "open" (func (result (own $s))))))
  (import "now" (func (result u64)))
)`

func testImports(t *testing.T, rt component.Runtime) {
	p := Load(t, rt, importsText)
	nothing := func(context.Context, []component.Value) (component.Value, error) { return nil, nil }
	full := func() component.Imports {
		return component.Imports{
			"": {Funcs: map[string]component.HostFunc{"now": nothing}},
			"test:a/streams@1.0.0": {
				Funcs:     map[string]component.HostFunc{"[method]stream.read": nothing},
				Resources: map[string]component.HostResource{"stream": {Kind: 7}}},
			"test:a/use@1.0.0": {Funcs: map[string]component.HostFunc{"open": nothing}},
			"test:a/more":      {Funcs: map[string]component.HostFunc{"unused": nothing}},
		}
	}
	Instantiate(t, p, full()) // type-only instances need nothing

	missing := func(imports component.Imports, names ...string) {
		t.Helper()
		in, err := p.Instantiate(context.Background(), component.StoreLimits{}, imports)
		if err == nil {
			in.Close()
			t.Errorf("no error without %s", names)
			return
		}
		var trap *component.Trap
		if errors.As(err, &trap) {
			t.Errorf("a missing import is a trap: %v", err)
		}
		for _, name := range names {
			if !strings.Contains(err.Error(), "missing import "+name) {
				t.Errorf("the error does not name %s: %v", name, err)
			}
		}
	}
	missing(nil, "test:a/streams@1.0.0#stream", "test:a/streams@1.0.0#[method]stream.read", "test:a/use@1.0.0#open", "now")
	imports := full()
	delete(imports["test:a/use@1.0.0"].Funcs, "open")
	missing(imports, "test:a/use@1.0.0#open")
	imports = full()
	delete(imports["test:a/streams@1.0.0"].Resources, "stream")
	missing(imports, "test:a/streams@1.0.0#stream")

	// A resource that is `use`d may be defined at either name, not as two things.
	imports = full()
	imports["test:a/use@1.0.0"] = component.HostInterface{
		Funcs: imports["test:a/use@1.0.0"].Funcs, Resources: map[string]component.HostResource{"stream": {Kind: 7}}}
	Instantiate(t, p, imports)
	delete(imports["test:a/streams@1.0.0"].Resources, "stream")
	Instantiate(t, p, imports)
	imports = full()
	imports["test:a/use@1.0.0"] = component.HostInterface{
		Funcs: imports["test:a/use@1.0.0"].Funcs, Resources: map[string]component.HostResource{"stream": {Kind: 8}}}
	if in, err := p.Instantiate(context.Background(), component.StoreLimits{}, imports); err == nil {
		in.Close()
		t.Error("one resource with two kinds is accepted")
	}

	// What no host can offer.
	for text, name := range map[string]string{
		`(component (import "m" (core module)))`:                                                     "m",
		`(component (import "test:a/b" (instance (export "inner" (instance (export "f" (func)))))))`: "test:a/b#inner#f",
	} {
		p = Load(t, rt, text)
		missing(component.Imports{"": {}, "test:a/b": {}}, name)
	}
	Instantiate(t, Load(t, rt, `(component (import "test:a/b" (instance (export "inner" (instance (type $r (record (field "x" u8))) (export "r" (type (eq $r))))))))`), nil)
}

func testTypes(t *testing.T, rt component.Runtime) {
	types := Load(t, rt, importsText).Types()
	var got []string
	var walk func(prefix string, items []component.Item)
	walk = func(prefix string, items []component.Item) {
		for _, it := range items {
			s := prefix + it.Name + ": " + string(it.Kind)
			if it.Func != nil {
				s += " " + it.Func.String()
			}
			got = append(got, s)
			walk(prefix+it.Name+"#", it.Items)
		}
	}
	walk("", types.Imports)
	want := []string{
		"test:a/types@1.0.0: instance",
		"test:a/types@1.0.0#r: type",
		"test:a/streams@1.0.0: instance",
		"test:a/streams@1.0.0#stream: resource",
		"test:a/streams@1.0.0#[method]stream.read: func func(borrow) -> u8",
		"test:a/use@1.0.0: instance",
		"test:a/use@1.0.0#stream: resource",
		"test:a/use@1.0.0#open: func func() -> own",
		"now: func func() -> u64",
	}
	if types.Layer != component.LayerComponent || !reflect.DeepEqual(got, want) {
		t.Errorf("imports of a %s:\n%s\nwant\n%s", types.Layer, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, c := range echoCases {
		types := Load(t, rt, Relay(c.typ)).Types()
		f := "func(" + c.typ.String() + ") -> " + c.typ.String()
		host, _ := component.Find(types.Imports, HostInterface)
		in, _ := component.Find(host.Items, "echo")
		out, _ := component.Find(types.Exports, "echo")
		if in.Func == nil || in.Func.String() != f || out.Func == nil || out.Func.String() != f || out.Func.Params[0].Name != "x" {
			t.Errorf("the type %s is read as %v and %v", f, in.Func, out.Func)
		}
	}
}

// testLowering: values that do not fit the type are errors, and nothing else.
func testLowering(t *testing.T, rt component.Runtime) {
	for _, c := range []struct {
		typ   *component.Type
		value component.Value
		path  string
	}{
		{typ(component.Bool), 1, ""},
		{typ(component.U8), 1, ""},
		{typ(component.U8), int8(1), ""},
		{typ(component.S64), uint64(1), ""},
		{typ(component.F32), 1.0, ""},
		{typ(component.Char), uint32('x'), ""},
		{typ(component.Char), rune(0xd800), ""},
		{typ(component.Char), rune(0x110000), ""},
		{typ(component.Char), rune(-1), ""},
		{typ(component.String), []byte("x"), ""},
		{typ(component.String), "\xff", ""},
		{typ(component.String), nil, ""},
		{list(typ(component.U8)), vals{uint8(1)}, ""},
		{list(typ(component.U8)), "x", ""},
		{list(typ(component.U16)), []uint16{1}, ""},
		{list(typ(component.U16)), vals{uint16(1), "x"}, "[1]"},
		{record, vals{uint8(1), "two"}, ""},
		{record, vals{uint8(1), "two", 3.0, 4}, ""},
		{record, vals{uint8(1), 2, 3.0}, ".b"},
		{tuple(record, typ(component.U8)), vals{vals{uint8(1), "\xc0", 3.0}, uint8(1)}, ".0.b"},
		{variant, component.Case{Name: "other"}, ""},
		{variant, component.Case{Name: "none", Value: 1}, "(none)"},
		{variant, component.Case{Name: "num"}, "(num)"},
		{variant, "none", ""},
		{labels(component.Enum, "a"), "b", ""},
		{labels(component.Enum, "a"), 0, ""},
		{option(typ(component.U8)), uint8(1), ""},
		{option(typ(component.U8)), component.Opt{Value: uint8(1)}, ""},
		{option(typ(component.U8)), component.Some("x"), "(some)"},
		{option(typ(component.U8)), nil, ""},
		{result(nil, typ(component.U8)), component.Ok(uint8(1)), "(ok)"},
		{result(nil, typ(component.U8)), component.Err(nil), "(err)"},
		{result(nil, nil), nil, ""},
		{labels(component.Flags, "a", "b"), []string{"c"}, ""},
		{labels(component.Flags, "a", "b"), []string{"a", "a"}, ""},
		{labels(component.Flags, "a", "b"), []string{"b", "a"}, ""},
		{labels(component.Flags, "a", "b"), "a", ""},
	} {
		in := Instantiate(t, Load(t, rt, Relay(c.typ)), relayImports(func(component.Value) {}))
		_, err := call(in, "echo", c.value)
		var trap *component.Trap
		if err == nil || errors.As(err, &trap) {
			t.Errorf("%#v as a %s: got %v, want an error that is no trap", c.value, c.typ, err)
		} else if !strings.Contains(err.Error(), "argument 0"+c.path+": ") {
			t.Errorf("%#v as a %s: the error does not name argument 0%s: %v", c.value, c.typ, c.path, err)
		}
	}
	in := Instantiate(t, Load(t, rt, Echo(typ(component.String))), nil)
	for _, args := range []vals{nil, {vals{}, vals{}}} {
		if _, err := in.Call(context.Background(), []string{"echo"}, args); err == nil {
			t.Errorf("%d arguments for one parameter are accepted", len(args))
		}
	}
	for _, path := range [][]string{nil, {"nope"}, {"echo", "echo"}, {""}, {"x", "y", "z"}} {
		if _, err := in.Call(context.Background(), path, nil); err == nil {
			t.Errorf("a call of %q is accepted", path)
		}
	}
	// None of this harmed the instance.
	checkEcho(t, in, list(typ(component.String)), vals{"x"})
}
