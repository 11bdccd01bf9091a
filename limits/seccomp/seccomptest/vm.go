// Package seccomptest runs filters in an interpreter, for tests on any machine.
package seccomptest

import (
	"encoding/binary"
	"testing"

	"golang.org/x/net/bpf"

	"github.com/greentic-ai/greentic-provision/limits/seccomp"
)

// VM interprets one program.
type VM struct{ vm *bpf.VM }

// New prepares p.
func New(t testing.TB, p seccomp.Program) VM {
	t.Helper()
	vm, err := bpf.NewVM(p.Instructions())
	if err != nil {
		t.Fatal(err)
	}
	return VM{vm}
}

// Run gives the program's answer to a call. It lays out struct seccomp_data as the
// kernel of a little-endian machine does, but with the bytes of each word
// reversed: the interpreter reads packets, which are big-endian, where the kernel
// reads native words.
func (v VM) Run(t testing.TB, audit, nr uint32, args [6]uint64) seccomp.Action {
	t.Helper()
	var data [64]byte
	binary.BigEndian.PutUint32(data[0:], nr)
	binary.BigEndian.PutUint32(data[4:], audit)
	for i, a := range args {
		binary.BigEndian.PutUint32(data[16+8*i:], uint32(a))
		binary.BigEndian.PutUint32(data[20+8*i:], uint32(a>>32))
	}
	got, err := v.vm.Run(data[:])
	if err != nil {
		t.Fatal(err)
	}
	return seccomp.Action(got)
}

// Arguments gives argument lists at and around every boundary of the policy's
// conditions on the call: all of a row's conditions met, and then each broken in
// turn, bit by bit.
func Arguments(p seccomp.Policy, a seccomp.Arch, call string) [][6]uint64 {
	out := [][6]uint64{
		{},
		{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)},
		// Each argument equals a call number: an argument must never be taken
		// for one.
		{0, 1, 2, 3, 9, 10},
	}
	for _, r := range p.For(a) {
		if r.Call != call {
			continue
		}
		var met [6]uint64
		for _, c := range r.When {
			met[c.Arg] |= c.Value
		}
		out = append(out, met)
		for _, c := range r.When {
			for bit := range 64 {
				broken := met
				broken[c.Arg] ^= 1 << bit
				out = append(out, broken)
			}
			for _, v := range []uint64{c.Value - 1, c.Value + 1, c.Value | ^c.Mask, c.Value << 32, c.Value | 1<<63, c.Value | 1<<31} {
				broken := met
				broken[c.Arg] = v
				out = append(out, broken)
			}
		}
	}
	return out
}
