/* live.h: a table on a terminal, drawn again and again in the same place. */
#ifndef SEGUE_TOOLS_WATCH_LIVE_H
#define SEGUE_TOOLS_WATCH_LIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct live {
    FILE *to;
    bool is_on, has_colours;
    /* Lines that stand there now; when they were drawn, in nanoseconds. */
    unsigned drawn;
    uint64_t last;
};

/* On if the stream is a terminal that can move its cursor; and if nothing else writes there: `others` is a descriptor
 * of somebody who may, or -1. */
struct live live_begin(FILE *to, int others);

/* Whether it is time for another. */
bool live_is_due(const struct live *live);

/* How many lines have room. */
unsigned live_room(const struct live *live);

/* In place of what was drawn before: lines, the first of which is a heading. */
void live_draw(struct live *live, const char *text);

/* The terminal is as before. */
void live_end(struct live *live);

#endif
