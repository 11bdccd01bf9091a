package seccomp

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"

	"golang.org/x/net/bpf"
)

// Offsets in struct seccomp_data (linux/seccomp.h): nr, arch, instruction
// pointer, six 64-bit arguments. Both architectures are little-endian, so the
// low word of an argument comes first.
const (
	offNr   = 0
	offArch = 4
	offArgs = 16
)

// maxInstructions is BPF_MAXINSNS (linux/bpf_common.h).
const maxInstructions = 4096

// Program is an assembled filter: pure data, the same on every machine.
type Program struct {
	policy Policy
	arch   Arch
	code   []bpf.Instruction
	raw    []bpf.RawInstruction
}

// Assemble turns the policy into a program for a. All problems of the policy are
// reported together.
func Assemble(p Policy, a Arch) (Program, error) {
	if err := p.Check(a); err != nil {
		return Program{}, err
	}
	kill, deny := bpf.RetConstant{Val: uint32(Kill)}, bpf.RetConstant{Val: uint32(p.Default)}
	code := []bpf.Instruction{
		bpf.LoadAbsolute{Off: offArch, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: a.audit, SkipTrue: 1},
		kill,
		bpf.LoadAbsolute{Off: offNr, Size: 4},
	}
	if a.x32 {
		code = append(code, bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: x32Bit, SkipFalse: 1}, kill)
	}
	for _, calls := range byCall(p.For(a)) {
		nr, _ := a.Number(calls[0].Call) // Check has seen it
		block, err := assembleBlock(calls, deny)
		if err != nil {
			return Program{}, fmt.Errorf("seccomp: policy %s on %s: %w", p.Name, a, err)
		}
		code = append(code, bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(nr), SkipFalse: uint8(len(block))})
		code = append(code, block...)
	}
	code = append(code, deny)
	if len(code) > maxInstructions {
		return Program{}, fmt.Errorf("seccomp: policy %s on %s: %d instructions, the kernel takes %d", p.Name, a, len(code), maxInstructions)
	}
	raw, err := bpf.Assemble(code)
	if err != nil {
		return Program{}, fmt.Errorf("seccomp: policy %s on %s: %w", p.Name, a, err)
	}
	return Program{policy: p, arch: a, code: code, raw: raw}, nil
}

// byCall groups the rules of one call, keeping the order in which calls first
// appear: the table puts the frequent ones first.
func byCall(rules []Rule) [][]Rule {
	var out [][]Rule
	index := map[string]int{}
	for _, r := range rules {
		i, ok := index[r.Call]
		if !ok {
			i = len(out)
			index[r.Call] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], r)
	}
	return out
}

// assembleBlock gives the code that decides one call. It returns on every path.
func assembleBlock(rules []Rule, deny bpf.Instruction) ([]bpf.Instruction, error) {
	var block []bpf.Instruction
	for _, r := range rules {
		code, err := assembleRule(r)
		if err != nil {
			return nil, err
		}
		block = append(block, code...)
		if len(r.When) == 0 {
			break // Check refuses rows after this one
		}
	}
	if len(rules[len(rules)-1].When) > 0 {
		block = append(block, deny)
	}
	if len(block) > 255 {
		return nil, fmt.Errorf("%s: %d instructions, a conditional jump reaches 255", rules[0].Call, len(block))
	}
	return block, nil
}

// assembleRule gives the code that returns the rule's action when its conditions
// hold and falls off its end otherwise.
func assembleRule(r Rule) ([]bpf.Instruction, error) {
	// Written back to front, so that the distance to the end is known: a failed
	// comparison jumps over everything already written.
	code := []bpf.Instruction{bpf.RetConstant{Val: uint32(r.Do)}}
	for i := len(r.When) - 1; i >= 0; i-- {
		c := r.When[i]
		low := uint32(offArgs + 8*c.Arg)
		for _, w := range []struct{ off, mask, value uint32 }{
			{low + 4, uint32(c.Mask >> 32), uint32(c.Value >> 32)},
			{low, uint32(c.Mask), uint32(c.Value)},
		} {
			if w.mask == 0 {
				continue
			}
			if len(code) > 255 {
				return nil, fmt.Errorf("%s: too many conditions", r.Call)
			}
			word := []bpf.Instruction{bpf.LoadAbsolute{Off: w.off, Size: 4}}
			if w.mask != 0xffffffff {
				word = append(word, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: w.mask})
			}
			word = append(word, bpf.JumpIf{Cond: bpf.JumpEqual, Val: w.value, SkipFalse: uint8(len(code))})
			code = append(word, code...)
		}
	}
	return code, nil
}

// Instructions gives the program for a BPF interpreter. The slice is a copy.
func (p Program) Instructions() []bpf.Instruction { return append([]bpf.Instruction(nil), p.code...) }

// Hash names the program: the first 16 hex digits of sha256 over architecture
// and machine code. Equal hashes mean that the kernel enforces the same filter.
func (p Program) Hash() string {
	h := sha256.New()
	h.Write(binary.LittleEndian.AppendUint32(nil, p.arch.audit))
	for _, i := range p.raw {
		h.Write(binary.LittleEndian.AppendUint16(nil, i.Op))
		h.Write([]byte{i.Jt, i.Jf})
		h.Write(binary.LittleEndian.AppendUint32(nil, i.K))
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// Dump prints the program for people: the table in words, each row with its
// reason, and then the machine code made of it.
func (p Program) Dump() string {
	var b strings.Builder
	fmt.Fprintf(&b, "policy %s on %s, filter %s\n", p.policy.Name, p.arch, p.Hash())
	fmt.Fprintf(&b, "first row that matches decides; no row: %s; another architecture: %s\n\n", p.policy.Default, Kill)
	names := map[uint32]string{}
	for _, r := range p.policy.For(p.arch) {
		n, _ := p.arch.Number(r.Call)
		names[uint32(n)] = r.Call
		fmt.Fprintf(&b, "%s\n", r)
		if r.Why != "" {
			fmt.Fprintf(&b, "           # %s\n", r.Why)
		}
		if r.Rare != "" {
			fmt.Fprintf(&b, "           # rarely made: %s\n", r.Rare)
		}
	}
	b.WriteString("\n")
	for i, ins := range p.code {
		text := fmt.Sprintf("%3d  %v", i, ins)
		if note := p.note(i, names); note != "" {
			text = fmt.Sprintf("%-26s ; %s", text, note)
		}
		b.WriteString(text + "\n")
	}
	return b.String()
}

// note says what instruction i is about.
func (p Program) note(i int, names map[uint32]string) string {
	switch ins := p.code[i].(type) {
	case bpf.LoadAbsolute:
		switch {
		case ins.Off == offNr:
			return "number of the call"
		case ins.Off == offArch:
			return "architecture"
		}
		half := "low half"
		if ins.Off%8 != 0 {
			half = "high half"
		}
		return fmt.Sprintf("argument %d, %s", (ins.Off-offArgs)/8, half)
	case bpf.RetConstant:
		return Action(ins.Val).String()
	case bpf.JumpIf:
		if ins.Cond == bpf.JumpGreaterOrEqual {
			return "x32"
		}
		// A number is compared where the accumulator still holds it: after the load at
		// the head, and after the return that ends a block.
		_, ret := p.code[i-1].(bpf.RetConstant)
		if ret || p.code[i-1] == (bpf.LoadAbsolute{Off: offNr, Size: 4}) {
			return names[ins.Val]
		}
	}
	return ""
}
