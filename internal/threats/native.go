package threats

// attacks names attempts that a probe makes on the walls of a real worker
// (limits/attack).
func attacks(wall string, names ...string) (tests []Test) {
	for _, name := range names {
		tests = append(tests, Test{"supervisor", "TestEveryAttack/" + wall + "/" + name, true})
	}
	return tests
}

func sealed(names ...string) []Test { return attacks("seccomp-run", names...) }

var nativeSection = Section{
	Title: "C2. Native code in a sealed worker",
	About: "The list of `limits/attack`, tried by a probe in the real worker; `greentic-provision doctor` does the same on your machine.",
	Rows: []Row{
		{"C20", "opens or makes files, lists directories, reads /proc and itself", "SIGSYS; behind it Landlock (EACCES) and an empty read-only root (ENOENT, EROFS)",
			all(sealed("openat", "openat2", "open-proc", "readlinkat", "getdents64", "memfd-create", "dup", "ioctl"),
				attacks("landlock", "open-root"), attacks("mount", "find-etc", "find-proc", "make-directory"), attacks("seccomp-load", "open-at-load"))},
		{"C21", "makes sockets, connects, sends descriptors", "SIGSYS; behind it a network namespace without a network (ENETUNREACH)",
			all(sealed("socket", "connect", "socketpair", "sendto", "sendmsg"), attacks("namespaces", "connect-loopback"), attacks("seccomp-load", "socket-at-load"))},
		{"C22", "starts programs and processes: execve, fork, vfork, clone without thread flags, clone3", "SIGSYS; clone3 is ENOSYS",
			all(sealed("execve", "execveat", "clone-process", "clone-vfork", "clone-namespaces", "clone-thread-namespace", "clone-memory-only", "clone3"),
				attacks("seccomp-load", "clone-at-load", "execute-at-load"), attacks("rlimits", "fork-bomb"))},
		{"C23", "looks into other processes and signals them: ptrace, process_vm_readv, kill, tgkill, pidfd_open", "SIGSYS; behind it a pid namespace with nobody else (ESRCH)",
			all(sealed("ptrace", "process-vm-readv", "process-vm-writev", "pidfd-open", "kill", "kill-self", "tgkill", "tgkill-self", "tkill"),
				attacks("namespaces", "signal-everybody"), attacks("no-dump", "read-worker"))},
		{"C24", "asks for executable memory: mmap, mprotect, pkey_mprotect, personality", "SIGSYS; behind it MDWE (EACCES)",
			all(sealed("mmap-exec", "mmap-write-exec", "mmap-exec-high-bits", "mprotect-exec", "mprotect-write-exec", "pkey-mprotect-exec", "personality"),
				attacks("seccomp-load", "mmap-write-exec-at-load"), attacks("mdwe", "gain-exec", "unset-mdwe"))},
		{"C25", "asks for memory that no limit counts: shared, growing down, files", "SIGSYS", sealed("mmap-shared", "mmap-grows-down", "mmap-file", "shmget")},
		{"C26", "uses the tools of kernel exploits: io_uring, userfaultfd, bpf, perf, keyctl", "SIGSYS", sealed("io-uring-setup", "userfaultfd", "bpf", "perf-event-open", "keyctl")},
		{"C27", "mounts, joins and makes namespaces, changes its root, ids, capabilities, limits", "SIGSYS; behind it no capability (EPERM)",
			all(sealed("mount", "umount2", "pivot-root", "setns", "unshare", "setuid", "capset", "setrlimit"),
				attacks("namespaces", "become-another-user", "find-shared-memory", "rename-machine"), attacks("identity", "become-root", "join-root"),
				attacks("capabilities", "gain-capability", "change-root"))},
		{"C28", "takes its own walls back: prctl, seccomp, signal handlers", "SIGSYS, EPERM or EINVAL",
			all(sealed("prctl-dumpable", "prctl-no-new-privs", "prctl-death-signal", "prctl-mdwe", "prctl-seccomp", "prctl-name", "prctl-name-memory",
				"seccomp", "seccomp-one-thread", "rt-sigaction"), attacks("no-new-privs", "unset-no-new-privs"), attacks("rlimits", "raise-core", "raise-stack"))},
		{"C29", "calls as a program of another architecture: i386, x32", "SIGSYS",
			all(in("limits/seccomp/policy", "TestEveryCall"), sealed("x32-getpid", "x32-read", "i386-getpid"))},
		{"C30", "looks for descriptors and environment that were left to it", "its own only", attacks("entry", "count-descriptors", "read-environment")},
		{"C31", "takes all memory, processor time, descriptors, processes, queues; locks memory; wants to go first", "ENOMEM, SIGXCPU, EMFILE, EAGAIN, EPERM at the limit",
			attacks("rlimits", "allocate", "burn-processor", "open-descriptors", "fork-bomb", "write-file", "lock-memory", "make-queue", "real-time")},
		{"C32", "any other call that there is", "the answer of the table, and no rule that no honest worker needs",
			all(in("limits/seccomp/policy", "TestEveryCall", "TestSize"), walled("limits/seccomp/policy", "TestForbidden"), in("supervisor", "TestWorkersMakeTheListedCallsOnly"))},
	},
}
