/* vector_moves_x86_64.h: loads and stores a guest's extended state by moves, for assembly. XRSTOR and XSAVE can do it
 * in every case, but take 110 ns and 50 ns even if there is next to nothing to do (AMD Zen 4); moves take only as long
 * as the components in use need.
 *
 * The area is in the standard format. A component that its header marks as not in use is initialised, whatever its
 * bytes; a component that the processor reports as not in use (XGETBV with ECX 1) is only marked so in the header, as
 * XSAVEOPT does. MXCSR is exempt: it is always loaded and stored.
 *
 *      rbx gate, rsi area              kept
 *      rax rcx rdx rdi                 clobbered
 *
 * SOURCES: Intel SDM volume 1, 13.4 (the area), 13.6 (what is in use), 10.5.1 (FXSAVE, whose image is the area's
 * beginning). */
#ifndef SEGUE_CTX_VECTOR_MOVES_H
#define SEGUE_CTX_VECTOR_MOVES_H

#if !defined(__x86_64__)
#error "vector_moves_x86_64.h is specific to x86-64"
#endif

#include "decode/x86/components.h"
#include "platform/asm.h"
#include "ctx/layout.h"

/* eax: the components that are not in their initial state. (In a macro without parameters Mach-O's assembler
 * takes $1 for one.) */
.macro READ_IN_USE selector
        movl    $1, \selector
        xgetbv
.endm

/* `use`: a word for its labels. */
.macro LOAD_VECTORS use
        movl    XSAVE_XSTATE_BV(%rsi), %edi
        testb   $COMPONENT_X87, %dil
        jz      LOCAL(no_x87_\use)
        fxrstor64 (%rsi)
        jmp     LOCAL(x87_done_\use)
LOCAL(no_x87_\use):
        READ_IN_USE     %ecx
        testb   $COMPONENT_X87, %al
        jz      LOCAL(x87_done_\use)
        fxrstor64 LOCAL(initial_state)(%rip)
LOCAL(x87_done_\use):
        ldmxcsr XSAVE_MXCSR(%rsi)
        vzeroall
        testb   $COMPONENT_SSE, %dil
        jz      LOCAL(no_sse_\use)
        LOAD_SSE        %rsi
LOCAL(no_sse_\use):
        testb   $COMPONENT_AVX, %dil
        jz      LOCAL(no_avx_\use)
        movq    GATE_YMM_UPPER(%rbx), %rdx
        LOAD_YMM_UPPER  %rdx
LOCAL(no_avx_\use):
        testl   $COMPONENTS_AVX512, GATE_FEATURES(%rbx)
        jz      LOCAL(loaded_\use)
        CLEAR_OPMASK
        CLEAR_ZMM_HIGH
        testb   $COMPONENT_OPMASK, %dil
        jz      LOCAL(no_opmask_\use)
        movq    GATE_OPMASK(%rbx), %rdx
        LOAD_OPMASK     %rdx
LOCAL(no_opmask_\use):
        testb   $COMPONENT_ZMM_UPPER, %dil
        jz      LOCAL(no_upper_\use)
        movq    GATE_ZMM_UPPER(%rbx), %rdx
        LOAD_ZMM_UPPER  %rdx
LOCAL(no_upper_\use):
        testb   $COMPONENT_ZMM_HIGH, %dil
        jz      LOCAL(loaded_\use)
        movq    GATE_ZMM_HIGH(%rbx), %rdx
        LOAD_ZMM_HIGH   %rdx
LOCAL(loaded_\use):
.endm

/* Also leaves the x87 stack empty, no exception pending, and the upper halves clear: dirty ones slow SSE code down.
 * `use`: a word for its labels. */
.macro STORE_VECTORS use
        READ_IN_USE     %ecx
        andl    GATE_FEATURES(%rbx), %eax
        movq    %rax, XSAVE_XSTATE_BV(%rsi)
        testb   $COMPONENT_X87, %al
        jz      LOCAL(no_x87_\use)
        fxsave64 (%rsi)
        cmpb    $0, XSAVE_FSW(%rsi)
        jz      LOCAL(no_exception_\use)
        fnclex                          /* what waits would be raised by the next */
LOCAL(no_exception_\use):
        emms
        jmp     LOCAL(sse_done_\use)
LOCAL(no_x87_\use):
        stmxcsr XSAVE_MXCSR(%rsi)
        testb   $COMPONENT_SSE, %al
        jz      LOCAL(sse_done_\use)
        STORE_SSE       %rsi
LOCAL(sse_done_\use):
        testb   $COMPONENT_AVX, %al
        jz      LOCAL(no_avx_\use)
        movq    GATE_YMM_UPPER(%rbx), %rdx
        STORE_YMM_UPPER %rdx
LOCAL(no_avx_\use):
        testb   $COMPONENT_OPMASK, %al
        jz      LOCAL(no_opmask_\use)
        movq    GATE_OPMASK(%rbx), %rdx
        STORE_OPMASK    %rdx
LOCAL(no_opmask_\use):
        testb   $COMPONENT_ZMM_UPPER, %al
        jz      LOCAL(no_upper_\use)
        movq    GATE_ZMM_UPPER(%rbx), %rdx
        STORE_ZMM_UPPER %rdx
LOCAL(no_upper_\use):
        testb   $COMPONENT_ZMM_HIGH, %al
        jz      LOCAL(stored_\use)
        movq    GATE_ZMM_HIGH(%rbx), %rdx
        STORE_ZMM_HIGH  %rdx
LOCAL(stored_\use):
        vzeroupper
.endm

#endif
