package contract

import (
	"context"
	"fmt"
	"slices"

	"github.com/greentic-ai/greentic-provision/component"
)

const (
	coreMemory = "memory"
	coreRun    = "run"
	coreType   = "(i32, i32) -> (i32, i32)"

	pageSize = 64 << 10

	// upstreamOffset is where Greentic's own runner writes every request,
	// whatever the module keeps there.
	upstreamOffset = 4096
)

// core is the contract of a core module.
type core struct{}

func selectCore(t component.Types) ([]Contract, error) {
	if len(t.Imports) > 0 {
		return nil, newMismatch(t, "a core module may not import anything")
	}
	if m, ok := component.Find(t.Exports, coreMemory); !ok || m.Kind != component.ItemCoreMemory {
		return nil, newMismatch(t, "the core module exports no memory named "+coreMemory)
	}
	run, ok := component.Find(t.Exports, coreRun)
	if !ok || run.Kind != component.ItemCoreFunc || run.Core == nil {
		return nil, newMismatch(t, "the core module exports no function named "+coreRun)
	}
	pair := []string{"i32", "i32"}
	if !slices.Equal(run.Core.Params, pair) || !slices.Equal(run.Core.Results, pair) {
		m := newMismatch(t, "a function of the contract has another type")
		m.Function, m.Expected = coreRun, coreType
		m.Found = component.Quote(fmt.Sprintf("(%s) -> (%s)", valtypes(run.Core.Params), valtypes(run.Core.Results)), maxType)
		return nil, m
	}
	return []Contract{core{}}, nil
}

// valtypes writes a list of core types, cut to a size worth reading.
func valtypes(ts []string) string {
	const most = 16
	s := ""
	for i, t := range ts {
		if i > 0 {
			s += ", "
		}
		if i == most {
			return s + fmt.Sprintf("and %d more", len(ts)-most)
		}
		s += t
	}
	return s
}

func (core) Name() string { return NameCore }

func (core) Actions() []Action { return []Action{ActStep} }

func (c core) Run(ctx context.Context, inst component.Instance, action Action, request []byte, maxOutput int) ([]byte, error) {
	if action != ActStep {
		return nil, unknownAction(c, action)
	}
	ptr, err := place(inst, request)
	if err != nil {
		return nil, err
	}
	// The request is far below 2 GiB and ptr is below 4 GiB; wasm reads both as
	// unsigned whatever Go calls them.
	res, err := inst.CallCore(ctx, coreRun, []int32{int32(ptr), int32(uint32(len(request)))}, 2)
	if err != nil {
		return nil, err
	}
	if len(res) != 2 {
		return nil, fmt.Errorf("the engine gave %d results, expected 2", len(res))
	}
	mem := inst.Memory(coreMemory)
	start, size := uint64(uint32(res[0])), uint64(uint32(res[1]))
	if start+size > uint64(len(mem)) {
		return nil, &GuestError{Code: CodeOutputOutOfBounds,
			Message: fmt.Sprintf("the response at %d with %d bytes is outside the memory of %d bytes", start, size, len(mem))}
	}
	return response(mem[start:start+size], maxOutput)
}

// place writes the request where the module keeps nothing: into pages grown for
// it. Upstream writes to offset 4096 of whatever is there, which overwrites the
// data of any module that keeps some; since run is told where the request is, a
// module that works there works here. A memory that may not grow (its own
// maximum, or the limit) leaves only upstream's place.
func place(inst component.Instance, request []byte) (uint32, error) {
	old := uint64(len(inst.Memory(coreMemory)))
	size := uint64(len(request))
	pages := (size + pageSize - 1) / pageSize
	at, grown := old, inst.GrowMemory(coreMemory, pages) == nil
	if !grown {
		at = upstreamOffset
	}
	mem := inst.Memory(coreMemory) // growing may move it
	switch {
	case grown && at+size > uint64(len(mem)):
		return 0, fmt.Errorf("the engine grew a memory of %d bytes by %d pages to %d bytes", old, pages, len(mem))
	case at+size > uint64(len(mem)):
		return 0, &GuestError{Code: CodeInputDoesNotFit,
			Message: fmt.Sprintf("the request of %d bytes fits neither behind the memory of %d bytes, which may not grow, nor at its offset %d", size, len(mem), upstreamOffset)}
	case at >= 1<<32:
		return 0, fmt.Errorf("the engine gave a memory of %d bytes to a 32-bit module", len(mem))
	}
	copy(mem[at:], request)
	return uint32(at), nil
}
