package worker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/greentic-ai/greentic-provision/component"
	"github.com/greentic-ai/greentic-provision/internal/leakcheck"
	"github.com/greentic-ai/greentic-provision/ipc"
	"github.com/greentic-ai/greentic-provision/ipc/memfd"
	"github.com/greentic-ai/greentic-provision/ipc/socketpair"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/worker"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

// runtime is scripted: its programs are core step modules, and what they do is
// the func named by the code they were "compiled" to.
type runtime struct {
	interrupts atomic.Int32
	interrupt  chan struct{}
}

func (r *runtime) Compile(wasm []byte) ([]byte, component.Layer, error) {
	if bytes.HasPrefix(wasm, []byte("bad")) {
		return nil, "", errors.New("no such opcode\x00\xff")
	}
	return append([]byte("native "), wasm...), component.LayerCore, nil
}

func (r *runtime) Load(code []byte, _ component.Layer) (component.Program, error) {
	if _, ok := guests[string(code)]; !ok {
		return nil, errors.New("not our code")
	}
	return &program{r, string(code)}, nil
}

func (r *runtime) Interrupt() {
	if r.interrupts.Add(1) == 1 {
		close(r.interrupt)
	}
}

type program struct {
	runtime *runtime
	name    string
}

func (p *program) Close() {}

func (p *program) Types() component.Types {
	i32x2 := []string{"i32", "i32"}
	t := component.Types{Layer: component.LayerCore, Exports: []component.Item{
		{Name: "memory", Kind: component.ItemCoreMemory},
		{Name: "run", Kind: component.ItemCoreFunc, Core: &component.CoreFunc{Params: i32x2, Results: i32x2}},
	}}
	if p.name == "imports" {
		t.Imports = []component.Item{{Name: "env.secret", Kind: component.ItemCoreFunc, Core: &component.CoreFunc{}}}
	}
	return t
}

func (p *program) Instantiate(_ context.Context, l component.StoreLimits, _ component.Imports) (component.Instance, error) {
	if l.MemoryBytes != 1<<20 {
		return nil, fmt.Errorf("memory limit %d", l.MemoryBytes)
	}
	return &instance{program: p, memory: make([]byte, 64<<10)}, nil
}

type instance struct {
	*program
	memory []byte
}

func (i *instance) Call(context.Context, []string, []component.Value) (component.Value, error) {
	return nil, errors.New("not a component")
}

func (i *instance) CallCore(_ context.Context, _ string, args []int32, _ int) ([]int32, error) {
	out, err := guests[i.name](i.runtime, string(i.memory[args[0]:args[0]+args[1]]))
	copy(i.memory[:], out)
	return []int32{0, int32(len(out))}, err
}

func (i *instance) Memory(string) []byte { return i.memory }

func (i *instance) GrowMemory(_ string, pages uint64) error {
	i.memory = append(i.memory, make([]byte, pages<<16)...)
	return nil
}

var guests = map[string]func(r *runtime, request string) (string, error){
	"echo":    func(_ *runtime, request string) (string, error) { return request, nil },
	"imports": nil,
	"trap": func(*runtime, string) (string, error) {
		return "", &component.Trap{Code: component.TrapUnreachable, Message: "wasm trap: unreachable \x1b[31m" + strings.Repeat("x", 10_000)}
	},
	"loop": func(r *runtime, _ string) (string, error) {
		<-r.interrupt
		return "", &component.Trap{Code: component.TrapInterrupt, Message: "interrupt"}
	},
	"limit": func(*runtime, string) (string, error) {
		return "", &component.Trap{Code: component.TrapLimit, Message: "too much"}
	},
	"large":  func(*runtime, string) (string, error) { return strings.Repeat("x", 2000), nil },
	"binary": func(*runtime, string) (string, error) { return "\xff\xfe", nil },
	"broken": func(*runtime, string) (string, error) { return "", errors.New("our own fault") },
}

