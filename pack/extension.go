package pack

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/greentic-ai/greentic-provision/integrity"
	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/plan"
)

// The extensions that are looked at.
const (
	extProvider      = "greentic.provider-extension.v1"
	extProviderOld   = "greentic.ext.provider"
	extCapabilities  = "greentic.ext.capabilities.v1"
	extFlowHints     = "messaging.provider_flow_hints"
	extIngress       = "messaging.provider_ingress.v1"
	extSubscriptions = "messaging.subscriptions.v1"
	extOAuth         = "messaging.oauth.v1"
	extSources       = "greentic.pack.component_sources@v1"
	extManifests     = "greentic.pack.component_manifests@v1"
)

// passedOn are the extensions that the blueprint carries as they are.
var passedOn = []string{extIngress, extSubscriptions, extOAuth}

// offer is one row of the capabilities that a pack offers.
type offer struct {
	ID       string `json:"offer_id"`
	Provider struct {
		ComponentRef string `json:"component_ref"`
	} `json:"provider"`
	RequiresSetup bool `json:"requires_setup"`
	Setup         struct {
		QARef string `json:"qa_ref"`
	} `json:"setup"`
}

// extensions is what the extensions say, decoded.
type extensions struct {
	providers []Provider
	byType    map[string]int               // the first provider of a type
	offers    []offer                      // those that require setup and say how
	hints     map[string]map[string]string // flow id by role, by provider type
	sources   map[string]componentSource   // by component id
	manifests []componentManifest
}

type componentSource struct{ path, digest string }

type componentManifest struct {
	ComponentID string `json:"component_id"`
	File        string `json:"manifest_file"`
	Hash        string `json:"content_hash"`
}

// readExtensions decodes the inline payloads. One that is not what its key says
// is as if it were not there, with a finding: a pack can be run without it.
func (d *draft) readExtensions() {
	type rows struct {
		Providers []struct {
			Type         string   `json:"provider_type"`
			Capabilities []string `json:"capabilities"`
			Operations   []string `json:"ops"`
			ConfigSchema string   `json:"config_schema_ref"`
			StateSchema  string   `json:"state_schema_ref"`
			Docs         string   `json:"docs_ref"`
			Runtime      struct {
				Component string `json:"component_ref"`
				Export    string `json:"export"`
				World     string `json:"world"`
			} `json:"runtime"`
		} `json:"providers"`
	}
	providers, ok := inline[rows](d, extProvider)
	if !ok {
		providers, _ = inline[rows](d, extProviderOld)
	}
	d.ext.byType = map[string]int{}
	for i, p := range providers.Providers {
		if _, twice := d.ext.byType[p.Type]; !twice && p.Type != "" {
			d.ext.byType[p.Type] = i
		}
		d.ext.providers = append(d.ext.providers, Provider{Type: p.Type, Component: p.Runtime.Component, Export: p.Runtime.Export,
			World: p.Runtime.World, Operations: p.Operations, Capabilities: p.Capabilities,
			ConfigSchema: p.ConfigSchema, StateSchema: p.StateSchema, Docs: p.Docs})
	}
	offers, _ := inline[struct {
		Offers []offer `json:"offers"`
	}](d, extCapabilities)
	for _, o := range offers.Offers {
		switch {
		case o.RequiresSetup && o.Setup.QARef != "":
			d.ext.offers = append(d.ext.offers, o)
		case o.RequiresSetup:
			d.note(plan.Warn, "OFFER_WITHOUT_QUESTIONS", d.Manifest.File, "give it setup.qa_ref",
				"the offer %s requires setup and does not say where its questions are", hostile.Quote(o.ID))
		}
	}
	d.ext.hints, _ = inline[map[string]map[string]string](d, extFlowHints)
	sources, _ := inline[struct {
		Components []struct {
			Name        string         `json:"name"`
			ComponentID string         `json:"component_id"`
			Artifact    jsontext.Value `json:"artifact"`
			Resolved    struct {
				Digest string `json:"digest"`
			} `json:"resolved"`
		} `json:"components"`
	}](d, extSources)
	d.ext.sources = map[string]componentSource{}
	for _, c := range sources.Components {
		source := componentSource{digest: c.Resolved.Digest}
		var artifact struct {
			Inline struct {
				Path string `json:"wasm_path"`
			} `json:"inline"`
		}
		if isSet(c.Artifact) && c.Artifact.Kind() == '{' && decode(c.Artifact, &artifact) == nil { // else "remote"
			source.path = artifact.Inline.Path
		}
		for _, id := range []string{c.ComponentID, c.Name} {
			if _, ok := d.ext.sources[id]; id != "" && !ok {
				d.ext.sources[id] = source
			}
		}
	}
	manifests, _ := inline[struct {
		Entries []componentManifest `json:"entries"`
	}](d, extManifests)
	d.ext.manifests = manifests.Entries
	for _, key := range passedOn {
		if v, ok := inline[jsontext.Value](d, key); ok {
			if b := object(v); b != nil {
				if d.Extensions == nil {
					d.Extensions = map[string]json.RawMessage{}
				}
				d.Extensions[key] = b
			}
		}
	}
}

