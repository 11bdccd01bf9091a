package integrity

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
)

const (
	// MaxKeys is how many keys a list may have.
	MaxKeys = 1000
	// maxKeyName bounds the name of a key, in bytes.
	maxKeyName = 100
)

// Key is a key that the operator trusts, between two times. The zero time is no
// bound.
type Key struct {
	Name                string
	Public              ed25519.PublicKey
	NotBefore, NotAfter time.Time
}

// Fingerprint is the BLAKE3 of the key in hexadecimal, as reports show it.
func (k *Key) Fingerprint() string { return fingerprint(k.Public) }

// ID is the first 16 bytes of the key's SHA-256 in hexadecimal, as signatures of
// directories name it.
func (k *Key) ID() string { return keyID(k.Public) }

func (k *Key) window() string {
	switch {
	case k.NotBefore.IsZero():
		return "until " + stamp(k.NotAfter)
	case k.NotAfter.IsZero():
		return "from " + stamp(k.NotBefore)
	}
	return "from " + stamp(k.NotBefore) + " until " + stamp(k.NotAfter)
}

// Trust is a list of trusted keys, each of them once. [ParseTrust] makes it.
type Trust struct{ keys []Key }

// equal is the test for one key: ed25519.PublicKey.Equal takes any kind.
func equal(key ed25519.PublicKey) func(ed25519.PublicKey) bool {
	return func(x ed25519.PublicKey) bool { return bytes.Equal(x, key) }
}

// find gives the first key that is wanted. There are none in a nil list.
func (t *Trust) find(want func(ed25519.PublicKey) bool) *Key {
	if t == nil {
		return nil
	}
	for i := range t.keys {
		if want(t.keys[i].Public) {
			return &t.keys[i]
		}
	}
	return nil
}

// TrustError says what is wrong with a list of trusted keys. It repeats nothing
// of a key: somebody may have put the private one there.
type TrustError struct {
	Where  string // "keys[2].public_key" or "block 2"; "" for the list as a whole
	Detail string
}

func (e *TrustError) Error() string {
	if e.Where == "" {
		return "trusted keys: " + e.Detail
	}
	return "trusted keys: " + e.Where + ": " + e.Detail
}

func mistrust(where, format string, args ...any) error {
	return &TrustError{Where: where, Detail: fmt.Sprintf(format, args...)}
}

// ParseTrust reads a list of 1 to MaxKeys trusted Ed25519 keys, of at most
// MaxTrust bytes, in one of two formats. One is JSON, without other members:
//
//	{"keys": [{
//	  "name": "Greentic releases",             // 1 to 100 bytes
//	  "algorithm": "ed25519",
//	  "public_key": "…",                       // 32 bytes in hexadecimal or base64, or a PEM block
//	  "not_before": "2026-01-01T00:00:00Z",    // may be left out, as may
//	  "not_after": "2027-01-01T00:00:00Z"
//	}]}
//
// The other is PEM with blocks PUBLIC KEY and CERTIFICATE; lines outside of blocks
// are empty or begin with '#'. A key is called after the common name of its
// certificate, else by its position, and is trusted while the certificate is
// valid. Neither who issued a certificate nor what it is for counts: the operator
// vouches for the key. The error is a [*TrustError].
func ParseTrust(b []byte) (*Trust, error) {
	if len(b) > MaxTrust {
		return nil, mistrust("", "the list has %d bytes; at most %d are read", len(b), MaxTrust)
	}
	read := readTrustPEM
	if text := bytes.TrimLeft(b, " \t\r\n"); len(text) > 0 && text[0] == '{' {
		read = readTrustJSON
	}
	t := &Trust{}
	if err := read(b, t); err != nil {
		return nil, err
	}
	if len(t.keys) == 0 {
		return nil, mistrust("", "the list is empty; it is JSON with \"keys\", or PEM with blocks PUBLIC KEY or CERTIFICATE")
	}
	return t, nil
}

// add takes one more key.
func (t *Trust) add(where string, k Key) error {
	if len(t.keys) == MaxKeys {
		return mistrust(where, "the list has more than %d keys", MaxKeys)
	}
	if !k.NotBefore.IsZero() && !k.NotAfter.IsZero() && k.NotAfter.Before(k.NotBefore) {
		return mistrust(where, "not_after is before not_before")
	}
	if other := t.find(equal(k.Public)); other != nil {
		return mistrust(where, "is the same key as %s", hostile.Quote(other.Name))
	}
	t.keys = append(t.keys, k)
	return nil
}

type trustedKey struct {
	Name      *string `json:"name"`
	Algorithm *string `json:"algorithm"`
	Public    *string `json:"public_key"`
	NotBefore *string `json:"not_before"`
	NotAfter  *string `json:"not_after"`
}

