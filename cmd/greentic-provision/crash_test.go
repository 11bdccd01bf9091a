package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"flag"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/internal/pgtest"
	"github.com/greentic-ai/greentic-provision/internal/workertest"
)

// crashVar has the program killed at the n-th thing that it does to a store.
const crashVar = "GREENTIC_TEST_CRASH"

var crash = flag.Bool("crash", false, "kill the program at every operation of every store (make crash)")

func killAt(n int) func(string) error {
	var calls atomic.Int64
	return func(string) error {
		if calls.Add(1) == int64(n) {
			return syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		return nil
	}
}

// TestTheProgramIsKilled: apply setup, update and remove, each killed at every operation
// in turn, and recover after each. Package commit has the same without the program around
// it, and as a part of all tests.
func TestTheProgramIsKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and about processes: the race detector sees little of it (make race)")
	}
	if !*crash {
		t.Skip("make crash runs it")
	}
	for name, flags := range map[string]func() []string{
		"sqlite":   func() []string { return nil },
		"postgres": func() []string { return []string{"--store", pgtest.Open(t)} },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, flags()...)
			pack := []string{"--pack", d.path("mailer.gtpack"), "--yes"}
			phases := [][]string{
				slices.Concat([]string{"apply", "setup", "--answers", d.path("answers.json")}, pack, installed1),
				slices.Concat([]string{"apply", "update", "--answers", d.path("change.json")}, pack, installed1),
				slices.Concat([]string{"apply", "remove"}, pack, installed1),
			}
			// The states that there are: before and after each phase.
			states := []string{d.state()}
			for _, args := range phases {
				d.run(engine.ExitOK, args...)
				states = append(states, d.state())
			}
			if states[0] != states[3] || states[0] == states[1] || states[1] == states[2] {
				t.Fatalf("phases make nothing of it: %q", states)
			}
			for i, args := range phases {
				places := 0
				for n := 1; ; n++ {
					cmd := exec.Command(program, slices.Concat(args, d.store, []string{"--worker", workertest.Path})...)
					cmd.Env = append(os.Environ(), crashVar+"="+strconv.Itoa(n))
					out, err := cmd.CombinedOutput()
					if strings.Contains(string(out), answer) {
						t.Fatalf("a secret is shown: %s", out)
					}
					if err == nil {
						break // it does less than n things
					}
					status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
					if !status.Signaled() || status.Signal() != syscall.SIGKILL {
						t.Fatalf("%v: %s", err, out)
					}
					places++
					d.run(engine.ExitOK, "recover")
					switch got := d.state(); got {
					case states[i]:
					case states[i+1]: // once more, from before
						d.bring(i, phases)
					default:
						t.Fatalf("phase %d killed at %d: %s", i, n, cmp.Diff(states[i], got))
					}
				}
				if places < 15 {
					t.Errorf("phase %d was killed at %d places only", i, places)
				}
				t.Logf("phase %d was killed at %d places", i, places)
			}
			d.run(engine.ExitOK, "store", "check")
			// The copy has what is in the database, the folder what SQLite left around it.
			d.run(engine.ExitOK, "store", "backup", d.path("copy.db"))
			d.noAnswerIn(d.path("copy.db"))
			d.noAnswerIn(d.path("XDG_STATE_HOME"))
		})
	}
}

// bring brings the installation to the state before a phase.
func (d *desk) bring(phase int, phases [][]string) {
	d.Helper()
	if strings.Contains(d.state(), "provision:") {
		d.run(engine.ExitOK, phases[2]...)
	}
	for _, args := range phases[:phase] {
		d.run(engine.ExitOK, args...)
	}
}

// noAnswerIn looks for the secret answer below a path, in the forms that programs write
// it.
func (d *desk) noAnswerIn(path string) {
	d.Helper()
	base64of := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	forms := map[string]string{
		"plain": answer, "URL": url.QueryEscape(answer), "path": url.PathEscape(answer),
		"hex": hex.EncodeToString([]byte(answer)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(answer))),
		"base64": strings.TrimRight(base64of(answer), "="), "base64, one later": base64of("x" + answer)[4:20], "base64, two later": base64of("xx" + answer)[4:20],
	}
	err := filepath.WalkDir(path, func(file string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(file)
		for form, text := range forms {
			if bytes.Contains(b, []byte(text)) {
				d.Errorf("%s holds the secret as %s", file, form)
			}
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // with a server there is no folder
		d.Error(err)
	}
}
