package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
)

// verdicts says for each verdict which diagnostic it gives, with which exit
// code, and which flags the message names.
var verdicts = map[limits.Verdict]struct {
	code  string
	exit  int
	flags []string
}{
	limits.GuestError:        {"STEP_GUEST_ERROR", 4, nil},
	limits.Trap:              {"STEP_TRAP", 5, nil},
	limits.Deadline:          {"STEP_DEADLINE", 5, []string{"--step-timeout 5s"}},
	limits.MemoryLimit:       {"STEP_MEMORY_LIMIT", 5, []string{"--max-guest-memory 64 MiB", "--max-worker-data 192 MiB"}},
	limits.OutputLimit:       {"STEP_OUTPUT_LIMIT", 5, []string{"--max-step-output 1 MiB"}},
	limits.HostcallLimit:     {"STEP_HOSTCALL_LIMIT", 5, []string{"--max-host-calls 1000", "--max-host-call-bytes 1 MiB"}},
	limits.ForbiddenSyscall:  {"STEP_FORBIDDEN_SYSCALL", 5, nil},
	limits.WorkerCrash:       {"WORKER_CRASH", 5, nil},
	limits.ProtocolViolation: {"PROTOCOL_VIOLATION", 5, nil},
	limits.CompileFailed:     {"COMPILE_FAILED", 5, []string{"--compile-timeout 1m0s", "--max-compile-memory 2 GiB"}},
	limits.ContractMismatch:  {"CONTRACT_MISMATCH", 3, nil},
	limits.HostFault:         {"HOST_FAULT", 1, nil},
	"surprise":               {"HOST_FAULT", 1, nil},
}

func TestVerdicts(t *testing.T) {
	for _, v := range limits.Verdicts {
		if _, told := verdicts[v]; !told && v != limits.OK {
			t.Errorf("verdict %s has no row", v)
		}
	}
	for v, want := range verdicts {
		s := newScript()
		s.replies[plan.Collect] = ok(`{"plan": {"notes": ["kept"]}}`)
		s.replies[plan.Validate] = Reply{Verdict: v, Observer: limits.ByKernel, Signal: "SIGSYS", Detail: "details",
			Response: []byte(`{"plan": {"notes": ["of no account"]}}`)}
		s.host[plan.Validate] = hostScript{patch: plan.Patch{Notes: []string{"neither"}}, effects: []plan.Effect{{Target: "notes[0]"}}}
		res, err := Run(t.Context(), config(s))
		if err != nil {
			t.Fatal(err)
		}
		if res.ExitCode != want.exit {
			t.Errorf("%s: exit code %d, want %d", v, res.ExitCode, want.exit)
		}
		if len(res.Plan.Notes) != 1 || res.Plan.Notes[0] != "kept" || len(res.Effects) != 1 {
			t.Errorf("%s: the plan has %q", v, res.Plan.Notes)
		}
		if len(res.Diagnostics) != 2 || res.Diagnostics[1].Code != "STEPS_NOT_RUN" || !strings.HasSuffix(res.Diagnostics[1].Message, ": apply, summary") {
			t.Fatalf("%s: diagnostics %+v", v, res.Diagnostics)
		}
		d := res.Diagnostics[0]
		if d.Severity != plan.Error || d.Code != want.code || d.Path != "components/setup_default__validate.wasm" || d.Hint == "" {
			t.Errorf("%s: %+v", v, d)
		}
		parts := append([]string{"the validate step", d.Path}, want.flags...)
		if v != "surprise" {
			parts = append(parts, "SIGSYS", ": details")
		}
		for _, part := range parts {
			if !strings.Contains(d.Message, part) {
				t.Errorf("%s: %q lacks %q", v, d.Message, part)
			}
		}
		var data struct {
			Verdict limits.Verdict `json:"verdict"`
			Limits  []limitFlag    `json:"limits"`
		}
		if err := json.Unmarshal(d.Data, &data); err != nil || data.Verdict != res.Verdict || len(data.Limits) != len(want.flags) {
			t.Errorf("%s: data %s, %v", v, d.Data, err)
		}
	}
}

// A step that never began must not be told of its limits, nor be blamed.
func TestNotStartedIsToldInOtherWords(t *testing.T) {
	for v, want := range map[limits.Verdict]string{
		limits.Deadline:    "--start-timeout 10s",
		limits.MemoryLimit: "--max-worker-data",
		limits.WorkerCrash: "was not started",
	} {
		s := newScript()
		s.replies[plan.Collect] = Reply{Verdict: v, Observer: limits.BySupervisor, NotStarted: true, Detail: "details"}
		res, err := Run(t.Context(), config(s))
		if err != nil {
			t.Fatal(err)
		}
		d := res.Diagnostics[0]
		if res.ExitCode != ExitStopped || !strings.Contains(d.Message, want) || strings.Contains(d.Message+d.Hint, "--step-timeout") || strings.Contains(d.Hint, "pack") {
			t.Errorf("%s: exit %d, %+v", v, res.ExitCode, d)
		}
	}
}

