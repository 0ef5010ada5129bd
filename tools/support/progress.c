/* progress.c: a thread looks at the clock, and at how far the work is. */
#include "progress.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "message.h"

#define BAR_WIDTH 40u
#define DELAY_SECONDS 2
#define PAUSE_NANOSECONDS 200000000

static struct {
    pthread_mutex_t lock;
    pthread_cond_t ended;
    pthread_t thread;
    bool is_shown, is_over, is_drawn;
    const char *_Atomic doing;
    uint64_t total;
    _Atomic uint64_t done;
} progress = {.lock = PTHREAD_MUTEX_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER};

static void draw(void)
{
    uint64_t done = progress.done < progress.total ? progress.done : progress.total;
    double part = progress.total ? (double)done / (double)progress.total : 1;
    unsigned filled = (unsigned)(part * BAR_WIDTH);
    fprintf(stderr, "\r[%.*s%*s] %3u%% %s\033[K", (int)filled, "########################################",
            (int)(BAR_WIDTH - filled), "", (unsigned)(part * 100), progress.doing);
    fflush(stderr);
    message_bar_stands(true);
    progress.is_drawn = true;
}

static void *show(void *unused)
{
    struct timespec next;
    clock_gettime(CLOCK_REALTIME, &next);
    next.tv_sec += DELAY_SECONDS;
    pthread_mutex_lock(&progress.lock);
    while (!progress.is_over) {
        if (pthread_cond_timedwait(&progress.ended, &progress.lock, &next) == 0)
            continue;
        draw();
        clock_gettime(CLOCK_REALTIME, &next);
        next.tv_nsec += PAUSE_NANOSECONDS;
        next.tv_sec += next.tv_nsec / 1000000000;
        next.tv_nsec %= 1000000000;
    }
    if (progress.is_drawn)
        fputs("\r\033[K", stderr);
    message_bar_stands(false);
    pthread_mutex_unlock(&progress.lock);
    return unused;
}

void progress_begin(const char *doing, uint64_t total)
{
    progress.is_over = progress.is_drawn = false;
    progress.doing = doing;
    progress.total = total;
    progress.done = 0;
    progress.is_shown = isatty(STDERR_FILENO) && pthread_create(&progress.thread, NULL, show, NULL) == 0;
}

void progress_turn_to(const char *doing)
{
    progress.doing = doing;
}

void progress_advance(uint64_t steps)
{
    if (progress.is_shown)
        atomic_fetch_add_explicit(&progress.done, steps, memory_order_relaxed);
}

void progress_end(void)
{
    if (!progress.is_shown)
        return;
    pthread_mutex_lock(&progress.lock);
    progress.is_over = true;
    pthread_cond_signal(&progress.ended);
    pthread_mutex_unlock(&progress.lock);
    pthread_join(progress.thread, NULL);
    progress.is_shown = false;
}
