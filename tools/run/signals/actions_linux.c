/* actions_linux.c: SOURCES: sigaction(2), sigaltstack(2), Linux kernel/signal.c (do_sigaction, do_sigaltstack),
 * arch/x86/kernel/signal.c (sigaltstack_size_valid), fpu/xstate.c (validate_sigaltstack). */
#include "actions.h"

#include <errno.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "platform/linux/abi.h"
#include "platform/linux/calls/table/masked.h"
#include "registers.h"
#include "tools/run/host/lock.h"
#include "tools/run/host/memory.h"
#include "tools/run/syscalls/call_linux_x86_64.h"

#define SET_SIZE 8
#define FLAG_RESTORER 0x04000000u
#ifndef SA_EXPOSE_TAGBITS
#define SA_EXPOSE_TAGBITS 0x800u
#endif
/* The flags that the kernel knows; it clears the others. */
#define KNOWN_FLAGS                                                                                                    \
    (SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_ONSTACK | SA_RESTART | SA_NODEFER | SA_RESETHAND | FLAG_RESTORER |  \
     SA_EXPOSE_TAGBITS)
#define LEAST_STACK 2048
#define ARCH_GET_XCOMP_SUPP 0x1021
#define ARCH_GET_XCOMP_PERM 0x1022
#define ARCH_REQ_XCOMP_PERM 0x1023

/* Whether the process may use state components that make its frames grow: then the kernel wants room for the
 * largest. */
static bool frames_grow;
static uint64_t largest_frame;

static long kernel_action(int number, const struct action *to, struct action *from)
{
    return system_call4(SYS_rt_sigaction, number, (long)to, (long)from, SET_SIZE);
}

static bool is_forced(int number)
{
    return SIGNAL_BIT(number) & FORCED_SIGNALS;
}

static bool has_handler(const struct action *action)
{
    return action->handler != (uint64_t)(uintptr_t)SIG_DFL && action->handler != (uint64_t)(uintptr_t)SIG_IGN;
}

/* The action that the host installs: its own handler, with all signals blocked except SIGSYS, by which a seccomp filter
 * of the program's may answer its system calls; and whether an interrupted call is made again. The handler never
 * returns to a restorer. */
static struct action host_action(const struct action *wanted)
{
    uint64_t own = SIGNAL_BIT(SIGSYS);
    return (struct action){
        .handler = (uint64_t)(uintptr_t)run_entry,
        .flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | FLAG_RESTORER |
                 (wanted->flags & (SA_RESTART | SA_NOCLDSTOP | SA_NOCLDWAIT)),
        .restorer = (uint64_t)(uintptr_t)run_tail,
        .mask = ~own,
    };
}

static long install(int number, const struct action *wanted)
{
    struct action host = host_action(wanted);
    if (has_handler(wanted) || is_forced(number))
        return kernel_action(number, &host, NULL);
    return kernel_action(number, wanted, NULL);
}

static struct action *known_action(struct actions *actions, int number)
{
    if (!(actions->known & SIGNAL_BIT(number)))
        kernel_action(number, NULL, &actions->of[number]);
    actions->known |= SIGNAL_BIT(number);
    return &actions->of[number];
}

