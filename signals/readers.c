/* readers.c: readers counted in two sets. Newcomers enter the current set; a remover makes the other set current and
 * waits until the old one is empty, and does so twice: a reader that chose its set just before a change may still be
 * counted in the one that is not waited for first. So a steady stream of newcomers never holds a remover up.
 *
 * SOURCES: P. E. McKenney, "Sleepable RCU", 2006. */
#include "readers.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "thread.h"

static struct {
    _Alignas(64) uint64_t inside[2];
} shards[THREAD_SHARDS];

static unsigned current;
static pthread_mutex_t waiting = PTHREAD_MUTEX_INITIALIZER;

unsigned readers_enter(void)
{
    unsigned set = __atomic_load_n(&current, __ATOMIC_RELAXED) & 1;
    __atomic_fetch_add(&shards[thread_shard()].inside[set], 1, __ATOMIC_SEQ_CST);
    thread_self.inside[set]++;
    return set;
}

void readers_leave(unsigned token)
{
    thread_self.inside[token]--;
    __atomic_fetch_sub(&shards[thread_shard()].inside[token], 1, __ATOMIC_RELEASE);
}

static void wait_for_set(unsigned set)
{
    /* A fault takes microseconds, a policy perhaps more: look often at first, then seldom. */
    struct timespec pause = {.tv_nsec = 1000};
    for (size_t i = 0; i < THREAD_SHARDS; i++) {
        while (__atomic_load_n(&shards[i].inside[set], __ATOMIC_SEQ_CST) != 0) {
            nanosleep(&pause, NULL);
            if (pause.tv_nsec < 1000000)
                pause.tv_nsec *= 2;
        }
    }
}

void readers_wait(void)
{
    pthread_mutex_lock(&waiting);
    for (int i = 0; i < 2; i++) {
        unsigned old = __atomic_fetch_add(&current, 1, __ATOMIC_SEQ_CST) & 1;
        wait_for_set(old);
    }
    pthread_mutex_unlock(&waiting);
}

void readers_reset(void)
{
    pthread_mutex_init(&waiting, NULL);
    memset(shards, 0, sizeof shards);
    for (unsigned set = 0; set < 2; set++)
        shards[thread_shard()].inside[set] = thread_self.inside[set];
}
