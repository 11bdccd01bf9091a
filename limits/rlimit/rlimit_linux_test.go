//go:build !race

// Not in a race build: the detector's shadow memory is several times what it
// watches, and counts against RLIMIT_DATA.

package rlimit_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/limits/rlimit"
)

// TestMain plays a process that puts the table into force on itself and then
// runs into one of the limits.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "worker" {
		os.Exit(worker(os.Args[2]))
	}
	os.Exit(m.Run())
}

func worker(act string) int {
	s := rlimit.Spec{Data: 192 * limits.MiB, CPU: 1, Stack: 512 * limits.KiB, OwnUsers: true}
	if act == "data" {
		s.Data = 64 * limits.MiB
	}
	table := rlimit.Step(s)
	fd, err := unix.MemfdCreate("x", unix.MFD_CLOEXEC)
	if err != nil {
		return 1
	}
	if act == "compile fsize" {
		table = rlimit.Compile(s, 4096)
	}
	wall, err := table.Apply()
	if err != nil || !wall.Raised {
		os.Stderr.WriteString(err.Error())
		return 2
	}
	switch act {
	case "report":
		in := map[string]unix.Rlimit{}
		for name, r := range map[string]int{"data": unix.RLIMIT_DATA, "cpu": unix.RLIMIT_CPU, "nofile": unix.RLIMIT_NOFILE,
			"fsize": unix.RLIMIT_FSIZE, "core": unix.RLIMIT_CORE, "stack": unix.RLIMIT_STACK, "memlock": unix.RLIMIT_MEMLOCK,
			"msgqueue": unix.RLIMIT_MSGQUEUE, "rtprio": unix.RLIMIT_RTPRIO, "nproc": unix.RLIMIT_NPROC} {
			var l unix.Rlimit
			if err := unix.Prlimit(0, r, nil, &l); err != nil {
				return 3
			}
			in[name] = l
		}
		if json.NewEncoder(os.Stdout).Encode(in) != nil {
			return 3
		}
		return 0
	case "data":
		// Beyond the limit the runtime ends the process: "out of memory".
		var keep [][]byte
		for range 128 {
			keep = append(keep, make([]byte, limits.MiB))
		}
		runtime.KeepAlive(keep)
		return 0
	case "cpu":
		for start := time.Now(); time.Since(start) < 20*time.Second; {
		}
		return 0
	case "nofile":
		for n := 0; ; n++ {
			if _, err := unix.Dup(fd); err == unix.EMFILE {
				return 0
			} else if err != nil || n > 16 {
				return 4
			}
		}
	case "step fsize", "compile fsize":
		page := make([]byte, 4096)
		_, first := unix.Write(fd, page)
		_, second := unix.Write(fd, page[:1])
		want := []error{unix.EFBIG, unix.EFBIG}
		if act == "compile fsize" {
			want[0] = nil
		}
		if !errors.Is(first, want[0]) || !errors.Is(second, want[1]) {
			return 5
		}
		return 0
	case "live":
		// Threads, a poller and memory within the limits.
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				runtime.LockOSThread()
				ts := unix.Timespec{Nsec: 50e6}
				_ = unix.Nanosleep(&ts, nil)
			})
		}
		wg.Wait()
		r, w, err := os.Pipe()
		if err != nil {
			return 6
		}
		go w.Write([]byte("x"))
		if err := r.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			return 6
		}
		if _, err := r.Read(make([]byte, 1)); err != nil {
			return 6
		}
		runtime.KeepAlive(make([]byte, 32*limits.MiB))
		return 0
	case "raise":
		if unix.Getuid() == 0 {
			return 0 // root may
		}
		if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 17, Max: 17}, nil); err != unix.EPERM {
			return 7
		}
		return 0
	}
	return 8
}

func run(t *testing.T, act string) (string, *exec.ExitError) {
	t.Helper()
	var out, stderr strings.Builder
	cmd := exec.Command("/proc/self/exe", "worker", act)
	cmd.Env = []string{"GOTRACEBACK=none"}
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err := cmd.Run()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if err != nil && !ok {
		t.Fatal(err)
	}
	return out.String() + stderr.String(), exit
}

func TestApply(t *testing.T) {
	out, exit := run(t, "report")
	if exit != nil {
		t.Fatal(exit, out)
	}
	var got map[string]unix.Rlimit
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	for _, r := range rlimit.Step(rlimit.Spec{Data: 192 * limits.MiB, CPU: 1, Stack: 512 * limits.KiB, OwnUsers: true}) {
		l := got[r.Name]
		if l.Cur != l.Max || l.Max > r.Value {
			t.Errorf("%s: soft %d, hard %d, want both %d", r.Name, l.Cur, l.Max, r.Value)
		}
		// Others may be lower on this host.
		if r.Name == "data" || r.Name == "nofile" {
			if l.Max != r.Value {
				t.Errorf("%s: %d, want %d", r.Name, l.Max, r.Value)
			}
		}
	}
}

func TestLimitsHold(t *testing.T) {
	for _, act := range []string{"nofile", "step fsize", "compile fsize", "live", "raise"} {
		if out, exit := run(t, act); exit != nil {
			t.Errorf("%s: %v %s", act, exit, out)
		}
	}
	out, exit := run(t, "data")
	// Go's words depend on which of its allocations meets the limit.
	said := strings.Contains(out, "out of memory") || strings.Contains(out, "cannot allocate memory")
	if exit == nil || exit.ExitCode() != 2 || !said {
		t.Errorf("data: %v %q, want the runtime to give up", exit, out)
	}
	_, exit = run(t, "cpu")
	// Soft and hard limit are one, so the kernel kills at once.
	if exit == nil || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("cpu: %v, want SIGKILL", exit)
	}
}

func TestUnknownRow(t *testing.T) {
	_, err := rlimit.Table{{Name: "patience", Value: 1}}.Apply()
	w, ok := errors.AsType[*limits.WallError](err)
	if !ok || w.Wall != "rlimits" || !strings.Contains(w.Where, "patience") {
		t.Errorf("%v", err)
	}
}
