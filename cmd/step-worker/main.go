//go:build linux && cgo

package main

import (
	"fmt"
	"os"

	"github.com/greentic-ai/greentic-provision/component/wasmtime"
	"github.com/greentic-ai/greentic-provision/internal/buildinfo"
	"github.com/greentic-ai/greentic-provision/ipc"
	"github.com/greentic-ai/greentic-provision/ipc/socketpair"
	"github.com/greentic-ai/greentic-provision/limits/entry"
	"github.com/greentic-ai/greentic-provision/worker"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	if len(args) == 0 || args[0] != "serve" {
		fmt.Fprintf(os.Stderr, "step-worker %s (wasmtime %s): started by greentic-provision, not by hand\n",
			buildinfo.Version, wasmtime.EngineVersion)
		return 2
	}
	if err := entry.DieOnFault(); err != nil {
		fmt.Fprintf(os.Stderr, "step-worker: %v\n", err)
		return 1
	}
	stream, err := socketpair.Worker()
	if err != nil {
		fmt.Fprintf(os.Stderr, "step-worker: %v\n", err)
		return 1
	}
	// The loop below sees the end of the socket when it reads, which it does not
	// while a guest runs or a compilation goes on. The parent-death signal comes
	// then too, but the kernel forgets it when a process changes its identity
	// (prctl(2)), and until limits/entry arms it again nothing else would.
	go func() {
		socketpair.WaitHangup()
		os.Exit(0) // whatever runs, runs for nobody now
	}()
	conn := ipc.NewConn(stream, ipc.WorkerSide)
	defer conn.Close()
	w := &walls{}
	err = worker.Serve(conn, worker.Config{
		Build:   buildinfo.Version,
		Engine:  "wasmtime " + wasmtime.EngineVersion,
		Enter:   w.enter,
		Seal:    w.seal,
		Attempt: w.attempt,
	})
	if err != nil {
		fmt.Fprintf(os.Stderr, "step-worker: %v\n", err)
		return 1
	}
	return 0
}
