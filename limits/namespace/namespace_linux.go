package namespace

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/limits"
)

// Plans gives the ways to start a worker, best first; at least one.
func Plans(o Options) ([]Plan, error) {
	if !slices.Contains([]limits.Isolation{limits.Strict, limits.Standard, limits.None}, o.Isolation) {
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

// Hint tells the likeliest fix of an error that spawning from a plan gave, or
// nothing.
func Hint(err error) string {
	absent := func(path string) bool {
		_, err := os.Stat("/proc/self/" + path)
		return errors.Is(err, fs.ErrNotExist)
	}
	kinds := []string{"user", "pid", "net", "mnt", "ipc", "uts"}
	switch {
	case errors.Is(err, unix.EROFS):
		return "/proc is read-only; the id maps are written there"
	case errors.Is(err, unix.ENOENT) && absent("uid_map"):
		return "/proc is not mounted; the id maps are written there"
	case errors.Is(err, unix.EINVAL) && !absent("ns"):
		for _, kind := range kinds {
			if absent("ns/" + kind) {
				return "this kernel has no " + kind + " namespaces (CONFIG_NAMESPACES and what is below it)"
			}
		}
		return ""
	case errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EUSERS): // EUSERS: before Linux 4.9
		for _, kind := range kinds {
			if name := "user.max_" + kind + "_namespaces"; sysctl(name) == "0" {
				return "sysctl " + name + " is 0; set it to at least the number of workers"
			}
		}
		return "all namespaces that this user may have are in use (sysctl user.max_*_namespaces), or they are nested 32 deep"
	case !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.ENOSYS):
		return ""
	case os.Geteuid() != 0 && sysctl("kernel.unprivileged_userns_clone") == "0": // Debian
		return "sysctl kernel.unprivileged_userns_clone is 0; set it to 1 or run as root"
	case filtered():
		return "a seccomp filter around this process refuses clone with namespaces; allow it in the container's profile (docker: --security-opt seccomp=FILE)"
	case os.Geteuid() != 0 && sysctl("kernel.apparmor_restrict_unprivileged_userns") == "1": // Ubuntu 23.10
		return "sysctl kernel.apparmor_restrict_unprivileged_userns is 1; give the worker an AppArmor profile with the rule \"userns,\", or set it to 0"
	case os.Geteuid() == 0 && !holds(unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_SETFCAP):
		return "root needs CAP_SETUID, CAP_SETGID and CAP_SETFCAP to map the worker's ids; give the container these capabilities"
	}
	return "a chroot has none, and AppArmor or SELinux may forbid them; start outside of it, or allow them"
}

// sysctl gives a kernel setting, or "" when there is none of that name.
func sysctl(name string) string {
	b, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(name, ".", "/"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// filtered tells whether a system-call filter is in force (prctl(2),
// PR_GET_SECCOMP).
func filtered() bool {
	mode, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0)
	return err == nil && mode == unix.SECCOMP_MODE_FILTER
}

// holds tells whether this thread has all of the capabilities in force. What
// cannot be asked counts as held.
func holds(caps ...int) bool {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if unix.Capget(&head, &sets[0]) != nil {
		return true
	}
	for _, c := range caps {
		if sets[c/32].Effective&(1<<(c%32)) == 0 {
			return false
		}
	}
	return true
}
