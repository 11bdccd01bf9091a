package socketpair

import "golang.org/x/sys/unix"

// sendFlags keeps a write to a peer that is gone from raising SIGPIPE.
const sendFlags = unix.MSG_NOSIGNAL

// pair makes the two sockets. Both flags are set by the call that makes them:
// set later, a fork in between would leak the supervisor's end into a worker.
func pair() ([2]int, error) {
	return unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
}

// receive is recvmsg; descriptors arrive close-on-exec.
func receive(fd int, p, oob []byte) (n, oobn, flags int, err error) {
	n, oobn, flags, _, err = unix.Recvmsg(fd, p, oob, unix.MSG_CMSG_CLOEXEC)
	return n, oobn, flags, err
}

func waitHangup() error {
	_, err := unix.Ppoll([]unix.PollFd{{Fd: WorkerFD, Events: unix.POLLRDHUP}}, nil, nil)
	return err
}
