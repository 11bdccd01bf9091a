package pack

import (
	"archive/zip"
	"bufio"
	"bytes"
	"cmp"
	"compress/flate"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"iter"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/plan"
)

// Limits on an archive. They bound what is really inflated; a declared size is
// only ever a reason to refuse earlier.
const (
	MaxArchive = 256 << 20 // bytes of a .gtpack file
	MaxEntries = 4096      // entries of an archive, directories included
	MaxEntry   = 64 << 20  // bytes of one entry
	MaxTotal   = 512 << 20 // bytes of all entries together
	MaxPath    = 512       // bytes of an entry name
	MaxDepth   = 32        // elements of an entry name
)

// maxDirectory bounds the central directory before archive/zip reads it: that
// package makes one object of some 300 bytes per 46-byte record it meets and
// looks at no count first. 1 KiB per entry leaves room for the longest name and
// as much again for extra fields.
const maxDirectory = MaxEntries * 1024

const (
	endLen       = 22 // end of central directory record, without comment
	locatorLen   = 20 // zip64 end of central directory locator
	endMark      = "PK\x05\x06"
	locatorMark  = "PK\x06\x07"
	localMark    = "PK\x03\x04"
	localLen     = 30 // local header, without name and extra field
	recordLen    = 46 // record of the central directory, without name, extra field and comment
	flagsRefused = 1<<0 | 1<<6 | 1<<13
)

// maxRatio is the most that DEFLATE can expand: 258 bytes for 2 bits, 1032:1
// (zlib's technical notes). A declared size beyond it is a lie, so buffers made
// to measure stay in proportion to bytes that are really there.
const maxRatio = 1032

// archive is an opened zip pack.
type archive struct {
	files map[string]*zip.File
	order []*zip.File

	// Reused from entry to entry: a fresh set costs 80 KiB.
	in       *bufio.Reader
	inflater io.ReadCloser
	buffer   []byte
}

// openArchive checks everything that can be checked without inflating: the end
// record, the directory, each entry's name, kind, method and place.
func openArchive(r io.ReaderAt, size int64) (*archive, error) {
	records, directory, err := checkEnd(r, size)
	if err != nil {
		return nil, err
	}
	zr, err := zip.NewReader(r, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) { // checkName is stricter
		if isMachine(err) {
			return nil, err
		}
		return nil, refuse(RuleArchive, "", hintRebuild, "the central directory does not hold the %d entries that the end record counts: %s", records, hostile.Error(err))
	}
	if len(zr.File) > MaxEntries { // archive/zip compares counts modulo 65,536
		return nil, refuse(RuleEntries, "", "", "the archive has %d entries; at most %d are read", len(zr.File), MaxEntries)
	}
	a := &archive{files: make(map[string]*zip.File, len(zr.File)), order: zr.File,
		in: bufio.NewReader(nil), buffer: make([]byte, 32<<10)}
	names := newNames()
	var declared uint64
	var taken int64 // of the directory's bytes
	for _, f := range zr.File {
		if err := checkHeader(f); err != nil {
			return nil, err
		}
		taken += recordLen + int64(len(f.Name)+len(f.Extra)+len(f.Comment))
		if err := names.add(f.Name); err != nil {
			return nil, err
		}
		declared += f.UncompressedSize64
		if declared > MaxTotal {
			return nil, refuse(RuleTotalSize, f.Name, "", "up to here the entries declare %d bytes; at most %d are read from one pack", declared, MaxTotal)
		}
		if !strings.HasSuffix(f.Name, "/") {
			a.files[f.Name] = f
		}
	}
	if length := size - endLen - directory; taken != length { // archive/zip stops at the first record that is none
		return nil, refuse(RuleArchive, "", hintRebuild, "the central directory is %d bytes long and its %d records take %d", length, records, taken)
	}
	return a, checkLayout(zr.File, directory)
}

const hintRebuild = "build the pack again and compare its digest with the publisher's"

