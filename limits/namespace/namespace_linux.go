package namespace

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/limits"
)

// Plans gives the ways to start a worker, best first; at least one.
func Plans(o Options) ([]Plan, error) {
	if o.Isolation != limits.Standard && o.Isolation != limits.None {
		return nil, fmt.Errorf("namespace: unknown isolation %q", o.Isolation)
	}
	return plans(o, caller{uid: os.Geteuid(), gid: os.Getegid(), maps: mapped("/proc/self/uid_map") && mapped("/proc/self/gid_map")}), nil
}

// mapped reports whether both 0 and ID exist in the id map. An unreadable map
// (no /proc) counts as the host's own, which has all ids: the spawn will tell.
func mapped(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return true
	}
	defer f.Close()
	var zero, nobody bool
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var first, outside, count uint64
		if n, _ := fmt.Sscan(lines.Text(), &first, &outside, &count); n != 3 {
			continue
		}
		zero = zero || first == 0
		nobody = nobody || first <= ID && ID-first < count
	}
	return zero && nobody
}

// SysProcAttr gives a fresh attribute for one spawn; the caller may add to it
// (PidFD, UseCgroupFD).
//
// Precondition: the spawn happens on a thread that lives as long as the worker
// shall. The parent-death signal is sent when the *thread* that forked ends
// (prctl(2), PR_SET_PDEATHSIG), so the spawning goroutine must be locked to a
// thread that never exits.
//
// The worker gets a session of its own: a Ctrl-C at the terminal is then for the
// supervisor alone to act on, and there is no controlling terminal to write into.
func (p Plan) SysProcAttr() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setsid: true}
	for _, ns := range p.namespaces {
		a.Cloneflags |= map[string]uintptr{
			"user":  unix.CLONE_NEWUSER,
			"pid":   unix.CLONE_NEWPID,
			"net":   unix.CLONE_NEWNET,
			"mount": unix.CLONE_NEWNS,
			"ipc":   unix.CLONE_NEWIPC,
			"uts":   unix.CLONE_NEWUTS,
		}[ns]
	}
	if !slices.Contains(p.namespaces, "user") {
		return a
	}
	switch p.Name {
	case "root":
		// Two single ids and not a range: nothing between 0 and nobody exists
		// for the worker. setgroups(2) stays allowed, because the entry code
		// must drop root's supplementary groups.
		both := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}, {ContainerID: ID, HostID: ID, Size: 1}}
		a.UidMappings, a.GidMappings = both, slices.Clone(both)
		a.GidMappingsEnableSetgroups = true
	case "single":
		// The only map a process without privilege may write: its own id
		// (user_namespaces(7)). setgroups must be denied first, so the caller's
		// supplementary groups stay; with an empty root there is no file they
		// could open.
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: ID, HostID: p.who.uid, Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: ID, HostID: p.who.gid, Size: 1}}
		a.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SETPCAP}
	}
	return a
}

// Hint names the switch that keeps user namespaces from ordinary users on this
// machine, or is empty when none is set.
func Hint() string {
	for _, s := range []struct{ path, off, hint string }{
		{"/proc/sys/user/max_user_namespaces", "0",
			"sysctl user.max_user_namespaces is 0; set it to at least the number of workers"},
		{"/proc/sys/kernel/unprivileged_userns_clone", "0",
			"sysctl kernel.unprivileged_userns_clone is 0; set it to 1 or run as root"},
		{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1",
			"sysctl kernel.apparmor_restrict_unprivileged_userns is 1; give the worker an AppArmor profile with the rule \"userns,\", or set it to 0"},
	} {
		if b, err := os.ReadFile(s.path); err == nil && strings.TrimSpace(string(b)) == s.off {
			return s.hint
		}
	}
	if _, err := os.Stat("/proc/self/ns/user"); os.IsNotExist(err) {
		return "this kernel has no user namespaces (CONFIG_USER_NS), or /proc is not mounted"
	}
	return ""
}
