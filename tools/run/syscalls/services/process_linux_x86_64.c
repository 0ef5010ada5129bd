/* process_linux_x86_64.c: makes the program's threads and processes, by segue_clone from the frame of its call.
 *
 * A child that shares memory has a block of its own, whose copy of the host's thread-local storage is its FS base; the
 * program's is its GS base. It begins in its own stub, which enables the trapping of its calls.
 *
 * SOURCES: clone(2), vfork(2); Linux kernel/fork.c (syscall user dispatch is not inherited). */
#include <errno.h>
#include <sched.h>
#include <segue/linux.h>
#include <string.h>
#include <sys/syscall.h>

#include "decode/x86/canonical.h"
#include "decode/x86/page.h"
#include "platform/memory/forced.h"
#include "process.h"
#include "tools/run/detours/code.h"
#include "tools/run/detours/detour.h"
#include "tools/run/host/lock.h"
#include "tools/run/host/memory.h"
#include "tools/run/host/report.h"
#include "tools/run/image/maps.h"
#include "tools/run/signals/actions.h"
#include "tools/run/signals/fault.h"
#include "tools/run/signals/registers.h"
#include "tools/run/syscalls/call_linux_x86_64.h"

#define EXIT_SIGNAL_BITS 0xffu
#define LAST_SIGNAL 64
#define LEAST_ARGUMENTS 64
#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND 0x100000000ULL
#endif
#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP 0x200000000ULL
#endif

