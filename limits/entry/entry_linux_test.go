//go:build cgo

package entry_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/limits/entry"
	"github.com/greentic-ai/greentic-provision/limits/namespace"
	"github.com/greentic-ai/greentic-provision/limits/probe"
	"github.com/greentic-ai/greentic-provision/limits/probe/probetest"
)

// TestMain plays the worker: this binary, started again as a plan says
// ("serve WORDS") with an act behind it. By then the constructor under test has
// run.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if act := acts[os.Args[1]]; act != nil {
			// os.Exit would have the race detector sleep for a second.
			syscall.Exit(act(os.Args[2:]))
		}
	}
	// What a worker's parent has to do: nothing inherited may reach it.
	if err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		fmt.Fprintln(os.Stderr, "close_range:", err)
		os.Exit(1)
	}
	// A worker must not keep the groups of the one who starts it.
	if os.Geteuid() == 0 {
		if err := syscall.Setgroups([]int{0, 1, 2}); err != nil {
			fmt.Fprintln(os.Stderr, "setgroups:", err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// report is what a worker tells about itself.
type report struct {
	Err    string
	Wall   string
	Raised []limits.Wall

	Pid, Uid, Euid, Gid, Egid int
	Groups                    []int
	Caps                      [3]uint64 // effective, permitted, inheritable
	Bounding                  int       // capabilities in the bounding set
	Ambient                   int
	Securebits                int
	NoNewPrivs                int
	Dumpable                  int
	DeathSignal               int
	Core                      uint64
	Root                      []string // entries of /
	Tries                     map[string]string
	Descriptors               []int
}

// more are acts that not every build has.
var more = map[string]func(rest string) error{}

// acts are what this binary plays, by its first argument; they get the others.
var acts = map[string]func(args []string) int{
	entry.Command: worker,
	"parent":      parent,
	"confine":     func(args []string) int { return failed(confine(args[0], args[1:])) },
	"spawn":       func(args []string) int { return failed(spawn(args[0])) },
	"probe": func([]string) int {
		_, err := probe.Landlock()
		r := report{Err: fmt.Sprint(err)}
		if errors.Is(err, limits.ErrUnsupported) {
			r.Wall = "unsupported"
		}
		return failed(json.NewEncoder(os.Stdout).Encode(r))
	},
}

func failed(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

func worker(args []string) int {
	act := ""
	if len(args) > 1 {
		act = args[1]
	}
	switch act {
	case "report":
		return failed(json.NewEncoder(os.Stdout).Encode(describe()))
	case "wait":
		fmt.Println("ready")
		time.Sleep(time.Minute)
		return 1
	}
	if kind, rest, _ := strings.Cut(act, " "); more[kind] != nil {
		return failed(more[kind](rest))
	}
	if err := entry.DieOnFault(); err != nil {
		return failed(err)
	}
	return fault(act)
}

func describe() report {
	r := report{
		Raised: entry.Raised(),
		Pid:    os.Getpid(), Uid: os.Getuid(), Euid: os.Geteuid(), Gid: os.Getgid(), Egid: os.Getegid(),
		Tries: map[string]string{},
	}
	if err := entry.Err(); err != nil {
		r.Err = err.Error()
		if w, ok := errors.AsType[*limits.WallError](err); ok {
			r.Wall = w.Wall
		}
	}
	r.Groups, _ = os.Getgroups()
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&head, &data[0]); err != nil {
		r.Tries["capget"] = err.Error()
	}
	for i, d := range data {
		r.Caps[0] |= uint64(d.Effective) << (32 * i)
		r.Caps[1] |= uint64(d.Permitted) << (32 * i)
		r.Caps[2] |= uint64(d.Inheritable) << (32 * i)
	}
	flag := func(option int, args ...uintptr) int {
		var a [4]uintptr
		copy(a[:], args)
		v, err := unix.PrctlRetInt(option, a[0], a[1], a[2], a[3])
		if err != nil {
			return -1
		}
		return v
	}
	for c := uintptr(0); c < 64; c++ {
		r.Bounding += max(0, flag(unix.PR_CAPBSET_READ, c))
		r.Ambient += max(0, flag(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_IS_SET, c))
	}
	r.Securebits = flag(unix.PR_GET_SECUREBITS)
	r.NoNewPrivs = flag(unix.PR_GET_NO_NEW_PRIVS)
	r.Dumpable = flag(unix.PR_GET_DUMPABLE)
	r.DeathSignal = deathSignal()
	var core unix.Rlimit
	_ = unix.Prlimit(0, unix.RLIMIT_CORE, nil, &core)
	r.Core = core.Max
	entries, err := os.ReadDir("/")
	if err != nil {
		r.Root = []string{err.Error()}
	}
	for _, e := range entries {
		r.Root = append(r.Root, e.Name())
	}
	try := func(name string, err error) {
		var errno syscall.Errno
		switch {
		case err == nil:
			r.Tries[name] = "done"
		case errors.As(err, &errno):
			r.Tries[name] = unix.ErrnoName(errno)
		default:
			r.Tries[name] = err.Error()
		}
	}
	open := func(path string) error {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			unix.Close(fd)
		}
		return err
	}
	socket := func(family int, use func(fd int) error) error {
		fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return use(fd)
	}
	try("open /", open("/"))
	try("open a file", open("/etc/passwd"))
	try("open /proc/self/maps", unix.Access("/proc/self/maps", unix.F_OK))
	try("open ../../etc/passwd", unix.Access("../../etc/passwd", unix.F_OK))
	try("open /dev/null", unix.Access("/dev/null", unix.F_OK))
	try("create", unix.Mkdir("x", 0o700))
	try("execute", exec.Command("/bin/true").Run())
	try("mount", unix.Mount("none", "/", "tmpfs", 0, ""))
	try("remount", unix.Mount("none", "/", "", unix.MS_REMOUNT|unix.MS_BIND, ""))
	try("unmount", unix.Unmount("/", unix.MNT_DETACH))
	try("setuid 0", unix.Setuid(0))
	try("setgid 0", unix.Setgid(0))
	try("sethostname", unix.Sethostname([]byte("x")))
	loopback := [4]byte{127, 0, 0, 1}
	try("bind TCP", socket(unix.AF_INET, func(fd int) error { return unix.Bind(fd, &unix.SockaddrInet4{Addr: loopback}) }))
	try("connect to loopback", socket(unix.AF_INET, func(fd int) error {
		return unix.Connect(fd, &unix.SockaddrInet4{Port: 1, Addr: loopback})
	}))
	if parent := os.Getppid(); parent > 0 { // not in a pid namespace of its own
		try("connect to an abstract socket", socket(unix.AF_UNIX, func(fd int) error { return unix.Connect(fd, abstract(parent)) }))
		try("signal the parent", unix.Kill(parent, 0))
	}
	try("signal itself", unix.Tgkill(os.Getpid(), unix.Gettid(), unix.SIGURG))
	for fd := range 64 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			r.Descriptors = append(r.Descriptors, fd)
		}
	}
	return r
}

