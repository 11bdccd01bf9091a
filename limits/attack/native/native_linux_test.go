//go:build cgo && !race

// Not in a race build: the detector's shadow memory is several times what it
// watches, and counts against RLIMIT_DATA. Without cgo there is no limits/entry.

package native

import (
	"errors"
	"fmt"
	"maps"
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

	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/limits/attack"
	"github.com/greentic-ai/greentic-provision/limits/entry"
	"github.com/greentic-ai/greentic-provision/limits/mdwe"
	"github.com/greentic-ai/greentic-provision/limits/namespace"
	"github.com/greentic-ai/greentic-provision/limits/probe/probetest"
	"github.com/greentic-ai/greentic-provision/limits/rlimit"
	"github.com/greentic-ai/greentic-provision/limits/seccomp/policy"
)

// TestMain plays the probe: this binary, started again as a plan says ("serve WORDS"),
// with the code generator, the stage, the attack and "rlimits" behind it. By then
// limits/entry has run.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == entry.Command {
		os.Exit(probe(limits.Codegen(os.Args[3]), attack.Stage(os.Args[4]), os.Args[5], os.Args[6] == "rlimits"))
	}
	os.Exit(m.Run())
}

// noWalls is the exit status of a probe that could not raise its walls.
const noWalls = 90

// probe raises the walls of a stage in the order in which a worker does, makes the
// attack and prints what the kernel answered.
func probe(codegen limits.Codegen, stage attack.Stage, name string, limited bool) int {
	if err := raise(codegen, stage, limited); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return noWalls
	}
	errno, detail := Do(name)
	fmt.Printf("%d %s\n", errno, detail)
	return 0
}

