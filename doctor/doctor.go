// Package doctor finds out what the walls of a worker are worth on this machine: it
// has a worker raise them as for a run, and then has them attacked from inside, one
// attack (limits/attack) in one worker that is there for nothing else. It judges what
// it is told; whoever starts the workers is a Sandbox.
//
//	Sandbox.Raise ── receipt, or the wall that cannot be raised ──┐
//	Sandbox.Attack ── what the kernel answered, per attack ───────┴─► Report
//
// # What a wall is
//
//	holds    it stands, and every attack on it ended as it must
//	fails    it is said to stand, but an attack ended otherwise, or the kernel says otherwise
//	down     it does not stand, and the isolation that was asked for needs it
//	absent   it does not stand, and the isolation that was asked for does without
//	untried  it could not be looked at
//
// Which walls isolation needs is not decided here: a worker that is had with it has
// them. Where none can be had, a wall is to blame, and the others are looked at in a
// worker with isolation none, so that one report names everything that is wrong.
package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/limits/attack"
)

// Sandbox starts workers, a new one in every call. Both methods are called from
// several goroutines.
type Sandbox interface {
	// Raise has a worker raise all of its walls, as for a run, and gives those that
	// stood at the end. The error is a *limits.WallError when one cannot be raised; the
	// receipt then has those that stood before, if any.
	Raise(ctx context.Context, isolation limits.Isolation) (limits.Receipt, error)
	// Attack has a worker raise its walls up to a stage and make an attack.
	Attack(ctx context.Context, isolation limits.Isolation, stage attack.Stage, name string) (Answer, error)
}

// Answer is what came of an attack: of errno, what the kernel said to the attacker
// (0: it did as it was told); of signal, what the attacker died of ("SIGSYS", "" when
// it lived); whether there was none in time; who saw it, and text for people.
type Answer struct {
	Errno    syscall.Errno
	Signal   string
	Late     bool
	Observer limits.Observer
	Detail   string
}

// Report is what was found. It holds text of our own worker only.
type Report struct {
	OK        bool             `json:"ok"`
	Isolation limits.Isolation `json:"isolation"` // that was asked for
	// Tried is the isolation of the workers that were looked at: "none" where there are
	// none with the one that was asked for.
	Tried    limits.Isolation `json:"tried"`
	Codegen  limits.Codegen   `json:"codegen"`
	Engine   string           `json:"engine,omitempty"` // as in a receipt
	Worker   string           `json:"worker,omitempty"` // as in a receipt
	Machine  Machine          `json:"machine"`
	Refusal  *Refusal         `json:"refusal,omitempty"` // why there is no worker with the isolation that was asked for
	Walls    []Wall           `json:"walls"`
	Flaws    *Flaws           `json:"engine_flaws,omitempty"` // if they were asked for
	Problems []string         `json:"problems"`               // everything that is wrong, one line each; none if OK
}

// Machine is what the walls are raised on and by.
type Machine struct {
	Kernel string `json:"kernel"` // release and machine: "6.12.48 x86_64"
	UID    int    `json:"uid"`    // of this process
}

// Refusal is why a worker cannot be had. Wall, Where and Hint are empty where no wall
// is to blame.
type Refusal struct {
	Wall   string `json:"wall,omitempty"`
	Where  string `json:"where,omitempty"`
	Reason string `json:"reason"`
	Hint   string `json:"hint,omitempty"`
}

// Status is what is known of a wall.
type Status string

// The statuses; see the package's comment.
const (
	Holds   Status = "holds"
	Fails   Status = "fails"
	Down    Status = "down"
	Absent  Status = "absent"
	Untried Status = "untried"
)

// Wall is one wall, as it was found. Observer and Detail are those of the receipt;
// Reason and Hint say why it does not stand, and what would help.
type Wall struct {
	Kind
	Status   Status          `json:"status"`
	Observer limits.Observer `json:"observer,omitempty"`
	Detail   string          `json:"detail,omitempty"`
	Reason   string          `json:"reason,omitempty"`
	Hint     string          `json:"hint,omitempty"`
	Attacks  []Attempt       `json:"attacks,omitempty"`
}

