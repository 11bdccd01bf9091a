package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"runtime/metrics"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestRead(t *testing.T) {
	nest := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, tc := range []struct {
		name, in     string
		want         string // "" for an error
		path, reason string
	}{
		{name: "scalar", in: ` "a" `, want: `"a"`},
		{name: "object", in: "{\"b\": 1,\n\"a\": [true, null]}", want: `{"a":[true,null],"b":1}`},
		{name: "most depth", in: nest(MaxDepth), want: nest(MaxDepth)},
		{name: "int64", in: `[-9223372036854775808, 9223372036854775807]`, want: `[-9223372036854775808,9223372036854775807]`},
		{name: "uint64", in: `18446744073709551615`, want: `18446744073709551615`},
		{name: "beyond 64 bits", in: `123456789012345678901234567890`, want: `1.2345678901234568e+29`},
		{name: "zero with exponent", in: `0e999`, want: `0`},
		{name: "empty", in: "", reason: "is empty"},
		{name: "space", in: " \n", reason: "is empty"},
		{name: "two objects", in: `{} {}`, reason: "has more than one value"},
		{name: "two arrays", in: `[][]`, reason: "has more than one value"},
		{name: "two scalars", in: `1 2`, reason: "has more than one value"},
		{name: "trailing comma", in: `[1,]`, reason: "invalid character"},
		{name: "cut", in: `{"a": {"b": [1`, path: "/a/b", reason: "ends too early"},
		{name: "duplicate", in: `{"x": {"a": 1, "\u0061": 2}}`, path: "/x/a", reason: "is a duplicate name"},
		{name: "invalid UTF-8", in: "{\"a\": \"\xff\"}", path: "/a", reason: "UTF-8"},
		{name: "lone surrogate", in: `["\ud800"]`, path: "/0", reason: "surrogate"},
		{name: "too deep", in: nest(MaxDepth + 1), path: strings.Repeat("/0", MaxDepth), reason: "nests deeper than 64"},
		{name: "far too deep", in: strings.Repeat(`{"a":`, 100_000), path: strings.Repeat("/a", MaxDepth), reason: "nests deeper than 64"},
		{name: "overflow", in: `{"n": 1e400}`, path: "/n", reason: "outside the range"},
		{name: "negative overflow", in: `[0, -1e999999999]`, path: "/1", reason: "outside the range"},
		{name: "long integer overflow", in: strings.Repeat("9", 400), reason: "outside the range"},
		{name: "underflow", in: `{"n": 1e-400}`, path: "/n", reason: "too small"},
		{name: "NaN", in: `NaN`, reason: "invalid character"},
		{name: "byte order mark", in: "\ufeff{}", reason: "invalid character"},
		{name: "bad escape", in: `["\q"]`, path: "/0", reason: "has an invalid escape, at byte 2"},
		{name: "name", in: `{1: 2}`, reason: "has a name that is not a string, at byte 1"},
		{name: "delimiters", in: `[}`, path: "/0", reason: "invalid character, at byte 1"},
		{name: "escaped path", in: `{"a/b~c": 1e400}`, path: "/a~1b~0c", reason: "outside"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Read([]byte(tc.in))
			if tc.want != "" {
				if err != nil || string(got) != tc.want {
					t.Fatalf("got %s, %v, want %s", got, err, tc.want)
				}
				return
			}
			j, ok := errors.AsType[*JSONError](err)
			if !ok || got != nil {
				t.Fatalf("got %s, %v", got, err)
			}
			if j.Path != tc.path || !strings.Contains(j.Reason, tc.reason) {
				t.Errorf("got %q: %q, want %q: … %q …", j.Path, j.Reason, tc.path, tc.reason)
			}
		})
	}
}

// TestJSONErrorQuotesNothing puts a secret where the reader stumbles.
func TestJSONErrorQuotesNothing(t *testing.T) {
	for _, in := range []string{`{"a": hunter2}`, `{"a": "x" hunter2}`, `{hunter2: 1}`, `["\uhunter2"]`, `["\hunter2"]`, `hunter2`, `[1 hunter2]`, `["\ud800hunter2"]`, `[thunter2]`, `[1hunter2]`, `{"a" hunter2}`} {
		_, err := Read([]byte(in))
		if j, ok := errors.AsType[*JSONError](err); !ok || strings.ContainsAny(j.Reason, "'`\"") || strings.Contains(j.Reason, "hu") || strings.Contains(j.Reason, "malformed") {
			t.Errorf("%s: %v", in, err)
		}
	}
}

