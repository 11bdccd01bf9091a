package contract

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
	"github.com/go-json-experiment/json/jsontext"
)

var encoder = func() cbor.EncMode {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err) // constants out of the library's range
	}
	return mode
}()

// toCBOR encodes a JSON value of ours. An error is our fault.
func toCBOR(v jsontext.Value) ([]byte, error) {
	tree, err := treeOf(v)
	if err != nil {
		return nil, err
	}
	return encoder.Marshal(tree)
}

// treeOf gives what the CBOR encoder takes for a value of ours.
func treeOf(v jsontext.Value) (any, error) {
	tree, err := readTree(jsontext.NewDecoder(bytes.NewReader(v)), requestDepth)
	if err != nil {
		return nil, fmt.Errorf("the request cannot be said in CBOR: %w", err)
	}
	return tree, nil
}

// readTree is not a JSON decoder's own tree because every number is a float there.
func readTree(d *jsontext.Decoder, depth int) (any, error) {
	token, err := d.ReadToken()
	if err != nil {
		return nil, err
	}
	kind := token.Kind()
	if depth == 0 && (kind == '{' || kind == '[') {
		return nil, fmt.Errorf("it is nested deeper than %d levels", requestDepth)
	}
	switch kind {
	case '{':
		members := map[string]any{}
		for d.PeekKind() != '}' {
			name, err := d.ReadToken()
			if err != nil {
				return nil, err
			}
			key := name.String() // the token is only good until the next one
			if members[key], err = readTree(d, depth-1); err != nil {
				return nil, err
			}
		}
		_, err = d.ReadToken()
		return members, err
	case '[':
		items := []any{}
		for d.PeekKind() != ']' {
			it, err := readTree(d, depth-1)
			if err != nil {
				return nil, err
			}
			items = append(items, it)
		}
		_, err = d.ReadToken()
		return items, err
	case '"':
		return token.String(), nil
	case '0':
		return number(token.String())
	case 't', 'f':
		return kind == 't', nil
	}
	return nil, nil // null
}

// number gives an integer for every number without a fraction that 64 bits hold:
// components declare u16 ports and refuse 587.0.
func number(s string) (any, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, nil
	}
	if n, err := strconv.ParseUint(s, 10, 64); err == nil {
		return n, nil
	}
	f, err := strconv.ParseFloat(s, 64)
	const exact = 1 << 53
	if err == nil && f == math.Trunc(f) && math.Abs(f) <= exact {
		return int64(f), nil
	}
	return f, err
}

// cborJSON gives the response that a guest's CBOR item is as JSON.
func cborJSON(what string, b []byte, maxOutput int) ([]byte, error) {
	w := newWriter(maxOutput)
	if err := w.cbor(what, b); err != nil {
		return nil, err
	}
	return w.done()
}

// cbor writes a guest's CBOR item as JSON.
func (w *writer) cbor(what string, b []byte) error {
	d := &cborReader{b: b, w: w}
	err := d.item(maxDepth)
	if err == nil && d.at < len(b) {
		err = d.errorf("%d bytes after the end of the item", len(b)-d.at)
	}
	if err != nil {
		return &GuestError{Code: CodeOutputNotCBOR, Message: what + ": " + err.Error()}
	}
	return nil
}

// cborReader turns hostile CBOR into JSON as it goes: it allocates nothing for what
// an item says of its length, its recursion is bounded, and every element that is
// kept costs at least one byte of the response, which is bounded too. The decoder of
// the cbor package would make a tree many times the size of the item.
type cborReader struct {
	b  []byte
	at int
	w  *writer
}

// errorf says what is wrong and where. It quotes nothing.
func (d *cborReader) errorf(format string, args ...any) error {
	return fmt.Errorf("at byte %d: "+format, append([]any{d.at}, args...)...)
}

var errCBOREnd = errors.New("the item ends early")

// major types of CBOR (RFC 8949, 3.1).
const (
	cborUint = iota
	cborNegative
	cborBytes
	cborText
	cborArray
	cborMap
	cborTag
	cborSimple
)

// cborHead is the first part of an item. info tells the widths of simple values
// apart; open says that a break ends the item, or that this is the break.
type cborHead struct {
	major byte
	info  byte
	arg   uint64
	open  bool
}