// command makes a worker of the plan. The caller may change it before it starts.
func command(p namespace.Plan, act string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", append(p.Args(), act)...)
	cmd.Env = []string{"LANG=C", "GOTRACEBACK=none"}
	cmd.Dir = "/"
	cmd.SysProcAttr = p.SysProcAttr()
	// The test's goroutine may move between threads that end; see SysProcAttr.
	cmd.SysProcAttr.Pdeathsig = 0
	return cmd
}

func ask(t *testing.T, cmd *exec.Cmd) report {
	t.Helper()
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("worker: %v, stderr %q", err, stderr.String())
	}
	var r report
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	return r
}

func plan(t *testing.T, isolation limits.Isolation, name string) namespace.Plan {
	t.Helper()
	plans, err := namespace.Plans(namespace.Options{Isolation: isolation})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(plans, func(p namespace.Plan) bool { return p.Name == name || name == "" })
	if i < 0 {
		t.Skipf("uid %d has no plan %q", os.Getuid(), name)
	}
	return plans[i]
}

// TestWalls looks at a worker from the inside under every plan that this user
// has: run the tests as root and as somebody else to see them all. Without Landlock
// the walls behind it show: what it answers, each of them would answer otherwise.
func TestWalls(t *testing.T) {
	abi, err := probe.Landlock()
	if err != nil && !errors.Is(err, limits.ErrUnsupported) {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		isolation limits.Isolation
		plan      string
		landlock  bool
	}{
		{limits.Strict, "root", true}, {limits.Strict, "single", true},
		{limits.Standard, "root", true}, {limits.Standard, "single", true}, {limits.Standard, "shared", true},
		{limits.Standard, "root", false}, {limits.Standard, "single", false}, {limits.Standard, "shared", false},
	} {
		t.Run(fmt.Sprintf("%s/%s/landlock=%t", tt.isolation, tt.plan, tt.landlock), func(t *testing.T) {
			p := plan(t, tt.isolation, tt.plan)
			if p.OwnUsers {
				probetest.Need(t, "userns")
			}
			cmd := command(p, "report")
			landlock := limits.Wall{Name: "landlock", Raised: true, Detail: fmt.Sprintf("ABI %d: files", min(abi, 10))}
			if abi >= 4 {
				landlock.Detail += ", TCP"
			}
			if abi >= 10 {
				landlock.Detail += ", UDP"
			}
			if abi >= 6 {
				landlock.Detail += ", scopes"
			}
			if tt.landlock {
				probetest.Need(t, "landlock")
			} else {
				cmd.Args[2] = strings.ReplaceAll(cmd.Args[2], ",landlock?", "")
				landlock.Raised, landlock.Detail = false, "not asked for"
			}
			r := ask(t, cmd)
			if r.Err != "" {
				t.Fatal(r.Err)
			}
			want := []limits.Wall{
				{Name: "mount", Raised: true, Detail: "empty read-only root"},
				{Name: "identity", Raised: true, Detail: "uid 65534 gid 65534"},
				{Name: "capabilities", Raised: true, Detail: "no capability, bounding set empty"},
				{Name: "no-new-privs", Raised: true},
				{Name: "no-dump", Raised: true, Detail: "not dumpable, no core file"},
				landlock,
			}
			if !slices.Equal(r.Raised, want) {
				t.Errorf("raised %v\nwant   %v", r.Raised, want)
			}
			if r.Pid != 1 {
				t.Errorf("process id %d, want 1", r.Pid)
			}
			if ids := [4]int{r.Uid, r.Euid, r.Gid, r.Egid}; ids != [4]int{65534, 65534, 65534, 65534} {
				t.Errorf("ids %v", ids)
			}
			if len(r.Groups) > 0 && tt.plan != "single" {
				t.Errorf("supplementary groups %v", r.Groups)
			}
			if r.Caps != [3]uint64{} || r.Bounding != 0 || r.Ambient != 0 {
				t.Errorf("capabilities %x, %d in the bounding set, %d ambient", r.Caps, r.Bounding, r.Ambient)
			}
			if r.Securebits != 0xeb {
				t.Errorf("securebits %#x, want 0xeb: noroot and no ambient raise set, all four locked", r.Securebits)
			}
			if r.NoNewPrivs != 1 || r.Dumpable != 0 || r.Core != 0 || r.DeathSignal != int(unix.SIGKILL) {
				t.Errorf("no_new_privs %d, dumpable %d, core %d, death signal %d", r.NoNewPrivs, r.Dumpable, r.Core, r.DeathSignal)
			}
			if !tt.landlock && len(r.Root) != 0 {
				t.Errorf("/ holds %q", r.Root)
			}
			if !slices.Equal(r.Descriptors, []int{0, 1, 2}) {
				// The Go runtime opens cgroup files to follow the processor quota
				// when it finds any: it must not.
				t.Errorf("open descriptors %v", r.Descriptors)
			}
			tries := map[string]string{
				"open /":                "done",
				"open /proc/self/maps":  "ENOENT",
				"open ../../etc/passwd": "ENOENT",
				"open /dev/null":        "ENOENT",
				"create":                "EROFS",
				"mount":                 "EPERM",
				"remount":               "EPERM",
				"unmount":               "EPERM",
				"setuid 0":              "EPERM",
				"setgid 0":              "EPERM",
				"sethostname":           "EPERM",
				"bind TCP":              "done",
				"connect to loopback":   "ENETUNREACH",
			}
			if tt.plan == "single" { // not mapped: uid 0 does not exist in there
				tries["setuid 0"], tries["setgid 0"] = "EINVAL", "EINVAL"
			}
			if tt.landlock {
				tries["open /"] = "EACCES"
			}
			if tt.landlock && abi >= 4 {
				tries["bind TCP"], tries["connect to loopback"] = "EACCES", "EACCES"
			}
			for try, want := range tries {
				if got := r.Tries[try]; got != want {
					t.Errorf("%s: %s, want %s", try, got, want)
				}
			}
		})
	}
}

