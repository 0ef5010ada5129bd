/* valgrind_x86.h: client requests to Valgrind: instructions that do nothing on a processor, and that Valgrind
 * interprets as a call. The library needs three of them, and so does not depend on Valgrind's headers.
 *
 * SOURCES: valgrind/valgrind.h, "Architecture-specific definitions": amd64 and x86, as unchanged since 2007. */
#ifndef SEGUE_CTX_CONTEXT_VALGRIND_X86_H
#define SEGUE_CTX_CONTEXT_VALGRIND_X86_H

#include <stdint.h>

#if !defined(__x86_64__) && !defined(__i386__)
#error "this header is for x86"
#endif

enum valgrind_request {
    VALGRIND_REQUEST_RUNNING = 0x1001,          /* -> how many Valgrinds run one in another; 0 on a processor */
    VALGRIND_REQUEST_REGISTER_STACK = 0x1501,   /* lowest address, highest address -> a number for the stack */
    VALGRIND_REQUEST_DEREGISTER_STACK = 0x1502, /* the number */
};

static inline uintptr_t valgrind_ask(enum valgrind_request request, uintptr_t first, uintptr_t second)
{
    volatile uintptr_t arguments[6] = {request, first, second, 0, 0, 0};
    uintptr_t answer;
    /* The rotations leave RDI as it was. The answer is in RDX; it is 0 on a processor. */
#ifdef __x86_64__
    __asm__ volatile("rolq $3, %%rdi; rolq $13, %%rdi; rolq $61, %%rdi; rolq $51, %%rdi; xchgq %%rbx, %%rbx"
                     : "=d"(answer)
                     : "a"(arguments), "0"((uintptr_t)0)
                     : "cc", "memory");
#else
    __asm__ volatile("roll $3, %%edi; roll $13, %%edi; roll $29, %%edi; roll $19, %%edi; xchgl %%ebx, %%ebx"
                     : "=d"(answer)
                     : "a"(arguments), "0"((uintptr_t)0)
                     : "cc", "memory");
#endif
    return answer;
}

#endif
