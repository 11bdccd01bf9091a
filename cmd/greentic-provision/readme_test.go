package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

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
