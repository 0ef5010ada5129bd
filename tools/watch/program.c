/* program.c: see program.h. The program is looked at before it is run: what cannot be preloaded into is refused by
 * name. */
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "tools/support/message.h"
#include "tools/watch/attach/attach.h"
#include "tools/watch/attach/file.h"
#include "tools/watch/attach/masks.h"
#include "tools/watch/loading/loading.h"
#include "tools/watch/loading/remote.h"

#define VERB "watch"
#define EXIT_NOT_FOUND 127
#define EXIT_NOT_RUN 126
#define EXIT_NOT_WATCHED 1
/* A watch takes so many addresses, in bytes. */
#define ADDRESSES (UINT64_C(1) << 30)
/* How often a thread is looked at that is about to end: two seconds together. */
#define HELPER_LOOKS 20000u

static char *joined(const char *folder, const char *name)
{
    char *path;
    if (asprintf(&path, "%s/%s", folder, name) < 0)
        abort();
    return path;
}

/* ---- what is run ---- */

/* As execvp finds it; to be freed. NULL if there is no such file. */
static char *find_program(const char *name)
{
    if (strchr(name, '/'))
        return access(name, F_OK) == 0 ? strdup(name) : NULL;
    const char *path = getenv("PATH");
    for (const char *at = path ? path : "/usr/bin:/bin"; *at;) {
        size_t length = strcspn(at, ":");
        char *folder = length ? strndup(at, length) : strdup("."), *file = joined(folder, name);
        free(folder);
        if (access(file, X_OK) == 0)
            return file;
        free(file);
        at += length + (at[length] == ':');
    }
    return NULL;
}

static const char *refusal(const char *path, bool has_heap)
{
    struct stat status;
    if (stat(path, &status) == 0 && (status.st_mode & (S_ISUID | S_ISGID)) && geteuid() != 0)
        return "it is setuid or setgid: the loader preloads nothing into it; run it as its owner";
    if (getxattr(path, "security.capability", NULL, 0) > 0 && geteuid() != 0)
        return "it has file capabilities: the loader preloads nothing into it";
    const enum file_kind kind = file_kind(path);
    if (kind == FILE_STATIC && has_heap)
        return "it is linked statically: its allocator cannot be seen; watch it without heap:SIZE and heap@FUNCTION";
    return kind == FILE_FOREIGN ? "it is not a program for x86-64" : NULL;
}

/* ---- what is preloaded ---- */

/* In the build tree of this command, or where it is installed; to be freed. NULL if it is not there. */
static char *find_library(const char *in_build, const char *name)
{
    char *self = realpath("/proc/self/exe", NULL);
    char *path = self ? joined(dirname(self), in_build) : NULL;
    free(self);
    if (path && access(path, R_OK) == 0)
        return path;
    free(path);
    path = joined(SEGUE_WATCH_FOLDER, name);
    if (access(path, R_OK) == 0)
        return path;
    free(path);
    return NULL;
}

/* libsegue-sigchain.so, libsegue-watch.so, and libsegue-heap.so or NULL. */
#define LIBRARIES 3

static bool find_libraries(bool has_heap, char *libraries[LIBRARIES])
{
    libraries[0] = find_library("../libsegue-sigchain.so", "libsegue-sigchain.so");
    libraries[1] = find_library("libsegue-watch.so", "libsegue-watch.so");
    libraries[2] = has_heap ? find_library("libsegue-heap.so", "libsegue-heap.so") : NULL;
    return libraries[0] && libraries[1] && (libraries[2] || !has_heap);
}

static void set_environment(int file, char *const libraries[LIBRARIES])
{
    const char *before = getenv("LD_PRELOAD");
    char *preload, descriptor[16];
    if (asprintf(&preload, "%s:%s%s%s%s%s", libraries[0], libraries[1], libraries[2] ? ":" : "",
                 libraries[2] ? libraries[2] : "", before && *before ? ":" : "", before ? before : "") < 0)
        abort();
    snprintf(descriptor, sizeof descriptor, "%d", file);
    setenv("LD_PRELOAD", preload, 1);
    setenv(SHARED_PRELOAD, before ? before : "", 1);
    setenv(SHARED_DESCRIPTOR, descriptor, 1);
}

