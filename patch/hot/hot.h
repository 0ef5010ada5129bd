/* hot.h: makes sites hot, and takes them back: the site's instruction becomes a jump to a body.
 *
 * A body is built by the caller's builder, in a room that this module finds: patch knows neither what is in a body nor
 * why a site is hot. Sites, bodies and the bytes before and after are in tables that handlers read without locks. One
 * thread at a time changes code; another one gets SEGUE_BUSY, and its site goes on faulting.
 *
 * Only code of a file is changed, in a mapping that is private and not writable, unless HOT_ANY_CODE is set; never a
 * range that the program excluded, nor the library's own text. Before bytes are replaced they are compared with those
 * that are expected; a site whose bytes are no longer those that were written is forgotten.
 *
 * Fork: a child has the sites and bodies of its parent, and both go on independently.
 *
 * SOURCES: docs/patch.md; pun.h, rooms.h, patch/poke/poke.h. */
#ifndef SEGUE_PATCH_HOT_HOT_H
#define SEGUE_PATCH_HOT_HOT_H

#include "request.h"
#include "sites.h"
#include "text.h"

enum hot_flags {
    /* Also code that is not a file's, or may be written. */
    HOT_ANY_CODE = 1,
};

struct hot_limits {
    /* 0: 1,048,576 sites; 64 MiB of bodies; 8,192 mappings. */
    uint64_t most_sites, most_memory, most_mappings;
    /* enum hot_flags. */
    uint32_t flags;
};

/* Reserves what the other functions need, and sets the limits. A later call changes the limits, except the number of
 * sites. SEGUE_OK or SEGUE_NO_MEMORY. Not async-signal-safe; thread-safe. */
enum segue_status hot_prepare(const struct hot_limits *limits);

/* ---- bodies that are not in use any more ---- */

/* Frees the bodies that were retired before that number, except those that are held, and those that a jump in memory
 * still leads to, which hot_forget has left there. No thread of this process may stand in another one, or come back to
 * it from a handler. `freed` is called for each, and may be NULL. SEGUE_OK, SEGUE_BUSY. Async-signal-safe. */
enum segue_status hot_collect(uint64_t before, void (*freed)(void *context, const struct hot_body *body),
                              void *context);

/* ---- making and undoing ---- */

/* Makes up to HOT_BATCH sites hot. Signals must be blocked. SEGUE_OK: each request has its status; SEGUE_BUSY: another
 * thread changes code, nothing was done; SEGUE_INVALID: too many. Async-signal-safe, thread-safe. */
enum segue_status hot_make(struct hot_request *requests, size_t count, const struct hot_builder *builder);

/* Undoes the sites whose address is in the range. Puns before it that read the range's bytes are made anew with
 * `builder`, and undone if it is NULL or there are too many. Stores the number of sites of the range that were undone
 * in `count`, which may be NULL. SEGUE_OK; SEGUE_BUSY; SEGUE_UNSUPPORTED if a site could not be written. Signals must
 * be blocked. Async-signal-safe, thread-safe. */
enum segue_status hot_undo(uint64_t start, uint64_t size, const struct hot_builder *builder, size_t *count);

/* Undoes the sites that were rewritten with that cookie, which is not 0. As hot_undo; no such site is rewritten anew
 * unless the builder's `rewrite` wants it, which is called only while no other call is at work. */
enum segue_status hot_undo_rewritten(uint64_t cookie);

/* Forgets the sites of a range that will hold other code, and undoes puns before it that read it. Writes nothing in
 * the range. SEGUE_OK; SEGUE_BUSY: nothing was forgotten; SEGUE_UNSUPPORTED if a pun could not be undone. Signals must
 * be blocked. Async-signal-safe, thread-safe. */
enum segue_status hot_forget(uint64_t start, uint64_t size);

/* Calls `change`, which changes code by patch/poke, while no site is made or undone: for code that the program executes
 * and that hot sites may be near. False, and nothing is called, while another thread is at work. Signals must be
 * blocked. Async-signal-safe, thread-safe. */
bool hot_alone(void (*change)(void *context), void *context);

/* Whether a jump of a hot site has, or reads, one of the bytes. Within hot_alone. */
bool hot_reads(uint64_t start, uint64_t size);

/* Whether a site did not become hot for lack of room since the last call. Async-signal-safe, lock-free. */
bool hot_lacks_room(void);

/* `reclaim` frees bodies that are not in use any more. hot_reclaim calls it, if it was set: after sites were undone or
 * forgotten. Not async-signal-safe; thread-safe. */
void hot_set_reclaimer(void (*reclaim)(void));
void hot_reclaim(void);

/* `count` brings the accesses of all sites up to date, for whoever lists them. hot_count_accesses calls it, if it was
 * set. */
void hot_set_counter(void (*count)(void));
void hot_count_accesses(void);

/* Calls `visit` for each site whose address is in the range, in no particular order, until it returns false.
 * Async-signal-safe, lock-free. */
void hot_visit(uint64_t start, uint64_t size, bool (*visit)(void *context, const struct hot_site *site), void *context);

#endif
