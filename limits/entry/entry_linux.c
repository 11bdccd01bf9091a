// See entry.go for what this does, why it is C, and why in this order.
#define _GNU_SOURCE
#include "entry_linux.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <link.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_restrict_self 446
#endif
#ifndef SECBIT_NO_CAP_AMBIENT_RAISE
#define SECBIT_NO_CAP_AMBIENT_RAISE (1 << 6)
#define SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED (1 << 7)
#endif

struct entry_step entry_steps[ENTRY_STEPS] = {
	[ENTRY_CHECK] = {.wall = "entry"},
	[ENTRY_MOUNT] = {.wall = "mount"},
	[ENTRY_ID] = {.wall = "identity"},
	[ENTRY_CAPS] = {.wall = "capabilities"},
	[ENTRY_NNP] = {.wall = "no-new-privs"},
	[ENTRY_NODUMP] = {.wall = "no-dump"},
	[ENTRY_LANDLOCK] = {.wall = "landlock"},
};
int entry_ran;
int entry_failed = -1;
int entry_bounding_empty;
int entry_landlock_abi;
unsigned entry_id;

// fail notes where a step went wrong. It returns -1 so that a step can end with it.
static int fail(int step, const char *where, int err)
{
	entry_steps[step].where = where;
	entry_steps[step].err = err;
	return -1;
}

// stack_is_executable looks at the program headers of one loaded object.
static int stack_is_executable(struct dl_phdr_info *info, size_t size, void *unused)
{
	(void)size;
	(void)unused;
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_GNU_STACK && (info->dlpi_phdr[i].p_flags & PF_X))
			return 1;
	return 0;
}

// close_strays closes everything above the socket: a descriptor that leaked from
// the supervisor, or from whoever started that, is a file of the host behind every
// other wall. Closed and not refused, because the supervisor cannot prevent all of
// them: Go opens a child's uid_map without close-on-exec (syscall/exec_linux.go,
// writeIDMappings), and a process forked beside it inherits that; seen with two
// supervisors in one process.
static int close_strays(void)
{
	if (syscall(SYS_close_range, 4U, ~0U, 0U) == 0) // Linux 5.9
		return 0;
	int err = errno;
	DIR *d = opendir("/proc/self/fd");
	if (d == NULL)
		return fail(ENTRY_CHECK, "descriptors: close_range", err);
	struct dirent *e;
	while ((e = readdir(d)) != NULL) {
		int fd = atoi(e->d_name); // 0 for "." and ".."
		if (fd > 3 && fd != dirfd(d))
			close(fd);
	}
	closedir(d);
	return 0;
}

// check refuses a program that was built wrong.
static int check(void)
{
	// One assembly file without a .note.GNU-stack section is enough for the linker
	// to ask for an executable stack: memory that is writable and executable from
	// the start, and before Linux 5.8 each readable mapping as well
	// (READ_IMPLIES_EXEC), behind the filter's back.
	if (dl_iterate_phdr(stack_is_executable, NULL) != 0)
		return fail(ENTRY_CHECK, "program: linked with an executable stack", EPERM);
	return 0;
}

// raise_mount leaves an empty read-only root.
static int raise_mount(void)
{
	// Only a place to put the new root on for a moment; each system has one.
	static const char *const places[] = {"/tmp", "/proc", "/dev", "/sys", "/run"};
	int err = ENOENT;
	unsigned i;

	// Otherwise what follows could propagate to the host: a mount namespace made
	// without a user namespace shares propagation with its parent
	// (mount_namespaces(7)), and systemd makes / shared.
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		return fail(ENTRY_MOUNT, "mount: make / private", errno);
	for (i = 0; i < sizeof places / sizeof places[0]; i++) {
		if (mount("none", places[i], "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
		          "size=4k,nr_inodes=1,mode=555") == 0)
			break;
		if (err == ENOENT)
			err = errno;
	}
	if (i == sizeof places / sizeof places[0])
		return fail(ENTRY_MOUNT, "mount: tmpfs", err);
	if (chdir(places[i]) != 0)
		return fail(ENTRY_MOUNT, "mount: chdir", errno);
	// With both arguments the same the old root comes to lie on top of the new
	// one, and no directory is needed for it (pivot_root(2), NOTES); so the new
	// root can be empty and read-only from birth.
	if (syscall(SYS_pivot_root, ".", ".") != 0)
		return fail(ENTRY_MOUNT, "mount: pivot_root", errno);
	if (umount2(".", MNT_DETACH) != 0)
		return fail(ENTRY_MOUNT, "mount: detach the old root", errno);
	if (chdir("/") != 0)
		return fail(ENTRY_MOUNT, "mount: chdir to the new root", errno);
	return 0;
}

