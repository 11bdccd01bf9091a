package integrity

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/fxamacker/cbor/v2"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/plan"
)

var lockFiles = []string{
	"pack.lock.cbor", "pack.lock.json", "pack.lock",
	"assets/pack.lock.cbor", "assets/pack.lock.json", "assets/pack.lock",
}

// locked is one component of a lock.
type locked struct {
	id     string
	path   string // may be empty
	digest string
	bare   bool // the digest may be hexadecimal without "sha256:"
}

// lockByID is a component of the newer shape, which has them by their ids.
type lockByID struct {
	ID     *string `json:"component_id" cbor:"component_id"`
	Digest *string `json:"resolved_digest" cbor:"resolved_digest"`
}

// lockInList is a component of the older shape. Fields in pairs are a name and
// its older one.
type lockInList struct {
	Name        *string `json:"name" cbor:"name"`
	ID          *string `json:"component_id" cbor:"component_id"`
	BundledPath *string `json:"bundled_path" cbor:"bundled_path"`
	Path        *string `json:"path" cbor:"path"`
	WasmSHA256  *string `json:"wasm_sha256" cbor:"wasm_sha256"`
	SHA256      *string `json:"sha256" cbor:"sha256"`
	Resolved    *string `json:"resolved_digest" cbor:"resolved_digest"`
	Digest      *string `json:"digest" cbor:"digest"`
}

// decodeLock gives nil without an error for an empty map.
func decodeLock(b []byte) ([]locked, error) {
	if text := bytes.TrimLeft(b, " \t\r\n"); len(text) > 0 && text[0] == '{' {
		var doc struct {
			Version       *uint64        `json:"version"`
			SchemaVersion *uint64        `json:"schema_version"`
			Components    jsontext.Value `json:"components"`
		}
		if err := decodeJSON(b, &doc); err != nil {
			return nil, err
		}
		isList := doc.Components.Kind() == '['
		return decodeComponents(doc.Version, doc.SchemaVersion, doc.Components, isList, func(v any) error { return decodeJSON(b, v) })
	}
	var doc struct {
		Version       *uint64         `cbor:"version"`
		SchemaVersion *uint64         `cbor:"schema_version"`
		Components    cbor.RawMessage `cbor:"components"`
	}
	if err := decodeCBOR(b, &doc); err != nil {
		return nil, err
	}
	isList := len(doc.Components) > 0 && doc.Components[0]>>5 == 4
	return decodeComponents(doc.Version, doc.SchemaVersion, doc.Components, isList, func(v any) error { return decodeCBOR(b, v) })
}

func decodeComponents(version, schemaVersion *uint64, components []byte, isList bool, decode func(any) error) ([]locked, error) {
	switch {
	case version == nil && schemaVersion == nil && components == nil:
		return nil, nil
	case components == nil:
		return nil, faultf(RuleSyntax, "has no %q", "components")
	case version == nil && schemaVersion == nil:
		return nil, faultf(RuleSyntax, "has neither %q nor %q", "version", "schema_version")
	}
	for _, v := range []*uint64{version, schemaVersion} {
		if v != nil && *v != 1 {
			return nil, faultf(RuleUnchecked, "has version %d; only 1 is read", *v)
		}
	}
	if isList {
		return decodeLockList(decode)
	}
	return decodeLockMap(decode)
}

func decodeLockMap(decode func(any) error) ([]locked, error) {
	var doc struct {
		Components map[string]lockByID `json:"components" cbor:"components"`
	}
	if err := decode(&doc); err != nil {
		return nil, err
	}
	out := make([]locked, 0, len(doc.Components))
	for _, id := range slices.Sorted(maps.Keys(doc.Components)) {
		switch l := doc.Components[id]; {
		case l.Digest == nil:
			return nil, faultf(RuleSyntax, "component %s has no %q", hostile.Quote(id), "resolved_digest")
		case l.ID != nil && *l.ID != id:
			return nil, faultf(RuleSyntax, "component %s calls itself %s", hostile.Quote(id), hostile.Quote(*l.ID))
		default:
			out = append(out, locked{id: id, digest: *l.Digest})
		}
	}
	return out, nil
}

