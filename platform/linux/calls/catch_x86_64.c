/* catch_x86_64.c: catches system calls by syscall user dispatch, without a selector: every call traps that is not in
 * the section segue_exempt.
 *
 * SOURCES: Documentation/admin-guide/syscall-user-dispatch.rst; Linux kernel/entry/syscall_user_dispatch.c (the trap is
 * forced: a thread that blocks SIGSYS dies; the exempt range is compared with the address behind the instruction; not
 * inherited by children); Linux kernel/signal.c (a restart goes back to the instruction, with the number in RAX); Linux
 * arch/x86/entry/common.c (a call's number is EAX). */
#if !defined(__linux__) || !defined(__x86_64__)
#error "catch_x86_64.c is specific to Linux on x86-64"
#endif

#include <asm/prctl.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <segue/region.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "decode/x86/flags.h"
#include "decode/x86/page.h"
#include "gates.h"
#include "masks.h"
#include "platform/abi.h"
#include "platform/calls/calls.h"
#include "platform/handlers/action.h"
#include "platform/linux/abi.h"
#include "platform/linux/call.h"
#include "platform/report.h"
#include "platform/threads/thread.h"
#include "sites.h"

#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND 0x100000000u
#endif
/* Of a siginfo: the signal, an error number, the code. And the most that a frame takes of a stack: tiles have 8 KiB. */
#define INFO_READ 16u
#define FRAME_MOST 32768u

_Static_assert(offsetof(struct call_record, target) == RECORD_TARGET &&
                   offsetof(struct call_record, stack_pointer) == RECORD_STACK_POINTER &&
                   offsetof(struct call_record, finish) == RECORD_FINISH &&
                   offsetof(struct call_record, busy) == RECORD_BUSY &&
                   offsetof(struct call_record, result) == RECORD_RESULT,
               "the assembly has other offsets");
_Static_assert(INFO_READ + sizeof(struct call_record) <= sizeof(siginfo_t) + 16, "the frame has no room");
_Static_assert(GATES == CALL_GATES, "the assembly has another number");

/* gates_x86_64.S */
extern const char calls_gates_end[], calls_child_begins[], calls_child_gates_end[], calls_gate_return[], calls_made[],
    calls_restore[], calls_restored[], calls_make_end[], calls_wants_finish[];
extern struct {
    uint64_t start, size;
} calls_exempt;

static calls_peek *peek;
static calls_poke *poke;

/* The process whose memory this is; 0 in a child that has its own, until it asks: the kernel clears the page. A child
 * that shares its parent's memory finds its parent there. NULL: it is not known. */
static uint64_t *owner;

/* ---- preparation ---- */

const char *calls_obstacle(void)
{
    static char let_through;
    if (trap_arm(calls_call, 0, 0, &let_through) != 0)
        return "the kernel has no syscall user dispatch, or a filter forbids it";
    trap_disarm(calls_call);
    return NULL;
}

bool calls_owns_memory(void)
{
    uint64_t self = (uint64_t)calls_call(SYS_getpid, 0, 0, 0, 0, 0, 0), nobody = 0;
    return owner && (__atomic_compare_exchange_n(owner, &nobody, self, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED) ||
                     nobody == self);
}

static void prepare_owner(void)
{
    void *page = owner ? NULL : calls_map(PAGE);
    if (page && calls_call(SYS_madvise, (long)page, PAGE, MADV_WIPEONFORK, 0, 0, 0) == 0)
        owner = page;
    calls_owns_memory();
}

/* A handler that blocks a signal by which calls trap would die at its first call. */
void calls_prepare(calls_peek *peeks, calls_poke *pokes, calls_is_plain *plain, calls_action *actions,
                   calls_visitor *has_region)
{
    struct platform_action present;
    peek = peeks;
    poke = pokes;
    calls_masks_prepare(peeks, pokes, actions);
    prepare_owner();
    calls_shapes_prepare(peeks, has_region);
    calls_look_prepare(plain);
    calls_exempt.start = address_of(__start_segue_exempt);
    calls_exempt.size = address_of(__stop_segue_exempt) - calls_exempt.start;
    for (int number = 1; number <= SIGNALS_MOST; number++) {
        if (!platform_action_exchange(number, NULL, &present) || !(present.mask & calls_signals()) ||
            present.handler == ACTION_DEFAULT || present.handler == ACTION_IGNORE)
            continue;
        present.mask &= ~calls_signals();
        platform_action_exchange(number, &present, NULL);
    }
}

bool calls_arm(void)
{
    if (calls_uses_sites())
        return true;
    calls_by_dispatch = 1;
    return trap_arm(calls_call, calls_exempt.start, calls_exempt.size, NULL) == 0;
}

