package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/greentic-ai/greentic-provision/capability"
	"github.com/greentic-ai/greentic-provision/capability/imports"
	"github.com/greentic-ai/greentic-provision/capability/wasi"
	"github.com/greentic-ai/greentic-provision/component"
	"github.com/greentic-ai/greentic-provision/contract"
	"github.com/greentic-ai/greentic-provision/ipc"
	"github.com/greentic-ai/greentic-provision/limits"
)

// step is one invocation, of a step or of anything else that a contract does: its
// budget, its host calls, its log.
type step struct {
	session *session
	id      uint32
	wasi    *wasi.Host
	log     log
	calls   uint32
	broken  error // the connection broke during a host call
}

func newStep(s *session, id uint32, m *ipc.Invoke) *step {
	st := &step{session: s, id: id, log: log{room: s.welcome.Log}}
	st.wasi = wasi.New(wasi.Config{
		Now:    time.Unix(0, m.Now).UTC(),
		Seed:   [32]byte(m.Seed),
		Budget: time.Duration(m.Budget),
		Stdout: func(line []byte) { st.log.add("stdout", string(line)) },
		Stderr: func(line []byte) { st.log.add("stderr", string(line)) },
	})
	return st
}

// run makes a fresh instance and drives it through a contract.
func (st *step) run(ctx context.Context, p *program, c contract.Contract, m *ipc.Invoke) ([]byte, error) {
	offered, err := imports.Bind(p.types, st, imports.Options{Wasi: st.wasi, Log: st.log.add})
	if err != nil {
		return nil, err
	}
	w := st.session.welcome
	inst, err := p.Instantiate(ctx, component.StoreLimits{
		MemoryBytes: int64(w.GuestMemory),
		// Real components use one memory, two tables and up to four core
		// instances (main, adapter, shim, fixup) per component.
		TableElements: 100_000,
		Instances:     100,
		Tables:        100,
		Memories:      10,
	}, offered)
	if err != nil {
		return nil, err
	}
	defer inst.Close()
	defer st.wasi.Flush() // a last line without its end
	return c.Run(ctx, inst, contract.Action(m.Action), m.Request, int(w.StepOutput))
}

// hostcallLimit ends a step that asks for too much; the guest sees a trap.
type hostcallLimit struct{ what string }

func (e *hostcallLimit) Error() string { return e.what }

// Call sends a host call to the supervisor and waits for the answer
// (imports.Caller).
func (st *step) Call(_ context.Context, op capability.Op, args []byte) ([]byte, error) {
	w := st.session.welcome
	if st.calls >= w.HostCalls {
		return nil, &hostcallLimit{fmt.Sprintf("more than %d host calls", w.HostCalls)}
	}
	if uint64(len(args)) > w.HostCallBytes {
		return nil, &hostcallLimit{fmt.Sprintf("host call %s with %d bytes of arguments, more than %d", op, len(args), w.HostCallBytes)}
	}
	st.calls++
	conn := st.session.conn
	if err := conn.Send(st.id, &ipc.HostCall{Op: string(op), Args: args}); err != nil {
		st.broken = err
		return nil, err
	}
	env, err := conn.Recv()
	if err != nil {
		st.broken = err
		return nil, err
	}
	reply, ok := env.Message.(*ipc.HostReply)
	if !ok {
		st.broken = fmt.Errorf("%T in answer to a host call", env.Message)
		return nil, st.broken
	}
	if reply.Code != "" {
		return nil, &capability.Error{Code: capability.Code(reply.Code), Message: reply.Message}
	}
	return reply.Value, nil
}

func (st *step) result(output []byte, err error) *ipc.Result {
	r := &ipc.Result{
		Verdict:  string(limits.OK),
		Output:   output,
		Logs:     st.log.lines,
		LogBytes: st.log.total, LogDropped: st.log.dropped,
	}
	if err != nil {
		v, detail := verdict(err)
		r.Verdict, r.Output, r.Detail = string(v), nil, bounded(detail)
	}
	return r
}

// verdict names what ended a step.
func verdict(err error) (limits.Verdict, string) {
	var (
		calls  *hostcallLimit
		exit   *wasi.ExitError
		guest  *contract.GuestError
		output *contract.OutputLimit
		trap   *component.Trap
	)
	switch {
	case errors.As(err, &calls):
		return limits.HostcallLimit, calls.Error()
	case errors.Is(err, wasi.ErrDeadline):
		return limits.Deadline, err.Error()
	case errors.As(err, &exit):
		return limits.GuestError, exit.Error()
	case errors.As(err, &guest):
		return limits.GuestError, guest.Error()
	case errors.As(err, &output):
		return limits.OutputLimit, output.Error()
	case errors.As(err, &trap):
		switch trap.Code {
		case component.TrapInterrupt:
			return limits.Deadline, "the step used up its time"
		case component.TrapLimit:
			return limits.MemoryLimit, trap.Message
		}
		return limits.Trap, trap.Message
	}
	return limits.HostFault, err.Error()
}

// log keeps the first room bytes of what a guest logs and counts the rest.
type log struct {
	room           uint64
	lines          []ipc.LogLine
	total, dropped uint64
}

// maxLines bounds the number of lines, so that empty ones are not free.
const maxLines = 1000

func (l *log) add(level, text string) {
	n := uint64(len(text))
	l.total += n
	if len(l.lines) >= maxLines || n+lineCost > l.room {
		l.dropped += n
		l.room = 0 // what follows a gap would mislead
		return
	}
	l.room -= n + lineCost
	l.lines = append(l.lines, ipc.LogLine{Level: level, Text: toValid(text)})
}
