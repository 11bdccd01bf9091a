package plan

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Withheld stands where a secret stood.
const Withheld = "[redacted]"

const (
	// minScrub is the length in bytes from which a value is looked for inside of
	// other text. Shorter ones occur everywhere by chance; they are only taken out
	// where a whole string equals them.
	minScrub = 4
	// minEmbedded is the length from which a value is looked for inside of longer
	// base64 text, where it leaves fewer characters of its own.
	minEmbedded = 8
	// minLine is the length from which single lines of a value are looked for: a
	// key in PEM form is logged line by line.
	minLine = 16
	// window is the most of a value that is looked for at once; a longer one is
	// looked for in pieces. It bounds the work for each byte of text, and finds
	// long values also where only a part of them was printed.
	window = 256
)

// Scrubber takes known secret values out of text. Each stretch of text that any
// form of any value covers becomes Withheld, once.
//
// The forms of a value: itself; with its surrounding space trimmed; each of its
// longer lines; as text, if it is not UTF-8; as the content of a JSON string, in
// four styles of escaping; as Go quotes it; percent-encoded; hexadecimal; base64 in the standard and the URL alphabet, also
// when it is a part of what was encoded (as in "user:password").
//
// What it does not find: values of fewer than 4 bytes inside of longer text,
// pieces of a value that are shorter than it, and values that were transformed in
// another way (reversed, hashed, encrypted, encoded twice). A guest that wants
// to leak a secret into a plan can do so by transforming it; the Scrubber is
// against accidents and plain copies. What keeps a hostile guest from learning
// secrets is not granting it any.
//
// A Scrubber is immutable and safe for concurrent use.
type Scrubber struct {
	needles []needle        // sorted by text, so that a prefix stands before what it begins
	starts  [1 << 13]uint64 // set of the hashes of the first minScrub bytes
	whole   map[string]bool // short values
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

// NewScrubber makes a Scrubber for values. Left out are empty ones and those that
// Withheld itself contains: taking these out would put them back.
func NewScrubber(values ...string) *Scrubber {
	s := &Scrubber{whole: map[string]bool{}}
	set := map[string]bool{} // needle → base64
	add := func(text string, base64 bool) {
		for len(text) > window {
			set[text[:window]] = set[text[:window]] || base64
			// The last piece overlaps the one before it, so that all have full length.
			text = text[min(window, len(text)-window):]
		}
		set[text] = set[text] || base64
	}
	for _, v := range distinct(values) {
		if len(v) < minScrub {
			s.whole[v] = true
			continue
		}
		for _, form := range forms(v) {
			add(form, false)
		}
		for _, middle := range base64Middles(v) {
			add(middle, true)
		}
	}
	for text, base64 := range set {
		s.needles = append(s.needles, needle{text: text, base64: base64, parent: -1})
	}
	slices.SortFunc(s.needles, func(a, b needle) int { return strings.Compare(a.text, b.text) })
	var prefixes []int // needles that the current one may begin with, shortest first
	for i := range s.needles {
		n := &s.needles[i]
		for len(prefixes) > 0 && !strings.HasPrefix(n.text, s.needles[prefixes[len(prefixes)-1]].text) {
			prefixes = prefixes[:len(prefixes)-1]
		}
		if len(prefixes) > 0 {
			n.parent = prefixes[len(prefixes)-1]
			n.base64 = n.base64 || s.needles[n.parent].base64
		}
		prefixes = append(prefixes, i)
		h := startHash(n.text)
		s.starts[h/64] |= 1 << (h % 64)
	}
	return s
}

// distinct gives the values to look for: each once, trimmed and in lines too.
func distinct(values []string) []string {
	seen := map[string]bool{}
	var list []string
	add := func(v string) {
		if !seen[v] && !strings.Contains(Withheld, v) {
			seen[v] = true
			list = append(list, v)
		}
	}
	for _, v := range values {
		add(v)
		add(strings.TrimSpace(v))
		if strings.ContainsAny(v, "\r\n") {
			for line := range strings.FieldsFuncSeq(v, func(r rune) bool { return r == '\r' || r == '\n' }) {
				if line = strings.TrimSpace(line); len(line) >= minLine {
					add(line)
				}
			}
		}
	}
	return list
}

// forms gives a value as it may be written in text, itself first.
func forms(v string) []string {
	list := []string{v, hex.EncodeToString([]byte(v)), strings.ToUpper(hex.EncodeToString([]byte(v))),
		url.QueryEscape(v), url.PathEscape(v)}
	// As JSON: the fewest escapes, Go's (HTML-safe), with escaped slashes, and
	// ASCII only. Inside of a longer JSON string; hence without quotes.
	quoted, err := jsontext.AppendQuote(nil, v)
	if err == nil {
		minimal := string(quoted[1 : len(quoted)-1])
		list = append(list, minimal, strings.ReplaceAll(minimal, "/", `\/`), asciiJSON(minimal))
	}
	if html, err := json.Marshal(v); err == nil {
		list = append(list, string(html[1:len(html)-1]))
	}
	if !utf8.ValidString(v) {
		// Text cannot hold it. What programs make of it when they try: one
		// replacement character for each bad byte, or for each run of them.
		list = append(list, string([]rune(v)), strings.ToValidUTF8(v, "\ufffd"))
	}
	// As Go quotes it: details of failures are shown so.
	ascii := strconv.QuoteToASCII(v)
	ascii = ascii[1 : len(ascii)-1]
	list = append(list, ascii, strings.ReplaceAll(ascii, `\"`, `"`))
	for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		list = append(list, e.EncodeToString([]byte(v)))
	}
	return list
}

