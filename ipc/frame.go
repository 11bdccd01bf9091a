package ipc

import (
	"encoding/binary"
	"fmt"
)

// headerSize is the length of a frame header:
//
//	0       4      5       6          8    12
//	+-------+------+-------+----------+----+------- - -
//	|length | type | flags | reserved | id | body
//	+-------+------+-------+----------+----+------- - -
//
// All numbers are big-endian; length counts the body only.
const headerSize = 12

// FlagOptional marks a frame that a reader who does not know its type skips.
// It is the only flag; types of this version never carry it.
const FlagOptional uint8 = 1 << 0

// Limits on frames that are skipped. They keep a peer from using grease to move
// data or to keep a reader busy between two frames that mean something.
const (
	MaxOptionalBody = 4 << 10 // bytes of one skipped body
	MaxOptionalRun  = 16      // skipped frames in a row
)

// Caps on bodies. A length above the cap of its type is refused before anything
// is allocated for it.
const (
	maxControl = 64 << 10
	// The request of a step: limits.StepInput goes up to 8 MiB.
	maxInvoke = 8<<20 + 64<<10
	// The output of a step (limits.StepOutput, up to 8 MiB), its log
	// (limits.Log, up to 4 MiB) and at most 4 MiB for what stands around log
	// lines, plus the detail.
	maxResult = 16 << 20
	// limits.HostCallBytes goes up to 4 MiB; as base64 inside JSON that is a
	// third more.
	maxHostCall = (4<<20)*4/3 + 64<<10
)

// Side is one end of a connection.
type Side int

// The sides.
const (
	SupervisorSide Side = iota
	WorkerSide
)

// String names the side.
func (s Side) String() string {
	if s == WorkerSide {
		return "worker"
	}
	return "supervisor"
}

func (s Side) other() Side {
	if s == WorkerSide {
		return SupervisorSide
	}
	return WorkerSide
}

// spec is what is fixed about a type.
type spec struct {
	name  string
	typ   Type
	max   int            // bytes of body
	files int            // descriptors that ride along
	make  func() Message // an empty one to decode into
	shape *shape         // what Check holds the body against
}

// specs is indexed by type; the holes are types that nobody knows.
var specs = func() (t [64]*spec) {
	add := func(name string, max, files int, mk func() Message) {
		m := mk()
		t[m.frameType()] = &spec{name: name, typ: m.frameType(), max: max, files: files, make: mk, shape: shapeOf(m)}
	}
	add("Hello", maxControl, 0, func() Message { return new(Hello) })
	add("Ready", maxControl, 0, func() Message { return new(Ready) })
	add("Refused", maxControl, 0, func() Message { return new(Refused) })
	add("Loaded", maxControl, 0, func() Message { return new(Loaded) })
	add("Compiled", maxControl, 0, func() Message { return new(Compiled) })
	add("Sealed", maxControl, 0, func() Message { return new(Sealed) })
	add("HostCall", maxHostCall, 0, func() Message { return new(HostCall) })
	add("Result", maxResult, 0, func() Message { return new(Result) })
	add("Attempted", maxControl, 0, func() Message { return new(Attempted) })
	add("Welcome", maxControl, 0, func() Message { return new(Welcome) })
	add("Load", maxControl, 1, func() Message { return new(Load) })
	add("Compile", maxControl, 2, func() Message { return new(Compile) })
	add("Seal", maxControl, 0, func() Message { return new(Seal) })
	add("Invoke", maxInvoke, 0, func() Message { return new(Invoke) })
	add("HostReply", maxHostCall, 0, func() Message { return new(HostReply) })
	add("Bye", maxControl, 0, func() Message { return new(Bye) })
	add("Attempt", maxControl, 0, func() Message { return new(Attempt) })
	return t
}()

func specOf(t Type) *spec {
	if int(t) < len(specs) {
		return specs[t]
	}
	return nil
}

// String gives the name of the message, or the code of an unknown type.
func (t Type) String() string {
	if s := specOf(t); s != nil {
		return s.name
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// NameOf gives the name of a message's type.
func NameOf(m Message) string { return m.frameType().String() }

// Sender is the side that sends frames of this type; unknown types have one
// too.
func (t Type) Sender() Side {
	if t < 32 {
		return WorkerSide
	}
	return SupervisorSide
}

// MaxBody is the most bytes a body of this type may have; 0 for an unknown
// type.
func (t Type) MaxBody() int {
	if s := specOf(t); s != nil {
		return s.max
	}
	return 0
}

// Files is the number of descriptors that ride with a frame of this type.
func (t Type) Files() int {
	if s := specOf(t); s != nil {
		return s.files
	}
	return 0
}

type header struct {
	length   uint32
	typ      Type
	flags    uint8
	reserved uint16
	id       uint32
}

func parseHeader(b *[headerSize]byte) header {
	return header{
		length:   binary.BigEndian.Uint32(b[0:]),
		typ:      Type(b[4]),
		flags:    b[5],
		reserved: binary.BigEndian.Uint16(b[6:]),
		id:       binary.BigEndian.Uint32(b[8:]),
	}
}

func (h header) put(b []byte) {
	binary.BigEndian.PutUint32(b[0:], h.length)
	b[4] = byte(h.typ)
	b[5] = h.flags
	binary.BigEndian.PutUint16(b[6:], h.reserved)
	binary.BigEndian.PutUint32(b[8:], h.id)
}

// rule gives the rule that the header breaks when a frame comes from side
// from, or "". It looks at nothing but the header and the table of types, so it
// runs before anything is allocated.
func (h header) rule(from Side) string {
	s := specOf(h.typ)
	switch {
	case h.reserved != 0:
		return "the reserved bytes are not zero"
	case h.flags&^FlagOptional != 0:
		return fmt.Sprintf("unknown flags %#x", h.flags&^FlagOptional)
	case h.typ == 0:
		return "there is no type 0"
	case h.typ.Sender() != from:
		return fmt.Sprintf("%s is sent by the %s", h.typ, h.typ.Sender())
	case s != nil && h.flags != 0:
		return fmt.Sprintf("%s is not optional", h.typ)
	case s != nil && h.length > uint32(s.max):
		return fmt.Sprintf("a body of %d bytes is over the %d that %s may have", h.length, s.max, h.typ)
	case s == nil && h.flags&FlagOptional == 0:
		return fmt.Sprintf("unknown %s", h.typ)
	case s == nil && h.length > MaxOptionalBody:
		return fmt.Sprintf("an optional body of %d bytes is over %d", h.length, MaxOptionalBody)
	}
	return ""
}
