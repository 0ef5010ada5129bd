/* lanes.c: gathers and scatters whose lanes lie in several windows, or use 32-bit addresses. The instruction runs
 * several times. Each run has a mask with only those lanes that one base register value reaches. The processor does the
 * same when it is interrupted: it completes lanes from the lowest on, and the mask keeps the remaining ones.
 *
 * SOURCES: Intel SDM volume 2, VPGATHERDD, VPSCATTERDD: order of lanes and of faults, and what a fault leaves. */
#include "lanes.h"

#include <string.h>

#include "decode/accesses/masks.h"
#include "decode/encoding.h"
#include "decode/orders.h"
#include "decode/x86/vendors.h"
#include "emulate/details.h"
#include "emulate/replay/run.h"

/* The position of the vector length in the last byte of the EVEX prefix. */
#define EVEX_LENGTH 5

__attribute__((hot)) bool lanes_are_apart(const struct segue_plan *plan)
{
    const struct segue_insn *insn = &plan->insn;
    return insn->memory[0].addressing == SEGUE_ADDRESSING_VECTOR &&
           (insn->address_size != 8 || !replay_place_of(plan, 0).is_native);
}

static bool is_opmask(const struct segue_memory_operand *memory)
{
    return memory->masking == SEGUE_MASKING_OPMASK;
}

/* A gather's destination: ModRM.reg, and the inverted bits that extend it in VEX and EVEX. */
static unsigned destination_of(const struct segue_insn *insn)
{
    const uint8_t *bytes = orders_of(insn)->relocation.bytes;
    unsigned inverted = ~(unsigned)bytes[1],
             number = (orders_of(insn)->relocation.modrm >> 3 & 7u) | (inverted >> 7 & 1u) << 3;
    return bytes[0] == EVEX ? number | (inverted >> 4 & 1u) << 4 : number;
}

/* Saves the mask and the indices. */
static bool take_vectors(struct replay *replay)
{
    const struct segue_memory_operand *memory = &replay->plan->insn.memory[0];
    struct replay_lanes *lanes = &replay->lanes;
    unsigned size = memory->lanes * (unsigned)memory->index_size;
    masks_whole(replay->xstate, destination_of(&replay->plan->insn), lanes->destination);
    lanes->mask_size = memory->lanes * (unsigned)memory->element > 16 ? 32 : 16;
    size = size > 32 ? 64 : size > 16 ? 32 : 16;
    if (!is_opmask(memory))
        masks_whole(replay->xstate, memory->mask, lanes->mask);
    return masks_vector(replay->xstate, memory->index, size, lanes->indices) &&
           (!is_opmask(memory) || masks_opmask(replay->xstate, memory->mask, &lanes->opmask));
}

/* Sets the mask to the lanes in `bits`, a subset of `all`. Mask elements of lanes outside `all` keep their value. */
static void set_mask(struct replay *replay, uint64_t bits, uint64_t all)
{
    const struct segue_memory_operand *memory = &replay->plan->insn.memory[0];
    struct replay_lanes *lanes = &replay->lanes;
    if (is_opmask(memory)) {
        uint64_t above = memory->lanes < 64 ? ~UINT64_C(0) << memory->lanes : 0;
        masks_set_opmask(replay->xstate, memory->mask, bits | (lanes->opmask & above));
        return;
    }
    uint8_t mask[VECTOR_SIZE];
    memcpy(mask, lanes->mask, sizeof lanes->mask);
    for (unsigned i = 0; i < memory->lanes; i++)
        if ((all & ~bits) >> i & 1)
            memset(mask + i * memory->element, 0, memory->element);
    masks_set_vector(replay->xstate, memory->mask, lanes->mask_size, mask);
}

/* The lane's index times the scale. */
static uint64_t product_of(const struct replay *replay, unsigned lane)
{
    const struct segue_memory_operand *memory = &replay->plan->insn.memory[0];
    int64_t index = 0;
    memcpy(&index, replay->lanes.indices + lane * memory->index_size, memory->index_size);
    if (memory->index_size == 4)
        index = (int32_t)index;
    return (uint64_t)index * memory->scale;
}

/* The base register value with which the access runs natively; false if it cannot. */
static bool native_base(const struct replay *replay, uint32_t number, uint64_t *base)
{
    const struct segue_plan *plan = replay->plan;
    const struct segue_access *access = &plan->accesses[number];
    for (uint32_t i = 0; i < details_of(plan)->piece_count; i++) {
        const struct plan_piece *piece = &details_of(plan)->pieces[i];
        if (piece->access != number)
            continue;
        *base = (uint64_t)(uintptr_t)piece->host - product_of(replay, access->lane);
        return piece_is_native(piece) && piece->size == access->size;
    }
    return false;
}

static uint64_t all_lanes(const struct segue_plan *plan)
{
    uint64_t bits = 0;
    for (uint32_t i = 0; i < plan->access_count; i++)
        bits |= UINT64_C(1) << plan->accesses[i].lane;
    return bits;
}

/* Runs the instruction with that base, for those lanes only. */
static enum segue_status run_lanes(struct replay *replay, uint64_t bits, uint64_t base, struct segue_regs *regs,
                                   struct segue_fault *fault)
{
    set_mask(replay, bits, all_lanes(replay->plan));
    replay_begin(replay);
    replay->context.general[orders_of(&replay->plan->insn)->relocation.base] = base;
    replay->loaded[0] = base;
    return replay_execute(replay, regs, fault);
}

