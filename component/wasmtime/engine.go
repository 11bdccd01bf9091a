package wasmtime

/*
#include "shim.h"
*/
import "C"

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"unsafe"

	// For its cgo LDFLAGS, which bring the archive.
	_ "github.com/bytecodealliance/wasmtime-go/v39"

	"github.com/greentic-ai/greentic-provision/component"
	"github.com/greentic-ai/greentic-provision/limits"
)

// EngineVersion is WASMTIME_VERSION of the archive's headers. The Go module is
// numbered apart: its v39.0.1 carries engine 39.0.0.
const EngineVersion = "39.0.0"

// ModuleVersion is the version of ModulePath that capi.h was checked against.
const (
	ModulePath    = "github.com/bytecodealliance/wasmtime-go/v39"
	ModuleVersion = "v39.0.1"
)

// Defaults of Config.
const (
	DefaultMaxWasmStack = 512 << 10
	DefaultLiftBytes    = 16 << 20
)

// Memory that is reserved for each linear memory and never accessible: 4 GiB to
// grow in, and as much behind (and before) it as the engine's own code can be made
// to miss it by. On 39 that is a lot: CVE-2026-35195 lets a guest have text written
// from any 32-bit offset on, last byte first, and text may have 2 GiB
// (fact/trampoline.rs, MAX_STRING_BYTE_LENGTH). By the engine's defaults, 32 MiB and
// for the interpreter nothing, it wrote over what lies behind before it faulted
// (TestFarWritesTouchNothing); so it faults at once. It costs address space only:
// nothing is mapped, and RLIMIT_DATA does not count it.
const (
	memoryReservation = 4 << 30
	memoryGuard       = 2 << 30
)

// interpreterTarget is Pulley, the engine's bytecode, for hosts with pointers of 64
// bits, least significant byte first; as a C string.
const interpreterTarget = "pulley64\x00"

// Config is what may differ between runtimes. The zero value takes the defaults.
// Everything else about the engine is fixed; see settings.
type Config struct {
	// Codegen is what guests are compiled to. With Interpreter nothing that this
	// package does maps executable memory, and no signal handler is installed.
	// Default Native.
	Codegen limits.Codegen
	// MaxWasmStack is how many bytes of stack guest code may use before it traps
	// with TrapStack. Default 512 KiB, at most 4 MiB: native code runs on the stacks
	// of Go's own threads, 8 MiB by default on Linux. The interpreter has a stack of
	// this size on the heap for each instance.
	MaxWasmStack int64
	// LiftBytes bounds the Go memory that the values of one call, or of one
	// call to a host function, may take; beyond it the guest traps with
	// TrapLimit. The engine has made its own copy by then, which only a process
	// limit bounds. Default 16 MiB. Must not be negative.
	LiftBytes int64
}

func (c Config) withDefaults() Config {
	if c.Codegen == "" {
		c.Codegen = limits.Native
	}
	if c.MaxWasmStack == 0 {
		c.MaxWasmStack = DefaultMaxWasmStack
	}
	if c.LiftBytes == 0 {
		c.LiftBytes = DefaultLiftBytes
	}
	return c
}

// Validate reports every field that is out of range.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	if c.Codegen != limits.Native && c.Codegen != limits.Interpreter {
		errs = append(errs, fmt.Errorf("wasmtime: Codegen %q is neither %s nor %s", c.Codegen, limits.Native, limits.Interpreter))
	}
	if c.MaxWasmStack < 16<<10 || c.MaxWasmStack > 4<<20 {
		errs = append(errs, fmt.Errorf("wasmtime: MaxWasmStack %d is not within 16 KiB and 4 MiB", c.MaxWasmStack))
	}
	if c.LiftBytes < 0 {
		errs = append(errs, fmt.Errorf("wasmtime: LiftBytes %d is negative", c.LiftBytes))
	}
	return errors.Join(errs...)
}

// setting is one switch of the engine.
type setting struct {
	name string
	on   bool
	set  func(*C.wasm_config_t, C.bool)
}

