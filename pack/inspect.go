package pack

import (
	"encoding/json"
	"errors"

	"github.com/greentic-ai/greentic-provision/component"
	"github.com/greentic-ai/greentic-provision/integrity"
	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/plan"
)

// Inspection is what `pack inspect` shows. Its JSON begins with the fields of
// upstream's descriptor, in upstream's order, so that scripts written for it
// keep working. What only a sandbox can tell (contracts, imports, what a provider
// calls itself) is not here.
type Inspection struct {
	PackID                string   `json:"pack_id"`
	PackVersion           string   `json:"pack_version"`
	SetupEntryFlow        *string  `json:"setup_entry_flow"` // null when there is none
	RequirementsFlow      *string  `json:"requirements_flow"`
	SubscriptionsFlow     *string  `json:"subscriptions_flow"`
	RequiresPublicBaseURL bool     `json:"requires_public_base_url"`
	Outputs               []string `json:"outputs"` // the pack's capabilities, under upstream's name

	Name         string `json:"name,omitempty"`
	Kind         string `json:"kind,omitempty"`
	Publisher    string `json:"publisher,omitempty"`
	Form         Form   `json:"form"`
	Generation   string `json:"generation"`
	ManifestFile string `json:"manifest_file"`
	Digest       string `json:"digest"`

	EntryFlows []InspectedFlow `json:"entry_flows"`

	// The rest up to Nodes is about one entry, see Options.
	Entry        Entry           `json:"entry"`
	Nothing      bool            `json:"nothing"`  // nothing to provision, which is success
	FoundBy      string          `json:"found_by"` // the rule that found the entry; "" when there is none
	Ways         []InspectedWay  `json:"ways"`     // one per Via, in the order of Vias
	Requirements InspectedStep   `json:"requirements"`
	Nodes        []InspectedNode `json:"nodes"` // of its flow and of those that it can call

	Components         []InspectedComponent       `json:"components"`
	Provider           *Provider                  `json:"provider"` // the one that was chosen
	Providers          []Provider                 `json:"providers"`
	Extensions         map[string]json.RawMessage `json:"extensions"`
	Questions          []InspectedDocument        `json:"questions"`
	SecretRequirements *InspectedDocument         `json:"secret_requirements"`
	RequirementsFile   *InspectedDocument         `json:"requirements_file"`
	ConfigSchema       *InspectedDocument         `json:"config_schema"`
	Limits             Limits                     `json:"limits"`
	Integrity          *integrity.Report          `json:"integrity"`
	Findings           []plan.Diagnostic          `json:"findings"`
	// Problems say why the entry cannot be run; Open fails with the first.
	Problems []Problem `json:"problems"`
}

// InspectedFlow is one entry flow and the rule of discovery that found it.
type InspectedFlow struct {
	Entry   Entry  `json:"entry"`
	Flow    string `json:"flow"`
	FoundBy string `json:"found_by"`
}

// InspectedWay is one Way. Component is nil where no single component runs it.
type InspectedWay struct {
	Via       Via              `json:"via"`
	Possible  bool             `json:"possible"`
	Why       string           `json:"why,omitempty"`
	Problem   string           `json:"problem,omitempty"`
	Component *InspectedBinary `json:"component,omitempty"`
	Steps     []InspectedStep  `json:"steps,omitempty"`
}

// InspectedStep is one step. Component is nil when the pack has none for it; Why
// then says where it was looked for.
type InspectedStep struct {
	Step      plan.Step        `json:"step"`
	Component *InspectedBinary `json:"component"`
	Why       string           `json:"why,omitempty"`
}

// InspectedNode is one node of a flow. Binary is "" where the pack has none, or
// the node needs none.
type InspectedNode struct {
	Flow      string `json:"flow"`
	Node      string `json:"node"`
	Component string `json:"component"`
	Operation string `json:"operation,omitempty"`
	Binary    string `json:"binary,omitempty"`
}

// InspectedBinary describes a guest binary without its bytes.
type InspectedBinary struct {
	Path   string          `json:"path"`
	SHA256 string          `json:"sha256"`
	Size   int64           `json:"size"`
	Layer  component.Layer `json:"layer,omitempty"` // absent for text
	Text   bool            `json:"text"`
}

