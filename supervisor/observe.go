package supervisor

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/limits/namespace"
	"github.com/greentic-ai/greentic-provision/limits/witness"
)

// observe holds what a worker says of its walls against what the kernel says of
// the worker. A wall that the kernel confirms is marked as seen by the kernel; one
// that it denies is an error: the worker is not the program that it should be. What
// the kernel does not show from outside (Landlock, MDWE) stays the worker's word.
//
// It is called while nothing of a guest has run: behind Ready with the walls of
// phase "load", behind Seal with those of phase "run" (sealed).
func (s *Supervisor) observe(w *worker, plan namespace.Plan) (limits.Sighting, error) {
	pid := w.cmd.Process.Pid
	saw := s.cfg.see(pid)
	for i := range w.walls {
		wall := &w.walls[i]
		if wall.Observer == "" {
			wall.Observer = limits.ByWorker
		}
		if !wall.Raised {
			continue
		}
		confirmed, err := s.confirms(saw, plan, *wall)
		if wall.Name == "cgroup" {
			confirmed, err = inGroup(w.cgroup, saw.Cgroup)
		}
		if err != nil {
			return limits.Sighting{}, &limits.WallError{Wall: wall.Name, Where: "the kernel's report of the worker", Err: err,
				Hint: "the worker says that it stands; it is no worker of this build, or something changed it"}
		}
		if confirmed {
			wall.Observer = limits.ByKernel
		}
	}
	sighting := limits.Sighting{PID: pid, Namespaces: saw.Namespaces, Cgroup: saw.Cgroup}
	if saw.StatusOK {
		sighting.UID = saw.Status.UID[1]
	}
	return sighting, nil
}

// sealed holds the last filter against the kernel's count.
func (s *Supervisor) sealed(pid int, claimed []limits.Wall) error {
	saw := s.cfg.see(pid)
	for i := range claimed {
		wall := &claimed[i]
		wall.Observer = limits.ByWorker
		if wall.Name != "seccomp-run" || !wall.Raised || !saw.StatusOK || saw.Status.Filters < 0 || s.own.Filters < 0 {
			continue
		}
		if got := saw.Status.Filters - s.own.Filters; got != 2 {
			return &limits.WallError{Wall: wall.Name, Where: "the kernel's report of the worker",
				Err:  fmt.Errorf("%d system-call filters of the worker's own are in force, not 2", got),
				Hint: "the worker says that it stands; it is no worker of this build, or something changed it"}
		}
		wall.Observer = limits.ByKernel
	}
	return nil
}

// own is what this process has in common with its workers, for comparison.
type own struct {
	Filters    int // inherited by every worker
	Namespaces map[string]uint64
}

func self() own {
	saw := witness.See(os.Getpid())
	o := own{Filters: -1, Namespaces: saw.Namespaces}
	if saw.StatusOK {
		o.Filters = saw.Status.Filters
	}
	return o
}

// confirms says whether the kernel's report shows that a wall stands. The error
// says what it shows instead; neither means that it does not tell.
func (s *Supervisor) confirms(saw witness.Report, plan namespace.Plan, wall limits.Wall) (bool, error) {
	switch wall.Name {
	case "namespaces":
		if saw.Namespaces == nil || s.own.Namespaces == nil {
			return false, nil
		}
		var shared []string
		for _, name := range slices.Sorted(maps.Keys(saw.Namespaces)) {
			if saw.Namespaces[name] == s.own.Namespaces[name] && strings.Contains(wall.Detail, namespaceWords[name]) {
				shared = append(shared, namespaceWords[name])
			}
		}
		if len(shared) > 0 {
			return false, fmt.Errorf("it shares these namespaces with the supervisor: %s", strings.Join(shared, ", "))
		}
		return true, nil
	case "mount":
		if !saw.MountsOK {
			return false, nil
		}
		if len(saw.Mounts) != 1 || saw.Mounts[0] != (witness.Mount{Point: "/", Type: "tmpfs", ReadOnly: true}) {
			return false, fmt.Errorf("it sees %d mounts, not one empty read-only tmpfs", len(saw.Mounts))
		}
		return true, nil
	case "rlimits":
		if saw.Rlimits == nil {
			return false, nil
		}
		claimed := parseDetail(wall.Detail)
		for name, want := range claimed {
			if got, ok := saw.Rlimits[name]; ok && got > want {
				return false, fmt.Errorf("the limit %s is %d, not %d", name, got, want)
			}
		}
		return len(claimed) > 0, nil
	case "no-dump":
		if !saw.StatusOK || saw.Status.UID[1] == 0 || os.Getuid() != 0 && saw.Status.UID[1] != os.Getuid() {
			return false, nil
		}
		if !saw.Undumpable {
			return false, errors.New("it is dumpable")
		}
		return true, nil
	}
	if !saw.StatusOK {
		return false, nil
	}
	switch wall.Name {
	case "identity":
		// Where only one id can be had, the worker's is the caller's own, seen from here.
		own := plan.Name == "single" && saw.Status.UID[1] == os.Geteuid()
		if id := saw.Status.UID[1]; id == 0 && !own || !alike(saw.Status.UID) || !alike(saw.Status.GID) {
			return false, fmt.Errorf("its user ids are %v, its group ids %v", saw.Status.UID, saw.Status.GID)
		}
		return true, nil
	case "capabilities":
		// Where the bounding set could not be emptied, it is not claimed to be.
		if saw.Status.Capabilities && strings.Contains(wall.Detail, "bounding set empty") {
			return false, errors.New("it has capabilities")
		}
		return !saw.Status.Capabilities, nil
	case "no-new-privs":
		if !saw.Status.NoNewPrivs {
			return false, errors.New("the bit is not set")
		}
		return true, nil
	case "seccomp-load":
		if saw.Status.Seccomp != 2 {
			return false, fmt.Errorf("its seccomp mode is %d, not 2", saw.Status.Seccomp)
		}
		if saw.Status.Filters >= 0 && s.own.Filters >= 0 && saw.Status.Filters-s.own.Filters != 1 {
			return false, fmt.Errorf("%d system-call filters of the worker's own are in force, not 1", saw.Status.Filters-s.own.Filters)
		}
		return true, nil
	}
	return false, nil
}

// namespaceWords are the words of limits/namespace for the names in /proc/PID/ns.
var namespaceWords = map[string]string{"user": "user", "pid": "pid", "net": "net", "mnt": "mount", "ipc": "ipc", "uts": "uts"}

func alike(ids [4]int) bool { return ids[0] == ids[1] && ids[1] == ids[2] && ids[2] == ids[3] }

// parseDetail reads "name=number name=number".
func parseDetail(detail string) map[string]uint64 {
	out := map[string]uint64{}
	for field := range strings.FieldsSeq(detail) {
		var n uint64
		name, value, ok := strings.Cut(field, "=")
		if _, err := fmt.Sscan(value, &n); ok && err == nil {
			out[name] = n
		}
	}
	return out
}
