/* components.h: the components of the extended state, one by one, to and from memory, for assembly: what a replay
 * (emulate/replay/vectors_x86_64.h) and a guest (ctx/state/vector_moves_x86_64.h) load and store by moves.
 */
#ifndef SEGUE_X86_COMPONENTS_H
#define SEGUE_X86_COMPONENTS_H

#include "xsave.h"

#define EACH_LOW 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
#define EACH_HIGH 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
#define EACH_MASK 0, 1, 2, 3, 4, 5, 6, 7

/* From and to the area in register `area`. */
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

/* From and to the component itself, which register `at` leads to. A load leaves the lower parts as they are. */
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

/* Their initial state. */
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
