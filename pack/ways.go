package pack

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/greentic-ai/greentic-provision/flow"
	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/plan"
)

// steps are those of the entry; decisive is the one without which there is no way
// through steps.
func (d *draft) steps() (steps []plan.Step, decisive plan.Step) {
	switch d.Entry {
	case EntryRequirements:
		return []plan.Step{plan.Requirements}, plan.Requirements
	case EntrySubscriptions:
		return []plan.Step{plan.Subscriptions}, plan.Subscriptions
	}
	return plan.Steps, plan.Apply
}

// owners are the names that modules of the entry begin with, best first. Modules
// named setup_default__ serve setup, whatever its flow is called, and what belongs
// to it, but never update or remove.
func (d *draft) owners() []string {
	setup, _ := d.Manifest.Entry(EntrySetup)
	names := []string{d.Flow.ID}
	switch d.Entry {
	case EntryUpdate, EntryRemove:
		names = append(names, string(d.Entry)+"_default", string(d.Entry))
	default:
		names = append(names, setup.ID, setupDefault)
	}
	return distinct(names)
}

// distinct drops empty names and those that came before.
func distinct(names []string) []string {
	var out []string
	for _, n := range names {
		if n != "" && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// findWays tries each way. An error is one of the pack as a whole.
func (d *draft) findWays() error {
	d.Requirements = StepRef{Step: plan.Requirements, Component: -1, Why: "looked for with the entry setup only"}
	impossible := ""
	switch {
	case d.Nothing:
		impossible = fmt.Sprintf("the pack declares %q", capabilityNone)
	case len(d.problems) > 0:
		impossible = fmt.Sprintf("the pack has no %s entry", d.Entry)
	}
	if impossible != "" {
		for _, via := range Vias {
			d.Ways = append(d.Ways, Way{Via: via, Component: -1, Problem: impossible})
		}
		return nil
	}
	if err := d.readGraphs(); err != nil {
		return err
	}
	var firstBroken *Error
	for _, find := range []func() (Way, error){d.waySteps, d.wayComponent, d.wayQA, d.wayFlow} {
		w, err := find()
		if soft(err) {
			e, _ := errors.AsType[*Error](err)
			if firstBroken == nil {
				firstBroken = e
			}
			w.Why, w.Problem = "", fmt.Sprintf("%s: %s", hostile.Quote(e.Entry), e.Detail)
		} else if err != nil {
			return err
		}
		if w.Problem != "" {
			w.Steps, w.Nodes = nil, nil
		}
		d.Ways = append(d.Ways, w)
	}
	possible := slices.ContainsFunc(d.Ways, Way.Possible)
	switch {
	case possible || d.Entry == EntryRequirements:
	case firstBroken != nil:
		d.problem(firstBroken)
	default:
		d.problem(d.noWay())
	}
	if d.Entry == EntrySetup && possible {
		return d.findRequirements()
	}
	return nil
}

// noWay puts the reasons of all ways into one error.
func (d *draft) noWay() error {
	var reasons []string
	for _, w := range d.Ways {
		reasons = append(reasons, fmt.Sprintf("%s: %s", w.Via, hostile.Clip(w.Problem, 600)))
	}
	what := fmt.Sprintf("the %s flow %s", d.Entry, hostile.Quote(d.Flow.ID))
	if d.Flow.ID == "" {
		what = string(d.Entry)
	}
	_, decisive := d.steps()
	return refuse(RuleStep, "", fmt.Sprintf("give it a module for the step %s, one component, or a flow with nodes", decisive),
		"%s cannot be run in any way; %s", what, strings.Join(reasons, "; "))
}

// modulesOf finds the modules of steps and reports where there is none.
func (d *draft) modulesOf(owners []string, steps []plan.Step) (files map[plan.Step]string, refs []StepRef, err error) {
	files = map[plan.Step]string{}
	for _, s := range steps {
		names := suffixed(owners, "__"+string(s))
		p, err := d.first(string(s), modules(names...))
		if err != nil {
			return nil, nil, err
		}
		ref := StepRef{Step: s, Component: -1}
		if p != "" {
			files[s] = p
		} else {
			ref.Why = "looked for " + places(names)
		}
		refs = append(refs, ref)
	}
	return files, refs, nil
}

func suffixed(names []string, suffix string) []string {
	out := slices.Clone(names)
	for i := range out {
		out[i] += suffix
	}
	return out
}

func (d *draft) waySteps() (Way, error) {
	w := Way{Via: ViaSteps, Component: -1}
	if d.Flow.ID == "" && d.Entry != EntryRequirements {
		w.Problem = d.noFlow()
		return w, nil
	}
	steps, decisive := d.steps()
	owners := d.owners()
	files, refs, err := d.modulesOf(owners, steps)
	if err != nil {
		return w, err
	}
	if files[decisive] == "" {
		w.Problem = fmt.Sprintf("no module for the step %q: looked for %s", decisive, places(suffixed(owners, "__"+string(decisive))))
		var have []string
		for _, s := range steps {
			if files[s] != "" {
				have = append(have, files[s])
			}
		}
		if len(have) > 0 {
			w.Problem += "; there is only " + hostile.QuoteAll(have)
			d.note(plan.Warn, "STEP_MODULE_NOT_USED", have[0], "add a module for the step apply, or remove the others",
				"%s cannot be run: there is no module for the step %q", hostile.QuoteAll(have), decisive)
		}
		return w, nil
	}
	for i, ref := range refs {
		if p := files[ref.Step]; p != "" {
			if refs[i].Component, err = d.component("", p); err != nil {
				return w, err
			}
		}
	}
	w.Steps = refs
	w.Why = fmt.Sprintf("%s for the step %q", hostile.Quote(files[decisive]), decisive)
	return w, nil
}

// findRequirements finds the module that states what setup asks for.
func (d *draft) findRequirements() error {
	requirements, _ := d.Manifest.Entry(EntryRequirements)
	owners := distinct([]string{requirements.ID, d.Flow.ID, setupDefault})
	files, refs, err := d.modulesOf(owners, []plan.Step{plan.Requirements})
	if err != nil {
		return err
	}
	d.Requirements = refs[0]
	if p := files[plan.Requirements]; p != "" {
		i, err := d.component("", p)
		if soft(err) {
			d.Requirements.Why = fmt.Sprintf("%s: %s", hostile.Quote(p), detail(err))
			return nil
		}
		d.Requirements.Component = i
		return err
	}
	return nil
}

func (d *draft) noFlow() string { return fmt.Sprintf("the pack has no %s flow", d.Entry) }

// wayComponent finds the one component that serves every step: a module with the
// flow's name or the component that all of the flow's nodes name.
func (d *draft) wayComponent() (Way, error) {
	w := Way{Via: ViaComponent, Component: -1}
	if d.Flow.ID == "" {
		w.Problem = d.noFlow()
		return w, nil
	}
	names := []string{d.Flow.ID}
	switch d.Entry {
	case EntrySetup:
		names = append(names, setupDefault)
	case EntryUpdate, EntryRemove:
		names = append(names, string(d.Entry)+"_default", string(d.Entry))
	}
	names = distinct(names)
	file, err := d.first(d.Flow.ID, modules(names...))
	if err != nil {
		return w, err
	}
	if file != "" {
		w.Why = fmt.Sprintf("%s is the module for the whole flow", hostile.Quote(file))
		w.Component, err = d.component("", file)
		return w, err
	}
	w.Problem = "looked for " + places(names)
	g := d.Graphs[d.Flow.ID]
	if g == nil || len(g.Nodes) == 0 {
		w.Problem += "; " + d.graphless
		return w, nil
	}
	var ids []string
	for _, n := range g.Nodes {
		id := n.Component
		if target := calls(n).component; target != "" {
			id = target
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
			if len(ids) > 16 {
				break // enough for a message
			}
		}
	}
	if len(ids) > 1 {
		w.Problem += "; the flow's nodes name several components, " + hostile.QuoteAll(ids)
		return w, nil
	}
	if builtIn(ids[0]) {
		w.Problem += "; the flow's nodes name no component but " + hostile.Quote(ids[0])
		return w, nil
	}
	file, why, err := d.locate(ids[0])
	if err != nil {
		return w, err
	}
	if file == "" {
		w.Problem += fmt.Sprintf("; the component %s of the flow's nodes is not in the pack: %s", hostile.Quote(ids[0]), why)
		return w, nil
	}
	w.Problem = ""
	w.Why = fmt.Sprintf("all nodes of the flow name the component %s", hostile.Quote(ids[0]))
	w.Component, err = d.component(ids[0], file)
	return w, err
}

// wayQA finds the component that is asked and answered: the provider's. For
// requirements it is no way, yet the component can be asked for its questions.
func (d *draft) wayQA() (Way, error) {
	w := Way{Via: ViaQA, Component: -1}
	if d.Entry == EntrySubscriptions {
		w.Problem = "a provider cannot be asked about subscriptions"
		return w, nil
	}
	id, why, problem := d.asked()
	if problem != "" {
		w.Problem = problem
		return w, nil
	}
	file, where, err := d.locate(id)
	if err != nil {
		return w, err
	}
	if file == "" {
		w.Problem = fmt.Sprintf("the component %s (%s) is not in the pack: %s", hostile.Quote(id), why, where)
		return w, nil
	}
	w.Why = fmt.Sprintf("%s is %s", hostile.Quote(id), why)
	w.Component, err = d.component(id, file)
	if d.Entry == EntryRequirements {
		w.Problem = "a provider is asked for its questions and states no requirements of its own"
	}
	return w, err
}

// asked names the component that the way through questions asks.
func (d *draft) asked() (id, why, problem string) {
	switch {
	case d.noProvider != "":
		return "", "", d.noProvider
	case d.Provider != nil && d.Provider.Component == "":
		return "", "", fmt.Sprintf("the provider %s names no component", hostile.Quote(d.Provider.Type))
	case d.Provider != nil:
		return d.Provider.Component, fmt.Sprintf("the component of the provider %s", hostile.Quote(d.Provider.Type)), ""
	case len(d.ext.offers) > 0 && d.ext.offers[0].Provider.ComponentRef != "":
		return d.ext.offers[0].Provider.ComponentRef, fmt.Sprintf("the component of the offer %s", hostile.Quote(d.ext.offers[0].ID)), ""
	}
	var all, providers []string
	for _, c := range d.m.components {
		all = append(all, c.ID)
		if strings.Contains(c.ID, "provider") {
			providers = append(providers, c.ID)
		}
	}
	switch {
	case len(providers) == 1:
		return providers[0], "the only component with provider in its id", ""
	case len(all) == 1:
		return all[0], "the only component", ""
	}
	return "", "", fmt.Sprintf("the pack declares no provider, and of its components (%s) none is the obvious one", listed(all))
}

// wayFlow finds the binaries of the nodes.
func (d *draft) wayFlow() (Way, error) {
	w := Way{Via: ViaFlow, Component: -1}
	if d.Flow.ID == "" {
		w.Problem = d.noFlow()
		return w, nil
	}
	if g := d.Graphs[d.Flow.ID]; g == nil || len(g.Nodes) == 0 {
		w.Problem = d.graphless
		return w, nil
	}
	w.Nodes = map[string]int{}
	nodes := 0
	for _, id := range d.order {
		g := d.Graphs[id]
		nodes += len(g.Nodes)
		for _, n := range g.Nodes {
			if err := d.addNode(w.Nodes, n); err != nil {
				return w, err
			}
		}
	}
	w.Why = fmt.Sprintf("the flow has a graph (nodes: %d)", nodes)
	if more := len(d.order) - 1; more > 0 {
		w.Why += fmt.Sprintf(", with those of called flows: %d", more)
	}
	return w, nil
}

// addNode finds the binary of a node under the name by which it will be called.
func (d *draft) addNode(nodes map[string]int, n flow.Node) error {
	name, id := n.Component, n.Component
	switch c := calls(n); {
	case c.provider != "":
		name, id = c.provider, d.providerComponent(c)
	case c.component != "":
		name, id = c.component, c.component
	case d.m.component(id) == nil && builtIn(id):
		return nil
	}
	if _, ok := nodes[name]; ok {
		return nil
	}
	file, why := "", "it declares no such provider"
	var err error
	if id != "" {
		file, why, err = d.locate(id)
	}
	if err != nil {
		return err
	}
	if dot := strings.LastIndexByte(name, '.'); file == "" && n.Operation == "" && name == id && dot > 0 {
		// Packs of January 2026 write templates.handlebars for the operation
		// handlebars of the component templates.
		prefix := name[:dot]
		if file, _, err = d.locate(prefix); err != nil {
			return err
		}
		if file != "" {
			name, id = prefix, prefix
		}
	}
	nodes[name] = -1
	if file == "" {
		d.note(plan.Info, "COMPONENT_ABSENT", d.Manifest.File, "", "the node %s names %s, of which the pack has no binary: %s", hostile.Quote(n.ID), hostile.Quote(name), why)
		return nil
	}
	i, err := d.component(id, file)
	if soft(err) {
		return nil
	}
	nodes[name] = i
	return err
}

// providerComponent is the component of the provider that a node calls, "" where
// the pack declares none.
func (d *draft) providerComponent(c call) string {
	for _, t := range []string{c.provider, c.providerType} {
		if i, ok := d.ext.byType[t]; ok {
			return d.ext.providers[i].Component
		}
	}
	if len(d.ext.providers) == 1 && c.providerType == "" {
		return d.ext.providers[0].Component
	}
	return ""
}

// The kinds of nodes that name what they call in their mapping.
const (
	nodeExec = "component.exec"
	nodeFlow = "flow.call"
)

// builtIn says that a component id names a kind of node that needs no binary, in
// any of upstream's runners.
func builtIn(id string) bool {
	switch id {
	case nodeExec, nodeFlow, flow.ProviderInvoke, "session.wait", "questions", "template", "state.get", "state.set", "mcp", "telco-x.call":
		return true
	}
	family, _, _ := strings.Cut(id, ".")
	return slices.Contains([]string{"emit", "dw", "sorla", "operala", "agentic"}, family)
}

// call is what a node names in its mapping.
type call struct{ component, provider, providerType, flow string }

// calls reads it. What a template decides only a run can tell.
func calls(n flow.Node) call {
	switch n.Component {
	case nodeExec, nodeFlow, flow.ProviderInvoke:
	default:
		return call{}
	}
	var m struct {
		Component    jsontext.Value `json:"component"`
		ComponentRef jsontext.Value `json:"component_ref"`
		ProviderID   jsontext.Value `json:"provider_id"`
		ProviderType jsontext.Value `json:"provider_type"`
		FlowID       jsontext.Value `json:"flow_id"`
		Flow         jsontext.Value `json:"flow"`
	}
	if len(n.Mapping) == 0 || n.Mapping[0] != '{' || decode([]byte(n.Mapping), &m) != nil {
		return call{}
	}
	text := func(values ...jsontext.Value) string {
		for _, v := range values {
			if s := ""; isSet(v) && v.Kind() == '"' && decode(v, &s) == nil && !strings.Contains(s, "{{") {
				return s
			}
		}
		return ""
	}
	switch n.Component {
	case nodeExec:
		return call{component: text(m.Component, m.ComponentRef)}
	case nodeFlow:
		return call{flow: text(m.FlowID, m.Flow)}
	}
	t := text(m.ProviderType)
	return call{provider: either(text(m.ProviderID), t), providerType: t}
}

// readGraphs reads the flow of the entry and those that it can call, and keeps
// the reason where the first has no nodes.
func (d *draft) readGraphs() error {
	d.Graphs = map[string]*flow.Graph{}
	d.graphless = "the pack has no graph of the flow"
	met := map[string]bool{d.Flow.ID: true}
	nodes := 0
	for next := distinct([]string{d.Flow.ID}); len(next) > 0; next = next[1:] {
		id := next[0]
		g, err := d.graph(id)
		if g != nil && err == nil {
			if nodes += len(g.Nodes); nodes > flow.MaxNodes {
				err = refuse(RuleFlow, d.Manifest.File, "", "up to here the flows have %d nodes; at most %d are read", nodes, flow.MaxNodes)
			}
		}
		if e, ok := errors.AsType[*Error](err); ok && graphRules[e.Rule] {
			if id == d.Flow.ID {
				d.graphless = fmt.Sprintf("the flow cannot be read: %s: %s", hostile.Quote(e.Entry), e.Detail)
			}
			d.note(plan.Warn, "FLOW_UNREADABLE", e.Entry, e.Hint, "the flow %s cannot be run: %s", hostile.Quote(id), e.Detail)
			continue
		}
		if err != nil {
			return err
		}
		if g == nil {
			if id != d.Flow.ID {
				d.note(plan.Warn, "FLOW_ABSENT", d.Manifest.File, "", "the flow %s, which another calls, is not in the pack", hostile.Quote(id))
			}
			continue
		}
		if id == d.Flow.ID && len(g.Nodes) == 0 {
			d.graphless = "the flow has no nodes"
		}
		d.Graphs[id] = g
		d.order = append(d.order, id)
		for _, n := range g.Nodes {
			if c := calls(n); c.flow != "" && !met[c.flow] {
				met[c.flow] = true
				next = append(next, c.flow)
			}
		}
	}
	return nil
}

// graphRules are broken by one flow and not by the pack.
var graphRules = map[Rule]bool{RuleFlow: true, RuleSymbol: true, RuleManifest: true, RuleSyntax: true, RuleDocument: true}
