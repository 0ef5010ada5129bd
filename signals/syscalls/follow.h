/* follow.h: for the library's own watches: what a system call has done to memory in regions, with the bytes before and
 * after. Their policies answer SEGUE_STEP to system calls, and learn of them here. */
#ifndef SEGUE_SIGNALS_FOLLOW_H
#define SEGUE_SIGNALS_FOLLOW_H

#include <segue/region.h>

#include "platform/calls/calls.h"

/* An access that was made: what the kernel may have read; and what it has written, as far as the call's result says how
 * much that is. */
struct call_done {
    uint64_t address, size;
    /* enum segue_direction bits. */
    uint8_t direction;
    int32_t system_call;
    /* The SYSCALL instruction. */
    uint64_t site;
    segue_thread_id thread;
    long result;
    /* `size` bytes each; NULL for an access of more than FOLLOW_BYTES, or whose memory cannot be read. */
    const void *before, *after;
    /* The thread's behind the call. */
    const struct segue_regs *regs;
};

#define FOLLOW_BYTES ((uint64_t)1 << 20)

struct call_follower {
    /* Whether an access by that thread, all of which may lie in regions or only a part, is to be reported. */
    bool (*wants)(uint64_t address, uint64_t size, uint8_t direction, segue_thread_id thread);
    /* Called by the thread that made the call, in a handler, when it is done. */
    void (*done)(const struct call_done *done);
};

/* Both are async-signal-safe. To be called once, before a region is added. */
void follow_calls(const struct call_follower *follower);

/* ---- for syscalls.c ---- */

struct followed;

/* Before the call, for an access that touches a region: adds it to the list if it is wanted. */
void follow_begin(struct followed **list, const struct call_access *access);

/* After the call: reports all, in order; and releases the list. */
void follow_end(struct followed *list, const struct call_record *record, const struct segue_regs *regs);
void follow_release(struct followed *list);

#endif
