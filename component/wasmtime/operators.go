//go:build cgo

package wasmtime

// Operators that are told from others here.
const (
	opBlock        = 0x02
	opLoop         = 0x03
	opIf           = 0x04
	opCall         = 0x10
	opCallIndirect = 0x11
	opLocalGet     = 0x20
	opTableGet     = 0x25
	prefixMisc     = 0xfc
	prefixVector   = 0xfd
)

// reader goes through code. After the first thing that it cannot read it has
// failed, and gives zeros.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) skip(n uint64) {
	if n > uint64(len(r.rest)) {
		r.failed, r.rest = true, nil
		return
	}
	r.rest = r.rest[n:]
}

func (r *reader) byte() byte {
	if len(r.rest) == 0 {
		r.failed = true
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

func (r *reader) u32() uint32 {
	v, n := leb32(r.rest)
	if n == 0 {
		r.failed, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// s33 reads a block's type: an index, or below zero a value type or none.
func (r *reader) s33() int64 {
	var v int64
	for shift := 0; shift < 35; shift += 7 {
		b := r.byte()
		v |= int64(b&0x7f) << shift
		if b < 0x80 {
			if b&0x40 != 0 {
				v |= -1 << (shift + 7)
			}
			return v
		}
	}
	r.failed = true
	return 0
}

// leb skips a number of any size.
func (r *reader) leb() {
	for r.byte() >= 0x80 {
	}
}

// memarg skips how a load or store finds its address.
func (r *reader) memarg() {
	const withMemory = 1 << 6
	if r.u32()&withMemory != 0 {
		r.u32()
	}
	r.leb()
}

// immediates skips what follows an operator of the features that are on (settings).
func (r *reader) immediates(op byte) {
	switch {
	case op == 0x00 || op == 0x01 || op == 0x05 || op == 0x0b || op == 0x0f, // unreachable, nop, else, end, return
		op == 0x1a || op == 0x1b, // drop, select
		op >= 0x45 && op <= 0xc4, // arithmetic
		op == 0xd1:               // ref.is_null
	case op == opBlock || op == opLoop || op == opIf || op == 0xd0: // ref.null
		r.s33()
	case op == 0x0c || op == 0x0d, // br, br_if
		op == opCall || op == 0x12,     // return_call
		op >= opLocalGet && op <= 0x26, // locals, globals, tables
		op == 0x3f || op == 0x40,       // memory.size, memory.grow
		op == 0xd2:                     // ref.func
		r.u32()
	case op == 0x0e: // br_table
		for range r.u32() {
			if r.failed {
				return
			}
			r.u32()
		}
		r.u32()
	case op == opCallIndirect || op == 0x13: // return_call_indirect
		r.u32()
		r.u32()
	case op == 0x1c: // select with types
		r.skip(uint64(r.u32()))
	case op >= 0x28 && op <= 0x3e: // loads and stores
		r.memarg()
	case op == 0x41 || op == 0x42: // i32.const, i64.const
		r.leb()
	case op == 0x43: // f32.const
		r.skip(4)
	case op == 0x44: // f64.const
		r.skip(8)
	case op == prefixMisc:
		switch sub := r.u32(); {
		case sub <= 7: // conversions
		case sub == 8 || sub == 10 || sub == 12 || sub == 14: // init and copy
			r.u32()
			r.u32()
		case sub <= 17: // drop, fill, grow, size
			r.u32()
		default:
			r.failed = true
		}
	case op == prefixVector:
		switch sub := r.u32(); {
		case sub <= 11 || sub == 92 || sub == 93: // loads and stores
			r.memarg()
		case sub == 12 || sub == 13: // constants and shuffles
			r.skip(16)
		case sub >= 21 && sub <= 34: // one lane
			r.skip(1)
		case sub >= 84 && sub <= 91: // loads and stores of one lane
			r.memarg()
			r.skip(1)
		case sub <= 255: // arithmetic
		default:
			r.failed = true
		}
	default:
		r.failed = true
	}
}
