//go:build linux

package native

import (
	"fmt"
	"maps"
	"os"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Do makes the attack of that name. It gives the kernel's answer, 0 if the kernel
// did as it was told, and details for people, which begin with the count where
// something is counted (attack.Expect). It does not return when the kernel kills the
// process. A name that is none gives 0, so that nobody takes the wall for standing.
func Do(name string) (errno syscall.Errno, detail string) {
	act, ok := acts()[name]
	if !ok {
		return 0, fmt.Sprintf("there is no attack %q", name)
	}
	return act()
}

// act makes one attack.
type act = func() (syscall.Errno, string)

// acts are made when they are asked for: a worker that is no probe has none.
func acts() map[string]act {
	all := map[string]act{
		"become-another-user": call(unix.SYS_SETUID, 1),
		// Signal 0 asks whether a signal could be sent (kill(2)).
		"signal-everybody":   call(unix.SYS_KILL, ^uintptr(0), 0),
		"connect-loopback":   connectLoopback,
		"find-shared-memory": findSharedMemory,
		"rename-machine":     renameMachine,

		"find-etc":       call(unix.SYS_FACCESSAT, atFDCWD, text("/etc"), 0),
		"find-proc":      call(unix.SYS_FACCESSAT, atFDCWD, text("/proc/self/status"), 0),
		"make-directory": makeDirectory,

		"become-root": call(unix.SYS_SETRESUID, 0, 0, 0),
		"join-root":   call(unix.SYS_SETRESGID, 0, 0, 0),

		"gain-capability": gainCapability,
		"change-root":     call(unix.SYS_CHROOT, text("/")),

		"unset-no-new-privs": unsetNoNewPrivs,
		"read-worker":        readWorker,
		"open-root":          opened(unix.SYS_OPENAT, atFDCWD, text("/"), unix.O_RDONLY|unix.O_DIRECTORY),

		"count-descriptors": countDescriptors,
		"read-environment":  readEnvironment,

		"allocate":         allocated(anonymous),
		"reserve":          call(unix.SYS_MMAP, 0, 256<<30, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE, ^uintptr(0), 0),
		"burn-processor":   burnProcessor,
		"open-descriptors": openDescriptors,
		"fork-bomb":        forkBomb,
		"write-file":       writeFile,
		"raise-core":       raised(unix.RLIMIT_CORE),
		"raise-stack":      raised(unix.RLIMIT_STACK),
		"lock-memory":      lockMemory,
		"make-queue":       makeQueue,
		"real-time":        realTime,

		"share-memory": allocated(unix.MAP_SHARED | unix.MAP_ANONYMOUS | unix.MAP_POPULATE),

		"open-at-load":            opened(unix.SYS_OPENAT, atFDCWD, text("/dev/null"), unix.O_RDONLY),
		"socket-at-load":          opened(unix.SYS_SOCKET, unix.AF_UNIX, unix.SOCK_STREAM, 0),
		"clone-at-load":           spawned(unix.SYS_CLONE, uintptr(unix.SIGCHLD)),
		"execute-at-load":         call(unix.SYS_EXECVE, text("/dev/null")),
		"mmap-write-exec-at-load": mapped(unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, anonymous),

		"gain-exec":  protected(unix.SYS_MPROTECT, unix.PROT_READ|unix.PROT_EXEC),
		"unset-mdwe": call(unix.SYS_PRCTL, unix.PR_SET_MDWE, 0),

		"openat":       opened(unix.SYS_OPENAT, atFDCWD, text("/dev/null"), unix.O_RDONLY),
		"openat2":      opened(unix.SYS_OPENAT2, atFDCWD, text("/dev/null")),
		"open-proc":    opened(unix.SYS_OPENAT, atFDCWD, text("/proc/self/maps"), unix.O_RDONLY),
		"readlinkat":   call(unix.SYS_READLINKAT, atFDCWD, text("/dev/null")),
		"getdents64":   call(unix.SYS_GETDENTS64, 3),
		"memfd-create": opened(unix.SYS_MEMFD_CREATE, text("attack")),
		"dup":          opened(unix.SYS_DUP, 0),
		"ioctl":        call(unix.SYS_IOCTL, 0, unix.TIOCSTI),

		"socket":     opened(unix.SYS_SOCKET, unix.AF_UNIX, unix.SOCK_STREAM, 0),
		"connect":    call(unix.SYS_CONNECT, 0),
		"socketpair": call(unix.SYS_SOCKETPAIR, unix.AF_UNIX, unix.SOCK_STREAM, 0),
		"sendto":     call(unix.SYS_SENDTO, 0),
		"sendmsg":    call(unix.SYS_SENDMSG, 0),

		"execve":                 call(unix.SYS_EXECVE, text("/dev/null")),
		"execveat":               call(unix.SYS_EXECVEAT, atFDCWD, text("/dev/null")),
		"clone-process":          spawned(unix.SYS_CLONE, uintptr(unix.SIGCHLD)),
		"clone-vfork":            spawned(unix.SYS_CLONE, unix.CLONE_VM|unix.CLONE_VFORK|uintptr(unix.SIGCHLD)),
		"clone-namespaces":       spawned(unix.SYS_CLONE, unix.CLONE_NEWUSER|uintptr(unix.SIGCHLD)),
		"clone-thread-namespace": spawned(unix.SYS_CLONE, thread|unix.CLONE_NEWNET),
		"clone-memory-only":      spawned(unix.SYS_CLONE, unix.CLONE_VM|unix.CLONE_SIGHAND|unix.CLONE_THREAD|unix.CLONE_PTRACE),
		"clone3":                 call(unix.SYS_CLONE3),

		// The process with the next id need not exist: the filter cannot know.
		"ptrace":            call(unix.SYS_PTRACE, ^uintptr(0)), // no such request
		"process-vm-readv":  onOther(unix.SYS_PROCESS_VM_READV),
		"process-vm-writev": onOther(unix.SYS_PROCESS_VM_WRITEV),
		"pidfd-open": func() (syscall.Errno, string) {
			return opened(unix.SYS_PIDFD_OPEN, uintptr(syscall.Getpid()+1))()
		},
		"kill":      call(unix.SYS_KILL, ^uintptr(0), 0),
		"kill-self": onSelf(unix.SYS_KILL),
		"tgkill": func() (syscall.Errno, string) {
			other := uintptr(syscall.Getpid() + 1)
			return call(unix.SYS_TGKILL, other, other, 0)()
		},
		"tgkill-self": func() (syscall.Errno, string) {
			self := uintptr(syscall.Getpid())
			return call(unix.SYS_TGKILL, self, self, 0)()
		},
		"tkill": onSelf(unix.SYS_TKILL),

		"mmap-exec":           mapped(unix.PROT_READ|unix.PROT_EXEC, anonymous),
		"mmap-write-exec":     mapped(unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, anonymous),
		"mmap-exec-high-bits": mapped(unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC|1<<32, anonymous),
		"mmap-shared":         mapped(unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS),
		"mmap-grows-down":     mapped(unix.PROT_READ|unix.PROT_WRITE, anonymous|unix.MAP_GROWSDOWN),
		"mmap-file":           call(unix.SYS_MMAP, 0, page, unix.PROT_READ, unix.MAP_PRIVATE, 0, 0),
		"mprotect-exec":       protected(unix.SYS_MPROTECT, unix.PROT_READ|unix.PROT_EXEC),
		"mprotect-write-exec": protected(unix.SYS_MPROTECT, unix.PROT_WRITE|unix.PROT_EXEC),
		"pkey-mprotect-exec":  protected(unix.SYS_PKEY_MPROTECT, unix.PROT_READ|unix.PROT_EXEC),
		"mprotect-read":       protected(unix.SYS_MPROTECT, unix.PROT_READ),
		"mremap":              moved,
		"madvise":             advised,
		"personality":         call(unix.SYS_PERSONALITY, 0xffffffff), // asks only

		"io-uring-setup":  opened(unix.SYS_IO_URING_SETUP, 1),
		"userfaultfd":     opened(unix.SYS_USERFAULTFD, ^uintptr(0)),
		"bpf":             opened(unix.SYS_BPF, 0),
		"perf-event-open": opened(unix.SYS_PERF_EVENT_OPEN),
		"keyctl":          call(unix.SYS_KEYCTL, 0),

		"mount":      call(unix.SYS_MOUNT),
		"umount2":    call(unix.SYS_UMOUNT2),
		"pivot-root": call(unix.SYS_PIVOT_ROOT),
		"setns":      call(unix.SYS_SETNS, 0),
		"unshare":    call(unix.SYS_UNSHARE, 0),
		"setuid":     call(unix.SYS_SETUID, 65534),
		"capset":     call(unix.SYS_CAPSET),
		"setrlimit":  call(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_CORE),
		"shmget":     call(unix.SYS_SHMGET, 0, 0), // of no size: EINVAL

		"prctl-dumpable":     call(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 1),
		"prctl-no-new-privs": call(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 0),
		"prctl-death-signal": call(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, 0),
		"prctl-mdwe":         call(unix.SYS_PRCTL, unix.PR_SET_MDWE, 0),
		"prctl-seccomp":      call(unix.SYS_PRCTL, unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER),
		"prctl-name":         call(unix.SYS_PRCTL, unix.PR_SET_NAME, text("attack")),
		"prctl-name-memory":  call(unix.SYS_PRCTL, unix.PR_SET_VMA, 1, 1),
		"seccomp":            filtered(unix.SECCOMP_FILTER_FLAG_TSYNC),
		"seccomp-one-thread": filtered(0),
		"rt-sigaction":       call(unix.SYS_RT_SIGACTION, uintptr(unix.SIGUSR1), 0, 0, 8),
	}
	maps.Copy(all, others())
	return all
}

const (
	page      = 4096
	mebi      = 1 << 20
	anonymous = unix.MAP_PRIVATE | unix.MAP_ANONYMOUS
	thread    = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_THREAD | unix.CLONE_SYSVSEM
)

var atFDCWD = ^uintptr(99) // AT_FDCWD, -100

// texts keeps what the acts point at.
var texts [][]byte

// text gives the address of s for the kernel to read.
func text(s string) uintptr {
	b := append([]byte(s), 0)
	texts = append(texts, b)
	return uintptr(unsafe.Pointer(&b[0]))
}

// raw makes a system call.
//
//go:uintptrescapes
//go:noinline
func raw(nr uintptr, args ...uintptr) (uintptr, syscall.Errno) {
	var a [6]uintptr
	copy(a[:], args)
	r, _, errno := syscall.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
	return r, errno
}

// call is one system call. Arguments that point somewhere mostly point at nothing: a
// filter decides before the kernel looks, and what gets through must do nothing.
func call(nr uintptr, args ...uintptr) act {
	return func() (syscall.Errno, string) {
		_, errno := raw(nr, args...)
		return errno, ""
	}
}

// moved moves a page of memory to where there is room for more.
func moved() (syscall.Errno, string) {
	at, errno := raw(unix.SYS_MMAP, 0, page, unix.PROT_READ|unix.PROT_WRITE, anonymous, ^uintptr(0), 0)
	if errno != 0 {
		return 0, "no memory to move"
	}
	const room = 16 * page
	to, errno := raw(unix.SYS_MREMAP, at, page, room, unix.MREMAP_MAYMOVE)
	if errno != 0 {
		raw(unix.SYS_MUNMAP, at, page)
		return errno, ""
	}
	raw(unix.SYS_MUNMAP, to, room)
	return 0, ""
}

// advised gives advice on a page of memory that is about more than giving it back.
func advised() (syscall.Errno, string) {
	at, errno := raw(unix.SYS_MMAP, 0, page, unix.PROT_READ|unix.PROT_WRITE, anonymous, ^uintptr(0), 0)
	if errno != 0 {
		return 0, "no memory to advise on"
	}
	_, errno = raw(unix.SYS_MADVISE, at, page, unix.MADV_COLD)
	raw(unix.SYS_MUNMAP, at, page)
	return errno, ""
}

// onSelf is a call that is given this process and a 0.
func onSelf(nr uintptr) act {
	return func() (syscall.Errno, string) { return call(nr, uintptr(syscall.Getpid()))() }
}

// onOther is a call that is given another process, and nothing to do there.
func onOther(nr uintptr) act {
	return func() (syscall.Errno, string) { return call(nr, uintptr(syscall.Getpid()+1))() }
}

// opened is a call that gives a descriptor, which is closed.
func opened(nr uintptr, args ...uintptr) act {
	return func() (syscall.Errno, string) {
		fd, errno := raw(nr, args...)
		if errno == 0 {
			raw(unix.SYS_CLOSE, fd)
		}
		return errno, ""
	}
}

// mapped maps a page, and unmaps it.
func mapped(prot, flags uintptr) act {
	return func() (syscall.Errno, string) {
		at, errno := raw(unix.SYS_MMAP, 0, page, prot, flags, ^uintptr(0), 0)
		if errno == 0 {
			raw(unix.SYS_MUNMAP, at, page)
		}
		return errno, ""
	}
}

// protected changes the protection of a page of its own.
func protected(nr, prot uintptr) act {
	return func() (syscall.Errno, string) {
		at, errno := raw(unix.SYS_MMAP, 0, page, unix.PROT_READ, anonymous, ^uintptr(0), 0)
		if errno != 0 {
			return errno, "mmap"
		}
		_, errno = raw(nr, at, page, prot, ^uintptr(0))
		raw(unix.SYS_MUNMAP, at, page)
		return errno, ""
	}
}

// spawned makes a process or a thread that ends at once.
func spawned(nr, flags uintptr) act {
	return func() (syscall.Errno, string) {
		r := spawn(nr, flags, nil)
		if errno := failed(r); errno != 0 {
			return errno, ""
		}
		wait(r) // nobody's child, when it is a thread
		return 0, ""
	}
}

// spawn makes the call nr, which makes a process or thread, with flags as its first
// argument and no others. The child makes the call then, if there is one (number and
// arguments), and exits with the errno of that as its status.
//
// It is assembly because the child shares memory, or holds a copy of a runtime that
// has lost all other threads: it must not touch the stack nor run any Go code.
func spawn(nr, flags uintptr, then *[7]uintptr) (r uintptr)

// failed gives the errno in what a system call returned.
func failed(r uintptr) syscall.Errno {
	if r > ^uintptr(4095) {
		return syscall.Errno(-r)
	}
	return 0
}

// wait reaps a child and gives its exit status.
func wait(pid uintptr) (status int) {
	var ws syscall.WaitStatus
	for {
		_, errno := raw(unix.SYS_WAIT4, pid, uintptr(unsafe.Pointer(&ws)), 0, 0)
		if errno != syscall.EINTR {
			return ws.ExitStatus()
		}
	}
}

var allowAll = []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}}

