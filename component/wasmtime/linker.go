package wasmtime

/*
#include "shim.h"
*/
import "C"

import (
	"fmt"
	"slices"
	"strings"

	"github.com/greentic-ai/greentic-provision/component"
)

// MissingImportsError is Instantiate's error when the host does not offer
// everything the program imports. Nothing of the guest has run.
type MissingImportsError struct {
	Names []string // interface#item, in the program's order
}

func (e *MissingImportsError) Error() string {
	parts := make([]string, len(e.Names))
	for i, n := range e.Names {
		parts[i] = "missing import " + n
	}
	return bounded("wasmtime: " + strings.Join(parts, "; "))
}

// link builds the linker, once for all instances: what it defines are the
// program's own imports by number, and which host function a number stands for
// is looked up in the instance that is running.
func (p *Program) link(engine *C.wasm_engine_t) error {
	p.linker = C.wasmtime_component_linker_new(engine)
	root := C.wasmtime_component_linker_root(p.linker)
	defer C.wasmtime_component_linker_instance_delete(root)

	// The linker and its root are exclusively borrowed by an open instance, so
	// one interface is finished before the next is begun.
	for _, iface := range p.importedInterfaces() {
		if err := p.linkInterface(root, iface); err != nil {
			return err
		}
	}
	return nil
}

func (p *Program) importedInterfaces() []string {
	var names []string
	add := func(name string) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, it := range p.types.Imports {
		if it.Kind == component.ItemInstance {
			add(it.Name)
		} else {
			add("")
		}
	}
	return names
}

func (p *Program) linkInterface(root *C.wasmtime_component_linker_instance_t, iface string) error {
	li := root
	if iface != "" {
		if e := C.wasmtime_component_linker_instance_add_instance(root, stringPtr(iface), C.size_t(len(iface)), &li); e != nil {
			return fmt.Errorf("wasmtime: link %s: %s", iface, takeMessage(e))
		}
		defer C.wasmtime_component_linker_instance_delete(li)
	}
	for i, r := range p.resources {
		for _, at := range r.at {
			if at.iface != iface {
				continue
			}
			if e := C.shim_add_resource(li, stringPtr(at.name), C.size_t(len(at.name)), C.uint32_t(i)); e != nil {
				return fmt.Errorf("wasmtime: link %s: %s", at, takeMessage(e))
			}
		}
	}
	for i, f := range p.imports {
		if f.iface != iface {
			continue
		}
		if e := C.shim_add_func(li, stringPtr(f.name), C.size_t(len(f.name)), C.size_t(i)); e != nil {
			return fmt.Errorf("wasmtime: link %s: %s", importName{f.iface, f.name}, takeMessage(e))
		}
	}
	return nil
}

// bind resolves the program's imports against what the host offers.
func (in *Instance) bind(imports component.Imports) error {
	p := in.prog
	missing := slices.Clone(p.unmet)
	in.resources = make([]component.HostResource, len(p.resources))
	for i, r := range p.resources {
		found := false
		for _, at := range r.at {
			res, ok := imports[at.iface].Resources[at.name]
			if !ok {
				continue
			}
			if found && res.Kind != in.resources[i].Kind {
				return fmt.Errorf("wasmtime: %s and %s are one resource but have kinds %d and %d", r.at[0], at, in.resources[i].Kind, res.Kind)
			}
			if !found {
				in.resources[i] = res
				found = true
			}
		}
		if !found {
			missing = append(missing, r.at[0].String())
		}
	}
	in.funcs = make([]component.HostFunc, len(p.imports))
	for i, f := range p.imports {
		in.funcs[i] = imports[f.iface].Funcs[f.name]
		if in.funcs[i] == nil {
			missing = append(missing, importName{f.iface, f.name}.String())
		}
	}
	if len(missing) > 0 {
		return &MissingImportsError{Names: missing}
	}
	return nil
}
