/* main.c: segue-run, the host, with which `segue run` runs a program and the programs that it executes. It is loaded
 * into the program's process, and the program then takes its place.
 *
 *      segue-run [OPTION...] PROGRAM [ARGUMENT...]
 *      segue-run --inherit STATE NAME PATH ARGUMENT...     as exec_linux.c puts it together */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host.h"
#include "platform/linux/abi.h"
#include "platform/linux/calls/table/table.h"
#include "report.h"
#include "tools/run/detours/detour.h"
#include "tools/run/image/loader.h"
#include "tools/run/image/maps.h"
#include "tools/run/image/module.h"
#include "tools/run/image/stack.h"
#include "tools/run/image/target.h"
#include "tools/run/options/options.h"
#include "tools/run/options/settings.h"
#include "tools/run/signals/actions.h"
#include "tools/run/start/start.h"
#include "tools/run/syscalls/call_linux_x86_64.h"
#include "tools/run/syscalls/number.h"

extern char **environ;

/* ---- the command line ---- */

static uint64_t next_number(const char **state)
{
    uint64_t number = number_read(state);
    *state += **state == ',';
    return number;
}

/* Reads what add_state of exec_linux.c has written. Returns the host's descriptor, or -1. */
static int read_state(const char *state, struct source *source)
{
    settings.is_inherited = true;
    settings.statistics = (enum statistics)(state[0] - '0');
    settings.rewriting = (enum rewriting)(state[1] - '0');
    settings.trace = state[2] == '1';
    settings.inherited_blocked = (unsigned)(state[3] - 'a');
    settings.inherited_ignored = (unsigned)(state[4] - 'a');
    state += 5;
    settings.calls_met = (unsigned)next_number(&state);
    settings.process = (int)next_number(&state);
    settings.inherited_mask = next_number(&state);
    int host = (int)next_number(&state) - 1;
    source->file = (int)next_number(&state) - 1;
    source->interpreter = (int)next_number(&state) - 1;
    if (settings.process != getpid())
        settings.statistics = STATISTICS_NONE;
    return host;
}

/* 0, or why the kernel would not execute the file, an error number. */
static int why_not_executable(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return errno;
    if (!S_ISREG(status.st_mode))
        return S_ISDIR(status.st_mode) ? EISDIR : EACCES;
    return (int)-system_call4(SYS_faccessat2, AT_FDCWD, (long)path, X_OK, AT_EACCESS);
}

static const char *environment_value(const char *name)
{
    size_t length = strlen(name);
    for (char **at = environ; *at; at++)
        if (strncmp(*at, name, length) == 0 && (*at)[length] == '=')
            return *at + length + 1;
    return NULL;
}

/* The path of the file that execvp would run; kept. */
static const char *search(const char *name)
{
    static char path[TARGET_PATH];
    const char *folders = environment_value("PATH");
    bool is_there = false;
    if (strchr(name, '/'))
        return name;
    for (const char *at = folders ? folders : "/bin:/usr/bin"; *at; at += strspn(at, ":")) {
        size_t length = strcspn(at, ":");
        if (length + 1 + strlen(name) < sizeof path) {
            memcpy(path, at, length);
            path[length] = '/';
            strcpy(path + length + 1, name);
            int error = why_not_executable(path);
            if (!error)
                return path;
            is_there |= error == EACCES;
        }
        at += length;
    }
    report_message("cannot run %s: %s", name, is_there ? "it is not executable" : "there is no such program");
    _exit(is_there ? EXIT_NOT_EXECUTABLE : EXIT_NOT_FOUND);
}

static _Noreturn void refuse(const char *path, const char *why, int error)
{
    report_message("cannot run %s: %s", path, why);
    _exit(error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE);
}

/* Prints why the program cannot be run. target_find has returned `result`, and has printed some of the reasons
 * itself. */
static _Noreturn void refuse_target(const struct target *target, long result)
{
    int error = result < 0 ? (int)-result : ENOEXEC;
    if (error == EACCES && !target->missing && why_not_executable(target->name) == EISDIR)
        error = EISDIR;
    if (error == EPERM && target->why)
        _exit(EXIT_NOT_EXECUTABLE);
    if (target->missing) {
        report_message("cannot run %s: its interpreter %s: %s", target->name, target->missing, strerror(error));
        _exit(error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE);
    }
    refuse(target->name, target->why ? target->why : strerror(error), error);
}

/* The arguments of the program that is run: those of a script's interpreter come before the script's. Their strings
 * follow one another, as the kernel lists them. To be kept. */
