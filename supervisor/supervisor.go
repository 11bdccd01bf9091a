// Package supervisor runs steps in step-worker processes and keeps what happens
// there from mattering anywhere else.
//
// A Supervisor keeps a pool of warm workers: processes that have entered their
// walls and have seen no guest byte. Open leases one for one run of one pack: it
// gets native code for every component (from the cache, or from a compile worker
// of its own), hands it over, and seals the worker. The Lease runs the steps;
// closing it ends the worker, which is never used again.
//
//	       Get             Load*, Seal            RunStep*            Close
//	warm ───────► leased ───────────────► sealed ───────────► sealed ───────► reaped
//	                 │ dies, lies, is late   │ dies, lies, is late
//	                 └────────────► killed, reaped ◄────────────┘  (verdict, observer, signal)
//
// Whatever a worker or a guest does becomes a verdict in an engine.Reply.
// Errors are for our own side: no worker binary, a wall that cannot be raised, a
// process that the kernel will not kill.
//
// It is the only package that starts processes.
package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/greentic-ai/greentic-provision/ipc"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/limits/namespace"
	"github.com/greentic-ai/greentic-provision/supervisor/codecache"
	"github.com/greentic-ai/greentic-provision/supervisor/pool"
)

// Config tells a Supervisor how to work. It opens nothing.
type Config struct {
	Worker    string           // path of the step-worker binary, see FindWorker
	Build     string           // build version that the worker must be of
	Limits    limits.Limits    // in force for every run
	Isolation limits.Isolation // what must stand before guest code may run
	Cache     *codecache.Cache // nil compiles every time
	Max       int              // step workers alive at once; 0 means 1
	Spares    int              // warm workers kept ready beside the leased ones
	StartTime time.Duration    // from spawn to Ready, and for each of Load and Seal; 0 means 10 s
	Events    Events
}

// Events tells an observer what happens. Every func may be nil; they are called
// from several goroutines and must not block.
type Events struct {
	Compiling func(path string)                                  // a cache miss goes to a compile worker
	Compiled  func(path string, took time.Duration)              // and comes back
	Spawned   func(pid int, role string)                         // a worker is Ready
	Reaped    func(pid int, role string, state *os.ProcessState) // a worker is gone
	Phase     func(pid int, phase string)                        // "hello", "ready", "loaded", "sealed", "invoked", "hostcall", "result"
	HostCall  func(op string)
}

func (e Events) phase(pid int, phase string) {
	if e.Phase != nil {
		e.Phase(pid, phase)
	}
}

// startTime is Config.StartTime by default. No guest code runs in that time; 3 ms
// is usual, and a loaded machine takes longer.
const startTime = 10 * time.Second

// WorkerError says that the worker binary is missing or of another build.
type WorkerError struct {
	Path   string
	Reason string
}

func (e *WorkerError) Error() string {
	return fmt.Sprintf("step-worker %s: %s (build it beside greentic-provision, or name it with --worker)", e.Path, e.Reason)
}

// FindWorker finds the step-worker binary: flag when it is not empty, else next
// to this executable, else on PATH.
func FindWorker(flag string) (string, error) {
	if flag != "" {
		path, err := filepath.Abs(flag)
		if err != nil {
			return "", &WorkerError{flag, err.Error()}
		}
		return path, runnable(path)
	}
	if self, err := os.Executable(); err == nil {
		path := filepath.Join(filepath.Dir(self), "step-worker")
		if runnable(path) == nil {
			return path, nil
		}
	}
	path, err := exec.LookPath("step-worker")
	if err != nil {
		return "", &WorkerError{"step-worker", "not found next to this program nor on PATH"}
	}
	if path, err = filepath.Abs(path); err != nil {
		return "", &WorkerError{path, err.Error()}
	}
	return path, nil
}

func runnable(path string) error {
	st, err := os.Stat(path)
	switch {
	case err != nil:
		return &WorkerError{path, errors.Unwrap(err).Error()}
	case !st.Mode().IsRegular() || st.Mode()&0o111 == 0:
		return &WorkerError{path, "not an executable file"}
	}
	return nil
}

// Supervisor runs steps. All methods are safe for concurrent use; runs do not
// touch each other.
type Supervisor struct {
	cfg     Config
	plans   []namespace.Plan
	plan    atomic.Int32 // index of the first plan not known to fail
	spawner *spawner
	pool    *pool.Pool[*worker]
}

// New checks the configuration and starts filling the spares.
func New(cfg Config) (*Supervisor, error) {
	if err := cfg.Limits.Validate(); err != nil {
		return nil, err
	}
	if cfg.Isolation != limits.Standard && cfg.Isolation != limits.None {
		return nil, fmt.Errorf("unknown isolation %q", cfg.Isolation)
	}
	if err := runnable(cfg.Worker); err != nil {
		return nil, err
	}
	plans, err := namespace.Plans(namespace.Options{
		Isolation: cfg.Isolation,
		// The engine's own frames lie below the guest's on the same stack.
		ThreadStack: cfg.Limits.Stack + limits.MiB,
	})
	if err != nil {
		return nil, err
	}
	if cfg.StartTime == 0 {
		cfg.StartTime = startTime
	}
	s := &Supervisor{cfg: cfg, plans: plans, spawner: newSpawner()}
	s.pool = pool.New(pool.Config[*worker]{
		New:     func(ctx context.Context) (*worker, error) { return s.spawn(ctx, ipc.RoleStep) },
		Release: func(w *worker) { w.end() },
		Usable:  func(w *worker) bool { return w.alive() },
		Max:     cfg.Max,
		Spares:  cfg.Spares,
	})
	s.pool.Fill()
	return s, nil
}

