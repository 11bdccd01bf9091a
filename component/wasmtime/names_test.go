//go:build cgo

package wasmtime

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/greentic-ai/greentic-provision/component"
	"github.com/greentic-ai/greentic-provision/component/componenttest"
)

func binaryOf(t testing.TB, text string) []byte {
	t.Helper()
	vec, err := wat2wasm([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return vec
}

func moduleNamed(name string) string {
	return `(core module (func $f (@name "` + name + `") (export "f") (call $f) (call $f)))`
}

func TestDropLongNames(t *testing.T) {
	long, short := strings.Repeat("n", maxName+1), strings.Repeat("n", maxName)
	for _, c := range []struct {
		name, text string
		kept       bool
	}{
		{"core short", strings.Replace(moduleNamed(short), "core ", "", 1), true},
		{"core long", strings.Replace(moduleNamed(long), "core ", "", 1), false},
		{"component short", "(component " + moduleNamed(short) + ")", true},
		{"component long", "(component " + moduleNamed(long) + ")", false},
		{"nested", "(component (component (component " + moduleNamed("a") + moduleNamed(long) + ") " + moduleNamed("b") + "))", false},
	} {
		in := binaryOf(t, c.text)
		before := bytes.Clone(in)
		out := dropLongNames(in)
		if !bytes.Equal(in, before) {
			t.Errorf("%s: the input was changed", c.name)
		}
		if bytes.Equal(out, in) != c.kept {
			t.Errorf("%s: kept %t, want %t", c.name, !c.kept, c.kept)
		}
		if c.kept == !bytes.Contains(out, []byte(short)) {
			t.Errorf("%s: the name is still there, or is gone", c.name)
		}
		if again := dropLongNames(out); !bytes.Equal(again, out) {
			t.Errorf("%s: a second pass changes more", c.name)
		}
		rt := newRuntime(t, Config{})
		if _, _, err := rt.Compile(out); err != nil {
			t.Errorf("%s: the result does not compile: %v", c.name, err)
		}
	}
	// Short names of other modules in the same component stay.
	out := dropLongNames(binaryOf(t, "(component "+moduleNamed(long)+moduleNamed("keep-this-name")+")"))
	if !bytes.Contains(out, []byte("keep-this-name")) {
		t.Error("a module without long names lost its names")
	}
}

// TestLongNamesCost is the attack: deep recursion in a function with a name of
// almost 100,000 bytes.
func TestLongNamesCost(t *testing.T) {
	rt := newRuntime(t, Config{})
	in := componenttest.Instantiate(t, componenttest.Load(t, rt,
		strings.Replace(moduleNamed(strings.Repeat("n", 99_000)), "core ", "", 1)), nil)
	before := resident(t)
	_, err := in.CallCore(t.Context(), "f", nil, 0)
	var trap *component.Trap
	if !errors.As(err, &trap) || trap.Code != component.TrapStack {
		t.Fatalf("got %.200v, want a trap with code %s", err, component.TrapStack)
	}
	// Peak, not what is left: the engine frees it again.
	peak, ok := peakResident(t)
	if ok && peak-before > 256<<20 {
		t.Errorf("the trap took up to %d MiB", (peak-before)>>20)
	}
}

// TestLargeTrace: on the largest stack, names of allowed length still add up to
// more than the engine is asked to write out.
func TestLargeTrace(t *testing.T) {
	rt := newRuntime(t, Config{MaxWasmStack: 4 << 20})
	in := componenttest.Instantiate(t, componenttest.Load(t, rt, "(component "+moduleNamed(strings.Repeat("n", 600))+
		`(core instance $i (instantiate 0)) (func (export "f") (canon lift (core func $i "f"))))`), nil)
	_, err := in.Call(t.Context(), []string{"f"}, nil)
	if err == nil || !strings.Contains(err.Error(), "too large to be written out") {
		t.Errorf("got %.200v", err)
	}
	core := componenttest.Instantiate(t, componenttest.Load(t, rt, strings.Replace(moduleNamed(strings.Repeat("n", 600)), "core ", "", 1)), nil)
	_, err = core.CallCore(t.Context(), "f", nil, 0)
	var trap *component.Trap
	if !errors.As(err, &trap) || trap.Code != component.TrapStack || !strings.Contains(trap.Message, "too large to be written out") {
		t.Errorf("got %.200v", err)
	}
}

// peakResident reads the high-water mark, which the whole test process shares:
// good enough for a bound of this size.
func peakResident(t *testing.T) (int64, bool) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			var n int64
			for _, c := range strings.TrimSpace(rest) {
				if c >= '0' && c <= '9' {
					n = n*10 + int64(c-'0')
				}
			}
			return n << 10, true
		}
	}
	return 0, false
}

// FuzzDropLongNames: whatever the bytes, the rewriting ends, is idempotent, and
// leaves something of the same layer.
func FuzzDropLongNames(f *testing.F) {
	for _, text := range []string{"(module)", "(component)", "(component " + moduleNamed("a") + ")",
		"(component (component " + moduleNamed(strings.Repeat("n", maxName+1)) + "))"} {
		f.Add(binaryOf(f, text))
	}
	f.Add([]byte("\x00asm\x01\x00\x00\x00\x00\xff\xff\xff\xff\x0f"))
	f.Add([]byte("\x00asm\x0d\x00\x01\x00\x04\x80\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		out := dropLongNames(b)
		before, ok1 := component.LayerOf(b)
		after, ok2 := component.LayerOf(out)
		if before != after || ok1 != ok2 || len(out) > len(b) {
			t.Errorf("%x became %x", b, out)
		}
		if again := dropLongNames(out); !bytes.Equal(again, out) {
			t.Errorf("%x became %x and then %x", b, out, again)
		}
	})
}
