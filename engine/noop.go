package engine

import (
	"context"

	"github.com/greentic-ai/greentic-provision/limits"
)

// Noop is a StepRunner that runs nothing: every step answers with an empty
// object. It is for checking a pack and a set of inputs without a sandbox.
var Noop StepRunner = noop{}

type noop struct{}

// NoopContract is what Noop gives as the contract of a step.
const NoopContract = "noop"

// RunStep answers {}.
func (noop) RunStep(ctx context.Context, call Call) (Reply, error) {
	if err := ctx.Err(); err != nil {
		return Reply{}, context.Cause(ctx)
	}
	response := []byte("{}")
	return Reply{
		Verdict: limits.OK, Observer: limits.BySupervisor, Contract: NoopContract, Response: response,
		Usage: limits.Usage{InputBytes: uint64(len(call.Request)), OutputBytes: uint64(len(response))},
	}, nil
}
