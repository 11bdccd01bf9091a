// Package wasi is a WASI preview 2 (0.2.x) host with nothing in it: no
// environment, no arguments, no files, no network, an input that is at its end,
// outputs that go to the log, a clock that is fixed and randomness that is
// seeded. What a guest computes with it depends on its inputs only.
//
// It stands in for the engine's own WASI, which reads real clocks and entropy
// and starts threads of its own, none of which a sealed worker should do.
//
// # Time
//
// Time is virtual. The wall clock starts at Config.Now, the monotonic clock at
// zero; each look at a clock or a pollable advances both by 1 µs, so that a loop
// which waits for time to pass ends. Sleeping takes no real time: the clocks
// jump to the earliest moment that is waited for. When the guest has used up
// Config.Budget of virtual time, or waits for what can never happen, the call
// fails with ErrDeadline. A guest that would sleep for an hour thus ends the
// same way on every machine, and at once. (Real time is not this package's
// concern; the engine's epochs and the supervisor's deadline see to it.)
//
// # Denial
//
// The interfaces below are offered whole, whatever functions a patch version
// adds to them. A function with a real answer here is implemented; every other
// one answers "no" in the form of its own result type:
//
//	result<_, enum or variant>   err: access-denied, access, not-permitted or
//	                             closed if there is such a case without
//	                             payload, else the first case that can be made
//	result<_, other>, result<T>  err with an empty value, or without one
//	option                       none
//	list                         empty
//	anything else                the call fails with ErrDenied (a trap)
//
// Offered: wasi:cli/{environment, exit, stdin, stdout, stderr, terminal-input,
// terminal-output, terminal-stdin, terminal-stdout, terminal-stderr},
// wasi:io/{error, poll, streams}, wasi:clocks/{monotonic-clock, wall-clock},
// wasi:random/{random, insecure, insecure-seed}, wasi:filesystem/{preopens,
// types}, wasi:sockets/{network, instance-network, tcp, tcp-create-socket, udp,
// udp-create-socket, ip-name-lookup}. Not offered: wasi:http and the rest.
package wasi

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/greentic-ai/greentic-provision/component"
)

// Config is what a guest's world is made from.
type Config struct {
	Now    time.Time     // what the wall clock says at first
	Seed   [32]byte      // of all randomness
	Budget time.Duration // of virtual time; 0 lets none pass
	// Stdout and Stderr get each line that the guest writes there, without the
	// line end, at most MaxLine bytes at a time, hostile. The slice must not be
	// kept. nil drops the output.
	Stdout, Stderr func(line []byte)
}

// The bounds of what a guest can make a Host hold or give.
const (
	MaxHandles = 1024    // live resources
	MaxRandom  = 1 << 20 // bytes of one get-random-bytes
	MaxLine    = 4 << 10 // bytes of a line; a longer one comes in pieces
	maxWrite   = 64 << 10
)

// The errors that end a step. They reach the caller through *component.Trap.
var (
	// ErrDeadline: the guest used up its virtual time, or waits for nothing.
	ErrDeadline = errors.New("the step's time is used up")
	// ErrDenied: a function that cannot say no in its own words.
	ErrDenied = errors.New("denied: there is no such thing in a provisioning step")
	// ErrLimit: more handles, or more random bytes at once, than there may be.
	ErrLimit = errors.New("over the limit of the WASI host")
)

// ExitError says that the guest ended itself (wasi:cli/exit).
type ExitError struct{ Code uint8 }

func (e *ExitError) Error() string { return fmt.Sprintf("the guest exited with code %d", e.Code) }

// Host is the WASI of one instance; make a new one for each. Like the instance
// it is used by one goroutine.
type Host struct {
	cfg    Config
	mono   time.Duration // virtual time passed
	random *rand.ChaCha8
	// insecure is a generator of its own, so that a hash seed drawn by a
	// language runtime does not shift what the program sees of random.
	insecure *rand.ChaCha8

	handles map[uint32]any
	last    uint32
	stdout  output
	stderr  output
}

// output cuts what is written to it into lines.
type output struct {
	to  func(line []byte)
	buf []byte // no whole line yet
}

// New makes the WASI of one instance.
func New(cfg Config) *Host {
	cfg.Budget = max(0, cfg.Budget)
	h := &Host{cfg: cfg, random: rand.NewChaCha8(cfg.Seed), handles: map[uint32]any{},
		stdout: output{to: cfg.Stdout}, stderr: output{to: cfg.Stderr}}
	other := cfg.Seed
	for i := range other {
		other[i] ^= 0x5a
	}
	h.insecure = rand.NewChaCha8(other)
	return h
}

// Flush gives the last lines, if the guest did not end them, to Config.Stdout
// and Config.Stderr. Call it when the step is over.
func (h *Host) Flush() {
	h.stdout.end()
	h.stderr.end()
}

// Offers says whether this package knows the interface that a program imports
// under that name, with its version.
func Offers(name string) bool {
	_, ok := interfaceOf(name)
	return ok
}

