package cgroup

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// fake keeps the rules of cgroup v2 over an ordinary directory. TestTheFake holds
// it against the real kernel.
type fake struct {
	linux
	top     string // the root of all cgroups
	files   map[string]string
	user    int
	owners  map[string]int    // 0 if not listed
	xattrs  map[string]string // by path and name, "path name"
	refused map[string]error  // what is not writable
	foreign string            // not of cgroup v2
	noClone error
	// before sees each call that changes something; an error of it is the call's.
	before func(op string) error
}

// newFake has the cgroups root, root/system (nothing handed down to it) and
// root/ours, which this process is in, alone, with all that it takes.
func newFake(t *testing.T) *fake {
	t.Helper()
	top, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{top: filepath.Join(top, "cgroup"), owners: map[string]int{}, xattrs: map[string]string{}, refused: map[string]error{},
		foreign: top, before: func(string) error { return nil },
		files: map[string]string{
			"/proc/filesystems":    "nodev\tproc\nnodev\tcgroup2\n\text4\n",
			"/proc/cgroups":        "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpuset\t3\t1\t1\ncpu\t0\t7\t1\nmemory\t0\t7\t1\npids\t0\t7\t1\n",
			"/proc/self/mountinfo": "22 27 0:21 / /proc rw - proc proc rw\n31 23 0:28 / " + top + "/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n",
			"/proc/self/stat":      "1 (x) S",
		}}
	// The root has processes, and divides all the same.
	must(t, os.Mkdir(f.top, 0o755))
	f.control(t, f.top, map[string]string{"cgroup.procs": "1\n2\n", "cgroup.controllers": "cpuset cpu io memory pids\n", "cgroup.subtree_control": ""})
	must(t, f.mkdir(f.path("system")))
	must(t, f.write(f.path("cgroup.subtree_control"), "+cpu +memory +pids"))
	must(t, f.mkdir(f.path("ours")))
	must(t, f.write(f.path("ours/cgroup.procs"), "0"))
	return f
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (f *fake) path(name string) string { return filepath.Join(f.top, name) }

// control makes the files that the kernel makes.
func (f *fake) control(t *testing.T, dir string, files map[string]string) {
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil && t != nil {
			t.Fatal(err)
		}
	}
}

// words of a control file.
func words(dir, file string) []string {
	b, _ := os.ReadFile(filepath.Join(dir, file))
	return strings.Fields(string(b))
}

func (f *fake) read(path string) (string, error) {
	if !strings.HasPrefix(path, "/proc/") {
		return f.linux.read(path)
	}
	if text, ok := f.files[path]; ok {
		return text, nil
	}
	if path == "/proc/self/cgroup" {
		self, where := strconv.Itoa(os.Getpid()), ""
		err := filepath.WalkDir(f.top, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && slices.Contains(words(path, "cgroup.procs"), self) {
				where = strings.TrimPrefix(path, f.top)
			}
			return err
		})
		return "1:name=systemd:/x\n0::" + where + "\n", err
	}
	return "", &fs.PathError{Op: "open", Path: path, Err: syscall.ENOENT}
}

func fails(op, path string, errno syscall.Errno) error {
	return &fs.PathError{Op: op, Path: path, Err: errno}
}

func (f *fake) mkdir(path string) error {
	if err := f.before("mkdir " + path); err != nil {
		return err
	}
	if err := f.linux.mkdir(path); err != nil {
		return err
	}
	down := words(filepath.Dir(path), "cgroup.subtree_control")
	f.control(nil, path, map[string]string{"cgroup.type": "domain\n", "cgroup.procs": "", "cgroup.kill": "", "cgroup.freeze": "0\n",
		"cgroup.subtree_control": "", "cgroup.controllers": strings.Join(down, " ") + "\n"})
	f.hand(path, down)
	return nil
}

