package pack

import (
	"encoding/json"
	"slices"

	"github.com/greentic-ai/greentic-provision/component"
	"github.com/greentic-ai/greentic-provision/flow"
	"github.com/greentic-ai/greentic-provision/integrity"
	"github.com/greentic-ai/greentic-provision/plan"
)

// Blueprint is everything that a run needs to know about a pack: pure data, the
// same on every machine. Component bytes are held in memory; nothing is
// extracted.
type Blueprint struct {
	Form     Form     // how the pack lay on disk
	Digest   string   // "sha256:<hex>", see Digest rule in the package comment
	Manifest Manifest // identity
	// Entry is what was asked for and Flow the flow of it. Flow has no ID where
	// the pack has none: with Nothing, with a provider that is asked instead, and
	// for requirements that only documents state.
	Entry Entry
	Flow  Flow
	// Nothing says that the pack declares provisioning:none and has no flow for
	// the entry: nothing to run, and that is success.
	Nothing bool
	// Ways has one row per Via, in the order of Vias, whatever was found.
	Ways []Way
	// Requirements is, for the entry setup, the module that states what the answers
	// must have, run before apply.
	Requirements StepRef
	// Graphs are the flow of the entry and those that it can call, by id.
	Graphs map[string]*flow.Graph
	// Components are the distinct guest binaries that possible ways refer to.
	Components []Component
	// Provider is the provider that the pack declares, as Options chose it; nil
	// without one.
	Provider *Provider
	// What the pack says about its questions and secrets; nil without.
	Setup              *Document // setup.yaml
	QuestionForm       *Document // qa/*.json, where there is no setup.yaml
	SecretRequirements *Document // JSON array; Path has a '#' where the manifest states it
	RequirementsFile   *Document // requirements.json: JSON, of no published shape
	ConfigSchema       *Document // the JSON schema that the provider refers to
	// Declared is what the manifest says of components, in its order.
	Declared []Declaration
	// Extensions are the payloads, canonical JSON objects, of those extensions of
	// the manifest that say how a provider is reached: messaging.provider_ingress.v1,
	// messaging.subscriptions.v1 and messaging.oauth.v1, by key.
	Extensions map[string]json.RawMessage
	// Integrity is what came of checking what the pack says of its own bytes.
	Integrity *integrity.Report
	// Findings are warnings and notes met on the way (never errors: an error
	// stops Open).
	Findings []plan.Diagnostic
}

// Way gives the way through via, which is one of Vias.
func (b *Blueprint) Way(via Via) Way {
	i := slices.IndexFunc(b.Ways, func(w Way) bool { return w.Via == via })
	if i < 0 {
		return Way{Via: via, Component: -1, Problem: "there is nothing to run"}
	}
	return b.Ways[i]
}

// Form is the physical form of a pack.
type Form string

// The forms.
const (
	FormZip Form = "zip"
	FormTar Form = "tar"
	FormDir Form = "directory"
)

// The generations of manifest.
const (
	GenerationProvisioning = "provisioning" // for provisioning alone: id, version, meta
	GenerationLegacy       = "legacy"       // the build manifest of 2025
	GenerationPackV1       = "pack-v1"
	GenerationSource       = "source" // pack.manifest.json of source trees
)

// Entry is what a pack can be asked to do.
type Entry string

// The entries.
const (
	EntrySetup         Entry = "setup"
	EntryRequirements  Entry = "requirements"
	EntrySubscriptions Entry = "subscriptions"
	EntryUpdate        Entry = "update"
	EntryRemove        Entry = "remove"
)

// Entries lists the entries.
var Entries = []Entry{EntrySetup, EntryRequirements, EntrySubscriptions, EntryUpdate, EntryRemove}

// Manifest is the pack's identity, whatever generation it was written in.
type Manifest struct {
	ID         string // pack id
	Version    string // may be the literal "__PACK_VERSION__" in source trees
	Name       string // "" where the manifest has none
	Kind       string // pack-v1: application, provider, infrastructure, library
	Publisher  string // pack-v1
	Generation string
	File       string // entry it was read from
	Entries    []EntryFlow

	RequiresPublicBaseURL bool
	Capabilities          []string // provisioning: meta.capabilities; pack-v1: capabilities[].name
}

