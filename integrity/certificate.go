package integrity

import (
	"bytes"
	"crypto/ed25519"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
)

// crypto/x509 would do, but it reaches package net, and everything that reads a
// pack stays clear of that. Only what the rules need is read, with the types that
// RFC 5280 gives in ASN.1; encoding/asn1 takes DER only.

// maxCertificates bounds a chain. Real ones have a single certificate.
const maxCertificates = 8

// certificate is an X.509 certificate with an Ed25519 key.
type certificate struct {
	tbs       []byte // what is signed
	signature []byte
	key       ed25519.PublicKey
	issuer    []byte // DER, compared as bytes
	subject   []byte
	name      string // common name of the subject; may be empty

	notBefore, notAfter time.Time

	authority bool // basic constraints say that it may sign certificates
	pathLen   int  // authorities that may stand between it and the signer; -1 is any number
	usage     int  // bits of the key usage; -1 when not limited
}

// Bits of the key usage (RFC 5280, 4.2.1.3), as asn1.BitString counts them.
const (
	usageSign     = 0
	usageCertSign = 5
)

func (c *certificate) may(usage int) bool { return c.usage < 0 || c.usage&(1<<usage) != 0 }

func (c *certificate) selfIssued() bool { return bytes.Equal(c.issuer, c.subject) }

var (
	oidEd25519          = asn1.ObjectIdentifier{1, 3, 101, 112}
	oidCommonName       = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidKeyUsage         = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
)

type (
	derAlgorithm struct {
		ID         asn1.ObjectIdentifier
		Parameters asn1.RawValue `asn1:"optional"`
	}
	derKey struct {
		Algorithm derAlgorithm
		Key       asn1.BitString
	}
	derCertificate struct {
		TBS       derTBS
		Algorithm derAlgorithm
		Signature asn1.BitString
	}
	derTBS struct {
		Raw       asn1.RawContent
		Version   int `asn1:"optional,explicit,default:0,tag:0"`
		Serial    *big.Int
		Algorithm derAlgorithm
		Issuer    asn1.RawValue
		Validity  struct{ NotBefore, NotAfter time.Time }
		Subject   asn1.RawValue
		Key       derKey

		IssuerID   asn1.BitString `asn1:"optional,tag:1"`
		SubjectID  asn1.BitString `asn1:"optional,tag:2"`
		Extensions []derExtension `asn1:"omitempty,optional,explicit,tag:3"`
	}
	derExtension struct {
		ID       asn1.ObjectIdentifier
		Critical bool `asn1:"optional"`
		Value    []byte
	}
	derAttribute struct {
		ID    asn1.ObjectIdentifier
		Value asn1.RawValue
	}
	derAttributeSET []derAttribute // encoding/asn1 tells sets by the name of the type
)

// unmarshal decodes all of b.
func unmarshal(b []byte, v any) error {
	rest, err := asn1.Unmarshal(b, v)
	if err != nil {
		return errors.New("is not DER of the expected shape")
	}
	if len(rest) > 0 {
		return errors.New("has bytes behind its end")
	}
	return nil
}

// shown is an identifier for a message: one of 40,000 numbers fits into a chain.
func shown(id asn1.ObjectIdentifier) string { return hostile.Clip(id.String(), hostile.MaxShown) }

func (a derAlgorithm) isEd25519() bool {
	return a.ID.Equal(oidEd25519) && len(a.Parameters.FullBytes) == 0 // RFC 8410: parameters are absent
}

// public gives the key itself.
func (k derKey) public() (ed25519.PublicKey, error) {
	if !k.Algorithm.isEd25519() {
		return nil, faultf(RuleAlgorithm, "has a key of the kind %s; only Ed25519 is read", shown(k.Algorithm.ID))
	}
	if k.Key.BitLength != 8*ed25519.PublicKeySize || len(k.Key.Bytes) != ed25519.PublicKeySize {
		return nil, errors.New("has an Ed25519 key that is not 32 bytes long")
	}
	return k.Key.Bytes, nil
}

// parseKey reads a SubjectPublicKeyInfo, which is what PUBLIC KEY blocks hold.
func parseKey(der []byte) (ed25519.PublicKey, error) {
	var k derKey
	if err := unmarshal(der, &k); err != nil {
		return nil, err
	}
	return k.public()
}

