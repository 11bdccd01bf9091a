package component

import (
	"strings"
	"testing"
)

// wide is a type whose tree has 3^depth leaves, although it is only depth+1
// values: the shape a hostile binary uses.
func wide(depth int) *Type {
	t := &Type{Kind: U8}
	for range depth {
		t = &Type{Kind: Tuple, Fields: []Field{{Type: t}, {Type: t}, {Type: t}}}
	}
	return t
}

func TestNotation(t *testing.T) {
	str := &Type{Kind: String}
	f := &Func{
		Params: []Field{
			{Name: "a", Type: &Type{Kind: List, Elem: &Type{Kind: U8}}},
			{Name: "b", Type: &Type{Kind: Tuple, Fields: []Field{{Type: str}, {Type: &Type{Kind: Borrow}}}}},
			{Name: "c", Type: &Type{Kind: Enum, Labels: []string{"x", "y"}}},
		},
		Result: &Type{Kind: Result,
			Ok: &Type{Kind: Option, Elem: &Type{Kind: Own}},
			Err: &Type{Kind: Variant, Fields: []Field{
				{Name: "closed"},
				{Name: "failed", Type: &Type{Kind: Record, Fields: []Field{{Name: "code", Type: str}, {Name: "n", Type: &Type{Kind: S64}}}}},
			}},
		},
	}
	const want = "func(list<u8>, tuple<string, borrow>, enum {x, y}) -> " +
		"result<option<own>, variant {closed, failed(record {code: string, n: s64})}>"
	if got := f.String(); got != want {
		t.Errorf("String:\n got %s\nwant %s", got, want)
	}
	if !f.Is(want) {
		t.Error("Is(String()) is false")
	}
	for _, other := range []string{"", want[:len(want)-1], want + " ", "func()", strings.Replace(want, "s64", "u64", 1)} {
		if f.Is(other) {
			t.Errorf("Is(%q) is true", other)
		}
	}
	if got := (&Func{Params: []Field{{Type: str}}}).String(); got != "func(string)" {
		t.Errorf("without result: %s", got)
	}
}

func TestNotationStopsEarly(t *testing.T) {
	f := &Func{Params: []Field{{Type: wide(60)}}} // 3^60 leaves: finishes only when cut short
	if f.Is("func(string)") {
		t.Error("matched")
	}
	if got := f.Abbreviate(40); len(got) != 40+len("…") || !strings.HasPrefix(got, "func(tuple<") {
		t.Errorf("Abbreviate gave %d bytes: %s", len(got), got)
	}
}

func TestQuote(t *testing.T) {
	for _, c := range []struct {
		in   string
		max  int
		want string
	}{
		{"plain-name", 20, "plain-name"},
		{`say "hi" \ there`, 20, `say "hi" \\ there`},
		{"a\x1b[31mb\n", 20, `a\x1b[31mb\n`},
		{"\u202egnp.exe", 20, `\u202egnp.exe`},
		{"\xff", 20, `\xff`},
		{"abcdef", 3, "abc…"},
		{"aéé", 2, "a…"},
		{"", 0, ""},
	} {
		if got := Quote(c.in, c.max); got != c.want {
			t.Errorf("Quote(%q, %d) = %q, want %q", c.in, c.max, got, c.want)
		}
	}
}

func TestSupported(t *testing.T) {
	bad := &Type{}
	for name, c := range map[string]struct {
		f    Func
		want bool
	}{
		"nothing":       {Func{}, true},
		"plain":         {Func{Params: []Field{{Type: &Type{Kind: List, Elem: &Type{Kind: U8}}}}, Result: &Type{Kind: Result}}, true},
		"parameter":     {Func{Params: []Field{{Type: bad}}}, false},
		"result":        {Func{Result: bad}, false},
		"in a list":     {Func{Result: &Type{Kind: List, Elem: bad}}, false},
		"in an ok":      {Func{Result: &Type{Kind: Result, Ok: bad}}, false},
		"in an err":     {Func{Result: &Type{Kind: Result, Err: bad}}, false},
		"in a record":   {Func{Result: &Type{Kind: Record, Fields: []Field{{Name: "a", Type: &Type{Kind: U8}}, {Name: "b", Type: bad}}}}, false},
		"large":         {Func{Result: wide(9)}, true},
		"too large":     {Func{Result: wide(60)}, false},
		"label by name": {Func{Result: &Type{Kind: Enum, Labels: []string{"unsupported"}}}, true},
	} {
		if got := c.f.Supported(); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
