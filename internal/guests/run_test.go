package guests

import (
	"bytes"
	"context"
	"os"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
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

var codegens = []limits.Codegen{limits.Native, limits.Interpreter}

func newSupervisor(t *testing.T, l limits.Limits, c limits.Codegen) *supervisor.Supervisor {
	t.Helper()
	s, err := supervisor.New(supervisor.Config{Worker: workertest.Path, Build: buildinfo.Version, Limits: l, Isolation: limits.Standard, Codegen: c})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// run runs a pack of one guest, the whole way: reading it, a real sealed worker, the
// capability overlay, the lifecycle.
func run(t *testing.T, s *supervisor.Supervisor, g Guest, l limits.Limits) *engine.Result {
	t.Helper()
	archive, err := Pack(g)
	if err != nil {
		t.Fatal(err)
	}
	blueprint, err := pack.OpenBytes(archive, "guest.gtpack", pack.Options{})
	if err != nil {
		t.Fatal(err)
	}
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

// harmless is a guest that does what it should.
func harmless(t *testing.T) Guest {
	t.Helper()
	source, err := os.ReadFile("../../testdata/packs/noop-provision-core/wasm/setup_default__apply.wat")
	if err != nil {
		t.Fatal(err)
	}
	return Guest{Name: "harmless", Source: source}
}

// Every guest, as native code and interpreted, gets its verdict within its budget and
// a second, leaves nothing behind (TestMain), shows nothing that could upset a terminal
// or a reader, and says nothing about what the same supervisor runs after it.
func TestHostileGuests(t *testing.T) {
	list, err := All()
	if err != nil {
		t.Fatal(err)
	}
	good := harmless(t)
	for _, c := range codegens {
		if c == limits.Interpreter && testing.Short() {
			continue // the host's side is the same (make race)
		}
		before := run(t, newSupervisor(t, limits.Default(), c), good, limits.Default())
		for _, g := range list {
			t.Run(string(c)+"/"+g.Name, func(t *testing.T) {
				t.Parallel()
				l := budget(g, c)
				s := newSupervisor(t, l, c)
				check(t, g, c, l, run(t, s, g, l))
				after := run(t, s, good, l)
				if after.Verdict != limits.OK || after.Digest != before.Digest || !strings.HasPrefix(after.Digest, "sha256:") {
					t.Errorf("the next run: %s %s, before: %s\n%+v", after.Verdict, after.Digest, before.Digest, after.Diagnostics)
				}
			})
		}
	}
}

// budget is short only where running out of it is the point: elsewhere a busy machine
// must not change the verdict.
func budget(g Guest, c limits.Codegen) limits.Limits {
	base := limits.Default()
	base.StepTime = time.Minute
	if g.Accepts(limits.Deadline, c) {
		base.StepTime = time.Second
	}
	return g.Limits(base)
}

func check(t *testing.T, g Guest, c limits.Codegen, l limits.Limits, res *engine.Result) {
	t.Helper()
	if !g.Accepts(res.Verdict, c) {
		t.Errorf("%s: verdict %s, want %v\n%+v", g.Behaviour, res.Verdict, g.Verdicts(c), res.Diagnostics)
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
}

// What guests make the engine copy is the worker's memory, not ours: 8 GB of it here,
// if nobody stopped them.
func TestBombsLeaveTheSupervisorAlone(t *testing.T) {
	list, err := All()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range codegens {
		for _, g := range list {
			if !strings.HasPrefix(g.Name, "lifting-bomb") {
				continue
			}
			l := budget(g, c)
			s := newSupervisor(t, l, c)
			run(t, s, harmless(t), l) // what a first run takes is no matter of the bomb
			debug.FreeOSMemory()
			before := peakReset(t)
			res := run(t, s, g, l)
			grown := peak(t) - before
			t.Logf("%s, %s: %s, peak memory +%d KiB", g.Name, c, res.Verdict, grown)
			if res.Verdict != limits.MemoryLimit || grown > 32<<10 {
				t.Errorf("%s, %s: verdict %s, and peak memory grew by %d KiB", g.Name, c, res.Verdict, grown)
			}
		}
	}
}

// peakReset makes the kernel forget the peak of this process's memory and gives what it
// is now, in KiB.
func peakReset(t *testing.T) int {
	t.Helper()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil { // proc_pid_clear_refs(5): Linux 4.0
		t.Fatal(err)
	}
	return peak(t)
}

func peak(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB$`).FindSubmatch(status)
	if m == nil {
		t.Fatal("no VmHWM")
	}
	kib, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kib
}
