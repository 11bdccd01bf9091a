//go:build linux

#include "textflag.h"

// func spawn(nr, flags uintptr, then *[7]uintptr) (r uintptr)
TEXT ·spawn(SB), NOSPLIT, $0-32
	MOVD nr+0(FP), R8
	MOVD flags+8(FP), R0
	MOVD then+16(FP), R20
	MOVD ZR, R1
	MOVD ZR, R2
	MOVD ZR, R3
	MOVD ZR, R4
	SVC
	CBZ  R0, child
	MOVD R0, r+24(FP)
	RET

child:
	CBZ  R20, done
	MOVD 0(R20), R8
	MOVD 8(R20), R0
	MOVD 16(R20), R1
	MOVD 24(R20), R2
	MOVD 32(R20), R3
	MOVD 40(R20), R4
	MOVD 48(R20), R5
	SVC
	NEG  R0, R0

done:
	MOVD $93, R8 // exit
	SVC
	UNDEF
