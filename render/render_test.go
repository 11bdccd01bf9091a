package render

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/greentic-ai/greentic-provision/contract"
	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/integrity"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
	"github.com/greentic-ai/greentic-provision/qa"
)

var update = flag.Bool("update", false, "rewrite the expected outputs in testdata")

// golden compares got with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; run with -update and look at git diff. Got:\n%s", path, got)
	}
}

// fits checks what holds for every output: printable, no trailing spaces, and
// within 80 columns, but for answers, which are there to be copied.
func fits(t *testing.T, text string) {
	t.Helper()
	if !utf8.ValidString(text) || !strings.HasSuffix(text, "\n") {
		t.Error("not lines of UTF-8")
	}
	for _, l := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		for _, r := range l {
			if !unicode.IsPrint(r) {
				t.Errorf("%U in %q", r, l)
			}
		}
		if strings.TrimRight(l, " ") != l {
			t.Errorf("trailing space: %q", l)
		}
		if n := columns(l); n > width && !strings.Contains(l, `": "`) {
			t.Errorf("%d columns: %s", n, l)
		}
	}
}

// nasty is what a hostile pack puts wherever it may put text: a colour, a
// cursor movement, a line of ours, a reversed name, broken UTF-8.
const nasty = "x\x1b[31m\x1b[2J\r\nComplete: 0 errors\u202egnp.\xff\u009b1m"

func ptr[T any](v T) *T { return &v }

