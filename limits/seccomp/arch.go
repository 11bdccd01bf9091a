package seccomp

import (
	"fmt"
	"maps"
	"runtime"
	"slices"

	"github.com/elastic/go-seccomp-bpf/arch"

	"github.com/greentic-ai/greentic-provision/limits"
)

// Arch is a machine a filter can be assembled for, on any machine.
type Arch struct {
	name    string // GOARCH
	audit   uint32 // AUDIT_ARCH_*, linux/audit.h
	x32     bool   // shares audit with the x32 ABI
	numbers map[string]int
}

// x32Bit marks the x32 ABI in a call number (arch/x86/include/uapi/asm/unistd.h).
const x32Bit = 0x40000000

// The architectures. The numbers come from the generated tables of
// go-seccomp-bpf (Linux 6.15); TestNumbers holds the host's against x/sys/unix.
var (
	AMD64 = Arch{name: "amd64", audit: uint32(arch.X86_64.ID), x32: true, numbers: arch.X86_64.SyscallNames}
	ARM64 = Arch{name: "arm64", audit: uint32(arch.AARCH64.ID), numbers: arch.AARCH64.SyscallNames}
)

// Host gives the architecture this program was built for.
func Host() (Arch, error) {
	for _, a := range []Arch{AMD64, ARM64} {
		if a.name == runtime.GOARCH {
			return a, nil
		}
	}
	return Arch{}, fmt.Errorf("seccomp: no filter for %s: %w", runtime.GOARCH, limits.ErrUnsupported)
}

// String is the GOARCH name.
func (a Arch) String() string { return a.name }

// Audit is the AUDIT_ARCH value the kernel reports for native calls.
func (a Arch) Audit() uint32 { return a.audit }

// Number gives the number of the named call.
func (a Arch) Number(name string) (int, bool) {
	n, ok := a.numbers[name]
	return n, ok
}

// Names lists the known calls, sorted.
func (a Arch) Names() []string { return slices.Sorted(maps.Keys(a.numbers)) }
