package pack

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/greentic-ai/greentic-provision/plan"
)

const (
	tarBlock = 512
	// maxExtended bounds the header of a header: long names and the records of
	// pax. Real ones have a few hundred bytes.
	maxExtended = 64 << 10
)

// tarball is an opened tar pack: an index into the file. archive/tar is not used
// because it goes past what does not count for it (bytes behind the end, sparse
// files, several headers for one entry); a fuzz target holds the two against each
// other.
type tarball struct {
	r     io.ReaderAt
	files map[string]extent
}

// extent is where content lies in the file.
type extent struct{ offset, size int64 }

// openTar reads all headers and no content.
func openTar(r io.ReaderAt, size int64) (*tarball, error) {
	if size%tarBlock != 0 {
		return nil, refuse(RuleTar, "", hintRebuild, "the archive has %d bytes, which is no multiple of %d: truncated", size, tarBlock)
	}
	t := &tarball{r: r, files: map[string]extent{}}
	all := newNames()
	var (
		next    override
		entries int
	)
	for offset := int64(0); ; {
		if offset >= size {
			return nil, refuse(RuleTar, "", hintRebuild, "the archive does not end with a block of zeros: truncated")
		}
		block, err := t.block(offset)
		if err != nil {
			return nil, err
		}
		if isZero(block) {
			if next != (override{}) {
				return nil, refuse(RuleTar, "", hintRebuild, "the archive ends after an extended header")
			}
			return t, t.checkEnd(offset, size)
		}
		h, err := readTarHeader(block, next)
		if err != nil {
			return nil, err
		}
		offset += tarBlock
		padded := (h.size + tarBlock - 1) / tarBlock * tarBlock
		if padded > size-offset {
			return nil, refuse(RuleTar, h.name, hintRebuild, "declares %d bytes, of which the archive has %d", h.size, size-offset)
		}
		switch h.kind {
		case 'x', 'L':
			if next, err = t.extended(next, h, offset); err != nil {
				return nil, err
			}
		default:
			if err := h.check(); err != nil {
				return nil, err
			}
			if entries++; entries > MaxEntries {
				return nil, refuse(RuleEntries, "", "", "the archive has more than the %d entries that are read", MaxEntries)
			}
			if err := all.add(h.name); err != nil {
				return nil, err
			}
			if h.kind != '5' {
				t.files[h.name] = extent{offset, h.size}
			}
			next = override{}
		}
		offset += padded
	}
}

func (t *tarball) block(offset int64) ([]byte, error) {
	return t.at(offset, tarBlock)
}

func (t *tarball) at(offset, n int64) ([]byte, error) {
	b := make([]byte, n)
	if _, err := t.r.ReadAt(b, offset); err != nil && !errors.Is(err, io.EOF) {
		return nil, machineOr(err, RuleTar, "")
	}
	return b, nil
}

// checkEnd looks at everything from the first block of zeros on: there are two
// of them, and what follows is padding.
func (t *tarball) checkEnd(offset, size int64) error {
	if size-offset < 2*tarBlock {
		return refuse(RuleTar, "", hintRebuild, "the archive ends with one block of zeros, not two: truncated")
	}
	for offset < size {
		b, err := t.at(offset, min(size-offset, 64<<10))
		if err != nil {
			return err
		}
		if !isZero(b) {
			return refuse(RuleTar, "", hintRebuild, "the archive has bytes after its end")
		}
		offset += int64(len(b))
	}
	return nil
}

func isZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

// override is what extended headers say about the entry that follows.
type override struct {
	long    bool // a header of GNU's, with the name
	pax     bool // a header of pax
	name    string
	size    int64
	hasSize bool
}

type tarHeader struct {
	name string
	kind byte
	size int64
}

