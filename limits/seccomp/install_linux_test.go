package seccomp_test

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/limits/probe/probetest"
	"github.com/greentic-ai/greentic-provision/limits/seccomp"
)

// TestMain plays the process that a filter is installed in: that cannot be
// undone, so it must not be the test's own.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "victim" {
		os.Exit(victim(os.Args[2]))
	}
	os.Exit(m.Run())
}

// deny answers getppid with an errno and lets everything else be, so that the
// victim can be asked questions.
func deny(a seccomp.Arch, errno uint16) (seccomp.Program, error) {
	p := seccomp.Policy{Name: "t", Default: seccomp.Kill}
	for _, name := range a.Names() {
		do := seccomp.Allow
		if name == "getppid" {
			do = seccomp.Errno(errno)
		}
		p.Rules = append(p.Rules, seccomp.Rule{Call: name, Do: do})
	}
	return seccomp.Assemble(p, a)
}

func getppid() syscall.Errno {
	_, _, errno := syscall.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
	return errno
}

func victim(act string) int {
	host, err := seccomp.Host()
	if err != nil {
		return 1
	}
	if act == "foreign" {
		host = map[string]seccomp.Arch{"amd64": seccomp.ARM64, "arm64": seccomp.AMD64}[host.String()]
	}
	prog, err := deny(host, 11)
	if err != nil {
		return 1
	}
	// A thread that exists before the filter, and one parked in the kernel.
	ask, told := make(chan bool), make(chan syscall.Errno)
	go func() {
		runtime.LockOSThread()
		for range ask {
			told <- getppid()
		}
	}()
	ask <- true
	if errno := <-told; errno != 0 {
		return 2
	}
	if act != "no_new_privs is missing" {
		runtime.LockOSThread()
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return 3
		}
	}
	if err := prog.Install("seccomp-load"); err != nil {
		w, ok := errors.AsType[*limits.WallError](err)
		if !ok || w.Wall != "seccomp-load" {
			return 4
		}
		os.Stdout.WriteString(w.Where)
		return 5
	}
	ask <- true
	if errno := <-told; errno != 11 {
		return 6 // the other thread is outside
	}
	if errno := getppid(); errno != 11 {
		return 7
	}
	if act == "stacked" {
		// A second filter narrows: what the first denies stays denied, and of two
		// errnos the newer filter's is taken (seccomp(2)).
		open := seccomp.Policy{Name: "open", Default: seccomp.Kill}
		for _, name := range host.Names() {
			open.Rules = append(open.Rules, seccomp.Rule{Call: name, Do: seccomp.Allow})
		}
		second, err := seccomp.Assemble(open, host)
		if err != nil || second.Install("seccomp-run") != nil {
			return 8
		}
		if errno := getppid(); errno != 11 {
			return 9
		}
	}
	return 0
}

func TestInstall(t *testing.T) {
	probetest.Need(t, "seccomp")
	for _, tt := range []struct {
		act    string
		status int
		where  string
	}{
		{"installed", 0, ""},
		{"stacked", 0, ""},
		{"no_new_privs is missing", 5, "prctl(PR_GET_NO_NEW_PRIVS)"},
		{"foreign", 5, "assemble"},
	} {
		t.Run(tt.act, func(t *testing.T) {
			var out strings.Builder
			cmd := exec.Command("/proc/self/exe", "victim", tt.act)
			cmd.Stdout = &out
			err := cmd.Run()
			status := 0
			if exit, ok := errors.AsType[*exec.ExitError](err); ok {
				status = exit.ExitCode()
			} else if err != nil {
				t.Fatal(err)
			}
			if status != tt.status || out.String() != tt.where {
				t.Errorf("status %d, said %q; want %d, %q", status, out.String(), tt.status, tt.where)
			}
		})
	}
}

func TestInstallEmpty(t *testing.T) {
	if err := (seccomp.Program{}).Install("seccomp-load"); err == nil {
		t.Error("an empty program was installed")
	}
}

// The number table against another source, for the machine the tests run on.
func TestNumbers(t *testing.T) {
	host, err := seccomp.Host()
	if err != nil {
		t.Skip(err)
	}
	for name, want := range map[string]int{
		"read": unix.SYS_READ, "write": unix.SYS_WRITE, "futex": unix.SYS_FUTEX, "mmap": unix.SYS_MMAP, "mprotect": unix.SYS_MPROTECT,
		"epoll_pwait": unix.SYS_EPOLL_PWAIT, "clone": unix.SYS_CLONE, "clone3": unix.SYS_CLONE3, "prctl": unix.SYS_PRCTL,
		"seccomp": unix.SYS_SECCOMP, "tgkill": unix.SYS_TGKILL, "recvmsg": unix.SYS_RECVMSG, "rt_sigreturn": unix.SYS_RT_SIGRETURN,
		"exit_group": unix.SYS_EXIT_GROUP, "getrandom": unix.SYS_GETRANDOM, "rseq": unix.SYS_RSEQ, "openat2": unix.SYS_OPENAT2,
		"restart_syscall": unix.SYS_RESTART_SYSCALL, "sigaltstack": unix.SYS_SIGALTSTACK, "membarrier": unix.SYS_MEMBARRIER,
	} {
		if got, ok := host.Number(name); !ok || got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
	if audit := map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}[host.String()]; host.Audit() != audit {
		t.Errorf("audit architecture %#x, want %#x", host.Audit(), audit)
	}
}
