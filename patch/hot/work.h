/* work.h: the instructions whose code one call changes. Guarded by the lock of hot.c. Async-signal-safe. */
#ifndef SEGUE_PATCH_HOT_WORK_H
#define SEGUE_PATCH_HOT_WORK_H

#include "request.h"
#include "sites.h"

/* Each request may have a few dependents, and move successors. */
#define WORKS (4 * HOT_BATCH)

/* One instruction whose code changes. */
struct work {
    struct hot_site *site;
    /* NULL for a dependent and for a moved successor. */
    struct hot_request *request;
    /* As in pun.h; the prefixes are those of the jump that is there. */
    struct pun_place place;
    /* It becomes a jump, or only is undone. */
    bool make;
    bool was_hot, is_planned, has_failed, for_predecessor;
    /* It becomes another instruction of the same length, and no jump. */
    bool is_rewritten;
    uint64_t cookie;
    /* Of the planned jump. */
    uint8_t tactic, prefixes;
    uint32_t body;
    uint8_t old_bytes[SEGUE_INSN_BYTES], new_bytes[SEGUE_INSN_BYTES];
};

struct works {
    struct work all[WORKS];
    /* From the highest address down, as work_sort found them. */
    struct pun_place order[WORKS];
    unsigned count;
    /* When the work began (platform_clock). */
    uint64_t time;
    /* NULL: nothing is made. */
    const struct hot_builder *builder;
    /* HOT_ANY_CODE. */
    bool any_code;
};
extern struct works works;

void work_begin(const struct hot_builder *with);
void work_end(void);

/* The work of a site, which may be NULL; NULL if it has none. */
struct work *work_of(const struct hot_site *site);

/* Adds an instruction; one that is hot, and must change. NULL if there is no place left. */
struct work *work_add(struct hot_site *site, unsigned length);
struct work *work_add_hot(struct hot_site *site, bool make);

/* The number of bytes that change at a planned work. */
unsigned work_changed(const struct work *work);

/* Adds the puns that read what changes, and those that read these. False if there are too many. */
bool work_add_dependents(void);

/* If there are too many: puts in place of the works some puns that read them, directly or by others, and that only each
 * other read. They are to be undone. */
void work_last_readers(void);

/* Sorts the works; the one of that place in the order. */
void work_sort(void);
struct work *work_ordered(unsigned number);

/* Reports that the work is not done. */
void work_fail(struct work *work, enum segue_status status, const char *refusal);

/* The length of the instruction; 0 if it cannot be decoded. */
unsigned work_length_at(const uint8_t *bytes, size_t size);

/* Whether threads may enter the instruction at its LOCK prefix and behind it, as in C libraries that jump over the
 * prefix while there is one thread. A jump in its place has one entry. */
bool work_has_two_entries(uint64_t address);

/* ---- the states of sites ---- */

uint8_t site_state(const struct hot_site *site);
void site_set_state(struct hot_site *site, enum hot_state state);
void site_forget(struct hot_site *site);

/* Whether the site is hot. One whose bytes are no longer those that were written is forgotten. */
bool site_is_still_hot(struct hot_site *site);

/* ---- jumps.c, publish.c ---- */

/* Plans the jumps of all works that are to be made, and builds their bodies. */
void jumps_plan(void);

/* Publishes all of the work in one batch. SEGUE_OK if all of it was written. */
enum segue_status jumps_publish(void);

#endif
