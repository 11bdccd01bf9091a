package plan

import (
	"encoding/json"
	"math"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// TestCanonicalRFC8785 has the examples of RFC 8785: section 3.2.2 (the sample
// of primitive data), section 3.2.3 (sorting), and the numbers of appendix B.
func TestCanonicalRFC8785(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{
			`{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],` +
				`"string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}`,
			`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],` +
				`"string":"€$\u000f\nA'B\"\\\\\"/"}`,
		},
		{
			`{"\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh", "1": "One",` +
				`"\ud83d\ude00": "Emoji: Grinning Face", "\u0080": "Control", "\u00f6": "Latin Small Letter O With Diaeresis"}`,
			"{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u0080\":\"Control\",\"ö\":\"Latin Small Letter O With Diaeresis\"," +
				"\"€\":\"Euro Sign\",\"😀\":\"Emoji: Grinning Face\",\"\ufb33\":\"Hebrew Letter Dalet With Dagesh\"}",
		},
		{`"<script>&"`, `"<script>&"`},
		{"\"\u2028\u007f\"", "\"\u2028\u007f\""},
		{`{"ab":1,"a":2,"":3}`, `{"":3,"a":2,"ab":1}`},
	} {
		if got, err := Canonical(json.RawMessage(tc.in)); err != nil || string(got) != tc.want {
			t.Errorf("%s\n got %s, %v\nwant %s", tc.in, got, err, tc.want)
		}
	}
	for _, tc := range []struct {
		bits uint64
		want string
	}{
		{0x0000000000000000, "0"},
		{0x8000000000000000, "0"},
		{0x0000000000000001, "5e-324"},
		{0x8000000000000001, "-5e-324"},
		{0x7fefffffffffffff, "1.7976931348623157e+308"},
		{0xffefffffffffffff, "-1.7976931348623157e+308"},
		{0x4340000000000000, "9007199254740992"},
		{0xc340000000000000, "-9007199254740992"},
		{0x4430000000000000, "295147905179352830000"},
		{0x44b52d02c7e14af5, "9.999999999999997e+22"},
		{0x44b52d02c7e14af6, "1e+23"},
		{0x44b52d02c7e14af7, "1.0000000000000001e+23"},
		{0x444b1ae4d6e2ef4e, "999999999999999700000"},
		{0x444b1ae4d6e2ef4f, "999999999999999900000"},
		{0x444b1ae4d6e2ef50, "1e+21"},
		{0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7"},
		{0x3eb0c6f7a0b5ed8d, "0.000001"},
		{0x41b3de4355555553, "333333333.3333332"},
		{0x41b3de4355555554, "333333333.33333325"},
		{0x41b3de4355555555, "333333333.3333333"},
		{0x41b3de4355555556, "333333333.3333334"},
		{0x41b3de4355555557, "333333333.33333343"},
		{0xbecbf647612f3696, "-0.0000033333333333333333"},
		{0x43143ff3c1cb0959, "1424953923781206.2"},
	} {
		// With an exponent, so that it is no integer to us.
		in := strconv.FormatFloat(math.Float64frombits(tc.bits), 'e', -1, 64)
		if got, err := Canonical(json.RawMessage(in)); err != nil || string(got) != tc.want {
			t.Errorf("%016x: got %s, %v, want %s", tc.bits, got, err, tc.want)
		}
	}
}

func TestCanonicalKeepsIntegers(t *testing.T) {
	// RFC 8785 would write 9007199254740992 for the first.
	for _, in := range []string{"9007199254740993", "-9223372036854775808", "18446744073709551615"} {
		if got, err := Canonical(json.RawMessage(in)); err != nil || string(got) != in {
			t.Errorf("%s: got %s, %v", in, got, err)
		}
	}
	if got, err := Canonical(json.RawMessage("-0")); err != nil || string(got) != "0" {
		t.Errorf("-0: got %s, %v", got, err)
	}
}

func TestCanonicalRefuses(t *testing.T) {
	deep := json.RawMessage("1")
	for range canonicalDepth + 1 {
		deep = json.RawMessage("[" + string(deep) + "]")
	}
	for _, v := range []any{math.Inf(1), func() {}, json.RawMessage(`{"a":1,"a":2}`), json.RawMessage(`{`), deep} {
		if got, err := Canonical(v); err == nil {
			t.Errorf("got %.80s", got)
		}
	}
}

func TestCanonicalNeedsNoSecondTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc := anyJSON(4).Draw(t, "doc")
		once, err := Canonical(doc)
		if err != nil {
			t.Fatal(err)
		}
		twice, err := Canonical(json.RawMessage(once))
		if err != nil || string(once) != string(twice) {
			t.Fatalf("%s\nbecame\n%s, %v", once, twice, err)
		}
		read, err := Read(once)
		if err != nil || string(read) != string(once) {
			t.Fatalf("%s\nreads as\n%s, %v", once, read, err)
		}
	})
}

// anyJSON draws a value for Canonical.
func anyJSON(depth int) *rapid.Generator[any] {
	scalars := []*rapid.Generator[any]{
		rapid.Just[any](nil),
		rapid.Bool().AsAny(),
		rapid.String().AsAny(),
		rapid.Int64().AsAny(),
		rapid.Uint64().AsAny(),
		rapid.Float64().Filter(func(f float64) bool { return !math.IsInf(f, 0) && !math.IsNaN(f) }).AsAny(),
	}
	if depth == 0 {
		return rapid.OneOf(scalars...)
	}
	inner := rapid.Deferred(func() *rapid.Generator[any] { return anyJSON(depth - 1) })
	return rapid.OneOf(append(scalars,
		rapid.SliceOfN(inner, 0, 4).AsAny(),
		rapid.MapOfN(rapid.String(), inner, 0, 4).AsAny())...)
}

func TestCompareUTF16(t *testing.T) {
	ascending := []string{"", "\r", "1", "a", "aa", "a\u00f6", "b", "\u0080", "\u00f6", "\ud7ff", "\U00010000", "\U0001f600", "\U0001f601", "\U0010ffff", "\ue000", "\ufb33", "\uffff"}
	for i, a := range ascending {
		for j, b := range ascending {
			if got := compareUTF16(a, b); (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%q and %q: got %d", a, b, got)
			}
		}
	}
}

func TestDigest(t *testing.T) {
	// printf '%s' '{"config_patch":{},"notes":[],"oauth_ops":[],"secrets_patch":{"delete":[],"set":{}},"subscription_ops":[],"webhook_ops":[]}' | sha256sum
	const empty = "sha256:50f256debcf4e0eb4b584aaa7994773908b6d14ea93cc94e7c2d9f96c2afc67b"
	if got := Digest(New()); got != empty {
		t.Errorf("got %s", got)
	}
	if got := Digest(Plan{}); got != empty {
		t.Errorf("a plan without anything has another digest: %s", got)
	}
	p := New()
	p.Notes = append(p.Notes, "x")
	if Digest(p) == empty {
		t.Error("a note changes nothing")
	}
	p.ConfigPatch["x"] = json.RawMessage("{")
	if got := Digest(p); got != "" {
		t.Errorf("got %s for what is no JSON", got)
	}
}
