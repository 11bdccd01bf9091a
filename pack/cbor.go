package pack

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
)

// level is an array or map that cborToJSON is in.
type level struct {
	items uint64 // to come, when the length is definite
	seen  uint64 // so far; in a map, every other one is a key
	open  bool   // of indefinite length: a break ends it
	isMap bool
	keys  keySet // of this map so far
}

// each is how many items make an element.
func (l *level) each() uint64 {
	if l.isMap {
		return 2
	}
	return 1
}

// cborToJSON checks a CBOR document and gives the same as JSON, so that both
// encodings of a manifest are decoded by one set of types. It works in one pass
// that does not recurse and allocates nothing for what is only declared: nesting,
// element counts, lengths against the bytes that are left, text keys, no key
// twice, no strings in pieces, no tags, nothing behind the end.
//
// Maps and arrays of indefinite length are taken: every published messaging pack
// has some, below "extensions". Bytes become an array of numbers, as where Rust
// builders read them into JSON. A byte gives at most six: the text U+0000.
func cborToJSON(b []byte) ([]byte, error) {
	stack := make([]level, 0, MaxNesting)
	out := make([]byte, 0, len(b)+len(b)/2)
	offset := 0
	for values := 0; ; values++ {
		if values > MaxValues {
			return nil, refuse(RuleDocument, "", "", "has more than %d values", MaxValues)
		}
		for len(stack) > 0 && !stack[len(stack)-1].open && stack[len(stack)-1].seen == stack[len(stack)-1].items {
			out = append(out, stack[len(stack)-1].end())
			stack = stack[:len(stack)-1]
		}
		if len(stack) == 0 && offset > 0 {
			break
		}
		h, err := head(b[offset:])
		if err != nil {
			return nil, refuse(RuleSyntax, "", "", "%v at byte %d", err, offset)
		}
		start := offset
		offset += h.length
		left := uint64(len(b) - offset)
		isKey := false
		if h.isBreak() {
			top := len(stack) - 1
			if top < 0 || !stack[top].open || stack[top].isMap && stack[top].seen%2 == 1 {
				return nil, refuse(RuleSyntax, "", "", "a break where nothing can end, at byte %d", start)
			}
			out = append(out, stack[top].end())
			stack = stack[:top]
			continue
		}
		if len(stack) > 0 {
			top := &stack[len(stack)-1]
			isKey = top.isMap && top.seen%2 == 0
			switch {
			case top.isMap && !isKey:
				out = append(out, ':')
			case top.seen > 0:
				out = append(out, ',')
			}
			top.seen++
			if top.open && top.seen > MaxElements*top.each() {
				return nil, refuse(RuleDocument, "", "", "has more than %d elements at byte %d", MaxElements, start)
			}
		}
		if isKey && h.major != 3 {
			return nil, refuse(RuleSyntax, "", "", "a map key that is not text at byte %d", start)
		}
		switch h.major {
		case 0:
			out = strconv.AppendUint(out, h.argument, 10)
		case 1: // -1 - argument
			out = append(out, '-')
			if h.argument == math.MaxUint64 {
				out = append(out, "18446744073709551616"...)
			} else {
				out = strconv.AppendUint(out, h.argument+1, 10)
			}
		case 2, 3:
			if h.argument > left {
				return nil, refuse(RuleSyntax, "", "", "a string of %d bytes with %d bytes left at byte %d", h.argument, left, start)
			}
			text := b[offset : offset+int(h.argument)]
			offset += int(h.argument)
			if h.major == 2 {
				out = appendNumbers(out, text)
				continue
			}
			if !utf8.Valid(text) {
				return nil, refuse(RuleSyntax, "", "", "text that is not UTF-8 at byte %d", start)
			}
			if isKey && !stack[len(stack)-1].keys.add(text) {
				return nil, refuse(RuleSyntax, "", "", "the map key %s is there twice, at byte %d", hostile.Quote(string(text)), start)
			}
			if out, err = jsontext.AppendQuote(out, text); err != nil {
				return nil, refuse(RuleSyntax, "", "", "text that is not UTF-8 at byte %d", start)
			}
		case 4, 5:
			next := level{open: h.indefinite, isMap: h.major == 5}
			each := next.each()
			if h.argument > MaxElements {
				return nil, refuse(RuleDocument, "", "", "has %d elements at byte %d; at most %d are read", h.argument, start, MaxElements)
			}
			if each*h.argument > left {
				return nil, refuse(RuleSyntax, "", "", "%d elements with %d bytes left at byte %d", h.argument, left, start)
			}
			if len(stack) == MaxNesting {
				return nil, refuse(RuleDocument, "", "", "is nested deeper than %d levels", MaxNesting)
			}
			stack = stack[:len(stack)+1]
			next.items = each * h.argument
			next.keys = stack[len(stack)-1].keys // the buffer of the last map at this level
			next.keys.reset()
			stack[len(stack)-1] = next
			out = append(out, next.begin())
		case 6:
			return nil, refuse(RuleSyntax, "", "", "a tag at byte %d; tags have no meaning in a pack", start)
		case 7:
			if out, err = appendSimple(out, h); err != nil {
				return nil, refuse(RuleSyntax, "", "", "%v at byte %d", err, start)
			}
		}
	}
	if offset != len(b) {
		return nil, refuse(RuleSyntax, "", "", "%d bytes after the end of the document", len(b)-offset)
	}
	return out, nil
}

