package ipc

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Check says whether body is the encoding of a message of type t: exactly the
// bytes that Send would have written for it, no others. It must pass before the
// body goes to the msgpack decoder.
//
// Why: vmihailenco/msgpack v5.4.1 believes what it reads. Its guard in
// decode_slice.go compares a masked flag with 1 where the flag's value is 8, so
// the limit it means to apply never does: the five bytes dd 02 fa f0 80 (an
// array of 50 million) decoded into a slice of structs allocate gigabytes
// before the first element is missed. Skip and DecodeInterface recurse once per
// level of nesting, so 8 Mi array headers in an 8 MiB frame overflow the stack,
// which Go cannot recover from. And decodeUint64Value gives its number to
// reflect.Value.SetUint, which drops the high bits: 65537 read into a uint16
// becomes 1 without an error.
//
// So the body is held against the shape of its message first:
//
//   - the shape leads, not the bytes: Check descends where the Go type has a
//     level (four at most), so nesting in the input cannot make it recurse;
//   - a declared length must fit the bytes that remain, and a declared count
//     must fit both the cap of its field and the bytes that its elements need
//     at least;
//   - a message is a map with exactly its fields, each once, in the order of
//     the struct; keys are strings and are compared byte for byte;
//   - numbers, lengths and counts use their shortest form and fit the field;
//     there are no floats, no extension types, nil only stands for a nil list
//     or byte string, strings are valid UTF-8;
//   - nothing follows the message.
//
// One message having one encoding leaves no room for two readers to see two
// messages in the same bytes, and makes "decode, encode, compare" a test of the
// whole path.
func Check(t Type, body []byte) error {
	s := specOf(t)
	if s == nil {
		return fmt.Errorf("unknown %s", t)
	}
	if len(body) > s.max {
		return fmt.Errorf("a body of %d bytes is over the %d that %s may have", len(body), s.max, t)
	}
	c := checker{rest: body}
	if rule := c.value(s.shape); rule != "" {
		return fmt.Errorf("%s at byte %d: %s", t, len(body)-len(c.rest), rule)
	}
	if len(c.rest) != 0 {
		return fmt.Errorf("%s: %d bytes follow the message", t, len(c.rest))
	}
	return nil
}

// shape is the Go type of a message or field as far as the wire can tell.
type shape struct {
	kind   reflect.Kind // Struct, Slice, String, Bool, Uint64, Int64; Bytes is Array
	bits   int          // of a number
	header []byte       // of a struct: the map header
	fields []field      // of a struct
	elem   *shape       // of a slice
	most   int          // elements of a slice
	least  int          // bytes that any value takes at least
}

type field struct {
	name  string
	key   []byte // encoded
	shape *shape
}

// kindBytes stands for []byte, which is one value on the wire and not a list.
const kindBytes = reflect.Array

// shapeOf reads the shape of a message. The tag `most:"n"` caps a list; every
// list needs one. It panics on a type that has no shape, which TestShapes turns
// into a failure at the desk of whoever adds it.
func shapeOf(m Message) *shape { return shapeOfType(reflect.TypeOf(m).Elem(), "") }

func shapeOfType(t reflect.Type, most string) *shape {
	switch t.Kind() {
	case reflect.String, reflect.Bool:
		return &shape{kind: t.Kind(), least: 1}
	case reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return &shape{kind: reflect.Uint64, bits: t.Bits(), least: 1}
	case reflect.Int32, reflect.Int64:
		return &shape{kind: reflect.Int64, bits: t.Bits(), least: 1}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return &shape{kind: kindBytes, least: 1}
		}
		n, err := strconv.Atoi(most)
		if err != nil {
			panic(fmt.Sprintf("ipc: a list of %s without a cap", t.Elem()))
		}
		return &shape{kind: reflect.Slice, elem: shapeOfType(t.Elem(), ""), most: n, least: 1}
	case reflect.Struct:
		s := &shape{kind: reflect.Struct}
		for f := range t.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("msgpack"), ",")
			if name == "" || len(name) > 31 || !f.IsExported() {
				panic(fmt.Sprintf("ipc: %s.%s has no name for the wire", t, f.Name))
			}
			fs := shapeOfType(f.Type, f.Tag.Get("most"))
			key := append([]byte{0xa0 | byte(len(name))}, name...)
			s.fields = append(s.fields, field{name: name, key: key, shape: fs})
			s.least += len(key) + fs.least
		}
		if len(s.fields) > 15 {
			panic(fmt.Sprintf("ipc: %s has more than 15 fields", t))
		}
		s.header = []byte{0x80 | byte(len(s.fields))}
		s.least += len(s.header)
		return s
	}
	panic(fmt.Sprintf("ipc: %s cannot cross", t))
}

type checker struct{ rest []byte }

const short = "the body ends within a value"

