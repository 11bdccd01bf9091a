//go:build linux && cgo

package main

import (
	"errors"
	"os"

	"github.com/greentic-ai/greentic-provision/component"
	"github.com/greentic-ai/greentic-provision/component/wasmtime"
	"github.com/greentic-ai/greentic-provision/ipc"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/limits/entry"
	"github.com/greentic-ai/greentic-provision/limits/mdwe"
	"github.com/greentic-ai/greentic-provision/limits/rlimit"
	"github.com/greentic-ai/greentic-provision/limits/seccomp/policy"
)

// walls raises them in order. Under isolation "none" a wall that cannot be
// raised is reported as such; otherwise it ends the worker.
type walls struct {
	optional bool
	role     policy.Role
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

// enter raises everything up to phase "load".
func (w *walls) enter(m *ipc.Welcome) (component.Runtime, []limits.Wall, error) {
	w.optional = limits.Isolation(m.Isolation) == limits.None
	w.role = policy.Role(m.Role)
	if err := entry.Err(); err != nil {
		return nil, nil, err
	}
	up := entry.Raised()

	spec := rlimit.Spec{Data: limits.Bytes(m.Data), CPU: m.CPUSeconds, Stack: limits.Bytes(m.Stack), OwnUsers: m.OwnUsers}
	table := rlimit.Step(spec)
	if w.role == policy.Compile {
		table = rlimit.Compile(spec, limits.MaxCode)
	}
	wall, err := table.Apply()
	if err := w.raise(&up, wall, err); err != nil {
		return nil, nil, err
	}
	runtime, err := wasmtime.New(wasmtime.Config{MaxWasmStack: int64(m.Stack)})
	if err != nil {
		return nil, nil, err
	}
	wall, err = policy.Install(policy.Load, w.role, os.Getpid())
	if err := w.raise(&up, wall, err); err != nil {
		return nil, nil, err
	}
	return runtime, up, nil
}

// seal raises the walls of phase "run".
func (w *walls) seal() ([]limits.Wall, error) {
	var up []limits.Wall
	wall, err := mdwe.Raise()
	if errors.Is(err, limits.ErrUnsupported) {
		// Kernels before 6.3: the filter below holds the same line.
		wall.Detail, err = "not supported by this kernel", nil
	}
	if err := w.raise(&up, wall, err); err != nil {
		return nil, err
	}
	wall, err = policy.Install(policy.Run, w.role, os.Getpid())
	if err := w.raise(&up, wall, err); err != nil {
		return nil, err
	}
	return up, nil
}
