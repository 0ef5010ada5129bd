/* stubs.h: out-of-line slots: relocated instructions in executable memory, each ready to be called. Used inside
 * emulate/ only.
 *
 * The memory is mapped twice: one view is executable, the other writable; no page is both. */
#ifndef SEGUE_EMULATE_STUBS_H
#define SEGUE_EMULATE_STUBS_H

#include <segue/decode.h>
#include <stdbool.h>
#include <stdint.h>

#include "decode/orders.h"
#include "decode/x86/compiler/shared_word.h"

/* An out-of-line slot for one instruction. */
struct stub {
    /* The instruction's bytes and, in the last byte, their number; zero if the slot is free. Constant while held. */
    shared_word key[2];
    /* The number of the holder that is writing it, plus 1; 0 if no holder is. */
    uint32_t writer;
    /* The number of its writing, counted over all slots. */
    uint64_t written;
};

/* Holders: a step in a work area uses the work area's number, less than STUBS_NUMBERED; other steps borrow one of the
 * remaining numbers. */
#define STUBS_NUMBERED 2048u
/* Not a work area's number. */
#define STUBS_NO_HOLDER UINT32_MAX

/* Makes the memory, once in a process. SEGUE_OK, SEGUE_UNSUPPORTED or SEGUE_NO_MEMORY. Not async-signal-safe. */
enum segue_status stubs_prepare(void);

/* The rest is async-signal-safe and thread-safe. */

/* Whether there is memory. In a child of a process that has some, this makes the child's own. */
bool stubs_ready(void);

/* Borrows a number for a step that has none; false if all are taken. `*mark` must be on the borrower's stack, at a
 * multiple of STUBS_MARK_ALIGNMENT, and only these functions may write it until stubs_give_back. A borrower that
 * siglongjmp has abandoned no longer has the mark on its stack; when the numbers run out, its number is taken back. */
bool stubs_borrow(uint32_t *holder, volatile uint64_t *mark);
/* Of a holder that holds no stub any more. The mark must stand until it returns. */
void stubs_give_back(uint32_t holder);
#define STUBS_MARK_ALIGNMENT 16

/* The address of a stub of that instruction, which stays unchanged until its holder lets it go: call it, and it
 * returns. The calling thread sees its bytes completely, whichever thread wrote them. NULL if every slot is held. A
 * holder holds one stub at a time. */
const void *stubs_hold(uint32_t holder, const struct insn_relocation *relocation);

void stubs_let_go(uint32_t holder);

/* For a holder that will not come back, whatever it was doing: releases what it holds. */
void stubs_abandon(uint32_t holder);

/* Whether `rip` is in a stub in which the calling thread was interrupted before fork made its process, and which now
 * exists there again: the thread can continue as if nothing had happened. */
bool stubs_are_back(uint64_t rip);

/* Whether `rip` is in a stub. */
bool stubs_contain(uint64_t rip);

#endif
