// Package component is the engine-neutral view of WebAssembly: the types and
// values of the component model, and the three interfaces through which the
// rest of the program runs guest code (Runtime, Program, Instance).
//
// Nothing here knows an engine. component/wasmtime implements the interfaces;
// tests script them.
//
// Life of a guest: Runtime.Compile (in a compile worker) gives native code;
// Runtime.Load (in a step worker) gives a Program, which may be inspected and
// instantiated many times; each Instance has a store of its own, is used by one
// goroutine, and is closed after one step.
package component

import (
	"context"
	"errors"
	"fmt"
)

// Layer tells the two binary formats apart by bytes 4-7 of the preamble
// (component-model Binary.md: version 1 layer 0 is a core module, version 0x0d
// layer 1 a component).
type Layer string

// The layers.
const (
	LayerCore      Layer = "core"
	LayerComponent Layer = "component"
)

// LayerOf reads the preamble of a wasm binary. It reports false when b is
// neither a core module nor a component.
func LayerOf(b []byte) (Layer, bool) {
	if len(b) < 8 || string(b[:4]) != "\x00asm" {
		return "", false
	}
	switch string(b[4:8]) {
	case "\x01\x00\x00\x00":
		return LayerCore, true
	case "\x0d\x00\x01\x00":
		return LayerComponent, true
	}
	return "", false
}

// ErrTooLarge is what Load's error is for a program whose types go beyond the bounds
// of what is described: thousands of imports, say. That is the program's doing.
var ErrTooLarge = errors.New("the program's types are too large")

// Runtime compiles and loads guest code. Compile and Load may be called from
// any goroutine.
type Runtime interface {
	// Compile turns wasm (binary or text, either layer) into native code for
	// this machine and reports the layer found. It is CPU- and memory-hungry on
	// hostile input: call it only in a process whose limits are set.
	Compile(wasm []byte) (code []byte, layer Layer, err error)
	// Load takes code that Compile gave. The engine trusts it completely, so
	// the caller must have authenticated it. The slice is borrowed for the call.
	// An error is ErrTooLarge when the program has more types than are described.
	Load(code []byte, layer Layer) (Program, error)
	// Interrupt makes every call under way in this runtime trap with
	// TrapInterrupt at its next epoch check. Safe from any goroutine.
	Interrupt()
}

// Program is loaded guest code. Close it when no Instance of it is left.
type Program interface {
	// Types describes imports and exports, read from the binary itself.
	Types() Types
	// Instantiate makes a fresh store and instance. Imports must cover every
	// function and resource that Types().Imports lists (type-only items are
	// satisfied by the runtime); a missing one is an error naming it.
	// Guest start functions run here, so limits apply and traps are possible.
	Instantiate(ctx context.Context, limits StoreLimits, imports Imports) (Instance, error)
	Close()
}

// StoreLimits bounds what one instance can make the engine allocate.
type StoreLimits struct {
	MemoryBytes   int64 // each linear memory
	TableElements int64 // each table
	Instances     int64
	Tables        int64
	Memories      int64
}

// Instance is one running guest. It is not safe for concurrent use.
type Instance interface {
	// Call calls an exported component function. path is the export path, e.g.
	// {"greentic:provision-step/step@1.0.0", "run"} or {"run"}. The result is
	// nil for a function without one. Errors: *Trap when the guest trapped or a
	// host function failed; any other error is a misuse (no such export,
	// arguments of the wrong type).
	Call(ctx context.Context, path []string, args []Value) (Value, error)
	// CallCore calls an exported core function whose parameters and results are
	// all i32.
	CallCore(ctx context.Context, name string, args []int32, results int) ([]int32, error)
	// Memory gives the exported core memory, valid until the next call into the
	// guest; nil when there is no such export.
	Memory(name string) []byte
	// GrowMemory grows the exported core memory by pages of 64 KiB.
	GrowMemory(name string, pages uint64) error
	Close()
}

// Imports is what the host offers to an instance, by interface name exactly as
// the program imports it ("" for world-level functions).
type Imports map[string]HostInterface

// HostInterface is one import instance: its functions and its resource types,
// by name.
type HostInterface struct {
	Funcs     map[string]HostFunc
	Resources map[string]HostResource
}

// HostFunc is a host function. Args are typed by the import's own type. The
// returned value must be of the function's result type (nil when it has none).
// A returned error ends the call: the guest traps with that text, and
// Instance.Call gives a *Trap whose Err is the error. Panics are treated as
// errors. args must not be kept after return.
type HostFunc func(ctx context.Context, args []Value) (Value, error)

// HostResource is a resource type defined by the host. Kind is any number that
// is unique among the resources of one instance; handles carry it. Drop is told
// when the guest drops an owned handle; nil means nothing to do.
type HostResource struct {
	Kind uint32
	Drop func(rep uint32)
}

// TrapCode names why a guest stopped.
type TrapCode string

// The trap codes the rest of the program tells apart; everything else is
// TrapOther.
const (
	TrapUnreachable TrapCode = "unreachable"
	TrapInterrupt   TrapCode = "interrupt"
	TrapStack       TrapCode = "stack_overflow"
	TrapMemory      TrapCode = "out_of_bounds"
	TrapHost        TrapCode = "host_error" // a host function returned an error
	TrapLimit       TrapCode = "store_limit"
	TrapOther       TrapCode = "trap"
)

// Trap is the error of a guest that did not return normally. Message is the
// engine's text: hostile in parts (guest function names), bounded to 4 KiB, and
// to be escaped before it is shown.
type Trap struct {
	Code    TrapCode
	Message string
	Err     error // the host function's error, when Code is TrapHost
}

func (t *Trap) Error() string { return fmt.Sprintf("%s: %s", t.Code, t.Message) }

func (t *Trap) Unwrap() error { return t.Err }
