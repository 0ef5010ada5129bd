/* port.h: faults that reach the library's handlers as messages to a port, before they become signals; for systems with
 * such ports. While the port is open, platform_action_change notes the library's actions, and changes none of the
 * system's: handlers of signals stay what the program has made them, and see what the library leaves to others. */
#ifndef SEGUE_PLATFORM_PORT_H
#define SEGUE_PLATFORM_PORT_H

#include <stdbool.h>
#include <stddef.h>

/* Opens the port, in front of those that are there. `stack_size`: what serving a fault takes on a stack that the port
 * has for it, where the thread's own has no room. 0, or a negative error number: -ENOSYS where faults come as signals
 * alone. Neither async-signal-safe nor thread-safe. */
long platform_port_open(size_t stack_size);

/* Puts back the ports that were there before. */
void platform_port_close(void);

/* Whether the system still sends this process's faults to the port. */
bool platform_port_is_in_force(void);

/* In a child made by fork, whose only thread is the caller: a port of its own if its parent had one open. */
void platform_port_in_child(void);

#endif
