/* output.c: the files that the command writes.
 *
 * A file being made has no name (O_TMPFILE), so that nothing of it is left whatever ends the process; where the file
 * system has no such files, a name for now. It gets its own by rename, which replaces what was there in one go. */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include "output_names.h"
#include "tools/support/message.h"

/* How long another run may take to put its files in place: attempts, and nanoseconds between two. */
#define LOCK_ATTEMPTS 2000
#define LOCK_PAUSE 5000000

/* --- Names. --- */

void output_make_temporary_name(char name[OUTPUT_TEMPORARY_SIZE])
{
    static uint64_t last;
    uint64_t number = 0;
    if (getrandom(&number, sizeof number, GRND_NONBLOCK) != sizeof number)
        number = ((uint64_t)getpid() << 32) + __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
    snprintf(name, OUTPUT_TEMPORARY_SIZE, ".segue-%016" PRIx64 ".tmp", number);
}

void output_claim_descriptors(void)
{
    for (int file = STDIN_FILENO; file <= STDERR_FILENO; file++)
        if (fcntl(file, F_GETFD) < 0 && errno == EBADF &&
            open("/dev/null", file == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
            return;
}

/* --- Files that have a name for now, and signals. --- */

/* Held while a file is given a name, and while files are put in place. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct output *named;

static void note_name(struct output *output)
{
    output->next = named;
    named = output;
}

static void forget_name(struct output *output)
{
    output->temporary[0] = 0;
    for (struct output **at = &named; *at; at = &(*at)->next)
        if (*at == output) {
            *at = output->next;
            return;
        }
}

/* With the lock held for good: nothing more gets a name. */
static void end_by(int number)
{
    sigset_t only;
    for (struct output *output = named; output; output = output->next)
        unlinkat(output->folder, output->temporary, 0);
    signal(number, SIG_DFL);
    sigemptyset(&only);
    sigaddset(&only, number);
    pthread_sigmask(SIG_UNBLOCK, &only, NULL);
    raise(number);
    _exit(128 + number);
}

static void *wait_for_signals(void *signals)
{
    int number;
    while (sigwait(signals, &number) != 0)
        continue;
    pthread_mutex_lock(&lock);
    end_by(number);
    return NULL;
}

void output_survive_signals(void)
{
    static const int all[] = {SIGINT, SIGTERM, SIGHUP};
    static sigset_t signals;
    struct sigaction action;
    pthread_t thread;
    sigemptyset(&signals);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (sigaction(all[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            sigaddset(&signals, all[i]);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    if (pthread_create(&thread, NULL, wait_for_signals, &signals) != 0)
        pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
    else
        pthread_detach(thread);
}

/* --- Beginning. --- */

static bool fail(const struct output *output, int error)
{
    complain(output->verb, "cannot write %s: %s", output->path, strerror(error));
    return false;
}

/* Whether a file without a name can get one. */
static bool can_be_linked(int file)
{
    struct stat status;
    char path[40];
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    return stat(path, &status) == 0;
}

static bool open_unnamed(struct output *output)
{
    output->file = openat(output->folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (output->file >= 0 && !can_be_linked(output->file)) {
        close(output->file);
        output->file = -1;
    }
    return output->file >= 0;
}

static bool open_named(struct output *output)
{
    pthread_mutex_lock(&lock);
    output_make_temporary_name(output->temporary);
    output->file = openat(output->folder, output->temporary, O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0600);
    int error = errno;
    if (output->file >= 0)
        note_name(output);
    else
        output->temporary[0] = 0;
    pthread_mutex_unlock(&lock);
    errno = error;
    return output->file >= 0;
}

/* A folder that may not be read, but written in, is good enough; it cannot be put on the disk by itself then. */
static int open_folder(int folder, const char *path)
{
    int opened = openat(folder, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return opened >= 0 || errno != EACCES ? opened : openat(folder, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

bool output_begin_at(struct output *output, const char *verb, int folder, const char *name, const char *path)
{
    *output = (struct output){.verb = verb, .path = path, .file = -1, .name = strdup(name)};
    if (!output->name)
        abort();
    output->folder = open_folder(folder, ".");
    if (output->folder >= 0 && (open_unnamed(output) || open_named(output)))
        return true;
    fail(output, errno);
    output_abandon(output);
    return false;
}

bool output_begin(struct output *output, const char *verb, const char *path)
{
    char *resolved = output_resolve(verb, path);
    bool begun = false;
    *output = (struct output){.file = -1, .folder = -1};
    if (resolved) {
        char *slash = strrchr(resolved, '/');
        *slash = 0;
        int folder = open_folder(AT_FDCWD, slash == resolved ? "/" : resolved);
        if (folder >= 0)
            begun = output_begin_at(output, verb, folder, slash + 1, path);
        else
            complain(verb, "cannot write %s: %s", path, strerror(errno));
        if (folder >= 0)
            close(folder);
    }
    free(resolved);
    return begun;
}

void output_abandon(struct output *output)
{
    pthread_mutex_lock(&lock);
    if (output->temporary[0]) {
        unlinkat(output->folder, output->temporary, 0);
        forget_name(output);
    }
    pthread_mutex_unlock(&lock);
    if (output->file >= 0)
        close(output->file);
    if (output->folder >= 0)
        close(output->folder);
    free(output->name);
    *output = (struct output){.file = -1, .folder = -1};
}

/* --- Ending. --- */

static mode_t default_mode;

/* The system shows it only by changing it: once, for several threads may write. */
static void find_default_mode(void)
{
    mode_t taken = umask(0);
    umask(taken);
    default_mode = 0666 & ~taken;
}

bool output_put_on_disk(struct output *output)
{
    return fsync(output->file) == 0 ? true : fail(output, errno);
}

bool output_finish_new(struct output *output)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, find_default_mode);
    return fchmod(output->file, default_mode) == 0 ? output_put_on_disk(output) : fail(output, errno);
}

/* With the lock held. */
static bool give_name(struct output *output)
{
    char path[40];
    if (output->temporary[0])
        return true;
    snprintf(path, sizeof path, "/proc/self/fd/%d", output->file);
    output_make_temporary_name(output->temporary);
    if (linkat(AT_FDCWD, path, output->folder, output->temporary, AT_SYMLINK_FOLLOW) != 0) {
        output->temporary[0] = 0;
        return false;
    }
    note_name(output);
    return true;
}

/* What stands there may be replaced if it is a file or a link. */
static bool may_replace(const struct output *output)
{
    struct stat status;
    if (fstatat(output->folder, output->name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT;
    errno = S_ISDIR(status.st_mode) ? EISDIR : EEXIST;
    return S_ISREG(status.st_mode) || S_ISLNK(status.st_mode);
}

/* The same where the file system exchanges no names: what was there gets a second one first. */
static bool place_beside(struct output *output)
{
    char second[OUTPUT_TEMPORARY_SIZE];
    output_make_temporary_name(second);
    if (linkat(output->folder, output->name, output->folder, second, 0) != 0)
        return false;
    if (renameat(output->folder, output->temporary, output->folder, output->name) != 0) {
        int error = errno;
        unlinkat(output->folder, second, 0);
        errno = error;
        return false;
    }
    memcpy(output->temporary, second, sizeof second);
    output->has_exchanged = true;
    return true;
}

/* Puts a file in place so that it can be taken back: what was there gets the name for now. */
static bool place_for_now(struct output *output)
{
    if (!may_replace(output))
        return false;
    if (renameat2(output->folder, output->temporary, output->folder, output->name, RENAME_EXCHANGE) == 0) {
        output->has_exchanged = true;
        return true;
    }
    if (errno == ENOENT)
        return renameat(output->folder, output->temporary, output->folder, output->name) == 0;
    return (errno == EINVAL || errno == ENOSYS) && place_beside(output);
}

static void take_back(struct output *output)
{
    if (!output->has_exchanged)
        unlinkat(output->folder, output->name, 0);
    else if (renameat2(output->folder, output->temporary, output->folder, output->name, RENAME_EXCHANGE) != 0)
        renameat(output->folder, output->temporary, output->folder, output->name);
}

static bool place_for_good(struct output *output)
{
    return may_replace(output) && renameat(output->folder, output->temporary, output->folder, output->name) == 0;
}

/* That a file has its name is on the disk. Not every file system knows how to say so. */
static bool sync_folder(const struct output *output)
{
    return fsync(output->folder) == 0 || errno == EINVAL || errno == EROFS || errno == ENOTSUP || errno == EBADF;
}

static bool place(struct output *output, bool is_last)
{
    if (!give_name(output))
        return false;
    if (is_last)
        return place_for_good(output);
    if (!place_for_now(output))
        return false;
    if (sync_folder(output))
        return true;
    int error = errno;
    take_back(output);
    errno = error;
    return false;
}

/* Puts them in place. If one cannot be, those before it are taken back, and it is returned. */
static struct output *place_all(struct output *const *outputs, size_t count)
{
    size_t at = 0;
    while (at < count && (!outputs[at] || place(outputs[at], at + 1 == count)))
        at++;
    if (at == count)
        return NULL;
    int error = errno;
    for (size_t before = at; before-- > 0;)
        if (outputs[before])
            take_back(outputs[before]);
    errno = error;
    return outputs[at];
}

/* Two runs that write the same pair of files may not each leave one of it. */
static bool lock_folder(const struct output *output)
{
    for (unsigned i = 0; i < LOCK_ATTEMPTS; i++) {
        if (flock(output->folder, LOCK_EX | LOCK_NB) == 0)
            return true;
        if (errno != EWOULDBLOCK && errno != EINTR)
            return true;
        nanosleep(&(struct timespec){.tv_nsec = LOCK_PAUSE}, NULL);
    }
    errno = EBUSY;
    return false;
}

bool output_commit(struct output *const *outputs, size_t count, enum output_sync sync)
{
    /* One thread at a time waits for other runs. */
    static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
    struct output *failed = NULL;
    size_t there = 0;
    if (count == 0)
        return true;
    pthread_mutex_lock(&turn);
    for (size_t i = 0; i < count; i++)
        there += outputs[i] != NULL;
    if (there > 1 && !lock_folder(outputs[count - 1]))
        failed = outputs[count - 1];
    int error = errno;
    pthread_mutex_lock(&lock);
    if (!failed && (failed = place_all(outputs, count)) != NULL)
        error = errno;
    /* What has its own name now has no other; what was exchanged is removed by its name for now. */
    for (size_t i = 0; !failed && i < count; i++)
        if (outputs[i] && !outputs[i]->has_exchanged)
            forget_name(outputs[i]);
    pthread_mutex_unlock(&lock);
    if (there > 1)
        flock(outputs[count - 1]->folder, LOCK_UN);
    pthread_mutex_unlock(&turn);
    /* The last one stands by its name; that this could not be written down takes nothing back. */
    if (!failed && sync == OUTPUT_SYNC_NOW && !sync_folder(outputs[count - 1])) {
        failed = outputs[count - 1];
        error = errno;
    }
    if (failed)
        fail(failed, error);
    for (size_t i = 0; i < count; i++)
        if (outputs[i])
            output_abandon(outputs[i]);
    return !failed;
}

/* --- Whole files. --- */

bool output_put(int file, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    while (size) {
        ssize_t put = write(file, at, size);
        if (put < 0 && errno == EINTR)
            continue;
        if (put == 0)
            errno = ENOSPC;
        if (put <= 0)
            return false;
        at += put;
        size -= (size_t)put;
    }
    return true;
}

bool output_write(const char *verb, const char *path, const void *bytes, size_t size)
{
    struct output output;
    if (!output_begin(&output, verb, path))
        return false;
    bool done = output_put(output.file, bytes, size) ? output_finish_new(&output) : fail(&output, errno);
    if (done)
        return output_commit((struct output *[]){&output}, 1, OUTPUT_SYNC_NOW);
    output_abandon(&output);
    return false;
}
