// Command greentic-provision runs the provisioning steps of a Greentic pack in sandboxed
// worker processes, prints the plan they make, and applies it when it was reviewed.
//
// This package is flags, wiring, output and exit codes; one file per command.
// What a command does lives in the packages it calls.
package main

import (
	"context"
	"os"
	"syscall"
)

func main() {
	// Secrets are in memory: no core file, of this process or of one that it starts,
	// whatever ends it. Lowering a limit cannot fail.
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