// may_drop tells whether this process may change its bounding set and securebits.
static int may_drop(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
	struct __user_cap_data_struct sets[2];
	return syscall(SYS_capget, &head, sets) == 0 && (sets[0].effective & (1U << CAP_SETPCAP)) != 0;
}

// raise_bounding empties the bounding set, so that no exec could bring a
// capability back, and locks uid 0 out of its special treatment. A process without
// CAP_SETPCAP (isolation none, ordinary user) has no capability to begin with, and
// no_new_privs keeps it so.
static int raise_bounding(void)
{
	if (!may_drop())
		return 0;
	for (int c = 0;; c++) {
		int held = prctl(PR_CAPBSET_READ, c, 0, 0, 0);
		if (held < 0)
			break; // EINVAL: past the last capability of this kernel
		if (held == 1 && prctl(PR_CAPBSET_DROP, c, 0, 0, 0) != 0)
			return fail(ENTRY_CAPS, "capabilities: bounding set", errno);
	}
	if (prctl(PR_SET_SECUREBITS,
	          SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
	              SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED,
	          0, 0, 0) != 0)
		return fail(ENTRY_CAPS, "capabilities: securebits", errno);
	entry_bounding_empty = 1;
	return 0;
}

// raise_id makes the process the given user and group and nothing else. A process
// that already is (it was mapped so) keeps its supplementary groups: a user
// namespace made without privilege may not call setgroups (user_namespaces(7)).
static int raise_id(unsigned id)
{
	uid_t r, e, s;
	gid_t gr, ge, gs;
	if (getresuid(&r, &e, &s) != 0 || getresgid(&gr, &ge, &gs) != 0)
		return fail(ENTRY_ID, "identity: getresuid", errno);
	if (r == id && e == id && s == id && gr == id && ge == id && gs == id)
		return 0;
	if (setgroups(0, NULL) != 0)
		return fail(ENTRY_ID, "identity: setgroups", errno);
	if (setresgid(id, id, id) != 0)
		return fail(ENTRY_ID, "identity: setresgid", errno);
	if (setresuid(id, id, id) != 0)
		return fail(ENTRY_ID, "identity: setresuid", errno);
	// A set-id call that silently did nothing has been an exploit more than once.
	if (getresuid(&r, &e, &s) != 0 || getresgid(&gr, &ge, &gs) != 0 || r != id || e != id || s != id || gr != id ||
	    ge != id || gs != id || setuid(0) == 0)
		return fail(ENTRY_ID, "identity: did not hold", EPERM);
	return 0;
}

// raise_caps empties every capability set and reads back that they are.
static int raise_caps(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
	struct __user_cap_data_struct sets[2];
	memset(sets, 0, sizeof sets);
	// The ambient set goes with it: no capability is ambient that is not both
	// permitted and inheritable (capabilities(7)).
	if (syscall(SYS_capset, &head, sets) != 0)
		return fail(ENTRY_CAPS, "capabilities: capset", errno);
	memset(sets, 0xff, sizeof sets);
	if (syscall(SYS_capget, &head, sets) != 0)
		return fail(ENTRY_CAPS, "capabilities: capget", errno);
	for (int i = 0; i < 2; i++)
		if (sets[i].effective | sets[i].permitted | sets[i].inheritable)
			return fail(ENTRY_CAPS, "capabilities: did not hold", EPERM);
	// The sets are empty also where the bounding set was refused and may be, but
	// the wall then does not stand as a whole.
	return entry_steps[ENTRY_CAPS].err == 0 ? 0 : -1;
}

static int raise_nnp(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return fail(ENTRY_NNP, "prctl(PR_SET_NO_NEW_PRIVS)", errno);
	return 0;
}

static int raise_nodump(void)
{
	struct rlimit none = {0, 0};
	// Not dumpable: nobody without CAP_SYS_PTRACE can attach, and /proc/PID
	// belongs to root (prctl(2)).
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return fail(ENTRY_NODUMP, "prctl(PR_SET_DUMPABLE)", errno);
	if (setrlimit(RLIMIT_CORE, &none) != 0)
		return fail(ENTRY_NODUMP, "setrlimit(RLIMIT_CORE)", errno);
	// Armed at spawn already, and forgotten by the kernel when the ids changed.
	// A supervisor that died in between is noticed by end of file on the socket.
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		return fail(ENTRY_NODUMP, "prctl(PR_SET_PDEATHSIG)", errno);
	return 0;
}

