/* action.c: the library's handlers, called by one function that the system calls, or by port.c's. The actions of
 * signals are a table; the action that was there before an entry stays beside it, and gets what the library's handler
 * leaves to others (platform_pass_on): its handler is called with the frame, and the mask that the system would have
 * called it with.
 *
 * SOURCES: sigaction(2), sigaltstack(2), pthread_sigmask(2) of macOS; XNU bsd/dev/i386/unix_signal.c (sendsig: the
 * frame's alternate stack is not the thread's; its uc_onstack is). */
#if !defined(__APPLE__)
#error "platform/darwin/handlers/action.c is specific to macOS"
#endif

#include "platform/handlers/action.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "platform/darwin/frame/native.h"
#include "platform/frame/frame.h"
#include "platform/guest.h"
#include "platform/handlers/pass_on.h"
#include "platform/posix/called/chain.h"
#include "platform/posix/called/nested.h"
#include "platform/posix/guest_catch.h"
#include "platform/threads/thread.h"
#include "serve.h"

static struct entry {
    struct platform_action action;
    struct sigaction previous;
} entries[NSIG];

static uint64_t handler_of(int number)
{
    return __atomic_load_n(&entries[number].action.handler, __ATOMIC_ACQUIRE);
}

/* ---- the library's handlers ---- */

bool serve_is_wanted(int number)
{
    return number && handler_of(number) > ACTION_IGNORE;
}

uint64_t serve_mask(int number)
{
    return entries[number].action.mask;
}

void serve(struct native_info *info, struct native_context *native)
{
    uint64_t handler = handler_of(info->number);
    native_enter(native);
    if (handler > ACTION_IGNORE)
        ((platform_handler *)(uintptr_t)handler)(info->number, info, native);
    else
        info->is_passed_on = true;
    native_close(native);
    native_leave(native);
}

/* ---- what the library leaves to others ---- */

static bool is_handler(const struct sigaction *action)
{
    return (action->sa_flags & SA_SIGINFO) || (action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN);
}

/* Blocked until the handler returns; then the thread dies of it before it executes an instruction. */
static void die_of(int number)
{
    const struct sigaction by_default = {.sa_handler = SIG_DFL};
    sigset_t only = (sigset_t)SIGNAL_BIT(number);
    sigaction(number, &by_default, NULL);
    pthread_sigmask(SIG_BLOCK, &only, NULL);
    pthread_kill(pthread_self(), number);
}

/* A fault that a step has met takes the place of the one that the system has reported. */
void native_chain(struct sigaction *previous, const struct native_info *info, siginfo_t *told, ucontext_t *context)
{
    int number = info->number;
    struct sigaction action = *previous;
    if (!is_handler(&action)) {
        if (action.sa_handler == SIG_DFL || !info->is_sent)
            die_of(number);
        return;
    }
    if (action.sa_flags & SA_RESETHAND)
        *previous = (struct sigaction){.sa_handler = SIG_DFL};
    told->si_signo = number;
    told->si_code = info->code;
    told->si_addr = (void *)(uintptr_t)info->address;
    sigset_t mask = context->uc_sigmask | action.sa_mask;
    if (!(action.sa_flags & SA_NODEFER))
        mask |= (sigset_t)SIGNAL_BIT(number);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    if (action.sa_flags & SA_SIGINFO)
        action.sa_sigaction(number, told, context);
    else
        action.sa_handler(number);
}

void platform_pass_on(void *info)
{
    ((struct native_info *)info)->is_passed_on = true;
}

/* ---- the function that the system calls ---- */

static void handle(int number, siginfo_t *told, void *context)
{
    struct native_info info;
    struct native_context native;
    struct gathered_room room;
    int kept = errno;
    (void)number;
    native_open(&info, &native, told, context, &room);
    serve(&info, &native);
    if (info.is_passed_on)
        native_chain(&entries[info.number].previous, &info, told, context);
    errno = kept;
}

/* ---- handlers of an embedder's guests ---- */

static void catch (int number, void *info, void *context)
{
    (void)number;
    if (guest_catch((struct native_frame){info, context}) != SEGUE_OK)
        platform_pass_on(info);
}

