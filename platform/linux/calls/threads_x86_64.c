/* threads_x86_64.c: calls that make threads and processes, or set the thread pointer.
 *
 * SOURCES: clone(2), arch_prctl(2); Linux include/uapi/linux/sched.h (struct clone_args). */
#if !defined(__linux__) || !defined(__x86_64__)
#error "threads_x86_64.c is specific to Linux on x86-64"
#endif

#include <asm/prctl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>

#include "gates.h"
#include "masks.h"
#include "platform/abi.h"
#include "platform/calls/calls.h"
#include "platform/report.h"

#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND 0x100000000u
#endif

/* What struct clone_args has in Linux 5.7 to 6.18 is not more. */
#define CHILD_MOST 128u

static uint64_t done;

/* The beginning of struct clone_args, up to the thread pointer. */
struct child {
    uint64_t flags, process, child_number, parent_number, signal, stack, stack_size, pointer;
};

static bool describe_child(const struct child *child, struct thread_change *change)
{
    if (child->flags & CLONE_SETTLS) {
        const uint64_t word = child->flags & CLONE_CHILD_CLEARTID ? child->child_number : 0;
        *change = (struct thread_change){THREAD_BEGINS, child->pointer, word};
        return true;
    }
    *change = (struct thread_change){.kind = PROCESS_FORKS};
    return !(child->flags & (CLONE_VM | CLONE_CLEAR_SIGHAND)) && !child->stack;
}

bool calls_changes_threads(const struct system_call *call, calls_peek *peek, struct thread_change *change)
{
    struct child child;
    switch (call->number) {
    case SYS_arch_prctl:
        *change = (struct thread_change){.kind = THREAD_POINTER_SET, .pointer = call->arguments[1]};
        return call->arguments[0] == ARCH_SET_FS;
    case SYS_fork:
        *change = (struct thread_change){.kind = PROCESS_FORKS};
        return true;
    case SYS_set_tid_address:
        *change = (struct thread_change){.kind = THREAD_WORD_SET, .word = call->arguments[0]};
        return true;
    case SYS_clone:
        child = (struct child){.flags = call->arguments[0],
                               .child_number = call->arguments[3],
                               .stack = call->arguments[1],
                               .pointer = call->arguments[4]};
        return describe_child(&child, change);
    case SYS_clone3:
        return peek(&child, call->arguments[0], sizeof child) && describe_child(&child, change);
    default:
        return false;
    }
}

/* ---- a child whose word is another one ----
 *
 * Its parent makes the call from a record, and it begins at a record of its own, at the end of its stack: each goes on
 * with the program's registers. Below the child's record is a copy of what the call reads. */

/* Where a child's record and `copied` bytes below it may be, on the stack that ends there; 0 if it has no room. */
static uint64_t record_on(uint64_t lowest, uint64_t end, size_t copied)
{
    const uint64_t at = (end - RED_ZONE - sizeof(struct call_record)) & ~UINT64_C(63);
    return end > lowest && at < end && at - copied < end && at - copied >= lowest ? at : 0;
}

static bool put_record(const struct system_call *call, uint64_t at, uint64_t stack_pointer, uint64_t begin,
                       calls_poke *poke)
{
    struct call_record record = {.target = begin, .stack_pointer = stack_pointer, .busy = address_of(&done)};
    for (int i = 0; i < CALL_ARGUMENTS; i++)
        record.arguments[i] = call->arguments[i];
    return poke(at, &record, sizeof record);
}

static bool make_clone(const struct system_call *call, uint64_t word, uint64_t begin, calls_poke *poke)
{
    const uint64_t stack = call->arguments[1], at = record_on(0, stack, 0);
    const struct call_record record = {.busy = address_of(&done)};
    uint64_t arguments[CALL_ARGUMENTS];
    for (int i = 0; i < CALL_ARGUMENTS; i++)
        arguments[i] = call->arguments[i];
    arguments[1] = at;
    arguments[3] = word;
    return at && put_record(call, at, stack, begin, poke) && calls_make(call, arguments, &record);
}

static bool make_clone3(const struct system_call *call, uint64_t word, uint64_t begin, calls_peek *peek,
                        calls_poke *poke)
{
    const struct call_record record = {.busy = address_of(&done)};
    uint64_t arguments[CALL_ARGUMENTS] = {0, call->arguments[1]};
    union {
        struct child child;
        char bytes[CHILD_MOST];
    } copy;
    if (arguments[1] < sizeof copy.child || arguments[1] > sizeof copy ||
        !peek(&copy, call->arguments[0], arguments[1]))
        return false;
    const uint64_t stack = copy.child.stack + copy.child.stack_size;
    const uint64_t at = record_on(copy.child.stack, stack, sizeof copy);
    copy.child.child_number = word;
    copy.child.stack_size = at - copy.child.stack;
    arguments[0] = at - sizeof copy;
    return at && put_record(call, at, stack, begin, poke) && poke(arguments[0], &copy, arguments[1]) &&
           calls_make(call, arguments, &record);
}

bool calls_lead_word(const struct system_call *call, uint64_t word, calls_peek *peek, calls_poke *poke)
{
    if (call->number == SYS_set_tid_address) {
        calls_return(call, calls_call(SYS_set_tid_address, (long)word, 0, 0, 0, 0, 0));
        return true;
    }
    const uint64_t begin = calls_child_begin(call);
    return begin && (call->number == SYS_clone ? make_clone(call, word, begin, poke)
                                               : make_clone3(call, word, begin, peek, poke));
}

long calls_make_here(const struct system_call *call)
{
    const uint64_t *with = call->arguments;
    return calls_call((long)call->number, (long)with[0], (long)with[1], (long)with[2], (long)with[3], (long)with[4],
                      (long)with[5]);
}

void calls_end(const char *text, size_t length)
{
    platform_report(text, length);
    for (;;)
        calls_call(SYS_exit_group, 1, 0, 0, 0, 0, 0);
}
