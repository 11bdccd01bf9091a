package componenttest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/greentic-ai/greentic-provision/component"
)

// hostResourceText passes handles of a host's resource around. keep is given an
// owned handle and stores it, lend lends the stored one to the host, give gives
// it back, forget drops it.
const hostResourceText = `(component
  (import "test:r/files" (instance $files
    (export "file" (type $f (sub resource)))
    (export "other" (type $o (sub resource)))
    (export "open" (func (param "n" u32) (result (own $f))))
    (export "size" (func (param "self" (borrow $f)) (result u32)))
    (export "close" (func (param "self" (own $f))))))
  (alias export $files "file" (type $file))
  (alias export $files "other" (type $other))
  (core func $drop (canon resource.drop $file))
  (core func $open (canon lower (func $files "open")))
  (core func $size (canon lower (func $files "size")))
  (core func $close (canon lower (func $files "close")))
  (core module $m
    (import "" "drop" (func $drop (param i32)))
    (import "" "open" (func $open (param i32) (result i32)))
    (import "" "size" (func $size (param i32) (result i32)))
    (import "" "close" (func $close (param i32)))
    (global $h (mut i32) (i32.const 0))
    (func (export "open") (param i32) (global.set $h (call $open (local.get 0))))
    (func (export "keep") (param i32) (global.set $h (local.get 0)))
    (func (export "lend") (result i32) (call $size (global.get $h)))
    (func (export "lend-given") (param i32) (result i32)
      (call $size (local.get 0)) (call $drop (local.get 0)))
    (func (export "leak-given") (param i32))
    (func (export "give") (result i32) (global.get $h))
    (func (export "close") (call $close (global.get $h)))
    (func (export "forget") (call $drop (global.get $h)))
    (func (export "forge") (call $drop (i32.const 12345))))
  (core instance $i (instantiate $m (with "" (instance
    (export "drop" (func $drop)) (export "open" (func $open)) (export "size" (func $size)) (export "close" (func $close))))))
  (func (export "open") (param "n" u32) (canon lift (core func $i "open")))
  (func (export "keep") (param "f" (own $file)) (canon lift (core func $i "keep")))
  (func (export "lend") (result u32) (canon lift (core func $i "lend")))
  (func (export "lend-given") (param "f" (borrow $file)) (result u32) (canon lift (core func $i "lend-given")))
  (func (export "leak-given") (param "f" (borrow $file)) (canon lift (core func $i "leak-given")))
  (func (export "give") (result (own $file)) (canon lift (core func $i "give")))
  (func (export "close") (canon lift (core func $i "close")))
  (func (export "forget") (canon lift (core func $i "forget")))
  (func (export "forge") (canon lift (core func $i "forge")))
)`

