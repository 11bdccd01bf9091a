package pack_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/tools/txtar"

	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
)

// allocated is what the program has allocated so far, in bytes.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// checkOpen opens b and holds the outcome against everything the package
// promises. It returns what was allocated.
func checkOpen(t *testing.T, b []byte) uint64 {
	t.Helper()
	before := allocated()
	got, err := pack.OpenBytes(b, "fuzz", pack.Options{})
	used := allocated() - before
	if (got == nil) == (err == nil) {
		t.Fatalf("blueprint %v, error %v", got, err)
	}
	if err != nil {
		if e, ok := errors.AsType[*pack.Error](err); !ok || e.Rule == "" || e.Detail == "" || e.Path != "fuzz" {
			t.Fatalf("%T: %v", err, err)
		}
		checkMessage(t, err)
		return used
	}
	checkBlueprint(t, got)
	if again, err := pack.OpenBytes(b, "fuzz", pack.Options{}); err != nil || !reflect.DeepEqual(got, again) {
		t.Fatalf("the second time: %v", err)
	}
	if len(b) > 64<<10 {
		return used // enough, and long
	}
	for _, entry := range pack.Entries[1:] {
		got, err := pack.OpenBytes(b, "fuzz", pack.Options{Entry: entry})
		if err == nil {
			checkBlueprint(t, got)
		} else {
			checkMessage(t, err)
		}
	}
	return used
}

func checkBlueprint(t *testing.T, b *pack.Blueprint) {
	t.Helper()
	inRange := func(i int) bool { return i >= -1 && i < len(b.Components) }
	usedBy := make([]int, len(b.Components))
	use := func(i int) {
		if i >= 0 {
			usedBy[i]++
		}
	}
	if len(b.Ways) != len(pack.Vias) {
		t.Fatalf("%d ways", len(b.Ways))
	}
	possible := 0
	for i, w := range b.Ways {
		if w.Via != pack.Vias[i] || !inRange(w.Component) {
			t.Fatalf("way %+v", w)
		}
		use(w.Component)
		if w.Possible() {
			possible++
			if w.Why == "" || (w.Steps != nil) != (w.Via == pack.ViaSteps) || (w.Nodes != nil) != (w.Via == pack.ViaFlow) ||
				(w.Component >= 0) != (w.Via == pack.ViaComponent || w.Via == pack.ViaQA) {
				t.Errorf("way %+v", w)
			}
		}
		for _, s := range w.Steps {
			if !inRange(s.Component) || (s.Component < 0) != (s.Why != "") {
				t.Fatalf("step %+v", s)
			}
			use(s.Component)
		}
		for id, c := range w.Nodes {
			if !inRange(c) {
				t.Fatalf("node %s: %d", id, c)
			}
			use(c)
		}
	}
	if (possible > 0) == b.Nothing && b.Entry != pack.EntryRequirements {
		t.Errorf("%d ways, nothing: %v", possible, b.Nothing)
	}
	use(b.Requirements.Component)
	if (b.Requirements.Component < 0) != (b.Requirements.Why != "") {
		t.Errorf("requirements %+v", b.Requirements)
	}
	unreadable := strings.Contains(codes(b), "COMPONENT_UNREADABLE")
	paths := map[string]bool{}
	for i, c := range b.Components {
		if usedBy[i] == 0 && !unreadable || paths[c.Path] || int64(len(c.Bytes)) != c.Size || len(c.Bytes) > pack.MaxEntry || c.Text == (c.Layer != "") {
			t.Errorf("component %s: used %d times, %d bytes, text %v, layer %q", c.Path, usedBy[i], len(c.Bytes), c.Text, c.Layer)
		}
		paths[c.Path] = true
	}
	if b.Manifest.ID == "" || b.Manifest.Version == "" || len(b.Digest) != len("sha256:")+64 || b.Integrity == nil {
		t.Errorf("manifest %+v, digest %s", b.Manifest, b.Digest)
	}
	if plan.HasErrors(b.Findings) || len(b.Findings) > 300 {
		t.Errorf("findings %+v", b.Findings)
	}
}

