package pack

import (
	"fmt"
	"slices"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/plan"
)

const (
	// setupDefault is the id that a setup flow has by convention, and the
	// literal name of step modules whatever their flow is called.
	setupDefault = "setup_default"

	// capabilityNone says that a pack is complete without provisioning.
	capabilityNone = "provisioning:none"
)

// entryRules are broken by a pack without the entry that was asked for.
// Requirements have none: documents may state them.
var entryRules = map[Entry]Rule{
	EntrySetup: RuleSetup, EntrySubscriptions: RuleSubscriptions, EntryUpdate: RuleUpdate, EntryRemove: RuleRemove,
}

// discover finds the entry flows.
func (d *draft) discover() error {
	for _, entry := range Entries {
		f, ok := d.entryFlow(entry)
		if !ok {
			continue
		}
		if err := checkIdentifier(f.ID); err != nil {
			return refuse(RuleIdentifier, d.Manifest.File, "", "the flow id of %q %v", entry, err)
		}
		d.Manifest.Entries = append(d.Manifest.Entries, EntryFlow{entry, f})
	}
	f, ok := d.Manifest.Entry(d.Entry)
	d.Flow = f
	none := slices.Contains(d.Manifest.Capabilities, capabilityNone)
	switch {
	case ok && none:
		d.note(plan.Warn, "CAPABILITY_CONTRADICTED", d.Manifest.File, "drop one of the two",
			"the pack declares %q and has the %s flow %s; the flow counts", capabilityNone, d.Entry, hostile.Quote(f.ID))
	case ok, d.Entry == EntryRequirements:
	case d.asksProvider() && len(d.ext.offers) > 0:
		d.Flow.FoundBy = fmt.Sprintf("capability offer %s", hostile.Quote(d.ext.offers[0].ID))
	case none:
		d.Nothing = true
		d.Flow.FoundBy = fmt.Sprintf("capability %q", capabilityNone)
	case d.asksProvider() && len(d.ext.providers) > 0:
		d.Flow.FoundBy = "provider extension"
	default:
		id := string(d.Entry)
		if d.Entry == EntrySetup {
			id = setupDefault
		}
		hint := "pack inspect shows the entries that the pack has"
		if d.Entry == EntrySetup {
			hint = "application packs have nothing to set up; a provider pack without setup declares the capability " + capabilityNone
		}
		d.problem(refuse(entryRules[d.Entry], d.Manifest.File, hint,
			"meta.entry_flows names no %q, no flow has that entrypoint, none has the id %q, no extension names a flow or a provider for it, and the capability %q is not declared",
			d.Entry, id, capabilityNone))
	}
	return nil
}

// asksProvider says that the entry is one that a provider can be asked and
// answered for.
func (d *draft) asksProvider() bool {
	return d.Entry == EntrySetup || d.Entry == EntryUpdate || d.Entry == EntryRemove
}

// entryFlow applies the discovery order to one entry.
func (d *draft) entryFlow(entry Entry) (Flow, bool) {
	for _, row := range d.m.entries {
		if row.entry == string(entry) {
			// The flow need not be listed in flows: real packs have none there.
			return Flow{row.id, "meta.entry_flows"}, true
		}
	}
	byID := string(entry)
	if entry == EntrySetup {
		byID = setupDefault
	}
	var ids []string
	seen := map[string]bool{}
	for _, f := range d.m.flows {
		if (f.entry == string(entry) || slices.Contains(f.entrypoints, entry)) && !seen[f.id] {
			seen[f.id] = true
			ids = append(ids, f.id)
		}
	}
	if len(ids) > 0 {
		id := ids[0]
		if seen[byID] {
			id = byID
		}
		d.ambiguous(entry, id, ids, "have the entrypoint", "name the flow in meta.entry_flows, or leave the entrypoint to one flow")
		return Flow{id, fmt.Sprintf("entrypoint %q", entry)}, true
	}
	if d.m.flow(byID) != nil {
		return Flow{byID, fmt.Sprintf("flow id %q", byID)}, true
	}
	if ids := d.hinted(entry); len(ids) > 0 {
		d.ambiguous(entry, ids[0], ids, "are hinted at for", "say which provider is meant")
		return Flow{ids[0], "extension " + extFlowHints}, true
	}
	return Flow{}, false
}

func (d *draft) ambiguous(entry Entry, id string, ids []string, what, hint string) {
	if len(ids) > 1 {
		d.note(plan.Warn, "DISCOVERY_AMBIGUOUS", d.Manifest.File, hint, "the flows %s %s %q; %s counts", hostile.QuoteAll(ids), what, entry, hostile.Quote(id))
	}
}
