/* leaders.h: which sites become hot together with one that faulted: those where a thread soon arrives from there, by
 * jumps, calls and returns. Each spares a fault, and one change of several places is quicker than several changes.
 * Few: a body costs half as much as a fault, and of sixteen sites half are never reached. So conditional jumps are not
 * followed: without them the first run of Lua's heap has 709 faults and 1,340 sites, with them 757 and 1,370.
 *
 * Only places that a direct branch, a call or a return leads to, and what follows them in a straight line: the
 * processor decodes them so, too. */
#ifndef SEGUE_SIGNALS_HOT_LEADERS_H
#define SEGUE_SIGNALS_HOT_LEADERS_H

#include "decode/scratch.h"
#include "original.h"

#define LEADERS_MOST 4u

struct leaders {
    struct decode_scratch decode;
    struct displaceable_cache *cache;
    /* The sites; the first is the one that faulted. */
    uint64_t sites[LEADERS_MOST];
    unsigned count;
    /* Where lines begin that are to be searched. */
    uint64_t lines[4 * LEADERS_MOST];
    unsigned line_count;
};

/* Finds up to `most` sites, `site` included. Async-signal-safe. */
void leaders_find(struct leaders *leaders, struct original *code, uint64_t site, unsigned most);

#endif
