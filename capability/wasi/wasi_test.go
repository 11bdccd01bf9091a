package wasi_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/greentic-ai/greentic-provision/capability/wasi"
	"github.com/greentic-ai/greentic-provision/component"
)

// Types, short.

func typ(k component.Kind) *component.Type { return &component.Type{Kind: k} }

func list(t *component.Type) *component.Type {
	return &component.Type{Kind: component.List, Elem: t}
}

func option(t *component.Type) *component.Type {
	return &component.Type{Kind: component.Option, Elem: t}
}

func result(ok, err *component.Type) *component.Type {
	return &component.Type{Kind: component.Result, Ok: ok, Err: err}
}

func enum(labels ...string) *component.Type {
	return &component.Type{Kind: component.Enum, Labels: labels}
}

func tuple(ts ...*component.Type) *component.Type {
	t := typ(component.Tuple)
	for _, m := range ts {
		t.Fields = append(t.Fields, component.Field{Type: m})
	}
	return t
}

func variant(cases ...component.Field) *component.Type {
	return &component.Type{Kind: component.Variant, Fields: cases}
}

func record(fields ...component.Field) *component.Type {
	return &component.Type{Kind: component.Record, Fields: fields}
}

func field(name string, t *component.Type) component.Field {
	return component.Field{Name: name, Type: t}
}

func fn(name string, result *component.Type, params ...*component.Type) component.Item {
	f := &component.Func{Result: result}
	for _, p := range params {
		f.Params = append(f.Params, component.Field{Type: p})
	}
	return component.Item{Name: name, Kind: component.ItemFunc, Func: f}
}

func resource(name string) component.Item {
	return component.Item{Name: name, Kind: component.ItemResource}
}

var (
	u64, u32, u8, str = typ(component.U64), typ(component.U32), typ(component.U8), typ(component.String)
	own, borrow       = typ(component.Own), typ(component.Borrow)
	streamError       = variant(field("last-operation-failed", own), field("closed", nil))
	datetime          = record(field("seconds", u64), field("nanoseconds", u32))
)

