package render

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
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
// within 80 columns wherever there is a space to break at.
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
		if n := columns(l); n > width {
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

func hostileInspection() *pack.Inspection {
	return &pack.Inspection{
		PackID: nasty, PackVersion: nasty, SetupEntryFlow: ptr(nasty), Outputs: []string{nasty, strings.Repeat("o", 700)},
		RequiresPublicBaseURL: true,
		Form:                  pack.FormZip, Generation: pack.GenerationPackV1, ManifestFile: nasty, Digest: "sha256:" + strings.Repeat("0", 64),
		Pattern:    pack.PatternSteps,
		EntryFlows: []pack.InspectedFlow{{Entry: "setup", Flow: nasty, FoundBy: nasty}},
		Steps: []pack.InspectedStep{
			{Step: plan.Collect, Why: nasty},
			{Step: plan.Validate, Component: &pack.InspectedComponent{Path: nasty + strings.Repeat("p", 300), SHA256: strings.Repeat("a", 64), Size: 3 << 20, Layer: "component"}},
		},
		Findings: []plan.Diagnostic{{Severity: plan.Warn, Code: nasty, Message: strings.Repeat(nasty, 50), Path: nasty, Hint: nasty}},
		Problem:  &pack.Problem{Rule: pack.RuleStep, Entry: nasty, Detail: nasty, Hint: nasty},
	}
}

func TestInspection(t *testing.T) {
	for _, c := range []struct {
		name string
		in   *pack.Inspection
	}{
		{"inspection", &pack.Inspection{
			PackID: "greentic.noop", PackVersion: "0.1.0", SetupEntryFlow: ptr("setup_default"), Outputs: []string{"provisioning"},
			Form: pack.FormZip, Generation: pack.GenerationProvisioning, ManifestFile: "pack.json", Digest: "sha256:" + strings.Repeat("0", 64),
			Pattern: pack.PatternSteps,
			EntryFlows: []pack.InspectedFlow{
				{Entry: "setup", Flow: "setup_default", FoundBy: "meta.entry_flows.setup"},
				{Entry: "requirements", Flow: "requirements", FoundBy: "a flow of that name"},
			},
			Steps: []pack.InspectedStep{
				{Step: plan.Collect, Component: &pack.InspectedComponent{Path: "components/setup_default__collect.wat", SHA256: strings.Repeat("ab", 32), Size: 1, Text: true}},
				{Step: plan.Validate, Why: "no components/setup_default__validate.wasm or .wat, no wasm/setup_default__validate.wasm"},
				{Step: plan.Apply, Component: &pack.InspectedComponent{Path: "components/setup_default__apply.wasm", SHA256: strings.Repeat("cd", 32), Size: 400_000, Layer: "core"}},
			},
		}},
		{"inspection_none", &pack.Inspection{
			PackID: "greentic.docs", PackVersion: "1.0.0", Form: pack.FormDir, Generation: pack.GenerationPackV1,
			ManifestFile: "manifest.cbor", Digest: "sha256:" + strings.Repeat("1", 64), Pattern: pack.PatternNone,
		}},
		{"inspection_hostile", hostileInspection()},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Inspection(c.in, Style{})
			fits(t, got)
			golden(t, c.name+".golden", got)
		})
	}
}

// TestColoursAreOursAlone: with colours, the only escape sequences are the ones
// of the style table, each closed on its line, and without them the text is the
// same.
func TestColoursAreOursAlone(t *testing.T) {
	in := hostileInspection()
	coloured, plain := Inspection(in, Style{Color: true}), Inspection(in, Style{})
	if !strings.Contains(coloured, "\x1b[") {
		t.Fatal("nothing is coloured")
	}
	uncolour(t, coloured, plain)
}

func uncolour(t *testing.T, coloured, plain string) {
	t.Helper()
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
