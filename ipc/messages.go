package ipc

// Message is one of the structs below. Each has a fixed frame type, direction
// and size cap (see PROTOCOL.md, which is normative).
type Message interface{ frameType() Type }

// Type is the frame type. Codes below 32 go from the worker to the supervisor,
// codes from 32 up go the other way.
type Type uint8

// The frame types.
const (
	TypeHello     Type = 1
	TypeReady     Type = 2
	TypeRefused   Type = 3
	TypeLoaded    Type = 4
	TypeCompiled  Type = 5
	TypeSealed    Type = 6
	TypeHostCall  Type = 7
	TypeResult    Type = 8
	TypeAttempted Type = 9

	TypeWelcome   Type = 32
	TypeLoad      Type = 33
	TypeCompile   Type = 34
	TypeSeal      Type = 35
	TypeInvoke    Type = 36
	TypeHostReply Type = 37
	TypeBye       Type = 38
	TypeAttempt   Type = 39
)

// Hello is the worker's first word: the protocol versions it speaks, the build
// it is of, the engine it holds.
type Hello struct {
	Min    uint16 `msgpack:"min"`
	Max    uint16 `msgpack:"max"`
	Build  string `msgpack:"build"`
	Engine string `msgpack:"engine"`
}

// Roles of a worker.
const (
	RoleStep    = "step"    // runs guest code, never compiles
	RoleCompile = "compile" // compiles, never runs guest code
	RoleProbe   = "probe"   // tries its own walls, never sees a guest byte
)

// Welcome answers Hello: the version chosen, what the worker is for, and the
// numbers it must put into force before Ready. Sizes are in bytes, times in
// nanoseconds.
type Welcome struct {
	Version       uint16 `msgpack:"version"`
	Role          string `msgpack:"role"`
	Isolation     string `msgpack:"isolation"` // limits.Isolation
	Codegen       string `msgpack:"codegen"`   // limits.Codegen
	OwnUsers      bool   `msgpack:"own_users"` // the worker has a user namespace of its own
	Data          uint64 `msgpack:"data"`      // RLIMIT_DATA
	CPUSeconds    uint64 `msgpack:"cpu"`       // RLIMIT_CPU
	GuestMemory   uint64 `msgpack:"guest_memory"`
	Stack         uint64 `msgpack:"stack"`
	StepInput     uint64 `msgpack:"step_input"`
	StepOutput    uint64 `msgpack:"step_output"`
	Log           uint64 `msgpack:"log"`
	HostCalls     uint32 `msgpack:"host_calls"`
	HostCallBytes uint64 `msgpack:"host_call_bytes"`
}

// Wall is a wall the worker says it raised (limits.Wall).
type Wall struct {
	Name   string `msgpack:"name"`
	Raised bool   `msgpack:"raised"`
	Detail string `msgpack:"detail"`
}

// Ready says that the walls of phase "load" stand (those before it, in a probe).
// Engine names the engine and its configuration, which compiled code is bound to.
type Ready struct {
	Engine string `msgpack:"engine"`
	Walls  []Wall `msgpack:"walls" most:"64"`
}

// Refused says that a wall could not be raised; the worker exits after it.
type Refused struct {
	Wall   string `msgpack:"wall"`
	Where  string `msgpack:"where"`
	Errno  int32  `msgpack:"errno"`
	Detail string `msgpack:"detail"`
	Hint   string `msgpack:"hint"` // what would help
}

// Load hands over compiled code: one sealed memfd rides with the frame.
// Component numbers start at 0 and are the supervisor's choice. Contract, when
// not empty, is the only contract to drive the component by.
type Load struct {
	Component uint32 `msgpack:"component"`
	Layer     string `msgpack:"layer"` // component.Layer
	Size      uint64 `msgpack:"size"`
	Contract  string `msgpack:"contract"`
}

// Contract is a guest contract that a component speaks, and what can be asked of
// it (contract.Action).
type Contract struct {
	Name    string   `msgpack:"name"`
	Actions []string `msgpack:"actions" most:"64"`
}

// Loaded answers Load. Verdict is "ok" or the reason it cannot be run
// ("contract_mismatch", "host_fault" for code the engine does not take).
// Contracts are those that the binary's types offer, best first. Detail is text
// for people. Imports and Exports are names, also of what cannot be run.
type Loaded struct {
	Component uint32     `msgpack:"component"`
	Verdict   string     `msgpack:"verdict"`
	Contracts []Contract `msgpack:"contracts" most:"64"`
	Detail    string     `msgpack:"detail"`
	Imports   []string   `msgpack:"imports" most:"4096"`
	Exports   []string   `msgpack:"exports" most:"4096"`
}

