/* accesses.c: lists the accesses that an instruction makes, given its registers.
 *
 * Each kind of addressing has a function that turns one memory operand into accesses: here, in strings.c, vectors.c and
 * state.c.
 *
 * SOURCES: Intel SDM volume 1, 3.7.5 (effective addresses), 6.2.3 and 6.5 (stack, ENTER); volume 2, BT (bit offsets),
 * ENTER; volume 3, 3.4.4 (segments in 64-bit mode): an effective address is truncated to the address size first; then
 * the base of FS or GS is added in full. */
#include "accesses.h"

#include "decode/x86/flags.h"
#include "listing.h"

static void list_plain(struct listing *listing)
{
    const struct segue_memory_operand *memory = listing->memory;
    if (memory->masking)
        listing_masked(listing);
    else
        listing_add(listing, listing_effective(listing, listing_untruncated(listing, memory)), memory->size);
}

static void list_stack(struct listing *listing)
{
    const struct segue_memory_operand *memory = listing->memory;
    listing_add(listing, listing_on_stack(listing, listing_untruncated(listing, memory)), memory->size);
}

/* IRET reads RIP, CS, RFLAGS and, if it pops them, RSP and SS. Some processors read them as one block; others read one
 * word after the other, and of a selector only its two bytes. */
static void list_interrupt_return(struct listing *listing)
{
    static const struct {
        uint8_t number;
        bool is_selector;
    } words[] = {{2, false}, {1, true}, {0, false}, {4, true}, {3, false}};
    const struct segue_memory_operand *memory = listing->memory;
    if (listing->regs->rflags & FLAG_NESTED_TASK) {
        listing_give_up(listing, SEGUE_UNLISTED_NESTED_TASK);
    } else if (memory->lanes == 1) {
        list_stack(listing);
    } else {
        for (unsigned i = 0; i < memory->lanes; i++) {
            uint64_t address = listing_untruncated(listing, memory) + words[i].number * (uint64_t)memory->element;
            unsigned size = words[i].is_selector ? 2 : memory->element;
            listing_add(listing, listing_on_stack(listing, address), size)->element = (uint8_t)size;
        }
    }
}

static void list_table(struct listing *listing)
{
    const struct segue_memory_operand *memory = listing->memory;
    uint64_t address = listing_untruncated(listing, memory) + (uint8_t)segue_register_get(listing->regs, memory->index);
    listing_add(listing, listing_effective(listing, address), memory->size);
}

/* The processor rounds the linear address down, not the effective address. */
static void list_line(struct listing *listing)
{
    const struct segue_memory_operand *memory = listing->memory;
    uint64_t base = segment_base(listing->regs, memory->segment);
    uint64_t address = listing_effective(listing, listing_untruncated(listing, memory)) + base;
    listing_add(listing, (address & ~(uint64_t)(memory->size - 1)) - base, memory->size);
}

/* The bit offset is signed and counts from the operand. The processor accesses the one operand-sized word that holds
 * the bit. */
static void list_bit_offset(struct listing *listing)
{
    const struct segue_memory_operand *memory = listing->memory;
    unsigned unused = 64 - 8 * (unsigned)memory->size;
    int64_t offset = (int64_t)(segue_register_get(listing->regs, memory->mask) << unused) >> unused;
    int64_t operands = offset >> (unsigned)__builtin_ctz(8u * memory->size);
    uint64_t address = listing_untruncated(listing, memory) + (uint64_t)operands * memory->size;
    listing_add(listing, listing_effective(listing, address), memory->size);
}

/* EDI, ESI, EBP, the stack slot of ESP, EBX, EDX, ECX, EAX. The processor discards the value of ESP's slot; the manuals
 * do not say whether it reads the slot. */
static void list_pop_all(struct listing *listing)
{
    static const struct {
        uint8_t first, count, flags;
    } parts[] = {{0, 3, 0}, {3, 1, SEGUE_ACCESS_OPTIONAL}, {4, 4, 0}};
    const struct segue_memory_operand *memory = listing->memory;
    uint64_t stack = listing_untruncated(listing, memory), element = memory->element;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        listing_add(listing, listing_on_stack(listing, stack + parts[i].first * element), parts[i].count * element)
            ->flags |= parts[i].flags;
}

static void add_frame_word(struct listing *listing, uint64_t address, unsigned direction)
{
    listing_add(listing, listing_on_stack(listing, address), listing->memory->element)->direction = (uint8_t)direction;
}

/* Pushes the frame pointer. With a nesting level it also copies the enclosing frames' pointers and pushes the new frame
 * pointer. At its end it probes for a write where the stack pointer then is. */
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
        listing_add(listing, listing_on_stack(listing, stack - (uint64_t)memory->displacement), memory->element);
    probe->direction = SEGUE_WRITE;
    probe->flags |= SEGUE_ACCESS_PROBE;
}

static void (*const listers[])(struct listing *listing) = {
    [SEGUE_ADDRESSING_PLAIN] = list_plain,      [SEGUE_ADDRESSING_STACK] = list_stack,
    [SEGUE_ADDRESSING_STRING] = listing_string, [SEGUE_ADDRESSING_TABLE] = list_table,
    [SEGUE_ADDRESSING_CACHE_LINE] = list_line,  [SEGUE_ADDRESSING_BIT_OFFSET] = list_bit_offset,
    [SEGUE_ADDRESSING_VECTOR] = listing_vector, [SEGUE_ADDRESSING_COMPRESSED] = listing_compressed,
    [SEGUE_ADDRESSING_POP_ALL] = list_pop_all,  [SEGUE_ADDRESSING_INTERRUPT_RETURN] = list_interrupt_return,
    [SEGUE_ADDRESSING_ENTER] = list_enter,      [SEGUE_ADDRESSING_STATE] = listing_state,
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
        /* Fast path: most operands are plain, and a mispredicted indirect call is expensive. */
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

__attribute__((hot)) enum segue_status segue_accesses(const struct segue_insn *insn, const struct segue_regs *regs,
                                                      const struct segue_xstate *xstate, struct segue_access *accesses,
                                                      size_t capacity, size_t *count)
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

__attribute__((hot)) uint64_t accesses_operand(const struct segue_insn *insn, const struct segue_regs *regs,
                                               unsigned number)
{
    const struct segue_memory_operand *memory = &insn->memory[number];
    struct listing listing = {.insn = insn, .regs = regs, .memory = memory};
    uint64_t address = listing_untruncated(&listing, memory);
    /* The address of each lane is truncated separately. */
    if (memory->addressing != SEGUE_ADDRESSING_VECTOR)
        address = listing_effective(&listing, address);
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
