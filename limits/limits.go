// Package limits says what a step may use, what happened when it used more,
// and which walls stood around it. It holds numbers and words only: it makes no
// system call. The packages below it turn the numbers into kernel state, one
// Linux feature each.
package limits

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrUnsupported is wrapped by every error that says this system cannot offer a
// wall (as opposed to: it refused one this time).
var ErrUnsupported = errors.New("not supported on this system")

// Bytes is a size.
type Bytes uint64

// Units.
const (
	KiB Bytes = 1 << 10
	MiB Bytes = 1 << 20
	GiB Bytes = 1 << 30
)

// MaxCode bounds the native code of one component. The largest real component
// (5.7 MB of wasm) gives about 20 MiB, a JavaScript engine (12 MB) 44 MiB.
const MaxCode = 128 * MiB

// String gives the size in the largest unit that divides it.
func (b Bytes) String() string {
	switch {
	case b >= GiB && b%GiB == 0:
		return fmt.Sprintf("%d GiB", b/GiB)
	case b >= MiB && b%MiB == 0:
		return fmt.Sprintf("%d MiB", b/MiB)
	case b >= KiB && b%KiB == 0:
		return fmt.Sprintf("%d KiB", b/KiB)
	}
	return fmt.Sprintf("%d bytes", uint64(b))
}

// Limits is a value: fixed when a worker starts, never changed after. In JSON sizes
// are in bytes and times in nanoseconds.
type Limits struct {
	GuestMemory   Bytes         `json:"guest_memory"`    // linear memory of one instance
	WorkerData    Bytes         `json:"worker_data"`     // RLIMIT_DATA of a step worker; 0 means GuestMemory + 128 MiB
	StepTime      time.Duration `json:"step_time_ns"`    // wall time of one step, host calls included
	RunTime       time.Duration `json:"run_time_ns"`     // wall time of a run, compilation excluded
	StartTime     time.Duration `json:"start_time_ns"`   // wall time from a worker's spawn to Ready, and for each Load and Seal
	CompileTime   time.Duration `json:"compile_time_ns"` // wall time of one compilation
	CompileMemory Bytes         `json:"compile_memory"`  // RLIMIT_DATA of a compile worker
	Stack         Bytes         `json:"stack"`           // wasm stack
	StepInput     Bytes         `json:"step_input"`      // request JSON
	StepOutput    Bytes         `json:"step_output"`     // response JSON
	Log           Bytes         `json:"log"`             // log text kept per step; the rest is counted
	HostCalls     int           `json:"host_calls"`      // host calls per step
	HostCallBytes Bytes         `json:"host_call_bytes"` // arguments or reply of one host call
}

// Default gives the limits that hold unless a flag says otherwise.
func Default() Limits {
	return Limits{
		GuestMemory:   64 * MiB,
		StepTime:      5 * time.Second,
		RunTime:       60 * time.Second,
		StartTime:     10 * time.Second, // 6 ms is usual; a loaded machine takes longer
		CompileTime:   60 * time.Second,
		CompileMemory: 2 * GiB,
		Stack:         512 * KiB,
		StepInput:     1 * MiB,
		StepOutput:    1 * MiB,
		Log:           64 * KiB,
		HostCalls:     1000,
		HostCallBytes: 1 * MiB,
	}
}

// Data is the effective RLIMIT_DATA of a step worker.
func (l Limits) Data() Bytes {
	if l.WorkerData != 0 {
		return l.WorkerData
	}
	return l.GuestMemory + 128*MiB
}

// Within gives l with no limit above that of most.
func (l Limits) Within(most Limits) Limits {
	if l.WorkerData != 0 || most.WorkerData != 0 {
		l.WorkerData = min(l.Data(), most.Data())
	}
	l.GuestMemory = min(l.GuestMemory, most.GuestMemory)
	l.StepTime = min(l.StepTime, most.StepTime)
	l.RunTime = min(l.RunTime, most.RunTime)
	l.StartTime = min(l.StartTime, most.StartTime)
	l.CompileTime = min(l.CompileTime, most.CompileTime)
	l.CompileMemory = min(l.CompileMemory, most.CompileMemory)
	l.Stack = min(l.Stack, most.Stack)
	l.StepInput = min(l.StepInput, most.StepInput)
	l.StepOutput = min(l.StepOutput, most.StepOutput)
	l.Log = min(l.Log, most.Log)
	l.HostCalls = min(l.HostCalls, most.HostCalls)
	l.HostCallBytes = min(l.HostCallBytes, most.HostCallBytes)
	return l
}

// Validate reports every number that cannot work, joined.
func (l Limits) Validate() error {
	var errs []error
	size := func(flag string, v, lo, hi Bytes) {
		if v < lo || v > hi {
			errs = append(errs, fmt.Errorf("--%s: %s is outside %s to %s", flag, v, lo, hi))
		}
	}
	span := func(flag string, v, lo, hi time.Duration) {
		if v < lo || v > hi {
			errs = append(errs, fmt.Errorf("--%s: %s is outside %s to %s", flag, v, lo, hi))
		}
	}
	size("max-guest-memory", l.GuestMemory, 64*KiB, 4*GiB)
	if l.WorkerData != 0 {
		size("max-worker-data", l.WorkerData, 32*MiB, 16*GiB)
	}
	span("step-timeout", l.StepTime, 10*time.Millisecond, time.Hour)
	span("run-timeout", l.RunTime, 10*time.Millisecond, 24*time.Hour)
	span("start-timeout", l.StartTime, 10*time.Millisecond, time.Hour)
	span("compile-timeout", l.CompileTime, 10*time.Millisecond, time.Hour)
	size("max-compile-memory", l.CompileMemory, 64*MiB, 64*GiB)
	size("max-stack", l.Stack, 64*KiB, 4*MiB)
	size("max-step-input", l.StepInput, 1*KiB, 8*MiB)
	size("max-step-output", l.StepOutput, 64, 8*MiB)
	size("max-log", l.Log, 0, 4*MiB)
	if l.HostCalls < 0 || l.HostCalls > 1_000_000 {
		errs = append(errs, fmt.Errorf("--max-host-calls: %d is outside 0 to 1000000", l.HostCalls))
	}
	size("max-host-call-bytes", l.HostCallBytes, 1*KiB, 4*MiB)
	return errors.Join(errs...)
}

