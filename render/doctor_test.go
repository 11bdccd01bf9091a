package render

import (
	"fmt"
	"strings"
	"testing"

	"github.com/greentic-ai/greentic-provision/doctor"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/limits/attack"
)

// attempts are five on a wall, of which the last ones have ended otherwise than they must.
func attempts(bad int) (list []doctor.Attempt) {
	for i := range 5 {
		a := doctor.Attempt{Name: fmt.Sprintf("attack-%d", i+1), Tries: "Does what it must not do, and says so at such length that a line is full.",
			Stage: attack.Run, Expected: "killed by SIGSYS", Answer: "killed by SIGSYS", Observer: limits.ByKernel, Held: i < 5-bad}
		if !a.Held {
			a.Answer, a.Observer = "it was let through: "+nasty, limits.ByWorker
		}
		list = append(list, a)
	}
	return list
}

func doctored() *doctor.Report {
	r := &doctor.Report{OK: true, Isolation: limits.Standard, Tried: limits.Standard, Codegen: limits.Native,
		Engine: "wasmtime 39.0.0, configuration 0123456789abcdef", Worker: "sha256:" + strings.Repeat("0123456789abcdef", 4),
		Machine: doctor.Machine{Kernel: "6.12.48 x86_64", UID: 1000}}
	for _, k := range doctor.Kinds() {
		w := doctor.Wall{Kind: k, Status: doctor.Holds, Observer: limits.ByKernel, Attacks: attempts(0)}
		if k.Name == "cgroup" {
			w.Status, w.Reason, w.Attacks = doctor.Absent, "not supported on this system: this kernel has no controller memory; rlimits hold alone", nil
		}
		r.Walls = append(r.Walls, w)
	}
	return r
}

func wallOf(r *doctor.Report, name string) *doctor.Wall {
	for i := range r.Walls {
		if r.Walls[i].Name == name {
			return &r.Walls[i]
		}
	}
	return nil
}

// TestDoctor: what is well fits a screen, and what is not is told in full.
func TestDoctor(t *testing.T) {
	good := doctored()

	bad := doctored()
	bad.OK, bad.Tried = false, limits.None
	bad.Refusal = &doctor.Refusal{Wall: "namespaces", Where: "clone", Reason: "operation not permitted", Hint: "allow them"}
	bad.Problems = []string{"cannot raise the namespaces wall at clone: operation not permitted (allow them)"}
	for _, name := range []string{"namespaces", "mount"} {
		w := wallOf(bad, name)
		w.Status, w.Attacks, w.Reason = doctor.Down, nil, "with isolation none: not asked for"
	}
	w := wallOf(bad, "namespaces")
	w.Reason, w.Hint = "at clone: operation not permitted "+nasty, "allow them "+nasty
	w = wallOf(bad, "seccomp-run")
	w.Status, w.Attacks = doctor.Fails, attempts(5)
	w = wallOf(bad, "mdwe")
	w.Status, w.Reason = doctor.Untried, "not every attack could be made"
	w.Attacks[0].Held, w.Attacks[0].Answer, w.Attacks[0].Error = false, "", "no more processes "+nasty

	none := doctored()
	none.OK, none.Engine, none.Worker = false, "", ""
	none.Refusal = &doctor.Refusal{Reason: "an honest step ended with worker_crash"}
	none.Problems = []string{"no worker can be had: an honest step ended with worker_crash"}
	for i := range none.Walls {
		w := &none.Walls[i]
		w.Status, w.Attacks, w.Reason = doctor.Untried, nil, "no worker got so far"
	}

	flaws := doctored()
	flaws.OK = false
	flaws.Flaws = &doctor.Flaws{Date: "2026-11-28", Guests: []doctor.Guest{
		{Name: "a", Advisories: []string{"CVE-2026-1", "CVE-2026-2"}, Behaviour: "does what it should not, at some length, so that the line is full", Expected: []limits.Verdict{limits.Trap}, Verdict: limits.Trap, Held: true},
		{Name: "b", Advisories: []string{"CVE-2026-3"}, Behaviour: "does worse", Expected: []limits.Verdict{limits.Trap, limits.WorkerCrash}, Verdict: limits.HostFault, Detail: nasty},
	}, Excluded: []doctor.Exclusion{{Advisory: "CVE-2026-4", About: "a leak in the pooling allocator", Why: "it is never enabled"}}}

	waived := doctored()
	waived.Isolation, waived.Tried = limits.None, limits.None

	for _, tt := range []struct {
		name string
		r    *doctor.Report
		all  bool
	}{
		{"doctor.txt", good, false}, {"doctor_all.txt", good, true}, {"doctor_bad.txt", bad, false}, {"doctor_none.txt", none, false},
		{"doctor_flaws.txt", flaws, false}, {"doctor_flaws_all.txt", flaws, true}, {"doctor_waived.txt", waived, false},
	} {
		text := Doctor(tt.r, tt.all, Style{})
		fits(t, text)
		if n := strings.Count(text, "\n"); tt.r.OK && !tt.all && n > 40 {
			t.Errorf("%s: %d lines do not fit a screen", tt.name, n)
		}
		golden(t, tt.name, text)
		uncolour(t, Doctor(tt.r, tt.all, Style{Color: true}), text)
	}
}
