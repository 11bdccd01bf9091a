package cgroup

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/limits"
)

// Find looks for a place where this process may make cgroups; dir is the directory
// that the operator named, or empty. It changes nothing. See the package comment
// for where it looks and what the errors mean.
func Find(dir string) (Place, error) { return find(linux{}, dir) }

// linux is the real kernel.
type linux struct{}

func (linux) read(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxRead+1))
	if err == nil && len(b) > maxRead {
		err = &fs.PathError{Op: "read", Path: path, Err: unix.EFBIG}
	}
	return string(b), err
}

// write makes one write(2), which is one command to the kernel. The file is not
// created when it is not there.
func (linux) write(path, value string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close() // the kernel has acted, or said no, in write
	_, err = f.WriteString(value)
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		e.Op = "write " + value + " to"
	}
	return err
}

// mkdir lets nobody else in: who can open a directory can lock it.
func (linux) mkdir(path string) error { return os.Mkdir(path, 0o700) }

func (linux) rmdir(path string) error {
	if err := unix.Rmdir(path); err != nil {
		return &fs.PathError{Op: "rmdir", Path: path, Err: err}
	}
	return nil
}

func (linux) xattr(path, name string) (string, error) {
	var b [16]byte
	n, err := unix.Getxattr(path, name, b[:])
	if err != nil {
		return "", &fs.PathError{Op: "getxattr", Path: path, Err: err}
	}
	return string(b[:n]), nil
}

func (linux) owner(path string) (int, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return int(st.Uid), nil
}

func (linux) writable(path string) error {
	if err := unix.Faccessat(unix.AT_FDCWD, path, unix.W_OK, unix.AT_EACCESS); err != nil {
		return &fs.PathError{Op: "write to", Path: path, Err: err}
	}
	return nil
}

func (linux) cgroup2(path string) error {
	var st unix.Statfs_t
	err := unix.Statfs(path, &st)
	if err == nil && st.Type != unix.CGROUP2_SUPER_MAGIC {
		err = fmt.Errorf("it is not of a cgroup v2 file system")
	}
	if err != nil {
		return &fs.PathError{Op: "statfs", Path: path, Err: err}
	}
	return nil
}

func (linux) lock(dir *os.File) error {
	return unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB)
}

func (linux) euid() int { return os.Geteuid() }

// clone asks for a process in a cgroup that cannot be: the descriptor is beyond all
// that a process can have (fs.nr_open), so that nothing is ever started.
func (linux) clone() error {
	switch errno := cloneInto(1<<31 - 1); errno {
	case unix.EBADF:
		return nil
	case unix.ENOSYS:
		return fmt.Errorf("%w: %w: needs Linux 5.7, and a seccomp filter around this program may hide it", limits.ErrUnsupported, errno)
	case unix.EINVAL, unix.E2BIG:
		return fmt.Errorf("%w: %w: needs Linux 5.7", limits.ErrUnsupported, errno)
	default:
		return fmt.Errorf("unexpected answer: %w", errno)
	}
}
