package archtest

import (
	"cmp"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/greentic-ai/greentic-provision"

// row is one package: which packages of this module it may import directly, and
// why it is what it is.
type row struct {
	imports []string
	pure    bool // see TestPure
	kit     bool // for tests only: no program links it
	why     string
}

// table is the drawing in ARCHITECTURE.md. A package without a row fails the
// test: adding a folder means adding a row here and there. So does a row, or an
// import in a row, that nothing uses.
var table = map[string]row{
	"plan":      {pure: true, why: "the vocabulary that every stage reads and returns"},
	"limits":    {pure: true, why: "numbers and words; the packages below it make the system calls"},
	"component": {pure: true, why: "knows no engine, so that engines can be swapped and scripted"},
	"flow": {pure: true, imports: []string{"internal/hostile", "plan"},
		why: "graphs and templates of strangers, run without knowing what a component is"},
	"qa": {pure: true, imports: []string{"internal/hostile", "plan"},
		why: "what is asked, which answers hold, which of them are secrets"},
	"integrity": {pure: true, imports: []string{"internal/hostile", "plan"},
		why: "what a pack says of its own bytes, over an interface that hashes them"},
	"pack": {pure: true, imports: []string{"component", "flow", "integrity", "internal/hostile", "plan"},
		why: "reads hostile archives: bounded, in memory, the same everywhere"},
	"contract": {pure: true, imports: []string{"component", "internal/hostile"},
		why: "drives an instance through the interface only"},
	"engine": {pure: true, imports: []string{"contract", "flow", "internal/hostile", "limits", "pack", "plan", "qa"},
		why: "declares StepRunner; never sees a process. Of contract it uses the names of actions"},
	"adapters": {pure: true, imports: []string{"plan"},
		why: "what holds state, as interfaces and records; no implementation"},
	"adapters/sqlstore": {imports: []string{"adapters", "internal/hostile", "plan"},
		why: "the store of record over database/sql, written once; what engines do differently is a Dialect"},
	"adapters/sqlite": {imports: []string{"adapters", "adapters/sqlstore"},
		why: "one file, no set-up; a driver without C"},
	"adapters/postgres": {imports: []string{"adapters", "adapters/sqlite", "adapters/sqlstore"},
		why: "one store for many hosts; its backups are SQLite files"},
	"adapters/seal": {imports: []string{"adapters", "internal/hostile"},
		why: "holds the one key; everything else sees sealed bytes"},
	"adapters/oauth": {imports: []string{"adapters", "internal/hostile", "plan"},
		why: "asks a person for consent; the only adapter that listens, and on loopback only"},
	"adapters/greentic": {pure: true, imports: []string{"adapters", "pack", "plan"},
		why: "what Greentic's own runtime reads and writes"},
	"adapters/plugin": {imports: []string{"adapters", "adapters/plugin/proto", "internal/hostile"},
		why: "adapters in processes of their own"},
	"adapters/plugin/proto": {why: "the published protocol, generated"},
	"commit": {pure: true, imports: []string{"adapters", "capability", "engine", "internal/hostile", "pack", "plan"},
		why: "from what a run wants to durable state and back, over interfaces; knows no store"},
	"capability": {pure: true, imports: []string{"internal/hostile", "limits", "plan"},
		why: "answers hostile calls from memory"},
	"capability/imports": {pure: true, imports: []string{"capability", "capability/wasi", "component"},
		why: "the worker's half: turns typed imports into operations"},
	"capability/wasi": {pure: true, imports: []string{"component"},
		why: "a WASI with nothing in it, so that toolchains' components run"},
	"render": {pure: true, imports: []string{"adapters", "commit", "doctor", "engine", "integrity", "limits", "pack", "plan", "qa"},
		why: "text from values, nothing else"},
	"form": {imports: []string{"plan", "qa", "render"}, why: "asks a person on a terminal"},

	"ipc":       {pure: true, why: "frames over an io.ReadWriter, so that tests speak it over net.Pipe"},
	"ipc/memfd": {why: "one Linux feature: sealed files for code"},
	"ipc/socketpair": {imports: []string{"ipc"},
		why: "the socket that carries descriptors; the only place with descriptor numbers"},

	"limits/rlimit":    {imports: []string{"limits"}, why: "one Linux feature"},
	"limits/namespace": {imports: []string{"limits"}, why: "one Linux feature"},
	"limits/mdwe":      {imports: []string{"limits"}, why: "one Linux feature"},
	"limits/entry":     {imports: []string{"limits"}, why: "runs in C before the Go runtime has threads"},
	"limits/seccomp":   {imports: []string{"limits"}, why: "how a filter is built, interpreted and installed"},
	"limits/seccomp/policy": {imports: []string{"limits", "limits/seccomp"},
		why: "which calls are allowed, and why; no mechanism"},
	"limits/probe":         {imports: []string{"limits", "limits/namespace"}, why: "asks the system what it offers"},
	"limits/cgroup":        {imports: []string{"limits"}, why: "one Linux feature"},
	"limits/witness":       {why: "what the kernel says of another process"},
	"limits/audit":         {imports: []string{"limits/seccomp"}, why: "what the kernel's log says of a killed process"},
	"limits/attack":        {pure: true, imports: []string{"limits"}, why: "what each wall must stop, as data: whoever judges needs no act"},
	"limits/attack/native": {why: "the acts; in the worker, because that is what the walls are around"},
	"doctor":               {pure: true, imports: []string{"limits", "limits/attack"}, why: "judges over an interface, so that broken machines can be scripted"},
	"capsule":              {pure: true, imports: []string{"limits", "plan"}, why: "a file that may come from anybody"},

	"supervisor/pool": {pure: true, why: "knows no processes, so that it can be tested with ints"},
	"supervisor/codecache": {imports: []string{"component", "limits"},
		why: "files and locks; authenticates what the engine will trust"},
	"supervisor": {imports: []string{"capability", "component", "contract", "engine", "internal/hostile", "ipc", "ipc/memfd",
		"ipc/socketpair", "limits", "limits/attack", "limits/audit", "limits/cgroup", "limits/namespace", "limits/rlimit", "limits/witness",
		"pack", "supervisor/codecache", "supervisor/pool"},
		why: "the only package that starts processes"},
	"worker": {pure: true, imports: []string{"capability", "capability/imports", "capability/wasi", "component", "contract", "ipc",
		"ipc/memfd", "limits"},
		why: "the loop inside the sandbox; the walls and the engine are handed to it"},
	"component/wasmtime": {imports: []string{"component", "limits"}, why: "the only binding to the engine"},

	"internal/guests":    {pure: true, imports: []string{"limits", "testdata/guests"}, why: "the hostile corpus, which doctor runs too"},
	"testdata/guests":    {pure: true, why: "its files, embedded"},
	"internal/buildinfo": {pure: true, why: "one version for both binaries"},
	"internal/hostile":   {pure: true, why: "text of strangers in our own messages, escaped in one place"},

	"cmd/greentic-provision": {imports: []string{"adapters", "adapters/greentic", "adapters/oauth", "adapters/plugin", "adapters/postgres",
		"adapters/seal", "adapters/sqlite", "adapters/sqlstore", "capability", "capsule", "commit", "contract", "doctor", "engine", "form", "integrity",
		"internal/buildinfo", "internal/guests", "internal/hostile", "limits", "limits/attack", "limits/cgroup", "limits/probe", "limits/rlimit",
		"limits/seccomp", "limits/seccomp/policy", "pack", "plan", "qa", "render", "supervisor", "supervisor/codecache"},
		why: "plugs supervisor and capability into engine, adapters into commit"},
	"examples/plugin-secrets": {imports: []string{"adapters", "adapters/plugin"}, why: "a model for authors of adapters"},
	"cmd/step-worker": {imports: []string{"component/wasmtime", "internal/buildinfo", "ipc", "ipc/socketpair", "limits",
		"limits/attack", "limits/attack/native", "limits/entry", "limits/mdwe", "limits/rlimit", "limits/seccomp/policy", "worker"},
		why: "raises the walls in order, plugs the engine into worker"},

	"component/componenttest":         {kit: true, imports: []string{"component"}, why: "what every engine binding must do"},
	"limits/probe/probetest":          {kit: true, imports: []string{"limits", "limits/probe"}, why: "skips a test where the system offers no wall"},
	"limits/seccomp/seccomptest":      {kit: true, imports: []string{"limits/seccomp"}, why: "evaluates filters in the BPF interpreter"},
	"internal/workertest/withoutseal": {kit: true, imports: []string{"internal/workertest"}, why: "a worker that lies, for tests that cannot build"},
	"internal/threats":                {kit: true, why: "every attack, and the tests that show that it fails"},
	"internal/threats/check":          {kit: true, imports: []string{"internal/threats"}, why: "sees in CI that those tests passed"},
	"internal/packtest":               {kit: true, imports: []string{"pack"}, why: "makes packs of readable sources"},
	"internal/leakcheck":              {kit: true, why: "what tests may not leave behind"},
	"adapters/storetest":              {kit: true, imports: []string{"adapters"}, why: "what every adapter must do"},
	"internal/pgtest":                 {kit: true, imports: []string{"internal/leakcheck"}, why: "a real PostgreSQL for tests"},
	"internal/workertest":             {kit: true, imports: []string{"internal/leakcheck"}, why: "builds the real worker for tests"},
	"internal/bench":                  {kit: true, why: "what isolation costs"},
	"internal/archtest":               {kit: true, why: "this"},
}

// impure is what a pure package must not reach, and why.
var impure = map[string]string{
	"os/exec":     "it would start processes",
	"runtime/cgo": "it would call C",
	"net":         "it would have a network",
}

// cgo packages, and why each needs C.
var cgo = map[string]string{
	"component/wasmtime": "the engine is a C library",
	"limits/entry":       "what it does must happen before the Go runtime starts threads",
}

// forbidden calls: who may make them, and why nobody else. limits/probe forks a
// child that ends at once, to see whether namespaces can be had; nobody reads the
// cause with which supervisor/pool gives up filling its spares.
var forbidden = map[string]struct {
	may []string
	why string
}{
	"os.Exit": {[]string{"cmd/greentic-provision", "cmd/step-worker", "internal/leakcheck", "internal/threats/check", "internal/workertest/withoutseal"},
		"deferred clean-up would not run; return a code to main"},
	"log.Fatal":          {nil, "return an error to main"},
	"log.Fatalf":         {nil, "return an error to main"},
	"os.StartProcess":    {[]string{"supervisor"}, "only the supervisor starts processes"},
	"syscall.ForkExec":   {[]string{"supervisor", "limits/probe"}, "only the supervisor starts processes"},
	"syscall.Exec":       {[]string{"supervisor"}, "only the supervisor starts processes"},
	"unix.Exec":          {[]string{"supervisor"}, "only the supervisor starts processes"},
	"context.WithCancel": {[]string{"supervisor/pool"}, "a cancellation says why: context.WithCancelCause"},
}

type pkg struct {
	ImportPath    string
	Dir           string
	Standard      bool
	Imports, Deps []string
	GoFiles       []string
	CgoFiles      []string
}

// list asks the go command once for everything.
var list = sync.OnceValues(func() (map[string]pkg, error) {
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Dir,Standard,Imports,Deps,GoFiles,CgoFiles", module+"/...")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, errors.New("go list: " + err.Error() + ": " + stderr.String())
	}
	all := map[string]pkg{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all[p.ImportPath] = p
	}
})

