/* action.h: signal actions, as the kernel itself has them. The C library's sigaction may be replaced by a preloaded
 * library or a sanitizer, and it hides two signals of its own.
 *
 * Every function is async-signal-safe and thread-safe, and preserves errno. */
#ifndef SEGUE_PLATFORM_ACTION_H
#define SEGUE_PLATFORM_ACTION_H

#include <stdbool.h>
#include <stdint.h>

#include "decode/x86/compiler/shared_word.h"
#include "platform/frame/kept_info.h"

struct platform_action {
    /* ACTION_DEFAULT, ACTION_IGNORE, or a platform_handler's address. */
    shared_word handler;
    /* SA_SIGINFO and the other flags of signal.h, and ACTION_HAS_RESTORER. */
    uint64_t flags;
    /* The handler's return address; valid with ACTION_HAS_RESTORER. */
    uint64_t restorer;
    /* The signals that are blocked while the handler runs, one bit each, signal 1 lowest. */
    uint64_t mask;
};

/* `info` and `context` are valid with SA_SIGINFO. */
typedef void platform_handler(int number, void *info, void *context);

#define ACTION_DEFAULT UINT64_C(0)
#define ACTION_IGNORE UINT64_C(1)
#define ACTION_HAS_RESTORER UINT64_C(0x04000000)

/* Whether a handler needs a restorer. Not where a function of platform/ is the handler. Not on i386: the kernel has its
 * own there, and the C library's sigaction loses the address of one and keeps its flag, when a program sets an action
 * again that it has read. */
#if defined(__x86_64__) && defined(__linux__)
#define ACTION_NEEDS_RESTORER true
#else
#define ACTION_NEEDS_RESTORER false
#endif

/* Stores the action in force in `*before` and replaces it by `*wanted`, each if not NULL. Returns 0, or a negative
 * error number: the signal does not exist, cannot be caught, or the system refuses. */
long platform_action_change(int number, const struct platform_action *wanted, struct platform_action *before);

/* The same; returns whether it succeeded. */
static inline bool platform_action_exchange(int number, const struct platform_action *wanted,
                                            struct platform_action *before)
{
    return platform_action_change(number, wanted, before) == 0;
}

/* Signals that handlers leave unblocked: those that an instruction raises, since a guarded access may fault; and
 * those that the C library sends to every thread and waits for. */
uint64_t platform_signals_left_open(void);

/* Whether the library may install a handler for that signal: no part of the system reserves it. */
bool platform_signal_is_free(int number);

/* Queues the signal for the calling thread, as `info` describes it: a handler's second argument. */
void platform_signal_queue_again(int number, const void *info);

/* Whether that signal is pending for the calling thread. */
bool platform_signal_is_pending(int number);

/* Takes a pending signal that the calling thread blocks. False if no such signal is pending; also where this is not
 * made for the system: Linux has it. */
bool platform_signal_take(int number, struct kept_info *kept);

#endif
