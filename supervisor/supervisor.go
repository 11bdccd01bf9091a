// Package supervisor runs steps in step-worker processes and keeps what happens
// there from mattering anywhere else.
//
// A Supervisor keeps a pool of warm workers: processes that have entered their
// walls and have seen no guest byte. Open leases one for one run of one pack.
// Examine gets native code for a component (from the cache, or from a compile
// worker of its own), hands it over, and says what it is. The first RunStep seals
// the worker; from then on nothing is loaded. Closing the Lease ends the worker,
// which is never used again.
//
//	       Open             Examine*, Seal         RunStep*            Close
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
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/greentic-ai/greentic-provision/ipc"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/limits/namespace"
	"github.com/greentic-ai/greentic-provision/limits/witness"
	"github.com/greentic-ai/greentic-provision/supervisor/codecache"
	"github.com/greentic-ai/greentic-provision/supervisor/pool"
)

// Config tells a Supervisor how to work. It opens nothing.
type Config struct {
	Worker    string           // path of the step-worker binary, see FindWorker
	Build     string           // build version that the worker must be of
	Limits    limits.Limits    // in force for every run
	Isolation limits.Isolation // what must stand before guest code may run
	Codegen   limits.Codegen   // what guest code is compiled to; "" means native
	Cgroup    string           // directory to make workers' cgroups in; "" looks for one that was delegated
	Cache     *codecache.Cache // nil compiles every time
	Max       int              // step workers alive at once; 0 means 1
	Spares    int              // warm workers kept ready beside the leased ones
	Events    Events
	Record    bool // keep what Lease.Crash needs

	see func(pid int) witness.Report // nil is witness.See
}

// Events tells an observer what happens. Every func may be nil; they are called
// from several goroutines and must not block.
type Events struct {
	Compiling func(path string)                                  // a cache miss goes to a compile worker
	Compiled  func(path string, took time.Duration)              // and comes back
	Spawned   func(pid int, role string)                         // a worker is Ready
	Reaped    func(pid int, role string, state *os.ProcessState) // a worker is gone
	Phase     func(pid int, phase string)                        // "hello", "ready", "loaded", "sealed", "invoked", "hostcall", "result"
	CacheLost func(err error)                                    // code could not be kept; it is compiled again next time
}

func (e Events) phase(pid int, phase string) {
	if e.Phase != nil {
		e.Phase(pid, phase)
	}
}

// WorkerError says that the worker binary is missing or of another build.
type WorkerError struct {
	Path   string
	Reason string
}

func (e *WorkerError) Error() string {
	name := "step-worker"
	if e.Path != "" {
		name += " " + e.Path
	}
	return fmt.Sprintf("%s: %s (build it beside greentic-provision, or name it with --worker)", name, e.Reason)
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
		return "", &WorkerError{"", "not found next to this program nor on PATH"}
	}
	if path, err = filepath.Abs(path); err != nil {
		return "", &WorkerError{path, err.Error()}
	}
	return path, nil
}

// digestOf starts to hash a file and gives what waits for the digest. It is that of
// the file as it was when the supervisor began; "" when it cannot be read.
func digestOf(path string) func() string {
	result := make(chan string, 1)
	go func() {
		h := sha256.New()
		f, err := os.Open(path)
		if err == nil {
			_, err = io.Copy(h, f)
			f.Close()
		}
		if err != nil {
			result <- ""
			return
		}
		result <- "sha256:" + hex.EncodeToString(h.Sum(nil))
	}()
	return sync.OnceValue(func() string { return <-result })
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
	cfg    Config
	plans  []namespace.Plan
	own    own
	digest func() string // of the worker's binary
	groups cgroups

	mu       sync.Mutex
	refusals []refusal // by plan

	spawner *spawner
	pool    *pool.Pool[*worker]
}

