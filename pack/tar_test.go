package pack_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/greentic-ai/greentic-provision/pack"
)

// rawHeader is one header of a hand-made tar archive, with its content.
type rawHeader struct {
	name, prefix string
	kind         byte
	size         string // octal; "" for that of the content
	magic        string // "" for ustar
	sum          string // "" for the right one
	content      string
	short        bool // without the padding of the content
}

func file(name, content string) rawHeader { return rawHeader{name: name, kind: '0', content: content} }

// record is one record of an extended header of pax.
func record(key, value string) string {
	for n := len(key) + len(value) + 3; ; n++ {
		if s := fmt.Sprintf("%d %s=%s\n", n, key, value); len(s) == n {
			return s
		}
	}
}

func pax(records string) rawHeader { return rawHeader{name: "pax", kind: 'x', content: records} }

// rawTar writes the headers and two blocks of zeros.
func rawTar(headers ...rawHeader) []byte {
	var b bytes.Buffer
	for _, h := range headers {
		block := make([]byte, 512)
		copy(block, h.name)
		size := h.size
		if size == "" {
			size = fmt.Sprintf("%011o", len(h.content))
		}
		copy(block[124:136], size)
		block[156] = h.kind
		copy(block[257:], either(h.magic, "ustar\x0000"))
		copy(block[345:], h.prefix)
		copy(block[148:], "        ")
		sum := 0
		for _, c := range block {
			sum += int(c)
		}
		copy(block[148:156], either(h.sum, fmt.Sprintf("%06o\x00 ", sum)))
		b.Write(block)
		b.WriteString(h.content)
		if n := len(h.content) % 512; n > 0 && !h.short {
			b.Write(make([]byte, 512-n))
		}
	}
	b.Write(make([]byte, 1024))
	return b.Bytes()
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// soundTar is a minimal pack that opens, behind whatever comes first.
func soundTar(first ...rawHeader) []byte {
	return rawTar(append(first, file("pack.json", packJSON), file("setup_default__apply.wat", "(module)"))...)
}

func tarOfHeaders(headers ...rawHeader) func(*testing.T) []byte {
	return func(*testing.T) []byte { return soundTar(headers...) }
}

var tarRefusals = []refusal{
	{"tar cut", func(*testing.T) []byte { return soundTar()[:2000] }, pack.RuleTar, "", "no multiple of 512"},
	{"tar without end", func(*testing.T) []byte { b := soundTar(); return b[:len(b)-1024] }, pack.RuleTar, "", "does not end with a block of zeros"},
	{"tar with half an end", func(*testing.T) []byte { b := soundTar(); return b[:len(b)-512] }, pack.RuleTar, "", "one block of zeros"},
	{"tar and garbage", func(*testing.T) []byte { return append(soundTar(), bytes.Repeat([]byte("x"), 512)...) }, pack.RuleTar, "", "bytes after its end"},
	{"tar and tar", func(*testing.T) []byte { return append(soundTar(), soundTar()...) }, pack.RuleTar, "", "bytes after its end"},
	{"tar entry beyond the end", tarOfHeaders(rawHeader{name: "x", kind: '0', size: "00000100000"}), pack.RuleTar, "x", "declares 32768 bytes"},
	{"tar of old", tarOfHeaders(file("a", ""), rawHeader{name: "x", kind: '0', magic: "none"}), pack.RuleTar, "x", "no ustar header"},
	{"tar checksum", tarOfHeaders(rawHeader{name: "x", kind: '0', sum: "000001\x00 "}), pack.RuleTar, "x", "checksum"},
	{"tar size that is no number", tarOfHeaders(rawHeader{name: "x", kind: '0', size: "12345678901"}), pack.RuleTar, "x", "octal"},
	{"tar size in binary", tarOfHeaders(rawHeader{name: "x", kind: '0', size: "\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x05"}), pack.RuleTar, "x", "octal"},
	{"tar size with a sign", tarOfHeaders(rawHeader{name: "x", kind: '0', size: "+1"}), pack.RuleTar, "x", "octal"},
	{"tar symlink", tarOfHeaders(rawHeader{name: "x", kind: '2'}), pack.RuleKind, "x", "is a link"},
	{"tar hard link", tarOfHeaders(rawHeader{name: "x", kind: '1'}), pack.RuleKind, "x", "is a link"},
	{"tar device", tarOfHeaders(rawHeader{name: "x", kind: '3'}), pack.RuleKind, "x", "type '3'"},
	{"tar pipe", tarOfHeaders(rawHeader{name: "x", kind: '6'}), pack.RuleKind, "x", "type '6'"},
	{"tar contiguous file", tarOfHeaders(rawHeader{name: "x", kind: '7'}), pack.RuleKind, "x", "type '7'"},
	{"tar sparse file", tarOfHeaders(rawHeader{name: "x", kind: 'S'}), pack.RuleKind, "x", "sparse"},
	{"tar sparse file of pax", tarOfHeaders(pax(record("GNU.sparse.major", "1")), file("x", "")), pack.RuleKind, "", "sparse"},
	{"tar file with slash", tarOfHeaders(file("x/", "")), pack.RuleKind, "x/", "under the name of a directory"},
	{"tar directory with content", tarOfHeaders(rawHeader{name: "x/", kind: '5', content: "y"}), pack.RuleTrueSize, "x/", "declares content"},
	{"tar global header", tarOfHeaders(rawHeader{name: "x", kind: 'g', content: record("path", "y")}), pack.RuleTar, "x", "type 'g'"},
	{"tar long link", tarOfHeaders(rawHeader{name: "x", kind: 'K', content: "y\x00"}), pack.RuleTar, "x", "type 'K'"},
	{"tar parent", tarOfHeaders(file("../x", "")), pack.RuleName, "../x", `"." or ".."`},
	{"tar dot", tarOfHeaders(rawHeader{name: "./", kind: '5'}), pack.RuleName, "./", `"." or ".."`},
	{"tar absolute", tarOfHeaders(file("/x", "")), pack.RuleName, "/x", "absolute"},
	{"tar parent in the prefix", tarOfHeaders(rawHeader{name: "x", prefix: "..", kind: '0'}), pack.RuleName, "../x", `"." or ".."`},
	{"tar parent in pax", tarOfHeaders(pax(record("path", "../x")), file("x", "")), pack.RuleName, "../x", `"." or ".."`},
	{"tar NUL in pax", tarOfHeaders(pax(record("path", "a\x00b")), file("x", "")), pack.RuleName, "", "control character"},
	{"tar twice", tarOfHeaders(file("pack.json", "")), pack.RuleCollision, "pack.json", "twice"},
	{"tar case", tarOfHeaders(file("Pack.json", "")), pack.RuleCollision, "", "one name"},
	{"tar two headers of pax", tarOfHeaders(pax(record("a", "b")), pax(record("a", "b")), file("x", "")), pack.RuleTar, "", "two extended headers"},
	{"tar two long names", tarOfHeaders(rawHeader{name: "l", kind: 'L', content: "a\x00"}, rawHeader{name: "l", kind: 'L', content: "a\x00"}, file("x", "")), pack.RuleTar, "", "two extended headers"},
	{"tar two names", tarOfHeaders(rawHeader{name: "l", kind: 'L', content: "a\x00"}, pax(record("path", "b")), file("x", "")), pack.RuleTar, "", "cannot be read"},
	{"tar two names the other way", tarOfHeaders(pax(record("path", "b")), rawHeader{name: "l", kind: 'L', content: "a\x00"}, file("x", "")), pack.RuleTar, "", "cannot be read"},
	{"tar empty long name", tarOfHeaders(rawHeader{name: "l", kind: 'L', content: "\x00"}, file("x", "")), pack.RuleTar, "", "cannot be read"},
	{"tar long name and more", tarOfHeaders(rawHeader{name: "l", kind: 'L', content: "a\x00b"}, file("x", "")), pack.RuleTar, "", "cannot be read"},
	{"tar extended header at the end", func(*testing.T) []byte { return rawTar(file("a", ""), pax(record("path", "b"))) }, pack.RuleTar, "", "ends after an extended header"},
	{"tar extended header of 64 KiB and a byte", tarOfHeaders(pax(strings.Repeat("x", 64<<10+1)), file("x", "")), pack.RuleTar, "", "65537 bytes"},
	{"pax record of no length", tarOfHeaders(pax("x path=b\n"), file("x", "")), pack.RuleTar, "", "pax record"},
	{"pax record with a sign", tarOfHeaders(pax("+10 path=b\n"), file("x", "")), pack.RuleTar, "", "pax record"},
	{"pax record too long", tarOfHeaders(pax("99 path=b\n"), file("x", "")), pack.RuleTar, "", "pax record"},
	{"pax record too short", tarOfHeaders(pax("3 path=b\n"), file("x", "")), pack.RuleTar, "", "pax record"},
	{"pax record without end", tarOfHeaders(pax("8 path=bc"), file("x", "")), pack.RuleTar, "", "pax record"},
	{"pax record without key", tarOfHeaders(pax(record("", "b")), file("x", "")), pack.RuleTar, "", "pax record"},
	{"pax record without value", tarOfHeaders(pax("7 path\n"), file("x", "")), pack.RuleTar, "", "pax record"},
	{"pax record twice", tarOfHeaders(pax(record("path", "a")+record("path", "b")), file("x", "")), pack.RuleTar, "", "pax record"},
	{"pax path that is empty", tarOfHeaders(pax(record("path", "")), file("x", "")), pack.RuleTar, "", "pax record"},
	{"pax size that is no number", tarOfHeaders(pax(record("size", "-1")), file("x", "")), pack.RuleTar, "", "pax record"},
	{"pax size beyond the end", tarOfHeaders(pax(record("size", "999999")), file("x", "")), pack.RuleTar, "x", "declares 999999 bytes"},
	{"tar of 4,097 entries", func(*testing.T) []byte {
		var headers []rawHeader
		for i := range pack.MaxEntries + 1 {
			headers = append(headers, file(strconv.Itoa(i), ""))
		}
		return rawTar(headers...)
	}, pack.RuleEntries, "", "4096 entries"},
	{"tar without a manifest", func(*testing.T) []byte { return rawTar(file("x", "")) }, pack.RuleManifest, "", "none of"},
}

// What packers write is read: both kinds of long names, directories, the type of
// old, padding to a record of 20 blocks.
func TestTarIsRead(t *testing.T) {
	long := strings.Repeat("d/", 20) + strings.Repeat("n", 200)
	manifest := func(name string) []rawHeader {
		return []rawHeader{file("setup_default__apply.wat", "(module)"), file(name, packJSON)}
	}
	for name, b := range map[string][]byte{
		"ustar":                   soundTar(),
		"GNU":                     rawTar(rawHeader{name: "pack.json", kind: '0', magic: "ustar  \x00", prefix: "not a prefix", content: packJSON}, file("setup_default__apply.wat", "(module)")),
		"type NUL":                rawTar(append(manifest("pack.json"), rawHeader{name: "x", kind: 0})...),
		"prefix":                  soundTar(rawHeader{name: "b", prefix: "a", kind: '0'}),
		"directories":             soundTar(rawHeader{name: "d/", kind: '5'}, rawHeader{name: "e", kind: '5'}, file("d/x", "")),
		"long name of GNU":        soundTar(rawHeader{name: "././@LongLink", kind: 'L', magic: "ustar  \x00", content: long + "\x00"}, file(long[:100], "")),
		"path of pax":             rawTar(file("setup_default__apply.wat", "(module)"), pax(record("path", "pack.json")+record("mtime", "1.5")), file("other", packJSON)),
		"size of pax":             rawTar(file("setup_default__apply.wat", "(module)"), pax(record("size", strconv.Itoa(len(packJSON)))), rawHeader{name: "pack.json", kind: '0', size: "0", content: packJSON}),
		"64 KiB of pax":           soundTar(pax(record("comment", strings.Repeat("x", 64<<10-15))), file("x", "")),
		"a record of zeros":       append(soundTar(), make([]byte, 10240)...),
		"size without leading 0s": soundTar(rawHeader{name: "x", kind: '0', size: " 3 ", content: "abc"}),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := pack.OpenBytes(b, "x", pack.Options{})
			if err != nil {
				t.Fatal(err)
			}
			want, err := pack.OpenBytes(soundTar(), "x", pack.Options{})
			if err != nil || got.Digest != want.Digest || got.Form != pack.FormTar {
				t.Errorf("%s %s, %v; want %s", got.Form, got.Digest, err, want.Digest)
			}
		})
	}
}

