package engine

import (
	"context"
	"errors"

	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
)

// The exit codes of the program.
const (
	ExitOK          = 0   // a complete plan, no error diagnostics
	ExitFault       = 1   // our side broke
	ExitUsage       = 2   // flags, unreadable files, malformed or too large answers
	ExitPack        = 3   // the pack is malformed, unsafe or not what it says of itself, or cannot be run
	ExitDiagnostics = 4   // errors: the pack's steps reported them, or its plan cannot be reviewed
	ExitStopped     = 5   // a step was stopped
	ExitIsolation   = 6   // a wall could not be raised
	ExitInterrupted = 130 // as shells say it: 128 + SIGINT
)

// ExitCode is the one place that turns the end of a run into an exit code. err
// comes from Run, or from what precedes it (pack.Open, the supervisor); res is
// looked at when err is nil.
//
//	error                             code
//	*InputError                       2
//	*pack.Error                       3
//	*limits.WallError                 6
//	ErrInterrupted, context.Canceled  130
//	any other                         1
//
//	verdict of the result             code
//	ok                                4 with error diagnostics, else 0
//	guest_error                       4: the step ran to its end and said no
//	contract_mismatch                 3: the pack's step cannot be run, no guest code ran
//	host_fault                        1
//	any other                         5
func ExitCode(res *Result, err error) int {
	if err == nil && res == nil {
		return ExitFault
	}
	_, input := errors.AsType[*InputError](err)
	_, refused := errors.AsType[*pack.Error](err)
	_, wall := errors.AsType[*limits.WallError](err)
	switch {
	case errors.Is(err, ErrInterrupted), errors.Is(err, context.Canceled):
		return ExitInterrupted
	case wall:
		return ExitIsolation
	case refused:
		return ExitPack
	case input:
		return ExitUsage
	case err != nil:
		return ExitFault
	case res.Verdict == limits.HostFault:
		return ExitFault
	case res.Verdict == limits.ContractMismatch:
		return ExitPack
	case res.Verdict != limits.OK && res.Verdict != limits.GuestError:
		return ExitStopped
	case res.Verdict == limits.GuestError, plan.HasErrors(res.Diagnostics):
		return ExitDiagnostics
	}
	return ExitOK
}
