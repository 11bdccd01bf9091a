package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/capability"
	"github.com/greentic-ai/greentic-provision/commit"
	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
	"github.com/greentic-ai/greentic-provision/render"
)

// dryRun holds the flags of dry-run.
type dryRun struct {
	entry pack.Entry
	pack  packInput
	sandbox
	storing
	installation
	publicBaseURL, user         string
	answers, state              string
	via, contract, mode, locale string
	interactive, json, timings  bool
	output, executor, policy    string
	grants, keys                []string
	byRecord                    bool // removes, and runs no pack
}

// The executors.
const (
	executorWasm = "wasm"
	executorNoop = "noop"
)

// entryHelp is what each entry does, in a line and in a paragraph.
var entryHelp = map[pack.Entry]struct{ short, long string }{
	pack.EntrySetup: {"Run a pack's setup in the sandbox and print the plan it makes",
		`Works out what setting the provider up would do: collect, validate, apply and summary, by the pack's step
modules, its setup component, the questions of its provider component, or its setup flow, whichever comes first
(--via takes another). Prints the merged plan. Nothing is applied.

Questions that the pack still has are listed; answer them with --answers, or on the terminal with --interactive.`},
	pack.EntryUpdate: {"Work out what updating an installation would do",
		`As setup, with the pack's update flow or, by questions, in the mode update: --state says what exists, and the
plan has what changes. Nothing is applied.`},
	pack.EntryRemove: {"Work out what removing an installation would do",
		`As setup, with the pack's remove flow or, by questions, in the mode remove. Nothing is applied. With --store, what
apply remove would change is printed, too; then, without --pack, the record alone decides, and --provider-id says
which installation.`},
	pack.EntryRequirements: {"Print what a pack needs before it can be set up",
		`Runs the pack's requirements step. A pack without one is answered for from what it states about its secrets
(secret-requirements.json) and questions (setup.yaml); nothing of it is run then.`},
	pack.EntrySubscriptions: {"Work out which subscriptions a pack wants",
		`Runs the pack's subscriptions step and prints the plan with the operations on subscriptions. Nothing is applied.`},
}

