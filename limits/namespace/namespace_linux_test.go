package namespace

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/limits"
)

const every = unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS

func TestSysProcAttr(t *testing.T) {
	both := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}, {ContainerID: 65534, HostID: 65534, Size: 1}}
	for _, tt := range []struct {
		who       caller
		isolation limits.Isolation
		plan      string
		flags     uintptr
		uids      []syscall.SysProcIDMap
		gids      []syscall.SysProcIDMap
		setgroups bool
		ambient   []uintptr
	}{
		{caller{maps: true}, limits.Standard, "root", every, both, both, true, nil},
		{caller{maps: true}, limits.Standard, "shared", every &^ unix.CLONE_NEWUSER, nil, nil, false, nil},
		{caller{uid: 1000, gid: 100, maps: true}, limits.Standard, "single", every,
			[]syscall.SysProcIDMap{{ContainerID: 65534, HostID: 1000, Size: 1}},
			[]syscall.SysProcIDMap{{ContainerID: 65534, HostID: 100, Size: 1}}, false, []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SETPCAP}},
		{caller{uid: 1000, gid: 100}, limits.None, "bare", 0, nil, nil, false, nil},
	} {
		all := plans(Options{Isolation: tt.isolation}, tt.who)
		i := slices.IndexFunc(all, func(p Plan) bool { return p.Name == tt.plan })
		if i < 0 {
			t.Fatalf("%s: no such plan", tt.plan)
		}
		a := all[i].SysProcAttr()
		if a.Cloneflags != tt.flags || !slices.Equal(a.UidMappings, tt.uids) || !slices.Equal(a.GidMappings, tt.gids) ||
			a.GidMappingsEnableSetgroups != tt.setgroups || !slices.Equal(a.AmbientCaps, tt.ambient) {
			t.Errorf("%s: %+v", tt.plan, a)
		}
		if a.Pdeathsig != syscall.SIGKILL || !a.Setsid || a.Credential != nil {
			t.Errorf("%s: death signal %d, session %t, credential %v", tt.plan, a.Pdeathsig, a.Setsid, a.Credential)
		}
		if a == all[i].SysProcAttr() {
			t.Errorf("%s: the same attribute twice; callers add to it", tt.plan)
		}
	}
}

func TestMapped(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       bool
	}{
		{"host", "         0          0 4294967295\n", true},
		{"rootless, one id", "         0       1000          1\n", false},
		{"rootless, a range", "0 1000 1\n1 100000 65536\n", true},
		{"range that ends before nobody", "0 1000 1\n1 100000 65533\n", false},
		{"range that ends at nobody", "0 1000 1\n1 100000 65534\n", true},
		{"nobody without root", "65534 1000 1\n", false},
		{"two single ids", "0 0 1\n65534 65534 1\n", true},
		{"empty: not mapped yet", "", false},
		{"not a map", "x y z\n", false},
	} {
		path := filepath.Join(t.TempDir(), "uid_map")
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := mapped(path); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.name, got, tt.want)
		}
	}
	if !mapped(filepath.Join(t.TempDir(), "none")) {
		t.Error("without /proc: not taken for the host's own ids")
	}
}

func TestUnknownIsolation(t *testing.T) {
	if _, err := Plans(Options{Isolation: "maximum"}); err == nil {
		t.Error("taken")
	}
}
