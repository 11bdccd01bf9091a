package cgroup

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/internal/leakcheck"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/limits/namespace"
	"github.com/greentic-ai/greentic-provision/limits/probe/probetest"
)

// TestMain also plays what is put into groups.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 {
		if act, ok := acts[os.Args[1]]; ok {
			act()
			os.Exit(0)
		}
	}
	leakcheck.Main(m)
}

var acts = map[string]func(){
	// More memory than the group has, private and written to.
	"private": func() { fill(unix.MAP_PRIVATE) },
	// The same, under an RLIMIT_DATA that does not see it: the mapping is shared.
	"shared": func() {
		r := unix.Rlimit{Cur: 32 << 20, Max: 32 << 20}
		if err := unix.Prlimit(0, unix.RLIMIT_DATA, &r, nil); err != nil {
			panic(err)
		}
		fill(unix.MAP_SHARED)
	},
	// All that RLIMIT_DATA allows.
	"data": func() {
		r := unix.Rlimit{Cur: roomForData, Max: roomForData}
		if err := unix.Prlimit(0, unix.RLIMIT_DATA, &r, nil); err != nil {
			panic(err)
		}
		for {
			b, err := unix.Mmap(-1, 0, 1<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
			if err != nil {
				return
			}
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
		}
	},
	"spin": func() {
		for n := 0; ; n++ {
		}
	},
	"sleep": func() { time.Sleep(time.Minute) },
	// A supervisor with one worker, to be killed.
	"supervisor": func() {
		tree, err := place("")
		if err == nil {
			var g *Group
			if g, err = tree.Make(small); err == nil {
				cmd := g.command("sleep")
				cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
				if err = cmd.Start(); err == nil {
					fmt.Println(g.Dir())
					time.Sleep(time.Minute)
				}
			}
		}
		fmt.Println("failed:", err)
	},
}

const roomForData = 192 << 20

func fill(flags int) {
	const size = 80 << 20
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, flags|unix.MAP_ANONYMOUS)
	if err != nil {
		panic(err)
	}
	for i := 0; i < size; i += 4096 {
		b[i] = 1
	}
}

func place(named string) (*Tree, error) {
	p, err := Find(named)
	if err != nil {
		return nil, err
	}
	return p.Open()
}

// realPlace skips a test where no real cgroups can be had, and only there.
func realPlace(t *testing.T) Place {
	t.Helper()
	p, err := Find("")
	must := strings.Split(os.Getenv(probetest.MustRun), ",")
	switch {
	case err == nil:
	case !errors.Is(err, limits.ErrUnsupported) && !errors.Is(err, ErrNotDelegated):
		t.Fatal(err)
	case slices.Contains(must, "cgroup") || slices.Contains(must, "all"):
		t.Fatalf("cgroup is listed in %s: %v", probetest.MustRun, err)
	default:
		t.Skip(err)
	}
	return p
}

// realTree opens a tree for one test, after which nothing of it is left.
func realTree(t *testing.T) *Tree {
	t.Helper()
	p := realPlace(t)
	before := children(p.dir)
	tree, err := p.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tree.Close(); err != nil {
			t.Error(err)
		}
		if after := children(p.dir); !slices.Equal(before, after) {
			t.Errorf("left in %s: %q; was %q", p.dir, after, before)
		}
	})
	return tree
}

func realGroup(t *testing.T, tree *Tree, l Limits) *Group {
	t.Helper()
	g, err := tree.Make(l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(g.Kill(), g.Remove()); err != nil {
			t.Error(err)
		}
	})
	return g
}

// command gives a process of this program in the group.
func (g *Group) command(act string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", act)
	cmd.Env = []string{"GOTRACEBACK=none"}
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	g.Spawn(cmd.SysProcAttr)
	return cmd
}

// The fake does what the kernel does, call by call.
func TestTheFake(t *testing.T) {
	p := realPlace(t)
	if !p.inside {
		t.Fatalf("this process is not in %s", p.dir)
	}
	f := newFake(t)
	f.delegate("ours")
	want := rules(linux{}, p.dir)
	got := rules(f, f.path("ours"))
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("the kernel: %s\nthe fake:   %s", want[i], got[i])
		}
	}
}

