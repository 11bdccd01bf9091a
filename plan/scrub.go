package plan

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"index/suffixarray"
	"slices"
	"strings"
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
// A value is found as itself; with its surrounding space trimmed; each of its
// longer lines; as text, if it is not UTF-8; in a JSON Pointer; in base64, in the
// standard and the URL alphabet, also when it is a part of what was encoded (as in
// "user:password"); in hexadecimal of either case; and wherever reading back
// percent signs or backslashes (JSON's and Go's) brings it out, whichever of its
// characters were escaped.
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
	plain  *index
	hex    *index          // lower case
	whole  map[string]bool // short values
	values []string        // all, each once
}

// NewScrubber makes a Scrubber for values. Left out are empty ones and those that
// Withheld itself contains: taking these out would put them back.
func NewScrubber(values ...string) *Scrubber {
	s := &Scrubber{whole: map[string]bool{}, values: distinct(values)}
	plain, hexed := needles{}, needles{}
	for _, v := range s.values {
		if len(v) < minScrub {
			s.whole[v] = true
			continue
		}
		for _, form := range forms(v) {
			if len(form) < minScrub { // bytes that are no text may shrink
				s.whole[form] = true
				continue
			}
			plain.add(form, false)
		}
		for _, middle := range base64Middles(v) {
			plain.add(middle, true)
		}
		hexed.add(hex.EncodeToString([]byte(v)), false)
	}
	s.plain, s.hex = plain.index(), hexed.index()
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

// forms gives a value as it may be written in text, itself first. Escapes are not
// among them: views reads these back.
func forms(v string) []string {
	list := []string{v}
	if strings.Contains(v, " ") {
		list = append(list, strings.ReplaceAll(v, " ", "+")) // in the query of a URL
	}
	if pointer := pointerEscaper.Replace(v); pointer != v {
		list = append(list, pointer)
	}
	if !utf8.ValidString(v) {
		// Text cannot hold it. What programs make of it when they try: one
		// replacement character for each bad byte, or for each run of them.
		list = append(list, string([]rune(v)), strings.ToValidUTF8(v, "\ufffd"))
	}
	for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		list = append(list, e.EncodeToString([]byte(v)))
	}
	return list
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

// Within gives the values that stand in one of texts as they are, each once, in the
// order in which NewScrubber was given them; those of fewer than 4 bytes where they are
// a whole text. Trimmed values and the lines of longer ones are values of their own.
// Encoded values are not found: this is for remembering what to look for, and a
// Scrubber that is given a value knows its encodings.
func (s *Scrubber) Within(texts ...string) []string {
	// The separator is no UTF-8. A value that has it may match where none of the texts
	// has all of it.
	const separator = "\xff"
	joined := strings.Join(texts, separator)
	places := suffixarray.New([]byte(joined))
	whole := map[string]bool{}
	for _, t := range texts {
		whole[t] = len(t) < minScrub
	}
	var found []string
	for _, v := range s.values {
		if len(v) < minScrub {
			if whole[v] {
				found = append(found, v)
			}
			continue
		}
		if len(places.Lookup([]byte(v), 1)) == 0 {
			continue
		}
		if !strings.Contains(v, separator) || slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(t, v) }) {
			found = append(found, v)
		}
	}
	return found
}

// Scrub gives text without secrets.
func (s *Scrubber) Scrub(text string) string {
	if s.whole[text] {
		return Withheld
	}
	return replace(text, s.find(text, false))
}

// ScrubCut is Scrub for text that was cut at its end, with or without "…" to show
// it: the beginning of a secret there, of minScrub bytes or more, is taken out as
// well. In text that was not cut, that would be an ordinary word.
func (s *Scrubber) ScrubCut(text string) string {
	if s.whole[text] {
		return Withheld
	}
	body := strings.TrimSuffix(text, "…")
	return replace(body, s.find(body, true)) + text[len(body):]
}

// Path is Scrub for JSON Pointers and other paths with slashes: short values are
// found as a part of it, too.
func (s *Scrubber) Path(path string) string {
	tokens := strings.Split(path, "/")
	for i, t := range tokens {
		if s.whole[pointerUnescaper.Replace(t)] {
			tokens[i] = Withheld
		}
	}
	return s.Scrub(strings.Join(tokens, "/"))
}

var pointerUnescaper = strings.NewReplacer("~1", "/", "~0", "~")

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

// find gives the spans of all values, in no order; they may overlap. cut says that
// the end of text is missing.
func (s *Scrubber) find(text string, cut bool) []span {
	spans := s.plain.find(text, cut)
	// Lowering ASCII keeps every byte in its place.
	spans = append(spans, s.hex.find(lowerASCII(text), cut)...)
	for mark, read := range map[string]func(string) (string, int){"%": percentEscape, `\`: backslashEscape} {
		if len(s.plain.needles) == 0 || !strings.Contains(text, mark) {
			continue
		}
		v := readBack(text, mark[0], read)
		for _, sp := range s.plain.find(v.text, cut) {
			spans = append(spans, v.origin(sp))
		}
	}
	return spans
}

// replace puts Withheld in the place of spans. Those that overlap or touch are
// one: replacing them one by one would leave the end of the second, or show how
// many pieces there were.
func replace(text string, spans []span) string {
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