func seedPacks(f *testing.F, add func(ar *txtar.Archive)) {
	names, err := filepath.Glob("testdata/packs/*.txtar")
	if err != nil || len(names) == 0 {
		f.Fatal(names, err)
	}
	for _, name := range names {
		ar, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		add(ar)
	}
}

func FuzzOpenBytes(f *testing.F) {
	t := &testing.T{} // the builders only use it to fail
	seedPacks(f, func(ar *txtar.Archive) { f.Add(zipOf(t, files(t, ar))) })
	for _, r := range refusals {
		if b := r.build(t); len(b) < 64<<10 {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		// 1032 is what DEFLATE may really expand; the constant is for the
		// fixed buffers and what a manifest costs.
		if used, most := checkOpen(t, b), uint64(len(b))*2*1032+maxDecode; used > most {
			t.Errorf("%d bytes of input allocate %d; at most %d", len(b), used, most)
		}
	})
}

// maxDecode bounds what a manifest of any content within the limits allocates:
// TestDecodeIsBounded looks at the worst ones.
const maxDecode = 192 << 20

func fuzzManifest(t *testing.T, name string, manifest []byte) {
	b := rawZip([]rawEntry{stored(name, string(manifest)), stored("setup_default__apply.wat", "(module)")})
	// Per byte of input a manifest costs at most one element, and an element a
	// struct, twice for the slice that grew.
	if used, most := checkOpen(t, b), uint64(len(manifest))*600+1<<20; used > most {
		t.Errorf("%d bytes of manifest allocate %d; at most %d", len(manifest), used, most)
	}
}

func FuzzManifestJSON(f *testing.F) {
	seedPacks(f, func(ar *txtar.Archive) {
		for _, file := range ar.Files {
			if filepath.Ext(file.Name) == ".json" {
				f.Add(file.Data)
			}
		}
	})
	f.Fuzz(func(t *testing.T, b []byte) { fuzzManifest(t, "pack.json", b) })
}

func FuzzManifestCBOR(f *testing.F) {
	t := &testing.T{}
	seedPacks(f, func(ar *txtar.Archive) {
		for name, file := range files(t, ar) {
			if name == "manifest.cbor" {
				f.Add(file.Data)
			}
		}
	})
	for _, text := range []string{"a0", "bfff", "9bffffffffffffffff", "7b8000000000000000", "a2616100616101", "c060", strings.Repeat("81", 65) + "00"} {
		b, err := hex.DecodeString(text)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) { fuzzManifest(t, "manifest.cbor", b) })
}

