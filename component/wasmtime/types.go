package wasmtime

/*
#include "shim.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/greentic-ai/greentic-provision/component"
)

// Bounds of what Load describes. A component's types are a graph, and a tuple
// of two tuples of two tuples... is small there and huge as a tree: the engine
// allows a million nodes a type. The indexed getters of the C API walk from the
// start each time, so the length of a list counts squared.
const (
	maxTypeNodes = 1 << 16 // types and items of a program, as trees
	maxListed    = 1 << 10 // items of an instance, fields of a record, labels, ...
	maxTypeDepth = 64      // so values are no deeper, and lifting needs no bound of its own
	maxResources = 256     // imported resource types; each use of one is searched for
)

var errListTooLong = fmt.Errorf("wasmtime: load: %w: one of them, or an instance, has more than %d parts", component.ErrTooLarge, maxListed)

var errTypesTooLarge = fmt.Errorf("wasmtime: load: %w: they have more than %d parts", component.ErrTooLarge, maxTypeNodes)

// describer turns the engine's types of one program into component.Types.
type describer struct {
	p         *Program
	engine    *C.wasm_engine_t
	nodes     int
	resources []*C.wasmtime_component_resource_type_t // p.resources, as the engine's types
}

// describe fills in p.types and everything else that is known before linking.
func (p *Program) describe(engine *C.wasm_engine_t) error {
	d := &describer{p: p, engine: engine}
	defer func() {
		for _, r := range d.resources {
			C.wasmtime_component_resource_type_delete(r)
		}
	}()
	ty := C.wasmtime_component_type(p.component)
	defer C.wasmtime_component_type_delete(ty)

	p.types.Layer = component.LayerComponent
	n := C.wasmtime_component_type_import_count(ty, engine)
	err := d.items(n, func(i C.size_t, name **C.char, length *C.size_t, item *C.wasmtime_component_item_t) C.bool {
		return C.wasmtime_component_type_import_nth(ty, engine, i, name, length, item)
	}, func(name string, item *C.wasmtime_component_item_t) error {
		it, err := d.item(name, item, &importSite{})
		p.types.Imports = append(p.types.Imports, it)
		return err
	})
	if err != nil {
		return err
	}
	n = C.wasmtime_component_type_export_count(ty, engine)
	err = d.items(n, func(i C.size_t, name **C.char, length *C.size_t, item *C.wasmtime_component_item_t) C.bool {
		return C.wasmtime_component_type_export_nth(ty, engine, i, name, length, item)
	}, func(name string, item *C.wasmtime_component_item_t) error {
		it, err := d.item(name, item, nil)
		p.types.Exports = append(p.types.Exports, it)
		return err
	})
	if err != nil {
		return err
	}
	p.findExports(p.types.Exports, nil, nil)
	return nil
}

// importSite says where in the imports an item stands; nil among exports.
type importSite struct {
	iface string
	depth int // 0 the world, 1 an interface, beyond that nested instances
}

// items calls each for all n items that nth gives.
func (d *describer) items(n C.size_t, nth func(C.size_t, **C.char, *C.size_t, *C.wasmtime_component_item_t) C.bool,
	each func(string, *C.wasmtime_component_item_t) error) error {
	if n > maxListed {
		return errListTooLong
	}
	for i := range n {
		if err := d.count(); err != nil {
			return err
		}
		var name *C.char
		var length C.size_t
		var item C.wasmtime_component_item_t
		if !nth(i, &name, &length, &item) {
			return errors.New("wasmtime: load: the engine's list of items is shorter than its count")
		}
		err := each(C.GoStringN(name, C.int(length)), &item)
		C.wasmtime_component_item_delete(&item)
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *describer) count() error {
	if d.nodes++; d.nodes > maxTypeNodes {
		return errTypesTooLarge
	}
	return nil
}

func (d *describer) item(name string, item *C.wasmtime_component_item_t, site *importSite) (component.Item, error) {
	it := component.Item{Name: name}
	of := unsafe.Pointer(&item.of)
	unmet := func() {
		if site != nil {
			d.p.unmet = append(d.p.unmet, importName{site.iface, name}.String())
		}
	}
	var err error
	switch item.kind {
	case C.WASMTIME_COMPONENT_ITEM_COMPONENT_FUNC:
		it.Kind = component.ItemFunc
		it.Func, err = d.function(*(**C.wasmtime_component_func_type_t)(of))
		if site != nil {
			if site.depth > 1 || !supported(it.Func) {
				unmet()
			} else {
				d.p.imports = append(d.p.imports, importedFunc{site.iface, name, it.Func})
			}
		}
	case C.WASMTIME_COMPONENT_ITEM_COMPONENT_INSTANCE:
		it.Kind = component.ItemInstance
		ty := *(**C.wasmtime_component_instance_type_t)(of)
		var inner *importSite
		if site != nil {
			inner = &importSite{iface: name, depth: site.depth + 1}
			if inner.depth > 1 {
				inner.iface = site.iface + "#" + name
			}
			if inner.depth > maxTypeDepth {
				return it, errTypesTooLarge
			}
		}
		n := C.wasmtime_component_instance_type_export_count(ty, d.engine)
		err = d.items(n, func(i C.size_t, name **C.char, length *C.size_t, item *C.wasmtime_component_item_t) C.bool {
			return C.wasmtime_component_instance_type_export_nth(ty, d.engine, i, name, length, item)
		}, func(name string, item *C.wasmtime_component_item_t) error {
			sub, err := d.item(name, item, inner)
			it.Items = append(it.Items, sub)
			return err
		})
	case C.WASMTIME_COMPONENT_ITEM_RESOURCE:
		it.Kind = component.ItemResource
		if site != nil {
			if site.depth > 1 {
				unmet()
			} else {
				err = d.importResource(*(**C.wasmtime_component_resource_type_t)(of), importName{site.iface, name})
			}
		}
	case C.WASMTIME_COMPONENT_ITEM_TYPE:
		it.Kind = component.ItemType
	case C.WASMTIME_COMPONENT_ITEM_COMPONENT:
		it.Kind = component.ItemComponent
		unmet()
	case C.WASMTIME_COMPONENT_ITEM_MODULE:
		it.Kind = component.ItemModule
		unmet()
	case C.WASMTIME_COMPONENT_ITEM_CORE_FUNC:
		it.Kind = component.ItemCoreFunc
		unmet()
	default:
		err = fmt.Errorf("wasmtime: load: item %q is of unknown kind %d", name, item.kind)
	}
	return it, err
}

// importResource notes that the resource is imported at a name.
func (d *describer) importResource(r *C.wasmtime_component_resource_type_t, at importName) error {
	if i := d.resource(r); i >= 0 {
		d.p.resources[i].at = append(d.p.resources[i].at, at)
		return nil
	}
	if len(d.resources) == maxResources {
		return fmt.Errorf("wasmtime: load: %w: more than %d resource types are imported", component.ErrTooLarge, maxResources)
	}
	d.resources = append(d.resources, C.wasmtime_component_resource_type_clone(r))
	d.p.resources = append(d.p.resources, importedResource{at: []importName{at}})
	return nil
}

// resource gives the index of an imported resource, -1 for a guest's own.
func (d *describer) resource(r *C.wasmtime_component_resource_type_t) int {
	for i, have := range d.resources {
		if C.wasmtime_component_resource_type_equal(have, r) {
			return i
		}
	}
	return -1
}

func (d *describer) function(ty *C.wasmtime_component_func_type_t) (*component.Func, error) {
	f := &component.Func{}
	n := C.wasmtime_component_func_type_param_count(ty)
	var err error
	f.Params, err = d.fields(n, 0, func(i C.size_t, name **C.char, length *C.size_t, vt *C.wasmtime_component_valtype_t) (ok, has C.bool) {
		return C.wasmtime_component_func_type_param_nth(ty, i, name, length, vt), true
	})
	if err != nil {
		return nil, err
	}
	var vt C.wasmtime_component_valtype_t
	if C.wasmtime_component_func_type_result(ty, &vt) {
		f.Result, err = d.takeType(&vt, 0)
	}
	return f, err
}

// fields reads n named (or, with a nil name, unnamed) types.
func (d *describer) fields(n C.size_t, depth int, nth func(C.size_t, **C.char, *C.size_t, *C.wasmtime_component_valtype_t) (ok, has C.bool)) ([]component.Field, error) {
	if n > maxListed {
		return nil, errListTooLong
	}
	var fields []component.Field
	for i := range n {
		if err := d.count(); err != nil {
			return nil, err
		}
		var name *C.char
		var length C.size_t
		var vt C.wasmtime_component_valtype_t
		ok, has := nth(i, &name, &length, &vt)
		if !ok {
			return nil, errors.New("wasmtime: load: the engine's list of fields is shorter than its count")
		}
		f := component.Field{Name: C.GoStringN(name, C.int(length))}
		if has {
			t, err := d.takeType(&vt, depth)
			if err != nil {
				return nil, err
			}
			f.Type = t
		}
		fields = append(fields, f)
	}
	return fields, nil
}

func (d *describer) labels(n C.size_t, nth func(C.size_t, **C.char, *C.size_t) C.bool) ([]string, error) {
	if n > maxListed {
		return nil, errListTooLong
	}
	var labels []string
	for i := range n {
		if err := d.count(); err != nil {
			return nil, err
		}
		var name *C.char
		var length C.size_t
		if !nth(i, &name, &length) {
			return nil, errors.New("wasmtime: load: the engine's list of labels is shorter than its count")
		}
		labels = append(labels, C.GoStringN(name, C.int(length)))
	}
	return labels, nil
}

var plainTypes = map[C.wasmtime_component_valtype_kind_t]component.Kind{
	C.WASMTIME_COMPONENT_VALTYPE_BOOL:   component.Bool,
	C.WASMTIME_COMPONENT_VALTYPE_S8:     component.S8,
	C.WASMTIME_COMPONENT_VALTYPE_S16:    component.S16,
	C.WASMTIME_COMPONENT_VALTYPE_S32:    component.S32,
	C.WASMTIME_COMPONENT_VALTYPE_S64:    component.S64,
	C.WASMTIME_COMPONENT_VALTYPE_U8:     component.U8,
	C.WASMTIME_COMPONENT_VALTYPE_U16:    component.U16,
	C.WASMTIME_COMPONENT_VALTYPE_U32:    component.U32,
	C.WASMTIME_COMPONENT_VALTYPE_U64:    component.U64,
	C.WASMTIME_COMPONENT_VALTYPE_F32:    component.F32,
	C.WASMTIME_COMPONENT_VALTYPE_F64:    component.F64,
	C.WASMTIME_COMPONENT_VALTYPE_CHAR:   component.Char,
	C.WASMTIME_COMPONENT_VALTYPE_STRING: component.String,
}

// takeType describes vt and deletes it.
func (d *describer) takeType(vt *C.wasmtime_component_valtype_t, depth int) (*component.Type, error) {
	defer C.wasmtime_component_valtype_delete(vt)
	if err := d.count(); err != nil {
		return nil, err
	}
	if depth++; depth > maxTypeDepth {
		return nil, fmt.Errorf("wasmtime: load: %w: one is more than %d deep", component.ErrTooLarge, maxTypeDepth)
	}
	t := &component.Type{}
	if k, ok := plainTypes[vt.kind]; ok {
		t.Kind = k
		return t, nil
	}
	var err error
	of := unsafe.Pointer(&vt.of)
	var sub C.wasmtime_component_valtype_t
	switch vt.kind {
	case C.WASMTIME_COMPONENT_VALTYPE_LIST:
		t.Kind = component.List
		C.wasmtime_component_list_type_element(*(**C.wasmtime_component_list_type_t)(of), &sub)
		t.Elem, err = d.takeType(&sub, depth)
	case C.WASMTIME_COMPONENT_VALTYPE_OPTION:
		t.Kind = component.Option
		C.wasmtime_component_option_type_ty(*(**C.wasmtime_component_option_type_t)(of), &sub)
		t.Elem, err = d.takeType(&sub, depth)
	case C.WASMTIME_COMPONENT_VALTYPE_RESULT:
		t.Kind = component.Result
		r := *(**C.wasmtime_component_result_type_t)(of)
		if C.wasmtime_component_result_type_ok(r, &sub) {
			if t.Ok, err = d.takeType(&sub, depth); err != nil {
				return nil, err
			}
		}
		if C.wasmtime_component_result_type_err(r, &sub) {
			t.Err, err = d.takeType(&sub, depth)
		}
	case C.WASMTIME_COMPONENT_VALTYPE_RECORD:
		t.Kind = component.Record
		r := *(**C.wasmtime_component_record_type_t)(of)
		t.Fields, err = d.fields(C.wasmtime_component_record_type_field_count(r), depth,
			func(i C.size_t, name **C.char, length *C.size_t, vt *C.wasmtime_component_valtype_t) (ok, has C.bool) {
				return C.wasmtime_component_record_type_field_nth(r, i, name, length, vt), true
			})
	case C.WASMTIME_COMPONENT_VALTYPE_TUPLE:
		t.Kind = component.Tuple
		r := *(**C.wasmtime_component_tuple_type_t)(of)
		t.Fields, err = d.fields(C.wasmtime_component_tuple_type_types_count(r), depth,
			func(i C.size_t, _ **C.char, _ *C.size_t, vt *C.wasmtime_component_valtype_t) (ok, has C.bool) {
				return C.wasmtime_component_tuple_type_types_nth(r, i, vt), true
			})
	case C.WASMTIME_COMPONENT_VALTYPE_VARIANT:
		t.Kind = component.Variant
		r := *(**C.wasmtime_component_variant_type_t)(of)
		t.Fields, err = d.fields(C.wasmtime_component_variant_type_case_count(r), depth,
			func(i C.size_t, name **C.char, length *C.size_t, vt *C.wasmtime_component_valtype_t) (ok, has C.bool) {
				ok = C.wasmtime_component_variant_type_case_nth(r, i, name, length, &has, vt)
				return ok, has
			})
	case C.WASMTIME_COMPONENT_VALTYPE_ENUM:
		t.Kind = component.Enum
		r := *(**C.wasmtime_component_enum_type_t)(of)
		t.Labels, err = d.labels(C.wasmtime_component_enum_type_names_count(r), func(i C.size_t, name **C.char, length *C.size_t) C.bool {
			return C.wasmtime_component_enum_type_names_nth(r, i, name, length)
		})
	case C.WASMTIME_COMPONENT_VALTYPE_FLAGS:
		t.Kind = component.Flags
		r := *(**C.wasmtime_component_flags_type_t)(of)
		t.Labels, err = d.labels(C.wasmtime_component_flags_type_names_count(r), func(i C.size_t, name **C.char, length *C.size_t) C.bool {
			return C.wasmtime_component_flags_type_names_nth(r, i, name, length)
		})
	case C.WASMTIME_COMPONENT_VALTYPE_OWN, C.WASMTIME_COMPONENT_VALTYPE_BORROW:
		t.Kind = component.Own
		if vt.kind == C.WASMTIME_COMPONENT_VALTYPE_BORROW {
			t.Kind = component.Borrow
		}
		if i := d.resource(*(**C.wasmtime_component_resource_type_t)(of)); i >= 0 {
			d.p.hostTypes[t] = i
		}
	default: // streams, futures, error contexts: t stays Unsupported
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

// supported tells whether every part of the function's type can be converted.
// The C API ends the process on values it has no representation for.
func supported(f *component.Func) bool {
	if f == nil {
		return false
	}
	for _, p := range f.Params {
		if !supportedType(p.Type) {
			return false
		}
	}
	return f.Result == nil || supportedType(f.Result)
}

func supportedType(t *component.Type) bool {
	if t == nil {
		return true
	}
	for _, f := range t.Fields {
		if !supportedType(f.Type) {
			return false
		}
	}
	return t.Kind != component.Unsupported && supportedType(t.Elem) && supportedType(t.Ok) && supportedType(t.Err)
}

// findExports looks up every exported function once, so that a call needs no
// search by name.
func (p *Program) findExports(items []component.Item, path []string, within *C.wasmtime_component_export_index_t) {
	for _, it := range items {
		if it.Kind != component.ItemFunc && it.Kind != component.ItemInstance {
			continue
		}
		index := C.wasmtime_component_get_export_index(p.component, within, stringPtr(it.Name), C.size_t(len(it.Name)))
		if index == nil {
			continue
		}
		at := append(path[:len(path):len(path)], it.Name)
		if it.Kind == component.ItemFunc {
			p.exports[exportKey(at)] = &exportedFunc{typ: it.Func, supported: supported(it.Func), index: index}
			continue
		}
		p.findExports(it.Items, at, index)
		C.wasmtime_component_export_index_delete(index)
	}
}
