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
	"bytes"
	"encoding/json"
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

// withoutSeal is the name of the worker that BuildWithoutSeal makes.
const withoutSeal = "step-worker-without-seal"

// BuildWithoutSeal builds a step-worker into dir and gives its path: this tree's,
// except that it does not install the system-call filter of phase "run" and says that
// it did. It is what the kernel's report has to catch.
func BuildWithoutSeal(dir string) (string, error) {
	if bin := os.Getenv("GREENTIC_TEST_BIN"); bin != "" {
		return filepath.Join(bin, withoutSeal), nil
	}
	const module = "github.com/greentic-ai/greentic-provision/"
	folder, err := exec.Command("go", "list", "-f", "{{.Dir}}", module+"limits/seccomp/policy").Output()
	if err != nil {
		return "", fmt.Errorf("build %s: find the policy: %w", withoutSeal, err)
	}
	file := filepath.Join(string(bytes.TrimSpace(folder)), "policy.go")
	source, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("build %s: %w", withoutSeal, err)
	}
	const install = "\tif err := p.Install(wall.Name); err != nil {\n"
	if n := bytes.Count(source, []byte(install)); n != 1 {
		return "", fmt.Errorf("build %s: %s installs filters in %d places, want 1: the overlay has to follow the source", withoutSeal, file, n)
	}
	const pretend = "\tif phase == Run {\n\t\twall.Raised = true\n\t\treturn wall, nil\n\t}\n"
	changed, overlay := filepath.Join(dir, "policy.go"), filepath.Join(dir, "overlay.json")
	table, err := json.Marshal(map[string]map[string]string{"Replace": {file: changed}})
	if err != nil {
		return "", err
	}
	for path, text := range map[string][]byte{changed: bytes.Replace(source, []byte(install), []byte(pretend+install), 1), overlay: table} {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return "", fmt.Errorf("build %s: %w", withoutSeal, err)
		}
		defer os.Remove(path)
	}
	out := filepath.Join(dir, withoutSeal)
	if text, err := exec.Command("go", "build", "-overlay", overlay, "-o", out, module+"cmd/step-worker").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", withoutSeal, err, text)
	}
	return out, nil
}
