/* detour.c: see detour.h. */
#include "detour.h"

#include <string.h>

#include "decode/x86/instructions/jumps.h"
#include "decode/x86/page.h"

static bool is_in_page_of(uint64_t site, uint64_t address, unsigned size)
{
    return address / PAGE == site / PAGE && (address + size - 1) / PAGE == site / PAGE;
}

bool detour_find(const struct segue_segment_code *code, uint64_t site, struct detour_place *place)
{
    place->site = site;
    return padding_find(code, site, &place->padding) && is_in_page_of(site, site, SYSCALL_SIZE) &&
           is_in_page_of(site, place->padding.address, place->padding.size);
}

static int64_t distance_to(const struct detour_place *place, uint64_t to)
{
    return (int64_t)(to - (place->padding.address + DETOUR_JUMP_SIZE));
}

bool detour_reaches(const struct detour_place *place, uint64_t to)
{
    int64_t distance = distance_to(place, to);
    return distance == (int32_t)distance;
}

void detour_encode(const struct detour_place *place, uint64_t to, struct detour_bytes *bytes)
{
    const int32_t distance = (int32_t)distance_to(place, to);
    memset(bytes->jump, NOP, sizeof bytes->jump);
    bytes->jump[0] = JUMP;
    memcpy(bytes->jump + 1, &distance, sizeof distance);
    bytes->site[0] = JUMP_SHORT;
    bytes->site[1] = (uint8_t)(place->padding.address - (place->site + SYSCALL_SIZE));
}