func load(t *testing.T) map[string]pkg {
	t.Helper()
	all, err := list()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// ours gives the module's packages by folder, in order.
func ours(t *testing.T) (names []string, byName map[string]pkg) {
	t.Helper()
	byName = map[string]pkg{}
	for path, p := range load(t) {
		if rel, ok := strings.CutPrefix(path, module+"/"); ok {
			byName[rel] = p
		}
	}
	return slices.Sorted(maps.Keys(byName)), byName
}

func internal(imports []string) []string {
	var out []string
	for _, imp := range imports {
		if rel, ok := strings.CutPrefix(imp, module+"/"); ok {
			out = append(out, rel)
		}
	}
	return out
}

func TestImports(t *testing.T) {
	names, pkgs := ours(t)
	for _, rel := range names {
		r, ok := table[rel]
		if !ok {
			t.Errorf("%s: no row in the import table", rel)
			continue
		}
		have := internal(pkgs[rel].Imports)
		for _, imp := range have {
			if !slices.Contains(r.imports, imp) {
				t.Errorf("%s must not import %s (%s: %s)", rel, imp, rel, r.why)
			}
		}
		for _, imp := range r.imports {
			if !slices.Contains(have, imp) {
				t.Errorf("%s may import %s but does not; take it out of the table", rel, imp)
			}
		}
	}
	for rel, r := range table {
		if _, ok := pkgs[rel]; !ok {
			t.Errorf("row %s: there is no such package", rel)
		}
		if r.why == "" {
			t.Errorf("row %s has no reason", rel)
		}
	}
}

// TestNoTestKitInPrograms is about our packages: go-plugin links package testing
// wherever it goes.
func TestNoTestKitInPrograms(t *testing.T) {
	names, pkgs := ours(t)
	for _, rel := range names {
		if !table[rel].kit && slices.Contains(pkgs[rel].Imports, "testing") {
			t.Errorf("%s imports package testing, and is no test kit", rel)
		}
	}
	for _, program := range []string{"cmd/greentic-provision", "cmd/step-worker"} {
		deps := pkgs[program].Deps
		for _, dep := range internal(deps) {
			if table[dep].kit {
				t.Errorf("%s links %s, which is for tests", program, dep)
			}
		}
	}
}

// TestPure: nothing in the closure of a pure package starts processes, calls C
// or has a network, so a whole run is testable in one process on any system.
func TestPure(t *testing.T) {
	all := load(t)
	names, pkgs := ours(t)
	for _, rel := range names {
		if !table[rel].pure {
			continue
		}
		for _, dep := range append(slices.Clone(pkgs[rel].Deps), pkgs[rel].ImportPath) {
			if why, bad := impure[dep]; bad {
				t.Errorf("%s reaches %s: %s", rel, dep, why)
			}
			if !all[dep].Standard && len(all[dep].CgoFiles) > 0 {
				t.Errorf("%s reaches the cgo package %s", rel, dep)
			}
			if d, ok := strings.CutPrefix(dep, module+"/"); ok && slices.Contains(all[dep].Imports, "unsafe") {
				t.Errorf("%s reaches %s, which imports unsafe", rel, d)
			}
		}
	}
}

// starts processes: the packages that may, and what they start. What is not a sandbox
// starts only what the operator named.
var starts = map[string]string{
	"supervisor":      "workers",
	"adapters/plugin": "plug-ins that the operator named, with their checksums",
	"adapters/seal":   "the command that prints an identity, which the operator named",
}

func TestOnlyTheNamedPackagesStartProcesses(t *testing.T) {
	names, pkgs := ours(t)
	for _, rel := range names {
		uses := slices.Contains(pkgs[rel].Imports, "os/exec")
		if _, may := starts[rel]; uses && !may && !table[rel].kit {
			t.Errorf("%s imports os/exec; only %v may", rel, slices.Sorted(maps.Keys(starts)))
		} else if may && !uses {
			t.Errorf("%s is said to start processes and does not", rel)
		}
	}
}

func TestOnlyTheNamedPackagesUseC(t *testing.T) {
	names, pkgs := ours(t)
	for _, rel := range names {
		if _, may := cgo[rel]; !may && slices.Contains(pkgs[rel].Imports, "C") {
			t.Errorf("%s uses cgo; only %v may", rel, slices.Sorted(maps.Keys(cgo)))
		}
	}
	for rel, why := range cgo {
		if !slices.Contains(pkgs[rel].Imports, "C") {
			t.Errorf("%s is said to use cgo (%s) but does not", rel, why)
		}
	}
	for _, dep := range internal(pkgs["cmd/greentic-provision"].Deps) {
		if slices.Contains(pkgs[dep].Imports, "C") {
			t.Errorf("cmd/greentic-provision links %s, which uses cgo", dep)
		}
	}
}

// TestNothingForbiddenIsCalled reads the source, as the go command does not
// list calls. It goes by the import's usual name, which gofmt'd code keeps.
func TestNothingForbiddenIsCalled(t *testing.T) {
	names, pkgs := ours(t)
	fset := token.NewFileSet()
	for _, rel := range names {
		p := pkgs[rel]
		for _, name := range slices.Concat(p.GoFiles, p.CgoFiles) {
			f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				sel, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				x, ok := sel.X.(*ast.Ident)
				if !ok {
					return true
				}
				call := x.Name + "." + sel.Sel.Name
				if rule, bad := forbidden[call]; bad && !slices.Contains(rule.may, rel) {
					t.Errorf("%s/%s:%d uses %s: %s", rel, name, fset.Position(n.Pos()).Line, call, rule.why)
				}
				return true
			})
		}
	}
}

