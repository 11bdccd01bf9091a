package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/greentic-ai/greentic-provision/limits"
)

var small = Limits{Memory: 64 * limits.MiB, Pids: 8, CPU: 100}

// place finds the place that f has delegated.
func (f *fake) place(t *testing.T) Place {
	t.Helper()
	f.delegate("ours")
	p, err := find(f, "")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestWall(t *testing.T) {
	for _, tt := range []struct {
		limits Limits
		want   string
	}{
		{Step(192 * limits.MiB), "memory=268435456 pids=64 cpu=125%"},
		{Compile(2*limits.GiB, 128*limits.MiB), "memory=2348810240 pids=64 cpu=125%"},
	} {
		want := limits.Wall{Name: "cgroup", Raised: true, Observer: limits.BySupervisor, Detail: tt.want}
		if got := tt.limits.Wall(true); got != want {
			t.Errorf("%+v\nwant %+v", got, want)
		}
	}
}

// A tree's life, and that everything is as it was afterwards.
func TestLife(t *testing.T) {
	f := newFake(t)
	p := f.place(t)
	before := f.state(t)
	tree, err := p.Open()
	if err != nil {
		t.Fatal(err)
	}
	if got := words(f.path("ours/supervisor"), "cgroup.procs"); !slices.Equal(got, []string{strconv.Itoa(os.Getpid())}) {
		t.Errorf("in the leaf: %q; want this process", got)
	}
	one, err := tree.Make(Step(192 * limits.MiB))
	if err != nil {
		t.Fatal(err)
	}
	two, err := tree.Make(small)
	if err != nil {
		t.Fatal(err)
	}
	if one.Dir() == two.Dir() || filepath.Dir(one.Dir()) != filepath.Dir(two.Dir()) || filepath.Dir(filepath.Dir(one.Dir())) != p.Dir() {
		t.Errorf("groups %s and %s in %s", one.Dir(), two.Dir(), p.Dir())
	}
	for file, want := range map[string]string{"memory.max": "268435456", "memory.swap.max": "0", "memory.oom.group": "1",
		"pids.max": "64", "cpu.max": "125000 100000"} {
		if got := strings.Join(words(one.Dir(), file), " "); got != want {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
	}
	if want := "/ours/" + filepath.Base(tree.dir) + "/worker-1"; one.Path() != want {
		t.Errorf("path %q, want %q", one.Path(), want)
	}
	var attr syscall.SysProcAttr
	one.Spawn(&attr)
	var born, there syscall.Stat_t
	must(t, syscall.Stat(one.Dir(), &there))
	if err := syscall.Fstat(attr.CgroupFD, &born); err != nil || !attr.UseCgroupFD || born.Ino != there.Ino {
		t.Errorf("%+v is inode %d, %v; want %d", attr, born.Ino, err, there.Ino)
	}
	f.control(t, one.Dir(), map[string]string{"memory.events": "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 1\n", "pids.events": "max 5\n"})
	if got, err := one.Events(); err != nil || got != (Events{OOMKills: 2, PidsMax: 5}) {
		t.Errorf("%+v, %v", got, err)
	}
	if err := one.Kill(); err != nil || words(one.Dir(), "cgroup.kill")[0] != "1" {
		t.Errorf("kill: %v", err)
	}
	for range 2 {
		if err := one.Remove(); err != nil {
			t.Errorf("remove: %v", err)
		}
	}
	if err := one.Kill(); err != nil {
		t.Errorf("kill of a group that was removed: %v", err)
	}
	// A lease may outlive its supervisor.
	if err := tree.Close(); err != nil {
		t.Errorf("close with a group left: %v", err)
	}
	if _, err := os.Stat(two.Dir()); err != nil {
		t.Errorf("the group that is in use: %v", err)
	}
	if g, err := tree.Make(small); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("a group of a closed tree: %v, %v", g, err)
	}
	if err := two.Remove(); err != nil {
		t.Errorf("remove: %v", err)
	}
	if err := tree.Close(); err != nil {
		t.Errorf("close again: %v", err)
	}
	if after := f.state(t); !maps.Equal(before, after) {
		t.Errorf("left behind: %v\nwas %v", after, before)
	}
}

// Whichever call fails, the error names the wall, and everything is as it was.
func TestOpenFails(t *testing.T) {
	broken := errors.New("broken")
	calls := 0
	for n := 1; ; n++ {
		f := newFake(t)
		p := f.place(t)
		before := f.state(t)
		calls = 0
		f.before = func(string) error {
			if calls++; calls == n {
				return broken
			}
			return nil
		}
		tree, err := p.Open()
		f.before = func(string) error { return nil }
		if calls < n {
			if err != nil {
				t.Errorf("no call fails: %v", err)
			}
			must(t, tree.Close())
			break
		}
		if w, ok := errors.AsType[*limits.WallError](err); !ok || w.Wall != "cgroup" || !errors.Is(err, broken) {
			t.Errorf("call %d fails: %v", n, err)
		}
		if after := f.state(t); !maps.Equal(before, after) {
			t.Errorf("call %d fails: left behind %v\nwas %v", n, after, before)
		}
	}
	if calls != 5 { // leaf, into it, hand down, the tree, hand down
		t.Errorf("%d calls were tried, want 5", calls)
	}
}

func TestLockFails(t *testing.T) {
	f := newFake(t)
	p := f.place(t)
	before := f.state(t)
	p.kernel = &noLocks{f}
	if _, err := p.Open(); !errors.Is(err, syscall.ENOLCK) {
		t.Errorf("%v", err)
	}
	if after := f.state(t); !maps.Equal(before, after) {
		t.Errorf("left behind %v\nwas %v", after, before)
	}
}

type noLocks struct{ *fake }

func (*noLocks) lock(*os.File) error { return syscall.ENOLCK }

func TestMakeFails(t *testing.T) {
	broken := errors.New("broken")
	f := newFake(t)
	tree, err := f.place(t).Open()
	if err != nil {
		t.Fatal(err)
	}
	before := f.state(t)
	calls := 0
	for n := 1; n <= 6; n++ { // the directory, and five files
		calls = 0
		f.before = func(string) error {
			if calls++; calls == n {
				return broken
			}
			return nil
		}
		g, err := tree.Make(small)
		if w, ok := errors.AsType[*limits.WallError](err); !ok || w.Wall != "cgroup" || !errors.Is(err, broken) {
			t.Errorf("call %d fails: %v, %v", n, g, err)
		}
		if after := f.state(t); !maps.Equal(before, after) {
			t.Errorf("call %d fails: left behind %v\nwas %v", n, after, before)
		}
	}
	f.before = func(string) error { return nil }
	g, err := tree.Make(small)
	if err != nil {
		t.Fatal(err)
	}
	must(t, g.Remove())
	must(t, tree.Close())
}

// A kernel that counts no swap has no file for it.
func TestWithoutSwap(t *testing.T) {
	f := newFake(t)
	tree, err := f.place(t).Open()
	if err != nil {
		t.Fatal(err)
	}
	f.before = func(op string) error {
		if strings.HasSuffix(op, swapMax) {
			return fails("open", op, syscall.ENOENT)
		}
		return nil
	}
	g, err := tree.Make(small)
	if err != nil {
		t.Fatal(err)
	}
	must(t, g.Remove())
	must(t, tree.Close())
}

// A named directory that is divided already needs no right to divide it.
func TestNamed(t *testing.T) {
	f := newFake(t)
	must(t, f.mkdir(f.path("named")))
	must(t, f.write(f.path("named/cgroup.subtree_control"), "+cpu +memory +pids"))
	before := f.state(t)
	p, err := find(f, f.path("named"))
	if err != nil {
		t.Fatal(err)
	}
	f.before = func(op string) error {
		if strings.HasSuffix(op, "named/cgroup.subtree_control") {
			return fails("open", op, syscall.EACCES)
		}
		return nil
	}
	tree, err := p.Open()
	if err != nil {
		t.Fatal(err)
	}
	must(t, tree.Close())
	if after := f.state(t); !maps.Equal(before, after) {
		t.Errorf("left behind: %v\nwas %v", after, before)
	}
	// One with processes cannot be divided.
	must(t, f.mkdir(f.path("full")))
	f.control(t, f.path("full"), map[string]string{"cgroup.procs": "77\n"})
	if p, err = find(f, f.path("full")); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Open(); !errors.Is(err, syscall.EBUSY) || !strings.Contains(err.Error(), "name an empty one") {
		t.Errorf("a cgroup with processes: %v", err)
	}
}

// Supervisors share a place and nothing else, also in one process: whoever leaves
// first does not disturb the other, and the last one cleans up.
func TestTwoTrees(t *testing.T) {
	f := newFake(t)
	p := f.place(t)
	before := f.state(t)
	first, err := p.Open()
	if err != nil {
		t.Fatal(err)
	}
	again, err := find(f, "")
	if err != nil || again.Dir() != p.Dir() || again.inside {
		t.Fatalf("%+v, %v; want the same place, from the leaf", again, err)
	}
	second, err := again.Open()
	if err != nil {
		t.Fatal(err)
	}
	third, err := p.Open() // found before this process had moved
	if err != nil {
		t.Fatal(err)
	}
	must(t, first.Close())
	g, err := second.Make(small)
	if err != nil {
		t.Fatal(err)
	}
	if got := words(g.Dir(), "memory.max"); !slices.Equal(got, []string{"67108864"}) {
		t.Errorf("a group of the second, after the first is closed: %q", got)
	}
	must(t, g.Remove())
	must(t, second.Close())
	must(t, third.Close())
	if after := f.state(t); !maps.Equal(before, after) {
		t.Errorf("left behind: %v\nwas %v", after, before)
	}
}

// The tree of another process in the same place is not disturbed either; this
// process stays in the leaf then.
func TestAnotherProcess(t *testing.T) {
	f := newFake(t)
	tree, err := f.place(t).Open()
	if err != nil {
		t.Fatal(err)
	}
	other := f.path("ours/greentic-provision-1-1")
	must(t, f.mkdir(other))
	must(t, f.write(filepath.Join(other, "cgroup.subtree_control"), "+cpu +memory +pids"))
	if err := tree.Close(); err != nil {
		t.Error(err)
	}
	if got := words(f.path("ours/supervisor"), "cgroup.procs"); !slices.Equal(got, []string{strconv.Itoa(os.Getpid())}) {
		t.Errorf("in the leaf: %q; want this process", got)
	}
	if got := words(other, "cgroup.controllers"); len(got) != 3 {
		t.Errorf("the other has %q left", got)
	}
	// What systemd or somebody else has put into the leaf stays there.
	again, err := find(f, "")
	if err != nil {
		t.Fatal(err)
	}
	must(t, f.rmdir(other))
	if tree, err = again.Open(); err != nil {
		t.Fatal(err)
	}
	if err := tree.Close(); err != nil {
		t.Error(err)
	}
	if got := words(f.path("ours/supervisor"), "cgroup.procs"); len(got) != 1 {
		t.Errorf("in the leaf: %q; want this process", got)
	}
}

// What a supervisor that was killed left is removed, and nothing else.
func TestSweep(t *testing.T) {
	f := newFake(t)
	p := f.place(t)
	living, err := p.Open()
	if err != nil {
		t.Fatal(err)
	}
	g, err := living.Make(small)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"greentic-provision-999999-1", "greentic-provision-999999-1/worker-1", "greentic-provision-999999-1/worker-2",
		"greentic-provision-999999-2", "greentic-provision-1-1", "greentic-provision-1-1/worker-1", "greentic-provision-1-1/worker-2", "other", "other/worker-1"} {
		must(t, f.mkdir(f.path("ours/"+name)))
	}
	f.control(t, f.path("ours/greentic-provision-1-1/worker-2"), map[string]string{"cgroup.procs": "77\n"})
	again, err := find(f, "")
	if err != nil {
		t.Fatal(err)
	}
	tree, err := again.Open()
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, dir := range children(p.Dir()) {
		if dir == tree.dir {
			continue
		}
		left = append(left, filepath.Base(dir))
		for _, group := range children(dir) {
			left = append(left, filepath.Base(dir)+"/"+filepath.Base(group))
		}
	}
	name := filepath.Base(living.dir)
	want := []string{"supervisor", name, name + "/worker-1", "greentic-provision-1-1", "greentic-provision-1-1/worker-2", "other", "other/worker-1"}
	slices.Sort(left)
	slices.Sort(want)
	if !slices.Equal(left, want) {
		t.Errorf("left: %q\nwant %q", left, want)
	}
	must(t, tree.Close())
	must(t, g.Remove())
	must(t, living.Close())
}

