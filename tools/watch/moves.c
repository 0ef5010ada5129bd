/* moves.c: see moves.h. */
#include "moves.h"

#include <stdlib.h>

void moves_add(struct moves *moves, const struct segue_watch_record *record)
{
    struct segue_watch_record *more = realloc(moves->list, (moves->count + 1) * sizeof *more);
    if (!more)
        abort();
    moves->list = more;
    more[moves->count++] = *record;
}

uint64_t moves_origin(const struct moves *moves, const struct segue_watch_record *record)
{
    uint64_t address = record->address;
    for (size_t i = moves->count; i-- > 0;) {
        const struct segue_watch_record *move = &moves->list[i];
        if (move->id == record->id && address - move->moved_to < move->size)
            address = address - move->moved_to + move->address;
    }
    return address;
}

void moves_end(struct moves *moves)
{
    free(moves->list);
    *moves = (struct moves){.list = NULL};
}