func readTrustJSON(b []byte, t *Trust) error {
	var doc struct {
		Keys []trustedKey `json:"keys"`
	}
	if err := decodeJSON(b, &doc, json.RejectUnknownMembers(true)); err != nil {
		return mistrust("", "%v", err)
	}
	for i, k := range doc.Keys {
		where := fmt.Sprintf("keys[%d]", i)
		key, err := k.read(where)
		if err != nil {
			return err
		}
		if err := t.add(where, key); err != nil {
			return err
		}
	}
	return nil
}

func (k trustedKey) read(where string) (Key, error) {
	switch {
	case k.Name == nil || *k.Name == "":
		return Key{}, mistrust(where+".name", "is missing or empty")
	case len(*k.Name) > maxKeyName:
		return Key{}, mistrust(where+".name", "has %d bytes; at most %d are read", len(*k.Name), maxKeyName)
	case hostile.Escape(*k.Name, maxKeyName) != *k.Name:
		return Key{}, mistrust(where+".name", "has a character that cannot be shown")
	case k.Algorithm == nil || *k.Algorithm != algorithm:
		return Key{}, mistrust(where+".algorithm", "is not %q, the only one that is read", algorithm)
	case k.Public == nil:
		return Key{}, mistrust(where+".public_key", "is missing")
	}
	out := Key{Name: *k.Name}
	var err error
	if out.Public, err = parsePublic(*k.Public); err != nil {
		return Key{}, mistrust(where+".public_key", "%v", err)
	}
	for _, date := range []struct {
		name string
		text *string
		into *time.Time
	}{{"not_before", k.NotBefore, &out.NotBefore}, {"not_after", k.NotAfter, &out.NotAfter}} {
		if date.text == nil {
			continue
		}
		if *date.into, err = time.Parse(time.RFC3339, *date.text); err != nil || date.into.IsZero() {
			return Key{}, mistrust(where+"."+date.name, "is not a time as RFC 3339 writes it")
		}
	}
	return out, nil
}

// parsePublic reads a key in hexadecimal, base64 of either alphabet, or PEM. The
// lengths tell the first two apart.
func parsePublic(s string) (ed25519.PublicKey, error) {
	s = strings.TrimSpace(s)
	if strings.HasPrefix(s, "-----BEGIN ") {
		block, rest := nextBlock([]byte(s))
		if block == nil || len(bytes.TrimSpace(rest)) > 0 {
			return nil, errors.New("is not one PEM block")
		}
		key, err := readBlock(block.Type, block.Bytes)
		return key.Public, err
	}
	if isHash(s) {
		return hex.DecodeString(s)
	}
	text := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(s, "="))
	key, err := base64.RawStdEncoding.Strict().DecodeString(text)
	if err != nil || len(key) != ed25519.PublicKeySize || len(text) != base64.RawStdEncoding.EncodedLen(ed25519.PublicKeySize) {
		return nil, errors.New("is neither 32 bytes in hexadecimal or base64 nor a PEM block")
	}
	return key, nil
}

// readBlock reads what a PEM block holds.
func readBlock(kind string, der []byte) (Key, error) {
	switch {
	case kind == "PUBLIC KEY":
		key, err := parseKey(der)
		return Key{Public: key}, err
	case kind == "CERTIFICATE":
		cert, err := parseCertificate(der)
		if err != nil {
			return Key{}, err
		}
		return Key{Name: hostile.Escape(cert.name, maxKeyName), Public: cert.key, NotBefore: cert.notBefore, NotAfter: cert.notAfter}, nil
	case strings.HasSuffix(kind, "PRIVATE KEY"):
		return Key{}, errors.New("is a private key: keep it to yourself and list the public one")
	}
	return Key{}, errors.New("is neither a PUBLIC KEY nor a CERTIFICATE")
}

func readTrustPEM(b []byte, t *Trust) error {
	for n := 1; ; n++ {
		b = bytes.TrimLeft(b, " \t\r\n")
		for len(b) > 0 && b[0] == '#' {
			_, b, _ = bytes.Cut(b, []byte("\n"))
			b = bytes.TrimLeft(b, " \t\r\n")
		}
		if len(b) == 0 {
			return nil
		}
		where := fmt.Sprintf("block %d", n)
		block, rest := nextBlock(b)
		if block == nil {
			return mistrust(where, "is not a PEM block; the list is JSON with \"keys\", or PEM")
		}
		key, err := readBlock(block.Type, block.Bytes)
		if err != nil {
			return mistrust(where, "%v", err)
		}
		if key.Name == "" {
			key.Name = fmt.Sprintf("key %d", n)
		}
		if err := t.add(where, key); err != nil {
			return err
		}
		b = rest
	}
}
