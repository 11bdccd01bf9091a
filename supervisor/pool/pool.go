// Package pool is a bounded pool of single-use things that are slow to make.
//
// It knows nothing of processes: New makes one, Release ends one. A thing that
// was handed out is never handed out again; the pool's only promise is that a
// few spares stand ready and that never more than Max exist at once. New and
// Release are never called with the lock held, so a slow spawn delays only the
// caller that waits for it.
package pool

import (
	"context"
	"errors"
	"sync"
)

// ErrClosed is returned by Get after Close.
var ErrClosed = errors.New("pool is closed")

// Config tells a pool how to work. New and Release are required.
type Config[T any] struct {
	New     func(ctx context.Context) (T, error)
	Release func(T)      // ends a thing; called exactly once for each
	Usable  func(T) bool // asked of a spare before it is handed out; nil means always
	Max     int          // things alive at once, spares included; at least 1
	Spares  int          // things kept ready; 0 makes each on demand
}

// Pool hands out things. All methods are safe for concurrent use.
type Pool[T any] struct {
	cfg    Config[T]
	slots  chan struct{} // one token per thing alive
	ready  chan T        // the spares; nil when there are none to keep
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup // refills under way

	mu     sync.Mutex
	making int // refills under way, so that Fill does not overshoot
	closed bool
}

// New makes an empty pool; call Fill to make the spares in advance.
func New[T any](cfg Config[T]) *Pool[T] {
	cfg.Max = max(cfg.Max, 1)
	cfg.Spares = min(cfg.Spares, cfg.Max)
	p := &Pool[T]{cfg: cfg, slots: make(chan struct{}, cfg.Max)}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	if cfg.Spares > 0 {
		p.ready = make(chan T, cfg.Spares)
	}
	return p
}

// Get gives a spare if one is usable, else makes one, waiting while Max are
// alive. The caller ends it with Discard.
func (p *Pool[T]) Get(ctx context.Context) (T, error) {
	var zero T
	if p.ctx.Err() != nil {
		return zero, ErrClosed
	}
	defer p.Fill()
	for {
		select { // a spare first: select alone would pick at random
		case t := <-p.ready:
			if p.usable(t) {
				return t, nil
			}
			continue
		default:
		}
		select {
		case t := <-p.ready:
			if p.usable(t) {
				return t, nil
			}
		case p.slots <- struct{}{}:
			t, err := p.cfg.New(ctx)
			if err != nil {
				<-p.slots
			}
			return t, err
		case <-ctx.Done():
			return zero, context.Cause(ctx)
		case <-p.ctx.Done():
			return zero, ErrClosed
		}
	}
}

// usable ends the spare t when it is not.
func (p *Pool[T]) usable(t T) bool {
	if p.cfg.Usable == nil || p.cfg.Usable(t) {
		return true
	}
	p.Discard(t)
	return false
}

// Discard ends a thing that Get gave, and fills up the spares with the room it
// leaves.
func (p *Pool[T]) Discard(t T) {
	p.cfg.Release(t)
	<-p.slots
	p.Fill()
}

// Fill makes spares in the background until Spares stand ready or Max are
// alive. A failure is not reported: the next Get meets it again.
func (p *Pool[T]) Fill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.closed && len(p.ready)+p.making < p.cfg.Spares {
		select {
		case p.slots <- struct{}{}:
		default:
			return // Max alive
		}
		p.making++
		p.wg.Go(p.refill)
	}
}

func (p *Pool[T]) refill() {
	t, err := p.cfg.New(p.ctx)
	p.mu.Lock()
	p.making--
	keep := err == nil && !p.closed
	if keep {
		p.ready <- t // has room: Fill counts ready and making against its capacity
	}
	p.mu.Unlock()
	switch {
	case err != nil:
		<-p.slots
	case !keep:
		p.Discard(t)
	}
}

// Close ends all spares and makes Get fail. Things that are handed out stay the
// caller's to Discard. It waits for refills under way.
func (p *Pool[T]) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel()
	p.wg.Wait()
	for {
		select {
		case t := <-p.ready:
			p.Discard(t)
		default:
			return
		}
	}
}
