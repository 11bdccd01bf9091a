package contract_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/greentic-ai/greentic-provision/component"
	"github.com/greentic-ai/greentic-provision/contract"
)

var (
	str     = &component.Type{Kind: component.String}
	failure = &component.Type{Kind: component.Record, Fields: []component.Field{{Name: "code", Type: str}, {Name: "message", Type: str}}}
	run     = &component.Func{
		Params: []component.Field{{Name: "request", Type: str}},
		Result: &component.Type{Kind: component.Result, Ok: str, Err: failure},
	}
)

func exports(iface string, items ...component.Item) component.Types {
	return component.Types{Layer: component.LayerComponent,
		Exports: []component.Item{{Name: iface, Kind: component.ItemInstance, Items: items}}}
}

func fn(name string, f *component.Func) component.Item {
	return component.Item{Name: name, Kind: component.ItemFunc, Func: f}
}

func coreTypes(params, results []string) component.Types {
	return component.Types{Layer: component.LayerCore, Exports: []component.Item{
		{Name: "memory", Kind: component.ItemCoreMemory},
		{Name: "run", Kind: component.ItemCoreFunc, Core: &component.CoreFunc{Params: params, Results: results}},
	}}
}

var pair = []string{"i32", "i32"}

func TestSelect(t *testing.T) {
	twoParams := &component.Func{Params: []component.Field{{Type: str}, {Type: str}}, Result: run.Result}
	otherRecord := &component.Func{Params: run.Params, Result: &component.Type{Kind: component.Result, Ok: str,
		Err: &component.Type{Kind: component.Record, Fields: []component.Field{{Name: "kode", Type: str}, {Name: "message", Type: str}}}}}
	withImport := coreTypes(pair, pair)
	withImport.Imports = []component.Item{{Name: "env.abort", Kind: component.ItemCoreFunc}}
	noMemory := coreTypes(pair, pair)
	noMemory.Exports = noMemory.Exports[1:]
	memoryIsFunc := coreTypes(pair, pair)
	memoryIsFunc.Exports[0].Kind = component.ItemCoreOther

	for name, c := range map[string]struct {
		types component.Types
		want  string // contract, or
		part  string // part of the error
	}{
		"component":                   {types: exports("greentic:provision-step/step@1.0.0", fn("run", run)), want: contract.NameComponent},
		"version is no matter":        {types: exports("greentic:provision-step/step@9.9.9-rc.1", fn("run", run)), want: contract.NameComponent},
		"no version":                  {types: exports("greentic:provision-step/step", fn("run", run)), want: contract.NameComponent},
		"more functions beside it":    {types: exports("greentic:provision-step/step@1.0.0", fn("other", twoParams), fn("run", run)), want: contract.NameComponent},
		"another interface":           {types: exports("greentic:provision-step/steps@1.0.0", fn("run", run)), part: "exports no interface that provisioning knows; exports: greentic:provision-step/steps@1.0.0; imports: none"},
		"world-level run":             {types: component.Types{Layer: component.LayerComponent, Exports: []component.Item{fn("run", run)}}, part: "exports no interface"},
		"a function by that name":     {types: component.Types{Layer: component.LayerComponent, Exports: []component.Item{fn("greentic:provision-step/step", run)}}, part: "exports no interface"},
		"wrong parameters":            {types: exports("greentic:provision-step/step@1.0.0", fn("run", twoParams)), part: "greentic:provision-step/step@1.0.0#run is func(string, string) -> result<string, record {code: string, message: string}>, expected func(string) -> result<"},
		"wrong field name":            {types: exports("greentic:provision-step/step@1.0.0", fn("run", otherRecord)), part: "kode"},
		"run is missing":              {types: exports("greentic:provision-step/step@1.0.0"), part: "a function of the contract is missing: greentic:provision-step/step@1.0.0#run is absent, expected func(string) -> "},
		"run is a type":               {types: exports("greentic:provision-step/step@1.0.0", component.Item{Name: "run", Kind: component.ItemType}), part: "missing"},
		"nothing at all":              {types: component.Types{Layer: component.LayerComponent}, part: "exports: none; imports: none"},
		"core":                        {types: coreTypes(pair, pair), want: contract.NameCore},
		"core with an import":         {types: withImport, part: "may not import anything; exports: memory, run; imports: env.abort"},
		"core without memory":         {types: noMemory, part: "exports no memory"},
		"core with a global memory":   {types: memoryIsFunc, part: "exports no memory"},
		"core without run":            {types: component.Types{Layer: component.LayerCore, Exports: coreTypes(pair, pair).Exports[:1]}, part: "no function named run"},
		"core with one result":        {types: coreTypes(pair, pair[:1]), part: "run is (i32, i32) -> (i32), expected (i32, i32) -> (i32, i32)"},
		"core with 64-bit parameters": {types: coreTypes([]string{"i32", "i64"}, pair), part: "run is (i32, i64) -> "},
		"no layer":                    {types: component.Types{}, part: "unknown binary layer"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := contract.Select(c.types)
			if c.want != "" {
				if err != nil || len(got) != 1 || got[0].Name() != c.want || !slices.Equal(got[0].Actions(), []contract.Action{contract.ActStep}) {
					t.Fatalf("got %v, %v; want %s", got, err, c.want)
				}
				return
			}
			var m *contract.Mismatch
			if !errors.As(err, &m) || got != nil || !strings.Contains(err.Error(), c.part) {
				t.Fatalf("got %v, %v; want a Mismatch with %q", got, err, c.part)
			}
		})
	}
}

