/* layout_signals.c: checks the parts of layout.h against the structs that only a system with signals has: of children
 * made in a handler, and of the inline swap. */
#include "layout.h"

#include <segue/context.h>

#include "ctx/clone/clone.h"

#define AT(type, field, offset)                                                                                        \
    _Static_assert(offsetof(type, field) == (offset), "the assembly finds " #type "." #field " elsewhere")

/* The swap in ctx.h is a string, and has these as literals. */
_Static_assert(SEGUE_CONTEXT_COMPARED_ == 0x80, "segue_context_switch_ tests another flag by the sign");
_Static_assert(CONTEXT_STACK_POINTER == 0 && CONTEXT_FRAME_POINTER == 8 && CONTEXT_INSTRUCTION == 16 &&
                   CONTEXT_FLAGS == 24 && CONTEXT_MXCSR == 28 && CONTEXT_X87_CONTROL == 32 &&
                   CONTEXT_PARENT == (sizeof(void *) == 8 ? 40 : 36) &&
                   CONTEXT_CALLER == (sizeof(void *) == 8 ? 48 : 40) && CONTEXT_FIXED_CONTROL == 1,
               "segue_context_switch_ in include/segue/context_sysv_*.h has other offsets");

AT(struct clone_call, number, CALL_NUMBER);
AT(struct clone_call, first, CALL_FIRST);
AT(struct clone_call, second, CALL_SECOND);
AT(struct clone_call, third, CALL_THIRD);
AT(struct clone_call, fourth, CALL_FOURTH);
AT(struct clone_call, fifth, CALL_FIFTH);
AT(struct clone_call, child, CALL_CHILD);
AT(struct clone_parking, low, PARKING_LOW);
AT(struct clone_parking, high, PARKING_HIGH);
AT(struct clone_parking, copy, PARKING_COPY);
AT(struct clone_parking, room, PARKING_ROOM);
AT(struct clone_parking, stack, PARKING_STACK);
