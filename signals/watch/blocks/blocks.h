/* blocks.h: blocks of memory that are watched from the moment when a program gets them from its allocator until it
 * gives them back, and afterwards, until their place is given out again.
 *
 * They come from pools: memory of the library's own that is an area (areas.h) from the beginning, so that blocks come
 * and go without any change of pages. What is known of a block is kept outside the pools. Between two blocks are at
 * least BLOCK_GAP bytes that belong to none: a vector instruction that reads past a block's end touches no other one.
 */
#ifndef SEGUE_SIGNALS_BLOCKS_H
#define SEGUE_SIGNALS_BLOCKS_H

#include "signals/watch/index/index.h"
#include "signals/watch/queue/queue_layout.h"

#define BLOCK_GAP UINT64_C(64)
/* What is given out has at least this alignment. */
#define BLOCK_ALIGNMENT UINT64_C(64)

/* ---- for an allocator; thread-safe, and not async-signal-safe, as malloc ---- */

/* Before the first block, once. False if there is no memory. */
bool blocks_begin(void);

struct block_order {
    /* Any size; a power of two. */
    uint64_t size, alignment;
    /* Of the watch that the block belongs to, with its enum segue_watch_flags. */
    uint32_t number, flags;
    /* Who allocates it: for reports. */
    uint64_t caller;
    /* What it is called in reports: 0 for a number of its own. */
    uint64_t serial;
};

/* A block with any contents; NULL if no pool has room for it. */
void *blocks_give(const struct block_order *order);
/* The same if there is no memory for another pool: of what was taken back, and would wait. */
void *blocks_give_early(const struct block_order *order);

/* Whether it was given out here; async-signal-safe. */
bool blocks_have(const void *block);
/* Of a block that was given out, and not taken back; false for any other address. */
bool blocks_describe(const void *block, struct block_order *order);
/* Its bytes, for the allocator's own accesses. */
void *blocks_view(const void *block);
/* Takes it back. False if it is not a block that is given out: it was taken back before. Preserves errno. */
bool blocks_take(void *block);

/* ---- for policies: async-signal-safe ---- */

/* A block that was given out, and where reports have it. */
struct block_seen {
    struct watch_range range;
    struct queue_block shown;
};

/* The block that an access in a pool touches, if it is wanted there; general registers only. */
enum block_touch { BLOCK_NONE, BLOCK_ONE, BLOCK_SEVERAL };
enum block_touch blocks_look(const struct watch_access *access, struct watch_range *range);

/* The next block that wants to know of the access, at `*at` or behind; `*at` is the access's address at first. False
 * after the last. */
bool blocks_next(const struct watch_access *access, uint64_t *at, struct block_seen *seen);

#endif