// A tar entry is refused for its size before it is read: this one is a hole.
func TestTarEntrySize(t *testing.T) {
	name := layFile(t, rawTar(rawHeader{name: "x", kind: '0', size: fmt.Sprintf("%o", pack.MaxEntry+1)})[:512])
	if err := os.Truncate(name, pack.MaxEntry+1<<20); err != nil {
		t.Fatal(err)
	}
	_, err := pack.Open(name, pack.Options{})
	if e, ok := errors.AsType[*pack.Error](err); !ok || e.Rule != pack.RuleEntrySize || e.Entry != "x" {
		t.Errorf("got %v; want %q", err, pack.RuleEntrySize)
	}
}

// FuzzTar holds this reader against the standard library's, which is as strict or
// laxer: what is accepted here has the same files there.
func FuzzTar(f *testing.F) {
	t := &testing.T{} // the builders only use it to fail
	for _, r := range tarRefusals {
		if b := r.build(t); len(b) < 64<<10 {
			f.Add(b)
		}
	}
	f.Add(soundTar())
	f.Add(soundTar(rawHeader{name: "b", prefix: "a", kind: '0'}))
	f.Add(soundTar(pax(record("path", "long")+record("size", "3")), rawHeader{name: "x", kind: '0', size: "0", content: "abc"}))
	f.Add(soundTar(rawHeader{name: "l", kind: 'L', magic: "ustar  \x00", content: "long\x00"}, file("x", "y")))
	f.Add(tarOf(t, soundFiles("components/x")))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 262 || string(b[257:262]) != "ustar" {
			return
		}
		checkOpen(t, b)
		in, err := pack.ArchiveFiles(b)
		if err != nil {
			return
		}
		theirs := fstest.MapFS{}
		for r := tar.NewReader(bytes.NewReader(b)); ; {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("accepted with %d files; archive/tar: %v", len(in), err)
			}
			if h.Typeflag == tar.TypeDir {
				continue
			}
			content, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			theirs[path.Clean(h.Name)] = &fstest.MapFile{Data: content}
		}
		if len(in) != len(theirs) {
			t.Fatalf("%d files; archive/tar has %d", len(in), len(theirs))
		}
		for name, content := range in {
			if theirs[name] == nil || !bytes.Equal(theirs[name].Data, content) {
				t.Errorf("%q has %q; archive/tar has %v", name, content, theirs[name])
			}
		}
	})
}
