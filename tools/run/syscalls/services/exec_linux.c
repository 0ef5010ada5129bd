/* exec_linux.c: a program that the program executes is run by a new host, which gets the open file, its name and the
 * arguments. The host makes the execve itself, with all signals blocked, as the new host needs them; the program's own
 * mask is passed on to it.
 *
 * SOURCES: execve(2), execveat(2); Linux fs/exec.c. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

#include "descriptor.h"
#include "exec.h"
#include "platform/linux/calls/table/table.h"
#include "tools/run/host/host.h"
#include "tools/run/host/memory.h"
#include "tools/run/host/report.h"
#include "tools/run/image/target.h"
#include "tools/run/options/settings.h"
#include "tools/run/signals/actions.h"
#include "tools/run/signals/deliver.h"
#include "tools/run/signals/registers.h"
#include "tools/run/syscalls/call_linux_x86_64.h"
#include "tools/run/syscalls/number.h"
#include "tools/run/syscalls/stub.h"

/* Arguments before the program's own: host's name, option, state, name, path; those of scripts, and a NULL. */
#define MORE_ARGUMENTS (5 + 2 * SCRIPT_DEPTH + 2 + 4)
#define STATE_SIZE 128
/* Returned in place of an error number: the call must be made again, after a signal that comes first. */
#define MADE_AGAIN (-513)

/* ---- arguments and environment ---- */

/* The pointers at `list`, without the last; negative error number. */
static long count_pointers(uint64_t list)
{
    uint64_t string;
    for (long number = 0;; number++) {
        if (!list)
            return number;
        if (!memory_read(&string, list + (uint64_t)number * 8, 8))
            return -EFAULT;
        if (!string)
            return number;
    }
}

/* Where the next string and the next pointer go. */
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

/* A digit of bits: which of the forced signals the program has blocked, or ignores. The kernel itself passes the others
 * on. */
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

static char *add_number(char *at, uint64_t number)
{
    at = number_write(at, number);
    *at++ = ',';
    return at;
}

/* Writes the state that read_state of main.c reads: letters, each followed by a number and a comma. Descriptors are
 * written one higher, so that 0 means none. */
static void add_state(struct writer *writer, const struct thread *thread, const struct target *target, int host)
{
    char state[STATE_SIZE], *end;
    unsigned at = 0;
    state[at++] = (char)('0' + settings.statistics);
    state[at++] = (char)('0' + settings.rewriting);
    state[at++] = settings.trace ? '1' : '0';
    state[at++] = forced_digit(thread, false);
    state[at++] = forced_digit(thread, true);
    end = add_number(state + at, settings.calls_met);
    end = add_number(end, (unsigned)settings.process);
    end = add_number(end, thread->mask);
    end = add_number(end, (unsigned)(host < 0 ? 0 : host + 1));
    end = add_number(end, (unsigned)(target->file + 1));
    *add_number(end, (unsigned)(target->interpreter + 1)) = 0;
    add_string(writer, state);
}

static void add_arguments(struct writer *writer, const struct target *target, uint64_t list, long number)
{
    uint64_t string = 0;
    for (unsigned i = target->word_count; i > 0; i--)
        add_string(writer, target->words[i - 1]);
    if (target->is_script)
        add_string(writer, target->name);
    else if (number == 0)
        add_string(writer, "");
    for (long i = target->is_script ? 1 : 0; i < number; i++) {
        memory_read(&string, list + (uint64_t)i * 8, 8);
        add_pointer(writer, string);
    }
    add_pointer(writer, 0);
}

/* A signal that is sent from here on stays pending in the kernel, across the exec; signals that the host has kept are
 * delivered first. A seccomp filter may answer by SIGSYS, which must not be blocked then. */
static long enter_quietly(struct thread *thread, int host, uint64_t arguments, uint64_t environment)
{
    uint64_t all = host_has_filter() ? ~SIGNAL_BIT(SIGSYS) : UINT64_MAX, before;
    system_call4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&before, sizeof all);
    long result = MADE_AGAIN;
    if (!deliver_has_waiting(thread))
        result = host_enter(host, arguments, environment);
    system_call4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&before, 0, sizeof before);
    return result;
}

/* Executes the host. Returns a negative error number. */
static long enter(struct thread *thread, const struct target *target, uint64_t list, uint64_t environment)
{
    long number = count_pointers(list);
    if (number < 0)
        return number;
    size_t pointers = (size_t)number + MORE_ARGUMENTS;
    size_t strings = 2 * sizeof target->name + sizeof target->words + STATE_SIZE + 64;
    uint64_t *memory = stub_scratch(thread, pointers * 8 + strings);
    if (!memory)
        return -ENOMEM;
    int host = host_find();
    if (host < 0 && host != HOST_BY_PATH)
        return host;
    struct writer writer = {memory, (char *)(memory + pointers)};
    add_string(&writer, "segue-run");
    add_string(&writer, "--inherit");
    add_state(&writer, thread, target, host);
    add_string(&writer, target->name);
    add_string(&writer, target->path);
    add_arguments(&writer, target, list, number);
    count(&counters->programs, 1);
    descriptor_set_closed(target->file, false);
    if (target->interpreter >= 0)
        descriptor_set_closed(target->interpreter, false);
    return enter_quietly(thread, host, (uint64_t)(uintptr_t)memory, environment);
}

/* ---- the call ---- */

static void tell_alone(const struct target *target)
{
    if (target->why && strcmp(target->why, TARGET_UNREADABLE) == 0)
        report_message("%s is not readable: it runs natively", target->path);
}

enum call_outcome exec_serve(struct thread *thread, ucontext_t *frame, const struct call *call, long *result)
{
    int first = table_path(call->number);
    struct target target;
    char path[TARGET_PATH];
    *result = TARGET_ALONE;
    if (!settings.no_follow) {
        if (memory_read_string(path, registers_argument(frame, first), sizeof path) < 0) {
            *result = memory_string_length(registers_argument(frame, first)) < 0 ? -EFAULT : -ENAMETOOLONG;
            return CALL_DONE;
        }
        *result = target_find(&target, first ? (int)registers_argument(frame, 0) : AT_FDCWD, path,
                              first ? (int)registers_argument(frame, 4) : 0);
        if (*result == TARGET_ALONE)
            tell_alone(&target);
    }
    if (*result == TARGET_FOUND) {
        thread->was_filtered = false;
        *result = enter(thread, &target, registers_argument(frame, first + 1), registers_argument(frame, first + 2));
        target_close(&target);
        /* A filter of the program's answers such calls by a signal, which the program gets. */
        if (thread->was_filtered)
            *result = TARGET_ALONE;
    }
    if (*result == MADE_AGAIN)
        return CALL_AGAIN;
    return *result == TARGET_ALONE ? CALL_PASSED : CALL_DONE;
}
