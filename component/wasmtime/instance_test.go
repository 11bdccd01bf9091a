//go:build cgo

package wasmtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"weak"

	"github.com/greentic-ai/greentic-provision/component"
	"github.com/greentic-ai/greentic-provision/component/componenttest"
)

// resident gives the process's memory in bytes, without what Go's heap holds:
// what is left to grow is the C side.
func resident(t *testing.T) int64 {
	t.Helper()
	runtime.GC()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("needs /proc/self/statm")
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(b), &size, &pages); err != nil {
		t.Fatal(err)
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return pages*int64(os.Getpagesize()) - int64(m.HeapSys-m.HeapReleased)
}

// leakType makes every node kind with memory of its own in the engine's tree:
// boxes of options, results and variants, names of records and flags.
var leakType = &component.Type{Kind: component.Record, Fields: []component.Field{
	{Name: "text", Type: stringType},
	{Name: "maybe", Type: &component.Type{Kind: component.Option, Elem: stringType}},
	{Name: "either", Type: &component.Type{Kind: component.Result, Ok: stringType, Err: stringType}},
	{Name: "one-of", Type: &component.Type{Kind: component.Variant, Fields: []component.Field{{Name: "a"}, {Name: "b", Type: stringType}}}},
	{Name: "set", Type: &component.Type{Kind: component.Flags, Labels: []string{"r", "w"}}},
	{Name: "bytes", Type: &component.Type{Kind: component.List, Elem: &component.Type{Kind: component.U8}}},
	{Name: "list", Type: &component.Type{Kind: component.List, Elem: stringType}},
}}

var leakValue = []component.Value{"text", component.Some("maybe"), component.Err("either"),
	component.Case{Name: "b", Value: "one-of"}, []string{"r", "w"}, []byte("bytes"), []component.Value{"list"}}

// The smallest leak there can be, a box of a payload, is 24 bytes a call: over
// 100,000 calls with several boxes in four directions that is more than ten
// times the bound.
const (
	leakCalls = 100_000
	leakBound = 4 << 20
)

func checkLeak(t *testing.T, calls int, f func()) {
	t.Helper()
	for range calls / 20 {
		f()
	}
	before := resident(t)
	for range calls {
		f()
	}
	if grown := resident(t) - before; grown > leakBound {
		t.Errorf("%d calls grew the process by %d KiB", calls, grown>>10)
	}
}

func TestLeakCalls(t *testing.T) {
	rt := newRuntime(t, Config{})
	in := componenttest.Instantiate(t, componenttest.Load(t, rt, componenttest.Relay(leakType)),
		echoImports(func(v component.Value) (component.Value, error) { return v, nil }))
	ctx := context.Background()
	checkLeak(t, leakCalls, func() {
		v, err := in.Call(ctx, []string{"echo"}, []component.Value{leakValue})
		if err != nil || !componenttest.Equal(v, component.Value(leakValue)) {
			t.Fatalf("%v, %v", v, err)
		}
	})
}

// TestLeakFailures: calls that fail in every place where something was built.
func TestLeakFailures(t *testing.T) {
	rt := newRuntime(t, Config{})
	p := componenttest.Load(t, rt, componenttest.Relay(leakType))
	ctx := context.Background()
	bad := append([]component.Value{}, leakValue...)
	bad[len(bad)-1] = []component.Value{"fine", "\xff"}
	results := []component.Value{bad, nil, leakValue}
	n := 0
	imports := echoImports(func(component.Value) (component.Value, error) {
		n++
		if n%4 == 3 {
			return nil, io.ErrUnexpectedEOF
		}
		return results[n%len(results)], nil
	})
	checkLeak(t, 5_000, func() {
		in, err := p.Instantiate(ctx, component.StoreLimits{}, imports)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		if _, err := in.Call(ctx, []string{"echo"}, []component.Value{bad}); err == nil {
			t.Fatal("a bad argument is accepted")
		}
		in.Call(ctx, []string{"echo"}, []component.Value{leakValue}) // fails or not
	})
}

