/* child.h: a thread that forks, and waits until its child has done what it must do first.
 *
 * Fork handlers call these, of one fork each struct. Async-signal-safe, and preserve errno. */
#ifndef SEGUE_PLATFORM_CHILD_H
#define SEGUE_PLATFORM_CHILD_H

#include <stdint.h>

struct child_wait {
    /* A pipe, or -1. */
    int ends[2];
    /* Without a pipe: shared memory, or NULL. */
    uint32_t *is_done;
};

/* Before the fork. */
void child_wait_begin(struct child_wait *wait);

/* In the child. */
void child_wait_done(struct child_wait *wait);

/* In the parent: waits for child_wait_done, at most `longest` nanoseconds; no longer if the fork has failed or the
 * child has ended. */
void child_wait_end(struct child_wait *wait, uint64_t longest);

#endif
