package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/greentic-ai/greentic-provision/capability"
	"github.com/greentic-ai/greentic-provision/capsule"
	"github.com/greentic-ai/greentic-provision/contract"
	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/internal/buildinfo"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
	"github.com/greentic-ai/greentic-provision/render"
)

func (a *app) replay() *cobra.Command {
	var s sandbox
	var asJSON bool
	c := &cobra.Command{
		Use:   "replay CAPSULE",
		Short: "Make the crash of a worker happen again",
		Long: `Runs the guest of a crash capsule (see --artifacts) as it was run then: the same component, request, answers to
its host calls and limits, behind the walls of this machine, and compares how it ends. --isolation and
--codegen are those of the capsule unless they are given; a capsule cannot waive isolation, nor have a limit
that is above the default: that takes --isolation none, or the limit's flag.

The exit code is 0 when the verdict is the same, 4 when it is another one.`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &usageError{what: c.CommandPath(), rule: "takes one argument, the capsule", hint: "see " + c.CommandPath() + " --help"}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			dead, err := a.readCapsule(c.Context(), args[0])
			if err != nil {
				return err
			}
			switch {
			case c.Flags().Changed("isolation"):
			case dead.Receipt.Isolation == limits.None:
				return &usageError{what: "replay", where: quote(args[0]), rule: "was made with --isolation none, which a file cannot ask for", hint: "give --isolation none, or standard"}
			default:
				s.isolation = string(dead.Receipt.Isolation)
			}
			if !c.Flags().Changed("codegen") {
				s.codegen = string(dead.Receipt.Codegen)
			}
			s.limits, s.noCache = dead.Limits.Within(s.limits), true
			if err := s.check(""); err != nil {
				return err
			}
			if size := limitOf(dead); size > s.limits.StepInput {
				return &usageError{what: "replay", where: quote(args[0]), rule: "has a request of " + size.String() + ", over the limit of " + s.limits.StepInput.String(), hint: "raise --max-step-input"}
			}
			if dead.Component < 0 {
				return &failed{code: engine.ExitDiagnostics, line: "the worker was lost before it had anything of the pack: there is nothing to replay"}
			}
			now, receipt, err := a.again(c.Context(), s, dead)
			if err != nil {
				return err
			}
			r := render.Replay{
				Phase: dead.Phase, Component: dead.Components[dead.Component].Path, Scrubbed: dead.Scrubbed, Cut: dead.Cut,
				Then:  render.Ending{Program: dead.Program, Verdict: dead.Verdict, Observer: dead.Observer, Signal: dead.Signal, Detail: dead.Detail, Facts: dead.Facts},
				Now:   render.Ending{Program: buildinfo.Version, Verdict: now.Verdict, Observer: now.Observer, Signal: now.Signal, Detail: now.Detail, Facts: append([]limits.Fact{}, now.Facts...)},
				Same:  now.Verdict == dead.Verdict,
				Walls: receipt,
			}
			if asJSON {
				err = a.printJSON(r)
			} else {
				err = output{to: a.stdout}.write([]byte(render.ReplayText(r, style(a.stdout))))
			}
			if err == nil && !r.Same {
				line := ""
				if asJSON {
					line = fmt.Sprintf("it ended with %s, not with %s", r.Now.Verdict, r.Then.Verdict)
				}
				err = &failed{code: engine.ExitDiagnostics, line: line}
			}
			return err
		},
	}
	fs := c.Flags()
	s.wallFlags(fs)
	limitFlags(fs, &s.limits)
	fs.BoolVar(&asJSON, "json", false, "print a JSON object")
	return c
}

// limitOf is the step input that a capsule's request needs.
func limitOf(c *capsule.Capsule) limits.Bytes {
	if c.Step == nil {
		return 0
	}
	return limits.Bytes(len(c.Step.Request))
}

func (a *app) readCapsule(ctx context.Context, path string) (*capsule.Capsule, error) {
	wrong := func(err error) error {
		return &usageError{what: "replay", where: quote(path), rule: errorLine(err), hint: "a capsule is what --artifacts keeps"}
	}
	file, err := unlessEnded(ctx, func() ([]byte, error) {
		f, err := os.Open(path)
		if err != nil {
			return nil, reason(err)
		}
		defer f.Close()
		return io.ReadAll(io.LimitReader(f, capsule.MaxFile+1))
	})
	if err != nil {
		return nil, wrong(reason(err))
	}
	c, err := capsule.Decode(file)
	if err != nil {
		return nil, wrong(err)
	}
	return c, nil
}

// again does what a capsule says was done, in a new worker, and gives how it ended.
func (a *app) again(ctx context.Context, s sandbox, c *capsule.Capsule) (engine.Reply, limits.Receipt, error) {
	a.waived(s)
	sup, stop, err := a.supervise(s)
	if err != nil {
		return engine.Reply{}, limits.Receipt{}, err
	}
	defer stop()
	component := c.Components[c.Component]
	l, err := sup.Open(ctx, []pack.Component{{Path: component.Path, SHA256: component.SHA256, Text: component.Text, Bytes: c.Code}}, &recorded{calls: c.HostCalls})
	if err != nil {
		return engine.Reply{}, limits.Receipt{}, err
	}
	defer l.Close()
	e, err := l.Examine(ctx, 0, c.Contract)
	if err != nil || e.Verdict != limits.OK || c.Step == nil {
		return e.Reply, l.Receipt(), err
	}
	if _, ok := e.Does(contract.Action(c.Step.Action)); !ok {
		return engine.Reply{}, limits.Receipt{}, &usageError{what: "replay", where: quote(component.Path), rule: "the component does not " + render.Text(c.Step.Action, 60)}
	}
	call := engine.Call{Step: plan.Step(c.Step.Name), Action: contract.Action(c.Step.Action), Request: []byte(c.Step.Request)}
	seed, err := hex.DecodeString(c.Step.Seed)
	if err != nil || copy(call.Seed[:], seed) != len(call.Seed) {
		return engine.Reply{}, limits.Receipt{}, errors.New("replay: the seed was checked and is none")
	}
	r, err := l.RunStep(ctx, call)
	return r, l.Receipt(), err
}

// recorded answers host calls as they were answered then, in that order. One that was
// not made then is denied.
type recorded struct{ calls []capsule.HostCall }

func (r *recorded) Call(_ context.Context, op string, args []byte) ([]byte, error) {
	if len(r.calls) == 0 || r.calls[0].Op != op {
		return nil, &capability.Error{Code: capability.Denied, Message: "this call was not made in the run that is replayed"}
	}
	c := r.calls[0]
	r.calls = r.calls[1:]
	if c.Code != "" {
		return nil, &capability.Error{Code: capability.Code(c.Code), Message: c.Message}
	}
	return []byte(strings.Clone(c.Value)), nil
}
