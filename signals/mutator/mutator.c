/* mutator.c: a thread's context as a collector reads it. */
#include <segue/handler.h>
#include <segue/mutator.h>
#include <stddef.h>

#include "capture.h"
#include "decode/x86/page.h"
#include "decode/x86/xsave.h"
#include "interrupted.h"
#include "platform/abi.h"
#include "platform/frame/frame.h"
#include "signals/threads/thread.h"

_Static_assert(SEGUE_INVALID == 2, "the assembly returns another number");

bool segue_in_fault(void)
{
    return thread_is_inside();
}

/* ---- contexts ---- */

enum segue_status segue_mutator_from_frame(struct segue_mutator *context, const struct segue_frame *frame)
{
    if (!frame || !context)
        return SEGUE_INVALID;
    interrupted_read(frame->native[1], context);
    if (context->private_.native)
        context->private_.stored = (uint64_t)(uintptr_t)&frame->regs;
    context->kind = frame_is_fault_for_sure(frame->native[1]) ? SEGUE_MUTATOR_FAULT : SEGUE_MUTATOR_THREAD;
    return SEGUE_OK;
}

enum segue_status segue_mutator_from_event(const struct segue_event *event, struct segue_mutator *context)
{
    if (!event || !context)
        return SEGUE_INVALID;
    *context = (struct segue_mutator){.regs = *event->regs,
                                      .xstate = *event->xstate,
                                      .red_zone = RED_ZONE,
                                      .in_fault = true,
                                      .kind = SEGUE_MUTATOR_FAULT,
                                      .private_.stored = (uint64_t)(uintptr_t)event->regs};
    return SEGUE_OK;
}

static size_t rounded(uint64_t size)
{
    return (size + XSAVE_ALIGNMENT - 1) / XSAVE_ALIGNMENT * XSAVE_ALIGNMENT;
}

size_t segue_xstate_size(uint64_t features)
{
    uint64_t enabled = frame_components(), size = xsave_end(enabled);
    if (features && enabled)
        return rounded(xsave_end(features & enabled));
    /* Without XSAVE the state is x87 and SSE, in FXSAVE's area. */
    if (!enabled) {
        enabled = COMPONENTS_LEGACY;
        size = XSAVE_LEGACY_SIZE;
    }
    size = rounded(size);
    __atomic_store_n(&capture_features, enabled, __ATOMIC_RELAXED);
    __atomic_store_n(&capture_area_size, size, __ATOMIC_RELEASE);
    return size;
}

enum segue_status capture_finish(struct segue_mutator *context, void *area)
{
    struct segue_regs regs = context->regs;
    *context = (struct segue_mutator){.regs = regs, .kind = SEGUE_MUTATOR_CALLER};
    frame_get_bases(&context->regs);
    frame_get_selectors(&context->regs);
    if (area)
        context->xstate =
            (struct segue_xstate){.area = area, .size = (uint32_t)capture_area_size, .features = capture_features};
    return SEGUE_OK;
}

static bool is_sound(const struct segue_xstate *xstate)
{
    return !xstate->area || ((uintptr_t)xstate->area % 16 == 0 && xstate->size >= XSAVE_LEGACY_SIZE);
}

enum segue_status segue_mutator_check(const struct segue_mutator *context)
{
    if (!context || context->kind < SEGUE_MUTATOR_FAULT || context->kind > SEGUE_MUTATOR_CALLER ||
        (context->red_zone && context->red_zone != RED_ZONE) || !is_sound(&context->xstate) ||
        !is_sound(&context->private_.xstate) || context->private_.stack > context->private_.stack_end)
        return SEGUE_INVALID;
    /* A caller has no red zone, and none of the library's handlers stands between it and this function. */
    bool is_caller = context->kind == SEGUE_MUTATOR_CALLER;
    return is_caller && (context->red_zone || context->in_fault) ? SEGUE_INVALID : SEGUE_OK;
}

uint64_t segue_mutator_sp(const struct segue_mutator *context)
{
    return context->regs.rsp;
}

/* ---- scanning ---- */

struct scan {
    segue_scan_words *words;
    void *closure;
};

static int scan_range(const struct scan *scan, const void *base, size_t size)
{
    return size ? scan->words(scan->closure, base, (const char *)base + size) : 0;
}

/* The components that are in use; an area without a header holds only the legacy part. */
static uint64_t components_of(const struct segue_xstate *xstate)
{
    const char *area = xstate->area;
    if (xstate->size <= XSAVE_LEGACY_SIZE)
        return xstate->features;
    return *(const uint64_t *)(const void *)(area + XSAVE_XSTATE_BV) & xstate->features;
}

static int scan_xstate(const struct scan *scan, const struct segue_xstate *xstate)
{
    const char *area = xstate->area;
    if (!area)
        return 0;
    uint64_t components = components_of(xstate);
    int result = 0;
    if (components & COMPONENT_X87)
        result = scan_range(scan, area + XSAVE_ST, XSAVE_ST_END - XSAVE_ST);
    if (!result && components & COMPONENT_SSE)
        result = scan_range(scan, area + XSAVE_XMM, XSAVE_XMM_END - XSAVE_XMM);
    for (unsigned i = STATE_FIRST_EXTENDED; i < STATE_LIMIT && !result; i++) {
        struct xsave_component place;
        if ((components >> i & 1) && xsave_find(i, &place) && place.offset + place.size <= xstate->size)
            result = scan_range(scan, area + place.offset, place.size / 8 * 8);
    }
    return result;
}

/* Scans a copy: the stack may end inside the red zone. */
static int scan_red_zone(const struct scan *scan, const struct segue_mutator *context)
{
    uint64_t words[RED_ZONE / 8 + 2];
    uint64_t at = (context->regs.rsp - context->red_zone) & ~(uint64_t)7, end = (context->regs.rsp + 7) & ~(uint64_t)7;
    int result = 0;
    while (context->red_zone && at < end && !result) {
        uint64_t page_end = (at / PAGE + 1) * PAGE, stop = page_end < end ? page_end : end;
        size_t size = stop - at;
        if (size > sizeof words)
            return 0;
        result = scan_range(scan, words, segue_peek(words, at, size) / 8 * 8);
        at = stop;
    }
    return result;
}

static int scan_registers(const struct scan *scan, const struct segue_regs *regs, const struct segue_xstate *xstate)
{
    /* Selectors are not references. */
    int result = scan_range(scan, regs, offsetof(struct segue_regs, selectors));
    return result ? result : scan_xstate(scan, xstate);
}

int segue_mutator_scan(const struct segue_mutator *context, segue_scan_words *words, void *closure)
{
    const struct scan scan = {words, closure};
    int result = scan_registers(&scan, &context->regs, &context->xstate);
    if (!result)
        result = scan_red_zone(&scan, context);
    if (result || context->private_.stack == 0)
        return result;
    result = scan_registers(&scan, &context->private_.regs, &context->private_.xstate);
    if (result)
        return result;
    return scan_range(&scan, (const void *)(uintptr_t)context->private_.stack,
                      context->private_.stack_end - context->private_.stack);
}
