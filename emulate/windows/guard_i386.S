/* guard_i386.S: guarded accesses to memory that may be missing or protected (see guard.h).
 *
 * Every instruction between guard_begin and guard_end may fault. None of them moves the stack pointer, so that one exit
 * serves all:
 *
 *      esp ->  return address, arguments       at every instruction, at guard_failed too
 *      ecx     what to return when it fails: 1, or for guard_copy the bytes that are left
 *      xmm5, xmm6, xmm7                        the caller's esi, edi and ebx
 *
 * What they return has two words. */
#if !defined(__i386__)
#error "guard_i386.S is specific to i386"
#endif

#include "platform/asm.h"

        .text

LABEL(guard_begin)

.macro BEGIN name
        .p2align 4
FUNCTION(\name)
        .cfi_startproc
        _CET_ENDBR
        movd    %esi, %xmm5
        movd    %edi, %xmm6
        movd    %ebx, %xmm7
        movl    $1, %ecx
.endm

.macro SUCCEED name
        xorl    %eax, %eax
        xorl    %edx, %edx
        ret
        .cfi_endproc
        END(\name)
.endm

/* Flags stay as they are. */
.macro GIVE_BACK
        movd    %xmm5, %esi
        movd    %xmm6, %edi
        movd    %xmm7, %ebx
.endm

/* guard_load_SIZE (address, to), guard_store_SIZE (address, from) */
.macro LOAD size, move, register
        BEGIN   guard_load_\size
        movl    4(%esp), %edx
        \move   (%edx), \register
        movl    8(%esp), %edx
        \move   \register, (%edx)
        SUCCEED guard_load_\size
.endm

.macro STORE size, move, register
        BEGIN   guard_store_\size
        movl    8(%esp), %edx
        \move   (%edx), \register
        movl    4(%esp), %edx
        \move   \register, (%edx)
        SUCCEED guard_store_\size
.endm

        LOAD    1, movb, %al
        LOAD    2, movw, %ax
        LOAD    4, movl, %eax
        LOAD    8, movq, %xmm0
        LOAD    16, movdqu, %xmm0
        STORE   1, movb, %al
        STORE   2, movw, %ax
        STORE   4, movl, %eax
        STORE   8, movq, %xmm0

/* guard_probe_write (address): a compare-and-exchange always writes, and here always writes the old value. */
        BEGIN   guard_probe_write
        movl    4(%esp), %esi
        xorl    %eax, %eax
        xorl    %edx, %edx
        lock cmpxchgb %dl, (%esi)
        GIVE_BACK
        SUCCEED guard_probe_write

/* After the exchange: 0 or GUARD_OTHER. */
.macro ANSWER name
        GIVE_BACK
        movl    $0, %eax
        movl    $2, %ecx
        cmovne  %ecx, %eax
        movl    $0, %edx
        ret
        .cfi_endproc
        END(\name)
.endm

/* guard_exchange_SIZE (address, from, to) */
.macro EXCHANGE size, accumulator, register
        BEGIN   guard_exchange_\size
        movl    4(%esp), %esi
        movl    8(%esp), %edi
        mov     (%edi), \accumulator
        movl    12(%esp), %edi
        mov     (%edi), \register
        lock cmpxchg \register, (%esi)
        ANSWER  guard_exchange_\size
.endm

        EXCHANGE 1, %al, %dl
        EXCHANGE 2, %ax, %dx
        EXCHANGE 4, %eax, %edx

/* ECX then holds the upper half of the new value, and a failure would return it; so the access is first made once with
 * ECX free. */
        BEGIN   guard_exchange_8
        movl    4(%esp), %edi
        xorl    %eax, %eax
        xorl    %edx, %edx
        lock cmpxchgb %dl, (%edi)
        movl    12(%esp), %esi
        movl    (%esi), %ebx
        movl    4(%esi), %ecx
        movl    8(%esp), %esi
        movl    (%esi), %eax
        movl    4(%esi), %edx
        lock cmpxchg8b (%edi)
        ANSWER  guard_exchange_8

/* 32-bit code has no such instruction. */
        BEGIN   guard_exchange_16
        movl    %ecx, %eax
        xorl    %edx, %edx
        ret
        .cfi_endproc
        END(guard_exchange_16)

/* guard_read_time: raises a general protection fault if the thread may not read it. */
        BEGIN   guard_read_time
        rdtsc
        SUCCEED guard_read_time

/* guard_copy (to, from, size) */
        BEGIN   guard_copy
        movl    4(%esp), %edi
        movl    8(%esp), %esi
        movl    12(%esp), %ecx
        rep movsb
        GIVE_BACK
        SUCCEED guard_copy

LABEL(guard_end)

        .p2align 4
FUNCTION(guard_failed)
        .cfi_startproc
        GIVE_BACK
        movl    %ecx, %eax
        xorl    %edx, %edx
        ret
        .cfi_endproc
        END(guard_failed)

        END_OF_FILE
