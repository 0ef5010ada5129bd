/* log.c: the log of examples/collector, with so few entries that a handler which interrupts a barrier overtakes it:
 * afterwards each entry is of its last turn. */
#define LOG_MOST UINT64_C(4)
/* What is logged is private to that file. */
#include "examples/collector/collector.c" /* NOLINT(bugprone-suspicious-include) */

#include <signal.h>
#include <sys/time.h>

#define SIGNALS 5000u
#define WORDS 8

static uint64_t words[WORDS];
static volatile unsigned signals;

static void overtake(int number)
{
    (void)number;
    log_words(words, words + WORDS);
    signals = signals + 1;
}

/* How many entries are not what was logged last. */
static unsigned count_wrong(void)
{
    uint64_t end;
    unsigned wrong;
    do {
        end = __atomic_load_n(&log_end, __ATOMIC_ACQUIRE);
        wrong = 0;
        for (uint64_t index = end - LOG_MOST; index < end; index++)
            wrong += __atomic_load_n(&overwritten[index % LOG_MOST], __ATOMIC_ACQUIRE) >> CELL_BITS != turn_of(index);
    } while (__atomic_load_n(&log_end, __ATOMIC_ACQUIRE) != end);
    return wrong;
}

int main(void)
{
    static uint64_t entries[LOG_MOST];
    const struct sigaction action = {.sa_handler = overtake, .sa_flags = SA_RESTART};
    const struct itimerval often = {{0, 50}, {0, 50}}, never = {{0, 0}, {0, 0}};
    unsigned wrong = 0;
    uint64_t own = 0;
    overwritten = entries;
    heap.mapping = (struct segue_mapping){.memory = words, .size = sizeof words};
    for (size_t i = 0; i < WORDS; i++)
        words[i] = (uint64_t)(uintptr_t)words;
    log_words(words, words + WORDS);
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    for (; signals < SIGNALS; own++) {
        log_words(words, words + 1);
        wrong += count_wrong();
    }
    setitimer(ITIMER_REAL, &never, NULL);
    printf("%llu entries, %u wrong\n", (unsigned long long)log_end, wrong);
    return wrong || log_end != own + (signals + UINT64_C(1)) * WORDS;
}
