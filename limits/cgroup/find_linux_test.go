package cgroup

import (
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/greentic-ai/greentic-provision/limits"
)

// Where a process may make cgroups, and what it is told where it may not. Looking
// changes nothing.
func TestFind(t *testing.T) {
	ours := func(f *fake) string { return f.path("ours") }
	for _, tt := range []struct {
		name    string
		setup   func(t *testing.T, f *fake)
		named   func(f *fake) string
		want    string // the place, below the root
		inside  bool
		is      error  // what the error wraps
		says    string // part of the error
		isNever error
	}{
		{name: "systemd has delegated it to a user",
			setup: func(t *testing.T, f *fake) { f.user = 1000; f.delegate("ours") }, want: "ours", inside: true},
		{name: "systemd has delegated it to root",
			setup: func(t *testing.T, f *fake) { f.xattrs[f.path("ours")+" trusted.delegate"] = "1" }, want: "ours", inside: true},
		{name: "an ordinary user's own",
			setup: func(t *testing.T, f *fake) { f.user = 1000; f.owners[f.path("ours")] = 1000 }, want: "ours", inside: true},
		{name: "root owns everything and is given nothing",
			is: ErrNotDelegated, says: "systemd-run --scope -p Delegate=yes"},
		{name: "systemd says that it is not delegated",
			setup: func(t *testing.T, f *fake) { f.xattrs[f.path("ours")+" user.delegate"] = "0" }, is: ErrNotDelegated, says: "/ours"},
		{name: "somebody else's",
			setup: func(t *testing.T, f *fake) { f.user = 1000 }, is: ErrNotDelegated, says: "systemd-run --user --scope -p Delegate=yes"},
		{name: "others are in it",
			setup: func(t *testing.T, f *fake) {
				f.delegate("ours")
				f.control(t, f.path("ours"), map[string]string{"cgroup.procs": strings.Join(append(words(f.path("ours"), "cgroup.procs"), "77", "78", "77"), "\n")})
			}, is: ErrNotDelegated, says: "2 other processes are in"},
		{name: "in a leaf of what is delegated",
			setup: func(t *testing.T, f *fake) {
				f.delegate("ours")
				must(t, f.mkdir(f.path("ours/supervisor")))
				must(t, f.write(f.path("ours/supervisor/cgroup.procs"), "0"))
			}, want: "ours"},
		{name: "in a leaf of what is not delegated",
			setup: func(t *testing.T, f *fake) {
				must(t, f.mkdir(f.path("ours/supervisor")))
				must(t, f.write(f.path("ours/supervisor/cgroup.procs"), "0"))
			}, is: ErrNotDelegated, says: "/ours/supervisor"},

		{name: "named",
			setup: func(t *testing.T, f *fake) { must(t, f.mkdir(f.path("named"))) },
			named: func(f *fake) string { return f.path("named") }, want: "named"},
		{name: "named by a link",
			setup: func(t *testing.T, f *fake) {
				must(t, f.mkdir(f.path("named")))
				must(t, os.Symlink(f.path("named"), f.foreign+"/link"))
			}, named: func(f *fake) string { return f.foreign + "/link" }, want: "named"},
		{name: "named, with this process alone in it", named: ours, want: "ours", inside: true},
		{name: "named, with others beside this process in it",
			setup: func(t *testing.T, f *fake) {
				f.control(t, f.path("ours"), map[string]string{"cgroup.procs": strings.Join(append(words(f.path("ours"), "cgroup.procs"), "77"), "\n")})
			}, named: ours, is: ErrNotDelegated, says: "1 other process"},
		{name: "named, of another file system",
			named: func(f *fake) string { return f.foreign }, says: "not of a cgroup v2 file system", isNever: ErrNotDelegated},
		{name: "named, not there",
			named: func(f *fake) string { return f.path("nowhere") }, is: syscall.ENOENT, says: "nowhere"},
		{name: "named, below a cgroup that the user may not take processes from",
			setup: func(t *testing.T, f *fake) {
				f.user = 1000
				must(t, f.mkdir(f.path("named")))
				f.refused[f.path("cgroup.procs")] = syscall.EACCES
			}, named: func(f *fake) string { return f.path("named") }, is: syscall.EACCES, says: "above"},
		{name: "named, in a mount that does not show this process",
			setup: func(t *testing.T, f *fake) {
				must(t, f.mkdir(f.path("named")))
				f.files["/proc/self/cgroup"] = "0::/../elsewhere\n"
			}, named: func(f *fake) string { return f.path("named") }, says: "seen in no mount", isNever: limits.ErrUnsupported},

		{name: "no cgroups",
			setup: func(t *testing.T, f *fake) { f.files["/proc/self/cgroup"] = "" }, says: "seen in no mount", isNever: limits.ErrUnsupported},
		{name: "an old kernel",
			setup: func(t *testing.T, f *fake) { f.files["/proc/filesystems"] = "nodev\tcgroup\n" }, is: limits.ErrUnsupported, says: "no cgroup v2"},
		{name: "bound to v1",
			setup: func(t *testing.T, f *fake) {
				f.files["/proc/cgroups"] = "#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t4\t2\t1\n"
			}, is: limits.ErrUnsupported, says: "memory is bound to cgroup v1, hierarchy 4"},
		{name: "switched off",
			setup: func(t *testing.T, f *fake) {
				f.files["/proc/cgroups"] = "#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t0\t1\t0\n"
			}, is: limits.ErrUnsupported, says: "memory is switched off"},
		{name: "not built in",
			setup: func(t *testing.T, f *fake) {
				f.delegate("ours")
				must(t, f.write(f.path("cgroup.subtree_control"), "-pids"))
				f.control(t, f.top, map[string]string{"cgroup.controllers": "cpu memory\n"})
			}, is: limits.ErrUnsupported, says: "no controller pids"},
		{name: "not handed down",
			setup: func(t *testing.T, f *fake) {
				f.delegate("ours")
				must(t, f.write(f.path("cgroup.subtree_control"), "-cpu"))
			},
			says: "cpu not handed down to", isNever: limits.ErrUnsupported},
		{name: "not handed down, in a container that cannot tell why",
			setup: func(t *testing.T, f *fake) {
				f.delegate("ours")
				must(t, f.write(f.path("cgroup.subtree_control"), "-cpu"))
				f.files["/proc/self/mountinfo"] = "31 23 0:28 / " + f.path("ours") + " rw - cgroup2 cgroup2 rw\n"
				f.files["/proc/self/cgroup"] = "0::/\n"
			}, says: "cpu not handed down to", isNever: limits.ErrUnsupported},
		{name: "no table of controllers", // it is going away with cgroup v1
			setup: func(t *testing.T, f *fake) { f.delegate("ours"); delete(f.files, "/proc/cgroups") }, want: "ours", inside: true},
		{name: "no clone into a cgroup",
			setup: func(t *testing.T, f *fake) { f.delegate("ours"); f.noClone = limits.ErrUnsupported }, is: limits.ErrUnsupported, says: "clone3"},
		{name: "not mounted",
			setup: func(t *testing.T, f *fake) {
				f.files["/proc/self/mountinfo"] = "22 27 0:21 / /proc rw - proc proc rw\n"
			}, says: "mount -t cgroup2", isNever: limits.ErrUnsupported},
		{name: "removed",
			setup: func(t *testing.T, f *fake) { f.files["/proc/self/cgroup"] = "0::/gone (deleted)\n" }, says: "gone", isNever: limits.ErrUnsupported},
		{name: "mounted read-only",
			setup: func(t *testing.T, f *fake) { f.delegate("ours"); f.refused[f.path("ours")] = syscall.EROFS }, is: syscall.EROFS, says: "permissions"},
		{name: "delegated without the file that hands down",
			setup: func(t *testing.T, f *fake) {
				f.delegate("ours")
				f.refused[f.path("ours/cgroup.subtree_control")] = syscall.EACCES
			}, is: syscall.EACCES, says: "subtree_control"},
		{name: "of threads",
			setup: func(t *testing.T, f *fake) {
				f.delegate("ours")
				f.control(t, f.path("ours"), map[string]string{"cgroup.type": "threaded\n"})
			}, says: `is "threaded"`, isNever: limits.ErrUnsupported},
		{name: "seen from a cgroup namespace",
			setup: func(t *testing.T, f *fake) {
				f.delegate("ours")
				f.files["/proc/self/mountinfo"] = "31 23 0:28 / " + f.path("ours") + " rw - cgroup2 cgroup2 rw\n"
				f.files["/proc/self/cgroup"] = "0::/\n"
			}, want: "ours", inside: true},
		{name: "seen in a container without a cgroup namespace",
			setup: func(t *testing.T, f *fake) {
				f.delegate("ours")
				f.files["/proc/self/mountinfo"] = "31 23 0:28 /docker/1 " + f.path("ours") + " rw - cgroup2 cgroup2 rw\n"
				f.files["/proc/self/cgroup"] = "0::/docker/1\n"
			}, want: "ours", inside: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			if tt.setup != nil {
				tt.setup(t, f)
			}
			named := ""
			if tt.named != nil {
				named = tt.named(f)
			}
			before := f.state(t)
			p, err := find(f, named)
			if after := f.state(t); !maps.Equal(before, after) {
				t.Errorf("looking changed %v into %v", before, after)
			}
			if tt.want != "" {
				if err != nil || p.Dir() != f.path(tt.want) || p.inside != tt.inside {
					t.Errorf("%q, inside %t, %v", p.Dir(), p.inside, err)
				}
				return
			}
			w, ok := errors.AsType[*limits.WallError](err)
			if !ok || w.Wall != "cgroup" {
				t.Fatalf("%+v, %v; want a WallError", p, err)
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("%v; want an error that wraps %v", err, tt.is)
			}
			if tt.isNever != nil && errors.Is(err, tt.isNever) {
				t.Errorf("%v wraps %v", err, tt.isNever)
			}
			if !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q; want one line with %q", err, tt.says)
			}
		})
	}
}

