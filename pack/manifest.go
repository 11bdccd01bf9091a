package pack

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/greentic-ai/greentic-provision/integrity"
	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/plan"
)

// manifestFiles in order of precedence: upstream's provisioning tool takes the
// first of the first three that exists; the last is what source trees have.
var manifestFiles = []string{"pack.json", "manifest.json", "manifest.cbor", "pack.manifest.json"}

// sourceFiles are what a packer makes a manifest of.
var sourceFiles = []string{"pack.yaml", "gtpack.yaml"}

// IsDirectory says whether path is a directory that holds the manifest of a pack, or
// what a packer makes one of: one worth opening.
func IsDirectory(path string) bool {
	for _, name := range slices.Concat(manifestFiles, sourceFiles) {
		if st, err := os.Stat(filepath.Join(path, name)); err == nil && st.Mode().IsRegular() {
			return true
		}
	}
	return false
}

// manifest is what the generations have in common for discovery and resolution.
type manifest struct {
	entries    []namedFlow // meta.entry_flows, in order where the manifest has one
	flows      []flowRow
	components []componentRow
	symbols    symbols
	extensions map[string]jsontext.Value
	secrets    jsontext.Value    // secret_requirements
	legacy     []integrity.Claim // hashes of the legacy manifest

	componentIndex map[string]int // by id
	flowIndex      map[string]int // by id; the first of several counts
}

// namedFlow is one row of meta.entry_flows.
type namedFlow struct{ entry, id string }

// flowRow is one row of flows.
type flowRow struct {
	id          string
	kind        string
	entry       string         // the one entry it declares (provisioning)
	entrypoints entrypoints    // further ones
	graph       jsontext.Value // the flow itself (pack-v1)
	files       []string       // where it is, if not there
}

// entrypoints are the names under which a flow can be started, those of entries
// only: a manifest has room for millions of others.
type entrypoints []Entry

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (e *entrypoints) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	*e = nil
	t, err := dec.ReadToken()
	if err != nil || t.Kind() == 'n' {
		return err
	}
	if t.Kind() != '[' {
		return &json.SemanticError{JSONKind: t.Kind(), GoType: reflect.TypeFor[entrypoints]()}
	}
	for {
		t, err := dec.ReadToken()
		switch {
		case err != nil:
			return err
		case t.Kind() == ']':
			return nil
		case t.Kind() != '"':
			return &json.SemanticError{JSONKind: t.Kind(), GoType: reflect.TypeFor[string]()}
		}
		if i := slices.Index(Entries, Entry(t.String())); i >= 0 && !slices.Contains(*e, Entries[i]) {
			*e = append(*e, Entries[i])
		}
	}
}

// componentRow is one row of components.
type componentRow struct {
	Declaration
	file string // where the manifest says that the binary is; "" where it does not
}

// component gives the row of an id, nil without one.
func (m *manifest) component(id string) *componentRow {
	if i, ok := m.componentIndex[id]; ok {
		return &m.components[i]
	}
	return nil
}

// flow gives the row of an id, nil without one.
func (m *manifest) flow(id string) *flowRow {
	if i, ok := m.flowIndex[id]; ok {
		return &m.flows[i]
	}
	return nil
}

func (m *manifest) addFlow(row flowRow) {
	if _, twice := m.flowIndex[row.id]; !twice {
		m.flowIndex[row.id] = len(m.flows)
	}
	m.flows = append(m.flows, row)
}

func (m *manifest) addComponent(row componentRow) error {
	if _, twice := m.componentIndex[row.ID]; twice {
		return refuse(RuleManifest, "", hintRebuild, "lists the component %s twice", hostile.Quote(row.ID))
	}
	m.componentIndex[row.ID] = len(m.components)
	m.components = append(m.components, row)
	return nil
}

