package greentic

import (
	"cmp"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lukechampine.com/blake3"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/pack"
)

// Bounds on the search for the pack of a provider.
const (
	maxPacks    = 256
	maxPackSize = 256 << 20
)

// contract is what Greentic remembers of the pack that a configuration is for.
type contract struct {
	component string
	digest    string
	// hashes are what Greentic's programs compute as describe_hash, the one to write
	// first.
	hashes []string
}

// contractOf gives the contract of the pack in the bundle that has the provider's id,
// nil where there is none that can be read.
func contractOf(bundle, provider string) *contract {
	for _, path := range packsIn(bundle, provider) {
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() || info.Size() > maxPackSize {
			continue
		}
		archive, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		// What a pack says of its own bytes is no concern here: Greentic does not look.
		b, err := pack.OpenBytes(archive, path, pack.Options{AllowUnverified: true})
		if err != nil || b.Manifest.ID != provider {
			continue
		}
		c := &contract{component: provider, digest: hash128(archive), hashes: []string{hash128([]byte(provider))}}
		if b.Manifest.Generation == pack.GenerationPackV1 {
			first := pack.Declaration{ID: provider, Version: "0.0.0"}
			if len(b.Declared) > 0 {
				first = b.Declared[0]
			}
			c.component, c.hashes = first.ID, describeHashes(first)
		}
		return c
	}
	return nil
}

// packsIn lists the archives where Greentic looks for packs, those called like the
// provider first.
func packsIn(bundle, provider string) []string {
	var paths []string
	for _, dir := range []string{"providers", "packs"} {
		root, err := filepath.EvalSymlinks(filepath.Join(bundle, dir))
		if err != nil {
			continue
		}
		// A directory that cannot be read has no pack for Greentic either.
		_ = filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if len(paths) == maxPacks {
				return filepath.SkipAll
			}
			if err == nil && filepath.Ext(path) == ".gtpack" {
				paths = append(paths, path)
			}
			return nil
		})
	}
	slices.SortStableFunc(paths, func(a, b string) int {
		return called(b, provider) - called(a, provider)
	})
	return paths
}

// called is 1 for a file of the name, and 0 for others.
func called(path, name string) int {
	if strings.TrimSuffix(filepath.Base(path), ".gtpack") == name {
		return 1
	}
	return 0
}

// describeHashes gives the hashes of a component as greentic-types 0.5 and 1.1 compute
// them, of a description that they make up of its id, version and operations. That of
// 1.1 has one more member.
func describeHashes(c pack.Declaration) []string {
	null := map[string]any{"type": "null"}
	operations := make([]any, len(c.Operations))
	for i, name := range c.Operations {
		operations[i] = map[string]any{
			"id": name, "display_name": nil,
			"input": map[string]any{"schema": null}, "output": map[string]any{"schema": null},
			"defaults": map[string]any{}, "redactions": []any{}, "constraints": map[string]any{},
			"schema_hash": hash128([]byte(name)),
		}
	}
	description := map[string]any{
		"info":                  map[string]any{"id": c.ID, "version": c.Version, "role": "provider", "display_name": nil},
		"provided_capabilities": []any{}, "required_capabilities": []any{}, "metadata": map[string]any{},
		"operations": operations, "config_schema": null,
	}
	old := canonical(description)
	description["outcomes"] = []any{}
	return []string{hash128(old), hash128(canonical(description))}
}

// hash128 gives the first half of the BLAKE3 of b in hexadecimal.
func hash128(b []byte) string {
	sum := blake3.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

// describe says in an envelope what its configuration is for.
func (e *configEnvelope) describe(bundle string, p place, from adapters.Origin) {
	var c *contract
	if p.seen() {
		c = contractOf(bundle, p.provider)
	}
	if c == nil && e.info == nil {
		c = &contract{component: p.provider, digest: from.PackDigest, hashes: []string{hash128([]byte(p.provider))}}
	}
	if c != nil {
		e.setText(memberComponent, c.component)
		e.setText(memberDigest, c.digest)
		if !slices.Contains(c.hashes, e.memberText(memberDescribe)) {
			e.setText(memberDescribe, c.hashes[0])
			delete(e.members, memberSchemaHash)
		}
	}
	if e.info == nil {
		e.setText(memberABI, abiVersion)
	}
	// Greentic's flows are called setup_default and so on.
	e.setText(memberOperation, cmp.Or(from.Entry, string(pack.EntrySetup))+"_default")
	delete(e.members, memberUpdated)
}
