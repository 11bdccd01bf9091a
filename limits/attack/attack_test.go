package attack_test

import (
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/limits/attack"
	"github.com/greentic-ai/greentic-provision/limits/rlimit"
)

// walls are those of a receipt, in the order in which they are raised, and "entry".
var walls = []string{"namespaces", "mount", "identity", "capabilities", "no-new-privs", "no-dump", "landlock", "entry", "rlimits", "cgroup",
	"seccomp-load", "mdwe", "seccomp-run"}

var (
	nameForm  = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	triesForm = regexp.MustCompile(`^[A-Z][^.]*\.$`)
)

func TestEachAttackIsWhole(t *testing.T) {
	names := map[string]bool{}
	for _, a := range attack.All() {
		if !nameForm.MatchString(a.Name) || names[a.Name] {
			t.Errorf("the name %q is taken or not made of lower-case words and hyphens", a.Name)
		}
		names[a.Name] = true
		if !slices.Contains(walls, a.Wall) {
			t.Errorf("%s: %q is no wall", a.Name, a.Wall)
		}
		if !slices.Contains(attack.Stages(limits.Native), a.Stage) {
			t.Errorf("%s: %q is no stage", a.Name, a.Stage)
		}
		if !triesForm.MatchString(a.Tries) {
			t.Errorf("%s: %q is not one sentence", a.Name, a.Tries)
		}
		if a.Expect.Holds("", 0, "") || a.Expect.Holds("", 0, "1000000 of them") {
			t.Errorf("%s: success counts as stopped", a.Name)
		}
		if a.Expect.String() == "" || strings.Contains(a.Expect.String(), "errno ") {
			t.Errorf("%s: what is expected reads %q", a.Name, a.Expect)
		}
		if got, ok := attack.Find(a.Name); !ok || got.Wall != a.Wall || got.Tries != a.Tries {
			t.Errorf("%s is not found by its name", a.Name)
		}
	}
	if _, ok := attack.Find("no-such-attack"); ok {
		t.Error("an attack was found that there is not")
	}
}

// A wall without an attack is a claim without a proof.
func TestEachWallIsAttacked(t *testing.T) {
	attacked := map[string]bool{}
	for _, a := range attack.All() {
		attacked[a.Wall] = true
	}
	for _, wall := range walls {
		if !attacked[wall] {
			t.Errorf("nothing attacks the %s wall", wall)
		}
	}
}

// The filters come late: what they stop is tried where they stand, and everything
// else before, as they would stop it first.
func TestStages(t *testing.T) {
	stage := map[string]attack.Stage{"seccomp-load": attack.Load, "mdwe": attack.MDWE, "seccomp-run": attack.Run}
	// What a sealed worker can still do without a call that it may not make.
	sealed := []string{"count-descriptors", "read-environment", "allocate", "burn-processor"}
	for _, a := range attack.All() {
		want, ok := stage[a.Wall]
		if !ok {
			want = attack.Entered
		}
		if slices.Contains(sealed, a.Name) {
			want = attack.Run
		}
		if a.Stage != want {
			t.Errorf("%s is made at stage %s, not %s", a.Name, a.Stage, want)
		}
	}
}

// Each limit of a worker has an attack, and the counts are those of the table.
func TestLimitsAreThoseOfTheTable(t *testing.T) {
	by := map[string]string{"data": "allocate", "as": "reserve", "cpu": "burn-processor", "nofile": "open-descriptors", "fsize": "write-file",
		"core": "raise-core", "stack": "raise-stack", "memlock": "lock-memory", "msgqueue": "make-queue", "rtprio": "real-time", "nproc": "fork-bomb"}
	table := rlimit.Step(rlimit.Spec{Data: limits.Default().Data(), CPU: attack.CPUSeconds, OwnUsers: true})
	for _, row := range table {
		a, ok := attack.Find(by[row.Name])
		if !ok {
			t.Errorf("nothing attacks the limit %s", row.Name)
			continue
		}
		value := row.Value
		if row.Name == "data" {
			value /= uint64(limits.MiB)
		}
		if a.Expect.Counted && a.Expect.Most != value {
			t.Errorf("%s may have %d, the limit is %d", a.Name, a.Expect.Most, value)
		}
	}
}

func TestHolds(t *testing.T) {
	filter := attack.Expect{Signals: []string{"SIGSYS"}}
	errno := attack.Expect{Errnos: []syscall.Errno{1, 22}}
	count := attack.Expect{Errnos: []syscall.Errno{12}, Counted: true, Most: 192}
	none := attack.Expect{Errnos: []syscall.Errno{0}, Counted: true, Most: 0}
	either := attack.Expect{Signals: []string{"SIGKILL"}, Errnos: []syscall.Errno{12}}
	for _, tt := range []struct {
		expect attack.Expect
		signal string
		errno  syscall.Errno
		detail string
		want   bool
	}{
		{filter, "SIGSYS", 0, "", true},
		{filter, "SIGSEGV", 0, "", false},
		{filter, "", 0, "", false},
		{filter, "", 1, "", false},
		{errno, "", 1, "", true},
		{errno, "", 22, "", true},
		{errno, "", 0, "", false},
		{errno, "", 2, "", false},
		{errno, "SIGSYS", 1, "", false},
		{count, "", 12, "192 MiB", true},
		{count, "", 12, "0 MiB", true},
		{count, "", 12, "193 MiB", false},
		{count, "", 0, "10 MiB", false},
		{count, "", 12, "", false},
		{count, "", 12, "many", false},
		{count, "", 12, "-1 MiB", false},
		{none, "", 0, "0 segments", true},
		{none, "", 0, "1 segments", false},
		{none, "", 38, "0 segments", false},
		{either, "SIGKILL", 0, "", true},
		{either, "", 12, "", true},
		{either, "SIGSYS", 12, "", false},
	} {
		if got := tt.expect.Holds(tt.signal, tt.errno, tt.detail); got != tt.want {
			t.Errorf("%s: signal %q, errno %d, detail %q: %v", tt.expect, tt.signal, tt.errno, tt.detail, got)
		}
	}
}

func TestExpectInWords(t *testing.T) {
	for want, e := range map[string]attack.Expect{
		"killed by SIGSYS":         {Signals: []string{"SIGSYS"}},
		"EPERM or EINVAL":          {Errnos: []syscall.Errno{1, 22}},
		"ENOMEM, at most 192":      {Errnos: []syscall.Errno{12}, Counted: true, Most: 192},
		"at most 0":                {Errnos: []syscall.Errno{0}, Counted: true},
		"killed by A or EACCES":    {Signals: []string{"A"}, Errnos: []syscall.Errno{13}},
		"killed by A or errno 133": {Signals: []string{"A"}, Errnos: []syscall.Errno{133}},
	} {
		if got := e.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
