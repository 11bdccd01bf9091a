package supervisor_test

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/greentic-ai/greentic-provision/internal/leakcheck"
	"github.com/greentic-ai/greentic-provision/ipc"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/supervisor"
)

// The workers that send most, fork most and break most, a hundred rounds of them: what
// this process holds afterwards is what it held before.
func TestHostileWorkersLeaveNothing(t *testing.T) {
	tr := newTrial(t)
	worst := []struct{ personality, role string }{
		{"nested arrays", ipc.RoleStep}, {"result of noise", ipc.RoleStep}, {"level of noise", ipc.RoleStep}, {"verdict of noise", ipc.RoleStep},
		{"operation of noise", ipc.RoleStep}, {"loads with noise", ipc.RoleStep}, {"claims much", ipc.RoleStep}, {"passes descriptors", ipc.RoleStep},
		{"floods beside its answer", ipc.RoleStep}, {"forks and exits", ipc.RoleStep}, {"host call over the limit", ipc.RoleStep},
		{"half a frame and exits", ipc.RoleStep}, {"array bomb", ipc.RoleStep}, {"compiler writes a hole", ipc.RoleCompile},
		{"compiler keeps a mapping", ipc.RoleCompile}, {"compiler dies", ipc.RoleCompile}, {"probe of errno -1", ipc.RoleProbe}, {"probe with noise", ipc.RoleProbe},
	}
	rounds := func(n int) leakcheck.Footprint {
		t.Helper()
		for i := range n {
			w, others := worst[i%len(worst)], 0
			if w.role == ipc.RoleCompile {
				others = 1
			}
			nextWorker(t, tr.worker, w.personality, others)
			if w.role == ipc.RoleProbe {
				_, _ = tr.Probe(t.Context(), "run", "open")
			} else {
				c := component
				if w.role == ipc.RoleCompile {
					tr.compiles++
					c.Bytes = append([]byte{byte(tr.compiles)}, c.Bytes...)
				}
				_, _ = runComponent(t, tr.Supervisor, c, nobody{})
			}
		}
		f, err := leakcheck.Measure()
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	before := rounds(2 * len(worst)) // the heap finds its size
	after := rounds(100)
	t.Logf("before: %v\nafter: %v", before, after)
	if in := after.Grown(before, leakcheck.Footprint{Heap: 2 << 20, Resident: 24 << 20, Goroutines: 1, Threads: 4}); in != nil {
		t.Errorf("after 100 rounds of hostile workers: %q", in)
	}
	tr.untouched(t)
}

// With descriptors for this and that, but not for all of it, a run ends with one error
// that says so, at whatever place it meets the limit; nothing is lost, and the run
// that has descriptors again works. It is no parallel test: they would meet the limit,
// too.
func TestDescriptorsRunOut(t *testing.T) {
	s := newSupervisor(t, "good", func(c *supervisor.Config) { c.Limits = limits.Default() })
	good := func() error {
		r, err := runOne(t, s, nobody{})
		if err == nil && r.Verdict != limits.OK {
			err = errors.New(r.Detail)
		}
		return err
	}
	if err := good(); err != nil {
		t.Fatal(err)
	}
	before, err := leakcheck.Measure()
	if err != nil {
		t.Fatal(err)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	hold, free := holdDescriptors(t)
	failed := 0
	for more := 0; ; more++ {
		// The limit is one above the highest number; below it are none but those that
		// are open, and so many that are free.
		low := limit
		low.Cur = uint64(hold + more)
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
			t.Fatal(err)
		}
		err := good()
		if err2 := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err2 != nil {
			t.Fatal(err2)
		}
		if err == nil {
			break
		}
		failed++
		var wall *limits.WallError
		var worker *supervisor.WorkerError
		if !strings.Contains(err.Error(), "too many open files") || errors.As(err, &wall) || errors.As(err, &worker) {
			t.Errorf("with %d descriptors: %v", more, err)
		}
		isOneLine(t, err)
		if more > 100 {
			t.Fatal("it never works")
		}
		if err := good(); err != nil {
			t.Fatalf("after %d descriptors: %v", more, err)
		}
	}
	free()
	if failed < 5 {
		t.Errorf("it failed with %d numbers of descriptors only; this test did not reach the places", failed)
	}
	for deadline := time.Now().Add(2 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		after, err := leakcheck.Measure()
		if err != nil {
			t.Fatal(err)
		}
		in := after.Grown(before, leakcheck.Footprint{Heap: 1 << 20, Resident: 16 << 20, Threads: 4})
		if in == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("something is left: %q", in)
		}
	}
}

// holdDescriptors opens files until all numbers up to the highest are in use, and
// gives the next one.
func holdDescriptors(t *testing.T) (next int, free func()) {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var files []*os.File
	for range len(names) + 64 {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
		next = max(next, int(f.Fd())+1)
	}
	return next, func() {
		for _, f := range files {
			f.Close()
		}
	}
}
