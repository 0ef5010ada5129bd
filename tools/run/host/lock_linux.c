/* lock_linux.c: a futex. SOURCES: futex(2); Drepper, "Futexes are tricky" (2011), the second mutex. */
#include "lock.h"

#include <linux/futex.h>
#include <stddef.h>
#include <stdint.h>

#include "layout.h"
#include "tools/run/syscalls/call_linux_x86_64.h"

#define WAITED_FOR 1u

/* 0: free; else the number of the block on whose stack the owner is, and a bit that says whether another thread
 * waits. */
static uint32_t state;

/* The number of the block that an address is in, behind the bit: addresses have 47 bits, and blocks 18 of them. */
static uint32_t block_of(const void *address)
{
    return (uint32_t)((uint64_t)(uintptr_t)address / BLOCK_SIZE) << 1;
}

void lock_take(void)
{
    uint32_t own = block_of(__builtin_frame_address(0)), found = 0;
    if (__atomic_compare_exchange_n(&state, &found, own, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        return;
    for (;;) {
        uint32_t wanted = found ? found | WAITED_FOR : own | WAITED_FOR;
        if (found != wanted &&
            !__atomic_compare_exchange_n(&state, &found, wanted, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            continue;
        if (!found)
            return;
        system_call6(SYS_futex, (long)&state, FUTEX_WAIT_PRIVATE, wanted, 0, 0, 0);
        found = __atomic_load_n(&state, __ATOMIC_RELAXED);
    }
}

void lock_release(void)
{
    if (__atomic_exchange_n(&state, 0, __ATOMIC_RELEASE) & WAITED_FOR)
        system_call6(SYS_futex, (long)&state, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
}

void lock_release_of(const void *block)
{
    if ((__atomic_load_n(&state, __ATOMIC_RELAXED) & ~WAITED_FOR) == block_of(block))
        lock_release();
}
