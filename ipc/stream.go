package ipc

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Stream is a connected byte stream that can carry descriptors beside bytes.
// Write and WriteFiles write all of p or fail. One goroutine reads and one
// writes at a time; Close and SetDeadline may be called from others.
type Stream interface {
	io.ReadWriteCloser

	// WriteFiles writes p; the files ride with its first byte. They are
	// borrowed: they stay open and belong to the caller.
	WriteFiles(p []byte, files []*os.File) (int, error)

	// TakeFiles hands over the descriptors that came with the bytes read since
	// the last call, in order. There must be exactly n: any other number is
	// ErrFiles, and all of them are closed. The caller takes ownership.
	TakeFiles(n int) ([]*os.File, error)

	// SetDeadline bounds reads and writes, those under way included. The zero
	// time means none.
	SetDeadline(t time.Time) error
}

// MaxFiles is the most descriptors that ride with one frame.
const MaxFiles = 2

// ErrFiles says that descriptors were missing, or were there and not wanted.
var ErrFiles = errors.New("unexpected descriptors")

// Plain makes a Stream of rwc that carries no descriptors. It takes ownership
// of rwc. SetDeadline works if rwc has it.
func Plain(rwc io.ReadWriteCloser) Stream { return plain{rwc} }

type plain struct{ io.ReadWriteCloser }

func (p plain) WriteFiles(b []byte, files []*os.File) (int, error) {
	if len(files) > 0 {
		return 0, fmt.Errorf("%w: this stream carries none", ErrFiles)
	}
	return p.Write(b)
}

func (p plain) TakeFiles(n int) ([]*os.File, error) {
	if n > 0 {
		return nil, fmt.Errorf("%w: this stream carries none", ErrFiles)
	}
	return nil, nil
}

func (p plain) SetDeadline(t time.Time) error {
	if d, ok := p.ReadWriteCloser.(interface{ SetDeadline(time.Time) error }); ok {
		return d.SetDeadline(t)
	}
	return os.ErrNoDeadline
}
