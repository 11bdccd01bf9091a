//go:build cgo

package wasmtime

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestValues: functions that the compiler would lose count of are refused, in
// whatever they are wrapped, and others are not.
func TestValues(t *testing.T) {
	repeat := func(n int, text string) string { return strings.Repeat(text+" ", n) }
	blocks := func(n int) string {
		return "(type $t (func (param " + repeat(1000, "i32") + ") (result " + repeat(1000, "i32") + "))) (func (param i32) " +
			repeat(1000, "local.get 0") + repeat(n, "block (type $t) end") + repeat(1000, "drop") + ")"
	}
	loops := func(n int) string {
		text := "(func (param i32) (local " + repeat(n, "i32") + ") " + repeat(n, "loop")
		for i := range n {
			text += fmt.Sprintf("(local.set %d (i32.eqz (local.get %d))) ", i, i)
		}
		return text + repeat(n, "(br_if 0 (local.get 0)) end") + ")"
	}
	calls := func(n int) string {
		return "(func $f (result " + repeat(1000, "i32") + ") unreachable) (func " + repeat(n, "call $f br 0") + ")"
	}
	wrappers := []string{"(module %s)", "(component (core module %s))", "(component (component (core module) (core module (func)) (core module %s)))"}
	for i, c := range []struct {
		name, text string
		ok         bool
	}{
		{"blocks of 1,000 values", blocks(100), true},
		{"more of them", blocks(9_000), false},
		{"calls for 1,000 values", calls(10), true},
		{"more of them", calls(16_000), false},
		{"locals through loops", loops(100), true},
		{"more of them", loops(2_500), false},
		{"a chain", "(func (param i32) local.get 0 " + repeat(1_000, "i32.eqz") + "drop)", true},
		{"a longer one", "(func (param i32) local.get 0 " + repeat(530_000, "i32.eqz") + "drop)", false},
		{"many functions", repeat(100, "(func (param i32) local.get 0 "+repeat(5_300, "i32.eqz")+"drop)"), true},
	} {
		err := checkValues(binaryOf(t, fmt.Sprintf(wrappers[i%len(wrappers)], c.text)))
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		if err != nil && (!strings.Contains(err.Error(), "function ") || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s: the error is %v", c.name, err)
		}
	}
	if _, _, err := newRuntime(t, Config{}).Compile([]byte("(module " + blocks(9_000) + ")")); err == nil || !strings.Contains(err.Error(), "values") {
		t.Errorf("Compile does not look: %v", err)
	}
}

// TestOperators: the reader knows every operator that the engine takes with the
// features that are on, and how long it is. An operator is tried behind unreachable,
// where any operand is there, with immediates of each form and an operator behind it
// that does not exist: when the engine complains of that one, it took the other.
func TestOperators(t *testing.T) {
	const none = 0xff
	rt := newRuntime(t, Config{})
	forms := [][]byte{{}, {0}, {0x40}, {0x70}, {0, 0}, {1, 0x7f}, {0, 0, 0}, make([]byte, 4), make([]byte, 8), make([]byte, 16)}
	var operators [][]byte
	for op := range none {
		if op != prefixMisc && op != prefixVector {
			operators = append(operators, []byte{byte(op)})
		}
	}
	for sub := range 32 {
		operators = append(operators, []byte{prefixMisc, byte(sub)})
	}
	for sub := range 300 {
		operators = append(operators, binary.AppendUvarint([]byte{prefixVector}, uint64(sub)))
	}
	taken := 0
	for _, op := range operators {
		for _, form := range forms {
			code := append(slices.Clone(op), form...)
			_, _, err := rt.Compile(oneFunction(append(append([]byte{0x00}, code...), none, 0x0b)))
			if err == nil {
				t.Fatalf("%x: the engine takes %#x", op, none)
			}
			if !strings.Contains(err.Error(), "illegal opcode: 0xff") {
				continue
			}
			taken++
			r := reader{rest: code}
			r.immediates(r.byte())
			if r.failed || len(r.rest) != 0 {
				t.Errorf("the engine takes %x with immediates %x; the reader leaves %x (failed: %t)", op, form, r.rest, r.failed)
			}
			break
		}
	}
	// Of wasm 2.0 and tail calls, but for else and end, which need a block; a form that
	// is missing above would show here.
	if taken != 434 {
		t.Errorf("the engine takes %d operators, want 434", taken)
	}
}

// oneFunction is a module with a function of no locals and what operators refer to: a
// type, a memory, a table, a mutable global, data, elements.
func oneFunction(body []byte) []byte {
	m := []byte("\x00asm\x01\x00\x00\x00")
	section := func(id byte, content ...byte) {
		m = append(binary.AppendUvarint(append(m, id), uint64(len(content))), content...)
	}
	section(1, 1, 0x60, 0, 0)
	section(3, 1, 0)
	section(4, 1, 0x70, 0, 1)
	section(5, 1, 0, 1)
	section(6, 1, 0x7f, 1, 0x41, 0, 0x0b)
	section(9, 1, 3, 0, 1, 0) // declares function 0, so that it may be referred to
	section(12, 1)
	code := append([]byte{0}, body...)
	section(10, append(binary.AppendUvarint([]byte{1}, uint64(len(code))), code...)...)
	section(11, 1, 1, 0)
	return m
}

// FuzzValues: whatever the bytes are, reckoning ends, and changes nothing.
func FuzzValues(f *testing.F) {
	for _, text := range []string{`(module (memory 1) (func (param i32) (result i32) (block (result i32) (loop (br_table 0 1 0 (local.get 0))) (i32.load offset=7 (i32.const -1)))))`,
		`(component (core module (func (local f64 v128) (local.set 1 (v128.const i64x2 1 2)) (drop (i8x16.shuffle 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 (local.get 1) (local.get 1))))))`} {
		f.Add(binaryOf(f, text))
	}
	f.Add(oneFunction([]byte{0x0e, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x0b}))
	f.Fuzz(func(t *testing.T, wasm []byte) {
		before := bytes.Clone(wasm)
		_ = checkValues(wasm)
		if !bytes.Equal(wasm, before) {
			t.Error("the input was changed")
		}
	})
}
