package integrity_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greentic-ai/greentic-provision/integrity"
)

const sourceManifest = `id = "demo"
tags = %s

[[flows]]
id = "main"
`

// source is a source directory with a signature. change may spoil its fields.
func source(t testing.TB, name string, by ed25519.PrivateKey, change func(map[string]string)) files {
	t.Helper()
	f := files{
		name:                   fmt.Sprintf(sourceManifest, `["a", "b"]`),
		"flows/main.ygtc":      "id: main\n",
		"a.wat":                "(module)",
		".gitignore":           "x\n",
		".git/HEAD":            "not signed",
		"x/target/debug.wasm":  "not signed",
		"assets/.DS_Store":     "not signed",
		"assets/targets/a.txt": "signed",
	}
	var stream strings.Builder
	for _, file := range slices.Sorted(maps.Keys(f)) {
		if f[file] != "not signed" {
			fmt.Fprintf(&stream, "PATH\x00%s\nLEN\x00%d\n%s", file, len(f[file]), f[file])
		}
	}
	id := sha256.Sum256(public(by))
	fields := map[string]string{
		"alg":        "ed25519",
		"key_id":     hex.EncodeToString(id[:16]),
		"created_at": "2025-11-29T16:20:17.5Z",
		"digest":     "sha256:" + sha256Hex(stream.String()),
		"sig":        base64.RawURLEncoding.EncodeToString(ed25519.Sign(by, []byte(stream.String()))),
	}
	if change != nil {
		change(fields)
	}
	// The builder writes the manifest anew, with arrays laid out.
	f[name] = fmt.Sprintf(sourceManifest, "[\n    \"a\",\n    \"b\",\n]") + "\n[greentic.signature]\n"
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		f[name] += field + " = \"" + fields[field] + "\"\n"
	}
	return f
}

func TestTheSignatureOfADirectory(t *testing.T) {
	signer := key(1)
	const entry = "pack.toml"
	field := func(name, value string) func(testing.TB) files {
		return func(t testing.TB) files {
			return source(t, entry, signer, func(m map[string]string) {
				if m[name] = value; value == "" {
					delete(m, name)
				}
			})
		}
	}
	with := func(name, content string) func(testing.TB) files {
		return func(t testing.TB) files {
			f := source(t, entry, signer, nil)
			f[name] = content
			return f
		}
	}
	for name, tc := range map[string]struct {
		files  func(testing.TB) files
		trust  *integrity.Trust
		status integrity.Status
		want   []string
	}{
		"trusted":            {func(t testing.TB) files { return source(t, entry, signer, nil) }, trustIn(t, signer), integrity.Trusted, nil},
		"by the other name":  {func(t testing.TB) files { return source(t, "greentic-pack.toml", signer, nil) }, trustIn(t, signer), integrity.Trusted, nil},
		"unknown":            {func(t testing.TB) files { return source(t, entry, signer, nil) }, nil, integrity.Unknown, []string{"warn unknown key pack.toml"}},
		"another is trusted": {func(t testing.TB) files { return source(t, entry, signer, nil) }, trustIn(t, key(2)), integrity.Unknown, []string{"warn unknown key pack.toml"}},
		"unsigned file changed": {func(t testing.TB) files {
			f := source(t, entry, signer, nil)
			f[".git/HEAD"] = "changed"
			return f
		}, trustIn(t, signer), integrity.Trusted, nil},

		"file changed":         {with("a.wat", "(module "), trustIn(t, signer), integrity.Invalid, []string{"error signature digest pack.toml"}},
		"file added":           {with("b.wat", ""), nil, integrity.Invalid, []string{"error signature digest pack.toml"}},
		"digest of another":    {field("digest", "sha256:"+strings.Repeat("0", 64)), trustIn(t, signer), integrity.Invalid, []string{"error signature digest pack.toml"}},
		"digest of no kind":    {field("digest", strings.Repeat("0", 64)), trustIn(t, signer), integrity.Invalid, []string{"error signature envelope pack.toml"}},
		"digest missing":       {field("digest", ""), trustIn(t, signer), integrity.Invalid, []string{"error signature envelope pack.toml"}},
		"key id missing":       {field("key_id", ""), trustIn(t, signer), integrity.Invalid, []string{"error signature envelope pack.toml"}},
		"algorithm":            {field("alg", "rsa"), trustIn(t, signer), integrity.Invalid, []string{"error algorithm pack.toml"}},
		"signature of nothing": {field("sig", strings.Repeat("A", 86)), trustIn(t, signer), integrity.Invalid, []string{"error signature pack.toml"}},
		"no simple string":     {field("alg", `ed\u0032`), trustIn(t, signer), integrity.Invalid, []string{"error signature envelope pack.toml"}},

		"ignored files":    {with("flows/.packignore", ""), trustIn(t, signer), integrity.Unchecked, []string{"warn not checked pack.toml"}},
		"another manifest": {with("examples/pack.toml", ""), trustIn(t, signer), integrity.Unchecked, []string{"warn not checked pack.toml"}},
		"signed by another": {func(t testing.TB) files {
			return source(t, entry, key(2), func(m map[string]string) {
				id := sha256.Sum256(public(signer))
				m["key_id"] = hex.EncodeToString(id[:16])
			})
		}, trustIn(t, signer), integrity.Invalid, []string{"error signature pack.toml"}},
	} {
		t.Run(name, func(t *testing.T) {
			in := integrity.Input{Files: tc.files(t), Directory: true}
			want := append(append([]string{}, tc.want...), "info no inventory ")
			r := check(t, in, integrity.Policy{Trust: tc.trust})
			if d := cmp.Diff(want, brief(r)); d != "" {
				t.Fatalf("%s\n%q", d, r.Problems)
			}
			if r.Signature == nil || r.Signature.Scheme != integrity.SchemeDirectory || r.Signature.Status != tc.status || r.Signature.Valid != (tc.status == integrity.Trusted) {
				t.Errorf("%+v", r.Signature)
			}
			if required := check(t, in, integrity.Policy{Trust: tc.trust, RequireSignature: true}); required.OK() != (tc.status == integrity.Trusted) {
				t.Errorf("required: %q", brief(required))
			}
		})
	}
}

