/* install.c: installs and removes the handler.
 *
 * SOURCES: sigaction(2). */
#include <errno.h>
#include <segue/handler.h>
#include <string.h>

#include "ctx/context/instrument.h"
#include "dispatch.h"
#include "install.h"
#include "platform/calls/calls.h"
#include "platform/handlers/port.h"
#include "platform/process/fork.h"
#include "platform/process/fork_lock.h"
#include "platform/reason.h"
#include "platform/threads/identity.h"
#include "platform/threads/thread.h"
#include "signal_entry.h"
#include "signals/chain/action.h"
#include "signals/chain/chain.h"
#include "signals/chain/previous.h"
#include "signals/hot/ask/ask.h"
#include "signals/hot/begin.h"
#include "signals/mutator/suspend.h"
#include "signals/regions/readers.h"
#include "signals/regions/region.h"
#include "signals/sigchain/believed.h"
#include "signals/syscalls/busy.h"
#include "signals/syscalls/sites/sites.h"
#include "signals/syscalls/syscalls.h"
#include "signals/threads/knock.h"
#include "signals/threads/owner.h"
#include "signals/threads/thread.h"
#include "signals/threads/work.h"

#define KNOWN_FLAGS                                                                                                    \
    (SEGUE_INSTALL_OWN_STACK | SEGUE_INSTALL_NO_SIGBUS | SEGUE_INSTALL_BLOCK_SIGNALS | SEGUE_INSTALL_SIGTRAP |         \
     SEGUE_INSTALL_NO_ATTACH | SEGUE_INSTALL_OPEN_SIGNALS | SEGUE_INSTALL_MACH_PORT | SEGUE_INSTALL_SYSTEM_CALLS |     \
     SEGUE_INSTALL_CALL_SITES)
#define CALLS_FLAGS (SEGUE_INSTALL_SYSTEM_CALLS | SEGUE_INSTALL_CALL_SITES)
#define POLICY_STACK_SIZE 262144u
#if SIZE_MAX > UINT32_MAX
#define POLICY_STACK_MOST ((size_t)1 << 40)
#define POLICY_STACK_MOST_NAME "1 TiB"
#else
#define POLICY_STACK_MOST ((size_t)1 << 30)
#define POLICY_STACK_MOST_NAME "1 GiB"
#endif

static struct fork_lock installing = FORK_LOCK_INITIALIZER;
static bool installed;
static struct segue_options options_in_force;

/* The signals that the library may handle. A replayed instruction can raise SIGFPE: it divides, or computes with
 * exceptions unmasked. A breakpoint on code that is being changed raises SIGTRAP; a system call that is caught,
 * SIGSYS. */
static const int signals[] = {SIGSEGV, SIGFPE, SIGBUS, SIGTRAP, SIGSYS};
#define SIGNALS (sizeof signals / sizeof *signals)

static bool is_wanted(int number, const struct segue_options *options)
{
    if (number == SIGBUS)
        return !(options->flags & SEGUE_INSTALL_NO_SIGBUS);
    if (number == SIGSYS)
        return syscalls_are_caught() || (options->flags & CALLS_FLAGS);
    return number != SIGTRAP || hot_wants_trap() || (options->flags & SEGUE_INSTALL_SIGTRAP);
}

/* The signals for which libsegue-sigchain.so keeps a virtual mask. Not SIGTRAP: a program may handle or block it as
 * without the library. */
static uint64_t answered_signals(const struct segue_options *options)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < SIGNALS; i++)
        if (signals[i] != SIGTRAP && signals[i] != SIGSYS && is_wanted(signals[i], options))
            bits |= SIGNAL_BIT(signals[i]);
    return bits;
}

/* fork() waits for a concurrent install or uninstall; the lock is never held across a blocking call. */
static void before_fork(void)
{
    fork_lock_before(&installing);
    region_before_fork();
}

static void after_fork_in_parent(void)
{
    region_after_fork();
    fork_lock_after(&installing);
}

static void after_fork_in_child(void)
{
    platform_port_in_child();
    fork_lock_in_child(&installing);
    region_in_child();
    readers_reset();
    ask_in_child();
    hot_in_child();
    busy_in_child();
}

static const struct fork_hooks hooks = {
    .before = before_fork, .in_parent = after_fork_in_parent, .in_child = after_fork_in_child};

