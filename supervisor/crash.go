package supervisor

import (
	"cmp"
	"encoding/json"
	"fmt"

	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/ipc"
	"github.com/greentic-ai/greentic-provision/limits"
)

// Crash is what is known of a worker that was lost: it died, it was killed at its
// deadline, or it broke the protocol. Much of it came from the worker or has
// secrets in it: scrub it before it is written anywhere.
type Crash struct {
	Phase     Phase
	Component int          // at fault, by its index among those of the lease; -1 when none was in the worker
	Contract  string       // that Examine was asked for
	Call      *engine.Call // the step under way, in phase step
	HostCalls []HostCall   // of that step, in order
	Cut       bool         // host calls were too large to keep them all
	Reply     engine.Reply // the verdict and its facts
	Frames    []Frame      // the last that went between supervisor and worker
	Words     string       // the end of what the worker printed
}

// Phase is what a worker was doing.
type Phase string

// The phases.
const (
	PhaseStart   Phase = "start"   // on the way to Ready
	PhaseCompile Phase = "compile" // the compile worker of a component
	PhaseLoad    Phase = "load"
	PhaseSeal    Phase = "seal"
	PhaseStep    Phase = "step"
)

// HostCall is a host call and its answer.
type HostCall struct {
	Op            string
	Args          []byte
	Value         []byte
	Code, Message string // of a refusal
}

// Frame is a message that went between supervisor and worker. Text is for people: what
// is in it, or the size of its body.
type Frame struct {
	From limits.Observer
	Type string
	ID   uint32
	Text string
}

// kept is a frame as it is remembered. Of those with a body only its size: what a guest
// was asked and answered is in the crash apart, as the JSON that it is, so that secrets
// can be found in it.
type kept struct {
	from limits.Observer
	id   uint32
	kind string
	text string
	m    ipc.Message // control; nil where text says it
}

func (k kept) frame() Frame {
	f := Frame{From: k.from, Type: k.kind, ID: k.id, Text: k.text}
	if k.m != nil {
		text, err := json.Marshal(k.m)
		if err != nil {
			text = []byte(err.Error())
		}
		f.Text = hostile.Clip(string(text), keptBytes)
	}
	return f
}

// What is remembered of a worker's life. A worker decides what is in it, so it is
// bounded, and small enough for hundreds of workers.
const (
	keptFrames = 16
	keptBytes  = 4 << 10
	keptCalls  = 4 << 20 // bytes of host calls of one step
)

func (p *process) note(from limits.Observer, id uint32, m ipc.Message) {
	k := kept{from: from, id: id, kind: ipc.NameOf(m)}
	switch m := m.(type) {
	case *ipc.Invoke:
		k.text = fmt.Sprintf("component %d, %s, a request of %d bytes", m.Component, m.Action, len(m.Request))
	case *ipc.HostCall:
		k.text = fmt.Sprintf("%s, arguments of %d bytes", hostile.Clip(m.Op, 64), len(m.Args))
	case *ipc.HostReply:
		k.text = fmt.Sprintf("%s, a value of %d bytes", cmp.Or(m.Code, "ok"), len(m.Value))
	case *ipc.Result:
		k.text = fmt.Sprintf("%s, an output of %d bytes", hostile.Clip(m.Verdict, 64), len(m.Output))
	default: // never more than 64 KiB
		k.m = m
	}
	if len(p.frames) == keptFrames {
		p.frames = append(p.frames[:0], p.frames[1:]...)
	}
	p.frames = append(p.frames, k)
}

// Crash gives what is known of how the lease's worker, or a compile worker that it
// needed, was lost; nil when none was. It needs Config.Record.
func (l *Lease) Crash() *Crash { return l.crash }

// lost keeps what is known of a failure that is the loss of a worker.
func (l *Lease) lost(f *failure, phase Phase, component int) {
	if !f.lost || !l.s.cfg.Record || l.crash != nil {
		return
	}
	l.crash = &Crash{
		Phase: phase, Component: component, Contract: l.wanted[component], Call: l.call, HostCalls: l.calls, Cut: l.cut,
		Reply: f.reply(), Words: f.last.words,
	}
	for _, k := range f.last.frames {
		l.crash.Frames = append(l.crash.Frames, k.frame())
	}
}

// remember keeps a host call for Crash.
func (l *Lease) remember(m *ipc.HostCall, r *ipc.HostReply) {
	size := len(m.Op) + len(m.Args) + len(r.Value) + len(r.Message)
	if l.room -= size; l.room < 0 {
		l.cut = true
		return
	}
	l.calls = append(l.calls, HostCall{Op: m.Op, Args: m.Args, Value: r.Value, Code: r.Code, Message: r.Message})
}