// InspectedComponent is one component that the manifest lists.
type InspectedComponent struct {
	Declaration
	// Own is what the component's own manifest says; nil without one.
	Own    *Declaration     `json:"own,omitempty"`
	Binary *InspectedBinary `json:"binary"` // nil when the pack has none
	Why    string           `json:"why,omitempty"`
}

// InspectedDocument describes a document. Content is its value where it is JSON.
type InspectedDocument struct {
	Path    string          `json:"path"`
	SHA256  string          `json:"sha256"`
	Size    int             `json:"size"`
	Content json.RawMessage `json:"content,omitempty"`
}

// Limits are what bounds a pack, see the package comment.
type Limits struct {
	Archive   int64 `json:"archive_bytes"`
	Entries   int   `json:"entries"`
	Entry     int64 `json:"entry_bytes"`
	Total     int64 `json:"total_bytes"`
	Path      int   `json:"path_bytes"`
	Depth     int   `json:"path_elements"`
	Document  int   `json:"document_bytes"`
	Documents int   `json:"documents_bytes"`
	Nesting   int   `json:"nesting"`
	Elements  int   `json:"elements"`
}

// Problem is an Error as data.
type Problem struct {
	Rule   Rule   `json:"rule"`
	Entry  string `json:"entry,omitempty"`
	Detail string `json:"detail"`
	Hint   string `json:"hint,omitempty"`
}

// Inspect reads the pack at path like Open, and describes it even when the entry
// cannot be run. It fails as Open does when the container or the manifest breaks a
// rule: of such a pack nothing can be said. It keeps no component in memory.
func Inspect(path string, o Options) (*Inspection, error) {
	d, err := open(path, o, true)
	if err != nil {
		return nil, err
	}
	return d.inspection(), nil
}

// describeComponents reads what only a description needs: the binaries that no way
// refers to, and the components' own manifests.
func (d *draft) describeComponents() error {
	files := map[string]string{}
	for _, m := range d.ext.manifests {
		files[m.ComponentID] = m.File
	}
	for _, row := range d.m.components[:min(len(d.m.components), MaxEntries)] {
		c := InspectedComponent{Declaration: row.Declaration}
		file, why, err := d.locate(row.ID)
		if err != nil {
			return err
		}
		c.Why = why
		if file != "" {
			i, err := d.component(row.ID, file)
			if err != nil && !soft(err) {
				return err
			}
			if err != nil {
				c.Why = detail(err)
			} else {
				c.Binary = d.Components[i].inspected()
			}
		}
		if c.Own, err = d.ownManifest(row, files[row.ID]); err != nil {
			return err
		}
		d.described = append(d.described, c)
	}
	return nil
}

