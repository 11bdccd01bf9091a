package seccomp

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Action is what the kernel does with a call (seccomp(2), "return values").
type Action uint32

// The actions in use. Kill stops the whole process: killing only the calling
// thread would leave a half-dead Go runtime behind and no exit status.
const (
	Kill  Action = 0x80000000 // SECCOMP_RET_KILL_PROCESS, Linux 4.14
	Allow Action = 0x7fff0000 // SECCOMP_RET_ALLOW

	errnoAction Action = 0x00050000 // SECCOMP_RET_ERRNO
	errnoMask   Action = 0x0000ffff // SECCOMP_RET_DATA
)

// Errno answers the call with an error number without running it. The number is
// Linux's, the same on amd64 and arm64 for every value in use.
func Errno(n uint16) Action { return errnoAction | Action(n) }

// String names the action as Dump prints it.
func (a Action) String() string {
	switch {
	case a == Kill:
		return "kill"
	case a == Allow:
		return "allow"
	case a&^errnoMask == errnoAction:
		return fmt.Sprintf("errno(%d)", a&errnoMask)
	}
	return fmt.Sprintf("action(%#x)", uint32(a))
}

// Cond compares one argument: argument&Mask == Value.
//
// Mask matters beyond picking bits. Where the kernel takes an int it looks at
// the low 32 bits of the register only, and the C ABI leaves the rest undefined;
// Low says so. Where it takes a long (mmap's prot and flags, clone's flags) all
// 64 bits count and the mask must cover them.
type Cond struct {
	Arg   int
	Mask  uint64
	Value uint64
	// Words say the same to people: "PROT_EXEC is not set". They change nothing.
	Words string
}

// Low is the mask of an argument the kernel takes as a 32-bit integer.
const Low uint64 = 0xffffffff

// Is matches an int argument that equals v.
func Is(arg int, v uint32) Cond { return Cond{Arg: arg, Mask: Low, Value: uint64(v)} }

// Clear matches when none of bits is set.
func Clear(arg int, bits uint64) Cond { return Cond{Arg: arg, Mask: bits} }

// Named gives the condition words.
func (c Cond) Named(words string) Cond {
	c.Words = words
	return c
}

// String gives the words, or the numbers where there are none.
func (c Cond) String() string {
	if c.Words != "" {
		return c.Words
	}
	return c.numbers()
}

func (c Cond) numbers() string { return fmt.Sprintf("arg%d&%#x==%#x", c.Arg, c.Mask, c.Value) }

// Rule is one row of the list: the call, the conditions that must all hold, what
// to do then, and why. A call may have several rows; the first whose conditions
// hold decides, and when none does, the default.
type Rule struct {
	Call string
	When []Cond
	Do   Action
	Why  string
	// Rare says why an honest life may not show the call, for a row that is needed
	// all the same.
	Rare string
	// Only restricts the row to some architectures (GOARCH names): for a call
	// that others do not have or do not need.
	Only []string
}

// Policy is an allow-list.
type Policy struct {
	Name    string
	Default Action
	Rules   []Rule
}

// For gives the rules that apply to a.
func (p Policy) For(a Arch) []Rule {
	var out []Rule
	for _, r := range p.Rules {
		if len(r.Only) == 0 || slices.Contains(r.Only, a.name) {
			out = append(out, r)
		}
	}
	return out
}

// Check reports everything wrong with the policy for a, joined: a call the
// architecture does not have, a condition that can never hold, a row that an
// earlier row hides.
func (p Policy) Check(a Arch) error {
	var errs []error
	bad := func(r Rule, format string, args ...any) {
		errs = append(errs, fmt.Errorf("seccomp: policy %s on %s: %s: %s", p.Name, a, r.Call, fmt.Sprintf(format, args...)))
	}
	if p.Default != Kill && p.Default&^errnoMask != errnoAction {
		errs = append(errs, fmt.Errorf("seccomp: policy %s: default %s is not a denial", p.Name, p.Default))
	}
	decided := map[string]bool{}
	for _, r := range p.For(a) {
		if _, ok := a.Number(r.Call); !ok {
			bad(r, "no such system call")
		}
		if decided[r.Call] {
			bad(r, "an earlier row without conditions hides this one")
		}
		if r.Do != Allow && r.Do != Kill && r.Do&^errnoMask != errnoAction {
			bad(r, "unknown action %#x", uint32(r.Do))
		}
		for _, c := range r.When {
			if c.Arg < 0 || c.Arg > 5 {
				bad(r, "argument %d is outside 0 to 5", c.Arg)
			}
			if c.Mask == 0 || c.Value&^c.Mask != 0 {
				bad(r, "condition %s can never or always hold", c.numbers())
			}
		}
		if len(r.When) == 0 {
			decided[r.Call] = true
		}
	}
	return errors.Join(errs...)
}

// Decide is the policy's answer by plain reading of the table, without BPF. It
// is the reference the assembled program is tested against.
func (p Policy) Decide(a Arch, audit, nr uint32, args [6]uint64) Action {
	if audit != a.audit || a.x32 && nr >= x32Bit {
		return Kill
	}
	if r, ok := p.Row(a, nr, args); ok {
		return r.Do
	}
	return p.Default
}

// Row gives the row that decides a native call, if one does.
func (p Policy) Row(a Arch, nr uint32, args [6]uint64) (Rule, bool) {
	for _, r := range p.For(a) {
		if n, ok := a.Number(r.Call); !ok || uint32(n) != nr {
			continue
		}
		if !slices.ContainsFunc(r.When, func(c Cond) bool { return args[c.Arg]&c.Mask != c.Value }) {
			return r, true
		}
	}
	return Rule{}, false
}

// String gives the row: what happens, to which call, and when.
func (r Rule) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-10s %s", r.Do, r.Call)
	for i, c := range r.When {
		fmt.Fprintf(&b, "%s%s", []string{" if ", " and "}[min(i, 1)], c)
	}
	if len(r.Only) > 0 {
		fmt.Fprintf(&b, " (%s)", strings.Join(r.Only, ", "))
	}
	return b.String()
}
