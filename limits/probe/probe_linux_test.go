package probe

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/limits/namespace"
)

// TestMain also plays the program that TestUserNamespaces starts to check the
// probe against a real spawn.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "quota" {
		os.Exit(quota())
	}
	if len(os.Args) > 1 && os.Args[1] == "born" {
		if os.Getpid() != 1 || unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") != nil {
			os.Exit(1)
		}
		os.Exit(42)
	}
	os.Exit(m.Run())
}

// The probe starts no program, so it has to be held against one that is started.
func TestUserNamespaces(t *testing.T) {
	plans, err := namespace.Plans(namespace.Options{Isolation: limits.Standard})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe", "born")
	cmd.SysProcAttr = plans[0].SysProcAttr()
	cmd.SysProcAttr.Pdeathsig = 0
	cmd.Env = []string{}
	err = cmd.Run()
	var exit *exec.ExitError
	spawned := errors.As(err, &exit) && exit.ExitCode() == 42
	answer := UserNamespaces()
	if spawned != (answer == nil) {
		t.Errorf("spawn: %v, probe: %v", err, answer)
	}
	if answer != nil && !errors.Is(answer, limits.ErrUnsupported) {
		t.Errorf("the probe could not tell: %v", answer)
	}
}

// The probe must not leave its child behind.
func TestUserNamespacesReapsItsChild(t *testing.T) {
	for range 3 {
		_ = askUserNamespaces()
	}
	if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != syscall.ECHILD {
		t.Errorf("wait4: pid %d, %v; want no child", pid, err)
	}
}

// The version is the kernel's own, from 1 up, and asking twice gives it twice.
func TestLandlock(t *testing.T) {
	abi, err := Landlock()
	if err != nil {
		if !errors.Is(err, limits.ErrUnsupported) || abi != 0 {
			t.Errorf("could not tell: %d, %v", abi, err)
		}
		t.Skip(err)
	}
	if again, err := Landlock(); abi < 1 || again != abi || err != nil {
		t.Errorf("version %d, then %d, %v", abi, again, err)
	}
}

func TestAskUnknownFlag(t *testing.T) {
	if err := ask("nothing", "no Linux", 0x7ffffff0); !errors.Is(err, limits.ErrUnsupported) {
		t.Errorf("unknown prctl: %v", err)
	}
}

func TestKernelFlags(t *testing.T) {
	for name, f := range map[string]func() error{"seccomp": Seccomp, "mdwe": MDWE, "no_new_privs": NoNewPrivs} {
		if err := f(); err != nil && !errors.Is(err, limits.ErrUnsupported) {
			t.Errorf("%s: could not tell: %v", name, err)
		}
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	t.Logf("Linux %s: seccomp %v, mdwe %v", unix.ByteSliceToString(u.Release[:]), Seccomp(), MDWE())
}

// quota asks in a user namespace in which no further one may be made.
func quota() int {
	if err := os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0); err != nil {
		fmt.Println(err)
		return 1
	}
	err := askUserNamespaces()
	if !errors.Is(err, limits.ErrUnsupported) || !strings.Contains(err.Error(), "user.max_user_namespaces is 0") {
		fmt.Println(err)
		return 1
	}
	return 0
}

// The negative answer, with its reason. The sysctl belongs to a user namespace,
// so it can be set to 0 in a fresh one without touching the machine.
func TestUserNamespacesQuota(t *testing.T) {
	if err := UserNamespaces(); err != nil {
		t.Skip(err)
	}
	cmd := exec.Command("/proc/self/exe", "quota")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
