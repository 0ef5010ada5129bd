/* workers.h: threads that share the parts of one piece of work. */
#ifndef SEGUE_CORPUS_WORKERS_H
#define SEGUE_CORPUS_WORKERS_H

#include <pthread.h>
#include <stdatomic.h>

#include "error.h"

/* Shows the progress: `done` of `total` steps. Called by the thread that waits for the workers, ten times a second, and
 * once when all steps are done or one has failed; `is_last` is set in that call. */
typedef void corpus_progress(size_t done, size_t total, bool is_last);

/* What the threads share. All but `total` is kept here. */
struct corpus_workers {
    /* How many steps there are. */
    size_t total;
    atomic_size_t done;
    atomic_bool failed;
    /* Guards the sums of all workers, and the error. */
    pthread_mutex_t lock;
    struct corpus_error *error;
};

/* Runs `run(context)` on at most `jobs` threads and waits for all of them. `progress` may be NULL. False, and `error`,
 * if a worker has failed or none could be started. */
bool corpus_workers_run(struct corpus_workers *workers, unsigned jobs, void *(*run)(void *context), void *context,
                        corpus_progress *progress, struct corpus_error *error);

/* A worker adds the steps that it has done, or the reason of its failure; if several fail, the first error is kept. */
void corpus_workers_advance(struct corpus_workers *workers, size_t steps);
void corpus_workers_fail(struct corpus_workers *workers, const struct corpus_error *error);
bool corpus_workers_failed(const struct corpus_workers *workers);

/* Processors that this process may run on. */
unsigned corpus_processors(void);

#endif
