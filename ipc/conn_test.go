package ipc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// tape is a stream that plays what was put on it. It is for one goroutine.
type tape struct {
	in    []byte
	step  int              // bytes a read gives at most; 0: as many as fit
	ride  map[int]*os.File // descriptors, by the offset of the byte they ride with
	at    int
	err   error // what reads end with; nil: io.EOF
	got   []*os.File
	reads int // after the end
	out   bytes.Buffer
	werr  error
}

func (s *tape) Read(p []byte) (int, error) {
	if s.at == len(s.in) {
		s.reads++
		if s.err != nil {
			return 0, s.err
		}
		return 0, io.EOF
	}
	if s.step > 0 && len(p) > s.step {
		p = p[:s.step]
	}
	n := copy(p, s.in[s.at:])
	for i := range n {
		if f := s.ride[s.at+i]; f != nil {
			s.got = append(s.got, f)
		}
	}
	s.at += n
	return n, nil
}

func (s *tape) Write(p []byte) (int, error) {
	if s.werr != nil {
		return 0, s.werr
	}
	return s.out.Write(p)
}

func (s *tape) WriteFiles(p []byte, files []*os.File) (int, error) {
	s.got = append(s.got, files...)
	return s.Write(p)
}

func (s *tape) TakeFiles(n int) ([]*os.File, error) {
	files := s.got
	s.got = nil
	if len(files) != n {
		for _, f := range files {
			f.Close()
		}
		return nil, fmt.Errorf("%w: %d came", ErrFiles, len(files))
	}
	return files, nil
}

func (s *tape) SetDeadline(time.Time) error { return nil }
func (s *tape) Close() error                { return nil }

// raw makes a frame, right or wrong.
func raw(h header, body []byte) []byte {
	b := make([]byte, headerSize, headerSize+len(body))
	h.put(b)
	return append(b, body...)
}

func frame(t testing.TB, id uint32, m Message) []byte {
	body := marshal(t, m)
	return raw(header{length: uint32(len(body)), typ: m.frameType(), id: id}, body)
}

// at makes a connection that stands in a state, with 7 the newest id.
func at(s Stream, side Side, st state) *Conn {
	c := NewConn(s, side)
	c.machine = machine{state: st, id: 7, ready: stateLoad, min: 1, max: Version}
	return c
}

func receiver(from Side) Side { return from.other() }

