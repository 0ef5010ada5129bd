/* open.h: what opening a frame takes, for the file that has the functions which it calls. */
#ifndef SEGUE_PLATFORM_OPEN_H
#define SEGUE_PLATFORM_OPEN_H

#include "platform/frame/frame.h"

static inline void open_frame(struct fault_frame *frame, struct native_frame native)
{
    frame->public.native[0] = native.info;
    frame->public.native[1] = native.context;
    frame_get_fault(native, &frame->public.fault);
    frame->mask = frame_get_mask(native.context);
    frame->alternate_stack = frame_get_alternate_stack(native.context);
    frame->is_read = false;
}

#endif
