package ipc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"
)

// marshal encodes as Send does, without Check.
func marshal(t testing.TB, v any) []byte {
	t.Helper()
	var buf bytes.Buffer
	enc := msgpack.NewEncoder(&buf)
	enc.UseCompactInts(true)
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// unmarshal decodes as Recv does, without Check.
func unmarshal(typ Type, body []byte) (Message, error) {
	m := specOf(typ).make()
	dec := msgpack.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields(true)
	return m, dec.Decode(m)
}

// allocated gives the bytes that f allocates. It is the only goroutine that
// works, so what the runtime adds is noise of a few KiB.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// fill sets every field to a value that no other field has and that needs more
// than the shortest form has room for.
func fill(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.Pointer:
		fill(v.Elem(), n)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 3, 3))
		for i := range 3 {
			fill(v.Index(i), n)
		}
	case reflect.String:
		v.SetString(fmt.Sprintf("käse %d", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8:
		v.SetUint(uint64(*n) % 256)
	case reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(math.MaxUint64>>(64-v.Type().Bits()) - uint64(*n))
	case reflect.Int32, reflect.Int64:
		v.SetInt(math.MinInt64>>(64-v.Type().Bits()) + int64(*n))
	default:
		panic("no filling for " + v.Type().String())
	}
}

func filled(s *spec) Message {
	m := s.make()
	n := 0
	fill(reflect.ValueOf(m), &n)
	return m
}

// Every field of every message crosses and comes back as it was.
func TestEveryFieldCrosses(t *testing.T) {
	for _, s := range known() {
		for name, m := range map[string]Message{"zero": s.make(), "filled": filled(s)} {
			body := marshal(t, m)
			if err := Check(s.typ, body); err != nil {
				t.Errorf("%s %s: %v", name, s.name, err)
				continue
			}
			back, err := unmarshal(s.typ, body)
			if err != nil || !reflect.DeepEqual(m, back) {
				t.Errorf("%s %s: sent %+v, got %+v, %v", name, s.name, m, back, err)
			}
		}
	}
}

// Empty lists and byte strings stay apart from nil ones, as in Go.
func TestEmptyIsNotNil(t *testing.T) {
	m := &Result{Output: []byte{}, Logs: []LogLine{}}
	body := marshal(t, m)
	if err := Check(TypeResult, body); err != nil {
		t.Fatal(err)
	}
	if back, err := unmarshal(TypeResult, body); err != nil || !reflect.DeepEqual(m, back) {
		t.Errorf("got %+v, %v", back, err)
	}
}

// draw makes a random message, with the lengths and numbers around which the
// form on the wire changes.
func draw(t *rapid.T, v reflect.Value) {
	length := rapid.OneOf(rapid.SampledFrom([]int{0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536}), rapid.IntRange(0, 40))
	switch v.Kind() {
	case reflect.Pointer:
		draw(t, v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			draw(t, v.Field(i))
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			n := length.Draw(t, "bytes")
			if n%7 != 1 {
				v.SetBytes(bytes.Repeat([]byte{0xc1}, n))
			}
			return
		}
		n := rapid.SampledFrom([]int{-1, 0, 1, 15, 16, 33}).Draw(t, "list")
		if n < 0 {
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			if v.Index(i).Kind() == reflect.Struct && i > 2 {
				continue
			}
			draw(t, v.Index(i))
		}
	case reflect.String:
		if rapid.Bool().Draw(t, "text") {
			v.SetString(rapid.StringN(0, 40, -1).Draw(t, "string"))
		} else {
			v.SetString(strings.Repeat("x", min(length.Draw(t, "string"), 256)))
		}
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case reflect.Uint16, reflect.Uint32, reflect.Uint64:
		shift := rapid.IntRange(0, v.Type().Bits()-1).Draw(t, "shift")
		v.SetUint(math.MaxUint64>>(64-v.Type().Bits())>>shift + rapid.Uint64Range(0, 1).Draw(t, "over"))
	case reflect.Int32, reflect.Int64:
		shift := rapid.IntRange(0, v.Type().Bits()-1).Draw(t, "shift")
		n := int64(math.MinInt64) >> (64 - v.Type().Bits()) >> shift
		if rapid.Bool().Draw(t, "positive") {
			n = ^n
		}
		v.SetInt(n + rapid.Int64Range(-1, 1).Draw(t, "over"))
	}
}

