package cgroup

import "os"

// kernel is what this package asks of the system. Tests have one that keeps the
// rules of cgroup v2 over an ordinary directory. Errors of paths are *fs.PathError.
type kernel interface {
	read(path string) (string, error) // at most maxRead bytes
	write(path, value string) error   // of a file that is there
	mkdir(path string) error
	rmdir(path string) error
	xattr(path, name string) (string, error)
	owner(path string) (int, error)
	writable(path string) error // nil when this process may write to it
	cgroup2(path string) error  // nil when it is a directory of cgroup v2
	lock(dir *os.File) error    // syscall.EWOULDBLOCK when somebody else has it locked
	clone() error               // nil when processes can be started in a cgroup
	euid() int
}

// maxRead bounds what is read of one file: a machine with 10,000 mounts has a
// mountinfo of about 2 MiB.
const maxRead = 16 << 20
