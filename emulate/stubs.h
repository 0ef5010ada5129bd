/* stubs.h: instructions in executable memory, each ready to be called. Used inside emulate/ alone.
 *
 * The memory is mapped twice: one view can be executed, the other written; no page is both. */
#ifndef SEGUE_EMULATE_STUBS_H
#define SEGUE_EMULATE_STUBS_H

#include <segue/decode.h>

/* A place for one instruction. */
struct stub {
    /* The instruction's bytes and, in the last, their number; zero when the place is free. Constant while held. */
    uint64_t key[2];
    /* How many hold it; the highest bit while it is being written. */
    uint64_t holders;
    /* The number of the writing, counted over all places. */
    uint64_t written;
};

/* Makes the memory, once in a process. SEGUE_OK, SEGUE_UNSUPPORTED or SEGUE_NO_MEMORY. Not async-signal-safe. */
enum segue_status stubs_prepare(void);

/* The rest is async-signal-safe and thread-safe. */

/* Whether there is memory; in a child of a process that has some it is made here. */
bool stubs_ready(void);

/* A stub of that instruction, which stays as it is until it is let go: call `*code`, and it returns. Written by whom it
 * may have been, the calling thread sees it whole. NULL if every place is held. */
struct stub *stubs_hold(const struct segue_redirection *redirection, const void **code);
void stubs_let_go(struct stub *stub);

/* Whether `rip` is in a stub. `*offset`: from the instruction's first byte. */
bool stubs_contain(uint64_t rip);

#endif
