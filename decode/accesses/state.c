/* state.c: the accesses of the XSAVE family, part by part.
 *
 * SOURCES: Intel SDM volume 1, 13.4 (the area), 13.7 to 13.10 (the instructions). */
#include "listing.h"

#include "decode/x86/xsave.h"

/* A part of an XSAVE area. */
struct part {
    uint64_t offset, size;
    unsigned direction, flags;
};

static void add_part(struct listing *listing, uint64_t area, struct part part)
{
    if (part.size == 0)
        return;
    struct segue_access *access = listing_add(listing, area + part.offset, part.size);
    access->direction = (uint8_t)part.direction;
    access->flags |= (uint16_t)part.flags;
    access->alignment = part.offset % XSAVE_ALIGNMENT == 0 ? listing->memory->alignment : 0;
}

/* All parts except the header are either only stored or only loaded. */
static unsigned area_direction(const struct segue_memory_operand *memory)
{
    return memory->lanes == SEGUE_STATE_XRSTOR ? SEGUE_READ : SEGUE_WRITE;
}

/* x87 state, MXCSR and the XMM registers, of which 32-bit mode has eight. */
static void add_legacy_parts(struct listing *listing, uint64_t area, uint64_t components, unsigned flags)
{
    bool x87 = components & COMPONENT_X87, sse = components & COMPONENT_SSE;
    bool mxcsr = components & (COMPONENT_SSE | COMPONENT_AVX);
    unsigned direction = area_direction(listing->memory);
    const struct part parts[] = {
        {XSAVE_FCW, x87 ? XSAVE_MXCSR - XSAVE_FCW : 0, direction, flags},
        {XSAVE_MXCSR, mxcsr ? XSAVE_ST - XSAVE_MXCSR : 0, direction, flags},
        {XSAVE_ST, x87 ? XSAVE_ST_END - XSAVE_ST : 0, direction, flags},
        {XSAVE_XMM, sse ? (listing->insn->mode == SEGUE_MODE_64 ? 16 : 8) * XSAVE_XMM_SIZE : 0, direction, flags},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        add_part(listing, area, parts[i]);
}

/* Outside 64-bit mode the processor leaves out the registers that exist only in 64-bit mode. */
static uint64_t size_in_mode(unsigned component, uint64_t size, enum segue_mode mode)
{
    if (mode == SEGUE_MODE_64)
        return size;
    if (component == STATE_HI16_ZMM)
        return 0;
    return component == STATE_AVX || component == STATE_ZMM_HI256 ? size / 2 : size;
}

static uint64_t compacted_offset(uint64_t end, const struct xsave_component *place)
{
    return place->is_aligned ? (end + XSAVE_ALIGNMENT - 1) / XSAVE_ALIGNMENT * XSAVE_ALIGNMENT : end;
}

static void add_extended_parts(struct listing *listing, uint64_t area, uint64_t components, bool compacted,
                               unsigned flags)
{
    uint64_t end = XSAVE_HEADER_END;
    for (unsigned i = STATE_FIRST_EXTENDED; i < STATE_LIMIT; i++) {
        struct xsave_component place;
        if (!(components >> i & 1) || !xsave_find(i, &place))
            continue;
        uint64_t offset = compacted ? compacted_offset(end, &place) : place.offset;
        end = offset + place.size;
        add_part(listing, area,
                 (struct part){offset, size_in_mode(i, place.size, listing->insn->mode),
                               area_direction(listing->memory), flags});
    }
}

/* The size of an area with these components. */
static uint64_t area_size(uint64_t components, bool compacted)
{
    uint64_t end = XSAVE_HEADER_END, most = XSAVE_HEADER_END;
    for (unsigned i = STATE_FIRST_EXTENDED; i < STATE_LIMIT; i++) {
        struct xsave_component place;
        if (!(components >> i & 1) || !xsave_find(i, &place))
            continue;
        uint64_t offset = compacted ? compacted_offset(end, &place) : place.offset;
        end = offset + place.size;
        most = end > most ? end : most;
    }
    return most;
}

/* What each instruction of the XSAVE family does to the header, and whether it may skip components. XSAVEOPT and XSAVEC
 * skip components in their initial state; XRSTOR skips those whose bit in XSTATE_BV is clear. */
void listing_state(struct listing *listing)
{
    static const struct {
        struct part header;
        unsigned flags;
        bool compacted;
    } kinds[] = {
        [SEGUE_STATE_XSAVE] = {{XSAVE_XSTATE_BV, 8, SEGUE_READ | SEGUE_WRITE, 0}, 0, false},
        [SEGUE_STATE_XSAVEOPT] = {{XSAVE_XSTATE_BV, 8, SEGUE_READ | SEGUE_WRITE, 0}, SEGUE_ACCESS_OPTIONAL, false},
        [SEGUE_STATE_XSAVEC] = {{XSAVE_XSTATE_BV, 16, SEGUE_WRITE, 0}, SEGUE_ACCESS_OPTIONAL, true},
        [SEGUE_STATE_XRSTOR] = {{XSAVE_XSTATE_BV, XSAVE_HEADER_SIZE, SEGUE_READ, 0}, SEGUE_ACCESS_OPTIONAL, false},
    };
    const struct segue_memory_operand *memory = listing->memory;
    uint64_t area = listing_effective(listing, listing_untruncated(listing, memory)), enabled = xsave_enabled();
    bool reads = memory->lanes == SEGUE_STATE_XRSTOR;
    uint64_t components = enabled & (listing->regs->rdx << 32 | (uint32_t)listing->regs->rax);
    if (!enabled) {
        listing_give_up(listing, SEGUE_UNLISTED_STATE_LAYOUT);
        return;
    }
    bool compacted = kinds[memory->lanes].compacted;
    unsigned flags = kinds[memory->lanes].flags;
    /* The processor may first check that it can access the whole area. */
    add_part(listing, area,
             (struct part){0, area_size(components, compacted), area_direction(memory),
                           SEGUE_ACCESS_PROBE | SEGUE_ACCESS_OPTIONAL});
    if (reads)
        add_part(listing, area, kinds[memory->lanes].header);
    add_legacy_parts(listing, area, components, flags);
    if (!reads)
        add_part(listing, area, kinds[memory->lanes].header);
    /* The header in memory selects the format that XRSTOR reads. The compacted format is never longer than the standard
     * one. */
    if (reads && (components & ~COMPONENTS_LEGACY) && xsave_can_compact())
        add_part(listing, area,
                 (struct part){XSAVE_HEADER_END, area_size(components, false) - XSAVE_HEADER_END, SEGUE_READ, flags});
    else
        add_extended_parts(listing, area, components, compacted, flags);
}
