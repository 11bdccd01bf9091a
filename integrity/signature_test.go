package integrity_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greentic-ai/greentic-provision/integrity"
)

// pure is a sound pack without anything that is worth information.
func pure(t testing.TB) (files, integrity.Input) {
	f, in := sound(t)
	delete(f, "pack.lock.cbor")
	f["sbom.cbor"] = marshalCBOR(t, sbomOf(f))
	f["sbom.json"] = marshalJSON(t, sbomOf(f))
	return f, in
}

func TestASignatureIsWorthWhatItsKeyIs(t *testing.T) {
	signer, root := key(1), key(2)
	self := func(t *testing.T, name string) string {
		return chainPEM(certificate(t, name, signer, name, signer, nil))
	}
	rootCert := func(t *testing.T) []byte { return certificate(t, "root", root, "root", root, authority) }
	byRoot := func(t *testing.T) []byte { return certificate(t, "builder", signer, "root", root, nil) }
	dated := func(from, to string) *integrity.Trust {
		return trust(t, marshalJSON(t, map[string]any{"keys": []any{map[string]any{
			"name": "releases", "algorithm": "ed25519", "public_key": base64.StdEncoding.EncodeToString(public(signer)), "not_before": from, "not_after": to}}}))
	}
	for name, tc := range map[string]struct {
		chain  string
		trust  *integrity.Trust
		status integrity.Status
		want   []string
	}{
		"nobody said":                   {self(t, "x"), nil, integrity.Unknown, []string{"warn unknown key signatures/pack.sig"}},
		"another key is trusted":        {self(t, "x"), trustIn(t, key(9)), integrity.Unknown, []string{"warn unknown key signatures/pack.sig"}},
		"trusted":                       {self(t, "x"), trustIn(t, signer), integrity.Trusted, nil},
		"dev":                           {self(t, "greentic-dev-local"), trustIn(t, key(9)), integrity.Dev, []string{"warn unknown key signatures/pack.sig"}},
		"dev, trusted":                  {self(t, "greentic-dev-local"), trustIn(t, signer), integrity.Trusted, nil},
		"issuer in the chain":           {chainPEM(byRoot(t), rootCert(t)), trustIn(t, root), integrity.Trusted, nil},
		"issuer not in the chain":       {chainPEM(byRoot(t)), trustIn(t, root), integrity.Trusted, nil},
		"issuer unknown":                {chainPEM(byRoot(t), rootCert(t)), trustIn(t, key(9)), integrity.Unknown, []string{"warn unknown key signatures/pack.sig"}},
		"dev name by another":           {chainPEM(certificate(t, "greentic-dev-local", signer, "root", root, nil)), nil, integrity.Unknown, []string{"warn unknown key signatures/pack.sig"}},
		"key within its dates":          {self(t, "x"), dated("2026-01-01T00:00:00Z", "2026-12-31T00:00:00Z"), integrity.Trusted, nil},
		"key before its dates":          {self(t, "x"), dated("2026-06-01T00:00:00Z", "2026-12-31T00:00:00Z"), integrity.Invalid, []string{"error validity dates signatures/pack.sig"}},
		"key after its dates":           {self(t, "x"), dated("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"), integrity.Invalid, []string{"error validity dates signatures/pack.sig"}},
		"trusted by its certificate":    {self(t, "x"), trust(t, self(t, "x")), integrity.Trusted, nil},
		"trusted by its public key":     {self(t, "x"), trust(t, publicPEM(t, public(signer))), integrity.Trusted, nil},
		"white space between and after": {"\n" + chainPEM(byRoot(t)) + "\r\n\n" + chainPEM(rootCert(t)) + " \n", trustIn(t, root), integrity.Trusted, nil},
	} {
		t.Run(name, func(t *testing.T) {
			f, in := pure(t)
			sign(t, f, signer, tc.chain, nil)
			r := check(t, in, integrity.Policy{Trust: tc.trust})
			if r.Signature == nil || r.Signature.Status != tc.status || r.Signature.Valid != (tc.status != integrity.Invalid) {
				t.Fatalf("%+v; %q", r.Signature, r.Problems)
			}
			if d := cmp.Diff(append([]string{}, tc.want...), brief(r)); d != "" {
				t.Error(d)
			}
			if trusted := tc.status == integrity.Trusted; trusted != (r.Signature.Key != "") {
				t.Errorf("key %q", r.Signature.Key)
			}
			// The policy makes all but one of them an error.
			required := check(t, in, integrity.Policy{Trust: tc.trust, RequireSignature: true})
			if required.OK() != (tc.status == integrity.Trusted) {
				t.Errorf("required: %q", brief(required))
			}
		})
	}
}

