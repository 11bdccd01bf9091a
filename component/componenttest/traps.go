package componenttest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/greentic-ai/greentic-provision/component"
)

// trapsText exports functions that end in every way a guest can end by itself.
const trapsText = `(component
  (core module $m
    (memory 1)
    (table 1 1 funcref)
    (type $v (func))
    (func (export "unreachable") unreachable)
    (func (export "memory") (drop (i32.load (i32.const 65536))))
    (func (export "table") (call_indirect (type $v) (i32.const 7)))
    (func (export "divide") (drop (i32.div_s (i32.const 1) (i32.const 0))))
    (func $stack (export "stack") (call $stack) (call $stack))
    (func (export "spin") (loop $l (br $l)))
    (func (export "fine")))
  (core instance $i (instantiate $m))
  (func (export "unreachable") (canon lift (core func $i "unreachable")))
  (func (export "memory") (canon lift (core func $i "memory")))
  (func (export "table") (canon lift (core func $i "table")))
  (func (export "divide") (canon lift (core func $i "divide")))
  (func (export "stack") (canon lift (core func $i "stack")))
  (func (export "spin") (canon lift (core func $i "spin")))
  (func (export "fine") (canon lift (core func $i "fine")))
  (func (export "post") (canon lift (core func $i "fine") (post-return (func $i "unreachable"))))
)`

func wantTrap(t testing.TB, err error, code component.TrapCode) *component.Trap {
	t.Helper()
	var trap *component.Trap
	if !errors.As(err, &trap) {
		t.Fatalf("got error %v, want a trap with code %s", err, code)
	}
	if trap.Code != code {
		t.Fatalf("got trap code %s, want %s: %v", trap.Code, code, err)
	}
	if len(trap.Message) > 4<<10 || !utf8.ValidString(trap.Message) || trap.Message == "" {
		t.Errorf("the message is not bounded, valid text: %d bytes", len(trap.Message))
	}
	return trap
}

func call(in component.Instance, args ...component.Value) (component.Value, error) {
	return in.Call(context.Background(), []string{args[0].(string)}, args[1:])
}

func testTraps(t *testing.T, rt component.Runtime) {
	p := Load(t, rt, trapsText)
	for name, code := range map[string]component.TrapCode{
		"unreachable": component.TrapUnreachable,
		"memory":      component.TrapMemory,
		"table":       component.TrapMemory,
		"divide":      component.TrapOther,
		"stack":       component.TrapStack,
		"post":        component.TrapUnreachable,
	} {
		t.Run(name, func(t *testing.T) {
			in := Instantiate(t, p, nil)
			if _, err := call(in, "fine"); err != nil {
				t.Fatal(err)
			}
			_, err := call(in, name)
			wantTrap(t, err, code)
			// A component that trapped cannot be entered again.
			_, err = call(in, "fine")
			wantTrap(t, err, component.TrapOther)
		})
	}
	if _, err := call(Instantiate(t, p, nil), "fine"); err != nil {
		t.Errorf("after traps of other instances: %v", err)
	}
}

// testTrapSpoof: names of the guest's choosing stand in the engine's text.
func testTrapSpoof(t *testing.T, rt component.Runtime) {
	name := `x\0a\0aCaused by:\0a    wasm trap: interrupt\0a\0aStack backtrace:`
	in := Instantiate(t, Load(t, rt, `(component
	  (core module $m (func $f (@name "`+name+`") (export "f") unreachable))
	  (core instance $i (instantiate $m))
	  (func (export "f") (canon lift (core func $i "f"))))`), nil)
	_, err := call(in, "f")
	wantTrap(t, err, component.TrapUnreachable)

	// 3 KB a frame, in thousands of frames.
	in = Instantiate(t, Load(t, rt, `(component
	  (core module $m (func $f (@name "`+strings.Repeat("é", 1500)+`") (export "f") (call $f) (call $f)))
	  (core instance $i (instantiate $m))
	  (func (export "f") (canon lift (core func $i "f"))))`), nil)
	_, err = call(in, "f")
	var trap *component.Trap
	if !errors.As(err, &trap) || len(trap.Message) > 4<<10 || !utf8.ValidString(trap.Message) {
		t.Errorf("got %.200v, want a trap with a bounded message", err)
	}
}