// raise_landlock denies everything that the kernel's Landlock knows of: a ruleset
// that handles all rights and has no rule allows none. Numbers and structure are
// spelled out, because headers know only what their own kernel knew:
// https://docs.kernel.org/userspace-api/landlock.html
static int raise_landlock(void)
{
	struct rights { // struct landlock_ruleset_attr, as far as it is used
		uint64_t files, net, scopes;
	};
	static const struct {
		int abi;
		struct rights adds;
	} versions[] = {
		{1, {.files = 0x1fff}},   // Linux 5.13: execute, open, create, remove
		{2, {.files = 1 << 13}},  // 5.19: link and rename across directories
		{3, {.files = 1 << 14}},  // 6.2: truncate
		{4, {.net = 3}},          // 6.7: bind and connect TCP
		{5, {.files = 1 << 15}},  // 6.10: ioctl of devices
		{6, {.scopes = 3}},       // 6.12: abstract sockets and signals, to outside of the domain
		{9, {.files = 1 << 16}},  // 7.1: connect to sockets by path
		{10, {.net = 3 << 2}},    // 7.2: bind, and connect or send, UDP
	};
	enum { VERSION = 1 << 0, LOG_NEW_EXEC_ON = 1 << 1 };
	struct rights all = {0, 0, 0};

	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0UL, VERSION);
	if (abi < 0) {
		// ENOSYS: older than 5.13, or built without; EOPNOTSUPP: not among the
		// security modules chosen at boot.
		entry_steps[ENTRY_LANDLOCK].unsupported = errno == ENOSYS || errno == EOPNOTSUPP;
		return fail(ENTRY_LANDLOCK, "landlock: version", errno);
	}
	unsigned count = sizeof versions / sizeof versions[0];
	int newest = versions[count - 1].abi;
	entry_landlock_abi = abi < newest ? (int)abi : newest;
	for (unsigned i = 0; i < count && versions[i].abi <= abi; i++) {
		all.files |= versions[i].adds.files;
		all.net |= versions[i].adds.net;
		all.scopes |= versions[i].adds.scopes;
	}
	// A kernel whose structure is shorter takes this one, since the rest is zero.
	long fd = syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0);
	if (fd < 0)
		return fail(ENTRY_LANDLOCK, "landlock: create ruleset", errno);
	// An honest worker is denied nothing by Landlock (what the Go runtime looks for
	// in /proc and /sys is not there, ENOENT, so Landlock is not asked): each denial
	// is worth a line in the audit log (ABI 7), also after an exec that should not
	// have been possible. That is the part which is off by default.
	long result = syscall(SYS_landlock_restrict_self, fd, abi >= 7 ? LOG_NEW_EXEC_ON : 0);
	int err = errno;
	close((int)fd);
	return result == 0 ? 0 : fail(ENTRY_LANDLOCK, "landlock: restrict self", err);
}

// set_stack fixes the stack of threads that are started from here on.
static int set_stack(unsigned long bytes)
{
	pthread_attr_t a;
	int err = pthread_attr_init(&a);
	if (err == 0)
		err = pthread_attr_setstacksize(&a, bytes);
	if (err == 0)
		err = pthread_setattr_default_np(&a);
	return err == 0 ? 0 : fail(ENTRY_CHECK, "stack size of threads", err);
}

// number reads the decimal that fills s. It returns 0 on success.
static int number(const char *s, unsigned long *out)
{
	char *end;
	errno = 0;
	*out = strtoul(s, &end, 10);
	return errno == 0 && *s >= '0' && *s <= '9' && *end == '\0' ? 0 : -1;
}

