package leakcheck

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// openFiles maps each descriptor number to what it points at. The runtime opens
// its poller with the first pollable file and keeps it, so one is opened first:
// the poller is then there before and after.
func openFiles() (map[string]string, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	r.Close()
	w.Close()
	const dir = "/proc/self/fd"
	names, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	open := map[string]string{}
	for _, n := range names {
		// The descriptor that read the directory is gone by now.
		target, err := os.Readlink(filepath.Join(dir, n.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		open[n.Name()] = target
	}
	return open, nil
}

// children reports child processes, running or ended. It only looks (WNOWAIT):
// whoever is about to wait for one must still find it.
func children() []string {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT|unix.WALL, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil: // ECHILD: there are none
			return nil
		case info.Signo == 0: // no child has ended
			return []string{"a child process is still running" + pids()}
		default:
			return []string{"a child process has ended and nobody waited for it" + pids()}
		}
	}
}

// pids lists the children where the kernel offers the list.
func pids() string {
	all := childPIDs()
	if len(all) == 0 {
		return ""
	}
	return ": pid " + strings.Join(all, ", ")
}

func childPIDs() (all []string) {
	tasks, _ := filepath.Glob("/proc/self/task/*/children")
	for _, t := range tasks {
		if b, err := os.ReadFile(t); err == nil {
			all = append(all, strings.Fields(string(b))...)
		}
	}
	return all
}

// ask fills in what the kernel knows.
func (f *Footprint) ask() error {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		number := func() (n int) {
			_, err = fmt.Sscan(value, &n)
			return n
		}
		switch name {
		case "RssAnon":
			f.Resident = number() << 10
		case "Threads":
			f.Threads = number()
		}
		if err != nil {
			return fmt.Errorf("/proc/self/status: %s: %w", name, err)
		}
	}
	open, err := openFiles()
	f.Files, f.Children = len(open), len(childPIDs())
	return err
}
