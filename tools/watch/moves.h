/* moves.h: targets that the program has moved (mremap), so that what is reported of them has the names of where they
 * were found. */
#ifndef SEGUE_TOOLS_WATCH_MOVES_H
#define SEGUE_TOOLS_WATCH_MOVES_H

#include <segue/watch.h>

struct moves {
    struct segue_watch_record *list;
    size_t count;
};

/* A record of SEGUE_WATCH_MOVED. */
void moves_add(struct moves *moves, const struct segue_watch_record *record);

/* Where the record's address was when its target was found. */
uint64_t moves_origin(const struct moves *moves, const struct segue_watch_record *record);

void moves_end(struct moves *moves);

#endif
