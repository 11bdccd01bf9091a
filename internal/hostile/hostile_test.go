package hostile_test

import (
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
)

func TestTextsAreOneBoundedPrintableLine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 0, 600).Draw(t, "bytes")
		s := string(b) + rapid.StringN(0, 300, -1).Draw(t, "text")
		for name, got := range map[string]string{
			"Quote": hostile.Quote(s), "QuoteAll": hostile.QuoteAll([]string{s, s, s, s, s, s, s, s, s, s}),
			"Escape": hostile.Escape(s, 100), "Error": hostile.Error(errors.New(s)),
		} {
			if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsGraphic(r) }) {
				t.Fatalf("%s(%q) = %q", name, s, got)
			}
			if len(got) > 8*10*hostile.MaxShown+100 { // an escape has ten bytes at most
				t.Fatalf("%s gives %d bytes", name, len(got))
			}
		}
		if n := rapid.IntRange(0, 200).Draw(t, "n"); utf8.ValidString(s) && (len(hostile.Cut(s, n)) > n || !utf8.ValidString(hostile.Cut(s, n)) || !strings.HasPrefix(s, hostile.Cut(s, n))) {
			t.Fatalf("Cut(%q, %d) = %q", s, n, hostile.Cut(s, n))
		}
	})
}

func TestCutsAreMarked(t *testing.T) {
	long := strings.Repeat("é", 200)
	for name, got := range map[string]string{
		"Quote": hostile.Quote(long), "Escape": hostile.Escape(long, 20), "QuoteAll": hostile.QuoteAll([]string{long}),
		"Clip": hostile.Clip(long, 21),
	} {
		if !strings.HasSuffix(got, "…") {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := hostile.QuoteAll(make([]string, 11)); !strings.HasSuffix(got, ` and 3 more`) {
		t.Error(got)
	}
	if got := hostile.Quote("short"); got != `"short"` {
		t.Error(got)
	}
}