func (a *app) dryRun(entry pack.Entry) *cobra.Command {
	f := dryRun{entry: entry}
	help := entryHelp[entry]
	c := &cobra.Command{
		Use:   string(entry) + " --pack P",
		Short: help.short,
		Long: help.long + `

Without --store (or --adapter) nothing that is stored is read: a plan for what is installed is made with
--store default, or with the --store that apply is given.

The exit code is that of the table in ` + program + ` --help; open questions alone are no error.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.runDryRun(c, f) },
	}
	fs := c.Flags()
	f.flags(fs)
	fs.StringVar(&f.state, "state", "", "file with what exists already, a JSON object (config, secrets, subscriptions); - is stdin")
	fs.BoolVar(&f.timings, "timings", false, `with --json: add what differs from run to run, as member "volatile"`)
	fs.StringVar(&f.executor, "executor", executorWasm, "wasm runs the pack; noop runs nothing and plans nothing, in the ways steps and component")
	f.storing.flags(fs)
	return c
}

// flags adds what dry-run and apply have in common.
func (f *dryRun) flags(fs *pflag.FlagSet) {
	f.pack.pathFlag(fs)
	f.pack.runFlags(fs)
	f.identityFlags(fs)
	fs.Lookup("provider-id").Usage += " (default: the pack's id)"
	fs.StringVar(&f.publicBaseURL, "public-base-url", "", "address under which the outside reaches this installation")
	fs.StringVar(&f.answers, "answers", "", "file with the answers, a JSON object; - is stdin")
	fs.StringVar(&f.user, "user", "", "user the plan is for")
	fs.StringVar(&f.via, "via", "", "run the pack this way: "+join(pack.Vias)+" (default: the first that is possible)")
	fs.StringVar(&f.contract, "contract", "", "drive components by this guest contract only (pack inspect lists them)")
	fs.StringVar(&f.mode, "mode", "", "ask the questions of this mode: "+strings.Join(engine.Modes, ", ")+" (default: that of the command)")
	fs.StringVar(&f.locale, "locale", "en", "language of questions")
	if f.entry == pack.EntrySetup || f.entry == pack.EntryUpdate || f.entry == pack.EntryRemove {
		fs.BoolVar(&f.interactive, "interactive", false, "ask the open questions on the terminal, then run")
	}
	fs.BoolVar(&f.json, "json", false, "print the canonical result as JSON")
	fs.StringVar(&f.output, "output", "", "write the result to this file, whole or not at all")
	fs.StringVar(&f.policy, "policy", "", "file that says which capabilities and keys each pack may use")
	fs.StringSliceVar(&f.grants, "grant", capability.Grants(), "capabilities that the steps may use; an empty list grants nothing")
	f.sandbox.flags(fs)
}

// installation says which one: the flags of every command about one.
type installation struct {
	providerID, installID string
	env, tenant, team     string
}

func (i *installation) identityFlags(fs *pflag.FlagSet) {
	fs.StringVar(&i.providerID, "provider-id", "", "provider of the installation")
	fs.StringVar(&i.installID, "install-id", "default", "which installation of the provider")
	fs.StringVar(&i.env, "env", "", "environment of the installation")
	fs.StringVar(&i.tenant, "tenant", "", "tenant of the installation")
	fs.StringVar(&i.team, "team", "", "team of the installation")
}

// namespace is where the installation's state is.
func (i installation) namespace(packID string) adapters.Namespace {
	return adapters.Namespace{Env: i.env, Tenant: i.tenant, Team: i.team, Provider: cmp.Or(i.providerID, packID), Install: i.installID}
}

// check reports the first flag that makes no sense.
func (i installation) check(given func(flag string) bool) error {
	for _, name := range []struct{ flag, value string }{
		{"provider-id", i.providerID}, {"install-id", i.installID}, {"env", i.env}, {"tenant", i.tenant}, {"team", i.team},
	} {
		if given(name.flag) {
			if err := checkName(name.flag, name.value); err != nil {
				return err
			}
		}
	}
	return nil
}

// join lists words for a flag's usage.
func join[S ~string](words []S) string {
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = string(w)
	}
	return strings.Join(list, ", ")
}

// oneOf says that a flag's value is none of the words that it takes.
func oneOf[S ~string](flag string, value string, words []S) error {
	if value == "" || slices.Contains(words, S(value)) {
		return nil
	}
	return &usageError{what: "--" + flag, where: quote(value), rule: "is none of " + join(words)}
}

// check reports the first flag that makes no sense. given says whether a flag
// was on the command line.
func (f *dryRun) check(given func(flag string) bool) error {
	if !f.byRecord {
		if err := f.pack.check(); err != nil {
			return err
		}
	}
	if err := f.installation.check(given); err != nil {
		return err
	}
	for _, name := range []struct{ flag, value string }{
		{"user", f.user}, {"provider-type", f.pack.providerType}, {"contract", f.contract}, {"locale", f.locale},
	} {
		if given(name.flag) {
			if err := checkName(name.flag, name.value); err != nil {
				return err
			}
		}
	}
	if given("public-base-url") {
		if err := checkBaseURL(f.publicBaseURL); err != nil {
			return err
		}
	}
	if f.answers == "-" && f.state == "-" {
		return &usageError{what: "--state", rule: "reads stdin, and so does --answers", hint: "stdin can be read once; put one of the two in a file"}
	}
	if f.interactive && (f.answers == "-" || f.state == "-") {
		return &usageError{what: "--interactive", rule: "reads stdin, and so does --answers or --state", hint: "name a file"}
	}
	if f.executor != executorWasm && f.executor != executorNoop {
		return &usageError{what: "--executor", where: quote(f.executor), rule: "is neither wasm nor noop"}
	}
	if err := oneOf("via", f.via, pack.Vias); err != nil {
		return err
	}
	if err := oneOf("mode", f.mode, engine.Modes); err != nil {
		return err
	}
	if err := capability.CheckGrants(f.grants); err != nil {
		return &usageError{what: "--grant", rule: err.Error()}
	}
	if f.policy != "" && given("grant") {
		return &usageError{what: "--policy", rule: "contradicts --grant", hint: "the policy says what each pack may use"}
	}
	if f.state != "" && f.store != "" {
		return &usageError{what: "--state", rule: "contradicts --store", hint: "what exists is in the one or in the other"}
	}
	if err := f.storing.check(); err != nil {
		return err
	}
	if err := f.storing.checkNames(f.namespace("")); err != nil {
		return err
	}
	if f.timings && !f.json {
		return &usageError{what: "--timings", rule: "is for --json", hint: "without --json, times are shown anyway"}
	}
	return f.sandbox.check(f.pack.path)
}

// inputs are the files that --output must leave alone.
func (f *dryRun) inputs() []input {
	return append([]input{{"--pack", f.pack.path}, {"--answers", f.answers}, {"--state", f.state}, {"--trust", f.pack.trust}, {"--policy", f.policy}}, f.storing.inputs()...)
}

// reads says that what exists comes from a store.
func (f *dryRun) reads() bool { return f.store != "" || len(f.adapters) > 0 }

// suits refuses a run for an installation that is not there, or that another pack made.
// packID is "" where no pack is run.
func (f *dryRun) suits(command string, current commit.Current, packID string) error {
	ns := current.Namespace.String()
	switch {
	case (f.entry == pack.EntryUpdate || f.entry == pack.EntryRemove) && !current.Installed():
		return &usageError{what: command + " " + string(f.entry), where: quote(ns), rule: "is not installed", hint: "installs list shows what is; apply setup installs"}
	case packID != "" && current.Installed() && current.Install.Pack.ID != packID:
		return &usageError{what: "--pack", where: quote(f.pack.path), rule: "is the pack " + quote(packID) + ", and " + ns + " was made by " + quote(current.Install.Pack.ID),
			hint: "another pack must not work on what this one stored: remove the installation first, or name another with --install-id"}
	}
	return nil
}

func (a *app) runDryRun(c *cobra.Command, f dryRun) error {
	ctx := c.Context()
	f.byRecord = f.entry == pack.EntryRemove && f.pack.path == "" && f.reads() && f.providerID != ""
	if err := f.check(c.Flags().Changed); err != nil {
		return err
	}
	if f.interactive {
		if err := needTerminal(a.stdin); err != nil {
			return err
		}
	}
	out, err := a.newOutput("--output", f.output, f.inputs()...)
	if err != nil {
		return err
	}
	var blueprint *pack.Blueprint
	packID := ""
	if !f.byRecord {
		if blueprint, packID, err = a.openToRun(ctx, f, f.reads()); err != nil {
			return err
		}
		if err := a.permit(ctx, &f, packID); err != nil {
			return err
		}
	}
	r := packRun{dryRun: f, namespace: f.namespace(packID)}
	current := commit.Current{Namespace: r.namespace}
	stores := commit.Stores{}
	if f.reads() {
		o, err := a.openStores(ctx, f.storing, looked)
		if err != nil {
			return err
		}
		if o != nil {
			defer o.close()
			stores = o.Stores
			if current, err = o.Load(ctx, r.namespace); err != nil {
				return err
			}
		}
		if err := f.suits("dry-run", current, packID); err != nil {
			return err
		}
		if r, err = over(f, current); err != nil {
			return err
		}
	}
	var result *engine.Result
	if blueprint != nil {
		inputs, state, err := a.inputs(ctx, r.dryRun, blueprint)
		if err != nil {
			return err
		}
		if f.state != "" {
			r.state = state
			current.Values = secretsOf(state)
		}
		inputs.ExistingState = r.told().ForGuest()
		wanted := commit.Wanted{Grants: f.grants, Keys: f.keys, Own: ownNames(r.namespace), LeaveMissing: true}
		if result, wanted.Answers, err = a.provision(ctx, r, blueprint, inputs); err != nil {
			return err
		}
		if f.entry == pack.EntrySetup || f.entry == pack.EntryUpdate {
			foresee(result, current, wanted)
		}
	}
	var changes []commit.Difference // nil: not worked out
	if f.entry == pack.EntryRemove && f.reads() && (result == nil || result.ExitCode == engine.ExitOK) {
		if changes, err = removal(ctx, stores, current, result, commit.Wanted{Grants: f.grants, Keys: f.keys, Own: ownNames(r.namespace)}); err != nil {
			return err
		}
	}
	switch {
	case f.json && result == nil:
		err = out.writeJSON(map[string]any{"namespace": r.namespace.String(), "revision": current.Revision(), "changes": changes})
	case f.json:
		err = out.writeJSON(document(result, f.timings))
	default:
		look := render.Style{}
		if f.output == "" {
			look = style(a.stdout)
		}
		var text []string
		if result != nil {
			text = append(text, render.Result(result, look))
		}
		if changes != nil {
			text = append(text, render.Changes(changesTitle(current), changes, look))
		}
		err = out.write([]byte(strings.Join(text, "\n")))
	}
	if err != nil || result == nil || result.ExitCode == engine.ExitOK {
		return err
	}
	e := &failed{code: result.ExitCode}
	if f.json || f.output != "" {
		e.line = render.Summary(result)
	}
	return e
}

// openToRun opens the pack for the entry. A pack without a removal of its own gives its id
// alone where there may be a record, which is enough to remove by.
func (a *app) openToRun(ctx context.Context, f dryRun, record bool) (*pack.Blueprint, string, error) {
	b, err := a.openPack(ctx, f.pack, f.entry)
	e, ok := errors.AsType[*pack.Error](err)
	switch {
	case err == nil:
		return b, b.Manifest.ID, nil
	case ok && e.Rule == pack.RuleRemove && record:
		b, err2 := a.openPack(ctx, f.pack, pack.EntrySetup)
		if err2 != nil {
			return nil, "", err
		}
		fmt.Fprintf(a.stderr, "%s: the pack has no removal of its own; the record alone decides\n", program)
		return nil, b.Manifest.ID, nil
	case ok && e.Rule == pack.RuleUpdate:
		hint := "setup works on what is stored, too: run it again"
		if e.Hint != "" {
			hint = e.Hint + "; " + hint
		}
		e.Hint = hint
	}
	return nil, "", err
}

// secretsOf gives the secrets of a state file as values of an installation.
func secretsOf(s capability.State) map[adapters.Kind]map[string]adapters.Value {
	values := map[string]adapters.Value{}
	for k, v := range s.Secrets {
		if canon, why := capability.CanonicalSecret(k); why == "" {
			values[canon] = adapters.Value{Bytes: []byte(v), Secret: true}
		}
	}
	return map[adapters.Kind]map[string]adapters.Value{adapters.Secrets: values}
}

// foresee adds to a result why applying would refuse its plan, and what it would ask for.
func foresee(result *engine.Result, current commit.Current, wanted commit.Wanted) {
	if result.ExitCode != engine.ExitOK {
		return
	}
	set, found := commit.New(result, result.Outcome(), current, wanted)
	for _, d := range found {
		if d.Severity == plan.Error {
			result.Diagnostics = append(result.Diagnostics, d)
		}
	}
	if set == nil {
		result.ExitCode = engine.ExitDiagnostics
		return
	}
	for _, c := range set.Changes {
		key, ok := strings.CutPrefix(c.Key, string(adapters.SecretValue)+"/")
		if c.Kind == adapters.Operations && ok && c.After != nil {
			result.Diagnostics = append(result.Diagnostics, plan.Diagnostic{Severity: plan.Warn, Code: "SECRET_VALUE_MISSING", Own: true,
				Message: "apply needs a value for " + key + ": --secrets FILE"})
		}
	}
}

// removal gives what removing an installation would change. Why it would be refused goes
// into the result.
func removal(ctx context.Context, stores commit.Stores, current commit.Current, result *engine.Result, wanted commit.Wanted) ([]commit.Difference, error) {
	var outcome engine.Outcome
	if result != nil {
		outcome = result.Outcome()
	}
	set, found, err := stores.NewRemoval(ctx, current, result, outcome, wanted)
	if err != nil {
		return nil, err
	}
	if result != nil {
		result.Diagnostics = append(result.Diagnostics, found...)
	}
	if set == nil {
		result.ExitCode = engine.ExitDiagnostics
		return nil, nil
	}
	return set.Differences(), nil
}

// document is what --json prints. Times are in it only when asked for: without
// them, two runs of the same give the same bytes.
func document(res *engine.Result, timings bool) any {
	if !timings {
		return res
	}
	type step struct {
		Step   plan.Step `json:"step"`
		Node   string    `json:"node,omitempty"`
		WallNS int64     `json:"wall_ns"`
	}
	type volatile struct {
		Steps []step          `json:"steps"`
		Walls limits.Sighting `json:"walls"`
	}
	v := volatile{Steps: []step{}, Walls: res.Volatile.Walls}
	for _, t := range res.Volatile.Steps {
		v.Steps = append(v.Steps, step{t.Step, t.Node, t.Timing.WallNS})
	}
	return struct {
		*engine.Result
		Volatile volatile `json:"volatile"`
	}{res, v}
}
