/* handler_linux_x86_64.c: the handler of every signal that the host handles, called by run_entry.
 *
 * While the host's own code runs, all signals are blocked except SIGSEGV and SIGBUS, which its accesses to the
 * program's memory may raise, and SIGSYS, by which a seccomp filter of the program's may answer its system calls. So
 * any other signal has interrupted the program, or one of the stubs that lead to it. */
#include "handler.h"

#include <errno.h>
#include <string.h>
#include <x86intrin.h>

#include "actions.h"
#include "decode/x86/flags.h"
#include "decode/x86/selectors.h"
#include "decode/x86/traps.h"
#include "deliver.h"
#include "fault.h"
#include "keys.h"
#include "patch/poke/poke.h"
#include "platform/code_range.h"
#include "platform/frame/frame.h"
#include "registers.h"
#include "tools/run/detours/detour.h"
#include "tools/run/detours/exempt.h"
#include "tools/run/host/memory.h"
#include "tools/run/host/report.h"
#include "tools/run/options/settings.h"
#include "tools/run/syscalls/call_linux_x86_64.h"
#include "tools/run/syscalls/calls.h"
#include "tools/run/syscalls/stub.h"

#include <segue/segue.h>

/* Blocks the signal, in the handler and in the interrupted context, before sending it again, or it would be delivered
 * again at once. */
static void put_back(ucontext_t *frame, const siginfo_t *info)
{
    uint64_t mask;
    memcpy(&mask, &frame->uc_sigmask, sizeof mask);
    mask |= SIGNAL_BIT(info->si_signo);
    memcpy(&frame->uc_sigmask, &mask, sizeof mask);
    deliver_again(info);
}

/* Whether the instruction raised the signal. A code above 0 does not prove it: the signal that reports a child's end
 * has one, and a process may send itself any. So the frame must agree. */
static bool is_raised(const ucontext_t *frame, const siginfo_t *info)
{
    uint64_t trap = registers_get(frame, REG_TRAPNO);
    if (info->si_code <= 0)
        return false;
    switch (info->si_signo) {
    case SIGSYS:
        return (uint64_t)(uintptr_t)info->si_call_addr == registers_get(frame, REG_RIP);
    case SIGBUS:
        if (info->si_code == BUS_MCEERR_AR || info->si_code == BUS_MCEERR_AO || trap == TRAP_ALIGNMENT)
            return true;
        break;
    case SIGSEGV:
        if (trap == TRAP_CONTROL)
            return true;
        break;
    default:
        return info->si_signo == SIGTRAP || info->si_signo == SIGILL || info->si_signo == SIGFPE;
    }
    /* SI_KERNEL is a general protection fault. */
    return info->si_code == SI_KERNEL ||
           (trap == TRAP_PAGE_FAULT && (uint64_t)(uintptr_t)info->si_addr == registers_get(frame, REG_CR2));
}

/* Handles a signal that interrupts the host: the fault of a guarded access; a call that the program's seccomp filter
 * forbids; or a signal that was sent. The host keeps the latter until it is done, without blocking it, since a guarded
 * access may raise the same signal. In its last instructions, where it accesses nothing and no longer checks for kept
 * signals, the signal stays pending in the kernel. */
static void serve_host(struct thread *thread, ucontext_t *frame, const siginfo_t *info)
{
    uint64_t instruction = registers_get(frame, REG_RIP);
    if (!is_raised(frame, info)) {
        if (thread->keeps_signals)
            deliver_keep(thread, info);
        else
            put_back(frame, info);
        return;
    }
    if (info->si_signo == SIGSYS) {
        registers_set(frame, REG_RAX, (uint64_t)-EPERM);
        thread->was_filtered = true;
        return;
    }
    if (instruction == (uint64_t)(uintptr_t)run_copy_access) {
        registers_set(frame, REG_RIP, (uint64_t)(uintptr_t)run_copy_failed);
        return;
    }
    if (thread->tries) {
        registers_set(frame, REG_RIP, (uint64_t)(uintptr_t)run_try_failed);
        registers_set(frame, REG_RSP, thread->tries);
        return;
    }
    if (segue_recover(&instruction)) {
        registers_set(frame, REG_RIP, instruction);
        return;
    }
    report_message("signal %d at %x, address %x, in the host's own code", (int64_t)info->si_signo, instruction,
                   (uint64_t)(uintptr_t)info->si_addr);
    deliver_die(info);
}