// rules tries what the package relies on, in the cgroup at dir that this process is
// in, and tells what happened.
func rules(k kernel, dir string) []string {
	var out []string
	note := func(what string, err error) {
		errno, _ := errors.AsType[syscall.Errno](err)
		out = append(out, fmt.Sprintf("%s: %v", what, unix.ErrnoName(errno)))
	}
	write := func(file, value string) { note("write "+value+" to "+file, k.write(filepath.Join(dir, file), value)) }
	mkdir := func(name string) { note("mkdir "+name, k.mkdir(filepath.Join(dir, name))) }
	rmdir := func(name string) { note("rmdir "+name, k.rmdir(filepath.Join(dir, name))) }
	read := func(file string, pick ...string) {
		text, err := k.read(filepath.Join(dir, file))
		words := strings.Fields(text)
		slices.Sort(words)
		words = slices.DeleteFunc(words, func(w string) bool { return len(pick) > 0 && !slices.Contains(pick, w) })
		note(fmt.Sprintf("read %s: %q", file, words), err)
	}
	self := strconv.Itoa(os.Getpid())

	read("cgroup.type")
	read("cgroup.procs", self)
	read("cgroup.controllers", controllers...)
	write("cgroup.subtree_control", "+cpu +memory +pids") // it holds a process
	mkdir("a")
	mkdir("a")
	read("a/cgroup.type")
	read("a/cgroup.controllers")
	for _, file := range []string{"memory.max", "pids.max", "cpu.max", "memory.events", "pids.events"} {
		read("a/" + file)
		write("a/"+file, "1")
	}
	write("a/cgroup.procs", "0")
	read("a/cgroup.procs")
	read("cgroup.procs")
	write("cgroup.subtree_control", "+cpu +memory")
	write("cgroup.subtree_control", "+pids")
	read("cgroup.subtree_control")
	read("a/cgroup.controllers")
	read("a/memory.max")
	read("a/memory.oom.group")
	read("a/pids.max")
	read("a/cpu.max")
	read("a/memory.events", "oom_kill", "0")
	read("a/pids.events")
	write("cgroup.procs", "0") // it is divided
	mkdir("b")
	write("b/cgroup.subtree_control", "+memory")
	write("b/cgroup.subtree_control", "+io") // not handed down to it
	write("b/cgroup.procs", "0")
	write("cgroup.subtree_control", "-cpu -memory -pids") // b uses it
	read("cgroup.subtree_control")
	write("b/cgroup.subtree_control", "-memory")
	mkdir("b/c")
	rmdir("b")
	rmdir("b/c")
	rmdir("b")
	rmdir("b")
	mkdir("d/e")
	rmdir("a")
	write("a/none", "1")
	write("cgroup.subtree_control", "-cpu -memory -pids")
	read("a/memory.max")
	write("cgroup.procs", "0")
	read("cgroup.procs")
	rmdir("a")
	return out
}

// A worker is born in its group, with and without namespaces of its own.
func TestBornInside(t *testing.T) {
	tree := realTree(t)
	g := realGroup(t, tree, Step(192*limits.MiB))
	attrs := []*syscall.SysProcAttr{{}}
	t.Run("namespaces", func(t *testing.T) {
		probetest.Need(t, "userns")
		plans, err := namespace.Plans(namespace.Options{Isolation: limits.Standard})
		if err != nil {
			t.Fatal(err)
		}
		attrs = append(attrs, plans[0].SysProcAttr())
	})
	for _, attr := range attrs {
		cmd := g.command("sleep")
		attr.Pdeathsig = 0
		g.Spawn(attr)
		cmd.SysProcAttr = attr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", cmd.Process.Pid))
		if !strings.Contains(string(text), "0::"+g.Path()+"\n") {
			t.Errorf("it is in %q, %v; want %s", text, err, g.Path())
		}
		if err := g.Kill(); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err == nil || err.Error() != "signal: killed" {
			t.Errorf("%v, want it to be killed", err)
		}
	}
	if e, err := g.Events(); err != nil || e != (Events{}) {
		t.Errorf("%+v, %v; want nothing out of the ordinary", e, err)
	}
}

// Memory over the limit ends the worker, and the kernel has counted it. So does
// memory that RLIMIT_DATA does not see.
func TestMemory(t *testing.T) {
	tree := realTree(t)
	for _, act := range []string{"private", "shared"} {
		g := realGroup(t, tree, small)
		err := g.command(act).Run()
		if err == nil || err.Error() != "signal: killed" {
			t.Errorf("%s: %v, want it to be killed", act, err)
		}
		if e, err := g.Events(); err != nil || e.OOMKills == 0 {
			t.Errorf("%s: %+v, %v; want a kill", act, e, err)
		}
		// It had what it was given.
		roomy := realGroup(t, tree, Limits{Memory: 128 * limits.MiB, Pids: 64, CPU: 100})
		if out, err := roomy.command(act).CombinedOutput(); err != nil {
			t.Errorf("%s with room: %v %s", act, err, out)
		}
	}
}

// Who uses all of RLIMIT_DATA has room for what the kernel needs for it.
func TestRoomForData(t *testing.T) {
	g := realGroup(t, realTree(t), Step(roomForData))
	if out, err := g.command("data").CombinedOutput(); err != nil {
		t.Errorf("%v %s", err, out)
	}
	if e, err := g.Events(); err != nil || e != (Events{}) {
		t.Errorf("%+v, %v; want nothing out of the ordinary", e, err)
	}
	if peak, err := os.ReadFile(filepath.Join(g.Dir(), "memory.peak")); err == nil { // Linux 5.19
		t.Logf("at most %s bytes of %d", strings.TrimSpace(string(peak)), Step(roomForData).Memory)
	}
}

