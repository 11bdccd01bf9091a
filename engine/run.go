package engine

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/greentic-ai/greentic-provision/contract"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
	"github.com/greentic-ai/greentic-provision/qa"
)

// Config is one run.
type Config struct {
	Blueprint *pack.Blueprint
	Inputs    plan.Inputs
	Runner    StepRunner
	Host      Host
	Limits    limits.Limits
	// Applies says that the plan will be applied. Guests are not told. It decides over
	// their randomness: in a dry run it is made of the pack and the inputs, so that the
	// same gives the same; what is applied has real randomness, or whoever knows pack and
	// inputs would know the secrets that it makes.
	Applies bool
	// Revision is that of the installation whose state the inputs hold, 0 where the
	// state is not a store's. A store knows which of its values are secret, and Host with
	// it: only the state of others is searched for values that sound secret.
	Revision uint64
	// Via, when not empty, is the way to run the pack; else the first that is
	// possible is taken (Choose).
	Via pack.Via
	// Contract, when not empty, is the only guest contract to drive components by.
	Contract string
	// Secrets are the values of secrets that exist, by name, for a component that
	// updates its own configuration (way "qa"): those that the guest may be told. Host
	// knows them too.
	Secrets map[string]string
	// Mode is the mode in which questions are asked; "" means that of the entry:
	// setup, update or remove.
	Mode string
	// Locale is the language of questions, as in "de" or "pt-BR"; "" means "en".
	Locale string
	// Until, when not empty, is the last step to run.
	Until plan.Step
	// Progress, when not nil, is told what happens, in the goroutine of Run.
	Progress func(Event)
	// Receipt, when not nil, gives the walls; it is asked once, at the end.
	Receipt func() limits.Receipt
}

// Event is a change in a run.
type Event struct {
	Kind      EventKind
	Step      plan.Step
	Component string         // path in the pack; "" for StepAbsent
	Verdict   limits.Verdict // of StepEnded
}

// EventKind says what happened to a step.
type EventKind string

// The kinds of events.
const (
	StepStarted EventKind = "started"
	StepEnded   EventKind = "ended"
	StepAbsent  EventKind = "absent" // the pack has no such step
)

// ErrInterrupted is wrapped by Run's error when its context ended.
var ErrInterrupted = errors.New("interrupted")

// errRunTime is the cause by which a run's own time limit ends its context.
var errRunTime = errors.New("the run's time is used up")

// Run runs a pack and gives the result, whatever the guests did. The error is for
// what is not the pack's doing: a fault of our own side, a *limits.WallError, an
// *InputError, or ErrInterrupted with the cause of ctx; and for a way that was
// asked for and is not possible, a *pack.Error. The result is nil then.
//
// The lifecycle:
//
//   - Steps run one after the other in the order of the blueprint. One that the
//     pack does not have is left out, with a diagnostic.
//   - A step has failed when its verdict is not ok, when it says "ok": false, or
//     when it reports an error (its own diagnostics, or the host's on its
//     behalf). A failed step ends the run: what comes after would work on answers
//     that were found wrong, or summarise what did not happen.
//   - A failed step adds nothing to the plan. What its response asked for stays
//     visible in its step result; the record of its host calls is dropped.
//   - A step that succeeds adds what its host calls did, in the order of the
//     calls, then the plan part of its response, which it gave later and which
//     therefore wins where both write one key.
//
// Secrets known to the run are taken out of what a step is told about the steps
// before it, and out of the result; the step's own inputs hold the answers as
// they are. Where that hides a part of the plan from its reviewer, a diagnostic
// says so (hidden).
func Run(ctx context.Context, cfg Config) (*Result, error) {
	if ctx.Err() != nil {
		return nil, interrupted(ctx)
	}
	in, err := checkInputs(cfg.Inputs)
	if err != nil {
		return nil, err
	}
	cfg.Inputs = in
	bp := cfg.Blueprint
	r := &run{
		Config:    cfg,
		outcome:   Outcome{Secrets: map[string][]byte{}, State: map[string][]byte{}},
		operators: cfg.Host.Secrets(),
		result: &Result{
			Plan:    plan.New(),
			Mode:    modeOfRun(cfg.Applies),
			Verdict: limits.OK,
			Pack: PackIdentity{
				ID: bp.Manifest.ID, Version: bp.Manifest.Version, Digest: bp.Digest, Form: bp.Form,
				Generation: bp.Manifest.Generation, Entry: bp.Entry, Flow: bp.Flow.ID,
				Unverified: bp.Integrity != nil && !bp.Integrity.OK(),
			},
			Inputs: InputsIdentity{
				Tenant: in.Tenant, ProviderID: in.ProviderID, InstallID: in.InstallID, PublicBaseURL: in.PublicBaseURL,
			},
			Diagnostics: []plan.Diagnostic{},
			StepResults: []StepResult{},
			Effects:     []plan.Effect{},
			answers:     in.Answers,
		},
	}
	for _, doc := range r.unclassified() {
		r.operators = append(r.operators, plan.SecretValues(doc)...)
	}
	for _, d := range bp.Findings {
		r.report(d) // what the pack says of itself can know no secret
	}
	if err := r.run(ctx); err != nil {
		return nil, err
	}
	if cfg.Receipt != nil {
		r.result.Walls = cfg.Receipt()
		r.result.Volatile.Walls = r.result.Walls.Seen
	}
	if r.result.Walls.Walls == nil {
		r.result.Walls.Walls = []limits.Wall{}
	}
	s := r.scrubber()
	r.outcome.Plan, r.outcome.Effects, r.outcome.Scrubber = r.result.Plan, r.result.Effects, s
	r.result.outcome = r.outcome
	r.result.Inputs.State = stateRef(in.ExistingState, cfg.Revision, s)
	for _, d := range hidden(r.result.Plan, s, plan.NewScrubber(r.operators...)) {
		r.report(d)
	}
	r.result.scrub(s)
	r.result.ExitCode = ExitCode(r.result, nil)
	return r.result, nil
}