static void start(struct thread *thread, ucontext_t *frame)
{
    memset(frame->uc_mcontext.gregs, 0, sizeof(greg_t) * (REG_RIP + 1));
    registers_set(frame, REG_RIP, thread->start_instruction);
    registers_set(frame, REG_RSP, thread->start_stack);
    registers_set(frame, REG_EFL, 0x202);
    deliver_begin_state(frame);
    actions_set_mask(thread, frame, thread->mask);
    registers_set_gs_base(0);
    thread->start_stack = 0;
}

/* Whether the signal is from a breakpoint that is in place while code is changed (patch/poke/poke.h); only jumps are
 * changed so. */
static bool is_own_breakpoint(ucontext_t *frame, const siginfo_t *info)
{
    bool is_stepped = registers_get(frame, REG_EFL) & FLAG_TRAP;
    struct poke_thread thread = {
        .rip = registers_get(frame, REG_RIP),
        .rsp = registers_get(frame, REG_RSP),
        .may_be_emulated = !is_stepped && (uint16_t)registers_get(frame, REG_CSGSFS) == selectors_code(),
    };
    if (info->si_code != SI_KERNEL || !poke_trap(&thread))
        return false;
    registers_set(frame, REG_RIP, thread.rip);
    return true;
}

static void serve_program(struct thread *thread, ucontext_t *frame, const siginfo_t *info, bool raised)
{
    switch (raised ? info->si_signo : 0) {
    case SIGSYS:
        if (trap_is_call(info)) {
            calls_serve(thread, frame, info);
            return;
        }
        if (info->si_code == SYS_SECCOMP) {
            /* The stub made the call. */
            siginfo_t translated = *info;
            translated.si_call_addr = (void *)(uintptr_t)registers_get(frame, REG_RIP);
            deliver(thread, frame, &translated, true);
            return;
        }
        break;
    case SIGSEGV:
    case SIGBUS:
        fault_serve(thread, frame, info);
        return;
    case SIGTRAP:
        if (is_own_breakpoint(frame, info))
            return;
        break;
    default:
        break;
    }
    deliver(thread, frame, info, raised);
}

/* Stops keeping signals. False if one was kept before: then the host goes on keeping them. */
static bool stop_keeping(struct thread *thread)
{
    thread->keeps_signals = false;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (!deliver_has_waiting(thread))
        return true;
    thread->keeps_signals = true;
    return false;
}

/* The code ranges in which a thread is in the host's code but logically in the program's, with those that
 * detour_prepare has added. */
static const struct code_range *const ranges[] = {&stub_range, &detour_jump_range, NULL};

/* If the thread is in a stub or on a detour, translates the frame to the program's: at the system call, or after it. */
static void leave_ranges(struct thread *thread, ucontext_t *frame)
{
    struct segue_regs regs;
    const void *unused = NULL;
    stub_end(thread, frame);
    frame_get_general(frame, &regs);
    if (code_range_translate(ranges, &regs, &unused) == CODE_RANGE_REGISTERS)
        frame_set_registers(frame, &regs);
}

/* Resumes with the program's own instruction, or with a stub that makes its call. */
static struct crossing go_on(struct thread *thread, ucontext_t *frame)
{
    while (!stop_keeping(thread)) {
        /* The stub has not made the call yet. */
        if (thread->is_led)
            leave_ranges(thread, frame);
        deliver_waiting(thread, frame);
    }
    return (struct crossing){0, thread->is_led ? SELECTOR_ALLOW : SELECTOR_BLOCK};
}

