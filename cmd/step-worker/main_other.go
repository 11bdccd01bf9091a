//go:build !linux || !cgo

package main

import (
	"fmt"
	"os"
)

// main only says what is needed, so that the whole module builds everywhere.
func main() {
	fmt.Fprintln(os.Stderr, "step-worker: needs Linux and a build with cgo")
	os.Exit(1)
}
