/* held.h: threads that wait in a handler of the library's until they are released. */
#ifndef SEGUE_PLATFORM_FREEBSD_HELD_H
#define SEGUE_PLATFORM_FREEBSD_HELD_H

#if !defined(__FreeBSD__)
#error "platform/freebsd/threads/held.h is specific to FreeBSD"
#endif

#include <stdint.h>

#include "platform/freebsd/frame/native.h"
#include "platform/threads/stop.h"

/* A thread that waits: its frame's second word, which is on its stack, and the place where it waits. */
struct held {
    struct native_context *context;
    uint32_t place, round;
};

/* Sends the thread the library's signal, and waits until it is in the handler: up to a second, for a thread may block
 * the signal. Async-signal-safe. */
enum stop_result hold(struct held *held, int thread);
void release(const struct held *held);

#endif
