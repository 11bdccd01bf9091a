package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/greentic-ai/greentic-provision/limits"
)

// controllers are what a group needs.
var controllers = []string{"cpu", "memory", "pids"}

// leaf is where a process puts itself to make room above. It is the name that
// systemd's documentation proposes.
const leaf = "supervisor"

// Place is a cgroup below which this process may make others. It is a value; what
// was true when it was found may have changed when it is used.
type Place struct {
	kernel kernel
	mount  mount
	dir    string
	inside bool // this process is in it, alone, and has to move into a leaf
}

// Dir is its directory.
func (p Place) Dir() string { return p.dir }

// find looks for a place and changes nothing. named is the directory that the
// operator named, or empty.
func find(k kernel, named string) (Place, error) {
	if err := offered(k); err != nil {
		return Place{}, err
	}
	if err := k.clone(); err != nil {
		return Place{}, wallError("clone3(CLONE_INTO_CGROUP)", err, "")
	}
	if named != "" {
		var err error
		if named, err = filepath.Abs(named); err == nil {
			named, err = filepath.EvalSymlinks(named) // as mountinfo has it
		}
		if err == nil {
			err = k.cgroup2(named)
		}
		if err != nil {
			return Place{}, wallError("the cgroup that was named", err, "name a directory of a cgroup v2 file system with --cgroup")
		}
	}
	own, m, err := ownCgroup(k, named)
	if err != nil {
		return Place{}, err
	}
	dir := named
	if dir == "" {
		dir = own
		if up := filepath.Dir(own); own != m.point && filepath.Base(own) == leaf && delegated(k, up) == nil {
			dir = up
		} else if err := delegated(k, own); err != nil {
			return Place{}, err
		}
	}
	p := Place{kernel: k, mount: m, dir: dir, inside: dir == own}
	// The root of all cgroups has no type.
	if kind, err := k.read(filepath.Join(dir, "cgroup.type")); err == nil && strings.TrimSpace(kind) != "domain" {
		return Place{}, wallError("cgroup.type", fmt.Errorf("%s is %q", dir, strings.TrimSpace(kind)),
			"a cgroup of threads has no room for processes; name another with --cgroup")
	}
	if p.inside {
		if err := alone(k, dir); err != nil {
			return Place{}, err
		}
	}
	if err := handedDown(k, m.point, dir); err != nil {
		return Place{}, err
	}
	for _, path := range []string{dir, filepath.Join(dir, "cgroup.procs"), filepath.Join(dir, "cgroup.subtree_control")} {
		if err := k.writable(path); err != nil {
			return Place{}, wallError("permissions", err, howto(k))
		}
	}
	// A process comes into a cgroup only by who may also write to the cgroup.procs
	// of the closest cgroup above where it comes from and where it goes (cgroups(7),
	// "Delegation containment").
	if err := k.writable(filepath.Join(above(own, dir), "cgroup.procs")); err != nil {
		return Place{}, wallError("permissions above "+dir+" and this process's own cgroup", err, howto(k))
	}
	return p, nil
}

// howto says how a cgroup can be had.
func howto(k kernel) string {
	user := ""
	if k.euid() != 0 {
		user = "--user "
	}
	return "run it under systemd-run " + user + "--scope -p Delegate=yes, or name an empty cgroup with --cgroup"
}

// offered tells whether the kernel has the controllers for cgroup v2 at all.
func offered(k kernel) error {
	unsupported := func(format string, args ...any) error {
		return wallError("/proc/cgroups", fmt.Errorf("%w: "+format, append([]any{limits.ErrUnsupported}, args...)...), "")
	}
	if _, err := k.read("/proc/self/cgroup"); err != nil {
		if _, proc := k.read("/proc/self/stat"); proc == nil && errors.Is(err, fs.ErrNotExist) {
			return unsupported("this kernel has no cgroups (CONFIG_CGROUPS)")
		}
		return wallError("/proc", err, "mount /proc")
	}
	systems, err := k.read("/proc/filesystems")
	if err != nil {
		return wallError("/proc", err, "")
	}
	if !slices.Contains(strings.Fields(systems), "cgroup2") {
		return unsupported("this kernel has no cgroup v2")
	}
	// A controller that is not listed may exist all the same: since Linux 6.13 only
	// those are that can also be had with cgroup v1.
	table, err := k.read("/proc/cgroups")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return wallError("/proc", err, "")
	}
	for line := range strings.Lines(table) {
		f := strings.Fields(line) // name, hierarchy, number of cgroups, enabled
		if len(f) != 4 || !slices.Contains(controllers, f[0]) {
			continue
		}
		if f[1] != "0" {
			return unsupported("the controller %s is bound to cgroup v1, hierarchy %s", f[0], f[1])
		}
		if f[3] == "0" {
			return unsupported("the controller %s is switched off (boot parameter cgroup_disable)", f[0])
		}
	}
	return nil
}

// mount is one place where a cgroup v2 file system is mounted.
type mount struct {
	root  string // the cgroup that is seen there
	point string
}

