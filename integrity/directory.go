package integrity

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/plan"
)

// sourceManifests in the order in which the builder looks for them.
var sourceManifests = []string{"pack.toml", "greentic-pack.toml"}

// maxSigned bounds the signed bytes of a directory: Ed25519 wants them at once.
// It is the size of the largest archive that upstream reads.
const maxSigned = 64 << 20

func (c *checker) checkDirectorySignature() error {
	entry := ""
	for _, name := range sourceManifests {
		if c.there[name] {
			entry = name
			break
		}
	}
	if entry == "" {
		return nil
	}
	sum, err := c.in.Files.Sum(entry)
	if err != nil || sum.Size > MaxDocument {
		return err // no manifest of a run, so its size is nobody's problem
	}
	b, err := c.in.Files.Read(entry, MaxDocument)
	if err != nil {
		return err
	}
	manifest := splitTOML(string(b))
	if manifest.signature == "" {
		return nil
	}
	return c.check(CheckDirectorySignature, entry, func() (string, error) {
		s := &Signature{Scheme: SchemeDirectory, Entry: entry, Status: Invalid}
		detail, err := c.verifyDirectory(s, manifest)
		if c.signature == nil || s.Status == Trusted {
			c.signature = s
		}
		return detail, err
	})
}

func (c *checker) verifyDirectory(s *Signature, manifest splitManifest) (string, error) {
	const cannot = "cannot be checked"
	fields, err := readTable(manifest.signature)
	if err != nil {
		c.broken(plan.Error, s.Entry, hintSign, err)
		return cannot, nil
	}
	digest := fields["digest"]
	if digest != nil {
		hash, err := sha256Of(*digest, false)
		if err != nil {
			c.fail(RuleEnvelope, s.Entry, hintSign, "the signature %v", err)
			return cannot, nil
		}
		digest = &hash
	}
	seal, err := openEnvelope(fields["alg"], fields["sig"], digest, fields["created_at"], [4]string{"alg", "sig", "digest", "created_at"})
	if err != nil {
		c.broken(plan.Error, s.Entry, hintSign, err)
		return cannot, nil
	}
	s.SignedAt = stamp(seal.signedAt)
	if id := fields["key_id"]; id == nil {
		c.fail(RuleEnvelope, s.Entry, hintSign, "the signature has no %q", "key_id")
		return cannot, nil
	} else {
		s.KeyID = hostile.Escape(*id, hostile.MaxShown)
	}
	before := c.errors.count
	signed, why, err := c.signedBytes(s.Entry, manifest.rest)
	if err != nil {
		return "", err
	}
	if c.errors.count > before {
		return "is not valid", nil
	}
	if why != "" {
		s.Status = Unchecked
		c.problem(plan.Warn, RuleUnchecked, s.Entry, "", "has a signature that is not checked: %s", why)
		return cannot, nil
	}
	if sum := sha256.Sum256(signed); hex.EncodeToString(sum[:]) != seal.digest {
		c.fail(RuleDigest, s.Entry, "the directory was changed, or its manifest laid out anew, after it was signed",
			"is for the SHA-256 %s; the directory has %s", seal.digest, hex.EncodeToString(sum[:]))
		return "is not valid", nil
	}
	key := c.policy.Trust.find(func(x ed25519.PublicKey) bool { return keyID(x) == *fields["key_id"] })
	if key == nil {
		s.Status = Unknown
		c.problem(plan.Warn, RuleUnknown, s.Entry, "if you know the publisher's key, add it to the trusted keys",
			"is by an unknown key %s, without which it cannot be verified", hostile.Quote(*fields["key_id"]))
		return "is by an unknown key", nil
	}
	s.Fingerprint = fingerprint(key.Public)
	if !ed25519.Verify(key.Public, signed, seal.signature) {
		c.fail(RuleSignature, s.Entry, hintTampered, "does not verify with the key %s that it names", hostile.Quote(key.Name))
		return "is not valid", nil
	}
	s.Valid = true
	return c.judge(s, key), nil
}

// signedBytes gives what the signature of a directory signs, or why that cannot
// be had.
func (c *checker) signedBytes(entry, manifest string) (signed []byte, why string, err error) {
	var names []string
	size := int64(0)
	for _, name := range c.names {
		elements := strings.Split(name, "/")
		base := path.Base(name)
		switch {
		case slices.Contains(elements, ".git"), slices.Contains(elements, "target"), base == ".DS_Store":
			if c.used[name] {
				c.fail(RuleCoverage, name, hintSign, "is not covered by the signature in %s, as nothing below .git and target is, and the pack uses it", entry)
			}
			continue
		case base == ".packignore":
			return nil, "there is a .packignore, which says that some files are not signed", nil
		case name != entry && slices.Contains(sourceManifests, base):
			return nil, fmt.Sprintf("%s is signed as another text than it has", hostile.Quote(name)), nil
		}
		sum, err := c.in.Files.Sum(name)
		if err != nil {
			return nil, "", err
		}
		if size += sum.Size; size > maxSigned {
			return nil, fmt.Sprintf("the directory has more than %d bytes", maxSigned), nil
		}
		names = append(names, name)
	}
	signed = make([]byte, 0, size+int64(len(names))*64)
	for _, name := range names {
		content := []byte(manifest)
		if name != entry {
			if content, err = c.in.Files.Read(name, maxSigned); err != nil {
				return nil, "", err
			}
		}
		signed = fmt.Appendf(signed, "PATH\x00%s\nLEN\x00%d\n", name, len(content))
		signed = append(signed, content...)
	}
	return signed, "", nil
}

// named are the files that the caller named.
func (c *checker) named() map[string]bool {
	out := map[string]bool{}
	for _, name := range c.in.Used {
		out[name] = true
	}
	for _, name := range c.in.Components {
		out[name] = true
	}
	for _, claim := range slices.Concat(c.in.ComponentManifests, c.in.Legacy) {
		out[claim.Entry] = true
	}
	return out
}
