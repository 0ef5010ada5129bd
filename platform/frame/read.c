/* read.c: reads a frame as a whole (frame.h). */
#include "frame.h"

__attribute__((hot)) void frame_read(struct fault_frame *frame)
{
    const void *context = frame->public.native[1];
    frame_get_registers(context, &frame->public.regs);
    frame_get_bases(&frame->public.regs);
    frame_get_any_xstate(context, &frame->public.xstate);
    frame->is_read = true;
}
