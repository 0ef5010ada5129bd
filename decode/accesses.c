/* accesses.c: an instruction and registers become the list of the accesses it will make.
 *
 * Each kind of addressing has a function here that turns one memory operand into accesses.
 *
 * SOURCES: Intel SDM volume 1, 3.7.5 (effective addresses), 6.2.3 and 6.5 (stack, ENTER), 7.3.9 (strings), 13.7
 * to 13.10 (XSAVE family); volume 2, BT (bit offsets), the gathers and scatters, ENTER; volume 3, 3.4.4 (segments in
 * 64-bit mode): an effective address is truncated to the address size first; then the base of FS or GS is added in
 * full. */
#include "accesses.h"

#include "masks.h"
#include "state.h"

#define DIRECTION_FLAG 0x400u
#define NESTED_TASK_FLAG 0x4000u

/* A list in the making. */
struct listing {
    const struct segue_insn *insn;
    const struct segue_regs *regs;
    const struct segue_xstate *xstate;
    struct segue_access *accesses;
    size_t capacity;
    size_t count;
    /* The operand at hand. */
    const struct segue_memory_operand *memory;
};

static uint64_t truncate(uint64_t address, unsigned address_size)
{
    if (address_size == 4)
        return (uint32_t)address;
    if (address_size == 2)
        return (uint16_t)address;
    return address;
}

static uint64_t segment_base(unsigned segment, const struct segue_regs *regs)
{
    if (segment == SEGUE_SEGMENT_FS)
        return regs->fs_base;
    if (segment == SEGUE_SEGMENT_GS)
        return regs->gs_base;
    return 0;
}

/* base + index * scale + displacement, in 64 bits. */
static uint64_t untruncated(const struct listing *listing, const struct segue_memory_operand *memory)
{
    uint64_t address = (uint64_t)memory->displacement + segue_register_get(listing->regs, memory->base);
    if (memory->scale && memory->addressing != SEGUE_ADDRESSING_VECTOR)
        address += segue_register_get(listing->regs, memory->index) * memory->scale;
    if (memory->base == SEGUE_RIP)
        address += listing->insn->length;
    return address;
}

static uint64_t effective(const struct listing *listing, uint64_t address)
{
    return truncate(address, listing->insn->address_size);
}

static uint64_t on_stack(const struct listing *listing, uint64_t address)
{
    return listing->insn->mode == SEGUE_MODE_32 ? (uint32_t)address : address;
}

/* An access as the operand at hand describes it, at an effective address. */
static struct segue_access describe(const struct listing *listing, uint64_t address, uint64_t size)
{
    const struct segue_memory_operand *memory = listing->memory;
    return (struct segue_access){
        .address = address,
        .size = size,
        .flags = memory->flags,
        .element = memory->element,
        .direction = memory->direction,
        .segment = memory->segment,
        .alignment = memory->alignment,
        .operand = (uint8_t)(memory - listing->insn->memory),
    };
}

/* Appends an access, whose effective address becomes linear. */
static enum segue_unlisted add(struct listing *listing, struct segue_access access)
{
    uint64_t last = UINT64_MAX;
    access.address += segment_base(access.segment, listing->regs);
    if (listing->insn->mode == SEGUE_MODE_32) {
        access.address = (uint32_t)access.address;
        last = UINT32_MAX;
    }
    if (access.size - 1 > last - access.address)
        return SEGUE_UNLISTED_WRAPS;
    if (listing->count < listing->capacity)
        listing->accesses[listing->count] = access;
    listing->count++;
    return SEGUE_UNLISTED_NONE;
}

static uint64_t bits_below(unsigned count)
{
    return count < 64 ? (UINT64_C(1) << count) - 1 : UINT64_MAX;
}

/* Without the compiler's library, which a handler does not call. */
static unsigned count_bits(uint64_t bits)
{
    unsigned count = 0;
    for (; bits; bits &= bits - 1)
        count++;
    return count;
}

