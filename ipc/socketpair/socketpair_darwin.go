package socketpair

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// sendFlags is empty: darwin has no MSG_NOSIGNAL, and package os ignores
// SIGPIPE on sockets anyway.
const sendFlags = 0

// pair makes the two sockets. Darwin cannot set the flags in one call, so the
// lock that os/exec takes keeps a fork from coming in between.
func pair() ([2]int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return fds, err
	}
	for _, fd := range fds {
		unix.CloseOnExec(fd)
		if err := unix.SetNonblock(fd, true); err != nil {
			unix.Close(fds[0])
			unix.Close(fds[1])
			return fds, err
		}
	}
	return fds, nil
}

// receive is recvmsg, with close-on-exec set under the lock that forks take.
func receive(fd int, p, oob []byte) (n, oobn, flags int, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	n, oobn, flags, _, err = unix.Recvmsg(fd, p, oob, 0)
	if err != nil {
		return n, oobn, flags, err
	}
	msgs, _ := unix.ParseSocketControlMessage(oob[:oobn])
	for i := range msgs {
		fds, _ := unix.ParseUnixRights(&msgs[i])
		for _, fd := range fds {
			unix.CloseOnExec(fd)
		}
	}
	return n, oobn, flags, nil
}

// waitHangup is for workers, which need Linux; this only keeps the promise.
func waitHangup() error {
	_, err := unix.Poll([]unix.PollFd{{Fd: WorkerFD, Events: unix.POLLHUP}}, -1)
	return err
}
