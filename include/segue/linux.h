/* linux.h: Linux alone: a thread or a process made from inside a handler.
 *
 * SOURCES: clone(2), clone3(2); Shadow's shim. */
#ifndef SEGUE_LINUX_H
#define SEGUE_LINUX_H

#ifndef __linux__
#error "segue/linux.h: this is not Linux"
#endif

#include <segue/status.h>

SEGUE_BEGIN

/* Called on the child before it goes on: on a stack of its own, with all signals blocked, with
 * `block`, a copy of the bytes that the request gave. It may call only what needs no thread-local
 * storage if the child shares the parent's memory and CLONE_SETTLS was not asked for, since then it
 * also shares the parent's. It arms the child's alternate stack, if it is to have one: a child that
 * shares memory begins without, CLONE_VFORK's too, whose parent may stand on its own. It may not
 * fail; it may end the child by a system call. */
typedef void segue_clone_start(void *block, size_t size);

/* What is to be made. All zero bytes and an exit signal are a fork. */
struct segue_clone {
    /* CLONE_*, as for clone3(2), without an exit signal: CLONE_NEWTIME has its bit, and
     * CLONE_DETACHED is none. */
    uint64_t flags;
    /* Sent to the parent when the child ends; 0 for none. Not looked at with CLONE_THREAD and
     * CLONE_PARENT, as in clone(2). */
    uint64_t exit_signal;
    /* The child's stack pointer, of any alignment; 0: that of the frame. Nothing is written there.
     */
    uint64_t stack_pointer;
    /* CLONE_SETTLS: the child's FS base. */
    uint64_t tls;
    /* CLONE_PARENT_SETTID, CLONE_CHILD_SETTID and CLONE_CHILD_CLEARTID, CLONE_PIDFD. */
    int *parent_tid, *child_tid, *pidfd;
    /* clone3 alone: see there. With any of these, CLONE_NEWTIME, or flags beyond 32 bits, clone3 is
     * what is called. */
    const int *set_tid;
    size_t set_tid_size;
    uint64_t cgroup;
    /* As clone(2) has it: AMX's tiles begin in their initial state, and take no room in the child's
     * frames before it uses one. False: it has the frame's. */
    bool initial_tiles;
    /* May be NULL. */
    segue_clone_start *start;
    /* Copied for the child before segue_clone returns. */
    const void *block;
    size_t block_size;
    uint64_t reserved[4];
};

/* In a handler: makes a child that goes on where the frame `ucontext` says, as fork and clone do,
 * with RAX 0, and else with all of the frame's: general registers, flags, vector, x87 and control
 * state, signal mask; its stack pointer is the request's. `ucontext` is what the kernel gave the
 * handler. Edit the frame first, where the child is to go on elsewhere. The parent's frame is not
 * changed: to store the result in it is the caller's. With CLONE_VM and CLONE_VFORK it returns when
 * the child has released its parent, and the handler's stack is as it was, whatever the child did
 * there; the handler must not have changed stacks itself. Returns, on the parent alone, the child's
 * number, or a negative error number; then nothing is left behind. -EINVAL for a NULL pointer, an
 * exit signal in the flags or beyond 64, CLONE_PIDFD and CLONE_PARENT_SETTID with one place for
 * both, or what the kernel finds invalid; -ENOMEM; -EOPNOTSUPP under a shadow stack, for a child
 * that shares memory, is not waited for (CLONE_VFORK) and would go on where the handler stands, and
 * in a handler that has interrupted a guest: with CLONE_VM or CLONE_SETTLS, or if the handler was
 * not installed by segue_guest_sigaction or segue_install. Else such a child goes on in the guest,
 * with its bases, and has it as its own. MT-Safe, AS-Safe; errno is kept. */
SEGUE_API long segue_clone(const void *ucontext, const struct segue_clone *request);

SEGUE_END

#endif
