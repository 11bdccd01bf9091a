package policy

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestConstants(t *testing.T) {
	for _, c := range []struct {
		name      string
		got, want uint64
	}{
		{"PROT_READ", protRead, unix.PROT_READ},
		{"PROT_WRITE", protWrite, unix.PROT_WRITE},
		{"MADV_DONTNEED", madvDontNeed, unix.MADV_DONTNEED},
		{"MADV_FREE", madvFree, unix.MADV_FREE},
		{"ENOMEM", errnoENOMEM, uint64(unix.ENOMEM)},
		{"PROT_EXEC", protExec, unix.PROT_EXEC},
		{"MAP_ANONYMOUS", mapAnonymous, unix.MAP_ANONYMOUS},
		{"optional mapping flags", mapMay, unix.MAP_PRIVATE | unix.MAP_DROPPABLE | unix.MAP_FIXED | unix.MAP_NORESERVE | unix.MAP_STACK | unix.MAP_FIXED_NOREPLACE},
		{"SIGABRT", sigABRT, uint64(unix.SIGABRT)},
		{"SIGURG", sigURG, uint64(unix.SIGURG)},
		{"F_GETFL", fGetFL, unix.F_GETFL},
		{"PR_SET_VMA", prSetVMA, unix.PR_SET_VMA},
		{"PR_SET_MDWE", prSetMDWE, unix.PR_SET_MDWE},
		{"PR_GET_NO_NEW_PRIVS", prGetNoNewPrivs, unix.PR_GET_NO_NEW_PRIVS},
		{"SECCOMP_SET_MODE_FILTER", seccompSetModeFilter, unix.SECCOMP_SET_MODE_FILTER},
		{"SECCOMP_FILTER_FLAG_TSYNC", seccompTSYNC, unix.SECCOMP_FILTER_FLAG_TSYNC},
		{"EINVAL", errnoEINVAL, uint64(unix.EINVAL)},
		{"ENOSYS", errnoENOSYS, uint64(unix.ENOSYS)},
		{"thread flags", cloneThread, unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_THREAD | unix.CLONE_SYSVSEM},
		{"optional thread flags", cloneThreadMay, unix.CLONE_SETTLS | unix.CLONE_PARENT_SETTID | unix.CLONE_CHILD_CLEARTID | unix.CLONE_CHILD_SETTID},
	} {
		if c.got != c.want {
			t.Errorf("%s: %#x, want %#x", c.name, c.got, c.want)
		}
	}
}