// TestLeakHandles lends a handle to the guest and gives one away, each call.
func TestLeakHandles(t *testing.T) {
	rt := newRuntime(t, Config{})
	in := componenttest.Instantiate(t, componenttest.Load(t, rt, `(component
	  (import "file" (type $f (sub resource)))
	  (core func $drop (canon resource.drop $f))
	  (core module $m (import "" "drop" (func $drop (param i32)))
	    (func (export "f") (param i32 i32) (call $drop (local.get 0)) (call $drop (local.get 1))))
	  (core instance $i (instantiate $m (with "" (instance (export "drop" (func $drop))))))
	  (func (export "f") (param "lent" (borrow $f)) (param "given" (own $f)) (canon lift (core func $i "f"))))`),
		component.Imports{"": {Resources: map[string]component.HostResource{"file": {Kind: 3}}}})
	args := []component.Value{component.Handle{Kind: 3, Rep: 1}, component.Handle{Own: true, Kind: 3, Rep: 2}}
	checkLeak(t, 5*leakCalls, func() {
		if _, err := in.Call(context.Background(), []string{"f"}, args); err != nil {
			t.Fatal(err)
		}
	})
}

func TestLeakTraps(t *testing.T) {
	rt := newRuntime(t, Config{})
	comp := componenttest.Load(t, rt, `(component
	  (core module $m (func (export "f") unreachable))
	  (core instance $i (instantiate $m))
	  (func (export "f") (canon lift (core func $i "f"))))`)
	core := componenttest.Instantiate(t, componenttest.Load(t, rt, `(module (func (export "f") unreachable))`), nil)
	checkLeak(t, 20_000, func() {
		in, err := comp.Instantiate(context.Background(), component.StoreLimits{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		if _, err := in.Call(context.Background(), []string{"f"}, nil); err == nil {
			t.Fatal("no trap")
		}
		if _, err := core.CallCore(context.Background(), "f", nil, 0); err == nil {
			t.Fatal("no trap")
		}
	})
}

func TestLeakPrograms(t *testing.T) {
	rt := newRuntime(t, Config{})
	many := `(component (core module $m (func (export "f"))) (core instance $i (instantiate $m)) (func $f (canon lift (core func $i "f")))`
	for i := range 100 {
		many += fmt.Sprintf(` (export "f%d" (func $f))`, i)
	}
	for _, text := range []string{componenttest.Relay(leakType), many + ")", "(module (memory (export \"m\") 1))"} {
		code, layer, err := rt.Compile([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		checkLeak(t, 2_000, func() {
			p, err := rt.Load(code, layer)
			if err != nil {
				t.Fatal(err)
			}
			p.Close()
			if _, err := rt.Load([]byte("garbage"), layer); err == nil {
				t.Fatal("garbage loads")
			}
		})
	}
}

// TestStress runs the conformance suite where the collector runs all the time
// and cgo's pointer rules are checked, and again as a worker has it, with no
// environment: with RUST_BACKTRACE set, errors of the engine have another tail.
func TestStress(t *testing.T) {
	const marker = "WASMTIME_TEST_CHILD"
	if os.Getenv(marker) != "" {
		t.Skip("in the child")
	}
	if testing.Short() {
		t.Skip("runs the suite twice")
	}
	for _, c := range []struct {
		name     string
		env      []string
		codegens string
	}{
		{"gc", []string{"GODEBUG=cgocheck=1", "GOGC=1"}, "native|interpreter"},
		{"rust backtrace", []string{"RUST_BACKTRACE=1"}, "native"},
		{"empty", nil, "native"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-test.run=^(TestConformance|TestLiftLimit|TestPrograms|TestGuestHandles|TestInstanceReleased|TestTypeBounds)$/^("+c.codegens+")$", "-test.v", "-rapid.checks=30", "-rapid.nofailfile")
			cmd.Env = append([]string{marker + "=1"}, c.env...)
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "--- PASS: TestConformance") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func TestLiftLimit(t *testing.T) {
	bytes := &component.Type{Kind: component.List, Elem: &component.Type{Kind: component.U8}}
	many := &component.Type{Kind: component.List, Elem: stringType}
	opts := &component.Type{Kind: component.List, Elem: &component.Type{Kind: component.Option, Elem: &component.Type{Kind: component.Bool}}}
	rt := newRuntime(t, Config{LiftBytes: 100_000})
	for _, c := range []struct {
		typ       *component.Type
		fits, not component.Value
	}{
		{bytes, make([]byte, 90_000), make([]byte, 110_000)},
		{stringType, strings.Repeat("x", 90_000), strings.Repeat("x", 110_000)},
		{many, repeat("x", 5_000), repeat("x", 7_000)},
		{many, repeat(strings.Repeat("x", 1000), 90), repeat(strings.Repeat("x", 1000), 110)},
		{opts, repeat(component.Some(true), 3_000), repeat(component.Some(true), 4_000)},
	} {
		p := componenttest.Load(t, rt, componenttest.Relay(c.typ))
		reached := false
		in := componenttest.Instantiate(t, p, echoImports(func(v component.Value) (component.Value, error) { reached = true; return v, nil }))
		if _, err := in.Call(context.Background(), []string{"echo"}, []component.Value{c.fits}); err != nil {
			t.Errorf("%s: within the limit: %v", c.typ, err)
		}
		// As an argument of the host function.
		reached = false
		_, err := in.Call(context.Background(), []string{"echo"}, []component.Value{c.not})
		wantLimit(t, c.typ, err)
		if reached {
			t.Errorf("%s: the host function was called", c.typ)
		}
		// As the result of the call.
		echo := componenttest.Load(t, rt, componenttest.Echo(c.typ))
		in = componenttest.Instantiate(t, echo, nil)
		_, err = in.Call(context.Background(), []string{"echo"}, []component.Value{[]component.Value{c.not}})
		wantLimit(t, c.typ, err)
		// That call was complete, so the instance goes on.
		if _, err = in.Call(context.Background(), []string{"echo"}, []component.Value{[]component.Value{c.fits}}); err != nil {
			t.Errorf("%s: after the limit: %v", c.typ, err)
		}
	}
}

func wantLimit(t *testing.T, typ *component.Type, err error) {
	t.Helper()
	var trap *component.Trap
	if !errors.As(err, &trap) || trap.Code != component.TrapLimit {
		t.Errorf("%s: got %v, want a trap with code %s", typ, err, component.TrapLimit)
	}
}

func repeat(v component.Value, n int) []component.Value {
	vs := make([]component.Value, n)
	for i := range vs {
		vs[i] = v
	}
	return vs
}

// TestPrograms: the order of closing does not matter to memory.
func TestPrograms(t *testing.T) {
	ctx := context.Background()
	rt := newRuntime(t, Config{})
	p := componenttest.Load(t, rt, componenttest.Echo(stringType))
	in := componenttest.Instantiate(t, p, nil)
	p.Close()
	rt.Close()
	rt.Close()
	rt.Interrupt()
	runtime.GC()
	v, err := in.Call(ctx, []string{"echo"}, []component.Value{[]component.Value{"x"}})
	if err != nil || !componenttest.Equal(v, []component.Value{"x"}) {
		t.Errorf("after its program and runtime are closed: %v, %v", v, err)
	}
	in.Close()

	if _, _, err := rt.Compile([]byte("(module)")); err == nil {
		t.Error("a closed runtime compiles")
	}
	if _, err := rt.Load([]byte("x"), component.LayerCore); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("a closed runtime loads: %v", err)
	}
	rt = newRuntime(t, Config{})
	p = componenttest.Load(t, rt, componenttest.Echo(stringType))
	rt.Close()
	if _, err := p.Instantiate(ctx, component.StoreLimits{}, nil); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("a closed runtime makes an instance: %v", err)
	}
}

// TestInstanceReleased: the handle in the store's data is the only thing that
// keeps an instance from the collector, and Close deletes it.
func TestInstanceReleased(t *testing.T) {
	rt := newRuntime(t, Config{})
	p := componenttest.Load(t, rt, "(module)")
	in, err := p.Instantiate(context.Background(), component.StoreLimits{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ref := weak.Make(in.(*Instance))
	runtime.GC()
	if ref.Value() == nil {
		t.Fatal("collected while open")
	}
	in.Close()
	runtime.GC()
	if ref.Value() != nil {
		t.Error("not collected after Close")
	}
}

// TestTypeBounds: types that are small in the binary and large as a tree.
func TestTypeBounds(t *testing.T) {
	double := func(n int) string {
		text := "(component (type $t0 (tuple u8 u8))"
		for i := range n {
			text += fmt.Sprintf(" (type $t%d (tuple $t%d $t%d))", i+1, i, i)
		}
		return text + fmt.Sprintf(` (import "f" (func (param "x" $t%d))))`, n)
	}
	nest := func(n int) string {
		return `(component (import "f" (func (param "x" ` + strings.Repeat("(list ", n) + "u8" + strings.Repeat(")", n) + `))))`
	}
	many := func(n int) string {
		text := `(component (type $e (enum`
		for i := range n {
			text += fmt.Sprintf(` "l%d"`, i)
		}
		return text + `)) (import "e" (type $x (eq $e))) (import "f" (func (param "x" $x))))`
	}
	rt := newRuntime(t, Config{})
	for _, c := range []struct {
		name, text, want string
	}{
		{"doubled 10 times", double(10), ""},
		{"doubled 16 times", double(16), "more than 65536 parts"},
		{"nested 63", nest(63), ""},
		{"nested 64", nest(64), "more than 64 deep"},
		{"1024 labels", many(1024), ""},
		{"1025 labels", many(1025), "more than 1024 parts"},
	} {
		code, layer, err := rt.Compile([]byte(c.text))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		p, err := rt.Load(code, layer)
		if err == nil {
			p.Close()
		}
		if (err == nil) != (c.want == "") || err != nil && (!errors.Is(err, component.ErrTooLarge) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want an error with %q", c.name, err, c.want)
		}
	}
}

// TestLeakCompile: code and the binary made of text.
func TestLeakCompile(t *testing.T) {
	rt := newRuntime(t, Config{})
	text := []byte(`(module (data "` + strings.Repeat("x", 100_000) + `"))`)
	checkLeak(t, 200, func() {
		if _, _, err := rt.Compile(text); err != nil {
			t.Fatal(err)
		}
	})
}

// TestGuestHandles: tokens die with their instance, and are freed by it.
func TestGuestHandles(t *testing.T) {
	rt := newRuntime(t, Config{})
	p := componenttest.Load(t, rt, `(component
	  (type $r (resource (rep i32)))
	  (core func $new (canon resource.new $r))
	  (core module $m (import "" "new" (func $new (param i32) (result i32)))
	    (func (export "make") (result i32) (call $new (i32.const 1))))
	  (core instance $i (instantiate $m (with "" (instance (export "new" (func $new))))))
	  (export $re "r" (type $r))
	  (func (export "make") (result (own $re)) (canon lift (core func $i "make"))))`)
	in := componenttest.Instantiate(t, p, nil).(*Instance)
	var tokens []*GuestResource
	for range 10 {
		v, err := in.Call(context.Background(), []string{"make"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, v.(component.Handle).Guest.(*GuestResource))
	}
	if err := tokens[0].Drop(context.Background()); err != nil || len(in.guests) != 9 {
		t.Errorf("drop: %v, %d tokens left, want 9", err, len(in.guests))
	}
	in.Close()
	for i, g := range tokens {
		if g.handle != nil {
			t.Errorf("token %d is still there", i)
		}
	}
	if tokens[1].Drop(context.Background()) == nil {
		t.Error("a token outlives its instance")
	}
}
