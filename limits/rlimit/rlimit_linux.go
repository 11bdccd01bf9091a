package rlimit

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/limits"
)

var resources = map[string]int{
	"data":     unix.RLIMIT_DATA,
	"as":       unix.RLIMIT_AS,
	"cpu":      unix.RLIMIT_CPU,
	"nofile":   unix.RLIMIT_NOFILE,
	"fsize":    unix.RLIMIT_FSIZE,
	"core":     unix.RLIMIT_CORE,
	"stack":    unix.RLIMIT_STACK,
	"memlock":  unix.RLIMIT_MEMLOCK,
	"msgqueue": unix.RLIMIT_MSGQUEUE,
	"rtprio":   unix.RLIMIT_RTPRIO,
	"nproc":    unix.RLIMIT_NPROC,
}

// Apply puts every row into force on this process and reports the wall. The
// error is a *limits.WallError that names the row.
//
// A row above the hard limit that the process already has is lowered to it: the
// host's own limit is stricter, and raising needs CAP_SYS_RESOURCE. The detail
// keeps the table's number, so that receipts of equal flags are equal.
//
// prlimit(2) is called directly: syscall.Setrlimit remembers RLIMIT_NOFILE to
// give it back to programs this one starts (Go 1.19), which is not wanted here.
func (t Table) Apply() (limits.Wall, error) {
	if !countsPerNamespace() {
		t = slices.DeleteFunc(slices.Clone(t), func(r Row) bool { return r.Name == "nproc" })
	}
	for _, r := range t {
		resource, ok := resources[r.Name]
		if !ok {
			return t.Wall(false), wallError(r, fmt.Errorf("unknown resource"))
		}
		var old unix.Rlimit
		if err := unix.Prlimit(0, resource, nil, &old); err != nil {
			return t.Wall(false), wallError(r, err)
		}
		v := min(r.Value, old.Max)
		if err := unix.Prlimit(0, resource, &unix.Rlimit{Cur: v, Max: v}, nil); err != nil {
			return t.Wall(false), wallError(r, err)
		}
	}
	return t.Wall(true), nil
}

// countsPerNamespace reports whether RLIMIT_NPROC counts the processes of a user
// in one user namespace (Linux 5.14, ucounts). Before that it counted all
// processes of the user on the host: a desktop user with 64 of them could not
// have started a single thread here.
func countsPerNamespace() bool {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return false
	}
	var major, minor int
	if n, _ := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor); n != 2 {
		return false
	}
	return major > 5 || major == 5 && minor >= 14
}

func wallError(r Row, err error) error {
	return &limits.WallError{Wall: "rlimits", Where: fmt.Sprintf("prlimit(%s, %d)", r.Name, r.Value), Err: err}
}
