package render

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text makes hostile text fit for a terminal and for one line of it: line
// breaks, escape sequences, other control characters, bidirectional overrides,
// invisible and private characters and invalid UTF-8 become visible escapes
// (\n, \x1b, \u202e, \xff), and a backslash is doubled so that an escape cannot
// be faked. What is left is printable, in whatever script it was written. Text
// that would take more than max columns is cut, and says by how many characters.
func Text(s string, max int) string { return escape(s, max, true) }

// JSON is Text for a JSON value: the escapes are JSON's own and backslashes,
// which JSON already escapes, stay as they are, so the line is still JSON unless
// it was cut.
func JSON(raw []byte, max int) string { return escape(string(raw), max, false) }

// Line is Text for a message of this program that has already quoted what it
// repeats: escapes in it stay as they are.
func Line(s string, max int) string { return escape(s, max, false) }

func escape(s string, limit int, text bool) string {
	var b strings.Builder
	used := 0
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		var piece string
		switch {
		case r == utf8.RuneError && size == 1:
			piece = fmt.Sprintf(`\x%02x`, s[i])
		case r == '\\' && text:
			piece = `\\`
		case strconv.IsPrint(r) && !unicode.In(r, unseen...): // no control, format, surrogate or private characters; of the spaces, U+0020 only
			piece = s[i : i+size]
		case text:
			q := strconv.QuoteRuneToASCII(r)
			piece = q[1 : len(q)-1]
		case r > 0xffff:
			piece = fmt.Sprintf(`\u%04x\u%04x`, 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff)
		default:
			piece = fmt.Sprintf(`\u%04x`, r)
		}
		// A combining mark takes no column, but a thousand of them on one letter
		// would fill the screen, so here it counts.
		if used += max(1, columns(piece)); used > limit {
			return b.String() + fmt.Sprintf("… (+%d characters)", utf8.RuneCountInString(s[i:]))
		}
		b.WriteString(piece)
		i += size
	}
	return b.String()
}

// unseen are characters that count as printable and show nothing: fillers, variation
// selectors, and the empty Braille cell. Text that differs only by these would look
// the same.
var unseen = []*unicode.RangeTable{unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector,
	{R16: []unicode.Range16{{Lo: 0x2800, Hi: 0x2800, Stride: 1}}}}

// wide are the ranges of characters that take two columns (East Asian Width W
// and F of Unicode TR 11, rounded to blocks). A terminal may disagree about rare
// ones; then a line is a little long, which does no harm.
var wide = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x1100, Hi: 0x115f, Stride: 1}, {Lo: 0x2e80, Hi: 0x303e, Stride: 1}, {Lo: 0x3041, Hi: 0x4dbf, Stride: 1},
		{Lo: 0x4e00, Hi: 0xa4cf, Stride: 1}, {Lo: 0xa960, Hi: 0xa97f, Stride: 1}, {Lo: 0xac00, Hi: 0xd7a3, Stride: 1},
		{Lo: 0xf900, Hi: 0xfaff, Stride: 1}, {Lo: 0xfe30, Hi: 0xfe6f, Stride: 1}, {Lo: 0xff00, Hi: 0xff60, Stride: 1},
		{Lo: 0xffe0, Hi: 0xffe6, Stride: 1},
	},
	R32: []unicode.Range32{{Lo: 0x1f300, Hi: 0x1f64f, Stride: 1}, {Lo: 0x1f680, Hi: 0x1f6ff, Stride: 1},
		{Lo: 0x1f900, Hi: 0x1f9ff, Stride: 1}, {Lo: 0x20000, Hi: 0x3fffd, Stride: 1}},
}

// columns is how many columns of a terminal printable text takes.
func columns(s string) int {
	n := 0
	for _, r := range s {
		n += runeColumns(r)
	}
	return n
}

func runeColumns(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case unicode.Is(wide, r):
		return 2
	}
	return 1
}

// wrap breaks printable text into lines of at most width columns, between words
// where it can.
func wrap(s string, width int) []string {
	var lines []string
	for {
		end, space, used := len(s), -1, 0
		for i, r := range s {
			if used += runeColumns(r); used > width {
				if r == ' ' { // the line is full to the last column, and a word ends there
					space = i
				}
				end = i
				break
			}
			if r == ' ' && used > width/2 {
				space = i
			}
		}
		if end == len(s) {
			return append(lines, s)
		}
		if end == 0 { // a single character wider than the line
			_, end = utf8.DecodeRuneInString(s)
		}
		if space > 0 {
			end = space
		}
		lines = append(lines, s[:end])
		if s = strings.TrimPrefix(s[end:], " "); s == "" {
			return lines
		}
	}
}
