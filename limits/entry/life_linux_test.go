//go:build cgo && !race

// Not in a race build: the detector's shadow memory is several times what it
// watches, and counts against RLIMIT_DATA.

package entry_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/limits/entry"
	"github.com/greentic-ai/greentic-provision/limits/mdwe"
	"github.com/greentic-ai/greentic-provision/limits/namespace"
	"github.com/greentic-ai/greentic-provision/limits/probe/probetest"
	"github.com/greentic-ai/greentic-provision/limits/rlimit"
	"github.com/greentic-ai/greentic-provision/limits/seccomp/policy"
)

func init() {
	more["life"], more["threads"] = life, threads
}

// lifeStack is the thread stack of TestLifeBehindAllWalls.
const lifeStack = 1 * limits.MiB

// life raises every wall in the order in which step-worker does, in a process
// whose threads are glibc's, and then lives: threads that block, one that has to be
// preempted by a signal, the collector, the socket. At the end it does act, if
// there is one.
func life(act string) error {
	act, ownUsers := strings.CutPrefix(act, "own users ")
	if err := entry.Err(); err != nil {
		return err
	}
	if err := entry.DieOnFault(); err != nil {
		return err
	}
	runtime.GOMAXPROCS(runtime.NumCPU())
	if err := unix.SetNonblock(3, true); err != nil {
		return err
	}
	socket := os.NewFile(3, "socket")
	spec := rlimit.Spec{Data: 192 * limits.MiB, CPU: 60, Stack: 512 * limits.KiB, OwnUsers: ownUsers}
	if _, err := rlimit.Step(spec).Apply(); err != nil {
		return err
	}
	if _, err := policy.Install(policy.Load, policy.Step, os.Getpid(), limits.Native); err != nil {
		return err
	}
	if _, err := mdwe.Raise(); err != nil && !errors.Is(err, limits.ErrUnsupported) {
		return err
	}
	if _, err := policy.Install(policy.Run, policy.Step, os.Getpid(), limits.Native); err != nil {
		return err
	}
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			ts := unix.Timespec{Nsec: 30e6}
			_ = unix.Nanosleep(&ts, nil)
		})
	}
	var done atomic.Bool
	wg.Go(func() {
		for !done.Load() { // nothing in here yields: the collector has to signal the thread
		}
	})
	for range 3 {
		runtime.KeepAlive(make([]byte, 16*limits.MiB))
		runtime.GC()
	}
	done.Store(true)
	wg.Wait()
	r := bufio.NewReader(socket)
	for i := range 10 {
		want := fmt.Sprintf("line %d\n", i)
		if err := socket.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			return err
		}
		if _, err := io.WriteString(socket, want); err != nil {
			return err
		}
		if got, err := r.ReadString('\n'); err != nil || got != want {
			return fmt.Errorf("read %q: %w", got, err)
		}
	}
	switch act {
	case "":
		return nil
	case "open":
		_, err := unix.Open("/", unix.O_RDONLY, 0)
		return err
	case "abort":
		return unix.Tgkill(unix.Getpid(), unix.Gettid(), unix.SIGABRT)
	case "nil":
		touch(nil)
	case "crowd":
		// More threads than RLIMIT_NPROC allows.
		for range 100 {
			wg.Go(func() {
				runtime.LockOSThread()
				ts := unix.Timespec{Sec: 60}
				_ = unix.Nanosleep(&ts, nil)
			})
		}
		wg.Wait()
	}
	return errors.New("no such act")
}

// TestLifeBehindAllWalls is the proof that the walls together leave enough to
// live on, and that each way to die shows from outside as what it is.
func TestLifeBehindAllWalls(t *testing.T) {
	probetest.Need(t, "userns", "seccomp")
	plans, err := namespace.Plans(namespace.Options{Isolation: limits.Standard, ThreadStack: lifeStack})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		act    string
		signal syscall.Signal
		status int
		said   string
	}{
		{"", 0, 0, ""},
		{"open", syscall.SIGSYS, -1, ""},
		{"abort", 0, 128 + int(syscall.SIGABRT), ""},
		{"nil", 0, 128 + int(syscall.SIGSEGV), ""},
		// A thread that cannot be had is asked for again for a fifth of a second, and
		// cgo sleeps in between (runtime/cgo/gcc_libinit.c): in glibc that is
		// clock_nanosleep(2), which must not look like an attack. The same happens
		// when the memory for a thread's stack cannot be had.
		{"crowd", 0, 128 + int(syscall.SIGABRT), "pthread_create failed"},
	} {
		for _, p := range plans {
			act := tt.act
			if p.OwnUsers {
				act = "own users " + act
			} else if act == "crowd" {
				continue // no RLIMIT_NPROC
			}
			t.Run(p.Name+"/"+tt.act, func(t *testing.T) {
				fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
				if err != nil {
					t.Fatal(err)
				}
				ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
				defer ours.Close()
				cmd := command(p, "life "+act)
				cmd.ExtraFiles = []*os.File{theirs}
				var out strings.Builder
				cmd.Stdout, cmd.Stderr = &out, &out
				err = cmd.Start()
				theirs.Close()
				if err != nil {
					t.Fatal(err)
				}
				hung := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
				defer hung.Stop()
				echoed := make(chan struct{})
				go func() {
					defer close(echoed)
					_, _ = io.Copy(ours, ours) // ends when the worker does
				}()
				err = cmd.Wait()
				<-echoed
				state, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
				if !ok {
					t.Fatal(err)
				}
				if tt.signal != 0 && (!state.Signaled() || state.Signal() != tt.signal) || state.ExitStatus() != tt.status {
					t.Errorf("%v, said %q; want signal %d, status %d", err, out.String(), tt.signal, tt.status)
				}
				if said := out.String(); !strings.Contains(said, tt.said) || tt.said == "" && said != "" {
					t.Errorf("said %q", said)
				}
			})
		}
	}
}

// A thread's stack is what the plan says, and counts in full against RLIMIT_DATA:
// with the C library's own 8 MiB the thirty threads of the life above would not
// fit.
func TestThreadStack(t *testing.T) {
	plans, err := namespace.Plans(namespace.Options{Isolation: limits.None})
	if err != nil {
		t.Fatal(err)
	}
	p := plans[len(plans)-1]
	for _, tt := range []struct {
		stack limits.Bytes
		fits  bool
	}{{limits.MiB, true}, {16 * limits.MiB, false}} {
		words := fmt.Sprintf("%s,stack=%d", p.Args()[1], uint64(tt.stack))
		cmd := exec.Command("/proc/self/exe", entry.Command, words, "threads")
		cmd.Env = []string{"GOTRACEBACK=none"}
		out, err := cmd.CombinedOutput()
		if fits := err == nil; fits != tt.fits {
			t.Errorf("stacks of %s: %v, said %.200q", tt.stack, err, out)
		}
	}
}

// threads has thirty threads at a time within the data limit of a step.
func threads(string) error {
	if _, err := rlimit.Step(rlimit.Spec{Data: 192 * limits.MiB, CPU: 60}).Apply(); err != nil {
		return err
	}
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			runtime.LockOSThread()
			ts := unix.Timespec{Nsec: 200e6}
			_ = unix.Nanosleep(&ts, nil)
		})
	}
	wg.Wait()
	return nil
}
