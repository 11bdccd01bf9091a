package ipc

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"sync"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

// keep is the most buffer memory that a connection holds between messages; a
// message that needs more gets its own. Hundreds of workers stand idle, each
// with a connection on both sides.
const keep = 64 << 10

// ProtocolError says that the peer broke the protocol. The connection is dead:
// nothing more is read from it, so that a hostile peer cannot buy time by making
// this side drain it.
type ProtocolError struct {
	By    Side   // who broke it
	State string // where the protocol stood, as in PROTOCOL.md
	Rule  string // what is wrong, in one line
}

func (e *ProtocolError) Error() string {
	return fmt.Sprintf("ipc: the %s broke the protocol in state %s: %s", e.By, e.State, e.Rule)
}

// ErrNotSent is wrapped by errors of Send that come from this side's own
// mistake: nothing was written, and the connection goes on as if Send had not
// been called.
var ErrNotSent = errors.New("not sent")

// TooLargeError is ErrNotSent for a body over the cap of its type.
type TooLargeError struct {
	Type Type
	Size int
	Max  int
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("ipc: not sent: a %s of %d bytes is over %d", e.Type, e.Size, e.Max)
}

func (e *TooLargeError) Unwrap() error { return ErrNotSent }

// Envelope is a message that was received. The receiver owns Files.
type Envelope struct {
	ID      uint32
	Message Message
	Files   []*os.File
}

// Conn speaks the protocol over a stream. Send is safe for concurrent use, Recv
// is for one goroutine; the two and Close may run at the same time.
type Conn struct {
	stream Stream
	side   Side
	r      io.Reader

	// Order of the locks: send before mu.
	send sync.Mutex // guards the four below, and writing
	out  bytes.Buffer
	enc  *msgpack.Encoder
	werr error // what broke writing

	mu      sync.Mutex // guards the machine
	machine machine

	// Of the goroutine in Recv.
	head [headerSize]byte
	in   []byte
	body bytes.Reader
	dec  *msgpack.Decoder
	rerr error // what ended reading
}

// NewConn makes a connection. It takes ownership of s.
func NewConn(s Stream, side Side) *Conn {
	c := &Conn{stream: s, side: side, r: s, enc: msgpack.NewEncoder(nil), dec: msgpack.NewDecoder(nil)}
	// Only the side that takes no descriptors reads ahead. The kernel glues
	// bytes that came without descriptors to those with some that follow them
	// (unix_stream_read_generic stops only after a buffer that had some), so a
	// reader that goes past the end of a frame could not say whose they are.
	// The worker reads header and body alone: one read more for each frame.
	if side == SupervisorSide {
		c.r = bufio.NewReaderSize(s, 4<<10)
	}
	return c
}

// Close closes the stream. Send and Recv under way end with an error.
func (c *Conn) Close() error { return c.stream.Close() }

// SetDeadline bounds Send and Recv, those under way included. The zero time
// means none.
func (c *Conn) SetDeadline(t time.Time) error { return c.stream.SetDeadline(t) }

// Send sends a message. It borrows m and files, which must be as many as the
// type wants. An error that wraps ErrNotSent leaves the connection as it was;
// after any other the connection is dead.
//
// What this side would not accept it does not send: the body passes Check and
// the state machine before a byte is written. A worker whose guest returned
// invalid UTF-8 learns of it here, instead of being killed for it there.
func (c *Conn) Send(id uint32, m Message, files ...*os.File) error {
	if v := reflect.ValueOf(m); !v.IsValid() || v.IsNil() {
		return fmt.Errorf("ipc: %w: no message", ErrNotSent)
	}
	t := m.frameType()
	switch s := specOf(t); {
	case t.Sender() != c.side:
		return fmt.Errorf("ipc: %w: %s is sent by the %s", ErrNotSent, t, t.Sender())
	case len(files) != s.files:
		return fmt.Errorf("ipc: %w: %s with %d descriptors, wants %d", ErrNotSent, t, len(files), s.files)
	}

	c.send.Lock()
	defer c.send.Unlock()
	if c.werr != nil {
		return c.werr
	}
	frame, err := c.encode(id, m)
	if err != nil {
		return err
	}
	if c.out.Cap() > keep {
		defer func() { c.out = bytes.Buffer{} }()
	}
	// The machine moves before the frame leaves: the answer may be here before
	// the write has returned.
	if err := c.moved(id, m); err != nil {
		return err
	}
	if len(files) > 0 {
		_, err = c.stream.WriteFiles(frame, files)
	} else {
		_, err = c.stream.Write(frame)
	}
	if err != nil {
		c.werr = fmt.Errorf("ipc: send %s: %w", t, err)
	}
	return c.werr
}

