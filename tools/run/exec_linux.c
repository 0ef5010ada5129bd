/* exec_linux.c: a program that the program runs in its place is run by the host's program, which is told its path and
 * arguments. Scripts are resolved here, as the kernel does, since it would see the host's program.
 *
 * SOURCES: execve(2); Linux fs/exec.c. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "actions.h"
#include "call_linux_x86_64.h"
#include "calls.h"
#include "environment.h"
#include "identity.h"
#include "memory.h"
#include "path.h"
#include "registers.h"
#include "report.h"
#include "script.h"
#include "settings.h"

#define PATH_SIZE 4096
#define SYS_faccessat2_number 439
#define AT_EFFECTIVE 0x200
/* Arguments in front of the program's own: name, option, state, path; and two for each script. */
#define MORE_ARGUMENTS (4 + 2 * SCRIPT_DEPTH)
#define STATE_SIZE 64

/* What is to be run. */
struct target {
    int folder;
    char path[PATH_SIZE];
    char head[SCRIPT_HEAD + 1];
    /* For scripts: what stands before the program's arguments, the last found first. */
    char words[2 * SCRIPT_DEPTH][SCRIPT_HEAD];
    char script[PATH_SIZE];
    unsigned word_count;
    bool is_script;
};

enum { RUN_FOLLOWED = 0, RUN_ALONE = 1 };

/* ---- the file ---- */

