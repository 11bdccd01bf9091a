//go:build !linux

package native

import "syscall"

// Do makes no attack here: there are no walls to attack. It answers as if an attack
// had succeeded, so that nobody takes the wall for standing.
func Do(string) (syscall.Errno, string) { return 0, "there are no attacks on this system" }
