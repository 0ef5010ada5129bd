/* deliver_linux_x86_64.c: SOURCES: Linux arch/x86/kernel/signal.c (get_sigframe) and signal_64.c (x64_setup_rt_frame,
 * rt_sigreturn), fpu/signal.c (the state's software bytes and second magic number); System V ABI (red zone). */
#include "deliver.h"

#include <errno.h>
#include <string.h>

#include "decode/x86/abi_sysv.h"
#include "decode/x86/flags.h"
#include "decode/x86/xsave.h"
#include "keys.h"
#include "platform/linux/abi.h"
#include "platform/linux/frame/software_bytes.h"
#include "registers.h"
#include "tools/run/host/memory.h"
#include "tools/run/host/report.h"
#include "tools/run/syscalls/call_linux_x86_64.h"

/* The flags that rt_sigreturn takes from the frame. */
#define RETURNED_FLAGS (SETTABLE_FLAGS & ~FLAG_IDENTIFICATION)

/* The part of the kernel's frame below the state. uc_sigmask is eight bytes in it. */
struct frame {
    uint64_t restorer;
    char ucontext[KERNEL_UCONTEXT_SIZE];
    siginfo_t info;
};

_Static_assert(offsetof(ucontext_t, uc_sigmask) + 8 == KERNEL_UCONTEXT_SIZE, "the kernel's ucontext");

/* The size of the XSAVE area in a frame, including the last magic number; that of FXSAVE without the extended
 * format. */
static uint64_t state_size(const char *state)
{
    struct software_bytes software = software_bytes_of(state);
    return software.magic ? software.extended_size : XSAVE_LEGACY_SIZE;
}

static void clear_state(ucontext_t *frame, bool begins)
{
    char *state = (char *)frame->uc_mcontext.fpregs;
    const uint32_t control = MXCSR_INITIAL;
    if (!state)
        return;
    if (state_size(state) > XSAVE_LEGACY_SIZE) {
        keys_keep(state);
        if (!begins)
            keys_begin(state);
    }
    memcpy(state + XSAVE_MXCSR, &control, sizeof control);
}

void deliver_clear_state(ucontext_t *frame)
{
    clear_state(frame, false);
}

void deliver_begin_state(ucontext_t *frame)
{
    clear_state(frame, true);
}

/* The mask in force: that of the call while a call with a mask of its own is made, or has been interrupted. */
static uint64_t mask_in_force(const struct thread *thread)
{
    return thread->has_call_mask ? thread->call_mask : thread->mask;
}

static uint64_t stack_top(const struct thread *thread, const ucontext_t *frame, const struct action *action)
{
    uint64_t top = registers_get(frame, REG_RSP);
    bool is_on = actions_is_on_stack(thread, top);
    if ((action->flags & SA_ONSTACK) && thread->alternate.ss_size && !is_on)
        return (uint64_t)(uintptr_t)thread->alternate.ss_sp + thread->alternate.ss_size;
    return top - RED_ZONE;
}

/* Describes the interrupted thread as the program must see it. */
static void describe(const struct thread *thread, const ucontext_t *from, uint64_t state, ucontext_t *to)
{
    memcpy(to, from, KERNEL_UCONTEXT_SIZE);
    to->uc_stack = thread->alternate;
    if (!thread->alternate.ss_size)
        to->uc_stack.ss_flags = SS_DISABLE;
    else if (actions_is_on_stack(thread, registers_get(from, REG_RSP)))
        to->uc_stack.ss_flags |= SS_ONSTACK;
    to->uc_mcontext.fpregs = (fpregset_t)(uintptr_t)state;
    memcpy(&to->uc_sigmask, &thread->mask, sizeof thread->mask);
}

/* A frame that begins on the alternate stack does not end below it. */
static bool overflows(const struct thread *thread, const ucontext_t *from, uint64_t top, uint64_t at)
{
    bool is_on =
        actions_is_on_stack(thread, registers_get(from, REG_RSP)) || top != registers_get(from, REG_RSP) - RED_ZONE;
    uint64_t start = (uint64_t)(uintptr_t)thread->alternate.ss_sp;
    return is_on && (at <= start || at - start > thread->alternate.ss_size);
}

