package pack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/greentic-ai/greentic-provision/plan"
)

// Limits on a structured document (the manifest).
const (
	MaxDocument = 4 << 20 // bytes
	MaxNesting  = 64      // arrays and objects within one another
	// MaxElements bounds each array and map. It bounds what a document of
	// MaxDocument bytes can make a decoder allocate: an empty element costs it
	// one byte to write and us a struct to hold.
	MaxElements = 65536
)

// manifestFiles in order of precedence: upstream's provisioning tool takes the
// first that exists.
var manifestFiles = []string{"pack.json", "manifest.json", "manifest.cbor"}

const manifestCBOR = "manifest.cbor"

// manifest is what both generations have in common for discovery and
// resolution.
type manifest struct {
	file  string
	bytes []byte

	entries    []namedFlow // meta.entry_flows, in order where the manifest has one
	flows      []flow
	components map[string]string // version by component id (pack-v1)
	symbols    symbols           // pack-v1
}

// namedFlow is one row of meta.entry_flows.
type namedFlow struct{ entry, id string }

// flow is one row of flows.
type flow struct {
	id          string
	entry       string   // the one entry it declares (provisioning)
	entrypoints []string // further ones
	graph       []byte   // CBOR of the flow itself (pack-v1)
}

// readManifest chooses and decodes the manifest and fills in the identity.
func readManifest(src source, d *draft) (*manifest, error) {
	var there []string
	for _, name := range manifestFiles {
		f, err := src.find(name)
		if err != nil {
			return nil, err
		}
		if f == present {
			there = append(there, name)
		}
	}
	if len(there) == 0 {
		return nil, refuse(RuleManifest, "", "is this a pack?", "none of %s is at the top of the pack", quoteAll(manifestFiles))
	}
	if len(there) > 1 {
		d.note(plan.Warn, "MANIFEST_SEVERAL", there[0], "keep one of them", "the pack has the manifests %s; %s is the one that counts", quoteAll(there), quote(there[0]))
	}
	m := &manifest{file: there[0]}
	var err error
	if m.bytes, err = src.read(m.file, MaxDocument, RuleDocument); err != nil {
		return nil, err
	}
	var id Manifest
	if m.file == manifestCBOR {
		id, err = m.decodePackV1()
	} else {
		id, err = m.decodeProvisioning()
	}
	if err == nil {
		err = checkIdentity(id)
	}
	if e, ok := errors.AsType[*Error](err); ok {
		e.Entry = m.file
	}
	if err != nil {
		return nil, err
	}
	id.File = m.file
	d.Manifest = id
	return m, nil
}

func checkIdentity(m Manifest) error {
	if err := checkIdentifier(m.ID); err != nil {
		return refuse(RuleIdentifier, "", "", "the pack id %v", err)
	}
	if err := checkIdentifier(m.Version); err != nil {
		return refuse(RuleIdentifier, "", "", "the pack version %v", err)
	}
	return nil
}

// provisioning is generation A as upstream's serde types read it, aliases
// spelled out.
type provisioning struct {
	ID           *string `json:"id"`
	PackID       *string `json:"pack_id"`
	PackIDCamel  *string `json:"packId"`
	Version      *string `json:"version"`
	PackVersion  *string `json:"pack_version"`
	VersionCamel *string `json:"packVersion"`
	Meta         struct {
		EntryFlows            jsontext.Value `json:"entry_flows"`
		RequiresPublicBaseURL bool           `json:"requires_public_base_url"`
		Capabilities          []string       `json:"capabilities"`
		// Only the legacy build manifest keeps these here.
		LegacyID      jsontext.Value `json:"pack_id"`
		LegacyVersion jsontext.Value `json:"packVersion"`
	} `json:"meta"`
	Flows []struct {
		Entry       *string  `json:"entry"`
		ID          *string  `json:"id"`
		Name        *string  `json:"name"`
		Entrypoints []string `json:"entrypoints"`
	} `json:"flows"`
	SchemaVersion jsontext.Value `json:"schema_version"`
}

func (m *manifest) decodeProvisioning() (Manifest, error) {
	var p provisioning
	if err := decodeJSON(m.bytes, &p); err != nil {
		return Manifest{}, err
	}
	if p.SchemaVersion != nil {
		return Manifest{}, refuse(RuleGeneration, "", "pack-v1 manifests are read from "+manifestCBOR, "has schema_version %s, which is not read from JSON by this version", quote(string(p.SchemaVersion)))
	}
	if p.Meta.LegacyID != nil || p.Meta.LegacyVersion != nil {
		return Manifest{}, errLegacy()
	}
	out := Manifest{
		Generation:            GenerationProvisioning,
		RequiresPublicBaseURL: p.Meta.RequiresPublicBaseURL,
		Capabilities:          p.Meta.Capabilities,
	}
	var err error
	if out.ID, err = oneOf("id", "pack_id", "packId", p.ID, p.PackID, p.PackIDCamel); err != nil {
		return Manifest{}, err
	}
	if out.Version, err = oneOf("version", "pack_version", "packVersion", p.Version, p.PackVersion, p.VersionCamel); err != nil {
		return Manifest{}, err
	}
	if m.entries, err = decodeEntryFlows(p.Meta.EntryFlows); err != nil {
		return Manifest{}, err
	}
	m.flows = make([]flow, 0, len(p.Flows))
	for _, f := range p.Flows {
		if id := first(f.ID, f.Name); id != nil {
			row := flow{id: *id, entrypoints: f.Entrypoints}
			if entry := first(f.Entry, f.Name); entry != nil {
				row.entry = *entry
			}
			m.flows = append(m.flows, row)
		}
	}
	return out, nil
}