// Close ends the spares. Leases that are open stay open.
func (s *Supervisor) Close() {
	s.pool.Close()
	s.spawner.close()
}

// worker is a process that is Ready, or one whose way there failed (failure).
type worker struct {
	*process
	role    string
	engine  string // what native code is bound to
	walls   []limits.Wall
	events  Events
	failure *failure
}

func (w *worker) end() {
	_ = w.dismiss() // what cannot be killed is reported by the operation that met it
	if w.events.Reaped != nil {
		w.events.Reaped(w.cmd.Process.Pid, w.role, w.cmd.ProcessState)
	}
}

// spawn starts a worker and brings it to Ready. A worker that dies or stalls on
// the way is not an error: it is given with its failure set, so that the run
// that wanted it gets a verdict.
func (s *Supervisor) spawn(ctx context.Context, role string) (*worker, error) {
	p, plan, err := s.start()
	if err != nil {
		return nil, err
	}
	w := &worker{process: p, role: role, events: s.cfg.Events}
	if err := s.handshake(ctx, w, plan); err != nil {
		f := asFailure(err, "start")
		if f == nil {
			w.end()
			return nil, err
		}
		w.failure = f
		return w, nil
	}
	if s.cfg.Events.Spawned != nil {
		s.cfg.Events.Spawned(p.cmd.Process.Pid, role)
	}
	return w, nil
}

// start tries the plans in order and stays with the first that spawns: whether
// the kernel gives namespaces depends on its configuration and on policies that
// only clone(2) knows.
func (s *Supervisor) start() (*process, namespace.Plan, error) {
	var refusals []error
	for i := s.plan.Load(); int(i) < len(s.plans); i++ {
		p, err := s.spawner.start(func() (*process, error) { return start(s.cfg.Worker, s.plans[i]) })
		if err == nil {
			s.plan.Store(i)
			return p, s.plans[i], nil
		}
		var errno syscall.Errno
		if !errors.As(err, &errno) {
			return nil, namespace.Plan{}, fmt.Errorf("start step-worker: %w", err)
		}
		switch errno {
		case syscall.EPERM, syscall.ENOSPC, syscall.EUSERS, syscall.EINVAL, syscall.ENOSYS:
			refusals = append(refusals, err) // what clone(2) answers when namespaces are not to be had
		case syscall.ENOENT, syscall.EACCES, syscall.ENOEXEC:
			return nil, namespace.Plan{}, &WorkerError{s.cfg.Worker, errno.Error()}
		default:
			return nil, namespace.Plan{}, fmt.Errorf("start step-worker: %w", err)
		}
	}
	return nil, namespace.Plan{}, namespace.Refused(refusals...)
}

func (s *Supervisor) handshake(ctx context.Context, w *worker, plan namespace.Plan) error {
	deadline := time.Now().Add(s.cfg.StartTime)
	pid := w.cmd.Process.Pid
	s.cfg.Events.phase(pid, "spawned")
	env, err := w.exchange(ctx, deadline, 0, nil)
	if err != nil {
		return err
	}
	hello, ok := env.Message.(*ipc.Hello)
	if !ok {
		return w.violation("%T before Hello", env.Message)
	}
	version, err := ipc.Negotiate(hello.Min, hello.Max)
	if err != nil {
		return &WorkerError{s.cfg.Worker, err.Error()}
	}
	if hello.Build != s.cfg.Build {
		return &WorkerError{s.cfg.Worker, fmt.Sprintf("build %q does not match this program's %q", hello.Build, s.cfg.Build)}
	}
	w.engine = hello.Engine
	s.cfg.Events.phase(pid, "hello")
	env, err = w.exchange(ctx, deadline, 0, welcome(s.cfg, w.role, version, plan.OwnUsers))
	if err != nil {
		return err
	}
	switch m := env.Message.(type) {
	case *ipc.Ready:
		w.walls = append(walls(m.Walls), plan.Wall())
		s.cfg.Events.phase(pid, "ready")
		return nil
	case *ipc.Refused:
		_ = w.kill()
		return wallError(m)
	}
	return w.violation("%T before Ready", env.Message)
}

// violation kills the worker and names the rule it broke.
func (w *worker) violation(format string, args ...any) error {
	if err := w.kill(); err != nil {
		return err
	}
	return &loss{violation: fmt.Errorf(format, args...)}
}

func wallError(m *ipc.Refused) error {
	err := error(errors.New(printable(m.Detail)))
	if m.Errno != 0 {
		err = syscall.Errno(m.Errno)
	}
	e := &limits.WallError{Wall: printable(m.Wall), Where: printable(m.Where), Err: err}
	if m.Errno == int32(syscall.EPERM) || m.Errno == int32(syscall.EACCES) {
		e.Hint = "a policy of this machine forbids it; --isolation none runs without"
	}
	return e
}

// printable bounds hostile text and strips what could upset a terminal; the
// renderer escapes again.
func printable(s string) string {
	if len(s) > 512 {
		s = s[:512]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
