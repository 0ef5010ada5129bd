/* gate.h: a thread that has made an access waits for an answer, which may stop it there; for the library's own tool.
 *
 * Both functions of the program's side are called in a handler, and are async-signal-safe. */
#ifndef SEGUE_SIGNALS_WATCH_GATE_H
#define SEGUE_SIGNALS_WATCH_GATE_H

#include "queue_layout.h"

enum gate_answer { GATE_ASKED, GATE_GO_ON, GATE_TRAP };

/* In memory that both sides share. */
struct gate {
    /* The thread that waits, or will; 0: none. */
    uint32_t asks;
    /* enum gate_answer. */
    uint32_t answer;
};

/* From now on records go to that queue through this gate; NULL: through none. Before a region is added. */
void gate_use(struct gate *gate, const struct watch_queue *queue);

/* Before a record is queued; and behind that, when the access was made. */
void gate_begin(void);
void gate_end(void);

#endif
