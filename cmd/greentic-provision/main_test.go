package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/greentic-ai/greentic-provision/internal/packtest"
	"github.com/greentic-ai/greentic-provision/internal/pgtest"
	"github.com/greentic-ai/greentic-provision/internal/workertest"
)

var update = flag.Bool("update", false, "rewrite expected outputs in the scripts and in the README")

// TestMain runs this test binary as the program, or as an adapter that fails, when it is
// called by that name.
func TestMain(m *testing.M) {
	if n, err := strconv.Atoi(os.Getenv(crashVar)); err == nil {
		fault = killAt(n)
	}
	testscript.Main(workertest.Checked(pgtest.With(m)), map[string]func(){program: main, failing: failingPlugin})
}

// noNamespaces is shell that takes away what the walls need, inside of a user
// namespace of its own.
const noNamespaces = "echo 0 >/proc/sys/user/max_user_namespaces && echo 0 >/proc/sys/user/max_pid_namespaces"

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       *update,
		Setup: func(env *testscript.Env) error {
			packs, err := filepath.Abs(filepath.Join("..", "..", "testdata", "packs"))
			if err != nil {
				return err
			}
			// The program looks next to its own executable first, then on PATH. Code is
			// compiled once for all scripts.
			env.Setenv("PATH", filepath.Dir(workertest.Path)+string(filepath.ListSeparator)+env.Getenv("PATH"))
			env.Setenv("XDG_CACHE_HOME", filepath.Join(workertest.Dir, "cache"))
			env.Setenv("PACKS", packs)
			env.Setenv("GUESTS", filepath.Join(packs, "..", "contracts"))
			env.Setenv("NO_NAMESPACES", noNamespaces)
			env.Setenv("TERM", "xterm")
			doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "contract.md"))
			if err != nil {
				return err
			}
			_, making, _ := strings.Cut(string(doc), "## Making a pack\n")
			_, making, _ = strings.Cut(making, "```sh\n")
			making, _, _ = strings.Cut(making, "```")
			env.Setenv("MAKING_A_PACK", making)
			if doc, err = os.ReadFile(filepath.Join("..", "..", "README.md")); err != nil {
				return err
			}
			_, applying, _ := strings.Cut(string(doc), "<!-- apply: a test runs these lines -->\n```sh\n")
			applying, _, _ = strings.Cut(applying, "```")
			env.Setenv("APPLYING", applying)
			env.Setenv("ESC", "\x1b[31m")
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name != "unshare" {
				return false, fmt.Errorf("unknown condition %q", name)
			}
			return exec.Command("unshare", "-Ur", "sh", "-c", noNamespaces).Run() == nil, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":   exits,
			"absent":  absent,
			"oneline": oneLine,
			"canon":   canon,
			"pack":    makePack,
			"valid":   valid,
		},
	})
}

// makePack is `pack [-tar|-dir] OUT SOURCE...`: makes a pack, else a zip archive, of
// directories and txtar archives, as package packtest says.
func makePack(ts *testscript.TestScript, neg bool, args []string) {
	form := ""
	if len(args) > 0 && strings.HasPrefix(args[0], "-") {
		form, args = args[0], args[1:]
	}
	if neg || len(args) < 2 || !slices.Contains([]string{"", "-tar", "-dir"}, form) {
		ts.Fatalf("usage: pack [-tar|-dir] OUT SOURCE...")
	}
	var sources []fs.FS
	for _, name := range args[1:] {
		if filepath.Ext(name) == ".txtar" {
			sources = append(sources, packtest.Txtar([]byte(ts.ReadFile(name))))
		} else {
			sources = append(sources, os.DirFS(ts.MkAbs(name)))
		}
	}
	files, err := packtest.Build(os.DirFS(ts.Getenv("GUESTS")), sources...)
	ts.Check(err)
	out := ts.MkAbs(args[0])
	if form == "-dir" {
		ts.Check(os.CopyFS(out, files))
		return
	}
	archive, err := packtest.Zip(files)
	if form == "-tar" {
		archive, err = packtest.Tar(files)
	}
	ts.Check(err)
	ts.Check(os.WriteFile(out, archive, 0o644))
}

// valid is `[!] valid SCHEMA FILE`: the JSON in FILE is what the JSON Schema wants.
func valid(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: [!] valid SCHEMA FILE")
	}
	read := func(file string) any {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(ts.ReadFile(file)))
		ts.Check(err)
		return v
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	ts.Check(c.AddResource("schema.json", read(args[0])))
	schema, err := c.Compile("schema.json")
	ts.Check(err)
	switch err := schema.Validate(read(args[1])); {
	case neg && err == nil:
		ts.Fatalf("%s is valid", args[1])
	case !neg && err != nil:
		ts.Fatalf("%s: %v", args[1], err)
	}
}

// exits is `exits CODE program [args...]`: exec with an exact exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE program [args...]")
	}
	want, err := strconv.Atoi(args[0])
	if err != nil {
		ts.Fatalf("exits: %v", err)
	}
	err = ts.Exec(args[1], args[2:]...)
	code := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("exits: %v", err)
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// absent is `absent FILE TEXT...`: no TEXT occurs in FILE, stdout or stderr.
func absent(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: absent FILE TEXT...")
	}
	b := ts.ReadFile(args[0])
	for _, text := range args[1:] {
		if strings.Contains(b, text) {
			ts.Fatalf("%q occurs in %s", text, args[0])
		}
	}
}

// canon is `canon FILE a,b,c`: prints the named members of the JSON object in
// FILE, one per line, as stdout of the script.
func canon(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: canon FILE MEMBER,...")
	}
	var doc map[string]json.RawMessage
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &doc))
	for _, name := range strings.Split(args[1], ",") {
		value, ok := doc[name]
		if !ok {
			ts.Fatalf("%s has no member %q", args[0], name)
		}
		fmt.Fprintf(ts.Stdout(), "%s: %s\n", name, value)
	}
}

// oneLine is `oneline FILE`: it holds exactly one line.
func oneLine(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: oneline FILE")
	}
	if b := ts.ReadFile(args[0]); strings.Count(b, "\n") != 1 || !strings.HasSuffix(b, "\n") {
		ts.Fatalf("%s has not exactly one line: %q", args[0], b)
	}
}
