/* clone.c: see platform/threads/clone.h.
 *
 * SOURCES: clone(2); Linux kernel/fork.c copy_clone_args_from_user and clone3_args_valid. */
#if !defined(__linux__)
#error "platform/linux/threads/clone.c is specific to Linux"
#endif

#include "platform/threads/clone.h"

#include <sched.h>

#include "platform/linux/call.h"

#define EXIT_SIGNAL_BITS 0xffu
#define LAST_SIGNAL 64
#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif
#ifndef SYS_clone3
#define SYS_clone3 435
#endif

/* As the kernel has it (linux/sched.h, struct clone_args). */
struct clone3_arguments {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

_Static_assert(sizeof(struct clone3_arguments) <= sizeof(struct platform_clone_room), "they have room");

/* Checks what clone3 refuses and clone does not; the kernel checks the rest. */
bool platform_clone_is_valid(const struct segue_clone *request)
{
    const uint64_t both = CLONE_PIDFD | CLONE_PARENT_SETTID;
    return !((request->flags & ((EXIT_SIGNAL_BITS & ~(uint64_t)CLONE_NEWTIME) | CLONE_DETACHED)) ||
             request->exit_signal > LAST_SIGNAL ||
             ((request->flags & both) == both && request->pidfd == request->parent_tid));
}

/* clone(2) has one argument for both the parent's TID and the descriptor, and its exit signal occupies the bits of
 * newer flags. */
static bool needs_clone3(const struct segue_clone *request)
{
    return request->flags >> 32 || (request->flags & CLONE_NEWTIME) || request->set_tid || request->set_tid_size ||
           request->cgroup || ((request->flags & CLONE_PIDFD) && (request->flags & CLONE_PARENT_SETTID));
}

static void fill_clone(struct platform_clone_call *call, const struct segue_clone *request, uint64_t stack)
{
    int *second = (request->flags & CLONE_PIDFD) ? request->pidfd : request->parent_tid;
    call->number = SYS_clone;
    call->first = request->flags | request->exit_signal;
    call->second = stack;
    call->third = (uint64_t)(uintptr_t)second;
    const uint64_t last[] = {(uint64_t)(uintptr_t)request->child_tid, request->tls};
    call->fourth = last[CALL_CLONE_TLS_FIRST];
    call->fifth = last[!CALL_CLONE_TLS_FIRST];
}

static void fill_clone3(struct platform_clone_call *call, struct clone3_arguments *arguments,
                        const struct segue_clone *request, uint64_t stack, uint64_t stack_size)
{
    *arguments = (struct clone3_arguments){
        .flags = request->flags,
        .pidfd = (uint64_t)(uintptr_t)request->pidfd,
        .child_tid = (uint64_t)(uintptr_t)request->child_tid,
        .parent_tid = (uint64_t)(uintptr_t)request->parent_tid,
        .exit_signal = request->exit_signal,
        .stack = stack,
        .stack_size = stack_size,
        .tls = request->tls,
        .set_tid = (uint64_t)(uintptr_t)request->set_tid,
        .set_tid_size = request->set_tid_size,
        .cgroup = request->cgroup,
    };
    call->number = SYS_clone3;
    call->first = (uint64_t)(uintptr_t)arguments;
    call->second = sizeof *arguments;
}

void platform_clone_prepare(struct platform_clone_call *call, struct platform_clone_room *room,
                            const struct segue_clone *request, uint64_t stack, uint64_t stack_size)
{
    *call = (struct platform_clone_call){.number = 0};
    if (needs_clone3(request))
        fill_clone3(call, (struct clone3_arguments *)(void *)room, request, stack, stack_size);
    else
        fill_clone(call, request, stack + stack_size);
}