func TestADirectoryWithoutASignatureIsUnsigned(t *testing.T) {
	r := check(t, integrity.Input{Files: files{"pack.toml": "id = \"demo\"\n"}, Directory: true}, integrity.Policy{})
	if r.Signature != nil || len(r.Checks) != 0 {
		t.Errorf("%+v, %+v", r.Signature, r.Checks)
	}
}

// huge has a file of more bytes than a test wants to make.
type huge struct{ files }

func (h huge) Sum(name string) (integrity.Sum, error) {
	sum, err := h.files.Sum(name)
	if name == "assets/huge" {
		sum.Size = 64 << 20
	}
	return sum, err
}

func TestALargeDirectoryIsNotChecked(t *testing.T) {
	f := source(t, "pack.toml", key(1), nil)
	f["assets/huge"] = ""
	r := check(t, integrity.Input{Files: huge{f}, Directory: true}, integrity.Policy{Trust: trustIn(t, key(1))})
	if p := find(t, r, integrity.RuleUnchecked); !strings.Contains(p.Detail, "67108864") || r.Signature.Status != integrity.Unchecked {
		t.Errorf("%+v; %q", r.Signature, p.Detail)
	}
}

func TestWhatRunsIsSigned(t *testing.T) {
	const module = "x/target/debug.wasm"
	for name, in := range map[string]integrity.Input{
		"component": {Components: map[string]string{"x": module}},
		"used":      {Used: []string{module}},
		"manifest":  {ComponentManifests: []integrity.Claim{{Entry: module}}},
		"legacy":    {Legacy: []integrity.Claim{{Entry: module}}},
	} {
		in.Files, in.Directory = source(t, "pack.toml", key(1), nil), true
		r := check(t, in, integrity.Policy{Trust: trustIn(t, key(1))})
		if p := find(t, r, integrity.RuleCoverage); p.Entry != module || r.Signature.Status != integrity.Invalid {
			t.Errorf("%s: %+v, %q", name, r.Signature, p)
		}
	}
}
