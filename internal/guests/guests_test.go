package guests

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"os"
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
	list, err := Load(os.DirFS("../../testdata/guests"))
	if err != nil {
		t.Fatal(err)
	}
	covered := map[limits.Verdict]bool{}
	contracts := map[string]int{}
	for _, g := range list {
		for _, v := range g.Verdicts {
			covered[v] = true
		}
		contracts[g.Contract]++
	}
	// What a guest can bring about by the rules; the others need an engine that
	// is broken, a worker that was taken over, or a fault of ours.
	for _, v := range []limits.Verdict{limits.OK, limits.GuestError, limits.Trap, limits.Deadline, limits.MemoryLimit,
		limits.OutputLimit, limits.HostcallLimit, limits.ContractMismatch, limits.CompileFailed} {
		if !covered[v] {
			t.Errorf("no guest ends with %s", v)
		}
	}
	if len(list) < 60 || contracts["core"] < 20 || contracts["component"] < 20 {
		t.Errorf("%d guests (%v): some are missing", len(list), contracts)
	}
}

const good = ";; behaviour: loops\n;; contract: core\n;; verdict: deadline or trap\n;; limits: step-timeout=500ms max-log=1KiB max-host-calls=3\n" +
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
	if g.Name != "loop-core" || g.Behaviour != "loops" || g.Contract != "core" || g.Note != "one two" || string(g.Source) != good {
		t.Errorf("%+v", g)
	}
	if want := []limits.Verdict{limits.Deadline, limits.Trap}; !slices.Equal(g.Verdicts, want) {
		t.Errorf("verdicts %v, want %v", g.Verdicts, want)
	}
	if !g.Accepts(limits.Trap) || g.Accepts(limits.OK) {
		t.Error("Accepts does not follow the verdicts")
	}
	want := limits.Default()
	want.StepTime, want.Log, want.HostCalls = 500*time.Millisecond, limits.KiB, 3
	if got := g.Limits(limits.Default()); got != want {
		t.Errorf("limits %+v, want %+v", got, want)
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