// More processes than the limit cannot be started, and Kill reaches all of them.
func TestPids(t *testing.T) {
	tree := realTree(t)
	for _, kill := range []func(*Group) error{(*Group).Kill, (*Group).killEach} {
		g := realGroup(t, tree, small)
		cmd := exec.Command("sh", "-c", "i=0; while [ $i -lt 40 ]; do sleep 60 & i=$((i+1)); done; wait")
		cmd.SysProcAttr = &syscall.SysProcAttr{}
		g.Spawn(cmd.SysProcAttr)
		if err := cmd.Run(); err == nil {
			t.Error("40 processes were started")
		}
		if e, err := g.Events(); err != nil || e.PidsMax == 0 {
			t.Errorf("%+v, %v; want refusals", e, err)
		}
		if pids, err := g.processes(); err != nil || len(pids) != small.Pids-1 {
			t.Errorf("%d processes are left, %v; want the limit, and its first one gone", len(pids), err)
		}
		if err := kill(g); err != nil {
			t.Error(err)
		}
		if err := g.Remove(); err != nil {
			t.Errorf("after the kill: %v", err)
		}
	}
}

// Who wants more than its share of a processor is made to wait.
func TestCPU(t *testing.T) {
	tree := realTree(t)
	g := realGroup(t, tree, Limits{Memory: 64 * limits.MiB, Pids: 64, CPU: 20})
	cmd := g.command("spin")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	throttled := false
	for deadline := time.Now().Add(time.Minute); !throttled && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		text, err := os.ReadFile(filepath.Join(g.Dir(), "cpu.stat"))
		if err != nil {
			t.Fatal(err)
		}
		throttled = strings.Contains(string(text), "nr_throttled ") && !strings.Contains(string(text), "nr_throttled 0\n")
	}
	if !throttled {
		t.Error("it was never made to wait")
	}
	if err := g.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // of being killed
}

// A supervisor that was killed leaves cgroups without processes, and the next one
// removes them.
func TestKilledSupervisor(t *testing.T) {
	tree := realTree(t)
	cmd := exec.Command("/proc/self/exe", "supervisor")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	group := strings.TrimSpace(line)
	if err != nil || filepath.Dir(filepath.Dir(group)) != filepath.Dir(tree.dir) {
		t.Errorf("it says %q, %v", line, err)
	}
	sweep(linux{}, filepath.Dir(tree.dir))
	if _, err := os.Stat(group); err != nil {
		t.Errorf("a living one was swept: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // of being killed
	// Its worker takes a moment to die with it.
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if sweep(linux{}, filepath.Dir(tree.dir)); gone(group) {
			break
		}
	}
	if !gone(group) || !gone(filepath.Dir(group)) || gone(tree.dir) {
		t.Errorf("gone: its group %t, its tree %t; ours %t", gone(group), gone(filepath.Dir(group)), gone(tree.dir))
	}
}

func gone(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// A cgroup that is named serves as well, beside other trees.
func TestNamedForReal(t *testing.T) {
	tree := realTree(t)
	named := filepath.Join(filepath.Dir(tree.dir), "named")
	if err := os.Mkdir(named, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(named); err != nil {
			t.Error(err)
		}
	})
	second, err := place(named)
	if err != nil {
		t.Fatal(err)
	}
	g, err := second.Make(small)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.command("private").Run(); err == nil || err.Error() != "signal: killed" {
		t.Errorf("%v, want it to be killed", err)
	}
	if err := errors.Join(g.Remove(), second.Close()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(named); err != nil || len(children(named)) != 0 {
		t.Errorf("left in it: %q, %v", children(named), err)
	}
	if _, err := Find(t.TempDir()); err == nil || errors.Is(err, limits.ErrUnsupported) {
		t.Errorf("a directory of another file system: %v", err)
	}
}

// Whether processes can be started in a cgroup is asked without starting one.
func TestCloneStartsNothing(t *testing.T) {
	for range 3 {
		if err := (linux{}).clone(); err != nil && !errors.Is(err, limits.ErrUnsupported) {
			t.Errorf("could not tell: %v", err)
		}
	}
	if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != syscall.ECHILD {
		t.Errorf("wait4: pid %d, %v; want no child", pid, err)
	}
}

// What this machine answers is one of the three, on whatever machine.
func TestFindOnThisMachine(t *testing.T) {
	p, err := Find("")
	if err != nil {
		if w, ok := errors.AsType[*limits.WallError](err); !ok || w.Wall != "cgroup" {
			t.Errorf("%v; want a WallError", err)
		}
	} else if p.Dir() == "" {
		t.Error("a place without a directory")
	}
	t.Logf("%s %v", p.Dir(), err)
}
