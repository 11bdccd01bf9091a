package seccomp_test

import (
	"strings"
	"testing"

	"golang.org/x/net/bpf"
	"pgregory.net/rapid"

	"github.com/greentic-ai/greentic-provision/limits/seccomp"
	"github.com/greentic-ai/greentic-provision/limits/seccomp/seccomptest"
)

var arches = []seccomp.Arch{seccomp.AMD64, seccomp.ARM64}

func assemble(t testing.TB, p seccomp.Policy, a seccomp.Arch) seccomp.Program {
	t.Helper()
	prog, err := seccomp.Assemble(p, a)
	if err != nil {
		t.Fatal(err)
	}
	return prog
}

// The case that go-seccomp-bpf v1.6.0 gets wrong (package comment): a failed
// condition on mmap, with an argument that equals the number of a call that is
// allowed.
func TestNoFallThrough(t *testing.T) {
	p := seccomp.Policy{Name: "t", Default: seccomp.Kill, Rules: []seccomp.Rule{
		{Call: "mmap", When: []seccomp.Cond{{Arg: 2, Mask: ^uint64(0), Value: 3}}, Do: seccomp.Allow},
		{Call: "write", Do: seccomp.Allow},
	}}
	for _, a := range arches {
		vm := seccomptest.New(t, assemble(t, p, a))
		mmap, _ := a.Number("mmap")
		write, _ := a.Number("write")
		if got := vm.Run(t, a.Audit(), uint32(mmap), [6]uint64{2: uint64(write)}); got != seccomp.Kill {
			t.Errorf("%s: mmap with prot=%d: %s", a, write, got)
		}
		if got := vm.Run(t, a.Audit(), uint32(mmap), [6]uint64{2: 3}); got != seccomp.Allow {
			t.Errorf("%s: mmap with prot=3: %s", a, got)
		}
	}
}

func TestForeignCalls(t *testing.T) {
	p := seccomp.Policy{Name: "t", Default: seccomp.Errno(1), Rules: []seccomp.Rule{
		{Call: "read", Do: seccomp.Allow}, {Call: "write", Do: seccomp.Allow},
	}}
	const i386, arm, x32 = 0x40000003, 0x40000028, 0x40000000
	for _, a := range arches {
		vm := seccomptest.New(t, assemble(t, p, a))
		read, _ := a.Number("read")
		nr := uint32(read)
		for _, tt := range []struct {
			name      string
			audit, nr uint32
			want      seccomp.Action
		}{
			{"native", a.Audit(), nr, seccomp.Allow},
			{"not listed", a.Audit(), nr + 300, seccomp.Errno(1)},
			{"i386", i386, nr, seccomp.Kill},
			{"arm", arm, nr, seccomp.Kill},
			{"the other one", seccomp.AMD64.Audit() ^ seccomp.ARM64.Audit() ^ a.Audit(), nr, seccomp.Kill},
			{"no architecture", 0, nr, seccomp.Kill},
			{"minus one", a.Audit(), 0xffffffff, map[bool]seccomp.Action{true: seccomp.Kill, false: seccomp.Errno(1)}[a.String() == "amd64"]},
			{"x32", a.Audit(), nr | x32, map[bool]seccomp.Action{true: seccomp.Kill, false: seccomp.Errno(1)}[a.String() == "amd64"]},
		} {
			if got := vm.Run(t, tt.audit, tt.nr, [6]uint64{}); got != tt.want {
				t.Errorf("%s: %s: %s, want %s", a, tt.name, got, tt.want)
			}
		}
	}
}

