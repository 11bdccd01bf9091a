package sqlstore

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// SQLite's pages have no checksums, so that a disk may change bytes of a value and
// nothing else notices. These sums find that, and rows that were mixed up. They are no
// seal: who can write to the database can make them.

func valueSum(at spot, key string, value []byte) string {
	return sum(at.namespace, at.kind, key, string(value))
}

func installSum(ns, record string) string { return sum(ns, record) }

func journalSum(id, ns, record string) string { return sum(id, ns, record) }

func sum(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(p))))
		h.Write([]byte(p))
	}
	return hex.EncodeToString(h.Sum(nil))
}