// ownManifest reads the manifest that a component brings itself.
func (d *draft) ownManifest(row componentRow, named string) (*Declaration, error) {
	if checkIdentifier(row.ID) != nil {
		return nil, nil
	}
	for _, file := range distinct([]string{named, row.File, "components/" + row.ID + ".manifest.cbor", "components/" + row.ID + "/component.manifest.json"}) {
		there, err := d.has(file)
		if err != nil {
			return nil, err
		}
		if !there {
			continue
		}
		var own declared
		if _, err = d.within(&d.manifestsLeft, file, "components' own manifests"); err == nil {
			err = d.src.structured(file, &own)
		}
		if e, ok := errors.AsType[*Error](err); ok && graphRules[e.Rule] {
			d.note(plan.Warn, "COMPONENT_MANIFEST_UNREADABLE", file, "", "the manifest of the component %s does not count: %s", hostile.Quote(row.ID), e.Detail)
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		decl := own.declaration(own.ID.text)
		decl.File = file
		return &decl, nil
	}
	return nil, nil
}

func (c Component) inspected() *InspectedBinary {
	return &InspectedBinary{c.Path, c.SHA256, c.Size, c.Layer, c.Text}
}

func (d *draft) binary(i int) *InspectedBinary {
	if i < 0 {
		return nil
	}
	return d.Components[i].inspected()
}

func (d *draft) inspection() *Inspection {
	i := &Inspection{
		PackID:                d.Manifest.ID,
		PackVersion:           d.Manifest.Version,
		SetupEntryFlow:        d.entry(EntrySetup),
		RequirementsFlow:      d.entry(EntryRequirements),
		SubscriptionsFlow:     d.entry(EntrySubscriptions),
		RequiresPublicBaseURL: d.Manifest.RequiresPublicBaseURL,
		Outputs:               append([]string{}, d.Manifest.Capabilities...), // never null
		Name:                  d.Manifest.Name,
		Kind:                  d.Manifest.Kind,
		Publisher:             d.Manifest.Publisher,
		Form:                  d.Form,
		Generation:            d.Manifest.Generation,
		ManifestFile:          d.Manifest.File,
		Digest:                d.Digest,
		EntryFlows:            []InspectedFlow{},
		Entry:                 d.Entry,
		Nothing:               d.Nothing,
		FoundBy:               d.Flow.FoundBy,
		Ways:                  []InspectedWay{},
		Requirements:          InspectedStep{d.Requirements.Step, d.binary(d.Requirements.Component), d.Requirements.Why},
		Nodes:                 []InspectedNode{},
		Components:            append([]InspectedComponent{}, d.described...),
		Provider:              d.Provider,
		Providers:             append([]Provider{}, d.ext.providers...),
		Extensions:            d.Extensions,
		Questions:             []InspectedDocument{},
		SecretRequirements:    d.SecretRequirements.inspected(),
		RequirementsFile:      d.RequirementsFile.inspected(),
		ConfigSchema:          d.ConfigSchema.inspected(),
		Limits: Limits{MaxArchive, MaxEntries, MaxEntry, MaxTotal, MaxPath, MaxDepth,
			MaxDocument, MaxDocuments, MaxNesting, MaxElements},
		Integrity: d.Integrity,
		Findings:  append([]plan.Diagnostic{}, d.Findings...),
		Problems:  []Problem{},
	}
	if i.Extensions == nil {
		i.Extensions = map[string]json.RawMessage{}
	}
	for _, e := range d.Manifest.Entries {
		i.EntryFlows = append(i.EntryFlows, InspectedFlow{e.Entry, e.ID, e.FoundBy})
	}
	for _, w := range d.Ways {
		way := InspectedWay{Via: w.Via, Possible: w.Possible(), Why: w.Why, Problem: w.Problem, Component: d.binary(w.Component)}
		for _, s := range w.Steps {
			way.Steps = append(way.Steps, InspectedStep{s.Step, d.binary(s.Component), s.Why})
		}
		i.Ways = append(i.Ways, way)
	}
	i.Nodes = append(i.Nodes, d.inspectedNodes()...)
	for _, q := range []*Document{d.Setup, d.QuestionForm} {
		if q != nil {
			i.Questions = append(i.Questions, *q.inspected())
		}
	}
	for _, p := range d.problems {
		i.Problems = append(i.Problems, Problem{p.Rule, p.Entry, p.Detail, p.Hint})
	}
	return i
}

func (d *draft) inspectedNodes() []InspectedNode {
	nodes := d.Way(ViaFlow).Nodes
	var out []InspectedNode
	for _, id := range d.order {
		for _, n := range d.Graphs[id].Nodes {
			row := InspectedNode{Flow: id, Node: n.ID, Component: n.Component, Operation: n.Operation}
			name := n.Component
			if c := calls(n); c.component != "" || c.provider != "" {
				name = either(c.component, c.provider)
			}
			if b, ok := nodes[name]; ok && b >= 0 {
				row.Binary = d.Components[b].Path
			}
			out = append(out, row)
		}
	}
	return out
}

func (x *Document) inspected() *InspectedDocument {
	if x == nil {
		return nil
	}
	out := &InspectedDocument{Path: x.Path, SHA256: x.SHA256, Size: len(x.Bytes)}
	if v, err := plan.Read(x.Bytes); err == nil {
		out.Content = v
	}
	return out
}

// entry gives the flow of an entry, nil without one.
func (d *draft) entry(e Entry) *string {
	if f, ok := d.Manifest.Entry(e); ok {
		return &f.ID
	}
	return nil
}
