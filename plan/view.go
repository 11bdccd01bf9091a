package plan

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// view is a text with its escapes read back. Looking for a value there finds it in
// every style of escaping, where a list of styles would always lack one.
type view struct {
	text string
	at   []int // where each byte of text begins in the original; then its end
}

// readBack makes a view. read is given the text from a mark on and gives what the
// escape there means and how long it is: 0 for none, -1 for one that the end of
// the text cuts short, which ends the view.
func readBack(original string, mark byte, read func(string) (string, int)) view {
	var b strings.Builder
	v := view{at: make([]int, 0, len(original)+1)}
	for i := 0; i < len(original); {
		meaning, n := original[i:i+1], 1
		if original[i] == mark {
			if m, size := read(original[i:]); size < 0 {
				break
			} else if size > 0 {
				meaning, n = m, size
			}
		}
		for range len(meaning) {
			v.at = append(v.at, i)
		}
		b.WriteString(meaning)
		i += n
	}
	v.text, v.at = b.String(), append(v.at, len(original))
	return v
}

// origin gives the stretch of the original that a span of the view came from,
// escapes whole.
func (v view) origin(sp span) span {
	end := sp.end
	for end < len(v.text) && v.at[end] == v.at[sp.end-1] {
		end++
	}
	return span{v.at[sp.start], v.at[end]}
}

// percentEscape reads %2F.
func percentEscape(s string) (string, int) { return hexEscape(s, 1, 2) }

// backslashEscape reads what JSON, Go and JavaScript write into strings.
func backslashEscape(s string) (string, int) {
	if len(s) < 2 {
		return "", -1
	}
	switch c := s[1]; c {
	case '"', '\'', '\\', '/':
		return s[1:2], 2
	case 'x':
		return hexEscape(s, 2, 2)
	case 'u':
		return unicodeEscape(s)
	case 'U':
		return runeEscape(s, 8)
	default:
		if i := strings.IndexByte("abfnrtv", c); i >= 0 {
			return "\a\b\f\n\r\t\v"[i : i+1], 2
		}
	}
	return "", 0
}

// unicodeEscape reads \u00e9, and two of them that are a surrogate pair.
func unicodeEscape(s string) (string, int) {
	hi, n := hexNumber(s, 2, 4)
	if n <= 0 || !utf16.IsSurrogate(rune(hi)) {
		return runeEscape(s, 4)
	}
	if rest := s[n:]; strings.HasPrefix(rest, `\u`) {
		if lo, m := hexNumber(rest, 2, 4); m < 0 {
			return "", -1
		} else if r := utf16.DecodeRune(rune(hi), rune(lo)); m > 0 && r != utf8.RuneError {
			return string(r), n + m
		}
	} else if rest == "" || rest == `\` {
		return "", -1
	}
	return string(utf8.RuneError), n
}

func runeEscape(s string, digits int) (string, int) {
	r, n := hexNumber(s, 2, digits)
	if n <= 0 {
		return "", n
	}
	return string(rune(min(r, utf8.MaxRune+1))), n
}

// hexEscape reads one byte.
func hexEscape(s string, start, digits int) (string, int) {
	b, n := hexNumber(s, start, digits)
	if n <= 0 {
		return "", n
	}
	return string([]byte{byte(b)}), n
}

// hexNumber reads digits from start on; the second result is where they end.
func hexNumber(s string, start, digits int) (uint64, int) {
	if len(s) < start+digits {
		// Only the end of the text can make an escape short; anything else makes none.
		if _, err := strconv.ParseUint("0"+s[min(start, len(s)):], 16, 64); err == nil {
			return 0, -1
		}
		return 0, 0
	}
	n, err := strconv.ParseUint(s[start:start+digits], 16, 64)
	if err != nil {
		return 0, 0
	}
	return n, start + digits
}

// lowerASCII lowers A to Z, byte for byte.
func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] += 'a' - 'A'
		}
	}
	return string(b)
}
