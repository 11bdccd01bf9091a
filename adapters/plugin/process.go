package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
)

const (
	// grace is how long a plug-in may take to end after SIGTERM.
	grace = 2 * time.Second
	// reapTime bounds the wait for the kernel to take a killed process away. Only a
	// process in uninterruptible sleep outlives SIGKILL for long.
	reapTime = 5 * time.Second
	// drainTime is for what a process left in its pipes. Whoever else holds them open
	// is not waited for.
	drainTime = 200 * time.Millisecond
)

// process is the plug-in's process. It is go-plugin's runner.Runner, in the place of
// its own, which inherits standard input, kills only the process itself, and waits for
// the pipes for as long as anybody holds them.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr *output
	greeting       head // of standard output
	words          tail // of standard error

	mu     sync.Mutex
	pid    int  // 0 before the start
	reaped bool // the number may be somebody else's
	doomed bool // kill was called

	done chan struct{} // closed once the process is reaped and its words are read
}

func newProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, done: make(chan struct{})}
	outR, outW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	errR, errW, err := os.Pipe()
	if err != nil {
		outR.Close()
		outW.Close()
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = outW, errW
	cmd.SysProcAttr = attributes()
	p.stdout = &output{File: outR, copy: &p.greeting, drained: make(chan struct{})}
	p.stderr = &output{File: errR, copy: &p.words, drained: make(chan struct{})}
	return p, nil
}

// Start runs the process from a thread that lives as long as it does: the death of its
// parent, by which a plug-in ends with its host, is the death of that thread.
func (p *process) Start(context.Context) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		err := p.start()
		started <- err
		if err != nil {
			return
		}
		p.await()
		now := time.Now()
		for _, o := range []*output{p.stdout, p.stderr} {
			_ = o.SetReadDeadline(now.Add(drainTime))
		}
		select { // whoever reads it gets to its end
		case <-p.stderr.drained:
		case <-time.After(2 * drainTime):
		}
	}()
	return <-started
}

func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer func() { // the plug-in's ends
		p.cmd.Stdout.(*os.File).Close()
		p.cmd.Stderr.(*os.File).Close()
	}()
	if p.doomed {
		return errors.New("it was ended before it started")
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	p.pid = p.cmd.Process.Pid
	return nil
}

// endGroup kills what is left of the group. From here on its number is not used.
func (p *process) endGroup() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = syscall.Kill(-p.pid, syscall.SIGKILL) // ESRCH: nothing is left
	p.reaped = true
}

// signal sends a signal to the process, or with kill to its group, unless it is gone.
func (p *process) signal(sig syscall.Signal, group bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doomed = p.doomed || sig == syscall.SIGKILL
	switch {
	case p.pid == 0 || p.reaped:
	case group:
		_ = syscall.Kill(-p.pid, sig)
	default:
		_ = syscall.Kill(p.pid, sig)
	}
}

// kill ends the process and its group. SIGKILL works on stopped processes too.
func (p *process) kill() { p.signal(syscall.SIGKILL, true) }

// dismiss asks the process to end, and ends it when it does not.
func (p *process) dismiss() error {
	p.signal(syscall.SIGTERM, false)
	if p.gone(grace) {
		return nil
	}
	p.kill()
	if !p.gone(reapTime) {
		return fmt.Errorf("process %d is not gone %s after SIGKILL", p.pid, reapTime)
	}
	return nil
}

// gone waits for the process to be gone.
func (p *process) gone(within time.Duration) bool {
	t := time.NewTimer(within)
	defer t.Stop()
	select {
	case <-p.done:
		return true
	case <-t.C:
		return false
	}
}

// failed says whether the process ended by itself.
func (p *process) failed() bool {
	if !p.gone(2 * drainTime) {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.ended()
}

// ended says whether it was us who ended the process; p.mu is held.
func (p *process) ended() bool {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && p.doomed && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// end says how the process ended and what its last words were. It must be done.
func (p *process) end() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var how string
	switch status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); {
	case p.ended():
		how = "it had to be ended"
	case ok && status.Signaled():
		how = "it was killed by " + unix.SignalName(status.Signal())
	default:
		how = fmt.Sprintf("it ended with exit code %d", p.cmd.ProcessState.ExitCode())
	}
	if words := p.words.last(); words != "" {
		how += ", its last words were " + hostile.QuoteUpTo(words, maxText)
	}
	return how
}

// close closes the pipes, when the process is gone or was not started.
func (p *process) close() {
	for _, f := range []io.Closer{p.stdout, p.stderr, p.cmd.Stdout.(*os.File), p.cmd.Stderr.(*os.File)} {
		f.Close()
	}
}

// The rest of runner.Runner.

func (p *process) Wait(context.Context) error {
	<-p.done
	return nil
}

func (p *process) Kill(context.Context) error {
	p.kill()
	p.gone(reapTime)
	return nil
}

func (p *process) Stdout() io.ReadCloser           { return p.stdout }
func (p *process) Stderr() io.ReadCloser           { return p.stderr }
func (p *process) Name() string                    { return p.cmd.Args[0] }
func (p *process) ID() string                      { return fmt.Sprint(p.pid) }
func (p *process) Diagnose(context.Context) string { return "" }

// PluginToHost checks the address that a plug-in says it listens on.
func (p *process) PluginToHost(network, address string) (string, string, error) {
	switch network {
	case "unix":
		return network, address, nil
	case "tcp":
		host, _, err := net.SplitHostPort(address)
		if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
			return "", "", errors.New("it listens on " + hostile.Quote(address) + ", which is not this machine alone")
		}
		return network, address, nil
	}
	return "", "", errors.New("it listens on a network " + hostile.Quote(network))
}

func (p *process) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}

// output is the host's end of a pipe. What is read is copied, and its end is told.
type output struct {
	*os.File
	copy    io.Writer
	once    sync.Once
	drained chan struct{}
}

func (o *output) Read(b []byte) (int, error) {
	n, err := o.File.Read(b)
	_, _ = o.copy.Write(b[:n])
	if err != nil {
		o.once.Do(func() { close(o.drained) })
	}
	return n, err
}

// head keeps the first bytes written to it.
type head struct {
	mu  sync.Mutex
	buf []byte
}

const headSize = 4 << 10 // a handshake has less than one KiB

func (h *head) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.buf = append(h.buf, b[:min(len(b), headSize-len(h.buf))]...)
	return len(b), nil
}

// line gives the first line.
func (h *head) line() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	line, _, _ := strings.Cut(string(h.buf), "\n")
	return strings.TrimSpace(line)
}

// tail keeps the last bytes written to it, and never blocks a writer.
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

// last gives the last line that is not empty.
func (t *tail) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := strings.TrimSpace(string(t.buf))
	return strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
}
