package integrity_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greentic-ai/greentic-provision/integrity"
)

var update = flag.Bool("update", false, "write golden files")

func TestASoundPackHasNoErrors(t *testing.T) {
	f, in := sound(t)
	r := check(t, in, integrity.Policy{})
	if !r.OK() || r.Warnings > 0 {
		t.Errorf("problems: %q", brief(r))
	}
	var checks []string
	for _, c := range r.Checks {
		if !c.OK {
			t.Errorf("%s %s: %s", c.Name, c.Entry, c.Detail)
		}
		checks = append(checks, c.Name+" "+c.Entry+": "+c.Detail)
	}
	n := len(f) - 2
	want := []string{
		fmt.Sprintf("sbom sbom.cbor: %d of %[1]d files as stated", n),
		fmt.Sprintf("sbom sbom.json: %d of %[1]d files as stated", n),
		"lock pack.lock.cbor: 1 of 2 components as stated",
		"lock assets/pack.lock.json: 2 of 2 components as stated",
		"component-manifests : 1 of 1 file as stated",
		"legacy-manifest : 2 of 2 files as stated",
	}
	if d := cmp.Diff(want, checks); d != "" {
		t.Error(d)
	}
	// What the host has built in is locked without a file.
	if d := cmp.Diff([]string{"info no binary pack.lock.cbor"}, brief(r)); d != "" {
		t.Error(d)
	}
	if r.Signature != nil {
		t.Error("a signature out of nothing")
	}
}

