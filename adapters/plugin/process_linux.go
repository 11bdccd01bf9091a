package plugin

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// runnable gives the path by which exactly the open file is run, wherever its name
// points by then. Who may write to the file itself could still do so between the
// checksum and this: it must belong to somebody who is trusted, like any program.
func runnable(program *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", program.Fd()) }

// attributes make a group of its own, that can be killed as a whole, and tie the life
// of the process to the thread that started it (prctl(2), PR_SET_PDEATHSIG).
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// await waits for the process and takes its group along. The group is killed while the
// process still holds its number, so that no other can be hit.
func (p *process) await() {
	for {
		err := unix.Waitid(unix.P_PID, p.pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			break
		}
	}
	p.endGroup()
	_ = p.cmd.Wait() // its error repeats cmd.ProcessState
}
