package pack_test

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
	"testing"
)

// rawEntry is one entry of a hand-made zip archive. Every field that a hostile
// archive could lie in is written as it is.
type rawEntry struct {
	name    string
	method  uint16
	flags   uint16
	crc     uint32
	csize   uint32
	usize   uint32
	attrs   uint32 // external attributes
	extra   []byte // of the central directory
	body    []byte
	offset  uint32 // of the local header, unless 0
	noLocal bool   // shares the local header of another entry, at offset
}

// stored is an honest entry.
func stored(name, content string) rawEntry {
	n := uint32(len(content))
	return rawEntry{name: name, crc: crc32.ChecksumIEEE([]byte(content)), csize: n, usize: n, attrs: 0o100644 << 16, body: []byte(content)}
}

// deflated is an honest compressed entry.
func deflated(name string, content []byte) rawEntry {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.DefaultCompression)
	w.Write(content)
	w.Close()
	return rawEntry{name: name, method: 8, crc: crc32.ChecksumIEEE(content), csize: uint32(b.Len()), usize: uint32(len(content)), attrs: 0o100644 << 16, body: b.Bytes()}
}

// claims is an entry that declares size bytes and has as many compressed ones as
// would do. It is for archives that are refused before anything is inflated.
func claims(name string, size uint32) rawEntry {
	body := make([]byte, size/1000)
	return rawEntry{name: name, method: 8, csize: uint32(len(body)), usize: size, body: body}
}

// end is the end record, with the numbers it should have.
type end struct {
	disk, dirDisk, here, all uint16
	length, offset           uint32
	comment                  uint16
}

// rawZip writes the entries and then whatever edit makes of the end record.
func rawZip(entries []rawEntry, edit ...func(*end)) []byte {
	var b bytes.Buffer
	le := func(vs ...any) {
		for _, v := range vs {
			binary.Write(&b, binary.LittleEndian, v)
		}
	}
	offsets := make([]uint32, len(entries))
	for i, e := range entries {
		offsets[i] = uint32(b.Len())
		if e.offset != 0 || e.noLocal {
			offsets[i] = e.offset
		}
		if !e.noLocal {
			le(uint32(0x04034b50), uint16(20), e.flags, e.method, uint16(0), uint16(0x21), e.crc, e.csize, e.usize, uint16(len(e.name)), uint16(0), []byte(e.name), e.body)
		}
	}
	start := b.Len()
	for i, e := range entries {
		le(uint32(0x02014b50), uint16(3<<8|20), uint16(20), e.flags, e.method, uint16(0), uint16(0x21), e.crc, e.csize, e.usize,
			uint16(len(e.name)), uint16(len(e.extra)), uint16(0), uint16(0), uint16(0), e.attrs, offsets[i], []byte(e.name), e.extra)
	}
	r := end{here: uint16(len(entries)), all: uint16(len(entries)), length: uint32(b.Len() - start), offset: uint32(start)}
	for _, f := range edit {
		f(&r)
	}
	le(uint32(0x06054b50), r)
	return b.Bytes()
}

const packJSON = `{"id":"p","version":"1","meta":{"entry_flows":{"setup":"setup_default"}}}`

// sound is a minimal pack that opens.
func sound(more ...rawEntry) []rawEntry {
	return append([]rawEntry{stored("pack.json", packJSON), stored("setup_default__apply.wat", "(module)")}, more...)
}

// with is sound plus one entry that edit makes hostile.
func with(edit func(*rawEntry)) func(*testing.T) []byte {
	return func(*testing.T) []byte {
		e := stored("x", "hello")
		edit(&e)
		return rawZip(sound(e))
	}
}

func named(name string) func(*testing.T) []byte {
	return with(func(e *rawEntry) { e.name = name })
}

func ending(edit func(*end)) func(*testing.T) []byte {
	return func(*testing.T) []byte { return rawZip(sound(), edit) }
}