static enum segue_status run_on_copy(struct replay *replay, uint32_t number, struct segue_regs *regs,
                                     struct segue_fault *fault)
{
    const struct segue_access *access = &replay->plan->accesses[number];
    uint8_t *copy = replay->buffers[0] + access->address % REPLAY_COPY_ALIGNMENT;
    const struct copies copies = {.of = {{access->address}, {access->size}}, .bytes = {copy}, .only = number + 1};
    /* This also probes the memory that the instruction writes. */
    enum segue_status status = pieces_read(replay->plan, &copies, fault);
    if (status != SEGUE_OK)
        return status;
    uint64_t base = (uint64_t)(uintptr_t)copy - product_of(replay, access->lane);
    status = run_lanes(replay, UINT64_C(1) << access->lane, base, regs, fault);
    return status == SEGUE_OK ? pieces_write(replay->plan, &copies, fault) : status;
}

/* The lanes from this access on that the same base reaches; `*next` is the first access that it does not reach. */
static uint64_t lanes_together(const struct replay *replay, uint32_t first, uint64_t base, uint32_t *next)
{
    uint64_t bits = 0, other = base;
    for (*next = first; *next < replay->plan->access_count && other == base; (*next)++) {
        bits |= UINT64_C(1) << replay->plan->accesses[*next].lane;
        if (*next + 1 == replay->plan->access_count || !native_base(replay, *next + 1, &other))
            other = ~base;
    }
    return bits;
}

/* The processor has stopped between lanes. Its mask stands for the lanes of the run; `others`, which the run left out,
 * get their mask elements back. Returns the remaining lanes. */
static uint64_t put_others_back(struct replay *replay, uint64_t others)
{
    const struct segue_memory_operand *memory = &replay->plan->insn.memory[0];
    struct replay_lanes *lanes = &replay->lanes;
    uint8_t mask[VECTOR_SIZE];
    uint64_t left = others;
    if (is_opmask(memory)) {
        uint64_t now = 0;
        masks_opmask(replay->xstate, memory->mask, &now);
        masks_set_opmask(replay->xstate, memory->mask, now | others);
    } else if (masks_vector(replay->xstate, memory->mask, lanes->mask_size, mask)) {
        for (unsigned i = 0; i < memory->lanes; i++)
            if (others >> i & 1)
                memcpy(mask + i * memory->element, lanes->mask + i * memory->element, memory->element);
        masks_set_vector(replay->xstate, memory->mask, lanes->mask_size, mask);
    }
    masks_of(memory, replay->xstate, &left);
    return left & all_lanes(replay->plan);
}

/* A gather that completes clears the upper part of its destination, and of a vector mask; one that stops does not. Each
 * of the library's runs completes, so their upper parts are restored. */
static void put_upper_parts_back(struct replay *replay)
{
    const struct segue_memory_operand *memory = &replay->plan->insn.memory[0];
    const struct replay_lanes *lanes = &replay->lanes;
    if (memory->direction == SEGUE_READ)
        masks_set_from(replay->xstate, destination_of(&replay->plan->insn), memory->lanes * (unsigned)memory->element,
                       lanes->destination);
    if (!is_opmask(memory))
        masks_set_from(replay->xstate, memory->mask, lanes->mask_size, lanes->mask);
}

/* The processor stops with lanes completed in earlier runs. */
static void clear_above_stopped(struct replay *replay)
{
    static const uint8_t zeroes[VECTOR_SIZE];
    const struct segue_memory_operand *memory = &replay->plan->insn.memory[0];
    const uint8_t *bytes = orders_of(&replay->plan->insn)->relocation.bytes;
    if (memory->direction == SEGUE_READ && bytes[0] == EVEX && vendors_clear_above_stopped_gather())
        masks_set_from(replay->xstate, destination_of(&replay->plan->insn), 16u << (bytes[3] >> EVEX_LENGTH & 3),
                       zeroes);
}

enum segue_status lanes_step(struct replay *replay, struct segue_regs *regs, struct segue_fault *fault)
{
    const struct segue_plan *plan = replay->plan;
    uint64_t all = all_lanes(plan), left = all, base;
    enum segue_status status = SEGUE_OK;
    bool natively = false;
    if (!take_vectors(replay))
        return SEGUE_INVALID;
    replay->places[0] = (struct replay_place){.is_native = true};
    for (uint32_t i = 0, next; i < plan->access_count && status == SEGUE_OK; i = next) {
        uint64_t bits = UINT64_C(1) << plan->accesses[i].lane;
        natively = native_base(replay, i, &base);
        put_upper_parts_back(replay);
        if (natively) {
            bits = lanes_together(replay, i, base, &next);
            status = run_lanes(replay, bits, base, regs, fault);
        } else {
            next = i + 1;
            status = run_on_copy(replay, i, regs, fault);
        }
        if (status == SEGUE_OK)
            left &= ~bits;
        else if (status == SEGUE_FAULT && natively)
            left = put_others_back(replay, left & ~bits);
        else
            set_mask(replay, left, all);
    }
    if (status != SEGUE_OK) {
        if (!natively)
            put_upper_parts_back(replay);
        if (left != all)
            clear_above_stopped(replay);
        /* The thread meets the obstacle when it executes the instruction again for the remaining lanes. */
        return left != all && !natively ? SEGUE_OK : status;
    }
    replay_end(replay, regs);
    regs->rip += plan->insn.length;
    return SEGUE_OK;
}
