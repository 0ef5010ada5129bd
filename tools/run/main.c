/* main.c: segue-run, which `segue run` and the programs under it are run by. It stands in the program's process, of
 * which the program then takes the place.
 *
 *      segue-run [OPTION...] PROGRAM [ARGUMENT...]
 *      segue-run --inherit STATE PATH ARGUMENT...      as exec_linux.c puts it together */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/rseq.h>
#include <unistd.h>

#include "../command_line/command_line.h"
#include "actions.h"
#include "call_linux_x86_64.h"
#include "detour.h"
#include "fault.h"
#include "identity.h"
#include "keys.h"
#include "loader.h"
#include "module.h"
#include "report.h"
#include "script.h"
#include "settings.h"
#include "stack.h"

#define FSGSBASE 2u
#define RSEQ_FLAG_UNREGISTER 1
#define RSEQ_AREA 32

extern char **environ;

/* ---- the command line ---- */

/* As misuse of the command's other verbs, with the exit status that is this one's. */
#define report_misuse(...) (report_message(__VA_ARGS__), end_of_misuse())

static _Noreturn void end_of_misuse(void)
{
    dprintf(STDERR_FILENO, "Try: segue help run\n");
    _exit(EXIT_RUNNER);
}

/* trap, rewrite, rewrite:NUMBER */
static void read_calls(const char *how)
{
    char *end = NULL;
    settings.calls_met = 0;
    if (strcmp(how, "trap") == 0)
        return;
    settings.calls_met = CALLS_MET;
    if (strcmp(how, "rewrite") == 0)
        return;
    unsigned long met = strncmp(how, "rewrite:", 8) == 0 && isdigit(how[8]) ? strtoul(how + 8, &end, 10) : 0;
    if (met == 0 || met > 1000000 || *end)
        report_misuse("--syscalls takes trap, rewrite, or rewrite:NUMBER with a number from 1 to 1000000, not %s", how);
    settings.calls_met = (unsigned)met;
}

static int read_options(int count_, char **arguments)
{
    struct command_line line;
    int option;
    command_line_begin(&line, &run_words, count_, arguments);
    while ((option = command_line_next(&line)) != COMMAND_LINE_END) {
        switch (option) {
        case RUN_STATS:
            if (optarg && strcmp(optarg, "json") != 0)
                report_misuse("--stats takes json or nothing, not %s", optarg);
            settings.statistics = optarg ? STATISTICS_JSON : STATISTICS_TEXT;
            break;
        case RUN_TRACE:
            settings.trace = true;
            break;
        case RUN_EAGER:
            settings.rewriting = REWRITE_EAGERLY;
            break;
        case RUN_LAZY:
            settings.rewriting = REWRITE_LAZILY;
            break;
        case RUN_NO_FOLLOW:
            settings.no_follow = true;
            break;
        case RUN_SYSCALLS:
            read_calls(optarg);
            break;
        default:
            report_misuse("%s", line.problem);
        }
    }
    return optind;
}

/* What add_state of exec_linux.c has written. */
static void read_state(const char *state)
{
    char *end;
    settings.statistics = (enum statistics)(state[0] - '0');
    settings.rewriting = (enum rewriting)(state[1] - '0');
    settings.trace = state[2] == '1';
    settings.inherited_blocked = (unsigned)(state[3] - 'a');
    settings.inherited_ignored = (unsigned)(state[4] - 'a');
    settings.calls_met = (unsigned)strtoul(state + 5, &end, 10);
    settings.process = atoi(end + 1);
    if (settings.process != getpid())
        settings.statistics = STATISTICS_NONE;
}

