package pack

import (
	"github.com/greentic-ai/greentic-provision/component"
	"github.com/greentic-ai/greentic-provision/plan"
)

// Blueprint is everything a run needs to know about a pack: pure data, the same
// on every machine. Component bytes are held in memory; nothing is extracted.
type Blueprint struct {
	Form     Form     // how the pack lay on disk
	Digest   string   // "sha256:<hex>" over the entries (see Digest rule in the package comment)
	Manifest Manifest // identity
	Setup    Flow     // the flow that setup runs; without ID for PatternNone
	Pattern  Pattern
	// Steps has one entry per lifecycle step, in lifecycle order.
	Steps []StepRef
	// Components are the distinct guest binaries that Steps refer to.
	Components []Component
	// Findings are warnings and notes met on the way (never errors: an error
	// stops Open).
	Findings []plan.Diagnostic
}

// Form is the physical form of a pack.
type Form string

// The forms.
const (
	FormZip Form = "zip"
	FormDir Form = "directory"
)

// The generations of manifest that this version reads.
const (
	GenerationProvisioning = "provisioning" // pack.json, manifest.json
	GenerationPackV1       = "pack-v1"      // manifest.cbor
)

// Manifest is the pack's identity, whatever generation it was written in.
type Manifest struct {
	ID         string // pack id
	Version    string
	Generation string // "provisioning" (pack.json) or "pack-v1" (manifest.cbor)
	File       string // entry it was read from
	// Entry flows by name as discovered; empty when there is none.
	RequirementsFlow  string
	SubscriptionsFlow string

	RequiresPublicBaseURL bool
	Capabilities          []string // meta.capabilities
}

// Flow is a discovered entry flow.
type Flow struct {
	ID      string // e.g. "setup_default"
	FoundBy string // the rule that found it, for people
}

// Pattern says how steps map to guest binaries.
type Pattern string

// The patterns.
const (
	PatternSteps     Pattern = "steps"     // one binary per step
	PatternComponent Pattern = "component" // one binary, told the step by its input
	PatternNone      Pattern = "none"      // provisioning:none: nothing to run, and that is success
)

// StepRef resolves one step. Component is an index into Blueprint.Components, or
// -1 when the pack has no such step; Why then says where it was looked for.
type StepRef struct {
	Step      plan.Step
	Component int
	Why       string
}

// Component is one guest binary.
type Component struct {
	Path   string          // entry in the pack
	Layer  component.Layer // "" for text, which only the compile worker reads
	Text   bool            // WebAssembly text
	SHA256 string          // hex, of the bytes as they lie in the pack
	Bytes  []byte
}