/* Which of the operand's elements an opmask or a vector of signs lets through. */
static uint64_t elements_of(const struct segue_memory_operand *memory, uint64_t bits)
{
    unsigned count = memory->size / memory->element, step = memory->grouped ? memory->grouped : 1;
    uint64_t elements = 0;
    bits &= bits_below(memory->lanes);
    if (count == memory->lanes)
        return bits;
    for (unsigned lane = 0; lane < memory->lanes; lane++)
        elements |= (bits >> lane & 1) << (lane / step % count);
    return elements;
}

/* MASKMOVQ and MASKMOVDQU may fault for any byte of their operand, whatever the mask. */
static enum segue_unlisted add_probe(struct listing *listing, uint64_t address, uint64_t size)
{
    struct segue_access access = describe(listing, address, size);
    access.direction = SEGUE_WRITE;
    access.flags |= SEGUE_ACCESS_PROBE | SEGUE_ACCESS_OPTIONAL;
    return add(listing, access);
}

/* One access for each run of elements that the mask lets through. */
static enum segue_unlisted list_masked(struct listing *listing)
{
    const struct segue_memory_operand *memory = listing->memory;
    uint64_t address = effective(listing, untruncated(listing, memory)), bits;
    if (!masks_of(memory, listing->xstate, &bits))
        return SEGUE_UNLISTED_XSTATE;
    uint64_t elements = elements_of(memory, bits);
    if (memory->element == 1 && memory->masking != SEGUE_MASKING_OPMASK && elements != bits_below(memory->lanes)) {
        enum segue_unlisted why = add_probe(listing, address, memory->size);
        if (why)
            return why;
    }
    for (unsigned first = 0; first < 64 && elements >> first;) {
        first += (unsigned)__builtin_ctzll(elements >> first);
        uint64_t above = ~(elements >> first);
        unsigned length = above ? (unsigned)__builtin_ctzll(above) : 64;
        struct segue_access access =
            describe(listing, address + first * (uint64_t)memory->element, length * (uint64_t)memory->element);
        access.lane = (uint8_t)first;
        /* Alignment is asked of the operand, not of its elements: the first says it for all. */
        access.alignment = first == 0 ? memory->alignment : 0;
        enum segue_unlisted why = add(listing, access);
        if (why)
            return why;
        first += length;
    }
    return SEGUE_UNLISTED_NONE;
}

static enum segue_unlisted list_plain(struct listing *listing)
{
    const struct segue_memory_operand *memory = listing->memory;
    if (memory->masking)
        return list_masked(listing);
    return add(listing, describe(listing, effective(listing, untruncated(listing, memory)), memory->size));
}

static enum segue_unlisted list_stack(struct listing *listing)
{
    const struct segue_memory_operand *memory = listing->memory;
    return add(listing, describe(listing, on_stack(listing, untruncated(listing, memory)), memory->size));
}

static enum segue_unlisted list_interrupt_return(struct listing *listing)
{
    return listing->regs->rflags & NESTED_TASK_FLAG ? SEGUE_UNLISTED_NESTED_TASK : list_stack(listing);
}

static enum segue_unlisted list_table(struct listing *listing)
{
    const struct segue_memory_operand *memory = listing->memory;
    uint64_t address = untruncated(listing, memory) + (uint8_t)segue_register_get(listing->regs, memory->index);
    return add(listing, describe(listing, effective(listing, address), memory->size));
}

static enum segue_unlisted list_line(struct listing *listing)
{
    const struct segue_memory_operand *memory = listing->memory;
    uint64_t address = effective(listing, untruncated(listing, memory));
    uint64_t base = segment_base(memory->segment, listing->regs);
    /* It is the linear address that is rounded down. */
    return add(listing, describe(listing, ((address + base) & ~(uint64_t)(memory->size - 1)) - base, memory->size));
}

