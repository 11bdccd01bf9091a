package wasmtime

/*
#include "shim.h"
*/
import "C"

import (
	"fmt"
	"runtime"
	"strings"
	"sync"

	"github.com/greentic-ai/greentic-provision/component"
)

// Program is loaded code of either layer. It implements component.Program and
// may be used from any goroutine. Its C memory is freed when it is closed and
// its last Instance is too.
type Program struct {
	rt    *Runtime
	types component.Types
	// unmet are imports that nothing can satisfy: components, core modules,
	// functions in nested instances, and every import of a core module.
	unmet []string

	// Components only.
	component *C.wasmtime_component_t
	linker    *C.wasmtime_component_linker_t
	imports   []importedFunc
	resources []importedResource
	hostTypes map[*component.Type]int // own and borrow types → index in resources
	exports   map[string]*exportedFunc

	// Core modules only.
	module *C.wasmtime_module_t

	mu     sync.Mutex
	users  int // instances alive
	closed bool
}

// importedFunc is a function the host must offer; its index is the data of the
// linker's callback.
type importedFunc struct {
	iface, name string
	typ         *component.Func
}

// importedResource is a resource type the host must define; its index is the
// type number the engine knows it by. Interfaces that `use` a resource of
// another import it again under a name of their own: the same resource, so the
// host needs to define it in only one of those places.
type importedResource struct {
	at []importName
}

type importName struct{ iface, name string }

func (n importName) String() string {
	if n.iface == "" {
		return n.name
	}
	return n.iface + "#" + n.name
}

// exportedFunc is an exported function and where the engine finds it.
type exportedFunc struct {
	typ       *component.Func
	supported bool // every part of typ can be converted
	index     *C.wasmtime_component_export_index_t
}

// exportKey joins an export path; names of the component model have no NUL.
func exportKey(path []string) string {
	if len(path) == 1 {
		return path[0]
	}
	return strings.Join(path, "\x00")
}

func compileComponent(engine *C.wasm_engine_t, wasm []byte, code *C.wasm_byte_vec_t) error {
	var c *C.wasmtime_component_t
	if e := C.wasmtime_component_new(engine, bytesPtr(wasm), C.size_t(len(wasm)), &c); e != nil {
		return fmt.Errorf("wasmtime: compile: %s", takeMessage(e))
	}
	defer C.wasmtime_component_delete(c)
	if e := C.wasmtime_component_serialize(c, code); e != nil {
		return fmt.Errorf("wasmtime: serialise: %s", takeMessage(e))
	}
	return nil
}

func (r *Runtime) loadComponent(engine *C.wasm_engine_t, code []byte) (*Program, error) {
	p := &Program{rt: r, hostTypes: map[*component.Type]int{}, exports: map[string]*exportedFunc{}}
	e := C.wasmtime_component_deserialize(engine, bytesPtr(code), C.size_t(len(code)), &p.component)
	runtime.KeepAlive(code)
	if e != nil {
		return nil, fmt.Errorf("wasmtime: load: %s", takeMessage(e))
	}
	if err := p.describe(engine); err != nil {
		p.free()
		return nil, err
	}
	if err := p.link(engine); err != nil {
		p.free()
		return nil, err
	}
	return p, nil
}

// Types describes imports and exports. The caller must not change it.
func (p *Program) Types() component.Types { return p.types }

// Close frees the program once no Instance of it is left.
func (p *Program) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.closed = true
	if p.users == 0 {
		p.free()
	}
}

// use keeps the C memory for one more instance; false when closed.
func (p *Program) use() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.users++
	return true
}

func (p *Program) unuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.users--
	if p.closed && p.users == 0 {
		p.free()
	}
}

func (p *Program) free() {
	for _, e := range p.exports {
		C.wasmtime_component_export_index_delete(e.index)
	}
	p.exports = nil
	if p.linker != nil {
		C.wasmtime_component_linker_delete(p.linker)
		p.linker = nil
	}
	if p.component != nil {
		C.wasmtime_component_delete(p.component)
		p.component = nil
	}
	if p.module != nil {
		C.wasmtime_module_delete(p.module)
		p.module = nil
	}
}
