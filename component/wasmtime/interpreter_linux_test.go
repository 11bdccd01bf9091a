//go:build cgo

package wasmtime

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/component"
	"github.com/greentic-ai/greentic-provision/component/componenttest"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/limits/mdwe"
	"github.com/greentic-ai/greentic-provision/limits/probe/probetest"
	"github.com/greentic-ai/greentic-provision/limits/seccomp"
	"github.com/greentic-ai/greentic-provision/limits/seccomp/policy"
)

// walledIn names walls that a child of this binary raises before it runs its tests.
const walledIn = "WASMTIME_TEST_WALLS"

func TestMain(m *testing.M) {
	for wall := range strings.FieldsSeq(os.Getenv(walledIn)) {
		if err := raise(wall); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

func raise(wall string) error {
	// no_new_privs and the filter want one thread. GOMAXPROCS, once set, is not
	// computed again, for which Go would open files; the first timer makes the poller.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	runtime.GOMAXPROCS(runtime.NumCPU())
	time.Sleep(time.Nanosecond)
	switch wall {
	case "mdwe":
		_, err := mdwe.Raise()
		return err
	case "seccomp":
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return err
		}
		list, err := policy.For(policy.Load, policy.Step, os.Getpid(), limits.Interpreter)
		if err != nil {
			return err
		}
		// What making an engine needs, which a worker does before its first filter.
		list.Rules = append(list.Rules,
			seccomp.Rule{Call: "ioctl", When: []seccomp.Cond{seccomp.Is(1, unix.TCGETS)}, Do: seccomp.Errno(uint16(unix.ENOTTY)),
				Why: "the engine's log asks whether standard error is a terminal"},
			seccomp.Rule{Call: "rt_sigaction", Do: seccomp.Allow, Why: "handlers for the traps of native code"})
		host, err := seccomp.Host()
		if err != nil {
			return err
		}
		program, err := seccomp.Assemble(list, host)
		if err != nil {
			return err
		}
		return program.Install("seccomp")
	}
	return fmt.Errorf("unknown wall %q", wall)
}

// TestInterpreterNeedsNoExecutableMemory runs the conformance suite, and with it
// making the engine, compiling, loading and running, in a process whose memory cannot
// become executable and that is killed when it asks for such memory. Native code fails
// at its first function, at each of the walls: they are there.
func TestInterpreterNeedsNoExecutableMemory(t *testing.T) {
	probetest.Need(t, "mdwe", "seccomp")
	for _, c := range []struct {
		codegen limits.Codegen
		walls   string
		want    func(err error, out []byte) bool
	}{
		{limits.Interpreter, "mdwe seccomp", func(err error, out []byte) bool {
			return err == nil && bytes.Contains(out, []byte("--- PASS: TestConformance/interpreter/Traps"))
		}},
		{limits.Native, "mdwe", func(err error, out []byte) bool {
			return err != nil && bytes.Contains(out, []byte("unable to make memory executable"))
		}},
		{limits.Native, "seccomp", func(err error, _ []byte) bool {
			exit, ok := errors.AsType[*exec.ExitError](err)
			return ok && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGSYS
		}},
	} {
		t.Run(string(c.codegen)+"/"+c.walls, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command("/proc/self/exe", "-test.run=^TestConformance$/^"+string(c.codegen)+"$", "-test.v",
				"-test.skip=/./^EchoRandom$") // rapid looks for files
			cmd.Env = []string{walledIn + "=" + c.walls, "MALLOC_ARENA_MAX=1", "GORACE=atexit_sleep_ms=0"}
			if out, err := cmd.CombinedOutput(); !c.want(err, out) {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// TestInterpreterIsPortable: what is compiled for the interpreter names no feature
// of the processor that it was compiled on, as native code does.
func TestInterpreterIsPortable(t *testing.T) {
	for _, c := range codegens {
		code, _, err := newRuntime(t, Config{Codegen: c}).Compile([]byte(componenttest.Relay(stringType)))
		if err != nil {
			t.Fatal(err)
		}
		if native := bytes.Contains(code, []byte("has_")); native != (c == limits.Native) {
			t.Errorf("%s: processor features are named: %t", c, native)
		}
	}
}

// TestCodegensDoNotMix: each refuses the other's code.
func TestCodegensDoNotMix(t *testing.T) {
	for i, c := range codegens {
		code, layer, err := newRuntime(t, Config{Codegen: c}).Compile([]byte("(module (func))"))
		if err != nil {
			t.Fatal(err)
		}
		other := newRuntime(t, Config{Codegen: codegens[1-i]})
		if _, err := other.Load(code, layer); err == nil || layer != component.LayerCore {
			t.Errorf("%s code is loaded by %s: %v", c, codegens[1-i], err)
		}
	}
}