func raise(codegen limits.Codegen, stage attack.Stage, limited bool) error {
	if err := entry.Err(); err != nil {
		return err
	}
	if err := entry.DieOnFault(); err != nil {
		return err
	}
	// Go's poller, as the worker has it (ipc/socketpair).
	time.AfterFunc(time.Hour, func() {}).Stop()
	if limited {
		spec := rlimit.Spec{Data: limits.Default().Data(), CPU: attack.CPUSeconds, Stack: limits.Default().Stack, OwnUsers: os.Getpid() == 1}
		if _, err := rlimit.Step(spec).Apply(); err != nil {
			return err
		}
	}
	stages := attack.Stages(codegen)
	for _, s := range stages[:slices.Index(stages, stage)+1] {
		var err error
		switch s {
		case attack.Load:
			_, err = policy.Install(policy.Load, policy.Probe, os.Getpid(), codegen)
		case attack.MDWE:
			if _, err = mdwe.Raise(); errors.Is(err, limits.ErrUnsupported) {
				err = nil
			}
		case attack.Run:
			_, err = policy.Install(policy.Run, policy.Probe, os.Getpid(), codegen)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// cell is what a probe is started in. A test takes one thing out of it.
type cell struct {
	attr    *syscall.SysProcAttr
	words   []string
	env     []string
	rlimits bool
	codegen limits.Codegen
}

func newCell(t *testing.T) *cell {
	t.Helper()
	plans, err := namespace.Plans(namespace.Options{Isolation: limits.Standard})
	if err != nil {
		t.Fatal(err)
	}
	c := &cell{
		attr:    plans[0].SysProcAttr(),
		words:   strings.Split(plans[0].Args()[1], ","),
		env:     []string{"LANG=C", "GOTRACEBACK=none", "GOMAXPROCS=1"}, // as the supervisor's
		rlimits: true,
		codegen: limits.Native,
	}
	c.attr.Pdeathsig = 0 // the thread that starts it may end before
	return c
}

// without takes a namespace away.
func (c *cell) without(namespace uintptr) {
	c.attr.Cloneflags &^= namespace
	if namespace == unix.CLONE_NEWUSER {
		c.attr.UidMappings, c.attr.GidMappings, c.attr.GidMappingsEnableSetgroups = nil, nil, false
	}
}

// unsaid takes what the words (without "?" and "=…") make limits/entry do away.
func (c *cell) unsaid(words ...string) {
	c.words = slices.DeleteFunc(c.words, func(w string) bool {
		name, _, _ := strings.Cut(strings.TrimSuffix(w, "?"), "=")
		return slices.Contains(words, name)
	})
}

// outcome is what became of a probe.
type outcome struct {
	signal string
	errno  syscall.Errno
	detail string
}

func (o outcome) String() string {
	if o.signal != "" {
		return "killed by " + o.signal
	}
	return strings.TrimSpace(attack.ErrnoName(o.errno) + " " + o.detail)
}

func holds(a attack.Attack, o outcome) bool { return a.Expect.Holds(o.signal, o.errno, o.detail) }

// attempt starts a probe in the cell and says what became of it.
func (c *cell) attempt(t *testing.T, stage attack.Stage, name string) outcome {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
	defer ours.Close()
	defer theirs.Close()
	rlimits := "none"
	if c.rlimits {
		rlimits = "rlimits"
	}
	cmd := exec.Command("/proc/self/exe", entry.Command, strings.Join(c.words, ","), string(c.codegen), string(stage), name, rlimits)
	cmd.Env, cmd.SysProcAttr, cmd.WaitDelay = c.env, c.attr, 30*time.Second
	// The second is one that should not be there.
	cmd.ExtraFiles = []*os.File{theirs, theirs}
	var out, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		ws := exit.Sys().(syscall.WaitStatus)
		switch {
		case ws.Signaled():
			return outcome{signal: unix.SignalName(ws.Signal())}
		case ws.ExitStatus() > 128: // limits/entry
			return outcome{signal: unix.SignalName(syscall.Signal(ws.ExitStatus() - 128))}
		}
		t.Fatalf("%s: %v: %s", name, exit, stderr.String())
	}
	if err != nil {
		t.Fatal(err)
	}
	number, detail, _ := strings.Cut(strings.TrimSuffix(out.String(), "\n"), " ")
	errno, err := strconv.ParseUint(number, 10, 12)
	if err != nil {
		t.Fatalf("%s said %q", name, out.String())
	}
	return outcome{errno: syscall.Errno(errno), detail: detail}
}

// Needs of attacks that a kernel may not have the wall for.
var needs = map[string]string{"landlock": "landlock", "mdwe": "mdwe"}

// Behind all its walls a worker is stopped as the list says.
func TestEveryAttackIsStopped(t *testing.T) {
	probetest.Need(t, "userns", "seccomp")
	for _, a := range attack.All() {
		if a.Wall == "cgroup" {
			continue // limits/cgroup, where one can be made
		}
		t.Run(a.Name, func(t *testing.T) {
			t.Parallel()
			if need, ok := needs[a.Wall]; ok {
				probetest.Need(t, need)
			}
			if got := newCell(t).attempt(t, a.Stage, a.Name); !holds(a, got) {
				t.Errorf("%s at stage %s: %s, want %s", a.Tries, a.Stage, got, a.Expect)
			}
		})
	}
}

// Where bytecode is interpreted the walls have another order, and still stop what they
// must.
func TestEveryAttackIsStoppedBesideTheInterpreter(t *testing.T) {
	probetest.Need(t, "userns", "seccomp", "mdwe")
	for _, a := range attack.All() {
		if a.Wall != "mdwe" && a.Wall != "seccomp-load" {
			continue
		}
		t.Run(a.Name, func(t *testing.T) {
			t.Parallel()
			c := newCell(t)
			c.codegen = limits.Interpreter
			if got := c.attempt(t, a.Stage, a.Name); !holds(a, got) {
				t.Errorf("%s at stage %s: %s, want %s", a.Tries, a.Stage, got, a.Expect)
			}
		})
	}
}

// Without its wall, and with all others, an attack succeeds or ends in another way:
// it is this wall that it tells about.
func TestWithoutItsWallAnAttackIsNotStopped(t *testing.T) {
	probetest.Need(t, "userns")
	root := os.Geteuid() == 0
	said := func(words ...string) func(*cell) { return func(c *cell) { c.unsaid(words...) } }
	shared := func(namespace uintptr) func(*cell) { return func(c *cell) { c.without(namespace) } }
	unlimited := func(c *cell) { c.rlimits = false }

	// Rlimits that this process has not got itself say nothing about the worker's.
	hard := func(resource int) uint64 {
		var l unix.Rlimit
		if err := unix.Getrlimit(resource, &l); err != nil {
			t.Fatal(err)
		}
		return l.Max
	}
	// An ordinary user's worker has capabilities until it gives them up, but not this
	// one, and is never root; his namespaces need one of users.
	asRoot := func(take func(*cell)) func(*cell) {
		if !root {
			return nil
		}
		return take
	}
	given := func(ok bool, take func(*cell)) func(*cell) {
		if !ok {
			return nil
		}
		return take
	}
	segment, err := unix.SysvShmGet(unix.IPC_PRIVATE, 4096, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := unix.SysvShmCtl(segment, unix.IPC_RMID, nil); err != nil {
			t.Error(err)
		}
	})

	for name, take := range map[string]func(*cell){
		"become-another-user": asRoot(shared(unix.CLONE_NEWUSER)),
		"signal-everybody":    shared(unix.CLONE_NEWPID),
		"connect-loopback":    given(connects(t), shared(unix.CLONE_NEWNET)),
		"find-shared-memory":  shared(unix.CLONE_NEWIPC),
		"find-etc":            said("mount"),
		"find-proc":           said("mount"),
		"make-directory":      said("mount"),
		// Whoever leaves uid 0 leaves its capabilities, and is not dumpable any more.
		"become-root":        asRoot(said("id")),
		"join-root":          asRoot(said("id", "caps")),
		"gain-capability":    said("id", "caps"),
		"change-root":        asRoot(said("id", "caps")),
		"unset-no-new-privs": said("nnp", "landlock"), // which needs the bit
		"read-worker":        said("id", "nodump"),
		"open-root":          said("landlock"),
		"read-environment":   func(c *cell) { c.env = append(c.env, "TOKEN=x") },
		"allocate":           unlimited,
		"open-descriptors":   given(hard(unix.RLIMIT_NOFILE) > mostDescriptors, unlimited),
		"fork-bomb":          unlimited,
		"write-file":         unlimited,
		// limits/entry sets that one, too.
		"raise-core":              given(hard(unix.RLIMIT_CORE) == unix.RLIM_INFINITY, func(c *cell) { c.unsaid("nodump"); unlimited(c) }),
		"raise-stack":             given(hard(unix.RLIMIT_STACK) == unix.RLIM_INFINITY, unlimited),
		"lock-memory":             given(hard(unix.RLIMIT_MEMLOCK) > 0, unlimited),
		"make-queue":              given(hasQueues() && hard(unix.RLIMIT_MSGQUEUE) > 1<<16, unlimited),
		"open-at-load":            func(*cell) {},
		"socket-at-load":          func(*cell) {},
		"clone-at-load":           func(*cell) {},
		"execute-at-load":         func(*cell) {},
		"mmap-write-exec-at-load": func(*cell) {},
		"gain-exec":               func(*cell) {},
		"unset-mdwe":              func(*cell) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if take == nil {
				t.Skip("this user or this machine has nothing to take away")
			}
			a, ok := attack.Find(name)
			if !ok {
				t.Fatal("there is no such attack")
			}
			c := newCell(t)
			take(c)
			stage := a.Stage
			switch a.Wall {
			case "seccomp-load", "mdwe": // without means before
				stages := attack.Stages(c.codegen)
				stage = stages[slices.Index(stages, stage)-1]
			}
			if got := c.attempt(t, stage, name); holds(a, got) {
				t.Errorf("%s: %s, as with the wall", a.Tries, got)
			}
		})
	}
}