// readManifest chooses and decodes the manifest and fills in the identity.
func (d *draft) readManifest() error {
	var there []string
	for _, name := range manifestFiles {
		f, err := d.src.find(name)
		if err != nil {
			return err
		}
		if f == present {
			there = append(there, name)
		}
	}
	if len(there) == 0 {
		hint := "is this a pack?"
		for _, source := range sourceFiles {
			if there, err := d.has(source); err != nil {
				return err
			} else if there {
				hint = "it has " + source + ", the source of a pack: build it with packc"
			}
		}
		return refuse(RuleManifest, "", hint, "none of %s is at the top of the pack", hostile.QuoteAll(manifestFiles))
	}
	file := there[0]
	if len(there) > 1 {
		d.note(plan.Warn, "MANIFEST_SEVERAL", file, "keep one of them", "the pack has the manifests %s; %s is the one that counts", hostile.QuoteAll(there), hostile.Quote(file))
	}
	text, err := d.src.json(file)
	if err != nil {
		return err
	}
	d.uses(file)
	d.Manifest.File = file
	if err := d.decodeManifest(file, text); err != nil {
		return inEntry(file, err)
	}
	if err := checkIdentifier(d.Manifest.ID); err != nil {
		return refuse(RuleIdentifier, file, "", "the pack id %v", err)
	}
	if err := checkIdentifier(d.Manifest.Version); err != nil {
		return refuse(RuleIdentifier, file, "", "the pack version %v", err)
	}
	return d.readStatement()
}

// statementFile is where packers put the provisioning manifest of a source tree:
// an asset like any other to them. Published events packs say only there what
// their setup is.
const statementFile = assetPrefix + "pack.json"

// readStatement adds what the pack's own pack.json says of provisioning to a
// manifest that a packer wrote.
func (d *draft) readStatement() error {
	if d.Manifest.Generation == GenerationProvisioning {
		return nil
	}
	if there, err := d.has(statementFile); err != nil || !there {
		return err
	}
	text, err := d.src.json(statementFile)
	if err != nil {
		return err
	}
	d.uses(statementFile)
	var doc struct {
		Meta meta `json:"meta"`
	}
	entries := []namedFlow(nil)
	if err = decode(text, &doc); err == nil {
		entries, err = decodeEntryFlows(doc.Meta.EntryFlows)
	}
	if err != nil {
		return inEntry(statementFile, err)
	}
	d.m.entries = append(d.m.entries, entries...) // the first row of an entry counts
	d.Manifest.RequiresPublicBaseURL = d.Manifest.RequiresPublicBaseURL || doc.Meta.RequiresPublicBaseURL
	if slices.Contains(doc.Meta.Capabilities, capabilityNone) && !slices.Contains(d.Manifest.Capabilities, capabilityNone) {
		d.Manifest.Capabilities = append(slices.Clip(d.Manifest.Capabilities), capabilityNone)
	}
	d.note(plan.Info, "PROVISIONING_IN_ASSETS", statementFile, "", "%s says more about provisioning than %s, and counts for that", hostile.Quote(statementFile), hostile.Quote(d.Manifest.File))
	return nil
}

// decodeManifest tells the generation and reads it. The fields that tell are
// decoded first: those of other generations have other types.
func (d *draft) decodeManifest(file string, text []byte) error {
	var g struct {
		SchemaVersion jsontext.Value `json:"schema_version"`
		ID            jsontext.Value `json:"id"`
		PackID        jsontext.Value `json:"pack_id"`
		PackIDCamel   jsontext.Value `json:"packId"`
		Meta          struct {
			PackID jsontext.Value `json:"pack_id"`
		} `json:"meta"`
	}
	if err := decode(text, &g); err != nil {
		return err
	}
	named := isSet(g.ID) || isSet(g.PackID) || isSet(g.PackIDCamel)
	switch {
	case string(g.SchemaVersion) == `"`+GenerationPackV1+`"`:
		return d.decodePackV1(text)
	case isSet(g.SchemaVersion):
		version := string(g.SchemaVersion)
		if g.SchemaVersion.Kind() == '"' {
			if err := decode(g.SchemaVersion, &version); err != nil {
				return err
			}
		}
		return refuse(RuleGeneration, "", "", "has the schema_version %s; this version reads %q", hostile.Quote(version), GenerationPackV1)
	case isSet(g.Meta.PackID) && !named:
		return d.decodeLegacy(text)
	case file == "pack.manifest.json" && !named:
		return d.decodeSource(text)
	}
	return d.decodeProvisioning(text)
}

// meta is the part of a manifest that only provisioning looks at.
type meta struct {
	EntryFlows            jsontext.Value `json:"entry_flows"`
	RequiresPublicBaseURL bool           `json:"requires_public_base_url"`
	Capabilities          []string       `json:"capabilities"`
}