// filtered installs a filter that allows everything.
func filtered(flags uintptr) act {
	return func() (syscall.Errno, string) {
		prog := unix.SockFprog{Len: 1, Filter: &allowAll[0]}
		_, errno := raw(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&prog)))
		return errno, ""
	}
}

// connectLoopback connects a datagram socket, which sends nothing. Landlock has a say
// on TCP only.
func connectLoopback() (syscall.Errno, string) {
	fd, errno := raw(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_DGRAM, 0)
	if errno != 0 {
		return errno, "socket"
	}
	to := unix.RawSockaddrInet4{Family: unix.AF_INET, Port: 9 << 8, Addr: [4]byte{127, 0, 0, 1}}
	_, errno = raw(unix.SYS_CONNECT, fd, uintptr(unsafe.Pointer(&to)), unix.SizeofSockaddrInet4)
	raw(unix.SYS_CLOSE, fd)
	return errno, ""
}

// findSharedMemory counts the segments of System V shared memory.
func findSharedMemory() (syscall.Errno, string) {
	const shmInfo = 14 // SHM_INFO, linux/shm.h
	var info struct {
		used                    int32
		total, resident, swap   uint64
		swapAttempts, successes uint64
	}
	_, errno := raw(unix.SYS_SHMCTL, 0, shmInfo, uintptr(unsafe.Pointer(&info)))
	return errno, fmt.Sprintf("%d segments", info.used)
}

