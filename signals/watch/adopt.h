/* adopt.h: existing memory gets a second view, in place. */
#ifndef SEGUE_SIGNALS_WATCH_ADOPT_H
#define SEGUE_SIGNALS_WATCH_ADOPT_H

#include <segue/status.h>

#include "platform/memory/adopted.h"

/* An adoption, and the addresses that are reserved for it: the second view is in between. */
struct adopted {
    struct adoption pages;
    uint64_t reserved, reserved_size;
};

/* The lock of all that follows, and of who uses it: fork waits for it. */
void adopt_lock(void);
void adopt_unlock(void);

/* Adopts `count` ranges of pages at once: `pages.at` and `.size` are the caller's, and `room`, of each, is the bytes
 * behind the second view and a guard that are reserved, too, and inaccessible. All or none; a reason if none. */
enum segue_status adopt_all(struct adopted *adopted, unsigned count, bool has_room);

/* Where the room is. */
uint64_t adopt_room(const struct adopted *adopted);

/* The pages are as before. After an error they keep their second view. */
enum segue_status adopt_release(const struct adopted *adopted);

#endif
