// Package audit finds in the kernel's log what a filter killed a process for.
//
// A process that seccomp kills leaves a wait status that names the signal and not the
// call (wait(2)). The kernel writes the call to its audit log (SECCOMP_RET_KILL_PROCESS,
// seccomp(2), "actions_logged"), which without an audit daemon ends up in the kernel
// log. So it is known only where this process may read that log (root, or
// kernel.dmesg_restrict 0), counts processes as the kernel's first namespace does, and no
// daemon takes the records away; and when the log is not flooded.
package audit

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/greentic-ai/greentic-provision/limits/seccomp"
)

// find gives the call of the last record of a kill of that process in the log since
// that time: "openat", or "call 20 of architecture 40000003" for what has no name here.
//
// A record, in one line (kernel/auditsc.c, audit_seccomp): "… audit: type=1326
// audit(TIME:SERIAL): auid=… pid=PID comm="…" exe="…" sig=31 arch=HEX syscall=N …".
func find(log []byte, pid int, since time.Time) (call string, ok bool) {
	for line := range bytes.Lines(log) {
		_, record, found := strings.Cut(string(line), " type=1326 ")
		if !found {
			continue
		}
		// The text of the process stands in quotes between these, or in hexadecimal when
		// it has a quote in it (audit_log_untrustedstring): it cannot forge a field.
		fields := map[string]string{}
		for field := range strings.FieldsSeq(record) {
			name, value, _ := strings.Cut(field, "=")
			fields[name] = value
		}
		if fields["pid"] != strconv.Itoa(pid) || fields["sig"] != "31" {
			continue
		}
		stamp, _, _ := strings.Cut(strings.TrimPrefix(record, "audit("), ":")
		if at, err := strconv.ParseFloat(stamp, 64); err != nil || at < float64(since.Unix()) {
			continue // of another process that had this id
		}
		arch, err1 := strconv.ParseUint(fields["arch"], 16, 32)
		nr, err2 := strconv.ParseUint(fields["syscall"], 10, 32)
		if err1 == nil && err2 == nil {
			call, ok = name(uint32(arch), uint32(nr)), true
		}
	}
	return call, ok
}

// name is the name of a system call of the machine's, or its number where there is none.
func name(audit, nr uint32) string {
	for _, a := range []seccomp.Arch{seccomp.AMD64, seccomp.ARM64} {
		if a.Audit() != audit {
			continue
		}
		for _, name := range a.Names() {
			if n, _ := a.Number(name); uint32(n) == nr {
				return name
			}
		}
	}
	return fmt.Sprintf("call %d of architecture %x", nr, audit)
}