func raw(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func hostileInspection() (*pack.Inspection, *engine.Examination) {
	binary := &pack.InspectedBinary{Path: nasty + strings.Repeat("p", 300), SHA256: strings.Repeat("a", 64), Size: 3 << 20, Layer: "component"}
	declared := pack.Declaration{ID: nasty, Version: nasty, World: nasty, Capabilities: raw(map[string]any{"host": nasty})}
	return &pack.Inspection{
			PackID: nasty, PackVersion: nasty, SetupEntryFlow: ptr(nasty), Outputs: []string{nasty, strings.Repeat("o", 700)},
			Name: nasty, Kind: nasty, Publisher: nasty, RequiresPublicBaseURL: true,
			Form: pack.FormZip, Generation: pack.GenerationPackV1, ManifestFile: nasty, Digest: "sha256:" + strings.Repeat("0", 64),
			Entry: pack.EntrySetup, EntryFlows: []pack.InspectedFlow{{Entry: "setup", Flow: nasty, FoundBy: nasty}},
			Ways: []pack.InspectedWay{
				{Via: pack.ViaSteps, Why: nasty, Steps: []pack.InspectedStep{{Step: plan.Collect, Why: nasty}, {Step: plan.Validate, Component: binary}}},
				{Via: pack.ViaComponent, Problem: nasty},
				{Via: pack.ViaQA, Why: nasty, Component: binary},
			},
			Requirements: pack.InspectedStep{Step: plan.Requirements, Component: binary},
			Nodes:        []pack.InspectedNode{{Flow: nasty, Node: nasty, Component: nasty, Operation: nasty, Binary: nasty}},
			Components: []pack.InspectedComponent{
				{Declaration: declared, Why: nasty}, {Declaration: declared, Binary: binary},
			},
			Provider:           &pack.Provider{Type: nasty, Component: nasty, Operations: []string{nasty, nasty}},
			Questions:          []pack.InspectedDocument{{Path: nasty}},
			SecretRequirements: &pack.InspectedDocument{Path: nasty, Content: raw([]map[string]any{{"key": nasty}, {"key": "OTHER", "required": false}})},
			RequirementsFile:   &pack.InspectedDocument{Path: nasty},
			Integrity:          hostileReport(),
			Findings:           []plan.Diagnostic{{Severity: plan.Warn, Code: nasty, Message: strings.Repeat(nasty, 50), Path: nasty, Hint: nasty}},
			Problems:           []pack.Problem{{Rule: pack.RuleStep, Entry: nasty, Detail: nasty, Hint: nasty}},
		}, &engine.Examination{
			Via: pack.ViaQA, Why: nasty, Refused: []engine.Refused{{Via: pack.ViaComponent, Why: nasty}}, Problem: nasty,
			Components: []engine.ExaminedComponent{
				{Path: nasty, Verdict: limits.ContractMismatch, Detail: nasty},
				{Path: nasty, Verdict: limits.OK, Contracts: []engine.Spoken{{Name: nasty, Actions: []contract.Action{"invoke"}}, {Name: nasty}},
					Capabilities: []string{"http"}, Undeclared: []string{"http"}},
			},
			Questions:   hostileForm(),
			Diagnostics: []plan.Diagnostic{{Severity: plan.Warn, Code: nasty, Message: nasty}},
		}
}

func hostileForm() *qa.Form {
	return &qa.Form{Title: nasty, Description: nasty, Questions: []qa.Question{
		{ID: nasty, Label: nasty, Help: nasty, Kind: qa.KindChoice, Required: true, Choices: []qa.Choice{{Title: nasty, Value: nasty}}, Pattern: nasty, Default: raw(nasty)},
		{ID: "token", Label: nasty, Kind: qa.KindText, Secret: true, Default: raw("never shown")},
	}}
}

func hostileReport() *integrity.Report {
	return &integrity.Report{
		Checks:   []integrity.Outcome{{Name: integrity.CheckSBOM, Entry: nasty, Detail: nasty}, {Name: integrity.CheckLock, Entry: nasty, OK: true, Detail: nasty}},
		Problems: []integrity.Problem{{Entry: nasty, Rule: integrity.RuleHash, Severity: plan.Error, Detail: nasty, Hint: nasty}, {Rule: integrity.RuleSize, Severity: plan.Warn, Detail: nasty}},
		Errors:   1, Warnings: 1, Omitted: 3,
		Signature: &integrity.Signature{Scheme: integrity.SchemeArchive, Entry: nasty, Status: integrity.Invalid, Key: nasty, Subject: nasty, SignedAt: nasty},
	}
}

func TestInspection(t *testing.T) {
	hostile, examined := hostileInspection()
	wat := func(step string) *pack.InspectedBinary {
		return &pack.InspectedBinary{Path: "components/setup_default__" + step + ".wat", SHA256: strings.Repeat("ab", 32), Size: 400_000, Text: true}
	}
	for _, c := range []struct {
		name string
		in   *pack.Inspection
		x    *engine.Examination
	}{
		{"inspection", &pack.Inspection{
			PackID: "greentic.noop", PackVersion: "0.1.0", SetupEntryFlow: ptr("setup_default"), Outputs: []string{"provisioning"},
			Form: pack.FormZip, Generation: pack.GenerationProvisioning, ManifestFile: "pack.json", Digest: "sha256:" + strings.Repeat("0", 64),
			Entry: pack.EntrySetup,
			EntryFlows: []pack.InspectedFlow{
				{Entry: "setup", Flow: "setup_default", FoundBy: "meta.entry_flows.setup"},
				{Entry: "requirements", Flow: "requirements", FoundBy: "a flow of that name"},
			},
			Ways: []pack.InspectedWay{
				{Via: pack.ViaSteps, Possible: true, Why: "there is a module for the step apply", Steps: []pack.InspectedStep{
					{Step: plan.Collect, Component: wat("collect")},
					{Step: plan.Validate, Why: "no components/setup_default__validate.wasm or .wat, no wasm/setup_default__validate.wasm"},
					{Step: plan.Apply, Component: wat("apply")},
				}},
				{Via: pack.ViaComponent, Problem: "no module has the name of the flow"},
			},
		}, &engine.Examination{Via: pack.ViaSteps, Why: "there is a module for the step apply"}},
		{"inspection_none", &pack.Inspection{
			PackID: "greentic.docs", PackVersion: "1.0.0", Form: pack.FormDir, Generation: pack.GenerationPackV1,
			ManifestFile: "manifest.cbor", Digest: "sha256:" + strings.Repeat("1", 64), Nothing: true,
		}, nil},
		{"inspection_hostile", hostile, examined},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Inspection(c.in, c.x, Style{})
			fits(t, got)
			golden(t, c.name+".golden", got)
		})
	}
}

