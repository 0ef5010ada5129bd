/* workers.c: threads that share the parts of one piece of work. */
#include "workers.h"

#include <sched.h>
#include <time.h>

#define THREADS_MOST 256

static void watch(const struct corpus_workers *workers, corpus_progress *progress)
{
    const struct timespec pause = {.tv_nsec = 100000000};
    bool is_last;
    do {
        size_t done = atomic_load(&workers->done);
        progress(done, workers->total, false);
        nanosleep(&pause, NULL);
        is_last = done >= workers->total || corpus_workers_failed(workers);
    } while (!is_last);
    progress(atomic_load(&workers->done), workers->total, true);
}

bool corpus_workers_run(struct corpus_workers *workers, unsigned jobs, void *(*run)(void *context), void *context,
                        corpus_progress *progress, struct corpus_error *error)
{
    pthread_t threads[THREADS_MOST];
    unsigned started = 0;
    workers->error = error;
    atomic_store(&workers->done, 0);
    atomic_store(&workers->failed, false);
    pthread_mutex_init(&workers->lock, NULL);
    while (started < jobs && started < THREADS_MOST && pthread_create(&threads[started], NULL, run, context) == 0)
        started++;
    if (progress && started)
        watch(workers, progress);
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    pthread_mutex_destroy(&workers->lock);
    if (!started)
        return corpus_error_set(error, NULL, NULL, "cannot start a thread");
    return !corpus_workers_failed(workers);
}

void corpus_workers_advance(struct corpus_workers *workers, size_t steps)
{
    atomic_fetch_add(&workers->done, steps);
}

void corpus_workers_fail(struct corpus_workers *workers, const struct corpus_error *error)
{
    pthread_mutex_lock(&workers->lock);
    if (!atomic_exchange(&workers->failed, true))
        *workers->error = *error;
    pthread_mutex_unlock(&workers->lock);
}

bool corpus_workers_failed(const struct corpus_workers *workers)
{
    return atomic_load(&workers->failed);
}

unsigned corpus_processors(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}
