package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/greentic-ai/greentic-provision/capability"
	"github.com/greentic-ai/greentic-provision/contract"
	"github.com/greentic-ai/greentic-provision/doctor"
	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/internal/guests"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/limits/attack"
	"github.com/greentic-ai/greentic-provision/limits/probe"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
	"github.com/greentic-ai/greentic-provision/render"
	"github.com/greentic-ai/greentic-provision/supervisor"
)

func (a *app) doctor() *cobra.Command {
	// The limits are the default ones: the attacks know them.
	sb := sandbox{noCache: true, limits: limits.Default()}
	var asJSON, all, flaws bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Prove on this machine that the sandbox holds, by attacking it from inside",
		Long: `Has a worker raise its walls as for a run, and then has each of them attacked from inside: native
code, in a worker that is there for nothing else, tries what the wall must stop, and the kernel's
answer is compared with the one that it must give. No pack is needed, and nothing is left behind.

A wall holds when it stands and every attack on it ended as it must. Which walls must stand is up to
--isolation. The exit code is 6 when one of those does not hold, and one line says which and why.

With --engine-advisories, guests that use published flaws of the WebAssembly engine are run as well,
and the exit code is 6 also when one of them ends otherwise than it must: a flaw may end a worker, and
nothing else.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := sb.check(""); err != nil {
				return err
			}
			report, err := a.examineWalls(c.Context(), sb)
			if err == nil && flaws && report.Refusal == nil {
				err = a.useFlaws(c.Context(), sb, report)
			}
			if err != nil {
				return err
			}
			if asJSON {
				err = a.printJSON(report)
			} else {
				err = output{to: a.stdout}.write([]byte(render.Doctor(report, all, style(a.stdout))))
			}
			if err == nil && !report.OK {
				err = &failed{code: engine.ExitIsolation, line: strings.Join(report.Problems, "; ")}
			}
			return err
		},
	}
	fs := c.Flags()
	sb.wallFlags(fs)
	fs.BoolVarP(&all, "all", "v", false, "list every attack")
	fs.BoolVar(&flaws, "engine-advisories", false, "also run guests that use published flaws of the engine")
	fs.BoolVar(&asJSON, "json", false, "print a JSON object")
	return c
}

// What is tried; tests that start a process try less.
var (
	attacks = attack.All
	corpus  = guests.All
)

// examineWalls looks at the walls of this machine.
func (a *app) examineWalls(ctx context.Context, sb sandbox) (*doctor.Report, error) {
	m := &machine{app: a, sandbox: sb, supervisors: map[limits.Isolation]*supervisor.Supervisor{}}
	defer m.close()
	asked := limits.Isolation(sb.isolation)
	if _, err := m.supervisor(asked); err != nil {
		if _, wall := errors.AsType[*limits.WallError](err); !wall { // else that is the finding
			return nil, err
		}
	}
	report, err := doctor.Examine(ctx, m, doctor.Options{
		Isolation: asked,
		Codegen:   limits.Codegen(sb.codegen),
		Attacks:   attacks(),
		// One keeps a processor busy for a second, until the kernel ends that.
		Workers: runtime.GOMAXPROCS(0) + 1,
	})
	if err == nil {
		err = m.wrong
	}
	if err != nil {
		return nil, err
	}
	report.Machine = doctor.Machine{Kernel: probe.Kernel(), UID: os.Geteuid()}
	return report, nil
}

// machine is the doctor's sandbox: real workers, of a supervisor for each isolation.
type machine struct {
	app     *app
	sandbox sandbox

	mu          sync.Mutex
	supervisors map[limits.Isolation]*supervisor.Supervisor
	done        []func()
	wrong       error // the worker is none of ours: there is nothing to examine
}

var _ doctor.Sandbox = (*machine)(nil)

func (m *machine) supervisor(isolation limits.Isolation) (*supervisor.Supervisor, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.supervisors[isolation]; s != nil {
		return s, nil
	}
	sb := m.sandbox
	if sb.isolation != string(isolation) { // the one that was asked for cannot be had
		sb.isolation, sb.cgroup = string(isolation), ""
	}
	s, done, err := m.app.supervise(sb)
	if err != nil {
		return nil, err
	}
	m.supervisors[isolation], m.done = s, append(m.done, done)
	return s, nil
}

func (m *machine) close() {
	for _, done := range m.done {
		done()
	}
}

// honest is a step that asks for nothing: what a worker does until it is sealed, it
// does for this one too, compilation by another worker included.
const honest = `(module
  (memory (export "memory") 1)
  (data (i32.const 0) "{}")
  (func (export "run") (param i32 i32) (result i32 i32) (i32.const 0) (i32.const 2)))`

// Raise runs the honest step.
func (m *machine) Raise(ctx context.Context, isolation limits.Isolation) (limits.Receipt, error) {
	s, err := m.supervisor(isolation)
	if err != nil {
		return limits.Receipt{}, err
	}
	components := []pack.Component{{Path: "honest step", Text: true, Size: int64(len(honest)), Bytes: []byte(honest)}}
	l, err := s.Open(ctx, components, capability.NewHost(capability.Config{}))
	if err != nil {
		if wrong, ok := errors.AsType[*supervisor.WorkerError](err); ok {
			m.mu.Lock()
			m.wrong = wrong
			m.mu.Unlock()
		}
		return limits.Receipt{}, err
	}
	defer l.Close()
	reply, err := l.RunStep(ctx, engine.Call{Step: plan.Apply, Action: contract.ActStep, Request: []byte("{}")})
	if err == nil && reply.Verdict != limits.OK {
		err = fmt.Errorf("an honest step ended with %s: %s", reply.Verdict, render.Text(reply.Detail, maxErrorLine))
	}
	return l.Receipt(), err
}

// Attack has a probe make the attack.
func (m *machine) Attack(ctx context.Context, isolation limits.Isolation, stage attack.Stage, name string) (doctor.Answer, error) {
	s, err := m.supervisor(isolation)
	if err != nil {
		return doctor.Answer{}, err
	}
	answer, err := s.Probe(ctx, stage, name)
	return doctor.Answer(answer), err
}

// useFlaws runs the guests that use flaws of the engine, and adds what came of them.
func (a *app) useFlaws(ctx context.Context, sb sandbox, report *doctor.Report) error {
	list, err := guests.Advisories()
	if err != nil {
		return err
	}
	all, err := corpus()
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(g guests.Guest) bool { return len(g.Advisories) == 0 })
	flaws := doctor.Flaws{Date: list.Date, Guests: make([]doctor.Guest, len(all)), Excluded: []doctor.Exclusion{}}
	for _, advisory := range list.Advisories {
		if e := advisory.Excluded; e != nil {
			flaws.Excluded = append(flaws.Excluded, doctor.Exclusion{Advisory: advisory.ID, About: advisory.About, Why: e.Why})
		}
	}
	errs := make([]error, len(all))
	var wait sync.WaitGroup
	room := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, g := range all {
		room <- struct{}{}
		wait.Go(func() {
			flaws.Guests[i], errs[i] = a.useFlaw(ctx, sb, g)
			<-room
		})
	}
	wait.Wait()
	report.Add(flaws)
	return errors.Join(errs...)
}

// useFlaw runs one guest as the only step of a pack. The error is our own, or the
// context's cause.
func (a *app) useFlaw(ctx context.Context, sb sandbox, g guests.Guest) (doctor.Guest, error) {
	d := doctor.Guest{Name: g.Name, Advisories: g.Advisories, Behaviour: g.Behaviour, Expected: g.Verdicts(limits.Codegen(sb.codegen))}
	archive, err := guests.Pack(g)
	if err != nil {
		return d, err
	}
	blueprint, err := pack.OpenBytes(archive, g.Name+".gtpack", pack.Options{})
	if err != nil {
		return d, err
	}
	if !slices.Contains(d.Expected, limits.Deadline) {
		sb.limits.StepTime = sb.limits.RunTime // a busy machine must not change the verdict
	}
	sb.limits = g.Limits(sb.limits)
	s, done, err := a.supervise(sb)
	if err != nil {
		return d, err
	}
	defer done()
	host := capability.NewHost(capability.Config{Limits: sb.limits})
	l, err := s.Open(ctx, blueprint.Components, host)
	if err != nil {
		return d, err
	}
	defer l.Close()
	res, err := engine.Run(ctx, engine.Config{
		Blueprint: blueprint, Runner: l, Host: host, Limits: sb.limits, Receipt: l.Receipt,
		Inputs: plan.Inputs{ProviderID: "doctor", InstallID: "doctor", Answers: []byte("{}")},
	})
	if err != nil {
		return d, err
	}
	d.Verdict = res.Verdict
	for _, diagnostic := range res.Diagnostics {
		if diagnostic.Severity == plan.Error {
			d.Detail = diagnostic.Message
			break
		}
	}
	return d, nil
}
