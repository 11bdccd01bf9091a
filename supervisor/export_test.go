package supervisor

import "github.com/greentic-ai/greentic-provision/limits/witness"

// Blind makes a supervisor see nothing of its workers from outside, as on a machine
// without /proc: for workers that only pretend to have walls.
func Blind(c *Config) { c.see = func(int) witness.Report { return witness.Report{} } }
