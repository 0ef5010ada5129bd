/* thread.h: the handler's per-thread state. It lies in initial-exec thread-local storage, which exists from a
 * thread's first instruction to its last and is found without a call. */
#ifndef SEGUE_SIGNALS_THREAD_H
#define SEGUE_SIGNALS_THREAD_H

#include <segue/status.h>

#include "platform/frame/frame.h"
#include "platform/frame/kept_info.h"
#include "platform/frame/stack.h"
#include "platform/threads/identity.h"

/* The stack sentinel of a thread's outermost fault: its address and value, whether it is on the alternate stack, and
 * that stack's range. With SS_AUTODISARM the kernel reports no alternate stack while it is in use. */
struct thread_mark {
    const volatile uint64_t *at;
    uint64_t value;
    /* The fault's signal. */
    int number;
    bool on_alternate;
    uint64_t stack, stack_size;
    /* The kernel's siginfo of the fault; once the thread has left the stack, another signal's frame overwrites it.
     * NULL if it is not known. */
    const void *info;
};

struct asker;

struct thread_state {
    /* The thread's, for hot policies (signals/hot/ask); NULL if it has none. The first member: assembly reads it. */
    struct asker *asker;
    /* The number of nested faults in progress. */
    uint32_t depth;
    /* The fault in progress is forwarded as the recovered nested fault. */
    bool tells_recovered;
    /* The thread's previous alternate stack is in force again: for a program's handler that runs on it, or that has
     * left it by siglongjmp. */
    bool stack_is_lent;
    /* segue_thread_attach was called; segue_install did so on the caller's behalf. */
    bool attached, attached_by_install;
    /* The outermost fault's mark. It shows whether the faults are still in progress: a handler that interrupts the
     * library's may leave by siglongjmp, and nothing reports that to the library. */
    struct thread_mark mark;
    uint64_t marks;
    /* The innermost fault that has its work area; meaningless if the depth is 0. */
    struct work *work;
    /* How many reader slots the thread has taken, and how many it has left, by itself or by being forgotten; see
     * readers.c. */
    uint32_t tickets, tickets_left;
    /* The last alias window's distance from its region: a guess for the next fault. */
    uint64_t last_distance;
    /* How often the thread was suspended; the fault whose step a suspension waits for (question.h), and whether one
     * does. */
    uint64_t suspensions;
    struct work *stepping;
    bool is_suspension_put_off;
    /* A second signal will arrive, of a suspension that was requested twice. */
    bool expects_suspension;
    /* How often policies and devices were called; they may have changed the signal mask. */
    uint32_t calls_out;
    /* How often in a row the kernel has aborted a restartable sequence of this thread, and a hash of the abort
     * handler and of the address of the fault that caused it. */
    uint32_t restarts, restart;
    /* The table's count of removals when this thread last faulted at an address in no region. */
    uint64_t removals_seen;
    /* The last fault of a guarded access; si_signo is 0 if there was none. */
    struct kept_info recovered;
    struct frame_exception recovered_exception;
    /* Address and instruction of the fault in progress, for the report of a fault inside the handler. */
    uint64_t serving_address, serving_instruction;
    /* The alternate stack that the library has set: its mapping with the guard page; NULL if it has set none. */
    void *stack;
    size_t stack_size;
    /* An alternate stack of the program's is large enough for faults from that many times the guard on. */
    uint32_t guard_size, stack_need;
    /* The bounds of an attached thread's own stack; both 0 if they are not known. */
    uint64_t own_stack, own_stack_end;
    /* The alternate stack that the thread had before. */
    struct alternate_stack previous_stack;
    /* Of the library's signals: those that the program believes this thread has blocked, those that were sent
     * meanwhile, and their siginfo (the virtual signal mask, believed.h). */
    uint64_t believed, held;
    struct kept_info held_info[3];
};

extern __thread struct thread_state thread_self __attribute__((tls_model("initial-exec"), visibility("hidden")));