func TestIntegrity(t *testing.T) {
	got := Integrity(hostileReport(), Style{})
	fits(t, got)
	golden(t, "integrity_hostile.golden", got)
	if got := Integrity(&integrity.Report{Checks: []integrity.Outcome{{Name: integrity.CheckSBOM, OK: true}}}, Style{}); !strings.Contains(got, "Verified: 0 errors") {
		t.Errorf("a sound pack:\n%s", got)
	}
	if got := Integrity(&integrity.Report{Errors: 1}, Style{}); !strings.Contains(got, "Not verified: 1 error,") {
		t.Errorf("a report without checks that does not hold:\n%s", got)
	}
	if got := Integrity(&integrity.Report{}, Style{}); strings.Contains(got, "Verified:") {
		t.Errorf("a pack of which nothing was checked counts as verified:\n%s", got)
	}
}

func TestQuestions(t *testing.T) {
	got := Questions(hostileForm(), Style{})
	fits(t, got)
	golden(t, "questions_hostile.golden", got)
	if strings.Contains(got, "never shown") {
		t.Error("the default of a secret is shown")
	}
}

func hostileResult() *engine.Result {
	value := raw(nasty)
	return &engine.Result{
		ExitCode: engine.ExitStopped, Verdict: limits.Trap, Digest: "sha256:" + strings.Repeat("2", 64),
		Pack: engine.PackIdentity{ID: nasty, Version: nasty},
		Inputs: engine.InputsIdentity{ProviderID: nasty, InstallID: nasty, PublicBaseURL: ptr("https://" + nasty),
			Tenant: plan.Tenant{Environment: ptr(nasty), Tenant: ptr(nasty), Team: ptr(nasty), User: ptr(nasty)}},
		Plan: plan.Plan{
			ConfigPatch: map[string]json.RawMessage{nasty: value, "東京都庁舎東京都庁舎東京都庁舎": raw(strings.Repeat("東", 300)), "deep": raw(map[string]any{"a": nasty})},
			SecretsPatch: plan.SecretsPatch{Set: map[string]plan.Redacted{nasty: {Redacted: true}},
				Delete: []string{nasty, "OLD"}},
			WebhookOps: []plan.WebhookOp{{Op: nasty, ID: ptr(nasty), URL: ptr("https://" + nasty), Metadata: map[string]json.RawMessage{nasty: value}},
				{Op: "delete"}},
			SubscriptionOps: []plan.SubscriptionOp{{Op: "register", ID: ptr(nasty), Metadata: map[string]json.RawMessage{"resource": value}}},
			OAuthOps:        []plan.OAuthOp{{Op: "start", Provider: nasty, Scopes: []string{nasty, "mail.read"}, RedirectURL: ptr(nasty)}},
			Notes:           []string{nasty, strings.Repeat("long ", 400)},
		},
		Diagnostics: []plan.Diagnostic{
			{Severity: plan.Info, Code: "LAST", Message: "information comes last"},
			{Severity: plan.Error, Code: nasty, Message: nasty, Path: nasty, Hint: nasty, Data: value},
		},
		StepResults: []engine.StepResult{
			{Step: plan.Collect, Verdict: limits.OK, Observer: limits.ByWorker, Contract: nasty,
				Component: engine.ComponentRef{Path: nasty},
				Usage:     limits.Usage{InputBytes: 1, OutputBytes: 1 << 20, HostCalls: 1, LogDropped: 12},
				Logs:      []engine.LogLine{{Level: nasty, Text: nasty}, {Level: "info", Text: strings.Repeat("log ", 200)}},
				Output: engine.StepOutput{Questions: raw(map[string]any{"body": []any{
					map[string]any{"type": "Input.ChoiceSet", "id": nasty, "label": nasty, "isRequired": true, "value": nasty,
						"choices": []any{map[string]any{"title": nasty, "value": nasty}, map[string]any{"title": "b", "value": "b"}}},
					map[string]any{"type": "Input.Toggle", "id": "sure", "label": "Sure?"},
					map[string]any{"type": "Input.Number", "id": "count", "label": "How many?"},
				}})}},
			{Step: plan.Summary, Verdict: limits.Trap, Observer: limits.ByKernel, Component: engine.ComponentRef{Path: strings.Repeat("p", 500)},
				Output: engine.StepOutput{Data: raw(map[string]any{"summary": map[string]any{"message": nasty}})}},
		},
		Walls: limits.Receipt{Isolation: limits.None, Engine: nasty, Walls: []limits.Wall{
			{Name: "namespaces", Raised: true, Detail: "user,pid"}, {Name: nasty, Detail: nasty}}},
		Volatile: engine.Volatile{Steps: []engine.StepTiming{
			{Step: plan.Collect, Timing: engine.Timing{WallNS: 1_234_567}}, {Step: plan.Summary, Timing: engine.Timing{WallNS: 61_500_000_000}}}},
	}
}