// encode makes the frame in c.out.
func (c *Conn) encode(id uint32, m Message) ([]byte, error) {
	var head [headerSize]byte
	t := m.frameType()
	c.out.Reset()
	c.out.Grow(bulk(m))
	c.out.Write(head[:])
	c.enc.Reset(&c.out)
	c.enc.UseCompactInts(true)
	if err := c.enc.Encode(m); err != nil {
		return nil, fmt.Errorf("ipc: %w: %w", ErrNotSent, err)
	}
	frame := c.out.Bytes()
	body := frame[headerSize:]
	if len(body) > t.MaxBody() {
		c.out = bytes.Buffer{}
		return nil, &TooLargeError{Type: t, Size: len(body), Max: t.MaxBody()}
	}
	if err := Check(t, body); err != nil {
		return nil, fmt.Errorf("ipc: %w: %w", ErrNotSent, err)
	}
	header{length: uint32(len(body)), typ: t, id: id}.put(frame)
	return frame, nil
}

// bulk gives the size of the fields that make a message large. With it, a
// buffer is made once and not doubled a dozen times on the way to a megabyte.
func bulk(m Message) int {
	const rest = 512 // what stands around them, most of the time
	switch m := m.(type) {
	case *Invoke:
		return rest + len(m.Request)
	case *Result:
		return rest + len(m.Output) + len(m.Detail)
	case *HostCall:
		return rest + len(m.Args)
	case *HostReply:
		return rest + len(m.Value)
	}
	return rest
}

// moved moves the machine over a message that is about to be sent.
func (c *Conn) moved(id uint32, m Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.machine
	rule := c.machine.allows(m.frameType(), id)
	if rule == "" {
		rule = c.machine.step(id, m)
	}
	if rule != "" {
		c.machine = was
		return fmt.Errorf("ipc: %w in state %s: %s", ErrNotSent, was.state, rule)
	}
	return nil
}

// Recv waits for the next message and hands it over. Errors:
//
//   - io.EOF: the peer closed between two frames;
//   - io.ErrUnexpectedEOF: it closed within one;
//   - *ProtocolError: it broke the protocol;
//   - others, wrapped, from the stream.
//
// An error ends reading for good: the next Recv gives the same. The exception
// is a deadline that passes before the first byte of a frame
// (os.ErrDeadlineExceeded), after which Recv may be called again.
func (c *Conn) Recv() (Envelope, error) {
	if c.rerr != nil {
		return Envelope{}, c.rerr
	}
	for skipped := 0; ; skipped++ {
		h, err := c.header()
		if err != nil {
			return Envelope{}, err
		}
		s, err := c.accept(h, skipped)
		if err != nil {
			return Envelope{}, c.fail(err)
		}
		body, err := c.read(int(h.length))
		if err != nil {
			return Envelope{}, c.fail(err)
		}
		want := 0
		if s != nil {
			want = s.files
		}
		files, err := c.stream.TakeFiles(want)
		if err != nil {
			return Envelope{}, c.fail(c.broken(fmt.Sprintf("%s: %v, want %d", h.typ, err, want)))
		}
		if s == nil {
			continue
		}
		m, err := c.decode(s, h.id, body)
		if err != nil {
			for _, f := range files {
				f.Close()
			}
			return Envelope{}, c.fail(err)
		}
		return Envelope{ID: h.id, Message: m, Files: files}, nil
	}
}

