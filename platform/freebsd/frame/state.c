/* state.c: the extended state of a frame: the legacy region, which mcontext_t holds, and the rest of the XSAVE area,
 * header first, which is elsewhere on the stack. Together they are an area in the standard format.
 *
 * The kernel restores no state at all where the frame says that the thread had none (_MC_FPOWNED_NONE).
 *
 * SOURCES: FreeBSD sys/amd64/amd64/exec_machdep.c (get_fpcontext, set_fpcontext: len is the size of both parts without
 * the first), sys/amd64/amd64/fpu.c (fpugetregs fills in what is initial; fpusetxstate takes the header's XSTATE_BV).
 */
#if !defined(__FreeBSD__)
#error "platform/freebsd/frame/state.c is specific to FreeBSD"
#endif

#include <string.h>

#include "decode/x86/xsave.h"
#include "native.h"
#include "platform/frame/frame.h"

static unsigned char *rest_of(const mcontext_t *machine)
{
    return (unsigned char *)(uintptr_t)machine->mc_xfpustate;
}

/* How much of the second part an area takes: all that it may hold. */
static size_t rest_size(const mcontext_t *machine)
{
    const size_t most = GATHERED_SIZE - XSAVE_LEGACY_SIZE;
    size_t size = (size_t)machine->mc_xfpustate_len;
    if (!((unsigned)machine->mc_flags & _MC_HASFPXSTATE) || size < XSAVE_HEADER_SIZE)
        return 0;
    return size < most ? size : most;
}

/* The components whose places end within so many bytes. */
static uint64_t within(uint64_t components, size_t end)
{
    struct xsave_component place;
    uint64_t held = components & COMPONENTS_LEGACY;
    for (uint64_t left = components & ~COMPONENTS_LEGACY; left; left &= left - 1) {
        unsigned component = (unsigned)__builtin_ctzll(left);
        if (xsave_find(component, &place) && place.offset + place.size <= end)
            held |= STATE_BIT(component);
    }
    return held;
}

static bool is_compacted(const struct gathered *state)
{
    uint64_t format;
    memcpy(&format, state->area + XSAVE_XCOMP_BV, sizeof format);
    return format & XSAVE_COMPACTED;
}

static void gather(struct native_context *context)
{
    const mcontext_t *machine = &context->system->uc_mcontext;
    struct gathered *state = &context->state;
    size_t size = rest_size(machine);
    memcpy(state->area, machine->mc_fpstate, XSAVE_LEGACY_SIZE);
    memset(state->area + XSAVE_LEGACY_SIZE, 0, XSAVE_HEADER_SIZE);
    memcpy(state->area + XSAVE_LEGACY_SIZE, rest_of(machine), size);
    state->features = COMPONENTS_LEGACY;
    if (size && !is_compacted(state)) {
        state->features = within(frame_components(), XSAVE_LEGACY_SIZE + size);
    } else {
        memset(state->area + XSAVE_LEGACY_SIZE, 0, XSAVE_HEADER_SIZE);
        memcpy(state->area + XSAVE_XSTATE_BV, &state->features, sizeof state->features);
    }
    state->is_gathered = true;
}

__attribute__((hot)) struct gathered *frame_gather(const void *context)
{
    struct native_context *native = (struct native_context *)(uintptr_t)context;
    if (!native->state.is_gathered && native->state.area)
        gather(native);
    return &native->state;
}

void native_close(struct native_context *context)
{
    mcontext_t *machine = &context->system->uc_mcontext;
    struct gathered *state = &context->state;
    size_t size = rest_size(machine);
    uint64_t in_use;
    if (!state->is_gathered)
        return;
    memcpy(&in_use, state->area + XSAVE_XSTATE_BV, sizeof in_use);
    xsave_fill_initial(state->area, in_use);
    memcpy(machine->mc_fpstate, state->area, XSAVE_LEGACY_SIZE);
    if (state->features & ~COMPONENTS_LEGACY)
        memcpy(rest_of(machine), state->area + XSAVE_LEGACY_SIZE, size);
    if (machine->mc_fpformat == _MC_FPFMT_XMM && machine->mc_ownedfp == _MC_FPOWNED_NONE)
        machine->mc_ownedfp = _MC_FPOWNED_PCB;
}

void frame_scatter(void *context)
{
    native_close(context);
}

uint64_t frame_components(void)
{
    return xsave_enabled();
}
