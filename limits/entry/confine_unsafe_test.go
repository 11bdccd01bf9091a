//go:build linux && cgo

package entry_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/limits/seccomp"
)

// confine makes this process a caller that something is kept from, and goes on in
// its place as the program in next:
//
//	deny CALL ERRNO [ARG=VALUE|ARG&BITS]  a seccomp filter, as containers have
//	landlock N                            so many domains that deny making symbolic links
//	quota KIND                            no further namespace of that kind
//	proc ro|none                          /proc is read-only, or hidden
//	chroot DIR plain|mount                a root with nothing but libraries in it, made in DIR
//	drop CAPABILITY                       without a capability, by number
//
// It is started with namespaces for users and mounts of its own (see confined), so
// nothing of this reaches the machine.
func confine(how string, next []string) error {
	runtime.LockOSThread() // domains, filters and capabilities are a thread's
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	kind, args, _ := strings.Cut(how, " ")
	words := strings.Fields(args)
	switch kind {
	case "deny":
		err = deny(words)
	case "landlock":
		err = domains(words[0])
	case "quota":
		err = os.WriteFile("/proc/sys/user/max_"+words[0]+"_namespaces", []byte("0"), 0)
	case "proc":
		if words[0] == "none" {
			err = unix.Mount("none", "/proc", "tmpfs", 0, "")
		} else {
			err = unix.Mount("", "/proc", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")
		}
	case "chroot":
		exe, err = jail(exe, words[0], words[1] == "mount")
	case "drop":
		err = drop(words[0])
	case "":
	default:
		err = fmt.Errorf("no such confinement")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", how, err)
	}
	return syscall.Exec(exe, append([]string{exe}, next...), os.Environ())
}

func deny(words []string) error {
	arch, err := seccomp.Host()
	if err != nil {
		return err
	}
	nr, ok := arch.Number(words[0])
	if !ok {
		return fmt.Errorf("no such call")
	}
	errno, err := strconv.Atoi(words[1])
	if err != nil {
		return err
	}
	// struct seccomp_data: the call's number at 0, its arguments from 16 on.
	const load, equal, anyBit, answer = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K,
		unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	compare, arg, value := uint16(equal), 0, uint64(nr)
	if len(words) > 2 {
		i := strings.IndexAny(words[2], "=&")
		if words[2][i] == '&' {
			compare = anyBit
		}
		if arg, err = strconv.Atoi(words[2][:i]); err != nil {
			return err
		}
		if value, err = strconv.ParseUint(words[2][i+1:], 0, 32); err != nil {
			return err
		}
		arg = 16 + 8*arg
	}
	program := []unix.SockFilter{
		{Code: load, K: 0},
		{Code: equal, K: uint32(nr), Jf: 3},
		{Code: load, K: uint32(arg)},
		{Code: compare, K: uint32(value), Jf: 1},
		{Code: answer, K: unix.SECCOMP_RET_ERRNO | uint32(errno)},
		{Code: answer, K: unix.SECCOMP_RET_ALLOW},
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&filter))); errno != 0 {
		return errno
	}
	return nil
}

func domains(count string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	for range n {
		rights := uint64(unix.LANDLOCK_ACCESS_FS_MAKE_SYM)
		fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&rights)), unsafe.Sizeof(rights), 0)
		if errno != 0 {
			return errno
		}
		_, _, errno = unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0)
		unix.Close(int(fd))
		if errno != 0 {
			return errno
		}
	}
	return nil
}

// jail makes a root in dir that has this program and its libraries and no more,
// enters it, and gives the program's path there. The root is a mount point or a
// plain directory.
func jail(exe, dir string, isMount bool) (string, error) {
	if err := unix.Mount("none", dir, "tmpfs", 0, ""); err != nil {
		return "", err
	}
	if !isMount {
		dir = filepath.Join(dir, "root")
		if err := os.Mkdir(dir, 0o755); err != nil {
			return "", err
		}
	}
	for _, name := range []string{"/lib", "/lib64", "/usr"} {
		info, err := os.Lstat(name)
		if err != nil {
			continue // not every system has each
		}
		if info.Mode()&os.ModeSymlink != 0 {
			target, err := os.Readlink(name)
			if err == nil {
				err = os.Symlink(target, filepath.Join(dir, name))
			}
			if err != nil {
				return "", err
			}
			continue
		}
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			return "", err
		}
		if err := unix.Mount(name, filepath.Join(dir, name), "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return "", err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "worker"), nil, 0o755); err != nil {
		return "", err
	}
	if err := unix.Mount(exe, filepath.Join(dir, "worker"), "", unix.MS_BIND, ""); err != nil {
		return "", err
	}
	if err := unix.Chroot(dir); err != nil {
		return "", err
	}
	return "/worker", unix.Chdir("/")
}

// drop takes a capability from this thread and from what it executes.
func drop(capability string) error {
	c, err := strconv.Atoi(capability)
	if err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); err != nil {
		return err
	}
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&head, &sets[0]); err != nil {
		return err
	}
	for _, set := range []*uint32{&sets[c/32].Effective, &sets[c/32].Permitted, &sets[c/32].Inheritable} {
		*set &^= 1 << (c % 32)
	}
	return unix.Capset(&head, &sets[0])
}
