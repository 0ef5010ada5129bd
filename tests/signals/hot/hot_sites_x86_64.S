/* hot_sites_x86_64.S: functions with sites of every length and kind. Each takes an address in RDI; what it does with it
 * is the same whether its sites are hot or not. */
#include "decode/x86/flags.h"
#include "platform/asm.h"

#define SITES_PAIRS 120

        SECTION_TEXT(sites)

/* Two bytes, three, four, seven; punned, and in place. */
FUNCTION(sites_load_two)
        mov     (%rdi), %eax
        ret
END(sites_load_two)

FUNCTION(sites_load_three)
        mov     (%rdi), %rax
        ret
END(sites_load_three)

FUNCTION(sites_load_four)
        mov     8(%rdi), %rax
        ret
END(sites_load_four)

/* A word, with alignment checks; returns the flags behind it. */
FUNCTION(sites_load_aligned)
        pushfq
        orq     $FLAG_ALIGNMENT, (%rsp)
        popfq
        mov     (%rdi), %rcx
        mov     8(%rdi), %rdx
        pushfq
        mov     (%rsp), %rax
        andq    $~FLAG_ALIGNMENT, (%rsp)
        popfq
        ret
END(sites_load_aligned)

FUNCTION(sites_load_seven)
        mov     0x100(%rdi), %rax
        ret
END(sites_load_seven)

/* RSI words from RDI on, added. */
FUNCTION(sites_sum)
        xor     %eax, %eax
1:      add     (%rdi), %rax
        lea     8(%rdi), %rdi
        dec     %rsi
        jnz     1b
        ret
END(sites_sum)

/* RSI pairs of words from RDI on: the first added, the second by XOR. Each access leads to the other by a jump. */
        .globl  sites_in_turns_second
FUNCTION(sites_in_turns)
        xor     %eax, %eax
        jmp     1f
        .balign 16
sites_in_turns_second:
        xor     8(%rdi), %rax
        lea     16(%rdi), %rdi
        dec     %rsi
        jnz     1f
        ret
        .balign 16
        .globl  sites_in_turns_first
sites_in_turns_first:
1:      add     (%rdi), %rax
        nop
        jmp     sites_in_turns_second
        .balign 16
        .globl  sites_in_turns_end
sites_in_turns_end:
END(sites_in_turns)

/* More accesses in a row than a body has room for. Their bytes put each pun's window 1.8 GiB before them, where nothing
 * is: a window shortly behind the program may be the heap's to grow into. */
FUNCTION(sites_many)
        .rept   100
        mov     (%rdi), %rax
        .endr
        ret
END(sites_many)

/* A sum of RSI words with carry: the flags live across the accesses. */
FUNCTION(sites_sum_with_carry)
        xor     %eax, %eax
        xor     %edx, %edx
        inc     %rsi
        dec     %rsi
        jz      2f
        clc
1:      adc     (%rdi), %rax
        lea     8(%rdi), %rdi
        lea     -1(%rsi), %rsi
        mov     %rsi, %rcx
        jrcxz   2f
        jmp     1b
2:      adc     $0, %rdx
        add     %rdx, %rax
        ret
END(sites_sum_with_carry)

/* Follows RSI links from RDI on. */
FUNCTION(sites_follow)
1:      mov     (%rdi), %rdi
        dec     %rsi
        jnz     1b
        mov     %rdi, %rax
        ret
END(sites_follow)

/* Read-modify-write, plain and locked; exchange; compare and exchange. */
FUNCTION(sites_modify)
        addq    $3, (%rdi)
        lock incq 8(%rdi)
        mov     $5, %eax
        xchg    %rax, 16(%rdi)
        mov     $7, %ecx
        lock cmpxchg %rcx, 24(%rdi)
        sete    %dl
        movzbl  %dl, %edx
        add     %rdx, %rax
        setc    32(%rdi)
        btsl    $4, 36(%rdi)
        adc     $0, %rax
        ret
END(sites_modify)

/* Vector moves. */
FUNCTION(sites_vectors)
        movups  (%rdi), %xmm0
        paddq   16(%rdi), %xmm0
        movups  %xmm0, 32(%rdi)
        movq    (%rdi), %xmm1
        movq    %xmm1, 48(%rdi)
        movq    %xmm0, %rax
        ret
