package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/greentic-ai/greentic-provision/capability"
	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/ipc"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/pack"
)

// grace is how long after its budget a step may still answer: inside, the epoch
// deadline gives a clean trap at the budget; the kill is the backstop.
const grace = 500 * time.Millisecond

// guestEpoch is the time a guest's clock starts at in a dry run: the same on
// every run.
var guestEpoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// HostCaller answers host calls. Args come from a worker and are hostile. A
// *capability.Error is an answer the guest sees; any other error is a fault of
// our side and ends the run.
type HostCaller interface {
	Call(ctx context.Context, op string, args []byte) (reply []byte, err error)
}

// Lease is one worker for one run of one pack. It implements engine.StepRunner. It is
// used by one goroutine.
type Lease struct {
	s          *Supervisor
	w          *worker
	host       HostCaller
	components []pack.Component
	examined   map[int]*engine.Examined
	sealed     bool
	receipt    limits.Receipt
	problem    *failure // why nothing can run any more; the worker may be dead
	broken     error    // our own fault, or the context's end: the worker is gone
	closed     bool
	invokes    uint32

	wanted map[int]string // the contract that each component was examined for
	crash  *Crash
	call   *engine.Call // under way, and its host calls
	calls  []HostCall
	room   int  // for more of them, in bytes
	cut    bool // there was none
}

var _ engine.StepRunner = (*Lease)(nil)

// Open leases a worker for a run of these components; none of them is loaded yet.
// When the worker was lost on the way to it, Open succeeds and everything asked of
// the lease ends with that verdict. The error is for our own side: *WorkerError,
// *limits.WallError, the context's cause.
func (s *Supervisor) Open(ctx context.Context, components []pack.Component, host HostCaller) (*Lease, error) {
	w, err := s.pool.Get(ctx)
	if err != nil {
		return nil, err
	}
	l := &Lease{s: s, w: w, host: host, components: components, examined: map[int]*engine.Examined{}, wanted: map[int]string{}}
	l.receipt = limits.Receipt{Isolation: s.cfg.Isolation, Codegen: s.cfg.Codegen, Engine: w.engine, Walls: slices.Clone(w.walls), Seen: w.sighting}
	if w.failure != nil {
		if l.problem = asFailure(w.failure, "preparation"); l.problem == nil {
			l.Close()
			return nil, w.failure
		}
		l.problem.before = true
		l.lost(l.problem, PhaseStart, -1)
	}
	return l, nil
}

// Examine loads a component, compiling it where no code is at hand, and says what
// it is. Nothing of it runs. The second time, the answer of the first is given.
// contract, when not empty, is the only contract that counts.
//
// A component that cannot be compiled or fits no contract is in the verdict, and
// says nothing about the others; the loss of the worker is in the verdict of this
// one and everything after it. The error is for our own side.
func (l *Lease) Examine(ctx context.Context, component int, contract string) (engine.Examined, error) {
	if e, ok := l.examined[component]; ok {
		return *e, nil
	}
	switch {
	case l.broken != nil:
		return engine.Examined{}, l.broken
	case component < 0 || component >= len(l.components):
		return engine.Examined{}, fmt.Errorf("component %d of %d", component, len(l.components))
	case l.sealed:
		return engine.Examined{}, errors.New("a component is to be loaded into a sealed worker")
	}
	l.wanted[component] = contract
	e, err := &engine.Examined{}, error(nil)
	if l.problem == nil {
		e, err = l.load(ctx, uint32(component), l.components[component], contract)
	} else {
		err = l.problem
	}
	if err != nil {
		f := asFailure(err, "preparation")
		if f == nil {
			l.broken = err
			return engine.Examined{}, err
		}
		f.before = true
		phase := PhaseCompile
		if !l.w.alive() {
			l.problem, phase = f, PhaseLoad
		}
		l.lost(f, phase, component)
		e = &engine.Examined{Reply: f.reply()}
	}
	l.examined[component] = e
	return *e, nil
}

// seal raises the last walls. Nothing can be loaded afterwards.
func (l *Lease) seal(ctx context.Context) error {
	env, err := l.w.exchange(ctx, time.Now().Add(l.s.cfg.Limits.StartTime), 0, &ipc.Seal{})
	if err != nil {
		return err
	}
	switch m := env.Message.(type) {
	case *ipc.Sealed:
		l.sealed = true
		up := walls(m.Walls)
		pid := l.w.cmd.Process.Pid
		l.s.cfg.Events.phase(pid, "sealed")
		if err := l.s.stands(up, "seccomp-run"); err != nil {
			return err
		}
		if err := l.s.sealed(pid, up); err != nil {
			return err
		}
		l.receipt.Walls = append(l.receipt.Walls, up...)
		return nil
	case *ipc.Refused:
		return wallError(m)
	}
	return l.w.violation("%T in answer to Seal", env.Message)
}

