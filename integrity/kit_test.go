package integrity_test

import (
	"cmp"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io/fs"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"lukechampine.com/blake3"

	"github.com/greentic-ai/greentic-provision/integrity"
	"github.com/greentic-ai/greentic-provision/plan"
)

// now is when every test takes place.
var now = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

// files is a pack in memory.
type files map[string]string

func (f files) Names() []string { return slices.Collect(maps.Keys(f)) }

func (f files) Sum(name string) (integrity.Sum, error) {
	if _, ok := f[name]; !ok {
		return integrity.Sum{}, fs.ErrNotExist
	}
	h := integrity.NewHash()
	h.Write([]byte(f[name]))
	return h.Sum(), nil
}

func (f files) Read(name string, most int64) ([]byte, error) {
	if _, ok := f[name]; !ok || int64(len(f[name])) > most {
		return nil, fs.ErrNotExist
	}
	return []byte(f[name]), nil
}

func check(t *testing.T, in integrity.Input, p integrity.Policy) *integrity.Report {
	t.Helper()
	p.Now = cmp.Or(p.Now, now)
	r, err := integrity.Check(in, p)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// brief gives "severity rule entry" of each problem.
func brief(r *integrity.Report) []string {
	out := []string{}
	for _, p := range r.Problems {
		out = append(out, string(p.Severity)+" "+string(p.Rule)+" "+p.Entry)
	}
	return out
}

func find(t *testing.T, r *integrity.Report, rule integrity.Rule) integrity.Problem {
	t.Helper()
	for _, p := range r.Problems {
		if p.Rule == rule {
			return p
		}
	}
	t.Fatalf("no problem %q in %q", rule, brief(r))
	return integrity.Problem{}
}

func hasErrors(r *integrity.Report) bool {
	return slices.ContainsFunc(r.Problems, func(p integrity.Problem) bool { return p.Severity == plan.Error })
}

func marshalCBOR(t testing.TB, v any) string {
	t.Helper()
	b, err := cbor.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func marshalJSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// sbomOf lists every file but those that no inventory lists, in order.
func sbomOf(f files) map[string]any {
	var list []any
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if strings.HasPrefix(name, "sbom.") || strings.HasPrefix(name, "signatures/") {
			continue
		}
		list = append(list, map[string]any{"path": name, "size": len(f[name]), "hash_blake3": blake3Hex(f[name]), "media_type": "application/octet-stream"})
	}
	return map[string]any{"format": "greentic-sbom-v1", "files": list}
}

func blake3Hex(s string) string {
	sum := blake3.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func sha256Hex(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

const component = "\x00asm\r\x00\x01\x00"

// sound is a pack of which everything adds up: an inventory in both forms, locks
// of both shapes, and claims of the manifest.
func sound(t testing.TB) (files, integrity.Input) {
	t.Helper()
	f := files{
		"manifest.cbor":              marshalCBOR(t, map[string]any{"schema_version": "pack-v1", "pack_id": "demo", "version": "1.0.0"}),
		"components/a.wasm":          component,
		"components/a.manifest.cbor": "\xa0",
		"flows/main/flow.json":       "{}",
		"assets/setup.yaml":          "title: Demo\n",
		"README.md":                  "demo\n",
	}
	f["pack.lock.cbor"] = marshalCBOR(t, map[string]any{"version": 1, "components": map[string]any{
		"a":          map[string]any{"component_id": "a", "abi_version": "0.6.0", "resolved_digest": "sha256:" + sha256Hex(component), "describe_hash": strings.Repeat("0", 64), "operations": []any{}},
		"emit.value": map[string]any{"component_id": "emit.value", "resolved_digest": "sha256:" + sha256Hex("")},
	}})
	f["assets/pack.lock.json"] = marshalJSON(t, map[string]any{"schema_version": 1, "components": []any{
		map[string]any{"name": "node", "component_id": "a", "ref": "file:///somewhere", "digest": "sha256:" + sha256Hex(component)},
		map[string]any{"name": "a", "bundled": true, "bundled_path": "components/a.wasm", "wasm_sha256": sha256Hex(component), "resolved_digest": "sha256:" + sha256Hex("of a registry")},
	}})
	f["sbom.cbor"] = marshalCBOR(t, sbomOf(f))
	f["sbom.json"] = marshalJSON(t, sbomOf(f))
	return f, integrity.Input{
		Files:              f,
		Components:         map[string]string{"a": "components/a.wasm"},
		ComponentManifests: []integrity.Claim{{Component: "a", Entry: "components/a.manifest.cbor", Hash: "sha256:" + sha256Hex("\xa0")}},
		Legacy:             []integrity.Claim{{Component: "a", Entry: "components/a.wasm", Hash: blake3Hex(component)}, {Entry: "flows/main/flow.json", Hash: blake3Hex("{}")}},
	}
}

// key is one that does not change from run to run.
func key(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(slices.Repeat([]byte{seed}, ed25519.SeedSize))
}

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

// certificate makes one, valid for all of 2026, and gives its DER.
func certificate(t testing.TB, name string, holder ed25519.PrivateKey, issuer string, by ed25519.PrivateKey, change func(*x509.Certificate)) []byte {
	t.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(7),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	if change != nil {
		change(c)
	}
	parent := &x509.Certificate{Subject: pkix.Name{CommonName: issuer}}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, public(holder), by)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func authority(c *x509.Certificate) {
	c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
}

func chainPEM(ders ...[]byte) string {
	var b strings.Builder
	for _, der := range ders {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	return b.String()
}

func publicPEM(t testing.TB, k any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// digestOf is what an archive's signature covers, written down a second time.
func digestOf(t testing.TB, f files) []byte {
	t.Helper()
	var doc struct {
		Files []struct {
			Path string `json:"path"`
			Hash string `json:"hash_blake3"`
		} `json:"files"`
	}
	var err error
	sbom := f["sbom.cbor"]
	if sbom != "" {
		err = cbor.Unmarshal([]byte(sbom), &doc)
	} else {
		sbom = f["sbom.json"]
		err = json.Unmarshal([]byte(sbom), &doc)
	}
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, file := range doc.Files {
		rows = append(rows, file.Path+"\n"+file.Hash)
	}
	slices.Sort(rows)
	sum := blake3.Sum256([]byte(f["manifest.cbor"] + sbom + strings.Join(rows, "")))
	return sum[:]
}

// sign adds a signature. change may spoil the envelope.
func sign(t testing.TB, f files, by ed25519.PrivateKey, chain string, change func(map[string]any)) {
	t.Helper()
	digest := digestOf(t, f)
	envelope := map[string]any{
		"alg":             "ed25519",
		"sig":             base64.RawURLEncoding.EncodeToString(ed25519.Sign(by, digest)),
		"digest":          hex.EncodeToString(digest),
		"signed_at_utc":   "2026-02-03T04:05:06.789Z",
		"key_fingerprint": blake3Hex(string(public(by))),
	}
	if change != nil {
		change(envelope)
	}
	f["signatures/pack.sig"] = marshalJSON(t, envelope)
	f["signatures/chain.pem"] = chain
}

func trust(t testing.TB, list string) *integrity.Trust {
	t.Helper()
	out, err := integrity.ParseTrust([]byte(list))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// trustIn is a list of one key.
func trustIn(t testing.TB, k ed25519.PrivateKey) *integrity.Trust {
	t.Helper()
	return trust(t, marshalJSON(t, map[string]any{"keys": []any{map[string]any{"name": "releases", "algorithm": "ed25519", "public_key": hex.EncodeToString(public(k))}}}))
}