func (d *draft) takeMeta(m meta) (err error) {
	d.Manifest.RequiresPublicBaseURL = m.RequiresPublicBaseURL
	d.Manifest.Capabilities = m.Capabilities
	d.m.entries, err = decodeEntryFlows(m.EntryFlows)
	return err
}

// provisioning is generation A as upstream's serde types read it, aliases
// spelled out.
type provisioning struct {
	ID           *string `json:"id"`
	PackID       *string `json:"pack_id"`
	PackIDCamel  *string `json:"packId"`
	Name         string  `json:"name"`
	Version      *string `json:"version"`
	PackVersion  *string `json:"pack_version"`
	VersionCamel *string `json:"packVersion"`
	Meta         meta    `json:"meta"`
	Flows        []struct {
		Entry       *string     `json:"entry"`
		ID          *string     `json:"id"`
		Name        *string     `json:"name"`
		Entrypoints entrypoints `json:"entrypoints"`
	} `json:"flows"`
	Extensions         map[string]jsontext.Value `json:"extensions"`
	SecretRequirements jsontext.Value            `json:"secret_requirements"`
}

func (d *draft) decodeProvisioning(text []byte) error {
	var p provisioning
	if err := decode(text, &p); err != nil {
		return err
	}
	d.Manifest.Generation = GenerationProvisioning
	d.Manifest.Name = p.Name
	var err error
	if d.Manifest.ID, err = oneOf("id", "pack_id", "packId", p.ID, p.PackID, p.PackIDCamel); err != nil {
		return err
	}
	if d.Manifest.Version, err = oneOf("version", "pack_version", "packVersion", p.Version, p.PackVersion, p.VersionCamel); err != nil {
		return err
	}
	for _, f := range p.Flows {
		if id := first(f.ID, f.Name); id != nil {
			row := flowRow{id: *id, entrypoints: f.Entrypoints}
			if entry := first(f.Entry, f.Name); entry != nil {
				row.entry = *entry
			}
			d.m.addFlow(row)
		}
	}
	d.m.extensions, d.m.secrets = p.Extensions, p.SecretRequirements
	return d.takeMeta(p.Meta)
}

// legacyManifest is generation B, as far as provisioning needs it. Its
// flows[].entry is the id of a node and says nothing here.
type legacyManifest struct {
	Meta struct {
		meta
		PackID  *string `json:"pack_id"`
		Version *string `json:"version"`
		Name    string  `json:"name"`
		Kind    string  `json:"kind"`
	} `json:"meta"`
	Flows []struct {
		ID   string `json:"id"`
		Kind string `json:"kind"`
		JSON string `json:"file_json"`
		YAML string `json:"file_yaml"`
		Hash string `json:"hash_blake3"`
	} `json:"flows"`
	Components []struct {
		Name         string         `json:"name"`
		Version      string         `json:"version"`
		World        string         `json:"world"`
		Capabilities jsontext.Value `json:"capabilities"`
		Wasm         string         `json:"file_wasm"`
		Manifest     string         `json:"manifest_file"`
		Hash         string         `json:"hash_blake3"`
	} `json:"components"`
}

func (d *draft) decodeLegacy(text []byte) error {
	var l legacyManifest
	if err := decode(text, &l); err != nil {
		return err
	}
	d.Manifest.Generation = GenerationLegacy
	d.Manifest.Name, d.Manifest.Kind = l.Meta.Name, l.Meta.Kind
	var err error
	if d.Manifest.ID, err = required("meta.pack_id", l.Meta.PackID); err != nil {
		return err
	}
	if d.Manifest.Version, err = required("meta.version", l.Meta.Version); err != nil {
		return err
	}
	for _, f := range l.Flows {
		row := flowRow{id: f.ID, kind: f.Kind}
		for _, file := range []string{f.JSON, f.YAML} {
			if file != "" {
				row.files = append(row.files, file)
			}
		}
		d.m.addFlow(row)
		// The hash is that of the compiled form, in every legacy pack that was looked at.
		if f.JSON != "" {
			d.m.legacy = append(d.m.legacy, integrity.Claim{Entry: f.JSON, Hash: f.Hash})
		}
	}
	for _, c := range l.Components {
		row := componentRow{Declaration{ID: c.Name, Version: c.Version, World: c.World, Capabilities: object(c.Capabilities), File: c.Manifest}, c.Wasm}
		if err := d.m.addComponent(row); err != nil {
			return err
		}
		d.m.legacy = append(d.m.legacy, integrity.Claim{Component: c.Name, Entry: c.Wasm, Hash: c.Hash})
	}
	return d.takeMeta(l.Meta.meta)
}