// The first shape that fits wins, wherever it stands.
func TestSelectAmongVersions(t *testing.T) {
	types := exports("greentic:provision-step/step@2.0.0", fn("run", &component.Func{}))
	types.Exports = append(types.Exports, exports("greentic:provision-step/step@1.0.0", fn("run", run)).Exports...)
	c := pick(t, types, contract.ActStep)
	inst := &instance{call: func(path []string, _ []component.Value) (component.Value, error) {
		return component.Ok(path[0] + " " + path[1]), nil
	}}
	out, err := c.Run(t.Context(), inst, contract.ActStep, nil, 100)
	if err != nil || string(out) != "greentic:provision-step/step@1.0.0 run" {
		t.Errorf("called %q, %v", out, err)
	}
}

func TestMismatchIsBoundedAndEscaped(t *testing.T) {
	types := component.Types{Layer: component.LayerComponent}
	for range 5000 {
		types.Imports = append(types.Imports, component.Item{Name: strings.Repeat("\x1b[2J", 1000), Kind: component.ItemFunc})
	}
	wide := str
	for range 50 {
		wide = &component.Type{Kind: component.Tuple, Fields: []component.Field{{Type: wide}, {Type: wide}}}
	}
	types.Exports = exports("greentic:provision-step/step@1.0.0"+strings.Repeat("\n", 5000),
		fn("run", &component.Func{Params: []component.Field{{Type: wide}}})).Exports
	_, err := contract.Select(types)
	var m *contract.Mismatch
	if !errors.As(err, &m) {
		t.Fatal(err)
	}
	if len(m.Imports) != 33 || m.Imports[32] != "and 4968 more" {
		t.Errorf("%d imports listed, the last %q", len(m.Imports), m.Imports[len(m.Imports)-1])
	}
	if text := err.Error(); len(text) > 64<<10 || strings.ContainsAny(text, "\x1b\n") {
		t.Errorf("%d bytes, starting %q", len(text), text[:200])
	}
}

// instance is a scripted guest.
type instance struct {
	call    func(path []string, args []component.Value) (component.Value, error)
	core    func(in *instance, args []int32) ([]int32, error)
	mem     []byte
	maximum int // bytes; 0 means no growth
	closed  bool
}

func (in *instance) Call(_ context.Context, path []string, args []component.Value) (component.Value, error) {
	return in.call(path, args)
}

