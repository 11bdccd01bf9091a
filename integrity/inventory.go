package integrity

import (
	"path"
	"strings"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/plan"
)

const (
	sbomFormat = "greentic-sbom-v1"
	sbomCBOR   = "sbom.cbor"
	sbomJSON   = "sbom.json"
)

// inventory is an SBOM.
type inventory struct {
	entry string
	bytes []byte
	files []listed
	sound bool // every file is there and as listed
	// uncovered are files that are not listed, without those that no inventory
	// lists.
	uncovered int
}

// listed is one file of an inventory. The hash is as it is written there: the
// signature covers the text.
type listed struct {
	path, hash string
	size       uint64
}

// sbom is how an inventory is written.
type sbom struct {
	Format *string `json:"format" cbor:"format"`
	Files  *[]struct {
		Path *string `json:"path" cbor:"path"`
		Size *uint64 `json:"size" cbor:"size"`
		Hash *string `json:"hash_blake3" cbor:"hash_blake3"`
	} `json:"files" cbor:"files"`
}

// decodeInventory gives nil without an error for an empty one.
func decodeInventory(b []byte, isCBOR bool) ([]listed, error) {
	var s sbom
	if err := decode(b, isCBOR, &s); err != nil {
		return nil, err
	}
	switch {
	case s.Format == nil && s.Files == nil:
		return nil, nil
	case s.Format == nil:
		return nil, faultf(RuleFormat, "has no %q", "format")
	case *s.Format != sbomFormat:
		return nil, faultf(RuleFormat, "has the format %s; only %q is read", hostile.Quote(*s.Format), sbomFormat)
	case s.Files == nil:
		return nil, faultf(RuleSyntax, "has no %q", "files")
	}
	files := make([]listed, 0, len(*s.Files))
	for i, f := range *s.Files {
		if f.Path == nil || f.Size == nil || f.Hash == nil {
			return nil, faultf(RuleSyntax, "file %d lacks one of path, size and hash_blake3", i)
		}
		if !isHash(*f.Hash) {
			return nil, faultf(RuleSyntax, "file %d (%s) has the hash %s, which is not 64 hexadecimal digits", i, hostile.Quote(*f.Path), hostile.Quote(*f.Hash))
		}
		files = append(files, listed{path: *f.Path, hash: *f.Hash, size: *f.Size})
	}
	return files, nil
}

func (c *checker) checkInventories() error {
	for _, entry := range []string{sbomCBOR, sbomJSON} {
		if !c.there[entry] {
			continue
		}
		err := c.check(CheckSBOM, entry, func() (string, error) { return c.checkInventory(entry) })
		if err != nil {
			return err
		}
	}
	if c.there[sbomCBOR] || c.there[sbomJSON] {
		return nil
	}
	severity := plan.Warn
	if c.in.Directory {
		severity = plan.Info
	}
	c.problem(severity, RuleNoSBOM, "", hintInventory, "the pack has neither %s nor %s: nothing says what belongs to it", sbomCBOR, sbomJSON)
	return nil
}

func (c *checker) checkInventory(entry string) (string, error) {
	b, ok, err := c.read(entry, MaxDocument)
	if !ok {
		return "cannot be read", err
	}
	files, err := decodeInventory(b, entry == sbomCBOR)
	if err != nil {
		c.broken(plan.Error, entry, hintRebuild, err)
		return "cannot be read", nil
	}
	if files == nil {
		c.problem(plan.Warn, RuleNoSBOM, entry, hintInventory, "is empty: nothing says what belongs to the pack")
		return "is empty", nil
	}
	inv := &inventory{entry: entry, bytes: b, files: files}
	if c.inventory == nil { // sbom.cbor comes first
		c.inventory = inv
	}
	before := c.errors.count
	seen := make(map[string]bool, min(len(files), len(c.names)))
	right := 0
	for _, f := range files {
		if seen[f.path] {
			c.fail(RuleTwice, f.path, hintRebuild, "%s lists it more than once", entry)
			continue
		}
		seen[f.path] = true
		match, err := c.checkListed(entry, f)
		if err != nil {
			return "", err
		}
		if match {
			right++
		}
	}
	inv.sound = c.errors.count == before
	for _, name := range c.names {
		if seen[name] || name == sbomCBOR || name == sbomJSON {
			continue
		}
		decides := decides(name) || c.used[name]
		if decides && c.in.Directory && seen["assets/"+name] {
			// Upstream's test harness copies pack.json and modules of an unpacked pack from
			// below assets/ to where its tool looks for them.
			same, err := c.same(name, "assets/"+name)
			if err != nil {
				return "", err
			}
			decides = !same
		}
		if name != signatureFile && name != chainFile {
			inv.uncovered++
		}
		switch {
		case decides:
			c.fail(RuleUnlisted, name, hintRebuild, "is not in %s, and it can be run or decides what is", entry)
		case !strings.HasPrefix(name, "signatures/"):
			c.problem(plan.Warn, RuleUnlisted, name, hintRebuild, "is not in %s", entry)
		}
	}
	return plural(right, len(files), "file"), nil
}

// same says whether two files have the same bytes.
func (c *checker) same(a, b string) (bool, error) {
	if !c.there[b] {
		return false, nil
	}
	x, err := c.in.Files.Sum(a)
	if err != nil {
		return false, err
	}
	y, err := c.in.Files.Sum(b)
	return x == y, err
}

// checkListed compares one file with what is listed.
func (c *checker) checkListed(entry string, f listed) (bool, error) {
	if !c.there[f.path] {
		c.fail(RuleAbsent, f.path, hintRebuild, "%s lists it, but the pack does not have it", entry)
		return false, nil
	}
	sum, err := c.in.Files.Sum(f.path)
	if err != nil {
		return false, err
	}
	switch {
	case !strings.EqualFold(f.hash, sum.BLAKE3):
		c.fail(RuleHash, f.path, hintRebuild, "has the BLAKE3 %s and %d bytes; %s lists %s and %d", sum.BLAKE3, sum.Size, entry, strings.ToLower(f.hash), f.size)
		return false, nil
	case f.size != uint64(sum.Size):
		c.fail(RuleSize, f.path, hintRebuild, "has %d bytes; %s lists %d", sum.Size, entry, f.size)
		return false, nil
	}
	return true, nil
}

// decides says that a file can be run or decides what is run, by its name.
// Assets are looked up below assets/, too; case does not count everywhere.
func decides(name string) bool {
	name = strings.TrimPrefix(strings.ToLower(name), "assets/")
	switch path.Ext(name) {
	case ".wasm", ".wat", ".ygtc":
		return true
	}
	for _, prefix := range []string{"manifest", "pack.lock", "flows/"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return name == "pack.json" || name == "pack.manifest.json"
}
