/* state.c: the extended state of an exception. CONTEXT has the legacy state in FXSAVE's format, and each further
 * component where LocateXStateFeature says: they are gathered into an area in the standard format, and scattered again.
 *
 * SOURCES: Microsoft, CONTEXT (winnt.h), "Working with XState Context"; Intel SDM volume 1, 13.4 (the area), 13.6 (what
 * is in use). ASSUMPTION: a component that the context's mask does not name is in its initial state. */
#if !defined(_WIN32)
#error "platform/windows/frame/state.c is specific to Windows"
#endif

#include <string.h>

#include "decode/x86/flags.h"
#include "decode/x86/xsave.h"
#include "native.h"
#include "platform/frame/frame.h"

/* The system may keep fewer than the processor has: then the others belong to no thread. */
uint64_t frame_components(void)
{
    static uint64_t known;
    uint64_t components = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if (!components) {
        components = xsave_enabled() & GetEnabledXStateFeatures();
        __atomic_store_n(&known, components, __ATOMIC_RELAXED);
    }
    return components;
}

static void *part_of(CONTEXT *thread, unsigned component, uint32_t size)
{
    DWORD length = 0;
    void *part = LocateXStateFeature(thread, component, &length);
    return part && length >= size ? part : NULL;
}

/* Takes the lowest component from the set, and finds its place in an area. False if the area does not hold it. */
static bool take_lowest(const struct gathered *state, uint64_t *components, unsigned *component,
                        struct xsave_component *place)
{
    *component = (unsigned)__builtin_ctzll(*components);
    *components &= *components - 1;
    return xsave_find(*component, place) && place->offset + place->size <= state->size;
}

static void gather(struct native *context)
{
    CONTEXT *thread = context->thread;
    struct xsave_component place;
    DWORD64 mask = 0;
    uint64_t in_use = COMPONENTS_LEGACY;
    memcpy(context->state.area, native_legacy(thread), XSAVE_LEGACY_SIZE);
    memset(context->state.area + XSAVE_LEGACY_SIZE, 0, XSAVE_HEADER_END - XSAVE_LEGACY_SIZE);
    context->state.features = COMPONENTS_LEGACY;
    uint64_t components = frame_components() & ~COMPONENTS_LEGACY;
    if ((thread->ContextFlags & CONTEXT_XSTATE) != CONTEXT_XSTATE || !GetXStateFeaturesMask(thread, &mask))
        components = 0;
    for (unsigned i; components;) {
        const void *part =
            take_lowest(&context->state, &components, &i, &place) ? part_of(thread, i, place.size) : NULL;
        if (!part)
            continue;
        context->state.features |= UINT64_C(1) << i;
        memset(context->state.area + place.offset, 0, place.size);
        if (!(mask >> i & 1))
            continue;
        in_use |= UINT64_C(1) << i;
        memcpy(context->state.area + place.offset, part, place.size);
    }
    memcpy(context->state.area + XSAVE_XSTATE_BV, &in_use, sizeof in_use);
    context->state.is_gathered = true;
}

/* A component is written as one in use, also in its initial state. */
static void scatter(const struct native *context, uint64_t in_use, CONTEXT *thread)
{
    struct xsave_component place;
    DWORD64 mask = 0;
    memcpy(native_legacy(thread), context->state.area, XSAVE_LEGACY_SIZE);
    native_legacy_changed(thread);
    uint64_t components = context->state.features & ~COMPONENTS_LEGACY;
    if (!components)
        return;
    GetXStateFeaturesMask(thread, &mask);
    for (unsigned i; components;) {
        if (!take_lowest(&context->state, &components, &i, &place))
            continue;
        bool is_used = in_use >> i & 1;
        if (!is_used && !(mask >> i & 1))
            continue;
        void *part = part_of(thread, i, place.size);
        if (!part)
            continue;
        mask |= UINT64_C(1) << i;
        if (is_used)
            memcpy(part, context->state.area + place.offset, place.size);
        else
            memset(part, 0, place.size);
    }
    SetXStateFeaturesMask(thread, mask);
}

/* ---- a thread that has pushed ---- */

/* The most bytes by which one instruction lowers the stack pointer while it pushes: ENTER's 31 frame pointers and its
 * frame. */
#define PUSHED_MOST (33u * 8 + 0xffff)

/* The system puts the thread's state right below its stack pointer, and there a stepped instruction pushes. The part
 * that is there is no longer needed, since it was gathered before; but it must not be written back. What pushes changes
 * no vectors: so the two differ only then. */
static bool has_pushed_over_state(const struct native *context)
{
    const CONTEXT *thread = context->thread;
    struct xsave_component place;
    if (thread->STACK_POINTER >= context->stack_pointer || context->stack_pointer - thread->STACK_POINTER > PUSHED_MOST)
        return false;
    uint64_t components = context->state.features & ~COMPONENTS_LEGACY;
    for (unsigned i; components;) {
        if (!take_lowest(&context->state, &components, &i, &place))
            continue;
        const unsigned char *part = part_of(context->thread, i, place.size);
        uint64_t address = (uint64_t)(uintptr_t)part;
        if (address < context->stack_pointer && thread->STACK_POINTER < address + place.size &&
            memcmp(part, context->state.area + place.offset, place.size) != 0)
            return true;
    }
    return false;
}

/* Room for a CONTEXT with all that the area holds. */
#define COPY_SIZE 8192

/* The thread's own, for the way from the handler's return to the second of two continuations. */
static __thread struct {
    _Alignas(64) unsigned char bytes[COPY_SIZE];
} copy_room;

static CONTEXT *copy_of(CONTEXT *thread)
{
    CONTEXT *copy;
    DWORD size = sizeof copy_room.bytes, flags = thread->ContextFlags;
    if (!InitializeContext(copy_room.bytes, flags, &copy, &size) || !CopyContext(copy, flags, thread))
        return NULL;
    return copy;
}

/* The thread continues in a function of the system that restores another context: a copy elsewhere. The function's
 * stack is below what was pushed. False if it cannot be copied. */
static bool continue_by_copy(struct native *context, uint64_t in_use)
{
    CONTEXT *thread = context->thread, *copy = copy_of(thread);
    if (!copy)
        return false;
    scatter(context, in_use, copy);
    /* Whoever stops the thread until the handler returns reads the copy. */
    context->thread = copy;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    native_thread.leaves_at = (thread->STACK_POINTER & ~(ULONG_PTR)15) - 8;
    native_continue_by(thread, copy);
    thread->EFlags &= ~(DWORD)(FLAG_TRAP | FLAG_DIRECTION | FLAG_ALIGNMENT);
    return true;
}

void native_close(struct native *context, bool goes_on)
{
    uint64_t in_use;
    if (!context->state.is_gathered)
        return;
    memcpy(&in_use, context->state.area + XSAVE_XSTATE_BV, sizeof in_use);
    xsave_fill_initial(context->state.area, in_use);
    if (!goes_on || !has_pushed_over_state(context) || !continue_by_copy(context, in_use))
        scatter(context, in_use, context->thread);
}

void frame_scatter(void *context)
{
    native_close(context, true);
}

__attribute__((hot)) struct gathered *frame_gather(const void *context)
{
    struct native *native = (struct native *)(uintptr_t)context;
    if (!native->state.is_gathered && native->state.area)
        gather(native);
    return &native->state;
}

/* What the system saves of the thread, and the dispatcher's own. */
size_t frame_size_most(void)
{
    return sizeof(CONTEXT) + sizeof(EXCEPTION_RECORD) + xsave_area_size() + sizeof(struct native_handler);
}
