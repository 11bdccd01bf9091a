package integrity

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"
	"lukechampine.com/blake3"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/plan"
)

const (
	signatureFile = "signatures/pack.sig"
	chainFile     = "signatures/chain.pem"
	manifestCBOR  = "manifest.cbor"

	algorithm = "ed25519"
	devName   = "greentic-dev-local"

	hintTampered = "the pack was changed after it was signed: get it again from where it was published"
	hintSign     = "ask the publisher to sign the pack again"
)

// fingerprint is how a key is told from others: its BLAKE3 in hexadecimal.
func fingerprint(key ed25519.PublicKey) string {
	sum := blake3.Sum256(key)
	return hex.EncodeToString(sum[:])
}

// keyID is the shorter name that signatures of directories use.
func keyID(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:16])
}

// envelope is signatures/pack.sig.
type envelope struct {
	Algorithm   *string `json:"alg"`
	Signature   *string `json:"sig"`
	Digest      *string `json:"digest"`
	SignedAt    *string `json:"signed_at_utc"`
	Fingerprint *string `json:"key_fingerprint"`
}

// sealed is an envelope of either scheme, decoded.
type sealed struct {
	signature []byte
	digest    string // hexadecimal, lower case
	signedAt  time.Time
}

// openEnvelope decodes the fields that both schemes have. names are theirs, for
// messages.
func openEnvelope(alg, sig, digest, signedAt *string, names [4]string) (sealed, error) {
	var s sealed
	for i, v := range []*string{alg, sig, digest, signedAt} {
		if v == nil {
			return s, faultf(RuleEnvelope, "has no %q", names[i])
		}
	}
	if !strings.EqualFold(*alg, algorithm) {
		return s, faultf(RuleAlgorithm, "has the algorithm %s; only %q is read", hostile.Quote(*alg), algorithm)
	}
	// The decoder skips line breaks; the length is that of the exact text.
	var err error
	s.signature, err = base64.RawURLEncoding.Strict().DecodeString(*sig)
	if err != nil || len(s.signature) != ed25519.SignatureSize || len(*sig) != base64.RawURLEncoding.EncodedLen(ed25519.SignatureSize) {
		return s, faultf(RuleEnvelope, "%q is not 64 bytes in base64url without padding", names[1])
	}
	if !isHash(*digest) {
		return s, faultf(RuleEnvelope, "%q is not 64 hexadecimal digits", names[2])
	}
	s.digest = strings.ToLower(*digest)
	if s.signedAt, err = time.Parse(time.RFC3339, *signedAt); err != nil {
		return s, faultf(RuleEnvelope, "%q is not a time as RFC 3339 writes it", names[3])
	}
	return s, nil
}

func (c *checker) checkArchiveSignature() error {
	sig, chain := c.there[signatureFile], c.there[chainFile]
	if !sig && !chain {
		return nil
	}
	return c.check(CheckArchiveSignature, signatureFile, func() (string, error) {
		s := &Signature{Scheme: SchemeArchive, Entry: signatureFile, Status: Invalid}
		c.signature = s
		if !sig || !chain {
			has, lacks := signatureFile, chainFile
			if chain {
				has, lacks = lacks, has
			}
			c.fail(RulePartial, has, hintSign, "is there, but %s is not", lacks)
			return "cannot be checked", nil
		}
		before := c.errors.count
		key, err := c.verifyArchive(s)
		if err != nil {
			return "", err
		}
		if c.errors.count > before {
			s.Status = Invalid
			return "is not valid", nil
		}
		s.Valid = true
		return c.judge(s, key), nil
	})
}

