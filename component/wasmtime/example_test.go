//go:build cgo

package wasmtime_test

import (
	"context"
	"fmt"
	"log"

	"github.com/greentic-ai/greentic-provision/component"
	"github.com/greentic-ai/greentic-provision/component/wasmtime"
)

func Example() {
	rt, err := wasmtime.New(wasmtime.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Close()
	code, layer, err := rt.Compile([]byte(`(component
	  (import "tick" (func $tick (result u32)))
	  (core func $tick (canon lower (func $tick)))
	  (core module $m
	    (import "" "tick" (func $tick (result i32)))
	    (func (export "add") (param i32) (result i32) (i32.add (local.get 0) (call $tick))))
	  (core instance $i (instantiate $m (with "" (instance (export "tick" (func $tick))))))
	  (func (export "add") (param "n" u32) (result u32) (canon lift (core func $i "add"))))`))
	if err != nil {
		log.Fatal(err)
	}
	program, err := rt.Load(code, layer)
	if err != nil {
		log.Fatal(err)
	}
	defer program.Close()

	ctx := context.Background()
	_, err = program.Instantiate(ctx, component.StoreLimits{}, nil)
	fmt.Println(err)

	tick := func(context.Context, []component.Value) (component.Value, error) { return uint32(40), nil }
	instance, err := program.Instantiate(ctx, component.StoreLimits{MemoryBytes: 1 << 20}, component.Imports{
		"": {Funcs: map[string]component.HostFunc{"tick": tick}}})
	if err != nil {
		log.Fatal(err)
	}
	defer instance.Close()
	fmt.Println(instance.Call(ctx, []string{"add"}, []component.Value{uint32(2)}))
	_, err = instance.Call(ctx, []string{"add"}, []component.Value{"two"})
	fmt.Println(err)
	// Output:
	// wasmtime: missing import tick
	// 42 <nil>
	// wasmtime: call "add": argument 0: a string is no u32
}
