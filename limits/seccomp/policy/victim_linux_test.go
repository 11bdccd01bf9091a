package policy_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/limits/attack"
	"github.com/greentic-ai/greentic-provision/limits/attack/native"
	"github.com/greentic-ai/greentic-provision/limits/probe/probetest"
	"github.com/greentic-ai/greentic-provision/limits/seccomp/policy"
)

// TestMain plays the victims: this binary, started again as
//
//	policy.test victim PHASE ROLE CODEGEN ATTACK
//
// puts itself behind the filters up to that phase and makes the attack ("live" is
// the honest life of TestLife). A victim that is still alive prints what the kernel
// answered.
func TestMain(m *testing.M) {
	if len(os.Args) == 6 && os.Args[1] == "victim" {
		os.Exit(victim(os.Args[2], policy.Role(os.Args[3]), limits.Codegen(os.Args[4]), os.Args[5]))
	}
	os.Exit(m.Run())
}

// noSetup is the exit status of a victim whose walls did not go up.
const noSetup = 90

func victim(phase string, role policy.Role, codegen limits.Codegen, name string) int {
	var socket *os.File
	if name == "live" {
		// As the worker's main does (ipc/socketpair): the first timer makes Go's poller,
		// and the socket blocks.
		time.AfterFunc(time.Hour, func() {}).Stop()
		socket = os.NewFile(3, "socket")
	}
	// What main of the worker does for the reasons given in the package comment.
	runtime.GOMAXPROCS(runtime.NumCPU())
	if err := install(phase, role, codegen); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return noSetup
	}
	if name == "live" {
		fmt.Fprintln(os.Stdout, live(socket))
		return 0
	}
	errno, _ := native.Do(name)
	fmt.Fprintln(os.Stdout, uint(errno))
	return 0
}

// install goes the way of a worker: Load, then Run on top when that is asked for.
func install(phase string, role policy.Role, codegen limits.Codegen) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if phase == "none" {
		return nil
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if _, err := policy.Install(policy.Load, role, os.Getpid(), codegen); err != nil {
		return err
	}
	if phase == string(policy.Run) {
		if _, err := policy.Install(policy.Run, role, os.Getpid(), codegen); err != nil {
			return err
		}
	}
	return nil
}

// oneHeap does for a victim that links the C library (a race build) what
// limits/entry does for the worker. Without it glibc 2.36 opens
// /sys/devices/system/cpu/online when a second thread allocates, and dies.
const oneHeap = "MALLOC_ARENA_MAX=1"

// noNap keeps a race build from sleeping a second before each exit.
const noNap = "GORACE=atexit_sleep_ms=0"

// answer is what became of a victim: the signal that it died of, or what the kernel
// answered.
type answer struct {
	signal string
	errno  syscall.Errno
}

var (
	killed = answer{signal: "SIGSYS"}
	let    = answer{}
)

// outcome starts a victim and says what became of it.
func outcome(t *testing.T, phase string, role policy.Role, codegen limits.Codegen, name string) answer {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "victim", phase, string(role), string(codegen), name)
	cmd.Env = []string{"GOTRACEBACK=none", oneHeap, noNap}
	cmd.WaitDelay = 20 * time.Second
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if ws := exit.Sys().(syscall.WaitStatus); ws.Signaled() {
			return answer{signal: unix.SignalName(ws.Signal())}
		}
		t.Fatalf("%s in %s: %v, stderr %q", name, phase, exit, stderr.String())
	}
	if err != nil {
		t.Fatal(err)
	}
	errno, err := strconv.ParseUint(strings.TrimSpace(string(out)), 10, 12)
	if err != nil {
		t.Fatalf("%s in %s said %q", name, phase, out)
	}
	return answer{errno: syscall.Errno(errno)}
}

// attacks are those that only a filter stops.
func attacks(t *testing.T) (list []attack.Attack) {
	for _, a := range attack.All() {
		if a.Wall != "seccomp-run" {
			continue
		}
		if a.Name == "i386-getpid" && !emulatesI386() {
			t.Log("this kernel does not run i386 calls (CONFIG_IA32_EMULATION)")
			continue
		}
		list = append(list, a)
	}
	return list
}

// emulatesI386 tries the call without a filter.
func emulatesI386() bool {
	return exec.Command("/proc/self/exe", "victim", "none", "step", "native", "i386-getpid").Run() == nil
}

// TestForbidden makes every attack behind the filters and looks from outside at what
// became of the process.
func TestForbidden(t *testing.T) {
	probetest.Need(t, "seccomp")
	// What phase load still allows, because code is loaded or Seal is to come.
	loading := map[string]answer{
		"mprotect-exec": let, "mprotect-read": let, "mmap-file": {errno: unix.ENODEV},
		"prctl-mdwe": let, "seccomp": let,
	}
	if _, err := unix.PrctlRetInt(unix.PR_GET_MDWE, 0, 0, 0, 0); err != nil { // Linux 6.3
		loading["prctl-mdwe"] = answer{errno: unix.EINVAL}
	}
	for _, a := range attacks(t) {
		t.Run(a.Name, func(t *testing.T) {
			t.Parallel()
			run := outcome(t, "run", policy.Step, limits.Native, a.Name)
			if !a.Expect.Holds(run.signal, run.errno, "") {
				t.Errorf("in run: %+v, want %s", run, a.Expect)
			}
			want, allowed := loading[a.Name]
			if !allowed {
				want = run
			}
			if got := outcome(t, "load", policy.Step, limits.Native, a.Name); got != want {
				t.Errorf("in load: %+v, want %+v", got, want)
			}
		})
	}
}

