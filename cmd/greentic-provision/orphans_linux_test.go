package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/internal/workertest"
	"github.com/greentic-ai/greentic-provision/supervisor/codecache"
)

// The tests in this file end the program at bad moments and look at what is left:
// processes, temporary files, the cache.

// place is where a program runs that will not end well: a worker whose processes can
// be told from those of other tests, and directories of its own.
type place struct {
	*testing.T
	worker, tmp, cache, home string
}

func newPlace(t *testing.T) *place {
	t.Helper()
	dir := t.TempDir()
	p := &place{t, filepath.Join(dir, "step-worker"), filepath.Join(dir, "tmp"), filepath.Join(dir, "cache"), filepath.Join(dir, "home")}
	b, err := os.ReadFile(workertest.Path)
	if err != nil {
		t.Fatal(err)
	}
	// A process that is forked while the file is open for writing holds it open, and
	// executing it fails with ETXTBSY.
	syscall.ForkLock.RLock()
	err = os.WriteFile(p.worker, b, 0o755)
	syscall.ForkLock.RUnlock()
	if err == nil {
		err = errors.Join(os.Mkdir(p.tmp, 0o700), os.Mkdir(p.home, 0o700))
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// command is the program in the place.
func (p *place) command(args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	if args[0] == "dry-run" || args[0] == "apply" {
		cmd.Args = append(cmd.Args, "--worker", p.worker, "--cache-dir", p.cache)
	}
	cmd.Env = append(os.Environ(), "TMPDIR="+p.tmp, "HOME="+p.home, "XDG_CACHE_HOME=", "XDG_STATE_HOME=", "XDG_CONFIG_HOME=")
	return cmd
}

// workers gives the processes that run the place's worker. A process that has ended
// runs nothing.
func (p *place) workers() (pids []int) {
	p.Helper()
	worker, err := os.Stat(p.worker)
	if err != nil {
		p.Fatal(err)
	}
	all, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		p.Fatal(err)
	}
	for _, exe := range all {
		if st, err := os.Stat(exe); err == nil && os.SameFile(st, worker) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(exe)))
			if err != nil {
				p.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	return pids
}

// clean looks at what is left when the program has ended.
func (p *place) clean() {
	p.Helper()
	for deadline := time.Now().Add(2 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		left := p.workers()
		if len(left) == 0 {
			break
		}
		if time.Now().After(deadline) {
			p.Fatalf("workers are left: %v", left)
		}
	}
	files, err := os.ReadDir(p.tmp)
	if err != nil || len(files) > 0 {
		p.Errorf("temporary files are left: %v, %v", files, err)
	}
	if _, err := os.Stat(p.cache); errors.Is(err, os.ErrNotExist) {
		return
	}
	cache, err := codecache.Open(p.cache, codecache.DefaultSize)
	if err != nil {
		p.Fatal(err)
	}
	entries, err := cache.List()
	if err != nil {
		p.Fatal(err)
	}
	for _, e := range entries {
		if _, _, ok := cache.Get(e.Name); !ok {
			p.Errorf("the cache has an entry that is not whole: %s, %d bytes", e.Name, e.Bytes)
		}
	}
}

// unfinished gives the files in the cache that a writer did not finish.
func (p *place) unfinished() []string {
	p.Helper()
	var all []string
	for _, pattern := range []string{"new-*", "key-*"} {
		files, err := filepath.Glob(filepath.Join(p.cache, pattern))
		if err != nil {
			p.Fatal(err)
		}
		all = append(all, files...)
	}
	return all
}

var noopPack = filepath.Join("..", "..", "testdata", "packs", "noop-provision")

// TestKilledAtRandomMoments: whenever the program is killed, no worker outlives it, no
// file is in the way, and the next run is as any other.
func TestKilledAtRandomMoments(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and about processes: the race detector sees little of it (make race)")
	}
	t.Parallel()
	times := 16
	if *crash {
		times = 200
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	p := newPlace(t)
	dryRun := []string{"dry-run", "setup", "--pack", noopPack, "--json"}
	whole := func() (out []byte, took time.Duration) {
		t.Helper()
		start := time.Now()
		out, err := p.command(dryRun...).Output()
		if err != nil {
			t.Fatal(err)
		}
		return out, time.Since(start)
	}
	// How long a run takes, first when it has to compile, then when it need not: the
	// least that was seen, or most would end before they are killed.
	want, cold := whole()
	if err := os.RemoveAll(p.cache); err != nil {
		t.Fatal(err)
	}
	_, again := whole()
	cold = min(cold, again)
	_, warm := whole()
	killed := 0
	for i := range times {
		span := warm
		if i%2 == 0 { // so that compiling is met, too
			span = cold
			if err := os.RemoveAll(p.cache); err != nil {
				t.Fatal(err)
			}
		}
		// Spread evenly over the time that a run takes.
		at := time.Duration((float64(i/2) + random.Float64()) / float64((times+1)/2) * float64(span))
		cmd := p.command(dryRun...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(at, func() { _ = cmd.Process.Kill() })
		if err := cmd.Wait(); err != nil {
			killed++
		}
		p.clean()
		got, took := whole()
		if !bytes.Equal(got, want) {
			t.Fatalf("killed after %s of %s, then: %s\nwant %s", at, span, got, want)
		}
		if i%2 == 1 {
			warm = min(warm, took)
		}
		p.clean()
	}
	if killed < times/4 {
		t.Errorf("of %d runs only %d were killed before they ended", times, killed)
	}
	// What the killed ones did not finish writing goes when somebody writes after an
	// hour. There may be none; so one is made.
	for range 2 {
		if err := os.WriteFile(filepath.Join(p.cache, fmt.Sprint("new-", random.Uint64())), []byte("gpcode1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	left := p.unfinished()
	t.Logf("of %d runs %d were killed, %d files were not finished", times, killed, len(left)-2)
	for _, file := range left[1:] {
		if err := os.Chtimes(file, time.Time{}, time.Now().Add(-2*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := filepath.Glob(filepath.Join(p.cache, "*.code"))
	if err != nil || len(entries) == 0 {
		t.Fatalf("entries of the cache: %v, %v", entries, err)
	}
	if err := os.Remove(entries[0]); err != nil { // so that the next run writes one
		t.Fatal(err)
	}
	whole()
	if now := p.unfinished(); !slices.Equal(now, left[:1]) {
		t.Errorf("old files are left: %q, want only %q, which may be under way", now, left[:1])
	}
}

// slowToCompile writes a pack whose component takes seconds to compile.
func slowToCompile(t *testing.T) string {
	t.Helper()
	dir := sleeper(t)
	text := `(module (memory (export "memory") 1)
		(func (export "slow") (param i64) (result i64) (local.get 0)` + strings.Repeat("(i64.mul (local.get 0))(i64.const 7)(i64.xor)", 100_000) + `)
		(func (export "run") (param i32 i32) (result i32 i32) (unreachable)))`
	if err := os.WriteFile(filepath.Join(dir, "wasm", "setup_default.wat"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// hostCaller writes a pack that calls the host for ever.
func hostCaller(t *testing.T) string {
	t.Helper()
	source, err := os.ReadFile(filepath.Join("..", "..", "testdata", "guests", "host-call-flood.wat"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string][]byte{
		"pack.json":                           []byte(`{"id": "calls", "version": "1.0.0", "meta": {"entry_flows": {"setup": "setup_default"}}}`),
		"components/setup_default__apply.wat": source,
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// sealed says whether one of these workers has come to guest code: the filter of phase
// "run" is on top of that of phase "load" (proc_pid_status(5), Linux 5.9).
func sealed(pids []int) bool {
	filters := func(pid string) (n int) {
		status, _ := os.ReadFile("/proc/" + pid + "/status")
		_, rest, _ := strings.Cut(string(status), "\nSeccomp_filters:")
		_, _ = fmt.Sscan(rest, &n)
		return n
	}
	return slices.ContainsFunc(pids, func(pid int) bool { return filters(strconv.Itoa(pid)) == filters("self")+2 })
}

// TestInterruptInEachPhase: Ctrl-C ends the program whatever it is at, and leaves
// nothing.
func TestInterruptInEachPhase(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and about processes: the race detector sees little of it (make race)")
	}
	for _, c := range []struct {
		phase string
		pack  func(*testing.T) string
		ready func(workers []int) bool
	}{
		{"spawn", sleeper, func(workers []int) bool { return len(workers) > 0 }},
		{"compile", slowToCompile, func(workers []int) bool { return len(workers) > 1 }},
		{"step", sleeper, sealed},
		{"host call", hostCaller, sealed},
	} {
		t.Run(c.phase, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			cmd := p.command("dry-run", "setup", "--pack", c.pack(t), "--step-timeout", "1m", "--max-host-calls", "1000000", "--json")
			var stdout, stderr strings.Builder
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { cmd.Process.Kill() })
			eventually(t, "the phase is there", func() bool { return c.ready(p.workers()) })
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			err := cmd.Wait()
			if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != engine.ExitInterrupted {
				t.Errorf("%v, want exit code 130", err)
			}
			if want := "greentic-provision: interrupted: interrupt signal received\n"; stderr.String() != want || !strings.HasPrefix(stdout.String(), `{"error":{"exit_code":130,`) {
				t.Errorf("stderr: %q\nstdout: %q", stderr.String(), stdout.String())
			}
			p.clean()
		})
	}
}

// terminal makes one: what a person sees and types, and what a program has.
func terminal(t *testing.T) (person, stdin *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close() })
	raw, err := person.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	number, err2 := 0, error(nil)
	err = raw.Control(func(fd uintptr) {
		if err2 = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err2 == nil {
			number, err2 = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	})
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	stdin, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close() })
	return person, stdin
}

// TestInterruptAtThePrompt: Ctrl-C instead of an answer, typed and as a signal.
func TestInterruptAtThePrompt(t *testing.T) {
	for _, typed := range []bool{true, false} {
		t.Run(fmt.Sprintf("typed %t", typed), func(t *testing.T) {
			d := newDesk(t)
			p := newPlace(t)
			person, stdin := terminal(t)
			cmd := p.command("apply", "setup", "--pack", d.path("mailer.gtpack"), "--answers", d.path("answers.json"))
			cmd.Env = append(cmd.Env, "XDG_STATE_HOME="+p.home)
			cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdin, stdin
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true} // its terminal, so that keys are signals
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { cmd.Process.Kill() })
			screen := readUntil(t, person, "Type yes: ")
			if typed {
				if _, err := person.WriteString("\x03"); err != nil {
					t.Fatal(err)
				}
			} else if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			err := cmd.Wait()
			if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != engine.ExitInterrupted {
				t.Errorf("%v, want exit code 130; on the screen: %s", err, screen)
			}
			p.clean()
			list := p.command("installs", "list")
			list.Env = append(list.Env, "XDG_STATE_HOME="+p.home)
			if out, err := list.CombinedOutput(); strings.Contains(string(out), "mailer") {
				t.Errorf("installed: %s, %v", out, err)
			}
		})
	}
}

// readUntil reads what a program prints up to a text.
func readUntil(t *testing.T, from io.Reader, text string) string {
	t.Helper()
	var seen []byte
	for b := make([]byte, 4096); !bytes.Contains(seen, []byte(text)); {
		n, err := from.Read(b)
		if seen = append(seen, b[:n]...); err != nil {
			t.Fatalf("%v before %q: %s", err, text, seen)
		}
	}
	return string(seen)
}

// TestReaderOfARunGone: whoever reads a plan goes away before it comes. The program
// dies of it as programs do; where the plan goes to a pipe that was named, it says so.
func TestReaderOfARunGone(t *testing.T) {
	for _, named := range []bool{false, true} {
		t.Run(fmt.Sprintf("named %t", named), func(t *testing.T) {
			p := newPlace(t)
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			cmd := p.command("dry-run", "setup", "--pack", noopPack, "--json")
			cmd.Stdout = w
			if named {
				cmd.Args = append(cmd.Args, "--output", "/dev/fd/3")
				cmd.Stdout, cmd.ExtraFiles = nil, []*os.File{w}
			}
			var stderr strings.Builder
			cmd.Stderr = &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { cmd.Process.Kill() })
			eventually(t, "the worker is there", func() bool { return len(p.workers()) > 0 }) // and the pipe is open
			r.Close()
			err = cmd.Wait()
			exit, ok := errors.AsType[*exec.ExitError](err)
			if !ok {
				t.Fatalf("%v: %s", err, &stderr)
			}
			status := exit.Sys().(syscall.WaitStatus)
			if !named && status.Signal() != syscall.SIGPIPE {
				t.Errorf("%v, want death by SIGPIPE", err)
			}
			if want := "greentic-provision: cannot write the result: broken pipe\n"; named && (status.ExitStatus() != engine.ExitFault || stderr.String() != want) {
				t.Errorf("%v: %q, want exit code 1 and %q", err, stderr.String(), want)
			}
			p.clean()
		})
	}
}

// TestTooFewDescriptors: one line, exit code 1, nothing left, wherever they run out.
func TestTooFewDescriptors(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and about processes: the race detector sees little of it (make race)")
	}
	t.Parallel()
	p := newPlace(t)
	cmd := p.command("dry-run", "setup", "--pack", noopPack, "--json")
	failed := 0
	// With less than 8 the Go runtime itself ends, before it could be told not to.
	for n := 8; ; n++ {
		if n > 64 {
			t.Fatal("it never works")
		}
		sh := exec.Command("sh", append([]string{"-c", fmt.Sprintf(`ulimit -n %d; exec "$@"`, n), "sh"}, cmd.Args...)...)
		sh.Env = cmd.Env
		var stderr strings.Builder
		sh.Stderr = &stderr
		err := sh.Run()
		p.clean()
		if err == nil {
			break
		}
		failed++
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok || exit.ExitCode() != engine.ExitFault || strings.Count(stderr.String(), "\n") != 1 || !strings.HasSuffix(stderr.String(), "too many open files\n") {
			t.Errorf("with %d: %v\n%s", n, err, stderr.String())
		}
	}
	if failed < 5 {
		t.Errorf("it failed with %d numbers only; this test did not reach the places", failed)
	}
}

// TestFullDiskOfTheCache: compiled code that cannot be kept costs time, not the run.
func TestFullDiskOfTheCache(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and about processes: the race detector sees little of it (make race)")
	}
	if err := exec.Command("unshare", "-Urm", "true").Run(); err != nil {
		t.Skip("mounts a small disk in a namespace of its own: ", err)
	}
	p := newPlace(t)
	if err := os.Mkdir(p.cache, 0o700); err != nil {
		t.Fatal(err)
	}
	outputs := map[string]string{}
	for size, warned := range map[string]bool{"16m": false, "16k": true} { // the key fits into either
		cmd := p.command("dry-run", "setup", "--pack", noopPack, "--json")
		sh := exec.Command("unshare", append([]string{"-Urm", "sh", "-c", `mount -t tmpfs -o size=` + size + `,mode=0700 none "$0" && exec "$@"`, p.cache}, cmd.Args...)...)
		sh.Env = cmd.Env
		var stdout, stderr strings.Builder
		sh.Stdout, sh.Stderr = &stdout, &stderr
		if err := sh.Run(); err != nil {
			t.Fatalf("a disk of %s: %v\n%s", size, err, stderr.String())
		}
		if got := strings.Contains(stderr.String(), "compiled code is not kept: code cache: ") && strings.Contains(stderr.String(), "no space left"); got != warned {
			t.Errorf("a disk of %s: %s", size, stderr.String())
		}
		outputs[size] = stdout.String()
	}
	if outputs["16m"] != outputs["16k"] {
		t.Errorf("the disk shows in the result: %v", outputs)
	}
	p.clean()
}
