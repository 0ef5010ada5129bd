/* update.c: stores the registers of a thread that a collector has changed.
 *
 * A context names the places that the thread's registers are loaded from: the kernel's frame, and a copy that a program
 * sees (struct segue_frame, struct segue_event). A thread that is inside the library's handler has further copies, of
 * which no place is named: it cannot be updated. */
#include <segue/mutator.h>
#include <string.h>

#include "decode/x86/page.h"
#include "decode/x86/xsave.h"
#include "emulate/windows/guard.h"
#include "platform/abi.h"
#include "platform/frame/frame.h"
#include "platform/reason.h"
#include "suspend.h"

#define GENERAL 16

_Static_assert(offsetof(struct segue_regs, rip) == GENERAL * sizeof(uint64_t), "the general registers come first");

struct update {
    segue_update_words *words;
    void *closure;
};

static bool is_writable(const struct segue_mutator *context)
{
    return context->private_.native || context->private_.stored;
}

static void store_registers(const struct segue_mutator *context)
{
    if (context->private_.native)
        frame_set_registers((void *)(uintptr_t)context->private_.native, &context->regs);
    if (context->private_.stored) {
        struct segue_regs *stored = (struct segue_regs *)(uintptr_t)context->private_.stored;
        memcpy(stored, &context->regs, offsetof(struct segue_regs, rip));
        stored->rip = context->regs.rip;
        stored->rflags = context->regs.rflags;
    }
}

/* Where the frame is a copy, the thread gets what it holds. */
static bool store_state(const struct segue_mutator *context)
{
    void *native = (void *)(uintptr_t)context->private_.native;
    if (!native)
        return true;
    frame_scatter(native);
    if (suspend_store(native))
        return true;
    reason_give(SEGUE_SYSTEM, "the system has not stored the thread's registers");
    return false;
}

static int update_range(const struct update *update, void *base, size_t size)
{
    return size ? update->words(update->closure, base, (uint64_t *)base + size / sizeof(uint64_t)) : 0;
}

/* The components of the extended state that are registers in which a program keeps data. */
static uint64_t components_of(const struct segue_xstate *xstate)
{
    const uint64_t registers = COMPONENTS_LEGACY_AVX | COMPONENTS_AVX512 | COMPONENT_TILE_DATA | COMPONENT_APX;
    const char *area = xstate->area;
    if (xstate->size <= XSAVE_LEGACY_SIZE)
        return xstate->features & registers;
    return *(const uint64_t *)(const void *)(area + XSAVE_XSTATE_BV) & xstate->features & registers;
}

static int update_xstate(const struct update *update, const struct segue_xstate *xstate)
{
    char *area = xstate->area;
    if (!area)
        return 0;
    uint64_t components = components_of(xstate);
    int result = 0;
    if (components & COMPONENT_X87)
        result = update_range(update, area + XSAVE_ST, XSAVE_ST_END - XSAVE_ST);
    if (!result && components & COMPONENT_SSE)
        result = update_range(update, area + XSAVE_XMM, XSAVE_XMM_END - XSAVE_XMM);
    for (unsigned i = STATE_FIRST_EXTENDED; i < STATE_LIMIT && !result; i++) {
        struct xsave_component place;
        if ((components >> i & 1) && xsave_find(i, &place) && place.offset + place.size <= xstate->size)
            result = update_range(update, area + place.offset, place.size / 8 * 8);
    }
    return result;
}

/* Works on a copy, and writes back the words that changed: the stack may end inside the red zone. */
static int update_red_zone(const struct update *update, const struct segue_mutator *context)
{
    uint64_t before[RED_ZONE / 8 + 2], after[RED_ZONE / 8 + 2];
    uint64_t at = (context->regs.rsp - context->red_zone) & ~(uint64_t)7, end = (context->regs.rsp + 7) & ~(uint64_t)7;
    int result = 0;
    while (context->red_zone && at < end && !result) {
        uint64_t page_end = (at / PAGE + 1) * PAGE, stop = page_end < end ? page_end : end;
        size_t count = segue_peek(before, at, (size_t)(stop - at)) / 8;
        memcpy(after, before, count * sizeof *after);
        result = update_range(update, after, count * sizeof *after);
        for (size_t i = 0; i < count; i++)
            if (after[i] != before[i])
                guard_copy((void *)(uintptr_t)(at + i * sizeof *after), &after[i], sizeof *after);
        at = stop;
    }
    return result;
}

int segue_mutator_update(struct segue_mutator *context, segue_update_words *words, void *closure)
{
    const struct update update = {words, closure};
    /* The red zone is that of the stack pointer before the update. */
    const struct segue_mutator before = *context;
    if (!is_writable(context)) {
        reason_give(SEGUE_UNSUPPORTED, "the thread's registers are no longer loaded from where the context has them");
        return -1;
    }
    int result = update_range(&update, &context->regs, GENERAL * sizeof(uint64_t));
    store_registers(context);
    if (!result)
        result = update_xstate(&update, &context->xstate);
    if (!store_state(context))
        return -1;
    return result ? result : update_red_zone(&update, &before);
}

enum segue_status segue_mutator_write(struct segue_mutator *context)
{
    if (!context)
        return SEGUE_INVALID;
    if (!is_writable(context))
        return reason_give(SEGUE_UNSUPPORTED,
                           "the thread's registers are no longer loaded from where the context has them");
    store_registers(context);
    return store_state(context) ? SEGUE_OK : SEGUE_SYSTEM;
}
