/* direct_none.c: there is no direct restore. In 32-bit code IRET loads no stack pointer, and so would write to the
 * stack that it leads to; elsewhere the system itself must learn that the handler has ended. Handlers return. */
#include "direct.h"

#include "ctx/handling.h"
#include "landing.h"
#include "platform/lacks.h"
#include "shortcut.h"

const char *restore_obstacle(void)
{
    return "a direct restore needs " PLATFORM_LACKS;
}

void direct_restore(const struct segue_frame *frame, const struct segue_xstate *xstate,
                    const struct segue_xstate *of_frame, enum segue_restore_method method)
{
    (void)frame;
    (void)xstate;
    (void)of_frame;
    (void)method;
}

__attribute__((hot)) bool departure_prepare(struct departure *departure, const struct fault_frame *frame,
                                            enum segue_restore_method method, struct landing *landing)
{
    (void)departure;
    (void)frame;
    (void)method;
    (void)landing;
    return false;
}

void departure_go(const struct departure *departure)
{
    (void)departure;
    __builtin_trap();
}

const struct code_range landing_range = CODE_RANGE_NOT_THERE;
const struct code_range shortcut_range = CODE_RANGE_NOT_THERE;
