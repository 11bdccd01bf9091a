//go:build linux

package native

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// others are the attacks that only this machine knows.
func others() map[string]act {
	const x32 = 0x40000000 // arch/x86/include/uapi/asm/unistd.h
	return map[string]act{
		"open":        opened(unix.SYS_OPEN, text("/dev/null"), unix.O_RDONLY),
		"creat":       opened(unix.SYS_CREAT, text("/dev/null")),
		"fork":        spawned(unix.SYS_FORK, 0),
		"vfork":       spawned(unix.SYS_VFORK, 0),
		"x32-getpid":  call(x32 | unix.SYS_GETPID),
		"x32-read":    call(x32|unix.SYS_READ, ^uintptr(0)),
		"i386-getpid": func() (syscall.Errno, string) { return failed(int80(20)), "" },
	}
}

// int80 makes a call without arguments the way of i386, whose numbers are others: 20
// is getpid there, and writev on amd64.
func int80(nr uintptr) (r uintptr)
