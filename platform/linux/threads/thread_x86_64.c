/* thread_x86_64.c: what platform/threads/thread.h needs of the processor.
 *
 * SOURCES: System V ABI for x86-64 (the thread control block begins with its own address, which is what
 * pthread_self(3) returns). */
#if !defined(__linux__) || !defined(__x86_64__)
#error "platform/linux/threads/thread_x86_64.c is specific to Linux on x86-64"
#endif

#include "platform/threads/thread.h"

const void *platform_thread_self(void)
{
    const void *self;
    __asm__ volatile("movq %%fs:0, %0" : "=r"(self));
    return self;
}
