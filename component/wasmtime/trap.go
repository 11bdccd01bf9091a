package wasmtime

/*
#include "shim.h"
*/
import "C"

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/greentic-ai/greentic-provision/component"
)

// maxMessage bounds Trap.Message and the text of other engine errors.
const maxMessage = 4 << 10

// maxTrace is how large a backtrace may be before the engine is not asked to
// write it: the names in it are the guest's, one per frame, and 512 KiB of
// stack hold some 30,000 frames, so a module with a 100 KiB function name could
// make the engine format gigabytes.
const maxTrace = 16 << 20

// takeMessage gives the engine's text for e, bounded, and deletes e.
func takeMessage(e *C.wasmtime_error_t) string {
	return bounded(takeText(e))
}

// takeText gives the whole text of e and deletes e.
func takeText(e *C.wasmtime_error_t) string {
	defer C.wasmtime_error_delete(e)
	if C.shim_trace_exceeds(e, maxTrace) {
		return "error with a backtrace too large to be written out"
	}
	var text C.wasm_name_t
	C.wasmtime_error_message(e, &text)
	defer C.wasm_byte_vec_delete(&text)
	return withoutRustStack(nameString(&text))
}

// withoutRustStack cuts off the native stack that the Rust side appends when
// RUST_BACKTRACE is set in the environment. It is looked for only where the
// engine's own last line is not, so that no name of the guest's can pretend to
// be one and so hide the cause.
func withoutRustStack(text string) string {
	if _, ok := causeCode(text); ok {
		return text
	}
	if i := strings.LastIndex(text, "\n\nStack backtrace:"); i >= 0 {
		return text[:i]
	}
	return text
}

// takeTrap makes a *component.Trap of an engine error and deletes it.
func takeTrap(e *C.wasmtime_error_t) *component.Trap {
	text := takeText(e)
	return &component.Trap{Code: trapCode(text), Message: bounded(text)}
}

// takeCoreTrap is takeTrap for what the core API returns.
func takeCoreTrap(t *C.wasm_trap_t) *component.Trap {
	defer C.wasm_trap_delete(t)
	trap := &component.Trap{Code: component.TrapOther}
	var code C.wasmtime_trap_code_t
	if C.wasmtime_trap_code(t, &code) {
		switch code {
		case C.WASMTIME_TRAP_CODE_UNREACHABLE_CODE_REACHED:
			trap.Code = component.TrapUnreachable
		case C.WASMTIME_TRAP_CODE_INTERRUPT:
			trap.Code = component.TrapInterrupt
		case C.WASMTIME_TRAP_CODE_STACK_OVERFLOW:
			trap.Code = component.TrapStack
		case C.WASMTIME_TRAP_CODE_MEMORY_OUT_OF_BOUNDS, C.WASMTIME_TRAP_CODE_TABLE_OUT_OF_BOUNDS:
			trap.Code = component.TrapMemory
		}
	}
	if C.shim_trap_trace_exceeds(t, maxTrace) {
		trap.Message = "trap with a backtrace too large to be written out"
		return trap
	}
	var text C.wasm_message_t
	C.wasm_trap_message(t, &text)
	defer C.wasm_byte_vec_delete(&text)
	trap.Message = bounded(strings.TrimSuffix(nameString(&text), "\x00"))
	return trap
}

// trapCodes maps the engine's wording (trap_encoding.rs) to codes.
var trapCodes = map[string]component.TrapCode{
	"wasm trap: wasm `unreachable` instruction executed":       component.TrapUnreachable,
	"wasm trap: interrupt":                                     component.TrapInterrupt,
	"wasm trap: call stack exhausted":                          component.TrapStack,
	"wasm trap: out of bounds memory access":                   component.TrapMemory,
	"wasm trap: undefined element: out of bounds table access": component.TrapMemory,
	"wasm trap: uninitialized element":                         component.TrapOther,
	"wasm trap: indirect call type mismatch":                   component.TrapOther,
	"wasm trap: integer overflow":                              component.TrapOther,
	"wasm trap: integer divide by zero":                        component.TrapOther,
	"wasm trap: invalid conversion to integer":                 component.TrapOther,
	"wasm trap: degenerate component adapter called":           component.TrapOther,
	"wasm trap: null reference":                                component.TrapOther,
	"wasm trap: allocation size too large":                     component.TrapOther,
	"wasm trap: cannot enter component instance":               component.TrapOther,
	"wasm trap: cannot leave component instance":               component.TrapOther,
	// What the process limit answers to mmap or mprotect while memories and tables
	// are made (std::io::Error).
	"Cannot allocate memory (os error 12)": component.TrapLimit,
}

// trapCode reads the cause from the engine's text for an error. The text holds
// a backtrace with names of the guest's choosing, which may contain anything,
// line breaks included; the cause is the engine's own and comes last. So only
// the last line counts, and only in full.
func trapCode(text string) component.TrapCode {
	if code, ok := causeCode(text); ok {
		return code
	}
	return component.TrapOther
}

func causeCode(text string) (component.TrapCode, bool) {
	last := strings.TrimRight(text, "\n")
	if i := strings.LastIndexByte(last, '\n'); i >= 0 {
		last = last[i+1:]
	}
	last = strings.TrimLeft(last, " ")
	// Chains of several causes are numbered.
	if number, rest, ok := strings.Cut(last, ": "); ok && number != "" && strings.Trim(number, "0123456789") == "" {
		last = rest
	}
	if code, ok := trapCodes[last]; ok {
		return code, true
	}
	// StoreLimits and the engine's own accounting (limits.rs, store.rs).
	for _, prefix := range []string{"memory minimum size of ", "table minimum size of ", "resource limit exceeded: "} {
		if strings.HasPrefix(last, prefix) {
			return component.TrapLimit, true
		}
	}
	return "", false
}

// bounded cuts text to maxMessage bytes of valid UTF-8, keeping the beginning
// and the end, where the cause stands.
func bounded(text string) string {
	if len(text) > maxMessage {
		const mark = "\n[...]\n"
		const half = (maxMessage - len(mark)) / 2
		head, tail := text[:half], text[len(text)-half:]
		for len(head) > 0 && !utf8.RuneStart(text[len(head)]) {
			head = head[:len(head)-1]
		}
		for len(tail) > 0 && !utf8.RuneStart(tail[0]) {
			tail = tail[1:]
		}
		text = head + mark + tail
	}
	return strings.ToValidUTF8(text, "\x1a") // one byte, so that it does not grow
}

// hostTrap wraps an error of the host side.
func hostTrap(err error) *component.Trap {
	return &component.Trap{Code: component.TrapHost, Message: bounded(err.Error()), Err: err}
}

// PanicError is the error of a host function that panicked.
type PanicError struct {
	Func  string // interface#function
	Value any    // what it panicked with
	Stack []byte // of the goroutine
}

func (e *PanicError) Error() string {
	return fmt.Sprintf("host function %s panicked: %v", e.Func, e.Value)
}

// Unwrap gives the panic value when it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
