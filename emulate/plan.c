/* plan.c: determines what a step would do, before anything is done. Pure. */
#include "plan.h"

#include <string.h>

#include "decode/accesses/accesses.h"
#include "decode/orders.h"
#include "decode/x86/flags.h"
#include "details.h"
#include "emulate/accesses/addresses.h"
#include "emulate/accesses/pieces.h"
#include "emulate/elements/repeat.h"
#include "emulate/engines/engines.h"
#include "emulate/engines/stack.h"
#include "emulate/replay/refusal.h"
#include "platform/lacks.h"
#include "platform/memory/forced.h"
#include "platform/reason.h"

#define PLAN_ALIGNMENT 64

__attribute__((hot)) void plan_begin(struct segue_plan *plan, size_t size)
{
    struct plan_details *details = details_of(plan);
    size_t room = size - PLAN_BYTES(0, 0);
    size_t accesses =
        (room - PLAN_CUTS * sizeof(struct plan_piece)) / (sizeof(struct segue_access) + sizeof(struct plan_piece));
    if (accesses > SEGUE_ACCESSES_MOST)
        accesses = SEGUE_ACCESSES_MOST;
    size_t pieces = (room - accesses * sizeof(struct segue_access)) / sizeof(struct plan_piece);
    plan->engine = SEGUE_ENGINE_NONE;
    plan->flags = 0;
    plan->access_count = 0;
    plan->accesses = details->accesses;
    plan->refusal = NULL;
    details->elements = 0;
    details->piece_count = 0;
    details->most_accesses = (uint16_t)accesses;
    details->most_pieces = (uint16_t)(pieces < PLAN_PIECES ? pieces : PLAN_PIECES);
    details->pieces = (struct plan_piece *)(void *)&details->accesses[accesses];
}

void plan_copy(struct segue_plan *to, const struct segue_plan *from)
{
    plan_begin(to, PLAN_BYTES_MOST);
    to->insn = from->insn;
    to->engine = from->engine;
    to->flags = from->flags;
    to->access_count = from->access_count;
    to->refusal = from->refusal;
    details_of(to)->operand = details_of(from)->operand;
    details_of(to)->elements = details_of(from)->elements;
    details_of(to)->piece_count = details_of(from)->piece_count;
    memcpy(details_of(to)->accesses, from->accesses, from->access_count * sizeof *from->accesses);
    memcpy(details_of(to)->pieces, details_of(from)->pieces, details_of(from)->piece_count * sizeof(struct plan_piece));
}

__attribute__((hot)) bool plan_is_in_place(const struct segue_plan *plan)
{
    return plan->accesses == details_of(plan)->accesses;
}

static enum segue_status refuse(struct segue_plan *plan, enum segue_status status, const char *why)
{
    plan->refusal = why;
    return status;
}

/* A refused plan keeps its accesses, as far as they are known. */
static enum segue_status list_accesses(struct segue_plan *plan, const struct segue_regs *regs,
                                       const struct segue_xstate *xstate)
{
    size_t count = 0;
    struct segue_access *accesses = details_of(plan)->accesses;
    const size_t most = details_of(plan)->most_accesses;
    enum segue_status status = segue_accesses(&plan->insn, regs, xstate, accesses, most, &count);
    if (status == SEGUE_UNSUPPORTED && (plan->insn.flags & SEGUE_INSN_REPEATED))
        status = accesses_before_end(&plan->insn, regs, xstate, accesses, most, &count);
    plan->access_count = (uint32_t)(count < most ? count : most);
    return status;
}

/* The fault address may lie anywhere in an access, not only at its start: an access that straddles two pages reports
 * the second one. */
static bool covers_fault(const struct segue_plan *plan, const struct segue_fault *fault)
{
    if (!fault->address_known)
        return true;
    for (size_t i = 0; i < plan->access_count; i++) {
        const struct segue_access *access = &plan->accesses[i];
        if (fault->address - access->address < access->size &&
            (!fault->direction || (access->direction & fault->direction)))
            return true;
    }
    return false;
}

/* The windows that segue_plan is given. */
struct listed {
    struct reach reach;
    const struct segue_window *windows;
    size_t count;
};

