package contract_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/greentic-ai/greentic-provision/component"
	"github.com/greentic-ai/greentic-provision/contract"
)

// Types, as the engine describes them.

func typ(kind component.Kind) *component.Type { return &component.Type{Kind: kind} }

func listOf(elem *component.Type) *component.Type {
	return &component.Type{Kind: component.List, Elem: elem}
}

func opt(elem *component.Type) *component.Type {
	return &component.Type{Kind: component.Option, Elem: elem}
}

func enum(labels ...string) *component.Type {
	return &component.Type{Kind: component.Enum, Labels: labels}
}

func field(name string, t *component.Type) component.Field {
	return component.Field{Name: name, Type: t}
}

func record(fields ...component.Field) *component.Type {
	return &component.Type{Kind: component.Record, Fields: fields}
}

func variant(cases ...component.Field) *component.Type {
	return &component.Type{Kind: component.Variant, Fields: cases}
}

func result(ok, err *component.Type) *component.Type {
	return &component.Type{Kind: component.Result, Ok: ok, Err: err}
}

func function(result *component.Type, params ...*component.Type) *component.Func {
	f := &component.Func{Result: result}
	for _, p := range params {
		f.Params = append(f.Params, component.Field{Type: p})
	}
	return f
}

var bytesType = listOf(typ(component.U8))

// together makes one program of the exports of several.
func together(all ...component.Types) component.Types {
	t := component.Types{Layer: component.LayerComponent}
	for _, other := range all {
		t.Exports = append(t.Exports, other.Exports...)
	}
	return t
}

// answering is a guest that gives v whatever it is asked.
func answering(v component.Value) *instance {
	return &instance{call: func([]string, []component.Value) (component.Value, error) { return v, nil }}
}

// recording is one that notes how it was called, too.
func recording(v component.Value, path *string, args *[]component.Value) *instance {
	return &instance{call: func(p []string, a []component.Value) (component.Value, error) {
		*path, *args = fmt.Sprint(p), a
		return v, nil
	}}
}

func run1(t testing.TB, types component.Types, action contract.Action, inst component.Instance, request string) (string, error) {
	t.Helper()
	out, err := pick(t, types, action).Run(context.Background(), inst, action, []byte(request), 1<<20)
	if (err == nil) == (out == nil) {
		t.Fatalf("neither or both of an answer and an error: %q, %v", out, err)
	}
	return string(out), err
}
