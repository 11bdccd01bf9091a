//go:build linux && cgo

package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"github.com/greentic-ai/greentic-provision/component/wasmtime"
	"github.com/greentic-ai/greentic-provision/ipc"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/limits/attack"
	"github.com/greentic-ai/greentic-provision/limits/attack/native"
	"github.com/greentic-ai/greentic-provision/limits/entry"
	"github.com/greentic-ai/greentic-provision/limits/mdwe"
	"github.com/greentic-ai/greentic-provision/limits/rlimit"
	"github.com/greentic-ai/greentic-provision/limits/seccomp/policy"
	"github.com/greentic-ai/greentic-provision/worker"
)

// walls raises them in order. Under isolation "none" a wall that cannot be
// raised is reported as such; otherwise it ends the worker.
type walls struct {
	optional bool
	role     policy.Role
	codegen  limits.Codegen
}

// raise adds a wall, or gives the reason why the worker must not go on.
func (w *walls) raise(to *[]limits.Wall, wall limits.Wall, err error) error {
	if err != nil && w.optional {
		wall.Raised, wall.Detail = false, err.Error()
		err = nil
	}
	*to = append(*to, wall)
	return err
}

// engine names the engine and, by a hash, everything about its configuration that
// compiled code depends on. The wasm stack is not part of that: the engine checks
// it at run time only.
func engine(codegen limits.Codegen) string {
	key := sha256.Sum256([]byte(wasmtime.Config{Codegen: codegen}.Key()))
	return fmt.Sprintf("wasmtime %s, configuration %x", wasmtime.EngineVersion, key[:8])
}

// enter raises everything up to phase "load"; in a probe, everything before it.
func (w *walls) enter(m *ipc.Welcome) (worker.Entered, error) {
	w.optional = limits.Isolation(m.Isolation) == limits.None
	w.role, w.codegen = policy.Role(m.Role), limits.Codegen(m.Codegen)
	if err := entry.Err(); err != nil {
		return worker.Entered{}, err
	}
	up := entry.Raised()

	spec := rlimit.Spec{Data: limits.Bytes(m.Data), CPU: m.CPUSeconds, Stack: limits.Bytes(m.Stack), OwnUsers: m.OwnUsers}
	table := rlimit.Step(spec)
	if w.role == policy.Compile {
		table = rlimit.Compile(spec, limits.MaxCode)
	}
	wall, err := table.Apply()
	if err := w.raise(&up, wall, err); err != nil {
		return worker.Entered{}, err
	}
	runtime, err := wasmtime.New(wasmtime.Config{MaxWasmStack: int64(m.Stack), Codegen: w.codegen})
	if err != nil {
		return worker.Entered{}, err
	}
	if w.role != policy.Probe {
		if err := w.load(&up); err != nil {
			return worker.Entered{}, err
		}
	}
	return worker.Entered{Runtime: runtime, Engine: engine(w.codegen), Walls: up}, nil
}

// load raises the walls of phase "load".
func (w *walls) load(up *[]limits.Wall) error {
	if w.codegen == limits.Interpreter {
		// Bytecode needs no executable memory: the wall that stands behind Seal
		// otherwise is raised before the first hostile byte.
		if err := w.mdwe(up); err != nil {
			return err
		}
	}
	return w.filter(up, policy.Load)
}

func (w *walls) mdwe(up *[]limits.Wall) error {
	wall, err := mdwe.Raise()
	if errors.Is(err, limits.ErrUnsupported) {
		// Kernels before 6.3: the filters hold the same line.
		wall.Detail, err = "not supported by this kernel", nil
	}
	return w.raise(up, wall, err)
}

// seal raises the walls of phase "run".
func (w *walls) seal() ([]limits.Wall, error) {
	var up []limits.Wall
	if w.codegen != limits.Interpreter {
		if err := w.mdwe(&up); err != nil {
			return nil, err
		}
	}
	err := w.filter(&up, policy.Run)
	return up, err
}

// filter raises the system-call filter of a phase.
func (w *walls) filter(up *[]limits.Wall, phase policy.Phase) error {
	wall, err := policy.Install(phase, w.role, os.Getpid(), w.codegen)
	return w.raise(up, wall, err)
}

// attempt raises the walls up to a stage, in the order in which any worker raises
// them, and attacks them.
func (w *walls) attempt(stage, name string) (syscall.Errno, string, error) {
	if _, ok := attack.Find(name); !ok {
		return 0, "", fmt.Errorf("no attack %q", name)
	}
	stages := attack.Stages(w.codegen)
	last := slices.Index(stages, attack.Stage(stage))
	if last < 0 {
		return 0, "", fmt.Errorf("no stage %q", stage)
	}
	var up []limits.Wall
	for _, s := range stages[:last+1] {
		var err error
		switch s {
		case attack.Load:
			err = w.filter(&up, policy.Load)
		case attack.MDWE:
			err = w.mdwe(&up)
		case attack.Run:
			err = w.filter(&up, policy.Run)
		}
		if err != nil {
			return 0, "", err
		}
	}
	errno, detail := native.Do(name)
	return errno, detail, nil
}
