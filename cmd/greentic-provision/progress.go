package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/greentic-ai/greentic-provision/render"
)

// progress is one line on stderr that says what is taking so long. It appears
// when something takes over half a second and is wiped when that ends, so a fast
// run shows nothing, and it exists on a terminal only, outside of CI.
//
// A goroutine of its own draws: a terminal that takes no output (Ctrl-S) must
// not hold up the run and its deadlines.
type progress struct {
	stop, stopped chan struct{}

	mu    sync.Mutex
	what  string // "" when nothing is under way
	since time.Time
}

// patience is how long something may take before the line appears.
const patience = 500 * time.Millisecond

// newProgress gives nil, on which every method does nothing, when w is no place
// for a line that moves.
func newProgress(w io.Writer) *progress {
	if !isTerminal(w) || os.Getenv("CI") != "" {
		return nil
	}
	return startProgress(w)
}

func startProgress(w io.Writer) *progress {
	p := &progress{stop: make(chan struct{}), stopped: make(chan struct{})}
	go p.run(w)
	return p
}

// show says what is under way; "" says that nothing is.
func (p *progress) show(what string) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.what, p.since = what, time.Now()
}

// close wipes the line and ends the goroutine. It is called once.
func (p *progress) close() {
	if p == nil {
		return
	}
	close(p.stop)
	<-p.stopped
}

func (p *progress) run(w io.Writer) {
	defer close(p.stopped)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	const wipe = "\r\x1b[K"
	frames := []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")
	drawn := false
	for n := 0; ; n++ {
		var line string
		ended := false
		select {
		case <-tick.C:
			p.mu.Lock()
			if took := time.Since(p.since); p.what != "" && took >= patience {
				line = fmt.Sprintf("%c %s … %.1f s", frames[n%len(frames)], render.Text(p.what, 60), took.Seconds())
			}
			p.mu.Unlock()
		case <-p.stop:
			ended = true
		}
		if line != "" || drawn {
			io.WriteString(w, wipe+line) // a terminal that went away takes nothing of value with it
		}
		if drawn = line != ""; ended {
			return
		}
	}
}
