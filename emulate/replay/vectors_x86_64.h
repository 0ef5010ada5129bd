/* vectors_x86_64.h: loads and stores the extended state of a replayed instruction by moves, for assembly. XRSTOR and
 * XSAVE do the same in any case, but take 100 ns for x87, 75 ns for SSE and 135 ns for AVX-512 together, where these
 * take 65, 15 and 22 (Intel Sapphire Rapids).
 *
 * The area is in the standard format. What its header says is not in use is made initial, whatever its bytes; what the
 * processor says is not in use afterwards (XGETBV with ECX 1) is noted as such in the header, as XSAVE does. All bytes
 * of the components are stored, as by XSAVE. The upper halves must be clear before the first XMM register is loaded, or
 * the processor would merge. x87 must be in use before; FXRSTOR and FXSAVE move its neighbours in the legacy region, too,
 * there and back.
 *
 *      rdi context, esi components, rcx area       kept
 *      rax rdx                                     clobbered
 *
 * SOURCES: Intel SDM volume 1, 13.4 (the area), 13.6 (what is in use; MXCSR counts as SSE's), 13.7 (XSAVE), 13.8
 * (XRSTOR: MXCSR is loaded whatever the header says). */
#ifndef SEGUE_EMULATE_VECTORS_H
#define SEGUE_EMULATE_VECTORS_H

#include "decode/x86/components.h"
#include "layout.h"

/* eax: the components that are not in their initial state. ecx is kept. */
.macro READ_IN_USE
        movq    %rcx, %r8
        movl    $1, %ecx
        xgetbv
        movq    %r8, %rcx
.endm

/* r9d: of the components to be loaded, those in use. r8 clobbered. */
.macro LOAD_VECTORS
        movl    %esi, %r9d
        andl    XSAVE_XSTATE_BV(%rcx), %r9d
        vzeroupper
        testb   $COMPONENT_X87, %sil
        jz      .Lno_x87\@
        fxrstor64 (%rcx)
.Lno_x87\@:
        testb   $(COMPONENT_SSE | COMPONENT_AVX), %sil
        jz      .Lno_control\@
        ldmxcsr XSAVE_MXCSR(%rcx)
.Lno_control\@:
        /* What is to be initial, and is not by now. */
        cmpl    %esi, %r9d
        je      .Linitial\@
        READ_IN_USE
        notl    %r9d
        andl    %esi, %r9d
        andl    %eax, %r9d
        testb   $COMPONENT_SSE, %r9b
        jz      .Lsse_initial\@
        CLEAR_SSE
.Lsse_initial\@:
        testb   $COMPONENT_OPMASK, %r9b
        jz      .Lopmask_initial\@
        CLEAR_OPMASK
.Lopmask_initial\@:
        testb   $COMPONENT_ZMM_HIGH, %r9b
        jz      .Lhigh_initial\@
        CLEAR_ZMM_HIGH
.Lhigh_initial\@:
        movl    %esi, %r9d
        andl    XSAVE_XSTATE_BV(%rcx), %r9d
.Linitial\@:
        testb   $COMPONENT_SSE, %r9b
        jz      .Lno_sse\@
        LOAD_SSE        %rcx
.Lno_sse\@:
        testb   $COMPONENT_AVX, %r9b
        jz      .Lno_avx\@
        movq    REPLAY_YMM_UPPER(%rdi), %rdx
        LOAD_YMM_UPPER  %rdx
.Lno_avx\@:
        testb   $COMPONENTS_AVX512, %r9b
        jz      .Lloaded\@
        testb   $COMPONENT_OPMASK, %r9b
        jz      .Lno_opmask\@
        movq    REPLAY_OPMASK(%rdi), %rdx
        LOAD_OPMASK     %rdx
.Lno_opmask\@:
        testb   $COMPONENT_ZMM_UPPER, %r9b
        jz      .Lno_upper\@
        movq    REPLAY_ZMM_UPPER(%rdi), %rdx
        LOAD_ZMM_UPPER  %rdx
.Lno_upper\@:
        testb   $COMPONENT_ZMM_HIGH, %r9b
        jz      .Lloaded\@
        movq    REPLAY_ZMM_HIGH(%rdi), %rdx
        LOAD_ZMM_HIGH   %rdx
.Lloaded\@:
.endm

/* What is not in use, and was not before, is in the area as it is in the processor. Leaves the upper halves clear: dirty
 * ones slow SSE code down. r8 and r9 clobbered. */
.macro STORE_VECTORS
        READ_IN_USE
        andl    %esi, %eax
        testb   $COMPONENT_X87, %sil
        jz      .Lno_x87\@
        fxsave64 (%rcx)
.Lno_x87\@:
        testb   $(COMPONENT_SSE | COMPONENT_AVX), %sil
        jz      .Lsse_done\@
        stmxcsr XSAVE_MXCSR(%rcx)
        testb   $COMPONENT_SSE, %sil
        jz      .Lsse_done\@
        cmpl    $MXCSR_INITIAL, XSAVE_MXCSR(%rcx)
        je      .Lcontrol_initial\@
        orl     $COMPONENT_SSE, %eax
.Lcontrol_initial\@:
        STORE_SSE       %rcx
.Lsse_done\@:
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
        jz      .Lno_avx\@
        movq    REPLAY_YMM_UPPER(%rdi), %rdx
        STORE_YMM_UPPER %rdx
.Lno_avx\@:
        testb   $COMPONENTS_AVX512, %r9b
        jz      .Lstored\@
        testb   $COMPONENT_OPMASK, %r9b
        jz      .Lno_opmask\@
        movq    REPLAY_OPMASK(%rdi), %rdx
        STORE_OPMASK    %rdx
.Lno_opmask\@:
        testb   $COMPONENT_ZMM_UPPER, %r9b
        jz      .Lno_upper\@
        movq    REPLAY_ZMM_UPPER(%rdi), %rdx
        STORE_ZMM_UPPER %rdx
.Lno_upper\@:
        testb   $COMPONENT_ZMM_HIGH, %r9b
        jz      .Lstored\@
        movq    REPLAY_ZMM_HIGH(%rdi), %rdx
        STORE_ZMM_HIGH  %rdx
.Lstored\@:
        vzeroupper
.endm

#endif
