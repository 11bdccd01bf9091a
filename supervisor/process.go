package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/greentic-ai/greentic-provision/ipc"
	"github.com/greentic-ai/greentic-provision/ipc/socketpair"
	"github.com/greentic-ai/greentic-provision/limits/namespace"
)

// reapTime bounds the wait for the kernel to take a killed process away. Only a
// process in uninterruptible sleep outlives SIGKILL for long.
const reapTime = 5 * time.Second

// process is a step-worker process. One goroutine reads its socket, one its
// standard error, one waits for it; everybody else watches done.
type process struct {
	cmd    *exec.Cmd
	conn   *ipc.Conn
	frames chan ipc.Envelope // closed when reading ends; readErr then says why
	stderr tail

	readErr error         // valid once frames is closed
	done    chan struct{} // closed once the process is reaped and its stderr drained
	killed  atomic.Bool   // by us
}

// start runs the worker binary in the namespaces of plan. It must be called on
// the spawner's thread, see spawner.
func start(path string, plan namespace.Plan) (_ *process, err error) {
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

	cmd := exec.Command(path, plan.Args()...)
	cmd.Dir = "/"
	// A literal list: nothing of the caller's environment reaches a worker. Two
	// processors are for the guest's thread and the Go runtime's; naming a number
	// also keeps the runtime (Go 1.25) from asking the kernel for it now and then,
	// which the system-call filter would not survive.
	cmd.Env = []string{"LANG=C", "GOTRACEBACK=none", "GOMAXPROCS=2"}
	cmd.Stdout, cmd.Stderr = outW, outW // a worker speaks on its socket only; this is for last words
	cmd.ExtraFiles = []*os.File{workerEnd}
	cmd.SysProcAttr = plan.SysProcAttr()
	if err := cmd.Start(); err != nil {
		outR.Close()
		return nil, err
	}
	p := &process{
		cmd:    cmd,
		conn:   ipc.NewConn(stream, ipc.SupervisorSide),
		frames: make(chan ipc.Envelope),
		done:   make(chan struct{}),
	}
	go p.read()
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		defer outR.Close()
		_, _ = io.Copy(&p.stderr, outR) // ends at EOF or at the deadline below
	}()
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // its error repeats cmd.ProcessState
		// All that had the pipe open is dead with the pid namespace; without one,
		// a child the worker left behind must not keep us waiting.
		_ = outR.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		<-drained
		p.conn.Close()
	}()
	return p, nil
}

func (p *process) read() {
	defer close(p.frames)
	for {
		env, err := p.conn.Recv()
		if err != nil {
			p.readErr = err
			return
		}
		select {
		case p.frames <- env:
		case <-p.done:
			p.readErr = io.EOF
			return
		}
	}
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
		p.killed.Store(true)
		pid := p.cmd.Process.Pid
		// The worker leads a session and so a group of its own: this reaches what
		// a worker without a pid namespace left behind.
		_ = syscall.Kill(-pid, syscall.SIGKILL)
		if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("kill worker %d: %w", pid, err)
		}
	}
	if !p.reaped(reapTime) {
		p.conn.Close() // whoever reads or writes it must not hang with the process
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

// dismiss ends a worker that is idle: it is asked to exit, and killed when it
// does not.
func (p *process) dismiss() error {
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_ = p.conn.Send(0, &ipc.Bye{})
	}()
	p.reaped(100 * time.Millisecond)
	err := p.kill()
	<-sent // the socket is closed by now
	return err
}

// exchange sends m, when it is not nil, and waits for the next frame. Sending
// happens beside the wait, because a worker that never reads would block it; the
// descriptors are borrowed, so exchange returns only when the sending has ended.
// A worker that does not read and answer before the deadline, or whose socket
// breaks, is killed and reaped before exchange returns, and the error is a *loss;
// other errors are the context's cause and a process that cannot be killed.
func (p *process) exchange(ctx context.Context, deadline time.Time, id uint32, m ipc.Message, files ...*os.File) (env ipc.Envelope, err error) {
	sent := make(chan error, 1)
	go func() {
		defer close(sent)
		if m != nil {
			sent <- p.conn.Send(id, m, files...)
		}
	}()
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	frames, sending := p.frames, sent
	for frames != nil || sending != nil {
		var ok bool
		select {
		case env, ok = <-frames:
			if !ok {
				err = p.lost()
				drain(sent)
				return ipc.Envelope{}, err
			}
			frames = nil
		case e, ok := <-sending:
			if !ok {
				sending = nil
			} else if errors.Is(e, ipc.ErrNotSent) {
				err = e // our own mistake; a broken socket shows on the reading side
			}
		case <-timer.C:
			err = &loss{late: true}
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		if err != nil {
			if e := p.kill(); e != nil {
				return ipc.Envelope{}, e
			}
			drain(sent)
			return ipc.Envelope{}, err
		}
	}
	return env, nil
}

// drain waits for a sender to end.
func drain(sent <-chan error) {
	for range sent {
	}
}

// lost finds out why the socket broke. A worker that died closes its socket as
// it goes, so it gets a moment to be reaped before it is blamed for closing it.
func (p *process) lost() error {
	var violation *ipc.ProtocolError
	if !errors.As(p.readErr, &violation) && p.reaped(500*time.Millisecond) {
		return &loss{state: p.cmd.ProcessState, stderr: p.stderr.String()}
	}
	if err := p.kill(); err != nil {
		return err
	}
	return &loss{violation: p.readErr}
}

// loss is a worker that did not answer: it was late, it died, or it broke the
// protocol. Exactly one field group is set.
type loss struct {
	late      bool
	state     *os.ProcessState // how it died
	stderr    string
	violation error
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

const tailSize = 8 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b[max(0, len(b)-tailSize):]...)
	if over := len(t.buf) - tailSize; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}
