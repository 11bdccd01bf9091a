package supervisor

import (
	"github.com/greentic-ai/greentic-provision/contract"
	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/ipc"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/limits/attack"
	"github.com/greentic-ai/greentic-provision/limits/rlimit"
)

// welcome puts the configuration into wire form.
func welcome(cfg Config, role string, version uint16, ownUsers bool) *ipc.Welcome {
	l := cfg.Limits
	m := &ipc.Welcome{
		Version:       version,
		Role:          role,
		Isolation:     string(cfg.Isolation),
		Codegen:       string(cfg.Codegen),
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
	switch role {
	case ipc.RoleCompile:
		m.Data, m.CPUSeconds = uint64(l.CompileMemory), rlimit.CPUSeconds(l.CompileTime, threads)
	case ipc.RoleProbe:
		m.CPUSeconds = attack.CPUSeconds
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

// examined bounds and cleans what a worker says about a component.
func examined(m *ipc.Loaded) *engine.Examined {
	e := &engine.Examined{
		Reply:   engine.Reply{Verdict: limits.Verdict(m.Verdict), Observer: limits.ByWorker, Detail: boundDetail(m.Detail), Facts: claims(limits.Verdict(m.Verdict)), NotStarted: true},
		Imports: texts(m.Imports), Exports: texts(m.Exports),
	}
	for _, c := range m.Contracts {
		spoken := engine.Spoken{Name: printable(c.Name)}
		for _, a := range c.Actions {
			spoken.Actions = append(spoken.Actions, contract.Action(printable(a)))
		}
		e.Contracts = append(e.Contracts, spoken)
	}
	return e
}

func texts(list []string) []string {
	out := make([]string, 0, len(list))
	for _, t := range list {
		out = append(out, printable(t))
	}
	return out
}
