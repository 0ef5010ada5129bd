/* calls_linux_x86_64.c: SOURCES: Documentation/admin-guide/syscall-user-dispatch.rst (SIGSYS, SYS_USER_DISPATCH; the
 * instruction pointer is behind the instruction, RAX is the number). */
#include "calls.h"

#include <errno.h>
#include <linux/audit.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "call_linux_x86_64.h"
#include "decode/x86/canonical.h"
#include "decode/x86/page.h"
#include "platform/linux/abi.h"
#include "service.h"
#include "stub.h"
#include "tools/run/detours/code.h"
#include "tools/run/detours/detour.h"
#include "tools/run/host/host.h"
#include "tools/run/host/lock.h"
#include "tools/run/host/memory.h"
#include "tools/run/host/report.h"
#include "tools/run/image/module.h"
#include "tools/run/options/settings.h"
#include "tools/run/signals/actions.h"
#include "tools/run/signals/deliver.h"
#include "tools/run/signals/fault.h"
#include "tools/run/signals/keys.h"
#include "tools/run/signals/registers.h"
#include "tools/run/syscalls/services/exec.h"
#include "tools/run/syscalls/services/filter.h"
#include "tools/run/syscalls/services/masked.h"
#include "tools/run/syscalls/services/path.h"
#include "tools/run/syscalls/services/process.h"

#define ARCH_REQ_XCOMP_PERM 0x1023

/* ---- done on the program's behalf ---- */

static enum call_outcome serve_sigaction(struct thread *thread, ucontext_t *frame, const struct call *call,
                                         long *result)
{
    (void)call;
    *result = actions_change(thread, registers_argument(frame, 0), registers_argument(frame, 1),
                             registers_argument(frame, 2), registers_argument(frame, 3));
    return CALL_DONE;
}

static enum call_outcome serve_sigpending(struct thread *thread, ucontext_t *frame, const struct call *call,
                                          long *result)
{
    (void)call;
    *result = actions_pending(thread, registers_argument(frame, 0), registers_argument(frame, 1));
    return CALL_DONE;
}

static enum call_outcome serve_sigprocmask(struct thread *thread, ucontext_t *frame, const struct call *call,
                                           long *result)
{
    uint64_t arguments[6];
    (void)call;
    registers_arguments(frame, arguments);
    *result = actions_change_mask(thread, frame, arguments);
    return CALL_DONE;
}

static enum call_outcome serve_sigreturn(struct thread *thread, ucontext_t *frame, const struct call *call,
                                         long *result)
{
    (void)call;
    (void)result;
    deliver_return(thread, frame);
    count(&counters->served, 1);
    return CALL_ARRANGED;
}

static enum call_outcome serve_sigaltstack(struct thread *thread, ucontext_t *frame, const struct call *call,
                                           long *result)
{
    (void)call;
    *result = actions_change_stack(thread, frame, registers_argument(frame, 0), registers_argument(frame, 1));
    return CALL_DONE;
}

static long arch_prctl(struct thread *thread, uint64_t code, uint64_t value)
{
    uint64_t base;
    switch (code) {
    case ARCH_SET_FS:
        if (value >= canonical_user_end())
            return -EPERM;
        registers_set_gs_base(value);
        thread->thread_pointer = value;
        return 0;
    case ARCH_GET_FS:
        base = registers_gs_base();
        return memory_write(value, &base, sizeof base) ? 0 : -EFAULT;
    case ARCH_GET_GS:
        base = 0;
        return memory_write(value, &base, sizeof base) ? 0 : -EFAULT;
    case ARCH_SET_GS:
        if (value == 0 || value >= canonical_user_end())
            return value ? -EPERM : 0;
        report_fatal("unsupported: the program sets the GS base (arch_prctl %x), which segue run uses itself", code);
    case ARCH_REQ_XCOMP_PERM:
        return actions_permit_component(thread, value);
    default:
        return system_call3(SYS_arch_prctl, (long)code, (long)value, 0);
    }
}

static enum call_outcome serve_arch_prctl(struct thread *thread, ucontext_t *frame, const struct call *call,
                                          long *result)
{
    (void)call;
    *result = arch_prctl(thread, registers_argument(frame, 0), registers_argument(frame, 1));
    return CALL_DONE;
}

/* Notes mapped code. It is rewritten when the module's other parts are there, too: at the next call that maps none. */
static void note_code(struct thread *thread, const ucontext_t *frame, const uint64_t *arguments, long result)
{
    bool is_loaded =
        registers_get(frame, REG_RIP) - settings.loader_start < settings.loader_end - settings.loader_start;
    bool is_file = (int)arguments[4] >= 0 && !(arguments[3] & MAP_ANONYMOUS);
    uint64_t start = (uint64_t)result, end = start + ((arguments[1] + PAGE - 1) & -(uint64_t)PAGE);
    if (result <= 0)
        return;
    code_forget(start, end);
    if (is_file && (arguments[3] & MAP_PRIVATE) && !(arguments[2] & PROT_WRITE))
        code_note_file(start, end, is_loaded);
    if (settings.rewriting == REWRITE_EAGERLY && is_file && is_loaded)
        thread->fresh_code = start;
}

static enum call_outcome serve_mmap(struct thread *thread, ucontext_t *frame, const struct call *call, long *result)
{
    uint64_t arguments[6];
    registers_arguments(frame, arguments);
    if (!(arguments[2] & PROT_EXEC))
        return CALL_PASSED;
    *result = system_call6(call->number, (long)arguments[0], (long)arguments[1], (long)arguments[2], (long)arguments[3],
                           (long)arguments[4], (long)arguments[5]);
    note_code(thread, frame, arguments, *result);
    return CALL_DONE;
}

