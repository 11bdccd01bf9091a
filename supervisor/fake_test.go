package supervisor_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/greentic-ai/greentic-provision/ipc"
	"github.com/greentic-ai/greentic-provision/ipc/socketpair"
)

// The test binary is also its own worker: started as `BINARY serve …` with FAKE
// naming a personality, it speaks the protocol up to some point and then does
// what a worker that was taken over might do.

const (
	fakeBuild  = "fake-build"
	fakeEngine = "fake-engine"
)

// fakeWorker gives the path of a worker with that personality. The supervisor
// starts workers with an empty environment, so a script carries the name in.
func fakeWorker(t *testing.T, personality string) string {
	t.Helper()
	if _, ok := personalities[personality]; !ok {
		t.Fatalf("no personality %q", personality)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "step-worker")
	// GORACE: a race build of this binary sleeps a second before it exits.
	script := fmt.Sprintf("#!/bin/sh\nGORACE=atexit_sleep_ms=0 FAKE='%s' exec '%s' \"$@\"\n", personality, self)
	// A process forked while the script is open for writing would hold it open,
	// and executing it fail with ETXTBSY.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// fake is the worker side of a personality.
type fake struct {
	conn *ipc.Conn
	raw  *os.File // the same socket, for bytes that are no protocol
	id   uint32   // of the Invoke under way
}

func runFake(personality string) {
	raw := os.NewFile(socketpair.WorkerFD, "socket")
	dup, err := syscall.Dup(socketpair.WorkerFD)
	if err != nil {
		panic(err)
	}
	stream, err := socketpair.Open(os.NewFile(uintptr(dup), "socket"))
	if err != nil {
		panic(err)
	}
	personalities[personality](&fake{conn: ipc.NewConn(stream, ipc.WorkerSide), raw: raw})
}

func (f *fake) send(m ipc.Message) {
	if err := f.conn.Send(f.id, m); err != nil {
		fmt.Fprintln(os.Stderr, "fake:", err)
		os.Exit(3)
	}
}

func (f *fake) recv() ipc.Message {
	env, err := f.conn.Recv()
	if err != nil {
		if err != io.EOF {
			fmt.Fprintln(os.Stderr, "fake:", err)
		}
		os.Exit(0)
	}
	if inv, ok := env.Message.(*ipc.Invoke); ok {
		f.id = env.ID
		return inv
	}
	return env.Message
}

func (f *fake) hello() {
	f.send(&ipc.Hello{Min: ipc.Version, Max: ipc.Version, Build: fakeBuild, Engine: fakeEngine})
}

// ready goes to Ready; a compile worker stays in it, "compiling" everything.
func (f *fake) ready() {
	f.hello()
	welcome := f.recv().(*ipc.Welcome)
	f.send(&ipc.Ready{Walls: up("mount", "identity", "capabilities", "no-new-privs", "no-dump", "rlimits", "seccomp-load")})
	if welcome.Role == ipc.RoleCompile {
		f.compile()
	}
}

// up claims that walls stand.
func up(names ...string) (walls []ipc.Wall) {
	for _, name := range names {
		walls = append(walls, ipc.Wall{Name: name, Raised: true})
	}
	return walls
}

func (f *fake) compile() {
	for {
		env, err := f.conn.Recv()
		if err != nil {
			os.Exit(0)
		}
		if _, ok := env.Message.(*ipc.Compile); !ok {
			os.Exit(0)
		}
		if _, err := env.Files[1].WriteString("native"); err != nil {
			panic(err)
		}
		env.Files[0].Close()
		env.Files[1].Close()
		f.send(&ipc.Compiled{Verdict: "ok", Layer: "core", Size: 6})
	}
}

// fakeContracts is what every component of a fake worker speaks.
var fakeContracts = []ipc.Contract{{Name: "fake", Actions: []string{"step"}}}

// sealed goes to Sealed.
func (f *fake) sealed() {
	f.ready()
	for {
		switch m := f.recv().(type) {
		case *ipc.Load:
			f.send(&ipc.Loaded{Component: m.Component, Verdict: "ok", Contracts: fakeContracts})
		case *ipc.Seal:
			f.send(&ipc.Sealed{Walls: up("seccomp-run")})
			return
		default:
			os.Exit(0)
		}
	}
}

// invoked goes to the first Invoke.
func (f *fake) invoked() *ipc.Invoke {
	f.sealed()
	m, ok := f.recv().(*ipc.Invoke)
	if !ok {
		os.Exit(0)
	}
	return m
}

// bytes writes what is no frame of ours.
func (f *fake) bytes(b []byte) {
	_, _ = f.raw.Write(b)
}

func frameHeader(length uint32, t byte, id uint32) []byte {
	b := binary.BigEndian.AppendUint32(nil, length)
	b = append(b, t, 0, 0, 0)
	return binary.BigEndian.AppendUint32(b, id)
}

func hang() {
	for { // not select {}: the runtime would call that a deadlock and exit
		time.Sleep(time.Hour)
	}
}

// personalities are the workers that tests use. Each hangs at its end, so that
// ending it is the supervisor's work.
var personalities = map[string]func(*fake){
	"good": func(f *fake) {
		f.sealed()
		for {
			m, ok := f.recv().(*ipc.Invoke)
			if !ok {
				os.Exit(0)
			}
			f.send(&ipc.Result{Verdict: "ok", Output: m.Request})
		}
	},
	"calls the host": func(f *fake) {
		f.invoked()
		f.send(&ipc.HostCall{Op: "config.get", Args: []byte(`{"key":"k"}`)})
		reply := f.recv().(*ipc.HostReply)
		f.send(&ipc.Result{Verdict: "ok", Output: fmt.Appendf(nil, "%s|%s", reply.Code, reply.Value)})
		hang()
	},
	"refuses a wall": func(f *fake) {
		f.hello()
		f.recv()
		f.send(&ipc.Refused{Wall: "seccomp-load", Where: "seccomp(2)", Errno: int32(syscall.EPERM)})
		os.Exit(1)
	},
	"other build": func(f *fake) {
		f.send(&ipc.Hello{Min: ipc.Version, Max: ipc.Version, Build: "other", Engine: fakeEngine})
		hang()
	},
	"other protocol": func(f *fake) {
		f.send(&ipc.Hello{Min: 9000, Max: 9001, Build: fakeBuild, Engine: fakeEngine})
		hang()
	},
	"prints its environment": func(f *fake) {
		f.invoked()
		f.send(&ipc.Result{Verdict: "ok", Output: []byte(strings.Join(os.Environ(), "\n"))})
		hang()
	},

	"silent":                  func(*fake) { hang() },
	"silent after hello":      func(f *fake) { f.hello(); hang() },
	"silent in a step":        func(f *fake) { f.invoked(); hang() },
	"never reads":             func(f *fake) { f.sealed(); hang() },
	"closes the socket":       func(f *fake) { f.invoked(); f.conn.Close(); f.raw.Close(); hang() },
	"exits 0 in a step":       func(f *fake) { f.invoked(); os.Exit(0) },
	"exits 7 in a step":       func(f *fake) { f.invoked(); os.Exit(7) },
	"reports SIGSEGV":         func(f *fake) { f.invoked(); os.Exit(128 + int(syscall.SIGSEGV)) },
	"runs out of Rust memory": func(f *fake) { f.invoked(); outOfMemory() },
	"garbage": func(f *fake) {
		f.invoked()
		f.bytes([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"))
		hang()
	},
	"half a frame": func(f *fake) { f.invoked(); f.bytes(frameHeader(100, byte(ipc.TypeResult), f.id)[:7]); hang() },
	"half a body": func(f *fake) {
		f.invoked()
		f.bytes(append(frameHeader(100, byte(ipc.TypeResult), f.id), "abc"...))
		hang()
	},
	"4 GiB frame":   func(f *fake) { f.invoked(); f.bytes(frameHeader(0xffffffff, byte(ipc.TypeResult), f.id)); hang() },
	"unknown frame": func(f *fake) { f.invoked(); f.bytes(frameHeader(0, 77, f.id)); hang() },
	"array bomb": func(f *fake) {
		f.invoked() // five bytes that claim 50 M elements
		f.bytes(append(frameHeader(5, byte(ipc.TypeResult), f.id), 0xdd, 0x02, 0xfa, 0xf0, 0x80))
		hang()
	},
	"nested arrays": func(f *fake) {
		f.invoked()
		body := strings.Repeat("\x91", 1<<20)
		f.bytes(append(frameHeader(uint32(len(body)), byte(ipc.TypeResult), f.id), body...))
		hang()
	},
	"wrong id": func(f *fake) {
		f.invoked()
		b := resultFrame(f.id+1, `{}`)
		f.bytes(b)
		hang()
	},
	"result nobody asked for": func(f *fake) { f.sealed(); f.bytes(resultFrame(7, `{}`)); hang() },
	"two results": func(f *fake) {
		f.invoked()
		f.bytes(append(resultFrame(f.id, `{}`), resultFrame(f.id, `{}`)...))
		hang()
	},
	"invents a verdict": func(f *fake) { f.invoked(); f.send(&ipc.Result{Verdict: "splendid"}); hang() },
	"endless host calls": func(f *fake) {
		f.invoked()
		for {
			f.send(&ipc.HostCall{Op: "config.get", Args: []byte(`{"key":"k"}`)})
			f.recv()
		}
	},
	"output over the limit": func(f *fake) {
		f.invoked()
		f.send(&ipc.Result{Verdict: "ok", Output: make([]byte, 2<<20)})
		hang()
	},
	"result after the deadline": func(f *fake) {
		f.invoked()
		time.Sleep(time.Minute)
		f.send(&ipc.Result{Verdict: "ok", Output: []byte(`{}`)})
	},
	"floods stderr": func(f *fake) {
		m := f.invoked()
		b := []byte(strings.Repeat("\x1b[31mspam\x07", 4096))
		for range 2000 {
			_, _ = os.Stderr.Write(b)
			_, _ = os.Stdout.Write(b)
		}
		f.send(&ipc.Result{Verdict: "ok", Output: m.Request})
		hang()
	},
	"ignores signals and forks": func(f *fake) {
		f.invoked()
		cmd := exec.Command("/bin/sleep", "1000")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			os.Exit(9)
		}
		hang()
	},
	"compiler dies":  func(f *fake) { compiler(f, func() { os.Exit(128 + int(syscall.SIGSEGV)) }) },
	"compiler hangs": func(f *fake) { compiler(f, hang) },
	"compiler lies": func(f *fake) {
		compiler(f, func() { f.send(&ipc.Compiled{Verdict: "ok", Layer: "core", Size: 1 << 40}); hang() })
	},
	"compiler names no layer": func(f *fake) {
		compiler(f, func() { f.send(&ipc.Compiled{Verdict: "ok", Layer: "tin"}); hang() })
	},
	"claims no walls": func(f *fake) {
		f.hello()
		f.recv()
		f.send(&ipc.Ready{Walls: []ipc.Wall{{Name: "seccomp-load", Raised: false}}})
		hang()
	},
	"claims no seal": func(f *fake) {
		f.ready()
		f.recv() // Load
		f.send(&ipc.Loaded{Verdict: "ok", Contracts: fakeContracts})
		f.recv() // Seal
		f.send(&ipc.Sealed{})
		hang()
	},
	"refuses the seal": func(f *fake) {
		f.ready()
		f.recv()
		f.send(&ipc.Loaded{Verdict: "ok", Contracts: fakeContracts})
		f.recv()
		f.send(&ipc.Refused{Wall: "seccomp-run", Where: "seccomp(2)", Errno: int32(syscall.EPERM)})
		os.Exit(1)
	},
	"answers and exits": func(f *fake) {
		m := f.invoked()
		f.send(&ipc.Result{Verdict: "ok", Output: m.Request})
		os.Exit(0)
	},
	"is no worker": func(*fake) {
		fmt.Fprintln(os.Stderr, "error while loading shared libraries: libm.so.6")
		os.Exit(127)
	},
	"mismatch": func(f *fake) {
		f.ready()
		m := f.recv().(*ipc.Load)
		f.send(&ipc.Loaded{Component: m.Component, Verdict: "contract_mismatch", Detail: "imports x:y/z, which nobody offers"})
		hang()
	},
}

// compiler runs end when asked to compile, and is good otherwise.
func compiler(f *fake, end func()) {
	f.hello()
	welcome := f.recv().(*ipc.Welcome)
	f.send(&ipc.Ready{Walls: up("mount", "identity", "capabilities", "no-new-privs", "no-dump", "rlimits", "seccomp-load")})
	if welcome.Role == ipc.RoleStep {
		hang()
	}
	f.recv()
	end()
}

// outOfMemory says what Rust's allocator says before it aborts.
func outOfMemory() {
	fmt.Fprintln(os.Stderr, "memory allocation of 8388608 bytes failed")
	os.Exit(128 + int(syscall.SIGABRT))
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
	return append(frameHeader(uint32(len(body)), byte(ipc.TypeResult), id), body...)
}
