// Package render writes what a run or a pack is about for people to read. It is
// pure: values in, text out, the same text for the same values. Everything that
// a pack or a guest can have written goes through Text or JSON, so a hostile
// pack cannot move the cursor, hide a line or imitate one of ours.
//
// Lines fit 80 columns. Words that do not are broken and indented: left to the
// terminal, they would go on at its left edge, where our own lines begin.
package render

import "strings"

// width is what a line should fit, on a terminal or not: a plan is quoted in
// mails and tickets, and must not depend on the window it was made in.
const width = 80

// Style says how text is emphasised.
type Style struct {
	// Color turns on the ANSI colours of the terminal's own theme.
	Color bool
}

// The few emphases there are. Colours carry no meaning alone: the word is
// always there too.
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

// paint wraps s, which must already be fit for a terminal, in the given codes.
func (s Style) paint(text string, codes ...string) string {
	if !s.Color || text == "" {
		return text
	}
	return "\x1b[" + strings.Join(codes, ";") + "m" + text + "\x1b[0m"
}