func TestCheck(t *testing.T) {
	never := []seccomp.Cond{{Arg: 0, Mask: 1, Value: 2}}
	always := []seccomp.Cond{{Arg: 0}}
	for _, tt := range []struct {
		name  string
		rules []seccomp.Rule
		want  []string
	}{
		{"unknown call", []seccomp.Rule{{Call: "fly", Do: seccomp.Allow}}, []string{"fly: no such system call"}},
		{"not on this machine", []seccomp.Rule{{Call: "open", Do: seccomp.Allow}}, []string{"open: no such system call"}},
		{"only elsewhere", []seccomp.Rule{{Call: "open", Do: seccomp.Allow, Only: []string{"amd64"}}}, nil},
		{"hidden row", []seccomp.Rule{{Call: "read", Do: seccomp.Allow}, {Call: "read", Do: seccomp.Kill}}, []string{"hides"}},
		{"never", []seccomp.Rule{{Call: "read", When: never, Do: seccomp.Allow}}, []string{"never or always"}},
		{"always", []seccomp.Rule{{Call: "read", When: always, Do: seccomp.Allow}}, []string{"never or always"}},
		{"argument 6", []seccomp.Rule{{Call: "read", When: []seccomp.Cond{seccomp.Is(6, 1)}, Do: seccomp.Allow}}, []string{"outside 0 to 5"}},
		{"action", []seccomp.Rule{{Call: "read", Do: 7}}, []string{"unknown action"}},
		{"all at once", []seccomp.Rule{{Call: "fly", Do: 7}, {Call: "read", When: never, Do: seccomp.Allow}},
			[]string{"no such", "unknown action", "never or always"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := seccomp.Assemble(seccomp.Policy{Name: "t", Default: seccomp.Kill, Rules: tt.rules}, seccomp.ARM64)
			if (err == nil) != (len(tt.want) == 0) {
				t.Fatalf("error %v, want %q", err, tt.want)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v does not say %q", err, want)
				}
			}
		})
	}
	if _, err := seccomp.Assemble(seccomp.Policy{Name: "t", Default: seccomp.Allow}, seccomp.AMD64); err == nil {
		t.Error("a policy that allows by default was taken")
	}
}

func TestTooLarge(t *testing.T) {
	var conds []seccomp.Cond
	for range 100 {
		conds = append(conds, seccomp.Cond{Arg: 1, Mask: 0xff00ff00ff, Value: 1})
	}
	_, err := seccomp.Assemble(seccomp.Policy{Name: "t", Default: seccomp.Kill, Rules: []seccomp.Rule{{Call: "read", When: conds, Do: seccomp.Allow}}}, seccomp.AMD64)
	if err == nil {
		t.Error("a block that no jump can cross was assembled")
	}
}

// Any policy: the assembled program answers as the table reads.
func TestAssembleProperty(t *testing.T) {
	for _, a := range arches {
		names := a.Names()
		action := rapid.SampledFrom([]seccomp.Action{seccomp.Allow, seccomp.Kill, seccomp.Errno(1), seccomp.Errno(38)})
		// Few bits, or no two values would ever meet.
		word := rapid.SampledFrom([]uint64{0, 1, 2, 4, 0xff, 1 << 31, 1 << 32, 1 << 63, 0xffffffff, 0xffffffff00000000, ^uint64(0)})
		cond := rapid.Custom(func(t *rapid.T) seccomp.Cond {
			c := seccomp.Cond{Arg: rapid.IntRange(0, 5).Draw(t, "arg"), Mask: word.Filter(func(v uint64) bool { return v != 0 }).Draw(t, "mask")}
			c.Value = word.Draw(t, "value") & c.Mask
			return c
		})
		rule := rapid.Custom(func(t *rapid.T) seccomp.Rule {
			return seccomp.Rule{Call: rapid.SampledFrom(names).Draw(t, "call"), When: rapid.SliceOfN(cond, 0, 4).Draw(t, "when"), Do: action.Draw(t, "do")}
		})
		t.Run(a.String(), func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				p := seccomp.Policy{Name: "t", Default: seccomp.Kill, Rules: rapid.SliceOfN(rule, 1, 30).Draw(rt, "rules")}
				prog, err := seccomp.Assemble(p, a)
				if err != nil {
					if !strings.Contains(err.Error(), "hides this one") {
						rt.Fatal(err)
					}
					return
				}
				vm := seccomptest.New(t, prog)
				for range 50 {
					nr, _ := a.Number(p.Rules[rapid.IntRange(0, len(p.Rules)-1).Draw(rt, "row")].Call)
					var args [6]uint64
					for i := range args {
						args[i] = word.Draw(rt, "argument")
					}
					if got, want := vm.Run(t, a.Audit(), uint32(nr), args), p.Decide(a, a.Audit(), uint32(nr), args); got != want {
						rt.Fatalf("call %d %x: %s, want %s\n%s", nr, args, got, want, prog.Dump())
					}
				}
			})
		})
	}
}

