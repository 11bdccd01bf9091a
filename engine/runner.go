// Package engine is the lifecycle: collect, validate, apply, summary. It builds
// each step's request, reads its response strictly, merges patches and recorded
// effects into one plan, and decides when to stop. How a step is run is not its
// concern: it declares StepRunner and Host, and the command line plugs the
// supervisor and the capability overlay in.
package engine

import (
	"context"

	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/plan"
)

// StepRunner runs one step somewhere safe. The error is for faults of our own
// side (exit 1) and for walls that could not be raised (*limits.WallError);
// everything the guest or its worker did is in the Reply.
type StepRunner interface {
	RunStep(ctx context.Context, call Call) (Reply, error)
}

// Call is one step to run.
type Call struct {
	Step      plan.Step
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