func parseCertificate(der []byte) (*certificate, error) {
	var d derCertificate
	if err := unmarshal(der, &d); err != nil {
		return nil, err
	}
	t := &d.TBS
	key, err := t.Key.public()
	if err != nil {
		return nil, err
	}
	if !d.Algorithm.isEd25519() || !t.Algorithm.isEd25519() {
		return nil, faultf(RuleAlgorithm, "is signed by the algorithm %s; only Ed25519 is read", shown(d.Algorithm.ID))
	}
	if d.Signature.BitLength != 8*ed25519.SignatureSize {
		return nil, errors.New("has a signature that is not 64 bytes long")
	}
	c := &certificate{
		tbs: t.Raw, signature: d.Signature.Bytes, key: key,
		issuer: t.Issuer.FullBytes, subject: t.Subject.FullBytes,
		notBefore: t.Validity.NotBefore, notAfter: t.Validity.NotAfter,
		pathLen: -1, usage: -1,
	}
	if c.name, err = commonName(c.subject); err != nil {
		return nil, err
	}
	for i, x := range t.Extensions {
		if slices.ContainsFunc(t.Extensions[:i], func(y derExtension) bool { return y.ID.Equal(x.ID) }) {
			return nil, fmt.Errorf("has the extension %s twice", shown(x.ID))
		}
		if err := c.extend(x); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *certificate) extend(x derExtension) error {
	switch {
	case x.ID.Equal(oidBasicConstraints):
		var basic struct {
			CA      bool `asn1:"optional"`
			PathLen int  `asn1:"optional,default:-1"`
		}
		if err := unmarshal(x.Value, &basic); err != nil {
			return fmt.Errorf("has basic constraints that cannot be read: it %w", err)
		}
		c.authority, c.pathLen = basic.CA, basic.PathLen
	case x.ID.Equal(oidKeyUsage):
		var bits asn1.BitString
		if err := unmarshal(x.Value, &bits); err != nil {
			return fmt.Errorf("has a key usage that cannot be read: it %w", err)
		}
		c.usage = 0
		for _, bit := range []int{usageSign, usageCertSign} {
			c.usage |= bits.At(bit) << bit
		}
	case x.Critical:
		return fmt.Errorf("has the critical extension %s, which is not known here", shown(x.ID))
	}
	return nil
}

// commonName gives the last common name of a subject, or "".
func commonName(subject []byte) (string, error) {
	var sets []derAttributeSET
	if err := unmarshal(subject, &sets); err != nil {
		return "", fmt.Errorf("has a subject that cannot be read: it %w", err)
	}
	name := ""
	for _, set := range sets {
		for _, a := range set {
			switch a.Value.Tag {
			case asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagIA5String:
				if a.ID.Equal(oidCommonName) && a.Value.Class == asn1.ClassUniversal {
					name = string(a.Value.Bytes)
				}
			}
		}
	}
	return name, nil
}

// parseChain reads PEM with certificates and nothing else.
func parseChain(b []byte) ([]*certificate, error) {
	var chain []*certificate
	for b = bytes.TrimSpace(b); len(b) > 0; b = bytes.TrimSpace(b) {
		block, rest := nextBlock(b)
		switch {
		case block == nil:
			return nil, errors.New("has something that is not a PEM block")
		case block.Type != "CERTIFICATE":
			return nil, fmt.Errorf("has a PEM block %s where CERTIFICATE is expected", hostile.Quote(block.Type))
		case len(chain) == maxCertificates:
			return nil, fmt.Errorf("has more than %d certificates", maxCertificates)
		}
		cert, err := parseCertificate(block.Bytes)
		if f, ok := errors.AsType[*fault](err); ok {
			return nil, faultf(f.rule, "certificate %d %s", len(chain)+1, f.text)
		}
		if err != nil {
			return nil, fmt.Errorf("certificate %d %w", len(chain)+1, err)
		}
		chain = append(chain, cert)
		b = rest
	}
	if len(chain) == 0 {
		return nil, errors.New("has no certificate")
	}
	return chain, nil
}

// nextBlock reads the PEM block that b begins with; nil when there is none.
// pem.Decode alone would skip whatever stands before it, broken blocks too.
func nextBlock(b []byte) (*pem.Block, []byte) {
	const begin, end = "-----BEGIN ", "\n-----END "
	if !bytes.HasPrefix(b, []byte(begin)) {
		return nil, nil
	}
	i := bytes.Index(b, []byte(end))
	if i < 0 {
		return nil, nil
	}
	cut := i + len(end)
	if n := bytes.IndexByte(b[cut:], '\n'); n >= 0 {
		cut += n + 1
	} else {
		cut = len(b)
	}
	block, rest := pem.Decode(b[:cut])
	if block == nil || len(rest) > 0 || len(block.Headers) > 0 {
		return nil, nil
	}
	return block, b[cut:]
}

// checkChain says what is wrong between the certificates of a chain.
func checkChain(chain []*certificate) error {
	for i, cert := range chain[:len(chain)-1] {
		next := chain[i+1]
		switch {
		case !bytes.Equal(cert.issuer, next.subject):
			return fmt.Errorf("certificate %d is issued by another than certificate %d", i+1, i+2)
		case !next.authority:
			return fmt.Errorf("certificate %d may not sign certificates: its basic constraints do not make it an authority", i+2)
		case !next.may(usageCertSign):
			return fmt.Errorf("certificate %d may not sign certificates: its key usage is another", i+2)
		case next.pathLen >= 0 && i > next.pathLen:
			return fmt.Errorf("certificate %d allows %d authorities below it; there are %d", i+2, next.pathLen, i)
		case !ed25519.Verify(next.key, cert.tbs, cert.signature):
			return fmt.Errorf("certificate %d is not signed by certificate %d", i+1, i+2)
		}
	}
	if !chain[0].may(usageSign) {
		return errors.New("certificate 1 may not sign: its key usage is another")
	}
	if last := chain[len(chain)-1]; last.selfIssued() && !ed25519.Verify(last.key, last.tbs, last.signature) {
		return fmt.Errorf("certificate %d names itself as issuer but is not signed by itself", len(chain))
	}
	return nil
}
