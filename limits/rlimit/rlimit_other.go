//go:build !linux

package rlimit

import "github.com/greentic-ai/greentic-provision/limits"

// Apply reports that the limits cannot be set here.
func (t Table) Apply() (limits.Wall, error) {
	return t.Wall(false), &limits.WallError{Wall: "rlimits", Where: "prlimit", Err: limits.ErrUnsupported}
}