/* Writes the frame. Returns its address, or 0. */
static uint64_t push(const struct thread *thread, const ucontext_t *from, const struct action *action,
                     const siginfo_t *info)
{
    const char *held = (const char *)from->uc_mcontext.fpregs;
    uint64_t size = held ? state_size(held) : 0;
    uint64_t top = stack_top(thread, from, action), state = (top - size) & -(uint64_t)XSAVE_ALIGNMENT;
    uint64_t at = ((state - sizeof(struct frame)) & -(uint64_t)16) - 8;
    ucontext_t program_frame;
    if (overflows(thread, from, top, at))
        return 0;
    describe(thread, from, held ? state : 0, &program_frame);
    bool done = memory_write_freely(state, held, size) && memory_write_freely(at, &action->restorer, 8) &&
                memory_write_freely(at + offsetof(struct frame, ucontext), &program_frame, KERNEL_UCONTEXT_SIZE) &&
                memory_write_freely(at + offsetof(struct frame, info), info, sizeof *info);
    return done ? at : 0;
}

static void enter_handler(struct thread *thread, ucontext_t *frame, const struct action *action, const siginfo_t *info,
                          uint64_t at)
{
    registers_set(frame, REG_RIP, action->handler);
    registers_set(frame, REG_RSP, at);
    registers_set(frame, REG_RDI, (uint64_t)info->si_signo);
    registers_set(frame, REG_RSI, at + offsetof(struct frame, info));
    registers_set(frame, REG_RDX, at + offsetof(struct frame, ucontext));
    registers_set(frame, REG_RAX, 0);
    registers_set(frame, REG_EFL, registers_get(frame, REG_EFL) & ~(FLAG_TRAP | FLAG_DIRECTION | FLAG_RESUME));
    deliver_clear_state(frame);
    uint64_t mask = mask_in_force(thread) | action->mask;
    if (!(action->flags & SA_NODEFER))
        mask |= SIGNAL_BIT(info->si_signo);
    actions_set_mask(thread, frame, mask);
    thread->has_call_mask = false;
    if ((uint32_t)thread->alternate.ss_flags & SS_AUTODISARM)
        thread->alternate = (stack_t){.ss_flags = SS_DISABLE};
}

/* Sends to this thread with its siginfo; a seccomp filter of the program's may allow only tgkill. */
static void send_again(const siginfo_t *info)
{
    long process = system_call3(SYS_getpid, 0, 0, 0), thread = system_call3(SYS_gettid, 0, 0, 0);
    if (system_call4(SYS_rt_tgsigqueueinfo, process, thread, info->si_signo, (long)info) != 0)
        system_call3(SYS_tgkill, process, thread, info->si_signo);
}

void deliver_die(const siginfo_t *info)
{
    /* Not shared with a child of vfork. */
    static _Thread_local bool is_dying;
    int number = info->si_signo;
    uint64_t none = 0;
    /* The signal returned to the host: a seccomp filter of the program's forbids to set the default action. */
    if (is_dying)
        system_call3(SYS_exit_group, 128 + number, 0, 0);
    is_dying = true;
    report_end(number);
    actions_give_up(number);
    send_again(info);
    system_call4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&none, 0, sizeof none);
    for (;;)
        system_call3(SYS_exit_group, 128 + number, 0, 0);
}

/* How a signal arose: a process sent it; or the instruction raised it, and raises it again; or it is forced, where the
 * program has left the kernel no other way. */
enum origin { SENT, RAISED, FORCED };

/* Ends the process by an unhandled fault: the instruction runs once more, now with the kernel's default action, so that
 * a core dump shows the program's own state. After a breakpoint the instruction has already run, so the host sends the
 * signal. */
static void die_by(const siginfo_t *info, enum origin origin)
{
    if (origin != RAISED || (info->si_signo != SIGSEGV && info->si_signo != SIGBUS))
        deliver_die(info);
    report_end(info->si_signo);
    actions_give_up(info->si_signo);
}

/* Applies the default action. A forced signal ends the process; any other is sent again, for the kernel to handle. */
static void by_default(const siginfo_t *info, enum origin origin)
{
    int number = info->si_signo;
    if (SIGNAL_BIT(number) & FORCED_SIGNALS) {
        die_by(info, origin);
        return;
    }
    send_again(info);
}

