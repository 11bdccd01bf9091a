package seal

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
)

const (
	// commandTimeout is long enough for a person to find a hardware key.
	commandTimeout = time.Minute
	// grace is how long a command's output may stay open after its end.
	grace = time.Second
	// maxShown bounds how much of what a command says against itself is shown, in bytes.
	maxShown = 400
)

var (
	errTooLate = errors.New("too late")
	errTooLong = errors.New("too long")
)

// output runs a command, in a process group of its own, for what it prints.
func output(ctx context.Context, argv []string, timeout time.Duration) ([]byte, error) {
	if len(argv) == 0 {
		return nil, refuse("the command names no program", pointToIt)
	}
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	running, release := context.WithTimeoutCause(running, timeout, errTooLate)
	defer release()

	cmd := exec.CommandContext(running, argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	killAll := func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Cancel = killAll
	cmd.WaitDelay = grace
	// With room for everything, as growing would leave copies behind.
	stdout := &capped{b: make([]byte, 0, maxText), full: func() { stop(errTooLong) }}
	stderr := &capped{b: make([]byte, 0, maxText), full: func() {}}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	defer clear(stderr.b[:cap(stderr.b)])

	err := cmd.Run()
	if err == nil && context.Cause(running) == nil {
		return stdout.b, nil
	}
	clear(stdout.b)
	failed := "the command " + hostile.Quote(argv[0])
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(context.Cause(running), errTooLate):
		return nil, refuse(fmt.Sprintf("%s did not end within %s", failed, timeout), "it cannot ask on the terminal")
	case errors.Is(context.Cause(running), errTooLong):
		return nil, refuse(fmt.Sprintf("%s prints no identity but more than %d bytes", failed, maxText), "")
	case errors.Is(err, exec.ErrWaitDelay):
		killAll()
		return nil, refuse(failed+" has ended, but something that it started holds its output", "")
	}
	if e, ok := errors.AsType[*exec.Error](err); ok { // its text has argv[0] once more
		err = e.Err
	}
	// Of its arguments nothing is shown, as they may be secret, and no identity of what
	// it says.
	reason := failed + " failed: " + hostile.Error(err)
	if said := strings.TrimSpace(secretKey.ReplaceAllString(string(stderr.b), "AGE-SECRET-KEY-…")); said != "" {
		reason += ": " + hostile.Escape(said, maxShown)
	}
	return nil, refuse(reason, "")
}

// capped keeps what is written up to the capacity of b, and drops the rest.
type capped struct {
	b    []byte
	full func() // called when something is dropped
}

func (c *capped) Write(p []byte) (int, error) {
	n := min(len(p), cap(c.b)-len(c.b))
	c.b = append(c.b, p[:n]...)
	if n < len(p) {
		c.full()
	}
	return len(p), nil
}
