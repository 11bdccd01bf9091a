package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/internal/buildinfo"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/render"
	"github.com/greentic-ai/greentic-provision/supervisor"
	"github.com/greentic-ai/greentic-provision/supervisor/codecache"
)

// sandbox is how components are run: the flags of every command that does.
type sandbox struct {
	worker, isolation, codegen, cgroup, cacheDir string
	noCache                                      bool
	artifacts                                    artifacts
	limits                                       limits.Limits
}

func (s *sandbox) flags(fs *pflag.FlagSet) {
	s.wallFlags(fs)
	fs.StringVar((*string)(&s.artifacts), "artifacts", "", "keep a worker's crash in a file in this directory, for replay")
	fs.BoolVar(&s.noCache, "no-cache", false, "compile everything, keep nothing")
	fs.StringVar(&s.cacheDir, "cache-dir", "", cacheDirUsage)
	limitFlags(fs, &s.limits)
}

// wallFlags adds what says which program runs components, and behind which walls. The
// limits are the default ones.
func (s *sandbox) wallFlags(fs *pflag.FlagSet) {
	s.limits = limits.Default()
	fs.StringVar(&s.worker, "worker", "", "step-worker binary (default: next to this program, then on PATH; the exit code is 1 when it is in neither)")
	fs.StringVar(&s.isolation, "isolation", string(limits.Standard), "strict needs every wall that the kernel can offer; standard needs namespaces, system-call filters and resource limits; none goes on without, and says so")
	fs.StringVar(&s.cgroup, "cgroup", "", "directory of a cgroup (v2) that workers' cgroups may be made in (default: the own one, if it was delegated)")
	fs.StringVar(&s.codegen, "codegen", string(limits.Native), "native compiles to machine code; interpreter is slower and never maps executable memory")
}

// check reports the first flag that makes no sense. packPath is that of the pack, ""
// where there is none.
func (s *sandbox) check(packPath string) error {
	if i := limits.Isolation(s.isolation); i != limits.Strict && i != limits.Standard && i != limits.None {
		return &usageError{what: "--isolation", where: quote(s.isolation), rule: "is none of strict, standard and none"}
	}
	if g := limits.Codegen(s.codegen); g != limits.Native && g != limits.Interpreter {
		return &usageError{what: "--codegen", where: quote(s.codegen), rule: "is neither native nor interpreter"}
	}
	if s.noCache && s.cacheDir != "" {
		return &usageError{what: "--cache-dir", rule: "contradicts --no-cache", hint: "leave one of them out"}
	}
	if err := checkLimits(s.limits); err != nil {
		return err
	}
	return s.artifacts.check(packPath)
}

// box is what runs the components of one run.
type box struct {
	lease *supervisor.Lease // nil where there is nothing to run
	stop  func()
}

// close ends everything that was started, and waits for it.
func (b *box) close() {
	if b.lease != nil {
		b.lease.Close()
		b.stop()
	}
}

// equip gives a run of cfg.Blueprint what runs its components: a worker, which the
// supervisor that it starts leases, or nothing for a pack without any.
func (a *app) equip(ctx context.Context, s sandbox, cfg *engine.Config, host supervisor.HostCaller) (*box, error) {
	if len(cfg.Blueprint.Components) == 0 {
		cfg.Runner = engine.Noop
		return &box{}, nil
	}
	a.waived(s)
	sup, stop, err := a.supervise(s)
	if err != nil {
		return nil, err
	}
	l, err := sup.Open(ctx, cfg.Blueprint.Components, host)
	if err != nil {
		stop()
		return nil, err
	}
	cfg.Runner, cfg.Receipt = l, l.Receipt
	return &box{l, stop}, nil
}

// waived warns of what --isolation none does.
func (a *app) waived(s sandbox) {
	if s.isolation == string(limits.None) {
		fmt.Fprintf(a.stderr, "%s: warning: --isolation none: strangers' code runs without the walls that cannot be raised\n", program)
	}
}

// supervise starts a supervisor for one run.
func (a *app) supervise(sb sandbox) (s *supervisor.Supervisor, done func(), err error) {
	worker, err := supervisor.FindWorker(sb.worker)
	if err != nil {
		if sb.worker != "" {
			return nil, nil, &usageError{what: "--worker", rule: err.Error()}
		}
		return nil, nil, err
	}
	var cache *codecache.Cache
	if !sb.noCache {
		if cache, err = openCache(sb.cacheDir); err != nil && sb.cacheDir != "" {
			return nil, nil, err
		}
		if err != nil {
			// Nobody asked for a cache here; without one the run is slow, not wrong.
			a.warn("compiling without a cache", err)
		}
	}
	p := newProgress(a.stderr)
	s, err = supervisor.New(supervisor.Config{
		Worker:    worker,
		Build:     buildinfo.Version,
		Limits:    sb.limits,
		Isolation: limits.Isolation(sb.isolation),
		Codegen:   limits.Codegen(sb.codegen),
		Cgroup:    sb.cgroup,
		Record:    sb.artifacts != "",
		Cache:     cache,
		Max:       1, // a single run needs one worker, and no spares
		Events: supervisor.Events{
			Compiling: func(path string) { p.show("compiling " + path) },
			Compiled:  func(string, time.Duration) { p.show("") },
			CacheLost: func(err error) { a.warn("compiled code is not kept", err) },
		},
	})
	if err != nil {
		p.close()
		return nil, nil, err
	}
	return s, func() { s.Close(); p.close() }, nil
}

// warn says on stderr what did not stop the run.
func (a *app) warn(what string, err error) {
	fmt.Fprintf(a.stderr, "%s: warning: %s: %s\n", program, what, render.Line(errorLine(err), maxErrorLine))
}
