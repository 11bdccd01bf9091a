package memfd

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// A worker that keeps a writable mapping cannot have its output sealed, so what
// the supervisor reads cannot change behind it.
func TestSealWantsNoWriter(t *testing.T) {
	f, err := Empty("out")
	f = need(t, f, err)
	if err := f.Truncate(4096); err != nil {
		t.Fatal(err)
	}
	m, err := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	if err := Seal(f); !errors.Is(err, unix.EBUSY) {
		t.Errorf("with a writable mapping: %v", err)
	}
	if err := unix.Munmap(m); err != nil {
		t.Fatal(err)
	}
	if err := Seal(f); err != nil {
		t.Error(err)
	}
}

func TestFlags(t *testing.T) {
	f, err := New("code", []byte("x"))
	f = need(t, f, err)
	if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("survives exec: %v", err)
	}
	got, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
	if err != nil || got&seals != seals {
		t.Errorf("seals %#x, want %#x: %v", got, seals, err)
	}
	if st, err := f.Stat(); err != nil {
		t.Error(err)
	} else if got&unix.F_SEAL_EXEC != 0 && st.Mode()&0o111 != 0 {
		t.Errorf("can be executed: %v", st.Mode())
	}
}