func testHostResources(t *testing.T, rt component.Runtime) {
	const kind, other = 40, 41
	var dropped []uint32
	var closed []component.Handle
	var dropPanics bool
	p := Load(t, rt, hostResourceText)
	instance := func() component.Instance {
		dropped, closed, dropPanics = nil, nil, false
		return Instantiate(t, p, component.Imports{"test:r/files": {
			Resources: map[string]component.HostResource{
				"file": {Kind: kind, Drop: func(rep uint32) {
					if dropPanics {
						panic("drop")
					}
					dropped = append(dropped, rep)
				}},
				"other": {Kind: other}},
			Funcs: map[string]component.HostFunc{
				"open": func(_ context.Context, args []component.Value) (component.Value, error) {
					return component.Handle{Own: true, Kind: kind, Rep: args[0].(uint32)}, nil
				},
				"size": func(_ context.Context, args []component.Value) (component.Value, error) {
					h := args[0].(component.Handle)
					if h.Own || h.Kind != kind || h.Guest != nil {
						return nil, errors.New("size got an unexpected handle")
					}
					return h.Rep * 10, nil
				},
				"close": func(_ context.Context, args []component.Value) (component.Value, error) {
					closed = append(closed, args[0].(component.Handle))
					return nil, nil
				},
			}}})
	}
	must := func(in component.Instance, args ...component.Value) component.Value {
		t.Helper()
		v, err := call(in, args...)
		if err != nil {
			t.Fatalf("%s: %v", args[0], err)
		}
		return v
	}
	owned := func(rep uint32) component.Handle { return component.Handle{Own: true, Kind: kind, Rep: rep} }

	in := instance()
	must(in, "open", uint32(5))
	if v := must(in, "lend"); v != uint32(50) {
		t.Errorf("the host was lent %v, want 50", v)
	}
	if v := must(in, "give"); v != owned(5) {
		t.Errorf("the guest gave %v, want %v", v, owned(5))
	}
	must(in, "keep", owned(6))
	must(in, "close")
	if !slices.Equal(closed, []component.Handle{owned(6)}) {
		t.Errorf("close got %v, want %v", closed, owned(6))
	}
	if dropped != nil {
		t.Errorf("handles given back to the host were dropped: %v", dropped)
	}
	must(in, "keep", owned(7))
	must(in, "forget")
	if !slices.Equal(dropped, []uint32{7}) {
		t.Errorf("dropped %v, want 7", dropped)
	}
	// Lending to the guest, many times: nothing of it may stay in the store.
	for i := range uint32(1000) {
		if v := must(in, "lend-given", component.Handle{Own: i%2 == 0, Kind: kind, Rep: i}); v != i*10 {
			t.Fatalf("lent %v, want %d", v, i*10)
		}
	}
	if !slices.Equal(dropped, []uint32{7}) {
		t.Errorf("lent handles were dropped: %v", dropped)
	}

	for name, h := range map[string]component.Value{
		"borrowed":     component.Handle{Kind: kind, Rep: 1},
		"another kind": component.Handle{Own: true, Kind: other, Rep: 1},
		"unknown kind": component.Handle{Own: true, Kind: 99, Rep: 1},
		"guest's":      component.Handle{Own: true, Kind: kind, Rep: 1, Guest: new(int)},
		"no handle":    uint32(1),
	} {
		var trap *component.Trap
		if _, err := call(in, "keep", h); err == nil || errors.As(err, &trap) {
			t.Errorf("%s as an owned handle: got %v, want an error that is no trap", name, err)
		}
	}
	must(in, "keep", owned(8)) // still usable

	_, err := call(instance(), "leak-given", component.Handle{Kind: kind, Rep: 1})
	wantTrap(t, err, component.TrapOther)
	_, err = call(instance(), "forge")
	wantTrap(t, err, component.TrapOther)
	in = instance()
	must(in, "keep", owned(9))
	dropPanics = true
	_, err = call(in, "forget")
	wantTrap(t, err, component.TrapHost)
}

// guestResourceText defines a resource of its own and exports it.
const guestResourceText = `(component $C
  (import "seen" (func $seen (param "rep" u32)))
  (core func $seen (canon lower (func $seen)))
  (core module $d
    (import "" "seen" (func $seen (param i32)))
    (func (export "dtor") (param i32) (call $seen (local.get 0))
      (if (i32.eq (local.get 0) (i32.const 666)) (then unreachable))))
  (core instance $d (instantiate $d (with "" (instance (export "seen" (func $seen))))))
  (type $r (resource (rep i32) (dtor (func $d "dtor"))))
  (core func $new (canon resource.new $r))
  (core func $rep (canon resource.rep $r))
  (core func $drop (canon resource.drop $r))
  (core module $m
    (import "" "new" (func $new (param i32) (result i32)))
    (import "" "rep" (func $rep (param i32) (result i32)))
    (import "" "drop" (func $drop (param i32)))
    (func (export "make") (param i32) (result i32) (call $new (local.get 0)))
    (func (export "read") (param i32) (result i32) (local.get 0))
    (func (export "eat") (param i32) (result i32)
      (call $rep (local.get 0)) (call $drop (local.get 0))))
  (core instance $i (instantiate $m (with "" (instance
    (export "new" (func $new)) (export "rep" (func $rep)) (export "drop" (func $drop))))))
  (export $re "thing" (type $r))
  (func (export "make") (param "rep" u32) (result (own $re)) (canon lift (core func $i "make")))
  (func (export "read") (param "r" (borrow $re)) (result u32) (canon lift (core func $i "read")))
  (func (export "eat") (param "r" (own $re)) (result u32) (canon lift (core func $i "eat")))
  (core module $n (func (export "eat-two") (param i32 i32) (result i32) (i32.const 0)))
  (core instance $j (instantiate $n))
  (func (export "eat-two") (param "r" (own $re)) (param "s" (own $re)) (result u32) (canon lift (core func $j "eat-two")))
)`

