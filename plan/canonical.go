package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// canonicalDepth bounds the nesting of what this program writes: values of
// MaxDepth inside of its own documents.
const canonicalDepth = 2 * MaxDepth

// Canonical encodes v as canonical JSON: one text for one value, on any machine,
// so that texts can be compared, hashed and signed. The rules are RFC 8785
// (members sorted by the UTF-16 code units of their names, no space, the fewest
// escapes, so "<" stays "<", numbers as ECMAScript writes them) with one
// difference: integers that fit 64 bits keep all their digits.
//
// v is encoded by encoding/json, so its tags and Marshalers hold. Encoding twice
// changes nothing. The result has no newline at its end.
func Canonical(v any) ([]byte, error) {
	if raw, ok := v.(json.RawMessage); ok {
		return canonicalize(raw, canonicalDepth)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return canonicalize(b.Bytes(), canonicalDepth)
}

// Digest identifies a plan: "sha256:" and the hexadecimal sha256 of its canonical
// JSON. It is "" for a Plan with raw values that are not JSON, which neither New,
// Merge nor DecodeResponse make.
func Digest(p Plan) string {
	b, err := Canonical(p)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// canonicalize gives the canonical form of one JSON value.
func canonicalize(b []byte, depth int) ([]byte, error) {
	d := jsontext.NewDecoder(bytes.NewReader(b))
	c := canonicalizer{d: d, out: make([]byte, 0, len(b)), depth: depth}
	if err := c.value(); err != nil {
		return nil, err
	}
	return c.out, nil
}

type canonicalizer struct {
	d     *jsontext.Decoder
	out   []byte
	depth int // levels left
}

// member is one member of an object in canonicalizer.out: its name decoded, and
// where its text (name, colon, value) lies.
type member struct {
	name       string
	start, end int
}

func (c *canonicalizer) value() error {
	t, err := c.d.ReadToken()
	if err != nil {
		return syntax(err)
	}
	switch t.Kind() {
	case '{', '[':
		if c.depth == 0 {
			return jsonError(string(c.d.StackPointer()), "nests too deep")
		}
		c.depth--
		defer func() { c.depth++ }()
		if t.Kind() == '{' {
			return c.object()
		}
		return c.array()
	case '"':
		c.out, err = jsontext.AppendQuote(c.out, t.String())
		return err
	case '0':
		s, reason := number(t.String())
		if reason != "" {
			return jsonError(string(c.d.StackPointer()), "%s", reason)
		}
		c.out = append(c.out, s...)
	default:
		c.out = append(c.out, t.String()...)
	}
	return nil
}

func (c *canonicalizer) array() error {
	c.out = append(c.out, '[')
	for first := true; c.d.PeekKind() != ']'; first = false {
		if !first {
			c.out = append(c.out, ',')
		}
		if err := c.value(); err != nil {
			return err
		}
	}
	c.out = append(c.out, ']')
	_, err := c.d.ReadToken()
	return err
}

// object writes members one after the other without commas, then puts them into
// order.
func (c *canonicalizer) object() error {
	var ms []member
	c.out = append(c.out, '{')
	begin := len(c.out)
	for c.d.PeekKind() != '}' {
		t, err := c.d.ReadToken()
		if err != nil {
			return syntax(err)
		}
		m := member{name: t.String(), start: len(c.out)}
		if c.out, err = jsontext.AppendQuote(c.out, m.name); err != nil {
			return err
		}
		c.out = append(c.out, ':')
		if err := c.value(); err != nil {
			return err
		}
		m.end = len(c.out)
		ms = append(ms, m)
	}
	if _, err := c.d.ReadToken(); err != nil {
		return syntax(err)
	}
	slices.SortFunc(ms, func(a, b member) int { return compareUTF16(a.name, b.name) })
	written := bytes.Clone(c.out[begin:])
	c.out = c.out[:begin]
	for i, m := range ms {
		if i > 0 {
			c.out = append(c.out, ',')
		}
		c.out = append(c.out, written[m.start-begin:m.end-begin]...)
	}
	c.out = append(c.out, '}')
	return nil
}

// compareUTF16 orders by UTF-16 code units. That differs from the order of bytes
// only between characters beyond U+FFFF, which begin with a surrogate (D800 to
// DFFF), and those from U+E000 to U+FFFF.
func compareUTF16(a, b string) int {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	if i == len(a) || i == len(b) {
		return len(a) - len(b)
	}
	// Go back to the start of the character in which they differ.
	for i > 0 && !utf8.RuneStart(a[i]) {
		i--
	}
	ra, _ := utf8.DecodeRuneInString(a[i:])
	rb, _ := utf8.DecodeRuneInString(b[i:])
	if (ra > 0xffff) != (rb > 0xffff) {
		unit := func(r rune) rune {
			if r > 0xffff {
				return 0xd800 // the first unit, close enough to compare with one below D800 or above DFFF
			}
			return r
		}
		return int(unit(ra) - unit(rb))
	}
	return int(ra - rb)
}
