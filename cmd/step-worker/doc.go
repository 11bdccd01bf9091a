// Command step-worker is the process in which guest code runs. The supervisor of
// greentic-provision starts it with a socket on descriptor 3; it enters its
// walls, speaks the protocol of ipc/PROTOCOL.md, and exits when the socket
// closes. It is of no use to people.
//
// Order matters, and each step relies on the one before:
//
//	limits/entry (C, single thread)   empty root, identity, capabilities, no_new_privs, no core dumps
//	entry.DieOnFault                  a fault ends the process with the signal's name, no stack dump
//	Hello, Welcome                    no guest byte seen
//	rlimits, engine                   the engine is trusted code, and is made before the filter
//	seccomp "load"                    Ready: from here on no file, socket or process can be had
//	native code is loaded
//	mdwe, seccomp "run"               Sealed: from here on no executable mapping either
//	guest code runs
package main
