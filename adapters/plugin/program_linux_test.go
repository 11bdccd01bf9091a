package plugin

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestAProgramThatIsReplacedAfterItsCheckIsNotRun: what is run is the file that was
// checked, and not what has its name by then.
func TestAProgramThatIsReplacedAfterItsCheckIsNotRun(t *testing.T) {
	dir := t.TempDir()
	copied := func(name string) (path, sum string) {
		t.Helper()
		from, err := exec.LookPath(name)
		if err != nil {
			t.Skip(err)
		}
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		path = filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o700); err != nil {
			t.Fatal(err)
		}
		is := sha256.Sum256(b)
		return path, hex.EncodeToString(is[:])
	}
	checked, sum := copied("true")
	other, _ := copied("false")
	cfg := Config{Path: checked, SHA256: sum}
	program, err := openProgram(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	if err := os.Rename(other, checked); err != nil {
		t.Fatal(err)
	}
	if err := (&exec.Cmd{Path: runnable(program)}).Run(); err != nil {
		t.Errorf("another program was run: %v", err)
	}
	if f, err := openProgram(t.Context(), cfg); err == nil {
		f.Close()
		t.Error("the other program passes the check")
	}
}
