// Package hostile makes text of strangers (names in archives, ids in manifests,
// what libraries say about both) fit to stand in a message of this program: on one
// line, escaped, and cut to a length worth reading. Who prints the message escapes
// it once more for the terminal.
package hostile

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxShown is how much of one text a message repeats, in bytes: a name in a zip
// archive may have 65,535.
const MaxShown = 120

// Quote is %q of at most MaxShown bytes of s.
func Quote(s string) string { return QuoteUpTo(s, MaxShown) }

// QuoteUpTo is %q of at most max bytes of s, with … where it was cut.
func QuoteUpTo(s string, max int) string {
	if len(s) <= max {
		return strconv.Quote(s)
	}
	return strconv.Quote(Cut(s, max)) + "…"
}

// QuoteAll quotes names, at most eight of them.
func QuoteAll(names []string) string {
	const most = 8
	var b strings.Builder
	for i, n := range names {
		if i == most {
			fmt.Fprintf(&b, " and %d more", len(names)-most)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(Quote(n))
	}
	return b.String()
}

// Escape makes a text without quotes around it, of about max bytes.
func Escape(s string, max int) string {
	var b strings.Builder
	for _, r := range s {
		if b.Len() >= max {
			b.WriteString("…")
			break
		}
		if unicode.IsGraphic(r) && r != utf8.RuneError {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}

// Error is Escape for the text of a library's error: such texts repeat parts of
// the document.
func Error(err error) string { return Escape(err.Error(), 2*MaxShown) }

// Clip is Cut, with … where it was cut.
func Clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return Cut(s, n) + "…"
}

// Cut gives the first n bytes of s or a few less: it does not cut characters.
func Cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
