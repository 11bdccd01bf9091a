// Package mdwe takes from the process the right to make memory executable that
// was not born so (PR_SET_MDWE, "memory deny write execute", Linux 6.3).
//
// It is half a wall by itself: a fresh mapping with PROT_EXEC is still allowed
// as long as it is not writable too, which the seccomp filter of phase run
// closes. It is worth having beside the filter because it is enforced in the
// memory manager and not at the system call's door, so it also holds for paths
// that no filter sees.
package mdwe

import "github.com/greentic-ai/greentic-provision/limits"

// Wall is the wall, not raised yet.
func Wall() limits.Wall { return limits.Wall{Name: "mdwe", Detail: "refuse-exec-gain"} }