__attribute__((hot)) static void span_in_list(struct reach *reach, uint64_t address, uint64_t low, uint64_t high,
                                              struct span *span)
{
    const struct listed *listed = (const struct listed *)reach;
    *span = (struct span){NULL, low, high};
    for (size_t i = 0; i < listed->count && !span->window; i++) {
        const struct segue_window *window = &listed->windows[i];
        uint64_t last = window->base + window->size - 1;
        if (address - window->base < window->size)
            *span = (struct span){window, window->base > low ? window->base : low, last < high ? last : high};
        else if (window->size && window->base > address && window->base <= span->last)
            span->last = window->base - 1;
        else if (window->size && last < address && last >= span->first)
            span->first = last + 1;
    }
}

/* Whether `piece` continues the last fragment of the same access, in memory that is contiguous where it is reached. */
static bool continues(const struct plan_piece *last, const struct plan_piece *piece)
{
    if (last->access != piece->access)
        return false;
    if (piece_is_native(last) && piece_is_native(piece))
        return (uintptr_t)last->host + last->size == (uintptr_t)piece->host;
    return last->window && piece->window && last->window->kind == SEGUE_WINDOW_FORCED &&
           piece->window->kind == SEGUE_WINDOW_FORCED;
}

/* Cuts one access at the windows' edges. */
static bool cut_access(struct segue_plan *plan, uint32_t number, struct reach *reach)
{
    const struct segue_access *access = &plan->accesses[number];
    struct plan_details *details = details_of(plan);
    uint64_t last_byte = access->address + access->size - 1;
    for (uint64_t at = access->address;;) {
        struct span span;
        reach->span_at(reach, at, at, last_byte, &span);
        struct plan_piece piece = {
            .address = at,
            .host = reach_host(span.window, at),
            .window = span.window,
            .size = (uint32_t)(span.last - at + 1),
            .access = number,
        };
        uint32_t count = details->piece_count;
        if (count > 0 && continues(&details->pieces[count - 1], &piece))
            details->pieces[count - 1].size += piece.size;
        else if (count < details->most_pieces)
            details->pieces[details->piece_count++] = piece;
        else
            return false;
        if (span.last == last_byte)
            return true;
        at = span.last + 1;
    }
}

/* The refusal if this window cannot serve such an access, or NULL. */
static const char *window_refusal(const struct segue_window *window, uint8_t direction)
{
    switch (window->kind) {
    case SEGUE_WINDOW_ALIAS:
        return window->alias ? NULL : "the alias window has no alias";
    case SEGUE_WINDOW_CALLBACK:
        if ((direction & SEGUE_READ) && !window->read)
            return "the callback window has no read function";
        return (direction & SEGUE_WRITE) && !window->write ? "the callback window has no write function" : NULL;
    case SEGUE_WINDOW_FORCED:
        return forced_ready() ? NULL : "the kernel's way past the protection is not ready (segue_forced_prepare)";
    case SEGUE_WINDOW_EXPOSED:
        return NULL;
    }
    return "the window's kind is unknown";
}

/* Whether the instruction can stop between its accesses and be executed again for the remaining ones. */
static bool can_stop_between(const struct segue_plan *plan)
{
    return details_of(plan)->elements || plan->insn.memory[0].addressing == SEGUE_ADDRESSING_VECTOR;
}

/* The refusal if the windows cannot serve this access, or NULL. */
static const char *windows_refusal(struct segue_plan *plan)
{
    size_t devices = 0;
    for (size_t i = 0; i < details_of(plan)->piece_count; i++) {
        const struct plan_piece *piece = &details_of(plan)->pieces[i];
        uint8_t direction = plan->accesses[piece->access].direction;
        bool is_cut = !details_of(plan)->elements && piece->size != plan->accesses[piece->access].size;
        if (!piece_is_native(piece) || is_cut)
            plan->flags |= SEGUE_PLAN_NOT_ATOMIC;
        if (can_stop_between(plan) && i > 0 && piece->access != details_of(plan)->pieces[i - 1].access)
            devices = 0;
        if (!piece->window)
            continue;
        /* A device cannot be probed. */
        devices += piece_is_device(piece) && !(plan->accesses[piece->access].flags & SEGUE_ACCESS_PROBE);
        const char *why = window_refusal(piece->window, direction);
        if (why)
            return why;
        /* If the second device refused, the first would already have been accessed. */
        if (devices > 1 && !details_of(plan)->elements)
            return "it accesses callback windows more than once";
    }
    return NULL;
}

