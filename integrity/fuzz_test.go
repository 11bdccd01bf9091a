package integrity_test

import (
	"maps"
	"strings"
	"testing"
	"unicode"

	"github.com/greentic-ai/greentic-provision/integrity"
	"github.com/greentic-ai/greentic-provision/plan"
)

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
		r, err := integrity.Check(in, integrity.Policy{Trust: trusted, Now: now})
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