// asciiJSON escapes what is not ASCII in the content of a JSON string.
func asciiJSON(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r < utf8.RuneSelf:
			b.WriteRune(r)
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, hi, lo)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// base64Middles gives what base64 text must contain when the value is a part of
// what it encodes: for each of the three ways in which the value can lie in
// groups of three bytes, the characters that it alone decides.
func base64Middles(v string) []string {
	if len(v) < minEmbedded {
		return nil
	}
	var list []string
	for skip := range 3 {
		groups := []byte(v[skip:])
		groups = groups[:len(groups)/3*3]
		list = append(list, base64.RawStdEncoding.EncodeToString(groups), base64.RawURLEncoding.EncodeToString(groups))
	}
	return list
}

// startHash maps the first minScrub bytes of a text to a bit of Scrubber.starts.
func startHash(s string) uint32 {
	x := uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
	return x * 2654435761 >> (32 - 19)
}

// Scrub gives text without secrets.
func (s *Scrubber) Scrub(text string) string {
	if s.whole[text] {
		return Withheld
	}
	return s.replace(text, s.find(text))
}

// ScrubCut is Scrub for text that may have been cut at its end, with or without
// "…" to show it: the beginning of a secret there, of minScrub bytes or more, is
// taken out as well.
func (s *Scrubber) ScrubCut(text string) string {
	if s.whole[text] {
		return Withheld
	}
	spans := s.find(text)
	end := len(strings.TrimSuffix(text, "…"))
	for i := max(0, end-window); i+minScrub <= end; i++ {
		rest := text[i:end]
		at, _ := slices.BinarySearchFunc(s.needles, rest, func(n needle, t string) int { return strings.Compare(n.text, t) })
		if at < len(s.needles) && strings.HasPrefix(s.needles[at].text, rest) {
			spans = append(spans, span{i, end})
			break
		}
	}
	return s.replace(text, spans)
}

// ScrubJSON gives a JSON value without secrets, in canonical form. Strings and
// the names of members are scrubbed as what they mean, however they are escaped.
// A number in whose text a secret stands becomes the string Withheld. Members
// whose names become the same are numbered.
//
// Nil stays nil. The value must have come from Read or Canonical; what is not
// JSON is withheld as a whole.
func (s *Scrubber) ScrubJSON(v json.RawMessage) json.RawMessage {
	if v == nil {
		return nil
	}
	d := jsontext.NewDecoder(bytes.NewReader(v))
	out, err := s.scrubValue(nil, d)
	if err == nil {
		out, err = canonicalize(out, canonicalDepth)
	}
	if err != nil {
		return json.RawMessage(`"` + Withheld + `"`)
	}
	return out
}

