package ipc_test

import (
	"fmt"
	"io"
	"net"

	"github.com/greentic-ai/greentic-provision/ipc"
)

// A supervisor greets a worker and lets it go.
func Example() {
	a, b := net.Pipe()
	done := make(chan struct{})
	go func() { // the worker
		defer close(done)
		c := ipc.NewConn(ipc.Plain(b), ipc.WorkerSide)
		defer c.Close()
		c.Send(0, &ipc.Hello{Min: ipc.MinVersion, Max: ipc.Version, Engine: "none"})
		c.Recv() // Welcome
		c.Send(0, &ipc.Ready{Walls: []ipc.Wall{{Name: "seccomp", Raised: true}}})
		c.Send(0, &ipc.Ready{}) // out of turn: not sent
		c.Recv()                // Bye
	}()

	c := ipc.NewConn(ipc.Plain(a), ipc.SupervisorSide)
	defer c.Close()
	e, err := c.Recv()
	if err != nil {
		fmt.Println(err)
		return
	}
	hello := e.Message.(*ipc.Hello)
	version, err := ipc.Negotiate(hello.Min, hello.Max)
	if err != nil {
		fmt.Println(err)
		return
	}
	c.Send(0, &ipc.Welcome{Version: version, Role: ipc.RoleStep})
	e, _ = c.Recv()
	fmt.Println("walls:", e.Message.(*ipc.Ready).Walls)
	fmt.Println(c.Send(1, &ipc.Invoke{Action: "step"}))
	c.Send(0, &ipc.Bye{})
	_, err = c.Recv()
	fmt.Println(err == io.EOF)
	<-done
	// Output:
	// walls: [{seccomp true }]
	// ipc: not sent in state load: no Invoke here
	// true
}
