//go:build linux

package supervisor

import (
	"slices"

	"github.com/greentic-ai/greentic-provision/limits/namespace"
)

// Bare makes a supervisor start workers without namespaces, as isolation none does
// where there are none to be had.
func Bare(s *Supervisor) {
	s.plans = slices.DeleteFunc(s.plans, func(p namespace.Plan) bool { return p.Wall().Raised })
	s.refusals = s.refusals[:len(s.plans)]
}
