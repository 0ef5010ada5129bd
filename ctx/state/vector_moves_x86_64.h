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

#include "decode/x86/components.h"
#include "ctx/layout.h"

/* eax: the components that are not in their initial state. */
.macro READ_IN_USE
        movl    $1, %ecx
        xgetbv
.endm

.macro LOAD_VECTORS
        movl    XSAVE_XSTATE_BV(%rsi), %edi
        testb   $COMPONENT_X87, %dil
        jz      .Lno_x87\@
        fxrstor64 (%rsi)
        jmp     .Lx87_done\@
.Lno_x87\@:
        READ_IN_USE
        testb   $COMPONENT_X87, %al
        jz      .Lx87_done\@
        fxrstor64 initial_state(%rip)
.Lx87_done\@:
        ldmxcsr XSAVE_MXCSR(%rsi)
        vzeroall
        testb   $COMPONENT_SSE, %dil
        jz      .Lno_sse\@
        LOAD_SSE        %rsi
.Lno_sse\@:
        testb   $COMPONENT_AVX, %dil
        jz      .Lno_avx\@
        movq    GATE_YMM_UPPER(%rbx), %rdx
        LOAD_YMM_UPPER  %rdx
.Lno_avx\@:
        testl   $COMPONENTS_AVX512, GATE_FEATURES(%rbx)
        jz      .Lloaded\@
        CLEAR_OPMASK
        CLEAR_ZMM_HIGH
        testb   $COMPONENT_OPMASK, %dil
        jz      .Lno_opmask\@
        movq    GATE_OPMASK(%rbx), %rdx
        LOAD_OPMASK     %rdx
.Lno_opmask\@:
        testb   $COMPONENT_ZMM_UPPER, %dil
        jz      .Lno_upper\@
        movq    GATE_ZMM_UPPER(%rbx), %rdx
        LOAD_ZMM_UPPER  %rdx
.Lno_upper\@:
        testb   $COMPONENT_ZMM_HIGH, %dil
        jz      .Lloaded\@
        movq    GATE_ZMM_HIGH(%rbx), %rdx
        LOAD_ZMM_HIGH   %rdx
.Lloaded\@:
.endm

/* And leaves the x87 stack empty, no exception waiting, and the upper halves clear: dirty ones slow SSE code down. */
.macro STORE_VECTORS
        READ_IN_USE
        andl    GATE_FEATURES(%rbx), %eax
        movq    %rax, XSAVE_XSTATE_BV(%rsi)
        testb   $COMPONENT_X87, %al
        jz      .Lno_x87\@
        fxsave64 (%rsi)
        cmpb    $0, XSAVE_FSW(%rsi)
        jz      .Lno_exception\@
        fnclex                          /* what waits would be raised by the next */
.Lno_exception\@:
        emms
        jmp     .Lsse_done\@
.Lno_x87\@:
        stmxcsr XSAVE_MXCSR(%rsi)
        testb   $COMPONENT_SSE, %al
        jz      .Lsse_done\@
        STORE_SSE       %rsi
.Lsse_done\@:
        testb   $COMPONENT_AVX, %al
        jz      .Lno_avx\@
        movq    GATE_YMM_UPPER(%rbx), %rdx
        STORE_YMM_UPPER %rdx
.Lno_avx\@:
        testb   $COMPONENT_OPMASK, %al
        jz      .Lno_opmask\@
        movq    GATE_OPMASK(%rbx), %rdx
        STORE_OPMASK    %rdx
.Lno_opmask\@:
        testb   $COMPONENT_ZMM_UPPER, %al
        jz      .Lno_upper\@
        movq    GATE_ZMM_UPPER(%rbx), %rdx
        STORE_ZMM_UPPER %rdx
.Lno_upper\@:
        testb   $COMPONENT_ZMM_HIGH, %al
        jz      .Lstored\@
        movq    GATE_ZMM_HIGH(%rbx), %rdx
        STORE_ZMM_HIGH  %rdx
.Lstored\@:
        vzeroupper
.endm

#endif
