//go:build linux

package supervisor_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/greentic-ai/greentic-provision/capability"
	"github.com/greentic-ai/greentic-provision/contract"
	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/internal/workertest"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
	"github.com/greentic-ai/greentic-provision/supervisor"
	"github.com/greentic-ai/greentic-provision/supervisor/codecache"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		runFake()
	}
	if len(os.Args) > 1 && os.Args[1] == lingerer {
		linger()
	}
	workertest.Main(m)
}

// component is what the fakes are handed; they do not look at it.
var component = pack.Component{Path: "components/x.wasm", Bytes: []byte("\x00asm\x01\x00\x00\x00")}

func newSupervisor(t *testing.T, personality string, change ...func(*supervisor.Config)) *supervisor.Supervisor {
	t.Helper()
	cfg := supervisor.Config{
		Worker: fakeWorker(t, personality), Build: fakeBuild, Limits: limits.Default(), Isolation: limits.Standard,
	}
	supervisor.Blind(&cfg)
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

// nobody answers no host call.
type nobody struct{}

func (nobody) Call(context.Context, string, []byte) ([]byte, error) {
	return nil, &capability.Error{Code: capability.Denied, Message: "no"}
}

// runOne opens a lease, runs one step and closes it.
func runOne(t *testing.T, s *supervisor.Supervisor, host supervisor.HostCaller) (engine.Reply, error) {
	t.Helper()
	return runComponent(t, s, component, host)
}

func runComponent(t *testing.T, s *supervisor.Supervisor, c pack.Component, host supervisor.HostCaller) (engine.Reply, error) {
	t.Helper()
	l, err := s.Open(t.Context(), []pack.Component{c}, host)
	if err != nil {
		return engine.Reply{}, err
	}
	defer l.Close()
	return l.RunStep(t.Context(), engine.Call{Action: contract.ActStep, Step: plan.Apply, Request: []byte(`{"in":1}`)})
}

func TestStepOfAGoodWorker(t *testing.T) {
	s := newSupervisor(t, "good")
	r, err := runOne(t, s, nobody{})
	if err != nil || r.Verdict != limits.OK || string(r.Response) != `{"in":1}` || r.Contract != "fake" {
		t.Fatalf("reply %+v, %v", r, err)
	}
	if r.Usage.InputBytes != 8 || r.Usage.OutputBytes != 8 {
		t.Errorf("usage %+v", r.Usage)
	}
}

// A component is examined once, and before the worker is sealed or never. What is
// asked wrongly is our own fault, and ends neither the worker nor the run.
func TestExamine(t *testing.T) {
	s := newSupervisor(t, "good")
	l, err := s.Open(t.Context(), []pack.Component{component, component}, nobody{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range 2 {
		e, err := l.Examine(t.Context(), 0, "")
		if name, ok := e.Does(contract.ActStep); err != nil || e.Verdict != limits.OK || !ok || name != "fake" {
			t.Fatalf("examined %+v, %v", e, err)
		}
	}
	if _, err := l.Examine(t.Context(), 2, ""); err == nil || err.Error() != "component 2 of 2" {
		t.Errorf("one too far: %v", err)
	}
	if _, err := l.RunStep(t.Context(), engine.Call{Action: contract.ActDescribe}); err == nil || !strings.Contains(err.Error(), "asked to describe, which it does not do") {
		t.Errorf("an action that it does not do: %v", err)
	}
	if r, err := l.RunStep(t.Context(), engine.Call{Action: contract.ActStep, Step: plan.Apply, Request: []byte("{}")}); err != nil || r.Verdict != limits.OK {
		t.Fatalf("%+v, %v", r, err)
	}
	if e, err := l.Examine(t.Context(), 0, ""); err != nil || e.Verdict != limits.OK {
		t.Errorf("known, after the seal: %+v, %v", e, err)
	}
	if _, err := l.Examine(t.Context(), 1, ""); err == nil || !strings.Contains(err.Error(), "sealed") {
		t.Errorf("new, after the seal: %v", err)
	}
}

// A second result is what the next step would take for its own.
func TestSecondResultIsNeverTakenForTheNextStep(t *testing.T) {
	s := newSupervisor(t, "two results")
	l, err := s.Open(t.Context(), []pack.Component{component}, nobody{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if r, err := l.RunStep(t.Context(), engine.Call{Action: contract.ActStep, Step: plan.Collect}); err != nil || r.Verdict != limits.OK {
		t.Fatalf("first step: %+v, %v", r, err)
	}
	r, err := l.RunStep(t.Context(), engine.Call{Action: contract.ActStep, Step: plan.Validate})
	if err != nil || r.Verdict != limits.ProtocolViolation {
		t.Errorf("second step: %+v, %v; want protocol_violation", r, err)
	}
	r, err = l.RunStep(t.Context(), engine.Call{Action: contract.ActStep, Step: plan.Apply})
	if err != nil || r.Verdict != limits.ProtocolViolation {
		t.Errorf("a step after the worker is gone: %+v, %v; want the same verdict", r, err)
	}
}

func TestWorkerMustBeOfThisBuild(t *testing.T) {
	for personality, reason := range map[string]string{"other build": `build "other" does not match`, "build of noise": `build "`, "other protocol": "9000"} {
		s := newSupervisor(t, personality)
		_, err := runOne(t, s, nobody{})
		var we *supervisor.WorkerError
		if !errors.As(err, &we) || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: %v", personality, err)
			continue
		}
		isOneLine(t, err)
	}
}

func TestMissingWallIsAnError(t *testing.T) {
	for personality, wall := range map[string]string{
		"refuses a wall":   "seccomp-load",
		"refuses the seal": "seccomp-run",
		"claims no walls":  "mount",
		"claims no seal":   "seccomp-run",
		// More than can be a worker's walls is not looked through for those that count.
		"claims its walls behind noise": "mount",
	} {
		t.Run(personality, func(t *testing.T) {
			t.Parallel()
			s := newSupervisor(t, personality)
			for range 20 { // the worker's last words must never be lost with it
				_, err := runOne(t, s, nobody{})
				var we *limits.WallError
				if !errors.As(err, &we) || we.Wall != wall {
					t.Fatalf("err = %v", err)
				}
				// Once guest code was loaded, a worker must not be able to talk anybody
				// out of the sandbox.
				if hinted := strings.Contains(err.Error(), "--isolation none"); hinted != (personality == "refuses a wall") {
					t.Fatalf("hint: %v", err)
				}
			}
		})
	}
}

func TestARefusalIsOneLine(t *testing.T) {
	_, err := runOne(t, newSupervisor(t, "refuses with noise"), nobody{})
	var we *limits.WallError
	if !errors.As(err, &we) {
		t.Fatalf("err = %v", err)
	}
	isOneLine(t, err)
}

func TestLastWordsAreHeard(t *testing.T) {
	s := newSupervisor(t, "answers and exits")
	for range 20 {
		if r, err := runOne(t, s, nobody{}); err != nil || r.Verdict != limits.OK {
			t.Fatalf("%+v, %v; want the answer that came before the exit", r, err)
		}
	}
}

func TestProgramThatIsNoWorkerIsOurFault(t *testing.T) {
	_, err := runOne(t, newSupervisor(t, "is no worker"), nobody{})
	var we *supervisor.WorkerError
	if !errors.As(err, &we) || !strings.Contains(err.Error(), "libm.so.6") || !strings.Contains(err.Error(), "status 127") {
		t.Errorf("err = %v; want its last words", err)
	}
}

func TestFullCacheDoesNotFailARun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	cache, err := codecache.Open(dir, codecache.DefaultSize)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil { // as good as a full disk, also for root
		t.Fatal(err)
	}
	lost := make(chan error, 1)
	s := newSupervisor(t, "good", func(c *supervisor.Config) {
		c.Cache = cache
		c.Events.CacheLost = func(err error) { lost <- err }
	})
	if r, err := runOne(t, s, nobody{}); err != nil || r.Verdict != limits.OK {
		t.Errorf("%+v, %v", r, err)
	}
	if err := <-lost; err == nil {
		t.Error("the loss was reported as nil")
	}
}

func TestStepAfterACancelledOneGivesTheSameError(t *testing.T) {
	s := newSupervisor(t, "silent in a step", func(c *supervisor.Config) { c.Limits.StepTime = time.Minute })
	cause := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	l, err := s.Open(ctx, []pack.Component{component}, nobody{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cancel(cause)
	for range 2 {
		if _, err := l.RunStep(ctx, engine.Call{Action: contract.ActStep, Step: plan.Apply}); !errors.Is(err, cause) {
			t.Errorf("err = %v", err)
		}
	}
}

func TestMissingWorkerIsOneClearError(t *testing.T) {
	cfg := supervisor.Config{Worker: filepath.Join(t.TempDir(), "none"), Limits: limits.Default(), Isolation: limits.Standard}
	_, err := supervisor.New(cfg)
	var we *supervisor.WorkerError
	if !errors.As(err, &we) || !strings.Contains(err.Error(), "--worker") {
		t.Errorf("err = %v", err)
	}
}

type answer struct {
	value string
	err   error
}

func (a answer) Call(context.Context, string, []byte) ([]byte, error) { return []byte(a.value), a.err }

func TestHostCallIsAnswered(t *testing.T) {
	s := newSupervisor(t, "calls the host")
	for _, c := range []struct {
		host answer
		want string
	}{
		{answer{value: `{"found":true}`}, `|{"found":true}`},
		{answer{err: &capability.Error{Code: capability.Denied, Message: "no"}}, "denied|"},
	} {
		r, err := runOne(t, s, c.host)
		if err != nil || string(r.Response) != c.want || r.Usage.HostCalls != 1 {
			t.Errorf("reply %+v (%s), %v; want %q", r, r.Response, err, c.want)
		}
	}
	broken := errors.New("disk on fire")
	if _, err := runOne(t, s, answer{err: broken}); !errors.Is(err, broken) {
		t.Errorf("a fault of the host: %v, want it as an error", err)
	}
}

// Nothing of the caller's environment reaches a worker. (Stray descriptors are
// limits/entry's to close.)
func TestWorkerInheritsNoEnvironment(t *testing.T) {
	t.Setenv("SECRET_TOKEN", "hunter2")
	s := newSupervisor(t, "prints its environment")
	reply, err := runOne(t, s, nobody{})
	if err != nil || reply.Verdict != limits.OK {
		t.Fatalf("%+v, %v", reply, err)
	}
	for line := range strings.Lines(string(reply.Response)) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch name {
		case "LANG", "GOTRACEBACK", "GOMAXPROCS":
		default:
			t.Errorf("the worker sees %q", line)
		}
	}
}

func TestContextEndsAStep(t *testing.T) {
	s := newSupervisor(t, "silent in a step", func(c *supervisor.Config) { c.Limits.StepTime = time.Minute })
	cause := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	l, err := s.Open(ctx, []pack.Component{component}, nobody{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	time.AfterFunc(50*time.Millisecond, func() { cancel(cause) })
	if _, err := l.RunStep(ctx, engine.Call{Action: contract.ActStep, Step: plan.Apply}); !errors.Is(err, cause) {
		t.Errorf("err = %v, want the context's cause", err)
	}
}

func TestCompiledCodeIsCached(t *testing.T) {
	cache, err := codecache.Open(filepath.Join(t.TempDir(), "cache"), codecache.DefaultSize)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	compiled, spawned := 0, 0
	s := newSupervisor(t, "good", func(c *supervisor.Config) {
		c.Cache = cache
		c.Events.Compiling = func(string) { mu.Lock(); compiled++; mu.Unlock() }
		c.Events.Spawned = func(int, string) { mu.Lock(); spawned++; mu.Unlock() }
	})
	for range 3 {
		if r, err := runOne(t, s, nobody{}); err != nil || r.Verdict != limits.OK {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if compiled != 1 || spawned != 4 {
		t.Errorf("%d compilations and %d processes for three runs, want 1 and 4", compiled, spawned)
	}
}

func TestSparesStandReadyAndEndWithTheSupervisor(t *testing.T) {
	ready := make(chan int, 10)
	s := newSupervisor(t, "good", func(c *supervisor.Config) {
		c.Max, c.Spares = 4, 2
		c.Events.Spawned = func(pid int, role string) {
			if role == "step" {
				ready <- pid
			}
		}
	})
	a, b := <-ready, <-ready
	s.Close()
	for _, pid := range []int{a, b} {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("spare %d is still there: %v", pid, err)
		}
	}
}
