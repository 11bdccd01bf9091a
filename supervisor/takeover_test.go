//go:build linux

package supervisor_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unicode"

	"github.com/greentic-ai/greentic-provision/contract"
	"github.com/greentic-ai/greentic-provision/engine"
	"github.com/greentic-ai/greentic-provision/ipc"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/pack"
	"github.com/greentic-ai/greentic-provision/plan"
	"github.com/greentic-ai/greentic-provision/supervisor"
	"github.com/greentic-ai/greentic-provision/supervisor/codecache"
)

// The tests in this file are about workers that were taken over. Whatever such a
// worker does, its run gets a verdict, and nobody else notices: not the run beside
// it under the same supervisor, not the next one, not whole runs of real workers.
// That nothing is left behind is looked at by TestMain.

// trial is a supervisor whose workers are good, except those that are told
// otherwise, and a run that goes on beside.
type trial struct {
	*supervisor.Supervisor
	worker   string
	compiles int
	alone    engine.Reply      // of a run with nobody beside it
	beside   *supervisor.Lease // a run that has begun
	spawns   *atomic.Int32     // of newMortal
}

func newTrial(t *testing.T, change ...func(*supervisor.Config)) *trial {
	t.Helper()
	tr := &trial{worker: fakeWorker(t, "good")}
	cache, err := codecache.Open(filepath.Join(t.TempDir(), "cache"), codecache.DefaultSize)
	if err != nil {
		t.Fatal(err)
	}
	tr.Supervisor = newSupervisor(t, "good", slices.Concat([]func(*supervisor.Config){func(c *supervisor.Config) {
		c.Worker, c.Cache, c.Max, c.Limits = tr.worker, cache, 2, limits.Default()
		c.Limits.StartTime, c.Limits.StepTime = 20*time.Second, 20*time.Second // nobody shall be late by accident
	}}, change)...)
	if tr.alone, err = tr.run(t.Context(), component, small); err != nil || tr.alone.Verdict != limits.OK {
		t.Fatalf("nobody is bad: %+v, %v", tr.alone, err)
	}
	if tr.beside, err = tr.Open(t.Context(), []pack.Component{component}, nobody{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.beside.Close)
	tr.untouched(t)
	return tr
}

var small = []byte(`{"in":1}`)

// large gives a request that no socket buffer holds. It is no variable, because every
// fake would make it as it starts.
func large() []byte { return fmt.Appendf(nil, `{"in":"%s"}`, bytes.Repeat([]byte("x"), 1<<20-100)) }

// run does two steps, or as many as there are before one that fails.
func (tr *trial) run(ctx context.Context, c pack.Component, request []byte) (r engine.Reply, err error) {
	l, err := tr.Open(ctx, []pack.Component{c}, nobody{})
	if err != nil {
		return r, err
	}
	defer l.Close()
	for range 2 {
		r, err = l.RunStep(ctx, engine.Call{Action: contract.ActStep, Step: plan.Apply, Request: request})
		if err != nil || r.Verdict != limits.OK {
			break
		}
	}
	return r, err
}

// outcome is how it ended with a worker that was told something.
type outcome struct {
	reply  engine.Reply
	answer supervisor.Answer // of a probe
	err    error
}

// meet has the worker that is started next in a role be of that personality.
func (tr *trial) meet(t *testing.T, role, personality string) outcome {
	t.Helper()
	return <-tr.begin(t, role, personality, small)
}

// begin is meet that does not wait.
func (tr *trial) begin(t *testing.T, role, personality string, request []byte) <-chan outcome {
	t.Helper()
	c, others := component, 0
	if role == ipc.RoleCompile {
		tr.compiles++ // what no cache has
		c.Bytes, others = strconv.AppendInt(slices.Clone(c.Bytes), int64(tr.compiles), 10), 1
	}
	nextWorker(t, tr.worker, personality, others)
	out := make(chan outcome, 1)
	go func() {
		var o outcome
		if role == ipc.RoleProbe {
			o.answer, o.err = tr.Probe(t.Context(), "run", "open")
		} else {
			o.reply, o.err = tr.run(t.Context(), c, request)
		}
		out <- o
	}()
	return out
}

// untouched looks at everybody else: the run beside and the next one end as one that
// is alone.
func (tr *trial) untouched(t *testing.T) {
	t.Helper()
	r, err := tr.beside.RunStep(t.Context(), engine.Call{Action: contract.ActStep, Step: plan.Apply, Request: small})
	if !tr.same(r) || err != nil {
		t.Errorf("the run beside: %+v, %v\nalone: %+v", r, err, tr.alone)
	}
	if r, err := tr.run(t.Context(), component, small); !tr.same(r) || err != nil {
		t.Errorf("the next run: %+v, %v\nalone: %+v", r, err, tr.alone)
	}
}

func (tr *trial) same(r engine.Reply) bool {
	r.Timing = tr.alone.Timing // the only thing that may differ
	return reflect.DeepEqual(r, tr.alone)
}

// verdict is what must come of it: a verdict of the run, or an error of our side.
type verdict struct {
	limits.Verdict
	signal string
	detail string // in the detail or the error
	before bool   // no step was sent
	ours   bool   // *supervisor.WorkerError
}

func (o outcome) check(t *testing.T, want verdict) {
	t.Helper()
	if o.err != nil {
		isOneLine(t, o.err)
	}
	if want.ours {
		var we *supervisor.WorkerError
		if !errors.As(o.err, &we) || !strings.Contains(o.err.Error(), want.detail) {
			t.Errorf("%+v, %v; want an error about the worker: %s", o.reply, o.err, want.detail)
		}
		return
	}
	r := o.reply
	if o.err != nil || r.Verdict != want.Verdict || r.Signal != want.signal || !strings.Contains(r.Detail, want.detail) || r.NotStarted != want.before {
		t.Errorf("error %v, verdict %s, signal %q, not started %t, detail %.500q\nwant %+v", o.err, r.Verdict, r.Signal, r.NotStarted, r.Detail, want)
	}
	if r.Response != nil && r.Verdict != limits.OK {
		t.Errorf("a response came along: %.500q", r.Response)
	}
	if len(r.Detail) > 4096+200 || len(r.Logs) > int(limits.Default().Log)/16 {
		t.Errorf("a detail of %d bytes, %d lines of log", len(r.Detail), len(r.Logs))
	}
}

// isOneLine holds an error in which a worker had a hand to what people can read.
func isOneLine(t *testing.T, err error) {
	t.Helper()
	if line := err.Error(); len(line) > 3000 || strings.ContainsFunc(line, unicode.IsControl) {
		t.Errorf("an error of %d bytes: %.3000q", len(line), line)
	}
}

// Each personality is a worker that was taken over, or died.
func TestTakenOverWorkers(t *testing.T) {
	broken := func(detail string) verdict {
		return verdict{Verdict: limits.ProtocolViolation, detail: detail}
	}
	crash := func(signal, detail string) verdict {
		return verdict{Verdict: limits.WorkerCrash, signal: signal, detail: detail}
	}
	failed := func(signal, detail string) verdict {
		return verdict{Verdict: limits.CompileFailed, signal: signal, detail: detail, before: true}
	}
	before := func(v verdict) verdict { v.before = true; return v }
	fine := verdict{Verdict: limits.OK}

	tr := newTrial(t)
	besideRealRuns(t, func() {
		for _, c := range []struct {
			personality, role string
			want              verdict
		}{
			{"exits 7 in a step", ipc.RoleStep, crash("", "status 7 during step apply")},
			{"reports SIGSEGV", ipc.RoleStep, crash("SIGSEGV", "SIGSEGV during step apply")},
			{"half a frame and exits", ipc.RoleStep, crash("", "status 0 during step apply")},
			{"answers and exits", ipc.RoleStep, crash("", "status 0 during step apply")}, // its second step finds nobody
			{"forks and exits", ipc.RoleStep, crash("", "status 0 during step apply")},
			{"runs out of Rust memory", ipc.RoleStep, verdict{Verdict: limits.MemoryLimit, signal: "SIGABRT", detail: "memory limit"}},

			{"closes the socket", ipc.RoleStep, broken("closed its socket")},
			{"garbage", ipc.RoleStep, broken("")},
			{"4 GiB frame", ipc.RoleStep, broken("4294967295")},
			{"array bomb", ipc.RoleStep, broken("want a map")},
			{"nested arrays", ipc.RoleStep, broken("want a map")},
			{"wrong id", ipc.RoleStep, broken("the id 2 of Result is not 1")},
			{"no id", ipc.RoleStep, broken("the id 0 of Result is not 1")},
			{"id of the step before", ipc.RoleStep, broken("the id 1 of Result is not 2")},
			{"result nobody asked for", ipc.RoleStep, broken("the id 7 of Result is not 1")},
			{"two results", ipc.RoleStep, broken("the id 1 of Result is not 2")},
			{"host call of another run", ipc.RoleStep, broken("the id 2 of HostCall is not 1")},
			{"two host calls at once", ipc.RoleStep, fine}, // as if one came after the other
			{"Sealed with an id", ipc.RoleStep, before(broken("must be 0"))},
			{"invents a verdict", ipc.RoleStep, broken("splendid")},
			{"verdict of noise", ipc.RoleStep, broken(`verdict "\x1b[31m`)},
			{"endless host calls", ipc.RoleStep, broken("over the limits")},
			{"host call over the limit", ipc.RoleStep, broken("over the limits")},
			{"output over the limit", ipc.RoleStep, broken("more than 1 MiB")},
			{"too many optional frames", ipc.RoleStep, broken("in a row")},
			{"optional frame over its cap", ipc.RoleStep, broken("4097")},
			{"talks on after its result", ipc.RoleStep, broken("there is no type 0")},

			{"another engine", ipc.RoleStep, before(broken(`engine "fake-engine", not "other"`))},
			{"another engine", ipc.RoleCompile, before(broken(`engine "other", not "fake-engine"`))},
			{"engine of noise", ipc.RoleCompile, before(broken("engine"))},
			{"loads another component", ipc.RoleStep, before(broken("in answer to Load"))},
			{"invents a verdict of loading", ipc.RoleStep, before(broken(`"trap" in Loaded`))},
			{"mismatch", ipc.RoleStep, before(verdict{Verdict: limits.ContractMismatch, detail: "imports x:y/z"})},
			{"result of noise", ipc.RoleStep, verdict{Verdict: limits.Trap}},

			{"compiler dies", ipc.RoleCompile, failed("SIGSEGV", component.Path)},
			{"compiler lies", ipc.RoleCompile, failed("", "wrote 0")},
			{"compiler writes a hole", ipc.RoleCompile, failed("", "wrote 3221225472")},
			{"compiler keeps a mapping", ipc.RoleCompile, fine},
			{"compiler fails with noise", ipc.RoleCompile, failed("", component.Path)},
			{"compiler names no layer", ipc.RoleCompile, before(broken("tin"))},
		} {
			t.Run(c.personality+" in role "+c.role, func(t *testing.T) {
				tr.meet(t, c.role, c.personality).check(t, c.want)
				tr.untouched(t)
			})
		}
	})
}

// What these do is to let time pass; so they do it at once.
func TestLateWorkers(t *testing.T) {
	late := verdict{Verdict: limits.Deadline, detail: "did not finish within 500ms"}
	cases := []struct {
		personality, role string
		want              verdict
		trial             *trial
		ended             <-chan outcome
	}{
		{personality: "silent in a step", role: ipc.RoleStep, want: late},
		{personality: "never reads", role: ipc.RoleStep, want: late},
		{personality: "asks and never reads", role: ipc.RoleStep, want: late},
		{personality: "result after the deadline", role: ipc.RoleStep, want: late},
		{personality: "answers and stays", role: ipc.RoleStep, want: late}, // in its second step
		{personality: "floods stderr", role: ipc.RoleStep, want: late},     // its own output holds it up
		{personality: "floods stdout", role: ipc.RoleStep, want: late},
		{personality: "half a header", role: ipc.RoleStep, want: late},
		{personality: "half a body", role: ipc.RoleStep, want: late},
		{personality: "a byte at a time", role: ipc.RoleStep, want: late},
		{personality: "frame at its cap and no body", role: ipc.RoleStep, want: late},
		{personality: "ignores signals", role: ipc.RoleStep, want: late},
		{personality: "forks and stays", role: ipc.RoleStep, want: late},
		{personality: "compiler hangs", role: ipc.RoleCompile, want: verdict{Verdict: limits.CompileFailed, detail: "longer than 1s", before: true}},
	}
	for i := range cases {
		c := &cases[i]
		c.trial = newTrial(t, func(c *supervisor.Config) {
			c.Limits.StepTime, c.Limits.CompileTime = 500*time.Millisecond, time.Second
		})
		c.ended = c.trial.begin(t, c.role, c.personality, large())
	}
	for _, c := range cases {
		t.Run(c.personality, func(t *testing.T) {
			(<-c.ended).check(t, c.want)
			c.trial.untouched(t)
		})
	}
}

// Odd, but within the rules: the run is that of a good worker, and nobody is led to
// believe more than it was told.
func TestOddWorkersAreServed(t *testing.T) {
	tr := newTrial(t)
	for _, personality := range []string{"optional frames", "passes descriptors", "floods beside its answer", "loads with noise", "claims much", "level of noise", "operation of noise"} {
		t.Run(personality, func(t *testing.T) {
			nextWorker(t, tr.worker, personality, 0)
			l, err := tr.Open(t.Context(), []pack.Component{component}, nobody{})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			e, err := l.Examine(t.Context(), 0, "")
			if err != nil {
				t.Fatal(err)
			}
			r, err := l.RunStep(t.Context(), engine.Call{Action: contract.ActStep, Step: plan.Apply, Request: small})
			if err != nil || r.Verdict != limits.OK {
				t.Fatalf("%+v, %v", r, err)
			}
			receipt := l.Receipt()
			if len(receipt.Walls) > 2*32+2 { // and those that the supervisor itself has raised
				t.Errorf("a receipt of %d walls", len(receipt.Walls))
			}
			said := slices.Concat(e.Imports, e.Exports, []string{receipt.Engine})
			for _, w := range receipt.Walls {
				said = append(said, w.Name, w.Detail)
			}
			for _, c := range e.Contracts {
				said = append(said, c.Name)
				for _, a := range c.Actions {
					said = append(said, string(a))
				}
			}
			for _, s := range said {
				if len(s) > 512+len("…") || strings.ContainsFunc(s, unicode.IsControl) {
					t.Errorf("%d bytes of %.40q", len(s), s)
				}
			}
		})
	}
	tr.untouched(t)
}

// What a worker calls its engine goes into receipts and names of cache entries.
func TestAnEngineOfNoise(t *testing.T) {
	l, err := newSupervisor(t, "engine of noise").Open(t.Context(), nil, nobody{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if name := l.Receipt().Engine; len(name) > 512+len("…") || strings.ContainsFunc(name, unicode.IsControl) {
		t.Errorf("an engine of %d bytes: %.40q", len(name), name)
	}
}

// protocolTable gives the rows of the table of ipc/PROTOCOL.md that begins with these
// columns. Package ipc holds its code against the same tables.
func protocolTable(t *testing.T, columns string) (rows [][]string) {
	t.Helper()
	doc, err := os.ReadFile(filepath.Join("..", "ipc", "PROTOCOL.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(doc), "\n| "+columns)
	if !ok {
		t.Fatalf("PROTOCOL.md has no table %q", columns)
	}
	for i, line := range strings.Split(table, "\n") {
		if i > 0 && !strings.HasPrefix(line, "|") {
			break
		}
		if i > 1 { // below the dashes
			cells := strings.Split(strings.Trim(line, "| "), "|")
			for j := range cells {
				cells[j] = strings.TrimSpace(cells[j])
			}
			rows = append(rows, cells)
		}
	}
	return rows
}

// listening is the state in which the supervisor hears what a worker says at a
// station, and the types that it may hear then. In a state where the supervisor has
// the word, it hears what was said meanwhile when it has spoken.
func listening(t *testing.T, state string) (then string, allowed []string) {
	t.Helper()
	for _, row := range protocolTable(t, "state | speaks | may say | which leads to |") {
		from, speaks, says, to := row[0], row[1], row[2], row[3]
		switch {
		case from != state:
		case speaks == "worker":
			then, allowed = state, append(allowed, says)
		case then == "": // its first choice is what the tests' runs do
			return listening(t, to)
		}
	}
	return then, allowed
}

var every = flag.Bool("crash", false, "send every message where it may not come, not a third of them (make crash)")

// The messages of the protocol, of either side, and some that it does not know, are
// sent at the stations where they are not the worker's to send. The table of the
// protocol says where that is.
func TestEveryMessageWhereItMayNotCome(t *testing.T) {
	type message struct {
		name        string
		code, flags int
	}
	messages := []message{{"no type", 0, 0}, {"unknown type of the worker", 31, 0}, {"unknown type of the supervisor", 77, 0},
		{"optional type of the supervisor", 77, int(ipc.FlagOptional)}, {"unknown flag", int(ipc.TypeResult), 2}}
	for _, row := range protocolTable(t, "code | name | from | files | cap | when |") {
		code, err := strconv.Atoi(row[0])
		if err != nil {
			t.Fatal(err)
		}
		messages = append(messages, message{row[1], code, 0})
	}
	tr := newTrial(t)
	sent := 0
	for i, s := range stations {
		t.Run(s.String(), func(t *testing.T) {
			then, allowed := listening(t, s.state)
			for j, m := range messages {
				if !*every && (i+j)%3 != 0 {
					continue
				}
				if m.flags == 0 && slices.Contains(allowed, m.name) {
					// An answer before its question; that of a step must name the step,
					// which a worker that has seen none cannot.
					if s.state != "sealed" {
						continue
					}
				}
				sent++
				what := fmt.Sprintf("%s, heard in state %s", m.name, then)
				o := tr.meet(t, s.role, at(s, fmt.Sprintf("frame %d %d", m.code, m.flags)))
				if !o.ended(s, limits.ProtocolViolation, "") {
					t.Errorf("%s: %+v, %+v, %v", what, o.reply, o.answer, o.err)
				}
			}
			tr.untouched(t)
		})
	}
	all := len(stations) * (len(messages) - 2)
	if !*every {
		all /= 3
	}
	if sent < all-len(stations) {
		t.Errorf("only %d messages at %d stations", sent, len(stations))
	}
}

// ended says whether a run ended as it must when its worker did something at a
// station: broke the protocol, exited with status 0, died of a signal, or fell silent.
func (o outcome) ended(s station, v limits.Verdict, signal string) bool {
	var we *supervisor.WorkerError
	detail := ""
	if v == limits.WorkerCrash && signal == "" {
		detail = "status 0"
	}
	answering := s.state == "compile" || s.state == "compiling" || s.state == "probe" || s.state == "trying"
	switch {
	case s.state == "new" && (v == limits.ProtocolViolation || v == limits.WorkerCrash && signal == ""):
		return errors.As(o.err, &we) && strings.Contains(o.err.Error(), detail) // it is no worker of ours
	case s.role == ipc.RoleProbe && (!answering || v == limits.ProtocolViolation):
		return o.err != nil && strings.Contains(o.err.Error(), string(v)) && strings.Contains(o.err.Error(), cmp.Or(signal, detail))
	case s.role == ipc.RoleProbe:
		return o.err == nil && o.answer.Signal == signal && o.answer.Late == (v == limits.Deadline) && strings.Contains(o.answer.Detail, detail)
	case s.role == ipc.RoleCompile && answering:
		v = limits.CompileFailed
	}
	before := s.role == ipc.RoleCompile || !slices.Contains([]string{"sealed", "running", "calling"}, s.state)
	r := o.reply
	return o.err == nil && r.Verdict == v && r.Signal == signal && strings.Contains(r.Detail, detail) && r.NotStarted == before && r.Response == nil
}

func TestExitAtEachStation(t *testing.T) {
	tr := newTrial(t)
	for _, s := range stations {
		t.Run(s.String(), func(t *testing.T) {
			if o := tr.meet(t, s.role, at(s, "exit")); !o.ended(s, limits.WorkerCrash, "") {
				t.Errorf("%+v, %+v, %v", o.reply, o.answer, o.err)
			}
			tr.untouched(t)
		})
	}
}

// spawned is the station of a process that has not come to its first instruction.
func spawned(role string) station { return station{role: role, state: "spawned"} }

// While one run's worker is killed or stopped at each boundary between two messages,
// in each role, nobody else notices.
func TestDeathAtEachPhaseTouchesNobodyElse(t *testing.T) {
	places := append([]station{spawned(ipc.RoleStep), spawned(ipc.RoleCompile), spawned(ipc.RoleProbe)}, stations...)
	// Those that are stopped let time pass, and do it at once.
	stopped := make([]*trial, len(places))
	ended := make([]<-chan outcome, len(places))
	for i, s := range places {
		stopped[i] = newMortal(t, syscall.SIGSTOP)
		ended[i] = stopped[i].dies(t, s)
	}
	killed := newMortal(t, syscall.SIGKILL)
	for i, s := range places {
		t.Run("SIGKILL "+s.String(), func(t *testing.T) {
			if o := <-killed.dies(t, s); !o.ended(s, limits.WorkerCrash, "SIGKILL") {
				t.Errorf("%+v, %+v, %v", o.reply, o.answer, o.err)
			}
			killed.untouched(t)
		})
		t.Run("SIGSTOP "+s.String(), func(t *testing.T) {
			if o := <-ended[i]; !o.ended(s, limits.Deadline, "") {
				t.Errorf("%+v, %+v, %v", o.reply, o.answer, o.err)
			}
			stopped[i].untouched(t)
		})
	}
}

// newMortal makes a trial in which workers get a signal when they come to a station.
func newMortal(t *testing.T, signal syscall.Signal) *trial {
	t.Helper()
	var spawns atomic.Int32 // how many are to come before the one that gets the signal, and that one
	tr := newTrial(t, func(c *supervisor.Config) {
		if signal == syscall.SIGSTOP {
			c.Limits.StartTime, c.Limits.StepTime, c.Limits.CompileTime = 4*time.Second, time.Second, time.Second
		}
		c.Events.Phase = func(pid int, phase string) {
			if phase == "spawned" && spawns.Load() > 0 && spawns.Add(-1) == 0 {
				_ = syscall.Kill(pid, signal)
			}
		}
	})
	tr.spawns = &spawns
	reports(t, tr.worker, func(pid int) { _ = syscall.Kill(pid, signal) })
	return tr
}

// dies begins a run whose worker gets the signal at a station.
func (tr *trial) dies(t *testing.T, s station) <-chan outcome {
	t.Helper()
	if s.state != "spawned" {
		return tr.begin(t, s.role, at(s, "report"), small)
	}
	spawns := int32(1)
	if s.role == ipc.RoleCompile {
		spawns = 2
	}
	tr.spawns.Store(spawns)
	return tr.begin(t, s.role, "good", small)
}

// A worker's children end with it, whatever they hold and wherever they went.
func TestForkedChildrenEndWithTheWorker(t *testing.T) {
	tr := newTrial(t, func(c *supervisor.Config) { c.Limits.StepTime = 500 * time.Millisecond })
	for personality, want := range map[string]verdict{
		"forks and stays":              {Verdict: limits.Deadline, detail: "did not finish"},
		"forks and exits":              {Verdict: limits.WorkerCrash, detail: "status 0"},
		"forks, and the child answers": {Verdict: limits.Deadline, detail: "did not finish"}, // in its second step
	} {
		t.Run(personality, func(t *testing.T) {
			tr.meet(t, ipc.RoleStep, personality).check(t, want)
			for deadline := time.Now().Add(2 * time.Second); ; time.Sleep(5 * time.Millisecond) {
				left := lingerers(t, tr.worker)
				if len(left) == 0 {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("still there: %v", left)
				}
			}
			tr.untouched(t)
		})
	}
}

// Without a pid namespace a worker's child may outlive it, with the socket in its
// hand. The run ends in its time all the same.
func TestABareWorkersChildHoldsNobodyUp(t *testing.T) {
	tr := newTrial(t, func(c *supervisor.Config) { c.Isolation, c.Limits.StepTime = limits.None, 500*time.Millisecond })
	supervisor.Bare(tr.Supervisor)
	tr.meet(t, ipc.RoleStep, "forks and exits").check(t, verdict{Verdict: limits.Deadline, detail: "did not finish"})
	left := lingerers(t, tr.worker)
	if len(left) != 1 {
		t.Errorf("%d children are left; this test is about one", len(left))
	}
	for _, pid := range left {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}
}

// lingerers gives the processes that fakes of that path have left behind.
func lingerers(t *testing.T, worker string) (pids []int) {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range lines {
		if line, err := os.ReadFile(path); err == nil && bytes.Contains(line, []byte("\x00"+lingerer+"\x00"+worker+"\x00")) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	return pids
}

// Seen from a worker there is nobody to kill: no parent, no process of that number,
// and itself it cannot, as the first process of its namespace.
func TestAWorkerReachesNobodyElse(t *testing.T) {
	tr := newTrial(t)
	if err := os.WriteFile(beside(tr.worker, "tests"), []byte(strconv.Itoa(os.Getpid())), 0o644); err != nil {
		t.Fatal(err)
	}
	nextWorker(t, tr.worker, "kills its parent", 0)
	r, err := runOne(t, tr.Supervisor, nobody{})
	want := fmt.Sprintf("parent 0, %[1]v, %[1]v, <nil>, <nil>, %[1]v", syscall.ESRCH)
	if err != nil || r.Verdict != limits.OK || string(r.Response) != want {
		t.Errorf("%s, %q, %v; want %q", r.Verdict, r.Response, err, want)
	}
	tr.untouched(t)
}

// What a probe says is held to what an answer can be.
func TestProbesThatLie(t *testing.T) {
	tr := newTrial(t, func(c *supervisor.Config) { c.Limits.StartTime = 4 * time.Second })
	silent := newTrial(t, func(c *supervisor.Config) { c.Limits.StartTime = time.Second })
	late := silent.begin(t, ipc.RoleProbe, at(stations[len(stations)-1], "report"), nil)
	reports(t, silent.worker, func(int) {}) // it is heard, and goes on waiting
	for personality, want := range map[string]string{
		"probe of errno -1":   "errno -1",
		"probe of errno 4096": "errno 4096",
	} {
		if o := tr.meet(t, ipc.RoleProbe, personality); o.err == nil || !strings.Contains(o.err.Error(), "protocol") || !strings.Contains(o.err.Error(), want) {
			t.Errorf("%s: %+v, %v", personality, o.answer, o.err)
		}
	}
	if o := tr.meet(t, ipc.RoleProbe, "probe with noise"); o.err != nil || o.answer.Errno != syscall.EPERM || o.answer.Observer != limits.ByWorker ||
		len(o.answer.Detail) > 600 || strings.ContainsFunc(o.answer.Detail, unicode.IsControl) {
		t.Errorf("noise: %+v, %v", o.answer, o.err)
	}
	if o := tr.meet(t, ipc.RoleProbe, "probe aborts"); o.err != nil || o.answer.Signal != "SIGABRT" || o.answer.Observer != limits.ByWorker {
		t.Errorf("aborts: %+v, %v", o.answer, o.err)
	}
	for _, personality := range []string{"probe refuses with noise", "probe refuses without a word"} {
		if o := tr.meet(t, ipc.RoleProbe, personality); o.err == nil {
			t.Errorf("%s: %+v", personality, o.answer)
		} else {
			isOneLine(t, o.err)
		}
	}
	if o := <-late; o.err != nil || !o.answer.Late {
		t.Errorf("silent: %+v, %v", o.answer, o.err)
	}
	tr.untouched(t)
}
