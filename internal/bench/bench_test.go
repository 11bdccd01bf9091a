//go:build cgo

package bench_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/greentic-ai/greentic-provision/capability"
	"github.com/greentic-ai/greentic-provision/capability/imports"
	"github.com/greentic-ai/greentic-provision/component"
	"github.com/greentic-ai/greentic-provision/component/wasmtime"
	"github.com/greentic-ai/greentic-provision/contract"
	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/internal/buildinfo"
	"github.com/greentic-ai/greentic-provision/internal/workertest"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
	"github.com/greentic-ai/greentic-provision/supervisor"
	"github.com/greentic-ai/greentic-provision/supervisor/codecache"
)

func TestMain(m *testing.M) { workertest.Main(m) }

const noop = "../../testdata/packs/noop-provision"

// request is what a validate step gets; validate makes no host call, so that
// what is measured is the way there and back.
var request = []byte(`{"contract":"greentic:provision-step@1.0.0","step":"validate","mode":"dry-run","inputs":{},"state":{"answers":{},"previous":[]}}`)

// refuse answers every host call.
type refuse struct{}

func (refuse) Call(context.Context, string, []byte) ([]byte, error) {
	return nil, &capability.Error{Code: capability.Denied, Message: "no"}
}

// validateStep is the fixture's component.
func validateStep(b *testing.B) pack.Component {
	b.Helper()
	path := "components/setup_default__validate.wat"
	source, err := os.ReadFile(filepath.Join(noop, path))
	if err != nil {
		b.Fatal(err)
	}
	return pack.Component{Path: path, Text: true, Bytes: source}
}

// inProcess gives a func that instantiates and invokes through the binding.
func inProcess(b *testing.B) func() error {
	runtime, err := wasmtime.New(wasmtime.Config{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(runtime.Close)
	code, layer, err := runtime.Compile(validateStep(b).Bytes)
	if err != nil {
		b.Fatal(err)
	}
	program, err := runtime.Load(code, layer)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(program.Close)
	types := program.Types()
	contracts, err := contract.Select(types)
	if err != nil {
		b.Fatal(err)
	}
	store := component.StoreLimits{MemoryBytes: 64 << 20, TableElements: 100_000, Instances: 100, Tables: 100, Memories: 10}
	return func() error {
		offered, err := imports.Bind(types, nil, imports.Options{})
		if err != nil {
			return err
		}
		inst, err := program.Instantiate(context.Background(), store, offered)
		if err != nil {
			return err
		}
		defer inst.Close()
		_, err = contracts[0].Run(context.Background(), inst, contract.ActStep, request, 1<<20)
		return err
	}
}

func newSupervisor(b *testing.B) *supervisor.Supervisor {
	b.Helper()
	cache, err := codecache.Open(filepath.Join(b.TempDir(), "cache"), codecache.DefaultSize)
	if err != nil {
		b.Fatal(err)
	}
	s, err := supervisor.New(supervisor.Config{
		Worker: workertest.Path, Build: buildinfo.Version, Limits: limits.Default(), Isolation: limits.Standard,
		Cache: cache, Max: 2,
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.Close)
	return s
}

// isolated gives a func that does the same in a warm sealed worker.
func isolated(b *testing.B, s *supervisor.Supervisor) func() error {
	l, err := s.Open(b.Context(), []pack.Component{validateStep(b)}, refuse{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(l.Close)
	return func() error {
		r, err := l.RunStep(context.Background(), engine.Call{Step: plan.Validate, Action: contract.ActStep, Request: request})
		if err == nil && r.Verdict != limits.OK {
			err = fmt.Errorf("verdict %s: %s", r.Verdict, r.Detail)
		}
		return err
	}
}

// spawned gives a func that brings a worker from spawn to Ready. Ending it is not
// counted.
func spawned(b *testing.B, s *supervisor.Supervisor) (run func() error, after func()) {
	var last *supervisor.Lease
	run = func() (err error) {
		last, err = s.Open(context.Background(), nil, refuse{})
		return err
	}
	return run, func() { last.Close() }
}

// cold gives a func that runs the command line from start to plan, with compiled
// code at hand.
func cold(b *testing.B) func() error {
	cli, err := workertest.Build("greentic-provision")
	if err != nil {
		b.Fatal(err)
	}
	cache := filepath.Join(b.TempDir(), "code")
	run := func() error {
		cmd := exec.Command(cli, "dry-run", "setup", "--pack", noop, "--json", "--cache-dir", cache)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
		return nil
	}
	if err := run(); err != nil { // fills the cache
		b.Fatal(err)
	}
	return run
}

// BenchmarkSideBySide runs the four in turn, round by round, so that whatever
// else the machine does meets all of them alike, and reports the median of the
// rounds.
func BenchmarkSideBySide(b *testing.B) {
	s := newSupervisor(b)
	spawn, endSpawn := spawned(b, s)
	cases := []struct {
		name  string
		calls int // in one round
		run   func() error
		after func()
		times []time.Duration
	}{
		{name: "in-process", calls: 500, run: inProcess(b)},
		{name: "isolated", calls: 500, run: isolated(b, s)},
		{name: "spawn-to-ready", calls: 1, run: spawn, after: endSpawn},
		{name: "cold-run", calls: 1, run: cold(b)},
	}
	const rounds = 21
	for b.Loop() {
		for i := range cases {
			cases[i].times = cases[i].times[:0]
		}
		for range rounds {
			for i := range cases {
				c := &cases[i]
				start := time.Now()
				for range c.calls {
					if err := c.run(); err != nil {
						b.Fatalf("%s: %v", c.name, err)
					}
				}
				c.times = append(c.times, time.Since(start)/time.Duration(c.calls))
				if c.after != nil {
					c.after()
				}
			}
		}
	}
	base := 0.0
	for _, c := range cases {
		slices.Sort(c.times)
		median := float64(c.times[len(c.times)/2].Nanoseconds()) / 1e3
		if base == 0 {
			base = median
		}
		b.ReportMetric(median, c.name+"-µs")
		if c.name != "in-process" {
			b.ReportMetric(median/base, c.name+"/in-process")
		}
	}
}
