//go:build linux

#include "textflag.h"

// func spawn(nr, flags uintptr, then *[7]uintptr) (r uintptr)
TEXT ·spawn(SB), NOSPLIT, $0-32
	MOVQ nr+0(FP), AX
	MOVQ flags+8(FP), DI
	MOVQ then+16(FP), R12
	XORL SI, SI
	XORL DX, DX
	XORL R10, R10
	XORL R8, R8
	SYSCALL
	TESTQ AX, AX
	JEQ  child
	MOVQ AX, r+24(FP)
	RET

child:
	TESTQ R12, R12
	JEQ  done
	MOVQ 0(R12), AX
	MOVQ 8(R12), DI
	MOVQ 16(R12), SI
	MOVQ 24(R12), DX
	MOVQ 32(R12), R10
	MOVQ 40(R12), R8
	MOVQ 48(R12), R9
	SYSCALL
	NEGQ AX

done:
	MOVQ AX, DI
	MOVL $60, AX // exit
	SYSCALL
	INT  $3

// func int80(nr uintptr) (r uintptr)
TEXT ·int80(SB), NOSPLIT, $0-16
	MOVQ    nr+0(FP), AX
	INT     $0x80
	MOVLQSX AX, AX
	MOVQ    AX, r+8(FP)
	RET
