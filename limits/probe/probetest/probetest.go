// Package probetest lets a test skip where the kernel lacks what it is about, and
// only there.
package probetest

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/limits/probe"
)

// MustRun is the environment variable that lists probes by name ("userns",
// "seccomp", "mdwe", "landlock"; "all"), comma-separated, whose tests must not be
// skipped: a CI machine that cannot run them is itself the failure.
const MustRun = "GREENTIC_CI_MUST_RUN"

var probes = map[string]func() error{
	"userns":  probe.UserNamespaces,
	"seccomp": probe.Seccomp,
	"mdwe":    probe.MDWE,
	"landlock": func() error {
		_, err := probe.Landlock()
		return err
	},
}

// Need skips t unless every named probe succeeds. A probe that could not tell
// fails the test.
func Need(t testing.TB, names ...string) {
	t.Helper()
	must := strings.Split(os.Getenv(MustRun), ",")
	for _, name := range names {
		ask, ok := probes[name]
		if !ok {
			t.Fatalf("probetest: no probe is called %q", name)
		}
		switch err := ask(); {
		case err == nil:
		case !errors.Is(err, limits.ErrUnsupported):
			t.Fatalf("probetest: %s: not known whether this test can run: %v", name, err)
		case slices.Contains(must, name) || slices.Contains(must, "all"):
			t.Fatalf("probetest: %s is listed in %s: %v", name, MustRun, err)
		default:
			t.Skipf("needs %s: %v", name, err)
		}
	}
}
