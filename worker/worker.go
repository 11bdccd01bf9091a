// Package worker is the loop inside the sandbox: it speaks the protocol of
// package ipc, loads or compiles guest code through a component.Runtime, and
// does one action at a time. It makes no system call of its own beyond reading
// and writing the connection and the descriptors that ride on it, so a whole
// worker runs in a test over net.Pipe with a scripted runtime.
//
// Life of a step worker:
//
//	Hello ► ◄ Welcome   Config.Enter raises the walls
//	Ready ► ◄ Load      code is read from a sealed memfd, types and imports checked
//	Loaded ► ◄ Seal     Config.Seal: no executable mapping from here on
//	Sealed ► ◄ Invoke   a fresh instance, a contract, host calls
//	HostCall ► ◄ HostReply
//	Result ► ◄ Invoke … ◄ Bye
//
// A compile worker answers Compile instead of Load and is never sealed, because
// it never runs guest code. Guest bytes are first read after Ready in both roles.
// A probe reads none at all: it answers Attempt, once.
package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/greentic-ai/greentic-provision/capability/imports"
	"github.com/greentic-ai/greentic-provision/component"
	"github.com/greentic-ai/greentic-provision/contract"
	"github.com/greentic-ai/greentic-provision/ipc"
	"github.com/greentic-ai/greentic-provision/ipc/memfd"
	"github.com/greentic-ai/greentic-provision/limits"
)

// Config plugs the parts that are not pure into the loop.
type Config struct {
	Build  string // build version, compared by the supervisor
	Engine string // name and version of the engine
	// Enter puts the numbers of Welcome into force and raises every wall up to phase
	// "load"; in a probe, those before it. An error (usually *limits.WallError) is
	// reported as Refused and ends the worker.
	Enter func(*ipc.Welcome) (Entered, error)
	// Seal raises the walls of phase "run".
	Seal func() ([]limits.Wall, error)
	// Attempt raises the walls of a stage and attacks them: what the kernel answered
	// (0: the attack succeeded), and words for people. The error is a wall's that could
	// not be raised, or an attack's that there is not.
	Attempt func(stage, name string) (syscall.Errno, string, error)
}

// Entered is a worker behind its walls.
type Entered struct {
	// Runtime is made before the system-call filter, because making it is trusted
	// code.
	Runtime component.Runtime
	Engine  string // the engine and its configuration, which compiled code is bound to
	Walls   []limits.Wall
}

// Serve runs the worker until the supervisor says Bye or goes away; both give
// nil. Any other error means the protocol was broken or a wall refused.
func Serve(conn *ipc.Conn, cfg Config) error {
	s := &session{conn: conn, cfg: cfg, programs: map[uint32]*program{}}
	defer s.close()
	err := s.serve()
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) {
		return nil // the supervisor is gone; nobody is left to tell
	}
	return err
}

type session struct {
	conn     *ipc.Conn
	cfg      Config
	welcome  ipc.Welcome
	runtime  component.Runtime
	programs map[uint32]*program
}

// program is loaded guest code with the contracts that it speaks, best first.
type program struct {
	component.Program
	types     component.Types
	contracts []contract.Contract
}

// does gives the first contract that can do an action.
func (p *program) does(action contract.Action) (contract.Contract, bool) {
	for _, c := range p.contracts {
		if slices.Contains(c.Actions(), action) {
			return c, true
		}
	}
	return nil, false
}

func (s *session) close() {
	for _, p := range s.programs {
		p.Close()
	}
}

func (s *session) serve() error {
	hello := &ipc.Hello{Min: ipc.Version, Max: ipc.Version, Build: s.cfg.Build, Engine: s.cfg.Engine}
	if err := s.conn.Send(0, hello); err != nil {
		return err
	}
	env, err := s.conn.Recv()
	if err != nil {
		return err
	}
	s.welcome = *env.Message.(*ipc.Welcome) // the connection accepts nothing else here
	entered, err := s.cfg.Enter(&s.welcome)
	if err != nil {
		return errors.Join(err, s.conn.Send(0, refusal(err)))
	}
	s.runtime = entered.Runtime
	if err := s.conn.Send(0, &ipc.Ready{Engine: entered.Engine, Walls: wireWalls(entered.Walls)}); err != nil {
		return err
	}
	for {
		env, err := s.conn.Recv()
		if err != nil {
			return err
		}
		var reply ipc.Message
		switch m := env.Message.(type) {
		case *ipc.Load:
			reply = s.load(m, env.Files[0])
		case *ipc.Compile:
			reply = s.compile(m, env.Files[0], env.Files[1])
		case *ipc.Seal:
			walls, err := s.cfg.Seal()
			if err != nil {
				return errors.Join(err, s.conn.Send(0, refusal(err)))
			}
			reply = &ipc.Sealed{Walls: wireWalls(walls)}
		case *ipc.Invoke:
			reply, err = s.invoke(env.ID, m)
			if err != nil {
				return err
			}
		case *ipc.Attempt:
			errno, detail, err := s.cfg.Attempt(m.Stage, m.Name)
			if err != nil {
				return errors.Join(err, s.conn.Send(0, refusal(err)))
			}
			return s.conn.Send(0, &ipc.Attempted{Errno: int32(errno), Detail: bounded(detail)})
		case *ipc.Bye:
			return nil
		default:
			return fmt.Errorf("unexpected message %T", m)
		}
		if err := s.conn.Send(env.ID, reply); err != nil {
			return err
		}
	}
}

