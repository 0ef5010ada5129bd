/* stubs.h: instructions in executable memory, each ready to be called. Used inside emulate/ alone.
 *
 * The memory is mapped twice: one view can be executed, the other written; no page is both. */
#ifndef SEGUE_EMULATE_STUBS_H
#define SEGUE_EMULATE_STUBS_H

#include <segue/decode.h>
#include <stdbool.h>
#include <stdint.h>

#include "decode/orders.h"

/* A place for one instruction. */
struct stub {
    /* The instruction's bytes and, in the last, their number; zero when the place is free. Constant while held. */
    uint64_t key[2];
    /* The holder that is writing it, and 1; 0 for none. */
    uint32_t writer;
    /* The number of the writing, counted over all places. */
    uint64_t written;
};

/* Who may hold a stub: those who step in a work area have its number, less than STUBS_NUMBERED; others take one of the
 * rest for the time. */
#define STUBS_NUMBERED 2048u
/* No work area's number. */
#define STUBS_NO_HOLDER UINT32_MAX

/* Makes the memory, once in a process. SEGUE_OK, SEGUE_UNSUPPORTED or SEGUE_NO_MEMORY. Not async-signal-safe. */
enum segue_status stubs_prepare(void);

/* The rest is async-signal-safe and thread-safe. */

/* Whether there is memory; in a child of a process that has some it is made here. */
bool stubs_ready(void);

/* A number for who has none; false if all are taken. `*mark` stands on the borrower's stack, at a multiple of
 * STUBS_MARK_ALIGNMENT, and nobody else writes it until stubs_give_back: a borrower that has been left by siglongjmp is
 * known by what stands there instead, when the numbers run out. */
bool stubs_borrow(uint32_t *holder, volatile uint64_t *mark);
void stubs_give_back(uint32_t holder, volatile uint64_t *mark);
#define STUBS_MARK_ALIGNMENT 16

/* Where a stub of that instruction is, which stays as it is until its holder lets it go: call it, and it returns.
 * Written by whom it may have been, the calling thread sees it whole. NULL if every place is held. A holder holds one
 * at a time. */
const void *stubs_hold(uint32_t holder, const struct insn_redirection *redirection);

void stubs_let_go(uint32_t holder);

/* For a holder that will not come back, whatever it was at. */
void stubs_abandon(uint32_t holder);

/* Whether `rip` is in a stub that the calling thread was interrupted in before its process was made by fork, and which
 * stands there again now: it goes on as if nothing had been. */
bool stubs_are_back(uint64_t rip);

/* Whether `rip` is in a stub. `*offset`: from the instruction's first byte. */
bool stubs_contain(uint64_t rip);

#endif