void calls_disarm(void)
{
    if (!calls_uses_sites())
        trap_disarm(calls_call);
}

void calls_die(void)
{
    static const uint64_t default_action[4];
    calls_call(SYS_rt_sigaction, SIGSYS, (long)default_action, 0, MASK_SIZE, 0, 0);
    calls_call(SYS_tgkill, calls_call(SYS_getpid, 0, 0, 0, 0, 0, 0), calls_call(SYS_gettid, 0, 0, 0, 0, 0, 0), SIGSYS,
               0, 0, 0);
}

void *calls_map(size_t size)
{
    long at = calls_call(SYS_mmap, 0, (long)size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return system_call_failed(at) ? NULL : (void *)at;
}

void calls_unmap(void *at, size_t size)
{
    calls_call(SYS_munmap, (long)at, (long)size, 0, 0, 0, 0);
}

/* ---- frames ---- */

/* The thread is behind a call, as SYSCALL leaves it. */
static void stand_behind(ucontext_t *frame, uint64_t behind)
{
    registers_set(frame, REG_RIP, behind);
    registers_set(frame, REG_RCX, behind);
}

enum calls_trap calls_read(struct native_frame native, struct system_call *call)
{
    ucontext_t *frame = native.context;
    uint64_t behind = registers_get(frame, REG_RIP);
    if (calls_is_stand_in(native)) {
        /* A fault has set RF. */
        const uint64_t flags = registers_get(frame, REG_EFL) & ~(uint64_t)FLAG_RESUME;
        behind = calls_stand_in_target(behind);
        registers_set(frame, REG_EFL, flags);
        registers_set(frame, REG_R11, flags);
        stand_behind(frame, behind);
    } else if (!trap_is_call(native.info)) {
        return CALLS_NO_TRAP;
    }
    /* On the way of a detour: the thread is at its site. */
    if (behind - address_of(calls_traps) < (uint64_t)(calls_traps_end - calls_traps)) {
        behind = calls_targets[(behind - address_of(calls_traps)) / CAUGHT_SIZE];
        stand_behind(frame, behind);
    }
    if (behind == address_of(calls_wanted_finish))
        return CALLS_FINISH;
    *call = registers_call(native);
    return CALLS_TRAP;
}

void calls_return(const struct system_call *call, long result)
{
    registers_set(call->native.context, REG_RAX, (uint64_t)result);
}

/* ---- gates ---- */

unsigned calls_gate(const struct system_call *call)
{
    return sites_place(calls_targets, GATES, GATES, call->instruction + SYSCALL_SIZE);
}

void calls_pass(const struct system_call *call)
{
    static uint64_t done;
    const struct call_record record = {.busy = address_of(&done)};
    uint64_t target = call->instruction + SYSCALL_SIZE;
    unsigned number = sites_place(calls_targets, GATES, GATES, target);
    if (number < GATES)
        registers_set(call->native.context, REG_RIP, address_of(calls_gates) + number * GATE_SIZE);
    else if (!calls_make(call, call->arguments, &record))
        calls_return(call, -ENOMEM);
}

/* Without the handler for SIGSYS, the child would die at its first call. */
static bool clears_handlers(const struct system_call *call)
{
    uint64_t flags;
    return call->number == SYS_clone3 && peek(&flags, call->arguments[0], sizeof flags) &&
           (flags & CLONE_CLEAR_SIGHAND);
}

uint64_t calls_child_begin(const struct system_call *call)
{
    const uint64_t begins = (uint64_t)(calls_child_begins - calls_child_gates);
    const unsigned number =
        sites_place(calls_child_targets, CHILD_GATES, CHILD_GATES, call->instruction + SYSCALL_SIZE);
    calls_owns_memory();
    if (number == CHILD_GATES || clears_handlers(call))
        return 0;
    return address_of(calls_child_gates) + number * CHILD_GATE_SIZE + begins;
}

/* Without a gate no child is made: its calls would not be caught. */
static void pass_child(const struct system_call *call)
{
    if (clears_handlers(call)) {
        calls_return(call, -EINVAL);
        return;
    }
    calls_owns_memory();
    unsigned number = sites_place(calls_child_targets, CHILD_GATES, CHILD_GATES, call->instruction + SYSCALL_SIZE);
    if (number < CHILD_GATES)
        registers_set(call->native.context, REG_RIP, address_of(calls_child_gates) + number * CHILD_GATE_SIZE);
    else
        calls_return(call, -EAGAIN);
}

static enum code_range_result translate_gate(const struct code_range *range, struct segue_regs *regs,
                                             const void **unused)
{
    (void)range;
    (void)unused;
    uint64_t offset = regs->rip - address_of(calls_gates);
    uint64_t target = calls_targets[offset / GATE_SIZE];
    regs->rip = offset % GATE_SIZE ? target : target - SYSCALL_SIZE;
    regs->rcx = target;
    return CODE_RANGE_REGISTERS;
}

const struct code_range calls_gate_range = {calls_gates, calls_gates_end, translate_gate};

/* ---- calls with other arguments ---- */

/* The frame is on the interrupted stack, right below its red zone: the siginfo, and behind it the extended state. Of
 * the siginfo only the beginning is read any more (thread_is_overwritten), of the state all. 0: it is elsewhere. */
static uint64_t record_in_frame(const struct system_call *call, uint64_t top)
{
    const ucontext_t *frame = call->native.context;
    const struct frame_stack alternate = frame_get_alternate_stack(frame);
    const uint64_t at = address_of(call->native.info) + INFO_READ, end = at + sizeof(struct call_record);
    const bool is_apart = address_of(frame) - alternate.base < alternate.size && top - alternate.base >= alternate.size;
    if (is_apart || top - address_of(frame) >= FRAME_MOST || top - at >= FRAME_MOST ||
        address_of(frame->uc_mcontext.fpregs) - at < end - at)
        return 0;
    return at;
}

struct call_record *calls_record(const struct system_call *call)
{
    const uint64_t top = registers_get(call->native.context, REG_RSP) - RED_ZONE;
    const uint64_t at = record_in_frame(call, top);
    return (struct call_record *)(uintptr_t)(at ? at : (top - sizeof(struct call_record)) & ~UINT64_C(63));
}

bool calls_make(const struct system_call *call, const uint64_t *arguments, const struct call_record *record)
{
    return calls_make_at(call, arguments, record, address_of(calls_make_call));
}

bool calls_make_at(const struct system_call *call, const uint64_t *arguments, const struct call_record *record,
                   uint64_t instruction)
{
    struct call_record *at = calls_record(call), written = *record;
    uint64_t stack_pointer = registers_get(call->native.context, REG_RSP);
    for (int i = 0; i < CALL_ARGUMENTS; i++)
        written.arguments[i] = call->arguments[i];
    written.target = call->instruction + SYSCALL_SIZE;
    written.stack_pointer = stack_pointer;
    written.number = call->number;
    if (!poke(address_of(at), &written, sizeof written))
        return false;
    registers_set_arguments(call->native.context, arguments);
    registers_set(call->native.context, REG_RSP, address_of(at));
    registers_set(call->native.context, REG_RIP, instruction);
    return true;
}

static struct call_record *record_of(struct native_frame native)
{
    return (struct call_record *)registers_get(native.context, REG_RSP);
}

struct call_record *calls_finished(struct native_frame native)
{
    return record_of(native);
}

/* The thread's registers are the program's again, behind the call. */
static void restore(struct native_frame native, const struct call_record *record, uint64_t instruction, uint64_t rax)
{
    ucontext_t *frame = native.context;
    registers_set_arguments(frame, record->arguments);
    registers_set(frame, REG_RIP, instruction);
    registers_set(frame, REG_RAX, rax);
    registers_set(frame, REG_RCX, record->target);
    registers_set(frame, REG_RSP, record->stack_pointer);
    __atomic_store_n((uint64_t *)(uintptr_t)record->busy, 0, __ATOMIC_RELEASE);
}

void calls_finish(struct native_frame native, const struct call_record *record)
{
    restore(native, record, record->target, record->result);
}

struct call_record *calls_interrupted(struct native_frame native)
{
    const uint64_t instruction = registers_get(native.context, REG_RIP);
    const bool is_interrupted =
        instruction == address_of(calls_made) && registers_get(native.context, REG_RAX) == (uint64_t)-EINTR;
    return is_interrupted || instruction == address_of(calls_make_call) ? record_of(native) : NULL;
}

struct call_record *calls_about_to_make(struct native_frame native)
{
    return registers_get(native.context, REG_RIP) == address_of(calls_make_call) ? record_of(native) : NULL;
}

void calls_begin_again(struct native_frame native)
{
    const struct call_record *record = record_of(native);
    restore(native, record, record->target - SYSCALL_SIZE, record->number);
}

/* The kernel shows the instruction behind the call, and the number in RAX: the handler puts a result there. */
bool calls_answered(struct native_frame native, struct call_record **record)
{
    siginfo_t *info = native.info;
    ucontext_t *frame = native.context;
    uint64_t at = registers_get(frame, REG_RIP), target;
    uint64_t gate = at - address_of(calls_gates), child = at - address_of(calls_child_gates);
    if (info->si_code != SYS_SECCOMP || at - calls_exempt.start >= calls_exempt.size ||
        at == address_of(calls_gate_return) + SYSCALL_SIZE)
        return false;
    if (gate < GATES * GATE_SIZE) {
        target = calls_targets[gate / GATE_SIZE];
    } else if (child < CHILD_GATES * CHILD_GATE_SIZE && child % CHILD_GATE_SIZE == SYSCALL_SIZE) {
        target = calls_child_targets[child / CHILD_GATE_SIZE];
    } else if (at == address_of(calls_made)) {
        *record = record_of(native);
        target = (*record)->target;
        restore(native, *record, target, (*record)->number);
    } else {
        registers_set(frame, REG_RAX, (uint64_t)-ENOSYS);
        return true;
    }
    info->si_call_addr = (void *)(uintptr_t)target;
    stand_behind(frame, target);
    return false;
}

/* Before the stack pointer is the program's, the record is at it. */
enum code_range_result calls_show_record(struct segue_regs *regs, const struct call_record *record, bool is_made)
{
    uint64_t *const to[CALL_ARGUMENTS] = {&regs->rdi, &regs->rsi, &regs->rdx, &regs->r10, &regs->r8, &regs->r9};
    for (int i = 0; i < CALL_ARGUMENTS; i++)
        *to[i] = record->arguments[i];
    regs->rcx = record->target;
    regs->rip = is_made ? record->target : record->target - SYSCALL_SIZE;
    regs->rsp = record->stack_pointer;
    if (!is_made)
        regs->rax = record->number;
    /* The call itself is still to be made, or to be finished, where the thread is. */
    return CODE_RANGE_SHOWN;
}

static enum code_range_result translate_make(const struct code_range *range, struct segue_regs *regs,
                                             const void **unused)
{
    (void)range;
    (void)unused;
    if (regs->rip == address_of(calls_restored)) {
        regs->rip = regs->rcx;
        return CODE_RANGE_REGISTERS;
    }
    return calls_show_record(regs, (const struct call_record *)(uintptr_t)regs->rsp,
                             regs->rip != address_of(calls_make_call));
}

const struct code_range calls_make_range = {calls_make_call, calls_make_end, translate_make};

/* ---- calls that are served in their own way ---- */

static void refuse(const struct system_call *call, const char *text, size_t length)
{
    platform_report(text, length);
    calls_return(call, -ENOSYS);
}

SEGUE_HOT_POLICY bool calls_is_own(const struct system_call *call)
{
    switch (call->number) {
    case SYS_rt_sigreturn:
    case SYS_rt_sigprocmask:
    case SYS_rt_sigaction:
    case SYS_clone:
    case SYS_clone3:
    case SYS_fork:
    case SYS_vfork:
    case SYS_io_uring_setup:
    case SYS_seccomp:
    case SYS_mlockall:
        return true;
    case SYS_arch_prctl:
        return call->arguments[0] == ARCH_SET_FS;
    case SYS_prctl:
        return call->arguments[0] == PR_SET_SYSCALL_USER_DISPATCH || call->arguments[0] == PR_SET_SECCOMP;
    default:
        return calls_leads_mask(call);
    }
}

bool calls_sets_filter(const struct system_call *call)
{
    return call->number == SYS_seccomp || (call->number == SYS_prctl && call->arguments[0] == PR_SET_SECCOMP);
}

bool calls_serve_own(const struct system_call *call)
{
    static const char no_rings[] =
        "segue: io_uring_setup is refused (ENOSYS): the kernel would access memory by requests "
        "that no system call names\n";
    switch (call->number) {
    case SYS_rt_sigreturn:
        calls_return_from_signal(call);
        return true;
    case SYS_rt_sigprocmask:
        calls_return(call, calls_change_mask(call));
        return true;
    case SYS_rt_sigaction:
        return calls_change_action(call);
    case SYS_clone:
    case SYS_clone3:
    case SYS_fork:
    case SYS_vfork:
        pass_child(call);
        return true;
    case SYS_io_uring_setup:
        refuse(call, no_rings, sizeof no_rings - 1);
        return true;
    case SYS_mlockall:
        return calls_lock_all(call);
    case SYS_prctl:
        if (call->arguments[0] != PR_SET_SYSCALL_USER_DISPATCH)
            return false;
        calls_return(call, -EINVAL);
        return true;
    default:
        return calls_leads_mask(call) && calls_lead_mask(call);
    }
}