/* Refuses the program's own syscall user dispatch: a thread can have only one, and the host uses it. */
static enum call_outcome lead_prctl(struct thread *thread, ucontext_t *frame, const struct call *call, long *result)
{
    if (registers_argument(frame, 0) != PR_SET_SYSCALL_USER_DISPATCH)
        return filter_lead(thread, frame, call, result);
    *result = -EINVAL;
    return CALL_DONE;
}

/* Refuses to be traced. A traced program stops at each signal, and each of its system calls raises one: its debugger
 * would see those. And a debugger that made the program by vfork does not run before the program executes another. */
static enum call_outcome serve_ptrace(struct thread *thread, ucontext_t *frame, const struct call *call, long *result)
{
    (void)call;
    if (registers_argument(frame, 0) != PTRACE_TRACEME)
        return CALL_PASSED;
    report_message("a program under segue run cannot be traced: each system call would stop it for its debugger");
    thread->wanted_tracing = true;
    *result = -EPERM;
    return CALL_DONE;
}

/* A program that ignores that answer next stops itself (SIGSTOP) for its debugger, and would wait forever: that stop is
 * left out. */
static enum call_outcome serve_kill(struct thread *thread, ucontext_t *frame, const struct call *call, long *result)
{
    const int signal = call->number == SYS_tgkill ? 2 : 1;
    if (!thread->wanted_tracing || registers_argument(frame, signal) != SIGSTOP)
        return CALL_PASSED;
    uint64_t own = (uint64_t)system_call3(call->number == SYS_kill ? SYS_getpid : SYS_gettid, 0, 0, 0);
    if (registers_argument(frame, signal - 1) != own)
        return CALL_PASSED;
    thread->wanted_tracing = false;
    *result = 0;
    return CALL_DONE;
}

/* ---- before a call is made ---- */

static void before_exit(struct thread *thread, const ucontext_t *frame)
{
    (void)frame;
    thread_ends(thread);
}

/* The host makes this call itself, so that no signal comes between the figures and the end, which would print both
 * twice. */
static void before_exit_group(struct thread *thread, const ucontext_t *frame)
{
    (void)thread;
    report_end(0);
    system_call3(SYS_exit_group, (long)registers_argument(frame, 0), 0, 0);
}

/* The filter will apply to the host's calls, too: code that is rewritten now needs none later. */
static void before_filter(struct thread *thread, const ucontext_t *frame)
{
    static bool is_done;
    (void)thread;
    (void)frame;
    detour_stop();
    host_note_filter();
    fault_prepare();
    if (!__atomic_exchange_n(&is_done, true, __ATOMIC_RELAXED))
        module_rewrite_all();
}

static void before_prctl(struct thread *thread, const ucontext_t *frame)
{
    if (registers_argument(frame, 0) == PR_SET_SECCOMP)
        before_filter(thread, frame);
}

static void before_pkey(struct thread *thread, const ucontext_t *frame)
{
    (void)thread;
    (void)frame;
    keys_note_use();
}

static void before_places(struct thread *thread, const ucontext_t *frame)
{
    (void)thread;
    (void)frame;
    lock_take();
    host_prepare();
    lock_release();
}

/* A call that only reads the limits changes nothing. */
static void before_prlimit(struct thread *thread, const ucontext_t *frame)
{
    if (registers_argument(frame, 2))
        before_places(thread, frame);
}

/* ---- the table, and the way through it ---- */

#define CALL(name, flags, before, serve) PLACE_##name,
enum {
#include "calls.inc"
};
#undef CALL

#define CALL(name, flags, before, serve) [PLACE_##name] = {SYS_##name, flags, before, serve},
static const struct call calls[] = {
#include "calls.inc"
};
#undef CALL

/* Where a call's row is, counted from 1; 0 for a call without one. */
#define CALL(name, flags, before, serve) [SYS_##name] = PLACE_##name + 1,
static const uint8_t places[TABLE_NUMBERS] = {
#include "calls.inc"
};
#undef CALL

static const struct call *find(uint64_t number)
{
    unsigned place = number < TABLE_NUMBERS ? places[number] : 0;
    return place ? &calls[place - 1] : NULL;
}

static enum call_outcome serve(struct thread *thread, ucontext_t *frame, const struct call *call, long *result)
{
    return call->serve ? call->serve(thread, frame, call, result) : CALL_PASSED;
}

static void rewrite_fresh_code(struct thread *thread)
{
    if (thread->fresh_code)
        module_rewrite(thread->fresh_code);
    thread->fresh_code = 0;
}

void calls_serve(struct thread *thread, ucontext_t *frame, const siginfo_t *info)
{
    const struct system_call caught = registers_call((struct native_frame){(void *)(uintptr_t)info, frame});
    const uint64_t number = caught.number;
    const struct call *call = find(number);
    long result = 0;
    if (info->si_arch != AUDIT_ARCH_X86_64)
        report_fatal("unsupported: the program makes a 32-bit system call (int 0x80) at %x", caught.instruction);
    count(&counters->calls[number < TABLE_NUMBERS ? number : TABLE_NUMBERS - 1], 1);
    report_call(frame);
    if (call && call->before)
        call->before(thread, frame);
    if (!call || !(call->flags & CALL_LOADS_CODE))
        rewrite_fresh_code(thread);
    if (!call)
        detour_note(thread, &caught);
    switch (call ? serve(thread, frame, call, &result) : CALL_PASSED) {
    case CALL_PASSED:
        stub_pass(thread, frame, NULL);
        break;
    case CALL_ARRANGED:
        break;
    case CALL_DONE:
        registers_set(frame, REG_RAX, (uint64_t)result);
        count(&counters->served, 1);
        break;
    case CALL_AGAIN:
        registers_set(frame, REG_RIP, caught.instruction);
        count(&counters->served, 1);
        break;
    }
}
