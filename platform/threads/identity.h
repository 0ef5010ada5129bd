/* identity.h: TIDs and PIDs that are valid in their own process and PID namespace.
 *
 * A TID alone does not identify a thread. A child made by fork has a copy of this memory and other threads. A child
 * that shares this memory (vfork, CLONE_VM) is another thread group, perhaps in another PID namespace: there its
 * parent's TIDs name other threads or none. */
#ifndef SEGUE_PLATFORM_IDENTITY_H
#define SEGUE_PLATFORM_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

/* How to ask the kernel about another thread. */
enum identity_group {
    /* A thread of the process that called identity_prepare. */
    IDENTITY_OWN,
    /* A thread of a process that shares its memory, in the same PID namespace; in another one. */
    IDENTITY_SHARES,
    IDENTITY_FAR,
};

/* A thread's identity, as it is stored for other threads. */
struct identity {
    int number;
    enum identity_group group;
};

/* The calling thread's record of itself. */
struct identity_self {
    /* The TID is 0 until it is first needed. */
    struct identity identity;
    /* The process in which the TID was read. */
    uint32_t process;
    /* In a child made by fork: the TID in the parent. */
    int number_before_fork;
};
extern __thread struct identity_self identity_self __attribute__((tls_model("initial-exec"), visibility("hidden")));

/* Records, once, which process this is, and where the C library keeps a thread's TID. `renamed` is called in the
 * child of a raw fork, by the thread that forked, before identity_of_self returns to it: its TID was `before`. Not
 * async-signal-safe; `renamed` must be. */
void identity_prepare(void (*renamed)(int before, struct identity self));

/* Threads that the program makes are not those of the C library that identity_prepare knows: each asks the kernel. */
void identity_of_others(void);

/* In a child made by fork: records the child's process in place of the parent's. */
void identity_in_child(void);

/* The calling thread. Makes system calls if the TID is not known yet and the C library does not export it, and in a
 * child of a raw fork, which ran no fork handlers. Async-signal-safe. */
struct identity identity_of_self(void);

/* Whether the thread has ended. True only if that is certain: a thread that cannot be asked about from here counts as
 * alive. Async-signal-safe. */
bool identity_is_gone(struct identity thread);

/* Whether the calling thread belongs to the process that called identity_prepare. Async-signal-safe. */
bool identity_is_own_process(void);

#endif
