/* thread_i386.c: what platform/threads/thread.h needs of the processor.
 *
 * SOURCES: glibc nptl/descr.h, sysdeps/i386/nptl/tls.h (header.self, which is what pthread_self(3) returns). */
#if !defined(__linux__) || !defined(__i386__)
#error "platform/linux/threads/thread_i386.c is specific to Linux on i386"
#endif

#include "platform/threads/thread.h"

const void *platform_thread_self(void)
{
    const void *self;
    __asm__ volatile("movl %%gs:8, %0" : "=r"(self));
    return self;
}
