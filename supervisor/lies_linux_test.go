package supervisor_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/greentic-ai/greentic-provision/internal/workertest"
	"github.com/greentic-ai/greentic-provision/ipc"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/supervisor"
)

func init() {
	for _, wall := range baseWalls {
		personalities["lies about "+wall] = func(f *fake) { f.lie(wall) }
	}
}

// details are those of walls that the kernel shows more of than that they stand.
var details = map[string]string{"capabilities": "bounding set empty", "rlimits": "data=1048576 core=0"}

// lie claims all walls, that one first, and has raised none.
func (f *fake) lie(wall string) {
	f.greeted()
	if wall == "no-dump" && os.Getuid() == 0 {
		// Of a process of root's the kernel does not tell; and leaving root changes it
		// (prctl(2), PR_SET_DUMPABLE).
		if err := syscall.Setuid(65534); err != nil {
			panic(err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0); err != nil {
		panic(err)
	}
	claims := up(wall)
	for _, name := range baseWalls {
		if name != wall {
			claims = append(claims, up(name)...)
		}
	}
	for i := range claims {
		claims[i].Detail = details[claims[i].Name]
	}
	f.send(&ipc.Ready{Engine: fakeEngine, Walls: claims})
	f.good()
}

// A worker that says that walls stand which do not is contradicted by the kernel, wall
// by wall, and its run ends before it has seen a byte of a guest. Not even isolation
// none goes on with it.
func TestLiesAboutWallsAreFoundOut(t *testing.T) {
	for _, isolation := range []limits.Isolation{limits.Strict, limits.Standard, limits.None} {
		worker := fakeWorker(t, "good")
		s, err := supervisor.New(supervisor.Config{Worker: worker, Build: fakeBuild, Limits: limits.Default(), Isolation: isolation})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for _, wall := range baseWalls {
			t.Run(string(isolation)+" "+wall, func(t *testing.T) {
				if wall == "identity" && os.Getuid() != 0 {
					t.Skip("an ordinary user's worker has one identity only, and no way to another")
				}
				nextWorker(t, worker, "lies about "+wall, 0)
				_, err := runOne(t, s, nobody{})
				var we *limits.WallError
				if !errors.As(err, &we) || we.Wall != wall || we.Where != "the kernel's report of the worker" || !strings.Contains(we.Hint, "no worker of this build") {
					t.Errorf("err = %v", err)
				}
			})
		}
	}
}

// A real worker without the last filter does all else right, and says that it has it.
func TestAWorkerWithoutASealIsFoundOut(t *testing.T) {
	path, err := workertest.BuildWithoutSeal(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	noop := guest(t, "packs/noop-provision/components/setup_default__validate.wat")
	for _, isolation := range []limits.Isolation{limits.Standard, limits.None} {
		s := realSupervisor(t, func(c *supervisor.Config) { c.Worker, c.Isolation = path, isolation })
		_, err := runComponent(t, s, noop, nobody{})
		var we *limits.WallError
		if !errors.As(err, &we) || we.Wall != "seccomp-run" || !strings.Contains(we.Error(), "1 system-call filters") {
			t.Errorf("isolation %s: err = %v", isolation, err)
		}
	}
}

// What the kernel does not show of a worker stays the worker's word, and is marked as
// that; what it shows is marked as the kernel's.
func TestObserversOfWalls(t *testing.T) {
	_, receipt := runGuest(t, realSupervisor(t), guest(t, "packs/noop-provision/components/setup_default__validate.wat"))
	byKernel := append(slices.Clone(baseWalls), "namespaces", "seccomp-run")
	for _, w := range receipt.Walls {
		want := limits.ByWorker
		if slices.Contains(byKernel, w.Name) {
			want = limits.ByKernel
		}
		if w.Raised && w.Name != "cgroup" && w.Observer != want {
			t.Errorf("%s is seen by %q, want %q", w.Name, w.Observer, want)
		}
	}
}
