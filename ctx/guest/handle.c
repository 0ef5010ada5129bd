/* handle.c: guests on a system that calls the library's handlers itself. */
#include "gate.h"

void guest_handle(int number, void *info, void *ucontext, void (*handler)(int, void *, void *), struct gate *gate)
{
    guest_handle_frame(number, info, ucontext, handler, gate);
}
