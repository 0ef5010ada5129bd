/* slots.h: the thread-local storage that assembly uses: slots of keys, which lie at GS (platform/asm.h, THREAD_LOCAL).
 *
 * SOURCES: Apple libpthread, private/tsd_private.h (_os_tsd_get_direct). */
#ifndef SEGUE_PLATFORM_DARWIN_SLOTS_H
#define SEGUE_PLATFORM_DARWIN_SLOTS_H

#if !defined(__APPLE__) || !defined(__x86_64__)
#error "slots.h is specific to macOS on x86-64"
#endif

#include <stdint.h>

/* The calling thread's base of GS. Async-signal-safe. */
uint64_t slots_gs_base(void);

#endif
