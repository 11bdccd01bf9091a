//go:build !race

package policy

import "github.com/greentic-ai/greentic-provision/limits/seccomp"

// instrumented is what the build adds: nothing, in a build that ships.
func instrumented() []seccomp.Rule { return nil }