func modeOfRun(applies bool) plan.Mode {
	if applies {
		return plan.Applying
	}
	return plan.DryRun
}

// interrupted says why ctx ended.
func interrupted(ctx context.Context) error {
	return fmt.Errorf("%w: %w", ErrInterrupted, context.Cause(ctx))
}

// run is a run under way.
type run struct {
	Config
	result   *Result
	outcome  Outcome
	previous []previous
	// operators are secrets that the operator knows, guests those that the pack
	// declared. What steps declared in host calls is the host's to know.
	operators, guests []string
	examined          map[int]Examined // by component
	made              *plan.Scrubber   // for the secrets of
	madeFor           []string
}

// scrubber knows every secret seen so far. It is kept until there are others: a
// guest may declare tens of thousands, and then one takes a second to make.
func (r *run) scrubber() *plan.Scrubber {
	secrets := slices.Concat(r.Host.Secrets(), r.operators, r.guests)
	if r.made == nil || !slices.Equal(secrets, r.madeFor) {
		r.made, r.madeFor = plan.NewScrubber(secrets...), secrets
	}
	return r.made
}

// unclassified gives the inputs of which nobody has said yet what in them is secret:
// the answers, and a state that is not a store's. In a store's, the name of a value
// says nothing: "auth_token_secret" may hold the name of a secret, was shown in the
// plan that stored it, and has to be shown in the next.
func (r *run) unclassified() []json.RawMessage {
	if r.Revision > 0 {
		return []json.RawMessage{r.Inputs.Answers}
	}
	return []json.RawMessage{r.Inputs.Answers, r.Inputs.ExistingState}
}

// learn makes what the operator gave known as secret where the pack says that it
// is, wherever it stands in answers and state. The rule of names, and the section
// secrets, count without a pack's word.
func (r *run) learn(c *qa.Classifier) {
	for _, doc := range r.unclassified() {
		r.operators = append(r.operators, secretsIn(plan.Tree(doc), "", c)...)
	}
}

// secretsIn gives the values of secret fields. A field is known by its name, or by
// its path or the end of it: answers may lie in sections, and those in a provider's.
func secretsIn(v any, path string, c *qa.Classifier) []string {
	var values []string
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			values = append(values, secretsIn(e, path, c)...)
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			at := strings.TrimPrefix(path+"."+name, ".")
			secret := c.IsSecret(name)
			for end, more := at, true; more && !secret; _, end, more = strings.Cut(end, ".") {
				secret = c.IsSecret(end)
			}
			if secret {
				values = append(values, plan.Values(raw(v[name]))...)
			} else {
				values = append(values, secretsIn(v[name], at, c)...)
			}
		}
	}
	return values
}

// scrubQuoted scrubs a sentence of ours that quotes what others said and has cut
// it, which an ellipsis shows: what stands before one may be the beginning of a
// secret.
func (r *run) scrubQuoted(text string) string {
	s := r.scrubber()
	parts := strings.Split(s.Scrub(text), "…")
	for i := range parts[:len(parts)-1] {
		cut, quoted := strings.CutSuffix(parts[i], `"`)
		if parts[i] = s.ScrubCut(cut); quoted {
			parts[i] += `"`
		}
	}
	return strings.Join(parts, "…")
}