static char **script_arguments(const struct target *target, char **arguments)
{
    size_t number = 0, held = 0, size = sizeof target->words + sizeof target->name;
    while (arguments[number])
        size += strlen(arguments[number++]) + 1;
    char **list = calloc(number + target->word_count + 2, sizeof *list), *at = malloc(size);
    if (!list || !at)
        abort();
    for (unsigned i = target->word_count; i > 0; i--, at += strlen(at) + 1)
        list[held++] = strcpy(at, target->words[i - 1]);
    for (size_t i = 0; i < number; i++, at += strlen(at) + 1)
        list[held++] = strcpy(at, i ? arguments[i] : target->name);
    return list;
}

/* Finds the program that the user named. */
static char **find_program(struct target *target, struct source *source, char **arguments)
{
    long result = target_find(target, AT_FDCWD, search(arguments[0]), 0);
    if (result != TARGET_FOUND)
        refuse_target(target, result);
    *source = (struct source){target->name, target->path, target->file, target->interpreter};
    return target->is_script ? script_arguments(target, arguments) : arguments;
}

/* ---- the process ---- */

static void name_process(const char *path)
{
    const char *slash = strrchr(path, '/');
    prctl(PR_SET_NAME, slash ? slash + 1 : path);
}

/* A host under another host also sees that it cannot set the FS base; its program is then mapped twice. */
static bool is_nested(void)
{
    struct maps maps;
    struct mapping mapping;
    unsigned found = 0;
    uint64_t own = maps_file_of((uint64_t)(uintptr_t)run_entry);
    bool is_open = maps_open(&maps);
    while (is_open && maps_next(&maps, &mapping))
        found += (mapping.protection & PROT_EXEC) && mapping.file == own && own;
    return found > 1;
}

static void check_machine(void)
{
    if (abi_has_fsgsbase())
        return;
    if (is_nested())
        report_fatal("this process already runs under segue run, which cannot be nested");
    report_fatal("this kernel does not let programs set segment bases (FSGSBASE)");
}

static uint64_t block_signals(void)
{
    const uint64_t all = UINT64_MAX;
    uint64_t before = 0;
    system_call4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&before, sizeof all);
    return before;
}

/* The first trapped system call brings the thread into the handler, which starts the program. */
static _Noreturn void start(struct thread *thread, const struct image *image, uint64_t stack)
{
    thread->start_instruction = image->start;
    thread->start_stack = stack;
    uint64_t forced = FORCED_SIGNALS;
    thread_begins(thread);
    thread_arm_stack(thread);
    system_call4(SYS_rt_sigprocmask, SIG_UNBLOCK, (long)&forced, 0, sizeof forced);
    if (!thread_arm_calls(thread))
        report_fatal("this kernel has no syscall user dispatch, which Linux has since 5.11");
    thread->selector = SELECTOR_BLOCK;
    system_call3(SYS_getpid, 0, 0, 0);
    __builtin_unreachable();
}

/* `strings`: those of the environment. */
static _Noreturn void run(const struct source *source, char **arguments, const char *strings, int host)
{
    struct image image;
    uint64_t mask = block_signals();
    check_machine();
    host_begin(host);
    module_prepare();
    loader_map(source, &image);
    struct thread *thread = thread_first();
    table_prepare();
    if (!report_prepare() || !thread || !detour_prepare())
        report_fatal("out of memory for the host");
    thread->mask = settings.is_inherited ? settings.inherited_mask : mask;
    thread->alternate.ss_flags = SS_DISABLE;
    name_process(source->name);
    uint64_t stack = stack_build(arguments, environ, strings, source->name, &image);
    thread->actions = actions_begin();
    if (!thread->actions)
        report_fatal("out of memory for the host");
    actions_inherit(thread, settings.inherited_blocked, settings.inherited_ignored);
    start(thread, &image, stack);
}

void start_main(int argument_count, char **arguments)
{
    static struct target target;
    struct source source;
    const char *last = arguments[argument_count - 1], *strings = last + strlen(last) + 1;
    if (argument_count > 5 && strcmp(arguments[1], "--inherit") == 0) {
        source.name = arguments[3];
        source.path = arguments[4];
        run(&source, arguments + 5, strings, read_state(arguments[2], &source));
    }
    settings.process = getpid();
    arguments = find_program(&target, &source, arguments + options_read(argument_count, arguments));
    run(&source, arguments, strings, -1);
}