// TestPackageComments: each package says what it is, in one place. Files of
// every platform count, so the folder is read and not the build's file list.
func TestPackageComments(t *testing.T) {
	names, pkgs := ours(t)
	for _, rel := range names {
		entries, err := os.ReadDir(pkgs[rel].Dir)
		if err != nil {
			t.Fatal(err)
		}
		var with []string
		for _, e := range entries {
			if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(pkgs[rel].Dir, e.Name()), nil,
				parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if f.Doc == nil {
				continue
			}
			with = append(with, e.Name())
			text := f.Doc.Text()
			want := "Package " + f.Name.Name + " "
			if f.Name.Name == "main" {
				want = "Command " + filepath.Base(rel) + " "
			}
			if !strings.HasPrefix(text, want) {
				t.Errorf("%s/%s: the package comment begins %q, want %q", rel, e.Name(), text[:min(len(text), 20)], want)
			}
		}
		if len(with) != 1 {
			t.Errorf("%s: %d files have a package comment (%s), want one", rel, len(with), strings.Join(with, ", "))
		}
	}
}

// TestUnsafeIsInTheName: a file that imports unsafe says so in its name, except
// in the binding, which is about nothing else, and in what protoc generates.
func TestUnsafeIsInTheName(t *testing.T) {
	names, pkgs := ours(t)
	for _, rel := range names {
		if rel == "component/wasmtime" || rel == "adapters/plugin/proto" {
			continue
		}
		for _, name := range slices.Concat(pkgs[rel].GoFiles, pkgs[rel].CgoFiles) {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(pkgs[rel].Dir, name), nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, imp := range f.Imports {
				path, _ := strconv.Unquote(imp.Path.Value)
				if path == "unsafe" && !strings.HasSuffix(name, "_unsafe.go") {
					t.Errorf("%s/%s imports unsafe; call it …_unsafe.go", rel, name)
				}
			}
		}
	}
}

// TestModuleFile: no replace directive, or `go install` of a release would
// build something else than the checkout; the module is the one that the rules
// above are about.
func TestModuleFile(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(b), "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "replace") {
			t.Errorf("go.mod: %s", line)
		}
	}
	if first, _, _ := strings.Cut(string(b), "\n"); first != "module "+module {
		t.Errorf("go.mod begins %q", first)
	}
}

// TestPackagesAreWalked guards the other tests: a module path that changed, or
// a folder that the go command skips, would let all of them pass on nothing.
func TestPackagesAreWalked(t *testing.T) {
	_, pkgs := ours(t)
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			base := cmp.Or(d.Name(), ".")
			if path != root && (strings.HasPrefix(base, ".") || base == "testdata" || base == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		if _, ok := pkgs[filepath.ToSlash(rel)]; !ok {
			t.Errorf("%s is in no package that the go command lists", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
