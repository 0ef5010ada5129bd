/* components.h: macros that load, store and clear one state component, for assembly. A replay
 * (emulate/replay/vectors_x86_64.h) and a guest (ctx/state/vector_moves_x86_64.h) use them in place of XSAVE. */
#ifndef SEGUE_X86_COMPONENTS_H
#define SEGUE_X86_COMPONENTS_H

#include "xsave.h"

#define EACH_LOW 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
#define EACH_HIGH 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
#define EACH_MASK 0, 1, 2, 3, 4, 5, 6, 7

/* Between the registers and the area in register `area`. */
.macro LOAD_SSE area
        .irp    n, EACH_LOW
        movaps  XSAVE_XMM + 16 * \n(\area), %xmm\n
        .endr
.endm

.macro STORE_SSE area
        .irp    n, EACH_LOW
        movaps  %xmm\n, XSAVE_XMM + 16 * \n(\area)
        .endr
.endm

/* Between the registers and the component that register `at` points to. A load keeps the lower parts of the
 * registers. */
.macro LOAD_YMM_UPPER at
        .irp    n, EACH_LOW
        vinsertf128 $1, 16 * \n(\at), %ymm\n, %ymm\n
        .endr
.endm

.macro STORE_YMM_UPPER at
        .irp    n, EACH_LOW
        vextractf128 $1, %ymm\n, 16 * \n(\at)
        .endr
.endm

.macro LOAD_ZMM_UPPER at
        .irp    n, EACH_LOW
        vinsertf64x4 $1, 32 * \n(\at), %zmm\n, %zmm\n
        .endr
.endm

.macro STORE_ZMM_UPPER at
        .irp    n, EACH_LOW
        vextractf64x4 $1, %zmm\n, 32 * \n(\at)
        .endr
.endm

.macro LOAD_ZMM_HIGH at
        .irp    n, EACH_HIGH
        vmovaps 64 * (\n - 16)(\at), %zmm\n
        .endr
.endm

.macro STORE_ZMM_HIGH at
        .irp    n, EACH_HIGH
        vmovaps %zmm\n, 64 * (\n - 16)(\at)
        .endr
.endm

.macro LOAD_OPMASK at
        .irp    n, EACH_MASK
        kmovq   8 * \n(\at), %k\n
        .endr
.endm

.macro STORE_OPMASK at
        .irp    n, EACH_MASK
        kmovq   %k\n, 8 * \n(\at)
        .endr
.endm

/* Sets the initial state. */
.macro CLEAR_SSE
        .irp    n, EACH_LOW
        xorps   %xmm\n, %xmm\n
        .endr
.endm

.macro CLEAR_OPMASK
        .irp    n, EACH_MASK
        kxorq   %k\n, %k\n, %k\n
        .endr
.endm

.macro CLEAR_ZMM_HIGH
        .irp    n, EACH_HIGH
        vpxord  %zmm\n, %zmm\n, %zmm\n
        .endr
.endm

#endif
