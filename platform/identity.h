/* identity.h: the numbers of threads and processes, asked of the right process and in the right namespace.
 *
 * A thread's number alone does not name it. A child made by fork has a copy of this memory and other threads. A child
 * that shares this memory (vfork, CLONE_VM) is another thread group, perhaps in another PID namespace: there the
 * numbers of its parent's threads mean other threads or none. */
#ifndef SEGUE_PLATFORM_IDENTITY_H
#define SEGUE_PLATFORM_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

/* How another thread can be asked about. */
enum identity_group {
    /* A thread of the process that prepared. */
    IDENTITY_OWN,
    /* A thread of a process that shares its memory, in the same PID namespace; in another one. */
    IDENTITY_SHARES,
    IDENTITY_FAR,
};

/* A thread, as it is noted where other threads find it. */
struct identity {
    int number;
    enum identity_group group;
};

/* What the calling thread knows of itself. */
struct identity_self {
    /* Its number is 0 until it is asked for. */
    struct identity identity;
    /* In which process that was. */
    uint32_t process;
    /* In a child made by fork: the number in the parent. */
    int number_before_fork;
};
extern __thread struct identity_self identity_self __attribute__((tls_model("initial-exec"), visibility("hidden")));

/* Notes which process this is, once, and where the C library keeps a thread's number. `renamed` is called in the child of
 * a raw fork, by the thread that forked, before it gets an answer from identity_of_self: its number was `before`. Not
 * async-signal-safe; `renamed` must be. */
void identity_prepare(void (*renamed)(int before, struct identity self));

/* In a child made by fork: the same anew. */
void identity_in_child(void);

/* The calling thread. Makes system calls where the thread's number is not known yet and the C library does not show
 * it, and in a child of a raw fork, which had no fork handlers. Async-signal-safe. */
struct identity identity_of_self(void);

/* Whether the thread has ended. True only if that is certain: a thread that cannot be asked about from here is taken
 * for alive. Async-signal-safe. */
bool identity_is_gone(struct identity thread);

/* Whether the calling thread belongs to the process that prepared. Async-signal-safe. */
bool identity_is_own_process(void);

#endif
