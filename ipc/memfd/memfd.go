// Package memfd makes files that live in memory and have no name in any file
// system. Native code and source code cross the process boundary in them: the
// socket carries only the descriptor, and the receiver cannot be made to read a
// file that changes under it, because a sealed one cannot change.
//
// Sealing is the supervisor's: it seals what it hands to a worker before it
// hands it over, and seals what a worker has written before it reads it. Seal
// fails while the worker still has a writable mapping (EBUSY), so what is read
// after it is what will be read again.
package memfd

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// New makes a sealed file that holds data.
func New(name string, data []byte) (*os.File, error) {
	f, err := Empty(name)
	if err != nil {
		return nil, err
	}
	if _, err := f.WriteAt(data, 0); err != nil {
		f.Close()
		return nil, fmt.Errorf("memfd %s: %w", name, err)
	}
	if err := Seal(f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Map maps a sealed file that must hold exactly size bytes and gives them with
// the func that takes them away again. A read-only mapping does not count
// against RLIMIT_DATA, and a sealed file cannot shrink under it. size must not be
// 0, and must be capped by the caller: a hole in the file looks like zeros.
func Map(f *os.File, size int) (b []byte, unmap func(), err error) {
	if err := holds(f, size); err != nil {
		return nil, nil, err
	}
	return mapped(f, size)
}

// holds checks that f has exactly size bytes, by looking at its last one and the
// one behind it.
func holds(f *os.File, size int) error {
	var probe [1]byte
	if size < 0 {
		return fmt.Errorf("memfd %s: a size of %d bytes", f.Name(), size)
	}
	if size > 0 {
		if _, err := f.ReadAt(probe[:], int64(size)-1); err == io.EOF {
			return fmt.Errorf("memfd %s: shorter than %d bytes", f.Name(), size)
		} else if err != nil {
			return err
		}
	}
	if _, err := f.ReadAt(probe[:], int64(size)); err == nil {
		return fmt.Errorf("memfd %s: longer than %d bytes", f.Name(), size)
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}
