//go:build linux

package supervisor_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Setting the machine's clock moves no deadline: a time.Time of time.Now carries the
// monotonic clock's reading, and everything that waits or compares goes by it (package
// time, "Monotonic Clocks"). What takes the reading off, or makes a time without one,
// is therefore not used where there are deadlines, but for these. The clock itself
// cannot be set in a test: it is the machine's, and time_namespaces(7) have none of
// their own.
var withoutMonotonic = map[string]string{
	"supervisor/lease.go: time.Date":    "where a guest's clock starts in a dry run",
	"worker/step.go: time.Unix":         "the guest's clock, as it is told",
	"worker/step.go: UTC":               "the guest's clock, as it is told",
	"adapters/sqlite/lock.go: Truncate": "of a file",
}

func TestDeadlinesGoByTheMonotonicClock(t *testing.T) {
	strips := []string{"UTC", "Local", "In", "Round", "Truncate", "AddDate"}
	makes := []string{"time.Unix", "time.UnixMilli", "time.UnixMicro", "time.Date", "time.Parse", "time.ParseInLocation"}
	found, deadlines := map[string]bool{}, 0
	for _, dir := range []string{"supervisor", "supervisor/pool", "ipc", "ipc/socketpair", "worker", "limits/cgroup", "adapters/plugin", "adapters/sqlite"} {
		files, err := filepath.Glob(filepath.Join("..", dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			fset := token.NewFileSet()
			tree, err := parser.ParseFile(fset, file, source, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(tree, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				f, ok := call.Fun.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				name := f.Sel.Name
				if of, ok := f.X.(*ast.Ident); ok && of.Name == "time" {
					name = "time." + name
				}
				if name == "time.Until" || name == "After" {
					deadlines++
				}
				if !slices.Contains(strips, name) && !slices.Contains(makes, name) {
					return true
				}
				what := fmt.Sprintf("%s/%s: %s", dir, filepath.Base(file), name)
				found[what] = true
				if withoutMonotonic[what] == "" {
					t.Errorf("%s: a time without the monotonic clock, among deadlines; if none comes of it, say so in withoutMonotonic", fset.Position(call.Pos()))
				}
				return true
			})
		}
	}
	for what := range withoutMonotonic {
		if !found[what] {
			t.Errorf("%s is not there any more", what)
		}
	}
	if deadlines < 4 {
		t.Errorf("%d deadlines are looked at; this test did not see the code", deadlines)
	}
}
