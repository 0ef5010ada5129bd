/* clone.c: makes children that resume at the place that a signal frame describes.
 *
 * The child resumes by the kernel's own sigreturn, from a copy of the frame: so the kernel restores all that the frame
 * holds, at once, and the child needs no memory afterwards.
 *
 * A parent that waits for a vfork child is inside a handler, which would not exist without the library; its stack is
 * often right below the stack pointer with which the child resumes. So the parent saves its part of that stack, and
 * waits on another stack.
 *
 * SOURCES: Shadow's shim; clone(2); Linux kernel/fork.c copy_process (a child that shares memory begins without
 * alternate stack, unless it is of vfork's kind), copy_clone_args_from_user and clone3_args_valid, and
 * arch/x86/kernel/signal_64.c (rt_sigreturn; a frame keeps clear of the 128 bytes below the stack pointer). */
#include "clone.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#include "ctx/guest/gate.h"
#include "ctx/state/control.h"
#include "decode/x86/canonical.h"
#include "pad.h"
#include "platform/frame/frame.h"
#include "platform/frame/stack.h"
#include "platform/reason.h"
#include "platform/threads/clone.h"
#include "platform/threads/thread.h"

/* Of the parts of the child's memory: an XSAVE area needs it. */
#define ALIGNMENT 64u
/* The most bytes that a frame's alignment and the red zone put between the frame and the stack pointer. */
#define FRAME_DISTANCE 256
/* The most stack that a handler and its callees use; a greater distance means another stack. */
#define HANDLER_DEPTH ((uint64_t)1 << 20)
/* The most stack that clone_go_parked and its caller need below the caller's frame. */
#define CALL_DEPTH 4096

static const struct alternate_stack no_stack = {.flags = STACK_DISABLED};

/* Not instrumented: what a sanitizer inserts before a call that does not return would need the host's segment base. */
__attribute__((no_sanitize("address", "undefined"))) void clone_begin(struct clone_child *child)
{
    struct alternate_stack present = no_stack;
    /* A vfork child: the kernel has left it its parent's alternate stack, on which the parent may stand. */
    if (child->shares_memory && child->is_waited_for)
        platform_stack_exchange(&no_stack, NULL);
    if (!child->shares_memory)
        pad_forget_others(&child->pad);
    if (child->start)
        child->start(child->block, child->block_size);
    platform_stack_exchange(NULL, &present);
    if (child->shares_memory || !(present.flags & STACK_DISABLED) || !frame_rearms_alternate_stack(child->ucontext))
        frame_set_alternate_stack(child->ucontext, &present);
    frame_make_room(child->ucontext);
    /* From here on the bases may be a guest's. */
    if (child->gate)
        guest_goes_on(child->gate, child->original);
    if (!child->shares_memory)
        pad_release(&child->pad);
    clone_return(child->ucontext);
}