/* Whether it may be run, and its first bytes. */
static long look(struct target *target)
{
    struct stat status;
    long allowed = system_call4(SYS_faccessat2_number, target->folder, (long)target->path, 1, AT_EFFECTIVE);
    if (allowed < 0)
        return allowed;
    long file =
        system_call4(SYS_openat, target->folder, (long)target->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
    if (file == -EACCES) {
        report_message("%s may be executed and not read: it runs on its own, with FS as it likes", target->path);
        return RUN_ALONE;
    }
    if (file < 0)
        return file;
    long result = system_call3(SYS_fstat, file, (long)&status, 0);
    if (result == 0 && !S_ISREG(status.st_mode))
        result = -EACCES;
    if (result == 0 && identity_is_gained(&status)) {
        report_message(IDENTITY_REFUSAL, target->path);
        result = -EPERM;
    }
    if (result == 0) {
        memset(target->head, 0, sizeof target->head);
        result = system_call3(SYS_read, file, (long)target->head, SCRIPT_HEAD);
    }
    system_call3(SYS_close, file, 0, 0);
    return result < 0 ? result : RUN_FOLLOWED;
}

/* What is to be run becomes the interpreter of the script that was. */
static long resolve_script(struct target *target, const char *interpreter, const char *argument)
{
    if (target->word_count + 2 > 2 * SCRIPT_DEPTH)
        return -ELOOP;
    if (!target->is_script)
        memcpy(target->script, target->path, sizeof target->script);
    target->is_script = true;
    if (argument)
        strcpy(target->words[target->word_count++], argument);
    strcpy(target->words[target->word_count++], interpreter);
    strcpy(target->path, interpreter);
    target->folder = AT_FDCWD;
    return 0;
}

static long resolve(struct target *target)
{
    for (;;) {
        char *interpreter, *argument;
        long result = look(target);
        if (result != RUN_FOLLOWED)
            return result;
        if (script_split(target->head, &interpreter, &argument)) {
            result = resolve_script(target, interpreter, argument);
            if (result != 0)
                return result;
            continue;
        }
        const Elf64_Ehdr *header = (const void *)target->head;
        if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
            return RUN_ALONE;
        if (header->e_ident[EI_CLASS] == ELFCLASS64 && header->e_machine == EM_X86_64)
            return RUN_FOLLOWED;
        report_message("%s is not a program for x86-64: it runs on its own, with FS as it likes", target->path);
        return RUN_ALONE;
    }
}

/* ---- arguments and environment ---- */

/* The strings at `list`; negative error number. `hidden`, if not NULL, is told the bytes of those that need a prefix.
 */
static long count_strings(uint64_t list, size_t *hidden)
{
    char begin[ENVIRONMENT_LOOK + 1];
    uint64_t string;
    for (long number = 0;; number++) {
        if (!list)
            return number;
        if (!memory_read(&string, list + (uint64_t)number * 8, 8))
            return -EFAULT;
        if (!string)
            return number;
        memset(begin, 0, sizeof begin);
        memory_read_string(begin, string, ENVIRONMENT_LOOK);
        if (hidden && environment_is_hidden(begin)) {
            long length = memory_string_length(string);
            if (length < 0)
                return -EFAULT;
            *hidden += (size_t)length + sizeof ENVIRONMENT_PREFIX;
        }
    }
}

/* Where the next string and the next pointer are put. */
struct writer {
    uint64_t *pointer;
    char *string;
};

static void add_pointer(struct writer *writer, uint64_t string)
{
    *writer->pointer++ = string;
}

static void add_string(struct writer *writer, const char *string)
{
    add_pointer(writer, (uint64_t)(uintptr_t)writer->string);
    size_t size = strlen(string) + 1;
    memcpy(writer->string, string, size);
    writer->string += size;
}

static void add_environment(struct writer *writer, uint64_t list, long number)
{
    char begin[ENVIRONMENT_LOOK + 1];
    for (long i = 0; i < number; i++) {
        uint64_t string = 0;
        memory_read(&string, list + (uint64_t)i * 8, 8);
        memset(begin, 0, sizeof begin);
        memory_read_string(begin, string, ENVIRONMENT_LOOK);
        if (!environment_is_hidden(begin)) {
            add_pointer(writer, string);
            continue;
        }
        add_pointer(writer, (uint64_t)(uintptr_t)writer->string);
        memcpy(writer->string, ENVIRONMENT_PREFIX, sizeof ENVIRONMENT_PREFIX - 1);
        writer->string += sizeof ENVIRONMENT_PREFIX - 1;
        writer->string += memory_read_string(writer->string, string, (size_t)memory_string_length(string) + 1) + 1;
    }
    add_pointer(writer, 0);
}

/* Of the signals that are the host's, as bits of a digit: what the program has blocked, and what it ignores. The kernel
 * hands the others on itself. */
static char forced_digit(const struct thread *thread, bool ignored)
{
    unsigned bits = 0;
    for (unsigned i = 0; i < FORCED_COUNT; i++) {
        bool blocked = thread->mask & SIGNAL_BIT(forced_signals[i]);
        bool is_ignored = thread->actions->of[forced_signals[i]].handler == (uint64_t)(uintptr_t)SIG_IGN;
        bits |= (ignored ? is_ignored : blocked) ? 1u << i : 0;
    }
    return (char)('a' + bits);
}

static char *add_digits(char *at, unsigned number)
{
    char digits[24];
    unsigned held = 0;
    do
        digits[held++] = (char)('0' + number % 10);
    while (number /= 10);
    while (held)
        *at++ = digits[--held];
    return at;
}

static void add_state(struct writer *writer, const struct thread *thread)
{
    char state[STATE_SIZE], *end;
    unsigned at = 0;
    state[at++] = (char)('0' + settings.statistics);
    state[at++] = (char)('0' + settings.rewriting);
    state[at++] = settings.trace ? '1' : '0';
    state[at++] = forced_digit(thread, false);
    state[at++] = forced_digit(thread, true);
    end = add_digits(state + at, settings.calls_met);
    *end++ = ',';
    end = add_digits(end, (unsigned)settings.process);
    *end = 0;
    add_string(writer, state);
}

static void add_arguments(struct writer *writer, const struct thread *thread, const struct target *target,
                          uint64_t list, long number)
{
    uint64_t string = 0;
    add_string(writer, "segue-run");
    add_string(writer, "--inherit");
    add_state(writer, thread);
    add_string(writer, target->path);
    for (unsigned i = target->word_count; i > 0; i--)
        add_string(writer, target->words[i - 1]);
    if (target->is_script)
        add_string(writer, target->script);
    else if (number == 0)
        add_string(writer, "");
    for (long i = target->is_script ? 1 : 0; i < number; i++) {
        memory_read(&string, list + (uint64_t)i * 8, 8);
        add_pointer(writer, string);
    }
    add_pointer(writer, 0);
}

/* The call becomes one that runs the host's program. */
static long arrange(struct thread *thread, ucontext_t *frame, const struct target *target, uint64_t list,
                    uint64_t environment)
{
    static const char host[] = "/proc/self/exe";
    size_t hidden = 0;
    long arguments_number = count_strings(list, NULL), environment_number = count_strings(environment, &hidden);
    if (arguments_number < 0 || environment_number < 0)
        return -EFAULT;
    size_t pointers = (size_t)(arguments_number + environment_number) + MORE_ARGUMENTS + 4;
    size_t strings = hidden + 2 * PATH_SIZE + sizeof target->words + STATE_SIZE + 64;
    uint64_t *memory = calls_scratch(thread, pointers * 8 + strings), before[6];
    if (!memory)
        return -ENOMEM;
    struct writer writer = {memory, (char *)(memory + pointers)};
    add_arguments(&writer, thread, target, list, arguments_number);
    uint64_t *environment_at = writer.pointer;
    add_environment(&writer, environment, environment_number);
    for (int i = 0; i < 6; i++)
        before[i] = argument(frame, i);
    uint64_t asked = get(frame, REG_RAX);
    set(frame, REG_RAX, SYS_execve);
    set(frame, REG_RDI, (uint64_t)(uintptr_t)host);
    set(frame, REG_RSI, (uint64_t)(uintptr_t)memory);
    set(frame, REG_RDX, (uint64_t)(uintptr_t)environment_at);
    calls_pass(thread, frame, before);
    thread->led_number = asked;
    count(&counters->programs, 1);
    return 0;
}

/* The path that the call names, as one that this process can open by itself. */
static long name_target(struct target *target, uint64_t path, int folder, uint64_t flags)
{
    long length = memory_read_string(target->path, path, sizeof target->path);
    target->folder = folder;
    if (length < 0)
        return -EFAULT;
    if (path_is_own_program(path))
        strcpy(target->path, settings.real_path);
    if (target->path[0] == '/')
        target->folder = AT_FDCWD;
    if (target->folder == AT_FDCWD && length > 0)
        return 0;
    if (length == 0 && !(flags & AT_EMPTY_PATH))
        return -ENOENT;
    /* A descriptor: its own path, and behind it the one that is relative to it. */
    char link[40] = "/proc/self/fd/", rest[PATH_SIZE];
    strcpy(rest, target->path);
    char digits[12];
    unsigned held = 0, at = (unsigned)strlen(link), number = (unsigned)folder;
    do
        digits[held++] = (char)('0' + number % 10);
    while (number /= 10);
    while (held)
        link[at++] = digits[--held];
    link[at] = 0;
    long size = system_call4(SYS_readlinkat, AT_FDCWD, (long)link, (long)target->path, PATH_SIZE - 2);
    if (size < 0)
        return -EBADF;
    target->path[size] = 0;
    if (length > 0 && (size_t)size + 1 + (size_t)length + 1 > PATH_SIZE)
        return -ENAMETOOLONG;
    if (length > 0) {
        target->path[size] = '/';
        strcpy(target->path + size + 1, rest);
    }
    target->folder = AT_FDCWD;
    return 0;
}

long exec_serve(struct thread *thread, ucontext_t *frame)
{
    bool is_at = call_number(frame) == SYS_execveat;
    int first = is_at ? 1 : 0;
    struct target target;
    target.word_count = 0;
    target.is_script = false;
    long result = name_target(&target, argument(frame, first), is_at ? (int)argument(frame, 0) : AT_FDCWD,
                              is_at ? argument(frame, 4) : 0);
    if (result == 0 && !settings.no_follow)
        result = resolve(&target);
    if (result < 0)
        return result;
    if (result == RUN_ALONE || settings.no_follow) {
        calls_pass(thread, frame, NULL);
        return 0;
    }
    return arrange(thread, frame, &target, argument(frame, first + 1), argument(frame, first + 2));
}