// settings is the fixed part of the configuration, applied by New and named by
// Config.Key from one table, so that the key cannot forget one.
//
// Guests get what toolchains for wasm 2.0 emit. What is off is off because it
// enlarges the engine that hostile code can reach (gc, exceptions, threads,
// stack switching, and memory64, which has an unfixed abort on 39:
// CVE-2026-44216) or makes results depend on the machine (relaxed simd,
// uncanonical NaNs).
func (c Config) settings() []setting {
	return []setting{
		// Interrupt needs it.
		{"epoch_interruption", true, func(c *C.wasm_config_t, on C.bool) { C.wasmtime_config_epoch_interruption_set(c, on) }},
		{"consume_fuel", false, func(c *C.wasm_config_t, on C.bool) { C.wasmtime_config_consume_fuel_set(c, on) }},
		{"debug_info", false, func(c *C.wasm_config_t, on C.bool) { C.wasmtime_config_debug_info_set(c, on) }},
		// Off, CVE-2026-24116 is a SIGSEGV in native code; on, it is a spurious trap.
		// The interpreter catches no faults (func_environ.rs, clif_memory_traps_enabled),
		// so it checks every access and wants no signal handlers.
		{"signals_based_traps", c.Codegen == limits.Native, func(c *C.wasm_config_t, on C.bool) { C.wasmtime_config_signals_based_traps_set(c, on) }},
		{"nan_canonicalization", true, func(c *C.wasm_config_t, on C.bool) { C.wasmtime_config_cranelift_nan_canonicalization_set(c, on) }},
		{"cranelift_debug_verifier", false, func(c *C.wasm_config_t, on C.bool) { C.wasmtime_config_cranelift_debug_verifier_set(c, on) }},
		// On, the engine starts a thread pool.
		{"parallel_compilation", false, func(c *C.wasm_config_t, on C.bool) { C.wasmtime_config_parallel_compilation_set(c, on) }},
		{"native_unwind_info", false, func(c *C.wasm_config_t, on C.bool) { C.wasmtime_config_native_unwind_info_set(c, on) }},
		// On, loading makes a memfd and maps it for every instance.
		{"memory_init_cow", false, func(c *C.wasm_config_t, on C.bool) { C.wasmtime_config_memory_init_cow_set(c, on) }},

		{"component_model", true, func(c *C.wasm_config_t, on C.bool) { C.wasmtime_config_wasm_component_model_set(c, on) }},
		{"reference_types", true, func(c *C.wasm_config_t, on C.bool) { C.wasmtime_config_wasm_reference_types_set(c, on) }},
		{"bulk_memory", true, func(c *C.wasm_config_t, on C.bool) { C.wasmtime_config_wasm_bulk_memory_set(c, on) }},
		{"multi_value", true, func(c *C.wasm_config_t, on C.bool) { C.wasmtime_config_wasm_multi_value_set(c, on) }},
		{"simd", true, func(c *C.wasm_config_t, on C.bool) { C.wasmtime_config_wasm_simd_set(c, on) }},
		{"tail_call", true, func(c *C.wasm_config_t, on C.bool) { C.wasmtime_config_wasm_tail_call_set(c, on) }},

		// Off, the engine panics, and so aborts, on compiling any component that
		// passes a string or list from one of its components to another: the
		// adapters it generates use two memories (adapt.rs, "invalid adapter module
		// generated"). StoreLimits.Memories bounds what guests make of it.
		{"multi_memory", true, func(c *C.wasm_config_t, on C.bool) { C.wasmtime_config_wasm_multi_memory_set(c, on) }},

		{"relaxed_simd", false, func(c *C.wasm_config_t, on C.bool) { C.wasmtime_config_wasm_relaxed_simd_set(c, on) }},
		{"relaxed_simd_deterministic", true, func(c *C.wasm_config_t, on C.bool) { C.wasmtime_config_wasm_relaxed_simd_deterministic_set(c, on) }},
		{"threads", false, func(c *C.wasm_config_t, on C.bool) { C.wasmtime_config_wasm_threads_set(c, on) }},
		{"function_references", false, func(c *C.wasm_config_t, on C.bool) { C.wasmtime_config_wasm_function_references_set(c, on) }},
		{"gc", false, func(c *C.wasm_config_t, on C.bool) { C.wasmtime_config_wasm_gc_set(c, on) }},
		{"memory64", false, func(c *C.wasm_config_t, on C.bool) { C.wasmtime_config_wasm_memory64_set(c, on) }},
		{"wide_arithmetic", false, func(c *C.wasm_config_t, on C.bool) { C.wasmtime_config_wasm_wide_arithmetic_set(c, on) }},
		{"exceptions", false, func(c *C.wasm_config_t, on C.bool) { C.wasmtime_config_wasm_exceptions_set(c, on) }},
		{"custom_page_sizes", false, func(c *C.wasm_config_t, on C.bool) { C.wasmtime_config_wasm_custom_page_sizes_set(c, on) }},
		{"stack_switching", false, func(c *C.wasm_config_t, on C.bool) { C.wasmtime_config_wasm_stack_switching_set(c, on) }},
	}
}

