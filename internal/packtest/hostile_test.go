package packtest_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"

	"github.com/greentic-ai/greentic-provision/capability"
	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/internal/buildinfo"
	"github.com/greentic-ai/greentic-provision/internal/workertest"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
	"github.com/greentic-ai/greentic-provision/supervisor"
)

func TestMain(m *testing.M) { workertest.Main(m) }

// The preambles of a core module and of a component.
const (
	coreWasm      = "\x00asm\x01\x00\x00\x00"
	componentWasm = "\x00asm\x0d\x00\x01\x00"
)

// section is one of a WebAssembly binary.
func section(id byte, content string) string { return string(id) + leb(len(content)) + content }

// leb is an unsigned number in LEB128.
func leb(n int) string {
	b := []byte{}
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return string(append(b, byte(n)))
}

// text is a name in a binary.
func text(s string) string { return leb(len(s)) + s }

// step is a core module that speaks the contract: a memory, and run, which gives the
// first two bytes of it, "{}".
var step = coreWasm +
	section(1, "\x01\x60\x02\x7f\x7f\x02\x7f\x7f") +
	section(3, "\x01\x00") +
	section(5, "\x01\x00\x01") +
	section(7, "\x02"+text("memory")+"\x02\x00"+text("run")+"\x00\x00") +
	section(10, "\x01\x06\x00\x41\x00\x41\x02\x0b") +
	section(11, "\x01\x00\x41\x00\x0b"+text("{}"))

// importing is a core module with that many imports, each of a name of its own.
func importing(n int) string {
	var list strings.Builder
	for i := range n {
		list.WriteString(text(fmt.Sprintf("m%d", i)) + text("f") + "\x00\x00")
	}
	return coreWasm + section(1, "\x01\x60\x00\x00") + section(2, leb(n)+list.String())
}

// importingComponent is the same as a component, in text.
func importingComponent(n int) string {
	var b strings.Builder
	b.WriteString("(component\n")
	for i := range n {
		fmt.Fprintf(&b, "  (import \"f%d\" (func))\n", i)
	}
	return b.String() + ")"
}

// What of a pack only the worker can see, for it alone parses WebAssembly: the verdict
// says which rule is broken and the message where, no guest code runs, nothing is
// written, and the program's own memory stays flat.
func TestHostileBinaries(t *testing.T) {
	const wasm, wat = "setup_default__apply.wasm", "setup_default__apply.wat"
	type binary struct {
		name, file, bytes string
		verdict           limits.Verdict
		part              string // of the message
	}
	for _, row := range []struct {
		name     string
		binaries []binary
	}{
		{"wasm: sound", []binary{{"core", wasm, step, limits.OK, ""}}},
		{"wasm: truncated", []binary{
			{"within a header", wasm, step[:9], limits.CompileFailed, "unexpected end"},
			{"within the types", wasm, step[:14], limits.CompileFailed, "unexpected end"},
			{"within the code", wasm, step[:strings.Index(step, "\x41\x02\x0b")], limits.CompileFailed, "unexpected end"},
			{"by a byte", wasm, step[:len(step)-1], limits.CompileFailed, "unexpected end"},
			{"to its preamble", wasm, coreWasm, limits.ContractMismatch, "exports no memory"},
			{"component to its preamble", wasm, componentWasm, limits.ContractMismatch, "exports no interface"},
			{"component within a module", wasm, (componentWasm + section(1, step))[:60], limits.CompileFailed, "out of bounds"},
			{"text", wat, "(module (memory", limits.CompileFailed, "unexpected token"},
		}},
		{"wasm: wrong layer", []binary{
			{"a component's preamble before a module", wasm, componentWasm + step[8:], limits.CompileFailed, "could not be compiled"},
			{"a module's preamble before a component", wasm, coreWasm + section(1, step), limits.CompileFailed, "could not be compiled"},
		}},
		{"wasm: thousands of imports", []binary{
			{"ten thousand", wasm, importing(10_000), limits.ContractMismatch, "may not import anything"},
			{"a thousand into a component", wat, importingComponent(1000), limits.ContractMismatch, "imports: f0, f1, f2"},
			{"five thousand into a component", wat, importingComponent(5000), limits.ContractMismatch, "too large"},
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, b := range row.binaries {
				t.Run(b.name, func(t *testing.T) {
					archive := zipped(t, source(map[string]string{
						"pack.json": `{"id":"p","version":"1","meta":{"entry_flows":{"setup":"setup_default"}}}`, b.file: b.bytes,
					}))
					res, took := run(t, archive)
					exit := map[limits.Verdict]int{limits.OK: engine.ExitOK, limits.ContractMismatch: engine.ExitPack, limits.CompileFailed: engine.ExitStopped}[b.verdict]
					if res.Verdict != b.verdict || res.ExitCode != exit {
						t.Fatalf("verdict %s, exit code %d, %+v", res.Verdict, res.ExitCode, res.Diagnostics)
					}
					if most := uint64(len(archive)*20 + 16<<20); took > most {
						t.Errorf("%d bytes of pack allocate %d; at most %d", len(archive), took, most)
					}
					at := slices.IndexFunc(res.Diagnostics, func(d plan.Diagnostic) bool { return d.Severity == plan.Error })
					if b.verdict == limits.OK {
						if at >= 0 {
							t.Errorf("%+v", res.Diagnostics[at])
						}
						return
					}
					if d := res.Diagnostics[at]; d.Path != b.file || !strings.Contains(d.Message, b.part) || len(d.Message) > 5000 {
						t.Errorf("%+v", d)
					}
				})
			}
		})
	}
}

// run does what the program does with a pack, in an otherwise empty place, with a real
// worker. took is what was allocated here.
func run(t *testing.T, archive []byte) (res *engine.Result, took uint64) {
	t.Helper()
	dir := t.TempDir()
	name := filepath.Join(dir, "p.gtpack")
	if err := os.WriteFile(name, archive, 0o600); err != nil {
		t.Fatal(err)
	}
	before := allocated()
	blueprint, err := pack.Open(name, pack.Options{})
	if err != nil {
		t.Fatal(err)
	}
	l := limits.Default()
	s, err := supervisor.New(supervisor.Config{Worker: workertest.Path, Build: buildinfo.Version, Limits: l, Isolation: limits.Standard})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	host := capability.NewHost(capability.Config{Limits: l})
	lease, err := s.Open(t.Context(), blueprint.Components, host)
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Close()
	res, err = engine.Run(context.WithoutCancel(t.Context()), engine.Config{
		Blueprint: blueprint, Inputs: plan.Inputs{ProviderID: "p", InstallID: "i"},
		Runner: lease, Host: host, Limits: l, Receipt: lease.Receipt,
	})
	if err != nil {
		t.Fatal(err)
	}
	took = allocated() - before
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("%d files lie beside the pack, %v", len(files)-1, err)
	}
	return res, took
}

// allocated is what the program has allocated so far, in bytes.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