// Whoever sweeps may come between making a directory and locking it.
func TestSweptWhileMade(t *testing.T) {
	f := newFake(t)
	p := f.place(t)
	must(t, f.mkdir(f.path("ours/"+prefix+strconv.Itoa(os.Getpid())+"-1"))) // of an earlier process with this number
	f.control(t, f.path("ours/"+prefix+strconv.Itoa(os.Getpid())+"-1"), map[string]string{"cgroup.procs": "77\n"})
	swept := false
	racing := &afterMkdir{f, func(path string) {
		if strings.HasSuffix(path, "-2") {
			must(t, os.RemoveAll(path))
			swept = true
		}
	}}
	p.kernel = racing
	tree, err := p.Open()
	if err != nil || !swept || !strings.HasSuffix(tree.dir, "-3") {
		t.Fatalf("swept %t, %v", swept, err)
	}
	must(t, tree.Close())
}

type afterMkdir struct {
	*fake
	then func(path string)
}

func (k *afterMkdir) mkdir(path string) error {
	err := k.fake.mkdir(path)
	k.then(path)
	return err
}

// A directory that was removed and made anew is not the one that was locked.
func TestLockOfAnotherDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tree")
	must(t, os.Mkdir(dir, 0o700))
	replaced := &whenLocked{then: func() {
		must(t, os.Remove(dir))
		must(t, os.Mkdir(dir+"2", 0o700)) // so that the inode number is not the old one's
		must(t, os.Mkdir(dir, 0o700))
	}}
	if f, err := open(replaced, dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v, %v", f, err)
	}
	f, err := open(linux{}, dir)
	if err != nil {
		t.Fatal(err)
	}
	if g, err := open(linux{}, dir); !errors.Is(err, syscall.EWOULDBLOCK) {
		t.Errorf("locked twice: %v, %v", g, err)
	}
	must(t, f.Close())
	if f, err = open(linux{}, dir); err != nil {
		t.Fatalf("after it was closed: %v", err)
	}
	must(t, f.Close())
}