// readTarHeader takes a header block apart. Of its other fields (mode, owner,
// dates) none means anything here.
func readTarHeader(b []byte, o override) (tarHeader, error) {
	var sum int64
	for i, c := range b {
		if i >= 148 && i < 156 {
			c = ' '
		}
		sum += int64(c)
	}
	field := func(from, to int) string {
		s, _, _ := strings.Cut(string(b[from:to]), "\x00")
		return s
	}
	h := tarHeader{name: field(0, 100), kind: b[156]}
	switch magic := string(b[257:265]); {
	case magic == "ustar\x0000":
		if prefix := field(345, 500); prefix != "" {
			h.name = prefix + "/" + h.name
		}
	case magic == "ustar  \x00": // GNU, which has other fields in the place of the prefix
	default:
		return h, refuse(RuleTar, h.name, hintRebuild, "has no ustar header")
	}
	if h.kind == 0 {
		h.kind = '0'
	}
	if o.name != "" && h.kind != 'x' && h.kind != 'L' {
		h.name = o.name
	}
	if declared, ok := octal(b[148:156]); !ok || declared != sum {
		return h, refuse(RuleTar, h.name, hintRebuild, "has a header with a wrong checksum")
	}
	var ok bool
	if h.size, ok = octal(b[124:136]); !ok {
		return h, refuse(RuleTar, h.name, hintRebuild, "has a size that is not an octal number")
	}
	if o.hasSize && h.kind != 'x' && h.kind != 'L' {
		h.size = o.size
	}
	for _, f := range [][2]int{{100, 108}, {108, 116}, {116, 124}, {136, 148}, {329, 337}, {337, 345}} {
		if !number(b[f[0]:f[1]]) { // mode, owner, group, time, device: nobody here asks, others refuse
			return h, refuse(RuleTar, h.name, hintRebuild, "has a header with a number that cannot be read, at byte %d", f[0])
		}
	}
	return h, nil
}

// number says whether a field is one: octal, or a binary number of GNU's (the top
// bit is set, the next is the sign) of at most 63 bits, which owners and times may
// be.
func number(field []byte) bool {
	if field[0]&0x80 == 0 {
		_, ok := octal(field)
		return ok
	}
	var sign byte
	if field[0]&0x40 != 0 {
		sign = 0xff
	}
	x := uint64((field[0] ^ sign) & 0x7f)
	for _, c := range field[1:] {
		if x>>56 != 0 {
			return false
		}
		x = x<<8 | uint64(c^sign)
	}
	return x>>63 == 0
}

// octal reads a number of a header: octal digits between spaces and NULs. GNU's
// binary numbers are for sizes far beyond what is read.
func octal(field []byte) (int64, bool) {
	digits := strings.Trim(string(field), " \x00")
	if digits == "" {
		return 0, true
	}
	n, err := strconv.ParseUint(digits, 8, 62)
	return int64(n), err == nil && digits[0] != '+'
}

// check applies the rules that one entry can break by itself.
func (h *tarHeader) check() error {
	dir := h.kind == '5'
	switch {
	case h.kind == '1' || h.kind == '2':
		return refuse(RuleKind, h.name, "put the file itself into the pack", "is a link")
	case h.kind == 'S':
		return refuse(RuleKind, h.name, hintRebuild, "is a sparse file")
	case h.kind == 'g' || h.kind == 'K':
		return refuse(RuleTar, h.name, hintRebuild, "has a header of type %q, which has no meaning in a pack", h.kind)
	case h.kind != '0' && !dir:
		return refuse(RuleKind, h.name, "", "has type %q", h.kind)
	case !dir && strings.HasSuffix(h.name, "/"):
		return refuse(RuleKind, h.name, "", "is a file under the name of a directory")
	}
	name := strings.TrimSuffix(h.name, "/")
	if err := checkName(name); err != nil {
		return refuse(RuleName, h.name, "", "%v", err)
	}
	if dir {
		h.name = name + "/"
	}
	switch {
	case dir && h.size != 0:
		return refuse(RuleTrueSize, h.name, "", "is a directory and declares content")
	case h.size > MaxEntry:
		return refuse(RuleEntrySize, h.name, "", "declares %d bytes; at most %d are read", h.size, MaxEntry)
	}
	return nil
}

