/* actions.h: the program's signal actions, which the host keeps in place of the kernel.
 *
 * The host handles each signal that the program handles, and then lets the program's handler run. It always handles
 * SIGSEGV, SIGBUS, SIGSYS and SIGTRAP (the forced signals), which are never blocked while the program runs. */
#ifndef SEGUE_RUN_ACTIONS_H
#define SEGUE_RUN_ACTIONS_H

#include <signal.h>

#include "platform/linux/signal_bits.h"
#include "tools/run/host/thread.h"

#define SIGNALS 64

/* As the kernel has it. */
struct action {
    uint64_t handler, flags, restorer, mask;
};

struct actions {
    /* The signals whose actions were read or changed, as SIGNAL_BIT has them; the program handles none of the
     * others. */
    uint64_t known;
    struct action of[SIGNALS + 1];
};

/* The forced signals, and those that no program can block. */
#define FORCED_COUNT 4
#define FORCED_SIGNALS (SIGNAL_BIT(SIGSEGV) | SIGNAL_BIT(SIGBUS) | SIGNAL_BIT(SIGSYS) | SIGNAL_BIT(SIGTRAP))
/* The signals that the host's accesses to the program's memory may raise; unblocked only where it makes such accesses
 * (memory.h). */
#define HOST_SIGNALS (SIGNAL_BIT(SIGSEGV) | SIGNAL_BIT(SIGBUS))
#define UNBLOCKABLE_SIGNALS (SIGNAL_BIT(SIGKILL) | SIGNAL_BIT(SIGSTOP))

/* The forced signals, by their places: in the order in which the kernel delivers them. */
static const int forced_signals[FORCED_COUNT] = {SIGTRAP, SIGBUS, SIGSEGV, SIGSYS};

/* Reads the actions in force, and takes over the forced signals. Before the program is started. */
struct actions *actions_begin(void);

/* Before the program is started: marks the forced signals, by their places in two bit sets, that it must find blocked
 * and ignored. */
void actions_inherit(struct thread *thread, unsigned blocked, unsigned ignored);

/* Copies the actions for a process that shares the memory and not the actions; NULL without memory. Freed when that
 * process no longer uses the memory. Async-signal-safe, as all that follow. */
struct actions *actions_copy(const struct actions *actions);
void actions_free(struct actions *actions);

/* rt_sigaction(2), rt_sigprocmask(2), sigaltstack(2) for the program, with the kernel's results. The thread resumes by
 * `frame`. */
long actions_change(struct thread *thread, uint64_t number, uint64_t to, uint64_t from, uint64_t set_size);
long actions_change_mask(struct thread *thread, ucontext_t *frame, const uint64_t *arguments);
long actions_change_stack(struct thread *thread, const ucontext_t *frame, uint64_t to, uint64_t from);

/* Whether the stack pointer is on the program's alternate stack. */
bool actions_is_on_stack(const struct thread *thread, uint64_t stack_pointer);

/* arch_prctl(2) ARCH_REQ_XCOMP_PERM: refused while the thread's alternate stack has no room for larger frames. */
long actions_permit_component(const struct thread *thread, uint64_t component);

/* rt_sigpending(2). */
long actions_pending(const struct thread *thread, uint64_t to, uint64_t set_size);

/* Sets the program's mask. */
void actions_set_mask(struct thread *thread, ucontext_t *frame, uint64_t mask);

/* Reads the action, and resets it if it is for one time only (SA_RESETHAND). */
struct action actions_take(struct thread *thread, int number);

/* Resets all handled signals to their defaults: CLONE_CLEAR_SIGHAND. */
void actions_clear(struct thread *thread);

/* Sets the kernel's default action for a forced signal that is about to end the process. */
void actions_give_up(int number);

#endif