// hand gives the files of the controllers to the cgroup at path, and takes those of
// others away.
func (f *fake) hand(path string, down []string) {
	for controller, files := range map[string]map[string]string{
		"memory": {"memory.max": "max\n", swapMax: "max\n", "memory.oom.group": "0\n", "memory.events": "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n"},
		"pids":   {"pids.max": "max\n", "pids.events": "max 0\n"},
		"cpu":    {"cpu.max": "max 100000\n"},
	} {
		if slices.Contains(down, controller) {
			f.control(nil, path, files)
			continue
		}
		for name := range files {
			_ = os.Remove(filepath.Join(path, name))
		}
	}
}

func (f *fake) rmdir(path string) error {
	if err := f.before("rmdir " + path); err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		return fails("rmdir", path, syscall.ENOENT)
	}
	if len(words(path, "cgroup.procs")) > 0 || len(children(path)) > 0 {
		return fails("rmdir", path, syscall.EBUSY)
	}
	return os.RemoveAll(path)
}

func (f *fake) write(path, value string) error {
	if err := f.before("write " + value + " " + path); err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if _, err := os.Stat(path); err != nil {
		return fails("open", path, syscall.ENOENT)
	}
	switch filepath.Base(path) {
	case "cgroup.procs":
		if len(words(dir, "cgroup.subtree_control")) > 0 {
			return fails("write", path, syscall.EBUSY)
		}
		self := strconv.Itoa(os.Getpid())
		_ = filepath.WalkDir(f.top, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				left := slices.DeleteFunc(words(path, "cgroup.procs"), func(pid string) bool { return pid == self })
				f.control(nil, path, map[string]string{"cgroup.procs": strings.Join(left, "\n")})
			}
			return err
		})
		value = strings.Join(append(words(dir, "cgroup.procs"), self), "\n")
	case "cgroup.subtree_control":
		down := words(dir, "cgroup.subtree_control")
		for _, w := range strings.Fields(value) {
			c := w[1:]
			if w[0] == '-' {
				for _, child := range children(dir) {
					if slices.Contains(words(child, "cgroup.subtree_control"), c) {
						return fails("write", path, syscall.EBUSY)
					}
				}
				down = slices.DeleteFunc(down, func(have string) bool { return have == c })
				continue
			}
			if !slices.Contains(words(dir, "cgroup.controllers"), c) {
				return fails("write", path, syscall.ENOENT)
			}
			if dir != f.top && len(words(dir, "cgroup.procs")) > 0 {
				return fails("write", path, syscall.EBUSY)
			}
			if !slices.Contains(down, c) {
				down = append(down, c)
			}
		}
		slices.Sort(down)
		value = strings.Join(down, " ")
		for _, child := range children(dir) {
			f.hand(child, down)
			f.control(nil, child, map[string]string{"cgroup.controllers": value + "\n"})
		}
	}
	return os.WriteFile(path, []byte(value+"\n"), 0o644)
}

func (f *fake) xattr(path, name string) (string, error) {
	if v, ok := f.xattrs[path+" "+name]; ok {
		return v, nil
	}
	return "", fails("getxattr", path, syscall.ENODATA)
}

func (f *fake) owner(path string) (int, error) { return f.owners[path], nil }

func (f *fake) writable(path string) error {
	if err := f.refused[path]; err != nil {
		return &fs.PathError{Op: "write to", Path: path, Err: err}
	}
	_, err := os.Stat(path)
	return err
}

func (f *fake) cgroup2(path string) error {
	if path == f.foreign {
		return fmt.Errorf("%s is not of a cgroup v2 file system", path)
	}
	return nil
}

func (f *fake) clone() error { return f.noClone }
func (f *fake) euid() int    { return f.user }

// state is everything that there is, by path.
func (f *fake) state(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	must(t, filepath.WalkDir(f.top, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all[strings.TrimPrefix(path, f.top)] = strings.Join(strings.Fields(string(b)), " ")
		return err
	}))
	return all
}

// delegate marks the cgroup called name as systemd does.
func (f *fake) delegate(name string) { f.xattrs[f.path(name)+" user.delegate"] = "1" }
