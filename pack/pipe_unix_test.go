//go:build unix

package pack

import (
	"errors"
	"io"
	"path/filepath"
	"syscall"
	"testing"
)

// A pipe that takes the place of a file after that was found is refused as well.
func TestAPipeIsNotWaitedFor(t *testing.T) {
	top := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(top, "x"), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := openDirectory(top)
	if err != nil {
		t.Fatal(err)
	}
	defer d.root.Close()
	err = d.copy(io.Discard, "x", MaxEntry, RuleEntrySize)
	if e, ok := errors.AsType[*Error](err); !ok || e.Rule != RuleKind {
		t.Errorf("got %v; want %q", err, RuleKind)
	}
}
