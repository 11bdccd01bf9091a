package wasmtime

/*
#include "shim.h"
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"github.com/greentic-ai/greentic-provision/component"
)

func compileModule(engine *C.wasm_engine_t, wasm []byte, code *C.wasm_byte_vec_t) error {
	var m *C.wasmtime_module_t
	if e := C.wasmtime_module_new(engine, bytesPtr(wasm), C.size_t(len(wasm)), &m); e != nil {
		return fmt.Errorf("wasmtime: compile: %s", takeMessage(e))
	}
	defer C.wasmtime_module_delete(m)
	if e := C.wasmtime_module_serialize(m, code); e != nil {
		return fmt.Errorf("wasmtime: serialise: %s", takeMessage(e))
	}
	return nil
}

func (r *Runtime) loadModule(engine *C.wasm_engine_t, code []byte) (*Program, error) {
	p := &Program{rt: r}
	e := C.wasmtime_module_deserialize(engine, bytesPtr(code), C.size_t(len(code)), &p.module)
	runtime.KeepAlive(code)
	if e != nil {
		return nil, fmt.Errorf("wasmtime: load: %s", takeMessage(e))
	}
	p.describeModule()
	return p, nil
}

func (p *Program) describeModule() {
	p.types.Layer = component.LayerCore

	var imports C.wasm_importtype_vec_t
	C.wasmtime_module_imports(p.module, &imports)
	defer C.wasm_importtype_vec_delete(&imports)
	for _, im := range unsafe.Slice(imports.data, int(imports.size)) {
		name := nameString(C.wasm_importtype_module(im)) + "." + nameString(C.wasm_importtype_name(im))
		p.types.Imports = append(p.types.Imports, coreItem(name, C.wasm_importtype_type(im)))
		p.unmet = append(p.unmet, name)
	}

	var exports C.wasm_exporttype_vec_t
	C.wasmtime_module_exports(p.module, &exports)
	defer C.wasm_exporttype_vec_delete(&exports)
	for _, ex := range unsafe.Slice(exports.data, int(exports.size)) {
		p.types.Exports = append(p.types.Exports, coreItem(nameString(C.wasm_exporttype_name(ex)), C.wasm_exporttype_type(ex)))
	}
}

func coreItem(name string, t *C.wasm_externtype_t) component.Item {
	it := component.Item{Name: name, Kind: component.ItemCoreOther}
	switch C.wasm_externtype_kind(t) {
	case C.WASM_EXTERN_FUNC:
		f := C.wasm_externtype_as_functype_const(t)
		it.Kind = component.ItemCoreFunc
		it.Core = &component.CoreFunc{
			Params:  coreTypes(C.wasm_functype_params(f)),
			Results: coreTypes(C.wasm_functype_results(f)),
		}
	case C.WASM_EXTERN_MEMORY:
		it.Kind = component.ItemCoreMemory
	}
	return it
}

func coreTypes(v *C.wasm_valtype_vec_t) []string {
	var names []string
	for _, t := range unsafe.Slice(v.data, int(v.size)) {
		name := "other"
		switch C.wasm_valtype_kind(t) {
		case C.WASM_I32:
			name = "i32"
		case C.WASM_I64:
			name = "i64"
		case C.WASM_F32:
			name = "f32"
		case C.WASM_F64:
			name = "f64"
		case C.WASMTIME_V128: // wasm.h has no number of its own for it
			name = "v128"
		case C.WASM_FUNCREF:
			name = "funcref"
		case C.WASM_EXTERNREF:
			name = "externref"
		}
		names = append(names, name)
	}
	return names
}

// CallCore calls an exported core function of i32 parameters and results. A
// component has none, so there it is an error.
func (in *Instance) CallCore(ctx context.Context, name string, args []int32, results int) ([]int32, error) {
	if err := in.enter(ctx); err != nil {
		return nil, err
	}
	defer in.leave()
	if in.prog.module == nil {
		return nil, errors.New("wasmtime: CallCore on a component")
	}
	var f C.wasmtime_func_t
	if !C.shim_core_func(in.ctx, &in.core, stringPtr(name), C.size_t(len(name)), &f) {
		return nil, fmt.Errorf("wasmtime: no exported core function %q", name)
	}
	it, _ := component.Find(in.prog.types.Exports, name)
	if err := checkCore(it.Core, name, len(args), results); err != nil {
		return nil, err
	}
	scratch := make([]C.wasmtime_val_t, max(len(args), results))
	out := make([]int32, results)
	var trap *C.wasm_trap_t
	e := C.shim_core_call(in.ctx, &f, (*C.int32_t)(unsafe.SliceData(args)), C.size_t(len(args)),
		(*C.int32_t)(unsafe.SliceData(out)), C.size_t(len(out)), unsafe.SliceData(scratch), &trap)
	runtime.KeepAlive(args)
	switch {
	case e != nil:
		return nil, takeTrap(e)
	case trap != nil:
		return nil, takeCoreTrap(trap)
	}
	return out, nil
}

func checkCore(f *component.CoreFunc, name string, args, results int) error {
	if f == nil {
		return fmt.Errorf("wasmtime: no exported core function %q", name)
	}
	if len(f.Params) != args || len(f.Results) != results {
		return fmt.Errorf("wasmtime: core function %q has %d parameters and %d results, not %d and %d",
			name, len(f.Params), len(f.Results), args, results)
	}
	for _, t := range append(append([]string(nil), f.Params...), f.Results...) {
		if t != "i32" {
			return fmt.Errorf("wasmtime: core function %q has a parameter or result of type %s", name, t)
		}
	}
	return nil
}

// Memory gives an exported core memory. The slice is the guest's own memory: it
// is valid until the next call of any method but Memory, and the guest's writes
// show in it. Nil for a component and where there is no such export.
func (in *Instance) Memory(name string) []byte {
	if in.enter(context.Background()) != nil {
		return nil
	}
	defer in.leave()
	var m C.wasmtime_memory_t
	if in.prog.module == nil || !C.shim_core_memory(in.ctx, &in.core, stringPtr(name), C.size_t(len(name)), &m) {
		return nil
	}
	size := C.wasmtime_memory_data_size(in.ctx, &m)
	return unsafe.Slice((*byte)(unsafe.Pointer(C.wasmtime_memory_data(in.ctx, &m))), int(size))
}

// GrowMemory grows an exported core memory by pages of 64 KiB. Growth beyond
// the store's limit or the memory's own maximum is a *component.Trap with
// TrapLimit.
func (in *Instance) GrowMemory(name string, pages uint64) error {
	if err := in.enter(context.Background()); err != nil {
		return err
	}
	defer in.leave()
	var m C.wasmtime_memory_t
	if in.prog.module == nil || !C.shim_core_memory(in.ctx, &in.core, stringPtr(name), C.size_t(len(name)), &m) {
		return fmt.Errorf("wasmtime: no exported core memory %q", name)
	}
	var before C.uint64_t
	if e := C.wasmtime_memory_grow(in.ctx, &m, C.uint64_t(pages), &before); e != nil {
		return &component.Trap{Code: component.TrapLimit, Message: takeMessage(e)}
	}
	return nil
}