func appendNumbers(out, b []byte) []byte {
	out = append(out, '[')
	for i, c := range b {
		if i > 0 {
			out = append(out, ',')
		}
		out = strconv.AppendUint(out, uint64(c), 10)
	}
	return append(out, ']')
}

// appendSimple writes a simple value or a float (RFC 8949, 3.3).
func appendSimple(out []byte, h itemHead) ([]byte, error) {
	var f float64
	switch {
	case h.length == 1 && h.argument == 20:
		return append(out, "false"...), nil
	case h.length == 1 && h.argument == 21:
		return append(out, "true"...), nil
	case h.length == 1 && (h.argument == 22 || h.argument == 23): // null, undefined
		return append(out, "null"...), nil
	case h.length == 3:
		f = half(uint16(h.argument))
	case h.length == 5:
		f = float64(math.Float32frombits(uint32(h.argument)))
	case h.length == 9:
		f = math.Float64frombits(h.argument)
	default:
		return nil, fmt.Errorf("the simple value %d, which has no meaning,", h.argument)
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, errors.New("a number that is not finite")
	}
	return strconv.AppendFloat(out, f, 'g', -1, 64), nil
}

// half is a float of 16 bits (RFC 8949, appendix D).
func half(b uint16) float64 {
	exponent, mantissa := int(b>>10&0x1f), float64(b&0x3ff)
	var f float64
	switch exponent {
	case 0:
		f = math.Ldexp(mantissa, -24)
	case 31:
		f = math.Inf(1)
		if mantissa != 0 {
			f = math.NaN()
		}
	default:
		f = math.Ldexp(mantissa+1024, exponent-25)
	}
	if b>>15 == 1 {
		f = -f
	}
	return f
}

func (l *level) begin() byte {
	if l.isMap {
		return '{'
	}
	return '['
}

func (l *level) end() byte {
	if l.isMap {
		return '}'
	}
	return ']'
}

// keySet is the keys of one map. Most maps have few, so those are compared one
// by one in a buffer that is used again: a document of four million small maps
// would otherwise make as many Go maps.
type keySet struct {
	few  [][]byte
	many map[string]struct{}
}

const fewKeys = 16

func (k *keySet) reset() { k.few, k.many = k.few[:0], nil }

// add says whether the key is new.
func (k *keySet) add(key []byte) bool {
	if k.many != nil {
		_, twice := k.many[string(key)]
		k.many[string(key)] = struct{}{}
		return !twice
	}
	for _, other := range k.few {
		if bytes.Equal(other, key) {
			return false
		}
	}
	k.few = append(k.few, key)
	if len(k.few) > fewKeys {
		k.many = make(map[string]struct{}, 2*fewKeys)
		for _, other := range k.few {
			k.many[string(other)] = struct{}{}
		}
	}
	return true
}

// itemHead is the first part of a CBOR item (RFC 8949, 3).
type itemHead struct {
	major      byte
	argument   uint64
	length     int  // bytes of the head itself
	indefinite bool // an array or map that a break ends, or the break itself
}

func (h itemHead) isBreak() bool { return h.indefinite && h.major == 7 }

func head(b []byte) (itemHead, error) {
	if len(b) == 0 {
		return itemHead{}, errors.New("the document ends early")
	}
	h := itemHead{major: b[0] >> 5, length: 1}
	info := b[0] & 0x1f
	switch {
	case info < 24:
		h.argument = uint64(info)
		return h, nil
	case info == 31 && (h.major == 4 || h.major == 5 || h.major == 7):
		h.indefinite = true
		return h, nil
	case info == 31:
		return itemHead{}, errors.New("an indefinite length")
	case info > 27:
		return itemHead{}, fmt.Errorf("reserved additional information %d", info)
	}
	n := 1 << (info - 24)
	if len(b) < 1+n {
		return itemHead{}, errors.New("the document ends early")
	}
	var wide [8]byte
	copy(wide[8-n:], b[1:1+n])
	h.argument, h.length = binary.BigEndian.Uint64(wide[:]), 1+n
	return h, nil
}
