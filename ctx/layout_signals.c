/* layout_signals.c: checks the part of layout.h that only a system with signals has: what the inline swap knows. */
#include "layout.h"

#include <segue/context.h>

/* The swap in ctx.h is a string, and has these as literals. */
_Static_assert(SEGUE_CONTEXT_COMPARED_ == 0x80, "segue_context_switch_ tests another flag by the sign");
_Static_assert(CONTEXT_STACK_POINTER == 0 && CONTEXT_FRAME_POINTER == 8 && CONTEXT_INSTRUCTION == 16 &&
                   CONTEXT_FLAGS == 24 && CONTEXT_MXCSR == 28 && CONTEXT_X87_CONTROL == 32 &&
                   CONTEXT_PARENT == (sizeof(void *) == 8 ? 40 : 36) &&
                   CONTEXT_CALLER == (sizeof(void *) == 8 ? 48 : 40) && CONTEXT_FIXED_CONTROL == 1,
               "segue_context_switch_ in include/segue/context_sysv_*.h has other offsets");