// Landlock alone, in a process that has the host around it.
func TestLandlock(t *testing.T) {
	probetest.Need(t, "landlock")
	abi, err := probe.Landlock()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, abstract(os.Getpid())); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 4); err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{"nnp", "nnp,landlock"} {
		cmd := exec.Command("/proc/self/exe", entry.Command, words, "report")
		cmd.Dir = t.TempDir()
		r := ask(t, cmd)
		if r.Err != "" {
			t.Fatal(r.Err)
		}
		for _, tt := range []struct {
			try    string
			since  int // of the ABI
			denied string
		}{
			{"open /", 1, "EACCES"},
			{"open a file", 1, "EACCES"},
			{"execute", 1, "EACCES"},
			{"create", 1, "EACCES"},
			{"bind TCP", 4, "EACCES"},
			{"connect to an abstract socket", 6, "EPERM"},
			{"signal the parent", 6, "EPERM"},
			{"signal itself", math.MaxInt, ""},
		} {
			want := "done"
			if words != "nnp" && abi >= tt.since {
				want = tt.denied
			}
			if got := r.Tries[tt.try]; got != want {
				t.Errorf("%s: %s: %s, want %s", words, tt.try, got, want)
			}
		}
	}
}

// abstract is where the test process pid listens.
func abstract(pid int) *unix.SockaddrUnix {
	return &unix.SockaddrUnix{Name: fmt.Sprintf("@greentic-entry-test-%d", pid)}
}

