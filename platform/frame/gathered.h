/* gathered.h: the extended state of a frame whose system keeps it in several parts: an area in the standard format, to
 * which the parts are copied at the first use, and from which they are written back. */
#ifndef SEGUE_PLATFORM_GATHERED_H
#define SEGUE_PLATFORM_GATHERED_H

#include <stdbool.h>
#include <stdint.h>

/* The end of PKRU, the last component that an area may hold. */
#define GATHERED_SIZE 2752

struct gathered {
    bool is_gathered;
    /* The area's size in bytes. */
    uint32_t size;
    /* The components that the area holds. */
    uint64_t features;
    /* NULL in a frame of an embedder's handler that has given no area yet. */
    unsigned char *area;
};

/* The place of an area in the library's own handler. */
struct gathered_room {
    _Alignas(64) unsigned char bytes[GATHERED_SIZE];
};

static inline void gathered_begin(struct gathered *state, struct gathered_room *room)
{
    state->is_gathered = false;
    state->size = room ? sizeof room->bytes : 0;
    state->area = room ? room->bytes : 0;
}

/* The frame's state, gathered now if it was not and has an area. Each such system has one (platform/SYSTEM/frame). */
struct gathered *frame_gather(const void *context);

#endif