func (in *instance) CallCore(_ context.Context, name string, args []int32, results int) ([]int32, error) {
	if name != "run" || results != 2 {
		return nil, fmt.Errorf("called %s for %d results", name, results)
	}
	return in.core(in, args)
}

func (in *instance) Memory(name string) []byte {
	if name != "memory" {
		return nil
	}
	return in.mem
}

// GrowMemory moves the memory, as an engine may.
func (in *instance) GrowMemory(name string, pages uint64) error {
	size := len(in.mem) + int(pages)*65536
	if name != "memory" || size > in.maximum {
		return errors.New("refused")
	}
	in.mem = append(slices.Clone(in.mem), make([]byte, size-len(in.mem))...)
	return nil
}

func (in *instance) Close() { in.closed = true }

// pick gives the contract that an action of a program goes through.
func pick(t testing.TB, types component.Types, action contract.Action) contract.Contract {
	t.Helper()
	all, err := contract.Select(types)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		if slices.Contains(c.Actions(), action) {
			return c
		}
	}
	t.Fatalf("no contract of %v does %s", all, action)
	return nil
}

func TestComponentRun(t *testing.T) {
	c := pick(t, exports("greentic:provision-step/step@1.0.0", fn("run", run)), contract.ActStep)
	trap := &component.Trap{Code: component.TrapUnreachable, Message: "boom"}
	long := strings.Repeat("é", 5000)
	for name, tc := range map[string]struct {
		v    component.Value
		err  error
		want string
		is   func(error) bool
	}{
		"answer":        {v: component.Ok(`{"ok":true}`), want: `{"ok":true}`},
		"empty answer":  {v: component.Ok("")},
		"exactly fits":  {v: component.Ok(strings.Repeat("x", 20)), want: strings.Repeat("x", 20)},
		"too large":     {v: component.Ok(strings.Repeat("x", 21)), is: isErr(contract.OutputLimit{Size: 21, Limit: 20})},
		"not UTF-8":     {v: component.Ok("\xff"), is: guestCode(contract.CodeOutputNotUTF8)},
		"failure":       {v: component.Err([]component.Value{"NO_TOKEN", "give a token"}), is: isErr(contract.GuestError{Code: "NO_TOKEN", Message: "give a token"})},
		"long failure":  {v: component.Err([]component.Value{long, long}), is: isErr(contract.GuestError{Code: contract.CodeTooLong, Message: long[:4096] + "…"})},
		"trap":          {err: trap, is: func(err error) bool { return errors.Is(err, trap) }},
		"engine broken": {v: "text", is: ours},
		"broken ok":     {v: component.Ok(uint8(1)), is: ours},
		"broken err":    {v: component.Err([]component.Value{"one"}), is: ours},
		"broken fields": {v: component.Err([]component.Value{"one", 2}), is: ours},
	} {
		t.Run(name, func(t *testing.T) {
			inst := &instance{call: func(_ []string, args []component.Value) (component.Value, error) {
				if len(args) != 1 || args[0] != `{"step":"collect"}` {
					t.Errorf("called with %q", args)
				}
				return tc.v, tc.err
			}}
			out, err := c.Run(t.Context(), inst, contract.ActStep, []byte(`{"step":"collect"}`), 20)
			check(t, out, err, tc.want, tc.is)
			if inst.closed {
				t.Error("the instance was closed by a borrower")
			}
		})
	}
}

func check(t *testing.T, out []byte, err error, want string, is func(error) bool) {
	t.Helper()
	if is == nil {
		if err != nil || string(out) != want {
			t.Errorf("got %q, %v; want %q", out, err, want)
		}
		return
	}
	if !is(err) || out != nil {
		t.Errorf("got %q, %v (%T)", out, err, err)
	}
}

// isErr matches an error struct by value.
func isErr[T any](want T) func(error) bool {
	return func(err error) bool {
		got, ok := any(err).(interface{ Error() string })
		return ok && fmt.Sprintf("%#v", got) == fmt.Sprintf("%#v", &want)
	}
}