// value consumes one value of shape s and gives the rule it breaks, or "". The
// recursion is as deep as the shape, which is fixed when the program is built.
func (c *checker) value(s *shape) string {
	switch s.kind {
	case reflect.Struct:
		if !c.literal(s.header) {
			return fmt.Sprintf("want a map of %d", len(s.fields))
		}
		for i := range s.fields {
			f := &s.fields[i]
			if !c.literal(f.key) {
				return fmt.Sprintf("want the key %q", f.name)
			}
			if rule := c.value(f.shape); rule != "" {
				return f.name + ": " + rule
			}
		}
		return ""

	case reflect.Slice:
		if c.nil() {
			return ""
		}
		n, ok := c.length(0x90, 15, 0, 0xdc, 0xdd)
		switch {
		case !ok:
			return "want a list with its shortest header"
		case n > uint64(s.most):
			return fmt.Sprintf("a list of %d is over %d", n, s.most)
		case n*uint64(s.elem.least) > uint64(len(c.rest)):
			return fmt.Sprintf("a list of %d does not fit the %d bytes that remain", n, len(c.rest))
		}
		for range n {
			if rule := c.value(s.elem); rule != "" {
				return rule
			}
		}
		return ""

	case reflect.String:
		n, ok := c.length(0xa0, 31, 0xd9, 0xda, 0xdb)
		switch {
		case !ok:
			return "want a string with its shortest header"
		case n > uint64(len(c.rest)):
			return fmt.Sprintf("a string of %d bytes does not fit the %d that remain", n, len(c.rest))
		case !utf8.Valid(c.rest[:n]):
			return "the string is not valid UTF-8"
		}
		c.rest = c.rest[n:]
		return ""

	case kindBytes:
		if c.nil() {
			return ""
		}
		n, ok := c.length(0, -1, 0xc4, 0xc5, 0xc6)
		switch {
		case !ok:
			return "want a byte string with its shortest header"
		case n > uint64(len(c.rest)):
			return fmt.Sprintf("a byte string of %d bytes does not fit the %d that remain", n, len(c.rest))
		}
		c.rest = c.rest[n:]
		return ""

	case reflect.Bool:
		if len(c.rest) == 0 {
			return short
		}
		if c.rest[0] != 0xc2 && c.rest[0] != 0xc3 {
			return "want a boolean"
		}
		c.rest = c.rest[1:]
		return ""

	case reflect.Uint64:
		n, ok := c.uint()
		if !ok {
			return "want a natural number in its shortest form"
		}
		if s.bits < 64 && n>>s.bits != 0 {
			return fmt.Sprintf("%d does not fit %d bits", n, s.bits)
		}
		return ""

	default: // reflect.Int64; shapeOfType makes no other
		return c.int(s.bits)
	}
}

// literal consumes want if it comes next.
func (c *checker) literal(want []byte) bool {
	if len(c.rest) < len(want) || string(c.rest[:len(want)]) != string(want) {
		return false
	}
	c.rest = c.rest[len(want):]
	return true
}

func (c *checker) nil() bool {
	if len(c.rest) > 0 && c.rest[0] == 0xc0 {
		c.rest = c.rest[1:]
		return true
	}
	return false
}

// length consumes the header of a string, byte string or list: the code fix
// with up to fixMost in its low bits, else one of the codes for 1, 2 and 4
// bytes of length (0: there is none). Each must be needed for its length.
func (c *checker) length(fix byte, fixMost int, one, two, four byte) (uint64, bool) {
	if len(c.rest) == 0 {
		return 0, false
	}
	code := c.rest[0]
	if fixMost >= 0 && int(code)-int(fix) >= 0 && int(code)-int(fix) <= fixMost {
		c.rest = c.rest[1:]
		return uint64(code - fix), true
	}
	least := uint64(fixMost + 1)
	switch {
	case code == one && one != 0:
		n, ok := c.number(1)
		return n, ok && n >= least
	case code == two:
		if one != 0 {
			least = math.MaxUint8 + 1
		}
		n, ok := c.number(2)
		return n, ok && n >= least
	case code == four:
		n, ok := c.number(4)
		return n, ok && n > math.MaxUint16
	}
	return 0, false
}

// number consumes a code and the size bytes of number behind it.
func (c *checker) number(size int) (uint64, bool) {
	if len(c.rest) < 1+size {
		return 0, false
	}
	var n uint64
	switch b := c.rest[1:]; size {
	case 1:
		n = uint64(b[0])
	case 2:
		n = uint64(binary.BigEndian.Uint16(b))
	case 4:
		n = uint64(binary.BigEndian.Uint32(b))
	default:
		n = binary.BigEndian.Uint64(b)
	}
	c.rest = c.rest[1+size:]
	return n, true
}

func (c *checker) uint() (uint64, bool) {
	if len(c.rest) == 0 {
		return 0, false
	}
	switch code := c.rest[0]; code {
	case 0xcc:
		n, ok := c.number(1)
		return n, ok && n > math.MaxInt8
	case 0xcd:
		n, ok := c.number(2)
		return n, ok && n > math.MaxUint8
	case 0xce:
		n, ok := c.number(4)
		return n, ok && n > math.MaxUint16
	case 0xcf:
		n, ok := c.number(8)
		return n, ok && n > math.MaxUint32
	default:
		if code > math.MaxInt8 {
			return 0, false
		}
		c.rest = c.rest[1:]
		return uint64(code), true
	}
}

func (c *checker) int(bits int) string {
	const form = "want an integer in its shortest form"
	if len(c.rest) == 0 {
		return form
	}
	var n int64
	ok := true
	switch code := c.rest[0]; {
	case code >= 0xe0: // -32 to -1
		c.rest = c.rest[1:]
		return ""
	case code == 0xd0:
		var u uint64
		u, ok = c.number(1)
		n = int64(int8(u))
		ok = ok && n < -32
	case code == 0xd1:
		var u uint64
		u, ok = c.number(2)
		n = int64(int16(u))
		ok = ok && n < math.MinInt8
	case code == 0xd2:
		var u uint64
		u, ok = c.number(4)
		n = int64(int32(u))
		ok = ok && n < math.MinInt16
	case code == 0xd3:
		var u uint64
		u, ok = c.number(8)
		n = int64(u)
		ok = ok && n < math.MinInt32
	default:
		var u uint64
		u, ok = c.uint()
		if u > math.MaxInt64 {
			return fmt.Sprintf("%d does not fit %d bits", u, bits)
		}
		n = int64(u)
	}
	switch {
	case !ok:
		return form
	case n != n<<(64-bits)>>(64-bits):
		return fmt.Sprintf("%d does not fit %d bits", n, bits)
	}
	return ""
}
