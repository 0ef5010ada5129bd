/* action.c: the library's handlers, called by one function that the C library calls. The actions of signals are a
 * table; the action that was there before an entry stays beside it, and gets what the library's handler leaves to
 * others (platform_pass_on): its handler is called with the frame, and the mask that it would have been called with.
 *
 * The C library is between the kernel and each handler: its own handler is what the kernel calls, with all signals
 * blocked; it sets the mask, and calls the handler with the kernel's frame; then it copies the context, and returns to
 * the kernel with the copy, which leads to the same extended state. It takes a lock of that signal's action for
 * reading: so no thread may fault while it sets that action.
 *
 * SOURCES: FreeBSD sigaction(2); lib/libthr/thread/thr_sig.c (thr_sighandler, handle_signal: a handler without
 * SA_SIGINFO gets the code, the context and the address, too); sys/sys/signal.h (numbers up to 64 without a name are
 * free; SIGTHR and SIGLIBRT are the C library's). */
#if !defined(__FreeBSD__)
#error "platform/freebsd/handlers/action.c is specific to FreeBSD"
#endif

#include "platform/handlers/action.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "platform/frame/frame.h"
#include "platform/freebsd/handlers/signals.h"
#include "platform/handlers/pass_on.h"
#include "platform/posix/called/chain.h"
#include "platform/posix/called/nested.h"
#include "platform/posix/mask.h"
#include "platform/threads/thread.h"

/* A mask has so many of the system's signals. */
#define SIGNALS 65

typedef void old_handler(int number, int code, void *context, void *address);

static struct entry {
    struct platform_action action;
    struct sigaction previous;
} entries[SIGNALS];

static uint64_t bits_of(const sigset_t *set)
{
    uint64_t bits;
    memcpy(&bits, set, sizeof bits);
    return bits;
}

/* ---- what the library leaves to others ---- */

static bool is_handler(const struct sigaction *action)
{
    return action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN;
}

