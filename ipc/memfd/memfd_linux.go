package memfd

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Empty makes an empty file that can be written to and sealed.
//
// MFD_NOEXEC_SEAL (Linux 6.3) makes it impossible to execve; the bytes of
// native code are copied out of it, never mapped. Older kernels answer EINVAL.
// Where vm.memfd_noexec is 2, only the first form is allowed.
func Empty(name string) (*os.File, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL {
		fd, err = unix.MemfdCreate(name, flags)
	}
	if err != nil {
		return nil, fmt.Errorf("memfd %s: memfd_create: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE

// Seal makes f what it is for good: neither content nor size nor the seals can
// change, through any descriptor. It borrows f. It fails with EBUSY while a
// writable mapping exists anywhere.
func Seal(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return fmt.Errorf("memfd %s: %w", f.Name(), err)
	}
	var sealed error
	err = raw.Control(func(fd uintptr) {
		_, sealed = unix.FcntlInt(fd, unix.F_ADD_SEALS, seals)
	})
	if err == nil {
		err = sealed
	}
	if err != nil {
		return fmt.Errorf("memfd %s: seal: %w", f.Name(), err)
	}
	return nil
}

func mapped(f *os.File, size int) (b []byte, unmap func(), err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, nil, fmt.Errorf("memfd %s: %w", f.Name(), err)
	}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		b, failed = unix.Mmap(int(fd), 0, size, unix.PROT_READ, unix.MAP_PRIVATE)
	}); err != nil {
		failed = err
	}
	if failed != nil {
		return nil, nil, fmt.Errorf("memfd %s: mmap: %w", f.Name(), failed)
	}
	return b, func() { _ = unix.Munmap(b) }, nil
}
