//go:build cgo

package wasmtime

import (
	"context"
	"testing"

	"github.com/greentic-ai/greentic-provision/component"
	"github.com/greentic-ai/greentic-provision/component/componenttest"
)

var stringType = &component.Type{Kind: component.String}

// BenchmarkInstantiateAndInvoke is one step's worth of engine work: a store, an
// instance of a component with two core modules and a memory, one call with a
// string there and back, and one host call.
func BenchmarkInstantiateAndInvoke(b *testing.B) {
	rt := newRuntime(b, Config{})
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
func BenchmarkCall(b *testing.B) {
	rt := newRuntime(b, Config{})
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
func BenchmarkBytes(b *testing.B) {
	rt := newRuntime(b, Config{})
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
func BenchmarkLoad(b *testing.B) {
	rt := newRuntime(b, Config{})
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

func echoImports(echo func(component.Value) (component.Value, error)) component.Imports {
	return component.Imports{componenttest.HostInterface: {Funcs: map[string]component.HostFunc{
		"echo": func(_ context.Context, args []component.Value) (component.Value, error) { return echo(args[0]) }}}}
}