// Held counts the attacks that ended as they must.
func (w Wall) Held() int {
	n := 0
	for _, a := range w.Attacks {
		if a.Held {
			n++
		}
	}
	return n
}

// Attempt is one attack that was made, or could not be (Error).
type Attempt struct {
	Name     string          `json:"name"`
	Tries    string          `json:"tries"`
	Stage    attack.Stage    `json:"stage"`
	Expected string          `json:"expected"`
	Answer   string          `json:"answer,omitempty"`
	Observer limits.Observer `json:"observer,omitempty"`
	Held     bool            `json:"held"`
	Error    string          `json:"error,omitempty"`
}

// Flaws are the published flaws of the engine, as of a date, and what they come to on
// this machine.
type Flaws struct {
	Date     string      `json:"date"` // of the list, YYYY-MM-DD
	Guests   []Guest     `json:"guests"`
	Excluded []Exclusion `json:"excluded"`
}

// Guest is code that uses flaws of the engine, and how it ended.
type Guest struct {
	Name       string           `json:"name"`
	Advisories []string         `json:"advisories"`
	Behaviour  string           `json:"behaviour"`
	Expected   []limits.Verdict `json:"expected"` // any of them will do
	Verdict    limits.Verdict   `json:"verdict"`
	Detail     string           `json:"detail,omitempty"`
	Held       bool             `json:"held"`
}

// Exclusion is a flaw that no guest can reach.
type Exclusion struct {
	Advisory string `json:"advisory"`
	About    string `json:"about"`
	Why      string `json:"why"`
}

// Options says what to find out.
type Options struct {
	Isolation limits.Isolation
	Codegen   limits.Codegen
	Attacks   []attack.Attack
	Workers   int // alive at once, at least 1
}

// Examine looks at the walls. The error is the context's cause, for what ended it
// early; what is wrong with the machine is in the report.
func Examine(ctx context.Context, sandbox Sandbox, o Options) (*Report, error) {
	e := examination{Options: o, sandbox: sandbox, tried: o.Isolation}
	receipt, err := sandbox.Raise(ctx, o.Isolation)
	r := &Report{Isolation: o.Isolation, Codegen: o.Codegen, Problems: []string{}, Refusal: refusal(err)}
	if r.Refusal != nil && r.Refusal.Wall != "" && o.Isolation != limits.None && ctx.Err() == nil {
		e.tried = limits.None
		receipt, err = sandbox.Raise(ctx, e.tried)
	}
	e.stood(receipt, err == nil)
	if err := e.attack(ctx); err != nil {
		return nil, err
	}
	r.Tried, r.Engine, r.Worker = e.tried, receipt.Engine, receipt.Worker
	kinds := Kinds()
	for _, row := range receipt.Walls {
		if !slices.ContainsFunc(kinds, func(k Kind) bool { return k.Name == row.Name }) {
			kinds = append(kinds, Kind{Name: row.Name}) // of which nothing is known, so that it cannot hold
		}
	}
	for _, k := range kinds {
		r.Walls = append(r.Walls, e.judge(k, r.Refusal))
	}
	r.sum()
	return r, nil
}

func refusal(err error) *Refusal {
	if err == nil {
		return nil
	}
	wall, ok := errors.AsType[*limits.WallError](err)
	if !ok {
		return &Refusal{Reason: oneLine(err)}
	}
	r := &Refusal{Wall: wall.Wall, Where: wall.Where, Reason: "it cannot be raised", Hint: wall.Hint}
	if wall.Err != nil {
		r.Reason = oneLine(wall.Err)
	}
	return r
}

