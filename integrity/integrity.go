package integrity

import (
	"encoding/hex"
	"hash"
	"time"

	"crypto/sha256"

	"lukechampine.com/blake3"
)

// Sum is what is compared of a file: its size in bytes and two hashes in
// lower-case hexadecimal.
type Sum struct {
	Size   int64
	SHA256 string
	BLAKE3 string
}

// Hash is an io.Writer that makes a Sum of what is written to it.
type Hash struct {
	size           int64
	sha256, blake3 hash.Hash
}

// NewHash gives the Hash of nothing yet.
func NewHash() *Hash {
	return &Hash{sha256: sha256.New(), blake3: blake3.New(32, nil)}
}

// Write implements io.Writer. It never fails.
func (h *Hash) Write(b []byte) (int, error) {
	h.size += int64(len(b))
	h.sha256.Write(b)
	h.blake3.Write(b)
	return len(b), nil
}

// Sum is that of everything written so far.
func (h *Hash) Sum() Sum {
	return Sum{
		Size:   h.size,
		SHA256: hex.EncodeToString(h.sha256.Sum(nil)),
		BLAKE3: hex.EncodeToString(h.blake3.Sum(nil)),
	}
}

// Files is the content of a pack.
type Files interface {
	// Names lists every regular file once, by its path inside the pack,
	// separated by '/'. The order means nothing.
	Names() []string
	// Sum is that of one file. A name that is not listed gives an error that is
	// fs.ErrNotExist.
	Sum(name string) (Sum, error)
	// Read gives the content of one file. One of more than most bytes is an
	// error, which a caller avoids by looking at Sum first.
	Read(name string, most int64) ([]byte, error)
}

// Claim is what a manifest says about another file of the pack.
type Claim struct {
	Component string // the id of the component that it is about, for messages; may be empty
	Entry     string // path inside the pack
	Hash      string // as written in the manifest; empty when it gives none
}

// Input is a pack as whoever opened it understood it.
type Input struct {
	Files Files
	// Directory says that the pack is no archive: without an inventory it is
	// nothing out of the ordinary.
	Directory bool
	// Components is where the binary of each component is, by its id. Those
	// without a file in the pack are left out.
	Components map[string]string
	// Used are the files that decide what is run, whatever they are called.
	Used []string
	// ComponentManifests are the entries of the extension
	// greentic.pack.component_manifests@v1; hashes are "sha256:<hex>".
	ComponentManifests []Claim
	// Legacy are the components and flows of a legacy build manifest; hashes
	// are BLAKE3 in hexadecimal.
	Legacy []Claim
}

// Policy is what the operator asks of a pack.
type Policy struct {
	Trust *Trust // whose signatures count; nil when nobody said
	// RequireSignature makes a pack without a valid signature by a trusted key a
	// broken one.
	RequireSignature bool
	Now              time.Time // when certificates and keys must be valid; the zero value means now
}
