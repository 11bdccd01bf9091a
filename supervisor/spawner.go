package supervisor

import (
	"errors"
	"runtime"
	"sync"
)

// errClosed is what starting a process gives after Close.
var errClosed = errors.New("the supervisor is closed")

// spawner starts every process from one thread. The parent-death signal that
// workers ask for is sent when the *thread* that forked them ends (prctl(2),
// PR_SET_PDEATHSIG), and the Go runtime ends threads as it sees fit; a locked
// goroutine keeps its thread.
type spawner struct {
	jobs chan func()
	quit chan struct{}
	once sync.Once
}

func newSpawner() *spawner {
	s := &spawner{jobs: make(chan func()), quit: make(chan struct{})}
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread() // hand the thread back: workers may still live
		for {
			select {
			case job := <-s.jobs:
				job()
			case <-s.quit:
				return
			}
		}
	}()
	return s
}

// start runs f on the thread.
func (s *spawner) start(f func() (*process, error)) (p *process, err error) {
	done := make(chan struct{})
	select {
	case s.jobs <- func() { defer close(done); p, err = f() }:
		<-done
		return p, err
	case <-s.quit:
		return nil, errClosed
	}
}

func (s *spawner) close() { s.once.Do(func() { close(s.quit) }) }