/* Every signal except three kinds. It includes a signal that the C library reserves for itself and sigfillset() would
 * omit, by which it cancels threads. Not the synchronous ones: a guarded access may fault. Not the suspend signal: a
 * policy may wait for the thread that suspends. Not the signal by which the C library makes all threads change their
 * user: it waits for each thread. */
static uint64_t asynchronous(void)
{
    uint64_t suspends = suspend_signal() ? SIGNAL_BIT(suspend_signal()) : 0;
    return ~(platform_signals_left_open() | suspends);
}

/* On an alternate stack asynchronous signals are deferred unless an option admits them; on the thread's own stack
 * they are admitted unless an option defers them. */
static bool blocks_asynchronous(const struct segue_options *options)
{
    return (options->flags & SEGUE_INSTALL_BLOCK_SIGNALS) ||
           !(options->flags & (SEGUE_INSTALL_OWN_STACK | SEGUE_INSTALL_OPEN_SIGNALS));
}

static void describe_action(int number, const struct segue_options *options, const struct platform_action *previous,
                            struct platform_action *action)
{
    *action = (struct platform_action){.handler = (uint64_t)(uintptr_t)signal_entry};
    if (blocks_asynchronous(options))
        action->mask = asynchronous();
    /* SA_SIGINFO: siginfo and ucontext report the fault. SA_NODEFER: a guarded access, or a policy, may fault while
     * the signal is being handled. */
    action->flags = SA_SIGINFO | SA_NODEFER;
    /* SA_ONSTACK: a thread whose own stack has overflowed can still fault. */
    if (!(options->flags & SEGUE_INSTALL_OWN_STACK))
        action->flags |= SA_ONSTACK;
    action->flags |= previous_restarts(number, previous);
}

/* When the handler is uninstalled: calls go on trapping. */
static bool stays(int number)
{
    return syscalls_are_caught() && (calls_signals() & SIGNAL_BIT(number));
}

static bool take_signal(int number, const struct segue_options *options)
{
    struct platform_action ours, previous;
    if (!action_exchange_or_error(number, NULL, &previous))
        return false;
    if (stays(number) && action_is_ours(&previous))
        return true;
    describe_action(number, options, &previous, &ours);
    return chain_install(number, &previous, &ours);
}

static bool has_trap(void)
{
    return platform_handler_is(SIGTRAP, (const void *)(uintptr_t)signal_entry);
}

/* The first hot region was added after the handler was installed. */
static bool take_trap(void)
{
    struct platform_action present;
    fork_lock_take(&installing);
    bool done = !installed || (action_exchange(SIGTRAP, NULL, &present) && action_is_ours(&present)) ||
                take_signal(SIGTRAP, &options_in_force);
    fork_lock_release(&installing);
    return done;
}

static bool is_by_port(const struct segue_options *options)
{
    return options->flags & SEGUE_INSTALL_MACH_PORT;
}

/* Before the actions are set: the system has none of them then. */
static enum segue_status open_port(const struct segue_options *options)
{
    long result = is_by_port(options) ? platform_port_open(thread_stack_need() + options->policy_stack_size) : 0;
    if (result == 0)
        return SEGUE_OK;
    errno = (int)-result;
    return result == -ENOSYS ? SEGUE_UNSUPPORTED : SEGUE_SYSTEM;
}

/* Undoes what an installation has done that fails: the first `count` signals are the library's. Calls that are caught
 * go on trapping. */
static void give_back(const struct segue_options *options, size_t count, bool attached)
{
    const int why = errno;
    for (size_t i = 0; i < count; i++)
        if (is_wanted(signals[i], options) && !stays(signals[i]))
            chain_put_back(signals[i]);
    if (attached)
        thread_detach();
    platform_port_close();
    errno = why;
}

