/* context.c: the parts of a switch beyond registers: checks, the signal mask, instruments, and a context's beginning
 * and end. */
#include <segue/context.h>
#include <segue/frame.h>
#include <string.h>

#include "exceptions.h"
#include "instrument.h"
#include "platform/frame/frame.h"
#include "platform/threads/thread.h"
#include "record.h"

#define HAS_MASK (SEGUE_CONTEXT_OWN_MASK | SEGUE_CONTEXT_MASK_SAVED_)

static bool can_go_on(const struct segue_context *to)
{
    return to->stack_pointer && !(to->flags & SEGUE_CONTEXT_FINISHED_);
}

static bool is_moved(const struct segue_context *context)
{
    return context->self && context->self != context;
}

/* Whether the caller runs on the stack of `from`, where that is known. */
static bool is_running(const struct segue_context *from)
{
    uint64_t here = (uint64_t)(uintptr_t)__builtin_frame_address(0);
    return !(from->flags & SEGUE_CONTEXT_REGISTERED_) || here - (uint64_t)(uintptr_t)from->stack < from->stack_size;
}

/* A context with a signal mask of its own gets it; the context that it takes over from keeps its mask. */
static void exchange_masks(struct segue_context *from, struct segue_context *to)
{
    if (!((from->flags | to->flags) & HAS_MASK))
        return;
    from->mask = platform_mask_exchange((to->flags & HAS_MASK) ? &to->mask : NULL);
    from->flags |= SEGUE_CONTEXT_MASK_SAVED_;
    to->flags &= ~SEGUE_CONTEXT_MASK_SAVED_;
}

/* Between the instruments' calls for leaving one flow and arriving in the other no handler may run: it might switch
 * itself, and the instruments would see the calls interleaved. So signals are blocked, and the context that resumes
 * keeps the mask to be in force afterwards. Synchronous signals are not blocked: a fault would kill. */
static uint64_t block_signals(void)
{
    static const uint64_t sent = ~SIGNALS_SYNCHRONOUS;
    return platform_mask_exchange(&sent);
}

static void arrive(struct segue_context *to)
{
    instrument_arrive(to);
    platform_mask_set(to->mask);
}

static void leave(struct segue_context *from, struct segue_context *to)
{
    uint64_t before = block_signals();
    if (from && ((from->flags | to->flags) & HAS_MASK)) {
        from->mask = before;
        from->flags |= SEGUE_CONTEXT_MASK_SAVED_;
    }
    if (!(to->flags & HAS_MASK))
        to->mask = before;
    to->flags &= ~SEGUE_CONTEXT_MASK_SAVED_;
    instrument_leave(from, to);
}

enum segue_status segue_context_swap_slow_(struct segue_context *from, struct segue_context *to)
{
    if (!can_go_on(to))
        return SEGUE_INVALID;
    if (((from->flags | to->flags) & SEGUE_CONTEXT_CHECKED) &&
        (from == to || is_moved(from) || is_moved(to) || !is_running(from)))
        return SEGUE_INVALID;
    from->self = from;
    from->flags |= to->flags & SEGUE_CONTEXT_INSTRUMENTED_;
    exceptions_exchange(from, to);
    if (!(from->flags & SEGUE_CONTEXT_INSTRUMENTED_)) {
        exchange_masks(from, to);
        segue_context_switch_(from, to);
        return SEGUE_OK;
    }
    leave(from, to);
    segue_context_switch_(from, to);
    arrive(from);
    return SEGUE_OK;
}

/* All of leaving a flow that ends here, except the registers. */
static void leave_for_good(struct segue_context *to)
{
    exceptions_exchange(NULL, to);
    if (to->flags & SEGUE_CONTEXT_INSTRUMENTED_) {
        leave(NULL, to);
        return;
    }
    if (to->flags & HAS_MASK)
        platform_mask_set(to->mask);
    to->flags &= ~SEGUE_CONTEXT_MASK_SAVED_;
}

void segue_context_set(struct segue_context *to)
{
    if (!to || !can_go_on(to))
        __builtin_trap();
    leave_for_good(to);
    context_load(to);
}

enum segue_status segue_frame_set_context(struct segue_frame *frame, struct segue_context *to)
{
    if (!to || !frame || !can_go_on(to))
        return SEGUE_INVALID;
    void *ucontext = frame->native[1];
    exceptions_exchange(NULL, to);
    frame_call(ucontext, (uint64_t)(uintptr_t)context_take, (uint64_t)(uintptr_t)to);
    if (to->flags & SEGUE_CONTEXT_INSTRUMENTED_) {
        if (!(to->flags & HAS_MASK))
            to->mask = frame_get_mask(ucontext);
        /* Blocked from here on, also after the handler's return. */
        block_signals();
        frame_set_mask(ucontext, platform_mask_exchange(NULL));
        instrument_leave_by_return(to);
    } else if (to->flags & HAS_MASK) {
        frame_set_mask(ucontext, to->mask);
    }
    to->flags &= ~SEGUE_CONTEXT_MASK_SAVED_;
    return SEGUE_OK;
}

void context_entered(struct segue_context *context)
{
    if (context->flags & SEGUE_CONTEXT_INSTRUMENTED_)
        arrive(context);
    if (context->on_enter)
        context->on_enter(context, context->data);
}

struct segue_context *context_left(struct segue_context *context)
{
    static struct segue_context orphan = {.flags = SEGUE_CONTEXT_FIXED_CONTROL};
    if (context->on_return)
        context->on_return(context, context->data);
    context->flags |= SEGUE_CONTEXT_FINISHED_;
    struct segue_context *parent = context->parent;
    if (!can_go_on(parent)) {
        orphan.instruction = (uint64_t)(uintptr_t)context_orphan;
        return &orphan;
    }
    leave_for_good(parent);
    return parent;
}

bool segue_context_is_finished(const struct segue_context *context)
{
    return context && (context->flags & SEGUE_CONTEXT_FINISHED_);
}

enum segue_status segue_context_returned(const struct segue_context *context, struct segue_returned *returned)
{
    if (!context || !returned)
        return SEGUE_INVALID;
    returned->rax = context->rax;
    returned->rdx = context->rdx;
    memcpy(returned->xmm0, context->xmm0, sizeof returned->xmm0);
    memcpy(returned->xmm1, context->xmm1, sizeof returned->xmm1);
    return SEGUE_OK;
}

void segue_context_clear_returned(struct segue_context *context)
{
    if (!context)
        return;
    context->rax = context->rdx = 0;
    memset(context->xmm0, 0, sizeof context->xmm0);
    memset(context->xmm1, 0, sizeof context->xmm1);
}

uint64_t segue_context_returned_integer(const struct segue_context *context, unsigned number)
{
    if (!context || number > 1)
        return 0;
    return number ? context->rdx : context->rax;
}