func TestResult(t *testing.T) {
	got := Result(hostileResult(), Style{})
	fits(t, got)
	golden(t, "result_hostile.golden", got)
}

// TestResultOfNothing: a result without anything in it is still readable.
func TestResultOfNothing(t *testing.T) {
	got := Result(&engine.Result{Plan: plan.New(), Pack: engine.PackIdentity{ID: "empty", Version: "1"}}, Style{})
	fits(t, got)
	golden(t, "result_nothing.golden", got)
}

// TestManyItems: a plan with a million entries does not flood the screen.
func TestManyItems(t *testing.T) {
	res := &engine.Result{Plan: plan.New()}
	for i := range 5000 {
		res.Plan.ConfigPatch[fmt.Sprintf("k%04d", i)] = raw(i)
		res.Plan.Notes = append(res.Plan.Notes, "n")
		res.Diagnostics = append(res.Diagnostics, plan.Diagnostic{Severity: plan.Info, Code: "C", Message: "m"})
	}
	got := Result(res, Style{})
	if n := strings.Count(got, "\n"); n > 5*maxItems {
		t.Errorf("%d lines", n)
	}
	if n := strings.Count(got, "… and 4800 more (see --json)"); n != 3 {
		t.Errorf("%d sections say that there is more, want 3", n)
	}
}

// TestAnswersCanBeCopied: the answers to start from are JSON, with the ids and the
// values as the pack wrote them.
func TestAnswersCanBeCopied(t *testing.T) {
	long := strings.Repeat("long id ", 20)
	res := &engine.Result{Plan: plan.New(), StepResults: []engine.StepResult{{Step: plan.Collect, Output: engine.StepOutput{Questions: raw([]any{
		map[string]any{"type": "Input.Text", "id": long},
		map[string]any{"type": "Input.Text", "id": "a&b<c>", "value": "x&y <z> \u202e and more than forty characters of it"},
		map[string]any{"type": "Input.Text", "id": "essay", "value": strings.Repeat("e", 300)},
		map[string]any{"type": "Input.Number", "id": "big", "value": json.RawMessage("9007199254740993")},
		map[string]any{"type": "Input.Number", "id": "odd", "value": "null"},
		map[string]any{"type": "Input.Text", "id": strings.Repeat("i", maxValue+1)},
	})}}}}
	_, text, _ := strings.Cut(Result(res, Style{}), "--answers FILE:\n")
	text, _, _ = strings.Cut(text, "\n\n")
	var answers map[string]any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&answers); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	want := map[string]any{long: "…", "a&b<c>": "x&y <z> \u202e and more than forty characters of it", "essay": "…", "big": json.Number("9007199254740993"), "odd": json.Number("1")}
	if fmt.Sprint(answers) != fmt.Sprint(want) || strings.Contains(text, `\u0026`) {
		t.Errorf("got %s", text)
	}
}

