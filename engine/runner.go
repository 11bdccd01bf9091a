// Package engine is the lifecycle: collect, validate, apply, summary. It chooses
// the way in which a pack is run, builds each request, reads each response
// strictly, merges patches and recorded effects into one plan, and decides when
// to stop. How a component is run is not its concern: it declares StepRunner and
// Host, and the command line plugs the supervisor and the capability overlay in.
//
//	way.go     which way a pack is run
//	run.go     the run, its stages, what they share
//	steps.go   ways "steps" and "component": a request for each step
//	qa.go      way "qa": the lifecycle over a component's questions
//	graph.go   way "flow": the lifecycle over a flow graph
package engine

import (
	"context"
	"slices"

	"github.com/greentic-ai/greentic-provision/contract"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/plan"
)

// StepRunner runs components somewhere safe. An error is for faults of our own
// side (exit 1) and for walls that could not be raised (*limits.WallError);
// everything a guest or its worker did is in the Reply.
type StepRunner interface {
	// Examine says what a component is, by its index in Blueprint.Components,
	// without running any of it. name, when not empty, is the only contract that
	// counts. No component can be examined for the first time after RunStep.
	Examine(ctx context.Context, component int, name string) (Examined, error)
	// RunStep does one action of a component that was examined and does it.
	RunStep(ctx context.Context, call Call) (Reply, error)
}

// Examined is what a component is by its own types. When the verdict of the Reply
// is not ok, the component cannot be run, and the Reply says why.
type Examined struct {
	Reply
	Contracts []Spoken // best first
	Imports   []string
	Exports   []string
}

// Spoken is a contract that a component speaks.
type Spoken struct {
	Name    string            `json:"name"`
	Actions []contract.Action `json:"actions"`
}

// Does gives the name of the contract by which an action is done.
func (e Examined) Does(action contract.Action) (name string, ok bool) {
	for _, c := range e.Contracts {
		if slices.Contains(c.Actions, action) {
			return c.Name, true
		}
	}
	return "", false
}

// Call is one action to do, on behalf of a step.
type Call struct {
	Step      plan.Step
	Action    contract.Action
	Component int // index into Blueprint.Components
	Request   []byte
	Seed      [32]byte
}

// Reply is how a step ended. Response is what the guest returned, unread, when
// Verdict is OK. Detail is hostile text of at most maxDetail bytes, cut there.
type Reply struct {
	Verdict  limits.Verdict
	Observer limits.Observer
	Response []byte
	Detail   string
	Signal   string // e.g. "SIGKILL", when a signal ended the worker
	// Facts are what the verdict was made of, the strongest first. None for ok.
	Facts []limits.Fact
	// NotStarted says that it ended before the step was sent to a worker: while a
	// worker was made ready, or code was compiled or loaded.
	NotStarted bool
	Contract   string
	Usage      limits.Usage
	Logs       []LogLine
	Timing     Timing
}

// LogLine is a line the guest logged; hostile text.
type LogLine struct {
	Level string `json:"level"`
	Text  string `json:"text"`
}

// Timing is volatile: it never enters the canonical result.
type Timing struct {
	WallNS int64
}

// Host is the capability side of a run, as far as the lifecycle sees it.
type Host interface {
	// BeginStep starts the recording of a step.
	BeginStep(step plan.Step)
	// EndStep gives what the step's host calls would do, as a patch with the
	// effects it came from, and diagnostics such as refused capabilities.
	EndStep() (plan.Patch, []plan.Effect, []plan.Diagnostic)
	// Merged tells what a step that succeeded returned: its patch, and the plaintext
	// of the secrets in it. Later steps read it.
	Merged(patch plan.Patch, secrets map[string]string)
	// Secrets gives every secret value seen so far, for scrubbing. Before the first
	// step these are the operator's.
	Secrets() []string
}
