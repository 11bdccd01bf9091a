package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/greentic-ai/greentic-provision/internal/workertest"
	"github.com/greentic-ai/greentic-provision/limits"
)

func readme(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestReadmeLimits: the table of limits is what the flags say.
func TestReadmeLimits(t *testing.T) {
	l := limits.Default()
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	fs.SortFlags = false
	limitFlags(fs, &l)
	want := "| flag | default | of what |\n|---|---|---|\n"
	fs.VisitAll(func(f *pflag.Flag) { want += fmt.Sprintf("| `--%s` | %s | %s |\n", f.Name, f.DefValue, f.Usage) })
	if !strings.Contains(readme(t), want) {
		t.Errorf("the README has another table of limits; the flags say\n%s", want)
	}
}

// TestReadmeExitCodes: the table of exit codes is the one of --help.
func TestReadmeExitCodes(t *testing.T) {
	want := "| exit code | meaning |\n|---|---|\n"
	for _, line := range strings.Split(strings.TrimSpace(exitCodeHelp), "\n") {
		code, meaning, _ := strings.Cut(strings.TrimSpace(line), " ")
		want += "| " + code + " | " + strings.TrimSpace(meaning) + " |\n"
	}
	if !strings.Contains(readme(t), want) {
		t.Errorf("the README has another table of exit codes; --help says\n%s", want)
	}
}

// TestReadmeSample: the sample is what the program prints, but for times and
// for what the walls are made of, which depend on the machine.
func TestReadmeSample(t *testing.T) {
	var stdout, stderr strings.Builder
	code := run(t.Context(), []string{"dry-run", "setup", "--pack", filepath.Join("..", "..", "testdata", "packs", "noop-provision"),
		"--worker", workertest.Path, "--no-cache"}, strings.NewReader(""), &stdout, &stderr)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	const command = "$ greentic-provision dry-run setup --pack testdata/packs/noop-provision.gtpack\n"
	text := readme(t)
	before, rest, ok := strings.Cut(text, command)
	sample, after, ok2 := strings.Cut(rest, "```")
	if !ok || !ok2 {
		t.Fatalf("the README has no sample that begins with %q", command)
	}
	if *update && stable(sample) != stable(stdout.String()) {
		if err := os.WriteFile(filepath.Join("..", "..", "README.md"), []byte(before+command+stdout.String()+"```"+after), 0o644); err != nil {
			t.Fatal(err)
		}
		sample = stdout.String()
	}
	if got, want := stable(stdout.String()), stable(sample); got != want {
		t.Errorf("the program prints\n%s\nand the README says\n%s\n(go test -update rewrites it)", got, want)
	}
}

var (
	times   = regexp.MustCompile(`\d+(\.\d)? m?s +`)
	walls   = regexp.MustCompile(`(?s)\nWalls .*?\n\n`)
	offered = regexp.MustCompile(`(?m)^  \S+ +(?:landlock|mdwe|cgroup) .*\n(?: {10}.*\n)*`) // not every system has these
	details = regexp.MustCompile(`(?m)^(  up    \S+).*|^ {10}.*\n`)
)

// stable takes out what differs between runs and machines: times, and what the
// walls are made of.
func stable(s string) string {
	return walls.ReplaceAllStringFunc(times.ReplaceAllString(s, "TIME "), func(w string) string {
		return details.ReplaceAllString(offered.ReplaceAllString(w, ""), "$1")
	})
}

// TestGolden: make golden rewrites what there is to be rewritten.
func TestGolden(t *testing.T) {
	root := filepath.Join("..", "..")
	b, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	_, target, _ := strings.Cut(string(b), "\ngolden:")
	target, _, _ = strings.Cut(target, "\n\n")
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() && e.Name() == "node_modules" {
			return cmp.Or(err, filepath.SkipDir)
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		b, err := os.ReadFile(path)
		dir, _ := filepath.Rel(root, filepath.Dir(path))
		if bytes.Contains(b, []byte("flag.Bool("+`"update"`)) && !strings.Contains(target, "./"+filepath.ToSlash(dir)+" ") {
			t.Errorf("make golden leaves out ./%s", dir)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