func guestCode(code string) func(error) bool {
	return func(err error) bool {
		var g *contract.GuestError
		return errors.As(err, &g) && g.Code == code
	}
}

// ours says that an error is none of those that blame the guest.
func ours(err error) bool {
	var (
		g *contract.GuestError
		o *contract.OutputLimit
		p *component.Trap
	)
	return err != nil && !errors.As(err, &g) && !errors.As(err, &o) && !errors.As(err, &p)
}

func TestGuestErrorIsEscaped(t *testing.T) {
	e := &contract.GuestError{Code: "X\x1b", Message: "a\nb"}
	if got := e.Error(); got != `X\x1b: a\nb` {
		t.Errorf("%q", got)
	}
	// The longest code keeps its end; the message shows that it was cut.
	e = &contract.GuestError{Code: strings.Repeat("\x1b", 127) + "S", Message: strings.Repeat("m", 4096) + "…"}
	if got := e.Error(); !strings.Contains(got, "S: mm") || !strings.HasSuffix(got, "m…") {
		t.Errorf("%q", got)
	}
}

// echo answers with the request it was given.
func echo(_ *instance, args []int32) ([]int32, error) { return args, nil }

func TestCoreRun(t *testing.T) {
	c := pick(t, coreTypes(pair, pair), contract.ActStep)
	const page = 65536
	big := strings.Repeat("x", page+1)
	trap := &component.Trap{Code: component.TrapStack}
	answer := func(ptr, size uint32) func(*instance, []int32) ([]int32, error) {
		return func(*instance, []int32) ([]int32, error) { return []int32{int32(ptr), int32(size)}, nil }
	}
	for name, tc := range map[string]struct {
		size, maximum int // memory
		request       string
		core          func(*instance, []int32) ([]int32, error)
		want          string
		is            func(error) bool
	}{
		"grown by one page":           {size: page, maximum: 2 * page, request: "hello", core: echo, want: "hello"},
		"grown by two pages":          {size: page, maximum: 3 * page, request: big, core: echo, want: big},
		"memory was empty":            {size: 0, maximum: page, request: "hello", core: echo, want: "hello"},
		"empty request":               {size: page, maximum: 2 * page, core: echo},
		"cannot grow":                 {size: page, request: "hello", core: echo, want: "hello"},
		"cannot grow, just fits":      {size: page, request: big[:page-4096], core: echo, want: big[:page-4096]},
		"cannot grow, does not fit":   {size: page, request: big[:page-4095], is: guestCode(contract.CodeInputDoesNotFit)},
		"no memory at all":            {request: "x", is: guestCode(contract.CodeInputDoesNotFit)},
		"answer at the very end":      {size: page, request: "x", core: answer(page-4, 4), want: "data"},
		"one past the end":            {size: page, request: "x", core: answer(page-4, 5), is: guestCode(contract.CodeOutputOutOfBounds)},
		"far past the end":            {size: page, request: "x", core: answer(0xffffffff, 0xffffffff), is: guestCode(contract.CodeOutputOutOfBounds)},
		"negative pointer":            {size: page, request: "x", core: answer(0x80000000, 4), is: guestCode(contract.CodeOutputOutOfBounds)},
		"negative length":             {size: page, request: "x", core: answer(0, 0xfffffffe), is: guestCode(contract.CodeOutputOutOfBounds)},
		"empty answer at the end":     {size: page, request: "x", core: answer(page, 0)},
		"empty answer past the end":   {size: page, request: "x", core: answer(page+1, 0), is: guestCode(contract.CodeOutputOutOfBounds)},
		"too large":                   {size: 4 * page, request: "x", core: answer(0, 2*page+1), is: isErr(contract.OutputLimit{Size: 2*page + 1, Limit: 2 * page})},
		"not UTF-8":                   {size: page, request: "\xc3x", core: echo, is: guestCode(contract.CodeOutputNotUTF8)},
		"trap":                        {size: page, request: "x", core: func(*instance, []int32) ([]int32, error) { return nil, trap }, is: func(err error) bool { return errors.Is(err, trap) }},
		"engine gave three results":   {size: page, request: "x", core: func(*instance, []int32) ([]int32, error) { return []int32{1, 2, 3}, nil }, is: ours},
		"memory vanished in the call": {size: page, request: "x", core: func(in *instance, _ []int32) ([]int32, error) { in.mem = nil; return []int32{0, 1}, nil }, is: guestCode(contract.CodeOutputOutOfBounds)},
	} {
		t.Run(name, func(t *testing.T) {
			inst := &instance{mem: make([]byte, tc.size), maximum: tc.maximum, core: tc.core}
			if tc.size >= 4 {
				copy(inst.mem[tc.size-4:], "data")
			}
			out, err := c.Run(t.Context(), inst, contract.ActStep, []byte(tc.request), 2*page)
			check(t, out, err, tc.want, tc.is)
		})
	}
}

