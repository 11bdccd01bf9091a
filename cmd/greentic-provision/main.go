// Command greentic-provision runs the provisioning steps of a Greentic pack in sandboxed
// worker processes and prints the plan they make.
//
// This package is flags, wiring, output and exit codes; one file per command.
// What a command does lives in the packages it calls.
package main

import (
	"context"
	"os"
)

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