// What the encoder writes is what Check takes, and comes back as it was.
func TestAnyMessageCrosses(t *testing.T) {
	for _, s := range known() {
		t.Run(s.name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				m := s.make()
				draw(rt, reflect.ValueOf(m))
				body := marshal(t, m)
				if len(body) > s.max {
					rt.Skip("over the cap")
				}
				if err := Check(s.typ, body); err != nil {
					rt.Fatalf("%+v: %v", m, err)
				}
				back, err := unmarshal(s.typ, body)
				if err != nil || !reflect.DeepEqual(m, back) {
					rt.Fatalf("sent %+v, got %+v, %v", m, back, err)
				}
			})
		})
	}
}

// key and value bytes of hand-made bodies.
func fix(s string) string { return string([]byte{0xa0 | byte(len(s))}) + s }

func u32(n uint32) string { return string(binary.BigEndian.AppendUint32(nil, n)) }

const deep = 8 << 20

// Each body is one that a hostile worker would like to have decoded. Check must
// say no, must say why, and must not spend memory on it.
func TestCheckRefuses(t *testing.T) {
	walls := "\x81" + fix("walls")
	load := func(component, layer, size string) string {
		return "\x84" + fix("component") + component + fix("layer") + layer + fix("size") + size + fix("contract") + fix("")
	}
	refused := func(errno string) string {
		return "\x85" + fix("wall") + fix("w") + fix("where") + fix("") + fix("errno") + errno + fix("detail") + fix("") + fix("hint") + fix("")
	}
	hello := func(min string) string {
		return "\x84" + fix("min") + min + fix("max") + "\x01" + fix("build") + fix("") + fix("engine") + fix("")
	}
	reply := func(value, code string) string {
		return "\x83" + fix("value") + value + fix("code") + code + fix("message") + fix("")
	}
	wall := "\x83" + fix("name") + fix("") + fix("raised") + "\xc2" + fix("detail") + fix("")

	// The helpers make acceptable bodies of acceptable parts, or every case
	// below would pass for the wrong reason.
	for body, typ := range map[string]Type{
		walls + "\x91" + wall:          TypeSealed,
		load("\x00", fix("c"), "\x7f"): TypeLoad,
		refused("\xe0"):                TypeRefused,
		hello("\x01"):                  TypeHello,
		reply("\xc4\x01x", fix("")):    TypeHostReply,
	} {
		if err := Check(typ, []byte(body)); err != nil {
			t.Errorf("%s %q: %v", typ, body, err)
		}
	}

	for _, tt := range []struct {
		name string
		typ  Type
		body string
		rule string
	}{
		{"array32 of 50 million in place of the message", TypeSealed, "\xdd" + u32(50_000_000), "want a map of 1"},
		{"array32 of 50 million walls", TypeSealed, walls + "\xdd" + u32(50_000_000), "a list of 50000000 is over 64"},
		{"array32 of 4 Gi imports", TypeLoaded, "\x86" + fix("component") + "\x00" + fix("verdict") + fix("") + fix("contracts") + "\x90" +
			fix("detail") + fix("") + fix("imports") + "\xdd\xff\xff\xff\xff", "a list of 4294967295 is over 4096"},
		{"a list under its cap and over the body", TypeSealed, walls + "\xdc\x00\x40", "does not fit the 0 bytes"},
		{"a list whose elements do not fit", TypeSealed, walls + "\x92" + wall, "does not fit"},
		{"8 Mi nested arrays", TypeResult, strings.Repeat("\x91", deep), "want a map of 6"},
		{"8 Mi nested arrays as a value", TypeHostCall, "\x82" + fix("op") + strings.Repeat("\x91", 5<<20), "want a string"},
		{"8 Mi nested maps", TypeResult, "\x86" + fix("verdict") + strings.Repeat("\x81\xa0", deep/2), "want a string"},
		{"nested arrays in a list of walls", TypeSealed, walls + strings.Repeat("\x91", 1000), "want a map of 3"},
		{"no body", TypeSealed, "", "want a map of 1"},
		{"no body where no field is needed", TypeBye, "", "want a map of 0"},
		{"nil for a message", TypeSealed, "\xc0", "want a map"},
		{"a map16 header for a small map", TypeSealed, "\xde\x00\x01" + fix("walls") + "\x90", "want a map"},
		{"an array for a struct", TypeSealed, "\x91\x90", "want a map"},
		{"an array for an element", TypeSealed, walls + "\x91\x93" + fix("aaaaaaaaaaaaaaaaaaaaaaa") + "\xc2" + fix(""), "want a map of 3"},
		{"a message too many", TypeBye, "\x80\x80", "1 bytes follow"},
		{"a field too many", TypeBye, "\x81" + fix("x") + "\x00", "want a map of 0"},
		{"a field too few", TypeLoad, "\x82" + fix("component") + "\x00" + fix("layer") + fix(""), "want a map of 4"},
		{"a key twice", TypeLoad, "\x84" + fix("component") + "\x00" + fix("component") + "\x00" + fix("size") + "\x00" + fix("contract") + fix(""), `want the key "layer"`},
		{"another key", TypeLoad, "\x84" + fix("component") + "\x00" + fix("layer") + fix("") + fix("sizf") + "\x00", `want the key "size"`},
		{"keys in another order", TypeLoad, "\x84" + fix("layer") + fix("") + fix("component") + "\x00" + fix("size") + "\x00", `want the key "component"`},
		{"a key that is a number", TypeSealed, "\x81\x01\x90", `want the key "walls"`},
		{"a key that is bin", TypeSealed, "\x81\xc4\x05walls\x90", `want the key "walls"`},
		{"a key in a long form", TypeSealed, "\x81\xd9\x05walls\x90", `want the key "walls"`},
		{"a key cut off", TypeSealed, "\x81\xa5wal", `want the key "walls"`},
		{"an extension", TypeSealed, walls + "\xd4\x01\x00", "want a list"},
		{"an extension before a map", TypeSealed, "\xd4\x01\x00" + walls + "\x90", "want a map"},
		{"a string over the body", TypeHostReply, reply("\xc0", "\xdb\xff\xff\xff\xff"), "does not fit"},
		{"bytes over the body", TypeHostReply, reply("\xc6\xff\xff\xff\xff", fix("")), "does not fit"},
		{"bytes of 0 in 16 bits", TypeHostReply, reply("\xc5\x00\x00", fix("")), "shortest"},
		{"bytes of 3 in 32 bits", TypeHostReply, reply("\xc6\x00\x00\x00\x03abc", fix("")), "shortest"},
		{"a string for bytes", TypeHostReply, reply(fix("x"), fix("")), "want a byte string"},
		{"bytes for a string", TypeHostReply, reply("\xc0", "\xc4\x00"), "want a string"},
		{"nil for a string", TypeHostReply, reply("\xc0", "\xc0"), "want a string"},
		{"a string of 31 in 8 bits", TypeHostReply, reply("\xc0", "\xd9\x1f"+strings.Repeat("x", 31)), "shortest"},
		{"a string of 255 in 16 bits", TypeHostReply, reply("\xc0", "\xda\x00\xff"+strings.Repeat("x", 255)), "shortest"},
		{"a string header cut off", TypeHostReply, "\x83" + fix("value") + "\xc0" + fix("code") + "\xdb\x00", "want a string"},
		{"a lone surrogate", TypeHostReply, reply("\xc0", "\xa3\xed\xa0\x80"), "UTF-8"},
		{"a string cut within a rune", TypeHostReply, reply("\xc0", "\xa1\xc3"), "UTF-8"},
		{"a number over its field", TypeHello, hello("\xce\x00\x01\x00\x01"), "65537 does not fit 16 bits"},
		{"a number in a long form", TypeHello, hello("\xcc\x7f"), "shortest"},
		{"a number in a longer form", TypeHello, hello("\xcd\x00\xff"), "shortest"},
		{"a number in the longest form", TypeHello, hello("\xcf\x00\x00\x00\x00\x00\x00\x00\x01"), "shortest"},
		{"a negative number for a natural one", TypeHello, hello("\xff"), "natural"},
		{"a signed form for a natural number", TypeHello, hello("\xd1\x01\x00"), "natural"},
		{"a float", TypeHello, hello("\xca\x3f\x80\x00\x00"), "natural"},
		{"a number cut off", TypeHello, "\x84" + fix("min") + "\xcd\x01", "shortest"},
		{"nothing for a number", TypeHello, "\x84" + fix("min"), "natural"},
		{"an integer over its field", TypeRefused, refused("\xce\x80\x00\x00\x00"), "2147483648 does not fit 32 bits"},
		{"an integer under its field", TypeRefused, refused("\xd3\xff\xff\xff\xff\x7f\xff\xff\xff"), "does not fit 32 bits"},
		{"an integer over 63 bits", TypeRefused, refused("\xcf\x80\x00\x00\x00\x00\x00\x00\x00"), "does not fit 32 bits"},
		{"-32 in a long form", TypeRefused, refused("\xd0\xe0"), "shortest"},
		{"-128 in a long form", TypeRefused, refused("\xd1\xff\x80"), "shortest"},
		{"-32768 in a long form", TypeRefused, refused("\xd2\xff\xff\x80\x00"), "shortest"},
		{"-1 in the longest form", TypeRefused, refused("\xd3\xff\xff\xff\xff\xff\xff\xff\xff"), "shortest"},
		{"1 in a signed form", TypeRefused, refused("\xd0\x01"), "shortest"},
		{"nil for an integer", TypeRefused, refused("\xc0"), "shortest"},
		{"nothing for an integer", TypeRefused, "\x85" + fix("wall") + fix("w") + fix("where") + fix("") + fix("errno"), "shortest"},
		{"a number for a boolean", TypeSealed, walls + "\x91" + strings.Replace(wall, "\xc2", "\x01", 1), "want a boolean"},
		{"the code that is never used", TypeSealed, "\xc1", "want a map"},
		{"an unknown type", 30, "\x80", "unknown type 30"},
		{"a body over the cap", TypeSealed, strings.Repeat("\x91", maxControl+1), "is over the 65536"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body := []byte(tt.body)
			var err error
			if got := allocated(func() { err = Check(tt.typ, body) }); got > 64<<10 {
				t.Errorf("Check allocated %d bytes", got)
			}
			if err == nil || !strings.Contains(err.Error(), tt.rule) {
				t.Errorf("got %v, want something with %q", err, tt.rule)
			}
		})
	}
}

