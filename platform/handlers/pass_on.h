/* pass_on.h: for systems whose dispatcher asks one handler after the other. */
#ifndef SEGUE_PLATFORM_PASS_ON_H
#define SEGUE_PLATFORM_PASS_ON_H

/* Leaves the fault to the handlers behind the library's, as soon as the library's returns: they see the frame as it is
 * then. `info` is the frame's first word. Async-signal-safe. */
void platform_pass_on(void *info);

#endif
