/* suspend_fixture.h: threads that can be suspended in what they do, and a page that is closed, whose words a region
 * serves meanwhile.
 */
#ifndef SEGUE_TESTS_SUSPEND_FIXTURE_H
#define SEGUE_TESTS_SUSPEND_FIXTURE_H

#include "tests/support/test.h"

#include <pthread.h>
#include <segue/segue.h>
#include <signal.h>

#define PAGE 4096u
#define MILLISECOND UINT64_C(1000000)
#define LONG (20000 * MILLISECOND)

extern struct segue_mapping closed;

/* `block`: signals that it blocks, or NULL. */
struct worker {
    pthread_t thread;
    segue_thread_id number;
    uint64_t rounds;
    int pipe[2];
    sigset_t *block;
};

/* What a worker's function begins with, and what each of its rounds begins with: false at the end. */
void announce(struct worker *worker);
bool goes_on(struct worker *worker);

/* Functions of workers: one yields, one adds one to the first word of the closed page. */
void *spin(void *worker);
void *add_to_closed_page(void *worker);

/* Starts a worker, and waits until it has its number. */
void start(struct worker *worker, void *(*run)(void *));

uint64_t rounds_of(const struct worker *worker);
void wait_for_round(const struct worker *worker);

/* Installs the suspension and the handler, with segue_install's flags, and closes the page; and the reverse, once the
 * workers have ended. An alarm ends what hangs between them. */
void fixture_begin(segue_policy *policy);
void fixture_begin_with(segue_policy *policy, uint32_t flags);
void fixture_end(struct worker *workers, size_t count);

/* Of a group. */
int fixture_setup(void **state);

#endif
