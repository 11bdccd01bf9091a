package pack

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/greentic-ai/greentic-provision/component"
	"github.com/greentic-ai/greentic-provision/plan"
)

// The places where step modules lie, in the order of upstream's tool.
var (
	moduleDirs       = []string{"components", "wasm", "."}
	moduleExtensions = []string{".wasm", ".wat"}
)

// assetPrefix is where packers move files that they do not know: for a path P,
// P is tried first, then assets/P. All plain places come before all asset
// places, so that a pack that upstream can run resolves to the same files here.
const assetPrefix = "assets/"

// modules lists where the modules of these names may lie, best first.
func modules(names ...string) []string {
	var out []string
	for _, prefix := range []string{"", assetPrefix} {
		for _, name := range names {
			for _, dir := range moduleDirs {
				for _, ext := range moduleExtensions {
					out = append(out, prefix+path.Join(dir, name+ext))
				}
			}
		}
	}
	return out
}

// resolve finds the guest binary of each step and reads it.
//
// Modules with three underscores (components/FLOW___NODE.wasm, packs of January
// 2026) are not looked for: they belong to nodes of a flow, not to steps.
func (d *draft) resolve(src source, m *manifest) error {
	if d.Pattern == PatternNone {
		d.absent(fmt.Sprintf("the pack declares %q", capabilityNone))
		return nil
	}
	r := resolver{draft: d, src: src, loaded: map[string]int{}}
	names := []string{d.Setup.ID}
	if d.Setup.ID != setupDefault {
		names = append(names, setupDefault)
	}

	paths := map[plan.Step]string{}
	for i, s := range d.Steps {
		var stepNames []string
		for _, n := range names {
			stepNames = append(stepNames, n+"__"+string(s.Step))
		}
		p, err := r.first(string(s.Step), modules(stepNames...))
		if err != nil {
			return err
		}
		if p != "" {
			paths[s.Step] = p
		} else {
			d.Steps[i].Why = "looked for " + places(stepNames)
		}
	}
	whole, why, err := r.wholeFlow(m, names)
	if err != nil {
		return err
	}

	switch {
	case paths[plan.Apply] != "":
		d.Pattern = PatternSteps
		if whole != "" {
			d.note(plan.Info, "PATTERN_STEPS_WIN", whole, "", "the pack has step modules and %s for the whole flow; the step modules are run", quote(whole))
		}
	case whole != "":
		d.Pattern = PatternComponent
		for i := range d.Steps {
			if p := paths[d.Steps[i].Step]; p != "" {
				d.note(plan.Warn, "STEP_MODULE_NOT_USED", p, "add a module for the step apply, or remove this one",
					"%s is not run: there is no module for the step %q, so %s serves all steps", quote(p), plan.Apply, quote(whole))
			}
			paths[d.Steps[i].Step] = whole
		}
	default:
		var have []string
		for _, s := range plan.Steps {
			if p := paths[s]; p != "" {
				have = append(have, p)
			}
		}
		also := ""
		if len(have) > 0 {
			also = "; it has only " + quoteAll(have)
		}
		d.absent("not run without a module for the step apply")
		return refuse(RuleStep, "", "this version runs a module per step, or one component for the whole flow",
			"the setup flow %s has no module for the step %q: looked for %s%s; and no component for the whole flow: %s",
			quote(d.Setup.ID), plan.Apply, places(suffixed(names, "__"+string(plan.Apply))), also, why)
	}
	for i := range d.Steps {
		p := paths[d.Steps[i].Step]
		if p == "" {
			continue
		}
		d.Steps[i].Why = ""
		if d.Steps[i].Component, err = r.load(p); err != nil {
			return err
		}
	}
	return nil
}

// absent says why of every step that has neither a component nor a reason yet.
func (d *draft) absent(why string) {
	for i := range d.Steps {
		if d.Steps[i].Component < 0 && d.Steps[i].Why == "" {
			d.Steps[i].Why = why
		}
	}
}

type resolver struct {
	*draft
	src    source
	loaded map[string]int // index into Components by path
}

// first gives the first candidate that the pack has, "" for none, and reports
// the others that are there too: search orders differ between tools (the
// secrets providers' own harness looks into wasm before components), so such a
// pack runs different code elsewhere.
func (r resolver) first(what string, candidates []string) (string, error) {
	var there []string
	for _, c := range candidates {
		f, err := r.src.find(c)
		if err != nil {
			return "", err
		}
		if f == present {
			there = append(there, c)
		}
	}
	if len(there) == 0 {
		return "", nil
	}
	if len(there) > 1 {
		r.note(plan.Warn, "MODULE_SHADOWED", there[0], "keep one of them", "several files fit %q: %s; the first counts", what, quoteAll(there))
	}
	return there[0], nil
}

