package engine

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
	"github.com/greentic-ai/greentic-provision/qa"
)

// Examination is what only a sandbox can tell of a pack. Its texts are hostile in
// parts and bounded.
type Examination struct {
	Possible   bool                `json:"possible"` // the entry can be run, as far as types tell
	Via        pack.Via            `json:"via"`      // the way that is chosen; "" for none
	Why        string              `json:"why"`
	Refused    []Refused           `json:"refused"`
	Components []ExaminedComponent `json:"components"`
	// Questions are those of the component where the chosen way is to ask it, else
	// those that the pack states (setup.yaml), nil when it states none. Diagnostics are
	// those of asking.
	Questions   *qa.Form          `json:"questions"`
	Diagnostics []plan.Diagnostic `json:"diagnostics"`
	// Problem says why no way can be taken, or nothing could be examined.
	Problem string `json:"problem,omitempty"`
}

// ExaminedComponent is what one binary is by its own types.
type ExaminedComponent struct {
	Path      string         `json:"path"`
	ID        string         `json:"id,omitempty"`
	Verdict   limits.Verdict `json:"verdict"`
	Detail    string         `json:"detail,omitempty"`
	Contracts []Spoken       `json:"contracts"`
	Imports   []string       `json:"imports"`
	Exports   []string       `json:"exports"`
	// Capabilities are those that it imports, Undeclared those of them that neither
	// the manifest nor its own says it needs.
	Capabilities []string `json:"capabilities"`
	Undeclared   []string `json:"undeclared"`
}

// Examine looks at every way of a pack and every component of them, and asks for
// the questions of the way that would be taken. Nothing else of the pack runs. The
// error is as of Run, but that a pack which cannot be run is an answer.
func Examine(ctx context.Context, cfg Config) (*Examination, error) {
	x := &Examination{Refused: []Refused{}, Components: []ExaminedComponent{}, Diagnostics: []plan.Diagnostic{}}
	if cfg.Blueprint.Nothing {
		x.Possible, x.Why = true, "the pack declares that it needs no provisioning"
		return x, nil
	}
	chosen, err := Survey(ctx, cfg.Blueprint, cfg.Runner, cfg.Contract)
	refused, isPack := errors.AsType[*pack.Error](err)
	switch {
	case ctx.Err() != nil:
		return nil, interrupted(ctx)
	case isPack:
		x.Problem = refused.Detail
	case err != nil:
		return nil, err
	}
	x.Via, x.Why, x.Refused = chosen.Way.Via, chosen.Why, nonNil(chosen.Refused)
	x.Possible = !isPack
	for _, r := range x.Refused {
		if !isPack && r.Via == x.Via {
			x.Possible, x.Problem = false, r.Why
		}
	}
	for i, c := range cfg.Blueprint.Components {
		if e, ok := chosen.Examined[i]; ok {
			x.Components = append(x.Components, describe(cfg.Blueprint, c, e))
		}
	}
	if x.Via != pack.ViaQA || !x.Possible {
		// Steps and flows ask when they are run; until then there is what the pack says.
		var found []plan.Diagnostic
		x.Questions, found = (&run{Config: cfg}).setup()
		x.Diagnostics = append(x.Diagnostics, found...)
		return x, nil
	}
	bp := *cfg.Blueprint
	bp.Manifest.RequiresPublicBaseURL = false // questions are asked without one
	cfg.Blueprint, cfg.Via, cfg.Until = &bp, x.Via, plan.Collect
	res, err := Run(ctx, cfg)
	if err != nil {
		return nil, err
	}
	x.Questions = res.Form
	for _, s := range res.StepResults {
		x.Diagnostics = append(x.Diagnostics, s.Output.Diagnostics...)
	}
	return x, nil
}

func describe(bp *pack.Blueprint, c pack.Component, e Examined) ExaminedComponent {
	x := ExaminedComponent{Path: c.Path, ID: c.ID, Verdict: e.Verdict, Detail: e.Detail,
		Contracts: nonNil(e.Contracts), Imports: nonNil(e.Imports), Exports: nonNil(e.Exports),
		Capabilities: Capabilities(e.Imports), Undeclared: []string{}}
	said := declaredCapabilities(bp, c.ID)
	for _, name := range x.Capabilities {
		if c.ID != "" && !slices.Contains(said, name) {
			x.Undeclared = append(x.Undeclared, name)
		}
	}
	return x
}

// capabilityOf names the capabilities of imported interfaces, by their beginnings.
// The names are those of a manifest (components[].capabilities.host), and wasi.*.
var capabilityOf = []struct{ prefix, name string }{
	{"greentic:secrets", "secrets"},
	{"greentic:provision-host/secrets", "secrets"},
	{"greentic:state", "state"},
	{"greentic:provision-host/config", "config"},
	{"greentic:provision-host/subscriptions", "subscriptions"},
	{"greentic:http", "http"},
	{"greentic:oauth-broker", "oauth"},
	{"greentic:messaging", "messaging"},
	{"greentic:telemetry", "telemetry"},
	{"greentic:host/http", "http"},
	{"greentic:host/kv", "state"},
	{"wasi:filesystem", "wasi.filesystem"},
	{"wasi:sockets", "wasi.sockets"},
	{"wasi:http", "wasi.http"},
	{"wasi:random", "wasi.random"},
	{"wasi:clocks", "wasi.clocks"},
	{"wasi:cli/environment", "wasi.env"},
}

// Capabilities gives the capabilities that imports ask for, sorted.
func Capabilities(imports []string) []string {
	names := []string{}
	for _, i := range imports {
		for _, c := range capabilityOf {
			if strings.HasPrefix(i, c.prefix) {
				names = append(names, c.name)
				break
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// declaredCapabilities gives what the manifest says that a component needs: the
// members of {wasi, host} that are there and not empty, false or null.
func declaredCapabilities(bp *pack.Blueprint, id string) []string {
	var names []string
	for _, d := range bp.Declared {
		if d.ID != id {
			continue
		}
		doc, _ := plan.Tree(d.Capabilities).(map[string]any)
		for group, prefix := range map[string]string{"host": "", "wasi": "wasi."} {
			members, _ := doc[group].(map[string]any)
			for name, v := range members {
				if list, isList := v.([]any); v != nil && v != false && !(isList && len(list) == 0) {
					names = append(names, prefix+name)
				}
			}
		}
	}
	return names
}