/* As the kernel has it (linux/sched.h, struct clone_args). */
struct clone_arguments {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

/* The start arguments of a child. */
struct birth {
    struct thread *thread;
    uint64_t gs;
    bool sets_gs, clears_actions, releases_lock, shares_descriptors;
};

/* On the child, with the host's FS base in force. */
static void begin_child(void *block, size_t size)
{
    const struct birth *birth = block;
    struct thread *thread = birth->thread;
    (void)size;
    if (birth->releases_lock)
        lock_release();
    thread->waiting = 0;
    thread->is_lent = thread->is_lent && !birth->releases_lock;
    thread_begins(thread);
    thread_arm_stack(thread);
    if (birth->releases_lock) {
        code_in_child(birth->shares_descriptors);
        forced_in_child();
        detour_in_child();
    }
    if (birth->releases_lock && birth->shares_descriptors)
        maps_forget();
    else if (birth->releases_lock && detour_are_made())
        maps_keep();
    if (birth->sets_gs) {
        registers_set_gs_base(birth->gs);
        thread->thread_pointer = birth->gs;
    }
    if (birth->clears_actions)
        actions_clear(thread);
    if (!thread_arm_calls(thread))
        report_fatal("a seccomp filter forbids prctl: the system calls of a new thread or process cannot be trapped");
    /* This comes last: nothing of the host reads thread-local storage from here to the program's first instruction. */
    __asm__ volatile("wrfsbase %0" : : "r"((uint64_t)0));
}

/* The block of a child that shares memory; NULL without memory. */
static struct thread *block_for(const struct thread *parent, uint64_t flags)
{
    struct thread *child = thread_take(parent);
    if (!child || (flags & CLONE_SIGHAND))
        return child;
    child->actions = actions_copy(parent->actions);
    child->owns_actions = child->actions;
    if (child->actions)
        return child;
    thread_give(child);
    return NULL;
}

static void give_block(struct thread *child, uint64_t flags)
{
    if (!(flags & CLONE_SIGHAND))
        actions_free(child->actions);
    child->owns_actions = false;
    thread_give(child);
}

static void count_child(uint64_t flags, long result)
{
    if (result <= 0)
        return;
    count(flags & CLONE_THREAD ? &counters->threads : &counters->processes, 1);
    report_event("%s %d made", flags & CLONE_THREAD ? "thread" : "process", (int64_t)result);
}

static long clone_sharing_memory(struct thread *thread, ucontext_t *frame, struct segue_clone *request,
                                 struct birth *birth)
{
    uint64_t instruction = registers_get(frame, REG_RIP), rcx = registers_get(frame, REG_RCX), gate;
    /* A process that may be killed alone must not hold the lock. */
    if (!(request->flags & CLONE_THREAD))
        fault_prepare();
    struct thread *child = block_for(thread, request->flags);
    if (!child)
        return -ENOMEM;
    if ((request->flags & CLONE_VFORK) && !request->stack_pointer)
        child->alternate = thread->alternate;
    child->target = instruction;
    child->is_lent = !(request->flags & CLONE_THREAD);
    child->borrows_memory = thread->borrows_memory || !(request->flags & CLONE_THREAD);
    gate = thread_gate(child, run_gate_begin);
    birth->thread = child;
    /* The host's storage in FS, from the child's first instruction on. */
    request->flags |= CLONE_SETTLS;
    request->tls = thread_storage(child);
    /* In RCX too, as after a SYSCALL: then the library needs no word of memory for each such address. The gate loads
     * the program's RCX. */
    registers_set(frame, REG_RIP, gate);
    registers_set(frame, REG_RCX, gate);
    long result = segue_clone(frame, request);
    registers_set(frame, REG_RIP, instruction);
    registers_set(frame, REG_RCX, rcx);
    if (request->flags & CLONE_VFORK)
        lock_release_of(child);
    if (result <= 0 || (request->flags & CLONE_VFORK))
        give_block(child, request->flags);
    else if (!(request->flags & CLONE_THREAD))
        thread_lends(child, result);
    return result;
}

static long clone_copying_memory(struct thread *thread, ucontext_t *frame, struct segue_clone *request,
                                 struct birth *birth)
{
    uint64_t instruction = registers_get(frame, REG_RIP),
             own = SIGNAL_BIT(SIGSYS) | (thread->is_open ? HOST_SIGNALS : 0);
    request->flags &= ~(uint64_t)CLONE_SETTLS;
    request->tls = 0;
    thread->target = instruction;
    birth->thread = thread;
    birth->releases_lock = true;
    registers_set(frame, REG_RIP, thread_gate(thread, run_gate_begin));
    lock_take();
    /* The child drops the signals that its parent has kept, and may be sent one at once. */
    thread->keeps_signals = false;
    long result = segue_clone(frame, request);
    thread->keeps_signals = true;
    /* Signals that were sent meanwhile were blocked by the host's mask. */
    system_call4(SYS_rt_sigprocmask, SIG_UNBLOCK, (long)&own, 0, sizeof own);
    lock_release();
    registers_set(frame, REG_RIP, instruction);
    return result;
}

static long clone_process(struct thread *thread, ucontext_t *frame, struct segue_clone *request)
{
    /* As the program would have them from the kernel. */
    request->initial_tiles = true;
    struct birth birth = {
        .gs = request->tls,
        .sets_gs = request->flags & CLONE_SETTLS,
        .clears_actions = request->flags & CLONE_CLEAR_SIGHAND,
        .shares_descriptors = request->flags & CLONE_FILES,
    };
    uint64_t flags = request->flags;
    request->flags &= ~CLONE_CLEAR_SIGHAND;
    request->start = begin_child;
    request->block = &birth;
    request->block_size = sizeof birth;
    long result = (flags & CLONE_VM) ? clone_sharing_memory(thread, frame, request, &birth)
                                     : clone_copying_memory(thread, frame, request, &birth);
    count_child(flags, result);
    return result;
}

enum call_outcome process_fork(struct thread *thread, ucontext_t *frame, const struct call *call, long *result)
{
    struct segue_clone request = {.exit_signal = SIGCHLD};
    (void)call;
    *result = clone_process(thread, frame, &request);
    return CALL_DONE;
}

enum call_outcome process_vfork(struct thread *thread, ucontext_t *frame, const struct call *call, long *result)
{
    struct segue_clone request = {.flags = CLONE_VM | CLONE_VFORK, .exit_signal = SIGCHLD};
    (void)call;
    *result = clone_process(thread, frame, &request);
    return CALL_DONE;
}

enum call_outcome process_clone(struct thread *thread, ucontext_t *frame, const struct call *call, long *result)
{
    uint64_t flags = (uint32_t)registers_argument(frame, 0), exit_signal = flags & EXIT_SIGNAL_BITS;
    int *second = (int *)(uintptr_t)registers_argument(frame, 2);
    struct segue_clone request = {
        .flags = flags & ~(uint64_t)EXIT_SIGNAL_BITS,
        /* A number above the last signal is never sent. */
        .exit_signal = exit_signal > LAST_SIGNAL ? 0 : exit_signal,
        .stack_pointer = registers_argument(frame, 1),
        .child_tid = (int *)(uintptr_t)registers_argument(frame, 3),
        .tls = registers_argument(frame, 4),
        /* clone has one argument for both; the library, as the kernel does, refuses to use it twice. */
        .pidfd = second,
        .parent_tid = second,
    };
    /* The kernel ignores CLONE_DETACHED, except with CLONE_PIDFD, which reserves it. */
    if (!(flags & CLONE_PIDFD))
        request.flags &= ~(uint64_t)CLONE_DETACHED;
    (void)call;
    *result = clone_process(thread, frame, &request);
    return CALL_DONE;
}

/* The kernel's checks, except those that the library makes: the library does not know which call the program made. */
static bool is_valid(const struct clone_arguments *wanted, uint64_t size)
{
    const uint64_t both = CLONE_SIGHAND | CLONE_CLEAR_SIGHAND;
    if ((wanted->flags & CLONE_INTO_CGROUP) && (size < sizeof *wanted || wanted->cgroup > INT32_MAX))
        return false;
    if ((wanted->flags & both) == both || ((wanted->flags & (CLONE_THREAD | CLONE_PARENT)) && wanted->exit_signal))
        return false;
    return (wanted->stack == 0) == (wanted->stack_size == 0) && wanted->stack_size <= canonical_user_end() &&
           wanted->stack <= canonical_user_end() - wanted->stack_size;
}

static long clone3(struct thread *thread, ucontext_t *frame)
{
    struct clone_arguments wanted = {0};
    uint64_t size = registers_argument(frame, 1);
    if (size < LEAST_ARGUMENTS || size > PAGE)
        return size < LEAST_ARGUMENTS ? -EINVAL : -E2BIG;
    if (!memory_read(&wanted, registers_argument(frame, 0), size < sizeof wanted ? size : sizeof wanted))
        return -EFAULT;
    for (uint64_t at = sizeof wanted; at < size; at++) {
        char unknown;
        if (!memory_read(&unknown, registers_argument(frame, 0) + at, 1))
            return -EFAULT;
        if (unknown)
            return -E2BIG;
    }
    if (!is_valid(&wanted, size))
        return -EINVAL;
    struct segue_clone request = {
        .flags = wanted.flags,
        .exit_signal = wanted.exit_signal,
        .stack_pointer = wanted.stack ? wanted.stack + wanted.stack_size : 0,
        .tls = wanted.tls,
        .parent_tid = (int *)(uintptr_t)wanted.parent_tid,
        .child_tid = (int *)(uintptr_t)wanted.child_tid,
        .pidfd = (int *)(uintptr_t)wanted.pidfd,
        .set_tid = (const int *)(uintptr_t)wanted.set_tid,
        .set_tid_size = wanted.set_tid_size,
        .cgroup = wanted.cgroup,
    };
    return clone_process(thread, frame, &request);
}

enum call_outcome process_clone3(struct thread *thread, ucontext_t *frame, const struct call *call, long *result)
{
    (void)call;
    *result = clone3(thread, frame);
    return CALL_DONE;
}