static unsigned forced_place(int number)
{
    unsigned place = 0;
    while (forced_signals[place] != number)
        place++;
    return place;
}

/* Keeps one signal of each number. A timer's signal that finds one waiting is counted as an overrun, as the kernel
 * counts it. This function may interrupt itself, and the code that reads what it writes. */
void deliver_keep(struct thread *thread, const siginfo_t *info)
{
    unsigned place = forced_place(info->si_signo);
    if (__atomic_load_n(&thread->waiting, __ATOMIC_RELAXED) & 1u << place) {
        siginfo_t *kept = &thread->waiting_info[place];
        if (info->si_code == SI_TIMER && kept->si_code == SI_TIMER && info->si_timerid == kept->si_timerid)
            kept->si_overrun += 1 + info->si_overrun;
        return;
    }
    thread->waiting_info[place] = *info;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    __atomic_fetch_or(&thread->waiting, 1u << place, __ATOMIC_RELAXED);
}

static bool waits(struct thread *thread, const siginfo_t *info)
{
    uint64_t bit = SIGNAL_BIT(info->si_signo);
    if (!(bit & FORCED_SIGNALS) || !(mask_in_force(thread) & bit))
        return false;
    deliver_keep(thread, info);
    return true;
}

static void deliver_by(struct thread *thread, ucontext_t *frame, const siginfo_t *info, enum origin origin)
{
    int number = info->si_signo;
    if (origin == SENT && waits(thread, info))
        return;
    report_signal(info);
    struct action action = actions_take(thread, number);
    bool is_ignored = action.handler == (uint64_t)(uintptr_t)SIG_IGN;
    bool is_blocked = origin != SENT && (thread->mask & SIGNAL_BIT(number));
    if (is_ignored && origin == SENT)
        return;
    if (is_ignored || is_blocked || action.handler == (uint64_t)(uintptr_t)SIG_DFL) {
        by_default(info, origin);
        return;
    }
    uint64_t at = push(thread, frame, &action, info);
    if (at) {
        enter_handler(thread, frame, &action, info, at);
        return;
    }
    siginfo_t overflow = {.si_signo = SIGSEGV, .si_code = SI_KERNEL};
    if (number == SIGSEGV)
        deliver_die(&overflow);
    deliver_by(thread, frame, &overflow, FORCED);
}

void deliver(struct thread *thread, ucontext_t *frame, const siginfo_t *info, bool is_fault)
{
    deliver_by(thread, frame, info, is_fault ? RAISED : SENT);
}

void deliver_again(const siginfo_t *info)
{
    uint64_t bit = SIGNAL_BIT(info->si_signo);
    system_call4(SYS_rt_sigprocmask, SIG_BLOCK, (long)&bit, 0, sizeof bit);
    send_again(info);
}

static bool may_come(const struct thread *thread, unsigned place)
{
    return (__atomic_load_n(&thread->waiting, __ATOMIC_RELAXED) & 1u << place) &&
           !(mask_in_force(thread) & SIGNAL_BIT(forced_signals[place]));
}

bool deliver_has_waiting(const struct thread *thread)
{
    bool has = false;
    for (unsigned place = 0; place < FORCED_COUNT; place++)
        has |= may_come(thread, place);
    return has;
}

/* Takes a kept signal that the mask allows. False without one. */
static bool take_waiting(struct thread *thread, unsigned place, siginfo_t *info)
{
    if (!may_come(thread, place))
        return false;
    *info = thread->waiting_info[place];
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    __atomic_fetch_and(&thread->waiting, ~(1u << place), __ATOMIC_RELAXED);
    return true;
}

void deliver_waiting(struct thread *thread, ucontext_t *frame)
{
    siginfo_t info;
    for (unsigned place = 0; place < FORCED_COUNT; place++)
        if (take_waiting(thread, place, &info))
            deliver(thread, frame, &info, false);
}

void deliver_waiting_again(struct thread *thread)
{
    siginfo_t info;
    for (unsigned place = 0; place < FORCED_COUNT; place++)
        if (take_waiting(thread, place, &info))
            deliver_again(&info);
}

