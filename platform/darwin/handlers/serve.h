/* serve.h: what the two ways to the library's handlers share: signals (action.c) and messages (port.c). */
#ifndef SEGUE_PLATFORM_DARWIN_SERVE_H
#define SEGUE_PLATFORM_DARWIN_SERVE_H

#include "platform/darwin/frame/native.h"

/* Whether the library has a handler for the signal. Async-signal-safe, as all of these. */
bool serve_is_wanted(int number);

/* The signals that are blocked while it runs. */
uint64_t serve_mask(int number);

/* Calls it, on the thread whose fault it is, between the opening and the closing of the frame. */
void serve(struct native_info *info, struct native_context *native);

/* Whether messages are the way. port.c */
bool port_is_open(void);

#endif
