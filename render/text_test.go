package render

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestText(t *testing.T) {
	for _, c := range []struct {
		name, in string
		max      int
		want     string
	}{
		{"plain", "region = eu-west-1", 40, "region = eu-west-1"},
		{"scripts stay readable", "Zürich 東京 Κως", 40, "Zürich 東京 Κως"},
		{"ESC", "a\x1b[31mred\x1b[0m", 40, `a\x1b[31mred\x1b[0m`},
		{"C1 CSI", "a\u009b31m", 40, `a\u009b31m`},
		{"line breaks", "ok\r\nexit 0", 40, `ok\r\nexit 0`},
		{"NUL, BEL, BS, DEL", "\x00\a\b\x7f", 40, `\x00\a\b\x7f`},
		{"bidi override", "exe.\u202egnp", 40, `exe.\u202egnp`},
		{"bidi isolate", "\u2066x\u2069", 40, `\u2066x\u2069`},
		{"zero width", "a\u200bb\ufeff", 40, `a\u200bb\ufeff`},
		{"line separator", "a\u2028b", 40, `a\u2028b`},
		{"tag characters", "a\U000e0041", 40, `a\U000e0041`},
		{"private use", "\ue000", 40, `\ue000`},
		{"fillers", "\u115f\u1160\u3164\uffa0\u17b4\u17b5\u034f\u2800", 60, `\u115f\u1160\u3164\uffa0\u17b4\u17b5\u034f\u2800`},
		{"variation selectors", "a\ufe0f\U000e0100\u180b", 40, `a\ufe0f\U000e0100\u180b`},
		{"invalid UTF-8", "a\xff\xc3", 40, `a\xff\xc3`},
		{"encoded surrogate", "\xed\xa0\x80", 40, `\xed\xa0\x80`},
		{"faked escape", `a\x1b`, 40, `a\\x1b`},
		{"cut", "abcdef", 4, "abcd… (+2 characters)"},
		{"cut counts characters", "ééééé", 4, "éééé… (+1 characters)"},
		{"cut counts columns", "東京都", 5, "東京… (+1 characters)"},
		{"cut counts what an escape takes", "\x1b\x1b", 7, `\x1b… (+1 characters)`},
		{"cut counts combining marks", "e\u0301\u0301\u0301", 2, "e\u0301… (+2 characters)"},
		{"not cut at the limit", "abcd", 4, "abcd"},
		{"empty", "", 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Text(c.in, c.max); got != c.want {
				t.Errorf("Text(%q) = %q, want %q", c.in, got, c.want)
			}
		})
	}
}

func TestJSONStaysJSON(t *testing.T) {
	for _, s := range []string{"plain", "\u202e", "\U000e0041", "a\\b\n\x7f", "\u009b", "\u3164\U000e0100"} {
		raw, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		shown := JSON(raw, 100)
		var back string
		if err := json.Unmarshal([]byte(shown), &back); err != nil || back != s {
			t.Errorf("%q is shown as %s, which reads as %q (%v)", s, shown, back, err)
		}
	}
}

// FuzzText: whatever comes in, a terminal sees printable characters and spaces
// only, and not many more than were asked for.
func FuzzText(f *testing.F) {
	for _, s := range []string{"", "a", "\x1b]0;title\a", "\u202e", "\xff\xfe", `\`, strings.Repeat("x", 300)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for name, got := range map[string]string{"Text": Text(s, 50), "JSON": JSON([]byte(s), 50)} {
			if !utf8.ValidString(got) {
				t.Fatalf("%s(%q) is not UTF-8: %q", name, s, got)
			}
			for _, r := range got {
				if !unicode.IsPrint(r) || unicode.In(r, unseen...) {
					t.Fatalf("%s(%q) has %U", name, s, r)
				}
			}
			if n := columns(got); n > 50+len("… (+12345678 characters)") {
				t.Fatalf("%s(%q) takes %d columns", name, s, n)
			}
		}
	})
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		in    string
		width int
		want  []string
	}{
		{"", 5, []string{""}},
		{"one two three", 20, []string{"one two three"}},
		{"one two three", 8, []string{"one two", "three"}},
		{"one two", 3, []string{"one", "two"}},
		{"abcdefghij", 4, []string{"abcd", "efgh", "ij"}},
		{"one two", 7, []string{"one two"}},
		{"abcd ef", 4, []string{"abcd", "ef"}},
		{"東京都庁", 5, []string{"東京", "都庁"}},
		{"東", 1, []string{"東"}},
		{"東京", 1, []string{"東", "京"}},
		{"a abcdefghij", 4, []string{"a ab", "cdef", "ghij"}},
	} {
		if got := wrap(c.in, c.width); fmt.Sprint(got) != fmt.Sprint(c.want) || len(got) != len(c.want) {
			t.Errorf("wrap(%q, %d) = %q, want %q", c.in, c.width, got, c.want)
		}
	}
}