func TestExitCode(t *testing.T) {
	result := func(v limits.Verdict, s plan.Severity) *Result {
		return &Result{Verdict: v, Diagnostics: []plan.Diagnostic{{Severity: s}}}
	}
	wrapped := func(err error) error { return fmt.Errorf("in the middle: %w", err) }
	for _, tc := range []struct {
		res  *Result
		err  error
		want int
	}{
		{result(limits.OK, plan.Warn), nil, 0},
		{result(limits.OK, plan.Error), nil, 4},
		{result(limits.GuestError, plan.Info), nil, 4},
		{result(limits.Trap, plan.Error), nil, 5},
		{nil, nil, 1},
		{nil, errors.New("x"), 1},
		{result(limits.OK, plan.Info), errors.New("x"), 1},
		{nil, wrapped(&InputError{}), 2},
		{nil, wrapped(&pack.Error{}), 3},
		{nil, wrapped(&limits.WallError{}), 6},
		{nil, wrapped(context.Canceled), 130},
		{nil, wrapped(ErrInterrupted), 130},
	} {
		if got := ExitCode(tc.res, tc.err); got != tc.want {
			t.Errorf("%+v, %v: got %d, want %d", tc.res, tc.err, got, tc.want)
		}
	}
}

// TestContractDocument holds docs/contract.md to what the code does: its
// examples, the codes and the exit codes of its table, the defaults of the
// limits.
func TestContractDocument(t *testing.T) {
	b, err := os.ReadFile("../docs/contract.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(b)

	schemas := map[string]bool{}
	for _, m := range regexp.MustCompile("(?ms)^```json (\\w+)( rejected)?\n(.*?)^```$").FindAllStringSubmatch(doc, -1) {
		kind, rejected, text := m[1], m[2] != "", m[3]
		schemas[kind] = true
		switch kind {
		case "request":
			validate(t, readSchema(t, kind), []byte(text))
		case "response":
			schema := readSchema(t, kind)
			var v any
			if err := json.Unmarshal([]byte(text), &v); err != nil {
				t.Fatal(err)
			}
			_, byDecoder := plan.DecodeResponse([]byte(text))
			bySchema := schema.Validate(v)
			if (byDecoder != nil) != rejected || (bySchema != nil) != rejected {
				t.Errorf("rejected %v in the document; decoder: %v, schema: %v\n%s", rejected, byDecoder, bySchema, text)
			}
		default:
			t.Errorf("example of a %s", kind)
		}
	}
	if !schemas["request"] || !schemas["response"] {
		t.Errorf("examples found: %v", schemas)
	}

	for v, want := range verdicts {
		if v == "surprise" {
			continue
		}
		row := regexp.MustCompile("(?m)^\\| `" + string(v) + "` \\|.*$").FindString(doc)
		if !strings.Contains(row, "`"+want.code+"`") || !strings.HasSuffix(row, fmt.Sprintf("| %d |", want.exit)) {
			t.Errorf("the row of %s is %q", v, row)
		}
	}
	for _, code := range []string{"STEP_RESPONSE_MALFORMED", "STEP_FAILED", "RUN_DEADLINE", "INPUT_TOO_LARGE", "PUBLIC_BASE_URL_REQUIRED", "STEP_ABSENT", "STEPS_NOT_RUN", "NOTHING_TO_PROVISION", "PLAN_VALUE_REDACTED", "RESPONSE_MEMBER_UNKNOWN"} {
		if !strings.Contains(doc, "`"+code+"`") {
			t.Errorf("%s is not explained", code)
		}
	}

	l := limits.Default()
	for flag, value := range map[string]string{
		"--max-step-output": l.StepOutput.String(), "--max-guest-memory": l.GuestMemory.String(), "--max-stack": l.Stack.String(),
		"--step-timeout": fmt.Sprintf("%g s", l.StepTime.Seconds()), "--run-timeout": fmt.Sprintf("%g s", l.RunTime.Seconds()),
		"--max-host-calls": fmt.Sprint(l.HostCalls), "--max-host-call-bytes": l.HostCallBytes.String(), "--max-log": l.Log.String(),
		"--compile-timeout": fmt.Sprintf("%g s", l.CompileTime.Seconds()), "--max-compile-memory": l.CompileMemory.String(), "--max-step-input": l.StepInput.String(),
	} {
		row := regexp.MustCompile("(?m)^\\|.*`" + flag + "`.*$").FindString(doc)
		if !strings.Contains(row, value) {
			t.Errorf("the row of %s is %q, without %s", flag, row, value)
		}
	}
}
