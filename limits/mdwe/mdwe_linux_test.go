package mdwe_test

import (
	"errors"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/limits/mdwe"
	"github.com/greentic-ai/greentic-provision/limits/probe/probetest"
)

// TestMain plays the process that gives the right away; it cannot have it back.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "victim" {
		os.Exit(victim())
	}
	os.Exit(m.Run())
}

func gain() error {
	page, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return err
	}
	return unix.Mprotect(page, unix.PROT_READ|unix.PROT_EXEC)
}

func victim() int {
	if err := gain(); err != nil {
		return 1 // it cannot do it anyway: nothing is proved
	}
	wall, err := mdwe.Raise()
	if err != nil || wall != (limits.Wall{Name: "mdwe", Raised: true, Detail: "refuse-exec-gain"}) {
		return 2
	}
	if err := gain(); err != unix.EACCES {
		return 3
	}
	if _, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS); err != unix.EACCES {
		return 4
	}
	// It is half a wall: this is what the seccomp filter of phase run is for.
	if _, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS); err != nil {
		return 5
	}
	if err := unix.Prctl(unix.PR_SET_MDWE, 0, 0, 0, 0); err == nil {
		return 6
	}
	return 0
}

func TestRaise(t *testing.T) {
	probetest.Need(t, "mdwe")
	err := exec.Command("/proc/self/exe", "victim").Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		t.Errorf("failed at %d", exit.ExitCode())
	} else if err != nil {
		t.Fatal(err)
	}
}