// extended reads a header that says something about the next entry: its name, and
// with pax its size. One of each kind may precede an entry.
func (t *tarball) extended(o override, h tarHeader, offset int64) (override, error) {
	if h.size > maxExtended {
		return o, refuse(RuleTar, h.name, "", "has an extended header of %d bytes; at most %d are read", h.size, maxExtended)
	}
	if h.kind == 'L' && o.long || h.kind == 'x' && o.pax {
		return o, refuse(RuleTar, h.name, hintRebuild, "has two extended headers of type %q", h.kind)
	}
	b, err := t.at(offset, h.size)
	if err != nil {
		return o, err
	}
	if h.kind == 'L' {
		o.long = true
		name, rest, _ := strings.Cut(string(b), "\x00")
		if name == "" || strings.Trim(rest, "\x00") != "" || o.name != "" {
			return o, refuse(RuleTar, h.name, hintRebuild, "has a long name that cannot be read")
		}
		o.name = name
		return o, nil
	}
	o.pax = true
	seen := map[string]bool{}
	for rest := string(b); rest != ""; {
		digits, _, _ := strings.Cut(rest, " ")
		n, err := strconv.Atoi(digits)
		if err != nil || n < len(digits)+len(" =\n") || n > len(rest) || digits[0] == '+' || rest[n-1] != '\n' {
			return o, refuse(RuleTar, h.name, hintRebuild, "has a pax record that cannot be read")
		}
		key, value, ok := strings.Cut(rest[len(digits)+1:n-1], "=")
		rest = rest[n:]
		switch {
		case !ok || key == "" || seen[key] || !goodRecord(key, value):
			return o, refuse(RuleTar, h.name, hintRebuild, "has a pax record that cannot be read")
		case strings.HasPrefix(key, "GNU.sparse."):
			return o, refuse(RuleKind, h.name, hintRebuild, "is a sparse file")
		case key == "path" && (value == "" || o.name != ""):
			return o, refuse(RuleTar, h.name, hintRebuild, "has a pax record that cannot be read")
		case key == "path":
			o.name = value
		case key == "size":
			size, err := strconv.ParseUint(value, 10, 62)
			if err != nil || value[0] == '+' {
				return o, refuse(RuleTar, h.name, hintRebuild, "has a pax record that cannot be read")
			}
			o.size, o.hasSize = int64(size), true
		}
		seen[key] = true
	}
	return o, nil
}

// goodRecord says whether a record can mean what its key says (POSIX pax, extended
// header keywords). What nobody here looks at is checked as well: other readers do,
// and refuse the archive.
func goodRecord(key, value string) bool {
	switch key {
	case "uid", "gid":
		_, err := strconv.ParseInt(value, 10, 64)
		return err == nil
	case "atime", "ctime", "mtime":
		seconds, fraction, _ := strings.Cut(value, ".")
		_, err := strconv.ParseInt(seconds, 10, 64)
		return err == nil && strings.Trim(fraction, "0123456789") == ""
	}
	return !strings.Contains(key, "\x00") && (key == "path" || !strings.Contains(value, "\x00")) // a name has its own rules
}

func (t *tarball) find(name string) (found, error) {
	if _, ok := t.files[name]; ok {
		return present, nil
	}
	return absent, nil
}

func (t *tarball) size(name string) int64 { return t.files[name].size }

func (t *tarball) copy(w io.Writer, name string, most int64, rule Rule) error {
	x := t.files[name]
	if x.size > most {
		return refuse(rule, name, "", "is %d bytes; at most %d are read", x.size, most)
	}
	_, err := io.CopyN(w, io.NewSectionReader(t.r, x.offset, x.size), x.size)
	if err != nil {
		return machineOr(err, RuleTar, name) // the file became shorter
	}
	return nil
}

func (t *tarball) names() ([]string, error) { return slices.Sorted(maps.Keys(t.files)), nil }

func (t *tarball) list(dir string) ([]string, error) { return within(dir, maps.Keys(t.files)), nil }

// finish is empty: without checksums there is nothing to check in content.
func (t *tarball) finish(func(string) bool) error { return nil }

func (t *tarball) findings() []plan.Diagnostic { return nil }
