package wasmtime

// The functions C calls. They are apart from every file that defines C code,
// because cgo copies the preamble of a file with exports into two objects.

/*
#include "shim.h"
*/
import "C"

import (
	"fmt"
	"runtime/cgo"
	"runtime/debug"
	"unsafe"

	"github.com/greentic-ai/greentic-provision/component"
)

// goStoreFinalize is the finalizer of a store's data: the one place where an
// instance's handle is deleted.
//
//export goStoreFinalize
func goStoreFinalize(h C.uintptr_t) { cgo.Handle(h).Delete() }

// goHostCall runs import number index of the instance behind h. args are
// borrowed from the engine, as is ctx; results are slots that hold bool false
// and that the engine will clone and drop. Whatever goes wrong is parked on the
// instance, whose call under way then returns it.
//
//export goHostCall
func goHostCall(h C.uintptr_t, ctx *C.wasmtime_context_t, index C.size_t, args *C.wasmtime_component_val_t, nargs C.size_t,
	results *C.wasmtime_component_val_t, nresults C.size_t) (failed *C.wasmtime_error_t) {
	in := cgo.Handle(h).Value().(*Instance)
	f := in.prog.imports[index]
	defer func() {
		if v := recover(); v != nil {
			failed = in.park(hostTrap(&PanicError{Func: importName{f.iface, f.name}.String(), Value: v, Stack: debug.Stack()}))
		}
	}()
	return in.park(in.host(ctx, int(index), unsafe.Slice(args, int(nargs)), unsafe.Slice(results, int(nresults))))
}

// goHostDrop tells the host that the guest dropped an owned handle.
//
//export goHostDrop
func goHostDrop(h C.uintptr_t, index C.size_t, rep C.uint32_t) (failed *C.wasmtime_error_t) {
	in := cgo.Handle(h).Value().(*Instance)
	defer func() {
		if v := recover(); v != nil {
			name := in.prog.resources[index].at[0].String()
			failed = in.park(hostTrap(&PanicError{Func: name + " (drop)", Value: v, Stack: debug.Stack()}))
		}
	}()
	if drop := in.resources[index].Drop; drop != nil {
		drop(uint32(rep))
	}
	return nil
}

// park keeps the trap for the call under way and gives the engine something to
// unwind with. The text stays on this side.
func (in *Instance) park(t *component.Trap) *C.wasmtime_error_t {
	if t == nil {
		return nil
	}
	in.parked = t
	return C.shim_host_error()
}

// host converts, calls and converts back. ctx is only good until it returns.
func (in *Instance) host(ctx *C.wasmtime_context_t, index int, args, results []C.wasmtime_component_val_t) *component.Trap {
	f := in.prog.imports[index]
	if len(args) != len(f.typ.Params) || (len(results) == 1) != (f.typ.Result != nil) {
		return hostTrap(fmt.Errorf("import %s: the engine passed %d arguments and %d results", importName{f.iface, f.name}, len(args), len(results)))
	}
	lift := lifting{in: in, ctx: ctx, budget: in.prog.rt.config.LiftBytes}
	values := make([]component.Value, len(args))
	for i := range args {
		v, err := lift.value(&args[i], f.typ.Params[i].Type)
		if err != nil {
			return liftTrap(fmt.Errorf("import %s: argument %d: %w", importName{f.iface, f.name}, i, err))
		}
		values[i] = v
	}
	v, err := in.funcs[index](in.callCtx, values)
	if err != nil {
		return hostTrap(err)
	}
	if f.typ.Result == nil {
		if v != nil {
			return hostTrap(fmt.Errorf("import %s: the host function gave a result, its type has none", importName{f.iface, f.name}))
		}
		return nil
	}
	defer in.results.reset()
	low := lowering{in: in, ctx: ctx, arena: &in.results}
	if err := low.result(&results[0], f.typ.Result, v); err != nil {
		low.abandon()
		return hostTrap(fmt.Errorf("import %s: %w", importName{f.iface, f.name}, err))
	}
	low.forget()
	return nil
}
