/* gathered.c: the view of extended state that was gathered (platform/frame/gathered.h). */
#include "platform/frame/gathered.h"

#include "decode/x86/xsave.h"
#include "platform/frame/frame.h"

__attribute__((hot)) void frame_get_xstate(const void *context, struct segue_xstate *xstate)
{
    const struct gathered *state = frame_gather(context);
    if (!state->is_gathered) {
        *xstate = (struct segue_xstate){.area = NULL};
        return;
    }
    *xstate = (struct segue_xstate){
        .area = state->area, .size = (uint32_t)xsave_end(state->features), .features = state->features};
}

bool frame_gather_into(void *context, void *area, size_t size)
{
    struct gathered *state = frame_gather(context);
    if (state->is_gathered)
        return true;
    if (size < xsave_end(frame_components()))
        return false;
    state->area = area;
    state->size = (uint32_t)size;
    frame_gather(context);
    return true;
}

__attribute__((hot)) void frame_get_any_xstate(const void *context, struct segue_xstate *xstate)
{
    frame_get_xstate(context, xstate);
}