func (d *cborReader) head() (cborHead, error) {
	if d.at >= len(d.b) {
		return cborHead{}, errCBOREnd
	}
	h := cborHead{major: d.b[d.at] >> 5, info: d.b[d.at] & 0x1f}
	switch {
	case h.info < 24:
		h.arg = uint64(h.info)
		d.at++
		return h, nil
	case h.info == 31 && (h.major == cborArray || h.major == cborMap || h.major == cborSimple):
		h.open = true
		d.at++
		return h, nil
	case h.info == 31:
		return cborHead{}, d.errorf("a string in pieces")
	case h.info > 27:
		return cborHead{}, d.errorf("reserved additional information %d", h.info)
	}
	n := 1 << (h.info - 24)
	if len(d.b)-d.at < 1+n {
		return cborHead{}, errCBOREnd
	}
	var wide [8]byte
	copy(wide[8-n:], d.b[d.at+1:d.at+1+n])
	h.arg = binary.BigEndian.Uint64(wide[:])
	d.at += 1 + n
	return h, nil
}

// bytes takes the content of a string.
func (d *cborReader) bytes(n uint64) ([]byte, error) {
	if n > uint64(len(d.b)-d.at) {
		return nil, errCBOREnd
	}
	s := d.b[d.at : d.at+int(n)]
	d.at += int(n)
	return s, nil
}

func (d *cborReader) text(n uint64) (string, error) {
	start := *d
	b, err := d.bytes(n)
	if err == nil && !utf8.Valid(b) {
		err = start.errorf("text that is not UTF-8")
	}
	return string(b), err
}

func (d *cborReader) item(depth int) error {
	start := *d
	h, err := d.head()
	if err != nil {
		return err
	}
	switch h.major {
	case cborUint:
		d.w.raw(strconv.FormatUint(h.arg, 10))
	case cborNegative:
		d.w.raw(negative(h.arg))
	case cborBytes:
		b, err := d.bytes(h.arg)
		if err != nil {
			return err
		}
		d.w.raw(`"`)
		d.w.raw(base64.RawURLEncoding.EncodeToString(b))
		d.w.raw(`"`)
	case cborText:
		s, err := d.text(h.arg)
		if err != nil {
			return err
		}
		d.w.text(s)
	case cborArray, cborMap:
		if depth == 0 {
			return start.errorf("nested deeper than %d levels", maxDepth)
		}
		if h.major == cborArray {
			return d.array(h, depth-1)
		}
		return d.object(h, depth-1)
	case cborTag:
		return start.errorf("a tag")
	case cborSimple:
		s, ok := simple(h, start.b[start.at:d.at])
		if !ok {
			return start.errorf("a simple value or number that JSON does not have")
		}
		d.w.raw(s)
	}
	return nil
}

// ends says whether an array or map of which n parts were read is at its end, and
// takes the break when that is the end.
func (d *cborReader) ends(h cborHead, n uint64) bool {
	if !h.open {
		return n == h.arg
	}
	const brk = 0xff
	if d.at < len(d.b) && d.b[d.at] == brk {
		d.at++
		return true
	}
	return false
}

func (d *cborReader) array(h cborHead, depth int) error {
	d.w.raw("[")
	for n := uint64(0); !d.ends(h, n); n++ {
		if n > 0 {
			d.w.raw(",")
		}
		if err := d.item(depth); err != nil {
			return err
		}
	}
	d.w.raw("]")
	return nil
}

func (d *cborReader) object(h cborHead, depth int) error {
	d.w.raw("{")
	keys := map[string]struct{}{}
	for n := uint64(0); !d.ends(h, n); n++ {
		if n > 0 {
			d.w.raw(",")
		}
		start := *d
		key, err := d.head()
		switch {
		case err != nil:
			return err
		case key.major != cborText:
			return start.errorf("a map key that is not text")
		}
		name, err := d.text(key.arg)
		if err != nil {
			return err
		}
		if d.w.size <= d.w.max { // beyond that nothing is kept, and nothing taken
			if _, twice := keys[name]; twice {
				return start.errorf("a map key that is there twice")
			}
			keys[name] = struct{}{}
		}
		d.w.text(name)
		d.w.raw(":")
		if err := d.item(depth); err != nil {
			return err
		}
	}
	d.w.raw("}")
	return nil
}

// negative is -1-n in decimal.
func negative(n uint64) string {
	if n == math.MaxUint64 {
		return "-18446744073709551616" // -1-n needs 65 bits
	}
	return "-" + strconv.FormatUint(n+1, 10)
}

// simple is the JSON of the simple value or float that is the whole of item.
func simple(h cborHead, item []byte) (string, bool) {
	switch h.info {
	case 20:
		return "false", true
	case 21:
		return "true", true
	case 22:
		return "null", true
	case 25, 26, 27:
		var f float64
		err := cbor.Unmarshal(item, &f)
		ok := err == nil && !math.IsNaN(f) && !math.IsInf(f, 0)
		return string(jsontext.AppendFloat(nil, f, 64)), ok
	}
	return "", false // undefined, unassigned, or a break where nothing can end
}
