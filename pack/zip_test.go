package pack_test

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/greentic-ai/greentic-provision/pack"
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
	var b []byte
	le := func(vs ...any) {
		for _, v := range vs {
			b, _ = binary.Append(b, binary.LittleEndian, v)
		}
	}
	offsets := make([]uint32, len(entries))
	for i, e := range entries {
		offsets[i] = uint32(len(b))
		if e.offset != 0 || e.noLocal {
			offsets[i] = e.offset
		}
		if !e.noLocal {
			le(uint32(0x04034b50), uint16(20), e.flags, e.method, uint16(0), uint16(0x21), e.crc, e.csize, e.usize, uint16(len(e.name)), uint16(0), []byte(e.name), e.body)
		}
	}
	start := len(b)
	for i, e := range entries {
		le(uint32(0x02014b50), uint16(3<<8|20), uint16(20), e.flags, e.method, uint16(0), uint16(0x21), e.crc, e.csize, e.usize,
			uint16(len(e.name)), uint16(len(e.extra)), uint16(0), uint16(0), uint16(0), e.attrs, offsets[i], []byte(e.name), e.extra)
	}
	r := end{here: uint16(len(entries)), all: uint16(len(entries)), length: uint32(len(b) - start), offset: uint32(start)}
	for _, f := range edit {
		f(&r)
	}
	le(uint32(0x06054b50), r)
	return b
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

// FuzzZip makes one entry of an archive, and its end record, lie in every field, each
// by what it is told. What is taken all the same is honest, and the standard library
// reads the same files in it.
func FuzzZip(f *testing.F) {
	type lies struct {
		name          string
		content       []byte
		deflate       bool
		flags, method uint16
		crc, csize    uint32
		usize, attrs  uint32
		offset        uint32
		extra         []byte
		count         uint16
		length, start uint32
		behind        []byte
	}
	add := func(l lies) {
		f.Add(l.name, l.content, l.deflate, l.flags, l.method, l.crc, l.csize, l.usize, l.attrs, l.offset, l.extra, l.count, l.length, l.start, l.behind)
	}
	regular := lies{name: "x", content: []byte("hello hello hello"), attrs: 0o100644 << 16}
	add(regular)
	for _, change := range []func(*lies){
		func(l *lies) { l.deflate = true },
		func(l *lies) { l.name, l.content, l.attrs = "d/", nil, 0o040755<<16 },
		func(l *lies) { l.name = "../x" },
		func(l *lies) { l.name = "PACK.JSON" },
		func(l *lies) { l.flags = 1 },
		func(l *lies) { l.flags = 8 },
		func(l *lies) { l.method = 8 },
		func(l *lies) { l.crc = 1 },
		func(l *lies) { l.csize = 1 },
		func(l *lies) { l.csize, l.usize = 0xffffffff, 0xffffffff },
		func(l *lies) { l.usize = 1 << 20 },
		func(l *lies) { l.attrs = 0o120777 << 16 },
		func(l *lies) { l.offset = 73 },
		func(l *lies) { l.extra = zip64Extra(5, 5) },
		func(l *lies) { l.extra = []byte{0x55, 0x54, 5, 0, 3, 0, 0, 0, 0} },
		func(l *lies) { l.count = 1 },
		func(l *lies) { l.length, l.start = 46, 46 },
		func(l *lies) { l.behind = []byte("PK\x05\x06") },
	} {
		l := regular
		change(&l)
		add(l)
	}
	f.Fuzz(func(t *testing.T, name string, content []byte, deflate bool, flags, method uint16, crc, csize, usize, attrs, offset uint32, extra []byte, count uint16, length, start uint32, behind []byte) {
		if len(name) > 0xffff || len(extra) > 0xffff {
			return // a record has no room for it
		}
		e := stored(name, string(content))
		if deflate {
			e = deflated(name, content)
		}
		e.flags, e.method, e.crc, e.csize, e.usize = flags, e.method^method, e.crc^crc, e.csize^csize, e.usize^usize
		e.attrs, e.offset, e.extra = attrs, offset, extra
		archive := append(rawZip(sound(e), func(r *end) {
			r.here, r.all, r.length, r.offset = r.here^count, r.all^count, r.length^length, r.offset^start
		}), behind...)
		checkOpen(t, archive)
		files, err := pack.ArchiveFiles(archive)
		if err != nil {
			return
		}
		path, isDir := strings.CutSuffix(name, "/")
		kind := fs.FileMode(attrs >> 16 & 0o170000)
		switch {
		case crc != 0 || csize != 0 || usize != 0 || count != 0 || length != 0 || start != 0 || len(behind) > 0:
			t.Fatal("taken with a lie")
		case flags&0x2041 != 0 || e.method != zip.Store && e.method != zip.Deflate || !fs.ValidPath(path) || path == ".":
			t.Fatalf("taken with flags %#x, method %d, name %q", flags, e.method, name)
		case kind != 0 && kind != 0o100000 && !(isDir && kind == 0o040000) || isDir && len(content) > 0:
			t.Fatalf("taken with the file type %#o", kind)
		case !isDir && method == 0 && !bytes.Equal(files[name], content):
			t.Fatalf("%q is read as %q", content, files[name])
		}
		if flags&8 != 0 {
			return // archive/zip wants a data descriptor, which says nothing that the directory does not
		}
		r, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
		if err != nil {
			t.Fatal(err)
		}
		theirs := 0
		for _, f := range r.File {
			if strings.HasSuffix(f.Name, "/") {
				continue
			}
			theirs++
			in, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(in)
			if err != nil || !bytes.Equal(b, files[f.Name]) {
				t.Errorf("%q has %q; archive/zip has %q, %v", f.Name, files[f.Name], b, err)
			}
		}
		if len(files) != theirs {
			t.Errorf("%d files; archive/zip has %d", len(files), theirs)
		}
	})
}
