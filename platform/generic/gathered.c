/* gathered.c: the view of extended state that was gathered (platform/frame/gathered.h). */
#include "platform/frame/gathered.h"

#include "decode/x86/xsave.h"
#include "platform/frame/frame.h"

__attribute__((hot)) void frame_get_xstate(const void *context, struct segue_xstate *xstate)
{
    struct gathered *state = frame_gather(context);
    *xstate = (struct segue_xstate){
        .area = state->area, .size = (uint32_t)xsave_end(state->features), .features = state->features};
}

__attribute__((hot)) void frame_get_any_xstate(const void *context, struct segue_xstate *xstate)
{
    frame_get_xstate(context, xstate);
}
