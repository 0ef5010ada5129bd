/* slots.h: the thread-local storage that assembly uses: slots of keys, which lie at GS (platform/asm.h, THREAD_LOCAL).
 *
 * SOURCES: Apple libpthread, private/tsd_private.h (_os_tsd_get_direct). */
#ifndef SEGUE_PLATFORM_DARWIN_SLOTS_H
#define SEGUE_PLATFORM_DARWIN_SLOTS_H

#if !defined(__APPLE__) || !defined(__x86_64__)
#error "slots.h is specific to macOS on x86-64"
#endif

#include <mach/mach.h>
#include <stdint.h>

#include "platform/frame/stack.h"

/* The address of `native_thread` (platform/posix/called/nested.h) of a thread that does not run; NULL if it has none,
 * or has another base of GS in force, as a guest's. Async-signal-safe. */
void *slots_of_thread(thread_act_t thread);

/* Notes the alternate stack that the calling thread has set, and where its thread-local storage is: the thread may have
 * been there before the library. */
void slots_note_stack(const struct alternate_stack *stack);

/* The calling thread's base of GS. Async-signal-safe. */
uint64_t slots_gs_base(void);

#endif