/* `why` is given with SEGUE_SYSTEM, where it is not a signal's action. */
static enum segue_status install(const struct segue_options *options, const char **why)
{
    enum segue_status status = SEGUE_OK;
    bool attached = false;
    if (installed)
        return SEGUE_EXISTS;
    identity_prepare(readers_rename);
    if (!fork_register(FORK_HANDLER, &hooks))
        return SEGUE_NO_MEMORY;
    if (work_prepare() != SEGUE_OK)
        return SEGUE_NO_MEMORY;
    dispatch_prepare(blocks_asynchronous(options), is_wanted(SIGSYS, options));
    status = open_port(options);
    if (status != SEGUE_OK)
        return status;
    if (!(options->flags & (SEGUE_INSTALL_OWN_STACK | SEGUE_INSTALL_NO_ATTACH))) {
        status = thread_attach(options->policy_stack_size, true);
        if (status != SEGUE_OK && status != SEGUE_EXISTS)
            return status;
        attached = status == SEGUE_OK;
    }
    /* The calls that a remover or a new service interrupts by a question are restarted. */
    if (is_wanted(SIGSYS, options))
        previous_always_restart(SIGNAL_BIT(SIGSYS) | SIGNAL_BIT(SIGSEGV));
    for (size_t i = 0; i < SIGNALS; i++) {
        if (!is_wanted(signals[i], options) || take_signal(signals[i], options))
            continue;
        give_back(options, i, attached);
        return SEGUE_SYSTEM;
    }
    if ((options->flags & CALLS_FLAGS) && (*why = syscalls_begin(options->flags & SEGUE_INSTALL_CALL_SITES))) {
        give_back(options, SIGNALS, attached);
        return SEGUE_SYSTEM;
    }
    believed_begin(answered_signals(options));
    options_in_force = *options;
    installed = true;
    hot_follow_install(take_trap, has_trap);
    ask_follow_install(is_wanted(SIGBUS, options));
    return SEGUE_OK;
}

/* Names what is wrong with the options; NULL if they are valid. */
static const char *misuse(const struct segue_options *options)
{
    const uint32_t contradiction = SEGUE_INSTALL_BLOCK_SIGNALS | SEGUE_INSTALL_OPEN_SIGNALS;
    if (options->reserved32 || !RESERVED_IS_ZERO(options))
        return "options.reserved is not zero: was the struct initialised?";
    if (options->flags & ~(uint32_t)KNOWN_FLAGS)
        return "options.flags has a bit that enum segue_install_flags does not define";
    if ((options->flags & contradiction) == contradiction)
        return "options.flags has both SEGUE_INSTALL_BLOCK_SIGNALS and SEGUE_INSTALL_OPEN_SIGNALS";
    if (options->policy_stack_size > POLICY_STACK_MOST)
        return "options.policy_stack_size is more than " POLICY_STACK_MOST_NAME;
    return NULL;
}

/* Explains a failure when the options are valid and the caller is not inside a fault: something is missing or in
 * use. */
static const char *reason_of(enum segue_status status)
{
    switch (status) {
    case SEGUE_EXISTS:
        return "the handler is installed";
    case SEGUE_NOT_FOUND:
        return "the handler is not installed";
    case SEGUE_NOT_LAST:
        return "another handler was installed over the library's";
    case SEGUE_UNSUPPORTED:
        return "this system sends no faults to a port: install without SEGUE_INSTALL_MACH_PORT";
    case SEGUE_BUSY:
        return installed ? "there are regions" : "the caller is on an alternate stack, which cannot be exchanged";
    default:
        return "the system refuses to change a signal's action, or the alternate stack; errno says why";
    }
}

/* Of the two ways to catch calls that the caller allows, leaves one in the flags: that in force, else the system's.
 * Returns why none is possible; NULL if one is, or none is wanted. */
static const char *choose_way(uint32_t *flags)
{
    const char *obstacle = NULL;
    bool by_sites = *flags & SEGUE_INSTALL_CALL_SITES;
    if (!(*flags & CALLS_FLAGS))
        return NULL;
    if (syscalls_are_caught())
        by_sites = calls_uses_sites();
    else if (*flags & SEGUE_INSTALL_SYSTEM_CALLS && (obstacle = syscalls_obstacle()) == NULL)
        by_sites = false;
    else if (by_sites)
        obstacle = call_sites_obstacle();
    *flags &= ~(uint32_t)CALLS_FLAGS;
    *flags |= by_sites ? SEGUE_INSTALL_CALL_SITES : SEGUE_INSTALL_SYSTEM_CALLS;
    return obstacle;
}

