package packtest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"
	"lukechampine.com/blake3"
)

// sboms are the inventories, the one that a signature covers first.
var sboms = []string{"sbom.cbor", "sbom.json"}

// row is one of an inventory.
type row struct {
	Path      string `json:"path"`
	Size      int    `json:"size"`
	Hash      string `json:"hash_blake3"`
	MediaType string `json:"media_type"`
}

// inventory gives the rows of every file but some.
func (b *builder) inventory(but []string) (string, error) {
	var rows []string
	for _, name := range slices.Sorted(maps.Keys(b.sources)) {
		if slices.Contains(sboms, name) || strings.HasPrefix(name, "signatures/") || slices.Contains(but, name) {
			continue
		}
		data, err := b.file(name)
		if err != nil {
			return "", err
		}
		text, err := json.Marshal(row{name, len(data), blake3Hex(data), "application/octet-stream"})
		if err != nil {
			return "", err
		}
		rows = append(rows, string(text))
	}
	return strings.Join(rows, ","), nil
}

// digest is what the signature of an archive covers.
func (b *builder) digest() ([]byte, error) {
	manifest, err := b.file("manifest.cbor")
	if err != nil {
		return nil, err
	}
	var inventory struct {
		Files []row `json:"files"`
	}
	var sbom []byte
	switch {
	case b.has(sboms[0]):
		if sbom, err = b.file(sboms[0]); err == nil {
			err = cbor.Unmarshal(sbom, &inventory)
		}
	case b.has(sboms[1]):
		if sbom, err = b.file(sboms[1]); err == nil {
			err = json.Unmarshal(sbom, &inventory)
		}
	default:
		err = errors.New("the pack has no SBOM to sign")
	}
	if err != nil {
		return nil, err
	}
	slices.SortFunc(inventory.Files, func(x, y row) int { return strings.Compare(x.Path, y.Path) })
	signed := slices.Concat(manifest, sbom)
	for _, r := range inventory.Files {
		signed = append(signed, r.Path+"\n"+r.Hash...)
	}
	sum := blake3.Sum256(signed)
	return sum[:], nil
}

func (b *builder) has(name string) bool {
	_, ok := b.sources[name]
	return ok
}

func (b *builder) sign(name string) (string, error) {
	digest, err := b.digest()
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(ed25519.Sign(key(name), digest)), nil
}

// key makes a key of its name.
func key(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("packtest " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func public(name string) ed25519.PublicKey { return key(name).Public().(ed25519.PublicKey) }

// certificate gives a PEM block without the line end behind it, which is the
// source's.
func certificate(args []string) (string, error) {
	if len(args) != 4 && (len(args) != 5 || args[4] != "authority") {
		return "", errors.New("takes KEY ISSUER FROM TO, and authority or nothing")
	}
	from, err := time.Parse(time.DateOnly, args[2])
	if err != nil {
		return "", err
	}
	to, err := time.Parse(time.DateOnly, args[3])
	if err != nil {
		return "", err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: args[0]}, NotBefore: from, NotAfter: to,
	}
	if len(args) == 5 {
		template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	}
	issuer := &x509.Certificate{Subject: pkix.Name{CommonName: args[1]}}
	// Ed25519 needs no randomness, and the serial number is given.
	der, err := x509.CreateCertificate(nil, template, issuer, public(args[0]), key(args[1]))
	if err != nil {
		return "", fmt.Errorf("the certificate of %s: %w", args[0], err)
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return strings.TrimSuffix(string(block), "\n"), nil
}

func sha256Hex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func blake3Hex(b []byte) string {
	sum := blake3.Sum256(b)
	return hex.EncodeToString(sum[:])
}