func refusal(err error) *ipc.Refused {
	r := &ipc.Refused{Wall: "unknown", Detail: bounded(err.Error())}
	var wall *limits.WallError
	if errors.As(err, &wall) {
		r.Wall, r.Where, r.Hint = wall.Wall, wall.Where, wall.Hint
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		r.Errno = int32(errno)
	}
	return r
}

func wireWalls(walls []limits.Wall) []ipc.Wall {
	out := make([]ipc.Wall, len(walls))
	for i, w := range walls {
		out[i] = ipc.Wall{Name: w.Name, Raised: w.Raised, Detail: w.Detail}
	}
	return out
}

// maxDetail bounds the text of a failure on the wire, in bytes.
const maxDetail = 4096

func (s *session) load(m *ipc.Load, f *os.File) *ipc.Loaded {
	loaded := &ipc.Loaded{Component: m.Component, Verdict: string(limits.OK)}
	fail := func(v limits.Verdict, err error) *ipc.Loaded {
		loaded.Verdict, loaded.Detail = string(v), bounded(err.Error())
		return loaded
	}
	defer f.Close()
	code, unmap, err := memfd.Map(f, int(m.Size))
	if err != nil {
		return fail(limits.HostFault, err)
	}
	p, err := s.runtime.Load(code, component.Layer(m.Layer))
	unmap()
	if err != nil {
		v := limits.HostFault
		switch {
		case errors.Is(err, component.ErrTooLarge):
			v = limits.ContractMismatch // no contract is, and nobody offers as much
		case strings.Contains(err.Error(), "Cannot allocate memory"): // the engine's text for ENOMEM
			v = limits.MemoryLimit
		}
		return fail(v, fmt.Errorf("load native code: %w", err))
	}
	types := p.Types()
	loaded.Imports, loaded.Exports = names(types.Imports), names(types.Exports)
	contracts, err := contract.Select(types)
	if err == nil && m.Contract != "" {
		contracts, err = contract.Choose(contracts, m.Contract)
	}
	if err == nil {
		// What nobody offers is found here, before any guest code runs.
		err = imports.Check(types)
	}
	if err != nil {
		p.Close()
		return fail(limits.ContractMismatch, err)
	}
	if old, ok := s.programs[m.Component]; ok {
		old.Close()
	}
	s.programs[m.Component] = &program{Program: p, types: types, contracts: contracts}
	for _, c := range contracts {
		wire := ipc.Contract{Name: c.Name()}
		for _, a := range c.Actions() {
			wire.Actions = append(wire.Actions, string(a))
		}
		loaded.Contracts = append(loaded.Contracts, wire)
	}
	return loaded
}

// names lists up to 64 item names, bounded, for people.
func names(items []component.Item) []string {
	const most = 64
	var out []string
	for i, it := range items {
		if i == most {
			return append(out, fmt.Sprintf("… and %d more", len(items)-most))
		}
		name := it.Name
		if len(name) > 200 {
			name = bounded(name[:200]) + "…"
		}
		out = append(out, name)
	}
	return out
}

func (s *session) compile(m *ipc.Compile, source, out *os.File) *ipc.Compiled {
	defer source.Close()
	defer out.Close()
	fail := func(err error) *ipc.Compiled {
		return &ipc.Compiled{Verdict: string(limits.CompileFailed), Detail: bounded(err.Error())}
	}
	wasm, unmap, err := memfd.Map(source, int(m.Size))
	if err != nil {
		return fail(err)
	}
	defer unmap()
	code, layer, err := s.runtime.Compile(wasm)
	if err != nil {
		return fail(err)
	}
	if uint64(len(code)) > m.Cap {
		return fail(fmt.Errorf("native code has %d bytes, more than the %d that are taken", len(code), m.Cap))
	}
	if _, err := out.Write(code); err != nil {
		return fail(fmt.Errorf("write native code: %w", err))
	}
	return &ipc.Compiled{Verdict: string(limits.OK), Layer: string(layer), Size: uint64(len(code))}
}

// invoke does one action. The error is for a broken connection and for what the
// supervisor has no right to ask; everything else is in the Result.
func (s *session) invoke(id uint32, m *ipc.Invoke) (*ipc.Result, error) {
	p, ok := s.programs[m.Component]
	if !ok {
		return nil, fmt.Errorf("invoke of component %d, which is not loaded", m.Component)
	}
	c, ok := p.does(contract.Action(m.Action))
	if !ok {
		return nil, fmt.Errorf("invoke of component %d for %q, which none of its contracts does", m.Component, m.Action)
	}
	st := newStep(s, id, m)
	fired := make(chan struct{})
	budget := time.AfterFunc(time.Duration(m.Budget), func() { defer close(fired); s.runtime.Interrupt() })
	output, err := st.run(context.Background(), p, c, m)
	if !budget.Stop() {
		<-fired // or it would interrupt the next step
	}
	if st.broken != nil {
		return nil, st.broken
	}
	return st.result(output, err), nil
}