END(sites_vectors)

/* RSI bytes copied from RDI to RDX by a string instruction: not for bodies. */
FUNCTION(sites_copy)
        mov     %rsi, %rcx
        mov     %rdi, %rsi
        mov     %rdx, %rdi
        rep movsb
        xor     %eax, %eax
        ret
END(sites_copy)

/* Loads what the mask RSI selects of the 32 bytes at RDI, and stores it at RDX; compares 32 more; adds up words, one of
 * them for all, and stores the sums. AVX-512. */
FUNCTION(sites_masked)
        kmovq   %rsi, %k1
        vmovdqu8 (%rdi), %ymm16{%k1}{z}
        vmovdqu8 %ymm16, (%rdx)
        vpcmpnequb 32(%rdi), %ymm16, %k2{%k1}
        kmovq   %k2, %rax
        vpxorq  %zmm17, %zmm17, %zmm17
        vpaddd  64(%rdi), %zmm17, %zmm17{%k1}
        vpaddd  128(%rdi){1to16}, %zmm17, %zmm17{%k1}
        vmovdqu32 %zmm17, 192(%rdi){%k1}
        vmovdqu32 %zmm17, 32(%rdx)
        vzeroupper
        ret
END(sites_masked)

/* Loads what the mask RSI selects of 32 bytes at RDI. AVX-512. */
FUNCTION(sites_load_masked)
        kmovq   %rsi, %k1
        vmovdqu8 (%rdi), %ymm16{%k1}{z}
        vmovq   %xmm16, %rax
        vzeroupper
        ret
END(sites_load_masked)

/* SITES_PAIRS pairs of loads, 16 bytes apart: of the word at RDI, and of one behind RSI, which is added: 1 byte behind
 * it in the first pair, 2 in the second. That byte is the highest of a displacement from the first load, so that each
 * pair's jump needs a page of its own, unless the second load moves. */
FUNCTION(sites_pairs)
        .balign 16
        .globl  sites_pairs_first
sites_pairs_first:
        .set    .Lbehind, 0
        .rept   SITES_PAIRS
        .balign 16
        .set    .Lbehind, .Lbehind + 1
        mov     (%rdi), %eax
        add     .Lbehind(%rsi), %eax
        ret
        .endr
END(sites_pairs)

sites_seven_:
        mov     $7, %eax
        ret

/* Calls through a pointer in memory, and through another one with a longer displacement. */
FUNCTION(sites_call)
        lea     sites_seven_(%rip), %rax
        mov     %rax, 8(%rdi)
        mov     %rax, 0x100(%rdi)
        push    %rdi
        call    *8(%rdi)
        mov     (%rsp), %rdi
        push    %rax
        call    *0x100(%rdi)
        pop     %rdx
        add     %rdx, %rax
        pop     %rdi
        ret
END(sites_call)

/* The stack pointer is near: traffic between the accesses, and an access that depends on it. */
FUNCTION(sites_stack)
        push    %rbx
        mov     (%rdi), %rbx
        push    %rbx
        mov     8(%rdi), %rax
        add     (%rsp), %rax
        mov     %rax, -64(%rsp)
        mov     16(%rdi), %rcx
        add     -64(%rsp), %rcx
        pop     %rdx
        lea     (%rcx,%rdx), %rax
        pop     %rbx
        ret
END(sites_stack)

/* Its line leads, too, to an address where no memory is; it is not taken. */
FUNCTION(sites_to_nowhere)
        mov     (%rdi), %rax
        test    %rdi, %rdi
        jz      sites_load_two + 0x40000000
        ret
END(sites_to_nowhere)

/* Two loads of the x87. */
FUNCTION(sites_x87)
        fldl    8(%rdi)
        faddl   16(%rdi)
        fstpl   -8(%rsp)
        mov     -8(%rsp), %rax
        ret
END(sites_x87)

/* A site before a call, in what is called, and behind the call. */
FUNCTION(sites_three_lines)
        mov     0x100(%rdi), %rdx
        call    sites_load_seven
        add     0x200(%rdi), %rax
        add     %rdx, %rax
        ret
END(sites_three_lines)

        END_OF_FILE