// Isolation none raises what it can and says what it did not.
func TestBare(t *testing.T) {
	p := plan(t, limits.None, "bare")
	r := ask(t, command(p, "report"))
	if r.Err != "" {
		t.Fatal(r.Err)
	}
	state := map[string]bool{}
	for _, w := range r.Raised {
		state[w.Name] = w.Raised
	}
	_, unsupported := probe.Landlock()
	want := map[string]bool{"mount": false, "identity": os.Getuid() == 0, "capabilities": true, "no-new-privs": true, "no-dump": true,
		"landlock": unsupported == nil}
	for name, raised := range want {
		if state[name] != raised {
			t.Errorf("%s raised: %t, want %t (%v)", name, state[name], raised, r.Raised)
		}
	}
	if r.Caps != [3]uint64{} || r.NoNewPrivs != 1 || r.Dumpable != 0 {
		t.Errorf("capabilities %x, no_new_privs %d, dumpable %d", r.Caps, r.NoNewPrivs, r.Dumpable)
	}
	if r.Tries["open ../../etc/passwd"] != "done" {
		t.Error("the host's root is gone, in the host's own mount namespace")
	}
}

// Words are given to a worker without namespaces; an ordinary user then cannot
// mount, which must stop it or be reported, as the word says.
func TestWords(t *testing.T) {
	for _, tt := range []struct {
		args []string
		wall string // of the error; "" for none
		text string // in it
	}{
		{[]string{"serve", "nnp,nodump", "report"}, "", ""},
		{[]string{"serve", "nnp,fly", "report"}, "entry", "unknown word"},
		{[]string{"serve", "id=0", "report"}, "entry", "unknown word"},
		{[]string{"serve", "id=65534x", "report"}, "entry", "unknown word"},
		{[]string{"serve", "id=", "report"}, "entry", "unknown word"},
		{[]string{"serve", "stack=0", "report"}, "entry", "unknown word"},
		{[]string{"serve", "stack=1", "report"}, "entry", "stack size"},
		{[]string{"serve", "?", "report"}, "entry", "unknown word"},
		{[]string{"serve", strings.Repeat("nnp,", 100), "report"}, "entry", "too long"},
		{[]string{"serve", "", "report"}, "", ""},
	} {
		t.Run(strings.Join(tt.args[:2], " "), func(t *testing.T) {
			cmd := exec.Command("/proc/self/exe", tt.args...)
			r := ask(t, cmd)
			if r.Wall != tt.wall || !strings.Contains(r.Err, tt.text) {
				t.Errorf("wall %q, error %q; want %q, %q", r.Wall, r.Err, tt.wall, tt.text)
			}
			nnp := r.NoNewPrivs == 1
			if want := tt.args[1] == "nnp,nodump"; nnp != want {
				t.Errorf("no_new_privs is set: %t, want %t", nnp, want)
			}
		})
	}
}

