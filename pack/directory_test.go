package pack_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/greentic-ai/greentic-provision/integrity"
	"github.com/greentic-ai/greentic-provision/pack"
)

func soundFiles(more ...string) fstest.MapFS {
	fsys := fstest.MapFS{
		"pack.json":                {Data: []byte(packJSON)},
		"setup_default__apply.wat": {Data: []byte("(module)")},
	}
	for _, name := range more {
		fsys[name] = &fstest.MapFile{Data: []byte("(module (;" + name + ";))")}
	}
	return fsys
}

func symlink(t *testing.T, target, name string) {
	t.Helper()
	if err := os.Symlink(target, name); err != nil {
		t.Fatal(err)
	}
}

func codes(b *pack.Blueprint) string {
	var out []string
	for _, f := range b.Findings {
		out = append(out, f.Code+" "+f.Path)
	}
	return strings.Join(out, ", ")
}

// Real source trees have components -> ../components. Whatever lies behind a
// link is not read, inside the pack or out of it.
func TestLinkedDirectoryIsAbsent(t *testing.T) {
	for name, target := range map[string]string{"outside": "../outside", "inside": "other", "absolute": "/", "dangling": "nowhere", "loop": "components"} {
		t.Run(name, func(t *testing.T) {
			top := lay(t, fstest.MapFS{"outside/setup_default__apply.wat": {Data: []byte("(outside)")}})
			dir := filepath.Join(top, "pack")
			if err := os.CopyFS(dir, soundFiles("other/setup_default__apply.wat")); err != nil {
				t.Fatal(err)
			}
			symlink(t, target, filepath.Join(dir, "components"))
			b, err := pack.Open(dir, pack.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if got := b.Components[0].Path; got != "setup_default__apply.wat" {
				t.Errorf("runs %s", got)
			}
			if got := codes(b); got != "SYMLINK_NOT_FOLLOWED components" {
				t.Errorf("findings %s", got)
			}
		})
	}
}

func TestLinkInPlaceOfFile(t *testing.T) {
	for _, name := range []string{"pack.json", "components/setup_default__apply.wasm"} {
		t.Run(name, func(t *testing.T) {
			dir := lay(t, soundFiles("components/x"))
			os.Remove(filepath.Join(dir, name))
			symlink(t, filepath.Join(dir, "setup_default__apply.wat"), filepath.Join(dir, name))
			_, err := pack.Open(dir, pack.Options{})
			e, ok := errors.AsType[*pack.Error](err)
			if !ok || e.Rule != pack.RuleKind || e.Entry != name {
				t.Errorf("got %v; want %q for %s", err, pack.RuleKind, name)
			}
		})
	}
}

// The operator's own path is trusted.
func TestPathItselfMayBeLink(t *testing.T) {
	dir := lay(t, soundFiles())
	link := filepath.Join(t.TempDir(), "link")
	symlink(t, dir, link)
	if _, err := pack.Open(link, pack.Options{}); err != nil {
		t.Error(err)
	}
}

// What is no file at a place of the search path is passed over.
func TestPassedOver(t *testing.T) {
	dir := lay(t, soundFiles("components/setup_default__apply.wasm/readme", "wasm"))
	b, err := pack.Open(dir, pack.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := b.Components[0].Path; got != "setup_default__apply.wat" {
		t.Errorf("runs %s", got)
	}
}

// A source tree may hold any number of files. With an inventory they are all
// looked at, and have the limit of an archive.
func TestManyFiles(t *testing.T) {
	dir := lay(t, soundFiles())
	if err := os.Mkdir(filepath.Join(dir, "many"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range pack.MaxEntries {
		if err := os.WriteFile(filepath.Join(dir, "many", strconv.Itoa(i)), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := pack.Open(dir, pack.Options{}); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sbom.json"), []byte(`{"format":"greentic-sbom-v1","files":[]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := pack.Open(dir, pack.Options{})
	if e, ok := errors.AsType[*pack.Error](err); !ok || e.Rule != pack.RuleEntries {
		t.Errorf("got %v; want %q", err, pack.RuleEntries)
	}
}

func TestDeviceIsNoPack(t *testing.T) {
	_, err := pack.Open(os.DevNull, pack.Options{})
	if e, ok := errors.AsType[*pack.Error](err); !ok || e.Rule != pack.RuleForm {
		t.Errorf("got %v; want %q", err, pack.RuleForm)
	}
}

func TestManifestMeansDirectory(t *testing.T) {
	fsys := soundFiles()
	fsys["manifest.cbor"] = &fstest.MapFile{Data: []byte("never read")}
	dir := lay(t, fsys)
	want, err := pack.Open(dir, pack.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, findings := range map[string]string{
		"pack.json":     "MANIFEST_SEVERAL pack.json",
		"manifest.cbor": "MANIFEST_SEVERAL pack.json, MANIFEST_NOT_USED manifest.cbor",
	} {
		got, err := pack.Open(filepath.Join(dir, name), pack.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got.Digest != want.Digest || got.Form != pack.FormDir {
			t.Errorf("%s: %s %s; want %s", name, got.Form, got.Digest, want.Digest)
		}
		if c := codes(got); c != findings {
			t.Errorf("%s: findings %s; want %s", name, c, findings)
		}
	}
	t.Chdir(dir)
	if _, err := pack.Open("pack.json", pack.Options{}); err != nil {
		t.Errorf("relative: %v", err)
	}
}

// An archive file goes through the same checks as bytes.
func TestArchiveFile(t *testing.T) {
	b := zipOf(t, soundFiles())
	name := filepath.Join(t.TempDir(), "p.gtpack")
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := pack.Open(name, pack.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want, err := pack.OpenBytes(b, name, pack.Options{})
	if err != nil || got.Digest != want.Digest || got.Form != pack.FormZip {
		t.Errorf("%s %s, %v; want %s", got.Form, got.Digest, err, want.Digest)
	}
	if err := os.WriteFile(name, b[:len(b)-1], 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = pack.Open(name, pack.Options{})
	if e, ok := errors.AsType[*pack.Error](err); !ok || e.Path != name {
		t.Errorf("got %v; want an error that names %s", err, name)
	}
}

// The digest depends on what decides the run and on nothing else. The constant
// keeps the rule from drifting: changing it needs a new version line.
func TestDigest(t *testing.T) {
	const want = "sha256:1a007f3c5af6d9e6b4322a4c98b98604ff388c50c8e4cd3a84e22ee81791506d"
	open := func(fsys fstest.MapFS) string {
		b, err := pack.OpenBytes(zipOf(t, fsys), "x", pack.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return b.Digest
	}
	if got := open(soundFiles()); got != want {
		t.Errorf("got %s; want %s", got, want)
	}
	if got := open(soundFiles("README.md", "assets/x")); got != want {
		t.Error("a file that no run needs changes the digest")
	}
	moved := soundFiles()
	moved["wasm/setup_default__apply.wat"] = moved["setup_default__apply.wat"]
	delete(moved, "setup_default__apply.wat")
	more := soundFiles("setup_default__collect.wat")
	other := soundFiles()
	other["pack.json"] = &fstest.MapFile{Data: append([]byte(packJSON), '\n')}
	for name, fsys := range map[string]fstest.MapFS{"path": moved, "component": more, "manifest": other} {
		if open(fsys) == want {
			t.Errorf("the digest does not depend on: %s", name)
		}
	}
}

func TestWriteIsDeterministic(t *testing.T) {
	fsys := soundFiles("a-b", "a/b", "a.b", "z", "ü")
	first := zipOf(t, fsys)
	dir := lay(t, fsys)
	if !bytes.Equal(first, zipOf(t, os.DirFS(dir))) {
		t.Error("the archive depends on more than names and bytes")
	}
	var order []string
	rest := first
	for { // local headers in file order
		i := bytes.Index(rest, []byte("PK\x03\x04"))
		if i < 0 {
			break
		}
		n := int(rest[i+26])
		order = append(order, string(rest[i+30:i+30+n]))
		if flags := rest[i+6]; flags&8 != 0 {
			t.Error("uses a data descriptor")
		}
		if date := rest[i+10 : i+14]; !bytes.Equal(date, []byte{0, 0, 0x21, 0}) {
			t.Errorf("date % x", date)
		}
		rest = rest[i+30:]
	}
	want := "a-b a.b a/b pack.json setup_default__apply.wat z ü"
	if got := strings.Join(order, " "); got != want {
		t.Errorf("order %s; want %s", got, want)
	}
	if _, err := pack.OpenBytes(first, "x", pack.Options{}); err != nil {
		t.Error(err)
	}
}

// Write makes nothing that Open would refuse for its form.
func TestWriteRefuses(t *testing.T) {
	linked := lay(t, soundFiles())
	symlink(t, "pack.json", filepath.Join(linked, "link"))
	crowd := fstest.MapFS{}
	for i := range pack.MaxEntries + 1 {
		crowd[strings.Repeat("x", i%200+1)+string(rune('a'+i/200))] = &fstest.MapFile{}
	}
	large := lay(t, soundFiles("large"))
	if err := os.Truncate(filepath.Join(large, "large"), pack.MaxEntry+1); err != nil {
		t.Fatal(err)
	}
	full := lay(t, soundFiles("1", "2", "3", "4"))
	for _, n := range []string{"1", "2", "3", "4"} {
		if err := os.Truncate(filepath.Join(full, n), pack.MaxEntry); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		fsys fs.FS
		rule pack.Rule
	}{
		"link":      {os.DirFS(linked), pack.RuleKind},
		"control":   {soundFiles("a\nb"), pack.RuleName},
		"backslash": {soundFiles(`a\b`), pack.RuleName},
		"case":      {soundFiles("Pack.json"), pack.RuleCollision},
		"crowd":     {crowd, pack.RuleEntries},
		"large":     {os.DirFS(large), pack.RuleEntrySize},
		"full":      {os.DirFS(full), pack.RuleArchiveSize},
	} {
		t.Run(name, func(t *testing.T) {
			err := pack.Write(io.Discard, c.fsys)
			if e, ok := errors.AsType[*pack.Error](err); !ok || e.Rule != c.rule {
				t.Errorf("got %v; want %q", err, c.rule)
			}
		})
	}
	t.Run("writer", func(t *testing.T) {
		if err := pack.Write(broken{}, soundFiles()); !errors.Is(err, errBroken) {
			t.Errorf("got %v", err)
		}
	})
}

var errBroken = errors.New("broken")

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errBroken }

// Links are findings like all others, of which there are at most 200 and a last one.
func TestLinksAreFewFindings(t *testing.T) {
	var sources []string
	fsys := soundFiles()
	for i := range 300 {
		sources = append(sources, fmt.Sprintf(`{"id":"c%d","wasm":"link%d/c.wasm"}`, i, i))
	}
	delete(fsys, "pack.json")
	fsys["pack.manifest.json"] = &fstest.MapFile{Data: []byte(`{"name":"p","version":"1","flows":[{"id":"setup_default"}],"component_sources":[` + strings.Join(sources, ",") + `]}`)}
	dir := lay(t, fsys)
	for i := range 300 {
		symlink(t, "nowhere", filepath.Join(dir, fmt.Sprintf("link%d", i)))
	}
	b, err := pack.Open(dir, pack.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if last := b.Findings[len(b.Findings)-1]; len(b.Findings) != 201 || last.Code != "FINDINGS_OMITTED" {
		t.Errorf("%d findings, the last %+v", len(b.Findings), last)
	}
}

// In a tree that is too large to be listed, what a pack says of the files that it
// uses is checked all the same.
func TestALargeTreeIsCheckedToo(t *testing.T) {
	fsys := fstest.MapFS{
		"pack.manifest.json": {Data: []byte(`{"name":"p","version":"1","flows":[{"id":"setup_default"}],"component_sources":[{"id":"c","wasm":"c.wasm"}],"extensions":
			{"greentic.pack.component_manifests@v1":{"inline":{"entries":[{"component_id":"c","manifest_file":"c.json","content_hash":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}]}}}}`)},
		"setup_default__apply.wat": {Data: []byte("(module)")},
		"c.wasm":                   {Data: []byte("\x00asm\x0d\x00\x01\x00")},
		"c.json":                   {Data: []byte("{}")},
		"pack.lock.json":           {Data: []byte(`{"version":1,"components":{"c":{"resolved_digest":"sha256:` + strings.Repeat("ab", 32) + `"}}}`)},
	}
	for i := range pack.MaxEntries {
		fsys[fmt.Sprintf("target/%d", i)] = &fstest.MapFile{}
	}
	r, err := pack.Verify(lay(t, fsys), integrity.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Errors != 1 || r.Problems[0].Rule != integrity.RuleHash || r.Problems[0].Entry != "c.wasm" {
		t.Errorf("%d errors, problems %+v", r.Errors, r.Problems)
	}
}