/* The memory is a file: for the moment of one call the soft limit on a file's length is the hard one. */
static bool set_length(int file, size_t size)
{
    struct rlimit before;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    bool is_limited = getrlimit(RLIMIT_FSIZE, &before) == 0 && before.rlim_cur < size;
    if (is_limited)
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){before.rlim_max, before.rlim_max});
    bool is_set = ftruncate(file, (off_t)size) == 0;
    const int error = errno;
    if (is_limited)
        setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, handler);
    errno = error;
    return is_set;
}

/* Keeps a descriptor of its own. False, with a message, if there is no memory. */
static bool map_shared(struct program *program, int file)
{
    void *memory = MAP_FAILED;
    program->memory = file >= 0 ? fcntl(file, F_DUPFD_CLOEXEC, 0) : -1;
    if (program->memory >= 0)
        memory = mmap(NULL, shared_size(), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (memory == MAP_FAILED) {
        complain(VERB, "there is no memory for the queue: %s", strerror(errno));
        return false;
    }
    program->shared = memory;
    return true;
}

static bool make_shared(struct program *program, int *file)
{
    *file = memfd_create("segue-watch", MFD_ALLOW_SEALING);
    if (*file >= 0 && !set_length(*file, shared_size())) {
        const int error = errno;
        close(*file);
        errno = error;
        *file = -1;
    }
    if (!map_shared(program, *file))
        return false;
    program->shared->command = (uint32_t)getpid();
    return true;
}

static void pause_a_moment(void)
{
    static const struct timespec moment = {.tv_nsec = 100000};
    nanosleep(&moment, NULL);
}

/* In place of the error of an exec. */
#define CANNOT_TRACE (-1)

/* The pipe has the error of an exec that failed, and is closed by one that did not. */
static int error_of_exec(int pipe)
{
    int error = 0;
    ssize_t size = read(pipe, &error, sizeof error);
    close(pipe);
    return size == (ssize_t)sizeof error ? error : 0;
}

static void run_in_child(char **arguments, const char *path, bool is_static, int to)
{
    int error;
    if (is_static && !remote_prepare()) {
        error = CANNOT_TRACE;
    } else {
        execv(path, arguments);
        error = errno;
    }
    if (write(to, &error, sizeof error) < 0)
        _exit(EXIT_NOT_RUN);
    _exit(EXIT_NOT_RUN);
}

/* The thread that is the side of a program that ran already: it ends a moment after it has left, or failed. */
static bool helper_is_there(const struct program *program)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%u", (int)program->process, program->shared->helper);
    return access(path, F_OK) == 0;
}

/* The process may be stopped. */
static void wait_for_helper(const struct program *program)
{
    for (unsigned i = 0; i < HELPER_LOOKS && helper_is_there(program); i++)
        pause_a_moment();
}

/* Until the program's side is ready. */
static bool wait_for(struct program *program, enum shared_state state)
{
    uint32_t present;
    while ((present = __atomic_load_n(&program->shared->state, __ATOMIC_ACQUIRE)) < (uint32_t)state) {
        if (program_has_ended(program))
            return false;
        /* Threads are made meanwhile, such as an allocator's. */
        if (program->attached && state == SHARED_WATCHED)
            masks_open(program->code, program->shared);
        pause_a_moment();
    }
    return present == (uint32_t)state;
}

/* How the program is run. */
struct start {
    char **arguments;
    const char *path, *agent;
    int file;
    bool is_static;
};

static void complain_of_exec(const struct start *start, int error)
{
    if (error == CANNOT_TRACE)
        complain(VERB, "%s cannot be watched: it is linked statically, and the system lets no process be traced",
                 start->arguments[0]);
    else
        complain(VERB, "%s cannot be run: %s", start->arguments[0], strerror(error));
}

