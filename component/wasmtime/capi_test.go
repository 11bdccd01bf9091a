//go:build cgo

package wasmtime

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// goCommand runs the go tool in the package's directory.
func goCommand(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out))
}

// header is capi.h, taken apart.
type header struct {
	constants  []string // macros with a value
	types      []string // typedef names and struct and union tags
	structs    []record // those with fields
	scalars    []string // typedefs of numbers
	callbacks  []string // typedefs of function pointers
	prototypes []string
}

type record struct {
	name   string
	fields []string
}

func parseHeader(t *testing.T) header {
	t.Helper()
	b, err := os.ReadFile("capi.h")
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`(?s)/\*.*?\*/`).ReplaceAllString(string(b), "")
	if !strings.Contains(string(b), "/* CAPI_PROTOTYPES */") {
		t.Fatal("capi.h does not mark its prototypes")
	}
	var h header
	for _, m := range regexp.MustCompile(`(?m)^#define (\w+) +\S+$`).FindAllStringSubmatch(text, -1) {
		h.constants = append(h.constants, m[1])
	}
	for _, m := range regexp.MustCompile(`(?m)^(?:typedef )?(?:struct|union) (\w+)`).FindAllStringSubmatch(text, -1) {
		h.types = append(h.types, m[1])
	}
	for _, m := range regexp.MustCompile(`(?m)^typedef [^{}()\n]*\b(\w+)(?:\[\d+\])?;$`).FindAllStringSubmatch(text, -1) {
		h.types = append(h.types, m[1])
		if !strings.HasPrefix(m[0], "typedef struct") {
			h.scalars = append(h.scalars, m[1])
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^typedef [^{}\n]*\(\*(\w+)\)\(.*\);$`).FindAllStringSubmatch(text, -1) {
		h.types = append(h.types, m[1])
		h.callbacks = append(h.callbacks, m[1])
	}
	for _, m := range regexp.MustCompile(`(?ms)^typedef (?:struct|union)[^{;]*\{\n(.*?)^\} (\w+);$`).FindAllStringSubmatch(text, -1) {
		r := record{name: m[2]}
		for _, f := range regexp.MustCompile(`(?m)^ +[^{}]*?\b(\w+);$`).FindAllStringSubmatch(m[1], -1) {
			r.fields = append(r.fields, f[1])
		}
		h.types = append(h.types, m[2])
		h.structs = append(h.structs, r)
	}
	for _, m := range regexp.MustCompile(`(?m)^\w[\w *]*?\b(\w+)\(.*\);$`).FindAllStringSubmatch(text, -1) {
		if !strings.HasPrefix(m[0], "typedef") {
			h.prototypes = append(h.prototypes, m[1])
		}
	}
	slices.Sort(h.types)
	h.types = slices.Compact(h.types)
	return h
}

// TestHeader compiles capi.h, with every name prefixed, in one translation unit
// with the real headers and has the compiler compare the two.
func TestHeader(t *testing.T) {
	h := parseHeader(t)
	// What the parser above overlooks would go unchecked.
	if len(h.constants) < 70 || len(h.structs) < 25 || len(h.scalars) < 12 || len(h.callbacks) != 2 || len(h.prototypes) < 130 {
		t.Fatalf("capi.h seems to have only %d constants, %d structs, %d scalars, %d callbacks and %d prototypes",
			len(h.constants), len(h.structs), len(h.scalars), len(h.callbacks), len(h.prototypes))
	}
	if out := compileHeader(t, headerCheck(h)); out != "" {
		t.Errorf("capi.h differs from the headers of %s %s:\n%s", ModulePath, ModuleVersion, out)
	}
}

// TestHeaderNotices makes sure that the comparison can fail, in each of its
// parts.
func TestHeaderNotices(t *testing.T) {
	real := headerCheck(parseHeader(t))
	b, err := os.ReadFile("capi.h")
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][3]string{
		"constant":  {"#define WASMTIME_COMPONENT_VALTYPE_S16 2", "#define WASMTIME_COMPONENT_VALTYPE_S16 6", "constant WASMTIME_COMPONENT_VALTYPE_S16"},
		"field":     {"  bool is_ok;\n  struct wasmtime_component_val *val;", "  struct wasmtime_component_val *val;\n  bool is_ok;", "offset of wasmtime_component_valresult_t.val"},
		"size":      {"  uint32_t __private3;\n} wasmtime_global_t;", "  uint64_t __private3;\n} wasmtime_global_t;", "size of wasmtime_global_t"},
		"scalar":    {"typedef uint8_t wasm_valkind_t;", "typedef uint16_t wasm_valkind_t;", "scalar wasm_valkind_t"},
		"parameter": {"(wasmtime_store_t *, int64_t, int64_t,", "(wasmtime_store_t *, uint64_t, int64_t,", "prototype of wasmtime_store_limiter"},
		"result":    {"bool wasmtime_trap_code(", "void wasmtime_trap_code(", "prototype of wasmtime_trap_code"},
		"callback":  {"wasmtime_context_t *, uint32_t);", "wasmtime_context_t *, uint64_t);", "conflicting types for"},
		"name":      {"void wasm_engine_delete(", "void wasm_engine_destroy(", "wasm_engine_destroy"},
	} {
		t.Run(name, func(t *testing.T) {
			changed := strings.Replace(string(b), change[0], change[1], 1)
			if changed == string(b) {
				t.Fatalf("capi.h does not contain %q", change[0])
			}
			check := strings.ReplaceAll(real, "wasm_engine_delete", map[bool]string{true: "wasm_engine_destroy", false: "wasm_engine_delete"}[name == "name"])
			if out := compileHeaderText(t, check, changed); !strings.Contains(out, change[2]) {
				t.Errorf("the compiler does not complain about %q, but: %s", change[2], out)
			}
		})
	}
}

// headerCheck writes the C program.
func headerCheck(h header) string {
	var c strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&c, format+"\n", args...) }
	names := append(slices.Clone(h.types), h.prototypes...)

	line("/* Ours, under other names. */")
	for _, n := range names {
		line("#define %s our_%s", n, n)
	}
	line(`#include "capi.h"`)
	for _, n := range names {
		line("#undef %s", n)
	}
	for _, n := range h.constants {
		line("enum { our_%s = %s };", n, n)
		line("#undef %s", n)
	}
	line("#include <wasm.h>")
	line("#include <wasmtime.h>")
	line("#include <wasmtime/component.h>")
	line(`#if WASMTIME_VERSION_MAJOR != 39 || !defined(WASMTIME_FEATURE_COMPONENT_MODEL) || !defined(WASMTIME_FEATURE_CRANELIFT)`)
	line(`#error wrong version or features of wasmtime`)
	line(`#endif`)
	line(`_Static_assert(__builtin_strcmp(WASMTIME_VERSION, "%s") == 0, "EngineVersion");`, EngineVersion)
	for _, n := range h.constants {
		line(`_Static_assert((int)our_%s == (int)%s, "constant %s");`, n, n, n)
	}
	for _, n := range h.scalars {
		line(`_Static_assert(sizeof(our_%s) == sizeof(%s) && _Alignof(our_%s) == _Alignof(%s), "scalar %s");`, n, n, n, n, n)
	}
	for _, s := range h.structs {
		line(`_Static_assert(sizeof(our_%s) == sizeof(%s), "size of %s");`, s.name, s.name, s.name)
		line(`_Static_assert(_Alignof(our_%s) == _Alignof(%s), "alignment of %s");`, s.name, s.name, s.name)
		for _, f := range s.fields {
			line(`_Static_assert(offsetof(our_%s, %s) == offsetof(%s, %s), "offset of %s.%s");`, s.name, f, s.name, f, s.name, f)
			line(`_Static_assert(sizeof(((our_%s *)0)->%s) == sizeof(((%s *)0)->%s), "size of %s.%s");`, s.name, f, s.name, f, s.name, f)
		}
	}
	line("/* Our prototypes again, with the real types, which are now known to be alike. */")
	for _, n := range h.prototypes {
		line("#define %s our_proto_%s", n, n)
	}
	line("#undef CAPI_PROTOTYPES_H")
	line(`#include "capi.h"`)
	for _, n := range h.prototypes {
		line("#undef %s", n)
	}
	for _, n := range h.prototypes {
		line(`_Static_assert(__builtin_types_compatible_p(__typeof__(our_proto_%s), __typeof__(%s)), "prototype of %s");`, n, n, n)
	}
	line("/* Callback types: a second typedef of one name must be of the same type. */")
	for _, n := range h.callbacks {
		line("CALLBACK_%s", n)
	}
	return c.String()
}

func compileHeader(t *testing.T, check string) string {
	b, err := os.ReadFile("capi.h")
	if err != nil {
		t.Fatal(err)
	}
	return compileHeaderText(t, check, string(b))
}

// compileHeaderText gives the compiler's complaints about check with capi as
// capi.h.
func compileHeaderText(t *testing.T, check, capi string) string {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?m)^typedef [^{}\n]*\(\*(\w+)\)\(.*\);$`).FindAllStringSubmatch(capi, -1) {
		check = strings.Replace(check, "CALLBACK_"+m[1], m[0], 1)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"check.c": check, "capi.h": capi} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	include := filepath.Join(goCommand(t, "list", "-m", "-f", "{{.Dir}}", ModulePath), "build", "include")
	cc := strings.Fields(goCommand(t, "env", "CC"))
	cmd := exec.Command(cc[0], append(cc[1:], "-std=c11", "-Wall", "-Werror", "-fsyntax-only", "-I", dir, "-I", include, filepath.Join(dir, "check.c"))...)
	out, err := cmd.CombinedOutput()
	if err != nil && len(out) == 0 {
		t.Fatal(err)
	}
	return string(out)
}

// TestModuleVersion: go.mod must pin what capi.h was checked against.
func TestModuleVersion(t *testing.T) {
	if v := goCommand(t, "list", "-m", "-f", "{{.Version}}{{with .Replace}} replaced{{end}}", ModulePath); v != ModuleVersion {
		t.Errorf("go.mod has %s %s, want %s", ModulePath, v, ModuleVersion)
	}
}

// TestLeftOut: parts of the engine that nothing here may reach. Their flaws are
// fixed in later versions only (testdata/guests/advisories.json names this test), or
// they bring code of the host into reach of guests: WASI and async, the pooling
// allocator, Winch, shared memory, code from files, what takes an item of one store
// or engine to another, what a host function could see of its caller.
func TestLeftOut(t *testing.T) {
	h := parseHeader(t)
	for _, n := range slices.Concat(h.prototypes, h.types, h.constants) {
		for _, part := range []string{"wasi", "async", "pooling", "winch", "cache", "profil", "deserialize_file", "sharedmemory", "unknown_imports_as_traps",
			"wasmtime_linker", "func_new", "global_new", "table_new", "memory_new", "tag_new", "caller"} {
			if strings.Contains(strings.ToLower(n), part) {
				t.Errorf("capi.h declares %s", n)
			}
		}
	}
	if len(h.prototypes) == 0 {
		t.Error("no prototypes were looked at")
	}
}

// TestDeclarationsUsed keeps capi.h down to what is used.
func TestDeclarationsUsed(t *testing.T) {
	var used strings.Builder
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(files, "shim.c", "shim.h") {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(f, "_test.go") {
			used.Write(b)
		}
	}
	h := parseHeader(t)
	for _, n := range slices.Concat(h.prototypes, h.constants) {
		if !regexp.MustCompile(`\b` + n + `\b`).MatchString(used.String()) {
			t.Errorf("%s is declared in capi.h and used nowhere", n)
		}
	}
}