// imported is what a program imports; every explicit function is in it.
var imported = map[string][]component.Item{
	"wasi:cli/environment@0.2.3":     {fn("get-environment", list(tuple(str, str))), fn("get-arguments", list(str)), fn("initial-cwd", option(str))},
	"wasi:cli/exit@0.2.3":            {fn("exit", nil, result(nil, nil)), fn("exit-with-code", nil, u8)},
	"wasi:cli/stdin@0.2.3":           {resource("input-stream"), fn("get-stdin", own)},
	"wasi:cli/stdout@0.2.3":          {resource("output-stream"), fn("get-stdout", own)},
	"wasi:cli/stderr@0.2.3":          {resource("output-stream"), fn("get-stderr", own)},
	"wasi:cli/terminal-input@0.2.3":  {resource("terminal-input")},
	"wasi:cli/terminal-stdin@0.2.3":  {resource("terminal-input"), fn("get-terminal-stdin", option(own))},
	"wasi:cli/terminal-output@0.2.3": {resource("terminal-output")},
	"wasi:cli/terminal-stdout@0.2.3": {resource("terminal-output"), fn("get-terminal-stdout", option(own))},
	"wasi:cli/terminal-stderr@0.2.3": {resource("terminal-output"), fn("get-terminal-stderr", option(own))},
	"wasi:io/error@0.2.3":            {resource("error"), fn("[method]error.to-debug-string", str, borrow)},
	"wasi:io/poll@0.2.3": {resource("pollable"), fn("[method]pollable.ready", typ(component.Bool), borrow), fn("[method]pollable.block", nil, borrow),
		fn("poll", list(u32), list(borrow))},
	"wasi:io/streams@0.2.3": {resource("input-stream"), resource("output-stream"), resource("error"), resource("pollable"),
		fn("[method]input-stream.read", result(list(u8), streamError), borrow, u64),
		fn("[method]input-stream.blocking-read", result(list(u8), streamError), borrow, u64),
		fn("[method]input-stream.skip", result(u64, streamError), borrow, u64),
		fn("[method]input-stream.blocking-skip", result(u64, streamError), borrow, u64),
		fn("[method]input-stream.subscribe", own, borrow),
		fn("[method]output-stream.check-write", result(u64, streamError), borrow),
		fn("[method]output-stream.write", result(nil, streamError), borrow, list(u8)),
		fn("[method]output-stream.blocking-write-and-flush", result(nil, streamError), borrow, list(u8)),
		fn("[method]output-stream.flush", result(nil, streamError), borrow),
		fn("[method]output-stream.blocking-flush", result(nil, streamError), borrow),
		fn("[method]output-stream.subscribe", own, borrow),
		fn("[method]output-stream.write-zeroes", result(nil, streamError), borrow, u64),
		fn("[method]output-stream.blocking-write-zeroes-and-flush", result(nil, streamError), borrow, u64),
		fn("[method]output-stream.splice", result(u64, streamError), borrow, borrow, u64),
		fn("[method]output-stream.blocking-splice", result(u64, streamError), borrow, borrow, u64)},
	"wasi:clocks/monotonic-clock@0.2.3": {resource("pollable"), fn("now", u64), fn("resolution", u64), fn("subscribe-instant", own, u64), fn("subscribe-duration", own, u64)},
	"wasi:clocks/wall-clock@0.2.3":      {fn("now", datetime), fn("resolution", datetime)},
	"wasi:random/random@0.2.3":          {fn("get-random-bytes", list(u8), u64), fn("get-random-u64", u64)},
	"wasi:random/insecure@0.2.3":        {fn("get-insecure-random-bytes", list(u8), u64), fn("get-insecure-random-u64", u64)},
	"wasi:random/insecure-seed@0.2.3":   {fn("insecure-seed", tuple(u64, u64))},
	"wasi:filesystem/preopens@0.2.3":    {resource("descriptor"), fn("get-directories", list(tuple(own, str)))},
	"wasi:filesystem/types@0.2.3": {resource("descriptor"), resource("directory-entry-stream"), resource("error"), resource("output-stream"),
		fn("[method]descriptor.open-at", result(own, enum("access", "would-block", "no-entry")), borrow, str),
		fn("filesystem-error-code", option(enum("access")), borrow)},
	"wasi:sockets/network@0.2.3":           {resource("network")},
	"wasi:sockets/instance-network@0.2.3":  {resource("network"), fn("instance-network", own)},
	"wasi:sockets/tcp-create-socket@0.2.3": {resource("tcp-socket"), fn("create-tcp-socket", result(own, enum("unknown", "access-denied")), enum("ipv4", "ipv6"))},
	"wasi:sockets/udp-create-socket@0.2.3": {resource("udp-socket"), fn("create-udp-socket", result(own, enum("unknown", "access-denied")), enum("ipv4", "ipv6"))},
	"wasi:sockets/tcp@0.2.3":               {resource("tcp-socket"), resource("pollable"), fn("[method]tcp-socket.is-listening", typ(component.Bool), borrow)},
	"wasi:sockets/udp@0.2.3":               {resource("udp-socket"), resource("incoming-datagram-stream"), resource("outgoing-datagram-stream")},
	"wasi:sockets/ip-name-lookup@0.2.3":    {resource("network"), resource("resolve-address-stream"), fn("resolve-addresses", result(own, enum("unknown", "access-denied")), borrow, str)},
}

// guest calls a host as a program would.
type guest struct {
	t     testing.TB
	host  *wasi.Host
	binds component.Imports
}

func start(t testing.TB, cfg wasi.Config) *guest {
	g := &guest{t, wasi.New(cfg), component.Imports{}}
	for name, items := range imported {
		if gaps := wasi.Check(name, items); gaps != nil {
			t.Fatalf("%s: %v", name, gaps)
		}
		g.binds[name] = g.host.Bind(name, items)
	}
	return g
}

func (g *guest) try(iface, name string, args ...component.Value) (component.Value, error) {
	f := g.binds["wasi:"+iface+"@0.2.3"].Funcs[name]
	if f == nil {
		g.t.Fatalf("%s#%s is not bound", iface, name)
	}
	return f(g.t.Context(), args)
}

func (g *guest) call(iface, name string, args ...component.Value) component.Value {
	g.t.Helper()
	v, err := g.try(iface, name, args...)
	if err != nil {
		g.t.Fatalf("%s#%s: %v", iface, name, err)
	}
	return v
}

func (g *guest) dropped(h component.Value) {
	g.binds["wasi:io/poll@0.2.3"].Resources["pollable"].Drop(h.(component.Handle).Rep)
}

var second = wasi.Config{Now: time.Unix(1_700_000_000, 500).UTC(), Budget: time.Second}

