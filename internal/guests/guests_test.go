package guests

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/greentic-ai/greentic-provision/limits"
)

// TestAll holds every guest of this repository against the rules, and the set
// of them against what a set must cover.
func TestAll(t *testing.T) {
	list, err := All()
	if err != nil {
		t.Fatal(err)
	}
	if onDisk, err := filepath.Glob("../../testdata/guests/*.wat"); err != nil || len(onDisk) != len(list) {
		t.Errorf("%d guests are built in, %d are on disk (%v)", len(list), len(onDisk), err)
	}
	covered := map[limits.Verdict]bool{}
	contracts := map[string]int{}
	for _, g := range list {
		for _, c := range []limits.Codegen{limits.Native, limits.Interpreter} {
			for _, v := range g.Verdicts(c) {
				covered[v] = true
			}
		}
		contracts[g.Contract]++
	}
	// What a guest can bring about by the rules or through the engine's known flaws; the
	// others need a worker that was taken over, or a fault of ours.
	for _, v := range []limits.Verdict{limits.OK, limits.GuestError, limits.Trap, limits.Deadline, limits.MemoryLimit,
		limits.OutputLimit, limits.HostcallLimit, limits.ContractMismatch, limits.CompileFailed, limits.WorkerCrash} {
		if !covered[v] {
			t.Errorf("no guest ends with %s", v)
		}
	}
	if len(list) < 100 || contracts["core"] < 20 || contracts["component"] < 20 {
		t.Errorf("%d guests (%v): some are missing", len(list), contracts)
	}
}

const good = ";; behaviour: loops\n;; contract: core\n;; advisory: CVE-1\n;; advisory: CVE-2\n;; verdict: deadline or trap\n;; verdict-interpreter: trap\n;; limits: step-timeout=500ms max-log=1KiB max-host-calls=3\n" +
	";; note: one\n;; note: two\n\n;; a comment: not a header\n(module)\n"

func load(t *testing.T, name, text string) (Guest, error) {
	t.Helper()
	list, err := Load(fstest.MapFS{name: {Data: []byte(text)}, "README.md": {}})
	if err != nil {
		return Guest{}, err
	}
	return list[0], nil
}

func TestLoad(t *testing.T) {
	g, err := load(t, "loop-core.wat", good)
	if err != nil {
		t.Fatal(err)
	}
	if g.Name != "loop-core" || g.Behaviour != "loops" || g.Contract != "core" || g.Note != "one two" || string(g.Source) != good || !slices.Equal(g.Advisories, []string{"CVE-1", "CVE-2"}) {
		t.Errorf("%+v", g)
	}
	for c, want := range map[limits.Codegen][]limits.Verdict{limits.Native: {limits.Deadline, limits.Trap}, limits.Interpreter: {limits.Trap}} {
		if got := g.Verdicts(c); !slices.Equal(got, want) {
			t.Errorf("%s: verdicts %v, want %v", c, got, want)
		}
	}
	if !g.Accepts(limits.Deadline, limits.Native) || g.Accepts(limits.Deadline, limits.Interpreter) || g.Accepts(limits.OK, limits.Native) {
		t.Error("Accepts does not follow the verdicts")
	}
	want := limits.Default()
	want.StepTime, want.Log, want.HostCalls = 500*time.Millisecond, limits.KiB, 3
	if got := g.Limits(limits.Default()); got != want {
		t.Errorf("limits %+v, want %+v", got, want)
	}
}

// TestVerdictsOfArchitectures: the header for arm64 is for native code there.
func TestVerdictsOfArchitectures(t *testing.T) {
	g, err := load(t, "x.wat", strings.Replace(good, "verdict-interpreter", "verdict-arm64", 1))
	if err != nil {
		t.Fatal(err)
	}
	native := []limits.Verdict{limits.Deadline, limits.Trap}
	if runtime.GOARCH == "arm64" {
		native = native[1:]
	}
	if got := g.Verdicts(limits.Native); !slices.Equal(got, native) {
		t.Errorf("native: %v, want %v", got, native)
	}
	if got := g.Verdicts(limits.Interpreter); len(got) != 2 {
		t.Errorf("interpreter: %v, want those without an architecture", got)
	}
}