// TestDeletedKeysAreNotNull: the plan has null for both.
func TestDeletedKeysAreNotNull(t *testing.T) {
	res := &engine.Result{Plan: plan.New(), Effects: []plan.Effect{
		{Via: plan.ViaHostCall, Op: "config.delete", Target: "config_patch.gone"}, {Via: plan.ViaPatch, Target: "config_patch.null"},
		{Via: plan.ViaHostCall, Op: "config.delete", Target: "config_patch.both"}, {Via: plan.ViaPatch, Target: "config_patch.both"}}}
	for _, k := range []string{"gone", "null", "both"} {
		res.Plan.ConfigPatch[k] = raw(nil)
	}
	if got := Result(res, Style{}); !strings.Contains(got, "  both = null\n  delete  gone\n  null = null\n") {
		t.Errorf("got %s", got)
	}
}

// TestLongDiagnostic: a backtrace is shown in lines that cannot be taken for ours,
// and of a long one the last line stays, which has the cause.
func TestLongDiagnostic(t *testing.T) {
	message := "trapped: while executing:\n"
	for i := range 30 {
		message += fmt.Sprintf("    %d: 0x36 - deep\x1b[2J\n\n", i)
	}
	message += "Caused by:\n    unreachable\n"
	res := &engine.Result{Pack: engine.PackIdentity{ID: "deep", Version: "1"}, Plan: plan.New(), Diagnostics: []plan.Diagnostic{
		{Severity: plan.Error, Code: "STEP_TRAP", Message: message},
		{Severity: plan.Error, Code: "FAKE", Message: "one\n\n         hint: two\nComplete: " + strings.Repeat("three ", 30)}}}
	got := Result(res, Style{})
	fits(t, got)
	golden(t, "diagnostic_long.golden", got)
	if strings.Contains(got, `\n`) || !strings.Contains(got, "\n         |     unreachable\n") {
		t.Error("not in lines, or without the cause")
	}
}

// TestChoice: what is to be chosen is called a choice.
func TestChoice(t *testing.T) {
	res := &engine.Result{Plan: plan.New(), StepResults: []engine.StepResult{{Step: plan.Collect, Output: engine.StepOutput{
		Questions: raw([]any{map[string]any{"type": "Input.ChoiceSet", "id": "region", "label": "Region"}})}}}}
	if got := Result(res, Style{}); !strings.Contains(got, "\n  region  Region (choice)\n") {
		t.Error(got)
	}
}

func TestSummaryMessages(t *testing.T) {
	for data, want := range map[string]string{
		`{"summary": "All done", "message": "hello"}`:              "Summary\n  All done\n  hello\n",
		`{"summary": {"message": "All done"}, "message": "hello"}`: "Summary\n  All done\n  hello\n",
		`{"message": "hello"}`:                                     "Summary\n  hello\n",
		`{"summary": ["x"], "message": "hello"}`:                   "Summary\n  hello\n",
		`{"summary": {"n": 1}}`:                                    "",
	} {
		res := &engine.Result{Plan: plan.New(), StepResults: []engine.StepResult{{Step: plan.Summary, Output: engine.StepOutput{Data: json.RawMessage(data)}}}}
		if got := Result(res, Style{}); !strings.Contains(got, want) || want == "" && strings.Contains(got, "Summary") {
			t.Errorf("%s gives %s", data, got)
		}
	}
}