func TestAnUnsignedPackIsAProblemOnlyIfASignatureIsRequired(t *testing.T) {
	_, in := pure(t)
	if r := check(t, in, integrity.Policy{Trust: trustIn(t, key(1))}); len(r.Problems) > 0 {
		t.Errorf("%q", brief(r))
	}
	for _, tc := range []struct {
		trust *integrity.Trust
		hint  string
	}{{trustIn(t, key(1)), "one of the trusted keys"}, {nil, "say which keys"}} {
		r := check(t, in, integrity.Policy{Trust: tc.trust, RequireSignature: true})
		if p := find(t, r, integrity.RuleRequired); r.Errors != 1 || p.Detail != "the pack is not signed" || !strings.Contains(p.Hint, tc.hint) {
			t.Errorf("%q", r.Problems)
		}
	}
}

func TestTheSignatureOfAPackWithTheJSONInventoryOnly(t *testing.T) {
	f, in := pure(t)
	delete(f, "sbom.cbor")
	sign(t, f, key(1), chainPEM(certificate(t, "x", key(1), "x", key(1), nil)), nil)
	if r := check(t, in, integrity.Policy{Trust: trustIn(t, key(1))}); !r.OK() || r.Signature.Status != integrity.Trusted {
		t.Errorf("%q", r.Problems)
	}
}