/* The number of parts that the counters which all threads write are split into. */
#define THREAD_SHARDS 64

/* Which part the calling thread uses. */
static inline unsigned thread_shard(void)
{
    return (unsigned)(((uint64_t)(uintptr_t)&thread_self * 0x9e3779b97f4a7c15u) >> 58);
}

/* The calling thread's TID. Async-signal-safe. */
int thread_number(void);

/* Whether the calling thread has a fault in progress. Async-signal-safe. */
bool thread_is_inside(void);

/* Records the thread's outermost fault by `*mark`, which must stay on the stack until the depth is 0 again.
 * Async-signal-safe. */
void thread_put_mark(volatile uint64_t *mark, struct native_frame native);

/* Fills in the mark of a nested fault. */
void thread_mark_level(struct thread_mark *to, volatile uint64_t *mark, struct native_frame native);

/* Whether a fault with that mark is over, judged by its thread's stack pointer, by the stack that this is on, and by
 * the word at the mark. The thread may be any. Async-signal-safe. */
bool thread_is_beyond(const struct thread_mark *mark, uint64_t stack_pointer, bool on_alternate);
bool thread_is_overwritten(const struct thread_mark *mark);

/* Stale-reader recovery: forgets those of this thread's faults that an interrupting handler has abandoned, and
 * restores what was set aside for them. `stack_pointer` is the thread's own, now or when it was interrupted;
 * `on_alternate`: it is on the alternate stack. Async-signal-safe. */
void thread_settle(uint64_t stack_pointer, bool on_alternate);

/* The thread has returned to the code of the fault of `work`: forgets the nested faults that were abandoned.
 * Async-signal-safe. */
void thread_settle_inside(const struct work *work);

/* Restores the per-thread values of the outer fault, which the fault of `work` has interrupted. Async-signal-safe. */
void thread_put_back_outer(const struct work *work);

/* As thread_settle, as the answer to a remover that waits for a ticket with this thread's TID: also drops the tickets
 * that belong to none of its faults. Async-signal-safe. */
void thread_answer(uint64_t stack_pointer, bool on_alternate);

/* segue_thread_attach and detach, on behalf of a caller or of segue_install. `policy_stack_size` is the policies'
 * share. */
enum segue_status thread_attach(size_t policy_stack_size, bool by_install);
enum segue_status thread_detach(void);
/* Alternate stacks of the library's are so much larger, for handlers of the program's. Before thread_attach. */
void thread_keep_room(size_t size);

/* The alternate stack that the program has set, or that it expects to be absent, given the one that the kernel has
 * (`in_force`); and the reverse, in place. Async-signal-safe. */
void thread_stack_of_program(const struct alternate_stack *in_force, struct alternate_stack *believed);
void thread_stack_in_force(struct alternate_stack *stack);

/* The program has set this one: it is in force if it is large enough for faults; else the library's, which the thread
 * has. Async-signal-safe. */
void thread_follow_stack(const struct alternate_stack *program);
/* Whether the address is on the library's stack. Async-signal-safe. */
bool thread_is_on_own_stack(uint64_t address);

/* For a handler with that frame: true if the thread's alternate stack was lent to a handler that was abandoned. The
 * frame is then changed so that the kernel restores the library's stack when the handler returns. Async-signal-safe. */
bool thread_takes_stack_back(void *ucontext);

/* The most nested faults: faults inside policies inside faults. */
#define THREAD_DEPTH 8

/* The most stack that the library uses where it serves a fault, beside the kernel's frames
 * (tests/differential/stack_depth.c measures it); and the share of that which forwarding uses
 * (tests/signals/small_stacks.c). */
#define THREAD_OWN_STACK 1536u
#define THREAD_HAND_ON_STACK 1088u
/* The same if code sites may be rewritten (segue_segment_enable), which looks up mappings. */
#define THREAD_SEGMENT_STACK 4096u

/* The bytes of an alternate stack that the greatest number of nested faults needs, beside what policies use. */
size_t thread_stack_need(void);

#endif