enum segue_status segue_install(const struct segue_options *options)
{
    struct segue_options given = {0};
    if (options)
        given = *options;
    const char *wrong = misuse(&given);
    if (wrong)
        return reason_give(SEGUE_INVALID, wrong);
    if (thread_is_inside())
        return reason_give(SEGUE_BUSY, "the caller is inside a fault");
    if (instrument_is_valgrind())
        return reason_give(SEGUE_UNSUPPORTED, "Valgrind runs a translation of the program and shows handlers a frame "
                                              "of its own making: no fault can be stepped under it");
    if (is_by_port(&given))
        given.flags |= SEGUE_INSTALL_OWN_STACK;
    if (given.policy_stack_size == 0)
        given.policy_stack_size = POLICY_STACK_SIZE;
    const char *obstacle = choose_way(&given.flags);
    if (obstacle)
        return reason_give(SEGUE_UNSUPPORTED, obstacle);
    /* Without its memory the replay engine refuses every plan; moves are stepped all the same. Not with the lock of
     * this file held: replay has its own lock, and fork takes the two in the other order. */
    segue_replay_prepare();
    if (given.flags & CALLS_FLAGS)
        syscalls_prepare();
    fork_lock_take(&installing);
    const char *why = NULL;
    enum segue_status status = install(&given, &why);
    fork_lock_release(&installing);
    return reason_give(status, why ? why : reason_of(status));
}

static bool is_ours(const struct platform_action *action)
{
    return (action->flags & SA_SIGINFO) && action_is_ours(action);
}

void install_follow_suspension(void)
{
    struct platform_action action;
    fork_lock_take(&installing);
    for (size_t i = 0; i < SIGNALS && installed && blocks_asynchronous(&options_in_force); i++) {
        if (!is_wanted(signals[i], &options_in_force) || !action_exchange(signals[i], NULL, &action) ||
            !is_ours(&action))
            continue;
        action.mask = asynchronous();
        action_exchange(signals[i], &action, NULL);
    }
    fork_lock_release(&installing);
}

static enum segue_status check(struct segue_owner *owner)
{
    struct platform_action present;
    if (!installed)
        return SEGUE_NOT_FOUND;
    if (is_by_port(&options_in_force) && !platform_port_is_in_force()) {
        owner_name(SIGSEGV, NULL, owner);
        return SEGUE_NOT_LAST;
    }
    for (size_t i = 0; i < SIGNALS; i++) {
        if (!is_wanted(signals[i], &options_in_force))
            continue;
        if (!action_exchange_or_error(signals[i], NULL, &present))
            return SEGUE_SYSTEM;
        if (!is_ours(&present)) {
            owner_name(signals[i], (void *)(uintptr_t)present.handler, owner);
            return SEGUE_NOT_LAST;
        }
    }
    return SEGUE_OK;
}

enum segue_status segue_install_check(struct segue_owner *owner)
{
    fork_lock_take(&installing);
    enum segue_status status = check(owner);
    fork_lock_release(&installing);
    return reason_give(status, reason_of(status));
}

static enum segue_status uninstall(struct segue_owner *owner)
{
    if (installed && region_count())
        return SEGUE_BUSY;
    enum segue_status status = check(owner);
    if (status != SEGUE_OK)
        return status;
    believed_end();
    for (size_t i = 0; i < SIGNALS; i++)
        if (!stays(signals[i]) && is_wanted(signals[i], &options_in_force) && !chain_put_back(signals[i]))
            return SEGUE_SYSTEM;
    platform_port_close();
    installed = false;
    hot_follow_install(NULL, NULL);
    ask_follow_install(false);
    return SEGUE_OK;
}

enum segue_status segue_uninstall(struct segue_owner *owner)
{
    if (thread_is_inside())
        return reason_give(SEGUE_BUSY, "the caller is inside a fault");
    if (!knock_wait())
        return reason_give(SEGUE_BUSY, "a thread has not received a signal of the library's yet, which would end it");
    fork_lock_take(&installing);
    enum segue_status status = uninstall(owner);
    fork_lock_release(&installing);
    if (status != SEGUE_OK)
        return reason_give(status, reason_of(status));
    readers_wait(NULL);
    if (thread_self.attached_by_install)
        thread_detach();
    return SEGUE_OK;
}

enum segue_status segue_thread_attach(void)
{
    fork_lock_take(&installing);
    bool present = installed;
    size_t size = options_in_force.policy_stack_size;
    fork_lock_release(&installing);
    return present ? thread_attach(size, false) : SEGUE_NOT_FOUND;
}

enum segue_status segue_thread_detach(void)
{
    return thread_detach();
}