func TestRepeat(t *testing.T) {
	g, err := load(t, "x.wat", strings.Replace(good, "(module)", "(module (@repeat 3 (func $f# (drop (i32.const #)))) (@repeat 1 (memory 1)))", 1))
	if err != nil {
		t.Fatal(err)
	}
	want := "(module (func $f0 (drop (i32.const 0)))\n(func $f1 (drop (i32.const 1)))\n(func $f2 (drop (i32.const 2)))\n (memory 1)\n)\n"
	if _, text, _ := strings.Cut(string(g.Source), "not a header\n"); text != want {
		t.Errorf("got %q, want %q", text, want)
	}
	for _, bad := range []string{"(@repeat 3 ((func)", "(@repeat (func))", "(@repeat 0 (func))", "(@repeat -1 (func))", "(@repeat 3 )", "(@repeat 99999999 (func))"} {
		if _, err := load(t, "x.wat", strings.Replace(good, "(module)", "(module "+bad+")", 1)); err == nil || !strings.Contains(err.Error(), "@repeat") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"unknown header", ";; note: one", ";; verdikt: ok", `unknown header "verdikt"`},
		{"no header", ";; note: one", ";; no colon here", "is no header"},
		{"empty header", ";; note: one", ";; note: ", "is no header"},
		{"twice", ";; note: one", ";; behaviour: other", `two headers "behaviour"`},
		{"no behaviour", ";; behaviour: loops\n", "", `no header "behaviour"`},
		{"no contract", ";; contract: core\n", "", `no header "contract"`},
		{"no verdict", ";; verdict: deadline or trap\n", "", `no header "verdict"`},
		{"advisory twice", "CVE-2", "CVE-1", `advisory "CVE-1" twice`},
		{"verdict for nothing", "verdict-interpreter", "verdict-winch", `unknown header "verdict-winch"`},
		{"contract", "contract: core", "contract: wasm", `unknown contract "wasm"`},
		{"other contract", "contract: core", "contract: component", "does not begin with"},
		{"verdict", "deadline or trap", "dead", `unknown verdict "dead"`},
		{"separator", "deadline or trap", "deadline, trap", "unknown verdict"},
		{"same verdict", "deadline or trap", "trap or trap", "twice"},
		{"limit", "max-log=1KiB", "log=1KiB", "unknown name"},
		{"limit value", "max-log=1KiB", "max-log=1KB", "invalid syntax"},
		{"limit without value", "max-log=1KiB", "max-log", "invalid syntax"},
		{"duration", "500ms", "500", "missing unit"},
		{"limit out of range", "500ms", "1ns", "step-timeout"},
		{"no text", "(module)\n", "", "nothing follows"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(good, c.old, c.new, 1)
			if text == good {
				t.Fatalf("%q is not in the text", c.old)
			}
			if _, err := load(t, "x.wat", text); err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "x.wat: ") {
				t.Errorf("error %v, want x.wat: …%s…", err, c.want)
			}
		})
	}
	if _, err := load(t, "X_Y.wat", good); err == nil {
		t.Error("a name with capitals was taken")
	}
	if _, err := Load(fstest.MapFS{}); err == nil {
		t.Error("an empty folder was taken")
	}
}

func TestPack(t *testing.T) {
	g, err := load(t, "loop-core.wat", good)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Pack(g)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Pack(g); err != nil || !bytes.Equal(b, again) {
		t.Errorf("the second pack differs (%v)", err)
	}
	r, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) []byte {
		f, err := r.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		data, err := io.ReadAll(f)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	if got := read("components/setup_default__apply.wat"); string(got) != good {
		t.Errorf("the component is %q", got)
	}
	var manifest struct {
		ID   string
		Meta struct {
			EntryFlows map[string]string `json:"entry_flows"`
		}
	}
	if err := json.Unmarshal(read("pack.json"), &manifest); err != nil {
		t.Fatal(err)
	}
	if manifest.ID != "greentic.guest.loop-core" || manifest.Meta.EntryFlows["setup"] != "setup_default" {
		t.Errorf("the manifest is %+v", manifest)
	}
}
