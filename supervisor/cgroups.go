package supervisor

import (
	"errors"
	"fmt"

	"github.com/greentic-ai/greentic-provision/ipc"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/limits/cgroup"
)

// cgroups is where workers' cgroups are made: tree is nil where they cannot be, and
// wall then says why.
type cgroups struct {
	tree *cgroup.Tree
	wall limits.Wall // not raised
}

// findCgroups looks for a place for cgroups and opens it. Where the operator named no
// directory, a machine without is no error unless isolation is strict and the kernel
// has what it takes.
func findCgroups(cfg Config) (cgroups, error) {
	c := cgroups{wall: cgroup.Step(cfg.Limits.Data()).Wall(false)}
	c.wall.Observer = limits.BySupervisor
	place, err := cgroup.Find(cfg.Cgroup)
	if err == nil {
		c.tree, err = place.Open()
	}
	switch {
	case err == nil:
		return c, nil
	case cfg.Cgroup != "", cfg.Isolation == limits.Strict && !errors.Is(err, limits.ErrUnsupported):
		return c, err
	}
	c.wall = without(c.wall, err)
	return c, nil
}

// group makes the cgroup of a worker; nil where there are none.
func (c cgroups) group(cfg Config, role string) (*cgroup.Group, limits.Wall, error) {
	if c.tree == nil {
		return nil, c.wall, nil
	}
	l := cgroup.Step(cfg.Limits.Data())
	if role == ipc.RoleCompile {
		l = cgroup.Compile(cfg.Limits.CompileMemory, limits.MaxCode)
	}
	g, err := c.tree.Make(l)
	wall := l.Wall(err == nil)
	wall.Observer = limits.BySupervisor
	if err != nil && optionalGroup(cfg) {
		return nil, without(wall, err), nil
	}
	return g, wall, err
}

// optionalGroup says whether a worker without a cgroup is as good.
func optionalGroup(cfg Config) bool { return cfg.Isolation != limits.Strict && cfg.Cgroup == "" }

// without is the wall of a worker that could not have a cgroup.
func without(wall limits.Wall, err error) limits.Wall {
	if known, ok := errors.AsType[*limits.WallError](err); ok {
		err = known.Err // the rest is told to whoever asks for the wall
	}
	wall.Raised, wall.Detail = false, printable(err.Error())+"; rlimits hold alone"
	return wall
}

func (c cgroups) close() error {
	if c.tree == nil {
		return nil
	}
	return c.tree.Close()
}

// inGroup holds the kernel's word on where a worker is against where it was put.
func inGroup(put, is string) (bool, error) {
	switch {
	case put == "" || is == "":
		return false, nil
	case put != is:
		return false, fmt.Errorf("the kernel says that it is in %s", is)
	}
	return true, nil
}