static size_t round_up(size_t size)
{
    return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* The size of what the child gets: struct clone_child, the frame, the block. */
static size_t child_size(const void *ucontext, const struct segue_clone *request)
{
    return round_up(sizeof(struct clone_child)) + round_up(frame_copy_size(ucontext)) + request->block_size;
}

/* The registers with which the child resumes. */
static void get_registers(const void *ucontext, const struct segue_clone *request, struct segue_regs *regs)
{
    frame_get_registers(ucontext, regs);
    regs->rax = 0;
    if (request->stack_pointer)
        regs->rsp = request->stack_pointer;
}

static struct clone_child *prepare_child(const void *ucontext, const struct segue_clone *request,
                                         const struct segue_regs *regs, const struct pad_use *pad)
{
    struct clone_child *child = (struct clone_child *)(void *)pad->bytes;
    char *frame = pad->bytes + round_up(sizeof *child), *block = frame + round_up(frame_copy_size(ucontext));
    struct segue_regs first = *regs;
    *child = (struct clone_child){
        .ucontext = frame_copy(ucontext, frame),
        .start = request->start,
        .block = block,
        .block_size = request->block_size,
        .pad = *pad,
        .shares_memory = request->flags & CLONE_VM,
        .is_waited_for = request->flags & CLONE_VFORK,
        .gate = guest_running(),
        .original = ucontext,
    };
    if (request->initial_tiles)
        frame_narrow(child->ucontext);
    if (child->shares_memory && pad->exit)
        first.rip = pad->exit;
    frame_set_registers(child->ucontext, &first);
    if (request->block_size)
        memcpy(block, request->block, request->block_size);
    return child;
}

/* With all signals blocked, so that none is delivered to a child that has not resumed yet. The child begins on the
 * pad. `parking` may be NULL. */
static long call_kernel(const struct segue_clone *request, struct clone_child *child,
                        const struct clone_parking *parking)
{
    static const uint64_t all = UINT64_MAX;
    struct platform_clone_call wanted;
    struct platform_clone_room room;
    platform_clone_prepare(&wanted, &room, request, (uint64_t)(uintptr_t)child->pad.stack, child->pad.stack_size);
    struct clone_call call = {wanted.number, wanted.first, wanted.second, wanted.third,
                              wanted.fourth, wanted.fifth, child};
    uint64_t before = platform_mask_exchange(&all);
    long result = parking ? clone_go_parked(&call, parking) : clone_go(&call);
    platform_mask_set(before);
    return result;
}

/* ---- the parent's stack ---- */

/* What the running handler needs of its stack: from `low`, its present end, to `high`, the end of its frame. If it
 * does not run where its frame is, only the frame. */
struct extent {
    uint64_t low, high;
    bool is_stack_in_use;
};

static struct extent handler_extent(const void *ucontext)
{
    struct extent extent;
    uint64_t here = (uint64_t)(uintptr_t)__builtin_frame_address(0);
    frame_get_extent(ucontext, &extent.low, &extent.high);
    extent.is_stack_in_use = extent.low - here < HANDLER_DEPTH;
    if (extent.is_stack_in_use)
        extent.low = here;
    return extent;
}

/* A child that resumes there while the parent runs, too, would overwrite what the parent's handler needs. */
static bool is_in_the_way(const void *ucontext, const struct segue_regs *regs)
{
    struct extent extent = handler_extent(ucontext);
    return regs->rsp - extent.low < extent.high - extent.low + FRAME_DISTANCE;
}

/* The parent waits on a pad of its own, which meanwhile holds the saved part of its stack. */
static long clone_waited_for(const void *ucontext, const struct segue_clone *request, struct clone_child *child)
{
    struct extent extent = handler_extent(ucontext);
    size_t room = extent.high - extent.low + CALL_DEPTH, header = round_up(sizeof(struct clone_parking));
    struct pad_use own;
    if (!pad_take(&own, header + room, 0, false))
        return -ENOMEM;
    struct clone_parking *parking = (struct clone_parking *)(void *)own.bytes;
    *parking = (struct clone_parking){
        .low = extent.is_stack_in_use ? 0 : extent.low,
        .high = extent.high,
        .copy = own.bytes + header,
        .room = room,
        .stack = own.stack + own.stack_size,
    };
    long result = call_kernel(request, child, parking);
    pad_release(&own);
    return result;
}

/* ---- with and without shared memory ---- */

static bool take_pad(struct pad_use *pad, const void *ucontext, const struct segue_regs *regs, size_t size)
{
    bool may_detour = frame_allows_detour(ucontext) && regs->rip < canonical_user_end();
    return pad_take(pad, size, may_detour ? regs->rip : 0, regs->rcx == regs->rip);
}

static long clone_sharing_memory(const void *ucontext, const struct segue_clone *request, const struct segue_regs *regs,
                                 size_t size)
{
    struct pad_use pad;
    bool waits = request->flags & CLONE_VFORK;
    if (!waits && is_in_the_way(ucontext, regs))
        return -EOPNOTSUPP;
    if (request->flags & CLONE_NEWPID)
        pad_distrust_numbers();
    if (!take_pad(&pad, ucontext, regs, size))
        return -ENOMEM;
    struct clone_child *child = prepare_child(ucontext, request, regs, &pad);
    long result = waits ? clone_waited_for(ucontext, request, child) : call_kernel(request, child, NULL);
    if (result <= 0 || waits)
        pad_release(&pad);
    else
        pad_give(&pad, (int)result, request->flags & CLONE_THREAD);
    return result;
}

/* The child's memory is a copy: so the child owns its copy of the pad at once, and the parent's pad is free again. */
static long clone_copying_memory(const void *ucontext, const struct segue_clone *request, const struct segue_regs *regs,
                                 size_t size)
{
    struct pad_use pad;
    /* A pad with an exit; the exit is not used. */
    if (!pad_take(&pad, size, canonical_user_end(), true))
        return -ENOMEM;
    long result = call_kernel(request, prepare_child(ucontext, request, regs, &pad), NULL);
    pad_release(&pad);
    return result;
}

/* A guest that was interrupted resumes only in a copy of all that it needs, from a handler that has the host's bases
 * and storage. */
static bool has_no_way_into_a_guest(const struct segue_clone *request)
{
    const struct gate *gate = guest_running();
    return gate && (gate->place != GATE_PLACE_HANDLER || (request->flags & (CLONE_VM | CLONE_SETTLS)));
}

long segue_clone(const void *ucontext, const struct segue_clone *request)
{
    struct segue_regs regs;
    if (!ucontext || !request || !platform_clone_is_valid(request) || (request->block_size && !request->block) ||
        request->block_size > SIZE_MAX / 4 || !RESERVED_IS_ZERO(request))
        return -EINVAL;
    if (control_has_shadow_stack() || has_no_way_into_a_guest(request))
        return -EOPNOTSUPP;
    size_t size = child_size(ucontext, request);
    get_registers(ucontext, request, &regs);
    return (request->flags & CLONE_VM) ? clone_sharing_memory(ucontext, request, &regs, size)
                                       : clone_copying_memory(ucontext, request, &regs, size);
}
