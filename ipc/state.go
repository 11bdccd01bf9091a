package ipc

import "fmt"

// state is what has been agreed so far. Both sides run the same automaton over
// the messages of both directions; in every state only one side may speak, so
// the two cannot disagree about where they are.
type state uint8

const (
	stateNew       state = iota // the worker is to say Hello
	stateGreeted                // the supervisor is to answer Welcome
	stateRaising                // the worker raises its walls
	stateLoad                   // a step worker waits for Load or Seal
	stateLoading                // it looks at the code
	stateCompile                // a compile worker waits for Compile
	stateCompiling              // it compiles
	stateProbe                  // a probe waits for Attempt
	stateTrying                 // it attacks its walls
	stateSealing                // a step worker raises the last walls
	stateSealed                 // it waits for Invoke
	stateRunning                // the guest runs
	stateCalling                // the guest waits for the supervisor
	stateOver                   // nothing may follow
)

var stateNames = [...]string{"new", "greeted", "raising", "load", "loading", "compile", "compiling", "probe", "trying", "sealing", "sealed", "running", "calling", "over"}

func (s state) String() string { return stateNames[s] }

// transitions is the whole protocol: what may be said where, and where that
// leads. Ready leads to stateLoad, stateCompile or stateProbe, by role.
var transitions = map[state]map[Type]state{
	stateNew:       {TypeHello: stateGreeted},
	stateGreeted:   {TypeWelcome: stateRaising, TypeBye: stateOver},
	stateRaising:   {TypeReady: stateLoad, TypeRefused: stateOver},
	stateLoad:      {TypeLoad: stateLoading, TypeSeal: stateSealing, TypeBye: stateOver},
	stateLoading:   {TypeLoaded: stateLoad},
	stateCompile:   {TypeCompile: stateCompiling, TypeBye: stateOver},
	stateCompiling: {TypeCompiled: stateCompile},
	stateProbe:     {TypeAttempt: stateTrying, TypeBye: stateOver},
	stateTrying:    {TypeAttempted: stateOver, TypeRefused: stateOver},
	stateSealing:   {TypeSealed: stateSealed, TypeRefused: stateOver},
	stateSealed:    {TypeInvoke: stateRunning, TypeBye: stateOver},
	stateRunning:   {TypeHostCall: stateCalling, TypeResult: stateSealed},
	stateCalling:   {TypeHostReply: stateRunning},
	stateOver:      {},
}

// machine is where a connection stands.
type machine struct {
	state state
	id    uint32 // of the newest Invoke
	ready state  // where Ready leads to, by the worker's role
	min   uint16 // what Hello offered
	max   uint16
}

// allows gives the rule that a frame of this type and id would break now, or "".
func (m *machine) allows(t Type, id uint32) string {
	if _, ok := transitions[m.state][t]; !ok {
		return fmt.Sprintf("no %s here", t)
	}
	switch t {
	case TypeInvoke:
		if id <= m.id {
			return fmt.Sprintf("the id %d of Invoke is not above %d", id, m.id)
		}
	case TypeHostCall, TypeHostReply, TypeResult:
		if id != m.id {
			return fmt.Sprintf("the id %d of %s is not %d, that of the Invoke under way", id, t, m.id)
		}
	default:
		if id != 0 {
			return fmt.Sprintf("%s has the id %d, must be 0", t, id)
		}
	}
	return ""
}

// step moves on over a message that allows has let pass, and gives the rule that
// its content breaks, or "". Only content that decides what may follow is looked
// at; the rest is for the receiver to judge.
func (m *machine) step(id uint32, msg Message) string {
	t := msg.frameType()
	next := transitions[m.state][t]
	switch msg := msg.(type) {
	case *Hello:
		m.min, m.max = msg.Min, msg.Max
	case *Welcome:
		if msg.Version < m.min || msg.Version > m.max {
			return fmt.Sprintf("Welcome chooses version %d, Hello offered %d to %d", msg.Version, m.min, m.max)
		}
		ready, ok := map[string]state{RoleStep: stateLoad, RoleCompile: stateCompile, RoleProbe: stateProbe}[msg.Role]
		if !ok {
			return fmt.Sprintf("Welcome gives the unknown role %.20q", msg.Role)
		}
		m.ready = ready
	case *Ready:
		next = m.ready
	case *Invoke:
		m.id = id
	}
	m.state = next
	return ""
}
