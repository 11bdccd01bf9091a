package wasi

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/greentic-ai/greentic-provision/component"
)

// iface is the functions of an interface that have an answer of their own.
type iface map[string]function

// function is one of them: the type it must have and what it does. The engine
// checks arguments against the type that the program imports, and that type was
// compared with wit, so the assertions on args hold.
type function struct {
	wit string
	do  func(h *Host, args []component.Value) (component.Value, error)
}

func (f function) bind(h *Host) component.HostFunc {
	return func(_ context.Context, args []component.Value) (component.Value, error) { return f.do(h, args) }
}

const (
	streamError = "variant {last-operation-failed(own), closed}"
	datetime    = "record {seconds: u64, nanoseconds: u32}"
)

// closed is the end of a stream.
var closed = component.Err(component.Case{Name: "closed"})

// interfaces is everything that is offered. An interface without functions here
// is answered by its form alone.
var interfaces = map[string]iface{
	"wasi:cli/environment": {}, // two empty lists and no directory
	"wasi:cli/exit": {
		"exit": {"func(result<_, _>)", func(_ *Host, args []component.Value) (component.Value, error) {
			e := &ExitError{}
			if args[0].(component.Res).IsErr {
				e.Code = 1
			}
			return nil, e
		}},
		"exit-with-code": {"func(u8)", func(_ *Host, args []component.Value) (component.Value, error) {
			return nil, &ExitError{Code: args[0].(uint8)}
		}},
	},
	"wasi:cli/stdin": {"get-stdin": {"func() -> own", func(h *Host, _ []component.Value) (component.Value, error) { return h.handle("input-stream", input{}) }}},
	"wasi:cli/stdout": {"get-stdout": {"func() -> own", func(h *Host, _ []component.Value) (component.Value, error) {
		return h.handle("output-stream", &h.stdout)
	}}},
	"wasi:cli/stderr": {"get-stderr": {"func() -> own", func(h *Host, _ []component.Value) (component.Value, error) {
		return h.handle("output-stream", &h.stderr)
	}}},
	"wasi:cli/terminal-input":  {},
	"wasi:cli/terminal-output": {},
	"wasi:cli/terminal-stdin":  {}, // nothing is a terminal
	"wasi:cli/terminal-stdout": {},
	"wasi:cli/terminal-stderr": {},

	"wasi:io/error": {
		// No stream here fails with an error, so none is ever made.
		"[method]error.to-debug-string": {"func(borrow) -> string", func(*Host, []component.Value) (component.Value, error) { return "denied", nil }},
	},
	"wasi:io/poll": {
		"[method]pollable.ready": {"func(borrow) -> bool", func(h *Host, args []component.Value) (component.Value, error) {
			p, err := get[pollable](h, args[0])
			if err != nil {
				return nil, err
			}
			ready := p.at <= h.mono
			return ready, h.look()
		}},
		"[method]pollable.block": {"func(borrow)", func(h *Host, args []component.Value) (component.Value, error) {
			_, err := h.poll(args)
			return nil, err
		}},
		"poll": {"func(list<borrow>) -> list<u32>", func(h *Host, args []component.Value) (component.Value, error) {
			return h.poll(args[0].([]component.Value))
		}},
	},
	"wasi:io/streams": streams(),

	"wasi:clocks/monotonic-clock": {
		"now": {"func() -> u64", func(h *Host, _ []component.Value) (component.Value, error) {
			t := h.mono // read before the look moves it
			return uint64(t), h.look()
		}},
		"resolution": {"func() -> u64", func(*Host, []component.Value) (component.Value, error) {
			return uint64(time.Microsecond), nil
		}},
		"subscribe-instant": {"func(u64) -> own", func(h *Host, args []component.Value) (component.Value, error) {
			return h.handle("pollable", pollable{at: duration(args[0].(uint64))})
		}},
		"subscribe-duration": {"func(u64) -> own", func(h *Host, args []component.Value) (component.Value, error) {
			d := duration(args[0].(uint64))
			return h.handle("pollable", pollable{at: h.mono + min(d, never-h.mono)})
		}},
	},
	"wasi:clocks/wall-clock": {
		"now": {"func() -> " + datetime, func(h *Host, _ []component.Value) (component.Value, error) {
			t := h.cfg.Now.Add(h.mono)
			return []component.Value{uint64(max(0, t.Unix())), uint32(t.Nanosecond())}, h.look()
		}},
		"resolution": {"func() -> " + datetime, func(*Host, []component.Value) (component.Value, error) {
			return []component.Value{uint64(0), uint32(time.Microsecond)}, nil
		}},
	},

	"wasi:random/random": {
		"get-random-bytes": {"func(u64) -> list<u8>", func(h *Host, args []component.Value) (component.Value, error) {
			return bytes(h.random, args[0].(uint64))
		}},
		"get-random-u64": {"func() -> u64", func(h *Host, _ []component.Value) (component.Value, error) { return h.random.Uint64(), nil }},
	},
	"wasi:random/insecure": {
		"get-insecure-random-bytes": {"func(u64) -> list<u8>", func(h *Host, args []component.Value) (component.Value, error) {
			return bytes(h.insecure, args[0].(uint64))
		}},
		"get-insecure-random-u64": {"func() -> u64", func(h *Host, _ []component.Value) (component.Value, error) { return h.insecure.Uint64(), nil }},
	},
	"wasi:random/insecure-seed": {
		"insecure-seed": {"func() -> tuple<u64, u64>", func(h *Host, _ []component.Value) (component.Value, error) {
			return []component.Value{h.insecure.Uint64(), h.insecure.Uint64()}, nil
		}},
	},

	"wasi:filesystem/preopens": {}, // an empty list: every other way to a file starts there
	"wasi:filesystem/types":    {},

	"wasi:sockets/network": {},
	"wasi:sockets/instance-network": {
		// The network itself has no form to be denied in; what is done with it has.
		"instance-network": {"func() -> own", func(h *Host, _ []component.Value) (component.Value, error) { return h.handle("network", network{}) }},
	},
	"wasi:sockets/tcp":               {},
	"wasi:sockets/tcp-create-socket": {},
	"wasi:sockets/udp":               {},
	"wasi:sockets/udp-create-socket": {},
	"wasi:sockets/ip-name-lookup":    {},
}

