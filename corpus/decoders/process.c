/* process.c: a program that reads all its input and then ends. */
#include "process.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static bool write_all(int file, const uint8_t *bytes, size_t size)
{
    while (size) {
        ssize_t written = write(file, bytes, size);
        if (written <= 0)
            return false;
        bytes += written;
        size -= (size_t)written;
    }
    return lseek(file, 0, SEEK_SET) == 0;
}

/* The process groups that run now, for the handler of signals that end this process. */
#define GROUPS_MOST 1024
static _Atomic pid_t groups[GROUPS_MOST];

static void end_groups(int number)
{
    for (size_t i = 0; i < GROUPS_MOST; i++)
        if (groups[i] > 0)
            kill(-groups[i], SIGKILL);
    signal(number, SIG_DFL);
    raise(number);
}

static void remember_group(pid_t from, pid_t to)
{
    for (size_t i = 0; i < GROUPS_MOST; i++) {
        pid_t expected = from;
        if (atomic_compare_exchange_strong(&groups[i], &expected, to))
            return;
    }
}

/* Installs the handler: a decoder that never ends must not outlive the check. Signals that the caller ignores stay
 * ignored. */
static void take_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct sigaction action;
        if (sigaction(numbers[i], NULL, &action) == 0 && action.sa_handler == SIG_DFL)
            signal(numbers[i], end_groups);
    }
}

static int spawn(struct corpus_process *process, char *const arguments[])
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    pthread_once(&once, take_signals);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, process->input, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, process->output, STDOUT_FILENO);
    int error = posix_spawnp(&process->process, arguments[0], &actions, &attributes, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (!error)
        remember_group(0, process->process);
    return error;
}

bool corpus_process_start(struct corpus_process *process, char *const arguments[], const void *input, size_t size,
                          struct corpus_limits limits, struct corpus_error *error)
{
    *process = (struct corpus_process){.name = arguments[0], .limits = limits};
    process->input = memfd_create("corpus input", MFD_CLOEXEC);
    process->output = memfd_create("corpus output", MFD_CLOEXEC);
    int number = 0;
    if (process->input < 0 || process->output < 0 || !write_all(process->input, input, size))
        number = errno;
    if (!number)
        number = spawn(process, arguments);
    if (!number)
        return true;
    process->process = 0;
    corpus_process_end(process);
    errno = number;
    return corpus_error_system(error, "cannot run ", arguments[0]);
}

/* What has been written so far. */
struct progress {
    size_t bytes, lines;
    struct timespec last;
};

static double seconds_since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

/* Counts what is new. */
static void look_at_output(const struct corpus_process *process, struct progress *progress)
{
    char buffer[65536];
    ssize_t got;
    size_t before = progress->bytes;
    while ((got = pread(process->output, buffer, sizeof buffer, (off_t)progress->bytes)) > 0) {
        for (ssize_t i = 0; i < got; i++)
            progress->lines += buffer[i] == '\n';
        progress->bytes += (size_t)got;
        /* A program that writes faster than this reads is checked after each buffer, too. */
        if (progress->bytes > process->limits.bytes || progress->lines > process->limits.lines)
            break;
    }
    if (progress->bytes != before)
        clock_gettime(CLOCK_MONOTONIC, &progress->last);
}

/* False, and the error, if the output is beyond its limits. */
static bool is_within(const struct corpus_process *process, const struct progress *progress, struct corpus_error *error)
{
    const struct corpus_limits *limits = &process->limits;
    if (progress->lines > limits->lines)
        return corpus_error_set(error, NULL, process->name,
                                " wrote more than the %zu lines that were wanted, and was ended", limits->lines);
    if (progress->bytes > limits->bytes)
        return corpus_error_set(error, NULL, process->name, " wrote more than %zu bytes, and was ended", limits->bytes);
    if (seconds_since(&progress->last) > limits->patience)
        return corpus_error_set(
            error, NULL, process->name,
            " wrote nothing for %.0f seconds and did not end, so it was ended; --patience gives it more time",
            limits->patience);
    return true;
}

/* False, and the error, if the program had to be killed. */
static bool watch(const struct corpus_process *process, struct corpus_error *error)
{
    struct progress progress = {0};
    struct pollfd ends = {.fd = pidfd_open(process->process, 0), .events = POLLIN};
    bool ok = true;
    clock_gettime(CLOCK_MONOTONIC, &progress.last);
    while (ok && ends.fd >= 0 && poll(&ends, 1, 20) <= 0) {
        look_at_output(process, &progress);
        ok = is_within(process, &progress, error);
    }
    look_at_output(process, &progress);
    if (ok && progress.lines > process->limits.lines)
        ok = is_within(process, &progress, error);
    if (ends.fd >= 0)
        close(ends.fd);
    if (!ok)
        kill(-process->process, SIGKILL);
    return ok;
}

static bool wait_for_end(struct corpus_process *process, struct corpus_error *error)
{
    int status = 0;
    bool ok = watch(process, error);
    while (waitpid(process->process, &status, 0) < 0 && errno == EINTR)
        ;
    remember_group(process->process, 0);
    process->process = 0;
    if (!ok || (WIFEXITED(status) && WEXITSTATUS(status) == 0))
        return ok;
    if (WIFEXITED(status))
        return corpus_error_set(error, NULL, process->name, " ended with exit status %d", WEXITSTATUS(status));
    return corpus_error_set(error, NULL, process->name, " was ended by signal %d", WTERMSIG(status));
}

bool corpus_process_wait(struct corpus_process *process, struct corpus_error *error)
{
    struct stat stat;
    if (!wait_for_end(process, error))
        return false;
    if (fstat(process->output, &stat) != 0 || stat.st_size == 0)
        return true;
    void *text = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, process->output, 0);
    if (text == MAP_FAILED)
        return corpus_error_set(error, "cannot read what ", process->name, " wrote: %s", strerror(errno));
    process->text = text;
    process->text_size = (size_t)stat.st_size;
    return true;
}

void corpus_process_end(struct corpus_process *process)
{
    struct corpus_error ignored;
    if (process->process)
        wait_for_end(process, &ignored);
    if (process->text)
        munmap((void *)process->text, process->text_size);
    if (process->input > 0)
        close(process->input);
    if (process->output > 0)
        close(process->output);
    *process = (struct corpus_process){0};
}