// Every function of the table above answers, with a value of its own type.
func TestAnswersFitTheirTypes(t *testing.T) {
	var borrows []component.Value
	for name, items := range imported {
		for _, it := range items {
			if it.Kind != component.ItemFunc {
				continue
			}
			t.Run(name+"#"+it.Name, func(t *testing.T) {
				g := start(t, second)
				borrows = []component.Value{
					g.call("clocks/monotonic-clock", "subscribe-instant", uint64(0)),
					g.call("cli/stdout", "get-stdout"), g.call("cli/stdin", "get-stdin"),
				}
				args := make([]component.Value, len(it.Func.Params))
				for i, p := range it.Func.Params {
					args[i] = sample(p.Type, borrows)
				}
				if strings.HasPrefix(it.Name, "[method]output") {
					args[0] = borrows[1]
				}
				v, err := g.binds[name].Funcs[it.Name](t.Context(), args)
				if err == nil && !fits(it.Func.Result, v) {
					t.Errorf("%#v is no %s", v, it.Func.Result)
				}
				traps := map[string]error{"exit": &wasi.ExitError{}, "exit-with-code": &wasi.ExitError{Code: 1}, "[method]tcp-socket.is-listening": wasi.ErrDenied}
				if want := traps[it.Name]; (err != nil) != (want != nil) || want != nil && !errors.Is(err, want) && err.Error() != want.Error() {
					t.Errorf("error %v, want %v", err, want)
				}
			})
		}
	}
}

// sample makes an argument of type t.
func sample(t *component.Type, borrows []component.Value) component.Value {
	switch t.Kind {
	case component.Borrow:
		return borrows[0]
	case component.U64:
		return uint64(1)
	case component.U8:
		return uint8(1)
	case component.String:
		return "name"
	case component.Enum:
		return t.Labels[0]
	case component.Result:
		return component.Ok(nil)
	case component.List:
		if t.Elem.Kind == component.U8 {
			return []byte("bytes\n")
		}
		return []component.Value{sample(t.Elem, borrows)}
	}
	panic(t.String())
}

// fits says whether v is a value of type t.
func fits(t *component.Type, v component.Value) bool {
	if t == nil {
		return v == nil
	}
	switch t.Kind {
	case component.Bool:
		_, ok := v.(bool)
		return ok
	case component.U8:
		_, ok := v.(uint8)
		return ok
	case component.U16:
		_, ok := v.(uint16)
		return ok
	case component.U32:
		_, ok := v.(uint32)
		return ok
	case component.U64:
		_, ok := v.(uint64)
		return ok
	case component.S8:
		_, ok := v.(int8)
		return ok
	case component.S16:
		_, ok := v.(int16)
		return ok
	case component.S32:
		_, ok := v.(int32)
		return ok
	case component.S64:
		_, ok := v.(int64)
		return ok
	case component.F32:
		_, ok := v.(float32)
		return ok
	case component.F64:
		_, ok := v.(float64)
		return ok
	case component.Char:
		_, ok := v.(rune)
		return ok
	case component.String:
		_, ok := v.(string)
		return ok
	case component.Own:
		h, ok := v.(component.Handle)
		return ok && h.Own && h.Kind != 0
	case component.Enum:
		l, ok := v.(string)
		return ok && slices.Contains(t.Labels, l)
	case component.Flags:
		_, ok := v.([]string)
		return ok
	case component.Option:
		o, ok := v.(component.Opt)
		return ok && (!o.Some && o.Value == nil || o.Some && fits(t.Elem, o.Value))
	case component.List:
		if t.Elem.Kind == component.U8 {
			_, ok := v.([]byte)
			return ok
		}
		vs, ok := v.([]component.Value)
		return ok && !slices.ContainsFunc(vs, func(v component.Value) bool { return !fits(t.Elem, v) })
	case component.Record, component.Tuple:
		vs, ok := v.([]component.Value)
		if !ok || len(vs) != len(t.Fields) {
			return false
		}
		for i, f := range t.Fields {
			if !fits(f.Type, vs[i]) {
				return false
			}
		}
		return true
	case component.Variant:
		c, ok := v.(component.Case)
		i := slices.IndexFunc(t.Fields, func(f component.Field) bool { return f.Name == c.Name })
		return ok && i >= 0 && fits(t.Fields[i].Type, c.Value)
	case component.Result:
		r, ok := v.(component.Res)
		if r.IsErr {
			return ok && fits(t.Err, r.Value)
		}
		return ok && fits(t.Ok, r.Value)
	}
	return false
}

