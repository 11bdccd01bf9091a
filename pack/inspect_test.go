package pack_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/greentic-ai/greentic-provision/integrity"
	"github.com/greentic-ai/greentic-provision/pack"
)

// The beginning of the JSON is compared as text: scripts depend on its first seven
// fields, their order, and on nulls and empty lists being what they are.
func TestInspectJSONBegins(t *testing.T) {
	fsys := soundFiles("components/x")
	fsys["pack.json"] = &fstest.MapFile{Data: []byte(`{"id":"p","version":"1","meta":{"entry_flows":{"setup":"setup","remove":"bye"},"requires_public_base_url":true}}`)}
	i, err := pack.Inspect(lay(t, fsys), pack.Options{})
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
  "entry": "setup",
  "nothing": false,
  "found_by": "meta.entry_flows",
  "ways": [
    {
      "via": "steps",
      "possible": true,
      "why": "\"setup_default__apply.wat\" for the step \"apply\"",
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
      ]
    },`
	if !strings.HasPrefix(string(got), want) {
		t.Error(cmp.Diff(want, string(got[:min(len(got), len(want))])))
	}
	for _, field := range []string{`"nodes": [],`, `"components": [],`, `"provider": null,`, `"providers": [],`, `"extensions": {},`, `"questions": [],`, `"secret_requirements": null,`, `"findings": [],`, `"problems": []`, `"archive_bytes": 268435456,`} {
		if !strings.Contains(string(got), field) {
			t.Errorf("no %s in\n%s", field, got)
		}
	}
}

// A pack that cannot be run is described; Open fails with the first problem.
func TestInspectProblems(t *testing.T) {
	damaged := fstest.MapFS{
		"pack.json": {Data: []byte(`{"id":"app","version":"1"}`)},
		"sbom.json": {Data: []byte(`{"format":"greentic-sbom-v1","files":[{"path":"pack.json","size":26,"hash_blake3":"` + strings.Repeat("0", 64) + `","media_type":"x"},{"path":"gone","size":1,"hash_blake3":"` + strings.Repeat("0", 64) + `","media_type":"x"}]}`)},
	}
	for name, c := range map[string]struct {
		fsys  fstest.MapFS
		rules []pack.Rule
	}{
		"setup":   {fstest.MapFS{"pack.json": {Data: []byte(`{"id":"app","version":"1","flows":[{"id":"requirements"}]}`)}}, []pack.Rule{pack.RuleSetup}},
		"step":    {fstest.MapFS{"pack.json": {Data: []byte(packJSON)}, "setup_default__collect.wat": {Data: []byte("()")}}, []pack.Rule{pack.RuleStep}},
		"binary":  {fstest.MapFS{"pack.json": {Data: []byte(packJSON)}, "setup_default__apply.wasm": {Data: []byte("no")}}, []pack.Rule{pack.RuleComponent}},
		"several": {damaged, []pack.Rule{pack.RuleIntegrity, pack.RuleIntegrity, pack.RuleSetup}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := lay(t, c.fsys)
			i, err := pack.Inspect(dir, pack.Options{})
			if err != nil {
				t.Fatal(err)
			}
			var rules []pack.Rule
			for _, p := range i.Problems {
				rules = append(rules, p.Rule)
			}
			if !slices.Equal(rules, c.rules) {
				t.Fatalf("problems %+v; want %q", i.Problems, c.rules)
			}
			_, err = pack.Open(dir, pack.Options{})
			e, ok := errors.AsType[*pack.Error](err)
			if !ok || e.Path != dir {
				t.Fatalf("Open: %v", err)
			}
			if got := (pack.Problem{Rule: e.Rule, Entry: e.Entry, Detail: e.Detail, Hint: e.Hint}); got != i.Problems[0] {
				t.Errorf("Open: %+v; want %+v", got, i.Problems[0])
			}
			if i.Digest == "" || i.PackID == "" || len(i.Ways) != len(pack.Vias) {
				t.Errorf("%+v", i)
			}
			for _, w := range i.Ways {
				if w.Possible || w.Problem == "" {
					t.Errorf("way %+v", w)
				}
			}
		})
	}
}

// Of a pack that is not sound nothing can be said.
func TestInspectRefuses(t *testing.T) {
	dir := lay(t, fstest.MapFS{"pack.json": {Data: []byte("{")}})
	_, err := pack.Inspect(filepath.Join(dir, "pack.json"), pack.Options{})
	if e, ok := errors.AsType[*pack.Error](err); !ok || e.Rule != pack.RuleSyntax {
		t.Errorf("got %v; want %q", err, pack.RuleSyntax)
	}
}

// Whatever the manifest lists is shown, with what the component says of itself,
// also where setup does not need it.
func TestInspectComponents(t *testing.T) {
	manifest := `{"schema_version":"pack-v1","pack_id":"p","version":"1",
		"components":[
			{"id":"one","version":"1.0.0","world":"a:b/c","operations":[{"name":"run"}],"capabilities":{"wasi":{"random":true},"host":{}}},
			{"id":"two","version":"1.0.0"},
			{"id":"three","version":"1.0.0"}],
		"flows":[{"id":"setup_default","entrypoints":["setup"],"flow":{"nodes":[
			{"id":"n","component":{"id":"one","operation":"run"}},
			{"id":"e","component":{"id":"emit.log"}}]}}]}`
	i, err := pack.Inspect(lay(t, fstest.MapFS{
		"manifest.json":                          {Data: []byte(manifest)},
		"components/one.wasm":                    {Data: []byte("\x00asm\x01\x00\x00\x00")},
		"components/one/component.manifest.json": {Data: []byte(`{"id":"one","capabilities":{"host":{"http":{"client":true}}}}`)},
		"components/two.wasm":                    {Data: []byte("not wasm")},
		"components/two.manifest.cbor":           {Data: []byte("\xff")},
	}), pack.Options{})
	if err != nil {
		t.Fatal(err)
	}
	one, two, three := i.Components[0], i.Components[1], i.Components[2]
	if one.Binary == nil || one.Binary.Layer != "core" || string(one.Capabilities) != `{"host":{},"wasi":{"random":true}}` ||
		one.Own == nil || string(one.Own.Capabilities) != `{"host":{"http":{"client":true}}}` || one.Own.File != "components/one/component.manifest.json" {
		t.Errorf("%+v", one)
	}
	if two.Binary != nil || !strings.Contains(two.Why, "neither a core module") || two.Own != nil {
		t.Errorf("%+v", two)
	}
	if three.Binary != nil || !strings.Contains(three.Why, `"components/three.wasm"`) {
		t.Errorf("%+v", three)
	}
	if want := []pack.InspectedNode{{"setup_default", "n", "one", "run", "components/one.wasm"}, {"setup_default", "e", "emit.log", "", ""}}; !slices.Equal(i.Nodes, want) {
		t.Errorf("nodes %+v", i.Nodes)
	}
	if len(i.Findings) != 2 || i.Findings[0].Code != "COMPONENT_UNREADABLE" || i.Findings[1].Code != "COMPONENT_MANIFEST_UNREADABLE" {
		t.Errorf("findings %+v", i.Findings)
	}
}

// A large pack is described without holding it.
func TestInspectKeepsNoComponents(t *testing.T) {
	large := make([]byte, 20<<20)
	copy(large, "\x00asm\x01\x00\x00\x00")
	fsys := soundFiles()
	delete(fsys, "setup_default__apply.wat")
	fsys["setup_default__apply.wasm"] = &fstest.MapFile{Data: large}
	fsys["assets/film"] = &fstest.MapFile{Data: large[:1<<20]}
	for form, archive := range map[string][]byte{"zip": zipOf(t, fsys), "tar": tarOf(t, fsys)} {
		name := layFile(t, archive)
		before := allocated()
		i, err := pack.Inspect(name, pack.Options{})
		if err != nil || i.Ways[0].Steps[2].Component.Size != int64(len(large)) {
			t.Fatalf("%s: %v", form, err)
		}
		used := allocated() - before
		// BLAKE3 alone leaves garbage, how much depends on how the test is built.
		before = allocated()
		io.Copy(integrity.NewHash(), struct{ io.Reader }{bytes.NewReader(large)}) // piece by piece, without WriteTo
		if hashing := allocated() - before; used > hashing+10<<20 {
			t.Errorf("%s: %d bytes allocated, %d of them for the hashes", form, used, hashing)
		}
	}
}

// What a pack says of its own bytes stops Open, unless that is allowed; then it
// shows.
func TestIntegrity(t *testing.T) {
	fsys := soundFiles()
	fsys["sbom.json"] = &fstest.MapFile{Data: []byte(`{"format":"greentic-sbom-v1","files":[{"path":"pack.json","size":1,"hash_blake3":"` + strings.Repeat("0", 64) + `","media_type":"x"}]}`)}
	name := layFile(t, zipOf(t, fsys))
	_, err := pack.Open(name, pack.Options{})
	if e, ok := errors.AsType[*pack.Error](err); !ok || e.Rule != pack.RuleIntegrity || e.Entry != "pack.json" {
		t.Errorf("got %v; want %q for pack.json", err, pack.RuleIntegrity)
	}
	b, err := pack.Open(name, pack.Options{AllowUnverified: true})
	if err != nil {
		t.Fatal(err)
	}
	if c := codes(b); !strings.Contains(c, "PACK_UNVERIFIED pack.json") || b.Integrity.OK() {
		t.Errorf("findings %s, report %+v", c, b.Integrity)
	}
	report, err := pack.Verify(name, integrity.Policy{})
	if err != nil || report.OK() || len(report.Problems) < 2 { // the apply module is not listed
		t.Errorf("%+v, %v", report, err)
	}
	sound := layFile(t, zipOf(t, soundFiles()))
	if report, err := pack.Verify(sound, integrity.Policy{}); err != nil || !report.OK() {
		t.Errorf("%+v, %v", report, err)
	}
	if report, err := pack.Verify(sound, integrity.Policy{RequireSignature: true}); err != nil || report.OK() {
		t.Errorf("without a signature: %+v, %v", report, err)
	}
	if _, err := pack.Verify(filepath.Join(t.TempDir(), "gone"), integrity.Policy{}); err == nil {
		t.Error("a pack that is not there is verified")
	}
}

func forStep(s, step string) string { return strings.ReplaceAll(s, "STEP", step) }