/* The offset counts bits from the operand, both ways; the processor accesses the one operand that has the bit. */
static enum segue_unlisted list_bit_offset(struct listing *listing)
{
    const struct segue_memory_operand *memory = listing->memory;
    unsigned unused = 64 - 8 * (unsigned)memory->size;
    int64_t offset = (int64_t)(segue_register_get(listing->regs, memory->mask) << unused) >> unused;
    int64_t operands = offset >> (unsigned)__builtin_ctz(8u * memory->size);
    uint64_t address = untruncated(listing, memory) + (uint64_t)operands * memory->size;
    return add(listing, describe(listing, effective(listing, address), memory->size));
}

/* Adds the elements numbered from `first`, `count` of them, that begin at `start` and go on upwards or downwards. */
static enum segue_unlisted add_elements(struct listing *listing, uint64_t start, uint64_t count)
{
    struct segue_access access = describe(listing, start, count * listing->memory->element);
    if (listing->regs->rflags & DIRECTION_FLAG) {
        access.flags |= SEGUE_ACCESS_DOWN;
        access.address -= access.size - access.element;
    }
    return add(listing, access);
}

/* How many elements there are from `start` to the end of the space that `address_size` can address: whole ones. */
static uint64_t room_from(uint64_t start, unsigned element, unsigned address_size, bool down)
{
    uint64_t last = truncate(UINT64_MAX, address_size);
    if (down)
        return start / element + 1;
    return (last - start) / element + ((last - start) % element == element - 1);
}

/* All iterations of a string instruction. */
static enum segue_unlisted list_string(struct listing *listing)
{
    const struct segue_memory_operand *memory = listing->memory;
    unsigned address_size = listing->insn->address_size;
    uint64_t last = truncate(UINT64_MAX, address_size), count = 1;
    uint64_t start = effective(listing, untruncated(listing, memory));
    bool down = listing->regs->rflags & DIRECTION_FLAG;
    if (memory->flags & SEGUE_ACCESS_REPEATED)
        count = effective(listing, listing->regs->rcx);
    if (count <= 1)
        return count ? add_elements(listing, start, 1) : SEGUE_UNLISTED_NONE;

    uint64_t room = room_from(start, memory->element, address_size, down);
    if (count <= room)
        return add_elements(listing, start, count);
    /* Nobody gets past the end of 64 bits: what comes before it cannot be accessed. */
    if (address_size == 8)
        return room ? add_elements(listing, start, room) : SEGUE_UNLISTED_WRAPS;
    /* Elements go on at the other end; one that lies across it, or more than once around, cannot be listed. */
    uint64_t left = count - room;
    bool across = down ? start % memory->element != 0 : (last - start + 1) % memory->element != 0;
    if (across || count > (last + 1) / memory->element)
        return SEGUE_UNLISTED_WRAPS;
    enum segue_unlisted why = add_elements(listing, start, room);
    return why ? why : add_elements(listing, down ? last + 1 - memory->element : 0, left);
}

/* One access a lane. */
static enum segue_unlisted list_vector(struct listing *listing)
{
    const struct segue_memory_operand *memory = listing->memory;
    uint8_t indices[VECTOR_SIZE];
    uint64_t bits, base = untruncated(listing, memory);
    unsigned size = memory->lanes * (unsigned)memory->index_size;
    size = size > 32 ? 64 : size > 16 ? 32 : 16;
    if (!masks_of(memory, listing->xstate, &bits) || !masks_vector(listing->xstate, memory->index, size, indices))
        return SEGUE_UNLISTED_XSTATE;
    for (unsigned lane = 0; lane < memory->lanes; lane++) {
        const uint8_t *index = &indices[lane * memory->index_size];
        int64_t value;
        if (!(bits >> lane & 1))
            continue;
        if (memory->index_size == 4)
            value = *(const int32_t *)(const void *)index;
        else
            value = *(const int64_t *)(const void *)index;
        struct segue_access access =
            describe(listing, effective(listing, base + (uint64_t)value * memory->scale), memory->element);
        access.lane = (uint8_t)lane;
        enum segue_unlisted why = add(listing, access);
        if (why)
            return why;
    }
    return SEGUE_UNLISTED_NONE;
}

