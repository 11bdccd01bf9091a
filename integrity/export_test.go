package integrity

import (
	"crypto/ed25519"
	"time"
)

// Keys gives the keys in the order of the list.
func (t *Trust) Keys() []Key { return append([]Key(nil), t.keys...) }

// Certificate is what is read of one.
type Certificate struct {
	TBS, Issuer, Subject, Signature []byte
	Key                             ed25519.PublicKey
	Name                            string
	NotBefore, NotAfter             time.Time
	Authority                       bool
	PathLen                         int  // -1: any
	Limited, Signs, Certifies       bool // by the key usage
}

// ParseCertificate reads one as those of a chain are read.
func ParseCertificate(der []byte) (*Certificate, error) {
	c, err := parseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &Certificate{
		TBS: c.tbs, Issuer: c.issuer, Subject: c.subject, Signature: c.signature, Key: c.key, Name: c.name,
		NotBefore: c.notBefore, NotAfter: c.notAfter, Authority: c.authority, PathLen: c.pathLen,
		Limited: c.usage >= 0, Signs: c.may(usageSign), Certifies: c.may(usageCertSign),
	}, nil
}
