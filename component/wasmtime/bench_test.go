//go:build cgo

package wasmtime

import (
	"context"
	"testing"

	"github.com/greentic-ai/greentic-provision/component"
	"github.com/greentic-ai/greentic-provision/component/componenttest"
)

var stringType = &component.Type{Kind: component.String}

// benchmarkBoth measures guests as native code and interpreted.
func benchmarkBoth(b *testing.B, benchmark func(*testing.B, *Runtime)) {
	for _, c := range codegens {
		b.Run(string(c), func(b *testing.B) { benchmark(b, newRuntime(b, Config{Codegen: c})) })
	}
}

// BenchmarkInstantiateAndInvoke is one step's worth of engine work: a store, an
// instance of a component with two core modules and a memory, one call with a
// string there and back, and one host call.
func BenchmarkInstantiateAndInvoke(b *testing.B) { benchmarkBoth(b, benchmarkInstantiateAndInvoke) }

func benchmarkInstantiateAndInvoke(b *testing.B, rt *Runtime) {
	p := componenttest.Load(b, rt, componenttest.Relay(stringType))
	imports := echoImports(func(v component.Value) (component.Value, error) { return v, nil })
	ctx := context.Background()
	path, args := []string{"echo"}, []component.Value{"hello"}
	b.ReportAllocs()
	for b.Loop() {
		in, err := p.Instantiate(ctx, component.StoreLimits{}, imports)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := in.Call(ctx, path, args); err != nil {
			b.Fatal(err)
		}
		in.Close()
	}
}

// BenchmarkCall is a call without the instantiation.
func BenchmarkCall(b *testing.B) { benchmarkBoth(b, benchmarkCall) }

func benchmarkCall(b *testing.B, rt *Runtime) {
	in := componenttest.Instantiate(b, componenttest.Load(b, rt, componenttest.Relay(stringType)),
		echoImports(func(v component.Value) (component.Value, error) { return v, nil }))
	ctx := context.Background()
	path, args := []string{"echo"}, []component.Value{"hello"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := in.Call(ctx, path, args); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBytes is 64 KiB of list<u8> into the guest, to the host and back.
func BenchmarkBytes(b *testing.B) { benchmarkBoth(b, benchmarkBytes) }

func benchmarkBytes(b *testing.B, rt *Runtime) {
	typ := &component.Type{Kind: component.List, Elem: &component.Type{Kind: component.U8}}
	in := componenttest.Instantiate(b, componenttest.Load(b, rt, componenttest.Relay(typ)),
		echoImports(func(v component.Value) (component.Value, error) { return v, nil }))
	data := make([]byte, 64<<10)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := in.Call(context.Background(), []string{"echo"}, []component.Value{data}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLoad is what a step worker does once.
func BenchmarkLoad(b *testing.B) { benchmarkBoth(b, benchmarkLoad) }

func benchmarkLoad(b *testing.B, rt *Runtime) {
	code, layer, err := rt.Compile([]byte(componenttest.Relay(stringType)))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		p, err := rt.Load(code, layer)
		if err != nil {
			b.Fatal(err)
		}
		p.Close()
	}
}

// BenchmarkCompile is what a compile worker does, without its process.
func BenchmarkCompile(b *testing.B) { benchmarkBoth(b, benchmarkCompile) }

func benchmarkCompile(b *testing.B, rt *Runtime) {
	text := []byte(componenttest.Relay(stringType))
	for b.Loop() {
		if _, _, err := rt.Compile(text); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLoop is what guest code itself costs: a million turns of a loop with a
// load, a store and some arithmetic.
func BenchmarkLoop(b *testing.B) { benchmarkBoth(b, benchmarkLoop) }

func benchmarkLoop(b *testing.B, rt *Runtime) {
	in := componenttest.Instantiate(b, componenttest.Load(b, rt, `(module
	  (memory 1)
	  (func (export "f") (local $n i32)
	    (local.set $n (i32.const 1000000))
	    (loop $again
	      (i32.store (i32.and (local.get $n) (i32.const 0xfffc))
	        (i32.add (i32.mul (i32.load (i32.const 16)) (i32.const 31)) (local.get $n)))
	      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))`), nil)
	for b.Loop() {
		if _, err := in.CallCore(context.Background(), "f", nil, 0); err != nil {
			b.Fatal(err)
		}
	}
}

func echoImports(echo func(component.Value) (component.Value, error)) component.Imports {
	return component.Imports{componenttest.HostInterface: {Funcs: map[string]component.HostFunc{
		"echo": func(_ context.Context, args []component.Value) (component.Value, error) { return echo(args[0]) }}}}
}
