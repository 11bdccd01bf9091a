package plugin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/internal/hostile"
)

// maxProgram bounds what is read for the checksum: a sparse file can be endless.
const maxProgram = 1 << 30

// openProgram opens the configured program and sees that it is the one with the
// checksum. What must be run is this open file: see runnable.
//
// go-plugin has SecureConfig for the checksum, which reads a path and then runs the
// path, whatever is there by then; and it does not work with a runner of one's own.
func openProgram(ctx context.Context, cfg Config) (_ *os.File, err error) {
	// Opening must not wait for the other end of a pipe.
	f, err := os.OpenFile(cfg.Path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		if why, ok := errors.AsType[*fs.PathError](err); ok {
			err = why.Err
		}
		return nil, cfg.refused(err.Error(), "")
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, cfg.refused(hostile.Error(err), "")
	case !info.Mode().IsRegular():
		return nil, cfg.refused("it is not a file", "")
	case info.Mode()&0o111 == 0:
		return nil, cfg.refused("it is not executable", "chmod +x")
	case info.Size() > maxProgram:
		return nil, cfg.refused(fmt.Sprintf("it has %d bytes; a program has at most %d", info.Size(), maxProgram), "")
	}
	var magic [2]byte
	if _, err := f.ReadAt(magic[:], 0); err == nil && bytes.Equal(magic[:], []byte("#!")) {
		return nil, cfg.refused("it is a script", "the checksum would not be that of its interpreter: give a program")
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, io.LimitReader(until{ctx, f}, maxProgram)); err != nil {
		if ctx.Err() != nil {
			return nil, &adapters.Error{Adapter: cfg.adapter(), Op: "read the program", Err: ended(ctx)}
		}
		return nil, cfg.refused(hostile.Error(err), "")
	}
	if is := hex.EncodeToString(hash.Sum(nil)); is != cfg.SHA256 {
		return nil, cfg.refused("its sha256 is "+is+", and the configuration says "+cfg.SHA256,
			"it is another program than the one that was checked")
	}
	return f, nil
}

// until reads as long as ctx has not ended.
type until struct {
	ctx context.Context
	io.Reader
}

func (u until) Read(b []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.Reader.Read(b)
}
