//go:build !linux

package cgroup

import "github.com/greentic-ai/greentic-provision/limits"

// Find reports that there are no cgroups here.
func Find(string) (Place, error) {
	return Place{}, wallError("this system", limits.ErrUnsupported, "")
}