/* As many elements as the mask has bits, all together. */
static enum segue_unlisted list_compressed(struct listing *listing)
{
    const struct segue_memory_operand *memory = listing->memory;
    uint64_t bits;
    if (!masks_of(memory, listing->xstate, &bits))
        return SEGUE_UNLISTED_XSTATE;
    uint64_t count = count_bits(bits & bits_below(memory->lanes));
    if (count == 0)
        return SEGUE_UNLISTED_NONE;
    uint64_t address = effective(listing, untruncated(listing, memory));
    return add(listing, describe(listing, address, count * memory->element));
}

/* EDI, ESI, EBP, the stack pointer's own place, EBX, EDX, ECX, EAX. The processor takes no value from that place;
 * whether it reads it is not said. */
static enum segue_unlisted list_pop_all(struct listing *listing)
{
    static const struct {
        uint8_t first, count, flags;
    } parts[] = {{0, 3, 0}, {3, 1, SEGUE_ACCESS_OPTIONAL}, {4, 4, 0}};
    const struct segue_memory_operand *memory = listing->memory;
    uint64_t stack = untruncated(listing, memory);
    if (memory->direction == SEGUE_WRITE)
        return list_stack(listing);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        uint64_t address = on_stack(listing, stack + parts[i].first * (uint64_t)memory->element);
        struct segue_access access = describe(listing, address, parts[i].count * (uint64_t)memory->element);
        access.flags |= parts[i].flags;
        enum segue_unlisted why = add(listing, access);
        if (why)
            return why;
    }
    return SEGUE_UNLISTED_NONE;
}

static enum segue_unlisted add_frame_word(struct listing *listing, uint64_t address, unsigned direction)
{
    struct segue_access access = describe(listing, on_stack(listing, address), listing->memory->element);
    access.direction = (uint8_t)direction;
    return add(listing, access);
}

/* Pushes the frame pointer; with a nesting level, copies the enclosing frames' pointers, and pushes the new one. At the
 * end it sees whether it could write where the stack pointer then is. */
static enum segue_unlisted list_enter(struct listing *listing)
{
    const struct segue_memory_operand *memory = listing->memory;
    uint64_t stack = listing->regs->rsp - memory->element, frame = listing->regs->rbp;
    enum segue_unlisted why = add_frame_word(listing, stack, SEGUE_WRITE);
    for (unsigned level = 1; level < memory->lanes && !why; level++) {
        frame -= memory->element;
        stack -= memory->element;
        why = add_frame_word(listing, frame, SEGUE_READ);
        if (!why)
            why = add_frame_word(listing, stack, SEGUE_WRITE);
    }
    if (memory->lanes && !why) {
        stack -= memory->element;
        why = add_frame_word(listing, stack, SEGUE_WRITE);
    }
    if (memory->displacement == 0 || why)
        return why;
    struct segue_access probe = describe(listing, on_stack(listing, stack - (uint64_t)memory->displacement), 1);
    probe.element = 1;
    probe.direction = SEGUE_WRITE;
    probe.flags |= SEGUE_ACCESS_PROBE;
    return add(listing, probe);
}

/* The parts of a state area. */
struct part {
    uint64_t offset, size;
    unsigned direction, flags;
};

static enum segue_unlisted add_part(struct listing *listing, uint64_t area, struct part part)
{
    if (part.size == 0)
        return SEGUE_UNLISTED_NONE;
    struct segue_access access = describe(listing, area + part.offset, part.size);
    access.direction = (uint8_t)part.direction;
    access.flags |= (uint16_t)part.flags;
    access.alignment = part.offset % 64 == 0 ? listing->memory->alignment : 0;
    return add(listing, access);
}