enum segue_status posix_guest_catch(siginfo_t *told, void *context)
{
    struct native_info info;
    struct native_context native;
    struct gathered_room room;
    native_open(&info, &native, told, context, &room);
    native_enter(&native);
    guest_serve(info.number, &info, &native, catch);
    native_close(&native);
    native_leave(&native);
    return info.is_passed_on ? SEGUE_NOT_FOUND : SEGUE_OK;
}

/* ---- actions ---- */

/* As the system enters it: the bases may be a guest's. */
static void (*const system_entry)(int number, siginfo_t *told,
                                  void *context) = (void (*)(int, siginfo_t *, void *))guest_system_entry;

static bool is_ours(const struct sigaction *action)
{
    return (action->sa_flags & SA_SIGINFO) && action->sa_sigaction == system_entry;
}

static void describe(const struct sigaction *action, int number, struct platform_action *described)
{
    if (port_is_open() || is_ours(action)) {
        *described = entries[number].action;
        return;
    }
    *described = (struct platform_action){.flags = (uint64_t)(unsigned)action->sa_flags, .mask = action->sa_mask};
    if (action->sa_flags & SA_SIGINFO)
        described->handler = (uint64_t)(uintptr_t)action->sa_sigaction;
    else
        described->handler = (uint64_t)(uintptr_t)action->sa_handler;
}

static void note(int number, const struct platform_action *wanted)
{
    struct entry *entry = &entries[number];
    entry->action.flags = wanted->flags;
    entry->action.mask = wanted->mask;
    __atomic_store_n(&entry->action.handler, wanted->handler, __ATOMIC_RELEASE);
}

/* The entry is whole before the system can call its handler. */
static bool put_in(int number, const struct platform_action *wanted, const struct sigaction *present)
{
    if (!is_ours(present))
        entries[number].previous = *present;
    note(number, wanted);
    guest_system_handler = (platform_handler *)handle;
    struct sigaction ours = {.sa_sigaction = system_entry, .sa_flags = (int)wanted->flags | SA_SIGINFO};
    ours.sa_mask = (sigset_t)wanted->mask;
    return sigaction(number, &ours, NULL) == 0;
}

/* One caller at a time: the modules above have a lock for it. ACTION_DEFAULT puts back what was there. */
long platform_action_change(int number, const struct platform_action *wanted, struct platform_action *before)
{
    struct sigaction present;
    int kept = errno;
    long result = 0;
    if (number <= 0 || number >= NSIG || sigaction(number, NULL, &present) != 0)
        return -EINVAL;
    if (before)
        describe(&present, number, before);
    if (wanted && port_is_open()) {
        note(number, wanted);
    } else if (wanted && wanted->handler > ACTION_IGNORE) {
        result = put_in(number, wanted, &present) ? 0 : -EINVAL;
    } else if (wanted && is_ours(&present)) {
        result = sigaction(number, &entries[number].previous, NULL) == 0 ? 0 : -EINVAL;
        __atomic_store_n(&entries[number].action.handler, ACTION_DEFAULT, __ATOMIC_RELEASE);
    }
    errno = kept;
    return result;
}

uint64_t platform_signals_left_open(void)
{
    return SIGNALS_SYNCHRONOUS;
}

bool platform_signal_is_free(int number)
{
    const uint64_t taken = SIGNALS_SYNCHRONOUS | SIGNAL_BIT(SIGKILL) | SIGNAL_BIT(SIGSTOP);
    return number > 0 && number < NSIG && !(taken & SIGNAL_BIT(number));
}

void platform_signal_queue_again(int number, const void *info)
{
    (void)info;
    pthread_kill(pthread_self(), number);
}

bool platform_signal_take(int number, struct kept_info *kept)
{
    (void)number;
    (void)kept;
    return false;
}

bool platform_signal_is_pending(int number)
{
    sigset_t pending = 0;
    return sigpending(&pending) == 0 && (pending & (sigset_t)SIGNAL_BIT(number));
}

bool platform_handler_is(int signal, const void *handler)
{
    struct platform_action present;
    return platform_action_exchange(signal, NULL, &present) && present.handler == (uint64_t)(uintptr_t)handler;
}