// report adds a diagnostic of our own.
func (r *run) report(d plan.Diagnostic) {
	d.Own = true
	r.result.Diagnostics = append(r.result.Diagnostics, d)
}

func (r *run) tell(e Event) {
	if r.Progress != nil {
		r.Progress(e)
	}
}

// run chooses the way and goes it.
func (r *run) run(ctx context.Context) error {
	bp := r.Blueprint
	if bp.Nothing {
		r.report(plan.Diagnostic{Severity: plan.Info, Code: "NOTHING_TO_PROVISION",
			Message: "the pack declares that it needs no provisioning"})
		return nil
	}
	if url := r.Inputs.PublicBaseURL; bp.Manifest.RequiresPublicBaseURL && bp.Entry != pack.EntryRequirements && (url == nil || *url == "") {
		r.report(plan.Diagnostic{Severity: plan.Error, Code: "PUBLIC_BASE_URL_REQUIRED",
			Message: "the pack needs the address under which it will be reached, and none was given; no step ran",
			Hint:    "give it with --public-base-url https://…"})
		return nil
	}
	chosen, err := Choose(ctx, bp, r.Runner, r.Via, r.Contract)
	switch {
	case ctx.Err() != nil:
		return interrupted(ctx)
	case err != nil:
		return err
	}
	// Compiling and loading is done: from here on, the run's time counts.
	if r.Limits.RunTime > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, r.Limits.RunTime, errRunTime)
		defer cancel()
	}
	r.examined = chosen.Examined
	r.result.Pack.Via, r.result.Pack.Why = chosen.Way.Via, chosen.Why
	setup, _ := r.setup()
	requirements, _ := r.secretRequirements()
	r.learn(qa.NewClassifier(setup, nil, requirements))
	switch chosen.Way.Via {
	case pack.ViaSteps, pack.ViaComponent:
		return r.steps(ctx, chosen)
	case pack.ViaQA:
		return r.questions(ctx, chosen)
	case pack.ViaFlow:
		return r.graph(ctx, chosen)
	}
	return r.declared(ctx, chosen)
}

// reportRest says which steps did not run because of one that failed.
func (r *run) reportRest(failed plan.Step, rest []plan.Step) {
	if len(rest) == 0 {
		return
	}
	names := make([]string, len(rest))
	for i, s := range rest {
		names[i] = string(s)
	}
	r.report(plan.Diagnostic{Severity: plan.Info, Code: "STEPS_NOT_RUN",
		Message: fmt.Sprintf("not run because of the %s step: %s", failed, strings.Join(names, ", "))})
}

// stage is a step under way: its result so far, and what its host calls would do
// once it has succeeded.
type stage struct {
	StepResult
	component int // that it asks, or -1
	asked     int // actions so far
	host      []hostRecord
	lifecycle bool // what it says is told to the steps after it
}

type hostRecord struct {
	patch   plan.Patch
	effects []plan.Effect
}

// begin starts a step. component is the index of the one that it asks, or -1.
func (r *run) begin(step plan.Step, component int) (*stage, error) {
	st := &stage{component: component, lifecycle: true, StepResult: StepResult{
		Step: step, Verdict: limits.OK, Observer: limits.BySupervisor,
		Output: StepOutput{Diagnostics: []plan.Diagnostic{}},
		Logs:   []LogLine{},
	}}
	if component >= len(r.Blueprint.Components) {
		return nil, fmt.Errorf("the blueprint's %s step refers to component %d of %d", step, component, len(r.Blueprint.Components))
	}
	if component >= 0 {
		c := r.Blueprint.Components[component]
		st.Component = ComponentRef{Path: c.Path, SHA256: c.SHA256, Layer: string(c.Layer)}
		if c.Text {
			st.Component.Layer = "text"
		}
	}
	r.tell(Event{Kind: StepStarted, Step: step, Component: st.Component.Path})
	return st, nil
}