// supervise starts a worker in this process and gives the supervisor's end.
func supervise(t *testing.T, cfg worker.Config) (*ipc.Conn, *runtime) {
	t.Helper()
	r := &runtime{interrupt: make(chan struct{})}
	if cfg.Enter == nil {
		cfg.Enter = func(*ipc.Welcome) (worker.Entered, error) {
			return worker.Entered{Runtime: r, Engine: "e, tuned", Walls: []limits.Wall{{Name: "test", Raised: true, Detail: "load"}}}, nil
		}
	}
	if cfg.Seal == nil {
		cfg.Seal = func() ([]limits.Wall, error) { return []limits.Wall{{Name: "seal", Raised: true}}, nil }
	}
	stream, workerEnd, err := socketpair.New()
	if err != nil {
		t.Fatal(err)
	}
	ws, err := socketpair.Open(workerEnd)
	if err != nil {
		t.Fatal(err)
	}
	conn := ipc.NewConn(stream, ipc.SupervisorSide)
	ended := make(chan error, 1)
	go func() {
		wc := ipc.NewConn(ws, ipc.WorkerSide)
		err := worker.Serve(wc, cfg)
		wc.Close()
		ended <- err
	}()
	t.Cleanup(func() {
		conn.Close()
		select {
		case err := <-ended:
			if err != nil && !t.Failed() && !strings.Contains(t.Name(), "Refused") {
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(5 * time.Second):
			t.Error("the worker did not end with its socket")
		}
	})
	return conn, r
}

func recv[M ipc.Message](t *testing.T, c *ipc.Conn) M {
	t.Helper()
	env, err := c.Recv()
	if err != nil {
		t.Fatal(err)
	}
	m, ok := env.Message.(M)
	if !ok {
		t.Fatalf("received %T %+v", env.Message, env.Message)
	}
	return m
}

func send(t *testing.T, c *ipc.Conn, id uint32, m ipc.Message, files ...*os.File) {
	t.Helper()
	if err := c.Send(id, m, files...); err != nil {
		t.Fatal(err)
	}
}

// ready goes to Ready in a role.
func ready(t *testing.T, role string) (*ipc.Conn, *runtime) {
	t.Helper()
	c, r := supervise(t, worker.Config{Build: "b", Engine: "e"})
	if h := recv[*ipc.Hello](t, c); h.Build != "b" || h.Engine != "e" || h.Min > ipc.Version || h.Max < ipc.Version {
		t.Fatalf("hello %+v", h)
	}
	send(t, c, 0, &ipc.Welcome{Version: ipc.Version, Role: role, Isolation: "standard", GuestMemory: 1 << 20,
		StepInput: 1 << 20, StepOutput: 1000, Log: 100, HostCalls: 3, HostCallBytes: 100})
	if m := recv[*ipc.Ready](t, c); m.Engine != "e, tuned" || len(m.Walls) != 1 || m.Walls[0] != (ipc.Wall{Name: "test", Raised: true, Detail: "load"}) {
		t.Fatalf("walls %+v", m.Walls)
	}
	return c, r
}

func load(t *testing.T, c *ipc.Conn, guest string) *ipc.Loaded {
	t.Helper()
	f, err := memfd.New("code", []byte(guest))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	send(t, c, 0, &ipc.Load{Component: 4, Layer: "core", Size: uint64(len(guest))}, f)
	return recv[*ipc.Loaded](t, c)
}

func TestStepsRunAfterSeal(t *testing.T) {
	c, r := ready(t, ipc.RoleStep)
	l := load(t, c, "echo")
	if l.Verdict != "ok" || l.Component != 4 || len(l.Contracts) != 1 || l.Contracts[0].Name != "core-step" || !slices.Equal(l.Contracts[0].Actions, []string{"step"}) || strings.Join(l.Exports, ",") != "memory,run" {
		t.Fatalf("loaded %+v", l)
	}
	send(t, c, 0, &ipc.Seal{})
	if m := recv[*ipc.Sealed](t, c); len(m.Walls) != 1 || m.Walls[0].Name != "seal" {
		t.Fatalf("sealed %+v", m)
	}
	for id := uint32(1); id < 4; id++ {
		request := fmt.Sprintf(`{"n":%d}`, id)
		send(t, c, id, invoke(request))
		if m := recv[*ipc.Result](t, c); m.Verdict != "ok" || string(m.Output) != request || m.Detail != "" {
			t.Fatalf("result %+v", m)
		}
	}
	if n := r.interrupts.Load(); n != 0 {
		t.Errorf("%d interrupts although every step was in time", n)
	}
}

func invoke(request string) *ipc.Invoke {
	return &ipc.Invoke{Component: 4, Action: "step", Request: []byte(request), Budget: int64(10 * time.Second), Seed: make([]byte, 32)}
}

func TestActionThatNoContractDoesIsRefused(t *testing.T) {
	c, _ := ready(t, ipc.RoleStep)
	load(t, c, "echo")
	send(t, c, 0, &ipc.Seal{})
	recv[*ipc.Sealed](t, c)
	m := invoke(`{}`)
	m.Action = "qa-spec"
	send(t, c, 1, m)
	if env, err := c.Recv(); err == nil {
		t.Errorf("asked a core module for its questions, got %+v", env.Message)
	}
}

func TestTheContractThatIsAskedForIsTheOnlyOne(t *testing.T) {
	for name, verdict := range map[string]string{"core-step": "ok", "greentic:component/qa": "contract_mismatch"} {
		c, _ := ready(t, ipc.RoleStep)
		f, err := memfd.New("code", []byte("echo"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		send(t, c, 0, &ipc.Load{Component: 4, Layer: "core", Size: 4, Contract: name}, f)
		if l := recv[*ipc.Loaded](t, c); l.Verdict != verdict || verdict != "ok" && !strings.Contains(l.Detail, "core-step") {
			t.Errorf("%s: loaded %+v", name, l)
		}
	}
}

func TestEndsOfAStep(t *testing.T) {
	for guest, want := range map[string]struct{ verdict, detail string }{
		"trap":   {"trap", "unreachable"},
		"loop":   {"deadline", "used up its time"},
		"limit":  {"memory_limit", "too much"},
		"large":  {"output_limit", "2000"},
		"binary": {"guest_error", "UTF"},
		"broken": {"host_fault", "our own fault"},
	} {
		t.Run(guest, func(t *testing.T) {
			c, _ := ready(t, ipc.RoleStep)
			if l := load(t, c, guest); l.Verdict != "ok" {
				t.Fatalf("loaded %+v", l)
			}
			send(t, c, 0, &ipc.Seal{})
			recv[*ipc.Sealed](t, c)
			m := invoke(`{}`)
			if guest == "loop" {
				m.Budget = int64(20 * time.Millisecond)
			}
			send(t, c, 1, m)
			r := recv[*ipc.Result](t, c)
			if r.Verdict != want.verdict || !strings.Contains(r.Detail, want.detail) || len(r.Output) != 0 {
				t.Errorf("result %+v, want %+v", r, want)
			}
			if len(r.Detail) > 4200 {
				t.Errorf("%d bytes of detail", len(r.Detail))
			}
		})
	}
}

func TestCodeThatCannotRunIsNamedAtLoad(t *testing.T) {
	c, _ := ready(t, ipc.RoleStep)
	if l := load(t, c, "imports"); l.Verdict != "contract_mismatch" || !strings.Contains(l.Detail, "env.secret") {
		t.Errorf("loaded %+v; want the import named", l)
	}
	if l := load(t, c, "foreign"); l.Verdict != "host_fault" {
		t.Errorf("loaded %+v", l)
	}
	f, err := memfd.New("code", []byte("short"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	send(t, c, 0, &ipc.Load{Component: 1, Layer: "core", Size: 9}, f)
	if l := recv[*ipc.Loaded](t, c); l.Verdict != "host_fault" {
		t.Errorf("loaded %+v from a file shorter than announced", l)
	}
}

func TestCompileWorker(t *testing.T) {
	c, _ := ready(t, ipc.RoleCompile)
	compile := func(source string, most uint64) (*ipc.Compiled, string) {
		t.Helper()
		src, err := memfd.New("source", []byte(source))
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		out, err := memfd.Empty("code")
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		send(t, c, 0, &ipc.Compile{Size: uint64(len(source)), Cap: most}, src, out)
		m := recv[*ipc.Compiled](t, c)
		written, err := io.ReadAll(io.NewSectionReader(out, 0, 1<<20))
		if err != nil {
			t.Fatal(err)
		}
		return m, string(written)
	}
	if m, code := compile("wasm", 100); m.Verdict != "ok" || m.Layer != "core" || code != "native wasm" || m.Size != 11 {
		t.Errorf("%+v, %q", m, code)
	}
	if m, code := compile("bad", 100); m.Verdict != "compile_failed" || !strings.Contains(m.Detail, "no such opcode") || code != "" {
		t.Errorf("%+v, %q", m, code)
	}
	if m, code := compile("wasm", 5); m.Verdict != "compile_failed" || code != "" {
		t.Errorf("over the cap: %+v, %q", m, code)
	}
}

func TestRefusedWallIsReportedWithItsPlace(t *testing.T) {
	for _, at := range []string{"enter", "seal", "attempt"} {
		t.Run(at, func(t *testing.T) {
			refuse := &limits.WallError{Wall: "mount", Where: "pivot_root", Err: syscall.EPERM, Hint: "pay"}
			cfg := worker.Config{Attempt: func(string, string) (syscall.Errno, string, error) { return 0, "", refuse }}
			role := ipc.RoleStep
			if at == "attempt" {
				role = ipc.RoleProbe
			}
			if at == "enter" {
				cfg.Enter = func(*ipc.Welcome) (worker.Entered, error) { return worker.Entered{}, refuse }
			} else {
				cfg.Seal = func() ([]limits.Wall, error) { return nil, refuse }
			}
			c, _ := supervise(t, cfg)
			recv[*ipc.Hello](t, c)
			send(t, c, 0, &ipc.Welcome{Version: ipc.Version, Role: role, GuestMemory: 1 << 20})
			switch at {
			case "seal":
				recv[*ipc.Ready](t, c)
				send(t, c, 0, &ipc.Seal{})
			case "attempt":
				recv[*ipc.Ready](t, c)
				send(t, c, 0, &ipc.Attempt{Stage: "run", Name: "open"})
			}
			m := recv[*ipc.Refused](t, c)
			if m.Wall != "mount" || m.Where != "pivot_root" || m.Errno != int32(syscall.EPERM) || m.Hint != "pay" {
				t.Errorf("refused %+v", m)
			}
			if _, err := c.Recv(); !errors.Is(err, io.EOF) {
				t.Errorf("after Refused: %v, want the worker gone", err)
			}
		})
	}
}

func TestAProbeTriesOnce(t *testing.T) {
	c, _ := supervise(t, worker.Config{Attempt: func(stage, name string) (syscall.Errno, string, error) {
		return syscall.EACCES, stage + ": " + name, nil
	}})
	recv[*ipc.Hello](t, c)
	send(t, c, 0, &ipc.Welcome{Version: ipc.Version, Role: ipc.RoleProbe})
	recv[*ipc.Ready](t, c)
	send(t, c, 0, &ipc.Attempt{Stage: "run", Name: "open"})
	if m := recv[*ipc.Attempted](t, c); m.Errno != int32(syscall.EACCES) || m.Detail != "run: open" {
		t.Errorf("attempted %+v", m)
	}
	if _, err := c.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("after Attempted: %v, want the worker gone", err)
	}
}

func TestByeEndsTheWorker(t *testing.T) {
	c, _ := ready(t, ipc.RoleStep)
	send(t, c, 0, &ipc.Bye{})
	if _, err := c.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("after Bye: %v", err)
	}
}