func TestEmptyContext(t *testing.T) {
	g := start(t, second)
	for _, c := range []struct {
		iface, name string
		want        component.Value
	}{
		{"cli/environment", "get-environment", []component.Value{}},
		{"cli/environment", "get-arguments", []component.Value{}},
		{"cli/environment", "initial-cwd", component.None},
		{"filesystem/preopens", "get-directories", []component.Value{}},
		{"cli/terminal-stdin", "get-terminal-stdin", component.None},
	} {
		if got := g.call(c.iface, c.name); fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", c.want) {
			t.Errorf("%s#%s gives %#v", c.iface, c.name, got)
		}
	}
	in := g.call("cli/stdin", "get-stdin")
	for _, name := range []string{"read", "blocking-read", "skip", "blocking-skip"} {
		if got := g.call("io/streams", "[method]input-stream."+name, in, uint64(10)); got != component.Err(component.Case{Name: "closed"}) {
			t.Errorf("%s gives %#v", name, got)
		}
	}
	if got := g.call("sockets/tcp-create-socket", "create-tcp-socket", "ipv4"); got != component.Err("access-denied") {
		t.Errorf("create-tcp-socket gives %#v", got)
	}
	if got := g.call("sockets/ip-name-lookup", "resolve-addresses", g.call("sockets/instance-network", "instance-network"), "a"); got != component.Err("access-denied") {
		t.Errorf("resolve-addresses gives %#v", got)
	}
}

func TestExit(t *testing.T) {
	g := start(t, second)
	for _, c := range []struct {
		name string
		arg  component.Value
		code uint8
	}{
		{"exit", component.Ok(nil), 0}, {"exit", component.Err(nil), 1}, {"exit-with-code", uint8(7), 7},
	} {
		_, err := g.try("cli/exit", c.name, c.arg)
		e, ok := errors.AsType[*wasi.ExitError](err)
		if !ok || e.Code != c.code {
			t.Errorf("%s(%v): %v", c.name, c.arg, err)
		}
	}
}

func TestClocks(t *testing.T) {
	g := start(t, second)
	if got := g.call("clocks/monotonic-clock", "now"); got != uint64(0) {
		t.Errorf("the monotonic clock starts at %v", got)
	}
	if got := g.call("clocks/wall-clock", "now"); fmt.Sprint(got) != "[1700000000 1500]" { // one look later
		t.Errorf("the wall clock says %v", got)
	}
	if got := g.call("clocks/monotonic-clock", "now"); got != uint64(2000) {
		t.Errorf("after two looks: %v", got)
	}
	p := g.call("clocks/monotonic-clock", "subscribe-duration", uint64(500*time.Millisecond))
	if g.call("io/poll", "[method]pollable.ready", p) != false {
		t.Error("ready before its time")
	}
	real := time.Now()
	g.call("io/poll", "[method]pollable.block", p)
	if d := time.Since(real); d > 400*time.Millisecond {
		t.Errorf("half a virtual second took %v", d)
	}
	if g.call("io/poll", "[method]pollable.ready", p) != true {
		t.Error("not ready after its time")
	}
	if got := g.call("clocks/monotonic-clock", "now"); got != uint64(500*time.Millisecond+4*time.Microsecond) {
		t.Errorf("after the sleep: %v", got)
	}
	if got := g.call("clocks/wall-clock", "now"); fmt.Sprint(got) != "[1700000000 500005500]" {
		t.Errorf("the wall clock says %v after the sleep", got)
	}
	if got := g.call("clocks/wall-clock", "resolution"); fmt.Sprint(got) != "[0 1000]" {
		t.Errorf("resolution %v", got)
	}
}

func TestPoll(t *testing.T) {
	g := start(t, second)
	at := func(d time.Duration) component.Value {
		return g.call("clocks/monotonic-clock", "subscribe-instant", uint64(d))
	}
	out := g.call("io/streams", "[method]output-stream.subscribe", g.call("cli/stdout", "get-stdout"))
	late, early, never := at(900*time.Millisecond), at(100*time.Millisecond), at(math.MaxInt64)
	for _, c := range []struct {
		in   []component.Value
		want string
	}{
		{[]component.Value{late, out, early}, "[1]"}, // what is ready is not waited for
		{[]component.Value{late, never, early, early}, "[2 3]"},
		{[]component.Value{early, late}, "[0]"},
		{[]component.Value{never, late}, "[1]"},
	} {
		if got := g.call("io/poll", "poll", c.in); fmt.Sprint(got) != c.want {
			t.Errorf("got %v, want %v", got, c.want)
		}
	}
	for name, in := range map[string][]component.Value{"nothing": {}, "never": {never}, "past the budget": {at(1001 * time.Millisecond), never}} {
		if _, err := g.try("io/poll", "poll", in); !errors.Is(err, wasi.ErrDeadline) {
			t.Errorf("polling %s: %v", name, err)
		}
	}
}

