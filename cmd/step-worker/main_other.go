//go:build !linux || !cgo

// Command step-worker runs guest code and needs Linux and cgo. Elsewhere it
// only says so, so that the whole module builds everywhere.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "step-worker: needs Linux and a build with cgo")
	os.Exit(1)
}