type whenLocked struct {
	linux
	then func()
}

func (k *whenLocked) lock(f *os.File) error { k.then(); return k.linux.lock(f) }

// A group that does not get empty is an error, and left to the next who sweeps.
func TestRemoveOfAFullGroup(t *testing.T) { synctest.Test(t, removeOfAFullGroup) }

func removeOfAFullGroup(t *testing.T) {
	f := newFake(t)
	p := f.place(t)
	tree, err := p.Open()
	if err != nil {
		t.Fatal(err)
	}
	g, err := tree.Make(small)
	if err != nil {
		t.Fatal(err)
	}
	tries := 0
	f.before = func(op string) error {
		if op == "rmdir "+g.Dir() {
			if tries++; tries < 3 {
				return fails("rmdir", g.Dir(), syscall.EBUSY)
			}
		}
		return nil
	}
	if err := g.Remove(); err != nil || tries != 3 {
		t.Errorf("a process that takes a moment: %d tries, %v", tries, err)
	}
	if g, err = tree.Make(small); err != nil {
		t.Fatal(err)
	}
	f.control(t, g.Dir(), map[string]string{"cgroup.procs": "77\n"})
	if err := g.Remove(); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("a process that stays: %v", err)
	}
	if err := tree.Close(); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("close: %v", err)
	}
	f.control(t, g.Dir(), map[string]string{"cgroup.procs": ""})
	sweep(f, p.Dir())
	if _, err := os.Stat(tree.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the tree after a sweep: %v", err)
	}
}