func errLegacy() error {
	return refuse(RuleGeneration, "", "build the pack again with a current packc",
		"is a legacy build manifest (pack_id and version inside meta, Nov. 2025), which is not read by this version")
}

// oneOf reads a field that has aliases. Two of them at once are a contradiction
// even when they agree today (serde calls it a duplicate field).
func oneOf(n1, n2, n3 string, values ...*string) (string, error) {
	var got *string
	for _, v := range values {
		if v != nil && got != nil {
			return "", refuse(RuleManifest, "", "keep one of them", "has more than one of %q, %q and %q", n1, n2, n3)
		}
		if v != nil {
			got = v
		}
	}
	if got == nil {
		return "", refuse(RuleManifest, "", "", "has no %q", n1)
	}
	return *got, nil
}

// first is the first value that is there.
func first(values ...*string) *string {
	for _, v := range values {
		if v != nil {
			return v
		}
	}
	return nil
}

// decodeEntryFlows reads meta.entry_flows: an object from entry to flow id, or
// a list of objects.
func decodeEntryFlows(v jsontext.Value) ([]namedFlow, error) {
	var rows []namedFlow
	switch {
	case len(v) == 0 || v.Kind() == 'n':
	case v.Kind() == '{':
		// A map would do, but for its order: that of the document is kept, so
		// that nothing downstream depends on Go's.
		dec := jsontext.NewDecoder(bytes.NewBuffer(v))
		_, err := dec.ReadToken() // the brace
		for err == nil && dec.PeekKind() != '}' {
			var row namedFlow
			if row.entry, err = readString(dec); err == nil {
				row.id, err = readString(dec)
			}
			rows = append(rows, row)
		}
		if err != nil {
			return nil, err
		}
	case v.Kind() == '[':
		var list []struct {
			Entry  *string `json:"entry"`
			ID     *string `json:"id"`
			Name   *string `json:"name"`
			FlowID *string `json:"flow_id"`
		}
		if strings.HasPrefix(strings.TrimLeft(string(v[1:]), " \t\r\n"), `"`) {
			return nil, errLegacy()
		}
		if err := decodeJSON(v, &list); err != nil {
			return nil, err
		}
		for _, r := range list {
			entry, id := first(r.Entry, r.Name), first(r.ID, r.FlowID, r.Name)
			if entry != nil && id != nil {
				rows = append(rows, namedFlow{*entry, *id})
			}
		}
	default:
		return nil, refuse(RuleManifest, "", "", "meta.entry_flows is neither an object nor a list")
	}
	return rows, nil
}

// readString reads one token of a document that decodeJSON has passed.
func readString(dec *jsontext.Decoder) (string, error) {
	t, err := dec.ReadToken()
	if err != nil {
		return "", refuse(RuleSyntax, "", "", "%s", clean(err))
	}
	if t.Kind() != '"' {
		return "", refuse(RuleManifest, "", "", "the flow id %s of meta.entry_flows is a JSON %s where a string is expected",
			quote(string(dec.StackPointer())), kindName(t.Kind()))
	}
	return t.String(), nil
}

// decodeJSON checks the bounds of a document in one pass that does not recurse,
// then decodes it. Members that v has no field for are skipped: manifests carry
// much more than provisioning needs.
func decodeJSON(text []byte, v any) error {
	// jsontext refuses duplicate member names and invalid UTF-8 by default.
	dec := jsontext.NewDecoder(bytes.NewBuffer(text))
	for {
		_, err := dec.ReadToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return refuse(RuleSyntax, "", "", "%s", clean(err))
		}
		depth := dec.StackDepth()
		if depth > MaxNesting {
			return refuse(RuleDocument, "", "", "is nested deeper than %d levels", MaxNesting)
		}
		if kind, n := dec.StackIndex(depth); depth > 0 && (n > 2*MaxElements || kind == '[' && n > MaxElements) {
			return refuse(RuleDocument, "", "", "has more than %d elements in %s", MaxElements, quote(string(dec.StackPointer().Parent())))
		}
	}
	err := json.Unmarshal(text, v)
	if wrong, ok := errors.AsType[*json.SemanticError](err); ok {
		return refuse(RuleManifest, "", "", "%s is a JSON %s where %s is expected", quote(string(wrong.JSONPointer)), kindName(wrong.JSONKind), expected(wrong.GoType))
	}
	if err != nil {
		return refuse(RuleSyntax, "", "", "%s", clean(err))
	}
	return nil
}

// kindName is the word for a kind of JSON value; jsontext prints the bracket.
func kindName(k jsontext.Kind) string {
	switch k {
	case '{':
		return "object"
	case '[':
		return "array"
	}
	return k.String()
}

// expected says in JSON's words what a Go type is decoded from.
func expected(t reflect.Type) string {
	if t == nil {
		return "another type"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return expected(t.Elem())
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	}
	return fmt.Sprint("a ", t.Kind())
}
