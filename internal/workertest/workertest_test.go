package workertest

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/greentic-ai/greentic-provision/internal/leakcheck"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

// keep is for who runs compiled tests elsewhere and needs the binary there.
var keep = flag.String("keep", "", "leave the worker without a seal in this directory")

// What comes of the overlay is a worker like any other, and nothing but it is left in
// the directory. That it is not sealed is shown by who catches it: package supervisor.
func TestBuildWithoutSeal(t *testing.T) {
	dir := *keep
	if dir == "" {
		dir = t.TempDir()
	}
	before, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	path, err := BuildWithoutSeal(dir)
	if err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	out, err := exec.Command(path).CombinedOutput()
	if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.HasPrefix(string(out), "step-worker ") {
		t.Errorf("%v: %s", err, out)
	}
	after, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(after) > len(before)+1 {
		t.Errorf("more than the worker is left: %v", after)
	}
}
