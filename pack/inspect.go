package pack

import (
	"github.com/greentic-ai/greentic-provision/component"
	"github.com/greentic-ai/greentic-provision/plan"
)

// Inspection is what `pack inspect` shows. Its JSON begins with the fields of
// upstream's descriptor, in upstream's order, so that scripts written for it
// keep working.
type Inspection struct {
	PackID                string   `json:"pack_id"`
	PackVersion           string   `json:"pack_version"`
	SetupEntryFlow        *string  `json:"setup_entry_flow"` // null when there is none
	RequirementsFlow      *string  `json:"requirements_flow"`
	SubscriptionsFlow     *string  `json:"subscriptions_flow"`
	RequiresPublicBaseURL bool     `json:"requires_public_base_url"`
	Outputs               []string `json:"outputs"` // the pack's capabilities, under upstream's name

	Form         Form    `json:"form"`
	Generation   string  `json:"generation"`
	ManifestFile string  `json:"manifest_file"`
	Digest       string  `json:"digest"`
	Pattern      Pattern `json:"pattern,omitempty"` // "" when setup cannot be run

	EntryFlows []InspectedFlow   `json:"entry_flows"`
	Steps      []InspectedStep   `json:"steps"`
	Findings   []plan.Diagnostic `json:"findings"`
	// Problem says why setup cannot be run; Open fails with the same. null
	// when it can, and for a pack with nothing to provision.
	Problem *Problem `json:"problem"`
}

// InspectedFlow is one entry flow and the rule of discovery that found it.
type InspectedFlow struct {
	Entry   string `json:"entry"` // setup, requirements, subscriptions, update, remove
	Flow    string `json:"flow"`
	FoundBy string `json:"found_by"`
}

// InspectedStep is one lifecycle step. Component is nil when the pack has none
// for it; Why then says where it was looked for.
type InspectedStep struct {
	Step      plan.Step           `json:"step"`
	Component *InspectedComponent `json:"component"`
	Why       string              `json:"why,omitempty"`
}

// InspectedComponent describes a guest binary without its bytes.
type InspectedComponent struct {
	Path   string          `json:"path"`
	SHA256 string          `json:"sha256"`
	Size   int             `json:"size"`
	Layer  component.Layer `json:"layer,omitempty"` // absent for text
	Text   bool            `json:"text"`
}

// Problem is an Error as data.
type Problem struct {
	Rule   Rule   `json:"rule"`
	Entry  string `json:"entry,omitempty"`
	Detail string `json:"detail"`
	Hint   string `json:"hint,omitempty"`
}

// Inspect reads the pack at path like Open, and describes it even when its setup
// cannot be run. It fails as Open does when the container, the manifest or a
// resolved component breaks a rule: of such a pack nothing can be said.
func Inspect(path string) (*Inspection, error) {
	d, err := open(path)
	if err != nil {
		return nil, err
	}
	return d.inspection(), nil
}

func (d *draft) inspection() *Inspection {
	i := &Inspection{
		PackID:                d.Manifest.ID,
		PackVersion:           d.Manifest.Version,
		SetupEntryFlow:        orNull(d.Setup.ID),
		RequirementsFlow:      orNull(d.Manifest.RequirementsFlow),
		SubscriptionsFlow:     orNull(d.Manifest.SubscriptionsFlow),
		RequiresPublicBaseURL: d.Manifest.RequiresPublicBaseURL,
		Outputs:               append([]string{}, d.Manifest.Capabilities...), // never null
		Form:                  d.Form,
		Generation:            d.Manifest.Generation,
		ManifestFile:          d.Manifest.File,
		Digest:                d.Digest,
		Pattern:               d.Pattern,
		EntryFlows:            []InspectedFlow{},
		Steps:                 []InspectedStep{},
		Findings:              append([]plan.Diagnostic{}, d.Findings...),
	}
	for _, e := range d.entries {
		i.EntryFlows = append(i.EntryFlows, InspectedFlow{e.entry, e.ID, e.FoundBy})
	}
	for _, s := range d.Steps {
		step := InspectedStep{Step: s.Step, Why: s.Why}
		if s.Component >= 0 {
			c := d.Components[s.Component]
			step.Component = &InspectedComponent{c.Path, c.SHA256, len(c.Bytes), c.Layer, c.Text}
		}
		i.Steps = append(i.Steps, step)
	}
	if p := d.problem; p != nil {
		i.Problem = &Problem{p.Rule, p.Entry, p.Detail, p.Hint}
	}
	return i
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
