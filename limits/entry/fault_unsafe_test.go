//go:build linux && cgo

package entry_test

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// deathSignal reads the parent-death signal, which the kernel writes through a
// pointer (prctl(2), PR_GET_PDEATHSIG).
func deathSignal() int {
	var sig int32
	if err := unix.Prctl(unix.PR_GET_PDEATHSIG, uintptr(unsafe.Pointer(&sig)), 0, 0, 0); err != nil {
		return -1
	}
	return int(sig)
}

// fault brings a signal about. It returns when nothing came of it.
func fault(act string) int {
	switch {
	case act == "nil":
		touch(nil)
	case act == "nil in a goroutine":
		// A thread that was started after the handlers were set.
		go func() {
			runtime.LockOSThread()
			touch(nil)
		}()
		time.Sleep(10 * time.Second)
	case act == "bus":
		// A page of a file beyond its end.
		fd, err := unix.MemfdCreate("empty", unix.MFD_CLOEXEC)
		if err != nil {
			return 2
		}
		page, err := unix.Mmap(fd, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			return 2
		}
		page[0] = 1
	case act == "alternate stack":
		return onAlternateStack()
	case act == "pipe":
		if _, err := unix.Write(1, []byte("x")); err != unix.EPIPE {
			return 2
		}
		return 0
	case strings.HasPrefix(act, "raise "):
		sig, err := strconv.Atoi(strings.TrimPrefix(act, "raise "))
		if err != nil {
			return 2
		}
		// As raise(3) does, to the calling thread.
		runtime.LockOSThread()
		if err := unix.Tgkill(unix.Getpid(), unix.Gettid(), unix.Signal(sig)); err != nil {
			return 2
		}
	}
	return 1
}

//go:noinline
func touch(p *int) { *p = 1 }

// onAlternateStack tells by 0 that the handler of SIGSEGV runs on the alternate
// stack. To see it work would take native code that overflows its stack.
func onAlternateStack() int {
	// struct sigaction of the kernel: handler, flags, restorer, mask; without the
	// restorer on arm64.
	var old [4]uint64
	if _, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(unix.SIGSEGV), 0, uintptr(unsafe.Pointer(&old)), 8, 0, 0); errno != 0 {
		return 2
	}
	const saOnStack = 0x08000000
	if old[1]&saOnStack == 0 {
		return 3
	}
	return 0
}