func (s *Scrubber) scrubValue(out []byte, d *jsontext.Decoder) ([]byte, error) {
	t, err := d.ReadToken()
	if err != nil {
		return nil, err
	}
	switch t.Kind() {
	case '"':
		return jsontext.AppendQuote(out, s.Scrub(t.String()))
	case '0':
		number := t.String()
		if scrubbed := s.Scrub(number); scrubbed != number {
			return jsontext.AppendQuote(out, Withheld)
		}
		return append(out, number...), nil
	case '[':
		out = append(out, '[')
		for first := true; d.PeekKind() != ']'; first = false {
			if !first {
				out = append(out, ',')
			}
			if out, err = s.scrubValue(out, d); err != nil {
				return nil, err
			}
		}
		_, err = d.ReadToken()
		return append(out, ']'), err
	case '{':
		names := names{s: s}
		out = append(out, '{')
		for first := true; d.PeekKind() != '}'; first = false {
			if !first {
				out = append(out, ',')
			}
			if t, err = d.ReadToken(); err != nil {
				return nil, err
			}
			if out, err = jsontext.AppendQuote(out, names.scrub(t.String())); err != nil {
				return nil, err
			}
			out = append(out, ':')
			if out, err = s.scrubValue(out, d); err != nil {
				return nil, err
			}
		}
		_, err = d.ReadToken()
		return append(out, '}'), err
	}
	return append(out, t.String()...), nil
}

// names scrubs the names of one object and keeps them distinct.
type names struct {
	s *Scrubber
	// used has the names given so far, and how often each came out of scrubbing.
	used map[string]int
}

func (n *names) scrub(name string) string {
	if n.used == nil {
		n.used = map[string]int{}
	}
	scrubbed := n.s.Scrub(name)
	for unique := scrubbed; ; {
		n.used[scrubbed]++
		if i := n.used[scrubbed]; i > 1 {
			unique = fmt.Sprintf("%s#%d", scrubbed, i)
		}
		if unique == scrubbed || n.used[unique] == 0 {
			n.used[unique] = max(1, n.used[unique])
			return unique
		}
	}
}

// span is a stretch of text to withhold.
type span struct{ start, end int }

// find gives the spans of all needles, sorted by start; they may overlap.
func (s *Scrubber) find(text string) []span {
	if len(s.needles) == 0 {
		return nil
	}
	var spans []span
	runEnd := 0 // end of the last stretch of base64 that was withheld
	for i := 0; i+minScrub <= len(text); i++ {
		if h := startHash(text[i:]); s.starts[h/64]&(1<<(h%64)) == 0 {
			continue
		}
		n := s.longest(text[i:])
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
	return spans
}

// longest gives the longest needle that text begins with, or nil.
//
// Every needle that text begins with is the greatest needle that is not greater
// than text, or one that this begins with: whatever sorts between a prefix of
// text and text begins with that prefix.
func (s *Scrubber) longest(text string) *needle {
	text = text[:min(len(text), window)]
	at, found := slices.BinarySearchFunc(s.needles, text, func(n needle, t string) int { return strings.Compare(n.text, t) })
	if !found {
		at--
	}
	if at < 0 {
		return nil
	}
	common := 0
	for n := s.needles[at].text; common < len(n) && common < len(text) && n[common] == text[common]; {
		common++
	}
	for at >= 0 && len(s.needles[at].text) > common {
		at = s.needles[at].parent
	}
	if at < 0 {
		return nil
	}
	return &s.needles[at]
}

func isBase64(c byte) bool {
	return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' ||
		c == '+' || c == '/' || c == '-' || c == '_'
}

// replace puts Withheld in the place of spans. Those that overlap or touch are
// one: replacing them one by one would leave the end of the second, or show how
// many pieces there were.
func (s *Scrubber) replace(text string, spans []span) string {
	if len(spans) == 0 {
		return text
	}
	slices.SortFunc(spans, func(a, b span) int { return a.start - b.start })
	var b strings.Builder
	done := 0
	for i := 0; i < len(spans); {
		sp := spans[i]
		for i++; i < len(spans) && spans[i].start <= sp.end; i++ {
			sp.end = max(sp.end, spans[i].end)
		}
		b.WriteString(text[done:sp.start])
		b.WriteString(Withheld)
		done = sp.end
	}
	b.WriteString(text[done:])
	return b.String()
}
