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

// lifting turns the engine's values into Go values. It copies and leaves the
// engine's tree as it is, which is then freed as a whole. Types are at most
// maxTypeDepth deep, so this recursion is bounded.
type lifting struct {
	in     *Instance
	ctx    *C.wasmtime_context_t
	budget int64 // bytes still allowed
}

var errLiftLimit = errors.New("the values are larger than the limit")

// liftTrap is the trap for an error of lifting.
func liftTrap(err error) *component.Trap {
	code := component.TrapOther
	if errors.Is(err, errLiftLimit) {
		code = component.TrapLimit
	}
	return &component.Trap{Code: code, Message: bounded(err.Error())}
}

// valueBytes is what a component.Value itself takes.
const valueBytes = int64(unsafe.Sizeof(component.Value(nil)))

// spend takes n objects of size bytes from the budget, before they are made.
func (l *lifting) spend(n C.size_t, size int64) error {
	if uint64(n) > uint64(l.budget)/uint64(size) {
		return errLiftLimit
	}
	l.budget -= int64(n) * size
	return nil
}

// value copies v, which the engine has checked to be of type t; that it really
// has the tag of t is checked again, since reading the wrong member of a union
// would follow a number as a pointer.
func (l *lifting) value(v *cval, t *component.Type) (component.Value, error) {
	if t == nil || t.Kind == component.Unsupported || int(t.Kind) >= len(valKinds) {
		return nil, errors.New("the type is not supported")
	}
	if v.kind != valKinds[t.Kind] {
		return nil, fmt.Errorf("the engine gave a value with tag %d for a %s", v.kind, bounded(t.String()))
	}
	if err := l.spend(1, valueBytes); err != nil {
		return nil, err
	}
	switch t.Kind {
	case component.Bool:
		return *payload[bool](v), nil
	case component.S8:
		return *payload[int8](v), nil
	case component.U8:
		return *payload[uint8](v), nil
	case component.S16:
		return *payload[int16](v), nil
	case component.U16:
		return *payload[uint16](v), nil
	case component.S32:
		return *payload[int32](v), nil
	case component.U32:
		return *payload[uint32](v), nil
	case component.S64:
		return *payload[int64](v), nil
	case component.U64:
		return *payload[uint64](v), nil
	case component.F32:
		return *payload[float32](v), nil
	case component.F64:
		return *payload[float64](v), nil
	case component.Char:
		return *payload[rune](v), nil
	case component.String:
		name := payload[C.wasm_name_t](v)
		if err := l.spend(name.size, 1); err != nil {
			return nil, err
		}
		s := nameString(name)
		if !utf8.ValidString(s) {
			return nil, errors.New("the engine gave a string that is not valid UTF-8")
		}
		return s, nil
	case component.List:
		return l.list(payload[C.wasmtime_component_vallist_t](v), t)
	case component.Record:
		return l.record(payload[C.wasmtime_component_valrecord_t](v), t)
	case component.Tuple:
		return l.tuple(payload[C.wasmtime_component_valtuple_t](v), t)
	case component.Variant:
		return l.variant(payload[C.wasmtime_component_valvariant_t](v), t)
	case component.Enum:
		return ownLabel(t.Labels, payload[C.wasm_name_t](v))
	case component.Option:
		box := *payload[*cval](v)
		if box == nil {
			return component.None, nil
		}
		x, err := l.boxed(box, t.Elem, "(some)")
		return component.Opt{Some: err == nil, Value: x}, err
	case component.Result:
		r := payload[C.wasmtime_component_valresult_t](v)
		if r.is_ok {
			x, err := l.boxed(r.val, t.Ok, "(ok)")
			return component.Res{Value: x}, err
		}
		x, err := l.boxed(r.val, t.Err, "(err)")
		return component.Res{IsErr: true, Value: x}, err
	case component.Flags:
		return l.flags(payload[C.wasmtime_component_valflags_t](v), t)
	default: // Own, Borrow: the only kinds left in valKinds
		return l.handle(*payload[*C.wasmtime_component_resource_any_t](v), t)
	}
}

func (l *lifting) list(list *C.wasmtime_component_vallist_t, t *component.Type) (component.Value, error) {
	if t.Elem != nil && t.Elem.Kind == component.U8 {
		if err := l.spend(list.size, 1); err != nil {
			return nil, err
		}
		b := make([]byte, int(list.size))
		if len(b) > 0 && !C.shim_bytes_lift(bytesPtr(b), list.data, list.size) {
			return nil, errors.New("the engine gave a list<u8> with other elements")
		}
		return b, nil
	}
	// The elements' own spending pays for the slots too, but only once they
	// exist; a long list must fail before its slice is made.
	if uint64(list.size) > uint64(l.budget/valueBytes) {
		return nil, errLiftLimit
	}
	values := make([]component.Value, int(list.size))
	if len(values) == 0 {
		return values, nil // list.data is no pointer then, see shim_host_call
	}
	slots := cvals(list.data, list.size)
	for i := range slots {
		v, err := l.value(&slots[i], t.Elem)
		if err != nil {
			return nil, at("["+strconv.Itoa(i)+"]", err)
		}
		values[i] = v
	}
	return values, nil
}