static struct actions *actions_new(void)
{
    long at =
        system_call6(SYS_mmap, 0, sizeof(struct actions), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at < 0 ? NULL : (struct actions *)at;
}

/* The actions of other signals are read when they are needed: until the program changes one, the kernel has it, and it
 * is to ignore or the default. */
struct actions *actions_begin(void)
{
    static struct actions first;
    largest_frame = getauxval(AT_MINSIGSTKSZ);
    for (unsigned i = 0; i < FORCED_COUNT; i++) {
        struct action *action = known_action(&first, forced_signals[i]);
        install(forced_signals[i], action);
    }
    return &first;
}

void actions_inherit(struct thread *thread, unsigned blocked, unsigned ignored)
{
    for (unsigned i = 0; i < FORCED_COUNT; i++) {
        if (blocked & 1u << i)
            thread->mask |= SIGNAL_BIT(forced_signals[i]);
        if (ignored & 1u << i)
            thread->actions->of[forced_signals[i]].handler = (uint64_t)(uintptr_t)SIG_IGN;
    }
}

struct actions *actions_copy(const struct actions *actions)
{
    struct actions *copy = actions_new();
    if (copy)
        *copy = *actions;
    return copy;
}

void actions_free(struct actions *actions)
{
    system_call3(SYS_munmap, (long)actions, sizeof *actions, 0);
}

long actions_change(struct thread *thread, uint64_t number, uint64_t to, uint64_t from, uint64_t set_size)
{
    struct action wanted = {0}, before;
    if (set_size != SET_SIZE || number < 1 || number > SIGNALS)
        return -EINVAL;
    if (to && !memory_read(&wanted, to, sizeof wanted))
        return -EFAULT;
    if (to && (number == SIGKILL || number == SIGSTOP))
        return -EINVAL;
    lock_take();
    before = *known_action(thread->actions, (int)number);
    long result = 0;
    if (to) {
        wanted.flags &= KNOWN_FLAGS;
        wanted.mask &= ~UNBLOCKABLE_SIGNALS;
        result = install((int)number, &wanted);
        if (result == 0)
            thread->actions->of[number] = wanted;
    }
    lock_release();
    if (result == 0 && from && !memory_write(from, &before, sizeof before))
        result = -EFAULT;
    return result;
}

void actions_set_mask(struct thread *thread, ucontext_t *frame, uint64_t mask)
{
    thread->mask = mask & ~UNBLOCKABLE_SIGNALS;
    uint64_t kernel = thread->mask & ~FORCED_SIGNALS;
    memcpy(&frame->uc_sigmask, &kernel, sizeof kernel);
}

long actions_change_mask(struct thread *thread, ucontext_t *frame, const uint64_t *arguments)
{
    uint64_t before = thread->mask, mask = before;
    long result = masked_change(arguments, memory_read, &mask);
    if (result != 0)
        return result;
    if (arguments[1])
        actions_set_mask(thread, frame, mask);
    return arguments[2] && !memory_write(arguments[2], &before, sizeof before) ? -EFAULT : 0;
}

long actions_pending(const struct thread *thread, uint64_t to, uint64_t set_size)
{
    uint64_t pending = 0;
    if (set_size > SET_SIZE)
        return -EINVAL;
    system_call3(SYS_rt_sigpending, (long)&pending, SET_SIZE, 0);
    for (unsigned i = 0; i < FORCED_COUNT; i++)
        if (thread->waiting & 1u << i)
            pending |= SIGNAL_BIT(forced_signals[i]);
    /* The host blocks other signals than the program, and keeps the forced ones. */
    pending &= thread->mask;
    return memory_write(to, &pending, set_size) ? 0 : -EFAULT;
}

static bool has_room(const stack_t *stack)
{
    return !__atomic_load_n(&frames_grow, __ATOMIC_RELAXED) || stack->ss_size > largest_frame;
}

static bool is_component_in(int set, uint64_t component)
{
    uint64_t components;
    return component < 64 && system_call3(SYS_arch_prctl, set, (long)&components, 0) == 0 &&
           (components >> component & 1);
}

long actions_permit_component(const struct thread *thread, uint64_t component)
{
    /* A component that exists and that the process may not use yet. */
    bool is_new = is_component_in(ARCH_GET_XCOMP_SUPP, component) && !is_component_in(ARCH_GET_XCOMP_PERM, component);
    if (is_new && thread->alternate.ss_size && thread->alternate.ss_size < largest_frame)
        return -ENOSPC;
    long result = system_call3(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, (long)component, 0);
    if (result == 0)
        __atomic_store_n(&frames_grow, true, __ATOMIC_RELAXED);
    return result;
}

static long set_stack(struct thread *thread, const stack_t *wanted)
{
    uint32_t flags = (uint32_t)wanted->ss_flags, mode = flags & ~SS_AUTODISARM;
    if (mode != SS_DISABLE && mode != SS_ONSTACK && mode != 0)
        return -EINVAL;
    if (mode == SS_DISABLE) {
        thread->alternate = (stack_t){.ss_flags = wanted->ss_flags};
        return 0;
    }
    if (wanted->ss_size < LEAST_STACK || !has_room(wanted))
        return -ENOMEM;
    thread->alternate = *wanted;
    thread->alternate.ss_flags = (int)(flags & SS_AUTODISARM);
    return 0;
}

bool actions_is_on_stack(const struct thread *thread, uint64_t stack_pointer)
{
    const stack_t *stack = &thread->alternate;
    uint64_t start = (uint64_t)(uintptr_t)stack->ss_sp;
    if ((uint32_t)stack->ss_flags & SS_AUTODISARM)
        return false;
    return stack_pointer > start && stack_pointer - start <= stack->ss_size;
}

long actions_change_stack(struct thread *thread, const ucontext_t *frame, uint64_t to, uint64_t from)
{
    stack_t wanted, before = thread->alternate;
    bool is_on = actions_is_on_stack(thread, registers_get(frame, REG_RSP));
    before.ss_flags = (int)(((uint32_t)before.ss_flags & SS_AUTODISARM) | (before.ss_size == 0 ? (uint32_t)SS_DISABLE
                                                                           : is_on             ? (uint32_t)SS_ONSTACK
                                                                                               : 0));
    if (to) {
        if (!memory_read(&wanted, to, sizeof wanted))
            return -EFAULT;
        long result = is_on ? -EPERM : set_stack(thread, &wanted);
        if (result != 0)
            return result;
    }
    return from && !memory_write(from, &before, sizeof before) ? -EFAULT : 0;
}

struct action actions_take(struct thread *thread, int number)
{
    lock_take();
    struct action action = *known_action(thread->actions, number);
    if (has_handler(&action) && (action.flags & SA_RESETHAND)) {
        struct action *kept = &thread->actions->of[number];
        kept->handler = (uint64_t)(uintptr_t)SIG_DFL;
        install(number, kept);
    }
    lock_release();
    return action;
}

void actions_clear(struct thread *thread)
{
    for (int number = 1; number <= SIGNALS; number++) {
        struct action *action = &thread->actions->of[number];
        if (number == SIGKILL || number == SIGSTOP)
            continue;
        if (has_handler(action)) {
            *action = (struct action){.handler = (uint64_t)(uintptr_t)SIG_DFL};
            install(number, action);
        }
    }
}

void actions_give_up(int number)
{
    static const struct action standard = {.handler = 0};
    kernel_action(number, &standard, NULL);
}
