package witness

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMain plays the process that is looked at.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "quiet" {
		if unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != nil || unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) != nil {
			os.Exit(1)
		}
		os.Stdout.WriteString("ready\n")
		os.Stdin.Read(make([]byte, 1))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// What is seen of ourselves must be what we know of ourselves.
func TestSeeSelf(t *testing.T) {
	r := See(os.Getpid())
	if !r.StatusOK || r.Status.UID[1] != os.Geteuid() || r.Status.GID[1] != os.Getegid() || !r.MountsOK || len(r.Mounts) == 0 {
		t.Errorf("%+v", r)
	}
	nnp, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	if err != nil || r.Status.NoNewPrivs != (nnp == 1) {
		t.Errorf("no_new_privs: %t, prctl says %d, %v", r.Status.NoNewPrivs, nnp, err)
	}
	var files unix.Rlimit
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &files); err != nil || r.Rlimits["nofile"] != files.Max {
		t.Errorf("nofile: %d, prlimit says %d, %v", r.Rlimits["nofile"], files.Max, err)
	}
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/user", &st); err != nil || r.Namespaces["user"] != st.Ino || len(r.Namespaces) != 6 {
		t.Errorf("namespaces %v, want user %d", r.Namespaces, st.Ino)
	}
}

// A child in namespaces of its own that may not be dumped, looked at by the user who
// made it: nothing may be hidden from him, ordinary or not.
func TestSeeChildBehindNamespaces(t *testing.T) {
	cmd := exec.Command("/proc/self/exe", "quiet")
	id := 65534
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: id, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: id, HostID: os.Getgid(), Size: 1}},
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skip(err) // no user namespaces here
	}
	defer cmd.Wait()
	defer in.Close()
	if _, err := out.Read(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	r, own := See(cmd.Process.Pid), See(os.Getpid())
	if !r.StatusOK || !r.Status.NoNewPrivs || r.Status.UID[1] != os.Getuid() || !r.MountsOK || r.Rlimits == nil {
		t.Errorf("%+v", r)
	}
	if os.Getuid() != 0 && !r.Undumpable {
		t.Error("the child is seen as dumpable")
	}
	for name, differs := range map[string]bool{"user": true, "net": true, "mnt": true, "pid": false, "ipc": false, "uts": false} {
		if r.Namespaces[name] == 0 || (r.Namespaces[name] != own.Namespaces[name]) != differs {
			t.Errorf("%s: %d, own %d, want different: %t", name, r.Namespaces[name], own.Namespaces[name], differs)
		}
	}
}

func TestSeeNobody(t *testing.T) {
	if r := See(1 << 30); r.StatusOK || r.MountsOK || r.Namespaces != nil || r.Rlimits != nil || r.Cgroup != "" {
		t.Errorf("%+v", r)
	}
}
