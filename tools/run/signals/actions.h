/* actions.h: what the program has arranged for its signals, in place of the kernel's own record.
 *
 * Each signal that the program handles is handled by the host, which then lets the program's handler run. SIGSEGV,
 * SIGBUS, SIGSYS and SIGTRAP are the host's always, and never blocked while the program runs. */
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
    /* Those that have been asked for, or changed, as SIGNAL_BIT has them; the program handles none of the others. */
    uint64_t known;
    struct action of[SIGNALS + 1];
};

/* What cannot be blocked, and what no program can block. */
#define FORCED_COUNT 4
#define FORCED_SIGNALS (SIGNAL_BIT(SIGSEGV) | SIGNAL_BIT(SIGBUS) | SIGNAL_BIT(SIGSYS) | SIGNAL_BIT(SIGTRAP))
/* What the host's accesses to the program's memory may raise; open only where it makes some (memory.h). */
#define HOST_SIGNALS (SIGNAL_BIT(SIGSEGV) | SIGNAL_BIT(SIGBUS))
#define UNBLOCKABLE_SIGNALS (SIGNAL_BIT(SIGKILL) | SIGNAL_BIT(SIGSTOP))

/* The forced ones, by their places: in the order in which the kernel delivers them. */
static const int forced_signals[FORCED_COUNT] = {SIGTRAP, SIGBUS, SIGSEGV, SIGSYS};

/* Reads what is in force, and takes the forced signals. Before the program is started. */
struct actions *actions_begin(void);

/* Before the program is started: of the forced signals, by their places in two bit sets, those that it is to find
 * blocked and ignored. */
void actions_inherit(struct thread *thread, unsigned blocked, unsigned ignored);

/* A copy for a process that shares the memory and not the actions; NULL without memory. Freed when that process has
 * gone on without the memory. Async-signal-safe, as all that follow. */
struct actions *actions_copy(const struct actions *actions);
void actions_free(struct actions *actions);

/* rt_sigaction(2), rt_sigprocmask(2), sigaltstack(2) for the program; results as the kernel's. `frame` is what the
 * thread goes on by. */
long actions_change(struct thread *thread, uint64_t number, uint64_t to, uint64_t from, uint64_t set_size);
long actions_change_mask(struct thread *thread, ucontext_t *frame, const uint64_t *arguments);
long actions_change_stack(struct thread *thread, const ucontext_t *frame, uint64_t to, uint64_t from);

/* Whether the stack pointer is on the program's alternate stack. */
bool actions_is_on_stack(const struct thread *thread, uint64_t stack_pointer);

/* arch_prctl(2) ARCH_REQ_XCOMP_PERM: refused while the thread's alternate stack has no room for the frames to come. */
long actions_permit_component(const struct thread *thread, uint64_t component);

/* rt_sigpending(2). */
long actions_pending(const struct thread *thread, uint64_t to, uint64_t set_size);

/* Makes the mask the program's. */
void actions_set_mask(struct thread *thread, ucontext_t *frame, uint64_t mask);

/* Reads the action, and takes it back if it is for one time only. */
struct action actions_take(struct thread *thread, int number);

/* All that are handled become the default's: CLONE_CLEAR_SIGHAND. */
void actions_clear(struct thread *thread);

/* Puts the kernel's own default in force for a signal of the host's, which it is about to die of. */
void actions_give_up(int number);

#endif
