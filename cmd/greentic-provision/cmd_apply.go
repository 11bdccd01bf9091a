package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/capability"
	"github.com/greentic-ai/greentic-provision/commit"
	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/form"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
	"github.com/greentic-ai/greentic-provision/render"
)

// applying holds the flags of apply.
type applying struct {
	dryRun
	plan, expectDigest string
	yes, leaveMissing  bool
	secrets            string
	lockTimeout        time.Duration
}

var applyHelp = map[pack.Entry]struct{ short, long string }{
	pack.EntrySetup: {"Set a provider up: run the pack and store what its plan says",
		`Runs the pack as dry-run setup does, shows what would change against what is stored, and stores it once somebody
has agreed: on the terminal, by --yes, or by naming the plan that was reviewed (--plan, --expect-digest).`},
	pack.EntryUpdate: {"Update an installation: run the pack's update and store what changes",
		`As setup, with the pack's update flow or, by questions, in the mode update, for what is installed.`},
	pack.EntryRemove: {"Remove an installation: undo what it stored",
		`Puts back what stood in every key before the installation first touched it, from the last to the first, and deletes
what was not there. With --pack, the pack's own removal, if it has one, is run as well, for its operations on other
systems; without it, the record alone decides, and --provider-id says which installation.`},
}

func (a *app) apply(entry pack.Entry) *cobra.Command {
	f := applying{dryRun: dryRun{entry: entry, executor: executorWasm}}
	help := applyHelp[entry]
	c := &cobra.Command{
		Use:   string(entry) + " --pack P",
		Short: help.short,
		Long: help.long + `

Everything is stored in one transaction or not at all. What an earlier run left unfinished is finished or undone
first. Operations on other systems (webhooks, subscriptions, consent) are recorded, then carried out where an adapter
is configured for them, and wait otherwise: installs show lists them, apply resume tries again.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.runApply(c, f) },
	}
	fs := c.Flags()
	f.flags(fs)
	f.storing.flags(fs)
	f.storing.executing(fs)
	fs.StringVar(&f.plan, "plan", "", "apply only what this file says, which dry-run --json --output wrote: another plan or another state is refused (exit code 7)")
	fs.StringVar(&f.expectDigest, "expect-digest", "", "apply only the plan with this digest (sha256:…)")
	fs.BoolVar(&f.yes, "yes", false, "apply without asking")
	if entry != pack.EntryRemove {
		fs.StringVar(&f.secrets, "secrets", "", "file with values for secrets that the plan sets, a JSON object of texts that the pack does not see; - is stdin")
		fs.BoolVar(&f.leaveMissing, "leave-missing-secrets", false, "let secrets without a value wait (apply resume --secrets) instead of refusing the plan")
	}
	lockFlag(fs, &f.lockTimeout)
	return c
}

func lockFlag(fs *pflag.FlagSet, to *time.Duration) {
	fs.DurationVar(to, "lock-timeout", 10*time.Second, "how long to wait for another writer of the installation")
}

// check reports the first flag that makes no sense.
func (f *applying) check(a *app, given func(flag string) bool) error {
	f.byRecord = f.entry == pack.EntryRemove && f.pack.path == ""
	if f.byRecord && f.providerID == "" {
		return &usageError{what: "--pack", rule: "is missing", hint: "name the pack, or the installation with --provider-id"}
	}
	if err := f.dryRun.check(given); err != nil {
		return err
	}
	if f.plan != "" && f.expectDigest != "" {
		return &usageError{what: "--plan", rule: "contradicts --expect-digest", hint: "the file has the digest"}
	}
	if flag := f.reviewFlag(); f.byRecord && flag != "" {
		return &usageError{what: flag, rule: "needs --pack: without one there is no plan"}
	}
	if d := f.expectDigest; d != "" && !isDigest(d) {
		return &usageError{what: "--expect-digest", where: quote(d), rule: "is not sha256: and 64 hexadecimal digits"}
	}
	stdin := 0
	for _, file := range []string{f.answers, f.secrets} {
		if file == "-" {
			stdin++
		}
	}
	if stdin > 1 || stdin > 0 && f.interactive {
		return &usageError{what: "--secrets", rule: "reads stdin, and so does another flag", hint: "stdin can be read once; name a file"}
	}
	if f.lockTimeout < 0 {
		return &usageError{what: "--lock-timeout", where: f.lockTimeout.String(), rule: "is negative"}
	}
	if !f.agreed() && (!a.hasTerminal() || stdin > 0) {
		hint := "review a dry run and name it with --plan FILE or --expect-digest sha256:…, or say --yes"
		if f.byRecord {
			hint = "say --yes; with --pack, a reviewed dry run can be named with --plan FILE or --expect-digest sha256:…, too"
		}
		return &usageError{what: "apply " + string(f.entry), rule: "needs somebody to agree, and stdin is no terminal", hint: hint}
	}
	return nil
}

// reviewFlag is the flag that names what was reviewed, or "".
func (f *applying) reviewFlag() string {
	switch {
	case f.plan != "":
		return "--plan"
	case f.expectDigest != "":
		return "--expect-digest"
	}
	return ""
}

func isDigest(s string) bool {
	hex, ok := strings.CutPrefix(s, "sha256:")
	if !ok || len(hex) != 64 {
		return false
	}
	for _, c := range hex {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// agreed says that nobody has to be asked.
func (f *applying) agreed() bool { return f.yes || f.reviewFlag() != "" }

// maxReviewed bounds the file of --plan.
const maxReviewed = 64 * limits.MiB

// maxSecrets bounds the file of --secrets.
const maxSecrets = 4 * limits.MiB

func (a *app) runApply(c *cobra.Command, f applying) error {
	ctx := c.Context()
	if err := f.check(a, c.Flags().Changed); err != nil {
		return err
	}
	if f.interactive {
		if err := needTerminal(a.stdin); err != nil {
			return err
		}
	}
	out, err := a.newOutput("--output", f.output, append(f.inputs(), input{"--plan", f.plan}, input{"--secrets", f.secrets})...)
	if err != nil {
		return err
	}
	reviewed, err := a.readReviewed(ctx, f.plan)
	if err != nil {
		return err
	}
	secrets, err := a.readSecrets(ctx, f.secrets)
	if err != nil {
		return err
	}
	var blueprint *pack.Blueprint
	packID := ""
	if f.pack.path != "" {
		if blueprint, packID, err = a.openToRun(ctx, f.dryRun, true); err != nil {
			return err
		}
		if flag := f.reviewFlag(); blueprint == nil && flag != "" {
			return &usageError{what: flag, rule: "is for the plan of a run, and the pack has no removal that could be run", hint: "review dry-run remove --store and say --yes"}
		}
		if err := a.permit(ctx, &f.dryRun, packID); err != nil {
			return err
		}
	}
	stores, err := a.openStores(ctx, f.storing, creating)
	if err != nil {
		return err
	}
	defer stores.close()
	if err := a.executors(ctx, f.storing, stores); err != nil {
		return err
	}
	ns := f.namespace(packID)
	committer, lock, recovered, err := a.writer(ctx, stores, ns, f.lockTimeout)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	current, err := committer.Load(ctx, ns)
	if err != nil {
		return err
	}
	if err := f.suits("apply", current, packID); err != nil {
		return err
	}
	doc := applied{Namespace: ns.String(), Recovered: recovered, Changes: []commit.Difference{}, Operations: []commit.Listed{}}

	var result *engine.Result
	var answers json.RawMessage
	if blueprint != nil {
		if result, answers, err = a.runToApply(ctx, f, blueprint, committer, lock, current); err != nil {
			return err
		}
		if result.ExitCode != engine.ExitOK {
			return a.report(out, f, result, doc)
		}
	}
	if err := f.isReviewed(reviewed, result, current); err != nil {
		return err
	}
	var set *commit.Set
	var found []plan.Diagnostic
	var outcome engine.Outcome
	if result != nil {
		outcome = result.Outcome()
	}
	wanted := commit.Wanted{Secrets: secrets, Answers: answers, LeaveMissing: f.leaveMissing, Grants: f.grants, Keys: f.keys, Own: ownNames(ns)}
	if f.entry == pack.EntryRemove {
		set, found, err = committer.NewRemoval(ctx, current, result, outcome, wanted)
	} else {
		set, found = commit.New(result, outcome, current, wanted)
	}
	if err != nil {
		return err
	}
	if result != nil {
		result.Diagnostics = append(result.Diagnostics, found...)
	}
	if set == nil {
		result.ExitCode = engine.ExitDiagnostics
		if err := noteRefusal(ctx, committer, lock, result, found); err != nil {
			return err
		}
		return a.report(out, f, result, doc)
	}
	doc.Changes = set.Differences()
	if err := a.agree(ctx, f, current, result, doc.Changes); err != nil {
		return err
	}
	install, err := committer.Commit(ctx, lock, set)
	if err != nil {
		return err
	}
	doc.Committed, doc.Revision, doc.Status = true, install.Revision, install.Status
	if doc.Operations, err = committer.Resume(ctx, lock, set.After(install), nil); err != nil {
		return &appliedError{install.Revision, "its operations wait for apply resume", err}
	}
	return a.report(out, f, result, doc)
}

// appliedError says that what came after a commit failed, and what to do about it.
type appliedError struct {
	revision uint64
	hint     string
	err      error
}

func (e *appliedError) Error() string {
	return fmt.Sprintf("%s (the plan is applied, as revision %d; %s)", e.err, e.revision, e.hint)
}

func (e *appliedError) Unwrap() error { return e.err }

// runToApply runs the pack for real, and gives the answers that it ran on, too. What was
// denied and what failed is noted in the audit log; everything else of a run that did not
// end well leaves no trace.
func (a *app) runToApply(ctx context.Context, f applying, b *pack.Blueprint, c commit.Committer, lock adapters.Lock, current commit.Current) (*engine.Result, json.RawMessage, error) {
	r, err := over(f.dryRun, current)
	if err != nil {
		return nil, nil, err
	}
	inputs, _, err := a.inputs(ctx, r.dryRun, b)
	if err != nil {
		return nil, nil, err
	}
	inputs.ExistingState = r.told().ForGuest()
	r.applies = true
	var denials []capability.Denial
	r.denied = func(list []capability.Denial) { denials = list }
	result, answers, err := a.provision(ctx, r, b, inputs)
	if err != nil {
		return nil, nil, err
	}
	origin, walls, err := ranFrom(result)
	if err != nil {
		return nil, nil, err
	}
	if len(denials) > 0 {
		s := result.Outcome().Scrubber
		for i := range denials {
			denials[i].Key = s.ScrubCut(denials[i].Key)
		}
		if err := c.Note(ctx, lock, "denied", origin, walls, map[string]any{"denied": denials}); err != nil {
			return nil, nil, err
		}
	}
	if result.ExitCode != engine.ExitOK {
		detail := map[string]any{"entry": result.Pack.Entry, "verdict": result.Verdict, "exit_code": result.ExitCode}
		if err := c.Note(ctx, lock, "failed", origin, walls, detail); err != nil {
			return nil, nil, err
		}
	}
	return result, answers, nil
}

// ranFrom says for the audit log what ran, and behind which walls.
func ranFrom(result *engine.Result) (adapters.Origin, json.RawMessage, error) {
	walls, err := plan.Canonical(result.Walls)
	return adapters.Origin{PackID: result.Pack.ID, PackVersion: result.Pack.Version, PackDigest: result.Pack.Digest, Unverified: result.Pack.Unverified}, walls, err
}

// noteRefusal notes in the audit log why a plan could not be applied.
func noteRefusal(ctx context.Context, c commit.Committer, lock adapters.Lock, result *engine.Result, found []plan.Diagnostic) error {
	origin, walls, err := ranFrom(result)
	if err != nil {
		return err
	}
	codes := map[string]bool{}
	for _, d := range found {
		if d.Severity == plan.Error {
			codes[d.Code] = true
		}
	}
	detail := map[string]any{"entry": result.Pack.Entry, "verdict": result.Verdict, "exit_code": result.ExitCode, "codes": slices.Sorted(maps.Keys(codes))}
	return c.Note(ctx, lock, "failed", origin, walls, detail)
}

// readReviewed reads what a dry run wrote; nil where no file is named.
func (a *app) readReviewed(ctx context.Context, file string) (*commit.Reviewed, error) {
	if file == "" {
		return nil, nil
	}
	b, err := a.readInput(ctx, "--plan", file, maxReviewed, "")
	if err != nil {
		return nil, err
	}
	if !json.Valid(b) { // most likely what it writes for people
		return nil, &usageError{what: "--plan", where: quote(file), rule: "is not the result of a dry run (write one with dry-run --json --output FILE)"}
	}
	r, err := commit.ParseReviewed(b)
	if err != nil {
		return nil, malformed("--plan", file, err)
	}
	return &r, nil
}

// readSecrets reads a JSON object of texts, each for another secret.
func (a *app) readSecrets(ctx context.Context, file string) (map[string][]byte, error) {
	if file == "" {
		return nil, nil
	}
	b, err := a.readInput(ctx, "--secrets", file, maxSecrets, "")
	if err != nil {
		return nil, err
	}
	doc, err := plan.ReadObject(b)
	if err != nil {
		return nil, malformed("--secrets", file, err)
	}
	values, _ := plan.Tree(doc).(map[string]any)
	secrets, spelled := map[string][]byte{}, map[string]string{}
	for _, k := range slices.Sorted(maps.Keys(values)) {
		text, ok := values[k].(string)
		canon, rule := capability.CanonicalSecret(k)
		switch other, twice := spelled[canon]; {
		case rule != "":
		case !ok:
			rule = "must be a string"
		case text == "":
			rule = "is empty"
		case twice:
			rule = "names the same secret as " + quote(other)
		}
		if rule != "" {
			return nil, &usageError{what: "--secrets", where: quote(file) + " at " + render.Text("/"+k, 200), rule: rule}
		}
		secrets[k], spelled[canon] = []byte(text), k
	}
	return secrets, nil
}

// isReviewed holds the plan against what was reviewed.
func (f *applying) isReviewed(r *commit.Reviewed, result *engine.Result, current commit.Current) error {
	switch {
	case r != nil:
		err := r.Matches(result)
		if e, ok := errors.AsType[*commit.MismatchError](err); ok && r.Inputs.State.Revision == 0 && current.Installed() {
			e.Differences = append(e.Differences, "to review a plan for what is installed, make it with dry-run --store "+quoteStore(f.store))
		}
		return err
	case f.expectDigest != "" && commit.WritesState(result):
		return &commit.MismatchError{Differences: []string{"the run writes to the state store, of which a plan's digest says nothing; review it with --plan FILE"}}
	case f.expectDigest != "" && f.expectDigest != result.Digest:
		return &commit.MismatchError{Differences: []string{fmt.Sprintf("the plan's digest is %s and not that of --expect-digest", result.Digest)}}
	}
	return nil
}

// quoteStore is a value of --store for people to copy; what may hold a password is left out.
func quoteStore(store string) string {
	switch s := (storing{store: store}); {
	case s.isPostgres():
		return "postgres://…"
	case store == "" || store == defaultStore:
		return defaultStore
	}
	return quote(store)
}

// declinedError says that somebody was asked and did not agree.
type declinedError struct{ command string }

func (e *declinedError) Error() string {
	return e.command + ": nobody agreed; nothing was changed"
}

// agree shows what changes and asks, where nobody has agreed yet.
func (a *app) agree(ctx context.Context, f applying, current commit.Current, result *engine.Result, changes []commit.Difference) error {
	if f.agreed() {
		return nil
	}
	look := style(a.stderr)
	text := reviewHeader(current, result) + "\n"
	if result != nil {
		text += render.Notes(result, look)
	}
	fmt.Fprint(a.stderr, text+render.Changes(changesTitle(current), changes, look)+"\n")
	answer, err := form.AskLine(ctx, form.Terminal{In: a.stdin, Out: a.stderr}, "Apply this? Type yes: ", false)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		fmt.Fprintln(a.stderr) // the question's line has no end
	} else if err != nil {
		return asked(err)
	}
	if answer != "yes" {
		return &declinedError{"apply " + string(f.entry)}
	}
	return nil
}

// reviewHeader says which pack it is whose changes somebody is asked to agree to.
func reviewHeader(current commit.Current, result *engine.Result) string {
	is := adapters.PackRef{}
	if current.Install != nil {
		is = current.Install.Pack
	}
	way := "what the record says; the pack is not run"
	if result != nil {
		is = adapters.PackRef{ID: result.Pack.ID, Version: result.Pack.Version, Digest: result.Pack.Digest, Unverified: result.Pack.Unverified}
		way = string(result.Pack.Via)
	}
	version := is.Version
	if current.Installed() && current.Install.Pack.Version != version {
		version = current.Install.Pack.Version + " → " + version
	}
	s := fmt.Sprintf("pack   %s %s\ndigest %s\nway    %s\n", render.Text(is.ID, 200), render.Text(version, 100), render.Text(is.Digest, 80), render.Text(way, 60))
	if result != nil && is.Unverified {
		s += "       UNVERIFIED: its bytes are not what it says of them (--allow-unverified)\n"
	}
	return s
}

func changesTitle(current commit.Current) string {
	if !current.Installed() {
		return "Changes to " + current.Namespace.String() + ", which is not installed"
	}
	return fmt.Sprintf("Changes to %s, which is at revision %d", current.Namespace, current.Revision())
}

// applied is what became of a plan.
type applied struct {
	Namespace  string              `json:"namespace"`
	Committed  bool                `json:"committed"`
	Revision   uint64              `json:"revision"` // 0 where nothing was committed
	Status     adapters.Status     `json:"status"`   // "" where nothing was committed
	Changes    []commit.Difference `json:"changes"`
	Operations []commit.Listed     `json:"operations"`
	Recovered  []commit.Recovered  `json:"recovered"`
}

// report writes how an apply ended. Its error says so once more where the exit code is
// not 0.
func (a *app) report(out output, f applying, result *engine.Result, doc applied) error {
	code, line := engine.ExitOK, ""
	if result != nil && result.ExitCode != engine.ExitOK {
		code, line = result.ExitCode, render.Summary(result)
	} else if n := count(doc.Operations, adapters.Failed); n > 0 {
		code, line = engine.ExitFault, fmt.Sprintf("the plan is applied, and %d of its operations failed (installs show says why, apply resume tries again)", n)
	}
	if doc.Recovered == nil {
		doc.Recovered = []commit.Recovered{}
	}
	var err error
	if f.json {
		err = out.writeJSON(struct {
			Applied applied        `json:"applied"`
			Result  *engine.Result `json:"result"` // null where no pack was run
		}{doc, result})
	} else {
		look := render.Style{}
		if f.output == "" {
			look = style(a.stdout)
		}
		err = out.write([]byte(a.reportText(f, result, doc, look)))
	}
	if err != nil && doc.Committed {
		return &appliedError{doc.Revision, "installs show says what there is now", err}
	}
	if err != nil {
		return err
	}
	if code == engine.ExitOK {
		return nil
	}
	e := &failed{code: code}
	if f.json || f.output != "" || doc.Committed {
		e.line = line
	}
	return e
}

// reportText is how an apply ended, for people. What they have just agreed to is not
// shown to them once more.
func (a *app) reportText(f applying, result *engine.Result, doc applied, look render.Style) string {
	if !doc.Committed {
		return render.Result(result, look)
	}
	var parts []string
	if f.agreed() || f.output != "" {
		text := ""
		if result != nil {
			text = render.Notes(result, look)
		}
		parts = append(parts, text+render.Changes("Changes to "+doc.Namespace, doc.Changes, look))
	}
	if len(doc.Operations) > 0 {
		parts = append(parts, render.Operations(doc.Operations, look))
	}
	return strings.Join(append(parts, a.conclusion(doc)+"\n"), "\n")
}

func (a *app) conclusion(doc applied) string {
	what := "Applied"
	if doc.Status == adapters.Removed {
		what = "Removed"
	}
	s := fmt.Sprintf("%s: %s is at revision %d.", what, doc.Namespace, doc.Revision)
	if n := count(doc.Operations, adapters.Pending); n == 1 {
		s += " 1 operation waits."
	} else if n > 1 {
		s += fmt.Sprintf(" %d operations wait.", n)
	}
	return s
}

func count(list []commit.Listed, status adapters.OperationStatus) (n int) {
	for _, l := range list {
		if l.Status == status {
			n++
		}
	}
	return n
}