// Verdict is how a step ended.
type Verdict string

// The verdicts. Only OK lets the run go on.
const (
	OK                Verdict = "ok"
	GuestError        Verdict = "guest_error"        // the step returned an error or a malformed response
	Trap              Verdict = "trap"               // the guest trapped
	Deadline          Verdict = "deadline"           // wall time used up
	MemoryLimit       Verdict = "memory_limit"       // guest or worker memory used up
	OutputLimit       Verdict = "output_limit"       // response too large
	HostcallLimit     Verdict = "hostcall_limit"     // too many or too large host calls
	ForbiddenSyscall  Verdict = "forbidden_syscall"  // seccomp stopped the worker
	WorkerCrash       Verdict = "worker_crash"       // the worker died
	ProtocolViolation Verdict = "protocol_violation" // the worker broke the protocol
	CompileFailed     Verdict = "compile_failed"     // not compilable within limits
	ContractMismatch  Verdict = "contract_mismatch"  // no known contract, or an import nobody offers
	HostFault         Verdict = "host_fault"         // our side broke
)

// Verdicts lists them all.
var Verdicts = []Verdict{OK, GuestError, Trap, Deadline, MemoryLimit, OutputLimit, HostcallLimit, ForbiddenSyscall,
	WorkerCrash, ProtocolViolation, CompileFailed, ContractMismatch, HostFault}

// Observer says who saw a fact; a worker is assumed compromised, so its word
// counts for its own run only.
type Observer string

// The observers.
const (
	ByKernel     Observer = "kernel"
	BySupervisor Observer = "supervisor"
	ByWorker     Observer = "worker"
)

// Fact is one thing that is known of how a step ended, and who saw it.
type Fact struct {
	Observer Observer `json:"observer"`
	Name     string   `json:"fact"`
	Value    string   `json:"value"`
}

// Usage is what a step used. Every number here is the same on each run of the
// same step with the same inputs, except after a deadline: how far a guest gets
// by then is the machine's affair.
type Usage struct {
	InputBytes  uint64 `json:"input_bytes"`
	OutputBytes uint64 `json:"output_bytes"`
	HostCalls   uint64 `json:"host_calls"`
	LogBytes    uint64 `json:"log_bytes"`
	LogDropped  uint64 `json:"log_dropped_bytes"`
}

// Wall is one layer of isolation. Detail is stable: the same on each run with
// the same program, kernel and flags. Observer is who saw that it stands: the
// kernel where it says so of the worker from outside, the supervisor for what it
// did itself, the worker for what only the worker can know.
type Wall struct {
	Name     string   `json:"name"`
	Raised   bool     `json:"raised"`
	Observer Observer `json:"observer,omitempty"`
	Detail   string   `json:"detail,omitempty"`
}

// Receipt says what a run was held in: the stable part, the same on each run with
// the same program, kernel and flags.
type Receipt struct {
	Isolation Isolation `json:"isolation"`
	Codegen   Codegen   `json:"codegen"`
	Engine    string    `json:"engine"`           // version, and a hash of its configuration
	Worker    string    `json:"worker,omitempty"` // the worker's binary: "sha256:" and the digest
	Walls     []Wall    `json:"walls"`            // in the order in which they were raised
	// Seen is the other part. It is kept out of the canonical form.
	Seen Sighting `json:"-"`
}

// Sighting is what differs between two runs in the same walls: what the kernel
// says of one worker. It is no part of a canonical result.
type Sighting struct {
	PID        int               `json:"pid"`
	UID        int               `json:"uid"`                  // of the worker, in the supervisor's user namespace
	Namespaces map[string]uint64 `json:"namespaces,omitempty"` // inode numbers, by the names in /proc/PID/ns
	Cgroup     string            `json:"cgroup,omitempty"`     // the worker's own, as a path of the system's cgroup tree
}

// Isolation is how much must stand before guest code may run.
type Isolation string

// The levels of isolation.
const (
	// Strict needs every wall that the kernel could offer: only what it lacks is
	// excused, and noted.
	Strict Isolation = "strict"
	// Standard needs namespaces, rlimits, no_new_privs and seccomp; a wall that
	// cannot be raised stops the run.
	Standard Isolation = "standard"
	// None raises what it can and goes on without the rest; the receipt says so.
	None Isolation = "none"
)

// Codegen is what guest code is compiled to.
type Codegen string

// The code generators.
const (
	// Native is machine code.
	Native Codegen = "native"
	// Interpreter is bytecode of the engine's own (wasmtime's Pulley): 30 times slower
	// in tight loops, 1.3 times in calls (make bench), and no executable memory is ever
	// mapped after a worker's start.
	Interpreter Codegen = "interpreter"
)

// WallError says that a wall could not be raised. Where is the place in the
// set-up, e.g. "mount: pivot_root".
type WallError struct {
	Wall  string
	Where string
	Err   error
	Hint  string
}

func (e *WallError) Error() string {
	parts := []string{fmt.Sprintf("cannot raise the %s wall", e.Wall)}
	if e.Where != "" {
		parts = append(parts, "at "+e.Where)
	}
	s := strings.Join(parts, " ")
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

func (e *WallError) Unwrap() error { return e.Err }