// renameMachine gives the machine the name that it has.
func renameMachine() (syscall.Errno, string) {
	var u unix.Utsname
	if _, errno := raw(unix.SYS_UNAME, uintptr(unsafe.Pointer(&u))); errno != 0 {
		return errno, "uname"
	}
	_, errno := raw(unix.SYS_SETHOSTNAME, uintptr(unsafe.Pointer(&u.Nodename)), uintptr(len(unix.ByteSliceToString(u.Nodename[:]))))
	return errno, ""
}

func makeDirectory() (syscall.Errno, string) {
	path := text("/greentic-attack")
	_, errno := raw(unix.SYS_MKDIRAT, atFDCWD, path, 0o700)
	if errno == 0 {
		raw(unix.SYS_UNLINKAT, atFDCWD, path, unix.AT_REMOVEDIR)
	}
	return errno, ""
}

func gainCapability() (syscall.Errno, string) {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var old [2]unix.CapUserData
	if _, errno := raw(unix.SYS_CAPGET, uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&old))); errno != 0 {
		return errno, "capget"
	}
	sets := old
	sets[0].Effective |= 1 << unix.CAP_SYS_ADMIN
	sets[0].Permitted |= 1 << unix.CAP_SYS_ADMIN
	_, errno := raw(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&sets)))
	return errno, ""
}

