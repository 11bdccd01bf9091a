package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/greentic-ai/greentic-provision/capability"
	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/internal/buildinfo"
	"github.com/greentic-ai/greentic-provision/internal/guests"
	"github.com/greentic-ai/greentic-provision/internal/leakcheck"
	"github.com/greentic-ai/greentic-provision/internal/workertest"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
	"github.com/greentic-ai/greentic-provision/supervisor"
	"github.com/greentic-ai/greentic-provision/supervisor/codecache"
)

var soak = flag.Int("soak", 300, "how many runs TestSoak makes in one process (make soak)")

// hostileGuests are run now and then between good ones: what each is about ends in
// another place of worker, supervisor or engine. The last two are rare, because they
// take long: one computes, one sleeps.
var hostileGuests = []string{"unreachable-core", "recurse", "grow-memory", "output-not-json", "output-large-core", "log-flood", "host-call-flood",
	"unknown-interface", "exports-nothing-core", "trap-with-hostile-names", "wasi-exit-failure", "failure-large", "lifting-bomb", "wasi-sleep"}

type hostilePack struct {
	guests.Guest
	pack *pack.Blueprint
}

func hostilePacks(t *testing.T) (packs []hostilePack) {
	t.Helper()
	list, err := guests.Load(os.DirFS(filepath.Join("..", "..", "testdata", "guests")))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range hostileGuests {
		i := slices.IndexFunc(list, func(g guests.Guest) bool { return g.Name == name })
		if i < 0 {
			t.Fatalf("no guest %q", name)
		}
		archive, err := guests.Pack(list[i])
		if err != nil {
			t.Fatal(err)
		}
		b, err := pack.OpenBytes(archive, name, pack.Options{})
		if err != nil {
			t.Fatal(err)
		}
		packs = append(packs, hostilePack{list[i], b})
	}
	return packs
}

// TestSoak: what a process holds does not grow with the number of runs in it. The
// first half of the runs shows what it holds, the second that it is enough.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and about processes: the race detector sees little of it (make race)")
	}
	cache, err := codecache.Open(filepath.Join(t.TempDir(), "cache"), codecache.DefaultSize)
	if err != nil {
		t.Fatal(err)
	}
	l := limits.Default()
	l.HostCalls = 50 // after that it is all the same
	const spares = 2
	s, err := supervisor.New(supervisor.Config{
		Worker: workertest.Path, Build: buildinfo.Version, Limits: l, Isolation: limits.Standard, Cache: cache, Max: 2 + spares, Spares: spares,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	good, err := pack.Open(noopPack+"-single", pack.Options{})
	if err != nil {
		t.Fatal(err)
	}
	hostile := hostilePacks(t)
	once := func(ctx context.Context, b *pack.Blueprint) (*engine.Result, error) {
		host := capability.NewHost(capability.Config{Limits: l, Grants: capability.Grants()})
		lease, err := s.Open(ctx, b.Components, host)
		if err != nil {
			return nil, err
		}
		defer lease.Close()
		return engine.Run(ctx, engine.Config{
			Blueprint: b, Inputs: plan.Inputs{ProviderID: "p", InstallID: "i", Answers: []byte(`{}`)},
			Runner: lease, Host: host, Limits: l, Receipt: lease.Receipt,
		})
	}
	first, err := once(t.Context(), good)
	if err != nil {
		t.Fatal(err)
	}
	want, err := plan.Canonical(first)
	if err != nil {
		t.Fatal(err)
	}
	run := func(i int) error {
		if i%4 == 3 {
			n := i / 4 % len(hostile)
			if n >= len(hostile)-2 && i/4/len(hostile)%4 != 0 {
				n = 0
			}
			h := hostile[n]
			r, err := once(t.Context(), h.pack)
			if err == nil && !h.Accepts(r.Verdict, limits.Native) && r.Verdict != limits.Deadline { // on a machine with more to do
				err = fmt.Errorf("verdict %s, which it may not have", r.Verdict)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", h.Name, err)
			}
			return nil
		}
		r, err := once(t.Context(), good)
		if err != nil {
			return err
		}
		got, err := plan.Canonical(r)
		if err == nil && !bytes.Equal(got, want) {
			err = fmt.Errorf("a good run: %s\nthe first: %s", got, want)
		}
		return err
	}
	// runs makes those from a number to another, two at a time.
	runs := func(from, to int) leakcheck.Footprint {
		t.Helper()
		next := int64(from) - 1
		var lanes sync.WaitGroup
		for range 2 {
			lanes.Go(func() {
				for i := atomic.AddInt64(&next, 1); i < int64(to); i = atomic.AddInt64(&next, 1) {
					if err := run(int(i)); err != nil {
						t.Errorf("run %d: %v", i, err)
						return
					}
				}
			})
		}
		lanes.Wait()
		f, err := leakcheck.Measure()
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	half := runs(0, *soak/2)
	// The spares may be complete now and not then, or the other way round.
	may := leakcheck.Footprint{Heap: 1 << 20, Resident: 24 << 20, Goroutines: 4 * spares, Threads: 4, Files: 4 * spares, Children: spares}
	whole := runs(*soak/2, *soak)
	t.Logf("after %d runs: %v\nafter %d: %v", *soak/2, half, *soak, whole)
	if in := whole.Grown(half, may); in != nil {
		t.Errorf("after %d runs, against %d: %q", *soak, *soak/2, in)
	}
}