// Entry gives the discovered flow of an entry, and false where there is none.
func (m Manifest) Entry(e Entry) (Flow, bool) {
	for _, f := range m.Entries {
		if f.Entry == e {
			return f.Flow, true
		}
	}
	return Flow{}, false
}

// Flow is a discovered entry flow.
type Flow struct {
	ID      string // e.g. "setup_default"
	FoundBy string // the rule that found it, for people
}

// EntryFlow is the flow of one entry.
type EntryFlow struct {
	Entry Entry
	Flow
}

// Via says how an entry is run.
type Via string

// The ways, see Ways in the package comment.
const (
	ViaSteps     Via = "steps"     // one binary per step
	ViaComponent Via = "component" // one binary, told the step by its input
	ViaQA        Via = "qa"        // the provider's component is asked and answered
	ViaFlow      Via = "flow"      // the nodes of the flow
)

// Vias lists the ways, the preferred one first.
var Vias = []Via{ViaSteps, ViaComponent, ViaQA, ViaFlow}

// Way says whether and how an entry can be run in one way, as far as the pack
// alone can tell: what a component really is, only a sandbox can.
type Way struct {
	Via Via
	// Steps are, for ViaSteps, the steps of the entry in order.
	Steps []StepRef
	// Component is an index into Blueprint.Components for ViaComponent and ViaQA,
	// else -1.
	Component int
	// Nodes are, for ViaFlow, the components that nodes refer to, by id: an index
	// into Blueprint.Components, or -1 when the pack has no binary for it, which a
	// finding (COMPONENT_ABSENT) explains.
	Nodes map[string]int
	// Why says how the way was found, for people; Problem why it is impossible, ""
	// where it is possible.
	Why     string
	Problem string
}

// Possible says that nothing in the pack speaks against the way.
func (w Way) Possible() bool { return w.Problem == "" }

// StepRef resolves one step. Component is an index into Blueprint.Components, or
// -1 when the pack has no such step; Why then says where it was looked for.
type StepRef struct {
	Step      plan.Step
	Component int
	Why       string
}

// Component is one guest binary.
type Component struct {
	ID     string          // component id, "" for a step module
	Path   string          // entry in the pack
	Layer  component.Layer // "" for text, which only the compile worker reads
	Text   bool            // WebAssembly text
	SHA256 string          // hex, of the bytes as they lie in the pack
	Size   int64
	Bytes  []byte
}

// Declaration is what a manifest says of a component. It is a claim: published
// providers declare less than they import.
type Declaration struct {
	ID         string   `json:"id"`
	Version    string   `json:"version,omitempty"`
	World      string   `json:"world,omitempty"`
	Supports   []string `json:"supports,omitempty"`
	Operations []string `json:"operations,omitempty"`
	// Capabilities is a JSON object {wasi, host} in canonical form, nil without.
	Capabilities json.RawMessage `json:"capabilities,omitempty"`
	File         string          `json:"manifest_file,omitempty"` // the component's own manifest
}

// Provider is what the pack says of a provider in it. It is a claim: the
// component may describe itself as another.
type Provider struct {
	Type         string   `json:"type"` // e.g. "messaging.telegram.bot"
	Component    string   `json:"component"`
	Export       string   `json:"export,omitempty"`
	World        string   `json:"world,omitempty"`
	Operations   []string `json:"operations,omitempty"`
	Capabilities []string `json:"capabilities,omitempty"`
	ConfigSchema string   `json:"config_schema_ref,omitempty"`
	StateSchema  string   `json:"state_schema_ref,omitempty"`
	Docs         string   `json:"docs_ref,omitempty"`
}

// Document is a file of the pack that decides a run without being code.
type Document struct {
	Path   string // entry in the pack
	SHA256 string // hex
	Bytes  []byte
}
