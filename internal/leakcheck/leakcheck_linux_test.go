package leakcheck

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
)

func TestMain(m *testing.M) { Main(m) }

// run is a set of tests.
type run func() int

func (r run) Run() int { return r() }

func findAfter(t *testing.T, leave func()) []string {
	t.Helper()
	before, err := openFiles()
	if err != nil {
		t.Fatal(err)
	}
	leave()
	return find(before)
}

func TestClean(t *testing.T) {
	got := findAfter(t, func() {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		if err := exec.Command("true").Run(); err != nil {
			t.Fatal(err)
		}
		go func() {}()
	})
	if len(got) != 0 {
		t.Errorf("clean code is accused: %q", got)
	}
}

func TestDescriptor(t *testing.T) {
	var f *os.File
	got := findAfter(t, func() {
		var err error
		if f, err = os.Open(os.DevNull); err != nil {
			t.Fatal(err)
		}
	})
	defer f.Close()
	if len(got) != 1 || !strings.Contains(got[0], os.DevNull) {
		t.Errorf("an open file gave %q", got)
	}
}

func TestRunningChild(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	got := findAfter(t, func() {
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
	})
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
	}()
	all := strings.Join(got, "\n")
	if !strings.Contains(all, "still running") {
		t.Errorf("a running child gave %q", got)
	}
}

func TestForgottenChild(t *testing.T) {
	cmd := exec.Command("true")
	got := findAfter(t, func() {
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
	})
	if err := cmd.Wait(); err != nil {
		t.Errorf("the check took the child away from its parent: %v", err)
	}
	if !strings.Contains(strings.Join(got, "\n"), "nobody waited") {
		t.Errorf("a forgotten child gave %q", got)
	}
}

func TestGoroutine(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	got := findAfter(t, func() { go func() { <-stop }() })
	if len(got) != 1 || !strings.Contains(got[0], "TestGoroutine") {
		t.Errorf("a goroutine gave %q", got)
	}
}

func TestFootprint(t *testing.T) {
	measure := func() Footprint {
		t.Helper()
		f, err := Measure()
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	measure() // opens the poller
	before := measure()
	if before.Heap == 0 || before.Resident < before.Heap || before.Goroutines < 2 || before.Threads < 2 || before.Files < 3 || before.Children != 0 {
		t.Errorf("something is missing: %v", before)
	}
	if in := before.Grown(before, Footprint{}); in != nil {
		t.Errorf("nothing has grown: %q", in)
	}
	hold := make([]byte, 64<<20)
	for i := range hold {
		hold[i] = 1
	}
	stop := make(chan struct{})
	defer close(stop)
	go func() { <-stop }()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	all := strings.Join(measure().Grown(before, Footprint{Heap: 32 << 20, Resident: 32 << 20}), "\n")
	for _, what := range []string{"bytes of heap", "bytes of memory", "goroutines", "descriptors", "children"} {
		if !strings.Contains(all, what) {
			t.Errorf("%s have grown; found: %s", what, all)
		}
	}
	if in := measure().Grown(before, Footprint{1 << 30, 1 << 30, 9, 99, 9, 9}); in != nil {
		t.Errorf("as much as it may: %q", in)
	}
	runtime.KeepAlive(hold)
}

func TestRunGivesTheCode(t *testing.T) {
	if code := Checked(run(func() int { return 0 })).Run(); code != 0 {
		t.Errorf("clean tests: %d", code)
	}
	if code := Checked(run(func() int { return 7 })).Run(); code != 7 {
		t.Errorf("failed tests: %d, want their own 7", code)
	}
	stop := make(chan struct{})
	defer close(stop)
	if code := Checked(run(func() int { go func() { <-stop }(); return 0 })).Run(); code != 1 {
		t.Errorf("leaking tests: %d, want 1", code)
	}
}