static bool is_move(const struct segue_insn *insn)
{
    if (orders_of(insn)->move.kind == INSN_MOVE_NONE)
        return false;
    unsigned size = insn->memory[0].size;
    return size == 1 || size == 2 || size == 4 || size == 8;
}

__attribute__((hot)) static enum segue_engine engine_of(const struct segue_insn *insn)
{
    if (is_move(insn))
        return SEGUE_ENGINE_MOVE;
    return stack_does(insn) ? SEGUE_ENGINE_STACK : engines_of((enum segue_class)insn->class_);
}

/* On the processor the #AC of a misaligned second access cannot be distinguished in time from a missing page. */
static bool checks_alignment_late(const struct segue_plan *plan, const struct segue_regs *regs)
{
    bool misaligned = false;
    for (uint32_t i = 0; i < plan->access_count; i++)
        misaligned |= plan->accesses[i].address % plan->accesses[i].element != 0;
    /* The access that ENTER probes at its end is a word. */
    misaligned |= orders_of(&plan->insn)->transfer.kind == INSN_TRANSFER_ENTER;
    /* The processor makes more than one access for a far pointer, and for several words as one block. */
    bool several = plan->access_count > 1 || plan->accesses[0].size > 8 || plan->accesses[0].size == 6;
    return several && misaligned && (regs->rflags & FLAG_ALIGNMENT);
}

/* A code segment is never writable. An instruction that only writes there raises #GP before it reaches a page; POP may
 * fault at the stack first. */
static bool writes_code_segment(const struct segue_plan *plan)
{
    for (uint32_t i = 0; i < plan->access_count; i++)
        if (plan->accesses[i].segment == SEGUE_SEGMENT_CS && (plan->accesses[i].direction & SEGUE_WRITE))
            return true;
    return false;
}

static const char *engine_refusal(struct segue_plan *plan, const struct segue_regs *regs,
                                  const struct segue_xstate *xstate)
{
    enum segue_engine engine = engine_of(&plan->insn);
    if (engine == SEGUE_ENGINE_MOVE)
        return NULL;
    if (addresses_are_beyond_stack(plan))
        return "a part of its stack operand is at a non-canonical address";
    if (addresses_are_beyond_segment(plan, regs))
        return "its effective address is non-canonical before the segment base is added";
    if (PLATFORM_FS_LIMIT != UINT64_MAX && addresses_are_beyond_limit(plan, regs))
        return "its address is beyond the end of the segment";
    switch (engine) {
    case SEGUE_ENGINE_STACK:
        if (checks_alignment_late(plan, regs))
            return "alignment checking (EFLAGS.AC) is on, and #AC cannot "
                   "be distinguished from #PF before memory is accessed";
        if (addresses_end_beyond(plan))
            return "its operand extends into non-canonical addresses";
        return stack_refusal(plan, regs);
    default:
        return replay_refusal(plan, regs, xstate);
    }
}

/* Whether a larger plan would help. */
static enum segue_status too_small(const struct segue_plan *plan)
{
    return details_of(plan)->most_pieces < PLAN_PIECES ? SEGUE_TOO_SMALL : SEGUE_UNSUPPORTED;
}