// Kernels before 5.14 have no cgroup.kill; each process is killed by itself then.
func TestKillEach(t *testing.T) {
	f := newFake(t)
	tree, err := f.place(t).Open()
	if err != nil {
		t.Fatal(err)
	}
	g, err := tree.Make(small)
	if err != nil {
		t.Fatal(err)
	}
	must(t, os.Remove(filepath.Join(g.Dir(), "cgroup.kill")))
	var cmds []*exec.Cmd
	var pids []string
	for range 3 {
		cmd := exec.Command("sleep", "60")
		must(t, cmd.Start())
		cmds, pids = append(cmds, cmd), append(pids, strconv.Itoa(cmd.Process.Pid))
	}
	spared := cmds[2]
	// 0 is a process that this pid namespace does not see. The third was in the
	// group when it was looked at first, and is a stranger by the second look.
	looks := 0
	racing := &beforeRead{f, func(path string) {
		if filepath.Base(path) != "cgroup.procs" {
			return
		}
		looks++
		in := pids
		if looks > 1 {
			in = pids[:2]
		}
		f.control(t, g.Dir(), map[string]string{"cgroup.procs": "0\n" + strings.Join(in, "\n")})
	}}
	g.tree.kernel = racing
	if err := g.Kill(); err != nil {
		t.Errorf("kill: %v", err)
	}
	for i, cmd := range cmds {
		want := "signal: killed"
		if cmd == spared {
			must(t, cmd.Process.Signal(syscall.SIGTERM))
			want = "signal: terminated"
		}
		if err := cmd.Wait(); err == nil || err.Error() != want {
			t.Errorf("process %d: %v, want %s", i, err, want)
		}
	}
	g.tree.kernel = f
	f.control(t, g.Dir(), map[string]string{"cgroup.procs": ""})
	must(t, g.Remove())
	if err := g.Kill(); err != nil {
		t.Errorf("kill of a group that was removed: %v", err)
	}
	must(t, tree.Close())
}

