// Package ipc is the protocol between the supervisor and a worker: frames,
// messages, and the order they come in. PROTOCOL.md is normative; this is it in
// short.
//
// A frame is a 12-byte header and a body, all numbers big-endian:
//
//	u32 length of body | u8 type | u8 flags | u16 zero | u32 id | body
//
// The body is one message as msgpack, in the one encoding it has (see Check).
// Each type has a direction, a cap on its body and a number of descriptors that
// ride with it.
//
// The two sides take turns; each state has one speaker. ► is the supervisor, ◄
// the worker:
//
//	new ─◄Hello─► greeted ─►Welcome─► raising ─◄Refused─► over
//	                                     │
//	                                  ◄Ready
//	            ┌────────────────────────┴────────────┐
//	       role "step"                          role "compile"
//	            ▼                                     ▼
//	           load ─►Load─► loading               compile ─►Compile─► compiling
//	          │  ▲              │                     ▲                   │
//	          │  └───◄Loaded────┘                     └─────◄Compiled─────┘
//	        ►Seal
//	          ▼
//	       sealing ─◄Refused─► over
//	          │
//	       ◄Sealed
//	          ▼
//	       sealed ─►Invoke─► running ─◄HostCall─► calling
//	          ▲               │   ▲                  │
//	          └───◄Result─────┘   └───►HostReply─────┘
//
// Bye leads from greeted, load, compile and sealed to over. Nothing follows
// over.
//
// Invoke carries a new id, higher than those before; HostCall, HostReply and
// Result carry that of the Invoke under way; all other frames carry 0. So there
// is one Invoke at a time, and one HostCall within it.
//
// The worker is assumed to be compromised. Whatever breaks a rule ends the
// connection: Recv returns a *ProtocolError and reads nothing more. The checks
// come in the order of what they cost: the header alone (reserved bytes, flags,
// type, direction, cap), then state and id, then the body, into memory that
// grows with what has arrived, then Check, then the decoder. Only the worker's
// end accepts descriptors, and only with Load and Compile.
//
// A frame of an unknown type is a violation unless it carries FlagOptional; such
// frames are skipped, within MaxOptionalBody and MaxOptionalRun.
//
// The package knows no processes and makes no system calls: it runs over any
// Stream. Package ipc/socketpair makes the real one, Plain one for tests.
package ipc