// Each message cut at each byte is refused, and so is each with a byte more.
func TestCheckWantsAll(t *testing.T) {
	for _, s := range known() {
		body := marshal(t, filled(s))
		for n := range body {
			if Check(s.typ, body[:n]) == nil {
				t.Errorf("%s: %d of %d bytes are enough", s.name, n, len(body))
			}
		}
		if Check(s.typ, append(body, 0xc0)) == nil {
			t.Errorf("%s: a byte more passes", s.name)
		}
	}
}

// The decoder behind Check is as careless as its comment says. The day this
// fails, the library has changed and the comment is to be read again.
func TestWhyCheckComesFirst(t *testing.T) {
	body := []byte("\x81" + fix("walls") + "\xdd" + u32(1_000_000))
	got := allocated(func() {
		if _, err := unmarshal(TypeSealed, body); err == nil {
			t.Error("decoded a million walls from nothing")
		}
	})
	if got < 10_000_000 {
		t.Errorf("the decoder allocated only %d bytes for %d bytes", got, len(body))
	}
	m, err := unmarshal(TypeHello, []byte("\x81"+fix("min")+"\xce\x00\x01\x00\x01"))
	if err != nil || m.(*Hello).Min != 1 {
		t.Errorf("65537 became %+v, %v", m, err)
	}
}