// load hands over one component. Native code that the engine does not take,
// say because the cache is from before a CPU migration, is compiled afresh once.
func (l *Lease) load(ctx context.Context, i uint32, c pack.Component, contract string) (*engine.Examined, error) {
	for _, fresh := range []bool{false, true} {
		code, layer, cached, err := l.s.code(ctx, l.w.engine, c, fresh)
		if err != nil {
			return nil, err
		}
		m := &ipc.Load{Component: i, Layer: string(layer), Size: code.size, Contract: contract}
		env, err := l.w.exchange(ctx, time.Now().Add(l.s.cfg.Limits.StartTime), 0, m, code.file)
		code.file.Close()
		if err != nil {
			return nil, err
		}
		loaded, ok := env.Message.(*ipc.Loaded)
		if !ok || loaded.Component != i {
			return nil, l.w.violation("%T in answer to Load", env.Message)
		}
		e := examined(loaded)
		switch {
		case e.Verdict == limits.OK:
			l.s.cfg.Events.phase(l.w.cmd.Process.Pid, "loaded")
			return e, nil
		case e.Verdict == limits.HostFault && cached:
			continue
		case e.Verdict == limits.ContractMismatch, e.Verdict == limits.MemoryLimit, e.Verdict == limits.HostFault:
			e.Detail = c.Path + ": " + e.Detail
			return e, nil
		default:
			return nil, l.w.violation("verdict %q in Loaded", loaded.Verdict)
		}
	}
	panic("unreachable: the second round is never cached")
}

// Receipt lists the walls that stood.
func (l *Lease) Receipt() limits.Receipt {
	l.receipt.Worker = l.s.digest()
	return l.receipt
}

// Close ends the worker and waits until it is reaped.
func (l *Lease) Close() {
	if !l.closed {
		l.closed = true
		l.s.pool.Discard(l.w)
	}
}

// RunStep does one action. The first one seals the worker. The wall-clock budget is
// armed here, at dispatch, and covers host calls. A component that nobody examined
// is examined first, without a preference among its contracts.
func (l *Lease) RunStep(ctx context.Context, call engine.Call) (engine.Reply, error) {
	e, err := l.Examine(ctx, call.Component, "")
	if err != nil {
		return engine.Reply{}, err
	}
	if e.Verdict != limits.OK {
		return e.Reply, nil
	}
	contract, ok := e.Does(call.Action)
	switch {
	case !ok:
		return engine.Reply{}, fmt.Errorf("%s is asked to %s, which it does not do", l.components[call.Component].Path, call.Action)
	case l.broken != nil:
		return engine.Reply{}, l.broken
	case l.problem != nil:
		return l.problem.reply(), nil
	}
	if !l.sealed {
		err = l.seal(ctx)
	}
	var reply engine.Reply
	started, phase, start := err == nil, "preparation", time.Now()
	if started {
		phase = "step " + string(call.Step)
		reply, err = l.invoke(ctx, call, start)
	}
	if f := asFailure(err, phase); f != nil {
		f.before = !started
		l.problem = f // the worker is gone
		if started {
			l.lost(f, PhaseStep, call.Component)
		} else {
			l.lost(f, PhaseSeal, call.Component)
		}
		reply, err = f.reply(), nil
		if started && f.verdict == limits.Deadline && f.observer == limits.BySupervisor {
			reply.Detail = fmt.Sprintf("the step did not finish within %s and was killed", l.s.cfg.Limits.StepTime)
		}
	}
	if started {
		reply.Timing.WallNS = time.Since(start).Nanoseconds()
	}
	l.broken = err
	reply.Contract = contract
	reply.Usage.InputBytes = uint64(len(call.Request))
	return reply, err
}

