/* thread.h: what the handler keeps for each thread. It stands in initial-exec thread-local storage, which is there from
 * a thread's first instruction to its last and is found without a call. */
#ifndef SEGUE_SIGNALS_THREAD_H
#define SEGUE_SIGNALS_THREAD_H

#include <segue/status.h>
#include <signal.h>

#include "platform/frame.h"
#include "platform/identity.h"
#include "platform/kept_info.h"

/* Where the outermost fault of a thread has a mark on the stack, what the mark is, whether that is on the alternate
 * stack, and which that is: with SS_AUTODISARM the kernel says that there is none as long as it is in use. */
struct thread_mark {
    const volatile uint64_t *at;
    uint64_t value;
    /* The fault's signal. */
    int number;
    bool on_alternate;
    uint64_t stack, stack_size;
    /* The kernel's siginfo of the fault: another signal's frame overwrites it where the thread has left the stack. NULL
     * where it is not known. */
    const void *info;
};

struct thread_state {
    /* Faults being served, one inside the other. */
    uint32_t depth;
    /* The fault being served ends as the recovered one. */
    bool tells_recovered;
    /* The stack that the thread had before is in force again, for a handler of the program's that runs on it, or has left
     * it for good. */
    bool stack_is_lent;
    /* segue_thread_attach was called; by segue_install on the caller's behalf. */
    bool attached, attached_by_install;
    /* Where the outermost of them has a mark on the stack, whether that is on the alternate stack, and what the mark
     * is. It tells whether they are still there: a handler that interrupts us may leave by siglongjmp, and we are never
     * told. */
    struct thread_mark mark;
    uint64_t marks;
    /* The innermost of them that has its work area; of no meaning when there is none. */
    struct work *work;
    /* How often the thread was counted among the readers, and how often it has left them, by itself or by having been
     * forgotten; see readers.c. */
    uint32_t tickets, tickets_left;
    /* How far the last alias window's memory was from its region: a guess for the next. */
    uint64_t last_distance;
    /* How often the thread was suspended; the fault whose step a suspension waits for (question.h), and whether one
     * does. */
    uint64_t suspensions;
    struct work *stepping;
    bool is_suspension_put_off;
    /* A second signal of a suspension that was asked for twice is on its way. */
    bool expects_suspension;
    /* How often policies and devices have been called, which may have changed the signal mask. */
    uint32_t calls_out;
    /* How often in a row the kernel has ended a restartable sequence of this thread's, and a number for where, and by a
     * fault at which address. */
    uint32_t restarts, restart;
    /* The table's removals when this thread last met an address that was in no region. */
    uint64_t removals_seen;
    /* The last fault of a guarded access: si_signo is 0 when there was none. */
    struct kept_info recovered;
    struct frame_exception recovered_exception;
    /* What the fault being served is about, for a report of a fault inside the handler. */
    uint64_t serving_address, serving_instruction;
    /* The alternate stack that we gave: its mapping with the guard page; NULL when we gave none. */
    void *stack;
    size_t stack_size, guard_size;
    /* The thread's own stack, of a thread that has attached; both 0 where it is not known. */
    uint64_t own_stack, own_stack_end;
    /* The stack that the thread had before. */
    stack_t previous_stack;
    /* Of the library's signals: those that the program believes to have blocked here, those that were sent meanwhile,
     * and their siginfo; see believed.h. */
    uint64_t believed, held;
    struct kept_info held_info[3];
};

extern __thread struct thread_state thread_self __attribute__((tls_model("initial-exec"), visibility("hidden")));

/* How many parts the counters that all threads write are split into. */
#define THREAD_SHARDS 64

/* Which part the calling thread uses. */
static inline unsigned thread_shard(void)
{
    return (unsigned)(((uint64_t)(uintptr_t)&thread_self * 0x9e3779b97f4a7c15u) >> 58);
}

/* The kernel's number of the calling thread. Async-signal-safe. */
int thread_number(void);

/* Whether the calling thread stands inside a fault. Async-signal-safe. */
bool thread_is_inside(void);

/* Notes the outermost fault of the thread by `*mark`, which must stand on the stack until the depth is 0 again.
 * Async-signal-safe. */
void thread_put_mark(volatile uint64_t *mark, struct native_frame native);

/* Fills in the mark of a fault inside another. */
void thread_mark_level(struct thread_mark *to, volatile uint64_t *mark, struct native_frame native);

/* Whether a fault with such a mark is over, by a stack pointer of its thread, on which stack it is, and by what stands
 * at the mark. The thread may be any. Async-signal-safe. */
bool thread_is_beyond(const struct thread_mark *mark, uint64_t stack_pointer, bool on_alternate);
bool thread_is_overwritten(const struct thread_mark *mark);

/* Forgets those of the faults that this thread was serving that whoever interrupted them has left for good, and puts
 * back what was set aside for them. `stack_pointer` is the
 * thread's own, of now or of when it was interrupted, and whether it is on the alternate stack. Async-signal-safe. */
void thread_settle(uint64_t stack_pointer, bool on_alternate);

/* The thread is back in the code of that fault: those inside it that were left for good are forgotten.
 * Async-signal-safe. */
void thread_settle_inside(const struct work *work);

/* What the thread keeps of a fault becomes again what it was when the one of `work` came in the middle of it.
 * Async-signal-safe. */
void thread_put_back_outer(const struct work *work);

/* The same as thread_settle when a remover asks, which waits for a ticket of this thread's number: takes those away, too, that belong to
 * none of its faults. Async-signal-safe. */
void thread_answer(uint64_t stack_pointer, bool on_alternate);

/* segue_thread_attach and detach, on a caller's or on segue_install's behalf. `stack_size` is the policies' share. */
enum segue_status thread_attach(size_t policy_stack_size, bool by_install);
enum segue_status thread_detach(void);

/* The alternate stack that the program has set, or would see to be none, where `in_force` is what the kernel knows of;
 * and the other way round, in place. Async-signal-safe. */
void thread_stack_of_program(const stack_t *in_force, stack_t *believed);
void thread_stack_in_force(stack_t *stack);

/* For a handler with that frame: true if the thread's stack was lent to a handler that is left for good, and comes into
 * force again when the kernel restores the frame, which was changed for that. Async-signal-safe. */
bool thread_takes_stack_back(void *ucontext);

/* Faults inside policies inside faults. */
#define THREAD_DEPTH 8

/* The most that the library takes of the stack that it serves a fault on, beside the kernel's frames (measured by
 * tests/differential/stack_depth.c); and what of it handing on takes (tests/signals/small_stacks.c). */
#define THREAD_OWN_STACK 1536u
#define THREAD_HAND_ON_STACK 1088u
/* The same where sites of code may be rewritten (segue_segment_enable), which looks up mappings. */
#define THREAD_SEGMENT_STACK 4096u

/* The bytes of an alternate stack that all faults need that may be served there one inside the other, beside what
 * policies use. */
size_t thread_stack_need(void);

#endif