// wordy is a pack with a document of every kind, each of which counts.
func wordy() fstest.MapFS {
	files := fstest.MapFS{}
	for name, text := range map[string]string{
		"manifest.json": `{"schema_version":"pack-v1","pack_id":"p","version":"1","components":[{"id":"c","version":"1"},{"id":"d"}],"flows":[{"id":"setup_default"}],"extensions":{
			"greentic.ext.provider":{"inline":{"providers":[{"provider_type":"t","config_schema_ref":"schema.json","runtime":{"component_ref":"c"}}]}},
			"greentic.pack.component_manifests@v1":{"inline":{"entries":[{"component_id":"d","manifest_file":"d.json"}]}}}}`,
		"assets/pack.json":                                   `{"meta":{"entry_flows":{"remove":"bye"}}}`,
		"flows/setup_default/flow.ygtc":                      "id: f\ntype: job\nnodes:\n  n: {component.exec: {}, operation: op, routing: [{to: m}]}\n  m: {flow.call: {flow: bye}}\n",
		"flows/setup_default/flow.ygtc.resolve.summary.json": `{"nodes":{"n":{"component_id":"c"}}}`,
		"flows/bye.json":                                     `{"id":"bye","nodes":{"x":{"component":"d.op"}}}`,
		"components/c/component.manifest.json":               `{"id":"c","version":"1","operations":[{"name":"op"}],"capabilities":{}}`,
		"d.json":                                             `{"id":"d","supports":["messaging"]}`,
		"components/c.wasm":                                  "\x00asm\x0d\x00\x01\x00",
		"setup.yaml":                                         "questions:\n- name: a\n",
		"qa/setup.json":                                      `{"questions":[]}`,
		"secret-requirements.json":                           `[{"key":"k"}]`,
		"requirements.json":                                  `{"config":{}}`,
		"schema.json":                                        `{"type":"object"}`,
		"pack.lock.json":                                     `{"schema_version":1,"components":[]}`,
		"sbom.json":                                          `{}`,
	} {
		files[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return files
}

// explaining are documents that no way needs: whatever is in them, the pack is run.
var explaining = []string{"components/c/component.manifest.json", "d.json", "setup.yaml", "qa/setup.json", "secret-requirements.json", "requirements.json", "schema.json"}

// decided is a blueprint without what only says how it came about.
func decided(b *pack.Blueprint) pack.Blueprint {
	d := *b
	d.Digest, d.Integrity, d.Findings = "", nil, nil
	return d
}

// FuzzDocuments puts anything in the place of one document of a pack. What Open
// refuses, Inspect has for its first problem; the digest notices every change of what
// decides a run; documents that only explain are no reason to refuse a pack.
func FuzzDocuments(f *testing.F) {
	names := slices.Sorted(maps.Keys(wordy()))
	for i, name := range names {
		f.Add(uint8(i), wordy()[name].Data)
	}
	add := func(name, text string) { f.Add(uint8(slices.Index(names, name)), []byte(text)) }
	add("sbom.json", `{"format":"greentic-sbom-v1","files":[{"path":"setup.yaml","size":1,"hash_blake3":"`+strings.Repeat("0", 64)+`"}]}`)
	add("pack.lock.json", `{"version":1,"components":{"c":{"resolved_digest":"sha256:`+strings.Repeat("0", 64)+`"}}}`)
	add("components/c/component.manifest.json", `{"id":7}`)
	add("flows/setup_default/flow.ygtc", "id: f\ntype: job\nnodes:\n  n: {c: {}, routing: [{to: n, condition: x}]}\n")
	t := &testing.T{} // the builders only use it to fail
	whole, err := pack.OpenBytes(zipOf(t, wordy()), "fuzz", pack.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, which uint8, text []byte) {
		if int(which) >= len(names) {
			return
		}
		name, files := names[which], wordy()
		files[name].Data = text
		archive := zipOf(t, files)
		if used, most := checkOpen(t, archive), uint64(len(text))*600+2<<20; used > most {
			t.Errorf("%d bytes of %s allocate %d; at most %d", len(text), name, used, most)
		}
		before := allocated()
		in, err := pack.InspectBytes(archive, "fuzz", pack.Options{})
		if used, most := allocated()-before, uint64(len(text))*600+2<<20; used > most {
			t.Errorf("to describe %d bytes of %s allocates %d; at most %d", len(text), name, used, most)
		}
		b, opening := pack.OpenBytes(archive, "fuzz", pack.Options{})
		refusal, _ := errors.AsType[*pack.Error](opening)
		switch {
		case err != nil:
			if opening == nil || opening.Error() != err.Error() {
				t.Fatalf("described: %v, opened: %v", err, opening)
			}
		case refusal != nil:
			if p := in.Problems[0]; p != (pack.Problem{Rule: refusal.Rule, Entry: refusal.Entry, Detail: refusal.Detail, Hint: refusal.Hint}) {
				t.Errorf("the first problem is %+v; opening fails with %v", p, refusal)
			}
		case len(in.Problems) > 0 || in.Digest != b.Digest:
			t.Errorf("described: %s, problems %+v; opened: %s", in.Digest, in.Problems, b.Digest)
		}
		if opening != nil {
			if slices.Contains(explaining, name) {
				t.Errorf("%s is reason enough to refuse the pack: %v", name, opening)
			}
			return
		}
		if b.Digest == whole.Digest && !reflect.DeepEqual(decided(b), decided(whole)) {
			t.Errorf("the digest is the same with another %s", name)
		}
		if text, err := json.Marshal(in); err != nil || len(text) > 40*len(archive)+64<<10 {
			t.Errorf("%d bytes of pack are described with %d, %v", len(archive), len(text), err)
		}
	})
}

// The documents that cost most per byte, as large as they may be.
func TestDecodeIsBounded(t *testing.T) {
	// rows repeats one element in arrays of at most MaxElements.
	rows := func(open, element, separator, close string, most int) string {
		var b strings.Builder
		for b.Len() < most {
			n := min(pack.MaxElements, (most-b.Len())/(len(element)+len(separator)))
			b.WriteString(open + strings.Repeat(element+separator, max(n-1, 0)) + element + close)
		}
		return b.String()
	}
	const head = `{"id":"p","version":"1",`
	const room = pack.MaxDocument - 1<<10
	cborFlows := func(elements int, element string) string {
		b := []byte("\xa4\x6eschema_version\x67pack-v1\x67pack_id\x61p\x67version\x611\x65flows\x9a")
		b = append(b, byte(elements>>24), byte(elements>>16), byte(elements>>8), byte(elements))
		return string(b) + strings.Repeat(element, elements)
	}
	entrypoints := "\xa1\x6bentrypoints\x99\xff\xff" + strings.Repeat("\x60", 65535)
	for name, m := range map[string]struct{ file, text string }{
		"JSON, empty flows":       {"pack.json", head + `"flows":` + rows("[", "{}", ",", "]", 3*pack.MaxElements-10) + "}"},
		"JSON, empty entrypoints": {"pack.json", head + `"flows":[` + strings.Repeat(`{"entrypoints":`+rows("[", `""`, ",", "]", 3*65000)+`},`, 21) + "{}]}"},
		"JSON, nested lists":      {"pack.json", head + `"x":[` + strings.Repeat(rows("[", "[]", ",", "]", 3*65000)+",", 21) + "{}]}"},
		"JSON, names":             {"pack.json", manyMembers(65536)},
		"JSON, one string":        {"pack.json", `{"id":"` + strings.Repeat(`\u0000`, room/6) + `"}`},
		"CBOR, empty flows":       {"manifest.cbor", cborFlows(65536, "\xa0")},
		"CBOR, empty entrypoints": {"manifest.cbor", cborFlows(63, entrypoints)},
		"CBOR, names":             {"manifest.cbor", cborNames(65535)},
		"CBOR, small maps":        {"manifest.cbor", "\x98\x3f" + strings.Repeat("\x99\x40\x00"+strings.Repeat("\xa1\x61a\x00", 16384), 63)},
		"CBOR, lists":             {"manifest.cbor", "\x98\x3f" + strings.Repeat("\x99\xff\xff"+strings.Repeat("\x80", 65535), 63)},
		"CBOR, maps":              {"manifest.cbor", "\x98\x3f" + strings.Repeat("\x99\xff\xff"+strings.Repeat("\xa0", 65535), 63)},
	} {
		t.Run(name, func(t *testing.T) {
			if len(m.text) > pack.MaxDocument {
				t.Fatalf("%d bytes", len(m.text))
			}
			used := checkOpen(t, rawZip([]rawEntry{stored(m.file, m.text)}))
			t.Logf("%d KiB of document allocate %d KiB", len(m.text)>>10, used>>10)
			if used > maxDecode {
				t.Errorf("%d bytes of document allocate %d; at most %d", len(m.text), used, maxDecode)
			}
		})
	}
}

func cborNames(n int) string {
	b := []byte{0xb9, byte(n >> 8), byte(n)}
	for i := range n {
		b = fmt.Appendf(b, "\x65%05d\x00", i)
	}
	return string(b)
}

// Hostile archives cost in proportion to what is there, not to what they say.
func TestRefusalIsCheap(t *testing.T) {
	for _, r := range refusals {
		b := r.build(t)
		if used, most := checkOpen(t, b), uint64(len(b))*40+16<<20; used > most {
			t.Errorf("%s: %d bytes allocate %d; at most %d", r.name, len(b), used, most)
		}
	}
}
