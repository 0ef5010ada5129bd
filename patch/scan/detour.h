/* detour.h: a SYSCALL becomes a short jump to unused bytes near it (padding.h), and those a jump to code that makes the
 * call in its place. Each change replaces an instruction by one of the same size, so no thread can be in the middle of
 * it: the jump is written first, then the site. Pure. */
#ifndef SEGUE_PATCH_DETOUR_H
#define SEGUE_PATCH_DETOUR_H

#include "decode/x86/instructions/syscall.h"
#include "padding.h"

#define DETOUR_JUMP_SIZE 5u
_Static_assert(DETOUR_JUMP_SIZE <= PADDING_LEAST, "the jump has no room");

struct detour_place {
    uint64_t site;
    struct padding padding;
};

/* What is written at the padding, padding.size bytes, and at the site. */
struct detour_bytes {
    uint8_t jump[PADDING_MOST], site[SYSCALL_SIZE];
};

/* Finds where the jump of the SYSCALL at `site` may be. False without such padding (padding_find), and if it is not in
 * the page of the site: none is unmapped without the other. Async-signal-safe, thread-safe. */
bool detour_find(const struct segue_segment_code *code, uint64_t site, struct detour_place *place);

/* Whether the jump can lead there. */
bool detour_reaches(const struct detour_place *place, uint64_t to);

/* The bytes of a detour that leads to `to`, which it reaches. */
void detour_encode(const struct detour_place *place, uint64_t to, struct detour_bytes *bytes);

#endif
