/* chain.c: forwards unhandled signals to the previously installed handler.
 *
 * A previous handler is entered as the kernel would have entered it (relay.h). If there was no handler, the library
 * restores the default action, queues the signal again and returns from its handler: the thread dies of the signal
 * before it executes another instruction. An ignored fault kills, too: the kernel never resumes a thread after one.
 *
 * SOURCES: sigaction(2), rt_tgsigqueueinfo(2); Linux kernel/signal.c: force_sig_info_to_task (an ignored or blocked
 * fault gets the default action), get_signal (SA_RESETHAND; faults come before other signals), signal_delivered (which
 * signals enter the mask), force_sigsegv (a frame that cannot be written). */
#include "chain.h"

#include "action.h"
#include "platform/frame/entry_layout.h"
#include "platform/frame/frame.h"
#include "platform/frame/stack.h"
#include "platform/posix.h"
#include "platform/threads/thread.h"
#include "previous.h"
#include "relay.h"
#include "signals/ranges.h"
#include "signals/reports/unhandled.h"
#include "signals/sigchain/believed.h"
#include "signals/threads/thread.h"

/* The signals whose handler runs with signals blocked that the interrupted thread had not blocked. */
static uint64_t blocking;

/* The signals that no handler blocks. */
static uint64_t kept_open;

void chain_keep_open(uint64_t signals)
{
    __atomic_store_n(&kept_open, signals, __ATOMIC_RELAXED);
}

static void remember(int number, const struct platform_action *previous, const struct platform_action *ours)
{
    if (ours->mask)
        __atomic_fetch_or(&blocking, SIGNAL_BIT(number), __ATOMIC_RELAXED);
    else
        __atomic_fetch_and(&blocking, ~SIGNAL_BIT(number), __ATOMIC_RELAXED);
    previous_exchange(number, previous, NULL);
}

/* The previous action is recorded before the handler can run, and again as the kernel returned it when the handler
 * was installed. */
bool chain_install(int number, const struct platform_action *previous, const struct platform_action *ours)
{
    struct platform_action replaced;
    remember(number, previous, ours);
    if (!action_exchange_or_error(number, ours, &replaced))
        return false;
    remember(number, &replaced, ours);
    return true;
}

static bool has_others_blocked(int number)
{
    return __atomic_load_n(&blocking, __ATOMIC_RELAXED) & SIGNAL_BIT(number);
}

/* The kernel makes a handler return to the restorer that it was installed with, so the library's restorer shows that
 * the kernel made the call. Another restorer is there if a program has reinstalled this handler after one of its own;
 * or if a handler has jumped to this one as its last act, with its own signals blocked. */
__attribute__((hot)) enum chain_way chain_way_in(int number, const void *ucontext, const void *entry_stack)
{
    const void *const *return_address = entry_stack;
    if ((const char *)entry_stack + ENTRY_CONTEXT != (const char *)ucontext)
        return CHAIN_CALL;
    /* Without a restorer no handler is entered, however it came here (relay_begin); a call would be to no purpose. */
    if (*return_address == (const void *)restorer_plain || !action_needs_restorer())
        return CHAIN_ENTER;
    uint64_t mask = platform_mask_exchange(NULL);
    uint64_t ours = has_others_blocked(number) ? ~SIGNAL_BIT(number) : 0;
    return (mask ^ frame_get_mask(ucontext)) & ~ours ? CHAIN_CALL : CHAIN_ENTER;
}

uint64_t chain_open_faults(void)
{
    return platform_mask_unblock(SIGNAL_BIT(SIGSEGV) | SIGNAL_BIT(SIGBUS) | SIGNAL_BIT(SIGFPE));
}

void chain_close_faults(uint64_t mask)
{
    platform_signals_release(mask);
}

/* The signal is blocked now. Queued again, it is delivered when the handler's return restores the thread's own mask. */
static void queue_again(int number, const void *info)
{
    platform_mask_block(SIGNAL_BIT(number));
    platform_signal_queue_again(number, info);
}

/* If the kernel cannot queue the signal, the instruction runs once more and faults under the default action. */
void chain_die(int number, void *info)
{
    static const struct platform_action default_action;
    action_exchange(number, &default_action, NULL);
    queue_again(number, info);
}

/* The mask of a handler that is entered while `before` is blocked. */
static uint64_t mask_of_handler(uint64_t before, int number, const struct platform_action *action)
{
    uint64_t mask = before | action->mask | (action->flags & SA_NODEFER ? 0 : SIGNAL_BIT(number));
    return mask & ~__atomic_load_n(&kept_open, __ATOMIC_RELAXED);
}

/* The mask that the kernel would have run the handler with: the mask before, plus what the handler's action blocks. A
 * thread that waits in sigsuspend does not return to the mask in force, but to its saved one. */
static uint64_t mask_for(int number, const struct platform_action *action, const void *ucontext)
{
    uint64_t mask = has_others_blocked(number) ? frame_get_mask(ucontext) : platform_mask_exchange(NULL);
    return mask_of_handler(mask, number, action);
}

/* The handler's frame has no room: raises SIGSEGV, or kills the process if the signal was SIGSEGV. */
static void have_no_room(int number, struct native_frame native)
{
    frame_set_kernel_signal(native, SIGSEGV);
    if (number == SIGSEGV || (frame_get_mask(native.context) & SIGNAL_BIT(SIGSEGV)))
        chain_die(SIGSEGV, native.info);
    else
        chain_signal(SIGSEGV, native, true, CHAIN_ENTER);
}

