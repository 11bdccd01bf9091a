// Package wasmtime runs WebAssembly components and core modules on wasmtime,
// through the engine's component-model C API. It implements component.Runtime.
//
// The archive that carries the C API is the one inside the Go module
// wasmtime-go, which this package links but whose Go code it does not use: that
// module has no Go API for components. What is needed of the C headers is
// repeated in capi.h and compared with the real ones by TestHeader.
//
// # Ownership
//
// A Runtime owns an engine, a Program owns loaded code, an Instance owns a
// store. Each has a Close, which may be called twice; nothing is released by
// the garbage collector. Using a closed handle is an error, never undefined
// behaviour: a Program's C memory lives until its last Instance is closed, and
// closing an Instance inside one of its own calls panics.
//
// # What crosses the border
//
// Values are converted by type. Lowering checks everything (Go type, UTF-8,
// labels, handles) before the engine sees it, because the C API aborts the
// process on what it does not expect. Lifting copies and never changes the
// engine's tree.
//
// A HostFunc runs on the goroutine that called Instance.Call, with that call's
// context. Its error or panic ends the guest and comes back as the Err of the
// *component.Trap. It must not call runtime.Goexit (so no testing.T.FailNow):
// that would abandon engine frames on the C stack.
//
// # Native code, or none
//
// Config.Codegen decides what guests are compiled to. Interpreted, they need no memory
// that can be executed, at any time after the program's start, and no signal handler;
// a loop takes some thirty times as long, a call that does little a third longer.
//
// # Known flaws
//
// testdata/guests/advisories.json is the list. What a setting can keep out of reach is
// off (settings); functions that the compiler would get wrong are refused
// (checkValues); memory that the engine can be made to write to is left empty
// (memoryGuard). The rest kills or fills the process, which is what a worker is for.
//
// Nothing of the engine's own WASI is linked to guests: an import exists when
// component.Imports has it, and not otherwise.
//
// Without cgo the package is empty.
package wasmtime