// Without /proc nothing is known, which is not the same as unsupported.
func TestFindWithoutProc(t *testing.T) {
	f := newFake(t)
	f.files = map[string]string{"/proc/self/stat": "1 (x) S"}
	noCgroups := &withoutProc{f, map[string]bool{"/proc/self/cgroup": true}}
	if _, err := find(noCgroups, ""); !errors.Is(err, limits.ErrUnsupported) {
		t.Errorf("a kernel without cgroups: %v", err)
	}
	noProc := &withoutProc{f, map[string]bool{"/proc/self/cgroup": true, "/proc/self/stat": true}}
	if _, err := find(noProc, ""); err == nil || errors.Is(err, limits.ErrUnsupported) {
		t.Errorf("no /proc: %v", err)
	}
}

// withoutProc lacks some files of /proc.
type withoutProc struct {
	*fake
	gone map[string]bool
}

func (k *withoutProc) read(path string) (string, error) {
	if k.gone[path] {
		return "", fails("open", path, syscall.ENOENT)
	}
	return k.fake.read(path)
}

func TestMounts(t *testing.T) {
	got := mounts(`22 27 0:21 / /proc rw,relatime - proc proc rw
31 23 0:28 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 /a\040b /mnt/tab\011new\012line\134 rw - cgroup2 - rw
42 31 0:38 / /no/separator rw cgroup2 cgroup2 rw
43 31 - cgroup2 too short
44 31 0:38 /\9 /mnt\40 rw master:1 propagate_from:2 - cgroup2 none rw

`)
	want := []mount{{"/", "/sys/fs/cgroup"}, {"/a b", "/mnt/tab\tnew\nline\\"}, {`/\9`, `/mnt\40`}}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
}