// place gives what follows on the name of a wall: " at clone: no space left on device".
func (r *Refusal) place() string {
	if r.Where == "" {
		return ": " + r.Reason
	}
	return " at " + r.Where + ": " + r.Reason
}

func oneLine(err error) string { return strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ") }

// examination is one in the course of being made.
type examination struct {
	Options
	sandbox  Sandbox
	tried    limits.Isolation
	rows     map[string]limits.Wall
	complete bool // the rows are all that there are
	attempts map[string][]Attempt
}

// stood takes over what a worker reported, up to the end or to where it got.
func (e *examination) stood(receipt limits.Receipt, complete bool) {
	e.rows, e.complete = map[string]limits.Wall{}, complete
	for _, row := range receipt.Walls {
		e.rows[row.Name] = row
	}
	if len(e.rows) > 0 { // no worker reports anything before it has done that
		e.rows["entry"] = limits.Wall{Name: "entry", Raised: true, Observer: limits.ByWorker, Detail: "descriptors closed, environment empty"}
	}
}

// applies says whether there is something for an attack to be stopped by: its wall
// stands, or may stand. A worker of which nothing is known cannot be had.
func (e *examination) applies(a attack.Attack) bool {
	row, ok := e.rows[a.Wall]
	switch {
	case len(e.rows) == 0:
		return false
	case !ok:
		return !e.complete
	}
	part := parts[a.Name]
	return row.Raised && (part == "" || slices.Contains(strings.FieldsFunc(row.Detail, separates), part))
}

// parts are attacks on a part of a wall that not every worker has, and the word for
// it in the detail of its line in the receipt: a worker of root's that shares its user
// namespace has no user namespace, and its processes are not counted for it alone.
var parts = map[string]string{"become-another-user": "user", "fork-bomb": "nproc"}

func separates(r rune) bool { return strings.ContainsRune(" ,=", r) }

// attack makes all attacks that apply, some at once.
func (e *examination) attack(ctx context.Context) error {
	var list []attack.Attack
	for _, a := range e.Attacks {
		if e.applies(a) {
			list = append(list, a)
		}
	}
	made := make([]Attempt, len(list))
	var wait sync.WaitGroup
	next := make(chan int)
	for range max(e.Workers, 1) {
		wait.Go(func() {
			for i := range next {
				made[i] = e.attempt(ctx, list[i])
			}
		})
	}
	for i := range list {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	wait.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	e.attempts = map[string][]Attempt{}
	for i, a := range list {
		e.attempts[a.Wall] = append(e.attempts[a.Wall], made[i])
	}
	return nil
}

func (e *examination) attempt(ctx context.Context, a attack.Attack) Attempt {
	t := Attempt{Name: a.Name, Tries: a.Tries, Stage: a.Stage, Expected: a.Expect.String()}
	got, err := e.sandbox.Attack(ctx, e.tried, a.Stage, a.Name)
	if err != nil {
		t.Error = oneLine(err)
		return t
	}
	t.Observer, t.Answer = got.Observer, got.words(a.Expect)
	// That a filter killed it, only the kernel can say; an exit status that names the
	// signal is the probe's own word.
	filtered := got.Signal != "SIGSYS" || got.Observer == limits.ByKernel
	t.Held = !got.Late && filtered && a.Expect.Holds(got.Signal, got.Errno, got.Detail)
	return t
}

// words say what came of an attack.
func (a Answer) words(e attack.Expect) string {
	switch {
	case a.Signal != "":
		return "killed by " + a.Signal
	case a.Late || a.Observer != limits.ByWorker: // it did not live to tell
		return a.Detail
	case a.Errno == 0 && e.Counted:
		return a.Detail
	case a.Errno == 0:
		return strings.TrimSuffix("it was let through: "+a.Detail, ": ")
	}
	return strings.TrimSuffix(attack.ErrnoName(a.Errno)+", "+a.Detail, ", ")
}

// judge says what is known of one kind of wall.
func (e *examination) judge(k Kind, refused *Refusal) Wall {
	row, found := e.rows[k.Name]
	w := Wall{Kind: k, Observer: row.Observer, Detail: row.Detail, Attacks: e.attempts[k.Name]}
	blamed := refused != nil && refused.Wall == k.Name
	if blamed {
		w.Reason, w.Hint = strings.TrimLeft(refused.place(), ": "), refused.Hint
	}
	switch {
	case slices.ContainsFunc(w.Attacks, Attempt.failed):
		w.Status = Fails
	case blamed:
		w.Status = Down
	case found && !row.Raised || !found && e.complete:
		w.Status, w.Reason, w.Observer, w.Detail = Absent, cmp.Or(row.Detail, "no worker of this build raises it"), "", ""
		if refused != nil && k.needs(e.Isolation) {
			w.Status, w.Reason = Down, "with isolation "+string(e.tried)+": "+w.Reason
		}
	case w.Held() < len(w.Attacks) || len(w.Attacks) == 0:
		w.Status, w.Reason = Untried, "no worker got so far"
		if found {
			w.Reason = "not every attack could be made"
		}
	default:
		w.Status = Holds
	}
	return w
}

// sum says whether everything is well, and else what is not.
func (r *Report) sum() {
	if r.Refusal != nil {
		text := "no worker can be had"
		if r.Refusal.Wall != "" {
			text = "cannot raise the " + r.Refusal.Wall + " wall"
		}
		r.problem(text+r.Refusal.place(), r.Refusal.Hint)
	}
	var down []string
	for _, w := range r.Walls {
		switch {
		case w.Status == Fails:
			r.problem(fmt.Sprintf("the %s wall fails: %s", w.Name, w.worst()), "")
		case w.Status == Untried && (r.Refusal == nil || len(w.Attacks) > 0):
			r.problem(fmt.Sprintf("the %s wall could not be tried: %s", w.Name, w.worst()), "")
		case w.Status == Down && (r.Refusal == nil || r.Refusal.Wall != w.Name):
			down = append(down, w.Name)
		}
	}
	if len(down) > 0 {
		r.problem("these walls do not stand either: "+strings.Join(down, ", "), "")
	}
	r.OK = len(r.Problems) == 0
}

func (r *Report) problem(text, hint string) {
	if hint != "" {
		text += " (" + hint + ")"
	}
	r.Problems = append(r.Problems, text)
}

// failed says that an attack was made and ended otherwise than it must.
func (a Attempt) failed() bool { return !a.Held && a.Error == "" }

// worst is the first attack that tells why a wall does not hold, in one line.
func (w Wall) worst() string {
	failed := slices.DeleteFunc(slices.Clone(w.Attacks), func(a Attempt) bool { return !a.failed() })
	if len(failed) > 0 {
		a := failed[0]
		return fmt.Sprintf("%d of %d attacks ended otherwise than they must, %s: %s, expected %s", len(failed), len(w.Attacks), a.Name, a.Answer, a.Expected)
	}
	for _, a := range w.Attacks {
		if a.Error != "" {
			return fmt.Sprintf("not every attack could be made, %s: %s", a.Name, a.Error)
		}
	}
	return w.Reason
}

// Add adds the flaws of the engine, and what they say about everything.
func (r *Report) Add(f Flaws) {
	r.Flaws = &f
	for i := range f.Guests {
		g := &f.Guests[i]
		if g.Held = slices.Contains(g.Expected, g.Verdict); !g.Held {
			r.problem(fmt.Sprintf("the guest %s (%s) ended with %s, expected %s", g.Name, strings.Join(g.Advisories, ", "), g.Verdict, g.Must()), "")
		}
	}
	r.OK = len(r.Problems) == 0
}

// Must gives the verdicts that the guest may end with: "trap or worker_crash".
func (g Guest) Must() string {
	var list []string
	for _, v := range g.Expected {
		list = append(list, string(v))
	}
	return strings.Join(list, " or ")
}