// sourceManifest is what source trees hold beside pack.yaml.
type sourceManifest struct {
	Name      *string `json:"name"`
	Version   *string `json:"version"`
	Kind      string  `json:"kind"`
	Publisher string  `json:"publisher"`
	Meta      meta    `json:"meta"`
	Flows     []struct {
		ID          string      `json:"id"`
		File        string      `json:"file"`
		Entrypoints entrypoints `json:"entrypoints"`
	} `json:"flows"`
	ComponentSources []struct {
		ID           string         `json:"id"`
		Version      string         `json:"version"`
		World        string         `json:"world"`
		Supports     []string       `json:"supports"`
		Capabilities jsontext.Value `json:"capabilities"`
		Operations   []operation    `json:"operations"`
		Wasm         string         `json:"wasm"`
	} `json:"component_sources"`
	Extensions         map[string]jsontext.Value `json:"extensions"`
	SecretRequirements jsontext.Value            `json:"secret_requirements"`
}

func (d *draft) decodeSource(text []byte) error {
	var s sourceManifest
	if err := decode(text, &s); err != nil {
		return err
	}
	d.Manifest.Generation = GenerationSource
	d.Manifest.Kind, d.Manifest.Publisher = s.Kind, s.Publisher
	var err error
	if d.Manifest.ID, err = required("name", s.Name); err != nil {
		return err
	}
	if d.Manifest.Version, err = required("version", s.Version); err != nil {
		return err
	}
	for _, f := range s.Flows {
		row := flowRow{id: f.ID, entrypoints: f.Entrypoints}
		if f.File != "" {
			row.files = []string{f.File}
		}
		d.m.addFlow(row)
	}
	for _, c := range s.ComponentSources {
		row := componentRow{Declaration{ID: c.ID, Version: c.Version, World: c.World, Supports: c.Supports, Operations: operationNames(c.Operations), Capabilities: object(c.Capabilities)}, c.Wasm}
		// Upstream's own trees do (messaging-dummy lists messaging-provider-dummy twice).
		if _, twice := d.m.componentIndex[row.ID]; twice {
			d.note(plan.Warn, "COMPONENT_TWICE", d.Manifest.File, "", "the component %s is listed twice; the first one counts", hostile.Quote(row.ID))
			continue
		}
		if err := d.m.addComponent(row); err != nil {
			return err
		}
	}
	d.m.extensions, d.m.secrets = s.Extensions, s.SecretRequirements
	return d.takeMeta(s.Meta)
}

// packV1 is generation C. Symbols are resolved where they are used.
type packV1 struct {
	PackID       *symbol `json:"pack_id"`
	Name         string  `json:"name"`
	Version      *string `json:"version"`
	Kind         string  `json:"kind"`
	Publisher    string  `json:"publisher"`
	Meta         meta    `json:"meta"` // not in real ones, but upstream's tool would look
	Symbols      symbols `json:"symbols"`
	Capabilities []struct {
		Name symbol `json:"name"`
	} `json:"capabilities"`
	Components []declared `json:"components"`
	Flows      []struct {
		ID          string         `json:"id"`
		Kind        string         `json:"kind"`
		Entrypoints entrypoints    `json:"entrypoints"`
		Flow        jsontext.Value `json:"flow"` // only those that a run needs are looked into
	} `json:"flows"`
	Extensions         map[string]jsontext.Value `json:"extensions"`
	SecretRequirements jsontext.Value            `json:"secret_requirements"`
}

// symbols are the string tables that symbolised fields index.
type symbols struct {
	ComponentIDs    []string `json:"component_ids"`
	NodeIDs         []string `json:"node_ids"`
	CapabilityNames []string `json:"capability_names"`
	PackIDs         []string `json:"pack_ids"`
}

// declared is what a manifest of a component and its row in pack-v1 say alike.
type declared struct {
	ID           symbol         `json:"id"`
	Version      string         `json:"version"`
	World        string         `json:"world"`
	Supports     []string       `json:"supports"`
	Capabilities jsontext.Value `json:"capabilities"`
	Operations   []operation    `json:"operations"`
}

