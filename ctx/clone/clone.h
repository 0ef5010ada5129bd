/* clone.h: a child's first steps. */
#ifndef SEGUE_CTX_CLONE_H
#define SEGUE_CTX_CLONE_H

#include <segue/linux.h>

#include "pad.h"

struct gate;

/* What the child needs, in memory that stays its own until it has gone on. */
struct clone_child {
    /* The copy of the frame that it goes on by. */
    void *ucontext;
    segue_clone_start *start;
    void *block;
    size_t block_size;
    /* What this stands in. A child whose memory is a copy gives it back before it goes on: nobody else is there to take
     * it. Any other does so at the exit that its frame leads to, or by its end. */
    struct pad_use pad;
    bool shares_memory, is_waited_for;
    /* Of the guest that the handler has interrupted, and the frame that this is a copy of; NULL for none. */
    struct gate *gate;
    const void *original;
};

struct clone_call {
    long number;
    uint64_t first, second, third, fourth, fifth;
    struct clone_child *child;
};

/* What a parent puts aside that waits while its child runs over the stack that it waits on: the bytes from `low` (0:
 * its stack pointer) to `high`, to the `room` bytes at `copy`; and the end of the stack that it waits on. */
struct clone_parking {
    uint64_t low, high;
    char *copy;
    size_t room;
    char *stack;
};

/* Assembly: makes the system call. Returns its result on the parent; the child calls clone_begin, on the stack that the
 * call gave it, or on its copy of the parent's. */
long clone_go(const struct clone_call *call);

/* So too; the parent's bytes are put aside before, and put back after. -ENOMEM if there is no room. `parking` is not
 * among them. */
long clone_go_parked(const struct clone_call *call, const struct clone_parking *parking);

/* Assembly: what the kernel does at a handler's return, with the frame at `ucontext`. */
__attribute__((noreturn)) void clone_return(void *ucontext);

/* On the child. */
__attribute__((noreturn)) void clone_begin(struct clone_child *child);

#endif