// A compile worker may not change its own walls.
func TestForbiddenToCompile(t *testing.T) {
	probetest.Need(t, "seccomp")
	for _, name := range []string{"seccomp", "prctl-mdwe", "openat", "socket", "mmap-write-exec", "mmap-shared", "mmap-grows-down"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := outcome(t, "load", policy.Compile, limits.Native, name); got != killed {
				t.Errorf("%+v, want %+v", got, killed)
			}
		})
	}
}

// Bytecode needs no executable memory, neither where it is made nor where it is run.
func TestForbiddenToTheInterpreter(t *testing.T) {
	probetest.Need(t, "seccomp")
	for _, name := range []string{"mmap-exec", "mprotect-exec", "pkey-mprotect-exec", "prctl-mdwe"} {
		for _, role := range []policy.Role{policy.Step, policy.Compile} {
			t.Run(name+"/"+string(role), func(t *testing.T) {
				t.Parallel()
				if got := outcome(t, "load", role, limits.Interpreter, name); got != killed {
					t.Errorf("%+v, want %+v", got, killed)
				}
			})
		}
	}
}

// The filters must be what stops an attack: without one none of them ends in SIGSYS.
func TestAttacksWithoutFilter(t *testing.T) {
	for _, a := range attacks(t) {
		t.Run(a.Name, func(t *testing.T) {
			t.Parallel()
			if got := outcome(t, "none", policy.Step, limits.Native, a.Name); got.signal != "" {
				t.Errorf("%+v without any filter", got)
			}
		})
	}
}

// TestLife lives through what a worker does in a run: goroutines, blocked
// threads, the collector, timers, preemption and the socket.
func TestLife(t *testing.T) {
	probetest.Need(t, "seccomp")
	for _, phase := range []string{"load", "run"} {
		t.Run(phase, func(t *testing.T) {
			fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
			defer ours.Close()
			cmd := exec.Command("/proc/self/exe", "victim", phase, "step", "native", "live")
			cmd.Env = []string{"GOTRACEBACK=all", oneHeap}
			cmd.ExtraFiles = []*os.File{theirs}
			var out strings.Builder
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			theirs.Close()
			hung := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
			defer hung.Stop()
			echo := make(chan error, 1)
			go func() {
				r := bufio.NewReader(ours)
				for range 50 {
					line, err := r.ReadString('\n')
					if err != nil {
						echo <- err
						return
					}
					if _, err := io.WriteString(ours, line); err != nil {
						echo <- err
						return
					}
				}
				echo <- nil
			}()
			if err := cmd.Wait(); err != nil || strings.TrimSpace(out.String()) != "<nil>" {
				t.Fatalf("victim: %v, output %s", err, out.String())
			}
			if err := <-echo; err != nil {
				t.Error(err)
			}
		})
	}
}

// live is the life in TestLife.
func live(socket *os.File) error {
	var wg sync.WaitGroup
	errs := make(chan error, 64)
	// Compute-bound goroutines, more than processors: they yield only when they
	// are preempted by signal.
	stop := make(chan struct{})
	for range 2 * runtime.NumCPU() {
		wg.Go(func() {
			for n := uint64(1); ; n = n*6364136223846793005 + 1 {
				if n%1024 == 0 {
					select {
					case <-stop:
						return
					default:
					}
				}
			}
		})
	}
	// Threads that block in the kernel make the runtime start more of them.
	for range 8 {
		wg.Go(func() {
			ts := unix.Timespec{Nsec: 20e6}
			if err := unix.Nanosleep(&ts, nil); err != nil && err != unix.EINTR {
				errs <- fmt.Errorf("nanosleep: %w", err)
			}
		})
	}
	// Garbage, collection, and memory given back.
	for range 3 {
		keep := make([][]byte, 0, 64)
		for range 64 {
			keep = append(keep, make([]byte, 256<<10))
		}
		runtime.KeepAlive(keep)
		runtime.GC()
	}
	debug.FreeOSMemory()
	// Stack growth.
	if got := deep(100_000); got != 100_000 {
		errs <- fmt.Errorf("deep: %d", got)
	}
	close(stop) // or each wake-up below would wait for a preemption
	// The socket, and timers between.
	r := bufio.NewReader(socket)
	for i := range 50 {
		want := fmt.Sprintf("line %d\n", i)
		if _, err := io.WriteString(socket, want); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		if got, err := r.ReadString('\n'); err != nil || got != want {
			return fmt.Errorf("read %q: %w", got, err)
		}
		time.Sleep(time.Millisecond)
	}
	wg.Wait()
	// A recovered panic, then goodbye.
	func() {
		defer func() { _ = recover() }()
		panic("recovered")
	}()
	if err := socket.Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

//go:noinline
func deep(n int) int {
	if n == 0 {
		return 0
	}
	var pad [64]byte
	pad[n%64] = 1
	return deep(n-1) + int(pad[n%64])
}
