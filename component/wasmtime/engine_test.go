//go:build cgo

package wasmtime

import (
	"encoding/binary"
	"runtime"
	"strings"
	"testing"

	"github.com/greentic-ai/greentic-provision/component"
	"github.com/greentic-ai/greentic-provision/component/componenttest"
	"github.com/greentic-ai/greentic-provision/limits"
)

func newRuntime(t testing.TB, config Config) *Runtime {
	t.Helper()
	rt, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rt.Close)
	return rt
}

var codegens = []limits.Codegen{limits.Native, limits.Interpreter}

// onBoth runs a test, and once more with guests interpreted.
func onBoth(t *testing.T, test func(*testing.T, Config)) {
	for _, c := range codegens {
		t.Run(string(c), func(t *testing.T) { test(t, Config{Codegen: c}) })
	}
}

func TestConformance(t *testing.T) {
	onBoth(t, func(t *testing.T, config Config) {
		componenttest.Run(t, func(t *testing.T) component.Runtime { return newRuntime(t, config) })
	})
}

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		config Config
		ok     bool
	}{
		{Config{}, true},
		{Config{MaxWasmStack: 64 << 10, LiftBytes: 1}, true},
		{Config{MaxWasmStack: 4 << 20}, true},
		{Config{MaxWasmStack: 4<<20 + 1}, false},
		{Config{MaxWasmStack: 1}, false},
		{Config{MaxWasmStack: -1}, false},
		{Config{LiftBytes: -1}, false},
		{Config{Codegen: limits.Interpreter}, true},
		{Config{Codegen: "winch"}, false},
	} {
		rt, err := New(c.config)
		if (err == nil) != c.ok {
			t.Errorf("New(%+v): %v", c.config, err)
		}
		if err == nil {
			rt.Close()
		}
	}
	err := Config{Codegen: "winch", MaxWasmStack: 1, LiftBytes: -1}.Validate()
	for _, field := range []string{"Codegen", "MaxWasmStack", "LiftBytes"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("Validate reports %v, and nothing of %s", err, field)
		}
	}
}

func TestKey(t *testing.T) {
	key := Config{}.Key()
	for _, part := range []string{"wasmtime=39.0.0 ", "module=v39.0.1 ", "arch=" + runtime.GOARCH, "max_wasm_stack=524288", " codegen=native ",
		" memory_guard=2147483648", " epoch_interruption=true", " memory64=false", " nan_canonicalization=true", " signals_based_traps=true", " memory_init_cow=false", " multi_memory=true"} {
		if !strings.Contains(key, part) {
			t.Errorf("the key %q has no %q", key, part)
		}
	}
	if key != (Config{MaxWasmStack: DefaultMaxWasmStack, LiftBytes: 5}).Key() {
		t.Error("equal configurations have different keys")
	}
	if key == (Config{MaxWasmStack: 1 << 20}).Key() {
		t.Error("different configurations have one key")
	}
	interpreted := Config{Codegen: limits.Interpreter}.Key()
	for _, part := range []string{" codegen=interpreter ", " signals_based_traps=false"} {
		if !strings.Contains(interpreted, part) {
			t.Errorf("the key %q has no %q", interpreted, part)
		}
	}
}

// TestMaxWasmStack: the setting reaches the engine.
func TestMaxWasmStack(t *testing.T) {
	onBoth(t, testMaxWasmStack)
}

func testMaxWasmStack(t *testing.T, config Config) {
	depth := func(stack int64) int32 {
		config.MaxWasmStack = stack
		rt := newRuntime(t, config)
		in := componenttest.Instantiate(t, componenttest.Load(t, rt, `(module
		  (memory (export "memory") 1)
		  (func $f (export "f") (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1))) (call $f) (call $f)))`), nil)
		if _, err := in.CallCore(t.Context(), "f", nil, 0); err == nil {
			t.Fatal("endless recursion ends")
		}
		return int32(binary.LittleEndian.Uint32(in.Memory("memory")))
	}
	small, large := depth(64<<10), depth(1<<20)
	if small < 100 || large < 10*small {
		t.Errorf("64 KiB of stack hold %d calls, 1 MiB hold %d", small, large)
	}
}