/* Whether the program's frame, whose first bytes are in `legacy`, holds a complete XSAVE area with fewer components
 * than the host's frame, whose area has `size` bytes: a thread's frames grow with its first use of a tile. */
static bool is_shorter_state(const char *legacy, uint64_t from, uint64_t size)
{
    uint64_t theirs = state_size(legacy);
    uint32_t magic;
    return theirs >= XSAVE_HEADER_END + SOFTWARE_LAST_SIZE && theirs < size &&
           memory_read(&magic, from + theirs - SOFTWARE_LAST_SIZE, sizeof magic) && magic == SOFTWARE_LAST_MAGIC;
}

/* Components for which the program's frame has no room become initial, as the kernel does it. */
static bool return_shorter_state(char *state, const char *legacy, uint64_t from)
{
    uint64_t theirs = state_size(legacy), features = software_bytes_of(legacy).features, present;
    memcpy(state, legacy, XSAVE_SOFTWARE);
    if (!memory_read(state + XSAVE_LEGACY_SIZE, from + XSAVE_LEGACY_SIZE,
                     theirs - XSAVE_LEGACY_SIZE - SOFTWARE_LAST_SIZE))
        return false;
    memcpy(&present, state + XSAVE_XSTATE_BV, sizeof present);
    present &= features;
    memcpy(state + XSAVE_XSTATE_BV, &present, sizeof present);
    return true;
}

/* For a frame without the extended part, or with another system's, only the legacy state is loaded, as the kernel does
 * it. */
static bool return_legacy_state(char *state, const char *legacy, uint64_t size)
{
    const uint64_t both = 3;
    memcpy(state, legacy, XSAVE_SOFTWARE);
    if (size > XSAVE_LEGACY_SIZE)
        memcpy(state + XSAVE_XSTATE_BV, &both, sizeof both);
    return true;
}

/* Copies the state of the program's frame into the host's, which has room for all components of the thread. */
static bool return_state(ucontext_t *frame, uint64_t from)
{
    char *state = (char *)frame->uc_mcontext.fpregs;
    char legacy[XSAVE_LEGACY_SIZE];
    if (!from) {
        deliver_clear_state(frame);
        return true;
    }
    if (!state || !memory_read(legacy, from, sizeof legacy))
        return false;
    uint64_t size = state_size(state);
    if (state_size(legacy) == size)
        return memory_read(state, from, size);
    return is_shorter_state(legacy, from, size) ? return_shorter_state(state, legacy, from)
                                                : return_legacy_state(state, legacy, size);
}

void deliver_return(struct thread *thread, ucontext_t *frame)
{
    uint64_t at = registers_get(frame, REG_RSP) - 8, mask;
    ucontext_t program_frame;
    siginfo_t broken = {.si_signo = SIGSEGV, .si_code = SI_KERNEL};
    if (!memory_read(&program_frame, at + offsetof(struct frame, ucontext), KERNEL_UCONTEXT_SIZE) ||
        !return_state(frame, (uint64_t)(uintptr_t)program_frame.uc_mcontext.fpregs)) {
        deliver_by(thread, frame, &broken, FORCED);
        return;
    }
    uint64_t flags = registers_get(frame, REG_EFL), segments = registers_get(frame, REG_CSGSFS);
    memcpy(frame->uc_mcontext.gregs, program_frame.uc_mcontext.gregs, sizeof program_frame.uc_mcontext.gregs);
    registers_set(frame, REG_EFL,
                  (flags & ~(uint64_t)RETURNED_FLAGS) | (registers_get(&program_frame, REG_EFL) & RETURNED_FLAGS));
    registers_set(frame, REG_CSGSFS, segments);
    memcpy(&mask, &program_frame.uc_sigmask, sizeof mask);
    actions_set_mask(thread, frame, mask);
    if (!actions_is_on_stack(thread, registers_get(frame, REG_RSP))) {
        thread->alternate = program_frame.uc_stack;
        if (program_frame.uc_stack.ss_flags & SS_DISABLE)
            thread->alternate.ss_size = 0;
        thread->alternate.ss_flags &= (int)SS_AUTODISARM;
    }
}
