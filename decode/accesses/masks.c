/* masks.c: reads and writes mask and vector registers in an XSAVE area.
 *
 * SOURCES: Intel SDM volume 1, 13.4.1 (legacy region), 13.4.2 (header), 13.5 (components), 10.5 (FXSAVE: the x87
 * registers in stack order, while MMX names them by their physical number). */
#include "masks.h"

#include <string.h>

#include "decode/x86/xsave.h"

static uint64_t load(const void *area, size_t offset)
{
    uint64_t value;
    memcpy(&value, (const char *)area + offset, sizeof value);
    return value;
}

/* The address of `size` bytes at `offset` within a component; NULL in `*bytes` if the component is in its initial
 * state. */
static bool find(const struct segue_xstate *xstate, unsigned component, size_t offset, size_t size,
                 const uint8_t **bytes)
{
    struct xsave_component place;
    if (!xstate || !xstate->area || xstate->size < XSAVE_LEGACY_SIZE || !(xstate->features >> component & 1))
        return false;
    bool extended = xstate->size >= XSAVE_HEADER_END;
    if (extended && (load(xstate->area, XSAVE_XCOMP_BV) & XSAVE_COMPACTED))
        return false;
    if (component < STATE_FIRST_EXTENDED)
        place = (struct xsave_component){.offset = 0, .size = XSAVE_LEGACY_SIZE};
    else if (!extended || !xsave_find(component, &place))
        return false;
    if (offset + size > place.size || place.offset + place.size > xstate->size)
        return false;
    bool saved = !extended || (load(xstate->area, XSAVE_XSTATE_BV) >> component & 1);
    *bytes = saved ? (const uint8_t *)xstate->area + place.offset + offset : NULL;
    return true;
}

static bool copy(const struct segue_xstate *xstate, unsigned component, size_t offset, size_t size, uint8_t *to)
{
    const uint8_t *bytes;
    if (!find(xstate, component, offset, size, &bytes))
        return false;
    if (bytes)
        memcpy(to, bytes, size);
    else
        memset(to, 0, size);
    return true;
}

bool masks_opmask(const struct segue_xstate *xstate, unsigned number, uint64_t *bits)
{
    return copy(xstate, STATE_OPMASK, number * sizeof *bits, sizeof *bits, (uint8_t *)bits);
}

bool masks_vector(const struct segue_xstate *xstate, unsigned number, unsigned size, uint8_t bytes[VECTOR_SIZE])
{
    if (number >= 16)
        return copy(xstate, STATE_HI16_ZMM, (number - 16) * (size_t)VECTOR_SIZE, size, bytes);
    return copy(xstate, STATE_SSE, XSAVE_XMM + number * (size_t)16, 16, bytes) &&
           (size < 32 || copy(xstate, STATE_AVX, number * (size_t)16, 16, bytes + 16)) &&
           (size < 64 || copy(xstate, STATE_ZMM_HI256, number * (size_t)32, 32, bytes + 32));
}

static void set(const struct segue_xstate *xstate, unsigned component, size_t offset, size_t size, const uint8_t *from)
{
    const uint8_t *bytes;
    if (find(xstate, component, offset, size, &bytes) && bytes)
        memcpy((uint8_t *)xstate->area + (bytes - (const uint8_t *)xstate->area), from, size);
}

void masks_set_opmask(const struct segue_xstate *xstate, unsigned number, uint64_t bits)
{
    set(xstate, STATE_OPMASK, number * sizeof bits, sizeof bits, (const uint8_t *)&bits);
}

/* Vector masks (AVX2) exist only in the lower sixteen registers and are at most 32 bytes wide. */
void masks_set_vector(const struct segue_xstate *xstate, unsigned number, unsigned size, const uint8_t *bytes)
{
    set(xstate, STATE_SSE, XSAVE_XMM + number * (size_t)16, 16, bytes);
    if (size == 32)
        set(xstate, STATE_AVX, number * (size_t)16, 16, bytes + 16);
}

/* A vector register consists of these parts; each lies in a state component of its own. */
struct vector_part {
    unsigned component;
    size_t offset;
    unsigned first, size;
};

static unsigned parts_of_vector(unsigned number, struct vector_part parts[3])
{
    if (number >= 16) {
        parts[0] = (struct vector_part){STATE_HI16_ZMM, (number - 16) * (size_t)VECTOR_SIZE, 0, VECTOR_SIZE};
        return 1;
    }
    parts[0] = (struct vector_part){STATE_SSE, XSAVE_XMM + number * (size_t)16, 0, 16};
    parts[1] = (struct vector_part){STATE_AVX, number * (size_t)16, 16, 16};
    parts[2] = (struct vector_part){STATE_ZMM_HI256, number * (size_t)32, 32, 32};
    return 3;
}

void masks_whole(const struct segue_xstate *xstate, unsigned number, uint8_t bytes[VECTOR_SIZE])
{
    struct vector_part parts[3];
    memset(bytes, 0, VECTOR_SIZE);
    for (unsigned i = 0, count = parts_of_vector(number, parts); i < count; i++)
        copy(xstate, parts[i].component, parts[i].offset, parts[i].size, bytes + parts[i].first);
}

void masks_set_from(const struct segue_xstate *xstate, unsigned number, unsigned first,
                    const uint8_t bytes[VECTOR_SIZE])
{
    struct vector_part parts[3];
    for (unsigned i = 0, count = parts_of_vector(number, parts); i < count; i++) {
        unsigned end = parts[i].first + parts[i].size, from = first > parts[i].first ? first : parts[i].first;
        if (from < end)
            set(xstate, parts[i].component, parts[i].offset + (from - parts[i].first), end - from, bytes + from);
    }
}

static bool mmx(const struct segue_xstate *xstate, unsigned number, uint8_t bytes[VECTOR_SIZE])
{
    uint8_t status[2];
    if (!copy(xstate, STATE_X87, XSAVE_FSW, sizeof status, status))
        return false;
    unsigned top = status[1] >> 3 & 7;
    return copy(xstate, STATE_X87, XSAVE_ST + ((number - top) & 7) * (size_t)16, 8, bytes);
}

/* The sign bit of each element. */
static uint64_t signs(const uint8_t *bytes, unsigned lanes, unsigned element)
{
    uint64_t bits = 0;
    for (unsigned lane = 0; lane < lanes; lane++)
        bits |= (uint64_t)(bytes[lane * element + element - 1] >> 7) << lane;
    return bits;
}

bool masks_of(const struct segue_memory_operand *memory, const struct segue_xstate *xstate, uint64_t *bits)
{
    uint8_t bytes[VECTOR_SIZE];
    unsigned size = memory->lanes * (unsigned)memory->element;
    switch ((enum segue_masking)memory->masking) {
    case SEGUE_MASKING_OPMASK:
        return masks_opmask(xstate, memory->mask, bits);
    case SEGUE_MASKING_SIGN_BITS:
        if (!masks_vector(xstate, memory->mask, size > 16 ? 32 : 16, bytes))
            return false;
        *bits = signs(bytes, memory->lanes, memory->element);
        return true;
    case SEGUE_MASKING_MMX_SIGN_BITS:
        if (!mmx(xstate, memory->mask, bytes))
            return false;
        *bits = signs(bytes, memory->lanes, memory->element);
        return true;
    case SEGUE_MASKING_NONE:
        break;
    }
    *bits = UINT64_MAX;
    return true;
}
