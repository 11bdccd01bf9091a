package plan

import (
	"errors"
	"strings"
	"testing"
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

func TestJSONErrorIsBounded(t *testing.T) {
	name := strings.Repeat("é", 100_000)
	_, err := Read([]byte(`{"` + name + `": {"last": 1e400}}`))
	j, ok := errors.AsType[*JSONError](err)
	if !ok {
		t.Fatal(err)
	}
	if len(j.Error()) > 512 || !strings.HasSuffix(j.Path, "é/last") || !utf8.ValidString(j.Path) {
		t.Errorf("%d bytes: %s", len(j.Error()), j)
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