// TestInvalidSignatures breaks one thing of a signature by a trusted key.
func TestInvalidSignatures(t *testing.T) {
	signer, root, other := key(1), key(2), key(3)
	leaf := func(t *testing.T, change func(*x509.Certificate)) []byte {
		return certificate(t, "builder", signer, "root", root, change)
	}
	rootCert := func(t *testing.T, change func(*x509.Certificate)) []byte {
		return certificate(t, "root", root, "root", root, func(c *x509.Certificate) {
			authority(c)
			if change != nil {
				change(c)
			}
		})
	}
	envelope := func(field string, v any) func(*testing.T, files) {
		return func(t *testing.T, f files) {
			sign(t, f, signer, f["signatures/chain.pem"], func(m map[string]any) {
				if m[field] = v; v == nil {
					delete(m, field)
				}
			})
		}
	}
	chain := func(make func(*testing.T) string) func(*testing.T, files) {
		return func(t *testing.T, f files) { f["signatures/chain.pem"] = make(t) }
	}
	text := func(name, content string) func(*testing.T, files) {
		return func(_ *testing.T, f files) { f[name] = content }
	}
	year := func(from, to int) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Date(from, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(to, 1, 1, 0, 0, 0, 0, time.UTC)
		}
	}
	good := base64.RawURLEncoding.EncodeToString(make([]byte, ed25519.SignatureSize))
	for name, tc := range map[string]struct {
		change func(*testing.T, files)
		rule   integrity.Rule
		detail string
	}{
		"no certificates":      {func(_ *testing.T, f files) { delete(f, "signatures/chain.pem") }, integrity.RulePartial, "signatures/chain.pem is not"},
		"no signature":         {func(_ *testing.T, f files) { delete(f, "signatures/pack.sig") }, integrity.RulePartial, "signatures/pack.sig is not"},
		"not JSON":             {text("signatures/pack.sig", "ed25519"), integrity.RuleSyntax, ""},
		"too large":            {text("signatures/pack.sig", strings.Repeat(" ", integrity.MaxSignature+1)), integrity.RuleDocument, ""},
		"chain too large":      {text("signatures/chain.pem", strings.Repeat("\n", integrity.MaxSignature+1)), integrity.RuleDocument, ""},
		"algorithm":            {envelope("alg", "rsa"), integrity.RuleAlgorithm, `"rsa"`},
		"no algorithm":         {envelope("alg", nil), integrity.RuleEnvelope, `no "alg"`},
		"signature missing":    {envelope("sig", nil), integrity.RuleEnvelope, `no "sig"`},
		"signature padded":     {envelope("sig", good+"=="), integrity.RuleEnvelope, "base64url"},
		"signature broken":     {envelope("sig", good[:40]+"\n"+good[40:]), integrity.RuleEnvelope, "base64url"},
		"signature short":      {envelope("sig", good[:80]), integrity.RuleEnvelope, "64 bytes"},
		"signature other bits": {envelope("sig", good[:85]+"B"), integrity.RuleEnvelope, "base64url"},
		"signature of nothing": {envelope("sig", good), integrity.RuleSignature, "does not verify"},
		"signature wrong type": {envelope("sig", 7), integrity.RuleSyntax, `"/sig"`},
		"digest missing":       {envelope("digest", nil), integrity.RuleEnvelope, `no "digest"`},
		"digest malformed":     {envelope("digest", "sha256:00"), integrity.RuleEnvelope, "hexadecimal"},
		"digest of another":    {envelope("digest", strings.Repeat("0", 64)), integrity.RuleDigest, "the pack has"},
		"time missing":         {envelope("signed_at_utc", nil), integrity.RuleEnvelope, ""},
		"time malformed":       {envelope("signed_at_utc", "yesterday"), integrity.RuleEnvelope, "RFC 3339"},
		"signed before":        {envelope("signed_at_utc", "2025-12-31T23:59:59Z"), integrity.RuleDates, "signed at 2025-12-31T23:59:59Z"},
		"signed after":         {envelope("signed_at_utc", "2027-06-01T00:00:00Z"), integrity.RuleDates, "signed at 2027-06-01"},
		"fingerprint":          {envelope("key_fingerprint", strings.Repeat("0", 64)), integrity.RuleKey, "the certificate has"},
		"another key": {func(t *testing.T, f files) {
			sign(t, f, other, f["signatures/chain.pem"], func(m map[string]any) { delete(m, "key_fingerprint") })
		}, integrity.RuleSignature, ""},
		"file changed":          {text("README.md", "changed"), integrity.RuleCoverage, "does not agree"},
		"manifest changed":      {text("manifest.cbor", "\xa0"), integrity.RuleDigest, ""},
		"manifest removed":      {func(_ *testing.T, f files) { delete(f, "manifest.cbor") }, integrity.RuleCoverage, "does not have"},
		"file added":            {text("notes.txt", ""), integrity.RuleCoverage, "does not cover 1"},
		"file added by the sig": {text("signatures/notes.txt", ""), integrity.RuleCoverage, "does not cover 1"},
		"inventory removed":     {func(_ *testing.T, f files) { delete(f, "sbom.cbor"); delete(f, "sbom.json") }, integrity.RuleCoverage, "none that can be read"},
		"inventory emptied":     {func(_ *testing.T, f files) { delete(f, "sbom.json"); f["sbom.cbor"] = "\xa0" }, integrity.RuleCoverage, "none that can be read"},
		"inventory renewed":     {func(t *testing.T, f files) { f["notes.txt"] = ""; f["sbom.cbor"] = marshalCBOR(t, sbomOf(f)) }, integrity.RuleDigest, ""},

		"chain empty":           {text("signatures/chain.pem", "\n"), integrity.RuleChain, "no certificate"},
		"chain no PEM":          {text("signatures/chain.pem", "hello"), integrity.RuleChain, "not a PEM block"},
		"chain not closed":      {text("signatures/chain.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n"), integrity.RuleChain, "not a PEM block"},
		"chain with headers":    {text("signatures/chain.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Headers: map[string]string{"a": "b"}, Bytes: []byte("x")}))), integrity.RuleChain, "not a PEM block"},
		"chain behind text":     {chain(func(t *testing.T) string { return "hello\n" + chainPEM(leaf(t, nil)) }), integrity.RuleChain, "not a PEM block"},
		"chain of a key":        {chain(func(t *testing.T) string { return publicPEM(t, public(signer)) }), integrity.RuleChain, `"PUBLIC KEY"`},
		"certificate no DER":    {chain(func(t *testing.T) string { return chainPEM([]byte("x")) }), integrity.RuleChain, "certificate 1 is not DER"},
		"certificate continued": {chain(func(t *testing.T) string { return chainPEM(append(leaf(t, nil), 0)) }), integrity.RuleChain, "behind its end"},
		"nine certificates":     {chain(func(t *testing.T) string { return strings.Repeat(chainPEM(leaf(t, nil)), 9) }), integrity.RuleChain, "more than 8"},
		"another curve":         {chain(func(t *testing.T) string { return chainPEM(curve(t)) }), integrity.RuleAlgorithm, "certificate 1 has a key of the kind 1.2.840.10045.2.1"},
		"certificate expired":   {chain(func(t *testing.T) string { return chainPEM(leaf(t, year(2025, 2026)), rootCert(t, nil)) }), integrity.RuleDates, "certificate 1 is not valid after 2026-01-01"},
		"certificate too early": {chain(func(t *testing.T) string { return chainPEM(leaf(t, year(2027, 2028)), rootCert(t, nil)) }), integrity.RuleDates, "certificate 1 is not valid before 2027-01-01"},
		"issuer expired":        {chain(func(t *testing.T) string { return chainPEM(leaf(t, nil), rootCert(t, year(2020, 2021))) }), integrity.RuleDates, "certificate 2 is not valid after"},
		"issuer is another": {chain(func(t *testing.T) string {
			return chainPEM(leaf(t, nil), certificate(t, "other", root, "other", root, authority))
		}), integrity.RuleChain, "issued by another"},
		"issuer has another key": {chain(func(t *testing.T) string {
			return chainPEM(leaf(t, nil), certificate(t, "root", other, "root", other, authority))
		}), integrity.RuleChain, "certificate 1 is not signed by certificate 2"},
		"issuer no authority": {chain(func(t *testing.T) string {
			return chainPEM(leaf(t, nil), certificate(t, "root", root, "root", root, nil))
		}), integrity.RuleChain, "basic constraints"},
		"issuer may only sign": {chain(func(t *testing.T) string {
			return chainPEM(leaf(t, nil), rootCert(t, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }))
		}), integrity.RuleChain, "certificate 2 may not sign certificates: its key usage"},
		"signer may not sign": {chain(func(t *testing.T) string {
			return chainPEM(leaf(t, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }), rootCert(t, nil))
		}), integrity.RuleChain, "certificate 1 may not sign"},
		"path too long": {chain(func(t *testing.T) string {
			middle := certificate(t, "middle", other, "root", root, authority)
			return chainPEM(certificate(t, "builder", signer, "middle", other, nil), middle, rootCert(t, func(c *x509.Certificate) { c.MaxPathLenZero = true }))
		}), integrity.RuleChain, "allows 0 authorities below it; there are 1"},
		"self-issued by another": {chain(func(t *testing.T) string { return chainPEM(certificate(t, "x", signer, "x", other, nil)) }), integrity.RuleChain, "not signed by itself"},
		"dev by another": {chain(func(t *testing.T) string {
			return chainPEM(certificate(t, "greentic-dev-local", signer, "greentic-dev-local", other, nil))
		}), integrity.RuleChain, "not signed by itself"},
		"critical extension": {chain(func(t *testing.T) string {
			return chainPEM(leaf(t, func(c *x509.Certificate) {
				c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 30}, Critical: true, Value: []byte{0x30, 0}}}
			}))
		}), integrity.RuleChain, "critical extension 2.5.29.30"},
		"critical extension of a long name": {chain(func(t *testing.T) string { return chainPEM(strangeCertificate(t, 10_000)) }), integrity.RuleChain, "critical extension 2.5.0.0."},
		"malformed constraints": {chain(func(t *testing.T) string {
			return chainPEM(leaf(t, func(c *x509.Certificate) {
				c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Value: []byte{1}}}
			}))
		}), integrity.RuleChain, "basic constraints"},
		"malformed usage": {chain(func(t *testing.T) string {
			return chainPEM(leaf(t, func(c *x509.Certificate) {
				c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 15}, Value: []byte{1}}}
			}))
		}), integrity.RuleChain, "key usage"},
	} {
		t.Run(name, func(t *testing.T) {
			f, in := pure(t)
			sign(t, f, signer, chainPEM(leaf(t, nil), rootCert(t, nil)), nil)
			if r := check(t, in, integrity.Policy{Trust: trustIn(t, signer)}); !r.OK() || r.Signature.Status != integrity.Trusted {
				t.Fatalf("before the change: %q", r.Problems)
			}
			tc.change(t, f)
			r := check(t, in, integrity.Policy{Trust: trustIn(t, signer)})
			if p := find(t, r, tc.rule); !strings.Contains(p.Detail, tc.detail) || len(p.Detail) > 500 {
				t.Errorf("the detail %q does not say %q, or says too much", p.Detail, tc.detail)
			}
			if r.OK() || r.Signature.Status != integrity.Invalid || r.Signature.Valid {
				t.Errorf("%+v", r.Signature)
			}
		})
	}
}