func (l *lifting) record(rec *C.wasmtime_component_valrecord_t, t *component.Type) (component.Value, error) {
	if int(rec.size) != len(t.Fields) {
		return nil, fmt.Errorf("the engine gave %d fields for a %s", rec.size, bounded(t.String()))
	}
	entries := unsafe.Slice(rec.data, int(rec.size))
	values := make([]component.Value, len(entries))
	for i := range entries {
		v, err := l.value(&entries[i].val, t.Fields[i].Type)
		if err != nil {
			return nil, at("."+t.Fields[i].Name, err)
		}
		values[i] = v
	}
	return values, nil
}

func (l *lifting) tuple(tup *C.wasmtime_component_valtuple_t, t *component.Type) (component.Value, error) {
	if int(tup.size) != len(t.Fields) {
		return nil, fmt.Errorf("the engine gave %d fields for a %s", tup.size, bounded(t.String()))
	}
	slots := cvals(tup.data, tup.size)
	values := make([]component.Value, len(slots))
	for i := range slots {
		v, err := l.value(&slots[i], t.Fields[i].Type)
		if err != nil {
			return nil, at("."+strconv.Itoa(i), err)
		}
		values[i] = v
	}
	return values, nil
}

func (l *lifting) variant(val *C.wasmtime_component_valvariant_t, t *component.Type) (component.Value, error) {
	name := vecBytes(&val.discriminant)
	for _, f := range t.Fields {
		if f.Name == string(name) {
			v, err := l.boxed(val.val, f.Type, "("+f.Name+")")
			return component.Case{Name: f.Name, Value: v}, err
		}
	}
	return nil, fmt.Errorf("the engine gave case %q for a %s", name, bounded(t.String()))
}

// boxed copies a payload, which is absent exactly when its type is.
func (l *lifting) boxed(box *cval, t *component.Type, step string) (component.Value, error) {
	if (box == nil) != (t == nil) {
		return nil, at(step, errors.New("the engine gave a payload where there is none, or none where there is one"))
	}
	if box == nil {
		return nil, nil
	}
	v, err := l.value(box, t)
	if err != nil {
		return nil, at(step, err)
	}
	return v, nil
}

func (l *lifting) flags(flags *C.wasmtime_component_valflags_t, t *component.Type) (component.Value, error) {
	if err := l.spend(flags.size, int64(unsafe.Sizeof(""))); err != nil {
		return nil, err
	}
	labels := make([]string, 0, int(flags.size))
	if flags.size == 0 {
		return labels, nil
	}
	names := unsafe.Slice(flags.data, int(flags.size))
	for i := range names {
		label, err := ownLabel(t.Labels, &names[i])
		if err != nil {
			return nil, err
		}
		labels = append(labels, label)
	}
	return labels, nil
}

// ownLabel gives the type's own string for a label, which costs no copy.
func ownLabel(labels []string, name *C.wasm_name_t) (string, error) {
	b := vecBytes(name)
	for _, l := range labels {
		if l == string(b) {
			return l, nil
		}
	}
	return "", fmt.Errorf("the engine gave an unknown label %q", b)
}

func (l *lifting) handle(r *C.wasmtime_component_resource_any_t, t *component.Type) (component.Value, error) {
	h := component.Handle{Own: t.Kind == component.Own}
	if _, hosts := l.in.prog.hostTypes[t]; hosts {
		var index, rep C.uint32_t
		if e := C.shim_resource_take(l.ctx, r, &index, &rep); e != nil {
			return nil, errors.New(takeMessage(e))
		}
		if int(index) >= len(l.in.resources) {
			return nil, fmt.Errorf("the engine gave a resource of unknown type %d", index)
		}
		h.Kind, h.Rep = l.in.resources[index].Kind, uint32(rep)
		return h, nil
	}
	// Only results come here: an import can name imported resources alone.
	if err := l.spend(1, int64(unsafe.Sizeof(GuestResource{}))); err != nil {
		return nil, err
	}
	g := &GuestResource{in: l.in, handle: C.wasmtime_component_resource_any_clone(r), owned: h.Own}
	if l.in.guests == nil {
		l.in.guests = map[*GuestResource]struct{}{}
	}
	l.in.guests[g] = struct{}{}
	h.Guest = g
	return h, nil
}