func devNull(t testing.TB) *os.File {
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func closed(f *os.File) bool {
	_, err := f.Stat()
	return errors.Is(err, os.ErrClosed)
}

// good is a message of the type that fits any state that lets the type pass.
func good(s *spec) (uint32, Message) {
	m := s.make()
	var id uint32
	switch m := m.(type) {
	case *Welcome:
		m.Version, m.Role = Version, RoleStep
	case *Invoke:
		id = 8
	case *HostCall, *HostReply, *Result:
		id = 7
	}
	return id, m
}

// Each type in each state, received and sent, against the table in PROTOCOL.md.
func TestEveryTypeInEveryState(t *testing.T) {
	next := map[string]string{}
	for _, a := range docArrows(t) {
		next[a.from+" "+a.say] = a.to
	}
	for st := stateNew; st <= stateOver; st++ {
		for _, s := range known() {
			id, m := good(s)
			to, ok := next[st.String()+" "+s.name]
			if !ok {
				to = st.String()
			}
			files := make([]*os.File, s.files)
			stream := &tape{in: frame(t, id, m), ride: map[int]*os.File{}}
			for i := range files {
				files[i] = devNull(t)
				stream.ride[i] = files[i]
			}

			c := at(stream, receiver(s.typ.Sender()), st)
			_, err := c.Recv()
			var broken *ProtocolError
			if (err == nil) != ok || (err != nil && !errors.As(err, &broken)) || c.machine.state.String() != to {
				t.Errorf("receive %s in %s: %v, now in %s, want %s", s.name, st, err, c.machine.state, to)
			}
			if broken != nil && (broken.By != s.typ.Sender() || broken.State != st.String() || !strings.Contains(broken.Rule, "no "+s.name)) {
				t.Errorf("receive %s in %s: %+v", s.name, st, broken)
			}
			for _, f := range files {
				if closed(f) != (err != nil) {
					t.Errorf("receive %s in %s: %v, file closed: %v", s.name, st, err, closed(f))
				}
			}

			stream = &tape{}
			c = at(stream, s.typ.Sender(), st)
			err = c.Send(id, m, make([]*os.File, s.files)...)
			if (err == nil) != ok || (err != nil && !errors.Is(err, ErrNotSent)) || c.machine.state.String() != to {
				t.Errorf("send %s in %s: %v, now in %s, want %s", s.name, st, err, c.machine.state, to)
			}
			if (stream.out.Len() > 0) != ok {
				t.Errorf("send %s in %s: %v, and wrote %d bytes", s.name, st, err, stream.out.Len())
			}
		}
	}
}

func TestRoleDecides(t *testing.T) {
	for role, want := range map[string]state{RoleStep: stateLoad, RoleCompile: stateCompile, RoleProbe: stateProbe} {
		w := &Welcome{Version: Version, Role: role}
		in := append(frame(t, 0, w), frame(t, 0, &Bye{})...)
		c := at(&tape{in: in}, WorkerSide, stateGreeted)
		if _, err := c.Recv(); err != nil {
			t.Fatal(err)
		}
		if err := c.Send(0, &Ready{}); err != nil || c.machine.state != want {
			t.Errorf("%s: %v, in state %s, want %s", role, err, c.machine.state, want)
		}
	}
}

// What decides the way on, received wrong. The same sent is ErrNotSent.
func TestContentThatDecides(t *testing.T) {
	for _, tt := range []struct {
		st   state
		id   uint32
		m    Message
		rule string
	}{
		{stateGreeted, 0, &Welcome{Version: Version + 1, Role: RoleStep}, fmt.Sprintf("chooses version %d, Hello offered 1 to %d", Version+1, Version)},
		{stateGreeted, 0, &Welcome{Version: 0, Role: RoleStep}, "chooses version 0"},
		{stateGreeted, 0, &Welcome{Version: Version, Role: "admin"}, `unknown role "admin"`},
		{stateGreeted, 0, &Welcome{Version: Version, Role: strings.Repeat("\n", 1000)}, `unknown role "\n`},
		{stateGreeted, 1, &Welcome{Version: Version, Role: RoleStep}, "Welcome has the id 1, must be 0"},
		{stateNew, 1, &Hello{}, "Hello has the id 1"},
		{stateSealed, 7, &Invoke{}, "the id 7 of Invoke is not above 7"},
		{stateSealed, 0, &Invoke{}, "the id 0 of Invoke is not above 7"},
		{stateSealed, 7, &Bye{}, "Bye has the id 7"},
		{stateRunning, 8, &HostCall{}, "the id 8 of HostCall is not 7"},
		{stateRunning, 6, &Result{}, "the id 6 of Result is not 7"},
		{stateRunning, 0, &Result{}, "the id 0 of Result is not 7"},
		{stateCalling, 6, &HostReply{}, "the id 6 of HostReply is not 7"},
	} {
		from := tt.m.frameType().Sender()
		_, err := at(&tape{in: frame(t, tt.id, tt.m)}, receiver(from), tt.st).Recv()
		var broken *ProtocolError
		if !errors.As(err, &broken) || !strings.Contains(broken.Rule, tt.rule) || broken.State != tt.st.String() {
			t.Errorf("received %+v: %v, want %q", tt.m, err, tt.rule)
		}
		if err != nil && (strings.Contains(err.Error(), "\n") || len(err.Error()) > 300) {
			t.Errorf("not one short line: %q", err)
		}
		stream := &tape{}
		c := at(stream, from, tt.st)
		err = c.Send(tt.id, tt.m)
		if !errors.Is(err, ErrNotSent) || !strings.Contains(err.Error(), tt.rule) || stream.out.Len() > 0 || c.machine.state != tt.st {
			t.Errorf("sent %+v: %v, want %q", tt.m, err, tt.rule)
		}
	}
}

func TestTwoResults(t *testing.T) {
	result := frame(t, 7, &Result{Verdict: "ok"})
	c := at(&tape{in: slices.Concat(result, result)}, SupervisorSide, stateRunning)
	if e, err := c.Recv(); err != nil || e.ID != 7 {
		t.Fatalf("%+v, %v", e, err)
	}
	_, err := c.Recv()
	if want := "ipc: the worker broke the protocol in state sealed: no Result here"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	// The same, with the next step under way when the second one is read.
	c = at(&tape{in: slices.Concat(result, result)}, SupervisorSide, stateRunning)
	c.Recv()
	if err := c.Send(8, &Invoke{}); err != nil {
		t.Fatal(err)
	}
	_, err = c.Recv()
	if want := "ipc: the worker broke the protocol in state running: the id 7 of Result is not 8, that of the Invoke under way"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestFramesRefused(t *testing.T) {
	optional := func(typ Type, n int) []byte {
		return raw(header{length: uint32(n), typ: typ, flags: FlagOptional}, make([]byte, n))
	}
	for _, tt := range []struct {
		name string
		to   Side
		in   []byte
		rule string
	}{
		{"reserved bytes", SupervisorSide, raw(header{typ: TypeResult, id: 7, reserved: 1}, nil), "reserved"},
		{"a flag nobody knows", SupervisorSide, raw(header{typ: TypeResult, id: 7, flags: 2}, nil), "unknown flags 0x2"},
		{"all flags", SupervisorSide, raw(header{typ: 30, flags: 0xff}, nil), "unknown flags 0xfe"},
		{"a known type as optional", SupervisorSide, raw(header{typ: TypeResult, id: 7, flags: FlagOptional}, nil), "Result is not optional"},
		{"type 0", SupervisorSide, raw(header{}, nil), "no type 0"},
		{"type 0 as optional", SupervisorSide, raw(header{flags: FlagOptional}, nil), "no type 0"},
		{"an unknown type", SupervisorSide, raw(header{typ: 30}, nil), "unknown type 30"},
		{"an unknown type of the supervisor", WorkerSide, raw(header{typ: 255}, nil), "unknown type 255"},
		{"a supervisor's type from the worker", SupervisorSide, raw(header{typ: TypeInvoke, id: 8}, nil), "Invoke is sent by the supervisor"},
		{"a worker's type from the supervisor", WorkerSide, raw(header{typ: TypeResult, id: 7}, nil), "Result is sent by the worker"},
		{"an unknown type of the wrong direction", SupervisorSide, optional(200, 0), "type 200 is sent by the supervisor"},
		{"an unknown type of the other wrong direction", WorkerSide, optional(30, 0), "type 30 is sent by the worker"},
		{"4 GiB", SupervisorSide, raw(header{length: 1<<32 - 1, typ: TypeResult, id: 7}, nil), "a body of 4294967295 bytes is over the 16777216 that Result may have"},
		{"a byte over the cap", SupervisorSide, raw(header{length: maxHostCall + 1, typ: TypeHostCall, id: 7}, nil), "is over the 5657941"},
		{"4 GiB to skip", SupervisorSide, raw(header{length: 1<<32 - 1, typ: 30, flags: FlagOptional}, nil), "an optional body of 4294967295 bytes is over 4096"},
		{"a byte over the cap to skip", SupervisorSide, optional(30, MaxOptionalBody+1), "is over 4096"},
		{"too many to skip", SupervisorSide, bytes.Repeat(optional(30, 1), MaxOptionalRun+1), "more than 16 optional frames"},
		{"a body that is no message", SupervisorSide, raw(header{length: 5, typ: TypeResult, id: 7}, []byte("\xdd\x02\xfa\xf0\x80")), "want a map of 6"},
		{"an empty body", SupervisorSide, raw(header{typ: TypeResult, id: 7}, nil), "want a map of 6"},
		{"text", SupervisorSide, []byte("panic: runtime error"), "reserved"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// More of the stream follows; nobody may look at it.
			stream := &tape{in: slices.Concat(tt.in, make([]byte, 8<<20))}
			c := at(stream, tt.to, stateRunning)
			var err error
			if got := allocated(func() { _, err = c.Recv() }); got > 128<<10 {
				t.Errorf("allocated %d bytes", got)
			}
			var broken *ProtocolError
			if !errors.As(err, &broken) || !strings.Contains(broken.Rule, tt.rule) || broken.By != tt.to.other() {
				t.Fatalf("got %v, want %q", err, tt.rule)
			}
			if most := len(tt.in) + 4096; stream.at > most {
				t.Errorf("%d bytes were read, at most %d could be needed", stream.at, most)
			}
			was := stream.at
			if _, again := c.Recv(); again != err || stream.at != was {
				t.Errorf("the next Recv gives %v and reads %d bytes", again, stream.at-was)
			}
		})
	}
}

// A claim costs nothing: memory follows what arrives.
func TestClaimsCostNothing(t *testing.T) {
	head := raw(header{length: maxResult, typ: TypeResult, id: 7}, nil)
	for _, arrived := range []int{0, 1, 1000, 100_000} {
		c := at(&tape{in: slices.Concat(head, make([]byte, arrived))}, SupervisorSide, stateRunning)
		var err error
		got := allocated(func() { _, err = c.Recv() })
		if err != io.ErrUnexpectedEOF || got > uint64(8*arrived+keep+32<<10) {
			t.Errorf("%d bytes of a claimed 16 MiB: %v, allocated %d", arrived, err, got)
		}
	}
}

// A frame cut at each byte, and whole ones delivered a byte at a time.
func TestCutAndSplit(t *testing.T) {
	want := &Result{Verdict: "ok", Output: bytes.Repeat([]byte("x"), 5000), Logs: []LogLine{{"info", "ä"}}}
	one := frame(t, 7, want)
	grease := raw(header{length: 3, typ: 31, flags: FlagOptional, id: 99}, []byte("\xc1\xc1\xc1"))
	in := slices.Concat(grease, one)
	for n := range in {
		_, err := at(&tape{in: in[:n]}, SupervisorSide, stateRunning).Recv()
		whole := n == 0 || n == len(grease)
		if whole && err != io.EOF || !whole && err != io.ErrUnexpectedEOF {
			t.Errorf("cut after %d bytes of %d: %v", n, len(in), err)
		}
	}
	for _, step := range []int{1, 2, 11, 12, 13, 4095, 4097} {
		c := at(&tape{in: slices.Concat(in, in), step: step}, SupervisorSide, stateRunning)
		e, err := c.Recv()
		if err != nil || e.ID != 7 || !reflect.DeepEqual(e.Message, want) {
			t.Fatalf("%d bytes at a time: %+v, %v", step, e, err)
		}
		c.Send(8, &Invoke{})
		c.machine.id = 7
		if e, err := c.Recv(); err != nil || !reflect.DeepEqual(e.Message, want) {
			t.Errorf("%d bytes at a time, second: %+v, %v", step, e, err)
		}
	}
}

func TestDescriptors(t *testing.T) {
	load, compile := &Load{Component: 1}, &Compile{Size: 1}
	invoke := frame(t, 8, &Invoke{})
	grease := raw(header{typ: 99, flags: FlagOptional}, nil)
	for _, tt := range []struct {
		name string
		st   state
		in   []byte
		ride []int
		rule string
	}{
		{"Load with one", stateLoad, frame(t, 0, load), []int{0}, ""},
		{"Compile with two", stateCompile, frame(t, 0, compile), []int{0, 1}, ""},
		{"Load with none", stateLoad, frame(t, 0, load), nil, "Load: unexpected descriptors: 0 came, want 1"},
		{"Load with two", stateLoad, frame(t, 0, load), []int{0, 20}, "Load: unexpected descriptors: 2 came, want 1"},
		{"Compile with one", stateCompile, frame(t, 0, compile), []int{0}, "1 came, want 2"},
		{"Compile with three", stateCompile, frame(t, 0, compile), []int{0, 1, 2}, "3 came, want 2"},
		{"Seal with one", stateLoad, frame(t, 0, &Seal{}), []int{0}, "Seal: unexpected descriptors: 1 came, want 0"},
		{"Invoke with one", stateSealed, invoke, []int{0}, "1 came, want 0"},
		{"Invoke with one late", stateSealed, invoke, []int{len(invoke) - 1}, "1 came, want 0"},
		{"an optional frame with one", stateLoad, append(grease, frame(t, 0, load)...), []int{0}, "type 99: unexpected descriptors: 1 came, want 0"},
		{"a bad body with one", stateLoad, raw(header{length: 1, typ: TypeLoad}, []byte{0}), []int{0}, "want a map of 4"},
		{"a bad header with one", stateLoad, raw(header{typ: 77}, nil), []int{0}, "unknown type 77"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			stream := &tape{in: tt.in, ride: map[int]*os.File{}}
			var files []*os.File
			for _, i := range tt.ride {
				stream.ride[i] = devNull(t)
				files = append(files, stream.ride[i])
			}
			e, err := at(stream, WorkerSide, tt.st).Recv()
			if tt.rule == "" {
				if err != nil || !slices.Equal(e.Files, files) {
					t.Fatalf("got %v, %v", e.Files, err)
				}
			} else if err == nil || !strings.Contains(err.Error(), tt.rule) || e.Files != nil {
				t.Fatalf("got %v, %v; want %q", e.Files, err, tt.rule)
			}
			for i, f := range files {
				if closed(f) != (err != nil) {
					t.Errorf("descriptor %d closed: %v", i, closed(f))
				}
			}
		})
	}
}

