//go:build linux

package supervisor_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/capability"
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

// The tests in this file use the real worker.

func guest(t *testing.T, path string) pack.Component {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "testdata", filepath.FromSlash(path)))
	if err != nil {
		t.Fatal(err)
	}
	return pack.Component{Path: path, Text: true, Bytes: b}
}

func realSupervisor(t *testing.T, change ...func(*supervisor.Config)) *supervisor.Supervisor {
	t.Helper()
	cfg := supervisor.Config{Worker: workertest.Path, Build: buildinfo.Version, Limits: limits.Default(), Isolation: limits.Standard}
	for _, c := range change {
		c(&cfg)
	}
	s, err := supervisor.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func runGuest(t *testing.T, s *supervisor.Supervisor, c pack.Component) (engine.Reply, limits.Receipt) {
	t.Helper()
	l, err := s.Open(t.Context(), []pack.Component{c}, nobody{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r, err := l.RunStep(t.Context(), engine.Call{Action: contract.ActStep, Step: plan.Validate, Request: []byte(`{"step":"validate"}`)})
	if err != nil {
		t.Fatal(err)
	}
	return r, l.Receipt()
}

func TestWallsOfARealRun(t *testing.T) {
	r, receipt := runGuest(t, realSupervisor(t), guest(t, "packs/noop-provision/components/setup_default__validate.wat"))
	if r.Verdict != limits.OK {
		t.Fatalf("%+v", r)
	}
	var names []string
	for _, w := range receipt.Walls {
		if w.Raised {
			names = append(names, w.Name)
		}
	}
	for _, want := range []string{"mount", "identity", "capabilities", "no-new-privs", "no-dump", "rlimits", "seccomp-load", "namespaces", "seccomp-run"} {
		if !slices.Contains(names, want) {
			t.Errorf("the %s wall is not in the receipt: %v", want, receipt.Walls)
		}
	}
	_, again := runGuest(t, realSupervisor(t), guest(t, "packs/noop-provision/components/setup_default__validate.wat"))
	if !slices.Equal(receipt.Walls, again.Walls) || receipt.Engine != again.Engine {
		t.Errorf("two receipts differ:\n%v\n%v", receipt, again)
	}
}

// A signal out of nowhere, at any moment of a worker's life, is named; the
// worker is gone; the next run works; a run beside it does not notice.
func TestSignalsAtEachPhaseOfARealWorker(t *testing.T) {
	loop := guest(t, "guests/loop-core.wat")
	good := guest(t, "packs/noop-provision-core/wasm/setup_default__validate.wat")
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSEGV, syscall.SIGSTOP} {
		for _, phase := range []string{"hello", "ready", "loaded", "sealed", "invoked"} {
			t.Run(unix.SignalName(sig)+" at "+phase, func(t *testing.T) {
				t.Parallel()
				var once sync.Once
				s := realSupervisor(t, func(c *supervisor.Config) {
					c.Max = 2
					c.Limits.StepTime = 2 * time.Second
					c.Limits.CompileTime = 2 * time.Second
					c.Limits.StartTime = 2 * time.Second
					c.Events.Phase = func(pid int, p string) {
						if p == phase {
							once.Do(func() {
								if phase == "invoked" { // in the middle of the guest, not before it
									time.AfterFunc(100*time.Millisecond, func() { _ = syscall.Kill(pid, sig) })
								} else {
									_ = syscall.Kill(pid, sig)
								}
							})
						}
					}
				})
				r, _ := runGuest(t, s, loop)
				switch {
				case sig == syscall.SIGSTOP && r.Verdict == limits.Deadline:
				case sig == syscall.SIGSTOP && r.Verdict == limits.CompileFailed && strings.Contains(r.Detail, "longer than"):
				case sig != syscall.SIGSTOP && r.Signal == unix.SignalName(sig) && strings.Contains(r.Detail, r.Signal) &&
					(r.Verdict == limits.WorkerCrash || r.Verdict == limits.CompileFailed):
				default:
					t.Errorf("verdict %s, signal %q, detail %q", r.Verdict, r.Signal, r.Detail)
				}
				if r, _ := runGuest(t, s, good); r.Verdict != limits.OK {
					t.Errorf("the next run: %+v", r)
				}
			})
		}
	}
}

func TestRunsSideBySideDoNotTouch(t *testing.T) {
	s := realSupervisor(t, func(c *supervisor.Config) { c.Max, c.Spares, c.Limits.StepTime = 6, 2, 3*time.Second })
	hostile := []string{"loop-core", "lifting-bomb", "recurse", "unreachable-core", "grow-memory"}
	var wg sync.WaitGroup
	for i := range 15 {
		wg.Go(func() {
			if i%3 == 0 {
				r, _ := runGuest(t, s, guest(t, "guests/"+hostile[i/3]+".wat"))
				if r.Verdict == limits.OK {
					t.Errorf("%s: %+v", hostile[i/3], r)
				}
				return
			}
			r, _ := runGuest(t, s, guest(t, "packs/noop-provision/components/setup_default__validate.wat"))
			if r.Verdict != limits.OK || !strings.Contains(string(r.Response), "NOOP_ACCEPTED") {
				t.Errorf("a good run beside hostile ones: %+v", r)
			}
		})
	}
	wg.Wait()
}

// The host's memory must not follow what a guest pretends to have.
func TestLiftingBombLeavesTheSupervisorFlat(t *testing.T) {
	s := realSupervisor(t)
	bomb := guest(t, "guests/lifting-bomb.wat")
	before := peakMemory(t)
	r, _ := runGuest(t, s, bomb)
	if r.Verdict != limits.MemoryLimit {
		t.Fatalf("%+v", r)
	}
	if grown := peakMemory(t) - before; grown > 32<<20 {
		t.Errorf("the supervisor's peak memory grew by %d bytes", grown)
	}
}

// wholeRun runs the fixture pack as the command line does, and gives the canonical
// result.
func wholeRun(ctx context.Context, s *supervisor.Supervisor) ([]byte, error) {
	b, err := pack.Open(filepath.Join("..", "testdata", "packs", "noop-provision"), pack.Options{})
	if err != nil {
		return nil, err
	}
	host := capability.NewHost(capability.Config{Limits: limits.Default(), Grants: capability.Grants()})
	l, err := s.Open(ctx, b.Components, host)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	result, err := engine.Run(ctx, engine.Config{
		Blueprint: b, Inputs: plan.Inputs{ProviderID: "p", InstallID: "i", Answers: []byte(`{}`)},
		Runner: l, Host: host, Limits: limits.Default(), Receipt: l.Receipt,
	})
	if err != nil {
		return nil, err
	}
	if result.Verdict != limits.OK {
		return nil, fmt.Errorf("verdict %s: %+v", result.Verdict, result.Diagnostics)
	}
	return plan.Canonical(result)
}

// besideRealRuns calls f while whole runs of real workers go on, and holds their
// results against that of one that was alone.
func besideRealRuns(t *testing.T, f func()) {
	t.Helper()
	cache, err := codecache.Open(filepath.Join(t.TempDir(), "real"), codecache.DefaultSize)
	if err != nil {
		t.Fatal(err)
	}
	s := realSupervisor(t, func(c *supervisor.Config) { c.Cache = cache })
	alone, err := wholeRun(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for pause := time.NewTicker(500 * time.Millisecond); ; { // most of the machine is for f
			got, err := wholeRun(t.Context(), s)
			if err != nil || !bytes.Equal(got, alone) {
				t.Errorf("a whole run beside: %v\n%s\nalone:\n%s", err, got, alone)
			}
			select {
			case <-stop:
				return
			case <-pause.C:
			}
		}
	}()
	f()
	close(stop)
	<-stopped
}

// peakMemory is VmHWM of this process, in bytes.
func peakMemory(t *testing.T) int64 {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return u.Maxrss << 10
}
