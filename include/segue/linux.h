/* linux.h: creates a thread or a process from inside a signal handler. For Linux alone.
 *
 * SOURCES: clone(2), clone3(2); Shadow's shim. */
#ifndef SEGUE_LINUX_H
#define SEGUE_LINUX_H

#ifndef __linux__
#error "segue/linux.h: this is not Linux"
#endif

#include <segue/status.h>

SEGUE_BEGIN

/* The child calls it before it continues: on a separate stack, with all signals blocked. `block` is
 * a copy of the request's bytes. If the child shares the parent's memory without CLONE_SETTLS, it
 * also shares the parent's thread-local storage, and the function must not use that. A child that
 * shares memory begins without an alternate stack, also with CLONE_VFORK, whose parent may stand on
 * its own: the function must set one if the child needs it. It cannot report failure; it may end
 * the child by a system call. */
typedef void segue_clone_start(void *block, size_t size);

/* The child to create. All zero bytes and an exit signal give a fork. */
struct segue_clone {
    /* CLONE_* flags, as for clone3(2), without an exit signal: CLONE_NEWTIME has its own bit, and
     * CLONE_DETACHED does not exist. */
    uint64_t flags;
    /* The signal that the parent gets when the child ends; 0: no signal. Ignored with CLONE_THREAD
     * and CLONE_PARENT, as in clone(2). */
    uint64_t exit_signal;
    /* The child's stack pointer, of any alignment; 0: the frame's. Nothing is written there. */
    uint64_t stack_pointer;
    /* CLONE_SETTLS: the child's FS base. */
    uint64_t tls;
    /* CLONE_PARENT_SETTID, CLONE_CHILD_SETTID and CLONE_CHILD_CLEARTID, CLONE_PIDFD. */
    int *parent_tid, *child_tid, *pidfd;
    /* As in clone3(2). With any of these, with CLONE_NEWTIME, or with flags beyond 32 bits, the
     * library calls clone3. */
    const int *set_tid;
    size_t set_tid_size;
    uint64_t cgroup;
    /* True: as with clone(2), AMX tiles begin in their initial state, and take no space in the
     * child's signal frames before the child uses one. False: the child has the frame's tiles. */
    bool initial_tiles;
    /* May be NULL. */
    segue_clone_start *start;
    /* Copied for the child before segue_clone returns. */
    const void *block;
    size_t block_size;
    uint64_t reserved[4];
};

/* In a signal handler: creates a child that continues where the frame `ucontext` says, as after
 * fork and clone: with RAX 0, and otherwise the frame's whole state (general registers, flags,
 * vector, x87 and control state, signal mask); its stack pointer is the request's. `ucontext` is
 * the handler's third argument. To continue the child elsewhere, edit the frame first. The parent's
 * frame does not change: the caller stores the result there. With CLONE_VM and CLONE_VFORK, the
 * function returns when the child has released its parent, and the handler's stack is unchanged,
 * whatever the child did there; the handler must not have changed stacks itself. A child created in
 * a handler that interrupted a guest continues in that guest, with its bases, and owns it.
 *
 * Returns, in the parent only, the child's TID, or a negative error number with nothing left
 * behind; 0 if a seccomp filter answered 0 and no child exists. -EINVAL for a NULL pointer, an exit
 * signal in the flags or above 64, CLONE_PIDFD and CLONE_PARENT_SETTID with one location for both,
 * or what the kernel finds invalid; -ENOMEM; -EOPNOTSUPP under a shadow stack; for a child that
 * shares memory without CLONE_VFORK and would continue at the handler's own stack; and in a handler
 * that interrupted a guest, with CLONE_VM or CLONE_SETTLS, or if neither segue_guest_sigaction nor
 * segue_install installed the handler. MT-Safe, AS-Safe; preserves errno. */
SEGUE_API long segue_clone(const void *ucontext, const struct segue_clone *request);

SEGUE_END

#endif
