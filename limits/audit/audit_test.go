package audit

import (
	"testing"
	"time"
)

func TestFind(t *testing.T) {
	record := func(at, pid, sig, arch, call string) string {
		return "5,1,2,-;audit: type=1326 audit(" + at + ":7): auid=4294967295 uid=1 gid=1 ses=1 pid=" + pid +
			` comm="exe" exe="/x" sig=` + sig + " arch=" + arch + " syscall=" + call + " compat=0 ip=0x1 code=0x80000000\n"
	}
	since := time.Unix(1000, 0)
	for _, tt := range []struct {
		name, log, want string
	}{
		{"amd64", record("1000.1", "42", "31", "c000003e", "257"), "openat"},
		{"arm64", record("1000.1", "42", "31", "c00000b7", "198"), "socket"},
		{"i386", record("1000.1", "42", "31", "40000003", "20"), "call 20 of architecture 40000003"},
		{"x32", record("1000.1", "42", "31", "c000003e", "1073741863"), "call 1073741863 of architecture c000003e"},
		{"the last of several", record("1000.1", "42", "31", "c000003e", "41") + record("1000.2", "42", "31", "c000003e", "59"), "execve"},
		{"another process", record("1000.1", "43", "31", "c000003e", "257"), ""},
		{"one that had this id before", record("999.9", "42", "31", "c000003e", "257"), ""},
		{"another signal", record("1000.1", "42", "0", "c000003e", "257"), ""},
		{"another record", "5,1,2,-;audit: type=1300 audit(1000.1:7): pid=42 sig=31 arch=c000003e syscall=257\n", ""},
		{"no numbers", record("1000.1", "42", "31", "x", "y"), ""},
		{"nothing", "", ""},
	} {
		if got, ok := find([]byte(tt.log), 42, since); got != tt.want || ok != (tt.want != "") {
			t.Errorf("%s: %q, %t, want %q", tt.name, got, ok, tt.want)
		}
	}
}