// TestProblems changes one thing in a sound pack that has one inventory and one
// lock.
func TestProblems(t *testing.T) {
	hash := strings.Repeat("ab", 32)
	sbom := func(t *testing.T, f files, change func(list []any) []any) {
		s := sbomOf(f)
		s["files"] = change(s["files"].([]any))
		f["sbom.cbor"] = marshalCBOR(t, s)
	}
	set := func(path, field string, v any) func(*testing.T, files, *integrity.Input) {
		return func(t *testing.T, f files, _ *integrity.Input) {
			sbom(t, f, func(list []any) []any {
				for _, x := range list {
					if m := x.(map[string]any); m["path"] == path {
						m[field] = v
					}
				}
				return list
			})
		}
	}
	text := func(name, content string) func(*testing.T, files, *integrity.Input) {
		return func(_ *testing.T, f files, _ *integrity.Input) { f[name] = content }
	}
	lock := func(doc any) func(*testing.T, files, *integrity.Input) {
		return func(t *testing.T, f files, _ *integrity.Input) {
			delete(f, "pack.lock.cbor")
			f["pack.lock.json"] = marshalJSON(t, doc)
			f["sbom.cbor"] = marshalCBOR(t, sbomOf(f))
		}
	}
	byID := func(id string, c map[string]any) func(*testing.T, files, *integrity.Input) {
		return lock(map[string]any{"version": 1, "components": map[string]any{id: c}})
	}
	inList := func(c map[string]any) func(*testing.T, files, *integrity.Input) {
		return lock(map[string]any{"schema_version": 1, "components": []any{c}})
	}
	claim := func(c integrity.Claim) func(*testing.T, files, *integrity.Input) {
		return func(_ *testing.T, _ files, in *integrity.Input) { in.ComponentManifests = []integrity.Claim{c} }
	}
	legacy := func(c integrity.Claim) func(*testing.T, files, *integrity.Input) {
		return func(_ *testing.T, _ files, in *integrity.Input) { in.Legacy = []integrity.Claim{c} }
	}
	for name, tc := range map[string]struct {
		change func(*testing.T, files, *integrity.Input)
		want   []string
		detail string
	}{
		"file changed":           {text("assets/setup.yaml", "title: Demo!"), []string{"error hash assets/setup.yaml"}, "sbom.cbor lists"},
		"manifest changed":       {text("manifest.cbor", "\xa0"), []string{"error hash manifest.cbor"}, ""},
		"size wrong":             {set("README.md", "size", 6), []string{"error size README.md"}, "has 5 bytes; sbom.cbor lists 6"},
		"hash in capitals":       {set("README.md", "hash_blake3", strings.ToUpper(blake3Hex("demo\n"))), nil, ""},
		"hash of another length": {set("README.md", "hash_blake3", "abcd"), []string{"error document syntax sbom.cbor"}, `has the hash "abcd"`},
		"size negative":          {set("README.md", "size", -1), []string{"error document syntax sbom.cbor"}, ""},
		"path missing":           {set("README.md", "path", nil), []string{"error document syntax sbom.cbor"}, "lacks one of path"},
		"file removed": {func(_ *testing.T, f files, _ *integrity.Input) { delete(f, "README.md") },
			[]string{"error listed but absent README.md"}, "sbom.cbor lists it"},
		"path escapes": {set("README.md", "path", "../\x1b[31m"+strings.Repeat("x", 9000)),
			[]string{`error listed but absent ../\x1b[31m` + strings.Repeat("x", 501) + "…", "warn not in inventory README.md"}, ""},
		"listed twice": {func(t *testing.T, f files, _ *integrity.Input) {
			sbom(t, f, func(l []any) []any { return append(l, l[0]) })
		}, []string{"error listed twice README.md"}, "more than once"},
		"format unknown": {text("sbom.cbor", marshalCBOR(t, map[string]any{"format": "spdx", "files": []any{}})), []string{"error inventory format sbom.cbor"}, `"spdx"`},
		"format missing": {text("sbom.cbor", marshalCBOR(t, map[string]any{"files": []any{}})), []string{"error inventory format sbom.cbor"}, ""},
		"files missing":  {text("sbom.cbor", marshalCBOR(t, map[string]any{"format": "greentic-sbom-v1"})), []string{"error document syntax sbom.cbor"}, `no "files"`},
		"sbom empty":     {text("sbom.cbor", "\xa0"), []string{"warn no inventory sbom.cbor"}, "is empty"},
		"sbom no map":    {text("sbom.cbor", "\x80"), []string{"error document syntax sbom.cbor"}, ""},
		"sbom cut short": {text("sbom.cbor", "\xa1"), []string{"error document syntax sbom.cbor"}, ""},
		"sbom two items": {text("sbom.cbor", "\xa0\xa0"), []string{"error document syntax sbom.cbor"}, ""},
		"sbom name twice": {text("sbom.cbor", "\xa2\x66format\x61a\x66format\x61a"),
			[]string{"error document syntax sbom.cbor"}, "duplicate"},
		"sbom of many files": {text("sbom.cbor", marshalCBOR(t, map[string]any{"format": "greentic-sbom-v1", "files": make([]struct{}, integrity.MaxElements+1)})),
			[]string{"error document bounds sbom.cbor"}, "65536"},
		"sbom deep":      {text("sbom.cbor", "\xa1\x61x"+strings.Repeat("\x81", 64)+"\x00"), []string{"error document bounds sbom.cbor"}, "deeper than 64"},
		"sbom too large": {text("sbom.cbor", strings.Repeat(" ", integrity.MaxDocument+1)), []string{"error document bounds sbom.cbor"}, ""},
		"no sbom": {func(_ *testing.T, f files, _ *integrity.Input) { delete(f, "sbom.cbor") },
			[]string{"warn no inventory "}, "neither sbom.cbor nor sbom.json"},
		"no sbom in a directory": {func(_ *testing.T, f files, in *integrity.Input) { delete(f, "sbom.cbor"); in.Directory = true },
			[]string{"info no inventory "}, ""},
		"json sbom differs": {func(t *testing.T, f files, _ *integrity.Input) {
			s := sbomOf(f)
			s["files"] = s["files"].([]any)[1:]
			f["sbom.json"] = marshalJSON(t, s)
		}, []string{"warn not in inventory README.md"}, "is not in sbom.json"},
		"json sbom has a name twice": {text("sbom.json", `{"format":"greentic-sbom-v1","files":[],"files":[]}`), []string{"error document syntax sbom.json"}, ""},
		"json sbom of many files": {text("sbom.json", `{"format":"greentic-sbom-v1","files":[`+strings.Repeat("0,", integrity.MaxElements)+`0]}`),
			[]string{"error document bounds sbom.json"}, ""},
		"json sbom with a wrong type": {text("sbom.json", `{"format":"greentic-sbom-v1","files":[{"path":7}]}`), []string{"error document syntax sbom.json"}, `"/files/0/path"`},

		"unlisted text":      {text("notes.txt", ""), []string{"warn not in inventory notes.txt"}, ""},
		"unlisted module":    {text("x/STEP.WAT", "(module)"), []string{"error not in inventory x/STEP.WAT"}, "can be run"},
		"unlisted pack.json": {text("pack.json", "{}"), []string{"error not in inventory pack.json"}, ""},
		"unlisted copy of a listed file": {func(t *testing.T, f files, in *integrity.Input) {
			in.Directory = true
			f["assets/pack.json"] = "{}"
			delete(f, "sbom.cbor")
			f["sbom.cbor"] = marshalCBOR(t, sbomOf(f))
			f["pack.json"] = "{}"
			f["manifest.json"] = f["assets/setup.yaml"] // no copy of what has its name below assets
		}, []string{"error not in inventory manifest.json", "warn not in inventory pack.json"}, ""},
		"unlisted and used": {func(_ *testing.T, f files, in *integrity.Input) {
			f["bin/tool"] = ""
			in.Used = []string{"bin/tool"}
		}, []string{"error not in inventory bin/tool"}, ""},
		"unlisted manifest":       {text("assets/manifest.json", "{}"), []string{"error not in inventory assets/manifest.json"}, ""},
		"unlisted flow":           {text("flows/main/notes", ""), []string{"error not in inventory flows/main/notes"}, ""},
		"unlisted flow source":    {text("setup.ygtc", ""), []string{"error not in inventory setup.ygtc"}, ""},
		"unlisted lock":           {text("pack.lock", "{}"), []string{"error not in inventory pack.lock", "warn document syntax pack.lock"}, ""},
		"beside the signature":    {text("signatures/notes.txt", ""), nil, ""},
		"module by the signature": {text("signatures/x.wasm", ""), []string{"error not in inventory signatures/x.wasm"}, ""},

		"lock differs": {byID("a", map[string]any{"resolved_digest": "sha256:" + hash}), []string{"error hash components/a.wasm"}, "locks the component \"a\" with " + hash},
		"old lock differs": {inList(map[string]any{"name": "n", "component_id": "a", "digest": "sha256:" + hash}),
			[]string{"error hash components/a.wasm"}, ""},
		"bundled file differs": {inList(map[string]any{"name": "zz", "path": "README.md", "sha256": hash}),
			[]string{"error hash README.md"}, ""},
		"bundled file absent, component found": {inList(map[string]any{"name": "a", "path": "gone.wasm", "sha256": hash}),
			[]string{"error hash components/a.wasm"}, ""},
		"bundled file agrees, component differs": {inList(map[string]any{"name": "a", "path": "README.md", "sha256": sha256Hex("demo\n")}),
			[]string{"error hash components/a.wasm"}, "locks the component \"a\""},
		"nothing of it here": {inList(map[string]any{"name": "zz", "path": "gone.wasm", "sha256": hash}),
			[]string{"info no binary pack.lock.json"}, ""},
		"lock below assets differs": {func(t *testing.T, f files, _ *integrity.Input) {
			f["assets/pack.lock"] = marshalJSON(t, map[string]any{"version": 1, "components": map[string]any{"a": map[string]any{"resolved_digest": "sha256:" + hash}}})
			f["sbom.cbor"] = marshalCBOR(t, sbomOf(f))
		}, []string{"warn hash components/a.wasm"}, ""},
		"lock below assets malformed": {func(t *testing.T, f files, _ *integrity.Input) {
			f["assets/pack.lock"] = "{"
			f["sbom.cbor"] = marshalCBOR(t, sbomOf(f))
		}, []string{"warn document syntax assets/pack.lock"}, ""},
		"lock of a source tree": {func(t *testing.T, f files, _ *integrity.Input) {
			delete(f, "sbom.cbor") // a source tree has none
			f["pack.lock"] = "components:\n  - id: a\n"
		}, []string{"warn no inventory ", "info not checked pack.lock"}, ""},
		"lock of an unknown kind":   {byID("a", map[string]any{"resolved_digest": "blake3:" + hash}), []string{"warn algorithm pack.lock.json"}, ""},
		"digest without its kind":   {byID("a", map[string]any{"resolved_digest": hash}), []string{"error document syntax pack.lock.json"}, ""},
		"digest too short":          {byID("a", map[string]any{"resolved_digest": "sha256:ab"}), []string{"error document syntax pack.lock.json"}, ""},
		"digest missing":            {byID("a", map[string]any{}), []string{"error document syntax pack.lock.json"}, "resolved_digest"},
		"old digest missing":        {inList(map[string]any{"name": "a"}), []string{"error document syntax pack.lock.json"}, "no digest"},
		"name missing":              {inList(map[string]any{"sha256": hash}), []string{"error document syntax pack.lock.json"}, ""},
		"another id":                {byID("a", map[string]any{"component_id": "b", "resolved_digest": "sha256:" + hash}), []string{"error document syntax pack.lock.json"}, "calls itself"},
		"paths that differ":         {inList(map[string]any{"name": "a", "path": "x", "bundled_path": "y", "sha256": hash}), []string{"error document syntax pack.lock.json"}, "that differ"},
		"lock of the next version":  {lock(map[string]any{"version": 2, "components": map[string]any{}}), []string{"warn not checked pack.lock.json"}, "version 2"},
		"lock without a version":    {lock(map[string]any{"components": map[string]any{}}), []string{"error document syntax pack.lock.json"}, ""},
		"lock without components":   {lock(map[string]any{"version": 1}), []string{"error document syntax pack.lock.json"}, ""},
		"lock empty":                {lock(map[string]any{}), []string{"warn document syntax pack.lock.json"}, "locks nothing"},
		"lock with a wrong type":    {lock(map[string]any{"version": 1, "components": "a"}), []string{"error document syntax pack.lock.json"}, ""},
		"component manifest":        {claim(integrity.Claim{Component: "a", Entry: "README.md", Hash: "sha256:" + hash}), []string{"error hash README.md"}, `for the component "a", says`},
		"component manifest absent": {claim(integrity.Claim{Entry: "gone"}), []string{"error listed but absent gone"}, ""},
		"component manifest bare":   {claim(integrity.Claim{Entry: "README.md", Hash: hash}), []string{"error document syntax README.md"}, ""},
		"component manifest unsaid": {claim(integrity.Claim{Entry: "README.md"}), []string{"info not checked README.md"}, ""},
		"legacy hash":               {legacy(integrity.Claim{Entry: "README.md", Hash: hash}), []string{"error hash README.md"}, "BLAKE3"},
		"legacy hash malformed":     {legacy(integrity.Claim{Entry: "README.md", Hash: "sha256:" + hash}), []string{"error document syntax README.md"}, ""},
		"manifest signs itself": {func(t *testing.T, f files, _ *integrity.Input) {
			f["manifest.cbor"] = marshalCBOR(t, map[string]any{"signatures": map[string]any{"signatures": []any{map[string]any{"key_id": "k"}}}})
			f["sbom.cbor"] = marshalCBOR(t, sbomOf(f))
		}, []string{"warn not checked manifest.cbor"}, "covers no code"},
	} {
		t.Run(name, func(t *testing.T) {
			f, in := sound(t)
			delete(f, "sbom.json")
			delete(f, "assets/pack.lock.json")
			f["pack.lock.cbor"] = marshalCBOR(t, map[string]any{"version": 1, "components": map[string]any{"a": map[string]any{"resolved_digest": "sha256:" + sha256Hex(component)}}})
			in.ComponentManifests, in.Legacy = nil, nil
			f["sbom.cbor"] = marshalCBOR(t, sbomOf(f))
			tc.change(t, f, &in)
			r := check(t, in, integrity.Policy{})
			got := brief(r)
			want := append([]string{}, tc.want...)
			if d := cmp.Diff(want, got); d != "" {
				t.Fatal(d)
			}
			if tc.detail != "" && !strings.Contains(r.Problems[0].Detail, tc.detail) {
				t.Errorf("the detail %q does not say %q", r.Problems[0].Detail, tc.detail)
			}
			if r.OK() != !hasErrors(r) {
				t.Errorf("OK is %t", r.OK())
			}
			if failed := slices.ContainsFunc(r.Checks, func(c integrity.Outcome) bool { return !c.OK }); failed != hasErrors(r) {
				t.Errorf("checks: %+v", r.Checks)
			}
		})
	}
}

