package wasmtime

/*
#include "shim.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
	"unsafe"

	"github.com/greentic-ai/greentic-provision/component"
)

// lowering turns Go values into the engine's, in an arena. It checks all that
// the C API takes on trust: there, a wrong tag or bad UTF-8 is a Rust panic and
// so the end of the process.
//
// After the values are built, exactly one of abandon, forget or done is called.
type lowering struct {
	in    *Instance
	ctx   *C.wasmtime_context_t
	arena *arena
	made  []madeHandle
	taken []*GuestResource
}

// madeHandle is the engine's form of a handle to a host resource.
type madeHandle struct {
	handle   *C.wasmtime_component_resource_any_t
	borrowed bool
}

// call lowers the arguments of f and makes a slot for its result, nil if it has
// none.
func (l *lowering) call(f *component.Func, args []component.Value) (vals, result *cval, err error) {
	if vals, err = l.arena.vals(len(args)); err != nil {
		return nil, nil, err
	}
	slots := cvals(vals, C.size_t(len(args)))
	for i, arg := range args {
		if err := l.value(&slots[i], f.Params[i].Type, arg); err != nil {
			return nil, nil, at("argument "+strconv.Itoa(i), err)
		}
	}
	if f.Result != nil {
		if result, err = l.arena.vals(1); err != nil {
			return nil, nil, err
		}
	}
	return vals, result, nil
}

// result lowers v and gives the engine its own copy in slot, which must hold
// nothing that needs freeing.
func (l *lowering) result(slot *cval, t *component.Type, v component.Value) error {
	tree, err := l.arena.vals(1)
	if err != nil {
		return err
	}
	if err := l.value(tree, t, v); err != nil {
		return at("result", err)
	}
	C.wasmtime_component_val_clone(tree, slot)
	return nil
}

// abandon undoes what lowering did to the store: no call is made.
func (l *lowering) abandon() {
	for _, m := range l.made {
		l.drop(m)
	}
	for _, g := range l.taken {
		g.taken = false
	}
	l.made, l.taken = nil, nil
}

// forget frees what the arena does not own: the engine has the values, or has
// given up on the store.
func (l *lowering) forget() {
	for _, m := range l.made {
		C.wasmtime_component_resource_any_delete(m.handle)
	}
	for _, g := range l.taken {
		g.free()
	}
	l.made, l.taken = nil, nil
}

// done is forget after a call that succeeded, when lent handles can be taken
// out of the engine's table.
func (l *lowering) done() {
	kept := l.made[:0]
	for _, m := range l.made {
		if m.borrowed {
			l.drop(m)
		} else {
			kept = append(kept, m)
		}
	}
	l.made = kept
	l.forget()
}

// drop takes a handle out of the engine's table. Handles made here have no
// destructor, so nobody is told.
func (l *lowering) drop(m madeHandle) {
	if e := C.wasmtime_component_resource_any_drop(l.ctx, m.handle); e != nil {
		C.wasmtime_error_delete(e)
	}
	C.wasmtime_component_resource_any_delete(m.handle)
}

// value writes v into dst, which is zeroed arena memory.
func (l *lowering) value(dst *cval, t *component.Type, v component.Value) error {
	if t == nil || t.Kind == component.Unsupported || int(t.Kind) >= len(valKinds) {
		return errors.New("the type is not supported")
	}
	dst.kind = valKinds[t.Kind]
	ok := false
	switch t.Kind {
	case component.Bool:
		ok = scalar[bool](dst, v)
	case component.S8:
		ok = scalar[int8](dst, v)
	case component.U8:
		ok = scalar[uint8](dst, v)
	case component.S16:
		ok = scalar[int16](dst, v)
	case component.U16:
		ok = scalar[uint16](dst, v)
	case component.S32:
		ok = scalar[int32](dst, v)
	case component.U32:
		ok = scalar[uint32](dst, v)
	case component.S64:
		ok = scalar[int64](dst, v)
	case component.U64:
		ok = scalar[uint64](dst, v)
	case component.F32:
		ok = scalar[float32](dst, v)
	case component.F64:
		ok = scalar[float64](dst, v)
	case component.Char:
		if r, is := v.(rune); is && !utf8.ValidRune(r) {
			return fmt.Errorf("%#x is no Unicode scalar value", r)
		}
		ok = scalar[rune](dst, v)
	case component.String:
		s, is := v.(string)
		if !is {
			break
		}
		if !utf8.ValidString(s) {
			return errors.New("the string is not valid UTF-8")
		}
		return l.name(payload[C.wasm_name_t](dst), s)
	case component.List:
		return l.list(dst, t, v)
	case component.Record:
		return l.record(dst, t, v)
	case component.Tuple:
		return l.tuple(dst, t, v)
	case component.Variant:
		return l.variant(dst, t, v)
	case component.Enum:
		label, is := v.(string)
		if !is {
			break
		}
		if labelIndex(t.Labels, label) < 0 {
			return fmt.Errorf("%q is no label of %s", label, bounded(t.String()))
		}
		return l.name(payload[C.wasm_name_t](dst), label)
	case component.Option:
		return l.option(dst, t, v)
	case component.Result:
		return l.res(dst, t, v)
	case component.Flags:
		return l.flags(dst, t, v)
	case component.Own, component.Borrow:
		return l.handle(dst, t, v)
	}
	if !ok {
		return wrongType(t, v)
	}
	return nil
}

func scalar[T any](dst *cval, v component.Value) bool {
	x, ok := v.(T)
	if ok {
		*payload[T](dst) = x
	}
	return ok
}

func (l *lowering) name(dst *C.wasm_name_t, s string) error {
	name, err := l.arena.name(s)
	*dst = name
	return err
}

func (l *lowering) list(dst *cval, t *component.Type, v component.Value) error {
	out := payload[C.wasmtime_component_vallist_t](dst)
	if t.Elem != nil && t.Elem.Kind == component.U8 {
		b, ok := v.([]byte)
		if !ok {
			return wrongType(t, v)
		}
		p, err := l.arena.raw(len(b), unsafe.Sizeof(cval{}))
		if err != nil || p == nil {
			return err
		}
		data := (*cval)(p)
		C.shim_bytes_lower(data, bytesPtr(b), C.size_t(len(b)))
		out.size, out.data = C.size_t(len(b)), data
		return nil
	}
	elems, ok := v.([]component.Value)
	if !ok {
		return wrongType(t, v)
	}
	data, err := l.arena.vals(len(elems))
	if err != nil {
		return err
	}
	out.size, out.data = C.size_t(len(elems)), data
	slots := cvals(data, out.size)
	for i, e := range elems {
		if err := l.value(&slots[i], t.Elem, e); err != nil {
			return at("["+strconv.Itoa(i)+"]", err)
		}
	}
	return nil
}

func (l *lowering) record(dst *cval, t *component.Type, v component.Value) error {
	fields, err := fieldValues(t, v)
	if err != nil {
		return err
	}
	p, err := l.arena.alloc(len(fields), unsafe.Sizeof(C.wasmtime_component_valrecord_entry_t{}))
	if err != nil {
		return err
	}
	out := payload[C.wasmtime_component_valrecord_t](dst)
	out.size, out.data = C.size_t(len(fields)), (*C.wasmtime_component_valrecord_entry_t)(p)
	entries := unsafe.Slice(out.data, len(fields))
	for i, f := range fields {
		if err := l.name(&entries[i].name, t.Fields[i].Name); err != nil {
			return err
		}
		if err := l.value(&entries[i].val, t.Fields[i].Type, f); err != nil {
			return at("."+t.Fields[i].Name, err)
		}
	}
	return nil
}

func (l *lowering) tuple(dst *cval, t *component.Type, v component.Value) error {
	fields, err := fieldValues(t, v)
	if err != nil {
		return err
	}
	data, err := l.arena.vals(len(fields))
	if err != nil {
		return err
	}
	out := payload[C.wasmtime_component_valtuple_t](dst)
	out.size, out.data = C.size_t(len(fields)), data
	slots := cvals(data, out.size)
	for i, f := range fields {
		if err := l.value(&slots[i], t.Fields[i].Type, f); err != nil {
			return at("."+strconv.Itoa(i), err)
		}
	}
	return nil
}

func fieldValues(t *component.Type, v component.Value) ([]component.Value, error) {
	fields, ok := v.([]component.Value)
	if !ok {
		return nil, wrongType(t, v)
	}
	if len(fields) != len(t.Fields) {
		return nil, fmt.Errorf("%d fields where %s has %d", len(fields), bounded(t.String()), len(t.Fields))
	}
	return fields, nil
}

func (l *lowering) variant(dst *cval, t *component.Type, v component.Value) error {
	c, ok := v.(component.Case)
	if !ok {
		return wrongType(t, v)
	}
	for _, f := range t.Fields {
		if f.Name != c.Name {
			continue
		}
		out := payload[C.wasmtime_component_valvariant_t](dst)
		if err := l.name(&out.discriminant, f.Name); err != nil {
			return err
		}
		return l.boxed(&out.val, "("+f.Name+")", f.Type, c.Value)
	}
	return fmt.Errorf("%q is no case of %s", c.Name, bounded(t.String()))
}

func (l *lowering) option(dst *cval, t *component.Type, v component.Value) error {
	o, ok := v.(component.Opt)
	if !ok {
		return wrongType(t, v)
	}
	if !o.Some {
		if o.Value != nil {
			return errors.New("an absent option has a value")
		}
		return nil
	}
	return l.boxed(payload[*cval](dst), "(some)", t.Elem, o.Value)
}

func (l *lowering) res(dst *cval, t *component.Type, v component.Value) error {
	r, ok := v.(component.Res)
	if !ok {
		return wrongType(t, v)
	}
	out := payload[C.wasmtime_component_valresult_t](dst)
	if r.IsErr {
		return l.boxed(&out.val, "(err)", t.Err, r.Value)
	}
	out.is_ok = true
	return l.boxed(&out.val, "(ok)", t.Ok, r.Value)
}

// boxed lowers a payload, which is absent exactly when its type is.
func (l *lowering) boxed(box **cval, step string, t *component.Type, v component.Value) error {
	if t == nil {
		if v != nil {
			return at(step, errors.New("a payload where the type has none"))
		}
		return nil
	}
	p, err := l.arena.vals(1)
	if err != nil {
		return err
	}
	*box = p
	if err := l.value(p, t, v); err != nil {
		return at(step, err)
	}
	return nil
}

func (l *lowering) flags(dst *cval, t *component.Type, v component.Value) error {
	labels, ok := v.([]string)
	if !ok {
		return wrongType(t, v)
	}
	p, err := l.arena.alloc(len(labels), unsafe.Sizeof(C.wasm_name_t{}))
	if err != nil {
		return err
	}
	out := payload[C.wasmtime_component_valflags_t](dst)
	out.size, out.data = C.size_t(len(labels)), (*C.wasm_name_t)(p)
	names := unsafe.Slice(out.data, len(labels))
	last := -1
	for i, label := range labels {
		n := labelIndex(t.Labels, label)
		if n < 0 {
			return fmt.Errorf("%q is no label of %s", label, bounded(t.String()))
		}
		if n <= last {
			return fmt.Errorf("label %q is repeated or not in the order of declaration", label)
		}
		last = n
		if err := l.name(&names[i], label); err != nil {
			return err
		}
	}
	return nil
}

func labelIndex(labels []string, label string) int {
	for i, l := range labels {
		if l == label {
			return i
		}
	}
	return -1
}

func (l *lowering) handle(dst *cval, t *component.Type, v component.Value) error {
	h, ok := v.(component.Handle)
	if !ok {
		return wrongType(t, v)
	}
	own := t.Kind == component.Own
	if own && !h.Own {
		return errors.New("a borrowed handle where an owned one is wanted")
	}
	out := payload[*C.wasmtime_component_resource_any_t](dst)
	i, hosts := l.in.prog.hostTypes[t]
	if !hosts {
		return l.guest(out, own, h)
	}
	if h.Guest != nil {
		return errors.New("a handle to a guest's resource where one of the host is wanted")
	}
	if kind := l.in.resources[i].Kind; h.Kind != kind {
		return fmt.Errorf("a handle of kind %d where kind %d is wanted", h.Kind, kind)
	}
	// As an own handle also when it is lent: making a borrow outside of a call
	// underflows in the engine (resource_lower_borrow takes the last scope).
	var r *C.wasmtime_component_resource_any_t
	if e := C.shim_resource_new(l.ctx, C.uint32_t(i), C.uint32_t(h.Rep), &r); e != nil {
		return errors.New(takeMessage(e))
	}
	l.made = append(l.made, madeHandle{handle: r, borrowed: !own})
	*out = r
	return nil
}

func (l *lowering) guest(out **C.wasmtime_component_resource_any_t, own bool, h component.Handle) error {
	g, ok := h.Guest.(*GuestResource)
	switch {
	case !ok || g == nil:
		return errors.New("not a handle to a guest's resource")
	case g.in != l.in:
		return errors.New("the handle is of another instance")
	case g.handle == nil || g.taken:
		return errors.New("the handle is no longer valid")
	case own && !g.owned:
		return errors.New("a borrowed handle where an owned one is wanted")
	}
	if own {
		g.taken = true
		l.taken = append(l.taken, g)
	}
	*out = g.handle
	return nil
}
