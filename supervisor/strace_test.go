//go:build linux

package supervisor_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/greentic-ai/greentic-provision/internal/guests"
	"github.com/greentic-ai/greentic-provision/internal/workertest"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/limits/seccomp"
	"github.com/greentic-ai/greentic-provision/limits/seccomp/policy"
)

// life is a run of the command line, chosen for what it makes workers do.
type life struct {
	codegen limits.Codegen
	pack    string // of testdata/packs, or else a guest of testdata/guests
	ends    string // its verdict, or the verdicts that it may have
	args    []string
}

var lives = []life{
	{limits.Native, "noop-provision", "ok", nil}, // components, host calls
	{limits.Native, "noop-provision-core", "ok", nil},
	{limits.Native, "recurse", "trap", nil}, // a long backtrace
	{limits.Native, "grow-memory-touched", "ok", nil},
	{limits.Native, "lifting-bomb", "memory_limit", nil},                         // abort
	{limits.Native, "log-endless", "deadline", []string{"--step-timeout=500ms"}}, // garbage
	{limits.Native, "loop-core", "deadline", []string{"--step-timeout=500ms"}},   // the engine's epoch
	// No memory for what comes next: a block of the compiler's, or a thread.
	{limits.Native, "noop-provision", "compile_failed or worker_crash or memory_limit", []string{"--max-compile-memory=64MiB"}},
	{limits.Interpreter, "noop-provision", "ok", nil},
	{limits.Interpreter, "unreachable-core", "trap", nil},
	{limits.Interpreter, "lifting-bomb", "memory_limit", nil},
}

// What the kernel saw of whole lives, from outside: once a filter is in force every
// call that a worker makes is one of the list, by number and argument, and each row
// of a list is there because a life needs it, or says why none may show it.
func TestWorkersMakeTheListedCallsOnly(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and about processes: the race detector sees little of it (make race)")
	}
	strace, err := exec.LookPath("strace")
	if err != nil {
		if strings.Contains(os.Getenv("GREENTIC_CI_MUST_RUN"), "strace") {
			t.Fatal(err)
		}
		t.Skip("strace is not installed; CI installs it and insists")
	}
	cli, err := workertest.Build("greentic-provision")
	if err != nil {
		t.Fatal(err)
	}
	w := &witness{seen: map[string]map[string]bool{}}
	lists := listsAlone(t)
	t.Run("life", func(t *testing.T) {
		for _, l := range lives {
			t.Run(fmt.Sprintf("%s/%s/%s", l.codegen, l.pack, l.ends), func(t *testing.T) {
				t.Parallel()
				watched, errs := w.watch(lists, l.codegen, traced(t, strace, cli, l))
				for _, err := range errs {
					t.Error(err)
				}
				for name := range lists {
					never := strings.Contains(l.ends, "compile_failed") && strings.HasPrefix(name, "run/")
					if watched[name] == 0 && strings.HasSuffix(name, string(l.codegen)) && !never {
						t.Errorf("nothing under %s: this test did not see the worker", name)
					}
				}
			})
		}
	})
	if t.Failed() {
		return // what was not lived cannot be missed
	}
	host, err := seccomp.Host()
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range lists {
		for _, r := range p.For(host) {
			if r.Do == seccomp.Allow && !w.seen[phaseOf(p)][r.String()] && r.Rare == "" {
				t.Errorf("%s: no life needs the row %q, and it does not say why", name, r)
			}
		}
	}
}

