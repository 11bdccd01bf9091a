//go:build linux

package supervisor_test

import (
	"testing"

	"github.com/greentic-ai/greentic-provision/limits/attack"
)

// Every attack on the walls of a real worker ends as its wall demands.
func TestEveryAttack(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and about processes: the race detector sees little of it (make race)")
	}
	s := realSupervisor(t)
	for _, a := range attack.All() {
		if a.Wall == "cgroup" {
			continue // limits/cgroup has it where there is one
		}
		t.Run(a.Wall+"/"+a.Name, func(t *testing.T) {
			got, err := s.Probe(t.Context(), a.Stage, a.Name)
			if err != nil {
				t.Fatal(err)
			}
			if !a.Expect.Holds(got.Signal, got.Errno, got.Detail) {
				t.Errorf("%s: %+v, want %s", a.Tries, got, a.Expect)
			}
		})
	}
}
