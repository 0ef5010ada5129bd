/* lock_linux.c: a futex. SOURCES: futex(2); Drepper, "Futexes are tricky" (2011), the second mutex. */
#include "lock.h"

#include <linux/futex.h>
#include <stddef.h>
#include <stdint.h>

#include "call_linux_x86_64.h"

/* 0 free, 1 taken, 2 taken and waited for. */
static uint32_t state;

void lock_take(void)
{
    uint32_t free = 0;
    if (__atomic_compare_exchange_n(&state, &free, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        return;
    while (__atomic_exchange_n(&state, 2, __ATOMIC_ACQUIRE) != 0)
        system_call6(SYS_futex, (long)&state, FUTEX_WAIT_PRIVATE, 2, 0, 0, 0);
}

void lock_release(void)
{
    if (__atomic_exchange_n(&state, 0, __ATOMIC_RELEASE) == 2)
        system_call6(SYS_futex, (long)&state, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
}
