/* adopt.h: existing memory gets a second view, in place. */
#ifndef SEGUE_SIGNALS_WATCH_ADOPT_H
#define SEGUE_SIGNALS_WATCH_ADOPT_H

#include <segue/region.h>

#include "platform/memory/adopted.h"

/* An adoption, or what is left of one; and the addresses that are reserved for the whole: the second view is in
 * between, and behind it `room`. */
struct adopted {
    struct adoption pages;
    uint64_t room;
    uint64_t reserved, reserved_size, kept, kept_size;
    /* Memory that nothing uses yet: no thread is suspended. It has no marks (blocks.h). */
    bool is_pool;
};

/* The lock of all that follows, and of who uses it: fork waits for it. A thread that has it is the adopter: what it
 * does to pages is the library's. */
void adopt_lock(void);
void adopt_unlock(void);
/* Whether the calling thread has it. Async-signal-safe. */
SEGUE_HOT_POLICY bool adopt_is_locked_here(void);

/* The same for a thread of the program at any place in it, with asynchronous signals blocked between the two: not the
 * suspending one. Returns the mask for adopt_end. */
uint64_t adopt_begin(void);
void adopt_end(uint64_t mask);

/* Adopts `count` ranges of pages at once: `pages.at` and `.size` are the caller's, and `room`, of each, becomes the
 * address of as many bytes behind the second view and a guard that are reserved, too, and inaccessible; only with
 * `has_room`. All or none; a reason if none. */
enum segue_status adopt_all(struct adopted *adopted, unsigned count, bool has_room);

/* The pages are as before. After an error they keep their second view. */
enum segue_status adopt_release(const struct adopted *adopted);

/* Only those from `from` to `end` - 1: what is left on each side becomes `parts`, in order, in any case. */
#define ADOPT_PARTS 2u
enum segue_status adopt_cut(const struct adopted *adopted, uint64_t from, uint64_t end,
                            struct adopted parts[ADOPT_PARTS], unsigned *count);

#endif
