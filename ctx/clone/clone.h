/* clone.h: a child's first steps. */
#ifndef SEGUE_CTX_CLONE_H
#define SEGUE_CTX_CLONE_H

#include <segue/linux.h>

#include "pad.h"

struct gate;

/* What the child needs, in memory that it owns until it has resumed. */
struct clone_child {
    /* The copy of the frame from which it resumes. */
    void *ucontext;
    segue_clone_start *start;
    void *block;
    size_t block_size;
    /* The pad that holds this. A child whose memory is a copy gives it back before it resumes: no other thread there
     * could take the pad. Any other child does so at the exit that its frame leads to, or by ending. */
    struct pad_use pad;
    bool shares_memory, is_waited_for;
    /* The gate of the guest that the handler has interrupted, and the frame that `ucontext` copies; NULL if none. */
    struct gate *gate;
    const void *original;
};

struct clone_call {
    long number;
    uint64_t first, second, third, fourth, fifth;
    struct clone_child *child;
};

/* The stack that a waiting parent saves while its child overwrites it: the bytes from `low` (0: its stack pointer) to
 * `high`, saved to the `room` bytes at `copy`; and the end of the stack on which it waits. */
struct clone_parking {
    uint64_t low, high;
    char *copy;
    size_t room;
    char *stack;
};

/* In assembly: makes the system call, which must name a stack for the child: by its stack the child is recognised. On
 * the parent returns the call's result, which is 0 if a seccomp filter answered so and no child was made; the child
 * calls clone_begin. */
long clone_go(const struct clone_call *call);

/* The same; saves the parent's bytes before, and restores them after. -ENOMEM if they do not fit. `parking` must not
 * be among those bytes. */
long clone_go_parked(const struct clone_call *call, const struct clone_parking *parking);

/* In assembly: rt_sigreturn with the frame at `ucontext`. */
__attribute__((noreturn)) void clone_return(void *ucontext);

/* Runs on the child. */
__attribute__((noreturn)) void clone_begin(struct clone_child *child);

#endif
