package adapters

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/greentic-ai/greentic-provision/plan"
)

// Chained gives the entry as the next of a chain: with the sequence number, the hash
// of the one before, and its own.
func (e AuditEntry) Chained(prev Chain) (AuditEntry, error) {
	e.Seq, e.Prev = prev.Seq+1, prev.Hash
	e.Time = e.Time.UTC()
	for _, raw := range []*json.RawMessage{&e.Walls, &e.Detail} {
		if len(*raw) == 0 {
			*raw = json.RawMessage("null")
		}
	}
	hash, err := e.digest()
	e.Hash = hash
	return e, err
}

// Follows says whether the entry is the one after prev and has not been changed
// since.
func (e AuditEntry) Follows(prev Chain) bool {
	hash, err := e.digest()
	return err == nil && e.Seq == prev.Seq+1 && e.Prev == prev.Hash && e.Hash == hash
}

// End gives the chain's end with this entry as its last.
func (e AuditEntry) End() Chain { return Chain{e.Seq, e.Hash} }

func (e AuditEntry) digest() (string, error) {
	e.Hash = ""
	b, err := plan.Canonical(e)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}
