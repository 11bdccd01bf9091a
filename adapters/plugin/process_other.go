//go:build !linux

package plugin

import (
	"os"
	"syscall"
)

// runnable gives the path of the program. Only Linux can run an open file: here, who
// may rename things in its folder can replace it between the checksum and this.
func runnable(program *os.File) string { return program.Name() }

// attributes make a group of its own. Only Linux ends a process with its parent: here
// a plug-in outlives a host that is killed.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// await waits for the process and takes its group along. Between the two, somebody
// else could be given the number of a group that is empty by then.
func (p *process) await() {
	_ = p.cmd.Wait() // its error repeats cmd.ProcessState
	p.endGroup()
}
