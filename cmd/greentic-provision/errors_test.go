package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/form"
	"github.com/greentic-ai/greentic-provision/limits"
)

// TestExitCodeOfWall: a wall that cannot be raised is that, also where the system
// names a file in the reason.
func TestExitCodeOfWall(t *testing.T) {
	path := &fs.PathError{Op: "fork/exec", Path: "/x/step-worker", Err: syscall.ENOSPC}
	for want, err := range map[int]error{6: &limits.WallError{Wall: "namespaces", Where: "clone", Err: path}, 2: path} {
		if got := exitCode(t.Context(), err); got != want {
			t.Errorf("%v: exit code %d, want %d", err, got, want)
		}
	}
}

// TestGivingUpIsAnInterruption: by a key in the form, where no signal came.
func TestGivingUpIsAnInterruption(t *testing.T) {
	var out, stderr strings.Builder
	a := &app{stdout: &out, stderr: &stderr}
	if got := a.finish(t.Context(), asked(form.ErrAborted), true); got != 130 {
		t.Errorf("exit code %d", got)
	}
	if stderr.String() != "greentic-provision: interrupted\n" || out.String() != `{"error":{"exit_code":130,"message":"interrupted"}}`+"\n" {
		t.Errorf("%q, %q", stderr.String(), out.String())
	}
}

// TestGivingUpAPassphraseIsAnInterruption: the store that needed it fails for want of it,
// and that is not what happened.
func TestGivingUpAPassphraseIsAnInterruption(t *testing.T) {
	err := fmt.Errorf("load secrets: %w", errors.Join(&adapters.ConfigError{Adapter: "identity", Reason: "no passphrase"}, asked(form.ErrAborted)))
	if got := exitCode(t.Context(), err); got != 130 {
		t.Errorf("exit code %d", got)
	}
}

// TestAPlanThatIsAppliedIsNoUsageError: whatever came afterwards.
func TestAPlanThatIsAppliedIsNoUsageError(t *testing.T) {
	err := &appliedError{3, "look", &usageError{what: "--output", rule: "no space left on device"}}
	if got := exitCode(t.Context(), err); got != 1 {
		t.Errorf("exit code %d", got)
	}
	if want := "--output: no space left on device (the plan is applied, as revision 3; look)"; err.Error() != want {
		t.Errorf("%q", err)
	}
}

// TestWorkThatKnowsNoContextIsNotWaitedFor: opening a big pack takes a while, and a
// signal ends the program all the same.
func TestWorkThatKnowsNoContextIsNotWaitedFor(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("a signal")
	release, gone := make(chan struct{}), make(chan struct{})
	_, err := unlessEnded(ctx, func() (int, error) {
		defer close(gone)
		cancel(cause)
		<-release
		return 1, nil
	})
	if err != cause {
		t.Errorf("got %v", err)
	}
	close(release)
	<-gone
	if n, err := unlessEnded(t.Context(), func() (int, error) { return 2, nil }); n != 2 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
}

func TestNearest(t *testing.T) {
	names := []string{"answers", "state", "step-timeout", "run-timeout", "json", "output", "provider-id"}
	for in, want := range map[string]string{
		"answer":       "answers",
		"anwsers":      "answers",
		"jsno":         "json",
		"step-timeuot": "step-timeout",
		"provider":     "provider-id",
		"providerid":   "provider-id",
		"zzz":          "",
		"":             "",
	} {
		if got := nearest(in, names); got != want {
			t.Errorf("nearest(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"kitten", "sitting", 3}, {"abc", "abc", 0}, {"abc", "acb", 2}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
