package integrity_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"maps"
	"reflect"
	"runtime/metrics"
	"strings"
	"testing"
	"unicode"

	"github.com/greentic-ai/greentic-provision/integrity"
	"github.com/greentic-ai/greentic-provision/plan"
)

// allocated is how many bytes f takes, the garbage included.
func allocated(f func()) uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	before := s[0].Value.Uint64()
	f()
	metrics.Read(s)
	return s[0].Value.Uint64() - before
}

// FuzzDocuments puts hostile documents into a pack that is otherwise sound and
// signed by a trusted key.
func FuzzDocuments(f *testing.F) {
	pack, input := pure(f)
	sign(f, pack, key(1), chainPEM(certificate(f, "x", key(1), "x", key(1), nil)), nil)
	locked, _ := sound(f)
	for _, name := range []string{"sbom.cbor", "sbom.json", "signatures/pack.sig", "signatures/chain.pem", "manifest.cbor"} {
		f.Add(name, []byte(pack[name]))
	}
	f.Add("sbom.cbor", []byte("\xa0"))
	f.Add("pack.l"+strings.Repeat("\x05", 2500)+"ock", []byte("escapes are longer than what they stand for"))
	f.Add("pack.lock.cbor", []byte(locked["pack.lock.cbor"]))
	f.Add("pack.lock", []byte(locked["assets/pack.lock.json"]))
	f.Add("pack.toml", []byte(source(f, "pack.toml", key(1), nil)["pack.toml"]))
	trusted := trustIn(f, key(1))
	f.Fuzz(func(t *testing.T, name string, content []byte) {
		in, changed := input, maps.Clone(pack)
		in.Files, changed[name] = changed, string(content)
		var r *integrity.Report
		var err error
		if took := allocated(func() { r, err = integrity.Check(in, integrity.Policy{Trust: trusted, Now: now}) }); took > uint64(len(content))*400+1<<20 {
			t.Errorf("%d bytes of %q allocate %d", len(content), name, took)
		}
		if err != nil {
			t.Fatal(err)
		}
		// Whatever was changed, the signature notices. It does not cover itself and
		// the second inventory.
		same := pack[name] == string(content)
		if name != "sbom.json" && !strings.HasPrefix(name, "signatures/") && !same && r.Signature.Status == integrity.Trusted {
			t.Errorf("%q was changed and the pack is trusted: %q", name, brief(r))
		}
		if len(r.Problems) > integrity.MaxProblems || r.OK() == hasErrors(r) {
			t.Errorf("%d problems, OK %t", len(r.Problems), r.OK())
		}
		texts := []string{}
		for _, p := range r.Problems {
			texts = append(texts, p.Entry, p.Detail, p.Hint)
		}
		for _, c := range r.Checks {
			texts = append(texts, c.Entry, c.Detail)
		}
		if s := r.Signature; s != nil {
			texts = append(texts, s.Subject, s.Key, s.KeyID, s.SignedAt, s.NotAfter)
		}
		for _, text := range texts {
			if len(text) > 2000 || strings.IndexFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) }) >= 0 {
				t.Errorf("unfit to print: %q", text)
			}
		}
		if _, err := plan.Canonical(r); err != nil {
			t.Error(err)
		}
	})
}

// FuzzCertificate holds the reader of certificates against crypto/x509: what both
// read means the same to both.
func FuzzCertificate(f *testing.F) {
	f.Add(certificate(f, "x", key(1), "x", key(1), nil))
	f.Add(certificate(f, "leaf", key(1), "root", key(2), func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }))
	f.Add(certificate(f, "root", key(2), "root", key(2), func(c *x509.Certificate) {
		authority(c)
		c.MaxPathLenZero = true
	}))
	f.Add(certificate(f, "root", key(2), "root", key(2), func(c *x509.Certificate) {
		authority(c)
		c.MaxPathLen = 3
	}))
	f.Add(strangeCertificate(f, 500))
	f.Fuzz(func(t *testing.T, der []byte) {
		ours, err := integrity.ParseCertificate(der)
		if err != nil {
			if text := err.Error(); len(text) > 300 || strings.ContainsFunc(text, unicode.IsControl) {
				t.Errorf("unfit to print: %q", text)
			}
			return
		}
		theirs, err := x509.ParseCertificate(der)
		if err != nil {
			return // they look at more of it
		}
		want := integrity.Certificate{
			TBS: theirs.RawTBSCertificate, Issuer: theirs.RawIssuer, Subject: theirs.RawSubject, Signature: theirs.Signature,
			Name: ours.Name, NotBefore: theirs.NotBefore, NotAfter: theirs.NotAfter,
			Authority: theirs.BasicConstraintsValid && theirs.IsCA, PathLen: ours.PathLen, Limited: ours.Limited,
			Signs: !ours.Limited || theirs.KeyUsage&x509.KeyUsageDigitalSignature != 0, Certifies: !ours.Limited || theirs.KeyUsage&x509.KeyUsageCertSign != 0,
		}
		want.Key, _ = theirs.PublicKey.(ed25519.PublicKey)
		if want.Authority && theirs.MaxPathLen >= 0 {
			want.PathLen = theirs.MaxPathLen
		}
		if !reflect.DeepEqual(*ours, want) {
			t.Errorf("ours\n%+v\ntheirs\n%+v", *ours, want)
		}
		if !ours.Limited && theirs.KeyUsage != 0 {
			t.Errorf("the key usage %b is not seen", theirs.KeyUsage)
		}
	})
}

// strangeCertificate has a critical extension whose name has that many numbers.
func strangeCertificate(t testing.TB, numbers int) []byte {
	return certificate(t, "x", key(1), "x", key(1), func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: append(asn1.ObjectIdentifier{2, 5}, make([]int, numbers-2)...), Critical: true, Value: []byte{0x30, 0}}}
	})
}

func FuzzParseTrust(f *testing.F) {
	f.Add([]byte(publicPEM(f, public(key(1)))))
	f.Add([]byte("# x\n" + chainPEM(certificate(f, "x", key(1), "x", key(1), authority))))
	f.Add([]byte(`{"keys":[{"name":"n","algorithm":"ed25519","public_key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","not_after":"2027-01-01T00:00:00Z"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := integrity.ParseTrust(b)
		if (err == nil) != (list != nil) {
			t.Fatalf("%v, %v", list, err)
		}
		if err != nil {
			if text := err.Error(); len(text) > 600 || strings.ContainsAny(text, "\n\x1b") {
				t.Errorf("unfit to print: %q", text)
			}
			return
		}
		for _, k := range list.Keys() {
			if k.Name == "" || len(k.Public) != 32 {
				t.Errorf("%+v", k)
			}
		}
	})
}