// traced runs the command line over the pack and gives what strace saw.
func traced(t *testing.T, strace, cli string, l life) []byte {
	t.Helper()
	dir := t.TempDir()
	pack := filepath.Join("..", "testdata", "packs", l.pack)
	if _, err := os.Stat(pack); errors.Is(err, os.ErrNotExist) {
		source, err := os.ReadFile(filepath.Join("..", "testdata", "guests", l.pack+".wat"))
		if err != nil {
			t.Fatal(err)
		}
		archive, err := guests.Pack(guests.Guest{Name: l.pack, Source: source})
		if err != nil {
			t.Fatal(err)
		}
		pack = filepath.Join(dir, l.pack+".gtpack")
		if err := os.WriteFile(pack, archive, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	trace := filepath.Join(dir, "trace")
	// Raw: constants as numbers. Process ids inside a namespace come with those that
	// strace knows.
	args := []string{"-f", "-qq", "-s", "0", "-X", "raw", "--pidns-translation", "-o", trace,
		cli, "dry-run", "setup", "--pack", pack, "--json", "--no-cache", "--allow-unverified", "--codegen", string(l.codegen)}
	out, err := exec.Command(strace, append(args, l.args...)...).Output()
	exit, failed := errors.AsType[*exec.ExitError](err)
	if err != nil && !failed {
		t.Fatal(err)
	}
	var result struct {
		Verdict limits.Verdict `json:"verdict"`
	}
	if err := json.Unmarshal(out, &result); err != nil && !failed {
		t.Fatal(err)
	}
	if !slices.Contains(strings.Split(l.ends, " or "), string(result.Verdict)) {
		t.Fatalf("verdict %q, want %s: %s", result.Verdict, l.ends, exit.Stderr)
	}
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// listsAlone are the tables of workers that are alone in a pid namespace, by name.
func listsAlone(t *testing.T) map[string]seccomp.Policy {
	t.Helper()
	all := map[string]seccomp.Policy{}
	for _, codegen := range []limits.Codegen{limits.Native, limits.Interpreter} {
		for _, f := range []struct {
			phase policy.Phase
			role  policy.Role
		}{{policy.Load, policy.Step}, {policy.Load, policy.Compile}, {policy.Run, policy.Step}} {
			p, err := policy.For(f.phase, f.role, 1, codegen)
			if err != nil {
				t.Fatal(err)
			}
			all[p.Name] = p
		}
	}
	return all
}

// phaseOf is the first word of a list's name. Lists of one phase share most rows, and
// what compile workers and step workers do there.
func phaseOf(p seccomp.Policy) string {
	phase, _, _ := strings.Cut(p.Name, "/")
	return phase
}

// witness notes which rows workers used.
type witness struct {
	mu   sync.Mutex
	seen map[string]map[string]bool // by phase and row
}

// watch holds the calls of one life against the lists. It gives how many were made
// under each, and what is wrong with them.
func (w *witness) watch(lists map[string]seccomp.Policy, codegen limits.Codegen, text []byte) (watched map[string]int, errs []error) {
	host, err := seccomp.Host()
	if err != nil {
		return nil, []error{err}
	}
	byLength := map[string]seccomp.Policy{} // a filter is known by its length
	for name, p := range lists {
		if !strings.HasSuffix(name, string(codegen)) {
			continue
		}
		program, err := seccomp.Assemble(p, host)
		if err != nil {
			return nil, []error{err}
		}
		length := strconv.Itoa(len(program.Instructions()))
		if other, ok := byLength[length]; ok {
			return nil, []error{fmt.Errorf("%s and %s are of one length", name, other.Name)}
		}
		byLength[length] = p
	}
	calls, err := parseTrace(text)
	if err != nil {
		return nil, []error{err}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	watched = map[string]int{}
	for _, c := range calls {
		if c.filter == "" {
			continue
		}
		p, ok := byLength[c.filter]
		if !ok {
			return nil, []error{fmt.Errorf("a filter of %s instructions is none of ours", c.filter)}
		}
		watched[p.Name]++
		nr, ok := host.Number(c.name)
		if !ok {
			errs = append(errs, fmt.Errorf("%s: a call that is in no table: %s", p.Name, c))
			continue
		}
		if p.Decide(host, host.Audit(), uint32(nr), c.args) == seccomp.Kill {
			errs = append(errs, fmt.Errorf("%s does not allow %s", p.Name, c))
			continue
		}
		r, _ := p.Row(host, uint32(nr), c.args)
		if w.seen[phaseOf(p)] == nil {
			w.seen[phaseOf(p)] = map[string]bool{}
		}
		w.seen[phaseOf(p)][r.String()] = true
	}
	return watched, errs
}

// traceCall is a system call that a worker made.
type traceCall struct {
	name, text string
	args       [6]uint64
	filter     string // instructions of the newest filter around it when it was made; "" is none
}

func (c traceCall) String() string { return c.name + "(" + c.text }

var (
	traceLine  = regexp.MustCompile(`^(\d+) +(.*)$`)
	traceBegun = regexp.MustCompile(`^(\w+)\((.*)$`)
	traceEnded = regexp.MustCompile(`^<\.\.\. (\w+) resumed>(.*)$`)
	traceOther = regexp.MustCompile(`^(\+\+\+|---|\?\?\?\(|<\.\.\. \?\?\? resumed>)`)
	traceEnd   = regexp.MustCompile(`\) += (-?\w+)(?: /\* (\d+) in strace's PID NS \*/)?[^=]*$`)
	traceNote  = regexp.MustCompile(` */\*.*?\*/`)
	traceProg  = regexp.MustCompile(`\{len=(\d+),`)
)

// unfinished is how strace cuts a line when another thread has something to say.
const unfinished = " <unfinished ...>"

// parseTrace reads the output of strace -f -X raw --pidns-translation and gives the
// calls of all step-workers, in the order in which they were begun.
//
// Threads of several processes are interleaved, and a child may speak before the
// call that made it has returned. So this is done in two passes: who is whose
// thread, and then the calls.
func parseTrace(text []byte) ([]traceCall, error) {
	const cloneThread = 0x10000
	type event struct {
		tid, name, text string
		begun, ended    bool
		result          string // by strace's process ids
	}
	var events []event
	pending := map[string]*traceCall{}
	for line := range strings.Lines(string(text)) {
		m := traceLine.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			return nil, fmt.Errorf("no line of strace: %q", line)
		}
		tid, rest := m[1], m[2]
		// Ends, signals, and a call that a kill came before.
		if traceOther.MatchString(rest) {
			continue
		}
		e := event{tid: tid}
		if m := traceEnded.FindStringSubmatch(rest); m != nil {
			begun := pending[tid]
			if begun == nil || begun.name != m[1] {
				return nil, fmt.Errorf("the end of a call that did not begin: %q", line)
			}
			delete(pending, tid)
			e.name, e.text, e.ended = m[1], begun.text+m[2], true
		} else if m := traceBegun.FindStringSubmatch(rest); m != nil {
			e.name, e.text, e.begun = m[1], m[2], true
			if cut, ok := strings.CutSuffix(e.text, unfinished); ok {
				e.text = cut
				pending[tid] = &traceCall{name: e.name, text: cut}
			} else {
				e.ended = true
			}
		} else {
			return nil, fmt.Errorf("no line of strace: %q", line)
		}
		if e.ended {
			if m := traceEnd.FindStringSubmatch(e.text); m != nil {
				e.result = m[1]
				if m[2] != "" {
					e.result = m[2]
				}
			}
		}
		events = append(events, e)
	}

	// First pass.
	maker := map[string]string{} // of a thread: the thread that made it
	for _, e := range events {
		makes := strings.HasPrefix(e.name, "clone") || strings.HasSuffix(e.name, "fork")
		if !makes || e.result == "" || strings.HasPrefix(e.result, "-") {
			continue
		}
		if parseArgs(e.name, e.text)[0]&cloneThread != 0 {
			maker[e.result] = e.tid
		}
	}
	process := func(tid string) string { // its first thread
		for maker[tid] != "" {
			tid = maker[tid]
		}
		return tid
	}

	// Second pass.
	var calls []traceCall
	workers, filter := map[string]bool{}, map[string]string{}
	for _, e := range events {
		p := process(e.tid)
		if e.begun && workers[p] {
			calls = append(calls, traceCall{name: e.name, text: e.text, args: parseArgs(e.name, e.text), filter: filter[p]})
		}
		if !e.ended || e.result != "0" {
			continue
		}
		switch e.name {
		case "execve":
			workers[p] = strings.Contains(e.text, `/step-worker"`)
		case "seccomp":
			if m := traceProg.FindStringSubmatch(e.text); m != nil {
				filter[p] = m[1]
			}
		}
	}
	return calls, nil
}

// parseArgs gives the arguments that are numbers; for calls that make threads, which
// strace shows with names and in an order of its own, the flags.
func parseArgs(name, text string) (args [6]uint64) {
	text = traceNote.ReplaceAllString(text, "")
	if i := strings.Index(text, "flags="); i >= 0 && strings.HasPrefix(name, "clone") {
		args[0] = number(text[i+len("flags="):])
		return args
	}
	depth, start, n := 0, 0, 0
	take := func(end int) {
		if n < len(args) {
			args[n] = number(strings.TrimSpace(text[start:end]))
		}
		n++
		start = end + 1
	}
	for i, r := range text {
		switch r {
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			if depth--; depth < 0 {
				take(i)
				return args
			}
		case ',':
			if depth == 0 {
				take(i)
			}
		}
	}
	take(len(text))
	return args
}

// number reads the number that s begins with, 0 if it begins with none.
func number(s string) uint64 {
	end := strings.IndexFunc(s, func(r rune) bool { return !strings.ContainsRune("-0123456789abcdefx", r) })
	if end >= 0 {
		s = s[:end]
	}
	if n, err := strconv.ParseInt(s, 0, 64); err == nil {
		return uint64(n)
	}
	n, err := strconv.ParseUint(s, 0, 64)
	if err != nil {
		return 0
	}
	return n
}

// Threads of two workers and of the command line, as strace mixes them: calls cut in
// two, a thread that speaks before the call that made it has returned, process ids of
// a namespace, calls that a kill came before.
const mixedTrace = `100 execve("/bin/greentic-provision", [""...], 0x7ffc00 /* 3 vars */) = 0
100 clone(child_stack=NULL, flags=0x7e020011) = 200
100 clone(child_stack=NULL, flags=0x7e020011 <unfinished ...>
200 execve("/x/step-worker", [""..., ""...], 0xc000 /* 3 vars */ <unfinished ...>
100 <... clone resumed>)            = 300
300 execve("/x/step-worker", [""..., ""...], 0xc000 /* 3 vars */) = 0
200 <... execve resumed>)           = 0
200 openat(-100, ""..., 0)            = 3
200 clone3({flags=0x3d0f00, child_tid=0x7f01, parent_tid=0x7f01, exit_signal=0} <unfinished ...>
201 gettid()                          = 2 /* 201 in strace's PID NS */
200 <... clone3 resumed> => {parent_tid=[2]}, 88) = 2 /* 201 in strace's PID NS */
201 clone(child_stack=0x7f02, flags=0x3d0f00 <unfinished ...>
200 seccomp(0x1, 0x1, {len=107, filter=0xc0} <unfinished ...>
201 <... clone resumed>, parent_tid=[3], tls=0x7f03, child_tidptr=0x7f04) = 3 /* 202 in strace's PID NS */
202 openat(-100, ""..., 0)            = -1 ENOENT (No such file or directory)
200 <... seccomp resumed>)          = 0
100 openat(-100, ""..., 0)            = 7
202 mmap(NULL, 4096, 0x1, 0x2, 5, 0 <unfinished ...>
300 openat(-100, ""..., 0)            = 4
202 <... mmap resumed>)             = 0x7f05
202 tgkill(1 /* 200 in strace's PID NS */, 2 /* 201 in strace's PID NS */, 23) = 0
202 --- SIGURG {si_signo=23, si_code=0xfffffffa, si_pid=1 /* 200 in strace's PID NS */, si_uid=65534} ---
202 restart_syscall(<... resuming interrupted nanosleep ...>) = 0
200 seccomp(0x1, 0x1, {len=98, filter=0xc0}) = 0
201 write(3, ""..., 18446744073709551615) = -1 EBADF (Bad file descriptor)
201 ???( <unfinished ...>
201 <... ??? resumed>)                = ?
201 +++ killed by SIGKILL +++
`

func TestMixedTraceIsTakenApart(t *testing.T) {
	calls, err := parseTrace([]byte(mixedTrace))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range calls {
		if c.filter != "" {
			got = append(got, fmt.Sprint(c.filter, " ", c.name, " ", c.args))
		}
	}
	want := []string{
		"107 mmap [0 4096 1 2 5 0]",
		"107 tgkill [1 2 23 0 0 0]",
		"107 restart_syscall [0 0 0 0 0 0]",
		"107 seccomp [1 1 0 0 0 0]",
		"98 write [3 0 18446744073709551615 0 0 0]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, broken := range []string{"nonsense", "12 <... read resumed>) = 0", "12 read(3 <unfinished ...>\n12 <... write resumed>) = 0"} {
		if _, err := parseTrace([]byte(broken)); err == nil {
			t.Errorf("%q was taken", broken)
		}
	}
}

// What TestWorkersMakeTheListedCallsOnly would say of a worker that is not sealed.
func TestUnlistedCallsAreNoticed(t *testing.T) {
	lists := listsAlone(t)
	host, err := seccomp.Host()
	if err != nil {
		t.Skip(err)
	}
	run, err := seccomp.Assemble(lists["run/step/native"], host)
	if err != nil {
		t.Fatal(err)
	}
	begin := fmt.Sprintf("7 execve(\"/x/step-worker\", [], 0x1) = 0\n7 seccomp(0x1, 0x1, {len=%d, filter=0x1}) = 0\n", len(run.Instructions()))
	for call, ok := range map[string]bool{
		"mmap(NULL, 4096, 0x3, 0x22, -1, 0) = 0x1": true,
		"mmap(NULL, 4096, 0x5, 0x22, -1, 0) = 0x1": false,
		"mmap(NULL, 4096, 0x3, 0x21, -1, 0) = 0x1": false,
		"mprotect(0x1, 4096, 0x5) = 0":             false,
		"openat(-100, \"\"..., 0) = 3":             false,
		"tgkill(2, 2, 23) = 0":                     false,
		"syscall_0x400(0, 0, 0, 0, 0, 0) = 0":      false,
	} {
		w := &witness{seen: map[string]map[string]bool{}}
		watched, errs := w.watch(lists, limits.Native, []byte(begin+"7 "+call+"\n"))
		if (len(errs) == 0) != ok || watched["run/step/native"] != 1 {
			t.Errorf("%s: %v, %v", call, errs, watched)
		}
	}
}
