package engine

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/plan"
)

// limitFlag is a limit that may have stopped a step, and the flag that raises it.
type limitFlag struct {
	Flag  string `json:"flag"`
	Value string `json:"value"`
}

// ending says how a verdict is told to people.
type ending struct {
	code string
	what string // "the apply step (path) …"
	hint string
	// limits gives the limits in question.
	limits func(limits.Limits) []limitFlag
}

const guestHint = "check what the step says against the answers, then ask the pack's author"

// endings has every verdict but ok; a test compares it with limits.Verdicts.
var endings = map[limits.Verdict]ending{
	limits.GuestError: {
		// Also for a response that could not be read from it: only the text says which.
		code: "STEP_GUEST_ERROR", what: "failed",
		hint: guestHint,
	},
	limits.Trap: {
		code: "STEP_TRAP", what: "crashed (trapped)",
		hint: "this is a fault of the pack's code; report it to the pack's author",
	},
	limits.Deadline: {
		code: "STEP_DEADLINE", what: "used up its time",
		hint: "raise --step-timeout if the step is known to be slow",
		limits: func(l limits.Limits) []limitFlag {
			return []limitFlag{{"--step-timeout", l.StepTime.String()}}
		},
	},
	limits.MemoryLimit: {
		code: "STEP_MEMORY_LIMIT", what: "used up its memory",
		hint: "raise --max-guest-memory if the step is known to need more",
		limits: func(l limits.Limits) []limitFlag {
			return []limitFlag{{"--max-guest-memory", l.GuestMemory.String()}, {"--max-worker-data", l.Data().String()}}
		},
	},
	limits.OutputLimit: {
		code: "STEP_OUTPUT_LIMIT", what: "gave a response that is too large",
		hint: "raise --max-step-output if the response is known to be large",
		limits: func(l limits.Limits) []limitFlag {
			return []limitFlag{{"--max-step-output", l.StepOutput.String()}}
		},
	},
	limits.HostcallLimit: {
		code: "STEP_HOSTCALL_LIMIT", what: "made too many or too large host calls",
		hint: "raise --max-host-calls or --max-host-call-bytes if the step is known to need more",
		limits: func(l limits.Limits) []limitFlag {
			return []limitFlag{{"--max-host-calls", fmt.Sprint(l.HostCalls)}, {"--max-host-call-bytes", l.HostCallBytes.String()}}
		},
	},
	limits.ForbiddenSyscall: {
		code: "STEP_FORBIDDEN_SYSCALL", what: "was stopped at a forbidden system call of its worker",
		hint: "no honest step gets there: treat the pack as hostile and report it",
	},
	limits.WorkerCrash: {
		code: "WORKER_CRASH", what: "brought its worker process down",
		hint: "the sandbox held; run it again, and report the pack if it happens every time",
	},
	limits.ProtocolViolation: {
		code: "PROTOCOL_VIOLATION", what: "was stopped because its worker broke the protocol",
		hint: "the sandbox held; treat the pack as hostile unless the worker is of another build",
	},
	limits.CompileFailed: {
		code: "COMPILE_FAILED", what: "could not be compiled",
		hint: "if the code is valid but large, raise --compile-timeout or --max-compile-memory",
		limits: func(l limits.Limits) []limitFlag {
			return []limitFlag{{"--compile-timeout", l.CompileTime.String()}, {"--max-compile-memory", l.CompileMemory.String()}}
		},
	},
	limits.ContractMismatch: {
		code: "CONTRACT_MISMATCH", what: "does not speak the contract that is needed, or imports what nobody offers",
		hint: "docs/contract.md says what a step exports and may import",
	},
	limits.HostFault: {
		code: "HOST_FAULT", what: "could not be run because of a fault of this program",
		hint: "this is not the pack's fault; please report it with the output of greentic-provision version",
	},
}

// notStarted has the verdicts that are told in other words when the step had not
// begun: no limit of the step was in force, and none of its code ran.
var notStarted = map[limits.Verdict]ending{
	limits.Deadline: {
		code: "WORKER_DEADLINE", what: "was not started, because its worker was not ready in time",
		hint: "if the machine is busy, raise --start-timeout",
		limits: func(l limits.Limits) []limitFlag {
			return []limitFlag{{"--start-timeout", l.StartTime.String()}}
		},
	},
	limits.MemoryLimit: {
		code: "WORKER_MEMORY_LIMIT", what: "was not started, because its worker had no memory for its code",
		hint: "raise --max-worker-data",
		limits: func(l limits.Limits) []limitFlag {
			return []limitFlag{{"--max-worker-data", l.Data().String()}}
		},
	},
	limits.WorkerCrash: {
		code: "WORKER_CRASH", what: "was not started, because its worker died",
		hint: "run it again; if it happens every time, report it with the output of greentic-provision version",
	},
}

