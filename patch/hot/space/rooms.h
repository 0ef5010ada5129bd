/* rooms.h: space for the bodies of hot sites, within the windows of their jumps, and for their data.
 *
 * A window has targets in few places (pun.h), and a page of its own for each body would cost 4 KiB a site. So a room is
 * taken from pages that already hold bodies, if the window has any; a new page is chosen where the windows of
 * neighbouring sites have targets too. Free space is a list of ranges; what a room leaves over stays in it.
 *
 * One caller at a time. Everything but rooms_prepare is async-signal-safe. */
#ifndef SEGUE_PATCH_HOT_ROOMS_H
#define SEGUE_PATCH_HOT_ROOMS_H

#include <segue/status.h>

#include "patch/hot/pun.h"

/* Reserves tables. SEGUE_OK or SEGUE_NO_MEMORY. Not async-signal-safe; thread-safe. */
enum segue_status rooms_prepare(void);

/* How much memory a room may cost beside its own bytes. */
enum rooms_effort {
    /* Space that is free in pages that are in use. */
    ROOMS_IN_USE,
    /* Also pages beside these. */
    ROOMS_BESIDE,
    /* Also a page anywhere in the window, and more mappings. */
    ROOMS_ANYWHERE,
    ROOMS_EFFORTS,
};

struct room {
    /* Where it is executed, and where it is written. */
    uint64_t address;
    uint8_t *code;
    uint64_t size;
};

/* Takes `size` bytes that begin at one of the window's targets. SEGUE_OK; SEGUE_NO_MEMORY with a reason in
 * `refusal`. */
enum segue_status rooms_take(const struct pun_window *window, uint64_t size, enum rooms_effort effort,
                             struct room *room, const char **refusal);

/* Gives back all but the first `used` bytes of a room. */
void rooms_trim(struct room *room, uint64_t used);

/* Gives back a room that no thread has executed. */
void rooms_give_back(const struct room *room);

/* Frees the room of a body that no thread of this process executes any more. A child made by fork may still execute it:
 * then this process goes on with pages of its own. */
void rooms_free(uint64_t address, uint64_t size);

/* Takes `size` zeroed bytes of data, aligned to 64, which code up to ROOMS_CODE bytes from `near` on can address
 * relative to RIP. The memory is private: a child made by fork has a copy. SEGUE_OK; SEGUE_INVALID for more than
 * ROOMS_DATA bytes; SEGUE_NO_MEMORY with a reason. */
#define ROOMS_CODE UINT64_C(65536)
#define ROOMS_DATA UINT64_C(65536)
enum segue_status rooms_take_data(uint64_t near, uint64_t size, void **data, const char **refusal);

/* The distance is less than this. */
#define ROOMS_REACH UINT64_C(0x7f000000)

/* Whether code at `near` can address the data so, as it can what rooms_take_data returns for it. Lock-free. */
static inline bool rooms_reach(const void *data, uint64_t near)
{
    return (uint64_t)(uintptr_t)data - near + ROOMS_REACH - 1 < 2 * ROOMS_REACH - 1;
}

#endif