// The resources that exist. Outputs are *output.
type (
	input    struct{}
	network  struct{}
	pollable struct{ at time.Duration } // ready from that moment of virtual time
)

// never is a moment that no budget reaches.
const never = time.Duration(math.MaxInt64)

// duration reads a WASI instant or duration (nanoseconds, up to 584 years).
func duration(ns uint64) time.Duration { return time.Duration(min(ns, uint64(never))) }

// handle is own as the result of a function.
func (h *Host) handle(kind string, v any) (component.Value, error) {
	hd, err := h.own(kind, v)
	if err != nil {
		return nil, err
	}
	return hd, nil
}

// poll waits until one of the pollables is ready and gives the places of all
// that are.
func (h *Host) poll(args []component.Value) (component.Value, error) {
	if len(args) == 0 {
		// WASI says to trap; there is also nothing to wait for.
		return nil, fmt.Errorf("%w: poll of an empty list", ErrDeadline)
	}
	if err := h.look(); err != nil {
		return nil, err
	}
	first := never
	at := make([]time.Duration, len(args))
	for i, a := range args {
		p, err := get[pollable](h, a)
		if err != nil {
			return nil, err
		}
		at[i] = p.at
		first = min(first, p.at)
	}
	if first > h.mono {
		if err := h.pass(first - h.mono); err != nil {
			return nil, err
		}
	}
	ready := []component.Value{}
	for i, t := range at {
		if t <= h.mono {
			ready = append(ready, uint32(i))
		}
	}
	return ready, nil
}

// bytes gives n random bytes.
func bytes(r *rand.ChaCha8, n uint64) (component.Value, error) {
	if n > MaxRandom {
		return nil, fmt.Errorf("%w: %d random bytes at once, over %d", ErrLimit, n, MaxRandom)
	}
	b := make([]byte, n)
	r.Read(b) // never fails
	return b, nil
}

// streams is wasi:io/streams. An input stream is at its end; an output stream
// takes everything at once, so waiting and not waiting are the same.
func streams() iface {
	subscribe := function{"func(borrow) -> own", func(h *Host, _ []component.Value) (component.Value, error) {
		return h.handle("pollable", pollable{})
	}}
	read := function{"func(borrow, u64) -> result<list<u8>, " + streamError + ">", func(*Host, []component.Value) (component.Value, error) {
		return closed, nil
	}}
	skip := function{"func(borrow, u64) -> result<u64, " + streamError + ">", read.do}
	write := function{"func(borrow, list<u8>) -> result<_, " + streamError + ">", func(h *Host, args []component.Value) (component.Value, error) {
		o, err := get[*output](h, args[0])
		if err != nil {
			return nil, err
		}
		o.write(args[1].([]byte))
		return component.Ok(nil), nil
	}}
	zeroes := function{"func(borrow, u64) -> result<_, " + streamError + ">", func(h *Host, args []component.Value) (component.Value, error) {
		o, err := get[*output](h, args[0])
		if err != nil {
			return nil, err
		}
		n := args[1].(uint64)
		if n > maxWrite { // more than check-write allowed: WASI says to trap
			return nil, fmt.Errorf("%w: %d zeroes written at once, over %d", ErrLimit, n, maxWrite)
		}
		o.write(make([]byte, n))
		return component.Ok(nil), nil
	}}
	flush := function{"func(borrow) -> result<_, " + streamError + ">", func(*Host, []component.Value) (component.Value, error) {
		return component.Ok(nil), nil
	}}
	splice := function{"func(borrow, borrow, u64) -> result<u64, " + streamError + ">", read.do}
	return iface{
		"[method]input-stream.read":          read,
		"[method]input-stream.blocking-read": read,
		"[method]input-stream.skip":          skip,
		"[method]input-stream.blocking-skip": skip,
		"[method]input-stream.subscribe":     subscribe,
		"[method]output-stream.check-write": {"func(borrow) -> result<u64, " + streamError + ">", func(*Host, []component.Value) (component.Value, error) {
			return component.Ok(uint64(maxWrite)), nil
		}},
		"[method]output-stream.write":                           write,
		"[method]output-stream.blocking-write-and-flush":        write,
		"[method]output-stream.flush":                           flush,
		"[method]output-stream.blocking-flush":                  flush,
		"[method]output-stream.subscribe":                       subscribe,
		"[method]output-stream.write-zeroes":                    zeroes,
		"[method]output-stream.blocking-write-zeroes-and-flush": zeroes,
		"[method]output-stream.splice":                          splice,
		"[method]output-stream.blocking-splice":                 splice,
	}
}
