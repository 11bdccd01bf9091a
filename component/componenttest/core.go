package componenttest

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/greentic-ai/greentic-provision/component"
)

const coreText = `(module
  (memory (export "memory") 1 4)
  (global (export "g") i32 (i32.const 1))
  (data (i32.const 16) "hello")
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "swap") (param i32 i32) (result i32 i32) (local.get 1) (local.get 0))
  (func (export "nothing"))
  (func (export "peek") (param i32) (result i32) (i32.load8_u (local.get 0)))
  (func (export "wide") (param i64) (result f32 f64 v128) unreachable)
  (func (export "refs") (param funcref externref))
  (func (export "trap") unreachable)
  (func (export "oob") (drop (i32.load (i32.const 99999999))))
  (func $deep (export "deep") (call $deep) (call $deep))
  (func (export "spin") (loop $l (br $l)))
)`

func testCore(t *testing.T, rt component.Runtime) {
	ctx := context.Background()
	p := Load(t, rt, coreText)

	types := p.Types()
	var got []string
	for _, it := range types.Exports {
		s := it.Name + " " + string(it.Kind)
		if it.Core != nil {
			s += " " + strings.Join(it.Core.Params, ",") + "->" + strings.Join(it.Core.Results, ",")
		}
		got = append(got, s)
	}
	want := []string{"memory core-memory", "g core-other", "add core-func i32,i32->i32", "swap core-func i32,i32->i32,i32",
		"nothing core-func ->", "peek core-func i32->i32", "wide core-func i64->f32,f64,v128", "refs core-func funcref,externref->",
		"trap core-func ->", "oob core-func ->", "deep core-func ->", "spin core-func ->"}
	if types.Layer != component.LayerCore || !reflect.DeepEqual(got, want) || types.Imports != nil {
		t.Errorf("exports of a %s:\n%q\nwant\n%q", types.Layer, got, want)
	}

	in := Instantiate(t, p, nil)
	for _, c := range []struct {
		name string
		args []int32
		want []int32
	}{
		{"add", []int32{-5, 3}, []int32{-2}},
		{"swap", []int32{1, 2}, []int32{2, 1}},
		{"nothing", nil, nil},
		{"peek", []int32{16}, []int32{'h'}},
	} {
		if out, err := in.CallCore(ctx, c.name, c.args, len(c.want)); err != nil || !slices.Equal(out, c.want) {
			t.Errorf("%s%v: got %v, %v, want %v", c.name, c.args, out, err, c.want)
		}
	}
	for _, c := range []struct {
		name          string
		args, results int
	}{{"add", 1, 1}, {"add", 2, 0}, {"add", 2, 2}, {"wide", 1, 3}, {"refs", 2, 0}, {"memory", 0, 0}, {"absent", 0, 0}, {"", 0, 0}} {
		var trap *component.Trap
		if _, err := in.CallCore(ctx, c.name, make([]int32, c.args), c.results); err == nil || errors.As(err, &trap) {
			t.Errorf("%s with %d arguments and %d results: got %v, want an error that is no trap", c.name, c.args, c.results, err)
		}
	}
	if _, err := in.Call(ctx, []string{"add"}, vals{int32(1), int32(2)}); err == nil {
		t.Error("Call works on a core module")
	}

	mem := in.Memory("memory")
	if len(mem) != 1<<16 || string(mem[16:21]) != "hello" {
		t.Fatalf("the memory has %d bytes, or not the data", len(mem))
	}
	mem[16] = 'j'
	if out, err := in.CallCore(ctx, "peek", []int32{16}, 1); err != nil || out[0] != 'j' {
		t.Errorf("the guest reads %v, %v, want what the host wrote", out, err)
	}
	if err := in.GrowMemory("memory", 3); err != nil {
		t.Fatal(err)
	}
	if mem = in.Memory("memory"); len(mem) != 4<<16 || mem[16] != 'j' || mem[4<<16-1] != 0 {
		t.Errorf("the grown memory has %d bytes, or other data", len(mem))
	}
	wantTrap(t, in.GrowMemory("memory", 1), component.TrapLimit)
	wantTrap(t, in.GrowMemory("memory", 1<<63), component.TrapLimit)
	for _, name := range []string{"add", "absent", ""} {
		if in.Memory(name) != nil || in.GrowMemory(name, 1) == nil {
			t.Errorf("%q passes for a memory", name)
		}
	}

	for name, code := range map[string]component.TrapCode{
		"trap": component.TrapUnreachable, "oob": component.TrapMemory, "deep": component.TrapStack} {
		_, err := in.CallCore(ctx, name, nil, 0)
		wantTrap(t, err, code)
	}

	small := component.StoreLimits{MemoryBytes: 2 << 16}
	limited, err := p.Instantiate(ctx, small, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer limited.Close()
	wantTrap(t, limited.GrowMemory("memory", 2), component.TrapLimit)
	small.MemoryBytes = 1
	_, err = p.Instantiate(ctx, small, nil)
	wantTrap(t, err, component.TrapLimit)

	_, err = Load(t, rt, `(module (func $f unreachable) (start $f))`).Instantiate(ctx, component.StoreLimits{}, nil)
	wantTrap(t, err, component.TrapUnreachable)

	// Imports of core modules are never satisfied.
	imports := Load(t, rt, `(module (import "env" "f" (func (param i32))) (import "env" "m" (memory 1)))`)
	items := imports.Types().Imports
	if len(items) != 2 || items[0].Name != "env.f" || items[0].Kind != component.ItemCoreFunc || items[1].Name != "env.m" || items[1].Kind != component.ItemCoreMemory {
		t.Errorf("imports are read as %+v", items)
	}
	_, err = imports.Instantiate(ctx, component.StoreLimits{}, component.Imports{"env": {Funcs: map[string]component.HostFunc{"f": nil}}})
	if err == nil || !strings.Contains(err.Error(), "missing import env.f") || !strings.Contains(err.Error(), "missing import env.m") {
		t.Errorf("got %v, want an error that names env.f and env.m", err)
	}

	// A component has no core exports.
	comp := Instantiate(t, Load(t, rt, Echo(typ(component.U8))), nil)
	if _, err := comp.CallCore(ctx, "echo", nil, 0); err == nil || comp.Memory("memory") != nil || comp.GrowMemory("memory", 1) == nil {
		t.Error("a component passes for a core module")
	}
}

// testCode: what Compile gives and Load takes.
func testCode(t *testing.T, rt component.Runtime) {
	for _, bad := range []string{"", "(", "(component (", "\x00asm", "\x00asm\x01\x00\x00\x00\xff", "\x00asm\x0d\x00\x01\x00\xff", "\x00asm\x02\x00\x00\x00", "\xff\xfe"} {
		if _, _, err := rt.Compile([]byte(bad)); err == nil {
			t.Errorf("%q compiles", bad)
		} else if len(err.Error()) > 5<<10 {
			t.Errorf("%q: the error has %d bytes", bad, len(err.Error()))
		}
	}
	core, layer, err := rt.Compile([]byte("(module)"))
	if layer != component.LayerCore || err != nil {
		t.Fatalf("a core module compiles to %q, %v", layer, err)
	}
	binary, layer, err := rt.Compile([]byte("\x00asm\x01\x00\x00\x00"))
	if layer != component.LayerCore || err != nil || len(binary) == 0 {
		t.Errorf("an empty core module compiles to %q, %v", layer, err)
	}
	comp, layer, err := rt.Compile([]byte("\x00asm\x0d\x00\x01\x00"))
	if layer != component.LayerComponent || err != nil {
		t.Fatalf("an empty component compiles to %q, %v", layer, err)
	}
	for name, c := range map[string]struct {
		code  []byte
		layer component.Layer
	}{
		"nothing":          {nil, component.LayerComponent},
		"garbage":          {[]byte("garbage"), component.LayerComponent},
		"wasm":             {[]byte("\x00asm\x01\x00\x00\x00"), component.LayerCore},
		"half":             {comp[:len(comp)/2], component.LayerComponent},
		"the other layer":  {core, component.LayerComponent},
		"the other layer'": {comp, component.LayerCore},
		"no layer":         {comp, ""},
	} {
		if p, err := rt.Load(c.code, c.layer); err == nil {
			p.Close()
			t.Errorf("%s loads as %q", name, c.layer)
		}
	}
}

// testClosed: Close twice is fine, use after it is an error.
func testClosed(t *testing.T, rt component.Runtime) {
	ctx := context.Background()
	p := Load(t, rt, coreText)
	in := Instantiate(t, p, nil)
	in.Close()
	in.Close()
	if _, err := in.CallCore(ctx, "nothing", nil, 0); err == nil {
		t.Error("a closed instance runs")
	}
	if in.Memory("memory") != nil || in.GrowMemory("memory", 1) == nil {
		t.Error("a closed instance has a memory")
	}
	comp := Load(t, rt, Echo(typ(component.U8)))
	in = Instantiate(t, comp, nil)
	in.Close()
	if _, err := call(in, "echo", []byte{1}); err == nil {
		t.Error("a closed instance runs")
	}
	comp.Close()
	comp.Close()
	if in, err := comp.Instantiate(ctx, component.StoreLimits{}, nil); err == nil {
		in.Close()
		t.Error("a closed program makes an instance")
	}
	if comp.Types().Layer != component.LayerComponent {
		t.Error("a closed program forgets its types")
	}
}
