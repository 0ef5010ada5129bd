/* torture.c: threads run hot sites that are made, undone, made again and excluded, in regions that are added, changed,
 * idle and removed; they fork, are suspended, get 20,000 signals a second, leave handlers by siglongjmp, fault in
 * segue_try blocks, begin and end; and a library that they work in is exchanged for another one. Nothing is lost: each
 * result and all memory is what the same code computes on other memory; a handler and a collector see each thread at an
 * instruction of the application, with its registers; and the accesses that are counted or stepped are as many as the
 * work has.
 *
 *     torture [--seed N] [--pieces N] [--rounds N] [--seconds N] [--without BITS] FIRST SECOND
 *
 * FIRST and SECOND are the two libraries. The seed is printed; the same seed makes every thread choose the same again.
 * What one run can show is bounded by the scheduler of the day. Status 0: nothing lost; 1: something was, or it did not
 * end within the seconds. */
#include "torture.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct options options = {.pieces = 20000, .rounds = 10, .seconds = 120};
struct happened happened;

static bool finished;

static enum segue_status visit_nothing(void *context, const struct segue_patch *patch)
{
    *(uint64_t *)context ^= patch->address;
    return SEGUE_OK;
}

static void undo(uint64_t start, uint64_t size)
{
    size_t count;
    enum segue_status status = segue_patches_undo(start, size, &count);
    if (status != SEGUE_OK)
        fail("segue_patches_undo: %s\n", segue_status_name(status));
    happens(&happened.undone, count);
}

static void change_something(struct random *random)
{
    uint64_t seen = 0;
    uint32_t choice = random_below(random, 8);
    if (choice < 3 && !(options.without & WITHOUT_UNDOING)) {
        undo(choice ? work_code(random) : 0, choice ? 1 + random_below(random, 64) : SIZE_MAX);
    } else if (choice == 3 && !(options.without & WITHOUT_CHANGES)) {
        memory_change(random);
    } else if (choice == 4 && !(options.without & WITHOUT_LIBRARIES)) {
        library_exchange(random);
    } else if (choice == 5) {
        segue_patches_list(0, SIZE_MAX, visit_nothing, &seen);
    } else if (choice > 5 && !(options.without & WITHOUT_SUSPENSIONS)) {
        workers_suspend(random);
    }
}

static void *change(void *argument)
{
    struct random random = random_for(~options.seed, (uint64_t)(uintptr_t)argument);
    while (!__atomic_load_n(&finished, __ATOMIC_ACQUIRE)) {
        change_something(&random);
        usleep(random_below(&random, 4000));
    }
    return NULL;
}

/* More than half of the rounds count. Towards the end one place of the code is excluded for good. */
static void run_round(unsigned round)
{
    struct random random = random_for(options.seed, UINT64_MAX - round);
    pthread_t changer;
    if (round)
        memory_set(random_below(&random, 2) ? MODE_COUNT : (enum mode)(1 + random_below(&random, MODES - 1)));
    if (round && round + 2 >= options.rounds &&
        segue_patches_exclude(work_code(&random), 1 + random_below(&random, 32)) != SEGUE_OK)
        fail("segue_patches_exclude\n");
    uint64_t before = memory_counted(), expected = happened.accesses;
    finished = false;
    pthread_create(&changer, NULL, change, (void *)(uintptr_t)round);
    workers_run(round);
    __atomic_store_n(&finished, true, __ATOMIC_RELEASE);
    pthread_join(changer, NULL);
    memory_check();
    uint64_t counted = memory_counted() - before;
    expected = happened.accesses - expected;
    if (memory_counts() && counted != expected)
        fail("round %u: %" PRIu64 " accesses are counted in place of %" PRIu64 "\n", round, counted, expected);
}

static void on_alarm(int number)
{
    static const char text[] = "torture: it did not end in time\n";
    (void)number;
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    _exit(1);
}

static void read_options(int count, char **arguments)
{
    struct timespec now;
    unsigned named = 0;
    clock_gettime(CLOCK_REALTIME, &now);
    options.seed = (uint64_t)now.tv_nsec * 1000003u ^ (uint64_t)now.tv_sec;
    for (int i = 1; i < count; i++) {
        char *end = "";
        uint64_t value = i + 1 < count ? strtoull(arguments[i + 1], &end, 0) : 0;
        if (arguments[i][0] != '-' && named < 2) {
            options.libraries[named++] = arguments[i];
            continue;
        }
        if (strcmp(arguments[i], "--seed") == 0)
            options.seed = value;
        else if (strcmp(arguments[i], "--pieces") == 0)
            options.pieces = value;
        else if (strcmp(arguments[i], "--rounds") == 0)
            options.rounds = (unsigned)value;
        else if (strcmp(arguments[i], "--seconds") == 0)
            options.seconds = (unsigned)value;
        else if (strcmp(arguments[i], "--without") == 0)
            options.without = value;
        else
            end = "?";
        if (*end)
            named = 3;
        i++;
    }
    if (named != 2) {
        fprintf(stderr,
                "usage: torture [--seed N] [--pieces N] [--rounds N] [--seconds N] [--without BITS] FIRST SECOND\n");
        exit(2);
    }
}

static void must(enum segue_status status, const char *what)
{
    if (status == SEGUE_OK)
        return;
    fprintf(stderr, "torture: %s: %s\n", what, segue_status_name(status));
    exit(1);
}

int main(int count, char **arguments)
{
    read_options(count, arguments);
    printf("seed %#" PRIx64 ", %u rounds of %" PRIu64 " pieces by %u threads\n", options.seed, options.rounds,
           options.pieces, WORKERS);
    fflush(stdout);
    signal(SIGALRM, on_alarm);
    alarm(options.seconds);
    must(segue_suspend_install(NULL), "segue_suspend_install");
    must(segue_install(NULL), "segue_install");
    memory_prepare();
    workers_prepare();
    struct random random = random_for(options.seed, 0);
    library_exchange(&random);
    for (unsigned round = 0; round < options.rounds; round++)
        run_round(round);
    const struct happened *all = &happened;
    printf("%" PRIu64 " pieces, %" PRIu64 " accesses by %" PRIu64 " threads; %" PRIu64 " signals, %" PRIu64
           " in a body, %" PRIu64 " left by siglongjmp; %" PRIu64 " suspensions, %" PRIu64
           " of them in a fault; %" PRIu64 " forks\n",
           all->pieces, all->accesses, all->lives, all->ticks, all->translated, all->jumps, all->suspensions,
           all->suspended_in_fault, all->forks);
    printf("%" PRIu64 " sites undone, %" PRIu64 " updates, %" PRIu64 " idle times, %" PRIu64 " short regions; %" PRIu64
           " questions, %" PRIu64 " of them in a fault; %" PRIu64 " libraries, %" PRIu64 " in the last one's place; "
           "%" PRIu64 " constants; %" PRIu64 " failures\n",
           all->undone, all->updates, all->idles, all->own_regions, all->asked + all->asked_ordinarily,
           all->asked_ordinarily, all->exchanges, all->same_places, memory_constants(), failures);
    return failures != 0;
}
