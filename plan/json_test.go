package plan

import (
	"errors"
	"strings"
	"testing"
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
