package supervisor_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/greentic-ai/greentic-provision/internal/workertest"
)

var (
	straceLine = regexp.MustCompile(`^(\d+) +(?:<\.\.\. )?(\w+)`)
	straceTID  = regexp.MustCompile(`= (\d+)$|parent_tid=\[(\d+)\]`)
)

// What the kernel saw of a whole run of the command line, from outside: once the
// filter of phase "run" is in force, the worker opens nothing, makes no socket,
// executes nothing and gets no executable mapping.
func TestSealedWorkerUnderStrace(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		if strings.Contains(os.Getenv("GREENTIC_CI_MUST_RUN"), "strace") {
			t.Fatal(err)
		}
		t.Skip("strace is not installed; CI installs it and insists")
	}
	cli, err := workertest.Build("greentic-provision")
	if err != nil {
		t.Fatal(err)
	}
	trace := filepath.Join(t.TempDir(), "trace")
	args := []string{"dry-run", "setup", "--pack", "../testdata/packs/noop-provision", "--json", "--cache-dir", filepath.Join(t.TempDir(), "cache")}
	// The first run compiles; the second has one worker, the one that is sealed.
	if out, err := exec.Command(cli, args...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := exec.Command(strace, append([]string{"-f", "-qq", "-o", trace, cli}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	ours := map[string]bool{} // threads of the command line; all others are the worker's
	started, filters, seen := false, 0, 0
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		m := straceLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		tid, call := m[1], m[2]
		if len(ours) == 0 {
			ours[tid] = true
		}
		// Threads come from the C library's clone3 with a shared address space; the
		// worker's clone has none.
		if ours[tid] && strings.HasPrefix(call, "clone") && (strings.Contains(line, "CLONE_THREAD") || strings.Contains(line, "resumed")) {
			for _, id := range straceTID.FindAllStringSubmatch(line, -1) {
				ours[id[1]+id[2]] = true
			}
		}
		if call == "execve" && strings.Contains(line, "step-worker") {
			started = true
			delete(ours, tid) // its clone was ours, and may have looked like a thread's
		}
		if !started || ours[tid] {
			continue
		}
		if strings.Contains(line, "SECCOMP_SET_MODE_FILTER") {
			filters++
		}
		if filters < 2 {
			continue
		}
		seen++
		switch call {
		case "open", "openat", "openat2", "creat", "socket", "connect", "execve", "execveat", "fork", "vfork", "memfd_create", "mount", "ptrace":
			t.Errorf("a sealed worker called %s", line)
		case "mmap", "mprotect", "pkey_mprotect":
			if strings.Contains(line, "PROT_EXEC") {
				t.Errorf("a sealed worker asked for executable memory: %s", line)
			}
		}
	}
	if filters != 2 || seen < 20 {
		t.Errorf("the trace shows %d filters and %d calls after them; this test did not see the worker", filters, seen)
	}
}
