package packtest_test

import (
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greentic-ai/greentic-provision/integrity"
	"github.com/greentic-ai/greentic-provision/internal/packtest"
	"github.com/greentic-ai/greentic-provision/pack"
)

var write = flag.String("write", "", "write the fixture packs as archives into this directory")

const fixtures = "../../testdata/packs"

var guests = os.DirFS("../../testdata/contracts")

// TestFixtures: every fixture can be built, and has a setup that can be run.
func TestFixtures(t *testing.T) {
	names, err := filepath.Glob(filepath.Join(fixtures, "*.txtar"))
	if err != nil || len(names) == 0 {
		t.Fatalf("%d fixtures, %v", len(names), err)
	}
	for _, file := range names {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		t.Run(name, func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			archive := zipped(t, packtest.Txtar(b))
			if _, err := pack.OpenBytes(archive, name, pack.Options{}); err != nil {
				t.Error(err)
			}
			if *write == "" {
				return
			}
			if err := os.WriteFile(filepath.Join(*write, name+".gtpack"), archive, 0o644); err != nil {
				t.Error(err)
			}
		})
	}
}

func zipped(t *testing.T, sources ...fs.FS) []byte {
	t.Helper()
	files, err := packtest.Build(guests, sources...)
	if err != nil {
		t.Fatal(err)
	}
	archive, err := packtest.Zip(files)
	if err != nil {
		t.Fatal(err)
	}
	return archive
}

func source(files map[string]string) fs.FS {
	out := fstest.MapFS{}
	for name, text := range files {
		out[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return out
}

func TestBuild(t *testing.T) {
	files, err := packtest.Build(source(map[string]string{"g.wat": "(component)"}),
		source(map[string]string{
			"a.cbor-json":  `{"b": [1, -1, 0.5, "x"], "size": $size(x/bin)}`,
			"x/bin.hex":    "0061 736d ; a preamble\n0d",
			"g.wat":        "$guest(g)",
			"none":         "",
			"hash":         "$sha256(none) $blake3(none)",
			"plain":        "$(size) $unknown(a) $size stay",
			"gone":         "",
			"over":         "first",
			"q.wat-answer": "{}",
		}),
		source(map[string]string{"gone.absent": "", "over.hex": "21"}))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for name, f := range files {
		got[name] = string(f.Data)
	}
	want := map[string]string{
		"a.cbor": "\xa2ab\x84\x01 \xf9\x38\x00axdsize\x05",
		"x/bin":  "\x00asm\x0d",
		"g.wat":  "(component)",
		"none":   "",
		"hash": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 " +
			"af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
		"plain": "$(size) $unknown(a) $size stay",
		"over":  "!",
		"q.wat": `(module
  (memory (export "memory") 1)
  (data (i32.const 0) "\7b\7d")
  (func (export "run") (param i32 i32) (result i32 i32)
    (i32.const 0) (i32.const 2)))
`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestBuildErrors(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"a", "$size(b)", `a: $size(b): the pack has no file "b"`},
		{"a", "$size(a)", "a: $size(a): a needs itself, through a"},
		{"a", "$size()", "a: $size(): takes one argument, not 0"},
		{"a", "$guest(nobody)", "a: $guest(nobody): open nobody.wat: no such file or directory"},
		{"a", "$digest()", `a: $digest(): the pack has no file "manifest.cbor"`},
		{"manifest.cbor", "$sign(k)", "manifest.cbor: $sign(k): manifest.cbor needs itself, through manifest.cbor"},
		{"a", "$certificate(a b c d)", `a: $certificate(a b c d): parsing time "c" as "2006-01-02": cannot parse "c" as "2006"`},
		{"a", "$certificate(a b 2026-01-01 2027-01-01 c)", "a: $certificate(a b 2026-01-01 2027-01-01 c): takes KEY ISSUER FROM TO, and authority or nothing"},
		{"a.cbor-json", "{} {}", "a.cbor: there is more behind the JSON value, at byte 3"},
		{"a.hex", "0", "a: encoding/hex: odd length hex string"},
	} {
		_, err := packtest.Build(guests, source(map[string]string{tt.name: tt.text}))
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s %s: %v; want %s", tt.name, tt.text, err, tt.want)
		}
	}
}

// TestSigned: what is signed here, package integrity finds valid, whichever SBOM
// there is.
func TestSigned(t *testing.T) {
	keys, err := packtest.Build(guests, source(map[string]string{
		"trust.json": `{"keys": [{"name": "us", "algorithm": "ed25519", "public_key": "$public(root)"}]}`,
	}))
	if err != nil {
		t.Fatal(err)
	}
	trust, err := integrity.ParseTrust(keys["trust.json"].Data)
	if err != nil {
		t.Fatal(err)
	}
	base := source(map[string]string{
		"manifest.cbor-json":   `{"schema_version": "pack-v1", "pack_id": "p", "version": "1.0.0"}`,
		"README.md":            "hello",
		"signatures/pack.sig":  `{"alg": "ed25519", "sig": "$sign(leaf)", "digest": "$digest()", "signed_at_utc": "2026-02-03T04:05:06Z", "key_fingerprint": "$fingerprint(leaf)"}`,
		"signatures/chain.pem": "$certificate(leaf root 2026-01-01 2027-01-01)\n$certificate(root root 2026-01-01 2027-01-01 authority)\n",
	})
	for _, sbom := range []string{"sbom.cbor-json", "sbom.json"} {
		archive := zipped(t, base, source(map[string]string{sbom: `{"format": "greentic-sbom-v1", "files": [$inventory()]}`}))
		file := filepath.Join(t.TempDir(), "p.gtpack")
		if err := os.WriteFile(file, archive, 0o644); err != nil {
			t.Fatal(err)
		}
		report, err := pack.Verify(file, integrity.Policy{Trust: trust, RequireSignature: true, Now: time.Date(2026, 5, 4, 0, 0, 0, 0, time.UTC)})
		if err != nil || len(report.Problems) > 0 || report.Signature.Status != integrity.Trusted {
			t.Errorf("%s: %+v, %v", sbom, report, err)
		}
	}
}