// New checks the configuration and starts filling the spares.
func New(cfg Config) (*Supervisor, error) {
	if err := cfg.Limits.Validate(); err != nil {
		return nil, err
	}
	if cfg.Codegen == "" {
		cfg.Codegen = limits.Native
	}
	if cfg.see == nil {
		cfg.see = witness.See
	}
	if cfg.Codegen != limits.Native && cfg.Codegen != limits.Interpreter {
		return nil, fmt.Errorf("unknown code generator %q", cfg.Codegen)
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
	groups, err := findCgroups(cfg)
	if err != nil {
		return nil, err
	}
	s := &Supervisor{cfg: cfg, plans: plans, groups: groups, own: self(), digest: digestOf(cfg.Worker), refusals: make([]refusal, len(plans)), spawner: newSpawner()}
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
	// It is given back with the last lease; what cannot be removed the next one removes.
	_ = s.groups.close()
}

// worker is a process that is Ready, or one whose way there failed (failure).
type worker struct {
	*process
	role     string
	greeted  bool   // it said Hello
	engine   string // what compiled code is bound to
	walls    []limits.Wall
	sighting limits.Sighting
	events   Events
	failure  *failure
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
	p, plan, wall, err := s.start(role)
	if err != nil {
		return nil, err
	}
	w := &worker{process: p, role: role, walls: []limits.Wall{wall}, events: s.cfg.Events}
	if err := s.handshake(ctx, w, plan); err != nil {
		f := asFailure(err, "start")
		if f == nil || !w.greeted && f.signal == "" && f.verdict != limits.Deadline {
			if f != nil { // it said nothing that our worker says, and ended by itself
				err = &WorkerError{s.cfg.Worker, strings.TrimSpace(f.detail + " " + lastWords(f.last.words))}
			}
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

// refusal is why a plan could not be spawned from, and until when it is not tried
// again.
type refusal struct {
	err   error
	until time.Time
}

// refusalTime is how long a refused plan rests. What the kernel refuses it mostly
// refuses for good, but not always (ENOSPC: too many namespaces at this moment).
// And each refusal costs two descriptors: Go makes a pipe for the id maps before
// clone and does not close it when clone fails (syscall/exec_linux.go,
// forkAndExecInChild).
const refusalTime = 10 * time.Second

// start tries the plans in order and takes the first that spawns: whether the
// kernel gives namespaces depends on its configuration and on policies that only
// clone(2) knows.
func (s *Supervisor) start(role string) (*process, namespace.Plan, limits.Wall, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var refused []error
	for i, plan := range s.plans {
		r := &s.refusals[i]
		if time.Now().After(r.until) {
			group, wall, err := s.groups.group(s.cfg, role)
			if err != nil {
				return nil, plan, wall, err
			}
			p, err := s.spawner.start(func() (*process, error) { return start(s.cfg.Worker, plan, group) })
			if err != nil && group != nil && optionalGroup(s.cfg) {
				// It may be the cgroup that clone(2) did not like.
				wall = without(wall, err)
				p, err = s.spawner.start(func() (*process, error) { return start(s.cfg.Worker, plan, nil) })
			}
			if err == nil {
				return p, plan, wall, nil
			}
			if err := s.startError(err); err != nil {
				return nil, plan, wall, err
			}
			*r = refusal{err, time.Now().Add(refusalTime)}
		}
		refused = append(refused, r.err)
	}
	return nil, namespace.Plan{}, limits.Wall{}, namespace.Refused(refused...)
}

// startError gives nil when the kernel would not make the process as planned, and
// the error for everything else.
func (s *Supervisor) startError(err error) error {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return fmt.Errorf("start step-worker: %w", err)
	}
	switch errno {
	case syscall.EPERM, syscall.ENOSPC, syscall.EUSERS, syscall.EINVAL, syscall.ENOSYS, syscall.EROFS:
		return nil // what clone(2), and writing the id maps, answer when namespaces are not to be had
	case syscall.ENOENT, syscall.EACCES, syscall.ENOEXEC:
		if err := runnable(s.cfg.Worker); err == nil && errno != syscall.ENOEXEC {
			return nil // not the binary: no /proc to write the id maps to
		}
		return &WorkerError{s.cfg.Worker, errno.Error()}
	}
	// %v: an input's PathError means a wrong path of the user's, this one does not.
	return fmt.Errorf("start step-worker: %v", err)
}

func (s *Supervisor) handshake(ctx context.Context, w *worker, plan namespace.Plan) error {
	deadline := time.Now().Add(s.cfg.Limits.StartTime)
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
		return &WorkerError{s.cfg.Worker, fmt.Sprintf("build %q does not match this program's %q", printable(hello.Build), s.cfg.Build)}
	}
	w.greeted = true
	s.cfg.Events.phase(pid, "hello")
	env, err = w.exchange(ctx, deadline, 0, welcome(s.cfg, w.role, version, plan.OwnUsers))
	if err != nil {
		return err
	}
	switch m := env.Message.(type) {
	case *ipc.Ready:
		w.engine = printable(m.Engine)
		ns := plan.Wall()
		ns.Observer = limits.BySupervisor
		w.walls = slices.Concat(walls(m.Walls), []limits.Wall{ns}, w.walls)
		s.cfg.Events.phase(pid, "ready")
		if w.role == ipc.RoleProbe {
			return nil // it is about to show what stands
		}
		if err := s.stands(w.walls, "mount", "identity", "capabilities", "no-new-privs", "no-dump", "rlimits", "seccomp-load", "namespaces"); err != nil {
			return err
		}
		w.sighting, err = s.observe(w, plan)
		return err
	case *ipc.Refused:
		_ = w.kill()
		e := wallError(m)
		// Here only, before the worker has seen a guest byte: later it might be a
		// guest that talks its way out.
		e.Hint = printable(m.Hint)
		if e.Hint == "" && (m.Errno == int32(syscall.EPERM) || m.Errno == int32(syscall.EACCES)) {
			e.Hint = "a policy of this machine forbids it"
		}
		if s.cfg.Isolation != limits.None {
			e.Hint = strings.TrimPrefix(e.Hint+"; --isolation none runs without", "; ")
		}
		return e
	}
	return w.violation("%T before Ready", env.Message)
}

// violation kills the worker and names the rule it broke.
func (w *worker) violation(format string, args ...any) error {
	if err := w.kill(); err != nil {
		return err
	}
	return &loss{violation: fmt.Errorf(format, args...), last: w.last()}
}

// stands checks that a worker claims the walls that isolation asks for. It is its
// word, given before it saw a guest byte (or, for the last, any guest code run):
// a check on ourselves, not on an enemy.
func (s *Supervisor) stands(have []limits.Wall, want ...string) error {
	for _, name := range want {
		up := slices.ContainsFunc(have, func(w limits.Wall) bool { return w.Name == name && w.Raised })
		if !up && s.cfg.Isolation != limits.None {
			return &limits.WallError{Wall: name, Where: "the worker's report", Err: errors.New("it is not among the walls that stand")}
		}
	}
	return nil
}

// lastWords are the end of what a process that is no worker printed.
func lastWords(stderr string) string {
	if stderr = printable(stderr[max(0, len(stderr)-300):]); strings.TrimSpace(stderr) != "" {
		return "(it printed: " + strings.TrimSpace(stderr) + ")"
	}
	return ""
}

func wallError(m *ipc.Refused) *limits.WallError {
	err := error(errors.New(printable(m.Detail)))
	if m.Errno != 0 {
		err = syscall.Errno(m.Errno)
	}
	return &limits.WallError{Wall: printable(m.Wall), Where: printable(m.Where), Err: err}
}

// printable bounds hostile text and strips what could upset a terminal; the
// renderer escapes again.
func printable(s string) string {
	if len(s) > 512 {
		s = s[:512] + "…" // the mark of a cut, for what looks for secrets
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
