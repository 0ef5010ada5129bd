/* thread.h: what the handler keeps for each thread. It stands in initial-exec thread-local storage, which is there from
 * a thread's first instruction to its last and is found without a call. */
#ifndef SEGUE_SIGNALS_THREAD_H
#define SEGUE_SIGNALS_THREAD_H

#include <segue/signals.h>

#include "frame.h"

/* What the thread's handler is doing. */
enum thread_place {
    /* Nothing: no fault is being served, or the innermost one is in a policy or a device. */
    THREAD_OUTSIDE,
    /* Running the library's own code, which never faults but in its guarded accesses. */
    THREAD_IN_LIBRARY,
};

struct thread_state {
    /* Faults being served, one inside the other. */
    uint32_t depth;
    /* enum thread_place. */
    uint32_t place;
    /* How often the thread is inside each of the two sets of readers. */
    uint32_t inside[2];
    /* The table's removals when this thread last met an address that was in no region. */
    uint64_t removals_seen;
    /* The kernel's number, 0 until asked for. */
    int number;
    /* The last fault of a guarded access: si_signo is 0 when there was none. */
    siginfo_t recovered;
    struct frame_exception recovered_exception;
    /* The fault being served ends as the recovered one. */
    bool tells_recovered;
    /* What the fault being served is about, for a report of a fault inside the handler. */
    uint64_t serving_address, serving_instruction;
    /* The alternate stack that we gave: its mapping with the guard page; NULL when we gave none. */
    void *stack;
    size_t stack_size;
    /* The stack that the thread had before. */
    stack_t previous_stack;
    /* segue_thread_attach was called; by segue_install on the caller's behalf. */
    bool attached, attached_by_install;
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

/* segue_thread_attach and detach, on a caller's or on segue_install's behalf. `stack_size` is the policies' share. */
enum segue_status thread_attach(size_t policy_stack_size, bool by_install);
enum segue_status thread_detach(void);

/* The bytes of stack that a handler needs on this machine beside what policies use: the kernel's frame and our own. */
size_t thread_stack_need(void);

#endif