// interfaceOf splits an import name. Only preview 2 is spoken: unlike everywhere
// else in this program the version counts, because most functions are denied by
// their form alone, and the form of a later WASI means something else.
func interfaceOf(name string) (iface, bool) {
	base, version, ok := strings.Cut(name, "@")
	if ok && version != "0.2" && !strings.HasPrefix(version, "0.2.") {
		return iface{}, false
	}
	i, ok := interfaces[base]
	return i, ok
}

// Gap is an item of an imported interface that is not offered.
type Gap struct {
	Item      string // "" for the interface itself
	Want, Got string // function types, when the name is known but the type is another
}

// Check gives the items of an imported interface that are not offered, none if
// it can be bound. It looks at types only.
func Check(name string, items []component.Item) []Gap {
	i, ok := interfaceOf(name)
	if !ok {
		return []Gap{{}}
	}
	var gaps []Gap
	for _, it := range items {
		switch it.Kind {
		case component.ItemType:
		case component.ItemResource:
			if kinds[it.Name] == 0 {
				gaps = append(gaps, Gap{Item: it.Name})
			}
		case component.ItemFunc:
			if it.Func == nil || !it.Func.Supported() {
				gaps = append(gaps, Gap{Item: it.Name})
			} else if f, known := i[it.Name]; known && !it.Func.Is(f.wit) {
				gaps = append(gaps, Gap{Item: it.Name, Want: f.wit, Got: it.Func.Abbreviate(512)})
			}
		default:
			gaps = append(gaps, Gap{Item: it.Name})
		}
	}
	return gaps
}

// Bind gives the functions and resources of an imported interface that Check
// finds no gap in.
func (h *Host) Bind(name string, items []component.Item) component.HostInterface {
	i, _ := interfaceOf(name)
	hi := component.HostInterface{Funcs: map[string]component.HostFunc{}, Resources: map[string]component.HostResource{}}
	for _, it := range items {
		switch it.Kind {
		case component.ItemResource:
			hi.Resources[it.Name] = component.HostResource{Kind: kinds[it.Name], Drop: h.drop}
		case component.ItemFunc:
			if f, known := i[it.Name]; known {
				hi.Funcs[it.Name] = f.bind(h)
			} else {
				hi.Funcs[it.Name] = deny(it.Func)
			}
		}
	}
	return hi
}

// kinds numbers every resource of the offered interfaces. WASI gives each a name
// of its own, and an interface that uses another's resource lists it under the
// same name, so the name alone identifies the type.
var kinds = map[string]uint32{
	"error":                    1,
	"pollable":                 2,
	"input-stream":             3,
	"output-stream":            4,
	"terminal-input":           5,
	"terminal-output":          6,
	"descriptor":               7,
	"directory-entry-stream":   8,
	"network":                  9,
	"tcp-socket":               10,
	"udp-socket":               11,
	"incoming-datagram-stream": 12,
	"outgoing-datagram-stream": 13,
	"resolve-address-stream":   14,
}

// own makes a resource and gives its handle. Kind is the resource's name.
func (h *Host) own(kind string, v any) (component.Handle, error) {
	if len(h.handles) >= MaxHandles {
		return component.Handle{}, fmt.Errorf("%w: %d handles are alive", ErrLimit, MaxHandles)
	}
	h.last++
	for h.handles[h.last] != nil { // after 2³² handles the numbers come round
		h.last++
	}
	h.handles[h.last] = v
	return component.Handle{Own: true, Kind: kinds[kind], Rep: h.last}, nil
}

func (h *Host) drop(rep uint32) { delete(h.handles, rep) }

// get gives the resource of a handle argument.
func get[T any](h *Host, v component.Value) (T, error) {
	hd, _ := v.(component.Handle)
	r, ok := h.handles[hd.Rep].(T)
	if !ok {
		return r, fmt.Errorf("no live resource %d of kind %d", hd.Rep, hd.Kind)
	}
	return r, nil
}

// pass advances virtual time.
func (h *Host) pass(d time.Duration) error {
	if d > h.cfg.Budget-h.mono {
		h.mono = h.cfg.Budget
		return ErrDeadline
	}
	h.mono += d
	return nil
}

// look advances virtual time by what a look at the clock takes.
func (h *Host) look() error { return h.pass(time.Microsecond) }

// write passes on the lines that are whole and keeps the rest.
func (o *output) write(b []byte) {
	if o.to == nil {
		return
	}
	for _, c := range b {
		switch {
		case c == '\n' && len(o.buf) == 0:
			o.to(nil) // an empty line is a line
		case c == '\n':
			o.end()
		default:
			if o.buf = append(o.buf, c); len(o.buf) == MaxLine {
				o.end()
			}
		}
	}
}

// end passes on what there is of a line.
func (o *output) end() {
	if len(o.buf) > 0 {
		o.to(o.buf)
		o.buf = o.buf[:0]
	}
}
