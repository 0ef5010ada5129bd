/* believed.c: see believed.h.
 *
 * SOURCES: signal(7): a standard signal is pending at most once; sigaltstack(2); Linux kernel/signal.c
 * do_sigaltstack. */
#include "believed.h"

#include <errno.h>
#include <signal.h>

#include "platform/code.h"
#include "platform/handlers/sigchain.h"
#include "platform/threads/thread.h"
#include "signals/chain/action.h"
#include "signals/chain/previous.h"
#include "signals/threads/thread.h"

/* The kernel refuses smaller stacks. */
#define MINSIGSTKSZ_OF_KERNEL 2048

static uint64_t answered;

uint64_t believed_signals(void)
{
    return __atomic_load_n(&answered, __ATOMIC_RELAXED);
}

uint64_t believed_mask(void)
{
    return thread_self.believed;
}

/* Where a held signal with that number is stored. */
static struct kept_info *place_of(int number)
{
    return &thread_self.held_info[number == SIGSEGV ? 0 : number == SIGBUS ? 1 : 2];
}

void believed_hold(int number, const void *info)
{
    if (thread_self.held & SIGNAL_BIT(number))
        return;
    kept_info_keep(place_of(number), info);
    thread_self.held |= SIGNAL_BIT(number);
}

/* Sends the held signal again: it is delivered at once, as if it had been sent now. */
static void let_through(int number)
{
    struct kept_info kept = *place_of(number);
    thread_self.held &= ~SIGNAL_BIT(number);
    kept_info_send_again(&kept, number);
}

void believed_set_mask(uint64_t mask)
{
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE};
    thread_self.believed = mask & believed_signals();
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (thread_self.held & ~thread_self.believed & SIGNAL_BIT(numbers[i]))
            let_through(numbers[i]);
}

static uint64_t pending(void)
{
    return thread_self.held;
}

/* Signals that cannot be blocked are removed from the mask; and the action has a restorer, as the program would read
 * it back from the kernel. */
static void action(int number, const struct platform_action *wanted, struct platform_action *before)
{
    struct platform_action next;
    if (wanted) {
        next = *wanted;
        next.mask &= ~(SIGNAL_BIT(SIGKILL) | SIGNAL_BIT(SIGSTOP));
        if (action_needs_restorer()) {
            next.flags |= ACTION_HAS_RESTORER;
            next.restorer = (uint64_t)(uintptr_t)restorer_plain;
        }
    }
    previous_exchange(number, wanted ? &next : NULL, before);
    if (wanted)
        previous_follow(number, wanted);
}

static int change_stack(struct thread_state *thread, const struct alternate_stack *wanted, bool is_on)
{
    unsigned mode = wanted->flags & ~STACK_AUTODISARM;
    if (is_on)
        return EPERM;
    if (mode != 0 && mode != STACK_IN_USE && mode != STACK_DISABLED)
        return EINVAL;
    if (mode != STACK_DISABLED && wanted->size < MINSIGSTKSZ_OF_KERNEL)
        return ENOMEM;
    thread->previous_stack = mode == STACK_DISABLED ? (struct alternate_stack){.flags = wanted->flags} : *wanted;
    thread_follow_stack(&thread->previous_stack);
    return 0;
}

/* For threads with the library's alternate stack; the others have the stack that they set. */
static int stack(const struct alternate_stack *wanted, struct alternate_stack *before)
{
    struct thread_state *thread = &thread_self;
    uint64_t here = (uint64_t)(uintptr_t)__builtin_frame_address(0);
    if (!thread->stack)
        return -1;
    struct alternate_stack present = thread->previous_stack;
    uint64_t bottom = (uint64_t)(uintptr_t)present.lowest;
    /* A handler that the kernel has called is on the library's where that is larger. */
    bool is_on = !(present.flags & STACK_AUTODISARM) && present.size &&
                 ((here > bottom && here - bottom <= present.size) || thread_is_on_own_stack(here));
    if (before) {
        *before = present;
        before->flags = ((present.flags & STACK_AUTODISARM) | (present.size == 0 ? STACK_DISABLED
                                                               : is_on           ? STACK_IN_USE
                                                                                 : 0));
    }
    return wanted ? change_stack(thread, wanted, is_on) : 0;
}

static sigchain_attach *find_preloaded(void)
{
    sigchain_is_bypassed *is_bypassed = (sigchain_is_bypassed *)(uintptr_t)platform_symbol_find(SIGCHAIN_IS_BYPASSED);
    if (is_bypassed && is_bypassed())
        return NULL;
    return (sigchain_attach *)(uintptr_t)platform_symbol_find(SIGCHAIN_ATTACH);
}

void believed_begin(uint64_t signals)
{
    static struct sigchain_face face = {.action = action,
                                        .mask = believed_mask,
                                        .set_mask = believed_set_mask,
                                        .pending = pending,
                                        .stack = stack,
                                        .block = platform_mask_block};
    sigchain_attach *attach = find_preloaded();
    if (!attach)
        return;
    uint64_t mask = platform_mask_unblock(signals);
    face.signals = signals;
    __atomic_store_n(&answered, signals, __ATOMIC_RELAXED);
    thread_self.believed = mask & signals;
    attach(&face);
}

void believed_end(void)
{
    sigchain_attach *attach = find_preloaded();
    if (!attach || !believed_signals())
        return;
    uint64_t mask = thread_self.believed;
    attach(NULL);
    believed_set_mask(0);
    __atomic_store_n(&answered, 0, __ATOMIC_RELAXED);
    platform_mask_block(mask);
}