// inline decodes the payload of an extension and says whether it could.
func inline[T any](d *draft, key string) (T, bool) {
	var (
		v, nothing T
		row        struct {
			Inline jsontext.Value `json:"inline"`
		}
	)
	if !isSet(d.m.extensions[key]) {
		return nothing, false
	}
	err := decode(d.m.extensions[key], &row)
	if err == nil && !isSet(row.Inline) {
		return nothing, false
	}
	if err == nil {
		err = decode(row.Inline, &v)
	}
	if err != nil {
		d.note(plan.Warn, "EXTENSION_UNREADABLE", d.Manifest.File, "", "the extension %s does not count: %s", hostile.Quote(key), detail(err))
		return nothing, false
	}
	return v, true
}

// provider chooses the provider. The reason why there is none is for the way that
// needs one.
func (d *draft) provider() (p *Provider, why string) {
	all := d.ext.providers
	var types []string
	for i := range all {
		if all[i].Type == d.options.Provider {
			return &all[i], ""
		}
		types = append(types, all[i].Type)
	}
	switch {
	case len(all) == 0 && d.options.Provider == "":
		return nil, ""
	case d.options.Provider != "":
		return nil, fmt.Sprintf("the pack declares no provider %s; it has %s", hostile.Quote(d.options.Provider), listed(types))
	case len(all) > 1:
		return nil, fmt.Sprintf("the pack declares the providers %s: say which one is meant", hostile.QuoteAll(types))
	}
	return &all[0], ""
}

// listed is quoteAll, or "none".
func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return hostile.QuoteAll(names)
}

// hinted gives the flows that the extension with hints names for an entry, those
// of the chosen provider or of all.
func (d *draft) hinted(entry Entry) []string {
	types := slices.Sorted(maps.Keys(d.ext.hints))
	if d.Provider != nil {
		if _, ok := d.ext.hints[d.Provider.Type]; ok {
			types = []string{d.Provider.Type}
		}
	}
	roles := map[Entry][]string{
		EntrySetup: {setupDefault, "setup"}, EntryRequirements: {"requirements"}, EntryUpdate: {"update"}, EntryRemove: {"remove"},
		EntrySubscriptions: {"subscriptions", "sync_subscriptions"},
	}[entry]
	var ids []string
	seen := map[string]bool{}
	for _, t := range types {
		for _, role := range roles {
			if id := d.ext.hints[t][role]; id != "" && d.m.flow(id) != nil {
				if !seen[id] {
					seen[id] = true
					ids = append(ids, id)
				}
				break
			}
		}
	}
	return ids
}

// claims are the hashes of component manifests, for the check of integrity.
func (e *extensions) claims() []integrity.Claim {
	var out []integrity.Claim
	for _, m := range e.manifests {
		out = append(out, integrity.Claim{Component: m.ComponentID, Entry: m.File, Hash: m.Hash})
	}
	return out
}
