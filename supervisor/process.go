package supervisor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/greentic-ai/greentic-provision/ipc"
	"github.com/greentic-ai/greentic-provision/ipc/socketpair"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/limits/cgroup"
	"github.com/greentic-ai/greentic-provision/limits/namespace"
)

// reapTime bounds the wait for the kernel to take a killed process away. Only a
// process in uninterruptible sleep outlives SIGKILL for long.
const reapTime = 5 * time.Second

// process is a step-worker process. One goroutine drains its output, one waits
// for it; everybody else watches done. The socket is read by whoever waits for an
// answer: the protocol takes turns, and a goroutine that read all the time would
// cost a hand-over for each frame.
type process struct {
	cmd    *exec.Cmd
	born   time.Time
	conn   *ipc.Conn
	frames []kept // the last ones; of whoever exchanges
	bare   bool   // without a pid namespace, whose end would be the end of all in it
	stderr tail
	cgroup string        // the kernel's name of its cgroup, "" if it has none
	dead   chan struct{} // closed once the process is reaped
	done   chan struct{} // closed once its output is drained, too, and its cgroup removed
	events cgroup.Events // what the kernel counted in the cgroup; once dead
}

// start runs the worker binary in the namespaces of plan and in group, if that is not
// nil; the group is the process's then, and is removed when it is gone. It must be called
// on the spawner's thread, see spawner.
func start(path string, plan namespace.Plan, group *cgroup.Group) (_ *process, err error) {
	if group != nil {
		defer func() {
			if err != nil {
				err = errors.Join(err, group.Remove())
			}
		}()
	}
	stream, workerEnd, err := socketpair.New()
	if err != nil {
		return nil, fmt.Errorf("make the worker's socket: %w", err)
	}
	defer workerEnd.Close()
	defer func() {
		if err != nil {
			stream.Close()
		}
	}()
	outR, outW, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make the worker's output pipe: %w", err)
	}
	defer outW.Close()

	if err := spare(); err != nil {
		outR.Close()
		return nil, fmt.Errorf("start a process: %w", err)
	}

	cmd := exec.Command(path, plan.Args()...)
	cmd.Dir = "/"
	// A literal list: nothing of the caller's environment reaches a worker. One
	// processor is enough for Go code that waits while the guest runs (the guest is
	// not Go code), and spares the hand-overs of a second (a fifth of an isolated
	// step); naming a number also keeps the runtime (Go 1.25) from asking the
	// kernel for it now and then, which the system-call filter would not survive.
	cmd.Env = []string{"LANG=C", "GOTRACEBACK=none", "GOMAXPROCS=1"}
	cmd.Stdout, cmd.Stderr = outW, outW // a worker speaks on its socket only; this is for last words
	cmd.ExtraFiles = []*os.File{workerEnd}
	cmd.SysProcAttr = plan.SysProcAttr()
	if group != nil {
		group.Spawn(cmd.SysProcAttr)
	}
	if err := cmd.Start(); err != nil {
		outR.Close()
		return nil, err
	}
	p := &process{
		cmd:  cmd,
		born: time.Now(),
		conn: ipc.NewConn(stream, ipc.SupervisorSide),
		bare: !plan.Wall().Raised,
		dead: make(chan struct{}),
		done: make(chan struct{}),
	}
	if group != nil {
		p.cgroup = group.Path()
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		// Ends at EOF, at the deadline below, or when a flood has filled its
		// measure: the pipe then fills too, and the worker waits for itself.
		_, _ = io.CopyN(&p.stderr, outR, outputMost)
	}()
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // its error repeats cmd.ProcessState
		if group != nil {
			p.events, _ = group.Events()
		}
		close(p.dead)
		if group != nil {
			_ = group.Kill()   // what it left behind, where it had no pid namespace
			_ = group.Remove() // the next tree in this place removes what stays
		}
		// All that had the pipe open is dead with the pid namespace; without one,
		// a child the worker left behind must not keep us waiting.
		_ = outR.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		<-drained
		outR.Close()
	}()
	return p, nil
}

// spare says whether there are descriptors for what cmd.Start opens: /dev/null, a pipe
// for errors, one for the id maps, a pidfd, an id map. Where clone fails for want of
// the last two, Go (1.26) does not close the pipe for the maps (syscall/exec_linux.go,
// forkAndExecInChild), and what is short would be lost for good.
func spare() error {
	for range 4 {
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		defer r.Close()
		defer w.Close()
	}
	return nil
}

// alive says whether the process has not been reaped.
func (p *process) alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// kill ends the process and everything in its pid namespace, and waits until it
// is reaped. It is idempotent. SIGKILL works on stopped processes too. The
// error says that the kernel would not let go of it in time.
func (p *process) kill() error {
	if p.alive() {
		pid := p.cmd.Process.Pid
		if p.bare {
			// The worker leads a session and so a group of its own: this reaches what
			// it left behind.
			_ = syscall.Kill(-pid, syscall.SIGKILL)
		}
		_ = p.cmd.Process.Kill() // fails when it is done, or with it the wait below
	}
	gone := p.reaped(reapTime)
	// Whoever reads or writes it must not hang with a process that stays, nor with what
	// a bare worker left behind, which may hold the other end.
	p.conn.Close()
	if !gone {
		return fmt.Errorf("worker %d is not gone %s after SIGKILL", p.cmd.Process.Pid, reapTime)
	}
	return nil
}

