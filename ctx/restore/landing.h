/* landing.h: the restore image: a thread's whole integer state in the form that a direct restore loads. */
#ifndef SEGUE_CTX_LANDING_H
#define SEGUE_CTX_LANDING_H

#include <segue/regs.h>

#include "ctx/handling.h"
#include "platform/code_range.h"

struct landing {
    uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp;
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
    /* As IRETQ takes them from the stack. */
    uint64_t rip, cs, rflags, rsp, ss;
    /* The shortcut that does the same without IRETQ (shortcut.h); NULL if that target, or those flags, have none. */
    const void *shortcut;
    /* The record of the handler that ends, to be unlinked from the thread's list; NULL if none. */
    const struct handling *handling;
    /* The mask to set once the image's stack is the one in use, and the kernel's frame, which is returned from if the
     * kernel refuses to set the mask; NULL: the mask stays as it is. */
    void *frame;
    uint64_t mask;
};

/* Fills in the image. Takes only those flags that a program can set. Returns whether the processor can go there
 * without a fault. */
bool landing_prepare(struct landing *landing, const struct segue_regs *regs, uint64_t code_segment,
                     uint64_t stack_segment);

/* In assembly: loads the components in `features` from the XSAVE area, then all other registers, and jumps. With no
 * features it loads x87 and SSE from an area of FXSAVE, as a processor without XSAVE needs. `landing` is on the stack
 * in use, or on the one that it restores. At landing_off_list the record is unlinked and RDI is the landing; from
 * landing_forgotten on the landing is the top of the stack; at landing_last, its last instruction, all but its IRETQ
 * part is loaded. */
__attribute__((noreturn)) void landing_go(const struct landing *landing, const void *area, uint64_t features);
extern const char landing_off_list[], landing_forgotten[], landing_last[], landing_shortcut[];

/* The return path if the kernel refused the mask: the stack pointer is at the ucontext. */
extern const char landing_refused[], landing_refused_end[];

/* Its code range, from landing_off_list on. */
extern const struct code_range landing_range;

#endif