static bool run(struct program *program, const struct start *start, int *code)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0 || (program->process = fork()) < 0) {
        complain(VERB, "no process can be made: %s", strerror(errno));
        return false;
    }
    if (program->process == 0)
        run_in_child(start->arguments, start->path, start->is_static, ends[1]);
    close(ends[1]);
    close(start->file);
    int error = error_of_exec(ends[0]);
    if (error) {
        complain_of_exec(start, error);
        waitpid(program->process, NULL, 0);
        *code = EXIT_NOT_RUN;
        return false;
    }
    const char *why = start->is_static ? loading_begin(program->process, start->agent, start->file) : NULL;
    if (why) {
        complain(VERB, "%s cannot be watched: %s", start->arguments[0], why);
        program_stop(program);
        return false;
    }
    if (wait_for(program, SHARED_READY))
        return true;
    complain(VERB, "%s has ended before it could be watched: nothing was preloaded into it", start->arguments[0]);
    return false;
}

bool program_begin(struct program *program, char **arguments, bool has_heap, int *code)
{
    char *libraries[LIBRARIES];
    int file = -1;
    *program = (struct program){.name = arguments[0]};
    *code = EXIT_NOT_FOUND;
    char *path = find_program(arguments[0]);
    if (!path) {
        complain(VERB, "%s: there is no such program", arguments[0]);
        return false;
    }
    *code = EXIT_NOT_WATCHED;
    const char *why = refusal(path, has_heap);
    const bool has_libraries = find_libraries(has_heap, libraries);
    if (why)
        complain(VERB, "%s cannot be watched: %s", arguments[0], why);
    else if (!has_libraries)
        complain(VERB, "libsegue-watch.so, libsegue-sigchain.so or libsegue-heap.so is not in %s; install Segue",
                 SEGUE_WATCH_FOLDER);
    bool is_ready = !why && has_libraries && make_shared(program, &file);
    if (is_ready) {
        const bool is_static = file_kind(path) == FILE_STATIC;
        if (!is_static)
            set_environment(file, libraries);
        is_ready = run(program, &(struct start){arguments, path, libraries[1], file, is_static}, code);
    }
    for (size_t i = 0; i < LIBRARIES; i++)
        free(libraries[i]);
    free(path);
    return is_ready;
}

static void say(struct program *program, enum shared_state state)
{
    __atomic_store_n(&program->shared->state, state, __ATOMIC_RELEASE);
}

/* In a program that ran already: up to where the ranges are watched. False, with a message, if a mask stays closed. */
static bool open_masks(struct program *program)
{
    const bool can = masks_look(program->code, program->shared, program->name);
    if (can)
        say(program, SHARED_GO);
    if (can && !wait_for(program, SHARED_INSTALLED))
        return true;
    if (can && masks_open_all(program->code, program->shared, program->name)) {
        say(program, SHARED_OPENED);
        return true;
    }
    say(program, SHARED_END);
    if (wait_for(program, SHARED_LEFT))
        wait_for_helper(program);
    return false;
}

/* Much of what a watch reserves is never touched, and takes no memory. */
static const char *hint_of_limit(const struct program *program)
{
    struct rlimit limit;
    const bool is_low = program->shared->lacks_memory && prlimit(program->process, RLIMIT_AS, NULL, &limit) == 0 &&
                        limit.rlim_cur < ADDRESSES;
    return is_low ? "; its addresses are limited (ulimit -v), and a watch takes 1 GB of them" : "";
}

bool program_go(struct program *program)
{
    if (program->attached && !open_masks(program))
        return false;
    if (!program->attached)
        say(program, SHARED_GO);
    if (wait_for(program, SHARED_WATCHED)) {
        if (program->shared->lacks_calls)
            complain(VERB, "system calls are not seen, and fail on the watched pages: the kernel has no syscall user "
                           "dispatch, and call sites cannot be replaced");
        /* A terminal sends these to both; the program decides. */
        if (!program->attached) {
            signal(SIGINT, SIG_IGN);
            signal(SIGQUIT, SIG_IGN);
        }
        /* A report that cannot be written any more has an error, and the program goes on. */
        signal(SIGPIPE, SIG_IGN);
        signal(SIGXFSZ, SIG_IGN);
        return true;
    }
    complain(VERB, "%s cannot be watched: %s%s", program->name,
             program->has_ended ? "it has ended" : program->shared->reason,
             program->has_ended ? "" : hint_of_limit(program));
    if (program->attached && !program->has_ended)
        wait_for_helper(program);
    program_stop(program);
    return false;
}

