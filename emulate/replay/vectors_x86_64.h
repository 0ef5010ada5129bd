/* vectors_x86_64.h: loads and stores the extended state of a replayed instruction by moves, for assembly. XRSTOR and
 * XSAVE would do the same, but take 100 ns for x87, 75 ns for SSE and 135 ns for AVX-512 together, where these moves
 * take 65, 15 and 22 (Intel Sapphire Rapids).
 *
 * The area is in the standard format. A component that the header does not mark as in use is set to its initial state,
 * whatever its bytes. A component that the processor reports as not in use afterwards (XGETBV with ECX 1) is marked so
 * in the header, as XSAVE does. All bytes of the components are stored, as by XSAVE. The upper halves must be clear
 * before the first XMM register is loaded, or the processor would merge. x87 must be in use before; FXRSTOR and FXSAVE
 * also move its neighbours in the legacy region, there and back.
 *
 *      rdi context, esi components, rcx area       kept
 *      rax rdx                                     clobbered
 *
 * SOURCES: Intel SDM volume 1, 13.4 (the area), 13.6 (what is in use; MXCSR counts as SSE's), 13.7 (XSAVE), 13.8
 * (XRSTOR: MXCSR is loaded whatever the header says). */
#ifndef SEGUE_EMULATE_VECTORS_H
#define SEGUE_EMULATE_VECTORS_H

#if !defined(__x86_64__)
#error "vectors_x86_64.h is specific to x86-64"
#endif

#include "decode/x86/components.h"
#include "platform/asm.h"
#include "layout.h"

/* eax: the components that are not in their initial state. ecx is kept. (In a macro without parameters Mach-O's
 * assembler would take $1 for one.) */
.macro READ_IN_USE selector
        movq    %rcx, %r8
        movl    $1, \selector
        xgetbv
        movq    %r8, %rcx
.endm

/* r9d: the components to load that are in use. r8 is clobbered. `use`: a unique word for the macro's labels. */
.macro LOAD_VECTORS use
        movl    %esi, %r9d
        andl    XSAVE_XSTATE_BV(%rcx), %r9d
        vzeroupper
        testb   $COMPONENT_X87, %sil
        jz      LOCAL(no_x87_\use)
        fxrstor64 (%rcx)
LOCAL(no_x87_\use):
        testb   $(COMPONENT_SSE | COMPONENT_AVX), %sil
        jz      LOCAL(no_control_\use)
        ldmxcsr XSAVE_MXCSR(%rcx)
LOCAL(no_control_\use):
        /* Components whose initial state must be loaded, and has not been yet. */
        cmpl    %esi, %r9d
        je      LOCAL(initial_\use)
        READ_IN_USE     %ecx
        notl    %r9d
        andl    %esi, %r9d
        andl    %eax, %r9d
        testb   $COMPONENT_SSE, %r9b
        jz      LOCAL(sse_initial_\use)
        CLEAR_SSE
LOCAL(sse_initial_\use):
        testb   $COMPONENT_OPMASK, %r9b
        jz      LOCAL(opmask_initial_\use)
        CLEAR_OPMASK
LOCAL(opmask_initial_\use):
        testb   $COMPONENT_ZMM_HIGH, %r9b
        jz      LOCAL(high_initial_\use)
        CLEAR_ZMM_HIGH
LOCAL(high_initial_\use):
        movl    %esi, %r9d
        andl    XSAVE_XSTATE_BV(%rcx), %r9d
LOCAL(initial_\use):
        testb   $COMPONENT_SSE, %r9b
        jz      LOCAL(no_sse_\use)
        LOAD_SSE        %rcx
LOCAL(no_sse_\use):
        testb   $COMPONENT_AVX, %r9b
        jz      LOCAL(no_avx_\use)
        movq    REPLAY_YMM_UPPER(%rdi), %rdx
        LOAD_YMM_UPPER  %rdx
LOCAL(no_avx_\use):
        testb   $COMPONENTS_AVX512, %r9b
        jz      LOCAL(loaded_\use)
        testb   $COMPONENT_OPMASK, %r9b
        jz      LOCAL(no_opmask_\use)
        movq    REPLAY_OPMASK(%rdi), %rdx
        LOAD_OPMASK     %rdx
LOCAL(no_opmask_\use):
        testb   $COMPONENT_ZMM_UPPER, %r9b
        jz      LOCAL(no_upper_\use)
        movq    REPLAY_ZMM_UPPER(%rdi), %rdx
        LOAD_ZMM_UPPER  %rdx
LOCAL(no_upper_\use):
        testb   $COMPONENT_ZMM_HIGH, %r9b
        jz      LOCAL(loaded_\use)
        movq    REPLAY_ZMM_HIGH(%rdi), %rdx
        LOAD_ZMM_HIGH   %rdx
LOCAL(loaded_\use):
.endm

/* A component that is not in use, and was not before, has the same bytes in the area as in the processor. Leaves the
 * upper halves clear, since dirty ones slow SSE code down. r8 and r9 are clobbered. `use`: a unique word for the
 * macro's labels. */
.macro STORE_VECTORS use
        READ_IN_USE     %ecx
        andl    %esi, %eax
        testb   $COMPONENT_X87, %sil
        jz      LOCAL(no_x87_\use)
        fxsave64 (%rcx)
LOCAL(no_x87_\use):
        testb   $(COMPONENT_SSE | COMPONENT_AVX), %sil
        jz      LOCAL(sse_done_\use)
        stmxcsr XSAVE_MXCSR(%rcx)
        testb   $COMPONENT_SSE, %sil
        jz      LOCAL(sse_done_\use)
        cmpl    $MXCSR_INITIAL, XSAVE_MXCSR(%rcx)
        je      LOCAL(control_initial_\use)
        orl     $COMPONENT_SSE, %eax
LOCAL(control_initial_\use):
        STORE_SSE       %rcx
LOCAL(sse_done_\use):
        movl    %esi, %edx
        notl    %edx
        movl    XSAVE_XSTATE_BV(%rcx), %r8d
        movl    %r8d, %r9d
        andl    %edx, %r8d
        orl     %eax, %r8d
        movl    %r8d, XSAVE_XSTATE_BV(%rcx)
        orl     %eax, %r9d
        andl    %esi, %r9d
        testb   $COMPONENT_AVX, %r9b
        jz      LOCAL(no_avx_\use)
        movq    REPLAY_YMM_UPPER(%rdi), %rdx
        STORE_YMM_UPPER %rdx
LOCAL(no_avx_\use):
        testb   $COMPONENTS_AVX512, %r9b
        jz      LOCAL(stored_\use)
        testb   $COMPONENT_OPMASK, %r9b
        jz      LOCAL(no_opmask_\use)
        movq    REPLAY_OPMASK(%rdi), %rdx
        STORE_OPMASK    %rdx
LOCAL(no_opmask_\use):
        testb   $COMPONENT_ZMM_UPPER, %r9b
        jz      LOCAL(no_upper_\use)
        movq    REPLAY_ZMM_UPPER(%rdi), %rdx
        STORE_ZMM_UPPER %rdx
LOCAL(no_upper_\use):
        testb   $COMPONENT_ZMM_HIGH, %r9b
        jz      LOCAL(stored_\use)
        movq    REPLAY_ZMM_HIGH(%rdi), %rdx
        STORE_ZMM_HIGH  %rdx
LOCAL(stored_\use):
        vzeroupper
.endm

#endif
