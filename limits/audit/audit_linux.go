package audit

import (
	"bytes"
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a record is waited for: a kernel thread writes it
// (kernel/audit.c, kauditd_thread), usually before the process is reaped.
const patience = 100 * time.Millisecond

// Killed gives the system call for which a filter killed the process, where that is
// known. since is when the process was started.
func Killed(pid int, since time.Time) (call string, ok bool) {
	// The log counts processes as the first pid namespace does; elsewhere the same
	// number is somebody else. Its inode number is fixed (PROC_PID_INIT_INO).
	var ns unix.Stat_t
	if err := unix.Stat("/proc/self/ns/pid", &ns); err != nil || ns.Ino != 0xEFFFFFFC {
		return "", false
	}
	for start := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		log, err := kernelLog()
		if err != nil {
			return "", false
		}
		if call, ok = find(log, pid, since); ok || time.Since(start) > patience {
			return call, ok
		}
	}
}

// maxLog bounds what is read of the log: the kernel's own buffer is as large at most
// (CONFIG_LOG_BUF_SHIFT 21).
const maxLog = 2 << 20

// kernelLog reads what the log holds now. Each read gives one record
// (Documentation/ABI/testing/dev-kmsg).
func kernelLog() ([]byte, error) {
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var log bytes.Buffer
	record := make([]byte, 8<<10) // PRINTKRB_RECORD_MAX and its escapes
	for log.Len() < maxLog {
		n, err := unix.Read(fd, record)
		switch {
		case errors.Is(err, unix.EPIPE): // overwritten while it was read; the next one follows
			continue
		case err != nil || n == 0: // EAGAIN: that was all
			return log.Bytes(), nil
		}
		if bytes.Contains(record[:n], []byte(" type=1326 ")) {
			log.Write(record[:n])
		}
	}
	return log.Bytes(), nil
}