func testGuestResources(t *testing.T, rt component.Runtime) {
	var seen []uint32
	p := Load(t, rt, guestResourceText)
	imports := component.Imports{"": {Funcs: map[string]component.HostFunc{
		"seen": func(_ context.Context, args []component.Value) (component.Value, error) {
			seen = append(seen, args[0].(uint32))
			return nil, nil
		}}}}
	in := Instantiate(t, p, imports)
	thing := func(in component.Instance, rep uint32) component.Handle {
		t.Helper()
		v, err := call(in, "make", rep)
		if err != nil {
			t.Fatal(err)
		}
		h, ok := v.(component.Handle)
		if !ok || !h.Own || h.Guest == nil {
			t.Fatalf("make gave %#v, want an owned handle with a token", v)
		}
		return h
	}
	h := thing(in, 3)
	for range 3 {
		if v, err := call(in, "read", h); v != uint32(3) || err != nil {
			t.Fatalf("read: got %v, %v, want 3", v, err)
		}
	}
	if _, err := call(in, "eat-two", h, h); err == nil {
		t.Error("one owned handle was passed twice in a call")
	}
	if v, err := call(in, "eat", h); v != uint32(3) || err != nil {
		t.Fatalf("eat: got %v, %v, want 3", v, err)
	}
	if !slices.Equal(seen, []uint32{3}) {
		t.Errorf("destroyed %v, want 3", seen)
	}
	for _, f := range []string{"read", "eat"} {
		if _, err := call(in, f, h); err == nil {
			t.Errorf("%s takes a handle that was given away", f)
		}
	}

	drop := func(h component.Handle) error {
		d, ok := h.Guest.(interface{ Drop(context.Context) error })
		if !ok {
			t.Fatalf("a %T has no Drop", h.Guest)
		}
		return d.Drop(context.Background())
	}
	h = thing(in, 4)
	if err := drop(h); err != nil || !slices.Equal(seen, []uint32{3, 4}) {
		t.Errorf("drop: %v, destroyed %v, want 3 and 4", err, seen)
	}
	if drop(h) == nil {
		t.Error("a handle can be dropped twice")
	}
	if _, err := call(in, "read", h); err == nil {
		t.Error("a dropped handle can be used")
	}
	stranger := Instantiate(t, p, imports)
	h = thing(in, 5)
	if _, err := call(stranger, "read", h); err == nil {
		t.Error("a handle can be used in another instance")
	}
	for _, wrong := range []component.Value{component.Handle{}, component.Handle{Own: true}, component.Handle{Own: true, Guest: 1}, uint32(1)} {
		if _, err := call(in, "eat", wrong); err == nil {
			t.Errorf("%#v passes for a handle", wrong)
		}
	}
	wantTrap(t, drop(thing(in, 666)), component.TrapUnreachable)

	h = thing(stranger, 6)
	stranger.Close()
	if drop(h) == nil {
		t.Error("a handle outlives its instance")
	}
}
