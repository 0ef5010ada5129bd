/* clone.h: a child's first steps. */
#ifndef SEGUE_CTX_CLONE_H
#define SEGUE_CTX_CLONE_H

#include <segue/ctx.h>

#include "pad.h"

/* What the child needs, in memory that stays its own until it has gone on. */
struct clone_child {
    /* The copy of the frame that it goes on by. */
    void *ucontext;
    segue_clone_start *start;
    void *block;
    size_t block_size;
    /* What this stands in, if the child's memory is a copy: given back before it goes on. Nobody else is there to take
     * it. */
    struct pad *pad;
};

struct clone_call {
    long number;
    uint64_t first, second, third, fourth, fifth;
    struct clone_child *child;
};

/* Assembly: makes the system call. Returns its result on the parent; the child calls clone_begin, on the stack that the
 * call gave it, or on its copy of the parent's. */
long clone_go(const struct clone_call *call);

/* Assembly: what the kernel does at a handler's return, with the frame at `ucontext`. */
__attribute__((noreturn)) void clone_return(void *ucontext);

/* On the child. */
__attribute__((noreturn)) void clone_begin(struct clone_child *child);

#endif
