package guests

import (
	"bytes"
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

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

// run runs a pack from its bytes, the whole way: reading it, a real sealed
// worker, the capability overlay, the lifecycle.
func run(t *testing.T, archive []byte, l limits.Limits) *engine.Result {
	t.Helper()
	blueprint, err := pack.OpenBytes(archive, "guest.gtpack", pack.Options{})
	if err != nil {
		t.Fatal(err)
	}
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
	res, err := engine.Run(context.WithoutCancel(t.Context()), engine.Config{
		Blueprint: blueprint,
		Inputs:    plan.Inputs{ProviderID: "p", InstallID: "i", Answers: []byte(`{}`)},
		Runner:    lease, Host: host, Limits: l, Receipt: lease.Receipt,
	})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// Every guest gets its verdict within its budget and a second, leaves nothing
// behind (TestMain), and shows nothing that could upset a terminal or a reader.
func TestHostileGuests(t *testing.T) {
	list, err := Load(os.DirFS("../../testdata/guests"))
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range list {
		t.Run(g.Name, func(t *testing.T) {
			t.Parallel()
			archive, err := Pack(g)
			if err != nil {
				t.Fatal(err)
			}
			// Time is short only where running out of it is the point: elsewhere a
			// busy machine must not change the verdict.
			base := limits.Default()
			base.StepTime = time.Minute
			if g.Accepts(limits.Deadline) {
				base.StepTime = time.Second
			}
			l := g.Limits(base)
			res := run(t, archive, l)
			if !g.Accepts(res.Verdict) {
				t.Errorf("%s: verdict %s, want %v\n%+v", g.Behaviour, res.Verdict, g.Verdicts, res.Diagnostics)
			}
			if res.Verdict != limits.OK && !slices.ContainsFunc(res.Diagnostics, func(d plan.Diagnostic) bool { return d.Severity == plan.Error }) {
				t.Errorf("verdict %s without a diagnostic that says why", res.Verdict)
			}
			if len(res.Volatile.Steps) > 0 {
				if took := time.Duration(res.Volatile.Steps[0].Timing.WallNS); took > l.StepTime+time.Second {
					t.Errorf("it took %s of a budget of %s", took, l.StepTime)
				}
			}
			text, err := plan.Canonical(res)
			if err != nil {
				t.Fatal(err)
			}
			if i := bytes.IndexFunc(text, func(r rune) bool { return r < ' ' && r != '\n' }); i >= 0 {
				t.Errorf("a control character in the result: %q", text[max(0, i-20):i+20])
			}
			if most := int(l.StepOutput+l.Log)*4 + 64<<10; len(text) > most {
				t.Errorf("the result has %d bytes", len(text))
			}
		})
	}
}

// What ran before says nothing about what runs after.
func TestTheNextRunWorks(t *testing.T) {
	source, err := os.ReadFile("../../testdata/packs/noop-provision-core/wasm/setup_default__apply.wat")
	if err != nil {
		t.Fatal(err)
	}
	archive, err := Pack(Guest{Name: "good", Source: source})
	if err != nil {
		t.Fatal(err)
	}
	first := run(t, archive, limits.Default())
	for _, name := range []string{"lifting-bomb", "loop-core", "recurse"} {
		b, err := os.ReadFile("../../testdata/guests/" + name + ".wat")
		if err != nil {
			t.Fatal(err)
		}
		hostile, err := Pack(Guest{Name: name, Source: b})
		if err != nil {
			t.Fatal(err)
		}
		l := limits.Default()
		l.StepTime = 200 * time.Millisecond
		if res := run(t, hostile, l); res.Verdict == limits.OK {
			t.Errorf("%s: verdict ok", name)
		}
		again := run(t, archive, limits.Default())
		if again.Digest != first.Digest || again.Verdict != limits.OK || !strings.HasPrefix(again.Digest, "sha256:") {
			t.Errorf("after %s: %s %s, before: %s", name, again.Verdict, again.Digest, first.Digest)
		}
	}
}