// TestSettings: what is off is refused, what is on works.
func TestSettings(t *testing.T) { onBoth(t, testSettings) }

func testSettings(t *testing.T, config Config) {
	rt := newRuntime(t, config)
	for name, text := range map[string]string{
		"memory64":            `(module (memory i64 1))`,
		"threads":             `(module (memory 1 1 shared))`,
		"gc":                  `(module (type (struct)))`,
		"recursive types":     `(module (rec (type (func)) (type (func))))`, // signatures relies on it
		"a group of one type": `(module (rec (type (func))))`,
		"a supertype":         `(module (type (sub (func))))`,
		"function_references": `(module (type $t (func)) (func (param (ref $t))))`,
		"exceptions":          `(module (tag))`,
		"relaxed_simd":        `(module (func (param v128 v128) (result v128) (i8x16.relaxed_swizzle (local.get 0) (local.get 1))))`,
		"custom_page_sizes":   `(module (memory 1 (pagesize 1)))`,
		"wide_arithmetic":     `(module (func (param i64 i64 i64 i64) (result i64 i64) (i64.add128 (local.get 0) (local.get 1) (local.get 2) (local.get 3))))`,
		"async components":    `(component (type (stream u8)))`,
		"table64":             `(module (table i64 1 funcref))`, // CVE-2026-44216
	} {
		if _, _, err := rt.Compile([]byte(text)); err == nil {
			t.Errorf("%s is on", name)
		} else if strings.Contains(err.Error(), "as text") {
			t.Errorf("%s: the test is no valid text: %v", name, err)
		}
	}
	for name, text := range map[string]string{
		"tail_call":       `(module (func $f (return_call $f)))`,
		"reference_types": `(module (table 1 externref) (func (drop (ref.null func))))`,
		"bulk_memory":     `(module (memory 1) (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 0))))`,
		"multi_value":     `(module (func (result i32 i32) (i32.const 1) (i32.const 2)))`,
		"multi_memory":    `(module (memory 1) (memory 1))`,
		"simd":            `(module (func (param v128 v128) (result v128) (i8x16.swizzle (local.get 0) (local.get 1))))`,
	} {
		if _, _, err := rt.Compile([]byte(text)); err != nil {
			t.Errorf("%s is off: %v", name, err)
		}
	}
	// Strings between two components, for which multi_memory must be on.
	componenttest.Instantiate(t, componenttest.Load(t, rt, `(component
	  (component $a
	    (core module $m (memory (export "m") 1)
	      (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 16))
	      (func (export "f") (param i32 i32)))
	    (core instance $i (instantiate $m))
	    (func (export "f") (param "s" string) (canon lift (core func $i "f") (memory $i "m") (realloc (func $i "realloc")))))
	  (component $b
	    (import "f" (func $f (param "s" string)))
	    (core module $l (memory (export "m") 1)
	      (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 16)))
	    (core instance $l (instantiate $l))
	    (core func $g (canon lower (func $f) (memory $l "m") (realloc (func $l "realloc"))))
	    (core module $m (import "" "g" (func $g (param i32 i32))) (func $start (call $g (i32.const 0) (i32.const 3))) (start $start))
	    (core instance (instantiate $m (with "" (instance (export "g" (func $g)))))))
	  (instance $a (instantiate $a))
	  (instance (instantiate $b (with "f" (func $a "f")))))`), nil)
}

// TestKeyGuards: code for one configuration does not load in another.
func TestKeyGuards(t *testing.T) {
	code, layer, err := newRuntime(t, Config{}).Compile([]byte("(module)"))
	if err != nil {
		t.Fatal(err)
	}
	same, err := newRuntime(t, Config{LiftBytes: 1}).Load(code, layer)
	if err != nil {
		t.Fatalf("a runtime with the same key refuses the code: %v", err)
	}
	same.Close()
}
