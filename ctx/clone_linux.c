/* clone_linux.c: children that go on where a signal frame says.
 *
 * The child goes on by the kernel's own return from a handler, from a copy of the frame: so it gets all that the frame
 * holds, at once, and needs no memory after.
 *
 * SOURCES: Shadow's shim; clone(2); Linux kernel/fork.c copy_process (a child that shares memory begins without
 * alternate stack) and arch/x86/kernel/signal_64.c rt_sigreturn. */
#if !defined(__linux__) || !defined(__x86_64__)
#error "clone_linux.c is specific to Linux on x86-64"
#endif

#include "clone.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#include "../decode/system/call_linux_x86_64.h"
#include "control_x86_64.h"
#include "frame.h"
#include "mask.h"
#include "pad.h"

#define EXIT_SIGNAL_BITS 0xffu
#define ALIGNMENT 64u
#ifndef SYS_clone3
#define SYS_clone3 435
#endif

/* As the kernel has it (linux/sched.h, struct clone_args). */
struct clone3_arguments {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

void clone_begin(struct clone_child *child)
{
    stack_t present = {.ss_flags = SS_DISABLE};
    if (child->start)
        child->start(child->block, child->block_size);
    system_call3(SYS_sigaltstack, 0, (long)&present, 0);
    frame_set_alternate_stack(child->ucontext, &present);
    frame_make_room(child->ucontext);
    if (child->pad)
        pad_release(child->pad);
    clone_return(child->ucontext);
}

static size_t round_up(size_t size)
{
    return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* What the child is given: struct clone_child, the frame, the block. */
static size_t child_size(const void *ucontext, const struct segue_clone *request)
{
    return round_up(sizeof(struct clone_child)) + round_up(frame_copy_size(ucontext)) + request->block_size;
}

static struct clone_child *prepare_child(const void *ucontext, const struct segue_clone *request, char *at)
{
    struct clone_child *child = (struct clone_child *)(void *)at;
    struct segue_regs regs;
    char *frame = at + round_up(sizeof *child), *block = frame + round_up(frame_copy_size(ucontext));
    *child = (struct clone_child){
        .ucontext = frame_copy(ucontext, frame),
        .start = request->start,
        .block = block,
        .block_size = request->block_size,
    };
    if (request->initial_tiles)
        frame_narrow(child->ucontext);
    frame_get_registers(child->ucontext, &regs);
    regs.rax = 0;
    if (request->stack_pointer)
        regs.rsp = request->stack_pointer;
    frame_set_registers(child->ucontext, &regs);
    if (request->block_size)
        memcpy(block, request->block, request->block_size);
    return child;
}

static bool needs_clone3(const struct segue_clone *request)
{
    return request->flags >> 32 || request->set_tid || request->set_tid_size || request->cgroup ||
           ((request->flags & CLONE_PIDFD) && (request->flags & CLONE_PARENT_SETTID));
}

/* The older call has one place for both the parent's number and the descriptor. */
static void fill_clone(struct clone_call *call, const struct segue_clone *request, uint64_t stack)
{
    int *second = (request->flags & CLONE_PIDFD) ? request->pidfd : request->parent_tid;
    call->number = SYS_clone;
    call->first = request->flags | request->exit_signal;
    call->second = stack;
    call->third = (uint64_t)(uintptr_t)second;
    call->fourth = (uint64_t)(uintptr_t)request->child_tid;
    call->fifth = request->tls;
}

static void fill_clone3(struct clone_call *call, struct clone3_arguments *arguments, const struct segue_clone *request,
                        uint64_t stack, uint64_t stack_size)
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

/* With all signals blocked, so that none finds the child on its way. `stack` 0: the child has a copy of this one. */
static long call_kernel(const struct segue_clone *request, struct clone_child *child, uint64_t stack, size_t stack_size)
{
    static const uint64_t all = UINT64_MAX;
    struct clone_call call = {.child = child};
    struct clone3_arguments arguments;
    if (needs_clone3(request))
        fill_clone3(&call, &arguments, request, stack, stack_size);
    else
        fill_clone(&call, request, stack ? stack + stack_size : 0);
    uint64_t before = mask_exchange(&all);
    long result = clone_go(&call);
    mask_exchange(&before);
    return result;
}

static long clone_sharing_memory(const void *ucontext, const struct segue_clone *request, size_t size)
{
    size_t stack_size;
    struct pad *pad = pad_take(size);
    if (!pad)
        return -ENOMEM;
    void *stack = pad_stack(pad, &stack_size);
    struct clone_child *child = prepare_child(ucontext, request, pad_bytes(pad));
    long result = call_kernel(request, child, (uint64_t)(uintptr_t)stack, stack_size);
    if (result < 0 || (request->flags & CLONE_VFORK))
        pad_release(pad);
    else
        pad_give(pad, (int)result, request->flags & CLONE_THREAD);
    return result;
}

/* The child's memory is a copy, in which the pad is its own at once, and the parent's is free again. */
static long clone_copying_memory(const void *ucontext, const struct segue_clone *request, size_t size)
{
    struct pad *pad = pad_take(size);
    if (!pad)
        return -ENOMEM;
    struct clone_child *child = prepare_child(ucontext, request, pad_bytes(pad));
    child->pad = pad;
    long result = call_kernel(request, child, 0, 0);
    pad_release(pad);
    return result;
}

long segue_clone(const void *ucontext, const struct segue_clone *request)
{
    if (!ucontext || !request || (request->flags & EXIT_SIGNAL_BITS) || request->exit_signal > EXIT_SIGNAL_BITS ||
        (request->block_size && !request->block) || request->block_size > SIZE_MAX / 4)
        return -EINVAL;
    if (control_has_shadow_stack())
        return -EOPNOTSUPP;
    size_t size = child_size(ucontext, request);
    return (request->flags & CLONE_VM) ? clone_sharing_memory(ucontext, request, size)
                                       : clone_copying_memory(ucontext, request, size);
}