// However a guest lets time pass, it ends at the budget.
func TestDeadline(t *testing.T) {
	cfg := second
	cfg.Budget = 10 * time.Millisecond
	for name, loop := range map[string]func(*guest) error{
		"an hour": func(g *guest) error {
			_, err := g.try("io/poll", "[method]pollable.block", g.call("clocks/monotonic-clock", "subscribe-duration", uint64(time.Hour)))
			return err
		},
		"584 years": func(g *guest) error {
			if _, err := g.try("clocks/monotonic-clock", "now"); err != nil { // so that the sum overflows
				return err
			}
			_, err := g.try("io/poll", "[method]pollable.block", g.call("clocks/monotonic-clock", "subscribe-duration", uint64(math.MaxUint64)))
			return err
		},
		"naps": func(g *guest) error {
			p := g.call("clocks/monotonic-clock", "subscribe-duration", uint64(time.Millisecond))
			_, err := g.try("io/poll", "poll", []component.Value{p})
			g.dropped(p)
			return err
		},
		"monotonic": func(g *guest) error { _, err := g.try("clocks/monotonic-clock", "now"); return err },
		"wall":      func(g *guest) error { _, err := g.try("clocks/wall-clock", "now"); return err },
		"ready": func(g *guest) error {
			p := g.call("clocks/monotonic-clock", "subscribe-instant", uint64(time.Hour))
			defer g.dropped(p)
			_, err := g.try("io/poll", "[method]pollable.ready", p)
			return err
		},
		"ready polls": func(g *guest) error {
			p := g.call("clocks/monotonic-clock", "subscribe-instant", uint64(0))
			defer g.dropped(p)
			_, err := g.try("io/poll", "poll", []component.Value{p})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, cfg)
			for range 10_001 {
				if err := loop(g); err != nil {
					if !errors.Is(err, wasi.ErrDeadline) {
						t.Fatal(err)
					}
					if err := loop(g); !errors.Is(err, wasi.ErrDeadline) {
						t.Fatalf("the next call goes on: %v", err)
					}
					if _, err := g.try("clocks/monotonic-clock", "now"); !errors.Is(err, wasi.ErrDeadline) {
						t.Fatalf("the clock goes on: %v", err)
					}
					return
				}
			}
			t.Fatal("10 ms of budget lasted for 10,001 µs")
		})
	}
}

func TestNoBudget(t *testing.T) {
	for _, budget := range []time.Duration{0, -time.Second} {
		if _, err := start(t, wasi.Config{Budget: budget}).try("clocks/wall-clock", "now"); !errors.Is(err, wasi.ErrDeadline) {
			t.Errorf("budget %v: %v", budget, err)
		}
	}
}

