/* layout_clone.c: checks the part of layout.h that is of children made in a handler. */
#include "layout.h"

#include "ctx/clone/clone.h"

#define AT(type, field, offset)                                                                                        \
    _Static_assert(offsetof(type, field) == (offset), "the assembly finds " #type "." #field " elsewhere")

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
