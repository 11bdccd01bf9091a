package packtest

import (
	"archive/tar"
	"bytes"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing/fstest"

	"golang.org/x/tools/txtar"

	"github.com/greentic-ai/greentic-provision/pack"
)

// Txtar gives the source that a txtar archive holds.
func Txtar(b []byte) fs.FS {
	out := fstest.MapFS{}
	for _, f := range txtar.Parse(b).Files {
		out[f.Name] = &fstest.MapFile{Data: f.Data}
	}
	return out
}

// Build gives the files of the pack that the sources describe. guests holds what
// $guest names.
func Build(guests fs.FS, sources ...fs.FS) (fstest.MapFS, error) {
	b := builder{guests: guests, sources: map[string]source{}, built: fstest.MapFS{}}
	for _, s := range sources {
		err := fs.WalkDir(s, ".", func(name string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			text, err := fs.ReadFile(s, name)
			if err == nil {
				b.add(name, string(text))
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.sources)) {
		if _, err := b.file(name); err != nil {
			return nil, err
		}
	}
	return b.built, nil
}

// Zip gives the files as a zip archive.
func Zip(files fs.FS) ([]byte, error) {
	var b bytes.Buffer
	err := pack.Write(&b, files)
	return b.Bytes(), err
}

// Tar gives the files as a tar archive.
func Tar(files fs.FS) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.AddFS(files); err != nil {
		return nil, err
	}
	err := w.Close()
	return b.Bytes(), err
}

// source is a file before it is built.
type source struct {
	text string
	make func(text string) ([]byte, error)
}

// builder builds files when they are asked for: those that state the hashes of
// others ask for them.
type builder struct {
	guests  fs.FS
	sources map[string]source
	built   fstest.MapFS
	under   []string // being built
}

func (b *builder) add(name, text string) {
	ext := path.Ext(name)
	bare := strings.TrimSuffix(name, ext)
	switch ext {
	case ".absent":
		delete(b.sources, bare)
	case ".cbor-json":
		b.sources[bare+".cbor"] = source{text, toCBOR}
	case ".wat-answer":
		b.sources[bare+".wat"] = source{text, answering}
	case ".hex":
		b.sources[bare] = source{text, fromHex}
	default:
		b.sources[name] = source{text, func(text string) ([]byte, error) { return []byte(text), nil }}
	}
}

// file gives a file of the finished pack.
func (b *builder) file(name string) ([]byte, error) {
	if f, ok := b.built[name]; ok {
		return f.Data, nil
	}
	s, ok := b.sources[name]
	if !ok {
		return nil, fmt.Errorf("the pack has no file %q", name)
	}
	if slices.Contains(b.under, name) {
		return nil, fmt.Errorf("%s needs itself, through %s", name, strings.Join(b.under, ", "))
	}
	b.under = append(b.under, name)
	defer func() { b.under = b.under[:len(b.under)-1] }()
	text, err := b.fill(s.text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	data, err := s.make(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	b.built[name] = &fstest.MapFile{Data: data}
	return data, nil
}

// word is one of the words of the package comment.
var word = regexp.MustCompile(`\$(guest|size|sha256|blake3|inventory|digest|sign|public|fingerprint|certificate)\(([^()\n]*)\)`)

// fill replaces the words of a text.
func (b *builder) fill(text string) (string, error) {
	var failed error
	filled := word.ReplaceAllStringFunc(text, func(s string) string {
		m := word.FindStringSubmatch(s)
		value, err := b.say(m[1], strings.Fields(m[2]))
		if err != nil && failed == nil {
			failed = fmt.Errorf("%s: %w", s, err)
		}
		return value
	})
	return filled, failed
}

func (b *builder) say(word string, args []string) (string, error) {
	one := func(f func(string) (string, error)) (string, error) {
		if len(args) != 1 {
			return "", fmt.Errorf("takes one argument, not %d", len(args))
		}
		return f(args[0])
	}
	of := func(f func([]byte) string) (string, error) {
		return one(func(name string) (string, error) {
			data, err := b.file(name)
			return f(data), err
		})
	}
	switch word {
	case "guest":
		return one(func(name string) (string, error) {
			text, err := fs.ReadFile(b.guests, name+".wat")
			return string(text), err
		})
	case "size":
		return of(func(data []byte) string { return strconv.Itoa(len(data)) })
	case "sha256":
		return of(sha256Hex)
	case "blake3":
		return of(blake3Hex)
	case "inventory":
		return b.inventory(args)
	case "digest":
		digest, err := b.digest()
		return hex.EncodeToString(digest), err
	case "sign":
		return one(b.sign)
	case "public":
		return one(func(name string) (string, error) { return hex.EncodeToString(public(name)), nil })
	case "fingerprint":
		return one(func(name string) (string, error) { return blake3Hex(public(name)), nil })
	}
	return certificate(args)
}

func fromHex(text string) ([]byte, error) {
	var digits strings.Builder
	for line := range strings.Lines(text) {
		code, _, _ := strings.Cut(line, ";")
		digits.WriteString(strings.Join(strings.Fields(code), ""))
	}
	return hex.DecodeString(digits.String())
}

// answering is a core module that gives back one text, whatever it is asked.
func answering(text string) ([]byte, error) {
	var data strings.Builder
	for _, c := range []byte(text) {
		fmt.Fprintf(&data, `\%02x`, c)
	}
	const page = 64 << 10
	return fmt.Appendf(nil, `(module
  (memory (export "memory") %d)
  (data (i32.const 0) "%s")
  (func (export "run") (param i32 i32) (result i32 i32)
    (i32.const 0) (i32.const %d)))
`, 1+len(text)/page, data.String(), len(text)), nil
}