// TestSummaryOfOurErrors: what the steps did not report is not put on them.
func TestSummaryOfOurErrors(t *testing.T) {
	res := &engine.Result{ExitCode: engine.ExitDiagnostics, Plan: plan.New(), Diagnostics: []plan.Diagnostic{{Severity: plan.Error, Code: "PLAN_VALUE_REDACTED"}}}
	if got := Summary(res); got != "Not complete: 1 error, and no step ran. Nothing was applied." {
		t.Error(got)
	}
	res.StepResults = []engine.StepResult{{Verdict: limits.OK}}
	if got := Summary(res); got != "Not complete: of the plan, 1 part cannot be reviewed. Nothing was applied." {
		t.Error(got)
	}
	res.Diagnostics[0].Code = "SECRET_VALUE_MISSING"
	if got := Summary(res); got != "Not complete: of the plan, 1 part cannot be applied. Nothing was applied." {
		t.Error(got)
	}
}

func TestSummary(t *testing.T) {
	steps := []engine.StepResult{{Step: plan.Collect, Verdict: limits.OK}, {Step: plan.Apply, Verdict: limits.Deadline}}
	pl := plan.New()
	pl.ConfigPatch["a"] = raw(1)
	pl.SecretsPatch.Set["b"] = plan.Redacted{Redacted: true}
	pl.SecretsPatch.Delete = []string{"c"}
	for code, want := range map[int]string{
		engine.ExitOK:          "Complete: 1 config key, 2 secrets. Nothing was applied.",
		engine.ExitDiagnostics: "Not complete: the pack's steps reported 1 error. Nothing was applied.",
		engine.ExitPack:        "Rejected: the apply step cannot be run (deadline). Nothing was applied.",
		engine.ExitStopped:     "Stopped: the apply step ended with deadline. Nothing was applied.",
		engine.ExitFault:       "Failed: a fault of this program, not of the pack. Nothing was applied.",
	} {
		if got := Summary(&engine.Result{ExitCode: code, Plan: pl, StepResults: steps, Diagnostics: []plan.Diagnostic{{Severity: plan.Error}}}); got != want {
			t.Errorf("exit code %d: %q, want %q", code, got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	for ns, want := range map[int64]string{0: "0.0 ms", 340_000: "0.3 ms", 9_940_000: "9.9 ms", 12_600_000: "13 ms", 1_500_000_000: "1.5 s", 61_500_000_000: "61.5 s"} {
		if got := duration(ns); got != want {
			t.Errorf("duration(%d) = %q, want %q", ns, got, want)
		}
	}
}

// TestColoursAreOursAlone: with colours, the only escape sequences are the ones
// of the style table, each closed on its line, and without them the text is the
// same.
func TestColoursAreOursAlone(t *testing.T) {
	in, x := hostileInspection()
	res, form, report := hostileResult(), hostileForm(), hostileReport()
	uncolour(t, Inspection(in, x, Style{Color: true}), Inspection(in, x, Style{}))
	uncolour(t, Questions(form, Style{Color: true}), Questions(form, Style{}))
	uncolour(t, Integrity(report, Style{Color: true}), Integrity(report, Style{}))
	uncolour(t, Result(res, Style{Color: true}), Result(res, Style{}))
}

func uncolour(t *testing.T, coloured, plain string) {
	t.Helper()
	if !strings.Contains(coloured, "\x1b[") {
		t.Fatal("nothing is coloured")
	}
	for _, l := range strings.Split(coloured, "\n") {
		if strings.Count(l, "\x1b[0m")*2 != strings.Count(l, "\x1b") {
			t.Errorf("colours are not closed: %q", l)
		}
	}
	for _, codes := range []string{"0", bold, dim, red, green, yellow, cyan, red + ";" + bold, green + ";" + bold, yellow + ";" + bold, cyan + ";" + bold} {
		coloured = strings.ReplaceAll(coloured, "\x1b["+codes+"m", "")
	}
	if coloured != plain {
		t.Errorf("the coloured text says something else:\n%q\n%q", coloured, plain)
	}
}