// reaped waits for the process to be gone.
func (p *process) reaped(within time.Duration) bool {
	t := time.NewTimer(within)
	defer t.Stop()
	select {
	case <-p.done:
		return true
	case <-t.C:
		return false
	}
}

// died waits for the process to be dead, and then for what it said to be read.
func (p *process) died(within time.Duration) bool {
	t := time.NewTimer(within)
	defer t.Stop()
	select {
	case <-p.dead:
		return p.reaped(reapTime)
	case <-t.C:
		return false
	}
}

// dismiss ends the worker for good and closes its socket. One that is idle is
// asked to exit, and killed when it does not.
func (p *process) dismiss() error {
	defer p.conn.Close()
	if p.alive() {
		sent := make(chan struct{})
		go func() { // beside the wait, because a worker that never reads would block it
			defer close(sent)
			_ = p.conn.Send(0, &ipc.Bye{})
		}()
		defer func() { <-sent }()
		p.reaped(100 * time.Millisecond)
	}
	return p.kill()
}

// exchange sends m, when it is not nil, and waits for the next frame. A worker
// that does not read and answer before the deadline, or whose socket breaks, is
// killed and reaped before exchange returns, and the error is a *loss; other
// errors are the context's cause, our own mistakes, and a process that cannot be
// killed.
//
// What a worker said before it died is still read: its end of the socket is gone,
// the bytes are not.
func (p *process) exchange(ctx context.Context, deadline time.Time, id uint32, m ipc.Message, files ...*os.File) (ipc.Envelope, error) {
	// A worker that is killed closes its socket, which ends Send and Recv.
	timer := time.AfterFunc(time.Until(deadline), func() { _ = p.kill() })
	unwatch := context.AfterFunc(ctx, func() { _ = p.kill() })

	var env ipc.Envelope
	var err error
	if m != nil {
		p.note(limits.BySupervisor, id, m)
		err = p.conn.Send(id, m, files...)
	}
	if err == nil {
		env, err = p.conn.Recv()
	}
	if err == nil {
		p.note(limits.ByWorker, env.ID, env.Message)
	}
	// Either may fire up to this moment, with an answer at hand; the worker is
	// then dead all the same.
	late, ended := !timer.Stop(), !unwatch()
	if late || ended {
		if err := p.kill(); err != nil {
			return ipc.Envelope{}, err
		}
	}
	switch {
	case late:
		return ipc.Envelope{}, &loss{late: true, last: p.last()}
	case ended:
		return ipc.Envelope{}, context.Cause(ctx)
	case err != nil:
		return ipc.Envelope{}, p.lost(err, deadline)
	}
	return env, nil
}

// lost finds out why the socket broke. A worker that died closes its socket as
// it goes, so it gets a moment to be reaped before it is blamed for closing it.
func (p *process) lost(why error, deadline time.Time) error {
	moment := min(500*time.Millisecond, max(100*time.Millisecond, time.Until(deadline)))
	var violation *ipc.ProtocolError
	ours := errors.Is(why, ipc.ErrNotSent)
	if !ours && !errors.As(why, &violation) && p.died(moment) {
		return &loss{state: p.cmd.ProcessState, born: p.born, events: p.events, last: p.last()}
	}
	if err := p.kill(); err != nil {
		return err
	}
	switch {
	case ours:
		return why
	case violation == nil:
		why = fmt.Errorf("it closed its socket where an answer was due (%w)", why)
	}
	return &loss{violation: why, last: p.last()}
}

// last is what is left of a worker that is gone.
type last struct {
	frames []kept
	words  string // the end of what it printed
}

func (p *process) last() last {
	return last{frames: slices.Clone(p.frames), words: p.stderr.String()}
}

// loss is a worker that did not answer: it was late, it died, or it broke the
// protocol. Exactly one field group is set.
type loss struct {
	late      bool
	state     *os.ProcessState // how it died,
	born      time.Time        // and when it was started
	events    cgroup.Events
	expected  bool // a probe's: that it dies is what it is there for
	violation error
	last      last
}

func (l *loss) Error() string {
	switch {
	case l.late:
		return "the worker did not answer in time"
	case l.violation != nil:
		return fmt.Sprintf("the worker broke the protocol: %v", l.violation)
	}
	return fmt.Sprintf("the worker died: %v", l.state)
}

// tail keeps the last bytes written to it. It never blocks a writer, so a
// worker that floods its standard error only keeps itself busy.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const (
	tailSize   = 8 << 10 // kept
	outputMost = 1 << 20 // read
)

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b[max(0, len(b)-tailSize):]...)
	if over := len(t.buf) - tailSize; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(b), nil
}

// String gives whole lines only where the beginning is lost: half a word, which may be
// half a secret, is no use to anybody.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.buf) < tailSize {
		return string(t.buf)
	}
	_, whole, _ := bytes.Cut(t.buf, []byte("\n"))
	return string(whole)
}