/* `mask` is the handler's signal mask. */
static void run_handler(int number, struct native_frame native, const struct platform_action *action, uint64_t mask,
                        enum chain_way way)
{
    struct relay_frame place;
    struct alternate_stack stack, in_force = frame_stack_in_force(native.context);
    if (way == CHAIN_CALL) {
        action_call(action, number, native.info, native.context);
        return;
    }
    thread_stack_of_program(&in_force, &stack);
    uint64_t answered = believed_signals(), before = believed_mask();
    struct relay relay = {
        .number = number, .action = action, .mask = mask & ~answered, .believed = before, .stack = &stack};
    switch (relay_begin(&relay, native, &place)) {
    case RELAY_READY:
        thread_self.stack_is_lent = place.lends_stack;
        believed_set_mask(before | (mask & answered));
        relay_enter(&relay, native.context, &place);
    case RELAY_NO_ROOM:
        have_no_room(number, native);
        return;
    case RELAY_IMPOSSIBLE:
        platform_signals_release(relay.mask);
        believed_set_mask(before | (mask & answered));
        action_call(action, number, native.info, native.context);
        believed_set_mask(before);
        return;
    }
}

static void die_of_fault(int number, struct native_frame native)
{
    unhandled_tell(native);
    chain_die(number, native.info);
}

void chain_signal(int number, struct native_frame native, bool is_fault, enum chain_way way)
{
    struct platform_action action;
    if (!is_fault)
        ranges_leave(native.context);
    if (believed_mask() & SIGNAL_BIT(number)) {
        /* As the kernel treats a signal that is blocked. */
        if (is_fault)
            die_of_fault(number, native);
        else
            believed_hold(number, native.info);
        return;
    }
    previous_take(number, &action);
    if (action_is_handler(&action))
        run_handler(number, native, &action, mask_for(number, &action, native.context), way);
    else if (is_fault)
        die_of_fault(number, native);
    else if (action.handler != ACTION_IGNORE)
        chain_die(number, native.info);
}

/* ---- for a program's own handler ---- */

/* As mask_for, for a handler of the program: the signals that it has blocked itself do not count. */
static uint64_t mask_before_handler(int number, const void *ucontext)
{
    struct platform_action action;
    bool blocks = !action_exchange(number, NULL, &action) || action.mask || !(action.flags & SA_NODEFER);
    return blocks ? frame_get_mask(ucontext) : platform_mask_exchange(NULL);
}

/* The program's handler is in a call of its own, or in a handler that called it: it gets its control and its mask
 * back. */
static void call_handler(int number, struct native_frame native, const struct platform_action *action)
{
    uint64_t before = platform_mask_block(mask_of_handler(0, number, action));
    action_call(action, number, native.info, native.context);
    platform_mask_set(before);
}

void posix_chain(int number, struct native_frame native, const struct platform_action *action, const void *entry_stack)
{
    const bool is_fault = native.info && frame_is_fault(native);
    const bool is_entered = (const char *)entry_stack + ENTRY_CONTEXT == (const char *)native.context;
    if (!is_fault)
        ranges_leave(native.context);
    if (action_is_handler(action)) {
        if (!is_entered || !native.info)
            call_handler(number, native, action);
        else
            run_handler(number, native, action,
                        mask_of_handler(mask_before_handler(number, native.context), number, action), CHAIN_ENTER);
    } else if (is_fault) {
        die_of_fault(number, native);
    } else if (action->handler != ACTION_IGNORE) {
        chain_die(number, native.info);
    }
}

/* The library need not have a handler for SIGTRAP. */
static void take_trap_action(struct platform_action *action)
{
    static const struct platform_action default_action;
    if (!action_exchange(SIGTRAP, NULL, action) || action_is_ours(action))
        previous_take(SIGTRAP, action);
    else if ((action->flags & SA_RESETHAND) && action_is_handler(action))
        action_exchange(SIGTRAP, &default_action, NULL);
}

/* A trap that is blocked or ignored kills the process, as from the kernel. */
void chain_trap(struct native_frame native, enum chain_way way)
{
    struct platform_action action;
    uint64_t before = frame_get_mask(native.context);
    take_trap_action(&action);
    if (action_is_handler(&action) && !(before & SIGNAL_BIT(SIGTRAP))) {
        run_handler(SIGTRAP, native, &action, mask_of_handler(before, SIGTRAP, &action), way);
        return;
    }
    frame_set_mask(native.context, before & ~SIGNAL_BIT(SIGTRAP));
    chain_die(SIGTRAP, native.info);
}

void chain_restore_mask(int number, const void *ucontext)
{
    if (!has_others_blocked(number))
        platform_signals_release(frame_get_mask(ucontext));
}

bool chain_put_back(int number)
{
    struct platform_action action;
    previous_read(number, &action);
    return action_exchange_or_error(number, &action, NULL);
}

bool chain_is_deadly(int number)
{
    struct platform_action action;
    previous_read(number, &action);
    return !action_is_handler(&action);
}

bool chain_is_ignored(int number)
{
    struct platform_action action;
    previous_read(number, &action);
    return action.handler == ACTION_IGNORE;
}

/* Undoes the changes that the library made to the frame for the handler; keeps what the handler has changed. */
void restorer_return(void *ucontext)
{
    uint64_t answered = believed_signals(), mask = frame_get_mask(ucontext);
    struct alternate_stack stack = frame_stack_in_force(ucontext);
    thread_stack_in_force(&stack);
    frame_set_alternate_stack(ucontext, &stack);
    thread_self.stack_is_lent = false;
    if (!answered)
        return;
    believed_set_mask(mask);
    frame_set_mask(ucontext, mask & ~answered);
}
