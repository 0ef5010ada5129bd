/* opened.h: the policy of the stepped way. What can be stepped is stepped; for anything else the pages that it touches
 * are opened, and closed again some faults later. */
#ifndef SEGUE_EXAMPLES_HEAPS_OPENED_H
#define SEGUE_EXAMPLES_HEAPS_OPENED_H

#include <segue/segue.h>

/* The longest that a page may stay open, in faults. */
#define PATIENCE_MAX 1000u

/* What happened so far. Written in the handler; may be read from any thread. */
struct opened_tally {
    /* Every fault is either stepped or opens pages. */
    uint64_t stepped, opened;
    uint64_t pages_opened, pages_closed;
};

/* Before all else: the tally is also seen from the process that forked the one that counts. Returns SEGUE_OK or
 * SEGUE_NO_MEMORY. */
enum segue_status opened_prepare(void);

/* Starts to count for this memory, all of whose pages are closed. A page that had to be opened is closed at the latest
 * `patience` faults after, 1 to PATIENCE_MAX. Returns SEGUE_OK or SEGUE_NO_MEMORY. */
enum segue_status opened_begin(const struct segue_mapping *mapping, unsigned patience);

void opened_end(void);

/* The policy, without a context. */
enum segue_verdict opened_policy(void *unused, const struct segue_event *event);

/* What happened since opened_begin. */
struct opened_tally opened_read(void);

#endif