/* 0, or why the kernel would not execute the file, an error number. */
static int why_not_executable(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return errno;
    if (!S_ISREG(status.st_mode))
        return S_ISDIR(status.st_mode) ? EISDIR : EACCES;
    return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

/* The file that execvp would run; to be kept. */
static const char *search(const char *name)
{
    const char *folders = getenv("PATH");
    bool is_there = false;
    if (strchr(name, '/'))
        return name;
    for (const char *at = folders ? folders : "/bin:/usr/bin"; *at; at += strspn(at, ":")) {
        size_t length = strcspn(at, ":");
        char *path;
        if (asprintf(&path, "%.*s/%s", (int)length, at, name) < 0)
            abort();
        int error = why_not_executable(path);
        if (!error)
            return path;
        is_there |= error == EACCES;
        free(path);
        at += length;
    }
    report_message("cannot run %s: %s", name, is_there ? "it is not executable" : "there is no such program");
    _exit(is_there ? EXIT_NOT_EXECUTABLE : EXIT_NOT_FOUND);
}

/* `script`: what has named `path` as its interpreter; NULL if the user has. */
static _Noreturn void refuse(const char *path, const char *script, int error)
{
    if (script)
        report_message("cannot run %s: its interpreter %s: %s", script, path, strerror(error));
    else
        report_message("cannot run %s: %s", path, strerror(error));
    _exit(error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE);
}

/* If the program is a script, what is run is its interpreter, with more arguments; to be kept. */
static bool resolve_script(const char **path, char ***arguments, const char *script)
{
    char head[SCRIPT_HEAD + 1] = {0}, *interpreter, *argument;
    int error = why_not_executable(*path);
    if (error)
        refuse(*path, script, error);
    int file = open(*path, O_RDONLY | O_CLOEXEC);
    if (file < 0 && errno == EACCES) {
        report_message("cannot run %s: it may be executed and not read, and here it has to be read", *path);
        _exit(EXIT_NOT_EXECUTABLE);
    }
    if (file < 0)
        refuse(*path, script, errno);
    struct stat status;
    ssize_t size = read(file, head, SCRIPT_HEAD);
    bool gains = fstat(file, &status) == 0 && S_ISREG(status.st_mode) && identity_is_gained(&status);
    close(file);
    if (size < 2 || !script_split(head, &interpreter, &argument)) {
        if (!gains)
            return false;
        report_message(IDENTITY_REFUSAL, *path);
        _exit(EXIT_NOT_EXECUTABLE);
    }
    size_t number = 0, held = 0;
    while ((*arguments)[number])
        number++;
    char **list = calloc(number + 4, sizeof *list);
    if (!list)
        abort();
    list[held++] = strdup(interpreter);
    if (argument)
        list[held++] = strdup(argument);
    list[held++] = (char *)(uintptr_t)*path;
    memcpy(list + held, *arguments + 1, number * sizeof *list);
    *path = list[0];
    *arguments = list;
    return true;
}

/* ---- the process ---- */

/* The kernel's record of restartable sequences is the program's. */
static void give_up_rseq(void)
{
    if (__rseq_size)
        system_call4(SYS_rseq, (long)((char *)__builtin_thread_pointer() + __rseq_offset), RSEQ_AREA,
                     RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
}

static void name_process(const char *path)
{
    const char *slash = strrchr(path, '/');
    prctl(PR_SET_NAME, slash ? slash + 1 : path);
}

static void check_machine(void)
{
    if (!(getauxval(AT_HWCAP2) & FSGSBASE))
        report_fatal("this kernel does not let programs set segment bases (FSGSBASE)");
}

static uint64_t block_signals(void)
{
    const uint64_t all = UINT64_MAX;
    uint64_t before = 0;
    system_call4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&before, sizeof all);
    return before;
}

/* The first call that is trapped brings the thread into the handler, which starts the program. */
static _Noreturn void start(struct thread *thread, const struct image *image, uint64_t stack)
{
    thread->start_instruction = image->start;
    thread->start_stack = stack;
    uint64_t forced = FORCED_SIGNALS;
    thread_begins(thread);
    thread_arm_stack(thread);
    system_call4(SYS_rt_sigprocmask, SIG_UNBLOCK, (long)&forced, 0, sizeof forced);
    if (!thread_arm_calls(thread))
        report_fatal("this kernel does not dispatch system calls to programs (Linux 5.11)");
    thread->selector = SELECTOR_BLOCK;
    system_call3(SYS_getpid, 0, 0, 0);
    __builtin_unreachable();
}

static _Noreturn void run(const char *path, char **arguments)
{
    struct image image;
    uint64_t mask = block_signals();
    check_machine();
    keys_prepare();
    module_prepare();
    settings.path = path;
    if (!realpath(path, settings.real_path))
        strncpy(settings.real_path, path, sizeof settings.real_path - 1);
    loader_map(path, &image);
    struct thread *thread = thread_prepare() ? thread_first() : NULL;
    if (!report_prepare() || !thread || !fault_begin() || !detour_prepare())
        report_fatal("there is no memory for the host");
    thread->mask = mask;
    thread->alternate.ss_flags = SS_DISABLE;
    give_up_rseq();
    name_process(path);
    uint64_t stack = stack_build(arguments, environ, path, &image);
    thread->actions = actions_begin();
    if (!thread->actions)
        report_fatal("there is no memory for the host");
    actions_inherit(thread, settings.inherited_blocked, settings.inherited_ignored);
    start(thread, &image, stack);
}

int main(int argument_count, char **arguments)
{
    if (argument_count > 4 && strcmp(arguments[1], "--inherit") == 0) {
        read_state(arguments[2]);
        run(arguments[3], arguments + 4);
    }
    settings.process = getpid();
    int first = read_options(argument_count, arguments);
    if (first >= argument_count)
        report_misuse("there is no program to run");
    arguments += first;
    const char *path = search(arguments[0]), *script = NULL;
    for (unsigned depth = 0;; depth++) {
        const char *resolved = path;
        if (!resolve_script(&path, &arguments, script))
            break;
        if (depth == SCRIPT_DEPTH)
            refuse(path, resolved, ELOOP);
        script = resolved;
    }
    run(path, arguments);
}