func TestProblemsAreCountedAndErrorsComeFirst(t *testing.T) {
	f := files{}
	for i := range 3 * integrity.MaxProblems {
		f[fmt.Sprintf("notes/%03d", i)] = ""
	}
	f["sbom.cbor"] = marshalCBOR(t, map[string]any{"format": "greentic-sbom-v1", "files": []any{
		map[string]any{"path": "gone", "size": 0, "hash_blake3": blake3Hex("")},
	}})
	r := check(t, integrity.Input{Files: f}, integrity.Policy{RequireSignature: true})
	if len(r.Problems) != integrity.MaxProblems || r.Omitted != 2*integrity.MaxProblems+2 || r.Errors != 2 || r.Warnings != 3*integrity.MaxProblems {
		t.Errorf("%d listed, %d omitted, %d errors, %d warnings", len(r.Problems), r.Omitted, r.Errors, r.Warnings)
	}
	if d := cmp.Diff([]string{"error listed but absent gone", "error signature required ", "warn not in inventory notes/000"}, brief(r)[:3]); d != "" {
		t.Error(d)
	}
}

// broken fails where the machine does.
type broken struct {
	files
	sum, read error
}

func (b broken) Sum(name string) (integrity.Sum, error) {
	if b.sum != nil {
		return integrity.Sum{}, b.sum
	}
	return b.files.Sum(name)
}

