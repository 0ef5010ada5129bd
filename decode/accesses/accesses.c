/* accesses.c: an instruction and registers become the list of the accesses it will make.
 *
 * Each kind of addressing has a function here that turns one memory operand into accesses.
 *
 * SOURCES: Intel SDM volume 1, 3.7.5 (effective addresses), 6.2.3 and 6.5 (stack, ENTER), 7.3.9 (strings), 13.7
 * to 13.10 (XSAVE family); volume 2, BT (bit offsets), the gathers and scatters, ENTER; volume 3, 3.4.4 (segments in
 * 64-bit mode): an effective address is truncated to the address size first; then the base of FS or GS is added in
 * full. */
#include "accesses.h"

#include <string.h>

#include "masks.h"
#include "decode/segments.h"
#include "decode/x86/flags.h"
#include "decode/x86/xsave.h"

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
    /* Of repeated strings only what comes before the end of the address space. */
    bool before_end;
    /* Why there will be no list. */
    enum segue_unlisted why;
    /* What does not fit. */
    struct segue_access unwanted;
};

static uint64_t truncate(uint64_t address, unsigned address_size)
{
    if (address_size == 4)
        return (uint32_t)address;
    if (address_size == 2)
        return (uint16_t)address;
    return address;
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

/* Whether an access goes on beyond what the address size can address, in a way that processors differ in: they truncate
 * the address of each part for itself, and what is wider than a general register may be made of several
 * (docs/facts.md). In 32-bit mode there is no such address. */
static bool leaves_address_size(const struct listing *listing, uint64_t address, uint64_t size)
{
    uint64_t last = truncate(UINT64_MAX, listing->insn->address_size);
    bool is_one = size == 1 || size == 2 || size == 4 || size == 8;
    switch ((enum segue_addressing)listing->memory->addressing) {
    case SEGUE_ADDRESSING_STACK:
    case SEGUE_ADDRESSING_POP_ALL:
    case SEGUE_ADDRESSING_INTERRUPT_RETURN:
    case SEGUE_ADDRESSING_ENTER:
    case SEGUE_ADDRESSING_CACHE_LINE:
        return false;
    default:
        break;
    }
    if (is_one && listing->insn->mode == SEGUE_MODE_64)
        return address > last;
    return address > last || size - 1 > last - address;
}

/* Appends an access to `size` bytes at an effective address, as the operand at hand describes it, and returns it, to be
 * changed where it is more than that. It is written in place: a copy of what was just stored byte by byte is slow. */
static struct segue_access *add(struct listing *listing, uint64_t address, uint64_t size)
{
    const struct segue_memory_operand *memory = listing->memory;
    struct segue_access *access =
        listing->count < listing->capacity ? &listing->accesses[listing->count] : &listing->unwanted;
    uint64_t last = UINT64_MAX;
    if (listing->insn->address_size != 8 && leaves_address_size(listing, address, size))
        listing->why = SEGUE_UNLISTED_WRAPS;
    address += segment_base(listing->regs, memory->segment);
    if (listing->insn->mode == SEGUE_MODE_32) {
        address = (uint32_t)address;
        last = UINT32_MAX;
    }
    if (size - 1 > last - address)
        listing->why = SEGUE_UNLISTED_WRAPS;
    access->address = address;
    access->size = size;
    access->flags = memory->flags;
    access->element = memory->element;
    access->direction = memory->direction;
    access->segment = memory->segment;
    access->lane = 0;
    access->alignment = memory->alignment;
    access->operand = (uint8_t)(memory - listing->insn->memory);
    listing->count++;
    return access;
}

/* There will be no list. */
static void give_up(struct listing *listing, enum segue_unlisted why)
{
    listing->why = why;
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
    unsigned count = memory->size / memory->element;
    uint64_t elements = 0;
    bits &= bits_below(memory->lanes);
    if (count == memory->lanes)
        return bits;
    for (unsigned lane = 0; lane < memory->lanes; lane++)
        elements |= (bits >> lane & 1) << (lane % count);
    return elements;
}

/* One access for each run of elements that the mask lets through. */
static void list_masked(struct listing *listing)
{
    const struct segue_memory_operand *memory = listing->memory;
    uint64_t address = effective(listing, untruncated(listing, memory)), bits;
    if (!masks_of(memory, listing->xstate, &bits)) {
        give_up(listing, SEGUE_UNLISTED_XSTATE);
        return;
    }
    uint64_t elements = elements_of(memory, bits);
    if (memory->probe && elements != bits_below(memory->lanes))
        add(listing, address, memory->size)->flags |= memory->probe;
    for (unsigned first = 0; first < 64 && elements >> first;) {
        first += (unsigned)__builtin_ctzll(elements >> first);
        uint64_t above = ~(elements >> first);
        unsigned length = above ? (unsigned)__builtin_ctzll(above) : 64;
        add(listing, address + first * (uint64_t)memory->element, length * (uint64_t)memory->element)->lane =
            (uint8_t)first;
        first += length;
    }
}

static void list_plain(struct listing *listing)
{
    const struct segue_memory_operand *memory = listing->memory;
    if (memory->masking)
        list_masked(listing);
    else
        add(listing, effective(listing, untruncated(listing, memory)), memory->size);
}

static void list_stack(struct listing *listing)
{
    const struct segue_memory_operand *memory = listing->memory;
    add(listing, on_stack(listing, untruncated(listing, memory)), memory->size);
}

/* IRET reads RIP, CS, RFLAGS, and RSP and SS where they are there: either all as one, or one word after the other, of
 * the selectors only the two bytes that count. */
static void list_interrupt_return(struct listing *listing)
{
    static const struct {
        uint8_t number;
        bool is_selector;
    } words[] = {{2, false}, {1, true}, {0, false}, {4, true}, {3, false}};
    const struct segue_memory_operand *memory = listing->memory;
    if (listing->regs->rflags & FLAG_NESTED_TASK) {
        give_up(listing, SEGUE_UNLISTED_NESTED_TASK);
    } else if (memory->lanes == 1) {
        list_stack(listing);
    } else {
        for (unsigned i = 0; i < memory->lanes; i++) {
            uint64_t address = untruncated(listing, memory) + words[i].number * (uint64_t)memory->element;
            unsigned size = words[i].is_selector ? 2 : memory->element;
            add(listing, on_stack(listing, address), size)->element = (uint8_t)size;
        }
    }
}

static void list_table(struct listing *listing)
{
    const struct segue_memory_operand *memory = listing->memory;
    uint64_t address = untruncated(listing, memory) + (uint8_t)segue_register_get(listing->regs, memory->index);
    add(listing, effective(listing, address), memory->size);
}

/* It is the linear address that is rounded down. */
static void list_line(struct listing *listing)
{
    const struct segue_memory_operand *memory = listing->memory;
    uint64_t base = segment_base(listing->regs, memory->segment);
    uint64_t address = effective(listing, untruncated(listing, memory)) + base;
    add(listing, (address & ~(uint64_t)(memory->size - 1)) - base, memory->size);
}

/* The offset counts bits from the operand, both ways; the processor accesses the one operand that has the bit. */
static void list_bit_offset(struct listing *listing)
{
    const struct segue_memory_operand *memory = listing->memory;
    unsigned unused = 64 - 8 * (unsigned)memory->size;
    int64_t offset = (int64_t)(segue_register_get(listing->regs, memory->mask) << unused) >> unused;
    int64_t operands = offset >> (unsigned)__builtin_ctz(8u * memory->size);
    uint64_t address = untruncated(listing, memory) + (uint64_t)operands * memory->size;
    add(listing, effective(listing, address), memory->size);
}

/* `count` elements that begin at `start` and go on upwards or downwards. */
static void add_elements(struct listing *listing, uint64_t start, uint64_t count)
{
    uint64_t element = listing->memory->element;
    /* All of 64 bits is one byte more than a size can tell. */
    if (count > UINT64_MAX / element)
        give_up(listing, SEGUE_UNLISTED_WRAPS);
    else if (listing->regs->rflags & FLAG_DIRECTION)
        add(listing, start - (count - 1) * element, count * element)->flags |= SEGUE_ACCESS_DOWN;
    else
        add(listing, start, count * element);
}

/* How many elements there are from `start` to the end of the space that `address_size` can address: whole ones. */
static uint64_t room_from(uint64_t start, unsigned element, unsigned address_size, bool down)
{
    uint64_t last = truncate(UINT64_MAX, address_size);
    if (down)
        return start / element + 1;
    return (last - start) / element + ((last - start) % element == element - 1);
}

/* More elements than there is room for. Nobody gets past the end of 64 bits, so what comes before it is all; elsewhere
 * they go on at the other end; one that lies across it, or more than once around, cannot be listed. */
static void list_around(struct listing *listing, uint64_t start, uint64_t count, uint64_t room)
{
    unsigned address_size = listing->insn->address_size, element = listing->memory->element;
    uint64_t last = truncate(UINT64_MAX, address_size);
    bool down = listing->regs->rflags & FLAG_DIRECTION;
    bool across = down ? start % element != 0 : (last - start + 1) % element != 0;
    if (address_size == 8 && room) {
        add_elements(listing, start, room);
    } else if (address_size == 8 || across || count > (last + 1) / element) {
        give_up(listing, SEGUE_UNLISTED_WRAPS);
    } else {
        add_elements(listing, start, room);
        add_elements(listing, down ? last + 1 - element : 0, count - room);
    }
}

/* How many of `count` elements, for which there is room, come before linear addresses wrap around. */
static uint64_t count_before_end(const struct listing *listing, uint64_t start, uint64_t count, uint64_t room)
{
    const struct segue_memory_operand *memory = listing->memory;
    bool down = listing->regs->rflags & FLAG_DIRECTION;
    uint64_t linear = room_from(start + segment_base(listing->regs, memory->segment), memory->element, 8, down);
    count = count < room ? count : room;
    return count < linear ? count : linear;
}

/* All iterations of a string instruction. */
static void list_string(struct listing *listing)
{
    const struct segue_memory_operand *memory = listing->memory;
    uint64_t start = effective(listing, untruncated(listing, memory)), count = 1;
    bool down = listing->regs->rflags & FLAG_DIRECTION;
    if (memory->flags & SEGUE_ACCESS_REPEATED)
        count = effective(listing, listing->regs->rcx);
    if (count == 0)
        return;
    uint64_t room = room_from(start, memory->element, listing->insn->address_size, down);
    if (listing->before_end)
        count = count_before_end(listing, start, count, room);
    if (count == 0)
        give_up(listing, SEGUE_UNLISTED_WRAPS);
    else if (count == 1 || count <= room)
        add_elements(listing, start, count);
    else
        list_around(listing, start, count, room);
}

/* One access a lane. */
static void list_vector(struct listing *listing)
{
    const struct segue_memory_operand *memory = listing->memory;
    uint8_t indices[VECTOR_SIZE];
    uint64_t bits, base = untruncated(listing, memory);
    unsigned size = memory->lanes * (unsigned)memory->index_size;
    size = size > 32 ? 64 : size > 16 ? 32 : 16;
    if (!masks_of(memory, listing->xstate, &bits) || !masks_vector(listing->xstate, memory->index, size, indices)) {
        give_up(listing, SEGUE_UNLISTED_XSTATE);
        return;
    }
    for (unsigned lane = 0; lane < memory->lanes; lane++) {
        if (!(bits >> lane & 1))
            continue;
        int64_t index = 0;
        memcpy(&index, &indices[lane * memory->index_size], memory->index_size);
        if (memory->index_size == 4)
            index = (int32_t)index;
        add(listing, effective(listing, base + (uint64_t)index * memory->scale), memory->element)->lane = (uint8_t)lane;
    }
}

/* As many elements as the mask has bits, all together. */
static void list_compressed(struct listing *listing)
{
    const struct segue_memory_operand *memory = listing->memory;
    uint64_t bits;
    if (!masks_of(memory, listing->xstate, &bits)) {
        give_up(listing, SEGUE_UNLISTED_XSTATE);
        return;
    }
    uint64_t count = count_bits(bits & bits_below(memory->lanes));
    if (count)
        add(listing, effective(listing, untruncated(listing, memory)), count * memory->element);
}

/* EDI, ESI, EBP, the stack pointer's own place, EBX, EDX, ECX, EAX. The processor takes no value from that place;
 * whether it reads it is not said. */
static void list_pop_all(struct listing *listing)
{
    static const struct {
        uint8_t first, count, flags;
    } parts[] = {{0, 3, 0}, {3, 1, SEGUE_ACCESS_OPTIONAL}, {4, 4, 0}};
    const struct segue_memory_operand *memory = listing->memory;
    uint64_t stack = untruncated(listing, memory), element = memory->element;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        add(listing, on_stack(listing, stack + parts[i].first * element), parts[i].count * element)->flags |=
            parts[i].flags;
}

static void add_frame_word(struct listing *listing, uint64_t address, unsigned direction)
{
    add(listing, on_stack(listing, address), listing->memory->element)->direction = (uint8_t)direction;
}

/* Pushes the frame pointer; with a nesting level, copies the enclosing frames' pointers, and pushes the new one. At the
 * end it sees whether it could push where the stack pointer then is. */
static void list_enter(struct listing *listing)
{
    const struct segue_memory_operand *memory = listing->memory;
    uint64_t stack = listing->regs->rsp - memory->element, frame = listing->regs->rbp;
    add_frame_word(listing, stack, SEGUE_WRITE);
    for (unsigned level = 1; level < memory->lanes; level++) {
        frame -= memory->element;
        stack -= memory->element;
        add_frame_word(listing, frame, SEGUE_READ);
        add_frame_word(listing, stack, SEGUE_WRITE);
    }
    if (memory->lanes) {
        stack -= memory->element;
        add_frame_word(listing, stack, SEGUE_WRITE);
    }
    if (memory->displacement == 0)
        return;
    struct segue_access *probe =
        add(listing, on_stack(listing, stack - (uint64_t)memory->displacement), memory->element);
    probe->direction = SEGUE_WRITE;
    probe->flags |= SEGUE_ACCESS_PROBE;
}

/* A part of a state area. */
struct part {
    uint64_t offset, size;
    unsigned direction, flags;
};

static void add_part(struct listing *listing, uint64_t area, struct part part)
{
    if (part.size == 0)
        return;
    struct segue_access *access = add(listing, area + part.offset, part.size);
    access->direction = (uint8_t)part.direction;
    access->flags |= (uint16_t)part.flags;
    access->alignment = part.offset % XSAVE_ALIGNMENT == 0 ? listing->memory->alignment : 0;
}

/* All but the header is either stored or loaded. */
static unsigned area_direction(const struct segue_memory_operand *memory)
{
    return memory->lanes == SEGUE_STATE_XRSTOR ? SEGUE_READ : SEGUE_WRITE;
}

/* x87 state, MXCSR and XMM registers, of which 32-bit mode has eight. */
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

/* Outside 64-bit mode the registers that it alone has are left out. */
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

/* How far an area with these components goes. */
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

/* What each of the XSAVE family does to the header, and whether it may leave components out: XSAVEOPT and XSAVEC leave
 * out those in their initial state, XRSTOR those that the header does not name. */
static void list_state(struct listing *listing)
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
    uint64_t area = effective(listing, untruncated(listing, memory)), enabled = xsave_enabled();
    bool reads = memory->lanes == SEGUE_STATE_XRSTOR;
    uint64_t components = enabled & (listing->regs->rdx << 32 | (uint32_t)listing->regs->rax);
    if (!enabled) {
        give_up(listing, SEGUE_UNLISTED_STATE_LAYOUT);
        return;
    }
    bool compacted = kinds[memory->lanes].compacted;
    unsigned flags = kinds[memory->lanes].flags;
    /* Before anything else it may see whether it can have the whole area. */
    add_part(listing, area,
             (struct part){0, area_size(components, compacted), area_direction(memory),
                           SEGUE_ACCESS_PROBE | SEGUE_ACCESS_OPTIONAL});
    if (reads)
        add_part(listing, area, kinds[memory->lanes].header);
    add_legacy_parts(listing, area, components, flags);
    if (!reads)
        add_part(listing, area, kinds[memory->lanes].header);
    /* The header in memory says which format XRSTOR reads; the compacted one goes no further than the other. */
    if (reads && (components & ~COMPONENTS_LEGACY) && xsave_can_compact())
        add_part(listing, area,
                 (struct part){XSAVE_HEADER_END, area_size(components, false) - XSAVE_HEADER_END, SEGUE_READ, flags});
    else
        add_extended_parts(listing, area, components, compacted, flags);
}

