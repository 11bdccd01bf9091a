// Package witness asks the kernel about another process, from outside: which
// walls it sees around it. What a worker says of itself is its own word; what is
// read here is the kernel's.
//
// Everything comes from /proc/PID (proc(5)). A file that this process may not
// read (hidepid, no /proc, another user's process) leaves its part unknown, never
// wrong. /proc/PID/ns and /proc/PID/mountinfo ask for ptrace access: an ordinary
// user has it to his own workers although they are not dumpable, because he owns
// the user namespace that they live in (ptrace(2), PTRACE_MODE_READ_FSCREDS;
// user_namespaces(7), "a process that is owned by the user who created it").
package witness

import (
	"bufio"
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Report is what the kernel says. The zero value of a field with an ok beside it,
// and a nil map, mean that it was not to be had.
type Report struct {
	Status     Status
	StatusOK   bool
	Namespaces map[string]uint64 // inode numbers by name in /proc/PID/ns: user pid net mnt ipc uts
	Mounts     []Mount
	MountsOK   bool
	Rlimits    map[string]uint64 // hard limits, by the names of limits/rlimit; unlimited is the greatest number
	Cgroup     string            // of the unified hierarchy; "" where there is none
	// Undumpable says that the process is not dumpable: the files in its /proc/PID
	// belong to root and not to its user (proc(5); the directory does not tell, see
	// task_dump_owner in fs/proc/base.c). Nothing can be told of a process of root's.
	Undumpable bool
}

// Status is the part of /proc/PID/status that walls show in.
type Status struct {
	UID, GID     [4]int // real, effective, saved, file system; in the reader's user namespace
	Capabilities bool   // there is one in any of the five sets
	NoNewPrivs   bool
	Seccomp      int // mode: 2 is a filter
	Filters      int // how many (Linux 5.9), or -1
}

// Mount is one mount in the process's mount namespace.
type Mount struct {
	Point, Type string
	ReadOnly    bool
}

// maxFile bounds what is read of one file; a status has about 1.5 KiB, a
// mountinfo that is no empty root may be longer than this and is cut.
const maxFile = 64 << 10

func parseStatus(text []byte) (s Status, err error) {
	s.Filters = -1
	seen := 0
	for line := range bytes.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(string(line)), ":")
		if !ok {
			continue
		}
		value = strings.TrimSpace(value)
		switch key {
		case "Uid", "Gid":
			ids := &s.UID
			if key == "Gid" {
				ids = &s.GID
			}
			if _, err := fmt.Sscan(value, &ids[0], &ids[1], &ids[2], &ids[3]); err != nil {
				return s, fmt.Errorf("status: %s: %w", key, err)
			}
			seen++
		case "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb":
			set, err := strconv.ParseUint(value, 16, 64)
			if err != nil {
				return s, fmt.Errorf("status: %s: %w", key, err)
			}
			s.Capabilities = s.Capabilities || set != 0
			seen++
		case "NoNewPrivs":
			s.NoNewPrivs = value == "1"
			seen++
		case "Seccomp":
			if s.Seccomp, err = strconv.Atoi(value); err != nil {
				return s, fmt.Errorf("status: %s: %w", key, err)
			}
			seen++
		case "Seccomp_filters":
			if s.Filters, err = strconv.Atoi(value); err != nil {
				return s, fmt.Errorf("status: %s: %w", key, err)
			}
		}
	}
	if seen != 9 { // two ids, five sets, two flags
		return s, fmt.Errorf("status: %d of the 9 lines that are needed", seen)
	}
	return s, nil
}

// parseMounts reads mountinfo: "36 35 98:0 /root /point options … - type source super".
func parseMounts(text []byte) (mounts []Mount, err error) {
	for line := range bytes.Lines(text) {
		fields := strings.Fields(string(line))
		dash := 6
		for dash < len(fields) && fields[dash] != "-" {
			dash++
		}
		if dash+1 >= len(fields) {
			return nil, fmt.Errorf("mountinfo: a line without a type")
		}
		m := Mount{Point: fields[4], Type: fields[dash+1]}
		for option := range strings.SplitSeq(fields[5], ",") {
			m.ReadOnly = m.ReadOnly || option == "ro"
		}
		mounts = append(mounts, m)
	}
	return mounts, nil
}

// rlimitNames are those of /proc/PID/limits, and the RLIMIT_ constants that they
// stand for.
var rlimitNames = map[string]string{
	"Max cpu time": "cpu", "Max file size": "fsize", "Max data size": "data", "Max stack size": "stack",
	"Max core file size": "core", "Max processes": "nproc", "Max open files": "nofile", "Max locked memory": "memlock",
	"Max msgqueue size": "msgqueue", "Max realtime priority": "rtprio", "Max address space": "as",
}

// parseLimits reads /proc/PID/limits: the name in 25 columns, soft, hard, unit.
func parseLimits(text []byte) map[string]uint64 {
	out := map[string]uint64{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		line := lines.Text()
		if len(line) < 26 {
			continue
		}
		name, ok := rlimitNames[strings.TrimSpace(line[:25])]
		fields := strings.Fields(line[25:])
		if !ok || len(fields) < 2 {
			continue
		}
		hard, err := strconv.ParseUint(fields[1], 10, 64)
		if err != nil {
			hard = 1<<64 - 1 // "unlimited"
		}
		out[name] = hard
	}
	return out
}

// parseCgroup gives the path in the unified hierarchy from /proc/PID/cgroup
// (cgroups(7): its line has hierarchy 0 and no controllers).
func parseCgroup(text []byte) string {
	for line := range bytes.Lines(text) {
		if path, ok := strings.CutPrefix(strings.TrimRight(string(line), "\n"), "0::"); ok {
			return path
		}
	}
	return ""
}