// Key names the effective configuration: engine, machine, and every setting
// that compiled code depends on. Code from Compile may be loaded by a runtime
// with the same key; native code on a machine with the same processor features,
// too, which Load checks. LiftBytes is no part of it.
func (c Config) Key() string {
	c = c.withDefaults()
	var b strings.Builder
	fmt.Fprintf(&b, "wasmtime=%s module=%s os=%s arch=%s codegen=%s strategy=cranelift opt=speed max_wasm_stack=%d memory_reservation=%d memory_guard=%d",
		EngineVersion, ModuleVersion, runtime.GOOS, runtime.GOARCH, c.Codegen, c.MaxWasmStack, int64(memoryReservation), int64(memoryGuard))
	for _, s := range c.settings() {
		fmt.Fprintf(&b, " %s=%t", s.name, s.on)
	}
	return b.String()
}

// Runtime is an engine with its configuration. It implements component.Runtime
// and may be used from any goroutine.
type Runtime struct {
	config Config

	mu     sync.RWMutex     // held for reading around every use of engine
	engine *C.wasm_engine_t // nil once closed
}

var _ component.Runtime = (*Runtime)(nil)

// New makes a runtime. It starts no threads and opens no files; for native code the
// engine's signal handlers, which pass on what is not a guest's, are installed for
// the whole process. Close it when done.
func New(config Config) (*Runtime, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	if err := checkModule(); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	c := C.wasm_config_new()
	if config.Codegen == limits.Interpreter {
		if e := C.wasmtime_config_target_set(c, stringPtr(interpreterTarget)); e != nil {
			C.wasm_config_delete(c)
			return nil, fmt.Errorf("wasmtime: no interpreter: %s", takeMessage(e))
		}
	}
	C.wasmtime_config_strategy_set(c, C.WASMTIME_STRATEGY_CRANELIFT)
	C.wasmtime_config_cranelift_opt_level_set(c, C.WASMTIME_OPT_LEVEL_SPEED)
	C.wasmtime_config_max_wasm_stack_set(c, C.size_t(config.MaxWasmStack))
	C.wasmtime_config_memory_reservation_set(c, memoryReservation)
	C.wasmtime_config_memory_guard_size_set(c, memoryGuard)
	for _, s := range config.settings() {
		s.set(c, C.bool(s.on))
	}
	engine := C.wasm_engine_new_with_config(c) // takes c
	if engine == nil {
		return nil, errors.New("wasmtime: the engine refused its configuration")
	}
	return &Runtime{config: config, engine: engine}, nil
}

// checkModule refuses another archive than the one capi.h describes: with
// different structs underneath, everything after this is memory corruption. A
// program built without module information is taken on trust.
func checkModule() error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	for _, dep := range info.Deps {
		if dep.Path != ModulePath {
			continue
		}
		if dep.Replace != nil {
			dep = dep.Replace
		}
		if dep.Path != ModulePath || dep.Version != ModuleVersion {
			return fmt.Errorf("wasmtime: linked against %s %s, made for %s", dep.Path, dep.Version, ModuleVersion)
		}
	}
	return nil
}

// acquire gives the engine and holds off Close until release is called.
func (r *Runtime) acquire() (*C.wasm_engine_t, error) {
	r.mu.RLock()
	if r.engine == nil {
		r.mu.RUnlock()
		return nil, errors.New("wasmtime: the runtime is closed")
	}
	return r.engine, nil
}

