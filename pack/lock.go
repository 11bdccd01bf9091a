package pack

import (
	"encoding/hex"
	"path"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/plan"
)

// lockFiles in order of precedence. Only those inside the pack count: upstream's
// runner also looks beside the archive, where other packs' files lie.
var lockFiles = []string{"pack.lock.cbor", "pack.lock.json", "pack.lock"}

// locked is what a lock says of a component.
type locked struct{ path, digest string }

// lock gives the locked components by id. It is read when the places that need
// none have been tried: most packs can do without. A lock that cannot be read is
// as if it were not there; whether it tells the truth is asked in package
// integrity.
func (d *draft) lock() (map[string]locked, error) {
	if d.locked != nil {
		return d.locked, nil
	}
	d.locked = map[string]locked{}
	file := ""
	for _, name := range lockFiles {
		if there, err := d.has(name); err != nil {
			return nil, err
		} else if there {
			file = name
			break
		}
	}
	if file == "" {
		return d.locked, nil
	}
	var l struct {
		Components jsontext.Value `json:"components"`
	}
	type row struct {
		Name        string `json:"name"`
		ComponentID string `json:"component_id"`
		Bundled     string `json:"bundled_path"`
		Path        string `json:"path"`
		Wasm        string `json:"wasm_sha256"`
		SHA256      string `json:"sha256"`
		Resolved    string `json:"resolved_digest"`
		Digest      string `json:"digest"`
	}
	add := func(r row, names ...string) {
		v := locked{either(r.Bundled, r.Path), either(r.Wasm, r.SHA256, r.Resolved, r.Digest)}
		for _, id := range append(names, r.ComponentID, r.Name) {
			if _, ok := d.locked[id]; id != "" && !ok {
				d.locked[id] = v
			}
		}
	}
	err := d.src.structured(file, &l)
	switch {
	case err != nil:
	case isSet(l.Components) && l.Components.Kind() == '{':
		var rows map[string]row
		if err = decode(l.Components, &rows); err == nil {
			for id, r := range rows {
				add(r, id)
			}
		}
	case isSet(l.Components):
		var rows []row
		if err = decode(l.Components, &rows); err == nil {
			for _, r := range rows {
				add(r)
			}
		}
	}
	if isMachine(err) {
		return nil, err
	}
	if err != nil {
		// Source trees have a pack.lock in YAML that says nothing of binaries.
		d.note(plan.Info, "LOCK_UNREADABLE", file, "", "%s does not count: %s", hostile.Quote(file), detail(err))
		return d.locked, nil
	}
	d.uses(file)
	return d.locked, nil
}

func either(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// blob is where a component of a digest ("sha256:<hex>") lies by its content.
func blob(digest string) string {
	sum, ok := strings.CutPrefix(digest, "sha256:")
	if !ok && len(digest) == 64 {
		sum = digest
	}
	if b, err := hex.DecodeString(sum); err != nil || len(b) != 32 {
		return ""
	}
	return path.Join(blobs, strings.ToLower(sum)+".wasm")
}

const blobs = "blobs/sha256"

// isBlob says that a file is named after its content.
func isBlob(file string) bool { return path.Dir(file) == blobs && path.Ext(file) == ".wasm" }
