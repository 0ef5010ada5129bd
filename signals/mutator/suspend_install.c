/* suspend_install.c: installs and removes the handler of the suspend signal, and names the handler's owner if it is
 * not the library's.
 *
 * SOURCES: sigaction(2); MPS code/pthrdext.c (the default signal). */
#include <segue/suspend.h>
#include <string.h>

#include "platform/process/fork.h"
#include "platform/process/fork_lock.h"
#include "platform/reason.h"
#include "platform/threads/identity.h"
#include "platform/threads/thread.h"
#include "signals/chain/action.h"
#include "signals/chain/chain.h"
#include "signals/handler/install.h"
#include "signals/regions/readers.h"
#include "signals/threads/owner.h"
#include "suspend.h"

#define DEFAULT_SIGNAL SIGXCPU

static struct fork_lock installing = FORK_LOCK_INITIALIZER;

static void before_fork(void)
{
    fork_lock_before(&installing);
}

static void after_fork_in_parent(void)
{
    fork_lock_after(&installing);
}

static void after_fork_in_child(void)
{
    fork_lock_in_child(&installing);
    identity_in_child();
    suspend_in_child();
}

static const struct fork_hooks hooks = {
    .before = before_fork, .in_parent = after_fork_in_parent, .in_child = after_fork_in_child};

/* Every signal except synchronous ones, those that the C library needs in every thread, and those the embedder
 * exempts. */
static uint64_t blocked_signals(const struct segue_suspend_options *options)
{
    return (~options->open | SIGNAL_BIT(options->signal)) & ~platform_signals_left_open();
}

static enum segue_status install(const struct segue_suspend_options *options)
{
    struct platform_action previous, ours = {
                                         .handler = (uint64_t)(uintptr_t)suspend_entry,
                                         .flags = SA_SIGINFO | SA_RESTART,
                                         .mask = blocked_signals(options),
                                     };
    if (suspend_signal())
        return SEGUE_EXISTS;
    identity_prepare(readers_rename);
    if (!fork_register(FORK_SUSPENSION, &hooks))
        return SEGUE_NO_MEMORY;
    if (options->flags & SEGUE_SUSPEND_ALTERNATE_STACK)
        ours.flags |= SA_ONSTACK;
    if (!action_exchange_or_error(options->signal, NULL, &previous) ||
        !chain_install(options->signal, &previous, &ours))
        return SEGUE_SYSTEM;
    suspend_set_signal(options->signal);
    return SEGUE_OK;
}

static const char *reason_of(enum segue_status status)
{
    switch (status) {
    case SEGUE_EXISTS:
        return "suspension is installed";
    case SEGUE_NOT_FOUND:
        return "suspension is not installed";
    case SEGUE_NOT_LAST:
        return "another handler of the signal was installed over the library's";
    case SEGUE_BUSY:
        return "threads are suspended";
    default:
        return "the system refuses to change the signal's action; errno says why";
    }
}

enum segue_status segue_suspend_install(const struct segue_suspend_options *options)
{
    struct segue_suspend_options given = {0};
    if (options)
        given = *options;
    if (given.signal == 0)
        given.signal = DEFAULT_SIGNAL;
    if (!RESERVED_IS_ZERO(&given))
        return reason_give(SEGUE_INVALID, "options.reserved is not zero: was the struct initialised?");
    if (given.flags & ~(uint32_t)SEGUE_SUSPEND_ALTERNATE_STACK)
        return reason_give(SEGUE_INVALID, "options.flags has a bit that enum segue_suspend_flags does not define");
    if (!platform_signal_is_free(given.signal))
        return reason_give(SEGUE_INVALID, "options.signal is not a signal that can suspend threads");
    fork_lock_take(&installing);
    enum segue_status status = install(&given);
    fork_lock_release(&installing);
    /* Not with this file's lock held: the function takes a lock of its own. */
    if (status == SEGUE_OK)
        install_follow_suspension();
    return reason_give(status, reason_of(status));
}

static enum segue_status check(struct segue_owner *owner)
{
    struct platform_action present;
    if (!suspend_signal())
        return SEGUE_NOT_FOUND;
    if (suspend_is_first(&present))
        return SEGUE_OK;
    owner_name(suspend_signal(), (void *)(uintptr_t)present.handler, owner);
    return SEGUE_NOT_LAST;
}

enum segue_status segue_suspend_check(struct segue_owner *owner)
{
    fork_lock_take(&installing);
    enum segue_status status = check(owner);
    fork_lock_release(&installing);
    return reason_give(status, reason_of(status));
}

static enum segue_status uninstall(void)
{
    enum segue_status status = check(NULL);
    if (status != SEGUE_OK)
        return status;
    /* Take the suspension lock, so that no thread suspends meanwhile. */
    if (!suspend_begin_change())
        return SEGUE_BUSY;
    bool done = chain_put_back(suspend_signal());
    if (done)
        suspend_set_signal(0);
    suspend_end_change();
    return done ? SEGUE_OK : SEGUE_SYSTEM;
}

enum segue_status segue_suspend_uninstall(void)
{
    fork_lock_take(&installing);
    enum segue_status status = uninstall();
    fork_lock_release(&installing);
    if (status == SEGUE_OK)
        install_follow_suspension();
    return reason_give(status, reason_of(status));
}
