package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/greentic-ai/greentic-provision/internal/workertest"
)

// sleeper writes a pack whose only step never ends and gives its directory.
func sleeper(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"pack.json": `{"id": "spin", "version": "1.0.0", "meta": {"entry_flows": {"setup": "setup_default"}, "requires_public_base_url": false, "capabilities": []}, "flows": []}`,
		"wasm/setup_default.wat": `(module (memory (export "memory") 1)
			(func (export "run") (param i32 i32) (result i32 i32) (loop $again (br $again)) (unreachable)))`,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// children gives the processes whose parent is pid.
func children(t *testing.T, pid int) []int {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, path := range tasks {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		for _, field := range strings.Fields(string(b)) {
			var pid int
			if _, err := fmt.Sscan(field, &pid); err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	return pids
}

// eventually waits for something that is bound to happen.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain until " + what)
		}
	}
}

// running starts a run of a step that never ends, and gives it with its worker
// once that is there.
func running(t *testing.T, stdout io.Writer, args ...string) (cmd *exec.Cmd, stderr *strings.Builder, worker int) {
	t.Helper()
	cmd = exec.Command(program, append([]string{"dry-run", "setup", "--pack", sleeper(t), "--no-cache", "--step-timeout", "1m",
		"--worker", workertest.Path}, args...)...)
	stderr = new(strings.Builder)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	eventually(t, "the worker is there", func() bool {
		if pids := children(t, cmd.Process.Pid); len(pids) > 0 {
			worker = pids[0]
		}
		return worker != 0
	})
	return cmd, stderr, worker
}

func gone(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return strings.HasPrefix(rest, "Z")
}

// TestInterrupt: a signal ends a run at any point, with exit code 130, one line,
// and no worker left.
func TestInterrupt(t *testing.T) {
	if _, err := os.Stat("/proc/self/task"); err != nil {
		t.Skip("needs /proc")
	}
	for _, c := range []struct {
		signal syscall.Signal
		after  time.Duration // from the worker's start: while it starts, compiles, runs
	}{{syscall.SIGINT, 0}, {syscall.SIGTERM, 20 * time.Millisecond}, {syscall.SIGINT, 300 * time.Millisecond}} {
		t.Run(fmt.Sprintf("%v after %v", c.signal, c.after), func(t *testing.T) {
			t.Parallel()
			var stdout strings.Builder
			cmd, stderr, worker := running(t, &stdout, "--json")
			time.Sleep(c.after)
			if err := cmd.Process.Signal(c.signal); err != nil {
				t.Fatal(err)
			}
			err := cmd.Wait()
			if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 130 {
				t.Errorf("%v, want exit code 130; stderr: %s", err, stderr)
			}
			want := "greentic-provision: interrupted: " + c.signal.String() + " signal received\n"
			if stderr.String() != want {
				t.Errorf("stderr: %q, want %q", stderr, want)
			}
			if !strings.HasPrefix(stdout.String(), `{"error":{"exit_code":130,`) {
				t.Errorf("stdout: %q", &stdout)
			}
			eventually(t, "the worker is gone", func() bool { return gone(worker) })
		})
	}
}

// TestKilled: nothing survives a command line that had no chance to clean up.
func TestKilled(t *testing.T) {
	cmd, _, worker := running(t, io.Discard)
	time.Sleep(300 * time.Millisecond) // the step is running, most likely; the claim holds at any time
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("it ended well before it was killed")
	}
	eventually(t, "the worker is gone", func() bool { return gone(worker) })
}

// TestReaderGone: a reader that has seen enough ends the program as it ends any
// other, by SIGPIPE, and nothing is left then either.
func TestReaderGone(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	cmd := exec.Command(program, "pack", "inspect", "--pack", filepath.Join("..", "..", "testdata", "packs", "noop-provision"))
	cmd.Stdout = w
	err = cmd.Run()
	w.Close()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGPIPE {
		t.Errorf("%v, want death by SIGPIPE", err)
	}
}

// TestAnInterruptedApplyStoresNothing, and the lock goes with the process.
func TestAnInterruptedApplyStoresNothing(t *testing.T) {
	d := newDesk(t)
	pack := sleeper(t)
	cmd := exec.Command(program, "apply", "setup", "--pack", pack, "--yes", "--no-cache", "--step-timeout", "1m", "--worker", workertest.Path)
	stderr := new(strings.Builder)
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	eventually(t, "the step runs", func() bool { return len(children(t, cmd.Process.Pid)) > 0 })
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 130 {
		t.Errorf("%v: %s", err, stderr)
	}
	if got := d.state(); got != "[]\n" {
		t.Errorf("installed: %s", got)
	}
	if out, _ := d.run(0, "recover", "--lock-timeout", "1s"); out != "nothing was unfinished\n" {
		t.Errorf("recover: %s", out)
	}
}
