// Package workertest gives tests the real step-worker binary, built from this
// tree once for each test binary.
//
// A package that uses it has
//
//	func TestMain(m *testing.M) { workertest.Main(m) }
//
// Where tests cannot build, because they run compiled and as a user without a
// toolchain, GREENTIC_TEST_BIN names a directory that has the binaries; .ci/run
// does that.
package workertest

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"

	"github.com/greentic-ai/greentic-provision/internal/leakcheck"
)

// Path is the binary, valid inside Main.
var Path string

// Dir is the directory that holds it and nothing else; tests may build further
// programs into it.
var Dir string

// Main builds the worker, runs the tests with a check for leaks, removes the
// binary and exits.
func Main(m leakcheck.Tests) { leakcheck.Main(built{m}) }

// Checked is Main for a TestMain that must hand m to somebody else, such as
// testscript.Main.
func Checked(m leakcheck.Tests) leakcheck.Tests { return leakcheck.Checked(built{m}) }

type built struct{ leakcheck.Tests }

func (b built) Run() int {
	var err error
	if Dir, err = os.MkdirTemp("", "step-worker-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(Dir)
	if Path, err = Build("step-worker"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return b.Tests.Run()
}

// Build builds the command of this module into Dir and gives its path. A command is
// named as below cmd, or by its folder, as in examples/plugin-secrets.
func Build(command string) (string, error) {
	folder := command
	if path.Dir(command) == "." {
		folder = "cmd/" + command
	}
	if bin := os.Getenv("GREENTIC_TEST_BIN"); bin != "" {
		return filepath.Join(bin, path.Base(command)), nil
	}
	path := filepath.Join(Dir, path.Base(command))
	cmd := exec.Command("go", "build", "-o", path, "github.com/greentic-ai/greentic-provision/"+folder)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", command, err, out)
	}
	return path, nil
}