// path is where a cgroup is seen in this mount. One that lies outside of the
// cgroup namespace is "/../…" (cgroup_namespaces(7)), and not seen.
func (m mount) path(cgroup string) (string, bool) {
	if !within(m.root, cgroup) || within("/..", cgroup) {
		return "", false
	}
	return filepath.Join(m.point, strings.TrimPrefix(cgroup, m.root)), true
}

// cgroup is the other way round.
func (m mount) cgroup(path string) string {
	return filepath.Join(m.root, strings.TrimPrefix(path, m.point))
}

// within tells whether path is dir or below it.
func within(dir, path string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// above is the closest directory that has both below it, or is one of them.
func above(a, b string) string {
	for !within(a, b) {
		a = filepath.Dir(a)
	}
	return a
}

// mounts reads the mounts of cgroup v2 out of /proc/self/mountinfo (proc(5)): each
// line has fields up to "-", and after it the type.
func mounts(info string) []mount {
	var out []mount
	for line := range strings.Lines(info) {
		before, after, ok := strings.Cut(line, " - ")
		f, kind := strings.Fields(before), strings.Fields(after)
		if ok && len(f) >= 5 && len(kind) > 0 && kind[0] == "cgroup2" {
			out = append(out, mount{root: unescape(f[3]), point: unescape(f[4])})
		}
	}
	return out
}

// unescape undoes what the kernel does to blanks, line ends and backslashes in
// paths: \ and three octal digits (seq_path, fs/seq_file.c).
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// ownCgroup gives the directory of the cgroup that this process is in, and the mount
// that it is seen in: the one that has named, unless that is empty.
func ownCgroup(k kernel, named string) (own string, in mount, err error) {
	membership, err := k.read("/proc/self/cgroup")
	if err != nil {
		return "", mount{}, wallError("/proc", err, "")
	}
	info, err := k.read("/proc/self/mountinfo")
	if err != nil {
		return "", mount{}, wallError("/proc", err, "")
	}
	var path string
	for line := range strings.Lines(membership) {
		// Hierarchy 0 is cgroup v2: "0::/path".
		if p, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::"); ok {
			path = p
		}
	}
	for _, m := range mounts(info) { // a later mount hides those before it
		if dir, ok := m.path(path); ok && (named == "" || within(m.point, named)) {
			own, in = dir, m
		}
	}
	if own == "" {
		err = fmt.Errorf("the cgroup of this process, %q, is seen in no mount", path)
		return "", mount{}, wallError("/proc/self/mountinfo", err, "mount -t cgroup2 cgroup2 /sys/fs/cgroup")
	}
	return own, in, nil
}

// delegated tells whether this process has been given the cgroup at dir.
func delegated(k kernel, dir string) error {
	for _, name := range []string{"user.delegate", "trusted.delegate"} {
		if v, err := k.xattr(dir, name); err == nil && v == "1" {
			return nil
		}
	}
	owner, err := k.owner(dir)
	if err != nil {
		return wallError("the cgroup of this process", err, "")
	}
	// What root owns nobody has given to it: everything is root's.
	if k.euid() == 0 || owner != k.euid() {
		return wallError("the cgroup of this process", fmt.Errorf("%w: %s is managed by somebody else", ErrNotDelegated, dir), howto(k))
	}
	return nil
}

// alone tells whether this process is the only one in the cgroup at dir: it does
// not move others.
func alone(k kernel, dir string) error {
	procs, err := k.read(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return wallError("cgroup.procs", err, "")
	}
	self := strconv.Itoa(os.Getpid())
	others := slices.Compact(slices.Sorted(slices.Values(strings.Fields(procs))))
	others = slices.DeleteFunc(others, func(pid string) bool { return pid == self })
	if len(others) > 0 {
		return wallError("cgroup.procs", fmt.Errorf("%w: %d other processes are in %s", ErrNotDelegated, len(others), dir), howto(k))
	}
	return nil
}

// handedDown tells whether every controller reaches the cgroup at dir, which lies
// below top.
func handedDown(k kernel, top, dir string) error {
	missing, err := lacks(k, filepath.Join(dir, "cgroup.controllers"))
	if err != nil || len(missing) == 0 {
		return err
	}
	// The root of all cgroups, the only one without a type, has what there is.
	if _, err := k.read(filepath.Join(top, "cgroup.type")); errors.Is(err, fs.ErrNotExist) {
		nowhere, err := lacks(k, filepath.Join(top, "cgroup.controllers"))
		if err != nil {
			return err
		}
		if len(nowhere) > 0 {
			return wallError("cgroup.controllers", fmt.Errorf("%w: this kernel has no controller %s", limits.ErrUnsupported, strings.Join(nowhere, ", ")), "")
		}
	}
	return wallError("cgroup.controllers", fmt.Errorf("%s not handed down to %s", strings.Join(missing, ", "), dir),
		"write +"+strings.Join(missing, " +")+" to the cgroup.subtree_control of the cgroups above; with systemd, Delegate=cpu memory pids in user@.service")
}

// lacks gives the controllers that are not in the list at path.
func lacks(k kernel, path string) ([]string, error) {
	list, err := k.read(path)
	if err != nil {
		return nil, wallError(filepath.Base(path), err, "")
	}
	have := strings.Fields(list)
	return slices.DeleteFunc(slices.Clone(controllers), func(c string) bool { return slices.Contains(have, c) }), nil
}
