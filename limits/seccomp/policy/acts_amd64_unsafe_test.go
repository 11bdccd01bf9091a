//go:build linux && amd64

package policy_test

import (
	"errors"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/limits/probe/probetest"
)

func init() {
	for name, a := range map[string]act{
		"open":       {do: raw(unix.SYS_OPEN, p(), unix.O_RDONLY)},
		"creat":      {do: raw(unix.SYS_CREAT, p())},
		"fork":       {do: child(unix.SYS_FORK)},
		"x32 getpid": {do: raw(0x40000000 | unix.SYS_GETPID)},
		"x32 read":   {do: raw(0x40000000, ^uintptr(0))},
		// Number 20 is getpid for i386 and writev for amd64.
		"i386 getpid": {before: makeCode, do: runCode},
	} {
		acts[name] = a
	}
}

func child(nr uintptr) func() error {
	return func() error {
		pid, _, errno := syscall.RawSyscall(nr, 0, 0, 0)
		if errno == 0 && pid == 0 {
			for {
				syscall.RawSyscall(syscall.SYS_EXIT, 0, 0, 0)
			}
		}
		if errno != 0 {
			return errno
		}
		return nil
	}
}

// makeCode writes "mov eax, 20; int 0x80; ret" to a page that may be executed,
// before the filter: a taken-over worker has the guest's native code for that.
func makeCode() {
	page, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return
	}
	copy(page, []byte{0xb8, 20, 0, 0, 0, 0xcd, 0x80, 0xc3})
	if unix.Mprotect(page, unix.PROT_READ|unix.PROT_EXEC) == nil {
		code = page
	}
}

func runCode() error {
	if code == nil {
		return errors.New("no page for the code")
	}
	// A Go func value points to a word that holds the address of the code.
	address := uintptr(unsafe.Pointer(&code[0]))
	word := &address
	f := *(*func())(unsafe.Pointer(&word))
	f()
	return nil
}

func TestForbiddenOnAMD64(t *testing.T) {
	probetest.Need(t, "seccomp")
	for _, name := range []string{"open", "creat", "fork", "x32 getpid", "x32 read", "i386 getpid"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "i386 getpid" && !emulatesI386(t) {
				t.Skip("this kernel does not run i386 calls (CONFIG_IA32_EMULATION)")
			}
			for _, phase := range []string{"load", "run"} {
				if got := outcome(t, phase, "step", name); got != killed {
					t.Errorf("in %s: %s, want %s", phase, got, killed)
				}
			}
		})
	}
}

// emulatesI386 tries the call without a filter.
func emulatesI386(t *testing.T) bool {
	out, err := exec.Command("/proc/self/exe", "victim", "none", "step", "i386 getpid").Output()
	return err == nil && strings.TrimSpace(string(out)) == "<nil>"
}
