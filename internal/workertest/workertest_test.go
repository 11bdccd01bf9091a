package workertest

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/greentic-ai/greentic-provision/internal/leakcheck"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

// What comes of the overlay is a worker like any other, and nothing but it is left in
// the directory. That it is not sealed is shown by who catches it: package supervisor.
func TestBuildWithoutSeal(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and about processes: the race detector sees little of it (make race)")
	}
	dir := t.TempDir()
	path, err := BuildWithoutSeal(dir)
	if err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	out, err := exec.Command(path).CombinedOutput()
	if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.HasPrefix(string(out), "step-worker ") {
		t.Errorf("%v: %s", err, out)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("not the worker alone is left: %v, %v", files, err)
	}
}