// fail ends reading. Descriptors that came with what was read are closed, which
// is what TakeFiles does when it is asked for fewer; the stream itself is the
// owner's to close.
func (c *Conn) fail(err error) error {
	c.rerr = err
	c.in = nil
	c.stream.TakeFiles(0)
	return err
}

// broken makes the error for a rule that the peer broke.
func (c *Conn) broken(rule string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &ProtocolError{By: c.side.other(), State: c.machine.state.String(), Rule: rule}
}

// header reads a header.
func (c *Conn) header() (header, error) {
	n, err := io.ReadFull(c.r, c.head[:])
	switch {
	case err == nil:
		return parseHeader(&c.head), nil
	case n == 0 && err == io.EOF:
		return header{}, c.fail(io.EOF)
	case n == 0 && errors.Is(err, os.ErrDeadlineExceeded):
		return header{}, fmt.Errorf("ipc: receive: %w", err)
	}
	return header{}, c.fail(c.cut(err))
}

// cut makes the error for a stream that failed within a frame.
func (c *Conn) cut(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return io.ErrUnexpectedEOF
	}
	if errors.Is(err, ErrFiles) {
		return c.broken(err.Error())
	}
	return fmt.Errorf("ipc: receive: %w", err)
}

// accept holds a header against the rules, before its body is read. The spec is
// nil for a frame to skip.
func (c *Conn) accept(h header, skipped int) (*spec, error) {
	rule := h.rule(c.side.other())
	s := specOf(h.typ)
	switch {
	case rule != "":
	case s == nil:
		if skipped >= MaxOptionalRun {
			rule = fmt.Sprintf("more than %d optional frames in a row", MaxOptionalRun)
		}
	default:
		c.mu.Lock()
		rule = c.machine.allows(h.typ, h.id)
		c.mu.Unlock()
	}
	if rule != "" {
		return nil, c.broken(rule)
	}
	return s, nil
}

// read reads a body into memory that grows with what has arrived, four times
// each: a length alone, even one under its cap, costs this side no more than
// the buffer that a connection may keep anyway. The result holds until the next
// call.
func (c *Conn) read(n int) ([]byte, error) {
	buf := c.in
	if cap(buf) > keep {
		buf = nil
	}
	buf = buf[:0]
	for len(buf) < n {
		if len(buf) == cap(buf) {
			grown := make([]byte, len(buf), min(n, max(keep, 4*len(buf))))
			copy(grown, buf)
			buf = grown
		}
		part := buf[len(buf):min(n, cap(buf))]
		if _, err := io.ReadFull(c.r, part); err != nil {
			return nil, c.cut(err)
		}
		buf = buf[:len(buf)+len(part)]
	}
	c.in = buf
	if cap(buf) > keep {
		c.in = nil
	}
	return buf, nil
}

// decode makes the message of a body and moves the machine over it.
func (c *Conn) decode(s *spec, id uint32, body []byte) (Message, error) {
	if err := Check(s.typ, body); err != nil {
		return nil, c.broken(err.Error())
	}
	m := s.make()
	c.body.Reset(body)
	c.dec.Reset(&c.body)
	c.dec.DisallowUnknownFields(true)
	err := c.dec.Decode(m)
	if len(body) > keep {
		c.dec = msgpack.NewDecoder(nil) // it keeps a buffer as long as the longest string
	}
	if err != nil {
		return nil, c.broken(err.Error())
	}
	c.mu.Lock()
	was := c.machine.state
	rule := c.machine.allows(s.typ, id)
	if rule == "" {
		rule = c.machine.step(id, m)
	}
	c.mu.Unlock()
	if rule != "" {
		return nil, &ProtocolError{By: c.side.other(), State: was.String(), Rule: rule}
	}
	return m, nil
}