static void (*const listers[])(struct listing *listing) = {
    [SEGUE_ADDRESSING_PLAIN] = list_plain,     [SEGUE_ADDRESSING_STACK] = list_stack,
    [SEGUE_ADDRESSING_STRING] = list_string,   [SEGUE_ADDRESSING_TABLE] = list_table,
    [SEGUE_ADDRESSING_CACHE_LINE] = list_line, [SEGUE_ADDRESSING_BIT_OFFSET] = list_bit_offset,
    [SEGUE_ADDRESSING_VECTOR] = list_vector,   [SEGUE_ADDRESSING_COMPRESSED] = list_compressed,
    [SEGUE_ADDRESSING_POP_ALL] = list_pop_all, [SEGUE_ADDRESSING_INTERRUPT_RETURN] = list_interrupt_return,
    [SEGUE_ADDRESSING_ENTER] = list_enter,     [SEGUE_ADDRESSING_STATE] = list_state,
};

/* `unwanted` needs no initial value. */
static void begin(struct listing *listing, const struct segue_insn *insn, const struct segue_regs *regs,
                  const struct segue_xstate *xstate)
{
    listing->insn = insn;
    listing->regs = regs;
    listing->xstate = xstate;
    listing->accesses = NULL;
    listing->capacity = listing->count = 0;
    listing->before_end = false;
    listing->why = (enum segue_unlisted)insn->unlisted;
}