// where names a step and what ran in it, for people.
func where(sr StepResult) string {
	switch {
	case sr.Node != "":
		return fmt.Sprintf("the %s step (node %s, operation %s of %s)", sr.Step, hostile.Clip(sr.Node, maxName), hostile.Clip(cmp.Or(sr.Operation, "none"), maxName), hostile.Clip(sr.Component.Path, maxName))
	case sr.Component.Path == "":
		return fmt.Sprintf("the %s step", sr.Step)
	}
	return fmt.Sprintf("the %s step (%s)", sr.Step, sr.Component.Path)
}

// A diagnostic of our own is scrubbed where it is made, and there only what others
// said; it ends the run, so no secret will become known later.

// stopped explains a verdict.
func (r *run) stopped(sr StepResult, reply Reply) plan.Diagnostic {
	e := endings[sr.Verdict]
	if late, ok := notStarted[sr.Verdict]; ok && reply.NotStarted {
		e = late
	}
	data := facts(sr)
	var msg strings.Builder
	fmt.Fprintf(&msg, "%s %s", where(sr), e.what)
	if reply.Signal != "" {
		signal := hostile.Clip(r.scrubber().Scrub(reply.Signal), 64)
		fmt.Fprintf(&msg, ", by %s", signal)
		data["signal"] = signal
	}
	if len(reply.Facts) > 0 {
		list := make([]limits.Fact, 0, len(reply.Facts))
		for _, f := range reply.Facts {
			f.Value = scrubLine(r.scrubber(), hostile.Clip(f.Value, maxName), maxName)
			list = append(list, f)
		}
		data["facts"] = list
	}
	if e.limits != nil {
		ls := e.limits(r.Limits)
		var parts []string
		for _, l := range ls {
			parts = append(parts, l.Flag+" "+l.Value)
		}
		fmt.Fprintf(&msg, "; in force: %s", strings.Join(parts, ", "))
		data["limits"] = ls
	}
	if reply.Detail != "" {
		msg.WriteString(": " + scrubLine(r.scrubber(), hostile.Clip(reply.Detail, maxDetail), maxDetail))
	}
	return plan.Diagnostic{Severity: plan.Error, Code: e.code, Message: msg.String(), Path: sr.Component.Path, Hint: e.hint, Data: raw(data)}
}

func facts(sr StepResult) map[string]any {
	f := map[string]any{"step": sr.Step, "verdict": sr.Verdict, "observer": sr.Observer}
	if sr.Node != "" {
		f["node"], f["operation"] = hostile.Clip(sr.Node, maxName), hostile.Clip(sr.Operation, maxName)
	}
	return f
}

// runTimeUsedUp explains a step that was stopped because the run as a whole took
// too long.
func (r *run) runTimeUsedUp(sr StepResult) plan.Diagnostic {
	data := facts(sr)
	data["limits"] = []limitFlag{{"--run-timeout", r.Limits.RunTime.String()}}
	return plan.Diagnostic{Severity: plan.Error, Code: "RUN_DEADLINE", Path: sr.Component.Path,
		Message: fmt.Sprintf("%s was stopped because the run used up its time; in force: --run-timeout %s", where(sr), r.Limits.RunTime),
		Hint:    "raise --run-timeout if the steps are known to be slow together",
		Data:    raw(data)}
}

// malformed explains a response that DecodeResponse refused.
func (r *run) malformed(sr StepResult, err error) plan.Diagnostic {
	data := facts(sr)
	if j, ok := errors.AsType[*plan.JSONError](err); ok {
		err = &plan.JSONError{Path: r.scrubber().Path(j.Path), Reason: j.Reason}
		data["pointer"] = r.scrubber().Path(j.Path)
	}
	return plan.Diagnostic{Severity: plan.Error, Code: "STEP_RESPONSE_MALFORMED", Path: sr.Component.Path,
		Message: fmt.Sprintf("%s gave a malformed response: %s", where(sr), err),
		Hint:    "this is a fault of the pack's code; docs/contract.md says what a response looks like",
		Data:    raw(data)}
}

// refused explains a step that said "ok": false without an error of its own.
func (r *run) refused(sr StepResult, message string) plan.Diagnostic {
	reason := "it gave no reason"
	if message != "" {
		reason = hostile.Clip(r.scrubber().Scrub(message), maxMessage)
	}
	return plan.Diagnostic{Severity: plan.Error, Code: "STEP_FAILED", Path: sr.Component.Path,
		Message: fmt.Sprintf("%s says that it failed: %s", where(sr), reason),
		Hint:    guestHint,
		Data:    raw(facts(sr))}
}

// misspelt points at data that was perhaps meant to be more. Their names hold
// nothing but those of the contract.
func misspelt(sr StepResult, names []string) plan.Diagnostic {
	const most = 10
	more := ""
	if len(names) > most {
		names, more = names[:most], ", …"
	}
	return plan.Diagnostic{Severity: plan.Info, Code: "RESPONSE_MEMBER_UNKNOWN", Path: sr.Component.Path,
		Message: fmt.Sprintf("the response of the %s step has members that look misspelt and were taken for data: %s%s", sr.Step, strings.Join(names, ", "), more),
		Hint:    "docs/contract.md has the names of the members that mean something"}
}
