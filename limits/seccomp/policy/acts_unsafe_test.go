//go:build linux

package policy_test

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

var socketFile *os.File

// code is a page that may be executed, made before the filter (act "int 0x80").
var code []byte

// raw makes a system call and gives its errno. Arguments that point somewhere
// point at nothing useful on purpose: the filter decides before the kernel looks.
func raw(nr uintptr, args ...uintptr) func() error {
	var a [6]uintptr
	copy(a[:], args)
	return func() error {
		_, _, errno := syscall.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
		if errno != 0 {
			return errno
		}
		return nil
	}
}

// cloned makes a process or thread that ends at once, when it is let.
func cloned(flags uintptr) func() error {
	return func() error {
		pid, _, errno := syscall.RawSyscall6(syscall.SYS_CLONE, flags, 0, 0, 0, 0, 0)
		if errno == 0 && pid == 0 {
			for {
				syscall.RawSyscall(syscall.SYS_EXIT, 0, 0, 0)
			}
		}
		if errno != 0 {
			return errno
		}
		return nil
	}
}

const anonymous = unix.MAP_PRIVATE | unix.MAP_ANONYMOUS

func mapped(prot uintptr) func() error {
	return raw(unix.SYS_MMAP, 0, 4096, prot, anonymous, ^uintptr(0), 0)
}

func protected(nr, prot uintptr) func() error {
	return func() error {
		addr, _, errno := syscall.RawSyscall6(unix.SYS_MMAP, 0, 4096, unix.PROT_READ, anonymous, ^uintptr(0), 0)
		if errno != 0 {
			return fmt.Errorf("mmap: %w", errno)
		}
		return raw(nr, addr, 4096, prot, ^uintptr(0))()
	}
}

var allowAll = []unix.SockFilter{{Code: 0x06, K: unix.SECCOMP_RET_ALLOW}}

func filter(flags uintptr) func() error {
	return func() error {
		prog := unix.SockFprog{Len: 1, Filter: &allowAll[0]}
		_, _, errno := syscall.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&prog)))
		runtime.KeepAlive(&prog)
		if errno != 0 {
			return errno
		}
		return nil
	}
}

var path = []byte("/dev/null\x00")

func p() uintptr { return uintptr(unsafe.Pointer(&path[0])) }

const threadFlags = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_THREAD | unix.CLONE_SYSVSEM

var atFDCWD = ^uintptr(99) // AT_FDCWD, -100

