package wasmtime

/*
#include "shim.h"
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"runtime/cgo"
	"strings"
	"sync/atomic"

	"github.com/greentic-ai/greentic-provision/component"
)

// DefaultLimits is what a zero field of component.StoreLimits stands for. A
// program without limits would be an oversight, so there is no such setting.
var DefaultLimits = component.StoreLimits{
	MemoryBytes:   64 << 20,
	TableElements: 100_000,
	Instances:     100,
	Tables:        100,
	Memories:      100,
}

func withDefaults(l component.StoreLimits) (component.StoreLimits, error) {
	for _, f := range []struct {
		name  string
		value *int64
		def   int64
	}{
		{"MemoryBytes", &l.MemoryBytes, DefaultLimits.MemoryBytes},
		{"TableElements", &l.TableElements, DefaultLimits.TableElements},
		{"Instances", &l.Instances, DefaultLimits.Instances},
		{"Tables", &l.Tables, DefaultLimits.Tables},
		{"Memories", &l.Memories, DefaultLimits.Memories},
	} {
		if *f.value < 0 {
			return l, fmt.Errorf("wasmtime: limit %s is negative", f.name)
		}
		if *f.value == 0 {
			*f.value = f.def
		}
	}
	return l, nil
}

// Instance is a store with one instance in it. It implements
// component.Instance and is for one goroutine at a time.
type Instance struct {
	prog      *Program
	store     *C.wasmtime_store_t
	ctx       *C.wasmtime_context_t // of store, valid as long
	comp      C.wasmtime_component_instance_t
	core      C.wasmtime_instance_t
	fn        C.wasmtime_component_func_t // of the call under way
	funcs     []component.HostFunc        // by import number
	resources []component.HostResource    // by import number

	busy    atomic.Bool
	closed  bool
	callCtx context.Context // of the call under way, for host functions
	parked  *component.Trap // why a callback ended the call under way

	args    arena // of the call under way
	results arena // of the callback under way
	guests  map[*GuestResource]struct{}
}

// Instantiate makes a store within limits (zero fields take DefaultLimits) and
// an instance in it, running its start functions. Errors: *MissingImportsError
// before anything ran; *component.Trap when a start function trapped or a limit
// was hit.
func (p *Program) Instantiate(ctx context.Context, limits component.StoreLimits, imports component.Imports) (component.Instance, error) {
	limits, err := withDefaults(limits)
	if err != nil {
		return nil, err
	}
	if !p.use() {
		return nil, errors.New("wasmtime: instantiate: the program is closed")
	}
	in := &Instance{prog: p}
	if err := in.bind(imports); err != nil {
		p.unuse()
		return nil, err
	}
	if err := in.open(limits); err != nil {
		p.unuse()
		return nil, err
	}
	if err := in.start(ctx); err != nil {
		in.Close()
		return nil, err
	}
	return in, nil
}

func (in *Instance) open(limits component.StoreLimits) error {
	engine, err := in.prog.rt.acquire()
	if err != nil {
		return err
	}
	defer in.prog.rt.release()
	// The store owns the handle: goStoreFinalize deletes it.
	in.store = C.shim_store_new(engine, C.uintptr_t(cgo.NewHandle(in)), C.int64_t(limits.MemoryBytes),
		C.int64_t(limits.TableElements), C.int64_t(limits.Instances), C.int64_t(limits.Tables), C.int64_t(limits.Memories))
	in.ctx = C.wasmtime_store_context(in.store)
	return nil
}

func (in *Instance) start(ctx context.Context) error {
	if err := in.enter(ctx); err != nil {
		return err
	}
	defer in.leave()
	if in.prog.module != nil {
		var trap *C.wasm_trap_t
		e := C.wasmtime_instance_new(in.ctx, in.prog.module, nil, 0, &in.core, &trap)
		switch {
		case e != nil:
			return in.failedStart(e)
		case trap != nil:
			return takeCoreTrap(trap)
		}
		return nil
	}
	if e := C.wasmtime_component_linker_instantiate(in.prog.linker, in.ctx, in.prog.component, &in.comp); e != nil {
		return in.failedStart(e)
	}
	return nil
}

// failedStart tells traps of start functions and limits from the engine's
// other refusals.
func (in *Instance) failedStart(e *C.wasmtime_error_t) error {
	trap := in.trap(e)
	if trap.Code == component.TrapOther && !strings.Contains(trap.Message, "wasm trap: ") {
		return fmt.Errorf("wasmtime: instantiate: %s", trap.Message)
	}
	return trap
}

// trap makes the error of a call that the engine ended, and deletes e.
func (in *Instance) trap(e *C.wasmtime_error_t) *component.Trap {
	if in.parked != nil {
		C.wasmtime_error_delete(e)
		return in.parked
	}
	return takeTrap(e)
}

// enter begins the one use of the store that may be under way: the C API has no
// defence against a second, from another goroutine or from a host function.
func (in *Instance) enter(ctx context.Context) error {
	if !in.busy.CompareAndSwap(false, true) {
		return errors.New("wasmtime: the instance is in use")
	}
	if in.closed {
		in.busy.Store(false)
		return errors.New("wasmtime: the instance is closed")
	}
	in.callCtx = ctx
	in.parked = nil
	return nil
}

func (in *Instance) leave() {
	in.callCtx = nil
	in.parked = nil
	in.busy.Store(false)
}

// Call calls the exported function at path. Arguments are borrowed; the result
// is the caller's. A trapped component instance cannot be entered again.
func (in *Instance) Call(ctx context.Context, path []string, args []component.Value) (component.Value, error) {
	if err := in.enter(ctx); err != nil {
		return nil, err
	}
	defer in.leave()
	f := in.prog.exports[exportKey(path)]
	if f == nil {
		return nil, fmt.Errorf("wasmtime: no exported function %q", strings.Join(path, "#"))
	}
	if !f.supported {
		return nil, fmt.Errorf("wasmtime: function %q has a parameter or result of an unsupported type", strings.Join(path, "#"))
	}
	if len(args) != len(f.typ.Params) {
		return nil, fmt.Errorf("wasmtime: function %q takes %d arguments, not %d", strings.Join(path, "#"), len(f.typ.Params), len(args))
	}

	defer in.args.reset()
	low := lowering{in: in, ctx: in.ctx, arena: &in.args}
	vals, result, err := low.call(f.typ, args)
	if err != nil {
		low.abandon()
		return nil, fmt.Errorf("wasmtime: call %q: %w", strings.Join(path, "#"), err)
	}
	var noFunc C.bool
	if e := C.shim_call(&in.comp, in.ctx, f.index, &in.fn, vals, C.size_t(len(args)), result, &noFunc); e != nil {
		low.forget()
		return nil, in.trap(e)
	}
	if noFunc {
		low.abandon()
		return nil, fmt.Errorf("wasmtime: no exported function %q", strings.Join(path, "#"))
	}
	var v component.Value
	var liftErr error
	if f.typ.Result != nil {
		lift := lifting{in: in, ctx: in.ctx, budget: in.prog.rt.config.LiftBytes}
		v, liftErr = lift.value(result, f.typ.Result)
	}
	if e := C.shim_call_done(in.ctx, &in.fn, result); e != nil {
		low.forget()
		return nil, in.trap(e)
	}
	low.done()
	if liftErr != nil {
		return nil, liftTrap(liftErr)
	}
	return v, nil
}

// Close frees the store and everything in it. It may be called twice, but not
// from a host function of this instance: that panics.
func (in *Instance) Close() {
	if !in.busy.CompareAndSwap(false, true) {
		panic("wasmtime: Close of an instance that is in use")
	}
	defer in.busy.Store(false)
	if in.closed {
		return
	}
	in.closed = true
	for g := range in.guests {
		g.free()
	}
	in.guests = nil
	C.wasmtime_store_delete(in.store)
	in.store, in.ctx = nil, nil
	in.args.free()
	in.results.free()
	in.prog.unuse()
}
