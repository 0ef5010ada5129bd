/* relay_call_i386.c: signal-frame relocation is not there: chained handlers are called by the library's. */
#if !defined(__i386__)
#error "relay_call_i386.c is specific to i386"
#endif

#include "relay.h"

enum relay_status relay_begin(struct relay *relay, struct native_frame native, struct relay_frame *place)
{
    (void)relay;
    (void)native;
    (void)place;
    return RELAY_IMPOSSIBLE;
}

void relay_enter(const struct relay *relay, const void *ucontext, const struct relay_frame *place)
{
    (void)relay;
    (void)ucontext;
    (void)place;
    __builtin_trap();
}

/* No thread stands in what does not exist. */
static const char nowhere[1];

static enum code_range_result translate(const struct code_range *range, struct segue_regs *regs, const void **frame)
{
    (void)range;
    (void)regs;
    (void)frame;
    return CODE_RANGE_NOT_FOUND;
}

const struct code_range relay_range = {nowhere, nowhere, translate};