// The words that limits/namespace writes must all be known to the C code: a plan
// with each of them must not be refused for its words.
func TestWordsOfNamespace(t *testing.T) {
	for _, isolation := range []limits.Isolation{limits.Strict, limits.Standard, limits.None} {
		plans, err := namespace.Plans(namespace.Options{Isolation: isolation, ThreadStack: 2 * limits.MiB})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range plans {
			// In a bare process, where mounting may fail for other reasons and
			// must not be tried as root on the host.
			words := p.Args()[1]
			if os.Getuid() == 0 {
				words = strings.ReplaceAll(words, "mount", "nnp")
			}
			r := ask(t, exec.Command("/proc/self/exe", entry.Command, words, "report"))
			if r.Wall == "entry" {
				t.Errorf("%s: words %q: %s", p.Name, words, r.Err)
			}
		}
	}
}

// A failed step stops the steps after it, unless it may fail.
func TestFailure(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root can do all of it")
	}
	r := ask(t, exec.Command("/proc/self/exe", entry.Command, "mount,nnp", "report"))
	if r.Wall != "mount" || r.NoNewPrivs != 0 {
		t.Errorf("mount fails: wall %q (%s), no_new_privs %d", r.Wall, r.Err, r.NoNewPrivs)
	}
	r = ask(t, exec.Command("/proc/self/exe", entry.Command, "mount?,nnp", "report"))
	if r.Err != "" || r.NoNewPrivs != 1 {
		t.Errorf("mount may fail: %s, no_new_privs %d", r.Err, r.NoNewPrivs)
	}
	if r.Raised[0].Raised || !strings.Contains(r.Raised[0].Detail, "operation not permitted") {
		t.Errorf("mount may fail: reported as %+v", r.Raised[0])
	}
}

func TestLeakedDescriptorsAreClosed(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	var want []int // of a worker that was given the socket's place only
	for _, extra := range []int{1, 2, 5} {
		cmd := exec.Command("/proc/self/exe", entry.Command, "nnp", "report")
		for range extra {
			cmd.ExtraFiles = append(cmd.ExtraFiles, null)
		}
		r := ask(t, cmd)
		if extra == 1 {
			want = r.Descriptors
		}
		if r.Err != "" || !slices.Equal(r.Descriptors, want) {
			t.Errorf("%d descriptors from 3 up: %q, open %v, want %v", extra, r.Err, r.Descriptors, want)
		}
	}
}

// A worker that was linked with an executable stack has memory that is writable
// and executable from the start. One is linked here, from this very test.
func TestExecutableStack(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("needs the go command")
	}
	if source, err := os.Stat("entry_linux.c"); err != nil || int(source.Sys().(*syscall.Stat_t).Uid) != os.Getuid() {
		t.Skip("needs the source of this package, and the build cache of its owner")
	}
	for _, tt := range []struct {
		flag string
		want string
	}{{"noexecstack", ""}, {"execstack", "entry"}} {
		exe := filepath.Join(t.TempDir(), "worker")
		build := exec.Command("go", "test", "-c", "-o", exe, "-ldflags=-linkmode=external -extldflags=-Wl,-z,"+tt.flag, ".")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		r := ask(t, exec.Command(exe, entry.Command, "nnp", "report"))
		if r.Wall != tt.want || tt.want != "" && !strings.Contains(r.Err, "executable stack") {
			t.Errorf("%s: wall %q, error %q", tt.flag, r.Wall, r.Err)
		}
	}
}

