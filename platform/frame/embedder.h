/* embedder.h: the function in the module above that the public segue_frame_open of every system, which names the
 * system's types, calls. */
#ifndef SEGUE_PLATFORM_FRAME_EMBEDDER_H
#define SEGUE_PLATFORM_FRAME_EMBEDDER_H

#include <segue/frame.h>

#include "platform/frame/frame.h"

/* As segue_frame_open, for the frame that an embedder's own handler was given. signals/fault/frame.c */
enum segue_status embedder_frame_open(struct segue_frame *frame, struct native_frame native);

#endif