__attribute__((hot)) enum segue_status plan_accesses(struct segue_plan *plan, size_t size,
                                                     const struct segue_regs *regs, const struct segue_xstate *xstate,
                                                     const struct segue_fault *fault)
{
    plan_begin(plan, size);
    enum segue_status status = list_accesses(plan, regs, xstate);
    if (status == SEGUE_TOO_SMALL)
        return refuse(plan, too_small(plan), "it makes more accesses than a plan holds");
    if (status != SEGUE_OK)
        return refuse(plan, SEGUE_UNSUPPORTED, segue_unlisted_text(segue_accesses_unlisted(&plan->insn, regs, xstate)));
    if (fault && fault->direction == SEGUE_FETCH)
        return refuse(plan, SEGUE_UNSUPPORTED, "the fault is the fetch of the instruction itself");
    if (fault && !covers_fault(plan, fault))
        return refuse(plan, SEGUE_MISMATCH, "none of its accesses covers the address that faulted");
    if (plan->access_count == 0)
        return refuse(plan, SEGUE_UNSUPPORTED, "it accesses no memory");
    if (plan->insn.mode == SEGUE_MODE_32 && writes_code_segment(plan))
        return refuse(plan, SEGUE_UNSUPPORTED, "it writes through CS, and a code segment is not writable");
    const char *why = engine_refusal(plan, regs, xstate);
    return why ? refuse(plan, SEGUE_UNSUPPORTED, why) : SEGUE_OK;
}

static const char too_many_fragments[] = "windows cut the access into too many fragments";

/* Cuts all accesses, or the part of a repeated string that one step carries out. Returns the refusal, or NULL. */
static const char *cut_accesses(struct segue_plan *plan, struct reach *reach)
{
    if (plan->accesses[0].flags & SEGUE_ACCESS_REPEATED)
        return repeat_cut(plan, reach);
    for (uint32_t i = 0; i < plan->access_count; i++) {
        if (plan->accesses[i].address + plan->accesses[i].size < plan->accesses[i].address)
            return "the access wraps around the end of the address space";
        if (!cut_access(plan, i, reach))
            return too_many_fragments;
    }
    return NULL;
}

__attribute__((hot)) enum segue_status plan_reach(struct segue_plan *plan, struct reach *reach)
{
    enum segue_engine engine = engine_of(&plan->insn);
    const char *why = cut_accesses(plan, reach);
    if (!why)
        why = windows_refusal(plan);
    if (!why && engine == SEGUE_ENGINE_REPLAY)
        why = replay_window_refusal(plan);
    if (why)
        return refuse(plan, why == too_many_fragments ? too_small(plan) : SEGUE_UNSUPPORTED, why);
    plan->engine = engine;
    return SEGUE_OK;
}

/* In `size` bytes. */
static enum segue_status plan_with(struct segue_plan *plan, size_t size, const struct segue_insn *insn,
                                   const struct segue_regs *regs, const struct segue_xstate *xstate,
                                   const struct segue_fault *fault, struct listed *listed)
{
    plan->insn = *insn;
    enum segue_status status = plan_accesses(plan, size, regs, xstate, fault);
    return status == SEGUE_OK ? plan_reach(plan, &listed->reach) : status;
}

enum segue_status segue_plan(const struct segue_insn *insn, const struct segue_regs *regs,
                             const struct segue_xstate *xstate, const struct segue_fault *fault,
                             const struct segue_window *windows, size_t window_count, struct segue_plan *plan)
{
    struct listed listed = {{span_in_list}, windows, window_count};
    if (!insn || !regs || !plan || (!windows && window_count))
        return SEGUE_INVALID;
    return plan_with(plan, sizeof *plan, insn, regs, xstate, fault, &listed);
}

enum segue_status segue_plan_in(void *memory, size_t size, const struct segue_insn *insn, const struct segue_regs *regs,
                                const struct segue_xstate *xstate, const struct segue_fault *fault,
                                const struct segue_window *windows, size_t window_count, const struct segue_plan **plan)
{
    struct listed listed = {{span_in_list}, windows, window_count};
    if (!plan)
        return SEGUE_INVALID;
    *plan = NULL;
    if (!insn || !regs || !memory || (!windows && window_count))
        return SEGUE_INVALID;
    if (size < SEGUE_PLAN_SIZE || (uintptr_t)memory % PLAN_ALIGNMENT)
        return reason_give(SEGUE_INVALID, "memory for a plan is aligned to 64 bytes, and not below SEGUE_PLAN_SIZE");
    *plan = memory;
    return plan_with(memory, size, insn, regs, xstate, fault, &listed);
}
