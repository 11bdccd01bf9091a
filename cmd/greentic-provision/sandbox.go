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
	worker, isolation, cacheDir string
	noCache                     bool
	limits                      limits.Limits
}

func (s *sandbox) flags(fs *pflag.FlagSet) {
	s.limits = limits.Default()
	fs.StringVar(&s.worker, "worker", "", "step-worker binary (default: next to this program, then on PATH; the exit code is 1 when it is in neither)")
	fs.StringVar(&s.isolation, "isolation", string(limits.Standard), "standard stops when a wall cannot be raised; none goes on without, and says so")
	fs.BoolVar(&s.noCache, "no-cache", false, "compile everything, keep nothing")
	fs.StringVar(&s.cacheDir, "cache-dir", "", cacheDirUsage)
	limitFlags(fs, &s.limits)
}

// check reports the first flag that makes no sense.
func (s *sandbox) check() error {
	if s.isolation != string(limits.Standard) && s.isolation != string(limits.None) {
		return &usageError{what: "--isolation", where: quote(s.isolation), rule: "is neither standard nor none"}
	}
	if s.noCache && s.cacheDir != "" {
		return &usageError{what: "--cache-dir", rule: "contradicts --no-cache", hint: "leave one of them out"}
	}
	return checkLimits(s.limits)
}

// equip gives a run of cfg.Blueprint what runs its components: a worker, which the
// supervisor that it starts leases, or nothing for a pack without any. Whatever it
// started has ended when done returns.
func (a *app) equip(ctx context.Context, s sandbox, cfg *engine.Config, host supervisor.HostCaller) (done func(), err error) {
	if len(cfg.Blueprint.Components) == 0 {
		cfg.Runner = engine.Noop
		return func() {}, nil
	}
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
	return func() { l.Close(); stop() }, nil
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