// TestJSONErrorIsBounded: a path is cut between names, for scrubbing does not know
// half a secret.
func TestJSONErrorIsBounded(t *testing.T) {
	long, name := strings.Repeat("é", 100_000), strings.Repeat("n", 100)
	for _, tc := range []struct{ in, want string }{
		{`{"` + long + `": {"last": 1e400}}`, "/(a long name)/last"},
		{`{"a": {"` + long + `": 1e400}}`, "/a/(a long name)"},
		{`{"a": {"` + name + `": {"` + name + `": {"` + name + `": {"last": 1e400}}}}}`, "…/" + name + "/" + name + "/last"},
	} {
		_, err := Read([]byte(tc.in))
		if j, ok := errors.AsType[*JSONError](err); !ok || j.Path != tc.want {
			t.Errorf("got %v, want %s", err, tc.want)
		}
	}
}

func TestReadObject(t *testing.T) {
	if v, err := ReadObject([]byte(`{ }`)); err != nil || string(v) != "{}" {
		t.Errorf("got %s, %v", v, err)
	}
	for in, found := range map[string]string{`[]`: "an array", `"x"`: "a string", `null`: "null", `true`: "a boolean", `-1`: "a number"} {
		_, err := ReadObject([]byte(in))
		if j, ok := errors.AsType[*JSONError](err); !ok || j.Reason != "must be an object, found "+found {
			t.Errorf("%s: got %v", in, err)
		}
	}
}

// allocated is how many bytes f takes, the garbage included.
func allocated(f func()) uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	before := s[0].Value.Uint64()
	f()
	metrics.Read(s)
	return s[0].Value.Uint64() - before
}

// FuzzRead holds the strict reader against encoding/json: what is read has the same
// value there, and canonical is canonical. What is refused and is JSON there is so for
// one of the reasons that make this reader strict.
func FuzzRead(f *testing.F) {
	for _, s := range []string{`{"b":1,"a":[true,null,-0.0,1e21,1e-7,18446744073709551615]}`, `"\ud83d\ude00\u0000\u2028<"`, `{"\u0061":1,"a":2}`, `{"":1,"𐀀":2}`, `[[[[]]]]`, `1e400`, `1E-400`,
		"\"\xff\"", `"\ud800"`, ` [1 , 2] `, `{} {}`, `{"a":`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var got json.RawMessage
		var err error
		// An object is copied into order at each of MaxDepth levels.
		if took := allocated(func() { got, err = Read(b) }); took > uint64(len(b))*(MaxDepth+150)+64<<10 {
			t.Errorf("%d bytes allocate %d", len(b), took)
		}
		var theirs any
		valid := json.Unmarshal(b, &theirs) == nil
		if err != nil {
			j, ok := errors.AsType[*JSONError](err)
			if !ok || got != nil || len(j.Path) > 2*maxPath || strings.ContainsFunc(j.Reason, unicode.IsControl) || len(j.Reason) > 100 {
				t.Fatalf("got %s, %T %v", got, err, err)
			}
			strict := []string{"is a duplicate name", "nests deeper", "is a number too small", "has half of a surrogate pair", "is not UTF-8"}
			if valid && !containsAny(j.Reason, strict) {
				t.Fatalf("%q is refused: %v", b, err)
			}
			return
		}
		var ours any
		if !valid || json.Unmarshal(got, &ours) != nil || !reflect.DeepEqual(ours, theirs) {
			t.Fatalf("%q is read as %s", b, got)
		}
		if !utf8.Valid(got) || depth(ours) > MaxDepth || Tree(got) == nil && string(got) != "null" {
			t.Fatalf("%q is read as %s, %d deep", b, got, depth(ours))
		}
		if again, err := Read(got); err != nil || !bytes.Equal(again, got) {
			t.Fatalf("%s is read as %s, %v", got, again, err)
		}
		if c, err := Canonical(got); err != nil || !bytes.Equal(c, got) {
			t.Fatalf("%s is encoded as %s, %v", got, c, err)
		}
	})
}

func containsAny(s string, parts []string) bool {
	for _, p := range parts {
		if strings.Contains(s, p) {
			return true
		}
	}
	return false
}

// depth is how deep arrays and objects nest.
func depth(v any) int {
	deepest := 0
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			deepest = max(deepest, depth(e))
		}
		return deepest + 1
	case []any:
		for _, e := range v {
			deepest = max(deepest, depth(e))
		}
		return deepest + 1
	}
	return 0
}