func TestShapesNeedNames(t *testing.T) {
	for _, bad := range []any{
		struct{ A string }{},
		struct {
			A []string `msgpack:"a"`
		}{},
		struct {
			A float64 `msgpack:"a"`
		}{},
		struct {
			A map[string]string `msgpack:"a"`
		}{},
		struct {
			a string `msgpack:"a"` //nolint:unused // that is the point
		}{},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%T has a shape", bad)
				}
			}()
			shapeOfType(reflect.TypeOf(bad), "")
		}()
	}
}

// Lists are where a few bytes become many: the worst is an empty string in a
// list, one byte for a header of 16, and growing doubles that.
const amplification = 64

// accepted is the property that Check promises the decoder.
func accepted(t *testing.T, typ Type, body []byte) {
	var m Message
	var err error
	got := allocated(func() { m, err = unmarshal(typ, body) })
	if err != nil {
		t.Fatalf("Check took %s %x, the decoder did not: %v", typ, body, err)
	}
	if bound := uint64(amplification*len(body) + 64<<10); got > bound {
		t.Errorf("%s of %d bytes: decoding allocated %d, want at most %d", typ, len(body), got, bound)
	}
	if again := marshal(t, m); !bytes.Equal(again, body) {
		t.Errorf("%s is encoded as\n%x and as\n%x", typ, body, again)
	}
}

