package witness

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// namespaces of a worker, by their names in /proc/PID/ns.
var namespaces = []string{"user", "pid", "net", "mnt", "ipc", "uts"}

// See asks about a process. It never fails: what cannot be read is not in the
// report, all of it when the process is gone.
//
// Precondition: pid is that of a child that has not been reaped, or it may be
// somebody else's by now.
func See(pid int) Report {
	var r Report
	// In a pid namespace with the /proc of another one, /proc/PID is a stranger.
	if self, err := os.Readlink("/proc/self"); err != nil || self != strconv.Itoa(os.Getpid()) {
		return r
	}
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	if text, err := read(dir, "status"); err == nil {
		r.Status, err = parseStatus(text)
		r.StatusOK = err == nil
	}
	if st, err := os.Stat(filepath.Join(dir, "status")); err == nil && r.StatusOK {
		r.Undumpable = int(st.Sys().(*syscall.Stat_t).Uid) != r.Status.UID[1]
	}
	for _, name := range namespaces {
		st, err := os.Stat(filepath.Join(dir, "ns", name))
		if err != nil {
			r.Namespaces = nil
			break
		}
		if r.Namespaces == nil {
			r.Namespaces = map[string]uint64{}
		}
		r.Namespaces[name] = st.Sys().(*syscall.Stat_t).Ino
	}
	if text, err := read(dir, "mountinfo"); err == nil {
		r.Mounts, err = parseMounts(text)
		r.MountsOK = err == nil
	}
	if text, err := read(dir, "limits"); err == nil {
		r.Rlimits = parseLimits(text)
	}
	if text, err := read(dir, "cgroup"); err == nil {
		r.Cgroup = parseCgroup(text)
	}
	return r
}

func read(dir, name string) ([]byte, error) {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return text, nil
}
