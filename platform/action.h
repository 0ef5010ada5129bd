/* action.h: what the system does when a signal comes, as the system itself has it: the C library's sigaction may be
 * somebody else's, a preloaded library's or a sanitizer's, and hides two signals of its own.
 *
 * Every function: async-signal-safe, thread-safe; errno stays as it was. */
#ifndef SEGUE_PLATFORM_ACTION_H
#define SEGUE_PLATFORM_ACTION_H

#include <stdbool.h>
#include <stdint.h>

struct platform_action {
    /* ACTION_DEFAULT, ACTION_IGNORE, or a platform_handler's address. */
    uint64_t handler;
    /* SA_SIGINFO and its like (signal.h), and ACTION_HAS_RESTORER. */
    uint64_t flags;
    /* Where the handler returns to, with ACTION_HAS_RESTORER. */
    uint64_t restorer;
    /* The signals that are blocked while it runs, a bit each, signal 1 lowest. */
    uint64_t mask;
};

/* `info` and `context`: with SA_SIGINFO. */
typedef void platform_handler(int number, void *info, void *context);

#define ACTION_DEFAULT UINT64_C(0)
#define ACTION_IGNORE UINT64_C(1)
#define ACTION_HAS_RESTORER UINT64_C(0x04000000)

/* Reads the action in force into `*before` and puts `*wanted` in its place, each if it is not NULL. Returns 0, or a
 * negative error number: if there is no such signal, or it cannot be caught, or the system refuses. */
long platform_action_change(int number, const struct platform_action *wanted, struct platform_action *before);

/* The same; whether it was done. */
static inline bool platform_action_exchange(int number, const struct platform_action *wanted,
                                            struct platform_action *before)
{
    return platform_action_change(number, wanted, before) == 0;
}

/* Signals that handlers leave open: what an instruction raises, for a guarded access may fault; and what the C library
 * sends to every thread and waits for. */
uint64_t platform_signals_left_open(void);

/* Whether a handler of the library's may be put in for that signal, which no part of the system has for itself. */
bool platform_signal_is_free(int number);

/* Queues the signal for the calling thread, as `info` describes it: a handler's second argument. */
void platform_signal_queue_again(int number, const void *info);

/* Whether the calling thread's signal waits to be let through. */
bool platform_signal_is_pending(int number);

#endif