func FuzzCheck(f *testing.F) {
	for _, s := range known() {
		f.Add(uint8(s.typ), marshal(f, s.make()))
		f.Add(uint8(s.typ), marshal(f, filled(s)))
	}
	f.Add(uint8(TypeSealed), []byte("\x81"+fix("walls")+"\xdd"+u32(50_000_000)))
	f.Add(uint8(TypeResult), bytes.Repeat([]byte{0x91}, 4096))
	f.Fuzz(func(t *testing.T, typ uint8, body []byte) {
		if Check(Type(typ), body) == nil {
			accepted(t, Type(typ), body)
		}
	})
}

// FuzzMessage changes one message into another byte by byte: most results are
// near misses, which random bytes never are.
func FuzzMessage(f *testing.F) {
	for _, s := range known() {
		f.Add(uint8(s.typ), uint16(3), byte(0xdd), uint16(0))
	}
	f.Fuzz(func(t *testing.T, typ uint8, at uint16, with byte, cut uint16) {
		s := specOf(Type(typ))
		if s == nil {
			return
		}
		body := marshal(t, filled(s))
		body[int(at)%len(body)] = with
		body = body[:len(body)-int(cut)%len(body)]
		if Check(s.typ, body) == nil {
			accepted(t, s.typ, body)
		}
	})
}

func TestCheckNamesThePlace(t *testing.T) {
	err := Check(TypeSealed, []byte("\x81"+fix("walls")+"\x91\x83"+fix("name")+"\x01xxxxxxxxxxxxxxxxxxxxxxxxxx"))
	if want := "Sealed at byte 14: walls: name: want a string with its shortest header"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if errors.Unwrap(err) != nil {
		t.Error("there is nothing to wrap")
	}
}