func (l *Lease) invoke(ctx context.Context, call engine.Call, start time.Time) (engine.Reply, error) {
	lim := l.s.cfg.Limits
	deadline := start.Add(lim.StepTime + grace)
	if l.s.cfg.Record {
		l.call, l.calls, l.room, l.cut = &call, nil, keptCalls, false
	}
	l.invokes++
	id := l.invokes
	pid := l.w.cmd.Process.Pid
	var next ipc.Message = &ipc.Invoke{
		Component: uint32(call.Component),
		Action:    string(call.Action),
		Request:   call.Request,
		Budget:    int64(lim.StepTime),
		Seed:      call.Seed[:],
		Now:       guestEpoch.UnixNano(),
	}
	l.s.cfg.Events.phase(pid, "invoked")
	for calls := 0; ; calls++ {
		env, err := l.w.exchange(ctx, deadline, id, next)
		if err != nil {
			return engine.Reply{}, err
		}
		switch m := env.Message.(type) {
		case *ipc.Result:
			l.s.cfg.Events.phase(pid, "result")
			return l.result(m, calls)
		case *ipc.HostCall:
			l.s.cfg.Events.phase(pid, "hostcall")
			// The worker counts too and ends the guest at the limit; one that goes
			// on is not our worker any more.
			if calls >= lim.HostCalls || uint64(len(m.Args)) > uint64(lim.HostCallBytes) {
				return engine.Reply{}, l.w.violation("host call over the limits")
			}
			reply, err := l.answer(ctx, m)
			if err != nil {
				_ = l.w.kill()
				return engine.Reply{}, err
			}
			if l.s.cfg.Record {
				l.remember(m, reply)
			}
			next = reply
		default:
			return engine.Reply{}, l.w.violation("%T during a step", env.Message)
		}
	}
}

// answer runs a host call.
func (l *Lease) answer(ctx context.Context, m *ipc.HostCall) (*ipc.HostReply, error) {
	value, err := l.host.Call(ctx, m.Op, m.Args)
	var refusal *capability.Error
	switch {
	case errors.As(err, &refusal):
		return &ipc.HostReply{Code: string(refusal.Code), Message: refusal.Message}, nil
	case err != nil:
		return nil, fmt.Errorf("host call %q: %w", printable(m.Op), err)
	case len(value) > int(l.s.cfg.Limits.HostCallBytes):
		return &ipc.HostReply{Code: string(capability.TooLarge), Message: "the answer is larger than a host call may be"}, nil
	}
	return &ipc.HostReply{Value: value}, nil
}

// claimable are the verdicts that a worker may give about its own step.
var claimable = []limits.Verdict{limits.OK, limits.GuestError, limits.Trap, limits.Deadline, limits.MemoryLimit,
	limits.OutputLimit, limits.HostcallLimit, limits.HostFault}

// result checks what the worker says about a step that it ended itself.
func (l *Lease) result(m *ipc.Result, calls int) (engine.Reply, error) {
	lim := l.s.cfg.Limits
	v := limits.Verdict(m.Verdict)
	switch {
	case !slices.Contains(claimable, v):
		return engine.Reply{}, l.w.violation("verdict %q in Result", m.Verdict)
	case uint64(len(m.Output)) > uint64(lim.StepOutput):
		return engine.Reply{}, l.w.violation("%d bytes of output, more than %s", len(m.Output), lim.StepOutput)
	}
	r := engine.Reply{
		Verdict:  v,
		Observer: limits.ByWorker,
		Facts:    claims(v),
		Detail:   boundDetail(m.Detail),
		Usage: limits.Usage{
			OutputBytes: uint64(len(m.Output)),
			HostCalls:   uint64(calls),
			LogBytes:    min(m.LogBytes, exact),
			LogDropped:  min(m.LogDropped, exact),
		},
	}
	if v == limits.OK {
		r.Response = m.Output
	}
	room := int(lim.Log)
	for _, line := range m.Logs {
		if room -= len(line.Text) + lineCost; room < 0 {
			break
		}
		r.Logs = append(r.Logs, engine.LogLine{Level: line.Level, Text: line.Text})
	}
	return r, nil
}

// claims are the facts of what only the worker says.
func claims(v limits.Verdict) []limits.Fact {
	if v == limits.OK {
		return nil
	}
	return []limits.Fact{{Observer: limits.ByWorker, Name: "verdict", Value: string(v)}}
}

// exact is the greatest number that every reader of JSON has exactly (RFC 8259, 6).
const exact = 1<<53 - 1

// lineCost is what a log line costs beside its text, as in package worker: a
// million empty lines are bounded too.
const lineCost = 16

// boundDetail bounds hostile text that engine.Reply carries.
func boundDetail(s string) string { return hostile.Clip(s, 4096) }

// file is native code in a sealed memfd.
type file struct {
	file *os.File
	size uint64
}
