// Package seccomp turns an allow-list into a kernel filter: rules to BPF
// (Assemble), and BPF into the kernel (Program.Install). It knows no policy; the
// list itself is limits/seccomp/policy.
//
// # Shape of a filter
//
// The program first kills on a foreign architecture, then (amd64) on an x32
// number, then compares the system call number with one block per call:
//
//	ld arch; jeq OURS, else kill     the same number means another call on i386
//	ld nr;   jge 0x40000000, kill    amd64 only: x32 shares the audit arch
//	jeq nr1, else skip block
//	   [ld arg; and mask; jeq value, else next rule] ... ret action
//	   ret default
//	jeq nr2, else skip block
//	...
//	ret default
//
// Each block ends in a return on every path. This is the property that makes the
// filter auditable: the accumulator holds an argument only inside a block, so an
// argument can never be compared with a call number.
//
// # Why not go-seccomp-bpf's assembler
//
// github.com/elastic/go-seccomp-bpf v1.6.0 serves us its generated number tables
// (package arch) but not its assembler, for five reasons: an argument condition
// that fails falls through to the next call's comparison with the argument still
// in the accumulator, so mmap with prot=1 is allowed when write (number 1)
// follows it (TestNoFallThrough holds our assembler to the opposite); it cannot
// compare under a mask; it gives all of a group one errno, EPERM; it answers x32
// with ENOSYS where we want the process dead and the attempt visible; and it
// assembles for the host's architecture only, so an arm64 table could not be
// tested on amd64.
//
// # Cost
//
// Since Linux 5.11 the kernel keeps a bitmap per filter of the calls that are
// allowed whatever their arguments (kernel/seccomp.c, seccomp_cache_prepare) and
// does not run BPF for them. It finds them by emulating the program with only
// arch and nr known, so a rule without conditions is free and any argument load
// before a call's return would lose that; blocks keep it.
package seccomp