var acts = map[string]act{
	"live": {
		before: func() {
			// The worker's main opens its socket, and with it the poller, first.
			unix.SetNonblock(3, true)
			socketFile = os.NewFile(3, "socket")
		},
		do: func() error { return live(socketFile) },
	},

	"openat":                          {do: raw(unix.SYS_OPENAT, atFDCWD, p(), unix.O_RDONLY)},
	"openat2":                         {do: raw(unix.SYS_OPENAT2, atFDCWD, p())},
	"readlinkat":                      {do: raw(unix.SYS_READLINKAT, atFDCWD, p())},
	"getdents64":                      {do: raw(unix.SYS_GETDENTS64, 3)},
	"socket":                          {do: raw(unix.SYS_SOCKET, unix.AF_UNIX, unix.SOCK_STREAM, 0)},
	"connect":                         {do: raw(unix.SYS_CONNECT, 0)},
	"socketpair":                      {do: raw(unix.SYS_SOCKETPAIR, unix.AF_UNIX, unix.SOCK_STREAM, 0)},
	"sendto":                          {do: raw(unix.SYS_SENDTO, 0)},
	"execve":                          {do: raw(unix.SYS_EXECVE, p())},
	"execveat":                        {do: raw(unix.SYS_EXECVEAT, atFDCWD, p())},
	"clone a process":                 {do: cloned(uintptr(unix.SIGCHLD))},
	"clone into namespaces":           {do: cloned(uintptr(unix.SIGCHLD) | unix.CLONE_NEWUSER)},
	"clone a thread into a namespace": {do: raw(unix.SYS_CLONE, threadFlags|unix.CLONE_NEWNET)},
	"clone sharing memory only":       {do: raw(unix.SYS_CLONE, unix.CLONE_VM|unix.CLONE_SIGHAND|unix.CLONE_THREAD|unix.CLONE_PTRACE)},
	"clone3":                          {do: raw(unix.SYS_CLONE3)},
	"ptrace":                          {do: raw(unix.SYS_PTRACE, ^uintptr(0))},
	"process_vm_readv":                {do: raw(unix.SYS_PROCESS_VM_READV, uintptr(os.Getppid()))},
	"process_vm_writev":               {do: raw(unix.SYS_PROCESS_VM_WRITEV, uintptr(os.Getppid()))},
	"pidfd_open":                      {do: raw(unix.SYS_PIDFD_OPEN, uintptr(os.Getpid()))},
	"kill parent":                     {do: raw(unix.SYS_KILL, uintptr(os.Getppid()), 0)},
	"kill self":                       {do: raw(unix.SYS_KILL, uintptr(os.Getpid()), 0)},
	"tgkill another process":          {do: raw(unix.SYS_TGKILL, uintptr(os.Getppid()), uintptr(os.Getppid()), 0)},
	"tgkill self with SIGKILL":        {do: raw(unix.SYS_TGKILL, uintptr(os.Getpid()), uintptr(os.Getpid()), 9)},
	"tkill self":                      {do: raw(unix.SYS_TKILL, uintptr(os.Getpid()), 0)},
	"mmap exec":                       {do: mapped(unix.PROT_READ | unix.PROT_EXEC)},
	"mmap write and exec":             {do: mapped(unix.PROT_READ | unix.PROT_WRITE | unix.PROT_EXEC)},
	"mmap exec, high bits set":        {do: mapped(unix.PROT_READ | unix.PROT_WRITE | unix.PROT_EXEC | 1<<32)},
	"mprotect exec":                   {do: protected(unix.SYS_MPROTECT, unix.PROT_READ|unix.PROT_EXEC)},
	"mprotect write and exec":         {do: protected(unix.SYS_MPROTECT, unix.PROT_WRITE|unix.PROT_EXEC)},
	"pkey_mprotect exec":              {do: protected(unix.SYS_PKEY_MPROTECT, unix.PROT_READ|unix.PROT_EXEC)},
	"memfd_create":                    {do: raw(unix.SYS_MEMFD_CREATE, p())},
	"personality":                     {do: raw(unix.SYS_PERSONALITY, 0xffffffff)},
	"io_uring_setup":                  {do: raw(unix.SYS_IO_URING_SETUP, 1)},
	"userfaultfd":                     {do: raw(unix.SYS_USERFAULTFD)},
	"bpf":                             {do: raw(unix.SYS_BPF, 0)},
	"perf_event_open":                 {do: raw(unix.SYS_PERF_EVENT_OPEN)},
	"mount":                           {do: raw(unix.SYS_MOUNT)},
	"umount2":                         {do: raw(unix.SYS_UMOUNT2)},
	"pivot_root":                      {do: raw(unix.SYS_PIVOT_ROOT)},
	"setns":                           {do: raw(unix.SYS_SETNS, 0)},
	"unshare":                         {do: raw(unix.SYS_UNSHARE, 0)},
	"keyctl":                          {do: raw(unix.SYS_KEYCTL, 0)},
	"setuid":                          {do: raw(unix.SYS_SETUID, uintptr(os.Getuid()))},
	"capset":                          {do: raw(unix.SYS_CAPSET)},
	"setrlimit":                       {do: raw(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_CORE)},
	"shmget":                          {do: raw(unix.SYS_SHMGET, 0, 4096)},
	"ioctl":                           {do: raw(unix.SYS_IOCTL, 0, unix.TIOCSTI)},
	"dup":                             {do: raw(unix.SYS_DUP, 0)},
	"prctl dumpable":                  {do: raw(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 1)},
	"prctl set name":                  {do: raw(unix.SYS_PRCTL, unix.PR_SET_NAME, p())},
	"prctl name memory":               {do: raw(unix.SYS_PRCTL, unix.PR_SET_VMA, 1, 1)},
	"prctl mdwe":                      {do: raw(unix.SYS_PRCTL, unix.PR_SET_MDWE, unix.PR_MDWE_REFUSE_EXEC_GAIN)},
	"seccomp":                         {do: filter(unix.SECCOMP_FILTER_FLAG_TSYNC)},
	"seccomp without tsync":           {do: filter(0)},
	"rt_sigaction":                    {do: raw(unix.SYS_RT_SIGACTION, uintptr(unix.SIGUSR1), 0, 0, 8)},
}
