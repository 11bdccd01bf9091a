// Command withoutseal builds, into the directory that it is given, the worker that
// workertest.BuildWithoutSeal describes: for tests that run where nothing can be built.
package main

import (
	"fmt"
	"os"

	"github.com/greentic-ai/greentic-provision/internal/workertest"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: withoutseal DIRECTORY")
		os.Exit(2)
	}
	if _, err := workertest.BuildWithoutSeal(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
