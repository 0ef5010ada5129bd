/* detours.h: a site whose calls are made as they are becomes a short jump to unused bytes near it
 * (patch/scan/padding.h), and those a jump to a detour (platform/calls/calls.h). Its calls trap no more, unless they
 * are given a pointer into a region. Only sites of the C library and of the program's own file, which are never
 * unmapped. */
#ifndef SEGUE_SIGNALS_DETOURS_H
#define SEGUE_SIGNALS_DETOURS_H

#include "platform/calls/calls.h"

/* Reads the functions of these modules. Without memory there are no detours. Not async-signal-safe. */
void detours_prepare(void);

/* The call is made as it is: the site may get a detour. `room` is what the handler's stack has left. Async-signal-safe.
 */
void detours_note(const struct system_call *call, size_t room);

/* No more are made; those that there are stay. Async-signal-safe. */
void detours_end(void);

#endif
