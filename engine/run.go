package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
)

// Config is one run.
type Config struct {
	Blueprint *pack.Blueprint
	Inputs    plan.Inputs
	Runner    StepRunner
	Host      Host
	Limits    limits.Limits
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

// Run runs the steps of a pack and gives the result, whatever the guests did.
// The error is for what is not the pack's doing: a fault of our own side, a
// *limits.WallError, an *InputError, or ErrInterrupted with the cause of ctx. The
// result is nil then.
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
	if err := ctx.Err(); err != nil {
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
		operators: slices.Concat(cfg.Host.Secrets(), plan.SecretValues(in.Answers), plan.SecretValues(in.ExistingState)),
		result: &Result{
			Plan:    plan.New(),
			Mode:    plan.DryRun,
			Verdict: limits.OK,
			Pack: PackIdentity{
				ID: bp.Manifest.ID, Version: bp.Manifest.Version, Digest: bp.Digest, Form: bp.Form,
				Generation: bp.Manifest.Generation, Flow: bp.Setup.ID, Pattern: bp.Pattern,
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
	for _, d := range bp.Findings {
		r.report(d) // what the pack says of itself can know no secret
	}
	if err := r.steps(ctx); err != nil {
		return nil, err
	}
	if cfg.Receipt != nil {
		r.result.Walls = cfg.Receipt()
	}
	if r.result.Walls.Walls == nil {
		r.result.Walls.Walls = []limits.Wall{}
	}
	s := r.scrubber()
	for _, d := range hidden(r.result.Plan, s, plan.NewScrubber(r.operators...)) {
		r.report(d)
	}
	r.result.scrub(s)
	r.result.ExitCode = ExitCode(r.result, nil)
	return r.result, nil
}

// interrupted says why ctx ended.
func interrupted(ctx context.Context) error {
	return fmt.Errorf("%w: %w", ErrInterrupted, context.Cause(ctx))
}

// run is a run under way.
type run struct {
	Config
	result   *Result
	previous []previous
	// operators are secrets that the operator knows, guests those that steps declared
	// in responses. What steps declared in host calls is the host's to know.
	operators, guests []string
}

// scrubber knows every secret seen so far.
func (r *run) scrubber() *plan.Scrubber {
	return plan.NewScrubber(slices.Concat(r.Host.Secrets(), r.operators, r.guests)...)
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

func (r *run) steps(parent context.Context) error {
	bp := r.Blueprint
	if bp.Pattern == pack.PatternNone {
		r.report(plan.Diagnostic{Severity: plan.Info, Code: "NOTHING_TO_PROVISION",
			Message: "the pack declares that it needs no provisioning"})
		return nil
	}
	if url := r.Inputs.PublicBaseURL; bp.Manifest.RequiresPublicBaseURL && (url == nil || *url == "") {
		r.report(plan.Diagnostic{Severity: plan.Error, Code: "PUBLIC_BASE_URL_REQUIRED",
			Message: "the pack needs the address under which it will be reached, and none was given; no step ran",
			Hint:    "give it with --public-base-url https://…"})
		return nil
	}
	ctx := parent
	if r.Limits.RunTime > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(parent, r.Limits.RunTime, errRunTime)
		defer cancel()
	}
	for i, ref := range bp.Steps {
		if ref.Component < 0 {
			r.report(plan.Diagnostic{Severity: plan.Info, Code: "STEP_ABSENT",
				Message: fmt.Sprintf("the pack has no %s step", ref.Step), Hint: ref.Why})
			r.tell(Event{Kind: StepAbsent, Step: ref.Step})
			continue
		}
		if ref.Component >= len(bp.Components) {
			return fmt.Errorf("the blueprint's %s step refers to component %d of %d", ref.Step, ref.Component, len(bp.Components))
		}
		goOn, err := r.step(ctx, parent, ref)
		if err != nil {
			return err
		}
		if !goOn {
			r.reportRest(ref.Step, bp.Steps[i+1:])
			return nil
		}
	}
	return nil
}

// reportRest says which steps did not run because of one that failed.
func (r *run) reportRest(failed plan.Step, rest []pack.StepRef) {
	var names []string
	for _, ref := range rest {
		if ref.Component >= 0 {
			names = append(names, string(ref.Step))
		}
	}
	if len(names) > 0 {
		r.report(plan.Diagnostic{Severity: plan.Info, Code: "STEPS_NOT_RUN",
			Message: fmt.Sprintf("not run because of the %s step: %s", failed, strings.Join(names, ", "))})
	}
}

// step runs one step and takes what it gave into the result. It says whether the
// run goes on.
func (r *run) step(ctx, parent context.Context, ref pack.StepRef) (goOn bool, err error) {
	c := r.Blueprint.Components[ref.Component]
	sr := StepResult{
		Step: ref.Step, Verdict: limits.OK, Observer: limits.BySupervisor,
		Component: ComponentRef{Path: c.Path, SHA256: c.SHA256, Layer: string(c.Layer)},
		Output:    StepOutput{Diagnostics: []plan.Diagnostic{}},
		Logs:      []LogLine{},
	}
	if c.Text {
		sr.Component.Layer = "text"
	}
	r.tell(Event{Kind: StepStarted, Step: ref.Step, Component: c.Path})
	defer func() {
		if err == nil {
			r.tell(Event{Kind: StepEnded, Step: ref.Step, Component: c.Path, Verdict: sr.Verdict})
		}
	}()

	req, err := plan.Canonical(request{
		Contract: RequestContract, Step: ref.Step, Mode: plan.DryRun, Inputs: r.Inputs,
		State: requestState{Answers: r.Inputs.Answers, Previous: r.scrubbedPrevious()},
	})
	if err != nil {
		return false, fmt.Errorf("the request of the %s step: %w", ref.Step, err)
	}
	if size := len(req); limits.Bytes(size) > r.Limits.StepInput {
		if len(r.previous) == 0 {
			return false, tooLarge(size, r.Limits.StepInput)
		}
		// What earlier steps said is in there as well, and that is the pack's doing.
		sr.Verdict = limits.OutputLimit
		sr.report(plan.Diagnostic{Severity: plan.Error, Code: "INPUT_TOO_LARGE", Path: c.Path,
			Message: fmt.Sprintf("the request for the %s step has %d bytes with the output of the steps before it, over the limit of %s (--max-step-input)", ref.Step, size, r.Limits.StepInput),
			Hint:    "have the steps before it answer less, or raise --max-step-input"})
		r.take(sr)
		return false, nil
	}
	seed, err := seed(r.Blueprint.Digest, r.Inputs, ref.Step)
	if err != nil {
		return false, fmt.Errorf("the seed of the %s step: %w", ref.Step, err)
	}

	r.Host.BeginStep(ref.Step)
	reply, err := r.Runner.RunStep(ctx, Call{Step: ref.Step, Component: ref.Component, Request: req, Seed: seed})
	hostPatch, hostEffects, hostDiagnostics := r.Host.EndStep()
	switch {
	case parent.Err() != nil:
		// Also when the runner made a verdict of it: a step that was killed because
		// the operator gave up did nothing wrong.
		return false, interrupted(parent)
	case err != nil && errors.Is(context.Cause(ctx), errRunTime):
		reply = Reply{Verdict: limits.Deadline, Observer: limits.BySupervisor}
	case err != nil:
		return false, err
	}
	if !slices.Contains(limits.Verdicts, reply.Verdict) {
		reply = Reply{Verdict: limits.HostFault, Detail: fmt.Sprintf("the runner gave the unknown verdict %q", reply.Verdict)}
	}
	if reply.Observer == "" {
		reply.Observer = limits.BySupervisor
	}
	sr.Verdict, sr.Observer, sr.Contract, sr.Usage = reply.Verdict, reply.Observer, reply.Contract, reply.Usage
	sr.Logs = r.boundLogs(reply.Logs, &sr.Usage)
	r.result.Volatile.Steps = append(r.result.Volatile.Steps, StepTiming{ref.Step, reply.Timing})
	sr.Output.Diagnostics = append(sr.Output.Diagnostics, hostDiagnostics...)

	var resp plan.Response
	switch {
	case sr.Verdict != limits.OK:
		if errors.Is(context.Cause(ctx), errRunTime) && sr.Verdict == limits.Deadline {
			sr.report(r.runTimeUsedUp(sr))
		} else {
			sr.report(r.stopped(sr, reply))
		}
	case limits.Bytes(len(reply.Response)) > r.Limits.StepOutput:
		// The runner enforces this where the bytes arrive; a second look is cheap.
		sr.Verdict, sr.Observer = limits.OutputLimit, limits.BySupervisor
		sr.report(r.stopped(sr, Reply{Detail: fmt.Sprintf("the response has %d bytes", len(reply.Response))}))
	default:
		if resp, err = plan.DecodeResponse(reply.Response); err != nil {
			sr.Verdict, sr.Observer = limits.GuestError, limits.BySupervisor
			sr.report(r.malformed(sr, err))
			break
		}
		r.guests = append(r.guests, resp.SecretValues()...)
		r.operators = append(r.operators, passwordAnswers(resp.Questions, r.Inputs.Answers)...)
		sr.Output.Data, sr.Output.Questions, sr.Output.PlanPatch = resp.Data, resp.Questions, resp.Patch
		sr.Output.Diagnostics = append(sr.Output.Diagnostics, resp.Diagnostics...)
		if len(resp.Misspelt) > 0 {
			sr.report(misspelt(sr, resp.Misspelt))
		}
		if resp.Failed {
			sr.Verdict, sr.Observer = limits.GuestError, limits.ByWorker
			if !plan.HasErrors(resp.Diagnostics) {
				sr.report(r.refused(sr, resp.Message))
			}
		}
	}
	r.take(sr)
	if sr.Verdict != limits.OK || plan.HasErrors(sr.Output.Diagnostics) {
		return false, nil
	}
	r.mergeHost(ref.Step, hostPatch, hostEffects)
	if resp.Patch != nil {
		r.result.Effects = append(r.result.Effects, r.result.Plan.Merge(ref.Step, *resp.Patch)...)
		r.Host.Merged(*resp.Patch, resp.Secrets)
	}
	r.previous = append(r.previous, previous{ref.Step, sr.Output})
	return true, nil
}

// report adds a diagnostic of our own.
func (sr *StepResult) report(d plan.Diagnostic) {
	d.Own = true
	sr.Output.Diagnostics = append(sr.Output.Diagnostics, d)
}

// take puts a step's outcome into the result.
func (r *run) take(sr StepResult) {
	r.result.StepResults = append(r.result.StepResults, sr)
	r.result.Diagnostics = append(r.result.Diagnostics, sr.Output.Diagnostics...)
	if r.result.Verdict == limits.OK {
		r.result.Verdict = sr.Verdict
	}
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
