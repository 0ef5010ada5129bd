/* constants_x86_64.S: functions with operands at constant addresses: RIP-relative in constants_memory; absolute in
 * CONSTANTS_LOW, where the program maps memory. */
#include "constants.h"
#include "platform/asm.h"

        SECTION_TEXT(constants)

FUNCTION(constants_load)
        mov     constants_memory+8(%rip), %rax
        ret
END(constants_load)

FUNCTION(constants_add)
        lock incq constants_memory+16(%rip)
        ret
END(constants_add)

/* Loads, stores, what does both, with and without an immediate behind the displacement, of 1 to 16 bytes. */
FUNCTION(constants_modify)
        push    %rbx
        mov     constants_memory+0x100(%rip), %rax
        mov     %rax, constants_memory+0x108(%rip)
        movb    $7, constants_memory+0x111(%rip)
        movw    $0x1234, constants_memory+0x112(%rip)
        movl    $0x12345678, constants_memory+0x114(%rip)
        addq    $3, constants_memory+0x118(%rip)
        adcq    $0x10000, constants_memory+0x120(%rip)
        lock incq constants_memory+0x128(%rip)
        xchg    %rax, constants_memory+0x130(%rip)
        mov     $7, %ecx
        lock cmpxchg %rcx, constants_memory+0x138(%rip)
        setc    constants_memory+0x140(%rip)
        btsl    $4, constants_memory+0x144(%rip)
        mov     constants_memory+0x150(%rip), %rax
        mov     constants_memory+0x158(%rip), %rdx
        mov     $1, %ebx
        mov     $2, %ecx
        lock cmpxchg16b constants_memory+0x150(%rip)
        movzwl  constants_memory+0x160(%rip), %ecx
        add     %rcx, %rax
        imul    $0x1001, constants_memory+0x168(%rip), %rcx
        add     %rcx, %rax
        crc32q  constants_memory+0x170(%rip), %rax
        ds mov  constants_memory+0x178(%rip), %rcx
        add     %rcx, %rax
        sarq    %cl, constants_memory+0x180(%rip)
        adc     $0, %rax
        pop     %rbx
        ret
END(constants_modify)

FUNCTION(constants_vectors)
        movups  constants_memory+0x200(%rip), %xmm0
        paddq   constants_memory+0x210(%rip), %xmm0
        movaps  %xmm0, constants_memory+0x220(%rip)
        movq    constants_memory+0x208(%rip), %xmm1
        pinsrw  $3, constants_memory+0x232(%rip), %xmm1
        movq    %xmm1, constants_memory+0x238(%rip)
        movq    %xmm0, %rax
        ret
END(constants_vectors)

constants_seven:
        mov     $7, %eax
        ret

/* The stack is memory, too. */
FUNCTION(constants_call)
        lea     constants_seven(%rip), %rax
        mov     %rax, constants_memory+0x300(%rip)
        lea     1f(%rip), %rax
        mov     %rax, constants_memory+0x308(%rip)
        push    %rbx
        call    *constants_memory+0x300(%rip)
        mov     %rax, %rbx
        push    constants_memory+0x310(%rip)
        pop     constants_memory+0x318(%rip)
        jmp     *constants_memory+0x308(%rip)
        ud2
1:      mov     %rbx, %rax
        pop     %rbx
        ret
END(constants_call)

/* The address is recorded, or the access is elsewhere. */
FUNCTION(constants_stepped)
        fldl    constants_memory+0x400(%rip)
        fstpl   -8(%rsp)
        mov     -8(%rsp), %rax
        mov     $-200, %ecx
        bts     %ecx, constants_memory+0x440(%rip)
        adc     $0, %rax
        ret
END(constants_stepped)

/* The first page and the second. */
FUNCTION(constants_straddle)
        mov     constants_memory+0x1000-4(%rip), %rax
        ret
END(constants_straddle)

/* One instruction with its prefix, and without it. */
FUNCTION(constants_prefixed)
        test    %edi, %edi
        jz      1f
        .byte   0xf0
1:      incq    constants_memory+24(%rip)
        ret
END(constants_prefixed)

FUNCTION(constants_absolute)
        mov     CONSTANTS_LOW+8, %rax
        addq    $5, CONSTANTS_LOW+16
        addr32 mov CONSTANTS_LOW+32, %rcx
        add     %rcx, %rax
        ret
END(constants_absolute)

FUNCTION(constants_offset)
        movabs  CONSTANTS_LOW+40, %rax
        inc     %eax
        movabs  %eax, CONSTANTS_LOW+48
        movabs  CONSTANTS_LOW+48, %al
        ret
END(constants_offset)

/* Behind an access whose jump has bytes of the constant's instruction, and goes 1.8 GiB back; and from there on. */
FUNCTION(constants_behind)
        mov     (%rdi), %rax
FUNCTION(constants_behind_it)
        mov     constants_memory+56(%rip), %rcx
        add     %ecx, %eax
        ret
END(constants_behind_it)
END(constants_behind)
        .globl constants_end
constants_end:

        END_OF_FILE
