/* entry_called.c: the handler's entry where the system's own function calls it, on the thread's stack; and the code
 * ranges of the library's text: there is no code before a frame or after it. */
#include "signal_entry.h"

#include <stddef.h>

#include "platform/frame/entry_layout.h"
#include "platform/guest.h"
#include "signals/ranges.h"

static void serve(int number, void *info, void *ucontext)
{
    signal_serve(number, info, ucontext, (const char *)ucontext - ENTRY_CONTEXT);
}

void signal_entry(int number, void *info, void *ucontext)
{
    guest_serve(number, info, ucontext, serve);
}

const struct code_range *const library_ranges[] = {NULL};