// unsetNoNewPrivs asks whether the bit is still there: the kernel refuses to clear it
// with the same errno when it is not set.
func unsetNoNewPrivs() (syscall.Errno, string) {
	_, refused := raw(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 0)
	set, errno := raw(unix.SYS_PRCTL, unix.PR_GET_NO_NEW_PRIVS)
	if errno != 0 || set != 1 {
		return 0, "it is not set"
	}
	return refused, ""
}

// list is what a child of readWorker writes to, in its copy of this memory.
var list struct{ head, size uintptr }

// readWorker asks for the list of robust futexes of this process, in a child. That
// needs the right to read a process's memory (ptrace(2), PTRACE_MODE_READ) and, other
// than ptrace itself, is no affair of Yama's.
func readWorker() (syscall.Errno, string) {
	then := [7]uintptr{unix.SYS_GET_ROBUST_LIST, uintptr(syscall.Getpid()), uintptr(unsafe.Pointer(&list.head)), uintptr(unsafe.Pointer(&list.size))}
	r := spawn(unix.SYS_CLONE, uintptr(unix.SIGCHLD), &then)
	if errno := failed(r); errno != 0 {
		return errno, "clone"
	}
	return syscall.Errno(wait(r)), ""
}

// countDescriptors asks for each whether it can be waited for. The call is one that
// honest code makes. It does not see descriptors that are of a path only (O_PATH);
// with those a sealed worker can do nothing.
func countDescriptors() (syscall.Errno, string) {
	var open []string
	for fd := range int32(1024) {
		ask := unix.PollFd{Fd: fd}
		var now unix.Timespec
		if _, errno := raw(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&ask)), 1, uintptr(unsafe.Pointer(&now)), 0, 0); errno != 0 {
			return errno, "ppoll"
		}
		if ask.Revents&unix.POLLNVAL == 0 {
			open = append(open, fmt.Sprint(fd))
		}
	}
	return 0, fmt.Sprintf("%d open: %s", len(open), strings.Join(open, " "))
}

