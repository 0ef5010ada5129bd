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
#include "platform/calls/calls.h"
#include "platform/report.h"

#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND 0x100000000u
#endif

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

bool calls_lead_word(const struct system_call *call, uint64_t word)
{
    ucontext_t *frame = call->native.context;
    switch (call->number) {
    case SYS_set_tid_address:
        calls_return(call, calls_call(SYS_set_tid_address, (long)word, 0, 0, 0, 0, 0));
        return true;
    case SYS_clone:
        frame->uc_mcontext.gregs[REG_R10] = (greg_t)word;
        return true;
    default:
        return false;
    }
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
