/* vector_x86_64.c: the extended state of a guest on x86-64.
 *
 * SOURCES: Intel SDM volume 2, XRSTOR (what it refuses). */
#if !defined(__x86_64__)
#error "vector_x86_64.c is specific to x86-64"
#endif

#include "vector.h"

#include <stdlib.h>
#include <string.h>

#include "decode/x86/xsave.h"

/* The protection keys stay the host's. */
#define LEFT_OUT COMPONENT_PKRU

enum segue_status vector_new(struct segue_xstate *xstate, uint64_t wanted)
{
    static const uint32_t mxcsr = MXCSR_INITIAL;
    static const uint16_t x87 = FCW_INITIAL;
    uint64_t features = wanted & xsave_enabled() & ~LEFT_OUT;
    if (!xsave_enabled())
        return SEGUE_UNSUPPORTED;
    uint32_t size = (xsave_end(features) + XSAVE_ALIGNMENT - 1) / XSAVE_ALIGNMENT * XSAVE_ALIGNMENT;
    char *area = aligned_alloc(XSAVE_ALIGNMENT, size);
    if (!area)
        return SEGUE_NO_MEMORY;
    memset(area, 0, size);
    memcpy(area + XSAVE_FCW, &x87, sizeof x87);
    memcpy(area + XSAVE_MXCSR, &mxcsr, sizeof mxcsr);
    *xstate = (struct segue_xstate){.area = area, .size = size, .features = features};
    return SEGUE_OK;
}

/* An area that XRSTOR would refuse is left to XRSTOR. */
static bool is_movable(const char *area, uint64_t features)
{
    uint64_t in_use, compaction;
    memcpy(&in_use, area + XSAVE_XSTATE_BV, sizeof in_use);
    memcpy(&compaction, area + XSAVE_XCOMP_BV, sizeof compaction);
    return (features == COMPONENTS_LEGACY_AVX || features == (COMPONENTS_LEGACY_AVX | COMPONENTS_AVX512)) &&
           !(features & ~xsave_movable()) && !(in_use & ~features) && compaction == 0;
}

/* The moves touch only the components of the gate's features. */
__attribute__((hot)) static char *component_in(char *area, unsigned component)
{
    struct xsave_component place;
    return xsave_find(component, &place) ? area + place.offset : NULL;
}

void vector_place(struct gate *gate, const struct segue_xstate *xstate)
{
    char *area = xstate->area;
    gate->area = area;
    gate->features = xstate->features;
    gate->by_moves = area && is_movable(area, xstate->features);
    if (!gate->by_moves)
        return;
    gate->ymm_upper = component_in(area, STATE_AVX);
    gate->opmask = component_in(area, STATE_OPMASK);
    gate->zmm_upper = component_in(area, STATE_ZMM_HI256);
    gate->zmm_high = component_in(area, STATE_HI16_ZMM);
}
