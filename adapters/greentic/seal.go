package greentic

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"unicode/utf8"

	"github.com/greentic-ai/greentic-provision/adapters"
)

// masterKeyName is the variable with the master key of the development store.
const masterKeyName = "GREENTIC_DEV_MASTER_KEY"

// The one algorithm that published builds of Greentic read, and its sizes in bytes.
const (
	algorithm = "aes256gcm"
	saltSize  = 32
	dekSize   = 32 // data encryption key: one for all secrets of a provider
)

// Warning says what the development store does not do for secrets, for people, once.
// It is "" when GREENTIC_DEV_MASTER_KEY is set: then secrets are as safe as that key
// is long and random, since it is hashed once and no more.
func Warning() string {
	if os.Getenv(masterKeyName) != "" {
		return ""
	}
	return "Greentic's development secrets store only hides secrets: " + masterKeyName + " is not set, so whoever can read the file can read them"
}

// masterKey hides data keys.
type masterKey [sha256.Size]byte

// openMasterKey reads the master key as Greentic does when it opens a store.
func openMasterKey() (masterKey, error) {
	text := os.Getenv(masterKeyName)
	if !utf8.ValidString(text) {
		return masterKey{}, &adapters.ConfigError{Adapter: adapter, Reason: masterKeyName + " is not UTF-8; Greentic would take it as not set", Hint: "set it to text"}
	}
	return sha256.Sum256([]byte(text)), nil
}

// wrap hides a data key, and wrapping what it gives shows it again.
func (k masterKey) wrap(dek []byte) []byte {
	out := make([]byte, len(dek))
	for i, b := range dek {
		out[i] = b ^ k[i%len(k)]
	}
	return out
}

// errSealed means that a secret does not open, which is all that can be known.
var errSealed = errors.New("it does not open: it was written with another " + masterKeyName + ", or the file is damaged")

// open gives the plaintext of a record. The error names the secret.
func (k masterKey) open(r *record) ([]byte, error) {
	plain, err := k.unseal(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.Meta.URI, err)
	}
	return plain, nil
}

func (k masterKey) unseal(r *record) ([]byte, error) {
	if r.Envelope.Algorithm != algorithm {
		return nil, malformed("it is sealed with %.40q; %s is known", r.Envelope.Algorithm, algorithm)
	}
	aead, err := aeadFor(k.wrap(r.Envelope.WrappedDEK), r.Envelope.Salt, r.Meta.URI)
	if err != nil {
		return nil, err
	}
	if len(r.Envelope.Nonce) != aead.NonceSize() {
		return nil, malformed("its nonce has %d bytes, not %d", len(r.Envelope.Nonce), aead.NonceSize())
	}
	plain, err := aead.Open(nil, r.Envelope.Nonce, r.Value, nil)
	if err != nil {
		return nil, errSealed
	}
	return plain, nil
}

// seal gives the record of a secret, sealed with a data key. tags is nil for none.
func (k masterKey) seal(dek []byte, uri string, tags map[string]string, plain []byte) (*record, error) {
	random := make([]byte, saltSize+12)
	rand.Read(random) // never fails
	salt, nonce := random[:saltSize], random[saltSize:]
	aead, err := aeadFor(dek, salt, uri)
	if err != nil {
		return nil, err
	}
	m := &meta{URI: uri, Visibility: "team", ContentType: "text", Tags: tags}
	if !utf8.Valid(plain) {
		m.ContentType = "binary"
	}
	return &record{m, aead.Seal(nil, nonce, plain, nil), &envelope{algorithm, nonce, salt, k.wrap(dek)}}, nil
}

// newDEK makes a data key.
func newDEK() []byte {
	dek := make([]byte, dekSize)
	rand.Read(dek)
	return dek
}

// aeadFor gives what seals the secret at a URI.
func aeadFor(dek, salt []byte, uri string) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, dek, salt, uri, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
