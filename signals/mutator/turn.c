/* turn.c: see turn.h. */
#include "turn.h"

#include "platform/clock.h"
#include "platform/threads/identity.h"
#include "platform/threads/thread.h"

/* Nanoseconds between looks; they grow up to LAST_PAUSE. */
#define FIRST_PAUSE 50000u
#define LAST_PAUSE 10000000u

/* The owner's TID in the upper bits, the number of suspended or asked threads in the lower, and in between how to ask
 * about the owner. */
static uint64_t suspender;
#define GROUP_SHIFT 30
#define COUNT_MASK ((UINT64_C(1) << GROUP_SHIFT) - 1)

uint64_t turn_deadline(uint64_t timeout)
{
    uint64_t start = platform_clock();
    return timeout > UINT64_MAX - start ? UINT64_MAX : start + timeout;
}

static struct identity suspender_in(uint64_t word)
{
    return (struct identity){(int32_t)(word >> 32), (enum identity_group)(word >> GROUP_SHIFT & 3)};
}

static bool is_same(struct identity one, struct identity other)
{
    return one.number == other.number && one.group == other.group;
}

/* Counts that many more threads if the lock is free or the caller's. An owner that has ended loses the lock. */
static bool try(uint32_t count)
{
    uint64_t word = __atomic_load_n(&suspender, __ATOMIC_ACQUIRE);
    struct identity self = identity_of_self();
    for (;;) {
        if (word && !is_same(suspender_in(word), self) && !identity_is_gone(suspender_in(word)))
            return false;
        uint64_t mine =
            (uint64_t)(uint32_t)self.number << 32 | (uint64_t)self.group << GROUP_SHIFT | ((word & COUNT_MASK) + count);
        if (__atomic_compare_exchange_n(&suspender, &word, mine, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            return true;
    }
}

void turn_end(uint32_t count)
{
    uint64_t word = __atomic_load_n(&suspender, __ATOMIC_ACQUIRE), less;
    do
        less = (word & COUNT_MASK) == count ? 0 : word - count;
    while (!__atomic_compare_exchange_n(&suspender, &word, less, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
}

bool turn_take(uint32_t count, uint64_t deadline)
{
    uint64_t pause = FIRST_PAUSE;
    while (!try(count)) {
        uint64_t present = platform_clock();
        if (present >= deadline)
            return false;
        platform_sleep(pause < deadline - present ? pause : deadline - present);
        pause = pause < LAST_PAUSE / 2 ? pause * 2 : LAST_PAUSE;
    }
    return true;
}

bool turn_take_free(void)
{
    return __atomic_load_n(&suspender, __ATOMIC_ACQUIRE) == 0 && try(1);
}

void turn_in_child(void)
{
    suspender = 0;
}
