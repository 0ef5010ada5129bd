/* guard_x86_64.S: guarded accesses to memory that may be missing or protected (see guard.h).
 *
 * Every instruction between guard_begin and guard_end may fault. None of them moves the stack pointer, so that one exit
 * serves all:
 *
 *      rsp ->  return address          at every instruction, at guard_failed too
 *      rcx     what to return when it fails: 1, or for guard_copy the bytes that are left
 */
#if !defined(__x86_64__)
#error "guard_x86_64.S is specific to x86-64"
#endif

#include "platform/asm.h"

        SECTION_HOT(guard)

LABEL(guard_begin)

/* guard_load_SIZE (rdi address, rsi to) */
.macro LOAD size, register
        .p2align 4
FUNCTION(guard_load_\size)
        .cfi_startproc
        _CET_ENDBR
        movl    $1, %ecx
        mov     (%rdi), \register
        mov     \register, (%rsi)
        xorl    %eax, %eax
        ret
        .cfi_endproc
        END(guard_load_\size)
.endm

/* guard_store_SIZE (rdi address, rsi from) */
.macro STORE size, register
        .p2align 4
FUNCTION(guard_store_\size)
        .cfi_startproc
        _CET_ENDBR
        movl    $1, %ecx
        mov     (%rsi), \register
        mov     \register, (%rdi)
        xorl    %eax, %eax
        ret
        .cfi_endproc
        END(guard_store_\size)
.endm

        LOAD    1, %al
        LOAD    2, %ax
        LOAD    4, %eax
        LOAD    8, %rax
        STORE   1, %al
        STORE   2, %ax
        STORE   4, %eax
        STORE   8, %rax

        .p2align 4
FUNCTION(guard_load_16)
        .cfi_startproc
        _CET_ENDBR
        movl    $1, %ecx
        movdqu  (%rdi), %xmm0
        movdqu  %xmm0, (%rsi)
        xorl    %eax, %eax
        ret
        .cfi_endproc
        END(guard_load_16)

/* guard_probe_write (rdi address): a compare-and-exchange always writes, and here always writes the old value. */
        .p2align 4
FUNCTION(guard_probe_write)
        .cfi_startproc
        _CET_ENDBR
        movl    $1, %ecx
        xorl    %eax, %eax
        xorl    %edx, %edx
        lock cmpxchgb %dl, (%rdi)
        xorl    %eax, %eax
        ret
        .cfi_endproc
        END(guard_probe_write)

/* guard_exchange_SIZE (rdi address, rsi from, rdx to) */
.macro EXCHANGE size, accumulator, register
        .p2align 4
FUNCTION(guard_exchange_\size)
        .cfi_startproc
        _CET_ENDBR
        movl    $1, %ecx
        mov     (%rsi), \accumulator
        mov     (%rdx), \register
        lock cmpxchg \register, (%rdi)
        movl    $0, %eax
        movl    $2, %ecx
        cmovne  %ecx, %eax
        ret
        .cfi_endproc
        END(guard_exchange_\size)
.endm

        EXCHANGE 1, %al, %r8b
        EXCHANGE 2, %ax, %r8w
        EXCHANGE 4, %eax, %r8d
        EXCHANGE 8, %rax, %r8

/* The 16-byte exchange needs RBX and RCX. RCX then holds the upper half of the new value, and a failure would return
 * it; so the access is first made once with RCX free. */
        .p2align 4
FUNCTION(guard_exchange_16)
        .cfi_startproc
        _CET_ENDBR
        movl    $1, %ecx
        movq    %rdx, %r9
        movq    %rbx, %r8
        .cfi_register %rbx, %r8
        xorl    %eax, %eax
        xorl    %edx, %edx
        lock cmpxchgb %dl, (%rdi)
        movq    (%r9), %rbx
        movq    8(%r9), %rcx
        movq    (%rsi), %rax
        movq    8(%rsi), %rdx
        lock cmpxchg16b (%rdi)
        movq    %r8, %rbx
        .cfi_restore %rbx
        movl    $0, %eax
        movl    $2, %ecx
        cmovne  %ecx, %eax
        ret
        .cfi_endproc
        END(guard_exchange_16)

/* guard_read_time: raises a general protection fault if the thread may not read it. */
        .p2align 4
FUNCTION(guard_read_time)
        .cfi_startproc
        _CET_ENDBR
        movl    $1, %ecx
        rdtsc
        xorl    %eax, %eax
        ret
        .cfi_endproc
        END(guard_read_time)

/* guard_copy (rdi to, rsi from, rdx size) */
        .p2align 4
FUNCTION(guard_copy)
        .cfi_startproc
        _CET_ENDBR
        movq    %rdx, %rcx
        rep movsb
        movq    %rcx, %rax
        ret
        .cfi_endproc
        END(guard_copy)

LABEL(guard_end)

        .p2align 4
FUNCTION(guard_failed)
        .cfi_startproc
        movq    %rcx, %rax
        ret
        .cfi_endproc
        END(guard_failed)

        END_OF_FILE