// verifyArchive checks everything but trust, for which it gives the trusted key,
// if any. It goes on after a problem as long as there is something to check.
func (c *checker) verifyArchive(s *Signature) (*Key, error) {
	text, ok, err := c.read(signatureFile, MaxSignature)
	if !ok {
		return nil, err
	}
	pem, ok, err := c.read(chainFile, MaxSignature)
	if !ok {
		return nil, err
	}
	var e envelope
	if err := decodeJSON(text, &e); err != nil {
		c.broken(plan.Error, signatureFile, hintSign, err)
		return nil, nil
	}
	seal, err := openEnvelope(e.Algorithm, e.Signature, e.Digest, e.SignedAt, [4]string{"alg", "sig", "digest", "signed_at_utc"})
	if err != nil {
		c.broken(plan.Error, signatureFile, hintSign, err)
		return nil, nil
	}
	s.SignedAt = stamp(seal.signedAt)
	chain, err := parseChain(pem)
	if err != nil {
		if _, ok := errors.AsType[*fault](err); !ok {
			err = faultf(RuleChain, "%v", err)
		}
		c.broken(plan.Error, chainFile, hintSign, err)
		return nil, nil
	}
	leaf := chain[0]
	s.Fingerprint, s.KeyID, s.Subject = fingerprint(leaf.key), keyID(leaf.key), hostile.Escape(leaf.name, hostile.MaxShown)
	s.NotBefore, s.NotAfter = stamp(leaf.notBefore), stamp(leaf.notAfter)
	if leaf.name == devName && leaf.selfIssued() {
		s.Status = Dev // until it is known better
	}

	if err := c.verifyDigest(seal, leaf.key); err != nil {
		return nil, err
	}
	if e.Fingerprint != nil && !strings.EqualFold(*e.Fingerprint, s.Fingerprint) {
		c.fail(RuleKey, signatureFile, hintSign, "names the key %s; the certificate has %s", hostile.Quote(*e.Fingerprint), s.Fingerprint)
	}
	if err := checkChain(chain); err != nil {
		c.fail(RuleChain, chainFile, hintSign, "%v", err)
	}
	c.checkDates(chain, seal.signedAt)
	return c.trustedIn(chain), nil
}

// verifyDigest checks what was signed, that it covers the pack, and the signature
// itself.
func (c *checker) verifyDigest(seal sealed, key ed25519.PublicKey) error {
	inv := c.inventory
	if inv == nil {
		c.fail(RuleCoverage, signatureFile, hintSign, "covers an inventory, and the pack has none that can be read")
		return nil
	}
	if !c.there[manifestCBOR] {
		c.fail(RuleCoverage, signatureFile, hintSign, "covers %s, which the pack does not have", manifestCBOR)
		return nil
	}
	manifest, ok, err := c.read(manifestCBOR, MaxDocument)
	if !ok {
		return err
	}
	if !inv.sound {
		c.fail(RuleCoverage, signatureFile, hintTampered, "covers %s, which the pack does not agree with", inv.entry)
	}
	if inv.uncovered > 0 {
		c.fail(RuleCoverage, signatureFile, hintTampered, "does not cover %d of the files: they are not in %s", inv.uncovered, inv.entry)
	}
	digest := archiveDigest(manifest, inv)
	if is := hex.EncodeToString(digest[:]); is != seal.digest {
		c.fail(RuleDigest, signatureFile, hintTampered, "is for the digest %s; the pack has %s", seal.digest, is)
	}
	if !ed25519.Verify(key, digest[:], seal.signature) {
		c.fail(RuleSignature, signatureFile, hintTampered, "does not verify with the key of the certificate")
	}
	return nil
}

// archiveDigest is what an archive's signature signs.
func archiveDigest(manifest []byte, inv *inventory) [32]byte {
	files := slices.Clone(inv.files)
	slices.SortStableFunc(files, func(a, b listed) int { return strings.Compare(a.path, b.path) })
	h := blake3.New(32, nil)
	h.Write(manifest)
	h.Write(inv.bytes)
	for _, f := range files {
		h.Write([]byte(f.path + "\n" + f.hash))
	}
	return [32]byte(h.Sum(nil))
}

