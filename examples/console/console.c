/* console.c: the live line, numbers, and the end of a program that cannot go on. */
#include "console.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define INTERVAL_NS 100000000
#define SECOND_NS 1000000000
#define LINE_SIZE 160

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    console_writer *writer;
    bool running, ending;
} live = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static struct timespec next_time(void)
{
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    time.tv_nsec += INTERVAL_NS;
    if (time.tv_nsec >= SECOND_NS) {
        time.tv_nsec -= SECOND_NS;
        time.tv_sec++;
    }
    return time;
}

/* A line that is longer would wrap, and what wraps is never cleared. */
static int line_width(void)
{
    struct winsize window;
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 1;
    return known ? window.ws_col - 1 : 79;
}

static void *show_line(void *unused)
{
    (void)unused;
    char line[LINE_SIZE];
    pthread_mutex_lock(&live.lock);
    /* Once at least, also if the program has ended before this thread had its turn. */
    do {
        live.writer(line, sizeof line);
        /* \033[K clears what a longer line before it left over. */
        printf("\r%.*s\033[K", line_width(), line);
        fflush(stdout);
        struct timespec time = next_time();
        if (!live.ending)
            pthread_cond_timedwait(&live.changed, &live.lock, &time);
    } while (!live.ending);
    pthread_mutex_unlock(&live.lock);
    fputs("\r\033[K", stdout);
    fflush(stdout);
    return NULL;
}

void console_live_start(console_writer *writer)
{
    if (live.running || !isatty(STDOUT_FILENO))
        return;
    live.writer = writer;
    live.ending = false;
    /* Signals that the program is sent are not for this thread. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    live.running = pthread_create(&live.thread, NULL, show_line, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void console_live_stop(void)
{
    if (!live.running)
        return;
    pthread_mutex_lock(&live.lock);
    live.ending = true;
    pthread_cond_signal(&live.changed);
    pthread_mutex_unlock(&live.lock);
    pthread_join(live.thread, NULL);
    live.running = false;
}

struct console_number console_grouped(uint64_t number)
{
    char digits[24];
    struct console_number grouped;
    int count = snprintf(digits, sizeof digits, "%" PRIu64, number);
    char *to = grouped.text;
    for (int i = 0; i < count; i++) {
        if (i > 0 && (count - i) % 3 == 0)
            *to++ = ',';
        *to++ = digits[i];
    }
    *to = 0;
    return grouped;
}

uint64_t console_read_number(const char *option, const char *text, uint64_t least, uint64_t most)
{
    char *end = NULL;
    errno = 0;
    uint64_t number = text ? strtoull(text, &end, 10) : 0;
    bool is_number = text && text[0] >= '0' && text[0] <= '9' && *end == 0 && errno == 0;
    if (!is_number || number < least || number > most)
        console_die(2, "%s wants a number from %" PRIu64 " to %" PRIu64 ", not '%s'", option, least, most,
                    text ? text : "");
    return number;
}

int console_end(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    fprintf(stderr, "%s: cannot write to standard output: %s\n", program_invocation_short_name, strerror(errno));
    return EXIT_FAILURE;
}

void console_die(int status, const char *format, ...)
{
    va_list arguments;
    console_live_stop();
    fflush(stdout);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(status);
}
