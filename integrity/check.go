package integrity

import (
	"slices"
	"time"
)

const (
	hintRebuild   = "build the pack again"
	hintInventory = "build the pack with a packer that writes one, as packc does"
)

// checker checks one pack.
type checker struct {
	draft
	in     Input
	policy Policy
	names  []string // of all files, sorted
	there  map[string]bool
	used   map[string]bool // files that the caller named
	// inventory is the one that an archive's signature covers; nil when there is
	// none that can be read.
	inventory *inventory
}

// Check checks a pack against everything that it says about itself, and against
// the policy. An error is the one of Input.Files; whatever is wrong with the pack
// is in the report.
func Check(in Input, p Policy) (*Report, error) {
	if p.Now.IsZero() {
		p.Now = time.Now()
	}
	c := &checker{in: in, policy: p, names: slices.Sorted(slices.Values(in.Files.Names())), there: map[string]bool{}}
	for _, name := range c.names {
		c.there[name] = true
	}
	c.used = c.named()
	for _, check := range []func() error{
		c.checkInventories,
		c.checkLocks,
		c.checkComponentManifests,
		c.checkLegacyManifest,
		c.checkArchiveSignature,
		c.checkDirectorySignature,
		c.noteManifestSignatures,
	} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	c.require()
	return c.report(), nil
}
