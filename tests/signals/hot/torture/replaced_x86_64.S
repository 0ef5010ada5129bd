/* replaced_x86_64.S: two libraries, torture_first and torture_second, with other code at the same offsets. Each is
 * closed and the other one opened, and the system then tends to map it where the first one was. */
#include "platform/asm.h"

        SECTION_TEXT(replaced)

/* RSI words from RDI on are taken together; the result depends on the library. */
PUBLIC_FUNCTION(replaced_fold)
#if TORTURE_LIBRARY == 1
        xor     %eax, %eax
1:      add     (%rdi), %rax
        add     $8, %rdi
        dec     %rsi
        jnz     1b
        ret
#else
        xor     %eax, %eax
        nop
        nop
1:      xor     (%rdi), %rax
        rol     $1, %rax
        add     $8, %rdi
        dec     %rsi
        jnz     1b
        ret
#endif
        .balign 32
END(replaced_fold)

/* The same bytes at the site, others behind it; a branch leads to code that differs. */
PUBLIC_FUNCTION(replaced_branch)
        xor     %eax, %eax
1:      mov     (%rdi), %rcx
#if TORTURE_LIBRARY == 1
        add     %rcx, %rax
        lea     8(%rdi), %rdi
        dec     %rsi
        jmp     2f
#else
        sub     %rcx, %rax
        lea     8(%rdi), %rdi
        dec     %rsi
        jmp     2f
#endif
        .balign 16
2:      jz      3f
#if TORTURE_LIBRARY == 1
        add     -8(%rdi), %rax
#else
        sub     -8(%rdi), %rax
#endif
        jmp     1b
3:      ret
END(replaced_branch)

/* The library's number. */
        SECTION_CONSTANT(replaced)
        .globl  replaced_number
        .type   replaced_number, @object
replaced_number:
        .long   TORTURE_LIBRARY
        .size   replaced_number, 4

        END_OF_FILE