func (c declared) declaration(id string) Declaration {
	return Declaration{ID: id, Version: c.Version, World: c.World, Supports: c.Supports,
		Operations: operationNames(c.Operations), Capabilities: object(c.Capabilities)}
}

type operation struct {
	Name string `json:"name"`
}

func operationNames(ops []operation) []string {
	var out []string
	for _, o := range ops {
		out = append(out, o.Name)
	}
	return out
}

func (d *draft) decodePackV1(text []byte) error {
	var p packV1
	if err := decode(text, &p); err != nil {
		return err
	}
	d.Manifest.Generation = GenerationPackV1
	d.Manifest.Name, d.Manifest.Kind, d.Manifest.Publisher = p.Name, p.Kind, p.Publisher
	if p.PackID == nil {
		return refuse(RuleManifest, "", "", "has no %q", "pack_id")
	}
	var err error
	if d.Manifest.ID, err = p.PackID.in(p.Symbols.PackIDs, "pack_ids"); err != nil {
		return err
	}
	if d.Manifest.Version, err = required("version", p.Version); err != nil {
		return err
	}
	if err := d.takeMeta(p.Meta); err != nil {
		return err
	}
	for _, c := range p.Capabilities {
		name, err := c.Name.in(p.Symbols.CapabilityNames, "capability_names")
		if err != nil {
			return err
		}
		d.Manifest.Capabilities = append(d.Manifest.Capabilities, name)
	}
	for _, c := range p.Components {
		id, err := c.ID.in(p.Symbols.ComponentIDs, "component_ids")
		if err != nil {
			return err
		}
		if err := d.m.addComponent(componentRow{Declaration: c.declaration(id)}); err != nil {
			return err
		}
	}
	for _, f := range p.Flows {
		d.m.addFlow(flowRow{id: f.ID, kind: f.Kind, entrypoints: f.Entrypoints, graph: f.Flow})
	}
	d.m.symbols, d.m.extensions, d.m.secrets = p.Symbols, p.Extensions, p.SecretRequirements
	return nil
}

// required takes the value of a field that must be there.
func required(name string, v *string) (string, error) {
	if v == nil {
		return "", refuse(RuleManifest, "", "", "has no %q", name)
	}
	return *v, nil
}

// object keeps a JSON object in canonical form; anything else is nothing.
func object(v jsontext.Value) []byte {
	b, err := plan.ReadObject(v)
	if err != nil {
		return nil
	}
	return b
}

// isSet says that a field is there and not null.
func isSet(v jsontext.Value) bool { return len(v) > 0 && v.Kind() != 'n' }

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
	return required(n1, got)
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
// a list of objects, or of flow ids.
func decodeEntryFlows(v jsontext.Value) ([]namedFlow, error) {
	var rows []namedFlow
	switch {
	case !isSet(v):
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
		var list []entryFlowItem
		if err := decode(v, &list); err != nil {
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

// entryFlowItem is one item of the list form of meta.entry_flows. Legacy
// manifests have flow ids there: such a flow serves the entry of its name, and
// setup_default the entry setup.
type entryFlowItem struct {
	Entry  *string `json:"entry"`
	ID     *string `json:"id"`
	Name   *string `json:"name"`
	FlowID *string `json:"flow_id"`
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (i *entryFlowItem) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() != '"' {
		type plain entryFlowItem
		return json.UnmarshalDecode(dec, (*plain)(i))
	}
	t, err := dec.ReadToken()
	if err != nil {
		return err
	}
	id := t.String()
	entry := id
	if id == setupDefault {
		entry = string(EntrySetup)
	}
	*i = entryFlowItem{Entry: &entry, ID: &id}
	return nil
}

// readString reads one token of a document that checkJSON has passed.
func readString(dec *jsontext.Decoder) (string, error) {
	t, err := dec.ReadToken()
	if err != nil {
		return "", refuse(RuleSyntax, "", "", "%s", hostile.Error(err))
	}
	if t.Kind() != '"' {
		return "", refuse(RuleManifest, "", "", "the flow id %s of meta.entry_flows is %s where a string is expected",
			hostile.Quote(string(dec.StackPointer())), kindName(t.Kind()))
	}
	return t.String(), nil
}