type beforeRead struct {
	*fake
	then func(path string)
}

func (k *beforeRead) read(path string) (string, error) { k.then(path); return k.fake.read(path) }

func TestEventsOfNoUse(t *testing.T) {
	f := newFake(t)
	tree, err := f.place(t).Open()
	if err != nil {
		t.Fatal(err)
	}
	g, err := tree.Make(small)
	if err != nil {
		t.Fatal(err)
	}
	f.control(t, g.Dir(), map[string]string{"memory.events": "oom_kill\noom_kill_more 3\n\n"})
	if e, err := g.Events(); err != nil || e != (Events{}) {
		t.Errorf("lines of no use: %+v, %v", e, err)
	}
	f.control(t, g.Dir(), map[string]string{"memory.events": "oom_kill many\n"})
	if e, err := g.Events(); err == nil {
		t.Errorf("not a number: %+v", e)
	}
	must(t, g.Remove())
	if e, err := g.Events(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of a group that was removed: %+v, %v", e, err)
	}
	must(t, tree.Close())
}

// Groups are made and removed by many goroutines.
func TestManyGroups(t *testing.T) {
	f := newFake(t)
	p := f.place(t)
	before := f.state(t)
	tree, err := p.Open()
	if err != nil {
		t.Fatal(err)
	}
	results := make(chan error)
	const workers = 8
	for range workers {
		go func() {
			results <- func() error {
				g, err := tree.Make(small)
				if err != nil {
					return err
				}
				if got := fmt.Sprint(words(g.Dir(), "pids.max")); got != "[8]" {
					return fmt.Errorf("pids.max %s", got)
				}
				return g.Remove()
			}()
		}()
	}
	for range workers {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	must(t, tree.Close())
	if after := f.state(t); !maps.Equal(before, after) {
		t.Errorf("left behind: %v", after)
	}
}
