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
    /* The components that the area holds. */
    uint64_t features;
    _Alignas(64) unsigned char area[GATHERED_SIZE];
};

/* The frame's state, gathered now if it was not. Each such system has one (platform/SYSTEM/frame). */
struct gathered *frame_gather(const void *context);

#endif
