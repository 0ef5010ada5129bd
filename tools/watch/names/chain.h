/* chain.h: who called the function that made an access: its frames, by what the queue has kept of the thread's stack.
 *
 * The frames are found here, in the command, and not by the thread: that needs memory and locks, which a handler must
 * not take. libdw reads the tables of the program's files (.eh_frame), and follows RBP in code without tables. */
#ifndef SEGUE_TOOLS_WATCH_CHAIN_H
#define SEGUE_TOOLS_WATCH_CHAIN_H

#include "code.h"
#include "signals/watch/queue/queue_layout.h"

/* The most frames that can be asked for. */
#define CHAIN_MOST 256u

struct chain_frame {
    uint64_t address;
    /* Where a call returns to; else, behind a signal, where the thread was interrupted. */
    bool is_return;
};

/* While the process runs: later it is not known what was mapped where. */
void chain_begin(struct code *code);

/* The callers of the function that the stack belongs to, innermost first; at most `most`. Returns how many. */
size_t chain_find(struct code *code, const struct queue_stack *stack, struct chain_frame *frames, size_t most);

#endif
