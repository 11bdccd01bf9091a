package wasmtime

/*
#include "shim.h"
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"unsafe"

	"github.com/greentic-ai/greentic-provision/component"
)

// cval is the engine's tagged union. Its payload is reached through payload.
type cval = C.wasmtime_component_val_t

// payload views the union of v as one of its members.
func payload[T any](v *cval) *T { return (*T)(unsafe.Pointer(&v.of)) }

// cvals views n values at data.
func cvals(data *cval, n C.size_t) []cval { return unsafe.Slice(data, int(n)) }

// valKinds is the tag the engine gives a value of each kind.
var valKinds = [...]C.wasmtime_component_valkind_t{
	component.Bool:    C.WASMTIME_COMPONENT_BOOL,
	component.S8:      C.WASMTIME_COMPONENT_S8,
	component.U8:      C.WASMTIME_COMPONENT_U8,
	component.S16:     C.WASMTIME_COMPONENT_S16,
	component.U16:     C.WASMTIME_COMPONENT_U16,
	component.S32:     C.WASMTIME_COMPONENT_S32,
	component.U32:     C.WASMTIME_COMPONENT_U32,
	component.S64:     C.WASMTIME_COMPONENT_S64,
	component.U64:     C.WASMTIME_COMPONENT_U64,
	component.F32:     C.WASMTIME_COMPONENT_F32,
	component.F64:     C.WASMTIME_COMPONENT_F64,
	component.Char:    C.WASMTIME_COMPONENT_CHAR,
	component.String:  C.WASMTIME_COMPONENT_STRING,
	component.List:    C.WASMTIME_COMPONENT_LIST,
	component.Record:  C.WASMTIME_COMPONENT_RECORD,
	component.Tuple:   C.WASMTIME_COMPONENT_TUPLE,
	component.Variant: C.WASMTIME_COMPONENT_VARIANT,
	component.Enum:    C.WASMTIME_COMPONENT_ENUM,
	component.Option:  C.WASMTIME_COMPONENT_OPTION,
	component.Result:  C.WASMTIME_COMPONENT_RESULT,
	component.Flags:   C.WASMTIME_COMPONENT_FLAGS,
	component.Own:     C.WASMTIME_COMPONENT_RESOURCE,
	component.Borrow:  C.WASMTIME_COMPONENT_RESOURCE,
}

// arena is C memory for the values of one call. The engine only borrows
// arguments (and for results of host functions it makes its own copy of the
// tree), so the tree needs no allocation per node and no freeing by parts: a
// failure half way through costs the same as success.
type arena struct {
	chunks []unsafe.Pointer
	next   unsafe.Pointer // next free byte of the last chunk
	left   uintptr
}

// arenaChunk is the size of the first chunk, which an arena keeps; larger
// requests get chunks of their own, which it does not.
const arenaChunk = 4 << 10

var errNoMemory = errors.New("out of memory")

// alloc gives n zeroed objects of size bytes, 8-aligned, valid until reset. It
// gives nil for n = 0, which is what the engine's empty vectors hold.
func (a *arena) alloc(n int, size uintptr) (unsafe.Pointer, error) {
	p, err := a.raw(n, size)
	if p != nil {
		clear(unsafe.Slice((*byte)(p), uintptr(n)*size))
	}
	return p, err
}

// raw is alloc without the zeroes.
func (a *arena) raw(n int, size uintptr) (unsafe.Pointer, error) {
	if n == 0 {
		return nil, nil
	}
	if uintptr(n) > (1<<40)/size {
		return nil, errNoMemory
	}
	need := (uintptr(n)*size + 7) &^ 7
	if need > a.left {
		chunk := max(need, arenaChunk)
		p := C.shim_alloc(C.size_t(chunk))
		if p == nil {
			return nil, errNoMemory
		}
		a.chunks = append(a.chunks, p)
		a.next, a.left = p, chunk
	}
	p := a.next
	a.next = unsafe.Add(p, need)
	a.left -= need
	return p, nil
}

func (a *arena) vals(n int) (*cval, error) {
	p, err := a.alloc(n, unsafe.Sizeof(cval{}))
	return (*cval)(p), err
}

// name copies s.
func (a *arena) name(s string) (C.wasm_name_t, error) {
	p, err := a.raw(len(s), 1)
	if err != nil {
		return C.wasm_name_t{}, err
	}
	if p != nil {
		copy(unsafe.Slice((*byte)(p), len(s)), s)
	}
	return C.wasm_name_t{size: C.size_t(len(s)), data: (*C.wasm_byte_t)(p)}, nil
}

// reset invalidates everything alloc gave.
func (a *arena) reset() {
	if len(a.chunks) == 0 {
		return
	}
	for _, c := range a.chunks[1:] {
		C.shim_free(c)
	}
	a.chunks = a.chunks[:1]
	// The first chunk may have been made large by its first request; it is at
	// least this.
	a.next, a.left = a.chunks[0], arenaChunk
}

func (a *arena) free() {
	for _, c := range a.chunks {
		C.shim_free(c)
	}
	*a = arena{}
}

// GuestResource is the token in component.Handle.Guest. It stays valid until it
// is passed to the guest as an own parameter, is dropped, or its instance is
// closed. (Guests' resources reach the host only as results, where the component
// model has no borrows, so tokens are always of owned handles.)
type GuestResource struct {
	in     *Instance
	handle *C.wasmtime_component_resource_any_t // nil once no longer valid
	owned  bool
	taken  bool // lowered as own in the call being made
}

// Drop drops an owned handle, which runs the guest's destructor: errors are
// those of Instance.Call. Dropping a handle that is no longer valid is an error.
func (g *GuestResource) Drop(ctx context.Context) error {
	in := g.in
	if err := in.enter(ctx); err != nil {
		return err
	}
	defer in.leave()
	if g.handle == nil || !g.owned {
		return errors.New("wasmtime: drop of a handle that is not owned or no longer valid")
	}
	C.wasmtime_context_set_epoch_deadline(in.ctx, 1)
	e := C.wasmtime_component_resource_any_drop(in.ctx, g.handle)
	g.free()
	if e != nil {
		return in.trap(e)
	}
	return nil
}

// free forgets the token without dropping what it stands for.
func (g *GuestResource) free() {
	if g.handle != nil {
		C.wasmtime_component_resource_any_delete(g.handle)
		g.handle = nil
		delete(g.in.guests, g)
	}
}

// valueError says what is wrong with a value and where in it.
type valueError struct {
	path string
	err  error
}

func (e *valueError) Error() string { return e.path + ": " + e.err.Error() }

func (e *valueError) Unwrap() error { return e.err }

// at puts a step in front of the path of an error on its way out.
func at(step string, err error) error {
	if ve, ok := err.(*valueError); ok {
		ve.path = step + ve.path
		return ve
	}
	return &valueError{path: step, err: err}
}

func wrongType(t *component.Type, v component.Value) error {
	return fmt.Errorf("a %T is no %s", v, bounded(t.String()))
}