func TestAuthoritiesInBetween(t *testing.T) {
	signer, middle, root := key(1), key(3), key(2)
	f, in := pure(t)
	sign(t, f, signer, chainPEM(
		certificate(t, "builder", signer, "middle", middle, nil),
		certificate(t, "middle", middle, "root", root, authority),
		certificate(t, "root", root, "root", root, func(c *x509.Certificate) { authority(c); c.MaxPathLen = 1 }),
	), nil)
	if r := check(t, in, integrity.Policy{Trust: trustIn(t, root)}); !r.OK() || r.Signature.Status != integrity.Trusted {
		t.Errorf("%q", r.Problems)
	}
}

// TestACertificateOfAnAuthorityIsNone: who holds a certificate
// of a trusted authority must not be able to issue others.
func TestACertificateOfAnAuthorityIsNone(t *testing.T) {
	customer, thief, root := key(4), key(5), key(2)
	f, in := pure(t)
	sign(t, f, thief, chainPEM(
		certificate(t, "thief", thief, "customer", customer, nil),
		certificate(t, "customer", customer, "root", root, nil),
	), nil)
	r := check(t, in, integrity.Policy{Trust: trustIn(t, root)})
	if find(t, r, integrity.RuleChain); r.Signature.Status != integrity.Invalid {
		t.Errorf("%+v", r.Signature)
	}
}

// curve is a certificate with a key of another kind.
func curve(t *testing.T) []byte {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotBefore: now, NotAfter: now.AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
