/* pun.c: see pun.h. */
#include "pun.h"

#include <string.h>

#include "decode/x86/canonical.h"
#include "decode/x86/instructions/jumps.h"

/* A prefix that a direct jump ignores: ES. Not CS or DS, which once meant predictions of branches. */
#define PREFIX 0x26
#define SIGN UINT32_C(0x80000000)

unsigned pun_changed(unsigned length, unsigned prefixes)
{
    return length < prefixes + PUN_JUMP ? length : prefixes + PUN_JUMP;
}

unsigned pun_reach(unsigned length, unsigned prefixes)
{
    return prefixes + PUN_JUMP - pun_changed(length, prefixes);
}

/* All bits of the displacement's first `count` bytes. */
static uint32_t low_bytes(unsigned count)
{
    return count >= 4 ? UINT32_MAX : (UINT32_C(1) << 8 * count) - 1;
}

static uint32_t displacement_at(const uint8_t *bytes)
{
    uint32_t displacement;
    memcpy(&displacement, bytes, sizeof displacement);
    return displacement;
}

static bool has_opcode(unsigned length, unsigned prefixes)
{
    return prefixes <= PUN_PREFIXES && length > prefixes;
}

bool pun_window(uint64_t address, const uint8_t *bytes, unsigned length, unsigned prefixes, struct pun_window *window)
{
    if (!has_opcode(length, prefixes))
        return false;
    window->origin = address + prefixes + PUN_JUMP;
    window->mask = ~low_bytes(pun_changed(length, prefixes) - prefixes - 1);
    window->value = 0;
    for (unsigned i = 0; i < 4; i++)
        if (window->mask >> 8 * i & 0xff)
            window->value |= (uint32_t)bytes[prefixes + 1 + i] << 8 * i;
    return true;
}

bool pun_window_moved(uint64_t address, unsigned length, struct pun_window *window)
{
    if (length == 0 || length >= PUN_JUMP)
        return false;
    unsigned at = length - 1;
    window->origin = address + PUN_JUMP;
    window->mask = UINT32_C(0xff) << 8 * at;
    window->value = (uint32_t)JUMP << 8 * at;
    return true;
}

bool pun_join(unsigned length, struct pun_window *window, struct pun_window *successor)
{
    unsigned shift = 8 * length;
    uint32_t shared = shift < 32 ? UINT32_MAX >> shift : 0;
    uint32_t mask = shared ? window->mask >> shift : 0, value = shared ? window->value >> shift : 0;
    uint32_t of_both = mask & successor->mask & shared;
    if ((value ^ successor->value) & of_both)
        return false;
    successor->mask |= mask;
    successor->value |= value;
    if (shared) {
        window->mask |= (successor->mask & shared) << shift;
        window->value |= (successor->value & shared) << shift;
    }
    return true;
}

void pun_fix(struct pun_window *window, uint64_t target)
{
    window->value = (uint32_t)(target - window->origin);
    window->mask = UINT32_MAX;
}

/* --- Targets. --- */

bool pun_has(const struct pun_window *window, uint64_t target)
{
    uint64_t distance = target - window->origin;
    return target < canonical_user_end() && distance == (uint64_t)(int64_t)(int32_t)(uint32_t)distance &&
           ((uint32_t)distance & window->mask) == window->value;
}

/* The lowest number that is not below `least` and whose bits of `mask` are `value`; false without such a number. */
static bool next_number(uint32_t mask, uint32_t value, uint32_t least, uint32_t *number)
{
    uint32_t kept = (least & ~mask) | value, wrong = kept ^ least;
    if (!wrong) {
        *number = least;
        return true;
    }
    unsigned highest = 31 - (unsigned)__builtin_clz(wrong);
    uint32_t below = (UINT32_C(1) << highest) - 1, upto = below | UINT32_C(1) << highest;
    if (kept > least) {
        /* Larger at a fixed bit: all free bits below it may be 0. */
        *number = (kept & ~below) | (value & below);
        return true;
    }
    /* Smaller at a fixed bit: the free bits above it count up by one. The carry passes through the fixed ones. */
    uint32_t counted = (least | mask | upto) + 1;
    if (counted == 0)
        return false;
    *number = (counted & ~mask) | value;
    return true;
}

bool pun_next(const struct pun_window *window, uint64_t from, uint64_t *target)
{
    /* Addresses of programs and two gibibytes more do not wrap around as signed numbers. */
    int64_t lowest = (int64_t)window->origin + INT32_MIN, least = (int64_t)from;
    uint32_t number;
    if (least < lowest)
        least = lowest;
    if (least < 0)
        least = 0;
    if (least - lowest > (int64_t)UINT32_MAX)
        return false;
    /* Flipped at the sign, displacements are in the order of unsigned numbers. */
    if (!next_number(window->mask, window->value ^ (window->mask & SIGN), (uint32_t)(least - lowest), &number))
        return false;
    *target = (uint64_t)(lowest + number);
    return *target < canonical_user_end();
}

bool pun_last(const struct pun_window *window, uint64_t *target)
{
    /* All free bits are set, but that of the sign. */
    uint32_t displacement = window->value | (~window->mask & ~SIGN);
    int64_t last = (int64_t)window->origin + (int32_t)displacement;
    *target = (uint64_t)last;
    return last >= 0;
}

/* --- Bytes. --- */

bool pun_encode(uint64_t address, const uint8_t *bytes, unsigned length, unsigned prefixes, uint64_t target,
                uint8_t *changed)
{
    struct pun_window window;
    if (!pun_window(address, bytes, length, prefixes, &window) || !pun_has(&window, target))
        return false;
    uint32_t displacement = (uint32_t)(target - window.origin);
    memset(changed, PREFIX, prefixes);
    changed[prefixes] = JUMP;
    memcpy(changed + prefixes + 1, &displacement, pun_changed(length, prefixes) - prefixes - 1);
    return true;
}

uint64_t pun_target(uint64_t address, const uint8_t *bytes, unsigned prefixes)
{
    return address + prefixes + PUN_JUMP + (uint64_t)(int64_t)(int32_t)displacement_at(bytes + prefixes + 1);
}

/* --- Dependents. --- */

bool pun_depends(const struct pun_place *jump, const struct pun_place *other)
{
    uint64_t read = jump->address + pun_changed(jump->length, jump->prefixes);
    return jump->address < other->address && other->address < read + pun_reach(jump->length, jump->prefixes) &&
           read < other->address + pun_changed(other->length, other->prefixes);
}

void pun_order(struct pun_place *places, size_t count)
{
    /* Batches are small, and come nearly sorted. */
    for (size_t i = 1; i < count; i++) {
        struct pun_place place = places[i];
        size_t at = i;
        for (; at > 0 && places[at - 1].address < place.address; at--)
            places[at] = places[at - 1];
        places[at] = place;
    }
}
