package pool_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/greentic-ai/greentic-provision/supervisor/pool"
)

// counter makes numbers and counts how many are alive.
type counter struct {
	made, alive, peak atomic.Int64
	delay             time.Duration
	fail              atomic.Bool
}

func (c *counter) config(limit, spares int) pool.Config[int64] {
	return pool.Config[int64]{
		New: func(context.Context) (int64, error) {
			time.Sleep(c.delay)
			if c.fail.Load() {
				return 0, errors.New("cannot make")
			}
			for n, p := c.alive.Add(1), c.peak.Load(); n > p && !c.peak.CompareAndSwap(p, n); p = c.peak.Load() {
			}
			return c.made.Add(1), nil
		},
		Release: func(int64) { c.alive.Add(-1) },
		Max:     limit, Spares: spares,
	}
}

func TestWithoutSparesEachIsMadeOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counter{}
		p := pool.New(c.config(2, 0))
		a, err := p.Get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := c.made.Load(); got != 1 {
			t.Errorf("made %d, want exactly the one asked for", got)
		}
		p.Discard(a)
		p.Close()
		if c.alive.Load() != 0 {
			t.Errorf("%d alive after Close", c.alive.Load())
		}
	})
}

func TestSparesAreReadyAndRefilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counter{delay: time.Second}
		p := pool.New(c.config(4, 2))
		p.Fill()
		synctest.Wait()
		time.Sleep(time.Second)
		synctest.Wait()
		start := time.Now()
		a, err := p.Get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("a spare took %v", d)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := c.made.Load(); got != 3 {
			t.Errorf("made %d, want two spares and one refill", got)
		}
		p.Discard(a)
		p.Close()
		if c.alive.Load() != 0 {
			t.Errorf("%d alive after Close", c.alive.Load())
		}
	})
}

func TestNeverMoreThanMaxAndNeverTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counter{delay: time.Millisecond}
		p := pool.New(c.config(3, 1))
		var mu sync.Mutex
		seen := map[int64]bool{}
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				v, err := p.Get(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if seen[v] {
					t.Errorf("%d was handed out twice", v)
				}
				seen[v] = true
				mu.Unlock()
				time.Sleep(time.Millisecond)
				p.Discard(v)
			})
		}
		wg.Wait()
		p.Close()
		if c.peak.Load() > 3 {
			t.Errorf("%d alive at once, want at most 3", c.peak.Load())
		}
		if c.alive.Load() != 0 {
			t.Errorf("%d alive after Close", c.alive.Load())
		}
	})
}

func TestSparesComeBackAfterABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counter{}
		p := pool.New(c.config(2, 2))
		a, _ := p.Get(t.Context())
		b, _ := p.Get(t.Context())
		p.Discard(a)
		p.Discard(b)
		synctest.Wait()
		if got := c.alive.Load(); got != 2 {
			t.Errorf("%d spares after a burst, want 2", got)
		}
		p.Close()
	})
}

func TestFailureFreesItsSlot(t *testing.T) {
	c := &counter{}
	c.fail.Store(true)
	p := pool.New(c.config(1, 0))
	defer p.Close()
	for range 3 {
		if _, err := p.Get(t.Context()); err == nil {
			t.Fatal("Get succeeded although New fails")
		}
	}
	c.fail.Store(false)
	v, err := p.Get(t.Context())
	if err != nil {
		t.Fatalf("after failures: %v", err)
	}
	p.Discard(v)
}

func TestUnusableSpareIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counter{}
		cfg := c.config(2, 1)
		cfg.Usable = func(v int64) bool { return v != 1 }
		p := pool.New(cfg)
		p.Fill()
		synctest.Wait() // spare 1 stands ready and is bad
		v, err := p.Get(t.Context())
		if err != nil || v != 2 {
			t.Fatalf("Get = %d, %v; want a new one in place of the unusable spare", v, err)
		}
		p.Discard(v)
		p.Close()
		if c.alive.Load() != 0 {
			t.Errorf("%d alive after Close", c.alive.Load())
		}
	})
}

// A waiter must take a spare that becomes ready while every slot is used: the
// spare itself holds one of them.
func TestWaiterTakesASpareThatBecomesReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counter{delay: time.Second}
		p := pool.New(c.config(2, 1))
		a, err := p.Get(t.Context()) // and the refill takes the other slot
		if err != nil {
			t.Fatal(err)
		}
		b, err := p.Get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p.Discard(a)
		p.Discard(b)
		p.Close()
	})
}

func TestGetHonoursContextAndClose(t *testing.T) {
	c := &counter{}
	p := pool.New(c.config(1, 0))
	v, err := p.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cause := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if _, err := p.Get(ctx); !errors.Is(err, cause) {
		t.Errorf("Get with a cancelled context: %v, want its cause", err)
	}
	p.Discard(v)
	p.Close()
	p.Close()
	if _, err := p.Get(t.Context()); !errors.Is(err, pool.ErrClosed) {
		t.Errorf("Get after Close: %v", err)
	}
}
