package pack_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/greentic-ai/greentic-provision/capability"
	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/flow"
	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
)

// hostility is one way in which a pack attacks. refusals names packs of the other
// tables; packs are those that no other test needs. A pack without a rule is one
// that is taken and does no harm.
type hostility struct {
	row      string
	refusals []string
	packs    []refusal
}

// hostilities are the hostile packs of the threat list, in its order.
var hostilities = []hostility{
	{row: "zip: path traversal", refusals: []string{"parent", "parent inside", "parent last", "dot", "dot inside", "empty element",
		"tar parent", "tar parent in the prefix", "tar parent in pax", "tar dot"}},
	{row: "zip: absolute names", refusals: []string{"absolute", "slash only", "tar absolute"}},
	{row: "zip: drive letters", refusals: []string{"drive", "drive without slash"},
		packs: []refusal{{"in a tar archive", tarOfHeaders(file("c:/x", "")), pack.RuleName, "c:/x", "drive letter"}}},
	{row: "zip: backslashes", refusals: []string{"backslash"},
		packs: []refusal{{"in a tar archive", tarOfHeaders(file(`..\x`, "")), pack.RuleName, `..\x`, "backslash"}}},
	{row: "zip: NUL in names", refusals: []string{"NUL", "tar NUL in pax"}},
	{row: "zip: names that differ in case only", refusals: []string{"case", "case beyond ASCII", "normalisation", "case of a parent", "tar case"}},
	{row: "zip: names that are there twice", refusals: []string{"twice", "file and directory", "directory and file", "tar twice"}},
	{row: "zip: symlinks and devices", refusals: []string{"symlink", "character device", "fifo", "tar symlink", "tar hard link", "tar device", "tar pipe", "tar sparse file", "tar sparse file of pax"},
		packs: []refusal{
			{"block device", with(func(e *rawEntry) { e.attrs = 0o060644 << 16 }), pack.RuleKind, "x", "file type 060000"},
			{"socket", with(func(e *rawEntry) { e.attrs = 0o140644 << 16 }), pack.RuleKind, "x", "file type 0140000"},
			{"symlink in place of the manifest", func(*testing.T) []byte {
				e := sound()
				e[0].attrs = 0o120777 << 16
				return rawZip(e)
			}, pack.RuleKind, "pack.json", "symbolic link"},
		}},
	{row: "zip: encrypted entries", refusals: []string{"encrypted", "strongly encrypted", "masked headers"},
		packs: []refusal{{"AES", with(func(e *rawEntry) { e.method = 99 }), pack.RuleMethod, "x", "method 99"}}},
	{row: "zip: zip64 lies", refusals: []string{"zip64 locator", "zip64 values", "zip64 sizes beyond the file", "zip64 sizes that wrap around"},
		packs: []refusal{
			{"the right sizes", with(func(e *rawEntry) {
				e.csize, e.usize = 0xffffffff, 0xffffffff
				e.extra = zip64Extra(5, 5)
			}), pack.RuleArchive, "x", "zip64"},
			{"other sizes than the record has", with(func(e *rawEntry) { e.extra = zip64Extra(7, 7) }), pack.RuleArchive, "x", "zip64"},
			{"an offset in the clouds", with(func(e *rawEntry) {
				e.offset = 0xffffffff
				e.extra = []byte{0x55, 0x54, 1, 0, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0x40} // 2^62, behind another field
			}), pack.RuleArchive, "x", "zip64"},
			{"no room for the sizes", with(func(e *rawEntry) {
				e.csize = 0xffffffff
				e.extra = []byte{1, 0, 0, 0}
			}), pack.RuleArchive, "", "does not hold"},
		}},
	{row: "zip: declared sizes that differ from the real ones", refusals: []string{"stored, two sizes", "inflates to less", "inflates to more", "bytes after the compressed stream",
		"directory with content", "reaches into the directory", "directory length lies", "directory with a gap at its end", "directory of which nothing is counted", "count too small", "count too large", "checksum", "tar entry beyond the end", "pax size beyond the end", "tar directory with content"}},
	{row: "zip: nested and ratio bombs", refusals: []string{"bomb that declares 1,000 bytes", "nine entries of 60 MiB", "declares more than DEFLATE can give", "entry of 64 MiB and a byte", "overlap"},
		packs: []refusal{
			{"archives within archives, ten deep", func(t *testing.T) []byte {
				return rawZip(sound(stored("bomb.zip", string(nestedBomb(t, 10)))))
			}, "", "", ""}, // 256 GiB, if somebody opened them
			{"an archive as a module", func(t *testing.T) []byte {
				return rawZip(append(sound()[:1], stored("setup_default__apply.wasm", string(nestedBomb(t, 1)))))
			}, pack.RuleComponent, "setup_default__apply.wasm", "begins with 50 4b 03 04"},
			{"zeros that nobody wants", func(*testing.T) []byte { return rawZip(sound(deflated("x", make([]byte, 8<<20)))) }, "", "", ""},
			{"a manifest of spaces", func(*testing.T) []byte {
				return rawZip([]rawEntry{deflated("pack.json", bytes.Repeat([]byte(" "), 8<<20))})
			}, pack.RuleDocument, "pack.json", "is 8388608 bytes"},
		}},
	{row: "zip: 100,000 entries", refusals: []string{"100,000 entries, count honest modulo 65,536", "100,000 entries, count lies", "66,000 entries behind a count of 464", "tar of 4,097 entries"}},

	{row: "CBOR: huge declared lengths", refusals: []string{"CBOR string of 2^63 bytes", "CBOR bytes of 4 GiB", "CBOR array of 2^64-1", "CBOR map of 2^32-1", "CBOR array of 65,536 without content"},
		packs: []refusal{
			{"in an inventory", stating("sbom.cbor", "a2 66666f726d6174 70677265656e7469632d73626f6d2d7631 6566696c6573 9b00ffffffffffffff"), pack.RuleIntegrity, "sbom.cbor", "document"},
			{"in a lock", stating("pack.lock.cbor", "a1 6a636f6d706f6e656e7473 bb00000000ffffffff"), pack.RuleIntegrity, "pack.lock.cbor", "document"},
		}},
	{row: "CBOR: deep nesting", refusals: []string{"CBOR nested 65 deep", "CBOR nested a million deep"},
		packs: []refusal{
			{"in an inventory", stating("sbom.cbor", "a1 6566696c6573"+strings.Repeat("81", 100_000)), pack.RuleIntegrity, "sbom.cbor", "nested deeper than 64 levels"},
			{"in a lock", stating("pack.lock.cbor", "a1 6a636f6d706f6e656e7473"+strings.Repeat("9f", 100_000)), pack.RuleIntegrity, "pack.lock.cbor", "nested deeper than 64 levels"},
		}},
	{row: "CBOR: duplicate keys", refusals: []string{"CBOR key twice", "CBOR key twice where nobody looks", "CBOR key twice, two encodings", "CBOR key twice among many", "CBOR duplicate key in an indefinite map"},
		packs: []refusal{{"in an inventory", stating("sbom.cbor", "a2 6566696c6573 80 6566696c6573 80"), pack.RuleIntegrity, "sbom.cbor", "duplicate map key"}}},
	{row: "CBOR: indefinite lengths", refusals: []string{"CBOR indefinite map without an end", "CBOR break after a key", "CBOR indefinite array of too many", "CBOR indefinite text", "CBOR break in a definite array", "CBOR break alone"},
		packs: []refusal{{"in an inventory", stating("sbom.cbor", "bf 6566696c6573 9f"), pack.RuleIntegrity, "sbom.cbor", "unexpected EOF"}}},
	{row: "CBOR: tags", refusals: []string{"CBOR tag", "CBOR self-describing tag"},
		packs: []refusal{{"in an inventory", stating("sbom.cbor", "a1 6566696c6573 c0 80"), pack.RuleIntegrity, "sbom.cbor", "tag"}}},
	{row: "CBOR: symbol index out of range", refusals: []string{"symbol of the pack", "symbol without tables", "symbol beyond 2^63", "symbol of a component", "symbol of a capability", "symbol of a node"}},

	{row: "YAML: alias bombs", packs: []refusal{
		{"in a flow", flowFile("flow.ygtc", "id: f\ntype: job\nnodes:\n"+aliasBomb("  ")), pack.RuleStep, "", `"flows/setup_default/flow.ygtc": flow: FLOW_SYNTAX: YAML: an anchor, alias`},
		{"merge keys in a flow", flowFile("flow.ygtc", "id: f\ntype: job\nnodes: {}\nx: {<<: {a: 1}}\n"), pack.RuleStep, "", `"flows/setup_default/flow.ygtc": flow: FLOW_SYNTAX: YAML: an anchor, alias`},
		{"nested lists in a flow", flowFile("flow.ygtc", "id: f\ntype: job\nnodes: "+strings.Repeat("[", 30_000)), pack.RuleStep, "", `"flows/setup_default/flow.ygtc": flow: FLOW_SYNTAX: YAML: nests deeper`},
	}},
	{row: "JSON: depth", refusals: []string{"JSON nested 65 deep", "JSON nested a million deep"},
		packs: []refusal{
			{"of a flow", flowFile("flow.json", `{"id":"f","nodes":`+strings.Repeat("[", 1<<20)), pack.RuleStep, "", `"flows/setup_default/flow.json": flow: FLOW_SYNTAX: JSON at /nodes/0/0/`},
			{"of an inventory", statingText("sbom.json", `{"files":`+strings.Repeat(`{"a":`, 100_000)), pack.RuleIntegrity, "sbom.json", "nests deeper than 64"},
			{"of a lock", statingText("pack.lock.json", `{"components":`+strings.Repeat("[", 100_000)), pack.RuleIntegrity, "pack.lock.json", "nests deeper than 64"},
		}},
	{row: "JSON: size", refusals: []string{"JSON of 4 MiB and a byte", "JSON with 65,537 elements", "JSON with 65,537 members", "JSON of too many values"},
		packs: []refusal{
			{"of a flow", flowFile("flow.json", `{"id":"`+strings.Repeat("x", pack.MaxDocument)), pack.RuleStep, "", `"flows/setup_default/flow.json": is 4194311 bytes; at most 4194304`},
			{"of an inventory", statingText("sbom.json", strings.Repeat(" ", pack.MaxDocument+1)), pack.RuleIntegrity, "sbom.json", "at most 4194304"},
			{"of the elements of an inventory", statingText("sbom.json", `{"format":"greentic-sbom-v1","files":[`+strings.Repeat("{},", 65_536)+"{}]}"), pack.RuleIntegrity, "sbom.json", "more than 65536 elements"},
		}},

	{row: "flow graph: cycles", packs: []refusal{
		{"of two nodes", graphed("a>b", "b>a"), pack.RuleStep, "", `flow "setup_default": node "a": FLOW_STEP_CAP: its routes go round and never end: "a", "b", "a"`},
		{"behind a tail", graphed("t>a", "a>b", "b>c", "c>b"), pack.RuleStep, "", `node "b": FLOW_STEP_CAP`},
		{"of ten thousand nodes", ring(flow.MaxNodes), pack.RuleStep, "", "and 9993 more"},
		{"in a source", flowFile("flow.ygtc", "id: f\ntype: job\nnodes:\n  a: {x: 1, routing: [{to: b}]}\n  b: {x: 1, routing: [{to: a}]}\n"), pack.RuleStep, "", `"a", "b", "a"`},
	}},
	{row: "flow graph: missing nodes", packs: []refusal{
		{"by a route", graphed("a>gone"), pack.RuleStep, "", `flow "setup_default": node "a": component "c": FLOW_NODE_NOT_FOUND: its route leads to the node "gone"`},
		{"by a branch", flowFile("flow.json", `{"id":"f","nodes":{"a":{"component":"c","routing":{"branch":{"on_status":{"ok":"gone"},"default":"a"}}}}}`), pack.RuleStep, "", `node "a": component "c": FLOW_NODE_NOT_FOUND`},
		{"in a source", flowFile("flow.ygtc", "id: f\ntype: job\nnodes:\n  a: {x: 1, routing: [{to: gone}]}\n"), pack.RuleStep, "", `"flows/setup_default/flow.ygtc": flow "f": node "a": FLOW_NODE_NOT_FOUND`},
	}},
	{row: "flow graph: nodes that route to themselves", packs: []refusal{
		{"in a flow", graphed("a>a"), pack.RuleStep, "", `node "a": FLOW_STEP_CAP: its routes go round and never end: "a", "a"`},
		{"in a manifest", v1(func(m object) {
			m["flows"] = []object{{"id": "setup_default", "entrypoints": []string{"setup"}, "flow": object{"nodes": []object{
				{"id": 0, "component": object{"id": 0}, "routing": object{"Next": object{"node_id": 0}}}}}}}
		}), pack.RuleStep, "", `node "n0": FLOW_STEP_CAP`},
	}},
	{row: "flow graph: 10,000 nodes", packs: []refusal{
		{"10,000 in a line", line(flow.MaxNodes), "", "", ""},
		{"10,001 in a line", line(flow.MaxNodes + 1), pack.RuleStep, "", `"flows/setup_default/flow.json": flow "setup_default": FLOW_SIZE: has more than 10000 nodes`},
	}},

	{row: "wasm: truncated", refusals: []string{"empty wasm"},
		packs: []refusal{{"within its preamble", applyModule("wasm", "\x00asm\x01\x00\x00"), pack.RuleComponent, "setup_default__apply.wasm", "is 7 bytes long; a preamble has 8"}}},
	{row: "wasm: wrong layer", refusals: []string{"wasm of an unknown layer", "not wasm", "text as wasm", "wasm as text"}},
	{row: "hash in SBOM differs from the bytes", refusals: []string{"inventory"},
		packs: []refusal{
			{"of a module", lying(func(files fstest.MapFS) { files["setup_default__apply.wat"].Data = []byte("(module )") }), pack.RuleIntegrity, "setup_default__apply.wat", "hash: has the BLAKE3"},
			{"of the manifest", lying(func(files fstest.MapFS) { files["pack.json"].Data = append(files["pack.json"].Data, '\n') }), pack.RuleIntegrity, "pack.json", "hash: has the BLAKE3"},
			{"in size only", lying(func(files fstest.MapFS) {
				sbom := files["sbom.json"]
				sbom.Data = bytes.Replace(sbom.Data, []byte(`"size":8`), []byte(`"size":9`), 1)
			}), pack.RuleIntegrity, "setup_default__apply.wat", "size: has 8 bytes"},
			{"of a module beside it", lying(func(files fstest.MapFS) {
				files["components/setup_default__apply.wasm"] = &fstest.MapFile{Data: []byte("\x00asm\x01\x00\x00\x00")}
			}), pack.RuleIntegrity, "components/setup_default__apply.wasm", "not in inventory"},
		}},
	{row: "hash in lock differs from the bytes", packs: []refusal{
		{"by path", locking("pack.lock.json", `{"schema_version":1,"components":[{"name":"c","path":"components/c.wasm","sha256":"%s"}]}`), pack.RuleIntegrity, "components/c.wasm", "pack.lock.json locks the component"},
		{"by id", locking("pack.lock", `{"version":1,"components":{"c":{"component_id":"c","resolved_digest":"sha256:%s"}}}`), pack.RuleIntegrity, "components/c.wasm", "pack.lock locks the component"},
	}},
}

