package pack

import (
	"archive/zip"
	"hash/crc32"
	"io"
	"io/fs"
	"slices"
)

// epoch is 1980-01-01 00:00 as MS-DOS writes a date, the earliest there is and
// the one that packc gives to every entry.
const epoch = 1<<5 | 1

// Write packs the files of dir into a .gtpack archive that depends on nothing
// but their names and bytes: entries in byte order of their names, mode 0644,
// one date, and stored, because what DEFLATE makes of the same bytes changes
// between releases of Go. Sizes and checksums stand in the local headers, so
// that readers which stream can read it too.
//
// The rules for archives hold as they do for Open, and breaking one gives an
// *Error without Path. Write does not ask whether the files make a pack.
func Write(w io.Writer, dir fs.FS) error {
	var files []string
	err := fs.WalkDir(dir, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			return nil
		case !entry.Type().IsRegular():
			return refuse(RuleKind, name, "put the file itself into the directory", "is not a regular file (%s)", entry.Type())
		}
		files = append(files, name)
		if len(files) > MaxEntries {
			return refuse(RuleEntries, "", "", "the directory has more than %d files", MaxEntries)
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.Sort(files)
	all := newNames()
	for _, name := range files {
		if err := checkName(name); err != nil {
			return refuse(RuleName, name, "rename it", "%v", err)
		}
		if err := all.add(name); err != nil {
			return err
		}
	}

	counted := &counter{w: w}
	zw := zip.NewWriter(counted)
	for _, name := range files {
		b, err := readRegular(dir, name)
		if err != nil {
			return err
		}
		h := &zip.FileHeader{
			Name:               name,
			ReaderVersion:      20, // PKZIP 2.0, which zip.Writer itself writes
			Method:             zip.Store,
			CRC32:              crc32.ChecksumIEEE(b),
			CompressedSize64:   uint64(len(b)),
			UncompressedSize64: uint64(len(b)),
			//lint:ignore SA1019 CreateRaw writes this field and not Modified, which CreateHeader would turn into an extra field besides.
			ModifiedDate: epoch,
		}
		if !isASCII(name) {
			h.Flags |= 1 << 11 // the name is UTF-8
		}
		h.SetMode(0o644)
		entry, err := zw.CreateRaw(h)
		if err != nil {
			return err
		}
		if _, err := entry.Write(b); err != nil {
			return err
		}
		// Stored content is part of the archive, so the archive's limit is the
		// smaller one and no total needs counting.
		if err := zw.Flush(); err != nil {
			return err
		}
		if counted.n > MaxArchive {
			return refuse(RuleArchiveSize, name, "", "up to here the archive is larger than the %d bytes that are read", MaxArchive)
		}
	}
	if err := zw.Close(); err != nil {
		return err
	}
	if counted.n > MaxArchive {
		return refuse(RuleArchiveSize, "", "", "the archive is larger than the %d bytes that are read", MaxArchive)
	}
	return nil
}

func readRegular(dir fs.FS, name string) ([]byte, error) {
	f, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxEntry+1))
	if err != nil {
		return nil, err
	}
	if len(b) > MaxEntry {
		return nil, refuse(RuleEntrySize, name, "", "is larger than the %d bytes that are read", MaxEntry)
	}
	return b, nil
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// counter counts what passes through.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}