// The module's own data, also at upstream's offset, is left alone when the
// memory can grow, and the answer is no view into the guest.
func TestCoreRunKeepsDataApart(t *testing.T) {
	c := pick(t, coreTypes(pair, pair), contract.ActStep)
	before := bytes.Repeat([]byte("d"), 65536)
	inst := &instance{mem: slices.Clone(before), maximum: 1 << 20, core: func(in *instance, args []int32) ([]int32, error) {
		if args[0] != 65536 || args[1] != 3 {
			t.Errorf("request at %d with %d bytes", args[0], args[1])
		}
		if !bytes.Equal(in.mem[:65536], before) {
			t.Error("the module's data was overwritten")
		}
		return []int32{0, 4}, nil
	}}
	out, err := c.Run(t.Context(), inst, contract.ActStep, []byte("abc"), 100)
	if err != nil {
		t.Fatal(err)
	}
	copy(inst.mem, "zzzz")
	if string(out) != "dddd" {
		t.Errorf("the answer changed with the guest's memory: %q", out)
	}
}

func FuzzCoreRun(f *testing.F) {
	f.Add([]byte("{}"), uint32(0), uint32(2), uint16(1), uint16(2))
	f.Add([]byte("{}"), uint32(0xffffffff), uint32(0xffffffff), uint16(0), uint16(0))
	f.Fuzz(func(t *testing.T, request []byte, ptr, size uint32, pages, maximum uint16) {
		inst := &instance{mem: make([]byte, int(pages%8)*65536), maximum: int(maximum%16) * 65536,
			core: func(*instance, []int32) ([]int32, error) { return []int32{int32(ptr), int32(size)}, nil }}
		c := pick(t, coreTypes(pair, pair), contract.ActStep)
		out, err := c.Run(t.Context(), inst, contract.ActStep, request, 1000)
		if err != nil && out != nil {
			t.Fatalf("both an answer and an error: %q, %v", out, err)
		}
		if err == nil && (len(out) > 1000 || uint64(ptr)+uint64(size) > uint64(len(inst.mem)) || len(out) != int(size)) {
			t.Fatalf("%d bytes for (%d, %d) of %d", len(out), ptr, size, len(inst.mem))
		}
		if ours(err) {
			t.Fatalf("the guest's doing is called ours: %v", err)
		}
	})
}

func Example() {
	types := component.Types{Layer: component.LayerCore, Exports: []component.Item{
		{Name: "memory", Kind: component.ItemCoreMemory},
		{Name: "run", Kind: component.ItemCoreFunc, Core: &component.CoreFunc{
			Params: []string{"i32", "i32"}, Results: []string{"i32", "i32"}}},
	}}
	contracts, err := contract.Select(types)
	if err != nil {
		fmt.Println(err)
		return
	}
	c := contracts[0]
	// A scripted guest that gives back what it was given.
	inst := &instance{mem: make([]byte, 65536), maximum: 1 << 20, core: echo}
	out, err := c.Run(context.Background(), inst, contract.ActStep, []byte(`{"step":"summary"}`), 1<<20)
	fmt.Println(c.Name(), string(out), err)
	// Output: core-step {"step":"summary"} <nil>
}