func (b broken) Read(name string, most int64) ([]byte, error) {
	if b.read != nil {
		return nil, b.read
	}
	return b.files.Read(name, most)
}

func TestTroubleWithTheMachineIsNoProblemOfThePack(t *testing.T) {
	trouble := errors.New("disk on fire")
	for _, files := range []broken{{sum: trouble}, {read: trouble}} {
		f, in := sound(t)
		files.files = f
		in.Files = files
		if r, err := integrity.Check(in, integrity.Policy{}); !errors.Is(err, trouble) || r != nil {
			t.Errorf("%v, %v", r, err)
		}
	}
}

// TestReport pins the JSON of a report with everything in it.
func TestReport(t *testing.T) {
	f, in := sound(t)
	f["README.md"] = "changed\n"
	f["extra.wasm"] = ""
	f["notes\u202e.txt"] = "" // turns the line around on a terminal
	sign(t, f, key(1), chainPEM(certificate(t, "greentic-dev-local", key(1), "greentic-dev-local", key(1), nil)), nil)
	got, err := json.MarshalIndent(check(t, in, integrity.Policy{RequireSignature: true}), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", "report.golden.json")
	if *update {
		if err := os.WriteFile(file, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(strings.TrimSpace(string(want)), string(got)); d != "" {
		t.Errorf("%s has changed; look at the difference after go test -update\n%s", file, d)
	}
}
