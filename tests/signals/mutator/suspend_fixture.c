/* suspend_fixture.c: see suspend_fixture.h. */
#include "suspend_fixture.h"

#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct segue_mapping closed;
static bool stop;

void announce(struct worker *worker)
{
    if (worker->block)
        pthread_sigmask(SIG_BLOCK, worker->block, NULL);
    __atomic_store_n(&worker->number, segue_thread_self(), __ATOMIC_RELEASE);
}

bool goes_on(struct worker *worker)
{
    __atomic_fetch_add(&worker->rounds, 1, __ATOMIC_RELEASE);
    return !__atomic_load_n(&stop, __ATOMIC_ACQUIRE);
}

void *spin(void *argument)
{
    announce(argument);
    while (goes_on(argument))
        sched_yield();
    return NULL;
}

/* Each round adds one to a word of a page that is closed, by an instruction that must not be done twice. */
void *add_to_closed_page(void *argument)
{
    struct worker *worker = argument;
    announce(worker);
    while (goes_on(worker))
        __atomic_fetch_add((uint64_t *)closed.memory, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

void start(struct worker *worker, void *(*run)(void *))
{
    __atomic_store_n(&worker->number, 0, __ATOMIC_RELEASE);
    assert_int_equal(pthread_create(&worker->thread, NULL, run, worker), 0);
    while (!__atomic_load_n(&worker->number, __ATOMIC_ACQUIRE))
        sched_yield();
}

uint64_t rounds_of(const struct worker *worker)
{
    return __atomic_load_n(&worker->rounds, __ATOMIC_ACQUIRE);
}

void wait_for_round(const struct worker *worker)
{
    uint64_t before = rounds_of(worker);
    while (rounds_of(worker) == before)
        sched_yield();
}

void fixture_begin_with(segue_policy *policy, uint32_t flags)
{
    const struct segue_options options = {.flags = flags};
    struct segue_region region = {
        .window = {.base = (uint64_t)(uintptr_t)closed.memory,
                   .size = PAGE,
                   .kind = SEGUE_WINDOW_ALIAS,
                   .alias = closed.alias},
        .policy = policy,
    };
    alarm(100);
    __atomic_store_n(&stop, false, __ATOMIC_RELEASE);
    memset(closed.alias, 0, PAGE);
    assert_int_equal(segue_suspend_install(NULL), SEGUE_OK);
    assert_int_equal(segue_install(&options), SEGUE_OK);
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    mprotect(closed.memory, PAGE, PROT_NONE);
}

void fixture_begin(segue_policy *policy)
{
    fixture_begin_with(policy, 0);
}

void fixture_end(struct worker *workers, size_t count)
{
    __atomic_store_n(&stop, true, __ATOMIC_RELEASE);
    for (size_t i = 0; i < count; i++)
        pthread_join(workers[i].thread, NULL);
    mprotect(closed.memory, PAGE, PROT_READ | PROT_WRITE);
    assert_int_equal(segue_region_remove(closed.memory), SEGUE_OK);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
    assert_int_equal(segue_suspend_uninstall(), SEGUE_OK);
    alarm(0);
}

int fixture_setup(void **state)
{
    (void)state;
    return segue_mapping_create(NULL, PAGE, &closed) == SEGUE_OK ? 0 : -1;
}
