package engine

import (
	"context"

	"github.com/greentic-ai/greentic-provision/contract"
	"github.com/greentic-ai/greentic-provision/limits"
)

// Noop is a StepRunner that runs nothing: every component runs steps, does operations,
// and answers with an empty object. It is for checking a pack and a set of inputs
// without a sandbox.
var Noop StepRunner = noop{}

type noop struct{}

// noopContract is what Noop gives as the contract of a step.
const noopContract = "noop"

// Examine says that the component runs steps and does operations.
func (noop) Examine(context.Context, int, string) (Examined, error) {
	return Examined{
		Reply:     Reply{Verdict: limits.OK},
		Contracts: []Spoken{{Name: noopContract, Actions: []contract.Action{contract.ActStep, contract.ActInvoke}}},
	}, nil
}

// RunStep answers {}.
func (noop) RunStep(ctx context.Context, call Call) (Reply, error) {
	if err := ctx.Err(); err != nil {
		return Reply{}, context.Cause(ctx)
	}
	response := []byte("{}")
	return Reply{
		Verdict: limits.OK, Observer: limits.BySupervisor, Contract: noopContract, Response: response,
		Usage: limits.Usage{InputBytes: uint64(len(call.Request)), OutputBytes: uint64(len(response))},
	}, nil
}
