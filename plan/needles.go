package plan

import (
	"slices"
	"strings"
)

// needles are texts to look for, each with whether it is the middle of base64
// text.
type needles map[string]bool

// add adds a text, in pieces where it is longer than window.
func (ns needles) add(text string, base64 bool) {
	for len(text) > window {
		ns[text[:window]] = ns[text[:window]] || base64
		// The last piece overlaps the one before it, so that all have full length.
		text = text[min(window, len(text)-window):]
	}
	ns[text] = ns[text] || base64
}

// index finds many needles in one pass.
type index struct {
	needles []needle        // sorted by text, so that a prefix stands before what it begins
	starts  [1 << 13]uint64 // set of the hashes of the first minScrub bytes
}

// needle is a text to look for. parent is the index of the longest other needle
// that it begins with, or -1.
type needle struct {
	text   string
	parent int
	// base64 says that it, or a needle that it begins with, is the middle of
	// base64 text; characters around it belong to the value too.
	base64 bool
}

func (ns needles) index() *index {
	x := &index{}
	for text, base64 := range ns {
		x.needles = append(x.needles, needle{text: text, base64: base64, parent: -1})
	}
	slices.SortFunc(x.needles, func(a, b needle) int { return strings.Compare(a.text, b.text) })
	var prefixes []int // needles that the current one may begin with, shortest first
	for i := range x.needles {
		n := &x.needles[i]
		for len(prefixes) > 0 && !strings.HasPrefix(n.text, x.needles[prefixes[len(prefixes)-1]].text) {
			prefixes = prefixes[:len(prefixes)-1]
		}
		if len(prefixes) > 0 {
			n.parent = prefixes[len(prefixes)-1]
			n.base64 = n.base64 || x.needles[n.parent].base64
		}
		prefixes = append(prefixes, i)
		h := startHash(n.text)
		x.starts[h/64] |= 1 << (h % 64)
	}
	return x
}

// startHash maps the first minScrub bytes of a text to a bit of index.starts.
func startHash(s string) uint32 {
	x := uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
	return x * 2654435761 >> (32 - 19)
}

// find gives the spans of all needles, sorted by start; they may overlap. cut says
// that the end of text is missing: then the beginning of a needle there counts.
func (x *index) find(text string, cut bool) []span {
	if len(x.needles) == 0 {
		return nil
	}
	var spans []span
	runEnd := 0 // end of the last stretch of base64 that was withheld
	for i := 0; i+minScrub <= len(text); i++ {
		if h := startHash(text[i:]); x.starts[h/64]&(1<<(h%64)) == 0 {
			continue
		}
		n := x.longest(text[i:])
		if n == nil {
			continue
		}
		sp := span{i, i + len(n.text)}
		if n.base64 && i >= runEnd {
			for sp.start > 0 && isBase64(text[sp.start-1]) {
				sp.start--
			}
			for runEnd = i; runEnd < len(text) && isBase64(text[runEnd]); runEnd++ {
			}
			for runEnd < len(text) && text[runEnd] == '=' {
				runEnd++
			}
			sp.end = max(sp.end, runEnd)
		}
		spans = append(spans, sp)
	}
	for i := max(0, len(text)-window); cut && i+minScrub <= len(text); i++ {
		at, _ := x.search(text[i:])
		if at < len(x.needles) && strings.HasPrefix(x.needles[at].text, text[i:]) {
			return append(spans, span{i, len(text)})
		}
	}
	return spans
}

// longest gives the longest needle that text begins with, or nil.
//
// Every needle that text begins with is the greatest needle that is not greater
// than text, or one that this begins with: whatever sorts between a prefix of
// text and text begins with that prefix.
func (x *index) longest(text string) *needle {
	text = text[:min(len(text), window)]
	at, found := x.search(text)
	if !found {
		at--
	}
	if at < 0 {
		return nil
	}
	common := 0
	for n := x.needles[at].text; common < len(n) && common < len(text) && n[common] == text[common]; {
		common++
	}
	for at >= 0 && len(x.needles[at].text) > common {
		at = x.needles[at].parent
	}
	if at < 0 {
		return nil
	}
	return &x.needles[at]
}

// search gives the place of the first needle that is not less than text.
func (x *index) search(text string) (int, bool) {
	return slices.BinarySearchFunc(x.needles, text, func(n needle, t string) int { return strings.Compare(n.text, t) })
}

func isBase64(c byte) bool {
	return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' ||
		c == '+' || c == '/' || c == '-' || c == '_'
}