/* x87 state, MXCSR and XMM registers, of which 32-bit mode has eight. */
static enum segue_unlisted add_legacy_parts(struct listing *listing, uint64_t area, uint64_t components, unsigned flags)
{
    bool x87 = components & 1, sse = components & 2, mxcsr = components & 6;
    unsigned direction = listing->memory->direction;
    const struct part parts[] = {
        {0, x87 ? 24 : 0, direction, flags},
        {24, mxcsr ? 8 : 0, direction, flags},
        {32, x87 ? 128 : 0, direction, flags},
        {160, sse ? (listing->insn->mode == SEGUE_MODE_64 ? 256 : 128) : 0, direction, flags},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        enum segue_unlisted why = add_part(listing, area, parts[i]);
        if (why)
            return why;
    }
    return SEGUE_UNLISTED_NONE;
}

/* Outside 64-bit mode the registers that it alone has are left out. */
static uint64_t size_in_mode(unsigned component, uint64_t size, enum segue_mode mode)
{
    if (mode == SEGUE_MODE_64)
        return size;
    if (component == STATE_HI16_ZMM)
        return 0;
    return component == STATE_AVX || component == STATE_ZMM_HI256 ? size / 2 : size;
}

static uint64_t compacted_offset(uint64_t end, const struct state_component *place)
{
    return place->aligned ? (end + 63) & ~UINT64_C(63) : end;
}

static enum segue_unlisted add_extended_parts(struct listing *listing, uint64_t area, uint64_t components,
                                              bool compacted, unsigned flags)
{
    uint64_t end = 576;
    for (unsigned i = STATE_FIRST_EXTENDED; i < STATE_LIMIT; i++) {
        struct state_component place;
        if (!(components >> i & 1) || !state_find(i, &place))
            continue;
        if (compacted)
            place.offset = (uint32_t)compacted_offset(end, &place);
        end = (uint64_t)place.offset + place.size;
        struct part part = {place.offset, size_in_mode(i, place.size, listing->insn->mode), listing->memory->direction,
                            flags};
        enum segue_unlisted why = add_part(listing, area, part);
        if (why)
            return why;
    }
    return SEGUE_UNLISTED_NONE;
}

/* How far an area with these components goes. */
static uint64_t area_size(uint64_t components, bool compacted)
{
    uint64_t end = 576, most = 576;
    for (unsigned i = STATE_FIRST_EXTENDED; i < STATE_LIMIT; i++) {
        struct state_component place;
        if (!(components >> i & 1) || !state_find(i, &place))
            continue;
        uint64_t offset = compacted ? compacted_offset(end, &place) : place.offset;
        end = offset + place.size;
        most = end > most ? end : most;
    }
    return most;
}

/* What each of the XSAVE family does to the header, and whether it may leave components out: XSAVEOPT and XSAVEC leave
 * out those in their initial state, XRSTOR those that the header does not name. */
static enum segue_unlisted list_state(struct listing *listing)
{
    static const struct {
        struct part header;
        unsigned flags;
        bool compacted;
    } kinds[] = {
        [SEGUE_STATE_XSAVE] = {{512, 8, SEGUE_READ | SEGUE_WRITE, 0}, 0, false},
        [SEGUE_STATE_XSAVEOPT] = {{512, 8, SEGUE_READ | SEGUE_WRITE, 0}, SEGUE_ACCESS_OPTIONAL, false},
        [SEGUE_STATE_XSAVEC] = {{512, 16, SEGUE_WRITE, 0}, SEGUE_ACCESS_OPTIONAL, true},
        [SEGUE_STATE_XRSTOR] = {{512, 64, SEGUE_READ, 0}, SEGUE_ACCESS_OPTIONAL, false},
    };
    const struct segue_memory_operand *memory = listing->memory;
    uint64_t area = effective(listing, untruncated(listing, memory)), enabled;
    if (!state_enabled(&enabled))
        return SEGUE_UNLISTED_STATE_LAYOUT;
    uint64_t components = enabled & (listing->regs->rdx << 32 | (uint32_t)listing->regs->rax);
    /* The header in memory says which format XRSTOR reads. */
    bool reads = memory->lanes == SEGUE_STATE_XRSTOR;
    if (reads && (components & ~UINT64_C(3)) && state_can_compact())
        return SEGUE_UNLISTED_STATE_LAYOUT;
    enum segue_unlisted why = SEGUE_UNLISTED_NONE;
    /* Before anything else it may see whether it can have the whole area. */
    struct part whole = {0, area_size(components, kinds[memory->lanes].compacted), memory->direction,
                         SEGUE_ACCESS_PROBE | SEGUE_ACCESS_OPTIONAL};
    why = add_part(listing, area, whole);
    if (reads && !why)
        why = add_part(listing, area, kinds[memory->lanes].header);
    if (!why)
        why = add_legacy_parts(listing, area, components, kinds[memory->lanes].flags);
    if (!why && !reads)
        why = add_part(listing, area, kinds[memory->lanes].header);
    if (!why)
        why = add_extended_parts(listing, area, components, kinds[memory->lanes].compacted, kinds[memory->lanes].flags);
    return why;
}

