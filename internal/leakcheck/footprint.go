package leakcheck

import (
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
)

// Footprint is what this process holds at one moment. What cannot be asked for on a
// system is 0.
type Footprint struct {
	Heap       int // bytes of live objects
	Resident   int // bytes of memory that are its own (RssAnon of proc_pid_status(5))
	Goroutines int
	Threads    int
	Files      int // open descriptors
	Children   int // running, or ended and not waited for
}

// Measure collects garbage, gives free memory back to the system, and looks.
func Measure() (Footprint, error) {
	var m runtime.MemStats
	// Once is not enough: what has a cleanup or lies in a sync.Pool goes a collection or
	// two later.
	for last := uint64(math.MaxUint64); m.HeapAlloc < last; {
		if m.HeapAlloc > 0 {
			last = m.HeapAlloc
		}
		for range 3 {
			runtime.GC()
			runtime.Gosched() // for cleanups
		}
		runtime.ReadMemStats(&m)
	}
	debug.FreeOSMemory()
	f := Footprint{Heap: int(m.HeapAlloc), Goroutines: runtime.NumGoroutine()}
	return f, f.ask()
}

// Grown says in what f is larger than before, by more than may lie between the two.
func (f Footprint) Grown(before, may Footprint) (in []string) {
	for _, c := range []struct {
		what              string
		before, now, more int
	}{
		{"bytes of heap", before.Heap, f.Heap, may.Heap},
		{"bytes of memory", before.Resident, f.Resident, may.Resident},
		{"goroutines", before.Goroutines, f.Goroutines, may.Goroutines},
		{"threads", before.Threads, f.Threads, may.Threads},
		{"descriptors", before.Files, f.Files, may.Files},
		{"children", before.Children, f.Children, may.Children},
	} {
		if c.now > c.before+c.more {
			in = append(in, fmt.Sprintf("%d %s, before %d", c.now, c.what, c.before))
		}
	}
	return in
}

// String is one line, for logs.
func (f Footprint) String() string {
	return fmt.Sprintf("heap %.1f MiB, memory %.1f MiB, %d goroutines, %d threads, %d descriptors, %d children",
		float64(f.Heap)/(1<<20), float64(f.Resident)/(1<<20), f.Goroutines, f.Threads, f.Files, f.Children)
}