// checkEnd reads the last 22 bytes and gives the number of entries and the
// offset of the central directory.
//
// archive/zip searches the last 65 KiB for an end record, guesses at an offset
// when the numbers disagree, and follows a zip64 record; so do other readers,
// each a little differently, and files exist that show every reader another
// directory. Here the record must be the last 22 bytes and the directory must
// lie directly before it: one archive, one reading. zip64 has no use under the
// caps and is refused. (archive/zip also looks for zip64 when the directory is
// 65,535 bytes long; hence the explicit look at the locator.)
func checkEnd(r io.ReaderAt, size int64) (records int, directory int64, err error) {
	if size < endLen {
		return 0, 0, refuse(RuleArchive, "", hintRebuild, "%d bytes cannot hold a zip archive: truncated", size)
	}
	b := make([]byte, min(size, endLen+locatorLen))
	if _, err := r.ReadAt(b, size-int64(len(b))); err != nil && !errors.Is(err, io.EOF) {
		return 0, 0, machineOr(err, RuleArchive, "")
	}
	locator, end := b[:len(b)-endLen], b[len(b)-endLen:]
	if string(end[:4]) != endMark || binary.LittleEndian.Uint16(end[20:]) != 0 {
		return 0, 0, refuse(RuleArchive, "", hintRebuild, "the archive does not end with its end record: truncated, or followed by a comment or other bytes")
	}
	if bytes.HasPrefix(locator, []byte(locatorMark)) {
		return 0, 0, refuse(RuleArchive, "", "", "the archive has a zip64 end record; a pack within the size limits never needs one")
	}
	disk, dirDisk := binary.LittleEndian.Uint16(end[4:]), binary.LittleEndian.Uint16(end[6:])
	here, all := binary.LittleEndian.Uint16(end[8:]), binary.LittleEndian.Uint16(end[10:])
	length, offset := int64(binary.LittleEndian.Uint32(end[12:])), int64(binary.LittleEndian.Uint32(end[16:]))
	switch {
	case disk != 0 || dirDisk != 0 || here != all:
		return 0, 0, refuse(RuleArchive, "", "", "the archive says that it is split over several files")
	case int(all) > MaxEntries:
		return 0, 0, refuse(RuleEntries, "", "", "the archive says that it has %d entries; at most %d are read", all, MaxEntries)
	case length > maxDirectory:
		return 0, 0, refuse(RuleEntries, "", "", "the central directory is %d bytes long; at most %d are read (%d entries)", length, maxDirectory, MaxEntries)
	case offset+length != size-endLen:
		return 0, 0, refuse(RuleArchive, "", hintRebuild, "the central directory (%d bytes at %d) does not lie directly before the end record at %d", length, offset, size-endLen)
	}
	return int(all), offset, nil
}

func machineOr(err error, rule Rule, entry string) error {
	if isMachine(err) {
		return err
	}
	return refuse(rule, entry, hintRebuild, "%s", hostile.Error(err))
}

// checkHeader applies the rules that one directory record can break by itself.
func checkHeader(f *zip.File) error {
	if err := checkName(strings.TrimSuffix(f.Name, "/")); err != nil {
		return refuse(RuleName, f.Name, "", "%v", err)
	}
	isDir := strings.HasSuffix(f.Name, "/")
	// The upper half of the external attributes is st_mode wherever it is not
	// zero. It is looked at whatever system the record says made it: some
	// unpackers do the same and would make the link.
	switch kind := f.ExternalAttrs >> 16 & 0o170000; {
	case kind == 0, kind == 0o100000 && !isDir, kind == 0o040000 && isDir:
	case kind == 0o120000:
		return refuse(RuleKind, f.Name, "put the file itself into the pack", "is a symbolic link")
	default:
		return refuse(RuleKind, f.Name, "", "has file type %#o", kind)
	}
	if hasZip64(f.Extra) {
		return refuse(RuleArchive, f.Name, "", "has sizes or an offset in zip64; a pack within the size limits never needs them")
	}
	if f.Flags&flagsRefused != 0 {
		return refuse(RuleEncrypted, f.Name, "", "is encrypted (flags %#04x)", f.Flags)
	}
	if f.Method != zip.Store && f.Method != zip.Deflate {
		return refuse(RuleMethod, f.Name, "", "is compressed with method %d; 0 (stored) and 8 (deflate) are read", f.Method)
	}
	switch {
	case isDir && (f.UncompressedSize64 != 0 || f.CompressedSize64 != 0 || f.CRC32 != 0):
		return refuse(RuleTrueSize, f.Name, "", "is a directory and declares content")
	case f.UncompressedSize64 > MaxEntry:
		return refuse(RuleEntrySize, f.Name, "", "declares %d bytes; at most %d are read", f.UncompressedSize64, MaxEntry)
	case f.Method == zip.Store && f.CompressedSize64 != f.UncompressedSize64:
		return refuse(RuleTrueSize, f.Name, "", "is stored and declares %d bytes in the archive but %d in content", f.CompressedSize64, f.UncompressedSize64)
	case f.UncompressedSize64 > maxRatio*f.CompressedSize64+maxRatio: // no overflow: without zip64, sizes have 32 bits
		return refuse(RuleTrueSize, f.Name, "", "declares %d bytes, more than %d compressed bytes can give", f.UncompressedSize64, f.CompressedSize64)
	}
	return nil
}

// hasZip64 says that an entry has a second set of sizes and offset, in the extra field
// of zip64 (APPNOTE 4.5.3). archive/zip follows it where the first set says so, others
// always: another reading of the archive. None of 200 published packs has one.
func hasZip64(extra []byte) bool {
	const id, headLen = 1, 4
	for len(extra) >= headLen {
		if binary.LittleEndian.Uint16(extra) == id {
			return true
		}
		extra = extra[min(len(extra), headLen+int(binary.LittleEndian.Uint16(extra[2:]))):]
	}
	return false
}

