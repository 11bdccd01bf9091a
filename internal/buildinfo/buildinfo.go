// Package buildinfo is the version of both binaries, in one place: the command
// line and its step-worker must come from the same tree, and they compare this
// string in their handshake.
//
// It is a constant and not the module version that the toolchain records,
// because that one is "(devel)" in a checkout and differs between `go build` and
// `go install module@version`; a worker built either way must be accepted.
package buildinfo

import "runtime/debug"

// Version is the version of this tree. Raise it with every release and with
// every change that makes an older worker unfit for a newer command line.
const Version = "0.1.0"

// Revision is the commit the running binary was built from, with "+dirty" when
// the tree had changes, or "" when the toolchain recorded none (built outside a
// checkout or with -buildvcs=false). For people only: nothing compares it.
func Revision() string {
	bi, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	return revision(bi.Settings)
}

func revision(settings []debug.BuildSetting) string {
	var rev, dirty string
	for _, s := range settings {
		switch {
		case s.Key == "vcs.revision":
			rev = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+dirty"
		}
	}
	if rev == "" {
		return ""
	}
	return rev + dirty
}