// readEnvironment gives the names. Values may be secret, should there be one.
func readEnvironment() (syscall.Errno, string) {
	var names []string
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		names = append(names, name)
	}
	return 0, fmt.Sprintf("%d settings: %s", len(names), strings.Join(names, " "))
}

// most is how much an attack that takes what it can get takes without a wall.
const (
	mostMemory      = 512 // MiB
	mostDescriptors = 64
	mostProcesses   = 100
	mostProcessor   = 3 // seconds
)

// taken is where allocated notes what it has, made beforehand: in the middle of it no
// Go code may allocate.
var taken [mostMemory]uintptr

// allocated takes memory of a kind, a MiB at a time. Without MAP_POPULATE it is not
// touched: RLIMIT_DATA is about what may be written to.
func allocated(flags uintptr) act {
	return func() (syscall.Errno, string) {
		n, errno := 0, syscall.Errno(0)
		for n < len(taken) && errno == 0 {
			if taken[n], errno = raw(unix.SYS_MMAP, 0, mebi, unix.PROT_READ|unix.PROT_WRITE, flags, ^uintptr(0), 0); errno == 0 {
				n++
			}
		}
		for _, at := range taken[:n] {
			raw(unix.SYS_MUNMAP, at, mebi)
		}
		return errno, fmt.Sprintf("%d MiB", n)
	}
}

