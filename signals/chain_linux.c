/* chain_linux.c: what is not ours goes to whoever would have had it.
 *
 * No previous handler: the default action is put back and the handler returns. A fault then happens again, with nobody
 * in between, and kills at the original instruction with the original signal; a signal that was sent is queued again
 * and kills as the handler returns. An ignored fault kills too: the kernel does not let a thread go on from it.
 *
 * SOURCES: sigaction(2), rt_sigqueueinfo(2); Linux kernel/signal.c force_sig_info_to_task (an ignored or blocked fault
 * gets the default action) and get_signal (which signals enter the mask). */
#if !defined(__linux__)
#error "chain_linux.c is specific to Linux"
#endif

#include "chain.h"

#include <stdint.h>

#include "../decode/system/call_linux_x86_64.h"
#include "frame.h"
#include "thread.h"

#define KERNEL_MASK_SIZE 8

static struct {
    struct sigaction action;
    /* SA_RESETHAND: the handler has had its one signal. */
    uint32_t spent;
} previous[_NSIG];

void chain_remember(int number, const struct sigaction *action)
{
    previous[number].action = *action;
    __atomic_store_n(&previous[number].spent, 0, __ATOMIC_RELEASE);
}

void chain_die(int number)
{
    /* As the kernel lays it out; all zero is SIG_DFL, no flags, no mask. */
    static const struct {
        void *handler;
        unsigned long flags;
        void *restorer;
        uint64_t mask;
    } default_action;
    system_call4(SYS_rt_sigaction, number, (long)&default_action, 0, KERNEL_MASK_SIZE);
}

/* Blocked now and queued again, it is delivered when the handler's return restores the thread's own mask. */
static void queue_again(int number, siginfo_t *info)
{
    uint64_t mask = (uint64_t)1 << (number - 1);
    system_call4(SYS_rt_sigprocmask, SIG_BLOCK, (long)&mask, 0, KERNEL_MASK_SIZE);
    system_call4(SYS_rt_tgsigqueueinfo, system_call3(SYS_getpid, 0, 0, 0), system_call3(SYS_gettid, 0, 0, 0), number,
                 (long)info);
}

/* The mask that the kernel would have run the handler with; our return puts the thread's own back. */
static void set_mask(int number, const struct sigaction *action, const void *ucontext)
{
    uint64_t mask = *(const uint64_t *)(const void *)frame_mask(ucontext);
    mask |= *(const uint64_t *)(const void *)&action->sa_mask;
    if (!(action->sa_flags & SA_NODEFER))
        mask |= (uint64_t)1 << (number - 1);
    system_call4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&mask, 0, KERNEL_MASK_SIZE);
}

/* A handler that asked for one signal only is there until it has had it. */
static bool has_handler(int number)
{
    const struct sigaction *action = &previous[number].action;
    if (((uint32_t)action->sa_flags & SA_RESETHAND) && __atomic_load_n(&previous[number].spent, __ATOMIC_ACQUIRE))
        return false;
    return (action->sa_flags & SA_SIGINFO) || (action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN);
}

/* The kernel puts the default in the place of a handler that has had its one signal, and keeps its flags. */
int chain_put_back(int number)
{
    struct sigaction action = previous[number].action;
    if (!has_handler(number) && (action.sa_flags & SA_SIGINFO || action.sa_handler != SIG_IGN))
        action.sa_handler = SIG_DFL;
    return sigaction(number, &action, NULL);
}

/* Takes the one signal of a handler that asked for no more; true for every other. */
static bool take_turn(int number)
{
    return !((uint32_t)previous[number].action.sa_flags & SA_RESETHAND) ||
           !__atomic_exchange_n(&previous[number].spent, 1, __ATOMIC_ACQ_REL);
}

int chain_is_deadly(int number)
{
    return !has_handler(number);
}

void chain_signal(int number, siginfo_t *info, void *ucontext, int is_fault)
{
    const struct sigaction *action = &previous[number].action;
    if (has_handler(number) && take_turn(number)) {
        set_mask(number, action, ucontext);
        if (action->sa_flags & SA_SIGINFO)
            action->sa_sigaction(number, info, ucontext);
        else
            action->sa_handler(number);
        return;
    }
    bool ignored = !(action->sa_flags & SA_SIGINFO) && action->sa_handler == SIG_IGN;
    if (!is_fault && ignored)
        return;
    chain_die(number);
    if (!is_fault)
        queue_again(number, info);
}