// stating is a sound pack with one more document, in CBOR.
func stating(name, hexText string) func(*testing.T) []byte {
	return func(t *testing.T) []byte {
		b, err := hex.DecodeString(strings.ReplaceAll(hexText, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		return rawZip(sound(stored(name, string(b))))
	}
}

func statingText(name, text string) func(*testing.T) []byte {
	return func(*testing.T) []byte { return rawZip(sound(stored(name, text))) }
}

// flowFile is a pack that can only be run through its flow.
func flowFile(name, text string) func(*testing.T) []byte {
	return func(*testing.T) []byte {
		return rawZip([]rawEntry{stored("pack.json", packJSON), stored("flows/setup_default/"+name, text)})
	}
}

// graphed is a flow of nodes that are written "a>b".
func graphed(routes ...string) func(*testing.T) []byte {
	var nodes []string
	for _, r := range routes {
		from, to, _ := strings.Cut(r, ">")
		routing := `"end"`
		if to != "" {
			routing = fmt.Sprintf(`{"next":{"node_id":%q}}`, to)
		}
		nodes = append(nodes, fmt.Sprintf(`{"id":%q,"component":"c","routing":%s}`, from, routing))
	}
	return flowFile("flow.json", `{"id":"setup_default","nodes":[`+strings.Join(nodes, ",")+`]}`)
}

func line(n int) func(*testing.T) []byte {
	routes := make([]string, n)
	for i := range routes {
		routes[i] = fmt.Sprintf("n%d>n%d", i, i+1)
	}
	routes[n-1] = fmt.Sprintf("n%d>", n-1)
	return graphed(routes...)
}

func ring(n int) func(*testing.T) []byte {
	routes := make([]string, n)
	for i := range routes {
		routes[i] = fmt.Sprintf("n%d>n%d", i, (i+1)%n)
	}
	return graphed(routes...)
}

// nestedBomb is four zip archives in one, and in each four more, as deep as depth,
// around 256 KiB of zeros.
func nestedBomb(t *testing.T, depth int) []byte {
	b := make([]byte, 256<<10)
	for range depth {
		var outer bytes.Buffer
		w := zip.NewWriter(&outer)
		for i := range 4 {
			f, err := w.Create(fmt.Sprintf("%d.zip", i))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Write(b); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		b = outer.Bytes()
	}
	return b
}

// aliasBomb is a mapping of lists, each of ten times the one before.
func aliasBomb(indent string) string {
	b := indent + "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 9 {
		b += fmt.Sprintf("%sa%d: &a%d [%s]\n", indent, i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", "))
	}
	return b
}

// lying is a pack with an inventory, and what was done to it after that was made.
func lying(change func(files fstest.MapFS)) func(*testing.T) []byte {
	return func(t *testing.T) []byte {
		files := fstest.MapFS{"pack.json": {Data: []byte(packJSON)}, "setup_default__apply.wat": {Data: []byte("(module)")}}
		files["sbom.json"] = &fstest.MapFile{Data: sbomOf(files, "pack.json", "setup_default__apply.wat")}
		change(files)
		return zipOf(t, files)
	}
}

// locking is a pack with the component c, whose lock has the hash of other bytes.
func locking(name, lock string) func(*testing.T) []byte {
	return func(t *testing.T) []byte {
		return zipOf(t, fstest.MapFS{
			"manifest.json":     {Data: []byte(`{"schema_version":"pack-v1","pack_id":"p","version":"1","components":[{"id":"c"}],"flows":[{"id":"setup_default","flow":{"nodes":[{"id":"n","component":{"id":"c"}}]}}]}`)},
			"components/c.wasm": {Data: []byte("\x00asm\x0d\x00\x01\x00")},
			name:                {Data: fmt.Appendf(nil, lock, strings.Repeat("0", 64))},
		})
	}
}

// allocates bounds what a hostile pack of that many bytes makes the program allocate.
// Flows of ten thousand nodes are the most expensive: a node of 70 bytes takes 6 KiB
// on the way.
func allocates(archive int) uint64 { return min(uint64(archive)*100+16<<20, 96<<20) }

// unasked is a runner that is never asked: a hostile pack is refused before a worker
// sees a byte of it.
type unasked struct{ *testing.T }

func (u unasked) Examine(context.Context, int, string) (engine.Examined, error) {
	u.Error("a worker was asked")
	return engine.Examined{}, errors.New("asked")
}

func (u unasked) RunStep(context.Context, engine.Call) (engine.Reply, error) {
	u.Error("a step was run")
	return engine.Reply{}, errors.New("asked")
}

// place is a file in an otherwise empty part of the file system, which is also where
// a program would write that writes relative to where it is, temporarily, or at home.
type place struct{ root, pack string }

func newPlace(t *testing.T) place {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"here/there", "tmp", "home"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("TMPDIR", filepath.Join(root, "tmp"))
	t.Setenv("HOME", filepath.Join(root, "home"))
	t.Chdir(filepath.Join(root, "here", "there"))
	return place{root, filepath.Join(root, "here", "p.gtpack")}
}

// try does what the program does before it starts a worker, and gives the error that
// this ends with. For every pack nothing is written, and memory is bounded.
func (p place) try(t *testing.T, archive []byte) error {
	t.Helper()
	if err := os.WriteFile(p.pack, archive, 0o600); err != nil {
		t.Fatal(err)
	}
	before := listing(t, p.root)
	took := allocated()
	b, err := pack.Open(p.pack, pack.Options{})
	if err == nil && len(b.Components) == 0 { // else it is the worker's turn
		_, err = engine.Choose(t.Context(), b, unasked{t}, "", "")
	}
	if took = allocated() - took; took > allocates(len(archive)) {
		t.Errorf("%d bytes of pack allocate %d; at most %d", len(archive), took, allocates(len(archive)))
	}
	if after := listing(t, p.root); after != before {
		t.Errorf("before:\n%safter:\n%s", before, after)
	}
	return err
}

// listing is every file below a directory, with its size and time.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s %s %d %s\n", path, info.Mode(), info.Size(), info.ModTime())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// refused holds an error against what a person and a script need: the exit code of
// a bad pack, one line, the rule, and the entry that breaks it.
func refused(t *testing.T, err error, r refusal) {
	t.Helper()
	e, ok := errors.AsType[*pack.Error](err)
	if !ok || e.Rule != r.rule || r.entry != "" && e.Entry != r.entry || !strings.Contains(e.Detail, r.want) {
		t.Fatalf("got  %v\nwant %s %s: …%s…", err, r.entry, r.rule, r.want)
	}
	if code := engine.ExitCode(nil, err); code != engine.ExitPack {
		t.Errorf("exit code %d", code)
	}
	whole := slices.Contains([]pack.Rule{pack.RuleArchive, pack.RuleTar, pack.RuleEntries, pack.RuleStep}, e.Rule)
	if e.Entry == "" && !whole || !strings.Contains(err.Error(), string(e.Rule)+": ") || e.Entry != "" && !strings.Contains(err.Error(), "entry "+hostile.Quote(e.Entry)) {
		t.Errorf("the message names no entry or no rule: %v", err)
	}
	checkMessage(t, err)
}

// Every way in which a pack attacks ends with exit code 3 and an error that names
// entry and rule, before a worker is started, with nothing written, and within
// bounds that the pack has no say in.
func TestHostilePacks(t *testing.T) {
	known := map[string]refusal{}
	for _, r := range slices.Concat(refusals, tarRefusals) {
		known[r.name] = r
	}
	for _, o := range others {
		if o.options == (pack.Options{}) {
			known[o.name] = o.refusal
		}
	}
	t.Run("zip: truncated at every byte", truncated)
	t.Run("YAML: alias bombs in questions", bombsInQuestions)
	somewhere := newPlace(t)
	for _, h := range hostilities {
		t.Run(h.row, func(t *testing.T) {
			packs := slices.Clone(h.packs)
			for _, name := range h.refusals {
				r, ok := known[name]
				if !ok {
					t.Errorf("there is no pack %q", name)
				}
				packs = append(packs, r)
			}
			for _, r := range packs {
				t.Run(r.name, func(t *testing.T) {
					err := somewhere.try(t, r.build(t))
					switch {
					case r.rule != "":
						refused(t, err, r)
					case err != nil:
						t.Error(err)
					}
				})
			}
		})
	}
}

// truncated cuts archives of both kinds and a manifest in CBOR at every byte.
func truncated(t *testing.T) {
	cbor := v1(func(m object) { m["flows"] = []object{setupFlow(0, 1)} })(t)
	manifest := cbor[bytes.Index(cbor, []byte("manifest.cbor"))+len("manifest.cbor"):]
	manifest = manifest[:bytes.Index(manifest, []byte("PK\x01\x02"))]
	for name, c := range map[string]struct {
		whole []byte
		wrap  func([]byte) []byte
		rules []pack.Rule
		entry string
	}{
		"zip":      {rawZip(append(sound()[:1], deflated("setup_default__apply.wat", []byte("(module)")))), nil, []pack.Rule{pack.RuleForm, pack.RuleArchive}, ""},
		"tar":      {soundTar(), nil, []pack.Rule{pack.RuleForm, pack.RuleTar}, ""},
		"manifest": {manifest, func(b []byte) []byte { return rawZip([]rawEntry{stored("manifest.cbor", string(b))}) }, []pack.Rule{pack.RuleSyntax}, "manifest.cbor"},
	} {
		t.Run(name, func(t *testing.T) {
			for n := range c.whole {
				b := c.whole[:n]
				if c.wrap != nil {
					b = c.wrap(b)
				}
				got, err := pack.OpenBytes(b, "cut", pack.Options{})
				e, ok := errors.AsType[*pack.Error](err)
				if got != nil || !ok || !slices.Contains(c.rules, e.Rule) || c.entry != "" && e.Entry != c.entry || engine.ExitCode(nil, err) != engine.ExitPack {
					t.Fatalf("cut to %d of %d bytes: %v", n, len(c.whole), err)
				}
				checkMessage(t, err)
			}
		})
	}
}

// bombsInQuestions are no reason to refuse a pack, for its questions only explain
// what the components ask: a finding names the file, and the run goes on without.
func bombsInQuestions(t *testing.T) {
	for name, text := range map[string]string{
		"values": aliasBomb(""),
		"text":   "a: &a \"" + strings.Repeat("x", 20_000) + "\"\nb: [" + strings.TrimSuffix(strings.Repeat("*a,", 3000), ",") + "]\n",
	} {
		t.Run(name, func(t *testing.T) {
			archive := rawZip([]rawEntry{stored("pack.json", `{"id":"p","version":"1"}`), stored("setup.yaml", text)})
			b, err := pack.OpenBytes(archive, "x", pack.Options{Entry: pack.EntryRequirements})
			if err != nil {
				t.Fatal(err)
			}
			took := allocated()
			res, err := engine.Run(t.Context(), engine.Config{
				Blueprint: b, Runner: unasked{t}, Host: capability.NewHost(capability.Config{}), Limits: limits.Default(),
				Inputs: plan.Inputs{ProviderID: "p", InstallID: "i"}, Receipt: func() limits.Receipt { return limits.Receipt{} },
			})
			if took = allocated() - took; took > 32<<20 {
				t.Errorf("%d bytes of YAML allocate %d", len(text), took)
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := res.Diagnostics[0]; d.Severity != plan.Warn || d.Code != "QUESTIONS_UNREADABLE" || d.Path != "setup.yaml" || !strings.Contains(d.Message, "aliases followed") {
				t.Errorf("%+v", d)
			}
		})
	}
}
