/* vector_moves_x86_64.h: loads and stores a guest's extended state by moves, for assembly. XRSTOR and XSAVE do the same in any
 * case, but take 110 ns and 50 ns for it even when there is next to nothing to do (AMD Zen 4); these take as long as
 * the components in use need.
 *
 * The area is in the standard format. What its header says is not in use is made initial, whatever its bytes; what the
 * processor says is not in use (XGETBV with ECX 1) is only noted as such in the header, as XSAVEOPT does. MXCSR has no
 * part in that: it is always loaded and stored.
 *
 *      rbx gate, rsi area              kept
 *      rax rcx rdx rdi                 clobbered
 *
 * SOURCES: Intel SDM volume 1, 13.4 (the area), 13.6 (what is in use), 10.5.1 (FXSAVE, whose image is the area's
 * beginning). */
#ifndef SEGUE_CTX_VECTOR_MOVES_H
#define SEGUE_CTX_VECTOR_MOVES_H

#include "layout.h"

#define AREA_STATUS 2
#define AREA_MXCSR 24
#define AREA_XMM 160
#define AREA_IN_USE 512

#define IN_USE_X87 0x01
#define IN_USE_SSE 0x02
#define IN_USE_AVX 0x04
#define IN_USE_OPMASK 0x20
#define IN_USE_ZMM_UPPER 0x40
#define IN_USE_ZMM_HIGH 0x80
#define IN_USE_AVX512 0xe0

/* eax: the components that are not in their initial state. */
.macro READ_IN_USE
        movl    $1, %ecx
        xgetbv
.endm

.macro LOAD_VECTORS
        movl    AREA_IN_USE(%rsi), %edi
        testb   $IN_USE_X87, %dil
        jz      .Lno_x87\@
        fxrstor64 (%rsi)
        jmp     .Lx87_done\@
.Lno_x87\@:
        READ_IN_USE
        testb   $IN_USE_X87, %al
        jz      .Lx87_done\@
        fxrstor64 initial_state(%rip)
.Lx87_done\@:
        ldmxcsr AREA_MXCSR(%rsi)
        vzeroall
        testb   $IN_USE_SSE, %dil
        jz      .Lno_sse\@
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        movaps  AREA_XMM + 16 * \n(%rsi), %xmm\n
        .endr
.Lno_sse\@:
        testb   $IN_USE_AVX, %dil
        jz      .Lno_avx\@
        movq    GATE_YMM_UPPER(%rbx), %rdx
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        vinsertf128 $1, 16 * \n(%rdx), %ymm\n, %ymm\n
        .endr
.Lno_avx\@:
        testl   $IN_USE_AVX512, GATE_FEATURES(%rbx)
        jz      .Lloaded\@
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7
        kxorq   %k\n, %k\n, %k\n
        .endr
        .irp    n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
        vpxord  %zmm\n, %zmm\n, %zmm\n
        .endr
        testb   $IN_USE_OPMASK, %dil
        jz      .Lno_opmask\@
        movq    GATE_OPMASK(%rbx), %rdx
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7
        kmovq   8 * \n(%rdx), %k\n
        .endr
.Lno_opmask\@:
        testb   $IN_USE_ZMM_UPPER, %dil
        jz      .Lno_upper\@
        movq    GATE_ZMM_UPPER(%rbx), %rdx
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        vinsertf64x4 $1, 32 * \n(%rdx), %zmm\n, %zmm\n
        .endr
.Lno_upper\@:
        testb   $IN_USE_ZMM_HIGH, %dil
        jz      .Lloaded\@
        movq    GATE_ZMM_HIGH(%rbx), %rdx
        .irp    n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
        vmovaps 64 * (\n - 16)(%rdx), %zmm\n
        .endr
.Lloaded\@:
.endm

/* And leaves the x87 stack empty, no exception waiting, and the upper halves clear: dirty ones slow SSE code down. */
.macro STORE_VECTORS
        READ_IN_USE
        andl    GATE_FEATURES(%rbx), %eax
        movq    %rax, AREA_IN_USE(%rsi)
        testb   $IN_USE_X87, %al
        jz      .Lno_x87\@
        fxsave64 (%rsi)
        cmpb    $0, AREA_STATUS(%rsi)
        jz      .Lno_exception\@
        fnclex                          /* what waits would be raised by the next */
.Lno_exception\@:
        emms
        jmp     .Lsse_done\@
.Lno_x87\@:
        stmxcsr AREA_MXCSR(%rsi)
        testb   $IN_USE_SSE, %al
        jz      .Lsse_done\@
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        movaps  %xmm\n, AREA_XMM + 16 * \n(%rsi)
        .endr
.Lsse_done\@:
        testb   $IN_USE_AVX, %al
        jz      .Lno_avx\@
        movq    GATE_YMM_UPPER(%rbx), %rdx
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        vextractf128 $1, %ymm\n, 16 * \n(%rdx)
        .endr
.Lno_avx\@:
        testb   $IN_USE_OPMASK, %al
        jz      .Lno_opmask\@
        movq    GATE_OPMASK(%rbx), %rdx
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7
        kmovq   %k\n, 8 * \n(%rdx)
        .endr
.Lno_opmask\@:
        testb   $IN_USE_ZMM_UPPER, %al
        jz      .Lno_upper\@
        movq    GATE_ZMM_UPPER(%rbx), %rdx
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        vextractf64x4 $1, %zmm\n, 32 * \n(%rdx)
        .endr
.Lno_upper\@:
        testb   $IN_USE_ZMM_HIGH, %al
        jz      .Lstored\@
        movq    GATE_ZMM_HIGH(%rbx), %rdx
        .irp    n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
        vmovaps %zmm\n, 64 * (\n - 16)(%rdx)
        .endr
.Lstored\@:
        vzeroupper
.endm

#endif