// checkLayout refuses entries whose data overlap, or reach into the central
// directory. Overlap is how a small archive gets an enormous content (D. Fifield,
// "A better zip bomb", 2019) and how two names share one unchecked body.
func checkLayout(files []*zip.File, directory int64) error {
	type extent struct {
		f          *zip.File
		start, end int64
	}
	extents := make([]extent, 0, len(files))
	for _, f := range files {
		start, err := f.DataOffset()
		if err != nil {
			if isMachine(err) {
				return err
			}
			return refuse(RuleArchive, f.Name, hintRebuild, "has no local header where the central directory says")
		}
		if start > directory || f.CompressedSize64 > uint64(directory-start) {
			return refuse(RuleArchive, f.Name, hintRebuild, "%d bytes at %d reach into the central directory at %d", f.CompressedSize64, start, directory)
		}
		extents = append(extents, extent{f, start, start + int64(f.CompressedSize64)})
	}
	slices.SortStableFunc(extents, func(x, y extent) int { return cmp.Compare(x.start, y.start) })
	var end int64
	for _, x := range extents {
		if x.start-localLen < end {
			return refuse(RuleArchive, x.f.Name, hintRebuild, "overlaps another entry")
		}
		end = x.end
	}
	return nil
}

func (a *archive) find(name string) (found, error) {
	if _, ok := a.files[name]; ok {
		return present, nil
	}
	return absent, nil
}

// size is at most maxRatio times what is there: checkHeader.
func (a *archive) size(name string) int64 { return int64(a.files[name].UncompressedSize64) }

func (a *archive) copy(w io.Writer, name string, most int64, rule Rule) error {
	f := a.files[name]
	if f.UncompressedSize64 > uint64(most) {
		return refuse(rule, name, "", "is %d bytes; at most %d are read", f.UncompressedSize64, most)
	}
	return a.inflate(f, w)
}

func (a *archive) names() ([]string, error) { return slices.Sorted(maps.Keys(a.files)), nil }

func (a *archive) list(dir string) ([]string, error) { return within(dir, maps.Keys(a.files)), nil }

// within picks the files directly in dir.
func within(dir string, names iter.Seq[string]) []string {
	var out []string
	for name := range names {
		if path.Dir(name) == dir {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// finish inflates every entry that was not read, to nowhere.
func (a *archive) finish(read func(string) bool) error {
	for _, f := range a.order {
		if !read(f.Name) {
			if err := a.inflate(f, io.Discard); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *archive) findings() []plan.Diagnostic { return nil }

// inflate writes the content of f to w and checks it. It does not use
// zip.File.Open, which skips the checksum when the record says 0 and does not
// notice bytes after the end of the compressed stream.
func (a *archive) inflate(f *zip.File, w io.Writer) error {
	raw, err := f.OpenRaw()
	if err != nil {
		return machineOr(err, RuleArchive, f.Name)
	}
	a.in.Reset(raw) // a ByteReader: flate then takes no byte beyond the stream
	var content io.Reader = a.in
	if f.Method == zip.Deflate {
		if a.inflater == nil {
			a.inflater = flate.NewReader(a.in)
		} else if err := a.inflater.(flate.Resetter).Reset(a.in, nil); err != nil {
			return refuse(RuleArchive, f.Name, hintRebuild, "%s", hostile.Error(err))
		}
		content = a.inflater
	}
	// One byte more than declared shows that there is more; caps hold because
	// declared sizes were held against them, one by one and in sum.
	sum := crc32.NewIEEE()
	n, err := io.CopyBuffer(io.MultiWriter(w, sum), io.LimitReader(content, int64(f.UncompressedSize64)+1), a.buffer)
	declared := int64(f.UncompressedSize64)
	switch {
	case isMachine(err):
		return err
	case n > declared:
		return refuse(RuleTrueSize, f.Name, hintRebuild, "declares %d bytes and has more", declared)
	case err != nil:
		return refuse(RuleArchive, f.Name, hintRebuild, "cannot be inflated after %d bytes: %s", n, hostile.Error(err))
	case n < declared:
		return refuse(RuleTrueSize, f.Name, hintRebuild, "declares %d bytes and has %d", declared, n)
	case sum.Sum32() != f.CRC32:
		return refuse(RuleChecksum, f.Name, hintRebuild, "declares CRC-32 %08x and has %08x", f.CRC32, sum.Sum32())
	}
	if _, err := a.in.ReadByte(); err == nil {
		return refuse(RuleTrueSize, f.Name, hintRebuild, "has bytes after the end of its compressed stream")
	}
	return nil
}