// parse notes which words are there. An unknown one means that supervisor and
// worker are not of one build: nothing may be guessed then.
static int parse(const char *words, unsigned long *id, unsigned long *stack)
{
	static const struct { const char *word; int step; } known[] = {
		{"mount", ENTRY_MOUNT}, {"caps", ENTRY_CAPS}, {"nnp", ENTRY_NNP}, {"nodump", ENTRY_NODUMP},
		{"landlock", ENTRY_LANDLOCK},
	};
	char text[256];
	if (strlen(words) >= sizeof text)
		return fail(ENTRY_CHECK, "argv[2]: too long", E2BIG);
	strcpy(text, words);
	for (char *save, *w = strtok_r(text, ",", &save); w != NULL; w = strtok_r(NULL, ",", &save)) {
		size_t n = strlen(w);
		int optional = w[n - 1] == '?', step = -1;
		if (optional)
			w[n - 1] = '\0';
		for (unsigned i = 0; i < sizeof known / sizeof known[0]; i++)
			if (strcmp(w, known[i].word) == 0)
				step = known[i].step;
		if (strncmp(w, "id=", 3) == 0 && number(w + 3, id) == 0 && *id > 0 && *id < 0xffffffff)
			step = ENTRY_ID;
		if (strncmp(w, "stack=", 6) == 0 && number(w + 6, stack) == 0 && *stack > 0)
			continue;
		if (step < 0)
			return fail(ENTRY_CHECK, "argv[2]: unknown word", EINVAL);
		entry_steps[step].asked = 1;
		entry_steps[step].optional = optional;
	}
	return 0;
}

// after closes a step: it returns 0 when the next may follow. What this kernel does
// not have stops nobody, however the word is written.
static int after(int step, int result)
{
	struct entry_step *s = &entry_steps[step];
	s->done = result == 0;
	if (result == 0 || s->optional || s->unsupported)
		return 0;
	entry_failed = step;
	return -1;
}

#define STEP(step, call) (!entry_steps[step].asked || after(step, call) == 0)

// glibc passes the program's arguments to constructors, also to those of static
// programs (csu/libc-start.c, call_init); other C libraries do not.
__attribute__((constructor)) static void enter(int argc, char **argv, char **envp)
{
	unsigned long id = 0, stack = 0;
	(void)envp;
	if (argc < 2 || strcmp(argv[1], "serve") != 0)
		return;
	entry_ran = 1;
	entry_steps[ENTRY_CHECK].asked = 1;
	if (argc < 3) {
		after(ENTRY_CHECK, fail(ENTRY_CHECK, "argv[2]: missing", EINVAL));
		return;
	}
	if (after(ENTRY_CHECK, parse(argv[2], &id, &stack)) != 0 || after(ENTRY_CHECK, close_strays()) != 0 || after(ENTRY_CHECK, check()) != 0)
		return;
	if (stack != 0 && after(ENTRY_CHECK, set_stack(stack)) != 0)
		return;
	entry_id = (unsigned)id;
	// One heap: see limits/seccomp/policy. It returns 0 on error, which only an
	// unknown parameter causes.
	if (mallopt(M_ARENA_MAX, 1) == 0) {
		after(ENTRY_CHECK, fail(ENTRY_CHECK, "mallopt(M_ARENA_MAX)", EINVAL));
		return;
	}
	(void)(STEP(ENTRY_MOUNT, raise_mount()) && STEP(ENTRY_CAPS, raise_bounding()) && STEP(ENTRY_ID, raise_id(id)) &&
	       STEP(ENTRY_CAPS, raise_caps()) && STEP(ENTRY_NNP, raise_nnp()) && STEP(ENTRY_NODUMP, raise_nodump()) &&
	       STEP(ENTRY_LANDLOCK, raise_landlock()));
}

// die ends the process with the signal's number as its status. Only what
// signal-safety(7) allows.
static void die(int sig) { _exit(128 + sig); }

int entry_die_on_fault(void)
{
	static const int signals[] = {SIGSEGV, SIGBUS,  SIGILL,  SIGFPE,  SIGABRT, SIGSYS,  SIGTRAP, SIGSTKFLT,
	                              SIGTERM, SIGINT,  SIGQUIT, SIGHUP,  SIGXCPU, SIGXFSZ, SIGUSR1, SIGUSR2,
	                              SIGALRM, SIGVTALRM, SIGPOLL, SIGPWR};
	struct sigaction a;
	memset(&a, 0, sizeof a);
	a.sa_handler = die;
	// On the alternate stack, because a guest that ran out of stack has none
	// left. Not deferred, and nothing masked: a fault inside the handler would
	// otherwise be blocked, which the kernel answers by killing with the default
	// action, and that hides the first signal.
	a.sa_flags = SA_ONSTACK | SA_NODEFER;
	sigemptyset(&a.sa_mask);
	for (unsigned i = 0; i < sizeof signals / sizeof signals[0]; i++)
		if (sigaction(signals[i], &a, NULL) != 0)
			return errno;
	// A supervisor that went away is end of file, told by read and write.
	a.sa_handler = SIG_IGN;
	return sigaction(SIGPIPE, &a, NULL) == 0 ? 0 : errno;
}
