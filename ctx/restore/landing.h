/* landing.h: a thread's whole integer state in the form that the direct restore takes it. */
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
    /* What does the same without IRETQ (shortcut.h); NULL if there is none to that instruction, or with those flags. */
    const void *shortcut;
    /* The record of the handler that is left, to be taken off the thread's list; NULL for none. */
    const struct handling *handling;
    /* The mask to be put in force once the landing's stack is the one in use, and the kernel's frame, which is returned
     * from if the mask is refused; NULL: the mask is left alone. */
    void *frame;
    uint64_t mask;
};

/* Fills it in. Of the flags only those that a program can set are taken. Returns whether the processor would go there
 * without a fault on the way. */
bool landing_prepare(struct landing *landing, const struct segue_regs *regs, uint64_t code_segment,
                     uint64_t stack_segment);

/* Assembly: loads the components in `features` from the XSAVE area, then everything else, and is there. With no
 * features it loads x87 and SSE from an area of FXSAVE, as a processor without XSAVE needs. `landing` is on the stack
 * in use, or on the one that it leads to. At landing_off_list the record is off the list and RDI the landing;
 * from landing_forgotten on that is the top of the stack; at landing_last, its last instruction, all but its IRETQ part
 * is loaded. */
__attribute__((noreturn)) void landing_go(const struct landing *landing, const void *area, uint64_t features);
extern const char landing_off_list[], landing_forgotten[], landing_last[], landing_shortcut[];

/* The way out where the mask was refused: the stack pointer is at the ucontext. */
extern const char landing_refused[], landing_refused_end[];

/* All of it, from landing_off_list on. */
extern const struct code_range landing_range;

#endif