/* Blocked until the handler returns; then the thread dies of it before it executes an instruction. */
static void die_of(int number)
{
    const uint64_t only = SIGNAL_BIT(number);
    sigaction(number, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
    mask_change(SIG_BLOCK, &only);
    platform_thread_signal(platform_thread_id(), number);
}

static void call(const struct sigaction *action, int number, siginfo_t *told, ucontext_t *context)
{
    uint64_t mask = bits_of(&context->uc_sigmask) | bits_of(&action->sa_mask);
    mask |= action->sa_flags & SA_NODEFER ? 0 : SIGNAL_BIT(number);
    platform_mask_set(mask);
    if (action->sa_flags & SA_SIGINFO)
        action->sa_sigaction(number, told, context);
    else
        ((old_handler *)(uintptr_t)action->sa_handler)(number, told->si_code, context, told->si_addr);
}

/* What the library has made of the signal: another number (frame_set_kernel_signal), or a step's trap. */
void native_chain(struct sigaction *previous, const struct native_info *info, siginfo_t *told, ucontext_t *context)
{
    struct sigaction action = *previous;
    told->si_signo = info->number;
    told->si_code = info->code;
    told->si_addr = (void *)(uintptr_t)info->address;
    told->si_trapno = info->trap;
    if (is_handler(&action)) {
        if (action.sa_flags & SA_RESETHAND)
            *previous = (struct sigaction){.sa_handler = SIG_DFL};
        call(&action, info->number, told, context);
    } else if (action.sa_handler == SIG_DFL || !info->is_sent) {
        die_of(info->number);
    }
}

void platform_pass_on(void *info)
{
    struct native_info *of = info;
    of->is_passed_on = true;
}

/* ---- the function that the C library calls ---- */

static void handle(int number, siginfo_t *told, void *context)
{
    struct native_info info;
    struct native_context native;
    struct gathered_room room;
    int kept = errno;
    uint64_t handler = __atomic_load_n(&entries[number].action.handler, __ATOMIC_ACQUIRE);
    native_open(&info, &native, told, context, &room);
    native_enter(&native);
    info.is_passed_on = handler <= ACTION_IGNORE;
    if (!info.is_passed_on)
        ((platform_handler *)(uintptr_t)handler)(number, &info, &native);
    native_close(&native);
    native_leave(&native);
    if (info.is_passed_on)
        native_chain(&entries[info.number].previous, &info, told, context);
    errno = kept;
}

/* ---- actions ---- */

static bool is_ours(const struct sigaction *action)
{
    return action->sa_sigaction == handle && (action->sa_flags & SA_SIGINFO);
}

static struct platform_action describe(const struct sigaction *action, int number)
{
    if (is_ours(action))
        return entries[number].action;
    return (struct platform_action){.handler = (uint64_t)(uintptr_t)action->sa_handler,
                                    .flags = (uint64_t)(unsigned)action->sa_flags,
                                    .mask = bits_of(&action->sa_mask)};
}

/* The entry is whole before the system can call its handler. */
static int put_in(int number, const struct platform_action *wanted, const struct sigaction *present)
{
    struct sigaction ours = {.sa_sigaction = handle, .sa_flags = (int)wanted->flags | SA_SIGINFO};
    struct platform_action *action = &entries[number].action;
    if (!is_ours(present))
        entries[number].previous = *present;
    action->flags = wanted->flags;
    action->mask = wanted->mask;
    __atomic_store_n(&action->handler, wanted->handler, __ATOMIC_RELEASE);
    memcpy(&ours.sa_mask, &wanted->mask, sizeof wanted->mask);
    return sigaction(number, &ours, NULL);
}

/* One caller at a time: the modules above have a lock for it. ACTION_DEFAULT puts back what was there. */
static long change(int number, const struct platform_action *wanted, const struct sigaction *present)
{
    int failed = 0;
    if (wanted->handler > ACTION_IGNORE) {
        failed = put_in(number, wanted, present);
    } else if (is_ours(present)) {
        failed = sigaction(number, &entries[number].previous, NULL);
        __atomic_store_n(&entries[number].action.handler, ACTION_DEFAULT, __ATOMIC_RELEASE);
    }
    return failed ? -EINVAL : 0;
}

long platform_action_change(int number, const struct platform_action *wanted, struct platform_action *before)
{
    struct sigaction present;
    int kept = errno;
    long result = -EINVAL;
    if (number > 0 && number < SIGNALS && sigaction(number, NULL, &present) == 0) {
        if (before)
            *before = describe(&present, number);
        result = wanted ? change(number, wanted, &present) : 0;
    }
    errno = kept;
    return result;
}

/* ---- single signals ---- */

uint64_t platform_signals_left_open(void)
{
    return SIGNALS_SYNCHRONOUS | SIGNAL_BIT(SIGTHR) | SIGNAL_BIT(SIGNAL_STOP);
}

bool platform_signal_is_free(int number)
{
    const uint64_t taken = SIGNALS_SYNCHRONOUS | SIGNALS_OF_SYSTEM | SIGNAL_BIT(SIGNAL_STOP);
    return number > 0 && number < SIGNALS && !(taken & SIGNAL_BIT(number));
}

void platform_signal_queue_again(int number, const void *info)
{
    (void)info;
    platform_thread_signal(platform_thread_id(), number);
}

bool platform_signal_take(int number, struct kept_info *kept)
{
    (void)number;
    (void)kept;
    return false;
}

bool platform_signal_is_pending(int number)
{
    sigset_t pending;
    return sigpending(&pending) == 0 && (bits_of(&pending) & SIGNAL_BIT(number));
}

bool platform_handler_is(int signal, const void *handler)
{
    struct platform_action present;
    return platform_action_exchange(signal, NULL, &present) && present.handler == (uint64_t)(uintptr_t)handler;
}