// Compile hands over source code (wasm binary or text) in a sealed memfd, and a
// writable memfd for the native code. Two descriptors ride with the frame, in
// that order.
type Compile struct {
	Size uint64 `msgpack:"size"` // of the source
	Cap  uint64 `msgpack:"cap"`  // the most native code that will be taken
}

// Compiled answers Compile. When Verdict is "ok", the output memfd holds Size
// bytes of native code.
type Compiled struct {
	Verdict string `msgpack:"verdict"` // "ok", "compile_failed"
	Layer   string `msgpack:"layer"`
	Size    uint64 `msgpack:"size"`
	Detail  string `msgpack:"detail"`
}

// Seal asks for phase "run": no more executable mappings, no more Load.
type Seal struct{}

// Sealed answers Seal.
type Sealed struct {
	Walls []Wall `msgpack:"walls" most:"64"`
}

// Invoke asks one thing of a component: Action (contract.Action) says what, and
// the first of its contracts that can do it is used. The frame's id identifies
// it; the worker's HostCall and Result frames carry the same id. Budget is
// nanoseconds of wall time, Seed (32 bytes) and Now (nanoseconds since 1970) make
// the guest's randomness and clock.
type Invoke struct {
	Component uint32 `msgpack:"component"`
	Action    string `msgpack:"action"`
	Request   []byte `msgpack:"request"`
	Budget    int64  `msgpack:"budget"`
	Seed      []byte `msgpack:"seed"`
	Now       int64  `msgpack:"now"`
}

// HostCall asks the supervisor for a capability (capability.Op) on behalf of
// the guest. Args is a JSON object.
type HostCall struct {
	Op   string `msgpack:"op"`
	Args []byte `msgpack:"args"`
}

// HostReply answers a HostCall: Value is JSON when Code is empty, else Code is
// one of capability.Code and Message explains.
type HostReply struct {
	Value   []byte `msgpack:"value"`
	Code    string `msgpack:"code"`
	Message string `msgpack:"message"`
}

// LogLine is one line of guest log.
type LogLine struct {
	Level string `msgpack:"level"`
	Text  string `msgpack:"text"`
}

// Result ends an Invoke. All of it is the worker's claim. Output is the
// response JSON when Verdict is "ok"; Detail is the guest's or engine's text
// otherwise.
type Result struct {
	Verdict    string    `msgpack:"verdict"`
	Output     []byte    `msgpack:"output"`
	Detail     string    `msgpack:"detail"`
	Logs       []LogLine `msgpack:"logs" most:"65536"`
	LogBytes   uint64    `msgpack:"log_bytes"`
	LogDropped uint64    `msgpack:"log_dropped"`
}

// Attempt asks a probe to raise its walls up to a stage (limits/attack.Stage),
// then to try what they must stop: the attack of that name (limits/attack).
type Attempt struct {
	Stage string `msgpack:"stage"`
	Name  string `msgpack:"name"`
}

// Attempted says what the kernel answered: 0 when it let the attack through.
// A probe that the kernel killed says nothing. Detail is text for people.
type Attempted struct {
	Errno  int32  `msgpack:"errno"`
	Detail string `msgpack:"detail"`
}

// Bye asks the worker to exit.
type Bye struct{}

func (*Hello) frameType() Type     { return TypeHello }
func (*Ready) frameType() Type     { return TypeReady }
func (*Refused) frameType() Type   { return TypeRefused }
func (*Loaded) frameType() Type    { return TypeLoaded }
func (*Compiled) frameType() Type  { return TypeCompiled }
func (*Sealed) frameType() Type    { return TypeSealed }
func (*HostCall) frameType() Type  { return TypeHostCall }
func (*Result) frameType() Type    { return TypeResult }
func (*Attempt) frameType() Type   { return TypeAttempt }
func (*Attempted) frameType() Type { return TypeAttempted }
func (*Welcome) frameType() Type   { return TypeWelcome }
func (*Load) frameType() Type      { return TypeLoad }
func (*Compile) frameType() Type   { return TypeCompile }
func (*Seal) frameType() Type      { return TypeSeal }
func (*Invoke) frameType() Type    { return TypeInvoke }
func (*HostReply) frameType() Type { return TypeHostReply }
func (*Bye) frameType() Type       { return TypeBye }