// checkDates: the whole chain is valid now, and the signer's certificate was when
// it signed.
func (c *checker) checkDates(chain []*certificate, signedAt time.Time) {
	for i, cert := range chain {
		switch now := c.policy.Now; {
		case now.Before(cert.notBefore):
			c.fail(RuleDates, chainFile, "", "certificate %d is not valid before %s; it is %s", i+1, stamp(cert.notBefore), stamp(now))
		case now.After(cert.notAfter):
			c.fail(RuleDates, chainFile, hintSign, "certificate %d is not valid after %s; it is %s", i+1, stamp(cert.notAfter), stamp(now))
		}
	}
	if leaf := chain[0]; signedAt.Before(leaf.notBefore) || signedAt.After(leaf.notAfter) {
		c.fail(RuleDates, signatureFile, hintSign, "signed at %s; its certificate is for %s to %s", stamp(signedAt), stamp(leaf.notBefore), stamp(leaf.notAfter))
	}
}

// trustedIn gives the trusted key that vouches for the first certificate of a
// sound chain.
func (c *checker) trustedIn(chain []*certificate) *Key {
	for _, cert := range chain {
		if key := c.policy.Trust.find(equal(cert.key)); key != nil {
			return key
		}
	}
	last := chain[len(chain)-1]
	return c.policy.Trust.find(func(x ed25519.PublicKey) bool { return ed25519.Verify(x, last.tbs, last.signature) })
}

// judge says what a valid signature is worth. key is the trusted key that vouches
// for it, if any.
func (c *checker) judge(s *Signature, key *Key) string {
	switch now := c.policy.Now; {
	case key == nil && s.Status == Dev:
		c.problem(plan.Warn, RuleUnknown, s.Entry, "anybody can make such a certificate; ask the publisher to sign the pack",
			"is valid, by the certificate for development with the key %s", s.Fingerprint)
		return "is valid, by a certificate for development"
	case key == nil:
		s.Status = Unknown
		c.problem(plan.Warn, RuleUnknown, s.Entry, "if you know the publisher's key and it is this one, add it to the trusted keys",
			"is valid, by an unknown key %s", s.Fingerprint)
		return "is valid, by an unknown key"
	case !key.NotBefore.IsZero() && now.Before(key.NotBefore), !key.NotAfter.IsZero() && now.After(key.NotAfter):
		s.Status, s.Valid = Invalid, false
		c.fail(RuleDates, s.Entry, "", "is by the trusted key %s, which is trusted %s only", hostile.Quote(key.Name), key.window())
		return "is by a key that is not trusted at this time"
	default:
		s.Status, s.Key = Trusted, key.Name
		return fmt.Sprintf("is valid, by the trusted key %s", hostile.Quote(key.Name))
	}
}

// noteManifestSignatures reports signatures inside of manifest.cbor.
func (c *checker) noteManifestSignatures() error {
	if !c.there[manifestCBOR] {
		return nil
	}
	sum, err := c.in.Files.Sum(manifestCBOR)
	if err != nil || sum.Size > MaxDocument {
		return err // too large: whoever reads the manifest says so
	}
	b, err := c.in.Files.Read(manifestCBOR, MaxDocument)
	if err != nil {
		return err
	}
	var m struct {
		Signatures struct {
			Signatures []cbor.RawMessage `cbor:"signatures"`
		} `cbor:"signatures"`
	}
	if decodeCBOR(b, &m) != nil {
		return nil // of another shape; whoever reads the manifest says what is wrong
	}
	if n := len(m.Signatures.Signatures); n > 0 {
		c.problem(plan.Warn, RuleUnchecked, manifestCBOR, "", "is signed in itself %d times, which covers no code and is not checked", n)
	}
	return nil
}

// require applies the policy, after everything else.
func (c *checker) require() {
	if !c.policy.RequireSignature || c.signature != nil && c.signature.Status == Trusted {
		return
	}
	hint := "get a pack that is signed by one of the trusted keys"
	if c.policy.Trust == nil {
		hint = "say which keys are trusted"
	}
	switch {
	case c.signature == nil:
		c.fail(RuleRequired, "", hint, "the pack is not signed")
	default:
		c.fail(RuleRequired, "", hint, "the pack is not signed by a trusted key")
	}
}

// stamp writes a time for a message or report.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
