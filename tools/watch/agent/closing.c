/* closing.c: threads of a program that ran already block again what they blocked before the command opened their masks.
 * Each does so itself, in its handler: so it is done, too, if the command has been killed. */
#include <time.h>
#include <unistd.h>

#include "agent.h"
#include "signals/watch/attached.h"
#include "threads.h"

/* How often a thread is looked at, and the pause between in nanoseconds: 2 seconds together. */
#define TRIES 200u
#define PAUSE 10000000

/* A signal may arrive late: the list stays. */
static struct opened_mask list[SHARED_MASKS];

/* Whether nothing is left to do for it. */
static bool is_closed(struct opened_mask *opened, const struct shared_mask *mask)
{
    if (__atomic_load_n(&opened->state, __ATOMIC_ACQUIRE) == OPENED_IS_CLOSED)
        return true;
    return thread_began(getpid(), opened->thread) != mask->began;
}

/* The command writes a mask down before it opens it, and may have been killed in between. */
static bool was_opened(const struct shared_mask *mask)
{
    return thread_blocks(getpid(), (pid_t)mask->thread) & mask->removed & SHARED_BIT(SIGSYS) ? false : mask->removed;
}

static unsigned ask_all(const struct shared *shared, size_t count, bool is_first)
{
    unsigned open = 0;
    for (size_t i = 0; i < count; i++) {
        if (is_closed(&list[i], &shared->masks[i]))
            continue;
        open++;
        if (is_first || __atomic_load_n(&list[i].state, __ATOMIC_ACQUIRE) != OPENED_WAITS)
            masks_ask(&list[i]);
    }
    return open;
}

unsigned close_masks(const struct shared *shared)
{
    static const struct timespec pause = {.tv_nsec = PAUSE};
    const size_t count = __atomic_load_n(&shared->mask_count, __ATOMIC_ACQUIRE);
    unsigned open = 0;
    masks_close(list, 0, 0);
    for (size_t i = 0; i < count; i++) {
        const struct shared_mask *mask = &shared->masks[i];
        list[i] = (struct opened_mask){.thread = (int32_t)mask->thread,
                                       .state = was_opened(mask) ? OPENED_WAITS : OPENED_IS_CLOSED,
                                       .removed = mask->removed,
                                       .rest = mask->rest};
    }
    masks_close(list, count, ~SHARED_OPEN);
    for (unsigned i = 0; i < TRIES && (open = ask_all(shared, count, i == 0)) > 0; i++)
        nanosleep(&pause, NULL);
    return open;
}
