package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/greentic-ai/greentic-provision/capability"
	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/internal/buildinfo"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
	"github.com/greentic-ai/greentic-provision/render"
	"github.com/greentic-ai/greentic-provision/supervisor"
	"github.com/greentic-ai/greentic-provision/supervisor/codecache"
)

// dryRun holds the flags of dry-run setup.
type dryRun struct {
	pack, providerID, installID, publicBaseURL string
	env, tenant, team, user                    string
	answers, state                             string
	json, timings                              bool
	output                                     string
	executor, worker, cacheDir, isolation      string
	noCache                                    bool
	grants                                     []string
	limits                                     limits.Limits
}

// The executors.
const (
	executorWasm = "wasm"
	executorNoop = "noop"
)

func (a *app) dryRunSetup() *cobra.Command {
	f := dryRun{limits: limits.Default()}
	c := &cobra.Command{
		Use:   "setup --pack P",
		Short: "Run a pack's setup steps in the sandbox and print the plan they make",
		Long: `Runs collect, validate, apply and summary of the pack's setup flow, each in a fresh instance inside
one sandboxed process, and prints the merged plan. Nothing is applied.

Questions that the pack still has are listed; answer them with --answers. The exit code is that of
the table in ` + program + ` --help; open questions alone are no error.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.runDryRun(c, f) },
	}
	fs := c.Flags()
	packFlag(c, &f.pack)
	fs.StringVar(&f.providerID, "provider-id", "", "provider to set up (default: the pack's id)")
	fs.StringVar(&f.installID, "install-id", "default", "installation to set up")
	fs.StringVar(&f.publicBaseURL, "public-base-url", "", "address under which the outside reaches this installation")
	fs.StringVar(&f.answers, "answers", "", "file with the answers, a JSON object; - is stdin")
	fs.StringVar(&f.state, "state", "", "file with what exists already, a JSON object (config, secrets, subscriptions); - is stdin")
	fs.StringVar(&f.env, "env", "", "environment the plan is for")
	fs.StringVar(&f.tenant, "tenant", "", "tenant the plan is for")
	fs.StringVar(&f.team, "team", "", "team the plan is for")
	fs.StringVar(&f.user, "user", "", "user the plan is for")
	fs.BoolVar(&f.json, "json", false, "print the canonical result as JSON")
	fs.BoolVar(&f.timings, "timings", false, `with --json: add what differs from run to run, as member "volatile"`)
	fs.StringVar(&f.output, "output", "", "write the result to this file, whole or not at all")
	fs.StringVar(&f.executor, "executor", executorWasm, "wasm runs the steps; noop runs nothing and plans nothing")
	fs.StringVar(&f.worker, "worker", "", "step-worker binary (default: next to this program, then on PATH; the exit code is 1 when it is in neither)")
	fs.StringVar(&f.isolation, "isolation", string(limits.Standard), "standard stops when a wall cannot be raised; none goes on without, and says so")
	fs.StringSliceVar(&f.grants, "grant", capability.Grants(), "capabilities that the steps may use; an empty list grants nothing")
	fs.BoolVar(&f.noCache, "no-cache", false, "compile everything, keep nothing")
	fs.StringVar(&f.cacheDir, "cache-dir", "", cacheDirUsage)
	limitFlags(fs, &f.limits)
	return c
}

// check reports the first flag that makes no sense. given says whether a flag
// was on the command line.
func (f *dryRun) check(given func(flag string) bool) error {
	if f.pack == "" {
		return errNoPack
	}
	for _, name := range []struct{ flag, value string }{
		{"provider-id", f.providerID}, {"install-id", f.installID},
		{"env", f.env}, {"tenant", f.tenant}, {"team", f.team}, {"user", f.user},
	} {
		if given(name.flag) {
			if err := checkName(name.flag, name.value); err != nil {
				return err
			}
		}
	}
	if given("public-base-url") {
		if err := checkBaseURL(f.publicBaseURL); err != nil {
			return err
		}
	}
	if f.answers == "-" && f.state == "-" {
		return &usageError{what: "--state", rule: "reads stdin, and so does --answers", hint: "stdin can be read once; put one of the two in a file"}
	}
	if f.executor != executorWasm && f.executor != executorNoop {
		return &usageError{what: "--executor", where: quote(f.executor), rule: "is neither wasm nor noop"}
	}
	if f.isolation != string(limits.Standard) && f.isolation != string(limits.None) {
		return &usageError{what: "--isolation", where: quote(f.isolation), rule: "is neither standard nor none"}
	}
	if err := capability.CheckGrants(f.grants); err != nil {
		return &usageError{what: "--grant", rule: err.Error()}
	}
	if f.noCache && f.cacheDir != "" {
		return &usageError{what: "--cache-dir", rule: "contradicts --no-cache", hint: "leave one of them out"}
	}
	if f.timings && !f.json {
		return &usageError{what: "--timings", rule: "is for --json", hint: "without --json, times are shown anyway"}
	}
	return checkLimits(f.limits)
}

func (a *app) runDryRun(c *cobra.Command, f dryRun) error {
	ctx := c.Context()
	if err := f.check(c.Flags().Changed); err != nil {
		return err
	}
	out, err := a.newOutput(f.output, input{"--pack", f.pack}, input{"--answers", f.answers}, input{"--state", f.state})
	if err != nil {
		return err
	}
	blueprint, err := pack.Open(f.pack)
	if err != nil {
		return packError("--pack", f.pack, err)
	}
	inputs, state, err := a.inputs(ctx, f, blueprint)
	if err != nil {
		return err
	}
	host := capability.NewHost(capability.Config{Grants: f.grants, State: state, PublicBaseURL: f.publicBaseURL, Limits: f.limits})
	result, err := a.execute(ctx, f, engine.Config{Blueprint: blueprint, Inputs: inputs, Host: host, Limits: f.limits}, host)
	if err != nil {
		return err
	}
	if f.json {
		err = out.writeJSON(document(result, f.timings))
	} else {
		look := render.Style{}
		if f.output == "" {
			look = style(a.stdout)
		}
		err = out.write([]byte(render.Result(result, look)))
	}
	if err != nil {
		return err
	}
	if result.ExitCode == engine.ExitOK {
		return nil
	}
	e := &failed{code: result.ExitCode}
	if f.json || f.output != "" {
		e.line = render.Summary(result)
	}
	return e
}

// document is what --json prints. Times are in it only when asked for: without
// them, two runs of the same give the same bytes.
func document(res *engine.Result, timings bool) any {
	if !timings {
		return res
	}
	type step struct {
		Step   plan.Step `json:"step"`
		WallNS int64     `json:"wall_ns"`
	}
	type volatile struct {
		Steps []step `json:"steps"`
	}
	v := volatile{Steps: []step{}}
	for _, t := range res.Volatile.Steps {
		v.Steps = append(v.Steps, step{t.Step, t.Timing.WallNS})
	}
	return struct {
		*engine.Result
		Volatile volatile `json:"volatile"`
	}{res, v}
}

// execute runs the steps. Whatever it started has ended when it returns.
func (a *app) execute(ctx context.Context, f dryRun, cfg engine.Config, host *capability.Host) (*engine.Result, error) {
	if f.executor == executorNoop || len(cfg.Blueprint.Components) == 0 {
		cfg.Runner = engine.Noop
		return engine.Run(ctx, cfg)
	}
	s, done, err := a.supervise(f)
	if err != nil {
		return nil, err
	}
	defer done()
	lease, err := s.Open(ctx, cfg.Blueprint.Components, host)
	if err != nil {
		return nil, err
	}
	defer lease.Close()
	cfg.Runner = lease
	cfg.Receipt = lease.Receipt
	return engine.Run(ctx, cfg)
}

// supervise starts a supervisor for one run.
func (a *app) supervise(f dryRun) (s *supervisor.Supervisor, done func(), err error) {
	worker, err := supervisor.FindWorker(f.worker)
	if err != nil {
		if f.worker != "" {
			return nil, nil, &usageError{what: "--worker", rule: err.Error()}
		}
		return nil, nil, err
	}
	var cache *codecache.Cache
	if !f.noCache {
		if cache, err = openCache(f.cacheDir); err != nil && f.cacheDir != "" {
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
		Limits:    f.limits,
		Isolation: limits.Isolation(f.isolation),
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