/* ---- a program that runs ---- */

bool program_check(pid_t process)
{
    char *agent = find_library("libsegue-watch.so", "libsegue-watch.so");
    if (!agent)
        complain(VERB, "libsegue-watch.so is not in %s; install Segue", SEGUE_WATCH_FOLDER);
    bool can = agent && attach_check(process, agent);
    free(agent);
    return can;
}

bool program_attach(struct program *program, struct code *code)
{
    static char name[32];
    char path[64];
    char *agent = find_library("libsegue-watch.so", "libsegue-watch.so");
    snprintf(path, sizeof path, "/proc/%d/comm", (int)code->process);
    snprintf(name, sizeof name, "process %d", (int)code->process);
    FILE *from = fopen(path, "re");
    if (from && fgets(name, sizeof name, from))
        name[strcspn(name, "\n")] = 0;
    if (from)
        fclose(from);
    *program = (struct program){.name = name, .process = code->process, .code = code};
    program->attached = (int)syscall(SYS_pidfd_open, code->process, 0);
    if (program->attached < 0) {
        complain(VERB, "process %d cannot be waited for: %s", (int)code->process, strerror(errno));
        free(agent);
        return false;
    }
    int file = agent ? attach(code, agent) : -1;
    free(agent);
    if (file < 0)
        return false;
    const bool is_mapped = map_shared(program, file);
    close(file);
    if (!is_mapped)
        return false;
    if (wait_for(program, SHARED_READY))
        return true;
    complain(VERB, "%s has ended", program->name);
    return false;
}

bool program_detach(struct program *program)
{
    uint32_t watched = SHARED_WATCHED;
    if (__atomic_load_n(&program->shared->state, __ATOMIC_ACQUIRE) == watched)
        masks_open(program->code, program->shared);
    __atomic_compare_exchange_n(&program->shared->state, &watched, SHARED_END, false, __ATOMIC_ACQ_REL,
                                __ATOMIC_ACQUIRE);
    return __atomic_load_n(&program->shared->state, __ATOMIC_ACQUIRE) == SHARED_LEFT && !helper_is_there(program);
}

const char *program_left(const struct program *program)
{
    return program->shared->state == SHARED_LEFT && program->shared->reason[0] ? program->shared->reason : NULL;
}

/* Without the thread that is its side it has executed another program, or ends. */
static bool attached_has_ended(const struct program *program)
{
    struct pollfd end = {.fd = program->attached, .events = POLLIN};
    uint32_t state = program->shared ? __atomic_load_n(&program->shared->state, __ATOMIC_ACQUIRE) : SHARED_BEGUN;
    if (poll(&end, 1, 0) != 0)
        return true;
    if (state < SHARED_WATCHED || state == SHARED_LEFT)
        return false;
    return !helper_is_there(program) && __atomic_load_n(&program->shared->state, __ATOMIC_ACQUIRE) != SHARED_LEFT;
}

bool program_has_ended(struct program *program)
{
    if (!program->has_ended && program->attached)
        program->has_ended = attached_has_ended(program);
    else if (!program->has_ended)
        program->has_ended = waitpid(program->process, &program->status, WNOHANG) != 0;
    return program->has_ended;
}

void program_stop(struct program *program)
{
    if (!program->has_ended && !program->attached) {
        kill(program->process, SIGKILL);
        waitpid(program->process, &program->status, 0);
    }
    program->has_ended = true;
}

/* Memory that a process can write to cannot be sealed against that. */
bool program_has_children(struct program *program)
{
    munmap(program->shared, shared_size());
    program->shared = NULL;
    const bool has = fcntl(program->memory, F_ADD_SEALS, F_SEAL_WRITE) != 0 && errno == EBUSY;
    close(program->memory);
    return has;
}

int program_leave(const struct program *program)
{
    if (WIFEXITED(program->status))
        return WEXITSTATUS(program->status);
    int number = WTERMSIG(program->status);
    /* The program has left a core file, if one was wanted. */
    const struct rlimit none = {0, 0};
    fflush(NULL);
    setrlimit(RLIMIT_CORE, &none);
    signal(number, SIG_DFL);
    raise(number);
    return 128 + number;
}
