//go:build !linux

package seccomp

import "github.com/greentic-ai/greentic-provision/limits"

// Install reports that there is no seccomp here.
func (p Program) Install(wall string) error {
	return &limits.WallError{Wall: wall, Where: "seccomp", Err: limits.ErrUnsupported}
}
