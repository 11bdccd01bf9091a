package supervisor

import (
	"github.com/greentic-ai/greentic-provision/ipc"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/limits/rlimit"
)

// welcome puts the configuration into wire form.
func welcome(cfg Config, role string, version uint16, ownUsers bool) *ipc.Welcome {
	l := cfg.Limits
	m := &ipc.Welcome{
		Version:       version,
		Role:          role,
		Isolation:     string(cfg.Isolation),
		OwnUsers:      ownUsers,
		Data:          uint64(l.Data()),
		CPUSeconds:    rlimit.CPUSeconds(l.RunTime, threads),
		GuestMemory:   uint64(l.GuestMemory),
		Stack:         uint64(l.Stack),
		StepInput:     uint64(l.StepInput),
		StepOutput:    uint64(l.StepOutput),
		Log:           uint64(l.Log),
		HostCalls:     uint32(l.HostCalls),
		HostCallBytes: uint64(l.HostCallBytes),
	}
	if role == ipc.RoleCompile {
		m.Data, m.CPUSeconds = uint64(l.CompileMemory), rlimit.CPUSeconds(l.CompileTime, threads)
	}
	return m
}

// threads that can be busy in a worker at once: the guest's and the Go
// runtime's. Not the number of processors, so that the receipt is the same on
// every machine.
const threads = 2

// walls bounds and cleans what a worker says about its walls.
func walls(in []ipc.Wall) []limits.Wall {
	out := make([]limits.Wall, 0, len(in))
	for _, w := range in[:min(len(in), 32)] {
		out = append(out, limits.Wall{Name: printable(w.Name), Raised: w.Raised, Detail: printable(w.Detail)})
	}
	return out
}
