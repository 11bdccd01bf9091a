//go:build unix

package pack_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/greentic-ai/greentic-provision/pack"
)

// A named pipe in the place of a file is refused, not waited for.
func TestPipe(t *testing.T) {
	for _, name := range []string{"pack.json", "setup_default__apply.wat"} {
		dir := lay(t, soundFiles())
		pipe := filepath.Join(dir, name)
		if err := os.Remove(pipe); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(pipe, 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := pack.Open(dir, pack.Options{})
		if e, ok := errors.AsType[*pack.Error](err); !ok || e.Rule != pack.RuleKind || e.Entry != name {
			t.Errorf("%s: got %v; want %q", name, err, pack.RuleKind)
		}
	}
	pipe := filepath.Join(t.TempDir(), "x.gtpack")
	if err := syscall.Mkfifo(pipe, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := pack.Open(pipe, pack.Options{})
	if e, ok := errors.AsType[*pack.Error](err); !ok || e.Rule != pack.RuleForm {
		t.Errorf("got %v; want %q", err, pack.RuleForm)
	}
}