// This process is not a worker: the constructor must have left it alone.
func TestOtherCommand(t *testing.T) {
	if entry.Ran() {
		t.Fatal("the constructor acted")
	}
	if err := entry.Err(); err == nil {
		t.Error("a process without walls reports no error")
	}
	for _, w := range entry.Raised() {
		if w.Raised {
			t.Errorf("%s is reported as raised", w.Name)
		}
	}
	if v, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || v == 0 {
		t.Errorf("dumpable %d, %v", v, err)
	}
}

// Every fatal signal ends the worker with 128 plus its number, whether the
// worker is process 1 of its namespace or not, and whoever sends it.
func TestDieOnFault(t *testing.T) {
	plans := []namespace.Plan{plan(t, limits.None, "bare")}
	if probe.UserNamespaces() == nil {
		plans = append(plans, plan(t, limits.Standard, ""))
	}
	acts := map[string]syscall.Signal{"nil": syscall.SIGSEGV, "nil in a goroutine": syscall.SIGSEGV, "bus": syscall.SIGBUS}
	for _, sig := range []syscall.Signal{
		syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGILL, syscall.SIGFPE, syscall.SIGABRT, syscall.SIGSYS, syscall.SIGTRAP,
		syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGXCPU, syscall.SIGXFSZ, syscall.SIGUSR1,
	} {
		acts["raise "+strconv.Itoa(int(sig))] = sig
	}
	for _, p := range plans {
		for act, sig := range acts {
			t.Run(p.Name+"/"+act, func(t *testing.T) {
				cmd := command(p, act)
				var out strings.Builder
				cmd.Stdout, cmd.Stderr = &out, &out
				err := cmd.Run()
				exit, ok := errors.AsType[*exec.ExitError](err)
				if !ok || exit.ExitCode() != 128+int(sig) {
					t.Errorf("%v, want exit status %d", err, 128+int(sig))
				}
				// The race detector finds no /proc behind the mount wall, and says so.
				if said := raceWarning.ReplaceAllString(out.String(), ""); said != "" {
					t.Errorf("said %q", said)
				}
			})
		}
	}
}

var raceWarning = regexp.MustCompile(`(?m)^==1==WARNING: reading executable name failed.*\n`)

func TestHandlersRunOnTheAlternateStack(t *testing.T) {
	if out, err := command(plan(t, limits.None, "bare"), "alternate stack").CombinedOutput(); err != nil {
		t.Errorf("%v, said %q", err, out)
	}
}

// A broken pipe is an error of write, not the end.
func TestSIGPIPEIsIgnored(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	cmd := command(plan(t, limits.None, "bare"), "pipe")
	cmd.Stdout = w
	if err := cmd.Run(); err != nil {
		t.Error(err)
	}
}

// The worker must not outlive its parent. Arming the signal at spawn is not
// enough: the kernel forgets it when the ids change, so the constructor arms it
// again.
func TestParentDeath(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	// A parent in between that can be killed.
	cmd := exec.Command("/proc/self/exe", "parent")
	cmd.Stdout = w
	err = cmd.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(r)
	if line, err := lines.ReadString('\n'); err != nil || line != "ready\n" {
		t.Errorf("the worker said %q, %v", line, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // killed
	// Both hold the pipe; it ends when both are gone.
	if rest, err := io.ReadAll(lines); err != nil {
		t.Errorf("the worker lives on: %q, %v", rest, err)
	}
}

// parent starts a worker from a thread that lasts, and waits.
func parent([]string) int {
	runtime.LockOSThread()
	isolation := limits.Standard
	if probe.UserNamespaces() != nil {
		isolation = limits.None
	}
	plans, err := namespace.Plans(namespace.Options{Isolation: isolation})
	if err != nil {
		return 1
	}
	p := plans[len(plans)-1]
	if isolation == limits.Standard {
		p = plans[0]
	}
	cmd := exec.Command("/proc/self/exe", append(p.Args(), "wait")...)
	cmd.Env = []string{"LANG=C"}
	cmd.SysProcAttr = p.SysProcAttr()
	cmd.Stdout = os.Stdout
	if err := cmd.Run(); err != nil {
		return 1
	}
	return 0
}