func TestHash(t *testing.T) {
	rules := []seccomp.Rule{{Call: "read", Do: seccomp.Allow, Why: "one reason"}}
	base := assemble(t, seccomp.Policy{Name: "t", Default: seccomp.Kill, Rules: rules}, seccomp.AMD64)
	if len(base.Hash()) != 16 {
		t.Errorf("hash %q", base.Hash())
	}
	for name, other := range map[string]seccomp.Program{
		"architecture": assemble(t, seccomp.Policy{Name: "t", Default: seccomp.Kill, Rules: rules}, seccomp.ARM64),
		"default":      assemble(t, seccomp.Policy{Name: "t", Default: seccomp.Errno(1), Rules: rules}, seccomp.AMD64),
		"action":       assemble(t, seccomp.Policy{Name: "t", Default: seccomp.Kill, Rules: []seccomp.Rule{{Call: "read", Do: seccomp.Errno(1)}}}, seccomp.AMD64),
		"call":         assemble(t, seccomp.Policy{Name: "t", Default: seccomp.Kill, Rules: []seccomp.Rule{{Call: "write", Do: seccomp.Allow}}}, seccomp.AMD64),
	} {
		if other.Hash() == base.Hash() {
			t.Errorf("another %s, the same hash", name)
		}
	}
	same := assemble(t, seccomp.Policy{Name: "renamed", Default: seccomp.Kill, Rules: []seccomp.Rule{{Call: "read", Do: seccomp.Allow, Why: "another reason", Rare: "seldom"}}}, seccomp.AMD64)
	if same.Hash() != base.Hash() {
		t.Error("the hash depends on words")
	}
}

// A call without conditions must be decided before any argument is read, or the
// kernel cannot keep its answer (package comment).
func TestUnconditionalCallsReadNoArgument(t *testing.T) {
	p := seccomp.Policy{Name: "t", Default: seccomp.Kill, Rules: []seccomp.Rule{
		{Call: "mmap", When: []seccomp.Cond{seccomp.Clear(2, 4)}, Do: seccomp.Allow},
		{Call: "read", Do: seccomp.Allow},
	}}
	code := assemble(t, p, seccomp.AMD64).Instructions()
	read, _ := seccomp.AMD64.Number("read")
	// The path of read: follow every jump as the number decides it.
	for pc, acc := 0, uint32(0); ; pc++ {
		switch ins := code[pc].(type) {
		case bpf.LoadAbsolute:
			if ins.Off >= 8 {
				t.Fatalf("instruction %d reads offset %d", pc, ins.Off)
			}
			acc = map[uint32]uint32{0: uint32(read), 4: seccomp.AMD64.Audit()}[ins.Off]
		case bpf.JumpIf:
			skip := ins.SkipFalse
			if ins.Cond == bpf.JumpEqual && acc == ins.Val || ins.Cond == bpf.JumpGreaterOrEqual && acc >= ins.Val {
				skip = ins.SkipTrue
			}
			pc += int(skip)
		case bpf.RetConstant:
			if seccomp.Action(ins.Val) != seccomp.Allow {
				t.Fatalf("instruction %d: %s", pc, seccomp.Action(ins.Val))
			}
			return
		default:
			t.Fatalf("instruction %d: %v", pc, ins)
		}
	}
}

// What a filter does can be read by somebody who knows no BPF.
func TestDump(t *testing.T) {
	p := seccomp.Policy{Name: "t", Default: seccomp.Kill, Rules: []seccomp.Rule{
		{Call: "mmap", When: []seccomp.Cond{seccomp.Clear(2, 4).Named("PROT_EXEC is not set"), seccomp.Is(4, 0xffffffff)}, Do: seccomp.Allow, Why: "memory"},
		{Call: "read", Do: seccomp.Allow, Why: "input", Rare: "seldom"},
		{Call: "membarrier", Do: seccomp.Errno(38), Only: []string{"arm64"}},
	}}
	amd64, arm64 := assemble(t, p, seccomp.AMD64).Dump(), assemble(t, p, seccomp.ARM64).Dump()
	for _, want := range []string{
		"policy t on amd64, filter ",
		"no row: kill; another architecture: kill",
		"allow      mmap if PROT_EXEC is not set and arg4&0xffffffff==0xffffffff\n           # memory\n",
		"allow      read\n           # input\n           # rarely made: seldom\n",
		"; architecture\n", "; number of the call\n", "; x32\n", "; mmap\n", "; read\n", "; argument 2, low half\n", "; argument 4, low half\n", "; allow\n", "; kill\n",
	} {
		if !strings.Contains(amd64, want) {
			t.Errorf("not in the dump: %q\n%s", want, amd64)
		}
	}
	if want := "errno(38)  membarrier (arm64)\n"; !strings.Contains(arm64, want) || strings.Contains(amd64, want) {
		t.Errorf("%q belongs to arm64 only\n%s", want, arm64)
	}
}
