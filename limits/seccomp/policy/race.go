//go:build race

package policy

import "github.com/greentic-ai/greentic-provision/limits/seccomp"

// instrumented is what the race detector's C runtime needs on top. A build with
// these rows is for tests only; its filters have other hashes.
func instrumented() []seccomp.Rule {
	return nil
}