// connects says whether an attack on loopback works here at all.
func connects(t *testing.T) bool {
	t.Helper()
	errno, detail := Do("connect-loopback")
	if errno != 0 {
		t.Logf("loopback: %v %s", errno, detail)
	}
	return errno == 0
}

func hasQueues() bool {
	_, err := os.Stat("/proc/sys/fs/mqueue")
	return err == nil
}

// Every attack of the list can be made, and there are no others.
func TestActsAreThoseOfTheList(t *testing.T) {
	var listed []string
	for _, a := range attack.All() {
		listed = append(listed, a.Name)
	}
	slices.Sort(listed)
	if made := slices.Sorted(maps.Keys(acts())); !slices.Equal(made, listed) {
		t.Errorf("acts %q\nlist %q", made, listed)
	}
}

// What is no attack must not pass for one that was stopped.
func TestUnknownAttack(t *testing.T) {
	if errno, detail := Do("no-such-attack"); errno != 0 || !strings.Contains(detail, "no-such-attack") {
		t.Errorf("%v, %q", errno, detail)
	}
}

func TestCountDescriptorsCounts(t *testing.T) {
	count := func() (n int) {
		errno, detail := Do("count-descriptors")
		if _, err := fmt.Sscan(detail, &n); err != nil || errno != 0 {
			t.Fatalf("%v, %q", errno, detail)
		}
		return n
	}
	before := count()
	var files []*os.File
	for range 3 {
		f, err := os.Open("/")
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	if got := count(); got != before+3 {
		t.Errorf("%d descriptors, and %d with three more", before, got)
	}
	for _, f := range files {
		f.Close()
	}
}

// The name of a setting is told, its value never.
func TestReadEnvironmentTellsNamesOnly(t *testing.T) {
	t.Setenv("ATTACK_TOKEN", "hunter2")
	_, detail := Do("read-environment")
	if !strings.Contains(detail, "ATTACK_TOKEN") || strings.Contains(detail, "hunter2") {
		t.Errorf("%q", detail)
	}
}

// An attack that nothing stops leaves nothing behind: it is made here, without any
// wall, in a process that goes on.
func TestAttacksThatSucceedAreHarmless(t *testing.T) {
	// These change the process or its thread for good, or end it, or take long.
	not := []string{"become-another-user", "become-root", "join-root", "gain-capability", "change-root", "setuid", "seccomp", "seccomp-one-thread",
		"prctl-no-new-privs", "prctl-dumpable", "prctl-death-signal", "prctl-name", "i386-getpid", "burn-processor", "share-memory", "fork-bomb"}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	before := leftovers(t)
	for _, a := range attack.All() {
		if slices.Contains(not, a.Name) {
			continue
		}
		errno, detail := Do(a.Name)
		after := leftovers(t)
		if !maps.Equal(before, after) {
			t.Errorf("%s (%v %s) left %v, before it %v", a.Name, errno, detail, after, before)
			before = after
		}
	}
	if now, err := os.Getwd(); err != nil || now != here {
		t.Errorf("the directory is %s, was %s: %v", now, here, err)
	}
}

// leftovers counts what could stay: descriptors, children, names in the root.
func leftovers(t *testing.T) map[string]int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	children, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{"descriptors": len(fds)}
	for _, name := range children {
		b, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		count["children"] += len(strings.Fields(string(b)))
	}
	root, err := os.ReadDir("/")
	if err != nil {
		t.Fatal(err)
	}
	count["names in /"] = len(root)
	return count
}