func burnProcessor() (syscall.Errno, string) {
	var used unix.Timespec
	for used.Sec < mostProcessor {
		if _, errno := raw(unix.SYS_CLOCK_GETTIME, unix.CLOCK_PROCESS_CPUTIME_ID, uintptr(unsafe.Pointer(&used))); errno != 0 {
			return errno, "clock_gettime"
		}
	}
	return 0, fmt.Sprintf("%d seconds", used.Sec)
}

func openDescriptors() (syscall.Errno, string) {
	var fds []uintptr
	var errno syscall.Errno
	for len(fds) < mostDescriptors {
		var fd uintptr
		if fd, errno = raw(unix.SYS_EVENTFD2, 0, unix.EFD_CLOEXEC); errno != 0 {
			break
		}
		fds = append(fds, fd)
	}
	for _, fd := range fds {
		raw(unix.SYS_CLOSE, fd)
	}
	return errno, fmt.Sprintf("%d descriptors", len(fds))
}

// nap is how long the children of forkBomb sleep.
var nap = unix.Timespec{Sec: 5}

// forkBomb makes processes that sleep until they are killed, or for a few seconds
// should this one not live to do it.
func forkBomb() (syscall.Errno, string) {
	then := [7]uintptr{unix.SYS_PPOLL, 0, 0, uintptr(unsafe.Pointer(&nap))}
	var pids []uintptr
	var errno syscall.Errno
	for len(pids) < mostProcesses && errno == 0 {
		r := spawn(unix.SYS_CLONE, uintptr(unix.SIGCHLD), &then)
		if errno = failed(r); errno == 0 {
			pids = append(pids, r)
		}
	}
	for _, pid := range pids {
		raw(unix.SYS_KILL, pid, uintptr(unix.SIGKILL))
	}
	for _, pid := range pids {
		wait(pid)
	}
	return errno, fmt.Sprintf("%d processes", len(pids))
}

// writeFile writes a byte to a file in memory, which counts as any other (setrlimit(2),
// RLIMIT_FSIZE).
func writeFile() (syscall.Errno, string) {
	name := text("attack")
	fd, errno := raw(unix.SYS_MEMFD_CREATE, name, unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if errno == syscall.EINVAL { // before Linux 6.3
		fd, errno = raw(unix.SYS_MEMFD_CREATE, name, unix.MFD_CLOEXEC)
	}
	if errno != 0 {
		return errno, "memfd_create"
	}
	_, errno = raw(unix.SYS_WRITE, fd, name, 1)
	raw(unix.SYS_CLOSE, fd)
	return errno, ""
}

// raised lifts a limit.
func raised(resource uintptr) act {
	return func() (syscall.Errno, string) {
		var old unix.Rlimit
		none := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
		_, errno := raw(unix.SYS_PRLIMIT64, 0, resource, uintptr(unsafe.Pointer(&none)), uintptr(unsafe.Pointer(&old)))
		if errno == 0 {
			raw(unix.SYS_PRLIMIT64, 0, resource, uintptr(unsafe.Pointer(&old)), 0)
		}
		return errno, ""
	}
}

func lockMemory() (syscall.Errno, string) {
	at, errno := raw(unix.SYS_MMAP, 0, page, unix.PROT_READ, anonymous, ^uintptr(0), 0)
	if errno != 0 {
		return errno, "mmap"
	}
	_, errno = raw(unix.SYS_MLOCK, at, page)
	raw(unix.SYS_MUNMAP, at, page)
	return errno, ""
}

func makeQueue() (syscall.Errno, string) {
	name := text("greentic-attack")
	fd, errno := raw(unix.SYS_MQ_OPEN, name, unix.O_CREAT|unix.O_EXCL|unix.O_RDWR, 0o600, 0)
	if errno == 0 {
		raw(unix.SYS_CLOSE, fd)
		raw(unix.SYS_MQ_UNLINK, name)
	}
	return errno, ""
}

func realTime() (syscall.Errno, string) {
	priority := int32(1)
	_, errno := raw(unix.SYS_SCHED_SETSCHEDULER, 0, unix.SCHED_FIFO, uintptr(unsafe.Pointer(&priority)))
	if errno == 0 {
		priority = 0
		raw(unix.SYS_SCHED_SETSCHEDULER, 0, unix.SCHED_NORMAL, uintptr(unsafe.Pointer(&priority)))
	}
	return errno, ""
}
