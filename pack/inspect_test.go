package pack_test

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/greentic-ai/greentic-provision/pack"
)

// The whole JSON is compared: scripts depend on its first seven fields, and
// their order, and on nulls and empty lists being what they are.
func TestInspectJSON(t *testing.T) {
	fsys := soundFiles("components/x")
	fsys["pack.json"] = &fstest.MapFile{Data: []byte(`{"id":"p","version":"1","meta":{"entry_flows":{"setup":"setup","remove":"bye"},"requires_public_base_url":true}}`)}
	i, err := pack.Inspect(lay(t, fsys))
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(i, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	const missing = `looked for \"setup__STEP\" and \"setup_default__STEP\" (.wasm, .wat) in \"components\", \"wasm\", \".\", each also below \"assets\"`
	want := `{
  "pack_id": "p",
  "pack_version": "1",
  "setup_entry_flow": "setup",
  "requirements_flow": null,
  "subscriptions_flow": null,
  "requires_public_base_url": true,
  "outputs": [],
  "form": "directory",
  "generation": "provisioning",
  "manifest_file": "pack.json",
  "digest": "` + i.Digest + `",
  "pattern": "steps",
  "entry_flows": [
    {
      "entry": "setup",
      "flow": "setup",
      "found_by": "meta.entry_flows"
    },
    {
      "entry": "remove",
      "flow": "bye",
      "found_by": "meta.entry_flows"
    }
  ],
  "steps": [
    {
      "step": "collect",
      "component": null,
      "why": "` + forStep(missing, "collect") + `"
    },
    {
      "step": "validate",
      "component": null,
      "why": "` + forStep(missing, "validate") + `"
    },
    {
      "step": "apply",
      "component": {
        "path": "setup_default__apply.wat",
        "sha256": "1885772b94ca41b360d9bd07535547f4c8ef16cbe7e49d2c8e9780247e26c4de",
        "size": 8,
        "text": true
      }
    },
    {
      "step": "summary",
      "component": null,
      "why": "` + forStep(missing, "summary") + `"
    }
  ],
  "findings": [],
  "problem": null
}`
	if string(got) != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// A pack whose setup cannot be run is described; Open fails with the same.
func TestInspectProblem(t *testing.T) {
	for name, c := range map[string]struct {
		fsys fstest.MapFS
		rule pack.Rule
	}{
		"setup": {fstest.MapFS{"pack.json": {Data: []byte(`{"id":"app","version":"1","flows":[{"id":"requirements"}]}`)}}, pack.RuleSetup},
		"step":  {fstest.MapFS{"pack.json": {Data: []byte(packJSON)}, "setup_default__collect.wat": {Data: []byte("()")}}, pack.RuleStep},
	} {
		t.Run(name, func(t *testing.T) {
			dir := lay(t, c.fsys)
			i, err := pack.Inspect(dir)
			if err != nil {
				t.Fatal(err)
			}
			_, err = pack.Open(dir)
			e, ok := errors.AsType[*pack.Error](err)
			if !ok || i.Problem == nil {
				t.Fatalf("problem %v, Open: %v", i.Problem, err)
			}
			if want := (pack.Problem{Rule: e.Rule, Entry: e.Entry, Detail: e.Detail, Hint: e.Hint}); *i.Problem != want || want.Rule != c.rule || e.Path != dir {
				t.Errorf("problem %+v, Open: %v", *i.Problem, err)
			}
			if len(i.Steps) != 4 || i.Digest == "" || i.PackID == "" || i.Pattern != "" {
				t.Errorf("%+v", i)
			}
			for _, s := range i.Steps {
				if s.Component != nil || s.Why == "" {
					t.Errorf("step %+v", s)
				}
			}
		})
	}
}

// Of a pack that is not sound nothing can be said.
func TestInspectRefuses(t *testing.T) {
	dir := lay(t, fstest.MapFS{"pack.json": {Data: []byte(packJSON)}, "setup_default__apply.wasm": {Data: []byte("no")}})
	_, err := pack.Inspect(filepath.Join(dir, "pack.json"))
	if e, ok := errors.AsType[*pack.Error](err); !ok || e.Rule != pack.RuleComponent {
		t.Errorf("got %v; want %q", err, pack.RuleComponent)
	}
}

func forStep(s, step string) string { return strings.ReplaceAll(s, "STEP", step) }
