package seal

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func ofCommand(argv ...string) *Keys { return New(Config{Source: Source{Kind: Command, Argv: argv}}) }

func TestACommandPrintsTheIdentity(t *testing.T) {
	id := newIdentity(t)
	path := write(t, "# mine\n"+id.String()+"\n", 0o644) // its mode is the command's affair
	k := ofCommand("cat", path)
	to, err := k.Recipient(t.Context())
	if err != nil || to != id.Recipient().String() {
		t.Fatalf("got %s, %v", to, err)
	}
	if got, err := k.Open(t.Context(), to, "a", mustSeal(t, to, "a", []byte("x"))); err != nil || string(got) != "x" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestACommandHasOurEnvironmentAndNoInput(t *testing.T) {
	id := newIdentity(t)
	t.Setenv("SEAL_TEST_IDENTITY", id.String())
	got, err := ofCommand("sh", "-c", `cat && echo "$SEAL_TEST_IDENTITY" && echo "said beside" >&2`).Recipient(t.Context())
	if err != nil || got != id.Recipient().String() {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestACommandIsNoShell(t *testing.T) {
	_, err := ofCommand("echo", "$(false)", "|", "cat").Recipient(t.Context())
	wantConfigError(t, err, "what the command prints is not an identity of age")
}

func TestACommandThatFailsIsNamed(t *testing.T) {
	id := newIdentity(t)
	secretArg := secret("an argument that is secret")
	for _, c := range []struct {
		argv []string
		want []string
	}{
		{nil, []string{"names no program"}},
		{[]string{"no-such-program-here", secretArg}, []string{`the command "no-such-program-here" failed: executable file not found`}},
		{[]string{filepath.Join(t.TempDir(), "gone")}, []string{"no such file"}},
		{[]string{write(t, "", 0o600)}, []string{"permission denied"}},
		{[]string{"false", secretArg}, []string{`the command "false" failed: exit status 1`}},
		{[]string{"sh", "-c", "kill -9 $$"}, []string{"signal: killed"}},
		{[]string{"sh", "-c", `printf 'not\033[2J\nunlocked\n' >&2; exit 3`, secretArg}, []string{`failed: exit status 3: not\x1b[2J\nunlocked`}},
		// What was printed before it failed is not used, nor shown.
		{[]string{"sh", "-c", "echo " + id.String() + "; exit 1"}, []string{"exit status 1"}},
		{[]string{"sh", "-c", "echo debug: key is " + id.String() + ", bye >&2; exit 1"}, []string{"debug: key is AGE-SECRET-KEY-…, bye"}},
		{[]string{"sh", "-c", "echo debug: key is " + strings.ToLower(id.String()) + " >&2; exit 1"}, []string{"AGE-SECRET-KEY-…"}},
		{[]string{"true"}, []string{"what the command prints is not an identity of age"}},
		{[]string{"echo", secretArg}, []string{"what the command prints is not an identity of age"}},
	} {
		_, err := ofCommand(c.argv...).Recipient(t.Context())
		wantConfigError(t, err, c.want...)
		if len(err.Error()) > 1000 {
			t.Errorf("%d bytes of error", len(err.Error()))
		}
	}
	_, err := ofCommand("sh", "-c", "yes complaint | head -c 1000000 >&2; exit 1").Recipient(t.Context())
	wantConfigError(t, err, "exit status 1: complaint", "…")
	if len(err.Error()) > 1000 {
		t.Errorf("%d bytes of error", len(err.Error()))
	}
}

func TestACommandThatPrintsWithoutEndIsStopped(t *testing.T) {
	_, err := ofCommand("yes").Recipient(t.Context())
	wantConfigError(t, err, `the command "yes" prints no identity but more than 65536 bytes`)
	_, err = ofCommand("sh", "-c", `trap "" PIPE TERM; while :; do echo 0123456789 2>/dev/null; done`).Recipient(t.Context())
	wantConfigError(t, err, "more than 65536 bytes")
}

func TestACommandThatDoesNotEndIsStopped(t *testing.T) {
	k := ofCommand("sleep", "600")
	k.timeout = 10 * time.Millisecond
	_, err := k.Recipient(t.Context())
	wantConfigError(t, err, `the command "sleep" did not end within 10ms`)
}

// held makes a named pipe. begun is closed when something has opened it for writing,
// and ended when nothing has it open any more.
func held(t *testing.T) (pipe string, begun, ended chan struct{}) {
	t.Helper()
	pipe = filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	begun, ended = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		f, err := os.Open(pipe)
		close(begun)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		if _, err := io.Copy(io.Discard, f); err != nil {
			t.Error(err)
		}
	}()
	return pipe, begun, ended
}

func TestACommandIsStoppedWithItsChildren(t *testing.T) {
	pipe, begun, ended := held(t)
	reason := errors.New("the user left")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-begun
		cancel(reason)
	}()
	_, err := ofCommand("sh", "-c", `(trap "" TERM HUP; sleep 600) >"$0" & wait`, pipe).Recipient(ctx)
	if !errors.Is(err, reason) {
		t.Errorf("got %v, want the reason of the context", err)
	}
	<-ended
}

func TestWhatACommandLeavesBehindIsNamedAndStopped(t *testing.T) {
	id := newIdentity(t)
	pipe, _, ended := held(t)
	_, err := ofCommand("sh", "-c", `sleep 600 3>"$0" & echo `+id.String(), pipe).Recipient(t.Context())
	wantConfigError(t, err, "has ended, but something that it started holds its output")
	<-ended
}
