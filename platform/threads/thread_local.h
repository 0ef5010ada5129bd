/* thread_local.h: a thread-local pointer that assembly uses as well as C (platform/asm.h, THREAD_LOCAL).
 *
 *      SHARED_THREAD_LOCAL(type, name)     at file scope: what holds it; a semicolon follows
 *      SHARED_AT(type, name)               the pointer itself, an lvalue */
#ifndef SEGUE_PLATFORM_THREAD_LOCAL_H
#define SEGUE_PLATFORM_THREAD_LOCAL_H

#if defined(__APPLE__)
#include <stdint.h>
/* platform/darwin/threads/slots.c has the slot. */
#define SHARED_THREAD_LOCAL(type, name) extern uint64_t name##_slot __attribute__((visibility("hidden")))
#define SHARED_AT(type, name) (*(type __seg_gs *)name##_slot)
#else
#define SHARED_THREAD_LOCAL(type, name)                                                                                \
    extern __thread type name __attribute__((tls_model("initial-exec"), visibility("hidden")));                        \
    __thread type name
#define SHARED_AT(type, name) name
#endif

#endif