static enum segue_unlisted (*const listers[])(struct listing *listing) = {
    [SEGUE_ADDRESSING_PLAIN] = list_plain,     [SEGUE_ADDRESSING_STACK] = list_stack,
    [SEGUE_ADDRESSING_STRING] = list_string,   [SEGUE_ADDRESSING_TABLE] = list_table,
    [SEGUE_ADDRESSING_LINE] = list_line,       [SEGUE_ADDRESSING_BIT_OFFSET] = list_bit_offset,
    [SEGUE_ADDRESSING_VECTOR] = list_vector,   [SEGUE_ADDRESSING_COMPRESSED] = list_compressed,
    [SEGUE_ADDRESSING_POP_ALL] = list_pop_all, [SEGUE_ADDRESSING_INTERRUPT_RETURN] = list_interrupt_return,
    [SEGUE_ADDRESSING_ENTER] = list_enter,     [SEGUE_ADDRESSING_STATE] = list_state,
};

static enum segue_unlisted list(struct listing *listing)
{
    enum segue_unlisted why = (enum segue_unlisted)listing->insn->unlisted;
    for (size_t i = 0; i < listing->insn->memory_count && !why; i++) {
        listing->memory = &listing->insn->memory[i];
        why = listers[listing->memory->addressing](listing);
    }
    return why;
}

enum segue_status segue_accesses(const struct segue_insn *insn, const struct segue_regs *regs,
                                 const struct segue_xstate *xstate, struct segue_access *accesses, size_t capacity,
                                 size_t *count)
{
    if (!insn || !regs || !count || (!accesses && capacity))
        return SEGUE_INVALID;
    struct listing listing = {.insn = insn, .regs = regs, .xstate = xstate, .accesses = accesses, .capacity = capacity};
    enum segue_unlisted why = list(&listing);
    *count = why ? 0 : listing.count;
    if (why)
        return SEGUE_UNSUPPORTED;
    return listing.count > capacity ? SEGUE_TOO_SMALL : SEGUE_OK;
}

uint64_t accesses_operand(const struct segue_insn *insn, const struct segue_regs *regs, unsigned number)
{
    const struct segue_memory_operand *memory = &insn->memory[number];
    struct listing listing = {.insn = insn, .regs = regs, .memory = memory};
    uint64_t address = untruncated(&listing, memory);
    /* Each lane of a vector of indices is truncated for itself. */
    if (memory->addressing != SEGUE_ADDRESSING_VECTOR)
        address = effective(&listing, address);
    return address + segment_base(memory->segment, regs);
}

enum segue_unlisted segue_accesses_unlisted(const struct segue_insn *insn, const struct segue_regs *regs,
                                            const struct segue_xstate *xstate)
{
    struct listing listing = {.insn = insn, .regs = regs, .xstate = xstate};
    return insn && regs ? list(&listing) : SEGUE_UNLISTED_NONE;
}
