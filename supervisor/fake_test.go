//go:build linux

package supervisor_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/ipc"
	"github.com/greentic-ai/greentic-provision/ipc/socketpair"
)

// The test binary is also its own worker: started as `BINARY serve …` it speaks the
// protocol up to some point and then does what a worker that was taken over might do.
// Which of the personalities it has is in files beside the link that it was started
// by, because workers start with an empty environment and arguments of the
// supervisor's.

const (
	fakeBuild  = "fake-build"
	fakeEngine = "fake-engine"
)

// fakeWorker gives the path of a worker that always has that personality, unless
// nextWorker says otherwise.
func fakeWorker(t *testing.T, personality string) string {
	t.Helper()
	if _, ok := personalityOf(personality); !ok {
		t.Fatalf("no personality %q", personality)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "step-worker")
	if err := os.Symlink(self, path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(beside(path, "always"), []byte(personality), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func beside(worker, file string) string { return filepath.Join(filepath.Dir(worker), file) }

// nextWorker gives one process a personality of its own: the one that is started
// after so many others.
func nextWorker(t *testing.T, worker, personality string, after int) {
	t.Helper()
	if _, ok := personalityOf(personality); !ok {
		t.Fatalf("no personality %q", personality)
	}
	if err := os.WriteFile(beside(worker, "next."+strconv.Itoa(after)), []byte(personality), 0o644); err != nil {
		t.Fatal(err)
	}
}

// whoAmI is the other end of fakeWorker and nextWorker.
func whoAmI(worker string) (string, error) {
	next := func(n int) string { return beside(worker, "next."+strconv.Itoa(n)) }
	b, err := os.ReadFile(next(0))
	if err == nil {
		return string(b), os.Remove(next(0))
	}
	if err := os.Rename(next(1), next(0)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	b, err = os.ReadFile(beside(worker, "always"))
	return string(b), err
}

// exit ends a fake. os.Exit would sleep for a second in a race build (GORACE,
// atexit_sleep_ms).
func exit(code int) { syscall.Exit(code) }

// fake is the worker side of a personality.
type fake struct {
	conn *ipc.Conn
	raw  *os.File // the same socket, for bytes that are no protocol
	id   uint32   // of the Invoke under way
	role string   // once Welcome has said it
	// files came with the message that was received last.
	files []*os.File
}

func runFake() {
	name, err := whoAmI(os.Args[0])
	if err != nil {
		panic(err)
	}
	play, ok := personalityOf(name)
	if !ok {
		panic("no personality " + name)
	}
	raw := os.NewFile(socketpair.WorkerFD, "socket")
	dup, err := syscall.Dup(socketpair.WorkerFD)
	if err != nil {
		panic(err)
	}
	stream, err := socketpair.Open(os.NewFile(uintptr(dup), "socket"))
	if err != nil {
		panic(err)
	}
	play(&fake{conn: ipc.NewConn(stream, ipc.WorkerSide), raw: raw})
	exit(0)
}

func (f *fake) send(m ipc.Message) {
	if err := f.conn.Send(f.id, m); err != nil {
		fmt.Fprintln(os.Stderr, "fake:", err)
		exit(3)
	}
}

// recv ends the fake when the supervisor has gone.
func (f *fake) recv() ipc.Message {
	env, err := f.conn.Recv()
	if err != nil {
		if err != io.EOF {
			fmt.Fprintln(os.Stderr, "fake:", err)
		}
		exit(0)
	}
	for _, file := range f.files {
		file.Close()
	}
	f.files = env.Files
	if _, ok := env.Message.(*ipc.Invoke); ok {
		f.id = env.ID
	}
	return env.Message
}

// expect is recv for what must come next; a supervisor that says Bye instead ends
// the fake.
func expect[M ipc.Message](f *fake) M {
	m := f.recv()
	want, ok := m.(M)
	if !ok {
		if _, bye := m.(*ipc.Bye); !bye {
			fmt.Fprintf(os.Stderr, "fake: %T\n", m)
		}
		exit(0)
	}
	return want
}

func (f *fake) hello() {
	f.send(&ipc.Hello{Min: ipc.Version, Max: ipc.Version, Build: fakeBuild, Engine: fakeEngine})
}

// baseWalls are those that every worker must claim in Ready.
var baseWalls = []string{"mount", "identity", "capabilities", "no-new-privs", "no-dump", "rlimits", "seccomp-load"}

// up claims that walls stand.
func up(names ...string) (walls []ipc.Wall) {
	for _, name := range names {
		walls = append(walls, ipc.Wall{Name: name, Raised: true})
	}
	return walls
}

// greeted goes as far as Welcome.
func (f *fake) greeted() {
	f.hello()
	f.role = expect[*ipc.Welcome](f).Role
}

// ready goes to Ready.
func (f *fake) ready() {
	f.greeted()
	f.send(&ipc.Ready{Engine: fakeEngine, Walls: up(baseWalls...)})
}

// fakeContracts is what every component of a fake worker speaks.
var fakeContracts = []ipc.Contract{{Name: "fake", Actions: []string{"step"}}}

// seal answers Load, as often as it comes, and goes to Seal.
func (f *fake) seal() {
	for {
		switch m := f.recv().(type) {
		case *ipc.Load:
			f.send(&ipc.Loaded{Component: m.Component, Verdict: "ok", Contracts: fakeContracts})
		case *ipc.Seal:
			return
		default:
			exit(0)
		}
	}
}

// good is an honest worker behind Ready, in whatever role.
func (f *fake) good() {
	for {
		switch m := f.recv().(type) {
		case *ipc.Load:
			f.send(&ipc.Loaded{Component: m.Component, Verdict: "ok", Contracts: fakeContracts})
		case *ipc.Compile:
			n, err := f.files[1].WriteString("native")
			if err != nil {
				panic(err)
			}
			f.send(&ipc.Compiled{Verdict: "ok", Layer: "core", Size: uint64(n)})
		case *ipc.Attempt:
			f.send(&ipc.Attempted{Errno: int32(syscall.EPERM), Detail: m.Name})
		case *ipc.Seal:
			f.send(&ipc.Sealed{Walls: up("seccomp-run")})
		case *ipc.Invoke:
			f.send(&ipc.Result{Verdict: "ok", Output: m.Request})
		default:
			exit(0)
		}
	}
}

// bad goes to Ready in a step worker and is good in any other.
func (f *fake) bad() {
	f.ready()
	if f.role != ipc.RoleStep {
		f.good()
	}
}

// sealed goes to Sealed.
func (f *fake) sealed() {
	f.bad()
	f.seal()
	f.send(&ipc.Sealed{Walls: up("seccomp-run")})
}

// invoked goes to the first Invoke.
func (f *fake) invoked() *ipc.Invoke {
	f.sealed()
	return expect[*ipc.Invoke](f)
}

// bytes writes what is no frame of ours.
func (f *fake) bytes(b []byte) {
	_, _ = f.raw.Write(b)
}

// skip reads frames, whatever they are.
func (f *fake) skip(n int) {
	for range n {
		var head [12]byte
		if _, err := io.ReadFull(f.raw, head[:]); err != nil {
			exit(0)
		}
		if _, err := io.CopyN(io.Discard, f.raw, int64(binary.BigEndian.Uint32(head[:]))); err != nil {
			exit(0)
		}
	}
}

// frame is one as a hostile worker makes it.
func frame(t ipc.Type, flags uint8, id uint32, body []byte) []byte {
	b := header(uint32(len(body)), t, flags, id)
	return append(b, body...)
}

func header(length uint32, t ipc.Type, flags uint8, id uint32) []byte {
	b := binary.BigEndian.AppendUint32(nil, length)
	b = append(b, byte(t), flags, 0, 0)
	return binary.BigEndian.AppendUint32(b, id)
}

// resultFrame is a well-formed Result with any id.
func resultFrame(id uint32, output string) []byte {
	body := []byte{0x86}
	str := func(s string) { body = append(append(body, 0xa0|byte(len(s))), s...) }
	str("verdict")
	str("ok")
	str("output")
	body = append(append(body, 0xc4, byte(len(output))), output...)
	str("detail")
	str("")
	str("logs")
	body = append(body, 0x90)
	str("log_bytes")
	body = append(body, 0)
	str("log_dropped")
	body = append(body, 0)
	return frame(ipc.TypeResult, 0, id, body)
}

func hang() {
	for { // not select {}: the runtime would call that a deadlock and exit
		time.Sleep(time.Hour)
	}
}

// noise is text that a terminal obeys, a log mistakes for a new line, and nobody
// wants to have in full.
func noise(n int) string { return strings.Repeat("\x1b[31m\nspam\x07", n/11+1)[:n] }

// station is a place in the protocol where a worker can be: a state of PROTOCOL.md,
// by role, or one where it has been before.
type station struct {
	role, state string
	again       string // "" or what came in between
	walk        func(*fake)
}

func (s station) String() string {
	return strings.TrimSuffix(s.role+" "+s.state+", "+s.again, ", ")
}

// stations are all of them.
var stations = func() (all []station) {
	for _, role := range []string{ipc.RoleStep, ipc.RoleCompile, ipc.RoleProbe} {
		all = append(all,
			station{role, "new", "", func(*fake) {}},
			station{role, "greeted", "", (*fake).hello},
			station{role, "raising", "", (*fake).greeted},
		)
	}
	return append(all,
		station{ipc.RoleStep, "load", "", (*fake).ready},
		station{ipc.RoleStep, "loading", "", func(f *fake) { f.ready(); expect[*ipc.Load](f) }},
		station{ipc.RoleStep, "sealing", "", func(f *fake) { f.ready(); f.seal() }},
		station{ipc.RoleStep, "sealed", "", (*fake).sealed},
		station{ipc.RoleStep, "running", "", func(f *fake) { f.invoked() }},
		station{ipc.RoleStep, "calling", "", func(f *fake) { f.invoked(); f.send(hostCall) }},
		station{ipc.RoleStep, "running", "after a reply", func(f *fake) { f.invoked(); f.send(hostCall); expect[*ipc.HostReply](f) }},
		station{ipc.RoleStep, "sealed", "after a result", func(f *fake) { m := f.invoked(); f.send(&ipc.Result{Verdict: "ok", Output: m.Request}) }},
		station{ipc.RoleCompile, "compile", "", (*fake).ready},
		station{ipc.RoleCompile, "compiling", "", func(f *fake) { f.ready(); expect[*ipc.Compile](f) }},
		station{ipc.RoleProbe, "probe", "", (*fake).ready},
		station{ipc.RoleProbe, "trying", "", func(f *fake) { f.ready(); expect[*ipc.Attempt](f) }},
	)
}()

var hostCall = &ipc.HostCall{Op: "config.get", Args: []byte(`{"key":"k"}`)}

// at names a personality that does something at a station: "exit", "report", or
// "frame TYPE FLAGS".
func at(s station, act string) string { return s.String() + ": " + act }

// personalityOf gives what a fake of that name does.
func personalityOf(name string) (func(*fake), bool) {
	if play, ok := personalities[name]; ok {
		return play, true
	}
	place, act, _ := strings.Cut(name, ": ")
	for _, s := range stations {
		if s.String() != place {
			continue
		}
		var t, flags uint8
		switch n, _ := fmt.Sscanf(act, "frame %d %d", &t, &flags); {
		case act == "exit":
			return func(f *fake) { s.walk(f); exit(0) }, true
		case act == "report":
			return func(f *fake) { s.walk(f); report(); hang() }, true
		case n == 2:
			return func(f *fake) {
				s.walk(f)
				id := uint32(0)
				if ipc.Type(t) == ipc.TypeHostCall || ipc.Type(t) == ipc.TypeResult {
					id = f.id
				}
				f.bytes(frame(ipc.Type(t), flags, id, nil))
				hang()
			}, true
		}
	}
	return nil, false
}

// report tells who listens (reports) that this process is where it should be: it
// writes its number, as the tests see it. Fakes see their /proc, too.
func report() {
	pid, err := os.Readlink("/proc/self")
	if err == nil {
		var pipe *os.File
		if pipe, err = os.OpenFile(beside(os.Args[0], "reports"), os.O_WRONLY, 0); err == nil {
			_, err = pipe.WriteString(pid + "\n")
		}
	}
	if err != nil {
		panic(err)
	}
}

// reports calls do for each fake of that path that reports.
func reports(t *testing.T, worker string, do func(pid int)) {
	t.Helper()
	path := beside(worker, "reports")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	pipe, err := os.OpenFile(path, os.O_RDWR, 0) // the own end for writing keeps it from ending
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(pipe); lines.Scan(); {
			pid, err := strconv.Atoi(lines.Text())
			if err != nil {
				t.Errorf("a report of %q", lines.Text())
				continue
			}
			do(pid)
		}
	}()
	t.Cleanup(func() { pipe.Close(); <-ended })
}

// personalities are what else workers do. Most of them hang at their end, so that
// ending them is the supervisor's work; those that it has no reason to kill go on as
// good ones, or asking them to exit would take its time.
var personalities = map[string]func(*fake){
	"good": func(f *fake) { f.ready(); f.good() },
	"calls the host": func(f *fake) {
		f.invoked()
		f.send(hostCall)
		reply := expect[*ipc.HostReply](f)
		f.send(&ipc.Result{Verdict: "ok", Output: fmt.Appendf(nil, "%s|%s", reply.Code, reply.Value)})
		f.good()
	},
	"refuses a wall": func(f *fake) {
		f.greeted()
		f.send(&ipc.Refused{Wall: "seccomp-load", Where: "seccomp(2)", Errno: int32(syscall.EPERM)})
		exit(1)
	},
	"refuses with noise": func(f *fake) {
		f.greeted()
		f.send(&ipc.Refused{Wall: noise(9000), Where: noise(9000), Errno: -1 << 31, Detail: noise(9000), Hint: noise(9000)})
		exit(1)
	},
	"other build": func(f *fake) {
		f.send(&ipc.Hello{Min: ipc.Version, Max: ipc.Version, Build: "other", Engine: fakeEngine})
		hang()
	},
	"build of noise": func(f *fake) {
		f.send(&ipc.Hello{Min: ipc.Version, Max: ipc.Version, Build: noise(60_000), Engine: noise(1000)})
		hang()
	},
	"other protocol": func(f *fake) {
		f.send(&ipc.Hello{Min: 9000, Max: 9001, Build: fakeBuild, Engine: fakeEngine})
		hang()
	},
	"prints its environment": func(f *fake) {
		f.invoked()
		f.send(&ipc.Result{Verdict: "ok", Output: []byte(strings.Join(os.Environ(), "\n"))})
		f.good()
	},
	"is no worker": func(*fake) {
		fmt.Fprintln(os.Stderr, "error while loading shared libraries: libm.so.6")
		exit(127)
	},

	// What it says, and when.
	"silent in a step": func(f *fake) { f.invoked(); hang() },
	"never reads":      func(f *fake) { f.sealed(); hang() },
	"asks and never reads": func(f *fake) {
		f.invoked()
		b := frame(ipc.TypeHostCall, 0, f.id, []byte("\x82\xa2op\xaaconfig.get\xa4args\xc4\x02{}"))
		for {
			f.bytes(b)
		}
	},
	"closes the socket": func(f *fake) { f.invoked(); f.conn.Close(); f.raw.Close(); hang() },
	"exits 7 in a step": func(f *fake) { f.invoked(); exit(7) },
	"reports SIGSEGV":   func(f *fake) { f.invoked(); exit(128 + int(syscall.SIGSEGV)) },
	"runs out of Rust memory": func(f *fake) {
		f.invoked()
		// What Rust's allocator says before it aborts.
		fmt.Fprintln(os.Stderr, "memory allocation of 8388608 bytes failed")
		exit(128 + int(syscall.SIGABRT))
	},
	"answers and exits": func(f *fake) {
		m := f.invoked()
		f.send(&ipc.Result{Verdict: "ok", Output: m.Request})
		exit(0)
	},
	"answers and stays": func(f *fake) {
		m := f.invoked()
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT)
		f.send(&ipc.Result{Verdict: "ok", Output: m.Request})
		hang()
	},
	"result after the deadline": func(f *fake) {
		m := f.invoked()
		time.Sleep(time.Duration(m.Budget) * 3 / 2)
		f.send(&ipc.Result{Verdict: "ok", Output: []byte(`{}`)})
		hang()
	},
	"garbage": func(f *fake) {
		f.invoked()
		f.bytes([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"))
		hang()
	},
	"half a header": func(f *fake) { f.invoked(); f.bytes(header(100, ipc.TypeResult, 0, f.id)[:7]); hang() },
	"half a body": func(f *fake) {
		f.invoked()
		f.bytes(append(header(100, ipc.TypeResult, 0, f.id), "abc"...))
		hang()
	},
	"a byte at a time": func(f *fake) {
		f.invoked()
		for _, b := range frame(ipc.TypeResult, 0, f.id, make([]byte, 1<<20)) {
			f.bytes([]byte{b})
			time.Sleep(time.Millisecond)
		}
	},
	"half a frame and exits": func(f *fake) { f.invoked(); f.bytes(header(100, ipc.TypeResult, 0, f.id)); exit(0) },
	"4 GiB frame":            func(f *fake) { f.invoked(); f.bytes(header(0xffffffff, ipc.TypeResult, 0, f.id)); hang() },
	"frame at its cap and no body": func(f *fake) {
		f.invoked()
		f.bytes(header(uint32(ipc.TypeResult.MaxBody()), ipc.TypeResult, 0, f.id))
		hang()
	},
	"array bomb": func(f *fake) {
		f.invoked() // five bytes that claim 50 M elements
		f.bytes(frame(ipc.TypeResult, 0, f.id, []byte{0xdd, 0x02, 0xfa, 0xf0, 0x80}))
		hang()
	},
	"nested arrays": func(f *fake) {
		f.invoked()
		f.bytes(frame(ipc.TypeResult, 0, f.id, bytes.Repeat([]byte{0x91}, 8<<20)))
		hang()
	},
	"wrong id":                func(f *fake) { f.invoked(); f.bytes(resultFrame(f.id+1, `{}`)); hang() },
	"no id":                   func(f *fake) { f.invoked(); f.bytes(resultFrame(0, `{}`)); hang() },
	"result nobody asked for": func(f *fake) { f.sealed(); f.bytes(resultFrame(7, `{}`)); hang() },
	"two results": func(f *fake) {
		f.invoked()
		f.bytes(append(resultFrame(f.id, `{}`), resultFrame(f.id, `{}`)...))
		hang()
	},
	"id of the step before": func(f *fake) {
		f.invoked()
		f.send(&ipc.Result{Verdict: "ok", Output: []byte(`{}`)})
		expect[*ipc.Invoke](f)
		f.bytes(resultFrame(f.id-1, `{}`))
		hang()
	},
	"host call of another run": func(f *fake) {
		f.invoked()
		f.bytes(frame(ipc.TypeHostCall, 0, f.id+1, []byte("\x82\xa2op\xaaconfig.get\xa4args\xc4\x02{}")))
		hang()
	},
	"two host calls at once": func(f *fake) {
		f.invoked()
		b := frame(ipc.TypeHostCall, 0, f.id, []byte("\x82\xa2op\xaaconfig.get\xa4args\xc4\x02{}"))
		f.bytes(append(b, b...))
		f.skip(2)
		f.send(&ipc.Result{Verdict: "ok"})
		f.good()
	},
	"invents a verdict": func(f *fake) { f.invoked(); f.send(&ipc.Result{Verdict: "splendid"}); hang() },
	"verdict of noise":  func(f *fake) { f.invoked(); f.send(&ipc.Result{Verdict: noise(1 << 20)}); hang() },
	"endless host calls": func(f *fake) {
		f.invoked()
		for {
			f.send(hostCall)
			f.recv()
		}
	},
	"host call over the limit": func(f *fake) {
		f.invoked()
		f.send(&ipc.HostCall{Op: "config.get", Args: make([]byte, 2<<20)})
		hang()
	},
	"output over the limit": func(f *fake) {
		f.invoked()
		f.send(&ipc.Result{Verdict: "ok", Output: make([]byte, 2<<20)})
		hang()
	},
	"optional frames": func(f *fake) {
		m := f.invoked()
		for range ipc.MaxOptionalRun {
			f.bytes(frame(31, ipc.FlagOptional, 77, make([]byte, ipc.MaxOptionalBody)))
		}
		f.send(&ipc.Result{Verdict: "ok", Output: m.Request})
		f.good()
	},
	"too many optional frames": func(f *fake) {
		f.invoked()
		for range ipc.MaxOptionalRun + 1 {
			f.bytes(frame(31, ipc.FlagOptional, 0, nil))
		}
		hang()
	},
	"optional frame over its cap": func(f *fake) {
		f.invoked()
		f.bytes(frame(31, ipc.FlagOptional, 0, make([]byte, ipc.MaxOptionalBody+1)))
		hang()
	},
	"Sealed with an id": func(f *fake) {
		f.bad()
		f.seal()
		f.bytes(frame(ipc.TypeSealed, 0, 1, []byte("\x81\xa5walls\xc0")))
		hang()
	},
	"talks on after its result": func(f *fake) {
		m := f.invoked()
		f.send(&ipc.Result{Verdict: "ok", Output: m.Request})
		for b := make([]byte, 1<<20); ; {
			f.bytes(b)
		}
	},
	"passes descriptors": func(f *fake) {
		m := f.invoked()
		null, err := os.Open(os.DevNull)
		if err != nil {
			panic(err)
		}
		rights := unix.UnixRights(slices.Repeat([]int{int(null.Fd())}, 200)...)
		if err := unix.Sendmsg(socketpair.WorkerFD, resultFrame(f.id, string(m.Request)), rights, nil, 0); err != nil {
			panic(err)
		}
		f.good()
	},

	// What it does besides.
	"floods stderr": func(f *fake) { f.invoked(); flood(os.Stderr) },
	"floods stdout": func(f *fake) { f.invoked(); flood(os.Stdout) },
	"floods beside its answer": func(f *fake) {
		m := f.invoked()
		go flood(os.Stderr)
		go flood(os.Stdout)
		f.send(&ipc.Result{Verdict: "ok", Output: m.Request})
		f.good()
	},
	"ignores signals": func(f *fake) {
		f.invoked()
		signal.Ignore()
		hang()
	},
	"forks and stays": func(f *fake) { f.invoked(); lingering(f); hang() },
	"forks and exits": func(f *fake) { f.invoked(); lingering(f); exit(0) },
	"forks, and the child answers": func(f *fake) {
		f.invoked()
		lingering(f, hex.EncodeToString(resultFrame(f.id, `{"by":"the child"}`)))
		hang()
	},
	// Everybody whom it knows of: its parent, itself, its group, all, and the tests'
	// process by its number. It then says what came of it.
	"kills its parent": func(f *fake) {
		f.invoked()
		said := fmt.Sprintf("parent %d", os.Getppid())
		tests, err := os.ReadFile(beside(os.Args[0], "tests"))
		if err != nil {
			panic(err)
		}
		pid, err := strconv.Atoi(string(tests))
		if err != nil {
			panic(err)
		}
		for _, pid := range []int{pid, -pid, os.Getppid(), os.Getpid(), -1} {
			said += fmt.Sprintf(", %v", syscall.Kill(pid, syscall.SIGKILL))
		}
		f.send(&ipc.Result{Verdict: "ok", Output: []byte(said)})
		f.good()
	},

	// What it claims.
	"claims no walls": func(f *fake) {
		f.greeted()
		f.send(&ipc.Ready{Engine: fakeEngine, Walls: []ipc.Wall{{Name: "seccomp-load", Raised: false}}})
		f.good()
	},
	"claims its walls behind noise": func(f *fake) {
		f.greeted()
		f.send(&ipc.Ready{Engine: fakeEngine, Walls: append(noisyWalls(64-len(baseWalls)), up(baseWalls...)...)})
		f.good()
	},
	"claims much": func(f *fake) {
		f.greeted()
		f.send(&ipc.Ready{Engine: fakeEngine, Walls: append(up(baseWalls...), noisyWalls(64-len(baseWalls))...)})
		f.seal()
		f.send(&ipc.Sealed{Walls: append(up("seccomp-run"), noisyWalls(63)...)})
		for {
			f.send(&ipc.Result{Verdict: "ok", Output: expect[*ipc.Invoke](f).Request})
		}
	},
	"claims no seal": func(f *fake) {
		f.bad()
		f.seal()
		f.send(&ipc.Sealed{})
		f.good()
	},
	"refuses the seal": func(f *fake) {
		f.bad()
		f.seal()
		f.send(&ipc.Refused{Wall: "seccomp-run", Where: "seccomp(2)", Errno: int32(syscall.EPERM), Hint: "run as root"})
		exit(1)
	},
	"engine of noise": func(f *fake) {
		f.greeted()
		f.send(&ipc.Ready{Engine: noise(60_000), Walls: up(baseWalls...)})
		f.good()
	},
	"another engine": func(f *fake) {
		f.greeted()
		f.send(&ipc.Ready{Engine: "other", Walls: up(baseWalls...)})
		f.good()
	},
	"loads another component": func(f *fake) {
		f.ready()
		m := expect[*ipc.Load](f)
		f.send(&ipc.Loaded{Component: m.Component + 1, Verdict: "ok", Contracts: fakeContracts})
		f.good()
	},
	"invents a verdict of loading": func(f *fake) {
		f.ready()
		m := expect[*ipc.Load](f)
		f.send(&ipc.Loaded{Component: m.Component, Verdict: "trap", Contracts: fakeContracts})
		hang()
	},
	"loads with noise": func(f *fake) {
		f.ready()
		m := expect[*ipc.Load](f)
		f.send(&ipc.Loaded{Component: m.Component, Verdict: "ok", Detail: noise(8000), Contracts: append(slices.Clone(fakeContracts),
			ipc.Contract{Name: noise(8000), Actions: []string{noise(8000)}}), Imports: slices.Repeat([]string{noise(4)}, 4096), Exports: []string{noise(8000)}})
		f.good()
	},
	"mismatch": func(f *fake) {
		f.ready()
		m := expect[*ipc.Load](f)
		f.send(&ipc.Loaded{Component: m.Component, Verdict: "contract_mismatch", Detail: "imports x:y/z, which nobody offers"})
		f.good()
	},
	"result of noise": func(f *fake) {
		f.invoked()
		f.send(&ipc.Result{Verdict: "trap", Output: []byte(noise(1 << 18)), Detail: noise(1 << 18),
			Logs:     slices.Concat(slices.Repeat([]ipc.LogLine{{}}, 10_000), []ipc.LogLine{{Level: noise(1 << 18), Text: noise(1 << 18)}}),
			LogBytes: 1<<64 - 1, LogDropped: 1<<64 - 1})
		f.good()
	},
	"level of noise": func(f *fake) {
		f.invoked()
		f.send(&ipc.Result{Verdict: "ok", Output: []byte(`{}`), Logs: []ipc.LogLine{{Level: noise(4 << 20), Text: "x"}}})
		f.good()
	},
	"operation of noise": func(f *fake) {
		f.invoked()
		f.send(&ipc.HostCall{Op: noise(2 << 20), Args: []byte("{}")})
		reply := expect[*ipc.HostReply](f)
		f.send(&ipc.Result{Verdict: "ok", Output: []byte(reply.Code)})
		f.good()
	},

	// Compile workers.
	"compiler dies":  compiler(func(*fake) { exit(128 + int(syscall.SIGSEGV)) }),
	"compiler hangs": compiler(func(*fake) { hang() }),
	"compiler lies":  compiler(func(f *fake) { f.send(&ipc.Compiled{Verdict: "ok", Layer: "core", Size: 1 << 40}); hang() }),
	"compiler writes a hole": compiler(func(f *fake) {
		const size = 3 << 30
		if err := f.files[1].Truncate(size); err != nil {
			panic(err)
		}
		f.send(&ipc.Compiled{Verdict: "ok", Layer: "core", Size: size})
		hang()
	}),
	"compiler keeps a mapping": compiler(func(f *fake) {
		if err := f.files[1].Truncate(1 << 16); err != nil {
			panic(err)
		}
		if _, err := unix.Mmap(int(f.files[1].Fd()), 0, 1<<16, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
			panic(err)
		}
		f.send(&ipc.Compiled{Verdict: "ok", Layer: "core", Size: 1 << 16})
		hang()
	}),
	"compiler fails with noise": compiler(func(f *fake) { f.send(&ipc.Compiled{Verdict: noise(8000), Detail: noise(8000)}); hang() }),
	"compiler names no layer":   compiler(func(f *fake) { f.send(&ipc.Compiled{Verdict: "ok", Layer: "tin"}); hang() }),

	// Probes.
	"probe of errno -1":   prober(func(f *fake) { f.send(&ipc.Attempted{Errno: -1}); hang() }),
	"probe of errno 4096": prober(func(f *fake) { f.send(&ipc.Attempted{Errno: 4096}); hang() }),
	"probe with noise":    prober(func(f *fake) { f.send(&ipc.Attempted{Errno: 1, Detail: noise(60_000)}); hang() }),
	"probe refuses with noise": prober(func(f *fake) {
		f.send(&ipc.Refused{Wall: noise(9000), Where: noise(9000), Errno: -1 << 31, Detail: noise(9000), Hint: noise(9000)})
		exit(1)
	}),
	"probe refuses without a word": prober(func(f *fake) { f.send(&ipc.Refused{}); exit(1) }),
	"probe aborts":                 prober(func(*fake) { exit(128 + int(syscall.SIGABRT)) }),
}

// compiler goes to the first Compile.
func compiler(end func(*fake)) func(*fake) {
	return func(f *fake) { f.ready(); expect[*ipc.Compile](f); end(f) }
}

// prober goes to Attempt.
func prober(end func(*fake)) func(*fake) {
	return func(f *fake) { f.ready(); expect[*ipc.Attempt](f); end(f) }
}

func noisyWalls(n int) (walls []ipc.Wall) {
	for range n {
		walls = append(walls, ipc.Wall{Name: noise(400), Raised: true, Detail: noise(400)})
	}
	return walls
}

// flood writes without end.
func flood(to *os.File) {
	for b := []byte(noise(64 << 10)); ; {
		_, _ = to.Write(b)
	}
}

// lingerer is the first argument of a process that a fake leaves behind. Its second
// is the fake's path, so that tests find it, its third is what it writes to the socket, in hexadecimal.
const lingerer = "linger"

// lingering starts a process that holds everything that the fake holds, in a session
// of its own.
func lingering(f *fake, says ...string) {
	cmd := exec.Command("/proc/self/exe", append([]string{lingerer, os.Args[0]}, says...)...)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = os.Stdout, os.Stderr, []*os.File{f.raw}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		panic(err)
	}
}

// linger is that process.
func linger() {
	if len(os.Args) > 3 {
		b, err := hex.DecodeString(os.Args[3])
		if err != nil {
			panic(err)
		}
		_, _ = os.NewFile(socketpair.WorkerFD, "socket").Write(b)
	}
	hang()
}