static void list(struct listing *listing)
{
    for (size_t i = 0; i < listing->insn->memory_count; i++) {
        listing->memory = &listing->insn->memory[i];
        /* Most are, and a call through a table is dear where it is not foreseen. */
        if (listing->memory->addressing == SEGUE_ADDRESSING_PLAIN)
            list_plain(listing);
        else
            listers[listing->memory->addressing](listing);
    }
}

static enum segue_status list_into(struct listing *listing, struct segue_access *accesses, size_t capacity,
                                   size_t *count)
{
    listing->accesses = accesses;
    listing->capacity = capacity;
    list(listing);
    *count = listing->why ? 0 : listing->count;
    if (listing->why)
        return SEGUE_UNSUPPORTED;
    return listing->count > capacity ? SEGUE_TOO_SMALL : SEGUE_OK;
}

enum segue_status segue_accesses(const struct segue_insn *insn, const struct segue_regs *regs,
                                 const struct segue_xstate *xstate, struct segue_access *accesses, size_t capacity,
                                 size_t *count)
{
    if (!insn || !regs || !count || (!accesses && capacity))
        return SEGUE_INVALID;
    struct listing listing;
    begin(&listing, insn, regs, xstate);
    return list_into(&listing, accesses, capacity, count);
}

enum segue_status accesses_before_end(const struct segue_insn *insn, const struct segue_regs *regs,
                                      const struct segue_xstate *xstate, struct segue_access *accesses, size_t capacity,
                                      size_t *count)
{
    struct listing listing;
    begin(&listing, insn, regs, xstate);
    listing.before_end = true;
    return list_into(&listing, accesses, capacity, count);
}

uint64_t accesses_operand(const struct segue_insn *insn, const struct segue_regs *regs, unsigned number)
{
    const struct segue_memory_operand *memory = &insn->memory[number];
    struct listing listing = {.insn = insn, .regs = regs, .memory = memory};
    uint64_t address = untruncated(&listing, memory);
    /* Each lane of a vector of indices is truncated for itself. */
    if (memory->addressing != SEGUE_ADDRESSING_VECTOR)
        address = effective(&listing, address);
    return address + segment_base(regs, memory->segment);
}

enum segue_unlisted segue_accesses_unlisted(const struct segue_insn *insn, const struct segue_regs *regs,
                                            const struct segue_xstate *xstate)
{
    struct listing listing;
    if (!insn || !regs)
        return SEGUE_UNLISTED_NONE;
    begin(&listing, insn, regs, xstate);
    list(&listing);
    return listing.why;
}
