//go:build cgo

package entry_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/limits/entry"
	"github.com/greentic-ai/greentic-provision/limits/namespace"
	"github.com/greentic-ai/greentic-provision/limits/probe/probetest"
)

// spawn does what a supervisor does: it starts a worker from the first plan that
// the kernel agrees to, and passes on what the worker says of its walls, or why
// there is none.
func spawn(isolation string) error {
	plans, err := namespace.Plans(namespace.Options{Isolation: limits.Isolation(isolation)})
	if err != nil {
		return err
	}
	var refused []error
	for _, p := range plans {
		cmd := command(p, "report")
		cmd.Path = os.Args[0] // from confine: there may be no /proc any more
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		if err := cmd.Start(); err != nil {
			refused = append(refused, err)
			continue
		}
		return cmd.Wait()
	}
	r := report{Err: namespace.Refused(refused...).Error(), Wall: "namespaces"}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// confined runs this binary as a caller that something is kept from, and gives what
// the worker said in the end.
func confined(t *testing.T, how string, next ...string) report {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", append([]string{"confine", how}, next...)...)
	ids := func(own int) []syscall.SysProcIDMap {
		maps := []syscall.SysProcIDMap{{ContainerID: 0, HostID: own, Size: 1}}
		if os.Getuid() == 0 {
			maps = append(maps, syscall.SysProcIDMap{ContainerID: namespace.ID, HostID: namespace.ID, Size: 1})
		}
		return maps
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:                 unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
		UidMappings:                ids(os.Getuid()),
		GidMappings:                ids(os.Getgid()),
		GidMappingsEnableSetgroups: os.Getuid() == 0,
	}
	return ask(t, cmd)
}

// TestRefusals: whatever keeps a wall down is named, with the place in the set-up,
// the kernel's answer and what would help.
func TestRefusals(t *testing.T) {
	probetest.Need(t, "userns", "seccomp", "landlock")
	root := os.Getuid() == 0
	const filter, shared = "a seccomp filter around", "shared"
	for _, tt := range []struct {
		how  string
		plan string // "" for that of isolation strict; "shared" needs root
		want string // "wall: place: errno: hint", each in part
	}{
		{"quota user", "", "namespaces: clone: no space left: sysctl user.max_user_namespaces is 0"},
		{"quota net", "", "namespaces: clone: no space left: sysctl user.max_net_namespaces is 0"},
		{"deny clone 1 0&0x10000000", "", "namespaces: clone: not permitted: " + filter},
		{"deny clone 38 0&0x10000000", "", "namespaces: clone: not implemented: " + filter},
		{"deny clone 22 0&0x10000000", "", "namespaces: clone: invalid argument: "},
		{"proc ro", "", "namespaces: clone: read-only: /proc is read-only"},
		{"proc none", "", "namespaces: clone: no such file: /proc is not mounted"},
		{"chroot TMP mount", "", "namespaces: clone: not permitted: a chroot has none"},
		{"drop 31", "", "namespaces: clone: not permitted: root needs CAP_SETUID, CAP_SETGID and CAP_SETFCAP"},

		{"landlock 1", "", "mount: make / private: not permitted: AppArmor, SELinux or Landlock"},
		{"deny mount 1", "", "mount: make / private: not permitted: " + filter},
		{"deny mount 38", "", "mount: make / private: not implemented: " + filter},
		{"deny mount 19 3=15", "", "mount: tmpfs: no such device: this kernel has no tmpfs"},
		{"deny mount 28 3=15", "", "mount: tmpfs: no space left: raise sysctl fs.mount-max"},
		{"deny pivot_root 22", "", "mount: pivot_root: invalid argument: the root directory is not a mount point"},
		{"deny umount2 1", "", "mount: detach the old root: not permitted: " + filter},
		{"chroot TMP plain", shared, "mount: make / private: invalid argument: the root directory is not a mount point"},
		{"chroot TMP mount", shared, "mount: tmpfs: no such file: make one of them"},

		{"deny prctl 1 0=24", "", "capabilities: bounding set: not permitted: " + filter},
		{"deny prctl 1 0=28", "", "capabilities: securebits: not permitted: " + filter},
		{"deny prctl 22 0=24", "", "capabilities: bounding set: invalid argument: "},
		{"deny prctl 22 0=28", "", "capabilities: securebits: invalid argument: "},
		{"deny capset 1", shared, "capabilities: capset: not permitted: " + filter},
		{"drop 6", shared, "identity: setgroups: not permitted: root of a container needs CAP_SETUID and CAP_SETGID"},
		{"deny setgroups 1", shared, "identity: setgroups: not permitted: " + filter},
		{"deny setresgid 22", shared, "identity: setresgid: invalid argument: do not exist in this user namespace"},
		{"deny setresuid 22", shared, "identity: setresuid: invalid argument: do not exist in this user namespace"},

		{"deny prctl 1 0=38", "", "no-new-privs: prctl(PR_SET_NO_NEW_PRIVS): not permitted: " + filter},
		{"deny prctl 22 0=38", "", "no-new-privs: prctl(PR_SET_NO_NEW_PRIVS): invalid argument: needs Linux 3.5"},
		{"deny prctl 1 0=4", "", "no-dump: prctl(PR_SET_DUMPABLE): not permitted: " + filter},
		{"deny prlimit64 1 1=4", "", "no-dump: setrlimit(RLIMIT_CORE): not permitted: " + filter},
		{"deny prctl 1 0=1", "", "no-dump: prctl(PR_SET_PDEATHSIG): not permitted: " + filter},

		{"deny landlock_create_ruleset 1", "", "landlock: version: not permitted: " + filter},
		{"deny landlock_create_ruleset 24 2=0", "", "landlock: create ruleset: too many open files: "},
		{"deny landlock_restrict_self 1", "", "landlock: restrict self: not permitted: " + filter},
	} {
		t.Run(strings.TrimSpace(tt.how+" "+tt.plan), func(t *testing.T) {
			t.Parallel()
			if tt.plan == shared && !root {
				t.Skip("needs root")
			}
			isolation := limits.Strict
			if tt.plan == shared {
				isolation = limits.Standard
			}
			r := confined(t, strings.ReplaceAll(tt.how, "TMP", t.TempDir()), "spawn", string(isolation))
			want := strings.SplitN(tt.want, ": ", 4)
			if r.Wall != want[0] {
				t.Errorf("wall %q, want %q", r.Wall, want[0])
			}
			for _, part := range want[1:] {
				if !strings.Contains(r.Err, part) {
					t.Errorf("%q is not in %q", part, r.Err)
				}
			}
			if hinted := strings.HasSuffix(r.Err, ")") && strings.Contains(r.Err, " ("); hinted != (want[3] != "") {
				t.Errorf("has a hint: %t: %q", hinted, r.Err)
			}
			if strings.Contains(r.Err, "\n") {
				t.Errorf("more than a line: %q", r.Err)
			}
		})
	}
}

// Plan shared is what root falls back on, but not in isolation strict.
func TestFallback(t *testing.T) {
	probetest.Need(t, "userns")
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	for _, how := range []string{"quota user", "deny clone 1 0&0x10000000"} {
		if r := confined(t, how, "spawn", string(limits.Standard)); r.Err != "" || r.Pid != 1 {
			t.Errorf("%s, standard: process %d, %s", how, r.Pid, r.Err)
		}
		if r := confined(t, how, "spawn", string(limits.Strict)); r.Wall != "namespaces" {
			t.Errorf("%s, strict: %q (%s)", how, r.Wall, r.Err)
		}
	}
}

// A kernel without Landlock is excused in every isolation, a refusal in all but
// strict; both are noted with the reason.
func TestLandlockThatCannotBe(t *testing.T) {
	probetest.Need(t, "userns", "seccomp")
	absent, refused := fmt.Sprintf("landlock: version: %v: ", limits.ErrUnsupported), fmt.Sprintf("landlock: version: %v", unix.EPERM)
	for errno, want := range map[syscall.Errno]string{unix.ENOSYS: "unsupported", unix.EOPNOTSUPP: "unsupported", unix.EPERM: ""} {
		if r := confined(t, fmt.Sprintf("deny landlock_create_ruleset %d", errno), "probe"); r.Wall != want || r.Err == "<nil>" {
			t.Errorf("probe, %s: %q, %s; want %q", unix.ErrnoName(errno), r.Wall, r.Err, want)
		}
	}
	for _, tt := range []struct {
		errno     syscall.Errno
		isolation limits.Isolation
		stops     bool
		detail    string
	}{
		{unix.ENOSYS, limits.Strict, false, absent},
		{unix.EOPNOTSUPP, limits.Strict, false, absent},
		{unix.ENOSYS, limits.Standard, false, absent},
		{unix.ENOSYS, limits.None, false, absent},
		{unix.EPERM, limits.Strict, true, refused},
		{unix.EPERM, limits.Standard, false, refused},
		{unix.EPERM, limits.None, false, refused},
	} {
		t.Run(fmt.Sprintf("%s/%s", unix.ErrnoName(tt.errno), tt.isolation), func(t *testing.T) {
			r := confined(t, fmt.Sprintf("deny landlock_create_ruleset %d", tt.errno), "spawn", string(tt.isolation))
			if stopped := r.Err != ""; stopped != tt.stops {
				t.Errorf("stopped: %t (%s)", stopped, r.Err)
			}
			i := slices.IndexFunc(r.Raised, func(w limits.Wall) bool { return w.Name == "landlock" })
			if i < 0 {
				t.Fatalf("not on the list: %v", r.Raised)
			}
			if w := r.Raised[i]; w.Raised || !strings.Contains(w.Detail, tt.detail) {
				t.Errorf("%+v, want %q", w, tt.detail)
			}
		})
	}
}

// Isolation none does without the bounding set; that must not keep it from emptying
// the sets that count now.
func TestHalfOfTheCapabilitiesWall(t *testing.T) {
	probetest.Need(t, "userns", "seccomp")
	r := confined(t, "deny prctl 1 0=24", "spawn", string(limits.None))
	i := slices.IndexFunc(r.Raised, func(w limits.Wall) bool { return w.Name == "capabilities" })
	if i < 0 || r.Raised[i].Raised || !strings.Contains(r.Raised[i].Detail, "bounding set") {
		t.Errorf("capabilities on %v", r.Raised)
	}
	if r.Err != "" || r.Bounding == 0 || r.Caps != [3]uint64{} {
		t.Errorf("%q, %d in the bounding set, sets %x", r.Err, r.Bounding, r.Caps)
	}
}

// What stands around a worker that has no plan's namespaces.
func TestRefusalsOfOneProcess(t *testing.T) {
	probetest.Need(t, "userns", "seccomp", "landlock")
	for _, tt := range []struct {
		how   string
		words string
		wall  string
		text  string
	}{
		{"landlock 16", "nnp,landlock", "landlock", "as many Landlock domains"},
		{"", "nnp,fly", "entry", "not of one build"},
		{"", "stack=1", "entry", "raise --max-stack"},
		{"deny close_range 1", "nnp", "", ""}, // falls back on /proc
		{"deny close_range 38", "nnp", "", ""},
	} {
		t.Run(tt.how+"/"+tt.words, func(t *testing.T) {
			r := confined(t, tt.how, entry.Command, tt.words, "report")
			if r.Wall != tt.wall || !strings.Contains(r.Err, tt.text) {
				t.Errorf("wall %q, %q; want %q, %q", r.Wall, r.Err, tt.wall, tt.text)
			}
		})
	}
}

// What limits/namespace says of an error must not depend on how it was wrapped.
func TestHintReadsWrappedErrors(t *testing.T) {
	err := &os.PathError{Op: "fork/exec", Path: "/x", Err: syscall.EROFS}
	if got, want := namespace.Hint(fmt.Errorf("start: %w", err)), namespace.Hint(syscall.EROFS); got != want || got == "" {
		t.Errorf("%q, want %q", got, want)
	}
	if hint := namespace.Hint(errors.New("something else")); hint != "" {
		t.Errorf("a hint for any error: %q", hint)
	}
}
