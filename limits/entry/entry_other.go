//go:build !linux || !cgo

package entry

import "github.com/greentic-ai/greentic-provision/limits"

// Ran reports that nothing runs before the Go runtime in this build.
func Ran() bool { return false }

// Err reports that this build has no entry code: it needs Linux and cgo.
func Err() error {
	return &limits.WallError{Wall: "entry", Where: "build", Err: limits.ErrUnsupported, Hint: "the worker needs Linux and cgo"}
}

// Raised lists the walls, none of them raised.
func Raised() []limits.Wall {
	return walls([]step{{wall: "mount"}, {wall: "identity"}, {wall: "capabilities"}, {wall: "no-new-privs"}, {wall: "no-dump"}, {wall: "landlock"}})
}

// DieOnFault reports that this build has no entry code.
func DieOnFault() error { return Err() }
