//go:build cgo

package wasmtime

import (
	"os"
	"os/exec"
	"regexp"
	"testing"

	"github.com/greentic-ai/greentic-provision/component/componenttest"
	"github.com/greentic-ai/greentic-provision/limits"
)

// farWrite has text written from the last two bytes of 4 GiB on (CVE-2026-35195). The
// engine begins at its end, 0x1000fa bytes behind them.
const farWrite = `(component
  (core module $memory (memory (export "memory") 134))
  (core instance $memory (instantiate $memory))
  (component $callee
    (core module $m
      (memory (export "memory") 134)
      (func (export "realloc") (param $old i32) (param i32 i32 i32) (result i32)
        (select (i32.const -2) (i32.const 2) (local.get $old)))
      (func (export "take") (param i32 i32)))
    (core instance $i (instantiate $m))
    (func (export "take") (param "text" string)
      (canon lift (core func $i "take") string-encoding=latin1+utf16
        (memory $i "memory") (realloc (func $i "realloc")))))
  (instance $callee (instantiate $callee))
  (core func $take (canon lower (func $callee "take") string-encoding=utf8 (memory $memory "memory")))
  (core module $guest
    (import "memory" "memory" (memory 134))
    (import "callee" "take" (func $take (param i32 i32)))
    (func (export "run")
      (memory.fill (i32.const 4194304) (i32.const 0x20) (i32.const 1048832))
      (i32.store (i32.const 5243132) (i32.const 0x9b94e220)) (; a space, and one that is not in Latin-1 ;)
      (call $take (i32.const 4194304) (i32.const 1048832))))
  (core instance $guest (instantiate $guest
    (with "memory" (instance $memory))
    (with "callee" (instance (export "take" (func $take))))))
  (func (export "run") (canon lift (core func $guest "run"))))`

// TestFarWritesTouchNothing: the first byte that the engine writes too far is where it
// faults, at an address that ends like the text's end. Without the guard that was the
// last one, next to the 4 GiB, with a megabyte of other memory written over before.
func TestFarWritesTouchNothing(t *testing.T) {
	const marker = "WASMTIME_TEST_FAR_WRITE"
	if c := os.Getenv(marker); c != "" {
		in := componenttest.Instantiate(t, componenttest.Load(t, newRuntime(t, Config{Codegen: limits.Codegen(c)}), farWrite), nil)
		_, err := in.Call(t.Context(), []string{"run"}, nil)
		t.Fatalf("the engine has learnt to look: %v", err)
	}
	for _, c := range codegens {
		t.Run(string(c), func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command("/proc/self/exe", "-test.run=^TestFarWritesTouchNothing$")
			cmd.Env = []string{marker + "=" + string(c)}
			out, err := cmd.CombinedOutput()
			if err == nil || !regexp.MustCompile(`SIGSEGV.*\nPC=.* addr=0x[0-9a-f]+0fa\n`).Match(out) {
				t.Errorf("%v\n%.2000s", err, out)
			}
		})
	}
}