func TestMountPath(t *testing.T) {
	for _, tt := range []struct {
		m      mount
		cgroup string
		want   string
	}{
		{mount{"/", "/sys/fs/cgroup"}, "/", "/sys/fs/cgroup"},
		{mount{"/", "/sys/fs/cgroup"}, "/a/b", "/sys/fs/cgroup/a/b"},
		{mount{"/a", "/sys/fs/cgroup"}, "/a", "/sys/fs/cgroup"},
		{mount{"/a", "/sys/fs/cgroup"}, "/a/b", "/sys/fs/cgroup/b"},
		{mount{"/a", "/sys/fs/cgroup"}, "/ab", ""},
		{mount{"/a", "/sys/fs/cgroup"}, "/", ""},
		{mount{"/", "/sys/fs/cgroup"}, "/../a", ""},
		{mount{"/", "/sys/fs/cgroup"}, "", ""},
	} {
		if got, ok := tt.m.path(tt.cgroup); got != tt.want || ok != (tt.want != "") {
			t.Errorf("%v %q: %q, %t; want %q", tt.m, tt.cgroup, got, ok, tt.want)
		} else if back := tt.m.cgroup(got); ok && back != tt.cgroup {
			t.Errorf("%v %q: back to %q", tt.m, tt.cgroup, back)
		}
	}
}

func TestAbove(t *testing.T) {
	for _, tt := range [][3]string{
		{"/a/b", "/a/c", "/a"}, {"/a/b", "/a/b/c", "/a/b"}, {"/a/b/c", "/a", "/a"}, {"/ab", "/a", "/"}, {"/a", "/a", "/a"},
	} {
		if got := above(tt[0], tt[1]); got != tt[2] {
			t.Errorf("%s and %s: %s, want %s", tt[0], tt[1], got, tt[2])
		}
	}
}