// wholeFlow finds the one component that serves every step: a module with the
// flow's name or, in pack-v1, the bundled component that all of the flow's nodes
// name. Without one it says why.
func (r resolver) wholeFlow(m *manifest, names []string) (file, why string, err error) {
	nodes, err := m.nodes(r.Setup.ID)
	if err != nil {
		if e, ok := errors.AsType[*Error](err); ok {
			e.Entry = m.file
		}
		return "", "", err
	}
	file, err = r.first(r.Setup.ID, modules(names...))
	if err != nil || file != "" {
		return file, "", err
	}
	why = "looked for " + places(names)
	switch {
	case m.file != manifestCBOR:
		return "", why, nil
	case len(nodes) == 0:
		return "", why + "; the flow has no nodes", nil
	case len(nodes) > 1:
		return "", why + "; the flow's nodes name the components " + quoteAll(nodes) + ", and flow graphs are not run by this version", nil
	}
	id := nodes[0]
	if err := checkIdentifier(id); err != nil {
		return "", "", refuse(RuleIdentifier, m.file, "", "the component id %v", err)
	}
	candidates := []string{"components/" + id + ".wasm"}
	if version := m.components[id]; version != "" {
		if err := checkIdentifier(version); err != nil {
			return "", "", refuse(RuleIdentifier, m.file, "", "the version of the component %s %v", quote(id), err)
		}
		candidates = append(candidates, "components/"+id+"@"+version+"/component.wasm")
	}
	candidates = append(candidates, "components/"+id+"/component.wasm", "components/"+id+"/"+id+".wasm")
	if file, err = r.first(id, candidates); err != nil || file != "" {
		return file, "", err
	}
	return "", why + "; the component " + quote(id) + " of the flow's nodes is not in the pack: looked for " + quoteAll(candidates), nil
}

func suffixed(names []string, suffix string) []string {
	out := slices.Clone(names)
	for i := range out {
		out[i] += suffix
	}
	return out
}

// places describes modules(names...) for people.
func places(names []string) string {
	return fmt.Sprintf("%s (%s) in %s, each also below %q", strings.ReplaceAll(quoteAll(names), ", ", " and "),
		strings.Join(moduleExtensions, ", "), quoteAll(moduleDirs), strings.TrimSuffix(assetPrefix, "/"))
}

// load reads and checks a component, once.
func (r resolver) load(name string) (int, error) {
	if i, ok := r.loaded[name]; ok {
		return i, nil
	}
	b, err := r.src.read(name, MaxEntry, RuleEntrySize)
	if err != nil {
		return -1, err
	}
	sum := sha256.Sum256(b)
	c := Component{Path: name, SHA256: hex.EncodeToString(sum[:]), Bytes: b}
	if c.Layer, c.Text, err = examine(name, b); err != nil {
		return -1, err
	}
	r.loaded[name] = len(r.Components)
	r.Components = append(r.Components, c)
	return r.loaded[name], nil
}

// examine tells binary from text. The extension decides and the bytes must
// agree: a file that is one thing for a person who reads its name and another
// for the engine is not what was reviewed.
func examine(name string, b []byte) (layer component.Layer, text bool, err error) {
	if strings.HasSuffix(name, ".wat") {
		start := bytes.TrimLeft(b, " \t\r\n")
		switch {
		case !utf8.Valid(b) || bytes.IndexByte(b, 0) >= 0:
			return "", false, refuse(RuleComponent, name, "name a binary .wasm", "is not UTF-8 text")
		case len(start) == 0 || start[0] != '(' && start[0] != ';':
			return "", false, refuse(RuleComponent, name, "", "is not WebAssembly text: it begins with neither '(' nor a comment")
		}
		return "", true, nil
	}
	layer, ok := component.LayerOf(b)
	switch {
	case ok:
		return layer, false, nil
	case bytes.HasPrefix(bytes.TrimLeft(b, " \t\r\n"), []byte("(")):
		return "", false, refuse(RuleComponent, name, "name a text .wat", "is WebAssembly text under the name of a binary")
	case len(b) < 8:
		return "", false, refuse(RuleComponent, name, "build the component again", "is %d bytes long; a preamble has 8", len(b))
	}
	return "", false, refuse(RuleComponent, name, "build the component again", "begins with % x, which is neither a core module nor a component", b[:8])
}
