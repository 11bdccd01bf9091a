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
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/limits/probe/probetest"
	"github.com/greentic-ai/greentic-provision/limits/seccomp/policy"
)

// TestMain plays the victims: this binary, started again as
//
//	policy.test victim PHASE ROLE ACT
//
// puts itself behind the filter and performs the act. A victim that is still
// alive prints what the act gave.
func TestMain(m *testing.M) {
	if len(os.Args) == 5 && os.Args[1] == "victim" {
		victim(os.Args[2], os.Args[3], os.Args[4])
	}
	os.Exit(m.Run())
}

// Exit statuses of a victim.
const (
	alive   = 0
	noSetup = 90 // the walls did not go up
	noAct   = 91 // no act of that name
)

func victim(phase, role, name string) {
	act, ok := acts[name]
	if !ok {
		os.Exit(noAct)
	}
	if act.before != nil {
		act.before()
	}
	// What main of the worker does for the reasons given in the package comment.
	runtime.GOMAXPROCS(runtime.NumCPU())
	if err := install(phase, role); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(noSetup)
	}
	fmt.Fprintln(os.Stdout, act.do())
	os.Exit(alive)
}

// install goes the way of a worker: Load, then Run on top when that is asked for.
func install(phase, role string) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if phase == "none" {
		return nil
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if _, err := policy.Install(policy.Load, policy.Role(role), os.Getpid()); err != nil {
		return err
	}
	if phase == string(policy.Run) {
		if _, err := policy.Install(policy.Run, policy.Role(role), os.Getpid()); err != nil {
			return err
		}
	}
	return nil
}

// an act is something a taken-over worker may try.
type act struct {
	before func()       // while it still may
	do     func() error // behind the filter
}

// oneHeap does for a victim that links the C library (a race build) what
// limits/entry does for the worker. Without it glibc 2.36 opens
// /sys/devices/system/cpu/online when a second thread allocates, and dies.
const oneHeap = "MALLOC_ARENA_MAX=1"

// noNap keeps a race build from sleeping a second before each exit.
const noNap = "GORACE=atexit_sleep_ms=0"

// Answers that a test expects of a victim.
const killed = "killed by SIGSYS"