func testInterrupt(t *testing.T, rt component.Runtime) {
	spin := Load(t, rt, trapsText)
	started := make(chan struct{})
	imports := component.Imports{"": {Funcs: map[string]component.HostFunc{
		"started": func(context.Context, []component.Value) (component.Value, error) { close(started); return nil, nil }}}}
	start := Load(t, rt, `(component
	  (import "started" (func $started))
	  (core func $started (canon lower (func $started)))
	  (core module $m
	    (import "" "started" (func $started))
	    (func $f (call $started) (loop $l (br $l)))
	    (start $f))
	  (core instance $i (instantiate $m (with "" (instance (export "started" (func $started))))))
	)`)
	interrupted := func(f func() error) {
		t.Helper()
		done := make(chan error, 1)
		go func() { done <- f() }()
		deadline := time.After(20 * time.Second)
		for {
			select {
			case err := <-done:
				wantTrap(t, err, component.TrapInterrupt)
				return
			case <-time.After(5 * time.Millisecond):
				rt.Interrupt() // again and again: one before the call began is lost
			case <-deadline:
				t.Fatal("still running after 20 s of interrupts")
			}
		}
	}
	in := Instantiate(t, spin, nil)
	interrupted(func() error { _, err := call(in, "spin"); return err })
	interrupted(func() error {
		_, err := start.Instantiate(context.Background(), component.StoreLimits{}, imports)
		return err
	})
	select {
	case <-started:
	default:
		t.Error("the start function did not run")
	}
	// An interrupt between calls is not for the next one.
	in = Instantiate(t, spin, nil)
	rt.Interrupt()
	rt.Interrupt()
	if _, err := call(in, "fine"); err != nil {
		t.Errorf("a call after an interrupt: %v", err)
	}
}

func testLimits(t *testing.T, rt component.Runtime) {
	const text = `(component
	  (core module $m
	    (memory (export "m") 2)
	    (table $t 10 funcref)
	    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
	    (func (export "grow-table") (param i32) (result i32) (table.grow $t (ref.null func) (local.get 0))))
	  (core instance $i (instantiate $m))
	  (func (export "grow") (param "n" s32) (result s32) (canon lift (core func $i "grow")))
	  (func (export "grow-table") (param "n" s32) (result s32) (canon lift (core func $i "grow-table"))))`
	p := Load(t, rt, text)
	enough := component.StoreLimits{MemoryBytes: 4 << 16, TableElements: 20, Instances: 10, Tables: 10, Memories: 10}
	in, err := p.Instantiate(context.Background(), enough, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	for _, c := range []struct {
		name     string
		by, want int32
	}{{"grow", 2, 2}, {"grow", 1, -1}, {"grow", 0, 4}, {"grow-table", 10, 10}, {"grow-table", 1, -1}} {
		if v, err := call(in, c.name, c.by); v != c.want || err != nil {
			t.Errorf("%s %d: got %v, %v, want %d", c.name, c.by, v, err, c.want)
		}
	}
	for name, change := range map[string]func(*component.StoreLimits){
		"memory": func(l *component.StoreLimits) { l.MemoryBytes = 1 << 16 },
		"table":  func(l *component.StoreLimits) { l.TableElements = 9 },
	} {
		l := enough
		change(&l)
		in, err := p.Instantiate(context.Background(), l, nil)
		if err == nil {
			in.Close()
			t.Errorf("%s: no error", name)
			continue
		}
		wantTrap(t, err, component.TrapLimit)
	}
	two := Load(t, rt, `(component
	  (core module $m (memory 1) (table 1 funcref))
	  (core instance (instantiate $m))
	  (core instance (instantiate $m)))`)
	for name, change := range map[string]func(*component.StoreLimits){
		"instances": func(l *component.StoreLimits) { l.Instances = 1 },
		"tables":    func(l *component.StoreLimits) { l.Tables = 1 },
		"memories":  func(l *component.StoreLimits) { l.Memories = 1 },
	} {
		l := enough
		change(&l)
		in, err := two.Instantiate(context.Background(), l, nil)
		if err == nil {
			in.Close()
			t.Errorf("%s: no error", name)
			continue
		}
		wantTrap(t, err, component.TrapLimit)
	}
	if in, err := two.Instantiate(context.Background(), component.StoreLimits{MemoryBytes: -1}, nil); err == nil {
		in.Close()
		t.Error("a negative limit is accepted")
	}
}