// ask does one action of the step's component. The response is nil when that did
// not end well; the stage then says why. The error is for what Run's error is for.
func (r *run) ask(ctx context.Context, st *stage, action contract.Action, request any) ([]byte, error) {
	if e := r.examined[st.component]; e.Verdict == limits.OK {
		if why := lacks(e, action); why != "" {
			st.Verdict = limits.ContractMismatch
			st.report(r.stopped(st.StepResult, Reply{Detail: why}))
			return nil, nil
		}
	}
	req, err := plan.Canonical(request)
	if err != nil {
		return nil, fmt.Errorf("the request of the %s step: %w", st.Step, err)
	}
	if size := len(req); limits.Bytes(size) > r.Limits.StepInput {
		if len(r.previous) == 0 && st.asked == 0 && st.Node == "" {
			return nil, tooLarge(size, r.Limits.StepInput)
		}
		// What earlier steps said is in there as well, and that is the pack's doing.
		st.Verdict = limits.OutputLimit
		st.report(plan.Diagnostic{Severity: plan.Error, Code: "INPUT_TOO_LARGE", Path: st.Component.Path,
			Message: fmt.Sprintf("the request for the %s step has %d bytes with the output of the steps before it, over the limit of %s (--max-step-input)", st.Step, size, r.Limits.StepInput),
			Hint:    "have the steps before it answer less, or raise --max-step-input"})
		return nil, nil
	}
	seed, err := r.seed(st)
	if err != nil {
		return nil, fmt.Errorf("the seed of the %s step: %w", st.Step, err)
	}
	st.asked++

	r.Host.BeginStep(st.Step)
	reply, err := r.Runner.RunStep(ctx, Call{Step: st.Step, Action: action, Component: st.component, Request: req, Seed: seed})
	hostPatch, hostEffects, hostDiagnostics := r.Host.EndStep()
	outOfTime := errors.Is(context.Cause(ctx), errRunTime)
	switch {
	case ctx.Err() != nil && !outOfTime:
		// Also when the runner made a verdict of it: a step that was killed because
		// the operator gave up did nothing wrong.
		return nil, interrupted(ctx)
	case err != nil && outOfTime:
		reply = Reply{Verdict: limits.Deadline, Observer: limits.BySupervisor}
	case err != nil:
		return nil, err
	}
	st.take(r, reply)
	r.result.Volatile.Steps = append(r.result.Volatile.Steps, StepTiming{st.Step, st.Node, reply.Timing})
	st.Output.Diagnostics = append(st.Output.Diagnostics, hostDiagnostics...)
	switch {
	case st.Verdict == limits.Deadline && outOfTime:
		st.report(r.runTimeUsedUp(st.StepResult))
	case st.Verdict != limits.OK:
		st.report(r.stopped(st.StepResult, reply))
	case limits.Bytes(len(reply.Response)) > r.Limits.StepOutput:
		// The runner enforces this where the bytes arrive; a second look is cheap.
		st.Verdict, st.Observer = limits.OutputLimit, limits.BySupervisor
		st.report(r.stopped(st.StepResult, Reply{Detail: fmt.Sprintf("the response has %d bytes", len(reply.Response))}))
	default:
		st.host = append(st.host, hostRecord{hostPatch, hostEffects})
		return append([]byte{}, reply.Response...), nil // an empty answer is an answer
	}
	return nil, nil
}

// seed makes the randomness of the step's next call.
func (r *run) seed(st *stage) ([32]byte, error) {
	if r.Applies {
		var fresh [32]byte
		_, err := rand.Read(fresh[:])
		return fresh, err
	}
	return seed(r.Blueprint.Digest, r.Inputs, st.Step, st.Node, st.asked)
}

// take puts a reply into the step's result.
func (st *stage) take(r *run, reply Reply) {
	if !slices.Contains(limits.Verdicts, reply.Verdict) {
		reply = Reply{Verdict: limits.HostFault, Detail: fmt.Sprintf("the runner gave the unknown verdict %q", reply.Verdict)}
	}
	if reply.Observer == "" {
		reply.Observer = limits.BySupervisor
	}
	st.Verdict, st.Observer, st.Contract = reply.Verdict, reply.Observer, reply.Contract
	u := &st.Usage
	u.InputBytes += reply.Usage.InputBytes
	u.OutputBytes += reply.Usage.OutputBytes
	u.HostCalls += reply.Usage.HostCalls
	u.LogBytes += reply.Usage.LogBytes
	u.LogDropped += reply.Usage.LogDropped
	st.Logs = append(st.Logs, r.boundLogs(reply.Logs, u)...)
}

