package supervisor

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/greentic-ai/greentic-provision/ipc"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/limits/attack"
)

// Answer is what came of an attack that a probe made on its own walls.
type Answer struct {
	// Errno is what the kernel answered the attacker, 0 if it let the attack through;
	// it is the probe's word. It means nothing when the probe did not live to tell.
	Errno syscall.Errno
	// Signal is what the probe died of, "" if it did not; Observer is who saw that:
	// the kernel, or the probe's own handler on its way out.
	Signal   string
	Late     bool // it did not answer in time and was killed
	Observer limits.Observer
	Detail   string // for people
}

// Probe starts a worker as any other, has it raise its walls up to a stage and make
// an attack on them (limits/attack), and ends it. It is never used for anything else,
// and no other worker is used for this. The error is for our own side: *WorkerError, a
// *limits.WallError for a wall that could not be raised, the context's cause.
func (s *Supervisor) Probe(ctx context.Context, stage attack.Stage, name string) (Answer, error) {
	w, err := s.spawn(ctx, ipc.RoleProbe)
	if err != nil {
		return Answer{}, err
	}
	defer w.end()
	if w.failure != nil {
		return Answer{}, w.failure
	}
	env, err := w.exchange(ctx, time.Now().Add(s.cfg.Limits.StartTime), 0, &ipc.Attempt{Stage: string(stage), Name: name})
	if err != nil {
		if l, ok := errors.AsType[*loss](err); ok {
			l.expected = true
		}
		f := asFailure(err, "the attack")
		switch {
		case f == nil:
			return Answer{}, err
		case f.verdict == limits.ProtocolViolation:
			return Answer{}, f
		}
		return Answer{Signal: f.signal, Late: f.verdict == limits.Deadline, Observer: f.observer, Detail: f.detail}, nil
	}
	switch m := env.Message.(type) {
	case *ipc.Attempted:
		if m.Errno < 0 || m.Errno > 4095 { // MAX_ERRNO
			return Answer{}, w.violation("errno %d in Attempted", m.Errno)
		}
		return Answer{Errno: syscall.Errno(m.Errno), Observer: limits.ByWorker, Detail: printable(m.Detail)}, nil
	case *ipc.Refused:
		if m.Wall == "unknown" { // no wall's, see worker.refusal
			return Answer{}, fmt.Errorf("probe: %w", errors.New(printable(m.Detail)))
		}
		return Answer{}, wallError(m)
	}
	return Answer{}, w.violation("%T in answer to Attempt", env.Message)
}
