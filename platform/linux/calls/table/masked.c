/* masked.c: see masked.h.
 *
 * SOURCES: sigprocmask(2), select(2), poll(2), epoll_wait(2); Linux kernel/signal.c (set_user_sigmask), fs/aio.c
 * (io_pgetevents), io_uring/io_uring.c (io_get_ext_arg). */
#if !defined(__linux__) || !defined(__x86_64__)
#error "masked.c is specific to Linux on x86-64"
#endif

#include "masked.h"

#include <errno.h>
#include <signal.h>

#include "table.h"

#define WORD 8u
#define PAIR_SIZE 16u
/* The kernel's struct sigaction, whose mask is last. */
#define ACTION_SIZE 32u
/* Of io_uring_enter: flags, and what an extended argument is. */
#define RING_EXTENDED 8u
#define RING_REGISTERED 64u
#define RING_EXTENDED_SIZE 24u

_Static_assert(RING_EXTENDED_SIZE + MASK_SIZE <= sizeof((struct masked *)0)->words, "the copy has no room");
_Static_assert(ACTION_SIZE <= sizeof((struct masked *)0)->words, "the copy has no room");

/* The argument leads to `size` bytes, which end with the mask. */
static bool read_in(struct masked *masked, uint64_t address, calls_peek *peek, uint8_t size)
{
    masked->mask = (uint8_t)(size / WORD - 1);
    return address && peek(masked->words, address, size);
}

/* The argument leads to `size` bytes, which begin with the mask's address: the mask's copy is behind theirs. */
static bool read_led(struct masked *masked, uint64_t address, calls_peek *peek, uint8_t size)
{
    masked->mask = (uint8_t)(size / WORD);
    masked->is_led = true;
    return address && peek(masked->words, address, size) && masked->words[0] &&
           peek(&masked->words[masked->mask], masked->words[0], MASK_SIZE);
}

static bool read_ring(struct masked *masked, const uint64_t *arguments, uint64_t address, uint64_t given_size,
                      calls_peek *peek)
{
    if (!(arguments[3] & RING_EXTENDED))
        return given_size == MASK_SIZE && read_in(masked, address, peek, MASK_SIZE);
    return !(arguments[3] & RING_REGISTERED) && given_size == RING_EXTENDED_SIZE &&
           read_led(masked, address, peek, RING_EXTENDED_SIZE) && (uint32_t)masked->words[1] == MASK_SIZE;
}

bool masked_read(uint64_t number, const uint64_t *arguments, calls_peek *peek, struct masked *masked)
{
    const struct mask_place place = table_mask(number);
    const uint64_t address = arguments[place.argument];
    *masked = (struct masked){.argument = place.argument};
    switch (place.form) {
    case MASK_PLAIN:
        return arguments[place.argument + 1] == MASK_SIZE && read_in(masked, address, peek, MASK_SIZE);
    case MASK_PAIR:
        return read_led(masked, address, peek, PAIR_SIZE) && masked->words[1] == MASK_SIZE;
    case MASK_RING:
        return read_ring(masked, arguments, address, arguments[place.argument + 1], peek);
    case MASK_ACTION:
        return read_in(masked, address, peek, ACTION_SIZE);
    default:
        return false;
    }
}

void masked_place(struct masked *masked, uint64_t address, uint64_t *arguments)
{
    if (masked->is_led)
        masked->words[0] = address + masked->mask * WORD;
    arguments[masked->argument] = address;
}

long masked_change(const uint64_t *arguments, calls_peek *peek, uint64_t *mask)
{
    uint64_t signals;
    if (arguments[3] != MASK_SIZE)
        return -EINVAL;
    if (!arguments[1])
        return 0;
    if (!peek(&signals, arguments[1], sizeof signals))
        return -EFAULT;
    switch ((int)arguments[0]) {
    case SIG_BLOCK:
        *mask |= signals;
        return 0;
    case SIG_UNBLOCK:
        *mask &= ~signals;
        return 0;
    case SIG_SETMASK:
        *mask = signals;
        return 0;
    default:
        return -EINVAL;
    }
}