// The worker must not read past a frame, or descriptors could not be told apart.
func TestWorkerReadsNoFurther(t *testing.T) {
	one, two := frame(t, 0, &Load{Component: 1}), frame(t, 0, &Load{Component: 2})
	stream := &tape{in: slices.Concat(one, two), ride: map[int]*os.File{0: devNull(t), len(one): devNull(t)}}
	c := at(stream, WorkerSide, stateLoad)
	for n, want := range []*os.File{stream.ride[0], stream.ride[len(one)]} {
		e, err := c.Recv()
		if err != nil || !slices.Equal(e.Files, []*os.File{want}) {
			t.Fatalf("frame %d: %v, %v", n, e.Files, err)
		}
		if n == 0 && stream.at != len(one) {
			t.Errorf("read %d bytes of the next frame", stream.at-len(one))
		}
		if err := c.Send(0, &Loaded{}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSendRefuses(t *testing.T) {
	big := &Invoke{Request: make([]byte, maxInvoke)}
	for _, tt := range []struct {
		name  string
		id    uint32
		m     Message
		files int
		want  string
	}{
		{"nothing", 0, nil, 0, "no message"},
		{"nil", 0, (*Invoke)(nil), 0, "no message"},
		{"the other side's", 7, &Result{}, 0, "Result is sent by the worker"},
		{"a descriptor too many", 8, &Invoke{}, 1, "Invoke with 1 descriptors, wants 0"},
		{"a descriptor too few", 0, &Load{}, 0, "Load with 0 descriptors, wants 1"},
		{"invalid UTF-8", 8, &Invoke{Action: "\xff"}, 0, "UTF-8"},
		{"too large", 8, big, 0, "a Invoke of 8454"},
	} {
		stream := &tape{}
		c := at(stream, SupervisorSide, stateSealed)
		err := c.Send(tt.id, tt.m, make([]*os.File, tt.files)...)
		if !errors.Is(err, ErrNotSent) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
		if stream.out.Len() > 0 || c.machine.state != stateSealed {
			t.Errorf("%s: wrote %d bytes, in state %s", tt.name, stream.out.Len(), c.machine.state)
		}
		if err := c.Send(8, &Invoke{}); err != nil {
			t.Errorf("after %s: %v", tt.name, err)
		}
	}
	var large *TooLargeError
	err := at(&tape{}, SupervisorSide, stateSealed).Send(8, big)
	if !errors.As(err, &large) || large.Type != TypeInvoke || large.Max != maxInvoke || large.Size <= maxInvoke {
		t.Errorf("%+v", err)
	}
}

func TestWriteErrorIsForGood(t *testing.T) {
	stream := &tape{werr: io.ErrClosedPipe}
	c := at(stream, SupervisorSide, stateSealed)
	err := c.Send(8, &Invoke{})
	if !errors.Is(err, io.ErrClosedPipe) || errors.Is(err, ErrNotSent) {
		t.Errorf("got %v", err)
	}
	stream.werr = nil
	if again := c.Send(9, &Invoke{}); again != err || stream.out.Len() > 0 {
		t.Errorf("the next Send gives %v and writes %d bytes", again, stream.out.Len())
	}
}

func TestDeadlineBetweenFrames(t *testing.T) {
	one := frame(t, 7, &Result{})
	stream := &tape{err: fmt.Errorf("read: %w", os.ErrDeadlineExceeded)}
	c := at(stream, SupervisorSide, stateRunning)
	if _, err := c.Recv(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	stream.in = one
	if _, err := c.Recv(); err != nil {
		t.Errorf("after a deadline between frames: %v", err)
	}

	stream = &tape{in: one[:5], err: os.ErrDeadlineExceeded}
	c = at(stream, SupervisorSide, stateRunning)
	_, err := c.Recv()
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	stream.in = one
	if _, again := c.Recv(); again != err {
		t.Errorf("after a deadline within a frame: %v", again)
	}
}

func TestBuffersAreGivenBack(t *testing.T) {
	big := &Result{Output: make([]byte, 1<<20), Detail: strings.Repeat("x", 1<<20)}
	c := at(&tape{in: frame(t, 7, big)}, SupervisorSide, stateRunning)
	if _, err := c.Recv(); err != nil {
		t.Fatal(err)
	}
	if err := c.Send(8, &Invoke{Request: make([]byte, 1<<20)}); err != nil {
		t.Fatal(err)
	}
	if cap(c.in) > keep || c.out.Cap() > keep {
		t.Errorf("kept %d bytes to read and %d to write", cap(c.in), c.out.Cap())
	}
}

// inverse answers from within Write: the answer is there before Send returns.
type inverse struct {
	tape
	answer func()
}

func (s *inverse) Write(p []byte) (int, error) {
	s.answer()
	return len(p), nil
}

func TestAnswerBeforeSendReturns(t *testing.T) {
	s := &inverse{tape: tape{in: frame(t, 8, &Result{})}}
	c := at(s, SupervisorSide, stateSealed)
	s.answer = func() {
		if _, err := c.Recv(); err != nil {
			t.Error(err)
		}
	}
	if err := c.Send(8, &Invoke{}); err != nil {
		t.Error(err)
	}
}

// Concurrent senders: each frame goes out whole, and of many that want the one
// turn there is, one gets it.
func TestConcurrentSend(t *testing.T) {
	stream := &tape{}
	c := at(stream, SupervisorSide, stateSealed)
	var wg sync.WaitGroup
	errs := make([]error, 16)
	for i := range errs {
		wg.Go(func() { errs[i] = c.Send(uint32(8+i), &Invoke{Request: make([]byte, 1000*i)}) })
	}
	wg.Wait()
	sent := 0
	for _, err := range errs {
		if err == nil {
			sent++
		} else if !errors.Is(err, ErrNotSent) {
			t.Error(err)
		}
	}
	e, err := at(&tape{in: stream.out.Bytes()}, WorkerSide, stateSealed).Recv()
	if sent != 1 || err != nil || len(e.Message.(*Invoke).Request) != 1000*int(e.ID-8) {
		t.Errorf("%d were sent; received %d: %v", sent, e.ID, err)
	}
}

func TestPlain(t *testing.T) {
	a, b := net.Pipe()
	defer b.Close()
	s := Plain(a)
	if _, err := s.WriteFiles([]byte("x"), []*os.File{devNull(t)}); !errors.Is(err, ErrFiles) {
		t.Errorf("WriteFiles: %v", err)
	}
	if _, err := s.TakeFiles(1); !errors.Is(err, ErrFiles) {
		t.Errorf("TakeFiles(1): %v", err)
	}
	c := NewConn(s, SupervisorSide)
	if err := c.SetDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Error(err)
	}
	if _, err := c.Recv(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Recv: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := Plain(struct{ io.ReadWriteCloser }{a}).SetDeadline(time.Time{}); err != os.ErrNoDeadline {
		t.Errorf("SetDeadline: %v", err)
	}
}

// greasy puts random optional frames before each frame that is written.
type greasy struct {
	net.Conn
	rand *rand.Rand
	from Side
}

func (g *greasy) Write(p []byte) (int, error) {
	var b []byte
	for range g.rand.IntN(MaxOptionalRun + 1) {
		typ := Type(10 + g.rand.IntN(32-10))
		if g.from == SupervisorSide {
			typ = Type(40 + g.rand.IntN(256-40))
		}
		body := make([]byte, g.rand.IntN(200))
		b = append(b, raw(header{length: uint32(len(body)), typ: typ, flags: FlagOptional, id: g.rand.Uint32()}, body)...)
	}
	if _, err := g.Conn.Write(append(b, p...)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// A random walk through the protocol between two connections. At each turn
// random messages are tried on both sides; those that may not be sent change
// nothing, those that may arrive as they were, and the two automata agree.
func TestWalk(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		a, b := net.Pipe()
		seed := rapid.Uint64().Draw(rt, "grease")
		rnd := rand.New(rand.NewPCG(seed, 1))
		conns := [2]*Conn{
			SupervisorSide: NewConn(filed{Plain(&greasy{a, rnd, SupervisorSide})}, SupervisorSide),
			WorkerSide:     NewConn(filed{Plain(&greasy{b, rnd, WorkerSide})}, WorkerSide),
		}
		defer conns[0].Close()
		defer conns[1].Close()
		all := known()
		for range rapid.IntRange(1, 30).Draw(rt, "turns") {
			s := rapid.SampledFrom(all).Draw(rt, "type")
			if fitting := slices.Sorted(maps.Keys(transitions[conns[0].machine.state])); len(fitting) > 0 && rapid.Bool().Draw(rt, "fitting") {
				s = specOf(rapid.SampledFrom(fitting).Draw(rt, "type"))
			}
			m := s.make()
			draw(rt, reflect.ValueOf(m))
			id := rapid.SampledFrom([]uint32{0, 0, conns[0].machine.id, conns[0].machine.id + 1}).Draw(rt, "id")
			switch m := m.(type) {
			case *Hello:
				m.Min, m.Max = 1, 1
			case *Welcome:
				m.Version = 1
				m.Role = rapid.SampledFrom([]string{RoleStep, RoleCompile, RoleProbe, "x"}).Draw(rt, "role")
			}
			from := s.typ.Sender()
			c, peer := conns[from], conns[from.other()]
			was := c.machine
			sent := make(chan error, 1)
			var e Envelope
			var recv error
			go func() { sent <- c.Send(id, m, make([]*os.File, s.files)...) }()
			// A frame that is written needs a reader; one that is refused
			// needs none.
			if was.allows(s.typ, id) == "" && !(s.typ == TypeWelcome && m.(*Welcome).Role == "x") {
				e, recv = peer.Recv()
				if recv != nil || e.ID != id || !reflect.DeepEqual(e.Message, m) {
					rt.Fatalf("sent %d %+v, received %+v, %v", id, m, e, recv)
				}
				if err := <-sent; err != nil {
					rt.Fatal(err)
				}
			} else if err := <-sent; !errors.Is(err, ErrNotSent) || c.machine != was {
				rt.Fatalf("%s in %s: %v, and now in %s", s.name, was.state, err, c.machine.state)
			}
			if conns[0].machine != conns[1].machine {
				rt.Fatalf("the supervisor is at %+v, the worker at %+v", conns[0].machine, conns[1].machine)
			}
		}
	})
}

// filed pretends to pass descriptors.
type filed struct{ Stream }

func (f filed) WriteFiles(p []byte, _ []*os.File) (int, error) { return f.Write(p) }
func (f filed) TakeFiles(n int) ([]*os.File, error)            { return make([]*os.File, n), nil }

// FuzzFrame feeds any bytes to either side in any state. Whatever comes, Recv
// ends with a message or an error and never both, memory stays within a multiple
// of the input, and what was taken is what would be sent.
func FuzzFrame(f *testing.F) {
	for _, s := range known() {
		id, m := good(s)
		for st := range transitions {
			if _, ok := transitions[st][s.typ]; ok {
				f.Add(uint8(st), frame(f, id, m))
			}
		}
	}
	f.Add(uint8(stateRunning), raw(header{length: 1<<32 - 1, typ: TypeResult, id: 7}, nil))
	f.Add(uint8(stateRunning), slices.Concat(raw(header{length: 1, typ: 30, flags: 1}, []byte{1}), frame(f, 7, &Result{})))
	f.Fuzz(func(t *testing.T, st uint8, in []byte) {
		if state(st) > stateOver {
			return
		}
		for _, side := range []Side{SupervisorSide, WorkerSide} {
			stream := &tape{in: in}
			c := at(filed{stream}, side, state(st))
			var envelopes []Envelope
			var err error
			got := allocated(func() {
				for err == nil {
					var e Envelope
					if e, err = c.Recv(); err == nil {
						envelopes = append(envelopes, e)
					} else if e.Message != nil || e.Files != nil {
						t.Errorf("message and error: %+v, %v", e, err)
					}
				}
			})
			if bound := uint64(2*amplification*len(in) + 128<<10); got > bound {
				t.Errorf("allocated %d for %d bytes, want at most %d", got, len(in), bound)
			}
			var broken *ProtocolError
			if err != io.EOF && err != io.ErrUnexpectedEOF && !errors.As(err, &broken) {
				t.Errorf("got %T %v", err, err)
			}
			if strings.ContainsAny(err.Error(), "\n\x00\x1b") {
				t.Errorf("%q is not one line of text", err)
			}
			sender := at(&tape{}, side.other(), state(st))
			for _, e := range envelopes {
				if b, err := sender.encode(e.ID, e.Message); err != nil || !bytes.Contains(in, b) {
					t.Errorf("%+v would be sent as %x, %v", e, b, err)
				}
			}
		}
	})
}
