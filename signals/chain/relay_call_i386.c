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

const struct code_range relay_range = CODE_RANGE_NOT_THERE;