func (r *Runtime) release() { r.mu.RUnlock() }

// Interrupt makes every call under way in this runtime trap with TrapInterrupt
// at its next epoch check (function entry or loop). A call that is inside a
// host function traps when that returns. Safe from any goroutine, also after
// Close.
func (r *Runtime) Interrupt() {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.engine != nil {
		C.wasmtime_engine_increment_epoch(r.engine)
	}
}

// Close releases the engine. Instances that exist stay usable, but can no longer
// be interrupted; nothing new can be compiled, loaded or instantiated.
func (r *Runtime) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.engine != nil {
		C.wasm_engine_delete(r.engine)
		r.engine = nil
	}
}

// Compile turns wasm into code for this machine, or for the interpreter. The layer is read from
// the preamble; anything that is not a wasm binary is taken for the text
// format. CPU and memory use are those of the input's choosing. A core module
// that names a function with more than 1 KiB loses its debug names; one with a
// function of millions of values is refused (see checkValues).
func (r *Runtime) Compile(wasm []byte) ([]byte, component.Layer, error) {
	engine, err := r.acquire()
	if err != nil {
		return nil, "", err
	}
	defer r.release()
	layer, ok := component.LayerOf(wasm)
	if !ok {
		binary, err := wat2wasm(wasm)
		if err != nil {
			return nil, "", err
		}
		wasm = binary
		if layer, ok = component.LayerOf(wasm); !ok {
			return nil, "", errors.New("wasmtime: neither a core module nor a component")
		}
	}
	wasm = dropLongNames(wasm)
	if err := checkValues(wasm); err != nil {
		return nil, "", err
	}
	var code C.wasm_byte_vec_t
	if layer == component.LayerComponent {
		err = compileComponent(engine, wasm, &code)
	} else {
		err = compileModule(engine, wasm, &code)
	}
	runtime.KeepAlive(wasm)
	if err != nil {
		return nil, "", err
	}
	defer C.wasm_byte_vec_delete(&code)
	return bytes.Clone(vecBytes(&code)), layer, nil
}

// Load takes code that Compile gave, for a runtime of the same Key. The engine
// checks its version, configuration and processor against the code's header and
// trusts the rest. code is borrowed for the call. Compile and Load map executable
// memory for native code; Instantiate and Call never do.
func (r *Runtime) Load(code []byte, layer component.Layer) (component.Program, error) {
	engine, err := r.acquire()
	if err != nil {
		return nil, err
	}
	defer r.release()
	if len(code) == 0 {
		return nil, errors.New("wasmtime: load: no code")
	}
	switch layer {
	case component.LayerComponent:
		return r.loadComponent(engine, code)
	case component.LayerCore:
		return r.loadModule(engine, code)
	}
	return nil, fmt.Errorf("wasmtime: load: unknown layer %q", layer)
}

// wat2wasm turns the text format into a binary.
func wat2wasm(text []byte) ([]byte, error) {
	if len(text) == 0 {
		return nil, errors.New("wasmtime: compile: empty input")
	}
	var out C.wasm_byte_vec_t
	e := C.wasmtime_wat2wasm((*C.char)(unsafe.Pointer(unsafe.SliceData(text))), C.size_t(len(text)), &out)
	runtime.KeepAlive(text)
	if e != nil {
		return nil, fmt.Errorf("wasmtime: compile: not wasm, and as text: %s", takeMessage(e))
	}
	defer C.wasm_byte_vec_delete(&out)
	return bytes.Clone(vecBytes(&out)), nil
}

// vecBytes borrows the bytes of v.
func vecBytes(v *C.wasm_byte_vec_t) []byte {
	if v.size == 0 {
		return nil // and v.data is no pointer, see shim_host_call
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(v.data)), int(v.size))
}

// nameString copies a name.
func nameString(v *C.wasm_name_t) string {
	return string(vecBytes(v))
}

func bytesPtr(b []byte) *C.uint8_t { return (*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(b))) }

func stringPtr(s string) *C.char { return (*C.char)(unsafe.Pointer(unsafe.StringData(s))) }
