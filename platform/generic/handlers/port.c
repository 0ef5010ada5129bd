/* port.c: platform/handlers/port.h for systems on which faults come as signals, or to handlers, alone. */
#include "platform/handlers/port.h"

#include <errno.h>

long platform_port_open(size_t stack_size)
{
    (void)stack_size;
    return -ENOSYS;
}

void platform_port_close(void)
{
}

bool platform_port_is_in_force(void)
{
    return false;
}

void platform_port_in_child(void)
{
}