/* Whether this is a single step through the host's code. A program that steps through itself must see a system call as
 * one instruction. SYSRET restores the trap flag for the instruction after it, so there is no step at its end: neither
 * at the stub's nor at a detour's. */
static bool is_step_of_ours(struct thread *thread, const ucontext_t *frame, const siginfo_t *info)
{
    uint64_t instruction = registers_get(frame, REG_RIP), end = thread->stepped_to;
    thread->stepped_to = 0;
    if (info->si_signo != SIGTRAP || info->si_code != TRAP_TRACE)
        return false;
    if (stub_contains(thread, instruction))
        thread->stepped_to = thread->target;
    return stub_contains(thread, instruction) || detour_is_step(thread, instruction) || (end && instruction == end);
}

/* Whether the handler's first instructions were interrupted, before they had saved the selector and allowed the host's
 * calls. Both are done by now, so the frame goes on after them. */
static bool leave_entry(const struct thread *thread, ucontext_t *frame, uint64_t before)
{
    uint64_t entry = (uint64_t)(uintptr_t)run_entry;
    if (registers_get(frame, REG_RIP) - entry >= (uint64_t)(run_entry_allowed - run_entry))
        return false;
    registers_set(frame, REG_RCX, (uint64_t)(uintptr_t)thread);
    registers_set(frame, REG_R9, before);
    registers_set(frame, REG_RIP, (uint64_t)(uintptr_t)run_entry_allowed);
    return true;
}

/* Resumes the interrupted host with its own selector, which only its last instructions may have given up; it keeps
 * signals, or does not, as before. A signal that interrupted this handler before it was known that none are kept is
 * sent again. */
static struct crossing interrupt_host(struct thread *thread, ucontext_t *frame, const siginfo_t *info, uint64_t base,
                                      uint64_t before)
{
    uint64_t instruction = registers_get(frame, REG_RIP);
    thread->keeps_signals = leave_entry(thread, frame, before) || (before & SERVING);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (!thread->keeps_signals && deliver_has_waiting(thread))
        deliver_waiting_again(thread);
    serve_host(thread, frame, info);
    return (struct crossing){base, exempt_is_leaving(instruction) ? (uint8_t)before : SELECTOR_ALLOW};
}

struct crossing run_signal(int number, siginfo_t *info, ucontext_t *frame, struct thread *thread, uint64_t base,
                           uint64_t before)
{
    uint64_t instruction = registers_get(frame, REG_RIP), selector = (uint8_t)before;
    uint64_t entry = (uint64_t)(uintptr_t)run_entry, entry_size = (uint64_t)(run_entry_end - run_entry);
    bool in_entry = instruction - entry < entry_size || exempt_is_leaving(instruction);
    (void)number;
    keys_learn(frame);
    keys_open();
    if (in_entry || (selector == SELECTOR_ALLOW && !stub_contains(thread, instruction)))
        return interrupt_host(thread, frame, info, base, before);
    memory_begin(thread);
    thread->was_put_back = thread->thread_pointer && registers_gs_base() == 0;
    if (thread->was_put_back)
        registers_set_gs_base(thread->thread_pointer);
    uint64_t began = settings.statistics ? __rdtsc() : 0;
    count(&counters->crossings, 1);
    memory_rights = keys_of(frame);
    if (thread->start_stack) {
        start(thread, frame);
        return go_on(thread, frame);
    }
    if (base != 0) {
        count(&counters->wrong_bases, 1);
        report_fatal("FS base was %x while the program ran", base);
    }
    bool raised = is_raised(frame, info);
    bool is_ours = is_step_of_ours(thread, frame, info);
    if (is_ours && stop_keeping(thread))
        return (struct crossing){base, selector};
    leave_ranges(thread, frame);
    if (!is_ours)
        serve_program(thread, frame, info, raised);
    struct crossing crossing = go_on(thread, frame);
    if (began)
        count(&counters->ticks, __rdtsc() - began);
    return crossing;
}
