//go:build !linux

package mdwe

import "github.com/greentic-ai/greentic-provision/limits"

// Raise reports that there is no such wall here.
func Raise() (limits.Wall, error) {
	return Wall(), &limits.WallError{Wall: Wall().Name, Where: "prctl", Err: limits.ErrUnsupported}
}