// read takes a step's response, nil where there is none. It gives what was read.
func (r *run) read(st *stage, response []byte) plan.Response {
	if response == nil {
		return plan.Response{}
	}
	resp, err := plan.DecodeResponse(response)
	if err != nil {
		st.Verdict, st.Observer = limits.GuestError, limits.BySupervisor
		st.report(r.malformed(st.StepResult, err))
		return plan.Response{}
	}
	r.guests = append(r.guests, resp.SecretValues()...)
	r.operators = append(r.operators, passwordAnswers(resp.Questions, r.Inputs.Answers)...)
	st.Output.Data, st.Output.Questions, st.Output.PlanPatch = resp.Data, resp.Questions, resp.Patch
	st.Output.Diagnostics = append(st.Output.Diagnostics, resp.Diagnostics...)
	if len(resp.Misspelt) > 0 {
		st.report(misspelt(st.StepResult, resp.Misspelt))
	}
	if resp.Failed {
		st.Verdict, st.Observer = limits.GuestError, limits.ByWorker
		if !plan.HasErrors(resp.Diagnostics) {
			st.report(r.refused(st.StepResult, resp.Message))
		}
	}
	return resp
}

// end takes a step's outcome into the result, and into the plan when it succeeded,
// which is also what it says.
func (r *run) end(st *stage, resp plan.Response) (succeeded bool) {
	r.record(st)
	if r.result.Verdict == limits.OK {
		r.result.Verdict = st.Verdict
	}
	if st.failed() {
		return false
	}
	for _, h := range st.host {
		r.mergeHost(st.Step, h.patch, h.effects)
	}
	if resp.Patch != nil {
		r.result.Effects = append(r.result.Effects, r.result.Plan.Merge(st.Step, *resp.Patch)...)
		for k, v := range resp.Secrets {
			r.outcome.Secrets[k] = []byte(v)
		}
		r.Host.Merged(*resp.Patch, resp.Secrets)
	}
	if st.lifecycle {
		r.previous = append(r.previous, previous{st.Step, st.Output})
	}
	return true
}

// record takes a step's outcome into the result and nowhere else.
func (r *run) record(st *stage) {
	r.result.StepResults = append(r.result.StepResults, st.StepResult)
	r.result.Diagnostics = append(r.result.Diagnostics, st.Output.Diagnostics...)
	r.tell(Event{Kind: StepEnded, Step: st.Step, Component: st.Component.Path, Verdict: st.Verdict})
}

// failed says whether the step ends the run.
func (st *stage) failed() bool {
	return st.Verdict != limits.OK || plan.HasErrors(st.Output.Diagnostics)
}

// report adds a diagnostic of our own.
func (sr *StepResult) report(d plan.Diagnostic) {
	d.Own = true
	sr.Output.Diagnostics = append(sr.Output.Diagnostics, d)
}

// scrubbedPrevious gives what the steps before said, without the secrets known by
// now.
func (r *run) scrubbedPrevious() []previous {
	list := make([]previous, len(r.previous))
	if len(list) == 0 {
		return list
	}
	s := r.scrubber()
	for i, p := range r.previous {
		list[i] = previous{p.Step, scrubOutput(s, p.Output)}
	}
	return list
}

// mergeHost adds what host calls did. The host numbers operations from the start
// of the step; in the plan they come after those of earlier steps.
func (r *run) mergeHost(step plan.Step, patch plan.Patch, effects []plan.Effect) {
	p := &r.result.Plan
	base := map[string]int{
		"webhook_ops": len(p.WebhookOps), "subscription_ops": len(p.SubscriptionOps), "oauth_ops": len(p.OAuthOps), "notes": len(p.Notes),
	}
	if w := patch.Written; w != nil {
		maps.Copy(r.outcome.Secrets, w.Secrets)
		maps.Copy(r.outcome.State, w.State)
	}
	p.Merge(step, patch) // the host's effects say more than Merge's: which operation it was
	for _, e := range effects {
		if list, index, ok := strings.Cut(strings.TrimSuffix(e.Target, "]"), "["); ok {
			n, err := strconv.Atoi(index)
			if start, known := base[list]; known && err == nil {
				e.Target = fmt.Sprintf("%s[%d]", list, start+n)
			}
		}
		r.result.Effects = append(r.result.Effects, e)
	}
}

// boundLogs keeps what the log limit allows and counts the rest. The runner
// keeps the limit already; this holds for any runner.
func (r *run) boundLogs(lines []LogLine, usage *limits.Usage) []LogLine {
	kept, size := []LogLine{}, limits.Bytes(0)
	for _, l := range lines {
		if size += limits.Bytes(len(l.Text)); size > r.Limits.Log {
			usage.LogDropped += uint64(len(l.Text))
			continue
		}
		kept = append(kept, l)
	}
	return kept
}

// raw gives a JSON value of our own making.
func raw(v any) json.RawMessage {
	b, err := plan.Canonical(v)
	if err != nil {
		panic("engine: " + err.Error()) // v is built here, from plain types
	}
	return b
}