func decodeLockList(decode func(any) error) ([]locked, error) {
	var doc struct {
		Components []lockInList `json:"components" cbor:"components"`
	}
	if err := decode(&doc); err != nil {
		return nil, err
	}
	out := make([]locked, 0, len(doc.Components))
	for i, l := range doc.Components {
		var one locked
		var errPath, errWasm, errDigest error
		one.path, errPath = oneOf("bundled_path", "path", l.BundledPath, l.Path)
		wasm, errWasm := oneOf("wasm_sha256", "sha256", l.WasmSHA256, l.SHA256)
		digest := ""
		if wasm == "" {
			// Beside a digest of the file, these are of the place it was fetched from, and
			// in builds of January 2026 not the same one.
			digest, errDigest = oneOf("resolved_digest", "digest", l.Resolved, l.Digest)
		}
		if err := errors.Join(errPath, errWasm, errDigest); err != nil {
			return nil, faultf(RuleSyntax, "component %d has %s", i, strings.ReplaceAll(err.Error(), "\n", " and "))
		}
		switch {
		case l.ID != nil:
			one.id = *l.ID
		case l.Name != nil:
			one.id = *l.Name
		default:
			return nil, faultf(RuleSyntax, "component %d has neither %q nor %q", i, "component_id", "name")
		}
		switch {
		case wasm != "":
			one.digest, one.bare = wasm, true
		case digest != "":
			one.digest = digest
		default:
			return nil, faultf(RuleSyntax, "component %s has no digest", hostile.Quote(one.id))
		}
		out = append(out, one)
	}
	return out, nil
}

// oneOf reads a field with two names; both may be there only if they agree.
func oneOf(name, older string, v, w *string) (string, error) {
	switch {
	case v == nil && w == nil:
		return "", nil
	case v == nil:
		return *w, nil
	case w != nil && *v != *w:
		return "", faultf(RuleSyntax, "%q and %q that differ", name, older)
	}
	return *v, nil
}

func (c *checker) checkLocks() error {
	for _, entry := range lockFiles {
		if !c.there[entry] {
			continue
		}
		if err := c.check(CheckLock, entry, func() (string, error) { return c.checkLock(entry) }); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) checkLock(entry string) (string, error) {
	b, ok, err := c.read(entry, MaxDocument)
	if !ok {
		return "cannot be read", err
	}
	// Nothing reads the locks below assets/. Seven of the published messaging
	// packs hold one there that is older than their components.
	wrong := plan.Error
	if strings.HasPrefix(entry, "assets/") {
		wrong = plan.Warn
	}
	if strings.HasSuffix(entry, "/pack.lock") || entry == "pack.lock" {
		// Without an extension, the lock of a source tree has the same name: YAML
		// that says where components come from, and no digest of any.
		if text := bytes.TrimLeft(b, " \t\r\n"); len(text) == 0 || text[0] != '{' && b[0]>>5 != 5 {
			c.problem(plan.Info, RuleUnchecked, entry, "", "is the lock of a source tree, which names sources and not bytes")
			return "is of a source tree", nil
		}
	}
	components, err := decodeLock(b)
	if err != nil {
		c.broken(wrong, entry, hintRebuild, err)
		return "cannot be read", nil
	}
	if components == nil {
		c.problem(plan.Warn, RuleSyntax, entry, hintRebuild, "is empty: it locks nothing")
		return "is empty", nil
	}
	right := 0
	missing := map[string]bool{} // older locks have a row for each node, so ids come again
	for _, l := range components {
		match, err := c.checkLocked(entry, l, wrong, missing)
		if err != nil {
			return "", err
		}
		if match {
			right++
		}
	}
	return plural(right, len(components), "component"), nil
}

// checkLocked compares one component. A wrong digest has the severity wrong;
// missing remembers which ids were found to have no file.
func (c *checker) checkLocked(entry string, l locked, wrong plan.Severity, missing map[string]bool) (bool, error) {
	want, err := sha256Of(l.digest, l.bare)
	if f, ok := errors.AsType[*fault](err); ok {
		if f.rule == RuleAlgorithm {
			wrong = plan.Warn
		}
		c.problem(wrong, f.rule, entry, hintRebuild, "component %s %s", hostile.Quote(l.id), f.text)
		return false, nil
	}
	var files []string
	for _, file := range []string{l.path, c.in.Components[l.id]} {
		if c.there[file] && !slices.Contains(files, file) {
			files = append(files, file)
		}
	}
	if len(files) == 0 {
		if !missing[l.id] {
			missing[l.id] = true
			c.problem(plan.Info, RuleNoBinary, entry, "", "locks the component %s, of which the pack has no file", hostile.Quote(l.id))
		}
		return false, nil
	}
	match := true
	for _, file := range files {
		sum, err := c.in.Files.Sum(file)
		if err != nil {
			return false, err
		}
		if sum.SHA256 != want {
			match = false
			c.problem(wrong, RuleHash, file, hintRebuild, "has the SHA-256 %s; %s locks the component %s with %s", sum.SHA256, entry, hostile.Quote(l.id), want)
		}
	}
	return match, nil
}
