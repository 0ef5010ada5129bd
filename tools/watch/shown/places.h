/* places.h: what has been found out about sites, callers and threads, kept: a report's line then takes a microsecond.
 */
#ifndef SEGUE_TOOLS_WATCH_PLACES_H
#define SEGUE_TOOLS_WATCH_PLACES_H

#include <segue/watch.h>

#include "tools/support/quote.h"
#include "tools/watch/names/chain.h"
#include "tools/watch/names/code.h"

/* Powers of two. */
#define PLACES_SITES 65536u
#define PLACES_THREADS 4096u

struct place_thread {
    uint64_t number;
    char name[20];
    /* As a line has it. */
    char shown[QUOTE_PIECE * 20];
    /* It may get another name: after so many accesses it is read again. */
    uint32_t accesses;
};

/* Zero at first, except for `code` and `program`. */
struct places {
    struct code *code;
    /* The program's name. */
    const char *program;
    struct place_site {
        uint64_t key;
        struct place place;
    } sites[PLACES_SITES];
    /* By the address that a call returns to. */
    struct place_caller {
        uint64_t key;
        char *where;
    } callers[PLACES_SITES];
    struct place_thread threads[PLACES_THREADS];
};

/* An instruction; "?" for its texts if nothing is known of it. */
const struct place *places_of(struct places *places, uint64_t address);
/* "?" if nothing is known of it. */
const char *places_caller(struct places *places, const struct chain_frame *frame);
/* The thread that has made the record. One that has ended before its first record has the program's name. */
const struct place_thread *places_thread(struct places *places, const struct segue_watch_record *record);
/* By its name, or its number in decimal. */
bool places_is_thread(const char *wanted, const struct place_thread *thread);
void places_end(struct places *places);

#endif