func TestRandom(t *testing.T) {
	draw := func(seed byte) string {
		cfg := second
		cfg.Seed[0] = seed
		g := start(t, cfg)
		return fmt.Sprint(
			g.call("random/random", "get-random-bytes", uint64(16)), g.call("random/random", "get-random-u64"),
			g.call("random/insecure", "get-insecure-random-bytes", uint64(16)), g.call("random/insecure", "get-insecure-random-u64"),
			g.call("random/insecure-seed", "insecure-seed"))
	}
	one := draw(1)
	if again := draw(1); one != again {
		t.Error("one seed, two outcomes")
	}
	if one == draw(2) {
		t.Error("two seeds, one outcome")
	}

	// What one generator gives does not depend on the other, nor equal it.
	a, b := start(t, second), start(t, second)
	a.call("random/insecure-seed", "insecure-seed")
	secure := a.call("random/random", "get-random-u64")
	if secure != b.call("random/random", "get-random-u64") {
		t.Error("drawing a hash seed shifts the random numbers")
	}
	if secure == start(t, second).call("random/insecure", "get-insecure-random-u64") {
		t.Error("both generators give the same")
	}

	if got := a.call("random/random", "get-random-bytes", uint64(wasi.MaxRandom)).([]byte); len(got) != wasi.MaxRandom {
		t.Errorf("%d bytes", len(got))
	}
	if got := a.call("random/random", "get-random-bytes", uint64(0)).([]byte); len(got) != 0 {
		t.Errorf("%d bytes", len(got))
	}
	for _, n := range []uint64{wasi.MaxRandom + 1, math.MaxUint64} {
		if _, err := a.try("random/random", "get-random-bytes", n); !errors.Is(err, wasi.ErrLimit) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestOutput(t *testing.T) {
	var lines []string
	cfg := second
	cfg.Stdout = func(b []byte) { lines = append(lines, "out:"+string(b)) }
	cfg.Stderr = func(b []byte) { lines = append(lines, "err:"+string(b)) }
	g := start(t, cfg)
	out, again, errs := g.call("cli/stdout", "get-stdout"), g.call("cli/stdout", "get-stdout"), g.call("cli/stderr", "get-stderr")
	write := func(to component.Value, s string) {
		t.Helper()
		if got := g.call("io/streams", "[method]output-stream.write", to, []byte(s)); got != component.Ok(nil) {
			t.Fatalf("write gives %#v", got)
		}
	}
	write(out, "one\ntw")
	write(errs, "bad")
	write(again, "o\n\n")
	if got := g.call("io/streams", "[method]output-stream.blocking-write-and-flush", out, []byte("three")); got != component.Ok(nil) {
		t.Errorf("%#v", got)
	}
	if got := g.call("io/streams", "[method]output-stream.check-write", out); got.(component.Res).Value.(uint64) < 4096 {
		t.Errorf("check-write allows %v", got)
	}
	g.call("io/streams", "[method]output-stream.write-zeroes", errs, uint64(2))
	if got := strings.Join(lines, "|"); got != "out:one|out:two|out:" {
		t.Errorf("before Flush: %s", got)
	}
	g.host.Flush()
	g.host.Flush()
	if got := strings.Join(lines, "|"); got != "out:one|out:two|out:|out:three|err:bad\x00\x00" {
		t.Errorf("after Flush: %q", got)
	}

	lines = nil
	write(out, strings.Repeat("x", 2*wasi.MaxLine+1)+"\n")
	if len(lines) != 3 || len(lines[0]) != len("out:")+wasi.MaxLine || lines[2] != "out:x" {
		t.Errorf("a long line came as %d", len(lines))
	}
	if _, err := g.try("io/streams", "[method]output-stream.write-zeroes", out, uint64(math.MaxUint64)); !errors.Is(err, wasi.ErrLimit) {
		t.Errorf("endless zeroes: %v", err)
	}
	if _, err := g.try("io/streams", "[method]output-stream.write", g.call("cli/stdin", "get-stdin"), []byte("x")); err == nil {
		t.Error("wrote to an input")
	}
}

func TestOutputDropped(t *testing.T) {
	g := start(t, second)
	if got := g.call("io/streams", "[method]output-stream.write", g.call("cli/stdout", "get-stdout"), []byte("x\n")); got != component.Ok(nil) {
		t.Errorf("%#v", got)
	}
	g.host.Flush()
}

func TestHandles(t *testing.T) {
	g := start(t, second)
	var live []component.Value
	for range wasi.MaxHandles {
		live = append(live, g.call("cli/stdin", "get-stdin"))
	}
	if _, err := g.try("cli/stdout", "get-stdout"); !errors.Is(err, wasi.ErrLimit) {
		t.Errorf("one handle too many: %v", err)
	}
	g.dropped(live[0])
	g.dropped(live[0]) // an engine does not do this twice; it must not matter
	p := g.call("clocks/monotonic-clock", "subscribe-instant", uint64(0))
	for _, h := range live[1:] {
		if h == p {
			t.Fatal("a live handle was given out again")
		}
	}
	g.dropped(p)
	if _, err := g.try("io/poll", "[method]pollable.block", p); err == nil || errors.Is(err, wasi.ErrDeadline) {
		t.Errorf("waiting for a dropped pollable: %v", err)
	}
}

// One resource has one kind, wherever it is listed, and no other resource has it.
func TestKinds(t *testing.T) {
	g := start(t, second)
	kinds, names := map[string]uint32{}, map[uint32]string{}
	for iface, hi := range g.binds {
		for name, r := range hi.Resources {
			if k, ok := kinds[name]; ok && k != r.Kind {
				t.Errorf("%s: %s is of kind %d here and %d elsewhere", iface, name, r.Kind, k)
			}
			if n, ok := names[r.Kind]; ok && n != name || r.Kind == 0 {
				t.Errorf("%s and %s are of kind %d", name, n, r.Kind)
			}
			kinds[name], names[r.Kind] = r.Kind, name
		}
	}
	for fn, kind := range map[string]string{
		"cli/stdin#get-stdin": "input-stream", "cli/stdout#get-stdout": "output-stream", "cli/stderr#get-stderr": "output-stream",
		"sockets/instance-network#instance-network": "network",
	} {
		iface, name, _ := strings.Cut(fn, "#")
		if h := g.call(iface, name).(component.Handle); h.Kind != kinds[kind] || !h.Own {
			t.Errorf("%s gives %+v, %s has kind %d", fn, h, kind, kinds[kind])
		}
	}
}

func TestDenialForms(t *testing.T) {
	fsErrors := enum("access", "would-block", "not-permitted")
	for name, c := range map[string]struct {
		result *component.Type
		want   component.Value // nil: a trap
	}{
		"access-denied":        {result(nil, enum("unknown", "not-permitted", "access-denied")), component.Err("access-denied")},
		"access":               {result(own, fsErrors), component.Err("access")},
		"not-permitted":        {result(own, enum("zeta", "not-permitted")), component.Err("not-permitted")},
		"first label":          {result(u64, enum("zeta", "eta")), component.Err("zeta")},
		"closed":               {result(u64, streamError), component.Err(component.Case{Name: "closed"})},
		"case with payload":    {result(u64, variant(field("failed", own), field("other", option(str)))), component.Err(component.Case{Name: "other", Value: component.None})},
		"word with payload":    {result(u64, variant(field("access-denied", str), field("plain", nil))), component.Err(component.Case{Name: "access-denied", Value: ""})},
		"only resources":       {result(u64, variant(field("failed", own))), nil},
		"record":               {result(u64, record(field("code", str), field("n", typ(component.S16)))), component.Err([]component.Value{"", int16(0)})},
		"record of resources":  {result(u64, record(field("r", own))), nil},
		"string":               {result(u64, str), component.Err("")},
		"err without payload":  {result(u64, nil), component.Err(nil)},
		"bare result":          {result(nil, nil), component.Err(nil)},
		"option of a resource": {option(own), component.None},
		"list of bytes":        {list(u8), []byte{}},
		"list of pairs":        {list(tuple(own, str)), []component.Value{}},
		"nothing":              {nil, nil},
		"bool":                 {typ(component.Bool), nil},
		"number":               {u64, nil},
		"resource":             {own, nil},
		"empty enum":           {result(nil, enum()), nil},
		"flags in a tuple":     {result(nil, tuple(&component.Type{Kind: component.Flags, Labels: []string{"a"}}, typ(component.Char))), component.Err([]component.Value{[]string{}, rune(0)})},
		"result in a result":   {result(nil, result(u8, own)), component.Err(component.Ok(uint8(0)))},
		"very wide":            {result(nil, wide(14)), nil},
	} {
		t.Run(name, func(t *testing.T) {
			items := []component.Item{fn("from-the-future", c.result)}
			const iface = "wasi:filesystem/types@0.2.99"
			if gaps := wasi.Check(iface, items); gaps != nil {
				t.Fatal(gaps)
			}
			got, err := wasi.New(second).Bind(iface, items).Funcs["from-the-future"](t.Context(), nil)
			if c.want == nil {
				if !errors.Is(err, wasi.ErrDenied) {
					t.Errorf("got %#v, %v", got, err)
				}
				return
			}
			if err != nil || fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", c.want) {
				t.Errorf("got %#v, %v; want %#v", got, err, c.want)
			}
		})
	}
}

// wide is a type of 2^depth leaves.
func wide(depth int) *component.Type {
	t := u8
	for range depth {
		t = tuple(t, t)
	}
	return t
}

// Whatever the result type, a denial is a value of it or a trap.
func TestDenialFits(t *testing.T) {
	leaf := rapid.SampledFrom([]*component.Type{u8, u64, str, own, borrow, typ(component.Bool), typ(component.S8), typ(component.U16), typ(component.S32),
		typ(component.S64), typ(component.F32), typ(component.F64), typ(component.Char), enum("a", "access"), typ(component.Flags)})
	var tree func(depth int) *rapid.Generator[*component.Type]
	tree = func(depth int) *rapid.Generator[*component.Type] {
		if depth == 0 {
			return leaf
		}
		return rapid.Custom(func(t *rapid.T) *component.Type {
			sub := tree(depth - 1)
			switch rapid.IntRange(0, 6).Draw(t, "kind") {
			case 0:
				return list(sub.Draw(t, "elem"))
			case 1:
				return option(sub.Draw(t, "elem"))
			case 2:
				return tuple(rapid.SliceOfN(sub, 0, 3).Draw(t, "members")...)
			case 3:
				return variant(field("x", sub.Draw(t, "x")), field("closed", sub.Draw(t, "closed")), field("plain", nil))
			case 4:
				return record(field("x", sub.Draw(t, "x")))
			case 5:
				return result(sub.Draw(t, "ok"), sub.Draw(t, "err"))
			}
			return sub.Draw(t, "leaf")
		})
	}
	rapid.Check(t, func(t *rapid.T) {
		typ := tree(4).Draw(t, "type")
		items := []component.Item{fn("f", typ)}
		v, err := wasi.New(second).Bind("wasi:sockets/tcp@0.2.0", items).Funcs["f"](t.Context(), nil)
		if err != nil && !errors.Is(err, wasi.ErrDenied) || err == nil && !fits(typ, v) {
			t.Fatalf("%s: %#v, %v", typ, v, err)
		}
	})
}

func TestOffers(t *testing.T) {
	for name, want := range map[string]bool{
		"wasi:io/streams@0.2.0": true, "wasi:io/streams@0.2.6": true, "wasi:io/streams@0.2": true, "wasi:io/streams": true,
		"wasi:io/streams@0.3.0": false, "wasi:io/streams@0.20.0": false, "wasi:io/streams@1.0.0": false, "wasi:io/streams@": false,
		"wasi:http/types@0.2.3": false, "wasi:http/outgoing-handler@0.2.3": false, "wasi:io/stream@0.2.3": false,
		"evil:io/streams@0.2.3": false, "": false,
	} {
		if got := wasi.Offers(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

func TestCheck(t *testing.T) {
	const streams = "wasi:io/streams@0.2.3"
	for name, c := range map[string]struct {
		iface string
		item  component.Item
		want  string
	}{
		"type":              {streams, component.Item{Name: "stream-error", Kind: component.ItemType}, "[]"},
		"unknown interface": {"wasi:http/types@0.2.3", component.Item{Name: "method", Kind: component.ItemType}, "[{  }]"},
		"unknown resource":  {streams, resource("surprise"), "[{surprise  }]"},
		"other type":        {streams, fn("[method]output-stream.check-write", u64, borrow), "[{[method]output-stream.check-write func(borrow) -> result<u64, variant {last-operation-failed(own), closed}> func(borrow) -> u64}]"},
		"unknown function":  {streams, fn("[method]output-stream.new", u64), "[]"},
		"async function":    {streams, fn("[method]output-stream.new", typ(component.Unsupported)), "[{[method]output-stream.new  }]"},
		"endless type":      {streams, fn("[method]output-stream.new", wide(40)), "[{[method]output-stream.new  }]"},
		"instance":          {streams, component.Item{Name: "inner", Kind: component.ItemInstance}, "[{inner  }]"},
		"no type":           {streams, component.Item{Name: "f", Kind: component.ItemFunc}, "[{f  }]"},
	} {
		if got := fmt.Sprint(wasi.Check(c.iface, []component.Item{c.item})); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func Example() {
	host := wasi.New(wasi.Config{Now: time.Unix(0, 0), Budget: 5 * time.Second})
	clock := host.Bind("wasi:clocks/monotonic-clock@0.2.3", []component.Item{fn("subscribe-duration", own, u64)})
	poll := host.Bind("wasi:io/poll@0.2.3", []component.Item{fn("[method]pollable.block", nil, borrow)})
	for _, d := range []time.Duration{3 * time.Second, time.Hour} { // no real time passes
		p, _ := clock.Funcs["subscribe-duration"](context.Background(), []component.Value{uint64(d)})
		_, err := poll.Funcs["[method]pollable.block"](context.Background(), []component.Value{p})
		fmt.Println(d, err)
	}
	// Output:
	// 3s <nil>
	// 1h0m0s the step's time is used up
}
