package pack

import (
	"fmt"
	"slices"

	"github.com/greentic-ai/greentic-provision/plan"
)

const (
	entrySetup         = "setup"
	entryRequirements  = "requirements"
	entrySubscriptions = "subscriptions"
	entryUpdate        = "update"
	entryRemove        = "remove"

	// setupDefault is the id that a setup flow has by convention, and the
	// literal name of step modules whatever their flow is called.
	setupDefault = "setup_default"

	// capabilityNone says that a pack is complete without provisioning.
	capabilityNone = "provisioning:none"
)

// entryFlow is the discovered flow of one entry.
type entryFlow struct {
	entry string
	Flow
}

// discover finds the entry flows.
func (d *draft) discover(m *manifest) error {
	for _, entry := range []string{entrySetup, entryRequirements, entrySubscriptions, entryUpdate, entryRemove} {
		f, ok := d.entryFlow(m, entry)
		if !ok {
			continue
		}
		if err := checkIdentifier(f.ID); err != nil {
			return refuse(RuleIdentifier, m.file, "", "the flow id of %q %v", entry, err)
		}
		d.entries = append(d.entries, entryFlow{entry, f})
		switch entry {
		case entrySetup:
			d.Setup = f
		case entryRequirements:
			d.Manifest.RequirementsFlow = f.ID
		case entrySubscriptions:
			d.Manifest.SubscriptionsFlow = f.ID
		}
	}
	none := slices.Contains(d.Manifest.Capabilities, capabilityNone)
	switch {
	case d.Setup.ID == "" && none:
		d.Pattern = PatternNone
		d.Setup.FoundBy = fmt.Sprintf("capability %q", capabilityNone)
	case d.Setup.ID == "":
		return refuse(RuleSetup, m.file, "application packs have nothing to set up; a provider pack without setup declares the capability "+capabilityNone,
			"meta.entry_flows names no %q, no flow has that entrypoint, none has the id %q, and the capability %q is not declared",
			entrySetup, setupDefault, capabilityNone)
	case none:
		d.note(plan.Warn, "CAPABILITY_CONTRADICTED", m.file, "drop one of the two",
			"the pack declares %q and has the setup flow %s; the flow counts", capabilityNone, quote(d.Setup.ID))
	}
	return nil
}

// entryFlow applies the discovery order to one entry.
func (d *draft) entryFlow(m *manifest, entry string) (Flow, bool) {
	for _, row := range m.entries {
		if row.entry == entry {
			// The flow need not be listed in flows: real packs have none there.
			return Flow{row.id, "meta.entry_flows"}, true
		}
	}
	byID := entry
	if entry == entrySetup {
		byID = setupDefault
	}
	var ids []string
	for _, f := range m.flows {
		if (f.entry == entry || slices.Contains(f.entrypoints, entry)) && !slices.Contains(ids, f.id) {
			ids = append(ids, f.id)
		}
	}
	if len(ids) > 0 {
		id := ids[0]
		if slices.Contains(ids, byID) {
			id = byID
		}
		if len(ids) > 1 {
			d.note(plan.Warn, "DISCOVERY_AMBIGUOUS", m.file, "name the flow in meta.entry_flows, or leave the entrypoint to one flow",
				"the flows %s have the entrypoint %q; %s counts", quoteAll(ids), entry, quote(id))
		}
		return Flow{id, fmt.Sprintf("entrypoint %q", entry)}, true
	}
	for _, f := range m.flows {
		if f.id == byID {
			return Flow{byID, fmt.Sprintf("flow id %q", byID)}, true
		}
	}
	return Flow{}, false
}