// outcome starts a victim and says what became of it.
func outcome(t *testing.T, phase, role, name string) string {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "victim", phase, role, name)
	cmd.Env = []string{"GOTRACEBACK=none", oneHeap, noNap}
	cmd.WaitDelay = 20 * time.Second
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		ws := exit.Sys().(syscall.WaitStatus)
		if ws.Signaled() && ws.Signal() == syscall.SIGSYS {
			return killed
		}
		return fmt.Sprintf("%v, stderr %q", exit, stderr.String())
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// TestForbidden performs every forbidden act behind the filters and looks from
// outside at what became of the process.
func TestForbidden(t *testing.T) {
	probetest.Need(t, "seccomp")
	enosys := syscall.ENOSYS.Error()
	for _, tt := range []struct {
		act       string
		load, run string
	}{
		{"openat", killed, killed},
		{"openat2", killed, killed},
		{"readlinkat", killed, killed},
		{"getdents64", killed, killed},
		{"socket", killed, killed},
		{"connect", killed, killed},
		{"socketpair", killed, killed},
		{"sendto", killed, killed},
		{"execve", killed, killed},
		{"execveat", killed, killed},
		{"clone a process", killed, killed},
		{"clone into namespaces", killed, killed},
		{"clone a thread into a namespace", killed, killed},
		{"clone sharing memory only", killed, killed},
		{"clone3", enosys, enosys},
		{"ptrace", killed, killed},
		{"process_vm_readv", killed, killed},
		{"process_vm_writev", killed, killed},
		{"pidfd_open", killed, killed},
		{"kill parent", killed, killed},
		{"kill self", killed, killed},
		{"tgkill another process", killed, killed},
		{"tgkill self with SIGKILL", killed, killed},
		{"tkill self", killed, killed},
		{"mmap exec", "<nil>", killed},
		{"mmap write and exec", killed, killed},
		{"mmap exec, high bits set", killed, killed},
		{"mprotect exec", "<nil>", killed},
		{"mprotect write and exec", killed, killed},
		{"pkey_mprotect exec", killed, killed},
		{"memfd_create", killed, killed},
		{"personality", killed, killed},
		{"io_uring_setup", killed, killed},
		{"userfaultfd", killed, killed},
		{"bpf", killed, killed},
		{"perf_event_open", killed, killed},
		{"mount", killed, killed},
		{"umount2", killed, killed},
		{"pivot_root", killed, killed},
		{"setns", killed, killed},
		{"unshare", killed, killed},
		{"keyctl", killed, killed},
		{"setuid", killed, killed},
		{"capset", killed, killed},
		{"setrlimit", killed, killed},
		{"shmget", killed, killed},
		{"ioctl", killed, killed},
		{"dup", killed, killed},
		{"prctl dumpable", killed, killed},
		{"prctl set name", killed, killed},
		{"prctl name memory", syscall.EINVAL.Error(), syscall.EINVAL.Error()},
		{"prctl mdwe", "<nil>", killed},
		{"seccomp", "<nil>", killed},
		{"seccomp without tsync", killed, killed},
		{"rt_sigaction", killed, killed},
	} {
		t.Run(tt.act, func(t *testing.T) {
			t.Parallel()
			if got := outcome(t, "load", "step", tt.act); got != tt.load {
				t.Errorf("in load: %s, want %s", got, tt.load)
			}
			if got := outcome(t, "run", "step", tt.act); got != tt.run {
				t.Errorf("in run: %s, want %s", got, tt.run)
			}
		})
	}
}

// A compile worker may not change its own walls.
func TestForbiddenToCompile(t *testing.T) {
	probetest.Need(t, "seccomp")
	for _, name := range []string{"seccomp", "prctl mdwe", "openat", "socket", "mmap write and exec"} {
		t.Run(name, func(t *testing.T) {
			if got := outcome(t, "load", "compile", name); got != killed {
				t.Errorf("%s, want %s", got, killed)
			}
		})
	}
}

// The filters must not be what makes an act fail on a machine where it cannot
// work anyway: without a filter no act may end in SIGSYS.
func TestActsWithoutFilter(t *testing.T) {
	for name := range acts {
		if name == "live" {
			continue // needs a socket, see TestLife
		}
		if got := outcome(t, "none", "step", name); got == killed {
			t.Errorf("%s: %s without any filter", name, got)
		}
	}
}

// TestLife lives through what a worker does in a run: goroutines, blocked
// threads, the collector, timers, preemption and the socket.
func TestLife(t *testing.T) {
	probetest.Need(t, "seccomp")
	for _, phase := range []string{"load", "run"} {
		t.Run(phase, func(t *testing.T) {
			fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
			if err != nil {
				t.Fatal(err)
			}
			ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
			defer ours.Close()
			cmd := exec.Command("/proc/self/exe", "victim", phase, "step", "live")
			cmd.Env = []string{"GOTRACEBACK=all", oneHeap}
			cmd.ExtraFiles = []*os.File{theirs}
			var out strings.Builder
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			theirs.Close()
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
			runtime.LockOSThread() // the thread ends with the goroutine
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
	// The socket, through the poller and with a deadline.
	r := bufio.NewReader(socket)
	for i := range 50 {
		want := fmt.Sprintf("line %d\n", i)
		if err := socket.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			return fmt.Errorf("deadline: %w", err)
		}
		if _, err := io.WriteString(socket, want); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		if got, err := r.ReadString('\n'); err != nil || got != want {
			return fmt.Errorf("read %q: %w", got, err)
		}
		time.Sleep(time.Millisecond)
	}
	wg.Wait()
	// A recovered panic, then the poller's goodbye.
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
